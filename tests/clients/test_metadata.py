"""What a version must say of itself, with the plain client: each rule broken, met, and gone around."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from mlflow import MlflowClient
from ruled import API, GOOD, OPEN_STAGES, Ruled, refused, ruled, until

MODEL = "recommendation_xgboost_auc_dev"
AT = '\nat = "transition"'


@pytest.fixture(scope="module")
def house() -> Iterator[Ruled]:
    """As shipped: whole before it leaves Development."""
    with ruled(stages=OPEN_STAGES) as opened:
        yield opened


@pytest.fixture(scope="module")
def strict(house: Ruled) -> Iterator[Ruled]:
    """The same MLflow, behind one that asks for everything in the create call."""
    with ruled(behind=house.mlflow, edits={AT: '\nat = "create"'}, stages=OPEN_STAGES) as opened:
        yield opened


@pytest.fixture(scope="module")
def lax(house: Ruled) -> Iterator[Ruled]:
    """The same MLflow, behind one that only tells."""
    with ruled(behind=house.mlflow, edits={AT: '\nat = "warn"'}, stages=OPEN_STAGES) as opened:
        yield opened


def move(client: MlflowClient, version: str, stage: str) -> None:
    """Into a stage."""
    client.transition_model_version_stage(MODEL, version, stage)


def test_all_that_is_missing_is_told_at_once(house: Ruled) -> None:
    """Nothing at the create call; everything at the transition; then it is met."""
    ann = house.token()
    house.version(MODEL)
    with house.acting(ann) as client:
        version = client.create_model_version(MODEL, f"models:/{MODEL}/1").version
        told = refused(move, client, version, "Staging")
        assert all(f"{key}: is missing" in told for key in GOOD), told
        assert "the email address of the person" in told
        move(client, version, "None")
        client.set_model_version_tag(MODEL, version, "performance_metrics", {"accuracy": 0.9})
        client.set_model_version_tag(MODEL, version, "business_owner", "ann")
        told = refused(move, client, version, "Staging")
        assert "json.dumps" in told and "business_owner: " in told and told.count("; ") >= len(GOOD) - 1
        for key, value in GOOD.items():
            client.set_model_version_tag(MODEL, version, key, value)
        move(client, version, "Staging")
    assert house.held(MODEL, version)[0] == "Staging"


def test_what_was_whole_stays_whole_once_it_left_development(house: Ruled) -> None:
    """Whatever address or spelling the request has; other tags are free."""
    ann, version = house.token(), house.version(MODEL, **GOOD)
    key, named = "business_owner", {"name": MODEL, "version": version}
    with house.acting(ann) as client:
        client.delete_model_version_tag(MODEL, version, key)
        client.set_model_version_tag(MODEL, version, key, GOOD[key])
        move(client, version, "Staging")
        assert key in refused(client.delete_model_version_tag, MODEL, version, key)
        assert "email" in refused(client.set_model_version_tag, MODEL, version, key, "nobody")
        client.set_model_version_tag(MODEL, version, key, "eve@example.com")
        client.set_model_version_tag(MODEL, version, "note", "x")
        client.delete_model_version_tag(MODEL, version, "note")
    spelled = json.dumps({**named, "key": "AAA"}).replace("AAA", "business\\u005fowner").replace('"key"', '"k\\u0065y"')
    for prefix in (API, "/ajax-api/2.0/mlflow/"):
        for method, path, body in [
            ("DELETE", "delete-tag", {**named, "key": key}),
            ("DELETE", "delete-tag", spelled.encode()),
            ("POST", "set-tag", {**named, "key": key}),
            ("POST", "set-tag", {**named, "key": key, "value": ""}),
            ("POST", "set-tag", {**named, "key": key, "value": None}),
        ]:
            answer = house.ask(ann, method, f"{prefix}model-versions/{path}", body)
            assert (answer.status, answer.error_code()) == (400, "INVALID_PARAMETER_VALUE"), (body, answer.body)
        odd = {**named, "version": f"0{version}", "key": key}
        assert house.ask(ann, "DELETE", f"{prefix}model-versions/delete-tag", odd).status == 400
    assert house.held(MODEL, version)[1][key] == "eve@example.com"


def test_a_tag_without_a_value_is_an_empty_one(house: Ruled) -> None:
    """As MLflow keeps it; where a key may be missing but not empty, that is not the same as to delete it."""
    text = {"type": "string", "minLength": 1}
    schema = {"type": "object", "required": ["team"], "properties": {"team": text, "contact": text}}
    with ruled(behind=house.mlflow, schema=schema) as loose:
        ann = loose.token()
        whole, lacking = (loose.version(MODEL, contact="ann@example.com", **said) for said in ({"team": "a"}, {}))
        for version in (whole, lacking):
            loose.stage(MODEL, version, "Staging")
        for unsaid in ({}, {"value": None}, {"value": ""}):
            bare = {"name": MODEL, "version": whole, "key": "contact", **unsaid}
            answer = loose.ask(ann, "POST", f"{API}model-versions/set-tag", bare)
            assert answer.status == 400 and b"contact: " in answer.body, answer.body
            assert loose.held(MODEL, whole)[1]["contact"] == "ann@example.com"
            # One that is not whole anyway is not held to it, and has then what was judged.
            past = loose.ask(ann, "POST", f"{API}model-versions/set-tag", {**bare, "version": lacking})
            assert past.status == 200, past.body
            assert loose.held(MODEL, lacking)[1]["contact"] == ""
        with loose.acting(ann) as client:
            client.delete_model_version_tag(MODEL, whole, "contact")
        empty = {"name": MODEL, "version": whole, "key": "contact"}
        assert loose.ask(ann, "POST", f"{API}model-versions/set-tag", empty).status == 400
        assert "contact" not in loose.held(MODEL, whole)[1]


def test_taking_out_of_service_and_rolling_back_are_never_held_up(house: Ruled) -> None:
    """Nor is what is there already; going on is."""
    admin, version = house.token(role="admin"), house.version(MODEL)
    house.stage(MODEL, version, "Production")
    with house.acting(admin) as client:
        move(client, version, "Production")
        for stage in ("Staging", "Archived", "Deprecated", "Archived"):
            move(client, version, stage)
        for stage in ("Staging", "Production", "staging", "PRODUCTION"):
            assert "is missing" in refused(move, client, version, stage)
    assert house.held(MODEL, version)[0] == "Archived"


def test_where_it_is_asked_for_at_once(strict: Ruled) -> None:
    """In the create call; what came without it earlier is not worse than it was."""
    ann, source = strict.token(), f"models:/{MODEL}/1"
    strict.version(MODEL)
    with strict.acting(ann) as client:
        assert "performance_metrics: is missing" in refused(client.create_model_version, MODEL, source, tags={"a": "b"})
        bad = {**GOOD, "performance_metrics": {"accuracy": 1}}
        assert "json.dumps" in refused(client.create_model_version, MODEL, source, tags=bad)
        version = client.create_model_version(MODEL, source, tags=GOOD).version
        assert "model_purpose" in refused(client.delete_model_version_tag, MODEL, version, "model_purpose")
        old = strict.version(MODEL, business_owner="ann@example.com")
        client.delete_model_version_tag(MODEL, old, "business_owner")
        assert "is missing" in refused(move, client, version=old, stage="Staging")


def test_where_it_is_only_told(lax: Ruled) -> None:
    """Nothing is refused, and the line of each request says what would be."""
    ann, source = lax.token(), f"models:/{MODEL}/1"
    lax.version(MODEL)
    with lax.acting(ann) as client:
        version = client.create_model_version(MODEL, source).version
        move(client, version, "Staging")
    told = until(lambda: len(found := lax.lines("metadata")) >= 2 and found)
    assert len(told) == 2
    assert all("would be refused: the version does not say all" in str(line["reason"]) for line in told)


def test_prompts_are_not_asked(house: Ruled, strict: Ruled) -> None:
    """Unless the switch for them is on."""
    tag = {"key": "mlflow.prompt.is_prompt", "value": "true"}
    body = {"name": "poem", "source": "dummy-source", "tags": [tag]}
    house.past("registered-models/create", name="poem", tags=[tag])
    made = strict.ask(strict.token(), "POST", f"{API}model-versions/create", body)
    assert made.status == 200, made.body
    into = {"name": "poem", "version": "1", "stage": "Staging"}
    assert house.ask(house.token(), "POST", f"{API}model-versions/transition-stage", into).status == 200
    house.stage("poem", "1", "None")
    asked = {"say it.\nprompts = false": "say it.\nprompts = true"}
    with ruled(behind=house.mlflow, edits=asked, stages=OPEN_STAGES) as all_asked:
        answer = all_asked.ask(all_asked.token(), "POST", f"{API}model-versions/transition-stage", into)
    assert answer.status == 400 and b"model_purpose: is missing" in answer.body


def test_no_version_in_staging_is_ever_without_its_tags(house: Ruled) -> None:
    """A transition and the loss of a tag at once: one of them comes second, and is refused or free."""
    ann = house.token()
    for _ in range(8):
        version = house.version(MODEL, **GOOD)
        named = {"name": MODEL, "version": version}
        asks = [
            ("POST", f"{API}model-versions/transition-stage", {**named, "stage": "Staging"}),
            ("DELETE", f"{API}model-versions/delete-tag", {**named, "key": "model_purpose"}),
            ("POST", f"{API}model-versions/set-tag", {**named, "key": "data_sources", "value": "none"}),
        ]
        with ThreadPoolExecutor(len(asks)) as pool:
            statuses = list(pool.map(lambda ask: house.ask(ann, *ask).status, asks))
        stage, tags = house.held(MODEL, version)
        assert set(statuses) <= {200, 400}
        whole = tags.get("model_purpose") == GOOD["model_purpose"] and tags["data_sources"] == GOOD["data_sources"]
        assert whole or stage == "None", (statuses, stage, tags)


def test_modes(house: Ruled) -> None:
    """`warn` refuses nothing and tells; `off` does neither."""
    for mode, told in (("warn", 3), ("off", 0)):
        with ruled(mode, behind=house.mlflow, stages=OPEN_STAGES) as loose, loose.acting(loose.token()) as client:
            client.create_registered_model(f"free {mode}")
            version = client.create_model_version(f"free {mode}", f"models:/{MODEL}/1").version
            client.transition_model_version_stage(f"free {mode}", version, "Staging")
            client.create_registered_model(f"Free {mode}")
            until(lambda: loose.told("registered-models/create") == 2)
            lines = loose.lines("names") + loose.lines("metadata")
            assert len(lines) == told
            assert all("would be refused" in str(line["reason"]) for line in lines)

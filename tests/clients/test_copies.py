"""Copies of versions, protected tags in a create call, listed sources, and rules that change, with the plain client."""

from __future__ import annotations

from collections.abc import Iterator

import mlflow
import pytest
from harness.rest import Answer, send
from mlflow.exceptions import MlflowException
from ruled import API, GOOD, Ruled, ruled, until

FROM, TO = "fraud_detection_xgboost_auc_dev", "fraud_detection_xgboost_auc_prod"
LISTED = "s3://listed/models/"
KEPT = {"model_hash": "f" * 64, "sekisho.dependencies": "[]", "sekisho.stage": "Staging", "evidence.unit_test": "passed"}
CREATE = f"{API}model-versions/create"


@pytest.fixture(scope="module")
def house() -> Iterator[Ruled]:
    """With one listed place."""
    with ruled(edits={"prefixes = []": f'prefixes = ["{LISTED}"]'}) as opened:
        opened.version(FROM, **GOOD, **KEPT)
        opened.past("registered-models/create", name=TO)
        yield opened


def tags(**values: str) -> list[dict[str, str]]:
    """As a request has them."""
    return [{"key": key.replace("__", "."), "value": value} for key, value in values.items()]


def test_a_copy_has_what_is_its_own(house: Ruled) -> None:
    """What only sekisho writes, and evidence, are the original's."""
    with house.acting(house.token()) as client:
        copy = client.copy_model_version(f"models:/{FROM}/1", TO)
    held = house.held(TO, copy.version)[1]
    assert {key: held.get(key) for key in GOOD} == GOOD
    assert KEPT.keys() & held.keys() == {"sekisho.stage"}
    assert held["sekisho.stage"] == "Development", "it begins where every version does"


def test_the_copy_of_real_files_gets_a_digest_of_its_own(house: Ruled) -> None:
    """Taken by sekisho, and equal, as the files are."""
    with house.acting(house.token()) as client:
        with mlflow.start_run() as run:
            mlflow.log_text("x", "model/a.txt")
        made = client.create_model_version(FROM, f"runs:/{run.info.run_id}/model", run.info.run_id)
        original = until(lambda: house.held(FROM, made.version)[1].get("model_hash"))
        copy = client.copy_model_version(f"models:/{FROM}/{made.version}", TO)
        assert until(lambda: house.held(TO, copy.version)[1].get("model_hash")) == original


@pytest.mark.parametrize("key", KEPT)
def test_a_copy_with_another_value_is_refused(house: Ruled, key: str) -> None:
    """Evidence takes the permission for it, and bytes that were tested; the rest is nobody's."""
    body = {"name": TO, "source": f"models:/{FROM}/1", "tags": [{"key": key, "value": "failed"}]}
    refusal = house.ask(house.token(), "POST", CREATE, body)
    assert (refusal.status, refusal.error_code()) == (403, "PERMISSION_DENIED"), refusal.body
    assert house.ask(house.token(role="admin"), "POST", CREATE, body).status == (400 if key.startswith("evidence.") else 403)
    for source in (f"models:/{FROM}@champion", f"models:/{FROM}/Production", f"models:/{FROM}/99"):
        body["source"] = source
        assert house.ask(house.token(), "POST", CREATE, body).status in (400, 403, 404), source


def test_forged_tags_in_a_plain_create_are_refused(house: Ruled) -> None:
    """Whoever creates."""
    for key, value in KEPT.items():
        body = {"name": TO, "source": f"{LISTED}a", "tags": [{"key": key, "value": value}]}
        for role in ("ml_engineer", "data_scientist", "ci"):
            assert house.ask(house.token(role=role), "POST", CREATE, body).status == 403, (key, role)
        assert house.ask(house.token(role="admin"), "POST", CREATE, body).status == (400 if key.startswith("evidence.") else 403)


def test_a_hidden_originals_tags_are_not_told(house: Ruled) -> None:
    """Right guess, wrong guess, no guess, and no such model are one answer."""
    eve = house.token(TO, user="eve@example.com")
    answers = set()
    for model in (FROM, "demand_forecasting_xgboost_auc_dev"):
        for guess in ({}, {"model_hash": KEPT["model_hash"]}, {"model_hash": "0"}, {"evidence__unit_test": "passed"}):
            answer = house.ask(eve, "POST", CREATE, {"name": TO, "source": f"models:/{model}/1", "tags": tags(**guess)})
            answers.add((answer.status, answer.body))
    assert len(answers) == 1, answers
    assert next(iter(answers))[0] == 403


@pytest.mark.parametrize("key", KEPT)
def test_tags_that_may_not_be_read_are_not_told_by_a_copy(house: Ruled, key: str) -> None:
    """Whoever may use a model's files, but not read what it says, guesses in vain: right and wrong are one answer."""
    may = ("metadata_read", "metadata_write", "model_read", "model_write")
    rows = [f"p, role:{role}, model:*, {what}, allow" for role in ("copier", "reader") for what in may]
    with ruled(behind=house.mlflow, rows=[*rows, f"p, role:copier, model:{FROM}, metadata_read, deny"]) as shut:
        copier, reader = (shut.token(role=role, user="cid@example.com") for role in ("copier", "reader"))

        def copy(token: str, value: str | None) -> Answer:
            listed = [] if value is None else [{"key": key, "value": value}]
            return shut.ask(token, "POST", CREATE, {"name": TO, "source": f"models:/{FROM}/1", "tags": listed})

        assert shut.ask(copier, "GET", f"{API}model-versions/get?name={FROM}&version=1").status == 403
        # MLflow does not agree with that tag, so its readers are shown another.
        shown = {**KEPT, "sekisho.stage": "Development"}
        assert copy(copier, None).status == copy(reader, shown[key]).status == 200
        right, *wrong = (copy(copier, value) for value in (shown[key], "failed", ""))
        assert (right.status, right.error_code()) == (403, "PERMISSION_DENIED"), right.body
        assert {(answer.status, answer.body) for answer in wrong} == {(right.status, right.body)}


@pytest.mark.parametrize(
    ("source", "allowed"),
    [
        (f"{LISTED}iris", True),
        (f"{LISTED}iris/1/", True),
        ("s3://listed/models", False),
        ("s3://listed/models-evil/iris", False),
        ("s3://listed-evil/models/iris", False),
        ("s3://listed/other/iris", False),
        (f"{LISTED}../other/iris", False),
        (f"{LISTED}%2e%2e/other", False),
        (f"{LISTED}a//b", False),
        (f"{LISTED}a?x=y", False),
        (f"{LISTED}a\\b", False),
        ("S3://listed/models/iris", False),
        ("s3://LISTED/models/iris", False),
        ("s3://listed/MODELS/iris", False),
        ("s3://key:secret@listed/models/iris", False),
        ("s3:/listed/models/iris", False),
        ("s3n://listed/models/iris", False),
        ("file:///etc", False),
        ("/etc", False),
    ],
)
def test_what_is_listed_is_allowed_and_nothing_beside_it(house: Ruled, source: str, allowed: bool) -> None:
    """MLflow takes any address of a bucket."""
    with house.acting(house.token()) as client:
        if allowed:
            assert client.create_model_version(TO, source).source == source
        else:
            with pytest.raises(MlflowException) as caught:
                client.create_model_version(TO, source)
            assert caught.value.get_http_status_code() == 400 and "`source`" in caught.value.message


def test_a_listed_place_is_its_owners(house: Ruled) -> None:
    """What a hidden model has there, and what lies above and below it."""
    ann, eve = house.token(FROM), house.token(TO, user="eve@example.com")
    place = f"{LISTED}hidden/v1"
    for how in ("past", "through"):
        if how == "past":
            house.past("model-versions/create", name=FROM, source=f"{place}-{how}")
        else:
            assert house.ask(ann, "POST", CREATE, {"name": FROM, "source": f"{place}-{how}"}).status == 200
        for other in ("", "/", "/part"):
            answer = house.ask(eve, "POST", CREATE, {"name": TO, "source": f"{place}-{how}{other}"})
            assert answer.status == 403, (how, other, answer.body)
            assert FROM not in answer.body.decode()
    assert house.ask(eve, "POST", CREATE, {"name": TO, "source": f"{LISTED}hidden"}).status == 403
    assert house.ask(eve, "POST", CREATE, {"name": TO, "source": f"{place}-other"}).status == 200


def test_changed_rules_are_in_force_within_two_seconds(house: Ruled) -> None:
    """A broken set is not taken."""
    ann = house.token()

    def says() -> bool:
        answer = house.ask(ann, "POST", "/sekisho/v1/names:check", {"names": [TO.replace("prod", "canary")]})
        return answer.json()["names"][0]["ok"]

    assert not says()
    house.put_rules({'"staging", "prod"]': '"staging", "canary", "prod"]'})
    until(says, 2.0)
    house.put_rules({'"staging", "canary", "prod"]': '"staging", "Canary", "canary"]'})
    until(lambda: b"rules.toml" in send(house.sekisho.admin_url, "GET", "/readyz").body, 5.0)
    assert says()
    house.put_rules({'"staging", "Canary", "canary"]': '"staging", "prod"]'})
    until(lambda: not says(), 2.0)

"""Going around the rules on tests, and around where a version stands: forged evidence, forged stages, and the way that counts."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from house_of_stages import AJAX, CARA, FIRST, MODEL, OURS, House, house_of_stages
from ruled import API, GOOD

SHORT = "fraud_detection_neural_network_auc_"
MORE = """
[[transitions]]
from = "Development"
to = "Production"
required_approvals = 0

[[transitions]]
from = "Development"
to = "Staging"
required_approvals = 1

[[transitions]]
from = "Development"
to = "Canary"
required_approvals = 0
"""


@pytest.fixture(scope="module")
def house() -> Iterator[House]:
    """Rules in force, and short ways."""
    with house_of_stages(more=MORE) as opened:
        yield opened


def approved(house: House, version: str, name: str = MODEL) -> int:
    """A request that lacks nothing but tests."""
    number = house.asked(house.ann, version, "Integration_Test", name)
    shown = house.approved(house.cara, number)
    assert shown["state"] == "open" and "needed" not in shown["lacks"], shown
    return number


def shut(house: House, version: str, test: str, name: str = MODEL) -> str:
    """Why the version does not go; it stays."""
    sentence = house.refused(house.ann, version, "Integration_Test", name)
    assert test in sentence and house.stage(version, name) == "Development", sentence
    return sentence


def create(house: House, token: str, source: str, *, name: str = MODEL, **tags: str) -> tuple[int, str]:
    """A plain request for a version: the status, and its number or the sentence."""
    listed = [{"key": key.replace("__", "."), "value": value} for key, value in (GOOD | tags).items()]
    body: dict[str, object] = {"name": name, "source": source, "tags": listed}
    if source.startswith("runs:/"):
        body["run_id"] = source.split("/")[1]
    answer = house.ruled.ask(token, "POST", f"{API}model-versions/create", body)
    said = answer.json()
    return answer.status, said["model_version"]["version"] if answer.status == 200 else said["message"]


def source_of(house: House, version: str, name: str = MODEL) -> str:
    """What a version was made from."""
    run = house.folders[f"{name}/{version}"].split("/")[-3]
    return f"runs:/{run}/model"


def test_nobody_vouches_for_their_own_work(house: House) -> None:
    """By no address, and by no name that could be taken for the test's."""
    version = house.register()
    number = approved(house, version)
    for token in (house.ann, house.cara, house.dan):
        for base in (API, AJAX):
            for test in FIRST:
                answer = house.tag(token, version, f"evidence.{test}", "passed", base)
                assert (answer.status, answer.error_code()) == (403, "PERMISSION_DENIED"), answer
        target = f"{OURS}models/{MODEL}/versions/{version}/evidence"
        answer = house.ruled.ask(token, "POST", target, {"test": FIRST[0], "passed": True})
        assert answer.status == 403, answer
    for key in ("Evidence.unit_test", "evidence_unit_test", "EVIDENCE.data_validation", "evidence"):
        house.tag(house.ann, version, key, "passed")
    for key in (f"evidence.{FIRST[0]}", f"evidence.{FIRST[1]}"):
        body = {"name": MODEL, "key": key, "value": "passed"}
        house.ruled.ask(house.ann, "POST", f"{API}registered-models/set-tag", body)
        # Nor is what MLflow shows believed.
        house.ruled.past("model-versions/set-tag", name=MODEL, version=version, key=key, value="passed")
    for test in FIRST:
        assert "has not been reported" in shut(house, version, test)
    assert house.history(version)["evidence"] == []
    house.tested(version, *FIRST)
    assert house.request(number)["state"] == "done"


def test_what_is_no_result_is_none(house: House) -> None:
    """Words that are nearly `passed`, and tests whose names are nearly those that are asked for."""
    version = house.register()
    approved(house, version)
    for value in ("Passed", "PASSED", " passed", "true", "ok", ""):
        answer = house.tag(house.ci, version, "evidence.unit_test", value)
        assert (answer.status, answer.error_code()) == (400, "INVALID_PARAMETER_VALUE"), (value, answer)
    for test in ("Unit_Test", "unit_test ", "unit-test", "ｕnit_test", "unit_test.", "unit_test/1"):
        house.tag(house.ci, version, f"evidence.{test}", "passed")
    house.tested(version, "data_validation")
    shut(house, version, "unit_test")
    house.tested(version, "unit_test")
    assert house.stage(version) == "Integration_Test"


def test_a_new_version_brings_no_evidence(house: House) -> None:
    """Neither in the tags with which it is made, nor as a copy, nor from another version of the same files."""
    version = house.register()
    house.tested(version, *FIRST)
    status, sentence = create(house, house.ann, source_of(house, version), evidence__unit_test="passed")
    assert status == 403 and "evidence_write" in sentence, sentence
    status, sentence = create(house, house.ann, f"models:/{MODEL}/{version}", evidence__security_scan="passed")
    assert status == 403 and "evidence_write" in sentence, sentence
    status, fellow = create(house, house.ann, source_of(house, version))
    assert status == 200, fellow
    copied = SHORT + "dev"
    with house.ruled.acting(house.ann) as client:
        copy = client.copy_model_version(f"models:/{MODEL}/{version}", copied).version
    assert house.approved(house.cara, house.asked(house.ann, version, "Integration_Test"))["state"] == "done"
    for name, other in ((MODEL, fellow), (copied, copy)):
        tags = house.ruled.held(name, other)[1]
        assert not [key for key in tags if key.startswith("evidence.")], tags
        assert tags["sekisho.stage"] == "Development" and house.history(other, name)["evidence"] == []
        approved(house, other, name)
        assert "has not been reported" in shut(house, other, "unit_test", name)


def test_what_is_not_made_yet_was_not_tested(house: House) -> None:
    """Whoever may report tests cannot do so before there are bytes; a copy drops what its original has."""
    version = house.register()
    house.tested(version, "security_scan")
    for value in ("passed", "failed", "perhaps"):
        for source in (source_of(house, version), f"models:/{MODEL}/{version}"):
            status, sentence = create(house, house.root, source, evidence__unit_test=value)
            assert status == 400 and "evidence.unit_test" in sentence and "set the tag" in sentence, sentence
    status, copy = create(house, house.root, f"models:/{MODEL}/{version}", evidence__security_scan="passed")
    assert status == 200, copy
    assert "evidence.security_scan" not in house.ruled.held(MODEL, copy)[1] and house.history(copy)["evidence"] == []
    house.tested(copy, "security_scan")
    assert [said["test"] for said in house.history(copy)["evidence"]] == ["security_scan"]


def test_the_last_word_counts_among_very_many(house: House) -> None:
    """However much was said before and of other bytes; the answer stays small."""
    version = house.register()
    house.tested(version, "unit_test", result="failed")
    columns = "model, model_created, version, created, test, passed, link, reporter, digest, said"
    house.rows(
        f"INSERT INTO sekisho_evidence (number, {columns}) SELECT -n.n, {columns} FROM sekisho_evidence, "
        "(WITH RECURSIVE n(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < 20000) SELECT n FROM n) AS n "
        f"WHERE model = '{MODEL}' AND version = {version}"
    )
    told = house.history(version)
    assert len(told["evidence"]) == 1000 and told["truncated"] == ["evidence"]
    house.tested(version, *FIRST)
    house.tested(version, *(f"other_{number}" for number in range(3)))
    number = house.asked(house.ann, version, "Integration_Test")
    assert house.approved(house.cara, number)["state"] == "done"
    tests = house.history(version)["transitions"][0]["evidence"]
    assert [test["test"] for test in tests] == list(FIRST)


def test_tests_of_older_bytes_do_not_count(house: House) -> None:
    """The owner tests one thing and ships another."""
    version = house.register()
    house.tested(version, *FIRST)
    assert house.upload(version, "other weights").status == 200
    number = house.asked(house.ann, version, "Integration_Test")
    shown = house.approved(house.cara, number)
    assert shown["state"] == "open" and "other bytes" in shown["lacks"], shown
    house.tested(version, FIRST[0])
    shut(house, version, FIRST[1])
    house.tested(version, FIRST[1])
    assert house.stage(version) == "Integration_Test"


@pytest.mark.parametrize("how", ["failed", "deleted", "reported"])
def test_the_last_word_counts(house: House, how: str) -> None:
    """A test that fails later shuts the gate again, and so does it to take back what it said."""
    version = house.register()
    house.tested(version, "unit_test")
    key = "evidence.unit_test"
    body = {"name": MODEL, "version": version, "key": key}
    assert house.ruled.ask(house.ann, "DELETE", f"{API}model-versions/delete-tag", body).status == 403
    if how == "failed":
        house.tested(version, "unit_test", result="failed")
    elif how == "deleted":
        assert house.ruled.ask(house.ci, "DELETE", f"{AJAX}model-versions/delete-tag", body).status == 200
    else:
        target = f"{OURS}models/{MODEL}/versions/{version}/evidence"
        answer = house.ruled.ask(house.ci, "POST", target, {"test": "unit_test", "passed": False})
        assert answer.status == 200, answer
    house.tested(version, "data_validation")
    number = house.asked(house.ann, version, "Integration_Test")
    assert house.approved(house.cara, number)["state"] == "open"
    assert "failed" in shut(house, version, "unit_test")
    house.tested(version, "unit_test")
    assert house.stage(version) == "Integration_Test"


def test_the_stage_is_no_tag(house: House) -> None:
    """Nobody writes it, by any address, when a version is made or later, not even an administrator."""
    version = house.register()
    for token in (house.ann, house.ci, house.root):
        for base in (API, AJAX):
            for key in ("sekisho.stage", "stage_transition_history", "model_hash"):
                answer = house.tag(token, version, key, "Production", base)
                assert (answer.status, answer.error_code()) == (403, "PERMISSION_DENIED"), answer
                body = {"name": MODEL, "version": version, "key": key}
                answer = house.ruled.ask(token, "DELETE", f"{base}model-versions/delete-tag", body)
                assert answer.status == 403, answer
    assert create(house, house.ann, source_of(house, version), sekisho__stage="Production")[0] == 403
    assert create(house, house.ann, f"models:/{MODEL}/{version}", sekisho__stage="Production")[0] == 403
    body = {"name": MODEL, "version": version, "description": "d", "current_stage": "Production", "stage": "Production"}
    house.ruled.ask(house.ann, "PATCH", f"{API}model-versions/update", body)
    for stage in ("Prоduction", "Production ", "", "Deleted_Internal", "Production,Staging"):
        body = {"name": MODEL, "version": version, "stage": stage}
        answer = house.ruled.ask(house.root, "POST", f"{API}model-versions/transition-stage", body)
        assert answer.status == 400, (stage, answer)
    assert house.stage(version) == "Development" and house.way(version) == []
    assert house.ruled.held(MODEL, version)[1]["sekisho.stage"] == "Development"
    assert house.move(house.root, version, "pRODUCTION") == "Production"


def test_a_copy_begins_at_the_beginning(house: House) -> None:
    """Of what is in Production, too; and what MLflow was told past the gate is not believed."""
    version = house.register()
    house.move(house.root, version, "Production")
    name = SHORT + "prod"
    with house.ruled.acting(house.ann) as client:
        copy = client.copy_model_version(f"models:/{MODEL}/{version}", name).version
    assert house.stage(copy, name) == "Development"
    mlflows, tags = house.ruled.held(name, copy)
    assert (mlflows, tags["sekisho.stage"]) == ("None", "Development") and "stage_transition_history" not in tags
    house.move(house.root, version, "Staging")
    house.ruled.stage(MODEL, version, "Production")
    house.ruled.past("model-versions/set-tag", name=MODEL, version=version, key="sekisho.stage", value="Production")
    assert house.stage(version) == "Staging"
    with house.ruled.acting(house.ann) as client:
        found = client.get_latest_versions(MODEL, ["Production"])
    assert version not in [each.version for each in found]
    assert house.move(house.root, version, "Staging") == "Staging"
    assert house.ruled.held(MODEL, version)[0] == "Staging"


def test_the_page_keeps_to_the_same_rules(house: House) -> None:
    """And is told MLflow's four stages."""
    version = house.register()
    target = f"{AJAX}model-versions/transition-stage"
    body = {"name": MODEL, "version": version, "stage": "Staging", "archive_existing_versions": False}
    answer = house.ruled.ask(house.ann, "POST", target, body)
    assert answer.status == 403 and b"1 approval" in answer.body, answer
    assert house.ruled.ask(house.ann, "POST", target, body | {"stage": "Production"}).status == 403
    assert house.ruled.ask(house.ci, "POST", target, body).status == 403
    number = house.asked(house.ann, version, "Staging")
    assert house.approved(house.cara, number)["state"] == "done"

    def seen(base: str) -> tuple[str, str]:
        answer = house.ruled.ask(house.ann, "GET", f"{base}model-versions/get?name={MODEL}&version={version}")
        found = answer.json()["model_version"]
        return found["current_stage"], {tag["key"]: tag["value"] for tag in found["tags"]}["sekisho.stage"]

    assert (seen(API), seen(AJAX)) == (("Staging", "Staging"), ("Staging", "Staging"))
    answer = house.ruled.ask(house.root, "POST", target, body | {"stage": "Archived"})
    assert answer.status == 200 and answer.json()["model_version"]["current_stage"] == "Archived", answer
    other = house.register()
    answer = house.ruled.ask(house.ann, "POST", target, body | {"version": other, "stage": "Canary"})
    assert answer.status == 200 and answer.json()["model_version"]["current_stage"] == "Staging", answer
    version = other
    assert (seen(API), seen(AJAX)) == (("Canary", "Canary"), ("Staging", "Canary"))


def test_each_is_archived_by_itself(house: House) -> None:
    """Who stood in the stage goes by a transition of its own, which is kept as such; neighbours stay."""
    name = SHORT + "staging"
    first, second, third, canary = (house.register(name) for _ in range(4))
    for version in (first, second):
        house.move(house.root, version, "Production", name)
    house.move(house.root, canary, "Canary", name)
    assert "may not stage_transition" in house.refused(house.ann, third, "Production", name)
    assert house.move(house.root, third, "Production", name, archive=True) == "Production"
    assert [house.stage(version, name) for version in (first, second, third, canary)] == [
        "Archived", "Archived", "Production", "Canary",
    ]  # fmt: skip
    for version in (first, second):
        made = house.history(version, name)["transitions"]
        assert [(each["from"], each["to"]) for each in made] == [
            ("Production", "Archived"),
            ("Development", "Production"),
        ]
        assert made[0]["by"] == "root@example.com" and CARA not in str(made)
        mlflows, tags = house.ruled.held(name, version)
        assert (mlflows, tags["sekisho.stage"]) == ("Archived", "Archived")
    answer = house.ruled.ask(house.ann, "GET", f"{OURS}models/{name}/stages/Production")
    assert [made["version"] for made in answer.json()["versions"]] == [third]


def test_what_no_rule_archives_is_in_the_way() -> None:
    """The call is refused whole, and says which versions are."""
    rest = '    "Shadow",\n]\nto = "Archived"'
    with house_of_stages(stages={f'    "Production",\n{rest}': rest}, more=MORE) as house:
        first, second, third = (house.register() for _ in range(3))
        for version in (first, second):
            house.move(house.root, version, "Production")
        body = {"name": MODEL, "version": third, "stage": "Production", "archive_existing_versions": True}
        for base in (API, AJAX):
            answer = house.ruled.ask(house.root, "POST", f"{base}model-versions/transition-stage", body)
            assert answer.status == 403 and b"1, 2; archive them first" in answer.body, answer
        assert [house.stage(version) for version in (first, second, third)] == ["Production", "Production", "Development"]
        assert house.move(house.root, third, "Production") == "Production"

"""A model's way from Development to Production and back, with the plain client: each gate first shut, then open."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from house_of_stages import ANN, CARA, DAN, MODEL, House, house_of_stages
from ruled import Ruled, until


@pytest.fixture(scope="module")
def house() -> Iterator[House]:
    """Rules in force."""
    with house_of_stages() as opened:
        yield opened


@pytest.fixture(scope="module")
def ruled(house: House) -> Ruled:
    """What it lives in."""
    return house.ruled


def test_the_story(house: House, ruled: Ruled) -> None:
    version = house.register()
    assert house.stage(version) == "Development"
    sentence = house.refused(house.ann, version, "Canary")
    assert "no rule leads from Development to Canary" in sentence and "Integration_Test, Archived" in sentence
    sentence = house.refused(house.ann, version, "Integration_Test")
    assert "unit_test" in sentence and "data_validation" in sentence and "sekisho approval request" in sentence
    number = house.asked(house.ann, version, "Integration_Test")
    shown = house.approved(house.cara, number)
    assert shown["state"] == "open" and "unit_test" in shown["lacks"]
    house.tested(version, "unit_test")
    assert house.stage(version) == "Development"
    house.tested(version, "data_validation")
    assert house.stage(version) == "Integration_Test"
    for stage, tests in [
        ("Performance_Test", ["integration_test", "schema_validation"]),
        ("User_Acceptance_Test", ["performance_test"]),
        ("Staging", ["acceptance_test"]),
        ("Canary", ["security_scan"]),
    ]:
        assert tests[0] in house.refused(house.ann, version, stage)
        house.tested(version, *tests)
        assert "approv" in house.refused(house.ann, version, stage)
        number = house.asked(house.ann, version, stage)
        assert house.approved(house.dan, number)["state"] == "done"
        assert house.stage(version) == stage
    house.tested(version, "a_b_test")
    assert "may not stage_transition" in house.refused(house.ann, version, "Production")
    number = house.asked(house.root, version, "Production")
    assert house.approved(house.cara, number)["state"] == "open"
    assert house.approved(house.cara, number)["state"] == "open"
    assert house.approved(house.dan, number)["state"] == "done"
    assert house.stage(version) == "Production"
    mlflows, tags = ruled.held(MODEL, version)
    assert (mlflows, tags["sekisho.stage"]) == ("Production", "Production")
    history = json.loads(tags["stage_transition_history"])
    assert [line["to"] for line in history][:2] == ["Production", "Canary"]
    assert sorted(history[0]["approved_by"]) == [CARA, DAN]
    assert house.move(house.root, version, "Staging") == "Staging"
    assert house.move(house.ann, version, "Archived") == "Archived"
    number = house.asked(house.root, version, "Production")
    assert house.approved(house.cara, number)["state"] == "done"
    assert house.stage(version) == "Production"
    answer = ruled.ask(house.ann, "GET", f"/sekisho/v1/models/{MODEL}/versions/{version}/history")
    assert [made["to"] for made in answer.json()["transitions"]][:3] == ["Production", "Archived", "Staging"]
    answer = ruled.ask(house.ann, "GET", f"/sekisho/v1/models/{MODEL}/stages/Production")
    assert [made["version"] for made in answer.json()["versions"]] == [version]


def test_a_version_says_what_each_next_step_lacks(house: House, ruled: Ruled) -> None:
    version = house.register()
    address = f"/sekisho/v1/models/{MODEL}/versions/{version}"

    def step(stage: str) -> dict[str, object]:
        return next(step for step in house.view(version)["next"] if step["stage"] == stage)

    assert [step["stage"] for step in house.view(version)["next"]] == ["Integration_Test", "Archived"]
    assert step("Archived") == {"stage": "Archived", "ready": True, "lacks": []}
    until(lambda: house.view(version)["digest"]["state"] == "taken")
    first = step("Integration_Test")
    assert not first["ready"] and first["command"] == f"sekisho approval request '{MODEL}' {version} Integration_Test"
    assert [what for what in ("unit_test", "data_validation", "1 approval") if what in " ".join(first["lacks"])] == [
        "unit_test",
        "data_validation",
        "1 approval",
    ], first
    house.tested(version, "unit_test")
    number = house.asked(house.ann, version, "Integration_Test")
    asked = step("Integration_Test")
    assert (asked["request"], asked["command"]) == (number, f"sekisho approval approve {number}")
    assert len(asked["lacks"]) == len(first["lacks"]) - 1 and "unit_test" not in " ".join(asked["lacks"])
    answer = ruled.ask(house.ci, "POST", f"{address}/evidence", {"test": "unit_test", "passed": False})
    assert answer.status == 200, answer.body
    assert [(said["test"], said["passed"]) for said in house.view(version)["evidence"]] == [("unit_test", False)]
    assert "failed" in " ".join(step("Integration_Test")["lacks"])
    house.tested(version, "unit_test")
    assert house.approved(house.cara, number)["state"] == "open"
    with ruled.acting(house.ann) as client:
        client.delete_model_version_tag(MODEL, version, "business_owner")
    assert "business_owner" in " ".join(step("Integration_Test")["lacks"])
    with ruled.acting(house.ann) as client:
        client.set_model_version_tag(MODEL, version, "business_owner", "ann@example.com")
    house.tested(version, "data_validation")
    assert house.stage(version) == "Integration_Test"
    assert [step["stage"] for step in house.view(version)["next"]] == ["Performance_Test", "Archived"]


def test_nobody_approves_their_own_request(house: House, ruled: Ruled) -> None:
    version = house.register()
    number = house.asked(house.ann, version, "Integration_Test")
    for user in [ANN, ANN.upper(), "Ａnn@example.com"]:
        token = ruled.token(role="product_manager", user=user)
        answer = ruled.ask(token, "POST", f"/sekisho/v1/approvals/{number}/approve", {})
        assert answer.status == 403 and "own request" in answer.body.decode(), (user, answer.body)

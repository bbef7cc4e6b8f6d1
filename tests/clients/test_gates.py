"""What is let past the rules of stages on purpose, and what stands beside them: aliases, glass that is broken, times gone by."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
from house_of_stages import CI, FIRST, MODEL, OURS, ROOT, House, house_of_stages, put
from mlflow.exceptions import MlflowException
from ruled import API

PROMPT = {"key": "mlflow.prompt.is_prompt", "value": "true"}


@pytest.fixture(scope="module")
def house() -> Iterator[House]:
    """An alias is a gate, too."""
    with house_of_stages(more='\n[[gates]]\nalias = "champion"\nlike = "Integration_Test"\n') as opened:
        yield opened


def name_it(house: House, alias: str, version: str) -> None:
    """The plain client gives an alias, as who deploys."""
    with house.ruled.acting(house.dan) as client:
        client.set_registered_model_alias(MODEL, alias, version)


def test_an_alias_that_serves_like_a_stage_is_a_gate(house: House) -> None:
    """Shut, opened by what opens the stage, and not by another spelling; other aliases are nobody's business."""
    version = house.register()
    name_it(house, "tried", version)
    for alias in ("champion", "Champion", "CHAMPION"):
        with pytest.raises(MlflowException) as caught:
            name_it(house, alias, version)
        assert caught.value.error_code == "PERMISSION_DENIED" and "unit_test" in str(caught.value)
    number = house.asked(house.ann, version, "Integration_Test")
    house.approved(house.cara, number)
    house.tested(version, *FIRST)
    assert house.stage(version) == "Integration_Test"
    name_it(house, "champion", version)
    with house.ruled.acting(house.ann) as client:
        assert client.get_model_version_by_alias(MODEL, "champion").current_stage == "Integration_Test"
    other = house.register()
    with pytest.raises(MlflowException):
        name_it(house, "champion", other)
    with house.ruled.acting(house.ann) as client:
        assert client.get_model_version_by_alias(MODEL, "champion").version == version


def broken(house: House, token: str, version: str, **more: object) -> tuple[int, bytes]:
    """Asks for a transition against the rules."""
    body = {"name": MODEL, "version": version, "stage": "Canary", "break_glass": True, **more}
    answer = house.ruled.ask(token, "POST", f"{OURS}approvals", body)
    return answer.status, answer.body


def test_glass_is_broken_by_administrators_alone_and_with_a_reason(house: House) -> None:
    """It is made at once, is told, freezes the files, and leaves an approval to be given by somebody else."""
    version = house.register()
    assert broken(house, house.ann, version, comment="fire")[0] == 403
    assert broken(house, house.root, version)[0] == 400
    assert broken(house, house.root, version, comment="  ")[0] == 400
    assert house.stage(version) == "Development" and house.history(version)["requests"] == []
    status, body = broken(house, house.root, version, comment="fire in the north")
    assert status == 200, body
    assert house.stage(version) == "Canary"
    made = house.history(version)["transitions"][0]
    assert (made["by"], made["break_glass"], made["approvals"]) == (ROOT, "fire in the north", [])
    assert house.upload(version, "other bytes", house.root).status == 403
    number = house.history(version)["requests"][0]["number"]
    assert house.approve(house.root, number).status == 403
    assert "lacks" not in house.approved(house.cara, number)
    assert [given["user"] for given in house.request(number)["approvals"]] == ["cara@example.com"]
    assert house.way(version) == ["Canary"]


def test_broken_glass_owes_its_approvals_though_it_was_asked_for_before(house: House) -> None:
    """An ordinary request of the same person for the same stage is void, and is not the one that is to be approved."""
    version = house.register()
    ordinary = house.asked(house.root, version, "Integration_Test")
    status, body = broken(house, house.root, version, stage="Integration_Test", comment="fire")
    assert status == 200, body
    number = house.history(version)["transitions"][0]["request"]
    assert number != ordinary and house.request(ordinary)["state"] == "void"
    shown = house.approved(house.cara, number)
    assert (shown["state"], shown["break_glass"]) == ("done", "fire")
    assert house.approve(house.dan, ordinary).status == 403


def test_what_stood_where_at_a_time(house: House) -> None:
    """Before, between and after."""
    times = [datetime.now(UTC)]
    version = house.register()
    broken(house, house.root, version, comment="at once")
    times.append(datetime.now(UTC))
    assert house.move(house.ann, version, "Archived") == "Archived"
    times.append(datetime.now(UTC))
    stood = []
    for at in times:
        query = at.isoformat().replace("+00:00", "Z")
        answer = house.ruled.ask(house.ann, "GET", f"{OURS}models/{MODEL}/stages/canary?at={query}")
        stood.append(version in [came["version"] for came in answer.json()["versions"]])
    assert stood == [False, True, False]
    assert house.ruled.ask(house.ann, "GET", f"{OURS}models/{MODEL}/stages/Canary?at=yesterday").status == 400
    assert house.ruled.ask(house.ann, "GET", f"{OURS}models/{MODEL}/stages/Canry").status == 400
    assert house.ruled.ask(house.ruled.token("other"), "GET", f"{OURS}models/{MODEL}/stages/Canary").status == 403


def test_evidence_says_who_and_where(house: House) -> None:
    """By REST, with a link; by those alone who may."""
    version = house.register()
    target = f"{OURS}models/{MODEL}/versions/{version}/evidence"
    body = {"test": "unit_test", "passed": True, "link": "https://ci.example.com/7"}
    assert house.ruled.ask(house.ann, "POST", target, body).status == 403
    assert house.ruled.ask(house.ci, "POST", target, body).status == 200
    kept = house.history(version)["evidence"][0]
    assert (kept["test"], kept["passed"], kept["link"], kept["reporter"]) == ("unit_test", True, "https://ci.example.com/7", CI)
    assert house.ruled.held(MODEL, version)[1]["evidence.unit_test"] == "passed"
    for wrong in ({"test": "unit_test"}, {"passed": True}, {"test": "", "passed": True}, {"test": "a\x00b", "passed": True}, {**body, "more": 1}):
        assert house.ruled.ask(house.ci, "POST", target, wrong).status == 400, wrong


def test_prompts_have_a_switch_of_their_own(house: House) -> None:
    """Their versions go anywhere until it is on."""
    house.ruled.past("registered-models/create", name="poem", tags=[PROMPT])
    house.ruled.past("model-versions/create", name="poem", source="dummy-source", tags=[PROMPT])
    into = {"name": "poem", "version": "1", "stage": "Staging"}
    answer = house.ruled.ask(house.ann, "POST", f"{API}model-versions/transition-stage", into)
    assert answer.status == 200, answer.body
    put(house.ruled.sekisho, "stages.toml", {"prompts = false": "prompts = true"})
    house.ruled.sekisho.restart()
    answer = house.ruled.ask(house.ann, "POST", f"{API}model-versions/transition-stage", {**into, "stage": "Shadow"})
    assert answer.status == 403, answer.body

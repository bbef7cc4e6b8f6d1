"""Going around the rules on who approves: each rule first shut, then open for whom it is for."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest
from harness.rest import send
from house_of_stages import ANN, CARA, DAY, FIRST, MODEL, House, house_of_stages
from ruled import API, ruled, until

GIL, HAL = "gil@example.com", "hal@example.com"
APPROVES = f"g, user:{GIL}, role:product_manager"
ASKS = f"g, user:{HAL}, role:ml_engineer"
# Two people, and nothing else; and one who has not made it.
MORE = """
[[transitions]]
from = "Development"
to = "Staging"
required_approvals = 2

[[transitions]]
from = "Development"
to = "Shadow"
required_approvals = 1
author_may_approve = false
"""
FULL_WIDTH = str.maketrans({chr(letter): chr(letter + 0xFEE0) for letter in range(ord("!"), ord("~") + 1)})


@pytest.fixture(scope="module")
def house() -> Iterator[House]:
    """Rules in force; two people have their roles from the rows alone."""
    with house_of_stages(rows=(APPROVES, ASKS), more=MORE) as opened:
        yield opened


def others(house: House, user: str, role: str) -> list[str]:
    """Tokens of the same person, spelt otherwise or from elsewhere."""
    spelt = [user, user.upper(), user.title(), user.translate(FULL_WIDTH), user[0].translate(FULL_WIDTH) + user[1:]]
    tokens = [house.ruled.token(role=role, user=name) for name in spelt]
    claims = {"user_id": user, "role": role, "model_access": ["*"], "exp": int(time.time()) + 3600}
    tokens.append(house.ruled.sekisho.sign(claims | {"iss": "https://elsewhere.example.com"}))
    return tokens


def test_nobody_approves_what_they_asked_for(house: House) -> None:
    """However they are spelt, and whoever says who they are."""
    version = house.register()
    house.tested(version, *FIRST)
    number = house.asked(house.ann, version, "Integration_Test")
    for token in others(house, ANN, "product_manager"):
        answer = house.approve(token, number)
        assert (answer.status, answer.error_code()) == (403, "PERMISSION_DENIED"), answer
        assert b"own request" in answer.body, answer
    assert house.request(number)["approvals"] == [] and house.stage(version) == "Development"
    assert house.approved(house.cara, number)["state"] == "done"


def test_who_made_it_does_not_approve_it(house: House) -> None:
    """Where the rule says so; nor does saying that somebody else made it help."""
    version = house.register()
    number = house.asked(house.root, version, "Shadow")
    for token in [house.ann, *others(house, ANN, "product_manager")]:
        shown = house.approved(token, number)
        assert shown["state"] == "open" and "of their own making" in shown["lacks"], shown
    for token in [house.ann, house.root]:
        answer = house.tag(token, version, "sekisho.author", CARA)
        assert answer.status == 403, answer
    assert house.stage(version) == "Development"
    assert house.approved(house.cara, number)["state"] == "done"
    # The other rule asks for nothing of the kind.
    version = house.register()
    house.tested(version, *FIRST)
    number = house.asked(house.root, version, "Integration_Test")
    assert house.approved(house.ann, number)["state"] == "done"


def test_one_person_is_one_person(house: House) -> None:
    version = house.register()
    number = house.asked(house.ann, version, "Staging")
    for token in others(house, CARA, "product_manager") + others(house, CARA, "devops_engineer"):
        shown = house.approved(token, number)
        assert shown["state"] == "open" and len(shown["approvals"]) == 1, shown
        assert "2 approvals are needed" in shown["lacks"], shown
    assert house.stage(version) == "Development"
    assert house.approved(house.dan, number)["state"] == "done"


def test_whoever_may_not_approve_does_not(house: House) -> None:
    """Roles without the permission, models that a token does not name, and those who may only read."""
    version = house.register()
    house.tested(version, *FIRST)
    number = house.asked(house.ann, version, "Integration_Test")
    for role, models, status in [
        ("data_scientist", ["*"], 403),
        ("ci", ["*"], 403),
        ("auditor", ["*"], 403),
        ("product_manager", ["another"], 404),
    ]:
        answer = house.approve(house.ruled.token(*models, role=role, user="eve@example.com"), number)
        assert answer.status == status, (role, answer)
    assert house.request(number)["approvals"] == []
    assert house.approved(house.cara, number)["state"] == "done"


def test_an_approver_who_lost_the_role_has_not_approved(house: House) -> None:
    """And has again, with the role."""
    gil = house.ruled.token(role="nothing", user=GIL)
    version, other = house.register(), house.register()
    number, probe = (house.asked(house.ann, each, "Integration_Test") for each in (version, other))
    assert house.approved(gil, number)["state"] == "open"
    house.put_rows(APPROVES + "\n", "")
    until(lambda: house.approve(gil, probe).status == 403)
    # The last requirement, which would have made it.
    house.tested(version, *FIRST)
    assert house.stage(version) == "Development"
    sentence = house.refused(house.ann, version, "Integration_Test")
    assert "may not approve it any more" in sentence and GIL in sentence
    house.put_rows(ASKS, f"{ASKS}\n{APPROVES}")
    until(lambda: house.approve(gil, probe).status == 200)
    assert house.move(house.ann, version, "Integration_Test") == "Integration_Test"
    assert house.history(version)["transitions"][0]["approvals"][0]["user"] == GIL


def test_an_asker_who_lost_the_role_has_not_asked(house: House) -> None:
    """Neither an approval nor a test makes it for them; with the role it is."""
    hal = house.ruled.token(role="nothing", user=HAL)
    version, other = house.register(), house.register()
    number = house.asked(hal, version, "Integration_Test")
    house.tested(version, FIRST[0])
    house.put_rows(ASKS + "\n", "")
    until(lambda: house.ask(hal, other, "Integration_Test").status == 403)
    answer = house.approve(house.cara, number)
    assert answer.status == 403 and HAL in answer.body.decode(), answer
    house.tested(version, FIRST[1])
    assert house.stage(version) == "Development"
    answer = house.approve(house.dan, number)
    assert answer.status == 403 and HAL in answer.body.decode(), answer
    assert house.stage(version) == "Development" and house.way(version) == []
    # It stands in nobody else's way.
    assert "approv" in house.refused(house.ann, version, "Integration_Test")
    assert house.asked(house.ann, version, "Integration_Test") != number
    house.put_rows(APPROVES, f"{APPROVES}\n{ASKS}")
    until(lambda: house.ask(hal, other, "Integration_Test").status == 200)
    assert house.approved(house.dan, number)["state"] == "done"


@pytest.mark.parametrize(("by", "why"), [(-15 * DAY, "has expired"), (DAY // 24, "not come yet")])
def test_an_approval_of_another_time_does_not_count(house: House, by: int, why: str) -> None:
    """It is too old, or the clock was set back since; that of somebody else counts."""
    version = house.register()
    number = house.asked(house.ann, version, "Integration_Test")
    house.approved(house.cara, number)
    house.rows(f"UPDATE sekisho_approvals SET given = given + ({by}) WHERE request = {number}")
    house.tested(version, *FIRST)
    assert house.stage(version) == "Development"
    assert why in house.refused(house.ann, version, "Integration_Test")
    house.rows(f"UPDATE sekisho_approvals SET given = given - ({by}) WHERE request = {number}")
    assert house.move(house.ann, version, "Integration_Test") == "Integration_Test"


def test_an_approval_that_is_nearly_too_old_counts(house: House) -> None:
    version = house.register()
    number = house.asked(house.ann, version, "Integration_Test")
    house.approved(house.cara, number)
    house.rows(f"UPDATE sekisho_approvals SET given = given - {13 * DAY} WHERE request = {number}")
    house.tested(version, *FIRST)
    assert house.stage(version) == "Integration_Test"


def test_a_closed_request_is_closed(house: House) -> None:
    """Rejected, taken back, done or left behind: approvals come too late, and its approvals serve no other request."""
    for ending in ("reject", "withdraw", "archived"):
        version = house.register()
        number = house.asked(house.ann, version, "Integration_Test")
        house.approved(house.cara, number)
        if ending == "archived":
            house.move(house.ann, version, "Archived")
        else:
            eve = house.ruled.token(role="data_scientist", user="eve@example.com")
            target = f"/sekisho/v1/approvals/{number}/{ending}"
            assert house.ruled.ask(eve, "POST", target, {"comment": "no"}).status == 403
            who = house.dan if ending == "reject" else house.ann
            assert house.ruled.ask(who, "POST", target, {"comment": "no"}).status == 200
            assert house.ruled.ask(who, "POST", target, {"comment": "no"}).status == 403
        answer = house.approve(house.dan, number)
        assert answer.status == 403 and b"not open any more" in answer.body, answer
        house.tested(version, *FIRST)
        if ending != "archived":
            assert house.stage(version) == "Development", ending
            again = house.asked(house.ann, version, "Integration_Test")
            assert again != number and house.request(again)["approvals"] == []
            assert "approv" in house.refused(house.ann, version, "Integration_Test")


def test_other_bytes_void_what_was_approved(house: House) -> None:
    """The owner uploads, as they may in Development; the request is void, and asking anew begins anew."""
    version = house.register()
    house.tested(version, *FIRST)
    number = house.asked(house.ann, version, "Integration_Test")
    assert house.upload(version, "other weights").status == 200
    answer = house.approve(house.cara, number)
    assert answer.status == 403 and b"void" in answer.body and b"files" in answer.body, answer
    assert house.request(number)["state"] == "void"
    sentence = house.refused(house.ann, version, "Integration_Test")
    assert "was reported for other bytes" in sentence
    again = house.asked(house.ann, version, "Integration_Test")
    assert house.approved(house.cara, again)["state"] == "open"
    house.tested(version, *FIRST)
    assert house.stage(version) == "Integration_Test"


def test_bytes_changed_after_the_approval(house: House) -> None:
    """Approved first, changed then, tested as they are now: the approval was of other bytes."""
    version = house.register()
    number = house.asked(house.ann, version, "Integration_Test")
    house.approved(house.cara, number)
    assert house.upload(version, "other weights").status == 200
    house.tested(version, *FIRST)
    assert house.stage(version) == "Development"
    void = house.request(number)
    assert void["state"] == "void" and "not those for which this was asked" in void["closed"]["comment"], void
    assert "1 approval is needed and none counts" in house.refused(house.ann, version, "Integration_Test")
    assert house.approve(house.dan, number).status == 403
    # What was approved is what goes: the first bytes again, and their own tests.
    assert house.upload(version, "weights").status == 200
    house.tested(version, *FIRST)
    again = house.asked(house.ann, version, "Integration_Test")
    assert house.approved(house.cara, again)["state"] == "done"


@pytest.mark.parametrize("whole", [False, True])
def test_what_is_made_anew_is_another(house: House, whole: bool) -> None:
    """A version of the same number of a model of the same name has no part in what was said of the former."""
    name = f"fraud_detection_neural_network_auc_{'dev' if whole else 'prod'}"
    version = house.register(name)
    house.tested(version, *FIRST, name=name)
    number = house.asked(house.ann, version, "Integration_Test", name)
    with house.ruled.acting(house.root) as client:
        if whole:
            client.delete_registered_model(name)
        else:
            client.delete_model_version(name, version)
    assert house.request(number)["state"] == "void"
    fresh = house.register(name)
    assert (fresh == version) == whole
    answer = house.approve(house.cara, number)
    assert answer.status == 403, answer
    assert house.history(fresh, name)["evidence"] == [] and house.stage(fresh, name) == "Development"
    sentence = house.refused(house.ann, fresh, "Integration_Test", name)
    assert "unit_test" in sentence and "sekisho approval request" in sentence


def test_another_name_is_no_other_model(house: House) -> None:
    """A rename takes along what was tested. What was asked for, and approved, bore another name, and is void."""
    name, renamed = (f"fraud_detection_neural_network_rmse_{end}" for end in ("staging", "prod"))
    version = house.register(name)
    number = house.asked(house.ann, version, "Integration_Test", name)
    house.tested(version, *FIRST, name=name)
    with house.ruled.acting(house.ann) as client:
        client.rename_registered_model(name, renamed)
    assert (house.request(number)["name"], house.request(number)["state"]) == (renamed, "void")
    again = house.asked(house.ann, version, "Integration_Test", renamed)
    assert house.approved(house.cara, again)["state"] == "done"
    assert house.stage(version, renamed) == "Integration_Test"
    assert house.ruled.held(renamed, version)[1]["sekisho.stage"] == "Integration_Test"
    # Whoever takes the name that is free now begins at the beginning.
    fresh = house.register(name)
    assert fresh == version and house.stage(fresh, name) == "Development" and house.way(fresh, name) == []
    answer = house.ruled.ask(house.ann, "GET", f"{API}model-versions/get?name={renamed}&version={version}")
    assert answer.json()["model_version"]["current_stage"] == "Integration_Test"


def test_an_approval_that_expired_is_renewed_by_whoever_gave_it(house: House) -> None:
    """On the same request; the former stays as it was, and one that counts is not given twice."""
    version = house.register()
    number = house.asked(house.ann, version, "Integration_Test")
    first = house.approved(house.cara, number)["approvals"]
    assert [given["number"] for given in house.approved(house.cara, number)["approvals"]] == [first[0]["number"]]
    house.rows(f"UPDATE sekisho_approvals SET given = given - {15 * DAY} WHERE request = {number}")
    house.tested(version, *FIRST)
    assert "has expired" in house.refused(house.ann, version, "Integration_Test")
    renewed = house.approved(house.cara, number)
    assert renewed["state"] == "done" and len(renewed["approvals"]) == 2, renewed
    assert renewed["approvals"][0]["number"] == first[0]["number"]
    assert renewed["approvals"][0]["at"] < first[0]["at"] <= renewed["approvals"][1]["at"]
    rests_on = house.history(version)["transitions"][0]["approvals"]
    assert rests_on == [{"number": renewed["approvals"][1]["number"], "user": CARA}]


def test_renewing_makes_nobody_two_people(house: House) -> None:
    version = house.register()
    number = house.asked(house.ann, version, "Staging")
    house.approved(house.cara, number)
    house.rows(f"UPDATE sekisho_approvals SET given = given - {15 * DAY} WHERE request = {number}")
    for token in [house.cara, *others(house, CARA, "product_manager")]:
        shown = house.approved(token, number)
        assert shown["state"] == "open" and len(shown["approvals"]) == 2, shown
        assert "and 1 counts" in shown["lacks"] and "expired" not in shown["lacks"], shown
    assert house.approved(house.dan, number)["state"] == "done"


def listed(house: House, state: str) -> dict[int, dict]:
    """The requests in a state, by number."""
    answer = house.ruled.ask(house.root, "GET", f"/sekisho/v1/approvals?state={state}")
    assert answer.status == 200, answer.body
    return {request["number"]: request for request in answer.json()["requests"]}


@pytest.mark.parametrize(
    ("change", "why"), [("deleted", "MLflow has this version no more"), ("bytes", "files are not those"), ("moved", "stands in Archived")]
)
def test_what_stands_no_more_is_shown_as_void(house: House, change: str, why: str) -> None:
    """By whoever looks first, and by everybody after: in the list, by its number, in the history."""
    version = house.register()
    number = house.asked(house.ann, version, "Integration_Test")
    assert listed(house, "open")[number]["state"] == "open"
    match change:
        case "deleted":
            body = {"name": MODEL, "version": version}
            assert send(house.ruled.mlflow.url, "DELETE", f"{API}model-versions/delete", None, body).status == 200
        case "bytes":
            assert house.upload(version, "other weights").status == 200
            until(lambda: number not in listed(house, "open"))
        case "moved":
            house.rows(f"UPDATE sekisho_stands SET stage = 'Archived' WHERE version = {version} AND model = '{MODEL}'")
    assert number not in listed(house, "open")
    void = listed(house, "void")[number]
    assert why in void["closed"]["comment"] and void["closed"]["by"] == "", void
    assert house.request(number)["closed"] == void["closed"] and house.request(number)["state"] == "void"
    answer = house.approve(house.cara, number)
    assert answer.status == 403 and why in answer.body.decode(), answer


def test_a_state_that_is_none_is_refused(house: House) -> None:
    answer = house.ruled.ask(house.root, "GET", "/sekisho/v1/approvals?state=Open")
    assert (answer.status, answer.error_code()) == (400, "INVALID_PARAMETER_VALUE"), answer


def test_looking_reads_no_file(house: House) -> None:
    """A request is looked at by what is kept, however long its files would take."""
    version = house.register()
    number = house.asked(house.ann, version, "Integration_Test")
    log = house.ruled.mlflow.folder / "mlflow.log"
    before = log.read_text().count("weights.txt")
    assert before > 0
    assert number in listed(house, "open") and house.request(number)["state"] == "open"
    house.history(version)
    assert log.read_text().count("weights.txt") == before


def test_what_is_only_warned_of_is_told_once() -> None:
    """Though what is missing is looked at before the files are closed and after."""
    with ruled("warn") as opened:
        house = House(opened)
        version = house.register()
        assert house.move(house.ann, version, "Integration_Test") == "Integration_Test"
        line = until(lambda: opened.lines("stages"))[-1]
        assert line["rules"] == ["stages"] and line["reason"].count("unit_test") == 1, line

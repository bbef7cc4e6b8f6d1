"""Two things at once around a transition, at one sekisho and at two that share a state store: one of them is so, never half."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass

import pytest
from conftest import LOGS
from harness import postgres
from harness.mlflow_server import MlflowServer
from harness.recorder import Recorder, Stop
from harness.rest import Answer
from house_of_stages import FIRST, MODEL, House, house_of_stages
from ruled import API, GOOD, until

MORE = """
[[transitions]]
from = "Development"
to = "Production"
required_approvals = 1

[[transitions]]
from = "Production"
to = "Canary"
required_approvals = 0
"""
ROUNDS = 4
TAG = "business_owner"


@dataclass(frozen=True)
class Pair:
    """Two houses, which may be one, in front of one MLflow; between the first and MLflow is a relay."""

    here: House
    there: House
    wire: Recorder


@pytest.fixture(scope="module", params=["one", "two"])
def pair(request: pytest.FixtureRequest) -> Iterator[Pair]:
    """One sekisho, and two on one PostgreSQL."""
    two = request.param == "two"
    if two:
        try:
            postgres.programs()
        except postgres.Missing as reason:
            pytest.skip(str(reason))
    state = postgres.shared().database() if two else None
    with ExitStack() as stack:
        server = stack.enter_context(MlflowServer(LOGS, workers=2))
        wire = stack.enter_context(Recorder(server.url))
        here = stack.enter_context(house_of_stages(more=MORE, behind=(server, wire.url), state=state))
        there = here
        if two:
            there = stack.enter_context(house_of_stages(more=MORE, behind=(server, server.url), state=state))
            there.folders = here.folders
        yield Pair(here, there, wire)


def at_once(*calls: Callable[[], Answer]) -> list[Answer]:
    """All of them, begun together; their answers."""
    ready = threading.Barrier(len(calls))
    answers: dict[int, Answer] = {}

    def run(at: int) -> None:
        ready.wait(10)
        answers[at] = calls[at]()

    threads = [threading.Thread(target=run, args=(at,)) for at in range(len(calls))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    found = [answers[at] for at in range(len(calls))]
    for answer in found:
        assert answer.status in (200, 400, 403, 404, 409, 424), answer
    return found


def transition(house: House, token: str, version: str, stage: str) -> Answer:
    """MLflow's own call."""
    body = {"name": MODEL, "version": version, "stage": stage}
    return house.ruled.ask(token, "POST", f"{API}model-versions/transition-stage", body)


def untag(house: House, version: str) -> Answer:
    """The owner takes back what every version must carry."""
    body = {"name": MODEL, "version": version, "key": TAG}
    return house.ruled.ask(house.ann, "DELETE", f"{API}model-versions/delete-tag", body)


def content(house: House, version: str) -> bytes:
    """What the version's file is."""
    target = f"{house.folders[f'{MODEL}/{version}']}/weights.txt"
    return house.ruled.ask(house.root, "GET", target).body


def test_what_is_said_right_after_an_upload_is_of_the_new_bytes(pair: Pair) -> None:
    """Whoever is asked, and however long it takes to take a digest of them."""
    here, there = pair.here, pair.there
    for _ in range(ROUNDS):
        version = here.register()
        there.tested(version, FIRST[0])
        assert here.upload(version, "other weights").status == 200
        there.tested(version, FIRST[1])
        after, before = here.history(version)["evidence"]
        assert before["test"] != after["test"] and before["digest"] != after["digest"]


def test_two_last_approvals(pair: Pair) -> None:
    """Make one transition."""
    here, there = pair.here, pair.there
    for _ in range(ROUNDS):
        version = here.register()
        number = here.asked(here.root, version, "Production")
        answers = at_once(lambda: here.approve(here.cara, number), lambda: there.approve(there.dan, number))
        assert 200 in [answer.status for answer in answers], answers
        until(lambda: here.stage(version) == there.stage(version) == "Production", 5)
        assert here.way(version) == ["Production"] and here.request(number)["state"] == "done"


def test_the_last_approval_and_the_last_test(pair: Pair) -> None:
    """Whichever comes last makes it, and one of them does come last."""
    here, there = pair.here, pair.there
    for _ in range(ROUNDS):
        version = here.register()
        here.tested(version, FIRST[0])
        number = here.asked(here.ann, version, "Integration_Test")
        at_once(
            lambda: here.approve(here.cara, number),
            lambda: there.tag(there.ci, version, f"evidence.{FIRST[1]}", "passed"),
        )
        if here.way(version) == []:
            # Each was about to be last, and the other was in the way: who asked repeats.
            assert here.request(number)["state"] == "open"
            until(lambda: transition(here, here.ann, version, "Integration_Test").status == 200, 10)
        assert here.way(version) == ["Integration_Test"] and here.request(number)["state"] == "done"


def test_two_ways_at_once(pair: Pair) -> None:
    """A version goes one of them, and what was decided for where it stood is not done from elsewhere."""
    here, there = pair.here, pair.there
    for _ in range(ROUNDS):
        version = here.register()
        number = here.asked(here.root, version, "Production")
        answers = at_once(
            lambda: here.approve(here.cara, number),
            lambda: transition(there, there.root, version, "Archived"),
        )
        way = here.way(version)
        # Out of service it may go from either.
        assert way in (["Production"], ["Archived"], ["Archived", "Production"]), (way, answers)
        until(lambda: here.stage(version) == there.stage(version) == way[0], 5)
        assert here.ruled.held(MODEL, version)[0] == way[0]


def test_an_approval_and_other_bytes(pair: Pair) -> None:
    """Either the new bytes void it, or the upload is refused."""
    here, there = pair.here, pair.there
    for _ in range(2 * ROUNDS):
        version = here.register()
        number = here.asked(here.root, version, "Production")
        approval, upload = at_once(
            lambda: here.approve(here.cara, number), lambda: there.upload(version, "other weights")
        )
        gone = here.way(version) == ["Production"]
        if upload.status == 200:
            assert content(here, version) == b"other weights" and not gone, (approval, upload)
            until(lambda: here.approve(here.dan, number).status == 403, 10)
            assert here.way(version) == []
        else:
            assert content(here, version) == b"weights", (approval, upload)
        if gone:
            digest = here.history(version)["transitions"][0]["digest"]
            assert digest == here.request(number)["digest"]


def test_an_approval_and_a_tag_that_is_taken_back(pair: Pair) -> None:
    """No version gets anywhere with less than it must say."""
    here, there = pair.here, pair.there
    for _ in range(2 * ROUNDS):
        version = here.register()
        number = here.asked(here.root, version, "Production")
        approval, taken = at_once(lambda: here.approve(here.cara, number), lambda: untag(there, version))
        complete = GOOD.keys() <= here.ruled.held(MODEL, version)[1].keys()
        gone = here.way(version) == ["Production"]
        assert complete or not gone, (approval, taken)
        assert complete == (taken.status != 200), (approval, taken)


def one_in_the_other(pair: Pair, part: str, first: Callable[[], Answer], second: Callable[[], Answer]) -> list[Answer]:
    """The second is begun while a request of the first to MLflow waits; their answers."""
    answers: dict[str, Answer] = {}
    stop = Stop(lambda seen: part in seen.target)
    outer = threading.Thread(target=lambda: answers.update(first=first()))
    inner = threading.Thread(target=lambda: answers.update(second=second()))
    pair.wire.stop(stop)
    outer.start()
    try:
        stop.reach()
        inner.start()
        inner.join(2)
    finally:
        pair.wire.stop(None)
        stop.release()
        outer.join(60)
        inner.join(60)
    return [answers["first"], answers["second"]]


@pytest.mark.parametrize("part", ["weights.txt", "transition-stage", "delete-tag"])
def test_a_tag_is_taken_back_in_the_middle(pair: Pair, part: str) -> None:
    """While the files are read, while MLflow is told, and before MLflow hears of it; then each goes on."""
    here, there = pair.here, pair.there
    version = here.register()
    number = here.asked(here.root, version, "Production")
    if part == "delete-tag":
        answers = one_in_the_other(pair, part, lambda: untag(here, version), lambda: there.approve(there.cara, number))
        assert answers[0].status == 200 and here.way(version) == [], answers
        assert here.tag(here.ann, version, TAG, GOOD[TAG]).status == 200
        assert here.approved(here.cara, number)["state"] == "done"
    else:
        answers = one_in_the_other(pair, part, lambda: here.approve(here.cara, number), lambda: untag(there, version))
    complete = GOOD.keys() <= here.ruled.held(MODEL, version)[1].keys()
    assert complete or here.way(version) == [], answers


def test_other_bytes_in_the_middle(pair: Pair) -> None:
    """While the files are read, and an upload that was let in before; then each goes on."""
    here, there = pair.here, pair.there
    for part in ("weights.txt", "transition-stage"):
        version = here.register()
        number = here.asked(here.root, version, "Production")
        answers = one_in_the_other(
            pair, part, lambda: here.approve(here.cara, number), lambda: there.upload(version, "other weights")
        )
        assert content(here, version) == b"weights" or here.way(version) == [], answers
    version = here.register()
    number = here.asked(here.root, version, "Production")
    answers = one_in_the_other(
        pair, "weights.txt", lambda: here.upload(version, "other weights"), lambda: there.approve(there.cara, number)
    )
    assert content(here, version) == b"weights" or here.way(version) == [], answers


def test_a_stale_house_does_not_go_on(pair: Pair) -> None:
    """What one has just done is so for the other, too, whatever that remembers."""
    here, there = pair.here, pair.there
    for _ in range(ROUNDS):
        version = here.register()
        number = here.asked(here.root, version, "Production")
        assert there.stage(version) == "Development"
        assert here.approved(here.cara, number)["state"] == "done"
        answer = there.approve(there.dan, number)
        assert answer.status == 403 and b"not open any more" in answer.body, answer
        answer = transition(there, there.root, version, "Integration_Test")
        assert answer.status == 403 and b"from Production to Integration_Test" in answer.body, answer
        assert there.upload(version, "other weights").status == 403
        assert content(here, version) == b"weights"

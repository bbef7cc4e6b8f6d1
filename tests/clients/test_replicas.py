"""Two sekishos on one PostgreSQL: one loses the store, is stopped, or dies, and neither undoes what the other does."""

from __future__ import annotations

import http.client
import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from urllib.parse import urlsplit

import pytest
from conftest import LOGS
from harness import postgres
from harness.line import Line
from harness.mlflow_server import MlflowServer
from harness.recorder import Recorder, Seen, Stop
from harness.rest import Answer
from house_of_stages import MODEL, House, house_of_stages
from ruled import API, until

MORE = """
[[transitions]]
from = "Development"
to = "Production"
required_approvals = 1

[[transitions]]
from = "Development"
to = "Staging"
required_approvals = 1
"""
# What a call of the store may take, and the machine a little more.
IN_TIME = 3.0
# One of which nothing is heard is gone after 5 s, and what it left is looked for every 2 s.
SECONDS = 20
OLD, NEW = "Development", "Production"
MIRRORS = ("sekisho.stage", "transition-stage", "stage_transition_history")


@dataclass(frozen=True)
class Fleet:
    """Two houses before one MLflow, each with a relay to it; the line of the second to PostgreSQL can be cut."""

    here: House
    there: House
    from_here: Recorder
    from_there: Recorder
    line: Line
    state: str

    def unfinished(self) -> str:
        """Transitions that were begun and have not ended."""
        return self._query("SELECT number FROM sekisho_transitions WHERE progress = 'begun'")

    def departures(self) -> str:
        """Deletions and renames that are on their way."""
        return self._query("SELECT model FROM sekisho_departures")

    def closed(self) -> str:
        """Versions whose files are closed."""
        return self._query("SELECT model, version FROM sekisho_stands WHERE closing = 1")

    def buried(self) -> int:
        """How often one of them took the other for gone."""
        logs = [house.ruled.sekisho.log.read_text() for house in (self.here, self.there)]
        return sum(log.count("not heard of any more") for log in logs)

    def _query(self, sql: str) -> str:
        return postgres.shared().query(sql, postgres.name_of(self.state))


@pytest.fixture(scope="module")
def fleet() -> Iterator[Fleet]:
    """Both, on one database."""
    try:
        postgres.programs()
    except postgres.Missing as reason:
        pytest.skip(f"two sekishos need a PostgreSQL: {reason}")
    state = postgres.shared().database()
    with ExitStack() as stack:
        server = stack.enter_context(MlflowServer(LOGS, workers=2))
        from_here, from_there = (stack.enter_context(Recorder(server.url)) for _ in range(2))
        line = stack.enter_context(Line(state))
        here = stack.enter_context(house_of_stages(more=MORE, behind=(server, from_here.url), state=state))
        there = stack.enter_context(house_of_stages(more=MORE, behind=(server, from_there.url), state=line.url))
        there.folders = here.folders
        yield Fleet(here, there, from_here, from_there, line, state)


@contextmanager
def meanwhile(call: Callable[[], Answer]) -> Iterator[Callable[[], Answer]]:
    """Has the call made beside what the test does; gives its answer, of status 0 if there was none."""
    answers: list[Answer] = []

    def run() -> None:
        try:
            answers.append(call())
        except (OSError, http.client.HTTPException):
            answers.append(Answer(0, {}, b""))

    thread = threading.Thread(target=run, daemon=True)

    def answer() -> Answer:
        thread.join(60)
        assert answers, "it was not answered"
        return answers[0]

    thread.start()
    yield answer
    thread.join(60)


@contextmanager
def stopped(wire: Recorder, fits: Callable[[Seen], bool], *, answered: bool = False, lost: bool = False) -> Iterator[Stop]:
    """A request waits on its way to MLflow, until the end."""
    stop = Stop(fits, answered=answered)
    wire.stop(stop)
    try:
        yield stop
    finally:
        wire.stop(None)
        stop.release(lost=lost)


def is_write(name: str) -> Callable[[Seen], bool]:
    """Which of the writes of a transition."""

    def fits(seen: Seen) -> bool:
        if seen.target.endswith("model-versions/set-tag"):
            return json.loads(seen.body)["key"] == name
        return seen.target.endswith(name)

    return fits


def reads(house: House, version: str, seen: Seen, name: str = MODEL) -> bool:
    """Whether a request is for the version's file."""
    return seen.method == "GET" and seen.target.startswith(house.folders[f"{name}/{version}"]) and "weights.txt" in seen.target


def transition(house: House, version: str, stage: str, name: str = MODEL) -> Answer:
    """MLflow's own call."""
    body = {"name": name, "version": version, "stage": stage}
    return house.ruled.ask(house.root, "POST", f"{API}model-versions/transition-stage", body)


def content(house: House, version: str) -> bytes:
    """What the version's file is."""
    answer = house.ruled.ask(house.root, "GET", f"{house.folders[f'{MODEL}/{version}']}/weights.txt")
    assert answer.status == 200, answer
    return answer.body


def asked(house: House, stage: str = NEW, name: str = MODEL) -> tuple[str, int]:
    """A version, and a request to which one approval is missing."""
    version = house.register(name)
    number = house.asked(house.root, version, stage, name)
    # Until its digest is shown somebody may be reading its files beside those who promote it.
    until(lambda: "model_hash" in house.ruled.held(name, version)[1])
    return version, number


def is_mirrored(house: House, version: str, stage: str) -> bool:
    """Whether MLflow itself shows it."""
    mlflows, tags = house.ruled.held(MODEL, version)
    return (mlflows, tags["sekisho.stage"]) == (stage, stage)


@pytest.mark.parametrize("how", ["cut", "stall"])
def test_one_loses_the_store(fleet: Fleet, how: str) -> None:
    """What needs the store is refused there in time, and no file is changed by what it knew; it recovers by itself."""
    here, there, line = fleet.here, fleet.there, fleet.line
    (moved, number), (other, wanted) = asked(here), asked(here)
    until(lambda: there.upload(other, "weights").status == 200)
    getattr(line, how)()
    try:
        for call in (
            lambda: there.approve(there.cara, wanted),
            lambda: transition(there, other, "Archived"),
            lambda: there.ask(there.ann, other, "Staging"),
        ):
            began = time.monotonic()
            answer = call()
            took = time.monotonic() - began
            assert (answer.status, answer.error_code()) == (424, "TEMPORARILY_UNAVAILABLE"), answer
            assert took < IN_TIME, took
        # What it read last holds for as long as nobody can have closed files without waiting for it.
        until(lambda: there.upload(other, "weights").status == 424, IN_TIME)
        assert here.approved(here.cara, number)["state"] == "done"
        for version in (moved, other):
            answer = there.upload(version, "other weights")
            assert answer.status in (403, 424), answer
            assert content(there, version) == b"weights"
        for target in (f"model-versions/get?name={MODEL}&version={other}", f"registered-models/get?name={MODEL}"):
            assert there.ruled.ask(there.ann, "GET", API + target).status == 200
        plot = f"{there.folders[f'{MODEL}/{other}'].removesuffix('/model')}/plot.txt"
        assert there.ruled.ask(there.ann, "PUT", plot, b"a plot").status == 200, "no version has it"
    finally:
        line.mend()
    until(lambda: there.stage(moved) == NEW)
    until(lambda: there.upload(other, "weights").status == 200)
    assert there.upload(moved, "other weights").status == 403
    until(lambda: there.approve(there.cara, wanted).status == 200)
    assert here.way(other) == there.way(other) == [NEW] and here.way(moved) == [NEW]


class Upload:
    """One that is begun and not ended: half of its body is sent."""

    def __init__(self, house: House, version: str, text: bytes) -> None:
        place = urlsplit(house.ruled.url)
        self._rest = text[len(text) // 2 :]
        self._connection = http.client.HTTPConnection(place.hostname or "", place.port, timeout=60)
        self.target = f"{house.folders[f'{MODEL}/{version}']}/weights.txt"
        self._connection.putrequest("PUT", self.target)
        self._connection.putheader("Authorization", f"Bearer {house.ann}")
        self._connection.putheader("Content-Length", str(len(text)))
        self._connection.endheaders(text[: len(text) // 2])

    def end(self) -> int:
        """Sends the rest; the status, or 0 if the connection was ended."""
        try:
            self._connection.send(self._rest)
            return self._connection.getresponse().status
        except (OSError, http.client.HTTPException):
            return 0
        finally:
            self._connection.close()


def test_an_upload_elsewhere_that_does_not_end_is_cut(fleet: Fleet) -> None:
    """And never changes what was promoted."""
    here, there = fleet.here, fleet.there
    version, number = asked(here)
    upload = Upload(there, version, b"other weights" * 10_000)
    until(lambda: upload.target in fleet.from_there.targets)
    assert here.approved(here.cara, number)["state"] == "done"
    assert content(here, version) == b"weights"
    assert upload.end() in (0, 400, 403, 409)
    assert content(here, version) == content(there, version) == b"weights"
    assert here.way(version) == [NEW]


def test_an_upload_elsewhere_that_mlflow_has_is_waited_for(fleet: Fleet) -> None:
    """Its bytes are what is looked at then, and nobody has approved those."""
    here, there = fleet.here, fleet.there
    version, number = asked(here)
    put = stopped(fleet.from_there, lambda seen: seen.method == "PUT" and "weights.txt" in seen.target)
    with ExitStack() as stack:
        stop = stack.enter_context(put)
        upload = stack.enter_context(meanwhile(lambda: there.upload(version, "other weights")))
        stop.reach()
        approval = stack.enter_context(meanwhile(lambda: here.approve(here.cara, number)))
        until(fleet.closed)
        until(lambda: there.upload(version, "third weights").status == 403)
        assert here.way(version) == [], "it is waited for"
        stop.release()
        assert upload().status == 200, upload()
        answer = approval()
        assert answer.status == 403 and b"it is void: the version's files are not those" in answer.body, answer
    assert here.request(number)["state"] == "void"
    assert here.way(version) == there.way(version) == []
    assert content(here, version) == b"other weights"
    until(lambda: there.upload(version, "weights").status == 200)


BURIED, RENAMED = "fraud_detection_xgboost_auc_staging", "recommendation_xgboost_auc_staging"
BURIALS = {
    "version": ("DELETE", "model-versions/delete", lambda version: {"version": version}),
    "model": ("DELETE", "registered-models/delete", lambda _: {}),
    "name": ("POST", "registered-models/rename", lambda _: {"new_name": RENAMED}),
}


def buried(house: House, what: str, version: str) -> Answer:
    """Deletes the version or its model, or gives that another name."""
    method, path, more = BURIALS[what]
    return house.ruled.ask(house.root, method, API + path, {"name": BURIED, **more(version)})


@pytest.mark.parametrize("what", BURIALS)
@pytest.mark.parametrize("part", ["weights.txt", "sekisho.stage", "transition-stage"])
@pytest.mark.parametrize("stage", [NEW, "Staging"])
def test_buried_elsewhere_in_the_middle(fleet: Fleet, what: str, part: str, stage: str) -> None:
    """While the files are read, and before MLflow is told: what enters Production stays, and else nothing is left over."""
    here, there = fleet.here, fleet.there
    version, number = asked(here, stage, BURIED)
    begun = part in MIRRORS
    fits = is_write(part) if begun else (lambda seen: reads(here, version, seen, BURIED))
    with stopped(fleet.from_here, fits) as stop, meanwhile(lambda: here.approve(here.cara, number)) as approval:
        stop.reach()
        burial = buried(there, what, version)
        stop.release()
        answer = approval()
    if begun and stage == NEW:
        assert burial.status == 403 and b"Production" in burial.body, burial
        assert answer.status == 200 and here.way(version, BURIED) == there.way(version, BURIED) == [NEW]
    else:
        assert burial.status == 200, burial
        assert answer.status in (403, 404, 409), answer
        until(lambda: not fleet.unfinished())
        until(lambda: begun or not fleet.closed())
        if what == "name":
            # It was decided, or it was not; the version stands there or here, and says so.
            stands = here.stage(version, RENAMED)
            assert here.way(version, RENAMED) == there.way(version, RENAMED) == ([] if stands == OLD else [stage])
            assert stands == OLD if not begun else stands in (OLD, stage)
            until(lambda: here.ruled.held(RENAMED, version)[1]["sekisho.stage"] == stands)
            assert here.ruled.held(RENAMED, version)[0] == ("None" if stands == OLD else stands)
    clean(there)


@pytest.mark.parametrize("what", BURIALS)
def test_promoted_elsewhere_while_it_is_buried(fleet: Fleet, what: str) -> None:
    """A deletion that was looked at and is held up on its way: nothing enters Production before it has ended."""
    here, there = fleet.here, fleet.there
    version, number = asked(here, NEW, BURIED)
    path = BURIALS[what][1]
    with stopped(fleet.from_there, lambda seen: seen.target.endswith(path)) as stop, meanwhile(lambda: buried(there, what, version)) as burial:
        stop.reach()
        for move in (lambda: here.approve(here.cara, number), lambda: transition(here, version, NEW, BURIED)):
            answer = move()
            assert answer.status in (403, 409), answer
        assert here.way(version, BURIED) == [] and not fleet.unfinished()
        other = here.register()
        assert transition(here, other, "Archived").status == 200, "another model is not held up"
        stop.release()
        assert burial().status == 200, burial()
    assert not here.ruled.exists(BURIED) if what != "version" else here.ruled.exists(BURIED)
    assert not fleet.departures()
    clean(there)


@pytest.mark.parametrize("what", BURIALS)
def test_one_dies_while_it_buries(fleet: Fleet, what: str) -> None:
    """Its deletion never comes to MLflow; it holds nobody up for longer than it takes to find out that it is gone."""
    here, there = fleet.here, fleet.there
    version, number = asked(here, NEW, BURIED)
    path = BURIALS[what][1]
    with (
        stopped(fleet.from_there, lambda seen: seen.target.endswith(path), lost=True) as stop,
        meanwhile(lambda: buried(there, what, version)),
    ):
        stop.reach()
        there.ruled.sekisho.kill()
    try:
        assert fleet.departures()
        until(lambda: here.approve(here.cara, number).status == 200, SECONDS)
        assert here.way(version, BURIED) == [NEW]
    finally:
        there.ruled.sekisho.restart()
    refused = buried(there, what, version)
    assert refused.status == 403 and b"Production" in refused.body, refused
    clean(there)


def clean(house: House) -> None:
    """No model of these names is left."""
    for name in (BURIED, RENAMED):
        if not house.ruled.exists(name):
            continue
        for made in house.ruled.past("registered-models/get-latest-versions", name=name).get("model_versions", []):
            until(lambda made=made, name=name: transition(house, made["version"], "Archived", name).status == 200)
        answer = house.ruled.ask(house.root, "DELETE", f"{API}registered-models/delete", {"name": name})
        assert answer.status == 200, answer


@pytest.mark.parametrize("answered", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("write", MIRRORS)
def test_one_dies_in_the_middle(fleet: Fleet, write: str, answered: bool) -> None:
    """The other shows where the version stood until it stands where it was to go, and that is soon."""
    here, there = fleet.here, fleet.there
    version, number = asked(here)
    with (
        stopped(fleet.from_here, is_write(write), answered=answered, lost=True) as stop,
        meanwhile(lambda: here.approve(here.cara, number)),
    ):
        stop.reach()
        here.ruled.sekisho.kill()
    try:
        assert there.stage(version) == OLD and there.way(version) == []
        assert there.upload(version, "other weights").status in (403, 424)
        began = time.monotonic()
        told = [there.stage(version)]
        while told[-1] != NEW and time.monotonic() - began < SECONDS:
            told.append(there.stage(version))
        assert set(told) == {OLD, NEW}, told
        assert there.way(version) == [NEW] and is_mirrored(there, version, NEW)
        assert there.request(number)["state"] == "done"
    finally:
        here.ruled.sekisho.restart()
    assert here.stage(version) == NEW and here.way(version) == [NEW]


def test_one_dies_while_it_has_files_closed(fleet: Fleet) -> None:
    """The other opens them, and may promote the version itself."""
    here, there = fleet.here, fleet.there
    version, number = asked(here)
    with (
        stopped(fleet.from_here, lambda seen: reads(here, version, seen), lost=True) as stop,
        meanwhile(lambda: here.approve(here.cara, number)),
    ):
        stop.reach()
        assert there.upload(version, "weights").status == 403
        here.ruled.sekisho.kill()
    try:
        until(lambda: there.upload(version, "weights").status == 200, SECONDS)
        assert there.stage(version) == OLD and there.way(version) == []
        assert there.approved(there.cara, number)["state"] == "done"
        assert there.way(version) == [NEW]
    finally:
        here.ruled.sekisho.restart()


def test_one_that_was_taken_for_dead_does_not_go_on(fleet: Fleet) -> None:
    """It stood still in the middle. What the others have done since is not overwritten, and it is well again by itself."""
    here, there = fleet.here, fleet.there
    version, number = asked(here)
    with (
        stopped(fleet.from_here, is_write("sekisho.stage"), answered=True) as stop,
        meanwhile(lambda: here.approve(here.cara, number)) as approval,
    ):
        stop.reach()
        with here.ruled.sekisho.paused():
            until(lambda: there.way(version) == [NEW], SECONDS)
            until(lambda: transition(there, version, "Archived").status == 200)
            stop.release()
        answer = approval()
    assert answer.status in (409, 424), answer
    until(lambda: here.stage(version) == "Archived")
    assert here.way(version) == there.way(version) == ["Archived", NEW]
    assert is_mirrored(here, version, "Archived")
    again, number = asked(here)
    until(lambda: here.approve(here.cara, number).status == 200)
    assert there.way(again) == [NEW]


def test_the_store_dies_and_both_live(fleet: Fleet) -> None:
    """Neither takes the other for gone because of that: what was begun is ended, and both go on."""
    here, there = fleet.here, fleet.there
    version, number = asked(here)
    before = fleet.buried()
    with (
        stopped(fleet.from_here, is_write("transition-stage")) as stop,
        meanwhile(lambda: here.approve(here.cara, number)) as approval,
    ):
        stop.reach()
        postgres.shared().kill()
        postgres.shared().start()
        stop.release()
        answer = approval()
    assert answer.status in (200, 409, 424), answer
    until(lambda: there.way(version) == [NEW], SECONDS)
    until(lambda: is_mirrored(there, version, NEW))
    assert fleet.buried() == before
    for house in (here, there):
        # Its store is looked at every two seconds while it is away.
        until(lambda house=house, version=version: house.ask(house.root, version, "Archived").status != 424, SECONDS)
        other, number = asked(house)
        until(lambda house=house, number=number: house.approve(house.cara, number).status == 200)
        assert there.way(other) == [NEW]

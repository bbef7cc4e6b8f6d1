"""Two sekishos on one PostgreSQL, before one MLflow, each with a memory of its own: what one writes the other shows."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass

import pytest
from conftest import LOGS
from harness import postgres
from harness.line import Line
from harness.mlflow_server import MlflowServer
from harness.rest import Answer, send
from harness.sekisho import Sekisho
from ruled import API, until

MODEL = "iris"
# Whoever was not heard for 3 s is not believed to be, and a machine may be slow.
SILENCE = 6.0


@dataclass(frozen=True)
class Pair:
    """Both, the line of the second to PostgreSQL, and a token of an administrator for each."""

    here: Sekisho
    there: Sekisho
    line: Line
    ours: str
    theirs: str

    def write(self, value: str) -> None:
        """At the first."""
        body = {"name": MODEL, "key": "n", "value": value}
        answer = send(self.here.url, "POST", f"{API}registered-models/set-tag", self.ours, body)
        assert answer.status == 200, answer.body

    def write_there(self, value: str) -> None:
        body = {"name": MODEL, "key": "n", "value": value}
        answer = send(self.there.url, "POST", f"{API}registered-models/set-tag", self.theirs, body)
        assert answer.status == 200, answer.body

    def read(self) -> Answer:
        """At the second."""
        answer = send(self.there.url, "GET", f"{API}registered-models/get?name={MODEL}", self.theirs)
        assert answer.status == 200, answer.body
        return answer

    def read_here(self) -> Answer:
        return send(self.here.url, "GET", f"{API}registered-models/get?name={MODEL}", self.ours)

    def is_known(self) -> bool:
        """Whether the second answers from memory."""
        return says(self.read()) == "HIT"


def says(answer: Answer) -> str:
    return {name.lower(): value for name, value in answer.headers.items()}.get("x-sekisho-cache", "")


def number(answer: Answer) -> str:
    tags = answer.json()["registered_model"].get("tags", [])
    return next((tag["value"] for tag in tags if tag["key"] == "n"), "")


@pytest.fixture(scope="module")
def server() -> Iterator[MlflowServer]:
    with MlflowServer(LOGS, workers=2) as running:
        yield running


@pytest.fixture
def pair(server: MlflowServer) -> Iterator[Pair]:
    try:
        postgres.programs()
    except postgres.Missing as reason:
        pytest.skip(f"two sekishos need a PostgreSQL: {reason}")
    state = postgres.shared().database()
    more = {"limits": {"requests_per_second": 0}, "audit": {"reads": "aggregate"}}
    with ExitStack() as stack:
        line = stack.enter_context(Line(state))
        sekishos = [
            stack.enter_context(Sekisho(server.url, LOGS, settings={"state": {"url": url}, **more})) for url in (state, line.url)
        ]
        tokens = [sekisho.token("root@example.com", "admin") for sekisho in sekishos]
        send(sekishos[0].url, "POST", f"{API}registered-models/create", tokens[0], {"name": MODEL})
        yield Pair(*sekishos, line, *tokens)


def test_what_one_writes_the_other_shows(pair: Pair) -> None:
    """At once, in both directions; and a purge of one is a purge of both."""
    for value in map(str, range(20)):
        until(pair.is_known)
        pair.write(value)
        began = time.monotonic()
        until(lambda value=value: number(pair.read()) == value)
        assert time.monotonic() - began < 1.0
    until(lambda: says(pair.read_here()) == "HIT")
    pair.write_there("back")
    until(lambda: number(pair.read_here()) == "back", 1.0)
    until(pair.is_known)
    assert send(pair.here.url, "POST", "/sekisho/v1/cache:purge", pair.ours, {}).status == 200
    until(lambda: says(pair.read()) == "MISS", 1.0)


def test_lists_show_what_another_has_written(pair: Pair) -> None:
    """From the index of each: a list asks again for what the other has told of."""
    def listed(sekisho: Sekisho, token: str, text: str) -> Answer:
        return send(sekisho.url, "GET", f"{API}registered-models/search?filter=name%20LIKE%20%27iri{text}%25%27", token)

    until(lambda: says(listed(pair.there, pair.theirs, f"_{time.monotonic()}")) == "HIT")
    for value in map(str, range(100, 110)):
        pair.write(value)
        began = time.monotonic()
        until(lambda value=value: f'"{value}"' in listed(pair.there, pair.theirs, "").body.decode())
        assert time.monotonic() - began < 1.0
        assert says(listed(pair.there, pair.theirs, "")) == "HIT"


def test_readers_at_the_other_are_behind_by_no_more_than_is_said(pair: Pair) -> None:
    """The first counts up while the second is read: nobody reads what was three seconds ago, nor goes back."""
    until(pair.is_known)
    pair.write("0")
    answered, wrong, hits, done = [(time.monotonic(), 0)], [], [], threading.Event()

    def read() -> None:
        seen = 0
        while not done.is_set():
            began = time.monotonic()
            floor = max((value for at, value in list(answered) if at < began - 3), default=0)
            answer = pair.read()
            found = int(number(answer) or 0)
            if found < max(floor, seen):
                wrong.append((found, floor, seen))
            seen = max(seen, found)
            hits.append(says(answer) == "HIT")

    readers = [threading.Thread(target=read) for _ in range(3)]
    for reader in readers:
        reader.start()
    for value in range(1, 151):
        pair.write(str(value))
        answered.append((time.monotonic(), value))
    done.set()
    for reader in readers:
        reader.join()
    assert not wrong, wrong[:5]
    assert sum(hits) > 20


@pytest.mark.parametrize("how", ["stalled", "cut"])
def test_who_does_not_hear_the_other_does_not_answer_from_memory(pair: Pair, how: str) -> None:
    """A line that breaks, and one on which nothing passes and nobody is told. Afterwards nothing from before is known."""
    until(pair.is_known)
    (pair.line.stall if how == "stalled" else pair.line.cut)()
    began = time.monotonic()
    until(lambda: says(pair.read()) == "")
    assert time.monotonic() - began < SILENCE
    pair.write("meanwhile")
    assert number(pair.read()) == "meanwhile"
    pair.line.mend()
    until(pair.is_known)
    assert number(pair.read()) == "meanwhile"


def test_who_falls_silent_may_have_written_something(pair: Pair) -> None:
    """The other forgets what it knew; who says goodbye has told everything."""
    until(pair.is_known)
    pair.here.stop()
    stays_known(pair, SILENCE)
    pair.here.restart()
    # It has said that it came, which has the other forget everything.
    until(lambda: says(pair.read_here()) == "HIT")
    until(pair.is_known)
    # Until the other has surely been heard.
    stays_known(pair, 2.0)
    pair.here.kill()
    until(lambda: says(pair.read()) == "MISS", SILENCE)


def stays_known(pair: Pair, seconds: float) -> None:
    """The second answers from memory all the time, unless the machine was too slow for it to hear anybody."""
    began = time.monotonic()
    while time.monotonic() - began < seconds:
        assert pair.is_known() or "other sekishos are not heard" in pair.there.log.read_text()

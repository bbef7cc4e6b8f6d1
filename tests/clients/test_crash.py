"""Sekisho is killed in the middle of a transition, at each of its writes to MLflow: nobody ever sees half of one."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from urllib.parse import urlencode

import pytest
from conftest import LOGS
from harness.mlflow_server import MlflowServer
from harness.recorder import Recorder, Seen, Stop
from house_of_stages import AJAX, MODEL, House, house_of_stages
from ruled import API, until

MORE = """
[[transitions]]
from = "Development"
to = "Production"
required_approvals = 1
"""
# Where the store is shared, who began it is gone only when nothing was heard of it for a few seconds.
MENDED = 20
OLD, NEW = "Development", "Production"
# What is written of a transition, one after the other.
MIRRORS = ("sekisho.stage", "stage", "stage_transition_history")


@dataclass(frozen=True)
class Watched:
    """A house, and the relay between it and MLflow."""

    house: House
    wire: Recorder

    @contextmanager
    def approving(self, number: int, stop: Stop) -> Iterator[None]:
        """Somebody approves, while the request to MLflow waits on which it comes to stand."""
        self.wire.stop(stop)
        thread = threading.Thread(target=self._approve, args=(number,), daemon=True)
        thread.start()
        try:
            stop.reach()
            yield
        finally:
            self.wire.stop(None)
            stop.release(lost=True)
            thread.join(40)

    def _approve(self, number: int) -> None:
        try:
            self.house.approve(self.house.cara, number)
        except OSError:
            pass  # it was killed

    def seen(self, version: str) -> list[str]:
        """Where the version stands, by every address that tells; each tells the same with the tag."""
        found = []
        for base in (API, AJAX):
            for target in (
                f"model-versions/get?name={MODEL}&version={version}",
                f"model-versions/search?{urlencode({'filter': f'name = {MODEL!r}'})}",
                f"registered-models/get?name={MODEL}",
                f"registered-models/search?{urlencode({'filter': f'name = {MODEL!r}'})}",
                f"registered-models/get-latest-versions?name={MODEL}",
            ):
                answer = self.house.ruled.ask(self.house.ann, "GET", base + target)
                assert answer.status == 200, (target, answer)
                rows = [row for row in versions(answer.json()) if row["version"] == version]
                assert len(rows) == 1, (base, target, rows)
                tag = {tag["key"]: tag["value"] for tag in rows[0]["tags"]}["sekisho.stage"]
                stage = OLD if rows[0]["current_stage"] == "None" else rows[0]["current_stage"]
                assert stage == tag, (base, target, rows)
                found.append(stage)
        return found

    def is_mirrored(self, version: str) -> bool:
        """Whether MLflow itself shows all of it."""
        mlflows, tags = self.house.ruled.held(MODEL, version)
        told = [line["to"] for line in json.loads(tags.get("stage_transition_history", "[]"))]
        return (mlflows, tags["sekisho.stage"], told) == (NEW, NEW, [NEW])


def versions(answer: object) -> list[dict]:
    """All versions in an answer."""
    if isinstance(answer, list):
        return [row for part in answer for row in versions(part)]
    if isinstance(answer, dict):
        inside = [row for part in answer.values() for row in versions(part)]
        return [answer] if "current_stage" in answer else inside
    return []


def mirror(seen: Seen) -> str | None:
    """Which write of a transition a request is."""
    if seen.target.endswith("model-versions/transition-stage"):
        return "stage"
    if seen.target.endswith("model-versions/set-tag"):
        key = json.loads(seen.body)["key"]
        return key if key in MIRRORS else None
    return None


@pytest.fixture(scope="module")
def watched() -> Iterator[Watched]:
    """Rules in force, and a short way."""
    with (
        MlflowServer(LOGS) as server,
        Recorder(server.url) as wire,
        house_of_stages(more=MORE, behind=(server, wire.url)) as house,
    ):
        yield Watched(house, wire)


def asked(house: House) -> tuple[str, int]:
    """A version, and a request to which one approval is missing."""
    version = house.register()
    number = house.asked(house.root, version, NEW)
    # Until its digest is shown somebody may be reading its files beside those who promote it.
    until(lambda: "model_hash" in house.ruled.held(MODEL, version)[1])
    return version, number


@pytest.mark.parametrize("answered", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("write", MIRRORS)
def test_killed_at_a_write(watched: Watched, write: str, answered: bool) -> None:
    """All that readers are told is the old stage until it is the new one, and there is one transition in the end."""
    house = watched.house
    version, number = asked(house)
    stop = Stop(lambda seen: mirror(seen) == write, answered=answered)
    with watched.approving(number, stop):
        assert set(watched.seen(version)) == {OLD}
        assert house.way(version) == []
        house.ruled.sekisho.kill()
    house.ruled.sekisho.restart()
    assert house.upload(version, "other weights").status in (403, 424)
    told: list[str] = []

    def is_done() -> bool:
        told.extend(watched.seen(version))
        return house.way(version) == [NEW] and watched.is_mirrored(version)

    until(is_done, MENDED)
    told += watched.seen(version)
    assert told == sorted(told), "it went back"
    assert told[-1] == NEW and house.way(version) == [NEW]
    assert house.request(number)["state"] == "done"
    made = house.history(version)["transitions"][0]
    assert [each["user"] for each in made["approvals"]] == ["cara@example.com"] and made["digest"]
    assert house.upload(version, "other weights").status == 403


def test_killed_before_it_was_begun(watched: Watched) -> None:
    """While the files are read: nothing has happened, and who approves again has it made."""
    house = watched.house
    version, number = asked(house)
    with watched.approving(number, Stop(lambda seen: "weights.txt" in seen.target)):
        assert house.upload(version, "other weights").status == 403
        house.ruled.sekisho.kill()
    house.ruled.sekisho.restart()
    assert set(watched.seen(version)) == {OLD} and house.way(version) == []
    shown = house.request(number)
    assert shown["state"] == "open" and len(shown["approvals"]) == 1
    until(lambda: house.upload(version, "weights").status == 200)
    assert house.approved(house.cara, number)["state"] == "done"
    assert set(watched.seen(version)) == {NEW} and house.way(version) == [NEW]


@pytest.mark.parametrize("write", ["transition-stage", "model-versions/set-tag"])
def test_mlflow_goes_down_in_the_middle(watched: Watched, write: str) -> None:
    """What was begun is ended when it is back, once."""
    house = watched.house
    version, number = asked(house)
    watched.wire.refuse(write)
    try:
        answer = house.approve(house.cara, number)
        assert answer.status == 409, answer
        assert set(watched.seen(version)) == {OLD} and house.way(version) == []
        assert house.upload(version, "other weights").status == 403
    finally:
        watched.wire.refuse(None)
    until(lambda: house.way(version) == [NEW] and watched.is_mirrored(version), MENDED)
    assert set(watched.seen(version)) == {NEW} and house.request(number)["state"] == "done"

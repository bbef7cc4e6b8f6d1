"""Files that take longer to read than a call waits, with the plain client: it is refused, repeats, and the promotion is made."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from conftest import LOGS, need_binary
from harness.mlflow_server import MlflowServer
from harness.recorder import Recorder, Seen, Stop
from harness.sekisho import example
from house_of_stages import FIRST, House, house_of_stages
from mlflow.exceptions import MlflowException
from ruled import until

# The example's calls wait for a second. What is between the stages is tried elsewhere.
MORE = """
[[transitions]]
from = "Development"
to = "Production"
required_approvals = 0
"""
SENTENCE = re.compile(r"its files are still being read \(\d+ of \d+ bytes\): repeat this call by and by")


@dataclass(frozen=True)
class Slow:
    """A house whose files can be held up on their way to sekisho."""

    house: House
    wire: Recorder

    def registered(self) -> str:
        """A version whose digest was taken: whatever is read from here on is read for a promotion."""
        version = self.house.register()
        until(lambda: self.digest(version)["state"] == "taken")
        self.wire.take()
        return version

    def digest(self, version: str) -> dict:
        """What is known of a version's files."""
        house = self.house
        path = f"/sekisho/v1/models/fraud_detection_neural_network_f1score_staging/versions/{version}"
        return house.ruled.ask(house.root, "GET", path).json()["digest"]

    def repeat_until_made(self, version: str) -> None:
        """Does what the sentence says."""

        def made() -> bool:
            try:
                return self.house.move(self.house.root, version, "Production") == "Production"
            except MlflowException as refusal:
                assert SENTENCE.search(str(refusal)), refusal
                return False

        until(made)

    def read(self) -> int:
        """How often the file was asked for by sekisho since it was registered."""
        return sum(is_read(seen) for seen in self.wire.seen)


def is_read(seen: Seen) -> bool:
    """Whether sekisho reads the file by itself."""
    agent = dict((name.lower(), value) for name, value in seen.headers).get("user-agent", "")
    return agent.startswith("sekisho/") and seen.method == "GET" and seen.target.endswith("/weights.txt")


@pytest.fixture(scope="module")
def slow() -> Iterator[Slow]:
    """One for all tests."""
    need_binary()
    with (
        MlflowServer(LOGS) as server,
        Recorder(server.url) as wire,
        house_of_stages(more=MORE, behind=(server, wire.url), program=example("impatient")) as house,
    ):
        yield Slow(house, wire)


@pytest.fixture
def held(slow: Slow) -> Iterator[Stop]:
    """The next file that sekisho reads waits."""
    stop = Stop(is_read)
    yield stop
    slow.wire.stop(None)
    stop.release()


def test_a_promotion_outlasts_its_call(slow: Slow, held: Stop) -> None:
    """It is refused with how far it is, made when it is repeated, and nothing is read twice; nobody changes the files."""
    house, version = slow.house, slow.registered()
    slow.wire.stop(held)
    assert SENTENCE.search(house.refused(house.root, version, "Production"))
    held.reach()
    assert house.upload(version, "changed").status == 403
    assert "(0 of 7 bytes)" in house.refused(house.root, version, "Production")
    assert house.stage(version) in ("Development", "None")
    held.release()
    slow.repeat_until_made(version)
    assert slow.read() == 1
    assert house.way(version) == ["Production"]


def test_files_are_opened_again(slow: Slow, held: Stop) -> None:
    """Where nobody comes for what was read; what was read then counts no more."""
    house, version = slow.house, slow.registered()
    slow.wire.stop(held)
    assert SENTENCE.search(house.refused(house.root, version, "Production"))
    held.reach()
    held.release()
    until(lambda: house.upload(version, "changed").status == 200)
    slow.repeat_until_made(version)
    (made,) = house.history(version)["transitions"]
    until(lambda: slow.digest(version)["state"] == "taken")
    assert made["digest"] == slow.digest(version)["sha256"]
    assert slow.digest(version)["files"][0]["size"] == len("changed")
    assert slow.read() >= 2


def test_who_dies_leaves_no_files_closed(slow: Slow, held: Stop) -> None:
    """A sekisho that is killed while it reads finds them open when it is there again, or another promotes the version."""
    house, version = slow.house, slow.registered()
    slow.wire.stop(held)
    assert SENTENCE.search(house.refused(house.root, version, "Production"))
    held.reach()
    house.ruled.sekisho.kill()
    slow.wire.stop(None)
    held.release()
    house.ruled.sekisho.restart()
    slow.repeat_until_made(version)


def test_an_approval_that_waits_for_files_is_kept(slow: Slow, held: Stop) -> None:
    """Whoever approves is told to repeat it, and it is no second approval."""
    house, version = slow.house, slow.registered()
    house.tested(version, *FIRST)
    number = house.asked(house.ann, version, "Integration_Test")
    slow.wire.stop(held)
    answer = house.approve(house.cara, number)
    assert answer.status == 403 and SENTENCE.search(answer.json()["message"]), answer
    held.reach()
    held.release()
    until(lambda: house.approve(house.cara, number).status == 200)
    request = house.request(number)
    assert request["state"] == "done" and len(request["approvals"]) == 1
    assert house.stage(version) == "Integration_Test"
    assert slow.read() == 1

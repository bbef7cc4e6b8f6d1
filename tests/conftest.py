"""Servers that the suites share: a bare MLflow, and an MLflow of its own behind sekisho. Both start empty."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlencode

import pytest

from harness.mlflow_server import MlflowServer
from harness.recorder import Recorder
from harness.rest import send
from harness.sekisho import Sekisho, binary
from lists.registry import MINE, seed

CACHE = Path(__file__).parent / ".cache"
LOGS = CACHE / "logs"


@dataclass(frozen=True)
class Gate:
    """Sekisho with the MLflow behind it."""

    sekisho: Sekisho
    mlflow: MlflowServer

    @property
    def url(self) -> str:
        return self.sekisho.url


@dataclass(frozen=True)
class WatchedGate(Gate):
    """The same with a relay between the two, which writes down what passes."""

    wire: Recorder


@dataclass(frozen=True)
class Crowd(Gate):
    """A gate to a registry of two thousand models, and callers' tokens by what they may see of it."""

    tokens: dict[str, str]


@pytest.fixture(scope="module")
def bare() -> Iterator[MlflowServer]:
    """An MLflow server without sekisho."""
    with MlflowServer(LOGS) as server:
        yield server


@pytest.fixture(scope="module")
def gate() -> Iterator[Gate]:
    """Another MLflow server, with sekisho in front."""
    with open_gate() as opened:
        yield opened


@pytest.fixture
def fresh_gate() -> Iterator[Gate]:
    """The same for one test alone."""
    with open_gate() as opened:
        yield opened


@pytest.fixture(scope="module")
def watched() -> Iterator[WatchedGate]:
    """A gate for tests that ask what reached MLflow, with everything switched on."""
    need_binary()
    # Nothing is answered from memory, so that everything passes.
    everything = {"artifacts": {"presigned": True}, "cache": {"ttl_seconds": 0}}
    with (
        MlflowServer(LOGS) as server,
        Recorder(server.url) as wire,
        Sekisho(wire.url, LOGS, settings=everything) as sekisho,
    ):
        until_quiet(wire)
        yield WatchedGate(sekisho, server, wire)


def until_quiet(wire: Recorder, seconds: float = 1.5) -> None:
    """Waits until sekisho has read what it reads when it starts: what passes from then on is somebody's request."""
    quiet_since = time.monotonic()
    while time.monotonic() - quiet_since < seconds:
        if wire.take():
            quiet_since = time.monotonic()
        time.sleep(0.1)


@pytest.fixture(scope="session")
def crowd() -> Iterator[Crowd]:
    """One for all suites of lists: each test leaves the visible rows as it found them. MLflow is asked for every page."""
    with open_gate({"cache": {"ttl_seconds": 0}}) as gate:
        seed(gate.mlflow.database)
        yield Crowd(gate.sekisho, gate.mlflow, tokens_of(gate.sekisho))


@pytest.fixture(scope="session")
def known_crowd() -> Iterator[Crowd]:
    """The same, of which sekisho has an index that answers for MLflow. Nothing may be written."""
    with open_gate() as gate:
        seed(gate.mlflow.database)
        root = gate.sekisho.token("root@company.com", "admin")
        assert send(gate.url, "POST", "/sekisho/v1/cache:purge", root).status in (200, 204)
        deadline = time.monotonic() + 60
        while from_memory(gate, root, f"name LIKE 'nobody {time.monotonic()}'") != "HIT":
            assert time.monotonic() < deadline, "the registry is not known"
            time.sleep(0.3)
        yield Crowd(gate.sekisho, gate.mlflow, tokens_of(gate.sekisho))


def from_memory(gate: Gate, token: str, text: str) -> str:
    """What sekisho says of where its answer to a search comes from."""
    answer = send(gate.url, "GET", f"/api/2.0/mlflow/registered-models/search?{urlencode({'filter': text})}", token)
    return {key.lower(): value for key, value in answer.headers.items()}.get("x-sekisho-cache", "")


def tokens_of(sekisho: Sekisho) -> dict[str, str]:
    """Callers who see different parts of the registry."""
    token = sekisho.token
    return {
        "named": token("ned@company.com", "ml_engineer", MINE),
        "patterned": token("pat@company.com", "ml_engineer", ["*-mine"]),
        "nobody": token("sam@company.com", "ml_engineer"),
        "stranger": token("joe@company.com", "ml_engineer", ["no*such", "neither"]),
        "auditor": token("kim@company.com", "auditor"),
    }


@contextmanager
def open_gate(settings: Mapping[str, Mapping[str, object]] | None = None) -> Iterator[Gate]:
    """Starts an empty MLflow and sekisho in front of it."""
    need_binary()
    with MlflowServer(LOGS) as server, Sekisho(server.url, LOGS, settings=settings) as sekisho:
        yield Gate(sekisho, server)


def need_binary() -> None:
    """Fails with one sentence where the program was not built."""
    if not binary().exists():
        pytest.fail(f"{binary()} is missing: cargo build, or name it in SEKISHO_BIN", pytrace=False)

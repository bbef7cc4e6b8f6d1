"""Servers that the suites share: a bare MLflow, and an MLflow of its own behind sekisho. Both start empty."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from harness.mlflow_server import MlflowServer
from harness.recorder import Recorder
from harness.sekisho import Sekisho, binary

CACHE = Path(__file__).parent / ".cache"
LOGS = CACHE / "logs"


@dataclass(frozen=True)
class Gate:
    """Sekisho with the MLflow behind it, and the relay between them."""

    sekisho: Sekisho
    mlflow: MlflowServer
    wire: Recorder

    @property
    def url(self) -> str:
        return self.sekisho.url


@pytest.fixture(scope="module")
def bare() -> Iterator[MlflowServer]:
    """An MLflow server without sekisho."""
    with MlflowServer(LOGS) as server:
        yield server


@pytest.fixture(scope="module")
def gate() -> Iterator[Gate]:
    """Another MLflow server, with sekisho in front."""
    if not binary().exists():
        pytest.fail(f"{binary()} is missing: cargo build, or name it in SEKISHO_BIN", pytrace=False)
    with MlflowServer(LOGS) as server, Recorder(server.url) as wire, Sekisho(wire.url, LOGS) as sekisho:
        yield Gate(sekisho, server, wire)

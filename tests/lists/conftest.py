"""One full registry behind sekisho for all suites of this folder, and who comes to it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from conftest import LOGS, Gate, need_binary
from harness.mlflow_server import MlflowServer
from harness.sekisho import Sekisho
from lists.registry import MINE, seed


@dataclass(frozen=True)
class Crowd(Gate):
    """A gate to a full registry, and callers' tokens by what they may see."""

    tokens: dict[str, str]


@pytest.fixture(scope="session")
def crowd() -> Iterator[Crowd]:
    """Each test leaves the visible rows as it found them."""
    need_binary()
    with MlflowServer(LOGS) as mlflow, Sekisho(mlflow.url, LOGS) as sekisho:
        seed(mlflow.database)
        tokens = {
            "named": sekisho.token("ned@company.com", "ml_engineer", MINE),
            "patterned": sekisho.token("pat@company.com", "ml_engineer", ["*-mine"]),
            "nobody": sekisho.token("sam@company.com", "ml_engineer"),
            "stranger": sekisho.token("joe@company.com", "ml_engineer", ["no*such", "neither"]),
            "auditor": sekisho.token("kim@company.com", "auditor"),
        }
        yield Crowd(sekisho, mlflow, tokens)

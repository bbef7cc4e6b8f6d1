"""The plain client cannot tell sekisho from MLflow, as long as it may do what it does."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import pytest
from client_process import basic, bearer, run_client
from conftest import Gate
from harness.mlflow_server import MlflowServer

# Here sekisho refuses by itself what MLflow would refuse too: with the same code but in words of its own.
OWN_SENTENCE = {"create version, foreign source", "create model with a bad name", "a stage that is none"}
LARGEST = 200 << 20

Way: TypeAlias = Callable[[str, str], dict[str, str]]


@pytest.fixture(scope="module")
def told_bare(bare: MlflowServer) -> dict[str, object]:
    """The story as MLflow alone lets it happen."""
    return steps(run_client("story.py", {"MLFLOW_TRACKING_URI": bare.url}))


def test_the_story_is_worth_comparing(told_bare: dict[str, object]) -> None:
    """Without sekisho nothing fails but what is meant to fail."""
    failed = {label for label, result in told_bare.items() if isinstance(result, dict) and "error" in result}
    assert len(told_bare) > 100
    assert failed == {
        "create experiment again",
        "log param again, other value",
        "search runs, bad filter",
        "get a run that is not there",
        "download what is not there",
        "create model again",
        "create model with a bad name",
        "create version, foreign source",
        "get a model that is not there",
        "get a version that is not there",
        "search versions, bad filter",
        "get the old name",
        "load models:/fraud_detection_xgboost_auc_dev/9",
        "a bad alias",
        "an unknown alias",
        "a stage that is none",
        "load by an empty stage",
        "prompt as model",
        "get deleted trace",
        "get deleted version",
        "delete model again",
        "log to deleted run",
    }


@pytest.mark.parametrize("way", [bearer, basic], ids=["bearer", "basic"])
def test_an_admin_lives_the_same_story(told_bare: dict[str, object], fresh_gate: Gate, way: Way) -> None:
    """Step by step the same results with and without sekisho, and no more memory than a stream needs."""
    sekisho = fresh_gate.sekisho
    told = steps(run_client("story.py", way(sekisho.url, sekisho.token("root@company.com", "admin"))))
    different = [label for label in told_bare if not alike(label, told_bare[label], told.get(label))]
    assert not different, "\n".join(f"{step}:\n  bare    {told_bare[step]}\n  sekisho {told.get(step)}" for step in different)
    assert list(told) == list(told_bare)
    assert sekisho.peak_memory() < LARGEST


def alike(label: str, bare: object, through: object) -> bool:
    """Equal; where sekisho has its own words, the same code."""
    if label not in OWN_SENTENCE or not isinstance(bare, dict) or not isinstance(through, dict):
        return bare == through
    return bare["error"] == through.get("error")


def steps(transcript: object) -> dict[str, object]:
    """Results by label."""
    assert isinstance(transcript, dict)
    return dict(transcript["steps"])

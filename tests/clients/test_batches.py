"""Many versions registered in one request: each through every rule, told of on its own, and with a key never twice."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest
from conftest import LOGS
from harness.mlflow_server import MlflowServer
from harness.recorder import Recorder
from harness.rest import Answer, send
from harness.sekisho import Sekisho
from ruled import API, GOOD, Ruled, until

CREATE = "/sekisho/v1/model-versions:batchCreate"
MODEL = "fraud_detection_neural_network_f1score_staging"
OTHER = "fraud_detection_neural_network_f1score_dev"
TAG = "sekisho.batch"


@pytest.fixture(scope="module")
def server() -> Iterator[MlflowServer]:
    with MlflowServer(LOGS, workers=2) as running:
        yield running


@pytest.fixture(scope="module")
def wire(server: MlflowServer) -> Iterator[Recorder]:
    with Recorder(server.url) as recorder:
        yield recorder


@pytest.fixture(scope="module")
def here(server: MlflowServer, wire: Recorder) -> Iterator[Ruled]:
    """Rules in force, and a model of each of two names."""
    settings = {"rules": {"mode": "enforce"}, "limits": {"requests_per_second": 0}}
    with Sekisho(wire.url, LOGS, settings=settings) as sekisho:
        ruled = Ruled(sekisho, server)
        for name in (MODEL, OTHER):
            ruled.past("registered-models/create", name=name)
        yield ruled


@pytest.fixture(scope="module")
def ann(here: Ruled) -> str:
    return here.token()


def item(here: Ruled, name: str = MODEL, **more: object) -> dict[str, object]:
    tags = [{"key": key, "value": value} for key, value in GOOD.items()]
    return {"name": name, "tags": tags, **here.files(), **more}


def results(answer: Answer) -> list[dict]:
    assert answer.status == 200, answer.body
    return answer.json()["results"]


def numbers(here: Ruled, name: str = MODEL) -> list[str]:
    """What MLflow itself has."""
    found = send(here.mlflow.url, "GET", f"{API}model-versions/search?filter=name%3D'{name}'").json()
    return sorted((each["version"] for each in found.get("model_versions", [])), key=int)


def test_each_is_made_or_refused_as_it_would_be_alone(here: Ruled, ann: str) -> None:
    """In their order; a refusal of one is none of the others'; each has lines of its own."""
    before = len(numbers(here))
    sam = here.token(MODEL, user="sam@example.com")
    bare = item(here)
    bare["tags"] = [{"key": "sekisho.stage", "value": "Production"}]
    asked = [item(here), item(here, OTHER), bare, item(here, source="/etc/passwd"), item(here, description="last"), {"name": MODEL}]
    made = results(here.ask(sam, "POST", CREATE, {"model_versions": asked}))
    words = [one.get("error", {}).get("error_code") for one in made]
    alone = [here.ask(sam, "POST", f"{API}model-versions/create", one) for one in asked[1:4]]
    assert words == [None, *(answer.error_code() for answer in alone), None, words[5]]
    assert [one["error"]["status"] for one in made[1:4]] == [answer.status for answer in alone]
    assert [one["error"]["message"] for one in made[1:4]] == [answer.json()["message"] for answer in alone]
    assert words[1] == "PERMISSION_DENIED" and words[5] is not None
    versions = [made[at]["model_version"] for at in (0, 4)]
    assert [one["current_stage"] for one in versions] == ["Development"] * 2 and versions[1]["description"] == "last"
    assert len(numbers(here)) == before + 2
    assert all(here.held(MODEL, one["version"])[1].get(TAG) is None for one in versions)

    def told() -> list[dict]:
        return [line for line in here.sekisho.told() if line.get("principal") == "sam@example.com"]

    until(lambda: sum(str(line.get("route", "")).endswith("model-versions/create") for line in told()) == 9)
    created = [line for line in told() if str(line.get("route", "")).endswith("model-versions/create")]
    assert sum(line.get("outcome") == "applied" for line in created) == 2
    (batch,) = [line for line in told() if str(line.get("route", "")).endswith("batchCreate")]
    assert batch["outcome"] == "applied"


def test_with_a_key_nothing_is_made_twice(here: Ruled, ann: str, wire: Recorder) -> None:
    """A repeat gives what was made, makes what was not, and never finds what somebody else has made."""
    asked = {"model_versions": [item(here), item(here)], "idempotency_key": "job-1"}
    first = results(here.ask(ann, "POST", CREATE, asked))
    made = [one["model_version"]["version"] for one in first]
    assert len(set(made)) == 2
    known = numbers(here)
    again = results(here.ask(ann, "POST", CREATE, asked))
    assert [one["model_version"]["version"] for one in again] == made and numbers(here) == known
    # One of them was not made at first.
    wire.refuse("model-versions/create")
    asked["idempotency_key"] = "job-2"
    lost = results(here.ask(ann, "POST", CREATE, asked))
    wire.refuse(None)
    assert all("error" in one for one in lost) and numbers(here) == known
    assert all("model_version" in one for one in results(here.ask(ann, "POST", CREATE, asked)))
    known = numbers(here)
    bob = here.token(user="bob@example.com")
    theirs = results(here.ask(bob, "POST", CREATE, asked))
    assert not {one["model_version"]["version"] for one in theirs} & set(known)


def test_two_at_once_with_one_key(here: Ruled, ann: str) -> None:
    """One of them makes it; the other is told to come again, and finds it then."""
    asked = {"model_versions": [item(here) for _ in range(6)], "idempotency_key": "job-3"}
    before, answers = len(numbers(here)), []

    def ask() -> None:
        answers.append(here.ask(ann, "POST", CREATE, asked))

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {answer.status for answer in answers} <= {200, 409}
    assert len(numbers(here)) == before + 6
    assert all("model_version" in one for one in results(here.ask(ann, "POST", CREATE, asked)))
    assert len(numbers(here)) == before + 6


def test_its_bounds(here: Ruled, ann: str) -> None:
    """Nobody sets the mark themselves; keys are plain, batches small, callers known."""
    one = item(here)
    forged = {**one, "tags": [*one["tags"], {"key": TAG, "value": "x"}]}
    assert results(here.ask(ann, "POST", CREATE, {"model_versions": [forged]}))[0]["error"]["status"] == 403
    for body in ({"idempotency_key": "a b"}, {"idempotency_key": "x" * 65}, {"model_versions": [{"name": MODEL}] * 101}, {"other": 1}):
        assert here.ask(ann, "POST", CREATE, body).status == 400, body
    assert here.ask(None, "POST", CREATE, {"model_versions": [one]}).status == 401
    reader = here.token(role="auditor", user="olga@example.com")
    assert here.ask(reader, "POST", CREATE, {"model_versions": [one]}).status == 403
    assert results(here.ask(ann, "POST", CREATE, {})) == []

"""Searches by metadata over what the plain client registers, and what was written a moment ago."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import urlencode

import pytest
from conftest import LOGS, Gate, need_binary
from harness.mlflow_server import MlflowServer
from harness.rest import Answer, send
from harness.sekisho import Sekisho

API = "/api/2.0/mlflow/"
METRICS = [0.5, 0.91, 0.97]


@dataclass(frozen=True)
class House:
    """A gate to a few versions of two people's models."""

    gate: Gate
    ann: str
    eve: str
    auditor: str

    def write(self, method: str, path: str, body: object, token: str | None = None) -> Answer:
        """One write through the gate, by Ann unless said otherwise."""
        answer = send(self.gate.url, method, API + path, token or self.ann, body)
        assert answer.status == 200, answer.body
        return answer

    def past(self, path: str, body: object) -> None:
        """One thing made in MLflow, past the gate."""
        answer = send(self.gate.mlflow.url, "POST", API + path, None, body)
        assert answer.status == 200, answer.body

    def ask(self, token: str, *where: str, **more: object) -> Answer:
        """A search."""
        asked = [("where", one) for one in where] + list(more.items())
        return send(self.gate.url, "GET", f"/sekisho/v1/search?{urlencode(asked)}", token)

    def rows(self, token: str, *where: str, **more: object) -> list[str]:
        """`model/version` of an answer."""
        answer = self.ask(token, *where, **more)
        assert answer.status == 200, answer.body
        return [f"{row['name']}/{row['version']}" for row in answer.json()["model_versions"]]


def tags(**values: object) -> list[dict[str, str]]:
    """Tags as a request has them."""
    text = {key: value if isinstance(value, str) else json.dumps(value) for key, value in values.items()}
    return [{"key": key, "value": value} for key, value in text.items()]


@pytest.fixture(scope="module")
def house() -> Iterator[House]:
    """Ann has `a` and `b`, Eve has `e`; a prompt is there as well. All of it was there before sekisho was."""
    need_binary()
    with MlflowServer(LOGS) as server:
        gate = Gate(Sekisho(server.url, LOGS), server)
        token = gate.sekisho.token
        house = House(
            gate,
            token("ann@example.com", "ml_engineer", ["a", "b", "c'd", "poem"]),
            token("eve@example.com", "ml_engineer", ["e"]),
            token("kim@example.com", "auditor", ["*"]),
        )
        for name in ("a", "b", "e"):
            house.past("registered-models/create", {"name": name})
            for accuracy in METRICS:
                kept = tags(
                    performance_metrics={"accuracy": accuracy},
                    data_sources=[f"s3://{name}"],
                    business_owner=f"{name}@example.com",
                )
                house.past("model-versions/create", {"name": name, "source": f"s3://x/{name}", "tags": kept})
        prompt = tags(**{"mlflow.prompt.is_prompt": "true", "mlflow.prompt.text": "hello"})
        house.past("registered-models/create", {"name": "poem", "tags": prompt})
        house.past("model-versions/create", {"name": "poem", "source": "dummy-source", "tags": prompt})
        with gate.sekisho:
            yield house


def test_everybody_finds_what_they_may_see(house: House) -> None:
    """Prompts count; hidden models do not."""
    good = "performance_metrics.accuracy >= 0.9"
    assert house.rows(house.ann, good) == ["a/2", "a/3", "b/2", "b/3"]
    assert house.rows(house.eve, good) == ["e/2", "e/3"]
    assert house.rows(house.auditor, good) == ["a/2", "a/3", "b/2", "b/3", "e/2", "e/3"]
    assert house.rows(house.auditor, 'owner = "E@example.com"', "version < 2") == ["e/1"]
    assert house.rows(house.eve, 'data_sources contains "s3://a"') == []
    assert house.rows(house.ann, "name = poem") == ["poem/1"]


def test_pages_are_full_and_good_for_their_reader_alone(house: House) -> None:
    """The next page begins where the last has ended, in the order that was asked for."""
    order = {"order_by": "performance_metrics.accuracy desc", "max_results": 2}
    first = house.ask(house.ann, "performance_metrics.accuracy > 0", **order).json()
    more = {**order, "page_token": first["next_page_token"]}
    assert house.rows(house.ann, "performance_metrics.accuracy > 0", **order) == ["a/3", "b/3"]
    assert house.rows(house.ann, "performance_metrics.accuracy > 0", **more) == ["a/2", "b/2"]
    assert house.ask(house.eve, "performance_metrics.accuracy > 0", **more).status == 400
    assert house.ask(house.ann, "performance_metrics.accuracy > 1", **more).status == 400


def test_a_write_is_in_the_next_answer(house: House) -> None:
    """Whatever the write is, and whoever asks."""
    version = {"name": "b", "version": "1"}
    house.write("POST", "model-versions/set-tag", {**version, "key": "note", "value": "new"})
    assert house.rows(house.auditor, "note = new") == ["b/1"]
    house.write("DELETE", "model-versions/delete-tag", {**version, "key": "note"})
    assert house.rows(house.auditor, "note = new") == []
    house.past("registered-models/create", {"name": "c'd"})
    made = {"name": "c'd", "source": "s3://x/c", "tags": tags(note="new")}
    house.past("model-versions/create", made)
    house.write("PATCH", "model-versions/update", {"name": "c'd", "version": "1", "description": "x"})
    assert house.rows(house.auditor, "note = new") == ["c'd/1"]
    house.write("DELETE", "model-versions/delete", {"name": "c'd", "version": "1"})
    assert house.rows(house.auditor, "note = new") == []


@pytest.mark.parametrize(
    ("where", "told"),
    [
        ("stage = Nowhere", "User_Acceptance_Test"),
        ("performance_metrics.accuracy >", "at character 31"),
        ('dependencies has "x <"', "releases such as"),
    ],
)
def test_a_question_that_cannot_be_read_says_where(house: House, where: str, told: str) -> None:
    """In MLflow's form, and never as something to be repeated."""
    answer = house.ask(house.ann, where)
    assert (answer.status, answer.error_code()) == (400, "INVALID_PARAMETER_VALUE")
    assert told in answer.json()["message"]

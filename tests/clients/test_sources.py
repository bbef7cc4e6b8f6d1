"""Whose files a new version may name, tried by someone who may not see the model that has them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import pytest
from conftest import Gate, open_gate
from harness.rest import Answer, send

API = "/api/2.0/mlflow/"
PROMPT = {"key": "mlflow.prompt.is_prompt", "value": "true"}


@dataclass(frozen=True)
class House:
    """A gate, and a registered model `victim` whose files nobody else may register."""

    gate: Gate
    stranger: str
    owner: str
    experiment: str

    def ask(self, token: str, method: str, path: str, body: Mapping[str, object] | None = None) -> Answer:
        """One request through the gate."""
        return send(self.gate.url, method, API + path, token, body)

    def make(self, path: str, body: Mapping[str, object]) -> dict[str, dict]:
        """One thing made in MLflow, past the gate."""
        answer = send(self.gate.mlflow.url, "POST", API + path, None, body)
        assert answer.status == 200, answer.body
        return answer.json()

    def run(self) -> str:
        """A new run."""
        return self.make("runs/create", {"experiment_id": self.experiment})["run"]["info"]["run_id"]

    def logged_model(self) -> str:
        """A new logged model without a run."""
        made = self.make("logged-models", {"experiment_id": self.experiment})
        return made["model"]["info"]["model_id"]

    def register(self, token: str, name: str, **fields: object) -> Answer:
        """Asks for a new version."""
        return self.ask(token, "POST", "model-versions/create", {"name": name, **fields})


@pytest.fixture(scope="module")
def house() -> Iterator[House]:
    """Two people, each with a model of their own."""
    with open_gate() as gate:
        stranger = gate.sekisho.token("eve@example.com", "ml_engineer", ["mine", "mine_*"])
        owner = gate.sekisho.token("ann@example.com", "ml_engineer", ["victim"])
        made = send(gate.mlflow.url, "POST", API + "experiments/create", None, {"name": "shared"}).json()
        house = House(gate, stranger, owner, made["experiment_id"])
        for name in ("victim", "mine"):
            house.make("registered-models/create", {"name": name})
        yield house


def test_a_forged_tag_opens_no_files(house: House) -> None:
    """A logged model's tag lists its registrations; whoever writes to the experiment can write tags."""
    model = house.logged_model()
    source = f"models:/{model}"
    assert house.register(house.owner, "victim", source=source, model_id=model).status == 200
    forged = {"tags": [{"key": "mlflow.modelVersions", "value": '[{"name": "mine", "version": 1}]'}]}
    assert house.ask(house.stranger, "PATCH", f"logged-models/{model}/tags", forged).status == 200
    assert house.register(house.stranger, "mine", source=source, model_id=model).status == 403
    assert house.ask(house.stranger, "DELETE", f"logged-models/{model}/tags/mlflow.modelVersions").status == 403
    assert send(house.gate.mlflow.url, "PATCH", f"{API}logged-models/{model}/tags", None, forged).status == 200
    assert house.register(house.stranger, "mine", source=source, model_id=model).status == 403
    place = f"mlflow-artifacts:/{house.experiment}/models/{model}/artifacts"
    assert house.register(house.stranger, "mine", source=place, model_id=model).status == 403


def test_a_hidden_registration_is_not_listed(house: House) -> None:
    """The tag names models; each reader is shown their own."""
    model = house.logged_model()
    assert house.register(house.owner, "victim", source=f"models:/{model}", model_id=model).status == 200
    for path, method, body in [
        (f"logged-models/{model}", "GET", None),
        ("logged-models/search", "POST", {"experiment_ids": [house.experiment]}),
        (f"logged-models/{model}", "PATCH", {"model_id": model, "status": "LOGGED_MODEL_READY"}),
    ]:
        assert b"victim" in house.ask(house.owner, method, path, body).body, path
        assert b"victim" not in house.ask(house.stranger, method, path, body).body, path


def test_nobody_keeps_a_run_from_its_owner(house: House) -> None:
    """Versions with a run's id and other files than the run's do not stand in the way of registering the run."""
    run, model = house.run(), house.logged_model()
    prompt = {"name": "mine_prompt", "tags": [PROMPT]}
    assert house.ask(house.stranger, "POST", "registered-models/create", prompt).status == 200
    made = house.register(house.stranger, "mine_prompt", source="dummy-source", run_id=run, tags=[PROMPT])
    assert made.status == 200
    mixed = house.register(house.stranger, "mine", source=f"models:/{model}", model_id=model, run_id=run)
    assert mixed.status == 403
    assert house.register(house.owner, "victim", source=f"runs:/{run}/model", run_id=run).status == 200
    assert house.register(house.stranger, "mine", source=f"runs:/{run}/model", run_id=run).status == 403


def test_no_single_version_is_a_prompts(house: House) -> None:
    """MLflow's search hides every version of a model that has one with the prompt's tag."""
    run = house.run()
    assert house.register(house.stranger, "mine", source=f"runs:/{run}/model", run_id=run).status == 200
    assert house.register(house.stranger, "mine", source="dummy-source", tags=[PROMPT]).status == 403
    found = house.ask(house.stranger, "GET", "model-versions/search?filter=name%3D'mine'")
    assert b'"mine"' in found.body

"""Files of a version that has left Development are changed by nobody, by every address of a real MLflow."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from client_process import run_client
from conftest import Gate
from harness.rest import Answer, send
from ruled import ruled

API = "/api/2.0/mlflow/"
AJAX = "/ajax-api/2.0/mlflow/"
STORES = ("/api/2.0/mlflow-artifacts/artifacts", "/ajax-api/2.0/mlflow-artifacts/artifacts")
BYTES = "what was tested"


@dataclass(frozen=True)
class House:
    """A version of a run's folder and one of a logged model."""

    gate: Gate
    admin: str
    experiment: str
    run: str
    model_id: str

    def ask(self, method: str, target: str, body: object = None) -> Answer:
        """One request through the gate, as an administrator."""
        return send(self.gate.url, method, target, self.admin, body)

    def past(self, method: str, path: str, body: object) -> None:
        """One request past the gate."""
        answer = send(self.gate.mlflow.url, method, API + path, None, body)
        assert answer.status == 200, answer

    def stands(self, model: str, stage: str) -> None:
        """Has version 1 of the model, and of the others that have its files, in a stage, past the gate."""
        body = {"name": model, "version": "1", "stage": stage, "archive_existing_versions": False}
        self.past("POST", "model-versions/transition-stage", body)

    def changes(self) -> list[tuple[str, str, object]]:
        """Every way to change the files of both, or to hide them."""
        run = f"{self.experiment}/{self.run}"
        model = f"{self.experiment}/models/{self.model_id}"
        found: list[tuple[str, str, object]] = []
        for store in STORES:
            found += [
                ("PUT", f"{store}/{run}/artifacts/old/MLmodel", "changed"),
                ("PUT", f"{store}/{run}/artifacts/old/new.txt", "changed"),
                ("PUT", f"{store}/{run}/artifacts/%6Fld/MLmodel", "changed"),
                ("DELETE", f"{store}/{run}/artifacts/old/MLmodel", None),
                ("DELETE", f"{store}/{run}/artifacts/old", None),
                ("DELETE", f"{store}/{run}/artifacts", None),
                ("DELETE", f"{store}/{run}", None),
                ("DELETE", f"{store}/{self.experiment}", None),
                ("PUT", f"{store}/{model}/artifacts/MLmodel", "changed"),
                ("DELETE", f"{store}/{model}/artifacts/MLmodel", None),
                ("DELETE", f"{store}/{model}/artifacts", None),
                ("DELETE", f"{store}/{model}", None),
                ("DELETE", f"{store}/{self.experiment}/models", None),
            ]
        for base in (API, AJAX):
            found += [
                ("DELETE", f"{base}logged-models/{self.model_id}", None),
                ("PATCH", f"{base}logged-models/{self.model_id}", {"status": "LOGGED_MODEL_READY"}),
                ("POST", f"{base}runs/delete", {"run_id": self.run}),
                ("POST", f"{base}runs/restore", {"run_id": self.run}),
                ("POST", f"{base}experiments/delete", {"experiment_id": self.experiment}),
            ]
        found.append(("POST", f"{AJAX}upload-artifact?run_uuid={self.run}&path=old/MLmodel", "changed"))
        return found


@pytest.fixture
def house() -> Iterator[House]:
    """`old` is a run's folder, as before MLflow 3; `victim` is a logged model's."""
    with ruled() as gate:
        seeded = run_client("seed.py", {"MLFLOW_TRACKING_URI": gate.mlflow.url}, "victim")
        assert isinstance(seeded, dict)
        ids = seeded["victim"]
        admin = gate.sekisho.token("root@example.com", "admin")
        house = House(gate, admin, ids["experiment"], ids["run"], ids["model_id"])
        folder = f"{STORES[0]}/{house.experiment}/{house.run}/artifacts"
        assert house.ask("PUT", f"{folder}/old/MLmodel", BYTES).status == 200
        house.past("POST", "registered-models/create", {"name": "old"})
        version = {"name": "old", "source": f"runs:/{house.run}/old", "run_id": house.run}
        house.past("POST", "model-versions/create", version)
        yield house


@pytest.mark.parametrize("stage", ["Staging", "Archived"])
def test_no_address_changes_frozen_files(house: House, stage: str) -> None:
    """Whoever asks; reading, tags and the run's other files stay as they are."""
    house.stands("old", stage)
    house.stands("victim", stage)
    before = house.gate.mlflow.state()
    for method, target, body in house.changes():
        answer = house.ask(method, target, body)
        assert (answer.status, answer.error_code()) == (403, "PERMISSION_DENIED"), (method, target, answer)
        assert b"nobody changes these files" in answer.body, (method, target, answer)
    assert before.difference(house.gate.mlflow.state()) == []
    folder = f"{STORES[0]}/{house.experiment}/{house.run}/artifacts"
    for method, target, body in [
        ("GET", f"{folder}/old/MLmodel", None),
        ("PUT", f"{folder}/plot.png", "a plot"),
        ("DELETE", f"{folder}/plot.png", None),
        ("POST", f"{API}runs/set-tag", {"run_id": house.run, "key": "k", "value": "v"}),
        ("PATCH", f"{API}logged-models/{house.model_id}/tags", {"tags": [{"key": "k", "value": "v"}]}),
    ]:
        answer = house.ask(method, target, body)
        assert answer.status == 200, (method, target, answer)


@pytest.mark.parametrize("path", ["runs/delete", "runs/restore", "experiments/delete"])
def test_a_run_of_which_only_a_logged_model_is_frozen(house: House, path: str) -> None:
    """Its own folder is no version that left Development; deleting it would hide the logged model's source all the same."""
    house.stands("victim", "Staging")
    for base in (API, AJAX):
        body = {"experiment_id": house.experiment} if path.startswith("experiments") else {"run_id": house.run}
        answer = house.ask("POST", base + path, body)
        assert answer.status == 403 and b"nobody changes these files" in answer.body, answer


def test_files_of_versions_in_development_are_changed(house: House) -> None:
    """The same requests, each of which MLflow takes or finds nothing for, none of which the gate refuses."""
    for method, target, body in house.changes():
        answer = house.ask(method, target, body)
        assert b"nobody changes these files" not in answer.body and answer.status != 403, (method, target, answer)


def test_what_is_in_production_is_neither_deleted_nor_renamed(house: House) -> None:
    """By both prefixes; archived it may go."""
    house.stands("old", "Production")
    attempts: list[tuple[str, str, object]] = [
        ("DELETE", "model-versions/delete", {"name": "old", "version": "1"}),
        ("POST", "registered-models/rename", {"name": "old", "new_name": "new"}),
        ("DELETE", "registered-models/delete", {"name": "old"}),
    ]
    for base in (API, AJAX):
        for method, path, body in attempts:
            answer = house.ask(method, base + path, body)
            assert (answer.status, answer.error_code()) == (403, "PERMISSION_DENIED"), (path, answer)
            assert b"version 1 of old is in Production" in answer.body, (path, answer)
    house.stands("old", "Archived")
    for method, path, body in [attempts[0], attempts[2]]:
        answer = house.ask(method, API + path, body)
        assert answer.status == 200, (path, answer)

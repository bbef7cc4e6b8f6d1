"""Files belong to the model that was registered from them, with the plain client and by every address of a real MLflow."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import quote

import pytest
from client_process import bearer, run_client
from conftest import LOGS, Gate, open_gate
from harness.mlflow_server import MlflowServer
from harness.rest import Answer, send
from harness.sekisho import Sekisho

API = "/api/2.0/mlflow/"
STORE = "/api/2.0/mlflow-artifacts/artifacts"
SECRET = "secret of victim"


@dataclass(frozen=True)
class House:
    """Two models of two people in one experiment, and what they were made from."""

    gate: Gate
    owner: str
    stranger: str
    experiment: str
    run: str
    model_id: str

    def ask(self, token: str | None, method: str, target: str, body: object = None) -> Answer:
        """One request through the gate."""
        return send(self.gate.url, method, target, token, body)

    def make(self, path: str, body: object) -> dict[str, dict]:
        """One thing made in MLflow, past the gate."""
        answer = send(self.gate.mlflow.url, "POST", API + path, None, body)
        assert answer.status == 200, answer.body
        return answer.json()

    def file(self, path: str) -> str:
        """The bytes of a file of MLflow's, as it has them."""
        return (self.gate.mlflow.artifacts / path).read_text()

    def addresses(self) -> list[tuple[str, str]]:
        """Every way to read the model's `MLmodel`, and what it is called in a failure."""
        folder = f"{self.experiment}/models/{self.model_id}/artifacts"
        return [
            ("GET", f"{STORE}/{folder}/MLmodel"),
            ("GET", f"/ajax-api/2.0/mlflow-artifacts/artifacts/{folder}/MLmodel"),
            ("GET", f"{STORE}?path={quote(folder)}"),
            ("GET", f"/ajax-api/2.0/mlflow/logged-models/{self.model_id}/artifacts/files?artifact_file_path=MLmodel"),
            ("GET", f"{API}logged-models/{self.model_id}/artifacts/directories"),
            ("GET", "/model-versions/get-artifact?name=victim&version=1&path=MLmodel"),
        ]


@pytest.fixture(scope="module")
def house() -> Iterator[House]:
    """The victim's model is seeded by the client, past the gate; its folder is a logged model's."""
    with open_gate() as gate:
        seeded = run_client("seed.py", {"MLFLOW_TRACKING_URI": gate.mlflow.url}, "victim")
        assert isinstance(seeded, dict)
        ids = seeded["victim"]
        owner = gate.sekisho.token("ann@example.com", "ml_engineer", ["victim"])
        stranger = gate.sekisho.token("eve@example.com", "ml_engineer", ["mine"])
        house = House(gate, owner, stranger, ids["experiment"], ids["run"], ids["model_id"])
        house.make("registered-models/create", {"name": "mine"})
        yield house


def test_who_may_not_read_the_model_reads_its_files_by_no_address(house: House) -> None:
    """Whoever sees the experiment sees the run, and not what became a model's."""
    for method, target in house.addresses():
        assert house.ask(house.owner, method, target).status == 200, target
        answer = house.ask(house.stranger, method, target)
        assert answer.status == 403 and SECRET.encode() not in answer.body, (target, answer)
    assert house.ask(house.stranger, "GET", f"/get-artifact?run_id={house.run}&path=note.txt").status == 200


def test_who_may_not_write_to_the_model_changes_none_of_its_files(house: House) -> None:
    """Neither a byte, nor a new file beside them, nor the folder above, nor the logged model itself."""
    before = house.gate.mlflow.state()
    folder = f"{house.experiment}/models/{house.model_id}"
    for method, target in [
        ("PUT", f"{STORE}/{folder}/artifacts/MLmodel"),
        ("PUT", f"{STORE}/{folder}/artifacts/new.txt"),
        ("DELETE", f"{STORE}/{folder}/artifacts/MLmodel"),
        ("DELETE", f"{STORE}/{folder}/artifacts"),
        ("DELETE", f"{STORE}/{folder}"),
        ("DELETE", f"{STORE}/{house.experiment}/models"),
        ("DELETE", f"{STORE}/{house.experiment}"),
        ("DELETE", f"{API}logged-models/{house.model_id}"),
    ]:
        answer = house.ask(house.stranger, method, target, "x" if method == "PUT" else None)
        assert answer.status == 403, (target, answer)
    assert before.difference(house.gate.mlflow.state()) == []
    path = f"{folder}/artifacts/python_env.yaml"
    assert house.ask(house.owner, "PUT", f"{STORE}/{path}", {"python": "3"}).status == 200
    assert json.loads(house.file(path)) == {"python": "3"}


def test_a_runs_folder_is_the_models_that_was_registered_from_it(house: House) -> None:
    """`runs:/RUN/model`, as clients before MLflow 3 register; the run's other files stay the experiment's."""
    run = house.make("runs/create", {"experiment_id": house.experiment})["run"]["info"]["run_id"]
    folder = f"{house.experiment}/{run}/artifacts"
    for name in ("model/MLmodel", "plot.png"):
        assert house.ask(house.owner, "PUT", f"{STORE}/{folder}/{name}", SECRET).status == 200
    assert house.ask(house.stranger, "GET", f"/get-artifact?run_id={run}&path=model/MLmodel").status == 200
    made = {"name": "victim", "source": f"runs:/{run}/model", "run_id": run}
    assert house.ask(house.owner, "POST", f"{API}model-versions/create", made).status == 200
    for target in [
        f"/get-artifact?run_id={run}&path=model/MLmodel",
        f"/get-artifact?run_uuid={run}&path=model/MLmodel",
        f"{API}artifacts/list?run_id={run}&path=model",
        f"{STORE}/{folder}/model/MLmodel",
    ]:
        assert house.ask(house.stranger, "GET", target).status == 403, target
        assert house.ask(house.owner, "GET", target).status == 200, target
    upload = f"/ajax-api/2.0/mlflow/upload-artifact?run_uuid={run}&path="
    assert house.ask(house.stranger, "POST", f"{upload}model/MLmodel", "changed").status == 403
    assert house.ask(house.stranger, "POST", f"{upload}plot.png", "changed").status == 200
    assert house.ask(house.stranger, "POST", f"{API}runs/delete", {"run_id": run}).status == 403
    assert house.file(f"{folder}/model/MLmodel") == json.dumps(SECRET)


def test_a_copy_opens_its_files_to_its_readers_alone(house: House) -> None:
    """And when the original is deleted, the copy's model has them."""
    both = house.gate.sekisho.token("bob@example.com", "ml_engineer", ["orig", "copy"])
    of_copy = house.gate.sekisho.token("cyd@example.com", "ml_engineer", ["copy"])
    run = house.make("runs/create", {"experiment_id": house.experiment})["run"]["info"]["run_id"]
    target = f"{STORE}/{house.experiment}/{run}/artifacts/model/MLmodel"
    assert house.ask(both, "PUT", target, "orig").status == 200
    for name, source in [("orig", f"runs:/{run}/model"), ("copy", "models:/orig/1")]:
        assert house.ask(both, "POST", f"{API}registered-models/create", {"name": name}).status == 200
        made = house.ask(both, "POST", f"{API}model-versions/create", {"name": name, "source": source, "run_id": run})
        assert made.status == 200, made
    assert house.ask(of_copy, "GET", target).status == 200
    assert house.ask(of_copy, "PUT", target, "changed").status == 403
    assert house.ask(house.stranger, "GET", target).status == 403
    deleted = send(
        house.gate.mlflow.url, "DELETE", f"{API}model-versions/delete", None, {"name": "orig", "version": "1"}
    )
    assert deleted.status == 200
    assert house.ask(of_copy, "PUT", target, "the copy's").status == 200
    assert house.ask(house.stranger, "GET", target).status == 403


def test_files_of_a_deleted_run_or_logged_model_are_still_the_models(house: House) -> None:
    """Deleting what they came from, past the gate, hides it in MLflow and leaves the files where they are."""
    made = house.make("logged-models", {"experiment_id": house.experiment})["model"]["info"]
    target = f"{STORE}/{house.experiment}/models/{made['model_id']}/artifacts/MLmodel"
    assert house.ask(house.owner, "PUT", target, SECRET).status == 200
    version = {"name": "victim", "source": f"models:/{made['model_id']}", "model_id": made["model_id"]}
    assert house.ask(house.owner, "POST", f"{API}model-versions/create", version).status == 200
    gone = send(house.gate.mlflow.url, "DELETE", f"{API}logged-models/{made['model_id']}", None)
    assert gone.status == 200, gone
    assert house.ask(house.stranger, "GET", target).status == 403
    assert house.ask(house.stranger, "PUT", target, "changed").status == 403
    assert house.ask(house.owner, "GET", target).status == 200


def test_a_model_is_loaded_without_a_right_on_its_experiment() -> None:
    """Files that belong to a model ask for nothing of the experiment that they came from."""
    rows = [f"p, role:server, model:*, {permission}, allow" for permission in ("model_read", "metadata_read")]
    with MlflowServer(LOGS) as mlflow, Sekisho(mlflow.url, LOGS, rows) as sekisho:
        seeded = run_client("seed.py", {"MLFLOW_TRACKING_URI": mlflow.url}, "victim")
        assert isinstance(seeded, dict)
        token = sekisho.token("serving@example.com", "server", ["victim"])
        place = ("victim", seeded["victim"]["experiment"], seeded["victim"]["run"])
        came = run_client("attempts.py", bearer(sekisho.url, token), *place, "load", "read file", "upload")
        assert isinstance(came, dict)
        codes = {name: said["code"] for name, said in came.items()}
        assert codes == {"load": "", "read file": "PERMISSION_DENIED", "upload": "PERMISSION_DENIED"}

"""What sekisho says of a version by itself: its digest, its files, what it depends on and what it lacks, on both state stores."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote, unquote, urlsplit

import pytest
from client_process import bearer, run_client
from conftest import LOGS, need_binary
from harness import postgres
from harness.mlflow_server import MlflowServer
from harness.postgres import Postgres
from harness.recorder import Recorder
from harness.rest import Answer, send
from harness.sekisho import Sekisho
from test_digest import script_of
from test_state import eventually

API = "/api/2.0/mlflow/"
STORES = ["sqlite", "postgres"]
NAMES = itertools.starmap(
    "{}_{}_{}_{}".format,
    itertools.product(
        ["recommendation", "fraud_detection", "demand_forecasting"],
        ["xgboost", "neural_network", "ensemble"],
        ["accuracy", "auc", "rmse", "f1score"],
        ["dev", "staging"],
    ),
)
KEYS = [
    "business_owner",
    "technical_owner",
    "model_purpose",
    "data_sources",
    "training_data_version",
    "feature_importance",
    "performance_metrics",
    "resource_requirements",
    "compliance_status",
]


@dataclass(frozen=True)
class House:
    """A sekisho that enforces the house rules, an MLflow behind a relay, and who may do what."""

    sekisho: Sekisho
    mlflow: MlflowServer
    wire: Recorder
    owner: str
    other: str
    reader: str
    auditor: str

    def ask(self, method: str, path: str, body: object = None, token: str | None = None) -> Answer:
        """One request through sekisho, by the owner unless said otherwise."""
        return send(self.sekisho.url, method, path, token or self.owner, body)

    def write(self, method: str, path: str, body: object) -> dict:
        """One that must go well."""
        answer = self.ask(method, API + path, body)
        assert answer.status == 200, answer.body
        return answer.json()

    def past(self, path: str, body: object) -> dict:
        """One to MLflow, past sekisho."""
        answer = send(self.mlflow.url, "POST", API + path, None, body)
        assert answer.status == 200, answer.body
        return answer.json()

    def view(self, name: str, version: int | str = 1, token: str | None = None) -> Answer:
        """What is shown of a version."""
        return self.ask("GET", f"{at(name, version)}", token=token)

    def digest(self, name: str, version: int = 1) -> dict:
        """What is shown of its digest."""
        answer = self.view(name, version)
        assert answer.status == 200, answer.body
        return answer.json()["digest"]

    def settled(self, name: str, version: int = 1, state: str = "taken", of: str | None = None) -> dict:
        """Its digest, once that is in this state, and of these bytes."""

        def is_so() -> bool:
            found = self.digest(name, version)
            return found["state"] == state and (of is None or found.get("sha256") == of)

        try:
            eventually(is_so, 40)
        except AssertionError as late:
            raise AssertionError(f"{name}/{version}: {self.digest(name, version)}") from late
        return self.digest(name, version)

    def take(self, name: str, version: int = 1, token: str | None = None, **body: object) -> Answer:
        """Asks for its digest to be taken again."""
        return self.ask("POST", f"{at(name, version)}/digest", body, token)

    def tags(self, name: str, version: int = 1) -> dict[str, str]:
        """Its tags, as MLflow has them."""
        query = f"{API}model-versions/get?name={quote(name)}&version={version}"
        found = send(self.mlflow.url, "GET", query).json()["model_version"]
        return {tag["key"]: tag["value"] for tag in found.get("tags", [])}

    def files(self, files: dict[str, bytes]) -> tuple[str, Path]:
        """A new logged model with these files: its id, and where they really are."""
        made = self.write("POST", "logged-models", {"experiment_id": "0"})["model"]["info"]
        folder = where(self.mlflow, made["artifact_uri"])
        for name, data in files.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(data)
        return made["model_id"], folder

    def version(self, name: str, model_id: str, tags: dict[str, str] | None = None) -> int:
        """Registers a logged model's files; its number."""
        self.ask("POST", f"{API}registered-models/create", {"name": name})
        listed = [{"key": key, "value": value} for key, value in (tags or {}).items()]
        body = {"name": name, "source": f"models:/{model_id}", "model_id": model_id, "tags": listed}
        return int(self.write("POST", "model-versions/create", body)["model_version"]["version"])

    def made(self, **files: bytes) -> tuple[str, Path]:
        """A new registered model whose first version has these files, and a digest."""
        name = next(NAMES)
        model_id, folder = self.files(files or {"MLmodel": b"one"})
        assert self.version(name, model_id) == 1
        self.settled(name, of=script_of(folder))
        return name, folder


def at(name: str, version: int | str) -> str:
    """The address of a version."""
    return f"/sekisho/v1/models/{quote(name, safe='')}/versions/{version}"


def where(mlflow: MlflowServer, uri: str) -> Path:
    """The folder of an artifact address."""
    place = urlsplit(uri)
    path = unquote(place.path)
    return mlflow.artifacts / path.lstrip("/") if place.scheme == "mlflow-artifacts" else Path(path)


def database(kind: str, stack: ExitStack) -> str | None:
    """The address of a state store of this kind; nothing is a file of sekisho's own."""
    if kind == "sqlite":
        return None
    try:
        postgres.programs()
    except postgres.Missing as reason:
        pytest.skip(str(reason))
    return stack.enter_context(Postgres()).database()


@contextmanager
def opened(url: str | None, arguments: tuple[str, ...] = ()) -> Iterator[House]:
    """A house with this state store."""
    need_binary()
    settings: dict[str, dict[str, object]] = {"rules": {"mode": "enforce"}}
    settings |= {"state": {"url": url}} if url else {}
    with (
        MlflowServer(LOGS, arguments=arguments) as mlflow,
        Recorder(mlflow.url) as wire,
        Sekisho(wire.url, LOGS, settings=settings) as sekisho,
    ):
        token = sekisho.token
        yield House(
            sekisho,
            mlflow,
            wire,
            owner=token("ann@example.com", "ml_engineer", ["*_dev", "*_staging"]),
            other=token("eve@example.com", "ml_engineer", ["*_prod"]),
            reader=token("pam@example.com", "product_manager", ["*"]),
            auditor=token("kim@example.com", "auditor", ["*"]),
        )


@pytest.fixture(scope="module", params=STORES)
def house(request: pytest.FixtureRequest) -> Iterator[House]:
    """One on each state store."""
    with ExitStack() as stack:
        yield stack.enter_context(opened(database(request.param, stack)))


def test_what_the_plain_client_registers(house: House) -> None:
    """Logged, by the run's name, and copied: the same files, the same digest, also in the tags."""
    name, copy = next(NAMES), next(NAMES)
    ids = run_client("log_versions.py", bearer(house.sekisho.url, house.owner), name, copy)
    logged = send(house.mlflow.url, "GET", f"{API}logged-models/{ids['model']}").json()["model"]["info"]
    folder = where(house.mlflow, logged["artifact_uri"])
    expected = script_of(folder)
    for model, version in ((name, 1), (name, 2), (copy, 1)):
        taken = house.settled(model, version)
        assert taken["sha256"] == expected, (model, version)
        assert taken["dependencies"][1:] == ["numpy", "scikit-learn<1.4,>=1.3"]
        assert taken["dependencies"][0].startswith("mlflow==")
        paths = {path.relative_to(folder).as_posix(): path.stat().st_size for path in folder.rglob("*") if path.is_file()}
        assert {file["path"]: file["size"] for file in taken["files"]} == paths
        eventually(lambda of=(model, version): "sekisho.dependencies" in house.tags(*of))
        tags = house.tags(model, version)
        assert tags["model_hash"] == expected
        assert json.loads(tags["sekisho.dependencies"]) == taken["dependencies"]
    seen = house.view(name).json()
    assert (seen["name"], seen["version"], seen["stage"]) == (name, "1", "Development")
    assert [lack["key"] for lack in seen["lacks"]] == KEYS
    old = quote('dependencies has "scikit-learn < 1.4"')
    found = house.ask("GET", f"/sekisho/v1/search?where={old}").json()
    assert {(row["name"], row["version"]) for row in found["model_versions"]} >= {(name, "1"), (name, "2"), (copy, "1")}


def test_a_folder_in_mlflows_own_store_by_its_address(house: House) -> None:
    """As clients of older releases register it."""
    run = house.write("POST", "runs/create", {"experiment_id": "0"})["run"]["info"]
    path = f"{run['artifact_uri'].removeprefix('mlflow-artifacts:/')}/model"
    for file in ("MLmodel", "data/é ü.bin"):
        target = f"/api/2.0/mlflow-artifacts/artifacts/{quote(f'{path}/{file}')}"
        assert house.ask("PUT", target, file.encode()).status == 200
    name = next(NAMES)
    house.write("POST", "registered-models/create", {"name": name})
    source = f"{run['artifact_uri']}/model"
    house.write("POST", "model-versions/create", {"name": name, "source": source, "run_id": run["run_id"]})
    house.settled(name, of=script_of(where(house.mlflow, source)))


def test_what_is_missing_goes_as_it_is_said(house: House) -> None:
    """Each key by itself, with what was expected."""
    name, _ = house.made()
    for key, wrong, right in (
        ("business_owner", "ann", "ann@example.com"),
        ("performance_metrics", '{"accuracy": 1}', '{"accuracy": 1, "precision": 1, "recall": 1}'),
    ):
        for value, lacking in ((wrong, True), (right, False)):
            house.write("POST", "model-versions/set-tag", {"name": name, "version": "1", "key": key, "value": value})
            lacks = {lack["key"]: lack["what"] for lack in house.view(name).json()["lacks"]}
            assert (key in lacks) == lacking, lacks
    seen = house.view(name).json()
    assert (seen["business_owner"], seen["technical_owner"]) == ("ann@example.com", None)


def test_bytes_that_change_behind_our_back_do_not_pass(house: House) -> None:
    """They show when the digest is taken again, the kept one stays, and only on purpose is it replaced."""
    name, folder = house.made(MLmodel=b"one", more=b"two")
    before = script_of(folder)
    (folder / "MLmodel").write_bytes(b"onf")
    now = script_of(folder)
    assert house.digest(name)["state"] == "taken"
    assert house.take(name).json() == {"state": "waiting"}
    seen = house.settled(name, state="mismatch")
    assert seen["sha256"] == before == house.tags(name)["model_hash"]
    assert now in seen["reason"]
    # Looking again, or a tag, does not make it go away.
    house.write("POST", "model-versions/set-tag", {"name": name, "version": "1", "key": "k", "value": "v"})
    assert house.digest(name)["state"] == "mismatch"
    assert house.take(name, replace=True).status == 200
    house.settled(name, of=now)
    eventually(lambda: house.tags(name)["model_hash"] == now)
    (folder / "MLmodel").write_bytes(b"one")
    house.take(name)
    house.settled(name, state="mismatch")
    (folder / "MLmodel").write_bytes(b"onf")
    house.take(name)
    house.settled(name, of=now)


def test_the_owner_changes_files_through_sekisho(house: House) -> None:
    """Nothing is amiss: there is a new digest."""
    run = house.write("POST", "runs/create", {"experiment_id": "0"})["run"]["info"]
    path = f"/api/2.0/mlflow-artifacts/artifacts/{run['artifact_uri'].removeprefix('mlflow-artifacts:/')}/model/MLmodel"
    assert house.ask("PUT", path, b"one").status == 200
    name, copy = next(NAMES), next(NAMES)
    for model, source in ((name, f"{run['artifact_uri']}/model"), (copy, f"models:/{name}/1")):
        house.write("POST", "registered-models/create", {"name": model})
        house.write("POST", "model-versions/create", {"name": model, "source": source, "run_id": run["run_id"]})
    folder = where(house.mlflow, f"{run['artifact_uri']}/model")
    before = script_of(folder)
    for model in (name, copy):
        house.settled(model, of=before)
    assert house.ask("PUT", path, b"two").status == 200
    for model in (name, copy):
        house.settled(model, of=script_of(folder))
        assert house.digest(model)["state"] == "taken"


def test_a_name_that_is_used_again_is_another_model(house: House) -> None:
    """Neither the digest of its first version nor a mismatch are those of the one before."""
    name, folder = house.made()
    before = script_of(folder)
    (folder / "MLmodel").write_bytes(b"changed")
    house.take(name)
    house.settled(name, state="mismatch")
    house.write("DELETE", "registered-models/delete", {"name": name})
    assert house.view(name).status == 404
    model_id, folder = house.files({"MLmodel": b"another"})
    # Past sekisho, which therefore hears of it when somebody looks.
    house.past("registered-models/create", {"name": name})
    house.past("model-versions/create", {"name": name, "source": f"models:/{model_id}", "model_id": model_id})
    first = house.digest(name)
    assert first.get("sha256") != before
    assert first["state"] != "mismatch"
    house.settled(name, of=script_of(folder))
    # And by way of sekisho.
    house.write("DELETE", "registered-models/delete", {"name": name})
    model_id, folder = house.files({"MLmodel": b"a third"})
    assert house.version(name, model_id) == 1
    house.settled(name, of=script_of(folder))


def test_a_new_name_keeps_it(house: House) -> None:
    """It is not read again: the time at which it was taken stays."""
    name, folder = house.made()
    before, new_name = house.digest(name), next(NAMES)
    house.write("POST", "registered-models/rename", {"name": name, "new_name": new_name})
    assert house.digest(new_name) == before
    assert before["sha256"] == script_of(folder)
    assert house.view(name).status == 404


def test_what_was_registered_past_sekisho_is_read_when_it_is_looked_at(house: House) -> None:
    """And a tag that somebody wrote over is put right."""
    name = next(NAMES)
    model_id, folder = house.files({"MLmodel": b"x"})
    house.past("registered-models/create", {"name": name})
    house.past("model-versions/create", {"name": name, "source": f"models:/{model_id}", "model_id": model_id})
    assert "model_hash" not in house.tags(name)
    house.settled(name, of=script_of(folder))
    eventually(lambda: house.tags(name).get("model_hash") == script_of(folder))
    for key, value in (("model_hash", "0" * 64), ("sekisho.dependencies", "[]")):
        right = house.tags(name)[key]
        if right == value:
            continue
        house.past("model-versions/set-tag", {"name": name, "version": "1", "key": key, "value": value})
        assert house.digest(name)["sha256"] == script_of(folder)
        eventually(lambda key=key, right=right: house.tags(name)[key] == right)


def test_nobody_else_writes_its_tags(house: House) -> None:
    """Neither by themselves nor while registering."""
    name, _ = house.made()
    for key in ("model_hash", "sekisho.dependencies"):
        body = {"name": name, "version": "1", "key": key, "value": "x"}
        assert house.ask("POST", f"{API}model-versions/set-tag", body).status == 403
        assert house.ask("DELETE", f"{API}model-versions/delete-tag", body).status == 403
        body = {"name": name, "source": "models:/m-1", "tags": [{"key": key, "value": "x"}]}
        assert house.ask("POST", f"{API}model-versions/create", body).status == 403


def test_a_version_without_files_has_none_and_says_so(house: House) -> None:
    """When there are files, it is taken if somebody asks for it."""
    name = next(NAMES)
    model_id, folder = house.files({})
    house.version(name, model_id)
    seen = house.settled(name, state="failed")
    assert seen["reason"] == "there are no files"
    assert "model_hash" not in house.tags(name)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "MLmodel").write_bytes(b"late")
    house.take(name)
    house.settled(name, of=script_of(folder))


def test_who_may_look_and_who_may_ask(house: House) -> None:
    """A hidden model is a missing one, in every word."""
    name, _ = house.made()
    missing = next(NAMES)
    hidden, absent = house.view(name, token=house.other), house.view(missing, token=house.other)
    assert hidden.status == absent.status in (403, 404)
    assert hidden.body.replace(name.encode(), missing.encode()) == absent.body
    hidden, absent = house.take(name, token=house.other), house.take(missing, token=house.other)
    assert hidden.status == absent.status in (403, 404)
    assert hidden.body.replace(name.encode(), missing.encode()) == absent.body
    for token in (house.reader, house.auditor):
        assert house.view(name, token=token).status == 200
        assert house.take(name, token=token).status == 403
    assert house.view(name, token="x").status == 401
    assert house.digest(name)["state"] == "taken"


def test_a_version_that_is_not_there(house: House) -> None:
    """In MLflow's words; what is no version is no question."""
    name, _ = house.made()
    for version in (2, 10**9):
        theirs = send(house.mlflow.url, "GET", f"{API}model-versions/get?name={name}&version={version}")
        for ours in (house.view(name, version), house.take(name, version)):
            assert (ours.status, ours.error_code()) == (404, "RESOURCE_DOES_NOT_EXIST")
            assert ours.json()["message"] == theirs.json()["message"]
    for version in ("01", "0", "-1", "+1", "1.0", "x", "%20", "1%00", "99999999999999999999", "2147483648"):
        assert house.view(name, version).status in (400, 404), version
        assert house.ask("POST", f"{at(name, version)}/digest", {}).status in (400, 404), version
    for version in ("01", "0", "-1", "99999999999999999999"):
        assert house.view(name, version).status == 400, version
        assert house.ask("POST", f"{at(name, version)}/digest", {}).status == 400, version
    for body in ({"replace": "yes"}, {"replace": 2}, [], b"{"):
        assert house.ask("POST", f"{at(name, 1)}/digest", body).status == 400, body


def test_it_outlives_the_process(house: House) -> None:
    """It is in the state store, and is not taken again."""
    name, _ = house.made()
    before = house.digest(name)
    house.sekisho.restart()
    assert house.digest(name) == before


def test_what_could_not_be_done_is_done_later(house: House) -> None:
    """MLflow is away while files are read, and while tags are written; then nothing is read a second time."""
    name, other = next(NAMES), next(NAMES)
    for refused, reads_again in (("mlflow-artifacts", True), ("model-versions/set-tag", False)):
        model, (model_id, folder) = (name if reads_again else other), house.files({"MLmodel": b"x"})
        house.wire.refuse(refused)
        try:
            house.version(model, model_id)
            if reads_again:
                eventually(lambda model=model: "503" in house.digest(model).get("reason", ""))
                assert house.digest(model)["state"] == "waiting"
            else:
                house.settled(model, of=script_of(folder))
                eventually(lambda: any("set-tag" in seen.target for seen in house.wire.take()))
            assert "model_hash" not in house.tags(model)
        finally:
            house.wire.refuse(None)
        house.wire.take()
        eventually(lambda model=model: "sekisho.dependencies" in house.tags(model))
        house.settled(model, of=script_of(folder))
        assert any("mlflow-artifacts" in seen.target for seen in house.wire.take()) == reads_again


def test_what_is_left_to_do_follows_a_new_name(house: House) -> None:
    """The tags could not be written under the old one."""
    name, new_name = next(NAMES), next(NAMES)
    model_id, folder = house.files({"MLmodel": b"x"})
    house.wire.refuse("model-versions/set-tag")
    try:
        house.version(name, model_id)
        house.settled(name, of=script_of(folder))
        house.write("POST", "registered-models/rename", {"name": name, "new_name": new_name})
    finally:
        house.wire.refuse(None)
    eventually(lambda: house.tags(new_name).get("model_hash") == script_of(folder))
    house.settled(new_name, of=script_of(folder))


def test_a_local_artifact_root(tmp_path: Path) -> None:
    """Files that MLflow does not serve from a store of its own."""
    with opened(None, ("--default-artifact-root", str(tmp_path), "--no-serve-artifacts")) as house:
        name, folder = house.made(**{"MLmodel": b"x", "data/é": b"", "requirements.txt": b"numpy==1.26.4\n"})
        assert folder.is_relative_to(tmp_path)
        assert house.digest(name)["dependencies"] == ["numpy==1.26.4"]


def test_a_state_store_that_goes_and_comes_back() -> None:
    """The view says so, versions are registered all the same, and their digests are taken afterwards."""
    try:
        postgres.programs()
    except postgres.Missing as reason:
        pytest.skip(str(reason))
    with Postgres() as server, opened(server.database()) as house:
        name, folder = house.made()
        server.kill()
        try:
            seen = [house.view(name) for _ in range(5)]
            assert {answer.status for answer in seen} == {200}
            assert all(answer.json()["digest"]["state"] == "unknown" for answer in seen)
            # What cannot be known is not shown as if nothing were missing.
            assert all(answer.json()["next"] is None and answer.json()["next_unknown"] for answer in seen)
            assert all("PostgreSQL" in answer.json()["digest"]["reason"] for answer in seen)
            late = next(NAMES)
            model_id, other = house.files({"MLmodel": b"late"})
            assert house.version(late, model_id) == 1
            assert house.take(name).status == 200
            assert "model_hash" not in house.tags(late)
        finally:
            server.start()
        eventually(lambda: house.tags(late).get("model_hash") == script_of(other), 40)
        house.settled(late, of=script_of(other))
        house.settled(name, of=script_of(folder))

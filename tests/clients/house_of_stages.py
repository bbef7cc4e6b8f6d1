"""A house with rules of stages, and all who have a hand in a promotion, each with a token."""

from __future__ import annotations

import sqlite3
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from urllib.parse import quote

import mlflow
import pytest
from conftest import LOGS, need_binary
from harness import postgres
from harness.mlflow_server import MlflowServer
from harness.rest import Answer
from harness.sekisho import Sekisho
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException
from ruled import API, GOOD, Ruled

MODEL = "fraud_detection_neural_network_f1score_staging"
ANN, CARA, DAN, ROOT, CI = "ann@example.com", "cara@example.com", "dan@example.com", "root@example.com", "ci@example.com"
AJAX = "/ajax-api/2.0/mlflow/"
OURS = "/sekisho/v1/"
FILES = "/api/2.0/mlflow-artifacts/artifacts"
# What lets a version out of Development.
FIRST = ("unit_test", "data_validation")
DAY = 24 * 60 * 60 * 1_000_000


class House:
    """Those who have a hand in a promotion, each with a token."""

    def __init__(self, ruled: Ruled) -> None:
        self.ruled = ruled
        self.ann = ruled.token(role="ml_engineer", user=ANN)
        self.cara = ruled.token(role="product_manager", user=CARA)
        self.dan = ruled.token(role="devops_engineer", user=DAN)
        self.root = ruled.token(role="admin", user=ROOT)
        self.ci = ruled.token(role="ci", user=CI)
        self.folders: dict[str, str] = {}

    def register(self, name: str = MODEL) -> str:
        """A version with files and the nine keys."""
        with self.ruled.acting(self.ann) as client:
            experiment = experiment_of(client)
            with mlflow.start_run(experiment_id=experiment) as run:
                mlflow.log_text("weights", "model/weights.txt")
            if not self.ruled.exists(name):
                client.create_registered_model(name)
            run_id = run.info.run_id
            made = client.create_model_version(name, f"runs:/{run_id}/model", run_id, tags=GOOD)
        self.folders[f"{name}/{made.version}"] = f"{FILES}/{experiment}/{run_id}/artifacts/model"
        return made.version

    def upload(self, version: str, text: str, token: str | None = None, name: str = MODEL) -> Answer:
        """Other bytes, by the owner if nobody else is named."""
        target = f"{self.folders[f'{name}/{version}']}/weights.txt"
        return self.ruled.ask(token or self.ann, "PUT", target, text.encode())

    def move(self, token: str, version: str, stage: str, name: str = MODEL, archive: bool = False) -> str:
        """The stage that the plain client is told after a transition."""
        with self.ruled.acting(token) as client:
            return client.transition_model_version_stage(name, version, stage, archive).current_stage

    def refused(self, token: str, version: str, stage: str, name: str = MODEL) -> str:
        """The sentence with which a transition is refused."""
        with pytest.raises(MlflowException) as caught:
            self.move(token, version, stage, name)
        assert caught.value.error_code == "PERMISSION_DENIED", caught.value
        return str(caught.value)

    def stage(self, version: str, name: str = MODEL) -> str:
        """Where the plain client sees it."""
        with self.ruled.acting(self.ann) as client:
            return client.get_model_version(name, version).current_stage

    def tested(self, version: str, *tests: str, result: str = "passed", name: str = MODEL) -> None:
        """Tests are reported with the plain client."""
        with self.ruled.acting(self.ci) as client:
            for test in tests:
                client.set_model_version_tag(name, version, f"evidence.{test}", result)

    def ask(self, token: str, version: str, stage: str, name: str = MODEL) -> Answer:
        """Asks for a transition."""
        body = {"name": name, "version": version, "stage": stage, "comment": "please"}
        return self.ruled.ask(token, "POST", f"{OURS}approvals", body)

    def asked(self, token: str, version: str, stage: str, name: str = MODEL) -> int:
        """The number of a request."""
        answer = self.ask(token, version, stage, name)
        assert answer.status == 200, answer.body
        return answer.json()["request"]["number"]

    def approve(self, token: str, number: int) -> Answer:
        """Approves it, or tries to."""
        return self.ruled.ask(token, "POST", f"{OURS}approvals/{number}/approve", {"comment": "fine"})

    def approved(self, token: str, number: int) -> dict:
        """The request after somebody approved it."""
        answer = self.approve(token, number)
        assert answer.status == 200, answer.body
        return answer.json()["request"]

    def request(self, number: int) -> dict:
        """A request as it is now."""
        answer = self.ruled.ask(self.root, "GET", f"{OURS}approvals/{number}")
        assert answer.status == 200, answer.body
        return answer.json()["request"]

    def history(self, version: str, name: str = MODEL) -> dict:
        """How a version came where it stands."""
        answer = self.ruled.ask(self.root, "GET", f"{OURS}models/{quote(name)}/versions/{version}/history")
        assert answer.status == 200, answer.body
        return answer.json()

    def view(self, version: str, name: str = MODEL) -> dict:
        """The version as sekisho tells of it."""
        answer = self.ruled.ask(self.root, "GET", f"{OURS}models/{quote(name)}/versions/{version}")
        assert answer.status == 200, answer.body
        return answer.json()

    def way(self, version: str, name: str = MODEL) -> list[str]:
        """The stages that it has come to, the latest first."""
        return [made["to"] for made in self.history(version, name)["transitions"]]

    def tag(self, token: str, version: str, key: str, value: str, base: str = API, name: str = MODEL) -> Answer:
        """Sets a tag with a plain request."""
        body = {"name": name, "version": version, "key": key, "value": value}
        return self.ruled.ask(token, "POST", f"{base}model-versions/set-tag", body)

    def rows(self, sql: str) -> None:
        """Changes the state store behind everybody's back."""
        change_store(self.ruled.sekisho, sql)

    def put_rows(self, old: str, new: str) -> None:
        """Changes policy.csv, whole."""
        put(self.ruled.sekisho, "policy.csv", {old: new})


def experiment_of(client: MlflowClient, name: str = "fraud") -> str:
    """The experiment of that name, made where it is not: `set_experiment` would also be in force in the next test file."""
    found = client.get_experiment_by_name(name)
    return found.experiment_id if found else client.create_experiment(name)


def change_store(sekisho: Sekisho, sql: str) -> None:
    """Changes the state store behind everybody's back, in one transaction."""
    url = tomllib.loads(sekisho.config.read_text())["state"]["url"]
    if url.startswith("sqlite://"):
        with closing(sqlite3.connect(url.removeprefix("sqlite://"), timeout=30)) as store:
            store.executescript(f"BEGIN IMMEDIATE; {sql}; COMMIT")
    else:
        postgres.shared().query(sql, postgres.name_of(url))


def put(sekisho: Sekisho, file: str, edits: Mapping[str, str]) -> None:
    """Puts a changed file of the policies in place; what stands in it several times is changed there first."""
    place = sekisho.folder / "policies" / file
    text = place.read_text()
    for old, new in edits.items():
        assert old in text, old
        text = text.replace(old, new, 1)
    fresh = sekisho.folder / "policies.new"
    fresh.write_text(text)
    fresh.replace(place)


@contextmanager
def house_of_stages(
    rows: Sequence[str] = (),
    stages: Mapping[str, str] | None = None,
    more: str = "",
    behind: tuple[MlflowServer, str] | None = None,
    state: str | None = None,
    program: Path | None = None,
) -> Iterator[House]:
    """Starts a house. `stages` are edits of stages.toml, `more` is written at its end; `behind` is an MLflow, and the
    address by which sekisho finds it; `program` is what is started instead of sekisho."""
    need_binary()
    with ExitStack() as stack:
        server, url = behind or (None, "")
        if server is None:
            server = stack.enter_context(MlflowServer(LOGS))
            url = server.url
        settings: dict[str, dict[str, object]] = {"rules": {"mode": "enforce"}}
        if state is not None:
            settings["state"] = {"url": state}
        sekisho = Sekisho(url, LOGS, rows, settings=settings, program=program)
        put(sekisho, "stages.toml", stages or {})
        with (sekisho.folder / "policies" / "stages.toml").open("a") as sink:
            sink.write(more)
        yield House(Ruled(stack.enter_context(sekisho), server))

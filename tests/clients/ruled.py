"""A gate that holds callers to the house rules, and the plain Python client in the hands of one of them."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

import mlflow
import pytest
from conftest import LOGS, Gate, need_binary
from harness.mlflow_server import MlflowServer
from harness.rest import Answer, send
from harness.sekisho import Sekisho
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException

API = "/api/2.0/mlflow/"
# A refusal that takes longer was repeated by the client.
FAST = 5.0
# What is to be so by and by, is so until then.
SOON = 20.0
STAGES = (
    "Development", "Integration_Test", "Performance_Test", "User_Acceptance_Test", "Staging", "Canary", "Production", "Shadow",
    "Archived", "Deprecated",
)  # fmt: skip
# From everywhere to everywhere, for nothing.
OPEN_STAGES = "\n".join(
    f"[[transitions]]\nfrom = {json.dumps([stage for stage in STAGES if stage != to])}\nto = {json.dumps(to)}\nrequired_approvals = 0"
    for to in STAGES
)
GOOD = {
    "business_owner": "ann@example.com",
    "technical_owner": "team-a",
    "model_purpose": "finds fraud",
    "data_sources": json.dumps(["s3://bucket/train"]),
    "training_data_version": "2026-01",
    "feature_importance": json.dumps({"age": 0.4}),
    "performance_metrics": json.dumps({"accuracy": 0.91, "precision": 0.9, "recall": 0.88}),
    "resource_requirements": json.dumps({"memory": "2Gi"}),
    "compliance_status": "approved",
}


@dataclass(frozen=True)
class Ruled(Gate):
    """Sekisho with rules in force, and the MLflow behind it."""

    def token(self, *models: str, role: str = "ml_engineer", user: str = "ann@example.com") -> str:
        """Somebody's token; everybody's models, if none is named."""
        return self.sekisho.token(user, role, models or ("*",))

    @contextmanager
    def acting(self, token: str) -> Iterator[MlflowClient]:
        """The plain client, with nothing but what a user would set."""
        with acting(self.url, token) as client:
            yield client

    def past(self, path: str, **body: object) -> dict[str, dict]:
        """One thing made in MLflow, past the gate."""
        answer = send(self.mlflow.url, "POST", API + path, None, body)
        assert answer.status == 200, answer.body
        return answer.json()

    def ask(self, token: str | None, method: str, target: str, body: object = None) -> Answer:
        """One request through the gate."""
        return send(self.url, method, target, token, body)

    def version(self, model: str, source: str | None = None, **tags: str) -> str:
        """A version made past the gate; its model too, where it is not there."""
        send(self.mlflow.url, "POST", f"{API}registered-models/create", None, {"name": model})
        kept = [{"key": key, "value": value} for key, value in tags.items()]
        where = {"source": source} if source else self.files()
        made = self.past("model-versions/create", name=model, tags=kept, **where)
        return made["model_version"]["version"]

    def files(self) -> dict[str, str]:
        """A run's folder with a file in it, made past the gate."""
        run = self.past("runs/create", experiment_id="0")["run"]["info"]["run_id"]
        folder = f"/api/2.0/mlflow-artifacts/artifacts/0/{run}/artifacts/model"
        assert send(self.mlflow.url, "PUT", f"{folder}/MLmodel", None, "weights").status == 200
        return {"source": f"runs:/{run}/model", "run_id": run}

    def stage(self, model: str, version: str, stage: str) -> None:
        """A stage given past the gate."""
        self.past("model-versions/transition-stage", name=model, version=version, stage=stage)

    def held(self, model: str, version: str) -> tuple[str, dict[str, str]]:
        """The stage and tags that MLflow itself has."""
        answer = send(self.mlflow.url, "GET", f"{API}model-versions/get?name={model}&version={version}")
        found = answer.json()["model_version"]
        return found["current_stage"], {tag["key"]: tag["value"] for tag in found.get("tags", [])}

    def exists(self, name: str) -> bool:
        """Whether MLflow has a model of this name."""
        return name in self.names()

    def names(self) -> list[str]:
        """What MLflow's models are called."""
        found = MlflowClient(self.mlflow.url).search_registered_models(max_results=1000)
        return [model.name for model in found]

    def lines(self, rule: str) -> list[dict[str, object]]:
        """What the record tells of requests that had to do with a rule."""
        return [line for line in self.sekisho.told() if rule in line.get("rules", [])]

    def told(self, path: str) -> int:
        """How many requests for a path the record tells of."""
        return sum(str(line.get("route", "")).endswith(path) for line in self.sekisho.told())

    def put_rules(self, edits: Mapping[str, str]) -> None:
        """Changes the text of the rules."""
        put_rules(self.sekisho, edits)


@contextmanager
def ruled(
    mode: str = "enforce",
    behind: MlflowServer | None = None,
    edits: Mapping[str, str] | None = None,
    schema: Mapping[str, object] | None = None,
    rows: Sequence[str] = (),
    stages: str | None = None,
) -> Iterator[Ruled]:
    """Starts sekisho with rules, a schema and stages of its own and more rows of the policy, and an MLflow where there is none."""
    need_binary()
    with ExitStack() as stack:
        server = behind or stack.enter_context(MlflowServer(LOGS))
        sekisho = Sekisho(server.url, LOGS, rows, settings={"rules": {"mode": mode}})
        put_rules(sekisho, edits or {})
        if stages is not None:
            (sekisho.folder / "policies" / "stages.toml").write_text(stages)
        if schema is not None:
            (sekisho.folder / "policies" / "metadata.schema.json").write_text(json.dumps(schema))
        yield Ruled(stack.enter_context(sekisho), server)


def put_rules(sekisho: Sekisho, edits: Mapping[str, str]) -> None:
    """Puts a changed `rules.toml` in place, whole."""
    file = sekisho.folder / "policies" / "rules.toml"
    text = file.read_text()
    for old, new in edits.items():
        assert text.count(old) == 1, old
        text = text.replace(old, new)
    fresh = sekisho.folder / "rules.new"
    fresh.write_text(text)
    fresh.replace(file)


@contextmanager
def acting(url: str, token: str) -> Iterator[MlflowClient]:
    """The two lines that a user pastes, and the client."""
    before = mlflow.get_tracking_uri()
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(os.environ, "MLFLOW_TRACKING_TOKEN", token)
        mlflow.set_tracking_uri(url)
        try:
            yield MlflowClient()
        finally:
            mlflow.set_tracking_uri(before)


def refused(call: Callable[..., object], *arguments: object, status: int = 400, **named: object) -> str:
    """Makes a call that is refused at once, and gives the sentence."""
    began = time.monotonic()
    with pytest.raises(MlflowException) as caught:
        call(*arguments, **named)
    assert time.monotonic() - began < FAST, "the client repeated it"
    assert caught.value.get_http_status_code() == status, caught.value
    return caught.value.message


def until(holds: Callable[[], object], seconds: float = SOON) -> object:
    """Waits for what comes by and by."""
    deadline = time.monotonic() + seconds
    while not (found := holds()):
        assert time.monotonic() < deadline, "it did not come"
        time.sleep(0.05)
    return found

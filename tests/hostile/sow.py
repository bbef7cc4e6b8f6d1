"""The house that is attacked: one experiment that everybody shares, and registered models that are not everybody's.

`victim_model` (four versions), `a_third_copy` (a copy of its first version) and `hidden_prompt` are hidden from every attacker;
what only those may see who may see them holds the marker.
"""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

from harness.rest import send
from hostile.vector import API, API3, COPY, FILES, HIDDEN, MARKER, PROMPT, VICTIM

OWN_TAGS = ("sekisho.stage", "model_hash", "stage_transition_history", "evidence.unit_test")


class Sower:
    """Makes everything through MLflow's own REST calls."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.words: dict[str, str] = {"marker": MARKER}

    def ask(self, method: str, path: str, /, **body: object) -> dict:
        """One call that must work."""
        answer = send(self.url, method, path if path.startswith("/") else API + path, None, body)
        assert answer.status == 200, (method, path, answer.body)
        return answer.json() or {}

    def put(self, path: str, text: str) -> None:
        """A file."""
        for word, value in self.words.items():
            path = path.replace(f"~{word}~", value)
        answer = send(self.url, "PUT", f"{FILES}/{path}", None, text.encode(), {"Content-Type": "application/octet-stream"})
        assert answer.status == 200, (path, answer.body)

    def run(self, word: str) -> str:
        """A run; its id is a word from then on."""
        made = self.ask("POST", "runs/create", experiment_id=self.words["e"], run_name=word, start_time=1_700_000_000_000)
        self.words[word] = made["run"]["info"]["run_id"]
        return self.words[word]

    def logged_model(self, word: str, run: str) -> str:
        """A logged model of a run, ready."""
        made = self.ask("POST", "logged-models", experiment_id=self.words["e"], name="model", source_run_id=run)
        self.words[word] = made["model"]["info"]["model_id"]
        self.ask("PATCH", f"logged-models/{self.words[word]}", model_id=self.words[word], status="LOGGED_MODEL_READY")
        return self.words[word]

    def model(self, name: str, secret: str, *tags: tuple[str, str]) -> None:
        """A registered model."""
        listed = [{"key": key, "value": value} for key, value in (("note", secret), *tags)]
        self.ask("POST", "registered-models/create", name=name, description=secret, tags=listed)

    def version(self, name: str, secret: str, source: str, *tags: tuple[str, str], **ids: str) -> None:
        """A version."""
        listed = [{"key": key, "value": value} for key, value in (("note", secret), *tags)]
        self.ask("POST", "model-versions/create", name=name, source=source, description=secret, tags=listed, **ids)


def sow(url: str) -> dict[str, str]:
    """Seeds the server; returns the words."""
    at = Sower(url)
    at.words["e"] = at.ask("POST", "experiments/create", name="shared")["experiment_id"]
    _victim(at)
    _mine(at)
    _look_alikes(at)
    secret = f"{MARKER} of the victim"  # so that it is also what was changed last
    at.ask("PATCH", "model-versions/update", name=VICTIM, version="4", description=secret)
    at.ask("PATCH", "registered-models/update", name=VICTIM, description=secret)
    trace = {
        "trace_id": "tr-" + "5e" * 16,
        "trace_location": {"type": "MLFLOW_EXPERIMENT", "mlflow_experiment": {"experiment_id": at.words["e"]}},
        "request_time": "2026-01-01T00:00:00Z",
        "state": "OK",
        "tags": {"plain": "yes"},
    }
    at.ask("POST", f"{API3}traces", trace={"trace_info": trace})
    at.words["trace"] = str(trace["trace_id"])
    events = [{"entity": "MODEL_VERSION", "action": "CREATED"}]
    url = f"https://1.1.1.1/{MARKER}"  # MLflow wants an address that it can resolve; a disabled hook is never called
    hook = at.ask("POST", "webhooks", name="hook", url=url, events=events, status="DISABLED")
    at.words["hook"] = hook["webhook"]["webhook_id"]
    return at.words


def _victim(at: Sower) -> None:
    """Four versions: of a logged model, of a run's files in two ways, and a copy; and the third person's copy."""
    secret = f"{MARKER} of the victim"
    r1, r2, r3 = at.run("r1"), at.run("r2"), at.run("r3")
    l1 = at.logged_model("l1", r1)
    for folder in ("~e~/models/~l1~/artifacts", "~e~/~r2~/artifacts/model", "~e~/~r3~/artifacts/net"):
        at.put(f"{folder}/MLmodel", f"flavors: {secret}\n" * 3)
        at.put(f"{folder}/data/weights.bin", secret * 20)
        at.put(f"{folder}/{MARKER}.txt", secret)  # so that a listing tells, too
        at.put(f"{folder}/data/{MARKER}.txt", secret)
    at.put("~e~/~r1~/artifacts/plot.txt", "a curve")
    at.put("~e~/~r2~/artifacts/plot.txt", "a curve")
    at.model(VICTIM, secret)
    at.version(VICTIM, secret, f"models:/{l1}", model_id=l1, run_id=r1)
    at.version(VICTIM, secret, f"runs:/{r2}/model", run_id=r2)
    at.version(VICTIM, secret, f"models:/{VICTIM}/1")
    at.version(VICTIM, secret, f"mlflow-artifacts:/{at.words['e']}/{r3}/artifacts/net", run_id=r3)
    at.ask("POST", "registered-models/alias", name=VICTIM, alias="champion", version="1")
    at.ask("POST", "model-versions/transition-stage", name=VICTIM, version="1", stage="Staging")
    at.model(COPY, secret)
    at.version(COPY, secret, f"models:/{VICTIM}/1")
    at.model(PROMPT, secret, ("mlflow.prompt.is_prompt", "true"))
    text = (("mlflow.prompt.is_prompt", "true"), ("mlflow.prompt.text", secret))
    at.version(PROMPT, secret, "dummy-source", *text)


def _mine(at: Sower) -> None:
    """The attackers' own models, and files that are nobody's."""
    mine, spare = at.run("mine"), at.run("spare")
    own = at.logged_model("ownl", mine)
    at.logged_model("sparel", spare)
    for folder in (
        "~e~/~mine~/artifacts/model",
        "~e~/models/~ownl~/artifacts",
        "~e~/~spare~/artifacts/model",
        "~e~/models/~sparel~/artifacts",
    ):
        at.put(f"{folder}/MLmodel", "flavors: own\n")
        at.put(f"{folder}/data/weights.bin", "own")
    at.put("~e~/~spare~/artifacts/plot.txt", "a curve")
    at.model("mine_a", "plain")
    at.version("mine_a", "plain", f"runs:/{mine}/model", run_id=mine)
    at.version("mine_a", "plain", f"models:/{own}", model_id=own)
    at.ask("POST", "registered-models/alias", name="mine_a", alias="champion", version="1")
    at.model("mine_prompt", "plain", ("mlflow.prompt.is_prompt", "true"))
    at.version("mine_prompt", "plain", "dummy-source", ("mlflow.prompt.is_prompt", "true"), ("mlflow.prompt.text", "hello"))
    kept = tuple((key, "kept") for key in OWN_TAGS)
    at.model("mine_tagged", "plain", *kept)
    at.version("mine_tagged", "plain", f"runs:/{mine}/model", *kept, run_id=mine)


def _look_alikes(at: Sower) -> None:
    """Two models that the attackers see and whose names are like the victim's."""
    mine = at.words["mine"]
    for name in ("victim_mode", "victim_model2"):
        at.model(name, "plain")
        at.version(name, "plain", f"runs:/{mine}/model", run_id=mine)


def without_hidden(seeded: tuple[Path, Path], words: dict[str, str], folder: Path) -> tuple[Path, Path]:
    """A copy of rows and files in which the hidden models never were."""
    database, artifacts = folder / "mlflow.db", folder / "artifacts"
    shutil.copy(seeded[0], database)
    shutil.copytree(seeded[1], artifacts)
    marks = ", ".join("?" * len(HIDDEN))
    with closing(sqlite3.connect(database)) as rows, rows:
        for table in ("registered_model_tags", "registered_model_aliases", "model_version_tags", "model_versions", "registered_models"):
            rows.execute(f"DELETE FROM {table} WHERE name IN ({marks})", HIDDEN)
        rows.execute("DELETE FROM logged_model_tags WHERE model_id = ? AND tag_key = 'mlflow.modelVersions'", [words["l1"]])
        rows.execute("DELETE FROM webhook_events")
        rows.execute("DELETE FROM webhooks")
    for path in (f"models/{words['l1']}/artifacts", f"{words['r2']}/artifacts/model", f"{words['r3']}/artifacts/net"):
        shutil.rmtree(artifacts / words["e"] / path)
    return database, artifacts

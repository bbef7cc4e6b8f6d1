"""What the house rules add to a version's creation and to a tag's write: enforced against off, one caller, in turns."""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

from contestants import LOGS
from harness.mlflow_server import MlflowServer
from harness.rest import send
from harness.sekisho import Sekisho

API = "/api/2.0/mlflow/"
MODELS = {"off": "recommendation_xgboost_auc_dev", "enforce": "recommendation_xgboost_rmse_dev"}
WRITES = {
    "create a version": ("model-versions/create", {}),
    "a tag that the schema names": ("model-versions/set-tag", {"version": "1", "key": "business_owner", "value": "ann@company.com"}),
    "another tag": ("model-versions/set-tag", {"version": "1", "key": "note", "value": "x"}),
}

Write = Callable[[], None]


def measure(quick: bool) -> dict[str, object]:
    """Milliseconds of each write with the rules in force and without, one after the other, and what they add."""
    times = 40 if quick else 500
    with open_writes() as writes:
        for each in writes.values():
            for write in each.values():
                write()
        taken = {kind: {mode: [] for mode in each} for kind, each in writes.items()}
        for turn in range(times):
            for kind, each in writes.items():
                # Neither is always the first: whatever MLflow does after a write would be counted for one of them.
                for mode, write in sorted(each.items(), reverse=turn % 2 == 1):
                    began = time.perf_counter()
                    write()
                    taken[kind][mode].append((time.perf_counter() - began) * 1000)
    return {"times_each": times, "ms": {kind: {mode: summary(found) for mode, found in each.items()} for kind, each in taken.items()}}


def summary(taken: list[float]) -> dict[str, float]:
    """Median and the ninety-ninth of a hundred."""
    return {"p50": round(statistics.median(taken), 2), "p99": round(statistics.quantiles(taken, n=100)[98], 2)}


def show(results: Mapping) -> None:
    """Prints one line for each write."""
    print(f"\n{'house rules, one caller at a time':<34} {'p50 ms off':>12} {'enforced':>10} {'added':>8} {'p99 ms off':>12} {'enforced':>10}")
    for kind, modes in results["ms"].items():
        off, on = modes["off"], modes["enforce"]
        print(f"{kind:<34} {off['p50']:>12.2f} {on['p50']:>10.2f} {on['p50'] - off['p50']:>8.2f} {off['p99']:>12.2f} {on['p99']:>10.2f}")


@contextmanager
def open_writes() -> Iterator[dict[str, dict[str, Write]]]:
    """One MLflow behind two sekishos. Digests are taken meanwhile, where there are rules, as they are in earnest."""
    with (
        MlflowServer(LOGS, workers=2) as mlflow,
        Sekisho(mlflow.url, LOGS) as free,
        Sekisho(mlflow.url, LOGS, settings={"rules": {"mode": "enforce"}}) as bound,
    ):
        doors = {"off": free, "enforce": bound}
        tokens = {mode: door.token("ann@company.com", "ml_engineer", ["*"]) for mode, door in doors.items()}

        def post(mode: str, path: str, body: object) -> dict:
            answer = send(doors[mode].url, "POST", API + path, tokens[mode], body)
            if answer.status != 200:
                raise RuntimeError(f"{mode}: {path}: {answer.status} {answer.body[:300]!r}")
            return answer.json()

        def write(mode: str, path: str, body: Mapping[str, object]) -> Write:
            return lambda: post(mode, path, body) and None

        found: dict[str, dict[str, Write]] = {kind: {} for kind in WRITES}
        for mode, name in MODELS.items():
            made = post(mode, "logged-models", {"experiment_id": "0"})["model"]["info"]
            folder = mlflow.artifacts / made["artifact_uri"].removeprefix("mlflow-artifacts:/")
            folder.mkdir(parents=True)
            (folder / "MLmodel").write_bytes(b"flavors: {}\n")
            post(mode, "registered-models/create", {"name": name})
            source = {"source": f"models:/{made['model_id']}", "model_id": made["model_id"]}
            for kind, (path, body) in WRITES.items():
                more = source if path.endswith("create") else body
                found[kind][mode] = write(mode, path, {"name": name, **more})
        yield found


if __name__ == "__main__":
    measured = measure(quick=True)
    print(json.dumps(measured, indent=2))
    show(measured)

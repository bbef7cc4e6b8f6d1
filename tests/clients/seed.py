"""Fills a server as a team would have: `seed.py OUTPUT MODEL…` makes each model with two versions, an alias and a run of its own."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import mlflow
from mlflow import MlflowClient

EXPERIMENT = "seeded"


def double(model_input: list[float]) -> list[float]:
    """The model."""
    return [2 * value for value in model_input]


def seed(name: str) -> dict[str, str]:
    """One model; returns the ids that go with it."""
    client = MlflowClient()
    experiment = mlflow.set_experiment(EXPERIMENT).experiment_id
    with mlflow.start_run(run_name=f"training of {name}") as run:
        mlflow.log_metric("auc", 0.9)
        mlflow.log_text("a note\n", "note.txt")
        info = mlflow.pyfunc.log_model(
            name="model", python_model=double, pip_requirements=["mlflow"], registered_model_name=name
        )
    mlflow.register_model(f"models:/{info.model_id}", name)
    client.set_registered_model_alias(name, "champion", "1")
    client.set_registered_model_tag(name, "team", "risk")
    return {"experiment": experiment, "run": run.info.run_id, "model_id": info.model_id or ""}


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(json.dumps({name: seed(name) for name in sys.argv[2:]}))

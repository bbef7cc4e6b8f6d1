"""Fills a server as a team would have.

`seed.py OUTPUT MODEL…` makes each model with two versions, an alias, and an experiment of the model's name with one run.
What only those may see who may see the model holds the words "secret of MODEL".
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import mlflow
from mlflow import MlflowClient


def double(model_input: list[float]) -> list[float]:
    """The model."""
    return [2 * value for value in model_input]


def seed(name: str, experiment: str | None = None) -> dict[str, str]:
    """One model, in the experiment of its own name or in another; returns the ids that go with it."""
    client = MlflowClient()
    secret = f"secret of {name}"
    experiment_id = mlflow.set_experiment(experiment or name).experiment_id
    with mlflow.start_run(run_name=f"training of {name}") as run:
        mlflow.log_metric("auc", 0.9)
        mlflow.log_param("password", secret)
        mlflow.log_text(secret, "note.txt")
        info = mlflow.pyfunc.log_model(
            name="model",
            python_model=double,
            pip_requirements=["mlflow"],
            registered_model_name=name,
            params={"password": secret},
            metadata={"password": secret},
        )
    mlflow.register_model(f"models:/{info.model_id}", name)
    client.set_registered_model_alias(name, "champion", "1")
    client.set_registered_model_tag(name, "password", secret)
    client.update_model_version(name, "1", secret)
    return {"experiment": experiment_id, "run": run.info.run_id, "model_id": info.model_id or ""}


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(json.dumps({name: seed(name) for name in sys.argv[2:]}))

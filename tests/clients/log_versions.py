"""The plain client registers versions in its ways: `log_versions.py OUTPUT NAME COPY`."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import mlflow
from mlflow import MlflowClient


def double(model_input: list[float]) -> list[float]:
    """The model."""
    return [2 * value for value in model_input]


def main(output: str, name: str, copy: str) -> None:
    """Version 1 while it is logged, 2 by the run's name for it, and a copy of 1."""
    with mlflow.start_run() as run:
        made = mlflow.pyfunc.log_model(
            name="model",
            python_model=double,
            pip_requirements=["Scikit_Learn>=1.3,<1.4", "numpy"],
            registered_model_name=name,
        )
    mlflow.register_model(f"runs:/{run.info.run_id}/model", name)
    MlflowClient().copy_model_version(f"models:/{name}/1", copy)
    Path(output).write_text(json.dumps({"run": run.info.run_id, "model": made.model_id}))


if __name__ == "__main__":
    main(*sys.argv[1:])

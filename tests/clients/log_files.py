"""The plain client logs a model with what it depends on, and a folder of files: `log_files.py OUTPUT FOLDER`."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import mlflow


class Echo(mlflow.pyfunc.PythonModel):
    """Answers what it was asked."""

    def predict(self, context: object, model_input: list[str]) -> list[str]:
        """The input."""
        return model_input


def main(output: str, folder: str) -> None:
    """One run with both, and their ids."""
    with mlflow.start_run() as run:
        requirements = ["Scikit_Learn>=1.3,<1.4", "numpy", "-r more.txt"]
        Path("more.txt").write_text("scipy\n")
        made = mlflow.pyfunc.log_model(name="model", python_model=Echo(), pip_requirements=requirements)
        mlflow.log_artifacts(folder, "files")
    Path(output).write_text(json.dumps({"run": run.info.run_id, "model": made.model_id}))


if __name__ == "__main__":
    main(*sys.argv[1:])

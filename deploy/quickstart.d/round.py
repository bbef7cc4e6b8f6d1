"""One round with the plain MLflow client, through sekisho: train, register, load, and writes that are refused.

Reads the address from MLFLOW_TRACKING_URI and three tokens from the environment; exits 1 when anything goes otherwise.
"""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Callable

import mlflow
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException

MODEL = "fraud_detection_neural_network_f1score_staging"
FOREIGN = "churn_prediction_xgboost_auc_prod"


def score(model_input: list[float]) -> list[float]:
    """The model: a score of twice the amount, capped at one."""
    return [min(1.0, 2 * amount) for amount in model_input]


def become(who: str) -> None:
    """Uses that person's token from now on; the client reads it anew for every request."""
    os.environ["MLFLOW_TRACKING_TOKEN"] = os.environ[f"{who.upper()}_TOKEN"]


def train_and_register() -> str:
    """Logs a run and a model, registers it, and returns the version."""
    mlflow.set_experiment("quickstart")
    with mlflow.start_run():
        mlflow.log_param("factor", 2)
        mlflow.log_metric("f1", 0.93)
        info = mlflow.pyfunc.log_model(
            name="model", python_model=score, pip_requirements=["mlflow"], registered_model_name=MODEL
        )
    return str(info.registered_model_version)


def load(version: str) -> None:
    """Loads the version and asks it something."""
    answer = mlflow.pyfunc.load_model(f"models:/{MODEL}/{version}").predict([0.25, 3.0])
    if list(answer) != [0.5, 1.0]:
        sys.exit(f"the loaded model answers {answer}")


def refused(write: Callable[[], object]) -> str:
    """The sentence with which `write` is refused."""
    try:
        write()
    except MlflowException as error:
        if error.error_code == "PERMISSION_DENIED":
            return error.message
        raise
    sys.exit("a write that must be refused was done")


def main() -> None:
    """The round."""
    client = MlflowClient()
    become("engineer")
    version = train_and_register()
    print(f"engineer: trained and registered version {version} of {MODEL}")
    load(version)
    print("engineer: loaded it and it answers rightly")
    print("engineer: refused:", refused(lambda: client.create_registered_model(FOREIGN)))
    become("manager")
    load(version)
    print("manager: loaded it")
    print("manager: refused:", refused(lambda: client.update_model_version(MODEL, version, "mine now")))
    become("admin")
    client.set_registered_model_alias(MODEL, "champion", version)
    if client.get_model_version(MODEL, version).description:
        sys.exit("the refused write reached MLflow")
    print("admin: made it the champion; the refused write has left no trace")


if __name__ == "__main__":
    logging.disable(logging.WARNING)
    main()

"""What people try to do with a model, each as one call of the plain client.

`attempts.py OUTPUT MODEL EXPERIMENT RUN NAME…` makes the named attempts on MODEL and writes what came of each.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import mlflow
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException
from requests import HTTPError


@dataclass(frozen=True)
class Target:
    """What an attempt is aimed at."""

    model: str
    experiment: str
    run: str


Attempt = Callable[[MlflowClient, Target], object]


def load(_: MlflowClient, at: Target) -> object:
    return mlflow.pyfunc.load_model(f"models:/{at.model}/1").predict([1.0])


def upload(client: MlflowClient, at: Target) -> None:
    client.log_text(at.run, "changed", "note.txt")


def rename(client: MlflowClient, at: Target) -> None:
    client.rename_registered_model(at.model, at.model + "_renamed")
    client.rename_registered_model(at.model + "_renamed", at.model)


def read_file(_: MlflowClient, at: Target) -> object:
    with tempfile.TemporaryDirectory() as folder:
        return mlflow.artifacts.download_artifacts(f"runs:/{at.run}/note.txt", dst_path=folder)


# In an order in which each still finds what it needs. The second word is the permission that it takes.
ATTEMPTS: dict[str, tuple[str, Attempt]] = {
    "get model": ("metadata_read", lambda c, t: c.get_registered_model(t.model)),
    "get version": ("metadata_read", lambda c, t: c.get_model_version(t.model, "1")),
    "get by alias": ("metadata_read", lambda c, t: c.get_model_version_by_alias(t.model, "champion")),
    "get latest": ("metadata_read", lambda c, t: c.get_latest_versions(t.model)),
    "load": ("model_read", load),
    "describe model": ("metadata_write", lambda c, t: c.update_registered_model(t.model, "changed")),
    "tag model": ("metadata_write", lambda c, t: c.set_registered_model_tag(t.model, "changed", "yes")),
    "untag model": ("metadata_write", lambda c, t: c.delete_registered_model_tag(t.model, "changed")),
    "describe version": ("metadata_write", lambda c, t: c.update_model_version(t.model, "1", "changed")),
    "tag version": ("metadata_write", lambda c, t: c.set_model_version_tag(t.model, "1", "changed", "yes")),
    "create model": ("model_write", lambda c, t: c.create_registered_model(t.model + "_new")),
    "rename": ("model_write", rename),
    "create version": ("model_write", lambda c, t: mlflow.register_model(f"models:/{t.model}/1", t.model)),
    "set alias": ("model_deploy", lambda c, t: c.set_registered_model_alias(t.model, "taken", "1")),
    "delete alias": ("model_deploy", lambda c, t: c.delete_registered_model_alias(t.model, "taken")),
    "to Staging": ("stage_transition", lambda c, t: c.transition_model_version_stage(t.model, "1", "Staging")),
    "create experiment": ("tracking_write", lambda c, t: c.create_experiment(f"by {t.model}")),
    "log metric": ("tracking_write", lambda c, t: c.log_metric(t.run, "auc", 0.1)),
    "upload": ("tracking_write", upload),
    "get run": ("tracking_read", lambda c, t: c.get_run(t.run)),
    "search runs": ("tracking_read", lambda c, t: list(c.search_runs([t.experiment]))),
    "read file": ("tracking_read", read_file),
    "delete run": ("tracking_delete", lambda c, t: c.delete_run(t.run)),
    "restore run": ("tracking_write", lambda c, t: c.restore_run(t.run)),
    "delete version": ("model_delete", lambda c, t: c.delete_model_version(t.model, "2")),
    "delete model": ("model_delete", lambda c, t: c.delete_registered_model(t.model)),
    "list webhooks": ("admin", lambda c, t: list(c.list_webhooks())),
}


def attempt(name: str, client: MlflowClient, at: Target) -> dict[str, object]:
    """What came of it: an empty code when it was done."""
    began = time.monotonic()
    try:
        ATTEMPTS[name][1](client, at)
    except MlflowException as error:
        code, message = error.error_code, error.message
    except HTTPError as error:  # the client's artifact store lets these through, with the answer's body in the text
        code, message = error.response.json()["error_code"], str(error)
    else:
        code, message = "", ""
    return {"code": code, "message": message, "seconds": time.monotonic() - began}


if __name__ == "__main__":
    output, model, experiment, run, *names = sys.argv[1:]
    aim = Target(model, experiment, run)
    Path(output).write_text(json.dumps({name: attempt(name, MlflowClient(), aim) for name in names}))

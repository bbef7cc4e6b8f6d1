"""Runs a script with the plain MLflow client in a process of its own, with nothing but the settings a user would give."""

from __future__ import annotations

import getpass
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

from harness.mlflow_server import QUIET

HERE = Path(__file__).parent
_OURS = ("MLFLOW_", "HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy")


def bearer(url: str, token: str) -> dict[str, str]:
    """The two lines a user pastes."""
    return {"MLFLOW_TRACKING_URI": url, "MLFLOW_TRACKING_TOKEN": token}


def basic(url: str, token: str) -> dict[str, str]:
    """The same token as a password; sekisho ignores the user name, but the client writes it into its tags."""
    return {"MLFLOW_TRACKING_URI": url, "MLFLOW_TRACKING_USERNAME": getpass.getuser(), "MLFLOW_TRACKING_PASSWORD": token}


def run_client(script: str, settings: Mapping[str, str], *arguments: str, seconds: float = 300) -> object:
    """Runs `script OUTPUT ARGUMENTS…` from this folder and returns the JSON that it wrote to OUTPUT."""
    env = {name: value for name, value in os.environ.items() if not name.startswith(_OURS)}
    with tempfile.TemporaryDirectory(prefix="client-") as folder:
        output = Path(folder, "output.json")
        done = subprocess.run(
            [sys.executable, str(HERE / script), str(output), *arguments],
            cwd=folder,
            env={**env, **QUIET, "HOME": folder, **settings},
            capture_output=True,
            text=True,
            timeout=seconds,
            check=False,
        )
        if done.returncode != 0:
            raise AssertionError(f"{script} ended with {done.returncode}:\n{done.stderr[-4000:]}")
        return json.loads(output.read_text())

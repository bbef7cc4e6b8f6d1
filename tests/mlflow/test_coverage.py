"""The route table knows every route of the installed MLflow, and says so when there is one that it does not know."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from harness.mlflow_server import QUIET
from harness.sekisho import run_command

INVENTED = "GET /api/2.0/mlflow/invented"


@pytest.fixture(scope="module")
def url_map(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The lines of url_map.py in a file."""
    folder = tmp_path_factory.mktemp("routes")
    script = Path(__file__).with_name("url_map.py")
    done = subprocess.run(
        [sys.executable, str(script)], env=QUIET, cwd=folder, capture_output=True, text=True, timeout=120, check=True
    )
    path = folder / "mlflow-routes.txt"
    path.write_text(done.stdout)
    return path


def test_the_map_is_whole(url_map: Path) -> None:
    """Routes of both frameworks and both prefixes are in it, so that an empty map cannot pass for a covered one."""
    found = set(url_map.read_text().splitlines())
    assert len(found) > 450
    assert found >= {
        "GET /",
        "GET /get-artifact",
        "POST /graphql",
        "POST /v1/traces",
        "PUT /api/2.0/mlflow-artifacts/artifacts/{artifact_path*}",
        "POST /api/2.0/mlflow/model-versions/create",
        "POST /ajax-api/2.0/mlflow/model-versions/create",
        "GET /api/3.0/mlflow/server-info",
    }


def test_every_route_of_mlflow_has_a_row(url_map: Path) -> None:
    """What MLflow serves and the table does not know would be refused to everyone."""
    done = run_command("routes", "--coverage", str(url_map))
    assert done.returncode == 0, done.stdout + done.stderr


def test_an_unknown_route_is_named(url_map: Path, tmp_path: Path) -> None:
    """So that the next release of MLflow is noticed."""
    longer = tmp_path / "longer.txt"
    longer.write_text(url_map.read_text() + INVENTED + "\n")
    done = run_command("routes", "--coverage", str(longer))
    assert done.returncode == 1
    assert INVENTED in done.stdout


def test_a_row_that_mlflow_lacks_is_listed(url_map: Path, tmp_path: Path) -> None:
    """It is no fault: other installations of MLflow may have it."""
    gone = "POST /api/2.0/mlflow/model-versions/create"
    shorter = tmp_path / "shorter.txt"
    shorter.write_text("".join(f"{line}\n" for line in url_map.read_text().splitlines() if line != gone))
    done = run_command("routes", "--coverage", str(shorter))
    assert done.returncode == 0
    assert gone in done.stdout

"""The state store: a PostgreSQL that is killed and comes back, one that is not there yet, and one that somebody newer has."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import subprocess
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
from conftest import LOGS
from harness import postgres
from harness.mlflow_server import MlflowServer
from harness.postgres import Postgres, name_of
from harness.process import StartFailed
from harness.rest import send
from harness.sekisho import ROOT, Sekisho, binary, run_command

CREATE = "/api/2.0/mlflow/registered-models/create"
SEARCH = "/api/2.0/mlflow/registered-models/search"

NEWEST = len(list((ROOT / "src/store/schema").glob("*.sql")))

NEWER = (
    "INSERT INTO sekisho_schema (version, description, success, checksum, execution_time) "
    "VALUES (999, 'later', true, '', 0)"
)


@pytest.fixture(scope="module")
def mlflow() -> Iterator[MlflowServer]:
    """What stands behind."""
    with MlflowServer(LOGS) as server:
        yield server


@pytest.fixture(scope="module")
def server() -> Iterator[Postgres]:
    """A PostgreSQL that tests may kill."""
    try:
        postgres.programs()
    except postgres.Missing as reason:
        pytest.skip(str(reason))
    with Postgres() as running:
        yield running


def on(mlflow: MlflowServer, url: str) -> Sekisho:
    """A sekisho with this state store."""
    return Sekisho(mlflow.url, LOGS, settings={"state": {"url": url}})


def readyz(sekisho: Sekisho) -> tuple[int, dict[str, list[str]]]:
    """The status and what it says."""
    try:
        with urllib.request.urlopen(f"{sekisho.admin_url}/readyz", timeout=5) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as answer:
        return answer.code, json.load(answer)


def eventually(holds: Callable[[], bool], seconds: float = 20) -> None:
    """Waits for something that happens by itself."""
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.05)


def noted(sekisho: Sekisho) -> bool:
    """Whether it says that the state store is away."""
    return any(note.startswith("state:") for note in readyz(sekisho)[1]["notes"])


def test_a_killed_postgresql_takes_nothing_down_and_comes_back(mlflow: MlflowServer, server: Postgres) -> None:
    """Reads and ordinary writes are served throughout; `/readyz` stays ready and says so."""
    url = server.database()
    with on(mlflow, url) as sekisho:
        token = sekisho.token("root@company.com", "admin")

        def serves(name: str) -> None:
            began = time.monotonic()
            assert send(sekisho.url, "POST", CREATE, token, {"name": name}).status == 200
            assert name.encode() in send(sekisho.url, "GET", f"{SEARCH}?max_results=100", token).body
            assert time.monotonic() - began < 2

        assert server.query("SELECT max(version) FROM sekisho_schema", name_of(url)) == str(NEWEST)
        assert readyz(sekisho) == (200, {"ready": True, "waiting_for": [], "notes": []})
        for turn in range(2):
            serves(f"there-{turn}")
            server.kill()
            eventually(lambda: noted(sekisho))
            assert readyz(sekisho)[0] == 200
            serves(f"away-{turn}")
            server.start()
            eventually(lambda: not noted(sekisho))
            serves(f"back-{turn}")


def test_a_postgresql_that_is_not_there_yet_is_waited_for(mlflow: MlflowServer, server: Postgres) -> None:
    """It starts, is not ready and says why, serves all the same, and is ready by itself."""
    url = server.database()
    server.kill()
    sekisho = on(mlflow, url)
    entered = threading.Thread(target=sekisho.__enter__)
    entered.start()
    try:
        eventually(lambda: waits_for_state_alone(sekisho))
        token = sekisho.token("root@company.com", "admin")
        assert send(sekisho.url, "GET", SEARCH, token).status == 200
    finally:
        server.start()
        entered.join()
        status, told = readyz(sekisho)
        sekisho.__exit__(None, None, None)
    assert (status, told["waiting_for"], told["notes"]) == (200, [], [])


def waits_for_state_alone(sekisho: Sekisho) -> bool:
    """Whether it has started, MLflow answers it, and it is not ready for want of the state store."""
    try:
        status, told = readyz(sekisho)
    except OSError:
        return False
    return (status, told["waiting_for"]) == (503, ["state"])


def test_a_newer_schema_stops_the_start_with_a_sentence(mlflow: MlflowServer, server: Postgres, tmp_path: Path) -> None:
    """On both databases."""
    url = server.database()
    file = tmp_path / "state.db"
    for address in (url, f"sqlite://{file}"):
        with on(mlflow, address):
            pass
    server.query(NEWER, name_of(url))
    with closing(sqlite3.connect(file)) as connection, connection:
        connection.execute(NEWER)
    for address in (url, f"sqlite://{file}"):
        with pytest.raises(StartFailed) as failed, on(mlflow, address):
            pass
        assert "ended with 2" in str(failed.value)
        assert f"schema has version 999, and this sekisho knows versions up to {NEWEST}" in str(failed.value)


def test_two_that_start_at_once_on_an_empty_postgresql_both_come_up(mlflow: MlflowServer, server: Postgres) -> None:
    """One of them makes the tables."""
    url = server.database()
    both = [on(mlflow, url) for _ in range(2)]
    starts = [threading.Thread(target=sekisho.__enter__) for sekisho in both]
    for start in starts:
        start.start()
    for start in starts:
        start.join()
    try:
        for sekisho in both:
            assert readyz(sekisho) == (200, {"ready": True, "waiting_for": [], "notes": []})
        assert server.query("SELECT count(*) FROM sekisho_schema", name_of(url)) == str(NEWEST)
    finally:
        for sekisho in both:
            sekisho.__exit__(None, None, None)


def test_check_says_that_the_folder_cannot_be_written(mlflow: MlflowServer, tmp_path: Path) -> None:
    """As the user that it will run as."""
    sekisho = on(mlflow, f"sqlite://{tmp_path}/missing/state.db")
    done = run_command("check", "--config", str(sekisho.config))
    assert done.returncode == 1
    assert f"`state.url`: `{tmp_path}/missing` is missing" in done.stdout
    closed = sekisho.folder / "closed"
    closed.mkdir(mode=0o555)
    program = shutil.copy(binary(), sekisho.folder / "program")
    for path in (sekisho.folder, sekisho.folder / "policies"):
        path.chmod(0o755)
    (sekisho.folder / "secret").chmod(0o644)
    sekisho.config.write_text(sekisho.config.read_text().replace(f"{tmp_path}/missing", str(closed)))
    done = subprocess.run(
        [program, "check", "--config", sekisho.config],
        # Root may write everywhere.
        user="nobody" if os.geteuid() == 0 else None,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1, done.stderr
    assert f"`state.url`: `{closed}` cannot be written" in done.stdout

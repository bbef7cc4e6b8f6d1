"""A real MLflow server on SQLite with a local artifact folder, in a folder of its own."""

from __future__ import annotations

import shutil
import sqlite3
import sys
import tempfile
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from types import TracebackType

from harness import leaks
from harness.process import Child, free_port
from harness.state import State, read_files, read_state

QUIET = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "DO_NOT_TRACK": "true",
    "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
    "GIT_PYTHON_REFRESH": "quiet",
    "PYTHONHASHSEED": "0",
}


class MlflowServer:
    """A context manager: the server runs inside it, and its folder is removed afterwards."""

    def __init__(
        self,
        keep_logs_in: Path,
        workers: int = 1,
        copy_of: tuple[Path, Path] | None = None,
        arguments: Sequence[str] = (),
    ) -> None:
        self._keep = keep_logs_in
        self._original = copy_of
        self._workers = workers
        self._arguments = arguments
        self.env = dict(QUIET)
        self.folder = Path(tempfile.mkdtemp(prefix="mlflow-"))
        self.database = self.folder / "mlflow.db"
        self.artifacts = self.folder / "artifacts"
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._child: Child | None = None

    def __enter__(self) -> MlflowServer:
        if self._original is not None:
            self.restore(*self._original)
        self.start()
        return self

    def start(self) -> None:
        """Begins to serve, once more after `stop`."""
        command = [
            sys.executable, "-m", "mlflow", "server",
            "--backend-store-uri", f"sqlite:///{self.database}",
            "--serve-artifacts",
            "--artifacts-destination", str(self.artifacts),
            "--host", "127.0.0.1",
            "--port", str(self.port),
            "--workers", str(self._workers),
            *self._arguments,
        ]  # fmt: skip
        self._child = Child(command, self.folder, self.folder / "mlflow.log", self.env)
        try:
            self._child.wait_ready(f"{self.url}/health", 120)
        except BaseException:
            self.__exit__(RuntimeError, None, None)
            raise

    def stop(self) -> None:
        """Ends the server; what it knows stays."""
        if self._child is not None:
            self._child.stop()

    def __exit__(self, kind: type[BaseException] | None, _e: BaseException | None, _t: TracebackType | None) -> None:
        if self._child is not None:
            self._child.stop()
        log = self.folder / "mlflow.log"
        leaked = leaks.found_in(log.read_text(errors="replace")) if log.exists() else []
        keep_log(log, self._keep, kind is not None or bool(leaked))
        shutil.rmtree(self.folder, ignore_errors=True)
        if leaked and kind is None:
            raise AssertionError(f"mlflow was given {', '.join(leaked)}, and wrote it down")

    def restore(self, database: Path, artifacts: Path) -> None:
        """Makes rows and files the same as those; works while the server runs."""
        with closing(sqlite3.connect(database)) as source, closing(sqlite3.connect(self.database)) as target:
            target.execute("PRAGMA synchronous = OFF")  # nobody needs it after a power cut
            source.backup(target)
        wanted, present = read_files(artifacts), read_files(self.artifacts)
        for path in present.keys() - wanted.keys():
            (self.artifacts / path).unlink()
        for path in (path for path, digest in wanted.items() if present.get(path) != digest):
            (self.artifacts / path).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(artifacts / path, self.artifacts / path)

    def snapshot(self, folder: Path) -> tuple[Path, Path]:
        """A copy of rows and files in `folder`, for `restore`."""
        database, artifacts = folder / "mlflow.db", folder / "artifacts"
        with closing(sqlite3.connect(self.database)) as source, closing(sqlite3.connect(database)) as target:
            source.backup(target)
        shutil.copytree(self.artifacts, artifacts)
        return database, artifacts

    def state(self) -> State:
        """Everything the server remembers: rows and files."""
        return read_state(self.database, self.artifacts)


def keep_log(log: Path, where: Path, failed: bool) -> None:
    """Keeps a server's log; after a failure under a name that a later success does not overwrite."""
    if log.exists():
        where.mkdir(parents=True, exist_ok=True)
        shutil.copy(log, where / (("failed-" if failed else "") + log.name))

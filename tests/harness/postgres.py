"""Debian's PostgreSQL in a temporary folder: started, killed and started again by tests, without durability.

As a program it sets SEKISHO_TEST_POSTGRES to such a server for a command:  python -m harness.postgres COMMAND…
"""

from __future__ import annotations

import atexit
import contextlib
import functools
import os
import pwd
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.parse
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from harness import leaks
from harness.process import free_port

OWNER = "postgres"
VARIABLE = "SEKISHO_TEST_POSTGRES"


class Missing(RuntimeError):
    """There is no PostgreSQL on this machine, and none could be installed; says why."""


@functools.cache
def programs() -> Path:
    """The folder of the newest server's programs. Installs Debian's package where that is allowed."""
    found = _installed()
    if found is None and os.geteuid() == 0 and shutil.which("apt-get"):
        quiet = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
        for arguments in (["update"], ["install", "--yes", "--no-install-recommends", "postgresql"]):
            subprocess.run(["apt-get", "--quiet", "--quiet", *arguments], env=quiet, capture_output=True, check=False)
        found = _installed()
    if found is None:
        raise Missing("PostgreSQL is not installed (apt-get install postgresql)")
    return found


def _installed() -> Path | None:
    servers = Path("/usr/lib/postgresql").glob("*/bin/postgres")
    newest = max(servers, key=lambda server: int(server.parts[-3]), default=None)
    return newest and newest.parent


class Postgres:
    """A context manager: an empty server runs inside it, and its folder is removed afterwards."""

    def __init__(self) -> None:
        self._password = leaks.remember(secrets.token_urlsafe(24), "the password of PostgreSQL")
        self._folder = Path(tempfile.mkdtemp(prefix="postgres-"))
        self._port = free_port()
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """The address of an empty database, with its password."""
        return self._url("postgres")

    def _url(self, database: str) -> str:
        return f"postgres://{OWNER}:{self._password}@127.0.0.1:{self._port}/{database}?sslmode=disable"

    def __enter__(self) -> Postgres:
        try:
            self._make()
            self.start()
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(self, _k: type[BaseException] | None, _e: BaseException | None, _t: TracebackType | None) -> None:
        if self._process is not None:
            # At once, but it gives its shared memory back.
            self._process.send_signal(signal.SIGQUIT)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(10)
        self.kill()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _make(self) -> None:
        password = self._folder / "password"
        password.touch(mode=0o600)
        password.write_text(self._password)
        if os.geteuid() == 0:
            owner = pwd.getpwnam(OWNER)
            for path in (self._folder, password):
                os.chown(path, owner.pw_uid, owner.pw_gid)
        self._run(
            "initdb", "--pgdata", "data", "--username", OWNER, "--pwfile", "password",
            "--auth", "scram-sha-256", "--encoding", "UTF8", "--locale", "C.UTF-8", "--no-sync",
        )  # fmt: skip

    def _run(self, program: str, *arguments: str) -> str:
        done = subprocess.run(
            [str(programs() / program), *arguments],
            **self._as_owner(),
            env={**os.environ, "PGPASSWORD": self._password},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        if done.returncode != 0:
            raise RuntimeError(f"{program} failed: {done.stderr}")
        return done.stdout

    def _as_owner(self) -> dict[str, Any]:
        """PostgreSQL refuses to run as root."""
        owner = {"user": OWNER, "group": OWNER, "extra_groups": []} if os.geteuid() == 0 else {}
        return {"cwd": self._folder, "stdin": subprocess.DEVNULL, **owner}

    def start(self) -> None:
        """Starts the server with what is in its folder, and waits until it answers."""
        arguments = [
            "-D", "data", "-p", str(self._port), "-h", "127.0.0.1", "-k", "",
            # What it has said is kept outlives its process, as it would with a disk.
            "-c", "fsync=off", "-c", "full_page_writes=off",
            "-c", "max_connections=200", "-c", "shared_buffers=32MB",
        ]  # fmt: skip
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [str(programs() / "postgres"), *arguments],
                **self._as_owner(),
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline and self._process.poll() is None:
            with contextlib.suppress(RuntimeError):
                self.query("SELECT 1")
                return
            time.sleep(0.05)
        raise RuntimeError(f"PostgreSQL did not start:\n{(self._folder / 'log').read_text(errors='replace')}")

    def kill(self) -> None:
        """Ends it as a power cut would: nobody is told, and nothing of it goes on."""
        if self._process is None:
            return
        # Its children have sessions of their own; all of them work in its folder.
        deadline = time.monotonic() + 10
        while (left := self._processes()) and time.monotonic() < deadline:
            for process in left:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(process, signal.SIGKILL)
            time.sleep(0.01)
        self._process.wait(10)
        self._process = None

    def _processes(self) -> list[int]:
        found = []
        for folder in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                if Path(os.readlink(folder / "cwd")).is_relative_to(self._folder):
                    found.append(int(folder.name))
        return [process for process in found if _is_alive(process)]

    def query(self, sql: str, database: str = "postgres") -> str:
        """Runs SQL; what it answers, a line for each row."""
        where = ["--host", "127.0.0.1", "--port", str(self._port), "--username", OWNER, "--dbname", database]
        return self._run("psql", *where, "--no-psqlrc", "-Atq", "--set", "ON_ERROR_STOP=1", "--command", sql).strip()

    def database(self) -> str:
        """The address of a new database."""
        name = f"sekisho_{secrets.token_hex(8)}"
        self.query(f"CREATE DATABASE {name}")
        return self._url(name)


def name_of(url: str) -> str:
    """The name of the database in an address."""
    return urllib.parse.urlsplit(url).path.removeprefix("/")


def _is_alive(process: int) -> bool:
    """Whether it is more than an exit code that nobody has read yet."""
    try:
        state = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


@functools.cache
def shared() -> Postgres:
    """One server for all tests of this run."""
    server = Postgres().__enter__()
    atexit.register(server.__exit__, None, None, None)
    return server


def run(command: Sequence[str]) -> int:
    """Runs a command with a server, or without one where there is none; its exit code."""
    environment = dict(os.environ)
    with contextlib.ExitStack() as stack:
        try:
            programs()
            environment[VARIABLE] = stack.enter_context(Postgres()).url
        except Missing as reason:
            print(f"tests on PostgreSQL are skipped: {reason}", file=sys.stderr)
        return subprocess.run(command, env=environment, check=False).returncode


if __name__ == "__main__":
    sys.exit(run(sys.argv[1:]))

"""A server as a child process: started with its output in a file, waited for, and always ended."""

from __future__ import annotations

import atexit
import contextlib
import os
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from pathlib import Path


class StartFailed(RuntimeError):
    """A server ended or stayed silent instead of becoming ready; the message holds the end of its log."""


def free_port() -> int:
    """A loopback TCP port that nobody listens on right now."""
    return free_ports(1)[0]


def free_ports(count: int) -> list[int]:
    """So many of them, no two the same."""
    with contextlib.ExitStack() as stack:
        probes = [stack.enter_context(socket.socket()) for _ in range(count)]
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [probe.getsockname()[1] for probe in probes]


class Child:
    """One running server, with all the processes it starts itself."""

    def __init__(self, command: Sequence[str], folder: Path, log: Path, env: Mapping[str, str]) -> None:
        self.log = log
        with log.open("ab") as sink:
            self._process = subprocess.Popen(
                command,
                cwd=folder,
                env={**os.environ, **env},
                stdin=subprocess.DEVNULL,
                stdout=sink,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        atexit.register(self.stop)

    @property
    def pid(self) -> int:
        """The process id of the server itself."""
        return self._process.pid

    def wait_ready(self, url: str, seconds: float) -> None:
        """Returns once `url` answers 200; raises `StartFailed` when the process ends or time is up."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if self._process.poll() is not None:
                raise StartFailed(f"ended with {self._process.returncode} before it was ready:\n{self.log_end()}")
            if _answers(url):
                return
            time.sleep(0.1)
        raise StartFailed(f"not ready at {url} after {seconds:.0f} s:\n{self.log_end()}")

    def stop(self, grace: float = 10.0) -> None:
        """Ends the whole process group, politely first."""
        atexit.unregister(self.stop)
        for name, wait in ((signal.SIGTERM, grace), (signal.SIGKILL, 5.0)):
            if self._signal_group(name):
                try:
                    self._process.wait(wait)
                except subprocess.TimeoutExpired:
                    continue
        self._process.poll()

    def kill(self) -> None:
        """Ends it as a power cut would: nobody is told."""
        atexit.unregister(self.stop)
        if self._signal_group(signal.SIGKILL):
            self._process.wait(10)

    def pause(self) -> None:
        """Stops it where it stands, until `go_on`: it does not notice."""
        self._signal_group(signal.SIGSTOP)

    def go_on(self) -> None:
        """The end of a pause."""
        self._signal_group(signal.SIGCONT)

    def _signal_group(self, name: signal.Signals) -> bool:
        try:
            os.killpg(self._process.pid, name)
        except ProcessLookupError:
            return False
        return True

    def log_end(self, lines: int = 40) -> str:
        """The last lines of the log."""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=2) as answer:
            return answer.status == 200
    except (urllib.error.URLError, OSError):
        return False

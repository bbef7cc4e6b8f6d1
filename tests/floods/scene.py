"""A sekisho before the stub, a good client that looks at every answer, and a flood beside it."""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from floods import GET
from harness.process import Child, free_port
from harness.rest import send
from harness.sekisho import Sekisho
from stub import SMALL

HERE = Path(__file__).resolve().parent
ATTACKERS = 4


@dataclass
class Watched:
    """What happened beside a flood."""

    seconds: list[float] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    memory_before: int = 0
    most_memory: int = 0

    def p99(self) -> float:
        return sorted(self.seconds)[int(len(self.seconds) * 0.99)]


@dataclass(frozen=True)
class Scene:
    """All of it, at rest."""

    url: str
    memory: Callable[[], int]
    good: str
    attackers: list[str]
    nice: int = 0
    """How much of the processors a flood leaves to others: whoever floods usually brings their own."""

    @contextmanager
    def watching(self, pause: float = 0.01) -> Iterator[Watched]:
        """Asks again and again, each time on a new connection, and looks at answers and memory until the end."""
        watched, over = Watched(memory_before=self.memory()), threading.Event()

        def ask() -> None:
            while not over.is_set():
                begun = time.monotonic()
                try:
                    answer = send(self.url, "GET", GET, self.good)
                    if (answer.status, answer.body) != (200, SMALL):
                        watched.wrong.append(f"{answer.status} {answer.body[:200]!r}")
                except OSError as error:
                    watched.wrong.append(repr(error))
                watched.seconds.append(time.monotonic() - begun)
                over.wait(pause)

        def look() -> None:
            while not over.wait(0.03):
                watched.most_memory = max(watched.most_memory, self.memory())

        threads = [threading.Thread(target=work) for work in (ask, look)]
        for thread in threads:
            thread.start()
        try:
            yield watched
        finally:
            over.set()
            for thread in threads:
                thread.join()

    def flood(self, name: str, seconds: float) -> dict[str, int]:
        """Runs a flood in a process of its own to its end; what it saw."""
        command = ["nice", "-n", str(self.nice), sys.executable]
        command += [str(HERE / "floods.py"), name, self.url.rpartition(":")[2], str(seconds)]
        done = subprocess.run(
            command, input=json.dumps(self.attackers), capture_output=True, text=True, timeout=seconds + 60, check=False
        )
        if done.returncode != 0:
            raise RuntimeError(done.stderr)
        seen: dict[str, int] = json.loads(done.stdout)
        return seen


@contextmanager
def open_scene(logs: Path) -> Iterator[Scene]:
    """Starts everything."""
    allow_many_connections()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="stub-")))
        port = free_port()
        stub = Child([sys.executable, str(HERE / "stub.py"), str(port)], folder, folder / "log", {})
        stack.callback(stub.stop)
        stub.wait_ready(f"http://127.0.0.1:{port}/health", 20)
        yield before(stack.enter_context(Sekisho(f"http://127.0.0.1:{port}", logs)))


def before(sekisho: Sekisho, nice: int = 0) -> Scene:
    """The scene with whatever that sekisho stands in front of."""
    good = sekisho.token("good@company.com", "ml_engineer", ["iris"])
    attackers = [sekisho.token(f"bad{each}@company.com", "admin") for each in range(ATTACKERS)]
    return Scene(sekisho.url, sekisho.memory, good, attackers, nice)


def allow_many_connections() -> None:
    """For this process and its children."""
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))

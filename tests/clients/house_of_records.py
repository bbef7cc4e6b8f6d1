"""A gate whose record is looked at: somebody's tags through it, the lines of the record, and a disk of a few pages for it."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from conftest import LOGS, WatchedGate, need_binary, until_quiet
from harness import records
from harness.mlflow_server import MlflowServer
from harness.recorder import Recorder
from harness.rest import Answer, send
from harness.sekisho import Sekisho, run_command
from ruled import API

Line = dict[str, Any]
ANN = "ann@example.com"
ROOT = "root@example.com"
MODELS = 4


@dataclass(frozen=True)
class Kept(WatchedGate):
    """A gate, and models of its own that nobody else tags: writes to one model wait for each other."""

    models: tuple[str, ...]
    ann: str
    root: str
    refused: list[Answer] = field(default_factory=list)

    @property
    def model(self) -> str:
        """The first of them."""
        return self.models[0]

    def ask(self, token: str | None, method: str, target: str, body: object = None, **more: Any) -> Answer:
        """One request through the gate."""
        return send(self.url, method, target, token, body, **more)

    def tag(self, key: str, value: str = "x", model: int = 0, **more: Any) -> Answer:
        """A write; one that the record refuses is counted in `refused`."""
        body = {"name": self.models[model], "key": key, "value": value}
        answer = self.ask(self.ann, "POST", f"{API}registered-models/set-tag", body, **more)
        if answer.status == 507:
            self.refused.append(answer)
        return answer

    def read(self) -> Answer:
        """A read."""
        return self.ask(self.ann, "GET", f"{API}registered-models/get?name={self.model}")

    def held(self) -> dict[str, str]:
        """All models' tags, as MLflow itself has them."""
        found: dict[str, str] = {}
        for model in self.models:
            answer = send(self.mlflow.url, "GET", f"{API}registered-models/get?name={model}")
            found |= {tag["key"]: tag["value"] for tag in answer.json()["registered_model"].get("tags", [])}
        return found

    def lines(self, *kinds: str) -> list[Line]:
        """The lines that are in the files now, of these kinds if any are named."""
        return [line for line in records.lines(self.sekisho.audit) if not kinds or line["kind"] in kinds]

    def of(self, answer: Answer) -> list[Line]:
        """The lines of one request."""
        return [line for line in self.lines() if line["id"] == answer.headers["x-request-id"]]

    def system(self, operation: str) -> list[Line]:
        """What sekisho says of itself by one word."""
        return [line for line in self.lines("system") if line["operation"] == operation]


@contextmanager
def kept(
    server: MlflowServer,
    settings: Mapping[str, object] | None = None,
    disk: Sequence[str] | None = None,
    environment: Mapping[str, str] | None = None,
) -> Iterator[Kept]:
    """Starts sekisho before `server`; its record is on a disk of its own, if one is described."""
    need_binary()
    with ExitStack() as stack:
        wire = stack.enter_context(Recorder(server.url))
        sekisho = Sekisho(wire.url, LOGS, settings={"audit": dict(settings or {})}, environment=dict(environment or {}))
        if disk is not None:
            stack.enter_context(mounted(sekisho.audit, disk))
        stack.enter_context(sekisho)
        models = tuple(f"recorded_{secrets.token_hex(4)}" for _ in range(MODELS))
        for model in models:
            made = send(server.url, "POST", f"{API}registered-models/create", None, {"name": model})
            assert made.status == 200, made
        until_quiet(wire, 0.3)
        ann, root = sekisho.token(ANN, "ml_engineer", ["*"]), sekisho.token(ROOT, "admin")
        yield Kept(sekisho, server, wire, models, ann, root)


@contextmanager
def mounted(folder: Path, options: Sequence[str]) -> Iterator[None]:
    """A disk in memory."""
    if os.geteuid() != 0:
        pytest.skip("only root can mount a small disk")
    folder.mkdir()
    done = mount("-t", "tmpfs", "-o", ",".join(options), "tmpfs", str(folder))
    if done.returncode != 0:
        pytest.skip(f"no small disk can be mounted here: {done.stderr.strip()}")
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)
        folder.rmdir()
        with contextlib.suppress(OSError):
            folder.parent.rmdir()


def mount(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Runs `mount`."""
    return subprocess.run(["mount", *arguments], capture_output=True, text=True, check=False)


def fill(folder: Path) -> Path:
    """Takes all the room that is left; it is there again without the file that is given back."""
    ballast = folder / "ballast"
    with ballast.open("ab", buffering=0) as sink, contextlib.suppress(OSError):
        while sink.write(b"x" * 4096):
            pass
    return ballast


def verified(folder: Path) -> None:
    """Whether the record holds by sekisho's own reckoning and by somebody else's; it is there to be proved."""
    done = run_command("audit", "verify", str(folder))
    assert done.returncode == 0 and done.stdout.startswith("verified "), done
    assert (folder / "audit.pub").exists()
    assert records.faults(folder) == ""


def last_bytes(folder: Path) -> bytes:
    """What stands behind the last line feed of the only chain's current file."""
    return (folder / "here" / "current.jsonl").read_bytes().rpartition(b"\n")[2]


def pairs(lines: Sequence[Line]) -> dict[int, Line]:
    """Outcomes by the number of their intent: none has two."""
    found = [line for line in lines if line["kind"] == "outcome"]
    by_intent = {line["intent"]: line for line in found}
    assert len(by_intent) == len(found)
    return by_intent


def said(line: Line, *keys: str) -> Line:
    """Only these keys, as far as they are there."""
    return {key: line[key] for key in keys if key in line}


def times(lines: Sequence[Line]) -> list[float]:
    """When they were written, in seconds."""
    return [datetime.fromisoformat(line["time"]).timestamp() for line in lines]


def whole(text: str) -> object:
    """JSON on one line."""
    assert text.count("\n") == 1 and text.endswith("\n"), text
    return json.loads(text)

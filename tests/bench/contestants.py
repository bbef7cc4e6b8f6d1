"""Who is measured: servers on loopback ports of their own, each ended when its context ends."""

from __future__ import annotations

import errno
import json
import os
import shutil
import socket
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlencode, urlsplit

from harness.mlflow_server import MlflowServer
from harness.process import Child, free_port
from harness.rest import send
from harness.sekisho import Sekisho

HERE = Path(__file__).resolve().parent
LOGS = HERE.parent / ".cache" / "bench"
MODEL = "bench_model"
TARGET = "/api/2.0/mlflow/model-versions/get?" + urlencode({"name": MODEL, "version": "1"})


@dataclass(frozen=True)
class Contestant:
    """Something that answers `TARGET`."""

    name: str
    url: str
    body: bytes
    token: str | None = None

    def verify(self) -> None:
        """Asks once; raises unless the answer is the one that is to be timed."""
        answer = send(self.url, "GET", TARGET, self.token)
        if (answer.status, answer.body) != (200, self.body):
            raise RuntimeError(f"{self.name} answers {answer.status} with {answer.body[:200]!r}")


@dataclass(frozen=True)
class Field:
    """All contestants in the order of a round, and the sekisho whose memory is looked at."""

    contestants: tuple[Contestant, ...]
    stubbed: Sekisho


@contextmanager
def open_field() -> Iterator[Field]:
    """Starts everything."""
    with ExitStack() as stack:
        mlflow = stack.enter_context(MlflowServer(LOGS, workers=2))
        body = _seed(mlflow.url)
        stub_body = answer_of_stub()
        stub = stack.enter_context(nginx("stub.conf", BODY=stub_body.decode()))
        before_mlflow = stack.enter_context(nginx("proxy.conf", LOG="access.log", BEHIND=mlflow.url.removeprefix("http://")))
        before_stub = stack.enter_context(nginx("proxy.conf", LOG="access.log", BEHIND=stub.removeprefix("http://")))
        unlimited = {"limits": {"requests_per_second": 0}}
        sekisho = stack.enter_context(Sekisho(mlflow.url, LOGS, settings=unlimited))
        stubbed = stack.enter_context(Sekisho(stub, LOGS, settings=unlimited))
        contestants = (
            Contestant("mlflow", mlflow.url, body),
            Contestant("sekisho > mlflow", sekisho.url, body, _token(sekisho)),
            Contestant("nginx > mlflow", before_mlflow, body),
            Contestant("stub", stub, stub_body),
            Contestant("sekisho > stub", stubbed.url, stub_body, _token(stubbed)),
            Contestant("nginx > stub", before_stub, stub_body),
        )
        for contestant in contestants:
            contestant.verify()
        yield Field(contestants, stubbed)


def ask_once(contestant: Contestant, number: int, peers: int = 4) -> socket.socket:
    """A connection that has had one answer and stays open. So many callers share them: one may have a thousand."""
    place = urlsplit(contestant.url)
    wire = socket.create_connection((place.hostname or "", place.port or 80), 10, (f"127.0.0.{2 + number % peers}", 0))
    head = f"GET {TARGET} HTTP/1.1\r\nHost: bench\r\nAuthorization: Bearer {contestant.token}\r\n\r\n"
    wire.sendall(head.encode())
    seen = b""
    while not seen.endswith(contestant.body):
        piece = wire.recv(65536)
        if not piece:
            raise RuntimeError(f"connection {number} was closed after {seen[:200]!r}")
        seen += piece
    return wire


def is_open(wire: socket.socket) -> bool:
    wire.setblocking(False)
    try:
        return bool(wire.recv(1))
    except OSError as error:
        return error.errno == errno.EAGAIN


def _token(sekisho: Sekisho) -> str:
    return sekisho.token("bench@company.com", "ml_engineer", [MODEL])


def _seed(url: str) -> bytes:
    """Registers one version, and returns MLflow's own answer about it."""
    for call, body in (
        ("registered-models/create", {"name": MODEL}),
        ("model-versions/create", {"name": MODEL, "source": "s3://bench/model", "description": "x" * 200}),
    ):
        answer = send(url, "POST", f"/api/2.0/mlflow/{call}", body=body)
        if answer.status != 200:
            raise RuntimeError(f"{call}: {answer.status} {answer.body[:200]!r}")
    return send(url, "GET", TARGET).body


def answer_of_stub() -> bytes:
    version = {
        "name": MODEL,
        "version": "1",
        "creation_timestamp": 1767225600000,
        "last_updated_timestamp": 1767225600000,
        "current_stage": "None",
        "description": "",
        "source": "s3://bench/model",
        "run_id": "",
        "status": "READY",
        "run_link": "",
    }
    version["description"] = "x" * (600 - len(json.dumps({"model_version": version})))
    return json.dumps({"model_version": version}).encode()


@contextmanager
def nginx(template: str, files: Mapping[str, bytes] | None = None, **words: str) -> Iterator[str]:
    """One nginx with a filled-in configuration of `peers/` and `files` in its folder `html`; gives its address."""
    listen = f"127.0.0.1:{free_port()}"
    folder = Path(tempfile.mkdtemp(prefix="nginx-"))
    # Its workers are another user when it is started by root.
    folder.chmod(0o755)
    text = (HERE / "peers" / template).read_text()
    for word, value in {"LISTEN": listen, **words}.items():
        text = text.replace(f"@{word}@", value)
    (folder / "nginx.conf").write_text(text)
    (folder / "html").mkdir()
    for name, content in (files or {}).items():
        (folder / "html" / name).write_bytes(content)
    program = shutil.which("nginx", path=os.environ["PATH"] + os.pathsep + "/usr/sbin")
    if program is None:
        raise RuntimeError("nginx is missing: tests/bench/run installs it")
    child = Child([program, "-p", str(folder), "-c", "nginx.conf"], folder, folder / "nginx.log", {})
    try:
        child.wait_ready(f"http://{listen}/health", 20)
        yield f"http://{listen}"
    finally:
        child.stop()
        shutil.rmtree(folder, ignore_errors=True)

"""One large artifact down and up, through sekisho and through nginx, in turns; upstream is nginx with a file."""

from __future__ import annotations

import filecmp
import http.client
import random
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.parse import urlsplit

from contestants import LOGS, nginx
from harness.rest import send
from harness.sekisho import Sekisho
from load import say
from racers import settings

RUN = "0123456789abcdef0123456789abcdef"
FOLDER = f"/api/2.0/mlflow-artifacts/artifacts/1/{RUN}/artifacts/"
MIB = 2**20


@dataclass(frozen=True)
class Pipes:
    """Two ways to the same file."""

    urls: Mapping[str, str]
    headers: Mapping[str, str]
    content: bytes
    folder: Path
    """The file is here as `down`, and what is uploaded becomes `up`."""
    sekisho: Sekisho
    room: bytearray
    """As large as the file: what comes is compared when the clock has stopped."""


@contextmanager
def open_pipes(size: int) -> Iterator[Pipes]:
    """Starts them, and sees that sekisho refuses who may not."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory(prefix="stream-")))
        folder.chmod(0o755)
        content = random.Random(7).randbytes(MIB) * (size // MIB)
        (folder / "down").write_bytes(content)
        behind = stack.enter_context(nginx("files.conf", ROOT=str(folder), RUN=RUN))
        peer = stack.enter_context(nginx("streamed.conf", BEHIND=behind.removeprefix("http://")))
        sekisho = stack.enter_context(Sekisho(behind, LOGS, settings=settings()))
        for token, status in ((None, 401), (sekisho.token("nobody@company.com", "auditor"), 403)):
            answer = send(sekisho.url, "GET", FOLDER + "down", token)
            if answer.status != status:
                raise RuntimeError(f"a file is answered with {answer.status} and not {status}")
        headers = {"Authorization": f"Bearer {sekisho.token('stream@company.com', 'ml_engineer', ['*'])}"}
        urls = {"nginx": peer, "sekisho": sekisho.url}
        yield Pipes(urls, headers, content, folder, sekisho, bytearray(size))


def turn(pipes: Pipes, number: int) -> dict[str, dict[str, float]]:
    """MB a second of each, neither always the first, and the most memory that sekisho has held."""
    found: dict[str, dict[str, float]] = {"down": {}, "up": {}}
    for who in sorted(pipes.urls, reverse=number % 2 == 1):
        found["down"][who] = round(len(pipes.content) / 1e6 / down(pipes, who), 1)
    for who in sorted(pipes.urls, reverse=number % 2 == 1):
        found["up"][who] = round(len(pipes.content) / 1e6 / up(pipes, who), 1)
    most: dict[str, float] = {"peak_bytes": pipes.sekisho.peak_memory()}
    say(f"  {len(pipes.content) // MIB} MiB, MB/s: {found}, {most['peak_bytes'] / MIB:.1f} MiB of memory at most")
    return {**found, "sekisho": most}


def down(pipes: Pipes, who: str) -> float:
    """Seconds from the request to the last byte."""
    connection = _connection(pipes.urls[who])
    began = time.perf_counter()
    connection.request("GET", FOLDER + "down", headers=dict(pipes.headers))
    answer = connection.getresponse()
    room, end = memoryview(pipes.room), 0
    if answer.status == 200:
        while end < len(room) and (got := answer.readinto(room[end : end + MIB])):
            end += got
    taken = time.perf_counter() - began
    more = answer.read()
    connection.close()
    if answer.status != 200 or more or end != len(room) or pipes.room != pipes.content:
        raise RuntimeError(f"{who}: a download of {end} bytes: {answer.status} {more[:300]!r}")
    pipes.room[:: MIB // 4] = bytes(len(pipes.room[:: MIB // 4]))  # so that the next one must write it anew
    return taken


def up(pipes: Pipes, who: str) -> float:
    """Seconds from the request to its answer."""
    (pipes.folder / "up").unlink(missing_ok=True)
    connection = _connection(pipes.urls[who])
    began = time.perf_counter()
    headers = {**pipes.headers, "Content-Length": str(len(pipes.content)), "Content-Type": "application/octet-stream"}
    connection.putrequest("PUT", FOLDER + "up", skip_accept_encoding=True)
    for name, value in headers.items():
        connection.putheader(name, value)
    connection.endheaders()
    content = memoryview(pipes.content)
    for begin in range(0, len(content), MIB):
        connection.send(content[begin : begin + MIB])
    answer = connection.getresponse()
    body = answer.read()
    taken = time.perf_counter() - began
    connection.close()
    # nginx says 201 where MLflow says 200.
    if answer.status != 201 or not filecmp.cmp(pipes.folder / "up", pipes.folder / "down", shallow=False):
        raise RuntimeError(f"{who}: an upload: {answer.status} {body[:300]!r}")
    return taken


def _connection(url: str) -> http.client.HTTPConnection:
    place = urlsplit(url)
    connection = http.client.HTTPConnection(place.hostname or "", place.port, timeout=120)
    connection.connect()
    return connection

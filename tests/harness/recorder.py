"""A relay that stands between sekisho and MLflow and writes down every request that passes: its target in `targets` when it
begins, and the whole in `seen` when it is there.

On hold it passes nothing on and answers `{}` itself, for requests that no test should let a real server carry out.
A `Stop` has one request wait in it, before MLflow hears of it or before sekisho hears of the answer.
"""

from __future__ import annotations

import http.client
import threading
from collections.abc import Callable
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from urllib.parse import urlsplit

_HOP_BY_HOP = {"connection", "keep-alive", "transfer-encoding", "te", "trailer", "upgrade"}


@dataclass(frozen=True)
class Seen:
    """One request as it arrived at MLflow's door."""

    method: str
    target: str
    headers: tuple[tuple[str, str], ...]
    body: bytes

    def is_probe(self) -> bool:
        """Whether sekisho only asks by itself if MLflow is there; what belongs to somebody's request carries more."""
        return self.target == "/health" and {name.lower() for name, _ in self.headers} == {"host"}


class Stop:
    """Where one request waits: the `nth` that fits."""

    def __init__(self, fits: Callable[[Seen], bool], nth: int = 1, *, answered: bool = False) -> None:
        self.answered = answered
        self._fits = fits
        self._left = nth
        self._counts = threading.Lock()
        self._reached = threading.Event()
        self._released = threading.Event()
        self._lost = False

    def meets(self, seen: Seen) -> bool:
        """Whether it is this one."""
        if not self._fits(seen):
            return False
        with self._counts:
            self._left -= 1
            return self._left == 0

    def wait(self) -> bool:
        """The request waits here; whether it goes on."""
        self._reached.set()
        self._released.wait(60)
        return not self._lost

    def reach(self) -> None:
        """Returns once it waits."""
        assert self._reached.wait(30), "no such request came"

    def release(self, *, lost: bool = False) -> None:
        """Lets it go on, or never."""
        self._lost = lost
        self._released.set()


class Recorder:
    """A context manager; `url` is what to put where MLflow's address was."""

    def __init__(self, upstream: str) -> None:
        self.seen: list[Seen] = []
        self.targets: list[str] = []
        self._server = _Relay(("127.0.0.1", 0), _Handler)
        self._server.upstream = upstream
        self._server.seen = self.seen
        self._server.targets = self.targets
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)

    def __enter__(self) -> Recorder:
        self._thread.start()
        return self

    def __exit__(self, _k: type[BaseException] | None, _e: BaseException | None, _t: TracebackType | None) -> None:
        self._server.shutdown()
        self._server.server_close()

    def hold(self, on: bool) -> None:
        """Whether requests end here."""
        self._server.held = on

    def refuse(self, part: str | None) -> None:
        """Whether requests with this in their target are answered 503, as by a server that is going down."""
        self._server.refused = part

    def stop(self, stop: Stop | None) -> None:
        """Has one request wait."""
        self._server.stop = stop

    def take(self) -> list[Seen]:
        """What was seen since the last call."""
        taken = list(self.seen)
        del self.seen[: len(taken)]
        return taken


class _Relay(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128
    upstream: str
    seen: list[Seen]
    targets: list[str]
    held = False
    refused: str | None = None
    stop: Stop | None = None


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Relay

    def relay(self) -> None:
        self.server.targets.append(self.path)
        try:
            body = self._read_body()
        except (ConnectionError, ValueError):
            # MLflow hears nothing of it: it would take a part for the whole.
            self.close_connection = True
            return
        seen = Seen(self.command, self.path, tuple(self.headers.items()), body)
        if not seen.is_probe():
            self.server.seen.append(seen)
        if self.server.held:
            self._answer_empty(200)
            return
        if self.server.refused and self.server.refused in self.path:
            self._answer_empty(503)
            return
        stop = self.server.stop
        waits = stop is not None and stop.meets(seen)
        if waits and not stop.answered and not stop.wait():
            self.close_connection = True
            return
        place = urlsplit(self.server.upstream)
        onward = http.client.HTTPConnection(place.hostname or "", place.port, timeout=60)
        try:
            self._send_on(onward, body)
            answer = onward.getresponse()
            if not (waits and stop.answered) or stop.wait():
                self._answer(answer)
        finally:
            onward.close()
            self.close_connection = True

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = do_OPTIONS = relay

    def _send_on(self, onward: http.client.HTTPConnection, body: bytes) -> None:
        onward.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
        for name, value in self.headers.items():
            if name.lower() not in _HOP_BY_HOP | {"content-length"}:
                onward.putheader(name, value)
        if body or "content-length" in self.headers or "transfer-encoding" in self.headers:
            onward.putheader("Content-Length", str(len(body)))
        onward.endheaders(body or None)

    def _answer_empty(self, status: int) -> None:
        self.send_response_only(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"{}")

    def _read_body(self) -> bytes:
        if "chunked" not in self.headers.get("Transfer-Encoding", ""):
            length = int(self.headers.get("Content-Length") or 0)
            body = self.rfile.read(length)
            if len(body) < length:
                raise ConnectionAbortedError("the body broke off")
            return body
        parts: list[bytes] = []
        while size := int(self.rfile.readline().split(b";")[0], 16):
            parts.append(self.rfile.read(size))
            self.rfile.readline()
        while self.rfile.readline().strip():
            pass
        return b"".join(parts)

    def _answer(self, answer: http.client.HTTPResponse) -> None:
        self.send_response_only(answer.status, answer.reason)
        for name, value in answer.getheaders():
            if name.lower() not in _HOP_BY_HOP:
                self.send_header(name, value)
        self.send_header("Connection", "close")
        self.end_headers()
        while block := answer.read1(65536):
            self.wfile.write(block)
            self.wfile.flush()

    def log_message(self, *_arguments: object) -> None:
        """Says nothing: what passed is in `seen`."""

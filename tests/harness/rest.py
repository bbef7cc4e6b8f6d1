"""Plain HTTP without a client library's opinions: exact targets, exact bytes, no redirects, no retries."""

from __future__ import annotations

import http.client
import json
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit


@dataclass(frozen=True)
class Answer:
    """A response, read to its end. `status` 0 means that the connection ended without one."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> object:
        """The body as JSON, or None when it is none."""
        try:
            return json.loads(self.body)
        except ValueError:
            return None

    def error_code(self) -> str:
        """MLflow's `error_code`, or an empty string."""
        body = self.json()
        return str(body.get("error_code", "")) if isinstance(body, dict) else ""


def send(
    base: str,
    method: str,
    target: str,
    token: str | None = None,
    body: object = None,
    headers: Mapping[str, str] | None = None,
    timeout: float = 30,
) -> Answer:
    """One request. A `body` that is not bytes is sent as JSON."""
    place = urlsplit(base)
    connection = http.client.HTTPConnection(place.hostname or "", place.port, timeout=timeout)
    sent = {"Authorization": f"Bearer {token}"} if token else {}
    payload = body if isinstance(body, bytes | None) else json.dumps(body).encode()
    if payload is not None:
        sent["Content-Type"] = "application/json"
    sent |= headers or {}
    try:
        connection.request(method, target, payload, sent)
        answer = connection.getresponse()
        return Answer(answer.status, dict(answer.getheaders()), answer.read())
    finally:
        connection.close()


def send_raw(base: str, message: bytes, timeout: float = 15) -> Answer:
    """Sends `message` as it is on a connection of its own and reads one response."""
    place = urlsplit(base)
    with socket.create_connection((place.hostname or "", place.port or 80), timeout) as wire:
        try:
            wire.sendall(message)
            answer = http.client.HTTPResponse(wire, method=_method(message))
            answer.begin()
            return Answer(answer.status, dict(answer.getheaders()), answer.read())
        except (OSError, http.client.HTTPException):
            return Answer(0, {}, b"")


def _method(message: bytes) -> str:
    return message.split(b" ", 1)[0].decode("latin-1")

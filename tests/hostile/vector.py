"""What an attack is: requests as data, who sends them, and what shows that its legitimate twin works.

`~run~` and the like in a request are filled in with the seeded ids (`sow.py`); `~` survives URL encoding and JSON.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from urllib.parse import quote, urlencode

import pytest

API = "/api/2.0/mlflow/"
AJAX = "/ajax-api/2.0/mlflow/"
API3 = "/api/3.0/mlflow/"
FILES = "/api/2.0/mlflow-artifacts/artifacts"
JSON_TYPE = "Content-Type: application/json"
BINARY_TYPE = "Content-Type: application/octet-stream"

VICTIM = "victim_model"
PROMPT = "hidden_prompt"
COPY = "a_third_copy"
HIDDEN = (VICTIM, PROMPT, COPY)
ROWS, LINEAGE = "rows", "lineage"
TAKEN = "whoever is refused a place learns that it is taken; not by what"
MARKER = "Kuroshio-7f3a"


@dataclass(frozen=True)
class Request:
    """One request; what is not said in `headers` is added when it is written."""

    method: str
    target: str
    body: bytes | None = None
    headers: tuple[str, ...] = ()
    version: str = "HTTP/1.1"

    def having(self, *headers: str) -> Request:
        """With more header lines."""
        return replace(self, headers=(*self.headers, *headers))

    def at(self, target: str) -> Request:
        """The same of another target."""
        return replace(self, target=target)

    def by(self, method: str) -> Request:
        """The same by another method."""
        return replace(self, method=method)

    def saying(self, body: bytes, *headers: str) -> Request:
        """With another body, and these headers alone."""
        return replace(self, body=body, headers=headers or (JSON_TYPE,))

    def with_field(self, name: str, value: object) -> Request:
        """With another value of a field of its JSON."""
        return replace(self, body=json.dumps(json.loads(self.body or b"{}") | {name: value}).encode())

    def has(self, name: str) -> bool:
        """Whether a header of that name is said."""
        return any(line.lower().startswith(f"{name}:") for line in self.headers)

    def message(self, words: Mapping[str, str], token: str | None) -> bytes:
        """The bytes that go onto the wire."""
        body = filled(self.body, words)
        lines = [f"{self.method} {self.target} {self.version}"]
        lines += [] if self.has("host") else ["Host: 127.0.0.1"]
        lines += ["Connection: close", *self.headers]
        if token is not None and not self.has("authorization"):
            lines.append(f"Authorization: Bearer {token}")
        if body is not None and not (self.has("content-length") or self.has("transfer-encoding")):
            lines.append(f"Content-Length: {len(body)}")
        head = "\r\n".join(lines).encode("utf-8", "surrogateescape")
        return (filled(head, words) or b"") + b"\r\n\r\n" + (body or b"")


def filled(text: bytes | None, words: Mapping[str, str]) -> bytes | None:
    """`text` with its `~word~`s replaced."""
    if text is None or b"~" not in text:
        return text
    for word, value in words.items():
        text = text.replace(b"~%s~" % word.encode(), value.encode())
    return text


def get(path: str, /, **query: object) -> Request:
    """A GET below MLflow's API, or of a whole path."""
    pairs = urlencode(query, doseq=True, quote_via=quote)
    return Request("GET", (path if path.startswith("/") else API + path) + ("?" + pairs if pairs else ""))


def call(method: str, path: str, /, **fields: object) -> Request:
    """A request with a JSON body."""
    return raw(method, path, json.dumps(fields).encode())


def raw(method: str, path: str, body: bytes, *headers: str) -> Request:
    """The same with the body's own bytes."""
    return Request(method, path if path.startswith("/") else API + path, body, headers or (JSON_TYPE,))


def post(path: str, /, **fields: object) -> Request:
    """A POST with a JSON body."""
    return call("POST", path, **fields)


@dataclass(frozen=True)
class Twin:
    """What must still work: the same wish, by somebody who may, in a plain form. It has the effect that it has on a bare MLflow."""

    who: str
    request: Request


@dataclass(frozen=True)
class Vector:
    """One attack: requests that are sent one after the other by `who`.

    Behind sekisho nothing changes, nothing of the hidden models comes back, and the answers are those of a house in which
    the hidden models never were. On a bare MLflow one of the three is otherwise, unless `bare_refuses` says why not.
    """

    name: str
    who: str
    steps: tuple[Request, ...]
    twin: Twin
    bare_refuses: str = ""
    own: str = ""  # what it may change: with ROWS all that is not hidden, with LINEAGE all but the hidden files
    told: str = ""  # why the refusal itself cannot but tell that something is there


def attack(
    name: str,
    who: str,
    request: Request | Iterable[Request],
    twin: Twin,
    bare_refuses: str = "",
    own: str = "",
    told: str = "",
) -> Vector:
    """A vector of one request or of several."""
    steps = (request,) if isinstance(request, Request) else tuple(request)
    return Vector(name, who, steps, twin, bare_refuses, own, told)


def each(vectors: Iterable[Vector]) -> pytest.MarkDecorator:
    """A test for each vector, named after it; no name twice."""
    listed = list(vectors)
    names = [vector.name for vector in listed]
    twice = {name for name in names if names.count(name) > 1}
    if twice:
        raise ValueError(f"named twice: {twice}")
    return pytest.mark.parametrize("vector", listed, ids=names)

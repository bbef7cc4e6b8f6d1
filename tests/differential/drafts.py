"""A request before it is bytes: what is asked, and how it is spelled on the wire.

Everything that may be spelled oddly is a field of its own, so that several odd spellings fit into one request.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from urllib.parse import quote_plus

API = "/api/2.0/mlflow"
FILES = "/api/2.0/mlflow-artifacts/artifacts/"
# A header without its value, to be filled in from the body.
MEASURED = object()


@dataclass(frozen=True)
class Owner:
    """Something that belongs to somebody: a model, and what it was made from."""

    name: str
    experiment: str
    run: str
    model_id: str
    trace: str = ""

    @property
    def files(self) -> str:
        """Where the run's files are."""
        return f"{self.experiment}/{self.run}/artifacts"

    @property
    def model_files(self) -> str:
        """Where the logged model's files are."""
        return f"{self.experiment}/models/{self.model_id}/artifacts"


@dataclass(frozen=True)
class Cast:
    """Who there is: the victim, and the one who sends the requests."""

    victim: Owner
    mine: Owner
    root: str = "/srv/artifacts"


class Raw(str):
    """A part of a query that is on the wire as it stands here."""


@dataclass(frozen=True)
class Draft:
    """One request.

    `address` says where its artifact address is: in the path behind a prefix, or in a query argument or field of that
    name. `broken` marks what is no well-formed HTTP, which need not be answered; `starved` what waits for more than it
    sends. Bytes above 0x7f in the head are written as surrogates (`\\udcff` is 0xff).
    """

    method: str
    path: str
    query: list[tuple[str, str]] = field(default_factory=list)
    body: list[tuple[str, object]] | None = None
    raw_body: bytes | None = None
    raw_query: str | None = None
    headers: list[tuple[str, object]] = field(default_factory=list)
    chunked: bool = False
    chunk: Callable[[bytes], bytes] | None = None
    measured: bool = True
    address: tuple[str, str] | None = None
    document: object = None
    authority: str = ""
    version: str = "HTTP/1.1"
    hosts: tuple[str, ...] = ("Host: 127.0.0.1",)
    line_end: str = "\r\n"
    tail: bytes = b""
    broken: bool = False
    starved: bool = False
    alone: bool = False

    def query_text(self) -> str:
        """The query as it goes into the target."""
        if self.raw_query is not None:
            return self.raw_query
        return "&".join(f"{_argument(key)}={_argument(value)}" for key, value in self.query)

    def body_bytes(self) -> bytes:
        """The body as it goes onto the wire, duplicates and all."""
        if self.raw_body is not None:
            return self.raw_body
        if self.body is None:
            return b""
        return ("{" + ", ".join(f"{json.dumps(key)}: {json.dumps(value)}" for key, value in self.body) + "}").encode()

    def own_connection(self) -> bool:
        """Whether what comes after it on the same connection could be read as a part of it."""
        return self.alone or self.broken or self.starved or bool(self.tail) or self.version != "HTTP/1.1"

    def message(self, token: str | None) -> bytes:
        """The whole request."""
        query = self.query_text()
        target = f"{self.authority}{self.path}{'?' + query if query else ''}"
        lines = [f"{self.method} {target} {self.version}".rstrip(), *self.hosts]
        lines += [f"Authorization: Bearer {token}"] if token else []
        body = self.body_bytes()
        lines += [f"{name}: {len(body) if value is MEASURED else value}" for name, value in self.headers]
        if body and not any(name == "Content-Type" for name, _ in self.headers):
            lines.append("Content-Type: application/json")
        if self.chunked:
            lines += ["Transfer-Encoding: chunked"] if self.measured else []
            body = self.chunk(body) if self.chunk else chunks(body)
        elif self.measured and (body or self.method not in ("GET", "HEAD")):
            lines.append(f"Content-Length: {len(body)}")
        return _octets(self.line_end.join(lines) + self.line_end * 2) + body + self.tail


def chunks(body: bytes) -> bytes:
    """One chunk and the end."""
    return (b"%x\r\n%s\r\n" % (len(body), body) if body else b"") + b"0\r\n\r\n"


def _argument(text: object) -> str:
    return str(text) if isinstance(text, Raw) else quote_plus(str(text), errors="surrogatepass")


def _octets(text: str) -> bytes:
    try:
        return text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return text.encode("utf-8", "surrogatepass")


Change = Callable[[Draft, random.Random, Cast], Draft]


def of_mine(value: object, cast: Cast) -> object:
    """`value` with everything of the victim's replaced by mine."""
    text = json.dumps(value)
    for theirs, ours in zip(names(cast.victim), names(cast.mine), strict=True):
        text = text.replace(theirs, ours)
    return json.loads(text)


def names(owner: Owner) -> tuple[str, ...]:
    """What names an owner in a request; the experiment's number is too short to be replaced everywhere."""
    return owner.files, owner.model_files, owner.name, owner.run, owner.model_id


def put_in(text: str, more: str, chance: random.Random) -> str:
    """`text` with `more` somewhere in it."""
    at = chance.randint(0, len(text))
    return text[:at] + more + text[at:]


def insert(pairs: list, more: list, chance: random.Random) -> list:
    """`pairs` with `more` before, behind or amid them."""
    at = chance.choice((0, len(pairs), chance.randint(0, len(pairs))))
    return [*pairs[:at], *more, *pairs[at:]]


def with_header(draft: Draft, name: str, value: object, chance: random.Random) -> Draft:
    """One more header, anywhere among the others."""
    return replace(draft, headers=insert(draft.headers, [(name, value)], chance))

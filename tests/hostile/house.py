"""Three servers on one seed: behind sekisho, bare, and behind sekisho without the hidden models; and the judgement of a vector."""

from __future__ import annotations

import base64
import json
import os
import re
import secrets
import sqlite3
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import unquote_to_bytes

from conftest import LOGS, need_binary
from harness.mlflow_server import MlflowServer
from harness.rest import Answer, send, send_raw
from harness.sekisho import Sekisho
from hostile import forge
from hostile.sow import sow, without_hidden
from hostile.vector import HIDDEN, LINEAGE, MARKER, Request, Twin, Vector

OWN = ["mine_*", "victim_mode", "victim_model2"]
# Who there is: role and claim. The first ones attack, the others are those who may.
PEOPLE: dict[str, tuple[str | list[str], list[str]]] = {
    "engineer": ("ml_engineer", OWN),
    "scientist": ("data_scientist", OWN),
    "reader": ("product_manager", OWN),
    "deployer": ("devops_engineer", OWN),
    "ci": ("ci", OWN),
    "nobody": ("nobody", ["*"]),
    "unclaimed": ("ml_engineer", []),
    "patterns": (
        "ml_engineer",
        ["mine_*", "victim_mode", "victim_model?", "victim_model2*", "VICTIM_*", "*_model_*", "victim_mode[l]", " victim_model"],
    ),
    "third": ("ml_engineer", ["a_third_copy", "mine_*"]),
    "auditor": ("auditor", []),
    "owner": (["ml_engineer", "devops_engineer"], ["victim_model", "hidden_prompt"]),
    "tester": ("ci", ["victim_model", "mine_*"]),
    "admin": ("admin", []),
}
NOBODY = "no token"

# When somebody else asked the same before says nothing of what they saw.
_VOLATILE = {"date", "x-request-id", "etag", "last-modified", "age", "x-sekisho-cache"}
_NEW = re.compile(r"\b1[6-9]\d{11}\b|\b[0-9a-f]{32}\b|\d{4}-\d\d-\d\d[ T][\d:.]+")
_FOLDER = re.compile(r"/\S*/mlflow-\w+")
_READING_POST = re.compile(r"/graphql|/search|/get-latest-versions")
_TOKEN = re.compile(r'("next_page_token": ?)"([^"]*)"')
_NAMES = re.compile("|".join(rf"(?<![A-Za-z0-9_]){name}(?![A-Za-z0-9_])" for name in HIDDEN).encode())
_OWN_FAULTS = range(500, 600)


@dataclass
class Server:
    """An MLflow server that is put back after each change; `url` is where requests to it go."""

    mlflow: MlflowServer
    url: str
    seeded: tuple[Path, Path]
    house: House
    gate: Sekisho | None = None

    def __post_init__(self) -> None:
        self.clean = self.mlflow.state()
        self._watch = sqlite3.connect(self.mlflow.database)
        self._untouched = self._glance()

    def _glance(self) -> object:
        """Cheap, and another after every commit and every change of a file: tells when the whole state must be compared."""
        (commits,) = self._watch.execute("PRAGMA data_version").fetchone()
        return commits, sorted(_entries(str(self.mlflow.artifacts)))

    def close(self) -> None:
        """Ends the sekisho in front, if there is one."""
        if self.gate is not None:
            self.gate.__exit__(None, None, None)

    def _forget(self) -> None:
        """What sekisho knows is not so any more."""
        if self.gate is not None:
            purged = send(self.url, "POST", "/sekisho/v1/cache:purge", self.house.admin, {})
            assert purged.status == 200, purged.body

    def send(self, steps: Sequence[Request], token: str | None) -> tuple[list[Answer], list[str]]:
        """Sends them in their order; the answers, and what has changed at the end. Then all is as before."""
        answers = [send_raw(self.url, step.message(self.house.words, token)) for step in steps]
        if self._glance() == self._untouched:
            return answers, []
        after = self.mlflow.state()
        changes = self.clean.difference(after)
        if changes:
            self.mlflow.restore(*self.seeded)
            self._forget()
        self._untouched = self._glance()
        return answers, changes


@dataclass
class House:
    """All that a vector is judged by."""

    words: Mapping[str, str] = field(default_factory=dict)
    tokens: dict[str, str] = field(default_factory=dict)
    secret: bytes = b""
    admin: str = ""
    tally: Counter[tuple[str, str]] = field(default_factory=Counter)
    twins: dict[Twin, str] = field(default_factory=dict)
    gated: Server = field(init=False)
    bare: Server = field(init=False)
    empty: Server = field(init=False)
    empty_bare: Server = field(init=False)

    def token(self, who: str) -> str | None:
        """The person's token."""
        return None if who == NOBODY else self.tokens[who]

    def withstands(self, vector: Vector, kind: str) -> None:
        """Fails with everything that is wrong about the vector."""
        wrong = [*self.gained(vector), *self.bare_verdict(vector), self.twin_works(vector.twin)]
        self.tally[kind, "bare MLflow refuses" if vector.bare_refuses else "alive"] += 1
        complaint = "\n".join(line for line in wrong if line)
        assert not complaint, f"{vector.name}, sent by {vector.who}:\n{complaint}"

    def gained(self, vector: Vector) -> Iterator[str]:
        """What the attacker got through sekisho and should not have."""
        token = self.token(vector.who)
        answers, changes = self.gated.send(vector.steps, token)
        changes = self.harmful(vector, changes)
        yield from (f"changed: {line[:300]}" for line in changes)
        for step, answer in zip(vector.steps, answers, strict=True):
            shown = f"{step.method} {step.target[:120]} -> {answer.status} {answer.body[:300]!r}"
            if told := self.secrets_in(answer, step.message(self.words, token)):
                yield f"told {told}: {shown}"
            if answer.status in _OWN_FAULTS or answer.status == 429:
                yield f"a refusal that clients repeat: {shown}"
        if not vector.told:
            others, _ = self.empty.send(vector.steps, token)
            yield from self.told_apart(answers, others)

    def secrets_in(self, answer: Answer, sent: bytes) -> str:
        """Which hidden words stand in head or body; what the attacker sent may come back."""
        text = "\n".join(f"{name}: {value}" for name, value in answer.headers.items()).encode() + answer.body
        if MARKER.encode() in text and MARKER.encode() not in sent:
            return "the marker"
        names = {name for name in _NAMES.findall(text) if name not in sent and name not in _plainer(sent)}
        return ", ".join(sorted(name.decode() for name in names))

    def told_apart(self, answers: Sequence[Answer], others: Sequence[Answer]) -> Iterator[str]:
        """Where the answers are not those of the house without the hidden models."""
        for answer, other in zip(answers, others, strict=True):
            if (here := self.plain(answer)) != (there := self.plain(other)):
                yield f"tells that something is there: {here}\n   without the hidden models:   {there}"

    def plain(self, answer: Answer) -> str:
        """Everything of an answer that says something."""
        headers = sorted((name.lower(), value) for name, value in answer.headers.items() if name.lower() not in _VOLATILE)
        return self.settled(f"{answer.status} {headers} {answer.body.decode('latin-1')}")

    def settled(self, text: str) -> str:
        """Without moments and without ids that a server made up itself."""
        known = {value.removeprefix("m-").removeprefix("tr-") for value in self.words.values()}
        text = _TOKEN.sub(_own_token, _FOLDER.sub("<folder>", text))
        return _NEW.sub(lambda found: found[0] if found[0] in known else "<new>", text)

    def harmful(self, vector: Vector, changes: Sequence[str]) -> Sequence[str]:
        """The changes that the vector may not make."""
        words = (*HIDDEN, MARKER, *(self.words[word] for word in ("r1", "r2", "r3", "l1")))
        if vector.own == LINEAGE:
            changes = [line for line in changes if line.startswith("~ file")]
        return [line for line in changes if not vector.own or any(word in line for word in words)]

    def bare_verdict(self, vector: Vector) -> Iterator[str]:
        """That the vector does harm where nobody stands in front, or that MLflow itself refuses it as is said."""
        answers, changes = self.bare.send(vector.steps, None)
        told = [
            found
            for step, answer in zip(vector.steps, answers, strict=True)
            if (found := self.secrets_in(answer, step.message(self.words, None)))
        ]
        changes = self.harmful(vector, changes)
        harm = bool(changes or told)
        if not harm and not vector.told:
            others, _ = self.empty_bare.send(vector.steps, None)
            harm = bool(list(self.told_apart(answers, others)))
        if harm and vector.bare_refuses:
            yield f"bare MLflow does not refuse it: {changes[:3]} {told} {[answer.status for answer in answers]}"
        if not harm and not vector.bare_refuses:
            yield f"harmless on a bare MLflow: {[(answer.status, answer.body[:200]) for answer in answers]}"

    def twin_works(self, twin: Twin) -> str:
        """What is wrong with the twin, tried once."""
        if twin not in self.twins:
            self.twins[twin] = self._try_twin(twin)
        return self.twins[twin]

    def _try_twin(self, twin: Twin) -> str:
        (answer,), changes = self.gated.send([twin.request], self.token(twin.who))
        (bare_answer,), bare_changes = self.bare.send([twin.request], None)
        shown = f"twin of {twin.who}: {twin.request.method} {twin.request.target} {answer.status} {answer.body[:200]!r}"
        if not 200 <= answer.status < 300 or answer.status != bare_answer.status:
            return f"{shown}, bare {bare_answer.status} {bare_answer.body[:200]!r}"
        here, there = ([self.settled(line) for line in lines] for lines in (changes, bare_changes))
        if here != there:
            return f"{shown}: changes {here}, and bare {there}"
        if twin.request.method != "GET" and not here and not _READING_POST.search(twin.request.target):
            return f"{shown}: changes nothing"
        return ""


@contextmanager
def open_house(folder: Path) -> Iterator[House]:
    """Seeds one server, copies it, and stands sekisho in front of two of the three."""
    need_binary()
    with ExitStack() as stack:
        bare = stack.enter_context(MlflowServer(LOGS))
        house = House(sow(bare.url))
        for name in ("full", "empty"):
            (folder / name).mkdir()
        full = bare.snapshot(folder / "full")
        empty = without_hidden(full, dict(house.words), folder / "empty")
        copies = [MlflowServer(LOGS, copy_of=seeded) for seeded in (full, empty)]
        with ThreadPoolExecutor(2) as pool:
            behind, alone = pool.map(stack.enter_context, copies)
        house.secret = secrets.token_urlsafe(48).encode()
        house.words = {**house.words, **forge.words(house.secret)}
        gates = [open_gate(server, house) for server in (behind, alone)]
        house.tokens = {who: token_of(gates[0], who, role, claim) for who, (role, claim) in PEOPLE.items()}
        house.admin = token_of(gates[0], "admin", "admin", [])
        house.gated = Server(behind, gates[0].url, full, house, gates[0])
        house.bare = Server(bare, bare.url, full, house)
        house.empty = Server(alone, gates[1].url, empty, house, gates[1])
        house.empty_bare = Server(alone, alone.url, empty, house)
        stack.callback(house.gated.close)
        stack.callback(house.empty.close)
        yield house


def open_gate(mlflow: MlflowServer, house: House) -> Sekisho:
    """A sekisho in front of the server; all of the house have one secret, so that a token is good at each."""
    gate = Sekisho(mlflow.url, LOGS, settings={"limits": {"requests_per_second": 0}})
    (gate.folder / "secret").write_bytes(house.secret)
    return gate.__enter__()


def _entries(folder: str) -> Iterator[tuple[str, int, int]]:
    """Every file and folder below, with what changes when it is written."""
    with os.scandir(folder) as listed:
        for entry in listed:
            if entry.is_dir(follow_symlinks=False):
                yield entry.path, 0, 0
                yield from _entries(entry.path)
            else:
                seen = entry.stat(follow_symlinks=False)
                yield entry.path, seen.st_size, seen.st_mtime_ns


def _own_token(found: re.Match[str]) -> str:
    """A page's token says nothing unless it is MLflow's own, which says where in the list the page ends."""
    try:
        mlflows = "offset" in json.loads(base64.b64decode(found[2]))
    except (ValueError, TypeError):
        mlflows = False
    return found[0] if mlflows else f"{found[1]}<token>"


def _plainer(sent: bytes) -> bytes:
    """The request without its escapes: what it spells out may come back in plain letters."""
    text = re.sub(rb"\\u00([0-9a-fA-F]{2})", lambda found: bytes.fromhex(found[1].decode()), sent)
    return unquote_to_bytes(text).replace(b"+", b" ")


def token_of(gate: Sekisho, who: str, role: str | list[str], claim: list[str]) -> str:
    """A token that holds for the whole session."""
    return gate.sign({"user_id": f"{who}@example.com", "role": role, "model_access": claim, "exp": int(time.time()) + 7200})


def as_json(answer: Answer) -> dict:
    """The answer's object; it is an error of the test if there is none."""
    body = json.loads(answer.body)
    assert isinstance(body, dict)
    return body

"""The servers that a hunt needs: MLflow with a victim and an attacker on it, sekisho before it or not, and connections."""

from __future__ import annotations

import http.client
import json
import socket
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from client_process import run_client
from drafts import Cast, Draft, Owner
from harness.mlflow_server import MlflowServer
from harness.rest import Answer
from harness.sekisho import INSTANCE, Sekisho
from harness.state import State

LOGS = Path(__file__).resolve().parent.parent / ".cache" / "logs"
VICTIM, MINE = "victim", "mine"
# Longer than a refusal takes, and shorter than sekisho waits for a body that does not come.
STARVING = 0.15
# Whose row it is. Other columns may hold what the caller likes, the victim's names included.
OWNING = (
    "run_uuid",
    "run_id",
    "experiment_id",
    "model_id",
    "storage_location",
    "source",
    "entity_id",
    "source_id",
    "destination_id",
    "request_id",
    "trace_id",
    "item_id",
    "resource_id",
    "queue_id",
    "schema_id",
    "scorer_id",
    "issue_id",
    "dataset_id",
)
# Tables whose rows lie in an experiment, their ids, and where they say so: other rows name these ids alone.
HOMES = (
    ("runs", "run_uuid", "experiment_id"),
    ("logged_models", "model_id", "experiment_id"),
    ("trace_info", "request_id", "experiment_id"),
    ("review_queues", "queue_id", "experiment_id"),
    ("label_schemas", "schema_id", "experiment_id"),
    ("scorers", "scorer_id", "experiment_id"),
    ("issues", "issue_id", "experiment_id"),
    ("entity_associations", "source_id", "destination_id"),
)
REGISTRY = ("registered_models", "registered_model_tags", "registered_model_aliases", "model_versions", "model_version_tags")
PERMISSIONS = ("metadata_read", "metadata_write", "model_read", "model_write", "model_delete", "stage_transition")
TRACKING = ("tracking_read", "tracking_write", "tracking_delete")


class Wire:
    """A connection that is kept while its answers are clean."""

    def __init__(self, url: str) -> None:
        self._place = urlsplit(url)
        self._socket: socket.socket | None = None

    def ask(self, draft: Draft, message: bytes) -> Answer:
        """The first answer to `message`; status 0 where there is none."""
        if draft.own_connection():
            with closing(self._connect()) as wire:
                answer = _exchange(wire, draft.method, message, STARVING if draft.starved else 8)[0]
                if draft.tail or draft.starved:
                    _drain(wire)
                return answer
        fresh = self._socket is None
        wire = self._socket = self._socket or self._connect()
        answer, is_kept = _exchange(wire, draft.method, message, 15)
        if not is_kept:
            self.close()
        # A connection that was closed between two requests says nothing about the second.
        return self.ask(draft, message) if answer.status == 0 and not fresh else answer

    def close(self) -> None:
        """Ends the connection."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _connect(self) -> socket.socket:
        wire = socket.create_connection((self._place.hostname or "", self._place.port or 80), 15)
        wire.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return wire


def _exchange(wire: socket.socket, method: str, message: bytes, seconds: float) -> tuple[Answer, bool]:
    wire.settimeout(seconds)
    try:
        wire.sendall(message)
    except OSError:
        pass  # It may have answered before it had read all.
    try:
        answer = http.client.HTTPResponse(wire, method=method.upper())
        answer.begin()
        # What is sent on a connection that was asked to change its protocol has no end.
        body = b"" if answer.status == 101 else answer.read()
        return Answer(answer.status, dict(answer.getheaders()), body), not answer.will_close
    except (OSError, http.client.HTTPException, ValueError):
        return Answer(0, {}, b""), False


def _drain(wire: socket.socket) -> None:
    """Waits for what follows, so that what hides behind a request is carried out, if it is."""
    wire.settimeout(0.03)
    try:
        while wire.recv(65_536):
            pass
    except OSError:
        pass


@dataclass
class Arena:
    """A server with both owners on it, and how to talk to it."""

    server: MlflowServer
    sekisho: Sekisho | None
    tokens: dict[str, str]
    cast: Cast
    seeded: tuple[Path, Path]
    shared: bool
    wires: dict[str, Wire] = field(default_factory=dict)
    before: State = field(init=False)

    def __post_init__(self) -> None:
        self.before = self.server.state()

    @property
    def secrets(self) -> tuple[bytes, ...]:
        """What only those may see who may see the victim. Who may track in its experiment sees its parameters too."""
        files = (f"file of {VICTIM}".encode(), f"secretof{VICTIM}".encode())
        return files if self.shared else (*files, f"secret of {VICTIM}".encode(), b"8675309")

    def send(self, draft: Draft, who: str) -> Answer:
        """Through sekisho, if there is one."""
        url = self.sekisho.url if self.sekisho else self.server.url
        return self._wire(url).ask(draft, draft.message(self.tokens.get(who)))

    def send_past(self, draft: Draft) -> Answer:
        """To MLflow itself."""
        return self._wire(self.server.url).ask(draft, draft.message(None))

    def restore(self) -> None:
        """All as it was at first."""
        for wire in self.wires.values():
            wire.close()
        self.server.restore(*self.seeded)

    def _wire(self, url: str) -> Wire:
        return self.wires.setdefault(url, Wire(url))

    def lines(self, answer: Answer) -> list[str]:
        """What sekisho wrote about the request with that answer. Its line may come a moment later than the answer."""
        request_id = answer.headers.get("x-request-id", "").encode()
        if self.sekisho is None or not request_id:
            return []
        found: list[bytes] = []
        deadline = time.monotonic() + 2
        while time.monotonic() < deadline and not any(b'"micros"' in line for line in found):
            found = []
            for file in (self.sekisho.log, self.sekisho.audit / INSTANCE / "current.jsonl"):
                with file.open("rb") as log:
                    log.seek(max(0, log.seek(0, 2) - 100_000))
                    found += [line for line in log if request_id in line]
        return [line.decode("utf-8", "replace").strip() for line in found]

    def upstream_status(self, answer: Answer) -> int | None:
        """What MLflow answered to it, if it was asked."""
        found = (json.loads(line).get("upstream_status") for line in self.lines(answer) if '"micros"' in line)
        return next((int(status) for status in found if status), None)


@contextmanager
def arena(guarded: bool, shared: bool = False) -> Iterator[Arena]:
    """A seeded server, with sekisho in front of it or not."""
    with ExitStack() as stack:
        server = stack.enter_context(MlflowServer(LOGS))
        seeded = run_client("sow.py", {"MLFLOW_TRACKING_URI": server.url}, VICTIM, MINE, "yes" if shared else "no")
        assert isinstance(seeded, dict)
        victim, mine = (Owner(name, **seeded[name]) for name in (VICTIM, MINE))
        cast = Cast(victim, mine, str(server.artifacts))
        copy = server.snapshot(Path(stack.enter_context(tempfile.TemporaryDirectory())))
        sekisho, tokens = None, {}
        if guarded:
            sekisho = stack.enter_context(Sekisho(server.url, LOGS, rows(cast, shared), {"limits": {"requests_per_second": 0}}))
            tokens = {
                "engineer": sekisho.token("mallory@company.com", "ml_engineer", [f"{MINE}*"]),
                "stranger": sekisho.token("trudy@company.com", "stranger", [f"{MINE}*"]),
            }
        yield Arena(server, sekisho, tokens, cast, copy, shared)


def rows(cast: Cast, shared: bool) -> list[str]:
    """The engineer may use every experiment but the victim's; the stranger none but the own one."""
    closed = (
        []
        if shared
        else [f"p, user:mallory@company.com, experiment:{cast.victim.experiment}, {permission}, deny" for permission in TRACKING]
    )
    opened = [f"p, role:stranger, experiment:{cast.mine.experiment}, {permission}, allow" for permission in TRACKING]
    return [*closed, *opened, *(f"p, role:stranger, model:*, {permission}, allow" for permission in PERMISSIONS)]


def split(before: State, after: State, at: Arena) -> tuple[list[str], list[str]]:
    """Of what changed, what is the victim's, and what is nobody's: neither the victim's nor mine."""
    theirs, mine = Belongings(at.cast.victim, before, after, at.shared), Belongings(at.cast.mine, before, after, at.shared)
    harmed, stray = [], []
    for table in sorted(before.tables.keys() | after.tables.keys()):
        old, new = before.tables.get(table, ()), after.tables.get(table, ())
        if old == new:
            continue
        columns = after.columns.get(table) or before.columns[table]
        was, now = set(old), set(new)
        for sign, row in [*(("-", row) for row in was - now), *(("+", row) for row in now - was)]:
            line = f"{sign} {table} {row}"
            if theirs.holds(columns, row, table):
                harmed.append(line)
            elif not mine.holds(columns, row, table):
                stray.append(line)
    for path in sorted(before.files.keys() | after.files.keys()):
        if before.files.get(path) != after.files.get(path):
            line = f"~ file {path}: {before.files.get(path, 'absent')} -> {after.files.get(path, 'absent')}"
            if theirs.holds_file(path):
                harmed.append(line)
            elif not mine.holds_file(path):
                stray.append(line)
    return harmed, stray


class Belongings:
    """What is an owner's, in two states together: rows by their owning columns, and files by folder."""

    def __init__(self, owner: Owner, before: State, after: State, shared: bool) -> None:
        self._owner = owner
        self._shared = shared
        self._words = (owner.run, owner.model_id, owner.trace, f"models:/{owner.name}/")
        self._ids = {owner.run, owner.model_id, owner.trace}
        if not shared:
            self._ids.add(owner.experiment)
            for table, key, home in HOMES:
                for state in (before, after):
                    columns = state.columns[table]
                    at, where = columns.index(key), columns.index(home)
                    self._ids |= {str(row[at]) for row in state.tables[table] if str(row[where]) == owner.experiment}

    def holds(self, columns: tuple[str, ...], row: tuple[object, ...], table: str) -> bool:
        """Whether an owning column says so."""
        # In a shared experiment whoever may track there may write to all of its runs; their files are the model's.
        if self._shared and table not in REGISTRY:
            return self._owner.name == MINE
        owning = (*OWNING, "name") if table in REGISTRY else OWNING
        return any(self._means(str(value)) for column, value in zip(columns, row, strict=True) if column in owning)

    def _means(self, text: str) -> bool:
        if text in self._ids or any(word in text for word in self._words):
            return True
        return text.startswith(MINE) if self._owner.name == MINE else text in (VICTIM, f"secretof{VICTIM}")

    def holds_file(self, path: str) -> bool:
        """Whether it lies in a folder of the owner's."""
        if self._shared:
            return path.startswith((self._owner.files, self._owner.model_files))
        return path.startswith(f"{self._owner.experiment}/")

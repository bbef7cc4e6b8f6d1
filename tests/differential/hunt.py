"""Sends seeded variants as a principal who owns `mine` and may not see `victim`, and looks for what the victim suffered.

`hunt.py --cases N --seed S` is the long run. `--bare` sends the same cases to an unprotected MLflow, which shows how many
of them do harm where nobody stands in front.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent), str(HERE.parent / "clients")]

from client_process import run_client
from harness.mlflow_server import MlflowServer
from harness.rest import Answer, send_raw
from harness.sekisho import Sekisho
from harness.state import State
from variants import Draft, Owner, variant

LOGS = HERE.parent / ".cache" / "logs"
MALLORY = "mallory@company.com"
SECRET = b"secret of victim"
# Whose row it is. Other columns may hold what the caller likes, the victim's names included.
OWNING = ("name", "run_uuid", "run_id", "experiment_id", "model_id", "storage_location", "source", "entity_id", "destination_id")


@dataclass(frozen=True)
class Field:
    """A server with both owners on it, and how to talk to it."""

    server: MlflowServer
    url: str
    token: str | None
    victim: Owner
    mine: Owner
    seeded: tuple[Path, Path]

    def send(self, draft: Draft) -> Answer:
        """One case."""
        return send_raw(self.url, draft.message(self.token))


@dataclass(frozen=True)
class Harm:
    """What a case did."""

    number: int
    draft: Draft
    answer: Answer
    changes: list[str]

    def __str__(self) -> str:
        lines = [f"case {self.number}: {self.draft.message(None)!r}", f"  answer {self.answer.status} {self.answer.body[:300]!r}"]
        return "\n".join([*lines, *(f"  {change[:300]}" for change in self.changes)])


@contextmanager
def field(guarded: bool) -> Iterator[Field]:
    """A seeded server, with sekisho in front of it or not."""
    with ExitStack() as stack:
        server = stack.enter_context(MlflowServer(LOGS))
        seeded = run_client("seed.py", {"MLFLOW_TRACKING_URI": server.url}, "victim", "mine")
        assert isinstance(seeded, dict)
        victim, mine = (Owner(n, seeded[n]["experiment"], seeded[n]["run"], seeded[n]["model_id"]) for n in ("victim", "mine"))
        copy = server.snapshot(Path(stack.enter_context(tempfile.TemporaryDirectory())))
        url, token = server.url, None
        if guarded:
            sekisho = stack.enter_context(Sekisho(server.url, LOGS, rows(victim), {"limits": {"requests_per_second": 0}}))
            url, token = sekisho.url, sekisho.token(MALLORY, "ml_engineer", ["mine*"])
        yield Field(server, url, token, victim, mine, copy)


def rows(victim: Owner) -> list[str]:
    """Experiments have no claim: a row keeps this one closed."""
    closed = ("tracking_read", "tracking_write", "tracking_delete")
    return [f"p, user:{MALLORY}, experiment:{victim.experiment}, {permission}, deny" for permission in closed]


def hunt(at: Field, seed: int, cases: int) -> tuple[list[Harm], int]:
    """Every case that did harm, and how many were answered as done. After harm, all is put back."""
    harms: list[Harm] = []
    done = 0
    before = at.server.state()
    for number in range(cases):
        draft = variant(seed, number, at.victim, at.mine)
        answer = at.send(draft)
        done += 200 <= answer.status < 300
        after = at.server.state()
        changes = suffered(before, after, at.victim)
        if changes or (SECRET in answer.body and 200 <= answer.status < 300):
            harms.append(Harm(number, draft, answer, changes))
        if after != before:
            at.server.restore(*at.seeded)
            before = at.server.state()
    return harms, done


def suffered(before: State, after: State, victim: Owner) -> list[str]:
    """Rows and files of the victim's that came, went or changed."""
    return belongings(before, victim).difference(belongings(after, victim))


def belongings(state: State, victim: Owner) -> State:
    """The rows that an owning column binds to the victim, and its files."""
    tables: dict[str, tuple[tuple[object, ...], ...]] = {}
    for table, content in state.tables.items():
        at = [index for index, column in enumerate(state.columns[table]) if column in OWNING]
        tables[table] = tuple(row for row in content if any(is_of(row[index], victim) for index in at))
    return State(tables, {path: digest for path, digest in state.files.items() if path.startswith(f"{victim.experiment}/")})


def is_of(value: object, victim: Owner) -> bool:
    """Whether an owning column's value means the victim."""
    text = str(value)
    return text in (victim.name, victim.experiment) or any(part in text for part in (victim.run, victim.model_id, f"models:/{victim.name}/"))


def main() -> int:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cases", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--bare", action="store_true", help="without sekisho, to see that the cases can do harm")
    chosen = parser.parse_args()
    with field(guarded=not chosen.bare) as at:
        harms, done = hunt(at, chosen.seed, chosen.cases)
    for harm in harms[:20]:
        print(harm)
    print(f"seed {chosen.seed}: {chosen.cases} cases, {done} answered as done, {len(harms)} did harm to what is the victim's")
    return 1 if harms and not chosen.bare else 0


if __name__ == "__main__":
    sys.exit(main())

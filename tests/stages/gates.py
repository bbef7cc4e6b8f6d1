"""One sekisho, or two on one state store, in front of one MLflow: tokens for everybody, policies that change, ends and starts."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from conftest import LOGS
from harness import postgres
from harness.mlflow_server import MlflowServer
from harness.rest import Answer, send
from harness.sekisho import Sekisho
from house_of_stages import house_of_stages
from reference import GATES, Person, Switch
from ruled import Ruled, until

MORE = "".join(f'\n[[gates]]\nalias = "{alias}"\nlike = "{stage}"\n' for alias, stage in GATES.items())
# decisions.tsv says that engineers do not lead into Production.
MISTAKE = Switch("mistake", "policy.csv", "p, role:ml_engineer, model:*/stage/Production, stage_transition, deny\n", "")


class Gates:
    """All sekishos of one walk."""

    def __init__(self, opened: Sequence[Ruled], people: Iterable[Person]) -> None:
        self.opened = opened
        self.files = {each.name: each.read_text() for each in _policies(opened[0].sekisho).iterdir()}
        self.tokens = [
            {person: ruled.token(*person.models, role=person.role, user=person.user) for person in people}
            for ruled in opened
        ]

    def ask(self, at: int, person: Person, method: str, target: str, body: object = None) -> Answer:
        """Of one of them. A promotion waits for files and for the other sekisho."""
        return send(self.opened[at].url, method, target, self.tokens[at][person], body, timeout=120)

    def put(self, switches: Iterable[Switch], told: str = "policies are in force") -> None:
        """Changes the policies of all, and waits until each has told what became of it."""
        texts = dict(self.files)
        for switch in switches:
            assert texts[switch.file].count(switch.old) == 1, switch.what
            texts[switch.file] = texts[switch.file].replace(switch.old, switch.new)
        ends = [ruled.sekisho.log.stat().st_size for ruled in self.opened]
        for ruled in self.opened:
            for name, text in texts.items():
                _put(ruled.sekisho, name, text)
        for ruled, end in zip(self.opened, ends, strict=True):
            until(lambda log=ruled.sekisho.log, end=end: told in _from(log, end))

    def restart(self, at: int, *, kill: bool) -> None:
        """Ends one, politely or not, and starts it again."""
        if kill:
            self.opened[at].sekisho.kill()
        self.opened[at].sekisho.restart()


def _policies(sekisho: Sekisho) -> Path:
    return sekisho.folder / "policies"


def _put(sekisho: Sekisho, name: str, text: str) -> None:
    place = _policies(sekisho) / name
    if place.read_text() != text:
        fresh = sekisho.folder / "policies.new"
        fresh.write_text(text)
        fresh.replace(place)


def _from(log: Path, end: int) -> str:
    with log.open("rb") as source:
        source.seek(end)
        return source.read().decode(errors="replace")


@contextmanager
def gates(people: Iterable[Person], *, two: bool) -> Iterator[Gates]:
    """Two need PostgreSQL: a SQLite file is for one sekisho."""
    state = postgres.shared().database() if two else None
    with ExitStack() as stack:
        server = stack.enter_context(MlflowServer(LOGS))
        opened = [
            stack.enter_context(house_of_stages(more=MORE, behind=(server, server.url), state=state)).ruled
            for _ in range(2 if two else 1)
        ]
        yield Gates(opened, people)

"""Makes odd requests without end: a plain request for what belongs to the victim, changed in one to three ways.

Everything follows from the seed, and each change has a chance of its own, so a case can be made again from its seed and
number, and again with fewer changes.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache

import addresses
import documents
import fields
import frames
import targets
from drafts import Cast, Change, Draft

# What each class is about; its first change is from its own ones, the others from anywhere.
CLASSES: dict[str, tuple[Change, ...]] = {
    "fields": fields.CHANGES,
    "paths": targets.PATHS,
    "queries": targets.QUERIES,
    "headers": (*frames.HEADERS, *frames.FRAMES),
    "graphql": documents.DOCUMENTS,
    "addresses": addresses.ADDRESSES,
}
WEIGHTS = {"fields": 16, "paths": 15, "queries": 13, "headers": 18, "graphql": 16, "addresses": 22}
# What is spelled first lies innermost: a change of the document before one of the body that carries it.
ORDER: tuple[Change, ...] = (
    *documents.DOCUMENTS, *addresses.ADDRESSES, *fields.CHANGES, *targets.QUERIES, *targets.PATHS, *frames.HEADERS, *frames.FRAMES,
)  # fmt: skip
WHO = ("engineer", "stranger")


@dataclass(frozen=True)
class Case:
    """A request, and how it was made.

    `who` sends it: an engineer to whom rows close the victim's experiment, or a stranger to whom no row opens it.
    `from_mine` says that it asks for what is mine at first, and that its changes bring in what is the victim's.
    """

    seed: int
    number: int
    kind: str
    who: str
    base: Draft
    from_mine: bool
    changes: tuple[tuple[Change, str], ...]
    draft: Draft

    def without(self, at: int, cast: Cast) -> Case:
        """The same with one change less."""
        changes = self.changes[:at] + self.changes[at + 1 :]
        draft = changed(self.base, changes, cast, self.from_mine)
        return replace(self, changes=changes, draft=draft)

    def __str__(self) -> str:
        names = ", ".join(change.__name__ for change, _ in self.changes)
        return f"seed {self.seed} case {self.number} ({self.kind}; {names or 'as it is'}; by the {self.who})"


def variant(seed: int, number: int, cast: Cast, kinds: Sequence[str] = tuple(CLASSES)) -> Case:
    """The case of that number."""
    chance = random.Random(f"{seed}/{number}")
    kind = chance.choices(kinds, [WEIGHTS[one] for one in kinds])[0]
    who = chance.choice(WHO)
    from_mine = chance.random() < 0.35
    base = chance.choice(chance.choice(bases(kind, swapped(cast) if from_mine else cast)))
    pools = [CLASSES[kind], *(CLASSES[one] for one in chance.choices(tuple(CLASSES), k=2))]
    wanted = chance.choices((0, 1, 2, 3), (3, 27, 42, 28))[0]
    pools = [*pools[:wanted], *([CLASSES[kind]] if kind == "addresses" and wanted and chance.random() < 0.5 else [])]
    picked = [picked_from(pool, f"{seed}/{number}/{at}", base, cast, from_mine) for at, pool in enumerate(pools)]
    changes = tuple(sorted(picked, key=lambda one: ORDER.index(one[0])))
    return Case(seed, number, kind, who, base, from_mine, changes, changed(base, changes, cast, from_mine))


def picked_from(pool: tuple[Change, ...], seed: str, base: Draft, cast: Cast, from_mine: bool) -> tuple[Change, str]:
    """A change with a chance of its own; one that does something to this request, if one is found soon."""
    chance = random.Random(seed)
    for attempt in range(6):
        found = (chance.choice(pool), f"{seed}/{attempt}")
        if changed(base, (found,), cast, from_mine) != base:
            break
    return found


def changed(base: Draft, changes: tuple[tuple[Change, str], ...], cast: Cast, from_mine: bool) -> Draft:
    """The base after these changes. What hides in headers and behind a body is always meant for the victim."""
    draft = base
    for change, seed in changes:
        for_victim = change in frames.HEADERS or change in frames.FRAMES or not from_mine
        draft = change(draft, random.Random(seed), cast if for_victim else swapped(cast))
    return draft


def swapped(cast: Cast) -> Cast:
    """The other way round."""
    return Cast(cast.mine, cast.victim, cast.root)


@cache
def _bases(cast: Cast) -> dict[str, list[Draft]]:
    return {
        "plain": fields.plain(cast),
        "sampled": fields.sampled(cast),
        "graphql": documents.plain(cast),
        "addresses": addresses.plain(cast),
    }


def bases(kind: str, cast: Cast) -> list[list[Draft]]:
    """Groups of plain requests, of which one is taken."""
    known = _bases(cast)
    if kind in ("graphql", "addresses"):
        return [known[kind]]
    if kind == "fields":
        return [known["plain"], known["plain"], known["sampled"]]
    return [known["plain"], known["plain"], known["sampled"], known["addresses"], known["addresses"], known["graphql"]]

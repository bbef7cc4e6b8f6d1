"""A short hunt with a fixed seed: the victim of the variants suffers nothing behind sekisho, and plenty without it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest
from arena import Arena, arena
from conftest import need_binary
from drafts import Cast, Owner
from hunt import compared, hunt, of_state
from twins import of_admin
from variants import CLASSES, variant

SEED = 20_260_101
CASES = 600
BARE = 45


@pytest.fixture(scope="module")
def guarded() -> Iterator[Arena]:
    """One server for all of it."""
    need_binary()
    with arena(guarded=True) as at:
        yield at


@pytest.fixture(scope="module")
def cast() -> Cast:
    """Ids that no server has made."""
    need_binary()
    return Cast(Owner("victim", "1", "a" * 32, "m-" + "b" * 32, "tr-1"), Owner("mine", "2", "c" * 32, "m-" + "d" * 32, "tr-2"))


def test_a_case_is_made_again_from_its_seed_and_number(cast: Cast) -> None:
    """Else nobody could look at what a hunt found."""
    first, second = ([variant(SEED, number, cast).draft.message("t") for number in range(300)] for _ in range(2))
    assert first == second
    assert len(set(first)) > 250


def test_every_class_is_sent(cast: Cast) -> None:
    """In numbers that mean something, so that none is for show."""
    kinds = [variant(SEED, number, cast).kind for number in range(CASES)]
    assert all(kinds.count(kind) > CASES // 20 for kind in CLASSES)


@pytest.mark.parametrize("kind", CLASSES)
def test_the_variants_do_harm_where_nobody_stands_in_front(guarded: Arena, kind: str) -> None:
    """Else the next test would show nothing: the same cases, past sekisho."""
    bare = replace(guarded, sekisho=None)
    try:
        assert len(hunt(bare, SEED, range(BARE), [kind]).findings) > 1
    finally:
        bare.restore()


def test_the_victim_suffers_nothing(guarded: Arena) -> None:
    """Not one row or file of it changes, nothing of it is told, all is answered; still, some of the requests are carried out."""
    tally = hunt(guarded, SEED, range(CASES))
    assert not tally.findings, "\n".join(map(str, tally.findings))
    assert tally.count("done") > CASES // 20
    assert tally.count("refused") > CASES // 4


def test_an_admins_variants_do_the_same_with_and_without_sekisho(guarded: Arena) -> None:
    """What is let through is decided as what MLflow then does."""
    tally = compared(of_admin(guarded), SEED, range(120))
    assert not tally.findings, "\n".join(map(str, tally.findings))
    assert tally.count("done") > 15


def test_a_change_of_the_victims_is_seen(guarded: Arena) -> None:
    """The judge is awake behind sekisho too: a case whose sender may write to the victim is found."""
    owner = of_admin(guarded)
    assert any(of_state(owner, variant(SEED, number, owner.cast, ["fields"]))[0] == "harm" for number in range(60))

"""A short hunt with a fixed seed: the victim of the variants suffers nothing behind sekisho, and plenty without it."""

from __future__ import annotations

from conftest import need_binary
from hunt import field, hunt

SEED = 20_260_101
CASES = 600


def test_the_variants_do_harm_where_nobody_stands_in_front() -> None:
    """Else the next test would show nothing."""
    with field(guarded=False) as at:
        harms, _ = hunt(at, SEED, CASES // 3)
    assert len(harms) > CASES // 12


def test_the_victim_suffers_nothing() -> None:
    """Not one row or file of it changes, and nothing of it is told; still, some of the requests are carried out."""
    need_binary()
    with field(guarded=True) as at:
        harms, done = hunt(at, SEED, CASES)
    assert not harms, "\n".join(map(str, harms))
    assert done > CASES // 50

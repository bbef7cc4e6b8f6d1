"""Random people do random things to versions, and sekisho and a small reference agree on each."""

from __future__ import annotations

import os

import pytest
from harness import postgres
from stage_walk import walk


@pytest.mark.parametrize(("seed", "two"), [(1, False), (2, True)], ids=["one", "two"])
def test_a_walk(seed: int, *, two: bool) -> None:
    if two:
        try:
            postgres.programs()
        except postgres.Missing as reason:
            pytest.skip(str(reason))
    walk(int(os.environ.get("SEKISHO_TEST_STEPS", "250")), seed, two=two)

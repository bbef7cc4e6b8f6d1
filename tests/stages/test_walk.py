"""Random people do random things to versions, and sekisho and a small reference agree on each."""

from __future__ import annotations

import os

import pytest
from stage_walk import walk


@pytest.mark.parametrize("seed", [1, 2])
def test_a_walk(seed: int) -> None:
    walk(int(os.environ.get("SEKISHO_TEST_STEPS", "250")), seed)

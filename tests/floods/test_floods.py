"""Under each flood a good client gets every answer right, memory stays where it was, and the flood is refused or cut."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest
from conftest import LOGS, need_binary
from scene import Scene, Watched, open_scene

SECONDS = 1.5
MANY_CONNECTIONS = 5.0
MOST_MORE = 64 * 2**20
# The allocator keeps some of what a flood needed; what all of them leave behind has a bound, too.
MOST_LEFT = 96 * 2**20

# What a flood must have met at least once; each of the words is a status or a thing that `wire.py` counts.
MET: dict[str, set[str]] = {
    "slow heads": set(),
    "slow bodies": {"429"},
    "chunked trickle": set(),
    "never-read answers": set(),
    "closed windows": set(),
    "idle connections": {"open"},
    "idle HTTP/2": {"closed"},
    "rapid reset": {"closed"},
    "CONTINUATION": {"closed"},
    "PING": {"closed"},
    "SETTINGS": {"closed"},
    "WINDOW_UPDATE": {"closed"},
    "small DATA": {"closed"},
    "header bombs": {"431", "closed"},
    "JSON depth": {"400"},
    "JSON numbers": {"400"},
    "huge filters": {"400"},
    "huge GraphQL": {"200"},
    "gzip bombs": {"400"},
    "deflate bombs": {"400"},
    "max_results": {"200"},
    "token storm": {"401", "not looked at"},
    "strangers": {"401"},
    "asking too often": {"200", "429"},
}


@pytest.fixture(scope="module")
def scene() -> Iterator[Scene]:
    need_binary()
    with open_scene(LOGS) as opened:
        yield opened


@pytest.fixture(scope="module")
def undisturbed(scene: Scene) -> Watched:
    with scene.watching() as watched:
        time.sleep(SECONDS)
    assert not watched.wrong
    return watched


@pytest.mark.parametrize("name", MET)
def test_flood(scene: Scene, undisturbed: Watched, name: str) -> None:
    with scene.watching() as watched:
        seen = scene.flood(name, MANY_CONNECTIONS if name == "idle connections" else SECONDS)
    print(f"{name}: {seen}, p99 {watched.p99() * 1e3:.1f} ms, memory {watched.memory_before / 2**20:.1f} to {watched.most_memory / 2**20:.1f} MiB")
    assert len(watched.seconds) > 3 and not watched.wrong, watched.wrong[:3]
    assert set(seen) >= MET[name], seen
    assert not any(status.startswith("5") for status in seen), seen
    more, left = watched.most_memory - watched.memory_before, scene.memory() - undisturbed.most_memory
    assert more <= MOST_MORE, f"{more / 2**20:.1f} MiB more than before"
    assert left <= MOST_LEFT, f"{left / 2**20:.1f} MiB left"

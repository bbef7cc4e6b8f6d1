"""What a good client notices of each flood: its times beside the flood over its times before it, in turns.

The same good client of nginx, beside the same flood on nginx, tells how much of it is the machine: the flood, the proxy, the
upstream and the client share its processors. Floods of HTTP/2 frames end at nginx, which speaks HTTP/1 here.
"""

from __future__ import annotations

import statistics
import sys
import time
from dataclasses import replace

from contestants import LOGS, nginx
from floods import FLOODS
from harness.sekisho import Sekisho
from scene import Scene, allow_many_connections, before
from stub import LARGE, LONG, SMALL

AIM_RATIO, AIM_MEMORY = 2.0, 64 * 2**20
# The flood comes from this machine and would take the processors that it would not have from its own.
NICE = 19
# Seconds: a good client stays below its own limit of requests.
PAUSE = 0.006

Found = dict[str, dict[str, object]]


def measure(quick: bool) -> dict[str, Found]:
    """One short round, or two."""
    return {"found": _floods(1 if quick else 2, 1.5 if quick else 3)}


def _floods(rounds: int, seconds: float) -> Found:
    """For each flood: p99 in milliseconds undisturbed and disturbed, the ratio, nginx' ratio, bytes more of memory."""
    found: Found = {}
    allow_many_connections()
    files = {"small": SMALL, "long": LONG, "large": bytes(LARGE)}
    with (
        nginx("flooded.conf", files) as behind,
        nginx("proxy.conf", LOG="access.log", BEHIND=behind.removeprefix("http://")) as peer,
        Sekisho(behind, LOGS) as sekisho,
    ):
        scene = before(sekisho, NICE)
        beside_nginx = replace(scene, url=peer, memory=lambda: 0)
        for name in FLOODS:
            found[name] = _beside(scene, name, rounds, seconds)
            found[name]["nginx_ratio"] = _beside(beside_nginx, name, rounds, seconds)["ratio"]
            print(f"  {name}: {found[name]}", file=sys.stderr, flush=True)
    return found


def _beside(scene: Scene, name: str, rounds: int, seconds: float) -> dict[str, object]:
    alone, beside, more, wrong = [], [], [], 0
    for _ in range(rounds):
        with scene.watching(PAUSE) as quiet:
            time.sleep(seconds)
        with scene.watching(PAUSE) as watched:
            scene.flood(name, seconds)
        alone.append(quiet.p99() * 1e3)
        beside.append(watched.p99() * 1e3)
        more.append(watched.most_memory - quiet.most_memory)
        wrong += len(quiet.wrong) + len(watched.wrong)
        time.sleep(1)
    return {
        "p99_ms_undisturbed": round(statistics.median(alone), 2),
        "p99_ms": round(statistics.median(beside), 2),
        "ratio": round(statistics.median(flooded / free for flooded, free in zip(beside, alone, strict=True)), 2),
        "memory_more": max(more),
        "wrong_answers": wrong,
    }


def show(results: dict[str, Found]) -> None:
    found = results["found"]
    print(f"\n{'a good client beside':<22} {'p99 ms before':>14} {'p99 ms':>8} {'ratio':>6} {'nginx':>6} {'MiB more':>9}")
    for name, each in found.items():
        print(f"{name:<22} {each['p99_ms_undisturbed']:>14} {each['p99_ms']:>8} {each['ratio']:>6} "
              f"{each['nginx_ratio']:>6} {each['memory_more'] / 2**20:>9.1f}")  # fmt: skip
    for key, aim in (("ratio", AIM_RATIO), ("memory_more", AIM_MEMORY)):
        over = [name for name, each in found.items() if each[key] > aim]
        print(f"{key}: {'all within the aim' if not over else 'OVER the aim: ' + ', '.join(over)}")

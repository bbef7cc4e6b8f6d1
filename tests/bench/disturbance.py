"""What a good client of sekisho notices of each flood: its times beside the flood over its times before it, in turns."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

from contestants import LOGS
from floods import FLOODS
from scene import open_scene

AIM_RATIO, AIM_MEMORY = 2.0, 64 * 2**20


def disturbance(rounds: int, seconds: float, say: Callable[[str], None]) -> dict[str, dict[str, object]]:
    """For each flood: p99 in milliseconds undisturbed and disturbed, the ratio of each round, and bytes more of memory."""
    found: dict[str, dict[str, object]] = {}
    with open_scene(LOGS) as scene:
        for name in FLOODS:
            before, beside, more, wrong = [], [], [], 0
            for _ in range(rounds):
                with scene.watching(0.003) as quiet:
                    time.sleep(seconds)
                with scene.watching(0.003) as watched:
                    scene.flood(name, seconds)
                before.append(quiet.p99() * 1e3)
                beside.append(watched.p99() * 1e3)
                more.append(watched.most_memory - quiet.most_memory)
                wrong += len(quiet.wrong) + len(watched.wrong)
                time.sleep(1)
            ratios = [flooded / undisturbed for flooded, undisturbed in zip(beside, before, strict=True)]
            found[name] = {
                "p99_ms_undisturbed": round(statistics.median(before), 2),
                "p99_ms": round(statistics.median(beside), 2),
                "ratio": round(statistics.median(ratios), 2),
                "memory_more": max(more),
                "wrong_answers": wrong,
            }
            say(f"  {name}: {found[name]}")
    return found


def show(found: dict[str, dict[str, object]]) -> None:
    print(f"\n{'a good client beside':<22} {'p99 ms before':>14} {'p99 ms':>8} {'ratio':>6} {'memory MiB more':>16}")
    for name, each in found.items():
        print(f"{name:<22} {each['p99_ms_undisturbed']:>14} {each['p99_ms']:>8} {each['ratio']:>6} "
              f"{each['memory_more'] / 2**20:>16.1f}")  # fmt: skip
    for key, aim in (("ratio", AIM_RATIO), ("memory_more", AIM_MEMORY)):
        over = [name for name, each in found.items() if each[key] > aim]
        print(f"{key}: {'all within the aim' if not over else 'OVER the aim: ' + ', '.join(over)}")

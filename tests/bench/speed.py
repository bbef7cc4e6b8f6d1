"""How fast sekisho is beside MLflow, nginx and HAProxy, in turns in one run, and which of its goals that meets.

With access control, record and cache as they are shipped; only the rate limit is off.
"""

from __future__ import annotations

import json
import os
import statistics
from collections.abc import Mapping
from typing import Any

import chart
import goals
import growth
import streams
import waits
from contestants import HERE, LOGS, TARGET
from decisions import decisions
from load import CONNECTIONS, full, one_by_one, say
from racers import READER, SIZE, Track, open_track, recorded

LEAST = {"mlflow": 4, "mlflow auth": 4}
"""Seconds for those that may have hardly answered in less."""
SLOW = {"mlflow: 100": 15, "mlflow auth: 1": 3}
"""Lists that are too slow for wrk, and how often each of the callers asks for them."""
SLOW_CALLERS = 4
"""Twice as many as there are workers: each of them always has one waiting."""


def measure(quick: bool) -> dict[str, Any]:
    """All of it, and what is to be thought of it."""
    rounds, seconds, warm_up, size = (1, 2, 1, 64) if quick else (3, 10, 3, 1024)
    found: dict[str, Any] = {
        "load": {
            "connections": CONNECTIONS,
            "seconds": seconds,
            "rounds": rounds,
            "bytes": SIZE,
            "target": TARGET,
            "stream_mib": size,
        }
    }
    with open_track() as track, streams.open_pipes(size * 2**20) as pipes:
        found["rounds"] = []
        for number in range(rounds):
            say(f"round {number + 1} of {rounds}")
            found["rounds"].append({**raced(track, number, seconds, warm_up, quick), "streams": streams.turn(pipes, number)})
        for name, sekisho in (("sekisho cached", track.cached), ("sekisho passing", track.passing)):
            told, asked = recorded(sekisho)[READER], sum(turn["reads"][name]["requests"] for turn in found["rounds"])
            if told < asked:
                raise RuntimeError(f"{name}: the record tells of {told} reads of {asked}")
    with growth.cheap() as stub:
        found["memory"] = [growth.memory(stub) for _ in range(rounds)]
        found["starts"] = growth.starts(stub, rounds)
    try:
        found["indexed"] = [growth.indexed(10 if quick else 90)]
        if found["indexed"][0]["from_memory"]:
            found["indexed"] += [growth.indexed(90) for _ in range(rounds - 1)]
        found["growth"] = growth.grown(rounds, 1 if quick else 5, 1 if quick else 8)
    except growth.NotLikeMlflow as why:
        found["unlike_mlflow"] = str(why)
    found["decisions"] = decisions()
    return {**found, "goals": [goal.judged(found) for goal in goals.GOALS]}


def raced(track: Track, number: int, seconds: int, warm_up: int, quick: bool) -> dict[str, Any]:
    """One round; none is always the first."""
    names, busy = list(track.reads), os.getloadavg()[0]
    turn = names[number % len(names) :] + names[: number % len(names)]
    reads = {name: full(track.reads[name], max(seconds, LEAST.get(name, 0)), warm_up) for name in turn}
    lists = {
        name: one_by_one(racer, SLOW_CALLERS, 1 if quick else SLOW[name]) if name in SLOW else full(racer, seconds, warm_up)
        for name, racer in track.lists.items()
    }
    return {
        "load_average_before": round(busy, 2),
        "reads": {name: reads[name] for name in names},
        "lists": lists,
        "tails": waits.tails(track, reads["sekisho cached"]["per_second"], seconds),
        "writes": waits.writes(track, seconds, 100 if quick else 1_000),
        "batches": waits.batches(track),
    }


def show(results: Mapping[str, Any]) -> None:
    """Prints requests a second, and each goal."""
    rounds = results["rounds"]
    print(f"\n{'speed, least – median – most of ' + str(len(rounds)) + ' round(s)':<52} {'requests/s':>34} {'p99 ms':>10}")
    for part in ("reads", "lists"):
        for name in rounds[0][part]:
            rates = [turn[part][name]["per_second"] for turn in rounds]
            tail = statistics.median(turn[part][name]["p99_ms"] for turn in rounds)
            print(f"{part + ': ' + name:<52} {dashed((min(rates), statistics.median(rates), max(rates))):>34} {tail:>10.2f}")
    for way in ("down", "up"):
        for who in ("nginx", "sekisho"):
            rates = [turn["streams"][way][who] for turn in rounds]
            print(
                f"{'artifact ' + way + ', MB/s: ' + who:<52} {dashed((min(rates), statistics.median(rates), max(rates))):>34}"
            )
    peak = max(turn["streams"]["sekisho"]["peak_bytes"] for turn in rounds)
    print(f"most memory during artifacts: {growth.mib(peak)}")
    print(f"load of the machine before each round: {', '.join(str(turn['load_average_before']) for turn in rounds)}")
    print(f"\n{'goal (met: by the median of rounds)':<52} {'':>12} {'found':>34}")
    for each in results["goals"]:
        said = {True: "met", False: "NOT met", None: f"NOT measured: {each.get('why')}"}[each["met"]]
        print(
            f"{each['what']:<52} {each['goal']:>12} {dashed(each['found']) + each['unit'] if each['found'] else '':>34}  {said}"
        )


def dashed(numbers: tuple[float, float, float]) -> str:
    return " – ".join(f"{number:,.0f}" if number >= 1000 else f"{number:.4g}" for number in numbers)


def draw(results: Mapping[str, Any], quick: bool) -> None:
    """Writes the chart that the README shows; of a quick run beside its results."""
    medians = {
        name: statistics.median(turn["reads"][name]["per_second"] for turn in results["rounds"])
        for name in results["rounds"][0]["reads"]
    }
    ((LOGS if quick else HERE) / "speed.svg").write_text(chart.bars(medians, results))


if __name__ == "__main__":
    print(json.dumps(measure(quick=True), indent=2))

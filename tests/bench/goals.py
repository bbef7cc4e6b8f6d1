"""What sekisho is to be as fast as: each goal with what the rounds have shown, and whether it is met by their median."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Results = Mapping[str, Any]
Values = Sequence[float]


class Unmeasured(Exception):
    """A number that this run cannot tell, and why."""


@dataclass(frozen=True)
class Goal:
    """One of them."""

    what: str
    least: float | None
    """It is met from this number on; or, without it, up to `most`."""
    most: float | None
    unit: str
    values: Callable[[Results], Values]
    """A number for each round."""

    def judged(self, results: Results) -> dict[str, Any]:
        """As it is written down and shown."""
        edge = f"≥ {self.least:,g}{self.unit}" if self.least is not None else f"≤ {self.most:,g}{self.unit}"
        try:
            found = list(self.values(results))
        except Unmeasured as why:
            return {"what": self.what, "goal": edge, "unit": self.unit, "found": None, "met": None, "why": str(why)}
        middle = statistics.median(found)
        met = middle >= self.least if self.least is not None else middle <= (self.most or 0)
        spread = [float(f"{number:.4g}") for number in (min(found), middle, max(found))]
        return {"what": self.what, "goal": edge, "unit": self.unit, "found": spread, "met": met}


def faster(part: str, one: str, other: str) -> Callable[[Results], Values]:
    """How many times as many requests a second one answers, round by round."""
    return lambda results: [turn[part][one]["per_second"] / turn[part][other]["per_second"] for turn in results["rounds"]]


def tail(results: Results) -> Values:
    turns = [turn["tails"] for turn in results["rounds"]]
    if not all(turn["kept_up"] for turn in turns):
        raise Unmeasured("the load was not as much as it should have been")
    return [turn["sekisho cached"]["p99_ms"] - turn["stub"]["p99_ms"] for turn in turns]


def stream(way: str) -> Callable[[Results], Values]:
    return lambda results: [turn["streams"][way]["sekisho"] / turn["streams"][way]["nginx"] for turn in results["rounds"]]


def slowest(results: Results, key: str, rows: int) -> float:
    return max(each[key] for each in results["decisions"] if each["rows"] == rows)


def decided(key: str, unit: float) -> Callable[[Results], Values]:
    """Of the slowest kind of demand at the most rows."""
    return lambda results: [slowest(results, key, 100_000) / unit]


def decided_slower(results: Results) -> Values:
    """Of the kind of demand that grows most."""
    least, most = (
        {each["demand"]: each["first_ns"] for each in results["decisions"] if each["rows"] == rows} for rows in (100, 100_000)
    )
    return [max(most[demand] / least[demand] for demand in least)]


def resident(key: str) -> Callable[[Results], Values]:
    return lambda results: [each[key] / 2**20 for each in results["memory"]]


def like_mlflow(results: Results) -> None:
    if why := results.get("unlike_mlflow"):
        raise Unmeasured(why)


def resident_indexed(results: Results) -> Values:
    like_mlflow(results)
    if not all(each["from_memory"] for each in results["indexed"]):
        raise Unmeasured("lists were not answered from memory: there is no index")
    return [each["resident"] / 2**20 for each in results["indexed"]]


def slower(kind: str) -> Callable[[Results], Values]:
    def values(results: Results) -> Values:
        like_mlflow(results)
        return [turn["1000"] / turn["100000"] for turn in results["growth"][kind]]

    return values


def started_longer(results: Results) -> Values:
    return [turn["100000"] / turn["10000"] for turn in results["starts"]]


GOALS = (
    Goal("cached read / MLflow, 2 workers", 500, None, "x", faster("reads", "sekisho cached", "mlflow")),
    Goal("cached read / nginx proxy_cache without auth", 1.0, None, "x", faster("reads", "sekisho cached", "nginx cached")),
    Goal("pass-through / HAProxy jwt_verify and claims", 1.0, None, "x", faster("reads", "sekisho passing", "haproxy jwt")),
    Goal("pass-through / nginx proxy_pass without auth", 0.8, None, "x", faster("reads", "sekisho passing", "nginx passing")),
    Goal("list, 7 of 2,000 seen / MLflow's auth app, 1 seen", 1_000, None, "x", faster("lists", "sekisho: 7", "mlflow auth: 1")),
    Goal("list, page of 100 / MLflow", 200, None, "x", faster("lists", "sekisho: 100", "mlflow: 100")),
    Goal("cached read at half load, p99 above static nginx", None, 1.0, " ms", tail),
    Goal(
        "write, p50 added beyond one fdatasync", None, 0.3, " ms",
        lambda results: [turn["writes"]["beyond_ms"] for turn in results["rounds"]],
    ),
    Goal("first decision at 100,000 rows, slowest kind", None, 20, " µs", decided("first_ns", 1_000)),
    Goal("remembered decision at 100,000 rows, slowest kind", None, 0.2, " µs", decided("remembered_ns", 1_000)),
    Goal(
        "1,000 cached versions: batchGet / the Python client", 50, None, "x",
        lambda results: [turn["batches"]["one_by_one_seconds"] / turn["batches"]["batch_seconds"] for turn in results["rounds"]],
    ),
    Goal("artifact download / nginx proxy_pass", 0.8, None, "x", stream("down")),
    Goal("artifact upload / nginx proxy_pass", 0.8, None, "x", stream("up")),
    Goal("memory, idle", None, 25, " MiB", resident("idle")),
    Goal("memory, 10,000 idle connections", None, 200, " MiB", resident("with_idle_connections")),
    Goal("memory, 100,000 models in the index", None, 300, " MiB", resident_indexed),
    Goal("1,000 → 100,000 models: cached read slower", None, 1.3, "x", slower("models")),
    Goal("1,000 → 100,000 policy rows: cached read slower", None, 1.3, "x", slower("policy rows")),
    Goal("1,000 → 100,000 principals: cached read slower", None, 1.3, "x", slower("principals")),
    Goal("100 → 100,000 policy rows: first decision slower", None, 1.5, "x", decided_slower),
    Goal("10,000 → 100,000 policy rows: start longer", None, 10, "x", started_longer),
)  # fmt: skip

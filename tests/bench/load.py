"""Load for the speed part: as much as goes (wrk), at a constant rate (h2load), or one answer after another; all looked at."""

from __future__ import annotations

import http.client
import json
import math
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.parse import urlsplit

from contestants import HERE
from harness.rest import Answer, send

CONNECTIONS = 32
STEADY_CONNECTIONS = 128
"""Of the constant rate: each waits for its answer, so they are many, that hardly one waits when its next request is due."""
ASIDE = 1
"""Seconds at its beginning and at its end that are not counted."""
HEAD = 4096
"""No head of an answer is larger."""

Check = Callable[[Answer], str]
"""What is wrong with an answer; nothing if it is the one that is to be timed."""


@dataclass(frozen=True)
class Racer:
    """Something that answers `target` in one way only, and others than its caller in another."""

    name: str
    url: str
    target: str
    check: Check
    authorization: str | None = None
    barred: Mapping[str, int] = field(default_factory=dict)
    """The status for each `Authorization` that must not be enough; an empty one is none at all."""

    def ask(self) -> Answer:
        return send(self.url, "GET", self.target, headers=self._headers(self.authorization))

    def verify(self) -> int:
        """Asks once; raises unless the answer is the one that is to be timed. The length of its body."""
        answer = self.ask()
        wrong = self.check(answer)
        if wrong:
            raise RuntimeError(f"{self.name}: {wrong}: {answer.status} {answer.headers} {answer.body[:300]!r}")
        return len(answer.body)

    def verify_bars(self) -> None:
        """Raises unless everybody who is to be refused is refused."""
        for authorization, status in self.barred.items():
            answer = send(self.url, "GET", self.target, headers=self._headers(authorization))
            if answer.status != status:
                raise RuntimeError(f"{self.name} answers {answer.status} and not {status} to one that it should refuse")

    @staticmethod
    def _headers(authorization: str | None) -> dict[str, str]:
        return {"Authorization": authorization} if authorization else {}


def is_body(body: bytes, **headers: str) -> Check:
    """It is 200 with this body, and with these headers (`_` stands for `-`)."""

    def check(answer: Answer) -> str:
        if (answer.status, answer.body) != (200, body):
            return "another answer"
        return lacks(answer, headers)

    return check


def lacks(answer: Answer, headers: Mapping[str, str]) -> str:
    """Which of these headers (`_` stands for `-`) is not what it should be; an empty one must not be there."""
    found = {name.lower(): value for name, value in answer.headers.items()}
    wrong = [name for name, value in headers.items() if found.get(name.lower().replace("_", "-"), "") != value]
    return f"{', '.join(wrong)} is not as it should be" if wrong else ""


def full(racer: Racer, seconds: int, warm_up: int, connections: int = CONNECTIONS) -> dict[str, float]:
    """As much as so many connections get, with the answer looked at before and after, and all as long as it was."""
    # What is kept in memory may have been kept too long since it was last asked for.
    racer.ask()
    racer.verify_bars()
    alone = min(timed(racer.verify) for _ in range(3))
    token = {"BENCH_TOKEN": racer.authorization.removeprefix("Bearer ")} if racer.authorization else {}
    if warm_up:
        wrk(racer.url + racer.target, "report.lua", token, warm_up, connections)
        settle(racer, alone)
    found = wrk(racer.url + racer.target, "report.lua", token, seconds, connections)
    length = racer.verify()
    settle(racer, alone)
    shown = rates(found)
    if not length < found["bytes"] / found["requests"] < length + HEAD:
        raise RuntimeError(f"{racer.name}: answers are not all of {length} bytes: {found}")
    say(f"  {racer.name:<26} {shown['per_second']:>10.1f}/s  p50 {shown['p50_ms']:.2f} ms  p99 {shown['p99_ms']:.2f} ms")
    return shown


def timed(act: Callable[[], object]) -> float:
    """Seconds."""
    began = time.perf_counter()
    act()
    return time.perf_counter() - began


def settle(racer: Racer, alone: float) -> None:
    """Waits until what wrk has left unanswered no longer takes the time of others; a minute at most."""
    end = time.monotonic() + 60
    while timed(racer.verify) > 3 * alone + 0.005 and time.monotonic() < end:
        pass


def rates(found: Mapping[str, int]) -> dict[str, float]:
    """Of what wrk found; raises where that is nothing."""
    if not found["requests"]:
        raise RuntimeError("nothing was answered while wrk ran")
    return {
        "per_second": round(found["requests"] * 1e6 / found["micros"], 1),
        "p50_ms": found["p50"] / 1000,
        "p99_ms": found["p99"] / 1000,
        "requests": found["requests"],
    }


def wrk(url: str, script: str, environment: Mapping[str, str], seconds: int, connections: int) -> dict[str, int]:
    """What `peers/report.lua` prints; raises where an answer was refused or broken."""
    threads = min(2, os.cpu_count() or 1, connections)
    command = [
        "wrk", "--latency", f"--threads={threads}", f"--connections={connections}", f"--duration={seconds}s",
        "--timeout=30s", f"--script={HERE / 'peers' / script}", url,
    ]  # fmt: skip
    # The token goes by the environment: other users of the machine may read command lines.
    done = subprocess.run(
        command, env={**os.environ, **environment}, capture_output=True, text=True, timeout=seconds + 120, check=False
    )
    line = next((line for line in done.stdout.splitlines() if line.startswith("RESULT ")), "")
    found: dict[str, int] = json.loads(line.removeprefix("RESULT ") or "{}")
    if done.returncode != 0 or not found or found["refused"] or found["broken"]:
        raise RuntimeError(f"wrk with {script}: {found} {done.stdout[-300:]} {done.stderr[-300:]}")
    return found


def steady(racer: Racer, per_second: float, seconds: int) -> dict[str, float]:
    """Milliseconds at a constant rate, whatever the answers take: what is due while a connection waits is sent afterwards.

    h2load begins each connection's requests when it is made; they are made one after the other, as all of them would
    otherwise ask at once, again and again. It takes a token by its command line alone; this one is of no use to anybody
    once the run is over.
    """
    racer.ask()
    length = racer.verify()
    clients = max(1, min(STEADY_CONNECTIONS, int(per_second)))
    each = max(1, round(per_second / clients * (seconds + 2 * ASIDE)))
    with TemporaryDirectory(prefix="steady-") as folder:
        log = Path(folder) / "log"
        command = [
            "h2load", "--h1", "--threads=1", f"--clients={clients}", "--rate=1", "--rate-period=3ms",
            f"--rps={per_second / clients:.3f}", f"--requests={each * clients}", f"--log-file={log}",
            *(["--header", f"Authorization: {racer.authorization}"] if racer.authorization else []),
            racer.url + racer.target,
        ]  # fmt: skip
        done = subprocess.run(command, capture_output=True, text=True, timeout=10 * seconds + 120, check=True)
        rows = [
            (int(start), status, int(micros) / 1000) for start, status, micros in map(str.split, log.read_text().splitlines())
        ]
    racer.verify()
    data = re.search(r"\((\d+)\) data$", done.stdout, re.MULTILINE)
    if {status for _, status, _ in rows} != {"200"} or len(rows) != each * clients:
        raise RuntimeError(f"{racer.name}: refused at a constant rate: {done.stdout[-600:]}")
    if data is None or int(data[1]) != length * len(rows):
        raise RuntimeError(f"{racer.name}: other answers at a constant rate: {done.stdout[-600:]}")
    first, last = min(rows)[0] + ASIDE * 1_000_000, max(rows)[0] - ASIDE * 1_000_000
    taken = sorted(millis for start, _, millis in rows if first <= start < last)
    return {
        "wanted_per_second": round(per_second, 1),
        "per_second": round(len(taken) * 1e6 / (last - first), 1),
        "p50_ms": percentile(taken, 50),
        "p99_ms": percentile(taken, 99),
        "p999_ms": percentile(taken, 99.9),
        "requests": len(taken),
    }


def percentile(ordered: Sequence[float], percent: float) -> float:
    return ordered[min(len(ordered) - 1, math.ceil(len(ordered) * percent / 100) - 1)]


def one_by_one(racer: Racer, callers: int, times: int) -> dict[str, float]:
    """Answers a second of so many callers that each ask so often on a kept connection; for what is too slow for wrk.

    Every answer is looked at, and none is left unfinished at the end.
    """
    racer.verify()
    racer.verify_bars()

    def call(_: int) -> list[tuple[float, Answer]]:
        place = urlsplit(racer.url)
        connection = http.client.HTTPConnection(place.hostname or "", place.port, timeout=120)
        headers = {"Authorization": racer.authorization} if racer.authorization else {}
        found = []
        for _ in range(times):
            began = time.perf_counter()
            connection.request("GET", racer.target, headers=headers)
            answer = connection.getresponse()
            body = answer.read()
            found.append((time.perf_counter() - began, Answer(answer.status, dict(answer.getheaders()), body)))
        connection.close()
        return found

    with ThreadPoolExecutor(callers) as pool:
        began = time.perf_counter()
        found = [each for caller in pool.map(call, range(callers)) for each in caller]
        wall = time.perf_counter() - began
    wrong = [fault for fault in (racer.check(answer) for _, answer in found) if fault]
    if wrong:
        raise RuntimeError(f"{racer.name}: {len(wrong)} of {len(found)} answers: {wrong[0]}")
    taken = sorted(seconds * 1000 for seconds, _ in found)
    shown = {
        "per_second": round(len(found) / wall, 3),
        "p50_ms": round(percentile(taken, 50), 3),
        "p99_ms": round(percentile(taken, 99), 3),
        "requests": len(found),
    }
    say(f"  {racer.name:<26} {shown['per_second']:>10.1f}/s  p50 {shown['p50_ms']:.2f} ms  ({callers} callers)")
    return shown


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)

"""Measures all contestants in turns, writes `results.json` beside this file and prints a table.

A quick run writes into `tests/.cache/bench` instead: its numbers are not worth keeping.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import resource
import shutil
import signal
import statistics
import subprocess
import sys
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import digest_speed
import disturbance as floods_beside
import lists_cost
import record_cost
import rules_cost
import speed
from contestants import HERE, LOGS, TARGET, Contestant, Field, ask_once, is_open, open_field
from decisions import decisions
from harness.sekisho import ROOT, binary
from load import say

CONNECTIONS = 32
IDLE = 1_000
PAIRS = (
    ("sekisho > mlflow", "mlflow"),
    ("nginx > mlflow", "mlflow"),
    ("sekisho > mlflow", "nginx > mlflow"),
    ("sekisho > stub", "stub"),
    ("nginx > stub", "stub"),
    ("sekisho > stub", "nginx > stub"),
)
AIM_FIRST, AIM_REMEMBERED = 20_000, 200
"""Nanoseconds of one decision at 100,000 rows: the first time, and remembered."""


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--quick", action="store_true", help="one short round: shows that it works, not how fast")
    options.add_argument("--lists", action="store_true", help="measure lists alone, and leave the other results as they are")
    options.add_argument("--digest", action="store_true", help="the same for digests")
    options.add_argument("--rules", action="store_true", help="the same for house rules")
    options.add_argument("--record", action="store_true", help="the same for the record")
    options.add_argument("--floods", action="store_true", help="the same for floods")
    options.add_argument("--speed", action="store_true", help="the same for speed beside its goals, with the chart")
    chosen = options.parse_args()
    quick = chosen.quick
    rounds, seconds, warm_up = (1, 4, 1) if quick else (3, 12, 3)
    # Children inherit it: a proxy has two sockets for each caller.
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))

    written = (LOGS if quick else HERE) / "results.json"
    parts = {
        "lists": (chosen.lists, lists_cost),
        "digest": (chosen.digest, digest_speed),
        "rules": (chosen.rules, rules_cost),
        "record": (chosen.record, record_cost),
        "floods": (chosen.floods, floods_beside),
        "speed": (chosen.speed, speed),
    }
    for name, (wanted, part) in parts.items():
        if wanted:
            found = {**run_of(), **part.measure(quick)}
            part.show(found)
            if name == "speed":
                speed.draw(found, quick)
            kept = json.loads(written.read_text()) if written.exists() else {}
            written.write_text(json.dumps({**kept, name: found}, indent=2) + "\n")
    if any(wanted for wanted, _ in parts.values()):
        return
    results: dict[str, object] = {
        **run_of(),
        "load": {"connections": CONNECTIONS, "seconds": seconds, "rounds": rounds, "target": TARGET},
    }
    with open_field() as field:
        results["memory"] = memory(field)
        measured = []
        for number in range(1, rounds + 1):
            say(f"round {number} of {rounds}")
            measured.append({each.name: timed(each, seconds, warm_up) for each in field.contestants})
    results["rounds"] = measured
    results["ratios"] = ratios(measured)
    results["decisions"] = decisions()
    say("lists")
    results["lists"] = lists_cost.measure(quick)
    say("digests")
    results["digest"] = digest_speed.measure(quick)
    say("house rules")
    results["rules"] = rules_cost.measure(quick)
    say("the record")
    results["record"] = record_cost.measure(quick)
    say("floods")
    results["floods"] = floods_beside.measure(quick)
    say("speed")
    fast = {**run_of(), **speed.measure(quick)}
    speed.draw(fast, quick)
    results["speed"] = fast
    written.write_text(json.dumps(results, indent=2) + "\n")
    show(results)
    print(f"\nwritten to {written.relative_to(ROOT)}")


def run_of() -> dict[str, object]:
    """When, where and with what."""
    return {"date": datetime.now(UTC).isoformat(timespec="seconds"), "machine": machine(), "versions": versions()}


def timed(contestant: Contestant, seconds: int, warm_up: int) -> dict[str, float]:
    """One measurement, with its answer looked at before and after, and none refused or broken in between."""
    contestant.verify()
    wrk(contestant, warm_up)
    busy = os.getloadavg()[0]
    found = wrk(contestant, seconds)
    contestant.verify()
    if found["refused"] or found["broken"]:
        raise RuntimeError(f"{contestant.name}: {found}")
    each = {
        "per_second": round(found["requests"] * 1e6 / found["micros"], 1),
        "p50_ms": found["p50"] / 1000,
        "p99_ms": found["p99"] / 1000,
        "worst_ms": found["worst"] / 1000,
        "requests": found["requests"],
        "load_average_before": busy,
    }
    say(f"  {contestant.name:<18} {each['per_second']:>10.0f}/s  p50 {each['p50_ms']:.2f} ms  p99 {each['p99_ms']:.2f} ms")
    return each


def wrk(contestant: Contestant, seconds: int) -> dict[str, int]:
    threads = min(2, os.cpu_count() or 1)
    command = [
        "wrk", "--latency", f"--threads={threads}", f"--connections={CONNECTIONS}", f"--duration={seconds}s",
        "--timeout=10s", f"--script={HERE / 'peers' / 'report.lua'}", contestant.url + TARGET,
    ]  # fmt: skip
    # The token goes by the environment: other users of the machine may read command lines.
    token = {"BENCH_TOKEN": contestant.token} if contestant.token else {}
    done = subprocess.run(
        command, env={**os.environ, **token}, capture_output=True, text=True, timeout=seconds + 60, check=True
    )
    line = next(line for line in done.stdout.splitlines() if line.startswith("RESULT "))
    found: dict[str, int] = json.loads(line.removeprefix("RESULT "))
    return found


def ratios(measured: Sequence[dict[str, dict[str, float]]]) -> dict[str, dict[str, list[float]]]:
    """For each pair and number: the least, the median and the most of the rounds' ratios."""
    found: dict[str, dict[str, list[float]]] = {}
    for one, other in PAIRS:
        found[f"{one} / {other}"] = {}
        for number in ("per_second", "p50_ms", "p99_ms"):
            each = [turn[one][number] / turn[other][number] for turn in measured]
            spread = [min(each), statistics.median(each), max(each)]
            found[f"{one} / {other}"][number] = [round(ratio, 3) for ratio in spread]
    return found


def memory(field: Field) -> dict[str, int]:
    """Resident bytes of a sekisho that has done nothing yet, and with connections that have each asked once."""
    sekisho = field.stubbed
    contestant = next(each for each in field.contestants if each.url == sekisho.url)
    idle = sekisho.memory()
    with ExitStack() as stack:
        wires = [stack.enter_context(ask_once(contestant, number)) for number in range(IDLE)]
        held = sekisho.memory()
        still_open = sum(is_open(wire) for wire in wires)
    if still_open != IDLE:
        raise RuntimeError(f"only {still_open} of {IDLE} idle connections were held")
    say(f"memory: idle {mib(idle)}, with {IDLE} idle connections {mib(held)}")
    return {"idle": idle, "idle_connections": IDLE, "with_idle_connections": held}


def machine() -> dict[str, object]:
    cpu = re.search(r"^model name\s*: (.*)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    total = re.search(r"^MemTotal: +(\d+) kB$", Path("/proc/meminfo").read_text(), re.MULTILINE)
    return {
        "cpu": cpu.group(1) if cpu else platform.machine(),
        "cores": len(os.sched_getaffinity(0)),
        "memory_mib": int(total.group(1)) // 1024 if total else None,
        "system": platform.platform(),
    }


def versions() -> dict[str, str]:
    def first_line(*command: str) -> str:
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        return (done.stdout + done.stderr).strip().partition("\n")[0]

    def found(program: str) -> str:
        return shutil.which(program, path=os.environ["PATH"] + os.pathsep + "/usr/sbin") or program

    return {
        "sekisho": first_line(str(binary()), "--version"),
        "commit": first_line("git", "-C", str(ROOT), "describe", "--always", "--dirty"),
        "rustc": first_line("rustc", "--version"),
        "mlflow": version("mlflow"),
        "python": platform.python_version(),
        "nginx": first_line(found("nginx"), "-v"),
        "wrk": first_line("wrk", "-v").partition(" Copyright")[0],
        "haproxy": first_line(found("haproxy"), "-v").partition(" - ")[0],
        "h2load": first_line("h2load", "--version"),
    }


def show(results: dict) -> None:
    machine, held = results["machine"], results["memory"]
    print(f"\n{machine['cpu']}, {machine['cores']} cores, {machine['memory_mib']} MiB; {results['date']}")
    print(f"{CONNECTIONS} connections; each number is least – median – most of {len(results['rounds'])} round(s)\n")
    print(f"{'':<18} {'requests/s':>28} {'p50 ms':>24} {'p99 ms':>24}")
    for name in results["rounds"][0]:
        print(f"{name:<18} {spread(results, name, 'per_second', 0):>28} "
              f"{spread(results, name, 'p50_ms', 2):>24} {spread(results, name, 'p99_ms', 2):>24}")  # fmt: skip
    print(f"\n{'ratio':<34} {'requests/s':>22} {'p50':>22} {'p99':>22}")
    for pair, numbers in results["ratios"].items():
        print(f"{pair:<34} " + " ".join(f"{dashed(numbers[key], 2):>22}" for key in ("per_second", "p50_ms", "p99_ms")))
    lists_cost.show(results["lists"])
    digest_speed.show(results["digest"])
    rules_cost.show(results["rules"])
    record_cost.show(results["record"])
    print(f"\nmemory of sekisho: {mib(held['idle'])} idle, {mib(held['with_idle_connections'])} "
          f"with {held['idle_connections']} idle connections")  # fmt: skip
    floods_beside.show(results["floods"])
    print(f"\n{'one decision (ns)':<34} {'rows':>8} {'first':>8} {'remembered':>11}")
    for each in results["decisions"]:
        print(f"{each['demand']:<34} {each['rows']:>8} {each['first_ns']:>8} {each['remembered_ns']:>11}")
    speed.show(results["speed"])
    most = [each for each in results["decisions"] if each["rows"] == 100_000]
    for key, aim in (("first_ns", AIM_FIRST), ("remembered_ns", AIM_REMEMBERED)):
        worst = max(each[key] for each in most)
        print(f"worst {key} at 100,000 rows: {worst} ({'within' if worst <= aim else 'OVER'} the aim of {aim})")


def spread(results: dict, name: str, number: str, digits: int) -> str:
    each = [turn[name][number] for turn in results["rounds"]]
    return dashed([min(each), statistics.median(each), max(each)], digits)


def dashed(numbers: Iterable[float], digits: int) -> str:
    return " – ".join(f"{number:.{digits}f}" for number in numbers)


def mib(size: int) -> str:
    return f"{size / 2**20:.1f} MiB"


if __name__ == "__main__":
    main()

"""What the record costs, and how fast it is proved, searched and decided again.

Writes before a stub that answers at once: with the record as it is by default, with `best_effort`, and with its folder in
memory, which is as near as one comes to none. Reads with a line for each, counted, and with none. Then a long record:
`verify` beside the sixty lines of Python that know nothing of sekisho, `search` for what is rare, and `policy replay`.
"""

from __future__ import annotations

import json
import os
import re
import statistics
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory

from contestants import HERE, LOGS, TARGET, answer_of_stub, nginx
from harness.records import VERIFIER
from harness.sekisho import ROOT, Sekisho, binary

CONNECTIONS = 32
MEMORY = Path("/dev/shm")
WRITES = {"required": {}, "best_effort": {"mode": "best_effort"}, "in memory": {}}
READS = {"each": {"reads": "each"}, "aggregate": {"reads": "aggregate"}, "off": {"reads": "off"}}


def measure(quick: bool) -> dict[str, object]:
    """Requests a second in turns, and seconds of each command on a record of so many lines."""
    rounds, seconds, lines = (1, 3, 100_000) if quick else (3, 10, 1_000_000)
    return {
        "connections": CONNECTIONS,
        "writes": turns(WRITES, "write.lua", rounds, seconds),
        "reads": turns(READS, "report.lua", rounds, seconds),
        "lines": lines,
        "seconds": long(lines, rounds),
    }


def turns(settings: Mapping[str, Mapping[str, object]], script: str, rounds: int, seconds: int) -> dict[str, list[dict]]:
    """All of them before one stub, none always the first."""
    with ExitStack() as stack:
        stub = stack.enter_context(nginx("stub.conf", BODY=answer_of_stub().decode()))
        doors = {}
        for name, audit in settings.items():
            if name == "in memory":
                folder = stack.enter_context(TemporaryDirectory(prefix="sekisho-bench-", dir=MEMORY))
                audit = {"path": f"{folder}/audit", "signing_key_file": f"{folder}/audit.key"}
            unlimited = {"limits": {"requests_per_second": 0}, "audit": dict(audit)}
            doors[name] = stack.enter_context(Sekisho(stub, LOGS, settings=unlimited))
        tokens = {name: door.token("bench@company.com", "ml_engineer", ["*"]) for name, door in doors.items()}
        found: dict[str, list[dict]] = {name: [] for name in doors}
        for number in range(rounds):
            names = list(doors)
            for name in names[number % len(names) :] + names[: number % len(names)]:
                found[name].append(wrk(doors[name].url + TARGET, script, tokens[name], seconds))
        return found


def wrk(url: str, script: str, token: str, seconds: int) -> dict[str, float]:
    """Requests a second, and milliseconds of the middle one and of the ninety-ninth of a hundred."""
    command = [
        "wrk", "--latency", "--threads=2", f"--connections={CONNECTIONS}", f"--duration={seconds}s", "--timeout=10s",
        f"--script={HERE / 'peers' / script}", url,
    ]  # fmt: skip
    done = subprocess.run(
        command, env={**os.environ, "BENCH_TOKEN": token}, capture_output=True, text=True, timeout=seconds + 60, check=True
    )
    line = next(line for line in done.stdout.splitlines() if line.startswith("RESULT "))
    said = json.loads(line.removeprefix("RESULT "))
    if said["refused"] or said["broken"]:
        raise RuntimeError(f"{script}: {said}")
    return {
        "per_second": round(said["requests"] * 1e6 / said["micros"], 1),
        "p50_ms": said["p50"] / 1000,
        "p99_ms": said["p99"] / 1000,
    }


def long(lines: int, rounds: int) -> dict[str, list[float]]:
    """Each command on a record of so many lines over ninety days."""
    with TemporaryDirectory(prefix="long-record-") as place:
        folder, config = Path(place) / "audit", Path(place) / "sekisho.toml"
        subprocess.run([str(binary().parent / "examples" / "long_record"), str(folder), str(lines)], check=True)
        (Path(place) / "secret").write_text("not used, and long enough to be taken for one")
        (Path(place) / "secret").chmod(0o600)
        config.write_text(
            f'[auth]\nhs256_secret_file = "{place}/secret"\n[policies]\ndir = "{ROOT / "policies"}"\n'
            f'[upstream]\nurl = "http://127.0.0.1:1"\n[audit]\npath = "{folder}"\n'
        )
        search = ("audit", "search", "--dir", str(folder), "--output", "json", "--principal", "rare@example.com")
        commands = {
            "verify": ("audit", "verify", str(folder)),
            "search without an index": (*search, "--no-index"),
            "search that makes the index": search,
            "search": search,
            "replay": ("policy", "replay", "--config", str(config), "--policies", str(ROOT / "policies")),
        }
        found: dict[str, list[float]] = {name: [] for name in (*commands, "verify.py")}
        for _ in range(rounds):
            for index in folder.glob("*/*.index"):
                index.unlink()
            for name, command in commands.items():
                found[name].append(timed([str(binary()), *command], lines, name))
        found["verify.py"].append(timed([sys.executable, str(VERIFIER), str(folder)], lines, "verify.py"))
        return found


def timed(command: list[str], lines: int, name: str) -> float:
    """Seconds; the command must have done what it was asked for."""
    began = time.perf_counter()
    done = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)
    taken = time.perf_counter() - began
    if name.startswith("verify"):
        fine = done.returncode == 0 and done.stdout.startswith(f"verified {lines + lines // 1_000} lines")
    elif name == "replay":
        # Counted reads stand for some four each; outcomes are no decisions.
        decided = re.match(rf"(\d+) decisions of {lines + lines // 1_000} lines", done.stdout)
        fine = done.returncode in {0, 1} and decided is not None and int(decided[1]) > lines
    else:
        fine = done.returncode == 0 and len(done.stdout.splitlines()) == lines // 100_000
    if not fine:
        raise RuntimeError(f"{name}: {done.returncode} {done.stdout[:300]!r} {done.stderr[:300]!r}")
    return round(taken, 3)


def show(results: Mapping) -> None:
    """Prints a line for each setting and each command."""
    for what in ("writes", "reads"):
        print(f"\n{what + ' before a stub':<34} {'a second':>10} {'p50 ms':>10} {'p99 ms':>10}   (median of rounds)")
        for name, rounds in results[what].items():
            middle = {key: statistics.median(turn[key] for turn in rounds) for key in rounds[0]}
            print(f"{name:<34} {middle['per_second']:>10.0f} {middle['p50_ms']:>10.2f} {middle['p99_ms']:>10.2f}")
    print(f"\n{'a record of ' + format(results['lines'], ',') + ' lines':<34} {'seconds':>10}")
    for name, taken in results["seconds"].items():
        print(f"{name:<34} {statistics.median(taken):>10.2f}")


if __name__ == "__main__":
    measured = measure(quick=True)
    print(json.dumps(measured, indent=2))
    show(measured)

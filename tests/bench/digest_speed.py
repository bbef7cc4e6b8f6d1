"""How fast a version's digest is taken, beside `sha256sum` of the same files on the disk and a bare download of them."""

from __future__ import annotations

import http.client
import os
import re
import statistics
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.parse import urlsplit

from contestants import LOGS
from harness.mlflow_server import MlflowServer
from harness.rest import send
from harness.sekisho import binary

MIB = 2**20
SHAPES = {"1 of 512 MiB": (1, 512 * MIB), "64 of 8 MiB": (64, 8 * MIB), "2,000 of 4 KiB": (2_000, 4096)}
QUICK = {"1 of 64 MiB": (1, 64 * MIB), "16 of 4 MiB": (16, 4 * MIB), "200 of 4 KiB": (200, 4096)}


def measure(quick: bool) -> dict[str, object]:
    """Seconds of each, in turns, for files in MLflow's own store and in a local folder that it reads for its run."""
    rounds, shapes = (1, QUICK) if quick else (3, SHAPES)
    found: dict[str, list[dict[str, float]]] = {}
    sizes: dict[str, int] = {}
    with TemporaryDirectory(prefix="digest-") as folder:
        local = ("--default-artifact-root", folder, "--no-serve-artifacts")
        with MlflowServer(LOGS, workers=2) as stored, MlflowServer(LOGS, workers=2, arguments=local) as by_run:
            for shape, (count, size) in shapes.items():
                for root, server in (("stored", stored), ("local", by_run)):
                    run, files = filled(server, count, size)
                    name = f"{root}: {shape}"
                    sizes[name] = count * size
                    found[name] = [turn(server, run, files) for _ in range(rounds)]
    return {"bytes": sizes, "rounds_seconds": found}


def filled(server: MlflowServer, count: int, size: int) -> tuple[str, list[Path]]:
    """A run with so many files of so many random bytes."""
    answer = send(server.url, "POST", "/api/2.0/mlflow/runs/create", None, {"experiment_id": "0"})
    info = answer.json()["run"]["info"]
    uri = urlsplit(info["artifact_uri"])
    folder = server.artifacts / uri.path.lstrip("/") if uri.scheme == "mlflow-artifacts" else Path(uri.path)
    folder.mkdir(parents=True)
    files = [folder / f"{number:04}.bin" for number in range(count)]
    for file in files:
        file.write_bytes(os.urandom(size))
    return info["run_id"], files


def turn(server: MlflowServer, run: str, files: list[Path]) -> dict[str, float]:
    """One round; all files are in the page cache, for they were just written or read."""
    return {"sha256sum": hashed(files), "download": downloaded(server, run, files), "sekisho": digested(server, run)}


def hashed(files: list[Path]) -> float:
    began = time.perf_counter()
    subprocess.run(["sha256sum", *map(str, files)], stdout=subprocess.DEVNULL, check=True)
    return time.perf_counter() - began


def downloaded(server: MlflowServer, run: str, files: list[Path]) -> float:
    """One after the other over one connection, as a plain client does, by the address that sekisho uses."""
    place = urlsplit(server.url)
    connection = http.client.HTTPConnection(place.hostname or "", place.port, timeout=120)
    stored = files[0].is_relative_to(server.artifacts)
    base = f"/api/2.0/mlflow-artifacts/artifacts/0/{run}/artifacts/" if stored else f"/get-artifact?run_id={run}&path="
    began = time.perf_counter()
    for file in files:
        connection.request("GET", base + file.name)
        answer = connection.getresponse()
        assert answer.status == 200, answer.read()
        while answer.read(MIB):
            pass
    connection.close()
    return time.perf_counter() - began


def digested(server: MlflowServer, run: str) -> float:
    """What it says itself, without the start of the process."""
    command = [str(binary().parent / "examples" / "digest"), server.url, "run", run]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600, check=True)
    return int(re.search(r"(\d+) us", done.stdout)[1]) / 1e6


def show(results: Mapping) -> None:
    """Prints a line for each set of files."""
    print(f"\n{'digest, MB/s (median of rounds)':<34} {'sha256sum':>10} {'download':>10} {'sekisho':>10}")
    for name, rounds in results["rounds_seconds"].items():
        size = results["bytes"][name]
        rates = [size / 1e6 / statistics.median(turn[who] for turn in rounds) for who in ("sha256sum", "download", "sekisho")]
        print(f"{name:<34} " + " ".join(f"{rate:>10.1f}" for rate in rates))

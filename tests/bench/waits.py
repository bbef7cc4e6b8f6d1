"""What sekisho adds to a wait: a read from memory at half of the most load, a write with its record, a batch of reads."""

from __future__ import annotations

import http.client
import json
import os
import statistics
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

from contestants import answer_of_stub
from harness.rest import send
from harness.sekisho import Sekisho
from lists.registry import MODELS, name
from load import STEADY_CONNECTIONS, percentile, rates, say, steady, wrk
from racers import WRITER, Track, recorded

BATCH = 1_000
WRITE = "/api/2.0/mlflow/model-versions/set-tag"
APPEND = b"x" * 511 + b"\n"


def tails(track: Track, most: float, seconds: int) -> dict[str, object]:
    """p99 of a read from memory and of nginx' static answer, both at half of what sekisho answered at most."""
    found: dict[str, dict[str, float]] = {}
    for who in ("stub", "sekisho cached"):
        found[who] = steady(track.reads[who], most / 2, seconds)
        say(f"  {who + ', half load':<26} {found[who]['per_second']:>10.1f}/s  p99 {found[who]['p99_ms']:.2f} ms")
    kept_up = all(each["per_second"] > 0.95 * each["wanted_per_second"] for each in found.values())
    return {**found, "connections": STEADY_CONNECTIONS, "kept_up": kept_up}


def writes(track: Track, seconds: int, appends: int) -> dict[str, float]:
    """Milliseconds of the middle write on one connection, straight to the stub and through sekisho, and of one fdatasync.

    The bytes are appended on the file system that the record is on.
    """
    body = {"name": "bench_model_1", "version": "1", "key": "k", "value": "v"}
    answer = send(track.passing.url, "POST", WRITE, track.writer, body)
    if (answer.status, answer.body) != (200, answer_of_stub()):
        raise RuntimeError(f"a write: {answer.status} {answer.body[:300]!r}")
    before = recorded(track.passing)[WRITER]
    synced = fdatasync_ms(track.passing.folder, appends)
    direct = rates(wrk(track.stub + WRITE, "write.lua", {}, seconds, 1))
    through = rates(wrk(track.passing.url + WRITE, "write.lua", {"BENCH_TOKEN": track.writer}, seconds, 1))
    told = recorded(track.passing)[WRITER] - before
    if told < through["requests"]:
        raise RuntimeError(f"the record tells of {told} writes of {through['requests']}")
    found = {"direct_p50_ms": direct["p50_ms"], "sekisho_p50_ms": through["p50_ms"], "fdatasync_p50_ms": synced}
    found["beyond_ms"] = round(through["p50_ms"] - direct["p50_ms"] - synced, 3)
    say(f"  writes: {found}")
    return found


def fdatasync_ms(folder: Path, times: int) -> float:
    """The middle one."""
    taken = []
    with tempfile.NamedTemporaryFile(dir=folder, buffering=0) as file:
        for _ in range(times):
            began = time.perf_counter()
            file.write(APPEND)
            os.fdatasync(file.fileno())
            taken.append((time.perf_counter() - began) * 1000)
    return round(percentile(sorted(taken), 50), 3)


def batches(track: Track) -> dict[str, float]:
    """Seconds for so many versions that are in memory: one by one by MLflow's Python client, and in one request."""
    sekisho, token = track.cached, track.cached.token("batch@company.com", "ml_engineer", ["*"])
    names = [name(number) for number in range(MODELS) if number % 400 != 99][:BATCH]
    first = batch(sekisho, token, names)
    with client(sekisho.url, token) as mlflow:
        # The first asks fill what is cached.
        alone = [mlflow.get_model_version(model, "1") for model in names]
        began = time.perf_counter()
        versions = [mlflow.get_model_version(model, "1") for model in names]
        singly = time.perf_counter() - began
    together = [batch(sekisho, token, names) for _ in range(5)]
    for found in (alone, versions):
        if [(each.name, str(each.version)) for each in found] != [(model, "1") for model in names]:
            raise RuntimeError("the client was given other versions")
    if any(results != first[1] for _, results in together):
        raise RuntimeError("batchGet answers the same request in two ways")
    middle = statistics.median(seconds for seconds, _ in together)
    say(f"  {BATCH} versions: {singly:.3f} s one by one, {middle:.4f} s in one request")
    return {"versions": BATCH, "one_by_one_seconds": round(singly, 4), "batch_seconds": round(middle, 5)}


def batch(sekisho: Sekisho, token: str, names: Sequence[str]) -> tuple[float, list[dict]]:
    """Seconds until the answer was read and parsed, and its versions, which are those that were asked for."""
    place = urlsplit(sekisho.url)
    connection = http.client.HTTPConnection(place.hostname or "", place.port, timeout=60)
    connection.connect()
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    asked = [{"name": model, "version": "1"} for model in names]
    began = time.perf_counter()
    connection.request("POST", "/sekisho/v1/model-versions:batchGet", json.dumps({"model_versions": asked}), headers)
    answer = connection.getresponse()
    body = answer.read()
    results = json.loads(body)["results"] if answer.status == 200 else []
    taken = time.perf_counter() - began
    connection.close()
    versions = [result.get("model_version", {}) for result in results]
    if [{key: version.get(key) for key in ("name", "version")} for version in versions] != asked:
        raise RuntimeError(f"batchGet: {answer.status} {body[:300]!r}")
    return taken, versions


@contextmanager
def client(url: str, token: str) -> Iterator:
    """MLflow's own, with this token meanwhile."""
    from mlflow import MlflowClient  # it takes seconds, and is needed here alone

    before = os.environ.get("MLFLOW_TRACKING_TOKEN")
    os.environ["MLFLOW_TRACKING_TOKEN"] = token
    try:
        yield MlflowClient(tracking_uri=url, registry_uri=url)
    finally:
        os.environ.pop("MLFLOW_TRACKING_TOKEN")
        if before is not None:
            os.environ["MLFLOW_TRACKING_TOKEN"] = before

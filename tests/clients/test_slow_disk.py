"""A disk that takes its time: writes wait for it, reads do not, and what it did not keep is not done."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from conftest import LOGS
from harness.mlflow_server import MlflowServer
from house_of_records import Kept, kept, pairs
from ruled import until

SOURCE = Path(__file__).resolve().parents[1] / "harness" / "slow_disk.c"


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Kept, Path]]:
    """A gate, and the file that makes its disk slow."""
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("there is no C compiler to make a slow disk with")
    folder = tmp_path_factory.mktemp("slow")
    library, slow = folder / "slow_disk.so", folder / "slow"
    subprocess.run([compiler, "-shared", "-fPIC", "-O1", "-o", str(library), str(SOURCE), "-ldl"], check=True)
    environment = {"LD_PRELOAD": str(library), "SLOW_DISK": str(slow)}
    with MlflowServer(LOGS) as server, kept(server, environment=environment) as running:
        yield running, slow


def test_writes_wait_and_reads_go_on(here: tuple[Kept, Path]) -> None:
    """MLflow hears of a write when its intent is on the disk, and not before."""
    gate, slow = here
    assert gate.tag("before").status == 200
    slow.touch()
    with ThreadPoolExecutor(1) as pool:
        try:
            waiting = pool.submit(gate.tag, "meanwhile")
            until(lambda: any(line["params"].get("key") == "meanwhile" for line in gate.lines("intent")))
            for _ in range(20):
                assert gate.read().status == 200
            assert not waiting.done() and "meanwhile" not in gate.held()
        finally:
            slow.unlink()
        assert waiting.result().status == 200
    assert "meanwhile" in gate.held()


def test_a_disk_that_is_too_slow_refuses_writes_and_is_taken_back(here: tuple[Kept, Path]) -> None:
    """After ten seconds; what was refused is never done, and told as that."""
    gate, slow = here
    slow.touch()
    try:
        refused = gate.tag("too_late")
    finally:
        slow.unlink()
    assert refused.status == 507 and refused.json()["error_code"] == "RESOURCE_EXHAUSTED"
    until(lambda: gate.tag("behind").status == 200)
    assert "too_late" not in gate.held()
    (intent,) = [line for line in gate.of(refused) if line["kind"] == "intent"]
    until(lambda: intent["seq"] in pairs(gate.lines()))
    assert pairs(gate.lines())[intent["seq"]]["outcome"] == "not_applied"

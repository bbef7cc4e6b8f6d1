"""The record is searched, followed and exported while it is written: what a request left there is found, and once."""

from __future__ import annotations

import csv
import io
import json
import queue
import shutil
import stat
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from conftest import LOGS
from harness import records
from harness.mlflow_server import MlflowServer
from harness.sekisho import Sekisho, binary, run_command
from house_of_records import ANN, ROOT, Kept, Line, kept, verified
from ruled import API, until

SOON = 20.0
# Nobody's name, until somebody has a token of it.
FORMULA = "=1+1@example.com"
TURNED = "ann\u202e@example.com"


@pytest.fixture(scope="module")
def server() -> Iterator[MlflowServer]:
    """An MLflow of its own."""
    with MlflowServer(LOGS) as running:
        yield running


@pytest.fixture(scope="module")
def here(server: MlflowServer) -> Iterator[Kept]:
    """A gate with small files, of which several are closed, by writes of ann's and by refusals of everybody's."""
    with kept(server, {"file_mb": 1}) as running:
        for number in range(6):
            assert running.tag(f"k{number}", "v" * 900, model=number % 2).status == 200
            refuse(running, lambda number=number: len(closed(running)) > number // 2)
        until(lambda: len(running.lines("outcome")) == 6)
        # Lines that nobody waits for are there by and by; nothing is added after that, not even a head.
        running.sekisho.restart()
        running.sekisho.stop()
        yield running


def closed(here: Kept) -> list[Path]:
    """Files that are closed and compressed."""
    return sorted(here.sekisho.audit.glob("*/*.jsonl.zst"))


def refuse(here: Kept, enough: Callable[[], bool]) -> None:
    """Has two people with odd names refused until it is enough: their lines are long, and fill files."""
    odd = [here.sekisho.token(user, "auditor") for user in (FORMULA, TURNED)]
    tags = [{"key": f"t{number}", "value": "v" * 1000} for number in range(12)]
    for number in range(2_000):
        if enough():
            return
        body = {"name": here.model, "tags": tags}
        assert here.ask(odd[number % 2], "POST", f"{API}registered-models/create", body).status == 403
    raise AssertionError("no file is closed")


def lines_of(here: Kept) -> list[Line]:
    """Every line, in the order of time, as nothing of sekisho's reads it."""
    return sorted(records.lines(here.sekisho.audit), key=lambda line: line["seq"])


def search(here: Kept, *options: str, verb: str = "search") -> list[Line]:
    """What a search gives, as JSON."""
    output = ("--output", "json") if verb != "export" else ("--format", "jsonl")
    done = run_command("audit", verb, "--dir", str(here.sekisho.audit), *output, *options)
    assert done.returncode == 0 and done.stderr == "", done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def asked(here: Kept) -> list[tuple[tuple[str, ...], Callable[[Line], bool]]]:
    """Options, and what they ask for in other words."""
    some = next(line for line in lines_of(here) if line["kind"] == "intent")
    name = here.model

    def below(line: Line) -> bool:
        objects = [line.get("object", ""), *(demand.split(" ", 1)[1] for demand in line.get("demands", []))]
        return any(f"{found}/".startswith(f"model:{name}/") for found in objects)

    return [
        ((), lambda line: True),
        (("--principal", ANN), lambda line: line.get("principal") == ANN),
        (("--principal", FORMULA), lambda line: line.get("principal") == FORMULA),
        (("--principal", ROOT), lambda line: False),
        (("--model", name), below),
        (("--model", name[:-1]), lambda line: False),
        (("--operation", "metadata_write"), lambda line: line.get("operation") == "metadata_write"),
        (("--decision", "deny"), lambda line: line.get("decision") == "deny"),
        (("--kind", "intent", "--kind", "head"), lambda line: line["kind"] in ("intent", "head")),
        (("--outcome", "applied"), lambda line: line.get("outcome") == "applied"),
        (("--id", some["id"]), lambda line: line["id"] == some["id"]),
        (("--since", some["time"]), lambda line: line["time"] >= some["time"]),
        (("--until", some["time"]), lambda line: line["time"] < some["time"]),
        (("--since", "1d", "--until", "2099-01-01T00:00:00Z", "--kind", "system"), lambda line: line["kind"] == "system"),
        (("--text", "SEKISHO begins"), lambda line: line.get("operation") == "start"),
        (("--object", f"model:{name}/tag/k0"), lambda line: line.get("object") == f"model:{name}/tag/k0"),
    ]


def test_what_is_asked_for_is_found_and_nothing_else(here: Kept) -> None:
    """By the index of closed files, without it, and backwards; the record is proved all the same."""
    whole = lines_of(here)
    assert len(closed(here)) >= 3
    ways = (
        lambda found, options: search(here, *options, "--reverse") == found[::-1],
        lambda found, options: search(here, *options, verb="export") == found,
        lambda found, options: search(here, *options, "--limit", "2") == found[:2],
        lambda found, options: search(here, *options, "-n", "2", verb="tail") == found[-2:],
    )
    # Every start of the program costs; the ways to look take turns.
    for turn, (options, wanted) in enumerate(asked(here) * 2):
        expected = [line for line in whole if wanted(line)]
        for more in ((), ("--no-index",)):
            assert [line["seq"] for line in search(here, *options, *more)] == [line["seq"] for line in expected], (options, more)
        assert ways[(turn + turn // 16) % 4](expected, options), options
    for file in closed(here):
        index = file.with_name(file.name.replace(".jsonl.zst", ".index"))
        assert stat.S_IMODE(index.stat().st_mode) == 0o600
        assert ANN.encode() not in index.read_bytes()
    verified(here.sekisho.audit)


def test_lines_are_given_as_they_stand_in_the_file(here: Kept) -> None:
    """Byte for byte: a hash can be taken of them."""
    done = run_command("audit", "search", "--config", str(here.sekisho.config), "--output", "json", cwd=here.sekisho.folder)
    assert done.returncode == 0 and done.stdout == records.text(here.sekisho.audit)


def test_a_table_moves_no_cursor_and_turns_no_text(here: Kept) -> None:
    """Whoever chooses a name chooses no more than that."""
    done = run_command("audit", "search", "--dir", str(here.sekisho.audit), "--decision", "deny")
    head, *rows = done.stdout.splitlines()
    assert head.split() == ["TIME", "PRINCIPAL", "KIND", "RESULT", "OPERATION", "OBJECT", "STATUS", "REASON"]
    assert "\u202e" not in done.stdout and any("ann\\u{202e}@example.com" in row for row in rows)
    assert all(" deny " in row and " 403 " in row for row in rows) and len(rows) == len(search(here, "--decision", "deny"))


def test_a_spreadsheet_takes_no_name_for_a_formula(here: Kept, tmp_path: Path) -> None:
    """And a file is for its owner alone, and never written over."""
    file = tmp_path / "record.csv"
    export = ("audit", "export", "--dir", str(here.sekisho.audit), "--format", "csv")
    done = run_command(*export, "--to", str(file))
    assert done.returncode == 0 and done.stdout == "", done
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    rows = list(csv.DictReader(io.StringIO(file.read_text(), newline="")))
    whole = lines_of(here)
    assert [(row["instance"], int(row["seq"]), row["hash"]) for row in rows] == [
        ("here", line["seq"], line["hash"]) for line in whole
    ]
    assert {row["principal"] for row in rows} == {"", ANN, f"'{FORMULA}", TURNED}
    for row, line in zip(rows, whole, strict=True):
        assert (json.loads(row["params"]) if row["params"] else {}) == line.get("params", {})
        assert row["status"] == str(line.get("status", ""))
    done = run_command(*export, "--to", str(file))
    assert done.returncode == 2 and str(file) in done.stderr, done
    assert len(file.read_text().splitlines()) >= len(whole)


def test_what_is_no_line_is_named_and_the_rest_is_found(here: Kept, tmp_path: Path) -> None:
    """On stderr, with its place; the exit says that lines may be missing."""
    copy = tmp_path / "audit"
    shutil.copytree(here.sekisho.audit, copy)
    current = copy / "here" / "current.jsonl"
    lines = current.read_bytes().splitlines(keepends=True)
    current.write_bytes(b"".join([lines[0], b"nonsense\n", *lines[1:], lines[0][:40]]))
    options = ("audit", "search", "--dir", str(copy), "--output", "json")
    done = run_command(*options)
    assert done.returncode == 1 and len(done.stdout.splitlines()) == len(lines_of(here))
    assert f"{current}:2: " in done.stderr and "not whole (40 bytes)" in done.stderr, done.stderr
    damaged = closed(here)[0].name
    (copy / "here" / damaged).write_bytes(b"no zstd")
    done = run_command(*options)
    assert done.returncode == 1 and done.stdout and damaged in done.stderr, done.stderr
    done = run_command("audit", "search", "--dir", str(tmp_path))
    assert done.returncode == 1 and "there is no record" in done.stderr, done
    for wrong in (("--since", "soon"), ("--kind", "odd"), ("--decision", "maybe")):
        assert run_command(*options, *wrong).returncode == 2


@contextmanager
def following(folder: Path, *options: str) -> Iterator[Callable[[], Line]]:
    """What `tail -f` prints, a line at a time."""
    command = [str(binary()), "audit", "tail", "-f", "--dir", str(folder), "--output", "json", *options]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
        printed: queue.Queue[str] = queue.Queue()
        reader = threading.Thread(target=lambda: [printed.put(line) for line in child.stdout or ()])
        reader.start()
        try:
            yield lambda: json.loads(printed.get(timeout=SOON))
        finally:
            child.terminate()
            reader.join()
            assert printed.empty(), printed.get()


def test_a_record_is_followed_from_file_to_file(server: MlflowServer) -> None:
    """Each intent is printed once, in its order, though files are closed and sekisho begins anew meanwhile."""
    with kept(server, {"file_mb": 1, "reads": "each"}) as here:
        assert here.tag("before").status == 200
        with following(here.sekisho.audit, "--kind", "intent", "-n", "1") as printed:
            assert printed()["params"]["key"] == "before"
            for number in range(3):
                assert here.tag(f"k{number}").status == 200
                assert printed()["params"]["key"] == f"k{number}"
                refuse(here, lambda number=number: len(closed(here)) > number)
            here.sekisho.restart()
            assert here.tag("after").status == 200
            assert printed()["params"]["key"] == "after"


def test_instances_that_come_later_are_followed_and_found_too(server: MlflowServer, tmp_path: Path) -> None:
    """Before there is a record at all; their lines are merged by time."""
    folder = tmp_path / "audit"
    settings: dict[str, Any] = {"path": str(folder), "signing_key_file": str(tmp_path / "audit.key")}
    with following(folder, "--text", "sekisho begins", "-n", "5") as printed:
        for name in ("one", "two"):
            with Sekisho(server.url, LOGS, settings={"audit": settings | {"instance": name}}):
                assert printed()["operation"] == "start"
    done = run_command("audit", "search", "--dir", str(folder), "--output", "json", "--kind", "system")
    found = [json.loads(line) for line in done.stdout.splitlines()]
    assert [line["time"] for line in found] == sorted(line["time"] for line in found)
    assert [line["operation"] for line in found] == ["start", "policies", "stop"] * 2

"""`sekisho audit report changes`, by a real record."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from conftest import LOGS
from harness.mlflow_server import MlflowServer
from harness.sekisho import run_command
from house_of_records import ANN, Kept, kept
from ruled import API, until


@pytest.fixture(scope="module")
def here() -> Iterator[Kept]:
    """Two changes of a tag, one of another model's, and a refusal."""
    with MlflowServer(LOGS) as server, kept(server, {"reads": "aggregate"}) as here:
        assert here.tag("k", "1").status == here.tag("k", "2").status == here.tag("k", "3", model=1).status == 200
        eve = here.sekisho.token("eve@example.com", "auditor")
        refused = here.ask(eve, "POST", f"{API}registered-models/set-tag", {"name": here.model, "key": "k", "value": "v"})
        assert refused.status == 403
        until(lambda: len(here.lines("outcome")) == 3)
        yield here


def report(here: Kept, *arguments: str) -> dict:
    """What a report says to programs."""
    config = ("--config", str(here.sekisho.config))
    done = run_command("audit", "report", *arguments, *config, "--output", "json", cwd=here.sekisho.folder)
    assert done.returncode == 0, done
    return json.loads(done.stdout)


def test_changes(here: Kept) -> None:
    """Each with what was there before; of one model alone, if it is named; nothing that was refused."""
    said = report(here, "changes", "--model", here.model, "--since", "1h")
    assert [(each["principal"], each["before"], each["after"]) for each in said] == [
        (ANN, {"tags": {"k": None}}, {"tags": {"k": "1"}}),
        (ANN, {"tags": {"k": "1"}}, {"tags": {"k": "2"}}),
    ]
    assert len(report(here, "changes")) == 3
    config = ("--config", str(here.sekisho.config))
    done = run_command("audit", "report", "changes", "--model", here.model, *config, cwd=here.sekisho.folder)
    assert [line.split(" ", 1)[1] for line in done.stdout.splitlines()] == [
        f"{ANN} model:{here.model}/tag/k: tags.k null -> \"1\"", f"{ANN} model:{here.model}/tag/k: tags.k \"1\" -> \"2\"",
    ]  # fmt: skip

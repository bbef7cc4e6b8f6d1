"""`sekisho audit report`: who could and who did, what was changed, and which rows nobody needs; by a real record."""

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


def test_access(here: Kept) -> None:
    """Roles that may, whoever has them, and people who did or were refused."""
    said = report(here, "access", "--model", here.model)
    could = {each["who"]: each for each in said["could"]}
    assert set(could["role:product_manager"]["allowed"]) == {"metadata_read", "model_read", "stage_approve"}
    engineer = could["role:ml_engineer"]
    assert {"model_write", "stage_transition"} <= set(engineer["allowed"]) and not engineer["needs_no_claim"]
    assert {"object": "stage/Production", "permission": "stage_transition", "allowed": False} in engineer["below"]
    assert could["role:auditor"]["needs_no_claim"] and could["role:auditor"]["allowed"] == ["metadata_read"]
    did = {(each["principal"], each["operation"], each["was"], each["outcome"]): each["count"] for each in said["did"]}
    assert did[ANN, "metadata_write", "allowed", "applied"] == 2
    assert did["eve@example.com", "metadata_write", "refused", None] == 1
    assert report(here, "access", "--model", here.model[:-1])["did"] == []
    assert {"removed": 0, "untold": {}, "reads_are_recorded_now": True}.items() <= said["gaps"].items() and said["gaps"]["first"]
    config = ("--config", str(here.sekisho.config))
    done = run_command("audit", "report", "access", "--model", here.model, *config, cwd=here.sekisho.folder)
    assert "not stage_transition on stage/Production" in done.stdout and "eve@example.com [auditor] metadata_write: refused" in done.stdout
    for name in ("a/b", "a:b", ""):
        done = run_command("audit", "report", "access", "--model", name, *config, cwd=here.sekisho.folder)
        assert done.returncode == 2 and "is no name by which lines tell of a model" in done.stderr, done


def test_unused_rights(here: Kept) -> None:
    """The row that let the tags in is needed; that of a role which nobody had is not."""
    said = report(here, "unused-rights")
    (intent, *_) = here.lines("intent")
    unused = {each["row"]: each["says"] for each in said["unused"]}
    assert intent["rows"] and not set(intent["rows"]) & set(unused)
    assert any("role:product_manager" in says for says in unused.values())
    assert said["allowed"] >= 3 and 0 < len(unused) < said["rows"]


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

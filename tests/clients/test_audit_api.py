"""`GET /sekisho/v1/audit`: who may see the record sees it, as it stands in the files, page by page; nobody else learns that there is one."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from urllib.parse import urlencode

import pytest
from conftest import LOGS
from harness.mlflow_server import MlflowServer
from harness.rest import Answer
from house_of_records import ANN, ROOT, Kept, kept
from ruled import API, until

AUDIT = "/sekisho/v1/audit"


@pytest.fixture(scope="module")
def here() -> Iterator[Kept]:
    """A gate with some writes and refusals in its record."""
    with MlflowServer(LOGS) as server, kept(server, {"reads": "each", "file_mb": 1}) as here:
        for number in range(6):
            assert here.tag(f"k{number}", str(number), model=number % 2).status == 200
        eve = here.sekisho.token("eve@example.com", "auditor")
        refused = here.ask(eve, "POST", f"{API}registered-models/set-tag", {"name": here.model, "key": "k", "value": "v"})
        assert refused.status == 403
        until(lambda: len(here.lines("outcome")) == 6)
        yield here


def ask(here: Kept, token: str | None = None, **query: object) -> Answer:
    """A search."""
    return here.ask(token or here.root, "GET", f"{AUDIT}?{urlencode(query, doseq=True)}")


def found(here: Kept, token: str | None = None, **query: object) -> list[dict]:
    """All pages of a search."""
    lines: list[dict] = []
    while True:
        answer = ask(here, token, **query)
        assert answer.status == 200 and answer.json()["complete"], answer
        lines += answer.json()["lines"]
        if not (following := answer.json().get("next_page_token")):
            return lines
        query["page_token"] = following


def test_who_may_see_the_record(here: Kept) -> None:
    """Administrators and auditors; nobody else, whatever their models."""
    auditor = here.sekisho.token("eve@example.com", "auditor")
    for token in (here.root, auditor):
        assert ask(here, token, max_results=1).status == 200
    for role in ("ml_engineer", "data_scientist", "product_manager", "devops_engineer", "ci"):
        answer = ask(here, here.sekisho.token("ida@example.com", role, ["*"]))
        assert (answer.status, answer.error_code()) == (403, "PERMISSION_DENIED"), (role, answer)
    assert here.ask(None, "GET", AUDIT).status == 401
    assert here.ask(here.root, "POST", AUDIT, {}).status in (404, 405)


def test_lines_are_those_of_the_files(here: Kept) -> None:
    """The latest first, each as it stands there: its hash can be checked by whoever has it."""
    lines = found(here, principal=ANN, kind=["intent", "outcome"])
    written = [line for line in here.lines("intent", "outcome") if line["principal"] == ANN]
    assert [line["seq"] for line in lines] == [line["seq"] for line in reversed(written)]
    assert lines == list(reversed(written))
    raw = ask(here, principal=ANN, kind="intent", max_results=1).body.decode()
    line = raw[raw.index('{"seq"') : raw.index('"}],') + 2]
    assert hashlib.sha256(line.rpartition(',"hash":')[0].encode()).hexdigest() == json.loads(line)["hash"]


@pytest.mark.parametrize("most", [1, 2, 5, 1000])
def test_pages(here: Kept, most: int) -> None:
    """Together they are the whole, and nothing twice."""
    whole = found(here, kind=["intent", "outcome"], max_results=1000)
    assert found(here, kind=["intent", "outcome"], max_results=most) == whole and len(whole) == 12


def test_conditions(here: Kept) -> None:
    """Each narrows; a twin of a name is another name."""
    first, second = here.models[:2]
    count = lambda **query: len(found(here, **query))  # noqa: E731
    assert count(model=first, kind="intent") == 3 == count(model=second, kind="intent")
    assert count(model=first[:-1]) == 0 == count(model=first + "x")
    assert count(decision="deny", principal="eve@example.com") == 1
    assert count(object=f"model:{first}/tag/k0") == 2
    assert count(outcome="applied") == 6 and count(outcome="unknown") == 0
    assert count(text="K0", kind="intent") == 1
    (line,) = found(here, text="k0", kind="intent")
    assert {each["kind"] for each in found(here, id=line["id"])} == {"intent", "outcome"}
    assert count(since=line["time"], kind="intent") == 6 and count(until=line["time"], kind="intent") == 0


def test_what_is_no_question(here: Kept) -> None:
    """400 with a sentence, and nothing is looked for."""
    for query in (
        {"kind": "everything"}, {"decision": "maybe"}, {"outcome": "done"}, {"since": "yesterday"}, {"until": "8h"},
        {"max_results": 0}, {"max_results": 1001}, {"max_results": "x"}, {"page_token": "x"}, {"page_token": "W10"}, {"who": "ann"},
    ):  # fmt: skip
        answer = ask(here, **query)
        assert (answer.status, answer.error_code()) == (400, "INVALID_PARAMETER_VALUE"), (query, answer)


def test_reading_the_record_is_on_record(here: Kept) -> None:
    """Who looked for what."""
    answer = ask(here, principal="someone@example.com")
    until(lambda: here.of(answer))
    (line,) = here.of(answer)
    assert (line["kind"], line["principal"], line["operation"], line["object"]) == ("read", ROOT, "audit_read", "server")

"""What a page does not tell: offsets, other people's pages, and whether anything is hidden."""

from __future__ import annotations

from pathlib import Path

from conftest import Crowd
from harness.rest import Answer
from lists.registry import ask, copy, leave_only_what_is_visible

PROBES = {
    "models": [
        {}, {"max_results": "0"}, {"max_results": "1"}, {"max_results": "7"}, {"max_results": "6"}, {"max_results": "1000"},
        {"max_results": "1001"}, {"max_results": "-1"}, {"max_results": "-2"}, {"max_results": "x"},
        {"filter": "name = 'm0000-hers'"}, {"filter": "name LIKE '%hers'"}, {"filter": "name LIKE 'm0000%'"},
        {"filter": "tags.team = 'a'", "max_results": "2"}, {"filter": "tags.nobody = 'x'"}, {"filter": "name ILIKE '%HERS'", "max_results": "1"},
        {"filter": "name IN ('m0000-hers', 'm0003-mine')"}, {"filter": "name NOT IN ('m0000-hers')", "max_results": "3"},
        {"filter": "tags.`mlflow.prompt.is_prompt` = 'true'"}, {"filter": "tags.team = 'a' OR name = 'x'"}, {"filter": "nonsense"},
        {"filter": "name = "}, {"filter": "version_number > 1"}, {"filter": " "}, {"filter": "name LIKE 'm\\'"}, {"filter": "name = 'a' -- x"},
        {"filter": "name LIKE '%' AND /* x */ name != 'y'"}, {"filter": "'"}, {"filter": "name = 'm0000-hers' AND name LIKE '%'"},
        {"order_by": "name DESC", "max_results": "2"}, {"order_by": "last_updated_timestamp DESC", "max_results": "3"},
        {"order_by": "nonsense"}, {"order_by": ["name", "name"]}, {"page_token": "x"}, {"page_token": "eyJvZmZzZXQiOiAxfQ=="},
    ],
    "versions": [
        {}, {"max_results": "0"}, {"max_results": "1"}, {"max_results": "28"}, {"max_results": "24"}, {"max_results": "200000"},
        {"max_results": "200001"}, {"filter": "name = 'm0000-hers'"}, {"filter": "source_path LIKE 's3://bucket/0%'"},
        {"filter": "run_id = '00000000000000000000000000000000'", "max_results": "2"}, {"filter": "version_number = 1", "max_results": "3"},
        {"filter": "version_number > 99999999999999999999"}, {"filter": "tags.team = 'a'", "max_results": "4"}, {"filter": "tags.team LIKE '%'"},
        {"filter": "run_id IN ('00000000000000000000000000000000')"}, {"filter": "version_number = 'x'"}, {"filter": "current_stage = 'None'"},
        {"order_by": "last_updated_timestamp ASC", "max_results": "5"}, {"order_by": "version_number DESC", "max_results": "5"},
        {"order_by": "creation_timestamp"}, {"order_by": "source"}, {"filter": "source_path = 's3://bucket/9/1'"},
    ],
}  # fmt: skip


CALLERS = ("named", "patterned", "nobody", "stranger")


def test_answers_are_the_same_whether_anything_is_hidden_or_not(crowd: Crowd, tmp_path: Path) -> None:
    whole = tmp_path / "whole.db"
    copy(crowd.mlflow.database, whole)
    before = everything(crowd)
    leave_only_what_is_visible(crowd.mlflow.database)
    try:
        after = everything(crowd)
    finally:
        copy(whole, crowd.mlflow.database)
    differing = [key for key in before if before[key] != after[key]]
    assert not differing, [(key, before[key][:200], after[key][:200]) for key in differing[:3]]
    assert {200, 400} <= {status for status, _ in before.values()}


def everything(crowd: Crowd) -> dict[tuple[str, str, str], tuple[int, bytes]]:
    """The answer to every probe by every caller; of the stranger, who costs a whole walk each time, to some."""
    return {
        (which, caller, str(probe)): blurred(ask(crowd.url, crowd.tokens[caller], which, **probe))
        for which, probes in PROBES.items()
        for caller in CALLERS
        for probe in (probes[::7] if caller == "stranger" else probes)
    }


def blurred(answer: Answer) -> tuple[int, bytes]:
    """A page with its token left out, which never comes twice; its length is kept."""
    body = answer.json()
    token = body.get("next_page_token") if isinstance(body, dict) else None
    text = answer.body.replace(token.encode(), b"." * len(token)) if token else answer.body
    return answer.status, text

"""Page tokens: nothing can be read from them, and they are good for one caller and one question."""

from __future__ import annotations

import base64
import json

import pytest

from conftest import Crowd
from lists.registry import LISTS, MINE, ask, rows_of


def mlflows(offset: object) -> str:
    return base64.b64encode(json.dumps({"offset": offset}).encode()).decode()


def flipped(token: str, at: int) -> str:
    return token[:at] + ("A" if token[at] != "A" else "B") + token[at + 1 :]


@pytest.mark.parametrize("which", LISTS)
def test_only_the_token_of_this_caller_and_question_is_taken(crowd: Crowd, which: str) -> None:
    sekisho = crowd.sekisho
    mine = sekisho.token("pat@company.com", "ml_engineer", ["*-mine"])
    again = sekisho.token("pat@company.com", "data_scientist", ["*-mine"])
    other = sekisho.token("eve@company.com", "ml_engineer", ["*-mine"])
    admin = sekisho.token("root@company.com", "admin")
    question = {"filter": "tags.team LIKE '%'", "order_by": ["name DESC"]}
    first, token = rows_of(ask(crowd.url, mine, which, max_results=2, **question), which)
    rest = [row["name"] for row in rows_of(ask(crowd.url, mine, which, max_results=1000, page_token=token, **question), which)[0]]
    assert len(first) == 2 and first[1]["name"] not in rest[1:] or which == "versions"
    for caller in (mine, again):
        page, _ = rows_of(ask(crowd.url, caller, which, "/ajax-api", max_results=1, page_token=token, **question), which)
        assert page[0]["name"] == rest[0]

    _, admins = rows_of(ask(crowd.url, admin, which, max_results=2, **question), which)
    other_list = next(name for name in LISTS if name != which)
    refused = [
        ask(crowd.url, other, which, page_token=token, **question),
        ask(crowd.url, admin, which, page_token=token, **question),
        ask(crowd.url, mine, which, page_token=admins, **question),
        ask(crowd.url, mine, other_list, page_token=token, **question),
        ask(crowd.url, mine, which, page_token=token),
        ask(crowd.url, mine, which, page_token=token, filter="tags.team LIKE '%'"),
        ask(crowd.url, mine, which, page_token=token, order_by="name DESC"),
        ask(crowd.url, mine, which, page_token=token, filter="tags.team LIKE '%' ", order_by="name DESC"),
        *(ask(crowd.url, caller, which, page_token=mlflows(offset), **question) for caller in (mine, admin) for offset in (1, 2, "3", -1, 0)),
        *(ask(crowd.url, mine, which, page_token=flipped(token, at), **question) for at in range(0, len(token), 13)),
        *(ask(crowd.url, mine, which, page_token=token[:length], **question) for length in (1, 16, len(token) - 1)),
        ask(crowd.url, mine, which, page_token=token + "=", **question),
        ask(crowd.url, mine, which, page_token=token * 2, **question),
        ask(crowd.url, mine, which, page_token="é" * 40, **question),
    ]  # fmt: skip
    assert {(answer.status, answer.error_code()) for answer in refused} == {(400, "INVALID_PARAMETER_VALUE")}
    assert len({answer.body for answer in refused}) == 1


def test_a_token_tells_nothing(crowd: Crowd) -> None:
    tokens = []
    for models in (MINE, ["*-mine"]):
        caller = crowd.sekisho.token("pat@company.com", "ml_engineer", models)
        for size in (1, 2, 6):
            tokens.append(rows_of(ask(crowd.url, caller, "models", max_results=size - 1), "models")[1])
    assert len({len(token) for token in tokens}) == 1 and len(set(tokens)) == len(tokens)
    for token in tokens:
        opened = base64.urlsafe_b64decode(token + "=" * (-len(token) % 4))
        assert b"offset" not in opened and b"mine" not in opened

"""Pages are full and in MLflow's order: two thousand models of which seven are visible, at every size of page."""

from __future__ import annotations

import threading
import pytest

from conftest import Crowd
from harness.rest import send
from lists.registry import LISTS, MINE, ask, brute_force, name, rows_of, walk

SIZES = (1, 2, 7, 99, 100, 101, 999, 1_000)
FILTERS = {
    "models": ("", "tags.team = 'a'", "name LIKE 'm0%'", "name != 'm0099-mine' AND tags.team = 'b'",
               "tags.`mlflow.prompt.is_prompt` = 'true'", "tags.`mlflow.prompt.is_prompt` != 'true'", "name ILIKE '%HERS'"),
    "versions": ("", "version_number > 2", "run_id = '00000000000000000000000000000001'", "source_path LIKE 's3://bucket/9%'",
                 "name = 'm0777-mine'", "name = 'm0778-hers'", "tags.team = 'a' AND version_number < 4"),
}  # fmt: skip
ORDERS = {
    "models": ([], ["name DESC"], ["last_updated_timestamp ASC"], ["timestamp DESC", "name DESC"]),
    "versions": ([], ["name ASC"], ["creation_timestamp DESC"], ["version_number ASC", "name DESC"], ["last_updated_timestamp ASC"]),
}  # fmt: skip


@pytest.fixture(params=["crowd", "known_crowd"])
def either(request: pytest.FixtureRequest) -> Crowd:
    """From MLflow's pages, and from the index."""
    return request.getfixturevalue(request.param)


@pytest.mark.parametrize("which", LISTS)
@pytest.mark.parametrize("caller", ["named", "patterned"])
def test_every_size_of_page_gives_the_same_rows(either: Crowd, which: str, caller: str) -> None:
    expected = brute_force(either.mlflow.url, which)
    assert {row["name"] for row in expected} == set(MINE) - {"m0099-mine"}
    for size in SIZES:
        if size == 1 and which == "versions" and caller == "patterned":
            continue
        assert walk(either.url, either.tokens[caller], which, size) == expected, size
    assert walk(either.url, either.tokens[caller], which, 5, "/ajax-api") == expected


@pytest.mark.parametrize("which", LISTS)
def test_every_filter_and_order_gives_mlflows_rows_in_mlflows_order(either: Crowd, which: str) -> None:
    orders = ORDERS[which]
    questions = [("", order) for order in orders]
    questions += [(text, orders[number % len(orders)]) for number, text in enumerate(FILTERS[which]) if text]
    for number, (text, order) in enumerate(questions):
        parameters = {"filter": text, "order_by": order} if text else {"order_by": order}
        expected = brute_force(either.mlflow.url, which, **parameters)
        for caller, size in (("named", 3), ("patterned", (5, 1_000)[number % 2])):
            found = walk(either.url, either.tokens[caller], which, size, **parameters)
            assert found == expected, (text, order, caller)


@pytest.mark.parametrize("which", LISTS)
def test_who_sees_everything_gets_every_row(either: Crowd, which: str) -> None:
    expected = walk(either.mlflow.url, None, which, 1_000)
    for size in (99, 1_000):
        assert walk(either.url, either.tokens["auditor"], which, size) == expected
    first, token = rows_of(ask(either.url, either.tokens["auditor"], which), which)
    bare, bare_token = rows_of(ask(either.mlflow.url, None, which), which)
    assert (first, bool(token)) == (bare, bool(bare_token))


def test_writes_to_hidden_models_meanwhile_change_nothing(crowd: Crowd) -> None:
    expected = {
        (which, str(order)): brute_force(crowd.mlflow.url, which, order_by=order)
        for which in LISTS
        for order in ORDERS[which]
    }
    stop, written = threading.Event(), []

    def write() -> None:
        numbers = (2, 4, 98, 102, 776, 778, 1_499, 1_501, 1_998)
        base = f"{crowd.mlflow.url}"
        while not stop.is_set():
            for number in numbers:
                model, made = name(number), f"m{number:04}-new"
                for method, call, body in (
                    ("POST", "registered-models/create", {"name": made}),
                    ("POST", "model-versions/create", {"name": made, "source": "s3://bucket/x"}),
                    ("PATCH", "registered-models/update", {"name": model, "description": "y"}),
                    ("PATCH", "model-versions/update", {"name": model, "version": "1", "description": "y"}),
                    ("DELETE", "registered-models/delete", {"name": made}),
                ):
                    written.append(send(base, method, f"/api/2.0/mlflow/{call}", body=body).status)
                    if stop.is_set():
                        return

    writer = threading.Thread(target=write)
    writer.start()
    try:
        for which in LISTS:
            for order in ORDERS[which][-3:]:
                for size in (3, 7)[: 1 + (order == ORDERS[which][-1])]:
                    found = walk(crowd.url, crowd.tokens["patterned"], which, size, order_by=order)
                    assert found == expected[which, str(order)], (which, order, size)
    finally:
        stop.set()
        writer.join()
    assert len(written) > 50 and set(written) == {200}, len(written)

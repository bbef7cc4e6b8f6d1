"""A registry of two thousand models of which a caller sees seven, written straight into MLflow's database."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path
from urllib.parse import quote, urlencode

from harness.rest import Answer, send

MODELS = 2_000
VISIBLE = (3, 99, 100, 101, 777, 1_500, 1_999)
WORKSPACE = "default"
START = 1_767_225_600_000

LISTS = {
    "models": ("registered-models/search", "registered_models"),
    "versions": ("model-versions/search", "model_versions"),
}


def name(number: int) -> str:
    return f"m{number:04}-{'mine' if number in VISIBLE else 'hers'}"


MINE = tuple(name(number) for number in VISIBLE)


def is_mine(model: str) -> bool:
    return model in MINE


def seed(database: Path) -> None:
    """Models with times that repeat, tags, some prompts; a version of each, and several of what is visible."""
    models, versions, model_tags, version_tags = [], [], [], []
    for number in range(MODELS):
        model, time = name(number), START + (number * 7_919) % 500
        models.append((model, time, time + number % 3, "x" * (number % 50), WORKSPACE))
        model_tags.append((model, "team", "ab"[number % 2], WORKSPACE))
        if number % 400 == 99:
            model_tags.append((model, "mlflow.prompt.is_prompt", "true", WORKSPACE))
        for version in range(1, 5 if number in VISIBLE else 2):
            time = START + (number * 104_729 + version * 31) % 700
            source = f"s3://bucket/{number % 10}/{version}"
            versions.append((model, version, time, time + version, "None", source, f"{number % 5:032x}", "READY", WORKSPACE))
            version_tags.append((model, version, "team", "ab"[(number + version) % 2], WORKSPACE))
            if number % 400 == 99:
                version_tags.append((model, version, "mlflow.prompt.is_prompt", "true", WORKSPACE))
    with closing(sqlite3.connect(database, timeout=30)) as connection, connection:
        connection.executemany(
            "insert into registered_models (name, creation_time, last_updated_time, description, workspace) values (?, ?, ?, ?, ?)", models
        )  # fmt: skip
        connection.executemany(
            "insert into model_versions (name, version, creation_time, last_updated_time, current_stage, source, run_id, status, workspace)"
            " values (?, ?, ?, ?, ?, ?, ?, ?, ?)", versions
        )  # fmt: skip
        connection.executemany("insert into registered_model_tags (name, key, value, workspace) values (?, ?, ?, ?)", model_tags)
        connection.executemany(
            "insert into model_version_tags (name, version, key, value, workspace) values (?, ?, ?, ?, ?)", version_tags
        )


def copy(database: Path, to: Path) -> None:
    """Makes the rows of one database those of another; works while a server runs on either."""
    with closing(sqlite3.connect(database, timeout=30)) as source, closing(sqlite3.connect(to, timeout=30)) as target:
        source.backup(target)


def leave_only_what_is_visible(database: Path) -> None:
    """Takes every hidden row away."""
    with closing(sqlite3.connect(database, timeout=30)) as connection, connection:
        connection.execute("pragma foreign_keys = off")
        for table in ("model_version_tags", "model_versions", "registered_model_tags", "registered_models"):
            connection.execute(f"delete from {table} where name not like '%-mine'")


def ask(url: str, token: str | None, which: str, prefix: str = "/api", **parameters: object) -> Answer:
    """One page; `order_by` may be a list."""
    query = urlencode(parameters, doseq=True, quote_via=quote)
    return send(url, "GET", f"{prefix}/2.0/mlflow/{LISTS[which][0]}" + (f"?{query}" if query else ""), token)


def rows_of(answer: Answer, which: str) -> tuple[list[dict], str]:
    """The rows of a page, and its token."""
    assert answer.status == 200, answer.body
    body = json.loads(answer.body)
    return body.get(LISTS[which][1], []), body.get("next_page_token", "")


def walk(url: str, token: str | None, which: str, size: int, prefix: str = "/api", **parameters: object) -> list[dict]:
    """Every row, page by page; through sekisho each page but the last must be full."""
    rows: list[dict] = []
    page_token = ""
    while True:
        more = {"page_token": page_token} if page_token else {}
        page, page_token = rows_of(ask(url, token, which, prefix, max_results=size, **parameters, **more), which)
        assert len(page) == size or not page_token, f"{len(page)} of {size}, and more follow"
        assert page or not rows, "an empty page after others"
        rows += page
        if not page_token:
            return rows


def brute_force(mlflow: str, which: str, **parameters: object) -> list[dict]:
    """What MLflow itself has, in its order, without what is hidden."""
    return [row for row in walk(mlflow, None, which, 1_000, **parameters) if is_mine(row["name"])]

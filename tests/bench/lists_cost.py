"""What lists cost: a page of a thousand rows, and two thousand models of which seven are seen, beside MLflow's own auth app."""

from __future__ import annotations

import base64
import json
import os
import secrets
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

from contestants import LOGS
from harness.mlflow_server import MlflowServer
from harness.rest import Answer, send
from harness.sekisho import Sekisho
from lists.registry import MINE, MODELS, ask, copy, rows_of, seed

AUTH_PACKAGES = ("Flask-WTF==1.3.0", "WTForms==3.3.2")
"""What MLflow's auth app needs beside MLflow; installed for this measurement alone."""

BASE = {"page of 1,000": "mlflow", "7 of 2,000": "mlflow"}

Question = Callable[[], int]
"""Asks once and returns how many rows came."""


def measure(quick: bool) -> dict[str, object]:
    """Median milliseconds of each answer, in turns and one at a time, and their ratios to MLflow bare in the same round."""
    rounds, times = (1, 3) if quick else (3, 10)
    with ExitStack() as stack:
        questions = stack.enter_context(open_questions())
        for each in questions.values():
            for question in each.values():
                question()
        measured = [
            {kind: {name: timed(question, times) for name, question in each.items()} for kind, each in questions.items()}
            for _ in range(rounds)
        ]
    ratios = {
        kind: {
            name: [round(ratio, 2) for ratio in spread(turn[kind][name] / turn[kind][BASE[kind]] for turn in measured)]
            for name in questions[kind]
            if name != BASE[kind]
        }
        for kind in questions
    }
    return {"models": MODELS, "visible": len(MINE), "times_each": times, "rounds_ms": measured, "ratios": ratios}


def timed(question: Question, times: int) -> float:
    found = []
    for _ in range(times):
        began = time.perf_counter()
        question()
        found.append((time.perf_counter() - began) * 1000)
    return round(statistics.median(found), 2)


def spread(ratios: Iterator[float]) -> list[float]:
    found = list(ratios)
    return [min(found), statistics.median(found), max(found)]


def show(results: Mapping) -> None:
    """Prints one line for each answer."""
    print(f"\n{'lists, one caller at a time':<44} {'ms (median of rounds)':>22} {'ratio to mlflow':>24}")
    for kind, ratios in results["ratios"].items():
        for name in results["rounds_ms"][0][kind]:
            typical = statistics.median(turn[kind][name] for turn in results["rounds_ms"])
            ratio = " – ".join(f"{number:.2f}" for number in ratios.get(name, []))
            print(f"{kind + ': ' + name:<44} {typical:>22.1f} {ratio:>24}")


@contextmanager
def open_questions() -> Iterator[dict[str, dict[str, Question]]]:
    """Three servers with the same rows: MLflow bare and behind sekisho, and MLflow's auth app."""
    with ExitStack() as stack:
        mlflow = stack.enter_context(MlflowServer(LOGS, workers=2))
        seed(mlflow.database)
        sekisho = stack.enter_context(Sekisho(mlflow.url, LOGS))
        auth, basic = auth_app(stack, mlflow.database)
        token = sekisho.token
        every = token("kim@company.com", "auditor")
        most = token("eve@company.com", "ml_engineer", ["*-hers"])
        named = token("ned@company.com", "ml_engineer", MINE)
        patterned = token("pat@company.com", "ml_engineer", ["*-mine"])
        seen = len(MINE) - 1  # one is a prompt, which MLflow leaves out

        def page(url: str, caller: str | None, size: int, expected: int) -> Question:
            def question() -> int:
                answer = (
                    _ask_auth(url, caller, size)
                    if caller and caller.startswith("Basic ")
                    else ask(url, caller, "models", max_results=size)
                )
                rows = len(rows_of(answer, "models")[0])
                if rows != expected:
                    raise RuntimeError(f"{url} answers {rows} rows and not {expected}")
                return rows

            return question

        yield {
            "page of 1,000": {
                "mlflow": page(mlflow.url, None, 1_000, 1_000),
                "sekisho, all are seen": page(sekisho.url, every, 1_000, 1_000),
                "sekisho, seven are hidden": page(sekisho.url, most, 1_000, 1_000),
                "mlflow's auth app, all are seen": page(auth, basic["every"], 1_000, 1_000),
            },
            "7 of 2,000": {
                "mlflow": page(mlflow.url, None, 100, 100),
                "mlflow, its two pages of 1,000": lambda: _both_pages(mlflow.url),
                "sekisho, named in the token": page(sekisho.url, named, 100, seen),
                "sekisho, by a pattern": page(sekisho.url, patterned, 100, seen),
                "mlflow's auth app": page(auth, basic["seven"], 100, seen),
            },
        }


def _both_pages(url: str) -> int:
    rows, token = rows_of(ask(url, None, "models", max_results=1_000), "models")
    return len(rows) + len(rows_of(ask(url, None, "models", max_results=1_000, page_token=token), "models")[0])


def _ask_auth(url: str, caller: str, size: int) -> Answer:
    return send(url, "GET", f"/api/2.0/mlflow/registered-models/search?max_results={size}", headers={"Authorization": caller})


def auth_app(stack: ExitStack, database: Path) -> tuple[str, dict[str, str]]:
    """MLflow with `--app-name basic-auth`, its cache of passwords on, and users who read everything, seven models and one."""
    packages = LOGS / "auth-packages"
    if not (packages / "flask_wtf").exists():
        command = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps", "--target"]
        subprocess.run([*command, str(packages), *AUTH_PACKAGES], check=True, timeout=300)
    password = secrets.token_urlsafe(18)
    server = MlflowServer(LOGS, workers=2, arguments=("--app-name", "basic-auth"))
    config = server.folder / "auth.ini"
    config.write_text(
        "[mlflow]\ndefault_permission = NO_PERMISSIONS\n"
        f"database_uri = sqlite:///{server.folder}/auth.db\nadmin_username = admin\nadmin_password = {password}\n"
        "authorization_function = mlflow.server.auth:authenticate_request_basic_auth\n"
        "grant_default_workspace_access = false\nauth_cache_ttl_seconds = 600\n"
    )
    server.env |= {
        "MLFLOW_AUTH_CONFIG_PATH": str(config),
        "MLFLOW_FLASK_SERVER_SECRET_KEY": secrets.token_urlsafe(24),
        "PYTHONPATH": os.pathsep.join([str(packages), os.environ.get("PYTHONPATH", "")]),
    }
    stack.enter_context(server)
    copy(database, server.database)

    users = {"every": ("*",), "seven": MINE, "one": MINE[:1]}

    def header(user: str) -> str:
        return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()

    def post(path: str, body: object) -> None:
        answer = send(server.url, "POST", path, body=body, headers={"Authorization": header("admin")})
        if answer.status != 200:
            raise RuntimeError(f"{path}: {answer.status} {answer.body[:300]!r}")

    for user, models in users.items():
        post("/api/2.0/mlflow/users/create", {"username": user, "password": password})
        for model in models:
            grant = {"username": user, "resource_type": "registered_model", "resource_id": model, "permission": "READ"}
            post("/api/3.0/mlflow/users/permissions/grant", grant)
    return server.url, {user: header(user) for user in users}


if __name__ == "__main__":
    found = measure(quick=True)
    print(json.dumps(found, indent=2))
    show(found)

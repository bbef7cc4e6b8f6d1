"""Every row of the route table, asked without a token, by somebody without a role, and by an admin."""

from __future__ import annotations

import json
from dataclasses import dataclass
from urllib.parse import unquote

import pytest
from client_process import run_client
from conftest import WatchedGate
from harness.rest import Answer, send
from harness.samples import Place, Sample, sample
from harness.sekisho import run_command

MODEL = "fraud_xgboost_auc_dev"
# What would start programs, jobs or calls to other places if a real server carried it out.
HELD = ("/assistant/", "/jobs", "/demo/", "/invoke", "/gateway", "/webhooks", "prompt-optimization")
# Sekisho answers these itself: MLflow cannot know who the caller is, and reads this GET's query from a body.
ANSWERED_HERE = ("/users/current", "GET /graphql")
# Databricks' registry, which MLflow does not have: its own suite asks an admin's questions.
NOT_MLFLOWS = ("/comments/", "/mlflow/databricks/", "/registered-models/list", "/registry-webhooks/", "/transition-requests/", "/permissions/registered-models/")
OWN_REFUSALS = {"UNAUTHENTICATED", "PERMISSION_DENIED", "ENDPOINT_NOT_FOUND"}


@dataclass(frozen=True)
class Row:
    """One row as `sekisho routes --output json` prints it."""

    method: str
    path: str
    permission: str

    @property
    def guarded(self) -> bool:
        """Whether it takes more than a good token."""
        return self.permission != "authenticated"

    def __str__(self) -> str:
        return f"{self.method} {self.path}"


@pytest.fixture(scope="module")
def rows() -> list[Row]:
    """The table."""
    done = run_command("routes", "--output", "json")
    assert done.returncode == 0, done.stderr
    found = [Row(row["method"], row["path"], row["permission"]) for row in json.loads(done.stdout)]
    assert len(found) > 450
    return [row for row in found if row.method.isalpha() and not row.path.startswith("/sekisho/")]


@pytest.fixture(scope="module")
def place(watched: WatchedGate) -> Place:
    """Something to ask for, made past the gate."""
    seeded = run_client("seed.py", {"MLFLOW_TRACKING_URI": watched.mlflow.url}, MODEL)
    assert isinstance(seeded, dict)
    ids = seeded[MODEL]
    return Place(MODEL, ids["experiment"], ids["run"], ids["model_id"])


def ask(gate: WatchedGate, request: Sample, token: str | None) -> Answer:
    """Sends it; what passed on is in the relay."""
    return send(gate.url, request.method, request.target, token, request.body, request.headers, timeout=60)


def test_without_a_token_nothing_passes(watched: WatchedGate, rows: list[Row], place: Place) -> None:
    """401 in MLflow's JSON for every row, and not a byte reaches MLflow."""
    watched.wire.take()
    answers = {str(row): ask(watched, sample(row.method, row.path, place), None) for row in rows}
    assert {row: answer for row, answer in answers.items() if not is_refusal(answer, 401, "UNAUTHENTICATED")} == {}
    assert watched.wire.take() == []


def test_without_a_role_nothing_is_done(watched: WatchedGate, rows: list[Row], place: Place) -> None:
    """403 in MLflow's JSON for every row that takes a permission; the request itself goes nowhere; rows and files stay."""
    token = watched.sekisho.token("nobody@company.com", "nobody", ["*"])
    wrong: list[str] = []
    before = watched.mlflow.state()
    for row in rows:
        request = sample(row.method, row.path, place)
        watched.wire.take()
        watched.wire.hold(row.path != "/graphql" and any(word in row.path for word in HELD))
        answer = ask(watched, request, token)
        watched.wire.hold(False)
        if row.guarded and not (is_refusal(answer, 403, "PERMISSION_DENIED") or is_graphql_refusal(row, answer)):
            wrong.append(f"{row}: {answer.status} {answer.body[:200]!r}")
        if row.guarded and row.method != "GET" and reached(watched, request):
            wrong.append(f"{row}: reached MLflow")
        changes = before.difference(after := watched.mlflow.state())
        if changes:
            wrong.append(f"{row}: changed {changes}")
            before = after
    assert not wrong, "\n".join(wrong)


def test_an_admin_reaches_mlflow(watched: WatchedGate, rows: list[Row], place: Place) -> None:
    """Every row leads to MLflow, whatever MLflow then says; what deletes comes last."""
    token = watched.sekisho.token("root@company.com", "admin")
    wrong: list[str] = []
    for row in sorted(rows, key=lambda row: row.method == "DELETE" or "delete" in row.path):
        if any(part in row.path for part in NOT_MLFLOWS):
            continue
        request = sample(row.method, row.path, place)
        watched.wire.take()
        watched.wire.hold(any(word in row.path for word in HELD))
        answer = ask(watched, request, token)
        watched.wire.hold(False)
        arrived = reached(watched, request) or str(row).endswith(ANSWERED_HERE)
        if not arrived or answer.error_code() in OWN_REFUSALS:
            wrong.append(f"{row}: {'' if arrived else 'not reached, '}{answer.status} {answer.body[:200]!r}")
    assert not wrong, "\n".join(wrong)


def test_what_has_no_row_is_404(watched: WatchedGate, place: Place) -> None:
    """For an admin too, whatever MLflow would say to it."""
    token = watched.sekisho.token("root@company.com", "admin")
    watched.wire.take()
    for method, target in (
        ("GET", "/api/2.0/mlflow/invented"),
        ("PUT", "/api/2.0/mlflow/registered-models/create"),
        ("GET", "/models"),
        ("GET", "/api/2.0/mlflow/registered-models/get/?name=x"),
        ("GET", "/API/2.0/mlflow/registered-models/get?name=x"),
        ("GET", "/api/2.0/mlflow/registered-models/get;x?name=x"),
    ):
        answer = send(watched.url, method, target, token)
        assert is_refusal(answer, 404, "ENDPOINT_NOT_FOUND"), f"{method} {target}: {answer}"
    assert watched.wire.take() == []


def is_refusal(answer: Answer, status: int, code: str) -> bool:
    """MLflow's JSON error with that status and code, and a sentence."""
    body = answer.json()
    return answer.status == status and answer.error_code() == code and isinstance(body, dict) and bool(body.get("message"))


def is_graphql_refusal(row: Row, answer: Answer) -> bool:
    """The web page shows a refusal of this one route only as GraphQL's own errors."""
    body = answer.json()
    return row.path == "/graphql" and isinstance(body, dict) and bool(body.get("errors")) and not any((body.get("data") or {}).values())


def reached(gate: WatchedGate, request: Sample) -> bool:
    """Whether a request for the same route arrived at MLflow's door."""
    return any(
        seen.method == request.method and unquote(seen.target.partition("?")[0]) == unquote(request.path)
        for seen in gate.wire.take()
    )

"""What a hunt has found, as fixed cases: each was once let through."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from arena import Arena, arena
from conftest import need_binary
from drafts import API, FILES, Cast, Draft


@pytest.fixture(scope="module")
def at() -> Iterator[Arena]:
    """One server for all of it."""
    need_binary()
    with arena(guarded=True) as opened:
        yield opened


def numbered(number: str, cast: Cast) -> list[Draft]:
    """Requests for the victim's experiment, by that spelling of its number."""
    find = "query X($input: MlflowSearchRunsInput!) { mlflowSearchRuns(input: $input) { runs { data { params { value } } } } }"
    place = {"type": "MLFLOW_EXPERIMENT", "mlflow_experiment": {"experiment_id": number}}
    return [
        Draft("POST", API + "/runs/search", body=[("experiment_ids", [number]), ("max_results", 5)]),
        Draft("POST", API + "/runs/search", body=[("experiment_ids", [cast.mine.experiment, number]), ("max_results", 5)]),
        Draft("GET", API + "/experiments/get", query=[("experiment_id", number)]),
        Draft("POST", API + "/logged-models/search", body=[("experiment_ids", [number])]),
        Draft("POST", "/api/3.0/mlflow/traces/search", body=[("locations", [place])]),
        Draft("POST", API + "/experiments/set-experiment-tag", body=[("experiment_id", number), ("key", "k"), ("value", "v")]),
        Draft("POST", API + "/experiments/update", body=[("experiment_id", number), ("new_name", "taken")]),
        Draft("POST", API + "/experiments/delete", body=[("experiment_id", number)]),
        Draft("POST", API + "/runs/create", body=[("experiment_id", number)]),
        Draft("POST", API + "/logged-models", body=[("experiment_id", number), ("name", "x")]),
        Draft("POST", "/graphql", body=[("variables", {"input": {"experimentIds": [number]}}), ("query", find)]),
        Draft("GET", f"{FILES}{number}/{cast.victim.run}/artifacts/note.txt"),
    ]


@pytest.mark.parametrize("spelling", ["0{}", "00{}", "0_{}", "+{}", " {}", "{} ", "{}.0", "-{}", "\u0660{}", "{}\x00"])
def test_an_experiments_number_has_one_spelling(at: Arena, spelling: str) -> None:
    """MLflow reads `01` as 1, and so do SQLite and Python's `int`: a row that closes experiment 1 closes it in every spelling."""
    for draft in numbered(spelling.format(at.cast.victim.experiment), at.cast):
        answer = at.send(draft, "engineer")
        assert at.server.state() == at.before, draft
        assert not any(secret in answer.body for secret in at.secrets), draft
        assert answer.status == 200 if draft.path == "/graphql" else 400 <= answer.status < 500, (draft, answer)


def test_a_file_that_mlflow_cannot_write_disturbs_nobody(at: Arena) -> None:
    """MLflow closes the connection after an error of its own, without saying so: nobody's next request is sent over it."""
    mine = at.cast.mine
    fails = Draft("PUT", f"{FILES}{mine.files}", raw_body=b"x", headers=[("Content-Type", "application/octet-stream")])
    search = Draft("POST", API + "/runs/search", body=[("experiment_ids", [mine.experiment])])
    tag = Draft("POST", API + "/runs/set-tag", body=[("run_id", mine.run), ("key", "k"), ("value", "v")])
    try:
        for _ in range(10):
            for after in (search, tag):
                assert at.send(fails, "engineer").status >= 400
                assert at.send(after, "stranger").status == 200
    finally:
        at.restore()


@pytest.mark.parametrize("route", ["registered-models/search", "model-versions/search"])
def test_a_list_without_a_hidden_model_is_one_without_a_model(at: Arena, route: str) -> None:
    """`{"registered_models": []}` beside MLflow's own `{}` told that there is such a model."""
    hidden, absent = (
        at.send(Draft("GET", f"{API}/{route}", query=[("filter", f"name = '{name}'")]), "engineer") for name in (at.cast.victim.name, "absent")
    )
    assert hidden.body == absent.body

"""What runs, logged models, traces and spans say about registered models: only what their reader may see, and no search tells more."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from conftest import LOGS, Gate, need_binary
from harness.mlflow_server import MlflowServer
from harness.rest import Answer, send
from harness.sekisho import Sekisho

TAG = "mlflow.linkedPrompts"
BOTH = json.dumps([{"name": "mine", "version": "1"}, {"name": "hers", "version": "1"}])
TRACE = "0af7651916cd43dd8448eb211c80319c"


@dataclass(frozen=True)
class Linked(Gate):
    """An experiment in which everything used a prompt that is seen and one that is not."""

    run: str
    model: str
    reader: str
    admin: str


@pytest.fixture(scope="module")
def linked() -> Iterator[Linked]:
    need_binary()
    with MlflowServer(LOGS) as mlflow, Sekisho(mlflow.url, LOGS) as sekisho:

        def post(path: str, body: object, headers: dict[str, str] | None = None) -> dict:
            answer = send(mlflow.url, "POST", path, body=body, headers=headers)
            assert answer.status == 200, (path, answer.body)
            found = answer.json()
            return found if isinstance(found, dict) else {}

        for name in ("mine", "hers"):
            post(
                "/api/2.0/mlflow/registered-models/create",
                {"name": name, "tags": [{"key": "mlflow.prompt.is_prompt", "value": "true"}]},
            )
        tags = [{"key": TAG, "value": BOTH}]
        created = post("/api/2.0/mlflow/runs/create", {"experiment_id": "0", "start_time": 1, "tags": tags})
        run = created["run"]["info"]["run_id"]
        model = post("/api/2.0/mlflow/logged-models", {"experiment_id": "0", "name": "x", "tags": tags})
        span = {
            "traceId": TRACE, "spanId": "b7ad6b7169203331", "name": "root", "kind": 1,
            "startTimeUnixNano": "1767225600000000000", "endTimeUnixNano": "1767225601000000000", "status": {"code": 1},
            "attributes": [{"key": TAG, "value": {"stringValue": BOTH}}, {"key": "other", "value": {"stringValue": "1.50"}}],
        }  # fmt: skip
        spans = {"resourceSpans": [{"resource": {"attributes": []}, "scopeSpans": [{"scope": {"name": "t"}, "spans": [span]}]}]}
        post("/v1/traces", spans, {"x-mlflow-experiment-id": "0"})
        link = {"trace_id": f"tr-{TRACE}", "prompt_versions": [{"name": name, "version": "1"} for name in ("mine", "hers")]}
        post("/api/2.0/mlflow/traces/link-prompts", link)
        tagged = send(mlflow.url, "PATCH", f"/api/3.0/mlflow/traces/tr-{TRACE}/tags", body={"key": TAG, "value": BOTH})
        assert tagged.status == 200, tagged.body
        reader = sekisho.token("ada@company.com", "ml_engineer", ["mine"])
        admin = sekisho.token("root@company.com", "admin")
        yield Linked(sekisho, mlflow, run, model["model"]["info"]["model_id"], reader, admin)


def reads(linked: Linked) -> list[tuple[str, str, object]]:
    """Every read that shows the tag or the span."""
    trace = f"tr-{TRACE}"
    place = {"type": "MLFLOW_EXPERIMENT", "mlflow_experiment": {"experiment_id": "0"}}
    document = (
        "query Q($data: MlflowSearchRunsInput!) { mlflowSearchRuns(input: $data) { runs { data { tags { key value } } } } }"
    )
    one = "query Q($data: MlflowGetRunInput!) { mlflowGetRun(input: $data) { run { data { tags { key value } } } } }"
    return [
        ("GET", f"/api/2.0/mlflow/runs/get?run_id={linked.run}", None),
        ("POST", "/api/2.0/mlflow/runs/search", {"experiment_ids": ["0"]}),
        ("POST", "/ajax-api/2.0/mlflow/runs/search", {"experiment_ids": ["0"]}),
        ("GET", f"/api/2.0/mlflow/logged-models/{linked.model}", None),
        ("POST", "/api/2.0/mlflow/logged-models/search", {"experiment_ids": ["0"]}),
        ("GET", "/api/2.0/mlflow/traces?experiment_ids=0", None),
        ("GET", f"/api/2.0/mlflow/traces/{trace}/info", None),
        ("GET", f"/api/3.0/mlflow/traces/{trace}", None),
        ("GET", f"/api/3.0/mlflow/traces/get?trace_id={trace}", None),
        ("GET", f"/ajax-api/3.0/mlflow/traces/get?trace_id={trace}", None),
        ("GET", f"/api/3.0/mlflow/traces/batchGet?trace_ids={trace}", None),
        ("POST", "/api/3.0/mlflow/traces/batchGetInfos", {"trace_ids": [trace]}),
        ("POST", "/api/3.0/mlflow/traces/search", {"locations": [place]}),
        ("GET", f"/ajax-api/2.0/mlflow/get-trace-artifact?request_id={trace}", None),
        ("GET", f"/ajax-api/3.0/mlflow/get-trace-artifact?request_id={trace}", None),
        ("POST", "/graphql", {"operationName": "Q", "query": document, "variables": {"data": {"experimentIds": ["0"]}}}),
        ("POST", "/graphql", {"operationName": "Q", "query": one, "variables": {"data": {"runId": linked.run}}}),
    ]


def test_no_answer_names_a_prompt_that_is_hidden(linked: Linked) -> None:
    for method, target, body in reads(linked):
        bare = send(linked.mlflow.url, method, target, body=body)
        assert bare.status == 200 and b"hers" in bare.body, (target, bare.status, bare.body[:300])
        shown = send(linked.url, method, target, linked.reader, body)
        assert shown.status == 200, (target, shown.body)
        assert b"hers" not in shown.body and b"mine" in shown.body and TAG.encode() in shown.body, (target, shown.body)
        assert leaves(shown) <= leaves(bare) | {'[{"name": "mine", "version": "1"}]'}, target
        whole = send(linked.url, method, target, linked.admin, body)
        assert json.loads(whole.body) == json.loads(bare.body), target


def leaves(answer: Answer) -> set[str]:
    """Every scalar of an answer; those that hold the list are opened."""

    def of(value: object) -> Iterator[str]:
        if isinstance(value, dict):
            for inner in value.values():
                yield from of(inner)
        elif isinstance(value, list):
            for inner in value:
                yield from of(inner)
        else:
            while isinstance(value, str) and value[:2] in ('[{', '"['):
                value = json.loads(value)
            yield json.dumps(value)

    return set(of(json.loads(answer.body)))


def test_answers_of_writes_do_not_name_it_either(linked: Linked) -> None:
    tags = [{"key": TAG, "value": BOTH}]
    created = send(linked.url, "POST", "/api/2.0/mlflow/runs/create", linked.reader, {"experiment_id": "0", "start_time": 1, "tags": tags})
    assert created.status == 200 and b"hers" not in created.body and b"mine" in created.body
    set_tags = send(linked.url, "PATCH", f"/api/2.0/mlflow/logged-models/{linked.model}/tags", linked.reader, {"tags": [{"key": "a", "value": "b"}]})
    assert set_tags.status == 200 and b"hers" not in set_tags.body


def test_no_search_tells_of_it(linked: Linked) -> None:
    place = {"type": "MLFLOW_EXPERIMENT", "mlflow_experiment": {"experiment_id": "0"}}

    def search(kind: str, text: str, token: str | None = None, url: str = "") -> Answer:
        bodies = {
            "runs/search": {"experiment_ids": ["0"], "filter": text},
            "logged-models/search": {"experiment_ids": ["0"], "filter": text},
            "traces/search": {"locations": [place], "filter": text},
        }
        version = "3.0" if kind == "traces/search" else "2.0"
        return send(url or linked.url, "POST", f"/api/{version}/mlflow/{kind}", token or linked.reader, bodies[kind])

    for kind, text in (
        ("runs/search", f"tags.`{TAG}` LIKE '%hers%'"),
        ("runs/search", f"tags.`{TAG}` LIKE '%nobody%'"),
        ("logged-models/search", f"tags.`{TAG}` LIKE '%hers%'"),
        ("traces/search", "prompt = 'hers/1'"),
        ("traces/search", "prompt = 'nobody/1'"),
        ("traces/search", f"tags.`{TAG}` = 'hers/1'"),
        ("traces/search", f"span.attributes.`{TAG}` LIKE '%hers%'"),
    ):
        refused = search(kind, text)
        assert (refused.status, refused.error_code()) == (400, "INVALID_PARAMETER_VALUE"), (text, refused.body)
        assert b"hers" not in refused.body
    mine, bare = search("traces/search", "prompt = 'mine/1'"), search("traces/search", "prompt = 'hers/1'", url=linked.mlflow.url)
    assert TRACE.encode() in mine.body and TRACE.encode() in bare.body
    assert TRACE.encode() in search("traces/search", "prompt = 'hers/1'", linked.admin).body

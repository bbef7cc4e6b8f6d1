"""One plausible request for each route of MLflow, made from MLflow's own request messages.

A route that takes a protobuf message gets the fields that a client fills in; the few others are listed by hand.
"""

from __future__ import annotations

import json
import re
import warnings
from dataclasses import dataclass, field
from functools import cache
from urllib.parse import quote, urlencode

warnings.simplefilter("ignore", FutureWarning)

from google.protobuf.descriptor import Descriptor, FieldDescriptor
from mlflow.protos import databricks_pb2
from mlflow.server import handlers

_TEXT = {FieldDescriptor.TYPE_STRING}
_WHOLE = {FieldDescriptor.TYPE_INT32, FieldDescriptor.TYPE_INT64}
_PARAMETER = re.compile(r"\{(\w+)\*?\}")


@dataclass(frozen=True)
class Place:
    """What is there to be asked for: the ids of seeded things."""

    model: str
    experiment: str
    run: str
    model_id: str
    trace: str = "tr-" + "0" * 32

    def values(self) -> dict[str, object]:
        """Values by field or parameter name; what is not here is left out of a request unless it is required."""
        files = f"{self.experiment}/{self.run}/artifacts"
        return {
            "name": self.model,
            "new_name": self.model + "_renamed",
            "version": "1",
            "alias": "champion",
            "stage": "Staging",
            "stages": ["Staging"],
            "key": "k",
            "tag_key": "k",
            "value": "v",
            "description": "d",
            "run_id": self.run,
            "run_uuid": self.run,
            "run_ids": [self.run],
            "source_run_id": self.run,
            "experiment_id": self.experiment,
            "experiment_ids": [self.experiment],
            "experiment_name": self.model,
            "model_id": self.model_id,
            "model_ids": [self.model_id],
            "source": f"models:/{self.model_id}",
            "metric_key": "auc",
            "trace_id": self.trace,
            "request_id": self.trace,
            "trace_ids": [self.trace],
            "request_ids": [self.trace],
            "status": 0,
            "path": "note.txt",
            "artifact_path": f"{files}/note.txt",
            "filter": "",
            "max_results": 5,
            "timestamp": 1_700_000_000_000,
            "step": 1,
        }


@dataclass(frozen=True)
class Sample:
    """A request without its credentials."""

    method: str
    target: str
    body: object = None
    headers: dict[str, str] = field(default_factory=dict)

    @property
    def path(self) -> str:
        """The target without its query."""
        return self.target.partition("?")[0]


def sample(method: str, path: str, place: Place) -> Sample:
    """A request for the route `method path`."""
    values = place.values()
    target = _PARAMETER.sub(lambda found: quote(parameter(found[1], path, values)), path)
    by_hand = other(method, path, place)
    if by_hand is not None:
        query, body, headers = by_hand
        return Sample(method, target + (f"?{urlencode(query)}" if query else ""), body, headers)
    fields = message(method, path, values) | (more(path, place) if method != "DELETE" else {})
    if method == "GET":
        return Sample(method, target + (f"?{urlencode(fields, doseq=True)}" if fields else ""))
    return Sample(method, target, fields)


def parameter(name: str, path: str, values: dict[str, object]) -> str:
    """A value for a part of the path."""
    if name == "artifact_path" and "/mpu/" in path:
        return str(values["artifact_path"]).rpartition("/")[0]
    if name == "name" and "mcp-servers" in path:
        return "com.example/tool"
    return str(values.get(name, "x1"))


def message(method: str, path: str, values: dict[str, object]) -> dict[str, object]:
    """The fields of the route's message that have a value, and those that it cannot be without."""
    descriptor = messages().get((method, shape(path)))
    in_path = set(_PARAMETER.findall(path))
    found: dict[str, object] = {}
    for part in descriptor.fields if descriptor else ():
        if part.name in in_path:  # the same as in the path, or the two would disagree
            found[part.name] = parameter(part.name, path, values)
            continue
        required = part.GetOptions().Extensions[databricks_pb2.validate_required]
        if part.name in values and part.message_type is None:
            found[part.name] = typed(part, values[part.name])
        elif required:
            found[part.name] = filler(part)
    return found


def typed(part: FieldDescriptor, value: object) -> object:
    """`value` as the field's type has it."""
    if part.enum_type is not None:
        return part.enum_type.values[-1].name
    if part.type in _WHOLE and not isinstance(value, int):
        return 1
    if part.type in (FieldDescriptor.TYPE_DOUBLE, FieldDescriptor.TYPE_FLOAT):
        return 0.5
    return str(value) if part.type in _TEXT and not isinstance(value, list) else value


def filler(part: FieldDescriptor) -> object:
    """Some value of the field's type."""
    value: object = {} if part.message_type else True if part.type == FieldDescriptor.TYPE_BOOL else typed(part, "x")
    return [value] if part.is_repeated else value


@cache
def messages() -> dict[tuple[str, str], Descriptor]:
    """The request messages by method and path shape, from the services' own annotations."""
    found: dict[tuple[str, str], Descriptor] = {}
    for service in (value for name, value in vars(handlers).items() if name.endswith("Service")):
        methods = getattr(getattr(service, "DESCRIPTOR", None), "methods", ())
        for call in methods:
            for endpoint in call.GetOptions().Extensions[databricks_pb2.rpc].endpoints:
                where = f"/{endpoint.since.major}.0{endpoint.path}"
                found[endpoint.method, shape(where)] = call.input_type
    return found


def shape(path: str) -> str:
    """`path` without its prefix and without the names of its parameters."""
    for prefix in ("/ajax-api", "/api"):
        path = path.removeprefix(prefix)
    return re.sub(r"\{\w+\*?\}|<(?:\w+:)?\w+>", "{}", path)


def more(path: str, at: Place) -> dict[str, object]:
    """Fields with a structure of their own, which nothing about the message tells."""
    location = {"type": "MLFLOW_EXPERIMENT", "mlflow_experiment": {"experiment_id": at.experiment}}
    trace = {"trace_id": at.trace, "trace_location": location, "request_time": "2026-01-01T00:00:00Z", "state": "OK"}
    fields: dict[str, dict[str, object]] = {
        "/experiments/search-datasets": {"experiment_ids": [at.experiment]},
        "/runs/create-promptlab-run": {"experiment_id": at.experiment, "run_name": "p", "model_route": "r"},
        "/runs/log-model": {"model_json": json.dumps({"run_id": at.run, "artifact_path": "model", "flavors": {}})},
        "/runs/outputs": {"models": [{"model_id": at.model_id, "step": 0}]},
        "/runs/log-batch": {"metrics": [{"key": "loss", "value": 0.5, "timestamp": 1_700_000_000_000, "step": 0}]},
        "/mlflow/traces": {"trace": {"trace_info": trace}} if "/3.0/" in path else {"timestamp_ms": 1_700_000_000_000},
        "/traces/search": {"locations": [location]},
        "/traces/metrics": {"view_type": "TRACES", "metric_name": "trace_count", "aggregations": [{"aggregation_type": "COUNT"}]},
        "/traces/link-prompts": {"prompt_versions": [{"name": at.model, "version": "1"}]},
        "/traces/calculate-filter-correlation": {"filter_string1": "name = 'a'", "filter_string2": "name = 'b'"},
        "/assessments": {"assessment": {"assessment_name": "good", "feedback": {"value": True}}},
        "/assessments/{assessment_id}": {"assessment": {"assessment_name": "good"}, "update_mask": "assessmentName"},
        "/scorers/online-config": {"experiment_id": at.experiment, "name": "s", "sample_rate": 0.5},
        "/scorers/online-configs": {"scorer_ids": ["x1"]},
        "/mcp-servers": {"name": "com.example/tool"},
    }
    return next((value for end, value in fields.items() if path.endswith(end)), {})


def other(method: str, path: str, at: Place) -> tuple[dict[str, str], object, dict[str, str]] | None:
    """Query, body and headers of the routes that take no message."""
    end = path.rpartition("/")[2]
    if path == "/get-artifact":
        return {"run_id": at.run, "run_uuid": at.run, "path": "note.txt"}, None, {}
    if path == "/model-versions/get-artifact":
        return {"name": at.model, "version": "1", "path": "MLmodel"}, None, {}
    if path == "/graphql":
        return {}, graphql(at), {}
    if path == "/v1/traces":
        return {}, b"", {"Content-Type": "application/x-protobuf", "x-mlflow-experiment-id": at.experiment}
    if "/mlflow-artifacts/artifacts" in path and method in ("PUT", "DELETE"):
        return {}, b"bytes" if method == "PUT" else None, {"Content-Type": "application/octet-stream"}
    if path.endswith("/mlflow-artifacts/artifacts"):
        return {"path": f"{at.experiment}/{at.run}/artifacts"}, None, {}
    if end == "upload-artifact":
        return {"run_uuid": at.run, "path": "up.txt"}, b"bytes", {"Content-Type": "application/octet-stream"}
    if end == "get-trace-artifact":
        return {"request_id": at.trace}, None, {}
    if path.endswith("/artifacts/presigned-upload-url"):
        return {}, {"run_id": at.run, "path": "note.txt"}, {}
    if "/mpu/complete/" in path:
        return {}, {"path": "note.txt", "upload_id": "u", "parts": [{"part_number": 1, "etag": "e"}]}, {}
    if path.endswith("/artifacts/files"):
        return {"artifact_file_path": "MLmodel"}, None, {}
    if end == "get-history-bulk":
        return {"run_id": at.run, "metric_key": "auc"}, None, {}
    if path.startswith("/api/2.0/mlflow/registry-webhooks/") or path.startswith("/api/2.0/permissions/"):
        return ({}, None, {}) if method in ("GET", "DELETE") else ({}, {}, {})
    fields = databricks(path, at)
    if fields is not None:
        in_query = method in ("GET", "DELETE")
        return (fields, None, {}) if in_query else ({}, fields, {})
    if end == "gateway-proxy":
        where = "api/2.0/endpoints/"
        return ({"gateway_path": where}, None, {}) if method == "GET" else ({}, {"gateway_path": where}, {})
    return None


def databricks(path: str, at: Place) -> dict[str, object] | None:
    """The parameters of a call of Databricks' registry that MLflow lacks."""
    version = {"name": at.model, "version": "1"}
    stage = version | {"stage": "Staging"}
    calls: dict[str, dict[str, object]] = {
        "comments/create": version | {"comment": "c"},
        "comments/update": {"id": "0" * 32, "comment": "c"},
        "comments/delete": {"id": "0" * 32},
        "databricks/model-versions/transition-stage": stage | {"archive_existing_versions": False},
        "databricks/registered-models/get": {"name": at.model},
        "registered-models/list": {"max_results": "5"},
        "transition-requests/approve": stage | {"archive_existing_versions": False},
        "transition-requests/create": stage,
        "transition-requests/delete": stage | {"creator": "ann@company.com"},
        "transition-requests/list": version,
        "transition-requests/reject": stage,
    }
    return calls.get(path.removeprefix("/api/2.0/mlflow/"))


def graphql(at: Place) -> dict[str, object]:
    """The query that the web page asks for an experiment."""
    return {
        "operationName": "MlflowGetExperimentQuery",
        "variables": {"input": {"experimentId": at.experiment}},
        "query": (
            'query MlflowGetExperimentQuery($input: MlflowGetExperimentInput!) @component(name: "MLflow.ExperimentRunTracking")'
            " { mlflowGetExperiment(input: $input) { apiError { code message __typename }"
            " experiment { experimentId name __typename } __typename } }"
        ),
    }

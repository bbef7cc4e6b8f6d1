"""Tags that nobody writes by hand, in every call that can carry one."""

from __future__ import annotations

from collections.abc import Iterator

from hostile.deeds import ON_MINE
from hostile.house import House
from hostile.sow import OWN_TAGS
from hostile.vector import AJAX, API, API3, JSON_TYPE, ROWS, VICTIM, Request, Twin, Vector, attack, call, each, get, post, raw

PROMPT_TAG = "mlflow.prompt.is_prompt"
PROTECTED = (
    "sekisho.stage",
    "sekisho.",
    "sekisho.anything.else",
    "model_hash",
    "stage_transition_history",
    "evidence.unit_test",
    "evidence.",
    "evidence.security_scan",
)
MODEL = {"name": "mine_a"}
VERSION = {"name": "mine_a", "version": "1"}


def tagged(key: str, value: str = "forged") -> list[dict[str, str]]:
    """A list of an ordinary tag and this one."""
    return [{"key": "plain", "value": "x"}, {"key": key, "value": value}]


def calls(key: str, value: str = "forged") -> dict[str, Request]:
    """Every call of the registry that sets tags."""
    source = {"source": "runs:/~spare~/model", "run_id": "~spare~"}
    return {
        "set on a model": post("registered-models/set-tag", **MODEL, key=key, value=value),
        "set on a version": post("model-versions/set-tag", **VERSION, key=key, value=value),
        "set by the page": post(f"{AJAX}model-versions/set-tag", **VERSION, key=key, value=value),
        "create a model with": post("registered-models/create", name="mine_new", tags=tagged(key, value)),
        "create a version with": post("model-versions/create", name="mine_a", **source, tags=tagged(key, value)),
    }


def protected() -> Iterator[Vector]:
    """By an engineer; what is sekisho's own also by an admin."""
    twins = {name: Twin("engineer", request) for name, request in calls("note2").items()}
    for key in PROTECTED:
        for name, request in calls(key).items():
            yield attack(f"{name} {key}", "engineer", request, twins[name])
            if not key.startswith("evidence."):
                yield attack(f"{name} {key} as admin", "admin", request, twins[name])
    for key in OWN_TAGS:
        model = call("DELETE", "registered-models/delete-tag", name="mine_tagged", key=key)
        version = call("DELETE", "model-versions/delete-tag", name="mine_tagged", version="1", key=key)
        for name, request in (("a model", model), ("a version", version)):
            yield attack(f"delete {key} of {name}", "engineer", request, ON_MINE["untag"].twin("engineer"))
            yield attack(
                f"set {key} of {name} anew",
                "engineer",
                request.by("POST").at(request.target.replace("delete-tag", "set-tag")).with_field("value", "x"),
                ON_MINE["tag"].twin("engineer"),
            )
            if not key.startswith("evidence."):
                yield attack(f"delete {key} of {name} as admin", "admin", request, ON_MINE["untag"].twin("engineer"))


def spelled() -> Iterator[Vector]:
    """Keys that become the same somewhere."""
    twin = ON_MINE["tag version"].twin("engineer")
    body = '{"name":"mine_a","version":"1","key":%s,"value":"forged"}'
    path = "model-versions/set-tag"
    for name, text in (
        ("escaped", r'"\u0073ekisho.stage"'),
        ("twice, the last counts", '"plain","key":"sekisho.stage"'),
        ("twice, one escaped", r'"plain","k\u0065y":"sekisho.stage"'),
        ("with a path of dots", '"sekisho./../stage"'),
    ):
        refuses = "MLflow refuses the key" if "dots" in name else ""
        yield attack(f"a protected key {name}", "engineer", raw("POST", path, (body % text).encode()), twin, refuses)
    listed = raw("POST", "registered-models/create", b'{"name":"mine_new","tags":[{"key":"plain","value":"x","key":"model_hash"}]}')
    yield attack("a protected key twice in a list", "engineer", listed, Twin("engineer", calls("note2")["create a model with"]))
    twice = raw("POST", "registered-models/create", b'{"name":"mine_new","tags":[],"tags":[{"key":"model_hash","value":"x"}]}')
    yield attack("a list of tags twice", "engineer", twice, Twin("engineer", calls("note2")["create a model with"]))


def prompts() -> Iterator[Vector]:
    """What makes a model a prompt, which hides it and its versions from every search."""
    twin = ON_MINE["tag"].twin("engineer")
    made = post("model-versions/create", name="mine_prompt", source="dummy-source", tags=tagged(PROMPT_TAG, "true"))
    for who in ("engineer", "scientist", "admin"):
        for name, request in calls(PROMPT_TAG, "true").items():
            if name != "create a model with":
                refuses = "a prompt has no files" if "create" in name else ""
                yield attack(f"{name} the prompt's tag as {who}", who, request, twin, refuses)
        for name, request in {
            "unmake a prompt": call("DELETE", "registered-models/delete-tag", name="mine_prompt", key=PROMPT_TAG),
            "unmake a prompt's version": call("DELETE", "model-versions/delete-tag", name="mine_prompt", version="1", key=PROMPT_TAG),
            "deny a prompt": post("registered-models/set-tag", name="mine_prompt", key=PROMPT_TAG, value="false"),
            "version of a model as a prompt's": post(
                "model-versions/create", name="mine_a", source="dummy-source", tags=tagged(PROMPT_TAG, "true")
            ),
        }.items():
            yield attack(f"{name} as {who}", who, request, Twin("engineer", made))


def kept_by_mlflow() -> Iterator[Vector]:
    """A logged model's list of registrations, and where a trace's data lie."""
    forged = '[{"name": "victim_model", "version": 1}]'
    key = "mlflow.modelVersions"
    patch = call("PATCH", "logged-models/~sparel~/tags", tags=[{"key": "plain", "value": "x"}])
    twin = Twin("engineer", patch)
    for name, request, refuses in (
        ("forge a registration", call("PATCH", "logged-models/~sparel~/tags", tags=[{"key": key, "value": forged}]), ""),
        ("forge a registration among others", call("PATCH", "logged-models/~sparel~/tags", tags=tagged(key, forged)), ""),
        ("forge a registration by the page", call("PATCH", f"{AJAX}logged-models/~sparel~/tags", tags=tagged(key, forged)), ""),
        ("forge a new model's registration", post("logged-models", experiment_id="~e~", name="new", tags=tagged(key, forged)), ""),
        ("erase the registrations", call("PATCH", "logged-models/~l1~/tags", tags=[{"key": key, "value": "[]"}]), ""),
        ("delete the registrations", Request("DELETE", f"{API}logged-models/~l1~/tags/{key}"), ""),
        ("delete the registrations, encoded", Request("DELETE", f"{API}logged-models/~l1~/tags/mlflow%2EmodelVersions"), ""),
        (
            "delete the registrations, encoded twice",
            Request("DELETE", f"{API}logged-models/~l1~/tags/mlflow%252EmodelVersions"),
            "MLflow decodes once",
        ),
        (
            "forge by an escaped key",
            raw("PATCH", "logged-models/~l1~/tags", rb'{"tags":[{"key":"mlflow.\u006dodelVersions","value":"[]"}]}'),
            "",
        ),
        (
            "forge by a key twice",
            raw("PATCH", "logged-models/~l1~/tags", b'{"tags":[{"key":"plain","value":"[]","key":"mlflow.modelVersions"}]}'),
            "",
        ),
    ):
        yield attack(
            name, "engineer", request, twin, refuses, own=ROWS, told="the write is answered as done, and what it changes is not the list"
        )
    where = {"key": "mlflow.artifactLocation", "value": "mlflow-artifacts:/~e~/models/~l1~/artifacts"}
    plain = Twin("engineer", call("PATCH", "traces/~trace~/tags", key="plain", value="no"))
    info = {
        "trace_id": "tr-" + "6e" * 16,
        "trace_location": {"type": "MLFLOW_EXPERIMENT", "mlflow_experiment": {"experiment_id": "~e~"}},
        "request_time": "2026-01-01T00:00:00Z",
        "state": "OK",
        "tags": {where["key"]: where["value"]},
    }
    twofold = "MLflow writes that tag itself, and fails on two"
    for name, request, refuses in (
        ("move a trace's data", call("PATCH", "traces/~trace~/tags", **where), ""),
        ("move a trace's data, third version", call("PATCH", f"{API3}traces/~trace~/tags", **where), ""),
        ("move a trace's data by the page", call("PATCH", "/ajax-api/3.0/mlflow/traces/~trace~/tags", **where), ""),
        (
            "move a trace's data by an escape",
            raw(
                "PATCH",
                f"{API3}traces/~trace~/tags",
                rb'{"key":"mlflow.artifact\u004cocation","value":"mlflow-artifacts:/~e~/models/~l1~/artifacts"}',
                JSON_TYPE,
            ),
            "",
        ),
        ("start a trace elsewhere", post(f"{API3}traces", trace={"trace_info": info}), twofold),
        (
            "start a trace at the victim's",
            (
                post(f"{API3}traces", trace={"trace_info": info}),
                get("/ajax-api/3.0/mlflow/get-trace-artifact", request_id=info["trace_id"], path="MLmodel"),
            ),
            twofold,
        ),
    ):
        yield attack(name, "engineer", request, plain, refuses, own=ROWS)
    elsewhere = post("experiments/create", name="elsewhere", artifact_location="mlflow-artifacts:/~e~/models/~l1~/artifacts")
    yield attack(
        "an experiment at the victim's files", "engineer", elsewhere, Twin("engineer", post("experiments/create", name="elsewhere"))
    )
    local = post("experiments/create", name="elsewhere", artifact_location="/etc")
    yield attack("an experiment on the host's disk", "engineer", local, Twin("engineer", post("experiments/create", name="elsewhere")))


def on_the_victim() -> Iterator[Vector]:
    """Evidence and tags on what is hidden."""
    for who in ("ci", "engineer", "deployer", "reader", "third"):
        for key in ("evidence.unit_test", "sekisho.stage", "plain", PROMPT_TAG):
            for name, request in (
                ("model", post("registered-models/set-tag", name=VICTIM, key=key, value="true")),
                ("version", post("model-versions/set-tag", name=VICTIM, version="1", key=key, value="true")),
            ):
                yield attack(f"{key} on the hidden {name} as {who}", who, request, ON_MINE["evidence"].twin("tester"))


VECTORS = [*protected(), *spelled(), *prompts(), *kept_by_mlflow(), *on_the_victim()]


@each(VECTORS)
def test_tags(house: House, kind: str, vector: Vector) -> None:
    """Nothing is gained."""
    house.withstands(vector, kind)

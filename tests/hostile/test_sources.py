"""Whose files a new version names: the victim's in every spelling, then read through one's own model."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from hostile.deeds import ON_MINE
from hostile.house import House
from hostile.vector import TAKEN, Request, Twin, Vector, attack, each, get, post

L1 = {"model_id": "~l1~"}
R2 = {"run_id": "~r2~"}
R3 = {"run_id": "~r3~"}
MINE = {"run_id": "~mine~"}
OWN = {"model_id": "~ownl~"}
FOREIGN = "MLflow wants the source inside the run's or logged model's files"
UNREAD = "MLflow does not resolve it"

DOTS = "MLflow refuses dot segments"

# The source, the ids beside it, and why MLflow refuses it.
SOURCES: dict[str, tuple[str, Mapping[str, str], str]] = {
    "a version": ("models:/victim_model/1", {}, ""),
    "a version with its run": ("models:/victim_model/1", {"run_id": "~r1~"}, ""),
    "a version with its logged model": ("models:/victim_model/1", L1, ""),
    "a version with my run": ("models:/victim_model/1", MINE, ""),
    "the version of a run": ("models:/victim_model/2", {}, ""),
    "the version of a copy": ("models:/victim_model/3", {}, ""),
    "the third person's copy": ("models:/a_third_copy/1", {}, ""),
    "an alias": ("models:/victim_model@champion", {}, ""),
    "latest": ("models:/victim_model/latest", {}, ""),
    "LATEST": ("models:/victim_model/LATEST", {}, ""),
    "latest as an alias": ("models:/victim_model@latest", {}, ""),
    "a stage": ("models:/victim_model/Staging", {}, ""),
    "a stage in small letters": ("models:/victim_model/staging", {}, ""),
    "three slashes": ("models:///victim_model/1", {}, ""),
    "two slashes": ("models://victim_model/1", {}, UNREAD),
    "capitals": ("MODELS:/victim_model/1", {}, ""),
    "a capital": ("Models:/victim_model/1", {}, ""),
    "a blank before": (" models:/victim_model/1", {}, ""),
    "a control before": ("\x01models:/victim_model/1", {}, ""),
    "a tab inside": ("mod\tels:/victim_model/1", {}, ""),
    "a line end inside": ("models:/victim_\nmodel/1", {}, ""),
    "a carriage return inside": ("models:\r/victim_model/1", {}, ""),
    "a zero before": ("models:/victim_model/01", {}, ""),
    "a plus": ("models:/victim_model/+1", {}, ""),
    "Arabic-Indic": ("models:/victim_model/\u0661", {}, ""),
    "full width": ("models:/victim_model/\uff11", {}, ""),
    "a query": ("models:/victim_model/1?x", {}, ""),
    "a fragment": ("models:/victim_model/1#x", {}, ""),
    "a parameter": ("models:/victim_model/1;x", {}, ""),
    "a slash behind": ("models:/victim_model/1/", {}, UNREAD),
    "a folder behind": ("models:/victim_model/1/data", {}, UNREAD),
    "a percent encoding": ("models:/%76ictim_model/1", {}, UNREAD),
    "mine and the victim's": ("models:/mine_a/../victim_model/1", {}, UNREAD),
    "the logged model": ("models:/~l1~", L1, ""),
    "the logged model without its id": ("models:/~l1~", {}, FOREIGN),
    "the logged model with my id": ("models:/~l1~", OWN, FOREIGN),
    "the logged model with my run": ("models:/~l1~", L1 | MINE, ""),
    "the run's folder": ("runs:/~r2~/model", R2, ""),
    "the run's folder with a slash": ("runs:/~r2~/model/", R2, ""),
    "the whole run": ("runs:/~r2~", R2, ""),
    "the whole run with a slash": ("runs:/~r2~/", R2, ""),
    "below the folder": ("runs:/~r2~/model/data", R2, ""),
    "the run without its id": ("runs:/~r2~/model", {}, FOREIGN),
    "the run with mine": ("runs:/~r2~/model", MINE, FOREIGN),
    "the run in capitals": ("RUNS:/~r2~/model", R2, ""),
    "the run with a dot segment": ("runs:/~r2~/./model", R2, DOTS),
    "the run with a dot-dot": ("runs:/~r2~/x/../model", R2, DOTS),
    "the run by an encoding": ("runs:/~r2~/mode%6c", R2, ""),
    "the run by two slashes": ("runs:/~r2~//model", R2, ""),
    "the run with a query": ("runs:/~r2~/model?x", R2, ""),
    "out of my run": ("runs:/~mine~/../~r2~/model", MINE, DOTS),
    "out of my run, encoded": ("runs:/~mine~/%2e%2e/~r2~/model", MINE, DOTS),
    "the place of the logged model": ("mlflow-artifacts:/~e~/models/~l1~/artifacts", L1, ""),
    "the place of the logged model, below": ("mlflow-artifacts:/~e~/models/~l1~/artifacts/data", L1, ""),
    "the place of the logged model with mine": ("mlflow-artifacts:/~e~/models/~l1~/artifacts", OWN, FOREIGN),
    "the place of the run": ("mlflow-artifacts:/~e~/~r2~/artifacts/model", R2, ""),
    "the place of the run with mine": ("mlflow-artifacts:/~e~/~r2~/artifacts/model", MINE, FOREIGN),
    "the place of the third run": ("mlflow-artifacts:/~e~/~r3~/artifacts/net", R3, ""),
    "the place above it": ("mlflow-artifacts:/~e~/~r3~/artifacts", R3, ""),
    "the place with a slash": ("mlflow-artifacts:/~e~/~r3~/artifacts/net/", R3, ""),
    "the place in capitals": ("MLFLOW-ARTIFACTS:/~e~/~r3~/artifacts/net", R3, ""),
    "the place with three slashes": ("mlflow-artifacts:///~e~/~r3~/artifacts/net", R3, ""),
    "the place with two slashes inside": ("mlflow-artifacts:/~e~/~r3~//artifacts/net", R3, ""),
    "the place with a dot segment": ("mlflow-artifacts:/~e~/./~r3~/artifacts/net", R3, DOTS),
    "the place by a host": ("mlflow-artifacts://127.0.0.1/~e~/~r3~/artifacts/net", R3, "MLflow wants its own host"),
    "out of my place": ("mlflow-artifacts:/~e~/~mine~/artifacts/../../~r3~/artifacts/net", MINE, FOREIGN),
    "out of my place, encoded": ("mlflow-artifacts:/~e~/~mine~/artifacts/%2e%2e/%2e%2e/~r3~/artifacts/net", MINE, FOREIGN),
    "out of my place, encoded twice": ("mlflow-artifacts:/~e~/~mine~/artifacts/%252e%252e/%252e%252e/~r3~/artifacts/net", MINE, FOREIGN),
    "the experiment": ("mlflow-artifacts:/~e~", R3, FOREIGN),
    "the root": ("mlflow-artifacts:/", R3, FOREIGN),
    "a bucket": ("s3://bucket/~e~/~r3~/artifacts/net", {}, ""),
    "a bucket with my run": ("s3://bucket/~e~/~r3~/artifacts/net", MINE, ""),
    "a bucket in capitals": ("S3://bucket/x", {}, ""),
    "another bucket": ("gs://bucket/x", {}, ""),
    "dbfs": ("dbfs:/x", {}, ""),
    "wasbs": ("wasbs://container@account.blob.core.windows.net/x", {}, ""),
    "an unknown scheme": ("foo:bar", {}, UNREAD),
    "an unknown scheme with a host": ("foo://bar/baz", {}, ""),
    "a file": ("file:///etc/passwd", MINE, FOREIGN),
    "a file without slashes": ("file:etc", MINE, FOREIGN),
    "an absolute path": ("/etc", MINE, FOREIGN),
    "a relative path": ("etc", MINE, FOREIGN),
    "a drive": ("c:/windows", MINE, ""),
    "a host": ("http://127.0.0.1/x", MINE, FOREIGN),
    "ftp": ("ftp://127.0.0.1/x", MINE, FOREIGN),
    "a prompt's word": ("dummy-source", {}, "MLflow wants the prompt's tag"),
    "nothing": ("", {}, "MLflow wants a source"),
}


def read_back(run: bool) -> tuple[Request, ...]:
    """What shows whose files it is: the version's file, its address, and the same by its folder."""
    where = {"name": "mine_a", "version": "3"}
    return (
        get("/model-versions/get-artifact", **where, path="MLmodel"),
        get("/model-versions/get-artifact", **where, path="model/MLmodel" if run else "data/weights.bin"),
        get("model-versions/get-download-uri", **where),
    )


def sources() -> Iterator[Vector]:
    """Each as the source of a new version of mine."""
    twin = ON_MINE["new version"].twin("engineer")
    for name, (source, ids, refuses) in SOURCES.items():
        request = post("model-versions/create", name="mine_a", source=source, **ids)
        told = TAKEN if "~" in source else ""  # a name that may not be read is refused whether it is there or not
        yield attack(name, "engineer", (request, *read_back("run" in name)), twin, refuses, told=told)


def by_others() -> Iterator[Vector]:
    """The plain forms, by those who lack something else."""
    for who in ("scientist", "patterns", "reader", "deployer", "ci", "unclaimed", "no token"):
        for name in (
            "a version",
            "an alias",
            "the logged model",
            "the run's folder",
            "the place of the third run",
            "the third person's copy",
        ):
            source, ids, _ = SOURCES[name]
            request = post("model-versions/create", name="mine_a", source=source, **ids)
            yield attack(f"{name} as {who}", who, (request, *read_back("run" in name)), ON_MINE["new version"].twin("engineer"), told=TAKEN)


def as_a_prompt() -> Iterator[Vector]:
    """A prompt's tag on a version, which would hide mine or take files along."""
    tags = [{"key": "mlflow.prompt.is_prompt", "value": "true"}]
    twin = Twin("engineer", post("model-versions/create", name="mine_prompt", source="dummy-source", tags=tags))
    for name, fields in {
        "a prompt's version of a model": {"source": "dummy-source"},
        "a prompt's version of a model, by template": {"source": "prompt-template"},
        "a prompt's version with the victim's run": {"source": "runs:/~r2~/model", **R2},
        "a prompt's version with the victim's logged model": {"source": "dummy-source", **L1},
    }.items():
        request = post("model-versions/create", name="mine_a", tags=tags, **fields)
        yield attack(name, "engineer", request, twin, "a prompt has no files" if "run_id" in fields else "", told=TAKEN)


def forged_registrations() -> Iterator[Vector]:
    """The logged model's tag says that it is registered as mine."""
    listed = '[{"name": "mine_a", "version": 1}]'
    request = post("model-versions/create", name="mine_a", source="models:/~l1~", **L1)
    forge = Request(
        "PATCH",
        "/api/2.0/mlflow/logged-models/~l1~/tags",
        post("x", tags=[{"key": "mlflow.modelVersions", "value": listed}]).body,
        ("Content-Type: application/json",),
    )
    twin = ON_MINE["new version"].twin("engineer")
    yield attack("after forging the list of registrations", "engineer", (forge, request, *read_back(False)), twin, told=TAKEN)
    bare_id = post("model-versions/create", name="mine_a", source="runs:/~spare~/model", run_id="~spare~", **L1)
    yield attack("my run with the victim's logged model", "engineer", (bare_id, *read_back(True)), twin, FOREIGN, told=TAKEN)


VECTORS = [*sources(), *by_others(), *as_a_prompt(), *forged_registrations()]


@each(VECTORS)
def test_sources(house: House, kind: str, vector: Vector) -> None:
    """Nothing is gained."""
    house.withstands(vector, kind)

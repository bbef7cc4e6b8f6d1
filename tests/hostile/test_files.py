"""The files of hidden versions, by every address that leads to them: read, listed, written over, added to, deleted."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from urllib.parse import quote

import pytest
from harness.rest import send_raw
from hostile.deeds import FREE_FILE
from hostile.house import NOBODY, House, as_json
from hostile.vector import AJAX, API, BINARY_TYPE, FILES, LINEAGE, ROWS, TAKEN, VICTIM, Request, Twin, Vector, attack, call, each, post

AJAX_FILES = "/ajax-api/2.0/mlflow-artifacts/artifacts"
# The places of the hidden versions' files: of a logged model, of a run's folder, of another folder.
PLACES = {"logged model": "~e~/models/~l1~/artifacts", "run": "~e~/~r2~/artifacts/model", "place": "~e~/~r3~/artifacts/net"}
FREE = "~e~/~spare~/artifacts"
OTHERS = (NOBODY, "scientist", "reader", "deployer", "ci", "patterns", "unclaimed", "nobody", "auditor")
UNREAD = "MLflow does not find it"
REFUSED = "MLflow refuses the path"
FEW = ("plainly", "an encoded letter", "encoded twice", "a dot segment", "two slashes inside", "a blank in front")
# What MLflow refuses at one door and takes at another.
BY_PATH = {"a line end inside": "FastAPI's router takes no line end"}
BELOW_A_MODEL = {"a blank in front": UNREAD, "a control in front": UNREAD}
ON_WRITING = BY_PATH | dict.fromkeys(("a dot segment", "an encoded dot segment", "a dot segment in front"), REFUSED)
CLOUD = "MLflow can do it only with a store in a cloud"


def spellings() -> dict[str, tuple[Callable[[str], str], str]]:
    """How a path below the artifact root is written in a URL, and why MLflow does not take it, if it does not."""

    def again(path: str, times: int) -> str:
        head, slash, last = path.rpartition("/")
        letter = f"%{ord(last[0]):02x}"
        for _ in range(times):
            letter = letter.replace("%", "%25")
        return f"{head}{slash}{letter}{last[1:]}"

    def before_last(path: str, text: str) -> str:
        head, _, last = path.rpartition("/")
        return f"{head}/{text}{last}"

    return {
        "plainly": (lambda p: p, ""),
        "an encoded letter": (lambda p: again(p, 0), ""),
        "encoded twice": (lambda p: again(p, 1), ""),
        "encoded three times": (lambda p: again(p, 2), ""),
        "encoded nine times": (lambda p: again(p, 8), ""),
        "encoded slashes": (lambda p: p.replace("/", "%2F"), ""),
        "slashes encoded twice": (lambda p: p.replace("/", "%252F"), ""),
        "a dot segment": (lambda p: before_last(p, "./"), ""),
        "an encoded dot segment": (lambda p: before_last(p, "%2e/"), ""),
        "a dot segment in front": (lambda p: "./" + p, ""),
        "two slashes inside": (lambda p: before_last(p, "/"), ""),
        "a question mark behind": (lambda p: p + "%3F", ""),
        "a question mark and more": (lambda p: p + "%3Fx", UNREAD),
        "a fragment behind": (lambda p: p + "%23", ""),
        "a parameter behind": (lambda p: p + "%3B", ""),
        "a parameter": (lambda p: p + ";x", UNREAD),
        "a blank in front": (lambda p: "%20" + p, ""),
        "a control in front": (lambda p: "%01" + p, ""),
        "a tab inside": (lambda p: before_last(p, "%09"), ""),
        "a line end inside": (lambda p: before_last(p, "%0A"), ""),
        "a carriage return inside": (lambda p: before_last(p, "%0D"), ""),
        "a NUL behind": (lambda p: p + "%00", UNREAD),
        "a dot-dot segment": (lambda p: before_last(p, "x/../"), REFUSED),
        "an encoded dot-dot segment": (lambda p: before_last(p, "x/%2e%2e/"), REFUSED),
        "a dot-dot segment encoded twice": (lambda p: before_last(p, "x/%252e%252e/"), REFUSED),
        "backslashes": (lambda p: p.replace("/", "%5C"), UNREAD),
        "a slash in front": (lambda p: "/" + p, REFUSED),
        "an encoded slash in front": (lambda p: "%2F" + p, REFUSED),
        "a file's scheme": (lambda p: "file:" + p, REFUSED),
        "a file's scheme, capitals": (lambda p: "FILE:" + p, REFUSED),
        "another scheme": (lambda p: "http:" + p, UNREAD),
        "full-width letters": (lambda p: p[:-1] + quote(chr(ord(p[-1]) + 0xFEE0)), UNREAD),
        "a slash of full width": (lambda p: quote("／").join(p.rsplit("/", 1)), UNREAD),
        "an overlong slash": (lambda p: "%c0%af".join(p.rsplit("/", 1)), UNREAD),
        "a soft hyphen": (lambda p: before_last(p, "%C2%AD"), UNREAD),
    }


def reading(path: str, who: str = "owner") -> Twin:
    """Reading it plainly, by somebody who may."""
    return Twin(who, Request("GET", f"{FILES}/{path}"))


def read_by_path() -> Iterator[Vector]:
    """By the path below the artifact root."""
    for kind, place in PLACES.items():
        path = f"{place}/MLmodel"
        for name, (spell, refuses) in spellings().items():
            if kind == "logged model" or name in FEW:
                refuses = BY_PATH.get(name, refuses)
                yield attack(
                    f"read the {kind}'s: {name}", "engineer", Request("GET", f"{FILES}/{spell(path)}"), reading(path), refuses, told=TAKEN
                )
        for who in OTHERS:
            yield attack(f"read the {kind}'s as {who}", who, Request("GET", f"{FILES}/{path}"), reading(path), told=TAKEN)
        for name, request in {
            "the page's prefix": Request("GET", f"{AJAX_FILES}/{path}"),
            "two slashes": Request("GET", f"/{FILES}/{path}"),
            "small letters": Request("get", f"{FILES}/{path}"),
            "HEAD": Request("HEAD", f"{FILES}/{path}"),
            "a part": Request("GET", f"{FILES}/{path}", None, ("Range: bytes=0-60",)),
            "several parts": Request("GET", f"{FILES}/{path}", None, ("Range: bytes=0-40,41-80",)),
            "a condition": Request("GET", f"{FILES}/{path}", None, ("If-None-Match: *",)),
            "a query": Request("GET", f"{FILES}/{path}?path=mine"),
            "deeper": Request("GET", f"{FILES}/{place}/data/weights.bin"),
        }.items():
            twin = reading(f"{place}/data/weights.bin" if name == "deeper" else path)
            yield attack(f"read the {kind}'s by {name}", "engineer", request, twin, told="" if name == "HEAD" else TAKEN)
    for kind in ("run", "place"):
        path = f"{PLACES[kind]}/MLmodel"
        yield attack(
            f"read the {kind}'s, which another copy does not open",
            "third",
            Request("GET", f"{FILES}/{path}"),
            reading(f"{PLACES['logged model']}/MLmodel", "third"),
            told=TAKEN,
        )


def read_by_name() -> Iterator[Vector]:
    """By a run, a logged model or a version."""
    run = "/get-artifact?run_id=~r2~&path="
    twin = Twin("owner", Request("GET", run + "model/MLmodel"))
    for name, (spell, refuses) in spellings().items():
        yield attack(f"get-artifact: {name}", "engineer", Request("GET", run + spell("model/MLmodel")), twin, refuses, told=TAKEN)
    for name, query, refuses in (
        ("run_uuid", "run_uuid=~r2~&path=model/MLmodel", ""),
        ("both", "run_id=~r2~&run_uuid=~r2~&path=model/MLmodel", ""),
        ("run_uuid of mine", "run_id=~r2~&run_uuid=~mine~&path=model/MLmodel", ""),
        ("run_id of mine", "run_id=~mine~&run_uuid=~r2~&path=model/MLmodel", "run_id counts, and it is mine"),
        ("two run_ids", "run_id=~r2~&run_id=~mine~&path=model/MLmodel", ""),
        ("two paths", "run_id=~r2~&path=model/MLmodel&path=plot.txt", ""),
        ("runId", "runId=~r2~&path=model/MLmodel", "MLflow wants run_id"),
        ("an encoded name", "run%5Fid=~r2~&path=model/MLmodel", ""),
        ("out of my run", "run_id=~mine~&path=../../~r2~/artifacts/model/MLmodel", REFUSED),
        ("the third run", "run_id=~r3~&path=net/MLmodel", ""),
    ):
        other = Twin("owner", Request("GET", "/get-artifact?run_id=~r3~&path=net/MLmodel")) if name == "the third run" else twin
        yield attack(f"get-artifact by {name}", "engineer", Request("GET", f"/get-artifact?{query}"), other, refuses, told=TAKEN, own=ROWS)
    for who in OTHERS:
        yield attack(f"get-artifact as {who}", who, twin.request, twin, told=TAKEN)
    for name, request in {
        "two slashes": Request("GET", "/" + twin.request.target),
        "small letters": Request("get", twin.request.target),
        "HEAD": Request("HEAD", twin.request.target),
    }.items():
        yield attack(f"get-artifact by {name}", "engineer", request, twin, told="" if name == "HEAD" else TAKEN)
    logged = f"{AJAX}logged-models/~l1~/artifacts/files?artifact_file_path="
    twin = Twin("owner", Request("GET", logged + "MLmodel"))
    for name, (spell, refuses) in spellings().items():
        if name not in ("a dot segment in front", "a NUL behind"):
            refuses = BELOW_A_MODEL.get(name, refuses)
            told = "" if name in ("a line end inside", "a carriage return inside") else TAKEN  # MLflow fails on what it finds
            yield attack(
                f"logged model's file: {name}", "engineer", Request("GET", logged + spell("data/weights.bin")), twin, refuses, told=told
            )
    for who in OTHERS:
        yield attack(f"logged model's file as {who}", who, twin.request, twin, told=TAKEN)


def listed() -> Iterator[Vector]:
    """Which files there are."""
    for name, target, refuses in (
        ("the logged model's folder", f"{FILES}?path=~e~/models/~l1~/artifacts", ""),
        ("the logged model's inner folder", f"{FILES}?path=~e~/models/~l1~/artifacts/data", ""),
        ("the run's folder", f"{FILES}?path=~e~/~r2~/artifacts/model", ""),
        ("the run's folder by the page", f"{AJAX_FILES}?path=~e~/~r2~/artifacts/model", ""),
        ("the run's folder, encoded", f"{FILES}?path=~e~%2F~r2~%2Fartifacts%2Fmod%65l", ""),
        ("the run's folder, encoded twice", f"{FILES}?path=~e~/~r2~/artifacts/mod%2565l", ""),
        ("the run's folder with a slash", f"{FILES}?path=~e~/~r2~/artifacts/model/", ""),
        ("the run's folder with a dot", f"{FILES}?path=~e~/~r2~/artifacts/./model", ""),
        ("the run's folder by two slashes", f"/{FILES}?path=~e~/~r2~/artifacts/model", ""),
        ("the run by its id", f"{API}artifacts/list?run_id=~r2~&path=model", ""),
        ("the run by its uuid", f"{API}artifacts/list?run_uuid=~r2~&path=model", ""),
        ("the run by the page", f"{AJAX}artifacts/list?run_id=~r2~&path=model", ""),
        ("the run by both", f"{API}artifacts/list?run_id=~r2~&run_uuid=~mine~&path=model", ""),
        ("the logged model by its id", f"{API}logged-models/~l1~/artifacts/directories", ""),
        ("the logged model by its id, below", f"{API}logged-models/~l1~/artifacts/directories?artifact_directory_path=data", ""),
        ("the logged model by the page", f"{AJAX}logged-models/~l1~/artifacts/directories", ""),
    ):
        twin = Twin("owner", Request("GET", f"{FILES}?path=~e~/~r2~/artifacts/model"))
        yield attack(f"list {name}", "engineer", Request("GET", target), twin, refuses, told=TAKEN)
    for who in OTHERS:
        yield attack(
            f"list as {who}",
            who,
            Request("GET", f"{FILES}?path=~e~/models/~l1~/artifacts"),
            reading(f"{PLACES['logged model']}/MLmodel"),
            told=TAKEN,
        )


def presigned() -> Iterator[Vector]:
    """Addresses that open files elsewhere; this MLflow has a local store and no such thing."""
    place = f"{PLACES['logged model']}/MLmodel"
    for name, request in {
        "presigned": Request("GET", f"/api/2.0/mlflow-artifacts/presigned/{place}"),
        "presigned by the page": Request("GET", f"/ajax-api/2.0/mlflow-artifacts/presigned/{place}"),
        "presigned download": post("artifacts/presigned-download-url", run_id="~r2~", path="model/MLmodel"),
        "presigned upload": post("artifacts/presigned-upload-url", run_id="~r2~", path="model/MLmodel"),
        "presigned upload to the logged model": post("artifacts/presigned-upload-url", model_id="~l1~", path="MLmodel"),
        "multipart": post(f"/api/2.0/mlflow-artifacts/mpu/create/{PLACES['logged model']}", path="MLmodel", num_parts=1),
        "multipart from above": post("/api/2.0/mlflow-artifacts/mpu/create/~e~", path="models/~l1~/artifacts/MLmodel", num_parts=1),
        "multipart end": post(
            f"/api/2.0/mlflow-artifacts/mpu/complete/{PLACES['logged model']}",
            path="MLmodel",
            upload_id="u",
            parts=[{"part_number": 1, "etag": "e"}],
        ),
        "multipart stop": post(f"/api/2.0/mlflow-artifacts/mpu/abort/{PLACES['logged model']}", path="MLmodel", upload_id="u"),
    }.items():
        yield attack(name, "engineer", request, FREE_FILE, CLOUD, told=TAKEN)


def put(path: str, body: bytes = b"taken", root: str = FILES) -> Request:
    """An upload."""
    return Request("PUT", f"{root}/{path}", body, (BINARY_TYPE,))


def written() -> Iterator[Vector]:
    """Over what is there, and beside it."""
    for kind, place in PLACES.items():
        twin = Twin("owner", put(f"{place}/MLmodel", b"new"))
        for name, (spell, refuses) in spellings().items():
            if refuses == UNREAD and name != "another scheme":
                refuses = ""  # what is not there to be read is made
            elsewhere = name in ("backslashes", "an overlong slash", "a slash of full width", "a NUL behind")
            if (kind == "logged model" or name in FEW) and not elsewhere:
                refuses = ON_WRITING.get(name, refuses)
                yield attack(f"write the {kind}'s: {name}", "engineer", put(spell(f"{place}/MLmodel")), twin, refuses, told=TAKEN)
        for who in (*OTHERS, "third"):
            yield attack(f"write the {kind}'s as {who}", who, put(f"{place}/MLmodel"), twin, told=TAKEN)
        yield attack(f"write the {kind}'s by the page", "engineer", put(f"{place}/MLmodel", root=AJAX_FILES), twin, told=TAKEN)
        yield attack(f"write the {kind}'s by two slashes", "engineer", put(f"{place}/MLmodel", root="/" + FILES), twin, told=TAKEN)
        yield attack(f"write the {kind}'s in small letters", "engineer", put(f"{place}/MLmodel").by("put"), twin, told=TAKEN)
        yield attack(f"add to the {kind}'s", "engineer", put(f"{place}/evil.py"), Twin("owner", put(f"{place}/more.py")), told=TAKEN)
        yield attack(
            f"add below the {kind}'s", "engineer", put(f"{place}/data/deep/evil.py"), Twin("owner", put(f"{place}/more.py")), told=TAKEN
        )
        yield attack(f"empty the {kind}'s", "engineer", put(f"{place}/MLmodel", b""), twin, told=TAKEN)
        chunked = Request("PUT", f"{FILES}/{place}/MLmodel", b"5\r\ntaken\r\n0\r\n\r\n", (BINARY_TYPE, "Transfer-Encoding: chunked"))
        yield attack(f"write the {kind}'s in chunks", "engineer", chunked, twin, told=TAKEN)
    small = f"{AJAX}upload-artifact"
    twin = Twin("owner", Request("POST", f"{small}?run_uuid=~r2~&path=model/MLmodel", b"new", (BINARY_TYPE,)))
    for name, query, refuses in (
        ("over it", "run_uuid=~r2~&path=model/MLmodel", ""),
        ("beside it", "run_uuid=~r2~&path=model/evil.py", ""),
        ("below it", "run_uuid=~r2~&path=model/data/deep/evil.py", ""),
        ("into the third", "run_uuid=~r3~&path=net/MLmodel", ""),
        ("run_id of mine", "run_id=~mine~&run_uuid=~r2~&path=model/MLmodel", ""),
        ("run_uuid of mine", "run_id=~r2~&run_uuid=~mine~&path=model/MLmodel", "run_uuid counts, and it is mine"),
        ("two run_uuids", "run_uuid=~r2~&run_uuid=~mine~&path=model/MLmodel", ""),
        ("two paths", "run_uuid=~r2~&path=model/MLmodel&path=plot.txt", ""),
        ("a dot segment", "run_uuid=~r2~&path=./model/MLmodel", REFUSED),
        ("encoded twice", "run_uuid=~r2~&path=model/%254Dlmodel", ""),
        ("out of my run", "run_uuid=~mine~&path=../../~r2~/artifacts/model/MLmodel", REFUSED),
    ):
        yield attack(
            f"upload {name}", "engineer", Request("POST", f"{small}?{query}", b"taken", (BINARY_TYPE,)), twin, refuses, told=TAKEN, own=ROWS
        )
    for who in (*OTHERS, "third"):
        yield attack(
            f"upload as {who}",
            who,
            Request("POST", f"{small}?run_uuid=~r2~&path=model/MLmodel", b"taken", (BINARY_TYPE,)),
            twin,
            told=TAKEN,
        )


def deleted() -> Iterator[Vector]:
    """A file, a folder, and everything above it."""
    for kind, place in PLACES.items():
        twin = Twin("owner", Request("DELETE", f"{FILES}/{place}/MLmodel"))
        for who in ("engineer", "third", *OTHERS):
            yield attack(f"delete the {kind}'s as {who}", who, Request("DELETE", f"{FILES}/{place}/MLmodel"), twin, told=TAKEN)
        for name, request in {
            "inner folder": Request("DELETE", f"{FILES}/{place}/data"),
            "folder": Request("DELETE", f"{FILES}/{place}"),
            "folder by the page": Request("DELETE", f"{AJAX_FILES}/{place}"),
            "folder, encoded": Request("DELETE", f"{FILES}/{place[:-1]}%{ord(place[-1]):02x}"),
            "folder, encoded twice": Request("DELETE", f"{FILES}/{place[:-1]}%25{ord(place[-1]):02x}"),
            "folder with a slash": Request("DELETE", f"{FILES}/{place}/"),
            "folder with a dot": Request("DELETE", f"{FILES}/./{place}"),
            "folder by two slashes": Request("DELETE", f"/{FILES}/{place}"),
            "folder in small letters": Request("delete", f"{FILES}/{place}"),
            "folder with a question mark": Request("DELETE", f"{FILES}/{place}%3F"),
        }.items():
            yield attack(f"delete the {kind}'s {name}", "engineer", request, twin, told=TAKEN)
    free = Twin("engineer", Request("DELETE", f"{FILES}/{FREE}/plot.txt"))
    for name, path in {
        "the logged model's whole folder": "~e~/models/~l1~",
        "all logged models": "~e~/models",
        "the run's artifacts": "~e~/~r2~/artifacts",
        "the run's whole folder": "~e~/~r2~",
        "the third run's artifacts": "~e~/~r3~/artifacts",
        "all of the experiment": "~e~",
        "the experiment with a dot": "./~e~",
        "the experiment, encoded": "~e~%3F",
    }.items():
        for who in ("engineer", "third"):
            yield attack(f"delete {name} as {who}", who, Request("DELETE", f"{FILES}/{path}"), free, told=TAKEN)
    yield attack("delete all", "engineer", Request("DELETE", FILES + "/"), free, "MLflow wants a path")
    yield attack("delete all by a dot", "engineer", Request("DELETE", FILES + "/."), free, told=TAKEN)


def indirect() -> Iterator[Vector]:
    """What the files hang on: the run and the logged model."""
    status = {"status": "LOGGED_MODEL_UPLOAD_FAILED"}
    logged = "logged-models/~l1~"
    own = call("PATCH", "logged-models/~sparel~", model_id="~sparel~", **status)
    for name, request, twin in (
        ("end the logged model", call("PATCH", logged, model_id="~l1~", **status), own),
        ("end the logged model by another path", call("PATCH", "logged-models/~ownl~", model_id="~l1~", **status), own),
        ("end the logged model by modelId", call("PATCH", "logged-models/~ownl~", modelId="~l1~", **status), own),
        ("delete the logged model", Request("DELETE", API + logged), Request("DELETE", API + "logged-models/~sparel~")),
        ("delete the logged model by the page", Request("DELETE", AJAX + logged), Request("DELETE", API + "logged-models/~sparel~")),
        ("delete the run", post("runs/delete", run_id="~r2~"), post("runs/delete", run_id="~spare~")),
        ("delete the third run", post("runs/delete", run_id="~r3~"), post("runs/delete", run_id="~spare~")),
        ("delete the logged model's run", post("runs/delete", run_id="~r1~"), post("runs/delete", run_id="~spare~")),
        ("delete the experiment", post("experiments/delete", experiment_id="~e~"), post("runs/delete", run_id="~spare~")),
    ):
        for who in ("engineer", "third", "unclaimed"):
            refuses = "MLflow misses the required name" if "modelId" in name else ""
            yield attack(f"{name} as {who}", who, request, Twin("engineer", twin), refuses, told=TAKEN)


def detours() -> Iterator[Vector]:
    """Something of mine is first made to look as if the files were its own; then they are read and written over."""
    version = {"name": "mine_a", "source": "models:/mine_a/1"}
    prompt = {"name": "mine_prompt", "source": "dummy-source", "tags": [{"key": "mlflow.prompt.is_prompt", "value": "true"}]}
    listed = [{"key": "mlflow.modelVersions", "value": '[{"name": "mine_a", "version": 1}]'}]
    firsts: dict[str, tuple[Request, ...]] = {
        "a copy of mine with the run": (post("model-versions/create", **version, run_id="~r2~"),),
        "a copy of mine with the logged model": (post("model-versions/create", **version, model_id="~l1~"),),
        "a prompt's version with the run": (post("model-versions/create", **prompt, run_id="~r2~"),),
        "a new prompt's version with the run": (
            post("registered-models/create", name="mine_prompt2", tags=prompt["tags"]),
            post("model-versions/create", **prompt | {"name": "mine_prompt2"}, run_id="~r2~"),
        ),
        "a logged model of the run": (post("logged-models", experiment_id="~e~", name="model", source_run_id="~r2~"),),
        "the list of registrations": (call("PATCH", "logged-models/~l1~/tags", tags=listed),),
        "an output of my run": (post("runs/outputs", run_id="~mine~", models=[{"model_id": "~l1~", "step": 0}]),),
        "an input of my run": (post("runs/log-inputs", run_id="~mine~", models=[{"model_id": "~l1~"}]),),
        "an output of the run": (post("runs/outputs", run_id="~r2~", models=[{"model_id": "~ownl~", "step": 0}]),),
        "a tag of the run": (post("runs/set-tag", run_id="~r2~", key="mlflow.parentRunId", value="~mine~"),),
        "a model of the run": (
            post("runs/log-model", run_id="~mine~", model_json='{"run_id": "~mine~", "artifact_path": "model", "model_uuid": "~l1~"}'),
        ),
    }
    for name, first in firsts.items():
        for kind, place in PLACES.items():
            path = f"{place}/MLmodel"
            read = Request("GET", f"{FILES}/{path}")
            yield attack(f"read the {kind}'s after {name}", "engineer", (*first, read), reading(path), own=LINEAGE, told=TAKEN)
            changing = (*first, put(path), Request("DELETE", f"{FILES}/{place}"))
            twin = Twin("owner", put(path, b"new"))
            yield attack(f"change the {kind}'s after {name}", "engineer", changing, twin, own=LINEAGE, told=TAKEN)


VECTORS = [*detours(), *read_by_path(), *read_by_name(), *listed(), *presigned(), *written(), *deleted(), *indirect()]


@each(VECTORS)
def test_files(house: House, kind: str, vector: Vector) -> None:
    """Nothing is gained."""
    house.withstands(vector, kind)


ABSENT = "absence"
READS = {
    "path": f"{FILES}/~e~/models/~l1~/artifacts/NAME",
    "the page's path": f"{AJAX_FILES}/~e~/~r2~/artifacts/model/NAME",
    "get-artifact": "/get-artifact?run_id=~r2~&path=model/NAME",
    "version": f"/model-versions/get-artifact?name={VICTIM}&version=1&path=NAME",
    "logged model": f"{AJAX}logged-models/~l1~/artifacts/files?artifact_file_path=NAME",
    "listing": f"{FILES}?path=~e~/models/~l1~/artifacts/NAME",
    "run's listing": f"{API}artifacts/list?run_id=~r2~&path=model/NAME",
}


@pytest.mark.parametrize("way", READS)
@pytest.mark.parametrize("who", ["engineer", "reader", "unclaimed"])
def test_a_hidden_file_is_like_none_beside_it(house: House, way: str, who: str) -> None:
    """Of what lies in a hidden version, nothing tells which files there are."""
    token = house.tokens[who]
    name = "data" if "listing" in way else "MLmodel"
    there, absent = (
        house.plain(send_raw(house.gated.url, Request("GET", READS[way].replace("NAME", word)).message(house.words, token))).replace(
            word, "NAME"
        )
        for word in (name, ABSENT[: len(name)])
    )
    assert there == absent


@pytest.mark.parametrize("place", PLACES.values())
def test_a_copy_does_not_lock_the_owner_out(house: House, place: str) -> None:
    """There is a third person's copy of the first version; the owner still reads, writes and deletes."""
    for request in (Request("GET", f"{FILES}/{place}/MLmodel"), put(f"{place}/MLmodel", b"newer"), Request("DELETE", f"{FILES}/{place}")):
        assert house.twin_works(Twin("owner", request)) == ""


def test_no_logged_model_takes_the_place_of_a_runs_folder(house: House) -> None:
    """The plain client loads `runs:/RUN/NAME` from the run's logged model of that name, whoever made it, and whenever."""
    engineer = house.tokens["engineer"]
    made = post("logged-models", experiment_id="~e~", name="model", source_run_id="~r2~")
    answer = send_raw(house.gated.url, made.message(house.words, engineer))
    if answer.status == 200:
        place = as_json(answer)["model"]["info"]["artifact_uri"].partition(":/")[2]
        answer = send_raw(house.gated.url, put(f"{place}/MLmodel").message(house.words, engineer))
    house.gated.send([], None)
    assert 400 <= answer.status < 405, answer


def test_registering_gives_the_files_to_the_model(house: House) -> None:
    """Free files are anybody's who may write to the experiment, until a version has them."""
    owner, engineer = house.tokens["owner"], house.tokens["engineer"]
    target = f"{FILES}/{FREE}/model/MLmodel"
    register = post("model-versions/create", name=VICTIM, source="runs:/~spare~/model", run_id="~spare~")
    steps = [
        (engineer, put(f"{FREE}/model/MLmodel", b"mine")),
        (owner, register),
        (engineer, put(f"{FREE}/model/MLmodel", b"taken")),
        (engineer, Request("GET", target)),
    ]
    answers = [send_raw(house.gated.url, step.message(house.words, token)) for token, step in steps]
    house.gated.send([], None)
    assert [answer.status for answer in answers][:2] == [200, 200]
    assert all(400 <= answer.status < 405 for answer in answers[2:]), answers[2:]

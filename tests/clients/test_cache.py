"""Reads from memory: who may see is decided on each, what was written through the gate is seen by whoever asks later."""

from __future__ import annotations

import json
import random
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from urllib.parse import quote

import pytest
from conftest import LOGS
from harness.mlflow_server import MlflowServer
from harness.rest import Answer, send
from harness.sekisho import Sekisho
from ruled import API, GOOD, OPEN_STAGES, Ruled, put_rules, until

AJAX = "/ajax-api/2.0/mlflow/"
MODEL = "fraud_detection_neural_network_f1score_staging"
OTHER = "fraud_detection_neural_network_f1score_dev"
SAYS = "x-sekisho-cache"
# The last that sekisho writes by itself of a new version.
DIGEST = "sekisho.dependencies"


@pytest.fixture(scope="module")
def server() -> Iterator[MlflowServer]:
    with MlflowServer(LOGS, workers=2) as running:
        yield running


@pytest.fixture(scope="module")
def here(server: MlflowServer) -> Iterator[Ruled]:
    """Rules in force, every transition free."""
    with gate(server) as running:
        yield running


@contextmanager
def gate(server: MlflowServer, **cache: int) -> Iterator[Ruled]:
    settings = {"rules": {"mode": "enforce"}, "cache": cache, "limits": {"requests_per_second": 0}, "audit": {"reads": "aggregate"}}
    sekisho = Sekisho(server.url, LOGS, settings=settings)
    put_rules(sekisho, {})
    (sekisho.folder / "policies" / "stages.toml").write_text(OPEN_STAGES)
    with sekisho:
        yield Ruled(sekisho, server)


@pytest.fixture(scope="module")
def ann(here: Ruled) -> str:
    return here.token()


@pytest.fixture
def version(here: Ruled, ann: str) -> str:
    """A version that came through the gate."""
    return register(here, ann, MODEL)


def register(here: Ruled, token: str, model: str) -> str:
    send(here.url, "POST", f"{API}registered-models/create", token, {"name": model})
    made = here.ask(token, "POST", f"{API}model-versions/create", {"name": model, "tags": tags(), **here.files()})
    assert made.status == 200, made.body
    version = made.json()["model_version"]["version"]
    # sekisho's own write, after which there is none.
    until(lambda: DIGEST in here.held(model, version)[1])
    return version


def tags() -> list[dict[str, str]]:
    return [{"key": key, "value": value} for key, value in GOOD.items()]


def get(here: Ruled, token: str | None, target: str, **headers: str) -> Answer:
    return send(here.url, "GET", target, token, headers={name.replace("_", "-"): value for name, value in headers.items()})


def says(answer: Answer) -> str:
    return {name.lower(): value for name, value in answer.headers.items()}.get(SAYS, "")


def header(answer: Answer, name: str) -> str:
    return {key.lower(): value for key, value in answer.headers.items()}.get(name, "")


def points(model: str, version: str) -> list[str]:
    """Every read of one thing, without its prefix."""
    return [
        f"registered-models/get?name={model}",
        f"model-versions/get?name={model}&version={version}",
        f"registered-models/alias?name={model}&alias=champion",
        f"registered-models/get-latest-versions?name={model}",
        f"model-versions/get-download-uri?name={model}&version={version}",
    ]


def test_one_answer_serves_both_prefixes_and_everybody(here: Ruled, ann: str, version: str) -> None:
    """Each is asked of MLflow once, by whatever address; a browser that has it already is told so."""
    alias = {"name": MODEL, "alias": "champion", "version": version}
    root = here.token(role="admin", user="root@example.com")
    assert here.ask(root, "POST", f"{API}registered-models/alias", alias).status == 200
    eve = here.token(role="product_manager", user="eve@example.com")
    for point in points(MODEL, version):
        first = get(here, ann, API + point)
        assert (first.status, says(first)) == (200, "MISS"), (point, first.body)
        again, theirs, pages = get(here, ann, API + point), get(here, eve, API + point), get(here, ann, AJAX + point)
        assert (says(again), says(theirs), says(pages)) == ("HIT", "HIT", "HIT"), point
        assert again.body == first.body == theirs.body
        assert int(header(again, "age")) >= 0 and header(first, "age") == ""
        etag = header(again, "etag")
        assert etag == header(first, "etag") and "no-cache" in header(first, "cache-control")
        for sent in (etag, f'"x", W/{etag}', "*"):
            same = get(here, ann, API + point, If_None_Match=sent)
            assert (same.status, same.body, header(same, "etag")) == (304, b"", etag), point
        assert get(here, ann, API + point, If_None_Match='"x"').body == first.body
        asked = get(here, ann, API + point, Cache_Control="no-cache")
        assert (says(asked), asked.body) == ("MISS", first.body)
        assert says(get(here, ann, API + point)) == "HIT"
    posted = here.ask(ann, "POST", f"{API}registered-models/get-latest-versions", {"name": MODEL})
    assert (posted.status, says(posted)) == (200, "HIT")


def test_one_readers_filter_is_nobody_elses_answer(here: Ruled, ann: str, version: str) -> None:
    """However stages are repeated, spelt or left empty, what everybody asks for stays as it is."""
    latest = f"registered-models/get-latest-versions?name={MODEL}"
    expected = get(here, ann, API + latest).body
    assert version in {each["version"] for each in json.loads(expected)["model_versions"]}
    for stages in ("&stages=Canary" * 10, "&stages=", "&stages=A%0AB", "&stages=Production&stages=Staging"):
        for prefix in (API, AJAX):
            get(here, ann, f"{prefix}{latest}{stages}", Cache_Control="no-cache")
            get(here, ann, f"{prefix}{latest}{stages}")
            seen = get(here, ann, API + latest)
            assert (seen.status, seen.body) == (200, expected), (prefix, stages)
    posted = here.ask(ann, "POST", f"{API}registered-models/get-latest-versions", {"name": MODEL, "stages": []})
    assert (posted.status, posted.body) == (200, expected)


def test_rights_are_decided_each_time(here: Ruled, ann: str, version: str) -> None:
    """Who may not see a model, does not from memory either."""
    for point in points(MODEL, version):
        assert get(here, ann, API + point).status in (200, 400)
        for token, status in ((None, 401), (here.token("iris_*", user="sam@example.com"), 403), ("x" * 30, 401)):
            answer = get(here, token, API + point)
            assert (answer.status, says(answer)) == (status, ""), point
    # The files' address is for those who may read the files.
    auditor = here.token(role="auditor", user="olga@example.com")
    assert get(here, auditor, API + points(MODEL, version)[1]).status == 200
    assert get(here, auditor, API + points(MODEL, version)[4]).status == 403


@dataclass(frozen=True)
class Write:
    """Something that is written, and the read that shows it."""

    method: str
    path: str
    body: dict[str, object]
    read: str
    shows: Callable[[Answer], object]
    expected: object


def member(*path: str) -> Callable[[Answer], object]:
    def found(answer: Answer) -> object:
        value: object = answer.json()
        for name in path:
            value = value.get(name) if isinstance(value, dict) else None
        return value

    return found


def tagged(*path: str) -> Callable[[Answer], object]:
    listed = member(*path, "tags")
    return lambda answer: {tag["key"]: tag["value"] for tag in listed(answer) or []}.get("k")


def writes(model: str, version: str) -> list[Write]:
    of = {"name": model}
    one = {"name": model, "version": version}
    registered, kept, alias, newest, _ = points(model, version)
    latest = lambda answer: [each["current_stage"] for each in answer.json().get("model_versions", [])]  # noqa: E731
    return [
        Write("POST", "registered-models/set-tag", {**of, "key": "k", "value": "v"}, registered, tagged("registered_model"), "v"),
        Write("DELETE", "registered-models/delete-tag", {**of, "key": "k"}, registered, tagged("registered_model"), None),
        Write("PATCH", "registered-models/update", {**of, "description": "d"}, registered, member("registered_model", "description"), "d"),
        Write("POST", "model-versions/set-tag", {**one, "key": "k", "value": "v"}, kept, tagged("model_version"), "v"),
        Write("DELETE", "model-versions/delete-tag", {**one, "key": "k"}, kept, tagged("model_version"), None),
        Write("PATCH", "model-versions/update", {**one, "description": "d"}, kept, member("model_version", "description"), "d"),
        Write("POST", "registered-models/alias", {**one, "alias": "champion"}, alias, member("model_version", "version"), version),
        Write("POST", "model-versions/transition-stage", {**one, "stage": "Canary"}, kept, member("model_version", "current_stage"), "Canary"),
        Write("POST", "model-versions/transition-stage", {**one, "stage": "Archived"}, newest, latest, ["Archived"]),
        Write("DELETE", "registered-models/alias", {**of, "alias": "champion"}, alias, member("error_code"), "INVALID_PARAMETER_VALUE"),
    ]  # fmt: skip


def test_every_write_is_seen_by_whoever_asks_later(here: Ruled, ann: str) -> None:
    """By every address that was known before."""
    root = here.token(role="admin", user="root@example.com")
    model = "demand_forecasting_ensemble_rmse_dev"
    version = register(here, root, model)
    for write in writes(model, version):
        for prefix in (API, AJAX):
            get(here, root, prefix + write.read)
        before = get(here, root, API + write.read)
        assert says(before) == "HIT" and write.shows(before) != write.expected, write
        done = here.ask(root, write.method, API + write.path, write.body)
        assert done.status == 200, (write, done.body)
        after = get(here, root, API + write.read)
        assert (says(after), write.shows(after)) == ("MISS", write.expected), write
        assert says(get(here, root, AJAX + write.read)) == "HIT"


def test_what_comes_and_goes_and_is_called_otherwise(here: Ruled) -> None:
    """A model is looked for, made, renamed, deleted and made anew; another one stays known."""
    root = here.token(role="admin", user="root@example.com")
    names = ["demand_forecasting_xgboost_rmse_dev", "demand_forecasting_xgboost_rmse_staging"]
    one, two = (f"{API}registered-models/get?name={name}" for name in names)
    other = f"{API}registered-models/get?name={OTHER}"
    register(here, root, OTHER)
    until(lambda: says(get(here, root, other)) == "HIT")
    assert [(answer.status, says(answer)) for answer in (get(here, root, one), get(here, root, one))] == [(404, "MISS"), (404, "HIT")]
    assert here.ask(root, "POST", f"{API}registered-models/create", {"name": names[0]}).status == 200
    made = get(here, root, one).json()["registered_model"]["creation_timestamp"]
    assert get(here, root, two).status == 404
    renamed = here.ask(root, "POST", f"{API}registered-models/rename", {"name": names[0], "new_name": names[1]})
    assert renamed.status == 200, renamed.body
    assert (get(here, root, one).status, get(here, root, two).status) == (404, 200)
    assert here.ask(root, "DELETE", f"{API}registered-models/delete", {"name": names[1]}).status == 200
    assert get(here, root, two).status == 404
    assert here.ask(root, "POST", f"{API}registered-models/create", {"name": names[1]}).status == 200
    assert get(here, root, two).json()["registered_model"]["creation_timestamp"] > made
    assert says(get(here, root, other)) == "HIT"


def test_what_is_written_past_the_gate_is_seen_after_a_purge(here: Ruled, ann: str, version: str) -> None:
    """By administrators alone."""
    root = here.token(role="admin", user="root@example.com")
    read = API + points(MODEL, version)[1]
    shown = tagged("model_version")
    get(here, ann, read)
    here.past("model-versions/set-tag", name=MODEL, version=version, key="k", value="past")
    assert shown(get(here, ann, read)) is None
    assert here.ask(ann, "POST", "/sekisho/v1/cache:purge", {}).status == 403
    assert shown(get(here, ann, read)) is None
    assert here.ask(root, "POST", "/sekisho/v1/cache:purge", {}).status == 200
    answer = get(here, ann, read)
    assert (says(answer), shown(answer)) == ("MISS", "past")


def test_known_for_its_time_and_served_while_mlflow_is_gone() -> None:
    """What is known is served and says that it is old; everything else is 503, and a write is told that nothing was sent."""
    with MlflowServer(LOGS) as server, gate(server, ttl_seconds=1, stale_seconds=600) as here:
        ann = here.token()
        version = register(here, ann, MODEL)
        known, latest = f"{API}model-versions/get?name={MODEL}&version={version}", f"{API}registered-models/get-latest-versions?name={MODEL}"
        bodies = [get(here, ann, target).body for target in (known, latest)]
        here.past("model-versions/set-tag", name=MODEL, version=version, key="k", value="past")
        until(lambda: tagged("model_version")(get(here, ann, known)) == "past")
        bodies[0] = get(here, ann, known).body
        server.stop()
        until(lambda: says(get(here, ann, known)) == "STALE")
        until(lambda: says(get(here, ann, latest)) == "STALE")
        for target, body in zip((known, latest), bodies, strict=True):
            answer = get(here, ann, target)
            assert (answer.status, says(answer)) == (200, "STALE") and answer.body == body
            assert header(answer, "warning").startswith("110 ") and int(header(answer, "age")) >= 1
        assert get(here, here.token("iris_*", user="sam@example.com"), known).status == 403
        unknown = get(here, ann, f"{API}model-versions/get?name={MODEL}&version=99")
        assert (unknown.status, header(unknown, "retry-after"), says(unknown)) == (503, "2", "")
        write = here.ask(ann, "POST", f"{API}model-versions/set-tag", {"name": MODEL, "version": version, "key": "k", "value": "w"})
        assert (write.status, write.error_code()) == (503, "TEMPORARILY_UNAVAILABLE"), write.body
        assert here.sekisho.log.read_text().count("mlflow does not answer: reads of what is known") == 1
        server.start()
        until(lambda: says(get(here, ann, known)) == "MISS")
        assert get(here, ann, known).body == bodies[0]
        assert "mlflow answers again" in here.sekisho.log.read_text()


@dataclass
class History:
    """What was answered to writers, number by number, for each thing that is written."""

    answered: dict[str, int] = field(default_factory=dict)
    lock: threading.Lock = field(default_factory=threading.Lock)
    wrong: list[str] = field(default_factory=list)
    hits: int = 0
    reads: int = 0


# Each writer's own thing, how a number is written to it and read from it.
WAYS = 4
WRITES = 60


def write_number(here: Ruled, token: str, way: int, version: str, number: int) -> Answer:
    one = {"name": MODEL, "version": version}
    match way % WAYS:
        case 0:
            return here.ask(token, "POST", f"{API}model-versions/set-tag", {**one, "key": "n", "value": str(number)})
        case 1:
            return here.ask(token, "PATCH", f"{AJAX}model-versions/update", {**one, "description": str(number)})
        case 2:
            return here.ask(token, "POST", f"{API}registered-models/set-tag", {"name": OTHER, "key": "n", "value": str(number)})
        case _:
            return here.ask(token, "PATCH", f"{API}registered-models/update", {"name": MODEL, "description": str(number)})


def read_number(here: Ruled, token: str, way: int, version: str, prefix: str) -> tuple[Answer, int]:
    registered, kept, *_ = points(MODEL, version)
    match way % WAYS:
        case 0:
            answer = get(here, token, prefix + kept)
            numbers = [tag["value"] for tag in answer.json()["model_version"]["tags"] if tag["key"] == "n"]
        case 1:
            answer = get(here, token, prefix + kept)
            numbers = [answer.json()["model_version"].get("description") or 0]
        case 2:
            answer = get(here, token, f"{prefix}registered-models/get?name={OTHER}")
            numbers = [tag["value"] for tag in answer.json()["registered_model"].get("tags", []) if tag["key"] == "n"]
        case _:
            answer = get(here, token, prefix + registered)
            numbers = [answer.json()["registered_model"].get("description") or 0]
    return answer, int(numbers[0]) if numbers else 0


def test_no_reader_sees_what_was_before_an_answered_write(here: Ruled, ann: str) -> None:
    """Writers count up, each its own thing; whoever reads after a number was answered sees it or a later one, and no reader
    goes back."""
    versions = [register(here, ann, MODEL) for _ in range(2)]
    register(here, ann, OTHER)
    for way in range(WAYS):
        assert write_number(here, ann, way, versions[way % 2], 0).status == 200
    history, done = History(answered=dict.fromkeys(map(str, range(WAYS)), 0)), threading.Event()

    def write(way: int) -> None:
        for number in range(1, WRITES + 1):
            answer = write_number(here, ann, way, versions[way % 2], number)
            if answer.status != 200:
                history.wrong.append(f"way {way}: {answer.status} {answer.body!r}")
            history.answered[str(way)] = number

    def read(seed: int) -> None:
        choice, seen = random.Random(seed), [0] * WAYS
        while not done.is_set():
            way, prefix = choice.randrange(WAYS), choice.choice((API, AJAX))
            floor = history.answered[str(way)]
            answer, number = read_number(here, ann, way, versions[way % 2], prefix)
            if number < max(floor, seen[way]):
                history.wrong.append(f"way {way}: read {number} after {floor} was answered and {seen[way]} seen: {says(answer)}")
            seen[way] = max(seen[way], number)
            with history.lock:
                history.reads += 1
                history.hits += says(answer) == "HIT"

    writers = [threading.Thread(target=write, args=(way,)) for way in range(WAYS)]
    readers = [threading.Thread(target=read, args=(seed,)) for seed in range(6)]
    for thread in [*readers, *writers]:
        thread.start()
    for thread in writers:
        thread.join()
    done.set()
    for thread in readers:
        thread.join()
    assert not history.wrong, history.wrong[:5]
    # Without these nothing was shown.
    assert history.hits > 50 and history.reads > history.hits, history


NO_INDEX = "max_results=50&filter=name%20!%3D%20%27nobody%27"


def test_lists_are_read_from_memory_too(here: Ruled, ann: str, version: str) -> None:
    """Each caller sees their part of one answer of MLflow's; a write of any model has lists asked anew.

    The filter is one that the index of the registry does not answer (`test_index.py`).
    """
    sam = here.token("iris_*", user="sam@example.com")
    for target in (f"registered-models/search?{NO_INDEX}", f"model-versions/search?{NO_INDEX}&order_by=version_number%20ASC"):
        first, again, pages = (get(here, ann, prefix + target) for prefix in (API, API, AJAX))
        assert [says(answer) for answer in (first, again, pages)] == ["MISS", "HIT", "HIT"], target
        assert first.body == again.body and MODEL in first.body.decode()
        theirs = get(here, sam, API + target)
        assert (theirs.status, says(theirs), theirs.json()) == (200, "HIT", {})
        assert says(get(here, ann, API + target, Cache_Control="no-cache")) == "MISS"
        body = {"name": MODEL, "version": version, "key": "k", "value": f"listed {target[:5]}"}
        assert here.ask(ann, "POST", f"{API}model-versions/set-tag", body).status == 200
        after = get(here, ann, API + target)
        assert says(after) == "MISS" and f"listed {target[:5]}" in after.body.decode()


BATCH = "/sekisho/v1/model-versions:batchGet"


def asked(*pairs: tuple[str, str]) -> dict[str, list[dict[str, str]]]:
    return {"model_versions": [{"name": name, "version": version} for name, version in pairs]}


def test_many_versions_in_one_request(here: Ruled, ann: str, version: str) -> None:
    """Each is answered as it would be alone, or refused as it would be alone, in the order in which they were asked for."""
    other = register(here, ann, OTHER)
    sam = here.token(OTHER, user="sam@example.com")
    pairs = [(OTHER, other), (MODEL, version), (OTHER, "99"), (OTHER, other), (OTHER, "01"), ("a/b", "1"), ("", "1")]
    answer = here.ask(sam, "POST", BATCH, asked(*pairs))
    assert answer.status == 200, answer.body
    results = answer.json()["results"]
    alone = get(here, sam, f"{API}model-versions/get?name={OTHER}&version={other}").json()
    assert results[0] == results[3] == alone
    told = [(each["error"]["status"], each["error"]["error_code"]) for each in results if "error" in each]
    assert told == [
        (403, "PERMISSION_DENIED"), (404, "RESOURCE_DOES_NOT_EXIST"), (400, "INVALID_PARAMETER_VALUE"),
        (400, "INVALID_PARAMETER_VALUE"), (400, "INVALID_PARAMETER_VALUE"),
    ]  # fmt: skip
    hidden = get(here, sam, f"{API}model-versions/get?name={MODEL}&version={version}").json()
    assert results[1]["error"]["message"] == hidden["message"]
    until(lambda: any(line.get("reason") == "1 of them were refused, with a line each" for line in here.sekisho.told()))
    (refused,) = [line for line in here.sekisho.told() if line["kind"] == "refusal" and str(line.get("route")).endswith("batchGet")]
    assert (refused["principal"], refused["object"], refused["status"]) == ("sam@example.com", f"model:{MODEL}", 403)
    assert refused["reason"] in hidden["message"]


def test_a_batch_sees_what_was_written_and_has_its_bounds(here: Ruled, ann: str, version: str) -> None:
    pairs = asked(*[(MODEL, version)] * 1_000)
    assert len(here.ask(ann, "POST", BATCH, pairs).json()["results"]) == 1_000
    body = {"name": MODEL, "version": version, "key": "k", "value": "batch"}
    assert here.ask(ann, "POST", f"{API}model-versions/set-tag", body).status == 200
    results = here.ask(ann, "POST", BATCH, pairs).json()["results"]
    assert all({"key": "k", "value": "batch"} in each["model_version"]["tags"] for each in results)
    assert here.ask(ann, "POST", BATCH, asked(*[(MODEL, version)] * 1_001)).status == 400
    assert here.ask(ann, "POST", BATCH, {}).json() == {"results": []}
    assert here.ask(None, "POST", BATCH, pairs).status == 401

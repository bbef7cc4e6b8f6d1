"""Who races in the speed part: sekisho from memory and passing on, and beside it MLflow, its auth app, nginx and HAProxy."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from contestants import HERE, LOGS, MODEL, TARGET, answer_of_stub, nginx
from harness.mlflow_server import MlflowServer
from harness.process import Child, free_port
from harness.rest import Answer, send
from harness.sekisho import Sekisho
from lists.registry import MINE, MODELS, seed
from lists_cost import auth_app
from load import Check, Racer, is_body, lacks

SIZE = 600
"""Bytes of the version that is read, from each of them."""
READER, WRITER, ELSEWHERE = "reader@company.com", "writer@company.com", "elsewhere@company.com"
LIST = "/api/2.0/mlflow/registered-models/search?max_results=100"


@dataclass(frozen=True)
class Track:
    """All of them at rest."""

    reads: dict[str, Racer]
    """Of one version, by the names that the goals and the chart have."""
    lists: dict[str, Racer]
    cached: Sekisho
    passing: Sekisho
    stub: str
    mlflow: MlflowServer
    writer: str
    """A token for every model, of `passing`."""


def settings(**more: Mapping[str, object]) -> dict[str, Mapping[str, object]]:
    """As it is shipped, but for the rate limit: reads are counted and writes recorded."""
    return {"limits": {"requests_per_second": 0}, "audit": {"reads": "aggregate"}, **more}


@contextmanager
def open_track() -> Iterator[Track]:
    """Starts everything, and looks at each answer once."""
    with ExitStack() as stack:
        mlflow = stack.enter_context(MlflowServer(LOGS, workers=2))
        seed(mlflow.database)
        body, stubbed = _register(mlflow.url), answer_of_stub()
        auth, users = auth_app(stack, mlflow.database)
        stub = stack.enter_context(nginx("stub.conf", BODY=stubbed.decode()))
        cached = stack.enter_context(Sekisho(mlflow.url, LOGS, settings=settings()))
        passing = stack.enter_context(Sekisho(stub, LOGS, settings=settings(cache={"ttl_seconds": 0})))
        nginx_cached = stack.enter_context(nginx("cached.conf", BEHIND=_place(mlflow.url)))
        nginx_passing = stack.enter_context(nginx("proxy.conf", BEHIND=_place(stub), LOG="off"))
        balancer = stack.enter_context(haproxy(stub, passing))
        hit, bars = {"X_Sekisho_Cache": "HIT"}, _bars(passing)
        reader = _bearer(passing.token(READER, "ml_engineer", [MODEL]))
        reads = {
            "mlflow": Racer("mlflow", mlflow.url, TARGET, is_body(body)),
            "mlflow auth": Racer("mlflow auth", auth, TARGET, is_body(body), users["every"], {"": 401, users["one"]: 403}),
            "nginx cached": Racer("nginx cached", nginx_cached, TARGET, is_body(body, X_Cache_Status="HIT")),
            "sekisho cached": Racer(
                "sekisho cached", cached.url, TARGET, is_body(body, **hit),
                _bearer(cached.token(READER, "ml_engineer", [MODEL])), _bars(cached),
            ),
            "stub": Racer("stub", stub, TARGET, is_body(stubbed)),
            "nginx passing": Racer("nginx passing", nginx_passing, TARGET, is_body(stubbed)),
            "haproxy jwt": Racer("haproxy jwt", balancer, TARGET, is_body(stubbed), reader, bars),
            "sekisho passing": Racer(
                "sekisho passing", passing.url, TARGET, is_body(stubbed, X_Sekisho_Cache=""), reader, bars
            ),
        }  # fmt: skip
        # The first answers fill what is cached.
        for racer in reads.values():
            racer.ask()
            racer.verify()
            racer.verify_bars()
        # One of the seven is a prompt, which MLflow leaves out.
        seven, page = set(MINE) - {MINE[1]}, _first_page(mlflow.url)
        lists = {
            "mlflow: 100": Racer("mlflow: 100", mlflow.url, LIST, lists_models(page)),
            "sekisho: 100": Racer(
                "sekisho: 100", cached.url, LIST, lists_models(page, **hit), _bearer(cached.token("all@company.com", "auditor"))
            ),
            "mlflow auth: 1": Racer("mlflow auth: 1", auth, LIST, lists_models(set(MINE[:1])), users["one"], {"": 401}),
            "sekisho: 7": Racer(
                "sekisho: 7", cached.url, LIST, lists_models(seven, **hit),
                _bearer(cached.token("seven@company.com", "ml_engineer", MINE)), {"": 401},
            ),
        }  # fmt: skip
        for racer in lists.values():
            racer.ask()
            racer.verify()
        yield Track(reads, lists, cached, passing, stub, mlflow, passing.token(WRITER, "ml_engineer", ["*"]))


def lists_models(names: set[str], **headers: str) -> Check:
    """The answer lists these models and no others."""

    def check(answer: Answer) -> str:
        body = answer.json()
        if answer.status != 200 or not isinstance(body, dict):
            return "no list"
        found = [row["name"] for row in body.get("registered_models", [])]
        if set(found) != names or len(found) != len(names):
            return f"a list of {len(found)} models and not these {len(names)}"
        return lacks(answer, headers)

    return check


def recorded(sekisho: Sekisho) -> Counter[str]:
    """How many requests of each principal the record tells of, once counted reads are on the disk."""
    time.sleep(2.5)
    found: Counter[str] = Counter()
    for line in sekisho.told():
        found[line.get("principal", "")] += int(line.get("count", 1))
    return found


def _first_page(url: str) -> set[str]:
    rows = json.loads(send(url, "GET", LIST).body)["registered_models"]
    if len(rows) != 100 or len(rows) >= MODELS:
        raise RuntimeError(f"MLflow lists {len(rows)} models on a page of 100")
    return {row["name"] for row in rows}


def _bars(sekisho: Sekisho) -> dict[str, int]:
    """What each proxy that knows tokens must refuse: no token, one of another signer, an old one, another model's."""
    claims = {"user_id": ELSEWHERE, "role": "ml_engineer", "model_access": [MODEL], "iat": int(time.time()) - 7200}
    (sekisho.folder / "other-secret").write_text("x" * 64)
    return {
        "": 401,
        _bearer(sekisho.sign({**claims, "exp": int(time.time()) + 3600}, secret="other-secret")): 401,
        _bearer(sekisho.sign({**claims, "exp": int(time.time()) - 3600})): 401,
        _bearer(sekisho.token(ELSEWHERE, "ml_engineer", ["another_model"])): 403,
    }


def _bearer(token: str) -> str:
    return f"Bearer {token}"


def _place(url: str) -> str:
    return url.removeprefix("http://")


def _register(url: str) -> bytes:
    """Registers the version, described at such length that MLflow's answer has the size; the answer."""

    def call(method: str, path: str, body: object = None) -> bytes:
        answer = send(url, method, path, body=body)
        if answer.status != 200:
            raise RuntimeError(f"{path}: {answer.status} {answer.body[:200]!r}")
        return answer.body

    api, version = "/api/2.0/mlflow/", {"name": MODEL, "version": "1"}
    call("POST", f"{api}registered-models/create", {"name": MODEL})
    call("POST", f"{api}model-versions/create", {"name": MODEL, "source": "s3://bench/model", "description": "x"})
    for _ in range(2):
        found = json.loads(call("GET", TARGET))["model_version"]["description"]
        more = SIZE - len(call("GET", TARGET))
        call("PATCH", f"{api}model-versions/update", {**version, "description": "x" * (len(found) + more)})
    body = call("GET", TARGET)
    if len(body) != SIZE:
        raise RuntimeError(f"MLflow answers {len(body)} bytes and not {SIZE}")
    return body


@contextmanager
def haproxy(behind: str, sekisho: Sekisho) -> Iterator[str]:
    """HAProxy that believes the tokens of this sekisho; its address."""
    program = shutil.which("haproxy", path=os.environ["PATH"] + os.pathsep + "/usr/sbin")
    if program is None:
        raise RuntimeError("haproxy is missing: tests/bench/run installs it")
    listen = f"127.0.0.1:{free_port()}"
    folder = Path(tempfile.mkdtemp(prefix="haproxy-"))
    words = {
        "LISTEN": listen,
        "BEHIND": _place(behind),
        "CORES": str(len(os.sched_getaffinity(0))),
        "SECRET": (sekisho.folder / "secret").read_text(),
    }
    text = (HERE / "peers" / "haproxy.cfg").read_text()
    for word, value in words.items():
        text = text.replace(f"@{word}@", value)
    config = folder / "haproxy.cfg"
    config.touch(mode=0o600)
    config.write_text(text)
    child = Child([program, "-db", "-f", str(config)], folder, folder / "haproxy.log", {})
    try:
        child.wait_ready(f"http://{listen}/health", 20)
        yield f"http://{listen}"
    finally:
        child.stop()
        shutil.rmtree(folder, ignore_errors=True)

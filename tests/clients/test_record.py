"""The record of what passes: it is there before MLflow hears of a write, outlives kill -9, and a full disk refuses writes."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import random
import shutil
import socket
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPException
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from conftest import LOGS
from harness import leaks, records
from harness.mlflow_server import MlflowServer
from harness.recorder import Stop
from harness.rest import Answer, send
from harness.sekisho import run_command
from house_of_records import ANN, MODELS, ROOT, Kept, fill, kept, last_bytes, mount, pairs, said, times, verified, whole
from ruled import API, acting, refused, until

ROUNDS = int(os.environ.get("SEKISHO_ROUNDS", "20"))
# A full disk is found out after the last page is full.
PAGE = 40
# What is counted within a second is written after it, and the machine may be slow.
COUNTED = 2.0
SET_TAG = "/api/2.0/mlflow/registered-models/set-tag"
WEBHOOK = {"name": "h", "url": "https://hooks.example/x", "events": [{"entity": "REGISTERED_MODEL", "action": "CREATED"}]}
GATEWAY = {"secret_name": "s", "provider": "openai"}
SMALL = ("size=256k",)


@pytest.fixture(scope="module")
def server() -> Iterator[MlflowServer]:
    """One MLflow for all; each test has a model of its own in it."""
    with MlflowServer(LOGS) as server:
        yield server


@pytest.fixture(scope="module")
def here(server: MlflowServer) -> Iterator[Kept]:
    """A gate for tests that break nothing."""
    with kept(server) as here:
        yield here


def outcome(here: Kept, answer: Answer) -> tuple[dict, dict]:
    """Both lines of a write, once they are there."""
    until(lambda: len(here.of(answer)) == 2)
    first, second = here.of(answer)
    return first, second


def test_the_intent_is_in_the_file_before_mlflow_hears_of_it(here: Kept) -> None:
    """The write waits on its way to MLflow, and the record tells of it already; then it tells what came of it."""
    stop = Stop(lambda seen: seen.target == SET_TAG)
    here.wire.stop(stop)
    with ThreadPoolExecutor(1) as pool:
        asked = pool.submit(here.tag, "told-first", "v1")
        try:
            stop.reach()
            lines = [line for line in here.lines() if line.get("params", {}).get("key") == "told-first"]
            assert [line["kind"] for line in lines] == ["intent"]
            assert not asked.done() and "told-first" not in here.held()
        finally:
            here.wire.stop(None)
            stop.release()
        answer = asked.result()
    assert answer.status == 200 and here.held()["told-first"] == "v1"
    intent, after = outcome(here, answer)
    assert (intent["kind"], after["kind"]) == ("intent", "outcome") and intent == lines[0]
    assert after["intent"] == intent["seq"] and after["id"] == intent["id"]
    who = {"principal": ANN, "roles": ["ml_engineer"], "peer": "127.0.0.1", "method": "POST", "route": SET_TAG}
    what = {"operation": "metadata_write", "object": f"model:{here.model}/tag/told-first", "decision": "allow"}
    for line in (intent, after):
        assert said(line, *who, *what) == who | what, line
        assert line["rows"] and all(row.startswith("policy.csv:") for row in line["rows"]), line
        assert len(line["policy"]) >= 16 and line["token"], line
    assert intent["params"] == {"name": here.model, "key": "told-first", "value": "v1"}
    assert not {"status", "outcome", "upstream_status", "micros", "intent"} & intent.keys()
    assert said(after, "status", "upstream_status", "outcome") == {"status": 200, "upstream_status": 200, "outcome": "applied"}
    assert "params" not in after and after["micros"] > 0


def test_before_and_after_are_told(here: Kept) -> None:
    """Of tags, aliases, descriptions and names, by what MLflow showed when the write was let in; of what was refused no after."""
    model, renamed = "before_and_after", "after_and_before"
    for path, body in (("registered-models", {}), ("model-versions", {"source": "s3://before/and/after"})):
        made = send(here.mlflow.url, "POST", f"{API}{path}/create", None, {"name": model} | body)
        assert made.status == 200, made
    one, of = {"name": model}, {"name": model, "version": "1"}
    for method, path, body, before, after in (
        ("POST", "registered-models/set-tag", one | {"key": "k", "value": "1"}, {"tags": {"k": None}}, {"tags": {"k": "1"}}),
        ("POST", "registered-models/set-tag", one | {"key": "k", "value": "2"}, {"tags": {"k": "1"}}, {"tags": {"k": "2"}}),
        ("DELETE", "registered-models/delete-tag", one | {"key": "k"}, {"tags": {"k": "2"}}, {"tags": {"k": None}}),
        ("POST", "model-versions/set-tag", of | {"key": "v", "value": "1"}, {"tags": {"v": None}}, {"tags": {"v": "1"}}),
        ("DELETE", "model-versions/delete-tag", of | {"key": "v"}, {"tags": {"v": "1"}}, {"tags": {"v": None}}),
        ("POST", "registered-models/alias", of | {"alias": "a"}, {"aliases": {"a": None}}, {"aliases": {"a": "1"}}),
        ("DELETE", "registered-models/alias", one | {"alias": "a"}, {"aliases": {"a": "1"}}, {"aliases": {"a": None}}),
        ("PATCH", "registered-models/update", one | {"description": "new"}, {"description": ""}, {"description": "new"}),
        ("PATCH", "model-versions/update", of | {"description": "newer"}, {"description": ""}, {"description": "newer"}),
        ("POST", "registered-models/rename", one | {"new_name": renamed}, {"name": model}, {"name": renamed}),
    ):
        answer = here.ask(here.root, method, API + path, body)
        assert answer.status == 200, (path, answer)
        _, told = outcome(here, answer)
        found = told["before"] if path.endswith(("tag", "alias", "rename")) else {"description": told["before"]["description"] or ""}
        assert (found, told["after"]) == (before, after), path
    answer = here.ask(here.root, "POST", f"{API}registered-models/set-tag", {"name": renamed, "key": "k" * 300, "value": "x"})
    assert answer.status == 400
    assert all("after" not in line for line in here.of(answer))


def test_what_mlflow_refuses_is_told_as_not_applied(here: Kept) -> None:
    """There is no such model."""
    answer = here.ask(here.ann, "POST", SET_TAG, {"name": "no_such_model", "key": "k", "value": "v"})
    assert answer.status == 404
    _, after = outcome(here, answer)
    assert said(after, "status", "upstream_status", "outcome") == {"status": 404, "upstream_status": 404, "outcome": "not_applied"}


def test_what_mlflow_does_not_answer_is_told_as_unknown(here: Kept) -> None:
    """The answer of a write is lost, of which nobody can look up whether it was done."""
    here.wire.refuse("registered-models/set-tag")
    try:
        answer = here.tag("unanswered")
    finally:
        here.wire.refuse(None)
    _, after = outcome(here, answer)
    assert after["outcome"] == "unknown" and after["status"] == answer.status >= 500, after


def test_large_values_are_told_by_their_digest_and_tokens_not_at_all(here: Kept) -> None:
    """1 KiB is told whole."""
    for value, expected in (
        ("x" * 1024, "x" * 1024),
        ("é" * 513, {"bytes": 1026, "sha256": hashlib.sha256(("é" * 513).encode()).hexdigest()}),
    ):
        intent, _ = outcome(here, here.tag("large", value))
        assert intent["params"]["value"] == expected
    for value in (here.root, f"use this: Bearer {here.root}"):
        intent, _ = outcome(here, here.tag("token", value))
        assert intent["params"]["value"].startswith("keyed:"), intent["params"]
        assert here.held()["token"] == value
    assert leaks.found_in(records.text(here.sekisho.audit)) == []


@pytest.mark.parametrize("kind", ["webhook", "gateway"])
def test_secrets_are_told_by_a_keyed_hash(here: Kept, kind: str) -> None:
    """The same for the same, another for another, and nothing from which it could be found."""
    secret, other = (leaks.remember(f"s3cr3t-{kind}-{number}-of-the-record", f"a secret of the {kind}") for number in "12")

    def asked(value: str) -> str:
        if kind == "webhook":
            answer = here.ask(here.root, "POST", f"{API}webhooks", WEBHOOK | {"secret": value})
            field = "secret"
        else:
            body = GATEWAY | {"secret_value": {"api_key": value}}
            answer = here.ask(here.root, "POST", "/api/3.0/mlflow/gateway/secrets/create", body)
            field = "secret_value"
        assert answer.status == 200, answer
        intent, after = outcome(here, answer)
        assert intent["principal"] == ROOT and value not in json.dumps([intent, after])
        return intent["params"][field]

    here.wire.hold(True)  # a real server would call the address
    try:
        told = [asked(secret), asked(secret), asked(other)]
    finally:
        here.wire.hold(False)
    assert all(each.startswith("keyed:") and len(each) > 12 for each in told), told
    assert told[0] == told[1] != told[2]
    assert hashlib.sha256(secret.encode()).hexdigest()[:16] not in told[0], "it is no plain hash"


@pytest.mark.parametrize("status", [400, 401, 403, 404])
def test_each_refusal_has_a_line(here: Kept, status: int) -> None:
    """One, with who it was if that is known, and why; and MLflow heard nothing."""
    here.wire.take()
    reader = here.sekisho.token("eve@example.com", "auditor")
    match status:
        case 400:
            answer = here.ask(here.ann, "POST", SET_TAG, b'{"name": "m", "name": "n"}')
            expected = {"principal": ANN, "route": SET_TAG}
        case 401:
            answer = here.ask(None, "POST", SET_TAG, {"name": here.model, "key": "k", "value": "v"})
            expected = {}
        case 403:
            answer = here.ask(reader, "POST", SET_TAG, {"name": here.model, "key": "k", "value": "v"})
            expected = {"principal": "eve@example.com", "operation": "metadata_write", "object": f"model:{here.model}/tag/k"}
        case _:
            answer = here.ask(here.ann, "GET", "/api/2.0/mlflow/no-such-route")
            expected = {"principal": ANN}
    assert answer.status == status
    until(lambda: here.of(answer))
    (line,) = here.of(answer)
    assert said(line, "kind", "decision", "status") == {"kind": "refusal", "decision": "deny", "status": status}
    assert line["reason"] and line["peer"] == "127.0.0.1" and "intent" not in line and "outcome" not in line
    assert said(line, *expected) == expected, line
    assert status != 401 or not {"principal", "token", "roles"} & line.keys()
    assert [seen for seen in here.wire.take() if not seen.is_probe()] == []


def hang_up(here: Kept, message: bytes, stop: Stop | None = None) -> None:
    """Sends it, and is gone when MLflow has it."""
    place = urlsplit(here.url)
    with socket.create_connection((place.hostname or "", place.port or 0), 10) as wire:
        wire.sendall(message)
        if stop is not None:
            stop.reach()


def test_a_read_that_is_broken_off_has_a_line(here: Kept) -> None:
    """Whoever asked has gone before MLflow answered."""
    stop = Stop(lambda seen: "broken-off" in dict(seen.headers).get("X-Request-Id", dict(seen.headers).get("x-request-id", "")))
    here.wire.stop(stop)
    try:
        head = f"GET {API}registered-models/get?name={here.model} HTTP/1.1\r\nHost: x\r\nX-Request-Id: broken-off\r\n"
        hang_up(here, f"{head}Authorization: Bearer {here.ann}\r\n\r\n".encode(), stop)
        until(lambda: [line for line in here.lines() if line["id"] == "broken-off"])
    finally:
        here.wire.stop(None)
        stop.release(lost=True)
    (line,) = [line for line in here.lines() if line["id"] == "broken-off"]
    assert said(line, "kind", "principal", "abandoned") == {"kind": "read", "principal": ANN, "abandoned": True}, line


def test_a_write_whose_body_breaks_off_has_a_line(here: Kept) -> None:
    """Half a body is no write."""
    head = f"POST {SET_TAG} HTTP/1.1\r\nHost: x\r\nX-Request-Id: half-a-body\r\nContent-Type: application/json\r\nContent-Length: 90\r\n"
    hang_up(here, f'{head}Authorization: Bearer {here.ann}\r\n\r\n{{"name": '.encode())
    until(lambda: [line for line in here.lines() if line["id"] == "half-a-body"])
    (line,) = [line for line in here.lines() if line["id"] == "half-a-body"]
    assert said(line, "kind", "principal", "decision") == {"kind": "refusal", "principal": ANN, "decision": "deny"}, line


def test_a_write_is_told_to_its_end_though_whoever_asked_has_gone(here: Kept) -> None:
    """It is done, and the record says so."""
    body = json.dumps({"name": here.model, "key": "gone", "value": "v"})
    head = f"POST {SET_TAG} HTTP/1.1\r\nHost: x\r\nX-Request-Id: has-gone\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n"
    stop = Stop(lambda seen: b'"gone"' in seen.body)
    here.wire.stop(stop)
    try:
        hang_up(here, f"{head}Authorization: Bearer {here.ann}\r\n\r\n{body}".encode(), stop)
    finally:
        here.wire.stop(None)
        stop.release()
    until(lambda: len([line for line in here.lines() if line["id"] == "has-gone"]) == 2)
    intent, after = [line for line in here.lines() if line["id"] == "has-gone"]
    assert (intent["kind"], after["kind"], after["intent"]) == ("intent", "outcome", intent["seq"])
    assert said(after, "outcome", "upstream_status") == {"outcome": "applied", "upstream_status": 200}, after
    assert here.held()["gone"] == "v"


@pytest.mark.parametrize("reads", ["each", "aggregate", "off"])
def test_allowed_reads(server: MlflowServer, reads: str) -> None:
    """A line each; or lines whose counts are what was asked; or none. What is refused and what is written has its lines."""
    with kept(server, {"reads": reads}) as here:
        bob = here.sekisho.token("bob@example.com", "data_scientist", ["*"])
        wanted: Counter[tuple[str, str, str, int]] = Counter()
        began = time.time()
        for number in range(40):
            who, token = (ANN, here.ann) if number % 3 else ("bob@example.com", bob)
            name, status = (here.model, 200) if number % 4 else ("no_such_model", 404)
            answer = here.ask(token, "GET", f"{API}registered-models/get?name={name}")
            assert answer.status == status
            wanted[who, "metadata_read", f"model:{name}", status] += 1
        ended = time.time()
        assert here.ask(None, "GET", f"{API}registered-models/get?name={here.model}").status == 401
        assert here.tag("k").status == 200

        def found() -> Counter[tuple[str, str, str, int]]:
            told: Counter[tuple[str, str, str, int]] = Counter()
            for line in here.lines("read", "reads"):
                if "name" in str(line.get("object", "")) or str(line.get("object", "")).startswith("model:"):
                    told[line["principal"], line["operation"], line["object"], line["status"]] += line.get("count", 1)
            return told

        if reads != "off":
            until(lambda: found() == wanted, COUNTED)
        until(lambda: here.lines("outcome") and here.lines("refusal"))
        lines = here.lines("read", "reads")
        match reads:
            case "each":
                assert {line["kind"] for line in lines} == {"read"} and len(lines) == 40
                assert all(line["params"] and line["rows"] for line in lines)
            case "aggregate":
                assert {line["kind"] for line in lines} == {"reads"}
                assert len(lines) <= len(wanted) * (ended - began + 2)
                assert all(began <= at <= ended + COUNTED for at in times(lines))
                assert all(line["roles"] and line["decision"] == "allow" for line in lines)
            case _:
                here.sekisho.restart()  # what was counted is written at the end
                assert here.lines("read", "reads") == []
        assert [line["kind"] for line in here.lines("refusal", "intent", "outcome")] == ["refusal", "intent", "outcome"]
        verified(here.sekisho.audit)


def test_counted_reads_are_not_lost_at_the_end(server: MlflowServer) -> None:
    """What was counted in the last second is written when sekisho ends."""
    with kept(server, {"reads": "aggregate"}) as here:
        for _ in range(7):
            assert here.read().status == 200
        here.sekisho.restart()
        assert sum(line["count"] for line in here.lines("reads")) == 7


def test_killed_under_load(server: MlflowServer) -> None:
    """kill -9 at any moment: all that MLflow has was in the record before, and the record holds."""
    seed = int(os.environ.get("SEKISHO_SEED", random.randrange(1 << 32)))
    chance = random.Random(seed)
    print(f"SEKISHO_SEED={seed}")
    torn = 0
    with kept(server) as here:
        known = 0
        for round_ in range(ROUNDS):
            done = loaded(here, round_, chance.uniform(0.0, 1.3))
            rest = last_bytes(here.sekisho.audit)
            intents = {line["params"]["value"] for line in here.lines("intent") if "value" in line["params"]}
            held = settled(here)
            assert held - intents == set(), "MLflow has what the record does not know"
            assert done <= held and len(held) > known, "nothing was written"
            known = len(held)
            here.sekisho.restart()
            until(lambda: len(here.system("start")) == round_ + 2)
            verified(here.sekisho.audit)
            told = here.system("torn")
            if rest and not rest.endswith(b'"}'):
                torn += 1
                assert told[-1]["params"] == {"bytes": len(rest), "sha256": hashlib.sha256(rest).hexdigest()}
            assert len(told) == torn
        by_intent = pairs(here.lines())
        numbers = [line["seq"] for line in here.lines("intent")]
        assert set(by_intent) <= set(numbers)
        print(f"{ROUNDS} rounds, {known} values, {len(numbers)} intents, {torn} torn lines")


def loaded(here: Kept, round_: int, seconds: float) -> set[str]:
    """Everybody writes until sekisho is killed, so long after the first was answered: MLflow takes longer with each tag. Gives
    the values whose writers were told that they are there."""
    done: set[str] = set()

    def write(model: int) -> None:
        for number in range(100_000):
            value = f"{round_}-{model}-{number}"
            try:
                answer = here.tag(value, value, model)
            except (OSError, HTTPException):
                return  # it was killed
            assert answer.status == 200, answer
            done.add(value)

    with ThreadPoolExecutor(MODELS) as pool:
        working = [pool.submit(write, model) for model in range(MODELS)]
        until(lambda: done or any(each.done() for each in working))
        time.sleep(seconds)  # the moment is by chance
        here.sekisho.kill()
        for each in working:
            each.result()
    return done


def settled(here: Kept) -> set[str]:
    """The values that MLflow has when it has done all that it was asked."""
    until(lambda: here.wire.take() == [])
    before = None
    while (now := set(here.held().values())) != before:
        before = now
        time.sleep(0.3)
    return now


@pytest.mark.parametrize("missing", [1, 2, 70, 200])
def test_a_torn_line_is_told_of(server: MlflowServer, missing: int) -> None:
    """What a crash left of the last line stays where it is, and the next line tells of it. A missing line feed is no loss."""
    with kept(server) as here:
        for number in range(3):
            assert here.tag(f"k{number}").status == 200
        until(lambda: len(here.lines("outcome")) == 3)
        here.sekisho.kill()
        file = here.sekisho.audit / "here" / "current.jsonl"
        data = file.read_bytes()
        assert data.endswith(b"\n") and json.loads(data.splitlines()[-1])["kind"] == "outcome"
        os.truncate(file, len(data) - missing)
        rest = last_bytes(here.sekisho.audit)
        here.sekisho.restart()
        until(lambda: len(here.system("start")) == 2)
        verified(here.sekisho.audit)
        told = [line["params"] for line in here.system("torn")]
        whole_line = {"bytes": len(rest), "sha256": hashlib.sha256(rest).hexdigest()}
        assert told == ([] if missing == 1 else [whole_line])
        assert file.read_bytes().startswith(data[: len(data) - missing] + b"\n")
        shown = run_command("audit", "verify", str(here.sekisho.audit)).stdout
        assert ("that a crash tore" in shown) == (missing > 1)
        assert here.tag("after").status == 200


def refuses_to_start(here: Kept) -> str:
    """The sentence with which it ends at once."""
    with contextlib.chdir(here.sekisho.folder):
        done = run_command("serve", "--config", str(here.sekisho.config))
    assert done.returncode == 2, done
    sentence = done.stderr.splitlines()[-1]
    assert sentence.startswith("sekisho: ") and "panicked" not in done.stderr, done.stderr
    return sentence


def full(here: Kept, value: str = "x") -> Path:
    """Takes all room, and writes until the record refuses."""
    ballast = fill(here.sekisho.audit)
    for number in range(PAGE):
        if here.tag(f"last-{len(value)}-{number}", value).status == 507:
            return ballast
    raise AssertionError("it never refused")


def again(here: Kept) -> None:
    """Writes are done again, by and by."""
    until(lambda: here.tag("again").status == 200)


def test_on_a_full_disk_writes_are_refused_and_reads_go_on(server: MlflowServer) -> None:
    """A sentence, at once and once; afterwards all is well by itself, and the record says what it does not hold."""
    with kept(server, disk=SMALL) as here, acting(here.url, here.ann) as client:
        client.set_registered_model_tag(here.model, "before", "x")
        ballast = full(here)
        here.wire.take()
        answer = here.tag("refused")
        assert (answer.status, answer.error_code()) == (507, "RESOURCE_EXHAUSTED")
        assert "record" in answer.json()["message"] and len(answer.json()["message"]) > 20, answer
        sent = len(here.refused)
        # The client knows statuses by the error's code alone; it has 429 for this one, and repeats only what came as 429.
        sentence = refused(client.set_registered_model_tag, here.model, "by-the-client", "x", status=429)
        assert "RESOURCE_EXHAUSTED" in sentence and "record" in sentence, sentence
        for _ in range(5):
            assert here.read().status == 200
        assert not [seen for seen in here.wire.take() if seen.target == SET_TAG]
        assert not {"refused", "by-the-client"} & here.held().keys()
        ballast.unlink()
        again(here)
        until(lambda: here.system("lost"))
        lost = Counter()
        for line in here.system("lost"):
            lost.update(line["params"])
            assert line["count"] == sum(line["params"].values())
        later = len(here.refused) - sent
        told = [line for line in here.lines("refusal") if line.get("status") == 507]
        # The client reads a model before it tags it.
        assert lost["reads"] == 5 + 1 and lost["others"] == 0, lost
        # Those of the full disk, the client's one, and whichever came before it was found out that there is room again.
        assert lost["refusals"] + len(told) == sent + 1 + later, (lost, len(told), sent, later)
        # An outcome is written after its answer.
        until(lambda: {line["seq"] for line in here.lines("intent")} == set(pairs(here.lines())))
        done = pairs(here.lines())
        intents = {line["seq"]: line["params"]["key"] for line in here.lines("intent")}
        assert {intents[seq] for seq, line in done.items() if line["outcome"] == "applied"} == here.held().keys()
        assert {line["outcome"] for line in done.values()} <= {"applied", "not_applied"}


def test_an_intent_that_did_not_stay_in_time_is_told_as_not_applied(server: MlflowServer) -> None:
    """It is in the file, and then there was no room to have it stay. Where the room ends depends on how long the lines are."""
    with kept(server, disk=SMALL) as here:
        for length in range(0, 2_000, 130):
            full(here, "x" * length).unlink()
            again(here)
            done = pairs(here.lines())
            if any(line["outcome"] == "not_applied" for line in done.values()):
                break
        else:
            pytest.fail("no intent was the line for which there was no room")
        intents = {line["seq"]: line["params"]["key"] for line in here.lines("intent")}
        late = {intents[seq] for seq, line in done.items() if line["outcome"] == "not_applied"}
        assert late and not late & here.held().keys()
        assert all("in time" in line["reason"] for line in done.values() if line["outcome"] == "not_applied")
        verified(here.sekisho.audit)


def test_a_write_that_is_under_way_when_the_disk_fills_is_told_to_its_end(server: MlflowServer) -> None:
    """Its outcome waits for room, and is not lost."""
    with kept(server, disk=SMALL) as here:
        stop = Stop(lambda seen: b"under-way" in seen.body)
        here.wire.stop(stop)
        with ThreadPoolExecutor(1) as pool:
            asked = pool.submit(here.tag, "under-way", "x", 1)
            stop.reach()
            here.wire.stop(None)
            ballast = full(here)
            stop.release()
            answer = asked.result()
        assert answer.status == 200 and here.held()["under-way"] == "x"
        ballast.unlink()
        again(here)
        _, after = outcome(here, answer)
        assert after["outcome"] == "applied"


def test_killed_on_a_full_disk(server: MlflowServer) -> None:
    """A record that could not be written to its end goes on from what is there."""
    with kept(server, disk=SMALL) as here:
        ballast = full(here)
        here.sekisho.kill()
        ballast.unlink()
        here.sekisho.restart()
        assert here.tag("after").status == 200
        verified(here.sekisho.audit)


def test_started_on_a_full_disk_writes_are_refused_until_there_is_room(server: MlflowServer) -> None:
    """It starts for those who read."""
    with kept(server, disk=SMALL) as here:
        ballast = full(here)
        here.sekisho.restart()
        assert here.read().status == 200
        ballast_again = full(here)
        assert ballast_again == ballast
        ballast.unlink()
        again(here)
        verified(here.sekisho.audit)


def test_best_effort_writes_on_a_full_disk(server: MlflowServer) -> None:
    """Nobody is refused, and what the record does not hold is counted."""
    with kept(server, {"mode": "best_effort"}, disk=SMALL) as here:
        ballast = fill(here.sekisho.audit)
        for number in range(PAGE):
            assert here.tag(f"k{number}").status == 200
        assert len(here.held()) == PAGE
        time.sleep(0.5)  # nobody can see when it is tried again
        ballast.unlink()

        def complete() -> bool:
            told = {line["params"]["key"] for line in here.lines("intent")}
            counted = sum(line["params"]["others"] for line in here.system("lost"))
            return 2 * len(told & here.held().keys()) + counted >= 2 * PAGE

        until(complete)
        verified(here.sekisho.audit)


def test_a_folder_that_can_only_be_read_is_no_place_for_a_record(server: MlflowServer) -> None:
    """It does not start, and says why; then it does."""
    with kept(server, disk=SMALL) as here:
        assert here.tag("before").status == 200
        here.sekisho.kill()
        folder = str(here.sekisho.audit)
        assert mount("-o", "remount,ro", folder).returncode == 0
        try:
            sentence = refuses_to_start(here)
        finally:
            assert mount("-o", "remount,rw", folder).returncode == 0
        assert "audit" in sentence and "ead-only" in sentence, sentence
        here.sekisho.restart()
        assert here.tag("after").status == 200


def test_a_folder_that_is_moved_away_refuses_writes(server: MlflowServer) -> None:
    """What is written to a file that nobody finds is no record."""
    with kept(server) as here:
        assert here.tag("before").status == 200
        elsewhere = here.sekisho.folder / "elsewhere"
        here.sekisho.audit.rename(elsewhere)
        try:
            assert here.tag("away").status == 507
            assert here.read().status == 200
        finally:
            elsewhere.rename(here.sekisho.audit)
        again(here)
        assert "away" not in here.held()
        intents = {line["params"]["key"]: line["seq"] for line in here.lines("intent")}
        until(lambda: set(pairs(here.lines())) == set(line["seq"] for line in here.lines("intent")))
        assert "away" not in intents or pairs(here.lines())[intents["away"]]["outcome"] == "not_applied"
        verified(here.sekisho.audit)


@pytest.mark.parametrize("what", ["gone", "another", "open"])
def test_a_record_without_its_private_key_does_not_start(server: MlflowServer, what: str) -> None:
    """Exit 2 and a sentence; nothing of the record is changed; with the key it goes on."""
    with kept(server) as here:
        assert here.tag("before").status == 200
        here.sekisho.kill()
        key = here.sekisho.folder / "audit.key"
        assert key.stat().st_mode & 0o777 == 0o600
        text, before = key.read_text(), records.text(here.sekisho.audit)
        leaks.remember("".join(text.splitlines()[1:-1]), "the private key")
        key.unlink()
        match what:
            case "another":
                with kept(server) as other:
                    shutil.copy(other.sekisho.folder / "audit.key", key)
            case "open":
                key.write_text(text)
                key.chmod(0o644)
            case _:
                pass
        sentence = refuses_to_start(here)
        assert "audit.key" in sentence, sentence
        assert key.exists() == (what != "gone") and records.text(here.sekisho.audit) == before
        key.write_text(text)
        key.chmod(0o600)
        here.sekisho.restart()
        assert here.tag("after").status == 200
        verified(here.sekisho.audit)


def test_two_sekishos_write_two_chains(server: MlflowServer) -> None:
    """One folder, one key; each has a sub-folder, and the first is free again when its writer has ended."""
    with kept(server) as here:
        shared = {"path": str(here.sekisho.audit), "signing_key_file": str(here.sekisho.folder / "audit.key")}
        with kept(server, shared) as there:
            for number in range(5):
                assert here.tag(f"k{number}").status == there.tag(f"k{number}").status == 200
            here.sekisho.restart()
            there.sekisho.kill()
            there.sekisho.restart()
            assert here.tag("later").status == there.tag("later").status == 200
            until(lambda: len([line for line in here.lines("outcome")]) == 12)
        chains = sorted(file.parent.name for file in here.sekisho.audit.glob("*/current.jsonl"))
        assert chains == ["here", "here-2"]
        for chain, model in (("here", here.model), ("here-2", there.model)):
            text = (here.sekisho.audit / chain / "current.jsonl").read_text()
            assert text.count(f'"object":"model:{model}/') == 12
        verified(here.sekisho.audit)
        # One of them cannot be taken away.
        copy = here.sekisho.folder / "copy"
        shutil.copytree(here.sekisho.audit, copy)
        shutil.rmtree(copy / "here-2")
        done = run_command("audit", "verify", str(copy))
        assert done.returncode == 1 and "here-2" in done.stdout, done


@pytest.fixture(scope="module")
def closed(server: MlflowServer, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of a record whose writer has ended."""
    folder = tmp_path_factory.mktemp("closed") / "audit"
    with kept(server) as here:
        for number in range(10):
            assert here.tag(f"k{number}").status == 200
        here.sekisho.restart()
        assert here.tag("later").status == 200
        until(lambda: len(here.lines("outcome")) == 11)
        here.sekisho.restart()
        # The copy of a head is there when the head stays.
        until(lambda: json.loads((here.sekisho.audit / "here" / "head").read_text())["seq"] == here.lines("head")[-1]["seq"])
        here.sekisho.kill()
        shutil.copytree(here.sekisho.audit, folder)
    return folder


def verify(folder: Path, *options: str) -> tuple[int, str]:
    """The exit code and what is printed."""
    done = run_command("audit", "verify", str(folder), *options)
    return done.returncode, done.stdout


def heads(folder: Path) -> list[dict]:
    """The last heads."""
    done = run_command("audit", "head", str(folder), "--output", "json")
    assert done.returncode == 0, done
    found = whole(done.stdout)
    assert isinstance(found, list)
    return found


def test_what_verify_and_head_print(closed: Path) -> None:
    """Text for people, JSON for programs, the same in both."""
    lines = list(records.lines(closed))
    signed = sum(line["kind"] == "head" for line in lines)
    code, text = verify(closed)
    assert code == 0 and text.splitlines()[0] == f"verified {len(lines)} lines, {signed} heads"
    assert any(line.startswith("tail unproven") for line in text.splitlines())
    (head,) = heads(closed)
    last = [line for line in lines if line["kind"] == "head"][-1]
    assert head == {"hash": last["hash"], "chain": "here", "seq": last["seq"], "time": last["time"]}
    printed = run_command("audit", "head", str(closed)).stdout
    assert printed == f"{last['hash']} here {last['seq']} {last['time']}\n"
    key = ("--public-key", str(closed / "audit.pub"))
    for options, proven in ((key, False), (("--expect-head", head["hash"]), False), ((*key, "--expect-head", head["hash"]), True)):
        code, text = verify(closed, *options)
        assert code == 0 and ("tail unproven" in text) != proven, (options, text)
        code, text = verify(closed, *options, "--output", "json")
        found = whole(text)
        assert isinstance(found, dict)
        assert code == 0 and said(found, "ok", "lines", "heads", "torn", "removed", "tail_proven") == {
            "ok": True, "lines": len(lines), "heads": signed, "torn": 0, "removed": 0, "tail_proven": proven,
        }  # fmt: skip
        assert found["chains"][0]["seq"] == lines[-1]["seq"] and found["chains"][0]["hash"] == lines[-1]["hash"]


def test_one_changed_byte_is_found(closed: Path, tmp_path: Path) -> None:
    """In any line, anywhere in it: exit 1, and the file and the line are named."""
    data = (closed / "here" / "current.jsonl").read_bytes()
    chance = random.Random(8)
    copy = tmp_path / "audit"
    shutil.copytree(closed, copy)
    file = copy / "here" / "current.jsonl"
    starts = [0] + [at + 1 for at, byte in enumerate(data) if byte == 10][:-1]
    for number, start in enumerate(starts, 1):
        end = data.index(b"\n", start)
        for at in {start, end - 1, chance.randrange(start, end)}:
            changed = bytearray(data)
            changed[at] ^= 1
            file.write_bytes(changed)
            code, text = verify(copy)
            assert code == 1 and text.startswith(f"{file}:{number}: "), (number, at - start, text)
            assert records.faults(copy) != ""
    code, text = verify(copy, "--output", "json")
    found = whole(text)
    assert isinstance(found, dict)
    assert code == 1 and said(found, "ok", "file", "line") == {"ok": False, "file": str(file), "line": len(starts)}
    assert found["what"]


def test_lines_that_are_taken_out_or_moved_are_found(closed: Path, tmp_path: Path) -> None:
    """As if nobody had ever asked."""
    copy = tmp_path / "audit"
    shutil.copytree(closed, copy)
    file = copy / "here" / "current.jsonl"
    lines = file.read_bytes().splitlines(keepends=True)
    for changed in (lines[:4] + lines[5:], [*lines[:4], lines[5], lines[4], *lines[6:]], lines[1:], [*lines[:4], lines[3], *lines[4:]]):
        file.write_bytes(b"".join(changed))
        code, text = verify(copy)
        assert code == 1 and text.startswith(f"{file}:"), text
        assert records.faults(copy) != ""


def test_a_cut_end_is_found_by_a_head_that_was_kept(closed: Path, tmp_path: Path) -> None:
    """Whoever cuts the end, and the copy of the head with it, is found out only by who kept the head."""
    copy = tmp_path / "audit"
    shutil.copytree(closed, copy)
    (head,) = heads(closed)
    key = ("--public-key", str(closed / "audit.pub"), "--expect-head", head["hash"])
    file = copy / "here" / "current.jsonl"
    lines = file.read_bytes().splitlines(keepends=True)
    earlier = [number for number, line in enumerate(lines) if b'"kind":"head"' in line][-2]
    file.write_bytes(b"".join(lines[: earlier + 1]))
    code, text = verify(copy)
    assert code == 1 and str(copy / "here" / "head") in text, "the copy tells"
    (copy / "here" / "head").write_bytes(lines[earlier])
    code, text = verify(copy)
    assert code == 0 and "tail unproven" in text, text
    code, text = verify(copy, *key)
    assert code == 1 and head["hash"] in text, text
    assert verify(closed, *key)[0] == 0


def test_another_key_proves_nothing(closed: Path, server: MlflowServer, tmp_path: Path) -> None:
    """Who replaced the record, and the key beside it, has no signature of the key that was kept."""
    with kept(server) as other:
        shutil.copy(other.sekisho.audit / "audit.pub", tmp_path / "other.pub")
    code, text = verify(closed, "--public-key", str(tmp_path / "other.pub"))
    assert code == 1 and "signed" in text, text


def test_what_is_no_record_is_not_verified(tmp_path: Path) -> None:
    """An empty folder, none at all, a hash that is none."""
    for folder in (tmp_path, tmp_path / "missing"):
        code, text = verify(folder)
        assert code == 1 and str(folder) in text, text
    done = run_command("audit", "verify", str(tmp_path), "--expect-head", "12")
    assert done.returncode != 0 and "--expect-head" in done.stderr, done
    assert run_command("audit", "head", str(tmp_path)).returncode == 1

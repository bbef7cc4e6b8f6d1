"""Secrets in every place where a caller can put one: none is written down, whatever the log's level, and no refusal repeats one."""

from __future__ import annotations

import base64
import json
import secrets
import socket
from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest
from conftest import LOGS, Gate, need_binary
from harness import leaks, records
from harness.mlflow_server import MlflowServer
from harness.rest import Answer, send, send_raw
from harness.sekisho import Sekisho

MODELS = "/api/2.0/mlflow/registered-models/search"
V2 = "/api/2.0/mlflow"
FILES = "/api/2.0/mlflow-artifacts"


@dataclass(frozen=True)
class Sent:
    """A request with secrets in it. `credential` is `admin`, `reader`, `none` or a value of its own."""

    what: str
    method: str
    target: str
    credential: str = "admin"
    body: object = None
    headers: dict[str, str] = field(default_factory=dict)


def secret(name: str) -> str:
    """A new one, which is looked for from now on."""
    return leaks.remember(f"s3cr3t-{secrets.token_urlsafe(18)}", f"the secret in {name}")


def basic(user: str, password: str) -> str:
    """The value of a Basic header."""
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


@pytest.fixture(scope="module")
def traced() -> Iterator[Gate]:
    """A gate that writes down as much as it ever does. When it ends, the harness searches all of it."""
    need_binary()
    with MlflowServer(LOGS) as server, Sekisho(server.url, LOGS, environment={"RUST_LOG": "trace"}) as sekisho:
        yield Gate(sekisho, server)


def credentials(token: str) -> list[Sent]:
    """Good and bad ones, in their places and in others."""
    head, claims, signature = token.split(".")
    url = f"{MODELS}?"
    return [
        Sent("Bearer that is no token", "GET", MODELS, f"Bearer {secret('Bearer')}"),
        Sent("Bearer with other characters", "GET", MODELS, f"Bearer {secret('a broken Bearer')}/+="),
        Sent("Basic with a password", "GET", MODELS, basic("alice", secret("Basic"))),
        Sent("Basic with a secret user", "GET", MODELS, basic(secret("the user of Basic"), token)),
        Sent("Basic without a colon", "GET", MODELS, "Basic " + base64.b64encode(secret("half a Basic").encode()).decode()),
        Sent("Basic that is not base64", "GET", MODELS, f"Basic {secret('plain Basic')}!"),
        Sent("another scheme", "GET", MODELS, f"Digest response=\"{secret('Digest')}\""),
        Sent("no scheme", "GET", MODELS, secret("Authorization")),
        Sent("two in one", "GET", MODELS, f"Bearer {token}, Bearer {secret('a second Bearer')}"),
        Sent("a token with another signature", "GET", MODELS, f"Bearer {head}.{claims}.{secret('a signature')}"),
        Sent("a token without its claims", "GET", MODELS, f"Bearer {head}.{signature}"),
        Sent("in a cookie", "GET", MODELS, headers={"Cookie": f"session={secret('a cookie')}; token={token}"}),
        Sent("in other headers", "GET", MODELS, headers={
            "X-Api-Key": secret("X-Api-Key"),
            "Proxy-Authorization": f"Bearer {secret('Proxy-Authorization')}",
            "X-Authorization": f"Bearer {token}",
            "X-Amz-Security-Token": secret("X-Amz-Security-Token"),
            "Sec-WebSocket-Protocol": secret("Sec-WebSocket-Protocol"),
        }),
        Sent("in the referer and origin", "POST", f"{V2}/registered-models/create", headers={
            "Referer": f"https://x/?token={token}",
            "Origin": f"https://u:{secret('Origin')}@evil.example",
        }, body={"name": "m"}),
        Sent("in a preflight", "OPTIONS", MODELS, "none", headers={
            "Origin": f"https://u:{secret('an Origin')}@evil.example",
            "Access-Control-Request-Method": secret("a preflight"),
        }),
        Sent("in the query", "GET", f"{url}token={token}&access_token={secret('access_token')}&password={secret('password')}"),
        Sent("in the query, refused", "GET", f"{url}token={secret('token')}&max_results=x", "none"),
        Sent("twice in the query", "GET", f"{V2}/runs/get?run_id={secret('run_id')}&run_id={secret('a second run_id')}"),
        Sent("in a query that is not UTF-8", "GET", f"{url}token={secret('bad UTF-8')}%ff"),
        Sent("in a query of another route", "POST", f"{V2}/runs/create?run_name={secret('a query of a POST')}", body={}),
        Sent("in a path without a route", "GET", f"/login/{token}", "none"),
        Sent("in a path without a route, let in", "GET", f"/login/{token}/x"),
        Sent("claims in a path", "GET", f"{V2}/{claims}"),
        Sent("a signature in a path", "GET", f"/ajax-api/2.0/mlflow/{signature}"),
        Sent("in a path with two slashes", "GET", f"//{token}"),
        Sent("in an absolute target", "GET", f"http://u:{secret('a target')}@x/{token}"),
    ]


def presigned() -> list[Sent]:
    """Addresses that are a key by themselves."""
    def signed(name: str) -> str:
        return f"https://bucket.s3.amazonaws.com/a?X-Amz-Signature={secret(name)}&X-Amz-Credential={secret(name + ' (key)')}"

    return [
        Sent("as a source", "POST", f"{V2}/model-versions/create", body={"name": "m", "source": signed("a source")}),
        Sent("as a source, refused", "POST", f"{V2}/model-versions/create", "reader", {"name": "m", "source": signed("a refused source")}),
        Sent("as an artifact location", "POST", f"{V2}/experiments/create", "reader", {"name": "e", "artifact_location": signed("a location")}),
        Sent("as a query", "GET", f"{FILES}/artifacts/1/r/artifacts/x?X-Amz-Signature={secret('X-Amz-Signature')}&sig={secret('sig')}", "reader"),
        Sent("asked for", "POST", f"{FILES}/presigned/upload", "reader", {"path": signed("a path")}),
    ]


def bodies() -> list[Sent]:
    """What MLflow itself is told in confidence, taken and refused, sound and broken."""
    hook = {"name": "h", "url": f"https://hooks.example/{secret('the address of a webhook')}", "events": [{"entity": "REGISTERED_MODEL", "action": "CREATED"}]}
    found: list[Sent] = []
    for who in ("admin", "reader", "none"):
        found += [
            Sent("a webhook", "POST", f"{V2}/webhooks", who, hook | {"secret": secret("a webhook")}),
            Sent("a webhook's new secret", "PATCH", f"{V2}/webhooks/1", who, {"secret": secret("a webhook's change")}),
            Sent("a gateway secret", "POST", "/api/3.0/mlflow/gateway/secrets/create", who, {
                "secret_name": "s", "secret_value": {"api_key": secret("a gateway secret")}, "provider": "openai",
            }),
            Sent("a user's password", "POST", f"{V2}/users/create", who, {"username": "u", "password": secret("a new user's password")}),
            Sent("a changed password", "PATCH", f"{V2}/users/update-password", who, {"username": "u", "password": secret("a changed password")}),
            Sent("a tag", "POST", f"{V2}/registered-models/set-tag", who, {"name": "m", "key": "k", "value": secret("a tag")}),
            Sent("a parameter", "POST", f"{V2}/runs/log-parameter", who, {"run_id": "0" * 32, "key": "k", "value": secret("a parameter")}),
            Sent("a filter", "POST", f"{V2}/runs/search", who, {"experiment_ids": ["0"], "filter": f"params.k = '{secret('a filter')}'"}),
            Sent("an unknown field", "POST", f"{V2}/registered-models/create", who, {"name": "m", "password": secret("an unknown field")}),
            Sent("a wrong type", "POST", f"{V2}/registered-models/create", who, {"name": {"a": secret("a wrong type")}}),
        ]
    broken = [
        (f'{{"name": "{secret("broken JSON")}', "broken"),
        (f'{{"password": "{secret("a doubled key")}", "password": "{secret("the other")}"}}', "doubled"),
        (f'["{secret("a list")}"]', "a list"),
        (f'{{"name": {secret("no JSON")}}}', "no JSON"),
        (f'{{"name": "m", "description": "\\ud800{secret("a lone surrogate")}"}}', "a lone surrogate"),
    ]
    found += [Sent(f"JSON: {what}", "POST", f"{V2}/registered-models/create", "admin", text.encode()) for text, what in broken]
    query = f'query {{ mlflowGetRun(input: {{runId: "{secret("GraphQL")}"}}) {{ run {{ x }} }} }}'
    found.append(Sent("GraphQL", "POST", "/graphql", "admin", {"query": query, "variables": {"input": secret("a variable")}}))
    return found


def test_nothing_that_is_sent_in_confidence_is_written_down(traced: Gate) -> None:
    """Asked as an admin, as somebody who may do little, and as nobody; over HTTP/1.1, whole and broken."""
    admin = traced.sekisho.token("root@company.com", "admin")
    reader = traced.sekisho.token("eve@company.com", "auditor")
    told: dict[str, list[str]] = {}
    for sent in credentials(admin) + presigned() + bodies():
        value = {"admin": f"Bearer {admin}", "reader": f"Bearer {reader}", "none": None}.get(sent.credential, sent.credential)
        headers = sent.headers | ({"Authorization": value} if value else {})
        answer = send(traced.url, sent.method, sent.target, None, sent.body, headers)
        if answer.status >= 400 and (repeated := leaks.found_in(f"{answer.headers} {answer.body.decode(errors='replace')}")):
            told[f"{sent.what}, as {sent.credential[:6]}: {answer.status}"] = repeated
    assert told == {}
    for broken in raw(admin):
        answer = send_raw(traced.url, broken)
        assert leaks.found_in(answer.body.decode(errors="replace")) == []


def raw(token: str) -> list[bytes]:
    """Requests that end while they are read."""
    hidden = secret("a broken head")
    return [
        f"GET / HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {token}\0\r\n\r\n".encode(),
        f"GET / HTTP/1.1\r\nhost: x\r\nauthorization : Bearer {token}\r\n\r\n".encode(),
        f"GET /{hidden} HTTP/9.9\r\nhost: x\r\n\r\n".encode(),
        f"{hidden}\r\n\r\n".encode(),
        f"POST {MODELS} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {token}\r\ntransfer-encoding: chunked\r\n\r\n{hidden}\r\n".encode(),
        f"GET / HTTP/1.1\r\nhost: x\r\nx: {hidden}\r\n y\r\n\r\n".encode(),
    ]


def http2(place: str, fields: list[tuple[str, str]]) -> bytes:
    """One request in frames of its own (RFC 9113, RFC 7541 section 6.2.2), and everything that came until the answer began."""
    block = b""
    for name, value in fields:
        block += b"\0" + _text(name) + _text(value)
    frames = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + _frame(4, 0, 0, b"") + _frame(1, 5, 1, block)
    host, port = place.removeprefix("http://").split(":")
    came = b""
    with socket.create_connection((host, int(port)), 15) as wire:
        wire.sendall(frames)
        while True:
            head = _exactly(wire, 9)
            came += _exactly(wire, int.from_bytes(head[:3]))
            if len(head) < 9 or head[3] in (1, 3, 7):
                return came


def _exactly(wire: socket.socket, count: int) -> bytes:
    came = b""
    while len(came) < count and (more := wire.recv(count - len(came))):
        came += more
    return came


def _frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    return len(payload).to_bytes(3) + bytes((kind, flags)) + stream.to_bytes(4) + payload


def _text(text: str) -> bytes:
    length, raw = len(text), text.encode()
    if length < 127:
        return bytes((length,)) + raw
    rest, size = length - 127, b"\x7f"
    while rest >= 128:
        size += bytes((rest % 128 + 128,))
        rest //= 128
    return size + bytes((rest,)) + raw


def test_http2_is_no_more_talkative(traced: Gate) -> None:
    """Sound, refused, and not even a request."""
    token = traced.sekisho.token("root@company.com", "admin")
    sound = [(":method", "GET"), (":scheme", "http"), (":authority", "x"), (":path", f"{MODELS}?token={secret('a query in HTTP/2')}")]
    for more in (
        [("authorization", f"Bearer {token}"), ("cookie", secret("a cookie in HTTP/2"))],
        [("authorization", f"Bearer {secret('Bearer in HTTP/2')}")],
        [("authorization", f"Bearer {token}"), ("connection", secret("a connection in HTTP/2"))],
        [("authorization", f"Bearer {token}\r\nx: y"), ("x", secret("a broken field in HTTP/2"))],
    ):
        assert http2(traced.url, sound + more)


def test_what_is_searched_for_would_be_found(traced: Gate) -> None:
    """The oracle is alive: a token in any of its forms, and the line of a request that the log does hold."""
    token = traced.sekisho.token("root@company.com", "admin")
    head, claims, signature = token.split(".")
    wrapped = basic("somebody", token)
    for text in (token, f"x{token}y", f"{head}.{claims}", claims, signature, wrapped, basic("s", token), basic("so", token)):
        assert leaks.found_in(json.dumps({"reason": text})) == ["a token"], text
    assert leaks.found_in(f"{head} {wrapped[:20]}") == []
    answer: Answer = send(traced.url, "GET", MODELS, token)
    assert answer.status == 200
    log = traced.sekisho.log.read_text()
    assert "root@company.com" in records.text(traced.sekisho.audit)
    assert '"level":"TRACE"' in log

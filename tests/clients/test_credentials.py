"""Who has no good token gets a 401 that a person understands, at once, in the plain client too."""

from __future__ import annotations

import base64
import time

import pytest
from attempts import ATTEMPTS
from client_process import bearer, run_client
from conftest import WatchedGate
from harness.rest import Answer, send

MODELS = "/api/2.0/mlflow/registered-models/search"


@pytest.fixture(scope="module")
def good(watched: WatchedGate) -> str:
    """A token that works."""
    return watched.sekisho.token("root@company.com", "admin")


def basic(password: str) -> str:
    """The value of a Basic header."""
    return "Basic " + base64.b64encode(f"any:{password}".encode()).decode()


def test_both_ways_to_send_a_token_work(watched: WatchedGate, good: str) -> None:
    """Bearer and Basic, the scheme in any case; none of it reaches MLflow."""
    watched.wire.take()
    for value in (f"Bearer {good}", f"bearer {good}", basic(good)):
        assert send(watched.url, "GET", MODELS, headers={"Authorization": value}).status == 200
    arrived = watched.wire.take()
    assert len(arrived) == 3
    assert not [seen for seen in arrived if good in repr(seen) or any(n.lower() == "authorization" for n, _ in seen.headers)]


def test_a_bad_credential_is_401_and_goes_nowhere(watched: WatchedGate, good: str) -> None:
    """Each in MLflow's JSON, with a challenge."""
    head, payload, signature = good.split(".")
    none = base64.urlsafe_b64encode(b'{"alg":"none"}').rstrip(b"=").decode()
    watched.wire.take()
    for value in (
        None,
        "",
        "Bearer",
        "Bearer ",
        "Bearer nonsense",
        f"Bearer {head}.{payload}.",
        f"Bearer {none}.{payload}.",
        f"Bearer {none}.{payload}.{signature}",
        f"Bearer {head}.{payload}.{signature[:-2]}",
        f"Bearer {good} {good}",
        f"Token {good}",
        "Basic !!!",
        basic(""),
        basic("wrong"),
        f"Basic {good}",
    ):
        answer = send(watched.url, "GET", MODELS, headers={} if value is None else {"Authorization": value})
        check_unauthenticated(answer, f"{value}"[:40])
    assert watched.wire.take() == []


def test_claims_that_prove_nothing_are_401(watched: WatchedGate) -> None:
    """Rightly signed, but expired, early, endless or of another algorithm. The first row shows that the signing is right."""
    now = int(time.time())
    admin = {"user_id": "late@company.com", "role": "admin", "exp": now + 600}
    assert send(watched.url, "GET", MODELS, watched.sekisho.sign(admin)).status == 200
    without_end = {name: value for name, value in admin.items() if name != "exp"}
    watched.wire.take()
    for what, token in {
        "expired": watched.sekisho.sign(admin | {"exp": now - 180}),
        "too early": watched.sekisho.sign(admin | {"nbf": now + 300}),
        "without end": watched.sekisho.sign(without_end),
        "end as a text": watched.sekisho.sign(admin | {"exp": str(now + 600)}),
        "nobody": watched.sekisho.sign({"role": "admin", "exp": now + 600}),
        "HS512": watched.sekisho.sign(admin, "HS512"),
        "RS256": watched.sekisho.sign(admin, "RS256"),
        "none": watched.sekisho.sign(admin, "none"),
    }.items():
        check_unauthenticated(send(watched.url, "GET", MODELS, token), what)
    assert watched.wire.take() == []


def test_an_expired_token_says_since_when(watched: WatchedGate) -> None:
    """A sentence for a person."""
    token = watched.sekisho.sign({"user_id": "late@company.com", "role": "admin", "exp": int(time.time()) - 185})
    assert "token expired 3 minutes ago" in send(watched.url, "GET", MODELS, token).body.decode()


def test_the_plain_client_shows_it_at_once(watched: WatchedGate) -> None:
    """Every kind of call, without a single retry."""
    names = [name for name in ATTEMPTS if name != "load"]
    came = run_client("attempts.py", bearer(watched.url, "nonsense"), "any", "1", "0" * 32, *names)
    assert isinstance(came, dict)
    wrong = {n: r for n, r in came.items() if r["code"] not in ("UNAUTHENTICATED", "CUSTOMER_UNAUTHORIZED") or r["seconds"] > 5}
    assert wrong == {}


def check_unauthenticated(answer: Answer, what: str) -> None:
    """The whole shape of a 401."""
    headers = {name.lower(): value for name, value in answer.headers.items()}
    assert answer.status == 401, what
    assert answer.error_code() == "UNAUTHENTICATED", what
    assert "www-authenticate" in headers, what
    assert headers["content-type"].startswith("application/json"), what

"""One person by two issuers: each vouches for its own spellings, and both for one person."""

from __future__ import annotations

import secrets
import time

from conftest import LOGS, need_binary
from harness import leaks
from harness.mlflow_server import MlflowServer
from harness.rest import send
from harness.sekisho import Sekisho
from house_of_stages import MODEL, OURS
from ruled import API, GOOD

HERE, THERE = "https://here.example.com", "https://there.example.com"
# Full width letters, which no pattern of the first issuer takes.
WIDE = "".join(chr(ord(letter) + 0xFEE0) for letter in "ann@example.com")
ISSUERS = f"""
[[auth.issuers]]
issuer = "{HERE}"
hs256_secret_file = "FOLDER/secret"
users = ["*@example.com"]
roles = ["ml_engineer", "product_manager"]

[[auth.issuers]]
issuer = "{THERE}"
hs256_secret_file = "FOLDER/other"
users = ["*@EXAMPLE.COM", "{WIDE}", "*@there.example.com"]
roles = ["product_manager"]
"""
SHORT = """
[[transitions]]
from = "Development"
to = "Staging"
required_approvals = 1
"""


def test_one_person_of_two_issuers_is_one_person() -> None:
    """Who asked here does not approve as who they are there, and nobody is vouched for by whom they are not theirs."""
    need_binary()
    with MlflowServer(LOGS) as server:
        sekisho = Sekisho(server.url, LOGS, settings={"rules": {"mode": "enforce"}})
        (sekisho.folder / "other").touch(mode=0o600)
        (sekisho.folder / "other").write_text(leaks.remember(secrets.token_urlsafe(48), "the other secret"))
        config = sekisho.config.read_text()
        own = next(line for line in config.splitlines() if line.startswith("hs256_secret_file"))
        issuers = ISSUERS.replace("FOLDER", str(sekisho.folder))
        sekisho.config.write_text(config.replace(f"[auth]\n{own}\n", "") + issuers)
        with (sekisho.folder / "policies" / "stages.toml").open("a") as sink:
            sink.write(SHORT)
        with sekisho:
            walk(sekisho)


def walk(sekisho: Sekisho) -> None:
    """Asks here, and tries to approve from there."""

    def token(issuer: str, user: str, role: str) -> str:
        claims = {"iss": issuer, "user_id": user, "role": role, "model_access": ["*"], "exp": int(time.time()) + 3600}
        return sekisho.sign(claims, secret="secret" if issuer == HERE else "other")

    ann = token(HERE, "ann@example.com", "ml_engineer")
    run = send(sekisho.url, "POST", f"{API}runs/create", ann, {"experiment_id": "0"}).json()["run"]["info"]["run_id"]
    files = f"/api/2.0/mlflow-artifacts/artifacts/0/{run}/artifacts/model/weights.txt"
    assert send(sekisho.url, "PUT", files, ann, b"weights").status == 200
    assert send(sekisho.url, "POST", f"{API}registered-models/create", ann, {"name": MODEL}).status == 200
    tags = [{"key": key, "value": value} for key, value in GOOD.items()]
    body: dict[str, object] = {"name": MODEL, "source": f"runs:/{run}/model", "run_id": run, "tags": tags}
    assert send(sekisho.url, "POST", f"{API}model-versions/create", ann, body).status == 200
    asked = send(sekisho.url, "POST", f"{OURS}approvals", ann, {"name": MODEL, "version": "1", "stage": "Staging"})
    assert asked.status == 200, asked.body
    approve = f"{OURS}approvals/{asked.json()['request']['number']}/approve"

    for user in ("ann@EXAMPLE.COM", "Ann@EXAMPLE.COM", WIDE):
        answer = send(sekisho.url, "POST", approve, token(THERE, user, "product_manager"), {})
        assert (answer.status, b"own request" in answer.body) == (403, True), (user, answer)
    for issuer, user in [(THERE, "ann@example.com"), (THERE, "cara@example.com"), (HERE, "bob@there.example.com"), (HERE, WIDE)]:
        answer = send(sekisho.url, "POST", approve, token(issuer, user, "product_manager"), {})
        assert answer.status == 401, (issuer, user, answer)
    # The other's key opens nothing under this one's name.
    forged = {"iss": HERE, "user_id": "cara@example.com", "role": "product_manager", "model_access": ["*"]}
    answer = send(sekisho.url, "POST", approve, sekisho.sign(forged | {"exp": int(time.time()) + 3600}, secret="other"), {})
    assert answer.status == 401, answer
    # A role that the other may not give is none.
    assert send(sekisho.url, "POST", approve, token(THERE, "bob@there.example.com", "admin"), {}).status in (403, 404)
    answer = send(sekisho.url, "POST", approve, token(THERE, "bob@there.example.com", "product_manager"), {})
    assert (answer.status, answer.json()["request"]["state"]) == (200, "done"), answer

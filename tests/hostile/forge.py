"""Tokens as an attacker would make them, from claims that would open everything; and a few that are rightly signed and open nothing."""

from __future__ import annotations

import base64
import hmac
import json
import time
from collections.abc import Iterator

from hostile.vector import VICTIM

HS256 = {"alg": "HS256", "typ": "JWT"}
ROOT = {"user_id": "root@example.com", "role": "admin"}


def coded(data: bytes | str) -> str:
    """Base64url without padding."""
    return base64.urlsafe_b64encode(data.encode() if isinstance(data, str) else data).rstrip(b"=").decode()


def jwt(claims: object, key: bytes, header: object = None, digest: str = "sha256") -> str:
    """A token with any header and claims; texts are taken as they are."""
    parts = [part if isinstance(part, str) else json.dumps(part) for part in (header or HS256, claims)]
    signed = ".".join(map(coded, parts))
    return f"{signed}.{coded(hmac.digest(key, signed.encode(), digest))}"


def words(secret: bytes) -> dict[str, str]:
    """A word for each token."""
    made = {name.replace(" ", "_"): token for name, token in (*forged(secret), *weak(secret))}
    return made | basics(secret, made)


def basics(secret: bytes, made: dict[str, str]) -> dict[str, str]:
    """HTTP Basic with a token in it, rightly in the owner's alone."""
    owner = {
        "user_id": "owner@example.com",
        "role": ["ml_engineer", "devops_engineer"],
        "model_access": [VICTIM],
        "exp": int(time.time()) + 7200,
    }
    good = made["good"]
    spelled = {
        "basic_owner": f"any:{jwt(owner, secret)}",
        "basic_user": f"{good}:",
        "basic_colon": f"a:b:{good}",
        "basic_line": f"a:{good}\r\n",
        "basic_forged": f"a:{made['other_key']}",
    }
    return {word: base64.b64encode(text.encode()).decode() for word, text in spelled.items()}


def forged(secret: bytes) -> Iterator[tuple[str, str]]:
    """Not signed by the house, or not for now, or not in a form that says one thing."""
    now = int(time.time())
    root = ROOT | {"exp": now + 3600}
    good = jwt(root, secret)
    weak = jwt({"user_id": "eve@example.com", "role": "nobody", "exp": now + 3600}, secret)
    head, payload, signature = good.split(".")
    low = weak.split(".")
    yield "other key", jwt(root, b"x" * 48)
    yield "empty key", jwt(root, b"")
    yield "public word as key", jwt(root, b"secret")
    for alg in ("none", "None", "NONE", "nOnE", ""):
        yield f"alg {alg or 'empty'} unsigned", f"{coded(json.dumps({'alg': alg, 'typ': 'JWT'}))}.{payload}."
        yield f"alg {alg or 'empty'} signed", jwt(root, secret, {"alg": alg, "typ": "JWT"})
    for alg, digest in (
        ("HS384", "sha384"),
        ("HS512", "sha512"),
        ("RS256", "sha256"),
        ("ES256", "sha256"),
        ("EdDSA", "sha256"),
        ("hs256", "sha256"),
    ):
        yield f"alg {alg}", jwt(root, secret, {"alg": alg, "typ": "JWT"}, digest)
    yield "no alg", jwt(root, secret, {"typ": "JWT"})
    yield "alg twice", jwt(root, b"x" * 48, '{"alg":"none","alg":"HS256"}')
    yield "jwk inside", jwt(root, b"x" * 48, HS256 | {"jwk": {"kty": "oct", "k": coded(b"x" * 48)}})
    yield "jku elsewhere", jwt(root, b"x" * 48, HS256 | {"jku": "https://1.1.1.1/keys"})
    yield "kid a path", jwt(root, b"", HS256 | {"kid": "../../../../dev/null"})
    yield "crit", jwt(root, secret, HS256 | {"crit": ["exp"]})
    yield "typ of another kind", jwt(root, secret, HS256 | {"typ": "secevent+jwt"})
    yield "signature cut", good[:-4]
    yield "signature empty", f"{head}.{payload}."
    yield "signature of another", f"{head}.{payload}.{low[2]}"
    yield "payload of another", f"{low[0]}.{payload}.{low[2]}"
    yield "signature padded", good + "="
    yield "signature in hex", f"{head}.{payload}.{base64.urlsafe_b64decode(signature + '==').hex()}"
    yield "four parts", good + ".x"
    yield "two parts", f"{head}.{payload}"
    yield "blank inside", f"{head}. {payload}.{signature}"
    yield "claims twice", jwt(f'{{"user_id":"a","role":"nobody","role":"admin","exp":{now + 3600}}}', secret)
    yield "expired", jwt(root | {"exp": now - 3600}, secret)
    yield "just expired", jwt(root | {"exp": now - 40}, secret)
    yield "not yet", jwt(root | {"nbf": now + 3600}, secret)
    yield "issued later", jwt(root | {"iat": now + 3600}, secret)
    yield "endless", jwt(ROOT, secret)
    for name, end in (("text", str(now + 3600)), ("null", None), ("true", True), ("list", [now + 3600]), ("negative", -1), ("zero", 0)):
        yield f"exp {name}", jwt(ROOT | {"exp": end}, secret)
    yield "exp infinite", jwt('{"user_id":"a","role":"admin","exp":1e999}', secret)
    yield "exp NaN", jwt('{"user_id":"a","role":"admin","exp":NaN}', secret)
    for name, user in (("none", None), ("empty", ""), ("list", ["root"]), ("number", 5), ("newline", "root\nadmin")):
        yield f"user {name}", jwt({"user_id": user, "role": "admin", "exp": now + 3600}, secret)
    yield "claims a list", jwt([root], secret)
    yield "claims a text", jwt('"root"', secret)
    yield "too long", jwt(root | {"pad": "x" * 9000}, secret)
    yield "good", good


def weak(secret: bytes) -> Iterator[tuple[str, str]]:
    """Rightly signed, by claims that do not name the hidden model, or roles that there are not."""
    base = {"user_id": "eve@example.com", "role": "ml_engineer", "exp": int(time.time()) + 3600}
    for name, claim in {
        "no claim": {},
        "claim null": {"model_access": None},
        "claim empty": {"model_access": []},
        "claim of an empty text": {"model_access": [""]},
        "claim object": {"model_access": {VICTIM: True}},
        "claim of other case": {"model_access": [VICTIM.upper()]},
        "claim with blank": {"model_access": [f" {VICTIM}", f"{VICTIM} "]},
        "claim shorter": {"model_access": [VICTIM[:-1]]},
        "claim longer": {"model_access": [f"{VICTIM}2"]},
        "claim regex": {"model_access": ["victim.model", "^victim_model$", "victim_mode[l]", ".*"]},
        "claim question mark": {"model_access": ["victim_mode?", "????????????"]},
        "claim SQL": {"model_access": ["victim%", "%"]},
        "claim nested": {"model_access": [[VICTIM]]},
        "claim joined": {"model_access": [f"mine,{VICTIM}", f"mine {VICTIM}"]},
        "claim version": {"model_access": [f"{VICTIM}/1", f"models:/{VICTIM}", f"model:{VICTIM}"]},
        "claim look-alike": {"model_access": ["v\u0456ctim_model", "victim\uff3fmodel"]},
        "claim of other name": {"models": [VICTIM], "Model_Access": [VICTIM], "modelAccess": [VICTIM]},
        "role of other case": {"role": "Admin", "model_access": []},
        "role with blank": {"role": "admin ", "model_access": []},
        "role prefixed": {"role": "role:admin", "model_access": []},
        "role joined": {"role": "ci,admin", "model_access": []},
        "role object": {"role": {"admin": True}, "model_access": []},
        "role nested": {"role": [["admin"]], "model_access": []},
        "role of other name": {"roles": ["admin"], "Role": "admin", "model_access": []},
        "user called admin": {"user_id": "admin", "role": "nobody", "model_access": ["*"]},
        "user like a role": {"user_id": "role:admin", "role": "nobody", "model_access": ["*"]},
    }.items():
        yield name, jwt(base | claim, secret)

"""No credential, a forged one, one in a wrong place, or a good one that does not name the model."""

from __future__ import annotations

import base64
from collections.abc import Iterator

from hostile import forge
from hostile.deeds import ON_VICTIM
from hostile.house import NOBODY, House
from hostile.vector import Request, Twin, Vector, attack, each, get

FORGED = [name.replace(" ", "_") for name, _ in forge.forged(b"k" * 48) if name != "good"]
WEAK = [name.replace(" ", "_") for name, _ in forge.weak(b"k" * 48)]
WISHES = {name: ON_VICTIM[name] for name in ("get", "tag")}


def in_the_header() -> dict[str, tuple[str, ...]]:
    """Header lines that prove nothing, around a token that is good."""
    plain = base64.b64encode(b"root:password").decode()
    return {
        "nothing": (),
        "empty": ("Authorization:",),
        "scheme alone": ("Authorization: Bearer",),
        "blank token": ("Authorization: Bearer ",),
        "nonsense": ("Authorization: Bearer nonsense",),
        "without a scheme": ("Authorization: ~good~",),
        "another scheme": ("Authorization: Token ~good~",),
        "digest": ("Authorization: Digest username=root, response=~good~",),
        "negotiate": ("Authorization: Negotiate ~good~",),
        "two tokens": ("Authorization: Bearer ~good~ ~good~",),
        "two tokens with a comma": ("Authorization: Bearer ~good~, Bearer ~good~",),
        "header twice": ("Authorization: Bearer ~good~", "Authorization: Bearer ~good~"),
        "good and forged": ("Authorization: Bearer ~good~", "Authorization: Bearer ~other_key~"),
        "forged and good": ("Authorization: Bearer ~other_key~", "Authorization: Bearer ~good~"),
        "bearer and basic": ("Authorization: Bearer ~good~", f"Authorization: Basic {plain}"),
        "quoted": ('Authorization: Bearer "~good~"',),
        "basic in clear": ("Authorization: Basic root:~good~",),
        "basic of nonsense": ("Authorization: Basic !!!",),
        "basic password": (f"Authorization: Basic {plain}",),
        "basic without colon": (f"Authorization: Basic {base64.b64encode(b'root').decode()}",),
        "basic empty": (f"Authorization: Basic {base64.b64encode(b':').decode()}",),
        "basic with the token as user": ("Authorization: Basic ~basic_user~",),
        "basic with a colon before": ("Authorization: Basic ~basic_colon~",),
        "basic with a line end": ("Authorization: Basic ~basic_line~",),
        "basic of a forged one": ("Authorization: Basic ~basic_forged~",),
        "proxy": ("Proxy-Authorization: Bearer ~good~",),
        "another header": ("X-Authorization: Bearer ~good~", "X-MLflow-Authorization: Bearer ~good~", "X-Access-Token: ~good~"),
        "underscore": ("X_Authorization: Bearer ~good~", "HTTP_AUTHORIZATION: Bearer ~good~"),
        "cookie": ("Cookie: Authorization=Bearer%20~good~; token=~good~; mlflow-request-header-Authorization=Bearer%20~good~",),
        "identity headers": ("X-Forwarded-User: root", "Remote-User: root", "X-Remote-User: root", "X-Auth-Request-User: root"),
        "client certificate header": (
            "X-SSL-Client-Verify: SUCCESS",
            "X-SSL-Client-S-DN: CN=root",
            "X-Forwarded-Client-Cert: Subject=root",
        ),
    }


def credentials() -> Iterator[Vector]:
    """Each with a read and a write."""
    shown = {name: (f"Authorization: Bearer ~{name}~",) for name in FORGED} | in_the_header()
    for wish in WISHES.values():
        for name, lines in shown.items():
            yield attack(f"{wish.name}, {name.replace('_', ' ')}", NOBODY, wish.request.having(*lines), wish.twin())
        for name in WEAK:
            request = wish.request.having(f"Authorization: Bearer ~{name}~")
            yield attack(
                f"{wish.name}, {name.replace('_', ' ')}",
                NOBODY,
                request,
                Twin("owner", wish.request.having("Authorization: Basic ~basic_owner~")),
            )


def elsewhere() -> Iterator[Vector]:
    """Without a credential, or with one in the address, on the doors that are not the registry's."""
    twin = ON_VICTIM["get"].twin()
    for parameter in ("token", "access_token", "authorization", "jwt"):
        yield attack(
            f"in the query as {parameter}", NOBODY, get("registered-models/get", name="victim_model", **{parameter: "~good~"}), twin
        )
    doors = {
        "search": get("registered-models/search"),
        "versions": get("model-versions/search"),
        "file": ON_VICTIM["file"].request,
        "artifacts": get("/api/2.0/mlflow-artifacts/artifacts/~e~/models/~l1~/artifacts/MLmodel"),
        "listing": get("/api/2.0/mlflow-artifacts/artifacts", path="~e~/models/~l1~/artifacts"),
        "webhooks": get("webhooks"),
        "upload": Request("PUT", "/api/2.0/mlflow-artifacts/artifacts/~e~/models/~l1~/artifacts/MLmodel", b"taken"),
        "health look-alike": get("/health/../api/2.0/mlflow/registered-models/get", name="victim_model"),
    }
    for name, request in doors.items():
        refuses = "MLflow does not resolve dot segments" if name == "health look-alike" else ""
        yield attack(f"no credential: {name}", NOBODY, request, twin, refuses)


VECTORS = [*credentials(), *elsewhere()]


@each(VECTORS)
def test_credentials(house: House, kind: str, vector: Vector) -> None:
    """Nothing is gained."""
    house.withstands(vector, kind)

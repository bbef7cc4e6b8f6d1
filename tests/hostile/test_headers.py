"""Other sites in a browser that remembers the owner's password, and headers that mean something to somebody."""

from __future__ import annotations

from collections.abc import Iterator

from hostile.deeds import ON_MINE, ON_VICTIM
from hostile.house import NOBODY, House
from hostile.vector import FILES, Request, Twin, Vector, attack, each, get, post

BASIC = "Authorization: Basic ~basic_owner~"
CORS = "MLflow's own check refuses that origin"
THERE = "the owner's own browser asks: what is refused is the other site"


def cross_site() -> Iterator[Vector]:
    """The owner's browser sends the password along, whoever made the request."""
    wishes = {name: ON_VICTIM[name] for name in ("tag", "untag", "describe", "delete", "move alias", "archive")}
    sites = {
        "another origin": (("Origin: https://evil.example",), CORS),
        "no origin": (("Origin: null",), CORS),
        "an origin like ours": (("Origin: http://127.0.0.1.evil.example",), CORS),
        "an origin that ends like ours": (("Origin: http://evil.example/127.0.0.1",), CORS),
        "another port of ours": (("Origin: http://127.0.0.1:9",), ""),
        "localhost": (("Origin: http://localhost",), ""),
        "two origins": (("Origin: http://127.0.0.1", "Origin: https://evil.example"), ""),
        "cross-site": (("Sec-Fetch-Site: cross-site",), ""),
        "same-site": (("Sec-Fetch-Site: same-site",), ""),
        "cross-site with our origin": (("Sec-Fetch-Site: cross-site", "Origin: http://127.0.0.1"), ""),
        "same-origin with another origin": (("Sec-Fetch-Site: same-origin", "Origin: https://evil.example"), CORS),
        "an unknown site": (("Sec-Fetch-Site: elsewhere",), ""),
        "two sites": (("Sec-Fetch-Site: same-origin", "Sec-Fetch-Site: cross-site"), ""),
    }
    for wish in wishes.values():
        for name, (lines, refuses) in sites.items():
            if name == "two origins":
                refuses = CORS
            own_page = wish.request.having(BASIC, "Origin: http://127.0.0.1", "Sec-Fetch-Site: same-origin")
            yield attack(
                f"{wish.name} from {name}", "owner", wish.request.having(BASIC, *lines), Twin("owner", own_page), refuses, told=THERE
            )
    upload = Request("PUT", f"{FILES}/~e~/~spare~/artifacts/new.txt", b"x", ("Content-Type: text/plain", BASIC))
    plain = Twin("owner", upload.having("Sec-Fetch-Site: same-origin"))
    for line in ("Origin: https://evil.example", "Sec-Fetch-Site: cross-site"):
        refuses = CORS if line.startswith("Origin") else ""
        yield attack(f"upload with {line}", "owner", upload.having(line), plain, refuses, told=THERE)
    form = ON_VICTIM["tag"].request.having(BASIC, "Origin: https://evil.example")
    simple = Request("POST", form.target, form.body, ("Content-Type: text/plain", BASIC, "Sec-Fetch-Site: cross-site"))
    yield attack("a form of another site", "owner", simple, ON_VICTIM["tag"].twin(), "MLflow wants the type", told=THERE)
    preflight = Request(
        "OPTIONS",
        form.target,
        None,
        ("Origin: https://evil.example", "Access-Control-Request-Method: POST", "Access-Control-Request-Headers: authorization"),
    )
    yield attack("a preflight", NOBODY, preflight, ON_VICTIM["tag"].twin(), "it changes nothing")


def who_it_is() -> Iterator[Vector]:
    """Headers by which some proxies say who asks, and from where."""
    lines = (
        "X-Forwarded-User: owner@example.com", "X-Forwarded-Email: owner@example.com", "X-Forwarded-Preferred-Username: root",
        "Remote-User: root", "X-Remote-User: root", "X_Remote_User: root", "X-User: root", "X-Webauth-User: root",
        "X-Forwarded-For: 127.0.0.1", "Forwarded: for=127.0.0.1;host=127.0.0.1", "X-Real-IP: 127.0.0.1", "True-Client-IP: 127.0.0.1",
        "X-Forwarded-Host: evil.example", "X-Forwarded-Proto: https", "X-Forwarded-Prefix: /x", "X-Original-Host: localhost",
        "X-MLflow-Authorization: Basic YTpi", "Cookie: mlflow_user=root; session=root",
        "Cookie: mlflow-request-header-X-Sekisho-User=root", "X-Sekisho-User: root", "X-Sekisho-Roles: admin",
        "Connection: Authorization", "Connection: X-Forwarded-For, Host", "X-HTTP-Method-Override: GET", "Expect: 100-continue",
        "Upgrade: h2c", "Range: bytes=0-40", "TE: trailers", "Via: 1.1 proxy", "X-Request-Id: 1",
        "traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", "Accept: */*;q=0", "If-None-Match: *",
    )  # fmt: skip
    for name in ("get", "tag", "file"):
        wish = ON_VICTIM[name]
        for line in lines:
            yield attack(f"{name} with {line}", "engineer", wish.request.having(line), wish.twin())


def another_address() -> Iterator[Vector]:
    """My own model in the request line, the victim's in a header that rewrites it somewhere."""
    own = ON_MINE["get"].request
    there = ON_VICTIM["get"].request.target
    for line in (
        f"X-Original-URL: {there}",
        f"X-Rewrite-URL: {there}",
        f"X-Forwarded-Uri: {there}",
        f"X-Original-URI: {there}",
        f"Content-Location: {there}",
        f"Referer: http://127.0.0.1{there}",
    ):
        yield attack(
            f"mine with {line.split(':')[0]}", "engineer", own.having(line), ON_MINE["get"].twin("engineer"), "MLflow does not look at it"
        )


def hosts() -> Iterator[Vector]:
    """Whose server it is said to be."""
    wish = ON_VICTIM["get"]
    for name, lines, refuses in (
        ("another host", ("Host: evil.example",), "MLflow refuses the host"),
        ("two hosts", ("Host: 127.0.0.1", "Host: evil.example"), "h11 refuses two hosts"),
        ("an empty host", ("Host:",), "MLflow refuses the host"),
        ("a host that looks private", ("Host: 10.evil.com",), ""),
        ("a host with a path", ("Host: 127.0.0.1/x",), "MLflow refuses the host"),
        ("a host with a user", ("Host: root@127.0.0.1",), "MLflow refuses the host"),
    ):
        yield attack(name, "engineer", wish.request.having(*lines), wish.twin(), refuses)


def workspaces() -> Iterator[Vector]:
    """The header that selects a tenant."""
    off = "workspaces are off"
    for line, refuses in (
        ("X-MLFLOW-WORKSPACE: default", off),
        ("X-MLFLOW-WORKSPACE: team-a", off),
        ("X-MLFLOW-WORKSPACE: ../default", off),
        ("X-MLFLOW-WORKSPACE:", ""),
        ("x-mlflow-workspace: default", off),
        ("X_MLFLOW_WORKSPACE: default", ""),
        ("X-MLflow-Workspace: *", off),
    ):
        for name in ("get", "tag"):
            wish = ON_VICTIM[name]
            yield attack(f"{name} with {line}", "engineer", wish.request.having(line), wish.twin(), refuses)
    lists = get("registered-models/search")
    yield attack(
        "a list with a workspace",
        "engineer",
        lists.having("X-MLFLOW-WORKSPACE: default"),
        Twin("engineer", post("registered-models/set-tag", name="mine_a", key="k", value="v")),
        off,
    )
    for path in ("/api/3.0/mlflow/workspaces", "/ajax-api/3.0/mlflow/workspaces", "/api/3.0/mlflow/workspaces/default"):
        request = get(path)
        yield attack(f"ask {path}", "engineer", request, ON_MINE["get"].twin("engineer"), off)


VECTORS = [*cross_site(), *who_it_is(), *another_address(), *hosts(), *workspaces()]


@each(VECTORS)
def test_headers(house: House, kind: str, vector: Vector) -> None:
    """Nothing is gained."""
    house.withstands(vector, kind)

"""Paths, methods and places of parameters in every spelling that one reader may take for another."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from urllib.parse import quote

from hostile.deeds import ON_MINE, ON_VICTIM
from hostile.house import House
from hostile.vector import API, JSON_TYPE, ROWS, VICTIM, Request, Vector, attack, call, each, get, post, raw

WISHES = {name: ON_VICTIM[name] for name in ("get", "tag", "untag", "file", "latest by POST")}
NOT_ROUTED = "no route of MLflow's matches"
REDIRECTED = "MLflow answers with a redirect"
BROKEN = "uvicorn refuses the request line"


def path_spellings() -> dict[str, tuple[Callable[[str], str], str]]:
    """How a path is written, and why MLflow does not take it, if it does not."""

    def last(path: str, text: str) -> str:
        return path.rpartition("/")[0] + "/" + text.replace("LAST", path.rpartition("/")[2])

    return {
        "two slashes in front": (lambda p: "/" + p, ""),
        "five slashes in front": (lambda p: "////" + p, ""),
        "an encoded slash in front": (lambda p: "/%2F" + p[1:], ""),
        "only an encoded slash in front": (lambda p: "%2F" + p[1:], ""),
        "encoded slashes in front, small": (lambda p: "/%2f%2f" + p[1:], ""),
        "an encoded slash inside": (lambda p: "%2F".join(p.rsplit("/", 1)), ""),
        "all slashes encoded": (lambda p: "/" + p[1:].replace("/", "%2F"), ""),
        "an encoded letter": (lambda p: last(p, "%" + f"{ord(p.rpartition('/')[2][0]):02x}" + p.rpartition("/")[2][1:]), ""),
        "all letters encoded": (lambda p: "/".join("".join(f"%{ord(c):02X}" for c in part) for part in p.split("/")), ""),
        "a slash inside twice": (lambda p: "//".join(p.rsplit("/", 1)), REDIRECTED),
        "a slash at the end": (lambda p: p + "/", NOT_ROUTED),
        "an encoded slash at the end": (lambda p: p + "%2F", NOT_ROUTED),
        "a dot segment": (lambda p: last(p, "./LAST"), NOT_ROUTED),
        "a dot-dot segment": (lambda p: last(p, "x/../LAST"), NOT_ROUTED),
        "an encoded dot segment": (lambda p: last(p, "%2e/LAST"), NOT_ROUTED),
        "an encoded dot-dot segment": (lambda p: last(p, "x/%2e%2e/LAST"), NOT_ROUTED),
        "a dot-dot out of static files": (lambda p: "/static-files/.." + p, NOT_ROUTED),
        "a dot-dot out of health": (lambda p: "/health/.." + p, NOT_ROUTED),
        "an encoded letter, twice": (lambda p: p[:-1] + f"%25{ord(p[-1]):02x}", NOT_ROUTED),
        "a parameter": (lambda p: p + ";x=1", NOT_ROUTED),
        "an encoded question mark": (lambda p: p + "%3F", NOT_ROUTED),
        "a NUL": (lambda p: p + "%00", NOT_ROUTED),
        "a space": (lambda p: p + "%20", NOT_ROUTED),
        "a line end": (lambda p: p + "%0A", NOT_ROUTED),
        "a line end in front": (lambda p: "/%0D%0A" + p[1:], NOT_ROUTED),
        "a tab": (lambda p: last(p, "%09LAST"), NOT_ROUTED),
        "capitals": (lambda p: p.upper(), NOT_ROUTED),
        "a capital": (lambda p: last(p, p.rpartition("/")[2].title()), NOT_ROUTED),
        "backslashes": (lambda p: "/" + p[1:].replace("/", "\\"), NOT_ROUTED),
        "encoded backslashes": (lambda p: "/" + p[1:].replace("/", "%5C"), NOT_ROUTED),
        "full-width slashes": (lambda p: "/" + p[1:].replace("/", quote("／")), NOT_ROUTED),
        "an overlong slash": (lambda p: "%c0%af".join(p.rsplit("/", 1)), NOT_ROUTED),
        "the absolute form": (lambda p: "http://127.0.0.1" + p, NOT_ROUTED),
        "the absolute form of another host": (lambda p: "http://evil.example" + p, NOT_ROUTED),
        "a static prefix": (lambda p: "/mlflow" + p, NOT_ROUTED),
        "a fragment": (lambda p: p + "#x", NOT_ROUTED),
        "bytes that are not ASCII": (lambda p: p + "é", BROKEN),
        "a star in front": (lambda p: "*" + p, NOT_ROUTED),
        "no slash in front": (lambda p: p[1:], NOT_ROUTED),
    }


def spelled() -> Iterator[Vector]:
    """Each spelling of each wish."""
    for wish in WISHES.values():
        path, mark, query = wish.request.target.partition("?")
        for name, (spell, refuses) in path_spellings().items():
            yield attack(f"{wish.name}: {name}", "engineer", wish.request.at(spell(path) + mark + query), wish.twin(), refuses)
        if wish.request.target.startswith(API):
            ajax = wish.request.target.replace("/api/", "/ajax-api/", 1)
            yield attack(f"{wish.name}: the page's prefix", "engineer", wish.request.at(ajax), wish.twin())
            yield attack(f"{wish.name}: another version", "engineer", wish.request.at(ajax.replace("2.0", "3.0")), wish.twin(), NOT_ROUTED)


def methods() -> Iterator[Vector]:
    """Method names in other letters, other methods, and headers that would override them."""
    for wish in WISHES.values():
        for method in (wish.request.method.lower(), wish.request.method.title()):
            yield attack(f"{wish.name} by {method}", "engineer", wish.request.by(method), wish.twin())
        for header in ("X-HTTP-Method-Override: GET", "X-HTTP-Method: GET", "X-Method-Override: OPTIONS"):
            yield attack(f"{wish.name} with {header}", "engineer", wish.request.having(header), wish.twin())
        yield attack(f"{wish.name} by HTTP/1.0", "engineer", replace(wish.request, version="HTTP/1.0"), wish.twin())
    refused = "MLflow has no such method there"
    for name, method in (
        ("tag", "PUT"),
        ("tag", "PATCH"),
        ("tag", "DELETE"),
        ("untag", "POST"),
        ("get", "POST"),
        ("get", "DELETE"),
        ("tag", "TRACE"),
        ("tag", "GET"),
    ):
        yield attack(f"{name} by {method}", "engineer", WISHES[name].request.by(method), WISHES[name].twin(), refused)
    for name in ("get", "get version", "get by alias"):
        path, _, query = ON_VICTIM[name].request.target.partition("?")
        fields = dict(pair.split("=") for pair in query.split("&"))
        yield attack(f"{name} by HEAD with a body", "engineer", call("HEAD", path, **fields), ON_VICTIM[name].twin())
        yield attack(
            f"{name} by HEAD", "engineer", ON_VICTIM[name].request.by("HEAD"), ON_VICTIM[name].twin(), "MLflow reads the body of a HEAD"
        )
    yield attack("file by HEAD", "engineer", WISHES["file"].request.by("HEAD"), WISHES["file"].twin())
    yield attack(
        "get by OPTIONS", "engineer", WISHES["get"].request.by("OPTIONS"), WISHES["get"].twin(), "it says only which methods there are"
    )


def places() -> Iterator[Vector]:
    """Parameters in the query where MLflow reads the body, in the body where it reads the query, and in both."""
    victim, mine = b'{"name":"victim_model"}', b'{"name":"mine_a"}'
    path = API + "registered-models/get"
    twin, own = ON_VICTIM["get"].twin(), ON_MINE["get"].twin("engineer")
    for name, query in (("no query", ""), ("an empty query", "?"), ("an ampersand", "?&"), ("ampersands", "?&&&")):
        yield attack(f"a GET's body with {name}", "engineer", raw("GET", path + query, victim), twin)
        yield attack(f"a GET's untyped body with {name}", "engineer", Request("GET", path + query, victim), twin)
    ignored = "MLflow reads the other place"
    yield attack(
        "a GET with mine in the query, the victim's in the body",
        "engineer",
        raw("GET", path + "?name=mine_a", victim),
        own,
        ignored,
        own=ROWS,
    )
    yield attack("a GET with the victim in the query, mine in the body", "engineer", raw("GET", f"{path}?name={VICTIM}", mine), twin)
    yield attack("a GET of two names, the victim first", "engineer", Request("GET", f"{path}?name={VICTIM}&name=mine_a"), twin)
    yield attack(
        "a GET of two names, mine first",
        "engineer",
        Request("GET", f"{path}?name=mine_a&name={VICTIM}"),
        own,
        "MLflow takes the first",
        own=ROWS,
    )
    yield attack("a GET of two names, one encoded", "engineer", Request("GET", f"{path}?n%61me={VICTIM}&name=mine_a"), twin)
    yield attack("an encoded name of a parameter", "engineer", Request("GET", f"{path}?%6e%61%6d%65={VICTIM}"), twin)
    yield attack("a semicolon between", "engineer", Request("GET", f"{path}?name=mine_a;name={VICTIM}"), own, "`;` is part of the value")
    yield attack("a list's brackets", "engineer", Request("GET", f"{path}?name[]={VICTIM}&name=mine_a"), own, "another parameter")
    for query in (f"name={VICTIM}", "name=mine_a"):
        body = ON_VICTIM["tag"].request
        yield attack(f"a POST with {query} in its query", "engineer", body.at(f"{body.target}?{query}"), ON_VICTIM["tag"].twin())
        untag = ON_VICTIM["untag"].request
        yield attack(f"a DELETE with {query} in its query", "engineer", untag.at(f"{untag.target}?{query}"), ON_VICTIM["untag"].twin())
    empty = post("registered-models/set-tag")
    yield attack(
        "a POST with all in its query",
        "engineer",
        empty.at(f"{empty.target}?name={VICTIM}&key=k&value=v"),
        ON_VICTIM["tag"].twin(),
        ignored,
    )
    gone = Request("DELETE", f"{API}registered-models/delete?name={VICTIM}")
    yield attack("a DELETE with all in its query", "engineer", gone, ON_VICTIM["delete"].twin(), ignored)
    both = raw("DELETE", "registered-models/delete?name=mine_a", victim, JSON_TYPE)
    yield attack("a DELETE of mine in the query, the victim in the body", "engineer", both, ON_VICTIM["delete"].twin())
    latest = raw("GET", "registered-models/get-latest-versions?stages=None", victim)
    yield attack("latest with a name in the body and a query", "engineer", latest, ON_VICTIM["latest by GET"].twin(), ignored)
    file = get("/model-versions/get-artifact", name=VICTIM, version="1", path="MLmodel")
    yield attack("a file of two models, the victim first", "engineer", file.at(f"{file.target}&name=mine_a"), ON_VICTIM["file"].twin())
    yield attack("a file of two versions", "engineer", file.at(f"{file.target}&version=2"), ON_VICTIM["file"].twin())


VECTORS = [*spelled(), *methods(), *places()]


@each(VECTORS)
def test_paths(house: House, kind: str, vector: Vector) -> None:
    """Nothing is gained."""
    house.withstands(vector, kind)

"""The ways to spell a request line and a query so that two readers read them differently."""

from __future__ import annotations

import random
from dataclasses import replace

from drafts import Cast, Change, Draft, Raw, insert, of_mine, put_in

# The same octet in other clothes: overlong UTF-8, UTF-7, IIS' %u, full width.
CLOTHES = {
    ".": ("%2e", "%2E", "%252e", "%c0%ae", "%u002e", "%EF%BC%8E", "+AC4-"),
    "/": ("%2f", "%2F", "%252f", "%c0%af", "%5c", "%255c", "\\", "%EF%BC%8F"),
}
BLANKS = (
    "%20",
    "%09",
    "%0a",
    "%0d",
    "%0d%0a",
    "%00",
    "%0b",
    "%1f",
    "%7f",
    "%c2%85",
    "%c2%a0",
    "%e2%80%8b",
    "%e2%80%ae",
    "%ef%bb%bf",
    "+",
    "\udcff",
)


def escaped(text: str, chance: random.Random, share: float, layers: int = 1) -> str:
    """Some octets percent-encoded, and the `%` of these once more for each further layer."""
    out = "".join(f"%{ord(c):02{chance.choice('xX')}}" if c.isascii() and chance.random() < share else c for c in text)
    for _ in range(layers - 1):
        out = out.replace("%", "%25")
    return out


def path_letters(draft: Draft, chance: random.Random, _c: Cast) -> Draft:
    """Octets of the path percent-encoded: one, some or all, once or more."""
    share, layers = chance.choice((0.02, 0.1, 0.5, 1.0)), chance.choice((1, 1, 1, 2, 3))
    keep = chance.random() < 0.7
    parts = [escaped(part, chance, share, layers) for part in draft.path.split("/")]
    return replace(draft, path="/".join(parts) if keep else draft.path[:1] + escaped(draft.path[1:], chance, share, layers))


def path_one(draft: Draft, chance: random.Random, _c: Cast) -> Draft:
    """One octet of the path percent-encoded, dressed up or replaced."""
    path = draft.path
    at = chance.randrange(len(path))
    dress = chance.choice(CLOTHES.get(path[at], (f"%{ord(path[at]):02x}", f"%25{ord(path[at]):02x}", path[at].swapcase(), "")))
    return replace(draft, path=path[:at] + dress + path[at + 1 :])


def path_slashes(draft: Draft, chance: random.Random, _c: Cast) -> Draft:
    """More slashes, dot segments, and steps that lead away and back."""
    parts = draft.path.split("/")
    at = chance.randrange(1, len(parts) + 1)
    more = chance.choice(
        ([""], ["", ""], ["."], ["%2e"], ["x", ".."], ["x", "%2e%2e"], ["x", "%252e%252e"], [".", "."], ["..", ".."], ["..;"], [".%00"], ["%2f"], [""] * 5,
         ["x", "..%2f.."], [parts[at - 1], ".."], ["api", "..", "ajax-api", ".."])
    )  # fmt: skip
    return replace(draft, path="/".join([*parts[:at], *more, *parts[at:]]) or "/")


def path_front(draft: Draft, chance: random.Random, _c: Cast) -> Draft:
    """Something before the path."""
    front = chance.choice(
        (
            "/",
            "//",
            "///",
            "/.",
            "/./",
            "/x/..",
            "/%2f",
            "/\\",
            "/mlflow",
            "/ajax-api/..",
            "/static-files/..",
            "/health/..",
            "/;",
            "/%00",
            "\\",
            " /",
            "/ajax-api",
            "/api",
        )
    )
    return replace(draft, path=front + draft.path, broken=draft.broken or " " in front)


def path_end(draft: Draft, chance: random.Random, _c: Cast) -> Draft:
    """Something behind it."""
    end = chance.choice(
        ("/", "//", "/.", "/..", "/%2e", "/x/..", ";", ";x=1", ";/", "%3b", "%3f", "%3Fx=1", "%23", "#x", "#?x", ".json", ".", "..", "~", "*", "/*", "%2a",
         ":x", "%3a", "%", "%zz", "%2", "%%", "?", "&", "=", *BLANKS)
    )  # fmt: skip
    return replace(draft, path=draft.path + end)


def path_inside(draft: Draft, chance: random.Random, _c: Cast) -> Draft:
    """Blanks, parameters, raw octets inside."""
    return replace(
        draft,
        path="/"
        + put_in(
            draft.path[1:], chance.choice((*BLANKS, ";x=1", "\udcc0\udcae", "\udce9", "\\", "%5c", "|", "^", "`", "{}", '"', "<x>")), chance
        ),
    )


def path_case(draft: Draft, chance: random.Random, _c: Cast) -> Draft:
    """Capitals and small letters."""
    way = chance.choice((str.upper, str.title, str.swapcase, str.capitalize))
    parts = draft.path.split("/")
    at = chance.randrange(len(parts))
    return replace(draft, path="/".join(way(part) if i == at else part for i, part in enumerate(parts)))


def path_twin(draft: Draft, chance: random.Random, _c: Cast) -> Draft:
    """The same route by another prefix or version."""
    path = draft.path
    ways = (
        ("/api/", "/ajax-api/"), ("/ajax-api/", "/api/"), ("/2.0/", "/3.0/"), ("/3.0/", "/2.0/"), ("/2.0/", "/2/"), ("/2.0/", "/4.0/"), ("/2.0/", "/1.2/"), ("/2.0/", "/"),
        ("/mlflow/", "/preview/mlflow/"), ("/mlflow/", "/"), ("/mlflow-artifacts/", "/mlflow/mlflow-artifacts/"), ("/get-artifact", "/ajax-api/2.0/mlflow/get-artifact"),
        ("/get-artifact", "/api/2.0/mlflow/get-artifact"), ("/graphql", "/ajax-api/2.0/graphql"), ("/graphql", "/ajax-api/2.0/mlflow/graphql"),
    )  # fmt: skip
    old, new = chance.choice([way for way in ways if way[0] in path] or [("/", "/ajax-api/2.0/mlflow/")])
    return replace(draft, path=path.replace(old, new, 1))


def target_form(draft: Draft, chance: random.Random, _c: Cast) -> Draft:
    """The absolute form, or no version, or another."""
    way = chance.randrange(7)
    if way < 3:
        host = (
            "http://127.0.0.1",
            "http://evil.example",
            "https://127.0.0.1",
            "http://user@127.0.0.1",
            "HTTP://127.0.0.1",
            "http:",
            "http://",
            "//127.0.0.1",
            "ftp://x",
        )
        return replace(draft, authority=chance.choice(host), alone=True)
    if way == 3:
        return replace(draft, path=draft.path.lstrip("/") or "x", broken=True)
    version = chance.choice(("HTTP/1.0", "HTTP/2.0", "http/1.1", "HTTP/1.2", "HTTP/0.9", "", "HTTP/1.1 x", "ICAP/1.0"))
    return replace(draft, version=version, broken=draft.broken or version != "HTTP/1.0")


def method_spelled(draft: Draft, chance: random.Random, _c: Cast) -> Draft:
    """Another method, or the same in small letters."""
    method = chance.choice(
        (draft.method.lower(), draft.method.title(), draft.method.swapcase(), "HEAD", "HEAD", "head", "POST", "GET", "get", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE",
         "CONNECT", "PROPFIND", "MOVE", "QUERY", "X" + draft.method, draft.method + "X", "M-SEARCH")
    )  # fmt: skip
    return replace(draft, method=method, alone=draft.alone or method in ("CONNECT", "head"))


PATHS: tuple[Change, ...] = (
    path_letters, path_letters, path_one, path_one, path_slashes, path_slashes, path_front, path_end, path_end, path_inside, path_case, path_twin, path_twin, target_form,
    method_spelled, method_spelled,
)  # fmt: skip


def query_letters(draft: Draft, chance: random.Random, _c: Cast) -> Draft:
    """Octets of names or values percent-encoded, once or more."""
    if not draft.query:
        return draft
    at = chance.randrange(len(draft.query))
    share, layers = chance.choice((0.1, 0.5, 1.0)), chance.choice((1, 1, 2, 3, 9))
    pairs = [
        (Raw(escaped(key, chance, share)) if chance.random() < 0.4 else key, Raw(escaped(str(value), chance, share, layers)))
        if i == at
        else (key, value)
        for i, (key, value) in enumerate(draft.query)
    ]
    return replace(draft, query=pairs)


def query_joined(draft: Draft, chance: random.Random, cast: Cast) -> Draft:
    """Other separators, empty parts, and what they would hide."""
    text = draft.query_text()
    if not text:
        return replace(draft, raw_query=chance.choice(("&", "?", "=", "x", "x=1", "&&", ";", "%", "#", "#x=1")))
    mine = str(of_mine(text, cast))
    way = chance.choice(
        (lambda: text.replace("&", ";"), lambda: text.replace("&", "%26"), lambda: f"{mine};{text}", lambda: f"{text};{mine}", lambda: f"&{text}", lambda: f"{text}&", lambda: f"?{text}",
         lambda: text.replace("&", "&&"), lambda: text.replace("=", "%3d"), lambda: text.replace("=", "=="), lambda: f"{mine}&{text}", lambda: f"{text}&{mine}", lambda: f"{mine}?{text}",
         lambda: f"{mine}#{text}", lambda: f"{mine}#&{text}", lambda: f"x=%26{text}", lambda: f"{mine}%26{text}", lambda: f"{mine}\udc00&{text}", lambda: f"{mine}%00&{text}",
         lambda: text.replace("&", "&amp;"), lambda: f"x[]=1&{text}", lambda: f"{mine},{text}", lambda: "&".join(f"x{i}=1" for i in range(990)) + f"&{text}",
         lambda: "&".join(f"x{i}=1" for i in range(1010)) + f"&{text}")
    )  # fmt: skip
    return replace(draft, raw_query=way().replace("\udc00", "\udcff"))


def query_inside(draft: Draft, chance: random.Random, _c: Cast) -> Draft:
    """Blanks, broken escapes and bytes that are no UTF-8, in a name or a value."""
    text = draft.query_text()
    more = chance.choice(
        (
            *BLANKS,
            "%",
            "%z",
            "%e9",
            "%ff",
            "%c0%ae",
            "%ed%a0%80",
            "\udce9",
            "%u0061",
            "[]",
            "[0]",
            ".",
            "%5b%5d",
            "%26",
            "%3d",
            "'",
            '"',
            "%22",
        )
    )
    return replace(draft, raw_query=put_in(text, more, chance))


def query_names(draft: Draft, chance: random.Random, cast: Cast) -> Draft:
    """Ids by their twin names, mine and the victim's."""
    victim, mine = cast.victim, cast.mine
    pairs = [
        ("run_id", victim.run), ("run_uuid", victim.run), ("runId", victim.run), ("run_id", mine.run), ("run_uuid", mine.run), ("run_id", ""), ("run_uuid", ""),
        ("name", victim.name), ("name", mine.name), ("Name", victim.name), ("version", "1"), ("version", "01"), ("experiment_id", victim.experiment), ("experiment_id", mine.experiment),
        ("model_id", victim.model_id), ("path", ""), ("max_results", "1"), ("page_token", "eyJvZmZzZXQiOiAxfQ=="), ("_method", "DELETE"), ("name[]", victim.name), ("run_ids", victim.run),
    ]  # fmt: skip
    return replace(draft, query=insert(draft.query, chance.sample(pairs, chance.choice((1, 1, 2))), chance))


def query_and_body(draft: Draft, chance: random.Random, cast: Cast) -> Draft:
    """A body where the query is read, with or without a query; a query where the body is read."""
    if draft.body is not None or draft.raw_body is not None:
        mine, theirs = (
            [("name", cast.mine.name), ("run_id", cast.mine.run)],
            [("name", cast.victim.name), ("run_id", cast.victim.run), ("version", "1")],
        )
        return replace(draft, query=[*draft.query, *chance.choice((mine, theirs))])
    fields: list[tuple[str, object]] = list(draft.query)
    way = chance.randrange(4)
    if way == 0:
        return replace(draft, body=fields, query=[(key, of_mine(value, cast)) for key, value in draft.query])
    if way == 1:
        return replace(draft, body=fields, query=[], raw_query=chance.choice((None, "&", "?", "#", "%00")))
    if way == 2:
        return replace(draft, body=[(key, of_mine(value, cast)) for key, value in fields])
    return replace(draft, body=fields, method="HEAD")


QUERIES: tuple[Change, ...] = (
    query_letters,
    query_letters,
    query_joined,
    query_joined,
    query_inside,
    query_names,
    query_names,
    query_and_body,
)

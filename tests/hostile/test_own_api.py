"""sekisho's own API: what it says of names, versions and digests, asked by those who may not know of the models.

A bare MLflow has no such routes. So a vector is held to be alive if it tells its sender of the hidden models, or begins
something, where the one who sends it is their owner; the plain form of the same wish does so for all of them.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from urllib.parse import quote

import pytest
from harness.rest import Answer, send_raw
from hostile import forge
from hostile.house import NOBODY, House, as_json
from hostile.test_credentials import FORGED, in_the_header
from hostile.test_lists import offset
from hostile.test_paths import path_spellings
from hostile.vector import COPY, JSON_TYPE, MARKER, PROMPT, VICTIM, Request, Twin, Vector, attack, each, get, post, raw

OWN = "/sekisho/v1/"
AT = f"{OWN}models/{VICTIM}/versions/1"
MINE = f"{OWN}models/mine_a/versions/1"
SEARCH, NAMES, CHECK = f"{OWN}search", f"{OWN}names", f"{OWN}names:check"
STRANGERS = (NOBODY, "engineer", "scientist", "reader", "deployer", "ci", "patterns", "unclaimed", "nobody")

VIEW = Twin("owner", get(AT))
TAKE = Twin("owner", post(f"{AT}/digest"))
FOUND = Twin("owner", get(SEARCH, where=f"name = {VICTIM}"))
LISTED = Twin("owner", get(NAMES))
WISHES = {"view": VIEW, "digest": TAKE, "search": FOUND, "names": LISTED}

REFUSED = ("X-MLFLOW-WORKSPACE: team-a", "Transfer-Encoding: gzip")
NOT_ROUTED = "no route of sekisho's"
NO_NUMBER = "sekisho takes a version's number in one spelling"
NO_METHOD = "sekisho has no such method there"
NO_TOKEN = "sekisho gave it to nobody for this question"
UNREAD = "sekisho refuses what it does not read"
NOT_THERE = "no model or version is called so"
THE_RULE = "it asks the rule, not the registry"
OTHER = "it asks for what everybody may see"
DEAD = "it proves nothing"


def plain() -> Iterator[Vector]:
    """Every wish in its plain form, by everybody who lacks the claim; by hidden name, and by what only hidden models have."""
    for who in STRANGERS:
        for name, wish in WISHES.items():
            yield attack(f"{name} as {who}", who, wish.request, wish)
        for model in (COPY, PROMPT):
            yield attack(f"view {model} as {who}", who, get(f"{OWN}models/{model}/versions/1"), VIEW, "" if model == PROMPT else NOT_THERE)
        yield attack(f"replace the digest as {who}", who, post(f"{AT}/digest", replace=True), TAKE)
        yield attack(f"check its name as {who}", who, post(CHECK, names=[VICTIM, VICTIM.upper(), PROMPT]), LISTED, THE_RULE)
    for name in ("view", "digest"):
        yield attack(f"{name} as the copy's owner", "third", WISHES[name].request, WISHES[name])
    yield attack("digest as auditor", "auditor", TAKE.request, TAKE)


def spelled_models() -> Iterator[Vector]:
    """The hidden name as other readers would read it."""
    rows: list[tuple[str, str, str]] = [
        ("one letter encoded", "%76ictim_model", ""),
        ("all letters encoded", "".join(f"%{ord(letter):02X}" for letter in VICTIM), ""),
        ("the underscore encoded", "victim%5fmodel", ""),
        ("encoded twice", "%2576ictim_model", NOT_THERE),
        ("capitals", VICTIM.upper(), NOT_THERE),
        ("a blank behind", f"{VICTIM}%20", NOT_THERE),
        ("a blank in front", f"%20{VICTIM}", NOT_THERE),
        ("a plus", f"{VICTIM}+", NOT_THERE),
        ("a NUL behind", f"{VICTIM}%00", UNREAD),
        ("a line end behind", f"{VICTIM}%0A", UNREAD),
        ("a tab behind", f"{VICTIM}%09", UNREAD),
        ("a parameter", f"{VICTIM};x=1", NOT_THERE),
        ("an encoded question mark", f"{VICTIM}%3F", NOT_THERE),
        ("an encoded hash", f"{VICTIM}%23", NOT_THERE),
        ("full width", quote(VICTIM.replace("v", "\uff56")), NOT_THERE),
        ("Cyrillic", quote(VICTIM.replace("i", "\u0456", 1)), NOT_THERE),
        ("zero width", quote(f"victim\u200b{VICTIM[6:]}"), NOT_THERE),
        ("bytes that are no text", f"{VICTIM}%ff", UNREAD),
        ("an overlong letter", f"{VICTIM[:-1]}%c1%ac", UNREAD),
        ("half an escape", f"{VICTIM}%4", UNREAD),
        ("a star", "*", NOT_THERE),
        ("a part of it and a star", "victim_*", NOT_THERE),
        ("SQL's pattern", "victim_mode%25", NOT_THERE),
        ("quotes", f"%27{VICTIM}%27", NOT_THERE),
        ("SQL", f"{VICTIM}%27--", NOT_THERE),
        ("a list's condition", f"mine_a%27%20OR%20name%3D%27{VICTIM}", NOT_THERE),
        ("dots from mine", f"mine_a/../{VICTIM}", NOT_ROUTED),
        ("encoded dots from mine", f"mine_a%2F..%2F{VICTIM}", NOT_ROUTED),
        ("a slash behind", f"{VICTIM}%2F", NOT_ROUTED),
        ("a slash in front", f"%2F{VICTIM}", NOT_ROUTED),
        ("a backslash", f"mine_a%5C..%5C{VICTIM}", UNREAD),
        ("its version inside", f"{VICTIM}%2Fversions%2F1", NOT_ROUTED),
        ("another parameter of MLflow's calls", f"mine_a&name={VICTIM}", NOT_THERE),
        ("encoded, too", f"mine_a%26name%3D{VICTIM}", NOT_THERE),
        ("a version's address", f"models:%2F{VICTIM}", NOT_ROUTED),
        ("nothing", "", NOT_ROUTED),
        ("a dot", ".", NOT_ROUTED),
        ("very long", VICTIM * 500, NOT_THERE),
    ]
    for name, model, refuses in rows:
        path = f"{OWN}models/{model}/versions/1"
        for who in ("engineer", "patterns"):
            yield attack(f"a model's name with {name} as {who}", who, Request("GET", path), VIEW, refuses)
        yield attack(f"a digest's model with {name}", "engineer", post(f"{path}/digest"), TAKE, refuses)


def spelled_versions() -> Iterator[Vector]:
    """Numbers that some reader takes for another."""
    rows = {
        "%31": "", "4": "", "01": NO_NUMBER, "+1": NO_NUMBER, "-1": NO_NUMBER, "%201": NO_NUMBER, "1%20": NO_NUMBER,
        "1.0": NO_NUMBER, "1e0": NO_NUMBER, "0x1": NO_NUMBER, "1_0": NO_NUMBER, quote("１"): NO_NUMBER, quote("١"): NO_NUMBER,
        "0": NO_NUMBER, "00": NO_NUMBER, "99": NOT_THERE, "2147483648": NOT_THERE, "999999999999999999": NOT_THERE,
        "1000000000000000000": NO_NUMBER, "9223372036854775807": NO_NUMBER, "9223372036854775808": NO_NUMBER,
        "18446744073709551617": NO_NUMBER, "1" * 400: NO_NUMBER, "latest": NO_NUMBER, "champion": NO_NUMBER,
        "@champion": NO_NUMBER, "Staging": NO_NUMBER, "None": NO_NUMBER, "1%00": NO_NUMBER, "1%0A": NO_NUMBER, "1;x": NO_NUMBER,
        "1%2F..%2F1": NOT_ROUTED, "1,2": NO_NUMBER, "1-4": NO_NUMBER, "*": NO_NUMBER, "NaN": NO_NUMBER, "true": NO_NUMBER,
        "": NOT_ROUTED, "1/": NOT_ROUTED, "1/files": NOT_ROUTED, "1/digest/": NOT_ROUTED, "1%2Fdigest": NOT_ROUTED,
    }  # fmt: skip
    for version, refuses in rows.items():
        path = f"{OWN}models/{VICTIM}/versions/{version}"
        yield attack(f"version {version[:40]}", "engineer", Request("GET", path), VIEW, refuses)
        yield attack(f"digest of version {version[:40]}", "engineer", post(f"{path}/digest"), TAKE, refuses)


def spelled_paths() -> Iterator[Vector]:
    """Each wish at another address: prefixes, slashes, dots, letters."""
    prefixes: dict[str, Callable[[str], str]] = {
        prefix: lambda path, prefix=prefix: f"{prefix}{path.removeprefix('/sekisho/v1')}"
        for prefix in (
            "/api/2.0/sekisho", "/ajax-api/2.0/sekisho", "/api/2.0/mlflow/sekisho", "/ajax-api/2.0/mlflow/sekisho",
            "/api/2.0/sekisho/v1", "/ajax-api/2.0/sekisho/v1", "/ajax-api/sekisho/v1", "/api/sekisho/v1", "/api/3.0/mlflow/sekisho/v1",
            "/mlflow/sekisho/v1", "/sekisho", "/sekisho/v2", "/sekisho/v1.0", "/sekisho/V1", "/Sekisho/v1", "/v1", "/sekisho//v1",
            "/sekisho/./v1", "/sekisho/x/../v1", "/sekisho/v1/..", "/sekisho/v1/../v1", "/%73ekisho/v1", "/sekisho%2Fv1", "/sekisho/v%31",
            "/graphql/sekisho/v1", "/static-files/../sekisho/v1", "/get-artifact/../sekisho/v1", "/sekisho/v1/sekisho/v1",
        )
    }  # fmt: skip
    for wish, twin in WISHES.items():
        path, mark, query = twin.request.target.partition("?")
        spellings = {name: spell for name, (spell, _) in path_spellings().items()}
        same = {"a fragment"} | ({"an encoded letter", "a capital"} if wish == "view" else set())  # the last segment is a number
        for name, spell in {**spellings, **prefixes}.items():
            request = twin.request.at(spell(path) + mark + query)
            yield attack(f"{wish} at {name}", "engineer", request, twin, "" if name in same else NOT_ROUTED)


def methods() -> Iterator[Vector]:
    """Other methods, and headers that would make another of it."""
    for wish, twin in WISHES.items():
        request = twin.request
        for method in ("HEAD", "OPTIONS", "GET", "POST", "PUT", "PATCH", "DELETE", "TRACE", "QUERY", "get", "Post"):
            if method != request.method:
                refuses = "" if (wish, method) == ("view", "HEAD") else NO_METHOD
                yield attack(f"{wish} by {method}", "engineer", request.by(method), twin, refuses)
                yield attack(f"{wish} by {method} with a body", "engineer", raw(method, request.target, b"{}"), twin, NO_METHOD)
        for header in ("X-HTTP-Method-Override", "X-HTTP-Method", "X-Method-Override"):
            for method in ("GET", "POST", "OPTIONS"):
                yield attack(f"{wish} with {header}: {method}", "engineer", request.having(f"{header}: {method}"), twin)
        yield attack(f"{wish} by HTTP/1.0", "engineer", replace(request, version="HTTP/1.0"), twin)


def places() -> Iterator[Vector]:
    """Bodies where the query counts, queries where the body or the path does, and parameters twice or unknown."""
    both = json.dumps({"name": VICTIM, "names": [VICTIM], "where": [f"name = {VICTIM}"], "version": "1"}).encode()
    for wish in ("view", "search", "names"):
        request = WISHES[wish].request
        for name, body in (("", both), (" that is none", b"{"), (" that is empty", b""), (" that is a list", b"[]")):
            refuses = UNREAD if body else ""
            yield attack(f"{wish} with a body{name}", "engineer", raw("GET", request.target, body), WISHES[wish], refuses)
            yield attack(f"{wish} with an untyped body{name}", "engineer", replace(request, body=body), WISHES[wish], refuses)
    for path in (MINE, f"{MINE}/digest"):
        method = "POST" if path.endswith("digest") else "GET"
        for name, query in {
            "its name": f"name={VICTIM}",
            "its name twice": f"name={VICTIM}&name=mine_a",
            "its name encoded": f"n%61me={VICTIM}",
            "its name and version": f"name={VICTIM}&version=4",
            "a list's brackets": f"name[]={VICTIM}",
        }.items():
            body = b"{}" if method == "POST" else None
            headers = (JSON_TYPE,) if body else ()
            yield attack(f"mine with {name} beside, {method}", "reader", Request(method, f"{path}?{query}", body, headers), VIEW, OTHER)
    for name in ("name", "model", "version", "created", "digest", "sha256", "force"):
        yield attack(f"a digest with {name} in its body", "reader", post(f"{MINE}/digest", **{name: VICTIM}), TAKE, UNREAD)
        yield attack(f"the hidden digest with {name} in its body", "engineer", post(f"{AT}/digest", **{name: VICTIM}), TAKE, UNREAD)
    for value in (1, "true", None, [], {}, "yes", [True], {"value": True}, 1e300, -1):
        refuses = "" if value is None else UNREAD
        yield attack(f"replace {value!r}", "engineer", post(f"{AT}/digest", replace=value), TAKE, refuses)
    for name, body in {
        "replace twice": b'{"replace": false, "replace": true}',
        "replace escaped": b'{"r\\u0065place": true}',
        "no JSON": b"replace=true",
        "two values": b"{}{}",
        "a list": b"[]",
        "null": b"null",
        "deep": b'{"replace":' + b"[" * 5_000 + b"]" * 5_000 + b"}",
        "a byte order mark": b"\xef\xbb\xbf{}",
        "UTF-16": '{"replace": true}'.encode("utf-16"),
    }.items():
        refuses = "" if name == "replace escaped" else UNREAD
        yield attack(f"a digest's body with {name}", "engineer", raw("POST", f"{AT}/digest", body), TAKE, refuses)
    for header in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "application/json; charset=utf-16"):
        yield attack(f"a digest's body as {header}", "engineer", raw("POST", f"{AT}/digest", b"{}", f"Content-Type: {header}"), TAKE, UNREAD)
    yield attack("a digest's body without a type", "engineer", Request("POST", f"{AT}/digest", b"{}"), TAKE, UNREAD)
    yield attack("a digest without a body", "engineer", Request("POST", f"{AT}/digest"), TAKE)


def searches() -> Iterator[Vector]:
    """Conditions and orders that hold for hidden versions alone, and what cannot be read."""
    conditions: dict[str, str] = {
        f'name = "{VICTIM}"': "", f"name = {VICTIM}": "", f"name like {VICTIM[:-1]}*": "", "name like *": "", "name like victim_m*l": "",
        "name != mine_a": "", 'name contains "ictim_model"': "", f'note contains "{MARKER}"': "", f'tag.note contains "{MARKER}"': "",
        f'note = "{MARKER} of the victim"': "", f'note like "{MARKER[:4]}*"': "", "note != plain": "", 'note >= "K"': "", "stage = Staging": "",
        "stage != Production": "", "version = 4": "", "version > 2": "", "version >= 0": "", "created >= 2020-01-01": "",
        "run_id = ~r1~": "", "run_id = ~r3~": "", 'source contains "~l1~"': "", 'source contains "~r3~"': "",
        f'source like "models:/{VICTIM}*"': "", "`mlflow.prompt.text` like *": "", f'tag.mlflow.prompt.text contains "{MARKER}"': "",
        'tag.mlflow.prompt.is_prompt = "true"': "", "owner like *": OTHER, "version > 18446744073709551615": OTHER,
        "version > 18446744073709551616": UNREAD, "version = 1e0": "", "version = -1": UNREAD, "stage = Nowhere": UNREAD,
        "created >= 99999-01-01": UNREAD, f"name = '{VICTIM}'": "", f"name = {VICTIM} OR name = mine_a": UNREAD,
        f"name = mine_a; name = {VICTIM}": UNREAD, f'name has "{VICTIM}"': UNREAD, "name": UNREAD, "": UNREAD, "=": UNREAD, "*": UNREAD,
        'dependencies has "x < 1"': OTHER, "dependencies like *": UNREAD, f"NAME = {VICTIM}": "it is a tag's name", "name = \x00": NOT_THERE,
        "note" + ".a" * 400 + " = 1": OTHER, "x" * 1001 + " = 1": UNREAD, 'name = "' + VICTIM + "\\": UNREAD,
    }  # fmt: skip
    for condition, refuses in conditions.items():
        for who in ("engineer", "unclaimed"):
            yield attack(f"where {condition[:60]!a} as {who}", who, get(SEARCH, where=condition), FOUND, refuses)
    yield attack("what holds for mine, too", "engineer", get(SEARCH, where=[f'note contains "{MARKER}"', "name = mine_a"]), FOUND, OTHER)
    yield attack("conditions on two models", "engineer", get(SEARCH, where=[f"name = {VICTIM}", "version = 1"]), FOUND)
    yield attack("too many conditions", "engineer", get(SEARCH, where=[f"name = {VICTIM}"] * 21), FOUND, UNREAD)
    for order in ("name", "name desc", "version desc", "created", "note", "note desc", "tag.note asc", "`note`"):
        for most in ("1", "3", "100"):
            request = get(SEARCH, order_by=order, max_results=most)
            yield attack(f"{most} by {order}", "engineer", request, FOUND)
    for order in ("nothing", VICTIM, "version--", ""):
        yield attack(f"ordered by {order}", "engineer", get(SEARCH, order_by=order), FOUND)
    for order in ("note;", "name,note", "name sideways", "x" * 1001):
        yield attack(f"ordered by {order[:20]}", "engineer", get(SEARCH, order_by=order), FOUND, UNREAD)
    for most in ("0", "-1", "1001", "1e3", "1.5", "NaN", "true", "9" * 40, "", " 1", "+1", "01", "0x10", "2147483648", quote("١")):
        refuses = "" if most == "01" else UNREAD
        yield attack(f"max_results {most[:12]}", "engineer", get(SEARCH, max_results=most), FOUND, refuses)
    for name, query in {
        "max_results": "max_results=1&max_results=1000",
        "order_by": "order_by=name&order_by=note",
        "page_token": "page_token=&page_token=a",
    }.items():
        yield attack(f"{name} twice", "engineer", Request("GET", f"{SEARCH}?{query}"), FOUND, UNREAD)
    for name in ("filter", "user", "as", "seen", "all", "model_access", "role", "name", "q", "fields", "debug", "where[]", "WHERE", "wh%65re"):
        query = f"{name}={quote(f'name = {VICTIM}')}"
        refuses = "" if name == "wh%65re" else UNREAD
        yield attack(f"a search with {name}", "engineer", Request("GET", f"{SEARCH}?{query}"), FOUND, refuses)
        yield attack(f"names with {name}", "engineer", Request("GET", f"{NAMES}?{query}"), LISTED, UNREAD)
    for name, token in {
        "of the owner": "~page~", "of the owner, cut": "~page~x", "that is none": "x", "empty": "", "of MLflow's": offset(0),
        "of MLflow's past all": offset(10**9), "of a place": json.dumps({"rank": "Missing", "key": [VICTIM, 1], "descending": False}),
        "with a NUL": "\x00", "very long": "A" * 6_000,
    }.items():  # fmt: skip
        target = f"{SEARCH}?max_results=1&page_token={token if '~' in token else quote(token)}"
        refuses = "" if name in ("of the owner", "empty") else NO_TOKEN
        yield attack(f"a page token {name}", "engineer", Request("GET", target), FOUND, refuses)
        another = Request("GET", f"{target}&where=version%20%3E%200")
        yield attack(f"a page token {name}, for another question", "engineer", another, FOUND, refuses if token != "~page~" else NO_TOKEN)


def names() -> Iterator[Vector]:
    """Where a list goes on, and names that are asked about."""
    for after in (VICTIM[:-1], "v", "", "a", "\x00", "mine_a", "*", VICTIM, f"{VICTIM}\x00", "\uffff", "x" * 5_000):
        refuses = OTHER if after >= VICTIM else ""
        for who in ("engineer", "unclaimed"):
            yield attack(f"names after {after[:20]!a} as {who}", who, get(NAMES, after=after), LISTED, refuses)
    yield attack("after twice", "engineer", Request("GET", f"{NAMES}?after=a&after={VICTIM}"), LISTED, UNREAD)
    for name, body in {
        "a text": {"names": VICTIM}, "numbers": {"names": [1, 2]}, "nothing": {}, "null": {"names": None}, "an object": {"names": {"a": VICTIM}},
        "lists": {"names": [[VICTIM]]}, "nulls": {"names": [None, VICTIM]}, "its look-alikes": {"names": ["Victim_Model", "victim_model "]},
        "a half character": {"names": ["\ud800"]}, "a long one": {"names": [VICTIM * 2_000]}, "more": {"names": [VICTIM], "where": VICTIM},
        "too many": {"names": [VICTIM] * 1_001}, "another word": {"name": VICTIM}, "a switch": {"names": [VICTIM], "seen": True},
    }.items():  # fmt: skip
        for who in ("engineer", NOBODY):
            yield attack(f"check {name} as {who}", who, post(CHECK, **body), LISTED, THE_RULE)
    for name, target in {
        "in the query": f"{CHECK}?names={VICTIM}", "encoded": f"{OWN}names%3Acheck", "with a blank": f"{CHECK}%20", "of more": f"{CHECK}:check",
        "another verb": f"{OWN}names:all", "another thing": f"{OWN}models:check", "of a model": f"{OWN}models/{VICTIM}:check",
        "a model": f"{OWN}models/{VICTIM}", "models": f"{OWN}models", "versions": f"{OWN}models/{VICTIM}/versions", "all": OWN, "own": OWN[:-1],
    }.items():  # fmt: skip
        yield attack(f"check {name}", "engineer", post(target, names=[VICTIM]), LISTED, NOT_ROUTED)
        yield attack(f"ask {name}", "engineer", Request("GET", target), LISTED, NOT_ROUTED)


def heads() -> Iterator[Vector]:
    """Header lines: no credential, forged ones, other sites, other people, other addresses."""
    shown = {name: (f"Authorization: Bearer ~{name}~",) for name in FORGED} | in_the_header()
    for wish in ("view", "digest"):
        for name, lines in shown.items():
            request = WISHES[wish].request.having(*lines)
            dead = "" if not any(line.lower().startswith("authorization:") for line in lines) else DEAD
            yield attack(f"{wish}, {name.replace('_', ' ')}", NOBODY, request, WISHES[wish], dead)
    for wish, twin in WISHES.items():
        for parameter in ("token", "access_token", "authorization", "jwt"):
            mark = "&" if "?" in twin.request.target else "?"
            request = twin.request.at(f"{twin.request.target}{mark}{parameter}=~good~")
            refuses = "" if wish in ("view", "digest") else UNREAD
            yield attack(f"{wish}, a token as {parameter}", NOBODY, request, twin, refuses)
        for line in (
            "Origin: https://evil.example", "Sec-Fetch-Site: cross-site", "Sec-Fetch-Site: same-site", "Referer: https://evil.example/",
            "X-Forwarded-User: owner@example.com", "X-Remote-User: root", "X-Sekisho-User: owner@example.com", "X-Sekisho-Roles: admin",
            "X-Forwarded-For: 127.0.0.1", "X-Forwarded-Prefix: /x", "Cookie: mlflow_user=root", "X-MLFLOW-WORKSPACE: team-a", "X-MLFLOW-WORKSPACE:",
            "Range: bytes=0-40", "If-None-Match: *", "Accept: text/html", "Accept-Encoding: gzip", "Content-Encoding: gzip", "Upgrade: h2c",
            "Connection: Authorization", "Transfer-Encoding: gzip", "Host: evil.example", "Host: 127.0.0.1/x", "Expect: 100-continue",
        ):  # fmt: skip
            foreign = wish == "digest" and line.startswith(("Origin", "Sec-Fetch-Site"))
            refuses = "no site may write" if foreign else UNREAD if line in REFUSED else ""
            yield attack(f"{wish} with {line}", "engineer", twin.request.having(line), twin, refuses)
        for site in ("https://evil.example", "null"):
            wanted = ("Access-Control-Request-Headers: authorization", f"Access-Control-Request-Method: {twin.request.method}")
            preflight = Request("OPTIONS", twin.request.target, None, (f"Origin: {site}", *wanted))
            yield attack(f"{wish}, a preflight of {site}", NOBODY, preflight, twin, "it tells of nothing")
    mine = get(MINE)
    for header in ("X-Original-URL", "X-Rewrite-URL", "X-Forwarded-Uri", "X-Original-URI", "Content-Location", "Referer"):
        yield attack(f"mine with {header}", "engineer", mine.having(f"{header}: {AT}"), VIEW, OTHER)
    form = Request("POST", f"{AT}/digest", b"{}", ("Content-Type: text/plain", "Sec-Fetch-Site: cross-site", "Authorization: Basic ~basic_owner~"))
    yield attack("a form of another site, with the owner's credential", NOBODY, form, TAKE, DEAD)


VECTORS = [
    *plain(), *spelled_models(), *spelled_versions(), *spelled_paths(), *methods(), *places(), *searches(), *names(), *heads(),
]  # fmt: skip


@pytest.fixture(scope="module")
def attested(house: House) -> House:
    """There is a digest with the names of hidden files, and the owner has a page's token."""
    assert ask(house, "owner", TAKE.request).status == 200
    digest = settled(house, "owner", AT)["digest"]
    assert digest["state"] == "taken" and MARKER in json.dumps(digest["files"]), digest
    page = as_json(ask(house, "owner", get(SEARCH, max_results=1)))
    house.words = {**house.words, "page": page["next_page_token"]}
    return house


def ask(house: House, who: str, request: Request) -> Answer:
    """What somebody is answered through sekisho."""
    return send_raw(house.gated.url, request.message(house.words, house.token(who)))


def settled(house: House, who: str, path: str) -> dict:
    """What somebody sees of a version, if there is one, once its digest is not being taken; MLflow's rows are put back."""
    deadline = time.monotonic() + 20
    while True:
        view = as_json(ask(house, who, Request("GET", path)))
        if view.get("digest", {}).get("state") not in ("waiting", "underway"):
            house.gated.send([], None)
            return view
        assert time.monotonic() < deadline, view
        time.sleep(0.02)


def in_the_owners_hands(house: House, vector: Vector) -> bool:
    """Whether the owner learns something by it that is not to be learned where the hidden models never were."""
    token = house.token("owner")
    sides = [[send_raw(side.url, step.message(house.words, token)) for step in vector.steps] for side in (house.gated, house.empty)]
    told = [house.secrets_in(answer, step.message(house.words, token)) for step, answer in zip(vector.steps, sides[0], strict=True)]
    if any(step.method == "POST" for step in vector.steps):
        for version in ("1", "4"):
            settled(house, "owner", f"{OWN}models/{VICTIM}/versions/{version}")
    return any(told) or bool(list(house.told_apart(*sides)))


@each(VECTORS)
def test_own_api(attested: House, kind: str, vector: Vector) -> None:
    """Nothing is gained, and what the owner sees of the version stays what it was."""
    house = attested
    before = as_json(ask(house, "owner", VIEW.request))
    wrong = list(house.gained(vector))
    if (after := as_json(ask(house, "owner", VIEW.request))) != before:
        wrong.append(f"the owner sees {after} instead of {before}")
    alive = in_the_owners_hands(house, vector)
    house.tally[kind, "alive" if alive else "bare MLflow refuses"] += 1
    if alive == bool(vector.bare_refuses):
        answer = ask(house, "owner", vector.steps[0])
        wrong.append(f"{'not ' * (not alive)}alive where the owner sends it: {answer.status} {answer.body[:200]!r}")
    if vector.twin not in house.twins:
        plain = attack("plain", vector.twin.who, vector.twin.request, vector.twin)
        house.twins[vector.twin] = "" if in_the_owners_hands(house, plain) else f"its plain form is not alive: {vector.twin.request}"
    complaint = "\n".join(line for line in [*wrong, house.twins[vector.twin]] if line)
    assert not complaint, f"{vector.name}, sent by {vector.who}:\n{complaint}"


def test_who_may_not_write_has_no_digest_taken(attested: House) -> None:
    """Of a model that they see; whoever may write it has."""
    take = post(f"{MINE}/digest", replace=True)
    for who in ("reader", "deployer", "ci", "auditor"):
        refusal = ask(attested, who, take)
        assert (refusal.status, refusal.error_code()) == (403, "PERMISSION_DENIED"), (who, refusal.body)
        assert as_json(ask(attested, who, Request("GET", MINE)))["digest"] == {"state": "unknown"}, who
    assert ask(attested, "engineer", take).status == 200
    assert settled(attested, "engineer", MINE)["digest"]["state"] != "unknown"

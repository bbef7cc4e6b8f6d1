"""Requests by query and JSON body, and the ways to write these so that two readers read them differently."""

from __future__ import annotations

import json
import random
import re
from dataclasses import replace
from functools import cache
from urllib.parse import parse_qsl, quote

from drafts import API, Cast, Change, Draft, insert, of_mine
from harness.samples import Place, sample
from harness.sekisho import run_command

# What would start programs, jobs or calls to other places where nobody stands in front.
NEVER = ("/assistant/", "/jobs", "/demo/", "/invoke", "/gateway", "/scorers", "prompt-optimization", "/sekisho/", "/v1/traces")


def plain(cast: Cast) -> list[Draft]:
    """The plain requests: the ways to touch or to see what is the victim's."""
    victim, mine = cast.victim, cast.mine
    model, version = [("name", victim.name)], [("name", victim.name), ("version", "1")]
    run: list[tuple[str, object]] = [("run_id", victim.run), ("run_uuid", victim.run)]
    posts: list[tuple[str, list[tuple[str, object]]]] = [
        ("/registered-models/set-tag", [*model, ("key", "k"), ("value", "v")]),
        ("/registered-models/rename", [*model, ("new_name", mine.name + "_taken")]),
        ("/registered-models/rename", [("name", mine.name), ("new_name", victim.name)]),
        ("/registered-models/alias", [*version, ("alias", "champion")]),
        ("/registered-models/get-latest-versions", [*model, ("stages", ["None"])]),
        ("/model-versions/set-tag", [*version, ("key", "k"), ("value", "v")]),
        ("/model-versions/transition-stage", [*version, ("stage", "Archived")]),
        ("/model-versions/create", [*model, ("source", f"models:/{victim.model_id}"), ("model_id", victim.model_id)]),
        ("/model-versions/create", [("name", mine.name), ("source", f"models:/{victim.name}/1")]),
        ("/model-versions/create", [("name", mine.name), ("source", f"runs:/{victim.run}/model"), ("run_id", victim.run)]),
        ("/model-versions/create", [("name", mine.name), ("source", f"models:/{victim.model_id}"), ("model_id", victim.model_id)]),
        ("/runs/set-tag", [*run, ("key", "k"), ("value", "v")]),
        ("/runs/log-metric", [*run, ("key", "k"), ("value", 1.5), ("timestamp", 1), ("step", 1)]),
        ("/runs/log-parameter", [*run, ("key", "k"), ("value", "v")]),
        ("/runs/log-batch", [("run_id", victim.run), ("tags", [{"key": "k", "value": "v"}])]),
        ("/runs/update", [*run, ("status", "FAILED"), ("run_name", "taken")]),
        ("/runs/delete", [("run_id", victim.run)]),
        ("/runs/search", [("experiment_ids", [victim.experiment]), ("max_results", 10)]),
        ("/experiments/update", [("experiment_id", victim.experiment), ("new_name", "taken")]),
        ("/experiments/set-experiment-tag", [("experiment_id", victim.experiment), ("key", "k"), ("value", "v")]),
        ("/experiments/delete", [("experiment_id", victim.experiment)]),
        ("/logged-models/search", [("experiment_ids", [victim.experiment])]),
    ]
    others: list[tuple[str, str, list[tuple[str, object]]]] = [
        ("PATCH", "/registered-models/update", [*model, ("description", "taken")]),
        ("PATCH", "/model-versions/update", [*version, ("description", "taken")]),
        ("PATCH", f"/logged-models/{victim.model_id}/tags", [("model_id", victim.model_id), ("tags", [{"key": "k", "value": "v"}])]),
        ("PATCH", f"/logged-models/{mine.model_id}", [("model_id", victim.model_id), ("status", "LOGGED_MODEL_UPLOAD_FAILED")]),
        ("DELETE", "/registered-models/delete", [*model]),
        ("DELETE", "/registered-models/delete-tag", [*model, ("key", "password")]),
        ("DELETE", "/registered-models/alias", [*model, ("alias", "champion")]),
        ("DELETE", "/model-versions/delete", [*version]),
    ]
    gets: list[tuple[str, list[tuple[str, str]]]] = [
        (API + "/registered-models/get", model),
        (API + "/registered-models/search", [("filter", f"name = '{victim.name}'")]),
        (API + "/registered-models/alias", [*model, ("alias", "champion")]),
        (API + "/model-versions/get", version),
        (API + "/model-versions/search", [("filter", f"name = '{victim.name}'"), ("max_results", "10")]),
        (API + "/runs/get", [("run_id", victim.run), ("run_uuid", victim.run)]),
        (API + "/experiments/get", [("experiment_id", victim.experiment)]),
        (f"{API}/logged-models/{victim.model_id}", []),
        (f"/api/3.0/mlflow/traces/{victim.trace}", []),
    ]
    return [
        *(Draft("POST", API + path, body=list(fields)) for path, fields in posts),
        *(Draft(method, API + path, body=list(fields)) for method, path, fields in others),
        *(Draft("GET", path, query=list(query)) for path, query in gets),
    ]


@cache
def table() -> list[tuple[str, str]]:
    """Method and path of every route that the program knows."""
    done = run_command("routes", "--output", "json")
    if done.returncode != 0:
        raise RuntimeError(f"sekisho routes: {done.stderr}")
    rows = [(row["method"], row["path"]) for row in json.loads(done.stdout)]
    return [row for row in rows if row[0].isalpha() and not any(word in row[1] for word in NEVER)]


def sampled(cast: Cast) -> list[Draft]:
    """For each route a request that names what is the victim's."""
    victim = cast.victim
    place = Place(victim.name, victim.experiment, victim.run, victim.model_id, victim.trace)
    found: list[Draft] = []
    for method, path in table():
        one = sample(method, path, place)
        query = parse_qsl(one.target.partition("?")[2], keep_blank_values=True)
        body = list(one.body.items()) if isinstance(one.body, dict) else None
        raw_body = one.body if isinstance(one.body, bytes) else None
        found.append(Draft(method, one.path, query, body, raw_body, headers=list(one.headers.items())))
    return found


def twice(draft: Draft, chance: random.Random, cast: Cast) -> Draft:
    """A field or argument once more, with what is mine, before or after."""
    if draft.query:
        at = chance.randrange(len(draft.query))
        pairs = [(draft.query[at][0], of_mine(draft.query[at][1], cast))]
        return replace(draft, query=insert(draft.query, pairs, chance))
    if draft.body:
        at = chance.randrange(len(draft.body))
        return replace(draft, body=insert(draft.body, [(draft.body[at][0], of_mine(draft.body[at][1], cast))], chance))
    return draft


def one_mine(draft: Draft, chance: random.Random, cast: Cast) -> Draft:
    """One field says mine, the others stay."""
    if draft.body:
        at = chance.randrange(len(draft.body))
        body = [(k, of_mine(v, cast)) if i == at else (k, v) for i, (k, v) in enumerate(draft.body)]
        return replace(draft, body=body)
    query = [(k, of_mine(v, cast)) if chance.random() < 0.5 else (k, v) for k, v in draft.query]
    return replace(draft, query=query)


def elsewhere(draft: Draft, chance: random.Random, cast: Cast) -> Draft:
    """The same fields in the other place too, or mine there."""
    if draft.body is not None:
        flat = [(key, value) for key, value in draft.body if isinstance(value, str)]
        theirs = [(key, of_mine(value, cast)) for key, value in flat]
        if chance.random() < 0.5:
            return replace(draft, query=theirs)
        return replace(draft, query=flat, body=[(key, of_mine(value, cast)) for key, value in draft.body])
    if chance.random() < 0.5:
        return replace(draft, body=list(draft.query), query=[(k, of_mine(v, cast)) for k, v in draft.query])
    return replace(draft, body=list(draft.query), query=[], raw_query=chance.choice((None, "&", "?", "x=1", "=")))


def camel(draft: Draft, chance: random.Random, _c: Cast) -> Draft:
    """Names in camel case, some of them or beside the others."""

    def spell(name: str) -> str:
        return re.sub(r"_(\w)", lambda found: found[1].upper(), name) if chance.random() < 0.7 else name

    query, body = [(spell(k), v) for k, v in draft.query], [(spell(k), v) for k, v in draft.body or ()]
    if draft.body is not None and chance.random() < 0.3:
        body = insert(draft.body, [pair for pair in body if pair not in draft.body], chance)
    return replace(draft, query=query, body=body if draft.body is not None else None)


def typed(draft: Draft, chance: random.Random, _c: Cast) -> Draft:
    """A field of another type first, so that a reader who stops there has half of the message."""
    if not draft.body:
        return draft
    odd: object = chance.choice((5, None, True, [], {}, "\ud800", 1e400, [["x"]], -1))
    key = chance.choice(("deployment_job_id", "description", "value", "tags", "run_name", "user_id", "x", draft.body[0][0]))
    return replace(draft, body=insert(draft.body, [(key, odd)], chance))


def shuffled(draft: Draft, chance: random.Random, _c: Cast) -> Draft:
    """Another order."""
    body = chance.sample(draft.body, len(draft.body)) if draft.body else draft.body
    return replace(draft, query=chance.sample(draft.query, len(draft.query)), body=body)


def respelled(draft: Draft, chance: random.Random, cast: Cast) -> Draft:
    """The victim's name, version or stage in a spelling that somebody might take for the same."""
    name = cast.victim.name
    spelling = chance.choice(
        (name.upper(), name + " ", " " + name, name + "\x00", name + "\u200b", name.replace("i", "\u0131"), name.replace("v", "\uff56"),
         name + "\t", name + "/", name + "%00", f"{name}#x", f"{name}?x", f"./{name}", f"{name};x")
    )  # fmt: skip
    version = chance.choice(("01", " 1", "+1", "1_", "\u0661", "\uff11", "1.0", "latest", 1, 1.0))

    def spell(key: str, value: object) -> object:
        if key == "version":
            return version
        return json.loads(json.dumps(value).replace(json.dumps(name)[1:-1], json.dumps(spelling)[1:-1]))

    query = [(key, spell(key, value)) for key, value in draft.query]
    body = [(key, spell(key, value)) for key, value in draft.body] if draft.body is not None else None
    return replace(draft, query=query, body=body)


def renumbered(draft: Draft, chance: random.Random, cast: Cast) -> Draft:
    """The victim's experiment in other digits, alone or among others; what reads it as a number finds the same."""
    number = cast.victim.experiment
    spelling = chance.choice(
        (f"0{number}", f"0{number}", f"0{number}", f"00{number}", f"000{number}", f"+{number}", f" {number}", f"{number} ", f"{number}.0", f"{number}e0", f"0x{number}", f"{number}_", f"0_{number}", chr(0x660 + int(number[0])) + number[1:],
         chr(0xFF10 + int(number[0])) + number[1:], f"{number}\n", f"{number}\x00", f"{number}\u200b", f"\t{number}", f"-{number}", f"{number},{cast.mine.experiment}", f"{number}L", int(number), float(number),
         f"{number}/", f"{number}?", f"{cast.mine.experiment}%20OR%201", f"{(1 << 64) + int(number)}", f"{(1 << 32) + int(number)}", f"'{number}'")
    )  # fmt: skip

    def spell(value: object) -> object:
        if isinstance(value, dict):
            return {key: spell(inner) for key, inner in value.items()}
        if isinstance(value, list):
            return [*(spell(inner) for inner in value), *([spelling] if cast.mine.experiment in value else [])]
        return spelling if value == number else value

    parts = [quote(str(spelling), safe="") if part == number else part for part in draft.path.split("/")]
    body = [(key, spell(value)) for key, value in draft.body] if draft.body is not None else None
    return replace(draft, path="/".join(parts), query=[(key, spell(value)) for key, value in draft.query], body=body)


def encoded(draft: Draft, chance: random.Random, _c: Cast) -> Draft:
    """The body in another encoding, wrapping or company."""
    text = draft.body_bytes().decode("utf-8", "replace")
    if not text or draft.raw_body is not None:
        return replace(draft, raw_query="&".join(percent(part, chance) for part in draft.query_text().split("&")))
    escape = "".join(f"\\u{ord(c):04x}" if c.isalpha() and chance.random() < 0.3 else c for c in text) if "\\" not in text else text
    way = chance.choice(
        (lambda: text.encode("utf-16"), lambda: text.encode("utf-16-le"), lambda: text.encode("utf-32"), lambda: text.encode("utf-8-sig"),
         lambda: json.dumps(text).encode(), lambda: json.dumps(json.dumps(text)).encode(), lambda: f"[{text}]".encode(), lambda: f" \n{text}\t ".encode(),
         lambda: f"{text} x".encode(), lambda: text[:-1].encode() + b",}", lambda: text[:-1].encode() + b', "x": NaN}', lambda: escape.encode(),
         lambda: text.encode().replace(b"e", b"\xff", 1), lambda: text[:-1].encode() + b', "x": ' + b"[" * 60 + b"]" * 60 + b"}", lambda: text[:-1].encode(),
         lambda: b"\x00" + text.encode(), lambda: f"{text}{text}".encode(), lambda: text.replace('"', "'").encode())
    )  # fmt: skip
    return replace(draft, raw_body=way())


def percent(text: str, chance: random.Random) -> str:
    """Some letters percent-encoded, once or twice, or with another separator behind."""
    out = "".join(f"%{ord(c):02x}" if c.isalnum() and chance.random() < 0.2 else c for c in text)
    return out.replace("%", "%25") if chance.random() < 0.2 else out + chance.choice(("", "", ";x=1", "%00", "#x", "+"))


CHANGES: tuple[Change, ...] = (
    twice, twice, one_mine, one_mine, elsewhere, elsewhere, camel, typed, typed, shuffled, respelled, renumbered, renumbered, encoded, encoded,
)  # fmt: skip

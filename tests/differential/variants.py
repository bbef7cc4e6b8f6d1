"""Makes odd requests without end: a plain request for what belongs to the victim, changed in one to three ways.

Everything follows from the seed, so a case can be made again from its seed and number.
"""

from __future__ import annotations

import gzip
import json
import random
import re
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from urllib.parse import quote, urlencode

API = "/api/2.0/mlflow"
FILES = "/api/2.0/mlflow-artifacts/artifacts/"


@dataclass(frozen=True)
class Owner:
    """Something that belongs to somebody: a model, and what it was made from."""

    name: str
    experiment: str
    run: str
    model_id: str

    @property
    def files(self) -> str:
        """Where the run's files are."""
        return f"{self.experiment}/{self.run}/artifacts"


@dataclass(frozen=True)
class Draft:
    """A request before it is bytes."""

    method: str
    path: str
    query: list[tuple[str, str]] = field(default_factory=list)
    body: list[tuple[str, object]] | None = None
    raw_body: bytes | None = None
    raw_query: str | None = None
    headers: list[tuple[str, str]] = field(default_factory=list)
    chunked: bool = False

    def query_text(self) -> str:
        """The query as it goes into the target."""
        return self.raw_query if self.raw_query is not None else urlencode(self.query, errors="surrogatepass")

    def body_bytes(self) -> bytes:
        """The body as it goes onto the wire, duplicates and all."""
        if self.raw_body is not None:
            return self.raw_body
        if self.body is None:
            return b""
        return ("{" + ", ".join(f"{json.dumps(key)}: {json.dumps(value)}" for key, value in self.body) + "}").encode()

    def message(self, token: str | None) -> bytes:
        """The whole request."""
        query = self.query_text()
        lines = [f"{self.method} {self.path}{'?' + query if query else ''} HTTP/1.1", "Host: 127.0.0.1", "Connection: close"]
        lines += [f"Authorization: Bearer {token}"] if token else []
        body = self.body_bytes()
        lines += [f"{name}: {value}" for name, value in self.headers]
        if body and not any(name == "Content-Type" for name, _ in self.headers):
            lines.append("Content-Type: application/json")
        if self.chunked:
            lines.append("Transfer-Encoding: chunked")
            body = b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body)
        elif body or self.method not in ("GET", "HEAD"):
            lines.append(f"Content-Length: {len(body)}")
        return "\r\n".join(lines).encode("utf-8", "surrogatepass") + b"\r\n\r\n" + body


def variant(seed: int, number: int, victim: Owner, mine: Owner) -> Draft:
    """The case of that number."""
    chance = random.Random(f"{seed}/{number}")
    draft = chance.choice(plain(victim, mine))
    for _ in range(chance.choice((0, 1, 1, 1, 2, 2, 3))):
        draft = chance.choice(CHANGES)(draft, chance, victim, mine)
    return draft


def plain(victim: Owner, mine: Owner) -> list[Draft]:
    """The plain requests: every way to touch or to see what is the victim's."""
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
        ("/model-versions/get-artifact", [*version, ("path", "MLmodel")]),
        (API + "/runs/get", [("run_id", victim.run), ("run_uuid", victim.run)]),
        (API + "/experiments/get", [("experiment_id", victim.experiment)]),
        ("/get-artifact", [("run_id", victim.run), ("run_uuid", victim.run), ("path", "note.txt")]),
        (f"{API}/logged-models/{victim.model_id}", []),
        (f"/ajax-api/2.0/mlflow/logged-models/{victim.model_id}/artifacts/files", [("artifact_file_path", "MLmodel")]),
        (f"{FILES}{victim.files}/note.txt", []),
        (f"{FILES}{mine.files}/../../{victim.run}/artifacts/note.txt", []),
    ]
    graphql = f'{{ mlflowGetRun(input: {{runId: "{victim.run}"}}) {{ run {{ data {{ params {{ key value }} }} }} }} }}'
    octets = [("Content-Type", "application/octet-stream")]
    return [
        *(Draft("POST", API + path, body=list(fields)) for path, fields in posts),
        *(Draft(method, API + path, body=list(fields)) for method, path, fields in others),
        *(Draft("GET", path, query=list(query)) for path, query in gets),
        Draft("POST", "/graphql", body=[("query", graphql)]),
        Draft("PUT", f"{FILES}{victim.files}/note.txt", raw_body=b"taken", headers=octets),
        Draft("PUT", f"{FILES}{victim.experiment}/models/{victim.model_id}/artifacts/MLmodel", raw_body=b"taken", headers=octets),
        Draft("DELETE", f"{FILES}{victim.files}/note.txt"),
        Draft("DELETE", f"{FILES}{victim.experiment}"),
        Draft("POST", "/ajax-api/2.0/mlflow/upload-artifact", [("run_uuid", victim.run), ("path", "note.txt")], raw_body=b"taken", headers=octets),
    ]


Change = Callable[[Draft, random.Random, Owner, Owner], Draft]


def twice(draft: Draft, chance: random.Random, victim: Owner, mine: Owner) -> Draft:
    """A field or argument once more, with what is mine, before or after."""
    if draft.query:
        at = chance.randrange(len(draft.query))
        pairs = [(draft.query[at][0], str(of_mine(draft.query[at][1], victim, mine)))]
        return replace(draft, query=mixed(draft.query, pairs, chance))
    if draft.body:
        at = chance.randrange(len(draft.body))
        return replace(draft, body=mixed(draft.body, [(draft.body[at][0], of_mine(draft.body[at][1], victim, mine))], chance))
    return draft


def mixed(pairs: list, more: list, chance: random.Random) -> list:
    """Both lists, one after the other."""
    return [*pairs, *more] if chance.random() < 0.5 else [*more, *pairs]


def of_mine(value: object, victim: Owner, mine: Owner) -> object:
    """`value` with everything of the victim's replaced by mine."""
    text = json.dumps(value)
    for theirs, ours in zip(words(victim), words(mine), strict=True):
        text = text.replace(theirs, ours)
    return json.loads(text)


def words(owner: Owner) -> tuple[str, ...]:
    """What names an owner in a request; the experiment's number is too short to be replaced everywhere."""
    return owner.name, owner.run, owner.model_id


def one_mine(draft: Draft, chance: random.Random, victim: Owner, mine: Owner) -> Draft:
    """One field says mine, the others stay."""
    if draft.body:
        at = chance.randrange(len(draft.body))
        body = [(k, of_mine(v, victim, mine)) if i == at else (k, v) for i, (k, v) in enumerate(draft.body)]
        return replace(draft, body=body)
    query = [(k, str(of_mine(v, victim, mine))) if chance.random() < 0.5 else (k, v) for k, v in draft.query]
    return replace(draft, query=query)


def elsewhere(draft: Draft, chance: random.Random, victim: Owner, mine: Owner) -> Draft:
    """The same fields in the other place too, or mine there."""
    if draft.body is not None:
        flat = [(key, value) for key, value in draft.body if isinstance(value, str)]
        theirs = [(key, str(of_mine(value, victim, mine))) for key, value in flat]
        if chance.random() < 0.5:
            return replace(draft, query=theirs)
        return replace(draft, query=flat, body=[(key, of_mine(value, victim, mine)) for key, value in draft.body])
    if chance.random() < 0.5:
        return replace(draft, body=list(draft.query), query=[(k, str(of_mine(v, victim, mine))) for k, v in draft.query])
    return replace(draft, body=list(draft.query), query=[], raw_query=chance.choice((None, "&", "?", "x=1", "=")))


def camel(draft: Draft, chance: random.Random, _v: Owner, _m: Owner) -> Draft:
    """Names in camel case, some of them or beside the others."""

    def spell(name: str) -> str:
        return re.sub(r"_(\w)", lambda found: found[1].upper(), name) if chance.random() < 0.7 else name

    query, body = [(spell(k), v) for k, v in draft.query], [(spell(k), v) for k, v in draft.body or ()]
    if draft.body is not None and chance.random() < 0.3:
        body = mixed(draft.body, [pair for pair in body if pair not in draft.body], chance)
    return replace(draft, query=query, body=body if draft.body is not None else None)


def typed(draft: Draft, chance: random.Random, _v: Owner, _m: Owner) -> Draft:
    """A field of another type first, so that a reader who stops there has half of the message."""
    if not draft.body:
        return draft
    odd: object = chance.choice((5, None, True, [], {}, "\ud800", 1e400, [["x"]], -1))
    key = chance.choice(("deployment_job_id", "description", "value", "tags", "run_name", "user_id", "x", draft.body[0][0]))
    return replace(draft, body=mixed(draft.body, [(key, odd)], chance))


def shuffled(draft: Draft, chance: random.Random, _v: Owner, _m: Owner) -> Draft:
    """Another order."""
    body = chance.sample(draft.body, len(draft.body)) if draft.body else draft.body
    return replace(draft, query=chance.sample(draft.query, len(draft.query)), body=body)


def respelled(draft: Draft, chance: random.Random, victim: Owner, _m: Owner) -> Draft:
    """The victim's name, version or stage in a spelling that somebody might take for the same."""
    name = victim.name
    spelling = chance.choice(
        (name.upper(), name + " ", " " + name, name + "\x00", name + "\u200b", name.replace("i", "\u0131"), name.replace("v", "\uff56"),
         name + "\t", name + "/", name + "%00", f"{name}#x", f"{name}?x", f"./{name}", f"{name};x")
    )  # fmt: skip
    version = chance.choice(("01", " 1", "+1", "1_", "\u0661", "\uff11", "1.0", "latest", 1, 1.0))

    def spell(key: str, value: object) -> object:
        if key == "version":
            return version
        return json.loads(json.dumps(value).replace(json.dumps(name)[1:-1], json.dumps(spelling)[1:-1]))

    query = [(key, str(spell(key, value))) for key, value in draft.query]
    body = [(key, spell(key, value)) for key, value in draft.body] if draft.body is not None else None
    return replace(draft, query=query, body=body)


def encoded(draft: Draft, chance: random.Random, _v: Owner, _m: Owner) -> Draft:
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


def path_spelled(draft: Draft, chance: random.Random, _v: Owner, _m: Owner) -> Draft:
    """The path in a spelling that one reader may take for another."""
    path = draft.path
    cut = chance.randrange(1, len(path))
    way = chance.choice(
        (lambda: "/" + path, lambda: "//" + path, lambda: path.replace("/api/", "/ajax-api/", 1), lambda: path + "/", lambda: path.replace("/", "/./", 1),
         lambda: path.replace("/mlflow", "/x/../mlflow", 1), lambda: path[:cut] + quote(path[cut], safe="").replace("%", "%") + path[cut + 1 :],
         lambda: path[:cut] + f"%{ord(path[cut]):02x}" + path[cut + 1 :], lambda: path[:cut] + f"%25{ord(path[cut]):02x}" + path[cut + 1 :],
         lambda: path[:cut] + path[cut:].replace("/", "%2F", 1), lambda: path[:cut] + path[cut:].replace("/", "//", 1), lambda: "http://127.0.0.1" + path,
         lambda: path + ";x", lambda: path + "%00", lambda: path + "%20", lambda: path + "%3Fx", lambda: path.upper(), lambda: path.replace("..", "%2e%2e"),
         lambda: path.replace("..", "%252e%252e"), lambda: path[:cut] + "\\" + path[cut:], lambda: path + "#x", lambda: path.replace("/2.0/", "/3.0/"))
    )  # fmt: skip
    return replace(draft, path=way())


def method_spelled(draft: Draft, chance: random.Random, _v: Owner, _m: Owner) -> Draft:
    """Another method, or the same in small letters."""
    method = chance.choice((draft.method.lower(), draft.method.title(), "HEAD", "POST", "GET", "PUT", "PATCH", "DELETE", "OPTIONS"))
    return replace(draft, method=method)


def headed(draft: Draft, chance: random.Random, _v: Owner, _m: Owner) -> Draft:
    """A header that means something to somebody."""
    name, value = chance.choice(
        (("Content-Type", "text/plain"), ("Content-Type", "application/json; charset=utf-16"), ("Content-Type", "Application/JSON"), ("Content-Type", ""),
         ("X-HTTP-Method-Override", "DELETE"), ("X-MLFLOW-WORKSPACE", "default"), ("X_MLFLOW_WORKSPACE", "x"), ("X-Forwarded-For", "127.0.0.1"),
         ("X-Forwarded-Prefix", "/x"), ("X-Original-URL", draft.path), ("Origin", "null"), ("Connection", "Authorization"), ("Content-Length", "0"),
         ("Transfer-Encoding", "identity"), ("Expect", "100-continue"), ("Range", "bytes=0-5"))
    )  # fmt: skip
    return replace(draft, headers=[*draft.headers, (name, value)])


def framed(draft: Draft, chance: random.Random, _v: Owner, _m: Owner) -> Draft:
    """Chunked, or said to be compressed, and perhaps it is."""
    way = chance.randrange(3)
    if way == 0:
        return replace(draft, chunked=True)
    body = gzip.compress(draft.body_bytes()) if way == 1 else draft.body_bytes()
    return replace(draft, raw_body=body, headers=[*draft.headers, ("Content-Encoding", "gzip")])


CHANGES: tuple[Change, ...] = (
    twice, twice, one_mine, one_mine, elsewhere, elsewhere, camel, typed, typed, shuffled, respelled, encoded, encoded,
    path_spelled, path_spelled, method_spelled, headed, framed,
)  # fmt: skip

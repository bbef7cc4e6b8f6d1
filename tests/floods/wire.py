"""Bytes as a flood sends them: HTTP/1 heads, HTTP/2 frames, and connections from addresses of choice."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, RST_STREAM, SETTINGS, PING, WINDOW_UPDATE, CONTINUATION = 0, 1, 3, 4, 6, 8, 9
END_STREAM, END_HEADERS = 1, 4


@dataclass
class Target:
    """A sekisho to be flooded, for how long, by whom, and what came of it."""

    port: int
    seconds: float
    tokens: list[str]
    forged: Callable[[int], str]
    seen: Counter[str] = field(default_factory=Counter)
    deadline: float = 0.0

    @property
    def over(self) -> bool:
        return time.monotonic() >= self.deadline

    async def rest(self) -> None:
        """Waits for the end."""
        await asyncio.sleep(max(0.0, self.deadline - time.monotonic()))

    async def dial(self, peer: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """A connection from loopback address number `peer`."""
        local = (f"127.0.{1 + peer // 250}.{1 + peer % 250}", 0)
        wire = socket.socket()
        wire.setblocking(False)
        # What the kernel holds is not sekisho's: whoever does not read has a small window.
        wire.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2**16)
        wire.bind(local)
        await asyncio.get_running_loop().sock_connect(wire, ("127.0.0.1", self.port))
        return await asyncio.open_connection(sock=wire, limit=2**16)

    def head(self, method: str, path: str, who: int | None, *more: str) -> bytes:
        lines = [f"{method} {path} HTTP/1.1", "Host: x", *more]
        if who is not None:
            lines.append(f"Authorization: Bearer {self.tokens[who % len(self.tokens)]}")
        return ("\r\n".join(lines) + "\r\n\r\n").encode()

    async def answer(self, reader: asyncio.StreamReader) -> tuple[int, bytes]:
        """One HTTP/1 answer with a length, counted by its status."""
        head = await reader.readuntil(b"\r\n\r\n")
        status = int(head[9:12])
        self.seen[str(status)] += 1
        length = next((int(line[15:]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")), 0)
        return status, await reader.readexactly(length)

    @contextlib.asynccontextmanager
    async def connection(self, peer: int) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
        """The same, closed at the end; that the other side closes first is counted and no failure."""
        reader, writer = await self.dial(peer)
        try:
            yield reader, writer
        except (OSError, asyncio.IncompleteReadError) as error:
            self.seen["closed"] += 1
            raise Gone from error
        finally:
            writer.transport.abort()


class Gone(Exception):
    """The connection ended."""


async def many(target: Target, count: int, each: Callable[[int], Awaitable[None]], again: bool = True) -> None:
    """Runs `each` that many times side by side, and again whenever one ends, until it is over. Time runs from here."""
    target.deadline = time.monotonic() + target.seconds

    async def loop(number: int) -> None:
        while not target.over:
            with contextlib.suppress(Gone, OSError, asyncio.IncompleteReadError):
                await each(number)
            if not again:
                return
            await asyncio.sleep(0.002)

    tasks = [asyncio.create_task(loop(number)) for number in range(count)]
    await asyncio.wait(tasks, timeout=max(0.01, target.deadline - time.monotonic()))
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


def frame(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    return struct.pack(">I", len(payload))[1:] + bytes([kind, flags]) + struct.pack(">I", stream) + payload


def literal(name: str, value: str) -> bytes:
    """A header field that is not indexed (RFC 7541 section 6.2.2)."""
    return b"\x00" + _text(name) + _text(value)


def indexed(name: str, value: str) -> bytes:
    """One that is put into the dynamic table (section 6.2.1)."""
    return b"\x40" + _text(name) + _text(value)


def _text(text: str) -> bytes:
    data, length = text.encode(), len(text)
    if length < 127:
        return bytes([length]) + data
    out, rest = [127], length - 127
    while rest >= 128:
        out.append(rest % 128 + 128)
        rest //= 128
    return bytes([*out, rest]) + data


def request(path: str, token: str | None, method: str = "GET") -> bytes:
    fields = {":method": method, ":scheme": "http", ":path": path, ":authority": "x"}
    block = b"".join(literal(name, value) for name, value in fields.items())
    return block + (literal("authorization", f"Bearer {token}") if token else b"")

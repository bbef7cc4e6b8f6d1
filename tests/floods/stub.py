"""An MLflow that costs next to nothing: one small model, one long list, one large file. `python stub.py PORT`"""

from __future__ import annotations

import asyncio
import json
import sys

SMALL = json.dumps({"registered_model": {"name": "iris", "description": "x" * 500}}).encode()
ROW = json.dumps({"name": "iris", "version": "1", "description": "x" * 200, "source": "s3://b/m", "tags": []})
LONG = f'{{"model_versions": [{",".join([ROW] * 2_000)}]}}'.encode()
PIECE = bytes(65536)
LARGE = 2**20


async def converse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while True:
            head = (await reader.readuntil(b"\r\n\r\n")).lower()
            length = next((int(line[15:]) for line in head.split(b"\r\n") if line.startswith(b"content-length:")), 0)
            while length > 0:
                length -= len(await reader.read(min(length, 2**20)))
            path = head.split(b" ", 2)[1]
            if b"/artifacts/" in path:
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % LARGE)
                for _ in range(LARGE // len(PIECE)):
                    writer.write(PIECE)
                    await writer.drain()
                continue
            body = LONG if b"/model-versions/search" in path else SMALL
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body))
            writer.write(body)
            await writer.drain()
    except (OSError, asyncio.IncompleteReadError):
        pass
    finally:
        writer.close()


async def main() -> None:
    server = await asyncio.start_server(converse, "127.0.0.1", int(sys.argv[1]), backlog=4096)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())

"""An MLflow of so many models that answers like one and costs little: `python rows.py PORT MODELS`.

It pages through registered models and versions (one each) as MLflow does, reads one of them, and knows the filters that
sekisho uses; another filter is 400 and told on stderr, so that no answer is one that MLflow would not give. `/asked` says
how often one model or version was read.
"""

from __future__ import annotations

import asyncio
import base64
import json
import re
import sys
from collections.abc import Mapping
from email.utils import formatdate
from urllib.parse import parse_qs, urlsplit

START = 1_767_225_600_000
PROMPTS = "mlflow.prompt.is_prompt"
MOST = 1_000
API = re.compile(r"^/(?:api|ajax-api)/2\.0/mlflow/(registered-models|model-versions)/(search|get)$")
CONDITION = re.compile(
    r"^(name|last_updated_timestamp|creation_timestamp)\s*(=|!=|LIKE|ILIKE|IN|>=|<=|>|<)\s*(.+)$", re.IGNORECASE
)


def name_of(number: int) -> str:
    return f"model_{number:06}"


class Rows:
    """All of them, as MLflow writes them."""

    def __init__(self, count: int) -> None:
        self.names = [name_of(number) for number in range(count)]
        self.numbers = {name: number for number, name in enumerate(self.names)}
        self.asked = 0
        versions = [
            {
                "name": name,
                "version": "1",
                "creation_timestamp": START + number,
                "last_updated_timestamp": START + number,
                "current_stage": "None",
                "description": "x" * 300,
                "source": f"s3://bench/{name}",
                "run_id": "",
                "status": "READY",
                "run_link": "",
            }
            for number, name in enumerate(self.names)
        ]
        models = [
            {
                "name": each["name"],
                "creation_timestamp": each["creation_timestamp"],
                "last_updated_timestamp": each["last_updated_timestamp"],
                "latest_versions": [{**each, "description": ""}],
                "tags": [{"key": "team", "value": "ab"[number % 2]}],
            }
            for number, each in enumerate(versions)
        ]
        self.of = {
            "registered-models": [json.dumps(each) for each in models],
            "model-versions": [json.dumps(each) for each in versions],
        }

    def answer(self, target: str) -> tuple[int, str]:
        place = urlsplit(target)
        asked = {name: values[-1] for name, values in parse_qs(place.query).items()}
        found = API.match(place.path)
        if not found:
            return 200, str(self.asked) if place.path == "/asked" else "{}"
        kind, call = found.groups()
        one, many = (
            ("registered_model", "registered_models") if kind == "registered-models" else ("model_version", "model_versions")
        )
        if call == "get":
            self.asked += 1
            number = self.numbers.get(asked.get("name", ""))
            if number is None or asked.get("version", "1") != "1":
                return 404, '{"error_code": "RESOURCE_DOES_NOT_EXIST", "message": "no such row"}'
            return 200, f'{{"{one}": {self.of[kind][number]}}}'
        numbers = self.passing(asked.get("filter", ""))
        if numbers is None:
            print(f"not known: {asked['filter']}", file=sys.stderr, flush=True)
            return 400, '{"error_code": "INVALID_PARAMETER_VALUE", "message": "a filter that rows.py does not know"}'
        return 200, self.page(self.of[kind], many, numbers, asked)

    def passing(self, text: str) -> list[int] | range | None:
        """The numbers of the rows that pass a filter, or None where it is not understood. None is a prompt."""
        everything = range(len(self.names))
        kept: list[int] | range = everything
        for condition in (part.strip() for part in re.split(r"\s+AND\s+", text, flags=re.IGNORECASE) if part.strip()):
            if PROMPTS in condition:
                kept = [] if re.search(r"[^!]=\s*'true'", condition) else kept
                continue
            found = CONDITION.match(condition)
            if not found:
                return None
            key, comparison, value = found[1].lower(), found[2].upper(), found[3].strip()
            if key == "name":
                names = [each.replace("''", "'") for each in re.findall(r"'((?:[^']|'')*)'", value)]
                if comparison in {"=", "IN"}:
                    wanted = {self.numbers[each] for each in names if each in self.numbers}
                elif comparison in {"LIKE", "ILIKE"} and len(names) == 1:
                    flags = re.IGNORECASE if comparison == "ILIKE" else 0
                    like = re.compile(".*".join(re.escape(part) for part in names[0].split("%")), flags)
                    wanted = {number for number, each in enumerate(self.names) if like.fullmatch(each)}
                else:
                    return None
            elif re.fullmatch(r"\d+", value):
                edge = int(value) - START
                by = {">": edge.__lt__, ">=": edge.__le__, "<": edge.__gt__, "<=": edge.__ge__, "=": edge.__eq__}.get(
                    comparison
                )
                if by is None:
                    return None
                wanted = {number for number in everything if by(number)}
            else:
                return None
            kept = [number for number in kept if number in wanted]
        return kept

    @staticmethod
    def page(rows: list[str], many: str, numbers: list[int] | range, asked: Mapping[str, str]) -> str:
        """As every time and every name grows with the number, an order is only forwards or backwards."""
        offset = int(json.loads(base64.b64decode(asked["page_token"]))["offset"]) if asked.get("page_token") else 0
        size = min(int(asked.get("max_results", 100)), MOST)
        ordered = numbers[::-1] if backwards(asked.get("order_by", ""), many) else numbers
        shown = ", ".join(rows[number] for number in ordered[offset : offset + size])
        token = base64.b64encode(json.dumps({"offset": offset + size}).encode()).decode()
        more = f', "next_page_token": "{token}"' if offset + size < len(ordered) else ""
        return f'{{"{many}": [{shown}]{more}}}'


def backwards(order: str, many: str) -> bool:
    """MLflow's own order of models is by name, and of versions the latest first."""
    return order.upper().split(",")[0].strip().endswith("DESC") if order else many == "model_versions"


async def converse(rows: Rows, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    reasons = {200: "OK", 400: "Bad Request", 404: "Not Found"}
    try:
        while True:
            head = await reader.readuntil(b"\r\n\r\n")
            length = re.search(rb"\r\ncontent-length: *(\d+)\r\n", head.lower())
            await reader.readexactly(int(length[1]) if length else 0)
            status, body = rows.answer(head.split(b" ", 2)[1].decode())
            data = body.encode()
            writer.write(f"HTTP/1.1 {status} {reasons[status]}\r\nContent-Type: application/json\r\n".encode())
            writer.write(b"Date: %s\r\nContent-Length: %d\r\n\r\n" % (formatdate(usegmt=True).encode(), len(data)) + data)
            await writer.drain()
    except (OSError, asyncio.IncompleteReadError):
        pass
    finally:
        writer.close()


async def main() -> None:
    rows = Rows(int(sys.argv[2]))
    server = await asyncio.start_server(lambda *wire: converse(rows, *wire), "127.0.0.1", int(sys.argv[1]), backlog=4096)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())

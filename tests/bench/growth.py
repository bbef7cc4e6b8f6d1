"""How much sekisho holds, and what a hundred times as many models, policy rows and principals do to it."""

from __future__ import annotations

import base64
import hmac
import json
import statistics
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from http.client import HTTPException
from pathlib import Path
from tempfile import TemporaryDirectory

from contestants import HERE, LOGS, TARGET, Contestant, answer_of_stub, ask_once, is_open, nginx
from harness import leaks
from harness.process import Child, free_port
from harness.rest import Answer, send
from harness.sekisho import Sekisho
from load import CONNECTIONS, rates, say, wrk
from racers import LIST, lists_models, recorded, settings
from rows import name_of
from waits import batch

IDLE = 10_000
PEERS = 20
"""Addresses that they come from: one may have a thousand connections."""
FEW, SOME, MANY = 1_000, 10_000, 100_000
KINDS = ("models", "policy rows", "principals")
HOT = 1_000
"""So many models are read in turn, evenly spread over all that there are."""


class NotLikeMlflow(RuntimeError):
    """`rows.py` was asked what it does not know how to answer."""


def memory(stub: str) -> dict[str, object]:
    """Resident bytes of a new sekisho, and with connections that have each asked once."""
    body = answer_of_stub()
    with Sekisho(stub, LOGS, settings=settings()) as sekisho, ExitStack() as stack:
        time.sleep(1)
        idle = sekisho.memory()
        contestant = Contestant("idle", sekisho.url, body, sekisho.token("idle@company.com", "ml_engineer", ["bench_model"]))
        wires = [stack.enter_context(ask_once(contestant, number, PEERS)) for number in range(IDLE)]
        held = sekisho.memory()
        still_open = sum(is_open(wire) for wire in wires)
    if still_open != IDLE:
        raise RuntimeError(f"only {still_open} of {IDLE} idle connections were held")
    say(f"  memory: {mib(idle)} idle, {mib(held)} with {IDLE} idle connections")
    return {"idle": idle, "idle_connections": IDLE, "with_idle_connections": held}


def indexed(seconds: float) -> dict[str, object]:
    """Resident bytes of a sekisho once lists that nobody has asked for before come from memory; and whether they did."""
    with behind(MANY) as url, Sekisho(url, LOGS, settings=settings()) as sekisho:
        token = sekisho.token("all@company.com", "auditor")
        began, size, answer = time.monotonic(), 10, None
        while time.monotonic() - began < seconds and says(answer) != "HIT":
            time.sleep(0.5)
            # Another size each time: what has been asked for before may come from memory all the same.
            size += 1
            answer = send(sekisho.url, "GET", LIST.replace("=100", f"={size}"), token)
            wrong = lists_models({name_of(number) for number in range(size)})(answer)
            if wrong:
                raise RuntimeError(f"a list before {MANY} models: {wrong}: {answer.status} {answer.body[:300]!r}")
        found: dict[str, object] = {
            "models": MANY,
            "resident": sekisho.memory(),
            "from_memory": says(answer) == "HIT",
            "seconds": round(time.monotonic() - began, 1),
        }
    say(f"  memory: {mib(found['resident'])} before {MANY} models; lists from memory: {found['from_memory']}")
    return found


def says(answer: Answer | None) -> str:
    headers = answer.headers if answer else {}
    return next((value for name, value in headers.items() if name.lower() == "x-sekisho-cache"), "")


class Grown:
    """A sekisho with so much of one kind and a thousand of the others, and its callers."""

    def __init__(self, stack: ExitStack, kind: str, count: int) -> None:
        models, rows, principals = (count if kind == each else FEW for each in KINDS)
        self.kind, self.count, self.requests = kind, count, 0
        self.upstream = stack.enter_context(behind(models))
        self.sekisho = stack.enter_context(Sekisho(self.upstream, LOGS, policy_rows=policy(rows), settings=settings()))
        folder = Path(stack.enter_context(TemporaryDirectory(prefix="crowd-")))
        names = [name_of(number * (models // HOT)) for number in range(HOT)]
        self.tokens = tokens(self.sekisho, principals)
        self.files = {"BENCH_NAMES": folder / "names", "BENCH_TOKENS": folder / "tokens"}
        self.files["BENCH_TOKENS"].touch(mode=0o600)
        self.files["BENCH_NAMES"].write_text("\n".join(names) + "\n")
        self.files["BENCH_TOKENS"].write_text("\n".join(self.tokens) + "\n")
        # From now on they are in memory.
        batch(self.sekisho, self.tokens[0], names)

    def rate(self, seconds: int, warm_up: int) -> float:
        """Reads from memory in a second."""
        files = {name: str(file) for name, file in self.files.items()}
        before = self.asked()
        wrk(self.sekisho.url + TARGET, "crowd.lua", files, warm_up, CONNECTIONS)
        found = rates(wrk(self.sekisho.url + TARGET, "crowd.lua", files, seconds, CONNECTIONS))
        if self.asked() != before:
            raise RuntimeError(f"{self.count} {self.kind}: {self.asked() - before} reads did not come from memory")
        self.requests += int(found["requests"])
        say(f"  {self.count:>7} {self.kind:<12} {found['per_second']:>10.0f}/s")
        return found["per_second"]

    def asked(self) -> int:
        """How often upstream was asked for one version."""
        return int(send(self.upstream, "GET", "/asked").body)


def grown(rounds: int, seconds: int, warm_up: int) -> dict[str, list[dict[str, float]]]:
    """For each kind, reads a second with few and with many, in turns."""
    found: dict[str, list[dict[str, float]]] = {}
    for kind in KINDS:
        with ExitStack() as stack:
            both = [Grown(stack, kind, count) for count in (FEW, MANY)]
            found[kind] = []
            for number in range(rounds):
                turn = both if number % 2 == 0 else both[::-1]
                found[kind].append({str(each.count): each.rate(seconds, warm_up) for each in turn})
            for each in both:
                told = sum(recorded(each.sekisho).values())
                if told < each.requests:
                    raise RuntimeError(f"{each.count} {kind}: the record tells of {told} reads of {each.requests}")
    return found


def starts(stub: str, rounds: int) -> list[dict[str, float]]:
    """Seconds from the start of the process until it is ready, by policy rows."""
    with ExitStack() as stack:
        each = {
            count: stack.enter_context(Sekisho(stub, LOGS, policy_rows=policy(count), settings=settings()))
            for count in (FEW, SOME, MANY)
        }
        found = []
        for _ in range(rounds):
            found.append({str(count): round(statistics.median(start(one) for _ in range(3)), 4) for count, one in each.items()})
            say(f"  start, by policy rows: {found[-1]}")
        return found


def start(sekisho: Sekisho) -> float:
    """Seconds of one."""
    sekisho.stop()
    ready: list[float] = []

    def watch() -> None:
        while not ready and time.perf_counter() - began < 60:
            try:
                if send(sekisho.admin_url, "GET", "/readyz", timeout=5).status == 200:
                    ready.append(time.perf_counter() - began)
            except (OSError, HTTPException):
                pass
            time.sleep(0.002)

    watcher = threading.Thread(target=watch)
    began = time.perf_counter()
    watcher.start()
    sekisho.restart()
    watcher.join()
    return ready[0]


def policy(count: int) -> list[str]:
    """So many rows, of all kinds, none of which concerns who is measured."""
    kinds = (
        "p, role:r{0}, model:*, metadata_read, allow",
        "p, role:r{0}, model:team{0}_*, model_read, allow",
        "p, role:shared, model:m{0}, model_read, allow",
        "p, role:shared, model:*_{0}, model_write, allow",
        "p, user:u{0}, model:m{0}, model_read, allow",
        "p, user:u{0}, model:*, metadata_read, deny",
        "p, role:shared, experiment:{0}, tracking_read, allow",
    )
    return [kinds[number % len(kinds)].format(number) for number in range(count)]


def tokens(sekisho: Sekisho, count: int) -> Sequence[str]:
    """One for each of so many principals; logs are searched for the first and the last, as for all would take hours."""
    key, now = (sekisho.folder / "secret").read_bytes(), int(time.time())
    head = encoded({"alg": "HS256", "typ": "JWT"})
    found = []
    for number in range(count):
        claims = {
            "user_id": f"user{number}@company.com",
            "role": "ml_engineer",
            "model_access": ["*"],
            "iat": now,
            "exp": now + 28_800,
        }
        signed = head + b"." + encoded(claims)
        signature = base64.urlsafe_b64encode(hmac.digest(key, signed, "sha256")).rstrip(b"=")
        found.append((signed + b"." + signature).decode())
    leaks.remember(found[0], "a token")
    leaks.remember(found[-1], "a token")
    return found


def encoded(part: object) -> bytes:
    return base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=")


@contextmanager
def behind(models: int) -> Iterator[str]:
    """`rows.py` with so many models; its address."""
    port = free_port()
    with TemporaryDirectory(prefix="rows-") as folder:
        log = Path(folder) / "log"
        child = Child([sys.executable, str(HERE / "rows.py"), str(port), str(models)], Path(folder), log, {})
        try:
            child.wait_ready(f"http://127.0.0.1:{port}/health", 60)
            yield f"http://127.0.0.1:{port}"
        finally:
            child.stop()
        said = log.read_text()
    if said:
        raise NotLikeMlflow(f"before {models} models rows.py was asked for a filter that is {said[:600]}")


@contextmanager
def cheap() -> Iterator[str]:
    """The stub that costs nothing."""
    with nginx("stub.conf", BODY=answer_of_stub().decode()) as url:
        yield url


def mib(size: object) -> str:
    return f"{int(str(size)) / 2**20:.1f} MiB"

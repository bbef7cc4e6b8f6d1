"""Two readers agree: what sekisho lets through has on MLflow exactly the effect that it decided about.

Each form of forms.py goes as raw bytes to a bare MLflow and, with an admin's token, through sekisho to a twin with the
same rows, files and ids. Sekisho either refuses, and nothing changes, or both servers change in the same way and answer
the same; where it reads a form that MLflow cannot read, the effect must be that of the plain form.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from client_process import run_client
from conftest import LOGS, need_binary
from forms import FORMS, Form
from harness.mlflow_server import MlflowServer
from harness.rest import Answer, send_raw
from harness.sekisho import Sekisho

MINE, VICTIM = "mine", "victim"
_MOMENT = re.compile(r"\b1[6-9]\d{11}\b|\b[0-9a-f]{32}\b")


@dataclass(frozen=True)
class Twins:
    """A bare server, and its twin behind sekisho."""

    bare: MlflowServer
    gated: MlflowServer
    sekisho: Sekisho
    token: str
    words: dict[str, str]
    seeded: tuple[Path, Path]

    def restore(self) -> None:
        """Both as they were at first."""
        self.bare.restore(*self.seeded)
        self.gated.restore(*self.seeded)

    def through(self, raw: bytes) -> tuple[Answer, list[str]]:
        """Sends it through sekisho; the answer and what changed."""
        first, end, rest = raw.partition(b"\n")
        before = self.gated.state()
        answer = send_raw(self.sekisho.url, first + end + f"Authorization: Bearer {self.token}\r\n".encode() + rest)
        return answer, plain(before.difference(self.gated.state()), self.words)

    def directly(self, raw: bytes) -> tuple[Answer, list[str]]:
        """Sends it to the bare server; the answer and what changed."""
        before = self.bare.state()
        answer = send_raw(self.bare.url, raw)
        return answer, plain(before.difference(self.bare.state()), self.words)


@pytest.fixture(scope="module")
def twins(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Twins]:
    """Seeded once, then copied, so that every id is the same on both."""
    need_binary()
    with MlflowServer(LOGS) as bare:
        seeded = run_client("seed.py", {"MLFLOW_TRACKING_URI": bare.url}, MINE, VICTIM)
        assert isinstance(seeded, dict)
        words = {f"{who}_{what}".upper(): value for who, ids in seeded.items() for what, value in ids.items()}
        copy = bare.snapshot(tmp_path_factory.mktemp("seeded"))
        with MlflowServer(LOGS, copy_of=copy) as gated, Sekisho(gated.url, LOGS) as sekisho:
            yield Twins(bare, gated, sekisho, sekisho.token("root@company.com", "admin"), words, copy)


@pytest.mark.parametrize("form", FORMS, ids=lambda form: form.name)
def test_refused_or_the_same(twins: Twins, form: Form) -> None:
    """The property, for one form."""
    answer, effect = twins.through(filled(form.raw, twins.words))
    assert not 300 <= answer.status < 400, answer
    if 400 <= answer.status < 500 or answer.status == 0:
        assert effect == []
        assert not form.must_pass, answer
        return
    bare_answer, bare_effect = twins.directly(filled(form.raw, twins.words))
    if form.means is not None and (bare_answer.status, bare_effect) != (answer.status, effect):
        twins.bare.restore(*twins.seeded)
        bare_answer, bare_effect = twins.directly(filled(form.means, twins.words))
    if effect or bare_effect:
        twins.restore()
    assert effect == bare_effect
    assert answer.status == bare_answer.status
    assert content(answer, twins.words) == content(bare_answer, twins.words)


def filled(raw: bytes, words: dict[str, str]) -> bytes:
    """The form with its `@WORD@`s replaced and its length right."""
    for word, value in words.items():
        raw = raw.replace(f"@{word}@".encode(), value.encode())
    head, gap, body = raw.partition(b"\r\n\r\n")
    return re.sub(rb"Content-Length: AUTO", b"Content-Length: %d" % len(body), head) + gap + body


def plain(text: list[str], words: dict[str, str]) -> list[str]:
    """Without moments and without ids that a server made up itself."""
    known = set(words.values()) | {value.removeprefix("m-") for value in words.values()}
    return [_MOMENT.sub(lambda found: found[0] if found[0] in known else "<new>", line) for line in text]


def content(answer: Answer, words: dict[str, str]) -> str:
    """The body, as far as it can be the same on both servers."""
    body = answer.json()
    if isinstance(body, dict) and "next_page_token" in body:
        body["next_page_token"] = "<more>"
    text = json.dumps(body, sort_keys=True) if body is not None else answer.body.decode("latin-1")
    return plain([text], words)[0]

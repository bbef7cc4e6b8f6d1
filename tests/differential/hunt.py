"""Sends seeded variants as somebody who owns `mine` and may not see `victim`, and looks for what the victim suffered.

`hunt.py --cases N --seed S` is the long run; `--jobs` servers share it. `--bare` sends the same cases to an unprotected
MLflow, which shows how many of them do harm where nobody stands in front. `--case N` tells of one case alone.
"""

from __future__ import annotations

import argparse
import multiprocessing
import signal
import sys
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent), str(HERE.parent / "clients")]

from arena import Arena, arena, split
from harness.rest import Answer
from sow import LENGTH
from twins import cases, disagreement, of_admin, plain
from variants import CLASSES, Case, variant

BATCH = 50


@dataclass(frozen=True)
class Finding:
    """What a case did, and what is left of it when every change is gone that it does not need."""

    what: str
    case: Case
    message: bytes
    answer: Answer
    changes: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        lines = [f"{self.what}: {self.case}", f"  {self.message!r}", f"  answer {self.answer.status} {self.answer.body[:300]!r}"]
        return "\n".join([*lines, *(f"  {change[:300]}" for change in self.changes[:8])])


@dataclass
class Tally:
    """What became of the cases, by class."""

    findings: list[Finding] = field(default_factory=list)
    outcomes: Counter[tuple[str, str]] = field(default_factory=Counter)

    def add(self, other: Tally) -> None:
        """Both together."""
        self.findings += other.findings
        self.outcomes += other.outcomes

    def count(self, outcome: str) -> int:
        """How many ended so."""
        return sum(number for (_, ended), number in self.outcomes.items() if ended == outcome)


def hunt(at: Arena, seed: int, numbers: Sequence[int], kinds: Sequence[str] = tuple(CLASSES)) -> Tally:
    """Every case that did what it may not. The state is read once for many cases, and put back where it changed."""
    tally = Tally()
    for start in range(0, len(numbers), BATCH):
        batch = [variant(seed, number, at.cast, kinds) for number in numbers[start : start + BATCH]]
        answers = [at.send(case.draft, case.who) for case in batch]
        after = at.server.state()
        if after != at.before:
            at.restore()
            harmed, stray = split(at.before, after, at)
            if harmed or stray:
                tally.findings += sought(at, batch, harmed)
        for case, answer in zip(batch, answers, strict=True):
            tally.outcomes[case.kind, outcome(answer)] += 1
            fault = of_answer(at, case, answer)
            if fault:
                tally.findings.append(shrunk(at, Finding(fault, case, case.draft.message(None), answer, at.lines(answer))))
    return tally


def outcome(answer: Answer) -> str:
    """A word for the status."""
    return {0: "silence", 2: "done", 3: "moved", 4: "refused", 5: "failed"}.get(answer.status // 100, "odd")


def of_answer(at: Arena, case: Case, answer: Answer) -> str:
    """What is wrong with an answer, or nothing."""
    text = answer.body + "\n".join(f"{name}: {value}" for name, value in answer.headers.items()).encode("utf-8", "replace")
    if any(secret in text for secret in at.secrets) or f"content-length: {LENGTH + len(at.cast.victim.name)}".encode() in text.lower():
        return "told"
    if at.sekisho is None:
        return ""
    draft = case.draft
    if answer.status == 0 and well_formed(case):
        return "silence"
    if 300 <= answer.status < 400 and answer.status != 304:
        return "moved"
    if answer.status >= 500 and at.upstream_status(answer) != answer.status:
        at.restore()
        past = at.send_past(draft)
        at.restore()
        again = at.send(draft, case.who)
        at.restore()
        return "" if past.status >= 500 else "failed" if again.status >= 500 else "failed once"
    return ""


def well_formed(case: Case) -> bool:
    """Whether it is HTTP, so that it must be answered."""
    draft = case.draft
    line = draft.message(None).partition(b"\n")[0].removesuffix(b"\r")
    return not (draft.broken or draft.starved) and all(0x20 <= octet < 0x7F for octet in line) and line.count(b" ") == 2


def of_state(at: Arena, case: Case) -> tuple[str, list[str], Answer]:
    """Sends one case to the server as it was at first; what is wrong with what changed, and the state put back."""
    answer = at.send(case.draft, case.who)
    after = at.server.state()
    if after == at.before:
        return "", [], answer
    harmed, stray = split(at.before, after, at)
    at.restore()
    if harmed:
        return "harm", harmed, answer
    if not stray or at.sekisho is None:
        return "", [], answer
    # What belongs to nobody may change as it would have without sekisho.
    at.send_past(case.draft)
    _, bare = split(at.before, at.server.state(), at)
    at.restore()
    return ("", [], answer) if plain(bare, at) == plain(stray, at) else ("stray", stray, answer)


def sought(at: Arena, batch: list[Case], harmed: list[str]) -> list[Finding]:
    """Which of the cases changed what it may not: each alone first, then one after another."""
    found = []
    for case in batch:
        what, changes, answer = of_state(at, case)
        if what:
            found.append(shrunk(at, Finding(what, case, case.draft.message(None), answer, changes)))
    if found or not harmed:
        return found
    before = at.before
    for case in batch:
        answer = at.send(case.draft, case.who)
        after = at.server.state()
        changes, _ = split(before, after, at)
        before = after
        if changes:
            found.append(Finding("harm after the cases before it", case, case.draft.message(None), answer, changes))
    at.restore()
    last = batch[-1]
    return found or [Finding("harm that did not come again, of the last cases", last, last.draft.message(None), Answer(0, {}, b""), harmed)]


def shrunk(at: Arena, finding: Finding) -> Finding:
    """The finding without the changes that it does not need; of what is found without sekisho there is too much for that."""
    at.restore()
    if at.sekisho is None:
        return finding
    position = 0
    while position < len(finding.case.changes):
        less = finding.case.without(position, at.cast)
        what, changes, answer = of_state(at, less)
        what = what or of_answer(at, less, answer)
        at.restore()
        if what == finding.what:
            finding = replace(finding, case=less, message=less.draft.message(None), answer=answer, changes=changes)
        else:
            position += 1
    return finding


def compared(at: Arena, seed: int, numbers: Sequence[int], kinds: Sequence[str] = tuple(CLASSES)) -> Tally:
    """Every case that does one thing through sekisho, asked by an admin, and another without it."""
    tally = Tally()
    for case in cases(at, seed, numbers, kinds):
        what, changes, answer = disagreement(at, case)
        tally.outcomes[case.kind, outcome(answer)] += 1
        if what:
            tally.findings.append(Finding(what, case, case.draft.message(None), answer, changes))
    return tally


def share(job: int, chosen: argparse.Namespace) -> tuple[Counter[tuple[str, str]], list[str]]:
    """One server's part of the cases: how they ended, and what kinds of findings there were. Each is printed when it is found."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that the servers end too
    began = time.monotonic()
    numbers = range(chosen.first + job, chosen.first + chosen.cases, chosen.jobs)
    outcomes: Counter[tuple[str, str]] = Counter()
    kinds: list[str] = []
    with arena(not chosen.bare, chosen.shared_experiment) as at:
        for start in range(0, len(numbers), 1_000):
            part = numbers[start : start + 1_000]
            tally = (
                compared(of_admin(at), chosen.seed, part, chosen.classes) if chosen.twins else hunt(at, chosen.seed, part, chosen.classes)
            )
            outcomes += tally.outcomes
            kinds += [finding.what for finding in tally.findings]
            for finding in tally.findings:
                print(finding, flush=True)
            done = sum(outcomes.values())
            pace = done / (time.monotonic() - began)
            print(f"job {job}: {done} of {len(numbers)} cases, {len(kinds)} findings, {pace:.0f} cases/s", file=sys.stderr, flush=True)
    return outcomes, kinds


def one(chosen: argparse.Namespace) -> int:
    """Tells of a single case."""
    with arena(not chosen.bare, chosen.shared_experiment) as at:
        case = variant(chosen.seed, chosen.case, at.cast, chosen.classes)
        answer = at.send(case.draft, case.who)
        fault = of_answer(at, case, answer)
        at.restore()
        what, changes, answer = of_state(at, case)
        print(Finding(what or fault or "nothing", case, case.draft.message(None), answer, changes))
    return 1 if what or fault else 0


def main() -> int:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cases", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--first", type=int, default=0, help="the number of the first case")
    parser.add_argument("--case", type=int, help="one case alone, and what it did")
    parser.add_argument("--jobs", type=int, default=1, help="so many servers at once")
    parser.add_argument("--classes", nargs="+", choices=tuple(CLASSES), default=tuple(CLASSES))
    parser.add_argument("--twins", action="store_true", help="as an admin: does each case do the same with and without sekisho?")
    parser.add_argument("--bare", action="store_true", help="without sekisho, to see that the cases can do harm")
    parser.add_argument(
        "--shared-experiment", action="store_true", help="the victim's runs and mine lie in one experiment, which I may track in"
    )
    chosen = parser.parse_args()
    if chosen.case is not None:
        return one(chosen)
    if chosen.jobs == 1:
        parts = [share(0, chosen)]
    else:
        with multiprocessing.get_context("spawn").Pool(chosen.jobs) as pool:
            parts = pool.starmap(share, [(job, chosen) for job in range(chosen.jobs)], 1)
    findings = Counter(what for _, some in parts for what in some)
    outcomes = sum((part for part, _ in parts), Counter())
    for kind in chosen.classes:
        ended = {name: number for (of, name), number in sorted(outcomes.items()) if of == kind}
        print(f"{kind:10} {sum(ended.values()):7} cases: " + ", ".join(f"{number} {name}" for name, number in ended.items()))
    print(f"seed {chosen.seed}: {sum(outcomes.values())} cases, {findings.total()} findings {dict(findings) or ''}")
    return 1 if findings and not chosen.bare else 0


if __name__ == "__main__":
    sys.exit(main())

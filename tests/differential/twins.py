"""Two readers of the same bytes: what an admin's request does through sekisho, and what it does without."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import replace

from arena import Arena
from harness.rest import Answer
from variants import CLASSES, Case, variant

_MADE_UP = re.compile(
    r"\b1[6-9]\d{8,11}\b|[0-9a-f]{32}|(['\"])[0-9a-f]{8}\1|(['\"])[a-z]+-[a-z]+-[0-9]+\2|\b20\d\d-\d\d-\d\dT[\d:.]+Z|\d+ms"
)


def plain(lines: Sequence[str], at: Arena) -> list[str]:
    """Without moments, ids and names that a server made up; the ids of the seed stay."""
    known = " ".join(str(part) for owner in (at.cast.victim, at.cast.mine) for part in vars(owner).values())
    return sorted(_MADE_UP.sub(lambda found: found[0] if found[0] in known else "<new>", line) for line in lines)


def of_admin(at: Arena) -> Arena:
    """The same servers, asked by somebody who may do everything."""
    if at.sekisho is None:
        raise ValueError("twins need sekisho")
    token = at.sekisho.token("root@company.com", "admin", ["*"])
    return replace(at, tokens=dict.fromkeys(at.tokens, token))


def disagreement(at: Arena, case: Case) -> tuple[str, list[str], Answer]:
    """How the two differ over a case, or nothing: sekisho may refuse, and it may read what MLflow refuses to read."""
    draft = case.draft
    answer, effect = effect_of(at, case, past=False)
    if not any('"upstream_status"' in line for line in at.lines(answer)):
        return ("refused and done", effect, answer) if effect else ("", [], answer)
    bare, bare_effect = effect_of(at, case, past=True)
    if plain(effect, at) != plain(bare_effect, at):
        reads_more = not bare_effect and not_read(bare)
        return ("" if reads_more else "another effect", [*effect, "without sekisho:", *bare_effect], answer)
    both = answer.status // 100 == 2 and not not_read(bare) and draft.method != "HEAD"
    if both and content(answer, at) != content(bare, at):
        return "another answer", [*content(answer, at), *content(bare, at)], answer
    return "", [], answer


def effect_of(at: Arena, case: Case, past: bool) -> tuple[Answer, list[str]]:
    """The answer and what changed, and all put back."""
    answer = at.send_past(case.draft) if past else at.send(case.draft, case.who)
    after = at.server.state()
    if after == at.before:
        return answer, []
    effect = at.before.difference(after)
    at.restore()
    return answer, effect


def not_read(answer: Answer) -> bool:
    """Whether MLflow made nothing of the request; of a GraphQL document it says so with 200."""
    body = answer.json()
    return answer.status >= 400 or answer.status == 0 or (isinstance(body, dict) and "errors" in body and body.get("data") is None)


def content(answer: Answer, at: Arena) -> list[str]:
    """The body, as far as it can be the same twice."""
    body = answer.json()
    return plain([json.dumps(body, sort_keys=True) if body is not None else answer.body.decode("latin-1")], at)


def comparable(case: Case) -> bool:
    """Whether it is one whole request."""
    draft = case.draft
    return not (draft.broken or draft.starved or draft.tail)


def cases(at: Arena, seed: int, numbers: Sequence[int], kinds: Sequence[str] = tuple(CLASSES)) -> list[Case]:
    """Those of the cases that two can be asked for."""
    return [case for case in (variant(seed, number, at.cast, kinds) for number in numbers) if comparable(case)]

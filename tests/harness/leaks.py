"""Secrets that were handed out or sent, and whether a text holds one of them: whole, in part, or in base64."""

from __future__ import annotations

import base64
import threading

_lock = threading.Lock()
_known: dict[str, str] = {}

SHORTEST = 12


def remember(secret: str, name: str) -> str:
    """From now on no log may hold `secret`; a leak is told by `name` alone."""
    if len(secret) < SHORTEST:
        raise ValueError(f"{name} is too short to be looked for")
    with _lock:
        for fragment in _fragments(secret):
            _known.setdefault(fragment, name)
    return secret


def found_in(text: str) -> list[str]:
    """The names of the secrets that a text holds."""
    with _lock:
        known = list(_known.items())
    return sorted({name for fragment, name in known if fragment in text})


def _fragments(secret: str) -> set[str]:
    """What somebody could use: of a token also what is signed, its claims and its signature, each by itself."""
    found = {secret} | {_within_base64(secret, before) for before in range(3)}
    parts = secret.split(".")
    if len(parts) == 3 and all(parts):
        head, claims, signature = parts
        found |= {f"{head}.{claims}", claims, signature}
    return {fragment for fragment in found if len(fragment) >= SHORTEST}


def _within_base64(secret: str, before: int) -> str:
    """How `secret` looks inside the base64 of a longer text, after so many bytes: without the letters that neighbours change."""
    text = base64.b64encode(b"x" * before + secret.encode()).decode().rstrip("=")
    return text[(0, 2, 3)[before] : -1]

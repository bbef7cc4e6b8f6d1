"""Turns what the client returns into plain data without ids, times and addresses."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping

_MOMENTS = re.compile(r"(time|timestamp|_ms|_at|_date|user_id|last_updated.*|creation_.*|_mlflow_experiment_ids)$")
REGISTRATIONS = "mlflow.modelVersions"
_FORMS = (
    (re.compile(r"\b(?:tr-|m-|a-)?[0-9a-f]{32}\b"), "id"),
    (re.compile(r"\b[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\b"), "id"),
    (re.compile(r"https?://127\.0\.0\.1:\d+"), "server"),
    (re.compile(r"/tmp/[\w./-]+"), "folder"),
    (re.compile(r"\b\d{13}\b|\b\d{4}-\d\d-\d\d[ T][\d:.+Z]+"), "time"),
)


def normalise(value: object, depth: int = 0) -> object:
    """Plain JSON data; entities become their public properties."""
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, str):
        return text(value)
    if depth > 8:
        return text(repr(type(value)))
    if isinstance(value, Mapping):
        items = sorted((str(key), item) for key, item in value.items())
        kept = {text(key): normalise(item, depth + 1) for key, item in items if not _MOMENTS.search(key)}
        if REGISTRATIONS in kept:
            kept[REGISTRATIONS] = registrations(str(kept[REGISTRATIONS]))
        return kept
    if type(value).__module__.startswith("mlflow") and not isinstance(value, list):
        return normalise(properties(value), depth + 1)
    if isinstance(value, Iterable):
        return [normalise(item, depth + 1) for item in value]
    return text(repr(value))


def properties(entity: object) -> dict[str, object]:
    """The public fields and properties of an MLflow entity."""
    found: dict[str, object] = {}
    names = set(vars(entity)) if hasattr(entity, "__dict__") else set()
    names |= {name for name in dir(type(entity)) if isinstance(getattr(type(entity), name, None), property)}
    for name in sorted(name.lstrip("_") for name in names):
        value = getattr(entity, name, None)
        if not callable(value):
            found[name] = value
    return {"a": type(entity).__name__, **found}


def registrations(tag: str) -> list[str]:
    """Which versions the tag names, once each: server and client both write it, one with a number, one with a text."""
    return sorted({f"{entry['name']}/{entry['version']}" for entry in json.loads(tag)})


def text(value: str) -> str:
    """`value` with every id, address and moment replaced by its kind."""
    for form, kind in _FORMS:
        value = form.sub(f"<{kind}>", value)
    return value

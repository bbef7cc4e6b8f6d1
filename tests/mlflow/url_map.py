"""Prints every route that the installed MLflow serves, as sorted `METHOD PATH` lines: what `sekisho routes --coverage` reads.

Both applications of the server are asked: the FastAPI one that is in front, and the Flask one mounted behind it.
HEAD and OPTIONS are left out, since the frameworks add them by themselves.
"""

from __future__ import annotations

import os
import re
import sys
import tempfile
from collections.abc import Iterable, Iterator

AUTOMATIC = {"HEAD", "OPTIONS"}
_PARAMETER = re.compile(r"<(?:(\w+):)?(\w+)>|\{(\w+)(?::(\w+))?\}")


def plain(path: str) -> str:
    """`path` with its parameters as `{name}`, or `{name*}` for one that may hold slashes, whichever framework wrote it."""
    return _PARAMETER.sub(_plain, path)


def _plain(found: re.Match[str]) -> str:
    kind, name = found[1] or found[4], found[2] or found[3]
    return f"{{{name}*}}" if kind == "path" else f"{{{name}}}"


def flask_routes() -> Iterator[tuple[str, str]]:
    """The rules of the Flask application."""
    from mlflow.server import app

    for rule in app.url_map.iter_rules():
        for method in (rule.methods or set()) - AUTOMATIC:
            yield method, plain(rule.rule)


def fastapi_routes() -> Iterator[tuple[str, str]]:
    """The routes of the FastAPI application, without the mount of the Flask one."""
    from mlflow.server.fastapi_app import app

    yield from walk(app.routes, "")


def walk(routes: Iterable[object], prefix: str) -> Iterator[tuple[str, str]]:
    """Routes and the routers included in them; newer FastAPI keeps an included router as one entry."""
    for route in routes:
        inner = getattr(route, "original_router", None)
        if inner is not None:
            context = getattr(route, "include_context", None)
            yield from walk(inner.routes, prefix + getattr(context, "prefix", ""))
        elif getattr(route, "methods", None):
            for method in route.methods - AUTOMATIC:
                yield method, plain(prefix + route.path)


def lines() -> list[str]:
    """All of them, sorted by path."""
    found = {*flask_routes(), *fastapi_routes()}
    return [f"{method} {path}" for method, path in sorted(found, key=lambda route: (route[1], route[0]))]


if __name__ == "__main__":
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    with tempfile.TemporaryDirectory() as folder:
        os.environ.setdefault("_MLFLOW_SERVER_FILE_STORE", f"sqlite:///{folder}/mlflow.db")
        sys.stdout.write("\n".join(lines()) + "\n")

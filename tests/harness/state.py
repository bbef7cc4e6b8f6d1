"""What an MLflow server remembers, read from its SQLite file and its artifact folder, and the difference of two readings."""

from __future__ import annotations

import hashlib
import sqlite3
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

Row: TypeAlias = tuple[object, ...]


@dataclass(frozen=True)
class State:
    """Rows by table and file digests by path below the artifact folder."""

    tables: dict[str, tuple[Row, ...]]
    files: dict[str, str]
    columns: dict[str, tuple[str, ...]] = field(compare=False, default_factory=dict)

    def difference(self, later: State) -> list[str]:
        """One line for each row or file that came, went or changed; empty when nothing did."""
        lines: list[str] = []
        for table in sorted(self.tables.keys() | later.tables.keys()):
            before, after = self.tables.get(table, ()), later.tables.get(table, ())
            lines += [f"- {table} {row}" for row in before if row not in after]
            lines += [f"+ {table} {row}" for row in after if row not in before]
        for path in sorted(self.files.keys() | later.files.keys()):
            if self.files.get(path) != later.files.get(path):
                lines.append(f"~ file {path}: {self.files.get(path, 'absent')} -> {later.files.get(path, 'absent')}")
        return lines


def read_state(database: Path, artifacts: Path) -> State:
    """Reads both while the server runs; SQLite gives one consistent moment of the rows."""
    tables: dict[str, tuple[Row, ...]] = {}
    columns: dict[str, tuple[str, ...]] = {}
    connection = sqlite3.connect(f"file:{database}?mode=ro", uri=True, timeout=30)
    try:
        connection.execute("BEGIN")
        names = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name").fetchall()
        for (name,) in names:
            cursor = connection.execute(f'SELECT * FROM "{name}"')
            columns[name] = tuple(column[0] for column in cursor.description)
            tables[name] = tuple(sorted(cursor.fetchall(), key=repr))
    finally:
        connection.close()
    return State(tables, read_files(artifacts), columns)


def read_files(root: Path) -> dict[str, str]:
    """SHA-256 of every file below `root`, by relative path."""
    found: dict[str, str] = {}
    for path in sorted(root.rglob("*")):
        if path.is_file():
            with path.open("rb") as source:
                found[path.relative_to(root).as_posix()] = hashlib.file_digest(source, "sha256").hexdigest()[:16]
    return found

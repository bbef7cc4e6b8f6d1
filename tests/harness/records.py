"""The record that a sekisho has written: its lines, and whether it holds by somebody else's reckoning."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import zstandard

VERIFIER = Path(__file__).resolve().parents[1] / "record" / "verify.py"


def text(folder: Path) -> str:
    """All that was written, closed files too."""
    return "".join(_read(file) for file in _files(folder))


def lines(folder: Path) -> Iterator[dict[str, Any]]:
    """Every whole line, chain by chain."""
    for file in _files(folder):
        for line in _read(file).rpartition("\n")[0].splitlines():
            try:
                yield json.loads(line)
            except ValueError:
                # Torn by a crash; the next line says so, and the verifier looks.
                continue


def faults(folder: Path, *key: str) -> str:
    """What the independent verifier finds, with the key of that file; nothing if it holds, or if there is none."""
    if not (folder / "audit.pub").exists():
        return ""
    done = subprocess.run(
        [sys.executable, str(VERIFIER), str(folder), *key], capture_output=True, text=True, timeout=60, check=False
    )
    return "" if done.returncode == 0 else (done.stdout + done.stderr).strip()


def _files(folder: Path) -> list[Path]:
    closed = sorted(folder.glob("*/*-*.jsonl*"))
    return [file for chain in sorted({file.parent for file in folder.glob("*/current.jsonl")}) for file in [
        *(file for file in closed if file.parent == chain), chain / "current.jsonl"
    ]]  # fmt: skip


def _read(file: Path) -> str:
    data = file.read_bytes()
    if file.suffix == ".zst":
        data = zstandard.ZstdDecompressor().stream_reader(io.BytesIO(data), read_across_frames=True).read()
    return data.decode(errors="replace")

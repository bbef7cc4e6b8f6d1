"""What one decision costs as policy rows grow."""

from __future__ import annotations

import os
import re
import subprocess
from functools import cache

from load import say


@cache
def decisions() -> list[dict[str, object]]:
    """What `examples/decision_cost.rs` prints, by rows and kind of demand; times in nanoseconds. Once in a run."""
    say("decisions")
    program = os.environ["DECISION_COST_BIN"]
    done = subprocess.run([program], capture_output=True, text=True, timeout=600, check=True)
    line = re.compile(r"^ *(\d+)  (.+?) +(\d+) +(\d+)   \d+ of \d+ allowed$", re.MULTILINE)
    found = [
        {"rows": int(rows), "demand": demand, "first_ns": int(first), "remembered_ns": int(remembered)}
        for rows, demand, first, remembered in line.findall(done.stdout)
    ]
    if {each["rows"] for each in found} != {100, 10_000, 100_000}:
        raise RuntimeError(f"decision_cost printed something else:\n{done.stdout}")
    return found

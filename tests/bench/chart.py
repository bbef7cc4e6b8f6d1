"""The chart of the speed part: requests a second on a logarithmic scale, as an SVG that is readable in dark and in light."""

from __future__ import annotations

import math
from collections.abc import Mapping
from html import escape
from typing import Any

ROWS = (
    ("mlflow", "MLflow, 2 workers", "other"),
    ("mlflow auth", "MLflow's auth app, 2 workers", "other"),
    ("haproxy jwt", "HAProxy, jwt_verify and claims", "other"),
    ("sekisho passing", "sekisho, passing on", "ours"),
    ("nginx passing", "nginx, proxy_pass, no auth", "other"),
    ("nginx cached", "nginx, proxy_cache, no auth", "other"),
    ("sekisho cached", "sekisho, from memory", "ours"),
)
WIDTH, LEFT, RIGHT, TOP, ROW, BAR = 760, 216, 76, 52, 30, 18
STYLE = """
  text { font: 13px system-ui, sans-serif; fill: #1f2328; }
  .title { font-weight: 600; font-size: 14px; }
  .note, .tick { fill: #59636e; font-size: 11px; }
  .line { stroke: #d1d9e0; }
  .other { fill: #8c959f; }
  .ours { fill: #0a7d55; }
  @media (prefers-color-scheme: dark) {
    text { fill: #e6edf3; }
    .note, .tick { fill: #9198a1; }
    .line { stroke: #3d444d; }
    .other { fill: #6e7681; }
    .ours { fill: #3fb98a; }
  }
"""


def bars(per_second: Mapping[str, float], results: Mapping[str, Any]) -> str:
    """A bar for each of `ROWS`."""
    low = 10 ** math.floor(math.log10(min(per_second[name] for name, _, _ in ROWS)))
    high = 10 ** math.ceil(math.log10(max(per_second[name] for name, _, _ in ROWS)))
    span = WIDTH - LEFT - RIGHT

    def place(number: float) -> float:
        return LEFT + span * math.log10(number / low) / math.log10(high / low)

    bottom = TOP + ROW * len(ROWS)
    height = bottom + 44
    machine, load = results["machine"], results["load"]
    how = (
        f"{load['connections']} connections, {load['bytes']} bytes; "
        f"median of {load['rounds']} round{'s' if load['rounds'] > 1 else ''} of {load['seconds']} s in turns on one machine"
    )
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}" role="img">',
        "<title>Reads of one model version a second</title>",
        f"<style>{STYLE}</style>",
        '<text class="title" x="8" y="20">Reads of one model version a second (logarithmic)</text>',
        f'<text class="note" x="8" y="37">{how}</text>',
    ]
    for power in range(round(math.log10(low)), round(math.log10(high)) + 1):
        x = place(10**power)
        parts.append(f'<line class="line" x1="{x:.1f}" x2="{x:.1f}" y1="{TOP - 4}" y2="{bottom}"/>')
        parts.append(f'<text class="tick" x="{x:.1f}" y="{bottom + 14}" text-anchor="middle">{10**power:,}</text>')
    for number, (name, label, kind) in enumerate(ROWS):
        y, end = TOP + ROW * number, place(per_second[name])
        middle = y + BAR - 4
        parts.append(f'<text x="{LEFT - 8}" y="{middle}" text-anchor="end">{escape(label)}</text>')
        parts.append(f'<rect class="{kind}" x="{LEFT}" y="{y}" width="{end - LEFT:.1f}" height="{BAR}" rx="2"/>')
        parts.append(f'<text x="{end + 6:.1f}" y="{middle}">{per_second[name]:,.0f}</text>')
    where = f"{machine['cpu']}, {machine['cores']} cores, for servers and load together"
    said = f"{where}; {results['versions']['commit']}, {results['date'][:10]}"
    parts.append(f'<text class="note" x="8" y="{height - 8}">{escape(said)}</text>')
    return "\n".join([*parts, "</svg>", ""])

"""Names, versions, aliases and stages in every spelling that somebody may take for the same."""

from __future__ import annotations

from collections.abc import Iterator

from hostile.deeds import ON_MINE, ON_VICTIM
from hostile.house import House
from hostile.vector import VICTIM, Twin, Vector, attack, call, each, get, post

NO_SUCH = "MLflow compares names byte by byte"
BAD_NAME = "MLflow refuses the name"

LOOK_ALIKES = {
    "capitals": VICTIM.upper(),
    "a capital": VICTIM.title(),
    "a blank before": f" {VICTIM}",
    "a blank behind": f"{VICTIM} ",
    "a tab behind": f"{VICTIM}\t",
    "a line end behind": f"{VICTIM}\n",
    "a NUL behind": f"{VICTIM}\0",
    "a NUL and more": f"{VICTIM}\0_mine",
    "a no-break space behind": f"{VICTIM}\u00a0",
    "a zero-width space": "victim\u200b_model",
    "a word joiner": f"{VICTIM}\u2060",
    "a byte order mark": f"\ufeff{VICTIM}",
    "a turn of direction": f"\u202e{VICTIM}",
    "Cyrillic": "v\u0456ctim_model",
    "full width": "\uff56ictim_model",
    "a dotless i": "v\u0131ctim_model",
    "a low line of full width": "victim\uff3fmodel",
    "a combining accent": f"{VICTIM}\u0301",
    "a soft hyphen": "victim_\u00admodel",
    "a percent encoding": "%76ictim_model",
    "a double encoding": "%2576ictim_model",
    "an HTML entity": "&#118;ictim_model",
    "a hyphen": "victim-model",
    "an SQL pattern": "victim%",
    "an SQL joker": "victim_mode_",
    "a star": "victim*",
    "the star alone": "*",
    "a question mark": "victim_mode?",
    "SQL behind": f"{VICTIM}' --",
    "SQL or": "x' OR '1'='1",
    "a fragment": f"{VICTIM}#x",
    "a query": f"{VICTIM}?x",
    "a parameter": f"{VICTIM};x",
    "an alias": f"{VICTIM}@champion",
    "quotes": f'"{VICTIM}"',
    "back-quotes": f"`{VICTIM}`",
    "a list": f'["{VICTIM}"]',
}
UNNAMEABLE = {
    "a version": f"{VICTIM}/1",
    "a slash behind": f"{VICTIM}/",
    "a dot segment": f"./{VICTIM}",
    "a scheme": f"models:/{VICTIM}",
    "a workspace": f"default/{VICTIM}",
    "a colon behind": f"{VICTIM}:",
}


def names() -> Iterator[Vector]:
    """By somebody whose claim has patterns that are near the hidden name."""
    for name, spelling in (*LOOK_ALIKES.items(), *UNNAMEABLE.items()):
        yield attack(f"get with {name}", "patterns", get("registered-models/get", name=spelling), ON_VICTIM["get"].twin(), NO_SUCH)
        tag = post("registered-models/set-tag", name=spelling, key="k", value="v")
        yield attack(f"tag with {name}", "patterns", tag, ON_VICTIM["tag"].twin(), NO_SUCH)
        file = get("/model-versions/get-artifact", name=spelling, version="1", path="MLmodel")
        yield attack(f"file with {name}", "patterns", file, ON_VICTIM["file"].twin(), NO_SUCH)


def new_names() -> Iterator[Vector]:
    """Names that no claim and no policy row can be about, or that cannot be shown."""
    fresh = Twin("engineer", post("registered-models/create", name="mine_new"))
    moved = Twin("engineer", post("registered-models/rename", name="mine_a", new_name="mine_b"))
    for name, spelling, refuses in (
        ("a star", "mine_*", ""),
        ("a star inside", "mine_*_model", ""),
        ("a line end", "mine_a\nvictim", ""),
        ("a carriage return", "mine_\r", ""),
        ("a NUL", "mine_\0", ""),
        ("a tab", "mine_\t", ""),
        ("an escape", "mine_\x1b[2J", ""),
        ("a C1 control", "mine_\u0085", ""),
        ("the victim's, with a slash", f"mine_/../{VICTIM}", BAD_NAME),
        ("a colon", "mine_a:1", BAD_NAME),
    ):
        yield attack(f"create a model with {name}", "engineer", post("registered-models/create", name=spelling), fresh, refuses)
        yield attack(f"rename to {name}", "engineer", post("registered-models/rename", name="mine_a", new_name=spelling), moved, refuses)


def versions() -> Iterator[Vector]:
    """Whatever Python's `int` takes, on every call that takes a version."""
    wishes = {
        name: ON_VICTIM[name]
        for name in ("get version", "download uri", "file", "tag version", "untag version", "describe version", "archive", "delete version")
    }
    spellings = {
        "zero before": ("01", ""),
        "zeros before": ("0001", ""),
        "a plus": ("+1", ""),
        "a blank before": (" 1", ""),
        "a blank behind": ("1 ", ""),
        "a line end": ("1\n", ""),
        "a no-break space": ("\u00a01", ""),
        "Arabic-Indic": ("\u0661", ""),
        "full width": ("\uff11", ""),
        "Devanagari": ("\u0967", ""),
        "a fraction": ("1.0", "no whole number"),
        "an exponent": ("1e0", "no whole number"),
        "hexadecimal": ("0x1", "no whole number"),
        "negative": ("-1", "no such version"),
        "superscript": ("\u00b9", "no whole number"),
        "latest": ("latest", "no whole number"),
    }
    for wish in wishes.values():
        path, _, query = wish.request.target.partition("?")
        for name, (spelling, refuses) in spellings.items():
            if query:
                fields = dict(pair.split("=") for pair in query.split("&")) | {"version": spelling}
                request = get(path, **fields)
            else:
                request = wish.request.with_field("version", spelling)
            yield attack(f"{wish.name}, version with {name}", "engineer", request, wish.twin(), refuses)


def aliases() -> Iterator[Vector]:
    """Look-ups by alias and by stage, which MLflow resolves in its own ways."""
    for alias in ("champion", "latest", "LATEST", "Latest", "Champion", "v1", "1"):
        request = get("registered-models/alias", name=VICTIM, alias=alias)
        yield attack(f"alias {alias}", "engineer", request, ON_VICTIM["get by alias"].twin())
    for stage in ("Staging", "staging", "STAGING", "sTaGiNg", "None", "none", "Production", "Archived"):
        request = post("registered-models/get-latest-versions", name=VICTIM, stages=[stage])
        yield attack(f"latest in {stage}", "engineer", request, ON_VICTIM["latest by POST"].twin())
    for stage in ("archived", "ARCHIVED", "production", "None", "none"):
        request = post("model-versions/transition-stage", name=VICTIM, version="1", stage=stage)
        yield attack(f"to {stage}", "engineer", request, ON_VICTIM["archive"].twin())
    mass = post("model-versions/transition-stage", name=VICTIM, version="2", stage="Staging", archive_existing_versions=True)
    yield attack("to Staging, archiving the others", "engineer", mass, ON_VICTIM["archive"].twin())
    for stage in ("Production", "production", "PRODUCTION"):
        request = post("model-versions/transition-stage", name="mine_a", version="1", stage=stage)
        yield attack(f"mine to {stage}, which the policy denies", "engineer", request, ON_MINE["archive"].twin("engineer"))
    for alias in ("champion", "Champion", "latest", "v1", "\u0430lias"):
        refuses = "MLflow keeps the word for itself" if alias in ("latest", "v1") else ""
        request = post("registered-models/alias", name="mine_a", version="2", alias=alias)
        yield attack(f"set alias {alias} of mine without the permission", "engineer", request, ON_MINE["alias"].twin("deployer"), refuses)
    gone = call("DELETE", "registered-models/alias", name="mine_a", alias="champion")
    yield attack("delete an alias of mine without the permission", "scientist", gone, ON_MINE["unalias"].twin("deployer"))


VECTORS = [*names(), *new_names(), *versions(), *aliases()]


@each(VECTORS)
def test_names(house: House, kind: str, vector: Vector) -> None:
    """Nothing is gained."""
    house.withstands(vector, kind)

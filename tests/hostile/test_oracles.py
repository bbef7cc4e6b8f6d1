"""Whether anything about an answer tells a hidden model from none: every route that names one, and every order of checks."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from harness.rest import send_raw
from harness.samples import Place, sample
from harness.sekisho import run_command
from hostile.deeds import ON_VICTIM
from hostile.house import NOBODY, House
from hostile.vector import API, PROMPT, VICTIM, Request, Vector, attack, call, each, get, post

ATTACKERS = ("engineer", "scientist", "reader", "deployer", "ci", "patterns", "unclaimed", "nobody", "third", NOBODY)
SAME = "MLflow says the same of a model that is not there"


def broken() -> Iterator[Vector]:
    """Requests that are also wrong in another way: what is complained of first must not depend on what exists."""
    version = {"name": VICTIM, "version": "1"}
    rows: list[tuple[str, Request, str]] = [
        ("a version that is not there", get("model-versions/get", name=VICTIM, version="99"), SAME),
        ("a version that is no number", get("model-versions/get", name=VICTIM, version="x"), SAME),
        ("no version", get("model-versions/get", name=VICTIM), SAME),
        ("an alias that is not there", get("registered-models/alias", name=VICTIM, alias="nothing"), ""),
        ("no alias", get("registered-models/alias", name=VICTIM), SAME),
        ("a file that is not there", get("/model-versions/get-artifact", **version, path="absent"), ""),
        ("a file above", get("/model-versions/get-artifact", **version, path="../x"), SAME),
        ("no path of a file", get("/model-versions/get-artifact", **version), SAME),
        ("a file of no version", get("/model-versions/get-artifact", name=VICTIM, version="99", path="MLmodel"), SAME),
        ("an address of no version", get("model-versions/get-download-uri", name=VICTIM, version="99"), SAME),
        ("a stage that is none", post("model-versions/transition-stage", **version, stage="Nowhere"), SAME),
        ("a stage of no version", post("model-versions/transition-stage", name=VICTIM, version="99", stage="Staging"), SAME),
        ("no stage", post("model-versions/transition-stage", **version), SAME),
        (
            "all archived with it",
            post("model-versions/transition-stage", **version, stage="Archived", archive_existing_versions=True),
            SAME,
        ),
        ("the latest in no stage", post("registered-models/get-latest-versions", name=VICTIM, stages=["Nowhere"]), ""),
        ("a tag without a key", post("registered-models/set-tag", name=VICTIM, value="v"), SAME),
        ("a tag with a bad key", post("registered-models/set-tag", name=VICTIM, key="a/../b", value="v"), SAME),
        ("a tag too long", post("registered-models/set-tag", name=VICTIM, key="k", value="v" * 200_000), SAME),
        ("a tag that is not there", call("DELETE", "registered-models/delete-tag", name=VICTIM, key="nothing"), ""),
        ("a version's tag that is not there", call("DELETE", "model-versions/delete-tag", **version, key="nothing"), ""),
        ("an alias with a bad name", post("registered-models/alias", **version, alias="a b"), SAME),
        ("the alias latest", post("registered-models/alias", **version, alias="latest"), SAME),
        ("an alias of no version", post("registered-models/alias", name=VICTIM, version="99", alias="a"), SAME),
        ("a new version without a source", post("model-versions/create", name=VICTIM), SAME),
        ("a new version of no run", post("model-versions/create", name=VICTIM, source="runs:/" + "0" * 32 + "/m", run_id="0" * 32), ""),
        ("a new version of its own files", post("model-versions/create", name=VICTIM, source="models:/~l1~", model_id="~l1~"), ""),
        ("mine of no version of it", post("model-versions/create", name="mine_a", source=f"models:/{VICTIM}/99"), ""),
        ("mine of no alias of it", post("model-versions/create", name="mine_a", source=f"models:/{VICTIM}@nothing"), ""),
        ("mine of a stage of it", post("model-versions/create", name="mine_a", source=f"models:/{VICTIM}/Production"), ""),
        ("mine of the prompt", post("model-versions/create", name="mine_a", source=f"models:/{PROMPT}/1"), ""),
        ("the prompt", get("registered-models/get", name=PROMPT), ""),
        ("the prompt's version", get("model-versions/get", name=PROMPT, version="1"), ""),
        (
            "a name like the prompt's",
            post("registered-models/create", name=PROMPT, tags=[{"key": "mlflow.prompt.is_prompt", "value": "true"}]),
            "",
        ),
        ("a new name like the victim's", post("registered-models/rename", name="mine_nothing", new_name=VICTIM), SAME),
        ("a description too long", call("PATCH", "registered-models/update", name=VICTIM, description="x" * 20_000), ""),
        ("an unknown field", post("registered-models/set-tag", name=VICTIM, key="k", value="v", unknown=1), ""),
    ]
    for name, request, refuses in rows:
        for who in ("engineer", "reader", "patterns"):
            yield attack(f"{name} as {who}", who, request, ON_VICTIM["get"].twin(), refuses)


VECTORS = list(broken())


@each(VECTORS)
def test_oracles(house: House, kind: str, vector: Vector) -> None:
    """Nothing is gained."""
    house.withstands(vector, kind)


@pytest.fixture(scope="module")
def naming(house: House) -> dict[str, Request]:
    """A request for each route of the table that can name a registered model; runs and files in it are nobody's."""
    done = run_command("routes", "--output", "json")
    place = Place(VICTIM, house.words["e"], house.words["spare"], house.words["sparel"], house.words["trace"])
    found: dict[str, Request] = {}
    for row in json.loads(done.stdout):
        if not row["method"].isalpha() or row["permission"].startswith("tracking_"):
            continue  # such a route names no registered model, or one that need not be there
        made = sample(row["method"], row["path"], place)
        if VICTIM in made.target or VICTIM in json.dumps(made.body, default=str):
            body = None if made.body is None else json.dumps(made.body).encode()
            found[f"{row['method']} {row['path']}"] = Request(
                row["method"], made.target, body, ("Content-Type: application/json",) if body else ()
            )
    assert len(found) > 40, sorted(found)
    return found


@pytest.mark.parametrize("who", ATTACKERS)
def test_every_route_that_names_a_model(house: House, kind: str, naming: dict[str, Request], who: str) -> None:
    """The same answer, byte for byte, and nothing changes; on a bare MLflow nearly all of them differ."""
    wrong: list[str] = []
    for route, request in naming.items():
        vector = attack(route, who, request, ON_VICTIM["get"].twin())
        wrong += [f"{route}: {line}" for line in house.gained(vector)]
        alive = not list(house.bare_verdict(vector))
        house.tally[kind, "alive" if alive else "bare MLflow refuses"] += 1
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("who", ["engineer", "unclaimed"])
def test_asking_again_and_in_turn_tells_nothing(house: House, who: str) -> None:
    """Memories warm up: the tenth answer is the first, for the hidden name, and for one that there never was."""
    token = house.tokens[who]
    names = (VICTIM, "absent_model")
    seen: dict[str, set[str]] = {name: set() for name in names}
    for _ in range(10):
        for name in names:
            for path in ("registered-models/get", "registered-models/get-latest-versions"):
                answer = send_raw(house.gated.url, Request("GET", f"{API}{path}?name={name}").message(house.words, token))
                seen[name].add(house.plain(answer).replace(name, "NAME"))
    assert seen[VICTIM] == seen["absent_model"]
    assert len(seen[VICTIM]) == 1

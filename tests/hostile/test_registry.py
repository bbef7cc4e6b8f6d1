"""Every call of the registry, by everybody who lacks the claim or the permission for it."""

from __future__ import annotations

from collections.abc import Iterator

from hostile.deeds import ON_MINE, ON_VICTIM
from hostile.house import NOBODY, House
from hostile.vector import VICTIM, Twin, Vector, attack, each, post

READ = {"metadata_read", "model_read"}
MAY = {
    "scientist": READ | {"metadata_write", "model_write"},
    "engineer": READ | {"metadata_write", "model_write", "model_delete", "stage_transition"},
    "reader": READ,
    "deployer": READ | {"model_deploy"},
    "ci": READ | {"evidence_write"},
}
STRANGERS = (NOBODY, "engineer", "scientist", "reader", "deployer", "ci", "patterns", "unclaimed", "nobody", "third")


def without_claim() -> Iterator[Vector]:
    """On the hidden model."""
    for deed in ON_VICTIM.values():
        for who in STRANGERS:
            yield attack(f"{deed.name} the victim as {who}", who, deed.request, deed.twin())


def without_permission() -> Iterator[Vector]:
    """On the attacker's own model."""
    for deed in ON_MINE.values():
        may = next(who for who in MAY if deed.permission in MAY[who])
        for who in (who for who in MAY if deed.permission not in MAY[who]):
            yield attack(f"{deed.name} mine as {who}", who, deed.request, deed.twin(may))


def auditor() -> Iterator[Vector]:
    """Who sees every model's metadata, and nothing else."""
    for deed in ON_VICTIM.values():
        if deed.permission != "metadata_read":
            yield attack(f"{deed.name} as auditor", "auditor", deed.request, deed.twin())


def names_taken() -> Iterator[Vector]:
    """Onto the hidden name and away from it."""
    fresh = Twin("engineer", post("registered-models/create", name="mine_new"))
    onto = Twin("engineer", post("registered-models/rename", name="mine_a", new_name="mine_b"))
    away = Twin("owner", ON_VICTIM["tag"].request)
    for who in ("engineer", "scientist", "patterns", "unclaimed", NOBODY):
        yield attack(f"create the hidden name as {who}", who, post("registered-models/create", name=VICTIM), fresh)
        yield attack(f"rename mine onto it as {who}", who, post("registered-models/rename", name="mine_a", new_name=VICTIM), onto)
        yield attack(f"rename it to mine as {who}", who, post("registered-models/rename", name=VICTIM, new_name="mine_taken"), away)
        yield attack(f"rename it where nobody may as {who}", who, post("registered-models/rename", name=VICTIM, new_name="x"), away)


VECTORS = [*without_claim(), *without_permission(), *auditor(), *names_taken()]


@each(VECTORS)
def test_registry(house: House, kind: str, vector: Vector) -> None:
    """Nothing is gained."""
    house.withstands(vector, kind)

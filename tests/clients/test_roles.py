"""Every role does what it may and nothing else: refusals are shown at once, in words, and leave MLflow as it was."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import pytest
from attempts import ATTEMPTS
from client_process import bearer, run_client
from conftest import Gate, open_gate

READ = {"metadata_read", "model_read", "tracking_read"}
WRITE = {"metadata_write", "model_write", "tracking_write"}
ROLES = {
    "data_scientist": READ | WRITE,
    "ml_engineer": READ | WRITE | {"model_delete", "tracking_delete", "stage_transition"},
    "product_manager": READ,
    "devops_engineer": READ | {"model_deploy"},
    "ci": READ | {"tracking_write"},
    "auditor": {"metadata_read"},
    "admin": {permission for permission, _ in ATTEMPTS.values()},
    "nobody": set(),
}
WITHOUT_CLAIM = {"admin", "auditor"}
OTHER = "churn_xgboost_auc_prod"
FAST = 5.0


@dataclass(frozen=True)
class House:
    """A gate before a server that holds one model for each role, and one that belongs to nobody here."""

    gate: Gate
    seeded: dict[str, dict[str, str]]

    def attempt(self, role: str, model: str, names: Sequence[str], claims: Sequence[str]) -> dict[str, dict[str, object]]:
        """Makes the attempts on `model` with a token for `role`."""
        ids = self.seeded[model]
        token = self.gate.sekisho.token(f"{role}@company.com", role, claims)
        result = run_client("attempts.py", bearer(self.gate.url, token), model, ids["experiment"], ids["run"], *names)
        assert isinstance(result, dict)
        return result


@pytest.fixture(scope="module")
def house() -> Iterator[House]:
    """Seeded past the gate, so that nothing here depends on what the gate allows."""
    with open_gate() as gate:
        settings = {"MLFLOW_TRACKING_URI": gate.mlflow.url}
        seeded = run_client("seed.py", settings, OTHER, *(own(role) for role in ROLES))
        assert isinstance(seeded, dict)
        yield House(gate, seeded)


def own(role: str) -> str:
    """The model that a role's token names."""
    return f"fraud_{role}_auc_dev"


def on_model(name: str) -> bool:
    """Whether the attempt is on a model, so that the claim counts."""
    return not ATTEMPTS[name][0].startswith(("tracking", "admin"))


@pytest.mark.parametrize("role", ROLES)
def test_what_the_role_lacks_is_refused(house: House, role: str) -> None:
    """On the model that the token names."""
    lacking = [name for name, (permission, _) in ATTEMPTS.items() if permission not in ROLES[role]]
    check_refused(house, role, own(role), lacking)


@pytest.mark.parametrize("role", sorted(ROLES.keys() - WITHOUT_CLAIM))
def test_a_model_that_the_token_does_not_name_is_refused(house: House, role: str) -> None:
    """Whatever the role."""
    check_refused(house, role, OTHER, [name for name in ATTEMPTS if on_model(name)])


@pytest.mark.parametrize("role", ROLES)
def test_what_the_role_may_do_is_done(house: House, role: str) -> None:
    """On the model that the token names, in the order of the table; comes after the refusals, since it ends by deleting."""
    allowed = [name for name, (permission, _) in ATTEMPTS.items() if permission in ROLES[role]]
    came = house.attempt(role, own(role), allowed, claims(role)) if allowed else {}
    assert {name: result for name, result in came.items() if result["code"]} == {}


def check_refused(house: House, role: str, model: str, names: Sequence[str]) -> None:
    """Each attempt fails with the sentence, quickly, and nothing on the server has changed."""
    before = house.gate.mlflow.state()
    came = house.attempt(role, model, names, claims(role)) if names else {}
    wrong = {name: result for name, result in came.items() if not refused(result, role)}
    assert wrong == {}
    assert before.difference(house.gate.mlflow.state()) == []


def refused(result: dict[str, object], role: str) -> bool:
    """In MLflow's code, with a sentence that names the caller, and without a client's retries."""
    sentence = str(result["message"])
    return (
        result["code"] == "PERMISSION_DENIED"
        and f"{role}@company.com may not " in sentence
        and float(str(result["seconds"])) < FAST
    )


def claims(role: str) -> list[str]:
    """What the role's token names: its own model and those that an attempt makes from it."""
    return [] if role in WITHOUT_CLAIM else [f"fraud_{role}_*"]


def test_a_model_that_may_not_be_seen_is_not_told_apart_from_none(house: House) -> None:
    """A refused read says the same for a model that exists and one that does not."""
    token = house.gate.sekisho.token("eve@company.com", "ml_engineer", ["eve_*"])
    settings = bearer(house.gate.url, token)
    ids = house.seeded[OTHER]
    sentences = []
    for model in (OTHER, "not_there_xgboost_auc_prod"):
        came = run_client("attempts.py", settings, model, ids["experiment"], ids["run"], "get model", "get version")
        assert isinstance(came, dict)
        sentences.append([(r["code"], r["message"].replace(model, "MODEL")) for r in came.values()])
    assert sentences[0] == sentences[1]

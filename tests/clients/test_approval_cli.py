"""`sekisho approval`: what an approver does from a shell, with the variables that an MLflow user has set already."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator

import pytest
from harness import leaks
from harness.sekisho import binary
from ruled import Ruled
from ruled import ruled as opened_ruled
from test_promotion import ANN, CARA, DAN, MODEL, House


class Shell:
    """The program in somebody's hands."""

    def __init__(self, ruled: Ruled) -> None:
        self.ruled = ruled

    def run(self, token: str, *arguments: str, code: int = 0, **environment: str) -> str:
        """What is printed: on stdout where it ends with 0, else on stderr."""
        named = {"MLFLOW_TRACKING_URI": self.ruled.url, "MLFLOW_TRACKING_TOKEN": token} | environment
        done = subprocess.run(
            [str(binary()), "approval", *arguments],
            env={"PATH": os.environ["PATH"]} | {key: value for key, value in named.items() if value},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == code, (done.stdout, done.stderr)
        assert not leaks.found_in(done.stdout + done.stderr)
        assert code == 0 or done.stdout == ""
        return done.stderr if code else done.stdout

    def shown(self, token: str, *arguments: str) -> dict:
        return json.loads(self.run(token, *arguments, "--output", "json"))


@pytest.fixture(scope="module")
def house() -> Iterator[House]:
    with opened_ruled() as ruled:
        yield House(ruled)


@pytest.fixture(scope="module")
def shell(house: House) -> Shell:
    return Shell(house.ruled)


def test_a_promotion_from_the_shell(house: House, shell: Shell) -> None:
    version = house.register()
    asked = shell.run(house.ann, "request", MODEL, version, "integration_test", "--comment", "ready\nto go")
    number = asked.splitlines()[0].split()[1]
    assert f"request    {number} (open)" in asked
    assert shell.shown(house.ann, "request", MODEL, version, "Integration_Test")["number"] == int(number)
    shown = shell.run(house.cara, "show", number)
    for part in [MODEL, f"version    {version}", "Development", "Integration_Test", f"asked by   {ANN}", "by nobody"]:
        assert part in shown, shown
    assert r"ready\nto go" in shown
    digest = shell.shown(house.cara, "show", number)["digest"]
    assert len(digest) == 64 and digest in shown
    assert "`unit_test` has not been reported" in shown and "1 approval is needed and none counts" in shown
    table = shell.run(house.cara, "list", "--model", MODEL).splitlines()
    assert table[0].split()[:3] == ["NUMBER", "MODEL", "VERSION"] and ANN in table[1]
    assert shell.run(house.cara, "list", "--model", "fraud_detection_xgboost_auc_prod").count("\n") == 1
    house.tested(version, "unit_test")
    approved = shell.run(house.cara, "approve", number, "--comment", "fine")
    assert f"approved   by {CARA} at" in approved and ": fine" in approved
    assert "data_validation" in approved and "unit_test" not in approved and "approval is needed" not in approved
    house.tested(version, "data_validation")
    assert house.stage(version) == "Integration_Test"
    done = shell.shown(house.cara, "show", number)
    assert (done["state"], done.get("lacks")) == ("done", None)


def test_refusals_end_with_1_and_their_sentence(house: House, shell: Shell) -> None:
    version = house.register()
    number = str(shell.shown(house.ann, "request", MODEL, version, "Integration_Test")["number"])
    own = house.ruled.token(role="admin", user=ANN.upper())
    assert "own request" in shell.run(own, "approve", number, code=1)
    assert "may not stage_approve" in shell.run(house.ci, "approve", number, code=1)
    assert "no rule leads" in shell.run(house.ann, "request", MODEL, version, "Canary", code=1)
    assert "there is no request 999999" in shell.run(house.ann, "show", "999999", code=1)
    stranger = house.ruled.token("another_model", role="product_manager", user=DAN)
    assert f"there is no request {number}" in shell.run(stranger, "show", number, code=1)
    assert shell.run(stranger, "list").count("\n") == 1
    shell.run("not-a-token", "list", code=1)
    rejected = shell.run(house.dan, "reject", number, "--comment", "not now")
    assert "(rejected)" in rejected and f"rejected   by {DAN}" in rejected and ": not now" in rejected
    assert "not open any more" in shell.run(house.cara, "approve", number, code=1)
    again = str(shell.shown(house.ann, "request", MODEL, version, "Integration_Test")["number"])
    assert again != number
    assert "(withdrawn)" in shell.run(house.ann, "withdraw", again)


def test_a_broken_rule_is_shown_as_one(house: House, shell: Shell) -> None:
    version = house.register()
    glass = ["request", MODEL, version, "Production", "--break-glass", "--comment", "the old one lies"]
    assert "may not" in shell.run(house.ann, *glass, code=1)
    assert "the rules of stages were broken" in shell.run(house.root, *glass)
    assert house.stage(version) == "Production"


def test_where_to_ask_and_who_asks(house: House, shell: Shell) -> None:
    named = {"MLFLOW_TRACKING_TOKEN": "", "MLFLOW_TRACKING_USERNAME": "ann", "MLFLOW_TRACKING_PASSWORD": house.ann}
    shell.run(house.ann, "list", **named)
    nowhere = "http://127.0.0.1:9"
    shell.run(house.ann, "list", "--url", house.ruled.url + "/", MLFLOW_TRACKING_URI=nowhere)
    assert "cannot be asked" in shell.run(house.ann, "list", "--url", nowhere, code=2)
    assert "none of sekisho's" in shell.run(house.ann, "list", "--url", house.ruled.mlflow.url, code=2)

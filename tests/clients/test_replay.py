"""Policies are kept beside the record by their hash, and what it tells of is decided again under others."""

from __future__ import annotations

import hashlib
import json
import shutil
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from conftest import LOGS
from harness import records
from harness.mlflow_server import MlflowServer
from harness.rest import Answer
from harness.sekisho import run_command
from house_of_records import ANN, Kept, kept, verified
from ruled import API, until

BOB, KIM, LIZ = "bob@example.com", "kim@example.com", "liz@example.com"
FILES = ("model.conf", "policy.csv", "decisions.tsv", "rules.toml", "stages.toml", "metadata.schema.json")
Difference = tuple[str, str, str, str, str, int]


@pytest.fixture(scope="module")
def server() -> Iterator[MlflowServer]:
    """One MLflow for all."""
    with MlflowServer(LOGS) as server:
        yield server


def name_of(folder: Path) -> str:
    """The hash of a set of policies, as docs/record.md has it."""
    said = hashlib.sha256()
    for name in FILES:
        data = (folder / name).read_bytes()
        said.update(f"{name}\0{len(data)}\0".encode() + data)
    return said.hexdigest()[:16]


def edited(here: Kept, name: str, *changes: tuple[str, str]) -> Path:
    """A copy of the policies in force with these rows changed, and without what decisions.tsv says of them."""
    folder = here.sekisho.folder / name
    shutil.copytree(here.sekisho.folder / "policies", folder)
    text = (folder / "policy.csv").read_text()
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    (folder / "policy.csv").write_text(text)
    (folder / "decisions.tsv").write_text("role:admin\tadmin\tserver\tallow\n")
    return folder


def replay(here: Kept, folder: Path, *more: str) -> tuple[int, dict[str, Any]]:
    """Exit code and what is said."""
    config = ("--config", str(here.sekisho.config))
    done = run_command("policy", "replay", *config, "--policies", str(folder), "--output", "json", *more, cwd=here.sekisho.folder)
    assert done.returncode in {0, 1}, done
    return done.returncode, json.loads(done.stdout)


def differing(said: dict[str, Any]) -> set[Difference]:
    """Who would lose or gain what, how often."""
    keys = ("principal", "operation", "object", "was", "would_be", "count")
    return {tuple(one[key] for key in keys) for one in said["differs"]}


@pytest.mark.parametrize("reads", ["each", "aggregate"])
def test_what_a_role_would_lose_and_another_gain_is_listed_and_nothing_else(server: MlflowServer, reads: str) -> None:
    """Some traffic of three, of nobody, and of one whose token has a long claim; the same policies; other ones."""
    with kept(server, {"reads": reads}) as here:
        many = [f"model_{'x' * 36}_{number}" for number in range(100)]
        bob = here.sekisho.token(BOB, "data_scientist", here.models[:2])
        kim = here.sekisho.token(KIM, "product_manager", ["*"])
        liz = here.sekisho.token(LIZ, "data_scientist", [*many, here.model])
        one, two, three = here.models[:3]

        def get(token: str | None, name: str, status: int = 200) -> None:
            assert here.ask(token, "GET", f"{API}registered-models/get?name={name}").status == status

        assert [here.tag(key).status for key in ("a", "b", "b")] == [200] * 3
        for _ in range(5):
            get(here.ann, one)
            get(bob, two)
        get(bob, three, 403)
        get(liz, one)
        get(None, one, 401)
        get(here.root, one)
        for name in (one, two, three):
            assert here.ask(bob, "DELETE", f"{API}registered-models/delete", {"name": name}).status == 403
        assert here.ask(kim, "POST", f"{API}registered-models/create", {"name": one, "tags": [{"key": "k", "value": "v"}]}).status == 403
        here.sekisho.restart()  # what was counted is written at the end

        code, said = replay(here, here.sekisho.folder / "policies")
        assert (code, said["differs"]) == (0, []), said
        assert said["policy"] == name_of(here.sekisho.folder / "policies")
        assert said["decided"] == 3 + 10 + 1 + 1 + 3 + 1, said
        assert said["undecided"] == {"digest": 1} and said["no_decision"]["nobody"] >= 1, said
        text = run_command("policy", "replay", "--dir", str(here.sekisho.audit), "--policies", str(here.sekisho.folder / "policies"))
        assert text.returncode == 0 and "\nnothing differs\ncannot be decided: 1\n" in text.stdout, text

        folder = edited(
            here, "other",
            ("p, role:ml_engineer, model:*, metadata_write, allow\n", ""),
            ("p, role:data_scientist, model:*, model_write, allow\n", "p, role:data_scientist, model:*, model_delete, allow\n"),
            ("p, role:product_manager, model:*, model_read, allow\n", "p, role:product_manager, model:*, model_write, allow\n"),
        )  # fmt: skip
        code, said = replay(here, folder)
        assert code == 1 and differing(said) == {
            (ANN, "metadata_write", f"model:{one}/tag/a", "allowed", "refused", 1),
            (ANN, "metadata_write", f"model:{one}/tag/b", "allowed", "refused", 2),
            # Not of the third model, which bob's token does not open; and not kim, who would still lack metadata_write.
            (BOB, "model_delete", f"model:{one}", "refused", "allowed", 1),
            (BOB, "model_delete", f"model:{two}", "refused", "allowed", 1),
        }, said
        gained = next(one for one in said["differs"] if one["principal"] == BOB)
        row = (folder / "policy.csv").read_text().splitlines().index("p, role:data_scientist, model:*, model_delete, allow") + 1
        assert gained["rows"] == [f"policy.csv:{row}"] and gained["roles"] == ["data_scientist"] and gained["first"] <= gained["last"]
        assert replay(here, folder, "--since", "2999-01-01")[0] == 0
        config = ("--config", str(here.sekisho.config))
        text = run_command("policy", "replay", *config, "--policies", str(folder), cwd=here.sekisho.folder)
        assert text.returncode == 1 and text.stdout.index("would be refused:") < text.stdout.index("would be allowed:"), text
        for wrong in (["--policies", str(here.sekisho.folder)], ["--policies", str(folder), "--since", "soon"]):
            assert run_command("policy", "replay", *config, *wrong, cwd=here.sekisho.folder).returncode == 2


def test_each_set_of_policies_is_kept_by_its_hash_before_a_line_names_it(server: MlflowServer) -> None:
    """At the start and when they change; anybody computes the hash; what was changed is found, what is not there is said."""
    with kept(server) as here:
        first = name_of(here.sekisho.folder / "policies")
        assert here.tag("a").status == 200
        with (here.sekisho.folder / "policies" / "policy.csv").open("a") as sink:
            sink.write("p, role:nobody_yet, model:*, metadata_read, allow\n")
        second = name_of(here.sekisho.folder / "policies")
        until(lambda: len(here.system("policies")) == 2)
        until(lambda: here.tag("b").status == 200 and here.lines("outcome")[-1]["policy"] == second)
        told = here.system("policies")
        assert [line["params"]["policy"] for line in told] == [first, second]
        for line in told:
            folder = here.sekisho.audit / "policies" / line["params"]["policy"]
            assert (folder.stat().st_mode & 0o777, name_of(folder)) == (0o700, folder.name)
            assert {path.name: path.stat().st_mode & 0o777 for path in folder.iterdir()} == dict.fromkeys(FILES, 0o600)
            sums = {name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in FILES}
            assert line["params"]["files"] == sums
            named = [other["seq"] for other in here.lines() if other.get("policy") == folder.name]
            assert named and line["seq"] < min(named)
        assert {line["policy"] for line in here.lines() if "policy" in line} == {first, second}
        verified(here.sekisho.audit)

        aside = here.sekisho.folder / "aside"
        shutil.move(here.sekisho.audit / "policies" / first, aside)
        done = run_command("audit", "verify", str(here.sekisho.audit))
        assert done.returncode == 0 and f"not kept here: {first}\n" in done.stdout, done
        shutil.move(aside, here.sekisho.audit / "policies" / first)
        verified(here.sekisho.audit)
        file = here.sekisho.audit / "policies" / first / "policy.csv"
        whole = file.read_text()
        file.write_text(whole.replace("deny", "allow"))
        done = run_command("audit", "verify", str(here.sekisho.audit))
        assert done.returncode == 1 and f"the policies {first}, which line " in done.stdout, done
        assert records.faults(here.sekisho.audit) == "", "no chain is touched"
        file.write_text(whole)
        verified(here.sekisho.audit)


def test_policies_that_cannot_be_kept_are_in_force_and_writes_wait_for_them(server: MlflowServer) -> None:
    """What they take away is gone at once; `/readyz` says why nothing is written, and nobody has to ask again."""
    with kept(server) as here:
        place = here.sekisho.audit / "policies"
        shutil.move(place, here.sekisho.folder / "aside")
        place.touch()
        policies = here.sekisho.folder / "policies" / "policy.csv"
        policies.write_text(policies.read_text().replace("p, role:ml_engineer, model:*, metadata_write, allow\n", ""))

        def notes() -> str:
            with urllib.request.urlopen(f"{here.sekisho.admin_url}/readyz", timeout=5) as answer:
                return "\n".join(json.load(answer)["notes"])

        def renamed() -> Answer:
            body = {"name": here.models[1], "new_name": f"{here.models[1]}_2"}
            return here.ask(here.ann, "POST", f"{API}registered-models/rename", body)

        until(lambda: here.tag("no more").status == 403)
        assert "not kept beside the record" in notes()
        refused = renamed()
        assert refused.status == 507 and b"policies in force cannot be kept" in refused.body, refused
        assert here.ask(here.ann, "GET", f"{API}registered-models/get?name={here.model}").status == 200
        place.unlink()
        until(lambda: notes() == "")
        assert renamed().status == 200 and here.tag("no more").status == 403
        verified(here.sekisho.audit)

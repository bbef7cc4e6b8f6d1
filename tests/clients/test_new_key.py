"""The key of a record is changed, and whoever has either key proves all of it."""

from __future__ import annotations

import shutil
from collections.abc import Iterator

import pytest
from conftest import LOGS
from harness import records
from harness.mlflow_server import MlflowServer
from harness.sekisho import run_command
from house_of_records import Kept, kept, verified
from ruled import until


@pytest.fixture(scope="module")
def server() -> Iterator[MlflowServer]:
    """An MLflow of its own."""
    with MlflowServer(LOGS) as running:
        yield running


def test_a_record_goes_on_under_another_key(server: MlflowServer) -> None:
    """Not while it is written, nor with the old key afterwards; before and behind it nothing can be changed."""
    with kept(server) as here:
        sekisho, audit = here.sekisho, here.sekisho.audit
        old, new = sekisho.folder / "old.pub", sekisho.folder / "new.key"
        shutil.copy(audit / "audit.pub", old)
        assert here.tag("before").status == 200
        until(lambda: len(here.lines("outcome")) == 1)
        command = ("audit", "new-key", "--config", str(sekisho.config), str(new))
        refused = run_command(*command, cwd=sekisho.folder)
        assert refused.returncode == 1 and "stop every instance first" in refused.stderr and not new.exists()
        sekisho.stop()
        for expected in ("chains that go on under the key ", "the record goes on under the key "):
            done = run_command(*command, cwd=sekisho.folder)
            assert done.returncode == 0 and done.stdout.startswith(expected), done
            assert f"set `audit.signing_key_file` to `{new}`" in done.stdout
        with pytest.raises(RuntimeError):
            sekisho.restart()
        text = sekisho.config.read_text().replace("[audit]\n", f'[audit]\nsigning_key_file = "{new}"\n')
        sekisho.config.write_text(text)
        sekisho.restart()
        assert here.tag("behind").status == 200
        sekisho.stop()
        verified(audit)
        assert records.faults(audit, str(old)) == ""
        done = run_command("audit", "verify", str(audit), "--public-key", str(old))
        assert done.returncode == 0 and "not signed yet" not in done.stdout, done
        for part in ("before", "behind"):
            tampered(here, part, old)


def tampered(here: Kept, part: str, old: object) -> None:
    """The tag of that name was another one: both programs find it, with both keys."""
    copy = here.sekisho.folder / f"copy of {part}"
    shutil.copytree(here.sekisho.audit, copy)
    file = copy / "here" / "current.jsonl"
    text = file.read_text()
    assert text.count(f"/tag/{part}") > 0
    file.write_text(text.replace(f"/tag/{part}", f"/tag/{part[:-1]}x"))
    for key in ([], [str(old)]):
        assert records.faults(copy, *key) != ""
        options = [word for name in key for word in ("--public-key", name)]
        assert run_command("audit", "verify", str(copy), *options).returncode == 1

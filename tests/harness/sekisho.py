"""A real sekisho in front of an MLflow server: generated configuration, its own policies folder, tokens."""

from __future__ import annotations

import base64
import hmac
import json
import os
import secrets
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any

from harness import leaks, postgres, records
from harness.mlflow_server import keep_log
from harness.process import Child, free_ports

ROOT = Path(__file__).resolve().parents[2]
INSTANCE = "here"


def binary() -> Path:
    """The program under test: `SEKISHO_BIN`, or the debug build of this tree."""
    named = os.environ.get("SEKISHO_BIN")
    target = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
    return Path(named) if named else target / "debug" / "sekisho"


def example(name: str) -> Path:
    """An example of this tree, beside the debug build."""
    return Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")) / "debug" / "examples" / name


def run_command(*arguments: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    """Runs `sekisho ARGUMENTS…` to its end, in this folder. Only `token issue` may print a secret, and that on stdout."""
    done = subprocess.run([str(binary()), *arguments], capture_output=True, text=True, timeout=60, check=False, cwd=cwd)
    leaked = leaks.found_in(done.stderr if arguments[:2] == ("token", "issue") else done.stdout + done.stderr)
    if leaked:
        raise AssertionError(f"sekisho {arguments[0]} printed {', '.join(leaked)}")
    return done


class Sekisho:
    """A context manager: the gate runs inside it, and its folder is removed afterwards.

    Everything that it wrote is searched for every secret that anybody was given so far.
    """

    def __init__(
        self,
        upstream: str,
        keep_logs_in: Path,
        policy_rows: Sequence[str] = (),
        settings: Mapping[str, Mapping[str, object]] | None = None,
        environment: Mapping[str, str] | None = None,
        program: Path | None = None,
    ) -> None:
        self._keep = keep_logs_in
        self._program = program or binary()
        self._environment = environment or {}
        self.folder = Path(tempfile.mkdtemp(prefix="sekisho-"))
        self.port, admin = free_ports(2)
        self.url = f"http://127.0.0.1:{self.port}"
        self.admin_url = f"http://127.0.0.1:{admin}"
        self.config = self.folder / "sekisho.toml"
        self.log = self.folder / "sekisho.log"
        self._child: Child | None = None
        self._write_policies(policy_rows)
        self._write_secret()
        self._write_config(upstream, settings or {})

    def _write_policies(self, rows: Sequence[str]) -> None:
        policies = self.folder / "policies"
        shutil.copytree(ROOT / "policies", policies)
        with (policies / "policy.csv").open("a") as sink:
            sink.writelines(f"{row}\n" for row in rows)

    def _write_secret(self) -> None:
        secret = self.folder / "secret"
        secret.touch(mode=0o600)
        secret.write_text(leaks.remember(secrets.token_urlsafe(48), "the shared secret"))

    def _write_config(self, upstream: str, extra: Mapping[str, Mapping[str, object]]) -> None:
        sections: dict[str, dict[str, object]] = {
            "server": {"listen": self.url.removeprefix("http://")},
            "admin": {"listen": self.admin_url.removeprefix("http://")},
            "upstream": {"url": upstream},
            "auth": {"hs256_secret_file": str(self.folder / "secret")},
            "policies": {"dir": str(self.folder / "policies")},
            "state": {"url": self._state()},
            # What most tests call their models is nobody's business.
            "rules": {"mode": "off"},
            "audit": {"instance": INSTANCE, "reads": "each"},
        }
        for name, values in extra.items():
            sections.setdefault(name, {}).update(values)
        lines: list[str] = []
        for name, values in sections.items():
            lines.append(f"[{name}]")
            lines += [f"{key} = {json.dumps(value)}" for key, value in values.items()]
        self.config.write_text("\n".join(lines) + "\n")

    def _state(self) -> str:
        """A new state store: a file, or where `SEKISHO_TEST_STATE` is `postgres` a database."""
        match os.environ.get("SEKISHO_TEST_STATE", "sqlite"):
            case "sqlite":
                return f"sqlite://{self.folder / 'sekisho.db'}"
            case "postgres":
                return postgres.shared().database()
            case other:
                raise RuntimeError(f"SEKISHO_TEST_STATE is sqlite or postgres, not {other}")

    def __enter__(self) -> Sekisho:
        try:
            self._start()
        except BaseException:
            self.__exit__(RuntimeError, None, None)
            raise
        return self

    def _start(self) -> None:
        command = [str(self._program), "serve", "--config", str(self.config)]
        self._child = Child(command, self.folder, self.log, self._environment)
        self._child.wait_ready(f"{self.admin_url}/readyz", 30)

    def restart(self) -> None:
        """Ends the process and starts another one with the same folder."""
        self.stop()
        self._start()

    def stop(self) -> None:
        """Ends the process in its own time; `restart` starts another one."""
        if self._child is not None:
            self._child.stop(grace=35)

    def kill(self) -> None:
        """Ends the process in the middle of whatever it does; `restart` starts another one."""
        if self._child is not None:
            self._child.kill()

    @contextmanager
    def paused(self) -> Iterator[None]:
        """The process stands still meanwhile, as on a machine that was suspended."""
        if self._child is None:
            raise RuntimeError("not running")
        self._child.pause()
        try:
            yield
        finally:
            self._child.go_on()

    def __exit__(self, kind: type[BaseException] | None, _e: BaseException | None, _t: TracebackType | None) -> None:
        self.stop()
        log = self.log.read_text(errors="replace") if self.log.exists() else ""
        leaked = sorted({*leaks.found_in(log), *leaks.found_in(records.text(self.audit))})
        faulty = records.faults(self.audit)
        keep_log(self.log, self._keep, kind is not None or bool(leaked))
        shutil.rmtree(self.folder, ignore_errors=True)
        if leaked and kind is None:
            raise AssertionError(f"sekisho wrote down {', '.join(leaked)}")
        if faulty and kind is None:
            raise AssertionError(f"the record does not hold: {faulty}")

    @property
    def audit(self) -> Path:
        """The folder of the record."""
        return self.folder / "audit"

    def told(self) -> list[dict[str, Any]]:
        """The lines of requests that the record has now: of a write its outcome."""
        return [line for line in records.lines(self.audit) if line["kind"] not in {"intent", "head", "system"}]

    def memory(self) -> int:
        """The memory that the process holds now, in bytes."""
        return self._status("VmRSS")

    def peak_memory(self) -> int:
        """The most memory that the process ever held, in bytes."""
        return self._status("VmHWM")

    def _status(self, name: str) -> int:
        if self._child is None:
            raise RuntimeError("not running")
        status = Path(f"/proc/{self._child.pid}/status").read_text()
        line = next(line for line in status.splitlines() if line.startswith(f"{name}:"))
        return int(line.split()[1]) * 1024

    def sign(self, claims: Mapping[str, object], algorithm: str = "HS256", secret: str = "secret") -> str:
        """A token with any claims and any `alg`, signed as HS256 with the configured secret, or another file's."""
        parts = [json.dumps(part).encode() for part in ({"alg": algorithm, "typ": "JWT"}, claims)]
        signed = b".".join(_base64url(part) for part in parts)
        key = (self.folder / secret).read_bytes()
        token = signed + b"." + _base64url(hmac.digest(key, signed, "sha256"))
        return leaks.remember(token.decode(), "a token")

    def token(self, user: str, role: str, models: Sequence[str] = (), ttl: str = "8h") -> str:
        """A token of this sekisho's own making."""
        command = ["token", "issue", "--config", str(self.config), "--user", user, "--role", role, "--ttl", ttl]
        for model in models:
            command += ["--model-access", model]
        done = run_command(*command)
        if done.returncode != 0:
            raise RuntimeError(f"token issue failed: {done.stderr}")
        return leaks.remember(done.stdout.strip(), "a token")


def _base64url(data: bytes) -> bytes:
    return base64.urlsafe_b64encode(data).rstrip(b"=")

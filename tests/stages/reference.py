"""What the house says of stages, in its plainest form: written from the design and `stages.toml`, not from the program."""

from __future__ import annotations

import itertools
import tomllib
from dataclasses import dataclass, field
from pathlib import Path

STAGES = {
    "Development": "None",
    "Integration_Test": "None",
    "Performance_Test": "None",
    "User_Acceptance_Test": "None",
    "Staging": "Staging",
    "Canary": "Staging",
    "Production": "Production",
    "Shadow": "Staging",
    "Archived": "Archived",
    "Deprecated": "Archived",
}
EVERYBODY = {"metadata_read"}
ROLES = {
    "data_scientist": EVERYBODY | {"metadata_write", "model_write", "tracking_write"},
    "ml_engineer": EVERYBODY
    | {"metadata_write", "model_write", "model_delete", "stage_transition", "stage_approve", "tracking_write"},
    "product_manager": EVERYBODY | {"stage_approve"},
    "devops_engineer": EVERYBODY | {"stage_approve", "model_deploy"},
    "ci": EVERYBODY | {"evidence_write", "tracking_write"},
    "auditor": EVERYBODY,
    "admin": EVERYBODY
    | {"metadata_write", "model_write", "model_delete", "stage_transition", "stage_approve", "tracking_write"}
    | {"model_deploy", "evidence_write", "admin"},
}


@dataclass(frozen=True)
class Person:
    """Somebody with a role; without `models` they have a hand in every model."""

    user: str
    role: str
    models: tuple[str, ...] = ()

    @property
    def folded(self) -> str:
        return self.user.casefold()

    def may(self, permission: str, model: str, stage: str = "") -> bool:
        """Whether they may do something to a model, or to its versions in a stage."""
        if permission == "stage_transition" and stage == "Production" and self.role == "ml_engineer":
            return False
        reaches = not self.models or model in self.models or self.role in {"admin", "auditor"}
        return reaches and permission in ROLES[self.role]

    def may_move(self, model: str, *stages: str) -> bool:
        return all(self.may("stage_transition", model, stage) for stage in stages)


@dataclass
class Files:
    """What is below one run; `place` is where it is written to."""

    run: str
    source: str
    place: str
    content: str


@dataclass
class Request:
    number: int
    version: Version
    to: str
    asker: Person
    content: str
    stage: str
    approved_by: set[str] = field(default_factory=set)
    state: str = "open"


@dataclass
class Version:
    model: Model
    number: str
    files: Files
    born: int
    complete: bool
    stage: str = "Development"
    evidence: list[tuple[str, bool, str]] = field(default_factory=list)
    history: list[tuple[str, str]] = field(default_factory=list)
    lives: bool = True


@dataclass
class Model:
    name: str
    versions: list[Version] = field(default_factory=list)
    aliases: dict[str, Version] = field(default_factory=dict)

    def living(self) -> list[Version]:
        return [version for version in self.versions if version.lives]

    def serves(self) -> bool:
        return any(version.stage == "Production" for version in self.living())


@dataclass(frozen=True)
class Rule:
    approvals: int
    tests: tuple[str, ...]
    automatic: bool
    returning: bool


def rules(file: Path) -> dict[tuple[str, str], Rule]:
    """Each pair of stages for which there is a rule."""
    found: dict[tuple[str, str], Rule] = {}
    for table in tomllib.loads(file.read_text())["transitions"]:
        ends = [[end] if isinstance(end, str) else end for end in (table["from"], table["to"])]
        for pair in itertools.product(*ends):
            found[pair] = Rule(
                table["required_approvals"],
                tuple(table.get("required_tests", ())),
                table.get("automatic", False),
                table.get("returning", False),
            )
    return found


class Reference:
    """Each method is one thing that somebody asks for; it says whether they get it, and does it."""

    def __init__(self, file: Path) -> None:
        self.rules = rules(file)
        self.models: list[Model] = []
        self.requests: dict[int, Request] = {}
        self.clock = itertools.count()

    def versions(self) -> list[Version]:
        return [version for model in self.models for version in model.living()]

    def registered(self, person: Person, model: Model) -> bool:
        return person.may("model_write", model.name)

    def keeps(self, model: Model, number: str, files: Files, complete: bool) -> Version:
        version = Version(model, number, files, next(self.clock), complete)
        model.versions.append(version)
        return version

    def tagged(self, person: Person, version: Version, complete: bool) -> bool:
        if not person.may("metadata_write", version.model.name):
            return False
        if version.complete and not complete and version.stage != "Development":
            # What it had to say to come so far it goes on to say.
            return False
        version.complete = complete
        return True

    def reported(self, person: Person, version: Version, test: str, passed: bool) -> bool:
        if not person.may("evidence_write", version.model.name):
            return False
        version.evidence.append((test, passed, version.files.content))
        if passed:
            for request in self.open_for(version):
                if self.rules[version.stage, request.to].automatic and self.met(version, request.to, request):
                    self.goes(version, request.to, request)
                    break
        return True

    def open_for(self, version: Version) -> list[Request]:
        return [
            request
            for request in self.requests.values()
            if request.version is version and request.state == "open" and request.stage == version.stage
        ]

    def asked(self, person: Person, version: Version, to: str) -> bool:
        rule = self.rules.get((version.stage, to))
        may = person.may_move(version.model.name, version.stage, to)
        return may and to != version.stage and rule is not None and rule.approvals > 0

    def opens(self, number: int, person: Person, version: Version, to: str) -> None:
        """The same person's open request for the same stage is the same request."""
        for request in self.open_for(version):
            if request.to == to and request.asker.folded == person.folded:
                assert request.number == number, "a second request was opened"
                return
        assert number not in self.requests, "an old request was given for a new one"
        self.requests[number] = Request(number, version, to, person, version.files.content, version.stage)

    def approved(self, person: Person, request: Request) -> bool:
        version = request.version
        name = version.model.name
        if not person.may("stage_approve", name, request.to) or request.state != "open":
            return False
        if request.content != version.files.content:
            request.state = "void"
            return False
        if person.folded == request.asker.folded:
            return False
        request.approved_by.add(person.folded)
        if self.met(version, request.to, request):
            self.goes(version, request.to, request)
        return True

    def rejected(self, person: Person, request: Request) -> bool:
        if not person.may("stage_approve", request.version.model.name, request.to) or request.state != "open":
            return False
        request.state = "rejected"
        return True

    def withdrawn(self, person: Person, request: Request) -> bool:
        own = person.folded == request.asker.folded or person.may("admin", request.version.model.name)
        may = person.may("stage_transition", request.version.model.name)
        if not (own and may) or request.state != "open":
            return False
        request.state = "withdrawn"
        return True

    def moved(self, person: Person, version: Version, to: str, archives: bool) -> bool:
        if archives and STAGES[to] not in {"Staging", "Production"}:
            return False
        if not person.may_move(version.model.name, version.stage, to):
            return False
        others = [other for other in version.model.living() if other.stage == to and other is not version]
        if version.stage != to:
            mine = [request for request in self.open_for(version) if request.to == to]
            request = next((request for request in mine if self.met(version, to, request)), None)
            if request is None and (mine or not self.met(version, to, None)):
                return False
            self.goes(version, to, request)
        if archives:
            for other in others:
                self.goes(other, "Archived", None)
        return True

    def met(self, version: Version, to: str, request: Request | None) -> bool:
        rule = self.rules.get((version.stage, to))
        if rule is None:
            return False
        back = to == "Staging" and version.stage in {"Production", "Canary"}
        free = back or to in {"Archived", "Deprecated"}
        content = version.files.content
        given = request.approved_by if request and request.content == content else set()
        said = {test: passed for test, passed, tested in version.evidence if tested == content}
        return (
            (free or version.complete)
            and all(said.get(test, False) for test in rule.tests)
            and len(given) >= rule.approvals
            and (not rule.returning or (to, content) in version.history)
        )

    def goes(self, version: Version, to: str, request: Request | None) -> None:
        for other in self.open_for(version):
            other.state = "done" if other is request else "void"
        version.stage = to
        version.history.append((to, version.files.content))

    def deleted(self, person: Person, version: Version) -> bool:
        if not person.may("model_delete", version.model.name) or version.stage == "Production":
            return False
        self.ends(version)
        return True

    def ends(self, version: Version) -> None:
        for request in self.open_for(version):
            request.state = "void"
        version.lives = False
        model = version.model
        model.aliases = {alias: named for alias, named in model.aliases.items() if named is not version}

    def removed(self, person: Person, model: Model) -> bool:
        if not person.may("model_delete", model.name) or model.serves():
            return False
        for version in model.living():
            self.ends(version)
        self.models.remove(model)
        return True

    def renamed(self, person: Person, model: Model, name: str) -> bool:
        if not all(person.may("model_write", each) for each in (model.name, name)) or model.serves():
            return False
        # Approvals are bound to the model's name.
        for version in model.living():
            for request in self.open_for(version):
                request.state = "void"
        model.name = name
        return True

    def uploaded(self, person: Person, files: Files, content: str) -> bool:
        owners = sorted((v for v in self.versions() if v.files is files), key=lambda version: version.born)
        if any(version.stage != "Development" for version in owners):
            return False
        if owners and not person.may("model_write", owners[0].model.name):
            return False
        if "tracking_write" not in ROLES[person.role]:
            return False
        files.content = content
        return True

    def named(self, person: Person, version: Version, alias: str) -> bool:
        if not person.may("model_deploy", version.model.name):
            return False
        version.model.aliases[alias] = version
        return True

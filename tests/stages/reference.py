"""What the house says of stages, in its plainest form: written from the design and `stages.toml`, not from the program."""

from __future__ import annotations

import itertools
import tomllib
from collections import Counter
from collections.abc import Iterable
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
# Aliases that are gates, and the stage that each is like. How they are spelt is all one.
GATES = {"champion": "Production", "challenger": "Staging"}


@dataclass(frozen=True)
class Person:
    """Somebody with the role that their token says; without `models` they have a hand in every model."""

    user: str
    role: str
    models: tuple[str, ...] = ()

    @property
    def folded(self) -> str:
        return self.user.casefold()


@dataclass(frozen=True)
class Switch:
    """A change of the policies: which text takes the place of which, and what it means."""

    what: str
    file: str
    old: str
    new: str
    # A role has a permission no more; a user has one more role; a user may not do something whatever their roles say.
    takes: tuple[str, str] = ("", "")
    gives: tuple[str, str] = ("", "")
    bars: tuple[str, str] = ("", "")
    holds_prompts: bool = False


def _approves(role: str) -> str:
    return f"p, role:{role}, model:*, stage_approve, allow\n"


_LAST = "# g, user:ada@company.com, role:ml_engineer"
SWITCHES = [
    Switch("devops-may-not-approve", "policy.csv", _approves("devops_engineer"), "", takes=("devops_engineer", "stage_approve")),
    Switch("engineers-may-not-approve", "policy.csv", _approves("ml_engineer"), "", takes=("ml_engineer", "stage_approve")),
    Switch(
        "aud-manages-products", "policy.csv", _LAST, f"g, user:aud@example.com, role:product_manager\n{_LAST}",
        gives=("aud@example.com", "product_manager"),
    ),
    Switch(
        "sam-is-an-engineer", "policy.csv", _LAST, f"g, user:sam@example.com, role:ml_engineer\n{_LAST}",
        gives=("sam@example.com", "ml_engineer"),
    ),
    Switch(
        "bob-is-barred", "policy.csv", _LAST, f"p, user:bob@example.com, model:*, stage_transition, deny\n{_LAST}",
        bars=("bob@example.com", "stage_transition"),
    ),
    Switch("prompts-are-held", "stages.toml", "prompts = false", "prompts = true", holds_prompts=True),
]  # fmt: skip


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
    # Whoever approves twice has approved once, as whom they were then; anew, where that does not count any more.
    approved_by: dict[str, Person] = field(default_factory=dict)
    state: str = "open"
    # What was done against the rules, and is to be approved afterwards.
    glass: bool = False
    owed: int = 0

    def is_stale(self) -> bool:
        """Asked for other bytes than there are. It is void, at the latest when somebody has to know what the bytes are."""
        return self.state == "open" and not self.glass and self.content != self.version.content


@dataclass
class Version:
    model: Model
    number: str
    # A prompt's has none.
    files: Files | None
    born: int
    complete: bool
    stage: str = "Development"
    evidence: list[tuple[str, bool, str]] = field(default_factory=list)
    history: list[tuple[str, str]] = field(default_factory=list)
    lives: bool = True
    # Who moves a version to where it stands has MLflow show it again.
    shown: bool = False

    @property
    def content(self) -> str:
        return self.files.content if self.files else ""


@dataclass
class Model:
    name: str
    prompt: bool = False
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

    def asks(self) -> bool:
        return self.approvals > 0 or bool(self.tests) or self.returning


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


def is_free(start: str, to: str) -> bool:
    """Taking out of service and rolling back, which metadata and files never hold up."""
    return to in {"Archived", "Deprecated"} or (to == "Staging" and start in {"Production", "Canary"})


class Reference:
    """Each method is one thing that somebody asks for; it says whether they get it, and does it."""

    def __init__(self, file: Path) -> None:
        self.rules = rules(file)
        self.models: list[Model] = []
        self.requests: dict[int, Request] = {}
        self.switches: list[Switch] = []
        self.clock = itertools.count()
        self.ways: Counter[tuple[str, str]] = Counter()

    def versions(self) -> list[Version]:
        return [version for model in self.models for version in model.living()]

    # Who may.

    def roles(self, person: Person) -> set[str]:
        return {person.role} | {switch.gives[1] for switch in self.switches if switch.gives[0] == person.user}

    def may(self, person: Person, permission: str, model: str, stage: str = "") -> bool:
        """Whether they may do something to a model, or to its versions in a stage."""
        roles = self.roles(person)
        if permission == "stage_transition" and stage == "Production" and "ml_engineer" in roles:
            return False
        if any(switch.bars == (person.user, permission) for switch in self.switches):
            return False
        taken = {switch.takes for switch in self.switches}
        reaches = not person.models or model in person.models or bool(roles & {"admin", "auditor"})
        return reaches and any(permission in ROLES[role] and (role, permission) not in taken for role in roles)

    def may_move(self, person: Person, model: str, *stages: str) -> bool:
        return all(self.may(person, "stage_transition", model, stage) for stage in stages)

    def is_free_of_stages(self, version: Version) -> bool:
        return version.model.prompt and not any(switch.holds_prompts for switch in self.switches)

    # Versions, and what is said of them.

    def registered(self, person: Person, model: Model) -> bool:
        return self.may(person, "model_write", model.name)

    def keeps(self, model: Model, number: str, files: Files | None, complete: bool) -> Version:
        version = Version(model, number, files, next(self.clock), complete)
        model.versions.append(version)
        return version

    def tagged(self, person: Person, version: Version, complete: bool) -> bool:
        if not self.may(person, "metadata_write", version.model.name):
            return False
        said_all = version.complete and not version.model.prompt
        if said_all and not complete and version.stage != "Development":
            # What it had to say to come so far it goes on to say.
            return False
        version.complete = complete
        return True

    def reported(self, person: Person, version: Version, test: str, passed: bool) -> bool:
        if not self.may(person, "evidence_write", version.model.name) or version.files is None:
            return False
        version.evidence.append((test, passed, version.content))
        if passed:
            for request in self.open_for(version):
                if self.rules[version.stage, request.to].automatic and self.met(version, request.to, request):
                    self.goes(version, request.to, request)
                    break
        return True

    # Requests.

    def open_for(self, version: Version, to: str = "") -> list[Request]:
        """Those that still can be met, the latest first."""
        return [
            request
            for request in reversed(self.requests.values())
            if request.version is version
            and request.state == "open"
            and not request.is_stale()
            and request.stage == version.stage
            and to in {"", request.to}
        ]

    def asked(self, person: Person, version: Version, to: str) -> bool:
        rule = self.rules.get((version.stage, to))
        may = self.may_move(person, version.model.name, version.stage, to)
        is_way = to != version.stage and rule is not None and rule.approvals > 0
        return may and is_way and version.files is not None

    def opens(self, number: int, person: Person, version: Version, to: str) -> None:
        """The same person's open request for the same stage is the same request."""
        for request in self.open_for(version, to):
            if request.asker.folded == person.folded:
                assert request.number == number, "a second request was opened"
                return
        self.keeps_request(number, person, version, to)

    def keeps_request(self, number: int, person: Person, version: Version, to: str) -> Request:
        assert number not in self.requests, "an old request was given for a new one"
        request = Request(number, version, to, person, version.content, version.stage)
        self.requests[number] = request
        return request

    def breaks_glass(self, person: Person, version: Version, to: str, reason: str) -> bool:
        """Rights and frozen files are not broken with it; what has no files has none that could be frozen."""
        model, start = version.model.name, version.stage
        may = self.may_move(person, model, start, to) and self.may(person, "admin", model)
        opens = to == "Development"
        return may and start != to and not opens and bool(reason.strip()) and version.files is not None

    def broke_glass(self, number: int, person: Person, version: Version, to: str) -> None:
        """It is done at once, and owes the approvals that it went without."""
        rule = self.rules.get((version.stage, to))
        request = self.keeps_request(number, person, version, to)
        request.glass, request.owed = True, max(1, rule.approvals if rule else 1)
        self.goes(version, to, request)

    def approved(self, person: Person, request: Request) -> bool:
        version = request.version
        name = version.model.name
        waits = request.state == "open" or (request.glass and request.state == "done" and version.lives)
        if not self.may(person, "stage_approve", name, request.to) or not waits:
            return False
        if not request.glass and request.content != version.content:
            request.state = "void"
            return False
        if person.folded == request.asker.folded:
            return False
        former = request.approved_by.get(person.folded)
        if former is None or not self.may(former, "stage_approve", name, request.to):
            request.approved_by[person.folded] = person
        if request.glass:
            return True
        if not self.may_move(request.asker, name, version.stage, request.to):
            # It is kept, and told that who asked may not do it any more; before that, what the version does not say.
            return not self.says_all(version, request.to)
        if self.met(version, request.to, request):
            self.goes(version, request.to, request)
        return True

    def rejected(self, person: Person, request: Request) -> bool:
        may = self.may(person, "stage_approve", request.version.model.name, request.to)
        if not may or request.state != "open":
            return False
        request.state = "rejected"
        return True

    def withdrawn(self, person: Person, request: Request) -> bool:
        own = person.folded == request.asker.folded or self.may(person, "admin", request.version.model.name)
        may = self.may(person, "stage_transition", request.version.model.name)
        if not (own and may) or request.state != "open":
            return False
        request.state = "withdrawn"
        return True

    # From stage to stage.

    def moved(self, person: Person, version: Version, to: str, archives: bool) -> bool:
        if archives and STAGES[to] not in {"Staging", "Production"}:
            return False
        if not self.may_move(person, version.model.name, version.stage, to):
            return False
        others = [other for other in version.model.living() if other.stage == to and other is not version]
        if version.stage != to:
            possible, request = self.could_go(version, to)
            if not possible:
                return False
            self.goes(version, to, request)
        else:
            version.shown = True
        if archives:
            for other in others:
                self.goes(other, "Archived", None)
        return True

    def could_go(self, version: Version, to: str) -> tuple[bool, Request | None]:
        """Whether all is there, and the request by which it is."""
        if self.is_free_of_stages(version):
            return True, None
        for request in [*self.open_for(version, to), None]:
            if self.met(version, to, request):
                return True, request
        return False, None

    def met(self, version: Version, to: str, request: Request | None) -> bool:
        rule = self.rules.get((version.stage, to))
        name, content = version.model.name, version.content
        if rule is None or (rule.asks() and not content):
            return False
        # Who asked and who approved is decided again: they may have lost the right to.
        if request and not self.may_move(request.asker, name, version.stage, to):
            return False
        given: Iterable[Person] = request.approved_by.values() if request and request.content == content else ()
        counted = sum(self.may(person, "stage_approve", name, to) for person in given)
        said = {test: passed for test, passed, tested in version.evidence if tested == content}
        return (
            self.says_all(version, to)
            and all(said.get(test, False) for test in rule.tests)
            and counted >= rule.approvals
            and (not rule.returning or (to, content) in version.history)
        )

    def says_all(self, version: Version, to: str) -> bool:
        return is_free(version.stage, to) or version.complete or version.model.prompt

    def goes(self, version: Version, to: str, request: Request | None) -> None:
        for other in self.open_for(version):
            other.state = "done" if other is request else "void"
        self.ways[version.stage, to] += 1
        version.stage = to
        version.history.append((to, version.content))

    # What becomes of models, versions and files.

    def deleted(self, person: Person, version: Version) -> bool:
        if not self.may(person, "model_delete", version.model.name) or version.stage == "Production":
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
        if not self.may(person, "model_delete", model.name) or model.serves():
            return False
        for version in model.living():
            self.ends(version)
        self.models.remove(model)
        return True

    def renamed(self, person: Person, model: Model, name: str) -> bool:
        if not all(self.may(person, "model_write", each) for each in (model.name, name)) or model.serves():
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
        if owners and not self.may(person, "model_write", owners[0].model.name):
            return False
        if not any("tracking_write" in ROLES[role] for role in self.roles(person)):
            return False
        files.content = content
        return True

    def named(self, person: Person, version: Version, alias: str) -> bool:
        if not self.may(person, "model_deploy", version.model.name):
            return False
        to = GATES.get(alias.casefold(), version.stage)
        if version.stage != to and not self.could_go(version, to)[0]:
            return False
        version.model.aliases[alias] = version
        return True

    def unnamed(self, person: Person, model: Model, alias: str) -> bool:
        if not self.may(person, "model_deploy", model.name):
            return False
        model.aliases.pop(alias, None)
        return True

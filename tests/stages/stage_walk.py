"""A random walk over stages: each step is asked of sekisho and of the reference, which must agree; then what is seen."""

from __future__ import annotations

import random
import signal
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from gates import MISTAKE, Gates, gates
from reference import STAGES, SWITCHES, Files, Model, Person, Request, Version
from ruled import API, GOOD
from sights import OURS, ROOT_USER, Sights

STORE = "/api/2.0/mlflow-artifacts/artifacts/"
NAMES = [f"fraud_detection_neural_network_{metric}_staging" for metric in ("f1score", "auc", "rmse", "accuracy")]
PROMPTS = ["poem", "riddle"]
IS_PROMPT = {"key": "mlflow.prompt.is_prompt", "value": "true"}
ALIASES = ["champion", "champion", "Champion", "challenger", "tried"]
KEY = "model_purpose"
# Everything that readers see is looked at after so many steps.
LOOKS = 250
TELLS = 1_000
MOST = 7
# A walk of so many steps comes everywhere.
LONG = 5_000

PEOPLE = [
    ROOT_USER,
    Person("rita@example.com", "admin"),
    Person("ann@example.com", "ml_engineer"),
    # The same person once more, with a token of another role.
    Person("ANN@example.com", "product_manager"),
    Person("bob@example.com", "ml_engineer"),
    Person("lea@example.com", "ml_engineer", (NAMES[0],)),
    Person("sam@example.com", "data_scientist"),
    Person("cara@example.com", "product_manager"),
    Person("dan@example.com", "devops_engineer"),
    Person("ci@example.com", "ci"),
    Person("aud@example.com", "auditor"),
]


class Walk(Sights):
    """One walk, step by step."""

    def __init__(self, opened: Gates, seed: int) -> None:
        super().__init__(opened, seed)
        self.written = 0
        self.loose: list[Files] = []
        made = self.must("POST", f"{API}experiments/create", {"name": f"walk-{seed}"})
        self.experiment = made["experiment_id"]
        self.deeds: list[tuple[Callable[[], object], float]] = [
            (self.register, 6), (self.tag, 3), (self.report, 26), (self.request, 14), (self.approve, 24),
            (self.reject, 1.5), (self.withdraw, 1.5), (self.move, 14), (self.archive, 1), (self.break_glass, 1),
            (self.delete, 0.8), (self.rename, 0.6), (self.remove, 0.4), (self.upload, 4), (self.alias, 3),
            (self.unalias, 0.4), (self.switch, 2.5), (self.mistake, 0.1), (self.restart, 0.1),
        ]  # fmt: skip

    def step(self) -> None:
        plain = [model for model in self.house.models if not model.prompt]
        if not plain or (len(plain) < 2 and self.chance.random() < 0.2):
            self.create(NAMES)
        elif len(plain) == len(self.house.models) and self.chance.random() < 0.05:
            self.create(PROMPTS)
        elif not any(version.files for version in self.house.versions()):
            self.register()
        else:
            self.chance.choices([deed for deed, _ in self.deeds], [often for _, often in self.deeds])[0]()

    # Who, and what.

    def somebody(self, able: Iterable[Person] = ()) -> Person:
        """Anybody, and more often somebody who may."""
        able = list(able)
        return self.chance.choice(able if able and self.chance.random() < 0.82 else PEOPLE)

    def who_may(self, permission: str, model: Model, stage: str = "") -> list[Person]:
        return [person for person in PEOPLE if self.house.may(person, permission, model.name, stage)]

    def who_may_move(self, version: Version, to: str) -> list[Person]:
        return [person for person in PEOPLE if self.house.may_move(person, version.model.name, version.stage, to)]

    def version(self) -> Version:
        """Any, and more often one that has come far, lest none goes far; a prompt's now and then."""
        versions = self.house.versions()
        prompts = [version for version in versions if version.model.prompt]
        if prompts and self.chance.random() < 0.06:
            return self.chance.choice(prompts)
        plain = [version for version in versions if not version.model.prompt]
        going = [version for version in plain if STAGES[version.stage] != "Archived"]
        if going and self.chance.random() < 0.4:
            return max(going, key=lambda version: min(len(version.history), 5))
        return self.chance.choice(plain or prompts)

    def target(self, version: Version, approvals: bool) -> str:
        """A stage, and more often one to which a rule leads."""
        ways = [
            to
            for (start, to), rule in self.house.rules.items()
            if start == version.stage and (rule.approvals > 0 or not approvals) and to not in {"Deprecated", "Archived"}
        ]
        return self.chance.choice(ways if ways and self.chance.random() < 0.85 else list(STAGES))

    def a_request(self) -> Request | None:
        every = list(self.house.requests.values())
        opened = [request for request in every if request.state == "open"]
        owing = [request for request in every if request.glass and len(request.approved_by) < request.owed]
        if not every:
            return None
        if owing and self.chance.random() < 0.1:
            return self.chance.choice(owing[-3:])
        if opened and self.chance.random() < 0.5:
            return max(opened, key=lambda request: min(len(request.version.history), 5))
        return self.chance.choice(opened if opened and self.chance.random() < 0.9 else every[-20:])

    # Models, versions and files.

    def create(self, names: list[str]) -> None:
        name = self.chance.choice([name for name in names if all(model.name != name for model in self.house.models)])
        self.told.append(f"root create {name}")
        prompt = names is PROMPTS
        tags = {"tags": [IS_PROMPT]} if prompt else {}
        self.must("POST", f"{API}registered-models/create", {"name": name} | tags)
        self.house.models.append(Model(name, prompt))

    def fresh(self) -> str:
        self.written += 1
        return f"weights {self.written}"

    def files(self) -> Files:
        body = {"experiment_id": self.experiment, "start_time": 1}
        run = self.must("POST", f"{API}runs/create", body)["run"]["info"]
        place = f"{STORE}{self.experiment}/{run['run_id']}/artifacts/model/weights.txt"
        files = Files(run["run_id"], f"{run['artifact_uri']}/model", place, self.fresh())
        self.must("PUT", place, files.content.encode())
        return files

    def register(self) -> None:
        prompts = self.chance.random() < 0.1
        model = self.chance.choice([model for model in self.house.models if model.prompt == prompts] or self.house.models)
        if len(self.house.versions()) >= MOST:
            return self.delete()
        person = self.somebody(self.who_may("model_write", model))
        if model.prompt:
            files, complete = None, True
            body = {"name": model.name, "source": "dummy-source", "tags": [IS_PROMPT]}
        else:
            known = [version.files for version in self.house.versions() if version.files] + self.loose
            again = known and self.chance.random() < 0.15
            # Whoever registers files must be able to read them.
            files = self.chance.choice(known) if again and not person.models else self.files()
            complete = self.chance.random() < 0.85
            tags = {key: value for key, value in GOOD.items() if complete or key != KEY}
            body = {"name": model.name, "source": files.source, "run_id": files.run}
            body |= {"tags": [{"key": key, "value": value} for key, value in tags.items()]}
        answer = self.ask(person, "POST", f"{API}model-versions/create", body)
        what = f"{person.user} register {model.name} {files.run[:6] if files else ''} {'whole' if complete else 'without a tag'}"
        if self.agreed(what, self.house.registered(person, model), answer):
            number = answer.json()["model_version"]["version"]
            version = self.house.keeps(model, number, files, complete)
            assert answer.json()["model_version"]["current_stage"] == "Development", self.story(answer)
            self.told.append(f"it is {self.word(version)}")
            self.stands(version, answer)
        return None

    def tag(self) -> None:
        version, complete = self.version(), self.chance.random() < 0.7
        person = self.somebody(self.who_may("metadata_write", version.model))
        body = {"name": version.model.name, "version": version.number, "key": KEY}
        if complete:
            answer = self.ask(person, "POST", f"{API}model-versions/set-tag", body | {"value": GOOD[KEY]})
        else:
            answer = self.ask(person, "DELETE", f"{API}model-versions/delete-tag", body)
        what = f"{person.user} {'tag' if complete else 'untag'} {self.word(version)}"
        self.agreed(what, self.house.tagged(person, version, complete), answer, version)

    def delete(self) -> None:
        version = self.version()
        person = self.somebody(self.who_may("model_delete", version.model))
        body = {"name": version.model.name, "version": version.number}
        answer = self.ask(person, "DELETE", f"{API}model-versions/delete", body)
        what = f"{person.user} delete {self.word(version)}"
        if self.agreed(what, self.house.deleted(person, version), answer, version) and version.files:
            self.loose = [*self.loose[-20:], version.files]

    def remove(self) -> None:
        model = self.chance.choice(self.house.models)
        person = self.somebody(self.who_may("model_delete", model))
        answer = self.ask(person, "DELETE", f"{API}registered-models/delete", {"name": model.name})
        self.agreed(f"{person.user} remove {model.name}", self.house.removed(person, model), answer)

    def rename(self) -> None:
        model = self.chance.choice(self.house.models)
        names = PROMPTS if model.prompt else NAMES
        free = [name for name in names if all(other.name != name for other in self.house.models)]
        name, person = self.chance.choice(free), self.somebody(self.who_may("model_write", model))
        body = {"name": model.name, "new_name": name}
        answer = self.ask(person, "POST", f"{API}registered-models/rename", body)
        what = f"{person.user} rename {model.name} to {name}"
        self.agreed(what, self.house.renamed(person, model, name), answer)
        for version in model.living():
            self.stands(version, answer)

    def upload(self) -> None:
        versions = [version for version in self.house.versions() if version.files]
        young = [version for version in versions if version.stage == "Development"]
        chosen = self.chance.choice(young if young and self.chance.random() < 0.6 else versions or [None])
        known = [chosen.files] if chosen and self.chance.random() < 0.9 else self.loose
        if not known:
            return
        files, content = self.chance.choice(known), self.fresh()
        owner = next((version for version in versions if version.files is files), None)
        person = self.somebody(self.who_may("model_write", owner.model) if owner else ())
        answer = self.ask(person, "PUT", files.place, content.encode())
        what = f"{person.user} upload {files.run[:6]} of {self.word(owner) if owner else 'nobody'}"
        self.agreed(what, self.house.uploaded(person, files, content), answer, owner)

    # Evidence, requests, transitions.

    def report(self) -> None:
        version = self.version()
        asked = [
            test
            for (start, _), rule in self.house.rules.items()
            if start == version.stage
            for test in rule.tests
        ]
        said = {test for test, passed, content in version.evidence if passed and content == version.content}
        asked = [test for test in asked if test not in said] or asked
        test = self.chance.choice(asked or ["unit_test", "security_scan"])
        passed = self.chance.random() < 0.93
        person = self.somebody(self.who_may("evidence_write", version.model))
        word = "passed" if passed else "failed"
        what = f"{person.user} evidence {self.word(version)} {test} {word}"
        body = {"name": version.model.name, "version": version.number, "key": f"evidence.{test}"}
        if self.chance.random() < 0.5:
            target = f"{OURS}models/{version.model.name}/versions/{version.number}/evidence"
            answer = self.ask(person, "POST", target, {"test": test, "passed": passed})
        elif passed or self.chance.random() < 0.5:
            answer = self.ask(person, "POST", f"{API}model-versions/set-tag", body | {"value": word})
        else:
            answer = self.ask(person, "DELETE", f"{API}model-versions/delete-tag", body)
        self.agreed(what, self.house.reported(person, version, test, passed), answer, version)

    def request(self) -> None:
        version = self.version()
        to = self.target(version, approvals=True)
        person = self.somebody(self.who_may_move(version, to))
        spelt = self.chance.choice([to, to.upper(), to.lower()])
        body = {"name": version.model.name, "version": version.number, "stage": spelt, "comment": "please"}
        answer = self.ask(person, "POST", f"{OURS}approvals", body)
        expected = self.house.asked(person, version, to)
        if self.agreed(f"{person.user} request {self.word(version)} to {to}", expected, answer, version):
            self.house.opens(answer.json()["request"]["number"], person, version, to)

    def break_glass(self) -> None:
        version = self.version()
        to = self.target(version, approvals=self.chance.random() < 0.5)
        able = [person for person in self.who_may_move(version, to) if person.role == "admin"]
        person = self.somebody(able)
        reason = "fire" if self.chance.random() < 0.8 else " "
        body = {"name": version.model.name, "version": version.number, "stage": to, "break_glass": True}
        answer = self.ask(person, "POST", f"{OURS}approvals", body | {"comment": reason})
        what = f"{person.user} glass {self.word(version)} to {to}{'' if reason.strip() else ' for no reason'}"
        expected = self.house.breaks_glass(person, version, to, reason)
        if expected and answer.status == 200:
            self.house.broke_glass(answer.json()["request"]["number"], person, version, to)
        if self.agreed(what, expected, answer, version):
            assert answer.json()["request"]["state"] == "done", self.story(answer)

    def decide(self, verb: str, able: list[Person], request: Request, deed: Callable[[Person, Request], bool]) -> None:
        person = self.somebody(able)
        what = f"{person.user} {verb}{'-afterwards' if request.glass else ''} {request.number} of {self.word(request.version)} to {request.to}"
        answer = self.ask(person, "POST", f"{OURS}approvals/{request.number}/{verb}", {"comment": "so"})
        if request.is_stale() and answer.status != 200:
            request.state = self.must("GET", f"{OURS}approvals/{request.number}")["request"]["state"]
        if self.agreed(what, deed(person, request), answer, request.version):
            shown = answer.json()["request"]
            assert shown["state"] == request.state, self.story(answer, request.state)
            owes = request.glass and len(request.approved_by) < request.owed
            lacks = owes or (verb == "approve" and request.state == "open")
            assert ("lacks" in shown) == lacks, self.story(answer, request)

    def approve(self) -> None:
        if request := self.a_request():
            able = self.who_may("stage_approve", request.version.model, request.to)
            self.decide("approve", able, request, self.house.approved)

    def reject(self) -> None:
        if request := self.a_request():
            able = self.who_may("stage_approve", request.version.model, request.to)
            self.decide("reject", able, request, self.house.rejected)

    def withdraw(self) -> None:
        if request := self.a_request():
            self.decide("withdraw", [request.asker], request, self.house.withdrawn)

    def move(self, to: str | None = None) -> None:
        version = self.version()
        to = to or self.target(version, approvals=False)
        archives = self.chance.random() < 0.15
        person = self.somebody(self.who_may_move(version, to))
        body = {"name": version.model.name, "version": version.number, "stage": to}
        answer = self.ask(
            person, "POST", f"{API}model-versions/transition-stage", body | {"archive_existing_versions": archives}
        )
        what = f"{person.user} move {self.word(version)} to {to}{' archiving others' if archives else ''}"
        if self.agreed(what, self.house.moved(person, version, to, archives), answer, version):
            assert answer.json()["model_version"]["current_stage"] == to, self.story(answer)
            for other in version.model.living():
                self.stands(other, answer)

    def archive(self) -> None:
        self.move(self.chance.choice(["Archived", "Archived", "Deprecated"]))

    def alias(self) -> None:
        version, alias = self.version(), self.chance.choice(ALIASES)
        person = self.somebody(self.who_may("model_deploy", version.model))
        body = {"name": version.model.name, "version": version.number, "alias": alias}
        answer = self.ask(person, "POST", f"{API}registered-models/alias", body)
        what = f"{person.user} alias-{alias} {self.word(version)}"
        self.agreed(what, self.house.named(person, version, alias), answer, version)

    def unalias(self) -> None:
        model, alias = self.chance.choice(self.house.models), self.chance.choice(ALIASES)
        person = self.somebody(self.who_may("model_deploy", model))
        answer = self.ask(person, "DELETE", f"{API}registered-models/alias", {"name": model.name, "alias": alias})
        self.agreed(f"{person.user} unalias {model.name} {alias}", self.house.unnamed(person, model, alias), answer)

    # What the house does.

    def switch(self) -> None:
        """Somebody changes the policies."""
        one, on = self.chance.choice(SWITCHES), self.house.switches
        self.house.switches = [each for each in SWITCHES if (each in on) != (each is one)]
        self.told.append(f"house {one.what}: {one in self.house.switches}")
        self.counted["policies-change", True] += 1
        self.gates.put(self.house.switches)

    def mistake(self) -> None:
        """A change that is not taken changes nothing."""
        self.told.append("house puts policies with a mistake")
        self.counted["policies-change", False] += 1
        self.gates.put([*self.house.switches, MISTAKE], "policies not taken")
        self.move("Production")
        self.gates.put(self.house.switches)

    def restart(self) -> None:
        """What is known is in the store."""
        at, kill = self.chance.randrange(len(self.gates.opened)), self.chance.random() < 0.5
        self.told.append(f"house {'kills' if kill else 'ends'} and starts sekisho {at}")
        self.counted["restart", True] += 1
        self.gates.restart(at, kill=kill)


@dataclass(frozen=True)
class Account:
    """What was done on a walk."""

    deeds: dict[str, tuple[int, int]]
    ways: dict[tuple[str, str], int]
    steps_in: dict[str, int]

    def __str__(self) -> str:
        lines = [f"{'':26}{'allowed':>9}{'refused':>9}"]
        lines += [f"{deed:26}{allowed:9}{refused:9}" for deed, (allowed, refused) in sorted(self.deeds.items())]
        lines += [f"{often:7} went from {start} to {to}" for (start, to), often in sorted(self.ways.items())]
        lines += [f"{often:7} steps in {stage}" for stage, often in self.steps_in.items()]
        return "\n".join(lines)

    def one_sided(self) -> list[str]:
        """Deeds that were never allowed, or never refused, and stages that nobody came to."""
        always = [deed for deed, counts in self.deeds.items() if 0 in counts and deed != "restart"]
        return always + [stage for stage in STAGES if not self.steps_in.get(stage)]


def walk(steps: int, seed: int, *, two: bool = False, told: Callable[[int], object] = lambda _: None) -> Account:
    """Walks so many steps, with two sekishos or one; what was done, and how often. Tells now and then how far it is."""
    with gates(PEOPLE, two=two) as opened:
        walking = Walk(opened, seed)
        for number in range(1, steps + 1):
            walking.number = number
            walking.step()
            if number % LOOKS == 0:
                walking.look()
            if number % TELLS == 0:
                told(number)
        walking.look()
    deeds = dict.fromkeys(deed for deed, _ in walking.counted)
    counted = {deed: (walking.counted[deed, True], walking.counted[deed, False]) for deed in deeds}
    return Account(counted, dict(walking.house.ways), {stage: walking.reached[stage] for stage in STAGES})


def main(arguments: list[str]) -> int:
    # Whoever stops it stops the servers, too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("stopped"))
    two = "--two" in arguments
    numbers = [int(argument) for argument in arguments if argument != "--two"]
    steps, seed = numbers[0], numbers[1] if len(numbers) > 1 else random.randrange(1_000_000)
    print(f"seed {seed}, {'two sekishos' if two else 'one sekisho'}", flush=True)
    began = time.monotonic()
    account = walk(steps, seed, two=two, told=lambda number: print(f"{number} steps agree, {time.monotonic() - began:.0f} s", flush=True))
    print(account)
    print(f"{steps} steps in {time.monotonic() - began:.0f} s")
    always = account.one_sided() if steps >= LONG else []
    if always:
        print(f"so long a walk allows and refuses everything, and this one did not: {', '.join(always)}")
    return 1 if always else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""A random walk over stages: each step is asked of sekisho and of the reference, which must agree; then what is seen."""

from __future__ import annotations

import random
import sys
import time
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from urllib.parse import quote, urlencode

from harness.rest import Answer
from harness.sekisho import ROOT
from reference import STAGES, Files, Model, Person, Reference, Request, Version
from ruled import API, GOOD, Ruled
from ruled import ruled as opened_ruled

AJAX = "/ajax-api/2.0/mlflow/"
STORE = "/api/2.0/mlflow-artifacts/artifacts/"
NAMES = [f"fraud_detection_neural_network_{metric}_staging" for metric in ("f1score", "auc", "rmse", "accuracy")]
ALIASES = ["champion", "challenger"]
KEY = "model_purpose"
REFUSED = {400, 401, 403, 404}
# Everything that readers see is looked at after so many steps.
LOOKS = 100
MOST = 7

ROOT_USER = Person("root@example.com", "admin")
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


class Walk:
    """One walk. Whatever is random comes from `chance` alone."""

    def __init__(self, ruled: Ruled, seed: int) -> None:
        self.ruled = ruled
        self.chance = random.Random(seed)
        self.house = Reference(Path(ROOT) / "policies" / "stages.toml")
        self.tokens = {
            person: ruled.token(*person.models, role=person.role, user=person.user) for person in PEOPLE
        }
        self.told: list[str] = []
        self.counted: Counter[str] = Counter()
        self.reached: Counter[str] = Counter()
        self.written = 0
        self.loose: list[Files] = []
        made = self.must("POST", f"{API}experiments/create", {"name": f"walk-{seed}"})
        self.experiment = made["experiment_id"]

    def ask(self, person: Person, method: str, target: str, body: object = None) -> Answer:
        return self.ruled.ask(self.tokens[person], method, target, body)

    def must(self, method: str, target: str, body: object = None) -> dict:
        answer = self.ask(ROOT_USER, method, target, body)
        assert answer.status == 200, (method, target, answer.body)
        return answer.json()

    def step(self) -> None:
        deeds = [
            (self.register, 6), (self.tag, 3), (self.report, 26), (self.request, 14), (self.approve, 24),
            (self.reject, 2), (self.withdraw, 2), (self.move, 14), (self.archive, 1), (self.delete, 0.7),
            (self.rename, 0.5), (self.remove, 0.2), (self.upload, 4), (self.alias, 2),
        ]  # fmt: skip
        if not self.house.models or (len(self.house.models) < 2 and self.chance.random() < 0.2):
            self.create()
        elif not self.house.versions():
            self.register()
        else:
            self.chance.choices([deed for deed, _ in deeds], [often for _, often in deeds])[0]()

    def agreed(self, what: str, expected: bool, answer: Answer, version: Version | None = None) -> bool:
        """Holds the answer against what the reference says, and then where the version stands."""
        self.told.append(f"{what}: {'allowed' if expected else 'refused'}")
        self.counted[what.split()[1] + (" allowed" if expected else " refused")] += 1
        assert answer.status in REFUSED | {200}, self.story(answer)
        assert (answer.status == 200) == expected, self.story(answer)
        if version is not None and version.lives:
            self.reached[version.stage] += 1
            found = self.seen(ROOT_USER, version)
            assert found["current_stage"] == version.stage, self.story(answer, found["current_stage"])
        return expected

    def story(self, answer: Answer | None = None, *more: object) -> str:
        said = f"\n=> {answer.status} {answer.body.decode(errors='replace')}" if answer else ""
        return "\n".join(self.told[-60:]) + said + "".join(f"\n=> {each}" for each in more)

    def seen(self, person: Person, version: Version, base: str = API) -> dict:
        query = urlencode({"name": version.model.name, "version": version.number})
        answer = self.ask(person, "GET", f"{base}model-versions/get?{query}")
        assert answer.status == 200, self.story(answer)
        return answer.json()["model_version"]

    def somebody(self, able: Iterable[Person] = ()) -> Person:
        """Anybody, and more often somebody who may."""
        able = list(able)
        return self.chance.choice(able if able and self.chance.random() < 0.82 else PEOPLE)

    def who_may(self, permission: str, model: Model, stage: str = "") -> list[Person]:
        return [person for person in PEOPLE if person.may(permission, model.name, stage)]

    def version(self) -> Version:
        """Any, and more often the one that has come furthest, lest none goes far."""
        versions = self.house.versions()
        going = [version for version in versions if STAGES[version.stage] != "Archived"]
        if going and self.chance.random() < 0.6:
            return max(going, key=lambda version: len(version.history))
        return self.chance.choice(versions)

    def create(self) -> None:
        free = [name for name in NAMES if all(model.name != name for model in self.house.models)]
        name = self.chance.choice(free)
        self.told.append(f"root create {name}")
        self.must("POST", f"{API}registered-models/create", {"name": name})
        self.house.models.append(Model(name))

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
        model = self.chance.choice(self.house.models)
        if len(self.house.versions()) >= MOST:
            return self.delete()
        known = [version.files for version in self.house.versions()] + self.loose
        again = known and self.chance.random() < 0.15
        person = self.somebody(self.who_may("model_write", model))
        # Whoever registers files must be able to read them.
        files = self.chance.choice(known) if again and not person.models else self.files()
        complete = self.chance.random() < 0.85
        tags = {key: value for key, value in GOOD.items() if complete or key != KEY}
        body = {
            "name": model.name,
            "source": files.source,
            "run_id": files.run,
            "tags": [{"key": key, "value": value} for key, value in tags.items()],
        }
        answer = self.ask(person, "POST", f"{API}model-versions/create", body)
        what = f"{person.user} register {model.name} {files.run[:6]} {'whole' if complete else 'without a tag'}"
        if self.agreed(what, self.house.registered(person, model), answer):
            number = answer.json()["model_version"]["version"]
            version = self.house.keeps(model, number, files, complete)
            assert answer.json()["model_version"]["current_stage"] == "Development", self.story(answer)
            self.agreed(f"{person.user} registered {number}", True, answer, version)
        return None

    def tag(self) -> None:
        version, complete = self.version(), self.chance.random() < 0.7
        person = self.somebody(self.who_may("metadata_write", version.model))
        body = {"name": version.model.name, "version": version.number, "key": KEY}
        if complete:
            answer = self.ask(person, "POST", f"{API}model-versions/set-tag", body | {"value": GOOD[KEY]})
        else:
            answer = self.ask(person, "DELETE", f"{API}model-versions/delete-tag", body)
        what = f"{person.user} tag {self.word(version)} {'whole' if complete else 'without a tag'}"
        self.agreed(what, self.house.tagged(person, version, complete), answer, version)

    def word(self, version: Version) -> str:
        return f"{version.model.name}/{version.number} in {version.stage}"

    def report(self) -> None:
        version = self.version()
        asked = [
            test
            for (start, _), rule in self.house.rules.items()
            if start == version.stage
            for test in rule.tests
        ]
        said = {test for test, passed, content in version.evidence if passed and content == version.files.content}
        asked = [test for test in asked if test not in said] or asked
        test = self.chance.choice(asked or ["unit_test", "security_scan"])
        passed = self.chance.random() < 0.93
        person = self.somebody(self.who_may("evidence_write", version.model))
        word = "passed" if passed else "failed"
        what = f"{person.user} evidence {self.word(version)} {test} {word}"
        if self.chance.random() < 0.5:
            body = {"name": version.model.name, "version": version.number}
            body |= {"key": f"evidence.{test}", "value": word}
            answer = self.ask(person, "POST", f"{API}model-versions/set-tag", body)
        else:
            target = f"/sekisho/v1/models/{version.model.name}/versions/{version.number}/evidence"
            answer = self.ask(person, "POST", target, {"test": test, "passed": passed})
        self.agreed(what, self.house.reported(person, version, test, passed), answer, version)

    def target(self, version: Version, approvals: bool) -> str:
        """A stage, and more often one to which a rule leads."""
        ways = [
            to
            for (start, to), rule in self.house.rules.items()
            if start == version.stage and (rule.approvals > 0 or not approvals) and to not in {"Deprecated", "Archived"}
        ]
        return self.chance.choice(ways if ways and self.chance.random() < 0.85 else list(STAGES))

    def request(self) -> None:
        version = self.version()
        to = self.target(version, approvals=True)
        able = [p for p in PEOPLE if p.may_move(version.model.name, version.stage, to)]
        person = self.somebody(able)
        spelt = self.chance.choice([to, to.upper(), to.lower()])
        body = {"name": version.model.name, "version": version.number, "stage": spelt, "comment": "please"}
        answer = self.ask(person, "POST", "/sekisho/v1/approvals", body)
        expected = self.house.asked(person, version, to)
        if self.agreed(f"{person.user} request {self.word(version)} to {to}", expected, answer, version):
            self.house.opens(answer.json()["request"]["number"], person, version, to)

    def some_request(self) -> Request | None:
        every = list(self.house.requests.values())
        opened = [request for request in every if request.state == "open"]
        if not every:
            return None
        if opened and self.chance.random() < 0.5:
            return max(opened, key=lambda request: len(request.version.history))
        return self.chance.choice(opened if opened and self.chance.random() < 0.9 else every[-20:])

    def decide(self, verb: str, able: list[Person], request: Request, deed: object) -> None:
        person = self.somebody(able)
        what = f"{person.user} {verb} {request.number} of {self.word(request.version)} to {request.to}"
        answer = self.ask(person, "POST", f"/sekisho/v1/approvals/{request.number}/{verb}", {"comment": "so"})
        if self.agreed(what, deed(person, request), answer, request.version):
            assert answer.json()["request"]["state"] == request.state, self.story(answer, request.state)

    def approve(self) -> None:
        if request := self.some_request():
            able = self.who_may("stage_approve", request.version.model, request.to)
            self.decide("approve", able, request, self.house.approved)

    def reject(self) -> None:
        if request := self.some_request():
            able = self.who_may("stage_approve", request.version.model, request.to)
            self.decide("reject", able, request, self.house.rejected)

    def withdraw(self) -> None:
        if request := self.some_request():
            self.decide("withdraw", [request.asker], request, self.house.withdrawn)

    def move(self, to: str | None = None) -> None:
        version = self.version()
        to = to or self.target(version, approvals=False)
        archives = self.chance.random() < 0.15
        able = [p for p in PEOPLE if p.may_move(version.model.name, version.stage, to)]
        person = self.somebody(able)
        body = {"name": version.model.name, "version": version.number, "stage": to}
        answer = self.ask(
            person, "POST", f"{API}model-versions/transition-stage", body | {"archive_existing_versions": archives}
        )
        what = f"{person.user} move {self.word(version)} to {to}{' archiving others' if archives else ''}"
        if self.agreed(what, self.house.moved(person, version, to, archives), answer, version):
            assert answer.json()["model_version"]["current_stage"] == to, self.story(answer)

    def archive(self) -> None:
        self.move(self.chance.choice(["Archived", "Archived", "Deprecated"]))

    def delete(self) -> None:
        version = self.version()
        person = self.somebody(self.who_may("model_delete", version.model))
        body = {"name": version.model.name, "version": version.number}
        answer = self.ask(person, "DELETE", f"{API}model-versions/delete", body)
        what = f"{person.user} delete {self.word(version)}"
        if self.agreed(what, self.house.deleted(person, version), answer, version):
            self.loose.append(version.files)

    def remove(self) -> None:
        model = self.chance.choice(self.house.models)
        person = self.somebody(self.who_may("model_delete", model))
        answer = self.ask(person, "DELETE", f"{API}registered-models/delete", {"name": model.name})
        self.agreed(f"{person.user} remove {model.name}", self.house.removed(person, model), answer)

    def rename(self) -> None:
        model = self.chance.choice(self.house.models)
        free = [name for name in NAMES if all(other.name != name for other in self.house.models)]
        name, person = self.chance.choice(free), self.somebody(self.who_may("model_write", model))
        body = {"name": model.name, "new_name": name}
        answer = self.ask(person, "POST", f"{API}registered-models/rename", body)
        what = f"{person.user} rename {model.name} to {name}"
        self.agreed(what, self.house.renamed(person, model, name), answer)
        for version in model.living():
            found = self.seen(ROOT_USER, version)
            assert found["current_stage"] == version.stage, self.story(answer, self.word(version), found)

    def upload(self) -> None:
        versions = self.house.versions()
        young = [version for version in versions if version.stage == "Development"]
        version = self.chance.choice(young if young and self.chance.random() < 0.6 else versions)
        files = self.chance.choice(self.loose) if self.loose and self.chance.random() < 0.1 else version.files
        person, content = self.somebody(self.who_may("model_write", version.model)), self.fresh()
        answer = self.ask(person, "PUT", files.place, content.encode())
        what = f"{person.user} upload {files.run[:6]} of {self.word(version)}"
        self.agreed(what, self.house.uploaded(person, files, content), answer, version)

    def alias(self) -> None:
        version, alias = self.version(), self.chance.choice(ALIASES)
        person = self.somebody(self.who_may("model_deploy", version.model))
        body = {"name": version.model.name, "version": version.number, "alias": alias}
        answer = self.ask(person, "POST", f"{API}registered-models/alias", body)
        what = f"{person.user} alias {self.word(version)} {alias}"
        self.agreed(what, self.house.named(person, version, alias), answer, version)

    def look(self) -> None:
        """Everything that readers see of what lives: no mixture, and nothing but the truth."""
        for model in self.house.models:
            for version in model.living():
                self.look_at(version)
            for alias, version in model.aliases.items():
                query = urlencode({"name": model.name, "alias": alias})
                found = self.must("GET", f"{API}registered-models/alias?{query}")["model_version"]
                assert (found["version"], found["current_stage"]) == (version.number, version.stage), self.story()
            self.look_at_model(model)
        for request in list(self.house.requests.values())[-10:]:
            found = self.must("GET", f"/sekisho/v1/approvals/{request.number}")["request"]
            if request.version.lives:
                assert found["state"] == request.state, self.story(None, found, request.state)

    def look_at(self, version: Version) -> None:
        for base, stage in [(API, version.stage), (AJAX, STAGES[version.stage])]:
            found = self.seen(ROOT_USER, version, base)
            tags = {tag["key"]: tag["value"] for tag in found["tags"]}
            told = (found["current_stage"], tags.get("sekisho.stage"))
            assert told == (stage, version.stage), self.story(None, base, self.word(version), told)
        mirror, tags = self.ruled.held(version.model.name, version.number)
        assert (mirror, tags["sekisho.stage"]) == (STAGES[version.stage], version.stage), self.story(None, "mirror", tags)
        history = f"/sekisho/v1/models/{version.model.name}/versions/{version.number}/history"
        made = [line["to"] for line in self.must("GET", history)["transitions"]]
        assert made[::-1] == [to for to, _ in version.history], self.story(None, self.word(version), made)

    def look_at_model(self, model: Model) -> None:
        newest: dict[str, str] = {}
        for version in sorted(model.living(), key=lambda version: int(version.number)):
            newest[version.stage] = version.number
        query = urlencode({"name": model.name})
        whole = self.must("GET", f"{API}registered-models/get?{query}")["registered_model"]
        latest = {row["current_stage"]: row["version"] for row in whole.get("latest_versions", [])}
        assert latest == newest, self.story(None, model.name, latest, newest)
        for stage in STAGES:
            body = {"name": model.name, "stages": [stage]}
            rows = self.must("POST", f"{API}registered-models/get-latest-versions", body).get("model_versions", [])
            told = [row["version"] for row in rows]
            assert told == [newest[stage] for _ in range(stage in newest)], self.story(None, model.name, stage, told)
            stood = self.must("GET", f"/sekisho/v1/models/{model.name}/stages/{quote(stage)}")["versions"]
            there = {v.number for v in model.living() if v.stage == stage and v.history}
            assert there <= {line["version"] for line in stood}, self.story(None, model.name, stage, stood)
        query = urlencode({"filter": f"name='{model.name}'", "max_results": 100})
        rows = self.must("GET", f"{API}model-versions/search?{query}").get("model_versions", [])
        told = {row["version"]: row["current_stage"] for row in rows}
        assert told == {v.number: v.stage for v in model.living()}, self.story(None, model.name, told)


def walk(steps: int, seed: int) -> Counter[str]:
    """Walks so many steps; what was done, and how often."""
    with opened_ruled() as ruled:
        walking = Walk(ruled, seed)
        for number in range(steps):
            walking.step()
            if number % LOOKS == LOOKS - 1:
                walking.look()
        walking.look()
        return walking.counted + Counter({f"steps in {stage}": often for stage, often in walking.reached.items()})


if __name__ == "__main__":
    asked, chosen = int(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else random.randrange(1_000_000)
    print(f"seed {chosen}", flush=True)
    began = time.monotonic()
    for done, often in sorted(walk(asked, chosen).items()):
        print(f"{often:7} {done}")
    print(f"{asked} steps in {time.monotonic() - began:.0f} s")

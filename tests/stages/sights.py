"""What is asked and seen on a walk: answers are held against the reference, and so is all that readers see."""

from __future__ import annotations

import random
from collections import Counter
from pathlib import Path
from urllib.parse import quote, urlencode

from gates import Gates
from harness.rest import Answer
from harness.sekisho import ROOT
from reference import STAGES, Model, Person, Reference, Version
from ruled import API, until

AJAX = "/ajax-api/2.0/mlflow/"
OURS = "/sekisho/v1/"
REFUSED = {400, 401, 403, 404}
ROOT_USER = Person("root@example.com", "admin")


class Sights:
    """A house, its reference, and what was told and counted. Whatever is random comes from `chance` alone."""

    def __init__(self, gates: Gates, seed: int) -> None:
        self.gates = gates
        self.chance = random.Random(seed)
        self.house = Reference(Path(ROOT) / "policies" / "stages.toml")
        self.told: list[str] = []
        self.counted: Counter[tuple[str, bool]] = Counter()
        self.reached: Counter[str] = Counter()
        self.number = 0
        # Who was asked last, and of each version how often it was moved and by whom last.
        self.at = 0
        self.moved_by: dict[int, tuple[int, int]] = {}

    def ask(self, person: Person, method: str, target: str, body: object = None) -> Answer:
        """Of any sekisho: what one did, the other decides by."""
        self.at = self.chance.randrange(len(self.gates.opened))
        return self.gates.ask(self.at, person, method, target, body)

    def must(self, method: str, target: str, body: object = None, at: int | None = None) -> dict:
        if at is None:
            answer = self.ask(ROOT_USER, method, target, body)
        else:
            answer = self.gates.ask(at, ROOT_USER, method, target, body)
        assert answer.status == 200, self.story(answer, method, target)
        return answer.json()

    def agreed(self, what: str, expected: bool, answer: Answer, version: Version | None = None) -> bool:
        """Holds the answer against what the reference says, and then where the version stands."""
        self.told.append(f"{what}: {'allowed' if expected else 'refused'}")
        self.counted[what.split()[1], expected] += 1
        assert answer.status in REFUSED | {200}, self.story(answer)
        assert (answer.status == 200) == expected, self.story(answer)
        if version is not None and version.lives:
            self.reached[version.stage] += 1
            self.stands(version, answer)
        return expected

    def stands(self, version: Version, answer: Answer | None = None) -> None:
        """Who was asked last shows where a version stands: at once where that was their doing, else within half a second."""
        made, doer = self.moved_by.get(version.born, (0, self.at))
        if len(version.history) != made:
            doer = self.at
        self.moved_by[version.born] = (len(version.history), doer)
        found = self.seen(version, at=self.at)["current_stage"]
        if found != version.stage and doer != self.at:
            until(lambda: self.seen(version, at=self.at)["current_stage"] == version.stage, 2)
        else:
            assert found == version.stage, self.story(answer, self.word(version), found)

    def settled(self) -> None:
        """A sekisho reads what another did within half a second; until then it shows what was."""
        for at, _ in enumerate(self.gates.opened):
            for version in self.house.versions():
                until(lambda at=at, version=version: self.seen(version, at=at)["current_stage"] == version.stage, 2)

    def story(self, answer: Answer | None = None, *more: object) -> str:
        """The last steps, and what does not fit them."""
        said = f"\n=> {answer.status} {answer.body.decode(errors='replace')}" if answer else ""
        on = ", ".join(switch.what for switch in self.house.switches)
        return "\n".join(self.told[-60:]) + f"\n(step {self.number}; on: {on})" + said + "".join(f"\n=> {each}" for each in more)

    def word(self, version: Version) -> str:
        return f"{version.model.name}/{version.number} in {version.stage}"

    def seen(self, version: Version, base: str = API, at: int | None = None) -> dict:
        query = urlencode({"name": version.model.name, "version": version.number})
        return self.must("GET", f"{base}model-versions/get?{query}", at=at)["model_version"]

    def look(self) -> None:
        """Everything that readers see of what lives: no mixture, and nothing but the truth."""
        self.settled()
        for model in self.house.models:
            for version in model.living():
                self.look_at(version)
            for alias, version in model.aliases.items():
                query = urlencode({"name": model.name, "alias": alias})
                found = self.must("GET", f"{API}registered-models/alias?{query}")["model_version"]
                told = (found["version"], found["current_stage"])
                assert told == (version.number, version.stage), self.story(None, model.name, alias, told)
            self.look_at_model(model)
        for request in list(self.house.requests.values())[-10:]:
            found = self.must("GET", f"{OURS}approvals/{request.number}")["request"]
            if request.is_stale() and found["state"] == "void":
                request.state = "void"
            if request.version.lives:
                assert found["state"] == request.state, self.story(None, found, request.state)

    def look_at(self, version: Version) -> None:
        # A prompt's version begins without it.
        tag = version.stage if version.files or version.history or version.shown else None
        for base, stage in [(API, version.stage), (AJAX, STAGES[version.stage])]:
            found = self.seen(version, base)
            tags = {tag["key"]: tag["value"] for tag in found["tags"]}
            told = (found["current_stage"], tags.get("sekisho.stage"))
            assert told == (stage, tag), self.story(None, base, self.word(version), told)
        mirror, tags = self.gates.opened[0].held(version.model.name, version.number)
        assert (mirror, tags.get("sekisho.stage")) == (STAGES[version.stage], tag), self.story(None, "mirror", tags)
        history = f"{OURS}models/{version.model.name}/versions/{version.number}/history"
        told = self.must("GET", history)
        made = [line["to"] for line in told["transitions"]]
        assert made[::-1] == [to for to, _ in version.history], self.story(None, self.word(version), made)
        said = sorted((line["number"], line["test"], line["passed"]) for line in told["evidence"])
        reported = [(test, passed) for test, passed, _ in version.evidence]
        assert [line[1:] for line in said] == reported, self.story(None, self.word(version), said)
        if version.files:
            answer = self.ask(ROOT_USER, "GET", version.files.place)
            assert answer.body.decode() == version.content, self.story(answer, self.word(version), version.content)

    def look_at_model(self, model: Model) -> None:
        newest: dict[str, str] = {}
        for version in sorted(model.living(), key=lambda version: int(version.number)):
            newest[version.stage] = version.number
        query = urlencode({"name": model.name})
        whole = self.must("GET", f"{API}registered-models/get?{query}")["registered_model"]
        latest = {row["current_stage"]: row["version"] for row in whole.get("latest_versions", [])}
        assert latest == newest, self.story(None, model.name, latest, newest)
        aliases = {row["alias"]: row["version"] for row in whole.get("aliases", [])}
        named = {alias: version.number for alias, version in model.aliases.items()}
        assert aliases == named, self.story(None, model.name, aliases, named)
        for stage in STAGES:
            body = {"name": model.name, "stages": [stage]}
            rows = self.must("POST", f"{API}registered-models/get-latest-versions", body).get("model_versions", [])
            told = [row["version"] for row in rows]
            assert told == [newest[stage] for _ in range(stage in newest)], self.story(None, model.name, stage, told)
            stood = self.must("GET", f"{OURS}models/{model.name}/stages/{quote(stage)}")["versions"]
            there = {v.number for v in model.living() if v.stage == stage and v.history}
            assert there <= {line["version"] for line in stood}, self.story(None, model.name, stage, stood)
        if model.prompt:
            # Searches of MLflow's leave them out.
            return
        query = urlencode({"filter": f"name='{model.name}'", "max_results": 100})
        rows = self.must("GET", f"{API}model-versions/search?{query}").get("model_versions", [])
        told = {row["version"]: row["current_stage"] for row in rows}
        assert told == {v.number: v.stage for v in model.living()}, self.story(None, model.name, told)

"""Lists and searches from the index: what it answers is what MLflow itself answers, page by page, whatever was written in between."""

from __future__ import annotations

import json
import os
import random
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from urllib.parse import quote, urlencode

import pytest
from conftest import LOGS
from harness import postgres
from harness.mlflow_server import MlflowServer
from harness.rest import Answer, send
from harness.sekisho import Sekisho
from ruled import API, until

SAYS = "x-sekisho-cache"
PROMPT = "mlflow.prompt.is_prompt"
LISTS = {"models": ("registered-models/search", "registered_models"), "versions": ("model-versions/search", "model_versions")}
RUNS = [f"{number:032x}" for number in range(6)]
TAGS = {"team": ["a", "b", "B"], "k k": ["v", "ä b"], "a.b": ["v w", "%"], "case": ["x"]}
# Pages that are compared on each database.
CASES = int(os.environ.get("SEKISHO_TEST_CASES", "1000"))
NAMES = [
    "iris", "Iris", "IRIS-2", "iris_1", "iris.1", "iris 1", "fraud", "fraud-a", "Fraud_b", "fraud%", "fraud_", "zebra", "Zebra",
    "ärger", "Ärger", "éclair", "日本", "zoo", "Zoo", "_under", "-dash", "~tilde", "a", "A", "a b", "a-b", "a_b", "a.b", "ab", "aB",
    "(x)", "[y]", "50%", "it's", 'say "x"', "back\\slash", "tab", "0", "00", "10", "9", "\u212aelvin",
]  # fmt: skip


@dataclass
class House:
    """A gate to a registry that anything may be done to, and an administrator."""

    mlflow: MlflowServer
    sekisho: Sekisho
    root: str
    dice: random.Random
    models: list[str] = field(default_factory=list)
    asked: int = 0
    hits: int = 0

    def write(self, method: str, path: str, **body: object) -> Answer:
        return send(self.sekisho.url, method, API + path, self.root, body)

    def past(self, method: str, path: str, **body: object) -> Answer:
        answer = send(self.mlflow.url, method, API + path, None, body)
        assert answer.status == 200, answer.body
        return answer

    def registers(self, model: str, **more: object) -> Answer:
        """A version through the gate, of files of a run's."""
        run = self.past("POST", "runs/create", experiment_id="0").json()["run"]["info"]["run_id"]
        folder = f"/api/2.0/mlflow-artifacts/artifacts/0/{run}/artifacts/model"
        assert send(self.mlflow.url, "PUT", f"{folder}/MLmodel", None, "weights").status == 200
        RUNS[self.dice.randrange(len(RUNS))] = run
        return self.write("POST", "model-versions/create", **{"name": model, **more, "source": f"runs:/{run}/model", "run_id": run})

    def ask(self, which: str, token: str | None = None, **parameters: object) -> Answer:
        return send(self.sekisho.url, "GET", target(which, parameters), token or self.root)

    def theirs(self, which: str, **parameters: object) -> Answer:
        return send(self.mlflow.url, "GET", target(which, parameters))

    def is_known(self) -> bool:
        """Whether a question that nobody asked before is answered from memory."""
        fresh = f"name LIKE 'nobody {self.dice.random()}%'"
        return says(self.ask("models", filter=fresh)) == "HIT"

    def purge(self) -> None:
        answer = send(self.sekisho.url, "POST", "/sekisho/v1/cache:purge", self.root)
        assert answer.status in (200, 204), answer.body

    def same(self, which: str, size: int, most: int = 4, **parameters: object) -> None:
        """The first pages of one question, here and there."""
        ours = theirs = ""
        for _ in range(most):
            here = self.ask(which, max_results=size, **parameters, **({"page_token": ours} if ours else {}))
            there = self.theirs(which, max_results=size, **parameters, **({"page_token": theirs} if theirs else {}))
            assert here.status == there.status, (parameters, here.body, there.body)
            if there.status != 200:
                return
            self.asked += 1
            self.hits += says(here) == "HIT"
            (mine, ours), (other, theirs) = rows(here, which), rows(there, which)
            assert mine == other, (which, parameters, size, [name(row) for row in mine], [name(row) for row in other])
            assert bool(ours) == bool(theirs), (which, parameters, size)
            if not ours:
                return


def target(which: str, parameters: dict[str, object]) -> str:
    query = urlencode({key: value for key, value in parameters.items() if value}, doseq=True, quote_via=quote)
    return f"{API}{LISTS[which][0]}?{query}"


def says(answer: Answer) -> str:
    return {key.lower(): value for key, value in answer.headers.items()}.get(SAYS, "")


def name(row: dict) -> tuple[str, str]:
    return row["name"], row.get("version", "")


def settled(row: dict) -> dict:
    """Tags, aliases and latest versions come in no order of MLflow's: its queries have none for them."""
    row = dict(row)
    for key in ("tags", "aliases", "latest_versions"):
        if key in row:
            row[key] = sorted((settled(one) for one in row[key]), key=json.dumps)
    return row


def rows(answer: Answer, which: str) -> tuple[list[dict], str]:
    assert answer.status == 200, answer.body
    body = json.loads(answer.body)
    assert body.keys() <= {LISTS[which][1], "next_page_token"}
    return [settled(row) for row in body.get(LISTS[which][1], [])], body.get("next_page_token", "")


@contextmanager
def backend(kind: str) -> Iterator[tuple[str, ...]]:
    """What MLflow is started with."""
    if kind == "sqlite":
        yield ()
        return
    try:
        server = postgres.shared()
    except postgres.Missing as reason:
        pytest.skip(str(reason))
    where = server.database()
    base = postgres.name_of(where)
    # Its names are sorted as people do, which is not how their bytes are.
    server.query(f"CREATE DATABASE {base}_icu TEMPLATE template0 LOCALE_PROVIDER icu ICU_LOCALE 'en-US' LOCALE 'C.UTF-8'")
    address = where.replace("postgres://", "postgresql+psycopg2://").replace(base, f"{base}_icu").partition("?")[0]
    yield ("--backend-store-uri", address)


@contextmanager
def opened(kind: str, **cache: int) -> Iterator[House]:
    with ExitStack() as stack:
        arguments = stack.enter_context(backend(kind))
        mlflow = stack.enter_context(MlflowServer(LOGS, workers=2, arguments=arguments))
        settings = {"limits": {"requests_per_second": 0}, "audit": {"reads": "aggregate"}, "cache": cache}
        sekisho = stack.enter_context(Sekisho(mlflow.url, LOGS, settings=settings))
        yield House(mlflow, sekisho, sekisho.token("root@example.com", "admin"), random.Random(20261201))


@pytest.fixture(scope="module", params=["sqlite", "postgres"])
def house(request: pytest.FixtureRequest) -> Iterator[House]:
    """A registry with names, tags and prompts of every kind, written past the gate, and read by it."""
    with opened(request.param) as running:
        seed(running)
        running.purge()
        until(running.is_known)
        yield running


def seed(house: House) -> None:
    dice = house.dice
    for model in NAMES:
        prompt = dice.random() < 0.12 and model.isalnum()
        answer = send(house.mlflow.url, "POST", f"{API}registered-models/create", None, {"name": model, "tags": tags(dice, prompt)})
        assert answer.status == 200, (model, answer.body)
        house.models.append(model)
        for _ in range(dice.choice((0, 1, 1, 2, 5))):
            house.past("POST", "model-versions/create", **version_of(dice, model, prompt))


def tags(dice: random.Random, prompt: bool) -> list[dict[str, str]]:
    kept = [{"key": key, "value": dice.choice(values)} for key, values in TAGS.items() if dice.random() < 0.5]
    # What a version of a prompt must have besides, its text.
    return kept + ([{"key": PROMPT, "value": "true"}, {"key": "mlflow.prompt.text", "value": "hello"}] if prompt else [])


def version_of(dice: random.Random, model: str, prompt: bool = False) -> dict[str, object]:
    run = {"run_id": dice.choice(RUNS)} if dice.random() < 0.6 else {}
    source = "dummy-source" if prompt else "s3://bucket/x"
    return {"name": model, "source": source, "tags": tags(dice, prompt), **run}


def filters(house: House, which: str) -> str:
    """One of the filters that clients send, or one that is none of them."""
    dice = house.dice
    model = dice.choice(house.models)
    part, pattern = model[: dice.randint(1, 3)], dice.choice(("{}%", "%{}", "%{}%", "_{}%", "{}"))
    key = dice.choice(list(TAGS))
    value = dice.choice(TAGS[key])
    written = f"tags.`{key}`" if " " in key or key == "case" or dice.random() < 0.5 else f"tag.{key}"
    clauses = [
        f"name = {quoted(model)}", f"name={quoted(model)}", f"name LIKE {quoted(pattern.format(part))}",
        f"name ilike {quoted(pattern.format(part).swapcase())}", f"{written} = {quoted(value)}", f"{written}={quoted(value)}",
        f"tags.`{PROMPT}` = 'true'", f"tag.`{PROMPT}` != 'true'", f"tags.{PROMPT} = 'false'",
    ]  # fmt: skip
    if which == "versions":
        clauses += [f"run_id = '{dice.choice(RUNS)}'", f"run_id='{dice.choice(RUNS)}'"]
    if dice.random() < 0.06:
        clauses = [f"{written} != 'a'", f"{written} LIKE '%v%'", f"name != {quoted(model)}", f"name IN ({quoted(model)})", "name = 'x' OR", "  "]
    if dice.random() < 0.25:
        return ""
    return dice.choice((" AND ", " and ", "  AND  ")).join(dice.sample(clauses, dice.choice((1, 1, 1, 2, 2, 3))))


def quoted(text: str) -> str:
    return f'"{text}"' if "'" in text else f"'{text}'"


def order(dice: random.Random, which: str) -> list[str]:
    keys = ["name", "last_updated_timestamp"] + (["timestamp"] if which == "models" else ["creation_timestamp", "version_number"])
    if dice.random() < 0.03:
        keys += ["nothing"]
    chosen = dice.sample(keys, dice.choice((0, 0, 1, 1, 1, 2)))
    return [key + dice.choice(("", " ASC", " DESC", " desc")) for key in chosen]


def write_something(house: House) -> None:
    """A write through the gate, of any kind; what MLflow says of it is no matter."""
    dice = house.dice
    model = dice.choice(house.models)
    number = str(dice.randint(1, 4))
    key = dice.choice(list(TAGS))
    kind = dice.randrange(12)
    match kind:
        case 0:
            new = dice.choice(NAMES)[:4] + dice.choice("abcXYZ éü-_.~0") + str(dice.randrange(1000))
            if house.write("POST", "registered-models/create", name=new, tags=tags(dice, False)).status == 200:
                house.models.append(new)
        case 1 | 2 | 3:
            house.registers(model, tags=tags(dice, False))
        case 4:
            new = dice.choice("aAzZéÄ0_-~") + model[1:] + str(dice.randrange(100))
            if house.write("POST", "registered-models/rename", name=model, new_name=new).status == 200:
                house.models[house.models.index(model)] = new
        case 5:
            if len(house.models) > 30 and house.write("DELETE", "registered-models/delete", name=model).status == 200:
                house.models.remove(model)
        case 6:
            house.write("DELETE", "model-versions/delete", name=model, version=number)
        case 7:
            house.write("POST", "registered-models/set-tag", name=model, key=key, value=dice.choice(TAGS[key]))
            house.write("DELETE", "registered-models/delete-tag", name=model, key=dice.choice(list(TAGS)))
        case 8:
            house.write("POST", "model-versions/set-tag", name=model, version=number, key=key, value=dice.choice(TAGS[key]))
            house.write("DELETE", "model-versions/delete-tag", name=model, version=number, key=dice.choice(list(TAGS)))
        case 9:
            house.write("POST", "model-versions/transition-stage", name=model, version=number, stage=dice.choice(("Staging", "Production")),
                        archive_existing_versions=dice.random() < 0.5)  # fmt: skip
        case 10:
            house.write("POST", "registered-models/alias", name=model, alias=dice.choice(("champion", "best")), version=number)
        case 11:
            house.write("PATCH", "registered-models/update", name=model, description=str(dice.random()))
            house.write("PATCH", "model-versions/update", name=model, version=number, description=str(dice.random()))


def test_every_page_is_mlflows_own(house: House) -> None:
    """Filters, orders and sizes at random, and writes in between; nearly all of them are answered from memory."""
    writes = 0
    began = time.monotonic()
    while house.asked < CASES:
        which = house.dice.choice(list(LISTS))
        parameters = {"filter": filters(house, which), "order_by": order(house.dice, which)}
        house.same(which, house.dice.choice((1, 2, 3, 7, 25, 1000)), **parameters)
        if house.dice.random() < 0.15:
            write_something(house)
            writes += 1
    share = house.hits / house.asked
    print(f"{house.asked} pages, {house.hits} of them from memory, {writes} writes, {time.monotonic() - began:.0f} s")
    assert share > 0.7, (house.hits, house.asked)


def test_what_is_written_past_the_gate_is_seen_after_a_purge(house: House) -> None:
    """And a purge has MLflow asked until everything is read again."""
    until(house.is_known)
    house.past("POST", "registered-models/create", name="past the gate")
    house.past("POST", "model-versions/create", name="past the gate", source="s3://bucket/x", run_id="f" * 32)
    house.purge()
    house.same("models", 1000)
    until(house.is_known)
    for which in LISTS:
        house.same(which, 1000)
    house.same("versions", 1000, filter=f"run_id = '{'f' * 32}'")
    assert says(house.ask("models", order_by=["name DESC"])) == "HIT"
    asked = send(house.sekisho.url, "GET", target("models", {}), house.root, headers={"Cache-Control": "no-cache"})
    assert says(asked) == "MISS"


def test_prompts_come_and_go(house: House) -> None:
    """A tag makes a prompt of a model, and one version's tag hides all versions that have none."""
    until(house.is_known)
    prompts = {"filter": f"tags.`{PROMPT}` = 'true'"}
    model = "turning"
    house.write("POST", "registered-models/create", name=model)
    assert house.registers(model).status == 200 and house.registers(model).status == 200
    begun, asked = house.hits, house.asked
    of_model, of_version = {"name": model, "key": PROMPT}, {"name": model, "version": "1", "key": PROMPT}
    for method, path, body in (
        ("POST", "model-versions/set-tag", {**of_version, "value": "true"}), ("POST", "registered-models/set-tag", {**of_model, "value": "true"}),
        ("DELETE", "registered-models/delete-tag", of_model), ("POST", "model-versions/set-tag", {**of_version, "version": "2", "value": "true"}),
        ("DELETE", "model-versions/delete-tag", of_version), ("DELETE", "model-versions/delete-tag", {**of_version, "version": "2"}),
    ):  # fmt: skip
        # Past the gate, which keeps these tags for itself; and a write of the same model through it.
        house.past(method, path, **body)
        more = {key: body[key] for key in ("version",) if key in body}
        kind = path.split("/")[0]
        assert house.write("POST", f"{kind}/set-tag", name=model, key="team", value="a", **more).status == 200
        for which in LISTS:
            house.same(which, 1000)
            house.same(which, 1000, **prompts)
            house.same(which, 1000, filter=f"name = '{model}'", order_by=["name DESC"])
    assert house.hits - begun > (house.asked - asked) / 3


def test_a_caller_sees_their_own_models_alone(house: House) -> None:
    """By name or by pattern; each page is full."""
    until(house.is_known)
    for models in (("iris", "a-b", "zebra"), ("iri*", "a-b"), ("nobody",)):
        bea = house.sekisho.token("bea@example.com", "ml_engineer", models)
        for which in LISTS:
            answer = house.ask(which, token=bea, max_results=1000)
            seen, token = rows(answer, which)
            everything, _ = rows(house.theirs(which, max_results=1000), which)
            mine = [row for row in everything if row["name"] in models or ("iri*" in models and row["name"].startswith("iri"))]
            assert (seen, token, says(answer)) == (mine, "", "HIT"), (models, which)


def test_a_list_that_starts_after_a_write_was_answered_shows_it(house: House) -> None:
    """Writers count up a tag each of a model of its own; readers list by any way and never see less than was answered."""
    until(house.is_known)
    writers, until_then = 3, time.monotonic() + 12
    models = [f"counted {number}" for number in range(writers)]
    answered, wrong, lists = [0] * writers, [], [0]
    for model in models:
        assert house.write("POST", "registered-models/create", name=model).status == 200
        assert house.registers(model).status == 200

    def write(number: int) -> None:
        count, model = 0, models[number]
        while time.monotonic() < until_then:
            count += 1
            for path, more in (("registered-models/set-tag", {}), ("model-versions/set-tag", {"version": "1"})):
                answer = house.write("POST", path, name=model, key="count", value=str(count), **more)
                if answer.status != 200:
                    wrong.append(answer.body)
            answered[number] = count

    def read(number: int) -> None:
        dice = random.Random(number)
        while time.monotonic() < until_then:
            which = dice.choice(list(LISTS))
            least = list(answered)
            parameters = dice.choice(({}, {"filter": "name LIKE 'counted%'"}, {"order_by": ["last_updated_timestamp"]}))
            found, _ = rows(house.ask(which, max_results=1000, **parameters), which)
            lists[0] += 1
            for at, model in enumerate(models):
                row = next((row for row in found if row["name"] == model), None)
                shown = next((int(tag["value"]) for tag in (row or {}).get("tags", []) if tag["key"] == "count"), 0 if row else -1)
                if shown < least[at]:
                    wrong.append((which, parameters, model, shown, least[at]))

    threads = [threading.Thread(target=write, args=(number,)) for number in range(writers)]
    threads += [threading.Thread(target=read, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    print(f"{sum(answered)} rounds of writes, {lists[0]} lists")
    assert not wrong, wrong[:5]
    assert min(answered) > 3 and lists[0] > 20

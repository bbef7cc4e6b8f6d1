"""Typed searches over a real registry, against brute force over what MLflow has, for those who see all, some and none of it."""

from __future__ import annotations

import json
import operator
import random
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from fnmatch import fnmatchcase
from urllib.parse import urlencode

import pytest
from conftest import LOGS, need_binary
from harness.mlflow_server import MlflowServer
from harness.rest import Answer, send
from harness.sekisho import Sekisho
from packaging.requirements import Requirement

API = "/api/2.0/mlflow/"
SEED = 20_261
MODELS = 80
QUESTIONS = 60
START = 1_767_225_600_000
STAGES = {"None": "Development", "Staging": "Staging", "Production": "Production", "Archived": "Archived"}
COMPARE = {
    "=": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
WORDS = ["s3://bucket/a", "s3://bucket/b", "Größe", "with 'quotes' and \"more\"", "", "x*y", "100%", "back\\slash", "\U0001f40d"]
OWNERS = ["ann@example.com", "Ann@Example.com", "eve@example.com", "zoë@example.com"]
RELEASES = ["1.2", "1.3.2", "1.4.0", "1.4rc1", "2.0.1"]
# Words of hidden rows alone: no answer, whatever it is, may tell them.
SECRET = "only-in-what-is-hidden"


@dataclass(frozen=True)
class Version:
    """A version as it stands in MLflow."""

    name: str
    number: int
    stage: str
    created: int
    tags: dict[str, str]

    @property
    def key(self) -> tuple[str, int]:
        return self.name, self.number


@dataclass(frozen=True)
class Asked:
    """A condition as it is written, and what it means."""

    where: str
    holds: Callable[[Version], bool]


@dataclass(frozen=True)
class House:
    """A gate to all of it, and tokens by what they see."""

    sekisho: Sekisho
    mlflow: MlflowServer
    versions: list[Version]
    tokens: dict[str, str]
    sees: dict[str, Callable[[str], bool]]

    def ask(self, who: str, where: list[str], **more: object) -> Answer:
        """One page."""
        asked = [("where", one) for one in where] + list(more.items())
        return send(self.sekisho.url, "GET", f"/sekisho/v1/search?{urlencode(asked)}", self.tokens[who])

    def rows(self, who: str, where: list[str], **more: object) -> list[tuple[str, int]]:
        """All pages; each but the last is full."""
        rows, token, size = [], "", int(more.setdefault("max_results", 1_000))
        while True:
            answer = self.ask(who, where, **more, **({"page_token": token} if token else {}))
            assert answer.status == 200, (where, answer.body)
            body = answer.json()
            assert body.keys() <= {"model_versions", "next_page_token"}
            rows += [(row["name"], int(row["version"])) for row in body["model_versions"]]
            token = body.get("next_page_token", "")
            assert not token or len(body["model_versions"]) == size
            if not token:
                return rows

    def tag(self, version: Version, key: str, value: str) -> None:
        """Writes a tag through sekisho."""
        body = {"name": version.name, "version": str(version.number), "key": key, "value": value}
        assert send(self.sekisho.url, "POST", f"{API}model-versions/set-tag", self.tokens["root"], body).status == 200


def sown(dice: random.Random) -> list[Version]:
    """Some hundreds of versions; each tag is there or not, well written or not."""
    made = []
    for model in range(MODELS):
        name = f"model-{model:02}-{'open' if model % 4 == 0 else 'closed'}"
        for number in range(1, dice.randint(2, 9)):
            metrics = {"accuracy": dice.randint(0, 20) / 20, "deep": {"list": [dice.randint(0, 3), "x"]}}
            pinned = [f"scikit-learn=={dice.choice(RELEASES)}", "numpy==1.26.4"]
            all_tags = {
                "performance_metrics": dice.choice([json.dumps(metrics), json.dumps(metrics), "{'accuracy': 1}", "[]"]),
                "data_sources": json.dumps(dice.sample(WORDS, 2)),
                "business_owner": dice.choice(OWNERS),
                "technical_owner": dice.choice(OWNERS),
                "grade": dice.choice(["1", "2.5", " 3 ", "-4", "high", "1e1", "nan", "true", "False"]),
                "word": dice.choice(WORDS),
                "dotted.key": dice.choice("abc"),
                "sekisho.dependencies": json.dumps(dice.sample(pinned, dice.randint(1, 2))),
            }
            tags = {key: value for key, value in all_tags.items() if dice.random() < 0.8}
            if name.endswith("closed"):
                tags["secret"] = SECRET
            stage = dice.choice(list(STAGES))
            made.append(Version(name, number, stage, START + dice.randint(0, 9) * 86_400_000, tags))
    return made


def insert(server: MlflowServer, versions: list[Version]) -> None:
    """Straight into MLflow's tables, before anybody asks."""
    names = {version.name for version in versions}
    rows = [(v.name, v.number, v.created, v.created, v.stage, f"s3://x/{v.name}", "READY", "default") for v in versions]
    tags = [(v.name, v.number, key, value, "default") for v in versions for key, value in v.tags.items()]
    with closing(sqlite3.connect(server.database, timeout=30)) as connection, connection:
        connection.executemany(
            "insert into registered_models (name, creation_time, last_updated_time, workspace) values (?, ?, ?, 'default')",
            [(name, START, START) for name in names],
        )
        connection.executemany(
            "insert into model_versions (name, version, creation_time, last_updated_time, current_stage, source, status, workspace)"
            " values (?, ?, ?, ?, ?, ?, ?, ?)", rows
        )  # fmt: skip
        connection.executemany(
            "insert into model_version_tags (name, version, key, value, workspace) values (?, ?, ?, ?, ?)", tags
        )


@pytest.fixture(scope="module")
def house() -> Iterator[House]:
    """One for all questions. Tags that tests write are none that others ask for."""
    need_binary()
    versions = sown(random.Random(SEED))
    with MlflowServer(LOGS) as mlflow:
        insert(mlflow, versions)
        with Sekisho(mlflow.url, LOGS) as sekisho:
            token = sekisho.token
            yield House(
                sekisho,
                mlflow,
                versions,
                {
                    "root": token("root@example.com", "admin"),
                    "all": token("kim@example.com", "auditor", ["*"]),
                    "some": token("ann@example.com", "ml_engineer", ["*-open"]),
                    "few": token("bob@example.com", "ml_engineer", ["model-08-open", "model-09-closed"]),
                    "none": token("joe@example.com", "ml_engineer", ["elsewhere-*"]),
                },
                {
                    "all": lambda name: True,
                    "some": lambda name: name.endswith("-open"),
                    "few": lambda name: name in ("model-08-open", "model-09-closed"),
                    "none": lambda name: False,
                },
            )


def quoted(text: str) -> str:
    """A text as a condition has it."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def parsed(version: Version, key: str) -> object:
    """A tag's JSON, or nothing."""
    try:
        return json.loads(version.tags[key])
    except (KeyError, ValueError):
        return None


def number_of(text: str | None) -> float | None:
    """A number, if a text is one."""
    try:
        number = float(text.strip()) if text is not None else None
    except ValueError:
        return None
    return number if number is not None and abs(number) != float("inf") and number == number else None


def accuracy(version: Version) -> float | None:
    """What is asked for most."""
    metrics = parsed(version, "performance_metrics")
    return metrics.get("accuracy") if isinstance(metrics, dict) else None


def by_accuracy(dice: random.Random) -> Asked:
    how, number = dice.choice(list(COMPARE)), dice.randint(0, 20) / 20
    return Asked(
        f"performance_metrics.accuracy {how} {number}",
        lambda v: (found := accuracy(v)) is not None and COMPARE[how](found, number),
    )


def by_depth(dice: random.Random) -> Asked:
    number = dice.randint(0, 3)

    def holds(version: Version) -> bool:
        metrics = parsed(version, "performance_metrics")
        return isinstance(metrics, dict) and metrics["deep"]["list"][0] >= number

    return Asked(f"performance_metrics.deep.list.0 >= {number}", holds)


def by_source(dice: random.Random) -> Asked:
    word = dice.choice(WORDS)
    return Asked(f"data_sources contains {quoted(word)}", lambda v: word in (parsed(v, "data_sources") or []))


def by_owner(dice: random.Random) -> Asked:
    wanted, how = dice.choice(OWNERS), dice.choice(["=", "!="])

    def holds(version: Version) -> bool:
        owners = [version.tags[key].lower() for key in ("business_owner", "technical_owner") if key in version.tags]
        return wanted.lower() in owners if how == "=" else bool(owners) and wanted.lower() not in owners

    return Asked(f"owner {how} {quoted(wanted.upper())}", holds)


def by_stage(dice: random.Random) -> Asked:
    stage, how = dice.choice(list(STAGES)), dice.choice(["=", "!="])
    return Asked(f"stage {how} {STAGES[stage]}", lambda v: COMPARE[how](v.stage, stage))


def by_grade(dice: random.Random) -> Asked:
    how, number = dice.choice(list(COMPARE)), dice.choice([-4, 1, 2.5, 3, 10])
    return Asked(
        f"grade {how} {number}",
        lambda v: (found := number_of(v.tags.get("grade"))) is not None and COMPARE[how](found, number),
    )


def by_word(dice: random.Random) -> Asked:
    how, word = dice.choice(list(COMPARE)), dice.choice(WORDS)
    return Asked(f"word {how} {quoted(word)}", lambda v: "word" in v.tags and COMPARE[how](v.tags["word"], word))


def by_pattern(dice: random.Random) -> Asked:
    pattern = dice.choice(["model-1*", "*-open", "*5-c*d", "nothing"])
    return Asked(f"name like {quoted(pattern)}", lambda v: fnmatchcase(v.name, pattern))


def by_dotted(dice: random.Random) -> Asked:
    letter, path = dice.choice("abc"), dice.choice(["tag.dotted.key", "`dotted.key`"])
    return Asked(f"{path} = {letter}", lambda v: v.tags.get("dotted.key") == letter)


def by_number(dice: random.Random) -> Asked:
    how, number = dice.choice(list(COMPARE)), dice.randint(1, 8)
    return Asked(f"version {how} {number}", lambda v: COMPARE[how](v.number, number))


def by_day(dice: random.Random) -> Asked:
    how, day = dice.choice(["<", "<=", ">", ">="]), dice.randint(0, 9)
    return Asked(f"created {how} 2026-01-{day + 1:02}", lambda v: COMPARE[how](v.created, START + day * 86_400_000))


def by_release(dice: random.Random) -> Asked:
    wanted = dice.choice(["scikit-learn < 1.4", "Scikit_Learn >= 1.3, < 2", "scikit-learn == 1.4.0", "numpy", "scikit-learn != 1.2"])

    def holds(version: Version) -> bool:
        meant = Requirement(wanted)
        for listed in map(Requirement, parsed(version, "sekisho.dependencies") or []):
            release = next(iter(listed.specifier)).version
            same = listed.name == meant.name.lower().replace("_", "-")
            if same and meant.specifier.contains(release, prereleases=True):
                return True
        return False

    return Asked(f"dependencies has {quoted(wanted)}", holds)


KINDS = [
    by_accuracy, by_depth, by_source, by_owner, by_stage, by_grade, by_word, by_pattern, by_dotted, by_number, by_day,
    by_release,
]  # fmt: skip


def test_random_questions_are_answered_as_by_brute_force(house: House) -> None:
    """Each kind of condition, up to three at once, on pages of any size, to everybody what they may see."""
    dice = random.Random(SEED)
    found = 0
    for turn in range(QUESTIONS):
        asked = [KINDS[turn % len(KINDS)](dice), *(dice.choice(KINDS)(dice) for _ in range(dice.randint(0, 2)))]
        where = [one.where for one in asked]
        meets = sorted(v.key for v in house.versions if all(one.holds(v) for one in asked))
        for who, sees in house.sees.items():
            expected = [key for key in meets if sees(key[0])]
            size = dice.choice([1, 7, 100, 1_000]) if len(expected) < 50 else 100
            assert house.rows(who, where, max_results=size) == expected, (who, where)
            found += len(expected)
    assert found > 1_000


def test_which_production_models_use_an_old_release(house: House) -> None:
    """The question that this was built for."""
    expected = sorted(
        v.key
        for v in house.versions
        if v.stage == "Production"
        and any(old in v.tags.get("sekisho.dependencies", "") for old in ("scikit-learn==1.2", "scikit-learn==1.3.2"))
    )
    assert expected
    assert house.rows("all", ["stage = Production", 'dependencies has "scikit-learn < 1.4"']) == expected


@pytest.mark.parametrize("direction", ["asc", "desc"])
def test_an_order_holds_over_all_pages(house: House, direction: str) -> None:
    """By a number inside a tag, what has none last, and then by name and version."""
    sign = -1 if direction == "desc" else 1
    for who, sees in house.sees.items():
        seen = [v for v in house.versions if sees(v.name)]
        placed = [((rank := accuracy(v)) is None, sign * (rank or 0), v.key) for v in seen]
        order = f"performance_metrics.accuracy {direction}"
        assert house.rows(who, [], order_by=order, max_results=37) == [key for *_, key in sorted(placed)], who


def test_a_hidden_row_is_neither_shown_nor_told(house: House) -> None:
    """The same bytes as if it were not there, but for the token."""
    for where in (
        [f"secret = {SECRET}"],
        [f'secret contains "{SECRET[:5]}"'],
        ["name like *closed*"],
        ["name = model-09-closed"],
    ):
        for who in ("some", "none"):
            answer = house.ask(who, where)
            assert answer.status == 200
            assert answer.json() == {"model_versions": []}
    for who, sees in house.sees.items():
        pages = [house.ask(who, [], max_results=1_000, **order).body for order in ({}, {"order_by": "secret desc"})]
        assert all((SECRET.encode() in page) == any(sees(v.name) and "secret" in v.tags for v in house.versions) for page in pages)
        assert all(sees(row["name"]) for page in pages for row in json.loads(page)["model_versions"])


def test_a_token_is_for_one_reader_and_one_question(house: House) -> None:
    """And says nothing to whoever looks into it."""
    token = house.ask("some", [], max_results=3).json()["next_page_token"]
    assert house.ask("some", [], max_results=5, page_token=token).status == 200
    for who, where, more in (
        ("all", [], {}),
        ("few", [], {}),
        ("some", ["version > 0"], {}),
        ("some", [], {"order_by": "version"}),
    ):
        answer = house.ask(who, where, page_token=token, **more)
        assert (answer.status, answer.error_code()) == (400, "INVALID_PARAMETER_VALUE")
    for forged in (token[:-2] + "AA", token + "A", "x", "0"):
        assert house.ask("some", [], page_token=forged).status == 400
    # Where a page ends depends on what is seen alone.
    names = [row["name"] for row in house.ask("some", [], max_results=3).json()["model_versions"]]
    assert all(name.endswith("-open") for name in names)


def test_a_tag_is_in_the_next_answer_of_everybody(house: House) -> None:
    """Fifty times in a row; and a stage, and a version that is gone."""
    version = next(v for v in house.versions if v.name == "model-08-open")
    for turn in range(50):
        house.tag(version, "turn", str(turn))
        assert house.rows("few", [f"turn = {turn}"]) == [version.key]
        assert house.rows("some", [f"turn < {turn}"]) == []
    moved = {"name": version.name, "version": str(version.number), "stage": "Archived" if version.stage != "Archived" else "Staging"}
    done = send(house.sekisho.url, "POST", f"{API}model-versions/transition-stage", house.tokens["root"], moved)
    assert done.status == 200, done.body
    assert house.rows("few", ["turn >= 0", f"stage = {moved['stage']}"]) == [version.key]
    back = {**moved, "stage": version.stage}
    done = send(house.sekisho.url, "POST", f"{API}model-versions/transition-stage", house.tokens["root"], back)
    assert done.status == 200, done.body


def test_pages_are_exact_while_others_write(house: House) -> None:
    """What does not change is there once, whatever is written between two pages."""
    stop, failed = threading.Event(), []
    mine = [v for v in house.versions if v.name.endswith("-open")]

    def write(number: int) -> None:
        dice = random.Random(SEED + number)
        try:
            while not stop.is_set():
                # MLflow refuses one of two who write one tag for the first time at once.
                house.tag(dice.choice(mine), f"noise-{number}", str(dice.random()))
        except BaseException as error:  # noqa: BLE001
            failed.append(error)

    writers = [threading.Thread(target=write, args=(number,)) for number in range(3)]
    for writer in writers:
        writer.start()
    try:
        for size in (3, 10, 41):
            assert house.rows("some", ["version > 0"], max_results=size) == sorted(v.key for v in mine)
        order = house.rows("some", [], order_by="created desc", max_results=10)
        assert order == [key for _, key in sorted((-v.created, v.key) for v in mine)]
    finally:
        stop.set()
        for writer in writers:
            writer.join()
    assert failed == []


@pytest.mark.parametrize(
    ("where", "place"),
    [
        ("stage = Nowhere", "at character 9"),
        ("performance_metrics.accuracy >", "at character 31"),
        ("performance_metrics.accuracy ~ 1", "at character 30"),
        ("a..b = 1", "at character 3"),
        ('a = "open', "at character 5"),
        ("a = b c", "at character 7"),
        ("version = x", "at character 11"),
        ("version like 1", "at character 9"),
        ("created > yesterday", "at character 11"),
        ("dependencies = x", "at character 14"),
        ('dependencies has "<1"', "at character 18"),
        ("é = 1 2", "at character 7"),
        ("", "at character 1"),
    ],
)
def test_a_bad_question_is_told_where_it_is_bad(house: House, where: str, place: str) -> None:
    """To somebody who sees nothing, too: it is the question that is wrong."""
    for who in house.sees:
        answer = house.ask(who, [where])
        assert (answer.status, answer.error_code()) == (400, "INVALID_PARAMETER_VALUE")
        assert place in answer.json()["message"], answer.body


@pytest.mark.parametrize(
    "query",
    [
        "max_results=0", "max_results=1001", "max_results=x", "max_results=-1", "max_results=1&max_results=2", "order_by=version%20up",
        "order_by=", "unknown=1", "page_token=", "&".join(["where=a%3D1"] * 21), "where=a%3D" + "1" * 1_000, "where=%ff",
    ],
)  # fmt: skip
def test_what_is_no_question_is_refused_or_has_one_meaning(house: House, query: str) -> None:
    """Never a failure, and never a page of something else."""
    answer = send(house.sekisho.url, "GET", f"/sekisho/v1/search?{query}", house.tokens["some"])
    expected = (200, 400) if query in ("order_by=", "unknown=1", "page_token=") else (400,)
    assert answer.status in expected, answer.body

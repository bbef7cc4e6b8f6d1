"""Versions by the house's ten stages, with the plain client: loaded, listed, copied, and on the page's own addresses."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

import mlflow
import pytest
from conftest import LOGS, need_binary
from harness.mlflow_server import MlflowServer
from harness.rest import send
from harness.sekisho import Sekisho
from house_of_stages import change_store
from mlflow.exceptions import MlflowException
from ruled import API, Ruled, acting, until

NAME = "fraud_detection_xgboost_auc_dev"
OTHER = "fraud_detection_xgboost_auc_prod"
PAGE = "/ajax-api/2.0/mlflow/"
# Versions in the order in which they are made: where they truly stand, and MLflow's stage of it.
STAND = {
    1: ("Production", "Production"),
    2: ("Development", "None"),
    3: ("Staging", "Staging"),
    4: ("Shadow", "Staging"),
    5: ("Canary", "Staging"),
    6: ("Integration_Test", "None"),
    7: ("Performance_Test", "None"),
    8: ("User_Acceptance_Test", "None"),
    9: ("Deprecated", "Archived"),
}
ALL = {stage: number for number, (stage, _) in STAND.items()}


class House(Ruled):
    """With a hand in what sekisho keeps of where versions stand."""

    def stand(self, version: int, stage: str, model: str = NAME) -> None:
        """Writes where a version stands, as another sekisho would, and waits until it is shown."""
        made = send(self.mlflow.url, "GET", f"{API}registered-models/get?name={model}").json()["registered_model"]
        row = send(self.mlflow.url, "GET", f"{API}model-versions/get?name={model}&version={version}").json()["model_version"]
        key = (model, int(made["creation_timestamp"]), version, int(row["creation_timestamp"]))
        names = ("model", "model_created", "version", "created")
        this = " AND ".join(f"{name} = {part!r}" for name, part in zip(names, key, strict=True))
        change_store(
            self.sekisho,
            f"""UPDATE sekisho_counters SET last = last + 1 WHERE name IN ('turn', 'change');
            DELETE FROM sekisho_stands WHERE {this};
            INSERT INTO sekisho_stands ({", ".join(names)}, stage, since, origin, closing, gone, first_stage, first_since, change)
            SELECT {", ".join(map(repr, key))}, {stage!r}, 0, 'imported', 0, 0, {stage!r}, 0, last
            FROM sekisho_counters WHERE name = 'change'""",
        )
        token = self.token(model)
        until(lambda: self.shown(token, version, model=model)[0] == stage)

    def mirror(self, version: int, stage: str, tag: str) -> None:
        """MLflow's stage and the tag, written past the gate."""
        self.stage(NAME, str(version), stage)
        self.past("model-versions/set-tag", name=NAME, version=str(version), key="sekisho.stage", value=tag)

    def shown(self, token: str, version: int, prefix: str = API, model: str = NAME) -> tuple[str, str | None]:
        """What a reader is shown: the stage and the tag."""
        answer = self.ask(token, "GET", f"{prefix}model-versions/get?name={quote(model)}&version={version}")
        found = answer.json()["model_version"]
        return found["current_stage"], {tag["key"]: tag["value"] for tag in found.get("tags", [])}.get("sekisho.stage")


@contextmanager
def opened() -> Iterator[House]:
    """A gate with rules, and with no memory: what is written past it is shown at once."""
    need_binary()
    settings = {"rules": {"mode": "enforce"}, "cache": {"ttl_seconds": 0}}
    with MlflowServer(LOGS) as server, Sekisho(server.url, LOGS, settings=settings) as sekisho:
        yield House(sekisho, server)


def number_of(run: str) -> str:
    """What the file of a version says."""
    return Path(mlflow.artifacts.download_artifacts(run), "number.txt").read_text()


@pytest.fixture(scope="module")
def house() -> Iterator[House]:
    """Nine versions with files, registered by the plain client; each stands somewhere else."""
    with opened() as house:
        with house.acting(house.token()) as client:
            client.create_registered_model(NAME)
            client.create_registered_model(OTHER)
            for number in STAND:
                with mlflow.start_run() as run:
                    mlflow.log_text(str(number), "model/number.txt")
                made = client.create_model_version(NAME, f"runs:/{run.info.run_id}/model", run.info.run_id)
                assert (made.version, made.current_stage) == (str(number), "Development")
                assert made.tags == {"sekisho.stage": "Development", "sekisho.author": "ann@example.com"}
        for number, (stage, mlflows) in STAND.items():
            house.mirror(number, mlflows, stage)
            house.stand(number, stage)
        yield house


@pytest.mark.parametrize("stage", [*ALL, "canary", "PRODUCTION", "None", "none"])
def test_files_are_had_by_house_stage(house: House, stage: str) -> None:
    """`models:/name/Canary` and its kin, whatever the case; nobody who asks for Staging is given a canary."""
    with house.acting(house.token()) as client:
        expected = ALL["Development" if stage.lower() == "none" else next(name for name in ALL if name.lower() == stage.lower())]
        assert number_of(f"models:/{NAME}/{stage}") == str(expected)
        found = client.get_latest_versions(NAME, [stage])
        assert [(row.version, row.current_stage) for row in found] == [(str(expected), STAND[expected][0])]


def test_a_model_is_loaded_as_the_canary(house: House) -> None:
    """With what people call."""
    name = "recommendation_xgboost_auc_dev"
    with house.acting(house.token()):
        for factor in (2, 3):

            class Times(mlflow.pyfunc.PythonModel):
                """The model."""

                def __init__(self, factor: int) -> None:
                    self.factor = factor

                def predict(self, model_input: list[float]) -> list[float]:
                    """So many times as much."""
                    return [self.factor * value for value in model_input]

            with mlflow.start_run():
                mlflow.pyfunc.log_model(name="m", python_model=Times(factor), registered_model_name=name, pip_requirements=["numpy"])
        house.stage(name, "1", "Staging")
        house.stand(1, "Canary", name)
        assert mlflow.pyfunc.load_model(f"models:/{name}/Canary").predict([2.0]) == [4.0]
        assert mlflow.pyfunc.load_model(f"models:/{name}/latest").predict([2.0]) == [6.0]
        with pytest.raises(MlflowException, match="No versions of model"):
            mlflow.pyfunc.load_model(f"models:/{name}/Staging")


def test_each_list_has_the_newest_of_each_house_stage(house: House) -> None:
    """All ten, where MLflow knows four; the page keeps MLflow's."""
    with house.acting(house.token()) as client:
        for rows in (
            client.get_latest_versions(NAME),
            client.get_registered_model(NAME).latest_versions,
            next(model for model in client.search_registered_models() if model.name == NAME).latest_versions,
        ):
            assert {row.current_stage: int(row.version) for row in rows} == ALL
            assert all(row.tags["sekisho.stage"] == row.current_stage for row in rows)
        found = client.search_model_versions(f"name = '{NAME}'")
        assert {int(row.version): row.current_stage for row in found} == {number: stage for number, (stage, _) in STAND.items()}
        canary = client.search_model_versions(f"name = '{NAME}' AND tags.`sekisho.stage` = 'Canary'")
        assert [row.version for row in canary] == ["5"]
    token = house.token()
    page = house.ask(token, "GET", f"{PAGE}registered-models/get?name={NAME}").json()["registered_model"]["latest_versions"]
    assert {row["current_stage"]: int(row["version"]) for row in page} == {"Production": 1, "Staging": 5, "None": 8, "Archived": 9}
    for number, (stage, mlflows) in STAND.items():
        assert house.shown(token, number) == (stage, stage)
        assert house.shown(token, number, PAGE) == (mlflows, stage)


def test_a_stage_that_there_is_not_is_refused_as_mlflow_does(house: House) -> None:
    """At once, with the names that there are."""
    with house.acting(house.token()) as client:
        for ask in (lambda: client.get_latest_versions(NAME, ["Canry"]), lambda: number_of(f"models:/{NAME}/Canry")):
            with pytest.raises(MlflowException, match="Invalid Model Version stage: Canry.*Canary"):
                ask()


def test_a_copy_is_made_of_what_stands_there(house: House) -> None:
    """A source by stage is a number from then on, and the copy begins at the beginning."""
    token = house.token()
    for which, number in (("Canary", 5), ("staging", 3), ("Latest", 9)):
        body = {"name": OTHER, "source": f"models:/{NAME}/{which}"}
        answer = house.ask(token, "POST", f"{API}model-versions/create", body)
        made = answer.json()["model_version"]
        assert (made["source"], made["current_stage"]) == (f"models:/{NAME}/{number}", "Development"), which
        assert house.held(OTHER, made["version"]) == ("None", {"sekisho.stage": "Development", "sekisho.author": "ann@example.com"})
    with house.acting(token) as client:
        copy = client.copy_model_version(f"models:/{NAME}/Canary", OTHER)
        assert (copy.source, copy.current_stage) == (f"models:/{NAME}/5", "Development")
        assert number_of(f"models:/{OTHER}/{copy.version}") == "5"
    missing = house.ask(token, "POST", f"{API}model-versions/create", {"name": OTHER, "source": f"models:/{NAME}/Archived"})
    assert (missing.status, missing.error_code()) == (400, "INVALID_PARAMETER_VALUE")


def test_mirrors_written_past_sekisho_are_not_believed() -> None:
    """While another sekisho promotes, and whatever somebody writes to MLflow itself; a new truth is shown soon."""
    with opened() as house:
        for _ in range(3):
            house.version(NAME)
        house.stage(NAME, "1", "Production")
        house.stand(2, "Canary")
        token = house.token()
        for stage, tag in (("None", "Development"), ("Production", "Canary"), ("Production", "Production"), ("Archived", "nonsense")):
            house.mirror(2, stage, tag)
            assert house.shown(token, 2) == ("Canary", "Canary"), (stage, tag)
            assert house.shown(token, 2, PAGE) == ("Staging", "Canary"), (stage, tag)
            with acting(house.url, token) as client:
                rows = client.get_latest_versions(NAME)
                assert {row.current_stage: row.version for row in rows} == {"Production": "1", "Canary": "2", "Development": "3"}
        house.stand(2, "Production")
        with acting(house.url, token) as client:
            assert [row.version for row in client.get_latest_versions(NAME, ["Production"])] == ["2"]
            assert client.get_latest_versions(NAME, ["Canary"]) == []


def test_a_prompt_is_no_version_that_is_promoted(house: House) -> None:
    """It has no tag of a stage, and is found as before."""
    with house.acting(house.token()):
        mlflow.genai.register_prompt("a_prompt", "Say {{what}}")
        assert mlflow.genai.load_prompt("prompts:/a_prompt/1").template == "Say {{what}}"
    assert "sekisho.stage" not in house.held("a_prompt", "1")[1]


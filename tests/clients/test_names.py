"""What a registered model may be called, with the plain client: each rule broken, met, and gone around."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import quote

import mlflow
import pytest
from harness.sekisho import ROOT, run_command
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException
from ruled import API, GOOD, OPEN_STAGES, Ruled, refused, ruled

WRONG = "fraud_detection_neural_network_f1_staging"
RIGHT = "fraud_detection_neural_network_f1score_staging"
TOLD = "metric: `f1` is none of accuracy, auc, rmse, f1score; did you mean `f1score`?"
PROMPT = {"key": "mlflow.prompt.is_prompt", "value": "true"}
WORDS = ("domain = ", "type = ", "metric = ", "env = ")
OLD = "Churn Model 2019"


@pytest.fixture(scope="module")
def house() -> Iterator[Ruled]:
    """Names as they are shipped; stages stand open."""
    with ruled(stages=OPEN_STAGES) as opened:
        yield opened


@pytest.fixture(scope="module")
def ann(house: Ruled) -> str:
    """Somebody to whom every model is open."""
    return house.token()


def model(_: MlflowClient) -> object:
    """Logs something and registers it in one call."""
    with mlflow.start_run():
        return mlflow.pyfunc.log_model(
            name="model", python_model=double, pip_requirements=["mlflow"], registered_model_name=WRONG
        )


def double(model_input: list[float]) -> list[float]:
    """The model."""
    return [2 * value for value in model_input]


WAYS = {
    "create": lambda client: client.create_registered_model(WRONG),
    "register": lambda client: mlflow.register_model("models:/m-0123456789abcdef0123456789abcdef", WRONG),
    "log": model,
    "rename": lambda client: client.rename_registered_model("recommendation_xgboost_auc_dev", WRONG),
}


@pytest.mark.parametrize("way", WAYS)
def test_a_wrong_name_is_refused_in_words_and_a_right_one_is_taken(house: Ruled, ann: str, way: str) -> None:
    """The part, what was expected, and what was meant."""
    with house.acting(ann) as client:
        if way == "rename":
            client.create_registered_model("recommendation_xgboost_auc_dev")
        assert TOLD in refused(WAYS[way], client)
        assert not house.exists(WRONG)


def test_right_names_are_taken_in_every_call(house: Ruled, ann: str) -> None:
    """What is logged and registered in one call goes on to be registered."""
    with house.acting(ann) as client:
        client.create_registered_model(RIGHT)
        with mlflow.start_run() as run:
            info = mlflow.pyfunc.log_model(
                name="model", python_model=double, pip_requirements=["mlflow"], registered_model_name=RIGHT
            )
        assert mlflow.register_model(info.model_uri, RIGHT).version == "2"
        assert client.create_model_version(RIGHT, f"runs:/{run.info.run_id}/model", run.info.run_id).version == "3"
        client.rename_registered_model(RIGHT, "fraud_detection_ensemble_rmse_prod")
        assert len(client.search_model_versions("name = 'fraud_detection_ensemble_rmse_prod'")) == 3
        client.delete_registered_model("fraud_detection_ensemble_rmse_prod")


def test_older_names_keep_working_in_every_call(house: Ruled, ann: str) -> None:
    """What was made before the rules is listed, not broken, and found again by `register_model`."""
    house.version(OLD, **GOOD)
    with house.acting(ann) as client:
        taken = refused(client.create_registered_model, OLD)
        assert f"Registered Model (name={OLD}) already exists" in taken
        with mlflow.start_run():
            info = mlflow.pyfunc.log_model(
                name="model", python_model=double, pip_requirements=["mlflow"], registered_model_name=OLD
            )
        assert mlflow.register_model(info.model_uri, OLD).version == "3"
        assert client.get_registered_model(OLD).name == OLD
        assert OLD in [found.name for found in client.search_registered_models(max_results=1000)]
        client.update_registered_model(OLD, "still here")
        client.set_registered_model_tag(OLD, "a", "b")
        client.delete_registered_model_tag(OLD, "a")
        client.set_model_version_tag(OLD, "1", "a", "b")
        client.delete_model_version_tag(OLD, "1", "a")
        client.update_model_version(OLD, "1", "an old one")
        house_alias = house.token(role="devops_engineer")
        with house.acting(house_alias) as deployer:
            deployer.set_registered_model_alias(OLD, "champion", "1")
            deployer.delete_registered_model_alias(OLD, "champion")
        with house.acting(ann) as client:
            assert client.transition_model_version_stage(OLD, "1", "Staging").current_stage == "Staging"
            assert client.get_latest_versions(OLD, ["Staging"])[0].version == "1"
            client.delete_model_version(OLD, "3")
            # Neither its own name again nor a right one is refused.
            client.rename_registered_model(OLD, OLD)
            assert "domain" in refused(client.rename_registered_model, OLD, f"{OLD}b")
            client.delete_registered_model(OLD)
    assert not house.exists(OLD)


TAKEN = "demand_forecasting_xgboost_rmse_prod"
ALIKE = {
    "case": TAKEN.replace("demand", "Demand"),
    "full width": TAKEN.replace("d", "\uff44", 1),
    "Cyrillic": TAKEN.replace("a", "\u0430", 1),
    "zero width": f"demand\u200b{TAKEN[6:]}",
    "trailing blank": f"{TAKEN} ",
}


@pytest.fixture(scope="module")
def open_house(house: Ruled) -> Iterator[Ruled]:
    """The same MLflow behind a sekisho to which every name is right, so that it is looks alone that are refused."""
    any_name = {
        '\npatterns = ["{domain}_{type}_{metric}_{env}"]': "\npatterns = []",
        "[names.words]\n": "",
        **{line: "" for line in (ROOT / "policies" / "rules.toml").read_text().splitlines(keepends=True) if line.startswith(WORDS)},
    }
    with ruled(behind=house.mlflow, edits=any_name) as opened:
        yield opened


@pytest.mark.parametrize("kind", ALIKE)
def test_look_alikes_are_refused_of_hidden_models_too(open_house: Ruled, kind: str) -> None:
    """One that was made past the gate a moment ago, that the caller may not see; gone, it is in nobody's way."""
    alike = ALIKE[kind]
    stranger = open_house.token(alike, "mine", user="eve@example.com")
    open_house.past("registered-models/create", name=TAKEN)
    with open_house.acting(stranger) as client:
        client.create_registered_model("mine")
        for told in (refused(client.create_registered_model, alike), refused(client.rename_registered_model, "mine", alike)):
            assert "a registered model exists whose name looks like" in told
            assert TAKEN not in told.split("looks like")[1] or kind in ("trailing blank",)
        assert not open_house.exists(alike)
        MlflowClient(open_house.mlflow.url).delete_registered_model(TAKEN)
        client.rename_registered_model("mine", alike)
        client.delete_registered_model(alike)


def test_a_look_alike_is_its_own_models_next_name(open_house: Ruled) -> None:
    """Renaming a model to what looks like itself is nobody's loss; MLflow's word counts where the name is the same."""
    with open_house.acting(open_house.token()) as client:
        client.create_registered_model("Iris")
        client.rename_registered_model("Iris", "iris")
        assert open_house.exists("iris")
        assert "looks like" in refused(client.create_registered_model, "IRIS")
        assert "already exists" in refused(client.create_registered_model, "iris")
        client.create_registered_model("wine")
        assert "looks like" in refused(client.rename_registered_model, "wine", "lris")


def test_of_two_look_alikes_at_once_one_is_made(open_house: Ruled) -> None:
    """Whoever comes second hears of the first."""
    token = open_house.token()
    for turn in range(8):
        names = [f"Race{turn}x", f"race{turn}X", f"r\u0430ce{turn}x", f"race{turn}x "]
        make = lambda name: open_house.ask(token, "POST", f"{API}registered-models/create", {"name": name}).status  # noqa: E731
        with ThreadPoolExecutor(len(names)) as pool:
            statuses = list(pool.map(make, names))
        assert sorted(statuses) == [200, 400, 400, 400], statuses
        assert len([name for name in open_house.names() if f"ce{turn}" in name]) == 1


def test_a_twin_of_the_route_and_another_spelling_change_nothing(house: Ruled, ann: str) -> None:
    """The web page's address, and JSON that writes the same in another way."""
    for prefix in ("/api/2.0/mlflow/", "/ajax-api/2.0/mlflow/"):
        for body in (b'{"name": "wrong_name"}', b'{"n\\u0061me": "wrong\\u005fname"}'):
            answer = house.ask(ann, "POST", f"{prefix}registered-models/create", body)
            assert (answer.status, answer.error_code()) == (400, "INVALID_PARAMETER_VALUE"), answer.body
            assert "naming rules" in answer.json()["message"]
    house.past("registered-models/create", name="older")
    for body in (b'{"name": "older", "new_name": "newer"}', b'{"name": "older", "newName": "newer"}'):
        answer = house.ask(ann, "POST", "/ajax-api/2.0/mlflow/registered-models/rename", body)
        assert answer.status == 400, answer.body
    assert not house.exists("newer")
    assert house.ask(ann, "POST", f"{API}registered-models/create", {"name": "x" * 300}).status == 400


def test_prompts_have_a_switch_of_their_own(house: Ruled) -> None:
    """As shipped they may be called as they like, but for looks."""
    with house.acting(house.token()):
        assert mlflow.genai.register_prompt("a-poem", "Write on {{topic}}").version == 1
        assert mlflow.genai.register_prompt("a-poem", "Write more on {{topic}}").version == 2
        assert "looks like" in refused(mlflow.genai.register_prompt, "A-Poem", "x")
    with ruled(behind=house.mlflow, edits={"be called so.\nprompts = false": "be called so.\nprompts = true"}) as strict:
        with strict.acting(strict.token()):
            assert "naming rules" in refused(mlflow.genai.register_prompt, "another-poem", "x")
            assert mlflow.genai.register_prompt("a-poem", "Write less").version == 3
            assert mlflow.genai.register_prompt("recommendation_ensemble_auc_prod", "x").version == 1


@pytest.mark.parametrize("said", [["false"], ["TRUE"], ["1"], [""], ["true", "false"]])
def test_who_only_says_prompt_is_held_to_the_rule(house: Ruled, ann: str, said: list[str]) -> None:
    """MLflow lists these among models."""
    tags = [{**PROMPT, "value": value} for value in said]
    answer = house.ask(ann, "POST", f"{API}registered-models/create", {"name": "free_name", "tags": tags})
    assert answer.status == 400, answer.body
    assert not house.exists("free_name")


def test_no_model_hides_behind_a_prompts_name(house: Ruled, ann: str) -> None:
    """What is under a free name are texts, never files."""
    create = house.ask(ann, "POST", f"{API}registered-models/create", {"name": "free_poem", "tags": [PROMPT]})
    assert create.status == 200, create.body
    with house.acting(ann) as client, mlflow.start_run() as run:
        told = refused(client.create_model_version, "free_poem", f"runs:/{run.info.run_id}/model", run.info.run_id)
        assert "naming rules" in told
        assert mlflow.genai.register_prompt("free_poem", "x").version == 1
        # A prompt with a right name is nobody's trick.
        assert mlflow.genai.register_prompt("recommendation_xgboost_rmse_prod", "x").version == 1
    hidden = house.token("other", user="eve@example.com")
    body = {"name": "free_poem", "source": "runs:/0/x"}
    assert house.ask(hidden, "POST", f"{API}model-versions/create", body).status == 403


def test_check_and_the_api_say_the_same(house: Ruled, ann: str) -> None:
    """Of every name, to whoever has a token."""
    names = [RIGHT, WRONG, "x", "a b", TAKEN.upper(), f"{TAKEN} ", "recommendation_xgboost_auc", *ALIKE.values(), quote("é"), "é"]
    listed = house.sekisho.folder / "names.txt"
    listed.write_text("\n".join(names) + "\n")
    done = run_command("check", "--config", str(house.sekisho.config), "--names", str(listed))
    # Looking like another line of the list is asked of the list alone.
    told = [line for line in done.stdout.splitlines() if ": looks like " not in line]
    answer = house.ask(ann, "POST", "/sekisho/v1/names:check", {"names": names})
    assert answer.status == 200, answer.body
    said = answer.json()["names"]
    assert [row["name"] for row in said] == names
    assert [row["what"] for row in said if not row["ok"]] == told
    assert [row["name"] for row in said if row["ok"]] == [RIGHT]


def test_a_thousand_names_are_checked_at_once_and_no_more(house: Ruled, ann: str) -> None:
    """Each is told of, in the order in which they were asked for."""
    names = [f"{WRONG}{number}" for number in range(1_000)]
    names[-1] = RIGHT
    answer = house.ask(ann, "POST", "/sekisho/v1/names:check", {"names": names})
    assert answer.status == 200, answer.body
    said = answer.json()["names"]
    assert [row["name"] for row in said] == names
    assert [row["name"] for row in said if row["ok"]] == [RIGHT]
    more = house.ask(ann, "POST", "/sekisho/v1/names:check", {"names": [*names, RIGHT]})
    assert (more.status, more.error_code()) == (400, "INVALID_PARAMETER_VALUE"), more.body
    assert b"1000" in more.body and RIGHT.encode() not in more.body


def test_what_was_there_before_the_rule_is_listed(house: Ruled) -> None:
    """Page by page, to those who see it; prompts only where they are held to the rule."""
    poems, old = ["past-007b", "past-120"], [f"past-{number:03}" for number in range(120)]
    for name in old:
        house.past("registered-models/create", name=name)
    for name in poems:
        house.past("registered-models/create", name=name, tags=[PROMPT])
    right = "demand_forecasting_ensemble_auc_dev"
    house.past("registered-models/create", name=right)
    seen = ("past-0*", "past-119", "past-120", right, "past-none")

    def pages(at: Ruled, *models: str) -> list[list[str]]:
        token, found, after = at.token(*models, user="pat@example.com"), [], ""
        while after is not None:
            answer = at.ask(token, "GET", f"/sekisho/v1/names?after={after}")
            assert answer.status == 200, answer.body
            said = answer.json()
            assert all("domain: " in row["what"] for row in said["names"]), said
            found.append([row["name"] for row in said["names"]])
            after = said.get("next_after")
        return found

    shown = [*old[:100], "past-119"]
    listed = pages(house, *seen)
    assert sum(listed, []) == shown
    assert [len(page) for page in listed] == [99, 2], "a page is a hundred names that were looked at"
    assert pages(house, right, "none") == [[]]
    everything = sum(pages(house, "*"), [])
    assert set(old) <= set(everything) and not {right, *poems} & set(everything)
    assert everything == sorted(everything)
    for after, left in (("past-099", ["past-119"]), ("past-119", []), ("past-0985", ["past-099", "past-119"])):
        answer = house.ask(house.token(*seen), "GET", f"/sekisho/v1/names?after={after}")
        assert [row["name"] for row in answer.json()["names"]] == left, after
        assert "next_after" not in answer.json()
    with ruled(behind=house.mlflow, edits={"be called so.\nprompts = false": "be called so.\nprompts = true"}) as strict:
        assert sum(pages(strict, *seen), []) == sorted([*shown, *poems])


def test_sekishos_own_routes_take_nothing_else(house: Ruled, ann: str) -> None:
    """No token, no answer; what is not understood is refused or left out, never a fault."""
    for method, target, body in [
        ("POST", "/sekisho/v1/names:check", {"names": ["x"]}),
        ("GET", "/sekisho/v1/search", None),
        ("GET", f"/sekisho/v1/models/{RIGHT}/versions/1", None),
        ("POST", f"/sekisho/v1/models/{RIGHT}/versions/1/digest", {}),
    ]:
        assert house.ask(None, method, target, body).status == 401, target
    for target in ("/sekisho/v1/search?nothing=1", f"/sekisho/v1/models/{RIGHT}/versions/1?x=y"):
        assert house.ask(ann, "GET", target).status in (400, 404), target
    for body in ({"names": "x"}, {"names": [1]}, ["x"], b"{"):
        assert house.ask(ann, "POST", "/sekisho/v1/names:check", body).status == 400, body
    assert house.ask(ann, "GET", "/sekisho/v1/names:check").status in (404, 405)
    for version in ("x", "0", "-1", "99999999999999999999"):
        assert house.ask(ann, "GET", f"/sekisho/v1/models/{RIGHT}/versions/{version}").status in (400, 404), version


def test_mlflows_exception_is_the_one_that_register_model_knows(house: Ruled, ann: str) -> None:
    """`RESOURCE_ALREADY_EXISTS`, whoever asks and whatever the name."""
    house.past("registered-models/create", name="older still")
    with house.acting(ann) as client, pytest.raises(MlflowException) as caught:
        client.create_registered_model("older still")
    assert caught.value.error_code == "RESOURCE_ALREADY_EXISTS"

"""One long story told by the plain MLflow client, as a transcript whose ids, times and addresses are normalised.

Run as `story.py FILE` it tells the story to the server that `MLFLOW_TRACKING_URI` names; the transcript goes to FILE as JSON.
Every step notes its result or its error, so two servers that behave alike give equal transcripts.
"""

from __future__ import annotations

import hashlib
import json
import logging
import random
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import mlflow
import mlflow.genai
import pandas
from mlflow import MlflowClient
from mlflow.entities import Metric, Param, RunTag, ViewType
from mlflow.exceptions import MlflowException

from normal import normalise, text

T = TypeVar("T")
MODEL = "fraud_detection_xgboost_auc_dev"
RENAMED = "fraud_detection_xgboost_auc_test"
COPY = "fraud_detection_copy_auc_dev"
SIZES = {"empty.bin": 0, "small.bin": 1024, "middle.bin": 3 << 20, "large.bin": 200 << 20}


class Story:
    """The steps told so far."""

    def __init__(self) -> None:
        self.steps: list[tuple[str, object]] = []
        self.seconds: dict[str, float] = {}

    def tell(self, label: str, step: Callable[[], T]) -> T | None:
        """Takes one step and notes what it gave, or how it failed."""
        began = time.monotonic()
        try:
            result = step()
        except MlflowException as error:
            self.steps.append((label, {"error": error.error_code, "message": text(error.message)}))
            return None
        finally:
            self.seconds[label] = round(time.monotonic() - began, 2)
        self.steps.append((label, normalise(result)))
        return result


def double(model_input: list[float]) -> list[float]:
    """The model: small, and its answer is easy to check."""
    return [2 * value for value in model_input]


def tell_all() -> Story:
    """The whole story, in the order in which a team would live it."""
    story, client = Story(), MlflowClient()
    experiment, run = tracking(story, client)
    artifacts(story, client, run)
    logged_models(story, client, experiment)
    registry(story, client, run)
    loading(story)
    stages_and_aliases(story, client)
    prompts(story)
    traces(story, client, experiment)
    endings(story, client, experiment, run)
    return story


def tracking(story: Story, client: MlflowClient) -> tuple[str, str]:
    """Experiments and runs."""
    tell = story.tell
    experiment = tell("create experiment", lambda: client.create_experiment("café / 日本", tags={"team": "risk"})) or "0"
    tell("create experiment again", lambda: client.create_experiment("café / 日本"))
    tell("tag experiment", lambda: client.set_experiment_tag(experiment, "owner", "Zoë"))
    tell("get experiment", lambda: client.get_experiment(experiment))
    tell("get experiment by name", lambda: client.get_experiment_by_name("café / 日本"))
    tell("search experiments", lambda: list(client.search_experiments(filter_string="tags.team = 'risk'")))
    created = tell("create run", lambda: client.create_run(experiment, run_name="first", tags={"k": "v & w=1"}))
    run = created.info.run_id if created else ""
    tell("log param", lambda: client.log_param(run, "depth", 6))
    tell("log param again, other value", lambda: client.log_param(run, "depth", 7))
    for step in range(3):
        client.log_metric(run, "auc", 0.5 + step / 10, step=step, timestamp=1000 + step)
    batch = [Metric("loss", 1 / (i + 1), 2000 + i, i) for i in range(200)]
    tell(
        "log batch", lambda: client.log_batch(run, batch, [Param(f"p{i}", str(i)) for i in range(50)], [RunTag("b", "")])
    )
    tell("metric history", lambda: client.get_metric_history(run, "auc"))
    tell("set tag", lambda: client.set_tag(run, "ключ", "значение"))
    tell("delete tag", lambda: client.delete_tag(run, "ключ"))
    tell("get run", lambda: client.get_run(run))
    tell("update run", lambda: client.update_run(run, status="FINISHED", name="first, renamed"))
    tell("search runs", lambda: list(client.search_runs([experiment], "metrics.auc > 0.6", ViewType.ALL, 10)))
    tell("search runs, bad filter", lambda: client.search_runs([experiment], "metrics.auc >"))
    tell("get a run that is not there", lambda: client.get_run("0" * 32))
    data = mlflow.data.from_pandas(pandas.DataFrame({"a": [1, 2]}), name="tiny", targets="a")
    with mlflow.start_run(run_id=run):
        tell("log input", lambda: mlflow.log_input(data, context="training"))
    tell("inputs of the run", lambda: client.get_run(run).inputs)
    return experiment, run


def artifacts(story: Story, client: MlflowClient, run: str) -> None:
    """Files of every size, there and back."""
    tell = story.tell
    with tempfile.TemporaryDirectory() as folder:
        for name, size in SIZES.items():
            path = Path(folder, name)
            path.write_bytes(random.Random(size).randbytes(size))
            tell(f"log artifact {name}", lambda p=path: client.log_artifact(run, str(p), "files/a b é"))
            path.unlink()
        tell("log text", lambda: client.log_text(run, "hello\n", "notes/read me+1%.txt"))
        tell("log dict", lambda: client.log_dict(run, {"a": [1, 2]}, "notes/d.json"))
        tell("list artifacts", lambda: client.list_artifacts(run))
        tell("list a folder", lambda: client.list_artifacts(run, "files/a b é"))
        for name in SIZES:
            tell(f"download {name}", lambda n=name: digest(client.download_artifacts(run, f"files/a b é/{n}", folder)))
        tell("load text", lambda: mlflow.artifacts.load_text(client.get_run(run).info.artifact_uri + "/notes/d.json"))
        tell("download what is not there", lambda: client.download_artifacts(run, "nothing.txt", folder))


def logged_models(story: Story, client: MlflowClient, experiment: str) -> None:
    """A model that is logged, found, tagged and registered."""
    tell = story.tell
    mlflow.set_experiment(experiment_id=experiment)
    with mlflow.start_run(run_name="training"):
        info = tell("log model", lambda: log_model("model"))
        tell("log and register", lambda: log_model("second", registered_model_name=MODEL))
    if info is None:
        return
    model = info.model_id
    tell("get logged model", lambda: client.get_logged_model(model))
    tell("search logged models", lambda: list(client.search_logged_models([experiment], "name = 'model'")))
    tell("tag logged model", lambda: client.set_logged_model_tags(model, {"reviewed": "yes"}))
    tell("delete tag of logged model", lambda: client.delete_logged_model_tag(model, "reviewed"))
    tell("params of logged model", lambda: client.log_model_params(model, {"depth": "6"}))
    tell("files of logged model", lambda: client.list_logged_model_artifacts(model))
    tell("load by model id", lambda: mlflow.pyfunc.load_model(f"models:/{model}").predict([1.5]))
    tell("load by run", lambda: mlflow.pyfunc.load_model(info.model_uri).predict([4.0]))
    tell("register from model id", lambda: mlflow.register_model(f"models:/{model}", MODEL))
    tell("logged model after registering", lambda: client.get_logged_model(model))


def log_model(name: str, **more: str) -> mlflow.models.model.ModelInfo:
    """Logs the tiny model without looking for its requirements."""
    return mlflow.pyfunc.log_model(name=name, python_model=double, pip_requirements=["mlflow"], **more)


def registry(story: Story, client: MlflowClient, run: str) -> None:
    """Registered models and versions."""
    tell = story.tell
    tell("create model", lambda: client.create_registered_model(COPY, {"t": "1"}, "a description"))
    tell("create model again", lambda: client.create_registered_model(COPY))
    tell("create model with a bad name", lambda: client.create_registered_model("a/b"))
    tell("copy version", lambda: client.copy_model_version(f"models:/{MODEL}/1", COPY))
    tell("create version, foreign source", lambda: client.create_model_version(COPY, "/etc", run))
    tell("get model", lambda: client.get_registered_model(MODEL))
    tell("get a model that is not there", lambda: client.get_registered_model("nobody"))
    tell("update model", lambda: client.update_registered_model(MODEL, "described"))
    tell("tag model", lambda: client.set_registered_model_tag(MODEL, "owner", "a@b.example"))
    tell("delete tag of model", lambda: client.delete_registered_model_tag(COPY, "t"))
    tell("get version", lambda: client.get_model_version(MODEL, "1"))
    tell("get a version that is not there", lambda: client.get_model_version(MODEL, "77"))
    tell("update version", lambda: client.update_model_version(MODEL, "1", "the first"))
    tell("tag version", lambda: client.set_model_version_tag(MODEL, "1", "data_sources", "{'a': 1}"))
    tell("delete tag of version", lambda: client.delete_model_version_tag(MODEL, "1", "data_sources"))
    tell("download uri", lambda: client.get_model_version_download_uri(MODEL, "1"))
    tell("search versions", lambda: list(client.search_model_versions(f"name = '{MODEL}'", order_by=["version_number"])))
    tell("search versions, bad filter", lambda: client.search_model_versions("nam = 'x'"))
    for number in range(5):
        client.create_registered_model(f"page_{number}")
    tell("search models in pages", lambda: list(pages(client)))
    tell("rename model", lambda: client.rename_registered_model(MODEL, RENAMED))
    tell("get the old name", lambda: client.get_registered_model(MODEL))
    tell("rename back", lambda: client.rename_registered_model(RENAMED, MODEL))


def pages(client: MlflowClient) -> Iterator[list[str]]:
    """Names of all models, in pages of two."""
    token = None
    while True:
        page = client.search_registered_models(max_results=2, page_token=token)
        yield [model.name for model in page]
        token = page.token
        if not token:
            return


def loading(story: Story) -> None:
    """The registered model, loaded by version and latest."""
    for uri in (f"models:/{MODEL}/1", f"models:/{MODEL}/latest", f"models:/{COPY}/1", f"models:/{MODEL}/9"):
        story.tell(f"load {uri}", lambda u=uri: mlflow.pyfunc.load_model(u).predict([1.0, 2.5]))


def stages_and_aliases(story: Story, client: MlflowClient) -> None:
    """Both ways to say which version is meant."""
    tell = story.tell
    tell("alias", lambda: client.set_registered_model_alias(MODEL, "champion", "2"))
    tell("a bad alias", lambda: client.set_registered_model_alias(MODEL, "v1", "2"))
    tell("version by alias", lambda: client.get_model_version_by_alias(MODEL, "champion"))
    tell("an unknown alias", lambda: client.get_model_version_by_alias(MODEL, "nobody"))
    tell("load by alias", lambda: mlflow.pyfunc.load_model(f"models:/{MODEL}@champion").predict([3.0]))
    tell("delete alias", lambda: client.delete_registered_model_alias(MODEL, "champion"))
    tell("stage", lambda: client.transition_model_version_stage(MODEL, "1", "Staging"))
    tell("stage, other case", lambda: client.transition_model_version_stage(MODEL, "2", "staging"))
    tell("a stage that is none", lambda: client.transition_model_version_stage(MODEL, "1", "Nowhere"))
    tell("latest versions", lambda: client.get_latest_versions(MODEL))
    tell("latest in Staging", lambda: client.get_latest_versions(MODEL, ["Staging"]))
    tell("load by stage", lambda: mlflow.pyfunc.load_model(f"models:/{MODEL}/Staging").predict([4.0]))
    tell("load by an empty stage", lambda: mlflow.pyfunc.load_model(f"models:/{MODEL}/Production"))
    tell("archive", lambda: client.transition_model_version_stage(MODEL, "2", "Archived"))


def prompts(story: Story) -> None:
    """Prompts are registered models with a tag."""
    tell = story.tell
    genai = mlflow.genai
    tell("register prompt", lambda: genai.register_prompt("greet", "Hello {{name}}", commit_message="first"))
    tell("register prompt again", lambda: genai.register_prompt("greet", "Hi {{name}}, café?", tags={"lang": "en"}))
    tell("load prompt", lambda: genai.load_prompt("prompts:/greet/1").format(name="Zoë"))
    tell("prompt alias", lambda: genai.set_prompt_alias("greet", "live", 2))
    tell("load prompt by alias", lambda: genai.load_prompt("prompts:/greet@live").template)
    tell("search prompts", lambda: list(genai.search_prompts()))
    tell("prompt as model", lambda: MlflowClient().set_registered_model_alias("greet", "x", "1"))


def traces(story: Story, client: MlflowClient, experiment: str) -> None:
    """A trace with two spans and an assessment."""
    tell = story.tell

    @mlflow.trace(name="inner")
    def inner(value: int) -> int:
        return value + 1

    @mlflow.trace(name="outer")
    def outer(value: int) -> int:
        return inner(value) * 2

    outer(20)
    mlflow.flush_trace_async_logging()
    trace = mlflow.get_last_active_trace_id() or ""
    tell("get trace", lambda: shape(client.get_trace(trace)))
    tell("search traces", lambda: [shape(found) for found in client.search_traces(locations=[experiment])])
    tell("tag trace", lambda: client.set_trace_tag(trace, "seen", "yes"))
    tell("delete tag of trace", lambda: client.delete_trace_tag(trace, "seen"))
    tell("feedback", lambda: mlflow.log_feedback(trace_id=trace, name="good", value=True).value)
    tell("assessments", lambda: [a.name for a in client.get_trace(trace).info.assessments])
    tell("delete trace", lambda: client.delete_traces(experiment, trace_ids=[trace]))
    tell("get deleted trace", lambda: client.get_trace(trace))


def shape(trace: mlflow.entities.Trace) -> object:
    """What does not depend on the moment."""
    spans = [(span.name, span.inputs, span.outputs, str(span.status.status_code)) for span in trace.data.spans]
    return str(trace.info.state), sorted(trace.info.tags), spans


def endings(story: Story, client: MlflowClient, experiment: str, run: str) -> None:
    """Everything that deletes."""
    tell = story.tell
    tell("delete version", lambda: client.delete_model_version(MODEL, "1"))
    tell("get deleted version", lambda: client.get_model_version(MODEL, "1"))
    tell("delete model", lambda: client.delete_registered_model(COPY))
    tell("delete model again", lambda: client.delete_registered_model(COPY))
    tell("delete run", lambda: client.delete_run(run))
    tell("log to deleted run", lambda: client.log_metric(run, "auc", 1.0))
    tell("restore run", lambda: client.restore_run(run))
    tell("delete experiment", lambda: client.delete_experiment(experiment))
    tell("restore experiment", lambda: client.restore_experiment(experiment))
    tell("rename experiment", lambda: client.rename_experiment(experiment, "renamed"))
    tell("what is left", lambda: [model.name for model in client.search_registered_models()])


def digest(path: str) -> str:
    """SHA-256 of a file."""
    with Path(path).open("rb") as source:
        return hashlib.file_digest(source, "sha256").hexdigest()


@contextmanager
def hush() -> Iterator[None]:
    """Keeps the client's own remarks out of the transcript."""
    logging.disable(logging.WARNING)
    warnings.simplefilter("ignore")
    yield


if __name__ == "__main__":
    with hush():
        told = tell_all()
    Path(sys.argv[1]).write_text(json.dumps({"steps": told.steps, "seconds": told.seconds}))

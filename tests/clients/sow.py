"""Fills a server with a victim and with somebody whose own things lie beside: `sow.py OUTPUT VICTIM MINE SHARED`.

Beyond what `seed` makes: folders, a trace, a metric and file names that betray the victim, and a second model of the victim's
that was made from my run, of whose name no request speaks. With SHARED `yes`, mine lies in the victim's experiment.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import mlflow
from mlflow import MlflowClient
from seed import seed

# No request of the hunt holds these; the length is that of no file of mine.
NUMBER = 8675309.25
LENGTH = 7_919


def sow(name: str, experiment: str) -> dict[str, str]:
    """One owner."""
    ids = seed(name, experiment)
    client = MlflowClient()
    length = LENGTH + len(name)
    text = (f"file of {name} " * length)[:length]
    for file in ("note.txt", "deep/er/note.txt", f"deep/secretof{name}.txt"):
        client.log_text(ids["run"], text, file)
    # All files of the run are the model's.
    client.create_model_version(name, f"mlflow-artifacts:/{ids['experiment']}/{ids['run']}/artifacts", ids["run"])
    mlflow.set_experiment(experiment)
    with mlflow.start_span("span") as span:
        span.set_inputs({"password": f"secret of {name}"})
    mlflow.flush_trace_async_logging()
    return {**ids, "trace": span.trace_id}


def main() -> None:
    """The command."""
    victim, mine, shared = sys.argv[2:]
    client = MlflowClient()
    found = {victim: sow(victim, victim), mine: sow(mine, victim if shared == "yes" else mine)}
    client.log_metric(found[victim]["run"], "auc", NUMBER, step=1)
    hidden = f"secretof{victim}"
    client.create_registered_model(hidden)
    client.create_model_version(hidden, f"runs:/{found[mine]['run']}/model", found[mine]["run"], description=f"secret of {victim}")
    Path(sys.argv[1]).write_text(json.dumps(found))


if __name__ == "__main__":
    main()

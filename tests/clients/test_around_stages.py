"""Going around the rules of stages by what lies beside them: other spellings and owners of frozen files, glass, aliases, digests, time."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import ExitStack

import mlflow
import pytest
from conftest import LOGS
from harness.mlflow_server import MlflowServer
from harness.recorder import Recorder, Stop
from harness.rest import Answer, send
from house_of_stages import CARA, CI, FILES, FIRST, MODEL, OURS, ROOT, House, experiment_of, house_of_stages
from ruled import API, GOOD, until

SHORT = "fraud_detection_neural_network_auc_"
SECOND = ("integration_test", "schema_validation")
MORE = """
[[gates]]
alias = "champion"
like = "Integration_Test"
"""


@pytest.fixture(scope="module")
def wire() -> Iterator[tuple[MlflowServer, Recorder]]:
    """An MLflow, and a relay before it."""
    with ExitStack() as stack:
        server = stack.enter_context(MlflowServer(LOGS, workers=2))
        yield server, stack.enter_context(Recorder(server.url))


@pytest.fixture(scope="module")
def house(wire: tuple[MlflowServer, Recorder]) -> Iterator[House]:
    """Rules as they are shipped, and an alias that is a gate."""
    server, relay = wire
    with house_of_stages(more=MORE, behind=(server, relay.url)) as opened:
        yield opened


def promoted(house: House, name: str = MODEL) -> str:
    """A version in Integration_Test."""
    version = house.register(name)
    house.tested(version, *FIRST, name=name)
    number = house.asked(house.ann, version, "Integration_Test", name)
    assert house.approved(house.cara, number)["state"] == "done"
    return version


def held(house: House, folder: str, file: str = "weights.txt") -> bytes:
    """A file as MLflow itself has it."""
    return send(house.ruled.mlflow.url, "GET", f"{folder}/{file}").body


def past(house: House, folder: str, text: str) -> None:
    """Writes a file past the gate, as who has the bucket could."""
    assert send(house.ruled.mlflow.url, "PUT", f"{folder}/weights.txt", None, text.encode()).status == 200


def test_no_spelling_of_a_path_reaches_frozen_files(house: House) -> None:
    """Nor a folder above, by whatever the server makes of it."""
    version = promoted(house)
    folder = house.folders[f"{MODEL}/{version}"]
    top = folder.removesuffix("/model")
    before = house.ruled.mlflow.state()
    for path in (
        "/model/weights.txt", "//model/weights.txt", "/model//weights.txt", "/./model/weights.txt", "/model/./weights.txt",
        "/x/../model/weights.txt", "/model/x/../weights.txt", "/x/%2e%2e/model/weights.txt", "/model%2Fweights.txt",
        "/model%2fweights.txt", "/%6dodel/weights.txt", "/%256dodel/weights.txt", "/x%2f..%2fmodel/weights.txt",
        "/x%252f..%252fmodel/weights.txt", "/model\\weights.txt", "/x\\..\\model\\weights.txt", "/model/weights.txt/",
        "/model/weights.txt%00", "/model/weights.txt%20", "/model/weights.txt?x=y", "/model/weights.txt#x", "/model;x/weights.txt",
        "/../artifacts/model/weights.txt", "/model/new/evil.py", "/model/%F0%9F%98%80.py",
    ):  # fmt: skip
        for base in (top, top.replace("/api/", "/ajax-api/"), top.replace("/api/2.0/", "/api/3.0/")):
            for method, body in (("PUT", b"evil"), ("DELETE", None)):
                answer = house.ruled.ask(house.root, method, base + path, body)
                assert answer.status in (400, 403, 404) or "weights.txt%20" in path, (method, base + path, answer)
                assert held(house, folder) == b"weights", (method, base + path)
        listed = send(house.ruled.mlflow.url, "GET", f"{FILES}?path={folder.removeprefix(FILES + '/')}").json()
        assert [file["path"] for file in listed["files"]] == ["weights.txt"], (path, listed)
    assert before.difference(house.ruled.mlflow.state()) == []


def test_files_of_two_versions_are_frozen_while_one_is(house: House) -> None:
    """Whichever is promoted, and though the other is deleted, its model too; by the owner of either."""
    first = house.register()
    folder = house.folders[f"{MODEL}/{first}"]
    with house.ruled.acting(house.ann) as client:
        copy = client.copy_model_version(f"models:/{MODEL}/{first}", SHORT + "dev").version
    assert house.upload(first, "weights 2").status == 200
    house.folders[f"{SHORT}dev/{copy}"] = folder
    assert house.move(house.ann, copy, "Archived", SHORT + "dev") == "Archived"
    for token in (house.ann, house.root):
        assert house.upload(first, "evil", token).status == 403
        assert house.ruled.ask(token, "DELETE", folder).status == 403
    with house.ruled.acting(house.root) as client:
        client.delete_model_version(MODEL, first)
    assert house.upload(first, "evil", house.root).status == 403
    # Registered anew they are a version in Development, whose files are frozen all the same.
    run = folder.split("/")[-3]
    body = {"name": MODEL, "source": f"runs:/{run}/model", "run_id": run}
    answer = house.ruled.ask(house.ann, "POST", f"{API}model-versions/create", body)
    assert answer.status == 200, answer
    for target, body in (("runs/delete", {"run_id": run}), ("runs/restore", {"run_id": run})):
        assert house.ruled.ask(house.root, "POST", API + target, body).status == 403, target
    assert house.upload(first, "evil", house.root).status == 403
    assert held(house, folder) == b"weights 2"
    assert house.ruled.ask(house.root, "DELETE", f"{API}registered-models/delete", {"name": SHORT + "dev"}).status == 200
    assert house.upload(first, "weights 3", house.root).status == 200


def test_the_folder_that_a_source_also_names_is_frozen(house: House) -> None:
    """`runs:/R/model` is a run's logged model, and would be the run's folder of that name, if somebody wrote there."""
    with house.ruled.acting(house.ann) as client:
        experiment = experiment_of(client)
        with mlflow.start_run(experiment_id=experiment) as run:
            info = mlflow.pyfunc.log_model(name="model", python_model=lambda model_input: model_input, pip_requirements=["mlflow"])
        run_id = run.info.run_id
        name = SHORT + "staging"
        client.create_registered_model(name)
        version = client.create_model_version(name, f"runs:/{run_id}/model", run_id, tags=GOOD).version
    house.tested(version, *FIRST, name=name)
    assert house.approved(house.cara, house.asked(house.ann, version, "Integration_Test", name))["state"] == "done"
    for token in (house.ann, house.root):
        for folder in (f"{experiment}/{run_id}/artifacts/model", f"{experiment}/models/{info.model_id}/artifacts"):
            for file in ("evil.py", "MLmodel", "python_model.pkl"):
                answer = house.ruled.ask(token, "PUT", f"/api/2.0/mlflow-artifacts/artifacts/{folder}/{file}", b"evil")
                assert answer.status == 403 and b"nobody changes these files" in answer.body, (folder, file, answer)


def test_bytes_that_were_changed_past_the_gate_go_nowhere(house: House) -> None:
    """With all tests and approvals for what is kept of them; but out of service, and nobody has the others taken for good."""
    version = promoted(house)
    folder = house.folders[f"{MODEL}/{version}"]
    house.tested(version, *SECOND)
    past(house, folder, "evil")
    number = house.asked(house.ann, version, "Performance_Test")
    answer = house.approve(house.cara, number)
    assert answer.status == 403 and b"not those of the digest" in answer.body, answer
    target = f"{OURS}models/{MODEL}/versions/{version}/digest"
    answer = house.ruled.ask(house.ann, "POST", target, {"replace": True})
    assert answer.status == 403, answer
    house.tested(version, *SECOND)
    assert b"not those of the digest" in house.approve(house.dan, number).body
    assert house.stage(version) == "Integration_Test"
    past(house, folder, "weights")
    assert house.approved(house.dan, number)["state"] == "done"
    past(house, folder, "evil")
    assert house.move(house.ann, version, "Archived") == "Archived"


def test_a_test_that_fails_while_files_are_read(house: House, wire: tuple[MlflowServer, Recorder]) -> None:
    """Reading takes a while; what CI is told is kept by then, counts."""
    version = promoted(house)
    house.tested(version, *SECOND)
    number = house.asked(house.ann, version, "Performance_Test")
    stop = Stop(lambda seen: "weights.txt" in seen.target)
    answers: list[Answer] = []
    thread = threading.Thread(target=lambda: answers.append(house.approve(house.cara, number)))
    wire[1].stop(stop)
    thread.start()
    try:
        stop.reach()
        body = {"test": SECOND[0], "passed": False}
        answer = house.ruled.ask(house.ci, "POST", f"{OURS}models/{MODEL}/versions/{version}/evidence", body)
        assert answer.status == 200, answer
    finally:
        wire[1].stop(None)
        stop.release()
        thread.join(60)
    assert answers[0].status == 200 and "failed" in answers[0].json()["request"]["lacks"], answers
    assert house.stage(version) == "Integration_Test"


def test_glass_that_is_broken_over_a_request_leaves_approvals_owed(house: House) -> None:
    """An administrator who asked as everybody does, and then does it anyway, has broken it all the same."""
    version = house.register()
    before = house.asked(house.root, version, "Integration_Test")
    body = {"name": MODEL, "version": version, "stage": "Integration_Test", "comment": "fire", "break_glass": True}
    answer = house.ruled.ask(house.root, "POST", f"{OURS}approvals", body)
    assert answer.status == 200, answer
    request = answer.json()["request"]
    assert request["break_glass"] == "fire" and request["number"] != before, request
    assert house.request(before)["state"] in ("void", "withdrawn")
    made = house.history(version)["transitions"][0]
    assert (made["by"], made["break_glass"], made["request"]) == (ROOT, "fire", request["number"])
    assert house.approve(house.root, request["number"]).status == 403
    assert [given["user"] for given in house.approved(house.cara, request["number"])["approvals"]] == [CARA]


def test_glass_closes_files_before_it_moves_them(house: House, wire: tuple[MlflowServer, Recorder]) -> None:
    """What is moved by broken glass is what was read: nobody changes it while the transition is under way."""
    version = house.register()
    folder = house.folders[f"{MODEL}/{version}"]
    body = {"name": MODEL, "version": version, "stage": "Canary", "comment": "fire", "break_glass": True}
    stop = Stop(lambda seen: seen.target.endswith("model-versions/set-tag") and b"sekisho.stage" in seen.body)
    answers: list[Answer] = []
    thread = threading.Thread(target=lambda: answers.append(house.ruled.ask(house.root, "POST", f"{OURS}approvals", body)))
    wire[1].stop(stop)
    thread.start()
    try:
        stop.reach()
        for token in (house.ann, house.root):
            answer = house.upload(version, "evil", token)
            assert answer.status == 403, answer
        assert held(house, folder) == b"weights"
    finally:
        wire[1].stop(None)
        stop.release()
        thread.join(60)
    assert answers[0].status == 200, answers
    assert house.stage(version) == "Canary" and house.upload(version, "evil", house.root).status == 403
    assert house.history(version)["transitions"][0]["digest"] == house.ruled.held(MODEL, version)[1]["model_hash"]


def test_glass_opens_no_files(house: House) -> None:
    """What has left Development does not come back to it, where its files could be changed."""
    version = promoted(house)
    for stage in ("Development", "None", "none"):
        body = {"name": MODEL, "version": version, "stage": stage, "comment": "fire", "break_glass": True}
        answer = house.ruled.ask(house.root, "POST", f"{OURS}approvals", body)
        assert answer.status == 403, (stage, answer)
        body = {"name": MODEL, "version": version, "stage": stage}
        assert house.ruled.ask(house.root, "POST", f"{API}model-versions/transition-stage", body).status == 403
    assert house.stage(version) == "Integration_Test"
    assert house.upload(version, "evil", house.root).status == 403


def test_an_alias_is_given_to_bytes_that_stay(house: House) -> None:
    """All is approved for the stage, but the version stands in Development, where its owner changes the files."""
    version = house.register()
    number = house.asked(house.ann, version, "Integration_Test")
    house.approved(house.cara, number)
    body = {"name": MODEL, "version": version, "alias": "champion"}
    # The last requirement moves it; so the last one here is one that nothing waits for.
    house.rows(f"UPDATE sekisho_requests SET state = 'rejected' WHERE number = {number}")
    house.tested(version, *FIRST)
    house.rows(f"UPDATE sekisho_requests SET state = 'open' WHERE number = {number}")
    assert house.stage(version) == "Development"
    given = house.ruled.ask(house.dan, "POST", f"{API}registered-models/alias", body)
    assert given.status == 403 and b"have it go to Integration_Test first" in given.body, given
    assert house.upload(version, "evil").status == 200
    assert house.upload(version, "weights").status == 200
    # Nobody has read the bytes since then, for all that the move knows; it does so itself.
    house.rows(f"DELETE FROM sekisho_digests WHERE version = {version}")
    assert house.move(house.ann, version, "Integration_Test") == "Integration_Test"
    assert house.ruled.ask(house.dan, "POST", f"{API}registered-models/alias", body).status == 200


def test_history_of_a_model_that_is_hidden_by_now(house: House) -> None:
    """Whoever sees the name that it had is not told what becomes of it under another."""
    name, hidden = SHORT + "prod", "fraud_detection_neural_network_rmse_prod"
    version = promoted(house, name)
    eve = house.ruled.token(name, user="eve@example.com")
    target = f"{OURS}models/{name}/stages/Integration_Test"
    assert len(house.ruled.ask(eve, "GET", target).json()["versions"]) == 1
    with house.ruled.acting(house.ann) as client:
        client.rename_registered_model(name, hidden)
    told = house.ruled.ask(eve, "GET", target)
    assert told.json()["versions"] == [], told
    house.move(house.ann, version, "Archived", hidden)
    after = house.ruled.ask(eve, "GET", target)
    assert [row for row in after.json()["versions"]] == []


def test_evidence_that_names_other_bytes_is_none(house: House) -> None:
    """CI says what it has tested; the owner has put other files there meanwhile."""
    version = house.register()
    target = f"{OURS}models/{MODEL}/versions/{version}/evidence"
    digest = until(lambda: house.ruled.held(MODEL, version)[1].get("model_hash"))
    assert house.upload(version, "evil").status == 200
    for test in FIRST:
        answer = house.ruled.ask(house.ci, "POST", target, {"test": test, "passed": True, "digest": digest})
        assert answer.status == 403, answer
    assert house.history(version)["evidence"] == []
    assert house.upload(version, "weights").status == 200
    answer = house.ruled.ask(house.ci, "POST", target, {"test": FIRST[0], "passed": True, "digest": digest})
    assert answer.status == 200, answer
    assert [(said["reporter"], said["digest"]) for said in house.history(version)["evidence"]] == [(CI, digest)]


@pytest.mark.parametrize("what", ["model", "version"])
def test_a_digest_that_is_being_shown_keeps_no_deletion_from_success(
    house: House, wire: tuple[MlflowServer, Recorder], what: str
) -> None:
    """A tag that comes between the steps of a deletion has MLflow refuse it with 400; so the deletion waits."""
    name = SHORT + "prod"
    stop = Stop(lambda seen: seen.target.endswith("model-versions/set-tag") and b"model_hash" in seen.body)
    wire[1].stop(stop)
    version = house.register(name)
    body = {"name": name} | ({"version": version} if what == "version" else {})
    path = "registered-models/delete" if what == "model" else "model-versions/delete"
    answers: list[Answer] = []
    thread = threading.Thread(target=lambda: answers.append(house.ruled.ask(house.root, "DELETE", API + path, body)))
    try:
        stop.reach()
        thread.start()
        thread.join(0.5)
        assert thread.is_alive(), answers
    finally:
        wire[1].stop(None)
        stop.release()
    thread.join(60)
    assert [answer.status for answer in answers] == [200]

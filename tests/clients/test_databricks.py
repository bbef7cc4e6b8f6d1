"""Databricks' own Python SDK against open-source MLflow: every method of its `ModelRegistryAPI` is called and its answer read."""

from __future__ import annotations

import inspect
import json
import logging
from collections.abc import Callable, Iterator

import pytest
from databricks.sdk import WorkspaceClient
from databricks.sdk.errors import BadRequest, DatabricksError, NotFound, PermissionDenied, ResourceDoesNotExist
from databricks.sdk.service import ml
from harness.rest import send
from mlflow import MlflowClient
from ruled import API, GOOD, Ruled, until
from ruled import ruled as opened_ruled
from test_promotion import ANN, CARA, DAN, MODEL, House

OTHER = "fraud_detection_neural_network_f1score_dev"
CALLED = "fraud_detection_neural_network_f1score_prod"
PROBE = "/.well-known/databricks-config"
# Every method, and those that a test of this file has called.
METHODS = {name for name, _ in inspect.getmembers(ml.ModelRegistryAPI, inspect.isfunction) if not name.startswith("_")}
SEEN: set[str] = set()


class Registry:
    """The SDK's registry in somebody's hands, which notes what was called."""

    def __init__(self, url: str, token: str) -> None:
        self._api = WorkspaceClient(host=url, token=token, auth_type="pat").model_registry

    def __getattr__(self, name: str) -> Callable[..., object]:
        SEEN.add(name)
        return getattr(self._api, name)


@pytest.fixture(scope="module")
def ruled() -> Iterator[Ruled]:
    """Rules in force."""
    with opened_ruled() as opened:
        yield opened


@pytest.fixture(scope="module")
def house(ruled: Ruled) -> House:
    return House(ruled)


@pytest.fixture(scope="module")
def ann(ruled: Ruled, house: House) -> Registry:
    """An engineer."""
    return Registry(ruled.url, house.ann)


@pytest.fixture(scope="module")
def cara(ruled: Ruled, house: House) -> Registry:
    """Somebody who approves."""
    return Registry(ruled.url, house.cara)


@pytest.fixture(scope="module")
def dan(ruled: Ruled, house: House) -> Registry:
    """Somebody else who approves."""
    return Registry(ruled.url, house.dan)


@pytest.fixture(scope="module")
def root(ruled: Ruled, house: House) -> Registry:
    """An administrator."""
    return Registry(ruled.url, house.root)


@pytest.fixture(scope="module")
def stranger(ruled: Ruled) -> Registry:
    """An engineer who sees another model alone."""
    return Registry(ruled.url, ruled.token("iris_*", user="sam@example.com"))


def test_the_probe_is_answered_without_a_token(ruled: Ruled, house: House, caplog: pytest.LogCaptureFixture) -> None:
    answer = send(ruled.url, "GET", PROBE)
    assert (answer.status, answer.json()) == (200, {})
    for method, target in [("POST", PROBE), ("GET", PROBE + "/"), ("GET", "/.well-known/other"), ("GET", "/x" + PROBE)]:
        assert send(ruled.url, method, target).status == 401, target
    with caplog.at_level(logging.WARNING):
        WorkspaceClient(host=ruled.url, token=house.ann, auth_type="pat")
    assert not caplog.records


def test_models_and_versions(ann: Registry, root: Registry, house: House, ruled: Ruled) -> None:
    made = ann.create_model(OTHER, description="d", tags=[ml.ModelTag("team", "a")]).registered_model
    assert (made.name, made.description, made.tags[0].key) == (OTHER, "d", "team")
    held = ann.get_model(OTHER).registered_model_databricks
    assert (held.name, held.permission_level) == (OTHER, ml.PermissionLevel.CAN_MANAGE_PRODUCTION_VERSIONS)
    assert root.get_model(OTHER).registered_model_databricks.permission_level is ml.PermissionLevel.CAN_MANAGE
    assert ann.update_model(OTHER, description="e").registered_model.description == "e"
    ann.set_model_tag(OTHER, "k", "v")
    ann.delete_model_tag(OTHER, "k")
    version = house.register(OTHER)
    first = ann.get_model_version(OTHER, version).model_version
    said = [ml.ModelVersionTag(key, value) for key, value in GOOD.items()]
    more = ann.create_model_version(OTHER, first.source, run_id=first.run_id, description="d", tags=said).model_version
    assert (more.name, more.version, more.current_stage) == (OTHER, "2", "Development")
    assert ann.get_model_version(OTHER, "2").model_version.status is ml.ModelVersionStatus.READY
    assert ann.get_model_version_download_uri(OTHER, "2").artifact_uri
    assert ann.update_model_version(OTHER, "2", description="f").model_version.description == "f"
    ann.set_model_version_tag(OTHER, "2", "k", "v")
    ann.delete_model_version_tag(OTHER, "2", "k")
    assert "k" not in ruled.held(OTHER, "2")[1]
    assert [found.version for found in ann.get_latest_versions(OTHER)] == ["2"]
    by_number = ann.search_model_versions(filter=f"name = '{OTHER}'", order_by=["version ASC"], max_results=1)
    assert [found.version for found in by_number] == ["1", "2"]
    assert OTHER in [found.name for found in ann.list_models(max_results=1)]
    assert [found.name for found in ann.search_models(filter=f"name = '{OTHER}'")] == [OTHER]
    ann.delete_model_version(OTHER, "2")
    assert [found.version for found in ann.get_latest_versions(OTHER)] == ["1"]
    assert ann.rename_model(OTHER, new_name=CALLED).registered_model.name == CALLED
    ann.delete_model(CALLED)
    with pytest.raises(ResourceDoesNotExist):
        ann.get_model(CALLED)


def test_an_approval_makes_the_transition(ann: Registry, cara: Registry, house: House, ruled: Ruled) -> None:
    version = house.register()
    house.tested(version, "unit_test", "data_validation")
    made = ann.create_transition_request(MODEL, version, "integration_TEST", comment="please").request
    assert (made.to_stage, made.user_id, made.comment) == ("Integration_Test", ANN, "please")
    assert made.available_actions == [
        ml.ActivityAction.REJECT_TRANSITION_REQUEST,
        ml.ActivityAction.CANCEL_TRANSITION_REQUEST,
    ]
    again = ann.create_transition_request(MODEL, version, "Integration_Test", comment="again").request
    assert again == made
    (listed,) = cara.list_transition_requests(MODEL, version)
    assert (listed.activity_type, listed.from_stage, listed.user_id) == (ml.ActivityType.REQUESTED_TRANSITION, "Development", ANN)
    activity = cara.approve_transition_request(MODEL, version, "Integration_Test", False, comment="fine").activity
    assert (activity.activity_type, activity.user_id, activity.comment) == (ml.ActivityType.APPROVED_REQUEST, CARA, "fine")
    assert (activity.from_stage, activity.to_stage, activity.system_comment) == ("Development", "Integration_Test", "")
    assert house.stage(version) == "Integration_Test"
    assert ruled.held(MODEL, version)[0] == "None"
    assert list(ann.list_transition_requests(MODEL, version)) == []
    with pytest.raises(ResourceDoesNotExist):
        cara.approve_transition_request(MODEL, version, "Integration_Test", False)


def test_nobody_approves_their_own_request(ann: Registry, dan: Registry, house: House, ruled: Ruled) -> None:
    version = house.register()
    house.tested(version, "unit_test", "data_validation")
    ann.create_transition_request(MODEL, version, "Integration_Test")
    for user in [ANN, ANN.upper(), "Ａnn@example.com"]:
        token = ruled.token(role="product_manager", user=user)
        with pytest.raises(PermissionDenied, match="own request"):
            Registry(ruled.url, token).approve_transition_request(MODEL, version, "Integration_Test", False)
    assert house.stage(version) == "Development"
    ci = Registry(ruled.url, house.ci)
    for call in (ci.approve_transition_request, ci.reject_transition_request):
        with pytest.raises(PermissionDenied):
            call(MODEL, version, "Integration_Test", *([False] if "approve" in call.__name__ else []))
    # Of what archives others, the right to archive is part.
    with pytest.raises(PermissionDenied, match="stage_transition"):
        dan.approve_transition_request(MODEL, version, "Integration_Test", True)
    assert len(list(ann.list_transition_requests(MODEL, version))) == 1


def test_what_is_approved_takes_the_place_of_what_stands_there(ann: Registry, dan: Registry, house: House, ruled: Ruled) -> None:
    """With `archive_existing_versions`, by somebody who may archive; and only once the transition is made."""
    old, new = house.register(), house.register()
    for version in (old, new):
        body = {"name": MODEL, "version": version, "stage": "User_Acceptance_Test", "comment": "fire", "break_glass": True}
        assert ruled.ask(house.root, "POST", "/sekisho/v1/approvals", body).status == 200
        house.tested(version, "acceptance_test")
    ann.create_transition_request(MODEL, old, "Staging")
    dan.approve_transition_request(MODEL, old, "Staging", False)
    assert house.stage(old) == "Staging"
    ann.create_transition_request(MODEL, new, "Staging")
    house.tested(new, "acceptance_test", result="failed")
    eve = Registry(ruled.url, ruled.token(user="eve@example.com"))
    activity = eve.approve_transition_request(MODEL, new, "Staging", True).activity
    assert "acceptance_test" in activity.system_comment
    assert (house.stage(old), house.stage(new)) == ("Staging", "User_Acceptance_Test")
    house.tested(new, "acceptance_test")
    eve.approve_transition_request(MODEL, new, "Staging", True)
    assert (house.stage(old), house.stage(new)) == ("Archived", "Staging")


def test_of_two_requests_a_void_one_holds_up_nobody(ann: Registry, cara: Registry, house: House, ruled: Ruled) -> None:
    """The first was for other bytes; whoever approves the stage approves what still stands."""
    version = house.register()
    ann.create_transition_request(MODEL, version, "Integration_Test")
    assert house.upload(version, "other weights").status == 200
    eve = Registry(ruled.url, ruled.token(user="eve@example.com"))
    eve.create_transition_request(MODEL, version, "Integration_Test")
    house.tested(version, "unit_test", "data_validation")
    cara.approve_transition_request(MODEL, version, "Integration_Test", False)
    assert house.stage(version) == "Integration_Test"
    assert house.history(version)["transitions"][0]["asked_by"] == "eve@example.com"


def test_what_is_missing_is_told(ann: Registry, dan: Registry, house: House) -> None:
    version = house.register()
    ann.create_transition_request(MODEL, version, "Integration_Test")
    activity = dan.approve_transition_request(MODEL, version, "Integration_Test", False).activity
    assert "unit_test" in activity.system_comment
    assert house.stage(version) == "Development"
    with pytest.raises(PermissionDenied, match="no rule leads"):
        ann.create_transition_request(MODEL, version, "Canary")
    for stage in ["Nowhere", ""]:
        with pytest.raises(BadRequest):
            ann.create_transition_request(MODEL, version, stage)


def test_requests_are_rejected_and_taken_back(ann: Registry, cara: Registry, root: Registry, house: House, ruled: Ruled) -> None:
    version = house.register()
    ann.create_transition_request(MODEL, version, "Integration_Test")
    activity = cara.reject_transition_request(MODEL, version, "Integration_Test", comment="no").activity
    assert (activity.activity_type, activity.user_id, activity.comment) == (ml.ActivityType.REJECTED_REQUEST, CARA, "no")
    assert list(ann.list_transition_requests(MODEL, version)) == []
    ann.create_transition_request(MODEL, version, "Integration_Test")
    eve = Registry(ruled.url, ruled.token(user="eve@example.com"))
    eve.create_transition_request(MODEL, version, "Integration_Test")
    with pytest.raises(PermissionDenied, match="takes it back"):
        eve.delete_transition_request(MODEL, version, "Integration_Test", ANN)
    with pytest.raises(ResourceDoesNotExist):
        ann.delete_transition_request(MODEL, version, "Staging", ANN)
    activity = ann.delete_transition_request(MODEL, version, "integration_test", ANN, comment="later").activity
    assert (activity.activity_type, activity.comment) == (ml.ActivityType.CANCELLED_REQUEST, "later")
    assert [left.user_id for left in ann.list_transition_requests(MODEL, version)] == ["eve@example.com"]
    root.delete_transition_request(MODEL, version, "Integration_Test", "eve@example.com")
    assert list(ann.list_transition_requests(MODEL, version)) == []


def test_a_transition_is_held_to_the_rules(ann: Registry, cara: Registry, house: House) -> None:
    version = house.register()
    with pytest.raises(PermissionDenied, match="unit_test"):
        ann.transition_stage(MODEL, version, "Integration_Test", False)
    with pytest.raises(PermissionDenied):
        cara.transition_stage(MODEL, version, "Archived", False)
    with pytest.raises(BadRequest):
        ann.transition_stage(MODEL, version, "Archived", True)
    moved = ann.transition_stage(MODEL, version, "archived", False, comment="old").model_version_databricks
    assert (moved.version, moved.current_stage, moved.open_requests, moved.user_id) == (version, "Archived", [], ANN)
    assert moved.permission_level is ml.PermissionLevel.CAN_MANAGE_PRODUCTION_VERSIONS


def told_of_approving(line: dict) -> bool:
    """Whether a line says that a comment rested on the right to approve."""
    said = [f"{line.get('operation')} {line.get('object')}", *line.get("demands", [])]
    return line.get("principal") == CARA and f"stage_approve model:{MODEL}/stage/" in " ".join(said)


def test_comments(ann: Registry, cara: Registry, root: Registry, house: House, ruled: Ruled) -> None:
    version = house.register()
    made = cara.create_comment(MODEL, version, "why?").comment
    assert (made.user_id, made.comment) == (CARA, "why?")
    until(lambda: any(map(told_of_approving, ruled.sekisho.told())))
    assert made.available_actions == [ml.CommentActivityAction.EDIT_COMMENT, ml.CommentActivityAction.DELETE_COMMENT]
    changed = cara.update_comment(made.id, "why not?").comment
    assert (changed.id, changed.comment, changed.creation_timestamp) == (made.id, "why not?", made.creation_timestamp)
    for call in (lambda: ann.update_comment(made.id, "mine"), lambda: ann.delete_comment(made.id), lambda: root.update_comment(made.id, "x")):
        with pytest.raises(PermissionDenied, match="only who made a comment"):
            call()
    answer = ruled.ask(house.ann, "GET", f"/sekisho/v1/models/{MODEL}/versions/{version}/history")
    assert [(said["user"], said["comment"]) for said in answer.json()["comments"]] == [(CARA, "why not?")]
    ci = Registry(ruled.url, house.ci)
    with pytest.raises(PermissionDenied, match="metadata_write"):
        ci.create_comment(MODEL, version, "hello")
    for text in ["\0", "a\0b", "x" * 65_536, ""]:
        with pytest.raises(BadRequest):
            cara.create_comment(MODEL, version, text)
    with pytest.raises(BadRequest):
        ann.create_transition_request(MODEL, version, "Integration_Test", comment="\0")
    cara.delete_comment(made.id)
    for id in [made.id, "x", "\0", "0" * 32]:
        with pytest.raises(ResourceDoesNotExist):
            cara.delete_comment(id)
    root.delete_comment(cara.create_comment(MODEL, version, "again").comment.id)


def test_what_is_off_says_so(root: Registry) -> None:
    for call in (
        lambda: root.create_webhook([ml.RegistryWebhookEvent.COMMENT_CREATED], model_name=MODEL),
        lambda: root.update_webhook("1", description="d"),
        lambda: root.delete_webhook("1"),
        lambda: list(root.list_webhooks()),
        lambda: root.test_registry_webhook("1"),
        lambda: root.get_permissions("1"),
        lambda: root.get_permission_levels("1"),
        lambda: root.set_permissions("root", access_control_list=[]),
        lambda: root.update_permissions("root"),
    ):
        with pytest.raises(NotFound) as caught:
            call()
        assert caught.value.error_code == "FEATURE_DISABLED", caught.value


def test_hidden_models_stay_hidden(stranger: Registry, cara: Registry, ann: Registry, house: House) -> None:
    """What is said of a model that is hidden is what is said of one that is not there."""
    version = house.register()
    ann.create_transition_request(MODEL, version, "Integration_Test")
    comment = cara.create_comment(MODEL, version, "secret").comment.id
    calls: list[Callable[[str], object]] = [
        lambda name: stranger.get_model(name),
        lambda name: stranger.create_transition_request(name, version, "Integration_Test"),
        lambda name: list(stranger.list_transition_requests(name, version)),
        lambda name: stranger.approve_transition_request(name, version, "Integration_Test", False),
        lambda name: stranger.reject_transition_request(name, version, "Integration_Test"),
        lambda name: stranger.delete_transition_request(name, version, "Integration_Test", ANN),
        lambda name: stranger.transition_stage(name, version, "Archived", False),
        lambda name: stranger.create_comment(name, version, "hello"),
        lambda name: stranger.delete_model(name),
        lambda name: stranger.delete_model_version(name, version),
        lambda name: stranger.delete_model_tag(name, "k"),
        lambda name: stranger.delete_model_version_tag(name, version, "k"),
    ]
    none = "fraud_detection_neural_network_f1score_canary"
    for call in calls:
        told = []
        for name in (MODEL, none):
            with pytest.raises(PermissionDenied) as caught:
                call(name)
            told.append(str(caught.value).replace(name, "NAME"))
        assert told[0] == told[1]
    for call in (lambda id: stranger.update_comment(id, "mine"), lambda id: stranger.delete_comment(id)):
        told = []
        for id in (comment, "0" * 32):
            with pytest.raises(ResourceDoesNotExist) as caught:
                call(id)
            told.append(str(caught.value))
        assert told[0] == told[1]
    assert list(stranger.list_models()) == []
    assert len(list(ann.list_transition_requests(MODEL, version))) == 1


def test_query_and_body_of_a_delete(house: House, ruled: Ruled) -> None:
    """Each alone is read, both together where they say the same, and what was decided is what is done."""
    mine = ruled.token("iris_*", user="sam@example.com")
    for kept in ("iris_xgboost_auc_dev", "iris_xgboost_auc_prod"):
        ruled.past("registered-models/create", name=kept)
    hidden, own = MODEL, "iris_xgboost_auc_dev"
    path = f"{API}registered-models/delete"
    for query, body, status in [
        (hidden, {}, 403),
        (hidden, {"name": own}, 400),
        (own, {"name": hidden}, 400),
        (own, {"name": own, "x": "y"}, 200),
        (None, {"name": "iris_xgboost_auc_prod"}, 200),
        (None, {}, 400),
    ]:
        answer = ruled.ask(mine, "DELETE", path + (f"?name={query}" if query else ""), body or None)
        assert answer.status == status, (query, body, answer.body)
    assert ruled.exists(hidden) and not ruled.exists(own)
    for doubled in (f"?name={own}&name={hidden}", f"?name={own}&newName=x"):
        assert ruled.ask(mine, "DELETE", path + doubled).status in (400, 404), doubled
    posted = ruled.ask(house.ann, "POST", f"{API}registered-models/create?name=iris_xgboost_auc_dev", {"name": "iris_xgboost_auc_dev"})
    assert posted.status == 400, "only what is deleted is named in a query"


def test_every_method_was_called() -> None:
    """The last test: what the SDK has beside these is not looked at here."""
    assert METHODS - SEEN == set()

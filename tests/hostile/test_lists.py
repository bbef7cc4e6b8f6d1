"""Lists, filters, orders and pages as ways to ask about rows that may not be seen."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from urllib.parse import quote

import pytest
from harness.rest import send
from hostile.house import NOBODY, House, Server, as_json
from hostile.vector import AJAX, API, MARKER, PROMPT, VICTIM, Request, Twin, Vector, attack, each, get, post

MODELS, VERSIONS = "registered-models/search", "model-versions/search"
OWN = {
    MODELS: Twin("engineer", get(MODELS, filter="name = 'mine_a'")),
    VERSIONS: Twin("engineer", get(VERSIONS, filter="name = 'mine_a'")),
}
OWN_LOGGED = Twin("engineer", post("logged-models/search", experiment_ids=["~e~"], filter="name = 'none'"))
BAD_FILTER = "MLflow refuses the filter"
IN_BOTH = "it says the same in both houses"


def offset(value: object) -> str:
    """A page token as MLflow makes it."""
    return base64.b64encode(json.dumps({"offset": value}).encode()).decode()


def filters() -> Iterator[Vector]:
    """Conditions that hold for hidden rows alone, and their contrary."""
    prompt = "tags.`mlflow.prompt.is_prompt` = 'true'"
    for kind, condition, refuses in (
        (MODELS, "name = 'victim_model'", ""),
        (MODELS, 'name = "victim_model"', ""),
        (MODELS, "attribute.name = 'victim_model'", ""),
        (MODELS, "name LIKE 'victim%'", ""),
        (MODELS, "name LIKE 'victim_mode_'", ""),
        (MODELS, "name ILIKE 'VICTIM_MODEL'", ""),
        (MODELS, "name IN ('victim_model', 'mine_a')", ""),
        (MODELS, "name NOT IN ('mine_a', 'mine_tagged', 'victim_mode', 'victim_model2')", ""),
        (MODELS, "name != 'mine_a'", ""),
        (MODELS, f"tags.note LIKE '%{MARKER}%'", ""),
        (MODELS, f"tags.note = '{MARKER} of the victim'", ""),
        (MODELS, f"tags.note ILIKE '{MARKER.lower()}%'", ""),
        (MODELS, f"tag.`note` LIKE '{MARKER[:3]}%'", ""),
        (MODELS, f"tags.\"note\" LIKE '{MARKER[:3]}%'", ""),
        (MODELS, "tags.note != 'plain'", ""),
        (MODELS, f"tags.note LIKE '%{MARKER}%' AND name LIKE 'v%'", ""),
        (MODELS, f"name = 'mine_a' AND tags.note LIKE '%{MARKER}%'", IN_BOTH),
        (MODELS, prompt, ""),
        (MODELS, f"{prompt} AND name = '{PROMPT}'", ""),
        (MODELS, "tags.`mlflow.prompt.is_prompt` != 'false'", ""),
        (MODELS, "name = 'victim_model' OR name = 'mine_a'", BAD_FILTER),
        (MODELS, "NAME = 'victim_model'", BAD_FILTER),
        (MODELS, "name = 'victim_model' --", BAD_FILTER),
        (MODELS, "name = 'mine_a'; SELECT 1", BAD_FILTER),
        (MODELS, "(name = 'victim_model')", BAD_FILTER),
        (VERSIONS, "name = 'victim_model'", ""),
        (VERSIONS, "name LIKE '%model'", ""),
        (VERSIONS, "name ILIKE 'Victim_Model'", ""),
        (VERSIONS, "name IN ('victim_model')", ""),
        (VERSIONS, "name NOT IN ('mine_a')", ""),
        (VERSIONS, "name != 'mine_a'", ""),
        (VERSIONS, "run_id = '~r1~'", ""),
        (VERSIONS, "run_id IN ('~r1~', '~r2~')", ""),
        (VERSIONS, "run_id != '~mine~'", ""),
        (VERSIONS, "run_id LIKE '%'", ""),
        (VERSIONS, "source_path LIKE '%~l1~%'", ""),
        (VERSIONS, "source_path = 'models:/~l1~'", ""),
        (VERSIONS, "source_path LIKE 'models:/victim%'", ""),
        (VERSIONS, "source_path ILIKE 'RUNS:/~r2~%'", ""),
        (VERSIONS, "source_path LIKE '%artifacts/net'", ""),
        (VERSIONS, "version_number = 4", ""),
        (VERSIONS, "version_number > 2", ""),
        (VERSIONS, "version_number != 1", ""),
        (VERSIONS, f"tags.note LIKE '%{MARKER}%'", ""),
        (VERSIONS, f"tags.note = '{MARKER} of the victim'", ""),
        (VERSIONS, f"tags.`mlflow.prompt.text` LIKE '%{MARKER}%' AND {prompt}", ""),
        (VERSIONS, prompt, ""),
        (VERSIONS, f"{prompt} AND name = '{PROMPT}'", ""),
        (VERSIONS, "name = 'victim_model' AND name = 'mine_a'", IN_BOTH),
        (VERSIONS, "run_id = '~r1~' OR run_id = '~mine~'", BAD_FILTER),
        (VERSIONS, "current_stage = 'Staging'", BAD_FILTER),
        (VERSIONS, "aliases = 'champion'", BAD_FILTER),
    ):
        for who in ("engineer", "reader"):
            yield attack(f"{kind} {condition} as {who}", who, get(kind, filter=condition), OWN[kind], refuses)


def whole_lists() -> Iterator[Vector]:
    """Without a condition, by everybody, under each address."""
    for who in (NOBODY, "engineer", "scientist", "reader", "deployer", "ci", "patterns", "unclaimed", "nobody"):
        for kind in (MODELS, VERSIONS):
            yield attack(f"{kind} as {who}", who, get(kind), OWN[kind])
    for kind in (MODELS, VERSIONS):
        spellings = {
            "the page's prefix": get(AJAX + kind),
            "two slashes": get("/" + API + kind),
            "an empty query": Request("GET", f"{API}{kind}?"),
            "an unknown parameter": Request("GET", f"{API}{kind}?x=1"),
            "an empty filter": Request("GET", f"{API}{kind}?filter="),
            "a filter in a body": Request("GET", API + kind, b'{"filter":"name = \'victim_model\'"}', ("Content-Type: application/json",)),
            "two filters": Request("GET", f"{API}{kind}?filter=name%3D%27victim_model%27&filter=name%3D%27mine_a%27"),
            "small letters": Request("get", API + kind),
        }
        for name, request in spellings.items():
            yield attack(f"{kind} by {name}", "engineer", request, OWN[kind])
        yield attack(f"{kind} by POST", "engineer", post(kind), OWN[kind], "MLflow has no such method there")
        yield attack(f"{kind} by HEAD", "engineer", Request("HEAD", API + kind), OWN[kind])


def pages() -> Iterator[Vector]:
    """Sizes, orders and tokens made by hand: what stands where in MLflow's list would tell of rows between."""
    prompts = "tags.`mlflow.prompt.is_prompt` = 'true'"
    for kind in (MODELS, VERSIONS):
        for size in (1, 2, 3, 5):
            yield attack(f"{kind} of {size}", "engineer", get(kind, max_results=size), OWN[kind])
        for value in (1, 2, 3, "2", -1, -5, 4.0):
            yield attack(f"{kind} from {value!r}", "engineer", get(kind, max_results=1, page_token=offset(value)), OWN[kind])
        for token in ("nonsense", "e30=", "eyJvZmZzZXQiOiAwfQ=="):
            yield attack(
                f"{kind} from {token}", "engineer", get(kind, max_results=1, page_token=token), OWN[kind], "MLflow refuses the token"
            )
        orders = (
            "name ASC",
            "name DESC",
            "last_updated_timestamp DESC",
            "last_updated_timestamp ASC",
            "version_number DESC" if kind == VERSIONS else "timestamp DESC",
        )
        for order in orders:
            yield attack(f"{kind} by {order}", "engineer", get(kind, order_by=order, max_results=3), OWN[kind])
        for size, refuses in (
            (0, IN_BOTH if kind == MODELS else "MLflow refuses the size"),
            (-1, "MLflow refuses the size"),
            (200_001, "MLflow refuses the size"),
        ):
            yield attack(f"{kind} of {size}", "engineer", get(kind, max_results=size), OWN[kind], refuses)
    yield attack(f"{MODELS} of none", "engineer", get(MODELS, max_results=0, filter="name = 'victim_model'"), OWN[MODELS])
    yield attack("prompts, one a page", "engineer", get(MODELS, filter=prompts, max_results=1), OWN[MODELS])
    yield attack("all versions", "engineer", get(VERSIONS, max_results=200_000), OWN[VERSIONS])


def mentions() -> Iterator[Vector]:
    """Other answers that name registered models: logged models, runs, traces, webhooks."""
    logged = "logged-models/search"
    for name, request, refuses in (
        ("logged models", post(logged, experiment_ids=["~e~"]), ""),
        ("logged models of the page", post(AJAX + logged, experiment_ids=["~e~"]), ""),
        ("the logged model", get("logged-models/~l1~"), ""),
        ("the logged model of the page", get(f"{AJAX}logged-models/~l1~"), ""),
        (
            "logged models by registration",
            post(logged, experiment_ids=["~e~"], filter="tags.`mlflow.modelVersions` LIKE '%victim_model%'"),
            "",
        ),
        ("logged models by any registration", post(logged, experiment_ids=["~e~"], filter="tags.`mlflow.modelVersions` != 'x'"), ""),
        (
            "logged models, quoted otherwise",
            post(logged, experiment_ids=["~e~"], filter="tags.\"mlflow.modelVersions\" ILIKE '%VICTIM%'"),
            IN_BOTH,
        ),
        (
            "logged models ordered by registration",
            post(logged, experiment_ids=["~e~"], order_by=[{"field_name": "tags.mlflow.modelVersions"}]),
            BAD_FILTER,
        ),
        ("one logged model a page", post(logged, experiment_ids=["~e~"], max_results=1), IN_BOTH),
        ("runs", post("runs/search", experiment_ids=["~e~"]), IN_BOTH),
        (
            "runs by a logged model",
            post("runs/search", experiment_ids=["~e~"], filter="tags.`mlflow.log-model.history` LIKE '%victim%'"),
            IN_BOTH,
        ),
        ("the run", get("runs/get", run_id="~r1~"), IN_BOTH),
        ("webhooks", get("webhooks"), ""),
        ("the webhook", get("webhooks/~hook~"), ""),
        ("the webhook of the page", get("/ajax-api/2.0/mlflow/webhooks/~hook~"), ""),
    ):
        yield attack(f"mention: {name}", "engineer", request, OWN_LOGGED, refuses)
    for who in ("reader", "ci", "deployer", "patterns"):
        yield attack(f"mention: the logged model as {who}", who, get("logged-models/~l1~"), OWN_LOGGED)
        yield attack(f"mention: logged models as {who}", who, post(logged, experiment_ids=["~e~"]), OWN_LOGGED)


VECTORS = [*filters(), *whole_lists(), *pages(), *mentions()]


@each(VECTORS)
def test_lists(house: House, kind: str, vector: Vector) -> None:
    """Nothing is gained."""
    house.withstands(vector, kind)


def walk(server: Server, token: str, kind: str, query: str, size: int) -> list[list[str]]:
    """The names of each page, from the first to the last."""
    listed = "registered_models" if kind == MODELS else "model_versions"
    pages: list[list[str]] = []
    place = ""
    while len(pages) < 30:
        target = f"{API}{kind}?max_results={size}{query}" + (f"&page_token={quote(place)}" if place else "")
        answer = send(server.url, "GET", target, token)
        assert answer.status == 200, answer.body
        page = as_json(answer)
        pages.append([f"{row['name']}/{row.get('version', '')}" for row in page.get(listed, [])])
        place = page.get("next_page_token", "")
        if not place:
            return pages
    raise AssertionError(f"{target} does not end")


@pytest.mark.parametrize("size", [1, 2, 3, 4, 7, 100])
@pytest.mark.parametrize(
    "query", ["", "&order_by=name%20DESC", "&order_by=last_updated_timestamp%20ASC", "&filter=name%20LIKE%20%27victim%25%27"]
)
@pytest.mark.parametrize("kind", [MODELS, VERSIONS])
def test_pages_are_those_of_a_house_without_the_hidden(house: House, kind: str, query: str, size: int) -> None:
    """Page for page; all but the last one are full."""
    token = house.tokens["engineer"]
    pages = walk(house.gated, token, kind, query, size)
    assert pages == walk(house.empty, token, kind, query, size)
    assert all(len(page) == size for page in pages[:-1])
    assert not [row for page in pages for row in page if row.split("/")[0] in (VICTIM, PROMPT, "a_third_copy")]

"""MLflow's GraphQL gives out every version of every model; here it answers four queries of the web page, filtered."""

from __future__ import annotations

import json
from collections.abc import Iterator

from hostile.house import NOBODY, House
from hostile.vector import JSON_TYPE, ROWS, TAKEN, Request, Twin, Vector, attack, each, post, raw

VERSION = "name version source description runId modelId aliases tags{key value}"
RUN = {"data": {"runId": "~r1~"}}
RUNS = {"data": {"experimentIds": ["~e~"], "filter": ""}}
ALL = {"input": {"filter": ""}}
GET_RUN = "query GetRun($data: MlflowGetRunInput!) { mlflowGetRun(input: $data) { run { %s } } }"
SEARCH_RUNS = "query SearchRuns($data: MlflowSearchRunsInput!) { mlflowSearchRuns(input: $data) { runs { %s } } }"
VERSIONS = f"modelVersions {{ {VERSION} }}"
SEARCH = "query Q($input: MlflowSearchModelVersionsInput!) { mlflowSearchModelVersions(input: $input) { %s } }"
NOT_THERE = "MLflow's schema has no such thing"
TYPE = "MLflow wants the type"


def ask(query: str, variables: object = None, **more: object) -> Request:
    """As the web page sends it."""
    return post("/graphql", query=query, variables=variables, **more)


OWN_RUN = Twin("engineer", ask(GET_RUN % "info{runUuid} modelVersions{name version source}", {"data": {"runId": "~mine~"}}))
OWN_RUNS = Twin(
    "engineer",
    ask(
        SEARCH_RUNS % "info{runUuid} modelVersions{name version}",
        {"data": {"experimentIds": ["~e~"], "filter": "attributes.run_name = 'mine'"}},
    ),
)


def searching_versions() -> Iterator[Vector]:
    """The root field that asks for versions, in every dress."""
    plain = f"{{ mlflowSearchModelVersions(input: {{%s}}) {{ {VERSIONS} }} }}"
    aliased = " ".join(f'a{i}: mlflowSearchModelVersions(input: {{filter: "version_number = {i}"}}) {{ {VERSIONS} }}' for i in range(1, 5))
    documents: dict[str, tuple[str, object, dict[str, object], str]] = {
        "by a variable": (SEARCH % VERSIONS, ALL, {}, ""),
        "inline": (plain % 'filter: ""', None, {}, ""),
        "by name": (plain % "filter: \"name = 'victim_model'\"", None, {}, ""),
        "by tag": (plain % "filter: \"tags.note LIKE '%Kuro%'\"", None, {}, ""),
        "one row of it": (plain % 'filter: "", maxResults: "1"', None, {}, ""),
        "from an offset": (plain % 'filter: "", pageToken: "eyJvZmZzZXQiOiAzfQ=="', None, {}, ""),
        "aliased": (f'{{ mine: mlflowSearchModelVersions(input: {{filter: ""}}) {{ {VERSIONS} }} }}', None, {}, ""),
        "as a query of the page": (f'{{ mlflowGetRun: mlflowSearchModelVersions(input: {{filter: ""}}) {{ {VERSIONS} }} }}', None, {}, ""),
        "aliased four times": (f"{{ {aliased} }}", None, {}, ""),
        "the list aliased": (SEARCH % f"list: modelVersions {{ {VERSION} }}", ALL, {}, ""),
        "the name aliased": (SEARCH % "modelVersions { title: name source description }", ALL, {}, ""),
        "without names": (SEARCH % "modelVersions { source description }", ALL, {}, ""),
        "names in place of others": (SEARCH % "modelVersions { name: currentStage source description }", ALL, {}, ""),
        "only the page's token": (
            SEARCH % "nextPageToken",
            {"input": {"filter": "", "maxResults": "1"}},
            {},
            "MLflow's page is full in both houses",
        ),
        "a fragment": (f"{SEARCH % '...F'} fragment F on MlflowSearchModelVersionsResponse {{ {VERSIONS} }}", ALL, {}, ""),
        "an inline fragment": (SEARCH % f"... on MlflowSearchModelVersionsResponse {{ {VERSIONS} }}", ALL, {}, ""),
        "an untyped fragment": (SEARCH % f"... {{ {VERSIONS} }}", ALL, {}, ""),
        "a directive": (SEARCH % f"{VERSIONS[:13]} @include(if: true) {VERSIONS[13:]}", ALL, {}, "MLflow knows one directive"),
        "a default": (
            f'query Q($input: MlflowSearchModelVersionsInput = {{filter: ""}}) {{ mlflowSearchModelVersions(input: $input) {{ {VERSIONS} }} }}',
            None,
            {},
            "",
        ),
        "the second of two": (f'query A {{ test(inputString: "x") {{ output }} }} {SEARCH % VERSIONS}', ALL, {"operationName": "Q"}, ""),
        "beside another": (
            f'{{ test(inputString: "x") {{ output }} mlflowSearchModelVersions(input: {{filter: ""}}) {{ {VERSIONS} }} }}',
            None,
            {},
            "",
        ),
        "with commas and comments": (
            f'#mlflowGetRun\n,,query,{{ #x\n mlflowSearchModelVersions(input:{{filter:""}}),{{ {VERSIONS} }} }}',
            None,
            {},
            "",
        ),
        "with a byte order mark": ("\ufeff" + SEARCH % VERSIONS, ALL, {}, ""),
        "with a block string": (plain % 'filter: """"""', None, {}, ""),
        "with an escape": (plain % "filter: \"name = 'v\\u0069ctim_model'\"", None, {}, ""),
        "as a subscription": (f'subscription {{ mlflowSearchModelVersions(input: {{filter: ""}}) {{ {VERSIONS} }} }}', None, {}, NOT_THERE),
        "as a mutation": (f'mutation {{ mlflowSearchModelVersions(input: {{filter: ""}}) {{ {VERSIONS} }} }}', None, {}, NOT_THERE),
        "deeply": (SEARCH % f"modelVersions {{ {VERSION} modelParams {{ name value }} }}", ALL, {}, ""),
    }
    for name, (document, variables, more, refuses) in documents.items():
        yield attack(f"versions {name}", "engineer", ask(document, variables, **more), OWN_RUN, refuses)


def runs() -> Iterator[Vector]:
    """Versions below a run."""
    mutation = f"mutation M($data: MlflowSearchRunsInput!) {{ mlflowSearchRuns(input: $data) {{ runs {{ {VERSIONS} }} }} }}"
    inner = f"info {{ runUuid }} {VERSIONS}"
    documents: dict[str, tuple[str, object, str]] = {
        "a run": (GET_RUN % inner, RUN, ""),
        "a run by uuid": (GET_RUN % inner, {"data": {"runUuid": "~r1~"}}, ""),
        "a run by both": (GET_RUN % inner, {"data": {"runId": "~r1~", "runUuid": "~mine~"}}, ""),
        "a run by both, mine first": (GET_RUN % inner, {"data": {"runId": "~mine~", "runUuid": "~r1~"}}, "runId counts"),
        "a run of two inputs": (
            'query($data: MlflowGetRunInput!) { a: mlflowGetRun(input: {runId: "~mine~"}) '
            f"{{ run {{ {VERSIONS} }} }} b: mlflowGetRun(input: $data) {{ run {{ {VERSIONS} }} }} }}",
            RUN,
            "",
        ),
        "a run inline": (f'{{ mlflowGetRun(input: {{runId: "~r1~"}}) {{ run {{ {VERSIONS} }} }} }}', None, ""),
        "a run's versions without names": (GET_RUN % "modelVersions { source description }", RUN, ""),
        "a run's versions, only how many": (GET_RUN % "modelVersions { __typename }", RUN, ""),
        "a run's versions, other names": (GET_RUN % "modelVersions { name: version source description }", RUN, ""),
        "a run's versions aliased": (GET_RUN % f"mine: modelVersions {{ {VERSION} }}", RUN, ""),
        "a run's versions in a fragment": (f"{GET_RUN % '...F'} fragment F on MlflowRunExtension {{ {VERSIONS} }}", RUN, ""),
        "a run's versions twice": (GET_RUN % f"{VERSIONS} modelVersions {{ name status }}", RUN, ""),
        "runs": (SEARCH_RUNS % inner, RUNS, ""),
        "runs by id": (SEARCH_RUNS % inner, {"data": {"experimentIds": ["~e~"], "filter": "attributes.run_id = '~r2~'"}}, ""),
        "runs, versions without names": (SEARCH_RUNS % "modelVersions { source description }", RUNS, ""),
        "runs by a mutation": (mutation, RUNS, ""),
    }
    for name, (document, variables, refuses) in documents.items():
        twin = OWN_RUNS if name.startswith("runs") else OWN_RUN
        yield attack(name, "engineer", ask(document, variables), twin, refuses, own=ROWS)
        yield attack(f"{name}, no credential", NOBODY, ask(document, variables), twin, refuses)


def files() -> Iterator[Vector]:
    """Listings of files."""
    listing = "query L($input: MlflowListArtifactsInput!) { mlflowListArtifacts(input: $input) { rootUri files { path isDir fileSize } } }"
    for name, given, refuses in (
        ("a run's folder", {"runId": "~r2~", "path": "model"}, ""),
        ("a run's folder by uuid", {"runUuid": "~r3~", "path": "net"}, ""),
        ("a run's root", {"runId": "~r2~"}, ""),
    ):
        yield attack(f"files of {name}", "engineer", ask(listing, {"input": given}), OWN_RUN, refuses)
    inline = '{ mlflowListArtifacts(input: {runId: "~r2~", path: "model"}) { files { path } } }'
    yield attack("files inline", "engineer", ask(inline), OWN_RUN)


def bodies() -> Iterator[Vector]:
    """The whole request in other wrappings."""
    document = f'{{ mlflowSearchModelVersions(input: {{filter: ""}}) {{ {VERSIONS} }} }}'
    plain = json.dumps({"query": document})
    harmless = json.dumps(GET_RUN % "info { runUuid }")
    twice = f'{{"query": {harmless}, "variables": {{"data": {{"runId": "~mine~"}}}}, "query": {json.dumps(document)}}}'
    for name, request, refuses in (
        ("a GET with a body", raw("GET", "/graphql", plain.encode()), ""),
        (
            "a GET with a query",
            Request("GET", "/graphql?query=%7BmlflowSearchModelVersions(input:%7Bfilter:%22%22%7D)%7BmodelVersions%7Bname%7D%7D%7D"),
            "MLflow reads the body",
        ),
        ("two slashes in front", raw("POST", "//graphql", plain.encode()), ""),
        ("an encoded letter", raw("POST", "/gr%61phql", plain.encode()), ""),
        ("a slash behind", raw("POST", "/graphql/", plain.encode()), "no route"),
        ("small letters", raw("post", "/graphql", plain.encode()), ""),
        ("plain text", raw("POST", "/graphql", plain.encode(), "Content-Type: text/plain"), TYPE),
        ("a GraphQL type", raw("POST", "/graphql", plain.encode(), "Content-Type: application/graphql"), TYPE),
        ("the document alone", raw("POST", "/graphql", document.encode(), "Content-Type: application/graphql"), "MLflow wants JSON"),
        ("no type", Request("POST", "/graphql", plain.encode()), TYPE),
        ("two documents", raw("POST", "/graphql", twice.encode()), ""),
        ("JSON in JSON", raw("POST", "/graphql", json.dumps(plain).encode()), "MLflow fails"),
        ("UTF-16", raw("POST", "/graphql", plain.encode("utf-16")), ""),
        ("a byte order mark", raw("POST", "/graphql", plain.encode("utf-8-sig")), ""),
        ("a batch", raw("POST", "/graphql", f"[{plain}]".encode()), "MLflow fails"),
        ("a NUL in the key", raw("POST", "/graphql", plain.replace('"query"', '"query\\u0000"').encode()), "another field"),
        (
            "chunked",
            raw("POST", "/graphql", b"%x\r\n%s\r\n0\r\n\r\n" % (len(plain), plain.encode()), JSON_TYPE, "Transfer-Encoding: chunked"),
            "MLflow sees no body",
        ),
        ("a HEAD", raw("HEAD", "/graphql", plain.encode()), ""),
        ("a PUT", raw("PUT", "/graphql", plain.encode()), "no such method"),
        ("another prefix", raw("POST", "/ajax-api/2.0/mlflow/graphql", plain.encode()), "no route"),
    ):
        yield attack(f"body: {name}", "engineer", request, OWN_RUN, refuses)


def about_the_schema() -> Iterator[Vector]:
    """Introspection says nothing about models, so nothing of it is harm; it is refused all the same."""
    for name, document in {
        "introspection": "{ __schema { types { name fields { name } } } }",
        "a type": '{ __type(name: "MlflowModelVersion") { fields { name } } }',
        "the test field": '{ test(inputString: "x") { output } }',
        "many aliases": "{ " + " ".join(f'a{i}: test(inputString: "x") {{ output }}' for i in range(200)) + " }",
        "deep": "{ mlflowGetRun " + "{ run " * 400 + "}" * 400 + " }",
        "a circle": "{ ...A } fragment A on Query { ...B } fragment B on Query { ...A }",
    }.items():
        yield attack(name, "engineer", ask(document), OWN_RUN, "it says nothing of models", told=TAKEN)


VECTORS = [*searching_versions(), *runs(), *files(), *bodies(), *about_the_schema()]


@each(VECTORS)
def test_graphql(house: House, kind: str, vector: Vector) -> None:
    """Nothing is gained."""
    house.withstands(vector, kind)

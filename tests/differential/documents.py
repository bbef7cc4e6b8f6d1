"""GraphQL documents, grown from the four that MLflow's web page sends."""

from __future__ import annotations

import json
import random
import re
from dataclasses import dataclass, replace

from drafts import Cast, Change, Draft, put_in

COMPONENT = '@component(name: "MLflow.ExperimentRunTracking")'
RUN = (
    "info { runName status runUuid experimentId artifactUri endTime lifecycleStage startTime userId __typename }"
    " experiment { experimentId name tags { key value __typename } artifactLocation lifecycleStage lastUpdateTime __typename }"
    " modelVersions { status version name source __typename }"
    " data { metrics { key value step timestamp __typename } params { key value __typename } tags { key value __typename } __typename } __typename"
)
ERROR = "apiError { helpUrl code message __typename }"
EXPERIMENT = "experiment { artifactLocation creationTime experimentId lifecycleStage name tags { key value __typename } __typename }"
VERSIONS = "modelVersions { name version source runId description tags { key value } aliases { alias version } }"
TYPES = {
    "mlflowGetExperiment": "MlflowGetExperimentInput!", "mlflowGetRun": "MlflowGetRunInput!", "mlflowSearchRuns": "MlflowSearchRunsInput!",
    "mlflowGetMetricHistoryBulkInterval": "MlflowGetMetricHistoryBulkIntervalInput!", "mlflowListArtifacts": "MlflowListArtifactsInput!",
    "mlflowSearchModelVersions": "MlflowSearchModelVersionsInput!", "mlflowSearchDatasets": "MlflowSearchDatasetsInput!",
}  # fmt: skip
CHOSEN = {
    "mlflowGetExperiment": f"{ERROR} {EXPERIMENT} __typename",
    "mlflowGetRun": f"{ERROR} run {{ {RUN} }} __typename",
    "mlflowSearchRuns": f"{ERROR} runs {{ {RUN} }} __typename",
    "mlflowGetMetricHistoryBulkInterval": f"__typename metrics {{ timestamp step runId key value __typename }} {ERROR}",
    "mlflowListArtifacts": "rootUri files { path isDir fileSize }",
    "mlflowSearchModelVersions": f"{VERSIONS} nextPageToken",
    "mlflowSearchDatasets": "datasetSummaries { experimentId name digest context }",
}


@dataclass(frozen=True)
class Root:
    """One field of the operation."""

    name: str
    argument: str
    chosen: str
    alias: str = ""
    directive: str = ""

    def text(self) -> str:
        """As it stands in a document."""
        return f"{self.alias}{self.name}{self.argument} {self.directive} {{ {self.chosen} }}"


@dataclass(frozen=True)
class Document:
    """An operation, what it is sent with, and what else stands in the text."""

    roots: tuple[Root, ...]
    variables: object
    declared: str
    kind: str = "query"
    name: str = "GetRun"
    directive: str = COMPONENT
    before: str = ""
    after: str = ""
    operation: object = "GetRun"
    more: tuple[tuple[str, object], ...] = ()

    def text(self) -> str:
        """The document itself."""
        declared = f"({self.declared})" if self.declared else ""
        return f"{self.before}{self.kind} {self.name}{declared} {self.directive} {{ {' '.join(root.text() for root in self.roots)} }}{self.after}"

    def body(self) -> list[tuple[str, object]]:
        """The JSON that carries it."""
        return [("operationName", self.operation), ("variables", self.variables), ("query", self.text()), *self.more]


def inputs(cast: Cast) -> list[tuple[str, dict[str, object]]]:
    """What can be asked for, the victim's first; then mine, whose answers could tell of the victim too."""
    victim, mine = cast.victim, cast.mine
    history = {"metricKey": "auc", "startStep": 0, "endStep": 9, "maxResults": 5}
    return [
        ("mlflowGetExperiment", {"experimentId": victim.experiment}),
        ("mlflowGetRun", {"runId": victim.run}),
        ("mlflowGetRun", {"runId": mine.run}),
        ("mlflowSearchRuns", {"filter": "", "experimentIds": [victim.experiment]}),
        ("mlflowSearchRuns", {"filter": "", "experimentIds": [mine.experiment]}),
        ("mlflowGetMetricHistoryBulkInterval", {"runIds": [victim.run], **history}),
        ("mlflowGetMetricHistoryBulkInterval", {"runIds": [mine.run, victim.run], **history}),
        ("mlflowListArtifacts", {"runId": victim.run}),
        ("mlflowListArtifacts", {"runId": mine.run, "path": "../../" + victim.run + "/artifacts"}),
        ("mlflowSearchModelVersions", {"filter": f"name = '{victim.name}'"}),
        ("mlflowSearchModelVersions", {}),
    ]


def plain(cast: Cast) -> list[Draft]:
    """A document for each; what the page asks for itself comes four times as often as what it does not."""
    pages = ("mlflowGetExperiment", "mlflowGetRun", "mlflowSearchRuns", "mlflowGetMetricHistoryBulkInterval")
    return [drawn(document(root, fields)) for root, fields in inputs(cast) for _ in range(4 if root in pages else 1)]


def document(root: str, fields: dict[str, object]) -> Document:
    """The page's own document for that root field."""
    return Document((Root(root, "(input: $data)", CHOSEN[root]),), {"data": fields}, f"$data: {TYPES[root]}")


def drawn(found: Document, draft: Draft | None = None) -> Draft:
    """The request that carries a document."""
    return replace(draft or Draft("POST", "/graphql"), document=found, body=found.body())


def literal(value: object) -> str:
    """A value as a GraphQL text has it."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}: {literal(inner)}" for key, inner in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(literal, value)) + "]"
    return json.dumps(value)


def asked_of(found: Document) -> dict[str, object]:
    """What the document's variable holds."""
    data = found.variables.get("data") if isinstance(found.variables, dict) else None
    return dict(data) if isinstance(data, dict) else {}


def aliased(found: Document, chance: random.Random, cast: Cast) -> Document:
    """Another name for the root, or for something below it."""
    root = found.roots[0]
    alias = chance.choice(("a: ", "mlflowGetRun: ", "mlflowGetExperiment: ", "__typename: ", "name: "))
    if chance.random() < 0.5:
        return with_root(found, replace(root, alias=alias))
    below = chance.choice(("modelVersions", "name", "run", "runs", "info", "data", "params", "source", "version"))
    spelling = chance.choice((f"x: {below}", f"{below}: {chance.choice(('source', 'status', 'name', below))}", f"name: version {below}"))
    return with_root(found, replace(root, chosen=re.sub(rf"\b{below}\b", lambda _: spelling, root.chosen, count=chance.choice((0, 1)))))


def with_root(found: Document, root: Root) -> Document:
    """With another first root."""
    return replace(found, roots=(root, *found.roots[1:]))


def another_root(found: Document, chance: random.Random, cast: Cast) -> Document:
    """A second root field: another, or the same again."""
    name, fields = chance.choice(inputs(cast))
    more = Root(name, f"(input: {literal(fields)})", CHOSEN[name], alias=chance.choice(("", "b: ")))
    odd = chance.choice(
        (
            more,
            more,
            Root("__schema", "", "types { name }"),
            Root("__type", '(name: "Query")', "fields { name }"),
            Root("test", '(inputString: "x")', "output"),
            Root("__typename", "", ""),
        )
    )
    return replace(found, roots=(found.roots[0], odd) if chance.random() < 0.5 else (odd, found.roots[0]))


def other_root(found: Document, chance: random.Random, cast: Cast) -> Document:
    """Another root in place of the document's."""
    name, fields = chance.choice(inputs(cast)[-4:])
    return replace(found, roots=(Root(name, "(input: $data)", CHOSEN[name]),), variables={"data": fields}, declared=f"$data: {TYPES[name]}")


def inline(found: Document, chance: random.Random, cast: Cast) -> Document:
    """The argument in the document, as a literal, a default, a mixture or by another variable's name."""
    root, asked = found.roots[0], asked_of(found)
    mine = {"runId": cast.mine.run, "experimentId": cast.mine.experiment}
    kind = TYPES.get(root.name, "X")
    way = chance.randrange(9)
    if way == 0:
        return replace(with_root(found, replace(root, argument=f"(input: {literal(asked)})")), declared="", variables={})
    if way == 1:
        return replace(
            found,
            declared=f"$data: {kind.rstrip('!')} = {literal(asked)}",
            variables=chance.choice(({}, {"data": mine}, {"data": None}, {"Data": mine}, {"other": mine})),
        )
    if way == 2:
        key = next(iter(asked), "runId")
        changed = replace(root, argument=f"(input: {{{key}: $id}})")
        return replace(with_root(found, changed), declared="$id: String", variables={"id": asked.get(key)})
    if way == 3:
        return replace(found, declared=f"{found.declared}, $more: {kind}", variables={"data": asked, "more": mine})
    if way == 4:
        changed = replace(root, argument="(input: $other)")
        return replace(
            with_root(found, changed),
            declared=f"$data: {kind}, $other: {kind}",
            variables=chance.choice(({"data": mine, "other": asked}, {"other": asked, "data": mine})),
        )
    if way == 5:
        return with_root(
            found,
            replace(
                root,
                argument=chance.choice(
                    (
                        f"(input: {literal(mine)}, input: $data)",
                        f"(input: $data, input: {literal(mine)})",
                        "",
                        "(data: $data)",
                        "(input: $data, x: 1)",
                        "()",
                    )
                ),
            ),
        )
    if way == 6:
        return replace(
            found,
            declared=chance.choice(
                (
                    kind,
                    "$data: String",
                    "$data: [" + kind + "]",
                    "",
                    f"$data: {kind}, $data: {kind}",
                    f"$data: {kind} = null",
                    "$data: Mlflow" + kind,
                )
            ),
        )
    if way == 7:
        return replace(
            found,
            variables=chance.choice(
                (
                    {"data": [asked]},
                    {"data": json.dumps(asked)},
                    {"data": {"input": asked}},
                    {"$data": asked},
                    {"data": {**mine, "data": asked}},
                    [asked],
                    json.dumps({"data": asked}),
                    None,
                )
            ),
        )
    return with_root(
        found,
        replace(
            root,
            argument=chance.choice(
                ("(input:$data)", "(\n,input ,:, $data,)", "(input: $data # x\n)", "(input: {} )", "(input: null)", "(input: $undeclared)")
            ),
        ),
    )


def ids(found: Document, chance: random.Random, cast: Cast) -> Document:
    """The ids by twin names, in lists, in other types, or beside mine."""
    asked = asked_of(found)
    victim, mine = cast.victim, cast.mine
    more: tuple[dict[str, object], ...] = (
        {"runUuid": victim.run}, {"runId": mine.run, "runUuid": victim.run}, {"runUuid": mine.run, "runId": victim.run}, {"run_id": mine.run}, {"run_id": victim.run}, {"RunId": victim.run},
        {"runId": [victim.run]}, {"runId": mine.run}, {"runId": mine.run, "runUuid": None}, {"runId": None, "runUuid": victim.run}, {"runId": "", "runUuid": victim.run}, {"runId": victim.run.upper()},
        {"runId": f" {victim.run}"}, {"runIds": [mine.run, victim.run]}, {"runIds": victim.run}, {"runIds": [[victim.run]]}, {"runIds": []}, {"runId": {"x": victim.run}},
        {"experimentId": mine.experiment}, {"experimentId": int(victim.experiment)}, {"experimentId": f"0{victim.experiment}"}, {"experimentId": f" {victim.experiment}"}, {"experimentId": [victim.experiment]},
        {"experimentIds": victim.experiment}, {"experimentIds": [mine.experiment, victim.experiment]}, {"experimentIds": []}, {"experimentIds": [mine.experiment], "experimentId": victim.experiment},
        {"experimentIds": [f"0{victim.experiment}"]}, {"experimentId": f"00{victim.experiment}"}, {"experimentIds": [int(victim.experiment)]}, {"experimentIds": [mine.experiment, None]}, {"experiment_ids": [victim.experiment]}, {"experimentIds": None},
        {"filter": f"attributes.run_id = '{victim.run}'"}, {"filter": "params.password LIKE '%e%'"}, {"runViewType": "ALL"}, {"maxResults": 1}, {"orderBy": ["params.password"]}, {"pageToken": "x"}, {"path": ".."},
        {"metricKey": "auc' OR '1'='1"}, {"startStep": None}, {"maxResults": "5"},
    )  # fmt: skip
    added = chance.choice(more)
    merged = {**asked, **added} if chance.random() < 0.6 else {**added, **{k: v for k, v in asked.items() if k not in added}}
    return replace(found, variables={**found.variables, "data": merged} if isinstance(found.variables, dict) else {"data": merged})


def fragments(found: Document, chance: random.Random, cast: Cast) -> Document:
    """A part of the selection behind a spread."""
    root = found.roots[0]
    on = chance.choice(
        ("MlflowGetRunResponse", "MlflowSearchRunsResponse", "MlflowRunExtension", "MlflowRun", "MlflowModelVersion", "Query")
    )
    way = chance.randrange(4)
    if way == 0:
        return replace(with_root(found, replace(root, chosen="...F")), after=f" fragment F on {on} {{ {root.chosen} }}")
    if way == 1:
        return with_root(found, replace(root, chosen=f"... {{ {root.chosen} }}"))
    if way == 2:
        return with_root(found, replace(root, chosen=f"... on {on} {{ {root.chosen} }}"))
    return with_root(
        found, replace(root, chosen=re.sub(r"modelVersions \{[^}]*\}", "modelVersions { ... { version source } ...V }", root.chosen))
    )


def directives(found: Document, chance: random.Random, cast: Cast) -> Document:
    """Directives of MLflow's, of the language, and of nobody."""
    text = chance.choice(
        (
            "@skip(if: true)",
            "@skip(if: false)",
            "@include(if: true)",
            "@include(if: false)",
            "@component",
            '@component(name: "x", name: "y")',
            "@component @component",
            "@x",
            "@deprecated",
            "@specifiedBy(url: $data)",
            "@defer",
            '@component(name: "x\\u007d")',
            '@component(name: """x""")',
            "@component(name: $data)",
        )
    )
    way = chance.randrange(3)
    if way == 0:
        return replace(found, directive=text)
    root = found.roots[0]
    if way == 1:
        return with_root(found, replace(root, directive=text))
    below = chance.choice(("name", "modelVersions", "params", "run", "runs"))
    return with_root(
        found, replace(root, chosen=re.sub(rf"\b{below}\b", lambda _: f"{below} {text}", root.chosen, count=chance.choice((0, 1))))
    )


def selection(found: Document, chance: random.Random, cast: Cast) -> Document:
    """More or less below the root."""
    root = found.roots[0]
    way = chance.choice(
        (lambda c: re.sub(r"modelVersions \{[^}]*\}", "modelVersions { source version }", c), lambda c: re.sub(r"modelVersions \{[^}]*\}", "modelVersions { name version source runId tags { key value } aliases { alias version } description }", c),
         lambda c: re.sub(r"modelVersions \{[^}]*\}", "modelVersions { source } modelVersions { name }", c), lambda c: re.sub(r"modelVersions \{[^}]*\}", "modelVersions { name(x: 1) source }", c),
         lambda c: f"{c} {c}", lambda c: f"run {{ run {{ {c} }} }}", lambda c: f"{c} __schema {{ types {{ name }} }}", lambda c: "run { experiment { name } }", lambda c: "__typename", lambda c: "",
         lambda c: "run { info { runUuid } } " * 300, lambda c: "run " + "{ run " * 40 + "{ x }" + " }" * 40, lambda c: c.replace("params", "params(first: 1)"), lambda c: c + " nextPageToken",
         lambda c: re.sub(r"modelVersions \{[^}]*\}", "modelVersions { name { x } source }", c))
    )  # fmt: skip
    return with_root(found, replace(root, chosen=way(root.chosen)))


def operations(found: Document, chance: random.Random, cast: Cast) -> Document:
    """Another kind of operation, two of them, and which one is meant."""
    name, fields = chance.choice(inputs(cast))
    other = f" query Other {{ {name}(input: {literal(fields)}) {{ {CHOSEN[name]} }} }}"
    way = chance.randrange(10)
    if way < 2:
        return replace(found, kind=chance.choice(("mutation", "subscription", "Query", "query query", "{", "fragment")))
    if way < 4:
        return replace(
            found,
            **{chance.choice(("before", "after")): other + " "},
            operation=chance.choice(("Other", "GetRun", None, "", "X", ["Other"])),
        )
    if way == 4:
        return replace(found, kind="", name="", declared="", directive="")
    if way == 5:
        return replace(found, operation=chance.choice((None, "", "Other", 5, {}, [], "GetRun\x00", "getrun")))
    if way == 6:
        return replace(found, name=chance.choice(("", "query", "on", "GetRun2", "G\u00e9t")))
    if way == 7:
        return replace(
            found,
            after=chance.choice(
                (
                    " }",
                    " {",
                    " query",
                    " type X { y: Int }",
                    " extend type Query { x: Int }",
                    " schema { query: Query }",
                    " \x00",
                    " fragment U on Query { __typename }",
                    " query GetRun { __typename }",
                )
            ),
        )
    if way == 8:
        return replace(
            found,
            more=chance.choice(
                (
                    (("extensions", {"persistedQuery": {"version": 1, "sha256Hash": "x"}}),),
                    (("id", "x"),),
                    (("query", other),),
                    (("variables", {"data": fields}),),
                    (("Query", other),),
                    (("doc_id", 1),),
                )
            ),
        )
    return replace(
        found,
        roots=(Root("mlflowSearchRuns", "(input: $data)", CHOSEN["mlflowSearchRuns"]),),
        kind="mutation",
        declared="$data: MlflowSearchRunsInput!",
        variables={"data": {"experimentIds": [cast.victim.experiment]}},
    )


DOCUMENT_CHANGES = (
    aliased,
    aliased,
    another_root,
    another_root,
    other_root,
    inline,
    inline,
    inline,
    ids,
    ids,
    ids,
    fragments,
    fragments,
    directives,
    selection,
    selection,
    operations,
    operations,
)


def grown(draft: Draft, chance: random.Random, cast: Cast) -> Draft:
    """The document changed in one of these ways."""
    if not isinstance(draft.document, Document):
        return draft
    changed = chance.choice(DOCUMENT_CHANGES)(draft.document, chance, cast)
    return drawn(changed, draft)


def letters(draft: Draft, chance: random.Random, _c: Cast) -> Draft:
    """The document's text: comments, commas, escapes, blanks, other encodings of its letters."""
    if not draft.body:
        return draft
    fields = dict(draft.body)
    text = str(fields.get("query", ""))
    way = chance.choice(
        (lambda: "# x\n" + text, lambda: text.replace(" ", ",,"), lambda: text.replace(" ", "\t"), lambda: text.replace(" ", "\r"), lambda: text.replace(" ", "\r\n"), lambda: "\ufeff" + text,
         lambda: text.replace('"', '"""'), lambda: re.sub(r'"(\w)', r'"\\u0061\1', text), lambda: put_in(text, chance.choice(("#", "\n", "\x00", "\u2028", "\u00a0", "\\u007b", '"', "}", "{", "$", "...", "!", "&", "\x0b", "#\r}")), chance),
         lambda: text.replace("mlflow", "MLflow"), lambda: text.replace("{", "{ # }\n"), lambda: text.replace("{", "{ #\r"), lambda: text.replace("__typename", '__typename #"""\n'), lambda: text + "#" * 17_000,
         lambda: text.replace('"MLflow.ExperimentRunTracking"', '"\\"} ) { x } #"'), lambda: text.replace('"MLflow.ExperimentRunTracking"', '"""\\""" x"""'), lambda: text.replace("\"MLflow.ExperimentRunTracking\"", '"\\b\\u{7d}"'))
    )  # fmt: skip
    changed = way()
    return replace(draft, body=[(key, changed if key == "query" else value) for key, value in draft.body])


def carried(draft: Draft, chance: random.Random, _c: Cast) -> Draft:
    """The document in another vessel: a list, a query string, a form, bare, by GET."""
    fields = dict(draft.body or [])
    text, variables = str(fields.get("query", "")), json.dumps(fields.get("variables"))
    body = draft.body_bytes()
    way = chance.randrange(8)
    if way == 0:
        return replace(draft, raw_body=b"[" + body + b"]")
    if way == 1:
        return replace(draft, raw_body=b"[" + body + b"," + body + b"]")
    if way == 2:
        return replace(draft, method="GET", body=None, query=[("query", text), ("variables", variables)])
    if way == 3:
        return replace(draft, method="GET")
    if way == 4:
        return replace(
            draft,
            raw_body=text.encode("utf-8", "replace"),
            headers=[*draft.headers, ("Content-Type", chance.choice(("application/graphql", "application/json")))],
        )
    if way == 5:
        return replace(draft, query=[("query", text), ("variables", variables)], body=chance.choice(([], None, draft.body)))
    if way == 6:
        return replace(draft, body=[(key, json.dumps(value) if key == "variables" else value) for key, value in draft.body or []])
    return replace(
        draft, body=[*(draft.body or []), *chance.choice(([("query", "{ __typename }")], [("variables", {})], [("operationName", "x")]))]
    )


DOCUMENTS: tuple[Change, ...] = (grown, grown, grown, grown, grown, grown, letters, carried)

//! The four GraphQL queries of MLflow's web page, and nothing else.
//!
//! MLflow's schema lets a client ask for every version of every model in one document (`server/graphql`), so a document is
//! parsed, held against the few shapes whose objects can be named and whose answer can be filtered, and written anew.

use graphql_parser::query::{
    Definition, Document, Field, OperationDefinition, Selection, SelectionSet, Value,
};

use crate::operation::{Demand, Permission};
use crate::secret::Hidden;

use super::Misread;
use super::demand::{Demands, Pending, Unknown, experiment};
use super::json::{DEEPEST, Raw, Shape, write_text};

/// A document that may be sent on.
#[derive(Clone, PartialEq, Eq)]
pub struct Asked {
    /// The root field, which an answer carries.
    pub root: String,
    /// The JSON body, written anew.
    pub body: String,
}

impl std::fmt::Debug for Asked {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Asked").field("root", &self.root).field("body", &Hidden).finish()
    }
}

const LONGEST: usize = 16 * 1024;

/// What tells of a version's stage: the page does not ask for it here, and MLflow's is not the true one.
const STAGES: [&str; 2] = ["currentStage", "tags"];

/// Reads `{"query", "variables", "operationName"}`.
pub fn read(body: &[u8]) -> Result<(Asked, Demands), Misread> {
    let raw = Raw::of_body(body)?.ok_or(Misread::Missing("query"))?;
    let (mut query, mut variables) = (None, None);
    for (name, value) in raw.members()? {
        match (&*name, value.shape()) {
            ("query", Shape::Text) => query = Some(value.text()?),
            ("variables", Shape::Object) => variables = Some(value),
            ("operationName", Shape::Text | Shape::Null) | ("variables", Shape::Null) => {}
            _ => {
                return Err(refused(
                    "the body has `query`, `variables` and `operationName` and nothing else",
                ));
            }
        }
    }
    let query = query.ok_or(Misread::Missing("query"))?;
    if query.len() > LONGEST {
        return Err(refused("the document is too long"));
    }
    if !is_plain(&query) {
        return Err(refused("the document may hold visible ASCII alone, without `\\` and block strings"));
    }
    let document: Document<'_, &str> =
        graphql_parser::parse_query(&query).map_err(|_| refused("the document is not valid GraphQL"))?;
    let (root, variable) = the_one_field(&document)?;
    let variables = variables.ok_or(Misread::Missing("variables"))?;
    let input = variables.members()?.into_iter().find(|(name, _)| name == variable).map(|(_, value)| value);
    let demands = demands(root.name, input.ok_or(Misread::Missing("variables"))?)?;
    let mut out = String::from("{\"query\":");
    write_text(&mut out, &document.to_string());
    out.push_str(",\"variables\":");
    variables.rewrite(&mut out, DEEPEST)?;
    out.push('}');
    Ok((Asked { root: root.name.to_owned(), body: out }, demands))
}

/// graphql-parser reads `\b` as U+0010 and writes what is not printable with decimal digits: a string that needs either
/// would be another one behind us. The web page's own documents need neither.
fn is_plain(query: &str) -> bool {
    let visible = |byte: u8| byte == b'\n' || matches!(byte, b' '..=b'~');
    query.bytes().all(visible) && !query.contains('\\') && !query.contains("\"\"\"")
}

fn the_one_field<'a, 'd>(
    document: &'a Document<'d, &'d str>,
) -> Result<(&'a Field<'d, &'d str>, &'d str), Misread> {
    let [Definition::Operation(OperationDefinition::Query(query))] = document.definitions.as_slice() else {
        return Err(refused("a document is one query"));
    };
    let [Selection::Field(root)] = query.selection_set.items.as_slice() else {
        return Err(refused("a query has one root field"));
    };
    let [("input", Value::Variable(variable))] = root.arguments.as_slice() else {
        return Err(refused("the root field's one argument is `input`, a variable"));
    };
    if !query.directives.iter().chain(&root.directives).all(|directive| directive.name == "component") {
        return Err(refused("directives are not allowed"));
    }
    if root.alias.is_some() {
        return Err(refused("aliases are not allowed"));
    }
    plain(&root.selection_set)?;
    Ok((root, *variable))
}

/// No alias, fragment, directive or argument below the root, and versions always with the name by which they are filtered
/// and without their stage.
fn plain<'d>(set: &SelectionSet<'d, &'d str>) -> Result<(), Misread> {
    for selection in &set.items {
        let Selection::Field(field) = selection else { return Err(refused("fragments are not allowed")) };
        if field.alias.is_some() || !field.directives.is_empty() || !field.arguments.is_empty() {
            return Err(refused("aliases, directives and arguments are not allowed below the root"));
        }
        let names_it =
            |inner: &Selection<'d, &'d str>| matches!(inner, Selection::Field(inner) if inner.name == "name");
        let of_stages = |inner: &Selection<'d, &'d str>| matches!(inner, Selection::Field(inner) if STAGES.contains(&inner.name));
        if field.name == "modelVersions" && !field.selection_set.items.iter().any(names_it) {
            return Err(refused("`modelVersions` must be asked for with `name`"));
        }
        if field.name == "modelVersions" && field.selection_set.items.iter().any(of_stages) {
            return Err(refused("stages and tags of `modelVersions` are asked for by `model-versions/get`"));
        }
        plain(&field.selection_set)?;
    }
    Ok(())
}

fn demands(root: &str, input: Raw<'_>) -> Result<Demands, Misread> {
    if input.shape() != Shape::Object {
        return Err(refused("`input` must be an object"));
    }
    let members = input.members()?;
    let ids = |name: &'static str| -> Result<Vec<String>, Misread> {
        match members.iter().find(|(known, _)| known == name).map(|(_, value)| *value) {
            None => Ok(Vec::new()),
            Some(value) if value.shape() == Shape::Text => Ok(vec![value.text()?]),
            Some(value) if value.shape() == Shape::List => {
                value.items()?.into_iter().map(|item| item.text().map_err(Misread::from)).collect()
            }
            Some(_) => Err(Misread::Missing(name)),
        }
    };
    let permission = Permission::TrackingRead;
    let mut demands = Demands::default();
    match root {
        "mlflowGetExperiment" | "mlflowSearchRuns" => {
            let field = if root == "mlflowGetExperiment" { "experimentId" } else { "experimentIds" };
            demands.at_once = ids(field)?.iter().map(|id| Demand::new(permission, experiment(id))).collect();
            if demands.at_once.is_empty() {
                return Err(Misread::Missing(field));
            }
        }
        "mlflowGetRun" | "mlflowGetMetricHistoryBulkInterval" => {
            let (field, twin) =
                if root == "mlflowGetRun" { ("runId", "runUuid") } else { ("runIds", "runIds") };
            let (runs, twins) = (ids(field)?, ids(twin)?);
            if !runs.is_empty() && !twins.is_empty() && runs != twins {
                return Err(refused("`runId` and `runUuid` name different runs"));
            }
            let runs = if runs.is_empty() { twins } else { runs };
            if runs.is_empty() {
                return Err(Misread::Missing(field));
            }
            let pending = |run| Pending { permission, unknown: Unknown::Run(run) };
            demands.pending = runs.into_iter().map(pending).collect();
        }
        _ => return Err(refused("this root field is not one that the web page asks for")),
    }
    demands.once_each()
}

fn refused(why: &'static str) -> Misread {
    Misread::Graphql(why)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn body(query: &str, variables: &str) -> Vec<u8> {
        let query = serde_json::Value::from(query);
        format!(r#"{{"operationName":"X","query":{query},"variables":{variables}}}"#).into_bytes()
    }

    #[track_caller]
    fn check(query: &str, variables: &str, expected: Result<&str, &str>) {
        match (read(&body(query, variables)), expected) {
            (Ok((asked, _)), Ok(root)) => assert_eq!(asked.root, root),
            (Err(error), Err(part)) => assert!(error.to_string().contains(part), "{query}: {error}"),
            (found, _) => panic!("{query} became {found:?}"),
        }
    }

    const RUN: &str = "query GetRun($data: MlflowGetRunInput!) @component(name: \"x\") { mlflowGetRun(input: $data) \
        { run { info { runUuid __typename } modelVersions { name version } } __typename } }";

    #[test]
    fn the_pages_own_queries_pass_and_name_their_objects() {
        check(RUN, r#"{"data":{"runId":"r"}}"#, Ok("mlflowGetRun"));
        check(
            "query A($i: I!) { mlflowGetExperiment(input: $i) { experiment { name } } }",
            r#"{"i":{"experimentId":"1"}}"#,
            Ok("mlflowGetExperiment"),
        );
        let (_, demands) = read(&body(RUN, r#"{"data":{"runId":"r"}}"#)).expect("the page's own query");
        assert_eq!(demands.pending[0].unknown, Unknown::Run("r".into()));
    }

    #[test]
    fn whatever_could_ask_for_more_is_refused() {
        let run = r#"{"data":{"runId":"r"}}"#;
        check(
            "query A($i: I) { mlflowSearchModelVersions(input: $i) { x } }",
            r#"{"i":{}}"#,
            Err("root field"),
        );
        check("mutation A($data: I) { mlflowSearchRuns(input: $data) { x } }", run, Err("one query"));
        check(
            "query A($data: I) { mlflowGetRun(input: $data) { x } mlflowGetRun(input: $data) { y } }",
            run,
            Err("one root field"),
        );
        check("query A($data: I) { a: mlflowGetRun(input: $data) { x } }", run, Err("aliases"));
        check("query A($data: I) { mlflowGetRun(input: $data) { a: run { x } } }", run, Err("aliases"));
        check(
            "query A($data: I) { mlflowGetRun(input: $data) { ...F } } fragment F on X { y }",
            run,
            Err("one query"),
        );
        check("query A($data: I) { mlflowGetRun(input: $data) { ... on X { y } } }", run, Err("fragments"));
        check(
            "query A($data: I) { mlflowGetRun(input: $data) { run { modelVersions { source } } } }",
            run,
            Err("with `name`"),
        );
        for field in ["currentStage", "tags { key value }"] {
            let query = format!(
                "query A($data: I) {{ mlflowGetRun(input: $data) {{ run {{ modelVersions {{ name {field} }} }} }} }}"
            );
            check(&query, run, Err("model-versions/get"));
        }
        check(
            "query A($data: I) { mlflowGetRun(input: $data) { run { modelVersions { name @skip(if: true) } } } }",
            run,
            Err("directives"),
        );
        check("{ mlflowGetRun(input: {runId: \"r\"}) { x } }", "{}", Err("a document is one query"));
        check("query A { mlflowGetRun(input: {runId: \"r\"}) { x } }", "{}", Err("a variable"));
        check(RUN, r#"{"data":{"runId":"mine","runUuid":"victim"}}"#, Err("different runs"));
        check(RUN, r#"{"data":{"runId":"a"},"data":{"runId":"b"}}"#, Err("twice"));
        check(RUN, r#"{"data":{}}"#, Err("runId"));
        for string in ["\"a\\u0012\"", "\"a\\b\"", "\"\"\"a\"\"\"", "\"\u{1f600}\"", "\"\u{7f}\"", "\"\t\""] {
            let query = format!("query A($data: I = {string}) {{ mlflowGetRun(input: $data) {{ x }} }}");
            check(&query, run, Err("visible ASCII"));
        }
        check("query {", "{}", Err("not valid GraphQL"));
        check(
            &format!(
                "query A($data: I) {{ mlflowGetRun(input: $data) {}{} }}",
                "{ a ".repeat(500),
                "}".repeat(500)
            ),
            run,
            Err("not valid"),
        );
        check("{ __schema { types { name } } }", "{}", Err("one query"));
    }
}

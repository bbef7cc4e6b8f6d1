//! Every route of MLflow 3.17.2 and of sekisho's own, a row each: where its parameters are read, what it needs, what it does.
//!
//! The rows are the map that classification, `sekisho routes` and the completeness tests read. What has no row is 404.

pub mod admin;
pub mod artifacts;
pub mod databricks;
pub mod genai;
pub mod own;
pub mod page;
pub mod registry;
pub mod traces;
pub mod tracking;

use crate::operation::{Access, Permission};

pub use artifacts::{Deed, Where};
pub use own::Ours;

/// A request method that a row may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Verb {
    /// GET
    Get,
    /// POST
    Post,
    /// PUT
    Put,
    /// PATCH
    Patch,
    /// DELETE
    Delete,
}

impl Verb {
    /// The method's name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Post => "POST",
            Self::Put => "PUT",
            Self::Patch => "PATCH",
            Self::Delete => "DELETE",
        }
    }

    /// The method as HTTP has it.
    #[must_use]
    pub const fn method(self) -> http::Method {
        match self {
            Self::Get => http::Method::GET,
            Self::Post => http::Method::POST,
            Self::Put => http::Method::PUT,
            Self::Patch => http::Method::PATCH,
            Self::Delete => http::Method::DELETE,
        }
    }

    /// The verb of a method; case counts, unlike in Flask, which would serve `get` by another handler than `GET`.
    #[must_use]
    pub fn of(method: &http::Method) -> Option<Self> {
        [Self::Get, Self::Post, Self::Put, Self::Patch, Self::Delete]
            .into_iter()
            .find(|verb| verb.method() == *method)
    }
}

/// The prefixes under which MLflow serves a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Base {
    /// `/api/2.0/mlflow` and `/ajax-api/2.0/mlflow`.
    V2,
    /// The first of these alone.
    Api2,
    /// The second alone.
    Ajax2,
    /// `/api/3.0/mlflow` and `/ajax-api/3.0/mlflow`.
    V3,
    /// The second of these alone.
    Ajax3,
    /// `/api/2.0/mlflow-artifacts` and `/ajax-api/2.0/mlflow-artifacts`.
    Artifacts2,
    /// `/ajax-api/3.0/jobs`.
    Jobs3,
    /// sekisho's own: `/sekisho/v1`.
    Own,
    /// No prefix.
    Root,
}

impl Base {
    /// The prefixes, without a slash at the end.
    #[must_use]
    pub const fn prefixes(self) -> &'static [&'static str] {
        match self {
            Self::V2 => &["/api/2.0/mlflow", "/ajax-api/2.0/mlflow"],
            Self::Api2 => &["/api/2.0/mlflow"],
            Self::Ajax2 => &["/ajax-api/2.0/mlflow"],
            Self::V3 => &["/api/3.0/mlflow", "/ajax-api/3.0/mlflow"],
            Self::Ajax3 => &["/ajax-api/3.0/mlflow"],
            Self::Artifacts2 => &["/api/2.0/mlflow-artifacts", "/ajax-api/2.0/mlflow-artifacts"],
            Self::Jobs3 => &["/ajax-api/3.0/jobs"],
            Self::Own => &["/sekisho/v1"],
            Self::Root => &[""],
        }
    }
}

/// Where a row's parameters are, as MLflow reads them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// A message: in the query of a GET, in the JSON body of everything else.
    Message(&'static str),
    /// Free JSON in the body and free pairs in the query, no name twice. Only for rows that are decided without them.
    Free,
    /// Nothing beside the path. Answers HEAD as well.
    Nothing,
    /// A file as it is, of any size, streamed.
    Upload,
    /// A file as it is, of at most 10 MiB (`handlers.py` `upload_artifact_handler`), with a message in the query.
    SmallFile(&'static str),
    /// OTLP spans (`otel_api.py`): what decides is in two headers.
    Spans,
    /// A GraphQL document in a JSON body.
    Graphql,
}

/// What an operation needs: a permission and on what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    /// Any verified principal may.
    SignedIn,
    /// A permission on an object.
    On(Permission, Target),
    /// `metadata_write` on the tag that `key` names, or `evidence_write` if it is evidence.
    Tag,
    /// The same for each tag in the list `tags`.
    Tags,
    /// `stage_transition` on the stage that is entered, the one that is left and those that are archived on the way.
    Transition,
    /// Something done to files: their experiment's permission, or what their owner's model asks for.
    Files(Permission, Where, Deed),
    /// Admin if the field is there.
    AdminIf(&'static str),
    /// Found in the document.
    Graphql,
}

/// Where an object's name is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// The registered model in a field.
    Model(&'static str),
    /// The alias in `alias` of the model in `name`.
    Alias,
    /// Models in general: a list whose rows are decided one by one.
    SomeModel,
    /// The experiment in a field.
    Experiment(&'static str),
    /// Those in a list field.
    Experiments(&'static str),
    /// The experiment of the run in `run_id` or `run_uuid`.
    Run,
    /// Those of the runs in a list field.
    Runs(&'static str),
    /// That of the logged model in a field.
    LoggedModel(&'static str),
    /// That of the trace in a field.
    Trace(&'static str),
    /// Those of the traces in a list field.
    Traces(&'static str),
    /// Those of the runs in a field of a list's messages.
    RunsIn(&'static str, &'static str),
    /// Those of the logged models in a field of a list's messages.
    LoggedModelsIn(&'static str, &'static str),
    /// Those in `locations` of a trace search.
    Locations,
    /// That in the trace that is started.
    StartedTrace,
    /// The experiment in the header `x-mlflow-experiment-id`, and that of the run in `x-mlflow-run-id`.
    SpansHeader,
    /// Experiments in general, or one that the request does not name.
    Everywhere,
    /// The server.
    Server,
}

/// What is done to MLflow's answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Nothing.
    AsIs,
    /// Rows of `registered_models` that the caller may not see are left out.
    RegisteredModels,
    /// Rows of `model_versions` that the caller may not see are left out.
    ModelVersions,
    /// A model or a version: stages are called as the house calls them.
    Stages,
    /// The newest version of each stage that is asked for, by the house's stages.
    Latest,
    /// Versions and prompts that the caller may not see are left out of the tags `mlflow.modelVersions` and
    /// `mlflow.linkedPrompts` of logged models, runs and traces, and of spans' attributes of these names.
    Mentions,
    /// The same, and versions inside a GraphQL answer that the caller may not see are left out.
    Graphql,
    /// It is data, never a page of this origin.
    File,
    /// sekisho answers by itself, and MLflow hears nothing of the request.
    Ours(Ours),
}

/// A house rule that looks at the request before it is forwarded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rule {
    /// None.
    None,
    /// The name of the registered model that is created, in `name`, or renamed, in `new_name`.
    Name,
    /// The source and the tags of the version that is created.
    Source,
    /// A version's tag that is set or deleted: what it says of itself stays complete.
    Metadata,
    /// What is deleted, or loses its name, is not in Production.
    NotInService,
    /// The stage that a version enters.
    Transition,
    /// The alias that a version is given.
    Alias,
    /// An address in a store that opens files without sekisho.
    Presigned,
}

/// A route.
#[derive(Debug)]
pub struct Row {
    /// The method.
    pub verb: Verb,
    /// The prefixes.
    pub base: Base,
    /// The rest of the path: `{name}` for one segment, `{name*}` for one or more.
    pub path: &'static str,
    /// Where the parameters are.
    pub form: Form,
    /// What it needs, all of it.
    pub needs: &'static [Need],
    /// Whether it changes anything.
    pub access: Access,
    /// What is done to the answer.
    pub answer: Answer,
    /// A house rule.
    pub rule: Rule,
    /// Whether MLflow serves it under its static prefix (`fastapi_app.py` serves artifact files without it).
    pub below_static_prefix: bool,
    /// Where MLflow serves it, if not at `path`.
    pub mlflows: Option<&'static str>,
    /// Whether the parameters may be in the query where the body has none: Databricks' SDK sends DELETE so.
    pub or_in_query: bool,
}

impl Row {
    const fn answers(mut self, answer: Answer) -> Self {
        self.answer = answer;
        self
    }

    const fn ruled(mut self, rule: Rule) -> Self {
        self.rule = rule;
        self
    }

    const fn without_static_prefix(mut self) -> Self {
        self.below_static_prefix = false;
        self
    }

    const fn called(mut self, path: &'static str) -> Self {
        self.mlflows = Some(path);
        self
    }

    const fn or_in_query(mut self) -> Self {
        self.or_in_query = true;
        self
    }

    /// The row's paths, one for each prefix.
    pub fn paths(&self) -> impl Iterator<Item = String> + '_ {
        self.base.prefixes().iter().map(|prefix| format!("{prefix}/{}", self.path))
    }

    /// Whether the parameters are in the query.
    #[must_use]
    pub fn reads_query(&self) -> bool {
        self.verb == Verb::Get
    }
}

const fn row(
    verb: Verb,
    base: Base,
    path: &'static str,
    form: Form,
    needs: &'static [Need],
    access: Access,
) -> Row {
    Row {
        verb,
        base,
        path,
        form,
        needs,
        access,
        answer: Answer::AsIs,
        rule: Rule::None,
        below_static_prefix: true,
        mlflows: None,
        or_in_query: false,
    }
}

const fn on(permission: Permission, target: Target) -> Need {
    Need::On(permission, target)
}

const fn files(permission: Permission, place: Where, deed: Deed) -> Need {
    Need::Files(permission, place, deed)
}

const ADMIN: &[Need] = &[on(Permission::Admin, Target::Server)];
const SIGNED_IN: &[Need] = &[Need::SignedIn];

/// Every row.
pub fn rows() -> impl Iterator<Item = &'static Row> {
    let tables = [
        registry::ROWS,
        tracking::ROWS,
        traces::ROWS,
        genai::ROWS,
        artifacts::ROWS,
        page::ROWS,
        admin::ROWS,
        own::ROWS,
        databricks::ROWS,
    ];
    tables.into_iter().flatten()
}

/// What the tables are written with.
mod words {
    pub(super) use super::{
        ADMIN, Answer, Base::*, Deed, Form::*, Need, Ours, Row, Rule, SIGNED_IN, Target::*, Where, files, on,
        row,
    };
    pub(super) use crate::operation::{Access::*, Permission::*};
    pub(super) const GET: super::Verb = super::Verb::Get;
    pub(super) const POST: super::Verb = super::Verb::Post;
    pub(super) const PUT: super::Verb = super::Verb::Put;
    pub(super) const PATCH: super::Verb = super::Verb::Patch;
    pub(super) const DELETE: super::Verb = super::Verb::Delete;
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::route::schema::Schema;

    #[test]
    fn every_row_is_distinct_needs_something_and_names_a_known_message() {
        let mut seen = std::collections::HashSet::new();
        for row in rows() {
            for path in row.paths() {
                assert!(seen.insert((row.verb, path.clone())), "{:?} {path} is there twice", row.verb);
            }
            assert!(!row.needs.is_empty(), "{} needs nothing", row.path);
            if let Form::Message(name) | Form::SmallFile(name) = row.form {
                assert!(Schema::named(name).is_some(), "{} reads an unknown {name}", row.path);
            }
        }
        assert!(seen.len() > 500, "{} paths", seen.len());
    }

    #[test]
    fn free_forms_are_for_the_admin_or_decide_nothing() {
        for row in rows().filter(|row| row.form == Form::Free) {
            assert_eq!(row.needs, ADMIN, "{}", row.path);
        }
    }

    #[test]
    fn what_needs_a_reading_permission_alone_is_a_read() {
        use Permission::{AuditRead, MetadataRead, ModelRead, TrackingRead};
        for row in rows() {
            let reads = row.needs.iter().all(|need| match need {
                Need::On(permission, _) | Need::Files(permission, ..) => {
                    matches!(permission, MetadataRead | ModelRead | TrackingRead | AuditRead)
                }
                Need::Graphql => true,
                Need::SignedIn | Need::Tag | Need::Tags | Need::Transition | Need::AdminIf(_) => false,
            });
            if reads {
                assert_eq!(row.access, Access::Read, "{:?} {}", row.verb, row.path);
            } else if row.needs != ADMIN && row.needs != SIGNED_IN {
                assert_eq!(row.access, Access::Write, "{:?} {}", row.verb, row.path);
            }
        }
    }
}

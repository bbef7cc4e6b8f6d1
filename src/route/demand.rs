//! From a row's needs and what was read of the request to demands on named objects.

use std::collections::HashSet;

use http::HeaderMap;

use crate::operation::{Demand, Object, Permission};
use crate::stage::Stage;

use super::Misread;
use super::find::Found;
use super::message::Message;
use super::table::{Deed, Need, Target, Where};

/// A permission on something whose object the request does not name. MLflow must be asked.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Pending {
    /// What is asked for.
    pub permission: Permission,
    /// What must be found out.
    pub unknown: Unknown,
}

/// What a request leaves open.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Unknown {
    /// The experiment of a run.
    Run(String),
    /// The experiment of a logged model.
    LoggedModel(String),
    /// The experiment of a trace.
    Trace(String),
    /// The stage in which a version is now: model and version.
    StageLeft(String, String),
    /// Whose files these are, and what is done to them.
    Files(Address, Deed),
}

/// Files as a request names them. An empty path is all of them.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Address {
    /// A path of the artifact store.
    Store(String),
    /// A run, and a path among its files.
    Run(String, String),
    /// A logged model, and a path among its files.
    LoggedModel(String, String),
    /// An experiment, with everything that is in it.
    Experiment(String),
}

/// What an operation demands: at once, and after asking.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Demands {
    /// On objects that the request names.
    pub at_once: Vec<Demand>,
    /// On objects that it does not.
    pub pending: Vec<Pending>,
}

/// Everything of a request that a need may look at.
pub(super) struct Parts<'a> {
    pub(super) found: &'a Found,
    pub(super) message: &'a Message,
    pub(super) headers: &'a HeaderMap,
}

/// The header that names the experiment of OTLP spans (`server/otel_api.py`).
pub const EXPERIMENT_HEADER: &str = "x-mlflow-experiment-id";

/// The header that names a run to which the traces are linked; it may be left out.
pub const RUN_HEADER: &str = "x-mlflow-run-id";

pub(super) fn of(parts: &Parts<'_>) -> Result<Demands, Misread> {
    let mut demands = Demands::default();
    for need in parts.found.row.needs {
        demands.add(need, parts)?;
    }
    let tracking = parts.found.row.needs.iter().find_map(|need| match need {
        Need::On(permission, target) if target.is_tracking() => Some(*permission),
        Need::On(..)
        | Need::SignedIn
        | Need::Tag
        | Need::Tags
        | Need::Transition
        | Need::Files(..)
        | Need::AdminIf(_)
        | Need::Graphql => None,
    });
    if let Some(permission) = tracking.filter(|_| demands.at_once.is_empty() && demands.pending.is_empty()) {
        demands.at_once.push(Demand::new(permission, Object::EveryExperiment));
    }
    demands.once_each()
}

/// Objects that one request may name: each is decided, and a body has room for many thousands.
const MOST_OBJECTS: usize = 10_000;

impl Target {
    fn is_tracking(self) -> bool {
        !matches!(self, Self::Model(_) | Self::Alias | Self::SomeModel | Self::Server)
    }
}

impl Demands {
    /// Every demand once, in the order of the request, and not too many of them.
    pub(super) fn once_each(mut self) -> Result<Self, Misread> {
        let mut seen = HashSet::new();
        self.at_once.retain(|demand| seen.insert(demand.clone()));
        let mut seen = HashSet::new();
        self.pending.retain(|pending| seen.insert(pending.clone()));
        if self.at_once.len() + self.pending.len() > MOST_OBJECTS {
            return Err(Misread::TooManyObjects(MOST_OBJECTS));
        }
        Ok(self)
    }

    fn add(&mut self, need: &Need, parts: &Parts<'_>) -> Result<(), Misread> {
        match *need {
            Need::SignedIn | Need::Graphql => {}
            Need::On(permission, target) => self.on(permission, target, parts)?,
            Need::Tag => {
                let key = parts.required("key")?;
                self.tag(parts.model("name")?, key);
            }
            Need::Tags => {
                let model = parts.model("name")?;
                let copy = is_copy(parts.message);
                for tag in parts.message.messages("tags") {
                    let key = tag.text("key").ok_or(Misread::Missing("tags.key"))?;
                    if !(copy && key.starts_with(EVIDENCE)) {
                        self.tag(model, key);
                    }
                }
            }
            Need::Transition => self.transition(parts)?,
            Need::AdminIf(field) => {
                if parts.text(field).is_some() {
                    self.push(Permission::Admin, Object::Server);
                }
            }
            Need::Files(permission, place, deed) => {
                let unknown = Unknown::Files(parts.address(place)?, deed);
                self.pending.push(Pending { permission, unknown });
            }
        }
        Ok(())
    }

    fn on(&mut self, permission: Permission, target: Target, parts: &Parts<'_>) -> Result<(), Misread> {
        let message = parts.message;
        match target {
            Target::Model(field) => self.push(permission, Object::Model(parts.model(field)?.into())),
            Target::Alias => {
                let (model, alias) = (parts.model("name")?, parts.required("alias")?);
                self.push(permission, Object::Alias(model.into(), alias.into()));
            }
            Target::SomeModel => self.push(permission, Object::SomeModel),
            Target::Server => self.push(permission, Object::Server),
            Target::Everywhere => self.push(permission, Object::EveryExperiment),
            Target::Experiment(field) => self.experiments(permission, parts.text(field)),
            Target::Experiments(field) => self.experiments(permission, message.texts(field)),
            Target::SpansHeader => {
                let mut sent = parts.headers.get_all(EXPERIMENT_HEADER).iter();
                match (sent.next().map(http::HeaderValue::to_str), sent.next()) {
                    (Some(Ok(id)), None) => self.experiments(permission, Some(id)),
                    _ => return Err(Misread::Header(EXPERIMENT_HEADER)),
                }
                let mut runs = parts.headers.get_all(RUN_HEADER).iter();
                match (runs.next().map(http::HeaderValue::to_str), runs.next()) {
                    (None, _) => {}
                    (Some(Ok(run)), None) => self.ask(permission, Some(run), Unknown::Run),
                    _ => return Err(Misread::Header(RUN_HEADER)),
                }
            }
            Target::Run => self.ask(permission, parts.run(), Unknown::Run),
            Target::Runs(field) => self.ask(permission, message.texts(field), Unknown::Run),
            Target::LoggedModel(field) => self.ask(permission, parts.text(field), Unknown::LoggedModel),
            Target::Trace(field) => self.ask(permission, parts.text(field), Unknown::Trace),
            Target::Traces(field) => self.ask(permission, message.texts(field), Unknown::Trace),
            Target::RunsIn(list, field) => self.ask(permission, parts.inside(list, field), Unknown::Run),
            Target::LoggedModelsIn(list, field) => {
                self.ask(permission, parts.inside(list, field), Unknown::LoggedModel);
            }
            Target::Locations => {
                for location in message.messages("locations") {
                    self.location(permission, location);
                }
            }
            Target::StartedTrace => {
                let trace = message.message("trace").and_then(|trace| trace.message("trace_info"));
                if let Some(location) = trace.and_then(|info| info.message("trace_location")) {
                    self.location(permission, location);
                }
            }
        }
        Ok(())
    }

    fn location(&mut self, permission: Permission, location: &Message) {
        match location.message("mlflow_experiment").and_then(|experiment| experiment.text("experiment_id")) {
            Some(id) => self.experiments(permission, Some(id)),
            None => self.push(permission, Object::EveryExperiment),
        }
    }

    fn experiments<'a>(&mut self, permission: Permission, ids: impl IntoIterator<Item = &'a str>) {
        for id in ids {
            self.push(permission, experiment(id));
        }
    }

    fn ask<'a>(
        &mut self,
        permission: Permission,
        ids: impl IntoIterator<Item = &'a str>,
        unknown: impl Fn(String) -> Unknown,
    ) {
        for id in ids {
            let pending = Pending { permission, unknown: unknown(id.to_owned()) };
            if !self.pending.contains(&pending) {
                self.pending.push(pending);
            }
        }
    }

    fn tag(&mut self, model: &str, key: &str) {
        let permission =
            if key.starts_with(EVIDENCE) { Permission::EvidenceWrite } else { Permission::MetadataWrite };
        self.push(permission, Object::Tag(model.into(), key.into()));
    }

    fn transition(&mut self, parts: &Parts<'_>) -> Result<(), Misread> {
        let (model, version) = (parts.model("name")?, parts.required("version")?);
        let entered = parts.required("stage")?;
        let entered = Stage::named(entered).ok_or_else(|| Misread::Stage(super::shortened(entered)))?;
        let stages =
            [Some(entered), parts.message.is_true("archive_existing_versions").then_some(Stage::Archived)];
        for stage in stages.into_iter().flatten() {
            self.push(Permission::StageTransition, Object::Stage(model.into(), stage.as_str().into()));
        }
        let unknown = Unknown::StageLeft(model.to_owned(), version.to_owned());
        self.pending.push(Pending { permission: Permission::StageTransition, unknown });
        Ok(())
    }

    fn push(&mut self, permission: Permission, object: Object) {
        self.at_once.push(Demand::new(permission, object));
    }
}

impl<'a> Parts<'a> {
    fn text(&self, field: &str) -> Option<&'a str> {
        self.found.param(field).or(self.message.text(field))
    }

    fn inside(&self, list: &str, field: &'static str) -> impl Iterator<Item = &'a str> {
        self.message.messages(list).filter_map(move |inner| inner.text(field))
    }

    fn required(&self, field: &'static str) -> Result<&'a str, Misread> {
        self.text(field).ok_or(Misread::Missing(field))
    }

    fn run(&self) -> Option<&'a str> {
        self.text("run_id").or(self.text("run_uuid"))
    }

    /// The address of files; whose they are must be said, which of them need not be.
    fn address(&self, place: Where) -> Result<Address, Misread> {
        let path = |field| self.text(field).unwrap_or_default().to_owned();
        let run = || self.run().map(str::to_owned).ok_or(Misread::Missing("run_id"));
        let model = || self.required("model_id").map(str::to_owned);
        Ok(match place {
            Where::Store(field) => Address::Store(path(field)),
            Where::Part(folder, field) => {
                let name = self.required(field)?;
                Address::Store(format!("{}/{}", path(folder), name.rsplit('/').next().unwrap_or(name)))
            }
            Where::Run(field) => Address::Run(run()?, path(field)),
            Where::LoggedModel(field) => Address::LoggedModel(model()?, path(field)),
            Where::Either(field) => match (self.run(), self.text("model_id")) {
                (Some(_), Some(_)) => return Err(Misread::Disagree("model_id".to_owned())),
                (None, Some(id)) => Address::LoggedModel(id.to_owned(), path(field)),
                (_, None) => Address::Run(run()?, path(field)),
            },
            Where::Experiment(field) => Address::Experiment(self.required(field)?.to_owned()),
            Where::WholeRun => Address::Run(run()?, String::new()),
            Where::WholeModel => Address::LoggedModel(model()?, String::new()),
        })
    }

    fn model(&self, field: &'static str) -> Result<&'a str, Misread> {
        model_name(field, self.required(field)?)
    }
}

/// A registered model's name, if it can be one.
///
/// # Errors
/// [`Misread::UnshowableName`], [`Misread::ModelName`].
pub fn model_name<'a>(field: &'static str, name: &'a str) -> Result<&'a str, Misread> {
    if name.chars().any(char::is_control) || name == "." || name == ".." {
        return Err(Misread::UnshowableName(field));
    }
    if name.contains(['/', ':']) { Err(Misread::ModelName(super::shortened(name))) } else { Ok(name) }
}

/// What the keys of tags begin with that tell of test results.
pub const EVIDENCE: &str = "evidence.";

/// Whether a version is made of another one, whose tags the client sends again (`tracking/client.py` `copy_model_version`).
/// What of these would not be its to set is decided when it is known which of them the other one has.
#[must_use]
pub fn is_copy(message: &Message) -> bool {
    let named = message.text("source").and_then(|source| source.strip_prefix("models:/"));
    named.is_some_and(|named| named.contains(['/', '@']))
}

/// The object of an experiment's id; one that is no plain id is nobody's. Of a number there is one spelling: MLflow and its
/// database read `01` and `0_1` as 1.
#[must_use]
pub fn experiment(id: &str) -> Object {
    let plain = !id.is_empty()
        && id.len() <= 64
        && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte));
    let word = id.bytes().any(|byte| byte.is_ascii_alphabetic());
    let number = id == "0" || (!id.starts_with('0') && id.bytes().all(|byte| byte.is_ascii_digit()));
    if plain && (word || number) { Object::Experiment(id.into()) } else { Object::EveryExperiment }
}

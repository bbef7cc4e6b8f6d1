//! A row's needs in words, for `sekisho routes`.

use crate::operation::Permission;

use super::table::{Need, Row, Target, Where};

impl Row {
    /// Permissions and objects, in the row's order, joined by `, ` where there are several.
    #[must_use]
    pub fn needs_in_words(&self) -> (String, String) {
        let words: Vec<(&str, String)> = self.needs.iter().map(Need::in_words).collect();
        let mut permissions: Vec<&str> = words.iter().map(|(permission, _)| *permission).collect();
        permissions.dedup();
        let objects: Vec<&str> = words.iter().map(|(_, object)| object.as_str()).collect();
        (permissions.join(", "), objects.join(", "))
    }
}

impl Need {
    fn in_words(&self) -> (&'static str, String) {
        match self {
            Self::SignedIn => ("authenticated", "server".to_owned()),
            Self::On(permission, target) => (permission.as_str(), target.in_words()),
            Self::Tag => (Permission::MetadataWrite.as_str(), "model:{name}/tag/{key}".to_owned()),
            Self::Tags => (Permission::MetadataWrite.as_str(), "model:{name}/tag/{tags.key}".to_owned()),
            Self::Transition => {
                (Permission::StageTransition.as_str(), "model:{name}/stage/{stage}".to_owned())
            }
            Self::Files(permission, place, _) => (permission.as_str(), place.in_words()),
            Self::AdminIf(field) => (Permission::Admin.as_str(), format!("server if {field}")),
            Self::Graphql => (Permission::TrackingRead.as_str(), "experiment:{document}".to_owned()),
        }
    }
}

impl Target {
    fn in_words(self) -> String {
        match self {
            Self::Model(field) => format!("model:{{{field}}}"),
            Self::Alias => "model:{name}/alias/{alias}".to_owned(),
            Self::SomeModel => "model:*".to_owned(),
            Self::Experiment(field) | Self::Experiments(field) => format!("experiment:{{{field}}}"),
            Self::Run => "experiment:{run_id}".to_owned(),
            Self::Runs(field) | Self::LoggedModel(field) | Self::Trace(field) | Self::Traces(field) => {
                format!("experiment:{{{field}}}")
            }
            Self::RunsIn(list, field) | Self::LoggedModelsIn(list, field) => {
                format!("experiment:{{{list}.{field}}}")
            }
            Self::Locations => "experiment:{locations}".to_owned(),
            Self::StartedTrace => "experiment:{trace.trace_info.trace_location}".to_owned(),
            Self::SpansHeader => "experiment:{x-mlflow-experiment-id}".to_owned(),
            Self::Everywhere => "experiment:*".to_owned(),
            Self::Server => "server".to_owned(),
        }
    }
}

impl Where {
    fn in_words(self) -> String {
        match self {
            Self::Store(field) | Self::Part(field, _) => format!("files:{{{field}}}"),
            Self::Run(field) => format!("files:{{run_id}}/{{{field}}}"),
            Self::LoggedModel(field) => format!("files:{{model_id}}/{{{field}}}"),
            Self::Either(field) => format!("files:{{run_id or model_id}}/{{{field}}}"),
            Self::WholeRun => "files:{run_id}".to_owned(),
            Self::Experiment(field) => format!("files:{{{field}}}"),
            Self::WholeModel => "files:{model_id}".to_owned(),
        }
    }
}

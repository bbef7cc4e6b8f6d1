//! House rules as the policies folder has them: what a model may be called, where a version's files may come from, what a
//! version must say of itself, and what it takes to go from stage to stage.

pub mod metadata;
pub mod names;
mod reading;
mod sources;
pub mod transitions;
mod written;

use std::path::Path;

use crate::mistake::Mistake;

use metadata::Metadata;
use names::Names;
use reading::Said;
use transitions::Transitions;
use written::Written;

/// The file of the rules, inside the folder of policies.
pub const RULES_FILE: &str = "rules.toml";
/// The file of the rules on stages, beside it.
pub const STAGES_FILE: &str = "stages.toml";
/// The JSON Schema over a version's tags, beside them.
pub const SCHEMA_FILE: &str = "metadata.schema.json";

/// All house rules of one folder at one moment.
#[derive(Debug)]
pub struct Rules {
    /// What a model may be called.
    pub names: Names,
    /// What a version must say of itself.
    pub metadata: Metadata,
    /// When it must have said so.
    pub at: At,
    /// Addresses besides those of section 7 below which a version's files may lie. Each has a scheme and a host, and ends
    /// in `/`, so that a source lies below it if it begins with it.
    pub sources: Vec<String>,
    /// Which rules hold for prompts, too.
    pub prompts: Prompts,
    /// What it takes to go from stage to stage.
    pub stages: Transitions,
}

/// When the metadata of a version must be whole.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum At {
    /// In the create call.
    Create,
    /// When the version leaves `Development`.
    #[default]
    Transition,
    /// Never; what is missing is only told.
    Warn,
}

/// Which rules hold for prompts, which are registered models with MLflow's tag.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Prompts {
    /// What they may be called.
    pub names: bool,
    /// What their versions must say.
    pub metadata: bool,
}

impl Rules {
    /// Reads the three files of a folder.
    ///
    /// # Errors
    /// Every mistake in them at once, sorted by file and line.
    pub fn parse(dir: &Path, rules: &[u8], stages: &[u8], schema: &[u8]) -> Result<Self, Vec<Mistake>> {
        let file = &dir.join(RULES_FILE);
        let mut mistakes = Vec::new();
        let written = Written::read(file, rules, &mut mistakes);
        let names = Names::of(file, &written, &mut mistakes);
        let sources = sources::listed(file, &written.prefixes, &mut mistakes);
        let at = written.at.as_ref().map_or(Some(At::default()), |said| At::of(file, said, &mut mistakes));
        let stages = Transitions::parse(&dir.join(STAGES_FILE), stages, &mut mistakes);
        let schema_file = dir.join(SCHEMA_FILE);
        let metadata =
            Metadata::parse(schema).map_err(|what| mistakes.push(Mistake::of(schema_file, what))).ok();
        let prompts = Prompts { names: written.names_of_prompts, metadata: written.metadata_of_prompts };
        match (names, metadata, at, stages) {
            (Some(names), Some(metadata), Some(at), Some(stages)) if mistakes.is_empty() => {
                Ok(Self { names, metadata, at, sources, prompts, stages })
            }
            _ => {
                mistakes.sort();
                mistakes.dedup();
                Err(mistakes)
            }
        }
    }
}

impl At {
    /// As it is written.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Transition => "transition",
            Self::Warn => "warn",
        }
    }

    fn of(file: &Path, said: &Said<String>, mistakes: &mut Vec<Mistake>) -> Option<Self> {
        let found =
            [Self::Create, Self::Transition, Self::Warn].into_iter().find(|at| at.as_str() == said.value);
        if found.is_none() {
            let what = format!(
                "`metadata.at`: {} is not one of `create`, `transition`, `warn`",
                names::shown(&said.value)
            );
            mistakes.push(Mistake::at(file, said.line, what));
        }
        found
    }
}

#[cfg(test)]
mod tests;

//! House rules that must know something of MLflow: names that others have, and what a version says of itself.

use serde::de::IgnoredAny;

use crate::authz::Permit;
use crate::facts::{FactError, Version, query};
use crate::govern::{Broken, Mode, tags};
use crate::operation::{Demand, Object, Permission};
use crate::ownership::{Holding, PATIENCE};
use crate::reject::Rejection;
use crate::route::demand::is_copy;
use crate::route::message::Message;
use crate::rules::names::skeleton;
use crate::rules::{At, Rules};
use crate::stage::Stage;
use crate::stages::Known;
use crate::store::StoreError;

use super::Gate;
use super::frozen::words;

/// House rules that a request breaks where they are not enforced: each rule's word and its sentence.
pub(super) type Warned = Vec<(&'static str, String)>;

impl Gate {
    /// Refuses, or lets pass and tells, as the mode has it.
    pub(super) fn broken(&self, broken: Broken, warned: &mut Warned) -> Result<(), Rejection> {
        match (self.rules, broken.rule()) {
            (Mode::Warn, Some(rule)) => {
                warned.push((rule, broken.to_string()));
                Ok(())
            }
            (Mode::Off, Some(_)) => Ok(()),
            (Mode::Enforce, _) | (_, None) => Err(broken.into()),
        }
    }

    /// What a registered model is to be called. A name that is taken is MLflow's to refuse: `register_model` relies on how it
    /// does. Whoever wants a name has those that look like it for themselves until they are answered.
    pub(super) async fn name(
        &self,
        permit: &Permit,
        message: &Message,
        holding: &mut Holding,
        warned: &mut Warned,
    ) -> Result<(), Rejection> {
        let former = message.text("new_name").and(message.text("name"));
        let Some(name) = message.text("new_name").or(message.text("name")) else { return Ok(()) };
        if self.rules == Mode::Off || former == Some(name) {
            return Ok(());
        }
        if name.chars().count() > LONGEST_NAME {
            let long = format!("it has more than {LONGEST_NAME} characters");
            return self.broken(Broken::Name(long), warned);
        }
        let looks = skeleton(name);
        let door = format!("name {looks}");
        holding.add(self.ownership.doors.have_alone(&[&door], PATIENCE).await);
        let broken = match self.wrong_name(permit.rules(), name, former, message).await? {
            Some(broken) => broken,
            None if self.registry.look_alike(&self.facts, &self.mlflow, name, former, skeleton).await? => {
                Broken::LookAlike(name.to_owned())
            }
            None => return Ok(()),
        };
        let path = query("/api/2.0/mlflow/registered-models/get", &[("name", name)]);
        match self.facts.if_there::<IgnoredAny>(&self.mlflow, &path).await? {
            Some(_) => Ok(()),
            None => self.broken(broken, warned),
        }
    }

    async fn wrong_name(
        &self,
        rules: &Rules,
        name: &str,
        former: Option<&str>,
        message: &Message,
    ) -> Result<Option<Broken>, FactError> {
        let Err(wrong) = rules.names.read(name) else { return Ok(None) };
        let wrong = Broken::Name(wrong.to_string());
        let prompt = match former {
            _ if rules.prompts.names => false,
            None => tags::makes_prompt(message),
            Some(former) => self.facts.is_prompt(&self.mlflow, former).await? == Some(true),
        };
        Ok((!prompt).then_some(wrong))
    }

    /// Under a name that only a prompt may have, there are prompts' versions alone.
    pub(super) async fn not_under_a_prompt(
        &self,
        permit: &Permit,
        message: &Message,
        warned: &mut Warned,
    ) -> Result<(), Rejection> {
        let rules = permit.rules();
        let Some(name) = message.text("name") else { return Ok(()) };
        if self.rules == Mode::Off || rules.prompts.names || tags::is_prompt_source(message) {
            return Ok(());
        }
        let Err(wrong) = rules.names.read(name) else { return Ok(()) };
        match self.facts.is_prompt(&self.mlflow, name).await? {
            Some(true) => {
                let wrong = format!("only a prompt may have it, and this version is none: {wrong}");
                self.broken(Broken::Name(wrong), warned)
            }
            Some(false) | None => Ok(()),
        }
    }

    /// What a new version says of itself, where that must be said at once.
    pub(super) fn says_enough(
        &self,
        permit: &Permit,
        message: &Message,
        warned: &mut Warned,
    ) -> Result<(), Rejection> {
        let rules = permit.rules();
        let prompt = tags::is_prompt_source(message) && !rules.prompts.metadata;
        if rules.at == At::Transition || self.rules == Mode::Off || prompt {
            return Ok(());
        }
        let said = message.messages("tags");
        let said = said.filter_map(|tag| {
            Some((tag.text("key")?.to_owned(), tag.text("value").unwrap_or_default().to_owned()))
        });
        match lacking(rules, &said.collect()) {
            Some(lacks) => self.lacks(rules, Broken::Metadata(lacks), warned),
            None => Ok(()),
        }
    }

    /// A version's tag is set or deleted: one that said all that it must goes on to do so, where that is enforced. `found` is
    /// the version, if it was looked at already.
    pub(super) async fn stays_complete(
        &self,
        permit: &Permit,
        message: &Message,
        deletes: bool,
        found: Option<Version>,
        holding: &mut Holding,
        warned: &mut Warned,
    ) -> Result<(), Rejection> {
        let rules = permit.rules();
        let (Some(model), Some(version), Some(key)) =
            (message.text("name"), message.text("version"), message.text("key"))
        else {
            return Ok(());
        };
        if self.rules == Mode::Off || !rules.metadata.concerns(key) {
            return Ok(());
        }
        let found = match found {
            Some(found) => Some(found),
            None => self.held_version(model, version, holding).await?,
        };
        let Some(found) = found else { return Ok(()) };
        if exempt(rules, &found) || lacking(rules, &found.tags).is_some() {
            return Ok(());
        }
        let stage = self.where_stands(model, version, &found);
        let (created, mut tags) = (found.created, found.tags);
        if deletes {
            tags.remove(key);
        } else {
            // To set none is to set an empty one.
            tags.insert(key.to_owned(), message.text("value").unwrap_or_default().to_owned());
        }
        match lacking(rules, &tags) {
            Some(_) if rules.at == At::Transition && stage == Stage::Development => {
                self.is_not_promoted(model, version, created, holding).await
            }
            Some(lacks) => self.lacks(rules, Broken::Incomplete(lacks), warned),
            None => Ok(()),
        }
    }

    /// Until the request is answered, no other sekisho promotes a version in `Development` that says less from now on.
    async fn is_not_promoted(
        &self,
        model: &str,
        version: &str,
        created: i64,
        holding: &mut Holding,
    ) -> Result<(), Rejection> {
        let Ok(version) = version.parse() else { return Ok(()) };
        let door = words(model, version);
        holding.add(self.ownership.doors.have_alone(&[&door], PATIENCE).await);
        if !self.stages_are_read() {
            return Err(StoreError::Waiting(self.store.kind()).into());
        }
        let known = self.stages.of(model, version, created);
        if known.is_some_and(Known::is_frozen) { Err(Rejection::Overtaken) } else { Ok(()) }
    }

    /// What a version says of itself when it is promoted.
    pub(super) fn says_all(
        &self,
        rules: &Rules,
        found: &Version,
        warned: &mut Warned,
    ) -> Result<(), Rejection> {
        if exempt(rules, found) {
            return Ok(());
        }
        match lacking(rules, &found.tags) {
            Some(lacks) => self.lacks(rules, Broken::Metadata(lacks), warned),
            None => Ok(()),
        }
    }

    /// Where a version stands, whatever MLflow shows.
    pub(super) fn where_stands(&self, model: &str, version: &str, found: &Version) -> Stage {
        let tag = found.tags.get(STAGE_TAG).map(String::as_str);
        // A number that no version has is in no table.
        let number = version.parse().unwrap_or(0);
        self.stages.true_stage(model, number, found.created, tag, &found.stage)
    }

    fn lacks(&self, rules: &Rules, broken: Broken, warned: &mut Warned) -> Result<(), Rejection> {
        if rules.at == At::Warn && self.rules == Mode::Enforce {
            warned.extend(broken.rule().map(|rule| (rule, broken.to_string())));
            return Ok(());
        }
        self.broken(broken, warned)
    }

    /// A version as it stays until the request is answered.
    pub(super) async fn held_version(
        &self,
        model: &str,
        version: &str,
        holding: &mut Holding,
    ) -> Result<Option<Version>, FactError> {
        *holding = Holding::Alone(self.alone_with(model, version).await);
        self.facts.version(&self.mlflow, model, version).await
    }

    /// Two writes of one version's tags and stage do not pass each other between the look and the deed, nor what is done to
    /// the model as a whole.
    pub(super) async fn alone_with(&self, model: &str, version: &str) -> crate::ownership::Alone {
        let (all, door) = doors(model, version);
        let whole = self.ownership.doors.enter(&[&all]).await;
        self.ownership.doors.have_alone(&[&door], PATIENCE).await.beside(whole)
    }

    /// Nobody deletes or renames a version while something is written into it of which nobody waits for the end: MLflow
    /// refuses a deletion with 400 when a tag comes between its steps.
    pub(super) async fn beside(&self, model: &str, version: &str) -> crate::ownership::Inside {
        let (all, door) = doors(model, version);
        self.ownership.doors.enter(&[&all, &door]).await
    }

    /// The same with all versions of a model.
    pub(super) async fn alone_with_all(&self, model: &str) -> crate::ownership::Alone {
        self.ownership.doors.have_alone(&[&doors(model, "").0], PATIENCE).await
    }

    /// Of the tags that a copy's maker sends again, those that the original has are dropped; what is left is decided as if it
    /// were set.
    pub(super) async fn copied_tags(
        &self,
        permit: Permit,
        message: &mut Message,
    ) -> Result<Permit, Rejection> {
        if !is_copy(message) || tags::kept_from(message).next().is_none() {
            return Ok(permit);
        }
        let named =
            message.text("source").and_then(|source| source.strip_prefix("models:/")?.rsplit_once('/'));
        let mut original = match named {
            Some((model, version))
                if version.bytes().all(|byte| byte.is_ascii_digit())
                    && permit.rests_on(Permission::MetadataRead, Object::Model(model.into())) =>
            {
                self.facts.version(&self.mlflow, model, version).await?
            }
            _ => None,
        };
        // The maker sends again what was shown.
        if let (Some((model, version)), Some(original)) = (named, &mut original) {
            let number = version.parse().unwrap_or_default();
            self.stage_in_words(model, number, original).await;
        }
        let tags = original.map(|original| original.tags).unwrap_or_default();
        let evidence = tags::drop_copied(message, &tags)?;
        let model = message.text("name").unwrap_or_default();
        let tag = |key: &String| Object::Tag(model.into(), key.as_str().into());
        let demands = evidence.iter().map(|key| Demand::new(Permission::EvidenceWrite, tag(key)));
        Ok(permit.and(demands.collect())?)
    }
}

/// What MLflow's table has room for (`store/model_registry/dbmodels/models.py`); SQLite does not hold it.
const LONGEST_NAME: usize = 256;

/// Behind the first is whoever is busy with a model or any version of it, behind the second with this one.
fn doors(model: &str, version: &str) -> (String, String) {
    (format!("all of {model}"), format!("version {version} of {model}"))
}

/// The tag that shows a version's stage.
pub(super) const STAGE_TAG: &str = "sekisho.stage";

/// All that is missing, in one sentence.
pub(super) fn lacking(rules: &Rules, tags: &std::collections::BTreeMap<String, String>) -> Option<String> {
    let lacks = rules.metadata.lacks(tags);
    let all: Vec<String> = lacks.iter().map(ToString::to_string).collect();
    (!all.is_empty()).then(|| all.join("; "))
}

/// Whether a version is a prompt's, and prompts are not asked.
pub(super) fn exempt(rules: &Rules, found: &Version) -> bool {
    !rules.prompts.metadata && tags::are_a_prompts(&found.tags)
}

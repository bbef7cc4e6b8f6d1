//! The registered models and versions as MLflow has them, in memory: for look-alikes of names and for searches by metadata.
//!
//! Each of the two is read on first need. Names are read on from where that was left before each answer. Versions are kept
//! up by the writes that pass here: what they touched is asked for again before the next answer. MLflow gives no time for
//! a tag's change, so a write to a version past this process is seen when everything is read again, at most [`REREAD`]
//! later (three times that while somebody else is reading it).

mod condition;
mod depends;
mod found;
mod names;
mod question;
mod rows;
mod touched;
mod words;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::try_join_all;
use parking_lot::{Mutex, RwLock};
use tokio::time::Instant;

use crate::facts::pages::{Reader, VERSIONS};
use crate::facts::{FactError, Facts, VersionRow};
use crate::route::message::Message;
use crate::seal::{KeyError, Seal};
use crate::secret::Secret;
use crate::stage::Stage;
use crate::stages::Stages;
use crate::upstream::Upstream;

pub use found::{Found, Page};
pub use names::Skeleton;
pub use question::{BadQuestion, Question};

use names::Names;
use question::Place;
use rows::{Row, Rows, Version};
use touched::{Heard, Touched};

/// Versions are read again when they were read so long ago.
pub const REREAD: Duration = Duration::from_secs(300);
/// And nobody is answered from what is older than so many times that.
const PATIENCE: u32 = 3;
/// So many versions are asked for at once.
const AT_ONCE: usize = 8;
/// So many rows are looked at before others have a turn.
const TURN: usize = 100;
/// A page ends where it has so many bytes, about.
const PAGE_BYTES: usize = 4 * 1024 * 1024;

/// The registry.
#[derive(Debug)]
pub struct Registry {
    seal: Result<Seal, KeyError>,
    reread: Duration,
    names: Names,
    rows: RwLock<Rows>,
    heard: Heard,
    /// When the rows were begun to be read.
    read: Mutex<Option<Instant>>,
    /// Held by whoever reads everything.
    reading: tokio::sync::Mutex<()>,
    /// Held by whoever asks again for what was touched.
    asking: tokio::sync::Mutex<()>,
}

/// Why a search has no answer.
#[derive(Debug, thiserror::Error)]
pub enum SearchError {
    /// The question.
    #[error(transparent)]
    Question(#[from] BadQuestion),
    /// MLflow could not be asked.
    #[error(transparent)]
    Fact(#[from] FactError),
    /// No token could be made.
    #[error(transparent)]
    Key(#[from] KeyError),
}

impl Default for Registry {
    /// One whose page tokens die with this process.
    fn default() -> Self {
        Self::new(None)
    }
}

impl Registry {
    /// Knows nothing yet. Page tokens are the same for every instance with this secret.
    #[must_use]
    pub fn new(secret: Option<&Secret>) -> Self {
        Self {
            seal: Seal::new(secret, b"page tokens of searches"),
            reread: REREAD,
            names: Names::default(),
            rows: RwLock::default(),
            heard: Heard::default(),
            read: Mutex::default(),
            reading: tokio::sync::Mutex::default(),
            asking: tokio::sync::Mutex::default(),
        }
    }

    /// The same, but versions are read again when they were read so long ago.
    #[must_use]
    pub fn rereading_after(self, reread: Duration) -> Self {
        Self { reread, ..self }
    }

    /// Whether another model looks like this one: one that is not of the very same name, and not `except`.
    ///
    /// # Errors
    /// MLflow could not be asked, or not understood.
    pub async fn look_alike(
        &self,
        facts: &Facts,
        mlflow: &Upstream,
        name: &str,
        except: Option<&str>,
        skeleton: Skeleton,
    ) -> Result<bool, FactError> {
        self.names.look_alike(facts, mlflow, name, except, skeleton).await
    }

    /// The names of all models and prompts, in order.
    ///
    /// # Errors
    /// As [`Registry::look_alike`].
    pub async fn names(
        &self,
        facts: &Facts,
        mlflow: &Upstream,
        skeleton: Skeleton,
    ) -> Result<Vec<Arc<str>>, FactError> {
        self.names.all(facts, mlflow, skeleton).await
    }

    /// A registry write passed: what it touched is asked for again before the next answer.
    pub fn heard(&self, path: &str, message: &Message) {
        self.heard.write(path, message);
        // Where the new name fits no filter, its versions are looked for by the numbers that they had.
        if let (Some(former), Some(name)) = (message.text("name"), message.text("new_name"))
            && named(name).is_none()
        {
            let numbers = self.rows.read().of_model(former);
            numbers.into_iter().for_each(|number| self.heard.version(name, number));
        }
    }

    /// A version was written to by sekisho itself.
    pub fn touched(&self, model: &str, version: u64) {
        self.heard.version(model, version);
    }

    /// Reads everything again, while others are answered from what is there.
    ///
    /// # Errors
    /// As [`Registry::look_alike`].
    pub async fn refresh(
        &self,
        facts: &Facts,
        mlflow: &Upstream,
        skeleton: Skeleton,
    ) -> Result<(), FactError> {
        self.names.refresh(facts, mlflow, skeleton).await?;
        let _turn = self.reading.lock().await;
        self.read_all(facts, mlflow).await
    }

    /// How many versions are known.
    #[must_use]
    pub fn count(&self) -> usize {
        self.rows.read().count()
    }

    /// One page of what a question asks for, of models that are `seen` alone: what is hidden is not looked at. Stages are the
    /// true ones.
    ///
    /// # Errors
    /// [`SearchError`].
    pub async fn search(
        &self,
        facts: &Facts,
        mlflow: &Upstream,
        question: &Question,
        user: &str,
        (seen, stages): (&(dyn Fn(&str) -> bool + Sync), &Stages),
    ) -> Result<Page, SearchError> {
        let seal = self.seal.as_ref().map_err(|error| *error)?;
        let after = question.after(seal, user)?;
        self.catch_up(facts, mlflow).await?;
        let found = self.find(question, after.as_ref(), (seen, stages)).await;
        let (mut shown, mut weight) = (Vec::new(), 0);
        let mut last = None;
        let more = found.len();
        for (place, version) in found.into_iter().take(question.most) {
            weight += version.weight();
            if weight > PAGE_BYTES && last.is_some() {
                break;
            }
            shown.push(Found::of(&place.key, &version, stages));
            last = Some(place);
        }
        let next = last.filter(|_| more > shown.len());
        let next_page_token = next.map(|last| question.token(seal, user, &last)).transpose()?;
        Ok(Page { model_versions: shown, next_page_token })
    }

    /// The rows of a page and one more, in the answer's order.
    async fn find(
        &self,
        question: &Question,
        after: Option<&Place>,
        (seen, stages): (&(dyn Fn(&str) -> bool + Sync), &Stages),
    ) -> Vec<(Place, Arc<Version>)> {
        let enough = question.most + 1;
        let mut found: BTreeMap<Place, Arc<Version>> = BTreeMap::new();
        let mut at = after.filter(|_| question.in_kept_order()).map(|after| after.key.clone());
        let mut known: Option<(Arc<str>, bool)> = None;
        loop {
            let rows = self.rows.read().after(at.as_ref(), TURN);
            for (key, version) in &rows {
                let visible = match &known {
                    Some((name, visible)) if *name == key.0 => *visible,
                    Some(_) | None => seen(&key.0),
                };
                known = Some((Arc::clone(&key.0), visible));
                if !visible || !question.holds(key, version, stages) {
                    continue;
                }
                let place = question.place(key, version);
                if after.is_some_and(|after| place <= *after) {
                    continue;
                }
                found.insert(place, Arc::clone(version));
                if found.len() > enough {
                    found.pop_last();
                }
            }
            let done = question.in_kept_order() && found.len() == enough;
            match rows.into_iter().last() {
                Some((last, _)) if !done => at = Some(last),
                Some(_) | None => return found.into_iter().collect(),
            }
            tokio::task::yield_now().await;
        }
    }

    /// The versions of a model that stand in a stage, by number.
    ///
    /// # Errors
    /// MLflow could not be asked, or not understood.
    pub async fn standing_in(
        &self,
        facts: &Facts,
        mlflow: &Upstream,
        stages: &Stages,
        model: &str,
        stage: Stage,
    ) -> Result<Vec<u64>, FactError> {
        self.catch_up(facts, mlflow).await?;
        self.model_again(facts, mlflow, model).await?;
        Ok(self.rows.read().standing_in(model, stage, stages))
    }

    /// Hears from MLflow of every write that passed here before this call.
    async fn catch_up(&self, facts: &Facts, mlflow: &Upstream) -> Result<(), FactError> {
        match self.age() {
            Some(age) if age < self.reread && !self.heard.all() => {}
            // Somebody is reading it: what is there will do for a while.
            Some(age) if age < self.reread * PATIENCE && !self.heard.all() => {
                if let Ok(_turn) = self.reading.try_lock() {
                    self.read_all(facts, mlflow).await?;
                }
            }
            Some(_) | None => {
                let _turn = self.reading.lock().await;
                if self.heard.all() || self.age().is_none_or(|age| age >= self.reread) {
                    self.read_all(facts, mlflow).await?;
                }
            }
        }
        self.ask_again(facts, mlflow).await
    }

    fn age(&self) -> Option<Duration> {
        self.read.lock().map(|read| read.elapsed())
    }

    async fn read_all(&self, facts: &Facts, mlflow: &Upstream) -> Result<(), FactError> {
        let begun = Instant::now();
        self.heard.reading();
        let mut fresh = Rows::default();
        let maker = fresh.maker();
        let keep = |shown: VersionRow| maker.row(shown);
        let shown = Reader { facts, mlflow, list: VERSIONS, keep }.all("").await?;
        shown.rows.into_iter().for_each(|row| fresh.insert(row));
        let former = &mut fresh;
        self.heard.have_read(|| std::mem::swap(&mut *self.rows.write(), former));
        *self.read.lock() = Some(begun);
        Ok(())
    }

    async fn ask_again(&self, facts: &Facts, mlflow: &Upstream) -> Result<(), FactError> {
        let _turn = self.asking.lock().await;
        let taken = self.heard.take();
        let Touched { models, versions, .. } = &taken.touched;
        for model in models {
            self.model_again(facts, mlflow, model).await?;
        }
        let done = |model: &String| models.contains(model) && named(model).is_some();
        let versions: Vec<&(String, u64)> = versions.iter().filter(|(model, _)| !done(model)).collect();
        for some in versions.chunks(AT_ONCE) {
            try_join_all(
                some.iter().map(|(model, number)| self.version_again(facts, mlflow, model, *number)),
            )
            .await?;
        }
        taken.done();
        Ok(())
    }

    async fn version_again(
        &self,
        facts: &Facts,
        mlflow: &Upstream,
        model: &str,
        number: u64,
    ) -> Result<bool, FactError> {
        let found = facts.version_row(mlflow, model, &number.to_string()).await?;
        let there = found.is_some();
        let mut rows = self.rows.write();
        match found.map(|found| rows.maker().row(found)) {
            Some(row) if *row.key.0 == *model => rows.insert(row),
            Some(_) | None => rows.remove(model, number),
        }
        Ok(there)
    }

    async fn model_again(&self, facts: &Facts, mlflow: &Upstream, model: &str) -> Result<(), FactError> {
        let Some(filter) = named(model) else { return self.one_by_one(facts, mlflow, model).await };
        let maker = self.rows.read().maker();
        let keep = |shown: VersionRow| maker.row(shown);
        let shown = Reader { facts, mlflow, list: VERSIONS, keep }.all(&filter).await?;
        let found: Vec<Row> = shown.rows.into_iter().filter(|row| *row.key.0 == *model).collect();
        let kept: BTreeSet<u64> = found.iter().map(|row| row.key.1).collect();
        let mut rows = self.rows.write();
        for gone in rows.of_model(model).into_iter().filter(|number| !kept.contains(number)) {
            rows.remove(model, gone);
        }
        found.into_iter().for_each(|row| rows.insert(row));
        Ok(())
    }

    /// A model whose name cannot be written in one of MLflow's filters: what is known of it, and what follows that.
    async fn one_by_one(&self, facts: &Facts, mlflow: &Upstream, model: &str) -> Result<(), FactError> {
        let known = self.rows.read().of_model(model);
        for number in &known {
            self.version_again(facts, mlflow, model, *number).await?;
        }
        let mut next = known.last().map_or(1, |last| last.saturating_add(1));
        while self.version_again(facts, mlflow, model, next).await? {
            next = next.saturating_add(1);
        }
        Ok(())
    }
}

/// A filter for one model, where its name needs no care.
#[must_use]
pub fn named(model: &str) -> Option<String> {
    let plain = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '_' | '-' | '.' | ' ');
    model.chars().all(plain).then(|| format!("name = '{model}'"))
}

#[cfg(test)]
mod tests;

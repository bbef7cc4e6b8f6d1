//! The names of all registered models, by what they look like.
//!
//! Names are read once, and read on from where that was left before each answer, because a model may have been registered
//! past this process. One that is in the way is asked for before anybody is refused for it: it may be gone.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;
use serde::Deserialize;
use serde::de::IgnoredAny;

use crate::facts::pages::{self, Asked, MODELS, Reader};
use crate::facts::{FactError, Facts, query};
use crate::upstream::Upstream;

/// How a name is reduced to what it looks like.
pub type Skeleton = fn(&str) -> String;

#[derive(Debug, Default)]
pub(super) struct Names {
    known: Mutex<Known>,
    /// How many times MLflow was asked for what is new.
    begun: AtomicU64,
    /// The latest of these that is done.
    done: tokio::sync::Mutex<Done>,
}

#[derive(Debug, Default)]
struct Known(HashMap<Box<str>, HashSet<Arc<str>>>);

#[derive(Debug, Default)]
struct Done {
    /// Which of the times that MLflow was asked.
    number: u64,
    /// Nothing until everything was read without a row moving.
    asked: Option<Asked>,
    /// When the latest change was made that was seen, by MLflow's clock.
    latest: Option<i64>,
}

/// A model as MLflow's search shows it.
#[derive(Deserialize)]
struct Row {
    name: String,
    #[serde(default)]
    last_updated_timestamp: i64,
}

impl pages::Row for Row {
    fn is(&self, other: &Self) -> bool {
        self.name == other.name
    }

    fn updated(&self) -> i64 {
        self.last_updated_timestamp
    }
}

impl Names {
    /// Whether another model looks like this one; neither `except` nor a model of the very same name counts.
    pub(super) async fn look_alike(
        &self,
        facts: &Facts,
        mlflow: &Upstream,
        name: &str,
        except: Option<&str>,
        skeleton: Skeleton,
    ) -> Result<bool, FactError> {
        self.catch_up(facts, mlflow, skeleton).await?;
        let wanted = skeleton(name);
        let alike = self.known.lock().alike(&wanted);
        for found in alike {
            if &*found == name || except == Some(&*found) {
                continue;
            }
            let path = query("/api/2.0/mlflow/registered-models/get", &[("name", &found)]);
            let there: Option<IgnoredAny> = facts.if_there(mlflow, &path).await?;
            if there.is_some() {
                return Ok(true);
            }
            self.known.lock().remove(&wanted, &found);
        }
        Ok(false)
    }

    /// Every name, in order. One that was deleted past this process may still be among them.
    pub(super) async fn all(
        &self,
        facts: &Facts,
        mlflow: &Upstream,
        skeleton: Skeleton,
    ) -> Result<Vec<Arc<str>>, FactError> {
        self.catch_up(facts, mlflow, skeleton).await?;
        let mut names: Vec<Arc<str>> = self.known.lock().0.values().flatten().cloned().collect();
        names.sort_unstable();
        Ok(names)
    }

    /// Hears from MLflow of every model that was registered or renamed before this call.
    async fn catch_up(&self, facts: &Facts, mlflow: &Upstream, skeleton: Skeleton) -> Result<(), FactError> {
        let arrived = self.begun.load(Ordering::SeqCst);
        let mut done = self.done.lock().await;
        if done.number > arrived {
            return Ok(());
        }
        let number = self.begun.fetch_add(1, Ordering::SeqCst) + 1;
        let Some(before) = done.asked else {
            return self.read_all(facts, mlflow, skeleton, (&mut done, number)).await;
        };
        let shown = reader(facts, mlflow).changed(before).await?;
        if shown.latest < done.latest {
            // What was the latest is gone, and so may be more: MLflow's database may have been put back.
            return self.read_all(facts, mlflow, skeleton, (&mut done, number)).await;
        }
        let mut known = self.known.lock();
        if shown.all {
            *known = Known::default();
        }
        known.take_in(shown.rows, skeleton);
        drop(known);
        *done = Done { number, asked: Some(shown.asked), latest: shown.latest };
        Ok(())
    }

    /// Reads every name again.
    pub(super) async fn refresh(
        &self,
        facts: &Facts,
        mlflow: &Upstream,
        skeleton: Skeleton,
    ) -> Result<(), FactError> {
        let mut done = self.done.lock().await;
        let number = self.begun.fetch_add(1, Ordering::SeqCst) + 1;
        self.read_all(facts, mlflow, skeleton, (&mut done, number)).await
    }

    async fn read_all(
        &self,
        facts: &Facts,
        mlflow: &Upstream,
        skeleton: Skeleton,
        (done, number): (&mut Done, u64),
    ) -> Result<(), FactError> {
        let shown = reader(facts, mlflow).all("").await?;
        let mut fresh = Known::default();
        fresh.take_in(shown.rows, skeleton);
        *self.known.lock() = fresh;
        *done = Done { number, asked: shown.all.then_some(shown.asked), latest: shown.latest };
        Ok(())
    }
}

fn reader<'a>(facts: &'a Facts, mlflow: &'a Upstream) -> Reader<'a, impl Fn(Row) -> Row> {
    Reader { facts, mlflow, list: MODELS, keep: |row: Row| row }
}

impl Known {
    fn take_in(&mut self, rows: Vec<Row>, skeleton: Skeleton) {
        for Row { name, .. } in rows {
            let looks = skeleton(&name).into_boxed_str();
            self.0.entry(looks).or_default().insert(name.into());
        }
    }

    fn alike(&self, skeleton: &str) -> Vec<Arc<str>> {
        self.0.get(skeleton).into_iter().flatten().cloned().collect()
    }

    fn remove(&mut self, skeleton: &str, name: &str) {
        if let Some(names) = self.0.get_mut(skeleton) {
            names.remove(name);
            if names.is_empty() {
                self.0.remove(skeleton);
            }
        }
    }
}

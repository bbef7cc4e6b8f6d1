//! Whose files are these? Files belong to the model of the earliest living version that was registered from them; until
//! there is one, to their experiment (DESIGN section 7).
//!
//! What MLflow has registered is kept in an index: read once, kept up by the writes that pass, and read on from where it
//! was left whenever it does not know of a registration, because a registration may have been made past this process. So
//! nobody is let to files by an index that is behind with registrations, and nobody is refused by one that is behind with
//! deletions: before a refusal MLflow is asked whether the version is still there. A version that lets somebody in was
//! there at most [`TRUSTED`] ago.

mod address;
mod area;
mod doors;
mod fill;
mod index;
mod places;
mod underway;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::RwLock;
use serde::Deserialize;
use tokio::sync::Mutex;
use tokio::time::Instant;

pub use address::Place;
pub use area::{Wanted, Zone, within};
pub use doors::{Alone, Doors, Holding, Inside, PATIENCE};
pub use index::Registration;
pub use underway::{Change, Reach, Underway};

use crate::facts::pages::Asked;
use crate::facts::{FactError, Facts, Holder, query};
use crate::govern::sources::Source;
use crate::route::message::Message;
use crate::upstream::Upstream;

use index::Index;

/// For how long a version is taken to be there after MLflow has said so, when it lets somebody in: 30 s.
pub const TRUSTED: Duration = Duration::from_secs(30);

/// A version that has files in common with what is wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Overlap {
    /// The version.
    pub registration: Registration,
    /// Which files.
    pub zone: Zone,
}

/// Who has registered what.
#[derive(Debug, Default)]
pub struct Ownership {
    index: RwLock<Index>,
    /// How many times MLflow was asked for what is new.
    begun: AtomicU64,
    /// The latest of these that is done.
    done: Mutex<Done>,
    /// Who is at whose files just now.
    pub doors: Doors,
    /// Which files are being changed just now.
    pub underway: Arc<Underway>,
}

#[derive(Debug, Default)]
struct Done {
    /// Which of the times that MLflow was asked.
    number: u64,
    /// Nothing until everything was read once.
    asked: Option<Asked>,
    /// When the latest change was made that was seen, by MLflow's clock.
    latest: Option<i64>,
    /// Whether everything was seen at once.
    all: bool,
}

impl Ownership {
    /// What is known to be registered of the files that are wanted, the earliest first; it may be behind.
    #[must_use]
    pub fn known(&self, wanted: &Wanted) -> Vec<Overlap> {
        let near = self.index.read().near(wanted).into_iter();
        near.filter_map(|registration| {
            let zone = wanted.zone(&registration.area)?;
            Some(Overlap { registration, zone })
        })
        .collect()
    }

    /// Every version with files that is known; it may be behind.
    #[must_use]
    pub fn all(&self) -> Vec<Registration> {
        self.index.read().all()
    }

    /// How many versions with files are known.
    #[must_use]
    pub fn count(&self) -> usize {
        self.index.read().count()
    }

    /// Hears from MLflow whatever was registered before this call.
    ///
    /// # Errors
    /// MLflow could not be asked, or not understood.
    pub async fn catch_up(&self, facts: &Facts, mlflow: &Upstream) -> Result<(), FactError> {
        let arrived = self.begun.load(Ordering::SeqCst);
        let mut done = self.done.lock().await;
        if done.number > arrived {
            return Ok(());
        }
        let number = self.begun.fetch_add(1, Ordering::SeqCst) + 1;
        let seen = Instant::now();
        let mut shown = match done.asked {
            None => fill::all(facts, mlflow).await?,
            Some(before) => fill::changed(facts, mlflow, before).await?,
        };
        if shown.latest < done.latest {
            // What was the latest is gone, and so may be more: MLflow's database may have been put back.
            shown = fill::all(facts, mlflow).await?;
        }
        if shown.all {
            self.index.write().keep_only(shown.rows.iter().map(|row| (&*row.name, &*row.version)));
        }
        fill::take_in(facts, mlflow, shown.rows, &self.index, seen).await?;
        *done = Done { number, asked: Some(shown.asked), latest: shown.latest, all: shown.all };
        Ok(())
    }

    /// Hears from MLflow of every version of these files, whenever it was registered: one that was deleted may be back.
    ///
    /// # Errors
    /// As [`Ownership::catch_up`].
    pub async fn look_again(
        &self,
        facts: &Facts,
        mlflow: &Upstream,
        wanted: &Wanted,
    ) -> Result<(), FactError> {
        if self.done.lock().await.all {
            return Ok(());
        }
        let seen = Instant::now();
        let id = wanted.holder.iter().map(|holder| match holder {
            Holder::Run(id) | Holder::LoggedModel(id) => id.as_str(),
        });
        let ids: Vec<&str> = id.chain(wanted.run.as_deref()).collect();
        let rows = fill::of(facts, mlflow, &ids).await?;
        fill::take_in(facts, mlflow, rows, &self.index, seen).await
    }

    /// Whether a version is still there, as MLflow says or said less than `trusted` ago. One that is not is forgotten.
    ///
    /// # Errors
    /// As [`Ownership::catch_up`].
    pub async fn stands(
        &self,
        facts: &Facts,
        mlflow: &Upstream,
        registration: &Registration,
        trusted: Duration,
    ) -> Result<bool, FactError> {
        #[derive(Deserialize)]
        struct Answer {
            model_version: Version,
        }
        #[derive(Deserialize)]
        struct Version {
            #[serde(default)]
            creation_timestamp: i64,
        }
        if registration.seen.elapsed() <= trusted {
            return Ok(true);
        }
        let version = registration.version.to_string();
        let pairs = [("name", &*registration.model), ("version", version.as_str())];
        let now = Instant::now();
        let path = query("/api/2.0/mlflow/model-versions/get", &pairs);
        let found: Option<Answer> = facts.if_there(mlflow, &path).await?;
        let key = (Arc::clone(&registration.model), registration.version);
        let stands =
            found.is_some_and(|found| found.model_version.creation_timestamp == registration.created);
        let mut index = self.index.write();
        if stands {
            index.confirm(&key, now);
        } else {
            index.remove(&key);
        }
        Ok(stands)
    }

    /// A write to the registry was done: what it took away is forgotten. What it added is heard of when it is looked for.
    pub fn heard(&self, path: &str, message: &Message) {
        let Some(model) = message.text("name") else { return };
        let mut index = self.index.write();
        match path {
            "model-versions/delete" => {
                if let Some(version) = message.text("version").and_then(|version| version.parse().ok()) {
                    index.remove(&(model.into(), version));
                }
            }
            "registered-models/delete" => {
                for gone in index.of_model(model) {
                    index.remove(&(gone.model, gone.version));
                }
            }
            "registered-models/rename" => {
                let Some(name) = message.text("new_name") else { return };
                for former in index.of_model(model) {
                    index.remove(&(Arc::clone(&former.model), former.version));
                    index.insert(Registration { model: name.into(), ..former });
                }
            }
            _ => {}
        }
    }

    /// The runs and logged models of an experiment that versions were registered from.
    ///
    /// # Errors
    /// As [`Ownership::catch_up`]; an experiment with more of them than are looked at.
    pub async fn in_experiment(
        &self,
        facts: &Facts,
        mlflow: &Upstream,
        id: &str,
    ) -> Result<Vec<Wanted>, FactError> {
        let all = |(holder, root)| Wanted {
            holder: Some(holder),
            root,
            run: None,
            name: None,
            path: String::new(),
        };
        let wanted = fill::holders(facts, mlflow, id).await?.into_iter().map(all);
        Ok(wanted.filter(|wanted| !self.known(wanted).is_empty()).collect())
    }

    /// The logged models of a run that versions were registered from, as the run's folder of their name that they are
    /// (`store/artifact/runs_artifact_repo.py`): what else `runs:/RUN/PATH` may mean.
    ///
    /// # Errors
    /// As [`Ownership::catch_up`].
    pub async fn by_another_name(
        &self,
        facts: &Facts,
        mlflow: &Upstream,
        wanted: &Wanted,
    ) -> Result<Vec<Wanted>, FactError> {
        let mut ids = Vec::new();
        for registration in self.index.read().near(wanted) {
            if let Source::LoggedModel(files) = registration.area
                && !ids.contains(&files.id)
            {
                ids.push(files.id);
            }
        }
        let mut found = Vec::new();
        for id in ids {
            let holder = Holder::LoggedModel(id);
            let Some(held) = facts.held(mlflow, &holder).await? else { continue };
            let name = held.name.clone().unwrap_or_default();
            let path = if within(&name, &wanted.path) {
                ""
            } else if let Some(path) = wanted.path.strip_prefix(&name).and_then(|rest| rest.strip_prefix('/'))
            {
                path
            } else {
                continue;
            };
            found.push(Wanted::of(holder, &held, path));
        }
        Ok(found)
    }
}

/// Of versions that are known, those whose model may write to the files: of each file the earliest version that has it.
#[must_use]
pub fn owners<'o>(overlaps: &'o [Overlap], wanted: &Wanted) -> Vec<&'o Registration> {
    let mut earlier: Vec<&Zone> = Vec::new();
    let mut owners = Vec::new();
    for Overlap { registration, zone } in overlaps {
        let here = if zone.of_all { &wanted.path } else { &zone.begins };
        if !earlier.iter().any(|zone| within(here, &zone.begins)) {
            owners.push(registration);
        }
        earlier.push(zone);
    }
    owners
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::govern::sources;

    fn overlaps(versions: &[(&str, &str)], wanted: &Wanted) -> Vec<Overlap> {
        let ownership = Ownership::default();
        for (created, (model, source)) in versions.iter().enumerate() {
            ownership.index.write().insert(Registration {
                model: (*model).into(),
                version: 1,
                created: created.try_into().expect("a small number"),
                run: None,
                area: sources::area(source),
                seen: Instant::now(),
            });
        }
        ownership.known(wanted)
    }

    #[track_caller]
    fn check(path: &str, versions: &[(&str, &str)], expected: &[&str]) {
        let holder = Some(Holder::Run("r".into()));
        let root = "mlflow-artifacts:/1/r/artifacts".into();
        let wanted = Wanted { holder, root, run: None, name: None, path: path.into() };
        let overlaps = overlaps(versions, &wanted);
        let found: Vec<&str> = owners(&overlaps, &wanted).iter().map(|owner| &*owner.model).collect();
        assert_eq!(found, expected, "{path}");
    }

    #[test]
    fn the_earliest_version_owns_a_file_and_copies_own_nothing() {
        let copies = [("one", "runs:/r/model"), ("copy", "runs:/r/model"), ("part", "runs:/r/model/data")];
        check("model/MLmodel", &copies, &["one"]);
        check("model/data/x", &copies, &["one"]);
        check("model", &copies, &["one"]);
        check("", &copies, &["one"]);
        check("plot.png", &copies, &[]);
        let part_first = [("part", "runs:/r/model/data"), ("all", "runs:/r/model")];
        check("model/MLmodel", &part_first, &["all"]);
        check("model/data/x", &part_first, &["part"]);
        check("model", &part_first, &["part", "all"]);
        check("", &[("a", "runs:/r/a"), ("b", "runs:/r/b")], &["a", "b"]);
        check("a", &[("prompt", "dummy-source"), ("b", "runs:/r/b")], &[]);
    }

    #[test]
    fn what_is_deleted_or_renamed_here_is_known_at_once() {
        let schema = |name| crate::route::schema::Schema::named(name).expect("a known message");
        let message =
            |name, body: &str| Message::of_json(schema(name), body.as_bytes()).expect("a sound body");
        let ownership = Ownership::default();
        for (model, version) in [("a", 1), ("a", 2), ("b", 1)] {
            ownership.index.write().insert(Registration {
                model: model.into(),
                version,
                created: 0,
                run: None,
                area: sources::area("runs:/r/model"),
                seen: Instant::now(),
            });
        }
        let names = || {
            let holder = Some(Holder::Run("r".into()));
            let wanted = Wanted { holder, root: String::new(), run: None, name: None, path: String::new() };
            let known = ownership.known(&wanted).into_iter().map(|overlap| overlap.registration);
            known.map(|known| format!("{}/{}", known.model, known.version)).collect::<Vec<_>>()
        };
        ownership
            .heard("model-versions/delete", &message("DeleteModelVersion", r#"{"name":"a","version":"1"}"#));
        assert_eq!(names(), ["a/2", "b/1"]);
        ownership.heard(
            "registered-models/rename",
            &message("RenameRegisteredModel", r#"{"name":"a","new_name":"c"}"#),
        );
        assert_eq!(names(), ["b/1", "c/2"]);
        ownership.heard("registered-models/delete", &message("DeleteRegisteredModel", r#"{"name":"b"}"#));
        assert_eq!(names(), ["c/2"]);
    }
}

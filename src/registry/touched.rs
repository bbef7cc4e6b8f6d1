//! What was written since MLflow was asked: it is asked for again before the next answer.

use std::collections::BTreeSet;

use parking_lot::Mutex;

use crate::route::message::Message;

/// More than these at once, and everything is read again.
const MOST: usize = 500;

/// Models and versions that are not as they were.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Touched {
    pub(super) models: BTreeSet<String>,
    pub(super) versions: BTreeSet<(String, u64)>,
    /// Too many to name.
    pub(super) all: bool,
}

impl Touched {
    fn merge(&mut self, other: Self) {
        self.all |= other.all;
        self.models.extend(other.models);
        self.versions.extend(other.versions);
        self.settle();
    }

    fn settle(&mut self) {
        if self.models.len() + self.versions.len() > MOST {
            *self = Self { all: true, ..Self::default() };
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        !self.all && self.models.is_empty() && self.versions.is_empty()
    }
}

/// What was heard of writes.
#[derive(Debug, Default)]
pub(super) struct Heard(Mutex<Since>);

#[derive(Debug, Default)]
struct Since {
    /// Not yet asked for again.
    pending: Touched,
    /// Since everything was begun to be read; nothing while it is not.
    reading: Option<Touched>,
}

impl Heard {
    /// A version was written to.
    pub(super) fn version(&self, model: &str, version: u64) {
        self.note(|touched| touched.versions.extend([(model.to_owned(), version)]));
    }

    /// Versions of a model came, went or changed, it is not said which.
    pub(super) fn model(&self, model: &str) {
        self.note(|touched| touched.models.extend([model.to_owned()]));
    }

    fn note(&self, note: impl Fn(&mut Touched)) {
        let since = &mut *self.0.lock();
        for touched in [Some(&mut since.pending), since.reading.as_mut()].into_iter().flatten() {
            if !touched.all {
                note(touched);
                touched.settle();
            }
        }
    }

    /// What a write to MLflow's registry touches.
    pub(super) fn write(&self, path: &str, message: &Message) {
        let Some(model) = message.text("name") else { return };
        let version = message.text("version").and_then(|version| version.parse().ok());
        match (path, version) {
            // A model without versions, and what no version shows.
            (
                "registered-models/create"
                | "registered-models/update"
                | "registered-models/set-tag"
                | "registered-models/delete-tag"
                | "registered-models/alias",
                _,
            ) => {}
            ("model-versions/transition-stage", Some(_)) if message.is_true("archive_existing_versions") => {
                self.model(model);
            }
            (
                "model-versions/update"
                | "model-versions/delete"
                | "model-versions/set-tag"
                | "model-versions/delete-tag"
                | "model-versions/transition-stage",
                Some(version),
            ) => self.version(model, version),
            ("registered-models/rename", _) => {
                self.model(model);
                if let Some(name) = message.text("new_name") {
                    self.model(name);
                }
            }
            _ => self.model(model),
        }
    }

    /// Whether so much was touched that everything must be read again.
    pub(super) fn all(&self) -> bool {
        self.0.lock().pending.all
    }

    /// Everything is begun to be read: what is touched from here on is not in what will have been read.
    pub(super) fn reading(&self) {
        self.0.lock().reading = Some(Touched::default());
    }

    /// Everything was read, and is put in place by `swap`, with nothing heard in between.
    pub(super) fn have_read(&self, swap: impl FnOnce()) {
        let mut since = self.0.lock();
        swap();
        since.pending.all = false;
        if let Some(missed) = since.reading.take() {
            since.pending.merge(missed);
        }
    }

    /// What is to be asked for again. It comes back unless [`Taken::done`] is said.
    pub(super) fn take(&self) -> Taken<'_> {
        let pending = &mut self.0.lock().pending;
        let touched = if pending.all { Touched::default() } else { std::mem::take(pending) };
        Taken { heard: self, touched }
    }
}

/// What is being asked for again.
pub(super) struct Taken<'h> {
    heard: &'h Heard,
    pub(super) touched: Touched,
}

impl Taken<'_> {
    pub(super) fn done(mut self) {
        self.touched = Touched::default();
    }
}

impl Drop for Taken<'_> {
    fn drop(&mut self) {
        let touched = std::mem::take(&mut self.touched);
        if !touched.is_empty() {
            self.heard.0.lock().pending.merge(touched);
        }
    }
}

//! Which models were written, one after the other: for whoever keeps a picture of MLflow's registry and asks again for what
//! is no longer so.

use std::collections::VecDeque;

/// So many are remembered; who is further behind has to look at everything.
const MOST: usize = 4_096;
/// Longer names, which no model of MLflow's has, are not kept (in bytes).
const LONGEST: usize = 4 * 1024;

/// How much of a model was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// What is said of the model itself: its description, tags, aliases.
    Row,
    /// One of its versions, and with it what the model says of its latest ones.
    Version(u32),
    /// Anything.
    All,
}

/// A model that was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Touched {
    /// Its name.
    pub model: Box<str>,
    /// How much of it.
    pub scope: Scope,
}

/// What was written since some moment.
#[derive(Debug, PartialEq, Eq)]
pub enum News {
    /// Nobody knows: it may be anything.
    Everything,
    /// These, up to the moment that has this number.
    Of(Vec<Touched>, u64),
}

/// The last writes. Moments are numbered by how many there were before.
#[derive(Debug, Default)]
pub(super) struct Log {
    /// How many are no longer remembered.
    first: u64,
    last: VecDeque<Touched>,
}

impl Log {
    /// The number of this moment.
    pub(super) fn now(&self) -> u64 {
        self.first.saturating_add(self.last.len() as u64)
    }

    pub(super) fn note(&mut self, model: &str, scope: Scope) {
        if model.len() > LONGEST {
            return self.note_everything();
        }
        if self.last.len() == MOST {
            self.last.pop_front();
            self.first = self.first.saturating_add(1);
        }
        self.last.push_back(Touched { model: model.into(), scope });
    }

    /// Anything may have been written.
    pub(super) fn note_everything(&mut self) {
        self.first = self.now().saturating_add(1);
        self.last.clear();
    }

    pub(super) fn since(&self, moment: u64) -> News {
        match moment.checked_sub(self.first).and_then(|known| usize::try_from(known).ok()) {
            Some(known) => News::Of(self.last.iter().skip(known).cloned().collect(), self.now()),
            None => News::Everything,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(news: News) -> Option<Vec<String>> {
        match news {
            News::Everything => None,
            News::Of(touched, _) => Some(touched.into_iter().map(|one| one.model.into()).collect()),
        }
    }

    #[test]
    fn who_keeps_up_is_told_what_was_written_and_who_does_not_that_it_may_be_anything() {
        let mut log = Log::default();
        let start = log.now();
        log.note("a", Scope::Row);
        let middle = log.now();
        log.note("b", Scope::All);
        assert_eq!(names(log.since(start)), Some(vec!["a".into(), "b".into()]));
        assert_eq!(log.since(middle), News::Of(vec![Touched { model: "b".into(), scope: Scope::All }], 2));
        log.note_everything();
        let after = log.now();
        assert_eq!((names(log.since(middle)), names(log.since(2))), (None, None));
        assert_eq!(names(log.since(after)), Some(vec![]));
        for number in 0..=MOST {
            log.note(&number.to_string(), Scope::All);
        }
        assert_eq!(log.since(after), News::Everything);
        assert_eq!(names(log.since(after + 1)).map(|names| names.len()), Some(MOST));
    }
}

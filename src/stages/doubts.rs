//! Versions of which MLflow says something else than the store, or than its own tag: each is looked into once.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use crate::stage::Stage;

use super::Stages;

/// A transition that is being made shows in MLflow before it is the truth: only what is still so after this long is odd.
const PATIENCE: Duration = Duration::from_secs(10);

/// So many are remembered; then it is begun anew.
const REMEMBERED: usize = 10_000;

/// A version as MLflow shows it.
#[derive(Clone, Copy, Debug)]
pub struct Sight<'a> {
    /// The registered model.
    pub model: &'a str,
    /// The number.
    pub version: u64,
    /// When it was made, in milliseconds.
    pub created: i64,
    /// What its tag `sekisho.stage` says.
    pub tag: Option<&'a str>,
    /// MLflow's own stage.
    pub mlflows: &'a str,
}

/// What is to be done about a doubted version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Look {
    /// Nothing, or nothing more.
    Nothing,
    /// The store is to be asked: another sekisho may be promoting it.
    Ask,
    /// It is to be told about: the store has it in this stage.
    Tell(Stage),
}

/// What was looked into, and when that was first.
#[derive(Debug, Default)]
pub(super) struct Doubts(Mutex<HashMap<Doubt, (Instant, bool)>>);

/// The version, what the store said of it, and what MLflow said.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Doubt {
    model: String,
    version: u64,
    created: i64,
    change: Option<i64>,
    tag: Option<String>,
    mlflows: String,
}

impl Stages {
    /// The true stage of a version that MLflow shows.
    #[must_use]
    pub fn shown(&self, sight: &Sight<'_>) -> Stage {
        let Sight { model, version, created, tag, mlflows } = *sight;
        self.true_stage(model, version, created, tag, mlflows)
    }

    /// Whether a version's mirrors say something else than the store, or, where it does not know the version, than each
    /// other.
    #[must_use]
    pub fn doubts(&self, sight: &Sight<'_>) -> bool {
        let Sight { model, version, created, tag, mlflows } = *sight;
        match self.of(model, version, created) {
            Some(known) => {
                let tagged = tag.is_some_and(|tag| tag != known.stage.as_str());
                tagged || known.stage.mlflows() != mlflows
            }
            None => tag.is_some_and(|tag| Stage::named(tag).is_none_or(|stage| stage.mlflows() != mlflows)),
        }
    }

    /// What is to be done about a version that is doubted.
    #[must_use]
    pub fn look_into(&self, sight: &Sight<'_>, now: Instant) -> Look {
        if !self.doubts(sight) {
            return Look::Nothing;
        }
        let Sight { model, version, created, tag, mlflows } = *sight;
        let known = self.of(model, version, created);
        let doubt = Doubt {
            model: model.to_owned(),
            version,
            created,
            change: known.map(|known| known.change),
            tag: tag.map(str::to_owned),
            mlflows: mlflows.to_owned(),
        };
        match (known, self.1.first(doubt, now)) {
            (None, First::Now) => Look::Ask,
            (Some(known), First::LongAgo) => Look::Tell(known.stage),
            (None, First::LongAgo | First::Before) | (Some(_), First::Now | First::Before) => Look::Nothing,
        }
    }
}

/// When a doubt was first met.
enum First {
    /// It is met now.
    Now,
    /// So long ago that it is no transition; this is said once.
    LongAgo,
    Before,
}

impl Doubts {
    fn first(&self, doubt: Doubt, now: Instant) -> First {
        let mut all = self.0.lock();
        if all.len() >= REMEMBERED && !all.contains_key(&doubt) {
            all.clear();
        }
        match all.get_mut(&doubt) {
            Some((first, said)) if !*said && now.saturating_duration_since(*first) >= PATIENCE => {
                *said = true;
                First::LongAgo
            }
            Some(_) => First::Before,
            None => {
                all.insert(doubt, (now, false));
                First::Now
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::clock::Clock;
    use crate::store::{Origin, Stand, VersionId};

    fn sight<'a>(version: u64, tag: Option<&'a str>, mlflows: &'a str) -> Sight<'a> {
        Sight { model: "m", version, created: 10, tag, mlflows }
    }

    fn known(stage: Stage, change: i64) -> Stand {
        let id = VersionId { model: "m".into(), model_created: 1, version: 1, created: 10 };
        let (since, origin) = (Timestamp::UNIX_EPOCH, Origin::Registered);
        Stand { id, stage, since, origin, closing: false, gone: false, change }
    }

    #[test]
    fn what_the_store_does_not_know_is_asked_for_once_where_its_mirrors_disagree() {
        let (stages, now) = (Stages::default(), Clock::system().instant());
        for (tag, mlflows) in [(None, "Staging"), (Some("Canary"), "Staging"), (Some("Development"), "None")]
        {
            assert!(!stages.doubts(&sight(2, tag, mlflows)), "{tag:?} {mlflows}");
        }
        for (tag, mlflows) in [("Canary", "Production"), ("nonsense", "None")] {
            let odd = sight(2, Some(tag), mlflows);
            let looks = [(); 2].map(|()| stages.look_into(&odd, now));
            assert_eq!(looks, [Look::Ask, Look::Nothing], "{tag} {mlflows}");
            assert_eq!(stages.look_into(&odd, now + PATIENCE), Look::Nothing);
        }
    }

    #[test]
    fn a_mirror_that_stays_another_is_told_about_once_for_each_change() {
        let (stages, now) = (Stages::default(), Clock::system().instant());
        stages.learn(&known(Stage::Canary, 1));
        assert_eq!(stages.look_into(&sight(1, Some("Canary"), "Staging"), now + PATIENCE), Look::Nothing);
        let odd = sight(1, Some("Canary"), "Production");
        let looks = [now, now + PATIENCE / 2, now + PATIENCE, now + PATIENCE * 2]
            .map(|now| stages.look_into(&odd, now));
        assert_eq!(looks, [Look::Nothing, Look::Nothing, Look::Tell(Stage::Canary), Look::Nothing]);
        stages.learn(&known(Stage::Staging, 2));
        let looks = [now, now + PATIENCE].map(|now| stages.look_into(&odd, now));
        assert_eq!(looks, [Look::Nothing, Look::Tell(Stage::Staging)]);
        assert!(stages.doubts(&sight(1, Some("Staging"), "Production")));
        assert!(stages.doubts(&sight(1, Some("Shadow"), "Staging")), "the tag alone is another");
        assert!(!stages.doubts(&sight(1, None, "Staging")), "a version from before sekisho has no tag");
    }
}

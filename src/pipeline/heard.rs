//! Who else is on the state store, and of whom nothing is heard any more.

use std::collections::HashMap;
use std::time::Duration;

use tokio::time::Instant;

use crate::store::Instance;

/// Another sekisho of which nothing is seen for so long is gone: ten times as long as it takes to tell that it is there. By
/// then it lets no files be changed (`frozen::FRESH`), and has had time to end what was under way.
pub(super) const DEAD: Duration = Duration::from_secs(5);

/// Who has not looked for so long knows nothing of the others: the store was away, for them too, say.
const BLIND: Duration = Duration::from_secs(2);

/// The others, as they were seen last.
#[derive(Debug, Default)]
pub(super) struct Heard {
    looked: Option<Instant>,
    others: HashMap<String, (i64, Instant)>,
}

impl Heard {
    /// Takes in who is on the store now; who of them is gone.
    pub(super) fn look(&mut self, now: Instant, all: &[Instance]) -> Vec<Instance> {
        if self.looked.is_none_or(|looked| now.saturating_duration_since(looked) >= BLIND) {
            self.others.clear();
        }
        self.looked = Some(now);
        self.others.retain(|id, _| all.iter().any(|instance| instance.id == *id));
        let mut gone = Vec::new();
        for instance in all {
            let (beats, since) = self.others.entry(instance.id.clone()).or_insert((instance.beats, now));
            if *beats != instance.beats {
                (*beats, *since) = (instance.beats, now);
            }
            if now.saturating_duration_since(*since) >= DEAD {
                gone.push(instance.clone());
            }
        }
        gone
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn instance(id: &str, beats: i64) -> Instance {
        Instance { id: id.to_owned(), settled: 0, beats }
    }

    /// At each of these milliseconds somebody looks, and `a` had told so often that it is there; whether it is gone then.
    #[track_caller]
    fn check(looks: &[(u64, i64, bool)]) {
        let (begin, mut heard) = (Instant::now(), Heard::default());
        for (at, beats, expected) in looks {
            let now = begin + Duration::from_millis(*at);
            let all = [instance("a", *beats), instance("b", i64::try_from(*at).expect("a number"))];
            let gone = heard.look(now, &all);
            let expected: &[Instance] = if *expected { &all[..1] } else { &[] };
            assert_eq!(gone, expected, "{at}");
        }
    }

    #[test]
    fn who_is_silent_for_its_time_is_gone() {
        check(&[
            (0, 7, false),
            (1_900, 7, false),
            (3_700, 7, false),
            (4_999, 7, false),
            (5_000, 7, true),
            (6_000, 7, true),
        ]);
    }

    #[test]
    fn who_is_heard_of_once_more_has_its_time_again() {
        check(&[(0, 7, false), (1_900, 7, false), (3_700, 7, false), (4_999, 8, false), (6_000, 8, false)]);
        check(&[(0, 7, false), (1_500, 8, false), (3_000, 8, false), (4_500, 8, false), (6_499, 8, false)]);
    }

    #[test]
    fn a_time_in_which_nobody_looked_proves_nothing() {
        check(&[
            (0, 7, false),
            (60_000, 7, false),
            (61_500, 7, false),
            (63_500, 7, false),
            (65_000, 7, false),
        ]);
        check(&[
            (0, 7, false),
            (60_000, 7, false),
            (61_500, 7, false),
            (63_000, 7, false),
            (65_000, 7, false),
        ]);
        check(&[(0, 7, false), (2_000, 7, false), (3_900, 7, false), (5_800, 7, false), (7_000, 7, true)]);
    }
}

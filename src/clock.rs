//! The only place that asks what time it is; everybody else is handed a [`Clock`].

use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use jiff::Timestamp;

/// Wall time and monotonic time, real or held still by a test.
#[derive(Clone, Debug, Default)]
pub struct Clock(Source);

#[derive(Clone, Debug, Default)]
enum Source {
    #[default]
    System,
    Held(Arc<AtomicI64>),
}

impl Clock {
    /// The machine's own clocks.
    #[must_use]
    pub fn system() -> Self {
        Self(Source::System)
    }

    /// A wall clock that stands at `unix_seconds` until [`Clock::advance`] moves it.
    #[must_use]
    pub fn held_at(unix_seconds: i64) -> Self {
        Self(Source::Held(Arc::new(AtomicI64::new(unix_seconds.saturating_mul(1000)))))
    }

    /// Moves a held clock, backwards too; the system clock does not listen.
    pub fn advance(&self, seconds: i64) {
        if let Source::Held(millis) = &self.0 {
            millis.fetch_add(seconds.saturating_mul(1000), Ordering::SeqCst);
        }
    }

    /// Wall time, for expiry and for records.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        match &self.0 {
            #[expect(clippy::disallowed_methods, reason = "this is the one place that reads the wall clock")]
            Source::System => Timestamp::try_from(std::time::SystemTime::now()).unwrap_or(Timestamp::MAX),
            Source::Held(millis) => {
                Timestamp::from_millisecond(millis.load(Ordering::SeqCst)).unwrap_or(Timestamp::MAX)
            }
        }
    }

    /// Wall time as whole seconds since 1970, the unit of a token's `exp`.
    #[must_use]
    pub fn unix_seconds(&self) -> i64 {
        self.now().as_second()
    }

    /// Monotonic time, for durations. A held clock answers with the real one.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "this is the one place that reads the monotonic clock")]
    pub fn instant(&self) -> Instant {
        Instant::now()
    }

    /// Monotonic time since a moment of no meaning, for limits. It stands with a held clock and moves with it.
    #[must_use]
    pub fn steady(&self) -> Duration {
        static BEGIN: OnceLock<Instant> = OnceLock::new();
        match &self.0 {
            Source::System => {
                let now = self.instant();
                now.saturating_duration_since(*BEGIN.get_or_init(|| now))
            }
            Source::Held(millis) => {
                Duration::from_millis(u64::try_from(millis.load(Ordering::SeqCst)).unwrap_or(0))
            }
        }
    }

    /// Microseconds since `start`.
    #[must_use]
    pub fn micros_since(&self, start: Instant) -> u64 {
        u64::try_from(self.instant().saturating_duration_since(start).as_micros()).unwrap_or(u64::MAX)
    }
}

/// Notices when the wall clock is set back: it must move as the monotonic one does.
#[derive(Debug)]
pub struct JumpWatch {
    wall: Timestamp,
    steady: Instant,
}

/// How far back the wall clock may be set before it is worth a line: as far as a token's `exp` has leeway.
pub const WORTH_TELLING: Duration = Duration::from_secs(30);

impl JumpWatch {
    /// Begins to watch.
    #[must_use]
    pub fn new(clock: &Clock) -> Self {
        Self { wall: clock.now(), steady: clock.instant() }
    }

    /// How far the wall clock has been set back since the last look, if that is worth telling.
    pub fn look(&mut self, clock: &Clock) -> Option<Duration> {
        let (wall, steady) = (clock.now(), clock.instant());
        let expected = self.wall.checked_add(steady.saturating_duration_since(self.steady)).unwrap_or(wall);
        (self.wall, self.steady) = (wall, steady);
        let back = Duration::try_from(expected.duration_since(wall)).ok()?;
        (back > WORTH_TELLING).then_some(back)
    }
}

/// A duration in whole seconds for sentences: `3 minutes`, `1 hour`, `12 days`.
#[must_use]
pub fn in_words(duration: Duration) -> String {
    let seconds = duration.as_secs();
    let (count, unit) = match seconds {
        0..120 => (seconds, "second"),
        120..7_200 => (seconds / 60, "minute"),
        7_200..172_800 => (seconds / 3_600, "hour"),
        _ => (seconds / 86_400, "day"),
    };
    format!("{count} {unit}{}", if count == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_held_clock_moves_only_when_told() {
        let clock = Clock::held_at(1_000);
        assert_eq!(clock.unix_seconds(), 1_000);
        clock.advance(-30);
        assert_eq!(clock.unix_seconds(), 970);
    }

    #[test]
    fn only_a_clock_that_is_set_far_back_is_told_of() {
        let clock = Clock::held_at(100_000);
        let mut watch = JumpWatch::new(&clock);
        for (moved, told) in [(3_600, false), (-20, false), (-3_600, true), (0, false)] {
            clock.advance(moved);
            assert_eq!(watch.look(&clock).is_some(), told, "{moved}");
        }
    }

    #[test]
    fn durations_read_as_a_person_would_say_them() {
        for (seconds, words) in
            [(1, "1 second"), (119, "119 seconds"), (180, "3 minutes"), (90_000, "25 hours")]
        {
            assert_eq!(in_words(Duration::from_secs(seconds)), words);
        }
    }
}

//! Times and spans of time as people write them.

use std::time::Duration;

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;

/// A time, or one that is so long ago.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Moment {
    At(Timestamp),
    Ago(Duration),
}

impl Moment {
    pub(super) fn from(self, now: Timestamp) -> Timestamp {
        match self {
            Self::At(time) => time,
            Self::Ago(span) => now.checked_sub(span).unwrap_or(Timestamp::MIN),
        }
    }
}

/// A time, a day, which begins at midnight UTC, or a [`span`].
pub(super) fn moment(text: &str) -> Result<Moment, String> {
    let day = || text.parse::<Date>().ok()?.to_zoned(TimeZone::UTC).ok().map(|zoned| zoned.timestamp());
    if let Some(time) = text.parse().ok().or_else(day) {
        return Ok(Moment::At(time));
    }
    let what = |_| {
        "write it as 2026-11-30T09:00:00Z, as 2026-11-30, or as 90d, 8h or 30m for so long ago".to_owned()
    };
    span(text).map(Moment::Ago).map_err(what)
}

/// `30m`, `8h`, `7d`, or a number of seconds.
pub(super) fn span(text: &str) -> Result<Duration, String> {
    let span: jiff::SignedDuration = match text.parse::<i64>() {
        Ok(seconds) => jiff::SignedDuration::from_secs(seconds),
        Err(_) => match text.strip_suffix('d').and_then(|days| days.parse::<i64>().ok()) {
            Some(days) => jiff::SignedDuration::from_hours(days.saturating_mul(24).min(1_000_000)),
            None => text.parse().map_err(|_| "write it as 30m, 8h or 7d".to_owned())?,
        },
    };
    Duration::try_from(span).map_err(|_| "it cannot be less than nothing".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_written_as_people_write_them() {
        for (text, seconds) in [("30m", 1_800), ("8h", 28_800), ("7d", 604_800), ("90", 90), ("1h30m", 5_400)]
        {
            assert_eq!(span(text), Ok(Duration::from_secs(seconds)), "{text}");
        }
        assert!(span("soon").is_err() && span("-8h").is_err());
    }

    #[test]
    fn times_are_times_or_days_or_so_long_ago() {
        let now: Timestamp = "2026-11-30T12:00:00Z".parse().unwrap();
        for (text, expected) in [
            ("2026-11-30T09:00:00Z", "2026-11-30T09:00:00Z"),
            ("2026-11-30T09:00:00.5+01:00", "2026-11-30T08:00:00.5Z"),
            ("2026-11-30", "2026-11-30T00:00:00Z"),
            ("90d", "2026-09-01T12:00:00Z"),
            ("8h", "2026-11-30T04:00:00Z"),
            ("60", "2026-11-30T11:59:00Z"),
        ] {
            let expected: Timestamp = expected.parse().unwrap();
            assert_eq!(moment(text).map(|moment| moment.from(now)), Ok(expected), "{text}");
        }
        for text in ["", "yesterday", "-8h", "2026-11-30T25:00:00Z", "2026-02-30"] {
            assert!(moment(text).is_err(), "{text}");
        }
    }
}

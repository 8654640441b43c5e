//! Times and spans, each with its unit in its type. Nothing here reads a clock.

use std::fmt;
use std::ops::{Add, Sub};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::calendar::{LAST_SECOND, SECONDS_PER_DAY, date_of};

/// Wall-clock time: milliseconds since the Unix epoch.
#[derive(
    Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Timestamp(pub u64);

/// A monotonic clock's reading: microseconds since a start that only that clock knows.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Monotonic(pub u64);

/// A span of time in microseconds.
#[derive(
    Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Span(pub u64);

/// What a core is told of the time: both clocks, read together.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Now {
    /// The wall clock, which may jump and differ from a peer's.
    pub wall: Timestamp,
    /// The monotonic clock, for delays and timeouts.
    pub monotonic: Monotonic,
}

impl Timestamp {
    /// Seconds since the epoch with milliseconds as fraction, as the JSON protocols write times.
    pub fn seconds(self) -> f64 {
        self.0 as f64 / 1000.0
    }
}

impl Span {
    /// No time at all.
    pub const ZERO: Span = Span(0);

    /// A span of whole milliseconds.
    pub const fn milliseconds(count: u64) -> Span {
        Span(count.saturating_mul(1000))
    }

    /// A span of whole seconds.
    pub const fn seconds(count: u64) -> Span {
        Span(count.saturating_mul(1_000_000))
    }

    /// The span in milliseconds, with fraction.
    pub fn as_milliseconds(self) -> f64 {
        self.0 as f64 / 1000.0
    }
}

impl From<Span> for Duration {
    fn from(span: Span) -> Duration {
        Duration::from_micros(span.0)
    }
}

impl From<Duration> for Span {
    fn from(duration: Duration) -> Span {
        Span(u64::try_from(duration.as_micros()).unwrap_or(u64::MAX))
    }
}

impl Add<Span> for Monotonic {
    type Output = Monotonic;

    fn add(self, span: Span) -> Monotonic {
        Monotonic(self.0.saturating_add(span.0))
    }
}

impl Sub for Monotonic {
    type Output = Span;

    /// The span since `earlier`; zero if that is in fact later.
    fn sub(self, earlier: Monotonic) -> Span {
        Span(self.0.saturating_sub(earlier.0))
    }
}

impl fmt::Display for Timestamp {
    /// `2026-11-24T02:05:09Z` (RFC 3339): UTC, milliseconds cut off, the year 9999 at most.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = (self.0 / 1000).min(LAST_SECOND);
        let (year, month, day) = date_of(seconds / SECONDS_PER_DAY);
        let of_day = seconds % SECONDS_PER_DAY;
        let (hour, minute, second) = (of_day / 3600, of_day / 60 % 60, of_day % 60);
        write!(
            f,
            "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z"
        )
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ms", self.as_milliseconds())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_printed_as_people_read_it() {
        let printed = |milliseconds| Timestamp(milliseconds).to_string();
        assert_eq!(printed(0), "1970-01-01T00:00:00Z");
        assert_eq!(printed(1_795_485_909_999), "2026-11-24T02:05:09Z");
        assert_eq!(printed(u64::MAX), "9999-12-31T23:59:59Z");
    }
}

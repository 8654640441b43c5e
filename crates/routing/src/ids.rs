//! Identifiers drawn from the environment's randomness, and times as the API writes them.

use std::fmt::Write as _;

use types::calendar::{LAST_SECOND, SECONDS_PER_DAY, date_of};
use types::{Environment, HealthCheckId, Timestamp};

use crate::ZoneId;

/// Characters after the first of a zone's or a change's id.
const ID_LENGTH: usize = 20;

/// A new zone's id.
pub(crate) fn zone(environment: &dyn Environment) -> ZoneId {
    ZoneId::new(&prefixed('Z', environment)).expect("capitals and digits after a Z")
}

/// A new change's id.
pub(crate) fn change(environment: &dyn Environment) -> String {
    prefixed('C', environment)
}

fn prefixed(first: char, environment: &dyn Environment) -> String {
    const DIGITS: &[u8; 36] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ";
    let mut id = String::from(first);
    while id.len() < 1 + ID_LENGTH {
        let mut random = environment.random();
        // Ten digits take 52 of the 64 bits, so that none is likelier than another.
        for _ in 0..10 {
            id.push(char::from(DIGITS[(random % 36) as usize]));
            random /= 36;
        }
    }
    id
}

/// A new health check's id: a random UUID (version 4, RFC 9562).
pub(crate) fn health_check(environment: &dyn Environment) -> HealthCheckId {
    let high = (environment.random() & 0xffff_ffff_ffff_0fff) | 0x4000;
    let low = (environment.random() & 0x3fff_ffff_ffff_ffff) | 0x8000_0000_0000_0000;
    HealthCheckId(format!(
        "{:08x}-{:04x}-{:04x}-{:04x}-{:012x}",
        high >> 32,
        (high >> 16) & 0xffff,
        high & 0xffff,
        low >> 48,
        low & 0xffff_ffff_ffff
    ))
}

/// `2026-11-28T10:42:38.123Z`; what is later than the year 9999 is written as its last second.
pub(crate) fn time(at: Timestamp) -> String {
    let seconds = (at.0 / 1000).min(LAST_SECOND);
    let (year, month, day) = date_of(seconds / SECONDS_PER_DAY);
    let of_day = seconds % SECONDS_PER_DAY;
    let mut text = String::with_capacity(24);
    let _ = write!(
        text,
        "{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}.{:03}Z",
        of_day / 3600,
        of_day / 60 % 60,
        of_day % 60,
        at.0 % 1000
    );
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_to_the_millisecond() {
        assert_eq!(time(Timestamp(951_782_400_007)), "2000-02-29T00:00:00.007Z");
        assert_eq!(time(Timestamp(0)), "1970-01-01T00:00:00.000Z");
    }
}

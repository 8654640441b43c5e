//! The ISO 8601 basic format of Signature V4, `20150830T123600Z`, to and from wall-clock time.
//! Whole seconds, UTC, the proleptic Gregorian calendar, the years 1970 to 9999; nothing else
//! is parsed.

use types::Timestamp;
use types::calendar::{LAST_SECOND, SECONDS_PER_DAY, date_of, days_before, days_in};

/// `20150830T123600Z`; milliseconds are cut off, and what is later than the year 9999 is written
/// as its last second.
pub(crate) fn format(time: Timestamp) -> String {
    let seconds = (time.0 / 1000).min(LAST_SECOND);
    let (year, month, day) = date_of(seconds / SECONDS_PER_DAY);
    let of_day = seconds % SECONDS_PER_DAY;
    let (hour, minute, second) = (of_day / 3600, of_day / 60 % 60, of_day % 60);
    format!("{year:04}{month:02}{day:02}T{hour:02}{minute:02}{second:02}Z")
}

/// The time that `text` names, if it is a real one in exactly that format.
pub(crate) fn parse(text: &str) -> Option<Timestamp> {
    let bytes = text.as_bytes();
    if bytes.len() != 16 || bytes[8] != b'T' || bytes[15] != b'Z' {
        return None;
    }
    let number = |from: usize, to: usize| {
        bytes[from..to].iter().try_fold(0u64, |sum, byte| {
            byte.is_ascii_digit()
                .then(|| sum * 10 + u64::from(byte - b'0'))
        })
    };
    let (year, month, day) = (number(0, 4)?, number(4, 6)?, number(6, 8)?);
    let (hour, minute, second) = (number(9, 11)?, number(11, 13)?, number(13, 15)?);
    if year < 1970 || hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    if !(1..=12).contains(&month) || day == 0 || day > days_in(year, month) {
        return None;
    }
    let seconds =
        days_before(year, month, day) * SECONDS_PER_DAY + hour * 3600 + minute * 60 + second;
    Some(Timestamp(seconds * 1000))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_times_are_written_and_read() {
        for (seconds, text) in [
            (0, "19700101T000000Z"),
            (951_782_400, "20000229T000000Z"),
            (1_440_938_160, "20150830T123600Z"),
            (4_107_542_399, "21000228T235959Z"),
            (4_107_542_400, "21000301T000000Z"),
            (LAST_SECOND, "99991231T235959Z"),
        ] {
            assert_eq!(format(Timestamp(seconds * 1000 + 999)), text);
            assert_eq!(parse(text), Some(Timestamp(seconds * 1000)));
        }
        assert_eq!(format(Timestamp(u64::MAX)), "99991231T235959Z");
    }

    #[test]
    fn every_day_of_five_centuries_round_trips() {
        for day in 0..365 * 500 {
            let time = Timestamp(day * SECONDS_PER_DAY * 1000);
            assert_eq!(parse(&format(time)), Some(time));
        }
    }

    #[test]
    fn what_is_no_date_is_refused() {
        for text in [
            "",
            "20150830",
            "20150830T123600",
            "20150830T123600z",
            "20150830 123600Z",
            "20150230T123600Z",
            "21000229T000000Z",
            "20151330T123600Z",
            "20150800T123600Z",
            "20150830T243600Z",
            "20150830T126000Z",
            "20150830T123660Z",
            "19691231T235959Z",
            "+0150830T123600Z",
            "2015083\u{661}T12360Z",
            "20150830T123600ZZ",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}

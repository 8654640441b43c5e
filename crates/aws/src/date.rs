//! The ISO 8601 basic format of Signature V4, `20150830T123600Z`, to and from wall-clock time.
//! Whole seconds, UTC, the proleptic Gregorian calendar, the years 1970 to 9999; nothing else
//! is parsed.

use types::Timestamp;

const SECONDS_PER_DAY: u64 = 86_400;

/// The last second of the year 9999: later times are written as this one.
const LAST_SECOND: u64 = 253_402_300_799;

/// `20150830T123600Z`; milliseconds are cut off.
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

fn is_leap(year: u64) -> bool {
    year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400))
}

fn days_in(year: u64, month: u64) -> u64 {
    match month {
        2 if is_leap(year) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Leap days from the year 1 to the end of `year`.
fn leap_days(year: u64) -> u64 {
    year / 4 - year / 100 + year / 400
}

/// Days from 1970-01-01 to the given day.
fn days_before(year: u64, month: u64, day: u64) -> u64 {
    let years = (year - 1970) * 365 + leap_days(year - 1) - leap_days(1969);
    let months: u64 = (1..month).map(|month| days_in(year, month)).sum();
    years + months + day - 1
}

/// Year, month and day of the day that is `days` after 1970-01-01.
fn date_of(days: u64) -> (u64, u64, u64) {
    // A guess that is never too late: years of 366 days. A few steps correct it.
    let mut year = 1970 + days / 366;
    while days_before(year + 1, 1, 1) <= days {
        year += 1;
    }
    let mut rest = days - days_before(year, 1, 1);
    let mut month = 1;
    while rest >= days_in(year, month) {
        rest -= days_in(year, month);
        month += 1;
    }
    (year, month, rest + 1)
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

//! The ISO 8601 basic format of Signature V4, `20150830T123600Z`, to and from wall-clock time, and
//! HTTP's, `Tue, 27 Mar 2007 19:36:42 GMT`, from it to there. Whole seconds, the proleptic
//! Gregorian calendar, the years 1970 to 9999; nothing else is parsed.

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

/// Months as HTTP writes them.
const MONTHS: [&str; 12] = [
    "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
];

/// Days of the week.
const DAYS: [&str; 7] = ["Mon,", "Tue,", "Wed,", "Thu,", "Fri,", "Sat,", "Sun,"];

/// The time that `text` names as a header has it: `Tue, 27 Mar 2007 19:36:42 GMT` (RFC 9110,
/// section 5.6.7), or with the zone in numbers, `+0000` (RFC 5322, section 3.3), as the
/// documentation of Signature V2 writes it. The obsolete forms of both aren't taken.
pub fn http_date(text: &str) -> Option<Timestamp> {
    let parts: Vec<&str> = text.split(' ').collect();
    let [weekday, day, month, year, time, zone] = parts[..] else {
        return None;
    };
    let number = |text: &str, digits: usize| -> Option<u64> {
        let all = text.len() == digits && text.bytes().all(|byte| byte.is_ascii_digit());
        all.then(|| text.parse().ok()).flatten()
    };
    let mut clock = time.split(':');
    let mut next = || number(clock.next()?, 2);
    let (hour, minute, second) = (next()?, next()?, next()?);
    let month = MONTHS.iter().position(|name| *name == month)? as u64 + 1;
    let (year, day) = (number(year, 4)?, number(day, 2).or(number(day, 1))?);
    let is_time = hour <= 23 && minute <= 59 && second <= 59 && clock.next().is_none();
    let is_day = year >= 1970 && day >= 1 && day <= days_in(year, month);
    if !is_time || !is_day || !DAYS.contains(&weekday) {
        return None;
    }
    let (ahead, minutes) = match zone.split_at_checked(1)? {
        ("+", offset) => (true, number(offset, 4)?),
        ("-", offset) => (false, number(offset, 4)?),
        _ if matches!(zone, "GMT" | "UTC") => (true, 0),
        _ => return None,
    };
    let offset = (minutes / 100 * 60 + minutes % 100) * 60;
    let seconds =
        days_before(year, month, day) * SECONDS_PER_DAY + hour * 3600 + minute * 60 + second;
    let seconds = match ahead {
        true => seconds.checked_sub(offset)?,
        false => seconds + offset,
    };
    Some(Timestamp(seconds * 1000))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_of_headers_are_read() {
        for (text, seconds) in [
            ("Tue, 27 Mar 2007 19:36:42 +0000", 1_175_024_202),
            ("Tue, 27 Mar 2007 19:36:42 GMT", 1_175_024_202),
            ("Tue, 27 Mar 2007 21:06:42 +0130", 1_175_024_202),
            ("Tue, 27 Mar 2007 12:36:42 -0700", 1_175_024_202),
            ("Thu, 1 Jan 1970 00:00:00 UTC", 0),
        ] {
            assert_eq!(http_date(text), Some(Timestamp(seconds * 1000)), "{text}");
        }
        for text in [
            "",
            "Tue, 27 Mar 2007 19:36:42",
            "27 Mar 2007 19:36:42 GMT",
            "Tue, 27 Mar 2007 24:36:42 GMT",
            "Tue, 31 Feb 2007 19:36:42 GMT",
            "Tue, 27 Mar 1969 19:36:42 GMT",
            "Tue, 27 Mar 2007 19:36:42:00 GMT",
            "Tue, 27 Mar 2007 19:36 GMT",
            "Tue, 27 Mar 2007 19:36:42 PST",
            "Tue, 27 Mar 2007 19:36:42 +00",
            "Tue,  27 Mar 2007 19:36:42 GMT",
            "Thu, 01 Jan 1970 00:00:00 +0001",
            "Tue, +7 Mar 2007 19:36:42 GMT",
            "Tue, 27 M\u{e4}r 2007 19:36:42 \u{e4}MT",
        ] {
            assert_eq!(http_date(text), None, "{text}");
        }
    }

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

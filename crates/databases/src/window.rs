//! Windows of time, as instances have them: a daily one for backups, a weekly one for maintenance,
//! both in UTC.

use types::{Span, Timestamp};

/// The days of a week, as windows have them; the Unix epoch was a Thursday.
const DAYS: [&str; 7] = ["thu", "fri", "sat", "sun", "mon", "tue", "wed"];

/// Minutes of a day.
const DAY: u32 = 1440;

/// Minutes of a week.
const WEEK: u32 = 7 * DAY;

/// The shortest window, in minutes.
const SHORTEST: u32 = 30;

/// Minutes since midnight of `hh:mm`.
fn time_of_day(text: &str) -> Option<u32> {
    let (hours, minutes) = text.split_once(':')?;
    let number = |part: &str, most: u32| {
        let is_plain = part.len() == 2 && part.bytes().all(|byte| byte.is_ascii_digit());
        let number: Option<u32> = part.parse().ok().filter(|_| is_plain);
        number.filter(|number| *number <= most)
    };
    Some(number(hours, 23)? * 60 + number(minutes, 59)?)
}

/// Minutes since the week's beginning, on a Thursday, of `ddd:hh:mm`.
fn time_of_week(text: &str) -> Option<u32> {
    let (day, time) = text.split_once(':')?;
    let day = DAYS
        .iter()
        .position(|known| known.eq_ignore_ascii_case(day))?;
    Some(u32::try_from(day).ok()? * DAY + time_of_day(time)?)
}

/// The beginning and the length of a window in minutes.
fn weekly(text: &str) -> Option<(u32, u32)> {
    let (from, to) = text.split_once('-')?;
    let (from, to) = (time_of_week(from)?, time_of_week(to)?);
    Some((from, (to + WEEK - from) % WEEK))
}

/// Is it a window for backups: `hh:mm-hh:mm`, half an hour long at least?
pub(crate) fn is_daily(text: &str) -> bool {
    let ends = text.split_once('-');
    let ends = ends.and_then(|(from, to)| time_of_day(from).zip(time_of_day(to)));
    ends.is_some_and(|(from, to)| (to + DAY - from) % DAY >= SHORTEST)
}

/// Is it a window for maintenance: `ddd:hh:mm-ddd:hh:mm`, from half an hour to a day long?
pub(crate) fn is_weekly(text: &str) -> bool {
    weekly(text).is_some_and(|(_, length)| (SHORTEST..=DAY).contains(&length))
}

/// Do the two windows overlap on any day?
pub(crate) fn overlap(backups: &str, maintenance: &str) -> bool {
    let ends = backups.split_once('-');
    let ends = ends.and_then(|(from, to)| time_of_day(from).zip(time_of_day(to)));
    let (Some((from, to)), Some((begins, length))) = (ends, weekly(maintenance)) else {
        return false;
    };
    let daily = (to + DAY - from) % DAY;
    let distance = |from: u32, to: u32| (to + DAY - from) % DAY;
    let begins = begins % DAY;
    distance(from, begins) < daily || distance(begins, from) < length
}

/// How long it is until a maintenance window is open: nothing, if it is open now; `None`: it is no
/// window.
pub(crate) fn opens_in(window: &str, now: Timestamp) -> Option<Span> {
    let (from, length) = weekly(window)?;
    let minute = now.0 / 60_000 % u64::from(WEEK);
    let minute = u32::try_from(minute).unwrap_or_default();
    if (minute + WEEK - from) % WEEK < length {
        return Some(Span::ZERO);
    }
    let minutes = u64::from((from + WEEK - minute) % WEEK);
    Some(Span::milliseconds(minutes * 60_000 - now.0 % 60_000))
}

/// When a window for backups opened that is open now; `None`: it isn't, or it is no window.
pub(crate) fn opened_at(window: &str, now: Timestamp) -> Option<Timestamp> {
    let (from, to) = window.split_once('-')?;
    let (from, to) = (time_of_day(from)?, time_of_day(to)?);
    let length = (to + DAY - from) % DAY;
    let minute = u32::try_from(now.0 / 60_000 % u64::from(DAY)).unwrap_or_default();
    let since = (minute + DAY - from) % DAY;
    let begin = now.0 / 60_000 * 60_000;
    let opened = begin.saturating_sub(u64::from(since) * 60_000);
    (since < length).then_some(Timestamp(opened))
}

/// A daily window and a weekly one that don't overlap, drawn for who names none; `random` is 64
/// random bits.
pub(crate) fn drawn(random: u64) -> (String, String) {
    let start = u32::try_from(random % 16).unwrap_or_default() * SHORTEST;
    let day = usize::try_from((random >> 8) % 7).unwrap_or_default();
    let time = |minutes: u32| format!("{:02}:{:02}", minutes / 60 % 24, minutes % 60);
    let daily = format!("{}-{}", time(start), time(start + SHORTEST));
    let after = start + 2 * SHORTEST;
    let day = DAYS[day];
    let weekly = format!("{day}:{}-{day}:{}", time(after), time(after + SHORTEST));
    (daily, weekly)
}

#[cfg(test)]
mod tests {
    use types::calendar::SECONDS_PER_DAY;

    use super::*;

    #[test]
    fn windows_are_read_by_the_rules() {
        for text in ["00:00-00:30", "23:30-00:15", "05:00-06:00"] {
            assert!(is_daily(text), "{text}");
        }
        for text in [
            "",
            "00:00",
            "0:00-1:00",
            "24:00-01:00",
            "00:00-00:29",
            "00:00-00:00",
        ] {
            assert!(!is_daily(text), "{text}");
        }
        for text in [
            "mon:00:00-mon:00:30",
            "Sun:23:30-Mon:00:30",
            "wed:23:45-thu:00:15",
        ] {
            assert!(is_weekly(text), "{text}");
        }
        for text in [
            "",
            "mon:00:00-mon:00:20",
            "mun:00:00-mon:01:00",
            "mon:00:00-wed:00:00",
        ] {
            assert!(!is_weekly(text), "{text}");
        }
    }

    #[test]
    fn a_window_is_open_in_its_time_alone() {
        // 1970-01-01 was a Thursday.
        let at = |minutes: u64| Timestamp(minutes * 60_000);
        let is_open = |window, now| opens_in(window, now) == Some(Span::ZERO);
        let window = "thu:01:00-thu:02:00";
        let in_seconds = |now| opens_in(window, Timestamp(now)).unwrap();
        assert_eq!(in_seconds(59_000), Span::seconds(3541));
        assert_eq!(in_seconds(120 * 60_000), Span::seconds(7 * 86_400 - 3600));
        assert_eq!(opens_in("never", at(0)), None);
        assert!(!is_open(window, at(59)));
        assert!(is_open(window, at(60)) && is_open(window, at(119)));
        assert!(!is_open(window, at(120)));
        assert!(is_open(window, at(u64::from(WEEK) + 61)));
        let across = "wed:23:30-thu:00:30";
        assert!(is_open(across, at(29)) && is_open(across, at(u64::from(WEEK) - 30)));
        assert!(!is_open(across, at(30)));
    }

    #[test]
    fn a_window_for_backups_is_open_once_a_day_also_over_midnight() {
        let at = |minutes: u64| Timestamp(minutes * 60_000 + 7);
        let opened = |window, minutes| opened_at(window, at(minutes)).map(|at| at.0 / 60_000);
        assert_eq!(opened("05:00-05:30", 1440 + 299), None);
        assert_eq!(opened("05:00-05:30", 1440 + 300), Some(1740));
        assert_eq!(opened("05:00-05:30", 1440 + 329), Some(1740));
        assert_eq!(opened("05:00-05:30", 1440 + 330), None);
        assert_eq!(opened("23:45-00:15", 1440 + 5), Some(1425));
        assert_eq!(opened("never", 1), None);
    }

    #[test]
    fn windows_that_overlap_are_found_and_drawn_ones_don_t() {
        assert!(overlap("05:00-06:00", "mon:05:30-mon:06:30"));
        assert!(overlap("05:00-06:00", "mon:04:30-mon:05:01"));
        assert!(overlap("23:30-00:30", "mon:00:00-mon:01:00"));
        assert!(!overlap("05:00-06:00", "mon:06:00-mon:07:00"));
        for random in 0..5000 {
            let (daily, weekly) = drawn(random);
            assert!(is_daily(&daily) && is_weekly(&weekly), "{daily} {weekly}");
            assert!(!overlap(&daily, &weekly), "{daily} {weekly}");
        }
    }

    #[test]
    fn a_day_has_as_many_minutes_as_seconds_say() {
        assert_eq!(u64::from(DAY) * 60, SECONDS_PER_DAY);
    }
}

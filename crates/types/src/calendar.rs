//! The proleptic Gregorian calendar from 1970 on: days since then to dates and back. Time zones
//! and leap seconds are nobody's here.

/// Seconds in a day.
pub const SECONDS_PER_DAY: u64 = 86_400;

/// The last second of the year 9999, since 1970: later times have no form with four digits.
pub const LAST_SECOND: u64 = 253_402_300_799;

fn is_leap(year: u64) -> bool {
    year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400))
}

/// Days in that month, 1 to 12, of that year.
pub fn days_in(year: u64, month: u64) -> u64 {
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

/// Days from 1970-01-01 to the given day, which is not before it.
pub fn days_before(year: u64, month: u64, day: u64) -> u64 {
    let years = (year - 1970) * 365 + leap_days(year - 1) - leap_days(1969);
    let months: u64 = (1..month).map(|month| days_in(year, month)).sum();
    years + months + day - 1
}

/// Year, month and day of the day that is `days` after 1970-01-01.
pub fn date_of(days: u64) -> (u64, u64, u64) {
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
    fn every_day_of_four_centuries_is_the_day_after_the_one_before() {
        let (mut year, mut month, mut day) = (1970, 1, 1);
        for days in 0..=146_097 {
            assert_eq!(date_of(days), (year, month, day));
            assert_eq!(days_before(year, month, day), days);
            day += 1;
            if day > days_in(year, month) {
                (month, day) = (month + 1, 1);
            }
            if month > 12 {
                (year, month) = (year + 1, 1);
            }
        }
        // The Gregorian calendar repeats itself after 400 years.
        assert_eq!((year, month, day), (2370, 1, 2));
    }
}

//! Values that conditions compare as what they mean: decimal numbers of any length, points in
//! time, networks. A text that means none is `None`: it equals nothing.

use std::cmp::Ordering;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Compares two decimal numbers (`-12.50`), exactly.
pub(super) fn compare_numbers(a: &str, b: &str) -> Option<Ordering> {
    Some(number(a)?.compare(number(b)?))
}

/// Is it a decimal number?
pub(super) fn is_number(text: &str) -> bool {
    number(text).is_some()
}

/// A decimal number by its digits.
#[derive(Clone, Copy)]
struct Number<'a> {
    negative: bool,
    /// Digits before the point, without leading zeros.
    whole: &'a str,
    /// Digits after it, without trailing zeros.
    fraction: &'a str,
}

impl Number<'_> {
    fn compare(self, other: Number<'_>) -> Ordering {
        let size = |a: Number<'_>, b: Number<'_>| {
            let lengths = a.whole.len().cmp(&b.whole.len());
            lengths
                .then_with(|| a.whole.cmp(b.whole))
                .then_with(|| a.fraction.cmp(b.fraction))
        };
        match (self.negative, other.negative) {
            (false, false) => size(self, other),
            (true, true) => size(other, self),
            (true, false) => Ordering::Less,
            (false, true) => Ordering::Greater,
        }
    }
}

fn number(text: &str) -> Option<Number<'_>> {
    let (sign, digits) = match text.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let all_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    let given = !whole.is_empty() && !digits.ends_with('.');
    if !(given && all_digits(whole) && all_digits(fraction)) {
        return None;
    }
    let whole = whole.trim_start_matches('0');
    let fraction = fraction.trim_end_matches('0');
    // There is one zero.
    let negative = sign && !(whole.is_empty() && fraction.is_empty());
    Some(Number {
        negative,
        whole,
        fraction,
    })
}

/// A point in time: nanoseconds since 1970-01-01T00:00Z.
pub(super) type Instant = i128;

const NANOSECONDS: i128 = 1_000_000_000;

/// A date and time of ISO 8601 as the W3C's note "Date and Time Formats" has it (`2026-11-28`,
/// `2026-11-28T14:30Z`, `2026-11-28T14:30:05.25+01:00`; without a zone it is UTC), or seconds
/// since 1970 (`1795876205`).
pub(super) fn instant(text: &str) -> Option<Instant> {
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        let seconds: i64 = text.parse().ok()?;
        return Some(i128::from(seconds) * NANOSECONDS);
    }
    let (date, time) = match text.split_once(['T', 't']) {
        Some((date, time)) => (date, Some(time)),
        None => (text, None),
    };
    let mut parts = date.split('-');
    let year = digits(parts.next()?, 4)?;
    let month = parts.next().map_or(Some(1), |text| digits(text, 2))?;
    let day = parts.next().map_or(Some(1), |text| digits(text, 2))?;
    let complete = date.len() == "2026-11-28".len();
    if parts.next().is_some() || time.is_some() && !complete {
        return None;
    }
    if !(1..=12).contains(&month) || !(1..=days_in(year, month)).contains(&day) {
        return None;
    }
    let midnight = i128::from(days_from_1970(year, month, day)) * 86_400 * NANOSECONDS;
    Some(midnight + time.map_or(Some(0), time_of_day)?)
}

/// `14:30Z`, `14:30:05.25+01:00`: nanoseconds since midnight of UTC.
fn time_of_day(text: &str) -> Option<i128> {
    let (clock, offset) = match text.find(['Z', 'z', '+', '-']) {
        None => (text, 0),
        Some(at) => (&text[..at], zone(&text[at..])?),
    };
    let (clock, fraction) = clock.split_once('.').unwrap_or((clock, "0"));
    let mut parts = clock.split(':');
    let hour = digits(parts.next()?, 2)?;
    let minute = digits(parts.next()?, 2)?;
    let second = parts.next();
    if second.is_none() && text.contains('.') || parts.next().is_some() {
        return None;
    }
    let second = second.map_or(Some(0), |text| digits(text, 2))?;
    let is_fraction = (1..=9).contains(&fraction.len());
    if hour > 23 || minute > 59 || second > 59 || !is_fraction {
        return None;
    }
    let nanoseconds =
        digits(fraction, fraction.len())? * 10_i64.pow(u32::try_from(9 - fraction.len()).ok()?);
    let minutes = hour * 60 + minute - offset;
    Some(i128::from(minutes * 60 + second) * NANOSECONDS + i128::from(nanoseconds))
}

/// `Z` or `+01:00`: minutes ahead of UTC.
fn zone(text: &str) -> Option<i64> {
    if text.eq_ignore_ascii_case("Z") {
        return Some(0);
    }
    let (hours, minutes) = text[1..].split_once(':')?;
    let (hours, minutes) = (digits(hours, 2)?, digits(minutes, 2)?);
    let valid = hours <= 23 && minutes <= 59;
    let sign = if text.starts_with('-') { -1 } else { 1 };
    valid.then_some(sign * (hours * 60 + minutes))
}

/// Exactly so many digits.
fn digits(text: &str, count: usize) -> Option<i64> {
    let valid = text.len() == count && text.bytes().all(|byte| byte.is_ascii_digit());
    valid.then(|| text.parse().ok()).flatten()
}

fn days_in(year: i64, month: i64) -> i64 {
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    match month {
        2 if leap => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days from 1970-01-01 to that day of the years 0 to 9999; before 1970 they are negative.
fn days_from_1970(year: i64, month: i64, day: i64) -> i64 {
    // Leap days of the years before this one, the year 0 included.
    let leaps = |year: i64| match year {
        0 => 0,
        year => (year - 1) / 4 - (year - 1) / 100 + (year - 1) / 400 + 1,
    };
    let years = (year - 1970) * 365 + leaps(year) - leaps(1970);
    let months: i64 = (1..month).map(|month| days_in(year, month)).sum();
    years + months + day - 1
}

/// A network: `203.0.113.0/24`, `2001:db8::/32`; without a prefix it is one address.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Network {
    address: IpAddr,
    prefix: u32,
}

impl Network {
    pub(super) fn parse(text: &str) -> Option<Network> {
        let (address, prefix) = match text.split_once('/') {
            Some((address, prefix)) => (address, Some(prefix)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().ok()?;
        let longest = if address.is_ipv4() { 32 } else { 128 };
        let valid = |text: &str| text.len() <= 3 && text.bytes().all(|byte| byte.is_ascii_digit());
        let prefix = match prefix {
            None => longest,
            Some(text) => valid(text).then(|| text.parse().ok()).flatten()?,
        };
        (prefix <= longest).then_some(Network { address, prefix })
    }

    /// Is that address in it? An IPv4 address in IPv6 clothes is taken as what it is.
    pub(super) fn contains(&self, text: &str) -> bool {
        let Ok(address) = text.parse::<IpAddr>() else {
            return false;
        };
        match (self.address, address.to_canonical()) {
            (IpAddr::V4(own), IpAddr::V4(other)) => {
                let bits = |address: Ipv4Addr| u64::from(address.to_bits()) << 32;
                bits(own).checked_shr(64 - self.prefix).unwrap_or(0)
                    == bits(other).checked_shr(64 - self.prefix).unwrap_or(0)
            }
            (IpAddr::V6(own), IpAddr::V6(other)) => {
                let first = |address: Ipv6Addr| {
                    address
                        .to_bits()
                        .checked_shr(128 - self.prefix)
                        .unwrap_or(0)
                };
                first(own) == first(other)
            }
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_compare_by_value_however_long() {
        let ascending = [
            "-100",
            "-20.5",
            "-20.25",
            "-1",
            "-0.01",
            "0",
            "0.001",
            "0.01",
            "1",
            "9",
            "10",
            "10.05",
            "10.5",
            "9007199254740992",
            "9007199254740993",
            "100000000000000000000000000000000000000001",
        ];
        for (i, a) in ascending.iter().enumerate() {
            for (j, b) in ascending.iter().enumerate() {
                assert_eq!(compare_numbers(a, b), Some(i.cmp(&j)), "{a} {b}");
            }
        }
        for (a, b) in [("1", "01.0"), ("-0", "0.00"), ("+5", "5")] {
            assert_eq!(compare_numbers(a, b), Some(Ordering::Equal), "{a} {b}");
        }
        for text in ["", "-", "1.", ".5", "1e3", "0x1", "1,0", " 1", "NaN", "١"] {
            assert!(!is_number(text), "{text}");
        }
    }

    #[test]
    fn instants_are_read_in_every_form_of_the_note() {
        let seconds = |text: &str| instant(text).map(|at| at / NANOSECONDS);
        for (text, expected) in [
            ("0", 0),
            ("1795876205", 1_795_876_205),
            ("1970-01", 0),
            ("1970-01-01", 0),
            ("1970-01-01T00:00Z", 0),
            ("1970-01-01T01:00+01:00", 0),
            ("1969-12-31T23:30:00-00:30", 0),
            ("1970-01-01T00:00:01", 1),
            ("1969-12-31", -86_400),
            ("2000-02-29T12:00:00Z", 951_825_600),
            ("2026-11-28t14:30:05.250z", 1_795_876_205),
            ("0000-01-01", -62_167_219_200),
            ("9999-12-31T23:59:59Z", 253_402_300_799),
        ] {
            assert_eq!(seconds(text), Some(expected), "{text}");
        }
        assert_eq!(instant("1970-01-01T00:00:00.25Z"), Some(250_000_000));
        for text in [
            "",
            "x",
            "-1",
            "1970-13-01",
            "1970-02-29",
            "1970-1-1",
            "1970-01-01T",
            "1970-01T00:00Z",
            "1970-01-01T24:00Z",
            "1970-01-01T00:60Z",
            "1970-01-01T00Z",
            "1970-01-01T00:00:60Z",
            "1970-01-01T00:00.5Z",
            "1970-01-01T00:00:00.Z",
            "1970-01-01T00:00:00.1234567890Z",
            "1970-01-01T00:00+1",
            "1970-01-01T00:00+24:00",
            "1970-01-01T00:00ZZ",
            "99999999999999999999",
            "1970-01-01-01",
        ] {
            assert_eq!(instant(text), None, "{text}");
        }
    }

    #[test]
    fn networks_contain_their_addresses_alone() {
        let contains = |network: &str, address| Network::parse(network).unwrap().contains(address);
        assert!(contains("203.0.113.0/24", "203.0.113.255"));
        assert!(contains("203.0.113.77/24", "203.0.113.1"));
        assert!(!contains("203.0.113.0/24", "203.0.114.0"));
        assert!(contains("0.0.0.0/0", "8.8.8.8"));
        assert!(!contains("0.0.0.0/0", "::1"));
        assert!(contains("192.0.2.1", "192.0.2.1"));
        assert!(!contains("192.0.2.1", "192.0.2.2"));
        assert!(contains("192.0.2.0/24", "::ffff:192.0.2.9"));
        assert!(contains(
            "2001:DB8:1234:5678::/64",
            "2001:db8:1234:5678::ffff"
        ));
        assert!(!contains("2001:db8::/32", "2001:db9::"));
        assert!(contains("::/0", "2001::"));
        assert!(contains("::1", "::1"));
        assert!(!contains("::1/128", "::2"));
        assert!(!contains("0.0.0.0/0", "x"));
        for text in [
            "",
            "1.2.3",
            "1.2.3.4/33",
            "::/129",
            "1.2.3.4/",
            "1.2.3.4/+1",
            "1.2.3.*",
        ] {
            assert_eq!(Network::parse(text), None, "{text}");
        }
    }
}

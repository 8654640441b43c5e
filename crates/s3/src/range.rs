//! The `Range` header (RFC 9110, section 14) as S3 takes it: one range of bytes. What isn't one, or
//! is several, is no range, and the whole object is answered.

use std::ops::Range;

/// What a request wants of so many bytes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Wanted {
    /// All.
    All,
    /// These, at least one.
    Part(Range<u64>),
    /// Some that aren't there.
    Nothing,
}

/// What that header wants of `size` bytes.
pub(crate) fn wanted(header: Option<&str>, size: u64) -> Wanted {
    let Some((first, last)) = header.and_then(parse) else {
        return Wanted::All;
    };
    let range = match (first, last) {
        (Some(first), None) => first..size,
        (Some(first), Some(last)) => first..size.min(last.saturating_add(1)),
        (None, Some(suffix)) => size.saturating_sub(suffix)..size,
        (None, None) => return Wanted::All,
    };
    match range.start < range.end {
        true => Wanted::Part(range),
        false => Wanted::Nothing,
    }
}

/// The two numbers of `bytes=FIRST-LAST`; `None` if it isn't of that form.
fn parse(header: &str) -> Option<(Option<u64>, Option<u64>)> {
    let (unit, range) = header.trim().split_once('=')?;
    let (first, last) = range.trim().split_once('-')?;
    let number = |text: &str| match text {
        "" => Some(None),
        digits if digits.bytes().all(|byte| byte.is_ascii_digit()) => {
            // More than there can be is as good as the most.
            Some(Some(digits.parse().unwrap_or(u64::MAX)))
        }
        _ => None,
    };
    let (first, last) = (number(first)?, number(last)?);
    let is_backwards = matches!((first, last), (Some(first), Some(last)) if first > last);
    (unit.eq_ignore_ascii_case("bytes") && !is_backwards).then_some((first, last))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_range_is_taken_and_anything_else_is_none() {
        let of = |header| wanted(Some(header), 10);
        assert_eq!(wanted(None, 10), Wanted::All);
        assert_eq!(of("bytes=0-0"), Wanted::Part(0..1));
        assert_eq!(of("bytes=2-"), Wanted::Part(2..10));
        assert_eq!(of("bytes=2-99"), Wanted::Part(2..10));
        assert_eq!(of("bytes=2-99999999999999999999999"), Wanted::Part(2..10));
        assert_eq!(of("bytes=-3"), Wanted::Part(7..10));
        assert_eq!(of("bytes=-99"), Wanted::Part(0..10));
        for nothing in ["bytes=10-", "bytes=10-11", "bytes=-0"] {
            assert_eq!(of(nothing), Wanted::Nothing, "{nothing}");
        }
        for other in [
            "bytes=5-2",
            "bytes=0-1,3-4",
            "items=0-1",
            "bytes=a-",
            "bytes",
            "bytes=-",
            "-",
        ] {
            assert_eq!(of(other), Wanted::All, "{other}");
        }
        assert_eq!(wanted(Some("bytes=0-"), 0), Wanted::Nothing);
    }
}

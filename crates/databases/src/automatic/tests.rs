//! Spans, and what a Region knows of its own hearing.

use super::*;

fn tagged(value: &str) -> Result<Option<Span>, DatabasesError> {
    span_of(&Tags::from([(TAG.to_owned(), value.to_owned())]))
}

#[test]
fn a_span_is_of_2_seconds_to_10_minutes() {
    for (text, milliseconds) in [
        ("2s", 2_000),
        ("2000ms", 2_000),
        ("90s", 90_000),
        ("10m", 600_000),
    ] {
        assert_eq!(
            tagged(text).unwrap(),
            Some(Span::milliseconds(milliseconds))
        );
    }
    for text in [
        "",
        "2",
        "s",
        "1999ms",
        "1s",
        "601s",
        "11m",
        "1h",
        "-2s",
        "2 s",
        "2.5s",
        "0x2s",
        "2S",
        "99999999999999999999s",
        "18446744073709551615m",
    ] {
        assert!(tagged(text).is_err(), "{text}");
    }
    assert_eq!(span_of(&Tags::new()).unwrap(), None);
}

#[test]
fn one_that_missed_renewals_of_its_own_counts_anew() {
    let at = |milliseconds: u64| Monotonic(milliseconds * 1_000);
    let mut hearing = Hearing::default();
    assert_eq!(hearing.since(at(0)), None, "it has just started");
    hearing.decided(at(100), 1);
    hearing.decided(at(1_100), 1);
    assert_eq!(hearing.since(at(2_600)), Some(at(100)));
    assert_eq!(hearing.since(at(2_601)), None, "it hears nothing now");
    // It was cut off, or stood still.
    hearing.decided(at(9_000), 1);
    assert_eq!(hearing.since(at(9_500)), Some(at(9_000)));
}

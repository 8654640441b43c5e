//! Spans of time as a scenario writes them: `250ms`, `20s`, `1m30s`, and `-2s` for a clock that is
//! behind. There is none without a unit.

use types::Span;

/// What a span looks like.
pub(super) const HELP: &str =
    "write whole numbers with units (ms, s, m, h): \"250ms\", \"20s\", \"1m30s\"";

/// Units, the longest name first so that `ms` isn't read as `m`, in microseconds.
const UNITS: [(&str, i64); 4] = [
    ("ms", 1_000),
    ("s", 1_000_000),
    ("m", 60_000_000),
    ("h", 3_600_000_000),
];

/// Microseconds; or what is wrong.
pub(super) fn parse(text: &str) -> Result<i64, String> {
    let wrong = || format!("`{text}` is no span of time");
    let (sign, mut rest) = match text.strip_prefix('-') {
        Some(rest) => (-1, rest),
        None => (1, text),
    };
    if rest.is_empty() {
        return Err(wrong());
    }
    let mut total: i64 = 0;
    while !rest.is_empty() {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let (number, after) = rest.split_at(digits);
        let number: i64 = number.parse().map_err(|_| wrong())?;
        let unit = UNITS.into_iter().find(|(name, _)| after.starts_with(name));
        let Some((name, factor)) = unit else {
            let letters = after.chars().take_while(|c| c.is_alphabetic());
            let letters: String = letters.take(12).collect();
            return Err(match letters.is_empty() {
                true => format!("`{text}` has no unit of time"),
                false => format!("`{letters}` is no unit of time"),
            });
        };
        let part = number.checked_mul(factor).ok_or_else(wrong)?;
        total = total.checked_add(part).ok_or_else(wrong)?;
        rest = &after[name.len()..];
    }
    Ok(sign * total)
}

/// A span as short as it can be written: `90s` is `1m30s`, `1500ms` is `1s500ms`.
pub(crate) fn show(span: Span) -> String {
    let mut milliseconds = span.0 / 1000;
    if milliseconds == 0 {
        return "0s".to_owned();
    }
    let mut shown = String::new();
    for (name, factor) in [("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)] {
        let count = milliseconds / factor;
        if count > 0 {
            shown.push_str(&format!("{count}{name}"));
        }
        milliseconds %= factor;
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_read_and_shown() {
        assert_eq!(parse("1m30s"), Ok(90_000_000));
        assert_eq!(parse("250ms"), Ok(250_000));
        assert_eq!(parse("-2s"), Ok(-2_000_000));
        assert_eq!(parse("0s"), Ok(0));
        for (wrong, words) in [
            ("", "is no span"),
            ("-", "is no span"),
            ("s", "is no span"),
            ("5", "has no unit"),
            ("5 s", "has no unit"),
            ("5sec2", "is no span"),
            ("5parsecs", "`parsecs` is no unit"),
            ("1.5s", "has no unit"),
            ("99999999999999999999s", "is no span"),
            ("9000000000000000h", "is no span"),
            ("9000000000000000s9000000000000000s", "is no span"),
        ] {
            let error = parse(wrong).unwrap_err();
            assert!(error.contains(words), "{wrong}: {error}");
        }
        assert_eq!(show(Span::seconds(90)), "1m30s");
        assert_eq!(show(Span::milliseconds(1500)), "1s500ms");
        assert_eq!(show(Span::ZERO), "0s");
    }
}

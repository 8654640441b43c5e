//! Spans of time as people write them: `90s`, `5m`, `1h30m`, `250ms`.

use std::time::Duration;

/// Units, the longest name first so that `ms` isn't read as `m`.
const UNITS: [(&str, u64); 4] = [("ms", 1), ("s", 1_000), ("m", 60_000), ("h", 3_600_000)];

/// Parses a span: one or more whole numbers, each with its unit (`ms`, `s`, `m`, `h`).
pub fn parse(text: &str) -> Result<Duration, String> {
    let wrong = || format!("'{text}' is no span of time; write 90s, 5m or 1h30m");
    let mut rest = text;
    let mut milliseconds: u64 = 0;
    while !rest.is_empty() {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let (number, after) = rest.split_at(digits);
        let number: u64 = number.parse().map_err(|_| wrong())?;
        let (name, factor) = UNITS
            .into_iter()
            .find(|(name, _)| after.starts_with(name))
            .ok_or_else(wrong)?;
        milliseconds = number
            .checked_mul(factor)
            .and_then(|part| milliseconds.checked_add(part))
            .ok_or_else(wrong)?;
        rest = &after[name.len()..];
    }
    match milliseconds {
        0 => Err(wrong()),
        _ => Ok(Duration::from_millis(milliseconds)),
    }
}

/// Prints a span as short as makes sense: `9m 12s`, `850 ms`.
pub fn show(span: Duration) -> String {
    let seconds = span.as_secs();
    match seconds {
        0 => format!("{} ms", span.as_millis()),
        1..60 => format!("{seconds}s"),
        60..3600 => format!("{}m {}s", seconds / 60, seconds % 60),
        _ => format!("{}h {}m", seconds / 3600, seconds / 60 % 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_as_people_write_them() {
        let milliseconds = |text| parse(text).map(|span| span.as_millis());
        assert_eq!(milliseconds("90s"), Ok(90_000));
        assert_eq!(milliseconds("5m"), Ok(300_000));
        assert_eq!(milliseconds("1h30m"), Ok(5_400_000));
        assert_eq!(milliseconds("250ms"), Ok(250));
        for wrong in [
            "",
            "5",
            "m",
            "5 m",
            "-5m",
            "0s",
            "5d",
            "99999999999999999999s",
        ] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
        assert!(parse("5184000000000000000h").is_err());
    }

    #[test]
    fn spans_as_they_are_shown() {
        let shown = |seconds| show(Duration::from_secs(seconds));
        assert_eq!(shown(59), "59s");
        assert_eq!(shown(552), "9m 12s");
        assert_eq!(shown(7260), "2h 1m");
        assert_eq!(show(Duration::from_millis(850)), "850 ms");
    }
}

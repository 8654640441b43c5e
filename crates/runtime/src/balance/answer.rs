//! Answers that a balancer makes itself, as ELB words them.

use std::time::SystemTime;

use bytes::Bytes;

use super::Answer;

/// What answers name as their server.
pub(super) const SERVER: &str = "awselb/2.0";

impl Answer {
    /// ELB's own page for that status.
    pub fn of(status: u16) -> Answer {
        let title = format!("{status} {}", reason(status));
        let page = format!(
            "<html>\r\n<head><title>{title}</title></head>\r\n<body>\r\n\
             <center><h1>{title}</h1></center>\r\n</body>\r\n</html>\r\n"
        );
        Answer {
            status,
            content_type: Some("text/html".to_owned()),
            location: None,
            body: Bytes::from(page),
        }
    }
}

/// The words behind a status; nothing of one that has none.
pub(super) fn reason(status: u16) -> &'static str {
    match status {
        // ELB's own words where they aren't the RFC's.
        414 => "Request-URI Too Large",
        413 => "Request Entity Too Large",
        408 => "Request Time-out",
        503 => "Service Temporarily Unavailable",
        504 => "Gateway Time-out",
        // Statuses that ELB alone has.
        460..=464 => "",
        _ => http::StatusCode::from_u16(status)
            .ok()
            .and_then(|status| status.canonical_reason())
            .unwrap_or(""),
    }
}

/// The time as `Date` says it (RFC 9110, section 5.6.7).
pub(super) fn date(now: SystemTime) -> String {
    const DAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
    const MONTHS: [&str; 12] = [
        "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
    ];
    let seconds = now
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default()
        .as_secs();
    let (days, second) = (seconds / 86_400, seconds % 86_400);
    // Days since 1 March of the year 0, in eras of 400 years (Hinnant, "chrono-compatible
    // low-level date algorithms").
    let shifted = days + 719_468;
    let (era, of_era) = (shifted / 146_097, shifted % 146_097);
    let year = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let (month, carry) = if month < 10 {
        (month + 3, 0)
    } else {
        (month - 9, 1)
    };
    let year = era * 400 + year + carry;
    format!(
        "{}, {day:02} {} {year} {:02}:{:02}:{:02} GMT",
        DAYS[(days % 7) as usize],
        MONTHS[(month - 1) as usize],
        second / 3600,
        second / 60 % 60,
        second % 60,
    )
}

/// Writes an answer as HTTP/1.1, without the body if a `HEAD` asked for it.
pub(super) fn write(out: &mut Vec<u8>, answer: &Answer, server: bool, closes: bool, is_head: bool) {
    let line = format!("HTTP/1.1 {} {}\r\n", answer.status, reason(answer.status));
    out.extend_from_slice(line.as_bytes());
    let mut put = |name: &str, value: &str| super::rewrite::put(out, name, value.as_bytes());
    if server {
        put("Server", SERVER);
    }
    put("Date", &date(SystemTime::now()));
    if let Some(kind) = &answer.content_type {
        put("Content-Type", kind);
    }
    if let Some(location) = &answer.location {
        put("Location", location);
    }
    put("Content-Length", &answer.body.len().to_string());
    put("Connection", if closes { "close" } else { "keep-alive" });
    out.extend_from_slice(b"\r\n");
    if !is_head {
        out.extend_from_slice(&answer.body);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn dates_are_those_of_the_calendar() {
        let at = |seconds| date(SystemTime::UNIX_EPOCH + Duration::from_secs(seconds));
        assert_eq!(at(0), "Thu, 01 Jan 1970 00:00:00 GMT");
        assert_eq!(at(784_111_777), "Sun, 06 Nov 1994 08:49:37 GMT");
        assert_eq!(at(951_827_696), "Tue, 29 Feb 2000 12:34:56 GMT");
        assert_eq!(at(4_107_542_399), "Sun, 28 Feb 2100 23:59:59 GMT");
    }

    #[test]
    fn an_answer_is_written_whole() {
        let mut out = Vec::new();
        write(&mut out, &Answer::of(503), true, true, false);
        let text = String::from_utf8(out).unwrap();
        assert!(
            text.starts_with("HTTP/1.1 503 Service Temporarily Unavailable\r\n"),
            "{text}"
        );
        assert!(text.contains("Server: awselb/2.0\r\n"), "{text}");
        assert!(text.ends_with("</body>\r\n</html>\r\n"), "{text}");
        let mut out = Vec::new();
        write(&mut out, &Answer::of(200), false, false, true);
        let text = String::from_utf8(out).unwrap();
        assert!(
            !text.contains("Server") && text.ends_with("keep-alive\r\n\r\n"),
            "{text}"
        );
    }
}

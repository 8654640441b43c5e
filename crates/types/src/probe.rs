//! One probe of an endpoint: what a checker orders and what comes of it. Plain values between
//! `health`, which decides what to probe, and `runtime`, which has the sockets; the texts are
//! those of Route 53's `StatusReport`. Nothing here connects or decides.

use std::fmt;
use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;

use crate::{HealthCheckId, Probe, Span};

/// A probe that is to be made now.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ProbeOrder {
    /// The health check it is made for; an endpoint finds it in the `User-Agent` header.
    pub id: HealthCheckId,
    /// Where to connect to. Whoever orders has seen that it is allowed.
    pub endpoint: SocketAddr,
    /// The endpoint's name, for the Host header and for SNI.
    pub name: Option<String>,
    /// What to do there.
    pub probe: Probe,
    /// How long each step may take.
    pub timeouts: ProbeTimeouts,
}

/// How long the steps of a probe may take, each by itself.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ProbeTimeouts {
    /// Making the TCP connection.
    pub connect: Span,
    /// From the connection to the end of the response's head, the TLS handshake included.
    pub response: Span,
    /// From the head to the string that is searched for.
    pub body: Span,
}

/// A step of a probe.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ProbeStep {
    /// Making the TCP connection.
    Connect,
    /// Waiting for the response's head, or in the TLS handshake before it.
    Response,
    /// Reading the body.
    Body,
}

/// What came of a probe. `Display` words it as Route 53's status reports do.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ProbeOutcome {
    /// The TCP connection was made, and that was all that was asked.
    Connected,
    /// The response has this status, and, if a string was searched for and the status is one of
    /// 200 to 399, the string was found.
    Status(u16),
    /// The status is one of 200 to 399; the string isn't in the first 5,120 bytes of the body.
    NoMatch(u16),
    /// The connection was refused.
    Refused,
    /// A step took too long.
    TimedOut(ProbeStep),
    /// There is no way to the endpoint, or the connection broke; in the system's words.
    Broken(String),
    /// The TLS handshake failed; in the words of TLS.
    Tls(String),
    /// What came is no response of the HTTP that is asked for.
    NotHttp(String),
    /// The gRPC call ended with this status; 0 is success.
    Grpc(u16),
    /// The response's head is longer than 16,384 bytes or has too many fields.
    HeadTooLarge,
    /// The name has no IPv4 address.
    Unresolved,
    /// The address is none that the deployment lets health checks look at.
    Forbidden,
    /// The checker itself could not connect to anything (no more files, ports or memory); in the
    /// system's words.
    NotMade(String),
    /// Whoever was to probe never said what came of it.
    Lost,
}

/// What carries out probes.
pub trait Prober: Send + Sync + 'static {
    /// Makes one probe. It takes no longer than the order's time-outs together.
    fn probe(&self, order: ProbeOrder) -> Pin<Box<dyn Future<Output = ProbeOutcome> + Send + '_>>;
}

impl ProbeOutcome {
    /// The longest text of `Broken`, `Tls` and `NotHttp` that [`ProbeOutcome::words`] leaves, in
    /// bytes.
    pub const WORDS: usize = 160;

    /// The longest text that [`ProbeOutcome::status`] gives, in bytes.
    pub const STATUS: usize = 240;

    /// What the probe says of the endpoint: passed or not. `None`: it says nothing, since the
    /// checker couldn't look.
    pub fn finding(&self) -> Option<bool> {
        match self {
            ProbeOutcome::NotMade(_) | ProbeOutcome::Lost => None,
            _ => Some(self.passed()),
        }
    }

    /// The endpoint passed.
    pub fn passed(&self) -> bool {
        match self {
            ProbeOutcome::Connected => true,
            ProbeOutcome::Status(status) => (200..400).contains(status),
            ProbeOutcome::Grpc(status) => *status == 0,
            _ => false,
        }
    }

    /// The endpoint answered, well or badly, so that the time to the next probe counts from the
    /// end of this one.
    pub fn answered(&self) -> bool {
        !matches!(
            self,
            ProbeOutcome::TimedOut(_)
                | ProbeOutcome::Unresolved
                | ProbeOutcome::Forbidden
                | ProbeOutcome::NotMade(_)
                | ProbeOutcome::Lost
        )
    }

    /// What may be said of an error's text: printable, and not longer than
    /// [`ProbeOutcome::WORDS`]. A server can have put anything into it.
    pub fn words(cause: &dyn fmt::Display) -> String {
        printable(&cause.to_string(), ProbeOutcome::WORDS)
    }

    /// The outcome as it is shown: what `Display` says, printable and bounded whatever
    /// the outcome was made with.
    pub fn status(&self) -> String {
        printable(&self.to_string(), ProbeOutcome::STATUS)
    }
}

fn printable(text: &str, limit: usize) -> String {
    let mut printable = String::new();
    for character in text.chars() {
        let character = if character.is_control() || is_no_xml(character) {
            ' '
        } else {
            character
        };
        if printable.len() + character.len_utf8() > limit {
            break;
        }
        printable.push(character);
    }
    printable
}

/// Two code points that are characters and yet may not stand in XML 1.0 (section 2.2).
fn is_no_xml(character: char) -> bool {
    matches!(character, '\u{fffe}' | '\u{ffff}')
}

/// The reason phrases of RFC 9110 that probes meet most; others are left out.
fn reason(status: u16) -> Option<&'static str> {
    Some(match status {
        200 => "OK",
        201 => "Created",
        202 => "Accepted",
        204 => "No Content",
        206 => "Partial Content",
        301 => "Moved Permanently",
        302 => "Found",
        303 => "See Other",
        304 => "Not Modified",
        307 => "Temporary Redirect",
        308 => "Permanent Redirect",
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        408 => "Request Timeout",
        410 => "Gone",
        421 => "Misdirected Request",
        429 => "Too Many Requests",
        500 => "Internal Server Error",
        501 => "Not Implemented",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        504 => "Gateway Timeout",
        _ => return None,
    })
}

impl fmt::Display for ProbeOutcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verdict = if self.passed() { "Success" } else { "Failure" };
        write!(f, "{verdict}: ")?;
        match self {
            ProbeOutcome::Connected => f.write_str("TCP connection established"),
            ProbeOutcome::Status(status) => {
                write!(f, "HTTP Status Code {status}")?;
                reason(*status).map_or(Ok(()), |reason| write!(f, ", {reason}"))
            }
            ProbeOutcome::NoMatch(status) => {
                write!(f, "HTTP Status Code {status}")?;
                reason(*status).map_or(Ok(()), |reason| write!(f, ", {reason}"))?;
                f.write_str(". The search string was not found in the response body.")
            }
            ProbeOutcome::Refused => f.write_str("Connection refused"),
            ProbeOutcome::TimedOut(ProbeStep::Connect) => f.write_str(
                "Connection timed out. The endpoint or the internet connection is down, or \
                 requests are being blocked by your firewall.",
            ),
            ProbeOutcome::TimedOut(ProbeStep::Response) => f.write_str(
                "Response timed out. The endpoint accepted the connection but did not respond.",
            ),
            ProbeOutcome::TimedOut(ProbeStep::Body) => f.write_str(
                "Response timed out. The search string did not arrive in the response body.",
            ),
            ProbeOutcome::Grpc(status) => write!(f, "gRPC Status Code {status}"),
            ProbeOutcome::Broken(cause) => write!(f, "Connection failed: {cause}"),
            ProbeOutcome::Tls(cause) => write!(f, "SSL {cause}"),
            ProbeOutcome::NotHttp(cause) => write!(f, "Invalid HTTP response: {cause}"),
            ProbeOutcome::HeadTooLarge => f.write_str("The HTTP response headers are too large"),
            ProbeOutcome::Unresolved => f.write_str("DNS resolution failed"),
            ProbeOutcome::Forbidden => {
                f.write_str("The endpoint's address is not an allowed target of health checks")
            }
            ProbeOutcome::NotMade(cause) => {
                write!(f, "The health checker could not connect: {cause}")
            }
            ProbeOutcome::Lost => f.write_str("The health checker did not finish"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outcomes_are_worded_as_the_service_does() {
        let worded = |outcome: ProbeOutcome| outcome.to_string();
        assert_eq!(
            worded(ProbeOutcome::Status(200)),
            "Success: HTTP Status Code 200, OK"
        );
        assert_eq!(
            worded(ProbeOutcome::Status(503)),
            "Failure: HTTP Status Code 503, Service Unavailable"
        );
        assert_eq!(
            worded(ProbeOutcome::Status(599)),
            "Failure: HTTP Status Code 599"
        );
        assert_eq!(worded(ProbeOutcome::Refused), "Failure: Connection refused");
    }

    #[test]
    fn statuses_from_200_to_399_pass() {
        for (status, passes) in [(199, false), (200, true), (399, true), (400, false)] {
            assert_eq!(ProbeOutcome::Status(status).passed(), passes, "{status}");
        }
        assert!(!ProbeOutcome::NoMatch(200).passed());
        assert_eq!(ProbeOutcome::Refused.finding(), Some(false));
        assert_eq!(ProbeOutcome::Connected.finding(), Some(true));
        assert_eq!(ProbeOutcome::Lost.finding(), None);
    }

    #[test]
    fn words_are_printable_and_bounded() {
        assert_eq!(ProbeOutcome::words(&"a\r\nb\u{fffe}c\0"), "a  b c ");
        let long = ProbeOutcome::words(&"ü".repeat(500));
        assert_eq!(long, "ü".repeat(ProbeOutcome::WORDS / 2));
        let status = ProbeOutcome::Broken("x\n".repeat(500)).status();
        assert_eq!(status.len(), ProbeOutcome::STATUS);
        assert!(status.starts_with("Failure: Connection failed: x x x "));
    }
}

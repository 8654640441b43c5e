//! What a request's head says about its own reading: its length, its host, what its connection is
//! to do, and how it stands to RFC 9112 by the tiers of ELB's desync mitigation. What two readers
//! could take for two requests is refused; what is refused in which mode is decided here alone.

use super::framing::Length;
use super::head::{self, HeadError, RequestLine, Version};
use super::{Classification, DesyncMode, HeaderField, Tier};

/// A request that may be passed on.
#[derive(Debug)]
pub(super) struct Request<'a> {
    pub(super) line: RequestLine<'a>,
    pub(super) fields: Vec<HeaderField<'a>>,
    /// Path and query, as they are sent on.
    pub(super) path: &'a str,
    pub(super) query: Option<&'a str>,
    /// Empty if there is none.
    pub(super) host: &'a str,
    pub(super) length: Length,
    /// The client wants its connection to go on.
    pub(super) keep_alive: bool,
    /// It waits for "100 Continue".
    pub(super) expects: bool,
    /// It asks for a WebSocket.
    pub(super) websocket: bool,
    pub(super) classification: Classification,
}

/// A request that isn't passed on, and what it is answered with.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Refused {
    pub(super) status: u16,
    pub(super) classification: Classification,
}

/// What a field is to a reader of requests.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Known {
    Host,
    ContentLength,
    TransferEncoding,
    Connection,
    /// Concerns one connection (RFC 9110, section 7.6.1), and isn't sent on.
    HopByHop,
    Upgrade,
    Expect,
    ForwardedFor,
    /// `X-Forwarded-Proto`, `X-Forwarded-Port`: replaced.
    ForwardedOther,
    TraceId,
    /// `X-Amzn-Tls-Version`, `X-Amzn-Tls-Cipher-Suite`: nobody but a balancer says them.
    TlsFacts,
    Other,
}

impl Known {
    pub(super) fn of(name: &str) -> Known {
        let is = |other: &str| name.eq_ignore_ascii_case(other);
        match name.len() {
            2 if is("te") => Known::HopByHop,
            4 if is("host") => Known::Host,
            6 if is("expect") => Known::Expect,
            7 if is("upgrade") => Known::Upgrade,
            10 if is("connection") => Known::Connection,
            10 if is("keep-alive") => Known::HopByHop,
            14 if is("content-length") => Known::ContentLength,
            14 if is("http2-settings") => Known::HopByHop,
            15 if is("x-forwarded-for") => Known::ForwardedFor,
            15 if is("x-amzn-trace-id") => Known::TraceId,
            16 if is("x-forwarded-port") => Known::ForwardedOther,
            16 if is("proxy-connection") => Known::HopByHop,
            17 if is("x-forwarded-proto") => Known::ForwardedOther,
            17 if is("transfer-encoding") => Known::TransferEncoding,
            18 if is("x-amzn-tls-version") => Known::TlsFacts,
            19 if is("proxy-authorization") => Known::HopByHop,
            23 if is("x-amzn-tls-cipher-suite") => Known::TlsFacts,
            _ => Known::Other,
        }
    }
}

fn refused(status: u16, reason: &'static str) -> Refused {
    Refused {
        status,
        classification: Classification {
            tier: Tier::Severe,
            reason: Some(reason),
        },
    }
}

impl From<HeadError> for Refused {
    fn from(error: HeadError) -> Refused {
        let (status, reason) = match error {
            HeadError::FirstTooLong => (414, "BadUri"),
            HeadError::TooLong | HeadError::TooMany => (400, "BadHeader"),
            HeadError::BareLineFeed => (400, "NonCrLfLineTermination"),
            HeadError::First => (400, "MissingUri"),
            HeadError::Method => (400, "BadMethod"),
            HeadError::Target => (400, "BadUri"),
            HeadError::Version => (400, "BadVersion"),
            HeadError::OtherVersion => (505, "BadVersion"),
            HeadError::Field => (400, "SuspiciousHeader"),
            HeadError::Value => (400, "BadHeader"),
            HeadError::Folded => (400, "MultilineHeader"),
        };
        refused(status, reason)
    }
}

/// The worst that was found.
struct Judged(Classification);

impl Judged {
    fn note(&mut self, tier: Tier, reason: &'static str) {
        if tier > self.0.tier {
            self.0 = Classification {
                tier,
                reason: Some(reason),
            };
        }
    }
}

/// What lengths a head says.
#[derive(Default)]
struct Lengths {
    counted: Option<u64>,
    chunked: bool,
    encodings: usize,
}

/// Reads and judges a whole head.
pub(super) fn read<'a>(head: &'a [u8], mode: DesyncMode) -> Result<Request<'a>, Refused> {
    let (line, fields) = head::request(head)?;
    let mut judged = Judged(Classification::COMPLIANT);
    let (authority, path, query) = target(&line, &mut judged)?;
    let mut lengths = Lengths::default();
    let (mut host, mut expects) = (None, false);
    let (mut keep_alive, mut upgrades, mut websocket) =
        (line.version == Version::Http11, false, false);
    for field in &fields {
        if !field.value.is_ascii() {
            judged.note(Tier::Acceptable, "NonCompliantHeader");
        }
        match Known::of(field.name) {
            Known::Host => {
                let named = is_host(field.value).ok_or_else(|| refused(400, "BadHeader"))?;
                if host.replace(named).is_some() {
                    return Err(refused(400, "BadHeader"));
                }
            }
            Known::ContentLength => lengths.count(field.value, mode, &mut judged)?,
            Known::TransferEncoding => lengths.encoding(field.value)?,
            Known::Connection => {
                for word in head::words(field.value) {
                    upgrades |= word.eq_ignore_ascii_case(b"upgrade");
                    if word.eq_ignore_ascii_case(b"close") {
                        keep_alive = false;
                    } else if word.eq_ignore_ascii_case(b"keep-alive") {
                        keep_alive |= line.version == Version::Http10;
                    }
                }
            }
            Known::Expect => expects = field.value.eq_ignore_ascii_case(b"100-continue"),
            Known::Upgrade => websocket = field.value.eq_ignore_ascii_case(b"websocket"),
            Known::Other => suspect(field.name, &mut judged),
            _ => {}
        }
    }
    if host.is_none() && line.version == Version::Http11 {
        return Err(refused(400, "BadHeader"));
    }
    let length = lengths.settle(&line, mode, &mut judged)?;
    if mode == DesyncMode::Strictest && judged.0.tier > Tier::Compliant {
        return Err(Refused {
            status: 400,
            classification: judged.0,
        });
    }
    let ambiguous = judged.0.tier >= Tier::Ambiguous;
    Ok(Request {
        line,
        fields,
        path,
        query,
        host: authority.or(host).unwrap_or(""),
        length,
        keep_alive: keep_alive && !ambiguous,
        expects: expects && line.version == Version::Http11,
        websocket: websocket && upgrades && line.version == Version::Http11,
        classification: judged.0,
    })
}

/// The host of an absolute target, the path and the query.
type Target<'a> = (Option<&'a str>, &'a str, Option<&'a str>);

fn target<'a>(line: &RequestLine<'a>, judged: &mut Judged) -> Result<Target<'a>, Refused> {
    match line.method {
        // ELB: "405: the client used the TRACE method".
        "TRACE" => return Err(refused(405, "BadMethod")),
        "CONNECT" => return Err(refused(400, "BadMethod")),
        _ => {}
    }
    let whole = line.target;
    if !whole.is_ascii() {
        judged.note(Tier::Ambiguous, "AmbiguousUri");
    }
    if whole.contains(['#', '\\']) {
        return Err(refused(400, "BadUri"));
    }
    if whole == "*" && line.method == "OPTIONS" {
        return Ok((None, whole, None));
    }
    let (authority, whole) = match whole.starts_with('/') {
        true => (None, whole),
        // A proxy's form (RFC 9112, section 3.2.2), whose host is the one that counts.
        false => {
            let scheme = whole.split_once("://").filter(|(scheme, _)| {
                scheme.eq_ignore_ascii_case("http") || scheme.eq_ignore_ascii_case("https")
            });
            let (_, rest) = scheme.ok_or_else(|| refused(400, "BadUri"))?;
            let at = rest.find(['/', '?']).unwrap_or(rest.len());
            let (authority, path) = rest.split_at(at);
            let named = is_host(authority.as_bytes()).filter(|named| !named.is_empty());
            (Some(named.ok_or_else(|| refused(400, "BadUri"))?), path)
        }
    };
    let (path, query) = match whole.split_once('?') {
        Some((path, query)) => (path, Some(query)),
        None => (whole, None),
    };
    Ok((authority, if path.is_empty() { "/" } else { path }, query))
}

/// The text, if it can be a host with or without a port (RFC 3986, section 3.2.2; no user).
fn is_host(value: &[u8]) -> Option<&str> {
    let may = |byte: &u8| byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:[]%".contains(byte);
    let text = value
        .iter()
        .all(may)
        .then(|| std::str::from_utf8(value).ok());
    text.flatten()
}

/// A name that somebody could take for one that says a length.
fn suspect(name: &str, judged: &mut Judged) {
    const LENGTHS: [&str; 2] = ["transferencoding", "contentlength"];
    let first = name.bytes().find(u8::is_ascii_alphabetic);
    if !first.is_some_and(|first| b"tTcC".contains(&first)) {
        return;
    }
    let letters = || {
        name.bytes()
            .filter(u8::is_ascii_alphabetic)
            .map(|b| b.to_ascii_lowercase())
    };
    if LENGTHS.iter().any(|length| letters().eq(length.bytes())) {
        judged.note(Tier::Ambiguous, "SuspiciousHeader");
    }
}

impl Lengths {
    fn count(
        &mut self,
        value: &[u8],
        mode: DesyncMode,
        judged: &mut Judged,
    ) -> Result<(), Refused> {
        let count = count(value).ok_or_else(|| refused(400, "BadContentLength"))?;
        match self.counted.replace(count) {
            None => Ok(()),
            Some(before) if before != count => Err(refused(400, "MultipleContentLength")),
            Some(_) if mode == DesyncMode::Monitor => {
                judged.note(Tier::Ambiguous, "DuplicateContentLength");
                Ok(())
            }
            Some(_) => Err(refused(400, "DuplicateContentLength")),
        }
    }

    fn encoding(&mut self, value: &[u8]) -> Result<(), Refused> {
        self.encodings += 1;
        if self.encodings > 1 {
            return Err(refused(400, "MultipleTransferEncodingChunked"));
        }
        // ELB: "501: a Transfer-Encoding header with an unsupported value", which are all but
        // chunked and identity.
        if value.eq_ignore_ascii_case(b"chunked") {
            self.chunked = true;
        } else if !value.eq_ignore_ascii_case(b"identity") {
            return Err(refused(501, "BadTransferEncoding"));
        }
        Ok(())
    }

    fn settle(
        &self,
        line: &RequestLine<'_>,
        mode: DesyncMode,
        judged: &mut Judged,
    ) -> Result<Length, Refused> {
        if self.encodings > 0 {
            if line.version == Version::Http10 {
                return Err(refused(400, "UndefinedTransferEncodingSemantics"));
            }
            if self.counted.is_some() {
                match mode {
                    DesyncMode::Monitor => judged.note(Tier::Ambiguous, "BothTeClPresent"),
                    _ => return Err(refused(400, "BothTeClPresent")),
                }
            }
        }
        let bodiless = matches!(line.method, "GET" | "HEAD");
        match (self.chunked, self.counted) {
            (true, _) => {
                if bodiless {
                    judged.note(Tier::Ambiguous, "UndefinedTransferEncodingSemantics");
                }
                Ok(Length::Chunked)
            }
            (false, Some(count)) => {
                match count {
                    0 if bodiless => judged.note(Tier::Acceptable, "GetHeadZeroContentLength"),
                    _ if bodiless => {
                        judged.note(Tier::Ambiguous, "UndefinedContentLengthSemantics")
                    }
                    _ => {}
                }
                Ok(Length::Of(count))
            }
            (false, None) => Ok(Length::Of(0)),
        }
    }
}

/// A length: digits and nothing else (RFC 9110, section 8.6).
pub(super) fn count(value: &[u8]) -> Option<u64> {
    if value.is_empty() || !value.iter().all(u8::is_ascii_digit) {
        return None;
    }
    value.iter().try_fold(0_u64, |sum, digit| {
        sum.checked_mul(10)?.checked_add(u64::from(digit - b'0'))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judge(
        text: &str,
        mode: DesyncMode,
    ) -> Result<(Length, Option<&'static str>), (u16, &'static str)> {
        match read(text.as_bytes(), mode) {
            Ok(request) => Ok((request.length, request.classification.reason)),
            Err(refused) => Err((refused.status, refused.classification.reason.unwrap_or(""))),
        }
    }

    fn post(fields: &str) -> String {
        format!("POST / HTTP/1.1\r\nHost: a\r\n{fields}\r\n")
    }

    #[test]
    fn lengths_that_readers_differ_about_are_refused() {
        let cases = [
            (
                "Content-Length: 5\r\nContent-Length: 6\r\n",
                400,
                "MultipleContentLength",
            ),
            (
                "Content-Length: 5\r\nContent-Length: 5\r\n",
                400,
                "DuplicateContentLength",
            ),
            ("Content-Length: 5, 5\r\n", 400, "BadContentLength"),
            ("Content-Length: +5\r\n", 400, "BadContentLength"),
            ("Content-Length: -5\r\n", 400, "BadContentLength"),
            ("Content-Length: 0x5\r\n", 400, "BadContentLength"),
            ("Content-Length:\r\n", 400, "BadContentLength"),
            (
                "Content-Length: 99999999999999999999\r\n",
                400,
                "BadContentLength",
            ),
            (
                "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
                400,
                "BothTeClPresent",
            ),
            (
                "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n",
                400,
                "BothTeClPresent",
            ),
            (
                "Transfer-Encoding: identity\r\nContent-Length: 5\r\n",
                400,
                "BothTeClPresent",
            ),
            (
                "Transfer-Encoding: chunked, chunked\r\n",
                501,
                "BadTransferEncoding",
            ),
            (
                "Transfer-Encoding: gzip, chunked\r\n",
                501,
                "BadTransferEncoding",
            ),
            (
                "Transfer-Encoding: xchunked\r\n",
                501,
                "BadTransferEncoding",
            ),
            (
                "Transfer-Encoding: \"chunked\"\r\n",
                501,
                "BadTransferEncoding",
            ),
            ("Transfer-Encoding:\r\n", 501, "BadTransferEncoding"),
            (
                "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
                400,
                "MultipleTransferEncodingChunked",
            ),
            (
                "Transfer-Encoding: chunked\r\nTransfer-Encoding: x\r\n",
                400,
                "MultipleTransferEncodingChunked",
            ),
            ("Transfer-Encoding : chunked\r\n", 400, "SuspiciousHeader"),
            ("Transfer-Encoding\t: chunked\r\n", 400, "SuspiciousHeader"),
            (
                "X: y\r\n Transfer-Encoding: chunked\r\n",
                400,
                "MultilineHeader",
            ),
            ("X: y\rTransfer-Encoding: chunked\r\n", 400, "BadHeader"),
            ("Transfer-Encoding: chunked\x0b\r\n", 400, "BadHeader"),
            ("Host: b\r\n", 400, "BadHeader"),
        ];
        for (fields, status, reason) in cases {
            let judged = judge(&post(fields), DesyncMode::Defensive);
            assert_eq!(judged, Err((status, reason)), "{fields:?}");
            assert!(
                judge(&post(fields), DesyncMode::Strictest).is_err(),
                "{fields:?}"
            );
        }
        let old = "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n";
        assert!(judge(old, DesyncMode::Monitor).is_err());
        assert!(judge("GET / HTTP/1.1\r\n\r\n", DesyncMode::Monitor).is_err());
    }

    #[test]
    fn modes_differ_about_what_is_ambiguous() {
        let both = post("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n");
        let monitored = judge(&both, DesyncMode::Monitor);
        assert_eq!(monitored, Ok((Length::Chunked, Some("BothTeClPresent"))));
        let twice = post("Content-Length: 5\r\nContent-Length: 5\r\n");
        let monitored = judge(&twice, DesyncMode::Monitor);
        assert_eq!(
            monitored,
            Ok((Length::Of(5), Some("DuplicateContentLength")))
        );
        let get = "GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\n";
        let defended = judge(get, DesyncMode::Defensive);
        assert_eq!(
            defended,
            Ok((Length::Of(3), Some("UndefinedContentLengthSemantics")))
        );
        assert!(judge(get, DesyncMode::Strictest).is_err());
        assert!(
            !read(get.as_bytes(), DesyncMode::Defensive)
                .unwrap()
                .keep_alive
        );
        let suspicious = post("Transfer_Encoding: chunked\r\n");
        let defended = judge(&suspicious, DesyncMode::Defensive);
        assert_eq!(defended, Ok((Length::Of(0), Some("SuspiciousHeader"))));
        assert!(judge(&suspicious, DesyncMode::Strictest).is_err());
        let plain = post("Content-Length: 5\r\n");
        assert_eq!(
            judge(&plain, DesyncMode::Strictest),
            Ok((Length::Of(5), None))
        );
    }

    #[test]
    fn targets_are_taken_apart() {
        let read = |target: &str| {
            let text = format!("GET {target} HTTP/1.1\r\nHost: a:80\r\n\r\n");
            super::read(text.as_bytes(), DesyncMode::Defensive).map(|request| {
                let query = request.query.map(str::to_owned);
                (request.host.to_owned(), request.path.to_owned(), query)
            })
        };
        let expect = |host: &str, path: &str, query: Option<&str>| {
            Ok((host.to_owned(), path.to_owned(), query.map(str::to_owned)))
        };
        assert_eq!(read("/a/b?c?d"), expect("a:80", "/a/b", Some("c?d")));
        assert_eq!(read("/?"), expect("a:80", "/", Some("")));
        assert_eq!(read("http://b:8080/x"), expect("b:8080", "/x", None));
        assert_eq!(read("HTTPS://b?q"), expect("b", "/", Some("q")));
        for wrong in [
            "a",
            "*",
            "ftp://b/",
            "http:///x",
            "http://u@b/",
            "/a#b",
            "/a\\b",
        ] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn connections_go_on_as_their_clients_say() {
        let keeps = |text: &str| {
            let request = read(text.as_bytes(), DesyncMode::Defensive).unwrap();
            (request.keep_alive, request.websocket)
        };
        assert_eq!(keeps("GET / HTTP/1.1\r\nHost: a\r\n\r\n"), (true, false));
        assert!(!keeps("GET / HTTP/1.1\r\nHost: a\r\nConnection: x, Close\r\n\r\n").0);
        assert!(!keeps("GET / HTTP/1.0\r\n\r\n").0);
        assert!(keeps("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n").0);
        let socket =
            "GET / HTTP/1.1\r\nHost: a\r\nUpgrade: WebSocket\r\nConnection: Upgrade\r\n\r\n";
        assert_eq!(keeps(socket), (true, true));
        let other = "GET / HTTP/1.1\r\nHost: a\r\nUpgrade: h2c\r\nConnection: Upgrade\r\n\r\n";
        assert_eq!(keeps(other), (true, false));
    }
}

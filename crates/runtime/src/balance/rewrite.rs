//! Heads as they are sent on: what concerns one connection is left out, what a balancer adds is
//! added (`X-Forwarded-*`, `X-Amzn-Trace-Id`), and the length is said once, as it was understood.

use std::fmt::Write as _;
use std::net::{IpAddr, SocketAddr};
use std::time::{SystemTime, UNIX_EPOCH};

use super::framing::Length;
use super::head::{self, StatusLine, Version};
use super::request::{self, Known};
use super::{ForwardedFor, HeaderField, HttpOptions, TlsFacts};
use crate::environment::fill_random;

/// More addresses in `X-Forwarded-For` are answered 463 (ELB: "more than 30 IP addresses").
const MOST_FORWARDED: usize = 30;

/// Who asked, and where.
pub(super) struct Asked<'a> {
    pub(super) source: SocketAddr,
    pub(super) listener: SocketAddr,
    pub(super) tls: Option<&'a TlsFacts>,
}

/// Header fields as they are sent to a target, but for the length and what the connection does:
/// every name and value is given away in turn.
pub(super) fn request_fields<'a>(
    fields: &[HeaderField<'a>],
    host: &str,
    trace_id: &str,
    asked: &Asked<'_>,
    options: &HttpOptions,
    mut give: impl FnMut(&str, &[u8]),
) {
    let nominated = nominated(fields);
    if !host.is_empty() {
        match options.preserve_host {
            true => give("Host", host.as_bytes()),
            false => give("Host", settled_host(host, asked.listener.port()).as_bytes()),
        }
    }
    let mut forwarded = Vec::new();
    for field in fields {
        match Known::of(field.name) {
            Known::Other | Known::Expect => {
                let is_nominated = !nominated.is_empty()
                    && nominated
                        .iter()
                        .any(|word| word.eq_ignore_ascii_case(field.name.as_bytes()));
                let is_invalid = options.drop_invalid_headers && !is_plain(field.name);
                if !is_nominated && !is_invalid {
                    give(field.name, field.value);
                }
            }
            Known::ForwardedFor => match options.forwarded_for {
                ForwardedFor::Append => {
                    forwarded.extend_from_slice(field.value);
                    forwarded.extend_from_slice(b", ");
                }
                ForwardedFor::Preserve => give(field.name, field.value),
                ForwardedFor::Remove => {}
            },
            _ => {}
        }
    }
    if options.forwarded_for == ForwardedFor::Append {
        forwarded.extend_from_slice(client_text(asked.source, options).as_bytes());
        give("X-Forwarded-For", &forwarded);
    }
    let scheme: &[u8] = if asked.tls.is_some() {
        b"https"
    } else {
        b"http"
    };
    give("X-Forwarded-Proto", scheme);
    give(
        "X-Forwarded-Port",
        asked.listener.port().to_string().as_bytes(),
    );
    give("X-Amzn-Trace-Id", trace_id.as_bytes());
    if let Some(tls) = asked.tls.filter(|_| options.tls_headers) {
        give("X-Amzn-Tls-Version", tls.protocol.as_bytes());
        give("X-Amzn-Tls-Cipher-Suite", tls.cipher.as_bytes());
    }
}

fn client_text(source: SocketAddr, options: &HttpOptions) -> String {
    match (options.forwarded_port, source.ip()) {
        (true, _) => source.to_string(),
        (false, IpAddr::V4(ip)) => ip.to_string(),
        (false, IpAddr::V6(ip)) => ip.to_string(),
    }
}

/// Are there more addresses in `X-Forwarded-For` than ELB takes?
pub(super) fn forwarded_too_often(fields: &[HeaderField<'_>]) -> bool {
    let named = fields
        .iter()
        .filter(|field| Known::of(field.name) == Known::ForwardedFor);
    let addresses = named.map(|field| head::words(field.value).count());
    addresses.sum::<usize>() > MOST_FORWARDED
}

/// The fields that `Connection` names beside what it always may.
fn nominated<'a>(fields: &[HeaderField<'a>]) -> Vec<&'a [u8]> {
    let named = fields
        .iter()
        .filter(|field| Known::of(field.name) == Known::Connection);
    let words = named.flat_map(|field| head::words(field.value));
    let words = words.filter(|word| {
        ![&b"close"[..], b"keep-alive", b"upgrade"]
            .iter()
            .any(|usual| word.eq_ignore_ascii_case(usual))
    });
    words.collect()
}

/// What ELB calls a valid name: letters, digits and hyphens.
fn is_plain(name: &str) -> bool {
    name.bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
}

/// The host as ELB sends it on unless it is to be preserved: with the listener's port, if that is
/// neither 80 nor 443 and none is said; without one on 80 and 443.
fn settled_host(host: &str, port: u16) -> String {
    let bare = bare_host(host);
    let has_port = bare.len() < host.len();
    match port {
        80 | 443 => bare.to_owned(),
        _ if has_port => host.to_owned(),
        _ => format!("{host}:{port}"),
    }
}

fn bare_host(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((bare, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => bare,
        _ => host,
    }
}

/// Writes a field.
pub(super) fn put(out: &mut Vec<u8>, name: &str, value: &[u8]) {
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b": ");
    out.extend_from_slice(value);
    out.extend_from_slice(b"\r\n");
}

/// Writes a length as a field; a body of unknown end has none.
pub(super) fn put_length(out: &mut Vec<u8>, length: Length) {
    match length {
        Length::Of(count) => put(out, "Content-Length", count.to_string().as_bytes()),
        Length::Chunked => put(out, "Transfer-Encoding", b"chunked"),
        Length::UntilClosed => {}
    }
}

/// Writes a request's head as a target gets it.
pub(super) fn request(
    out: &mut Vec<u8>,
    request: &request::Request<'_>,
    trace_id: &str,
    asked: &Asked<'_>,
    options: &HttpOptions,
) {
    out.extend_from_slice(request.line.method.as_bytes());
    out.push(b' ');
    out.extend_from_slice(request.path.as_bytes());
    if let Some(query) = request.query {
        out.push(b'?');
        out.extend_from_slice(query.as_bytes());
    }
    out.extend_from_slice(b" HTTP/1.1\r\n");
    let fields = &request.fields;
    request_fields(
        fields,
        request.host,
        trace_id,
        asked,
        options,
        |name, value| {
            put(out, name, value);
        },
    );
    let says_length = fields
        .iter()
        .any(|field| Known::of(field.name) == Known::ContentLength);
    if request.length != Length::Of(0) || says_length {
        put_length(out, request.length);
    }
    if request.websocket {
        out.extend_from_slice(b"Connection: upgrade\r\nUpgrade: websocket\r\n");
    } else if !request.keep_alive && request.classification.tier >= super::Tier::Ambiguous {
        out.extend_from_slice(b"Connection: close\r\n");
    }
    out.extend_from_slice(b"\r\n");
}

/// What an answer's head says about its own reading.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct AnswerFacts {
    pub(super) length: Length,
    /// The target's connection can be used again.
    pub(super) keep_alive: bool,
}

/// A target's answer can't be told from what follows it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Malformed;

/// What an answer's head says: its first line, its fields, and how it is to be read.
pub(super) type ReadAnswer<'a> = (StatusLine<'a>, Vec<HeaderField<'a>>, AnswerFacts);

/// Reads and judges a target's final answer to a request that was a `HEAD` or wasn't.
pub(super) fn read_answer(head: &[u8], is_head: bool) -> Result<ReadAnswer<'_>, Malformed> {
    let (line, fields) = head::answer(head).map_err(|_| Malformed)?;
    let facts = judge_answer(&line, &fields, is_head)?;
    Ok((line, fields, facts))
}

/// Judges a target's final answer to a request of that method.
fn judge_answer(
    line: &StatusLine<'_>,
    fields: &[HeaderField<'_>],
    is_head: bool,
) -> Result<AnswerFacts, Malformed> {
    let (mut counted, mut chunked) = (None, false);
    let mut keep_alive = line.version == Version::Http11;
    for field in fields {
        match Known::of(field.name) {
            Known::ContentLength => {
                let count = request::count(field.value).ok_or(Malformed)?;
                if counted.replace(count).is_some_and(|before| before != count) {
                    return Err(Malformed);
                }
            }
            Known::TransferEncoding => {
                let is_chunked = field.value.eq_ignore_ascii_case(b"chunked");
                if !is_chunked || chunked || line.version == Version::Http10 {
                    return Err(Malformed);
                }
                chunked = true;
            }
            Known::Connection => {
                let mut words = head::words(field.value);
                if words.any(|word| word.eq_ignore_ascii_case(b"close")) {
                    keep_alive = false;
                }
            }
            _ => {}
        }
    }
    let length = match (chunked, counted) {
        _ if is_head || matches!(line.status, 100..=199 | 204 | 304) => Length::Of(0),
        (true, Some(_)) => return Err(Malformed),
        (true, None) => Length::Chunked,
        (false, Some(count)) => Length::Of(count),
        (false, None) => Length::UntilClosed,
    };
    let keep_alive = keep_alive && length != Length::UntilClosed;
    Ok(AnswerFacts { length, keep_alive })
}

/// Writes a final answer's head as a client gets it. `length`: as the client gets the body.
pub(super) fn answer(
    out: &mut Vec<u8>,
    line: &StatusLine<'_>,
    fields: &[HeaderField<'_>],
    added: &[(String, String)],
    length: Option<Length>,
) {
    write_status(out, line);
    let nominated = nominated(fields);
    for field in fields {
        let name = field.name.as_bytes();
        match Known::of(field.name) {
            Known::Connection | Known::HopByHop | Known::TransferEncoding | Known::Upgrade => {}
            Known::ContentLength if length.is_some() => {}
            _ if nominated.iter().any(|word| word.eq_ignore_ascii_case(name)) => {}
            _ => put(out, field.name, field.value),
        }
    }
    for (name, value) in added {
        put(out, name, value.as_bytes());
    }
    if let Some(length) = length {
        put_length(out, length);
    }
}

pub(super) fn write_status(out: &mut Vec<u8>, line: &StatusLine<'_>) {
    let status = line.status;
    out.extend_from_slice(b"HTTP/1.1 ");
    out.extend_from_slice(&[100, 10, 1].map(|unit| b'0' + (status / unit % 10) as u8));
    out.push(b' ');
    out.extend_from_slice(line.reason);
    out.extend_from_slice(b"\r\n");
}

/// Makes `X-Amzn-Trace-Id`s: unique, not secret. One a thread.
pub(super) struct Traces {
    state: u64,
    base: u64,
}

impl Traces {
    pub(super) fn new() -> Traces {
        let mut seeds = [0; 16];
        fill_random(&mut seeds);
        let (state, base) = seeds.split_at(8);
        let number = |bytes: &[u8]| {
            bytes
                .iter()
                .fold(0, |sum, byte| sum << 8 | u64::from(*byte))
        };
        Traces {
            state: number(state),
            base: number(base),
        }
    }

    /// SplitMix64 (Steele, Lea, Flood, "Fast splittable pseudorandom number generators").
    fn draw(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// `1-`, the second as 8 hexadecimal digits, and 24 more.
    fn id(&mut self) -> String {
        let seconds = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        let (high, low) = (self.draw() ^ self.base, self.draw() as u32);
        format!("1-{:08x}-{high:016x}{low:08x}", seconds.as_secs() as u32)
    }

    /// What a request is sent on with: its own root, behind which ELB says itself, or a new one.
    pub(super) fn trace(&mut self, fields: &[HeaderField<'_>]) -> String {
        let given = fields
            .iter()
            .find(|field| Known::of(field.name) == Known::TraceId);
        let given = given.and_then(|field| std::str::from_utf8(field.value).ok());
        let given = given.filter(|value| value.len() <= 512 && !value.is_empty());
        let id = self.id();
        match given {
            None => format!("Root={id}"),
            Some(value) => {
                let rest = value.split(';').map(str::trim);
                let rest = rest.filter(|part| !part.starts_with("Self=") && !part.is_empty());
                let has_root = rest.clone().any(|part| part.starts_with("Root="));
                let mut text = format!("{}={id}", if has_root { "Self" } else { "Root" });
                for part in rest {
                    write!(text, ";{part}").ok();
                }
                text
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::balance::DesyncMode;

    const TLS: TlsFacts = TlsFacts {
        protocol: "TLSv1.3",
        cipher: "TLS_AES_128_GCM_SHA256",
        server_name: None,
    };

    fn rewritten(text: &str, options: &HttpOptions, tls: Option<&TlsFacts>) -> String {
        let read = request::read(text.as_bytes(), DesyncMode::Defensive).unwrap();
        let asked = Asked {
            source: "192.0.2.7:1234".parse().unwrap(),
            listener: "127.32.1.1:8080".parse().unwrap(),
            tls,
        };
        let mut out = Vec::new();
        request(&mut out, &read, "Root=1", &asked, options);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_request_is_sent_on_with_what_a_balancer_adds_and_without_what_was_the_clients_alone() {
        let text = "GET /a?b HTTP/1.1\r\nhost: x\r\nConnection: close, x-mine\r\nX-Mine: 1\r\n\
                    Keep-Alive: 5\r\nTE: gzip\r\nUpgrade: h2c\r\nHTTP2-Settings: x\r\n\
                    X-Forwarded-For: 10.0.0.1\r\nX-Forwarded-For: 10.0.0.2\r\n\
                    X-Forwarded-Proto: evil\r\nX-Amzn-Tls-Version: evil\r\nA_b: 2\r\n\r\n";
        let sent = rewritten(text, &HttpOptions::USUAL, None);
        assert_eq!(
            sent,
            "GET /a?b HTTP/1.1\r\nHost: x:8080\r\nA_b: 2\r\n\
             X-Forwarded-For: 10.0.0.1, 10.0.0.2, 192.0.2.7\r\nX-Forwarded-Proto: http\r\n\
             X-Forwarded-Port: 8080\r\nX-Amzn-Trace-Id: Root=1\r\n\r\n"
        );
        let options = HttpOptions {
            drop_invalid_headers: true,
            preserve_host: true,
            forwarded_for: ForwardedFor::Preserve,
            tls_headers: true,
            ..HttpOptions::USUAL
        };
        let sent = rewritten(text, &options, Some(&TLS));
        assert_eq!(
            sent,
            "GET /a?b HTTP/1.1\r\nHost: x\r\nX-Forwarded-For: 10.0.0.1\r\n\
             X-Forwarded-For: 10.0.0.2\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Port: 8080\r\n\
             X-Amzn-Trace-Id: Root=1\r\nX-Amzn-Tls-Version: TLSv1.3\r\n\
             X-Amzn-Tls-Cipher-Suite: TLS_AES_128_GCM_SHA256\r\n\r\n"
        );
        let options = HttpOptions {
            forwarded_for: ForwardedFor::Remove,
            ..HttpOptions::USUAL
        };
        assert!(!rewritten(text, &options, None).contains("X-Forwarded-For"));
        let options = HttpOptions {
            forwarded_port: true,
            ..HttpOptions::USUAL
        };
        assert!(rewritten(text, &options, None).contains("10.0.0.2, 192.0.2.7:1234\r\n"));
    }

    #[test]
    fn a_length_is_said_once_and_as_it_was_understood() {
        let text = "POST / HTTP/1.1\r\nHost: x\r\nCONTENT-LENGTH: 05\r\n\r\n";
        let sent = rewritten(text, &HttpOptions::USUAL, None);
        assert!(sent.contains("Content-Length: 5\r\n"), "{sent}");
        let text = "POST / HTTP/1.1\r\nHost: x\r\ntransfer-encoding: Chunked\r\n\r\n";
        let sent = rewritten(text, &HttpOptions::USUAL, None);
        assert!(sent.contains("Transfer-Encoding: chunked\r\n"), "{sent}");
        let text = "POST / HTTP/1.1\r\nHost: x\r\n\r\n";
        assert!(!rewritten(text, &HttpOptions::USUAL, None).contains("ength"));
    }

    #[test]
    fn hosts_get_the_ports_that_elb_gives_them() {
        let cases = [
            ("a", 8080, "a:8080"),
            ("a:90", 8080, "a:90"),
            ("a:90", 80, "a"),
            ("a", 443, "a"),
            ("[::1]", 8080, "[::1]:8080"),
            ("[::1]:90", 80, "[::1]"),
            ("[::1]", 80, "[::1]"),
        ];
        for (host, port, expected) in cases {
            assert_eq!(settled_host(host, port), expected, "{host} {port}");
        }
    }

    #[test]
    fn traces_keep_their_root() {
        let mut traces = Traces::new();
        let field = |value: &'static str| HeaderField {
            name: "x-amzn-trace-id",
            value: value.as_bytes(),
        };
        let new = traces.trace(&[]);
        assert!(new.starts_with("Root=1-") && new.len() == 40, "{new}");
        assert_ne!(new, traces.trace(&[]));
        let kept = traces.trace(&[field("Self=1-0-0;Root=1-2-3;A=b")]);
        assert!(
            kept.starts_with("Self=1-") && kept.ends_with(";Root=1-2-3;A=b"),
            "{kept}"
        );
        let rooted = traces.trace(&[field("A=b")]);
        assert!(
            rooted.starts_with("Root=1-") && rooted.ends_with(";A=b"),
            "{rooted}"
        );
    }

    #[test]
    fn answers_that_cannot_be_told_apart_are_malformed() {
        let judge = |text: &str, is_head| {
            let (line, fields) = head::answer(text.as_bytes()).unwrap();
            judge_answer(&line, &fields, is_head).map(|facts| (facts.length, facts.keep_alive))
        };
        let ok = |fields: &str| format!("HTTP/1.1 200 OK\r\n{fields}\r\n");
        assert_eq!(
            judge(&ok("Content-Length: 5\r\n"), false),
            Ok((Length::Of(5), true))
        );
        assert_eq!(
            judge(&ok("Content-Length: 5\r\n"), true),
            Ok((Length::Of(0), true))
        );
        assert_eq!(
            judge(&ok("Transfer-Encoding: chunked\r\n"), false),
            Ok((Length::Chunked, true))
        );
        assert_eq!(judge(&ok(""), false), Ok((Length::UntilClosed, false)));
        assert_eq!(
            judge("HTTP/1.1 304 x\r\nContent-Length: 5\r\n\r\n", false),
            Ok((Length::Of(0), true))
        );
        assert_eq!(
            judge(&ok("Connection: close\r\nContent-Length: 0\r\n"), false),
            Ok((Length::Of(0), false))
        );
        for wrong in [
            "Content-Length: 5\r\nContent-Length: 6\r\n",
            "Content-Length: x\r\n",
            "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
            "Transfer-Encoding: gzip\r\n",
            "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
        ] {
            assert_eq!(judge(&ok(wrong), false), Err(Malformed), "{wrong:?}");
        }
        let many = ["a"; 31].join(",");
        let field = HeaderField {
            name: "X-Forwarded-For",
            value: many.as_bytes(),
        };
        assert!(forwarded_too_often(&[field]));
        assert!(!forwarded_too_often(&[HeaderField {
            value: b"a, b",
            ..field
        }]));
    }

    /// Whatever is let through is read by the next reader as it was read here.
    #[test]
    fn what_is_sent_on_is_read_again_as_the_same_request() {
        let pieces = [
            "GET",
            "POST",
            " ",
            "/",
            "?",
            "a",
            "http://b",
            "HTTP/1.1",
            "HTTP/1.0",
            "\r\n",
            "\n",
            "\r",
            "Host",
            ":",
            ": ",
            "\t",
            "Content-Length",
            "5",
            "0",
            "Transfer-Encoding",
            "chunked",
            "Connection",
            "close",
            ",",
            "x",
            "X-Forwarded-For",
            "Upgrade",
            "websocket",
            "\0",
            "\u{e9}",
            "\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a\r\n",
            "POST / HTTP/1.1\r\nHost: a\r\n",
            "Content-Length: 5\r\n",
            "Transfer-Encoding: chunked\r\n",
            "Connection: x\r\n",
        ];
        let mut traces = Traces { state: 7, base: 0 };
        let mut passed = 0;
        for _ in 0..40_000 {
            let mut text = String::new();
            if !traces.draw().is_multiple_of(3) {
                text.push_str(pieces[31 + (traces.draw() % 2) as usize]);
            }
            for _ in 0..traces.draw() % 8 {
                text.push_str(pieces[(traces.draw() % pieces.len() as u64) as usize]);
            }
            text.push_str("\r\n\r\n");
            let limits = head::HeadLimits {
                first: 500,
                line: 500,
                whole: 5000,
                fields: 50,
            };
            let Ok(Some(length)) = head::Scan::default().end(text.as_bytes(), &limits) else {
                continue;
            };
            for mode in [
                DesyncMode::Monitor,
                DesyncMode::Defensive,
                DesyncMode::Strictest,
            ] {
                let Ok(read) = request::read(&text.as_bytes()[..length], mode) else {
                    continue;
                };
                passed += 1;
                let asked = Asked {
                    source: "192.0.2.7:1".parse().unwrap(),
                    listener: "192.0.2.1:80".parse().unwrap(),
                    tls: None,
                };
                let mut out = Vec::new();
                request(&mut out, &read, "Root=1", &asked, &HttpOptions::USUAL);
                let end = head::Scan::default().end(&out, &limits);
                assert_eq!(end, Ok(Some(out.len())), "{text:?}");
                if read.host.is_empty() {
                    continue;
                }
                let again = request::read(&out, DesyncMode::Defensive);
                let again = again.unwrap_or_else(|error| panic!("{text:?}: {error:?}"));
                assert_eq!(again.length, read.length, "{text:?}");
                assert_eq!(
                    (again.path, again.query),
                    (read.path, read.query),
                    "{text:?}"
                );
                assert_eq!(again.line.method, read.line.method, "{text:?}");
            }
        }
        assert!(passed > 1000, "{passed}");
    }
}

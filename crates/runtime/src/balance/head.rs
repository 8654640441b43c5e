//! Heads of HTTP/1.x messages, read strictly (RFC 9112): lines end with CR LF and nothing else, a
//! name is followed by its colon, nothing is folded, no control character is anywhere. What isn't
//! so is refused and never mended; where a head ends is found without reading it twice.

use super::HeaderField;

/// How much of a head there may be.
#[derive(Clone, Copy, Debug)]
pub(super) struct HeadLimits {
    /// Bytes of the first line ...
    pub(super) first: usize,
    /// ... of any other ...
    pub(super) line: usize,
    /// ... and of all.
    pub(super) whole: usize,
    /// Header fields.
    pub(super) fields: usize,
}

/// What is wrong with a head.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub(super) enum HeadError {
    /// A line ends without a carriage return.
    #[error("a line ends with a bare line feed")]
    BareLineFeed,
    /// The first line is longer than it may be.
    #[error("the first line is too long")]
    FirstTooLong,
    /// A header field, or all of them, are longer than they may be.
    #[error("the head is too long")]
    TooLong,
    /// There are more header fields than there may be.
    #[error("there are too many header fields")]
    TooMany,
    /// The first line isn't one.
    #[error("the first line is malformed")]
    First,
    /// The method isn't one.
    #[error("the method is malformed")]
    Method,
    /// The target isn't one.
    #[error("the request's target is malformed")]
    Target,
    /// The version isn't one.
    #[error("the version is malformed")]
    Version,
    /// The version isn't spoken here.
    #[error("the version is another than HTTP/1.0 and HTTP/1.1")]
    OtherVersion,
    /// A header field isn't one: no name, or white space before the colon, or no colon.
    #[error("a header field is malformed")]
    Field,
    /// A value with control characters.
    #[error("a header field's value has control characters")]
    Value,
    /// A line that continues the one before.
    #[error("a header field is folded")]
    Folded,
}

/// How far the end of a head has been looked for.
#[derive(Clone, Copy, Default, Debug)]
pub(super) struct Scan {
    /// Everything before was looked at ...
    at: usize,
    /// ... and here the last line begins that wasn't ended.
    line: usize,
    /// Lines that ended.
    lines: usize,
}

impl Scan {
    /// Looks on; gives how long the head is, once it is whole. Each call sees what the call before
    /// saw, and perhaps more.
    pub(super) fn end(
        &mut self,
        bytes: &[u8],
        limits: &HeadLimits,
    ) -> Result<Option<usize>, HeadError> {
        while let Some(found) = bytes[self.at..].iter().position(|byte| *byte == b'\n') {
            let feed = self.at + found;
            if feed == self.line || bytes[feed - 1] != b'\r' {
                return Err(HeadError::BareLineFeed);
            }
            let length = feed - 1 - self.line;
            self.measure(length, limits)?;
            self.at = feed + 1;
            self.line = self.at;
            if length == 0 {
                return Ok(Some(self.at));
            }
            self.lines += 1;
        }
        self.at = bytes.len();
        self.measure(self.at - self.line, limits)?;
        Ok(None)
    }

    fn measure(&self, length: usize, limits: &HeadLimits) -> Result<(), HeadError> {
        if self.lines == 0 && length > limits.first {
            return Err(HeadError::FirstTooLong);
        }
        if self.lines > 0 && length > limits.line || self.line + length > limits.whole {
            return Err(HeadError::TooLong);
        }
        if self.lines > limits.fields + 1 {
            return Err(HeadError::TooMany);
        }
        Ok(())
    }
}

/// A version of HTTP/1.x.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum Version {
    /// 1.0.
    Http10,
    /// 1.1.
    Http11,
}

/// A request line.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct RequestLine<'a> {
    pub(super) method: &'a str,
    pub(super) target: &'a str,
    pub(super) version: Version,
}

/// A status line.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct StatusLine<'a> {
    pub(super) version: Version,
    pub(super) status: u16,
    /// May be empty.
    pub(super) reason: &'a [u8],
}

/// The first line of a whole head, without its end, and what comes behind it.
fn first(head: &[u8]) -> Result<(&[u8], &[u8]), HeadError> {
    let feed = head.iter().position(|byte| *byte == b'\n');
    let feed = feed.filter(|at| *at > 0).ok_or(HeadError::First)?;
    Ok((&head[..feed - 1], &head[feed + 1..]))
}

/// Reads a whole request's head, as [`Scan`] has measured it.
pub(super) fn request(head: &[u8]) -> Result<(RequestLine<'_>, Vec<HeaderField<'_>>), HeadError> {
    let (line, rest) = first(head)?;
    let mut words = line.split(|byte| *byte == b' ');
    let (Some(method), Some(target), Some(version), None) =
        (words.next(), words.next(), words.next(), words.next())
    else {
        return Err(HeadError::First);
    };
    let method = token(method).ok_or(HeadError::Method)?;
    if target.is_empty() || target.iter().any(|byte| *byte <= b' ' || *byte == 0x7f) {
        return Err(HeadError::Target);
    }
    let target = std::str::from_utf8(target).map_err(|_| HeadError::Target)?;
    let version = self::version(version)?;
    let line = RequestLine {
        method,
        target,
        version,
    };
    Ok((line, fields(rest)?))
}

/// Reads a whole answer's head.
pub(super) fn answer(head: &[u8]) -> Result<(StatusLine<'_>, Vec<HeaderField<'_>>), HeadError> {
    let (line, rest) = first(head)?;
    let (version, behind) = line.split_at_checked(8).ok_or(HeadError::First)?;
    let version = self::version(version)?;
    let [b' ', hundreds, tens, ones, reason @ ..] = behind else {
        return Err(HeadError::First);
    };
    let digits = [*hundreds, *tens, *ones];
    if !digits.iter().all(u8::is_ascii_digit) || *hundreds == b'0' {
        return Err(HeadError::First);
    }
    let reason = match reason {
        [] => reason,
        [b' ', reason @ ..] if reason.iter().all(|byte| is_text(*byte)) => reason,
        _ => return Err(HeadError::First),
    };
    let status = digits
        .iter()
        .fold(0, |sum, digit| sum * 10 + u16::from(digit - b'0'));
    let line = StatusLine {
        version,
        status,
        reason,
    };
    Ok((line, fields(rest)?))
}

fn version(word: &[u8]) -> Result<Version, HeadError> {
    match word {
        b"HTTP/1.1" => Ok(Version::Http11),
        b"HTTP/1.0" => Ok(Version::Http10),
        [b'H', b'T', b'T', b'P', b'/', major, b'.', minor]
            if major.is_ascii_digit() && minor.is_ascii_digit() =>
        {
            Err(HeadError::OtherVersion)
        }
        _ => Err(HeadError::Version),
    }
}

/// Header fields up to the empty line.
pub(super) fn fields(lines: &[u8]) -> Result<Vec<HeaderField<'_>>, HeadError> {
    let mut fields = Vec::with_capacity(16);
    let mut rest = lines;
    while let Some(feed) = rest.iter().position(|byte| *byte == b'\n') {
        let line = &rest[..feed.saturating_sub(1)];
        if line.is_empty() {
            break;
        }
        fields.push(field(line)?);
        rest = &rest[feed + 1..];
    }
    Ok(fields)
}

/// One line, without its end.
pub(super) fn field(line: &[u8]) -> Result<HeaderField<'_>, HeadError> {
    if matches!(line.first(), Some(b' ' | b'\t')) {
        return Err(HeadError::Folded);
    }
    let colon = line.iter().position(|byte| *byte == b':');
    let (name, value) = line.split_at(colon.ok_or(HeadError::Field)?);
    let name = token(name).ok_or(HeadError::Field)?;
    let value = trim(&value[1..]);
    match value.iter().all(|byte| is_text(*byte)) {
        true => Ok(HeaderField { name, value }),
        false => Err(HeadError::Value),
    }
}

/// The word, if it is a token (RFC 9110, section 5.6.2).
pub(super) fn token(word: &[u8]) -> Option<&str> {
    let is_token = !word.is_empty() && word.iter().all(|byte| TOKEN[usize::from(*byte)]);
    is_token.then(|| std::str::from_utf8(word).ok()).flatten()
}

/// Which bytes tokens have.
const TOKEN: [bool; 256] = {
    let mut table = [false; 256];
    let others = b"!#$%&'*+-.^_`|~";
    let mut byte = 0;
    while byte < 128 {
        table[byte] = (byte as u8).is_ascii_alphanumeric();
        byte += 1;
    }
    let mut at = 0;
    while at < others.len() {
        table[others[at] as usize] = true;
        at += 1;
    }
    table
};

/// What values have: no control character but the tabulator.
fn is_text(byte: u8) -> bool {
    byte == b'\t' || (byte >= b' ' && byte != 0x7f)
}

/// Without the white space around it.
pub(super) fn trim(value: &[u8]) -> &[u8] {
    let is_space = |byte: &u8| matches!(byte, b' ' | b'\t');
    let begin = value.iter().position(|byte| !is_space(byte));
    let end = value.iter().rposition(|byte| !is_space(byte));
    match (begin, end) {
        (Some(begin), Some(end)) => &value[begin..=end],
        _ => &[],
    }
}

/// The words of a list of tokens, between commas; empty ones are left out.
pub(super) fn words(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    let words = value.split(|byte| *byte == b',').map(trim);
    words.filter(|word| !word.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: HeadLimits = HeadLimits {
        first: 40,
        line: 40,
        whole: 120,
        fields: 3,
    };

    fn read(text: &str) -> Result<Option<usize>, HeadError> {
        Scan::default().end(text.as_bytes(), &LIMITS)
    }

    #[test]
    fn the_end_is_found_however_the_head_arrives() {
        let head = b"GET / HTTP/1.1\r\nHost: a\r\n\r\nbody\n\n";
        let whole = head.len() - 6;
        for step in 1..head.len() {
            let mut scan = Scan::default();
            let mut found = None;
            for end in (step..head.len() + step).step_by(step) {
                let seen = &head[..end.min(head.len())];
                found = scan.end(seen, &LIMITS).unwrap();
                if found.is_some() {
                    break;
                }
            }
            assert_eq!(found, Some(whole), "in steps of {step}");
        }
    }

    #[test]
    fn limits_hold_before_the_end_has_come() {
        let long = "x".repeat(41);
        assert_eq!(read(&long), Err(HeadError::FirstTooLong));
        let field = format!("GET / HTTP/1.1\r\n{long}");
        assert_eq!(read(&field), Err(HeadError::TooLong));
        let fields = format!(
            "GET / HTTP/1.1\r\n{}",
            "a: 0123456789012345678901\r\n".repeat(9)
        );
        assert_eq!(read(&fields), Err(HeadError::TooLong));
        let many = format!("GET / HTTP/1.1\r\n{}", "a:\r\n".repeat(5));
        assert_eq!(read(&many), Err(HeadError::TooMany));
        assert_eq!(
            read("GET / HTTP/1.1\nHost: a\r\n\r\n"),
            Err(HeadError::BareLineFeed)
        );
        assert_eq!(read("GET / HTTP/1.1\r\n\n"), Err(HeadError::BareLineFeed));
        assert_eq!(read("\n"), Err(HeadError::BareLineFeed));
    }

    #[test]
    fn a_request_is_read_as_it_is_written() {
        let text = b"POST /a?b=c HTTP/1.1\r\nHost: a\r\nX-One:\t two \r\nEmpty:\r\n\r\n";
        let (line, fields) = request(text).unwrap();
        assert_eq!((line.method, line.target), ("POST", "/a?b=c"));
        assert_eq!(line.version, Version::Http11);
        let read: Vec<_> = fields
            .iter()
            .map(|field| (field.name, field.value))
            .collect();
        let expected: [(&str, &[u8]); 3] = [("Host", b"a"), ("X-One", b"two"), ("Empty", b"")];
        assert_eq!(read, expected);
    }

    #[test]
    fn what_is_no_request_is_refused_by_name() {
        let cases: [(&[u8], HeadError); 20] = [
            (b"GET /\r\n\r\n", HeadError::First),
            (b"GET  / HTTP/1.1\r\n\r\n", HeadError::First),
            (b"GET / HTTP/1.1 \r\n\r\n", HeadError::First),
            (b" GET / HTTP/1.1\r\n\r\n", HeadError::First),
            (b"G(T / HTTP/1.1\r\n\r\n", HeadError::Method),
            (b"GET /\t HTTP/1.1\r\n\r\n", HeadError::Target),
            (b"GET /\r HTTP/1.1\r\n\r\n", HeadError::Target),
            (b"GET /\0 HTTP/1.1\r\n\r\n", HeadError::Target),
            (b"GET /\xff HTTP/1.1\r\n\r\n", HeadError::Target),
            (b"GET / HTTP/1.2\r\n\r\n", HeadError::OtherVersion),
            (b"GET / HTTP/2.0\r\n\r\n", HeadError::OtherVersion),
            (b"GET / http/1.1\r\n\r\n", HeadError::Version),
            (b"GET / HTTP/1.1\r\nHost : a\r\n\r\n", HeadError::Field),
            (b"GET / HTTP/1.1\r\n: a\r\n\r\n", HeadError::Field),
            (b"GET / HTTP/1.1\r\nHost\r\n\r\n", HeadError::Field),
            (b"GET / HTTP/1.1\r\nHo\x01st: a\r\n\r\n", HeadError::Field),
            (b"GET / HTTP/1.1\r\nA: b\r\n c\r\n\r\n", HeadError::Folded),
            (b"GET / HTTP/1.1\r\n A: b\r\n\r\n", HeadError::Folded),
            (b"GET / HTTP/1.1\r\nA: b\rc\r\n\r\n", HeadError::Value),
            (b"GET / HTTP/1.1\r\nA: b\0\r\n\r\n", HeadError::Value),
        ];
        for (text, expected) in cases {
            let error = request(text).err();
            assert_eq!(error, Some(expected), "{}", text.escape_ascii());
        }
    }

    #[test]
    fn an_answer_is_read_or_refused() {
        let (line, fields) = answer(b"HTTP/1.1 204 No Content\r\nA: b\r\n\r\n").unwrap();
        assert_eq!((line.status, line.reason), (204, &b"No Content"[..]));
        assert_eq!(fields.len(), 1);
        assert_eq!(
            answer(b"HTTP/1.0 200\r\n\r\n").unwrap().0.version,
            Version::Http10
        );
        for wrong in [
            "HTTP/1.1 20\r\n\r\n",
            "HTTP/1.1 2000 a\r\n\r\n",
            "HTTP/1.1\r\n\r\n",
            "x\r\n\r\n",
        ] {
            assert!(answer(wrong.as_bytes()).is_err(), "{wrong}");
        }
    }
}

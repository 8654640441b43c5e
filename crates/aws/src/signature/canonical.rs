//! The canonical form of a request: what is signed. The signer and the verifier share it, so
//! that each byte has one reading. A `+` in a query is a space, as forms have it; escapes that
//! aren't two hexadecimal digits have no canonical form.

use http::HeaderMap;
use http::request::Parts;
use sha2::{Digest, Sha256};

use super::{Algorithm, PathRule, Scope, TERMINATOR};

/// The canonical request. `signed` are the lower-case names in order; `left_out` is the query
/// parameter that isn't signed (a presigned request's own signature).
///
/// # Errors
///
/// An escape in path or query isn't one, or a signed header isn't there; the text says which.
pub(super) fn request(
    parts: &Parts,
    path: PathRule,
    signed: &[&str],
    left_out: Option<&str>,
    payload_hash: &str,
) -> Result<Vec<u8>, String> {
    let mut text = Vec::with_capacity(1024);
    text.extend_from_slice(parts.method.as_str().as_bytes());
    text.push(b'\n');
    push_path(&mut text, parts.uri.path(), path)?;
    text.push(b'\n');
    push_query(&mut text, parts.uri.query().unwrap_or_default(), left_out)?;
    text.push(b'\n');
    for name in signed {
        text.extend_from_slice(name.as_bytes());
        text.push(b':');
        push_values(&mut text, parts, name)?;
        text.push(b'\n');
    }
    text.push(b'\n');
    for (index, name) in signed.iter().enumerate() {
        if index > 0 {
            text.push(b';');
        }
        text.extend_from_slice(name.as_bytes());
    }
    text.push(b'\n');
    text.extend_from_slice(payload_hash.as_bytes());
    Ok(text)
}

/// What the signing key is applied to.
pub(super) fn string_to_sign(
    algorithm: Algorithm,
    date: &str,
    scope: &Scope,
    canonical_request: &[u8],
) -> String {
    let name = algorithm.name();
    let scope = scope_text(algorithm, scope);
    let hash = hexadecimal(&Sha256::digest(canonical_request));
    format!("{name}\n{date}\n{scope}\n{hash}")
}

/// A scope from its day to its terminator, as it is signed.
pub(super) fn scope_text(algorithm: Algorithm, scope: &Scope) -> String {
    let (day, region, service) = (&scope.date, &scope.region, &scope.service);
    match algorithm {
        Algorithm::Symmetric => format!("{day}/{region}/{service}/{TERMINATOR}"),
        Algorithm::Asymmetric => format!("{day}/{service}/{TERMINATOR}"),
    }
}

/// The hash of a body as it is written in headers.
pub(super) fn body_hash(body: &[u8]) -> String {
    hexadecimal(&Sha256::digest(body))
}

/// Lower-case hexadecimal digits.
pub(super) fn hexadecimal(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digit = |nibble: u8| char::from(DIGITS[usize::from(nibble)]);
    bytes
        .iter()
        .flat_map(|byte| [digit(byte >> 4), digit(byte & 15)])
        .collect()
}

/// The host a request was made to: its one header, or an HTTP/2 request's authority. `None` if
/// there is none, more than one, or two that differ.
pub(super) fn host(parts: &Parts) -> Option<&[u8]> {
    let authority = parts
        .uri
        .authority()
        .map(|authority| authority.as_str().as_bytes());
    let mut headers = parts.headers.get_all(http::header::HOST).iter();
    match (headers.next(), headers.next(), authority) {
        (Some(one), None, None) => Some(one.as_bytes()),
        (Some(one), None, Some(authority)) => (one == authority).then_some(authority),
        (None, _, authority) => authority,
        (Some(_), Some(_), _) => None,
    }
}

/// The decoded names and values of a query, in the order they came.
pub(super) type Pairs = Vec<(Vec<u8>, Vec<u8>)>;

/// The pairs of a query string, decoded, in the order they came.
///
/// # Errors
///
/// An escape isn't two hexadecimal digits.
pub(super) fn query_pairs(query: &str) -> Result<Pairs, String> {
    query
        .split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            Ok((decode(name, true)?, decode(value, true)?))
        })
        .collect()
}

fn push_path(text: &mut Vec<u8>, path: &str, rule: PathRule) -> Result<(), String> {
    let path = if path.is_empty() { "/" } else { path };
    match rule {
        PathRule::Verbatim => encode(text, &decode(path, false)?, true),
        PathRule::Normalized => {
            let mut segments: Vec<&str> = Vec::new();
            for segment in path.split('/') {
                match segment {
                    "" | "." => {}
                    ".." => {
                        segments.pop();
                    }
                    segment => segments.push(segment),
                }
            }
            for segment in &segments {
                text.push(b'/');
                encode(text, segment.as_bytes(), false);
            }
            if segments.is_empty() || path.ends_with('/') {
                text.push(b'/');
            }
        }
    }
    Ok(())
}

fn push_query(text: &mut Vec<u8>, query: &str, left_out: Option<&str>) -> Result<(), String> {
    if query.is_empty() {
        return Ok(());
    }
    let encoded = |bytes: &[u8]| {
        let mut text = Vec::with_capacity(bytes.len());
        encode(&mut text, bytes, false);
        text
    };
    let mut pairs: Pairs = query_pairs(query)?
        .iter()
        .filter(|(name, _)| left_out.is_none_or(|left_out| name != left_out.as_bytes()))
        .map(|(name, value)| (encoded(name), encoded(value)))
        .collect();
    pairs.sort();
    for (index, (name, value)) in pairs.iter().enumerate() {
        if index > 0 {
            text.push(b'&');
        }
        text.extend_from_slice(name);
        text.push(b'=');
        text.extend_from_slice(value);
    }
    Ok(())
}

fn push_values(text: &mut Vec<u8>, parts: &Parts, name: &str) -> Result<(), String> {
    if name == "host" {
        let host = host(parts).ok_or("The request doesn't name exactly one host.")?;
        push_folded(text, host);
        return Ok(());
    }
    let mut found = false;
    for value in values(&parts.headers, name) {
        if found {
            text.push(b',');
        }
        found = true;
        push_folded(text, value);
    }
    if found {
        Ok(())
    } else {
        Err(format!("The signed header '{name}' is not in the request."))
    }
}

fn values<'a>(headers: &'a HeaderMap, name: &str) -> impl Iterator<Item = &'a [u8]> {
    headers.get_all(name).iter().map(|value| value.as_bytes())
}

/// A header's value without white space around it, and runs of it inside as one space.
pub(super) fn push_folded(text: &mut Vec<u8>, value: &[u8]) {
    let words = value
        .split(|byte| matches!(byte, b' ' | b'\t'))
        .filter(|word| !word.is_empty());
    for (index, word) in words.enumerate() {
        if index > 0 {
            text.push(b' ');
        }
        text.extend_from_slice(word);
    }
}

/// Percent-encodes all but RFC 3986's unreserved characters (and `/`, if it is to stay).
pub(super) fn encode(text: &mut Vec<u8>, bytes: &[u8], keep_slash: bool) {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    for &byte in bytes {
        let unreserved = byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~');
        if unreserved || (keep_slash && byte == b'/') {
            text.push(byte);
        } else {
            let (high, low) = (usize::from(byte >> 4), usize::from(byte & 15));
            text.extend_from_slice(&[b'%', DIGITS[high], DIGITS[low]]);
        }
    }
}

fn decode(text: &str, plus_is_space: bool) -> Result<Vec<u8>, String> {
    let mut decoded = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        decoded.push(match byte {
            b'%' => {
                let mut digit = || {
                    bytes
                        .next()
                        .and_then(|digit| char::from(digit).to_digit(16))
                };
                let byte = digit().zip(digit()).map(|(high, low)| high * 16 + low);
                byte.and_then(|byte| u8::try_from(byte).ok())
                    .ok_or("Illegal hex characters in an escape (%) of the path or query.")?
            }
            b'+' if plus_is_space => b' ',
            byte => byte,
        });
    }
    Ok(decoded)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(wire: &str, rule: PathRule) -> Result<String, String> {
        let mut text = Vec::new();
        push_path(&mut text, wire, rule)?;
        Ok(String::from_utf8(text).unwrap())
    }

    #[test]
    fn paths_are_normalized_and_encoded_again() {
        for (wire, canonical) in [
            ("", "/"),
            ("/", "/"),
            ("//", "/"),
            ("/..", "/"),
            ("/a/./b/../c//d/", "/a/c/d/"),
            ("/a/..", "/"),
            ("/a%20b", "/a%2520b"),
            ("/\u{1234}", "/%E1%88%B4"),
        ] {
            assert_eq!(path(wire, PathRule::Normalized).as_deref(), Ok(canonical));
        }
    }

    #[test]
    fn object_paths_stay_and_are_encoded_once() {
        for (wire, canonical) in [
            ("/a//b/../c", "/a//b/../c"),
            ("/a%20b%2Fc", "/a%20b/c"),
            ("/(a)+~", "/%28a%29%2B~"),
        ] {
            assert_eq!(path(wire, PathRule::Verbatim).as_deref(), Ok(canonical));
        }
        for wire in ["/%", "/%4", "/%zz", "/%+1"] {
            assert!(path(wire, PathRule::Verbatim).is_err(), "{wire}");
        }
    }

    #[test]
    fn queries_are_sorted_after_encoding() {
        for (wire, canonical) in [
            ("b=2&a=1&a=0", "a=0&a=1&b=2"),
            ("a+b=c+d", "a%20b=c%20d"),
            ("a%20b=c%20d", "a%20b=c%20d"),
            ("p=&q", "p=&q="),
            ("a=b=c", "a=b%3Dc"),
            ("ab=1&a=2", "a=2&ab=1"),
            ("X-Amz-Signature=00&x=1", "x=1"),
        ] {
            let mut text = Vec::new();
            push_query(&mut text, wire, Some("X-Amz-Signature")).unwrap();
            assert_eq!(String::from_utf8(text).unwrap(), canonical);
        }
    }
}

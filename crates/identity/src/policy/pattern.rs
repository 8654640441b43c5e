//! Texts of a policy that are compared with those of a request: with wildcards or without, and
//! with variables (`${aws:username}`), which only the request fills in. What a variable brings
//! along is taken literally.

use super::error::Flaw;
use super::glob::{self, ANY};
use super::request::{KeySource, Values};

/// A text with its variables filled in has at most so many bytes; a longer one matches nothing.
const MAX_EXPANDED: usize = 8 * 1024;

/// Bytes that are filled in without taking memory for it.
const INLINE: usize = 256;

/// A text of a policy, compiled.
#[derive(Debug)]
pub(super) enum Pattern {
    /// `*`.
    Everything,
    /// No wildcards, no variables.
    Exact(Box<str>),
    /// One `*`, at the end: what stands before it.
    Prefix(Box<str>),
    /// Wildcards, as `glob` has them.
    Glob(Box<[u8]>),
    /// Variables, and perhaps wildcards.
    Template(Box<[Piece]>),
}

/// A part of a text with variables.
#[derive(Debug)]
pub(super) enum Piece {
    /// As `glob` has it.
    Fixed(Box<[u8]>),
    /// A variable.
    Variable {
        /// The condition key that fills it in.
        key: Box<str>,
        /// What stands there without that key.
        default: Option<Box<str>>,
    },
}

/// Does a request's text match?
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Match {
    Yes,
    No,
    /// A variable has no value in this request: the text matches nothing, and not matching it
    /// is no reason to allow anything.
    Unknown,
}

impl From<bool> for Match {
    fn from(matches: bool) -> Match {
        if matches { Match::Yes } else { Match::No }
    }
}

/// How a policy's text is to be read.
#[derive(Clone, Copy)]
pub(super) struct Reading {
    /// `*` and `?` are wildcards.
    pub(super) wildcards: bool,
    /// The policy's version has variables: 2012-10-17.
    pub(super) variables: bool,
}

impl Pattern {
    /// Compiles a text that stands at that byte of the document.
    pub(super) fn new(text: &str, at: usize, reading: Reading) -> Result<Pattern, Flaw> {
        if !reading.variables || !text.contains("${") {
            return Ok(Pattern::fixed(text, reading.wildcards));
        }
        let mut pieces = Vec::new();
        let mut fixed = Vec::new();
        let mut rest = text;
        while let Some(start) = rest.find("${") {
            push(&rest[..start], reading.wildcards, &mut fixed);
            let (inside, after) = rest[start + 2..]
                .split_once('}')
                .ok_or_else(|| Flaw::legacy(at, "a variable without its closing '}'"))?;
            match inside {
                "*" | "?" | "$" => fixed.extend_from_slice(inside.as_bytes()),
                _ => {
                    if !fixed.is_empty() {
                        pieces.push(Piece::Fixed(std::mem::take(&mut fixed).into()));
                    }
                    pieces.push(variable(inside, at)?);
                }
            }
            rest = after;
        }
        push(rest, reading.wildcards, &mut fixed);
        if pieces.is_empty() {
            return Ok(match fixed.iter().any(|byte| *byte >= ANY) {
                true => Pattern::Glob(fixed.into()),
                false => Pattern::Exact(String::from_utf8_lossy(&fixed).into()),
            });
        }
        if !fixed.is_empty() {
            pieces.push(Piece::Fixed(fixed.into()));
        }
        Ok(Pattern::Template(pieces.into()))
    }

    fn fixed(text: &str, wildcards: bool) -> Pattern {
        if !wildcards || !text.contains(['*', '?']) {
            return Pattern::Exact(text.into());
        }
        let mut bytes = Vec::with_capacity(text.len());
        glob::encode(text, &mut bytes);
        match text.strip_suffix('*') {
            Some("") => Pattern::Everything,
            Some(prefix) if !prefix.contains(['*', '?']) => Pattern::Prefix(prefix.into()),
            _ => Pattern::Glob(bytes.into()),
        }
    }

    /// Does that text match as a whole?
    pub(super) fn matches(&self, text: &str, keys: &dyn KeySource) -> Match {
        match self {
            Pattern::Everything => Match::Yes,
            Pattern::Exact(exact) => (**exact == *text).into(),
            Pattern::Prefix(prefix) => text.starts_with(&**prefix).into(),
            Pattern::Glob(bytes) => glob::matches(bytes, text).into(),
            Pattern::Template(pieces) => match Buffer::new().fill(pieces, keys) {
                Some(bytes) => glob::matches(bytes, text).into(),
                None => Match::Unknown,
            },
        }
    }

    /// The same without regard to case; the pattern has no wildcards.
    pub(super) fn matches_any_case(&self, text: &str, keys: &dyn KeySource) -> Match {
        match self {
            Pattern::Exact(exact) => same_any_case(exact, text).into(),
            Pattern::Template(pieces) => match Buffer::new().fill(pieces, keys) {
                Some(bytes) => std::str::from_utf8(bytes)
                    .is_ok_and(|filled| same_any_case(filled, text))
                    .into(),
                None => Match::Unknown,
            },
            Pattern::Everything | Pattern::Prefix(_) | Pattern::Glob(_) => Match::No,
        }
    }

    /// The same of ARNs: each of the six parts for itself, so that no wildcard reaches over a
    /// colon (IAM User Guide, "ARN condition operators"). The text `*` is every ARN.
    pub(super) fn matches_arn(&self, text: &str, keys: &dyn KeySource) -> Match {
        let mut buffer = Buffer::new();
        let filled = match self {
            Pattern::Everything => return Match::Yes,
            Pattern::Exact(exact) => exact.as_bytes(),
            Pattern::Glob(bytes) => bytes,
            Pattern::Prefix(prefix) => {
                if !(buffer.push(prefix.as_bytes()) && buffer.push(&[ANY])) {
                    return Match::Unknown;
                }
                buffer.bytes()
            }
            Pattern::Template(pieces) => match buffer.fill(pieces, keys) {
                Some(bytes) => bytes,
                None => return Match::Unknown,
            },
        };
        let mut parts = filled.splitn(ARN_PARTS, |byte| *byte == b':');
        let mut others = text.splitn(ARN_PARTS, ':');
        for _ in 0..ARN_PARTS {
            match (parts.next(), others.next()) {
                (Some(part), Some(other)) if glob::matches(part, other) => {}
                _ => return Match::No,
            }
        }
        Match::Yes
    }

    /// The condition keys that its variables name.
    pub(super) fn variables(&self) -> impl Iterator<Item = &str> {
        let pieces: &[Piece] = match self {
            Pattern::Template(pieces) => pieces,
            _ => &[],
        };
        pieces.iter().filter_map(|piece| match piece {
            Piece::Variable { key, .. } => Some(&**key),
            Piece::Fixed(_) => None,
        })
    }
}

/// `arn:partition:service:region:account:resource`.
const ARN_PARTS: usize = 6;

fn push(text: &str, wildcards: bool, into: &mut Vec<u8>) {
    match wildcards {
        true => glob::encode(text, into),
        false => into.extend_from_slice(text.as_bytes()),
    }
}

/// What stands between `${` and `}`: `aws:username` or `aws:username, 'nobody'`.
fn variable(inside: &str, at: usize) -> Result<Piece, Flaw> {
    let (key, default) = match inside.split_once(',') {
        None => (inside, None),
        Some((key, default)) => {
            let quoted = default.trim().strip_prefix('\'');
            let default = quoted.and_then(|rest| rest.strip_suffix('\''));
            let default = default.filter(|default| !default.contains('\''));
            let default = default.ok_or_else(|| {
                Flaw::legacy(at, "a variable's default value stands in single quotes")
            })?;
            (key, Some(default))
        }
    };
    let key = key.trim();
    let wrong = |character: char| character.is_control() || "{}$'\"*?".contains(character);
    if key.is_empty() || key.contains(wrong) {
        return Err(Flaw::legacy(at, "a variable must name a condition key"));
    }
    Ok(Piece::Variable {
        key: key.into(),
        default: default.map(Into::into),
    })
}

fn same_any_case(a: &str, b: &str) -> bool {
    a.chars()
        .flat_map(char::to_lowercase)
        .eq(b.chars().flat_map(char::to_lowercase))
}

/// A text whose variables are filled in.
struct Buffer {
    inline: [u8; INLINE],
    length: usize,
    /// All of it once it is longer.
    long: Vec<u8>,
}

impl Buffer {
    fn new() -> Buffer {
        Buffer {
            inline: [0; INLINE],
            length: 0,
            long: Vec::new(),
        }
    }

    /// The pieces with the request's values; `None` if one is missing or it gets too long. A key
    /// with several values is none for a variable (IAM User Guide, "Single-valued vs. multivalued
    /// context keys").
    fn fill(&mut self, pieces: &[Piece], keys: &dyn KeySource) -> Option<&[u8]> {
        for piece in pieces {
            let fits = match piece {
                Piece::Fixed(bytes) => self.push(bytes),
                Piece::Variable { key, default } => match keys.get(key) {
                    Some(Values::One(value)) => self.push(value.as_bytes()),
                    Some(Values::Many(values)) if values.len() == 1 => {
                        self.push(values[0].as_bytes())
                    }
                    Some(Values::Many(values)) if values.len() > 1 => return None,
                    _ => self.push(default.as_ref()?.as_bytes()),
                },
            };
            if !fits {
                return None;
            }
        }
        Some(self.bytes())
    }

    /// Appends; false if it would get too long.
    fn push(&mut self, bytes: &[u8]) -> bool {
        let length = self.length + bytes.len();
        if length > MAX_EXPANDED {
            return false;
        }
        if length <= INLINE {
            self.inline[self.length..length].copy_from_slice(bytes);
        } else {
            if self.long.is_empty() {
                self.long.extend_from_slice(&self.inline[..self.length]);
            }
            self.long.extend_from_slice(bytes);
        }
        self.length = length;
        true
    }

    fn bytes(&self) -> &[u8] {
        match self.length > INLINE {
            true => &self.long,
            false => &self.inline[..self.length],
        }
    }
}

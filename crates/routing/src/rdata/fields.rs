//! The fields of a value's text: numbers, names, and character strings in quotation marks.

use super::Problem;
use crate::RecordKind;
use crate::name::{Name, escaped};

/// Fields separated by spaces, read one by one.
pub(super) struct Fields<'a> {
    kind: RecordKind,
    rest: std::str::SplitAsciiWhitespace<'a>,
}

impl<'a> Fields<'a> {
    /// Exactly `count` fields.
    pub(super) fn new(kind: RecordKind, text: &'a str, count: usize) -> Result<Self, Problem> {
        let rest = text.split_ascii_whitespace();
        if rest.clone().count() != count {
            return Err(Problem::FieldCount(kind, count));
        }
        Ok(Fields { kind, rest })
    }

    fn next(&mut self) -> &'a str {
        self.rest.next().expect("the fields were counted")
    }

    pub(super) fn name(&mut self) -> Result<Name, Problem> {
        Ok(Name::parse(self.next())?)
    }

    pub(super) fn u16(&mut self, what: &'static str) -> Result<[u8; 2], Problem> {
        let number = number(self.kind, what, self.next(), u32::from(u16::MAX))?;
        let number = u16::try_from(number).expect("checked to be at most 65,535");
        Ok(number.to_be_bytes())
    }

    pub(super) fn u32(&mut self, what: &'static str) -> Result<[u8; 4], Problem> {
        Ok(number(self.kind, what, self.next(), u32::MAX)?.to_be_bytes())
    }
}

/// A decimal number from 0 to `most`, digits alone.
pub(super) fn number(
    kind: RecordKind,
    what: &'static str,
    text: &str,
    most: u32,
) -> Result<u32, Problem> {
    let digits = text.bytes().all(|octet| octet.is_ascii_digit());
    let number = text.parse().ok().filter(|number| digits && *number <= most);
    number.ok_or(Problem::Number(kind, what, most))
}

/// Strings in quotation marks with spaces between, each of at most `longest` octets. Inside,
/// `\"` and `\\` are those characters and `\ooo` the octet of that octal number.
pub(super) fn character_strings(text: &str, longest: usize) -> Result<Vec<Vec<u8>>, Problem> {
    let mut strings = Vec::new();
    let mut rest = text.trim_ascii().as_bytes();
    while let Some((&mark, after)) = rest.split_first() {
        if mark != b'"' {
            return Err(Problem::Unquoted);
        }
        let (string, after) = character_string(after)?;
        if string.len() > longest {
            return Err(Problem::TooLong);
        }
        strings.push(string);
        rest = after.trim_ascii_start();
        if rest.len() == after.len() && !rest.is_empty() {
            return Err(Problem::Unquoted);
        }
    }
    if strings.is_empty() {
        return Err(Problem::Unquoted);
    }
    Ok(strings)
}

/// The string up to the closing quotation mark, and what follows that.
fn character_string(mut rest: &[u8]) -> Result<(Vec<u8>, &[u8]), Problem> {
    let mut string = Vec::new();
    loop {
        let (&character, after) = rest.split_first().ok_or(Problem::Unquoted)?;
        rest = after;
        match (character, rest.first()) {
            (b'"', _) => return Ok((string, rest)),
            (b'\\', Some(&literal @ (b'"' | b'\\'))) => {
                string.push(literal);
                rest = &rest[1..];
            }
            (b'\\', _) => {
                let (octet, after) = escaped(rest).map_err(|_| Problem::UnsupportedCharacter)?;
                string.push(octet);
                rest = after;
            }
            (0x20..=0x7e, _) => string.push(character),
            _ => return Err(Problem::UnsupportedCharacter),
        }
    }
}

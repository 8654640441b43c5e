//! The values of records: their text, as the API takes and gives it, and their bytes in a
//! packet. Texts that say nothing a packet can carry are refused in the service's words.

mod fields;
mod print;

use std::net::{Ipv4Addr, Ipv6Addr};

use crate::name::{Name, NameError};
use crate::{RecordKind, name};

use fields::{Fields, character_strings, number};

pub use print::print;

/// Characters of a value, at most (`RData` of the API's model).
pub const MAX_VALUE: usize = 4000;

/// Octets of one character string of a TXT value, at most (RFC 1035, section 3.3).
pub const MAX_CHARACTER_STRING: usize = 255;

/// What is wrong with a value: the service's code and explanation.
///
/// Those for `A`, `AAAA`, names and character strings are known from captures; those for the
/// other kinds follow their manner.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// One field was expected; there are spaces.
    #[error("{0}RRDATANotSingleField (Value contains spaces)")]
    NotSingleField(RecordKind),
    /// That many fields were expected.
    #[error("{0}RRDATAWrongNumberOfFields (Value must have {1} fields)")]
    FieldCount(RecordKind, usize),
    /// No IPv4 address.
    #[error("ARRDATAIllegalIPv4Address (Value is not a valid IPv4 address)")]
    Ipv4,
    /// No IPv6 address.
    #[error("AAAARRDATAIllegalIPv6Address (Value is not a valid IPv6 address)")]
    Ipv6,
    /// A field is no number, or one out of its range.
    #[error("{0}RRDATAIllegalNumber ({1} must be a number from 0 to {2})")]
    Number(RecordKind, &'static str, u32),
    /// A CAA tag is not 1 to 15 letters and digits (RFC 8659, section 4.1).
    #[error("CAARRDATAIllegalTag (Tag must be 1 to 15 letters and digits)")]
    Tag,
    /// A name that is none.
    #[error("{0}")]
    Name(#[from] NameError),
    /// A character string without quotation marks.
    #[error("InvalidCharacterString (Value should be enclosed in quotation marks)")]
    Unquoted,
    /// A character string, or all of them together, is too long.
    #[error("CharacterStringTooLong (Value is too long)")]
    TooLong,
    /// A character that must be written `\ooo`.
    #[error("UnsupportedCharacter (Value contains unsupported characters)")]
    UnsupportedCharacter,
}

/// A value that no packet can carry. `Display` is the service's message.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("Invalid Resource Record: 'FATAL problem: {problem} encountered with '{value}''")]
pub struct RdataError {
    /// What is wrong.
    pub problem: Problem,
    /// The value as it was given.
    pub value: String,
}

/// The bytes of a value in a packet, its names uncompressed and lowercase. At most 65,535.
///
/// # Errors
/// When the text is no value of that kind.
pub fn parse(kind: RecordKind, text: &str) -> Result<Vec<u8>, RdataError> {
    read(kind, text).map_err(|problem| RdataError {
        problem,
        value: text.to_owned(),
    })
}

fn read(kind: RecordKind, text: &str) -> Result<Vec<u8>, Problem> {
    if text.len() > MAX_VALUE {
        return Err(Problem::TooLong);
    }
    match kind {
        RecordKind::A => {
            let address: Ipv4Addr = single(kind, text)?.parse().map_err(|_| Problem::Ipv4)?;
            Ok(address.octets().to_vec())
        }
        RecordKind::Aaaa => {
            let address: Ipv6Addr = single(kind, text)?.parse().map_err(|_| Problem::Ipv6)?;
            Ok(address.octets().to_vec())
        }
        RecordKind::Cname | RecordKind::Ns | RecordKind::Ptr => {
            let name = Name::parse(single(kind, text)?)?;
            Ok(name.wire().to_vec())
        }
        RecordKind::Mx => {
            let mut fields = Fields::new(kind, text, 2)?;
            let mut wire = fields.u16("Preference")?.to_vec();
            wire.extend_from_slice(fields.name()?.wire());
            Ok(wire)
        }
        RecordKind::Srv => {
            let mut fields = Fields::new(kind, text, 4)?;
            let mut wire = Vec::with_capacity(32);
            for what in ["Priority", "Weight", "Port"] {
                wire.extend(fields.u16(what)?);
            }
            wire.extend_from_slice(fields.name()?.wire());
            Ok(wire)
        }
        RecordKind::Soa => {
            let mut fields = Fields::new(kind, text, 7)?;
            let mut wire = fields.name()?.wire().to_vec();
            wire.extend_from_slice(fields.name()?.wire());
            for what in ["Serial", "Refresh", "Retry", "Expire", "Minimum"] {
                wire.extend(fields.u32(what)?);
            }
            Ok(wire)
        }
        RecordKind::Txt => {
            let mut wire = Vec::with_capacity(text.len());
            for string in character_strings(text, MAX_CHARACTER_STRING)? {
                wire.push(u8::try_from(string.len()).expect("checked by character_strings"));
                wire.extend(string);
            }
            Ok(wire)
        }
        RecordKind::Caa => certification_authority(text),
    }
}

/// `flags tag "value"` (RFC 8659, section 4.1.1).
fn certification_authority(text: &str) -> Result<Vec<u8>, Problem> {
    let kind = RecordKind::Caa;
    let mut parts = text.trim_ascii().splitn(3, [' ', '\t']);
    let (Some(flags), Some(tag), Some(value)) = (parts.next(), parts.next(), parts.next()) else {
        return Err(Problem::FieldCount(kind, 3));
    };
    let flags = number(kind, "Flags", flags, u32::from(u8::MAX))?;
    let letters = tag.bytes().all(|octet| octet.is_ascii_alphanumeric());
    if !(1..=15).contains(&tag.len()) || !letters {
        return Err(Problem::Tag);
    }
    let strings = character_strings(value, MAX_VALUE)?;
    let [value] = strings.as_slice() else {
        return Err(Problem::FieldCount(kind, 3));
    };
    let mut wire = vec![u8::try_from(flags).expect("checked to be at most 255")];
    wire.push(u8::try_from(tag.len()).expect("at most 15"));
    wire.extend(tag.bytes());
    wire.extend(value);
    Ok(wire)
}

/// The text as one field.
fn single(kind: RecordKind, text: &str) -> Result<&str, Problem> {
    let text = text.trim_ascii();
    if text.bytes().any(|octet| octet.is_ascii_whitespace()) {
        return Err(Problem::NotSingleField(kind));
    }
    Ok(text)
}

/// Where the names stand in a record's bytes: how many octets precede them, and how many names.
/// Nothing else of these kinds may be compressed or looked up (RFC 3597, section 4).
pub(crate) const fn names_in(kind: RecordKind) -> (usize, usize) {
    match kind {
        RecordKind::Cname | RecordKind::Ns | RecordKind::Ptr => (0, 1),
        RecordKind::Soa => (0, 2),
        RecordKind::Mx => (2, 1),
        RecordKind::Srv => (6, 1),
        RecordKind::A | RecordKind::Aaaa | RecordKind::Txt | RecordKind::Caa => (0, 0),
    }
}

/// The last name in a record's bytes: where its target lives. `None` of kinds without.
pub(crate) fn target(kind: RecordKind, wire: &[u8]) -> Option<Name> {
    match names_in(kind) {
        (skip, 1) => Name::from_wire(wire.get(skip..)?).ok(),
        _ => None,
    }
}

/// The octets of the first name in `wire`, its end included; `None` if none ends there.
pub(crate) fn name_length(wire: &[u8]) -> Option<usize> {
    let mut at = 0;
    while at < wire.len().min(name::MAX_NAME) {
        match wire[at] {
            0 => return Some(at + 1),
            length => at += usize::from(length) + 1,
        }
    }
    None
}

#[cfg(test)]
mod tests;

//! Domain names: lowercase, absolute, within RFC 1035's limits; read and printed as Route 53
//! words them. It holds no name longer than a configuration key can carry.

use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr;

use serde::{Serialize, Serializer};

/// Octets of a name in wire form, the root's included, at most (RFC 1035, section 2.3.4).
pub const MAX_NAME: usize = 255;

/// Octets of a label, at most (RFC 1035, section 2.3.4).
pub const MAX_LABEL: usize = 63;

/// Labels of a name, at most: what `MAX_NAME` octets have room for.
pub const MAX_LABELS: usize = 127;

/// Characters of a name's key form, at most, so that a record's key fits into a configuration
/// key. Only a name with 60 or more characters that are written `\ooo` can exceed it.
pub const MAX_KEY_FORM: usize = 440;

/// An absolute domain name in lowercase. Ordered as Route 53 lists names: the labels reversed,
/// each with a dot after it, compared as ASCII text.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Name(Box<[u8]>);

/// Why a text is no name. `Display` is the service's code and explanation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// Nothing is there.
    #[error("DomainNameEmpty (Domain name is empty)")]
    Empty,
    /// Two dots stand side by side, or one at the start.
    #[error("DomainLabelEmpty (Domain label is empty)")]
    LabelEmpty,
    /// A label has more than `MAX_LABEL` octets.
    #[error("DomainLabelTooLong (Domain label is too long)")]
    LabelTooLong,
    /// The name has more than `MAX_NAME` octets, or too many of them need an escape.
    #[error("DomainNameTooLong (Domain name is too long)")]
    TooLong,
    /// A character that must be written `\ooo`, or a backslash without three octal digits.
    #[error("UnsupportedCharacter (Value contains unsupported characters)")]
    UnsupportedCharacter,
}

impl Name {
    /// The root.
    pub fn root() -> Name {
        Name(Box::new([0]))
    }

    /// Reads a name, absolute with or without its last dot; `\ooo` is the octet of that octal
    /// number. Capitals become small.
    ///
    /// # Errors
    /// When the text is no name, or one beyond the limits.
    pub fn parse(text: &str) -> Result<Name, NameError> {
        match text {
            "" => return Err(NameError::Empty),
            "." => return Ok(Name::root()),
            _ => {}
        }
        let mut wire = vec![0];
        let mut length = 0; // where the current label's length stands
        let mut rest = text.as_bytes();
        while let Some((&character, after)) = rest.split_first() {
            rest = after;
            let octet = match character {
                b'.' => {
                    close(&mut wire, length)?;
                    length = wire.len();
                    wire.push(0);
                    continue;
                }
                b'\\' => {
                    let (octet, after) = escaped(rest)?;
                    rest = after;
                    octet
                }
                0x21..=0x7e => character,
                _ => return Err(NameError::UnsupportedCharacter),
            };
            wire.push(octet.to_ascii_lowercase());
        }
        if wire.len() > length + 1 {
            close(&mut wire, length)?;
            wire.push(0);
        }
        Name::checked(wire)
    }

    /// The name of that uncompressed wire form.
    ///
    /// # Errors
    /// When it isn't exactly one name within the limits.
    pub fn from_wire(wire: &[u8]) -> Result<Name, NameError> {
        let mut rest = wire;
        loop {
            match rest.split_first() {
                None => return Err(NameError::Empty),
                Some((0, [])) => break,
                Some((0, _)) => return Err(NameError::LabelEmpty),
                Some((&length, after)) if usize::from(length) <= MAX_LABEL => {
                    rest = after
                        .get(usize::from(length)..)
                        .ok_or(NameError::LabelEmpty)?;
                }
                Some(_) => return Err(NameError::LabelTooLong),
            }
        }
        // Lengths are at most 63 and so are no capitals.
        Name::checked(wire.to_ascii_lowercase())
    }

    /// `wire` holds labels within their limit and the root's; the whole is checked here.
    fn checked(wire: Vec<u8>) -> Result<Name, NameError> {
        if wire.len() > MAX_NAME {
            return Err(NameError::TooLong);
        }
        let name = Name(wire.into_boxed_slice());
        if name.key_octets().count() > MAX_KEY_FORM {
            return Err(NameError::TooLong);
        }
        Ok(name)
    }

    /// The wire form, uncompressed, lowercase, the root's zero at its end.
    pub fn wire(&self) -> &[u8] {
        &self.0
    }

    /// The labels from the left, without the root's.
    pub fn labels(&self) -> impl Iterator<Item = &[u8]> {
        let mut rest: &[u8] = &self.0;
        std::iter::from_fn(move || {
            let (&length, after) = rest.split_first()?;
            let (label, after) = after.split_at_checked(usize::from(length))?;
            rest = after;
            (length > 0).then_some(label)
        })
    }

    /// It is the root.
    pub fn is_root(&self) -> bool {
        self.0.len() == 1
    }

    /// Its leftmost label is `*`, alone.
    pub fn is_wildcard(&self) -> bool {
        self.0.starts_with(b"\x01*")
    }

    /// It is `zone` or lies below it.
    pub fn is_within(&self, zone: &Name) -> bool {
        let mut name: &[u8] = &self.0;
        while name.len() > zone.0.len() {
            name = &name[usize::from(name[0]) + 1..];
        }
        name == &*zone.0
    }

    /// The name without its leftmost label; `None` of the root.
    pub fn parent(&self) -> Option<Name> {
        let first = usize::from(self.0[0]);
        (first > 0).then(|| Name(self.0[first + 1..].into()))
    }

    /// The labels reversed, each with a dot after it, as `Display` writes them:
    /// `com.example.www.`. Names are ordered by it; keys hold it. Empty of the root.
    pub fn key_form(&self) -> String {
        self.key_octets().map(char::from).collect()
    }

    /// The name of that key form.
    ///
    /// # Errors
    /// When it is no name's.
    pub fn from_key_form(text: &str) -> Result<Name, NameError> {
        if text.is_empty() {
            return Ok(Name::root());
        }
        let labels: Vec<&str> = text.strip_suffix('.').unwrap_or(text).rsplit('.').collect();
        Name::parse(&labels.join("."))
    }

    fn key_octets(&self) -> impl Iterator<Item = u8> {
        let mut starts = [0u8; MAX_LABELS];
        let mut count = 0;
        let mut at = 0;
        while self.0[at] > 0 {
            starts[count] = u8::try_from(at).expect("a name has at most 255 octets");
            count += 1;
            at += usize::from(self.0[at]) + 1;
        }
        let wire: &[u8] = &self.0;
        (0..count).rev().flat_map(move |label| {
            let start = usize::from(starts[label]);
            let octets = &wire[start + 1..=start + usize::from(wire[start])];
            octets.iter().copied().flat_map(printed).chain([b'.'])
        })
    }
}

/// Writes the length of the label that begins after `length` and ends with `wire`.
fn close(wire: &mut [u8], length: usize) -> Result<(), NameError> {
    let octets = wire.len() - length - 1;
    if octets == 0 {
        return Err(NameError::LabelEmpty);
    }
    if octets > MAX_LABEL {
        return Err(NameError::LabelTooLong);
    }
    wire[length] = u8::try_from(octets).expect("at most MAX_LABEL");
    Ok(())
}

/// The octet of three octal digits, and what follows them.
pub(crate) fn escaped(text: &[u8]) -> Result<(u8, &[u8]), NameError> {
    let Some((digits, rest)) = text.split_at_checked(3) else {
        return Err(NameError::UnsupportedCharacter);
    };
    let value = digits.iter().try_fold(0u16, |value, digit| match digit {
        b'0'..=b'7' => Some(value * 8 + u16::from(digit - b'0')),
        _ => None,
    });
    let octet = value.and_then(|value| u8::try_from(value).ok());
    Ok((octet.ok_or(NameError::UnsupportedCharacter)?, rest))
}

/// An octet of a label as the service prints it: a-z, 0-9, `-` and `_` as they are, every other
/// as `\ooo`.
fn printed(octet: u8) -> impl Iterator<Item = u8> {
    let digit = |shift: u8| b'0' + (octet >> shift & 7);
    let (text, length) = match octet {
        b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' => ([octet, 0, 0, 0], 1),
        _ => ([b'\\', digit(6), digit(3), digit(0)], 4),
    };
    text.into_iter().take(length)
}

impl FromStr for Name {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Name, NameError> {
        Name::parse(text)
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_root() {
            return f.pad(".");
        }
        let octets = self
            .labels()
            .flat_map(|label| label.iter().copied().flat_map(printed).chain([b'.']));
        f.pad(&octets.map(char::from).collect::<String>())
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

impl Ord for Name {
    fn cmp(&self, other: &Name) -> Ordering {
        self.key_octets().cmp(other.key_octets())
    }
}

impl PartialOrd for Name {
    fn partial_cmp(&self, other: &Name) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Serialize for Name {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn name(text: &str) -> Name {
        Name::parse(text).unwrap()
    }

    #[test]
    fn a_name_is_printed_as_the_service_prints_it() {
        for (text, printed) in [
            ("WWW.Example.com", "www.example.com."),
            ("www.example.com.", "www.example.com."),
            ("*.example.com", "\\052.example.com."),
            ("\\052.example.com", "\\052.example.com."),
            ("_sip._tcp.a-b.com", "_sip._tcp.a-b.com."),
            ("a\\056b.com", "a\\056b.com."),
            (".", "."),
        ] {
            assert_eq!(name(text).to_string(), printed);
            assert_eq!(name(printed), name(text));
        }
    }

    #[test]
    fn what_is_no_name_is_refused_in_the_service_s_words() {
        let long = "a".repeat(64);
        let deep = "abcdefg.".repeat(32);
        for (text, error) in [
            ("", NameError::Empty),
            (".com", NameError::LabelEmpty),
            ("a..com", NameError::LabelEmpty),
            ("a.com..", NameError::LabelEmpty),
            (long.as_str(), NameError::LabelTooLong),
            (deep.as_str(), NameError::TooLong),
            ("a b.com", NameError::UnsupportedCharacter),
            ("a\\05.com", NameError::UnsupportedCharacter),
            ("a\\777.com", NameError::UnsupportedCharacter),
            ("bücher.com", NameError::UnsupportedCharacter),
        ] {
            assert_eq!(Name::parse(text), Err(error), "{text}");
        }
        let widest = "\\001".repeat(63);
        let escapes = [widest.as_str(); 3].join(".");
        assert_eq!(Name::parse(&escapes), Err(NameError::TooLong));
    }

    #[test]
    fn names_are_ordered_as_the_service_lists_them() {
        let listed = [
            ".",
            "com",
            "example.com",
            "0.example.com",
            "*.example.com",
            "a-b.example.com",
            "a.example.com",
            "-b.a.example.com",
            "b.a.example.com",
            "www.example.com",
            "net",
        ];
        for pair in listed.windows(2) {
            assert!(name(pair[0]) < name(pair[1]), "{pair:?}");
        }
    }

    #[test]
    fn within_goes_by_whole_labels() {
        let zone = name("example.com");
        assert!(name("example.com").is_within(&zone));
        assert!(name("a.b.example.com").is_within(&zone));
        assert!(!name("badexample.com").is_within(&zone));
        assert!(!name("com").is_within(&zone));
        assert!(name("com").is_within(&Name::root()));
        assert_eq!(name("a.com").parent(), Some(name("com")));
        assert_eq!(Name::root().parent(), None);
    }

    proptest! {
        #[test]
        fn a_wire_form_reads_back(labels in prop::collection::vec(
            prop::collection::vec(any::<u8>(), 1..12), 0..8)) {
            let mut wire = Vec::new();
            for label in &labels {
                wire.push(label.len() as u8);
                wire.extend_from_slice(label);
            }
            wire.push(0);
            let read = Name::from_wire(&wire).unwrap();
            prop_assert_eq!(Name::parse(&read.to_string()), Ok(read.clone()));
            prop_assert_eq!(Name::from_key_form(&read.key_form()), Ok(read.clone()));
            prop_assert_eq!(read.labels().count(), labels.len());
        }

        #[test]
        fn no_text_and_no_bytes_make_it_panic(text in ".{0,80}", bytes: Vec<u8>) {
            let _ = Name::parse(&text);
            let _ = Name::from_wire(&bytes);
            let _ = Name::from_key_form(&text);
        }
    }
}

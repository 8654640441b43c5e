//! The bytes of a value as text: what `TestDNSAnswer` and `explain` show. Only bytes that
//! `parse` made come here; of others it prints what it can and never fails.

use std::fmt::Write;
use std::net::{Ipv4Addr, Ipv6Addr};

use super::name_length;
use crate::{Name, RecordKind};

/// The text of a value's bytes. Reading it with `parse` gives the same bytes.
pub fn print(kind: RecordKind, wire: &[u8]) -> String {
    printed(kind, wire).unwrap_or_else(|| unknown(wire))
}

fn printed(kind: RecordKind, wire: &[u8]) -> Option<String> {
    Some(match kind {
        RecordKind::A => Ipv4Addr::from(<[u8; 4]>::try_from(wire).ok()?).to_string(),
        RecordKind::Aaaa => Ipv6Addr::from(<[u8; 16]>::try_from(wire).ok()?).to_string(),
        RecordKind::Cname | RecordKind::Ns | RecordKind::Ptr => name(wire)?.0.to_string(),
        RecordKind::Mx => format!("{} {}", u16_at(wire, 0)?, name(wire.get(2..)?)?.0),
        RecordKind::Srv => format!(
            "{} {} {} {}",
            u16_at(wire, 0)?,
            u16_at(wire, 2)?,
            u16_at(wire, 4)?,
            name(wire.get(6..)?)?.0
        ),
        RecordKind::Soa => {
            let (server, rest) = name(wire)?;
            let (mailbox, rest) = name(rest)?;
            let mut text = format!("{server} {mailbox}");
            let (numbers, []) = rest.as_chunks::<4>() else {
                return None;
            };
            for number in numbers {
                let _ = write!(text, " {}", u32::from_be_bytes(*number));
            }
            text
        }
        RecordKind::Txt => {
            let mut strings = Vec::new();
            let mut rest = wire;
            while let Some((&length, after)) = rest.split_first() {
                let (string, after) = after.split_at_checked(usize::from(length))?;
                strings.push(quoted(string));
                rest = after;
            }
            strings.join(" ")
        }
        RecordKind::Caa => {
            let (&[flags, length], rest) = wire.split_first_chunk()?;
            let (tag, value) = rest.split_at_checked(usize::from(length))?;
            let tag = String::from_utf8_lossy(tag);
            format!("{flags} {tag} {}", quoted(value))
        }
    })
}

/// The first name, and what follows it.
fn name(wire: &[u8]) -> Option<(Name, &[u8])> {
    let (name, rest) = wire.split_at_checked(name_length(wire)?)?;
    Some((Name::from_wire(name).ok()?, rest))
}

fn u16_at(wire: &[u8], at: usize) -> Option<u16> {
    let octets = wire.get(at..)?.first_chunk()?;
    Some(u16::from_be_bytes(*octets))
}

/// A character string in quotation marks.
fn quoted(string: &[u8]) -> String {
    let mut text = String::with_capacity(string.len() + 2);
    text.push('"');
    for &octet in string {
        match octet {
            b'"' | b'\\' => text.extend(['\\', char::from(octet)]),
            0x20..=0x7e => text.push(char::from(octet)),
            _ => {
                let _ = write!(text, "\\{octet:03o}");
            }
        }
    }
    text.push('"');
    text
}

/// Bytes of no known form (RFC 3597, section 5).
fn unknown(wire: &[u8]) -> String {
    let mut text = format!("\\# {}", wire.len());
    for (index, octet) in wire.iter().enumerate() {
        let _ = write!(text, "{}{octet:02x}", if index == 0 { " " } else { "" });
    }
    text
}

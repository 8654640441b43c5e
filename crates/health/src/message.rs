//! What the checkers of two sites say to each other, in bytes. A peer is authenticated but not
//! trusted to be well-formed: decoding is strict and bounded, and never panics.
//!
//! Layout, all numbers big-endian: format version (1), kind, instance (8), sequence (8); a report
//! goes on with its number of verdicts (2) and, for each: id, fingerprint (8), 0 none / 1
//! unhealthy / 2 healthy, since (8), the last observation, the last failure. A text is its length
//! (1) and its bytes; an observation is 0, or 1, its text, and when (8).

use bytes::{Buf, BufMut, Bytes, BytesMut};
use types::{HealthCheckId, Timestamp};

use crate::limits::{MAX_ID, MAX_MESSAGE, MAX_STATUS, MAX_VERDICTS};
use crate::{Observation, Verdict};

/// The format's version, the first byte of every message.
const VERSION: u8 = 1;

/// Kind numbers, the second byte. Never reused.
mod kind {
    pub const ALIVE: u8 = 1;
    pub const REPORT: u8 = 2;
}

/// A message of one site's checker to another site.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Message {
    /// Which life of the checker's process speaks: greater than that of any life before.
    pub instance: u64,
    /// Counts the messages of this life. The link may repeat messages: what isn't newer than the
    /// newest is old.
    pub sequence: u64,
    /// Verdicts; without them the message says that the checker lives.
    pub report: Option<Report>,
}

/// Some of a checker's verdicts, each with its check's id; at most
/// [`MAX_VERDICTS`](crate::limits::MAX_VERDICTS).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Report(pub Vec<(HealthCheckId, Verdict)>);

/// A message couldn't be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum MessageError {
    /// It ends too early, or says more than it may.
    #[error("truncated or overlong")]
    Length,
    /// Written by a newer Causeway.
    #[error("format version {0} is newer than this binary understands")]
    Version(u8),
    /// Of no known kind.
    #[error("unknown message kind {0}")]
    Kind(u8),
    /// A field has a value it can't have.
    #[error("a field is out of range")]
    Field,
}

impl Message {
    /// The message's bytes. Ids and texts are as long as [`limits`](crate::limits) allow, and no
    /// more verdicts than those allow.
    pub fn encode(&self) -> Bytes {
        let mut out = BytesMut::with_capacity(64);
        out.put_u8(VERSION);
        let kind = match self.report {
            None => kind::ALIVE,
            Some(_) => kind::REPORT,
        };
        out.put_u8(kind);
        out.put_u64(self.instance);
        out.put_u64(self.sequence);
        if let Some(Report(verdicts)) = &self.report {
            let count = u16::try_from(verdicts.len());
            out.put_u16(count.expect("a report has at most MAX_VERDICTS verdicts"));
            for (id, verdict) in verdicts {
                put_text(&mut out, &id.0);
                out.put_u64(verdict.fingerprint);
                out.put_u8(match verdict.healthy {
                    None => 0,
                    Some(false) => 1,
                    Some(true) => 2,
                });
                out.put_u64(verdict.since.0);
                put_observation(&mut out, verdict.last.as_ref());
                put_observation(&mut out, verdict.failure.as_ref());
            }
        }
        out.freeze()
    }

    /// Reads a message back.
    ///
    /// # Errors
    /// The bytes are none.
    pub fn decode(mut bytes: &[u8]) -> Result<Message, MessageError> {
        if bytes.len() > MAX_MESSAGE {
            return Err(MessageError::Length);
        }
        let bytes = &mut bytes;
        let version = byte(bytes)?;
        if version != VERSION {
            return Err(MessageError::Version(version));
        }
        let kind = byte(bytes)?;
        let instance = number(bytes)?;
        let sequence = number(bytes)?;
        let report = match kind {
            kind::ALIVE => None,
            kind::REPORT => Some(report(bytes)?),
            other => return Err(MessageError::Kind(other)),
        };
        if !bytes.is_empty() {
            return Err(MessageError::Length);
        }
        Ok(Message {
            instance,
            sequence,
            report,
        })
    }
}

fn put_text(out: &mut BytesMut, text: &str) {
    let length = u8::try_from(text.len());
    out.put_u8(length.expect("ids and status texts are shorter than 256 bytes"));
    out.put_slice(text.as_bytes());
}

fn put_observation(out: &mut BytesMut, observation: Option<&Observation>) {
    out.put_u8(u8::from(observation.is_some()));
    if let Some(observation) = observation {
        put_text(out, &observation.status);
        out.put_u64(observation.checked.0);
    }
}

fn report(bytes: &mut &[u8]) -> Result<Report, MessageError> {
    if bytes.remaining() < 2 {
        return Err(MessageError::Length);
    }
    let count = usize::from(bytes.get_u16());
    if count > MAX_VERDICTS {
        return Err(MessageError::Field);
    }
    let mut verdicts = Vec::new();
    for _ in 0..count {
        let id = HealthCheckId(text(bytes, MAX_ID)?);
        let fingerprint = number(bytes)?;
        let healthy = match byte(bytes)? {
            0 => None,
            1 => Some(false),
            2 => Some(true),
            _ => return Err(MessageError::Field),
        };
        let verdict = Verdict {
            fingerprint,
            healthy,
            since: Timestamp(number(bytes)?),
            last: observation(bytes)?,
            failure: observation(bytes)?,
        };
        verdicts.push((id, verdict));
    }
    Ok(Report(verdicts))
}

fn observation(bytes: &mut &[u8]) -> Result<Option<Observation>, MessageError> {
    match byte(bytes)? {
        0 => Ok(None),
        1 => Ok(Some(Observation {
            status: text(bytes, MAX_STATUS)?,
            checked: Timestamp(number(bytes)?),
        })),
        _ => Err(MessageError::Field),
    }
}

/// A printable text of 1 to `longest` bytes.
pub(crate) fn text(bytes: &mut &[u8], longest: usize) -> Result<String, MessageError> {
    let length = usize::from(byte(bytes)?);
    if length == 0 || length > longest {
        return Err(MessageError::Field);
    }
    let (text, rest) = bytes.split_at_checked(length).ok_or(MessageError::Length)?;
    *bytes = rest;
    let text = std::str::from_utf8(text).map_err(|_| MessageError::Field)?;
    let printable = |c: char| !c.is_control() && !matches!(c, '\u{fffe}' | '\u{ffff}');
    if text.chars().all(printable) {
        Ok(text.to_owned())
    } else {
        Err(MessageError::Field)
    }
}

pub(crate) fn byte(bytes: &mut &[u8]) -> Result<u8, MessageError> {
    if bytes.has_remaining() {
        Ok(bytes.get_u8())
    } else {
        Err(MessageError::Length)
    }
}

fn number(bytes: &mut &[u8]) -> Result<u64, MessageError> {
    if bytes.remaining() >= 8 {
        Ok(bytes.get_u64())
    } else {
        Err(MessageError::Length)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn observed(status: &str, checked: u64) -> Option<Observation> {
        Some(Observation {
            status: status.to_owned(),
            checked: Timestamp(checked),
        })
    }

    fn sample() -> Message {
        let healthy = Verdict {
            fingerprint: 0x0102_0304_0506_0708,
            healthy: Some(true),
            since: Timestamp(9),
            last: observed("ok", 10),
            failure: None,
        };
        let unknown = Verdict {
            fingerprint: 1,
            healthy: None,
            since: Timestamp(2),
            last: observed("no", 4),
            failure: observed("no", 3),
        };
        Message {
            instance: 7,
            sequence: 8,
            report: Some(Report(vec![
                (HealthCheckId("a".to_owned()), healthy),
                (HealthCheckId("bc".to_owned()), unknown),
            ])),
        }
    }

    fn alive() -> Message {
        Message {
            report: None,
            ..sample()
        }
    }

    #[test]
    fn golden_bytes_of_a_sign_of_life() {
        let golden = [1, 1, 0, 0, 0, 0, 0, 0, 0, 7, 0, 0, 0, 0, 0, 0, 0, 8];
        assert_eq!(alive().encode().as_ref(), golden);
        assert_eq!(Message::decode(&golden), Ok(alive()));
    }

    #[test]
    fn golden_bytes_of_a_report() {
        let mut golden = vec![1, 2, 0, 0, 0, 0, 0, 0, 0, 7, 0, 0, 0, 0, 0, 0, 0, 8, 0, 2];
        golden.extend([1, b'a', 1, 2, 3, 4, 5, 6, 7, 8, 2, 0, 0, 0, 0, 0, 0, 0, 9]);
        golden.extend([1, 2, b'o', b'k', 0, 0, 0, 0, 0, 0, 0, 10, 0]);
        golden.extend([
            2, b'b', b'c', 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 2,
        ]);
        golden.extend([1, 2, b'n', b'o', 0, 0, 0, 0, 0, 0, 0, 4]);
        golden.extend([1, 2, b'n', b'o', 0, 0, 0, 0, 0, 0, 0, 3]);
        assert_eq!(sample().encode().as_ref(), golden);
        assert_eq!(Message::decode(&golden), Ok(sample()));
    }

    #[test]
    fn every_truncation_and_every_extension_is_refused() {
        for message in [sample(), alive()] {
            let bytes = message.encode();
            for length in 0..bytes.len() {
                let cut = Message::decode(&bytes[..length]);
                assert!(cut.is_err(), "cut to {length}: {cut:?}");
            }
            let longer = [&bytes[..], &[0]].concat();
            assert_eq!(Message::decode(&longer), Err(MessageError::Length));
        }
    }

    #[test]
    fn a_newer_version_and_an_unknown_kind_are_named() {
        let mut bytes = alive().encode().to_vec();
        bytes[1] = 9;
        assert_eq!(Message::decode(&bytes), Err(MessageError::Kind(9)));
        bytes[0] = 2;
        assert_eq!(Message::decode(&bytes), Err(MessageError::Version(2)));
    }

    #[test]
    fn the_largest_report_fits_a_message_and_a_larger_one_is_refused() {
        let largest = |count: usize| {
            let verdict = Verdict {
                fingerprint: u64::MAX,
                healthy: Some(false),
                since: Timestamp(u64::MAX),
                last: observed(&"x".repeat(MAX_STATUS), u64::MAX),
                failure: observed(&"y".repeat(MAX_STATUS), u64::MAX),
            };
            let id = |number: usize| HealthCheckId(format!("{number:0MAX_ID$}"));
            let verdicts = (0..count).map(|number| (id(number), verdict.clone()));
            Message {
                report: Some(Report(verdicts.collect())),
                ..alive()
            }
        };
        let full = largest(MAX_VERDICTS);
        let bytes = full.encode();
        assert!(bytes.len() <= MAX_MESSAGE);
        assert_eq!(Message::decode(&bytes), Ok(full));
        let more = largest(MAX_VERDICTS + 1).encode();
        assert_eq!(Message::decode(&more), Err(MessageError::Field));
    }

    #[test]
    fn texts_that_could_not_be_shown_are_refused() {
        let bytes = sample().encode().to_vec();
        let at = bytes.windows(2).position(|pair| pair == b"ok").unwrap();
        for bad in [b"\r\n", b"o\0", &[0xff, 0xff], &[0xc2, 0x85]] {
            let mut mutated = bytes.clone();
            mutated[at..at + 2].copy_from_slice(bad);
            assert_eq!(
                Message::decode(&mutated),
                Err(MessageError::Field),
                "{bad:?}"
            );
        }
    }

    proptest! {
        /// Bytes changed at random read as nothing, or as a message that is written the same way.
        #[test]
        fn mutations_never_panic_and_what_is_read_is_what_is_written(
            changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
            cut in any::<Option<prop::sample::Index>>(),
        ) {
            let mut bytes = sample().encode().to_vec();
            for (index, byte) in changes {
                let at = index.index(bytes.len());
                bytes[at] = byte;
            }
            if let Some(cut) = cut {
                bytes.truncate(cut.index(bytes.len()));
            }
            if let Ok(message) = Message::decode(&bytes) {
                let written = message.encode();
                prop_assert_eq!(written.as_ref(), &bytes[..]);
            }
        }

        #[test]
        fn rubbish_never_panics(mut bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = Message::decode(&bytes);
            for (at, byte) in [1, 2].into_iter().enumerate().take(bytes.len()) {
                bytes[at] = byte;
            }
            let _ = Message::decode(&bytes);
        }
    }
}

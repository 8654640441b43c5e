//! What one end of a stream says to the other: the payload of an envelope of lane `stream`, its
//! resource being the stream's target. Numbers are big-endian; none of a kind is used again.

use std::fmt;

use bytes::{Buf, BufMut, Bytes, BytesMut};

/// The version of the format.
const VERSION: u8 = 1;

/// The most bytes of a stream in one message. Little, so that streams take turns often.
pub const MAXIMUM_CHUNK: usize = 64 << 10;

/// The longest target, in bytes: it is an envelope's resource.
pub const MAXIMUM_TARGET: usize = crate::MAXIMUM_RESOURCE;

/// The bytes before what a kind of message has of its own: version, kind and whose stream it is
/// u8, incarnation and number u64.
const HEAD: usize = 19;

mod kind {
    pub const OPEN: u8 = 1;
    pub const DATA: u8 = 2;
    pub const CREDIT: u8 = 3;
    pub const FINISH: u8 = 4;
    pub const RESET: u8 = 5;
}

/// A stream of a pair of sites, never used again: not after a restart either, since each run of a
/// site numbers its streams under an incarnation that it draws.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct StreamId {
    /// Whether this end opened it.
    pub(crate) is_ours: bool,
    /// The incarnation of the end that opened it.
    pub(crate) incarnation: u64,
    /// Its number there.
    pub(crate) number: u64,
}

/// Why a stream ended before its ends.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[repr(u8)]
pub enum StreamReset {
    /// The peer gives this site no such target.
    #[error("the peer gives this site no such target")]
    Refused = 1,
    /// The peer has as many streams as it takes.
    #[error("the peer takes no more streams")]
    Busy = 2,
    /// What the target stands for doesn't take connections.
    #[error("the target doesn't take connections")]
    Unreachable = 3,
    /// A local connection ended in disorder, or its user gave the stream up.
    #[error("it was given up")]
    Closed = 4,
    /// A message was missing, came twice or out of order.
    #[error("a message of it was lost or repeated")]
    Sequence = 5,
    /// The other end doesn't know it (any more).
    #[error("the other end doesn't know it")]
    Unknown = 6,
    /// Nothing was heard of it for too long.
    #[error("nothing was heard of it for too long")]
    Silent = 7,
    /// More came than there was credit for.
    #[error("more came than there was credit for")]
    Credit = 8,
    /// The connection of the link that it was on is lost.
    #[error("the link's connection was lost")]
    LinkLost = 9,
    /// An envelope of it was not taken.
    #[error("the link refused a message of it")]
    NotSent = 10,
    /// The site that opened it has started anew.
    #[error("the site that opened it has started anew")]
    Restarted = 11,
}

/// A message couldn't be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum StreamMessageError {
    /// It ends too early or says more than it may.
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

/// What is said of a stream.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Said {
    /// It begins; each end may send `FIRST_WINDOW` bytes without being asked.
    Open { target: String },
    /// Bytes, the first of which is the stream's byte of that number, counted from 0.
    /// With them its sender's credit may be used up (`is_held`).
    Data {
        offset: u64,
        is_held: bool,
        bytes: Bytes,
    },
    /// The receiver may send up to byte `total`. As it is also said when nothing else is, it has
    /// where its sender's own direction stands: so the loss of a last message shows.
    Credit {
        total: u64,
        sent: u64,
        finished: bool,
    },
    /// The sender's direction has so many bytes and no more.
    Finish { offset: u64 },
    /// The stream is over, both ways.
    Reset { reason: StreamReset },
}

impl fmt::Display for StreamId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let opener = if self.is_ours { "ours" } else { "theirs" };
        write!(f, "{opener}/{:x}/{}", self.incarnation, self.number)
    }
}

impl StreamReset {
    /// Every reason, in the order of the numbers on the wire.
    pub const ALL: [StreamReset; 11] = [
        StreamReset::Refused,
        StreamReset::Busy,
        StreamReset::Unreachable,
        StreamReset::Closed,
        StreamReset::Sequence,
        StreamReset::Unknown,
        StreamReset::Silent,
        StreamReset::Credit,
        StreamReset::LinkLost,
        StreamReset::NotSent,
        StreamReset::Restarted,
    ];

    fn from_number(number: u8) -> Option<StreamReset> {
        let mut all = StreamReset::ALL.into_iter();
        all.find(|reason| *reason as u8 == number)
    }
}

/// Whether a target can be asked for: it isn't empty, and not too long.
pub(crate) fn is_target(target: &str) -> bool {
    (1..=MAXIMUM_TARGET).contains(&target.len())
}

/// The message's bytes.
pub(crate) fn encode(id: StreamId, said: &Said) -> Bytes {
    let length = match said {
        Said::Open { target } => target.len(),
        Said::Data { bytes, .. } => 9 + bytes.len(),
        Said::Credit { .. } | Said::Finish { .. } | Said::Reset { .. } => 17,
    };
    let mut out = BytesMut::with_capacity(HEAD + length);
    out.put_u8(VERSION);
    out.put_u8(match said {
        Said::Open { .. } => kind::OPEN,
        Said::Data { .. } => kind::DATA,
        Said::Credit { .. } => kind::CREDIT,
        Said::Finish { .. } => kind::FINISH,
        Said::Reset { .. } => kind::RESET,
    });
    out.put_u8(u8::from(id.is_ours));
    out.put_u64(id.incarnation);
    out.put_u64(id.number);
    match said {
        Said::Open { target } => out.put_slice(target.as_bytes()),
        Said::Data {
            offset,
            is_held,
            bytes,
        } => {
            out.put_u64(*offset);
            out.put_u8(u8::from(*is_held));
            out.put_slice(bytes);
        }
        Said::Credit {
            total,
            sent,
            finished,
        } => {
            out.put_u64(*total);
            out.put_u64(*sent);
            out.put_u8(u8::from(*finished));
        }
        Said::Finish { offset } => out.put_u64(*offset),
        Said::Reset { reason } => out.put_u8(*reason as u8),
    }
    out.freeze()
}

/// Reads a message back; the stream as this end names it.
pub(crate) fn decode(mut bytes: Bytes) -> Result<(StreamId, Said), StreamMessageError> {
    if bytes.is_empty() {
        return Err(StreamMessageError::Length);
    }
    let version = bytes.get_u8();
    if version != VERSION {
        return Err(StreamMessageError::Version(version));
    }
    if bytes.remaining() < HEAD - 1 {
        return Err(StreamMessageError::Length);
    }
    let kind = bytes.get_u8();
    let id = StreamId {
        is_ours: !flag(&mut bytes)?,
        incarnation: bytes.get_u64(),
        number: bytes.get_u64(),
    };
    let expected = match kind {
        kind::OPEN => None,
        kind::DATA => (bytes.len() < 10).then_some(10),
        kind::CREDIT => Some(17),
        kind::FINISH => Some(8),
        kind::RESET => Some(1),
        other => return Err(StreamMessageError::Kind(other)),
    };
    if expected.is_some_and(|expected| bytes.len() != expected) {
        return Err(StreamMessageError::Length);
    }
    let said = match kind {
        kind::OPEN => open(bytes)?,
        kind::DATA => {
            let offset = bytes.get_u64();
            let is_held = flag(&mut bytes)?;
            if bytes.len() > MAXIMUM_CHUNK {
                return Err(StreamMessageError::Length);
            }
            Said::Data {
                offset,
                is_held,
                bytes,
            }
        }
        kind::CREDIT => Said::Credit {
            total: bytes.get_u64(),
            sent: bytes.get_u64(),
            finished: flag(&mut bytes)?,
        },
        kind::FINISH => Said::Finish {
            offset: bytes.get_u64(),
        },
        _ => {
            let reason = StreamReset::from_number(bytes.get_u8());
            let reason = reason.ok_or(StreamMessageError::Field)?;
            Said::Reset { reason }
        }
    };
    Ok((id, said))
}

fn open(bytes: Bytes) -> Result<Said, StreamMessageError> {
    let target = String::from_utf8(bytes.into()).map_err(|_| StreamMessageError::Field)?;
    match is_target(&target) {
        true => Ok(Said::Open { target }),
        false => Err(StreamMessageError::Length),
    }
}

fn flag(bytes: &mut Bytes) -> Result<bool, StreamMessageError> {
    match bytes.get_u8() {
        0 => Ok(false),
        1 => Ok(true),
        _ => Err(StreamMessageError::Field),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: StreamId = StreamId {
        is_ours: true,
        incarnation: 0x0102_0304_0506_0708,
        number: 9,
    };

    fn samples() -> Vec<Said> {
        vec![
            Said::Open {
                target: "db-1".to_owned(),
            },
            Said::Data {
                offset: 258,
                is_held: true,
                bytes: Bytes::from_static(b"wal"),
            },
            Said::Credit {
                total: 258,
                sent: 3,
                finished: true,
            },
            Said::Finish { offset: 258 },
            Said::Reset {
                reason: StreamReset::Silent,
            },
        ]
    }

    #[test]
    fn messages_round_trip_and_change_sides() {
        for said in samples() {
            let theirs = StreamId {
                is_ours: false,
                ..ID
            };
            assert_eq!(decode(encode(ID, &said)), Ok((theirs, said.clone())));
            assert_eq!(decode(encode(theirs, &said)), Ok((ID, said)));
        }
    }

    #[test]
    fn golden_bytes() {
        let head = [1, 2, 3, 4, 5, 6, 7, 8, 0, 0, 0, 0, 0, 0, 0, 9];
        let tails: [(u8, &[u8]); 5] = [
            (1, b"db-1"),
            (2, &[0, 0, 0, 0, 0, 0, 1, 2, 1, b'w', b'a', b'l']),
            (3, &[0, 0, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 0, 0, 0, 3, 1]),
            (4, &[0, 0, 0, 0, 0, 0, 1, 2]),
            (5, &[7]),
        ];
        for (said, (kind, tail)) in samples().iter().zip(tails) {
            let golden = [&[1, kind, 1][..], &head, tail].concat();
            assert_eq!(encode(ID, said)[..], golden, "{said:?}");
        }
    }

    #[test]
    fn reasons_on_the_wire_are_fixed() {
        for (number, reason) in (1..).zip(StreamReset::ALL) {
            assert_eq!(reason as u8, number);
            assert_eq!(StreamReset::from_number(number), Some(reason));
        }
        assert_eq!(StreamReset::from_number(0), None);
        assert_eq!(StreamReset::from_number(12), None);
    }

    #[test]
    fn every_truncation_and_every_extension_is_refused_or_another_message() {
        for said in samples() {
            let bytes = encode(ID, &said);
            let fixed = !matches!(said, Said::Open { .. } | Said::Data { .. });
            for length in 0..bytes.len() {
                let cut = decode(bytes.slice(..length));
                assert!(!fixed || cut.is_err(), "{said:?} cut to {length}");
                assert_ne!(cut.map(|(_, cut)| cut), Ok(said.clone()));
            }
            let longer = Bytes::from([&bytes[..], &[0]].concat());
            assert_ne!(decode(longer).map(|(_, longer)| longer), Ok(said));
        }
    }

    #[test]
    fn what_breaks_a_limit_is_refused() {
        let nothing = Said::Data {
            offset: 0,
            is_held: false,
            bytes: Bytes::new(),
        };
        assert_eq!(
            decode(encode(ID, &nothing)),
            Err(StreamMessageError::Length)
        );
        let much = Said::Data {
            offset: 0,
            is_held: false,
            bytes: Bytes::from(vec![0; MAXIMUM_CHUNK + 1]),
        };
        assert_eq!(decode(encode(ID, &much)), Err(StreamMessageError::Length));
        for target in [String::new(), "x".repeat(MAXIMUM_TARGET + 1)] {
            let open = Said::Open { target };
            assert_eq!(decode(encode(ID, &open)), Err(StreamMessageError::Length));
        }
        let mut newer = encode(ID, &samples()[0]).to_vec();
        newer[0] = 2;
        assert_eq!(decode(newer.into()), Err(StreamMessageError::Version(2)));
        let mut other = encode(ID, &samples()[0]).to_vec();
        other[1] = 6;
        assert_eq!(decode(other.into()), Err(StreamMessageError::Kind(6)));
    }
}

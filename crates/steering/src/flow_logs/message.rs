//! What sites say to each other of files of flow logs, in bytes. A peer is authenticated but not
//! trusted to be well-formed: reading is strict and bounded, and never panics.
//!
//! Layout, all numbers big-endian: format version (1), kind (1), number (8). A request goes on with
//! 0 not relayed / 1 relayed, the account (12 digits), the bucket and the key, or what keys begin
//! with (a text is its length (2) and its bytes); of a file its bytes follow to the end. An answer
//! goes on with its outcome (1).

use bytes::{Buf, BufMut, Bytes, BytesMut};
use types::AccountId;

/// Bytes of a file, compressed. It crosses in one envelope.
pub const MAX_LOG_FILE: usize = 4 * 1024 * 1024;

/// Bytes of a text: an object's key has no more.
const MAX_TEXT: usize = 1024;

/// The format's version, the first byte.
const VERSION: u8 = 1;

/// Kind numbers, the second byte. Never reused.
mod kind {
    pub const PUT: u8 = 1;
    pub const MAY: u8 = 2;
    pub const ANSWER: u8 = 3;
}

/// What a site asks of a Region.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LogRequest {
    /// Whose accelerator it is about.
    pub account: AccountId,
    /// The bucket.
    pub bucket: String,
    /// What is asked.
    pub wanted: LogWanted,
}

/// What is to be done with a bucket.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum LogWanted {
    /// Put this file into it.
    Put {
        /// Its key.
        key: String,
        /// Its bytes, [`MAX_LOG_FILE`] at most.
        file: Bytes,
    },
    /// May files be put into it?
    May {
        /// What their keys begin with.
        directory: String,
    },
}

/// What has become of a request.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum LogOutcome {
    /// It is done; or may be.
    Done,
    /// There is no such bucket.
    NoBucket,
    /// The bucket's policy doesn't let it.
    Denied,
    /// The bucket's Region can't be reached from there, or has too much to do.
    Unreachable,
    /// The Region tried, and couldn't.
    Failed,
}

/// A message.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Message {
    /// A request that wants an answer of the same number.
    Request {
        /// Chosen by who asks.
        number: u64,
        /// A Region passes on what it was asked: it isn't passed on again.
        relayed: bool,
        /// The request.
        request: LogRequest,
    },
    /// The answer.
    Answer {
        /// The request's number.
        number: u64,
        /// What has become of it.
        outcome: LogOutcome,
    },
}

/// A message couldn't be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum LogMessageError {
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

const OUTCOMES: [LogOutcome; 5] = [
    LogOutcome::Done,
    LogOutcome::NoBucket,
    LogOutcome::Denied,
    LogOutcome::Unreachable,
    LogOutcome::Failed,
];

impl Message {
    /// The message's bytes; none if a text or a file is too long to be told.
    pub(crate) fn encode(&self) -> Option<Bytes> {
        let mut out = BytesMut::with_capacity(64);
        out.put_u8(VERSION);
        match self {
            Message::Request {
                number,
                relayed,
                request,
            } => {
                let (kind, text, file) = match &request.wanted {
                    LogWanted::Put { key, file } => (kind::PUT, key, &file[..]),
                    LogWanted::May { directory } => (kind::MAY, directory, &[][..]),
                };
                if file.len() > MAX_LOG_FILE {
                    return None;
                }
                out.put_u8(kind);
                out.put_u64(*number);
                out.put_u8(u8::from(*relayed));
                out.put_slice(request.account.to_string().as_bytes());
                put_text(&mut out, &request.bucket)?;
                put_text(&mut out, text)?;
                out.put_slice(file);
            }
            Message::Answer { number, outcome } => {
                out.put_u8(kind::ANSWER);
                out.put_u64(*number);
                let place = OUTCOMES.iter().position(|known| known == outcome);
                out.put_u8(u8::try_from(place?).ok()?);
            }
        }
        Some(out.freeze())
    }

    /// Reads a message back.
    ///
    /// # Errors
    /// The bytes are none.
    pub(crate) fn decode(mut bytes: Bytes) -> Result<Message, LogMessageError> {
        let bytes = &mut bytes;
        let version = byte(bytes)?;
        if version != VERSION {
            return Err(LogMessageError::Version(version));
        }
        let kind = byte(bytes)?;
        let number = bytes.try_get_u64().map_err(|_| LogMessageError::Length)?;
        match kind {
            kind::PUT | kind::MAY => {}
            kind::ANSWER => {
                let outcome = OUTCOMES.get(usize::from(byte(bytes)?));
                let outcome = *outcome.ok_or(LogMessageError::Field)?;
                let message = Message::Answer { number, outcome };
                return ended(bytes, message);
            }
            other => return Err(LogMessageError::Kind(other)),
        }
        let relayed = match byte(bytes)? {
            0 => false,
            1 => true,
            _ => return Err(LogMessageError::Field),
        };
        let account = take(bytes, AccountId::DIGITS)?;
        let account = account.parse().map_err(|_| LogMessageError::Field)?;
        let (bucket, text) = (take_text(bytes)?, take_text(bytes)?);
        let wanted = match kind {
            kind::PUT if bytes.len() <= MAX_LOG_FILE => LogWanted::Put {
                key: text,
                file: bytes.split_to(bytes.len()),
            },
            kind::PUT => return Err(LogMessageError::Length),
            _ => LogWanted::May { directory: text },
        };
        let message = Message::Request {
            number,
            relayed,
            request: LogRequest {
                account,
                bucket,
                wanted,
            },
        };
        ended(bytes, message)
    }
}

fn ended(bytes: &Bytes, message: Message) -> Result<Message, LogMessageError> {
    match bytes.is_empty() {
        true => Ok(message),
        false => Err(LogMessageError::Length),
    }
}

fn put_text(out: &mut BytesMut, text: &str) -> Option<()> {
    let length = Some(text.len()).filter(|length| *length <= MAX_TEXT)?;
    out.put_u16(u16::try_from(length).ok()?);
    out.put_slice(text.as_bytes());
    Some(())
}

fn take_text(bytes: &mut Bytes) -> Result<String, LogMessageError> {
    let length = bytes.try_get_u16().map_err(|_| LogMessageError::Length)?;
    match usize::from(length) {
        length if length > MAX_TEXT => Err(LogMessageError::Length),
        length => take(bytes, length),
    }
}

fn take(bytes: &mut Bytes, length: usize) -> Result<String, LogMessageError> {
    if bytes.len() < length {
        return Err(LogMessageError::Length);
    }
    let text = bytes.split_to(length);
    String::from_utf8(text.to_vec()).map_err(|_| LogMessageError::Field)
}

fn byte(bytes: &mut Bytes) -> Result<u8, LogMessageError> {
    bytes.try_get_u8().map_err(|_| LogMessageError::Length)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn samples() -> Vec<Message> {
        let request = |wanted| LogRequest {
            account: AccountId::LAB,
            bucket: "logs".to_owned(),
            wanted,
        };
        let put = LogWanted::Put {
            key: "a/b".to_owned(),
            file: Bytes::from_static(b"xyz"),
        };
        let may = LogWanted::May {
            directory: "a/".to_owned(),
        };
        let mut samples = vec![
            Message::Request {
                number: 7,
                relayed: false,
                request: request(put),
            },
            Message::Request {
                number: 8,
                relayed: true,
                request: request(may),
            },
        ];
        samples.extend(OUTCOMES.map(|outcome| Message::Answer { number: 9, outcome }));
        samples
    }

    #[test]
    fn messages_round_trip_and_no_truncation_is_another() {
        for message in samples() {
            let bytes = message.encode().unwrap();
            assert_eq!(Message::decode(bytes.clone()), Ok(message.clone()));
            for length in 0..bytes.len() {
                let cut = Message::decode(bytes.slice(..length));
                assert_ne!(cut, Ok(message.clone()), "cut to {length}");
            }
        }
    }

    #[test]
    fn the_golden_bytes_of_a_request_and_an_answer() {
        let samples = samples();
        let mut golden = vec![1, 1, 0, 0, 0, 0, 0, 0, 0, 7, 0];
        golden.extend(b"111122223333\0\x04logs\0\x03a/bxyz");
        assert_eq!(samples[0].encode().unwrap(), golden);
        assert_eq!(
            samples[4].encode().unwrap(),
            vec![1, 3, 0, 0, 0, 0, 0, 0, 0, 9, 2]
        );
    }

    #[test]
    fn what_is_too_long_or_out_of_range_is_refused() {
        let bytes = samples()[0].encode().unwrap();
        let with = |at: usize, byte: u8| {
            let mut bytes = bytes.to_vec();
            bytes[at] = byte;
            Message::decode(bytes.into())
        };
        assert_eq!(with(0, 2), Err(LogMessageError::Version(2)));
        assert_eq!(with(1, 4), Err(LogMessageError::Kind(4)));
        assert_eq!(with(10, 2), Err(LogMessageError::Field));
        assert_eq!(with(11, b'x'), Err(LogMessageError::Field));
        assert_eq!(with(23, 0xff), Err(LogMessageError::Length));
        let mut long = bytes.to_vec();
        long.resize(bytes.len() + MAX_LOG_FILE, 0);
        assert_eq!(Message::decode(long.into()), Err(LogMessageError::Length));
        let mut answer = samples()[2].encode().unwrap().to_vec();
        answer.push(0);
        assert_eq!(Message::decode(answer.into()), Err(LogMessageError::Length));
        let Message::Request { mut request, .. } = samples().remove(0) else {
            unreachable!()
        };
        request.bucket = "b".repeat(MAX_TEXT + 1);
        let message = Message::Request {
            number: 1,
            relayed: false,
            request,
        };
        assert_eq!(message.encode(), None);
    }
}

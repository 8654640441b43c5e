//! What Regions say to each other inside envelopes, and its bytes. A peer is authenticated but
//! not trusted to be well-formed: decoding is strict, bounded, and never panics.

use bytes::{Buf, BufMut, Bytes, BytesMut};
use objects::{BucketFacts, BucketName};
use store::LogPosition;
use types::{SiteId, Timestamp};

use crate::databases::{DatabaseAnswer, DatabaseQuestion, put, take};
use crate::objects::{put_facts, take_facts};

/// The format's version, the first byte of every message.
const VERSION: u8 = 1;

/// Kind numbers, the second byte. Never reused.
mod kind {
    pub const CHANGES: u8 = 1;
    pub const CURSOR: u8 = 2;
    pub const HEARTBEAT: u8 = 3;
    pub const QUESTION: u8 = 4;
    pub const ANSWER: u8 = 5;
    pub const RESTART: u8 = 6;
    pub const BUCKET_QUESTION: u8 = 7;
    pub const BUCKET_ANSWER: u8 = 8;
    pub const DATABASE_QUESTION: u8 = 9;
    pub const DATABASE_ANSWER: u8 = 10;
}

/// Records in one `Changes` message, at most.
pub const MAX_RECORDS: usize = 512;

/// A table's name in a question, at most: DynamoDB allows 255 bytes, and an account and a colon
/// may stand before them.
const MAX_NAME: usize = 255 + 13;

/// Which life of a Region's log a position belongs to: drawn when its database is made, so that
/// a Region that lost its disk isn't mistaken for the one that had it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LogId(pub u64);

/// One service's record of a change.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Record {
    /// The service's tag (1 = tables).
    pub service: u8,
    /// The service's own bytes.
    pub bytes: Bytes,
}

/// A message between two Regions.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Message {
    /// The changes of the sender's log after `from` and up to `to`, as far as they concern the
    /// receiver.
    Changes {
        /// The sender's log.
        log: LogId,
        /// Everything up to here was sent before.
        from: LogPosition,
        /// Everything up to here is in this message or doesn't concern the receiver.
        to: LogPosition,
        /// When the newest of these changes was committed, by the sender's wall clock.
        committed: Timestamp,
        /// The changes, in log order.
        records: Vec<Record>,
    },
    /// How far the sender has applied the receiver's log.
    Cursor {
        /// The receiver's log as the sender knows it; `None`: it has applied nothing yet.
        log: Option<LogId>,
        /// Applied up to here.
        applied: LogPosition,
        /// The sender can't go on from what it got: start again after `applied`.
        rewind: bool,
    },
    /// For the receiver the sender's log begins after `at`: what was before it no longer holds,
    /// and copies of what it said follow.
    Restart {
        /// The sender's log.
        log: LogId,
        /// The receiver's cursor from now on.
        at: LogPosition,
    },
    /// The sender is alive.
    Heartbeat {
        /// Its wall clock.
        wall: Timestamp,
    },
    /// A question that wants an answer of the same number.
    Question {
        /// Chosen by the one who asks.
        number: u64,
        /// What is asked.
        question: Question,
    },
    /// The answer to a question.
    Answer {
        /// The question's number.
        number: u64,
        /// What is answered.
        answer: Answer,
    },
}

/// What one Region may ask another.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Question {
    /// Is there a table of that name with you?
    TableExists {
        /// The table's name.
        name: String,
    },
    /// What do you know of a bucket of that name of your own?
    Bucket {
        /// The bucket's name.
        name: BucketName,
    },
    /// About a database that is the source of a replica.
    Database(DatabaseQuestion),
}

/// What is answered.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Answer {
    /// To `TableExists`.
    TableExists {
        /// There is one.
        exists: bool,
        /// The global table it is a replica of, by its number; 0 if of none.
        group: u128,
    },
    /// To `Bucket`; `None`: there is none.
    Bucket(Option<BucketFacts>),
    /// To `Database`.
    Database(DatabaseAnswer),
}

/// A message couldn't be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum MessageError {
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

impl Message {
    /// The message's bytes.
    pub fn encode(&self) -> Bytes {
        let mut out = BytesMut::with_capacity(64);
        out.put_u8(VERSION);
        match self {
            Message::Changes {
                log,
                from,
                to,
                committed,
                records,
            } => {
                out.put_u8(kind::CHANGES);
                for number in [log.0, from.0, to.0, committed.0] {
                    out.put_u64(number);
                }
                out.put_u16(u16::try_from(records.len()).expect("at most MAX_RECORDS records"));
                for record in records {
                    out.put_u8(record.service);
                    let length = u32::try_from(record.bytes.len());
                    out.put_u32(length.expect("an envelope is far below 4 GiB"));
                    out.put_slice(&record.bytes);
                }
            }
            Message::Cursor {
                log,
                applied,
                rewind,
            } => {
                out.put_u8(kind::CURSOR);
                out.put_u8(u8::from(log.is_some()));
                out.put_u64(log.map_or(0, |log| log.0));
                out.put_u64(applied.0);
                out.put_u8(u8::from(*rewind));
            }
            Message::Restart { log, at } => {
                out.put_u8(kind::RESTART);
                out.put_u64(log.0);
                out.put_u64(at.0);
            }
            Message::Heartbeat { wall } => {
                out.put_u8(kind::HEARTBEAT);
                out.put_u64(wall.0);
            }
            Message::Question { number, question } => put_question(*number, question, &mut out),
            Message::Answer { number, answer } => put_answer(*number, answer, &mut out),
        }
        out.freeze()
    }

    /// Reads a message back.
    pub fn decode(mut bytes: Bytes) -> Result<Message, MessageError> {
        let version = byte(&mut bytes)?;
        if version != VERSION {
            return Err(MessageError::Version(version));
        }
        let message = match byte(&mut bytes)? {
            kind::CHANGES => changes(&mut bytes)?,
            kind::CURSOR => {
                let known = flag(&mut bytes)?;
                let log = LogId(number(&mut bytes)?);
                let applied = LogPosition(number(&mut bytes)?);
                Message::Cursor {
                    log: known.then_some(log),
                    applied,
                    rewind: flag(&mut bytes)?,
                }
            }
            kind::RESTART => {
                let log = LogId(number(&mut bytes)?);
                Message::Restart {
                    log,
                    at: LogPosition(number(&mut bytes)?),
                }
            }
            kind::HEARTBEAT => Message::Heartbeat {
                wall: Timestamp(number(&mut bytes)?),
            },
            kind::QUESTION => {
                let (number, name) = question(&mut bytes)?;
                Message::Question {
                    number,
                    question: Question::TableExists { name },
                }
            }
            kind::BUCKET_QUESTION => {
                let (number, name) = question(&mut bytes)?;
                let name = name.parse().map_err(|_| MessageError::Field)?;
                Message::Question {
                    number,
                    question: Question::Bucket { name },
                }
            }
            kind::BUCKET_ANSWER => bucket_answer(&mut bytes)?,
            kind::DATABASE_QUESTION => database_question(&mut bytes)?,
            kind::DATABASE_ANSWER => database_answer(&mut bytes)?,
            kind::ANSWER => {
                let question = number(&mut bytes)?;
                let exists = flag(&mut bytes)?;
                let high = u128::from(number(&mut bytes)?);
                let group = high << 64 | u128::from(number(&mut bytes)?);
                let answer = Answer::TableExists { exists, group };
                Message::Answer {
                    number: question,
                    answer,
                }
            }
            other => return Err(MessageError::Kind(other)),
        };
        if bytes.is_empty() {
            Ok(message)
        } else {
            Err(MessageError::Length)
        }
    }
}

fn changes(bytes: &mut Bytes) -> Result<Message, MessageError> {
    let log = LogId(number(bytes)?);
    let from = LogPosition(number(bytes)?);
    let to = LogPosition(number(bytes)?);
    let committed = Timestamp(number(bytes)?);
    if bytes.remaining() < 2 {
        return Err(MessageError::Length);
    }
    let count = usize::from(bytes.get_u16());
    if count > MAX_RECORDS || to < from {
        return Err(MessageError::Field);
    }
    let mut records = Vec::with_capacity(count);
    for _ in 0..count {
        let service = byte(bytes)?;
        if bytes.remaining() < 4 {
            return Err(MessageError::Length);
        }
        let length = bytes.get_u32() as usize;
        if bytes.remaining() < length {
            return Err(MessageError::Length);
        }
        records.push(Record {
            service,
            bytes: bytes.split_to(length),
        });
    }
    Ok(Message::Changes {
        log,
        from,
        to,
        committed,
        records,
    })
}

fn put_question(number: u64, question: &Question, out: &mut BytesMut) {
    let kind = match question {
        Question::TableExists { .. } => kind::QUESTION,
        Question::Bucket { .. } => kind::BUCKET_QUESTION,
        Question::Database(_) => kind::DATABASE_QUESTION,
    };
    out.put_u8(kind);
    out.put_u64(number);
    match question {
        Question::TableExists { name } => out.put_slice(name.as_bytes()),
        Question::Bucket { name } => out.put_slice(name.as_str().as_bytes()),
        Question::Database(question) => put(question, out),
    }
}

fn put_answer(number: u64, answer: &Answer, out: &mut BytesMut) {
    match answer {
        Answer::TableExists { exists, group } => {
            out.put_u8(kind::ANSWER);
            out.put_u64(number);
            out.put_u8(u8::from(*exists));
            out.put_u128(*group);
        }
        Answer::Bucket(facts) => {
            out.put_u8(kind::BUCKET_ANSWER);
            out.put_u64(number);
            out.put_u8(u8::from(facts.is_some()));
            if let Some(facts) = facts {
                put_facts(facts, out);
            }
        }
        Answer::Database(answer) => {
            out.put_u8(kind::DATABASE_ANSWER);
            out.put_u64(number);
            put(answer, out);
        }
    }
}

fn bucket_answer(bytes: &mut Bytes) -> Result<Message, MessageError> {
    let number = number(bytes)?;
    let facts = match flag(bytes)? {
        true => Some(take_facts(bytes).ok_or(MessageError::Field)?),
        false => None,
    };
    let answer = Answer::Bucket(facts);
    Ok(Message::Answer { number, answer })
}

fn database_question(bytes: &mut Bytes) -> Result<Message, MessageError> {
    let number = number(bytes)?;
    let question = take(bytes).ok_or(MessageError::Field)?;
    let question = Question::Database(question);
    Ok(Message::Question { number, question })
}

fn database_answer(bytes: &mut Bytes) -> Result<Message, MessageError> {
    let number = number(bytes)?;
    let answer = take(bytes).ok_or(MessageError::Field)?;
    let answer = Answer::Database(answer);
    Ok(Message::Answer { number, answer })
}

/// A question's number, and the name that it asks about.
fn question(bytes: &mut Bytes) -> Result<(u64, String), MessageError> {
    let number = number(bytes)?;
    let name = bytes.split_to(bytes.len());
    if name.len() > MAX_NAME {
        return Err(MessageError::Length);
    }
    let name = String::from_utf8(name.to_vec()).map_err(|_| MessageError::Field)?;
    Ok((number, name))
}

fn byte(bytes: &mut Bytes) -> Result<u8, MessageError> {
    if bytes.has_remaining() {
        Ok(bytes.get_u8())
    } else {
        Err(MessageError::Length)
    }
}

fn flag(bytes: &mut Bytes) -> Result<bool, MessageError> {
    match byte(bytes)? {
        0 => Ok(false),
        1 => Ok(true),
        _ => Err(MessageError::Field),
    }
}

fn number(bytes: &mut Bytes) -> Result<u64, MessageError> {
    if bytes.remaining() >= 8 {
        Ok(bytes.get_u64())
    } else {
        Err(MessageError::Length)
    }
}

/// The bytes under which a peer's cursor is kept: its log and the position applied.
pub(crate) fn encode_cursor(log: LogId, applied: LogPosition) -> Bytes {
    let mut out = BytesMut::with_capacity(17);
    out.put_u8(VERSION);
    out.put_u64(log.0);
    out.put_u64(applied.0);
    out.freeze()
}

/// Reads a kept cursor back.
pub(crate) fn decode_cursor(mut bytes: Bytes) -> Result<(LogId, LogPosition), MessageError> {
    match byte(&mut bytes)? {
        VERSION => Ok((LogId(number(&mut bytes)?), LogPosition(number(&mut bytes)?))),
        other => Err(MessageError::Version(other)),
    }
}

/// The key in `Space::Meta` of the cursor into that peer's log.
pub(crate) fn cursor_key(peer: SiteId) -> Bytes {
    Bytes::from(format!("region/cursor/{:05}", peer.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn samples() -> Vec<Message> {
        vec![
            Message::Changes {
                log: LogId(7),
                from: LogPosition(1),
                to: LogPosition(3),
                committed: Timestamp(9),
                records: vec![Record {
                    service: 1,
                    bytes: Bytes::from_static(b"xy"),
                }],
            },
            Message::Cursor {
                log: Some(LogId(7)),
                applied: LogPosition(3),
                rewind: true,
            },
            Message::Cursor {
                log: None,
                applied: LogPosition(0),
                rewind: false,
            },
            Message::Restart {
                log: LogId(7),
                at: LogPosition(8),
            },
            Message::Heartbeat { wall: Timestamp(5) },
            Message::Question {
                number: 4,
                question: Question::TableExists {
                    name: "Orders".to_owned(),
                },
            },
            Message::Answer {
                number: 4,
                answer: Answer::TableExists {
                    exists: true,
                    group: 9,
                },
            },
            Message::Question {
                number: 4,
                question: Question::Bucket {
                    name: "my-bucket".parse().unwrap(),
                },
            },
            Message::Answer {
                number: 4,
                answer: Answer::Bucket(Some(BucketFacts {
                    id: objects::BucketId(7),
                    versioning: objects::Versioning::Suspended,
                    object_lock: true,
                    requester_pays: false,
                })),
            },
            Message::Answer {
                number: 5,
                answer: Answer::Bucket(None),
            },
            Message::Question {
                number: 6,
                question: Question::Database(crate::databases::tests::leave()),
            },
            Message::Answer {
                number: 6,
                answer: Answer::Database(crate::databases::tests::left()),
            },
        ]
    }

    #[test]
    fn messages_round_trip() {
        for message in samples() {
            assert_eq!(Message::decode(message.encode()), Ok(message));
        }
    }

    #[test]
    fn golden_bytes_of_a_cursor() {
        let bytes = samples()[1].encode();
        let golden = [1, 2, 1, 0, 0, 0, 0, 0, 0, 0, 7, 0, 0, 0, 0, 0, 0, 0, 3, 1];
        assert_eq!(bytes.as_ref(), golden);
    }

    #[test]
    fn golden_bytes_of_changes() {
        let bytes = samples()[0].encode();
        let mut golden = vec![1, 1];
        for number in [7u64, 1, 3, 9] {
            golden.extend(number.to_be_bytes());
        }
        golden.extend([0, 1, 1, 0, 0, 0, 2, b'x', b'y']);
        assert_eq!(bytes.as_ref(), golden);
    }

    #[test]
    fn golden_bytes_of_what_is_known_of_a_bucket() {
        let bytes = samples()[8].encode();
        let golden = [
            1, 8, 0, 0, 0, 0, 0, 0, 0, 4, 1, 0, 0, 0, 0, 0, 0, 0, 7, 2, 1, 0,
        ];
        assert_eq!(bytes.as_ref(), golden);
    }

    #[test]
    fn every_truncation_and_every_extension_is_refused() {
        for message in samples() {
            let bytes = message.encode();
            let fixed = !matches!(message, Message::Question { .. });
            for length in 0..bytes.len() {
                let cut = Message::decode(bytes.slice(..length));
                assert!(!fixed || cut.is_err(), "{message:?} cut to {length}");
            }
            let mut longer = bytes.to_vec();
            longer.push(0);
            let read = Message::decode(Bytes::from(longer));
            assert!(
                read != Ok(message),
                "an extension must not read as the same message"
            );
        }
    }
}

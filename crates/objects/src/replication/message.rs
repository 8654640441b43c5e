//! What two Regions say to each other about objects, and its bytes: a version, a kind, then fields
//! in big-endian with lengths before texts. Whatever isn't exactly that is refused whole. Contents
//! cross in pieces of at most [`MAX_CONTENT`], so that a message fits into any envelope.

use bytes::{BufMut, Bytes, BytesMut};

use super::fields::{Fields, head, put_bytes};

/// The version of these bytes. A peer that speaks a later one is refused by name.
const VERSION: u8 = 1;

/// The version of an offer since the version that it tells has a stamp for each of what was
/// amended; those of before have one for all, and are read still.
const OFFER_VERSION: u8 = 2;

/// Content in one message, at most, in bytes.
pub(super) const MAX_CONTENT: usize = 128 * 1024;

/// A message's other fields together, at most, in bytes: a key, two names, a role and a version
/// with its metadata (2 KB), its tags (10 of 384 characters), its grants (100) and its context.
pub(super) const MAX_FIELDS: usize = 96 * 1024;

/// Versions in one question, at most.
pub(super) const MAX_ASKED: usize = 64;

/// A message, at most, in bytes.
pub const MAX_MESSAGE: usize = MAX_CONTENT + MAX_FIELDS;

/// A message of one Region to another. Tasks are numbered by who sends the objects.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Message {
    /// Here is a version, or a change of one.
    Offer(Box<Offer>),
    /// The part that follows, as JSON of its extent.
    Part {
        /// Of which task.
        task: u64,
        /// Its place, from 0.
        index: u32,
        /// Its facts.
        extent: Bytes,
    },
    /// Bytes of the part that was told last.
    Content {
        /// Of which task.
        task: u64,
        /// Of which part.
        index: u32,
        /// Where in it they begin.
        offset: u64,
        /// They.
        bytes: Bytes,
    },
    /// The task is given up by its source: what was received of it is needless.
    Abandon {
        /// Which.
        task: u64,
    },
    /// The receiver has everything before this place, and wants what follows.
    Want {
        /// Of which task.
        task: u64,
        /// From which part on.
        index: u32,
        /// From where in it.
        offset: u64,
    },
    /// A piece of a version is damaged here: who has it whole?
    Fetch(Box<Fetch>),
    /// Which of these versions does a Region have? A byte for each answers, as `Fetched`.
    Holds(Box<Holds>),
    /// Bytes of such a piece.
    Fetched {
        /// Of which question.
        question: u64,
        /// Where they begin.
        offset: u64,
        /// They; none: there is nothing there.
        bytes: Bytes,
    },
    /// How a task ended at the receiver.
    Outcome {
        /// Which.
        task: u64,
        /// How.
        result: Result,
    },
}

/// A version, or a change of one, and what its receiver must know to take it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Offer {
    /// The task's number.
    pub task: u64,
    /// What is offered.
    pub kind: OfferKind,
    /// The destination bucket's name.
    pub destination: String,
    /// The source bucket's name.
    pub source: String,
    /// The role that is acted as.
    pub role: String,
    /// The key.
    pub key: String,
    /// The replicas' storage class, if the rule has one.
    pub storage_class: Option<String>,
    /// The destination's owner is to own the replica.
    pub owner_override: bool,
    /// The source bucket has object lock.
    pub locked: bool,
    /// The version, as JSON, without what is its source's alone.
    pub version: Bytes,
    /// How many parts it has; 0: the body is all there is.
    pub parts: u32,
    /// Its bytes if they are few: as a reader has them, or of SSE-C as they are stored, after the
    /// JSON of their extent.
    pub body: Option<Bytes>,
}

/// Which bytes are wanted of a piece that is damaged where the question comes from.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Fetch {
    /// The question's number.
    pub question: u64,
    /// The bucket where it is damaged.
    pub bucket: String,
    /// A bucket that it was replicated to; empty: it came from elsewhere itself.
    pub replica: String,
    /// The key.
    pub key: String,
    /// The version's stamp.
    pub stamp: Bytes,
    /// The part's number.
    pub number: u32,
    /// From where on, in the bytes as they are sent.
    pub offset: u64,
}

/// Versions of which a Region asks whether another has them.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Holds {
    /// The question's number.
    pub question: u64,
    /// Keys and stamps, at most [`MAX_ASKED`].
    pub versions: Vec<(String, Bytes)>,
}

/// What is offered.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum OfferKind {
    /// A version that its receiver may not have.
    Version,
    /// A change of a version that its receiver should have.
    Amendment,
    /// A change, made to a replica: it is taken where the receiver's rules sync replicas.
    ReplicaAmendment,
    /// A version, by a batch replication job.
    Batch,
}

/// How a task ended at its receiver.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Result {
    /// It is there, synced.
    Done,
    /// It is not to be there, and that is no failure.
    Skipped,
    /// It can't be there, for a lasting cause: one of S3's failure reasons.
    Failed(String),
    /// Not now, and why: try again.
    Later(String),
}

/// The bytes are no message of this version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum MessageError {
    /// It is of a version of this protocol that this Causeway doesn't speak.
    #[error("version {0} of the objects' protocol is not spoken here")]
    Version(u8),
    /// It ends early, goes on too long, or has what can't be.
    #[error("a message about objects is malformed")]
    Malformed,
}

const OFFER: u8 = 1;
const PART: u8 = 2;
const CONTENT: u8 = 3;
const ABANDON: u8 = 4;
const WANT: u8 = 5;
const OUTCOME: u8 = 6;
const FETCH: u8 = 7;
const FETCHED: u8 = 8;
const HOLDS: u8 = 9;

impl Message {
    /// Its bytes.
    pub fn encode(&self) -> Bytes {
        let mut bytes = BytesMut::with_capacity(256);
        bytes.put_u8(match self {
            Message::Offer(_) => OFFER_VERSION,
            _ => VERSION,
        });
        match self {
            Message::Offer(offer) => {
                bytes.put_u8(OFFER);
                offer.encode(&mut bytes);
            }
            Message::Part {
                task,
                index,
                extent,
            } => {
                head(&mut bytes, PART, *task);
                bytes.put_u32(*index);
                put_bytes(&mut bytes, extent);
            }
            Message::Content {
                task,
                index,
                offset,
                bytes: content,
            } => {
                bytes.reserve(content.len());
                head(&mut bytes, CONTENT, *task);
                bytes.put_u32(*index);
                bytes.put_u64(*offset);
                put_bytes(&mut bytes, content);
            }
            Message::Abandon { task } => head(&mut bytes, ABANDON, *task),
            Message::Want {
                task,
                index,
                offset,
            } => {
                head(&mut bytes, WANT, *task);
                bytes.put_u32(*index);
                bytes.put_u64(*offset);
            }
            Message::Fetch(fetch) => {
                head(&mut bytes, FETCH, fetch.question);
                fetch.encode(&mut bytes);
            }
            Message::Holds(holds) => {
                head(&mut bytes, HOLDS, holds.question);
                holds.encode(&mut bytes);
            }
            Message::Fetched {
                question,
                offset,
                bytes: content,
            } => {
                head(&mut bytes, FETCHED, *question);
                bytes.put_u64(*offset);
                put_bytes(&mut bytes, content);
            }
            Message::Outcome { task, result } => {
                head(&mut bytes, OUTCOME, *task);
                result.encode(&mut bytes);
            }
        }
        bytes.freeze()
    }

    /// The message of those bytes.
    pub fn decode(bytes: Bytes) -> std::result::Result<Message, MessageError> {
        let mut fields = Fields(bytes);
        let version = fields.byte()?;
        if !(VERSION..=OFFER_VERSION).contains(&version) {
            return Err(MessageError::Version(version));
        }
        let message = match fields.byte()? {
            kind if kind != OFFER && version != VERSION => {
                return Err(MessageError::Version(version));
            }
            OFFER => Message::Offer(Box::new(Offer::decode(&mut fields)?)),
            PART => Message::Part {
                task: fields.long()?,
                index: fields.int()?,
                extent: fields.bytes(MAX_FIELDS)?,
            },
            CONTENT => Message::Content {
                task: fields.long()?,
                index: fields.int()?,
                offset: fields.long()?,
                bytes: fields.bytes(MAX_CONTENT)?,
            },
            ABANDON => Message::Abandon {
                task: fields.long()?,
            },
            WANT => Message::Want {
                task: fields.long()?,
                index: fields.int()?,
                offset: fields.long()?,
            },
            FETCH => Message::Fetch(Box::new(Fetch::decode(&mut fields)?)),
            HOLDS => Message::Holds(Box::new(Holds::decode(&mut fields)?)),
            FETCHED => Message::Fetched {
                question: fields.long()?,
                offset: fields.long()?,
                bytes: fields.bytes(MAX_CONTENT)?,
            },
            OUTCOME => Message::Outcome {
                task: fields.long()?,
                result: Result::decode(&mut fields)?,
            },
            _ => return Err(MessageError::Malformed),
        };
        match fields.is_at_end() {
            true => Ok(message),
            false => Err(MessageError::Malformed),
        }
    }

    /// The number of the task, or of the question, that it is about.
    pub fn task(&self) -> u64 {
        match self {
            Message::Fetch(fetch) => fetch.question,
            Message::Holds(holds) => holds.question,
            Message::Fetched { question, .. } => *question,
            Message::Offer(offer) => offer.task,
            Message::Part { task, .. }
            | Message::Content { task, .. }
            | Message::Abandon { task }
            | Message::Want { task, .. }
            | Message::Outcome { task, .. } => *task,
        }
    }
}

impl Offer {
    fn encode(&self, bytes: &mut BytesMut) {
        bytes.reserve(self.version.len() + self.body.as_ref().map_or(0, Bytes::len));
        bytes.put_u64(self.task);
        bytes.put_u8(match self.kind {
            OfferKind::Version => 0,
            OfferKind::Amendment => 1,
            OfferKind::ReplicaAmendment => 2,
            OfferKind::Batch => 3,
        });
        for text in [&self.destination, &self.source, &self.role, &self.key] {
            put_bytes(bytes, text.as_bytes());
        }
        // A storage class has at least a letter, so that no text stands for none.
        put_bytes(
            bytes,
            self.storage_class.as_deref().unwrap_or("").as_bytes(),
        );
        bytes.put_u8(u8::from(self.owner_override));
        bytes.put_u8(u8::from(self.locked));
        put_bytes(bytes, &self.version);
        bytes.put_u32(self.parts);
        bytes.put_u8(u8::from(self.body.is_some()));
        if let Some(body) = &self.body {
            put_bytes(bytes, body);
        }
    }

    fn decode(fields: &mut Fields) -> std::result::Result<Offer, MessageError> {
        Ok(Offer {
            task: fields.long()?,
            kind: match fields.byte()? {
                0 => OfferKind::Version,
                1 => OfferKind::Amendment,
                2 => OfferKind::ReplicaAmendment,
                3 => OfferKind::Batch,
                _ => return Err(MessageError::Malformed),
            },
            destination: fields.text()?,
            source: fields.text()?,
            role: fields.text()?,
            key: fields.text()?,
            storage_class: Some(fields.text()?).filter(|class| !class.is_empty()),
            owner_override: fields.flag()?,
            locked: fields.flag()?,
            version: fields.bytes(MAX_FIELDS)?,
            parts: fields.int()?,
            body: match fields.flag()? {
                true => Some(fields.bytes(MAX_CONTENT)?),
                false => None,
            },
        })
    }
}

impl Fetch {
    fn encode(&self, bytes: &mut BytesMut) {
        for text in [&self.bucket, &self.replica, &self.key] {
            put_bytes(bytes, text.as_bytes());
        }
        put_bytes(bytes, &self.stamp);
        bytes.put_u32(self.number);
        bytes.put_u64(self.offset);
    }

    fn decode(fields: &mut Fields) -> std::result::Result<Fetch, MessageError> {
        Ok(Fetch {
            question: fields.long()?,
            bucket: fields.text()?,
            replica: fields.text()?,
            key: fields.text()?,
            stamp: fields.bytes(MAX_FIELDS)?,
            number: fields.int()?,
            offset: fields.long()?,
        })
    }
}

impl Holds {
    fn encode(&self, bytes: &mut BytesMut) {
        bytes.put_u32(self.versions.len() as u32);
        for (key, stamp) in &self.versions {
            put_bytes(bytes, key.as_bytes());
            put_bytes(bytes, stamp);
        }
    }

    fn decode(fields: &mut Fields) -> std::result::Result<Holds, MessageError> {
        let question = fields.long()?;
        let count = fields.int()? as usize;
        if count > MAX_ASKED {
            return Err(MessageError::Malformed);
        }
        let versions = (0..count).map(|_| Ok((fields.text()?, fields.bytes(MAX_FIELDS)?)));
        Ok(Holds {
            question,
            versions: versions.collect::<std::result::Result<_, _>>()?,
        })
    }
}

impl Result {
    fn encode(&self, bytes: &mut BytesMut) {
        match self {
            Result::Done => bytes.put_u8(0),
            Result::Skipped => bytes.put_u8(1),
            Result::Failed(reason) => {
                bytes.put_u8(2);
                put_bytes(bytes, reason.as_bytes());
            }
            Result::Later(reason) => {
                bytes.put_u8(3);
                put_bytes(bytes, reason.as_bytes());
            }
        }
    }

    fn decode(fields: &mut Fields) -> std::result::Result<Result, MessageError> {
        Ok(match fields.byte()? {
            0 => Result::Done,
            1 => Result::Skipped,
            2 => Result::Failed(fields.text()?),
            3 => Result::Later(fields.text()?),
            _ => return Err(MessageError::Malformed),
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn offer() -> Message {
        Message::Offer(Box::new(Offer {
            task: 7,
            kind: OfferKind::Version,
            destination: "to".to_owned(),
            source: "from".to_owned(),
            role: "r".to_owned(),
            key: "k".to_owned(),
            storage_class: None,
            owner_override: true,
            locked: false,
            version: Bytes::from_static(b"{}"),
            parts: 0,
            body: Some(Bytes::from_static(b"hi")),
        }))
    }

    fn all() -> Vec<Message> {
        let outcome = |result| Message::Outcome { task: 1, result };
        vec![
            offer(),
            Message::Part {
                task: 1,
                index: 2,
                extent: Bytes::from_static(b"{}"),
            },
            Message::Content {
                task: 1,
                index: 2,
                offset: 3,
                bytes: Bytes::from_static(b"bytes"),
            },
            Message::Abandon { task: 1 },
            Message::Want {
                task: 1,
                index: 2,
                offset: 3,
            },
            Message::Fetch(Box::new(Fetch {
                question: 1,
                bucket: "b".to_owned(),
                replica: String::new(),
                key: "k".to_owned(),
                stamp: Bytes::from_static(&[7; 24]),
                number: 1,
                offset: 3,
            })),
            Message::Holds(Box::new(Holds {
                question: 1,
                versions: vec![("k".to_owned(), Bytes::from_static(&[7; 24])); 2],
            })),
            Message::Fetched {
                question: 1,
                offset: 3,
                bytes: Bytes::from_static(b"bytes"),
            },
            outcome(Result::Done),
            outcome(Result::Skipped),
            outcome(Result::Failed("DstBucketNotFound".to_owned())),
            outcome(Result::Later("the disk is full".to_owned())),
        ]
    }

    #[test]
    fn messages_come_back_and_nothing_shorter_or_longer_does() {
        for message in all() {
            let bytes = message.encode();
            assert_eq!(Message::decode(bytes.clone()), Ok(message));
            for length in 0..bytes.len() {
                assert!(Message::decode(bytes.slice(..length)).is_err());
            }
            let longer = [&bytes[..], &[0]].concat();
            assert!(Message::decode(Bytes::from(longer)).is_err());
        }
    }

    /// Golden: what an older Region wrote is read for ever.
    #[test]
    fn these_are_the_bytes() {
        let expected = "02 01 0000000000000007 00 00000002 746f 00000004 66726f6d 00000001 72 \
                        00000001 6b 00000000 01 00 00000002 7b7d 00000000 01 00000002 6869";
        let hex: String = offer()
            .encode()
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        assert_eq!(hex, expected.replace(' ', ""));
        let mut first = BytesMut::from(&offer().encode()[..]);
        first[0] = 1;
        assert_eq!(Message::decode(first.freeze()), Ok(offer()));
        let want = Message::Want {
            task: 1,
            index: 2,
            offset: 3,
        };
        let hex: String = want
            .encode()
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        assert_eq!(hex, "01050000000000000001000000020000000000000003");
    }

    #[test]
    fn another_version_is_refused_by_name() {
        let mut bytes = BytesMut::from(&offer().encode()[..]);
        bytes[0] = 3;
        let refused = Message::decode(bytes.freeze());
        assert_eq!(refused, Err(MessageError::Version(3)));
        let mut bytes = BytesMut::from(&Message::Abandon { task: 1 }.encode()[..]);
        bytes[0] = 2;
        let refused = Message::decode(bytes.freeze());
        assert_eq!(refused, Err(MessageError::Version(2)));
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(mut bytes: Vec<u8>) {
            let _ = Message::decode(Bytes::from(bytes.clone()));
            if let Some(first) = bytes.first_mut() {
                *first = VERSION;
            }
            let _ = Message::decode(Bytes::from(bytes));
        }
    }
}

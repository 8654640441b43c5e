//! A version's content on its way to another Region, part by part and piece by piece, from
//! wherever the receiver wants it on. At most one step of a reader is in memory.

use bytes::Bytes;
use store::Engine;

use super::message::{MAX_CONTENT, Message};
use crate::content::{ContentReader, RawReader};
use crate::{BucketName, Encryption, Extent, ObjectError, Objects};

/// See the module.
pub(super) struct Stream {
    /// The task's number.
    pub task: u64,
    /// The destination, under whose name the traffic is metered.
    pub destination: BucketName,
    /// The parts; a whole object is one.
    pub extents: Vec<Extent>,
    /// How they are encrypted: what a customer's key encrypts goes as it is stored.
    pub encryption: Encryption,
    /// Which part and where in it; none before the receiver has said so.
    at: Option<(u32, u64)>,
    /// The part's facts were told.
    told: bool,
    reader: Option<Reader>,
    /// What was read and not yet sent.
    read: Bytes,
}

/// Bytes as another Region wants them: as a reader has them, or as they are stored.
pub(super) enum Reader {
    Plain(Box<ContentReader>),
    Stored(Box<RawReader>),
}

impl Reader {
    /// The next bytes; none at the end.
    pub async fn next(&mut self) -> Result<Option<Bytes>, ObjectError> {
        let read = match self {
            Reader::Plain(reader) => reader.next().await,
            Reader::Stored(reader) => reader.next().await,
        };
        read.transpose()
    }
}

impl Stream {
    /// A stream that waits for the receiver's word.
    pub fn new(
        task: u64,
        destination: BucketName,
        extents: Vec<Extent>,
        encryption: Encryption,
    ) -> Stream {
        Stream {
            task,
            destination,
            extents,
            encryption,
            at: None,
            told: false,
            reader: None,
            read: Bytes::new(),
        }
    }

    /// The receiver wants what follows there.
    pub fn seek(&mut self, index: u32, offset: u64) {
        self.at = Some((index, offset));
        self.told = false;
        self.reader = None;
        self.read = Bytes::new();
    }

    /// Is there anything to send now?
    pub fn is_flowing(&self) -> bool {
        self.at
            .is_some_and(|(index, _)| (index as usize) < self.extents.len())
    }

    /// The next message; none once all parts were sent.
    ///
    /// # Errors
    /// What is stored can't be read.
    pub async fn next<E: Engine>(
        &mut self,
        objects: &Objects<E>,
    ) -> Result<Option<Message>, ObjectError> {
        loop {
            let Some((index, offset)) = self.at else {
                return Ok(None);
            };
            let Some(extent) = self.extents.get(index as usize) else {
                return Ok(None);
            };
            if !self.told {
                self.told = true;
                return Ok(Some(Message::Part {
                    task: self.task,
                    index,
                    extent: self.facts(extent),
                }));
            }
            if self.read.is_empty() {
                match self.read_on(objects, index, offset).await? {
                    Some(bytes) => self.read = bytes,
                    None => {
                        self.seek(index + 1, 0);
                        continue;
                    }
                }
            }
            let bytes = self.read.split_to(MAX_CONTENT.min(self.read.len()));
            self.at = Some((index, offset + bytes.len() as u64));
            return Ok(Some(Message::Content {
                task: self.task,
                index,
                offset,
                bytes,
            }));
        }
    }

    async fn read_on<E: Engine>(
        &mut self,
        objects: &Objects<E>,
        index: u32,
        offset: u64,
    ) -> Result<Option<Bytes>, ObjectError> {
        if self.reader.is_none() {
            let extent = &self.extents[index as usize];
            self.reader = Some(open(objects, &self.encryption, extent, offset).await?);
        }
        let reader = self.reader.as_mut().expect("it was just opened");
        reader.next().await
    }

    fn facts(&self, extent: &Extent) -> Bytes {
        facts(&self.encryption, extent)
    }
}

/// An extent as it is told to another Region: where and under which of its site's keys it is stored
/// is nobody else's affair; the salt of a customer's key is needed there.
pub(super) fn told(encryption: &Encryption, extent: &Extent) -> Extent {
    Extent {
        blob: 0,
        inline: false,
        sealed_key: match encryption {
            Encryption::Site => Bytes::new(),
            Encryption::Customer { .. } => extent.sealed_key.clone(),
        },
        ..extent.clone()
    }
}

fn facts(encryption: &Encryption, extent: &Extent) -> Bytes {
    let json = serde_json::to_vec(&told(encryption, extent));
    Bytes::from(json.expect("an extent is plain values"))
}

/// Begins to read a piece at that offset of what is sent of it.
///
/// # Errors
/// What is stored can't be read.
pub(super) async fn open<E: Engine>(
    objects: &Objects<E>,
    encryption: &Encryption,
    extent: &Extent,
    offset: u64,
) -> Result<Reader, ObjectError> {
    let pieces = std::slice::from_ref(extent);
    let range = offset.min(extent.size)..extent.size;
    Ok(match encryption {
        Encryption::Site => {
            let reader = objects.read_extents(encryption, pieces, range, None);
            Reader::Plain(Box::new(reader.await?))
        }
        Encryption::Customer { .. } => {
            let reader = objects.read_stored(extent, offset);
            Reader::Stored(Box::new(reader.await?))
        }
    })
}

/// All bytes of a piece that is small, as a receiver wants them.
///
/// # Errors
/// What is stored can't be read.
pub(super) async fn read_whole<E: Engine>(
    objects: &Objects<E>,
    encryption: &Encryption,
    extent: &Extent,
) -> Result<Bytes, ObjectError> {
    let mut whole = bytes::BytesMut::new();
    let mut reader = open(objects, encryption, extent, 0).await?;
    while let Some(bytes) = reader.next().await? {
        whole.extend_from_slice(&bytes);
    }
    Ok(whole.freeze())
}

//! The simulated disk: a journal of checksummed records, of which only a part is synced, and
//! what a power cut leaves of it. Recovery really parses the bytes: a torn tail is dropped, damage
//! to anything that was synced is refused. It keeps no files and draws no randomness.

use std::path::PathBuf;

use bytes::{Buf, BufMut, Bytes};

use crate::{LogPosition, OpenError, Space};

/// A record's header: length and CRC-32C of the payload, 4 bytes each, little-endian.
const HEADER_BYTES: usize = 8;

/// What a disk writes atomically, in bytes. A power cut may lose any sector not synced.
const SECTOR_BYTES: usize = 512;

/// The bytes that an engine in simulation leaves behind, synced and not.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct SimulatedDisk {
    journal: Vec<u8>,
    /// How much of the journal is synced.
    synced: usize,
    /// The journal's length after it was last rewritten.
    rewritten: usize,
}

/// One record: what a commit did.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct Record {
    /// The change log's head from then on.
    pub(super) head: LogPosition,
    /// Keys set, or removed (`None`).
    pub(super) changes: Vec<Change>,
}

/// A key set, or removed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Change {
    pub(super) space: Space,
    pub(super) key: Bytes,
    pub(super) value: Option<Bytes>,
}

impl SimulatedDisk {
    /// An empty disk.
    pub fn new() -> SimulatedDisk {
        SimulatedDisk::default()
    }

    /// The length of what it holds, in bytes.
    pub fn length(&self) -> usize {
        self.journal.len()
    }

    /// The length of what it holds synced, in bytes.
    pub fn synced_length(&self) -> usize {
        self.synced
    }

    /// Flips one bit. An engine opened on a disk with a flipped bit among the synced bytes
    /// refuses; among the others, it drops the batch and all after it.
    ///
    /// # Panics
    /// If `byte` is not less than `length()`.
    pub fn flip_bit(&mut self, byte: usize, bit: u8) {
        self.journal[byte] ^= 1 << (bit % 8);
    }

    /// What a power cut leaves: all that was synced, and of the rest, as the seed has it, a
    /// prefix of any length in bytes, sometimes with a sector inside it missing or a bit flipped.
    pub fn cut_power(&mut self, seed: u64) {
        let mut seed = seed;
        let tail = self.journal.len() - self.synced;
        let kept = match draw(&mut seed, 4) {
            0 => 0,
            1 => tail,
            _ => draw(&mut seed, tail as u64 + 1) as usize,
        };
        self.journal.truncate(self.synced + kept);
        if kept == 0 {
            return;
        }
        let victim = self.synced + draw(&mut seed, kept as u64) as usize;
        match draw(&mut seed, 4) {
            0 => {
                let sector = victim / SECTOR_BYTES * SECTOR_BYTES;
                let end = (sector + SECTOR_BYTES).min(self.journal.len());
                self.journal[sector.max(self.synced)..end].fill(0);
            }
            1 => self.flip_bit(victim, draw(&mut seed, 8) as u8),
            _ => {}
        }
    }

    /// Appends a record, unsynced.
    pub(super) fn append(&mut self, record: &Record) {
        let start = self.journal.len();
        self.journal.put_bytes(0, HEADER_BYTES);
        record.encode(&mut self.journal);
        let payload = &self.journal[start + HEADER_BYTES..];
        let length = u32::try_from(payload.len()).expect("a batch is smaller than 4 GiB");
        let checksum = crc32c::crc32c(payload);
        self.journal[start..start + 4].copy_from_slice(&length.to_le_bytes());
        self.journal[start + 4..start + 8].copy_from_slice(&checksum.to_le_bytes());
    }

    /// Syncs everything appended so far.
    pub(super) fn sync(&mut self) {
        self.synced = self.journal.len();
    }

    /// Has the journal grown to so much more than it holds that it should be rewritten?
    pub(super) fn wants_rewrite(&self, live_bytes: u64) -> bool {
        const LEAST: usize = 4 << 20;
        self.synced == self.journal.len()
            && self.journal.len() > LEAST.max(self.rewritten * 2)
            && self.journal.len() as u64 > live_bytes * 4
    }

    /// Replaces the whole journal by these records, synced.
    pub(super) fn rewrite(&mut self, records: impl Iterator<Item = Record>) {
        self.journal.clear();
        for record in records {
            self.append(&record);
        }
        self.sync();
        self.rewritten = self.journal.len();
    }

    /// Reads every record back, and cuts a torn tail off.
    pub(super) fn recover(&mut self) -> Result<Vec<Record>, OpenError> {
        let mut records = Vec::new();
        let mut offset = 0;
        while offset < self.journal.len() {
            match record_at(&self.journal[offset..]) {
                Ok((record, length)) => {
                    records.push(record);
                    offset += length;
                }
                Err(_) if offset >= self.synced => break,
                Err(detail) => {
                    return Err(OpenError::Corrupt {
                        file: PathBuf::from("journal"),
                        detail: format!("{detail} at byte {offset}"),
                    });
                }
            }
        }
        if offset < self.synced {
            return Err(OpenError::Corrupt {
                file: PathBuf::from("journal"),
                detail: format!("it ends at byte {offset} of {}", self.synced),
            });
        }
        self.journal.truncate(offset);
        self.sync();
        Ok(records)
    }
}

impl Record {
    fn encode(&self, into: &mut Vec<u8>) {
        into.put_u64_le(self.head.0);
        into.put_u32_le(self.changes.len() as u32);
        for change in &self.changes {
            into.put_u8(change.space.code());
            into.put_u8(u8::from(change.value.is_some()));
            put_string(into, &change.key);
            if let Some(value) = &change.value {
                put_string(into, value);
            }
        }
    }

    fn decode(mut payload: &[u8]) -> Option<Record> {
        let head = LogPosition(payload.try_get_u64_le().ok()?);
        let count = payload.try_get_u32_le().ok()?;
        let mut changes = Vec::new();
        for _ in 0..count {
            let space = Space::from_code(payload.try_get_u8().ok()?)?;
            let has_value = payload.try_get_u8().ok()? == 1;
            let key = get_string(&mut payload)?;
            let value = match has_value {
                true => Some(get_string(&mut payload)?),
                false => None,
            };
            changes.push(Change { space, key, value });
        }
        payload.is_empty().then_some(Record { head, changes })
    }
}

/// The record at the start of the bytes, and its whole length.
fn record_at(bytes: &[u8]) -> Result<(Record, usize), &'static str> {
    let mut header = bytes;
    let (Ok(length), Ok(checksum)) = (header.try_get_u32_le(), header.try_get_u32_le()) else {
        return Err("a record's header is cut off");
    };
    let payload = header.get(..length as usize);
    let payload = payload.ok_or("a record is cut off")?;
    if payload.is_empty() || crc32c::crc32c(payload) != checksum {
        return Err("a record doesn't match its checksum");
    }
    let record = Record::decode(payload).ok_or("a record makes no sense")?;
    Ok((record, HEADER_BYTES + payload.len()))
}

fn put_string(into: &mut Vec<u8>, string: &[u8]) {
    into.put_u32_le(string.len() as u32);
    into.put_slice(string);
}

fn get_string(from: &mut &[u8]) -> Option<Bytes> {
    let length = from.try_get_u32_le().ok()? as usize;
    let string = from.get(..length)?;
    let string = Bytes::copy_from_slice(string);
    from.advance(length);
    Some(string)
}

/// A number below `bound` (at least 1) from a seed, which it moves on (SplitMix64).
fn draw(seed: &mut u64, bound: u64) -> u64 {
    *seed = seed.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let mut mixed = *seed;
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    (mixed ^ (mixed >> 31)) % bound
}

//! Reads fjall's journal files before fjall does. fjall drops everything after the first record
//! it can't read and truncates the file there, acknowledged or not; and it refuses to open over
//! some torn tails. Here the two are told apart: a torn tail was never acknowledged and is cut
//! off; damage to what was acknowledged is refused and left as it is.
//!
//! The format (fjall 3.1, `journal/entry.rs`), little-endian. A batch is: 1, count u32, sequence
//! u64; `count` items; 3, XXH3-64 of the items u64, "FJL" 3. An item is: 2, kind u8, compression
//! u8, keyspace u64, key length u16, value length u32, stored length u32, key, value.

use std::fs::File;
use std::io::{BufReader, ErrorKind, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use xxhash_rust::xxh3::Xxh3;

use super::directory::io;
use super::progress::Progress;
use crate::OpenError;

const BATCH_START: u8 = 1;
const ITEM: u8 = 2;
const BATCH_END: u8 = 3;
const END_MAGIC: [u8; 4] = *b"FJL\x03";

/// Header of an item after its tag: kind, compression, keyspace, three lengths.
const ITEM_HEADER_BYTES: usize = 20;

/// What the journals hold.
#[derive(Debug, Default)]
pub(super) struct Journals {
    /// How many files there are.
    pub(super) files: u64,
    /// The bytes of their batches.
    pub(super) bytes: u64,
    /// The newest group in them.
    pub(super) last_group: Option<u64>,
    /// A tail that was never acknowledged, in the newest file.
    pub(super) torn: Option<TornTail>,
}

/// Where a journal's tail was torn.
#[derive(Debug)]
pub(super) struct TornTail {
    file: PathBuf,
    /// Where the last whole batch ends.
    offset: u64,
}

impl TornTail {
    /// Cuts it off, synced.
    pub(super) fn cut_off(&self) -> Result<(), OpenError> {
        let TornTail { file, offset } = self;
        tracing::info!(
            ?file,
            offset,
            "cutting off a torn, never acknowledged journal tail"
        );
        let open = File::options().write(true).open(file);
        open.and_then(|journal| {
            journal.set_len(*offset)?;
            journal.sync_all()
        })
        .map_err(io(file))
    }
}

/// Reads all journals of a data directory. `synced` is the newest group known to be synced.
///
/// # Errors
/// `Corrupt`, naming the file, if anything that was acknowledged is damaged or missing.
pub(super) fn inspect(data: &Path, synced: u64) -> Result<Journals, OpenError> {
    let mut paths = journal_files(data)?;
    let Some((_, newest)) = paths.pop() else {
        return Ok(Journals::default());
    };
    let mut journals = Journals::default();
    for (_, path) in &paths {
        // A sealed journal was synced whole before the next was begun.
        if let Some(offset) = journals.read(path)? {
            return Err(damaged(path, offset));
        }
    }
    if let Some(offset) = journals.read(&newest)? {
        // Each group is synced before the next is written: a batch after the bad place proves
        // that the bad place had been synced.
        let acknowledged = journals.last_group.unwrap_or(0);
        if has_batch_after(&newest, offset)? || acknowledged < synced {
            return Err(damaged(&newest, offset));
        }
        journals.torn = Some(TornTail {
            file: newest,
            offset,
        });
    } else if journals.last_group.is_some_and(|group| group < synced) {
        return Err(OpenError::Corrupt {
            file: newest,
            detail: format!("commits of the synced group {synced} are missing"),
        });
    }
    Ok(journals)
}

impl Journals {
    /// Reads one file; if it holds anything but batches and then zeros, where that begins.
    fn read(&mut self, path: &Path) -> Result<Option<u64>, OpenError> {
        self.files += 1;
        let file = File::open(path).map_err(io(path))?;
        let mut reader = BufReader::with_capacity(1 << 16, file);
        let mut offset = 0;
        loop {
            match read_batch(&mut reader) {
                Ok(batch) => {
                    offset += batch.length;
                    self.bytes += batch.length;
                    self.follow(path, batch.group)?;
                }
                Err(Unreadable::Invalid) => break,
                Err(Unreadable::Io(cause)) => return Err(io(path)(cause)),
            }
        }
        let zeros = is_zero_from(reader.into_inner(), offset).map_err(io(path))?;
        Ok((!zeros).then_some(offset))
    }

    /// Groups are numbered without gaps.
    fn follow(&mut self, path: &Path, group: Option<u64>) -> Result<(), OpenError> {
        let Some(group) = group else {
            return Ok(());
        };
        if let Some(last) = self.last_group.filter(|last| last + 1 != group) {
            return Err(OpenError::Corrupt {
                file: path.to_owned(),
                detail: format!("group {group} follows group {last}"),
            });
        }
        self.last_group = Some(group);
        Ok(())
    }
}

/// One whole batch with a right checksum.
struct ReadBatch {
    length: u64,
    /// The group that it commits.
    group: Option<u64>,
}

enum Unreadable {
    Invalid,
    Io(std::io::Error),
}

impl From<std::io::Error> for Unreadable {
    fn from(cause: std::io::Error) -> Unreadable {
        match cause.kind() {
            ErrorKind::UnexpectedEof => Unreadable::Invalid,
            _ => Unreadable::Io(cause),
        }
    }
}

fn read_batch(reader: &mut impl Read) -> Result<ReadBatch, Unreadable> {
    let [tag] = read_array(reader)?;
    if tag != BATCH_START {
        return Err(Unreadable::Invalid);
    }
    let count = u32::from_le_bytes(read_array(reader)?);
    let _sequence: [u8; 8] = read_array(reader)?;
    let mut batch = ReadBatch {
        length: 13,
        group: None,
    };
    let mut hasher = Xxh3::new();
    let mut string = Vec::new();
    for _ in 0..count {
        read_item(reader, &mut hasher, &mut string, &mut batch)?;
    }
    let [tag] = read_array(reader)?;
    let checksum = u64::from_le_bytes(read_array(reader)?);
    let magic: [u8; 4] = read_array(reader)?;
    if tag != BATCH_END || magic != END_MAGIC || checksum != hasher.digest() {
        return Err(Unreadable::Invalid);
    }
    batch.length += 13;
    Ok(batch)
}

fn read_item(
    reader: &mut impl Read,
    hasher: &mut Xxh3,
    string: &mut Vec<u8>,
    batch: &mut ReadBatch,
) -> Result<(), Unreadable> {
    let [tag] = read_array(reader)?;
    let header: [u8; ITEM_HEADER_BYTES] = read_array(reader)?;
    let [_kind, compression, rest @ ..] = header;
    // The engine opens its journal without compression.
    if tag != ITEM || compression != 0 {
        return Err(Unreadable::Invalid);
    }
    let key_length = u16::from_le_bytes([rest[8], rest[9]]) as usize;
    let value_length = u32::from_le_bytes([rest[14], rest[15], rest[16], rest[17]]) as usize;
    string.clear();
    // `take` reads as much as there is: a damaged length doesn't allocate what it claims.
    let expected = key_length + value_length;
    if reader.take(expected as u64).read_to_end(string)? != expected {
        return Err(Unreadable::Invalid);
    }
    hasher.update(&[tag]);
    hasher.update(&header);
    hasher.update(string);
    batch.length += (1 + ITEM_HEADER_BYTES + expected) as u64;
    let (key, value) = string.split_at(key_length);
    if let Some(progress) = Progress::from_entry(key, value) {
        batch.group = Some(progress.group);
    }
    Ok(())
}

fn read_array<const LENGTH: usize>(reader: &mut impl Read) -> std::io::Result<[u8; LENGTH]> {
    let mut bytes = [0; LENGTH];
    reader.read_exact(&mut bytes)?;
    Ok(bytes)
}

/// Is everything from there on zero (or absent)? Journals are allocated ahead, so the rest is
/// mostly a hole, which needs no reading.
fn is_zero_from(mut file: File, offset: u64) -> std::io::Result<bool> {
    let start = match rustix::fs::seek(&file, rustix::fs::SeekFrom::Data(offset)) {
        Ok(start) => start,
        Err(rustix::io::Errno::NXIO) => return Ok(true),
        Err(_) => offset, // A file system that knows no holes.
    };
    file.seek(SeekFrom::Start(start))?;
    let mut buffer = vec![0; 1 << 16];
    loop {
        let read = file.read(&mut buffer)?;
        if read == 0 {
            return Ok(true);
        }
        if buffer[..read].iter().any(|byte| *byte != 0) {
            return Ok(false);
        }
    }
}

/// Does a whole batch begin anywhere after that offset?
fn has_batch_after(path: &Path, offset: u64) -> Result<bool, OpenError> {
    let mut rest = Vec::new();
    let read = File::open(path).and_then(|mut file| {
        file.seek(SeekFrom::Start(offset))?;
        file.read_to_end(&mut rest)
    });
    read.map_err(io(path))?;
    let starts = rest.iter().enumerate().skip(1);
    let mut starts = starts.filter(|(_, byte)| **byte == BATCH_START);
    // An empty batch is never written; its 26 bytes could be found by chance.
    Ok(starts.any(|(start, _)| {
        let mut bytes = &rest[start..];
        matches!(read_batch(&mut bytes), Ok(batch) if batch.group.is_some())
    }))
}

/// The journal files with their numbers, oldest first.
fn journal_files(data: &Path) -> Result<Vec<(u64, PathBuf)>, OpenError> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(data).map_err(io(data))? {
        let path = entry.map_err(io(data))?.path();
        if path.extension().is_some_and(|extension| extension == "jnl") {
            let name = path.file_stem().and_then(|name| name.to_str());
            let number = name.and_then(|name| name.parse().ok());
            let number = number.ok_or_else(|| OpenError::Corrupt {
                file: path.clone(),
                detail: "a journal's name is a number".to_owned(),
            })?;
            files.push((number, path));
        }
    }
    files.sort();
    Ok(files)
}

fn damaged(path: &Path, offset: u64) -> OpenError {
    OpenError::Corrupt {
        file: path.to_owned(),
        detail: format!("an acknowledged commit is damaged at byte {offset} of the journal"),
    }
}

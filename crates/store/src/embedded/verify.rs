//! Checks a whole database that nobody has open: every file against its checksum, every entry,
//! the log's positions. It repairs nothing but what any start would: a torn journal tail.

use std::path::Path;

use futures_util::FutureExt;
use serde::Serialize;
use types::ByteSize;

use super::directory::{Directory, Found};
use super::{EmbeddedEngine, EmbeddedOptions, EmbeddedSnapshot, files, journal};
use crate::{Direction, Engine, KeyRange, LogPosition, OpenError, ReadError, Snapshot, Space};

/// How many entries are read at once.
const PAGE_ENTRIES: usize = 256;

/// What a database was found to hold, all of it whole.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct VerifyReport {
    /// Files read and checked.
    pub files: u64,
    /// Their bytes.
    pub bytes: ByteSize,
    /// Was there a journal tail that a crash had torn, none of it acknowledged? (It is cut off.)
    pub torn_tail: bool,
    /// The newest position of the change log.
    pub log_head: LogPosition,
    /// What each keyspace holds.
    pub spaces: Vec<SpaceReport>,
}

/// What a keyspace holds.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct SpaceReport {
    /// Its name.
    pub name: &'static str,
    /// Its entries.
    pub entries: u64,
    /// The bytes of their keys and values.
    pub bytes: ByteSize,
}

/// Checks the database in a directory from end to end.
///
/// # Errors
/// As `EmbeddedEngine::open`; `Corrupt` names the first damaged file. A directory without a
/// database is `Io` (not found).
pub fn verify(path: &Path) -> Result<VerifyReport, OpenError> {
    if !path.join("FORMAT").exists() && !path.join("data").exists() {
        let cause = std::io::Error::from(std::io::ErrorKind::NotFound);
        let path = path.to_owned();
        return Err(OpenError::Io { path, cause });
    }
    let (mut files, mut bytes, mut torn_tail) = (0, 0, false);
    {
        let (directory, found) = Directory::open(path)?;
        if found != Found::Fresh {
            let checked = files::check(&directory.data(), ByteSize(u64::MAX))?;
            let journals = journal::inspect(&directory.data(), directory.synced_group()?)?;
            files = checked.files + journals.files;
            bytes = checked.bytes + journals.bytes;
            torn_tail = journals.torn.is_some();
        }
    }
    let engine = EmbeddedEngine::open(path, EmbeddedOptions::modest())?;
    let snapshot = engine.snapshot();
    let mut spaces = Vec::new();
    for space in Space::ALL {
        let report = read_space(&snapshot, space, engine.log_head());
        spaces.push(report.map_err(|cause| read_failed(path, cause))?);
    }
    Ok(VerifyReport {
        files,
        bytes: ByteSize(bytes),
        torn_tail,
        log_head: engine.log_head(),
        spaces,
    })
}

/// Reads every entry of a keyspace.
fn read_space(
    snapshot: &EmbeddedSnapshot,
    space: Space,
    head: LogPosition,
) -> Result<SpaceReport, ReadError> {
    let mut report = SpaceReport {
        name: space.name(),
        entries: 0,
        bytes: ByteSize(0),
    };
    let mut range = KeyRange::all();
    let mut last = None;
    loop {
        let page = snapshot
            .scan(space, range.clone(), Direction::Forward, PAGE_ENTRIES)
            .now_or_never()
            .expect("an embedded snapshot is always ready")?;
        for entry in &page.entries {
            report.entries += 1;
            report.bytes += ByteSize::from(entry.key.len() + entry.value.len());
            if space == Space::Log {
                last = Some(follow(last, &entry.key)?);
            }
        }
        match page.entries.last() {
            Some(entry) if page.more => {
                range.start = std::ops::Bound::Excluded(entry.key.clone());
            }
            _ => break,
        }
    }
    match last {
        Some(last) if last != head => Err(ReadError::Corrupt(format!(
            "the log ends at position {} instead of {}",
            last.0, head.0
        ))),
        _ => Ok(report),
    }
}

/// Positions are without gaps.
fn follow(last: Option<LogPosition>, key: &[u8]) -> Result<LogPosition, ReadError> {
    let position = LogPosition::from_key(key);
    let position = position
        .ok_or_else(|| ReadError::Corrupt(format!("a key of the log has {} bytes", key.len())))?;
    match last {
        Some(last) if last.0 + 1 != position.0 => Err(ReadError::Corrupt(format!(
            "position {} of the log follows {}",
            position.0, last.0
        ))),
        _ => Ok(position),
    }
}

fn read_failed(path: &Path, cause: ReadError) -> OpenError {
    let file = path.join("data");
    match cause {
        ReadError::Corrupt(detail) => OpenError::Corrupt { file, detail },
        ReadError::Io(detail) => OpenError::Io {
            path: file,
            cause: std::io::Error::other(detail),
        },
    }
}

//! Checks the engine's sorted files against the checksums that its manifests hold of them, before
//! fjall reads (and tidies) anything: fjall checks each block as it reads it, but neither a
//! manifest nor a whole file, and its errors don't say which file was meant.
//!
//! The layout (fjall 3.1, lsm-tree 3.1): `keyspaces/N/current` is version u64, XXH3-128 of the
//! file `vVERSION` beside it, 0; that file's section "tables" lists, per level and run, tables:
//! id u64, 0, XXH3-128 of the file `tables/ID`, a sequence number u64. Little-endian.

use std::fs::File;
use std::io::{ErrorKind, Read};
use std::path::{Path, PathBuf};

use types::ByteSize;
use xxhash_rust::xxh3::Xxh3;

use super::directory::io;
use crate::OpenError;

/// What was checked.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct Checked {
    /// How many files.
    pub(super) files: u64,
    /// Their bytes.
    pub(super) bytes: u64,
}

/// A sorted file and the checksum it must have.
struct Table {
    path: PathBuf,
    checksum: u128,
    length: u64,
}

/// Checks every manifest, that every sorted file is there, and the files' content, smallest
/// first, as long as no more than `limit` bytes are read.
///
/// # Errors
/// `Corrupt`, naming the file.
pub(super) fn check(data: &Path, limit: ByteSize) -> Result<Checked, OpenError> {
    let keyspaces = data.join("keyspaces");
    let mut tables = Vec::new();
    let mut checked = Checked::default();
    for entry in std::fs::read_dir(&keyspaces).map_err(io(&keyspaces))? {
        let keyspace = entry.map_err(io(&keyspaces))?.path();
        if keyspace.is_dir() {
            tables.extend(check_manifest(&keyspace)?);
            checked.files += 1;
        }
    }
    tables.sort_by_key(|table| table.length);
    for table in tables {
        if checked.bytes + table.length > limit.0 {
            break;
        }
        table.check()?;
        checked.files += 1;
        checked.bytes += table.length;
    }
    Ok(checked)
}

/// What a finished database has in any case. The engine would make some of it anew, empty, and
/// word the absence of the rest as the operating system does.
///
/// # Errors
/// `Corrupt`, naming what is missing.
pub(super) fn require(data: &Path) -> Result<(), OpenError> {
    for name in ["", "keyspaces", "lock"] {
        let file = match name {
            "" => data.to_owned(),
            name => data.join(name),
        };
        if !file.try_exists().map_err(io(&file))? {
            return Err(corrupt(&file, "it is missing"));
        }
    }
    Ok(())
}

impl Table {
    fn check(&self) -> Result<(), OpenError> {
        let hash = hash_file(&self.path)?;
        if hash != self.checksum {
            return Err(corrupt(&self.path, "it doesn't match its checksum"));
        }
        Ok(())
    }
}

/// Checks a keyspace's manifest, and returns the tables it lists.
fn check_manifest(keyspace: &Path) -> Result<Vec<Table>, OpenError> {
    let current_path = keyspace.join("current");
    let current = std::fs::read(&current_path).map_err(missing_or_io(&current_path))?;
    let mut fields = current.as_slice();
    let (Some(version), Some(checksum), [0]) = (
        take(&mut fields).map(u64::from_le_bytes),
        take(&mut fields).map(u128::from_le_bytes),
        fields,
    ) else {
        return Err(corrupt(&current_path, "it makes no sense"));
    };
    let manifest_path = keyspace.join(format!("v{version}"));
    let hash = hash_file(&manifest_path)?;
    if hash != checksum {
        return Err(corrupt(&manifest_path, "it doesn't match its checksum"));
    }
    let listed = read_manifest(&manifest_path)
        .ok_or_else(|| corrupt(&manifest_path, "it makes no sense"))?;
    let mut tables = Vec::with_capacity(listed.len());
    for (id, checksum) in listed {
        let path = keyspace.join("tables").join(id.to_string());
        let length = path.metadata().map_err(missing_or_io(&path))?.len();
        tables.push(Table {
            path,
            checksum,
            length,
        });
    }
    Ok(tables)
}

/// The tables that a manifest lists: id and checksum.
fn read_manifest(path: &Path) -> Option<Vec<(u64, u128)>> {
    let archive = sfa::Reader::new(path).ok()?;
    let mut section = archive.toc().section(b"tables")?.buf_reader(path).ok()?;
    let mut bytes = Vec::new();
    section.read_to_end(&mut bytes).ok()?;
    let mut fields = bytes.as_slice();
    let mut tables = Vec::new();
    let [levels] = take(&mut fields)?;
    for _ in 0..levels {
        let [runs] = take(&mut fields)?;
        for _ in 0..runs {
            let count = u32::from_le_bytes(take(&mut fields)?);
            for _ in 0..count {
                let id = u64::from_le_bytes(take(&mut fields)?);
                let [0] = take(&mut fields)? else {
                    return None;
                };
                let checksum = u128::from_le_bytes(take(&mut fields)?);
                let _sequence: [u8; 8] = take(&mut fields)?;
                tables.push((id, checksum));
            }
        }
    }
    Some(tables)
}

/// XXH3-128 of a file's content.
fn hash_file(path: &Path) -> Result<u128, OpenError> {
    let mut file = File::open(path).map_err(missing_or_io(path))?;
    let mut hasher = Xxh3::new();
    let mut buffer = vec![0; 1 << 16];
    loop {
        let read = file.read(&mut buffer).map_err(io(path))?;
        if read == 0 {
            return Ok(hasher.digest128());
        }
        hasher.update(&buffer[..read]);
    }
}

fn take<const LENGTH: usize>(from: &mut &[u8]) -> Option<[u8; LENGTH]> {
    let (first, rest) = from.split_first_chunk()?;
    *from = rest;
    Some(*first)
}

fn missing_or_io(path: &Path) -> impl Fn(std::io::Error) -> OpenError {
    let path = path.to_owned();
    move |cause| match cause.kind() {
        ErrorKind::NotFound => corrupt(&path, "it is missing"),
        _ => io(&path)(cause),
    }
}

fn corrupt(file: &Path, detail: &str) -> OpenError {
    OpenError::Corrupt {
        file: file.to_owned(),
        detail: detail.to_owned(),
    }
}

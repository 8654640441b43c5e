//! The directory of an embedded database: its lock, its format version, and how far it was
//! synced. It knows nothing of what is inside `data/`, and deletes nothing but a database whose
//! creation was cut short.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{ErrorKind, Read, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use crate::{OpenError, Space};

/// The version of the format written by this binary, and the greatest it reads. Version 1 had no
/// keyspaces for objects and their content.
pub(super) const FORMAT_VERSION: u32 = 2;

/// The first word of `FORMAT`.
const FORMAT_NAME: &str = "causeway-store";

/// Group number, and CRC-32C of it; little-endian.
const SYNCED_BYTES: usize = 12;

/// The directory, locked for as long as this lives.
#[derive(Debug)]
pub(super) struct Directory {
    path: PathBuf,
    synced: File,
    /// Held for its lock alone.
    _lock: File,
}

/// What a directory was found to be.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Found {
    /// New, or so unfinished that nobody was ever promised anything: `data/` is absent.
    Fresh,
    /// A database.
    Complete,
    /// A database of that older version; what it lacks is to be added (`Directory::complete`).
    Older(u32),
}

impl Found {
    /// Had a finished database of this age that keyspace?
    pub(super) fn has(self, space: Space) -> bool {
        match self {
            Found::Fresh => false,
            Found::Complete => true,
            Found::Older(version) => version >= first_version(space),
        }
    }
}

/// The format version that a keyspace came with.
fn first_version(space: Space) -> u32 {
    match space {
        Space::Objects | Space::Content => 2,
        Space::Items
        | Space::Indexes
        | Space::Log
        | Space::Meta
        | Space::Conflicts
        | Space::Council => 1,
    }
}

impl Directory {
    /// Locks the directory (making it if there is none) and reads its format.
    pub(super) fn open(path: &Path) -> Result<(Directory, Found), OpenError> {
        std::fs::create_dir_all(path).map_err(io(path))?;
        let lock = lock(path)?;
        let found = match read_format(path)? {
            Some(Found::Fresh) => {
                remove_unfinished(path)?;
                Found::Fresh
            }
            Some(found) => found,
            None if path.join("data").exists() => {
                return Err(OpenError::Corrupt {
                    file: path.join("FORMAT"),
                    detail: "it is missing beside a database".to_owned(),
                });
            }
            None => Found::Fresh,
        };
        if found == Found::Fresh {
            write_format(path, "creating")?;
            replace(&path.join("synced"), &encode_synced(0))?;
        }
        let synced_path = path.join("synced");
        let synced = OpenOptions::new().read(true).write(true).open(&synced_path);
        let synced = synced.map_err(|cause| match cause.kind() {
            ErrorKind::NotFound => OpenError::Corrupt {
                file: synced_path.clone(),
                detail: "it is missing".to_owned(),
            },
            _ => io(&synced_path)(cause),
        })?;
        let path = path.to_owned();
        let directory = Directory {
            path,
            synced,
            _lock: lock,
        };
        Ok((directory, found))
    }

    /// Records that the database inside is whole and may be relied on from now on.
    pub(super) fn complete(&self) -> Result<(), OpenError> {
        // fjall syncs each keyspace's directory, but not its name in the one above.
        sync_directory(&self.data().join("keyspaces"))?;
        sync_directory(&self.data())?;
        write_format(&self.path, "complete")?;
        let parent = self
            .path
            .parent()
            .filter(|path| !path.as_os_str().is_empty());
        parent.map_or(Ok(()), sync_directory)
    }

    /// Where the engine keeps its files.
    pub(super) fn data(&self) -> PathBuf {
        self.path.join("data")
    }

    /// The directory itself.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// The number of the newest group that is known to have been synced, 0 if none.
    pub(super) fn synced_group(&self) -> Result<u64, OpenError> {
        let file = self.path.join("synced");
        let mut bytes = [0; SYNCED_BYTES];
        match self.synced.read_exact_at(&mut bytes, 0) {
            Ok(()) => {}
            Err(cause) if cause.kind() == ErrorKind::UnexpectedEof => {
                return Err(OpenError::Corrupt {
                    file,
                    detail: "it is too short".to_owned(),
                });
            }
            Err(cause) => return Err(io(&file)(cause)),
        }
        let group = u64::from_le_bytes(*bytes.first_chunk().expect("8 of 12 bytes"));
        if bytes != encode_synced(group) {
            return Err(OpenError::Corrupt {
                file,
                detail: "it doesn't match its checksum".to_owned(),
            });
        }
        Ok(group)
    }

    /// Notes, after the sync, that a group is synced. The note itself isn't synced: it outlives
    /// the process, and after a power cut it may only be too old.
    pub(super) fn note_synced(&self, group: u64) -> std::io::Result<()> {
        self.synced.write_all_at(&encode_synced(group), 0)
    }

    /// Puts the note itself on disk.
    pub(super) fn sync_note(&self) -> std::io::Result<()> {
        self.synced.sync_data()
    }
}

fn encode_synced(group: u64) -> [u8; SYNCED_BYTES] {
    let mut bytes = [0; SYNCED_BYTES];
    bytes[..8].copy_from_slice(&group.to_le_bytes());
    let checksum = crc32c::crc32c(&bytes[..8]);
    bytes[8..].copy_from_slice(&checksum.to_le_bytes());
    bytes
}

fn lock(path: &Path) -> Result<File, OpenError> {
    let file = path.join("LOCK");
    let options = OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .open(&file);
    let lock = options.map_err(io(&file))?;
    match lock.try_lock() {
        Ok(()) => Ok(lock),
        Err(TryLockError::WouldBlock) => Err(OpenError::InUse(path.to_owned())),
        Err(TryLockError::Error(cause)) => Err(io(&file)(cause)),
    }
}

fn read_format(path: &Path) -> Result<Option<Found>, OpenError> {
    let file = path.join("FORMAT");
    let mut text = String::new();
    match File::open(&file).and_then(|mut format| format.read_to_string(&mut text)) {
        Ok(_) => {}
        Err(cause) if cause.kind() == ErrorKind::NotFound => return Ok(None),
        Err(cause) if cause.kind() == ErrorKind::InvalidData => {
            return Err(OpenError::Corrupt {
                file,
                detail: "it isn't text".to_owned(),
            });
        }
        Err(cause) => return Err(io(&file)(cause)),
    }
    let mut words = text.split_whitespace();
    let version = match (words.next(), words.next().map(str::parse::<u32>)) {
        (Some(FORMAT_NAME), Some(Ok(version @ 1..))) => version,
        _ => {
            return Err(OpenError::Corrupt {
                file,
                detail: format!("it doesn't begin with {FORMAT_NAME:?} and a version"),
            });
        }
    };
    if version > FORMAT_VERSION {
        return Err(OpenError::Newer {
            file,
            found: version,
            understood: FORMAT_VERSION,
        });
    }
    match words.next() {
        Some("complete") if version < FORMAT_VERSION => Ok(Some(Found::Older(version))),
        Some("complete") => Ok(Some(Found::Complete)),
        Some("creating") => Ok(Some(Found::Fresh)),
        _ => Err(OpenError::Corrupt {
            file,
            detail: "it says neither `complete` nor `creating`".to_owned(),
        }),
    }
}

fn write_format(path: &Path, state: &str) -> Result<(), OpenError> {
    let text = format!("{FORMAT_NAME} {FORMAT_VERSION} {state}\n");
    replace(&path.join("FORMAT"), text.as_bytes())
}

/// Removes what a creation left behind that never finished.
fn remove_unfinished(path: &Path) -> Result<(), OpenError> {
    let data = path.join("data");
    match std::fs::remove_dir_all(&data) {
        Err(cause) if cause.kind() != ErrorKind::NotFound => Err(io(&data)(cause)),
        _ => Ok(()),
    }
}

/// Replaces a file's content, atomically and synced.
fn replace(file: &Path, content: &[u8]) -> Result<(), OpenError> {
    let unfinished = file.with_extension("new");
    let written = File::create(&unfinished).and_then(|mut new| {
        new.write_all(content)?;
        new.sync_all()
    });
    written.map_err(io(&unfinished))?;
    std::fs::rename(&unfinished, file).map_err(io(file))?;
    file.parent().map_or(Ok(()), sync_directory)
}

fn sync_directory(path: &Path) -> Result<(), OpenError> {
    File::open(path)
        .and_then(|directory| directory.sync_all())
        .map_err(io(path))
}

/// An `OpenError::Io` of that path.
pub(super) fn io(path: &Path) -> impl Fn(std::io::Error) -> OpenError + use<> {
    let path = path.to_owned();
    move |cause| OpenError::Io {
        path: path.clone(),
        cause,
    }
}

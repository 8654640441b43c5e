//! What is known of a kept tail, in a file beside its log: it is written last, and says that all
//! the rest is there.

use std::io;
use std::path::Path;

use serde::{Deserialize, Serialize};
use types::{ByteSize, Timestamp};

use super::list;
use crate::postgres::error::PostgresError;
use crate::postgres::files;
use crate::postgres::model::{Lsn, Tail, Unlisted};

/// The file.
pub(super) const NAME: &str = "tail.json";

/// The file of rows.
pub(super) const ROWS: &str = "lost.sql";

/// The one format there is. In format 1 the transactions stood in this file.
const FORMAT: u32 = 2;

/// As it is in the file.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Stored {
    format: u32,
    timeline: u32,
    begin: String,
    end: String,
    listed: u64,
    list_bytes: u64,
    unlisted: Option<StoredUnlisted>,
    bytes: u64,
    rows: bool,
    unexported: Option<String>,
    short: bool,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct StoredUnlisted {
    count: u64,
    first_lsn: String,
    first_milliseconds: u64,
    last_lsn: String,
    last_milliseconds: u64,
}

impl Tail {
    /// What is kept in that directory; `None`: nothing, or what was cut off.
    ///
    /// # Errors
    /// What is there can't be read, or was written by a newer Causeway.
    pub fn read(directory: &Path) -> Result<Option<Tail>, PostgresError> {
        let path = directory.join(NAME);
        let bytes = match std::fs::read(&path) {
            Ok(bytes) => bytes,
            Err(cause) if cause.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(cause) => {
                return Err(PostgresError::io(format!("can't read {}", path.display()))(
                    cause,
                ));
            }
        };
        let stored: Option<Stored> = serde_json::from_slice(&bytes).ok();
        let tail = stored.and_then(|stored| tail_of(stored, directory));
        let damaged = || PostgresError::Damaged {
            path,
            why: "it is of a newer Causeway, or of none",
        };
        tail.map(Some).ok_or_else(damaged)
    }

    /// Writes it; everything else in the directory is on the disk by then.
    pub(super) fn write(&self, directory: &Path) -> io::Result<()> {
        let unlisted = |unlisted: Unlisted| StoredUnlisted {
            count: unlisted.count,
            first_lsn: unlisted.first.0.to_string(),
            first_milliseconds: unlisted.first.1.0,
            last_lsn: unlisted.last.0.to_string(),
            last_milliseconds: unlisted.last.1.0,
        };
        let stored = Stored {
            format: FORMAT,
            timeline: self.timeline,
            begin: self.begin.to_string(),
            end: self.end.to_string(),
            listed: self.listed,
            list_bytes: self.list_bytes.0,
            unlisted: self.unlisted.map(unlisted),
            bytes: self.bytes.0,
            rows: self.sql_file.is_some(),
            unexported: self.unexported.clone(),
            short: self.is_short,
        };
        let bytes = serde_json::to_vec(&stored).map_err(io::Error::other)?;
        files::replace(&directory.join(NAME), &bytes, 0o600, None)
    }
}

fn tail_of(stored: Stored, directory: &Path) -> Option<Tail> {
    if stored.format != FORMAT {
        return None;
    }
    let place = |lsn: &str, at: u64| Some((lsn.parse::<Lsn>().ok()?, Timestamp(at)));
    let unlisted = stored.unlisted.map(|unlisted| {
        Some(Unlisted {
            count: unlisted.count,
            first: place(&unlisted.first_lsn, unlisted.first_milliseconds)?,
            last: place(&unlisted.last_lsn, unlisted.last_milliseconds)?,
        })
    });
    Some(Tail {
        timeline: stored.timeline,
        begin: stored.begin.parse().ok()?,
        end: stored.end.parse().ok()?,
        listed: stored.listed,
        list_file: directory.join(list::NAME),
        list_bytes: ByteSize(stored.list_bytes),
        unlisted: match unlisted {
            Some(unlisted) => Some(unlisted?),
            None => None,
        },
        bytes: ByteSize(stored.bytes),
        sql_file: stored.rows.then(|| directory.join(ROWS)),
        unexported: stored.unexported,
        is_short: stored.short,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOLDEN: &str = include_str!("golden.json");

    #[test]
    fn the_format_is_what_it_was_and_no_other_is_taken() {
        let directory = tempfile::tempdir().unwrap();
        assert_eq!(Tail::read(directory.path()).unwrap(), None);
        let path = directory.path().join(NAME);
        std::fs::write(&path, GOLDEN).unwrap();
        let tail = Tail::read(directory.path()).unwrap().unwrap();
        assert_eq!(tail.unlisted.unwrap().last, (Lsn(0x300_01F0), Timestamp(9)));
        assert!(tail.is_short && tail.listed == 7);
        assert_eq!(tail.sql_file, Some(directory.path().join(ROWS)));
        tail.write(directory.path()).unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), GOLDEN);
        let newer = GOLDEN.replace("\"format\":2", "\"format\":3");
        for text in [&newer, "{}", "", &GOLDEN[..40]] {
            std::fs::write(&path, text).unwrap();
            let read = Tail::read(directory.path());
            assert!(matches!(read, Err(PostgresError::Damaged { .. })), "{text}");
        }
    }
}

//! Where snapshots are on this Region's disk: a folder each, under its id. One that is being taken
//! has another name until it is whole, with its size and time beside its data.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io;
use std::path::PathBuf;

use databases::model::SnapshotId;
use databases::plan::SnapshotSeen;
use runtime::postgres::Postgres;
use serde::{Deserialize, Serialize};
use types::Timestamp;

use crate::files::{self, Readers};

/// The file with a snapshot's facts, beside its data.
const FACTS: &str = "facts.json";

/// The folder of all of them.
pub(super) struct Snapshots(PathBuf);

/// What is known of a whole one.
#[derive(Serialize, Deserialize)]
struct Facts {
    format: u32,
    bytes: u64,
    taken: Timestamp,
}

/// The one format of facts.
const FORMAT: u32 = 1;

impl Snapshots {
    /// In that folder.
    pub(super) fn new(folder: PathBuf) -> Snapshots {
        Snapshots(folder)
    }

    /// The folder of a whole one.
    pub(super) fn whole(&self, id: &SnapshotId) -> PathBuf {
        self.0.join(&id.0)
    }

    /// The folder of one that is being taken.
    pub(super) fn unfinished(&self, id: &SnapshotId) -> PathBuf {
        self.0.join(format!("{id}.part"))
    }

    /// Those of which something is there.
    pub(super) fn seen<'a>(
        &self,
        ids: impl Iterator<Item = &'a SnapshotId>,
    ) -> BTreeMap<SnapshotId, SnapshotSeen> {
        let seen = ids.filter_map(|id| Some((id.clone(), self.look(id)?)));
        seen.collect()
    }

    fn look(&self, id: &SnapshotId) -> Option<SnapshotSeen> {
        let is_there = |path: &PathBuf| fs::symlink_metadata(path).is_ok();
        if is_there(&self.whole(id)) {
            let facts = fs::read(self.whole(id).join(FACTS)).ok();
            let facts = facts.and_then(|text| serde_json::from_slice::<Facts>(&text).ok());
            return Some(match facts {
                Some(Facts {
                    format,
                    bytes,
                    taken,
                }) if format == FORMAT => SnapshotSeen::Whole { bytes, taken },
                _ => SnapshotSeen::Unfinished,
            });
        }
        is_there(&self.unfinished(id)).then_some(SnapshotSeen::Unfinished)
    }

    /// Makes the folder that all are in.
    ///
    /// # Errors
    /// The disk refuses.
    pub(super) fn prepare(&self, postgres: &Postgres) -> io::Result<()> {
        super::passable(postgres, &self.0)
    }

    /// The one that was taken is whole from when this returns.
    ///
    /// # Errors
    /// The disk refuses.
    pub(super) fn finish(&self, id: &SnapshotId, bytes: u64, taken: Timestamp) -> io::Result<()> {
        let facts = Facts {
            format: FORMAT,
            bytes,
            taken,
        };
        let text = serde_json::to_string(&facts).map_err(io::Error::other)?;
        let unfinished = self.unfinished(id);
        let file = unfinished.join(FACTS);
        files::write(&file, &text, Readers::Owner).map_err(io::Error::other)?;
        fs::rename(&unfinished, self.whole(id))?;
        File::open(&self.0)?.sync_all()
    }

    /// Removes what is there of one.
    ///
    /// # Errors
    /// The disk refuses.
    pub(super) fn remove(&self, id: &SnapshotId) -> io::Result<()> {
        // First its name: what is cut off is unfinished then.
        let (whole, unfinished) = (self.whole(id), self.unfinished(id));
        for path in [&unfinished, &whole] {
            if path == &whole && fs::symlink_metadata(path).is_ok() {
                fs::rename(path, &unfinished)?;
                File::open(&self.0)?.sync_all()?;
            }
            match fs::remove_dir_all(&unfinished) {
                Err(cause) if cause.kind() != io::ErrorKind::NotFound => return Err(cause),
                _ => {}
            }
        }
        match File::open(&self.0) {
            Err(cause) if cause.kind() == io::ErrorKind::NotFound => Ok(()),
            folder => folder?.sync_all(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_snapshot_is_whole_once_it_was_finished_and_gone_once_it_was_removed() {
        let directory = tempfile::tempdir().unwrap();
        let snapshots = Snapshots::new(directory.path().join("snapshots"));
        let id = SnapshotId("snapshot-1".to_owned());
        let look = || snapshots.seen([&id].into_iter()).remove(&id);
        snapshots.remove(&id).unwrap();
        fs::create_dir(&snapshots.0).unwrap();
        assert_eq!(look(), None);
        fs::create_dir(snapshots.unfinished(&id)).unwrap();
        assert_eq!(look(), Some(SnapshotSeen::Unfinished));
        snapshots.finish(&id, 7, Timestamp(9)).unwrap();
        let whole = SnapshotSeen::Whole {
            bytes: 7,
            taken: Timestamp(9),
        };
        assert_eq!(look(), Some(whole));
        fs::write(snapshots.whole(&id).join(FACTS), "{\"format\":2}").unwrap();
        assert_eq!(look(), Some(SnapshotSeen::Unfinished));
        snapshots.remove(&id).unwrap();
        assert_eq!(look(), None);
    }
}

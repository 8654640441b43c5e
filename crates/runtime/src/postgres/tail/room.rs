//! How much a tail may take of the disk: what it was given, and no more than leaves others what
//! they need.

use std::future::Future;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use types::ByteSize;

use crate::postgres::error::PostgresError;
use crate::postgres::home::blocking;

/// What is left free on the disk: servers count one as full that has less than 16 MiB.
const SPARE: ByteSize = ByteSize::mib(128);

/// After so many bytes the disk is looked at again.
const LOOK: u64 = 4 * 1024 * 1024;

/// How often it is looked at while a server writes.
const WATCH: Duration = Duration::from_millis(200);

/// What is left of the room.
#[derive(Clone)]
pub(super) struct Room {
    place: PathBuf,
    left: u64,
    /// How many bytes may be taken before the disk is looked at.
    unseen: u64,
}

impl Room {
    /// That much, on the disk of that directory.
    pub(super) fn new(place: &Path, limit: ByteSize) -> Room {
        Room {
            place: place.to_owned(),
            left: limit.0,
            unseen: 0,
        }
    }

    /// Takes so many bytes, if they are there.
    ///
    /// # Errors
    /// Nobody can tell how much the disk has.
    pub(super) fn take(&mut self, bytes: u64) -> io::Result<bool> {
        let Some(left) = self.left.checked_sub(bytes) else {
            return Ok(false);
        };
        if self.unseen < bytes {
            if free(&self.place)? < SPARE.0.saturating_add(bytes) {
                return Ok(false);
            }
            self.unseen = LOOK.max(bytes);
        }
        self.unseen -= bytes;
        self.left = left;
        Ok(true)
    }

    /// What writes on from it, and takes the room for what it writes: without any it fails as a
    /// full disk does.
    pub(super) fn metered<'a, W: Write>(&'a mut self, to: &'a mut W) -> Metered<'a, W> {
        Metered { room: self, to }
    }

    /// Has a server write files into that directory, which is empty before. `None`: there was no
    /// room, and it was ended amid it.
    pub(super) async fn watch<T>(
        &self,
        directory: &Path,
        work: impl Future<Output = Result<T, PostgresError>>,
    ) -> Result<Option<T>, PostgresError> {
        tokio::select! {
            done = work => done.map(Some),
            full = self.used_up(directory) => full.map(|()| None),
        }
    }

    /// Returns once there is no room any more.
    async fn used_up(&self, directory: &Path) -> Result<(), PostgresError> {
        loop {
            tokio::time::sleep(WATCH).await;
            let (of, place) = (directory.to_owned(), self.place.clone());
            let look = blocking("can't look at a disk", move || {
                Ok((size(&of)?, free(&place)?))
            });
            let (written, free) = look.await?;
            if written > self.left || free < SPARE.0 {
                return Ok(());
            }
        }
    }
}

/// Writes as far as there is room.
pub(super) struct Metered<'a, W> {
    room: &'a mut Room,
    to: &'a mut W,
}

impl<W: Write> Write for Metered<'_, W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self.room.take(bytes.len() as u64)? {
            true => self.to.write_all(bytes).map(|()| bytes.len()),
            false => Err(io::ErrorKind::StorageFull.into()),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}

fn free(place: &Path) -> io::Result<u64> {
    let seen = rustix::fs::statvfs(place)?;
    Ok(seen.f_bavail.saturating_mul(seen.f_frsize))
}

/// Bytes of the files of a directory.
fn size(directory: &Path) -> io::Result<u64> {
    let mut bytes = 0;
    for entry in std::fs::read_dir(directory)? {
        match entry?.metadata() {
            Ok(found) => bytes += found.len(),
            Err(cause) if cause.kind() == io::ErrorKind::NotFound => {}
            Err(cause) => return Err(cause),
        }
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_gets_more_than_there_is() {
        let directory = tempfile::tempdir().unwrap();
        let mut room = Room::new(directory.path(), ByteSize(100));
        assert!(room.take(60).unwrap() && !room.take(41).unwrap());
        assert!(room.take(40).unwrap() && !room.take(1).unwrap());
        let mut vast = Room::new(directory.path(), ByteSize(u64::MAX));
        assert!(!vast.take(u64::MAX / 2).unwrap(), "no disk has that");
    }
}

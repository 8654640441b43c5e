//! What a scan met, on disk until its names are known: whatever the number of transactions, memory
//! holds a bit of each and the tables that they changed. Each takes less here than in the log that
//! it was read from. Read by the process that wrote it, and removed.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{self, BufReader, BufWriter, Read, Seek, Write};
use std::path::Path;

use types::Timestamp;

use super::numbers::Numbers;
use super::room::Room;
use super::scan::{Committed, Counts, MAX_TRACKED, Relation};
use crate::postgres::model::{Lsn, Unlisted};

/// The file.
pub(super) const NAME: &str = "spool";

/// What is known of all that was committed.
pub(super) struct Spool {
    writer: BufWriter<File>,
    /// How many are in it.
    pub(super) count: u64,
    /// What there was no room for, our own among it.
    pub(super) beyond: Option<Unlisted>,
    /// Every number that a row may name.
    pub(super) numbers: Numbers,
    /// The tables that were changed.
    pub(super) relations: BTreeSet<Relation>,
    /// Others were changed beyond those, of which no names are asked.
    pub(super) are_more: bool,
    room: Room,
}

/// As it is read.
pub(super) struct Spooled {
    pub(super) xid: u32,
    pub(super) at: Timestamp,
    pub(super) lsn: Lsn,
    pub(super) changes: BTreeMap<Relation, Counts>,
    pub(super) is_partial: bool,
}

impl Spool {
    /// An empty one in that directory, which has none.
    ///
    /// # Errors
    /// It can't be made.
    pub(super) fn new(directory: &Path, room: Room) -> io::Result<Spool> {
        use std::os::unix::fs::OpenOptionsExt;
        let mut options = std::fs::OpenOptions::new();
        options.read(true).write(true).create_new(true).mode(0o600);
        Ok(Spool {
            writer: BufWriter::new(options.open(directory.join(NAME))?),
            count: 0,
            beyond: None,
            numbers: Numbers::default(),
            relations: BTreeSet::new(),
            are_more: false,
            room,
        })
    }

    /// Puts a transaction in.
    ///
    /// # Errors
    /// The disk refuses.
    pub(super) fn take(&mut self, committed: &Committed) -> io::Result<()> {
        let bytes = 29 + 32 * committed.changes.len() as u64;
        if self.beyond.is_some() || !self.room.take(bytes)? {
            Unlisted::add(&mut self.beyond, committed.lsn, committed.at);
            return Ok(());
        }
        let numbers = committed.parts.iter().copied().chain([committed.xid]);
        numbers.for_each(|number| self.numbers.insert(number));
        let to = &mut self.writer;
        to.write_all(&committed.xid.to_le_bytes())?;
        to.write_all(&[u8::from(committed.is_partial)])?;
        for number in [
            committed.at.0,
            committed.lsn.0,
            committed.changes.len() as u64,
        ] {
            to.write_all(&number.to_le_bytes())?;
        }
        for (relation, counts) in &committed.changes {
            to.write_all(&relation.database.to_le_bytes())?;
            to.write_all(&relation.file.to_le_bytes())?;
            for number in [counts.inserted, counts.updated, counts.deleted] {
                to.write_all(&number.to_le_bytes())?;
            }
            match self.relations.len() < MAX_TRACKED {
                true => self.relations.insert(*relation),
                false => {
                    self.are_more |= !self.relations.contains(relation);
                    false
                }
            };
        }
        self.count += 1;
        Ok(())
    }

    /// Gives each that is in it, in order.
    ///
    /// # Errors
    /// It can't be read, or what is given it fails.
    pub(super) fn read(
        &mut self,
        mut give: impl FnMut(Spooled) -> io::Result<()>,
    ) -> io::Result<()> {
        self.writer.flush()?;
        let file = self.writer.get_mut();
        file.rewind()?;
        let mut from = BufReader::new(&*file);
        for _ in 0..self.count {
            give(spooled(&mut from)?)?;
        }
        Ok(())
    }
}

fn spooled(from: &mut impl Read) -> io::Result<Spooled> {
    let xid = u32_of(from)?;
    let mut partial = [0];
    from.read_exact(&mut partial)?;
    let (at, lsn, count) = (u64_of(from)?, u64_of(from)?, u64_of(from)?);
    let mut changes = BTreeMap::new();
    for _ in 0..count {
        let relation = Relation {
            database: u32_of(from)?,
            file: u32_of(from)?,
        };
        let counts = Counts {
            inserted: u64_of(from)?,
            updated: u64_of(from)?,
            deleted: u64_of(from)?,
        };
        changes.insert(relation, counts);
    }
    Ok(Spooled {
        xid,
        at: Timestamp(at),
        lsn: Lsn(lsn),
        changes,
        is_partial: partial != [0],
    })
}

fn u32_of(from: &mut impl Read) -> io::Result<u32> {
    let mut bytes = [0; 4];
    from.read_exact(&mut bytes)?;
    Ok(u32::from_le_bytes(bytes))
}

fn u64_of(from: &mut impl Read) -> io::Result<u64> {
    let mut bytes = [0; 8];
    from.read_exact(&mut bytes)?;
    Ok(u64::from_le_bytes(bytes))
}

#[cfg(test)]
mod tests {
    use types::ByteSize;

    use super::*;

    fn committed(xid: u32) -> Committed {
        let relation = Relation {
            database: 5,
            file: 16384 + xid % 7,
        };
        let counts = Counts {
            inserted: u64::from(xid),
            ..Counts::default()
        };
        Committed {
            xid,
            parts: vec![xid + 1],
            at: Timestamp(u64::from(xid)),
            lsn: Lsn(u64::from(xid) * 100),
            changes: BTreeMap::from([(relation, counts)]),
            is_partial: xid.is_multiple_of(2),
        }
    }

    #[test]
    fn what_goes_in_comes_out_in_order_and_what_has_no_room_is_counted() {
        let directory = tempfile::tempdir().unwrap();
        let room = Room::new(directory.path(), ByteSize(61 * 1000 + 60));
        let mut spool = Spool::new(directory.path(), room).unwrap();
        for xid in 1..=1003 {
            spool.take(&committed(xid)).unwrap();
        }
        let mut next = 1;
        spool
            .read(|it| {
                let expected = committed(next);
                assert_eq!((it.xid, it.at, it.lsn), (next, expected.at, expected.lsn));
                assert_eq!(it.changes, expected.changes);
                assert_eq!(it.is_partial, expected.is_partial);
                next += 1;
                Ok(())
            })
            .unwrap();
        assert_eq!((next, spool.relations.len()), (1001, 7));
        let beyond = spool.beyond.unwrap();
        assert_eq!(
            (beyond.count, beyond.first, beyond.last),
            (
                3,
                (Lsn(100_100), Timestamp(1001)),
                (Lsn(100_300), Timestamp(1003)),
            )
        );
    }
}

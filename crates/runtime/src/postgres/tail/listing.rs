//! What was lost, by name: what was spooled is read again once names are known, and what is our own
//! is left out. A page in memory at a time.

use std::io;

use types::ByteSize;

use super::list::ListWriter;
use super::names::Names;
use super::room::Room;
use super::scan::Scan;
use super::spool::{Spool, Spooled};
use crate::postgres::model::{LostTransaction, Unlisted};

/// How many transactions are named one by one where something is said of several.
const NAMED: usize = 10;

/// What came of it.
#[derive(Default)]
pub(super) struct Listed {
    /// How many are listed.
    pub(super) count: u64,
    /// How long the list is.
    pub(super) bytes: ByteSize,
    /// Those for which there was no room.
    pub(super) beyond: Option<Unlisted>,
    /// The first of those of which not all is known, and how many there are.
    partial: (Vec<String>, u64),
    /// How many put something into large objects.
    large: u64,
}

impl Listed {
    /// Lists what is in the spool.
    ///
    /// # Errors
    /// The disk refuses.
    pub(super) fn of(
        spool: &mut Spool,
        names: &Names,
        room: &mut Room,
        mut writer: ListWriter,
    ) -> io::Result<Listed> {
        let mut listed = Listed::default();
        spool.read(|it| {
            let Some(lost) = names.transaction(&it) else {
                return Ok(());
            };
            if it.is_partial {
                listed.add_partial(&it);
            }
            listed.large += u64::from(names.fills_large(&it));
            listed.put(&lost, &mut writer, room)
        })?;
        if let Some(beyond) = spool.beyond {
            match &mut listed.beyond {
                Some(before) => {
                    before.count += beyond.count;
                    before.last = beyond.last;
                }
                none => *none = Some(beyond),
            }
        }
        (listed.count, listed.bytes) = writer.finish()?;
        Ok(listed)
    }

    fn put(
        &mut self,
        lost: &LostTransaction,
        writer: &mut ListWriter,
        room: &mut Room,
    ) -> io::Result<()> {
        // Those that are listed are the first: nobody is to look for gaps.
        let is_full = self.beyond.is_some();
        if is_full || !writer.push(lost, |bytes| room.take(bytes))? {
            Unlisted::add(&mut self.beyond, lost.lsn, lost.committed);
        }
        Ok(())
    }

    fn add_partial(&mut self, it: &Spooled) {
        let (named, count) = &mut self.partial;
        if named.len() < NAMED {
            named.push(it.xid.to_string());
        }
        *count += 1;
    }

    /// That large objects aren't in the file of rows, if any were written.
    pub(super) fn large(&self) -> Option<String> {
        let count = self.large;
        let told = || format!("large objects aren't exported: {count} transactions wrote to some");
        (count > 0).then(told)
    }

    /// Which transactions may have changed more than is known, if any.
    pub(super) fn partial(&self) -> Option<String> {
        let (named, count) = &self.partial;
        (*count > 0).then(|| {
            let numbers = numbers(named, *count);
            format!(
                "the transactions {numbers} may have changed more than is known: they may \
                 have begun before the log that is there, or are too large"
            )
        })
    }
}

/// Which transactions were prepared and are undecided, if any: they aren't listed.
pub(super) fn undecided(scan: &Scan) -> Option<String> {
    let named = scan.prepared.keys().take(NAMED).map(u32::to_string);
    let named: Vec<String> = named.collect();
    (!named.is_empty()).then(|| {
        let numbers = numbers(&named, scan.prepared.len() as u64);
        format!(
            "the transactions {numbers} were prepared and neither committed nor rolled back: what \
             they changed isn't listed"
        )
    })
}

/// `731, 732 and 3 more`
fn numbers(named: &[String], count: u64) -> String {
    let more = match count - named.len() as u64 {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    format!("{}{more}", named.join(", "))
}

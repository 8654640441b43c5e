//! The list of a tail's transactions, as a file that is written and read a page at a time. Each
//! page says how long it is and has a checksum; how long the whole file is stands elsewhere
//! ([`Tail`]), so nothing can be missing at its end unseen. It refuses pages that are longer than
//! any it writes.
//!
//! [`Tail`]: crate::postgres::Tail

use std::fs::File;
use std::io::{self, BufReader, BufWriter, Read, Write};
use std::path::{Path, PathBuf};

use types::{ByteSize, Timestamp};

use crate::postgres::error::PostgresError;
use crate::postgres::model::{LostTransaction, TableChanges};

/// The file, beside the tail's log.
pub(super) const NAME: &str = "transactions";

/// What the file begins with.
const HEAD: &[u8; 16] = b"causeway tail 1\n";

/// What precedes a page: its length, and the checksum of that and of the page.
const PAGE_HEAD: usize = 8;

/// A page ends with the transaction by which it has so many bytes.
const PAGE: usize = 256 * 1024;

/// The longest transaction that is written, in bytes: one that changed about 100,000 tables.
const LONGEST: usize = 16 * 1024 * 1024;

/// As a transaction stands in a page, a line each: `[731,5,"0/30001D8",false,[["shop","public",
/// "orders",1,2,3]]]`.
type Line = (u32, u64, String, bool, Vec<TableLine>);
type TableLine = (String, String, String, u64, u64, u64);

/// Writes a list.
pub(super) struct ListWriter {
    to: BufWriter<File>,
    page: Vec<u8>,
    /// How many are in it.
    pub(super) count: u64,
    /// How long the file is, without the page that isn't whole.
    pub(super) bytes: u64,
}

impl ListWriter {
    /// An empty one in that directory, which has none.
    ///
    /// # Errors
    /// It can't be made.
    pub(super) fn new(directory: &Path) -> io::Result<ListWriter> {
        use std::os::unix::fs::OpenOptionsExt;
        let mut options = std::fs::OpenOptions::new();
        options.write(true).create_new(true).mode(0o600);
        let mut to = BufWriter::new(options.open(directory.join(NAME))?);
        to.write_all(HEAD)?;
        Ok(ListWriter {
            to,
            page: Vec::new(),
            count: 0,
            bytes: HEAD.len() as u64,
        })
    }

    /// Appends a transaction, if there is room for so many bytes; else gives `false`.
    ///
    /// # Errors
    /// The disk refuses.
    pub(super) fn push(
        &mut self,
        transaction: &LostTransaction,
        has_room: impl FnOnce(u64) -> io::Result<bool>,
    ) -> io::Result<bool> {
        let mut line = serde_json::to_vec(&line_of(transaction)).map_err(io::Error::other)?;
        line.push(b'\n');
        if line.len() > LONGEST || !has_room(line.len() as u64)? {
            return Ok(false);
        }
        self.page.extend_from_slice(&line);
        self.count += 1;
        if self.page.len() >= PAGE {
            self.end_page()?;
        }
        Ok(true)
    }

    fn end_page(&mut self) -> io::Result<()> {
        let length = (self.page.len() as u32).to_le_bytes();
        self.to.write_all(&length)?;
        self.to
            .write_all(&checksum(length, &self.page).to_le_bytes())?;
        self.to.write_all(&self.page)?;
        self.bytes += (PAGE_HEAD + self.page.len()) as u64;
        self.page.clear();
        Ok(())
    }

    /// Ends the list; gives how many transactions there are, and how long the file is.
    ///
    /// # Errors
    /// The disk refuses.
    pub(super) fn finish(mut self) -> io::Result<(u64, ByteSize)> {
        if !self.page.is_empty() {
            self.end_page()?;
        }
        self.to.flush()?;
        self.to.get_ref().sync_all()?;
        Ok((self.count, ByteSize(self.bytes)))
    }
}

fn checksum(length: [u8; 4], page: &[u8]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(&length), page)
}

fn line_of(transaction: &LostTransaction) -> Line {
    let table = |table: &TableChanges| {
        (
            table.database.clone(),
            table.schema.clone(),
            table.table.clone(),
            table.inserted,
            table.updated,
            table.deleted,
        )
    };
    (
        transaction.xid,
        transaction.committed.0,
        transaction.lsn.to_string(),
        transaction.changed_schema,
        transaction.tables.iter().map(table).collect(),
    )
}

fn transaction_of((xid, committed, lsn, changed_schema, tables): Line) -> Option<LostTransaction> {
    let table = |(database, schema, table, inserted, updated, deleted): TableLine| TableChanges {
        database,
        schema,
        table,
        inserted,
        updated,
        deleted,
    };
    Some(LostTransaction {
        xid,
        committed: Timestamp(committed),
        lsn: lsn.parse().ok()?,
        changed_schema,
        tables: tables.into_iter().map(table).collect(),
    })
}

/// A list that is read from its beginning, a page at a time: of at most 16 MiB and a page.
pub struct LostList {
    from: BufReader<File>,
    path: PathBuf,
    /// What isn't read yet.
    left: u64,
}

impl LostList {
    /// Opens the list in the file that [`Tail::list_file`](crate::postgres::Tail::list_file) names,
    /// of so many bytes as [`Tail::list_bytes`](crate::postgres::Tail::list_bytes) says.
    ///
    /// # Errors
    /// It can't be read, is shorter or longer, or was written by a newer Causeway.
    pub fn open(path: &Path, bytes: ByteSize) -> Result<LostList, PostgresError> {
        let failed = || PostgresError::io(format!("can't read {}", path.display()));
        let file = File::open(path).map_err(failed())?;
        let length = file.metadata().map_err(failed())?.len();
        let mut list = LostList {
            from: BufReader::new(file),
            path: path.to_owned(),
            left: length,
        };
        if length != bytes.0 {
            return Err(list.damaged("it isn't as long as it was"));
        }
        let mut head = [0; HEAD.len()];
        list.fill(&mut head)?;
        match &head == HEAD {
            true => Ok(list),
            false => Err(list.damaged("it is of a newer Causeway, or of none")),
        }
    }

    /// The next transactions, in the order of their commits; none: that was all.
    ///
    /// # Errors
    /// The file can't be read, or isn't as it was written.
    pub fn page(&mut self) -> Result<Vec<LostTransaction>, PostgresError> {
        if self.left == 0 {
            return Ok(Vec::new());
        }
        let (mut length, mut sum) = ([0; 4], [0; 4]);
        self.fill(&mut length)?;
        self.fill(&mut sum)?;
        let said = u32::from_le_bytes(length) as usize;
        if said > LONGEST + PAGE || said as u64 > self.left {
            return Err(self.damaged("a page is longer than any can be"));
        }
        let mut page = vec![0; said];
        self.fill(&mut page)?;
        if checksum(length, &page) != u32::from_le_bytes(sum) {
            return Err(self.damaged("a page isn't as it was written"));
        }
        let lines = page.split_inclusive(|byte| *byte == b'\n');
        let each = lines.map(|line| {
            let line: Option<Line> = serde_json::from_slice(line).ok();
            line.and_then(transaction_of)
        });
        let transactions: Option<Vec<LostTransaction>> = each.collect();
        let transactions = transactions.filter(|it| !it.is_empty());
        transactions.ok_or_else(|| self.damaged("a page holds no transactions"))
    }

    fn fill(&mut self, bytes: &mut [u8]) -> Result<(), PostgresError> {
        let Some(left) = self.left.checked_sub(bytes.len() as u64) else {
            return Err(self.damaged("it is cut off"));
        };
        let failed = PostgresError::io(format!("can't read {}", self.path.display()));
        self.from.read_exact(bytes).map_err(failed)?;
        self.left = left;
        Ok(())
    }

    fn damaged(&self, why: &'static str) -> PostgresError {
        PostgresError::Damaged {
            path: self.path.clone(),
            why,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::postgres::model::Lsn;

    fn lost(xid: u32) -> LostTransaction {
        let table = TableChanges {
            database: "shop".to_owned(),
            schema: "public".to_owned(),
            table: "orders \"\n".to_owned(),
            inserted: 1,
            updated: 2,
            deleted: u64::from(xid),
        };
        LostTransaction {
            xid,
            committed: Timestamp(5),
            lsn: Lsn(0x0300_01D8),
            changed_schema: xid.is_multiple_of(2),
            tables: vec![table; xid as usize % 3],
        }
    }

    fn written(directory: &Path, count: u32) -> ByteSize {
        let mut writer = ListWriter::new(directory).unwrap();
        for xid in 0..count {
            assert!(writer.push(&lost(xid), |_| Ok(true)).unwrap());
        }
        let (listed, bytes) = writer.finish().unwrap();
        assert_eq!(listed, u64::from(count));
        bytes
    }

    fn read(path: &Path, bytes: ByteSize) -> Result<Vec<Vec<LostTransaction>>, PostgresError> {
        let mut list = LostList::open(path, bytes)?;
        let mut pages = Vec::new();
        loop {
            match list.page()? {
                page if page.is_empty() => return Ok(pages),
                page => pages.push(page),
            }
        }
    }

    #[test]
    fn a_list_longer_than_any_page_is_read_as_it_was_written() {
        let directory = tempfile::tempdir().unwrap();
        let bytes = written(directory.path(), 150_000);
        let pages = read(&directory.path().join(NAME), bytes).unwrap();
        assert!(pages.len() > 20, "{}", pages.len());
        // What a commit takes, for docs/databases.md.
        assert!(bytes.0 / 150_000 < 100, "{bytes:?}");
        let all = pages.iter().flatten();
        assert!(all.zip(0..).all(|(it, xid)| *it == lost(xid)));
        assert_eq!(pages.iter().flatten().count(), 150_000);
    }

    #[test]
    fn what_has_no_room_is_refused_and_what_was_taken_stays() {
        let directory = tempfile::tempdir().unwrap();
        let mut writer = ListWriter::new(directory.path()).unwrap();
        assert!(writer.push(&lost(1), |_| Ok(true)).unwrap());
        assert!(!writer.push(&lost(2), |bytes| Ok(bytes < 20)).unwrap());
        let huge = LostTransaction {
            tables: vec![lost(1).tables[0].clone(); 500_000],
            ..lost(3)
        };
        assert!(!writer.push(&huge, |_| Ok(true)).unwrap());
        let (count, bytes) = writer.finish().unwrap();
        let pages = read(&directory.path().join(NAME), bytes).unwrap();
        assert_eq!((count, pages), (1, vec![vec![lost(1)]]));
    }

    #[test]
    fn a_file_that_is_cut_short_or_has_a_flipped_bit_is_never_believed() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join(NAME);
        let bytes = written(directory.path(), 5);
        let whole = std::fs::read(&path).unwrap();
        let is_damaged = |bytes: ByteSize| match read(&path, bytes) {
            Err(PostgresError::Damaged { .. }) => true,
            Err(other) => panic!("{other}"),
            Ok(_) => false,
        };
        assert!(!is_damaged(bytes));
        for length in 0..whole.len() {
            std::fs::write(&path, &whole[..length]).unwrap();
            assert!(is_damaged(bytes), "cut at {length}");
            // Nor is one whose length is said to be that.
            let is_empty = length == HEAD.len();
            assert_eq!(is_damaged(ByteSize(length as u64)), !is_empty, "{length}");
        }
        for place in 0..whole.len() {
            for bit in 0..8 {
                let mut flipped = whole.clone();
                flipped[place] ^= 1 << bit;
                std::fs::write(&path, flipped).unwrap();
                assert!(is_damaged(bytes), "bit {bit} of byte {place}");
            }
        }
        std::fs::write(&path, [&whole[..], b"x"].concat()).unwrap();
        assert!(is_damaged(bytes));
    }

    #[test]
    fn the_format_is_what_it_was() {
        let directory = tempfile::tempdir().unwrap();
        written(directory.path(), 2);
        let bytes = std::fs::read(directory.path().join(NAME)).unwrap();
        let golden = b"causeway tail 1\n\x5a\x00\x00\x00\x40\xe0\x16\xea\
            [0,5,\"0/30001D8\",true,[]]\n\
            [1,5,\"0/30001D8\",false,[[\"shop\",\"public\",\"orders \\\"\\n\",1,2,1]]]\n";
        assert_eq!(
            bytes.escape_ascii().to_string(),
            golden.escape_ascii().to_string()
        );
    }
}

//! The file of rows, as psql takes it: a section a database, an `INSERT` a row, as far as there is
//! room. A table's rows are in it all, or none is.

use std::fs::File;
use std::io::{self, BufReader, BufWriter, Seek, Write};
use std::path::Path;

use super::copy_text;
use super::room::Room;
use crate::postgres::files;

/// At the head of the file of rows.
const HEAD: &str = "\
-- Rows as transactions left them that were committed and then lost in a failover: each as its last
-- such transaction left it. Rows that were taken away are not in here, nor changes of schemas.
-- A row whose key is there already stays as it is: look at what differs before you change it.
";

/// In every session that reads the file, whatever its database or its user has been given: what
/// the values below are written by. psql begins a session at each `\connect`.
const SESSION: &str = "SET standard_conforming_strings = on;\nSET client_encoding = 'UTF8';\n";

/// The file while it is written.
pub(super) struct RowsFile {
    writer: BufWriter<File>,
    room: Room,
    /// How many rows are in it.
    pub(super) rows: u64,
    /// Was there room for all?
    pub(super) is_whole: bool,
}

impl RowsFile {
    /// A new one, which isn't there yet.
    ///
    /// # Errors
    /// It can't be made.
    pub(super) fn new(path: &Path, room: Room) -> io::Result<RowsFile> {
        use std::os::unix::fs::OpenOptionsExt;
        let mut options = std::fs::OpenOptions::new();
        options.write(true).create_new(true).mode(0o600);
        let mut writer = BufWriter::new(options.open(path)?);
        writer.write_all(HEAD.as_bytes())?;
        Ok(RowsFile {
            writer,
            room,
            rows: 0,
            is_whole: true,
        })
    }

    /// What room there is.
    pub(super) fn room(&self) -> &Room {
        &self.room
    }

    /// What comes now is of the database that this `\connect` leads to.
    ///
    /// # Errors
    /// It can't be written.
    pub(super) fn begin_database(&mut self, reached: &str) -> io::Result<()> {
        let to = &mut self.writer;
        writeln!(to, "\n\\connect -reuse-previous=on {reached}")?;
        to.write_all(SESSION.as_bytes())
    }

    /// Makes INSERTs of the rows in a file that `COPY` wrote into that directory, and removes it;
    /// nothing if there is no room for all of them, which is said.
    ///
    /// # Errors
    /// What is read isn't as it must be, or the disk refuses for another reason.
    pub(super) fn append(&mut self, place: &Path, file: &str, before: &str) -> io::Result<()> {
        let directory = files::open_directory(place)?;
        let rows = files::open_in(&directory, file)?;
        let begin = self.writer.stream_position()?;
        let room_before = self.room.clone();
        let mut metered = self.room.metered(&mut self.writer);
        match copy_text::inserts(&mut BufReader::new(rows), before, &mut metered) {
            Ok(count) => self.rows += count,
            Err(cause) if cause.kind() == io::ErrorKind::StorageFull => {
                self.is_whole = false;
                self.room = room_before;
                // Where what is buffered has no room either, none of the file is kept.
                self.writer.flush()?;
                self.writer.get_ref().set_len(begin)?;
                self.writer.seek(io::SeekFrom::Start(begin))?;
            }
            Err(cause) => return Err(cause),
        }
        files::remove_in(&directory, file)
    }

    /// The file is whole; gives what room is left.
    ///
    /// # Errors
    /// The disk refuses.
    pub(super) fn finish(mut self) -> io::Result<Room> {
        self.writer.flush()?;
        Ok(self.room)
    }
}

#[cfg(test)]
mod tests {
    use types::ByteSize;

    use super::*;

    #[test]
    fn a_table_s_rows_are_in_it_all_or_none_is() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("lost.sql");
        let room = Room::new(directory.path(), ByteSize(200));
        let mut file = RowsFile::new(&path, room).unwrap();
        for (name, rows) in [("1", "7\t1\n"), ("2", "8\t2\n9\t3\n"), ("3", "10\t4\n")] {
            std::fs::write(directory.path().join(name), rows).unwrap();
            file.append(directory.path(), name, "INSERT INTO t VALUES (")
                .unwrap();
            assert!(!directory.path().join(name).exists());
        }
        assert_eq!((file.rows, file.is_whole), (2, false));
        assert!(!file.finish().unwrap().take(100).unwrap());
        let text = std::fs::read_to_string(path).unwrap();
        let values: Vec<&str> = text.lines().filter(|it| it.starts_with("INSERT")).collect();
        assert!(values[0].contains("('1')") && values[1].contains("('4')"));
        assert_eq!(values.len(), 2);
        assert!(text.ends_with("-- transaction 10\n"), "{text}");
    }
}

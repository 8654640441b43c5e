//! What is here of a snapshot that is being fetched: a line a piece, with its digest, behind its
//! bytes. After a power cut a line may be there and its bytes not, so a copy that is complete is
//! read once more before it is whole.

use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use super::wire::{Kind, MOST_PIECES, Piece, Sum, is_path, odd, sum};

/// The file of it, beside the data.
const NAME: &str = "journal";

/// The longest line.
const LONGEST_LINE: u64 = 2048;

/// What is here of one snapshot.
pub(super) struct Journal {
    folder: PathBuf,
    file: File,
    pub(super) held: Vec<(Piece, Sum)>,
    /// Bytes of those.
    pub(super) bytes: u64,
}

impl Journal {
    /// That of a folder, made if there is none. A line that a crash cut off, and what is behind it,
    /// is not there.
    pub(super) fn open(folder: &Path) -> io::Result<Journal> {
        // A database's data are for nobody else's eyes.
        let mut private = std::fs::DirBuilder::new();
        private.recursive(true).mode(0o700);
        private.create(folder.join("data"))?;
        let path = folder.join(NAME);
        let file = OpenOptions::new()
            .read(true)
            .append(true)
            .create(true)
            .open(&path)?;
        let mut journal = Journal {
            folder: folder.to_owned(),
            file,
            held: Vec::new(),
            bytes: 0,
        };
        let end = journal.read()?;
        journal.file.set_len(end)?;
        Ok(journal)
    }

    fn read(&mut self) -> io::Result<u64> {
        let mut reader = BufReader::new(&self.file);
        let mut end = 0;
        let mut line = Vec::new();
        loop {
            line.clear();
            let length = (&mut reader)
                .take(LONGEST_LINE)
                .read_until(b'\n', &mut line)?;
            let whole = line.strip_suffix(b"\n").and_then(parse);
            let Some((piece, sum)) = whole else {
                return Ok(end);
            };
            end += length as u64;
            self.bytes += u64::from(piece.length);
            self.held.push((piece, sum));
        }
    }

    /// Nothing is here from now on.
    pub(super) fn forget(&mut self) -> io::Result<()> {
        self.file.set_len(0)?;
        self.held.clear();
        self.bytes = 0;
        std::fs::remove_dir_all(self.folder.join("data"))?;
        std::fs::DirBuilder::new()
            .mode(0o700)
            .create(self.folder.join("data"))
    }

    /// Puts a piece where it belongs. A file's pieces come in their order.
    pub(super) fn add(&mut self, piece: Piece, sum: Sum, bytes: &[u8]) -> io::Result<()> {
        if self.held.len() >= MOST_PIECES {
            return Err(odd("it has too many pieces"));
        }
        let path = self.path(&piece);
        match piece.kind {
            Kind::Directory => std::fs::create_dir_all(&path)?,
            Kind::File => {
                let mut file = OpenOptions::new();
                let mut file = file.write(true).create(true).truncate(false).open(&path)?;
                file.seek(SeekFrom::Start(piece.offset))?;
                file.write_all(bytes)?;
                // What was there of a piece that was cut off.
                file.set_len(piece.offset + bytes.len() as u64)?;
            }
        }
        let kind = match piece.kind {
            Kind::Directory => 'd',
            Kind::File => 'f',
        };
        let digits: String = sum.iter().map(|byte| format!("{byte:02x}")).collect();
        let (offset, length) = (piece.offset, piece.length);
        let line = format!("{digits} {kind} {offset} {length} {}\n", piece.path);
        self.file.write_all(line.as_bytes())?;
        self.bytes += u64::from(length);
        self.held.push((piece, sum));
        Ok(())
    }

    /// Is all on the disk as it was sent?
    pub(super) fn verify(&self) -> io::Result<bool> {
        let mut bytes = Vec::new();
        for (piece, expected) in &self.held {
            if piece.kind == Kind::Directory {
                if !self.path(piece).is_dir() {
                    return Ok(false);
                }
                continue;
            }
            let mut file = match File::open(self.path(piece)) {
                Err(cause) if cause.kind() == io::ErrorKind::NotFound => return Ok(false),
                file => file?,
            };
            file.seek(SeekFrom::Start(piece.offset))?;
            bytes.clear();
            file.take(u64::from(piece.length)).read_to_end(&mut bytes)?;
            if sum(&bytes) != *expected {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// The journal itself goes, once it has served.
    pub(super) fn remove(folder: &Path) -> io::Result<()> {
        std::fs::remove_file(folder.join(NAME))
    }

    fn path(&self, piece: &Piece) -> PathBuf {
        self.folder.join("data").join(&piece.path)
    }
}

fn parse(line: &[u8]) -> Option<(Piece, Sum)> {
    let line = std::str::from_utf8(line).ok()?;
    let mut words = line.splitn(5, ' ');
    let digits = words.next().filter(|it| it.len() == 64 && it.is_ascii())?;
    let mut sum: Sum = [0; 32];
    for (place, byte) in sum.iter_mut().enumerate() {
        *byte = u8::from_str_radix(&digits[2 * place..2 * place + 2], 16).ok()?;
    }
    let kind = match words.next()? {
        "d" => Kind::Directory,
        "f" => Kind::File,
        _ => return None,
    };
    let (offset, length) = (words.next()?.parse().ok()?, words.next()?.parse().ok()?);
    let path = words.next().filter(|path| is_path(path))?.to_owned();
    let piece = Piece {
        kind,
        path,
        offset,
        length,
    };
    Some((piece, sum))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn piece(path: &str, offset: u64, length: u32) -> Piece {
        Piece {
            kind: Kind::File,
            path: path.to_owned(),
            offset,
            length,
        }
    }

    #[test]
    fn what_a_crash_cut_off_is_not_there_and_what_a_power_cut_took_is_seen() {
        let directory = tempfile::tempdir().unwrap();
        let folder = directory.path().join("copy");
        let mut journal = Journal::open(&folder).unwrap();
        journal.add(piece("a", 0, 3), sum(b"one"), b"one").unwrap();
        journal.add(piece("a", 3, 3), sum(b"two"), b"two").unwrap();
        assert!(journal.verify().unwrap());
        let mut file = OpenOptions::new()
            .append(true)
            .open(folder.join(NAME))
            .unwrap();
        file.write_all(b"00ff f 6 3 a").unwrap();
        std::fs::write(folder.join("data/a"), b"onetwoth").unwrap();
        let mut journal = Journal::open(&folder).unwrap();
        assert_eq!((journal.held.len(), journal.bytes), (2, 6));
        journal.add(piece("a", 6, 1), sum(b"3"), b"3").unwrap();
        assert_eq!(std::fs::read(folder.join("data/a")).unwrap(), b"onetwo3");
        std::fs::write(folder.join("data/a"), b"onetw\0\0").unwrap();
        let journal = Journal::open(&folder).unwrap();
        assert_eq!(journal.held.len(), 3);
        assert!(!journal.verify().unwrap());
        std::fs::remove_file(folder.join("data/a")).unwrap();
        assert!(!journal.verify().unwrap());
    }
}

//! What is said at an offered snapshot's socket. Whoever fetches says how many pieces it has, and a
//! digest of what they are; the other answers whether these are its first ones, and sends the rest:
//! a header, the digest of its bytes, its bytes. What comes is believed in nothing but its digest:
//! a path leads nowhere but below, and a piece has a longest length.

use std::io;

use sha2::{Digest, Sha256};
use tokio::io::{AsyncRead, AsyncReadExt};

/// How a conversation begins: with its version.
pub(super) const GREETING: &[u8; 25] = b"causeway snapshot copy 1\n";

/// Bytes of a piece, at most.
pub(super) const PIECE: u64 = 1024 * 1024;

/// Pieces of a snapshot, at most: what keeps one's list of them within some 200 MB.
pub(super) const MOST_PIECES: usize = 2_000_000;

/// The longest path of a file in a snapshot, in bytes, and how deep it may be.
const LONGEST_PATH: usize = 1024;
const DEEPEST: usize = 16;

/// The answer to who goes on: from there, or from the beginning.
pub(super) const GO_ON: u8 = 1;
pub(super) const BEGIN_ANEW: u8 = 0;

/// A digest.
pub(super) type Sum = [u8; 32];

/// What a piece is of.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Kind {
    /// A directory, which has no bytes.
    Directory,
    /// A file.
    File,
}

/// A piece of a snapshot: all pieces in their order are the snapshot.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Piece {
    pub(super) kind: Kind,
    /// From the snapshot's data directory on.
    pub(super) path: String,
    /// Where in its file it begins.
    pub(super) offset: u64,
    /// Its bytes.
    pub(super) length: u32,
}

/// Is it a path that leads nowhere but below? PostgreSQL's own names are of these letters.
pub(super) fn is_path(path: &str) -> bool {
    let is_name = |name: &str| {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
        (1..=255).contains(&name.len()) && name.bytes().all(plain) && name != "." && name != ".."
    };
    path.len() <= LONGEST_PATH && path.split('/').count() <= DEEPEST && path.split('/').all(is_name)
}

impl Piece {
    /// Its header.
    pub(super) fn header(&self) -> Vec<u8> {
        let kind = match self.kind {
            Kind::Directory => b'd',
            Kind::File => b'f',
        };
        let path = self.path.as_bytes();
        let mut header = vec![kind];
        let length = u16::try_from(path.len()).unwrap_or(u16::MAX);
        header.extend(length.to_be_bytes());
        header.extend(self.offset.to_be_bytes());
        header.extend(self.length.to_be_bytes());
        header.extend(path);
        header
    }

    /// The next header; `None`: there are no more pieces.
    pub(super) async fn read(from: &mut (impl AsyncRead + Unpin)) -> io::Result<Option<Piece>> {
        let kind = match from.read_u8().await? {
            b'd' => Kind::Directory,
            b'f' => Kind::File,
            b'.' => return Ok(None),
            _ => return Err(odd("it sends no piece of a snapshot")),
        };
        let path_length = usize::from(from.read_u16().await?);
        let (offset, length) = (from.read_u64().await?, from.read_u32().await?);
        if path_length > LONGEST_PATH || u64::from(length) > PIECE {
            return Err(odd("a piece is too long"));
        }
        let mut path = vec![0; path_length];
        from.read_exact(&mut path).await?;
        let path = String::from_utf8(path).map_err(|_| odd("a path is no text"))?;
        let has_bytes = (offset, length) != (0, 0);
        if !is_path(&path) || (kind == Kind::Directory && has_bytes) {
            return Err(odd("a piece is of no file of a snapshot"));
        }
        Ok(Some(Piece {
            kind,
            path,
            offset,
            length,
        }))
    }
}

/// What a digest of pieces is of: their headers, in their order.
pub(super) fn sum_of<'a>(pieces: impl Iterator<Item = &'a Piece>) -> Sum {
    let mut sum = Sha256::new();
    for piece in pieces {
        sum.update(piece.header());
    }
    sum.finalize().into()
}

/// The digest of bytes.
pub(super) fn sum(bytes: &[u8]) -> Sum {
    Sha256::digest(bytes).into()
}

/// What came isn't what may come.
pub(super) fn odd(why: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, why)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_header_is_read_as_it_is_written_and_its_bytes_stay_as_they_are() {
        let piece = Piece {
            kind: Kind::File,
            path: "base/5/1259_fsm".to_owned(),
            offset: PIECE,
            length: 3,
        };
        let header = piece.header();
        let mut golden = b"f\0\x0f\0\0\0\0\0\x10\0\0\0\0\0\x03".to_vec();
        golden.extend(b"base/5/1259_fsm");
        assert_eq!(header, golden);
        assert_eq!(Piece::read(&mut &header[..]).await.unwrap(), Some(piece));
        assert_eq!(Piece::read(&mut &b"."[..]).await.unwrap(), None);
    }

    #[tokio::test]
    async fn what_would_lead_elsewhere_or_is_too_much_is_refused() {
        for path in ["", "/etc", "..", "a/../b", "a//b", "a b", "a\0", "./a", "é"] {
            assert!(!is_path(path), "{path:?}");
            let piece = Piece {
                kind: Kind::File,
                path: path.to_owned(),
                offset: 0,
                length: 0,
            };
            assert!(
                Piece::read(&mut &piece.header()[..]).await.is_err(),
                "{path:?}"
            );
        }
        assert!(!is_path(&"a/".repeat(17)));
        let longer = Piece {
            kind: Kind::File,
            path: "a".to_owned(),
            offset: 0,
            length: 2 << 20,
        };
        assert!(Piece::read(&mut &longer.header()[..]).await.is_err());
        assert!(Piece::read(&mut &b"x"[..]).await.is_err());
        assert!(Piece::read(&mut &b"f\0"[..]).await.is_err());
    }
}

//! The form of stored content, in rows and blobs alike: 8 bytes that name it and its version, then
//! blocks of 64 KiB (the last may be shorter), each its ciphertext by AES-256-GCM, the 16 bytes of
//! its tag, and the CRC-32C of both in little-endian. Content of no bytes has no blocks.
//!
//! A block's nonce is its number, which no key meets twice: each blob has a key of its own. How
//! many blocks there are is what the row says that names the blob, so a cut is seen. The CRC lets
//! damage be found by who hasn't the key.

use bytes::{BufMut, BytesMut};
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};

/// What stored content begins with: its name, and the version of this form.
pub(super) const HEADER: [u8; 8] = *b"cwblob\x00\x01";

/// The bytes of a block as its reader counts them.
pub(super) const BLOCK: usize = 64 << 10;

/// The bytes of a block's tag.
const TAG: usize = 16;

/// What a block takes beyond its bytes: tag and CRC-32C.
pub(super) const OVERHEAD: usize = TAG + 4;

/// Stored bytes aren't what was written: what is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Damage {
    /// The first bytes aren't those of this form.
    #[error("it doesn't begin as stored content does")]
    Header,
    /// Bytes are missing, or there are too many.
    #[error("it has not the length that it was written with")]
    Length,
    /// A block doesn't match its checksum.
    #[error("block {0} doesn't match its checksum")]
    Checksum(u64),
    /// A block doesn't match its tag.
    #[error("block {0} doesn't match its tag")]
    Tag(u64),
    /// Its key can't be opened.
    #[error("its key can't be opened")]
    Key,
}

/// The key of one blob.
pub(super) struct DataKey(LessSafeKey);

impl From<UnboundKey> for DataKey {
    fn from(key: UnboundKey) -> DataKey {
        DataKey(LessSafeKey::new(key))
    }
}

impl DataKey {
    /// The key of those bytes.
    pub(super) fn new(bytes: &[u8; 32]) -> DataKey {
        let key = UnboundKey::new(&AES_256_GCM, bytes).expect("a key of AES-256 has 32 bytes");
        DataKey::from(key)
    }

    /// Appends a block, sealed. `plain` has at most [`BLOCK`] bytes.
    pub(super) fn seal(&self, number: u64, plain: &[u8], into: &mut BytesMut) {
        debug_assert!(
            (1..=BLOCK).contains(&plain.len()),
            "a block is 1 byte to 64 KiB"
        );
        let start = into.len();
        into.put_slice(plain);
        let tag = self
            .0
            .seal_in_place_separate_tag(nonce(number), Aad::from(HEADER), &mut into[start..])
            .expect("64 KiB can be sealed");
        into.put_slice(tag.as_ref());
        let check = crc_fast::crc32_iscsi(&into[start..]);
        into.put_u32_le(check);
    }

    /// Opens a stored block in its place: its bytes are the first of `stored` afterwards, and
    /// their number is answered. The tag alone is verified: it covers every byte that is given,
    /// so that a read needs no second pass for the CRC, which is the scrub's.
    pub(super) fn open(&self, number: u64, stored: &mut [u8]) -> Result<usize, Damage> {
        if stored.len() <= OVERHEAD {
            return Err(Damage::Length);
        }
        let sealed = stored.len() - 4;
        let plain = self
            .0
            .open_in_place(nonce(number), Aad::from(HEADER), &mut stored[..sealed]);
        plain
            .map(|plain| plain.len())
            .map_err(|_| Damage::Tag(number))
    }
}

/// Blocks are numbered from 0.
fn nonce(number: u64) -> Nonce {
    let mut bytes = [0; 12];
    bytes[4..].copy_from_slice(&number.to_be_bytes());
    Nonce::assume_unique_for_key(bytes)
}

/// How many blocks that many bytes have.
pub(super) fn blocks_of(size: u64) -> u64 {
    size.div_ceil(BLOCK as u64)
}

/// How many bytes content of that size is stored as.
pub(crate) fn stored_length(size: u64) -> u64 {
    HEADER.len() as u64 + size + blocks_of(size) * OVERHEAD as u64
}

/// Where a block begins in what is stored.
pub(super) fn block_offset(number: u64) -> u64 {
    HEADER.len() as u64 + number * (BLOCK + OVERHEAD) as u64
}

/// How many bytes block `number` of content of that size has, as its reader counts them.
pub(super) fn block_size(size: u64, number: u64) -> usize {
    let rest = size.saturating_sub(number * BLOCK as u64);
    rest.min(BLOCK as u64) as usize
}

/// Does a stored block match its checksum?
pub(super) fn check_block(number: u64, stored: &[u8]) -> Result<(), Damage> {
    let Some((sealed, check)) = stored.split_last_chunk::<4>() else {
        return Err(Damage::Length);
    };
    if sealed.len() <= TAG {
        return Err(Damage::Length);
    }
    match crc_fast::crc32_iscsi(sealed) == u32::from_le_bytes(*check) {
        true => Ok(()),
        false => Err(Damage::Checksum(number)),
    }
}

/// Checks stored content of that size as its bytes come, in order and in pieces of any length:
/// against its checksums, and against its tags where it has its key.
pub(crate) struct Checker {
    size: u64,
    key: Option<DataKey>,
    /// What has come of the header or of the next block.
    pending: BytesMut,
    /// How many blocks were found whole; none: the header hasn't come.
    blocks: Option<u64>,
}

impl Checker {
    /// Of content that has that size as its reader counts it, without its key.
    pub(crate) fn new(size: u64) -> Checker {
        Checker::with(size, None)
    }

    /// Of content that has that size, with its key if there is one: by the tags alone the blob of
    /// another key, whole in itself, is told from what was written.
    pub(super) fn with(size: u64, key: Option<DataKey>) -> Checker {
        Checker {
            size,
            key,
            pending: BytesMut::new(),
            blocks: None,
        }
    }

    /// The next bytes.
    pub(crate) fn push(&mut self, mut bytes: &[u8]) -> Result<(), Damage> {
        while !bytes.is_empty() {
            let wanted = self.wanted() - self.pending.len();
            if self.wanted() == 0 {
                return Err(Damage::Length);
            }
            let (piece, rest) = bytes.split_at(wanted.min(bytes.len()));
            bytes = rest;
            if self.pending.is_empty() && piece.len() == wanted {
                self.take(piece)?;
                continue;
            }
            self.pending.put_slice(piece);
            if piece.len() == wanted {
                let whole = self.pending.split();
                self.take(&whole)?;
            }
        }
        Ok(())
    }

    /// There are no more bytes.
    pub(crate) fn finish(self) -> Result<(), Damage> {
        match self.blocks == Some(blocks_of(self.size)) && self.pending.is_empty() {
            true => Ok(()),
            false => Err(Damage::Length),
        }
    }

    /// How long what comes next is as a whole; 0 at the end.
    fn wanted(&self) -> usize {
        match self.blocks {
            None => HEADER.len(),
            Some(blocks) => match block_size(self.size, blocks) {
                0 => 0,
                size => size + OVERHEAD,
            },
        }
    }

    fn take(&mut self, whole: &[u8]) -> Result<(), Damage> {
        self.blocks = Some(match self.blocks {
            None if whole != HEADER => return Err(Damage::Header),
            None => 0,
            Some(blocks) => {
                match &self.key {
                    Some(key) => {
                        check_block(blocks, whole)?;
                        key.open(blocks, &mut whole.to_vec())?;
                    }
                    None => check_block(blocks, whole)?,
                }
                blocks + 1
            }
        });
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stored(plain: &[u8]) -> BytesMut {
        let key = DataKey::new(&[1; 32]);
        let mut stored = BytesMut::from(&HEADER[..]);
        for (number, block) in (0..).zip(plain.chunks(BLOCK)) {
            key.seal(number, block, &mut stored);
        }
        stored
    }

    #[test]
    fn the_form_of_stored_content_stays_as_it_is() {
        let golden = "6377626c6f620001dc54edaf104c62c6a1aa808e7b19a5cddadd01ad8b966ef6edd15895";
        let bytes = stored(b"causeway");
        assert_eq!(bytes.len(), 8 + 8 + 20);
        let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(hex, golden);
    }

    #[test]
    fn a_block_opens_under_its_number_and_key_alone() {
        let key = DataKey::new(&[1; 32]);
        let bytes = stored(b"some bytes");
        let block = bytes[8..].to_vec();
        let mut whole = block.clone();
        assert_eq!(key.open(0, &mut whole), Ok(10));
        assert_eq!(&whole[..10], b"some bytes");
        assert_eq!(key.open(1, &mut block.clone()), Err(Damage::Tag(1)));
        let other = DataKey::new(&[2; 32]);
        assert_eq!(other.open(0, &mut block.clone()), Err(Damage::Tag(0)));
        for at in 0..block.len() {
            let mut damaged = block.clone();
            damaged[at] ^= 0x10;
            assert_eq!(check_block(0, &damaged), Err(Damage::Checksum(0)));
            let opened = key.open(0, &mut damaged);
            match at < block.len() - 4 {
                true => assert_eq!(opened, Err(Damage::Tag(0)), "byte {at}"),
                // What is read doesn't depend on the CRC.
                false => assert_eq!(opened, Ok(10), "byte {at}"),
            }
        }
        assert_eq!(key.open(0, &mut [0; 20]), Err(Damage::Length));
    }

    #[test]
    fn a_checker_finds_every_flip_and_cut_in_pieces_of_any_length() {
        let plain = vec![5; BLOCK + 100];
        let bytes = stored(&plain);
        let size = plain.len() as u64;
        assert_eq!(bytes.len() as u64, stored_length(size));
        let check = |bytes: &[u8], piece: usize| {
            let mut checker = Checker::new(size);
            for piece in bytes.chunks(piece) {
                checker.push(piece)?;
            }
            checker.finish()
        };
        for piece in [1, 7, 1000, BLOCK, bytes.len()] {
            assert_eq!(check(&bytes, piece), Ok(()), "pieces of {piece}");
        }
        for at in (0..bytes.len()).step_by(997).chain([0, 7, bytes.len() - 1]) {
            let mut damaged = bytes.clone();
            damaged[at] ^= 1;
            assert!(check(&damaged, 5000).is_err(), "byte {at}");
        }
        assert_eq!(check(&bytes[..bytes.len() - 1], 5000), Err(Damage::Length));
        assert_eq!(check(&bytes[..8], 5000), Err(Damage::Length));
        assert_eq!(check(b"", 5000), Err(Damage::Length));
        let longer = [&bytes[..], b"x"].concat();
        assert_eq!(check(&longer, 5000), Err(Damage::Length));
        assert_eq!(Checker::new(0).finish(), Err(Damage::Length));
    }
}

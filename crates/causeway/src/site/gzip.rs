//! Files in the form of gzip (RFC 1952) whose bytes stand in it as they are: for who must be given
//! `.gz`. It compresses nothing.

/// What a file begins with: deflate, no name, no time, a system that isn't named.
const HEAD: [u8; 10] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255];

/// Bytes of a stored block, at most (RFC 1951, section 3.2.4).
const BLOCK: usize = 65_535;

/// Those bytes as a file.
pub(super) fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut file = Vec::with_capacity(HEAD.len() + bytes.len() + bytes.len() / BLOCK * 5 + 13);
    file.extend_from_slice(&HEAD);
    let mut blocks = bytes.chunks(BLOCK).peekable();
    if blocks.peek().is_none() {
        block(&mut file, &[], true);
    }
    while let Some(bytes) = blocks.next() {
        block(&mut file, bytes, blocks.peek().is_none());
    }
    file.extend_from_slice(&crc32fast::hash(bytes).to_le_bytes());
    // Cut to 32 bits on purpose: the length modulo 2^32.
    file.extend_from_slice(&(bytes.len() as u32).to_le_bytes());
    file
}

fn block(file: &mut Vec<u8>, bytes: &[u8], is_last: bool) {
    let length = u16::try_from(bytes.len()).expect("a block is no longer");
    file.push(u8::from(is_last));
    file.extend_from_slice(&length.to_le_bytes());
    file.extend_from_slice(&(!length).to_le_bytes());
    file.extend_from_slice(bytes);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_has_its_bytes_in_blocks_and_their_sum() {
        let golden = [
            0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255, 1, 1, 0, 0xfe, 0xff, b'a', 0x43, 0xbe, 0xb7,
            0xe8, 1, 0, 0, 0,
        ];
        assert_eq!(gzip(b"a"), golden);
        assert_eq!(gzip(b"").len(), 23);
        let long = vec![7; BLOCK + 1];
        let file = gzip(&long);
        assert_eq!(file.len(), 10 + 5 + BLOCK + 5 + 1 + 8);
        assert_eq!((file[10], file[15 + BLOCK]), (0, 1));
    }
}

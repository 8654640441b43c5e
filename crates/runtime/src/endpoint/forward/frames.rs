//! PostgreSQL's messages (its documentation, 55.7), cut out of bytes as they come: each begins with
//! a byte that says what it is and a length that counts itself. Nothing here knows what they mean.

/// The bytes before a message's body.
pub(super) const HEADER: usize = 5;

/// What is given of a message that is longer than is kept whole.
const PIECE: usize = 16 * 1024;

/// The longest that PostgreSQL itself takes or sends (`PQ_LARGE_MESSAGE_LIMIT`).
const LONGEST: usize = 0x3fff_ffff;

/// A message, or a piece of one.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Frame {
    /// All of it, header and all.
    Whole(Vec<u8>),
    /// The beginning of a long one, header and all.
    First(Vec<u8>),
    /// What follows of it.
    More(Vec<u8>),
}

/// A length that no message has: what follows can't be understood.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Malformed;

/// Bytes that came, up to the next message that isn't whole.
pub(super) struct Frames {
    bytes: Vec<u8>,
    begin: usize,
    /// What is still to come of a long one.
    left: usize,
    /// The longest that is kept whole.
    longest: usize,
}

impl Frames {
    /// None yet; those of up to so many bytes are given whole.
    pub(super) fn new(longest: usize) -> Frames {
        Frames {
            bytes: Vec::new(),
            begin: 0,
            left: 0,
            longest,
        }
    }

    /// These came behind the others.
    pub(super) fn push(&mut self, bytes: &[u8]) {
        if self.begin > 0 {
            self.bytes.drain(..self.begin);
            self.begin = 0;
        }
        self.bytes.extend_from_slice(bytes);
    }

    /// Is so much there that the next is to be taken before more is read?
    pub(super) fn is_full(&self) -> bool {
        self.bytes.len() - self.begin > self.longest + HEADER
    }

    /// Are pieces of a long one still to come?
    pub(super) fn is_amid(&self) -> bool {
        self.left > 0
    }

    /// The next message or piece, if it is there.
    ///
    /// # Errors
    /// There is no next one.
    pub(super) fn next(&mut self) -> Result<Option<Frame>, Malformed> {
        let held = self.bytes.len() - self.begin;
        if self.left > 0 {
            let count = held.min(self.left).min(PIECE);
            self.left -= count;
            return Ok((count > 0).then(|| Frame::More(self.take(count))));
        }
        let Some(header) = self.bytes.get(self.begin..self.begin + HEADER) else {
            return Ok(None);
        };
        let length = u32::from_be_bytes([header[1], header[2], header[3], header[4]]);
        let length = usize::try_from(length).map_err(|_| Malformed)?;
        if !(HEADER - 1..=LONGEST).contains(&length) {
            return Err(Malformed);
        }
        let total = length + 1;
        if total > self.longest + HEADER {
            // Its beginning tells what it is about.
            let first = PIECE.min(total);
            if held < first {
                return Ok(None);
            }
            self.left = total - first;
            return Ok(Some(Frame::First(self.take(first))));
        }
        Ok((held >= total).then(|| Frame::Whole(self.take(total))))
    }

    fn take(&mut self, count: usize) -> Vec<u8> {
        let taken = self.bytes[self.begin..self.begin + count].to_vec();
        self.begin += count;
        if self.begin == self.bytes.len() {
            self.bytes.clear();
            self.begin = 0;
        }
        taken
    }
}

impl Frame {
    /// Its bytes.
    pub(super) fn bytes(&self) -> &[u8] {
        match self {
            Frame::Whole(bytes) | Frame::First(bytes) | Frame::More(bytes) => bytes,
        }
    }
}

/// A message of that kind.
pub(super) fn message(kind: u8, body: &[&[u8]]) -> Vec<u8> {
    let length: usize = body.iter().map(|part| part.len()).sum();
    let counted = u32::try_from(HEADER - 1 + length).expect("what is made here is short");
    let mut bytes = Vec::with_capacity(HEADER + length);
    bytes.push(kind);
    bytes.extend_from_slice(&counted.to_be_bytes());
    body.iter().for_each(|part| bytes.extend_from_slice(part));
    bytes
}

/// The text up to the next NUL, and what is behind that.
pub(super) fn text(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = bytes.iter().position(|byte| *byte == 0)?;
    Some((&bytes[..end], &bytes[end + 1..]))
}

/// The columns of a DataRow's body; `None` is NULL.
pub(super) fn columns(body: &[u8]) -> Option<Vec<Option<&[u8]>>> {
    let (count, mut rest) = body.split_first_chunk::<2>()?;
    let mut found = Vec::new();
    for _ in 0..u16::from_be_bytes(*count) {
        let (length, behind) = rest.split_first_chunk::<4>()?;
        let length = i32::from_be_bytes(*length);
        let Ok(length) = usize::try_from(length) else {
            found.push(None);
            rest = behind;
            continue;
        };
        found.push(Some(behind.get(..length)?));
        rest = &behind[length..];
    }
    Some(found)
}

/// A field of an ErrorResponse's body.
pub(super) fn field(body: &[u8], kind: u8) -> Option<String> {
    let mut rest = body;
    while let Some((first, behind)) = rest.split_first().filter(|(first, _)| **first != 0) {
        let (value, next) = text(behind)?;
        if *first == kind {
            return Some(String::from_utf8_lossy(value).into_owned());
        }
        rest = next;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_the_same_however_their_bytes_come() {
        let all = [
            message(b'Q', &[b"select 1\0"]),
            message(b'S', &[]),
            message(b'd', &[&[7; 100]]),
            message(b'X', &[]),
        ];
        let bytes = all.concat();
        for size in 1..bytes.len() {
            let mut frames = Frames::new(200);
            let mut found = Vec::new();
            for piece in bytes.chunks(size) {
                frames.push(piece);
                while let Some(frame) = frames.next().unwrap() {
                    found.push(frame.bytes().to_vec());
                }
            }
            assert_eq!(found, all, "in pieces of {size}");
        }
    }

    #[test]
    fn a_long_message_comes_in_pieces_and_is_not_kept() {
        let long = message(b'B', &[&vec![3; 100_000]]);
        let mut frames = Frames::new(1000);
        let mut found = Vec::new();
        for piece in long.chunks(5000) {
            frames.push(piece);
            while let Some(frame) = frames.next().unwrap() {
                assert!(!matches!(frame, Frame::Whole(_)));
                assert_eq!(matches!(frame, Frame::First(_)), found.is_empty());
                found.extend_from_slice(frame.bytes());
            }
            assert!(frames.bytes.len() <= PIECE + 5000);
        }
        assert_eq!(found, long);
        frames.push(&message(b'S', &[]));
        assert_eq!(frames.next(), Ok(Some(Frame::Whole(message(b'S', &[])))));
    }

    #[test]
    fn a_length_that_no_message_has_is_malformed() {
        for length in [0u32, 3, 0x4000_0000, u32::MAX] {
            let mut frames = Frames::new(1000);
            frames.push(&[&b"Q"[..], &length.to_be_bytes()].concat());
            assert_eq!(frames.next(), Err(Malformed), "{length}");
        }
    }

    #[test]
    fn rows_and_errors_are_read_and_bad_ones_are_not() {
        let row = [0, 3, 0, 0, 0, 1, b'x', 255, 255, 255, 255, 0, 0, 0, 0];
        assert_eq!(
            columns(&row),
            Some(vec![Some(&b"x"[..]), None, Some(&b""[..])])
        );
        for cut in 0..row.len() {
            assert_eq!(columns(&row[..cut]), None, "cut to {cut}");
        }
        let error = b"SERROR\0C25006\0Mno\0\0";
        assert_eq!(field(error, b'C').as_deref(), Some("25006"));
        assert_eq!(field(error, b'D'), None);
        assert_eq!(field(&error[..9], b'C'), None);
    }
}

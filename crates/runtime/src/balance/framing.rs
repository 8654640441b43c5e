//! Where the body of an HTTP/1.x message ends: by its length, by its chunks, or by its
//! connection's end. Chunks are checked byte by byte as they pass through, and must be exactly as
//! RFC 9112 (section 7.1) writes them: what passes, every reader reads alike.

use super::head::{self, HeadError};

/// The digits of a chunk's length: more than any length has.
const DIGITS: u32 = 16;

/// Bytes of chunks' extensions in a row, and of all trailers of a body.
const EXTENSIONS: usize = 1024;
const TRAILERS: usize = 16 * 1024;

/// How the end of a body is known.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Length {
    /// There is none, or it has so many bytes.
    Of(u64),
    /// It comes in chunks.
    Chunked,
    /// It ends with its connection.
    UntilClosed,
}

/// A body as its bytes pass through.
#[derive(Debug)]
pub(super) struct Body {
    state: State,
    /// Bytes of the extension, or of the trailers, so far.
    extra: usize,
    /// The trailer line that is being read.
    line: Vec<u8>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum State {
    Counted(u64),
    UntilClosed,
    /// A chunk's length so far, and its digits.
    Size(u64, u32),
    Extension(u64),
    SizeFeed(u64),
    Data(u64),
    DataReturn,
    DataFeed,
    Trailers,
    Done,
}

/// The next bytes of a body.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Piece {
    /// So many of its own.
    Data(usize),
    /// So many that say where it ends.
    Framing(usize),
    /// There must be more first.
    More,
    /// It is over; what follows belongs to something else.
    End,
}

/// Chunks aren't framed as they must be.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("the chunks of a body are malformed")]
pub(super) struct Broken;

impl Body {
    pub(super) fn new(length: Length) -> Body {
        let state = match length {
            Length::Of(0) => State::Done,
            Length::Of(count) => State::Counted(count),
            Length::Chunked => State::Size(0, 0),
            Length::UntilClosed => State::UntilClosed,
        };
        Body {
            state,
            extra: 0,
            line: Vec::new(),
        }
    }

    /// Is it over?
    pub(super) fn is_done(&self) -> bool {
        self.state == State::Done
    }

    /// Does it end with its connection?
    pub(super) fn is_until_closed(&self) -> bool {
        self.state == State::UntilClosed
    }

    /// What the next bytes are. Those that it names have been read.
    pub(super) fn next(&mut self, bytes: &[u8]) -> Result<Piece, Broken> {
        if self.is_done() {
            return Ok(Piece::End);
        }
        if bytes.is_empty() {
            return Ok(Piece::More);
        }
        match &mut self.state {
            State::UntilClosed => Ok(Piece::Data(bytes.len())),
            State::Counted(left) | State::Data(left) => {
                let count = usize::try_from(*left)
                    .unwrap_or(usize::MAX)
                    .min(bytes.len());
                *left -= count as u64;
                match self.state {
                    State::Counted(0) => self.state = State::Done,
                    State::Data(0) => self.state = State::DataReturn,
                    _ => {}
                }
                Ok(Piece::Data(count))
            }
            _ => self.framing(bytes),
        }
    }

    fn framing(&mut self, bytes: &[u8]) -> Result<Piece, Broken> {
        for (count, byte) in bytes.iter().enumerate() {
            if matches!(self.state, State::Data(_) | State::Done) {
                return Ok(Piece::Framing(count));
            }
            self.state = self.step(*byte)?;
        }
        Ok(Piece::Framing(bytes.len()))
    }

    fn step(&mut self, byte: u8) -> Result<State, Broken> {
        Ok(match (self.state, byte) {
            (State::Size(size, digits), b'0'..=b'9' | b'a'..=b'f' | b'A'..=b'F') => {
                let digit = char::from(byte).to_digit(16).ok_or(Broken)?;
                if digits >= DIGITS {
                    return Err(Broken);
                }
                State::Size(size << 4 | u64::from(digit), digits + 1)
            }
            (State::Size(_, 0), _) => return Err(Broken),
            (State::Size(size, _), b';') => {
                self.extra = 0;
                State::Extension(size)
            }
            (State::Size(size, _) | State::Extension(size), b'\r') => State::SizeFeed(size),
            (State::Extension(size), b'\t' | b' '..=b'~') if self.extra < EXTENSIONS => {
                self.extra += 1;
                State::Extension(size)
            }
            (State::SizeFeed(0), b'\n') => {
                self.extra = 0;
                State::Trailers
            }
            (State::SizeFeed(size), b'\n') => State::Data(size),
            (State::DataReturn, b'\r') => State::DataFeed,
            (State::DataFeed, b'\n') => State::Size(0, 0),
            (State::Trailers, _) => self.trailer(byte)?,
            _ => return Err(Broken),
        })
    }

    fn trailer(&mut self, byte: u8) -> Result<State, Broken> {
        self.extra += 1;
        if self.extra > TRAILERS {
            return Err(Broken);
        }
        if byte != b'\n' {
            self.line.push(byte);
            return Ok(State::Trailers);
        }
        let line = std::mem::take(&mut self.line);
        match line.as_slice() {
            [b'\r'] => Ok(State::Done),
            [line @ .., b'\r'] if may_trail(line) => Ok(State::Trailers),
            _ => Err(Broken),
        }
    }
}

/// May a field come behind a body? Not one that says how a message is read or where it goes
/// (RFC 9110, section 6.5.1).
fn may_trail(line: &[u8]) -> bool {
    const NEVER: [&str; 8] = [
        "transfer-encoding",
        "content-length",
        "host",
        "connection",
        "trailer",
        "te",
        "upgrade",
        "authorization",
    ];
    let read: Result<_, HeadError> = head::field(line);
    read.is_ok_and(|field| {
        !NEVER
            .iter()
            .any(|never| field.name.eq_ignore_ascii_case(never))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The data of a body that arrives in steps of so many bytes, and what follows it.
    fn read(bytes: &[u8], length: Length, step: usize) -> Result<(Vec<u8>, usize), Broken> {
        let mut body = Body::new(length);
        let (mut data, mut at) = (Vec::new(), 0);
        for end in (0..bytes.len() + step).step_by(step) {
            let seen = &bytes[..end.min(bytes.len())];
            loop {
                match body.next(&seen[at..])? {
                    Piece::Data(count) => {
                        data.extend_from_slice(&seen[at..at + count]);
                        at += count;
                    }
                    Piece::Framing(count) => at += count,
                    Piece::More => break,
                    Piece::End => return Ok((data, bytes.len() - at)),
                }
            }
        }
        Ok((data, usize::MAX))
    }

    #[test]
    fn bodies_end_where_they_end_however_they_arrive() {
        let chunked = b"5\r\nhello\r\nA;x=\"y\"\r\n0123456789\r\n0\r\nX-Sum: 1\r\n\r\nrest";
        for step in 1..chunked.len() {
            let read = read(chunked, Length::Chunked, step);
            assert_eq!(read, Ok((b"hello0123456789".to_vec(), 4)), "{step}");
        }
        assert_eq!(read(b"0\r\n\r\n", Length::Chunked, 1), Ok((Vec::new(), 0)));
        assert_eq!(read(b"abcde", Length::Of(3), 2), Ok((b"abc".to_vec(), 2)));
        assert_eq!(read(b"abc", Length::Of(0), 2), Ok((Vec::new(), 3)));
        assert_eq!(
            read(b"ab", Length::UntilClosed, 1),
            Ok((b"ab".to_vec(), usize::MAX))
        );
        assert_eq!(
            read(b"5\r\nhel", Length::Chunked, 3),
            Ok((b"hel".to_vec(), usize::MAX))
        );
    }

    #[test]
    fn chunks_that_somebody_could_read_otherwise_are_refused() {
        let cases: [&[u8]; 22] = [
            b"\r\n",
            b"g\r\n",
            b"-1\r\n",
            b"+1\r\n",
            b"0x5\r\nhello\r\n0\r\n\r\n",
            b" 5\r\nhello\r\n",
            b"5 \r\nhello\r\n",
            b"5\nhello\r\n",
            b"5\r\rhello\r\n",
            b"5\r\nhelloX\r\n",
            b"5\r\nhello\n",
            b"5\r\nhello\r0",
            b"5;\nhello\r\n",
            b"5;a\x00\r\nhello\r\n",
            b"11111111111111111\r\n",
            b"00000000000000005\r\nhello\r\n",
            b"0\r\nContent-Length: 5\r\n\r\n",
            b"0\r\nTransfer-Encoding : chunked\r\n\r\n",
            b"0\r\nhost: a\r\n\r\n",
            b"0\r\n folded\r\n\r\n",
            b"0\r\nA: b\n\r\n",
            b"0\r\n\n",
        ];
        for case in cases {
            for step in [1, 1000] {
                let read = read(case, Length::Chunked, step);
                assert_eq!(read, Err(Broken), "{}", case.escape_ascii());
            }
        }
        let long = [b"5;".as_slice(), &[b'x'; 2000], b"\r\nhello"].concat();
        assert_eq!(read(&long, Length::Chunked, 100), Err(Broken));
        let long = [b"0\r\nA:".as_slice(), &[b'x'; 20_000]].concat();
        assert_eq!(read(&long, Length::Chunked, 100), Err(Broken));
    }
}

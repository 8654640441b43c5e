//! The decoder of bodies in chunks: bytes in, payload out. A signed chunk is held until it is
//! complete and its signature held; each signature covers the one before it, from the request's
//! own on, so that chunks can't be left out, repeated or exchanged. Limits: the length of a
//! chunk's first line, the size of a signed chunk, the size of the trailer. It never guesses: a
//! body of another form is refused, and after a refusal so is all the rest.

use std::sync::Arc;

use sha2::{Digest, Sha256};

use super::key::VerifyingKey;
use super::payload::{PayloadError, Trailers};
use super::{Algorithm, canonical};

/// The longest first line of a chunk, its end included, in bytes: the size, the name and the
/// longest signature take 181.
const LONGEST_LINE: usize = 256;

/// The most bytes of a signed chunk: what is held before its signature is known. AWS documents no
/// limit; clients send 64 KiB to 1 MiB, and some a part of an upload as one chunk.
const LARGEST_SIGNED_CHUNK: u64 = 16 << 20;

/// Up to so many bytes the memory for a signed chunk grows with what comes; then it has its size.
const GROWN: usize = 64 << 10;

/// The fewest bytes of a chunk that isn't the last (S3 API Reference, "Defining the chunk body").
pub(super) const SMALLEST_CHUNK: u64 = 8192;

/// The most bytes of a trailer with all its lines: what S3 documents for a request's headers.
const LARGEST_TRAILER: usize = 8192;

/// The name of a trailer's own signature.
pub(super) const TRAILER_SIGNATURE: &str = "x-amz-trailer-signature";

/// What a chunk's signature is announced with.
pub(super) const CHUNK_SIGNATURE: &str = "chunk-signature=";

/// The signatures of one body, each over the one before it.
pub(super) struct Chain {
    pub(super) key: Arc<VerifyingKey>,
    pub(super) messages: ChainMessages,
}

/// What is signed of a body in chunks: the same for who signs and who verifies.
pub(super) struct ChainMessages {
    pub(super) algorithm: Algorithm,
    /// The request's `X-Amz-Date`.
    pub(super) date: String,
    /// The scope, from its day to its terminator.
    pub(super) scope: String,
    /// The signature before; at first the request's own.
    pub(super) previous: String,
}

impl ChainMessages {
    /// What the signature of a chunk with this hash is over.
    pub(super) fn of_chunk(&self, hash: &str) -> String {
        let nothing = canonical::body_hash(b"");
        self.message("PAYLOAD", &format!("{nothing}\n{hash}"))
    }

    /// What a trailer's signature is over.
    pub(super) fn of_trailer(&self, trailers: &Trailers) -> String {
        self.message(
            "TRAILER",
            &canonical::body_hash(&canonical_trailer(trailers)),
        )
    }

    fn message(&self, kind: &str, rest: &str) -> String {
        let (name, date, scope) = (self.algorithm.name(), &self.date, &self.scope);
        format!("{name}-{kind}\n{date}\n{scope}\n{}\n{rest}", self.previous)
    }
}

impl Chain {
    fn verify(&mut self, message: &str, signature: &str) -> Result<(), PayloadError> {
        if !self.key.holds(message.as_bytes(), signature) {
            return Err(PayloadError::Signature);
        }
        signature.clone_into(&mut self.messages.previous);
        Ok(())
    }
}

/// A trailer's names and values as they are signed: in the order of the names.
fn canonical_trailer(trailers: &Trailers) -> Vec<u8> {
    let mut sorted: Vec<_> = trailers.iter().collect();
    sorted.sort();
    let mut text = Vec::new();
    for (name, value) in sorted {
        text.extend_from_slice(name.as_bytes());
        text.push(b':');
        canonical::push_folded(&mut text, value.as_bytes());
        text.push(b'\n');
    }
    text
}

/// Where in the body the next byte belongs.
enum State {
    /// In a chunk's first line.
    Line,
    /// In its data, of which so much is to come.
    Data(u64),
    /// In the line's end after its data.
    DataEnd,
    /// In a line of the trailer.
    Trailer,
    /// In the empty line that ends a body without a trailer.
    Last,
    /// Behind all of it.
    End,
    /// Nowhere: the body was refused.
    Failed(PayloadError),
}

/// Decodes and verifies one body.
pub(super) struct ChunkDecoder {
    chain: Option<Chain>,
    /// The names of the trailers that must come, in order; `None` if the form has no trailer.
    announced: Option<Vec<String>>,
    length: u64,
    /// How much of the payload is to come.
    remaining: u64,
    state: State,
    /// The line that isn't complete yet.
    line: Vec<u8>,
    /// The signed chunk that isn't verified yet.
    chunk: Vec<u8>,
    hash: Sha256,
    /// The signature that this chunk must have.
    signature: String,
    /// A chunk so small came that it must have been the last.
    small: bool,
    trailers: Trailers,
    trailer_size: usize,
    trailer_signed: bool,
}

impl ChunkDecoder {
    /// For a payload of that length and trailers of these names.
    pub(super) fn new(
        chain: Option<Chain>,
        length: u64,
        announced: Option<Vec<String>>,
    ) -> ChunkDecoder {
        ChunkDecoder {
            chain,
            announced,
            length,
            remaining: length,
            state: State::Line,
            line: Vec::new(),
            chunk: Vec::new(),
            hash: Sha256::new(),
            signature: String::new(),
            small: false,
            trailers: Vec::new(),
            trailer_size: 0,
            trailer_signed: false,
        }
    }

    /// How long the payload is said to be.
    pub(super) fn length(&self) -> u64 {
        self.length
    }

    /// How large the signed chunk is that has begun; 0: none has.
    pub(super) fn held(&self) -> u64 {
        match self.state {
            State::Data(left) if self.chain.is_some() => self.chunk.len() as u64 + left,
            _ => 0,
        }
    }

    /// Takes the next bytes and appends the payload that they complete.
    pub(super) fn push(
        &mut self,
        mut bytes: &[u8],
        payload: &mut Vec<u8>,
    ) -> Result<(), PayloadError> {
        if let State::Failed(error) = &self.state {
            return Err(error.clone());
        }
        while !bytes.is_empty() {
            match self.step(bytes, payload) {
                Ok(taken) => bytes = &bytes[taken..],
                Err(error) => {
                    self.chunk = Vec::new();
                    self.state = State::Failed(error.clone());
                    return Err(error);
                }
            }
        }
        Ok(())
    }

    /// The body has ended.
    pub(super) fn finish(self) -> Result<Trailers, PayloadError> {
        match self.state {
            State::End => Ok(self.trailers),
            State::Failed(error) => Err(error),
            _ => Err(PayloadError::Incomplete),
        }
    }

    /// Takes some of the bytes, at least one, and says how many.
    fn step(&mut self, bytes: &[u8], payload: &mut Vec<u8>) -> Result<usize, PayloadError> {
        match self.state {
            State::Data(left) => self.take_data(bytes, left, payload),
            State::End => Err(PayloadError::AfterEnd),
            State::Failed(_) => Err(PayloadError::Incomplete),
            State::Line | State::DataEnd | State::Trailer | State::Last => {
                let taken = self.take_line(bytes)?;
                if self.line.ends_with(b"\n") {
                    let line = std::mem::take(&mut self.line);
                    self.end_line(&line)?;
                }
                Ok(taken)
            }
        }
    }

    fn take_line(&mut self, bytes: &[u8]) -> Result<usize, PayloadError> {
        let end = bytes.iter().position(|byte| *byte == b'\n');
        let taken = end.map_or(bytes.len(), |end| end + 1);
        if let State::Trailer = self.state {
            self.trailer_size += taken;
            if self.trailer_size > LARGEST_TRAILER {
                return Err(PayloadError::Trailer("The trailer is too long."));
            }
        } else if self.line.len() + taken > LONGEST_LINE {
            let text = "The first line of a chunk is too long.";
            return Err(PayloadError::ChunkForm(text));
        }
        self.line.extend_from_slice(&bytes[..taken]);
        Ok(taken)
    }

    /// A line is complete, its end included.
    fn end_line(&mut self, line: &[u8]) -> Result<(), PayloadError> {
        let line = line.strip_suffix(b"\r\n");
        let line = line.and_then(|line| std::str::from_utf8(line).ok());
        match (&self.state, line) {
            (State::Trailer, Some(line)) => self.trailer_line(line),
            (State::Trailer, None) => {
                let text = "A line of the trailer doesn't end in CR LF, or is no text.";
                Err(PayloadError::Trailer(text))
            }
            (State::Line, Some(line)) => self.first_line(line),
            (State::DataEnd, Some("")) => {
                self.state = State::Line;
                Ok(())
            }
            (State::Last, Some("")) => {
                self.state = State::End;
                Ok(())
            }
            (State::Line, None) => {
                let text = "The first line of a chunk doesn't end in CR LF, or is no text.";
                Err(PayloadError::ChunkForm(text))
            }
            _ => {
                let text = "A chunk has other bytes than CR LF where it must end.";
                Err(PayloadError::ChunkForm(text))
            }
        }
    }

    fn first_line(&mut self, line: &str) -> Result<(), PayloadError> {
        let (digits, signature) = match (&self.chain, line.split_once(';')) {
            (Some(_), Some((digits, rest))) => match rest.strip_prefix(CHUNK_SIGNATURE) {
                Some(signature) => (digits, signature),
                None => return Err(PayloadError::ChunkForm("A chunk has no signature.")),
            },
            (Some(_), None) => return Err(PayloadError::ChunkForm("A chunk has no signature.")),
            (None, Some(_)) => {
                let text = "A chunk has an extension, and the body's form has none.";
                return Err(PayloadError::ChunkForm(text));
            }
            (None, None) => (line, ""),
        };
        let size = hexadecimal(digits).ok_or(PayloadError::ChunkForm(
            "A chunk's size is no hexadecimal number.",
        ))?;
        if size > self.remaining {
            return Err(PayloadError::TooLong);
        }
        if self.small && size > 0 {
            let limit = SMALLEST_CHUNK;
            return Err(PayloadError::ChunkTooSmall { limit });
        }
        if self.chain.is_some() && size > LARGEST_SIGNED_CHUNK {
            let limit = LARGEST_SIGNED_CHUNK;
            return Err(PayloadError::ChunkTooLarge { size, limit });
        }
        self.small = size < SMALLEST_CHUNK;
        self.remaining -= size;
        // The padding that keeps a signature of V4A's chunks at one length; it isn't signed.
        signature
            .trim_end_matches('*')
            .clone_into(&mut self.signature);
        if size > 0 {
            self.state = State::Data(size);
            return Ok(());
        }
        if self.remaining > 0 {
            return Err(PayloadError::Incomplete);
        }
        self.verify_chunk()?;
        self.state = match self.announced {
            Some(_) => State::Trailer,
            None => State::Last,
        };
        Ok(())
    }

    fn take_data(
        &mut self,
        bytes: &[u8],
        left: u64,
        payload: &mut Vec<u8>,
    ) -> Result<usize, PayloadError> {
        let taken = usize::try_from(left).map_or(bytes.len(), |left| left.min(bytes.len()));
        let data = &bytes[..taken];
        let left = left - taken as u64;
        if self.chain.is_some() {
            self.hash.update(data);
            if self.chunk.len() + taken > GROWN {
                // Not by doubling: what is held is what was announced. Little was sent until here.
                let missing = usize::try_from(left).unwrap_or(0) + taken;
                self.chunk.reserve_exact(missing);
            }
            self.chunk.extend_from_slice(data);
        } else {
            payload.extend_from_slice(data);
        }
        if left > 0 {
            self.state = State::Data(left);
            return Ok(taken);
        }
        self.verify_chunk()?;
        if payload.is_empty() {
            std::mem::swap(payload, &mut self.chunk);
        } else {
            payload.append(&mut self.chunk);
        }
        self.state = State::DataEnd;
        Ok(taken)
    }

    fn verify_chunk(&mut self) -> Result<(), PayloadError> {
        let Some(chain) = &mut self.chain else {
            return Ok(());
        };
        let hash = canonical::hexadecimal(&self.hash.finalize_reset());
        let message = chain.messages.of_chunk(&hash);
        chain.verify(&message, &self.signature)
    }

    fn trailer_line(&mut self, line: &str) -> Result<(), PayloadError> {
        if line.is_empty() {
            return self.end_trailer();
        }
        let (name, value) = line
            .split_once(':')
            .ok_or(PayloadError::Trailer("A line of the trailer has no colon."))?;
        let (name, value) = (name.to_ascii_lowercase(), value.trim_matches([' ', '\t']));
        if value.bytes().any(|byte| byte.is_ascii_control()) {
            return Err(PayloadError::Trailer("A trailer has a control character."));
        }
        if self.trailer_signed {
            let text = "Something comes after the trailer's signature.";
            return Err(PayloadError::Trailer(text));
        }
        if name == TRAILER_SIGNATURE
            && let Some(chain) = &mut self.chain
        {
            let message = chain.messages.of_trailer(&self.trailers);
            self.trailer_signed = true;
            return chain.verify(&message, value.trim_end_matches('*'));
        }
        let announced = self.announced.as_deref().unwrap_or_default();
        if announced.binary_search(&name).is_err() {
            let text = "A trailer has a name that 'x-amz-trailer' doesn't announce.";
            return Err(PayloadError::Trailer(text));
        }
        if self.trailers.iter().any(|(known, _)| *known == name) {
            return Err(PayloadError::Trailer("A trailer is there twice."));
        }
        self.trailers.push((name, value.to_owned()));
        Ok(())
    }

    fn end_trailer(&mut self) -> Result<(), PayloadError> {
        let announced = self.announced.as_ref().map_or(0, Vec::len);
        if self.trailers.len() != announced {
            let text = "A trailer that 'x-amz-trailer' announces is missing.";
            return Err(PayloadError::Trailer(text));
        }
        if self.chain.is_some() && !self.trailer_signed {
            return Err(PayloadError::Trailer("The trailer has no signature."));
        }
        self.state = State::End;
        Ok(())
    }
}

/// A number of 1 to 16 hexadecimal digits.
fn hexadecimal(text: &str) -> Option<u64> {
    let all = text.bytes().all(|byte| byte.is_ascii_hexdigit());
    (all && (1..=16).contains(&text.len()))
        .then(|| u64::from_str_radix(text, 16).ok())
        .flatten()
}

//! What stands for a request's body in its signature, and the verifier of a body that comes piece
//! by piece. It holds no more of the body than one signed chunk, and lets nothing of a chunk out
//! before its signature held. It stores nothing, and checks no checksum of a trailer: the service
//! that asked for one does.

use std::fmt;

use bytes::Bytes;
use http::request::Parts;
use sha2::{Digest, Sha256};

use super::authorization::{Claim, single};
use super::chunks::{Chain, ChunkDecoder};
use super::{Algorithm, Form, PayloadRule, SignatureError, UNSIGNED_PAYLOAD, canonical};

/// How many trailers a request may announce. S3's own clients send one.
const TRAILERS: usize = 16;

/// Names and values that came after the body, in the order they came.
pub type Trailers = Vec<(String, String)>;

/// A way of sending a body in chunks, inside of whatever HTTP does (`aws-chunked`). "Signature
/// calculations for the authorization header: transferring payload in multiple chunks" in the S3
/// API Reference.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ChunkForm {
    /// By what the chunks are signed, the request's own algorithm; `None` if they aren't.
    pub signed: Option<Algorithm>,
    /// Whether headers, a checksum say, come after the body.
    pub trailer: bool,
}

impl ChunkForm {
    /// All there are, by the names that stand for the body's hash.
    const ALL: [(&'static str, ChunkForm); 5] = [
        (
            "STREAMING-AWS4-HMAC-SHA256-PAYLOAD",
            ChunkForm {
                signed: Some(Algorithm::Symmetric),
                trailer: false,
            },
        ),
        (
            "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER",
            ChunkForm {
                signed: Some(Algorithm::Symmetric),
                trailer: true,
            },
        ),
        (
            "STREAMING-UNSIGNED-PAYLOAD-TRAILER",
            ChunkForm {
                signed: None,
                trailer: true,
            },
        ),
        (
            "STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD",
            ChunkForm {
                signed: Some(Algorithm::Asymmetric),
                trailer: false,
            },
        ),
        (
            "STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD-TRAILER",
            ChunkForm {
                signed: Some(Algorithm::Asymmetric),
                trailer: true,
            },
        ),
    ];

    /// Its name in `X-Amz-Content-Sha256`. `None`: chunks that are neither signed nor followed by
    /// a trailer are no form.
    pub fn name(self) -> Option<&'static str> {
        let found = Self::ALL.into_iter().find(|(_, form)| *form == self);
        found.map(|(name, _)| name)
    }

    fn named(name: &str) -> Option<(&'static str, ChunkForm)> {
        Self::ALL.into_iter().find(|(known, _)| *known == name)
    }
}

/// Why a body isn't what was signed. It prints as a text of ours.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum PayloadError {
    /// The body isn't the one whose hash was signed.
    #[error("The body's SHA-256 is not the one in 'x-amz-content-sha256'.")]
    Hash {
        /// What the header says.
        declared: String,
        /// What the body's hash is.
        computed: String,
    },
    /// The signature of a chunk, or of the trailer, isn't the expected one.
    #[error("The signature of a chunk or of the trailer does not match.")]
    Signature,
    /// A chunk's first line or end isn't of its form; the text says which.
    #[error("{0}")]
    ChunkForm(&'static str),
    /// A signed chunk of more bytes than are held for one.
    #[error("A signed chunk has {size} bytes; the most is {limit}.")]
    ChunkTooLarge {
        /// How many it says it has.
        size: u64,
        /// How many it may have.
        limit: u64,
    },
    /// A chunk that isn't the last has fewer bytes than S3 takes.
    #[error("Only the last chunk is allowed to have a size less than {limit} bytes")]
    ChunkTooSmall {
        /// How many it must have.
        limit: u64,
    },
    /// `x-amz-decoded-content-length` isn't there, or isn't a number.
    #[error("The header 'x-amz-decoded-content-length' must say how long the body is.")]
    LengthMissing,
    /// The chunks have more bytes than `x-amz-decoded-content-length` says.
    #[error("The chunks have more bytes than 'x-amz-decoded-content-length' says.")]
    TooLong,
    /// The body ended early.
    #[error("The body ended before it was complete.")]
    Incomplete,
    /// Something comes after the body's end.
    #[error("Something comes after the body's end.")]
    AfterEnd,
    /// The trailer, or what announces it, isn't of its form; the text says why.
    #[error("{0}")]
    Trailer(&'static str),
}

/// What a request declares its body to be.
pub(super) enum Declared {
    /// A hash, if one is said.
    Body(Option<String>),
    /// Anything.
    Unsigned,
    /// Chunks.
    Chunked(&'static str, ChunkForm),
}

/// What the request's signature covers of the body.
///
/// # Errors
///
/// What it declares isn't allowed by the rule, or by where or how the request is signed.
pub(super) fn declared(
    parts: &Parts,
    claim: &Claim,
    rule: PayloadRule,
    algorithm: Algorithm,
) -> Result<Declared, SignatureError> {
    let header = single(&parts.headers, "x-amz-content-sha256")?.map(str::trim);
    if rule == PayloadRule::Body {
        return Ok(Declared::Body(header.map(str::to_owned)));
    }
    let said = match (header, claim.content_hash.as_deref()) {
        (Some(header), Some(query)) if header != query => {
            let text = "The header and the query parameter 'x-amz-content-sha256' differ.";
            return Err(SignatureError::Malformed(text.to_owned()));
        }
        (header, query) => header.or(query),
    };
    match (said, claim.form()) {
        (Some(UNSIGNED_PAYLOAD), _) => Ok(Declared::Unsigned),
        // A presigned URL is made before there is a body.
        (None, Form::Query | Form::Fields) => Ok(Declared::Unsigned),
        (None, Form::Header) => Err(SignatureError::ContentHashMissing),
        (Some(said), form) => match ChunkForm::named(said) {
            Some((name, chunks)) => {
                let fits = match chunks.signed {
                    Some(signed) => signed == algorithm && form == Form::Header,
                    None => true,
                };
                if !fits {
                    return Err(SignatureError::StreamingPayload(name));
                }
                Ok(Declared::Chunked(name, chunks))
            }
            None if is_hash(said) => Ok(Declared::Body(Some(said.to_owned()))),
            None => Err(SignatureError::ContentHashForm(said.to_owned())),
        },
    }
}

fn is_hash(text: &str) -> bool {
    let digit = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    text.len() == 64 && text.bytes().all(digit)
}

/// With what a body is to be verified, once its request's signature held. Give it the body as it
/// comes; it gives back the payload, and at the end says whether that was all of it.
///
/// What it gives back of signed chunks is verified. Of a body that was signed by its hash, that is
/// known at the end alone: until [`PayloadVerifier::finish`] says so, the payload is nobody's.
pub struct PayloadVerifier(Kind);

enum Kind {
    Unsigned,
    Hash { declared: String, hash: Sha256 },
    Chunked(Box<ChunkDecoder>),
}

impl PayloadVerifier {
    /// Of a body that isn't in chunks: by its hash, or of any.
    pub(super) fn whole(hash: Option<String>) -> PayloadVerifier {
        PayloadVerifier(match hash {
            None => Kind::Unsigned,
            Some(declared) => Kind::Hash {
                declared,
                hash: Sha256::new(),
            },
        })
    }

    /// Of the body of a request that nobody signed: in chunks if it says so, of a form that is not
    /// signed either; else any.
    ///
    /// # Errors
    ///
    /// It declares signed chunks, or chunks of which it doesn't say enough.
    pub fn unsigned(parts: &Parts) -> Result<PayloadVerifier, SignatureError> {
        let said = single(&parts.headers, "x-amz-content-sha256")?.map(str::trim);
        match said.and_then(ChunkForm::named) {
            Some((_, form)) if form.signed.is_none() => PayloadVerifier::chunked(parts, form, None),
            _ => PayloadVerifier::uncovered(said),
        }
    }

    /// Of a body that no signature covers, in one piece: by the hash that is said of it, if one is.
    ///
    /// # Errors
    ///
    /// What is said is no hash; chunks are refused by their form's name.
    pub(super) fn uncovered(said: Option<&str>) -> Result<PayloadVerifier, SignatureError> {
        let said = match said {
            None | Some(UNSIGNED_PAYLOAD) => return Ok(PayloadVerifier::whole(None)),
            Some(said) => said,
        };
        match ChunkForm::named(said) {
            Some((name, _)) => Err(SignatureError::StreamingPayload(name)),
            None if is_hash(said) => Ok(PayloadVerifier::whole(Some(said.to_owned()))),
            None => Err(SignatureError::ContentHashForm(said.to_owned())),
        }
    }

    /// Of a body in chunks, of which `parts` say how long it is and what comes after it.
    pub(super) fn chunked(
        parts: &Parts,
        form: ChunkForm,
        chain: Option<Chain>,
    ) -> Result<PayloadVerifier, SignatureError> {
        let length = single(&parts.headers, "x-amz-decoded-content-length")?;
        let length = length
            .filter(|text| text.len() <= 19 && text.bytes().all(|byte| byte.is_ascii_digit()))
            .and_then(|text| text.parse::<u64>().ok())
            .ok_or(PayloadError::LengthMissing)?;
        let announced = announced(single(&parts.headers, "x-amz-trailer")?)?;
        let trailers = match (form.trailer, announced.is_empty()) {
            (true, false) => Some(announced),
            (false, true) => None,
            (true, true) => {
                let text = "The header 'x-amz-trailer' must name what comes after the body.";
                return Err(PayloadError::Trailer(text).into());
            }
            (false, false) => {
                let text = "The header 'x-amz-trailer' is there, and the body's form has none.";
                return Err(PayloadError::Trailer(text).into());
            }
        };
        let decoder = ChunkDecoder::new(chain, length, trailers);
        Ok(PayloadVerifier(Kind::Chunked(Box::new(decoder))))
    }

    /// How long the payload will be, where the body's own length doesn't say it.
    pub fn decoded_length(&self) -> Option<u64> {
        match &self.0 {
            Kind::Chunked(decoder) => Some(decoder.length()),
            Kind::Unsigned | Kind::Hash { .. } => None,
        }
    }

    /// How many bytes are held of a signed chunk once it is complete that has begun; 0 between
    /// chunks and of bodies of which nothing is held. For whoever must bound what all take.
    pub fn held(&self) -> u64 {
        match &self.0 {
            Kind::Chunked(decoder) => decoder.held(),
            Kind::Unsigned | Kind::Hash { .. } => 0,
        }
    }

    /// Takes the next bytes of the body, and appends what they bring of the payload.
    ///
    /// # Errors
    ///
    /// [`PayloadError`]; every further call fails too.
    pub fn push(&mut self, bytes: &[u8], payload: &mut Vec<u8>) -> Result<(), PayloadError> {
        match &mut self.0 {
            Kind::Chunked(decoder) => decoder.push(bytes, payload),
            Kind::Unsigned => {
                payload.extend_from_slice(bytes);
                Ok(())
            }
            Kind::Hash { hash, .. } => {
                hash.update(bytes);
                payload.extend_from_slice(bytes);
                Ok(())
            }
        }
    }

    /// As [`PayloadVerifier::push`], of bytes that one has: of a body that isn't in chunks they are
    /// given back as they are, uncopied.
    ///
    /// # Errors
    ///
    /// As [`PayloadVerifier::push`].
    pub fn pass(&mut self, bytes: Bytes) -> Result<Bytes, PayloadError> {
        match &mut self.0 {
            Kind::Unsigned => Ok(bytes),
            Kind::Hash { hash, .. } => {
                hash.update(&bytes);
                Ok(bytes)
            }
            Kind::Chunked(decoder) => {
                let mut payload = Vec::with_capacity(bytes.len());
                decoder.push(&bytes, &mut payload)?;
                Ok(Bytes::from(payload))
            }
        }
    }

    /// The body has ended: was it what was signed? Gives what came after it, which is empty unless
    /// its form has a trailer.
    ///
    /// # Errors
    ///
    /// [`PayloadError`]: the payload must then be thrown away.
    pub fn finish(self) -> Result<Trailers, PayloadError> {
        match self.0 {
            Kind::Chunked(decoder) => decoder.finish(),
            Kind::Unsigned => Ok(Vec::new()),
            Kind::Hash { declared, hash } => {
                let computed = canonical::hexadecimal(&hash.finalize());
                if declared != computed {
                    return Err(PayloadError::Hash { declared, computed });
                }
                Ok(Vec::new())
            }
        }
    }
}

impl fmt::Debug for PayloadVerifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            Kind::Unsigned => "PayloadVerifier(unsigned)",
            Kind::Hash { .. } => "PayloadVerifier(hash)",
            Kind::Chunked(_) => "PayloadVerifier(chunks)",
        })
    }
}

/// The names in `x-amz-trailer`, in lower case and in order.
fn announced(header: Option<&str>) -> Result<Vec<String>, PayloadError> {
    let mut names = Vec::new();
    for name in header.unwrap_or_default().split(',').map(str::trim) {
        if name.is_empty() {
            continue;
        }
        names.push(name.to_ascii_lowercase());
        if names.len() > TRAILERS {
            let text = "The header 'x-amz-trailer' names more trailers than are taken.";
            return Err(PayloadError::Trailer(text));
        }
    }
    names.sort_unstable();
    if names.windows(2).any(|pair| pair[0] == pair[1]) {
        let text = "The header 'x-amz-trailer' names a trailer twice.";
        return Err(PayloadError::Trailer(text));
    }
    Ok(names)
}

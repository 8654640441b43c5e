//! Our own signer of bodies in chunks, for tests and benches and whoever uploads from our side.
//! It makes the bytes of the body; it doesn't compute the checksums that go into a trailer.

use http::header::{CONTENT_ENCODING, HeaderName, HeaderValue};
use http::request::Parts;
use types::Timestamp;

use super::asymmetric::LONGEST_SIGNATURE;
use super::chunks::{CHUNK_SIGNATURE, ChainMessages, TRAILER_SIGNATURE};
use super::payload::{ChunkForm, Trailers};
use super::sign::{
    Credentials, Payload, Placement, SignError, Signer, SigningOptions, Target, sign_seed,
};
use super::{Algorithm, canonical};

/// Signs the chunks of one body, in their order.
pub struct ChunkSigner {
    /// What signs them, and what; `None` where chunks aren't signed.
    chain: Option<(Signer, ChainMessages)>,
    trailers: Vec<String>,
}

/// Signs a request whose body of `length` bytes will come in chunks: [`super::sign`], and the
/// headers that say so. `trailers` are the names of what comes after the body. A form that is
/// signed by V4A, or a `region_set`, signs the request so too.
///
/// # Errors
///
/// [`SignError`]; the parts may then have some of these headers already.
pub fn sign_chunked(
    parts: &mut Parts,
    form: ChunkForm,
    (length, trailers): (u64, &[&str]),
    region_set: Option<&str>,
    credentials: &Credentials<'_>,
    target: &Target<'_>,
    now: Timestamp,
) -> Result<ChunkSigner, SignError> {
    let name = form.name().ok_or(SignError::Trailers)?;
    if form.trailer == trailers.is_empty() {
        return Err(SignError::Trailers);
    }
    let region_set = match form.signed {
        Some(Algorithm::Symmetric) => None,
        Some(Algorithm::Asymmetric) => Some(region_set.unwrap_or(target.region.name())),
        None => region_set,
    };
    let mut set = |name: &'static str, value: &str| {
        let value = HeaderValue::from_str(value).map_err(|_| SignError::Trailers)?;
        parts.headers.insert(HeaderName::from_static(name), value);
        Ok(())
    };
    set(CONTENT_ENCODING.as_str(), "aws-chunked")?;
    set("x-amz-decoded-content-length", &length.to_string())?;
    if form.trailer {
        set("x-amz-trailer", &trailers.join(","))?;
    }
    let options = SigningOptions {
        placement: Placement::Header,
        region_set,
    };
    let payload = Payload::Chunked(name);
    let seed = sign_seed(parts, payload, &options, credentials, target, now)?;
    let messages = ChainMessages {
        algorithm: seed.algorithm,
        scope: canonical::scope_text(seed.algorithm, &seed.scope),
        date: seed.date,
        previous: seed.signature,
    };
    Ok(ChunkSigner {
        chain: form.signed.map(|_| (seed.signer, messages)),
        trailers: trailers.iter().map(|name| name.to_lowercase()).collect(),
    })
}

impl ChunkSigner {
    /// Appends a chunk with that data; nothing, if it is empty (that would end the body). All but
    /// the last must have 8,192 bytes or more, and none more than 16 MiB.
    pub fn chunk(&mut self, data: &[u8], body: &mut Vec<u8>) {
        if !data.is_empty() {
            self.append(data, body);
            body.extend_from_slice(b"\r\n");
        }
    }

    /// Appends what ends the body, with the values of the trailers in the order of their names.
    ///
    /// # Errors
    ///
    /// [`SignError::Trailers`]: there are more or fewer values than names.
    pub fn finish(mut self, values: &[&str], body: &mut Vec<u8>) -> Result<(), SignError> {
        if values.len() != self.trailers.len() {
            return Err(SignError::Trailers);
        }
        self.append(b"", body);
        let names = std::mem::take(&mut self.trailers);
        let values = values.iter().map(|value| (*value).to_owned());
        let trailers: Trailers = names.into_iter().zip(values).collect();
        for (name, value) in &trailers {
            body.extend_from_slice(format!("{name}:{value}\r\n").as_bytes());
        }
        if !trailers.is_empty()
            && let Some((signer, messages)) = &mut self.chain
        {
            let signature = signer.sign(messages.of_trailer(&trailers).as_bytes());
            let signature = padded(&signature, messages.algorithm);
            body.extend_from_slice(format!("{TRAILER_SIGNATURE}:{signature}\r\n").as_bytes());
        }
        body.extend_from_slice(b"\r\n");
        Ok(())
    }

    fn append(&mut self, data: &[u8], body: &mut Vec<u8>) {
        let mut line = format!("{:x}", data.len());
        if let Some((signer, messages)) = &mut self.chain {
            let message = messages.of_chunk(&canonical::body_hash(data));
            messages.previous = signer.sign(message.as_bytes());
            let signature = padded(&messages.previous, messages.algorithm);
            line = format!("{line};{CHUNK_SIGNATURE}{signature}");
        }
        line.push_str("\r\n");
        body.extend_from_slice(line.as_bytes());
        body.extend_from_slice(data);
    }
}

/// A signature of V4A is filled up with `*`, so that the body's length is known before it is
/// signed.
fn padded(signature: &str, algorithm: Algorithm) -> String {
    match algorithm {
        Algorithm::Symmetric => signature.to_owned(),
        Algorithm::Asymmetric => format!("{signature:*<LONGEST_SIGNATURE$}"),
    }
}

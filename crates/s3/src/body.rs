//! A request's body as its operation reads it: decoded, verified as it comes, never held whole
//! unless it is a document. What was given out of a body that turns out not to be what was signed
//! must be thrown away: the error at its end says so.

use aws::signature::{PayloadVerifier, Trailers};
use bytes::Bytes;
use http_body_util::BodyExt;

use crate::digest::Digests;
use crate::error::Fault;
use crate::service::Body;

/// The largest document that is read: 10,000 parts of an upload with their checksums take 3 MB.
pub(crate) const DOCUMENT: u64 = 4 << 20;

/// A body on its way in.
pub(crate) struct Payload {
    body: Body,
    /// None once the body has ended.
    verifier: Option<PayloadVerifier>,
    length: Option<u64>,
    received: u64,
    trailers: Trailers,
}

impl Payload {
    /// That body. `declared`: what Content-Length says.
    pub(crate) fn new(body: Body, verifier: PayloadVerifier, declared: Option<u64>) -> Payload {
        Payload {
            length: verifier.decoded_length().or(declared),
            body,
            verifier: Some(verifier),
            received: 0,
            trailers: Trailers::new(),
        }
    }

    /// How long it will be, if that is told.
    pub(crate) fn length(&self) -> Option<u64> {
        self.length
    }

    /// What came after it; empty until it has ended.
    pub(crate) fn trailers(&self) -> &[(String, String)] {
        &self.trailers
    }

    /// The next bytes. `None`: that was all of it, and it is what was signed, as long as was told.
    ///
    /// # Errors
    ///
    /// It isn't, or it broke off.
    pub(crate) async fn next(&mut self) -> Result<Option<Bytes>, Fault> {
        loop {
            let Some(verifier) = &mut self.verifier else {
                return Ok(None);
            };
            let Some(frame) = self.body.frame().await else {
                return self.end().map(|()| None);
            };
            let Ok(data) = frame.map_err(|_| incomplete())?.into_data() else {
                continue;
            };
            let payload = match verifier.pass(data) {
                Ok(payload) => payload,
                Err(error) => {
                    self.verifier = None;
                    return Err(error.into());
                }
            };
            if payload.is_empty() {
                continue;
            }
            self.received += payload.len() as u64;
            if self.length.is_some_and(|length| self.received > length) {
                return Err(incomplete());
            }
            return Ok(Some(payload));
        }
    }

    /// All of it, as a document that is what its digests say.
    ///
    /// # Errors
    ///
    /// Those of [`Payload::next`], `MaxMessageLengthExceeded`, `BadDigest`.
    pub(crate) async fn document(mut self, digests: &Digests) -> Result<Bytes, Fault> {
        let too_large = || Fault::bad("MaxMessageLengthExceeded", "Your request was too big.");
        if self.length.is_some_and(|length| length > DOCUMENT) {
            return Err(too_large());
        }
        let mut document = Vec::new();
        while let Some(bytes) = self.next().await? {
            if (document.len() + bytes.len()) as u64 > DOCUMENT {
                return Err(too_large());
            }
            document.extend_from_slice(&bytes);
        }
        digests.check(&document, &self.trailers)?;
        if declares_types(&document) {
            return Err(Fault::malformed());
        }
        Ok(Bytes::from(document))
    }

    fn end(&mut self) -> Result<(), Fault> {
        let verifier = self.verifier.take();
        if let Some(verifier) = verifier {
            self.trailers = verifier.finish()?;
        }
        match self.length {
            Some(length) if length != self.received => Err(incomplete()),
            _ => Ok(()),
        }
    }
}

/// A document type or entities of its own (no request of S3 has any, and what they expand to has no
/// bound), or a section of characters, which the codec overlooks.
fn declares_types(document: &[u8]) -> bool {
    let is_json = document.trim_ascii_start().starts_with(b"{");
    // Only comments may begin so.
    let begins = |three: &[u8]| three.starts_with(b"<!") && three[2] != b'-';
    !is_json && document.windows(3).any(begins)
}

fn incomplete() -> Fault {
    objects::ObjectError::IncompleteBody.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_document_type_is_seen_wherever_it_stands() {
        for document in [
            "<!DOCTYPE a [<!ENTITY b \"c\">]><a/>",
            "<?xml version=\"1.0\"?><!-- c --><!doctype a><a/>",
            "<a><![CDATA[b]]></a>",
        ] {
            assert!(declares_types(document.as_bytes()), "{document}");
        }
        for document in ["<a><!-- c --></a>", "{\"<!\": 1}", ""] {
            assert!(!declares_types(document.as_bytes()), "{document}");
        }
    }
}

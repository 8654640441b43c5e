//! A request's body as its operation reads it: decoded, verified as it comes, never held whole
//! unless it is a document; what is held of it until its signature is known, all requests share a
//! budget for. What was given out of a body that turns out not to be what was signed
//! must be thrown away: the error at its end says so.

use std::sync::Arc;

use aws::signature::{PayloadVerifier, Trailers};
use bytes::Bytes;
use http_body_util::BodyExt;

use crate::budget::{ChunkBudget, Share};
use crate::digest::Digests;
use crate::error::Fault;
use crate::service::Body;

/// The largest document that is read: 10,000 parts of an upload with their checksums take 3 MB.
pub(crate) const DOCUMENT: u64 = 4 << 20;

/// A signed chunk of up to so many bytes isn't counted: clients send 64 KiB.
const SMALL_CHUNK: u64 = 64 << 10;

/// A body on its way in.
pub(crate) struct Payload {
    body: Body,
    /// None once the body has ended.
    verifier: Option<PayloadVerifier>,
    length: Option<u64>,
    received: u64,
    trailers: Trailers,
    budget: Arc<ChunkBudget>,
    /// How long it may be, from and to, where it doesn't say how long it is.
    range: Option<(u64, u64)>,
    /// For the signed chunk that is under way, or was given out last.
    share: Option<Share>,
}

impl Payload {
    /// That body. `declared`: what Content-Length says.
    pub(crate) fn new(
        body: Body,
        verifier: PayloadVerifier,
        declared: Option<u64>,
        budget: Arc<ChunkBudget>,
    ) -> Payload {
        Payload {
            length: verifier.decoded_length().or(declared),
            body,
            verifier: Some(verifier),
            received: 0,
            trailers: Trailers::new(),
            budget,
            range: None,
            share: None,
        }
    }

    /// The same, which needn't say how long it is, and must be so long.
    pub(crate) fn within(self, range: Option<(u64, u64)>) -> Payload {
        Payload { range, ..self }
    }

    /// Needn't it say how long it is?
    pub(crate) fn is_bounded(&self) -> bool {
        self.range.is_some()
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
            self.take_share().await;
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
            match self.range {
                Some((_, most)) if self.received > most => {
                    let fault = Fault::from(objects::ObjectError::EntityTooLarge);
                    return Err(fault
                        .member("ProposedSize", self.received.to_string())
                        .member("MaxSizeAllowed", most.to_string()));
                }
                _ => return Ok(Some(payload)),
            }
        }
    }

    /// Takes what the budget must have for the signed chunk that has begun, and gives back what it
    /// had for the one before.
    async fn take_share(&mut self) {
        let held = self.verifier.as_ref().map_or(0, PayloadVerifier::held);
        let held = if held > SMALL_CHUNK { held } else { 0 };
        if self.share.as_ref().map_or(0, Share::bytes) == held {
            return;
        }
        self.share = None;
        if held > 0 {
            self.share = Some(self.budget.take(held).await);
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
        match (self.length, self.range) {
            (Some(length), _) if length != self.received => Err(incomplete()),
            (_, Some((least, _))) if self.received < least => {
                let text = "Your proposed upload is smaller than the minimum allowed size";
                Err(Fault::bad("EntityTooSmall", text)
                    .member("ProposedSize", self.received.to_string())
                    .member("MinSizeAllowed", least.to_string()))
            }
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
    use std::convert::Infallible;

    use aws::signature::{
        Algorithm, ChunkForm, Credentials, Expected, KeyLookup, KeyRefusal, Rules, SecretKey,
        Target, Verifier, sign_chunked,
    };
    use futures_util::{FutureExt, StreamExt, stream};
    use http_body::Frame;
    use http_body_util::StreamBody;
    use types::Timestamp;

    use super::*;

    const CHUNK: usize = 1 << 20;
    const NOW: Timestamp = Timestamp(1_795_886_400_000);

    struct Key;

    impl KeyLookup for Key {
        fn secret(&self, _: &str, _: Option<&str>) -> Result<SecretKey, KeyRefusal> {
            Ok(SecretKey::new("secret".to_owned()))
        }
    }

    /// An upload in two signed chunks: as much of it comes as that says, and then nothing.
    fn upload(budget: &Arc<ChunkBudget>, comes: usize) -> Payload {
        let request = http::Request::put("/b/k").header("host", "h");
        let (mut parts, ()) = request.body(()).unwrap().into_parts();
        let target = Target {
            service: "s3",
            region: "us-east-1".parse().unwrap(),
            rules: Rules::OBJECTS,
        };
        let secret = SecretKey::new("secret".to_owned());
        let credentials = Credentials {
            access_key_id: "AKID",
            secret: &secret,
            session_token: None,
        };
        let form = ChunkForm {
            signed: Some(Algorithm::Symmetric),
            trailer: false,
        };
        let said = (2 * CHUNK as u64, &[][..]);
        let signer = sign_chunked(&mut parts, form, said, None, &credentials, &target, NOW);
        let mut signer = signer.unwrap();
        let mut body = Vec::new();
        signer.chunk(&vec![7; CHUNK], &mut body);
        signer.chunk(&vec![8; CHUNK], &mut body);
        signer.finish(&[], &mut body).unwrap();
        let expected = Expected {
            service: "s3",
            regions: &[target.region],
            rules: Rules::OBJECTS,
        };
        let verified = Verifier::new().verify_head(&parts, &expected, NOW, &Key);
        let (_, verifier) = verified.unwrap();
        let is_all = comes >= body.len();
        let frames: Vec<_> = body[..comes.min(body.len())]
            .chunks(100_000)
            .map(|piece| Ok::<_, Infallible>(Frame::data(Bytes::copy_from_slice(piece))))
            .collect();
        let frames = stream::iter(frames);
        let body = match is_all {
            true => frames.boxed(),
            false => frames.chain(stream::pending()).boxed(),
        };
        let body = BodyExt::map_err(StreamBody::new(body), |never| match never {});
        Payload::new(BodyExt::boxed_unsync(body), verifier, None, budget.clone())
    }

    #[test]
    fn chunks_of_all_requests_share_a_budget() {
        let budget = ChunkBudget::new(5 * CHUNK as u64 / 2);
        let mut uploads: Vec<_> = (0..3).map(|_| upload(&budget, CHUNK / 2)).collect();
        for upload in &mut uploads {
            assert!(upload.next().now_or_never().is_none());
        }
        let shares = |uploads: &[Payload]| -> Vec<u64> {
            let shares = uploads.iter().map(|upload| upload.share.as_ref());
            shares.map(|share| share.map_or(0, Share::bytes)).collect()
        };
        let chunk = CHUNK as u64;
        assert_eq!(shares(&uploads), [chunk, chunk, 0]);
        // One that has room goes through beside, chunk after chunk, and gives everything back.
        let other = ChunkBudget::new(chunk);
        let mut whole = upload(&other, usize::MAX);
        let mut received = 0;
        while let Some(bytes) = whole.next().now_or_never().unwrap().unwrap() {
            received += bytes.len();
        }
        assert_eq!(received, 2 * CHUNK);
        assert!(whole.share.is_none());
        uploads.remove(0);
        assert!(uploads[1].next().now_or_never().is_none());
        assert_eq!(shares(&uploads), [chunk, chunk]);
    }

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

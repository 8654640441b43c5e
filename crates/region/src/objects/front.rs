//! The way of a request for S3: bodies stream both ways, a signature is verified before its body
//! is there, and a request that nobody signed is judged as nobody's. One whose signature doesn't
//! hold, or is of a form that isn't taken, is refused: it is never taken for unsigned.

use std::sync::Arc;

use aws::signature::{
    Expected, PayloadVerifier, Rules, SignatureError, Verified, carries_signature, is_form_signed,
    is_version2, scope_of, verify_form, verify_version2,
};
use bytes::Bytes;
use http::header::HOST;
use http::request::Parts;
use http::{Method, Request, Response};
use http_body_util::{BodyExt, Full};
use identity::{Anonymous, Call};
use s3::{Body, Caller, Form, S3Call, S3Form};
use store::Engine;

use crate::client::Client;
use crate::region::Region;

/// The service's signing name.
const SERVICE: &str = "s3";

/// Domains whose hosts name S3 or a bucket.
const DOMAINS: [&str; 2] = [".localhost", ".amazonaws.com"];

/// Is a request that says no service one for S3? By its host, or by a path that no other service
/// has. Requests with a target, forms and Route 53's paths were looked for before.
pub(crate) fn is_addressed(parts: &Parts) -> bool {
    parts.uri.path() != "/" || names_service(parts) || carries_signature(parts)
}

/// Does the host name S3: `s3.REGION.…`, `BUCKET.s3.REGION.…`, `BUCKET.localhost`?
fn names_service(parts: &Parts) -> bool {
    let host = parts.headers.get(HOST).and_then(|host| host.to_str().ok());
    let host = host.or_else(|| parts.uri.host()).unwrap_or_default();
    let host = host.rsplit_once(':').map_or(host, |(host, _)| host);
    let host = host.to_ascii_lowercase();
    let Some(domain) = DOMAINS.iter().find(|domain| host.ends_with(*domain)) else {
        return false;
    };
    let mut labels = host[..host.len() - domain.len()].split('.');
    let names_it = |label: &str| label == SERVICE || label.starts_with("s3-");
    // A bare name before `localhost` is a bucket's, unless it is of another service's endpoint.
    *domain == DOMAINS[0] && labels.clone().count() == 1 || labels.any(names_it)
}

/// The bucket whose Region a request for S3 is for, where nothing of it says which: Signature V2
/// names none, and forms say it in their bodies. AWS finds it by the host's name in DNS, and by the
/// bucket.
pub fn bucket_to_find(parts: &Parts) -> Option<String> {
    let is_placeless = is_version2(parts) || s3::is_form(parts);
    let is_placeless = is_placeless && scope_of(parts).is_none();
    let bucket = s3::named_bucket(parts).filter(|_| is_placeless)?;
    Some(bucket.to_string())
}

impl<E: Engine> Region<E> {
    /// Is the request with that head for S3, and so to be handed to [`Region::handle_streamed`]?
    pub fn streams(parts: &Parts) -> bool {
        crate::front::is_for_objects(parts)
    }

    /// Every operation of S3 by name, and whether it is built.
    pub fn s3_operations() -> impl Iterator<Item = (&'static str, bool)> {
        s3::S3Service::<E>::operations()
    }

    /// Answers a request for S3 from that client, its body as it comes. Must be polled to its end:
    /// a write that was begun is carried out.
    pub async fn handle_streamed(&self, client: Client, request: Request<Body>) -> Response<Body> {
        let (parts, body) = request.into_parts();
        let request_id = format!("{:016X}", self.environment.random());
        if s3::is_form(&parts) && !carries_signature(&parts) {
            let form = S3Form {
                request: Request::from_parts(parts.clone(), body),
                request_id,
                source: client.address,
            };
            let admit = |form: &Form| self.admit_form(client, &parts, form);
            return self.s3.post(form, &admit).await;
        }
        match self.admit_to_objects(client, &parts) {
            Ok((caller, payload)) => {
                let request = Request::from_parts(parts, body);
                let call = S3Call {
                    request,
                    caller,
                    payload,
                    request_id,
                    source: client.address,
                };
                self.s3.call(call).await
            }
            Err(refused) => s3::refuse(&parts, &request_id, refused.in_objects(&parts)),
        }
    }

    /// The same of a request that is held whole, its answer too.
    pub(crate) async fn handle_whole(
        &self,
        client: Client,
        request: Request<Bytes>,
    ) -> Response<Bytes> {
        let request = request.map(|bytes| {
            let whole = Full::new(bytes).map_err(|never| match never {});
            whole.boxed_unsync()
        });
        let (parts, body) = self.handle_streamed(client, request).await.into_parts();
        let bytes = match body.collect().await {
            Ok(collected) => collected.to_bytes(),
            Err(error) => {
                // Whoever reads less than was announced knows that something is missing.
                tracing::warn!(%error, "an answer ended early");
                Bytes::new()
            }
        };
        Response::from_parts(parts, bytes)
    }

    /// Who calls, and with what the body is verified.
    fn admit_to_objects(
        &self,
        client: Client,
        parts: &Parts,
    ) -> Result<(Caller, PayloadVerifier), SignatureError> {
        let identity = self.identity();
        let now = self.environment.now().wall;
        let context = crate::front::context(client, parts, self.name.name(), now);
        // What a browser asks before a presigned request has that one's address, and isn't signed.
        if !carries_signature(parts) || parts.method == Method::OPTIONS {
            let payload = PayloadVerifier::unsigned(parts)?;
            let caller = Anonymous::new(identity, context);
            return Ok((Caller::Anonymous(Arc::new(caller)), payload));
        }
        let expected = Expected {
            service: SERVICE,
            regions: &[self.name],
            rules: Rules::OBJECTS,
        };
        let keys = identity.keys(now);
        let verified = match is_version2(parts) {
            true => verify_version2(parts, s3::hosted_bucket(parts).as_deref(), now, &keys),
            false => self.verifier.verify_head(parts, &expected, now, &keys),
        };
        let (verified, payload) = verified.map_err(|error| match error {
            // It is signed, as nothing that is known.
            SignatureError::MissingToken => SignatureError::Scheme,
            other => other,
        })?;
        let caller = identity.caller(&verified, now)?;
        let call = Call::new(identity, caller, context);
        Ok((Caller::Signed(Arc::new(call)), payload))
    }

    /// Who sends a form.
    fn admit_form(
        &self,
        client: Client,
        parts: &Parts,
        form: &Form,
    ) -> Result<Caller, SignatureError> {
        let identity = self.identity();
        let now = self.environment.now().wall;
        let context = crate::front::context(client, parts, self.name.name(), now);
        let fields = |name: &str| form.field(name);
        if !is_form_signed(&fields) {
            return Ok(Caller::Anonymous(Arc::new(Anonymous::new(
                identity, context,
            ))));
        }
        let expected = Expected {
            service: SERVICE,
            regions: &[self.name],
            rules: Rules::OBJECTS,
        };
        let verified: Verified = verify_form(&fields, &expected, now, &identity.keys(now))?;
        let caller = identity.caller(&verified, now)?;
        Ok(Caller::Signed(Arc::new(Call::new(
            identity, caller, context,
        ))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(request: http::request::Builder) -> Parts {
        request.body(()).unwrap().into_parts().0
    }

    fn at_host(host: &str, uri: &str) -> Parts {
        parts(Request::get(uri).header(HOST, host))
    }

    #[test]
    fn what_version_2_signed_is_for_the_region_of_its_bucket() {
        let of = |uri: &str, authorization: Option<&str>| {
            let mut request = Request::get(uri).header(HOST, "127.0.0.1:4566");
            if let Some(header) = authorization {
                request = request.header("authorization", header);
            }
            bucket_to_find(&parts(request))
        };
        let bucket = Some("bucket".to_owned());
        assert_eq!(of("/bucket/key", Some("AWS A:b")), bucket);
        assert_eq!(of("/bucket?AWSAccessKeyId=A", None), bucket);
        assert_eq!(of("/", Some("AWS A:b")), None);
        assert_eq!(of("/bucket/key", None), None);
        let scoped = "AWS4-HMAC-SHA256 Credential=A/20260101/eu-west-1/s3/aws4_request";
        assert_eq!(of("/bucket/key", Some(scoped)), None);
    }

    #[test]
    fn a_host_or_a_path_says_that_it_is_for_s3() {
        for (host, uri) in [
            ("127.0.0.1:4566", "/bucket"),
            ("127.0.0.1:4566", "/bucket/key?versionId=1"),
            ("bucket.s3.localhost:4566", "/"),
            ("bucket.s3.eu-west-1.localhost:4566", "/?list-type=2"),
            ("s3.eu-west-1.localhost", "/"),
            ("my.bucket.s3.eu-west-1.amazonaws.com", "/"),
            ("s3-eu-west-1.amazonaws.com", "/"),
            ("bucket.localhost:4566", "/"),
            ("127.0.0.1:4566", "/?AWSAccessKeyId=A&Signature=b"),
        ] {
            assert!(is_addressed(&at_host(host, uri)), "{host} {uri}");
        }
        for (host, uri) in [
            ("127.0.0.1:4566", "/"),
            ("localhost:4566", "/?Action=GetCallerIdentity"),
            ("dynamodb.us-east-1.amazonaws.com", "/"),
            ("sts.us-east-1.localhost", "/"),
        ] {
            assert!(!is_addressed(&at_host(host, uri)), "{host} {uri}");
        }
    }
}

//! The service as the front door calls it: a request whose signature held, its caller's judge and
//! its body's verifier in; an answer out. It never fails otherwise than by an answer. A call must be
//! polled to its end: a write that was begun is carried out.

use std::sync::Arc;

use aws::ServiceError;
use aws::access::Authorizer;
use aws::signature::PayloadVerifier;
use bytes::Bytes;
use http::request::Parts;
use http::{Request, Response};
use http_body_util::combinators::UnsyncBoxBody;
use objects::Objects;
use store::Engine;

use crate::address::Address;
use crate::answer::About;
use crate::error::{BUCKET_REGION, Fault};

/// What goes wrong with a body on its way: the text of it.
pub type BodyError = Box<dyn std::error::Error + Send + Sync>;

/// A body on its way, in either direction.
pub type Body = UnsyncBoxBody<Bytes, BodyError>;

/// Who calls.
#[derive(Clone)]
pub enum Caller {
    /// Whoever signed the request.
    Signed(Arc<dyn Authorizer>),
    /// Nobody that is known: judged by policies of buckets and access control lists alone. Its
    /// judge lets pass what a bucket's policy grants to everyone, and nothing else.
    Anonymous(Arc<dyn Authorizer>),
}

/// A request on its way to its operation.
pub struct S3Call {
    /// As it came, its signature still in it; of a body in chunks not yet decoded.
    pub request: Request<Body>,
    /// Who calls.
    pub caller: Caller,
    /// With what the body is verified: from `Verifier::verify_head`, or
    /// [`PayloadVerifier::unsigned`] of an unsigned request.
    pub payload: PayloadVerifier,
    /// What the answer's `x-amz-request-id` is.
    pub request_id: String,
}

/// S3 of one Region, over its objects.
pub struct S3Service<E: Engine> {
    objects: Arc<Objects<E>>,
}

impl<E: Engine> S3Service<E> {
    /// The service over those objects.
    pub fn new(objects: Arc<Objects<E>>) -> S3Service<E> {
        S3Service { objects }
    }

    /// Answers a request.
    pub async fn call(&self, call: S3Call) -> Response<Body> {
        let (parts, _) = call.request.into_parts();
        let mut about = About::of(&parts, &call.request_id);
        about.address = match Address::of(&parts) {
            Ok(address) => Some(address),
            Err(fault) => return about.fault(&fault),
        };
        let region = self.objects.config().region;
        about.fault(&Fault::not_built(&format!("S3 in {region}")))
    }
}

/// The answer to a request that is refused before it comes to the service: its signature doesn't
/// hold, or its body can't be what it says (`SignatureError::in_objects`).
pub fn refuse(parts: &Parts, request_id: &str, error: ServiceError) -> Response<Body> {
    let mut about = About::of(parts, request_id);
    about.address = Address::of(parts).ok();
    let mut fault = Fault::from(error);
    let region = fault.members.iter().find(|(name, _)| name == "Region");
    if let Some((_, region)) = region.cloned() {
        // HEAD has no document: this is where SDKs look.
        fault = fault.header(BUCKET_REGION, &region);
    }
    about.fault(&fault)
}

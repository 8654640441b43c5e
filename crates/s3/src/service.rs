//! The service as the front door calls it: a request whose signature held, its caller's judge and
//! its body's verifier in; an answer out. It never fails otherwise than by an answer. A call must
//! be polled to its end: a write that was begun is carried out.

use std::net::IpAddr;
use std::sync::{Arc, Mutex, OnceLock};

use aws::ServiceError;
use aws::access::Authorizer;
use aws::signature::PayloadVerifier;
use bytes::Bytes;
use http::header::CONTENT_LENGTH;
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::combinators::UnsyncBoxBody;
use objects::Objects;
use store::Engine;
use types::Timestamp;

use crate::address::Address;
use crate::answer::{self, About};
use crate::body::Payload;
use crate::budget::ChunkBudget;
use crate::condition_keys::Signing;
use crate::context::{Answer, Context};
use crate::digest::Digests;
use crate::error::{BUCKET_REGION, Fault};
use crate::post::Posted;
use crate::query::Query;
use crate::table::{self, Takes};
use crate::{access, codec, guard, jobs, preflight, schema};

/// The memory that signed chunks of more than 64 KiB may take together: 16 of the largest, or 256
/// of the 1 MiB that clients send who send large ones. Ours; more of them wait.
const CHUNKS: u64 = 256 << 20;

/// What S3 tells nobody who begins an upload in parts (as observed).
const ANONYMOUS_UPLOAD: &str =
    "Anonymous users cannot initiate multipart uploads.  Please authenticate.";

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
    /// Where it came from.
    pub source: IpAddr,
}

/// The same, taken apart.
pub(crate) struct Sent {
    pub(crate) parts: Parts,
    pub(crate) body: Body,
    pub(crate) caller: Caller,
    pub(crate) verifier: PayloadVerifier,
    pub(crate) source: IpAddr,
    /// Of a PUT that was made of a form.
    pub(crate) posted: Option<Posted>,
}

/// S3 of one Region, over its objects.
pub struct S3Service<E: Engine> {
    objects: Arc<Objects<E>>,
    codec: s3s::service::S3Service,
    chunks: Arc<ChunkBudget>,
}

impl<E: Engine> S3Service<E> {
    /// The service over those objects.
    pub fn new(objects: Arc<Objects<E>>) -> S3Service<E> {
        S3Service {
            objects,
            codec: codec::codec::<E>(),
            chunks: ChunkBudget::new(CHUNKS),
        }
    }

    /// Every operation of the published model by name, and whether it is built.
    pub fn operations() -> impl Iterator<Item = (&'static str, bool)> {
        let operations = crate::table::OPERATIONS.iter();
        operations.map(|operation| (operation.name, operation.handler.is_some()))
    }

    /// Answers a request.
    pub async fn call(&self, call: S3Call) -> Response<Body> {
        let (parts, body) = call.request.into_parts();
        let mut about = About::of(&parts, &call.request_id);
        let sent = Sent {
            parts,
            body,
            caller: call.caller,
            verifier: call.payload,
            source: call.source,
            posted: None,
        };
        match self.carry_out(&mut about, sent).await {
            Ok(response) => about.identified(response),
            Err(fault) => about.fault(&self.placed(fault, &about)),
        }
    }

    pub(crate) async fn carry_out(
        &self,
        about: &mut About,
        sent: Sent,
    ) -> Result<Response<Body>, Fault> {
        let Sent {
            parts,
            body,
            caller,
            verifier,
            source,
            posted,
        } = sent;
        let (range, signing) = match posted {
            Some(posted) => (Some(posted.range), posted.signing),
            None => (None, Signing::of(&parts)),
        };
        if jobs::is_control(&parts) {
            let asked = jobs::Asked::new(judge_of(&caller), &parts);
            let length = guard::length(&parts.headers)?;
            let payload = Payload::new(body, verifier, length, self.chunks.clone());
            return jobs::answer(&self.objects, asked, payload).await;
        }
        let address = Address::of(&parts)?;
        about.address = Some(address.clone());
        let (query, carried) = Query::of(&parts)?;
        about.version_id = query.get("versionId").map(str::to_owned);
        about.upload_id = query.get("uploadId").map(str::to_owned);
        if parts.method == Method::OPTIONS {
            return preflight::answer(&self.objects, &address, &parts.headers);
        }
        let headers = guard::headers(&parts.headers, carried)?;
        let is_copy = headers.contains_key("x-amz-copy-source");
        let row = table::route(&parts.method, address.level(), &query, is_copy)?;
        if !row.is_built() {
            return Err(Fault::not_built(&format!("The operation '{}'", row.name)));
        }
        let mut context = Context {
            objects: self.objects.clone(),
            caller,
            row,
            about: about.clone(),
            source_address: source.to_string(),
            digests: Digests::default(),
            headers,
            signing,
            query,
            bucket: None,
            document: Bytes::new(),
            payload: Mutex::new(None),
            answer: Mutex::new(Answer::default()),
            judged: OnceLock::new(),
        };
        let named = address.bucket.as_ref();
        if let Some(name) = named.filter(|_| row.name != "CreateBucket") {
            let bucket = self.objects.bucket(name)?;
            guard::expected_owner(&context, "x-amz-expected-bucket-owner", &bucket)?;
            context.bucket = Some(bucket);
        }
        let cross = preflight::shared(&context);
        let length = guard::length(&context.headers)?;
        let payload = Payload::new(body, verifier, length, self.chunks.clone());
        let payload = payload.within(range);
        let outcome = self.operate(&address, &parts, context, payload).await;
        with_shared(outcome, cross)
    }

    /// Judges the caller, takes the body, and has the operation carried out.
    async fn operate(
        &self,
        address: &Address,
        parts: &Parts,
        mut context: Context<E>,
        payload: Payload,
    ) -> Result<Response<Body>, Fault> {
        let row = context.row;
        let is_judged_by_document = access::BY_DOCUMENT.contains(&row.name);
        if !is_judged_by_document {
            access::judge(&context).await?;
        }
        if row.name == "CreateMultipartUpload" && context.is_anonymous() {
            return Err(Fault::denied(ANONYMOUS_UPLOAD));
        }
        context.digests = guard::digests(row, &context.headers)?;
        let document = match row.takes {
            Takes::Stream => {
                let payload = guard::measured(payload)?;
                context.payload = Mutex::new(Some(payload));
                Bytes::new()
            }
            Takes::Document => {
                context.document = payload.document(&context.digests).await?;
                schema::check(row.name, &context.document)?;
                context.document.clone()
            }
            Takes::Empty => {
                // What it is doesn't matter; that it is what was signed does.
                payload.document(&Digests::default()).await?;
                Bytes::new()
            }
        };
        if is_judged_by_document {
            access::judge(&context).await?;
        }
        self.through_codec(address, parts, context, document).await
    }

    /// Has the codec call the adapter.
    async fn through_codec(
        &self,
        address: &Address,
        parts: &Parts,
        context: Context<E>,
        document: Bytes,
    ) -> Result<Response<Body>, Fault> {
        let mut path = address.path(&parts.uri);
        let query = context.query.encoded();
        if !query.is_empty() {
            path.push('?');
            path.push_str(&query);
        }
        let mut request = Request::new(s3s::Body::from(document.clone()));
        *request.method_mut() = parts.method.clone();
        *request.uri_mut() = path.parse().map_err(|_| guard::invalid_uri())?;
        *request.headers_mut() = guard::for_codec(&context.headers, document.len());
        let context = Arc::new(context);
        request.extensions_mut().insert(context.clone());
        let answered = self.codec.call(request).await;
        let response = answered.map_err(|_| Fault::internal("the codec can't answer"))?;
        let answer = {
            let mut answer = context.answer.lock().expect("keeping does not panic");
            std::mem::take(&mut *answer)
        };
        if let Some(fault) = answer.fault {
            return Err(fault);
        }
        let (mut head, body) = response.into_parts();
        head.status = answer.status.unwrap_or(head.status);
        if let Some(body) = answer.body {
            return Ok(Response::from_parts(head, body));
        }
        let body = body.bytes().unwrap_or_default();
        if !head.status.is_success() {
            return Err(answer::refused_by_codec(head.status, &body));
        }
        if context.row.method == Method::HEAD || head.status == StatusCode::NO_CONTENT {
            return Ok(Response::from_parts(head, answer::full(Bytes::new())));
        }
        head.headers
            .insert(CONTENT_LENGTH, HeaderValue::from(body.len()));
        Ok(Response::from_parts(head, answer::full(body)))
    }

    /// The time, as signatures and policies count it.
    pub(crate) fn now(&self) -> Timestamp {
        self.objects.config().environment.now().wall
    }

    /// A fault with where this is, or the bucket is, for SDKs that look for it.
    pub(crate) fn placed(&self, fault: Fault, about: &About) -> Fault {
        let region = self.objects.config().region;
        let bucket = about
            .address
            .as_ref()
            .and_then(|address| address.bucket.as_ref());
        let told = fault
            .headers
            .iter()
            .find(|(name, _)| *name == BUCKET_REGION);
        match (bucket, told.cloned()) {
            (Some(bucket), Some((_, elsewhere))) if fault.code == "PermanentRedirect" => {
                let elsewhere = elsewhere.to_str().unwrap_or_default();
                let endpoint = format!("{bucket}.s3.{elsewhere}.amazonaws.com");
                fault.member("Endpoint", endpoint)
            }
            (Some(_), None) if fault.code == "AccessDenied" => {
                fault.header(BUCKET_REGION, region.name())
            }
            _ => fault,
        }
    }
}

/// The outcome with what a browser is told of other origins: without that it keeps an answer from
/// the script, a refusal too.
fn with_shared(
    outcome: Result<Response<Body>, Fault>,
    cross: HeaderMap,
) -> Result<Response<Body>, Fault> {
    match outcome {
        Ok(mut response) => {
            response.headers_mut().extend(cross);
            Ok(response)
        }
        Err(mut fault) => {
            let pairs = cross
                .into_iter()
                .filter_map(|(name, value)| Some((name?, value)));
            fault.headers.extend(pairs);
            Err(fault)
        }
    }
}

/// The judge of a caller whose signature held.
fn judge_of(caller: &Caller) -> Option<&dyn Authorizer> {
    match caller {
        Caller::Signed(judge) => Some(&**judge),
        Caller::Anonymous(_) => None,
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

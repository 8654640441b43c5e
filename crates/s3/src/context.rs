//! One request as its adapter sees it: who calls, what it is about, the bucket as it was found and
//! judged, its body, and where an answer's body and faults go that the codec can't carry. An
//! adapter reads its typed input from the codec and everything else from here.

use std::sync::{Arc, Mutex, OnceLock};

use aws::access::Authorizer;
use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use objects::{Bucket, BucketName, ObjectKey, Objects, VersionId};
use s3s::{S3Error, S3ErrorCode, S3Response, S3Result};
use store::Engine;
use types::AccountId;

use crate::access::Judged;
use crate::answer::About;
use crate::body::Payload;
use crate::condition_keys::Signing;
use crate::digest::Digests;
use crate::error::Fault;
use crate::query::Query;
use crate::service::{Body, Caller};
use crate::table::Row;

/// What an adapter answers.
pub(crate) type Outcome<T> = Result<S3Response<T>, Fault>;

/// One request on its way through its operation.
pub(crate) struct Context<E: Engine> {
    /// The Region's objects.
    pub(crate) objects: Arc<Objects<E>>,
    /// Who calls.
    pub(crate) caller: Caller,
    /// The operation.
    pub(crate) row: &'static Row,
    /// What an answer is told of the request.
    pub(crate) about: About,
    /// Where the request came from.
    pub(crate) source_address: String,
    /// The headers as they came, with those that a presigned URL carried. Keys of customers are
    /// among them: never to be logged.
    pub(crate) headers: HeaderMap,
    /// How it is signed.
    pub(crate) signing: Signing,
    /// The parameters.
    pub(crate) query: Query,
    /// What the request says of its body.
    pub(crate) digests: Digests,
    /// The bucket, of every operation on one that is there already.
    pub(crate) bucket: Option<Bucket>,
    /// Its document, once it was taken.
    pub(crate) document: Bytes,
    pub(crate) payload: Mutex<Option<Payload>>,
    pub(crate) answer: Mutex<Answer>,
    /// What the caller was judged by, of every operation on an object.
    pub(crate) judged: OnceLock<Vec<Judged>>,
}

/// What the codec doesn't carry back.
#[derive(Default)]
pub(crate) struct Answer {
    /// The status, where it isn't what the codec takes it for.
    pub(crate) status: Option<StatusCode>,
    /// The body, of an object.
    pub(crate) body: Option<Body>,
    /// Why the operation wasn't carried out.
    pub(crate) fault: Option<Fault>,
}

impl<E: Engine> Context<E> {
    /// The judge of the caller.
    pub(crate) fn judge(&self) -> &Arc<dyn Authorizer> {
        let (Caller::Signed(judge) | Caller::Anonymous(judge)) = &self.caller;
        judge
    }

    /// Is the caller nobody that is known?
    pub(crate) fn is_anonymous(&self) -> bool {
        matches!(self.caller, Caller::Anonymous(_))
    }

    /// Whose what this request makes is: the caller's account, the bucket's owner's of an
    /// anonymous one.
    pub(crate) fn account(&self) -> AccountId {
        match (&self.caller, &self.bucket) {
            (Caller::Anonymous(_), Some(bucket)) => bucket.entry.owner,
            _ => self.judge().account(),
        }
    }

    /// The bucket that the request is about.
    ///
    /// # Errors
    ///
    /// An operation was called that has none: ours.
    pub(crate) fn bucket(&self) -> Result<&Bucket, Fault> {
        let bucket = self.bucket.as_ref();
        bucket.ok_or_else(|| Fault::internal("an operation on a bucket has none"))
    }

    /// The name of the bucket, which may not be there yet.
    ///
    /// # Errors
    ///
    /// An operation was called that has none: ours.
    pub(crate) fn bucket_name(&self) -> Result<&BucketName, Fault> {
        let address = self.about.address.as_ref();
        let name = address.and_then(|address| address.bucket.as_ref());
        name.ok_or_else(|| Fault::internal("an operation on a bucket has no name of one"))
    }

    /// The key that the request is about.
    ///
    /// # Errors
    ///
    /// An operation was called that has none: ours.
    pub(crate) fn key(&self) -> Result<&ObjectKey, Fault> {
        let address = self.about.address.as_ref();
        let key = address.and_then(|address| address.key.as_ref());
        key.ok_or_else(|| Fault::internal("an operation on an object has no key"))
    }

    /// The version that the request names.
    ///
    /// # Errors
    ///
    /// `InvalidArgument`: the text can't be an id.
    pub(crate) fn version_id(&self) -> Result<Option<VersionId>, Fault> {
        self.query.get("versionId").map(version_id).transpose()
    }

    /// A header's text; none if it isn't there, or isn't one text.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let value = self.headers.get(name)?;
        value.to_str().ok()
    }

    /// Takes the body, once.
    ///
    /// # Errors
    ///
    /// An operation was called that has none: ours.
    pub(crate) fn payload(&self) -> Result<Payload, Fault> {
        let mut payload = self.payload.lock().expect("taking does not panic");
        let payload = payload.take();
        payload.ok_or_else(|| Fault::internal("an operation's body is taken, or it has none"))
    }

    /// The answer's body is that one, whatever the codec makes of the output.
    pub(crate) fn answer_with(&self, body: Body) {
        let mut answer = self.answer.lock().expect("keeping does not panic");
        answer.body = Some(body);
    }

    /// The answer's status is that one.
    pub(crate) fn answer_status(&self, status: StatusCode) {
        let mut answer = self.answer.lock().expect("keeping does not panic");
        answer.status = Some(status);
    }

    /// What the codec is told of an adapter's outcome.
    pub(crate) fn settle<T>(&self, outcome: Outcome<T>) -> S3Result<S3Response<T>> {
        outcome.map_err(|fault| {
            let mut answer = self.answer.lock().expect("keeping does not panic");
            answer.fault = Some(fault);
            S3Error::new(S3ErrorCode::InternalError)
        })
    }
}

/// A version's id as requests have it.
///
/// # Errors
///
/// `InvalidArgument`.
pub(crate) fn version_id(text: &str) -> Result<VersionId, Fault> {
    let parsed = text.parse::<VersionId>();
    parsed.map_err(|_| Fault::argument("versionId", text, "Invalid version id specified"))
}

/// An operation's output with status 200 and nothing beside.
pub(crate) fn done<T>(output: T) -> Outcome<T> {
    Ok(S3Response::new(output))
}

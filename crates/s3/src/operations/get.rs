//! `GetObject` and `HeadObject`: which bytes of which version, under which conditions, and what is
//! told of them. Bytes go out as they are read and verified; damage is an error, or ends an answer
//! that has begun, and is never sent.

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::StreamExt;
use http::header::{
    CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_ENCODING, CONTENT_LANGUAGE, CONTENT_LENGTH,
    CONTENT_RANGE, CONTENT_TYPE, EXPIRES, HeaderName, RANGE,
};
use http::{HeaderMap, StatusCode};
use http_body_util::{BodyExt, StreamBody};
use objects::content::{ContentReader, CustomerKey};
use objects::{
    Bucket, Checksum, Extent, ObjectData, ObjectError, ObjectKey, ObjectVersion, VersionId,
};
use s3s::S3Response;
use s3s::dto::{GetObjectInput, GetObjectOutput, HeadObjectInput, HeadObjectOutput};
use store::Engine;

use super::facts;
use crate::access::On;
use crate::context::{Context, Outcome};
use crate::error::{ACCESS_DENIED, Fault};
use crate::range::{Wanted, wanted};
use crate::service::{Body, BodyError};
use crate::values;

/// How often an object is looked up again that was replaced while its bytes were being found.
const LOOKUPS: usize = 3;

/// Parameters that replace a header of the answer.
const OVERRIDES: [(&str, HeaderName); 6] = [
    ("response-cache-control", CACHE_CONTROL),
    ("response-content-disposition", CONTENT_DISPOSITION),
    ("response-content-encoding", CONTENT_ENCODING),
    ("response-content-language", CONTENT_LANGUAGE),
    ("response-content-type", CONTENT_TYPE),
    ("response-expires", EXPIRES),
];

/// `GetObject`.
pub(crate) async fn get_object<E: Engine>(
    context: &Context<E>,
    _: GetObjectInput,
) -> Outcome<GetObjectOutput> {
    let mut lookups = 0;
    loop {
        let found = find(context).await?;
        let (range, key) = (found.range.clone(), found.key.as_ref());
        let (encryption, extents) = (&found.located.object()?.encryption, &found.located.extents);
        let reader = context
            .objects
            .read_extents(encryption, extents, range, key);
        let begun = begin(reader.await).await;
        lookups += 1;
        match begun {
            // Replaced in between, its bytes may be gone: there is a newer state to be read.
            Err(ObjectError::Damaged(_)) if lookups < LOOKUPS => {}
            Err(error) => return Err(error.into()),
            Ok((first, reader)) => {
                let headers = headers(context, &found)?;
                context.answer_with(body(first, reader));
                context.answer_status(found.status());
                let output = GetObjectOutput::default();
                return Ok(S3Response::with_headers(output, headers));
            }
        }
    }
}

/// `HeadObject`.
pub(crate) async fn head_object<E: Engine>(
    context: &Context<E>,
    _: HeadObjectInput,
) -> Outcome<HeadObjectOutput> {
    let found = find(context).await?;
    let headers = headers(context, &found)?;
    context.answer_status(found.status());
    Ok(S3Response::with_headers(
        HeadObjectOutput::default(),
        headers,
    ))
}

/// An object and where its bytes are.
pub(crate) struct Located {
    pub(crate) version: Arc<ObjectVersion>,
    pub(crate) extents: Vec<Extent>,
}

impl Located {
    /// The object's facts.
    ///
    /// # Errors
    ///
    /// It is a delete marker, which nobody finds: ours.
    pub(crate) fn object(&self) -> Result<&ObjectData, Fault> {
        let data = self.version.object();
        data.ok_or_else(|| Fault::internal("a delete marker was found"))
    }
}

/// Finds where the bytes of a version are.
///
/// # Errors
///
/// They are damaged.
pub(crate) async fn locate_in<E: Engine>(
    context: &Context<E>,
    bucket: &Bucket,
    key: &ObjectKey,
    version: Arc<ObjectVersion>,
) -> Result<Located, Fault> {
    let bucket = bucket.entry.id;
    let extents = match version.object() {
        Some(data) => {
            context
                .objects
                .extents(bucket, key, version.stamp, data)
                .await?
        }
        None => Vec::new(),
    };
    Ok(Located { version, extents })
}

/// What was found for a read.
struct Found {
    located: Located,
    key: Option<CustomerKey>,
    range: Range<u64>,
    /// Which part, if one is asked for.
    part: Option<Extent>,
    is_partial: bool,
}

impl Found {
    fn status(&self) -> StatusCode {
        match self.is_partial {
            true => StatusCode::PARTIAL_CONTENT,
            false => StatusCode::OK,
        }
    }
}

/// Finds what is to be read, if the request's conditions hold and its key is the right one.
async fn find<E: Engine>(context: &Context<E>) -> Result<Found, Fault> {
    let (bucket, name) = (context.bucket()?, context.key()?);
    let version = context.version_id()?;
    let found = context.objects.find(bucket, name, version).await;
    let located = match found {
        Ok(found) => {
            // Whoever was judged by another version was not judged by this one.
            context.confirm_row(Some(&found))?;
            locate_in(context, bucket, name, found).await?
        }
        Err(error) => return Err(missing(context, error, version)),
    };
    let key = values::customer_key(&context.headers, values::CUSTOMER)?;
    let data = located.object()?;
    data.encryption.admit(key.as_ref())?;
    let conditions = values::read_conditions(&context.headers, "");
    let modified = located.version.stamp.last_modified();
    if let Err(error) = conditions.check(&data.etag, modified) {
        let mut fault = Fault::from(error);
        let mut headers = HeaderMap::new();
        facts::validators(&mut headers, &located.version, data);
        facts::id(&mut headers, bucket, &located.version);
        let told = headers.iter();
        let told = told.map(|(name, value)| (name.clone(), value.clone()));
        fault.headers.extend(told);
        return Err(fault);
    }
    let (range, part, is_partial) = selected(context, &located)?;
    Ok(Found {
        key,
        range,
        part,
        is_partial,
        located,
    })
}

/// What is told of an object that isn't there: nothing, to whom may not list the bucket.
fn missing<E: Engine>(
    context: &Context<E>,
    error: ObjectError,
    version: Option<VersionId>,
) -> Fault {
    let listing = match (&error, version) {
        (ObjectError::NoSuchKey { .. }, _) => "s3:ListBucket",
        (ObjectError::NoSuchVersion, _) => "s3:ListBucketVersions",
        _ => return error.into(),
    };
    let Ok(bucket) = context.bucket() else {
        return error.into();
    };
    match context.ask_about(listing, On::Bucket(bucket), None) {
        Ok(()) => error.into(),
        Err(_) => Fault::denied(ACCESS_DENIED),
    }
}

/// Which bytes are asked for: those of a part, those of a range, or all.
fn selected<E: Engine>(
    context: &Context<E>,
    located: &Located,
) -> Result<(Range<u64>, Option<Extent>, bool), Fault> {
    let size = located.object()?.size;
    let range = context.headers.get(RANGE);
    let range = range.and_then(|range| range.to_str().ok());
    if let Some(number) = context.query.get("partNumber") {
        if range.is_some() {
            let text = "Cannot specify both Range header and partNumber query parameter";
            return Err(Fault::bad("InvalidRequest", text));
        }
        let (range, part) = part(located, number)?;
        return Ok((range, Some(part), true));
    }
    match wanted(range, size) {
        Wanted::All => Ok((0..size, None, false)),
        Wanted::Part(range) => Ok((range, None, true)),
        Wanted::Nothing => {
            let fault = Fault::from(ObjectError::InvalidRange);
            Err(fault
                .member("RangeRequested", range.unwrap_or_default())
                .member("ActualObjectSize", size.to_string())
                .header(CONTENT_RANGE, &format!("bytes */{size}")))
        }
    }
}

/// Where a part is, and what.
fn part(located: &Located, number: &str) -> Result<(Range<u64>, Extent), Fault> {
    let invalid = || {
        let text = "Part number must be an integer between 1 and 10000, inclusive";
        Fault::argument("partNumber", number, text)
    };
    let asked: usize = number.parse().map_err(|_| invalid())?;
    if !(1..=10_000).contains(&asked) {
        return Err(invalid());
    }
    let extents = &located.extents;
    let Some(extent) = extents.get(asked - 1) else {
        let status = StatusCode::RANGE_NOT_SATISFIABLE;
        let text = "The requested partnumber is not satisfiable";
        return Err(Fault::new(status, "InvalidPartNumber", text)
            .member("PartNumberRequested", number)
            .member("ActualPartCount", extents.len().to_string()));
    };
    let start: u64 = extents[..asked - 1].iter().map(|extent| extent.size).sum();
    Ok((start..start + extent.size, extent.clone()))
}

/// Reads the first bytes before anything is answered: what can't be read at all is an error with
/// its name then, not a connection that ends.
async fn begin(
    reader: Result<ContentReader, ObjectError>,
) -> Result<(Option<Bytes>, ContentReader), ObjectError> {
    let mut reader = reader?;
    let first = reader.next().await.transpose()?;
    Ok((first, reader))
}

/// A body of what was read first and what the reader gives.
fn body(first: Option<Bytes>, reader: ContentReader) -> Body {
    let first = futures_util::stream::iter(first.map(|bytes| Ok(http_body::Frame::data(bytes))));
    let steps = futures_util::stream::unfold(reader, |mut reader| async {
        let step = reader.next().await?;
        let step = step.map(http_body::Frame::data);
        Some((
            step.map_err(|error| BodyError::from(error.to_string())),
            reader,
        ))
    });
    StreamBody::new(first.chain(steps)).boxed_unsync()
}

/// The headers of the answer.
fn headers<E: Engine>(context: &Context<E>, found: &Found) -> Result<HeaderMap, Fault> {
    let (bucket, version) = (context.bucket()?, &found.located.version);
    let data = found.located.object()?;
    let mut headers = facts::of_object(bucket, version, data);
    if context.version_id()?.is_none() {
        facts::expiration(&mut headers, bucket, context.key()?, version);
    }
    let Range { start, end } = found.range;
    headers.insert(CONTENT_LENGTH, (end - start).into());
    if found.is_partial && end > start {
        let text = format!("bytes {start}-{}/{}", end - 1, data.size);
        facts::set(&mut headers, CONTENT_RANGE, &text);
    }
    if found.part.is_some() && matches!(data.content, objects::Content::Parts(_)) {
        let count = found.located.extents.len().to_string();
        facts::set_own(&mut headers, "x-amz-mp-parts-count", &count);
    }
    if let Some(checksum) = told_checksum(context, found) {
        facts::checksum(&mut headers, checksum);
    }
    lock(context, found, &mut headers)?;
    overrides(context, &mut headers)?;
    Ok(headers)
}

/// The checksum of what the answer has, if it is asked for and is kept of just that.
fn told_checksum<'a, E: Engine>(context: &Context<E>, found: &'a Found) -> Option<&'a Checksum> {
    let mode = context.header("x-amz-checksum-mode")?;
    if !mode.eq_ignore_ascii_case("ENABLED") {
        return None;
    }
    match (&found.part, found.is_partial) {
        (Some(part), _) => part.checksum.as_ref(),
        (None, true) => None,
        (None, false) => found.located.version.object()?.checksum.as_ref(),
    }
}

/// What locks it, to whom may know.
fn lock<E: Engine>(
    context: &Context<E>,
    found: &Found,
    headers: &mut HeaderMap,
) -> Result<(), Fault> {
    let (version, data) = (&found.located.version, found.located.object()?);
    let may = |action, on| context.ask_about(action, on, Some(version)).is_ok();
    let on = On::Object(context.bucket()?, context.key()?, context.version_id()?);
    if let Some(retention) = &data.retention
        && may("s3:GetObjectRetention", on)
    {
        let until = values::date_time_of(retention.until);
        let mode = values::mode_text(retention.mode);
        facts::set_own(headers, "x-amz-object-lock-mode", mode);
        facts::set_own(headers, "x-amz-object-lock-retain-until-date", &until);
    }
    if data.legal_hold && may("s3:GetObjectLegalHold", on) {
        facts::set_own(headers, "x-amz-object-lock-legal-hold", "ON");
    }
    Ok(())
}

/// Headers that the request wants to be others.
fn overrides<E: Engine>(context: &Context<E>, headers: &mut HeaderMap) -> Result<(), Fault> {
    for (parameter, name) in OVERRIDES {
        let Some(value) = context.query.get(parameter) else {
            continue;
        };
        if context.is_anonymous() {
            let text =
                "Request specific response headers cannot be used for anonymous GET requests.";
            return Err(Fault::bad("InvalidRequest", text));
        }
        if value.chars().any(char::is_control) {
            let text = "Header value cannot be represented using ISO-8859-1.";
            return Err(Fault::argument("Header", parameter, text));
        }
        facts::set(headers, name, value);
    }
    Ok(())
}

//! Cross-origin requests: the answer to a browser's preflight, and the headers that let it share
//! the answer to a request with the script that made it. Which origins may is `objects::cors`'s.

use http::header::{
    ACCESS_CONTROL_REQUEST_HEADERS, ACCESS_CONTROL_REQUEST_METHOD, HeaderName, ORIGIN,
};
use http::{HeaderMap, HeaderValue, Response};
use objects::cors::{CorsRefusal, CorsRequest, Preflight, ResourceType};
use objects::{ObjectError, Objects};
use store::Engine;

use crate::address::Address;
use crate::answer::full;
use crate::context::Context;
use crate::error::Fault;
use crate::service::Body;

/// The answer to a preflight.
///
/// # Errors
///
/// S3's own for what isn't allowed.
pub(crate) fn answer<E: Engine>(
    objects: &Objects<E>,
    address: &Address,
    headers: &HeaderMap,
) -> Result<Response<Body>, Fault> {
    let text = |name: HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
    let preflight = Preflight {
        origin: text(ORIGIN),
        method: text(ACCESS_CONTROL_REQUEST_METHOD),
        headers: text(ACCESS_CONTROL_REQUEST_HEADERS),
    };
    let bucket = match address.bucket.as_ref().map(|name| objects.bucket(name)) {
        None | Some(Err(ObjectError::NoSuchBucket)) => {
            return Err(refused(preflight.no_such_bucket()));
        }
        Some(bucket) => bucket?,
    };
    let kind = match address.key {
        Some(_) => ResourceType::Object,
        None => ResourceType::Bucket,
    };
    let allowed = preflight.answer(bucket.settings.cors.as_ref(), kind);
    let mut response = Response::new(full(bytes::Bytes::new()));
    response
        .headers_mut()
        .extend(map(allowed.map_err(refused)?));
    Ok(response)
}

/// The headers with which a browser shares the answer to this request.
pub(crate) fn shared<E: Engine>(context: &Context<E>) -> HeaderMap {
    let rules = context.bucket.as_ref();
    let rules = rules.and_then(|bucket| bucket.settings.cors.as_ref());
    let (Some(rules), Some(origin)) = (rules, context.header("origin")) else {
        return HeaderMap::new();
    };
    let method = context.header("access-control-request-method");
    map(rules.headers(&CorsRequest {
        origin,
        method: method.unwrap_or(context.row.method.as_str()),
        headers: context.header("access-control-request-headers"),
    }))
}

fn map(pairs: Vec<(&'static str, String)>) -> HeaderMap {
    let pairs = pairs.into_iter().filter_map(|(name, value)| {
        let name = HeaderName::from_bytes(name.as_bytes()).ok()?;
        Some((name, HeaderValue::from_str(&value).ok()?))
    });
    pairs.collect()
}

fn refused(refusal: CorsRefusal) -> Fault {
    let mut fault = Fault::from(refusal.error);
    if let Some(method) = refusal.method {
        fault = fault.member("Method", method);
    }
    if let Some(kind) = refusal.resource_type {
        fault = fault.member("ResourceType", kind.to_string());
    }
    fault
}

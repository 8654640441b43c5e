//! Requests from other origins: the answers to preflights, which nobody signs, and the headers
//! that let a browser share the answer to a request itself.

use http::{HeaderMap, HeaderName, HeaderValue, Response};
use objects::cors::{CorsRefusal, CorsRequest, Preflight, ResourceType};
use objects::{ObjectError, Objects};
use store::Engine;

use crate::address::Address;
use crate::answer::full;
use crate::context::Context;
use crate::error::Fault;
use crate::service::Body;

/// The answer to an `OPTIONS` request, which any caller may make: it tells what the bucket's rules
/// say of an origin, and nothing else.
///
/// # Errors
///
/// `BadRequest`; `AccessForbidden` where no rule is met.
pub(crate) fn answer<E: Engine>(
    objects: &Objects<E>,
    address: &Address,
    headers: &HeaderMap,
) -> Result<Response<Body>, Fault> {
    let preflight = Preflight {
        origin: text(headers, "origin"),
        method: text(headers, "access-control-request-method"),
        headers: text(headers, "access-control-request-headers"),
    };
    let bucket = address.bucket.as_ref().map(|name| objects.bucket(name));
    let told = match bucket {
        Some(Ok(bucket)) => {
            let resource = match address.key {
                Some(_) => ResourceType::Object,
                None => ResourceType::Bucket,
            };
            preflight.answer(bucket.settings.cors.as_ref(), resource)
        }
        None | Some(Err(ObjectError::NoSuchBucket)) => Err(preflight.no_such_bucket()),
        Some(Err(error)) => return Err(error.into()),
    };
    let told = told.map_err(refused)?;
    let mut response = Response::new(full(bytes::Bytes::new()));
    response.headers_mut().extend(fields(told));
    let length = HeaderValue::from_static("0");
    response
        .headers_mut()
        .insert(http::header::CONTENT_LENGTH, length);
    Ok(response)
}

/// The headers that a request's own answer gets, whatever that is; none if it is from no other
/// origin, or meets no rule.
pub(crate) fn shared<E: Engine>(context: &Context<E>) -> HeaderMap {
    let rules = context.bucket.as_ref();
    let rules = rules.and_then(|bucket| bucket.settings.cors.as_ref());
    let (Some(rules), Some(origin)) = (rules, context.header("origin")) else {
        return HeaderMap::new();
    };
    // What a preflight asks of is read of any request, as S3 reads it.
    let method = context.header("access-control-request-method");
    let told = rules.headers(&CorsRequest {
        origin,
        method: method.unwrap_or(context.row.method.as_str()),
        headers: context.header("access-control-request-headers"),
    });
    fields(told)
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

/// As headers; what can't be one, as a rule may name it, is left out.
fn fields(told: Vec<(&'static str, String)>) -> HeaderMap {
    let fields = told.into_iter().filter_map(|(name, value)| {
        let value = HeaderValue::from_str(&value).ok()?;
        Some((HeaderName::from_static(name), value))
    });
    fields.collect()
}

fn refused(refusal: CorsRefusal) -> Fault {
    let mut fault = Fault::from(refusal.error);
    if let Some(method) = refusal.method {
        fault = fault.member("Method", method);
    }
    match refusal.resource_type {
        Some(resource) => fault.member("ResourceType", resource.to_string()),
        None => fault,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_tells_what_was_asked() {
        let preflight = Preflight {
            origin: Some("http://a"),
            method: Some("PUT"),
            headers: None,
        };
        let fault = refused(preflight.answer(None, ResourceType::Object).unwrap_err());
        assert_eq!(
            (fault.status.as_u16(), &*fault.code),
            (403, "AccessForbidden")
        );
        let members: Vec<_> = fault
            .members
            .iter()
            .map(|(_, value)| value.as_str())
            .collect();
        assert_eq!(members, ["PUT", "BUCKET"]);
    }

    #[test]
    fn what_can_be_no_header_is_left_out() {
        let told = vec![
            ("vary", "a\nb".to_owned()),
            ("access-control-max-age", "7".to_owned()),
        ];
        assert_eq!(fields(told).len(), 1);
    }
}

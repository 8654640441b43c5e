//! What an operation is refused with, as S3 answers it: code, status, text, the members that its
//! document has beside, and headers. The one place where errors from inside become faults. What is
//! ours alone is logged, and never told.

use std::borrow::Cow;

use aws::ServiceError;
use aws::access::Denied;
use aws::signature::PayloadError;
use http::header::{ALLOW, HeaderName};
use http::{HeaderValue, StatusCode};
use objects::ObjectError;

/// S3's text for what its caller may not, where it says no more.
pub(crate) const ACCESS_DENIED: &str = "Access Denied";

/// Why a request isn't carried out.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Fault {
    /// `NoSuchKey`.
    pub(crate) code: Cow<'static, str>,
    /// The HTTP status.
    pub(crate) status: StatusCode,
    /// S3's text.
    pub(crate) message: Cow<'static, str>,
    /// Further members of the document, in order. (Names of the bucket, the key and what else the
    /// request itself tells are added where it is written.)
    pub(crate) members: Vec<(Cow<'static, str>, String)>,
    /// Further headers of the answer.
    pub(crate) headers: Vec<(HeaderName, HeaderValue)>,
}

impl Fault {
    /// A fault of that status.
    pub(crate) fn new(
        status: StatusCode,
        code: &'static str,
        message: impl Into<Cow<'static, str>>,
    ) -> Fault {
        Fault {
            code: Cow::Borrowed(code),
            status,
            message: message.into(),
            members: Vec::new(),
            headers: Vec::new(),
        }
    }

    /// Status 400.
    pub(crate) fn bad(code: &'static str, message: impl Into<Cow<'static, str>>) -> Fault {
        Fault::new(StatusCode::BAD_REQUEST, code, message)
    }

    /// An argument that can't be one.
    pub(crate) fn argument(
        name: &'static str,
        value: &str,
        message: impl Into<Cow<'static, str>>,
    ) -> Fault {
        Fault::bad("InvalidArgument", message)
            .member("ArgumentName", name)
            .member("ArgumentValue", value)
    }

    /// A document that isn't of its shape.
    pub(crate) fn malformed() -> Fault {
        Fault::bad(
            "MalformedXML",
            "The XML you provided was not well-formed or did not validate against our published \
             schema",
        )
    }

    /// Something that isn't built, by its name: "The operation 'GetObjectTorrent'".
    pub(crate) fn not_built(what: &str) -> Fault {
        let message = format!("{what} is not built.");
        Fault::new(StatusCode::NOT_IMPLEMENTED, "NotImplemented", message)
    }

    /// The caller may not.
    pub(crate) fn denied(message: impl Into<Cow<'static, str>>) -> Fault {
        Fault::new(StatusCode::FORBIDDEN, "AccessDenied", message)
    }

    /// A broken part of this Region: the reason is for its log.
    pub(crate) fn internal(reason: &str) -> Fault {
        tracing::error!(reason, "an S3 request failed");
        Fault::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "InternalError",
            "We encountered an internal error. Please try again.",
        )
    }

    /// With that member.
    pub(crate) fn member(mut self, name: &'static str, value: impl Into<String>) -> Fault {
        self.members.push((Cow::Borrowed(name), value.into()));
        self
    }

    /// With that header; a value that can't be one is left out.
    pub(crate) fn header(mut self, name: HeaderName, value: &str) -> Fault {
        if let Ok(value) = HeaderValue::from_str(value) {
            self.headers.push((name, value));
        }
        self
    }
}

impl From<ObjectError> for Fault {
    fn from(error: ObjectError) -> Fault {
        let (code, status) = error.code();
        let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let fault = Fault::new(status, code, error.to_string());
        match error {
            ObjectError::Damaged(reason) | ObjectError::Internal(reason) => {
                Fault::internal(&reason)
            }
            ObjectError::Unavailable(reason) => {
                tracing::warn!(reason, "an S3 request can't be carried out now");
                Fault {
                    message: Cow::Borrowed("Service is unable to handle request."),
                    ..fault
                }
            }
            ObjectError::Elsewhere(region) => fault.header(BUCKET_REGION, region.name()),
            ObjectError::NoSuchKey {
                delete_marker: Some(id),
            } => fault.header(DELETE_MARKER, "true").header(VERSION_ID, &id),
            ObjectError::MethodNotAllowed { delete_marker } => fault
                .member("ResourceType", "DeleteMarker")
                .header(ALLOW, "DELETE")
                .header(DELETE_MARKER, "true")
                .header(VERSION_ID, &delete_marker),
            ObjectError::PreconditionFailed(condition) => fault.member("Condition", condition),
            _ => fault,
        }
    }
}

/// `x-amz-bucket-region`.
pub(crate) const BUCKET_REGION: HeaderName = HeaderName::from_static("x-amz-bucket-region");

/// `x-amz-delete-marker`.
pub(crate) const DELETE_MARKER: HeaderName = HeaderName::from_static("x-amz-delete-marker");

/// `x-amz-version-id`.
pub(crate) const VERSION_ID: HeaderName = HeaderName::from_static("x-amz-version-id");

impl From<ServiceError> for Fault {
    fn from(error: ServiceError) -> Fault {
        let status = StatusCode::from_u16(error.status).unwrap_or(StatusCode::BAD_REQUEST);
        let text = |value: &serde_json::Value| match value {
            serde_json::Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        let members = error.members.iter();
        Fault {
            code: Cow::Borrowed(error.code),
            status,
            members: members
                .map(|(name, value)| (Cow::Owned(name.clone()), text(value)))
                .collect(),
            message: Cow::Owned(error.message),
            headers: Vec::new(),
        }
    }
}

impl From<PayloadError> for Fault {
    fn from(error: PayloadError) -> Fault {
        Fault::from(error.in_objects())
    }
}

impl From<Denied> for Fault {
    fn from(denied: Denied) -> Fault {
        Fault::denied(denied.message)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_ours_is_not_told() {
        let fault = Fault::from(ObjectError::Internal("row 17 is broken".to_owned()));
        assert_eq!(fault.status, 500);
        assert!(!fault.message.contains("17"));
        let fault = Fault::from(ObjectError::Unavailable("disk of /data".to_owned()));
        assert_eq!(
            (fault.status.as_u16(), &*fault.code),
            (503, "ServiceUnavailable")
        );
        assert!(!fault.message.contains("data"));
    }

    #[test]
    fn a_delete_marker_is_told_in_headers() {
        let fault = Fault::from(ObjectError::MethodNotAllowed {
            delete_marker: "null".to_owned(),
        });
        assert_eq!(fault.status, 405);
        assert!(
            fault
                .headers
                .contains(&(ALLOW, HeaderValue::from_static("DELETE")))
        );
        assert!(
            fault
                .headers
                .contains(&(VERSION_ID, HeaderValue::from_static("null")))
        );
    }
}

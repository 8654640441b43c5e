//! The last step of an answer: the identifiers that every one has, and the document of a fault
//! with what the request itself tells of it. A HEAD request's answer has no body, whatever it says.

use std::borrow::Cow;

use aws::xml::{XmlLimits, XmlWriter, read};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, HeaderName};
use http::request::Parts;
use http::{HeaderValue, Method, Response, StatusCode};
use http_body_util::{BodyExt, Full};

use crate::address::Address;
use crate::error::Fault;
use crate::service::Body;

/// `x-amz-request-id`.
const REQUEST_ID: HeaderName = HeaderName::from_static("x-amz-request-id");

/// `x-amz-id-2`.
const HOST_ID: HeaderName = HeaderName::from_static("x-amz-id-2");

/// What an answer is told of its request.
#[derive(Clone, Debug)]
pub(crate) struct About {
    /// Its method.
    pub(crate) method: Method,
    /// The request's id.
    pub(crate) request_id: String,
    /// The path as it was sent, without the query.
    pub(crate) path: String,
    /// What it is about, as far as that could be made out.
    pub(crate) address: Option<Address>,
    /// The version that it names.
    pub(crate) version_id: Option<String>,
    /// The upload that it names.
    pub(crate) upload_id: Option<String>,
}

impl About {
    /// Of a request of which no more is known than its head.
    pub(crate) fn of(parts: &Parts, request_id: &str) -> About {
        About {
            method: parts.method.clone(),
            request_id: request_id.to_owned(),
            path: parts.uri.path().to_owned(),
            address: None,
            version_id: None,
            upload_id: None,
        }
    }

    /// Which machine answered: opaque, and of no use but to compare.
    pub(crate) fn host_id(&self) -> String {
        STANDARD.encode(format!("causeway/{}", self.request_id))
    }

    /// The answer of an operation that failed.
    pub(crate) fn fault(&self, fault: &Fault) -> Response<Body> {
        let is_bodiless = self.method == Method::HEAD || fault.status == StatusCode::NOT_MODIFIED;
        let document = match is_bodiless {
            true => Bytes::new(),
            false => self.document(fault),
        };
        let mut response = Response::new(full(document.clone()));
        *response.status_mut() = fault.status;
        let headers = response.headers_mut();
        for (name, value) in &fault.headers {
            headers.append(name.clone(), value.clone());
        }
        if fault.status != StatusCode::NOT_MODIFIED {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/xml"));
        }
        if !is_bodiless {
            headers.insert(CONTENT_LENGTH, HeaderValue::from(document.len()));
        }
        self.identified(response)
    }

    /// The answer with the identifiers that every one has.
    pub(crate) fn identified(&self, mut response: Response<Body>) -> Response<Body> {
        let headers = response.headers_mut();
        if let Ok(id) = HeaderValue::from_str(&self.request_id) {
            headers.insert(REQUEST_ID, id);
        }
        if let Ok(id) = HeaderValue::from_str(&self.host_id()) {
            headers.insert(HOST_ID, id);
        }
        response
    }

    /// `Error`: code and message, what the fault says, what the request says of it, the ids.
    fn document(&self, fault: &Fault) -> Bytes {
        let mut writer = XmlWriter::bare("Error");
        writer
            .value("Code", &fault.code)
            .value("Message", &fault.message);
        for (name, value) in &fault.members {
            writer.open(name.clone()).text(value).close();
        }
        for (name, value) in self.told(&fault.code) {
            writer.value(name, value);
        }
        writer
            .value("RequestId", &self.request_id)
            .value("HostId", self.host_id());
        writer.finish()
    }

    /// What S3 repeats of the request with an error of that code.
    fn told(&self, code: &str) -> Vec<(&'static str, String)> {
        let address = self.address.as_ref();
        let bucket = address.and_then(|address| address.bucket.as_ref());
        let bucket = bucket.map(ToString::to_string);
        let key = address.and_then(|address| address.key.as_ref());
        let key = key.map(ToString::to_string);
        let method = Some(self.method.to_string());
        let members = match code {
            "NoSuchKey" => vec![("Key", key)],
            "NoSuchVersion" => vec![("Key", key), ("VersionId", self.version_id.clone())],
            "NoSuchUpload" => vec![("UploadId", self.upload_id.clone())],
            "MethodNotAllowed" => vec![("Method", method)],
            "PermanentRedirect" => vec![("Bucket", bucket)],
            "InvalidURI" => vec![("URI", Some(self.path.clone()))],
            "InternalError" | "ServiceUnavailable" | "AccessDenied" | "NotImplemented" => vec![],
            _ => vec![("BucketName", bucket)],
        };
        let members = members.into_iter();
        members
            .filter_map(|(name, value)| Some((name, value?)))
            .collect()
    }
}

/// What the codec refused a request with: it is told of it by a document.
pub(crate) fn refused_by_codec(status: StatusCode, document: &[u8]) -> Fault {
    let limits = XmlLimits {
        depth: 3,
        elements: 16,
    };
    let root = read(document, limits).ok();
    let text = |name: &str| {
        let child = root.as_ref()?.child(name)?;
        child.text().ok().map(str::to_owned)
    };
    match (text("Code"), text("Message")) {
        (Some(code), _) if code == "MalformedXML" => Fault::malformed(),
        (Some(code), message) => Fault {
            message: Cow::Owned(message.unwrap_or_else(|| code.clone())),
            code: Cow::Owned(code),
            status,
            members: Vec::new(),
            headers: Vec::new(),
        },
        (None, _) => Fault::internal("the codec refused a request and didn't say why"),
    }
}

/// A body that is there already.
pub(crate) fn full(bytes: Bytes) -> Body {
    Full::new(bytes)
        .map_err(|never| match never {})
        .boxed_unsync()
}

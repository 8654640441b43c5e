//! `PostObject`: an object that a browser uploads with a form. The form is read up to its file and
//! held to its policy; what it says becomes the head of a PUT, and its file the body. So whatever
//! holds of `PutObject` holds of it. It decides itself nothing but what is answered.

mod form;
mod policy;

use std::net::IpAddr;

use aws::signature::{PayloadVerifier, SignatureError, is_form_signed};
use aws::xml::{self, XmlLimits, XmlWriter};
use bytes::Bytes;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, ETAG, HOST, LOCATION};
use http::request::Parts;
use http::{HeaderName, HeaderValue, Method, Request, Response, StatusCode};
use store::Engine;

pub use form::Form;
use policy::Policy;

use crate::address::Address;
use crate::answer::{self, About};
use crate::condition_keys::Signing;
use crate::error::Fault;
use crate::guard::LARGEST_BODY;
use crate::query::encode;
use crate::service::{Body, Caller, S3Service, Sent};

/// Fields that are headers of a PUT, by the names that they have there.
const HEADERS: [(&str, &str); 6] = [
    ("acl", "x-amz-acl"),
    ("cache-control", "cache-control"),
    ("content-disposition", "content-disposition"),
    ("content-encoding", "content-encoding"),
    ("content-type", "content-type"),
    ("expires", "expires"),
];

/// What fields `x-amz-…` begin with that belong to the signature, and are no headers.
const OF_SIGNATURES: [&str; 5] = [
    "x-amz-algorithm",
    "x-amz-credential",
    "x-amz-date",
    "x-amz-security-token",
    "x-amz-signature",
];

/// What fields begin with that would make another request of it, or say that its file is coded.
const REFUSED: [&str; 4] = [
    "x-amz-copy-source",
    "x-amz-content-sha256",
    "x-amz-decoded-content-length",
    "x-amz-trailer",
];

/// What stands for the file's name in the key, and in a redirection.
const FILE_NAME: &str = "${filename}";

/// How large the document of tags may be.
const TAGS: XmlLimits = XmlLimits {
    depth: 4,
    elements: 64,
};

/// A form on its way to its bucket.
pub struct S3Form {
    /// The request as it came.
    pub request: Request<Body>,
    /// What the answer's `x-amz-request-id` is.
    pub request_id: String,
    /// Where it came from.
    pub source: IpAddr,
}

/// How the PUT that is made of a form differs from one that came.
pub(crate) struct Posted {
    /// How long the file may be, from and to.
    pub(crate) range: (u64, u64),
    /// How it was signed.
    pub(crate) signing: Signing,
}

/// Is it a form with a file?
pub fn is_form(parts: &Parts) -> bool {
    let content_type = parts.headers.get(CONTENT_TYPE);
    let content_type = content_type.map_or(&b""[..], HeaderValue::as_bytes);
    let name = content_type.split(|byte| *byte == b';').next();
    let is_multipart = name.is_some_and(|name| {
        let name = name.trim_ascii();
        name.eq_ignore_ascii_case(b"multipart/form-data")
    });
    is_multipart && parts.method == Method::POST && parts.uri.query().is_none_or(str::is_empty)
}

impl<E: Engine> S3Service<E> {
    /// Takes an object by a form. `admit` says whose it is: whoever signed it, or nobody.
    pub async fn post(
        &self,
        posted: S3Form,
        admit: &(dyn Fn(&Form) -> Result<Caller, SignatureError> + Sync),
    ) -> Response<Body> {
        let (parts, body) = posted.request.into_parts();
        let mut about = About::of(&parts, &posted.request_id);
        about.address = Address::of(&parts).ok();
        let made = self.make(&mut about, &parts, body, posted.source, admit);
        match made.await {
            Ok(response) => about.identified(response),
            Err(fault) => about.fault(&self.placed(fault, &about)),
        }
    }

    async fn make(
        &self,
        about: &mut About,
        parts: &Parts,
        body: Body,
        source: IpAddr,
        admit: &(dyn Fn(&Form) -> Result<Caller, SignatureError> + Sync),
    ) -> Result<Response<Body>, Fault> {
        let address = Address::of(parts)?;
        let bucket = match (address.bucket, address.key) {
            (Some(bucket), None) => bucket.to_string(),
            _ => return Err(not_allowed()),
        };
        let content_type = parts.headers.get(CONTENT_TYPE);
        let content_type = content_type.and_then(|value| value.to_str().ok());
        let form = Form::read(content_type.unwrap_or_default(), body).await?;
        let caller = admit(&form).map_err(|error| Fault::from(error.in_objects(parts)))?;
        let key = form.field("key").ok_or_else(no_key)?;
        let key = key.replace(FILE_NAME, &form.file_name);
        let mut range = (0, LARGEST_BODY);
        if is_form_signed(&|name| form.field(name)) {
            let policy = Policy::parse(form.field("policy").unwrap_or_default())?;
            let now = self.now();
            policy.check(now, &bucket, &key, &form)?;
            range = policy.range.unwrap_or(range);
        }
        let put = put(parts, &bucket, &key, &form)?;
        let answer = Answer::of(&form, parts, &bucket, &key);
        let sent = Sent {
            verifier: PayloadVerifier::unsigned(&put).map_err(|_| not_allowed())?,
            parts: put,
            body: form.file,
            caller,
            source,
            posted: Some(Posted {
                range: (range.0, range.1.min(LARGEST_BODY)),
                signing: answer.signing.clone(),
            }),
        };
        let made = self.carry_out(about, sent).await?;
        answer.made(made)
    }
}

/// The head of the PUT that the form stands for.
fn put(parts: &Parts, bucket: &str, key: &str, form: &Form) -> Result<Parts, Fault> {
    let path = format!(
        "/{bucket}/{}",
        key.split('/').map(encode).collect::<Vec<_>>().join("/")
    );
    let request = Request::builder().method(Method::PUT).uri(path).body(());
    let (mut put, ()) = request.map_err(|_| no_key())?.into_parts();
    if let Some(agent) = parts.headers.get(http::header::ORIGIN) {
        put.headers.insert(http::header::ORIGIN, agent.clone());
    }
    // In path style, whatever host the form was sent to.
    put.headers.insert(HOST, HeaderValue::from_static("s3"));
    for (name, value) in &form.fields {
        let name = name.as_str();
        if REFUSED.iter().any(|begin| name.starts_with(begin)) {
            let text = "A form can't have this field.";
            return Err(Fault::argument("Field", name, text));
        }
        let known = HEADERS.iter().find(|(field, _)| *field == name);
        let header = match known {
            Some((_, header)) => header,
            None if OF_SIGNATURES.contains(&name) => continue,
            None if name == "tagging" => {
                let tags = tags(value)?;
                set(&mut put, "x-amz-tagging", &tags)?;
                continue;
            }
            None if name.starts_with("x-amz-") => name,
            None => continue,
        };
        set(&mut put, header, value)?;
    }
    Ok(put)
}

fn set(put: &mut Parts, name: &str, value: &str) -> Result<(), Fault> {
    let parsed = (
        HeaderName::from_bytes(name.as_bytes()),
        HeaderValue::from_str(value),
    );
    let (Ok(header), Ok(value)) = parsed else {
        let text = "The field can't be a header.";
        return Err(Fault::argument("Field", name, text));
    };
    put.headers.insert(header, value);
    Ok(())
}

/// The document of a form's tags as the header has them.
fn tags(document: &str) -> Result<String, Fault> {
    let root = xml::read(document.as_bytes(), TAGS).map_err(|_| Fault::malformed())?;
    let set = root.child("TagSet").ok_or_else(Fault::malformed)?;
    let text = |tag: &xml::Element<'_>, name| Some(tag.child(name)?.text().ok()?.to_owned());
    let pairs = set.children().iter().map(|tag| {
        let pair = text(tag, "Key").zip(text(tag, "Value"));
        pair.map(|(key, value)| format!("{}={}", encode(&key), encode(&value)))
    });
    let pairs: Option<Vec<String>> = pairs.collect();
    Ok(pairs.ok_or_else(Fault::malformed)?.join("&"))
}

/// What a form wants to be answered.
struct Answer {
    redirect: Option<String>,
    status: StatusCode,
    location: String,
    bucket: String,
    key: String,
    signing: Signing,
}

impl Answer {
    fn of(form: &Form, parts: &Parts, bucket: &str, key: &str) -> Answer {
        let redirect = form.field("success_action_redirect");
        let redirect = redirect.or_else(|| form.field("redirect"));
        // Whatever can't be gone to is passed over, as S3 does.
        let redirect = redirect.filter(|url| {
            let is_web = url.starts_with("http://") || url.starts_with("https://");
            is_web && HeaderValue::from_str(url).is_ok()
        });
        let status = match form.field("success_action_status") {
            Some("200") => StatusCode::OK,
            Some("201") => StatusCode::CREATED,
            _ => StatusCode::NO_CONTENT,
        };
        let host = parts.headers.get(HOST).and_then(|host| host.to_str().ok());
        let path = parts.uri.path().trim_end_matches('/');
        Answer {
            redirect: redirect.map(|url| url.replace(FILE_NAME, &form.file_name)),
            status,
            location: format!("http://{}{path}/{}", host.unwrap_or_default(), encode(key)),
            bucket: bucket.to_owned(),
            key: key.to_owned(),
            signing: Signing::of_form(form.field("x-amz-date"), form.field("signature").is_some()),
        }
    }

    /// The answer of a form whose object was made, by what a PUT is answered.
    fn made(self, mut response: Response<Body>) -> Result<Response<Body>, Fault> {
        let etag = response.headers().get(ETAG).cloned();
        let etag = etag.ok_or_else(|| Fault::internal("an object has no entity tag"))?;
        let text = etag.to_str().unwrap_or_default().to_owned();
        let mut body = Bytes::new();
        let location = match &self.redirect {
            Some(url) => {
                *response.status_mut() = StatusCode::SEE_OTHER;
                let mark = if url.contains('?') { '&' } else { '?' };
                let (bucket, key) = (encode(&self.bucket), encode(&self.key));
                format!(
                    "{url}{mark}bucket={bucket}&key={key}&etag={}",
                    encode(&text)
                )
            }
            None => {
                *response.status_mut() = self.status;
                self.location.clone()
            }
        };
        if *response.status_mut() == StatusCode::CREATED {
            let mut writer = XmlWriter::bare("PostResponse");
            writer
                .value("Location", &location)
                .value("Bucket", &self.bucket)
                .value("Key", &self.key)
                .value("ETag", &text);
            body = writer.finish();
            let xml = HeaderValue::from_static("application/xml");
            response.headers_mut().insert(CONTENT_TYPE, xml);
        }
        let headers = response.headers_mut();
        if let Ok(location) = HeaderValue::from_str(&location) {
            headers.insert(LOCATION, location);
        }
        headers.remove(CONTENT_LENGTH);
        if self.redirect.is_some() || self.status != StatusCode::NO_CONTENT {
            headers.insert(CONTENT_LENGTH, HeaderValue::from(body.len()));
        }
        *response.body_mut() = answer::full(body);
        Ok(response)
    }
}

fn no_key() -> Fault {
    let text = "Bucket POST must contain a field named 'key'.  If it is specified, please check \
                the order of the fields.";
    Fault::argument("key", "", text)
}

fn not_allowed() -> Fault {
    Fault::new(
        StatusCode::METHOD_NOT_ALLOWED,
        "MethodNotAllowed",
        "The specified method is not allowed against this resource.",
    )
}

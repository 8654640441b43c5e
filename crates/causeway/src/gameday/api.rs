//! The lab's AWS APIs as a game day and the supervisor call them: DynamoDB, S3, IAM, Route 53,
//! Elastic Load Balancing, RDS and Global Accelerator through the front door, signed with the root
//! key. One request a connection: it deploys and it counts, it is no load. It tries nothing again
//! but what Route 53 asks to be sent later.

use std::sync::Arc;
use std::time::Duration;

use aws::signature::{Rules, Target, sign};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::header::{CONTENT_TYPE, HOST};
use http::request::Builder;
use http::{Method, Request, StatusCode};
use identity::RootKey;
use md5::{Digest, Md5};
use runtime::{Endpoint, RequestError, SystemEnvironment};
use serde_json::Value;
use types::{Environment, Region, Span};

use crate::failure::Failure;

/// How long an answer may take.
const WAIT: Duration = Duration::from_secs(20);

/// How often a request is sent that Route 53 says to send later, and how long after each other at
/// first: it doubles, as in AWS's own clients.
const ATTEMPTS: u32 = 6;
const FIRST_PAUSE: Span = Span::milliseconds(50);

/// What Route 53 says then.
const LATER: [&str; 2] = ["Throttling", "PriorRequestNotComplete"];

/// The prefix of every path of Route 53's API.
const ROUTE53: &str = "/2013-04-01";

/// The Region that Route 53's requests are signed for, as AWS has it.
const GLOBAL: &str = "us-east-1";

/// The Region that Global Accelerator's requests are signed for, as AWS has it.
const ACCELERATORS: &str = "us-west-2";

/// A way to the lab's APIs.
#[derive(Clone)]
pub struct Api {
    front_door: Endpoint,
    key: RootKey,
    environment: Arc<SystemEnvironment>,
}

/// Why a call came to nothing.
#[derive(Debug, thiserror::Error)]
pub enum ApiError {
    /// No answer came.
    #[error("{operation}: {cause}")]
    Unanswered {
        /// What was asked for.
        operation: String,
        /// Why there is no answer.
        cause: RequestError,
    },
    /// The service refused.
    #[error("{operation} is refused ({status}): {message}")]
    Refused {
        /// What was asked for.
        operation: String,
        /// The status.
        status: StatusCode,
        /// The error's code, where there is one.
        code: Option<String>,
        /// The service's words, as it sent them.
        message: String,
    },
    /// The answer makes no sense.
    #[error("{operation} is answered in a way that can't be understood: {answer}")]
    Strange {
        /// What was asked for.
        operation: String,
        /// What came.
        answer: String,
    },
}

impl Api {
    /// The APIs behind that front door, for whoever has that key.
    pub fn new(
        front_door: impl Into<Endpoint>,
        key: RootKey,
        environment: Arc<SystemEnvironment>,
    ) -> Api {
        Api {
            front_door: front_door.into(),
            key,
            environment,
        }
    }

    /// Calls an operation of DynamoDB in that Region.
    pub async fn dynamodb(
        &self,
        region: Region,
        operation: &str,
        input: &Value,
    ) -> Result<Value, ApiError> {
        let request = Request::post("/")
            .header("x-amz-target", format!("DynamoDB_20120810.{operation}"))
            .header(CONTENT_TYPE, "application/x-amz-json-1.0");
        let what = format!("{operation} in {region}");
        let answer = self.call("dynamodb", region, &what, request, input.to_string());
        let answer = answer.await?;
        serde_json::from_str(&answer).map_err(|_| strange(&what, &answer))
    }

    /// Calls an operation of Global Accelerator.
    pub async fn accelerators(&self, operation: &str, input: &Value) -> Result<Value, ApiError> {
        let request = Request::post("/")
            .header(
                "x-amz-target",
                format!("GlobalAccelerator_V20180706.{operation}"),
            )
            .header(CONTENT_TYPE, "application/x-amz-json-1.1");
        let region = ACCELERATORS.parse().expect("it is in the table of Regions");
        let answer = self.call(
            "globalaccelerator",
            region,
            operation,
            request,
            input.to_string(),
        );
        let answer = answer.await?;
        serde_json::from_str(&answer).map_err(|_| strange(operation, &answer))
    }

    /// Calls Route 53: the path from behind the version, as `/hostedzone`. Gives the XML. Tries
    /// again for a second or two when the service is busy.
    pub async fn route53(
        &self,
        method: Method,
        path: &str,
        body: String,
    ) -> Result<String, ApiError> {
        let mut pause = FIRST_PAUSE;
        for _ in 1..ATTEMPTS {
            let answer = self.route53_once(method.clone(), path, body.clone()).await;
            match answer {
                Err(ApiError::Refused {
                    code: Some(code), ..
                }) if LATER.contains(&code.as_str()) => {}
                other => return other,
            }
            let until = self.environment.now().monotonic + pause;
            self.environment.sleep_until(until).await;
            pause = Span(pause.0 * 2);
        }
        self.route53_once(method, path, body).await
    }

    async fn route53_once(
        &self,
        method: Method,
        path: &str,
        body: String,
    ) -> Result<String, ApiError> {
        let what = format!("{method} {path} of Route 53");
        let request = Request::builder()
            .method(method)
            .uri(format!("{ROUTE53}{path}"))
            .header(CONTENT_TYPE, "application/xml");
        let region = GLOBAL.parse().expect("it is in the table of Regions");
        self.call("route53", region, &what, request, body).await
    }

    /// Calls S3 in that Region: the path from the bucket on, with its query. Gives the XML.
    pub async fn s3(
        &self,
        region: Region,
        method: Method,
        path: &str,
        body: String,
    ) -> Result<String, ApiError> {
        let what = format!("{method} {path} of S3 in {region}");
        let digest = STANDARD.encode(Md5::digest(&body));
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header("content-md5", digest);
        self.call("s3", region, &what, request, body).await
    }

    /// Calls an operation of Elastic Load Balancing in that Region. Gives the XML.
    pub async fn load_balancing(
        &self,
        region: Region,
        operation: &str,
        parameters: &[(String, String)],
    ) -> Result<String, ApiError> {
        let body = form(operation, "2015-12-01", parameters);
        let request = Request::post("/").header(CONTENT_TYPE, "application/x-www-form-urlencoded");
        let what = format!("{operation} in {region}");
        let answer = self.call("elasticloadbalancing", region, &what, request, body);
        answer.await
    }

    /// Calls an operation of RDS in that Region. Gives the XML.
    pub async fn databases(
        &self,
        region: Region,
        operation: &str,
        parameters: &[(&str, &str)],
    ) -> Result<String, ApiError> {
        let body = form(operation, "2014-10-31", parameters);
        let request = Request::post("/").header(CONTENT_TYPE, "application/x-www-form-urlencoded");
        let what = format!("{operation} in {region}");
        self.call("rds", region, &what, request, body).await
    }

    /// Calls IAM with the parameters of a form, as they are written in one.
    pub async fn iam(&self, parameters: &str) -> Result<String, ApiError> {
        let body = format!("Version=2010-05-08&{parameters}");
        let what = parameters.split('&').next().unwrap_or_default().to_owned();
        let request = Request::post("/").header(CONTENT_TYPE, "application/x-www-form-urlencoded");
        let region = GLOBAL.parse().expect("it is in the table of Regions");
        self.call("iam", region, &what, request, body).await
    }

    async fn call(
        &self,
        service: &str,
        region: Region,
        operation: &str,
        request: Builder,
        body: String,
    ) -> Result<String, ApiError> {
        let request = request.header(HOST, self.front_door.address.to_string());
        let request = request.body(Bytes::from(body));
        let (mut parts, body) = request.expect("constant parts make a request").into_parts();
        let rules = match service {
            "s3" => Rules::OBJECTS,
            _ => Rules::JSON,
        };
        let target = Target {
            service,
            region,
            rules,
        };
        let now = self.environment.now().wall;
        let signed = sign(&mut parts, &body, &self.key.credentials(), &target, now);
        signed.expect("the root key and our own paths can be signed");
        let request = Request::from_parts(parts, body);
        let response = runtime::request(self.front_door.clone(), request, WAIT).await;
        let response = response.map_err(|cause| ApiError::Unanswered {
            operation: operation.to_owned(),
            cause,
        })?;
        let text = String::from_utf8_lossy(response.body()).into_owned();
        match response.status().is_success() {
            true => Ok(text),
            false => Err(ApiError::Refused {
                operation: operation.to_owned(),
                status: response.status(),
                code: element(&text, "Code"),
                message: element(&text, "Message").unwrap_or(text),
            }),
        }
    }
}

impl From<ApiError> for Failure {
    fn from(cause: ApiError) -> Failure {
        Failure::did_not_hold(cause)
    }
}

fn strange(operation: &str, answer: &str) -> ApiError {
    ApiError::Strange {
        operation: operation.to_owned(),
        answer: answer.chars().take(500).collect(),
    }
}

/// An operation with its parameters as a form.
fn form<T: AsRef<str>>(operation: &str, version: &str, parameters: &[(T, T)]) -> String {
    let mut body = format!("Action={operation}&Version={version}");
    for (name, value) in parameters {
        let (name, value) = (name.as_ref(), in_a_form(value.as_ref()));
        body.push_str(&format!("&{name}={value}"));
    }
    body
}

/// Text as it stands in a form: all but what RFC 3986 calls unreserved is written in hexadecimal.
fn in_a_form(text: &str) -> String {
    let mut written = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                written.push(char::from(byte));
            }
            _ => written.push_str(&format!("%{byte:02X}")),
        }
    }
    written
}

/// Text as it stands within an XML element.
pub fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}

/// The text of the first element of that name which has no elements within.
pub fn element(xml: &str, name: &str) -> Option<String> {
    elements(xml, name).next()
}

/// The texts of all elements of that name, in their order.
pub fn elements<'a>(xml: &'a str, name: &str) -> impl Iterator<Item = String> + 'a {
    let (open, close) = (format!("<{name}>"), format!("</{name}>"));
    let mut rest = xml;
    std::iter::from_fn(move || {
        let (_, after) = rest.split_once(&open)?;
        let (text, after) = after.split_once(&close)?;
        rest = after;
        let text = text.replace("&lt;", "<").replace("&gt;", ">");
        let text = text.replace("&quot;", "\"").replace("&apos;", "'");
        Some(text.replace("&amp;", "&"))
    })
}

/// The text at that place of a JSON answer, which must have it.
pub fn text_at(answer: &Value, path: &[&str]) -> Result<String, ApiError> {
    let found = path.iter().fold(answer, |value, name| &value[*name]);
    let found = found.as_str().map(str::to_owned);
    found.ok_or_else(|| strange(&path.join("."), &answer.to_string()))
}

/// The text of an element that the answer must have.
pub fn required(xml: &str, name: &str, operation: &str) -> Result<String, ApiError> {
    element(xml, name).ok_or_else(|| strange(operation, xml))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn elements_are_found_in_their_order() {
        let xml = "<a><Id>/hostedzone/Z1</Id><b><Status>Success &lt;1&gt; &amp;amp;</Status></b>\
                   <Status>Failure</Status><Status>cut";
        assert_eq!(element(xml, "Id").as_deref(), Some("/hostedzone/Z1"));
        let statuses: Vec<String> = elements(xml, "Status").collect();
        assert_eq!(statuses, ["Success <1> &amp;", "Failure"]);
        assert_eq!(element(xml, "Name"), None);
        assert_eq!(escaped("a<b>&c"), "a&lt;b&gt;&amp;c");
        assert_eq!(in_a_form("a b/ü~"), "a%20b%2F%C3%BC~");
    }
}

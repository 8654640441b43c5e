//! XML as the services speak it whose protocol is REST with XML, and the query protocols: errors
//! here, request documents in `read`, response documents in `write`. It knows no service.

mod read;
mod write;

pub use read::{Element, Members, XmlFault, XmlLimits, read};
pub use write::{XmlWriter, is_text};

use write::escape;

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::request::Parts;
use http::{HeaderValue, Response, StatusCode};

use crate::ServiceError;

/// The shape of an error's document.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum XmlErrors {
    /// S3's: `Error` is the root.
    Bare,
    /// That of the query protocol and of REST services but S3: `ErrorResponse` is the root.
    Wrapped,
    /// EC2's: `Response` is the root, and has a list of `Errors`.
    Listed,
}

impl XmlErrors {
    /// The shape that a client of that service (its signing name) understands who sent a request
    /// like this; `None` if it speaks another protocol than XML.
    pub fn of(service: &str, parts: &Parts) -> Option<XmlErrors> {
        let content_type = parts.headers.get(CONTENT_TYPE);
        let content_type = content_type.and_then(|value| value.to_str().ok());
        let is_form = content_type
            .is_some_and(|value| value.starts_with("application/x-www-form-urlencoded"));
        match service {
            "s3" | "s3express" => Some(XmlErrors::Bare),
            "route53" | "cloudfront" => Some(XmlErrors::Wrapped),
            "ec2" if is_form => Some(XmlErrors::Listed),
            _ => is_form.then_some(XmlErrors::Wrapped),
        }
    }
}

/// The response of an operation that failed.
pub fn failure(shape: XmlErrors, request_id: &str, error: &ServiceError) -> Response<Bytes> {
    let (code, message) = (escape(error.code), escape(&error.message));
    let (code, message) = (
        format!("<Code>{code}</Code>"),
        format!("<Message>{message}</Message>"),
    );
    let fault = match error.status {
        500.. => "Receiver",
        _ => "Sender",
    };
    let document = match shape {
        XmlErrors::Bare => {
            format!("<Error>{code}{message}<RequestId>{request_id}</RequestId></Error>")
        }
        XmlErrors::Wrapped => format!(
            "<ErrorResponse><Error><Type>{fault}</Type>{code}{message}</Error>\
             <RequestId>{request_id}</RequestId></ErrorResponse>"
        ),
        XmlErrors::Listed => format!(
            "<Response><Errors><Error>{code}{message}</Error></Errors>\
             <RequestID>{request_id}</RequestID></Response>"
        ),
    };
    let body = format!("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n{document}");
    let mut response = Response::new(Bytes::from(body));
    *response.status_mut() =
        StatusCode::from_u16(error.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/xml"));
    response
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;

    fn shape(service: &str, content_type: &str) -> Option<XmlErrors> {
        let request = Request::get("/").header(CONTENT_TYPE, content_type);
        let (parts, ()) = request.body(()).unwrap().into_parts();
        XmlErrors::of(service, &parts)
    }

    #[test]
    fn the_shape_is_that_of_the_caller_s_protocol() {
        let form = "application/x-www-form-urlencoded; charset=utf-8";
        assert_eq!(shape("s3", ""), Some(XmlErrors::Bare));
        assert_eq!(shape("route53", ""), Some(XmlErrors::Wrapped));
        assert_eq!(shape("sts", form), Some(XmlErrors::Wrapped));
        assert_eq!(shape("ec2", form), Some(XmlErrors::Listed));
        assert_eq!(shape("kinesis", "application/x-amz-json-1.1"), None);
    }

    #[test]
    fn an_error_is_a_document_and_its_text_cannot_break_it() {
        let error = ServiceError::caller("NotImplemented", "no <'s3'> & co");
        let body = |shape| {
            let response = failure(shape, "ID", &error);
            assert_eq!(response.status(), 400);
            assert_eq!(response.headers()[CONTENT_TYPE], "application/xml");
            let text = String::from_utf8(response.into_body().to_vec()).unwrap();
            let (_, document) = text.split_once("?>\n").unwrap();
            document.to_owned()
        };
        let inner = "<Code>NotImplemented</Code><Message>no &lt;'s3'&gt; &amp; co</Message>";
        assert_eq!(
            body(XmlErrors::Bare),
            format!("<Error>{inner}<RequestId>ID</RequestId></Error>")
        );
        assert_eq!(
            body(XmlErrors::Wrapped),
            format!(
                "<ErrorResponse><Error><Type>Sender</Type>{inner}</Error>\
                 <RequestId>ID</RequestId></ErrorResponse>"
            )
        );
        assert_eq!(
            body(XmlErrors::Listed),
            format!(
                "<Response><Errors><Error>{inner}</Error></Errors>\
                 <RequestID>ID</RequestID></Response>"
            )
        );
    }

    #[test]
    fn an_error_s_text_has_only_characters_that_xml_has() {
        let error = ServiceError::caller("ValidationError", "a\u{fffe}\u{ffff}\u{1}\u{85}\r\nb");
        for shape in [XmlErrors::Bare, XmlErrors::Wrapped, XmlErrors::Listed] {
            let body = failure(shape, "ID", &error).into_body();
            let limits = XmlLimits {
                depth: 4,
                elements: 8,
            };
            let mut element = &read(&body, limits).unwrap();
            for name in ["Errors", "Error"] {
                element = element.child(name).unwrap_or(element);
            }
            let message = element.child("Message").unwrap();
            assert_eq!(message.text(), Ok("a    \r\nb"));
        }
    }
}

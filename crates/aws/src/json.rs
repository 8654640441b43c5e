//! The AWS JSON protocols 1.0 and 1.1: which operation a request asks for, and the responses'
//! shapes. It neither parses a request's members nor carries an operation out.

mod structures;

pub use structures::read;

use bytes::Bytes;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use http::request::Parts;
use http::{HeaderValue, Method, Response, StatusCode};
use serde_json::Value;
use types::ByteSize;

use crate::ServiceError;

/// How a service of these protocols is spoken to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct JsonService {
    /// The signing name: `dynamodb`.
    pub service: &'static str,
    /// What stands before the operation in `X-Amz-Target`.
    pub target_prefix: &'static str,
    /// The namespace of the errors that are the service's own; none: their names stand alone.
    pub namespace: Option<&'static str>,
    /// How the member is written that holds the text of an error of its own.
    pub message_member: &'static str,
    /// The content type of a response.
    pub content_type: &'static str,
    /// The largest request body.
    pub request_limit: ByteSize,
}

/// DynamoDB. The limit of 16 MiB is that of its documented BatchWriteItem request.
pub const DYNAMODB: JsonService = JsonService {
    service: "dynamodb",
    target_prefix: "DynamoDB_20120810",
    namespace: Some("com.amazonaws.dynamodb.v20120810"),
    message_member: "message",
    content_type: "application/x-amz-json-1.0",
    request_limit: ByteSize::mib(16),
};

/// Global Accelerator, API version 2018-08-08. Errors are spelled as its model has them; the limit
/// is ours: its largest request is some tens of kibibytes.
pub const GLOBAL_ACCELERATOR: JsonService = JsonService {
    service: "globalaccelerator",
    target_prefix: "GlobalAccelerator_V20180706",
    namespace: None,
    message_member: "Message",
    content_type: "application/x-amz-json-1.1",
    request_limit: ByteSize::mib(1),
};

/// How many random bytes an [`request_id`] is made of.
pub const REQUEST_ID_BYTES: usize = 32;

/// The code under which an operation that isn't built answers.
const NOT_BUILT: &str = "NotImplemented";

/// Errors that come from AWS's common front rather than from the service: their namespace, and
/// whether their text's member is written `Message`. As observed of DynamoDB; where a code isn't
/// listed it is the service's own, with `message`. SDKs read the code after the `#` and take
/// either spelling, so a wrong row here shows only in raw bytes.
const COMMON_ERRORS: [(&str, &str, bool); 10] = [
    ("AccessDeniedException", "com.amazon.coral.service", true),
    ("ExpiredTokenException", "com.amazon.coral.service", false),
    (
        "IncompleteSignatureException",
        "com.amazon.coral.service",
        false,
    ),
    (
        "InvalidSignatureException",
        "com.amazon.coral.service",
        false,
    ),
    (
        "MissingAuthenticationTokenException",
        "com.amazon.coral.service",
        false,
    ),
    (NOT_BUILT, "com.amazon.coral.service", false),
    ("SerializationException", "com.amazon.coral.service", true),
    (
        "UnknownOperationException",
        "com.amazon.coral.service",
        false,
    ),
    (
        "UnrecognizedClientException",
        "com.amazon.coral.service",
        false,
    ),
    ("ValidationException", "com.amazon.coral.validate", false),
];

/// The operation that a request names: `PutItem`. Whatever its content type is, as clients
/// differ there and nothing depends on it.
///
/// # Errors
///
/// `UnknownOperationException` if the request isn't a POST or doesn't name, once, an operation
/// of this very service.
pub fn operation<'a>(parts: &'a Parts, service: &JsonService) -> Result<&'a str, ServiceError> {
    let mut targets = parts.headers.get_all("x-amz-target").iter();
    let (Some(target), None) = (targets.next(), targets.next()) else {
        return Err(unknown_operation());
    };
    let target = target.to_str().ok().and_then(|text| text.split_once('.'));
    match target {
        Some((prefix, operation))
            if parts.method == Method::POST && prefix == service.target_prefix =>
        {
            Ok(operation)
        }
        _ => Err(unknown_operation()),
    }
}

/// A response that an operation succeeded. `request_id` as from [`request_id`].
pub fn success(service: &JsonService, request_id: &str, body: Bytes) -> Response<Bytes> {
    respond(service, request_id, StatusCode::OK, body)
}

/// A response that it didn't.
pub fn failure(service: &JsonService, request_id: &str, error: &ServiceError) -> Response<Bytes> {
    let common = COMMON_ERRORS.iter().find(|(code, ..)| *code == error.code);
    let (namespace, member) = match common {
        Some((_, namespace, true)) => (Some(*namespace), "Message"),
        Some((_, namespace, false)) => (Some(*namespace), "message"),
        None => (service.namespace, service.message_member),
    };
    let mut members = serde_json::Map::new();
    let name = match namespace {
        Some(namespace) => format!("{namespace}#{}", error.code),
        None => error.code.to_owned(),
    };
    members.insert("__type".to_owned(), Value::String(name));
    if !error.message.is_empty() {
        members.insert(member.to_owned(), Value::String(error.message.clone()));
    }
    for (member, value) in &error.members {
        members.insert(member.clone(), value.clone());
    }
    let body = Bytes::from(Value::Object(members).to_string());
    let status = StatusCode::from_u16(error.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    respond(service, request_id, status, body)
}

/// A request id of DynamoDB's shape: 52 characters that spell the given random bytes.
pub fn request_id(random: [u8; REQUEST_ID_BYTES]) -> String {
    const DIGITS: &[u8; 32] = b"0123456789ABCDEFGHIJKLMNOPQRSTUV";
    let mut text = String::with_capacity(52);
    let (mut held, mut bits) = (0u32, 0);
    for byte in random {
        held = (held << 8) | u32::from(byte);
        bits += 8;
        while bits >= 5 {
            bits -= 5;
            text.push(char::from(DIGITS[(held >> bits) as usize & 31]));
        }
    }
    // 256 bits are 51 digits and one bit.
    text.push(char::from(DIGITS[(held << (5 - bits)) as usize & 31]));
    text
}

/// No operation of that name is in the service's model. DynamoDB gives no text with it.
pub fn unknown_operation() -> ServiceError {
    ServiceError::caller("UnknownOperationException", "")
}

/// The body isn't the JSON that the operation's shape asks for. DynamoDB has no text where the
/// body isn't JSON at all, and one like "NUMBER_VALUE cannot be converted to String" elsewhere.
pub fn serialization(message: impl Into<String>) -> ServiceError {
    ServiceError::caller("SerializationException", message)
}

/// The operation (or a whole service, in words) exists at AWS but isn't built. Status 400, since
/// SDKs take it for final; several retry any status from 500 on, 501 too.
pub fn not_built(operation: &str) -> ServiceError {
    let message = format!(
        "{operation} is not built yet in Causeway; `causeway status --operations` lists what is."
    );
    ServiceError::caller(NOT_BUILT, message)
}

/// The body is larger than the service's limit. DynamoDB answers 413 without a text that we
/// know of; code and text are ours.
pub fn request_too_large(service: &JsonService) -> ServiceError {
    let limit = service.request_limit.0;
    ServiceError {
        status: StatusCode::PAYLOAD_TOO_LARGE.as_u16(),
        ..ServiceError::caller(
            "RequestEntityTooLargeException",
            format!("The request's body is larger than {limit} bytes."),
        )
    }
}

fn respond(
    service: &JsonService,
    request_id: &str,
    status: StatusCode,
    body: Bytes,
) -> Response<Bytes> {
    let checksum = crc32fast::hash(&body);
    let length = body.len();
    let mut response = Response::new(body);
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(service.content_type));
    headers.insert(CONTENT_LENGTH, HeaderValue::from(length));
    headers.insert("x-amz-crc32", HeaderValue::from(checksum));
    if let Ok(id) = HeaderValue::from_str(request_id) {
        headers.insert("x-amzn-requestid", id);
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(method: Method, targets: &[&str]) -> Parts {
        let mut request = http::Request::builder().method(method);
        for target in targets {
            request = request.header("X-Amz-Target", *target);
        }
        request.body(()).unwrap().into_parts().0
    }

    fn body(response: &Response<Bytes>) -> Value {
        serde_json::from_slice(response.body()).unwrap()
    }

    #[test]
    fn the_target_names_the_operation() {
        let parts = request(Method::POST, &["DynamoDB_20120810.PutItem"]);
        assert_eq!(operation(&parts, &DYNAMODB), Ok("PutItem"));
        for (method, targets) in [
            (Method::POST, &[][..]),
            (Method::POST, &["PutItem"]),
            (Method::POST, &["DynamoDB_20111205.PutItem"]),
            (
                Method::POST,
                &["DynamoDB_20120810.PutItem", "DynamoDB_20120810.GetItem"],
            ),
            (Method::GET, &["DynamoDB_20120810.PutItem"]),
        ] {
            let parts = request(method, targets);
            assert_eq!(operation(&parts, &DYNAMODB), Err(unknown_operation()));
        }
    }

    #[test]
    fn a_success_carries_its_checksum() {
        let response = success(&DYNAMODB, "ID", Bytes::from_static(b"{}"));
        assert_eq!(response.status(), 200);
        assert_eq!(
            response.headers()["content-type"],
            "application/x-amz-json-1.0"
        );
        assert_eq!(response.headers()["content-length"], "2");
        assert_eq!(response.headers()["x-amzn-requestid"], "ID");
        // The published CRC-32 of "{}".
        assert_eq!(response.headers()["x-amz-crc32"], "2745614147");
    }

    #[test]
    fn errors_carry_the_namespace_that_the_service_gives_them() {
        for (error, expected) in [
            (
                ServiceError::caller("ValidationException", "bad"),
                r#"{"__type":"com.amazon.coral.validate#ValidationException","message":"bad"}"#,
            ),
            (
                ServiceError::caller("ResourceNotFoundException", "none"),
                r#"{"__type":"com.amazonaws.dynamodb.v20120810#ResourceNotFoundException",
                    "message":"none"}"#,
            ),
            (
                unknown_operation(),
                r#"{"__type":"com.amazon.coral.service#UnknownOperationException"}"#,
            ),
            (
                serialization("NUMBER_VALUE cannot be converted to String"),
                r#"{"__type":"com.amazon.coral.service#SerializationException",
                    "Message":"NUMBER_VALUE cannot be converted to String"}"#,
            ),
            (
                ServiceError::server("InternalServerError", "ours"),
                r#"{"__type":"com.amazonaws.dynamodb.v20120810#InternalServerError",
                    "message":"ours"}"#,
            ),
        ] {
            let response = failure(&DYNAMODB, "ID", &error);
            assert_eq!(response.status(), error.status);
            let expected: Value = serde_json::from_str(expected).unwrap();
            assert_eq!(body(&response), expected);
        }
    }

    #[test]
    fn a_service_without_a_namespace_names_its_errors_alone() {
        let parts = request(
            Method::POST,
            &["GlobalAccelerator_V20180706.ListAccelerators"],
        );
        assert_eq!(
            operation(&parts, &GLOBAL_ACCELERATOR),
            Ok("ListAccelerators")
        );
        assert_eq!(operation(&parts, &DYNAMODB), Err(unknown_operation()));
        let error = ServiceError::caller("ListenerNotFoundException", "none");
        let response = failure(&GLOBAL_ACCELERATOR, "ID", &error);
        assert_eq!(
            response.headers()["content-type"],
            "application/x-amz-json-1.1"
        );
        let expected =
            serde_json::json!({"__type": "ListenerNotFoundException", "Message": "none"});
        assert_eq!(body(&response), expected);
    }

    #[test]
    fn an_error_s_further_members_stand_beside_its_text() {
        let mut error = ServiceError::caller("ConditionalCheckFailedException", "no");
        error
            .members
            .insert("Item".into(), serde_json::json!({"id": {"S": "1"}}));
        let response = failure(&DYNAMODB, "ID", &error);
        assert_eq!(body(&response)["Item"]["id"]["S"], "1");
    }

    #[test]
    fn what_is_not_built_says_so_by_name_and_is_not_retried() {
        let response = failure(&DYNAMODB, "ID", &not_built("PutResourcePolicy"));
        assert_eq!(response.status(), 400);
        let body = body(&response);
        assert_eq!(body["__type"], "com.amazon.coral.service#NotImplemented");
        let message = body["message"].as_str().unwrap();
        assert!(
            message.starts_with("PutResourcePolicy is not built yet"),
            "{message}"
        );
    }

    #[test]
    fn too_large_a_request_names_the_limit() {
        let error = request_too_large(&DYNAMODB);
        assert_eq!(error.status, 413);
        assert!(error.message.contains("16777216"), "{}", error.message);
    }

    #[test]
    fn request_ids_spell_all_their_bytes() {
        assert_eq!(request_id([0; 32]), "0".repeat(52));
        assert_eq!(request_id([255; 32]), format!("{}G", "V".repeat(51)));
        let mut bytes = [0; 32];
        bytes[31] = 1;
        assert_eq!(request_id(bytes), format!("{}0G", "0".repeat(50)));
    }
}

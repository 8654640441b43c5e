//! The query protocol: an operation and its parameters as a form, an answer in XML. What a form
//! says is read in `form` and `members`; here are the services that speak it, the shapes of their
//! answers, and the refusals that all of them have. It knows no operation and carries none out.

mod form;
mod members;

pub use form::Form;
pub use members::{MapEntry, Members};

use bytes::Bytes;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use http::{HeaderValue, Response, StatusCode};
use types::ByteSize;

use crate::ServiceError;
use crate::xml::{self, XmlErrors, XmlWriter};

/// How a service of this protocol is spoken to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct QueryService {
    /// The signing name: `iam`.
    pub service: &'static str,
    /// The version of its API, which requests name.
    pub version: &'static str,
    /// The namespace of its answers.
    pub namespace: &'static str,
    /// The largest body, and the largest query string.
    pub request_limit: ByteSize,
}

/// IAM. The longest parameter of its model is a policy document of 131,072 characters, thrice as
/// much when escaped; a simulation is given several.
pub const IAM: QueryService = QueryService {
    service: "iam",
    version: "2010-05-08",
    namespace: "https://iam.amazonaws.com/doc/2010-05-08/",
    request_limit: ByteSize::mib(1),
};

/// STS. A session policy has 2,048 characters, and a web identity's token 20,000.
pub const STS: QueryService = QueryService {
    service: "sts",
    version: "2011-06-15",
    namespace: "https://sts.amazonaws.com/doc/2011-06-15/",
    request_limit: ByteSize::kib(256),
};

/// EC2, whose lists are numbered without a `member` ([`Members::numbered`]) and whose answers have
/// shapes of their own. Its longest lists have 1,000 ids.
pub const EC2: QueryService = QueryService {
    service: "ec2",
    version: "2016-11-15",
    namespace: "http://ec2.amazonaws.com/doc/2016-11-15/",
    request_limit: ByteSize::kib(256),
};

/// Elastic Load Balancing v2. Its longest request has a thousand targets of a few parameters each.
pub const ELASTIC_LOAD_BALANCING: QueryService = QueryService {
    service: "elasticloadbalancing",
    version: "2015-12-01",
    namespace: "http://elasticloadbalancing.amazonaws.com/doc/2015-12-01/",
    request_limit: ByteSize::mib(1),
};

/// RDS, whose lists are numbered behind the name of their members (`Tags.Tag.1.Key`). Its longest
/// request sets a few hundred parameters of four texts each.
pub const RDS: QueryService = QueryService {
    service: "rds",
    version: "2014-10-31",
    namespace: "http://rds.amazonaws.com/doc/2014-10-31/",
    request_limit: ByteSize::mib(1),
};

/// Why a form isn't what an operation can be asked by. No variant repeats a value: it may be a
/// secret.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum QueryFault {
    /// Of another method or path than the protocol has.
    #[error("Only a POST, or a GET with a query string, of the path / names an operation.")]
    Elsewhere,
    /// Larger than the service takes.
    #[error("The request is larger than {0} bytes.")]
    TooLarge(u64),
    /// It has more parameters than [`Form::MOST`].
    #[error("The request has more than {most} parameters.", most = Form::MOST)]
    TooManyParameters,
    /// A parameter's name is longer than [`Form::LONGEST_NAME`].
    #[error(
        "The name of a parameter is longer than {longest} bytes.",
        longest = Form::LONGEST_NAME
    )]
    NameTooLong,
    /// `%` without two digits, or bytes that are no text.
    #[error("The query string contains a syntax error.")]
    Syntax,
    /// A body of another type than a form.
    #[error("The request's body is not application/x-www-form-urlencoded.")]
    NotAForm,
    /// The parameter is there twice.
    #[error("The parameter {0} is given more than once.")]
    Repeated(String),
    /// The members of the list aren't numbered 1, 2, 3 and so on.
    #[error("The members of the list {0} are not numbered from 1 without gaps.")]
    Numbering(String),
    /// An entry of the map lacks its key or value, or a key is there twice.
    #[error("The map {0} has an entry without a key or value, or a key twice.")]
    Entry(String),
    /// No operation is named.
    #[error("The request must contain the parameter Action.")]
    MissingAction,
}

/// Codes and statuses as AWS documents them of all its query APIs ("Common errors");
/// `MalformedInput` as its fronts answer lists they can't make sense of, and
/// `UnknownOperationException` what isn't of the protocol.
impl From<QueryFault> for ServiceError {
    fn from(fault: QueryFault) -> ServiceError {
        let (status, code) = match fault {
            QueryFault::Elsewhere => (StatusCode::NOT_FOUND, "UnknownOperationException"),
            QueryFault::TooLarge(_) => (StatusCode::PAYLOAD_TOO_LARGE, "RequestEntityTooLarge"),
            QueryFault::TooManyParameters
            | QueryFault::NameTooLong
            | QueryFault::Syntax
            | QueryFault::Repeated(_) => (StatusCode::NOT_FOUND, "MalformedQueryString"),
            QueryFault::NotAForm | QueryFault::Numbering(_) | QueryFault::Entry(_) => {
                (StatusCode::BAD_REQUEST, "MalformedInput")
            }
            QueryFault::MissingAction => (StatusCode::BAD_REQUEST, "MissingAction"),
        };
        ServiceError {
            status: status.as_u16(),
            ..ServiceError::caller(code, fault.to_string())
        }
    }
}

/// The answer of an operation that succeeded, while it is written.
#[derive(Debug)]
pub struct Reply {
    writer: XmlWriter,
    has_result: bool,
}

impl Reply {
    /// The answer of an operation that has a result: what is written next is inside it.
    pub fn with_result(service: &QueryService, operation: &str) -> Reply {
        let mut reply = Reply::empty(service, operation);
        reply.writer.open(format!("{operation}Result"));
        reply.has_result = true;
        reply
    }

    /// The answer of an operation that has none.
    pub fn empty(service: &QueryService, operation: &str) -> Reply {
        Reply {
            writer: XmlWriter::document(format!("{operation}Response"), service.namespace),
            has_result: false,
        }
    }

    /// Where the result's members are written; what is opened there is to be closed there.
    pub fn writer(&mut self) -> &mut XmlWriter {
        &mut self.writer
    }

    /// The response. `request_id` is repeated in the document and in a header.
    pub fn finish(mut self, request_id: &str) -> Response<Bytes> {
        if self.has_result {
            self.writer.close();
        }
        self.writer
            .open("ResponseMetadata")
            .value("RequestId", request_id);
        let mut response = Response::new(self.writer.finish());
        complete(&mut response, request_id);
        response
    }
}

/// The response of an operation that failed.
pub fn failure(request_id: &str, error: &ServiceError) -> Response<Bytes> {
    let mut response = xml::failure(XmlErrors::Wrapped, request_id, error);
    complete(&mut response, request_id);
    response
}

fn complete(response: &mut Response<Bytes>, request_id: &str) {
    let length = response.body().len();
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/xml"));
    headers.insert(CONTENT_LENGTH, HeaderValue::from(length));
    if let Ok(id) = HeaderValue::from_str(request_id) {
        headers.insert("x-amzn-requestid", id);
    }
}

/// No operation of the service's model has that name, or the request is of another version.
pub fn unknown_operation(form: &Form) -> ServiceError {
    let shown = |text: &str| text.chars().take(64).collect::<String>();
    let action = form.members().value("Action").unwrap_or("");
    let version = form.version().unwrap_or("NO_VERSION_SPECIFIED");
    ServiceError::caller(
        "InvalidAction",
        format!(
            "Could not find operation {} for version {}",
            shown(action),
            shown(version)
        ),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(response: &Response<Bytes>) -> &str {
        std::str::from_utf8(response.body()).unwrap()
    }

    #[test]
    fn an_answer_has_its_result_its_id_and_its_namespace() {
        let mut reply = Reply::with_result(&IAM, "GetUser");
        reply.writer().open("User").value("UserName", "a<b").close();
        let response = reply.finish("ID");
        assert_eq!(
            text(&response),
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
             <GetUserResponse xmlns=\"https://iam.amazonaws.com/doc/2010-05-08/\">\
             <GetUserResult><User><UserName>a&lt;b</UserName></User></GetUserResult>\
             <ResponseMetadata><RequestId>ID</RequestId></ResponseMetadata></GetUserResponse>"
        );
        assert_eq!(response.headers()["x-amzn-requestid"], "ID");
        assert_eq!(response.headers()["content-type"], "text/xml");
        let length = response.body().len().to_string();
        assert_eq!(response.headers()["content-length"], length.as_str());
    }

    #[test]
    fn an_answer_without_result_has_no_element_for_one() {
        let response = Reply::empty(&STS, "X").finish("ID");
        assert_eq!(
            text(&response),
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
             <XResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\">\
             <ResponseMetadata><RequestId>ID</RequestId></ResponseMetadata></XResponse>"
        );
    }

    #[test]
    fn a_refusal_names_its_fault_and_its_request() {
        let response = failure("ID", &QueryFault::MissingAction.into());
        assert_eq!(response.status(), 400);
        assert_eq!(response.headers()["x-amzn-requestid"], "ID");
        assert!(text(&response).contains("<Code>MissingAction</Code>"));
        let large = ServiceError::from(QueryFault::TooLarge(7));
        assert_eq!(large.status, 413);
    }

    #[test]
    fn an_unknown_operation_is_named_with_its_version() {
        let parsed = |text: &str| Form::parse(text.as_bytes()).unwrap();
        let of = |text: &str| unknown_operation(&parsed(text)).to_string();
        assert_eq!(
            of("Action=Nothing&Version=2010-05-08"),
            "InvalidAction: Could not find operation Nothing for version 2010-05-08"
        );
        assert_eq!(
            of("Action=Nothing"),
            "InvalidAction: Could not find operation Nothing for version NO_VERSION_SPECIFIED"
        );
        assert!(of(&format!("Action={}", "a".repeat(9999))).len() < 200);
    }
}

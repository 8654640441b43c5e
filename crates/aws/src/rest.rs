//! The protocol REST with XML: which operation of a service's table a method and a path ask for,
//! what the path and the query say, and the responses' shapes. It carries no operation out.

use bytes::Bytes;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, LOCATION};
use http::request::Parts;
use http::{HeaderValue, Response, StatusCode};
use types::ByteSize;

use crate::xml::{self, XmlErrors, XmlLimits};
use crate::{Operation, ServiceError};

/// How a service of this protocol is spoken to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RestService {
    /// The signing name: `route53`.
    pub service: &'static str,
    /// The namespace of its documents.
    pub namespace: &'static str,
    /// The largest request body.
    pub request_limit: ByteSize,
    /// How large the document in it may be, beside its bytes.
    pub document: XmlLimits,
}

/// Route 53. A batch of 1,000 changes with names at their longest is about 1.3 MiB and has
/// about 20,000 elements; the service's own limit isn't published.
pub const ROUTE53: RestService = RestService {
    service: "route53",
    namespace: "https://route53.amazonaws.com/doc/2013-04-01/",
    request_limit: ByteSize::mib(2),
    document: XmlLimits {
        depth: 16,
        elements: 65_536,
    },
};

/// The code under which an operation that isn't built answers.
const NOT_BUILT: &str = "NotImplemented";

/// One row of the operation table of a service of this protocol.
#[derive(Clone, Copy, Debug)]
pub struct RestOperation<H, R> {
    /// Its name, and what carries it out.
    pub operation: Operation<H, R>,
    /// `GET`, `POST`, ….
    pub method: &'static str,
    /// As in the published model: `/2013-04-01/hostedzone/{Id}/rrset`. A label `{Key+}` takes
    /// all that is left of the path; what stands after a `?` must be in the query.
    pub uri: &'static str,
}

/// What a path said where its template has labels.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Labels(Vec<(&'static str, String)>);

/// The parameters of a query, decoded, in their order.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Query(Vec<(String, String)>);

impl Labels {
    /// What stood for that label; empty if the template hasn't got it.
    pub fn get(&self, label: &str) -> &str {
        let found = self.0.iter().find(|(name, _)| *name == label);
        found.map_or("", |(_, value)| value)
    }
}

impl Query {
    /// The parameters of a request's query. Of a parameter without `=` the value is empty.
    /// `None`: it isn't UTF-8 once decoded.
    pub fn of(parts: &Parts) -> Option<Query> {
        let text = parts.uri.query().unwrap_or("");
        let pairs = text.split('&').filter(|pair| !pair.is_empty());
        let decoded = pairs.map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            Some((decode(name, true)?, decode(value, true)?))
        });
        decoded.collect::<Option<_>>().map(Query)
    }

    /// The value of the parameter of that name, the first if there are several.
    pub fn get(&self, name: &str) -> Option<&str> {
        let found = self.0.iter().find(|(parameter, _)| parameter == name);
        found.map(|(_, value)| value.as_str())
    }
}

/// The row that a request's method, path and query ask for, and the labels of its path: of
/// several that match, the one with the most in it that isn't a label. A slash at the end of a
/// path makes no difference.
pub fn route<'t, H, R>(
    table: &'t [RestOperation<H, R>],
    parts: &Parts,
    query: &Query,
) -> Option<(&'t RestOperation<H, R>, Labels)> {
    let mut best: Option<(usize, &RestOperation<H, R>, Labels)> = None;
    for row in table.iter().filter(|row| row.method == parts.method) {
        let (path, wanted) = row.uri.split_once('?').unwrap_or((row.uri, ""));
        let wanted = wanted.split('&').filter(|name| !name.is_empty());
        let (mut literals, mut asked) = (0, true);
        for name in wanted {
            literals += 1;
            asked &= query.get(name).is_some();
        }
        let Some((fixed, labels)) = matched(path, parts.uri.path()).filter(|_| asked) else {
            continue;
        };
        literals += fixed;
        if best.as_ref().is_none_or(|(most, ..)| literals > *most) {
            best = Some((literals, row, labels));
        }
    }
    best.map(|(_, row, labels)| (row, labels))
}

/// How many segments are the same in both, and what stands for the labels; `None`: the path is
/// of another form.
fn matched(template: &'static str, path: &str) -> Option<(usize, Labels)> {
    let (mut fixed, mut labels) = (0, Vec::new());
    let mut rest = Some(without_slash(path));
    let mut segments = without_slash(template).split('/');
    while let Some(segment) = segments.next() {
        let left = rest?;
        let label = segment.strip_prefix('{').and_then(|s| s.strip_suffix('}'));
        if let Some(greedy) = label.and_then(|label| label.strip_suffix('+')) {
            labels.push((greedy, decode(left, false)?));
            return segments.next().is_none().then_some((fixed, Labels(labels)));
        }
        let (first, following) = match left.split_once('/') {
            Some((first, following)) => (first, Some(following)),
            None => (left, None),
        };
        match label {
            Some(label) if !first.is_empty() => labels.push((label, decode(first, false)?)),
            Some(_) => return None,
            None if first == segment => fixed += 1,
            None => return None,
        }
        rest = following;
    }
    rest.is_none().then_some((fixed, Labels(labels)))
}

fn without_slash(path: &str) -> &str {
    path.strip_suffix('/').unwrap_or(path)
}

/// With `%41` read as the byte it names, and `+` as a space where `plus` says so. `None`: what
/// comes out isn't UTF-8. A `%` without two digits stays what it is.
fn decode(text: &str, plus: bool) -> Option<String> {
    let bytes = text.as_bytes();
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut index = 0;
    while let Some(&byte) = bytes.get(index) {
        let digits = bytes.get(index + 1..index + 3).filter(|_| byte == b'%');
        let escaped = digits
            .filter(|digits| digits.iter().all(u8::is_ascii_hexdigit))
            .and_then(|digits| std::str::from_utf8(digits).ok())
            .and_then(|digits| u8::from_str_radix(digits, 16).ok());
        decoded.push(match escaped {
            Some(escaped) => escaped,
            None if byte == b'+' && plus => b' ',
            None => byte,
        });
        index += if escaped.is_some() { 3 } else { 1 };
    }
    String::from_utf8(decoded).ok()
}

/// A response that an operation succeeded, with that document. `location` is of what it created.
pub fn success(
    request_id: &str,
    status: StatusCode,
    location: Option<&str>,
    document: Bytes,
) -> Response<Bytes> {
    let length = document.len();
    let mut response = Response::new(document);
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/xml"));
    headers.insert(CONTENT_LENGTH, HeaderValue::from(length));
    if let Some(Ok(location)) = location.map(HeaderValue::from_str) {
        headers.insert(LOCATION, location);
    }
    with_request_id(response, request_id)
}

/// A response that it didn't.
pub fn failure(request_id: &str, error: &ServiceError) -> Response<Bytes> {
    let mut response = xml::failure(XmlErrors::Wrapped, request_id, error);
    let length = response.body().len();
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/xml"));
    headers.insert(CONTENT_LENGTH, HeaderValue::from(length));
    with_request_id(response, request_id)
}

fn with_request_id(mut response: Response<Bytes>, request_id: &str) -> Response<Bytes> {
    if let Ok(id) = HeaderValue::from_str(request_id) {
        response.headers_mut().insert("x-amzn-requestid", id);
    }
    response
}

/// No operation of the service's model has that method and path. Code as AWS's front answers
/// it; the text is ours.
pub fn unknown_operation(parts: &Parts) -> ServiceError {
    let path: String = parts.uri.path().chars().take(256).collect();
    ServiceError {
        status: StatusCode::NOT_FOUND.as_u16(),
        ..ServiceError::caller(
            "UnknownOperationException",
            format!("No operation of this service is {} {path}", parts.method),
        )
    }
}

/// The operation exists at AWS but isn't built. Status 400, since SDKs take it for final.
pub fn not_built(operation: &str) -> ServiceError {
    let message = format!(
        "{operation} is not built yet in Causeway; `causeway status --operations` lists what is."
    );
    ServiceError::caller(NOT_BUILT, message)
}

/// A part of an operation (in words) exists at AWS but isn't built.
pub fn part_not_built(part: &str) -> ServiceError {
    ServiceError::caller(NOT_BUILT, format!("{part} is not built yet in Causeway."))
}

/// The body is larger than the service's limit. Code and text are ours.
pub fn request_too_large(service: &RestService) -> ServiceError {
    let limit = service.request_limit.0;
    ServiceError {
        status: StatusCode::PAYLOAD_TOO_LARGE.as_u16(),
        ..ServiceError::caller(
            "RequestEntityTooLarge",
            format!("The request's body is larger than {limit} bytes."),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::access::Access;

    const TABLE: &[RestOperation<u8, ()>] = &[
        row("ListZones", "GET", "/v1/zone"),
        row("CreateZone", "POST", "/v1/zone"),
        row("GetZone", "GET", "/v1/zone/{Id}"),
        row("ChangeRecords", "POST", "/v1/zone/{Id}/rrset/"),
        row("GetDefault", "GET", "/v1/zone/default"),
        row("PutObject", "PUT", "/{Bucket}/{Key+}"),
        row("PutTagging", "PUT", "/{Bucket}/{Key+}?tagging"),
    ];

    const fn row(
        name: &'static str,
        method: &'static str,
        uri: &'static str,
    ) -> RestOperation<u8, ()> {
        RestOperation {
            operation: Operation {
                name,
                access: Access::Anyone,
                handler: None,
            },
            method,
            uri,
        }
    }

    fn parts(method: &str, uri: &str) -> Parts {
        let request = http::Request::builder().method(method).uri(uri);
        request.body(()).unwrap().into_parts().0
    }

    fn routed(method: &str, uri: &str) -> Option<(&'static str, Labels)> {
        let parts = parts(method, uri);
        let (row, labels) = route(TABLE, &parts, &Query::of(&parts).unwrap())?;
        Some((row.operation.name, labels))
    }

    #[test]
    fn method_path_and_query_find_the_row() {
        for (method, uri, expected) in [
            ("GET", "/v1/zone?marker=Z1", Some("ListZones")),
            ("POST", "/v1/zone/", Some("CreateZone")),
            ("GET", "/v1/zone/Z1", Some("GetZone")),
            ("GET", "/v1/zone/default", Some("GetDefault")),
            ("POST", "/v1/zone/Z1/rrset", Some("ChangeRecords")),
            ("POST", "/v1/zone/Z1/rrset/", Some("ChangeRecords")),
            ("PUT", "/b/k/l", Some("PutObject")),
            ("PUT", "/b/k/l?tagging", Some("PutTagging")),
            ("DELETE", "/v1/zone", None),
            ("GET", "/v1/zone/Z1/other", None),
            ("GET", "/v1", None),
            ("GET", "/v1/zone//", None),
            ("GET", "/", None),
        ] {
            let name = routed(method, uri).map(|(name, _)| name);
            assert_eq!(name, expected, "{method} {uri}");
        }
    }

    #[test]
    fn labels_and_parameters_are_decoded() {
        let (_, labels) = routed("GET", "/v1/zone/Z%2f1%").unwrap();
        assert_eq!(labels.get("Id"), "Z/1%");
        assert_eq!(labels.get("Other"), "");
        let (_, labels) = routed("PUT", "/b/k+%20/l").unwrap();
        assert_eq!((labels.get("Bucket"), labels.get("Key")), ("b", "k+ /l"));
        let query = Query::of(&parts("GET", "/?name=%5C052.a&name=b&flag&t=a+b")).unwrap();
        assert_eq!(query.get("name"), Some("\\052.a"));
        assert_eq!(query.get("flag"), Some(""));
        assert_eq!(query.get("t"), Some("a b"));
        assert_eq!(query.get("other"), None);
        assert_eq!(Query::of(&parts("GET", "/?a=%ff")), None);
        assert_eq!(routed("GET", "/v1/zone/%ff"), None);
    }

    #[test]
    fn responses_carry_their_id_and_length() {
        let created = success("ID", StatusCode::CREATED, Some("/z/1"), Bytes::from("<A/>"));
        assert_eq!(created.status(), 201);
        assert_eq!(created.headers()["location"], "/z/1");
        assert_eq!(created.headers()["content-length"], "4");
        assert_eq!(created.headers()["x-amzn-requestid"], "ID");
        let failed = failure("ID", &not_built("CreateZone"));
        assert_eq!(failed.status(), 400);
        let text = std::str::from_utf8(failed.body()).unwrap();
        assert!(text.contains("<Code>NotImplemented</Code>"), "{text}");
        assert!(text.contains("<RequestId>ID</RequestId>"), "{text}");
        assert_eq!(
            failure("ID", &unknown_operation(&parts("GET", "/x"))).status(),
            404
        );
    }
}

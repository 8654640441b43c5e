//! The query string of a request, decoded once. Names of the signature and of nothing
//! (`x-id`, and the `x-…` that S3 lets clients add for their own logs) are left out; headers that a
//! presigned URL carries in its query are given back as headers. A name given twice is refused.
//! What says that a URL was presigned by Signature V2 was verified by whoever calls.

use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue};

use crate::address::decode;
use crate::error::Fault;

/// Names that belong to the signature; compared without regard to case.
const SIGNATURE: [&str; 8] = [
    "x-amz-algorithm",
    "x-amz-credential",
    "x-amz-date",
    "x-amz-expires",
    "x-amz-signedheaders",
    "x-amz-signature",
    "x-amz-security-token",
    "x-amz-region-set",
];

/// The names of a presigned URL of Signature V2; the first is of nothing else.
const SIGNATURE_2: [&str; 3] = ["AWSAccessKeyId", "Expires", "Signature"];

/// Headers that such a URL carries as well, under these names.
const CARRIED_2: [&str; 2] = ["content-md5", "content-type"];

/// The most parameters that are taken. Ours; no operation has a tenth of it.
const PARAMETERS: usize = 64;

/// Names and values in the order in which they came.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct Query(Vec<(String, String)>);

impl Query {
    /// The query of a request, and the headers that it carries.
    ///
    /// # Errors
    ///
    /// `InvalidURI` if it can't be decoded, `InvalidArgument` if a name comes twice.
    pub(crate) fn of(parts: &Parts) -> Result<(Query, HeaderMap), Fault> {
        Query::with_list(parts, None)
    }

    /// The same, of an operation with a parameter that may come several times.
    ///
    /// # Errors
    ///
    /// As [`Query::of`].
    pub(crate) fn with_list(
        parts: &Parts,
        list: Option<&str>,
    ) -> Result<(Query, HeaderMap), Fault> {
        let mut query = Query::default();
        let mut headers = HeaderMap::new();
        let is_version2 = is_presigned_by_version2(parts);
        let pairs = parts.uri.query().unwrap_or_default().split('&');
        for pair in pairs.filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let read = |text: &str| decode(&text.replace('+', " "));
            let (Some(name), Some(value)) = (read(name), read(value)) else {
                return Err(invalid());
            };
            let lower = name.to_ascii_lowercase();
            if SIGNATURE.contains(&lower.as_str()) || lower == "x-amz-content-sha256" {
                continue;
            }
            if is_version2 && SIGNATURE_2.contains(&name.as_str()) {
                continue;
            }
            let is_carried = is_version2 && CARRIED_2.contains(&name.as_str());
            if lower.starts_with("x-amz-") || is_carried {
                carry(&mut headers, &lower, &value)?;
                continue;
            }
            if lower.starts_with("x-") {
                continue;
            }
            if list != Some(&*name) && query.has(&name) {
                let text = format!("The parameter '{name}' is given more than once.");
                return Err(Fault::argument("Query", &name, text));
            }
            if query.0.len() == PARAMETERS {
                return Err(invalid());
            }
            query.0.push((name, value));
        }
        Ok((query, headers))
    }

    /// Is there a parameter of that name?
    pub(crate) fn has(&self, name: &str) -> bool {
        self.0.iter().any(|(known, _)| known == name)
    }

    /// The value of that name.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        let found = self.0.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.as_str())
    }

    /// The values of a parameter that may come several times.
    pub(crate) fn all(&self, name: &str) -> impl Iterator<Item = &str> {
        let found = self.0.iter().filter(move |(known, _)| known == name);
        found.map(|(_, value)| value.as_str())
    }

    /// The names, in order.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|(name, _)| name.as_str())
    }

    /// As text, encoded.
    pub(crate) fn encoded(&self) -> String {
        let pairs = self.0.iter();
        let pairs = pairs.map(|(name, value)| match value.is_empty() {
            true => encode(name),
            false => format!("{}={}", encode(name), encode(value)),
        });
        pairs.collect::<Vec<_>>().join("&")
    }
}

/// Is it a URL that was presigned by Signature V2?
pub(crate) fn is_presigned_by_version2(parts: &Parts) -> bool {
    let mut pairs = parts.uri.query().unwrap_or_default().split('&');
    pairs.any(|pair| {
        let name = pair.split_once('=').map_or(pair, |(name, _)| name);
        decode(&name.replace('+', " ")).as_deref() == Some(SIGNATURE_2[0])
    })
}

/// A header that came in the query.
fn carry(headers: &mut HeaderMap, name: &str, value: &str) -> Result<(), Fault> {
    let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| invalid())?;
    let value = HeaderValue::from_str(value).map_err(|_| invalid())?;
    match headers.insert(name, value) {
        None => Ok(()),
        Some(_) => Err(invalid()),
    }
}

/// Percent-encoded: everything but the unreserved characters of RFC 3986, section 2.3.
pub(crate) fn encode(text: &str) -> String {
    use std::fmt::Write as _;
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                encoded.push(char::from(byte));
            }
            other => {
                let _ = write!(encoded, "%{other:02X}");
            }
        }
    }
    encoded
}

fn invalid() -> Fault {
    Fault::bad("InvalidURI", "Couldn't parse the specified URI.")
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;

    fn query(text: &str) -> Result<(Query, HeaderMap), Fault> {
        let request = Request::get(format!("/b?{text}")).body(()).unwrap();
        Query::of(&request.into_parts().0)
    }

    #[test]
    fn signatures_and_foreign_names_are_left_out_and_headers_carried() {
        let text = "versions&prefix=a%2Fb+c&x-id=Get&x-trace=7&X-Amz-Signature=00&\
                    X-Amz-Security-Token=t&x-amz-meta-a=b%20c";
        let (query, headers) = query(text).unwrap();
        assert_eq!(query.encoded(), "versions&prefix=a%2Fb%20c");
        assert_eq!(query.get("prefix"), Some("a/b c"));
        assert_eq!(headers.len(), 1);
        assert_eq!(headers["x-amz-meta-a"], "b c");
    }

    #[test]
    fn what_version_2_presigns_carries_headers_and_is_left_out() {
        let text = "AWSAccessKeyId=A&Signature=b%3D&content-type=text%2Fplain&x-amz-acl=private&\
                    versionId=1&Expires=7";
        let (seen, headers) = query(text).unwrap();
        assert_eq!(seen.encoded(), "versionId=1");
        assert_eq!(headers["content-type"], "text/plain");
        assert_eq!(headers["x-amz-acl"], "private");
        // In another request these are names like any other: to be refused where they are routed.
        let (seen, headers) = query("content-type=text%2Fplain&Expires=7").unwrap();
        assert_eq!(
            (seen.has("Expires"), seen.has("content-type")),
            (true, true)
        );
        assert!(headers.is_empty());
    }

    #[test]
    fn what_is_ambiguous_is_refused() {
        assert_eq!(query("a=1&a=2").unwrap_err().code, "InvalidArgument");
        let request = Request::get("/b?a=1&a=2").body(()).unwrap();
        let parts = request.into_parts().0;
        let (list, _) = Query::with_list(&parts, Some("a")).unwrap();
        assert_eq!(list.all("a").collect::<Vec<_>>(), ["1", "2"]);
        assert!(Query::with_list(&parts, Some("b")).is_err());
        assert_eq!(query("a=%zz").unwrap_err().code, "InvalidURI");
        let many: Vec<String> = (0..65).map(|number| format!("p{number}")).collect();
        assert_eq!(query(&many.join("&")).unwrap_err().code, "InvalidURI");
    }
}

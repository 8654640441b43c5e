//! What a request is about: the bucket and the key that its host and its path name, in path style
//! and in virtual-hosted style ("Virtual hosting of buckets" in the S3 User Guide). A path isn't
//! normalized: `..` and `//` are parts of keys. What isn't UTF-8 once decoded is refused.

use http::Uri;
use http::header::HOST;
use http::request::Parts;
use objects::{BucketName, InvalidKey, ObjectKey};
use types::Region;

use crate::error::Fault;
use crate::table::Level;

/// Domains whose hosts name buckets and Regions before `s3`.
const DOMAINS: [&str; 3] = [".localhost", ".amazonaws.com", ".amazonaws.com.cn"];

/// The domain below which a bare name is a bucket's too, as SDKs make hosts of an endpoint
/// `http://localhost:4566`.
const LOCAL: &str = ".localhost";

/// What a request is about.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct Address {
    /// The bucket; none: the service.
    pub(crate) bucket: Option<BucketName>,
    /// The object's key; none: the bucket.
    pub(crate) key: Option<ObjectKey>,
    /// Does the host name the bucket?
    pub(crate) is_hosted: bool,
}

impl Address {
    /// What that request is about.
    ///
    /// # Errors
    ///
    /// `InvalidURI`, `InvalidBucketName`, `KeyTooLongError`.
    pub(crate) fn of(parts: &Parts) -> Result<Address, Fault> {
        let path = decode(parts.uri.path()).ok_or_else(invalid_uri)?;
        let path = path.strip_prefix('/').ok_or_else(invalid_uri)?;
        let hosted = host(parts).and_then(bucket_of_host);
        let (bucket, key) = match &hosted {
            Some(bucket) => (bucket.as_str(), path),
            None => path.split_once('/').unwrap_or((path, "")),
        };
        if bucket.is_empty() {
            // `//key` names no bucket, and is no request to the service either.
            return match key.is_empty() {
                true => Ok(Address::default()),
                false => Err(invalid_bucket("")),
            };
        }
        let name = bucket.parse().map_err(|_| invalid_bucket(bucket))?;
        Ok(Address {
            bucket: Some(name),
            key: parse_key(key)?,
            is_hosted: hosted.is_some(),
        })
    }

    /// What the path names.
    pub(crate) fn level(&self) -> Level {
        match (&self.bucket, &self.key) {
            (None, _) => Level::Service,
            (Some(_), None) => Level::Bucket,
            (Some(_), Some(_)) => Level::Object,
        }
    }

    /// The path of that request in path style, still encoded.
    pub(crate) fn path(&self, uri: &Uri) -> String {
        match (&self.bucket, self.is_hosted) {
            (Some(bucket), true) => format!("/{bucket}{}", uri.path()),
            _ => uri.path().to_owned(),
        }
    }
}

/// The bucket that the request's host names, as virtual-hosted style has it.
pub fn hosted_bucket(parts: &Parts) -> Option<String> {
    bucket_of_host(host(parts)?)
}

/// The bucket that the request is about, if it names one.
pub fn named_bucket(parts: &Parts) -> Option<BucketName> {
    Address::of(parts).ok()?.bucket
}

/// A key as a request has it; of an empty text none.
///
/// # Errors
///
/// `KeyTooLongError`.
pub(crate) fn parse_key(text: &str) -> Result<Option<ObjectKey>, Fault> {
    match text.parse::<ObjectKey>() {
        Ok(key) => Ok(Some(key)),
        Err(InvalidKey::Empty) => Ok(None),
        Err(InvalidKey::TooLong) => Err(Fault::bad("KeyTooLongError", "Your key is too long")
            .member("Size", text.len().to_string())
            .member("MaxSizeAllowed", objects::LONGEST_KEY.to_string())),
    }
}

/// The bucket's name isn't one.
pub(crate) fn invalid_bucket(name: &str) -> Fault {
    Fault::bad("InvalidBucketName", "The specified bucket is not valid.").member("BucketName", name)
}

fn invalid_uri() -> Fault {
    Fault::bad("InvalidURI", "Couldn't parse the specified URI.")
}

/// Text that was percent-encoded; `None` if it isn't UTF-8, or a `%` has no two digits after it.
pub(crate) fn decode(text: &str) -> Option<String> {
    if !text.contains('%') {
        return Some(text.to_owned());
    }
    let digit = |byte: u8| char::from(byte).to_digit(16);
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        match byte {
            b'%' => {
                let high = digit(rest.next()?)?;
                let low = digit(rest.next()?)?;
                bytes.push(u8::try_from(high * 16 + low).ok()?);
            }
            other => bytes.push(other),
        }
    }
    String::from_utf8(bytes).ok()
}

/// The host that the request names, without its port.
fn host(parts: &Parts) -> Option<&str> {
    let header = parts.headers.get(HOST).and_then(|host| host.to_str().ok());
    let host = header.or_else(|| parts.uri.authority().map(http::uri::Authority::as_str))?;
    let host = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    };
    Some(host.strip_suffix('.').unwrap_or(host))
}

/// The bucket that a host names: `BUCKET.s3.REGION.amazonaws.com` and its kin.
fn bucket_of_host(host: &str) -> Option<String> {
    let host = host.to_ascii_lowercase();
    let domain = DOMAINS.iter().find(|domain| host.ends_with(**domain))?;
    let labels = host.strip_suffix(domain)?;
    if let Some(bucket) = before_service(labels) {
        return (!bucket.is_empty()).then(|| bucket.to_owned());
    }
    let is_region = |text: &str| text.parse::<Region>().is_ok();
    let is_bucket = *domain == LOCAL && !is_region(labels) && labels.parse::<BucketName>().is_ok();
    is_bucket.then(|| labels.to_owned())
}

/// What stands before `s3`, where that and perhaps a Region end these labels: an empty text if
/// nothing does. `None`: they don't end so.
fn before_service(labels: &str) -> Option<&str> {
    let last = |labels: &'_ str| -> (usize, usize) {
        let at = labels.rfind('.');
        (at.unwrap_or(0), at.map_or(0, |at| at + 1))
    };
    let (end, start) = last(labels);
    let label = &labels[start..];
    if label == "s3" {
        return Some(&labels[..end]);
    }
    if let Some(region) = label.strip_prefix("s3-") {
        return region.parse::<Region>().is_ok().then(|| &labels[..end]);
    }
    label.parse::<Region>().ok()?;
    let mut rest = &labels[..end];
    if let Some(before) = rest.strip_suffix("dualstack") {
        rest = before.strip_suffix('.').unwrap_or(before);
    }
    let (end, start) = last(rest);
    (&rest[start..] == "s3").then(|| &rest[..end])
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;

    fn address(host: &str, path: &str) -> Result<(String, String), String> {
        let request = Request::get(path).header(HOST, host);
        let address = Address::of(&request.body(()).unwrap().into_parts().0);
        let address = address.map_err(|fault| fault.code.into_owned())?;
        let text = |value: Option<String>| value.unwrap_or_default();
        Ok((
            text(address.bucket.map(|bucket| bucket.to_string())),
            text(address.key.map(|key| key.to_string())),
        ))
    }

    #[test]
    fn a_bucket_is_named_by_the_path_or_by_the_host() {
        let is = |bucket: &str, key: &str| Ok((bucket.to_owned(), key.to_owned()));
        assert_eq!(address("127.0.0.1:4566", "/"), is("", ""));
        assert_eq!(address("127.0.0.1:4566", "/abc"), is("abc", ""));
        assert_eq!(address("127.0.0.1:4566", "/abc/"), is("abc", ""));
        assert_eq!(
            address("127.0.0.1", "/abc/d/../e//f"),
            is("abc", "d/../e//f")
        );
        assert_eq!(address("localhost:4566", "/abc/k%20+"), is("abc", "k +"));
        for host in [
            "a.b-c.s3.localhost:4566",
            "a.b-c.s3.eu-west-1.localhost",
            "a.b-c.s3.eu-west-1.amazonaws.com",
            "a.b-c.s3.dualstack.eu-west-1.amazonaws.com",
            "a.b-c.s3-eu-west-1.amazonaws.com",
            "A.B-C.s3.amazonaws.com.",
            "a.b-c.localhost",
        ] {
            assert_eq!(address(host, "/abc/d"), is("a.b-c", "abc/d"), "{host}");
            assert_eq!(address(host, "/"), is("a.b-c", ""), "{host}");
        }
        for host in [
            "s3.localhost",
            "s3.eu-west-1.amazonaws.com",
            "eu-west-1.localhost",
        ] {
            assert_eq!(address(host, "/abc/d"), is("abc", "d"), "{host}");
        }
        assert_eq!(
            address("my.s3.x.s3.amazonaws.com", "/k"),
            is("my.s3.x", "k")
        );
    }

    #[test]
    fn what_names_nothing_is_refused() {
        let code = |code: &str| Err(code.to_owned());
        assert_eq!(address("h", "/ab/k"), code("InvalidBucketName"));
        assert_eq!(address("h", "//k"), code("InvalidBucketName"));
        assert_eq!(address("h", "/..%2f..%2fetc/k"), code("InvalidBucketName"));
        assert_eq!(address("h", "/abc/%ff"), code("InvalidURI"));
        assert_eq!(address("h", "/abc/%4"), code("InvalidURI"));
        let long = format!("/abc/{}", "k".repeat(1025));
        assert_eq!(address("h", &long), code("KeyTooLongError"));
    }
}

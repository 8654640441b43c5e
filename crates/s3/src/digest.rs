//! What a request says the digests of its body are: `Content-MD5`, and one `x-amz-checksum-…` as a
//! header or as a trailer ("Checking object integrity" in the S3 User Guide). An algorithm that
//! isn't known here is refused: a digest that is not looked at would seem to hold.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::HeaderMap;
use objects::ChecksumAlgorithm;
use s3s::crypto::{Checksum as _, Md5};

use crate::error::Fault;

/// What the headers of checksums begin with.
const PREFIX: &str = "x-amz-checksum-";

/// Headers that begin so and are no checksum.
const OTHERS: [&str; 3] = [
    "x-amz-checksum-mode",
    "x-amz-checksum-type",
    "x-amz-checksum-algorithm",
];

/// Checksums that S3 has and this hasn't.
const NOT_BUILT: [&str; 5] = [
    "x-amz-checksum-md5",
    "x-amz-checksum-sha512",
    "x-amz-checksum-xxhash3",
    "x-amz-checksum-xxhash64",
    "x-amz-checksum-xxhash128",
];

/// What a request says of its body.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct Digests {
    /// Its MD5.
    pub(crate) md5: Option<[u8; 16]>,
    /// Its checksum, told before it.
    pub(crate) checksum: Option<(ChecksumAlgorithm, Vec<u8>)>,
    /// Its checksum is told after it, by that algorithm.
    pub(crate) trailing: Option<ChecksumAlgorithm>,
    /// The algorithm that the request names, without a checksum by it.
    pub(crate) named: Option<ChecksumAlgorithm>,
}

impl Digests {
    /// What those headers say.
    ///
    /// # Errors
    ///
    /// `InvalidDigest`, `InvalidRequest`, or `NotImplemented` for an algorithm that S3 has and this
    /// doesn't.
    pub(crate) fn of(headers: &HeaderMap) -> Result<Digests, Fault> {
        let mut digests = Digests {
            md5: md5(headers)?,
            ..Digests::default()
        };
        for (name, value) in headers {
            let name = name.as_str();
            if !name.starts_with(PREFIX) || OTHERS.contains(&name) {
                continue;
            }
            let algorithm = known(name)?;
            let value = value.to_str().unwrap_or_default();
            if digests.checksum.is_some() {
                return Err(several());
            }
            digests.checksum = Some((algorithm, parse_checksum(algorithm, value)?));
        }
        digests.trailing = trailing(headers)?;
        if digests.checksum.is_some() && digests.trailing.is_some() {
            return Err(several());
        }
        digests.named = digests.named(headers)?;
        Ok(digests)
    }

    /// Is there any?
    pub(crate) fn is_any(&self) -> bool {
        self.md5.is_some() || self.checksum.is_some() || self.trailing.is_some()
    }

    /// By which algorithm a checksum is kept.
    pub(crate) fn algorithm(&self) -> Option<ChecksumAlgorithm> {
        let told = self.checksum.as_ref().map(|(algorithm, _)| *algorithm);
        told.or(self.trailing).or(self.named)
    }

    /// The checksum that came after the body, if one was announced.
    ///
    /// # Errors
    ///
    /// `MalformedTrailerError` if it was announced and isn't there, `InvalidRequest` if it can't
    /// be one.
    pub(crate) fn trailer(
        &self,
        trailers: &[(String, String)],
    ) -> Result<Option<(ChecksumAlgorithm, Vec<u8>)>, Fault> {
        let Some(announced) = self.trailing else {
            return Ok(None);
        };
        let mut trailers = trailers.iter();
        let found = trailers.find(|(name, _)| name == announced.header());
        let Some((_, value)) = found else {
            return Err(Fault::bad(
                "MalformedTrailerError",
                "The request contained trailing data that was not well-formed or did not conform \
                 to our published schema.",
            ));
        };
        let value = parse_checksum(announced, value.trim())?;
        Ok(Some((announced, value)))
    }

    /// Is a document what these say it is?
    ///
    /// # Errors
    ///
    /// `BadDigest`, and those of [`Digests::trailer`].
    pub(crate) fn check(
        &self,
        document: &[u8],
        trailers: &[(String, String)],
    ) -> Result<(), Fault> {
        if let Some(told) = self.md5
            && Md5::checksum(document)[..] != told
        {
            return Err(objects::ObjectError::BadDigest.into());
        }
        let trailer = self.trailer(trailers)?;
        for (algorithm, told) in self.checksum.iter().chain(&trailer) {
            if algorithm.of(document) != *told {
                return Err(objects::ObjectError::BadChecksum(algorithm.name()).into());
            }
        }
        Ok(())
    }

    /// The algorithm that headers name beside a checksum.
    fn named(&self, headers: &HeaderMap) -> Result<Option<ChecksumAlgorithm>, Fault> {
        let sdk = text(headers, "x-amz-sdk-checksum-algorithm");
        let Some(name) = sdk.or_else(|| text(headers, "x-amz-checksum-algorithm")) else {
            return Ok(None);
        };
        let algorithm = parse_algorithm(name)?;
        match self
            .checksum
            .as_ref()
            .map(|(told, _)| *told)
            .or(self.trailing)
        {
            Some(told) if told != algorithm => Err(Fault::bad(
                "InvalidRequest",
                "Value for x-amz-sdk-checksum-algorithm header is invalid.",
            )),
            _ => Ok(Some(algorithm)),
        }
    }
}

/// An algorithm as headers and documents name it: `CRC32C`.
///
/// # Errors
///
/// `InvalidRequest` names those that there are.
pub(crate) fn parse_algorithm(name: &str) -> Result<ChecksumAlgorithm, Fault> {
    let algorithm = ChecksumAlgorithm::from_name(name);
    algorithm.ok_or_else(|| {
        Fault::bad(
            "InvalidRequest",
            "Checksum algorithm provided is unsupported. Please try again with any of the valid \
             types: [CRC32, CRC32C, CRC64NVME, SHA1, SHA256]",
        )
    })
}

/// A checksum in base64, as a member of a document has it.
///
/// # Errors
///
/// `InvalidRequest`: it can't be one of that algorithm.
pub(crate) fn parse_checksum(algorithm: ChecksumAlgorithm, value: &str) -> Result<Vec<u8>, Fault> {
    let decoded = STANDARD.decode(value).ok();
    let decoded = decoded.filter(|bytes| bytes.len() == algorithm.length());
    decoded.ok_or_else(|| {
        let text = format!("Value for {} header is invalid.", algorithm.header());
        Fault::bad("InvalidRequest", text)
    })
}

/// The algorithm whose header has that name.
fn known(name: &str) -> Result<ChecksumAlgorithm, Fault> {
    let mut all = ChecksumAlgorithm::ALL.into_iter();
    let found = all.find(|algorithm| algorithm.header() == name);
    found.ok_or_else(|| match NOT_BUILT.contains(&name) {
        true => Fault::not_built(&format!("The checksum '{name}'")),
        false => Fault::bad(
            "InvalidRequest",
            "The algorithm type you specified in x-amz-checksum- header is invalid.",
        ),
    })
}

fn md5(headers: &HeaderMap) -> Result<Option<[u8; 16]>, Fault> {
    let Some(value) = headers.get("content-md5") else {
        return Ok(None);
    };
    let decoded = STANDARD.decode(value.as_bytes().trim_ascii()).ok();
    let md5 = decoded.and_then(|bytes| <[u8; 16]>::try_from(bytes).ok());
    let invalid = || {
        Fault::bad(
            "InvalidDigest",
            "The Content-MD5 you specified was invalid.",
        )
    };
    md5.map(Some).ok_or_else(invalid)
}

/// The checksum that `x-amz-trailer` announces.
fn trailing(headers: &HeaderMap) -> Result<Option<ChecksumAlgorithm>, Fault> {
    let mut found = None;
    let names = text(headers, "x-amz-trailer")
        .unwrap_or_default()
        .split(',');
    for name in names.map(str::trim).filter(|name| !name.is_empty()) {
        let name = name.to_ascii_lowercase();
        if !name.starts_with(PREFIX) {
            return Err(Fault::bad(
                "InvalidRequest",
                "The value specified in the x-amz-trailer header is not supported",
            ));
        }
        if found.is_some() {
            return Err(several());
        }
        found = Some(known(&name)?);
    }
    Ok(found)
}

fn several() -> Fault {
    Fault::bad(
        "InvalidRequest",
        "Expecting a single x-amz-checksum- header. Multiple checksum Types are not allowed.",
    )
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn digests(pairs: &[(&'static str, &'static str)]) -> Result<Digests, String> {
        let pairs = pairs.iter();
        let headers = pairs.map(|(name, value)| {
            let name = http::HeaderName::from_static(name);
            (name, http::HeaderValue::from_static(value))
        });
        Digests::of(&headers.collect()).map_err(|fault| fault.code.into_owned())
    }

    #[test]
    fn a_document_is_what_its_digests_say_or_is_refused() {
        // Of "hello": computed with coreutils, Python's zlib and hashlib.
        for (name, value) in [
            ("content-md5", "XUFAKrxLKna5cZ2REBfFkg=="),
            ("x-amz-checksum-crc32", "NhCmhg=="),
            ("x-amz-checksum-sha1", "qvTGHdzF6KLavt4PO0gs2a6pQ00="),
            (
                "x-amz-checksum-sha256",
                "LPJNul+wow4m6DsqxbninhsWHlwfp0JecwQzYpOLmCQ=",
            ),
        ] {
            let digests = digests(&[(name, value)]).unwrap();
            assert!(digests.is_any());
            assert_eq!(digests.check(b"hello", &[]), Ok(()), "{name}");
            let refused = digests.check(b"hellO", &[]).unwrap_err();
            assert_eq!(refused.code, "BadDigest", "{name}");
        }
    }

    #[test]
    fn a_checksum_may_come_after_the_body() {
        let digests = digests(&[("x-amz-trailer", "x-amz-checksum-crc32")]).unwrap();
        let trailer = |value: &str| vec![("x-amz-checksum-crc32".to_owned(), value.to_owned())];
        assert_eq!(digests.check(b"hello", &trailer("NhCmhg==")), Ok(()));
        let code =
            |trailers: &[(String, String)]| digests.check(b"hello", trailers).unwrap_err().code;
        assert_eq!(code(&trailer("NhCmhw==")), "BadDigest");
        assert_eq!(code(&trailer("N")), "InvalidRequest");
        assert_eq!(code(&[]), "MalformedTrailerError");
    }

    #[test]
    fn what_can_t_be_checked_is_refused() {
        let code = |pairs: &[(&'static str, &'static str)]| digests(pairs).unwrap_err();
        assert_eq!(code(&[("content-md5", "abc")]), "InvalidDigest");
        assert_eq!(code(&[("x-amz-checksum-crc32", "AA==")]), "InvalidRequest");
        assert_eq!(
            code(&[("x-amz-checksum-xxhash3", "AAAAAAAAAAA=")]),
            "NotImplemented"
        );
        assert_eq!(
            code(&[("x-amz-trailer", "x-amz-checksum-sha512")]),
            "NotImplemented"
        );
        assert_eq!(code(&[("x-amz-trailer", "x-other")]), "InvalidRequest");
        assert_eq!(code(&[("x-amz-checksum-md4", "AAAA")]), "InvalidRequest");
        let both = [
            ("x-amz-checksum-crc32", "NhCmhg=="),
            ("x-amz-checksum-sha1", "qvTGHdzF6KLavt4PO0gs2a6pQ00="),
        ];
        assert_eq!(code(&both), "InvalidRequest");
        let named = [("x-amz-sdk-checksum-algorithm", "MD4")];
        assert_eq!(code(&named), "InvalidRequest");
    }
}

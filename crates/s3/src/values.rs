//! Values that requests carry in headers and answers tell: tags, metadata, times, entity tags, keys
//! of customers, conditions, locks. Each is parsed in one place, and what can't be one is refused
//! in S3's words. Nothing here decides anything.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use http::HeaderMap;
use objects::content::CustomerKey;
use objects::{EtagMatch, LockMode, Metadata, ReadConditions, WriteConditions};
use s3s::dto;
use types::Timestamp;

use crate::address::decode;
use crate::error::Fault;

/// Tags of an object at most (S3 User Guide, "Categorizing your storage using tags").
pub(crate) const MOST_OBJECT_TAGS: usize = 10;

/// Tags of a bucket at most.
pub(crate) const MOST_BUCKET_TAGS: usize = 50;

/// Characters of a tag's key at most.
const LONGEST_TAG_KEY: usize = 128;

/// Characters of a tag's value at most.
const LONGEST_TAG_VALUE: usize = 256;

/// Bytes of all metadata of a user's together (S3 User Guide, "Working with object metadata").
const USER_METADATA: usize = 2048;

/// What names of a user's metadata begin with.
const META: &str = "x-amz-meta-";

/// Storage classes that objects are kept in as they are asked for. They behave alike.
const STORAGE_CLASSES: [&str; 8] = [
    "STANDARD",
    "REDUCED_REDUNDANCY",
    "STANDARD_IA",
    "ONEZONE_IA",
    "INTELLIGENT_TIERING",
    "GLACIER_IR",
    "GLACIER",
    "DEEP_ARCHIVE",
];

/// The tags of `x-amz-tagging`: `key=value&…`, encoded as a query is.
///
/// # Errors
///
/// `InvalidArgument`, `InvalidTag`, `BadRequest`.
pub(crate) fn tags_of_header(header: &str) -> Result<Vec<(String, String)>, Fault> {
    let pairs = header.split('&').filter(|pair| !pair.is_empty());
    pairs
        .map(|pair| {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            let read = |text: &str| decode(&text.replace('+', " "));
            match (read(key), read(value)) {
                (Some(key), Some(value)) => Ok((key, value)),
                _ => Err(Fault::argument(
                    "x-amz-tagging",
                    header,
                    "The header 'x-amz-tagging' shall be encoded as UTF-8 then URLEncoded URL \
                     query parameters without tag name duplicates.",
                )),
            }
        })
        .collect()
}

/// Tags as they are kept, at most `most` of them.
///
/// # Errors
///
/// `InvalidTag`, and `BadRequest` of too many.
pub(crate) fn tags(
    pairs: Vec<(String, String)>,
    most: usize,
) -> Result<BTreeMap<String, String>, Fault> {
    if pairs.len() > most {
        let text = match most == MOST_OBJECT_TAGS {
            true => "Object tags cannot be greater than 10".to_owned(),
            false => format!("Bucket tag count cannot be greater than {most}"),
        };
        return Err(Fault::bad("BadRequest", text));
    }
    let invalid = |text: &'static str, key: &str, value: &str| {
        Err(Fault::bad("InvalidTag", text)
            .member("TagKey", key)
            .member("TagValue", value))
    };
    let mut tags = BTreeMap::new();
    for (key, value) in pairs {
        let length = key.chars().count();
        if !(1..=LONGEST_TAG_KEY).contains(&length) || !is_tag_text(&key) {
            return invalid("The TagKey you have provided is invalid", &key, &value);
        }
        if value.chars().count() > LONGEST_TAG_VALUE || !is_tag_text(&value) {
            return invalid("The TagValue you have provided is invalid", &key, &value);
        }
        if key.to_ascii_lowercase().starts_with("aws:") {
            let text = "System tags cannot be added/updated by requester";
            return invalid(text, &key, &value);
        }
        if tags.contains_key(&key) {
            let text = "Cannot provide multiple Tags with the same key";
            return invalid(text, &key, &value);
        }
        tags.insert(key, value);
    }
    Ok(tags)
}

/// Letters, digits and spaces of any script, and `+ - = . _ : / @`.
fn is_tag_text(text: &str) -> bool {
    let allowed = |character: char| {
        character.is_alphanumeric()
            || character.is_whitespace()
            || matches!(character, '+' | '-' | '=' | '.' | '_' | ':' | '/' | '@')
    };
    text.chars().all(allowed)
}

/// The headers that an object is to be served with.
///
/// # Errors
///
/// `MetadataTooLarge`, `InvalidArgument`.
pub(crate) fn metadata(headers: &HeaderMap) -> Result<Metadata, Fault> {
    let text = |name: &str| {
        let value = headers.get(name)?;
        let text = std::str::from_utf8(value.as_bytes()).ok()?;
        Some(text.to_owned())
    };
    let mut user: BTreeMap<String, String> = BTreeMap::new();
    let mut size = 0;
    for (name, value) in headers {
        let Some(name) = name.as_str().strip_prefix(META) else {
            continue;
        };
        let value = std::str::from_utf8(value.as_bytes());
        let Ok(value) = value else {
            let name = format!("{META}{name}");
            return Err(Fault::argument(
                "Metadata",
                &name,
                "Metadata must be UTF-8.",
            ));
        };
        size += name.len() + value.len();
        let kept = user.entry(name.to_owned()).or_default();
        if !kept.is_empty() {
            // Several headers of a name are one, with their values joined.
            kept.push(',');
        }
        kept.push_str(value);
    }
    if size > USER_METADATA {
        let text = "Your metadata headers exceed the maximum allowed metadata size";
        return Err(Fault::bad("MetadataTooLarge", text)
            .member("Size", size.to_string())
            .member("MaxSizeAllowed", USER_METADATA.to_string()));
    }
    Ok(Metadata {
        content_type: text("content-type").filter(|text| !text.is_empty()),
        cache_control: text("cache-control"),
        content_disposition: text("content-disposition"),
        content_encoding: text("content-encoding").and_then(|text| without_chunks(&text)),
        content_language: text("content-language"),
        expires: text("expires"),
        website_redirect_location: text("x-amz-website-redirect-location"),
        user,
    })
}

/// An encoding without `aws-chunked`, which is of the request alone.
fn without_chunks(encoding: &str) -> Option<String> {
    let kept = encoding.split(',').map(str::trim);
    let kept = kept.filter(|name| !name.is_empty() && !name.eq_ignore_ascii_case("aws-chunked"));
    let kept: Vec<&str> = kept.collect();
    (!kept.is_empty()).then(|| kept.join(","))
}

/// The storage class that a request asks for.
///
/// # Errors
///
/// `InvalidStorageClass`.
pub(crate) fn storage_class(headers: &HeaderMap) -> Result<String, Fault> {
    let Some(class) = headers.get("x-amz-storage-class") else {
        return Ok("STANDARD".to_owned());
    };
    let known = class
        .to_str()
        .ok()
        .filter(|class| STORAGE_CLASSES.contains(class));
    known.map(str::to_owned).ok_or_else(|| {
        let text = "The storage class you specified is not valid";
        Fault::bad("InvalidStorageClass", text)
    })
}

/// What customers' keys' headers begin with.
pub(crate) const CUSTOMER: &str = "x-amz-server-side-encryption-customer-";

/// The same, of what is copied from.
pub(crate) const CUSTOMER_OF_SOURCE: &str = "x-amz-copy-source-server-side-encryption-customer-";

/// The customer's key in headers that begin so.
///
/// # Errors
///
/// S3's own for a key that isn't whole.
pub(crate) fn customer_key(
    headers: &HeaderMap,
    prefix: &str,
) -> Result<Option<CustomerKey>, Fault> {
    let text = |end: &str| {
        let value = headers.get(format!("{prefix}{end}"))?;
        value.to_str().ok()
    };
    Ok(CustomerKey::parse(
        text("algorithm"),
        text("key"),
        text("key-md5"),
    )?)
}

/// The conditions of a read, in headers that begin with `prefix` (of a copy's source
/// `x-amz-copy-source-`). A time that isn't one is no condition (RFC 9110, section 13.1.3).
pub(crate) fn read_conditions(headers: &HeaderMap, prefix: &str) -> ReadConditions {
    let text = |name: &str| {
        let value = headers.get(format!("{prefix}{name}"))?;
        value.to_str().ok()
    };
    let time = |name: &str| text(name).and_then(http_date);
    ReadConditions {
        if_match: text("if-match").map(EtagMatch::parse),
        if_none_match: text("if-none-match").map(EtagMatch::parse),
        if_modified_since: time("if-modified-since"),
        if_unmodified_since: time("if-unmodified-since"),
    }
}

/// The conditions of a write.
///
/// # Errors
///
/// `NotImplemented` for an `If-None-Match` that isn't `*`.
pub(crate) fn write_conditions(headers: &HeaderMap) -> Result<WriteConditions, Fault> {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let if_none_match = match text("if-none-match") {
        None => false,
        Some("*") => true,
        Some(_) => {
            return Err(Fault::new(
                http::StatusCode::NOT_IMPLEMENTED,
                "NotImplemented",
                "A header you provided implies functionality that is not implemented",
            )
            .member("Header", "If-None-Match"));
        }
    };
    Ok(WriteConditions {
        if_match: text("if-match").map(EtagMatch::parse),
        if_none_match,
    })
}

/// A lock's mode as headers and documents have it.
///
/// # Errors
///
/// `InvalidArgument`.
pub(crate) fn lock_mode(text: &str) -> Result<LockMode, Fault> {
    match text {
        "GOVERNANCE" => Ok(LockMode::Governance),
        "COMPLIANCE" => Ok(LockMode::Compliance),
        other => Err(Fault::argument(
            "x-amz-object-lock-mode",
            other,
            "Unknown wormMode directive.",
        )),
    }
}

/// A lock's mode as it is told.
pub(crate) fn mode_text(mode: LockMode) -> &'static str {
    match mode {
        LockMode::Governance => "GOVERNANCE",
        LockMode::Compliance => "COMPLIANCE",
    }
}

/// Is a legal hold asked for?
///
/// # Errors
///
/// `InvalidArgument`.
pub(crate) fn legal_hold(text: &str) -> Result<bool, Fault> {
    match text {
        "ON" => Ok(true),
        "OFF" => Ok(false),
        other => Err(Fault::argument(
            "x-amz-object-lock-legal-hold",
            other,
            "Legal Hold must be either of 'ON' or 'OFF'",
        )),
    }
}

/// A time at which something was made or changed, in whole seconds as S3 tells it everywhere.
pub(crate) fn time(time: Timestamp) -> dto::Timestamp {
    exact_time(Timestamp(time.0 / 1000 * 1000))
}

/// A time that a request gave, to the millisecond.
pub(crate) fn exact_time(time: Timestamp) -> dto::Timestamp {
    dto::Timestamp::from(SystemTime::UNIX_EPOCH + Duration::from_millis(time.0))
}

/// A time of the codec's as ours; `None` of one before 1970.
pub(crate) fn from_time(time: &dto::Timestamp) -> Option<Timestamp> {
    let mut text = Vec::new();
    let written = time.format(dto::TimestampFormat::DateTime, &mut text);
    written.ok()?;
    date_time(std::str::from_utf8(&text).ok()?)
}

/// `2026-11-28T10:00:00Z`, with or without a fraction of the second.
pub(crate) fn date_time(text: &str) -> Option<Timestamp> {
    parse_time(dto::TimestampFormat::DateTime, text)
}

/// `Sat, 28 Nov 2026 10:00:00 GMT`.
pub(crate) fn http_date(text: &str) -> Option<Timestamp> {
    parse_time(dto::TimestampFormat::HttpDate, text)
}

fn parse_time(format: dto::TimestampFormat, text: &str) -> Option<Timestamp> {
    let parsed = dto::Timestamp::parse(format, text).ok()?;
    let mut seconds = Vec::new();
    let written = parsed.format(dto::TimestampFormat::EpochSeconds, &mut seconds);
    written.ok()?;
    let seconds: f64 = std::str::from_utf8(&seconds).ok()?.parse().ok()?;
    let milliseconds = (seconds * 1000.0).round();
    // The year 9999 has 2.6e14 of them: exact in a float.
    let is_told = (0.0..1e15).contains(&milliseconds);
    is_told.then_some(Timestamp(milliseconds as u64))
}

/// A time as headers tell it.
pub(crate) fn http_date_of(moment: Timestamp) -> String {
    formatted(moment, dto::TimestampFormat::HttpDate)
}

/// A time as documents and some headers tell it.
pub(crate) fn date_time_of(moment: Timestamp) -> String {
    formatted(moment, dto::TimestampFormat::DateTime)
}

fn formatted(moment: Timestamp, format: dto::TimestampFormat) -> String {
    let mut text = Vec::with_capacity(32);
    let written = exact_time(moment).format(format, &mut text);
    match (written, String::from_utf8(text)) {
        (Ok(()), Ok(text)) => text,
        _ => String::new(),
    }
}

/// An entity tag as the codec has it.
pub(crate) fn etag(tag: &str) -> dto::ETag {
    dto::ETag::Strong(tag.to_owned())
}

#[cfg(test)]
mod tests {
    use http::{HeaderName, HeaderValue};

    use super::*;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        let pairs = pairs.iter();
        let pairs = pairs.map(|(name, value)| {
            let name = HeaderName::from_static(name);
            (name, HeaderValue::from_str(value).unwrap())
        });
        pairs.collect()
    }

    #[test]
    fn tags_are_bounded_and_distinct() {
        let parsed = |header: &str| {
            let pairs = tags_of_header(header)?;
            tags(pairs, MOST_OBJECT_TAGS)
        };
        let good = parsed("a=1&b%2F=%C3%A4+x&c").unwrap();
        assert_eq!(good["b/"], "ä x");
        assert_eq!(good["c"], "");
        for (header, code) in [
            ("a=1&a=2", "InvalidTag"),
            ("=1", "InvalidTag"),
            ("aws:a=1", "InvalidTag"),
            ("a=%3C", "InvalidTag"),
            ("a=%f", "InvalidArgument"),
            ("1&2&3&4&5&6&7&8&9&10&11", "BadRequest"),
        ] {
            assert_eq!(parsed(header).unwrap_err().code, code, "{header}");
        }
    }

    #[test]
    fn metadata_is_what_it_says_and_2_kb_at_most() {
        let sent = headers(&[
            ("content-type", "text/plain"),
            ("content-encoding", "aws-chunked,gzip"),
            ("expires", "never"),
            ("x-amz-meta-a", "b"),
        ]);
        let kept = metadata(&sent).unwrap();
        assert_eq!(kept.content_encoding.as_deref(), Some("gzip"));
        assert_eq!(kept.expires.as_deref(), Some("never"));
        assert_eq!(kept.user["a"], "b");
        let much = "v".repeat(2047);
        assert!(metadata(&headers(&[("x-amz-meta-a", &much)])).is_ok());
        let much = "v".repeat(2048);
        let refused = metadata(&headers(&[("x-amz-meta-a", &much)])).unwrap_err();
        assert_eq!(refused.code, "MetadataTooLarge");
    }

    #[test]
    fn times_are_told_and_read_back() {
        let moment = Timestamp(1_784_000_000_123);
        assert_eq!(from_time(&exact_time(moment)), Some(moment));
        assert_eq!(date_time(&date_time_of(moment)), Some(moment));
        let whole = Timestamp(1_784_000_000_000);
        assert_eq!(from_time(&time(moment)), Some(whole));
        assert_eq!(http_date(&http_date_of(moment)), Some(whole));
        assert_eq!(http_date("yesterday"), None);
        assert_eq!(date_time("1960-01-01T00:00:00Z"), None);
    }

    #[test]
    fn a_condition_that_is_no_time_is_none() {
        let sent = headers(&[("if-modified-since", "yesterday"), ("if-match", "\"a\"")]);
        let conditions = read_conditions(&sent, "");
        assert_eq!(conditions.if_modified_since, None);
        assert!(conditions.if_match.unwrap().matches("a"));
    }
}

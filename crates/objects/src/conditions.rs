//! Conditions of requests on what is there: of reads (RFC 9110, section 13; S3 API Reference,
//! "GetObject"), of writes and of deletions (S3 User Guide, "Add preconditions to S3 operations
//! with conditional requests"). Pure.

use types::Timestamp;

use crate::{ObjectError, ObjectVersion};

/// Which entity tags a condition is about.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum EtagMatch {
    /// `*`: whatever it is.
    Any,
    /// One of these, without quotes.
    OneOf(Vec<String>),
}

/// A read's conditions.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct ReadConditions {
    /// `If-Match`.
    pub if_match: Option<EtagMatch>,
    /// `If-None-Match`.
    pub if_none_match: Option<EtagMatch>,
    /// `If-Modified-Since`.
    pub if_modified_since: Option<Timestamp>,
    /// `If-Unmodified-Since`.
    pub if_unmodified_since: Option<Timestamp>,
}

/// A write's conditions on the current version.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct WriteConditions {
    /// `If-Match`: an object with this tag is there.
    pub if_match: Option<EtagMatch>,
    /// `If-None-Match: *`: no object is there.
    pub if_none_match: bool,
}

impl EtagMatch {
    /// The condition that a header's value says: `*`, or tags separated by commas, with or without
    /// quotes and `W/`.
    pub fn parse(header: &str) -> EtagMatch {
        let tags = header.split(',').map(|tag| {
            let tag = tag.trim();
            let tag = tag.strip_prefix("W/").unwrap_or(tag);
            let inner = tag.strip_prefix('"').and_then(|tag| tag.strip_suffix('"'));
            inner.unwrap_or(tag).to_owned()
        });
        let tags: Vec<String> = tags.collect();
        match tags.iter().any(|tag| tag == "*") {
            true => EtagMatch::Any,
            false => EtagMatch::OneOf(tags),
        }
    }

    /// Is that tag, without quotes, one of them?
    pub fn matches(&self, etag: &str) -> bool {
        match self {
            EtagMatch::Any => true,
            EtagMatch::OneOf(tags) => tags.iter().any(|tag| tag == etag),
        }
    }
}

/// What a read's conditions amount to, the name of the one that decided.
enum Verdict {
    Serve,
    Failed(&'static str),
    NotModified(&'static str),
}

impl ReadConditions {
    /// Do they hold for an object of that tag and time? Times are compared in whole seconds, as
    /// they are told. A tag's condition, if there is one, decides alone (RFC 9110, section
    /// 13.2.2).
    ///
    /// # Errors
    /// `PreconditionFailed` or `NotModified`.
    pub fn check(&self, etag: &str, last_modified: Timestamp) -> Result<(), ObjectError> {
        match self.verdict(etag, last_modified) {
            Verdict::Serve => Ok(()),
            Verdict::Failed(name) => Err(ObjectError::PreconditionFailed(name)),
            Verdict::NotModified(_) => Err(ObjectError::NotModified),
        }
    }

    /// As [`ReadConditions::check`], of what is copied from: nothing is "not modified" there.
    ///
    /// # Errors
    /// `PreconditionFailed`.
    pub fn check_copied(&self, etag: &str, last_modified: Timestamp) -> Result<(), ObjectError> {
        match self.verdict(etag, last_modified) {
            Verdict::Serve => Ok(()),
            Verdict::Failed(name) | Verdict::NotModified(name) => {
                Err(ObjectError::PreconditionFailed(name))
            }
        }
    }

    fn verdict(&self, etag: &str, last_modified: Timestamp) -> Verdict {
        let changed_after = |moment: Timestamp| last_modified.0 / 1000 > moment.0 / 1000;
        match (&self.if_match, self.if_unmodified_since) {
            (Some(tags), _) if !tags.matches(etag) => return Verdict::Failed("If-Match"),
            (None, Some(moment)) if changed_after(moment) => {
                return Verdict::Failed("If-Unmodified-Since");
            }
            _ => {}
        }
        match (&self.if_none_match, self.if_modified_since) {
            (Some(tags), _) if tags.matches(etag) => Verdict::NotModified("If-None-Match"),
            (None, Some(moment)) if !changed_after(moment) => {
                Verdict::NotModified("If-Modified-Since")
            }
            _ => Verdict::Serve,
        }
    }
}

impl WriteConditions {
    /// Do they hold with that current version?
    ///
    /// # Errors
    /// `PreconditionFailed`; `NoSuchKey` if the object that is to match isn't there.
    pub fn check(&self, current: Option<&ObjectVersion>) -> Result<(), ObjectError> {
        let object = current.and_then(ObjectVersion::object);
        if self.if_none_match && object.is_some() {
            return Err(ObjectError::PreconditionFailed("If-None-Match"));
        }
        let Some(tags) = &self.if_match else {
            return Ok(());
        };
        let Some(object) = object else {
            return Err(ObjectError::NoSuchKey {
                delete_marker: current.map(|marker| marker.id().to_string()),
            });
        };
        match tags.matches(&object.etag) {
            true => Ok(()),
            false => Err(ObjectError::PreconditionFailed("If-Match")),
        }
    }
}

/// May what is current be deleted under `If-Match`?
///
/// # Errors
/// `PreconditionFailed`, also of a delete marker; `NoSuchKey` if there is nothing.
pub(crate) fn check_deletion(
    tags: &EtagMatch,
    current: Option<&ObjectVersion>,
) -> Result<(), ObjectError> {
    let Some(current) = current else {
        return Err(ObjectError::NoSuchKey {
            delete_marker: None,
        });
    };
    let holds = current
        .object()
        .is_some_and(|object| tags.matches(&object.etag));
    match holds {
        true => Ok(()),
        false => Err(ObjectError::PreconditionFailed("If-Match")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp(1_000_000_500);

    fn read(
        matching: Option<&str>,
        none: Option<&str>,
        since: Option<u64>,
        unmodified: Option<u64>,
    ) -> Result<(), ObjectError> {
        let conditions = ReadConditions {
            if_match: matching.map(EtagMatch::parse),
            if_none_match: none.map(EtagMatch::parse),
            if_modified_since: since.map(Timestamp),
            if_unmodified_since: unmodified.map(Timestamp),
        };
        conditions.check("a", NOW)
    }

    #[test]
    fn tags_decide_before_times_do() {
        let failed = |name| Err(ObjectError::PreconditionFailed(name));
        let unchanged = Err(ObjectError::NotModified);
        let (before, same, after) = (999_999_000, 1_000_000_000, 1_000_001_000);
        assert_eq!(read(None, None, None, None), Ok(()));
        assert_eq!(read(Some("\"b\", \"a\""), None, None, None), Ok(()));
        assert_eq!(read(Some("*"), None, None, None), Ok(()));
        assert_eq!(read(Some("b"), None, None, None), failed("If-Match"));
        assert_eq!(read(Some("a"), None, None, Some(before)), Ok(()));
        assert_eq!(
            read(None, None, None, Some(before)),
            failed("If-Unmodified-Since")
        );
        assert_eq!(read(None, None, None, Some(same)), Ok(()));
        assert_eq!(read(None, Some("W/\"a\""), None, None), unchanged);
        assert_eq!(read(None, Some("b"), Some(after), None), Ok(()));
        assert_eq!(read(None, Some("a"), Some(before), None), unchanged);
        assert_eq!(read(None, None, Some(same), None), unchanged);
        assert_eq!(read(None, None, Some(before), None), Ok(()));
    }

    #[test]
    fn nothing_is_not_modified_where_a_copy_comes_from() {
        let conditions = ReadConditions {
            if_none_match: Some(EtagMatch::Any),
            ..ReadConditions::default()
        };
        assert_eq!(
            conditions.check_copied("a", NOW),
            Err(ObjectError::PreconditionFailed("If-None-Match"))
        );
    }
}

//! S3's condition keys of a request ("Actions, resources, and condition keys for Amazon S3" in the
//! Service Authorization Reference), found when a policy names one. What a request doesn't have has
//! no key. Tags of what is there are known once it was looked for; that they were asked for before
//! is noted.

use std::sync::Mutex;

use aws::access::LazyKeys;
use aws::xml::{self, Element, XmlLimits};
use http::request::Parts;
use objects::ObjectVersion;
use store::Engine;
use types::Timestamp;

use crate::address::decode;
use crate::context::Context;
use crate::values;

/// Condition keys that are a header's value, or a parameter's.
const PLAIN: [(&str, &str); 22] = [
    ("prefix", "?prefix"),
    ("delimiter", "?delimiter"),
    ("max-keys", "?max-keys"),
    ("versionid", "?versionId"),
    ("if-match", "if-match"),
    ("if-none-match", "if-none-match"),
    ("x-amz-acl", "x-amz-acl"),
    ("x-amz-content-sha256", "x-amz-content-sha256"),
    ("x-amz-copy-source", "x-amz-copy-source"),
    ("x-amz-grant-full-control", "x-amz-grant-full-control"),
    ("x-amz-grant-read", "x-amz-grant-read"),
    ("x-amz-grant-read-acp", "x-amz-grant-read-acp"),
    ("x-amz-grant-write", "x-amz-grant-write"),
    ("x-amz-grant-write-acp", "x-amz-grant-write-acp"),
    ("x-amz-metadata-directive", "x-amz-metadata-directive"),
    (
        "x-amz-server-side-encryption",
        "x-amz-server-side-encryption",
    ),
    (
        "x-amz-server-side-encryption-customer-algorithm",
        "x-amz-server-side-encryption-customer-algorithm",
    ),
    ("x-amz-storage-class", "x-amz-storage-class"),
    (
        "x-amz-website-redirect-location",
        "x-amz-website-redirect-location",
    ),
    ("x-amz-object-ownership", "x-amz-object-ownership"),
    ("object-lock-mode", "x-amz-object-lock-mode"),
    ("object-lock-legal-hold", "x-amz-object-lock-legal-hold"),
];

/// Operations that make an object whole; parts of one are none yet.
const MAKES: [&str; 3] = ["PutObject", "CopyObject", "CompleteMultipartUpload"];

/// Milliseconds of a day.
const DAY: u64 = 86_400_000;

/// How large a document is that keys are read from: one of ten tags.
const LIMITS: XmlLimits = XmlLimits {
    depth: 8,
    elements: 256,
};

/// How a request says who signed it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Signing {
    /// In its query, as presigned URLs do.
    in_query: bool,
    /// When it was signed.
    at: Option<Timestamp>,
}

impl Signing {
    /// Of that request, whose signature held, or which has none.
    pub(crate) fn of(parts: &Parts) -> Signing {
        let pairs = parts.uri.query().unwrap_or_default().split('&');
        let pairs = pairs.filter_map(|pair| pair.split_once('='));
        let mut dates = pairs.filter(|(name, _)| name.eq_ignore_ascii_case("x-amz-date"));
        let in_query = dates.next().and_then(|(_, date)| decode(date));
        let header = parts.headers.get("x-amz-date");
        let header = header.and_then(|date| date.to_str().ok());
        let at = in_query.as_deref().or(header);
        Signing {
            in_query: in_query.is_some(),
            at: at.and_then(basic_time),
        }
    }
}

/// `20261128T172000Z`.
fn basic_time(text: &str) -> Option<Timestamp> {
    let (date, time) = text.strip_suffix('Z')?.split_once('T')?;
    if date.len() != 8 || time.len() != 6 || !date.is_ascii() || !time.is_ascii() {
        return None;
    }
    let (year, month, day) = (&date[..4], &date[4..6], &date[6..]);
    let (hour, minute, second) = (&time[..2], &time[2..4], &time[4..]);
    values::date_time(&format!("{year}-{month}-{day}T{hour}:{minute}:{second}Z"))
}

/// The condition keys of one question of a request.
pub(crate) struct Keys<'a, E: Engine> {
    context: &'a Context<E>,
    object: Option<&'a ObjectVersion>,
    missed: Mutex<bool>,
}

impl<'a, E: Engine> Keys<'a, E> {
    /// Those of that request, about that version if it is known.
    pub(crate) fn of(context: &'a Context<E>, object: Option<&'a ObjectVersion>) -> Keys<'a, E> {
        Keys {
            context,
            object,
            missed: Mutex::new(false),
        }
    }

    /// Were tags of what is there asked for, and not known?
    pub(crate) fn missed(&self) -> bool {
        *self.missed.lock().expect("noting does not panic")
    }

    fn existing_tag(&self, tag: &str) -> Option<Vec<String>> {
        let Some(version) = self.object else {
            *self.missed.lock().expect("noting does not panic") = true;
            return None;
        };
        let value = version.object()?.tags.get(tag)?;
        Some(vec![value.clone()])
    }

    /// Tags that the request gives an object.
    fn given_tags(&self) -> Vec<(String, String)> {
        if self.context.row.name == "PutObjectTagging" {
            let tags = self.document(|root| {
                let tags = root.child("TagSet")?.children().iter();
                let text = |tag: &Element<'_>, name| Some(tag.child(name)?.text().ok()?.to_owned());
                tags.map(|tag| Some((text(tag, "Key")?, text(tag, "Value")?)))
                    .collect()
            });
            return tags.unwrap_or_default();
        }
        let header = self.context.header("x-amz-tagging").unwrap_or_default();
        values::tags_of_header(header).unwrap_or_default()
    }

    /// What is read from the request's document, which was taken before it was judged.
    fn document<T>(&self, read: impl FnOnce(&Element<'_>) -> Option<T>) -> Option<T> {
        let root = xml::read(&self.context.document, LIMITS).ok()?;
        read(&root)
    }

    /// The text of an element of the document's root.
    fn member(&self, name: &str) -> Option<String> {
        self.document(|root| Some(root.child(name)?.text().ok()?.trim().to_owned()))
    }

    /// What a lock is to be, by header or by document.
    fn lock(&self, name: &str) -> Option<String> {
        let header = |name: &str| self.context.header(name).map(str::to_owned);
        match (name, self.context.row.name) {
            ("object-lock-mode", "PutObjectRetention") => self.member("Mode"),
            ("object-lock-mode", _) => header("x-amz-object-lock-mode"),
            ("object-lock-legal-hold", "PutObjectLegalHold") => self.member("Status"),
            ("object-lock-legal-hold", _) => header("x-amz-object-lock-legal-hold"),
            (_, "PutObjectRetention") => self.member("RetainUntilDate"),
            _ => header("x-amz-object-lock-retain-until-date"),
        }
    }

    /// Whole days until the lock ends that is asked for.
    fn remaining_days(&self) -> Option<String> {
        let until = self.lock("object-lock-retain-until-date")?;
        let until = values::date_time(&until)?;
        let now = self.now();
        Some((until.0.saturating_sub(now.0) / DAY).to_string())
    }

    fn now(&self) -> Timestamp {
        self.context.objects.config().environment.now().wall
    }

    /// What is known of the signature; nothing of a request that has none.
    fn signature(&self, name: &str) -> Option<String> {
        if self.context.is_anonymous() {
            return None;
        }
        let signing = self.context.signing;
        match name {
            "authtype" if signing.in_query => Some("REST-QUERY-STRING".to_owned()),
            "authtype" => Some("REST-HEADER".to_owned()),
            "signatureversion" => Some("AWS4-HMAC-SHA256".to_owned()),
            _ => Some(self.now().0.saturating_sub(signing.at?.0).to_string()),
        }
    }

    fn tag(&self, kind: &str, tag: &str) -> Option<Vec<String>> {
        if kind.eq_ignore_ascii_case("ExistingObjectTag") {
            return self.existing_tag(tag);
        }
        if !kind.eq_ignore_ascii_case("RequestObjectTag") {
            return None;
        }
        let mut tags = self.given_tags().into_iter();
        let found = tags.find(|(key, _)| key == tag);
        found.map(|(_, value)| vec![value])
    }

    fn plain(&self, name: &str) -> Option<String> {
        let (_, source) = PLAIN.iter().find(|(key, _)| *key == name)?;
        let value = match source.strip_prefix('?') {
            Some(parameter) => self.context.query.get(parameter),
            None => self.context.header(source),
        };
        value.map(str::to_owned)
    }
}

impl<E: Engine> LazyKeys for Keys<'_, E> {
    fn values(&self, name: &str) -> Option<Vec<String>> {
        let (service, rest) = name.split_once(':')?;
        if !service.eq_ignore_ascii_case("s3") {
            return None;
        }
        if let Some((kind, tag)) = rest.split_once('/') {
            return self.tag(kind, tag);
        }
        let row = self.context.row;
        let value = match rest.to_ascii_lowercase().as_str() {
            "requestobjecttagkeys" => {
                let tags = self.given_tags().into_iter().map(|(key, _)| key);
                let tags: Vec<String> = tags.collect();
                return (!tags.is_empty()).then_some(tags);
            }
            "resourceaccount" => {
                let bucket = self.context.bucket.as_ref()?;
                Some(bucket.entry.owner.to_string())
            }
            // A bucket is made where it is asked for and nowhere else; the first Region is named
            // by naming none.
            "locationconstraint" if row.name == "CreateBucket" => {
                let region = self.context.objects.config().region.name();
                (region != "us-east-1").then(|| region.to_owned())
            }
            "objectcreationoperation" if row.action == "s3:PutObject" => {
                Some(MAKES.contains(&row.name).to_string())
            }
            "object-lock-remaining-retention-days" => self.remaining_days(),
            name @ ("object-lock-mode"
            | "object-lock-legal-hold"
            | "object-lock-retain-until-date") => self.lock(name),
            name @ ("authtype" | "signatureversion" | "signatureage") => self.signature(name),
            name => self.plain(name),
        };
        value.map(|value| vec![value])
    }
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;

    #[test]
    fn a_signature_s_time_is_in_the_query_or_in_a_header() {
        let of = |uri: &str, header: &str| {
            let request = Request::get(uri).header("x-amz-date", header);
            Signing::of(&request.body(()).unwrap().into_parts().0)
        };
        let at = Some(Timestamp(1_795_886_400_000));
        let signing = of("/b/k?X-Amz-Date=20261128T172000Z&x=1", "");
        assert_eq!((signing.in_query, signing.at), (true, at));
        let signing = of("/b/k", "20261128T172000Z");
        assert_eq!((signing.in_query, signing.at), (false, at));
        for text in ["", "2026", "20261128T172000", "2026112\u{e4}T172000Z"] {
            assert_eq!(basic_time(text), None, "{text}");
        }
    }
}

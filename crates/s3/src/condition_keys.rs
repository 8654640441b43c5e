//! S3's condition keys of a request ("Actions, resources, and condition keys for Amazon S3" in the
//! Service Authorization Reference), found when a policy names one. What a request doesn't have has
//! no key. Tags of what is there are known once it was looked for; that they were asked for before
//! is noted.

use std::sync::Mutex;

use aws::access::LazyKeys;
use aws::xml::{self, Element, XmlLimits};
use http::header::AUTHORIZATION;
use http::request::Parts;
use objects::ObjectVersion;
use store::Engine;
use types::Timestamp;

use crate::access::On;
use crate::address::decode;
use crate::context::Context;
use crate::query::is_presigned_by_version2;
use crate::values;

/// Condition keys that are a header's value, or a parameter's.
const PLAIN: [(&str, &str); 21] = [
    ("prefix", "?prefix"),
    ("delimiter", "?delimiter"),
    ("max-keys", "?max-keys"),
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

/// What stands for a body that isn't signed, as every presigned URL's that says nothing of it.
const UNSIGNED: &str = "UNSIGNED-PAYLOAD";

/// How a request says who signed it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Signing {
    /// In its query, as presigned URLs do.
    in_query: bool,
    /// In the fields of a form.
    in_form: bool,
    /// As Signature V2 has it.
    is_version2: bool,
    /// When it was signed; presigned URLs of V2 don't say.
    at: Option<Timestamp>,
    /// What it says of its body in its query, or by saying nothing there.
    body: Option<String>,
}

impl Signing {
    /// Of that request, whose signature held, or which has none. Names are read as the verifier
    /// reads them: decoded, and in their one case.
    pub(crate) fn of(parts: &Parts) -> Signing {
        let pairs = parts.uri.query().unwrap_or_default().split('&');
        let pairs: Vec<_> = pairs.filter_map(|pair| pair.split_once('=')).collect();
        let read = |text: &str| decode(&text.replace('+', " "));
        let queried = |wanted: &str| {
            let mut named = pairs.iter();
            let found = named.find(|(name, _)| read(name).as_deref() == Some(wanted));
            found.and_then(|(_, value)| read(value))
        };
        let header = |name: &str| {
            let value = parts.headers.get(name)?;
            Some(value.to_str().ok()?.trim().to_owned())
        };
        let authorization = parts.headers.get(AUTHORIZATION);
        let in_query = authorization.is_none();
        let is_version2 = match authorization {
            Some(header) => header.as_bytes().starts_with(b"AWS "),
            None => is_presigned_by_version2(parts),
        };
        let (at, body) = match in_query {
            // It covers no body, and says of it what its headers say.
            true if is_version2 => (None, None),
            true => {
                let body = queried("X-Amz-Content-Sha256");
                let body = body.or_else(|| header("x-amz-content-sha256"));
                let body = body.unwrap_or_else(|| UNSIGNED.to_owned());
                (queried("X-Amz-Date"), Some(body))
            }
            false => (header("x-amz-date").or_else(|| header("date")), None),
        };
        let time = |text: &str| basic_time(text).or_else(|| aws::http_date(text));
        Signing {
            in_query,
            in_form: false,
            is_version2,
            at: at.as_deref().and_then(time),
            body,
        }
    }
}

impl Signing {
    /// Of a form that says that date, signed as Signature V2 has it or not.
    pub(crate) fn of_form(date: Option<&str>, is_version2: bool) -> Signing {
        Signing {
            in_query: false,
            in_form: true,
            is_version2,
            at: date.and_then(basic_time),
            body: None,
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
    on: On<'a>,
    object: Option<&'a ObjectVersion>,
    missed: Mutex<bool>,
}

impl<'a, E: Engine> Keys<'a, E> {
    /// Those of that request's question about that, and its version if it is known.
    pub(crate) fn of(
        context: &'a Context<E>,
        on: On<'a>,
        object: Option<&'a ObjectVersion>,
    ) -> Keys<'a, E> {
        Keys {
            context,
            on,
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
        let signing = &self.context.signing;
        match name {
            "authtype" if signing.in_form => Some("POST".to_owned()),
            "authtype" if signing.in_query => Some("REST-QUERY-STRING".to_owned()),
            "authtype" => Some("REST-HEADER".to_owned()),
            "signatureversion" if signing.is_version2 => Some("AWS".to_owned()),
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
            // The source of a copy and each of several have it elsewhere than in the query.
            "versionid" => match self.on {
                On::Object(_, _, version) => version.map(|version| version.to_string()),
                On::Service | On::Bucket(_) => None,
            },
            name @ "x-amz-content-sha256" => {
                let signed = !self.context.is_anonymous();
                let body = self.context.signing.body.clone().filter(|_| signed);
                body.or_else(|| self.plain(name))
            }
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
        let of = |uri: &str, headers: &[(&str, &str)]| {
            let request = Request::get(uri);
            let request = headers.iter().fold(request, |request, (name, value)| {
                request.header(*name, *value)
            });
            Signing::of(&request.body(()).unwrap().into_parts().0)
        };
        let at = Some(Timestamp(1_795_886_400_000));
        // A name is the same however it is encoded, and another in another case.
        for uri in [
            "/b/k?X-Amz-Date=20261128T172000Z&x=1",
            "/b/k?X-Amz-Dat%65=20261128T172000Z",
            "/b/k?x-amz-date=20300101T000000Z&X-Amz-Date=20261128T172000Z",
        ] {
            let signing = of(uri, &[("x-amz-date", "20300101T000000Z")]);
            assert_eq!((signing.in_query, signing.at), (true, at), "{uri}");
            assert_eq!(signing.body.as_deref(), Some(UNSIGNED));
        }
        let signing = of("/b/k?X-Amz-Content-Sha256=00", &[]);
        assert_eq!(signing.body.as_deref(), Some("00"));
        for name in ["x-amz-date", "date"] {
            let headers = [("authorization", "a"), (name, "20261128T172000Z")];
            let signing = of("/b/k?x-amz-date=20300101T000000Z", &headers);
            assert_eq!((signing.in_query, signing.at), (false, at), "{name}");
            assert_eq!(signing.body, None);
        }
        let signing = of("/b/k?AWSAccessKeyId=A&Signature=b&Expires=1795886460", &[]);
        assert_eq!((signing.in_query, signing.is_version2), (true, true));
        assert_eq!((signing.at, signing.body), (None, None));
        let headers = [
            ("authorization", "AWS A:b"),
            ("date", "Sat, 28 Nov 2026 17:20:00 GMT"),
        ];
        let signing = of("/b/k", &headers);
        assert_eq!((signing.in_query, signing.is_version2), (false, true));
        assert_eq!(signing.at, at);
        for text in ["", "2026", "20261128T172000", "2026112\u{e4}T172000Z"] {
            assert_eq!(basic_time(text), None, "{text}");
        }
    }
}

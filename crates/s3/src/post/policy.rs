//! The policy of a form: until when it is good, and what the form's fields and file must be
//! ("Creating a POST policy" in the S3 API Reference). What it doesn't name a form must not have.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;
use types::Timestamp;

use super::form::Form;
use crate::error::Fault;
use crate::values;

/// The most conditions that are taken. Ours; a form has 20 KiB for its policy.
const CONDITIONS: usize = 256;

/// Fields that no policy names.
const UNNAMED: [&str; 5] = [
    "awsaccesskeyid",
    "file",
    "policy",
    "signature",
    "x-amz-signature",
];

/// What the names of fields begin with that nobody looks at.
const IGNORED: &str = "x-ignore-";

/// A policy as a form brings it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Policy {
    expires: Timestamp,
    conditions: Vec<Condition>,
    /// How long the file may be, from and to.
    pub(super) range: Option<(u64, u64)>,
}

/// What a field must be.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Condition {
    /// It must only begin so.
    is_prefix: bool,
    /// In lower case.
    field: String,
    value: String,
}

impl Policy {
    /// The policy of that field.
    ///
    /// # Errors
    ///
    /// `InvalidPolicyDocument`.
    pub(super) fn parse(field: &str) -> Result<Policy, Fault> {
        let document = STANDARD.decode(field.trim());
        let document = document.map_err(|_| invalid("it is not base64"))?;
        let document: Value =
            serde_json::from_slice(&document).map_err(|_| invalid("Invalid JSON."))?;
        let expires = document.get("expiration").and_then(Value::as_str);
        let expires = expires.ok_or_else(|| invalid("Policy missing expiration."))?;
        let expires = values::date_time(expires)
            .ok_or_else(|| invalid(&format!("Invalid 'expiration' value: '{expires}'")))?;
        let listed = document.get("conditions").and_then(Value::as_array);
        let listed = listed.ok_or_else(|| invalid("Invalid Conditions List."))?;
        if listed.len() > CONDITIONS {
            return Err(invalid("Invalid Conditions List."));
        }
        let mut policy = Policy {
            expires,
            conditions: Vec::with_capacity(listed.len()),
            range: None,
        };
        for condition in listed {
            policy.take(condition)?;
        }
        Ok(policy)
    }

    fn take(&mut self, condition: &Value) -> Result<(), Fault> {
        let text = |value: &Value| value.as_str().map(str::to_owned);
        let wrong = || invalid(&format!("Invalid Condition: {condition}"));
        if let Some(exact) = condition.as_object() {
            for (name, value) in exact {
                self.conditions.push(Condition {
                    is_prefix: false,
                    field: name.to_ascii_lowercase(),
                    value: text(value).ok_or_else(wrong)?,
                });
            }
            return Ok(());
        }
        let [test, first, second] = condition.as_array().map_or(&[][..], Vec::as_slice) else {
            return Err(wrong());
        };
        let is_prefix = match test.as_str().unwrap_or_default() {
            test if test.eq_ignore_ascii_case("content-length-range") => {
                let (from, to) = (length(first), length(second));
                let (from, to) = from
                    .zip(to)
                    .filter(|(from, to)| from <= to)
                    .ok_or_else(wrong)?;
                // Of several each must hold.
                let (low, high) = self.range.unwrap_or((from, to));
                self.range = Some((low.max(from), high.min(to)));
                return Ok(());
            }
            test if test.eq_ignore_ascii_case("eq") => false,
            test if test.eq_ignore_ascii_case("starts-with") => true,
            _ => return Err(wrong()),
        };
        let field = first.as_str().and_then(|name| name.strip_prefix('$'));
        self.conditions.push(Condition {
            is_prefix,
            field: field.ok_or_else(wrong)?.to_ascii_lowercase(),
            value: text(second).ok_or_else(wrong)?,
        });
        Ok(())
    }

    /// Is the form to that bucket, its key expanded, one that the policy allows now?
    ///
    /// # Errors
    ///
    /// `AccessDenied`, with what doesn't hold.
    pub(super) fn check(
        &self,
        now: Timestamp,
        bucket: &str,
        key: &str,
        form: &Form,
    ) -> Result<(), Fault> {
        if self.expires <= now {
            return Err(refused("Policy expired."));
        }
        let value = |name: &str| match name {
            "bucket" => Some(bucket),
            "key" => Some(key),
            name => form.field(name),
        };
        let failed = self
            .conditions
            .iter()
            .find(|condition| !condition.holds(value(&condition.field)));
        if let Some(Condition {
            is_prefix,
            field,
            value,
        }) = failed
        {
            let test = if *is_prefix { "starts-with" } else { "eq" };
            let text = format!("Policy Condition failed: [\"{test}\", \"${field}\", \"{value}\"]");
            return Err(refused(&text));
        }
        let is_named = |name: &str| self.conditions.iter().any(|named| named.field == name);
        let names = form.fields.iter().map(|(name, _)| name.as_str());
        // The bucket is one of them, though no form has it: no policy is for all buckets.
        let mut names = names.chain(["bucket"]);
        let extra = names
            .find(|name| !UNNAMED.contains(name) && !name.starts_with(IGNORED) && !is_named(name));
        match extra {
            Some(name) => Err(refused(&format!("Extra input fields: {name}"))),
            None => Ok(()),
        }
    }
}

impl Condition {
    fn holds(&self, value: Option<&str>) -> bool {
        let value = value.unwrap_or_default();
        match (self.is_prefix, self.field.as_str()) {
            (false, _) => value == self.value,
            // Of several types each must begin so.
            (true, "content-type") => {
                let mut types = value.split(',').map(str::trim);
                types.all(|one| one.starts_with(&self.value))
            }
            (true, _) => value.starts_with(&self.value),
        }
    }
}

/// A number, also written as text, as some clients do.
fn length(value: &Value) -> Option<u64> {
    let text = value.as_str().and_then(|text| text.parse().ok());
    value.as_u64().or(text)
}

fn invalid(reason: &str) -> Fault {
    Fault::bad("InvalidPolicyDocument", format!("Invalid Policy: {reason}"))
}

fn refused(reason: &str) -> Fault {
    Fault::denied(format!("Invalid according to Policy: {reason}"))
}

#[cfg(test)]
mod tests {
    use http_body_util::{BodyExt, Empty};

    use super::*;

    const NOW: Timestamp = Timestamp(1_795_886_400_000);

    fn parse(document: &str) -> Result<Policy, String> {
        let parsed = Policy::parse(&STANDARD.encode(document));
        parsed.map_err(|fault| fault.message.into_owned())
    }

    fn form(fields: &[(&str, &str)]) -> Form {
        let fields = fields.iter();
        Form {
            fields: fields
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
                .collect(),
            file_name: String::new(),
            file: Empty::new().map_err(|never| match never {}).boxed_unsync(),
        }
    }

    #[test]
    fn a_form_must_be_what_its_policy_says_and_nothing_else() {
        let policy = parse(
            r#"{"expiration": "2026-11-28T17:20:01.000Z", "conditions": [{"Bucket": "b"},
                ["starts-with", "$key", "user/"], ["eq", "$acl", "private"],
                ["starts-with", "$Content-Type", "image/"], ["content-length-range", 1, "9"]]}"#,
        );
        let policy = policy.unwrap();
        assert_eq!(policy.range, Some((1, 9)));
        let good = [
            ("key", "x"),
            ("acl", "private"),
            ("content-type", "image/a, image/b"),
            ("policy", "p"),
            ("x-ignore-me", "1"),
            ("x-amz-signature", "s"),
        ];
        let check = |now, bucket: &str, key: &str, fields: &[(&str, &str)]| {
            let checked = policy.check(now, bucket, key, &form(fields));
            checked.map_err(|fault| fault.message.into_owned())
        };
        assert_eq!(check(NOW, "b", "user/a", &good), Ok(()));
        let refusal = |now, bucket: &str, key: &str, fields: &[(&str, &str)]| {
            check(now, bucket, key, fields).unwrap_err()
        };
        let later = Timestamp(NOW.0 + 1000);
        assert!(refusal(later, "b", "user/a", &good).contains("Policy expired"));
        assert!(refusal(NOW, "c", "user/a", &good).contains("\"$bucket\""));
        assert!(refusal(NOW, "b", "other/a", &good).contains("\"starts-with\", \"$key\""));
        let html = [("acl", "private"), ("content-type", "image/a,text/html")];
        assert!(refusal(NOW, "b", "user/a", &html).contains("$content-type"));
        assert!(refusal(NOW, "b", "user/a", &good[..1]).contains("\"eq\", \"$acl\""));
        let extra = [&good[..], &[("x-amz-meta-a", "1")]].concat();
        assert!(refusal(NOW, "b", "user/a", &extra).contains("Extra input fields: x-amz-meta-a"));
        let anywhere = r#"{"expiration": "2026-11-28T17:20:01Z", "conditions": []}"#;
        let refused = parse(anywhere).unwrap().check(NOW, "b", "k", &form(&[]));
        assert!(
            refused
                .unwrap_err()
                .message
                .contains("Extra input fields: bucket")
        );
    }

    #[test]
    fn what_is_no_policy_is_refused() {
        for document in [
            "",
            "{}",
            r#"{"expiration": "soon", "conditions": []}"#,
            r#"{"expiration": "2026-11-28T17:20:01Z"}"#,
            r#"{"expiration": "2026-11-28T17:20:01Z", "conditions": [["eq", "key", "x"]]}"#,
            r#"{"expiration": "2026-11-28T17:20:01Z", "conditions": [["like", "$key", "x"]]}"#,
            r#"{"expiration": "2026-11-28T17:20:01Z", "conditions": [["eq", "$key"]]}"#,
            r#"{"expiration": "2026-11-28T17:20:01Z", "conditions": [{"key": 7}]}"#,
            r#"{"expiration": "2026-11-28T17:20:01Z",
                "conditions": [["content-length-range", 9, 1]]}"#,
        ] {
            assert!(
                parse(document).unwrap_err().starts_with("Invalid Policy: "),
                "{document}"
            );
        }
        assert!(Policy::parse("not base64!").is_err());
    }
}

//! Documents of bucket policies, as far as S3 itself looks into them: may a bucket have this one,
//! is it public, and what is left of it for whom it isn't for. Who may what by it, the judge alone
//! says. A document that can't be read is public, and may not be had.

use std::net::IpAddr;

use aws::access::{Authorizer, PolicyKind, PolicyRefusal};
use aws::pattern::{meet, without_variables};
use objects::BucketName;
use serde_json::{Value, json};

use crate::error::Fault;
use crate::table::{self, Target};

/// The longest document, in bytes (S3 User Guide, "Bucket policies for Amazon S3").
const LONGEST: usize = 20 * 1024;

/// Operators of conditions that fix a value, without `IfExists` and set prefixes.
const FIXING: [&str; 8] = [
    "stringequals",
    "stringequalsignorecase",
    "stringlike",
    "arnequals",
    "arnlike",
    "ipaddress",
    "foranyvalue:stringequals",
    "foranyvalue:stringlike",
];

/// Keys of conditions that, fixed, make a statement not public (S3 User Guide, "The meaning of
/// 'public'").
const FIXABLE: [&str; 15] = [
    "aws:principalaccount",
    "aws:principalarn",
    "aws:principalorgid",
    "aws:principalorgpaths",
    "aws:sourceaccount",
    "aws:sourcearn",
    "aws:sourceip",
    "aws:sourceorgid",
    "aws:sourceowner",
    "aws:sourcevpc",
    "aws:sourcevpce",
    "aws:userid",
    "s3:dataaccesspointaccount",
    "s3:dataaccesspointarn",
    "s3:x-amz-server-side-encryption-aws-kms-key-id",
];

/// The fewest bits that an address range has in common which isn't public: IPv4, then IPv6.
const NARROW: (u8, u8) = (8, 32);

/// Actions that no operation's row names: those of versions, and what is asked beside.
const FURTHER: [(&str, Target); 19] = [
    ("s3:GetObjectVersion", Target::Object),
    ("s3:GetObjectVersionAcl", Target::Object),
    ("s3:GetObjectVersionTagging", Target::Object),
    ("s3:GetObjectVersionAttributes", Target::Object),
    ("s3:GetObjectVersionForReplication", Target::Object),
    ("s3:GetObjectVersionTorrent", Target::Object),
    ("s3:PutObjectVersionAcl", Target::Object),
    ("s3:PutObjectVersionTagging", Target::Object),
    ("s3:DeleteObjectVersion", Target::Object),
    ("s3:DeleteObjectVersionTagging", Target::Object),
    ("s3:BypassGovernanceRetention", Target::Object),
    ("s3:ReplicateObject", Target::Object),
    ("s3:ReplicateDelete", Target::Object),
    ("s3:ReplicateTags", Target::Object),
    ("s3:ObjectOwnerOverrideToBucketOwner", Target::Object),
    ("s3:InitiateReplication", Target::Object),
    ("s3:DeleteObject", Target::Object),
    ("s3:AbortMultipartUpload", Target::Object),
    ("s3:ListBucket", Target::Bucket),
];

/// The document as it is to be kept, if that bucket may have it.
///
/// # Errors
///
/// `MalformedPolicy` and its kin, in S3's words where they are known.
pub(crate) fn take(
    judge: &dyn Authorizer,
    bucket: &BucketName,
    document: &str,
) -> Result<String, Fault> {
    if document.len() > LONGEST {
        return Err(Fault::bad(
            "PolicyTooLarge",
            "Normalized policy document exceeds the maximum allowed size of 20480 bytes.",
        ));
    }
    let read = serde_json::from_str::<Value>(document).ok();
    let read = read.filter(Value::is_object);
    let Some(read) = read else {
        return Err(malformed("This policy contains invalid Json"));
    };
    let bound = judge.bind_policy(PolicyKind::Resource, document);
    let bound = bound.map_err(|refusal| match refusal {
        PolicyRefusal::Document(why) => malformed(&why),
        PolicyRefusal::Principal { kind, name } => malformed("Invalid principal in policy")
            .member("Detail", format!("\"{kind}\" : \"{name}\"")),
    })?;
    for statement in statements(&read) {
        check(statement, bucket)?;
    }
    Ok(bound)
}

fn malformed(why: &str) -> Fault {
    Fault::bad("MalformedPolicy", why.to_owned())
}

/// Is the statement about this bucket, and about what can be done to what it names?
fn check(statement: &Value, bucket: &BucketName) -> Result<(), Fault> {
    let whole = bucket.arn();
    let inside = format!("{whole}/");
    let is_bucket = |pattern: &str| meet(&without_variables(pattern), &whole, false);
    let is_object = |pattern: &str| meet(&without_variables(pattern), &inside, true);
    let resources: Vec<&str> = texts(&statement["Resource"]).collect();
    let stranger = |pattern: &&str| !is_bucket(pattern) && !is_object(pattern);
    if resources.iter().any(stranger) || texts(&statement["NotResource"]).any(|one| stranger(&one))
    {
        return Err(malformed("Policy has invalid resource"));
    }
    let excluded = !statement["NotResource"].is_null();
    let (of_bucket, of_objects) = (
        excluded || resources.iter().any(|pattern| is_bucket(pattern)),
        excluded || resources.iter().any(|pattern| is_object(pattern)),
    );
    for action in texts(&statement["Action"]) {
        let targets: Vec<Target> = targets(action).collect();
        if targets.is_empty() {
            return Err(malformed("Policy has invalid action"));
        }
        let applies = targets.iter().any(|target| match target {
            Target::Object | Target::Each => of_objects,
            Target::Bucket => of_bucket,
            Target::Service => false,
        });
        if !applies {
            return Err(malformed(
                "Action does not apply to any resource(s) in statement",
            ));
        }
    }
    let mut others = texts(&statement["NotAction"]);
    match others.any(|action| targets(action).next().is_none()) {
        true => Err(malformed("Policy has invalid action")),
        false => Ok(()),
    }
}

/// What the actions are done to that such a pattern stands for.
fn targets(pattern: &str) -> impl Iterator<Item = Target> {
    let pattern = pattern.to_ascii_lowercase();
    let rows = table::actions().chain(FURTHER);
    rows.filter_map(move |(action, target)| {
        let fits = meet(&pattern, &action.to_ascii_lowercase(), false);
        fits.then_some(target)
    })
}

/// Does it grant something to everybody, but for what a fixed condition narrows down?
pub(crate) fn is_public(document: &str) -> bool {
    let Ok(document) = serde_json::from_str::<Value>(document) else {
        return true;
    };
    let mut statements = statements(&document);
    statements.any(|statement| {
        statement["Effect"] != "Deny"
            && names_everybody(statement)
            && !is_narrowed(&statement["Condition"])
    })
}

fn names_everybody(statement: &Value) -> bool {
    let principal = &statement["Principal"];
    !statement["NotPrincipal"].is_null()
        || texts(principal).any(|name| name == "*")
        || texts(&principal["AWS"]).any(|name| name == "*")
}

/// Does a condition fix one of the keys that count?
fn is_narrowed(condition: &Value) -> bool {
    let Some(operators) = condition.as_object() else {
        return false;
    };
    operators.iter().any(|(operator, keys)| {
        FIXING.contains(&operator.to_ascii_lowercase().as_str())
            && keys.as_object().is_some_and(|keys| {
                keys.iter().any(|(key, values)| {
                    FIXABLE.contains(&key.to_ascii_lowercase().as_str())
                        && texts(values).next().is_some()
                        && texts(values).all(|value| is_fixed(key, value))
                })
            })
    })
}

fn is_fixed(key: &str, value: &str) -> bool {
    if key.eq_ignore_ascii_case("aws:SourceIp") {
        let (address, bits) = value.split_once('/').unwrap_or((value, "128"));
        let Ok(address) = address.parse::<IpAddr>() else {
            return false;
        };
        let narrow = match address {
            IpAddr::V4(_) => NARROW.0,
            IpAddr::V6(_) => NARROW.1,
        };
        return bits.parse::<u8>().is_ok_and(|bits| bits >= narrow);
    }
    // A role's session may have any name; a role's id may not be left open.
    let value = match key.eq_ignore_ascii_case("aws:userid") {
        true => value.strip_suffix(":*").unwrap_or(value),
        false => value,
    };
    !value.contains(['*', '?']) && !value.contains("${")
}

/// The document without what it allows; none if it only allows.
pub(crate) fn denials(document: &str) -> Option<String> {
    let read = serde_json::from_str::<Value>(document);
    let kept: Vec<Value> = match &read {
        Ok(read) => statements(read)
            .filter(|statement| statement["Effect"] != "Allow")
            .cloned()
            .collect(),
        // What can't be read denies everything.
        Err(_) => return Some(document.to_owned()),
    };
    let is_any = !kept.is_empty();
    is_any.then(|| with_statements(read.unwrap_or_default(), kept))
}

/// The document, if there is one, and beside it that these principals may do what is asked. For
/// one question alone: it is about every action and everything.
pub(crate) fn granting(document: Option<&str>, principals: &[String]) -> String {
    let read = match document.map(serde_json::from_str::<Value>) {
        None => json!({ "Version": "2012-10-17" }),
        Some(Ok(read)) => read,
        Some(Err(_)) => return document.unwrap_or_default().to_owned(),
    };
    let mut all: Vec<Value> = statements(&read).cloned().collect();
    all.push(json!({
        "Effect": "Allow",
        "Principal": { "AWS": principals },
        "Action": "s3:*",
        "Resource": "*",
    }));
    with_statements(read, all)
}

fn with_statements(mut document: Value, statements: Vec<Value>) -> String {
    document["Statement"] = statements.into();
    document.to_string()
}

/// The statements of a document: one alone needs no list.
fn statements(document: &Value) -> impl Iterator<Item = &Value> {
    let statements = match &document["Statement"] {
        Value::Array(statements) => statements.as_slice(),
        Value::Null => &[],
        statement => std::slice::from_ref(statement),
    };
    statements.iter()
}

/// The texts of an element: one alone needs no list.
fn texts(element: &Value) -> impl Iterator<Item = &str> {
    let values = match element {
        Value::Array(values) => values.as_slice(),
        value => std::slice::from_ref(value),
    };
    values.iter().filter_map(Value::as_str)
}

#[cfg(test)]
mod tests {
    use aws::access::Owner;
    use types::AccountId;

    use super::*;

    fn refusal(statement: &str) -> String {
        let owner = Owner::new(AccountId::LAB, "us-east-1");
        let bucket = "orders".parse().unwrap();
        let document = format!(
            r#"{{"Version":"2012-10-17","Statement":[{{"Effect":"Allow","Principal":"*",{statement}}}]}}"#
        );
        match take(&owner, &bucket, &document) {
            Ok(_) => String::new(),
            Err(fault) => format!("{} {}", fault.code, fault.message),
        }
    }

    #[test]
    fn a_policy_is_about_its_bucket_and_what_can_be_done_to_it() {
        for good in [
            r#""Action":"s3:GetObject","Resource":"arn:aws:s3:::orders/*""#,
            r#""Action":"s3:*","Resource":["arn:aws:s3:::orders","arn:aws:s3:::orders/a"]"#,
            r#""Action":["s3:ListBucket","s3:GetObjectVersion"],"Resource":"arn:aws:s3:::orders*""#,
            r#""Action":"s3:getobject","Resource":"arn:aws:s3:::orders/${aws:username}/*""#,
            r#""NotAction":"s3:DeleteObject","NotResource":"arn:aws:s3:::orders/x""#,
            r#""Action":"*","Resource":"*""#,
        ] {
            assert_eq!(refusal(good), "", "{good}");
        }
        for (bad, text) in [
            (
                r#""Action":"s3:GetObject","Resource":"arn:aws:s3:::other/*""#,
                "MalformedPolicy Policy has invalid resource",
            ),
            (
                r#""Action":"s3:GetObject","Resource":"arn:aws:s3:::orders2/*""#,
                "MalformedPolicy Policy has invalid resource",
            ),
            (
                r#""Action":"s3:GetObject","Resource":"arn:aws:s3:::orders""#,
                "MalformedPolicy Action does not apply to any resource(s) in statement",
            ),
            (
                r#""Action":"s3:ListBucket","Resource":"arn:aws:s3:::orders/*""#,
                "MalformedPolicy Action does not apply to any resource(s) in statement",
            ),
            (
                r#""Action":"s3:Nothing","Resource":"arn:aws:s3:::orders/*""#,
                "MalformedPolicy Policy has invalid action",
            ),
            (
                r#""Action":"sqs:*","Resource":"arn:aws:s3:::orders/*""#,
                "MalformedPolicy Policy has invalid action",
            ),
        ] {
            assert_eq!(refusal(bad), text, "{bad}");
        }
        let owner = Owner::new(AccountId::LAB, "us-east-1");
        let bucket = "orders".parse().unwrap();
        let refused = take(&owner, &bucket, "[]").unwrap_err();
        assert_eq!(refused.message, "This policy contains invalid Json");
        let refused = take(&owner, &bucket, &" ".repeat(LONGEST + 1)).unwrap_err();
        assert_eq!(refused.code, "PolicyTooLarge");
    }

    #[test]
    fn public_is_what_everybody_may_and_no_fixed_condition_narrows() {
        let public = |rest: &str| is_public(&format!(r#"{{"Statement":{{{rest}}}}}"#));
        assert!(public(r#""Effect":"Allow","Principal":"*""#));
        assert!(public(r#""Effect":"Allow","Principal":{"AWS":["1","*"]}"#));
        assert!(public(r#""Effect":"Allow","NotPrincipal":{"AWS":"1"}"#));
        assert!(!public(r#""Effect":"Deny","Principal":"*""#));
        assert!(!public(
            r#""Effect":"Allow","Principal":{"AWS":"111122223333"}"#
        ));
        assert!(!public(
            r#""Effect":"Allow","Principal":{"Service":"s3.amazonaws.com"}"#
        ));
        for (condition, expected) in [
            (r#"{"StringEquals":{"aws:SourceVpc":"vpc-1"}}"#, false),
            (r#"{"StringLike":{"aws:SourceVpc":"vpc-*"}}"#, true),
            (r#"{"StringEquals":{"AWS:sourcevpc":["vpc-1","*"]}}"#, true),
            (r#"{"StringNotEquals":{"aws:SourceVpc":"vpc-1"}}"#, true),
            (r#"{"StringEqualsIfExists":{"aws:SourceVpc":"v"}}"#, true),
            (r#"{"StringEquals":{"aws:SourceVpc":[]}}"#, true),
            (r#"{"StringEquals":{"aws:username":"alice"}}"#, true),
            (r#"{"StringEquals":{"aws:PrincipalArn":"${x}"}}"#, true),
            (r#"{"IpAddress":{"aws:SourceIp":"203.0.113.0/24"}}"#, false),
            (r#"{"IpAddress":{"aws:SourceIp":"0.0.0.0/1"}}"#, true),
            (r#"{"IpAddress":{"aws:SourceIp":"2001:db8::/32"}}"#, false),
            (r#"{"IpAddress":{"aws:SourceIp":"203.0.113.7"}}"#, false),
            (r#"{"NotIpAddress":{"aws:SourceIp":"203.0.113.7"}}"#, true),
            (r#"{"StringLike":{"aws:userid":"AROAX:*"}}"#, false),
            (r#"{"Bool":{"aws:SecureTransport":"true"}}"#, true),
        ] {
            let rest = format!(r#""Effect":"Allow","Principal":"*","Condition":{condition}"#);
            assert_eq!(public(&rest), expected, "{condition}");
        }
        assert!(is_public("{"));
        assert!(!is_public(r#"{"Statement":[]}"#));
    }

    #[test]
    fn documents_lose_what_they_allow_and_gain_what_lists_grant() {
        let document = r#"{"Version":"2012-10-17","Statement":[
            {"Sid":"a","Effect":"Allow","Principal":"*"},
            {"Sid":"d","Effect":"Deny","Principal":"*"}]}"#;
        let left: Value = serde_json::from_str(&denials(document).unwrap()).unwrap();
        assert_eq!(left["Statement"][0]["Sid"], "d");
        assert_eq!(left["Statement"].as_array().unwrap().len(), 1);
        let granted: Value =
            serde_json::from_str(&granting(Some(&left.to_string()), &["*".to_owned()])).unwrap();
        assert_eq!(granted["Statement"][0]["Sid"], "d");
        assert_eq!(granted["Statement"][1]["Principal"]["AWS"][0], "*");
        assert_eq!(denials("{").as_deref(), Some("{"));
        let allowing = r#"{"Statement":{"Effect":"Allow"}}"#;
        assert_eq!(denials(allowing), None);
        assert_eq!(granting(Some("{"), &["*".to_owned()]), "{");
        let alone: Value = serde_json::from_str(&granting(None, &[])).unwrap();
        assert_eq!(alone["Version"], "2012-10-17");
    }

    #[test]
    fn patterns_meet_texts_and_what_begins_with_them() {
        assert!(meet("a*c", "abc", false) && meet("a?c", "abc", false));
        assert!(!meet("a?c", "ac", false) && !meet("a", "ab", false));
        assert!(meet("ab/c*", "ab/", true) && meet("*", "ab/", true));
        assert!(meet("a*/x", "ab/", true) && !meet("ab", "ab/", true));
    }
}

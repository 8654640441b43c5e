//! Trust policies: who may assume a role. What the policy language says of them `policy` holds
//! them to; here is held that every principal in them exists in the deployment, as IAM does, and
//! that a name never stands for another principal than the one that was trusted (IAM User Guide,
//! "AWS JSON policy elements: Principal"): of one that is deleted its id is left, which stands for
//! nobody, and one that gets another name is trusted by that.

use std::collections::BTreeSet;

use aws::access::PolicyKind;
use serde_json::Value;
use types::{AccountId, ConfigurationEdit, ConfigurationView};

use super::holder::Holder;
use super::{IamError, change, documents, limits};
use crate::entries::{self, Entry, PREFIX};
use crate::model::{Role, User};
use crate::policy;

/// Identity providers of the web that AWS knows without being told (IAM User Guide, "AWS JSON
/// policy elements: Principal").
const WEB_PROVIDERS: [&str; 4] = [
    "accounts.google.com",
    "cognito-identity.amazonaws.com",
    "graph.facebook.com",
    "www.amazon.com",
];

/// Is this a trust policy, short enough, of principals that exist? The edits hold that its users
/// and roles are there until the change is made, but for the one whose key is `own`.
///
/// # Errors
///
/// It isn't, or one of them doesn't exist.
pub(crate) fn check(
    view: &dyn ConfigurationView,
    document: &str,
    own: &str,
) -> Result<Vec<ConfigurationEdit>, IamError> {
    documents::parse(PolicyKind::Trust, document)?;
    if policy::size(document) > limits::TRUST_POLICY_SIZE {
        let most = limits::TRUST_POLICY_SIZE;
        return Err(IamError::quota("ACLSizePerRole", most));
    }
    let mut keys = BTreeSet::new();
    for (kind, principal) in principals(document) {
        let found = match kind.as_str() {
            "AWS" => aws_principal(view, &principal)?,
            "Service" if is_service(&principal) => Found::Always,
            "Federated" if WEB_PROVIDERS.contains(&principal.as_str()) => Found::Always,
            _ => Found::Nobody,
        };
        match found {
            Found::Nobody => return Err(invalid(&kind, &principal)),
            Found::Always => {}
            Found::Under(key) => drop(keys.insert(key)),
        }
    }
    keys.remove(own);
    let holds = keys.into_iter().filter_map(|key| change::hold(view, key));
    Ok(holds.collect())
}

/// What a principal's name stands for.
enum Found {
    /// For nothing.
    Nobody,
    /// For what can't be deleted.
    Always,
    /// For a user or a role: its key.
    Under(String),
}

fn invalid(kind: &str, principal: &str) -> IamError {
    let kind = kind.to_ascii_uppercase();
    // A document is as long as a request: no error repeats more of it than a name can have.
    let shown: String = principal.chars().take(512).collect();
    IamError::MalformedPolicyDocument(format!(
        "Invalid principal in policy: \"{kind}\":\"{shown}\""
    ))
}

/// Every principal of a document that `policy` accepted: kind and name.
fn principals(document: &str) -> Vec<(String, String)> {
    let parsed: Value = serde_json::from_str(document).unwrap_or_default();
    let statements = match &parsed["Statement"] {
        Value::Array(statements) => statements.as_slice(),
        statement => std::slice::from_ref(statement),
    };
    let mut found = Vec::new();
    for statement in statements {
        for element in ["Principal", "NotPrincipal"] {
            // `*` alone is everyone, who exist.
            let Value::Object(kinds) = &statement[element] else {
                continue;
            };
            for (kind, names) in kinds {
                let names = match names {
                    Value::Array(names) => names.as_slice(),
                    name => std::slice::from_ref(name),
                };
                let names = names.iter().filter_map(Value::as_str);
                found.extend(names.map(|name| (kind.clone(), name.to_owned())));
            }
        }
    }
    found
}

/// `*`, an account by number or root, a user, a role, or a session of a role.
fn aws_principal(view: &dyn ConfigurationView, name: &str) -> Result<Found, IamError> {
    let always = |exists: bool| if exists { Found::Always } else { Found::Nobody };
    if name == "*" {
        return Ok(Found::Always);
    }
    if let Ok(account) = name.parse::<AccountId>() {
        return Ok(always(account_exists(view, account)));
    }
    let parts: Vec<&str> = name.splitn(6, ':').collect();
    let ["arn", "aws", service, "", account, resource] = parts[..] else {
        return Ok(Found::Nobody);
    };
    let Ok(account) = account.parse::<AccountId>() else {
        return Ok(Found::Nobody);
    };
    let (kind, rest) = resource.split_once('/').unwrap_or((resource, ""));
    let last = rest.rsplit('/').next().unwrap_or("");
    Ok(match (service, kind) {
        ("iam", "root") => always(resource == "root" && account_exists(view, account)),
        ("iam", "user") => under::<User>(view, account, last, |user| user.arn(account) == name)?,
        ("iam", "role") => under::<Role>(view, account, last, |role| role.arn(account) == name)?,
        ("sts", "assumed-role") => {
            let (role, session) = rest.split_once('/').unwrap_or((rest, ""));
            let is_it = |found: &Role| found.name == role && is_session_name(session);
            under::<Role>(view, account, role, is_it)?
        }
        _ => Found::Nobody,
    })
}

fn under<T: Holder>(
    view: &dyn ConfigurationView,
    account: AccountId,
    name: &str,
    is_it: impl Fn(&T) -> bool,
) -> Result<Found, IamError> {
    let found = entries::read::<T>(view, account, name)?;
    let found = found.is_some_and(|(_, found)| is_it(&found));
    Ok(match found {
        true => Found::Under(entries::key::<T>(account, name)),
        false => Found::Nobody,
    })
}

/// The first account is there without having been made.
fn account_exists(view: &dyn ConfigurationView, account: AccountId) -> bool {
    account == AccountId::LAB || view.get(&entries::account_key(account)).is_some()
}

/// What names a session of a role: 2 to 64 of those characters (STS API reference, AssumeRole).
fn is_session_name(name: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"_+=,.@-".contains(&byte);
    (2..=64).contains(&name.len()) && name.bytes().all(allowed)
}

/// `ec2.amazonaws.com`. Services that a deployment doesn't have are trusted as well, as a
/// configuration for AWS names them; nobody can call as one of them here.
fn is_service(name: &str) -> bool {
    let label = |label: &str| {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
        !label.is_empty() && label.bytes().all(allowed)
    };
    let name = name.strip_suffix(".cn").unwrap_or(name);
    name.strip_suffix(".amazonaws.com")
        .or_else(|| name.strip_suffix(".amazon.com"))
        .or_else(|| name.strip_suffix(".aws.internal"))
        .is_some_and(|rest| rest.split('.').all(label))
}

/// The edits after which no role trusts a user that got another ARN, or is gone, by the one that
/// it had: `new` is in its place, the other ARN or the id of one that is gone.
///
/// # Errors
///
/// A role can't be read.
pub(crate) fn without_user(
    view: &dyn ConfigurationView,
    old: &str,
    new: &str,
) -> Result<Vec<ConfigurationEdit>, IamError> {
    replace_all(view, old, "", new, |name| name == old)
}

/// The edits after which no role trusts that role or a session of it, which is deleted and not
/// among them.
///
/// # Errors
///
/// A role can't be read.
pub(crate) fn without_role(
    view: &dyn ConfigurationView,
    account: AccountId,
    role: &Role,
) -> Result<Vec<ConfigurationEdit>, IamError> {
    let arn = role.arn(account);
    let sessions = format!("arn:aws:sts::{account}:assumed-role/{}/", role.name);
    let is_it = |name: &str| name == arn || name.starts_with(&sessions);
    let own = entries::key::<Role>(account, &role.name);
    replace_all(view, &role.name, &own, &role.id, is_it)
}

/// The edits of all roles, of all accounts, but the one whose key is `own`. What is replaced has
/// `part` in its name.
fn replace_all(
    view: &dyn ConfigurationView,
    part: &str,
    own: &str,
    new: &str,
    is_it: impl Fn(&str) -> bool,
) -> Result<Vec<ConfigurationEdit>, IamError> {
    let (mut edits, mut failed) = (Vec::new(), None);
    let all_roles = format!("{PREFIX}{}/", Role::NAME);
    view.visit(&all_roles, &mut |key, revision, bytes| {
        if key == own || !may_name(bytes, part) {
            return;
        }
        match entries::decode::<Role>(key, bytes) {
            Ok(mut role) => {
                if let Some(trust) = replaced(&role.trust, &is_it, new) {
                    role.trust = trust.into();
                    edits.push(change::put(key.to_owned(), Some(revision), &role));
                }
            }
            Err(error) => failed = failed.take().or(Some(error)),
        }
    });
    match failed {
        Some(error) => Err(error.into()),
        None => Ok(edits),
    }
}

/// Could the role of those bytes trust one of that name? It is there as it is, or escaped.
fn may_name(bytes: &[u8], name: &str) -> bool {
    let escaped = |text: &str| text.contains("\\\\u") || text.contains("\\\\/");
    let is_plain = !name.contains(['"', '\\']);
    let text = std::str::from_utf8(bytes);
    text.is_ok_and(|text| !is_plain || text.contains(name) || escaped(text))
}

/// The trust policy with `new` in the place of some principals; `None`: it names none of them.
fn replaced(document: &str, is_it: impl Fn(&str) -> bool, new: &str) -> Option<String> {
    let mut parsed: Value = serde_json::from_str(document).ok()?;
    let mut found = false;
    let statements = match parsed.get_mut("Statement")? {
        Value::Array(statements) => statements.as_mut_slice(),
        statement => std::slice::from_mut(statement),
    };
    for statement in statements {
        for element in ["Principal", "NotPrincipal"] {
            let names = statement
                .get_mut(element)
                .and_then(|kinds| kinds.get_mut("AWS"));
            let names = match names {
                Some(Value::Array(names)) => names.as_mut_slice(),
                Some(name) => std::slice::from_mut(name),
                None => continue,
            };
            let old = names
                .iter_mut()
                .filter(|name| name.as_str().is_some_and(&is_it));
            for name in old {
                *name = Value::String(new.to_owned());
                found = true;
            }
        }
    }
    found.then(|| parsed.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_principal_is_replaced_where_it_is_a_principal_and_nowhere_else() {
        let document = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow",
            "Principal":{"AWS":["arn:a","arn:b"],"Service":"arn:a"},"Action":"sts:AssumeRole",
            "Condition":{"ArnEquals":{"aws:PrincipalArn":"arn:a"}}},
            {"Effect":"Allow","Principal":{"AWS":"arn:\/a"},"Action":"sts:AssumeRole"},
            {"Effect":"Deny","NotPrincipal":{"AWS":"arn:a"},"Action":"sts:AssumeRole"}]}"#;
        assert_eq!(replaced(document, |name| name == "arn:c", "X"), None);
        assert_eq!(replaced("{", |_| true, "X"), None);
        let once = replaced(document, |name| name == "arn:a", "X").unwrap();
        let once: Value = serde_json::from_str(&once).unwrap();
        let statements = once["Statement"].as_array().unwrap();
        assert_eq!(
            statements[0]["Principal"]["AWS"],
            serde_json::json!(["X", "arn:b"])
        );
        assert_eq!(statements[0]["Principal"]["Service"], "arn:a");
        let condition = &statements[0]["Condition"]["ArnEquals"];
        assert_eq!(condition["aws:PrincipalArn"], "arn:a");
        assert_eq!(statements[1]["Principal"]["AWS"], "arn:/a");
        assert_eq!(statements[2]["NotPrincipal"]["AWS"], "X");
    }

    #[test]
    fn escaped_names_are_looked_at() {
        assert!(may_name(br#"{"trust":"{\"AWS\":\"arn:a\"}"}"#, "arn:a"));
        assert!(may_name(
            br#"{"trust":"{\"AWS\":\"\\u0061rn:a\"}"}"#,
            "arn:a"
        ));
        assert!(may_name(br#"{"trust":"{\"AWS\":\"arn:\\/a\"}"}"#, "arn:/a"));
        assert!(!may_name(br#"{"trust":"{\"AWS\":\"arn:b\"}"}"#, "arn:a"));
    }
}

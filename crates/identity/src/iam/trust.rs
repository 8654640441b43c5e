//! Trust policies: who may assume a role. What the policy language says of them `policy` holds
//! them to; here is held that every principal in them exists in the deployment, as IAM does.

use aws::access::PolicyKind;
use serde_json::Value;
use types::{AccountId, ConfigurationView};

use super::error::IamError;
use super::{documents, limits};
use crate::entries;
use crate::model::{Role, User, arn};
use crate::policy;

/// Identity providers of the web that AWS knows without being told (IAM User Guide, "AWS JSON
/// policy elements: Principal").
const WEB_PROVIDERS: [&str; 4] = [
    "accounts.google.com",
    "cognito-identity.amazonaws.com",
    "graph.facebook.com",
    "www.amazon.com",
];

/// Is this a trust policy, short enough, of principals that exist?
///
/// # Errors
///
/// It isn't, or one of them doesn't exist.
pub(crate) fn check(view: &dyn ConfigurationView, document: &str) -> Result<(), IamError> {
    documents::parse(PolicyKind::Trust, document)?;
    if policy::size(document) > limits::TRUST_POLICY_SIZE {
        let most = limits::TRUST_POLICY_SIZE;
        return Err(IamError::quota("ACLSizePerRole", most));
    }
    for (kind, principal) in principals(document) {
        let exists = match kind.as_str() {
            "AWS" => aws_principal_exists(view, &principal)?,
            "Service" => is_service(&principal),
            "Federated" => WEB_PROVIDERS.contains(&principal.as_str()),
            _ => false,
        };
        if !exists {
            return Err(invalid(&kind, &principal));
        }
    }
    Ok(())
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
fn aws_principal_exists(view: &dyn ConfigurationView, name: &str) -> Result<bool, IamError> {
    if name == "*" {
        return Ok(true);
    }
    if let Ok(account) = name.parse::<AccountId>() {
        return Ok(account_exists(view, account));
    }
    let mut parts = name.splitn(6, ':');
    let mut part = || parts.next().unwrap_or("");
    if (part(), part()) != ("arn", "aws") {
        return Ok(false);
    }
    let (service, region) = (part(), part());
    let (Ok(account), resource) = (part().parse::<AccountId>(), part()) else {
        return Ok(false);
    };
    if !region.is_empty() {
        return Ok(false);
    }
    let (kind, rest) = resource.split_once('/').unwrap_or((resource, ""));
    let last = rest.rsplit('/').next().unwrap_or("");
    Ok(match (service, kind) {
        ("iam", "root") => resource == "root" && account_exists(view, account),
        ("iam", "user") => entries::read::<User>(view, account, last)?
            .is_some_and(|(_, user)| arn(account, "user", &user.path, &user.name) == name),
        ("iam", "role") => entries::read::<Role>(view, account, last)?
            .is_some_and(|(_, role)| arn(account, "role", &role.path, &role.name) == name),
        ("sts", "assumed-role") => {
            let (role, session) = rest.split_once('/').unwrap_or((rest, ""));
            is_session_name(session)
                && entries::read::<Role>(view, account, role)?
                    .is_some_and(|(_, found)| found.name == role)
        }
        _ => false,
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

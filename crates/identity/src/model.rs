//! What an account has: users, groups, roles, policies, access keys, instance profiles. Plain
//! values as the configuration keeps them; who may do what is computed elsewhere, from these.
//!
//! Names are unique within their kind and account without regard to case, and keep the case
//! they were given (IAM User Guide, "IAM and AWS STS quotas", "IAM name requirements").

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use types::AccountId;

/// The text of a policy document, as it was given.
pub type Document = Box<str>;

/// Tags: key and value. Keys are unique without regard to case and keep the case they were given.
pub type Tags = BTreeMap<String, String>;

/// Milliseconds since 1970, as `types::Timestamp` counts them.
pub type Milliseconds = u64;

/// An account of the deployment.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Account {
    /// When it was made.
    pub created: Milliseconds,
    /// Its alias, unique in the deployment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub alias: Option<String>,
    /// Service control policies that hold for it, by name. None: no organisation limits it.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub service_control_policies: BTreeMap<String, Document>,
    /// Resource control policies that hold for what it owns, by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub resource_control_policies: BTreeMap<String, Document>,
}

/// What users, groups and roles have in common: the policies that say what they may do.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Policies {
    /// ARNs of managed policies, in the order in which they were attached.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub attached: Vec<String>,
    /// Inline policies by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub inline: BTreeMap<String, Document>,
}

/// A user.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct User {
    /// The name, in the case it was given.
    pub name: String,
    /// `AIDA…`: unique for ever, also if the name is used again.
    pub id: String,
    /// `/` or `/division/team/`.
    pub path: String,
    /// When it was made.
    pub created: Milliseconds,
    /// What says what it may do.
    #[serde(default)]
    pub policies: Policies,
    /// The ARN of the managed policy that bounds it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub boundary: Option<String>,
    /// The groups it is in: their names in lower case.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub groups: BTreeSet<String>,
    /// The ids of its access keys, the oldest first: two at most.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub keys: Vec<String>,
    /// Its tags.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub tags: Tags,
}

/// A group of users. Who is in it, the users say.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Group {
    /// The name, in the case it was given.
    pub name: String,
    /// `AGPA…`.
    pub id: String,
    /// Its path.
    pub path: String,
    /// When it was made.
    pub created: Milliseconds,
    /// What says what its users may do.
    #[serde(default)]
    pub policies: Policies,
}

/// A role.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Role {
    /// The name, in the case it was given.
    pub name: String,
    /// `AROA…`.
    pub id: String,
    /// Its path; `/aws-service-role/…` of a role that is linked to a service.
    pub path: String,
    /// When it was made.
    pub created: Milliseconds,
    /// Who may assume it.
    pub trust: Document,
    /// The longest session, in seconds: 3,600 to 43,200.
    pub longest_session: u32,
    /// What it is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// What says what it may do.
    #[serde(default)]
    pub policies: Policies,
    /// The ARN of the managed policy that bounds it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub boundary: Option<String>,
    /// Its tags.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub tags: Tags,
}

/// A managed policy of an account.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ManagedPolicy {
    /// The name, in the case it was given.
    pub name: String,
    /// `ANPA…`.
    pub id: String,
    /// Its path.
    pub path: String,
    /// When it was made.
    pub created: Milliseconds,
    /// When it last changed.
    pub updated: Milliseconds,
    /// What it is for; can't be changed later.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Its versions by number (`v3` is 3): one to five. Numbers aren't used again.
    pub versions: BTreeMap<u32, PolicyVersion>,
    /// The version that holds.
    pub default_version: u32,
    /// The number the next version gets.
    pub next_version: u32,
    /// Its tags.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub tags: Tags,
}

/// One version of a managed policy.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PolicyVersion {
    /// Its document.
    pub document: Document,
    /// When it was made.
    pub created: Milliseconds,
}

/// A long-lived access key of a user.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AccessKey {
    /// Whose account.
    pub account: String,
    /// Whose key: the user's name in lower case.
    pub user: String,
    /// When it was made.
    pub created: Milliseconds,
    /// Is it accepted?
    pub active: bool,
    /// The secret, sealed with the operator's key for this very key id; base64.
    pub sealed: String,
}

/// An instance profile: what a machine is given a role by.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct InstanceProfile {
    /// The name, in the case it was given.
    pub name: String,
    /// `AIPA…`.
    pub id: String,
    /// Its path.
    pub path: String,
    /// When it was made.
    pub created: Milliseconds,
    /// Its role: the name in lower case.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<String>,
    /// Its tags.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub tags: Tags,
}

/// A server certificate.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ServerCertificate {
    /// The name, in the case it was given.
    pub name: String,
    /// `ASCA…`.
    pub id: String,
    /// Its path.
    pub path: String,
    /// When it was uploaded.
    pub created: Milliseconds,
    /// When it ends.
    pub expires: Milliseconds,
    /// The certificate itself, in PEM.
    pub body: Box<str>,
    /// Those between it and its authority, in PEM.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub chain: Option<Box<str>>,
    /// Its key in PEM, sealed with the operator's key for this very id; base64.
    pub sealed: String,
    /// The ARNs that it had and that listeners used it by when it was renamed: those go on with it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub former: Vec<String>,
    /// Its tags.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub tags: Tags,
}

impl ServerCertificate {
    /// Its ARN, in that account.
    pub fn arn(&self, account: AccountId) -> String {
        arn(account, "server-certificate", &self.path, &self.name)
    }

    /// All ARNs by which listeners may use it: what it is called now, and was.
    pub fn arns(&self, account: AccountId) -> impl Iterator<Item = String> {
        std::iter::once(self.arn(account)).chain(self.former.iter().cloned())
    }
}

/// The ARN of something of IAM: `arn:aws:iam::111122223333:user/division/alice`.
pub fn arn(account: AccountId, kind: &str, path: &str, name: &str) -> String {
    format!("arn:aws:iam::{account}:{kind}{path}{name}")
}

//! Reads an entry of the configuration to the end, to say in time what can't be read. What it
//! read it forgets: entries are read again when somebody calls who needs them.

use std::collections::BTreeMap;

use aws::access::PolicyKind;
use bytes::Bytes;
use types::AccountId;

use crate::RootKeys;
use crate::entries::{self, Entry, PREFIX};
use crate::identity::Shared;
use crate::model::{
    AccessKey, Account, Document, Group, InstanceProfile, ManagedPolicy, Policies, Role, User,
};

/// What is wrong with that entry, in words that repeat nothing of it.
pub(crate) fn entry(key: &str, bytes: &Bytes, shared: &Shared) -> Result<(), String> {
    let rest = key.strip_prefix(PREFIX).unwrap_or(key);
    let (kind, name) = rest.split_once('/').unwrap_or((rest, ""));
    match kind {
        "root-keys" => root_keys(name, bytes, shared),
        User::NAME => {
            let user: User = decoded(key, bytes)?;
            policies(&user.policies, shared)
        }
        Group::NAME => {
            let group: Group = decoded(key, bytes)?;
            policies(&group.policies, shared)
        }
        Role::NAME => {
            let role: Role = decoded(key, bytes)?;
            document("its trust policy", PolicyKind::Trust, &role.trust, shared)?;
            policies(&role.policies, shared)
        }
        ManagedPolicy::NAME => {
            let policy: ManagedPolicy = decoded(key, bytes)?;
            let version = policy.versions.get(&policy.default_version);
            let version = version.ok_or("its default version is not there")?;
            let kind = PolicyKind::Identity;
            document("its default version", kind, &version.document, shared)
        }
        Account::NAME => {
            name.parse::<AccountId>().map_err(|e| e.to_string())?;
            let account: Account = decoded(key, bytes)?;
            let kind = PolicyKind::Organization;
            documents(kind, &account.service_control_policies, shared)?;
            documents(kind, &account.resource_control_policies, shared)
        }
        AccessKey::NAME => decoded::<AccessKey>(key, bytes).map(drop),
        InstanceProfile::NAME => decoded::<InstanceProfile>(key, bytes).map(drop),
        "alias" => alias(bytes),
        // A newer program's: nothing here depends on it.
        _ => Ok(()),
    }
}

fn decoded<T: Entry>(key: &str, bytes: &[u8]) -> Result<T, String> {
    entries::decode(key, bytes).map_err(|error| error.to_string())
}

fn policies(policies: &Policies, shared: &Shared) -> Result<(), String> {
    documents(PolicyKind::Identity, &policies.inline, shared)
}

fn documents(
    kind: PolicyKind,
    policies: &BTreeMap<String, Document>,
    shared: &Shared,
) -> Result<(), String> {
    let mut policies = policies.iter();
    policies
        .try_for_each(|(name, text)| document(&format!("its policy '{name}'"), kind, text, shared))
}

fn document(what: &str, kind: PolicyKind, text: &str, shared: &Shared) -> Result<(), String> {
    let checked = shared.documents.check(kind, text);
    checked.map_err(|error| format!("{what} is no policy at {}", error.position))
}

fn root_keys(account: &str, bytes: &[u8], shared: &Shared) -> Result<(), String> {
    let account = match account {
        "" => AccountId::LAB,
        digits => digits
            .parse()
            .map_err(|error| format!("root keys of no account: {error}"))?,
    };
    let opened = RootKeys::open(&shared.sealer, account, bytes);
    opened.map(drop).map_err(|error| error.to_string())
}

fn alias(bytes: &[u8]) -> Result<(), String> {
    let account = std::str::from_utf8(bytes).ok();
    let account = account.and_then(|text| text.parse::<AccountId>().ok());
    account
        .map(drop)
        .ok_or_else(|| "an alias of no account".to_owned())
}

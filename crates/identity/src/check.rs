//! Reads an entry of the configuration to the end, to say in time what can't be read. What it
//! read it forgets: entries are read again when somebody calls who needs them.

use bytes::Bytes;
use types::AccountId;

use crate::RootKeys;
use crate::entries::{self, Entry, PREFIX};
use crate::identity::Shared;
use crate::model::{AccessKey, Account, Group, InstanceProfile, ManagedPolicy, Role, User};

/// What is wrong with that entry, in words that repeat nothing of it.
pub(crate) fn entry(key: &str, bytes: &Bytes, shared: &Shared) -> Result<(), String> {
    let rest = key.strip_prefix(PREFIX).unwrap_or(key);
    let (kind, name) = rest.split_once('/').unwrap_or((rest, ""));
    match kind {
        "root-keys" => root_keys(name, bytes, shared),
        User::NAME => decoded::<User>(key, bytes),
        Group::NAME => decoded::<Group>(key, bytes),
        Role::NAME => decoded::<Role>(key, bytes),
        ManagedPolicy::NAME => decoded::<ManagedPolicy>(key, bytes),
        Account::NAME => decoded::<Account>(key, bytes),
        AccessKey::NAME => decoded::<AccessKey>(key, bytes),
        InstanceProfile::NAME => decoded::<InstanceProfile>(key, bytes),
        "alias" => alias(bytes),
        // A newer program's: nothing here depends on it.
        _ => Ok(()),
    }
}

fn decoded<T: Entry>(key: &str, bytes: &[u8]) -> Result<(), String> {
    let read = entries::decode::<T>(key, bytes);
    read.map(drop).map_err(|error| error.to_string())
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

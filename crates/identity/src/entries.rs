//! Where the things of an account stand in the global configuration, and their bytes: a version,
//! then JSON. A value of a newer program is refused by name; nothing here decides anything.

use bytes::Bytes;
use serde::Serialize;
use serde::de::DeserializeOwned;
use types::{AccountId, ConfigurationView};

use crate::model::{
    AccessKey, Account, Group, InstanceProfile, ManagedPolicy, Role, ServerCertificate, User,
};

/// The version of the bytes that this code writes, and the greatest it reads.
pub const FORMAT_VERSION: u8 = 1;

/// What every key of identity begins with.
pub const PREFIX: &str = "identity/";

/// A kind of thing that the configuration keeps. `NAME` is the part of its keys that says so.
pub trait Entry: Serialize + DeserializeOwned {
    /// `user`: a key is `identity/user/111122223333/alice`.
    const NAME: &'static str;
}

impl Entry for Account {
    const NAME: &'static str = "account";
}

impl Entry for User {
    const NAME: &'static str = "user";
}

impl Entry for Group {
    const NAME: &'static str = "group";
}

impl Entry for Role {
    const NAME: &'static str = "role";
}

impl Entry for ManagedPolicy {
    const NAME: &'static str = "policy";
}

impl Entry for InstanceProfile {
    const NAME: &'static str = "instance-profile";
}

impl Entry for ServerCertificate {
    const NAME: &'static str = "server-certificate";
}

impl Entry for AccessKey {
    const NAME: &'static str = "access-key";
}

/// Why a value of the configuration could not be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EntryError {
    /// Written by a newer version of the program.
    #[error(
        "'{key}' has format version {version}; this program understands up to {FORMAT_VERSION}: \
         start the newer version of the program"
    )]
    Newer {
        /// Its key.
        key: String,
        /// The version of its bytes.
        version: u8,
    },
    /// Not what encoding writes.
    #[error("'{key}' is malformed: {cause}")]
    Malformed {
        /// Its key.
        key: String,
        /// What is wrong with it. It repeats no value.
        cause: String,
    },
}

/// The key of a thing with that name in that account.
pub fn key<T: Entry>(account: AccountId, name: &str) -> String {
    format!(
        "{PREFIX}{}/{account}/{}",
        T::NAME,
        name.to_ascii_lowercase()
    )
}

/// The key of the account itself.
pub fn account_key(account: AccountId) -> String {
    format!("{PREFIX}{}/{account}", Account::NAME)
}

/// The key of an access key. Ids are unique in the deployment, so no account is in it.
pub fn access_key_key(id: &str) -> String {
    format!("{PREFIX}{}/{id}", AccessKey::NAME)
}

/// Whose alias that is: the value is the account's number as text.
pub fn alias_key(alias: &str) -> String {
    format!("{PREFIX}alias/{alias}")
}

/// What the keys of all things of that kind in that account begin with.
pub fn prefix<T: Entry>(account: AccountId) -> String {
    format!("{PREFIX}{}/{account}/", T::NAME)
}

/// The bytes of a value.
pub fn encode<T: Entry>(value: &T) -> Bytes {
    let mut bytes = vec![FORMAT_VERSION];
    serde_json::to_writer(&mut bytes, value).expect("the model has string keys only");
    Bytes::from(bytes)
}

/// The value of such bytes.
///
/// # Errors
///
/// [`EntryError`], with the key that it is given.
pub fn decode<T: Entry>(key: &str, bytes: &[u8]) -> Result<T, EntryError> {
    decode_as(key, bytes)
}

/// The same, of a type that has only some of what the bytes say.
pub(crate) fn decode_as<T: DeserializeOwned>(key: &str, bytes: &[u8]) -> Result<T, EntryError> {
    let malformed = |cause: String| EntryError::Malformed {
        key: key.to_owned(),
        cause,
    };
    match bytes.split_first() {
        Some((&FORMAT_VERSION, json)) => serde_json::from_slice(json).map_err(|error| {
            malformed(format!(
                "{:?} at column {}",
                error.classify(),
                error.column()
            ))
        }),
        Some((&version, _)) if version > FORMAT_VERSION => Err(EntryError::Newer {
            key: key.to_owned(),
            version,
        }),
        _ => Err(malformed("no version".to_owned())),
    }
}

/// The thing of that name in that account, with the revision that set it.
///
/// # Errors
///
/// It is there and can't be read.
pub fn read<T: Entry>(
    view: &dyn ConfigurationView,
    account: AccountId,
    name: &str,
) -> Result<Option<(u64, T)>, EntryError> {
    at(view, &key::<T>(account, name))
}

/// What stands under that key, with the revision that set it.
///
/// # Errors
///
/// It is there and can't be read.
pub fn at<T: Entry>(
    view: &dyn ConfigurationView,
    key: &str,
) -> Result<Option<(u64, T)>, EntryError> {
    let found = view.get(key);
    found
        .map(|(revision, bytes)| Ok((revision, decode(key, &bytes)?)))
        .transpose()
}

/// All things of that kind in that account, in the order of their names without regard to case.
///
/// # Errors
///
/// One of them can't be read.
pub fn all<T: Entry>(
    view: &dyn ConfigurationView,
    account: AccountId,
) -> Result<Vec<(u64, T)>, EntryError> {
    let (mut found, mut failed) = (Vec::new(), None);
    view.visit(
        &prefix::<T>(account),
        &mut |key, revision, bytes| match decode(key, bytes) {
            Ok(value) => found.push((revision, value)),
            Err(error) => failed = failed.take().or(Some(error)),
        },
    );
    failed.map_or(Ok(found), Err)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn group() -> Group {
        Group {
            name: "Admins".to_owned(),
            id: "AGPAEXAMPLE".to_owned(),
            path: "/".to_owned(),
            created: 7,
            policies: crate::model::Policies::default(),
        }
    }

    #[test]
    fn the_bytes_of_version_1_stay_what_they_are() {
        let bytes = encode(&group());
        let golden = b"\x01{\"name\":\"Admins\",\"id\":\"AGPAEXAMPLE\",\"path\":\"/\",\
                       \"created\":7,\"policies\":{}}";
        assert_eq!(&bytes[..], &golden[..]);
        assert_eq!(decode::<Group>("k", &bytes), Ok(group()));
    }

    #[test]
    fn keys_are_by_kind_account_and_name_without_case() {
        assert_eq!(
            key::<Group>(AccountId::LAB, "Admins"),
            "identity/group/111122223333/admins"
        );
        assert_eq!(account_key(AccountId::LAB), "identity/account/111122223333");
        assert_eq!(access_key_key("AKIAX"), "identity/access-key/AKIAX");
    }

    #[test]
    fn a_newer_or_broken_value_names_its_key_and_no_content() {
        let newer = decode::<Group>("identity/group/1/a", &[2]).unwrap_err();
        assert!(newer.to_string().contains("newer version"), "{newer}");
        let broken = decode::<Group>("identity/group/1/a", b"\x01{\"secret\":1}").unwrap_err();
        assert!(
            broken.to_string().starts_with("'identity/group/1/a'"),
            "{broken}"
        );
        assert!(!broken.to_string().contains("secret"), "{broken}");
    }
}

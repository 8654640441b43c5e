//! What the operator does without a user of IAM: lists who may call, makes accounts and keys,
//! takes keys away, and sets the limits of an organisation. Who calls it has proven to be the
//! operator; nothing here asks again. Secrets are told once, to who made them.

mod listing;

use aws::access::PolicyKind;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use types::{
    AccountId, ConfigurationEdit, ConfigurationError, ConfigurationExpected, ConfigurationView,
};

use crate::entries::{self, EntryError};
use crate::model::{AccessKey, Account, User};
use crate::policy::Policy;
use crate::{Purpose, RootKey, RootKeys, Service};

pub use listing::{Listed, Listing, MAX_LISTED};

/// Access keys of a user (IAM User Guide, "IAM and AWS STS quotas").
const KEYS_OF_USER: usize = 2;

/// Policies of a kind of one account (AWS Organizations, "Quotas": 5 attached to an account).
const CONTROL_POLICIES: usize = 5;

/// Characters of such a policy (the same).
const CONTROL_POLICY_SIZE: usize = 5_120;

/// What becomes of a key that is revoked.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Revocation {
    /// It is refused, and may be accepted again by IAM's UpdateAccessKey.
    Deactivate,
    /// It is gone.
    Delete,
}

/// Whose requests a policy of the organisation limits.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum ControlPolicy {
    /// Those of the account's principals, its root included.
    Service,
    /// Those to the account's resources, whoever makes them.
    Resource,
}

/// Why something was not done.
#[derive(Clone, PartialEq, Debug, thiserror::Error)]
pub enum AdministrationError {
    /// There is no such account.
    #[error("there is no account {0}; `causeway identity create-account` makes one")]
    NoSuchAccount(AccountId),
    /// There is such an account.
    #[error("there is an account {0} already")]
    AccountExists(AccountId),
    /// There is no such user.
    #[error("account {0} has no user '{1}'")]
    NoSuchUser(AccountId, String),
    /// There is no such key.
    #[error("there is no access key '{0}'")]
    NoSuchKey(String),
    /// It is the last key of an account's root.
    #[error("'{0}' is a key of an account's root: those are rotated, not revoked")]
    RootKey(String),
    /// The user has as many keys as one may have.
    #[error("'{0}' has {KEYS_OF_USER} access keys already; revoke one with --delete first")]
    TooManyKeys(String),
    /// The account has as many policies of that kind as one may have.
    #[error("account {0} has {CONTROL_POLICIES} such policies already")]
    TooManyPolicies(AccountId),
    /// There is no such policy.
    #[error("account {0} has no such policy '{1}'")]
    NoSuchPolicy(AccountId, String),
    /// The document is no policy of that kind, or too long.
    #[error("that is no such policy: {0}")]
    Policy(String),
    /// The name can't be one.
    #[error("a policy's name has 1 to 128 letters, digits and any of +=,.@_-")]
    Name,
    /// What is configured can't be read.
    #[error("{0}")]
    Unreadable(#[from] EntryError),
    /// The configuration was not changed.
    #[error("{0}")]
    NotChanged(#[from] ConfigurationError),
}

type Changed<T> = Result<T, AdministrationError>;

impl Service {
    /// Makes an account of that number, or of a number that is drawn, and tells its root's key.
    ///
    /// # Errors
    ///
    /// [`AdministrationError`].
    pub async fn create_account(
        &self,
        account: Option<AccountId>,
    ) -> Changed<(AccountId, RootKey)> {
        let account = account.unwrap_or_else(|| self.draw_account());
        if account == AccountId::LAB {
            return Err(AdministrationError::AccountExists(account));
        }
        let key = RootKey::generate(&self.random());
        let keys = RootKeys::new(key.clone());
        let sealed = keys.seal(&self.config.sealer, account, &self.random());
        let entry = Account {
            created: self.now().0,
            ..Account::default()
        };
        let place = entries::account_key(account);
        self.change_or(&place, AdministrationError::from, |view| {
            if view.get(&place).is_some() {
                return Err(AdministrationError::AccountExists(account));
            }
            let edits = vec![
                edit(place.clone(), None, Some(entries::encode(&entry))),
                // Keys that an account of that number once had are nobody's.
                ConfigurationEdit {
                    key: RootKeys::setting(account),
                    expected: ConfigurationExpected::Any,
                    value: Some(sealed.clone()),
                },
            ];
            Ok((edits, ()))
        })
        .await?;
        Ok((account, key))
    }

    /// Makes an access key of that user, and tells it. It has the form of a root key.
    ///
    /// # Errors
    ///
    /// [`AdministrationError`].
    pub async fn create_access_key(&self, account: AccountId, user: &str) -> Changed<RootKey> {
        let pair = RootKey::generate(&self.random());
        let (id, secret) = (pair.access_key_id(), pair.secret().expose());
        let sealer = &self.config.sealer;
        let sealed = sealer.seal(Purpose::AccessKey, id, secret.as_bytes(), &self.random());
        let entry = AccessKey {
            account: account.to_string(),
            user: user.to_ascii_lowercase(),
            created: self.now().0,
            active: true,
            sealed: STANDARD.encode(sealed),
        };
        let place = entries::key::<User>(account, user);
        self.change_or(&place, AdministrationError::from, |view| {
            let (revision, mut found) = entries::at::<User>(view, &place)?
                .ok_or_else(|| AdministrationError::NoSuchUser(account, user.to_owned()))?;
            if found.keys.len() >= KEYS_OF_USER {
                return Err(AdministrationError::TooManyKeys(user.to_owned()));
            }
            found.keys.push(id.to_owned());
            let edits = vec![
                edit(place.clone(), Some(revision), Some(entries::encode(&found))),
                edit(
                    entries::access_key_key(id),
                    None,
                    Some(entries::encode(&entry)),
                ),
            ];
            Ok((edits, ()))
        })
        .await?;
        Ok(pair)
    }

    /// Has a user's access key refused everywhere.
    ///
    /// # Errors
    ///
    /// [`AdministrationError`].
    pub async fn revoke_access_key(&self, id: &str, how: Revocation) -> Changed<()> {
        if self.identity().accounts.root(id).is_some() {
            return Err(AdministrationError::RootKey(id.to_owned()));
        }
        let place = entries::access_key_key(id);
        self.change_or(&place, AdministrationError::from, |view| {
            revocation(view, id, &place, how)
        })
        .await
    }

    /// Sets a policy of the organisation that limits an account, or removes it (`None`).
    ///
    /// # Errors
    ///
    /// [`AdministrationError`].
    pub async fn set_control_policy(
        &self,
        account: AccountId,
        kind: ControlPolicy,
        name: &str,
        document: Option<&str>,
    ) -> Changed<()> {
        check_control_policy(kind, name, document)?;
        let exists = self.identity().accounts.has(account);
        let place = entries::account_key(account);
        self.change_or(&place, AdministrationError::from, |view| {
            let found = entries::at::<Account>(view, &place)?;
            if found.is_none() && !exists {
                return Err(AdministrationError::NoSuchAccount(account));
            }
            let revision = found.as_ref().map(|(revision, _)| *revision);
            let mut entry = found.map_or_else(Account::default, |(_, entry)| entry);
            let policies = match kind {
                ControlPolicy::Service => &mut entry.service_control_policies,
                ControlPolicy::Resource => &mut entry.resource_control_policies,
            };
            match document {
                Some(document) => drop(policies.insert(name.to_owned(), document.into())),
                None if policies.remove(name).is_none() => {
                    return Err(AdministrationError::NoSuchPolicy(account, name.to_owned()));
                }
                None => {}
            }
            if policies.len() > CONTROL_POLICIES {
                return Err(AdministrationError::TooManyPolicies(account));
            }
            let bytes = entries::encode(&entry);
            Ok((vec![edit(place.clone(), revision, Some(bytes))], ()))
        })
        .await
    }

    /// Twelve random digits; two accounts get the same ones with a chance that making it notices.
    fn draw_account(&self) -> AccountId {
        let number = u64::from_be_bytes(*self.random::<8>()) % 900_000_000_000;
        let digits = (100_000_000_000 + number).to_string();
        digits.parse().expect("it has 12 digits")
    }
}

fn revocation(
    view: &dyn ConfigurationView,
    id: &str,
    place: &str,
    how: Revocation,
) -> Changed<(Vec<ConfigurationEdit>, ())> {
    let found = entries::at::<AccessKey>(view, place)?;
    let (revision, mut key) = found.ok_or_else(|| AdministrationError::NoSuchKey(id.to_owned()))?;
    if how == Revocation::Deactivate {
        if !key.active {
            return Ok((Vec::new(), ()));
        }
        key.active = false;
        let bytes = entries::encode(&key);
        return Ok((
            vec![edit(place.to_owned(), Some(revision), Some(bytes))],
            (),
        ));
    }
    let mut edits = vec![edit(place.to_owned(), Some(revision), None)];
    let account = key.account.parse::<AccountId>();
    if let Ok(account) = account
        && let Some((revision, mut user)) = entries::read::<User>(view, account, &key.user)?
    {
        user.keys.retain(|known| known != id);
        let place = entries::key::<User>(account, &key.user);
        edits.push(edit(place, Some(revision), Some(entries::encode(&user))));
    }
    Ok((edits, ()))
}

fn check_control_policy(kind: ControlPolicy, name: &str, document: Option<&str>) -> Changed<()> {
    let is_letter = |letter: char| letter.is_ascii_alphanumeric() || "+=,.@_-".contains(letter);
    if !(1..=128).contains(&name.len()) || !name.chars().all(is_letter) {
        return Err(AdministrationError::Name);
    }
    let Some(document) = document else {
        return Ok(());
    };
    if document.chars().count() > CONTROL_POLICY_SIZE {
        let text = format!("it has more than {CONTROL_POLICY_SIZE} characters");
        return Err(AdministrationError::Policy(text));
    }
    let policy = Policy::parse(PolicyKind::Organization, document)
        .map_err(|error| AdministrationError::Policy(error.to_string()))?;
    match (kind, policy.names_principals()) {
        (ControlPolicy::Service, true) => Err(AdministrationError::Policy(
            "a service control policy names no principals".to_owned(),
        )),
        (ControlPolicy::Resource, false) => Err(AdministrationError::Policy(
            "a resource control policy has the Principal \"*\"".to_owned(),
        )),
        _ => Ok(()),
    }
}

/// An edit that holds of what was read only: of that revision, or of nothing.
fn edit(key: String, revision: Option<u64>, value: Option<Bytes>) -> ConfigurationEdit {
    ConfigurationEdit {
        key,
        expected: revision.map_or(
            ConfigurationExpected::Absent,
            ConfigurationExpected::Revision,
        ),
        value,
    }
}

//! Users' access keys as the operator makes and ends them. A secret is told once, to whoever asked
//! for the key; what is kept of it is sealed.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use identity::entries::{self, access_key_key};
use identity::model::{AccessKey, User};
use identity::{Purpose, RootKey, RootKeys, random};
use serde_json::{Value, json};
use store::Engine;
use types::{AccountId, ConfigurationEdit, ConfigurationExpected, ConfigurationView};

use super::OperatorError;
use crate::region::Region;

/// Access keys that a user may have (IAM User Guide, "IAM and AWS STS quotas").
const MAX_KEYS: usize = 2;

/// What the ids of sessions' keys begin with (IAM User Guide, "IAM identifiers").
const SESSION_PREFIX: &str = "ASIA";

impl<E: Engine> Region<E> {
    /// Makes an access key for a user; gives it with its secret.
    pub(super) async fn create_key(
        &self,
        account: AccountId,
        user: &str,
    ) -> Result<Value, OperatorError> {
        let key = RootKey::generate(&random(&*self.environment));
        let id = key.access_key_id();
        let secret = key.secret().expose().as_bytes();
        let nonce = random(&*self.environment);
        let sealed = self.sealer.seal(Purpose::AccessKey, id, secret, &nonce);
        let sealed = STANDARD.encode(sealed);
        let change = self.change(|view| {
            let (revision, mut owner) = self.user(view, account, user)?;
            if owner.keys.len() >= MAX_KEYS {
                return Err(OperatorError::TooManyKeys {
                    user: owner.name,
                    keys: owner.keys,
                });
            }
            owner.keys.push(id.to_owned());
            let made = AccessKey {
                account: account.to_string(),
                user: owner.name.to_ascii_lowercase(),
                created: self.environment.now().wall.0,
                active: true,
                sealed: sealed.clone(),
            };
            let edits = vec![
                ConfigurationEdit {
                    key: access_key_key(id),
                    expected: ConfigurationExpected::Absent,
                    value: Some(entries::encode(&made)),
                },
                ConfigurationEdit {
                    key: entries::key::<User>(account, user),
                    expected: ConfigurationExpected::Revision(revision),
                    value: Some(entries::encode(&owner)),
                },
            ];
            Ok((edits, owner.name))
        });
        let (name, revision) = change.await.map_err(|error| {
            error.of(|| format!("the access key {id} of {user} in account {account}"))
        })?;
        tracing::info!(%account, user = name, key = id, "made an access key");
        Ok(json!({
            "account": account.to_string(),
            "user": name,
            "access_key_id": id,
            "secret_access_key": key.secret().expose(),
            "revision": revision,
        }))
    }

    fn user(
        &self,
        view: &dyn ConfigurationView,
        account: AccountId,
        name: &str,
    ) -> Result<(u64, User), OperatorError> {
        if !self.has_account(view, account) {
            return Err(OperatorError::NoSuchAccount(account));
        }
        let found = entries::read::<User>(view, account, name)?;
        found.ok_or_else(|| OperatorError::NoSuchUser {
            account,
            user: name.to_owned(),
        })
    }

    /// Deletes a user's access key. Says whose it was, as far as that can be read: what can't be
    /// read is deleted all the same.
    pub(super) async fn revoke(&self, id: &str) -> Result<Value, OperatorError> {
        if id.starts_with(SESSION_PREFIX) {
            return Err(OperatorError::Session(id.to_owned()));
        }
        let change = self.change(|view| {
            let key = access_key_key(id);
            let Some((revision, bytes)) = view.get(&key) else {
                return Err(self.not_revocable(view, id));
            };
            let entry = entries::decode::<AccessKey>(&key, &bytes).ok();
            let mut edits = vec![ConfigurationEdit {
                key,
                expected: ConfigurationExpected::Revision(revision),
                value: None,
            }];
            let mut owner = None;
            if let Some(entry) = entry
                && let Ok(account) = entry.account.parse::<AccountId>()
                && let Ok(Some((revision, mut user))) =
                    entries::read::<User>(view, account, &entry.user)
            {
                user.keys.retain(|key| key != id);
                edits.push(ConfigurationEdit {
                    key: entries::key::<User>(account, &entry.user),
                    expected: ConfigurationExpected::Revision(revision),
                    value: Some(entries::encode(&user)),
                });
                owner = Some((account, user.name));
            }
            Ok((edits, owner))
        });
        let change = change.await;
        let change = change.map_err(|error| error.of(|| format!("the end of access key {id}")));
        let (owner, revision) = change?;
        tracing::info!(key = id, "revoked an access key");
        let (account, user) = owner.unzip();
        Ok(json!({
            "access_key_id": id,
            "account": account.map(|account| account.to_string()),
            "user": user,
            "revision": revision,
        }))
    }

    /// Why there is no user's key of that id.
    fn not_revocable(&self, view: &dyn ConfigurationView, id: &str) -> OperatorError {
        let accounts = self.accounts(view, None).unwrap_or_default();
        let owner = accounts.into_iter().find(|account| {
            let ids = self.root_key_ids(view, *account).unwrap_or_default();
            ids.iter().any(|key| key == id)
        });
        match owner {
            Some(account) => OperatorError::RootKey {
                key: id.to_owned(),
                account,
            },
            None => OperatorError::NoSuchKey(id.to_owned()),
        }
    }

    /// The ids of an account's root keys, the current one first.
    ///
    /// # Errors
    ///
    /// They can't be read.
    pub(super) fn root_key_ids(
        &self,
        view: &dyn ConfigurationView,
        account: AccountId,
    ) -> Result<Vec<String>, String> {
        let keys = match view.get(&RootKeys::setting(account)) {
            Some((_, bytes)) => RootKeys::open(&self.sealer, account, &bytes)
                .map_err(|cause| format!("root keys: {cause}"))?,
            None if account == self.config.account => self.bootstrap.root_keys.clone(),
            None => return Ok(Vec::new()),
        };
        let keys = std::iter::once(keys.current()).chain(keys.previous());
        Ok(keys.map(|key| key.access_key_id().to_owned()).collect())
    }
}

//! The accounts of a deployment and what all their principals share. Read whole at each revision
//! that changes something: they are few.

use std::collections::BTreeMap;

use aws::signature::SecretKey;
use types::{AccountId, ConfigurationView};

use crate::entries::{self, PREFIX};
use crate::faults::Faults;
use crate::identity::{Bootstrap, Shared};
use crate::model::Account;
use crate::{RootKeys, entries::Entry};

/// All accounts.
#[derive(Default)]
pub(crate) struct Accounts {
    known: BTreeMap<AccountId, AccountState>,
    /// Whose root has that access key.
    roots: BTreeMap<String, AccountId>,
}

/// An account.
pub(crate) struct AccountState {
    root_keys: Option<RootKeys>,
}

impl Accounts {
    /// One account with its root keys, which nothing limits.
    pub(crate) fn only(bootstrap: &Bootstrap) -> Accounts {
        let mut accounts = Accounts::default();
        let state = AccountState { root_keys: None };
        accounts.known.insert(bootstrap.account, state);
        accounts.accept(bootstrap.account, bootstrap.root_keys.clone());
        accounts
    }

    /// The accounts that a configuration has.
    pub(crate) fn compile(
        view: &dyn ConfigurationView,
        shared: &Shared,
        bootstrap: &Bootstrap,
        faults: &mut Faults,
    ) -> Accounts {
        let mut accounts = Accounts::only(bootstrap);
        let prefix = format!("{PREFIX}{}/", Account::NAME);
        view.visit(&prefix, &mut |key, _, bytes| {
            // What can't be read was noted when it came.
            let account = key[prefix.len()..].parse();
            let read = entries::decode::<Account>(key, bytes);
            if let (Ok(account), Ok(_)) = (account, read) {
                let state = AccountState { root_keys: None };
                accounts.known.entry(account).or_insert(state);
            }
        });
        let setting = RootKeys::setting(AccountId::LAB);
        view.visit(&setting, &mut |key, _, bytes| {
            let account = match key[setting.len()..].strip_prefix('/') {
                None if key == setting => AccountId::LAB,
                Some(digits)
                    if digits
                        .parse()
                        .is_ok_and(|account: AccountId| account != AccountId::LAB) =>
                {
                    digits.parse().expect("just parsed")
                }
                _ => return,
            };
            if !accounts.known.contains_key(&account) {
                // Told anew at each revision: the account may come after its keys.
                faults.add(key, 0, "root keys of no account".to_owned());
            } else if let Ok(keys) = RootKeys::open(&shared.sealer, account, bytes) {
                accounts.accept(account, keys);
            }
        });
        accounts
    }

    /// Takes these root keys of that account in place of others.
    fn accept(&mut self, account: AccountId, keys: RootKeys) {
        self.roots.retain(|_, owner| *owner != account);
        for key in std::iter::once(keys.current()).chain(keys.previous()) {
            self.roots.insert(key.access_key_id().to_owned(), account);
        }
        if let Some(state) = self.known.get_mut(&account) {
            state.root_keys = Some(keys);
        }
    }

    /// The account whose root has that access key, and its secret.
    pub(crate) fn root(&self, access_key_id: &str) -> Option<(AccountId, &SecretKey)> {
        let account = *self.roots.get(access_key_id)?;
        Some((account, self.root_keys(account)?.secret(access_key_id)?))
    }

    /// The root keys of an account.
    pub(crate) fn root_keys(&self, account: AccountId) -> Option<&RootKeys> {
        self.known.get(&account)?.root_keys.as_ref()
    }

    /// Is there such an account?
    pub(crate) fn has(&self, account: AccountId) -> bool {
        self.known.contains_key(&account)
    }
}

//! The accounts of a deployment and what all their principals share. Read whole at each revision
//! that changes something: they are few.

use std::collections::BTreeMap;

use aws::access::PolicyKind;
use aws::signature::SecretKey;
use types::{AccountId, ConfigurationView};

use crate::RootKeys;
use crate::documents::denial;
use crate::entries::{self, Entry, PREFIX};
use crate::faults::Faults;
use crate::holder::{Held, Origin};
use crate::identity::{Bootstrap, Shared};
use crate::model::{Account, Document};

/// All accounts.
#[derive(Default)]
pub(crate) struct Accounts {
    known: BTreeMap<AccountId, AccountState>,
    /// Whose root has that access key.
    roots: BTreeMap<String, AccountId>,
}

/// An account.
#[derive(Default)]
struct AccountState {
    root_keys: Option<RootKeys>,
    /// `None`: no organisation limits it.
    service_control: Option<Vec<Held>>,
    resource_control: Vec<Held>,
}

impl AccountState {
    fn new(account: Account, shared: &Shared) -> AccountState {
        let held = |policies: BTreeMap<String, Document>| -> Vec<Held> {
            let policies = policies.into_iter().map(|(name, document)| Held {
                origin: Origin::Organization(name.into()),
                policy: shared
                    .documents
                    .or_denial(PolicyKind::Organization, &document),
            });
            policies.collect()
        };
        let service_control = Some(held(account.service_control_policies));
        AccountState {
            root_keys: None,
            service_control: service_control.filter(|policies| !policies.is_empty()),
            resource_control: held(account.resource_control_policies),
        }
    }

    /// Of an account whose entry can't be read nobody knows the limits: nothing is let through.
    fn unreadable() -> AccountState {
        let nothing = || {
            vec![Held {
                origin: Origin::Organization("unreadable".into()),
                policy: denial(PolicyKind::Organization),
            }]
        };
        AccountState {
            root_keys: None,
            service_control: Some(nothing()),
            resource_control: nothing(),
        }
    }
}

impl Accounts {
    /// One account with its root keys, which nothing limits.
    pub(crate) fn only(bootstrap: &Bootstrap) -> Accounts {
        let mut accounts = Accounts::default();
        let state = AccountState::default();
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
            let Ok(account) = key[prefix.len()..].parse() else {
                return;
            };
            let mut state = match entries::decode::<Account>(key, bytes) {
                Ok(read) => AccountState::new(read, shared),
                Err(_) => AccountState::unreadable(),
            };
            if let Some(known) = accounts.known.remove(&account) {
                state.root_keys = known.root_keys;
            }
            accounts.known.insert(account, state);
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

    /// The service control policies of an account; `None`: no organisation limits it.
    pub(crate) fn service_control(&self, account: AccountId) -> Option<&[Held]> {
        self.known.get(&account)?.service_control.as_deref()
    }

    /// The resource control policies of an account.
    pub(crate) fn resource_control(&self, account: AccountId) -> &[Held] {
        let known = self.known.get(&account);
        known.map_or(&[], |known| known.resource_control.as_slice())
    }

    /// Is there such an account?
    pub(crate) fn has(&self, account: AccountId) -> bool {
        self.known.contains_key(&account)
    }
}

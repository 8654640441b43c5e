//! Who there is: accounts, users and roles with their keys, as tables. Of secrets nothing is said.
//! What can't be read is listed as such, never left out.

use identity::entries::{self, Entry};
use identity::model::{self, AccessKey, Account, Milliseconds, Role, User};
use serde::{Deserialize, Serialize};
use store::Engine;
use types::{AccountId, ConfigurationView};

use super::OperatorError;
use crate::region::Region;

/// Who there is.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Listing {
    /// The configuration's revision that this is of.
    pub revision: u64,
    /// The accounts.
    pub accounts: Vec<AccountRow>,
    /// Their users, as many as were asked for.
    pub users: Vec<PrincipalRow>,
    /// Their roles, as many as were asked for.
    pub roles: Vec<PrincipalRow>,
    /// Users and roles that there are beyond these.
    pub more: u64,
    /// What can't be read, in words.
    pub faults: Vec<String>,
}

/// An account.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct AccountRow {
    /// Its number.
    pub account: AccountId,
    /// Its alias.
    pub alias: Option<String>,
    /// When it was made; the first one was there from the beginning.
    pub created: Option<Milliseconds>,
    /// Is it the deployment's first, whose root keys are the operator's?
    pub is_first: bool,
    /// The ids of its root keys.
    pub root_keys: Vec<String>,
    /// How many users it has.
    pub users: u64,
    /// How many roles.
    pub roles: u64,
    /// The names of the service control policies over it.
    pub service_control_policies: Vec<String>,
    /// The names of the resource control policies over it.
    pub resource_control_policies: Vec<String>,
}

/// A user or a role.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct PrincipalRow {
    /// Its account.
    pub account: AccountId,
    /// Its name.
    pub name: String,
    /// Its ARN.
    pub arn: String,
    /// When it was made.
    pub created: Milliseconds,
    /// The groups of a user.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub groups: Vec<String>,
    /// Managed policies attached to it.
    pub attached: Vec<String>,
    /// Inline policies by name.
    pub inline: Vec<String>,
    /// The policy that bounds it.
    pub boundary: Option<String>,
    /// The access keys of a user.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub keys: Vec<KeyRow>,
}

/// An access key.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct KeyRow {
    /// Its id.
    pub id: String,
    /// When it was made, if that can be read.
    pub created: Option<Milliseconds>,
    /// `active`, `inactive` or `unreadable`.
    pub state: String,
}

/// What is collected while the accounts are gone through.
struct Collected {
    left: u32,
    more: u64,
    faults: Vec<String>,
}

impl<E: Engine> Region<E> {
    /// Lists who there is.
    pub(super) fn list(
        &self,
        only: Option<AccountId>,
        limit: u32,
    ) -> Result<Listing, OperatorError> {
        let view = self.view();
        let view = &*view;
        let (mut accounts, mut users, mut roles) = (Vec::new(), Vec::new(), Vec::new());
        let mut collected = Collected {
            left: limit,
            more: 0,
            faults: Vec::new(),
        };
        for account in self.accounts(view, only)? {
            let read = entries::at::<Account>(view, &entries::account_key(account));
            let entry = collected.kept(read).flatten().map(|(_, entry)| entry);
            let is_there = entry.is_some();
            let entry = entry.unwrap_or_default();
            let root_keys = self.root_key_ids(view, account);
            accounts.push(AccountRow {
                account,
                alias: entry.alias,
                created: is_there.then_some(entry.created),
                is_first: account == self.config.account,
                root_keys: collected.kept(root_keys).unwrap_or_default(),
                users: collected.principals(view, account, &mut users, user_row),
                roles: collected.principals(view, account, &mut roles, role_row),
                service_control_policies: entry.service_control_policies.into_keys().collect(),
                resource_control_policies: entry.resource_control_policies.into_keys().collect(),
            });
        }
        Ok(Listing {
            revision: view.revision(),
            accounts,
            users,
            roles,
            more: collected.more,
            faults: collected.faults,
        })
    }
}

impl Collected {
    fn kept<T>(&mut self, read: Result<T, impl ToString>) -> Option<T> {
        read.map_err(|fault| self.faults.push(fault.to_string()))
            .ok()
    }

    /// Adds the account's principals of a kind as long as there is room; says how many there are.
    fn principals<T: Entry>(
        &mut self,
        view: &dyn ConfigurationView,
        account: AccountId,
        rows: &mut Vec<PrincipalRow>,
        row: impl Fn(&dyn ConfigurationView, AccountId, T) -> PrincipalRow,
    ) -> u64 {
        let mut count = 0;
        view.visit(&entries::prefix::<T>(account), &mut |key, _, bytes| {
            count += 1;
            if self.left == 0 {
                self.more += 1;
                return;
            }
            self.left -= 1;
            if let Some(entry) = self.kept(entries::decode::<T>(key, bytes)) {
                rows.push(row(view, account, entry));
            }
        });
        count
    }
}

fn user_row(view: &dyn ConfigurationView, account: AccountId, user: User) -> PrincipalRow {
    let keys = user.keys.iter().map(|id| key_row(view, id)).collect();
    PrincipalRow {
        account,
        arn: model::arn(account, "user", &user.path, &user.name),
        name: user.name,
        created: user.created,
        groups: user.groups.into_iter().collect(),
        attached: user.policies.attached,
        inline: user.policies.inline.into_keys().collect(),
        boundary: user.boundary,
        keys,
    }
}

fn role_row(_: &dyn ConfigurationView, account: AccountId, role: Role) -> PrincipalRow {
    PrincipalRow {
        account,
        arn: model::arn(account, "role", &role.path, &role.name),
        name: role.name,
        created: role.created,
        groups: Vec::new(),
        attached: role.policies.attached,
        inline: role.policies.inline.into_keys().collect(),
        boundary: role.boundary,
        keys: Vec::new(),
    }
}

fn key_row(view: &dyn ConfigurationView, id: &str) -> KeyRow {
    let read = entries::at::<AccessKey>(view, &entries::access_key_key(id));
    let (created, state) = match read {
        Ok(Some((_, key))) => match key.active {
            true => (Some(key.created), "active"),
            false => (Some(key.created), "inactive"),
        },
        Ok(None) | Err(_) => (None, "unreadable"),
    };
    KeyRow {
        id: id.to_owned(),
        created,
        state: state.to_owned(),
    }
}

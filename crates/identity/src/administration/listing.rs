//! Who may call, in pages: accounts, access keys, roles and users. It reads everything and changes
//! nothing; an entry that can't be read is told as such.

use serde::{Deserialize, Serialize};
use types::{AccountId, Timestamp};

use crate::Service;
use crate::entries::{self, Entry, PREFIX};
use crate::model::{self, AccessKey, Account, Role, User};

/// The most that one page of a list holds.
pub const MAX_LISTED: usize = 1_000;

/// Somebody who may call, or what they call with. Never a secret.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(
    tag = "kind",
    rename_all = "camelCase",
    rename_all_fields = "camelCase"
)]
pub enum Listed {
    /// An account.
    Account {
        /// Its number.
        account: AccountId,
        /// Its alias.
        alias: Option<String>,
        /// When it was made; `None`: with the deployment.
        created: Option<Timestamp>,
        /// The ids of its root's keys.
        root_keys: Vec<String>,
        /// The names of its service control policies.
        service_control_policies: Vec<String>,
        /// The names of its resource control policies.
        resource_control_policies: Vec<String>,
    },
    /// A user.
    User {
        /// Its account.
        account: AccountId,
        /// Its ARN.
        arn: String,
        /// When it was made.
        created: Timestamp,
        /// The ids of its keys.
        keys: Vec<String>,
    },
    /// A role.
    Role {
        /// Its account.
        account: AccountId,
        /// Its ARN.
        arn: String,
        /// When it was made.
        created: Timestamp,
    },
    /// A user's access key.
    AccessKey {
        /// Its id.
        id: String,
        /// Its user's account.
        account: AccountId,
        /// Its user.
        user: String,
        /// When it was made.
        created: Timestamp,
        /// Is it accepted?
        active: bool,
    },
    /// An entry that can't be read.
    Unreadable {
        /// Its key in the configuration.
        key: String,
        /// What is wrong with it.
        cause: String,
    },
}

/// A page of a list.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Listing {
    /// Accounts, then access keys, roles and users.
    pub listed: Vec<Listed>,
    /// Where the next page begins; `None`: this is the last.
    pub next: Option<String>,
}

impl Service {
    /// A page of everybody who may call, in one account or all: at most `most` of them
    /// (1 to [`MAX_LISTED`]), from where an earlier page ended.
    pub fn list(&self, account: Option<AccountId>, after: Option<&str>, most: usize) -> Listing {
        let most = most.clamp(1, MAX_LISTED);
        let (view, mut listing) = (self.view(), Vec::new());
        let first = AccountId::LAB;
        let first_key = entries::account_key(first);
        // The first account is there without an entry, too.
        if view.get(&first_key).is_none()
            && account.is_none_or(|wanted| wanted == first)
            && after.is_none()
        {
            listing.push((first_key, self.listed_account(first, None)));
        }
        let kinds = [Account::NAME, AccessKey::NAME, Role::NAME, User::NAME];
        let mut kinds: Vec<(usize, &str)> = kinds.into_iter().enumerate().collect();
        let position = |key: &str| {
            let kind = key.strip_prefix(PREFIX)?.split('/').next()?;
            kinds.iter().position(|(_, known)| *known == kind)
        };
        let start = after.and_then(position).unwrap_or(0);
        for (_, kind) in kinds.drain(..).skip(start) {
            view.visit(&format!("{PREFIX}{kind}/"), &mut |key, _, bytes| {
                let seen = after.is_some_and(|after| {
                    after.starts_with(&format!("{PREFIX}{kind}/")) && key <= after
                });
                if listing.len() > most || seen {
                    return;
                }
                let listed = self.listed(kind, key, bytes);
                if listed.is_of(account) {
                    listing.push((key.to_owned(), listed));
                }
            });
        }
        let more = listing.len() > most;
        listing.truncate(most);
        Listing {
            next: more
                .then(|| listing.last().map(|(key, _)| key.clone()))
                .flatten(),
            listed: listing.into_iter().map(|(_, listed)| listed).collect(),
        }
    }

    fn listed(&self, kind: &str, key: &str, bytes: &[u8]) -> Listed {
        let read = match kind {
            Account::NAME => self.read_account(key, bytes),
            AccessKey::NAME => read_key(key, bytes),
            Role::NAME => read_role(key, bytes),
            _ => read_user(key, bytes),
        };
        read.unwrap_or_else(|cause| Listed::Unreadable {
            key: key.to_owned(),
            cause,
        })
    }

    fn read_account(&self, key: &str, bytes: &[u8]) -> Result<Listed, String> {
        let entry = entries::decode::<Account>(key, bytes).map_err(|error| error.to_string())?;
        let (_, digits) = key.rsplit_once('/').unwrap_or_default();
        let account = digits
            .parse()
            .map_err(|_| "no account's number".to_owned())?;
        Ok(self.listed_account(account, Some(entry)))
    }

    fn listed_account(&self, account: AccountId, entry: Option<Account>) -> Listed {
        let identity = self.identity();
        let keys = identity.accounts.root_keys(account);
        let keys = keys.map(|keys| std::iter::once(keys.current()).chain(keys.previous()));
        let created = entry.as_ref().map(|entry| Timestamp(entry.created));
        let entry = entry.unwrap_or_default();
        let is_made = created.filter(|created| created.0 > 0);
        Listed::Account {
            account,
            alias: entry.alias,
            created: is_made,
            root_keys: keys
                .into_iter()
                .flatten()
                .map(|key| key.access_key_id().to_owned())
                .collect(),
            service_control_policies: entry.service_control_policies.into_keys().collect(),
            resource_control_policies: entry.resource_control_policies.into_keys().collect(),
        }
    }
}

impl Listed {
    fn is_of(&self, wanted: Option<AccountId>) -> bool {
        let own = match self {
            Listed::Account { account, .. }
            | Listed::User { account, .. }
            | Listed::Role { account, .. }
            | Listed::AccessKey { account, .. } => account,
            // Whose it is can't be told.
            Listed::Unreadable { .. } => return true,
        };
        wanted.is_none_or(|wanted| wanted == *own)
    }
}

fn read_key(key: &str, bytes: &[u8]) -> Result<Listed, String> {
    let entry = entries::decode::<AccessKey>(key, bytes).map_err(|error| error.to_string())?;
    let (_, id) = key.rsplit_once('/').unwrap_or_default();
    Ok(Listed::AccessKey {
        id: id.to_owned(),
        account: entry
            .account
            .parse()
            .map_err(|_| "of no account".to_owned())?,
        user: entry.user,
        created: Timestamp(entry.created),
        active: entry.active,
    })
}

fn read_role(key: &str, bytes: &[u8]) -> Result<Listed, String> {
    let entry = entries::decode::<Role>(key, bytes).map_err(|error| error.to_string())?;
    let account = account_in(key)?;
    Ok(Listed::Role {
        account,
        arn: model::arn(account, "role", &entry.path, &entry.name),
        created: Timestamp(entry.created),
    })
}

fn read_user(key: &str, bytes: &[u8]) -> Result<Listed, String> {
    let entry = entries::decode::<User>(key, bytes).map_err(|error| error.to_string())?;
    let account = account_in(key)?;
    Ok(Listed::User {
        account,
        arn: model::arn(account, "user", &entry.path, &entry.name),
        created: Timestamp(entry.created),
        keys: entry.keys,
    })
}

/// The account in a key: `identity/user/111122223333/alice`.
fn account_in(key: &str) -> Result<AccountId, String> {
    let digits = key.split('/').nth(2).unwrap_or_default();
    digits.parse().map_err(|_| "of no account".to_owned())
}

//! The policies that an organisation puts over an account: service control policies, which bound
//! what its principals may do, and resource control policies, which bound what anyone may do to
//! what it owns. There are no organisational units: each account has its own.

use std::collections::BTreeMap;

use aws::access::PolicyKind;
use identity::entries;
use identity::model::{Account, Document};
use identity::policy::Policy;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use store::Engine;
use types::{AccountId, ConfigurationEdit, ConfigurationExpected, ConfigurationView};

use super::{Draft, OperatorError};
use crate::region::Region;

/// Policies of a kind over one account at most (Organizations User Guide, "Quotas and service
/// limits").
const MAX_POLICIES: usize = 5;

/// Characters of a document at most (the same).
const LONGEST_DOCUMENT: usize = 5_120;

/// A kind of policy over accounts.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OverAccount {
    /// Bounds what the account's principals may do.
    ServiceControl,
    /// Bounds what may be done to what the account owns.
    ResourceControl,
}

/// A policy over an account.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct PolicyRow {
    /// The account.
    pub account: AccountId,
    /// The policy's name.
    pub name: String,
    /// Its kind.
    pub kind: OverAccount,
    /// Its document.
    pub document: String,
}

impl OverAccount {
    fn of(self, account: &mut Account) -> &mut BTreeMap<String, Document> {
        match self {
            OverAccount::ServiceControl => &mut account.service_control_policies,
            OverAccount::ResourceControl => &mut account.resource_control_policies,
        }
    }
}

impl<E: Engine> Region<E> {
    /// Puts a policy over an account, in place of the one of that name and kind.
    pub(super) async fn set_policy(
        &self,
        account: AccountId,
        name: &str,
        kind: OverAccount,
        document: &str,
    ) -> Result<Value, OperatorError> {
        check(kind, document)?;
        let change = self.change(|view| {
            let (revision, mut entry) = self.account(view, account)?;
            let policies = kind.of(&mut entry);
            policies.insert(name.to_owned(), document.into());
            if policies.len() > MAX_POLICIES {
                let most = MAX_POLICIES;
                return Err(OperatorError::TooManyPolicies { account, most });
            }
            self.put_account(account, revision, &entry)
        });
        let change = change
            .await
            .map_err(|error| error.of(|| format!("the policy {name} set over account {account}")));
        let ((), revision) = change?;
        tracing::info!(%account, name, ?kind, "put a policy over an account");
        Ok(
            json!({ "account": account.to_string(), "name": name, "kind": kind,
                   "revision": revision }),
        )
    }

    /// Takes a policy away from an account.
    pub(super) async fn remove_policy(
        &self,
        account: AccountId,
        name: &str,
        wished: Option<OverAccount>,
    ) -> Result<Value, OperatorError> {
        let change = self.change(|view| {
            let (revision, mut entry) = self.account(view, account)?;
            let kinds = [OverAccount::ServiceControl, OverAccount::ResourceControl];
            let mut found = kinds.into_iter().filter(|kind| {
                wished.is_none_or(|wished| wished == *kind)
                    && kind.of(&mut entry).contains_key(name)
            });
            let kind = match (found.next(), found.next()) {
                (Some(kind), None) => kind,
                (Some(_), Some(_)) => return Err(OperatorError::WhichPolicy(name.to_owned())),
                (None, _) => {
                    let name = name.to_owned();
                    return Err(OperatorError::NoSuchPolicy { account, name });
                }
            };
            kind.of(&mut entry).remove(name);
            let (edits, ()) = self.put_account(account, revision, &entry)?;
            Ok((edits, kind))
        });
        let change = change.await.map_err(|error| {
            error.of(|| format!("the policy {name} taken away from account {account}"))
        });
        let (kind, revision) = change?;
        tracing::info!(%account, name, ?kind, "took a policy away from an account");
        Ok(
            json!({ "account": account.to_string(), "name": name, "kind": kind,
                   "revision": revision }),
        )
    }

    /// The policies over accounts.
    pub(super) fn policies(
        &self,
        only: Option<AccountId>,
    ) -> Result<Vec<PolicyRow>, OperatorError> {
        let view = self.view();
        let mut rows = Vec::new();
        for account in self.accounts(&*view, only)? {
            let (_, mut entry) = self.account(&*view, account)?;
            for kind in [OverAccount::ServiceControl, OverAccount::ResourceControl] {
                let policies = std::mem::take(kind.of(&mut entry));
                rows.extend(policies.into_iter().map(|(name, document)| PolicyRow {
                    account,
                    name,
                    kind,
                    document: document.into(),
                }));
            }
        }
        Ok(rows)
    }

    /// The account's entry, and the revision that set it; the first account may have none yet.
    fn account(
        &self,
        view: &dyn ConfigurationView,
        account: AccountId,
    ) -> Result<(Option<u64>, Account), OperatorError> {
        if !self.has_account(view, account) {
            return Err(OperatorError::NoSuchAccount(account));
        }
        let found = entries::at::<Account>(view, &entries::account_key(account))?;
        let (revision, entry) = found.unzip();
        Ok((revision, entry.unwrap_or_default()))
    }

    fn put_account(&self, account: AccountId, revision: Option<u64>, entry: &Account) -> Draft<()> {
        let edit = ConfigurationEdit {
            key: entries::account_key(account),
            expected: revision.map_or(
                ConfigurationExpected::Absent,
                ConfigurationExpected::Revision,
            ),
            value: Some(entries::encode(entry)),
        };
        Ok((vec![edit], ()))
    }
}

/// Is it the document of such a policy?
fn check(kind: OverAccount, document: &str) -> Result<(), OperatorError> {
    let refused = |text: String| Err(OperatorError::Document(text));
    let length = document.chars().filter(|c| !c.is_whitespace()).count();
    if length > LONGEST_DOCUMENT {
        return refused(format!(
            "it has {length} characters, and {LONGEST_DOCUMENT} is the most"
        ));
    }
    match Policy::parse(PolicyKind::Organization, document) {
        Err(cause) => refused(cause.to_string()),
        Ok(policy) => match (kind, policy.names_principals()) {
            (OverAccount::ServiceControl, true) => {
                refused("a service control policy names no principals".to_owned())
            }
            (OverAccount::ResourceControl, false) => {
                refused("a resource control policy has the Principal \"*\"".to_owned())
            }
            _ => Ok(()),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_document_is_of_its_kind_and_not_too_long() {
        let with = |more: &str| {
            format!(
                "{{\"Version\":\"2012-10-17\",\"Statement\":{{\"Effect\":\"Deny\",{more}\"Action\":\"s3:*\",\"Resource\":\"*\"}}}}"
            )
        };
        let (plain, everyone) = (with(""), with("\"Principal\":\"*\","));
        assert_eq!(check(OverAccount::ServiceControl, &plain), Ok(()));
        assert_eq!(check(OverAccount::ResourceControl, &everyone), Ok(()));
        let long = with(&format!("\"Sid\":\"{}\",", "a".repeat(LONGEST_DOCUMENT)));
        for (kind, document, word) in [
            (OverAccount::ServiceControl, &everyone, "no principals"),
            (OverAccount::ResourceControl, &plain, "Principal"),
            (OverAccount::ServiceControl, &long, "is the most"),
            (OverAccount::ServiceControl, &"{".to_owned(), "Syntax"),
        ] {
            let refused = check(kind, document).unwrap_err();
            assert!(refused.to_string().contains(word), "{refused}");
        }
    }
}

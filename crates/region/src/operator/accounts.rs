//! Accounts beside the first: a number, and a root key that is told once. What an account has, its
//! own root and users make.

use identity::model::Account;
use identity::{RootKey, RootKeys, entries, random};
use serde_json::{Value, json};
use store::Engine;
use types::{AccountId, ConfigurationEdit, ConfigurationExpected, ConfigurationView};

use super::OperatorError;
use crate::region::Region;

/// The least and the greatest number that is drawn: 12 digits, the first of them not zero.
const NUMBERS: std::ops::Range<u64> = 100_000_000_000..1_000_000_000_000;

impl<E: Engine> Region<E> {
    /// Makes an account; gives its number and its root key.
    pub(super) async fn create_account(
        &self,
        wished: Option<AccountId>,
    ) -> Result<Value, OperatorError> {
        let key = RootKey::generate(&random(&*self.environment));
        let keys = RootKeys::new(key.clone());
        let value = Account {
            created: self.environment.now().wall.0,
            ..Account::default()
        };
        let mut last = wished;
        let change = self.change(|view| {
            let account = match wished {
                Some(account) => account,
                None => self.draw_account(view),
            };
            last = Some(account);
            if self.has_account(view, account) {
                return Err(OperatorError::AccountExists(account));
            }
            let nonce = random(&*self.environment);
            let sealed = keys.seal(&self.sealer, account, &nonce);
            let absent = |key, value| ConfigurationEdit {
                key,
                expected: ConfigurationExpected::Absent,
                value: Some(value),
            };
            let edits = vec![
                absent(entries::account_key(account), entries::encode(&value)),
                absent(RootKeys::setting(account), sealed),
            ];
            Ok((edits, account))
        });
        let change = change.await;
        let (account, revision) = change.map_err(|error| {
            error.of(|| {
                let number = last.map_or_else(String::new, |account| account.to_string());
                let id = key.access_key_id();
                format!("the account {number} with the root key {id}")
            })
        })?;
        tracing::info!(%account, "made an account");
        Ok(json!({
            "account": account.to_string(),
            "access_key_id": key.access_key_id(),
            "secret_access_key": key.secret().expose(),
            "revision": revision,
        }))
    }

    /// Is there such an account? The first is there from the beginning.
    pub(super) fn has_account(&self, view: &dyn ConfigurationView, account: AccountId) -> bool {
        account == self.config.account || view.get(&entries::account_key(account)).is_some()
    }

    /// The numbers of all accounts, or that one.
    ///
    /// # Errors
    ///
    /// It isn't there.
    pub(super) fn accounts(
        &self,
        view: &dyn ConfigurationView,
        only: Option<AccountId>,
    ) -> Result<Vec<AccountId>, OperatorError> {
        if let Some(account) = only {
            let is_there = self.has_account(view, account);
            return is_there
                .then(|| vec![account])
                .ok_or(OperatorError::NoSuchAccount(account));
        }
        let mut accounts = vec![self.config.account];
        let prefix = format!("{}account/", entries::PREFIX);
        view.visit(&prefix, &mut |key, _, _| {
            let number = key.strip_prefix(&prefix).and_then(|text| text.parse().ok());
            accounts.extend(number.filter(|number: &AccountId| *number != self.config.account));
        });
        Ok(accounts)
    }

    fn draw_account(&self, view: &dyn ConfigurationView) -> AccountId {
        loop {
            let number = NUMBERS.start + self.environment.random() % (NUMBERS.end - NUMBERS.start);
            let account = number.to_string().parse().expect("the range has 12 digits");
            if !self.has_account(view, account) {
                return account;
            }
        }
    }
}

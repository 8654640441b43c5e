//! What the operator asks of identity, and has done to it: accounts and their root keys, users'
//! access keys, the policies over accounts, and why something is allowed. The operator stands above
//! every account, so nobody's policies are asked here; who may ask is the control API's affair.

mod accounts;
mod explain;
mod keys;
mod list;
mod policies;

use std::sync::Arc;

use council::CouncilDriver;
use identity::entries::EntryError;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use store::Engine;
use types::{
    AccountId, Configuration, ConfigurationEdit, ConfigurationError, ConfigurationView, Span,
};

use crate::region::Region;

pub use explain::{Access, AccessExplained};
pub use list::{AccountRow, KeyRow, Listing, PrincipalRow};
pub use policies::{OverAccount, PolicyRow};

/// How long it is waited for a majority, as when a lab has just started, and for how long between
/// two tries. Ours.
const PATIENCE: Span = Span::seconds(5);
const PAUSE: Span = Span::milliseconds(100);

/// What the operator asks of a Region.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(tag = "identity", rename_all = "snake_case")]
pub enum OperatorQuestion {
    /// Who there is: a [`Listing`].
    List {
        /// In that account alone.
        account: Option<AccountId>,
        /// How many users and roles at most.
        limit: u32,
    },
    /// Make an account.
    CreateAccount {
        /// Its number; without one it is drawn.
        account: Option<AccountId>,
    },
    /// Make an access key.
    CreateKey {
        /// Whose account.
        account: AccountId,
        /// Which user's.
        user: String,
    },
    /// Delete an access key.
    Revoke {
        /// Its id.
        key: String,
    },
    /// Wait until this Region judges by that revision of the configuration, or a later one.
    Adopted {
        /// The revision.
        revision: u64,
    },
    /// Say whether a principal may do something, and why: an [`AccessExplained`].
    Explain {
        /// What it is.
        access: Access,
    },
    /// Put a policy over an account.
    SetPolicy {
        /// The account.
        account: AccountId,
        /// The policy's name.
        name: String,
        /// Which kind it is of.
        kind: OverAccount,
        /// Its document.
        document: String,
    },
    /// Take it away.
    RemovePolicy {
        /// The account.
        account: AccountId,
        /// The policy's name.
        name: String,
        /// Which kind it is of, where there is one of each.
        kind: Option<OverAccount>,
    },
    /// The policies over accounts: a list of [`PolicyRow`].
    ListPolicies {
        /// Over that account alone.
        account: Option<AccountId>,
    },
}

impl OperatorQuestion {
    /// Does it ask for a change?
    pub fn is_change(&self) -> bool {
        match self {
            OperatorQuestion::CreateAccount { .. }
            | OperatorQuestion::CreateKey { .. }
            | OperatorQuestion::Revoke { .. }
            | OperatorQuestion::SetPolicy { .. }
            | OperatorQuestion::RemovePolicy { .. } => true,
            OperatorQuestion::List { .. }
            | OperatorQuestion::Adopted { .. }
            | OperatorQuestion::Explain { .. }
            | OperatorQuestion::ListPolicies { .. } => false,
        }
    }
}

/// Why the operator's wish isn't fulfilled.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum OperatorError {
    /// No such account.
    #[error("there is no account {0}")]
    NoSuchAccount(AccountId),
    /// The account to be made is there.
    #[error("the account {0} exists already")]
    AccountExists(AccountId),
    /// No such user.
    #[error("account {account} has no user {user}")]
    NoSuchUser {
        /// The account.
        account: AccountId,
        /// The name that was asked for.
        user: String,
    },
    /// The user has as many keys as it may.
    #[error("the user {user} has two access keys already, {}", .keys.join(" and "))]
    TooManyKeys {
        /// The user.
        user: String,
        /// Their ids.
        keys: Vec<String>,
    },
    /// No such key.
    #[error("there is no access key {0}")]
    NoSuchKey(String),
    /// No such principal.
    #[error("there is no principal '{0}'")]
    NoSuchPrincipal(String),
    /// The root's keys aren't users' keys.
    #[error("{key} is a root key of account {account}")]
    RootKey {
        /// The key.
        key: String,
        /// Whose.
        account: AccountId,
    },
    /// Sessions are kept nowhere.
    #[error("{0} is the key of a session, which ends by itself")]
    Session(String),
    /// The document is no policy.
    #[error("the document is no such policy: {0}")]
    Document(String),
    /// No policy of that name is over the account.
    #[error("no policy {name} stands over account {account}")]
    NoSuchPolicy {
        /// The account.
        account: AccountId,
        /// The name that was asked for.
        name: String,
    },
    /// Two policies of that name are over the account.
    #[error("a service control policy and a resource control policy are called {0}")]
    WhichPolicy(String),
    /// Something that is kept can't be read.
    #[error("{0}")]
    Unreadable(String),
    /// An account has as many policies of that kind as it may.
    #[error("account {account} has {most} policies of that kind already, which is the most")]
    TooManyPolicies {
        /// The account.
        account: AccountId,
        /// How many it may have.
        most: usize,
    },
    /// The change is certain not to be made.
    #[error("the change was not made: {0}")]
    Configuration(ConfigurationError),
    /// The change may have been made, or be made yet.
    #[error("it isn't known whether the change was made ({cause}): {change}")]
    Undecided {
        /// Why it isn't known.
        cause: ConfigurationError,
        /// What changes if it was, with the names to look for.
        change: String,
    },
}

impl OperatorError {
    /// Is it what was asked that is wrong, rather than what is there?
    pub fn is_wrong_use(&self) -> bool {
        matches!(
            self,
            OperatorError::Document(_)
                | OperatorError::NoSuchPrincipal(_)
                | OperatorError::WhichPolicy(_)
                | OperatorError::Session(_)
                | OperatorError::RootKey { .. }
        )
    }

    /// What to do next, where there is something.
    pub fn next(&self) -> Option<&'static str> {
        Some(match self {
            OperatorError::NoSuchAccount(_) | OperatorError::NoSuchKey(_) => {
                "`causeway identity list` shows what there is"
            }
            OperatorError::NoSuchUser { .. } => {
                "`aws iam create-user --user-name NAME` makes one, as the account's root"
            }
            OperatorError::NoSuchPrincipal(_) => {
                "name user/NAME, role/NAME or root of --account, or the ARN of one"
            }
            OperatorError::TooManyKeys { .. } => "end one with `causeway identity revoke KEY_ID`",
            OperatorError::RootKey { .. } => "root keys can't be revoked yet",
            OperatorError::Session(_) => {
                "to end sessions sooner, deny what is older by aws:TokenIssueTime in a policy of \
                 their user or role"
            }
            OperatorError::NoSuchPolicy { .. } => "`causeway identity policy list` shows them",
            OperatorError::WhichPolicy(_) => "say --service-control or --resource-control",
            OperatorError::TooManyPolicies { .. } => {
                "take one away with `causeway identity policy remove`"
            }
            OperatorError::Configuration(ConfigurationError::NoMajority) => {
                "`causeway status` shows which sites are missing"
            }
            OperatorError::Undecided { .. } => {
                "look with `causeway identity list`, or `causeway identity policy list` for a \
                 policy, once `causeway status` shows a majority; a key that nobody saw is ended \
                 with `causeway identity revoke`"
            }
            _ => return None,
        })
    }
}

impl From<ConfigurationError> for OperatorError {
    fn from(cause: ConfigurationError) -> OperatorError {
        match cause {
            // The proposal is under way: a majority may still decide for it.
            ConfigurationError::TimedOut | ConfigurationError::Stopped => {
                let change = "it may yet be".to_owned();
                OperatorError::Undecided { cause, change }
            }
            certain => OperatorError::Configuration(certain),
        }
    }
}

impl OperatorError {
    /// The same, and where it isn't known what became of a change, what that was.
    fn of(self, change: impl FnOnce() -> String) -> OperatorError {
        match self {
            OperatorError::Undecided { cause, .. } => OperatorError::Undecided {
                cause,
                change: change(),
            },
            certain => certain,
        }
    }
}

impl From<EntryError> for OperatorError {
    fn from(error: EntryError) -> OperatorError {
        OperatorError::Unreadable(error.to_string())
    }
}

/// What a change amounts to: the edits, and what is said of them once they are made.
type Draft<T> = Result<(Vec<ConfigurationEdit>, T), OperatorError>;

impl<E: Engine> Region<E> {
    /// Answers the operator, in JSON.
    ///
    /// # Errors
    ///
    /// [`OperatorError`].
    pub async fn operate(&self, question: &OperatorQuestion) -> Result<Value, OperatorError> {
        match question {
            OperatorQuestion::List { account, limit } => to_json(&self.list(*account, *limit)?),
            OperatorQuestion::CreateAccount { account } => self.create_account(*account).await,
            OperatorQuestion::CreateKey { account, user } => self.create_key(*account, user).await,
            OperatorQuestion::Revoke { key } => self.revoke(key).await,
            OperatorQuestion::Adopted { revision } => {
                self.standing.adopted(*revision).await;
                Ok(Value::Null)
            }
            OperatorQuestion::Explain { access } => to_json(&self.explain_access(access)?),
            OperatorQuestion::SetPolicy {
                account,
                name,
                kind,
                document,
            } => self.set_policy(*account, name, *kind, document).await,
            OperatorQuestion::RemovePolicy {
                account,
                name,
                kind,
            } => self.remove_policy(*account, name, *kind).await,
            OperatorQuestion::ListPolicies { account } => to_json(&self.policies(*account)?),
        }
    }

    /// The configuration as this Region knows it now.
    fn view(&self) -> Arc<dyn ConfigurationView> {
        let council: &CouncilDriver<E> = &self.council;
        Configuration::view(council)
    }

    /// Has the edits made that `attempt` asks for on a view; on a fresh one when others' changes
    /// came first. Gives what it said beside them, and the revision that made them.
    async fn change<T>(
        &self,
        mut attempt: impl FnMut(&dyn ConfigurationView) -> Draft<T>,
    ) -> Result<(T, u64), OperatorError> {
        let council: &CouncilDriver<E> = &self.council;
        let begun = self.environment.now().monotonic;
        loop {
            let made = types::propose(council, OperatorError::from, &mut attempt).await;
            let error = match made {
                Ok((outcome, revision)) => {
                    let revision = revision.unwrap_or_else(|| self.view().revision());
                    self.standing.adopted(revision).await;
                    return Ok((outcome, revision));
                }
                Err(error) => error,
            };
            let now = self.environment.now().monotonic;
            let passing = matches!(
                error,
                OperatorError::Configuration(
                    ConfigurationError::NoMajority | ConfigurationError::Busy
                )
            );
            if !passing || now - begun >= PATIENCE {
                return Err(error);
            }
            self.environment.sleep_until(now + PAUSE).await;
        }
    }
}

fn to_json(value: &impl Serialize) -> Result<Value, OperatorError> {
    serde_json::to_value(value).map_err(|cause| OperatorError::Unreadable(cause.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_certain_is_said_not_to_be_made() {
        let told = |cause: ConfigurationError| {
            OperatorError::from(cause).of(|| "access key AKIAX of alice".to_owned())
        };
        for cause in [ConfigurationError::TimedOut, ConfigurationError::Stopped] {
            let error = told(cause);
            let text = error.to_string();
            assert!(text.starts_with("it isn't known whether"), "{text}");
            assert!(text.ends_with("access key AKIAX of alice"), "{text}");
            assert!(error.next().unwrap().contains("identity list"));
            assert!(!error.is_wrong_use());
        }
        for cause in [ConfigurationError::NoMajority, ConfigurationError::Full] {
            let text = told(cause).to_string();
            assert!(text.starts_with("the change was not made"), "{text}");
        }
    }
}

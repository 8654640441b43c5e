//! Who a verified signature stands for. It says who calls, not what they may do.

use std::fmt;
use std::sync::Arc;

use aws::signature::{KeyRefusal, Verified};
use types::{AccountId, Timestamp};

use crate::Identity;
use crate::holder::{Held, Holder, HolderKind};
use crate::keys::Owner;
use crate::session::{Content, SessionKind};

/// Who made a request.
#[derive(Clone)]
pub struct Caller {
    pub(crate) account: AccountId,
    pub(crate) principal: Principal,
    pub(crate) arn: String,
    /// Of a session the ARN of its role; else the same as `arn`.
    pub(crate) principal_arn: String,
    pub(crate) user_id: String,
    pub(crate) access_key_id: String,
    /// Whose policies hold; none of the root.
    pub(crate) holder: Option<Arc<Holder>>,
    /// What limits it, if its credentials are temporary.
    pub(crate) session: Option<Arc<crate::session::Session>>,
    /// The policies that were given with that session; `None`: none were.
    pub(crate) limits: Option<Arc<[Held]>>,
}

/// The kinds of callers.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Principal {
    /// The account itself.
    Root,
    /// A user, by its name.
    User(String),
    /// A session of a role.
    Role {
        /// The role's name.
        role: String,
        /// The session's.
        session: String,
    },
}

impl Caller {
    /// Its account.
    pub fn account(&self) -> AccountId {
        self.account
    }

    /// What kind of caller it is.
    pub fn principal(&self) -> &Principal {
        &self.principal
    }

    /// The name under which policies and logs know it: `arn:aws:iam::111122223333:user/alice`,
    /// `arn:aws:sts::111122223333:assumed-role/Admin/alice`, `arn:aws:iam::111122223333:root`.
    pub fn arn(&self) -> &str {
        &self.arn
    }

    /// As `GetCallerIdentity` has it: the user's id, the role's and the session's name, or the
    /// account.
    pub fn user_id(&self) -> &str {
        &self.user_id
    }

    /// The id of the access key that signed.
    pub fn access_key_id(&self) -> &str {
        &self.access_key_id
    }

    /// The name of the user that calls, also by credentials of GetSessionToken.
    pub fn user_name(&self) -> Option<&str> {
        match &self.principal {
            Principal::User(name) => Some(name),
            _ => None,
        }
    }

    /// Are its credentials temporary?
    pub fn is_temporary(&self) -> bool {
        self.session.is_some()
    }

    /// What its token says, if its credentials are temporary.
    pub(crate) fn session(&self) -> Option<&Content> {
        self.session.as_deref().map(|session| &session.content)
    }

    /// The root of an account, without a key: as whom something is explained.
    pub(crate) fn root(account: AccountId) -> Caller {
        let arn = format!("arn:aws:iam::{account}:root");
        Caller {
            account,
            principal: Principal::Root,
            principal_arn: arn.clone(),
            arn,
            user_id: account.to_string(),
            access_key_id: String::new(),
            holder: None,
            session: None,
            limits: None,
        }
    }

    /// A user.
    pub(crate) fn user(account: AccountId, holder: Arc<Holder>) -> Caller {
        Caller {
            account,
            principal: Principal::User(holder.name.clone()),
            arn: holder.arn.clone(),
            principal_arn: holder.arn.clone(),
            user_id: holder.id.clone(),
            access_key_id: String::new(),
            holder: Some(holder),
            session: None,
            limits: None,
        }
    }

    /// A session of that name of a role.
    pub(crate) fn role(account: AccountId, holder: Arc<Holder>, session: &str) -> Caller {
        let role = &holder.name;
        Caller {
            account,
            principal: Principal::Role {
                role: role.clone(),
                session: session.to_owned(),
            },
            arn: format!("arn:aws:sts::{account}:assumed-role/{role}/{session}"),
            principal_arn: holder.arn.clone(),
            user_id: format!("{}:{session}", holder.id),
            access_key_id: String::new(),
            holder: Some(holder),
            session: None,
            limits: None,
        }
    }
}

impl fmt::Debug for Caller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Caller({}, by {})", self.arn, self.access_key_id)
    }
}

impl Identity {
    /// Whom a verified signature stands for.
    ///
    /// # Errors
    ///
    /// The key is no longer accepted, its session has ended, or its user or role is gone or
    /// another one by now.
    pub fn caller(&self, verified: &Verified, now: Timestamp) -> Result<Caller, KeyRefusal> {
        let key = &verified.access_key_id;
        let token = verified.session_token.as_deref();
        let caller = match self.owner(key, token, now)? {
            Owner::Root(account) => Caller::root(account),
            Owner::User(opened) => {
                let holder = self.holder(HolderKind::User, opened.account, &opened.user);
                Caller::user(opened.account, holder.ok_or(KeyRefusal::Unknown)?)
            }
            Owner::Session(session) => {
                let content = &session.content;
                let caller = self.in_session(content).ok_or(KeyRefusal::Unknown)?;
                Caller {
                    limits: self.limits(content),
                    session: Some(session),
                    ..caller
                }
            }
        };
        Ok(Caller {
            access_key_id: key.clone(),
            ..caller
        })
    }

    /// The user or role of a session, if it is still the same one.
    fn in_session(&self, content: &Content) -> Option<Caller> {
        let account = content.account;
        let same = |kind| {
            let holder = self.holder(kind, account, &content.name);
            holder.filter(|holder| holder.id == content.id)
        };
        match content.kind {
            SessionKind::Root => self.accounts.has(account).then(|| Caller::root(account)),
            SessionKind::User => Some(Caller::user(account, same(HolderKind::User)?)),
            SessionKind::Role => {
                let holder = same(HolderKind::Role)?;
                Some(Caller::role(account, holder, &content.session))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use aws::signature::{
        Expected, KeyLookup, Rules, SignatureError, Target, Verified, Verifier, sign,
    };
    use zeroize::Zeroizing;

    use super::*;
    use crate::{RootKey, RootKeys};

    const NOW: Timestamp = Timestamp(1_440_938_160_000);

    fn verify(key: &RootKey, identity: &Identity) -> Result<Verified, SignatureError> {
        let region = "us-east-1".parse().unwrap();
        let rules = Rules::JSON;
        let service = "dynamodb";
        let request = http::Request::post("http://127.0.0.1:4566/").body(());
        let (mut parts, ()) = request.unwrap().into_parts();
        let target = Target {
            service,
            region,
            rules,
        };
        sign(&mut parts, b"{}", &key.credentials(), &target, NOW).unwrap();
        let expected = Expected {
            service,
            regions: &[region],
            rules,
        };
        let keys = identity.keys(NOW);
        Verifier::new().verify(&parts, b"{}", &expected, NOW, &keys)
    }

    #[test]
    fn a_root_key_signs_and_is_the_account_s_root_until_retired() {
        let [old, new] = [1, 2].map(|byte| RootKey::generate(&Zeroizing::new([byte; 40])));
        let keys = RootKeys::new(old.clone()).rotate(new.clone());
        let identity = Identity::new(AccountId::LAB, keys.clone());
        for key in [&old, &new] {
            let verified = verify(key, &identity).unwrap();
            let caller = identity.caller(&verified, NOW).unwrap();
            assert_eq!(caller.arn(), "arn:aws:iam::111122223333:root");
            assert_eq!(caller.account(), AccountId::LAB);
            assert_eq!(caller.principal(), &Principal::Root);
            assert_eq!(caller.access_key_id(), key.access_key_id());
        }
        let verified = verify(&old, &identity).unwrap();
        let retired = Identity::new(AccountId::LAB, keys.retire());
        assert!(retired.caller(&verified, NOW).is_err());
        assert_eq!(verify(&old, &retired), Err(SignatureError::UnknownKey));
        assert!(verify(&new, &retired).is_ok());
    }

    #[test]
    fn a_root_key_with_a_session_token_is_nobody_s() {
        let key = RootKey::generate(&Zeroizing::new([1; 40]));
        let identity = Identity::new(AccountId::LAB, RootKeys::new(key.clone()));
        let keys = identity.keys(NOW);
        assert!(keys.secret(key.access_key_id(), None).is_ok());
        assert!(keys.secret(key.access_key_id(), Some("")).is_err());
        assert!(keys.secret("AKIAOTHER", None).is_err());
    }
}

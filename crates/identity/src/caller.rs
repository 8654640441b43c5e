//! Who a verified signature stands for. It says who calls, not what they may do: the root may
//! do everything.

use aws::signature::{KeyLookup, KeyRefusal, SecretKey, Verified};

use crate::RootKeys;

/// Everyone whose signature is accepted. An immutable value: a change of keys makes a new one
/// that is put in its place whole.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Identity {
    account: String,
    root_keys: RootKeys,
}

/// Who made a request.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Caller {
    /// The account's number, 12 digits.
    pub account: String,
    /// The name under which policies and logs know the caller.
    pub arn: String,
    /// What kind of caller it is.
    pub principal: Principal,
}

/// The kinds of callers. IAM's users, roles and sessions will stand beside the root.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Principal {
    /// The account itself, by one of the deployment's root keys.
    Root,
}

impl Identity {
    /// The identity of an account that has these root keys.
    pub fn new(account: impl Into<String>, root_keys: RootKeys) -> Identity {
        Identity {
            account: account.into(),
            root_keys,
        }
    }

    /// The root keys that are accepted.
    pub fn root_keys(&self) -> &RootKeys {
        &self.root_keys
    }

    /// Whom a verified signature stands for; `None` if its key is no longer accepted, which is
    /// to be answered as an unknown key is.
    pub fn caller(&self, verified: &Verified) -> Option<Caller> {
        self.secret(
            &verified.scope.access_key_id,
            verified.session_token.as_deref(),
        )
        .ok()?;
        Some(Caller {
            account: self.account.clone(),
            arn: format!("arn:aws:iam::{}:root", self.account),
            principal: Principal::Root,
        })
    }
}

impl KeyLookup for Identity {
    fn secret(
        &self,
        access_key_id: &str,
        session_token: Option<&str>,
    ) -> Result<SecretKey, KeyRefusal> {
        // A root key has no session: a token beside it is of nobody.
        if session_token.is_some() {
            return Err(KeyRefusal::Unknown);
        }
        let known = self.root_keys.secret(access_key_id).cloned();
        known.ok_or(KeyRefusal::Unknown)
    }
}

#[cfg(test)]
mod tests {
    use aws::signature::{Expected, Rules, SignatureError, Target, Verifier, sign};
    use types::{LAB_ACCOUNT, Timestamp};
    use zeroize::Zeroizing;

    use super::*;
    use crate::RootKey;

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
        Verifier::new().verify(&parts, b"{}", &expected, NOW, identity)
    }

    #[test]
    fn a_root_key_signs_and_is_the_account_s_root_until_retired() {
        let [old, new] = [1, 2].map(|byte| RootKey::generate(&Zeroizing::new([byte; 40])));
        let keys = RootKeys::new(old.clone()).rotate(new.clone());
        let identity = Identity::new(LAB_ACCOUNT, keys.clone());
        for key in [&old, &new] {
            let caller = identity.caller(&verify(key, &identity).unwrap()).unwrap();
            assert_eq!(caller.arn, "arn:aws:iam::111122223333:root");
            assert_eq!(caller.account, "111122223333");
            assert_eq!(caller.principal, Principal::Root);
        }
        let verified = verify(&old, &identity).unwrap();
        let retired = Identity::new(LAB_ACCOUNT, keys.retire());
        assert_eq!(retired.caller(&verified), None);
        assert_eq!(verify(&old, &retired), Err(SignatureError::UnknownKey));
        assert!(verify(&new, &retired).is_ok());
    }

    #[test]
    fn a_root_key_with_a_session_token_is_nobody_s() {
        let key = RootKey::generate(&Zeroizing::new([1; 40]));
        let identity = Identity::new(LAB_ACCOUNT, RootKeys::new(key.clone()));
        assert!(identity.secret(key.access_key_id(), None).is_ok());
        assert!(identity.secret(key.access_key_id(), Some("")).is_err());
        assert!(identity.secret("AKIAOTHER", None).is_err());
    }
}

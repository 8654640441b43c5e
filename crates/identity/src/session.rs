//! Sessions: temporary credentials that nobody stores. All that a session is stands in its token,
//! sealed with the operator's key for the session's own access key, so every Region can verify it,
//! cut off or not. Whether its user or role still exists is not for the token to say.

use std::collections::BTreeSet;

use aws::signature::SecretKey;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use types::{AccountId, Timestamp};
use zeroize::Zeroizing;

use crate::model::{Document, Milliseconds, Tags};
use crate::root_key::{bytes_of, digits};
use crate::sealer::NONCE_BYTES;
use crate::{Purpose, SealError, Sealer};

/// What AWS starts the id of a session's access key with.
pub(crate) const ID_PREFIX: &str = "ASIA";

/// The longest token that is looked at, in characters. One that is given out is shorter: what is
/// packed into it is bounded where sessions are made.
pub(crate) const MAX_TOKEN: usize = 16 * 1024;

/// How many random bytes make a session's key: 5 for its id, 30 for its secret.
pub(crate) const KEY_BYTES: usize = 35;

/// Whose session it is.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) enum SessionKind {
    /// A role's, by AssumeRole.
    Role,
    /// A user's, by GetSessionToken.
    User,
    /// The account's root's, by GetSessionToken.
    Root,
}

/// A session.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Session {
    /// What stands in the token beside the secret.
    pub(crate) content: Content,
    /// What it signs with.
    pub(crate) secret: SecretKey,
}

/// What a token says of its session.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Content {
    pub(crate) kind: SessionKind,
    /// The account of its user or role.
    pub(crate) account: AccountId,
    /// The name of its user or role; empty for the root.
    pub(crate) name: String,
    /// Its user's or role's unique id: who takes over the name doesn't take over the session.
    pub(crate) id: String,
    /// The session's name; empty but for roles.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(crate) session: String,
    /// The policy document that limits it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) policy: Option<Document>,
    /// ARNs of managed policies that limit it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) policy_arns: Vec<String>,
    /// Its tags, those included that it inherited.
    #[serde(default, skip_serializing_if = "Tags::is_empty")]
    pub(crate) tags: Tags,
    /// The keys of those tags, in lower case, that sessions assumed from it inherit.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub(crate) transitive: BTreeSet<String>,
    /// Who is behind it; once set it stays through all sessions assumed from it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) source_identity: Option<String>,
    pub(crate) issued: Milliseconds,
    pub(crate) expires: Milliseconds,
}

/// The plaintext of a token.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Plain<'a> {
    #[serde(borrow)]
    secret: &'a str,
    content: Content,
}

impl Content {
    /// Has it ended? A session is good until the moment that its credentials name.
    pub(crate) fn is_over(&self, now: Timestamp) -> bool {
        now.0 >= self.expires
    }
}

impl Session {
    /// The id of a new session's access key: the account's number and random bits, so that the
    /// account can be told from the id alone. And its secret.
    pub(crate) fn key(
        account: AccountId,
        random: &Zeroizing<[u8; KEY_BYTES]>,
    ) -> (String, SecretKey) {
        let number: u64 = account.to_string().parse().expect("an account is digits");
        let (id, secret) = random.split_at(5);
        let bits = [&number.to_be_bytes()[3..], id].concat();
        let secret = SecretKey::new(STANDARD.encode(secret));
        (format!("{ID_PREFIX}{}", digits(&bits)), secret)
    }

    /// The account that a session's access key is of, by its id.
    pub(crate) fn account_of(access_key_id: &str) -> Option<AccountId> {
        let bytes = bytes_of(access_key_id.strip_prefix(ID_PREFIX)?)?;
        let number: [u8; 5] = bytes.get(..5)?.try_into().ok()?;
        let number = number
            .iter()
            .fold(0u64, |sum, byte| sum << 8 | u64::from(*byte));
        format!("{number:012}").parse().ok()
    }

    /// The token, sealed for that access key with a nonce that was drawn for it alone.
    pub(crate) fn seal(
        &self,
        sealer: &Sealer,
        access_key_id: &str,
        nonce: &[u8; NONCE_BYTES],
    ) -> String {
        let plain = Plain {
            secret: self.secret.expose(),
            content: self.content.clone(),
        };
        // Room for all of it: growing would leave copies of the secret behind.
        let mut bytes = Zeroizing::new(Vec::with_capacity(MAX_TOKEN));
        serde_json::to_writer(&mut *bytes, &plain).expect("the model has string keys only");
        STANDARD.encode(sealer.seal(Purpose::Session, access_key_id, &bytes, nonce))
    }

    /// The session of a token, if it was sealed for that access key. It may be over.
    ///
    /// # Errors
    ///
    /// It is no token of ours, or another key's.
    pub(crate) fn open(
        sealer: &Sealer,
        access_key_id: &str,
        token: &str,
    ) -> Result<Session, SealError> {
        if token.len() > MAX_TOKEN || !access_key_id.starts_with(ID_PREFIX) {
            return Err(SealError::Damaged);
        }
        let sealed = STANDARD.decode(token).map_err(|_| SealError::Damaged)?;
        let bytes = sealer.open(Purpose::Session, access_key_id, &sealed)?;
        let plain: Plain<'_> = serde_json::from_slice(&bytes).map_err(|_| SealError::Damaged)?;
        Ok(Session {
            secret: SecretKey::new(plain.secret.to_owned()),
            content: plain.content,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn session() -> Session {
        let random = Zeroizing::new([9; KEY_BYTES]);
        Session {
            content: Content {
                kind: SessionKind::Role,
                account: AccountId::LAB,
                name: "Admin".to_owned(),
                id: "AROAEXAMPLE".to_owned(),
                session: "alice".to_owned(),
                policy: Some("{}".into()),
                policy_arns: vec!["arn:aws:iam::111122223333:policy/p".to_owned()],
                tags: Tags::from([("Team".to_owned(), "a".to_owned())]),
                transitive: BTreeSet::from(["team".to_owned()]),
                source_identity: Some("bob".to_owned()),
                issued: 1_000,
                expires: 2_000,
            },
            secret: Session::key(AccountId::LAB, &random).1,
        }
    }

    #[test]
    fn a_token_carries_its_session_for_its_own_key_alone() {
        let sealer = Sealer::new(&Zeroizing::new([1; 32]));
        let (id, _) = Session::key(AccountId::LAB, &Zeroizing::new([9; KEY_BYTES]));
        let token = session().seal(&sealer, &id, &[3; NONCE_BYTES]);
        assert_eq!(Session::open(&sealer, &id, &token), Ok(session()));
        let (other, _) = Session::key(AccountId::LAB, &Zeroizing::new([8; KEY_BYTES]));
        assert!(Session::open(&sealer, &other, &token).is_err());
        let keyless = Sealer::new(&Zeroizing::new([2; 32]));
        assert_eq!(
            Session::open(&keyless, &id, &token),
            Err(SealError::OtherKey)
        );
        for position in 0..token.len() {
            let mut changed = token.clone().into_bytes();
            changed[position] = if changed[position] == b'A' {
                b'B'
            } else {
                b'A'
            };
            let changed = String::from_utf8(changed).unwrap();
            assert!(Session::open(&sealer, &id, &changed).is_err(), "{position}");
            assert!(Session::open(&sealer, &id, &token[..position]).is_err());
        }
        assert!(Session::open(&sealer, &id, &"A".repeat(MAX_TOKEN + 4)).is_err());
    }

    #[test]
    fn the_account_is_told_from_a_session_s_key() {
        for text in ["111122223333", "000000000001", "999999999999"] {
            let account: AccountId = text.parse().unwrap();
            let (id, secret) = Session::key(account, &Zeroizing::new([255; KEY_BYTES]));
            assert_eq!((id.len(), secret.expose().len()), (20, 40));
            assert_eq!(Session::account_of(&id), Some(account));
        }
        for id in [
            "ASIA",
            "AKIAIOSFODNN7EXAMPLE",
            "ASIA7777777777777777",
            "ASIA1",
        ] {
            assert_eq!(Session::account_of(id), None, "{id}");
        }
    }

    #[test]
    fn a_session_is_over_at_the_moment_it_names() {
        let content = session().content;
        assert!(!content.is_over(Timestamp(1_999)));
        assert!(content.is_over(Timestamp(2_000)));
    }

    #[test]
    fn the_secret_is_never_printed() {
        let session = session();
        assert!(!format!("{session:?}").contains(session.secret.expose()));
    }
}

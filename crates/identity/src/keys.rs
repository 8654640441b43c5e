//! Which secret belongs to an access key, of whatever kind: the root's, a user's, a session's. A
//! key is refused that is unknown, inactive, of nobody any more, or given with another token than
//! its own. What its owner may do is not asked here.

use std::sync::Arc;

use aws::signature::{KeyLookup, KeyRefusal, SecretKey};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ring::digest::{SHA256, digest};
use types::{AccountId, Timestamp};
use zeroize::Zeroize;

use crate::entries;
use crate::identity::Directory;
use crate::model::AccessKey;
use crate::session::{ID_PREFIX, Session};
use crate::{Identity, Purpose};

/// The keys of an identity, at a time: what a signature is verified with.
#[derive(Clone, Copy)]
pub struct Keys<'a> {
    identity: &'a Identity,
    now: Timestamp,
}

/// A user's key, opened.
pub(crate) struct OpenedKey {
    pub(crate) account: AccountId,
    /// The user's name in lower case.
    pub(crate) user: String,
    pub(crate) secret: SecretKey,
}

/// Whose key it is.
pub(crate) enum Owner {
    Root(AccountId),
    User(Arc<OpenedKey>),
    Session(Arc<Session>),
}

impl KeyLookup for Keys<'_> {
    fn secret(
        &self,
        access_key_id: &str,
        session_token: Option<&str>,
    ) -> Result<SecretKey, KeyRefusal> {
        let identity = self.identity;
        // The root's own need no further look.
        if let (Some((_, secret)), None) = (identity.accounts.root(access_key_id), session_token) {
            return Ok(secret.clone());
        }
        Ok(
            match identity.owner(access_key_id, session_token, self.now)? {
                Owner::Root(_) => return Err(KeyRefusal::Unknown),
                Owner::User(key) => key.secret.clone(),
                Owner::Session(session) => session.secret.clone(),
            },
        )
    }
}

impl Identity {
    /// Its keys at that time.
    pub fn keys(&self, now: Timestamp) -> Keys<'_> {
        Keys {
            identity: self,
            now,
        }
    }

    /// The account that an access key is of, also of one that is inactive or of a session that
    /// has ended: by its id alone.
    pub(crate) fn account_of_key(&self, access_key_id: &str) -> Option<AccountId> {
        if let Some((account, _)) = self.accounts.root(access_key_id) {
            return Some(account);
        }
        if access_key_id.starts_with(ID_PREFIX) {
            let account = Session::account_of(access_key_id)?;
            return self.accounts.has(account).then_some(account);
        }
        let directory = self.directory.as_ref()?;
        let key = directory.key(access_key_id)?;
        key.account.parse().ok()
    }

    /// Whose key it is, with that token.
    pub(crate) fn owner(
        &self,
        access_key_id: &str,
        session_token: Option<&str>,
        now: Timestamp,
    ) -> Result<Owner, KeyRefusal> {
        let unknown = KeyRefusal::Unknown;
        if let Some(token) = session_token {
            let directory = self.directory.as_ref().ok_or(unknown)?;
            let session = directory.session(access_key_id, token).ok_or(unknown)?;
            if session.content.is_over(now) {
                return Err(KeyRefusal::Expired);
            }
            return Ok(Owner::Session(session));
        }
        // A session's key is nobody's without its token.
        if access_key_id.starts_with(ID_PREFIX) {
            return Err(unknown);
        }
        if let Some((account, _)) = self.accounts.root(access_key_id) {
            return Ok(Owner::Root(account));
        }
        let directory = self.directory.as_ref().ok_or(unknown)?;
        let key = directory.opened_key(access_key_id).ok_or(unknown)?;
        Ok(Owner::User(key))
    }
}

impl Directory {
    /// The entry of an access key.
    pub(crate) fn key(&self, access_key_id: &str) -> Option<AccessKey> {
        let plain = access_key_id
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric());
        let key = plain.then(|| entries::access_key_key(access_key_id))?;
        // One that can't be read was noted when it came, and is nobody's.
        let (_, key) = entries::at::<AccessKey>(&*self.view, &key).ok()??;
        Some(key)
    }

    /// A user's key that is active, and that its user has.
    fn opened_key(&self, access_key_id: &str) -> Option<Arc<OpenedKey>> {
        if let Some(known) = self.ready.keys.get(access_key_id) {
            return Some(known);
        }
        let key = self.key(access_key_id).filter(|key| key.active)?;
        let account = key.account.parse().ok()?;
        let (_, user) = entries::read::<crate::model::User>(&*self.view, account, &key.user)
            .ok()
            .flatten()?;
        if !user.keys.iter().any(|id| id == access_key_id) {
            return None;
        }
        let sealed = STANDARD.decode(&key.sealed).ok()?;
        let sealer = &self.shared.sealer;
        let secret = sealer
            .open(Purpose::AccessKey, access_key_id, &sealed)
            .ok()?;
        let secret = std::str::from_utf8(&secret).ok()?.to_owned();
        let opened = Arc::new(OpenedKey {
            account,
            user: key.user,
            secret: SecretKey::new(secret),
        });
        let keys = &self.ready.keys;
        keys.put(access_key_id.to_owned(), Arc::clone(&opened), 1);
        Some(opened)
    }

    /// The session of a token, if it is that key's. It may be over.
    fn session(&self, access_key_id: &str, token: &str) -> Option<Arc<Session>> {
        if token.len() > crate::session::MAX_TOKEN {
            return None;
        }
        let mut hash = [0; 32];
        let text = [access_key_id, " ", token].concat();
        hash.copy_from_slice(digest(&SHA256, text.as_bytes()).as_ref());
        let known = self.shared.sessions.get(&hash);
        let session = known.or_else(|| {
            let opened = Session::open(&self.shared.sealer, access_key_id, token).ok()?;
            let opened = Arc::new(opened);
            self.shared.sessions.put(hash, Arc::clone(&opened), 1);
            Some(opened)
        });
        hash.zeroize();
        session
    }
}

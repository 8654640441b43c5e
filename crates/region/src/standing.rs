//! Who may call, as this Region knows it now: the identity in effect, when it was adopted, and when
//! a majority was last heard, which is how old it may be. It decides nothing.

use std::sync::{Arc, Mutex, PoisonError, RwLock};

use event_listener::Event;
use identity::Identity;
use serde::{Deserialize, Serialize};
use types::{Monotonic, Now};

/// Faults of entries that a status repeats, at most; the others are counted.
const MAX_FAULTS: usize = 10;

/// The identity in effect.
pub(crate) struct Standing {
    identity: RwLock<Arc<Identity>>,
    adopted: Event,
    opened: Monotonic,
    /// When a majority was last heard, if one was since the Region was opened.
    heard: Mutex<Option<Monotonic>>,
}

/// Who may call, as a status tells it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct IdentityStatus {
    /// The configuration's revision by which callers are judged.
    pub revision: u64,
    /// Accounts, users and roles.
    pub principals: PrincipalCounts,
    /// Without a majority, for how many milliseconds none has been heard: changes made since are
    /// not known here. With one it is absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub age_milliseconds: Option<u64>,
    /// Was it that old before the Region started? Then it is older than the age says.
    #[serde(default)]
    pub older: bool,
    /// How many entries can't be read.
    pub unreadable: usize,
    /// What is wrong with the first of them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub faults: Vec<String>,
}

/// How many principals there are.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct PrincipalCounts {
    /// Accounts, the first among them.
    pub accounts: u64,
    /// Users of all accounts.
    pub users: u64,
    /// Roles of all accounts.
    pub roles: u64,
}

impl Standing {
    pub(crate) fn new(identity: Identity, now: Monotonic) -> Standing {
        Standing {
            identity: RwLock::new(Arc::new(identity)),
            adopted: Event::new(),
            opened: now,
            heard: Mutex::new(None),
        }
    }

    /// The identity in effect.
    pub(crate) fn identity(&self) -> Arc<Identity> {
        let identity = self.identity.read();
        Arc::clone(&identity.unwrap_or_else(PoisonError::into_inner))
    }

    /// Puts another in its place, whole.
    pub(crate) fn adopt(&self, identity: Identity) {
        let mut current = self
            .identity
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        *current = Arc::new(identity);
        drop(current);
        self.adopted.notify(usize::MAX);
    }

    /// Waits until the identity in effect is of that revision or a later one.
    pub(crate) async fn adopted(&self, revision: u64) {
        loop {
            let adopted = self.adopted.listen();
            if self.identity().revision() >= revision {
                return;
            }
            adopted.await;
        }
    }

    /// Notes that a majority is heard.
    pub(crate) fn hear(&self, now: Monotonic) {
        *self.heard.lock().unwrap_or_else(PoisonError::into_inner) = Some(now);
    }

    pub(crate) fn status(
        &self,
        principals: PrincipalCounts,
        has_majority: bool,
        now: Now,
    ) -> IdentityStatus {
        let heard = *self.heard.lock().unwrap_or_else(PoisonError::into_inner);
        let since = heard.unwrap_or(self.opened);
        let identity = self.identity();
        let faults = identity.faults().take(MAX_FAULTS);
        IdentityStatus {
            revision: identity.revision(),
            principals,
            age_milliseconds: (!has_majority).then(|| (now.monotonic - since).0 / 1000),
            older: !has_majority && heard.is_none(),
            unreadable: identity.fault_count(),
            faults: faults.map(|(key, fault)| told(key, fault)).collect(),
        }
    }
}

/// A fault with the key of its entry, which most faults name themselves.
fn told(key: &str, fault: &str) -> String {
    match fault.contains(key) {
        true => fault.to_owned(),
        false => format!("'{key}': {fault}"),
    }
}

#[cfg(test)]
mod tests {
    use identity::{RANDOM_BYTES, RootKey, RootKeys};
    use types::{AccountId, Timestamp};
    use zeroize::Zeroizing;

    use super::*;

    fn at(microseconds: u64) -> Now {
        Now {
            wall: Timestamp(0),
            monotonic: Monotonic(microseconds),
        }
    }

    fn standing() -> Standing {
        let key = RootKey::generate(&Zeroizing::new([1; RANDOM_BYTES]));
        let identity = Identity::new(AccountId::LAB, RootKeys::new(key));
        Standing::new(identity, Monotonic(1_000_000))
    }

    #[test]
    fn without_a_majority_a_status_says_how_old_it_is() {
        let standing = standing();
        let counts = PrincipalCounts::default();
        let alone = standing.status(counts, false, at(3_000_000));
        assert_eq!((alone.age_milliseconds, alone.older), (Some(2_000), true));
        standing.hear(Monotonic(4_000_000));
        let heard = standing.status(counts, true, at(4_500_000));
        assert_eq!((heard.age_milliseconds, heard.older), (None, false));
        let cut = standing.status(counts, false, at(46_000_000));
        assert_eq!((cut.age_milliseconds, cut.older), (Some(42_000), false));
    }

    #[test]
    fn a_fault_names_its_entry_once() {
        assert_eq!(
            told("identity/a", "'identity/a' is malformed"),
            "'identity/a' is malformed"
        );
        assert_eq!(told("identity/a", "damaged"), "'identity/a': damaged");
    }
}

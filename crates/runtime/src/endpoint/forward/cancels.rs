//! Requests to cancel: they come by connections of their own, with the key of the session's own
//! server. What is under way at the writer has another key, which its session knows.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

/// What a CancelRequest names a session by: its process and its key.
pub(super) type Key = [u8; 8];

/// The sessions of an endpoint that may have something to cancel elsewhere.
#[derive(Default)]
pub(in crate::endpoint) struct Cancels(Mutex<BTreeMap<Key, Arc<Notify>>>);

/// A session that is among them until this is dropped.
pub(super) struct Registered<'a> {
    cancels: &'a Cancels,
    key: Key,
}

impl Cancels {
    /// Has the session that a request names cancel what it is about, if it is known.
    pub(in crate::endpoint) fn cancel(&self, packet: &[u8]) {
        let key = packet.last_chunk().copied().unwrap_or_default();
        if let Some(session) = self.lock().get(&key) {
            session.notify_one();
        }
    }

    /// A session of that key, which is told by that bell.
    pub(super) fn register(&self, key: Key, bell: Arc<Notify>) -> Registered<'_> {
        self.lock().insert(key, bell);
        Registered { cancels: self, key }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<Key, Arc<Notify>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Registered<'_> {
    fn drop(&mut self) {
        self.cancels.lock().remove(&self.key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn only_the_session_that_is_named_is_told() {
        let cancels = Cancels::default();
        let bells = [Arc::new(Notify::new()), Arc::new(Notify::new())];
        let registered = cancels.register([1; 8], bells[0].clone());
        let _other = cancels.register([2; 8], bells[1].clone());
        let packet = |key: Key| [&[0, 0, 0, 16, 4, 210, 22, 46][..], &key].concat();
        cancels.cancel(&packet([1; 8]));
        bells[0].notified().await;
        cancels.cancel(&packet([3; 8]));
        drop(registered);
        cancels.cancel(&packet([1; 8]));
        for bell in bells {
            let told = tokio::time::timeout(std::time::Duration::ZERO, bell.notified());
            assert!(told.await.is_err());
        }
    }
}

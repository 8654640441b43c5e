//! What is under way of each blob's writing, so that its removal can come after it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use event_listener::Event;

use crate::blob::BlobId;

/// The blobs of which something is being written now, and how many requests that are.
#[derive(Default)]
pub(super) struct Flights {
    under_way: Mutex<BTreeMap<BlobId, usize>>,
    ended: Event,
}

/// A request that writes something of a blob; over when it is dropped.
pub(super) struct Flight {
    flights: Arc<Flights>,
    id: BlobId,
}

impl Flights {
    /// Something of the blob is about to be written.
    pub(super) fn begin(self: &Arc<Self>, id: BlobId) -> Flight {
        let mut under_way = self.under_way.lock().expect("nothing panics here");
        *under_way.entry(id).or_default() += 1;
        Flight {
            flights: Arc::clone(self),
            id,
        }
    }

    /// Waits until nothing of the blob is being written. Requests have limits of time, so that it
    /// comes to an end.
    pub(super) async fn landed(&self, id: BlobId) {
        loop {
            let ended = self.ended.listen();
            if !self.is_under_way(id) {
                return;
            }
            ended.await;
        }
    }

    fn is_under_way(&self, id: BlobId) -> bool {
        let under_way = self.under_way.lock().expect("nothing panics here");
        under_way.contains_key(&id)
    }
}

impl Drop for Flight {
    fn drop(&mut self) {
        let mut under_way = self.flights.under_way.lock().expect("nothing panics here");
        if let Some(requests) = under_way.get_mut(&self.id) {
            *requests -= 1;
            if *requests == 0 {
                under_way.remove(&self.id);
            }
        }
        drop(under_way);
        self.flights.ended.notify(usize::MAX);
    }
}

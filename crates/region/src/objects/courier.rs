//! Carries what Regions say to each other about objects: a task for each direction of each peer.
//! What is said, in which order, and what becomes of it is `objects::replication`'s affair; what is
//! lost on the way it says again once it is told that the link is a new one.

use std::collections::VecDeque;
use std::pin::pin;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use event_listener::{Event, EventListener};
use futures_util::future::{Either, select};
use futures_util::stream::{FuturesUnordered, StreamExt};
use link::{Lane, Plain, PortError, QUEUE_BYTES, Receipt, SendError, Service};
use objects::replication::Outgoing;
use store::Engine;

use crate::peer::Peer;
use crate::region::{OBJECTS, Region};

/// How much may wait in the lane's queue when a further message is made. Little, so that an answer
/// or a new object's offer never waits long behind the pieces of large ones.
const QUEUED: usize = 1 << 20;

/// Messages of a peer that are worked on at once. Their bytes are bounded by the link's window:
/// it opens again as they are done with.
const MAX_WORK: usize = 1024;

/// What arrived from a peer and isn't worked on yet; bounded by the credit that receipts hold.
#[derive(Default)]
pub(crate) struct ObjectsInbox {
    messages: Mutex<VecDeque<(Bytes, Receipt)>>,
    arrived: Event,
}

impl ObjectsInbox {
    /// A message arrived.
    pub(crate) fn push(&self, payload: Bytes, receipt: Receipt) {
        let mut messages = self.messages.lock().expect("nothing panics inside");
        messages.push_back((payload, receipt));
        drop(messages);
        self.arrived.notify(usize::MAX);
    }

    fn pop(&self) -> Option<(Bytes, Receipt)> {
        let mut messages = self.messages.lock().expect("nothing panics inside");
        messages.pop_front()
    }

    fn listen(&self) -> EventListener {
        self.arrived.listen()
    }
}

impl<E: Engine> Region<E> {
    /// Sends what there is to say to a peer about objects, as the link takes it.
    pub(crate) async fn ship_objects(self: Arc<Self>, peer: Arc<Peer>) {
        loop {
            self.until_room(&peer).await;
            let outgoing = self.objects.next_message(peer.site.id).await;
            self.send_object(&peer, outgoing).await;
        }
    }

    /// Waits until there is a connection, and little waits in the lane's queue.
    async fn until_room(&self, peer: &Peer) {
        loop {
            let bell = peer.port.site_bell();
            let is_connected = peer.port.is_connected(Lane::Objects);
            if is_connected && peer.port.has_room(Lane::Objects, QUEUE_BYTES - QUEUED) {
                return;
            }
            bell.await;
        }
    }

    async fn send_object(&self, peer: &Peer, outgoing: Outgoing) {
        let Outgoing {
            payload,
            resource,
            records,
        } = outgoing;
        loop {
            let bell = peer.port.site_bell();
            let (to, payload) = (peer.site.name, payload.clone());
            let plain = Plain::new(to, Lane::Objects, Service(OBJECTS), &*resource, payload);
            let plain = plain.expect("a message and a bucket's name are short");
            let now = self.environment.now().monotonic;
            let plain = plain.with_records(records);
            match peer.port.send(now, &self.admission, plain) {
                Ok(()) => return,
                Err(PortError::Send(SendError::Full(_))) => bell.await,
                Err(error) => {
                    // It is said again once the link is a new one.
                    tracing::debug!(peer = %peer.site.name, %error, "a message of objects is lost");
                    return;
                }
            }
        }
    }

    /// Works on what a peer says about objects: in the order in which it came, many at once.
    pub(crate) async fn receive_objects(self: Arc<Self>, peer: Arc<Peer>) {
        let mut work = FuturesUnordered::new();
        loop {
            let arrived = peer.objects.listen();
            while work.len() < MAX_WORK
                && let Some((payload, receipt)) = peer.objects.pop()
            {
                match self.objects.receive(peer.site.id, payload) {
                    Ok(task) => work.push(async move {
                        task.await;
                        receipt
                    }),
                    Err(error) => {
                        tracing::warn!(peer = %peer.site.name, %error, "a message was refused");
                        self.refused(&peer);
                        self.consumed(&peer, receipt);
                    }
                }
            }
            if work.is_empty() {
                arrived.await;
                continue;
            }
            let ended = match work.len() < MAX_WORK {
                true => match select(pin!(work.next()), arrived).await {
                    Either::Left((ended, _)) => ended,
                    Either::Right(_) => None,
                },
                false => work.next().await,
            };
            if let Some(receipt) = ended {
                self.consumed(&peer, receipt);
            }
        }
    }

    fn refused(&self, peer: &Peer) {
        let mut measures = peer.measures.lock().expect("nothing panics inside");
        measures.refused_messages += 1;
    }

    fn consumed(&self, peer: &Peer, receipt: Receipt) {
        let now = self.environment.now().monotonic;
        peer.port.consumed(now, receipt);
    }
}

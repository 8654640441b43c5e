//! What is kept of one peer: the link's port, where it listens, and the connections open now.
//! Its task carries out what the link wants done and wakes the connections when time has come.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use link::{Action, CloseReason, ConnectionId, ConnectionRefused, Port, Session};
use tokio::sync::{Notify, oneshot};
use tokio::task::JoinSet;
use types::{Environment, SiteName};

use super::{Shared, dial};

pub(super) struct Peer {
    pub(super) port: Arc<Port>,
    pub(super) address: SocketAddr,
    /// Rings when the link's time has come: something may be due on any connection.
    pub(super) due: Notify,
    open: Mutex<BTreeMap<ConnectionId, oneshot::Sender<CloseReason>>>,
}

/// A connection the link has taken.
pub(super) struct Connected {
    pub(super) id: ConnectionId,
    /// Says when the link gives it up.
    pub(super) closed: oneshot::Receiver<CloseReason>,
}

impl Peer {
    pub(super) fn new(port: Arc<Port>, address: SocketAddr) -> Peer {
        Peer {
            port,
            address,
            due: Notify::new(),
            open: Mutex::new(BTreeMap::new()),
        }
    }

    pub(super) fn site(&self) -> SiteName {
        self.port.peer()
    }

    /// Gives the link a connection whose handshake is done.
    pub(super) fn connected(
        &self,
        environment: &dyn Environment,
        session: Session,
    ) -> Result<Connected, ConnectionRefused> {
        // Held over both steps: the link may want a connection closed as soon as it knows it.
        let mut open = self.open();
        let id = self.port.connected(environment.now().monotonic, session)?;
        let (close, closed) = oneshot::channel();
        open.insert(id, close);
        Ok(Connected { id, closed })
    }

    /// The connection is over at this end.
    pub(super) fn disconnected(&self, environment: &dyn Environment, id: ConnectionId) {
        self.open().remove(&id);
        self.port.disconnected(environment.now().monotonic, id);
    }

    fn close(&self, id: ConnectionId, reason: CloseReason) {
        if let Some(close) = self.open().remove(&id) {
            // Its task may have just ended by itself.
            close.send(reason).ok();
        }
    }

    fn open(&self) -> MutexGuard<'_, BTreeMap<ConnectionId, oneshot::Sender<CloseReason>>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Does what the link wants until the task is ended from outside.
pub(super) async fn run(shared: Arc<Shared>, peer: Arc<Peer>) {
    // Ends its connections with itself.
    let mut connections = JoinSet::new();
    loop {
        let bell = peer.port.driver_bell();
        while let Some(action) = peer.port.next_action(shared.environment.now().monotonic) {
            match action {
                Action::Dial(class) => {
                    connections.spawn(dial::run(Arc::clone(&shared), Arc::clone(&peer), class));
                }
                Action::Close { connection, reason } => {
                    tracing::debug!(peer = %peer.site(), ?reason, "the link closes a connection");
                    peer.close(connection, reason);
                }
            }
        }
        peer.due.notify_waiters();
        while connections.try_join_next().is_some() {}
        match peer.port.next_wake() {
            Some(at) => tokio::select! {
                () = bell => {}
                () = shared.environment.sleep_until(at) => {}
            },
            None => bell.await,
        }
    }
}

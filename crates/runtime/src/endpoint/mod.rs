//! The address that a database's clients connect to: a proxy before the socket of its server.
//!
//! It reads how a connection begins, refuses what nobody may ask for from outside, and moves bytes
//! from then on without looking at one. Which server stands behind it, if any, is asked of its
//! directory for each new connection; passwords are the server's affair.

mod connection;
mod counters;
mod relay;
mod startup;
mod tls;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;

use crate::http::{ListenError, listen};
use connection::Shared;
use counters::Counters;

pub use counters::EndpointCounts;
pub use tls::EndpointTls;

/// How long accepting rests when the process has no file descriptor left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Says which server stands behind an endpoint.
pub trait EndpointDirectory: Send + Sync + 'static {
    /// Where a connection that begins now goes. Asked for each; must not block.
    fn backend(&self) -> Backend;

    /// May clients still hear what the server behind it answers? Asked before each piece of it is
    /// passed on, an acknowledged commit say; no ends the session, as
    /// [`DatabaseEndpoint::end_connections`] does. It must be quick.
    fn may_answer(&self) -> bool {
        true
    }
}

/// What stands behind an endpoint.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Backend {
    /// A server that listens on that Unix socket.
    Server {
        /// The socket, with its name: `…/.s.PGSQL.5432`.
        socket: PathBuf,
    },
    /// None now.
    Away(Away),
}

/// What clients are told while there is no server.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Away {
    /// The code (PostgreSQL's documentation, appendix A): `57P03` lets drivers try again.
    pub sqlstate: [u8; 5],
    /// In words.
    pub message: String,
}

/// What an endpoint refuses to exceed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct EndpointLimits {
    /// Sessions; one more is refused as PostgreSQL does (53300).
    pub sessions: usize,
    /// Connections that have not begun a session yet, and cancel requests: what comes beyond
    /// waits in the kernel's queue.
    pub starting: usize,
    /// How long a client may take until its session begins, a handshake included.
    pub startup: Duration,
    /// How long the server may take to take a connection, or a request to cancel.
    pub connect: Duration,
}

impl EndpointLimits {
    /// Fit for a database instance: 5,000 sessions, which is what RDS's largest classes have (a
    /// smaller one's server refuses by itself, in the same words), 256 that begin, 10 s for a
    /// client to begin (PostgreSQL allows it 60), 5 s for the server.
    pub const STANDARD: EndpointLimits = EndpointLimits {
        sessions: 5000,
        starting: 256,
        startup: Duration::from_secs(10),
        connect: Duration::from_secs(5),
    };
}

/// A database's endpoint. When it is dropped, it closes everything.
pub struct DatabaseEndpoint {
    address: SocketAddr,
    /// Counts how often connections were ended.
    ended: watch::Sender<u64>,
    counters: Arc<Counters>,
    _accepting: JoinSet<()>,
}

impl DatabaseEndpoint {
    /// Takes connections at that address from now on; port 0 picks a free one. Without TLS,
    /// clients that ask for it are told there is none (and go on without, or don't, as they are
    /// set up). Must be called within a tokio runtime.
    ///
    /// # Errors
    /// The address can't be listened on.
    pub fn listen(
        address: SocketAddr,
        tls: Option<EndpointTls>,
        directory: Arc<dyn EndpointDirectory>,
        limits: EndpointLimits,
    ) -> Result<DatabaseEndpoint, ListenError> {
        let listener = listen(address)?;
        let bound = listener.local_addr();
        let bound = bound.map_err(|cause| ListenError::Io { address, cause })?;
        let (ended, watched) = watch::channel(0);
        let counters = Arc::new(Counters::default());
        let shared = Arc::new(Shared {
            tls,
            directory,
            limits,
            sessions: Arc::new(Semaphore::new(limits.sessions)),
            counters: Arc::clone(&counters),
        });
        let mut accepting = JoinSet::new();
        accepting.spawn(accept(listener, shared, watched));
        Ok(DatabaseEndpoint {
            address: bound,
            ended,
            counters,
            _accepting: accepting,
        })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Closes every connection that is open now, sessions and those that begin; new ones are
    /// taken as ever. For when the server behind it is another one, or must no longer be reached.
    pub fn end_connections(&self) {
        self.ended.send_modify(|times| *times += 1);
    }

    /// What it has done so far.
    pub fn counts(&self) -> EndpointCounts {
        self.counters.read()
    }
}

async fn accept(listener: TcpListener, shared: Arc<Shared>, ended: watch::Receiver<u64>) {
    let starting = Arc::new(Semaphore::new(shared.limits.starting));
    // Ends its connections with itself.
    let mut connections = JoinSet::new();
    loop {
        while connections.try_join_next().is_some() {}
        let permit = Arc::clone(&starting).acquire_owned().await;
        let permit = permit.expect("nobody closes it");
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(cause) => {
                tracing::warn!(%cause, "a database's client could not be accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let shared = Arc::clone(&shared);
        let mut ended = ended.clone();
        // What was ended before this connection came is no concern of it.
        ended.borrow_and_update();
        connections.spawn(async move {
            tokio::select! {
                () = connection::serve(&shared, stream, permit) => {}
                _ = ended.changed() => shared.counters.ended.count(),
            }
        });
    }
}

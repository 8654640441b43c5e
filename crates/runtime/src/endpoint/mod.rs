//! The address that a database's clients connect to: a proxy before the socket of its server.
//!
//! It reads how a connection begins, refuses what nobody may ask for from outside, and moves bytes
//! from then on without looking at one, unless writes are forwarded (`forward`). Which server
//! stands behind it, if any, is asked of its directory for each new connection; passwords are the
//! server's affair.

mod connection;
mod counters;
mod forward;
mod gate;
mod relay;
mod server;
mod starting;
mod startup;
mod threads;
mod tls;

use std::net::{Shutdown, SocketAddr};
use std::path::PathBuf;
use std::sync::{Arc, Weak};
use std::time::Duration;

use socket2::SockRef;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;

use crate::http::{ListenError, listen};
use connection::Shared;
use counters::Counters;
use starting::Starting;
use threads::Threads;

pub use counters::EndpointCounts;
pub use forward::{Consistency, ForwardedStream, ForwardingTerms, VerifierAnswer, WriteForwarding};
pub use gate::AnswerGate;
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

    /// What stands behind the session that begins now, where each may have another server: it is
    /// asked in this one's place, and held until the session ends. `None`: this one is asked. Asked
    /// once for each session; must not block.
    fn of_session(&self) -> Option<Arc<dyn EndpointDirectory>> {
        None
    }

    /// The servers that a request to cancel may be for: each heeds those of its own sessions alone.
    fn cancels(&self) -> Vec<PathBuf> {
        match self.backend() {
            Backend::Server { socket } => vec![socket],
            Backend::Away(_) => Vec::new(),
        }
    }

    /// Where the writes of a session that begins now are carried out, if not by its own server;
    /// then what passes is read, statement by statement. Must not block.
    fn forwarding(&self) -> Option<Arc<dyn WriteForwarding>> {
        None
    }

    /// What holds back the server's answers while it is shut, if anything does; then no session
    /// begins either. Requests to cancel are passed on all the same.
    fn gate(&self) -> Option<&AnswerGate> {
        None
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
    /// waits, all but one of them in the kernel's queue.
    pub starting: usize,
    /// How long a client may take until its session begins, a handshake included ...
    pub startup: Duration,
    /// ... and how long while more than half of those places are taken.
    pub crowded: Duration,
    /// Who has sent nothing for this long makes room for who comes, if all are taken.
    pub silence: Duration,
    /// How long the server may take to take a connection, or a request to cancel.
    pub connect: Duration,
}

impl EndpointLimits {
    /// Fit for a database instance: 5,000 sessions, which is what RDS's largest classes have (a
    /// smaller one's server refuses by itself, in the same words), 256 that begin, 10 s for a
    /// client to begin (PostgreSQL allows it 60), of which it has 2 when many do: three round trips
    /// of the longest way and a handshake; 250 ms for its first byte when no place is left, 5 s for
    /// the server.
    pub const STANDARD: EndpointLimits = EndpointLimits {
        sessions: 5000,
        starting: 256,
        startup: Duration::from_secs(10),
        crowded: Duration::from_secs(2),
        silence: Duration::from_millis(250),
        connect: Duration::from_secs(5),
    };
}

/// A database's endpoint. When it is dropped, it closes everything.
pub struct DatabaseEndpoint {
    address: SocketAddr,
    /// Counts how often connections were ended.
    ended: watch::Sender<u64>,
    counters: Arc<Counters>,
    listener: Arc<TcpListener>,
    accepting: JoinSet<()>,
    _threads: Arc<Threads>,
}

impl DatabaseEndpoint {
    /// Takes connections at that address from now on; port 0 picks a free one. Without TLS,
    /// clients that ask for it are told there is none (and go on without, or don't, as they are
    /// set up). Connections are served on threads that all endpoints of the process share.
    ///
    /// # Errors
    /// The address can't be listened on, or no thread can be started.
    pub fn listen(
        address: SocketAddr,
        tls: Option<EndpointTls>,
        directory: Arc<dyn EndpointDirectory>,
        limits: EndpointLimits,
    ) -> Result<DatabaseEndpoint, ListenError> {
        let places = Arc::new(Semaphore::new(limits.sessions));
        DatabaseEndpoint::listen_with(address, tls, directory, limits, places)
    }

    /// As [`DatabaseEndpoint::listen`], with places for sessions that other endpoints of the same
    /// server take as well, instead of its own.
    ///
    /// # Errors
    /// The address can't be listened on, or no thread can be started.
    pub fn listen_with(
        address: SocketAddr,
        tls: Option<EndpointTls>,
        directory: Arc<dyn EndpointDirectory>,
        limits: EndpointLimits,
        places: Arc<Semaphore>,
    ) -> Result<DatabaseEndpoint, ListenError> {
        let failed = |cause| ListenError::Io { address, cause };
        let threads = Threads::shared().map_err(failed)?;
        let thread = threads.next();
        let listener = {
            let _entered = thread.enter();
            Arc::new(listen(address)?)
        };
        let bound = listener.local_addr().map_err(failed)?;
        let (ended, watched) = watch::channel(0);
        let counters = Arc::new(Counters::default());
        let shared = Arc::new(Shared {
            tls,
            directory,
            limits,
            sessions: places,
            counters: Arc::clone(&counters),
            cancels: forward::Cancels::default(),
        });
        let mut accepting = JoinSet::new();
        let accept = accept(
            Arc::clone(&listener),
            shared,
            watched,
            Arc::downgrade(&threads),
        );
        accepting.spawn_on(accept, thread);
        Ok(DatabaseEndpoint {
            address: bound,
            ended,
            counters,
            listener,
            accepting,
            _threads: threads,
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

impl Drop for DatabaseEndpoint {
    fn drop(&mut self) {
        self.accepting.abort_all();
        // Tasks end on their thread, in a moment. Who comes now is refused already, and the
        // address is free. It fails if it is not listened on any more.
        let shut = SockRef::from(&*self.listener).shutdown(Shutdown::Both);
        shut.ok();
    }
}

/// Takes connections, and has each served on the thread whose turn it is, as long as there are
/// threads.
async fn accept(
    listener: Arc<TcpListener>,
    shared: Arc<Shared>,
    ended: watch::Receiver<u64>,
    threads: Weak<Threads>,
) {
    let starting = Starting::new(shared.limits);
    // Ends its connections with itself.
    let mut connections = JoinSet::new();
    loop {
        while connections.try_join_next().is_some() {}
        // The thread that waits for a socket is to be the one that serves it.
        let accepted = match listener.accept().await {
            Ok((stream, _)) => stream.into_std(),
            Err(cause) => Err(cause),
        };
        let stream = match accepted {
            Ok(stream) => stream,
            Err(cause) => {
                tracing::warn!(%cause, "a database's client could not be accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let place = starting.place().await;
        let Some(threads) = threads.upgrade() else {
            return;
        };
        let shared = Arc::clone(&shared);
        let mut ended = ended.clone();
        // What was ended before this connection came is no concern of it.
        ended.borrow_and_update();
        let serving = async move {
            let stream = match TcpStream::from_std(stream) {
                Ok(stream) => stream,
                Err(cause) => {
                    tracing::warn!(%cause, "a database's client can't be waited for");
                    return;
                }
            };
            tokio::select! {
                () = connection::serve(&shared, stream, place) => {}
                _ = ended.changed() => shared.counters.ended.count(),
            }
        };
        connections.spawn_on(serving, threads.next());
    }
}

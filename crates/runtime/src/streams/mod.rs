//! Local connections at the ends of the link's streams: Unix sockets that stand for targets at a
//! peer, and connections to what this site gives its peers. Which target stands for what is asked
//! of a directory; nothing here looks into what is carried.

mod listen;
mod relay;
mod serve;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use link::{OpenStreamError, StreamCounts, StreamEnd, StreamExchange};
use tokio::sync::watch;
use tokio::task::JoinSet;
use types::SiteId;

pub(crate) use listen::SocketPlace;
pub use listen::{SocketOwner, StreamPort, StreamPortError};

/// Says what this site gives its peers.
pub trait StreamDirectory: Send + Sync + 'static {
    /// What the target stands for here, for that very peer, whose certificate
    /// the link has verified; `None`: it may not have it, or there is no such thing. Asked for
    /// each stream; must not block.
    fn target(&self, peer: SiteId, target: &str) -> Option<TargetPlace>;
}

/// What a target stands for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum TargetPlace {
    /// A Unix socket.
    Socket(PathBuf),
    /// An address of this site's own that clients connect to as well: what comes by a stream is
    /// judged there as they are.
    Address(SocketAddr),
}

/// The directory in use, once there is one.
type Directory = Arc<Mutex<Option<Arc<dyn StreamDirectory>>>>;

/// The streams of a site. When it is dropped, those that peers opened end; those of a
/// [`StreamPort`] end with that.
pub struct Streams {
    exchanges: BTreeMap<SiteId, Arc<StreamExchange>>,
    directory: Directory,
    /// Counts how often the directory is to be asked again for what is open.
    asked_again: watch::Sender<u64>,
    _tasks: JoinSet<()>,
}

impl Streams {
    /// Streams with those peers. What they open is refused until there is a directory. Must be
    /// called within a tokio runtime.
    pub fn start(exchanges: BTreeMap<SiteId, Arc<StreamExchange>>) -> Streams {
        let directory = Directory::default();
        let (asked_again, watched) = watch::channel(0);
        let mut tasks = JoinSet::new();
        for (peer, exchange) in &exchanges {
            let exchange = Arc::clone(exchange);
            let directory = Arc::clone(&directory);
            tasks.spawn(serve::run(*peer, exchange, directory, watched.clone()));
        }
        Streams {
            exchanges,
            directory,
            asked_again,
            _tasks: tasks,
        }
    }

    /// From here on this says what peers get. Streams that are open go on until
    /// [`Streams::ask_again`].
    pub fn serve(&self, directory: Arc<dyn StreamDirectory>) {
        *lock(&self.directory) = Some(directory);
    }

    /// Opens a stream to `target` at the peer, without a socket for it.
    ///
    /// # Errors
    /// There is no link to that peer now, there are too many streams, or the target is none.
    pub fn open(&self, peer: SiteId, target: &str) -> Result<StreamEnd, OpenStreamError> {
        let exchange = self.exchanges.get(&peer);
        exchange.ok_or(OpenStreamError::NotConnected)?.open(target)
    }

    /// Peers may get less than they did: the directory is asked again for every open stream,
    /// and those that it doesn't give any more end.
    pub fn ask_again(&self) {
        self.asked_again.send_modify(|times| *times += 1);
    }

    /// Makes a Unix socket named as PostgreSQL's, `.s.PGSQL.5432`, in that directory: each
    /// connection to it becomes a stream to `target` at the peer. The directory is made if it
    /// isn't there, and is its owner's alone (0700), as is the socket; what an earlier run left is
    /// taken away. `owner`: whom both are given to; only root can.
    ///
    /// # Errors
    /// There is no link to that peer, the target is none, or the socket can't be made there.
    pub fn listen(
        &self,
        peer: SiteId,
        target: &str,
        directory: &Path,
        owner: Option<SocketOwner>,
    ) -> Result<StreamPort, StreamPortError> {
        let exchange = self.exchanges.get(&peer);
        let exchange = exchange.ok_or(StreamPortError::Peer(peer))?;
        StreamPort::listen(Arc::clone(exchange), target, directory, owner)
    }

    /// What has happened with each peer's streams.
    pub fn counts(&self) -> BTreeMap<SiteId, StreamCounts> {
        let exchanges = self.exchanges.iter();
        let counts = exchanges.map(|(peer, exchange)| (*peer, exchange.counts()));
        counts.collect()
    }
}

fn lock<T>(shared: &Mutex<T>) -> MutexGuard<'_, T> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

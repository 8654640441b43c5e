//! Drives the links of one site over TCP and TLS: dials, accepts, handshakes, moves bytes and
//! keeps the links' time. Whatever is decided is decided in `link`; nothing here looks into what
//! crosses.

mod accept;
mod dial;
mod peer;
mod pump;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use link::certificate::{CertificateError, Details, Identity};
use link::{Class, DIAL_TIMEOUT, Port};
use rustls::time_provider::DefaultTimeProvider;
use rustls::{ClientConfig, ServerConfig};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use types::{Environment, SiteName, Span};

use peer::Peer;

/// Where a peer listens, and the port of the link with it.
#[derive(Clone)]
pub struct LinkPeer {
    /// The link's port, shared with the site.
    pub port: Arc<Port>,
    /// The address the peer's acceptor listens on.
    pub address: SocketAddr,
}

/// The running links of one site. Dropped, they end at once.
pub struct Links {
    shared: Arc<Shared>,
    _tasks: JoinSet<()>,
}

/// What every task of the links knows.
struct Shared {
    environment: Arc<dyn Environment>,
    peers: BTreeMap<SiteName, Arc<Peer>>,
    credentials: Mutex<Credentials>,
}

#[derive(Clone)]
struct Credentials {
    certificate: Details,
    client: BTreeMap<Class, Arc<ClientConfig>>,
    server: Arc<ServerConfig>,
}

impl Links {
    /// Drives the links with all those peers: accepts on `listener` and dials whom this end
    /// dials. TLS is told the machine's true time, whatever the environment's wall clock says.
    /// Must be called within a tokio runtime.
    pub fn start(
        listener: TcpListener,
        identity: &Identity,
        peers: Vec<LinkPeer>,
        environment: Arc<dyn Environment>,
    ) -> Result<Links, CertificateError> {
        let peers = peers.into_iter().map(|peer| {
            let peer = Arc::new(Peer::new(peer.port, peer.address));
            (peer.site(), peer)
        });
        let shared = Arc::new(Shared {
            environment,
            peers: peers.collect(),
            credentials: Mutex::new(Credentials::of(identity)?),
        });
        let mut tasks = JoinSet::new();
        tasks.spawn(accept::run(Arc::clone(&shared), listener));
        for peer in shared.peers.values() {
            tasks.spawn(peer::run(Arc::clone(&shared), Arc::clone(peer)));
        }
        Ok(Links {
            shared,
            _tasks: tasks,
        })
    }

    /// From here on connections are made with that identity. Open ones go on with the old one
    /// until they are replaced by age.
    ///
    /// # Errors
    /// Peers would refuse it, judged by the machine's true time: the one before stays in use.
    pub fn rotate(&self, identity: &Identity) -> Result<(), CertificateError> {
        identity.prove(Arc::new(DefaultTimeProvider))?;
        *self.shared.lock_credentials() = Credentials::of(identity)?;
        Ok(())
    }

    /// The certificate that new connections are made with.
    pub fn certificate(&self) -> Details {
        self.shared.lock_credentials().certificate.clone()
    }
}

impl Shared {
    fn lock_credentials(&self) -> MutexGuard<'_, Credentials> {
        self.credentials
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn client(&self, class: Class) -> Arc<ClientConfig> {
        let credentials = self.lock_credentials();
        let config = credentials.client.get(&class);
        Arc::clone(config.expect("there is one for every class"))
    }

    fn server(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.lock_credentials().server)
    }
}

/// How long the TCP and TLS handshakes of one end take under that shape: of their two round trips
/// this end delays its half. Bounded, so that a dial over a very long delay still ends in time.
async fn handshake_delay(port: &Port) {
    let delay = port.shape().delay;
    let share = Span(delay.0.saturating_mul(2).min(DIAL_TIMEOUT.0 / 3));
    tokio::time::sleep(share.into()).await;
}

impl Credentials {
    fn of(identity: &Identity) -> Result<Credentials, CertificateError> {
        let time = Arc::new(DefaultTimeProvider);
        let mut client = BTreeMap::new();
        for class in Class::ALL {
            client.insert(class, identity.client_config(class, time.clone())?);
        }
        let server = identity.server_config(time)?;
        Ok(Credentials {
            certificate: identity.details()?,
            client,
            server,
        })
    }
}

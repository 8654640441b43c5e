//! Connections to targets: made, and kept for the next request. Each thread has its own.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use rustix::net::sockopt;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::version::{TLS12, TLS13};
use rustls::{ClientConfig, DigitallySignedStruct, Error, SignatureScheme};
use tokio::net::TcpStream;
use tokio::time::Instant;
use tokio_rustls::{TlsConnector, TlsStream, client};

use super::link::{Buffer, Link};
use super::tls::HTTP2;
use super::{Failure, HttpTarget, TargetVersion};
use crate::http::tls::provider;

/// A kept connection is used again for so long after its last use.
const KEPT: Duration = Duration::from_secs(55);

/// A shared connection that is silent is probed after so long, and again ...
const PROBED: Duration = Duration::from_secs(10);

/// ... and is dead when nothing sent on it was acknowledged for so long.
const DEAD: Duration = Duration::from_secs(30);

/// A connection to a target, and what it said that wasn't used yet.
pub(super) struct Upstream {
    pub(super) link: Link,
    pub(super) buffer: Buffer,
    /// It has carried requests before.
    pub(super) reused: bool,
}

struct Kept {
    upstream: Upstream,
    since: Instant,
}

/// A thread's connections to targets.
pub(super) struct Targets {
    kept: RefCell<BTreeMap<HttpTarget, Vec<Kept>>>,
    most: usize,
    connect: Duration,
    connectors: Connectors,
}

/// How TLS is spoken to targets.
pub(super) struct Connectors {
    http1: TlsConnector,
    http2: TlsConnector,
    /// For what isn't known to be HTTP.
    stream: TlsConnector,
}

impl Connectors {
    pub(super) fn new() -> Result<Connectors, Error> {
        Ok(Connectors {
            http1: connector(&[b"http/1.1"])?,
            http2: connector(&[HTTP2])?,
            stream: connector(&[])?,
        })
    }
}

impl Targets {
    /// `most` are kept to each target; a connection may take `connect` to make.
    pub(super) fn new(connectors: Connectors, most: usize, connect: Duration) -> Targets {
        Targets {
            kept: RefCell::default(),
            most,
            connect,
            connectors,
        }
    }

    /// A kept connection, if there is one that is whole.
    pub(super) fn take(&self, target: &HttpTarget) -> Option<Upstream> {
        let mut kept = self.kept.borrow_mut();
        let connections = kept.get_mut(target)?;
        while let Some(kept) = connections.pop() {
            if kept.since.elapsed() < KEPT && kept.upstream.link.is_idle() {
                return Some(kept.upstream);
            }
        }
        None
    }

    /// Keeps a connection whose last answer was read whole.
    pub(super) fn keep(&self, target: HttpTarget, mut upstream: Upstream) {
        let mut kept = self.kept.borrow_mut();
        let connections = kept.entry(target).or_default();
        if connections.len() < self.most {
            upstream.reused = true;
            upstream.buffer.shrink();
            connections.push(Kept {
                upstream,
                since: Instant::now(),
            });
        }
    }

    /// Lets go of connections that ended, or weren't used for long.
    pub(super) fn sweep(&self) {
        let mut kept = self.kept.borrow_mut();
        kept.retain(|_, connections| {
            connections.retain(|kept| kept.since.elapsed() < KEPT && kept.upstream.link.is_idle());
            !connections.is_empty()
        });
    }

    /// A new connection.
    pub(super) async fn connect(&self, target: &HttpTarget) -> Result<Upstream, Failure> {
        let made = tokio::time::timeout(self.connect, self.make(target)).await;
        let link = made.unwrap_or(Err(Failure::TimedOut))?;
        Ok(Upstream {
            link,
            buffer: Buffer::default(),
            reused: false,
        })
    }

    /// TLS over that connection to a target, for what isn't known to be HTTP.
    pub(super) async fn secure_stream(
        &self,
        stream: TcpStream,
        address: SocketAddr,
    ) -> Result<Link, Failure> {
        let secured = secure(&self.connectors.stream, stream, address).await?;
        Ok(Link::secure(TlsStream::Client(secured)))
    }

    async fn make(&self, target: &HttpTarget) -> Result<Link, Failure> {
        let stream = reach(target.address).await?;
        let is_http2 = target.version != TargetVersion::Http1;
        if is_http2 {
            probe(&stream).map_err(|_| Failure::Refused)?;
        }
        if !target.tls {
            return Ok(Link::plain(stream));
        }
        let connector = match is_http2 {
            true => &self.connectors.http2,
            false => &self.connectors.http1,
        };
        let secured = secure(connector, stream, target.address).await?;
        if is_http2 && secured.get_ref().1.alpn_protocol() != Some(HTTP2) {
            return Err(Failure::Handshake);
        }
        Ok(Link::secure(TlsStream::Client(secured)))
    }
}

async fn secure(
    connector: &TlsConnector,
    stream: TcpStream,
    address: SocketAddr,
) -> Result<client::TlsStream<TcpStream>, Failure> {
    let secured = connector
        .connect(ServerName::from(address.ip()), stream)
        .await;
    secured.map_err(|cause| {
        tracing::debug!(%cause, target = %address, "a target's handshake failed");
        Failure::Handshake
    })
}

/// A connection to that address, without a limit on how long it takes.
pub(super) async fn reach(address: SocketAddr) -> Result<TcpStream, Failure> {
    let stream = TcpStream::connect(address).await.map_err(|cause| {
        tracing::debug!(%cause, %address, "a target can't be reached");
        failure(&cause)
    })?;
    stream.set_nodelay(true).map_err(|_| Failure::Refused)?;
    Ok(stream)
}

/// Has the connection end when its other side has gone without a word: many requests would wait for
/// it. TCP's probes, since gRPC's servers end connections that send HTTP/2's pings so often
/// ("too_many_pings").
fn probe(stream: &TcpStream) -> rustix::io::Result<()> {
    let dead = u32::try_from(DEAD.as_millis()).unwrap_or(u32::MAX);
    sockopt::set_socket_keepalive(stream, true)?;
    sockopt::set_tcp_keepidle(stream, PROBED)?;
    sockopt::set_tcp_keepintvl(stream, PROBED)?;
    sockopt::set_tcp_user_timeout(stream, dead)
}

fn failure(cause: &io::Error) -> Failure {
    match cause.raw_os_error() {
        Some(libc::EMFILE | libc::ENFILE | libc::EADDRNOTAVAIL | libc::ENOBUFS | libc::ENOMEM) => {
            Failure::Unable
        }
        Some(libc::ETIMEDOUT) => Failure::TimedOut,
        _ => Failure::Refused,
    }
}

fn connector(protocols: &[&[u8]]) -> Result<TlsConnector, Error> {
    let mut config = ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&TLS13, &TLS12])?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Anybody(provider())))
        .with_no_client_auth();
    config.alpn_protocols = protocols.iter().map(|name| name.to_vec()).collect();
    config.enable_sni = false;
    Ok(TlsConnector::from(Arc::new(config)))
}

/// Takes any certificate, as ELB does of targets: a target is known by its address. That it has
/// its certificate's key is verified.
#[derive(Debug)]
struct Anybody(Arc<CryptoProvider>);

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signed, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signed, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

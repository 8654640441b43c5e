//! TLS at the public addresses: what a server proves itself with, whom a client of ours believes,
//! and the handshake at the start of each connection. TLS 1.2 and 1.3, ring's suites, HTTP/1.1. It
//! asks clients for no certificate, and judges no name in the server's own: whoever made it did.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::version::{TLS12, TLS13};
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error, RootCertStore, ServerConfig,
    SignatureScheme,
};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::{TlsAcceptor, TlsConnector, client, server};

/// How long a handshake may take at most, from the connection on; a server waits no longer than
/// for the head of a request.
pub(crate) const HANDSHAKE_WAIT: Duration = Duration::from_secs(10);

/// The only protocol there is to agree on (RFC 7301).
const PROTOCOL: &[u8] = b"http/1.1";

/// What the first byte of a connection that speaks TLS is: a handshake record (RFC 8446, 5.1).
const HANDSHAKE_RECORD: u8 = 22;

/// How much of a plain request is read and thrown away, so that its sender reads the answer.
const DISCARDED: usize = 64 * 1024;

/// How long for.
const DISCARD_WAIT: Duration = Duration::from_secs(1);

/// What whoever speaks plain HTTP to a TLS port is told.
const PLAIN_HTTP: &str = "This address speaks TLS: write https:// in place of http://\n";

/// A certificate or key that can't be used.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// The text doesn't hold what it should, in PEM.
    #[error("there is no {0} in PEM format in it")]
    Pem(&'static str),
    /// The certificate can't be used, or the key isn't its own.
    #[error("the certificate and the key can't be used together: {0}")]
    Unusable(#[from] Error),
}

/// What a server proves itself with to its clients. Cheap to clone; never prints its key.
#[derive(Clone)]
pub struct ServerTls(TlsAcceptor);

impl ServerTls {
    /// From a certificate (and those between it and its authority, after it) and its key.
    ///
    /// # Errors
    ///
    /// One of them isn't there, or they don't belong together.
    pub fn from_pem(certificates: &str, key: &str) -> Result<ServerTls, TlsError> {
        let certificates = certificates_of(certificates)?;
        let key = PrivateKeyDer::from_pem_slice(key.as_bytes());
        let key = key.map_err(|_| TlsError::Pem("private key"))?;
        let mut config = ServerConfig::builder_with_provider(provider())
            .with_protocol_versions(&[&TLS13, &TLS12])?
            .with_no_client_auth()
            .with_single_cert(certificates, key)?;
        config.alpn_protocols = vec![PROTOCOL.to_vec()];
        Ok(ServerTls::of(Arc::new(config)))
    }

    /// From settings that are made elsewhere.
    pub(crate) fn of(config: Arc<ServerConfig>) -> ServerTls {
        ServerTls(TlsAcceptor::from(config))
    }
}

impl fmt::Debug for ServerTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ServerTls(…)")
    }
}

/// Whom a client of ours takes for the server it means.
#[derive(Clone)]
pub struct Trust(TlsConnector);

impl Trust {
    /// Whoever shows this very certificate, the first of the text, and has its key: for a client
    /// that has the server's own file. No name, date or authority is looked at.
    ///
    /// # Errors
    ///
    /// There is no certificate in it.
    pub fn certificate(pem: &str) -> Result<Trust, TlsError> {
        let mut certificates = certificates_of(pem)?;
        let provider = provider();
        let verifier = ThisVery {
            certificate: certificates.swap_remove(0),
            provider: Arc::clone(&provider),
        };
        let config = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&TLS13, &TLS12])?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(verifier))
            .with_no_client_auth();
        Ok(Trust::of(config))
    }

    /// Whoever shows a certificate for the address it is called at that one of these authorities
    /// signed.
    ///
    /// # Errors
    ///
    /// There is no certificate in it that can be an authority's.
    pub fn authorities(pem: &str) -> Result<Trust, TlsError> {
        let mut roots = RootCertStore::empty();
        for certificate in certificates_of(pem)? {
            roots.add(certificate)?;
        }
        let config = ClientConfig::builder_with_provider(provider())
            .with_protocol_versions(&[&TLS13, &TLS12])?
            .with_root_certificates(roots)
            .with_no_client_auth();
        Ok(Trust::of(config))
    }

    fn of(mut config: ClientConfig) -> Trust {
        config.alpn_protocols = vec![PROTOCOL.to_vec()];
        Trust(TlsConnector::from(Arc::new(config)))
    }

    /// The handshake over that connection to that server.
    pub(super) async fn secure(
        &self,
        stream: TcpStream,
        server: SocketAddr,
    ) -> io::Result<client::TlsStream<TcpStream>> {
        // An address is compared, and never sent as a name (RFC 6066, section 3).
        self.0.connect(ServerName::from(server.ip()), stream).await
    }
}

impl Trust {
    /// The handshake over that connection to a host of that name, or address.
    pub(super) async fn secure_host(
        &self,
        stream: TcpStream,
        host: &str,
    ) -> io::Result<client::TlsStream<TcpStream>> {
        let name = ServerName::try_from(host.to_owned()).map_err(io::Error::other)?;
        self.0.connect(name, stream).await
    }
}

impl fmt::Debug for Trust {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Trust(…)")
    }
}

/// A server that is called, and whom to take for it.
#[derive(Clone, Debug)]
pub struct Endpoint {
    /// Where it listens.
    pub address: SocketAddr,
    /// `None`: it speaks plain HTTP.
    pub trust: Option<Trust>,
}

impl From<SocketAddr> for Endpoint {
    fn from(address: SocketAddr) -> Endpoint {
        Endpoint {
            address,
            trust: None,
        }
    }
}

pub(crate) fn provider() -> Arc<CryptoProvider> {
    Arc::new(ring::default_provider())
}

/// All certificates of a text; at least one.
pub(crate) fn certificates_of(pem: &str) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    const WHAT: TlsError = TlsError::Pem("certificate");
    let certificates = CertificateDer::pem_slice_iter(pem.as_bytes());
    let certificates: Vec<_> = certificates.collect::<Result<_, _>>().map_err(|_| WHAT)?;
    match certificates.is_empty() {
        true => Err(WHAT),
        false => Ok(certificates),
    }
}

/// Takes one certificate and no other. That the server has its key is verified as ever.
#[derive(Debug)]
struct ThisVery {
    certificate: CertificateDer<'static>,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for ThisVery {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        match *end_entity == self.certificate {
            true => Ok(ServerCertVerified::assertion()),
            false => Err(CertificateError::ApplicationVerificationFailure.into()),
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signed, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signed, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        let algorithms = &self.provider.signature_verification_algorithms;
        algorithms.supported_schemes()
    }
}

// === A client's connection ===

/// A client's connection, with TLS or without.
pub(crate) enum Connection {
    Plain(TcpStream),
    Secure(Box<server::TlsStream<TcpStream>>),
}

impl Connection {
    /// The connection once its handshake is done, if there is one to do. `None`: it came to
    /// nothing, in time or not; whoever spoke plain HTTP to TLS was told.
    pub(crate) async fn accept(
        stream: TcpStream,
        tls: Option<&ServerTls>,
        wait: Duration,
    ) -> Option<Connection> {
        let Some(tls) = tls else {
            return Some(Connection::Plain(stream));
        };
        match tokio::time::timeout(wait.min(HANDSHAKE_WAIT), handshake(stream, tls)).await {
            Ok(Ok(secured)) => secured,
            Ok(Err(cause)) => {
                tracing::debug!(%cause, "a TLS handshake failed");
                None
            }
            Err(_) => {
                tracing::debug!("a TLS handshake took too long");
                None
            }
        }
    }

    /// The socket under it.
    pub(super) fn socket(&self) -> &TcpStream {
        match self {
            Connection::Plain(stream) => stream,
            Connection::Secure(stream) => stream.get_ref().0,
        }
    }
}

async fn handshake(mut stream: TcpStream, tls: &ServerTls) -> io::Result<Option<Connection>> {
    let mut first = [0];
    match stream.peek(&mut first).await? {
        0 => return Ok(None),
        _ if first[0] == HANDSHAKE_RECORD => {}
        _ if first[0].is_ascii_alphabetic() => {
            refuse_plain_http(&mut stream).await?;
            return Ok(None);
        }
        _ => return Err(io::Error::other("that is neither TLS nor HTTP")),
    }
    let secured = tls.0.accept(stream).await?;
    Ok(Some(Connection::Secure(Box::new(secured))))
}

/// Says what is wrong, and reads what comes for a moment: a close over unread bytes is a reset,
/// which would overtake the answer.
async fn refuse_plain_http(stream: &mut TcpStream) -> io::Result<()> {
    let length = PLAIN_HTTP.len();
    let answer = format!(
        "HTTP/1.1 400 Bad Request\r\ncontent-type: text/plain; charset=utf-8\r\n\
         connection: close\r\ncontent-length: {length}\r\n\r\n{PLAIN_HTTP}"
    );
    stream.write_all(answer.as_bytes()).await?;
    stream.shutdown().await?;
    let mut left = vec![0; DISCARDED];
    let discard = async {
        let mut taken = 0;
        while taken < DISCARDED {
            match stream.read(&mut left).await {
                Ok(0) | Err(_) => return,
                Ok(count) => taken += count,
            }
        }
    };
    tokio::time::timeout(DISCARD_WAIT, discard).await.ok();
    Ok(())
}

impl AsyncRead for Connection {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Connection::Plain(stream) => Pin::new(stream).poll_read(context, buffer),
            Connection::Secure(stream) => Pin::new(stream).poll_read(context, buffer),
        }
    }
}

impl AsyncWrite for Connection {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Connection::Plain(stream) => Pin::new(stream).poll_write(context, bytes),
            Connection::Secure(stream) => Pin::new(stream).poll_write(context, bytes),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Connection::Plain(stream) => Pin::new(stream).poll_write_vectored(context, slices),
            Connection::Secure(stream) => Pin::new(stream).poll_write_vectored(context, slices),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Connection::Plain(stream) => stream.is_write_vectored(),
            Connection::Secure(stream) => stream.is_write_vectored(),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Connection::Plain(stream) => Pin::new(stream).poll_flush(context),
            Connection::Secure(stream) => Pin::new(stream).poll_flush(context),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Connection::Plain(stream) => Pin::new(stream).poll_shutdown(context),
            Connection::Secure(stream) => Pin::new(stream).poll_shutdown(context),
        }
    }
}

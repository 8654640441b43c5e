//! What an endpoint proves itself with to clients that ask for TLS. It asks them for no
//! certificate: who they are, the server asks them for itself.

use std::fmt;
use std::sync::Arc;

use rustls::ServerConfig;
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::PemObject;
use rustls::version::{TLS12, TLS13};
use tokio_rustls::TlsAcceptor;

use crate::http::TlsError;
use crate::http::tls::{certificates_of, provider};

/// The protocol that clients since PostgreSQL 17 name (its documentation, 55.2.11); older ones
/// name none.
const PROTOCOL: &[u8] = b"postgresql";

/// An endpoint's certificate and key. Cheap to clone; never prints its key.
#[derive(Clone)]
pub struct EndpointTls(pub(super) TlsAcceptor);

impl EndpointTls {
    /// From a certificate (and those between it and its authority, after it) and its key: TLS 1.2
    /// and 1.3.
    ///
    /// # Errors
    /// One of them isn't there, or they don't belong together.
    pub fn from_pem(certificates: &str, key: &str) -> Result<EndpointTls, TlsError> {
        let certificates = certificates_of(certificates)?;
        let key = PrivateKeyDer::from_pem_slice(key.as_bytes());
        let key = key.map_err(|_| TlsError::Pem("private key"))?;
        let mut config = ServerConfig::builder_with_provider(provider())
            .with_protocol_versions(&[&TLS13, &TLS12])?
            .with_no_client_auth()
            .with_single_cert(certificates, key)?;
        config.alpn_protocols = vec![PROTOCOL.to_vec()];
        Ok(EndpointTls(TlsAcceptor::from(Arc::new(config))))
    }
}

impl fmt::Debug for EndpointTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("EndpointTls(…)")
    }
}

//! TLS at a balancer's listeners: certificates chosen by the name that a client asks for, the
//! protocol within agreed on by ALPN, and what a session is, for logs and headers.

use std::fmt;
use std::sync::Arc;

use rustls::client::verify_server_name;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{PrivateKeyDer, ServerName};
use rustls::server::{ClientHello, ParsedCertificate, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::version::{TLS12, TLS13};
use rustls::{CipherSuite, ProtocolVersion, ServerConfig, ServerConnection};
use zeroize::Zeroizing;

use super::TlsFacts;
use crate::http::tls::{ServerTls, TlsError, certificates_of, provider};

/// The protocol by which HTTP/2 is agreed on (RFC 9113, section 3.3).
pub(super) const HTTP2: &[u8] = b"h2";

/// What a listener proves itself with: a certificate with those between it and its authority, and
/// its key, in PEM. Never prints its key, and wipes it.
#[derive(Clone)]
pub struct Certificate {
    /// The certificates, the listener's own first.
    pub chain: String,
    /// The private key.
    pub key: Zeroizing<String>,
}

impl fmt::Debug for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Certificate(…)")
    }
}

/// The oldest version of TLS that is spoken: what a security policy says that is told apart here.
/// The suites are ring's, all of them with forward secrecy.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum TlsMinimum {
    /// 1.2, and 1.3.
    Tls12,
    /// 1.3 alone.
    Tls13,
}

/// TLS of a listener. Cheap to clone; never prints a key.
#[derive(Clone)]
pub struct ListenerTls {
    pub(super) server: ServerTls,
}

impl ListenerTls {
    /// Of an HTTPS listener, HTTP/2 among what is offered or not. The first certificate is the
    /// default one.
    ///
    /// # Errors
    ///
    /// There is no certificate, or one and its key can't be used together.
    pub fn https(
        certificates: &[Certificate],
        minimum: TlsMinimum,
        http2: bool,
    ) -> Result<ListenerTls, TlsError> {
        let protocols: &[&[u8]] = match http2 {
            true => &[HTTP2, b"http/1.1"],
            false => &[b"http/1.1"],
        };
        ListenerTls::offering(certificates, minimum, protocols)
    }

    /// Of a TLS listener, which offers these protocols in their order (ALPN policies); with none,
    /// none is agreed on.
    ///
    /// # Errors
    ///
    /// As of [`https`](Self::https).
    pub fn stream(
        certificates: &[Certificate],
        minimum: TlsMinimum,
        protocols: &[&str],
    ) -> Result<ListenerTls, TlsError> {
        let protocols: Vec<&[u8]> = protocols.iter().map(|name| name.as_bytes()).collect();
        ListenerTls::offering(certificates, minimum, &protocols)
    }

    fn offering(
        certificates: &[Certificate],
        minimum: TlsMinimum,
        protocols: &[&[u8]],
    ) -> Result<ListenerTls, TlsError> {
        let keys: Result<Vec<_>, _> = certificates.iter().map(usable).collect();
        let keys = keys?;
        if keys.is_empty() {
            return Err(TlsError::Pem("certificate"));
        }
        let versions: &[&rustls::SupportedProtocolVersion] = match minimum {
            TlsMinimum::Tls12 => &[&TLS13, &TLS12],
            TlsMinimum::Tls13 => &[&TLS13],
        };
        let mut config = ServerConfig::builder_with_provider(provider())
            .with_protocol_versions(versions)?
            .with_no_client_auth()
            .with_cert_resolver(Arc::new(ByName(keys)));
        config.alpn_protocols = protocols.iter().map(|name| name.to_vec()).collect();
        let server = ServerTls::of(Arc::new(config));
        Ok(ListenerTls { server })
    }
}

impl fmt::Debug for ListenerTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ListenerTls(…)")
    }
}

fn usable(certificate: &Certificate) -> Result<Arc<CertifiedKey>, TlsError> {
    let chain = certificates_of(&certificate.chain)?;
    let key = PrivateKeyDer::from_pem_slice(certificate.key.as_bytes());
    let key = key.map_err(|_| TlsError::Pem("private key"))?;
    let key = CertifiedKey::from_der(chain, key, &provider())?;
    Ok(Arc::new(key))
}

/// Certificates, the default one first.
#[derive(Debug)]
struct ByName(Vec<Arc<CertifiedKey>>);

impl ResolvesServerCert for ByName {
    /// The first that is for the name asked for and of a kind that the client understands; the
    /// default one if there is none (ELB: "default certificate").
    fn resolve(&self, client: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let schemes = client.signature_schemes();
        let asked = client.server_name();
        let asked = asked.and_then(|name| ServerName::try_from(name).ok());
        let fits = |key: &&Arc<CertifiedKey>| {
            key.key.choose_scheme(schemes).is_some()
                && asked.as_ref().is_some_and(|name| is_for(key, name))
        };
        self.0.iter().find(fits).or(self.0.first()).cloned()
    }
}

fn is_for(key: &CertifiedKey, name: &ServerName<'_>) -> bool {
    let own = key.cert.first();
    let parsed = own.and_then(|own| ParsedCertificate::try_from(own).ok());
    parsed.is_some_and(|parsed| verify_server_name(&parsed, name).is_ok())
}

/// What that session is.
pub(super) fn facts(session: &ServerConnection) -> TlsFacts {
    let protocol = match session.protocol_version() {
        Some(ProtocolVersion::TLSv1_3) => "TLSv1.3",
        Some(ProtocolVersion::TLSv1_2) => "TLSv1.2",
        _ => "-",
    };
    let suite = session.negotiated_cipher_suite();
    TlsFacts {
        protocol,
        cipher: suite.map_or("-", |suite| openssl_name(suite.suite())),
        server_name: session.server_name().map(str::to_owned),
    }
}

/// OpenSSL's names of the suites that ring has.
fn openssl_name(suite: CipherSuite) -> &'static str {
    match suite {
        CipherSuite::TLS13_AES_128_GCM_SHA256 => "TLS_AES_128_GCM_SHA256",
        CipherSuite::TLS13_AES_256_GCM_SHA384 => "TLS_AES_256_GCM_SHA384",
        CipherSuite::TLS13_CHACHA20_POLY1305_SHA256 => "TLS_CHACHA20_POLY1305_SHA256",
        CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256 => "ECDHE-ECDSA-AES128-GCM-SHA256",
        CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384 => "ECDHE-ECDSA-AES256-GCM-SHA384",
        CipherSuite::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256 => {
            "ECDHE-ECDSA-CHACHA20-POLY1305"
        }
        CipherSuite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256 => "ECDHE-RSA-AES128-GCM-SHA256",
        CipherSuite::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384 => "ECDHE-RSA-AES256-GCM-SHA384",
        CipherSuite::TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256 => "ECDHE-RSA-CHACHA20-POLY1305",
        _ => "-",
    }
}

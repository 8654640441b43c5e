//! The TLS handshake of a probe. **No certificate is validated**, as Route 53 doesn't: a probe
//! asks whether an endpoint answers, not who it is; it sends nothing secret, and believes nothing
//! it reads beyond a status and a string. An expired or self-made certificate must not turn users
//! away from an endpoint that serves them. Nothing outside this file may use the verifier.

use std::io;
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{Resumption, verify_server_name};
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{
    AlertDescription, CertificateError, ClientConfig, DigitallySignedStruct, Error, SignatureScheme,
};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use types::{ProbeOrder, ProbeOutcome, Tls};

use super::open;

/// Handshakes with and without the endpoint's name.
pub(super) struct Handshake {
    named: TlsConnector,
    nameless: TlsConnector,
}

impl Handshake {
    /// Handshakes that offer these protocols, by ALPN.
    pub(super) fn new(protocols: &[&[u8]]) -> Handshake {
        let connector = |names| TlsConnector::from(Arc::new(config(names, protocols)));
        Handshake {
            named: connector(Names::Compared),
            nameless: connector(Names::Ignored),
        }
    }

    /// A handshake over that connection. With SNI, an endpoint that doesn't know the name, or
    /// shows a certificate for other names, is connected to once more and not told the name, as
    /// the service has it.
    pub(super) async fn run(
        &self,
        stream: TcpStream,
        order: &ProbeOrder,
        tls: Tls,
    ) -> Result<TlsStream<TcpStream>, ProbeOutcome> {
        let name = order.name.as_deref().filter(|_| tls.server_name);
        let stream = match name.and_then(dns_name) {
            None => stream,
            Some(name) => match self.named.connect(name, stream).await {
                Ok(secured) => return Ok(secured),
                Err(cause) if is_name_mismatch(&cause) => open(order.endpoint).await?,
                Err(cause) => return Err(failure(&cause)),
            },
        };
        // An address is never sent as a name (RFC 6066, section 3).
        let nameless = ServerName::from(order.endpoint.ip());
        let secured = self.nameless.connect(nameless, stream).await;
        secured.map_err(|cause| failure(&cause))
    }
}

fn dns_name(name: &str) -> Option<ServerName<'static>> {
    let name = name.strip_suffix('.').unwrap_or(name).to_owned();
    let name = ServerName::try_from(name).ok()?;
    matches!(name, ServerName::DnsName(_)).then_some(name)
}

fn config(names: Names, protocols: &[&[u8]]) -> ClientConfig {
    let provider = Arc::new(ring::default_provider());
    let verifier = Unvalidated {
        provider: Arc::clone(&provider),
        names,
    };
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("ring's provider has suites for TLS 1.2 and 1.3")
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_no_client_auth();
    // Every probe makes a whole handshake: one resumed would prove less.
    config.resumption = Resumption::disabled();
    config.alpn_protocols = protocols.iter().map(|name| name.to_vec()).collect();
    config
}

/// What becomes of the names in a certificate.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Names {
    /// A certificate for other names ends the handshake, so that it is made again without one.
    Compared,
    Ignored,
}

/// Takes any certificate, and any signature with it.
#[derive(Debug)]
struct Unvalidated {
    provider: Arc<CryptoProvider>,
    names: Names,
}

impl ServerCertVerifier for Unvalidated {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        // A certificate whose names can't be read has none that differ.
        if self.names == Names::Compared
            && let Ok(certificate) = ParsedCertificate::try_from(end_entity)
        {
            verify_server_name(&certificate, server_name)?;
        }
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _certificate: &CertificateDer<'_>,
        _signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _message: &[u8],
        _certificate: &CertificateDer<'_>,
        _signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider
            .signature_verification_algorithms
            .supported_schemes()
    }
}

fn tls_error(cause: &io::Error) -> Option<&Error> {
    cause.get_ref()?.downcast_ref()
}

fn is_name_mismatch(cause: &io::Error) -> bool {
    matches!(
        tls_error(cause),
        Some(
            Error::InvalidCertificate(
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. }
            ) | Error::AlertReceived(AlertDescription::UnrecognisedName)
        )
    )
}

/// How a handshake that failed is reported.
fn failure(cause: &io::Error) -> ProbeOutcome {
    match tls_error(cause) {
        Some(Error::AlertReceived(alert)) => {
            ProbeOutcome::Tls(format!("alert {}", alert_name(*alert)))
        }
        Some(error) => ProbeOutcome::Tls(ProbeOutcome::words(error)),
        None => super::failure(cause),
    }
}

/// An alert's name as RFC 8446, section 6, writes it.
fn alert_name(alert: AlertDescription) -> String {
    if alert == AlertDescription::UnrecognisedName {
        return "unrecognized_name".to_owned();
    }
    let mut name = String::new();
    for character in format!("{alert:?}").chars() {
        if character.is_ascii_uppercase() && !name.is_empty() {
            name.push('_');
        }
        name.push(character.to_ascii_lowercase());
    }
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn alerts_have_their_names() {
        assert_eq!(
            alert_name(AlertDescription::HandshakeFailure),
            "handshake_failure"
        );
        assert_eq!(
            alert_name(AlertDescription::UnrecognisedName),
            "unrecognized_name"
        );
    }

    #[test]
    fn only_a_name_is_sent_as_a_name() {
        assert!(dns_name("app.example.com.").is_some());
        for other in ["127.0.0.1", "::1", "", "not a name"] {
            assert!(dns_name(other).is_none(), "{other}");
        }
    }
}

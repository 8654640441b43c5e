//! The session: proof that a mutual-TLS handshake with one certain site is done. Only a finished
//! handshake makes one; what the certificate chain is worth is decided by the TLS configuration
//! (`certificate`), whose name it must bear here.

use std::fmt;

use rustls::pki_types::CertificateDer;
use rustls::{ClientConnection, CommonState, ProtocolVersion, ServerConnection};
use types::SiteName;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer, X509Certificate};

use crate::Class;
use crate::certificate::{Details, SUFFIX, protocol};

/// A finished handshake, TLS 1.3, both ends authenticated, with one site, for one class.
#[derive(Clone, PartialEq, Eq)]
pub struct Session {
    peer: SiteName,
    class: Class,
    certificate: Details,
}

/// The other end proved to be another site than the one meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the peer is {found}, not {expected}")]
pub struct WrongPeer {
    /// The site meant.
    pub expected: SiteName,
    /// The site found.
    pub found: SiteName,
}

/// A connection that makes no session.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SessionError {
    /// The handshake isn't finished.
    #[error("the TLS handshake isn't finished")]
    Handshaking,
    /// The protocol is not TLS 1.3.
    #[error("the connection speaks {0:?}, not TLS 1.3")]
    Version(Option<ProtocolVersion>),
    /// The ends agreed on no protocol of this link.
    #[error("the connection doesn't speak causeway-link/1")]
    Protocol,
    /// The peer showed no certificate.
    #[error("the peer showed no certificate")]
    NoCertificate,
    /// The peer's certificate names no site, or more than one.
    #[error("the peer's certificate doesn't name exactly one site: {0}")]
    Certificate(String),
    /// The peer is another site than the one dialled.
    #[error(transparent)]
    WrongPeer(#[from] WrongPeer),
}

impl Session {
    /// The session of a dialled connection with the site `expected`.
    ///
    /// # Errors
    /// The handshake isn't finished, isn't TLS 1.3 in this link's protocol, or the certificate is
    /// not that site's.
    pub fn from_client(
        connection: &ClientConnection,
        expected: SiteName,
    ) -> Result<Session, SessionError> {
        let session = Session::from_state(connection)?;
        if session.peer != expected {
            let found = session.peer;
            return Err(WrongPeer { expected, found }.into());
        }
        Ok(session)
    }

    /// The session of an accepted connection; it says who has dialled.
    ///
    /// # Errors
    /// The handshake isn't finished, isn't TLS 1.3 in this link's protocol, or the certificate
    /// names no site.
    pub fn from_server(connection: &ServerConnection) -> Result<Session, SessionError> {
        Session::from_state(connection)
    }

    /// The site at the other end.
    pub fn peer(&self) -> SiteName {
        self.peer
    }

    /// The class the connection was made for.
    pub fn class(&self) -> Class {
        self.class
    }

    /// The certificate that the other end proved itself with.
    pub fn certificate(&self) -> &Details {
        &self.certificate
    }

    fn from_state(state: &CommonState) -> Result<Session, SessionError> {
        if state.is_handshaking() {
            return Err(SessionError::Handshaking);
        }
        let version = state.protocol_version();
        if version != Some(ProtocolVersion::TLSv1_3) {
            return Err(SessionError::Version(version));
        }
        let class = Class::ALL
            .into_iter()
            .find(|class| state.alpn_protocol() == Some(protocol(*class)))
            .ok_or(SessionError::Protocol)?;
        let certificate = state
            .peer_certificates()
            .and_then(|chain| chain.first())
            .ok_or(SessionError::NoCertificate)?;
        let peer = site_of(certificate)?;
        let certificate = Details::of(certificate);
        let certificate =
            certificate.map_err(|error| SessionError::Certificate(error.to_string()))?;
        Ok(Session {
            peer,
            class,
            certificate,
        })
    }
}

/// The one site that a certificate names.
pub(crate) fn site_of(certificate: &CertificateDer<'_>) -> Result<SiteName, SessionError> {
    let invalid = |why: String| SessionError::Certificate(why);
    let (_, parsed) =
        X509Certificate::from_der(certificate).map_err(|error| invalid(error.to_string()))?;
    let names = parsed
        .subject_alternative_name()
        .map_err(|error| invalid(error.to_string()))?
        .ok_or_else(|| invalid("no subject alternative name".to_owned()))?;
    let [GeneralName::DNSName(name)] = names.value.general_names[..] else {
        return Err(invalid("not exactly one DNS name".to_owned()));
    };
    name.strip_suffix(SUFFIX)
        .and_then(|site| site.parse().ok())
        .ok_or_else(|| invalid(format!("'{name}'")))
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Session({} with {})", self.class, self.peer)
    }
}

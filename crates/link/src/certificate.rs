//! The deployment's certificate authority, the one certificate of each site, and the TLS
//! configurations made of them: TLS 1.3 only, both ends authenticated, no resumption, so that
//! each connection checks the certificates anew.
//!
//! Keys come from ring, which draws system randomness by itself. No clock is read: validity
//! counts from a `now` that is passed in, and rustls is told the time by the caller's
//! `TimeProvider`. Give it the machine's true time in a lab and the virtual one in a simulation:
//! a site whose clock is set wrong on purpose must go on talking, as its links' TLS is not what
//! that fault is about. No key is ever printed.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};
use rustls::client::Resumption;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, ServerName, UnixTime};
use rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
use rustls::time_provider::TimeProvider;
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use serde::{Deserialize, Serialize};
use types::{Environment, SiteName, Timestamp};
use x509_parser::prelude::{FromDer, X509Certificate};
use zeroize::Zeroizing;

use crate::Class;
use crate::handshake::{HandshakeError, in_memory};
use crate::session::site_of;

/// What a site's name in a certificate ends in: `eu-west-1.link.causeway`.
pub const SUFFIX: &str = ".link.causeway";

/// How long a certificate authority is valid: ten years.
pub const AUTHORITY_VALIDITY: Duration = Duration::from_secs(10 * 365 * 86_400);

/// How long a site's certificate is valid: ninety days. The lab issues a new one at each start,
/// and when a third is left ([`Details::is_due`]).
pub const SITE_VALIDITY: Duration = Duration::from_secs(90 * 86_400);

/// How long before it was issued a certificate is already valid, so that a peer whose clock is
/// late believes it: one day.
pub const BACKDATED: Duration = Duration::from_secs(86_400);

/// The subject of every authority. Authorities differ by their keys.
const AUTHORITY_NAME: &str = "Causeway link authority";

/// A certificate or key that can't be made, read or used.
#[derive(Debug, thiserror::Error)]
pub enum CertificateError {
    /// Making or signing failed.
    #[error("making a certificate: {0}")]
    Making(#[from] rcgen::Error),
    /// The PEM text doesn't hold what it should.
    #[error("reading {what}: {why}")]
    Pem {
        /// What was read.
        what: &'static str,
        /// Why it can't be.
        why: String,
    },
    /// The certificate is another site's, or no site's.
    #[error("the certificate is not {site}'s: {why}")]
    NotOfSite {
        /// The site it should name.
        site: SiteName,
        /// What was found.
        why: String,
    },
    /// Every peer would refuse it.
    #[error("no peer would accept {site}'s certificate: {why}")]
    Worthless {
        /// Whose it is.
        site: SiteName,
        /// What a handshake with it came to.
        why: HandshakeError,
    },
    /// rustls refuses the certificate or the key.
    #[error("configuring TLS: {0}")]
    Tls(#[from] rustls::Error),
    /// The authorities can't be used to verify a peer.
    #[error("configuring TLS: {0}")]
    Verifier(#[from] rustls::server::VerifierBuilderError),
}

/// The authority that signs the certificate of each site of one deployment.
pub struct CertificateAuthority {
    certificate: CertificateDer<'static>,
    certificate_pem: String,
    key: KeyPair,
}

/// What a site proves itself with: its certificate, its key, and the authorities it believes.
pub struct Identity {
    site: SiteName,
    certificate: CertificateDer<'static>,
    key: PrivatePkcs8KeyDer<'static>,
    authorities: Vec<CertificateDer<'static>>,
    certificate_pem: String,
    key_pem: Zeroizing<String>,
}

/// Which certificate it is, and for how long it is valid.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Details {
    /// Its serial number in hexadecimal, as `openssl x509 -serial` prints it.
    pub serial: String,
    /// Valid from then on (RFC 5280, notBefore).
    pub valid_from: Timestamp,
    /// Valid until then (RFC 5280, notAfter).
    pub valid_until: Timestamp,
}

/// Tells rustls the wall time of an environment.
#[derive(Clone)]
pub struct EnvironmentTime(pub Arc<dyn Environment>);

/// The ALPN protocol of a class's connection. The dialling end offers one; so both ends know the
/// class when the handshake is done, authenticated.
pub fn protocol(class: Class) -> &'static [u8] {
    match class {
        Class::Control => b"causeway-link/1/control",
        Class::Data => b"causeway-link/1/data",
        Class::Bulk => b"causeway-link/1/bulk",
    }
}

/// The name a certificate of that site bears and a dialling end asks for.
pub fn server_name(site: SiteName) -> ServerName<'static> {
    ServerName::try_from(format!("{site}{SUFFIX}"))
        .expect("names of Regions and edges are DNS labels")
}

impl CertificateAuthority {
    /// Makes a new authority, valid from a day before `now` for `AUTHORITY_VALIDITY`.
    ///
    /// # Errors
    /// The system gives no randomness.
    pub fn generate(now: Timestamp) -> Result<CertificateAuthority, CertificateError> {
        let key = KeyPair::generate()?;
        let params = valid(authority_params(), now, AUTHORITY_VALIDITY);
        let certificate = params.self_signed(&key)?;
        Ok(CertificateAuthority {
            certificate_pem: certificate.pem(),
            certificate: certificate.into(),
            key,
        })
    }

    /// Reads an authority that was written with `certificate_pem` and `key_pem`.
    ///
    /// # Errors
    /// The texts hold no certificate and key, or ones that don't belong together.
    pub fn from_pem(certificate: &str, key: &str) -> Result<Self, CertificateError> {
        const WHAT: &str = "the certificate authority";
        let der = CertificateDer::from_pem_slice(certificate.as_bytes())
            .map_err(|error| pem_error(WHAT, error))?;
        let key = KeyPair::from_pem(key).map_err(|error| pem_error("its key", error))?;
        let parsed = X509Certificate::from_der(&der)
            .map_err(|error| pem_error(WHAT, error))?
            .1;
        if *parsed.public_key().subject_public_key.data != *key.public_key_raw() {
            return Err(pem_error(WHAT, "its key belongs to another certificate"));
        }
        Ok(CertificateAuthority {
            certificate_pem: certificate.to_owned(),
            certificate: der,
            key,
        })
    }

    /// The authority's certificate as PEM.
    pub fn certificate_pem(&self) -> &str {
        &self.certificate_pem
    }

    /// The authority's key as PEM. Whoever has it can be any site.
    pub fn key_pem(&self) -> Zeroizing<String> {
        Zeroizing::new(self.key.serialize_pem())
    }

    /// Issues a site's certificate, valid from a day before `now` for `SITE_VALIDITY`, with a new
    /// key.
    ///
    /// # Errors
    /// The system gives no randomness.
    pub fn issue(&self, site: SiteName, now: Timestamp) -> Result<Identity, CertificateError> {
        let key = KeyPair::generate()?;
        let mut params = CertificateParams::new(vec![format!("{site}{SUFFIX}")])?;
        params.distinguished_name = rcgen::DistinguishedName::new();
        let name = site.to_string();
        params.distinguished_name.push(DnType::CommonName, name);
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![
            ExtendedKeyUsagePurpose::ServerAuth,
            ExtendedKeyUsagePurpose::ClientAuth,
        ];
        params.use_authority_key_identifier_extension = true;
        let params = valid(params, now, SITE_VALIDITY);
        let issuer_params = authority_params();
        let issuer = Issuer::from_params(&issuer_params, &self.key);
        let certificate = params.signed_by(&key, &issuer)?;
        Ok(Identity {
            site,
            certificate_pem: certificate.pem(),
            certificate: certificate.into(),
            key: PrivatePkcs8KeyDer::from(key.serialize_der()),
            key_pem: Zeroizing::new(key.serialize_pem()),
            authorities: vec![self.certificate.clone()],
        })
    }
}

impl Identity {
    /// Reads an identity. `authorities` holds one certificate, or two while the deployment
    /// changes its authority.
    ///
    /// # Errors
    /// The texts don't hold what they should, or the certificate is another site's.
    pub fn from_pem(
        site: SiteName,
        authorities: &str,
        certificate: &str,
        key: &str,
    ) -> Result<Identity, CertificateError> {
        let der = CertificateDer::from_pem_slice(certificate.as_bytes())
            .map_err(|error| pem_error("the site's certificate", error))?;
        match site_of(&der) {
            Ok(found) if found == site => {}
            Ok(found) => {
                let why = format!("it names {found}");
                return Err(CertificateError::NotOfSite { site, why });
            }
            Err(error) => {
                let why = error.to_string();
                return Err(CertificateError::NotOfSite { site, why });
            }
        }
        let authorities = CertificateDer::pem_slice_iter(authorities.as_bytes())
            .collect::<Result<Vec<_>, _>>()
            .map_err(|error| pem_error("the certificate authorities", error))?;
        if authorities.is_empty() {
            return Err(pem_error("the certificate authorities", "there is none"));
        }
        let parsed = PrivatePkcs8KeyDer::from_pem_slice(key.as_bytes())
            .map_err(|error| pem_error("the site's key", error))?;
        Ok(Identity {
            site,
            certificate: der,
            key: parsed,
            authorities,
            certificate_pem: certificate.to_owned(),
            key_pem: Zeroizing::new(key.to_owned()),
        })
    }

    /// The site this is.
    pub fn site(&self) -> SiteName {
        self.site
    }

    /// The certificate as PEM.
    pub fn certificate_pem(&self) -> &str {
        &self.certificate_pem
    }

    /// The key as PEM.
    pub fn key_pem(&self) -> &str {
        &self.key_pem
    }

    /// Which certificate it is, and for how long it is valid.
    ///
    /// # Errors
    /// The certificate can't be parsed.
    pub fn details(&self) -> Result<Details, CertificateError> {
        Details::of(&self.certificate)
    }

    /// Whether it would do at that time, as its peers judge: a handshake with itself, in memory.
    ///
    /// # Errors
    /// A peer that believes the same authorities would refuse it, or rustls does.
    pub fn prove(&self, time: Arc<dyn TimeProvider>) -> Result<(), CertificateError> {
        let client = self.client_config(Class::Control, Arc::clone(&time))?;
        let server = self.server_config(time)?;
        let site = self.site;
        match in_memory(&client, site, &server) {
            Ok(_) => Ok(()),
            Err(why) => Err(CertificateError::Worthless { site, why }),
        }
    }

    /// The configuration to dial with, for one class. Ask for `server_name` of the peer.
    ///
    /// # Errors
    /// rustls refuses the certificate, the key or an authority.
    pub fn client_config(
        &self,
        class: Class,
        time: Arc<dyn TimeProvider>,
    ) -> Result<Arc<ClientConfig>, CertificateError> {
        let mut config = ClientConfig::builder_with_details(provider(), time)
            .with_protocol_versions(&[&rustls::version::TLS13])?
            .with_root_certificates(self.roots()?)
            .with_client_auth_cert(vec![self.certificate.clone()], self.private_key())?;
        config.alpn_protocols = vec![protocol(class).to_vec()];
        config.resumption = Resumption::disabled();
        Ok(Arc::new(config))
    }

    /// The configuration to accept with, for every class.
    ///
    /// # Errors
    /// rustls refuses the certificate, the key or an authority.
    pub fn server_config(
        &self,
        time: Arc<dyn TimeProvider>,
    ) -> Result<Arc<ServerConfig>, CertificateError> {
        let roots = Arc::new(self.roots()?);
        let verifier = WebPkiClientVerifier::builder_with_provider(roots, provider()).build()?;
        let mut config = ServerConfig::builder_with_details(provider(), time)
            .with_protocol_versions(&[&rustls::version::TLS13])?
            .with_client_cert_verifier(verifier)
            .with_single_cert(vec![self.certificate.clone()], self.private_key())?;
        config.alpn_protocols = Class::ALL.map(|class| protocol(class).to_vec()).into();
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
        Ok(Arc::new(config))
    }

    fn roots(&self) -> Result<RootCertStore, CertificateError> {
        let mut roots = RootCertStore::empty();
        for authority in &self.authorities {
            roots.add(authority.clone())?;
        }
        Ok(roots)
    }

    fn private_key(&self) -> PrivateKeyDer<'static> {
        PrivateKeyDer::Pkcs8(self.key.clone_key())
    }
}

impl Details {
    pub(crate) fn of(certificate: &CertificateDer<'_>) -> Result<Details, CertificateError> {
        let (_, parsed) = X509Certificate::from_der(certificate)
            .map_err(|error| pem_error("the site's certificate", error))?;
        let serial = match parsed.raw_serial() {
            // A byte that only keeps the number from being a negative one.
            [0, rest @ ..] if !rest.is_empty() => rest,
            whole => whole,
        };
        let validity = parsed.validity();
        let time =
            |seconds: i64| Timestamp(u64::try_from(seconds).unwrap_or(0).saturating_mul(1000));
        Ok(Details {
            serial: serial.iter().map(|byte| format!("{byte:02X}")).collect(),
            valid_from: time(validity.not_before.timestamp()),
            valid_until: time(validity.not_after.timestamp()),
        })
    }

    /// Is it time for another one? Less than a third of its validity is left, or it is not valid
    /// yet, since the clock that it was issued by has been set back.
    pub fn is_due(&self, now: Timestamp) -> bool {
        let validity = self.valid_until.0.saturating_sub(self.valid_from.0);
        let left = self.valid_until.0.saturating_sub(now.0);
        now < self.valid_from || left == 0 || left.saturating_mul(3) < validity
    }
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

/// What all authorities have in common; an issuer is made of it and a key.
fn authority_params() -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = rcgen::DistinguishedName::new();
    params
        .distinguished_name
        .push(DnType::CommonName, AUTHORITY_NAME);
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params
}

fn valid(mut params: CertificateParams, now: Timestamp, validity: Duration) -> CertificateParams {
    let epoch = rcgen::date_time_ymd(1970, 1, 1);
    let now = Duration::from_millis(now.0);
    params.not_before = epoch + now.saturating_sub(BACKDATED);
    params.not_after = epoch + now + validity;
    params
}

fn pem_error(what: &'static str, why: impl fmt::Display) -> CertificateError {
    let why = why.to_string();
    CertificateError::Pem { what, why }
}

impl TimeProvider for EnvironmentTime {
    fn current_time(&self) -> Option<UnixTime> {
        let wall = self.0.now().wall;
        Some(UnixTime::since_unix_epoch(Duration::from_millis(wall.0)))
    }
}

impl fmt::Debug for EnvironmentTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("EnvironmentTime")
    }
}

impl fmt::Debug for CertificateAuthority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CertificateAuthority(key withheld)")
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Identity({}, key withheld)", self.site)
    }
}

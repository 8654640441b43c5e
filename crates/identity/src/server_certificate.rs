//! Server certificates as they are uploaded: what may be stored, and what a listener opens. A
//! certificate, its chain and its key are held against each other once, when they come; a key is
//! kept sealed and never shown.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rustls::crypto::ring::sign::any_supported_type;
use rustls::pki_types::pem::{PemObject, SectionKind};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use types::{AccountId, ConfigurationView};
use x509_parser::prelude::{FromDer, X509Certificate};
use zeroize::Zeroizing;

use crate::Service;
use crate::entries::{self, EntryError};
use crate::model::{Milliseconds, ServerCertificate};
use crate::sealer::Purpose;

/// Certificates of a chain: longer ones are of no use to any client.
const LONGEST_CHAIN: usize = 20;

/// Why something isn't stored as a server certificate. It repeats nothing of what was sent.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub(crate) enum CertificateFault {
    /// The body isn't one certificate.
    #[error("Unable to parse certificate. Please ensure the certificate is in PEM format.")]
    Body,
    /// The chain isn't made of certificates.
    #[error("Unable to parse certificate chain. Please ensure the chain is in PEM format.")]
    Chain,
    /// Each certificate of a chain must be signed by the next.
    #[error(
        "Unable to validate certificate chain. The certificate chain must start with the \
             immediate signing certificate, followed by any intermediaries in order."
    )]
    Order,
    /// The key isn't one that can be used.
    #[error(
        "Unable to parse private key. Please ensure the key is an unencrypted RSA, ECDSA or \
             Ed25519 key in PEM format."
    )]
    Key,
    /// The key is another certificate's.
    #[error("The provided private key does not match the public key in the certificate.")]
    Pair,
}

/// A certificate as a listener uses it.
pub struct OpenedCertificate {
    /// The certificate and those between it and its authority, in PEM.
    pub chain: String,
    /// Its key, in PEM.
    pub key: Zeroizing<String>,
}

impl fmt::Debug for OpenedCertificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("OpenedCertificate(key withheld)")
    }
}

/// Holds a certificate, its key and its chain against each other, all in PEM; gives when the
/// certificate ends.
///
/// # Errors
///
/// [`CertificateFault`], the first that applies.
pub(crate) fn check(
    body: &str,
    key: &str,
    chain: Option<&str>,
) -> Result<Milliseconds, CertificateFault> {
    let bodies = certificates(body).ok_or(CertificateFault::Body)?;
    let [own] = &bodies[..] else {
        return Err(CertificateFault::Body);
    };
    let above = match chain {
        Some(chain) => certificates(chain).ok_or(CertificateFault::Chain)?,
        None => Vec::new(),
    };
    if chain.is_some() && !(1..=LONGEST_CHAIN).contains(&above.len()) {
        return Err(CertificateFault::Chain);
    }
    let parsed = parse(own).ok_or(CertificateFault::Body)?;
    let mut below = parsed.clone();
    for issuer in &above {
        let issuer = parse(issuer).ok_or(CertificateFault::Chain)?;
        if below.issuer().as_raw() != issuer.subject().as_raw() {
            return Err(CertificateFault::Order);
        }
        below = issuer;
    }
    let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).map_err(|_| CertificateFault::Key)?;
    let key = any_supported_type(&key).map_err(|_| CertificateFault::Key)?;
    let public = key.public_key().ok_or(CertificateFault::Key)?;
    if public.as_ref() != parsed.public_key().raw {
        return Err(CertificateFault::Pair);
    }
    let ends = parsed.validity().not_after.timestamp();
    Ok(Milliseconds::try_from(ends)
        .unwrap_or(0)
        .saturating_mul(1_000))
}

/// The certificates of a text in PEM that holds nothing else. A key among them would be kept in the
/// open, and shown to whoever may read the certificate.
fn certificates(text: &str) -> Option<Vec<CertificateDer<'static>>> {
    let sections = <(SectionKind, Vec<u8>)>::pem_slice_iter(text.as_bytes());
    let certificates = sections.take(LONGEST_CHAIN + 1).map(|section| {
        let (kind, der) = section.ok()?;
        (kind == SectionKind::Certificate).then(|| CertificateDer::from(der))
    });
    certificates.collect()
}

fn parse<'d>(certificate: &'d CertificateDer<'_>) -> Option<X509Certificate<'d>> {
    let (rest, parsed) = X509Certificate::from_der(certificate).ok()?;
    rest.is_empty().then_some(parsed)
}

/// The account and the name that the ARN of a server certificate names.
fn named(arn: &str) -> Option<(AccountId, &str)> {
    let rest = arn.strip_prefix("arn:aws:iam::")?;
    let (account, path) = rest.split_once(":server-certificate/")?;
    Some((account.parse().ok()?, path.rsplit('/').next()?))
}

/// The server certificate that had that ARN when it was renamed, and was used by it.
///
/// # Errors
/// One of the account can't be read.
pub(crate) fn formerly(
    view: &dyn ConfigurationView,
    account: AccountId,
    arn: &str,
) -> Result<Option<ServerCertificate>, EntryError> {
    let mut all = entries::all::<ServerCertificate>(view, account)?.into_iter();
    let found = all.find(|(_, one)| one.former.iter().any(|former| former == arn));
    Ok(found.map(|(_, certificate)| certificate))
}

impl Service {
    /// The server certificate of that ARN with its key, as listeners use it, which may have another
    /// name by now; `None`: there is none here, or none that can be opened.
    pub fn server_certificate(&self, arn: &str) -> Option<OpenedCertificate> {
        let (account, name) = named(arn)?;
        let view = self.view();
        let found = entries::read::<ServerCertificate>(&*view, account, name).ok()?;
        let found = found.filter(|(_, found)| found.arn(account) == arn);
        let certificate = match found {
            Some((_, certificate)) => certificate,
            None => formerly(&*view, account, arn).ok()??,
        };
        let sealed = STANDARD.decode(&certificate.sealed).ok()?;
        let sealer = &self.config.sealer;
        let key = sealer.open(Purpose::ServerCertificate, &certificate.id, &sealed);
        let key = key.ok()?;
        let mut chain = certificate.body.into_string();
        if let Some(above) = certificate.chain {
            if !chain.ends_with('\n') {
                chain.push('\n');
            }
            chain.push_str(&above);
        }
        Some(OpenedCertificate {
            chain,
            key: Zeroizing::new(std::str::from_utf8(&key).ok()?.to_owned()),
        })
    }
}

//! How clients reach the lab: the address of the front door, and TLS there and at each Region's own
//! address. The lab makes certificates of its own authority, or takes the operator's file. It opens
//! nothing, and it refuses plain HTTP outside loopback unless the operator says so.

mod certificate;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};

use runtime::{EndpointTls, ServerTls, Trust};
use serde::{Deserialize, Serialize};
use types::Timestamp;
use zeroize::Zeroizing;

use crate::failure::Failure;
use crate::files::{self, Readers};
use crate::protocol::TlsFiles;

/// The certificate of the lab's endpoint authority, which clients are to trust.
const AUTHORITY: &str = "endpoint-authority.pem";
/// Its key.
const AUTHORITY_KEY: &str = "endpoint-authority-key.pem";
/// The certificate that it signed for this start.
const CERTIFICATE: &str = "endpoint-certificate.pem";
/// Its key.
const KEY: &str = "endpoint-key.pem";

/// What can be asked of a lab that starts.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct EndpointWishes {
    /// The address of the front door.
    pub bind: Option<IpAddr>,
    /// TLS with a certificate that the lab makes, or none.
    pub tls: Option<bool>,
    /// TLS with that certificate and that key.
    pub files: Option<TlsFiles>,
    /// Names and addresses in a certificate that the lab makes, beside its own.
    pub names: Option<Vec<String>>,
    /// Plain HTTP outside loopback.
    pub allow_plain_http: Option<bool>,
}

/// How clients reach the lab, as `lab.toml` has it.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EndpointSettings {
    /// The address of the front door; without it, 127.0.0.1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    bind: Option<IpAddr>,
    /// Whether plain HTTP is spoken outside loopback.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    allow_plain_http: bool,
    /// Whether TLS is spoken with a certificate that the lab makes.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    generated_tls: bool,
    /// What stands in that beside the lab's own names and addresses.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    names: Vec<String>,
    /// The operator's own certificate and key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    files: Option<TlsFiles>,
    /// The name that the operator's own certificate is for, where it isn't for the address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    host: Option<String>,
}

impl EndpointSettings {
    /// Is it what a lab has that was asked for nothing?
    pub fn is_default(&self) -> bool {
        *self == EndpointSettings::default()
    }

    /// Takes over what was asked for, and refuses what can't be.
    pub(super) fn wish(&mut self, wishes: &EndpointWishes) -> anyhow::Result<()> {
        self.bind = wishes.bind.or(self.bind);
        self.allow_plain_http = wishes.allow_plain_http.unwrap_or(self.allow_plain_http);
        if let Some(generated) = wishes.tls {
            self.generated_tls = generated;
            self.files = None;
        }
        if let Some(files) = &wishes.files {
            self.generated_tls = false;
            self.files = Some(TlsFiles {
                certificate: found(&files.certificate)?,
                key: found(&files.key)?,
            });
        }
        if let Some(names) = &wishes.names {
            certificate::check_names(names)?;
            self.names.clone_from(names);
        }
        self.host = match &self.files {
            Some(files) => look_at(files, self.call_address())?,
            None => None,
        };
        self.refuse_plain_http()
    }

    fn refuse_plain_http(&self) -> anyhow::Result<()> {
        let bind = self.bind();
        if self.has_tls() || self.allow_plain_http || bind.is_loopback() {
            return Ok(());
        }
        let failure = format!(
            "at {bind} others could read what is sent in plain HTTP, and take over sessions"
        );
        let next = "add --tls, or --tls-certificate FILE --tls-key FILE; where nobody else is in \
                    that network, --allow-plain-http";
        Err(Failure::wrong_use(failure).then(next).into())
    }

    fn bind(&self) -> IpAddr {
        self.bind.unwrap_or(Ipv4Addr::LOCALHOST.into())
    }

    /// Where the front door listens.
    pub fn listens(&self, port: u16) -> SocketAddr {
        SocketAddr::new(self.bind(), port)
    }

    /// Where it is called from this machine: at its address, or, where it listens on all of them,
    /// at loopback.
    pub fn called(&self, port: u16) -> SocketAddr {
        SocketAddr::new(self.call_address(), port)
    }

    fn call_address(&self) -> IpAddr {
        match self.bind() {
            IpAddr::V4(bind) if bind.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
            IpAddr::V6(bind) if bind.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
            bind => bind,
        }
    }

    /// Is TLS spoken?
    pub fn has_tls(&self) -> bool {
        self.generated_tls || self.files.is_some()
    }

    fn scheme(&self) -> &'static str {
        match self.has_tls() {
            true => "https",
            false => "http",
        }
    }

    /// The front door as a URL for clients: by the name in the operator's own certificate, where
    /// that isn't for the address.
    pub fn url(&self, port: u16) -> String {
        let scheme = self.scheme();
        match &self.host {
            Some(host) => format!("{scheme}://{host}:{port}"),
            None => format!("{scheme}://{}", self.called(port)),
        }
    }

    /// A Region's own address as a URL.
    pub fn url_of(&self, address: SocketAddr) -> String {
        format!("{}://{address}", self.scheme())
    }

    /// The files of certificate and key of the lab in that directory; `None` without TLS.
    pub fn files(&self, directory: &Path) -> Option<TlsFiles> {
        let generated = self.generated_tls.then(|| TlsFiles {
            certificate: directory.join(CERTIFICATE),
            key: directory.join(KEY),
        });
        self.files.clone().or(generated)
    }

    /// The file with the authority that clients must be told to trust: that of the lab. Whoever
    /// brings a certificate knows who trusts it.
    pub fn authority(&self, directory: &Path) -> Option<PathBuf> {
        self.generated_tls.then(|| directory.join(AUTHORITY))
    }

    /// The file with the key that signs certificates of this lab; none where the operator brings
    /// a certificate.
    pub fn authority_key(&self, directory: &Path) -> Option<PathBuf> {
        self.generated_tls.then(|| directory.join(AUTHORITY_KEY))
    }

    /// Whom a client that can read the lab's files takes for the lab.
    pub fn trust(&self, directory: &Path) -> anyhow::Result<Option<Trust>> {
        let Some(files) = self.files(directory) else {
            return Ok(None);
        };
        let trust = Trust::certificate(&files::read(&files.certificate)?);
        Ok(Some(
            trust.map_err(|cause| wrong(&files.certificate, &cause))?,
        ))
    }

    /// Makes the certificate of this start, if the lab is to make one, for those addresses beside
    /// its own; and the authority, if there is none yet.
    pub(super) fn make(
        &self,
        directory: &Path,
        regions: impl Iterator<Item = IpAddr>,
        now: Timestamp,
    ) -> anyhow::Result<()> {
        if !self.generated_tls {
            return Ok(());
        }
        let (authority, authority_key) = (directory.join(AUTHORITY), directory.join(AUTHORITY_KEY));
        if !authority.exists() {
            let made = certificate::authority(now)?;
            files::write(&authority_key, &made.key, Readers::Owner)?;
            files::write(&authority, &made.certificate, Readers::Anyone)?;
        }
        let key = Zeroizing::new(files::read(&authority_key)?);
        let addresses = regions.chain([self.call_address()]);
        let made = certificate::issue(&key, &self.names, addresses, now)?;
        files::write(&directory.join(KEY), &made.key, Readers::Owner)?;
        files::write(
            &directory.join(CERTIFICATE),
            &made.certificate,
            Readers::Anyone,
        )
    }
}

/// What the endpoints of a Region's databases prove themselves with.
pub struct DatabaseCertificates {
    certificate: String,
    key: Zeroizing<String>,
    /// Of the authority that signs one for each address.
    authority_key: Option<Zeroizing<String>>,
}

impl DatabaseCertificates {
    /// From the files of the lab's certificate, and of the key that signed that, if it is to sign
    /// others.
    ///
    /// # Errors
    /// One of them can't be read, or the certificate and its key can't be used together.
    pub fn read(tls: &TlsFiles, authority_key: Option<&Path>) -> anyhow::Result<Self> {
        let authority_key = authority_key.map(files::read).transpose()?;
        let certificates = DatabaseCertificates {
            certificate: files::read(&tls.certificate)?,
            key: Zeroizing::new(files::read(&tls.key)?),
            authority_key: authority_key.map(Zeroizing::new),
        };
        let usable = EndpointTls::from_pem(&certificates.certificate, &certificates.key);
        usable.map_err(|cause| wrong(&tls.certificate, &cause))?;
        Ok(certificates)
    }

    /// What the endpoint at that address proves itself with: a certificate that is for that
    /// address, unless the operator brought one.
    ///
    /// # Errors
    /// It can't be signed.
    pub fn at(&self, address: IpAddr) -> anyhow::Result<EndpointTls> {
        let lab = (self.certificate.as_str(), self.key.as_str());
        let own = match (&self.authority_key, address) {
            (Some(authority_key), IpAddr::V4(address)) => {
                Some(certificate::also_for(authority_key, lab, address)?)
            }
            _ => None,
        };
        let certificate = own.as_ref().unwrap_or(&self.certificate);
        Ok(EndpointTls::from_pem(certificate, &self.key)?)
    }
}

/// What a server proves itself with, read from its files.
pub fn server_tls(files: &TlsFiles) -> anyhow::Result<ServerTls> {
    let certificate = files::read(&files.certificate)?;
    let key = Zeroizing::new(files::read(&files.key)?);
    Ok(ServerTls::from_pem(&certificate, &key)
        .map_err(|cause| wrong(&files.certificate, &cause))?)
}

/// The operator's own certificate can be used; gives the name to call it by, if it isn't for that
/// address.
fn look_at(files: &TlsFiles, address: IpAddr) -> anyhow::Result<Option<String>> {
    server_tls(files)?;
    let text = files::read(&files.certificate)?;
    let host = certificate::host(&text, address);
    Ok(host.map_err(|cause| wrong(&files.certificate, &cause))?)
}

/// A file of the operator's, by its absolute path.
fn found(file: &Path) -> Result<PathBuf, Failure> {
    file.canonicalize().map_err(|cause| wrong(file, &cause))
}

fn wrong(file: &Path, cause: &dyn std::fmt::Display) -> Failure {
    Failure::wrong_use(format!("{}: {cause}", file.display()))
        .then("name a certificate and its key in PEM format with --tls-certificate and --tls-key")
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp(1_700_000_000_000);

    fn wished(wishes: &EndpointWishes) -> anyhow::Result<EndpointSettings> {
        let mut settings = EndpointSettings::default();
        settings.wish(wishes)?;
        Ok(settings)
    }

    fn at(bind: &str) -> EndpointWishes {
        EndpointWishes {
            bind: Some(bind.parse().unwrap()),
            ..EndpointWishes::default()
        }
    }

    #[test]
    fn plain_http_stays_within_loopback_unless_the_operator_says_so() {
        for bind in ["127.0.0.1", "127.5.0.1", "::1"] {
            assert!(!wished(&at(bind)).unwrap().has_tls());
        }
        for bind in ["0.0.0.0", "::", "192.0.2.1", "2001:db8::1"] {
            let refused = Failure::from(wished(&at(bind)).unwrap_err());
            assert_eq!(refused.code, crate::failure::ExitCode::WrongUse);
            let next = refused.next.unwrap();
            assert!(next.contains("--tls") && next.contains("--allow-plain-http"));
            for wishes in [
                EndpointWishes {
                    tls: Some(true),
                    ..at(bind)
                },
                EndpointWishes {
                    allow_plain_http: Some(true),
                    ..at(bind)
                },
            ] {
                wished(&wishes).unwrap();
            }
        }
        // What was allowed once can be taken back.
        let mut settings = wished(&EndpointWishes {
            allow_plain_http: Some(true),
            ..at("0.0.0.0")
        })
        .unwrap();
        let back = EndpointWishes {
            allow_plain_http: Some(false),
            ..EndpointWishes::default()
        };
        assert!(settings.wish(&back).is_err());
    }

    #[test]
    fn urls_say_the_scheme_and_lead_to_this_machine() {
        let settings = wished(&EndpointWishes::default()).unwrap();
        assert!(settings.is_default());
        assert_eq!(settings.url(4566), "http://127.0.0.1:4566");
        let tls = EndpointWishes {
            tls: Some(true),
            ..at("::")
        };
        let settings = wished(&tls).unwrap();
        assert_eq!(settings.listens(4566).to_string(), "[::]:4566");
        assert_eq!(settings.url(4566), "https://[::1]:4566");
        let region = "127.1.1.1:4566".parse().unwrap();
        assert_eq!(settings.url_of(region), "https://127.1.1.1:4566");
    }

    #[test]
    fn a_certificate_is_made_anew_under_an_authority_that_stays() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path();
        let settings = wished(&EndpointWishes {
            tls: Some(true),
            names: Some(vec!["lab.example.com".to_owned(), "192.0.2.7".to_owned()]),
            ..EndpointWishes::default()
        });
        let settings = settings.unwrap();
        let region: IpAddr = "127.1.1.1".parse().unwrap();
        let make = || {
            settings.make(path, [region].into_iter(), NOW).unwrap();
            let text = |name: &str| std::fs::read_to_string(path.join(name)).unwrap();
            (text(AUTHORITY), text(CERTIFICATE))
        };
        let (first, second) = (make(), make());
        assert_eq!(first.0, second.0);
        assert_ne!(first.1, second.1);
        let files = settings.files(path).unwrap();
        server_tls(&files).unwrap();
        assert!(settings.trust(path).unwrap().is_some());
        assert_eq!(settings.authority(path), Some(path.join(AUTHORITY)));
        for key in [KEY, AUTHORITY_KEY] {
            use std::os::unix::fs::PermissionsExt;
            let mode = path.join(key).metadata().unwrap().permissions().mode();
            assert_eq!(mode & 0o077, 0, "{key}");
        }
    }

    #[test]
    fn the_operator_s_own_certificate_is_looked_at_before_anything_starts() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path();
        let now = Timestamp(u64::try_from(now_milliseconds()).unwrap());
        let authority = certificate::authority(now).unwrap();
        let names = vec!["lab.example.com".to_owned()];
        let nowhere = std::iter::empty();
        let made = certificate::issue(&authority.key, &names, nowhere, now).unwrap();
        let file = |name: &str, text: &str| {
            std::fs::write(path.join(name), text).unwrap();
            path.join(name)
        };
        let (certificate, key) = (
            file("certificate.pem", &made.certificate),
            file("key.pem", &made.key),
        );
        let with = |certificate: &Path, key: &Path| {
            wished(&EndpointWishes {
                files: Some(TlsFiles {
                    certificate: certificate.to_owned(),
                    key: key.to_owned(),
                }),
                ..EndpointWishes::default()
            })
        };
        let settings = with(&certificate, &key).unwrap();
        assert_eq!(settings.url(4566), "https://127.0.0.1:4566");
        assert_eq!(settings.authority(path), None);
        let other = certificate::authority(now).unwrap();
        let text = |error: anyhow::Error| Failure::from(error).to_string();
        for (certificate, key) in [
            (&path.join("absent.pem"), &key),
            (&certificate, &file("other.pem", &other.key)),
            (&key, &key),
            (&certificate, &certificate),
        ] {
            let refused = text(with(certificate, key).unwrap_err());
            assert!(refused.contains(".pem: "), "{refused}");
            assert!(!refused.contains("PRIVATE"), "{refused}");
        }
    }

    fn now_milliseconds() -> u128 {
        let since = std::time::UNIX_EPOCH.elapsed();
        since.unwrap().as_millis()
    }
}

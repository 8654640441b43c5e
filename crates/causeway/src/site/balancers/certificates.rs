//! The certificates that listeners of load balancers may name: those in the operator's directory,
//! as if AWS Certificate Manager had them, and those uploaded to IAM. It reads and finds; it makes
//! none, and never prints a key.
//!
//! A certificate `NAME.pem` of the directory (with those between it and its authority after it) and
//! its key `NAME.key` are `arn:aws:acm:REGION:ACCOUNT:certificate/NAME`, of the deployment's first
//! account and in every Region.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock, Weak};
use std::time::SystemTime;

use region::Region;
use runtime::{Certificate, ListenerTls, TlsMinimum};
use store::EmbeddedEngine;
use zeroize::Zeroizing;

/// The longest name of a certificate in the directory, in bytes: what an ARN may end with.
const LONGEST_NAME: usize = 128;

/// The largest file that is read: a chain of certificates, or a key.
const LARGEST_FILE: u64 = 256 * 1024;

/// Files of the directory that are watched, at most.
const MOST_FILES: usize = 10_000;

/// What finds an uploaded certificate.
pub(in crate::site) trait Uploaded: Send + Sync {
    /// The one of that ARN, with its key.
    fn find(&self, arn: &str) -> Option<Certificate>;
}

/// Those that were uploaded to the Region's IAM; none until it is said which Region that is.
#[derive(Default)]
pub(in crate::site) struct UploadedCertificates(OnceLock<Weak<Region<EmbeddedEngine>>>);

impl UploadedCertificates {
    /// They are those of that Region from now on.
    pub(in crate::site) fn are_of(&self, region: &Arc<Region<EmbeddedEngine>>) {
        self.0.get_or_init(|| Arc::downgrade(region));
    }
}

impl Uploaded for UploadedCertificates {
    fn find(&self, arn: &str) -> Option<Certificate> {
        let region = self.0.get()?.upgrade()?;
        let opened = region.uploaded_certificate(arn)?;
        Some(Certificate {
            chain: opened.chain,
            key: opened.key,
        })
    }
}

/// The certificates of a Region.
#[derive(Clone)]
pub(in crate::site) struct Certificates {
    directory: Option<PathBuf>,
    /// What the ARNs of the directory's begin with.
    prefix: String,
    uploaded: Arc<dyn Uploaded>,
}

impl Certificates {
    /// Those of a Region: in that directory, if there is one, and uploaded.
    pub(in crate::site) fn new(
        directory: Option<PathBuf>,
        region: types::Region,
        account: &str,
        uploaded: Arc<dyn Uploaded>,
    ) -> Certificates {
        Certificates {
            directory,
            prefix: format!("arn:aws:acm:{region}:{account}:certificate/"),
            uploaded,
        }
    }

    /// Is there one of that name that listeners can use?
    pub(in crate::site) fn has(&self, arn: &str) -> bool {
        let found = self.find(arn);
        found.is_ok_and(|found| usable(&found).is_ok())
    }

    /// When which files of the directory were written: another one when one was replaced.
    pub(in crate::site) fn stamp(&self) -> BTreeMap<PathBuf, Option<SystemTime>> {
        let files = self
            .directory
            .as_ref()
            .and_then(|it| std::fs::read_dir(it).ok());
        let files = files.into_iter().flatten().flatten().take(MOST_FILES);
        let stamped = files.map(|file| {
            let metadata = std::fs::metadata(file.path());
            let written = metadata.and_then(|metadata| metadata.modified());
            (file.path(), written.ok())
        });
        stamped.collect()
    }

    /// The certificate of that name and its key.
    ///
    /// # Errors
    /// Why there is none, in words for the operator.
    pub(in crate::site) fn find(&self, arn: &str) -> Result<Certificate, String> {
        let Some(name) = arn.strip_prefix(&self.prefix) else {
            let found = self.uploaded.find(arn);
            return found.ok_or_else(|| format!("there is no certificate {arn}"));
        };
        let directory = self.directory.as_ref().filter(|_| is_name(name));
        let directory = directory.ok_or_else(|| format!("there is no certificate {arn}"))?;
        Ok(Certificate {
            chain: read(&directory.join(format!("{name}.pem")))?
                .as_str()
                .to_owned(),
            key: read(&directory.join(format!("{name}.key")))?,
        })
    }
}

/// Can listeners use it?
fn usable(certificate: &Certificate) -> Result<(), String> {
    let certificates = std::slice::from_ref(certificate);
    let tls = ListenerTls::https(certificates, TlsMinimum::Tls12, false);
    tls.map(drop).map_err(|cause| cause.to_string())
}

/// May a file of the directory be called so? It can't lead out of it.
fn is_name(name: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    (1..=LONGEST_NAME).contains(&name.len()) && !name.starts_with('.') && name.bytes().all(plain)
}

fn read(file: &Path) -> Result<Zeroizing<String>, String> {
    let wrong = |cause: &dyn std::fmt::Display| format!("{}: {cause}", file.display());
    let length = std::fs::metadata(file)
        .map_err(|cause| wrong(&cause))?
        .len();
    if length > LARGEST_FILE {
        return Err(wrong(&format!("it is larger than {LARGEST_FILE} bytes")));
    }
    let text = std::fs::read_to_string(file).map_err(|cause| wrong(&cause))?;
    Ok(Zeroizing::new(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One is there.
    struct One;

    impl Uploaded for One {
        fn find(&self, arn: &str) -> Option<Certificate> {
            let is_it = arn == "arn:aws:iam::111122223333:server-certificate/up";
            is_it.then(|| Certificate {
                chain: "chain".to_owned(),
                key: Zeroizing::new("key".to_owned()),
            })
        }
    }

    fn certificates(directory: Option<PathBuf>) -> Certificates {
        let region = "us-east-1".parse().unwrap();
        Certificates::new(directory, region, "111122223333", Arc::new(One))
    }

    #[test]
    fn files_are_found_by_name_and_nothing_outside_the_directory_is() {
        let folder = tempfile::tempdir().unwrap();
        let inner = folder.path().join("inner");
        std::fs::create_dir(&inner).unwrap();
        for (file, text) in [
            ("shop.pem", "chain"),
            ("shop.key", "key"),
            ("half.pem", "chain"),
        ] {
            std::fs::write(inner.join(file), text).unwrap();
            std::fs::write(folder.path().join(file), text).unwrap();
        }
        let known = certificates(Some(inner.clone()));
        let arn = |name: &str| format!("arn:aws:acm:us-east-1:111122223333:certificate/{name}");
        let found = known.find(&arn("shop")).unwrap();
        assert_eq!((found.chain.as_str(), found.key.as_str()), ("chain", "key"));
        assert!(known.find(&arn("half")).unwrap_err().contains("half.key"));
        for name in ["", "nobody", "../shop", "inner/shop", ".", "..", "shop\0"] {
            assert!(known.find(&arn(name)).is_err(), "{name}");
        }
        let elsewhere = "arn:aws:acm:eu-west-1:111122223333:certificate/shop";
        assert!(known.find(elsewhere).is_err());
        assert!(certificates(None).find(&arn("shop")).is_err());
        let uploaded = "arn:aws:iam::111122223333:server-certificate/up";
        assert!(known.find(uploaded).is_ok());
        let stamp = known.stamp();
        assert_eq!((stamp.len(), known.stamp()), (3, stamp.clone()));
        std::fs::remove_file(inner.join("half.pem")).unwrap();
        assert_ne!(known.stamp(), stamp);
        // What can't be used isn't there for the API.
        assert!(!known.has(&arn("shop")) && !known.has(uploaded));
    }
}

//! The certificates that listeners of load balancers may name: those in the operator's directory,
//! as if AWS Certificate Manager had them, and those uploaded to IAM. It reads and finds; it makes
//! none, and never prints a key.
//!
//! A certificate `NAME.pem` of the directory (with those between it and its authority after it) and
//! its key `NAME.key` are `arn:aws:acm:REGION:ACCOUNT:certificate/NAME`, of the deployment's first
//! account and in every Region.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock, Weak};
use std::time::SystemTime;

use balancer::{Snapshot, certificate_account};
use region::Region;
use runtime::{Certificate, ListenerTls, TlsMinimum};
use store::EmbeddedEngine;
use types::AccountId;
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
        self.usable(arn).is_ok()
    }

    /// What another one has been put in the place of shows in this: when which files of the
    /// directory were written, and the uploaded ones of those names.
    pub(in crate::site) fn stamp(&self, named: &BTreeSet<String>) -> Stamp {
        let files = self
            .directory
            .as_ref()
            .and_then(|it| std::fs::read_dir(it).ok());
        let files = files.into_iter().flatten().flatten().take(MOST_FILES);
        let files = files.map(|file| {
            let metadata = std::fs::metadata(file.path());
            let written = metadata.and_then(|metadata| metadata.modified());
            (file.path(), written.ok())
        });
        let uploaded = named.iter().filter(|arn| !arn.starts_with(&self.prefix));
        let uploaded = uploaded.map(|arn| {
            let found = self.uploaded.find(arn);
            (arn.clone(), found.map(|found| found.chain))
        });
        Stamp {
            files: files.collect(),
            uploaded: uploaded.collect(),
        }
    }

    /// The certificate of that name and its key, if the two can be used.
    fn usable(&self, arn: &str) -> Result<Certificate, String> {
        let found = self.find(arn)?;
        usable(&found).map_err(|cause| format!("{arn}: {cause}"))?;
        Ok(found)
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

/// How certificates are at a time: another one when one was replaced.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(in crate::site) struct Stamp {
    files: BTreeMap<PathBuf, Option<SystemTime>>,
    /// The chains, by ARN: a renewed one has another.
    uploaded: BTreeMap<String, Option<String>>,
}

/// The certificates that listeners name.
pub(super) fn named(snapshot: &Snapshot) -> BTreeSet<String> {
    let named = snapshot
        .listeners()
        .flat_map(|place| &place.listener().certificates);
    named.cloned().collect()
}

/// The certificates that listeners name, each as it could last be used: a listener that works
/// goes on with what it has while one is being replaced, and when one is gone.
#[derive(Default)]
pub(super) struct Kept {
    usable: BTreeMap<String, Certificate>,
    /// What is wrong with them now.
    faults: BTreeMap<String, String>,
}

impl Kept {
    /// Looks at those of these names anew, and forgets all others.
    pub(super) fn refresh(&mut self, certificates: &Certificates, named: &BTreeSet<String>) {
        self.usable.retain(|arn, _| named.contains(arn));
        self.faults.clear();
        for arn in named {
            match certificates.usable(arn) {
                Ok(found) => {
                    self.usable.insert(arn.clone(), found);
                }
                Err(cause) => {
                    self.faults.insert(arn.clone(), cause);
                }
            }
        }
    }

    /// The certificate of that name for a listener of that account, and what is wrong with it if
    /// it isn't what is there now. Those of other accounts are refused here too: rows from before
    /// the API did so may name them.
    ///
    /// # Errors
    /// Why there is none, in words for the operator.
    pub(super) fn find(
        &self,
        account: AccountId,
        arn: &str,
    ) -> Result<(&Certificate, Option<&str>), String> {
        if certificate_account(arn) != Some(account) {
            return Err(format!("{arn} is no certificate of account {account}"));
        }
        let fault = self.faults.get(arn).map(String::as_str);
        let missing = || fault.unwrap_or("it was not looked at").to_owned();
        let found = self.usable.get(arn).ok_or_else(missing)?;
        Ok((found, fault))
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
        let named = BTreeSet::from([uploaded.to_owned(), arn("shop")]);
        let stamp = known.stamp(&named);
        assert_eq!((stamp.files.len(), stamp.uploaded.len()), (3, 1));
        assert_eq!(known.stamp(&named), stamp);
        std::fs::remove_file(inner.join("half.pem")).unwrap();
        assert_ne!(known.stamp(&named), stamp);
        // What can't be used isn't there for the API.
        assert!(!known.has(&arn("shop")) && !known.has(uploaded));
    }

    /// What is uploaded, by name; it can be replaced.
    #[derive(Default)]
    struct Store(std::sync::Mutex<BTreeMap<String, Certificate>>);

    impl Uploaded for Store {
        fn find(&self, arn: &str) -> Option<Certificate> {
            self.0.lock().unwrap().get(arn).cloned()
        }
    }

    fn made() -> Certificate {
        let key = rcgen::KeyPair::generate().unwrap();
        let params = rcgen::CertificateParams::new(vec!["a".to_owned()]).unwrap();
        Certificate {
            chain: params.self_signed(&key).unwrap().pem(),
            key: key.serialize_pem().into(),
        }
    }

    #[test]
    fn what_could_be_used_is_kept_until_there_is_another_that_can_be() {
        const ARN: &str = "arn:aws:iam::111122223333:server-certificate/up";
        let (own, other) = ("111122223333", "444455556666");
        let (own, other) = (own.parse().unwrap(), other.parse().unwrap());
        let store = Arc::new(Store::default());
        let region = "us-east-1".parse().unwrap();
        let known = Certificates::new(None, region, "111122223333", store.clone());
        let named = BTreeSet::from([ARN.to_owned()]);
        let mut kept = Kept::default();
        kept.refresh(&known, &named);
        assert!(kept.find(own, ARN).is_err());
        let put =
            |certificate: Certificate| store.0.lock().unwrap().insert(ARN.into(), certificate);
        let (first, second) = (made(), made());
        put(first.clone());
        let stamp = known.stamp(&named);
        kept.refresh(&known, &named);
        let (found, fault) = kept.find(own, ARN).unwrap();
        assert_eq!((&found.chain, fault), (&first.chain, None));
        assert!(kept.find(other, ARN).is_err());
        // The new certificate is there before its key, or none is there any more.
        put(Certificate {
            key: first.key.clone(),
            ..second.clone()
        });
        assert_ne!(known.stamp(&named), stamp);
        for _ in 0..2 {
            kept.refresh(&known, &named);
            let (found, fault) = kept.find(own, ARN).unwrap();
            assert!(found.chain == first.chain && fault.is_some());
            store.0.lock().unwrap().clear();
        }
        put(second.clone());
        kept.refresh(&known, &named);
        let (found, fault) = kept.find(own, ARN).unwrap();
        assert_eq!((&found.chain, fault), (&second.chain, None));
        // What no listener names any more isn't kept.
        kept.refresh(&known, &BTreeSet::new());
        assert!(kept.find(own, ARN).is_err());
    }
}

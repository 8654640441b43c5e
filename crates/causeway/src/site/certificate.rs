//! What a site proves itself with on its links: read from its directory at its start, and again
//! when the supervisor has put a new certificate there. What is no good is not taken over.

use std::path::Path;

use link::certificate::{Details, Identity};
use runtime::Links;
use types::SiteName;

use crate::failure::Failure;
use crate::files;

/// Reads the identity in the site's directory.
pub(super) fn read(site: SiteName, directory: &Path) -> Result<Identity, Failure> {
    let read = |name: &str| files::read(&directory.join(name));
    let authorities = read("authorities.pem")?;
    let certificate = read("certificate.pem")?;
    let key = zeroize::Zeroizing::new(read("key.pem")?);
    Identity::from_pem(site, &authorities, &certificate, &key).map_err(Failure::wrong_use)
}

/// From here on connections are made with the identity in the site's directory; gives its
/// certificate.
///
/// # Errors
/// It is no good, and the one before stays in use; in words, for the supervisor.
pub(super) fn rotate(links: &Links, site: SiteName, directory: &Path) -> Result<Details, String> {
    let taken = read(site, directory)
        .and_then(|identity| links.rotate(&identity).map_err(Failure::wrong_use));
    let certificate = links.certificate();
    let Details {
        serial,
        valid_until,
        ..
    } = &certificate;
    match taken {
        Ok(()) => {
            tracing::info!(serial, %valid_until, "links have a new certificate from here on");
            Ok(certificate)
        }
        Err(cause) => {
            tracing::error!(
                %cause, serial, %valid_until,
                "the new certificate is no good: links keep the one they have"
            );
            Err(format!(
                "{cause}; its links keep the certificate they have, valid until {valid_until}"
            ))
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use link::certificate::CertificateAuthority;
    use runtime::SystemEnvironment;
    use types::{Environment, Timestamp};

    const FILES: [&str; 3] = ["authorities.pem", "certificate.pem", "key.pem"];

    /// What spoils the files, and a word of what is said about it.
    type NoGood<'a> = (&'a dyn Fn(&Path), &'a str);

    fn write(directory: &Path, identity: &Identity, authority: &CertificateAuthority) {
        let texts = [
            authority.certificate_pem(),
            identity.certificate_pem(),
            identity.key_pem(),
        ];
        for (name, text) in FILES.iter().zip(texts) {
            std::fs::write(directory.join(name), text).unwrap();
        }
    }

    #[tokio::test]
    async fn a_new_certificate_that_is_no_good_is_told_and_the_old_one_stays_in_use() {
        let environment = Arc::new(SystemEnvironment::new());
        let now = environment.now().wall;
        let authority = CertificateAuthority::generate(now).unwrap();
        let site: SiteName = "us-east-1".parse().unwrap();
        let issue = |site, now| authority.issue(site, now).unwrap();
        let folder = tempfile::tempdir().unwrap();
        write(folder.path(), &issue(site, now), &authority);
        let listener = runtime::listen("127.0.0.1:0".parse().unwrap()).unwrap();
        let first = read(site, folder.path()).unwrap();
        let links = Links::start(listener, &first, Vec::new(), environment).unwrap();
        let first = first.details().unwrap();

        let other = "eu-west-1".parse().unwrap();
        let long_ago = Timestamp(now.0 - 100 * 86_400_000);
        let stranger = CertificateAuthority::generate(now).unwrap();
        let no_good: [NoGood<'_>; 6] = [
            (
                &|path| write(path, &issue(other, now), &authority),
                "names eu-west-1",
            ),
            (
                &|path| write(path, &issue(site, long_ago), &authority),
                "expired",
            ),
            (
                &|path| write(path, &issue(site, now), &stranger),
                "no peer would accept",
            ),
            (
                &|path| std::fs::write(path.join("key.pem"), issue(site, now).key_pem()).unwrap(),
                "KeyMismatch",
            ),
            (
                &|path| std::fs::write(path.join("certificate.pem"), "rubbish").unwrap(),
                "the site's certificate",
            ),
            (
                &|path| std::fs::remove_file(path.join("key.pem")).unwrap(),
                "key.pem",
            ),
        ];
        for (spoil, word) in no_good {
            write(folder.path(), &issue(site, now), &authority);
            spoil(folder.path());
            let refused = rotate(&links, site, folder.path()).unwrap_err();
            let until = first.valid_until.to_string();
            for word in [word, "keep the certificate they have", &until] {
                assert!(refused.contains(word), "{word}: {refused}");
            }
            assert_eq!(links.certificate(), first);
        }

        let renewed = issue(site, now);
        write(folder.path(), &renewed, &authority);
        let taken = rotate(&links, site, folder.path()).unwrap();
        assert_eq!(taken, renewed.details().unwrap());
        assert_eq!(links.certificate(), taken);
    }
}

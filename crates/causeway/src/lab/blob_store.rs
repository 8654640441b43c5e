//! The file that says in which bucket elsewhere the bytes of larger objects are: read and held
//! against what it must say. Its secret is in a file of its own, as AWS's tools keep it, and is
//! never printed. It asks nobody whether the bucket is there.

use std::path::{Path, PathBuf};

use http::Uri;
use objects::blob::S3Place;
use serde::Deserialize;
use zeroize::Zeroizing;

use crate::failure::Failure;

/// What `up --blob-store` is told for the disk of this machine.
pub const LOCAL: &str = "local";

/// What to do about a file that can't be used.
const NEXT: &str = "docs/objects.md says what a file for --blob-store holds";

/// Where authorities' certificates are that this machine trusts: Debian, Fedora, SUSE, Alpine.
const AUTHORITIES: [&str; 4] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
];

/// The file, in TOML.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    endpoint: String,
    region: String,
    bucket: String,
    #[serde(default)]
    prefix: String,
    credentials: PathBuf,
    authorities: Option<PathBuf>,
}

/// A bucket elsewhere for the bytes of larger objects.
#[derive(Debug)]
pub struct BlobStore {
    /// The bucket, and the key to it.
    pub place: S3Place,
    /// The server it is on: the endpoint without a path.
    pub server: Uri,
    /// The folder of the bucket; each Region has one of its own within.
    pub prefix: String,
    /// The certificates, in PEM, of the authorities that the server's is believed of; `None`: it
    /// speaks plain HTTP.
    pub authorities: Option<String>,
}

impl BlobStore {
    /// Reads it. Paths in it are as seen from its own directory.
    ///
    /// # Errors
    /// It can't be read, or isn't what it should be.
    pub fn read(file: &Path) -> Result<BlobStore, Failure> {
        let wrong = |cause: &dyn std::fmt::Display| {
            Failure::wrong_use(format!("{}: {cause}", file.display())).then(NEXT)
        };
        let text = std::fs::read_to_string(file).map_err(|cause| wrong(&cause))?;
        let said: File = toml::from_str(&text).map_err(|cause| wrong(&cause.message()))?;
        let beside = |path: &Path| file.parent().unwrap_or(Path::new("")).join(path);
        let server = said.endpoint.parse::<Uri>().ok();
        let server = server.filter(|uri| matches!(uri.path(), "" | "/") && uri.query().is_none());
        let server = server.filter(|uri| {
            uri.authority()
                .is_some_and(|authority| !authority.as_str().contains('@'))
        });
        let not_an_endpoint = "'endpoint' is no address like http://10.0.0.7:9000";
        let server = server.ok_or_else(|| wrong(&not_an_endpoint))?;
        let authorities = match server.scheme_str() {
            Some("http") => None,
            Some("https") => {
                let path = said.authorities.as_deref().map(beside);
                Some(read_authorities(path.as_deref()).map_err(|cause| wrong(&cause))?)
            }
            _ => return Err(wrong(&not_an_endpoint)),
        };
        for (name, value) in [("region", &said.region), ("bucket", &said.bucket)] {
            if value.is_empty() || value.contains(|letter: char| !is_plain(letter)) {
                return Err(wrong(&format!("'{name}' is no name of one")));
            }
        }
        let folders = said.prefix.split('/').filter(|folder| !folder.is_empty());
        let prefix: Vec<&str> = folders.collect();
        let (key_id, secret) = read_key(&beside(&said.credentials))?;
        Ok(BlobStore {
            place: S3Place {
                endpoint: said.endpoint.trim_end_matches('/').to_owned(),
                region: said.region,
                bucket: said.bucket,
                key_id,
                secret,
            },
            server,
            prefix: prefix.join("/"),
            authorities,
        })
    }
}

/// What names of buckets and Regions are made of.
fn is_plain(letter: char) -> bool {
    letter.is_ascii_alphanumeric() || matches!(letter, '.' | '-' | '_')
}

fn read_authorities(file: Option<&Path>) -> Result<String, String> {
    if let Some(file) = file {
        let read = std::fs::read_to_string(file);
        return read.map_err(|cause| format!("{}: {cause}", file.display()));
    }
    let found = AUTHORITIES
        .iter()
        .find_map(|file| std::fs::read_to_string(file).ok());
    found.ok_or_else(|| {
        "this machine has no file of authorities that is known: name one with 'authorities'"
            .to_owned()
    })
}

/// The id and the secret of the profile `default` of a file of credentials, as AWS's tools have
/// it. What is wrong with it is told without a word of it.
fn read_key(file: &Path) -> Result<(String, Zeroizing<String>), Failure> {
    let wrong = |cause: &dyn std::fmt::Display| {
        Failure::wrong_use(format!("{}: {cause}", file.display())).then(NEXT)
    };
    let text = std::fs::read_to_string(file).map_err(|cause| wrong(&cause))?;
    let text = Zeroizing::new(text);
    let (mut id, mut secret, mut is_default) = (None, None, false);
    for line in text.lines().map(str::trim) {
        if let Some(profile) = line.strip_prefix('[') {
            is_default = profile.trim_end_matches(']').trim() == "default";
            continue;
        }
        let Some((name, value)) = line.split_once('=').filter(|_| is_default) else {
            continue;
        };
        match name.trim() {
            "aws_access_key_id" => id = Some(value.trim().to_owned()),
            "aws_secret_access_key" => secret = Some(Zeroizing::new(value.trim().to_owned())),
            "aws_session_token" => {
                return Err(wrong(&"keys of a session end: name a user's key"));
            }
            _ => {}
        }
    }
    id.filter(|id| !id.is_empty())
        .zip(secret.filter(|secret| !secret.is_empty()))
        .ok_or_else(|| {
            wrong(&"there is no aws_access_key_id and aws_secret_access_key under [default]")
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "[other]\naws_access_key_id = no\n[default]\n\
        aws_access_key_id = AKIAEXAMPLE\n\
        aws_secret_access_key=hidden/hidden\n";

    fn read(store: &str, key: &str) -> Result<BlobStore, String> {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("key"), key).unwrap();
        let file = directory.path().join("store.toml");
        std::fs::write(&file, store).unwrap();
        BlobStore::read(&file).map_err(|failure| format!("{failure:?}"))
    }

    fn store(endpoint: &str, rest: &str) -> String {
        format!(
            "endpoint = \"{endpoint}\"\nregion = \"eu-west-1\"\nbucket = \"bytes\"\n\
             credentials = \"key\"\n{rest}"
        )
    }

    #[test]
    fn a_file_says_the_bucket_and_where_the_key_is() {
        let said = store("http://127.0.0.1:9000/", "prefix = \"/labs/one/\"");
        let read = read(&said, KEY).unwrap();
        assert_eq!(read.place.endpoint, "http://127.0.0.1:9000");
        assert_eq!(read.server.authority().unwrap().as_str(), "127.0.0.1:9000");
        assert_eq!(read.prefix, "labs/one");
        assert_eq!(read.place.key_id, "AKIAEXAMPLE");
        assert_eq!(read.place.secret.as_str(), "hidden/hidden");
        assert!(read.authorities.is_none());
        assert!(!format!("{read:?}").contains("hidden"), "{read:?}");
    }

    #[test]
    fn what_can_t_be_used_is_refused_without_a_word_of_the_secret() {
        let whole = store("http://127.0.0.1:9000", "");
        let session = format!("{KEY}aws_session_token = x\n");
        let refusals = [
            (store("127.0.0.1:9000", ""), KEY, "endpoint"),
            (store("ftp://127.0.0.1:9000", ""), KEY, "endpoint"),
            (store("http://u:p@127.0.0.1:9000", ""), KEY, "endpoint"),
            (store("http://127.0.0.1:9000/path", ""), KEY, "endpoint"),
            (
                store("https://127.0.0.1", "authorities = \"absent\""),
                KEY,
                "absent",
            ),
            (
                store("http://127.0.0.1:9000", "buckets = 1"),
                KEY,
                "buckets",
            ),
            (whole.replace("\"bytes\"", "\"a/b\""), KEY, "bucket"),
            (whole.replace("\"key\"", "\"nokey\""), KEY, "nokey"),
            (
                whole.clone(),
                "[default]\naws_secret_access_key = hidden\n",
                "[default]",
            ),
            (whole, session.as_str(), "session"),
        ];
        for (said, key, word) in refusals {
            let refused = read(&said, key).unwrap_err();
            assert!(refused.contains(word), "{word}: {refused}");
            assert!(!refused.contains("hidden"), "{refused}");
        }
    }
}

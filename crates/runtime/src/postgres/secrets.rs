//! The passwords of our own roles at one server, in a file that only this process's user may
//! read. They never leave it but over the server's socket, and to a standby's Region.

use std::path::Path;

use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::error::PostgresError;
use super::files;

/// The one format there is.
const FORMAT: u32 = 1;

/// Bytes of randomness in a password.
const STRENGTH: usize = 32;

/// The passwords of our own roles.
pub(super) struct Secrets {
    /// Of `causeway_admin`.
    pub(super) admin: Zeroizing<String>,
    /// Of `causeway_replication`; the same at all copies of one server.
    pub(super) replication: Zeroizing<String>,
    /// The server knows this `admin`. A copy doesn't until it is promoted: till then it has what
    /// its upstream has.
    pub(super) adopted: bool,
}

/// As it is in the file.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Stored<'a> {
    format: u32,
    admin: &'a str,
    replication: &'a str,
    adopted: bool,
}

impl Secrets {
    /// New ones, of a server that is made here.
    pub(super) fn new() -> Secrets {
        Secrets {
            admin: random_word(),
            replication: random_word(),
            adopted: true,
        }
    }

    /// Those of a copy of a server with that replication password.
    pub(super) fn of_copy(replication: Zeroizing<String>) -> Secrets {
        Secrets {
            admin: random_word(),
            replication,
            adopted: false,
        }
    }

    /// Reads them.
    pub(super) fn read(path: &Path) -> Result<Secrets, PostgresError> {
        let damaged = |why| PostgresError::Damaged {
            path: path.to_owned(),
            why,
        };
        let bytes = std::fs::read(path).map(Zeroizing::new);
        let bytes = bytes.map_err(PostgresError::io(format!("can't read {}", path.display())))?;
        let stored: Stored<'_> =
            serde_json::from_slice(&bytes).map_err(|_| damaged("these are no secrets"))?;
        if stored.format != FORMAT {
            return Err(damaged("it was written by a newer Causeway"));
        }
        Ok(Secrets {
            admin: Zeroizing::new(stored.admin.to_owned()),
            replication: Zeroizing::new(stored.replication.to_owned()),
            adopted: stored.adopted,
        })
    }

    /// Writes them, the whole of them or nothing.
    pub(super) fn write(&self, path: &Path) -> Result<(), PostgresError> {
        let stored = Stored {
            format: FORMAT,
            admin: &self.admin,
            replication: &self.replication,
            adopted: self.adopted,
        };
        let mut bytes = Zeroizing::new(Vec::with_capacity(1024));
        serde_json::to_writer(&mut *bytes, &stored).expect("plain values have a JSON form");
        let written = files::replace(path, &bytes, 0o600, None);
        written.map_err(PostgresError::io(format!("can't write {}", path.display())))
    }
}

/// A word that nobody guesses: 64 hexadecimal digits.
pub(super) fn random_word() -> Zeroizing<String> {
    let mut bytes = Zeroizing::new([0; STRENGTH]);
    crate::fill_random(&mut *bytes);
    let mut word = Zeroizing::new(String::with_capacity(2 * STRENGTH));
    for byte in bytes.iter() {
        for half in [byte >> 4, byte & 15] {
            word.push(char::from_digit(half.into(), 16).expect("four bits are a digit"));
        }
    }
    word
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn secrets_are_read_as_they_were_written_and_by_nobody_else() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("secrets");
        let secrets = Secrets::new();
        secrets.write(&path).unwrap();
        let mode = std::fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let read = Secrets::read(&path).unwrap();
        assert_eq!(
            (&read.admin, &read.replication),
            (&secrets.admin, &secrets.replication)
        );
        assert!(read.adopted && !Secrets::of_copy(read.replication).adopted);
        assert_ne!(secrets.admin, secrets.replication);
        assert_eq!(secrets.admin.len(), 64);
    }

    #[test]
    fn the_format_is_what_it_was_and_no_other_is_taken() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("secrets");
        let golden = r#"{"format":1,"admin":"a","replication":"b","adopted":true}"#;
        std::fs::write(&path, golden).unwrap();
        Secrets::read(&path).unwrap().write(&path).unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), golden);
        for text in [golden.replace('1', "2"), "{}".into(), golden[..20].into()] {
            std::fs::write(&path, text).unwrap();
            let refused = Secrets::read(&path);
            assert!(matches!(refused, Err(PostgresError::Damaged { .. })));
        }
    }
}

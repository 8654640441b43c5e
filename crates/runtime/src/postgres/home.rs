//! The directory of a server: `data/` and `run/` (its socket) belong to the server's user, all
//! else and the directory itself to this process's, so that nothing in it can be replaced by the
//! server. What says that it is whole is written last, once everything else is on the disk, and
//! removed first.

use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use zeroize::Zeroizing;

use super::account::Account;
use super::error::PostgresError;
use super::files;
use super::installation::{MAJOR, Postgres};
use super::leftovers;
use super::model::HomeState;
use super::secrets::Secrets;
use crate::{DirectoryLock, LockError};

/// What says that a directory is whole, and in which format.
const WHOLE: &str = "whole";

/// Its contents in the one format there is.
const FORMAT: &[u8] = b"causeway postgres home 1\n";

/// The version of `pg_control` that PostgreSQL 13 to 16 write (catalog/pg_control.h).
const CONTROL_VERSION: u32 = 1300;

/// The port that is part of the socket's name; nothing listens on it.
pub(super) const PORT: u16 = 5432;

/// The longest path of a socket (unix(7): 108 bytes with the final zero).
const LONGEST_SOCKET: usize = 107;

/// How long the directory is waited for while what ran there before is ending.
const LOCK_WAIT: Duration = Duration::from_secs(10);

/// A file of the data directory: whoever has one there follows another server.
pub(super) const STANDBY: &str = "standby.signal";

/// The directory of one server.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ServerHome {
    directory: PathBuf,
    run: PathBuf,
}

impl ServerHome {
    /// That directory, which need not exist. Its path must be absolute. The server's user must be
    /// able to pass through the directories on the way (mode 0711).
    pub fn new(directory: PathBuf) -> ServerHome {
        let run = directory.join("run");
        ServerHome { directory, run }
    }

    /// Where the server's socket `.s.PGSQL.5432` is while it runs. Only root and the server's user
    /// may enter it.
    pub fn socket_directory(&self) -> &Path {
        &self.run
    }

    /// The directory itself.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// The file that the server's own words are in. It is set aside as `log.old` at 16 MiB.
    pub fn log(&self) -> PathBuf {
        self.directory.join("log")
    }

    /// What the directory holds.
    pub fn state(&self) -> HomeState {
        match std::fs::read(self.directory.join(WHOLE)) {
            Ok(text) if text == FORMAT => {}
            Ok(_) => return HomeState::Damaged,
            Err(cause) if cause.kind() == io::ErrorKind::NotFound => {
                let begun = ["data", "run", "secrets"];
                let begun = begun.map(|name| self.directory.join(name));
                return match begun.iter().any(|path| path.symlink_metadata().is_ok()) {
                    true => HomeState::Unfinished,
                    false => HomeState::Absent,
                };
            }
            Err(_) => return HomeState::Damaged,
        }
        let facts = self.data().and_then(|data| {
            let control = files::read_in(&data, "global/pg_control", 12)?;
            let standby = files::read_in(&data, STANDBY, 0)?.is_some();
            Ok((control.and_then(|bytes| identifier(&bytes)), standby))
        });
        match facts {
            Ok((Some(system_identifier), standby)) => HomeState::Whole {
                system_identifier,
                standby,
            },
            _ => HomeState::Damaged,
        }
    }

    /// Removes the directory and all that is in it. A server that still runs there must be stopped
    /// first; processes that a dead owner left are killed. What isn't there is removed already.
    ///
    /// # Errors
    /// It is in use, or the disk refuses.
    pub async fn remove(&self) -> Result<(), PostgresError> {
        if self.directory.symlink_metadata().is_err() {
            return Ok(());
        }
        let lock = self.lock().await?;
        let home = self.clone();
        blocking("removing a server's files", move || {
            let _lock = lock;
            if let Ok(data) = home.data() {
                leftovers::kill(&data)?;
                leftovers::release_memory(&data)?;
            }
            // First what says that it is whole: a removal that is cut off is seen as one.
            files::remove_if_there(&home.directory.join(WHOLE))?;
            files::sync_directory(&home.directory)?;
            std::fs::remove_dir_all(&home.directory)?;
            let parent = home.directory.parent();
            parent.map_or(Ok(()), files::sync_directory)
        })
        .await
    }

    /// Moves the directory, and all that is in it, to a place on the same disk where nothing is. A
    /// server that still runs there must be stopped first; processes that a dead owner left are
    /// killed. What isn't there was moved already.
    ///
    /// # Errors
    /// It is in use, something is in that place, or the disk refuses.
    pub async fn set_aside(&self, to: &Path) -> Result<(), PostgresError> {
        if self.directory.symlink_metadata().is_err() {
            return Ok(());
        }
        let lock = self.lock().await?;
        let (home, to) = (self.clone(), to.to_owned());
        blocking("putting a server's files aside", move || {
            let _lock = lock;
            if let Ok(data) = home.data() {
                leftovers::kill(&data)?;
                leftovers::release_memory(&data)?;
            }
            std::fs::rename(&home.directory, &to)?;
            for place in [&to, &home.directory] {
                place.parent().map_or(Ok(()), files::sync_directory)?;
            }
            Ok(())
        })
        .await
    }

    /// The password of `causeway_replication` at this server: what standbys of it are to be given.
    ///
    /// # Errors
    /// There is none, or its file is damaged.
    pub fn replication_password(&self) -> Result<Zeroizing<String>, PostgresError> {
        Ok(self.secrets()?.replication.clone())
    }

    pub(super) fn secrets(&self) -> Result<Secrets, PostgresError> {
        Secrets::read(&self.directory.join("secrets"))
    }

    pub(super) fn keep_secrets(&self, secrets: &Secrets) -> Result<(), PostgresError> {
        secrets.write(&self.directory.join("secrets"))
    }

    /// Its data directory, opened.
    pub(super) fn data(&self) -> io::Result<OwnedFd> {
        files::open_directory(&self.data_path())
    }

    pub(super) fn data_path(&self) -> PathBuf {
        self.directory.join("data")
    }

    /// A file that this process's user owns.
    pub(super) fn file(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }

    /// The right to use the directory, which no other server and no other process has then.
    pub(super) async fn lock(&self) -> Result<DirectoryLock, PostgresError> {
        let begun = Instant::now();
        loop {
            let directory = self.directory.clone();
            // It may wait for a holder that is gone.
            let taken = tokio::task::spawn_blocking(move || DirectoryLock::take(&directory));
            match taken.await {
                Ok(Ok(lock)) => return Ok(lock),
                // A server that was just dropped is ending.
                Ok(Err(LockError::InUse { .. })) if begun.elapsed() < LOCK_WAIT => {
                    tokio::time::sleep(Duration::from_millis(10)).await;
                }
                Ok(Err(error)) => {
                    return Err(PostgresError::io("can't use a server's directory")(
                        io::Error::other(error),
                    ));
                }
                Err(cause) => {
                    return Err(PostgresError::io("can't wait for a lock")(
                        io::Error::other(cause),
                    ));
                }
            }
        }
    }

    /// Makes the directory and takes its lock; nothing may be in it yet.
    pub(super) async fn begin(&self, postgres: &Postgres) -> Result<DirectoryLock, PostgresError> {
        let failed = || PostgresError::io(format!("can't make {}", self.directory.display()));
        if !self.directory.is_absolute() {
            return Err(PostgresError::Refused {
                what: self.directory.display().to_string(),
                why: "a server's directory is absolute",
            });
        }
        self.check_socket()?;
        let mut builder = std::fs::DirBuilder::new();
        builder.recursive(true).mode(0o711);
        builder.create(&self.directory).map_err(failed())?;
        let lock = self.lock().await?;
        self.require(self.state() == HomeState::Absent)?;
        check_way(&self.directory, postgres.account())?;
        files::make_directory(&self.run, 0o700, Some(postgres.account())).map_err(failed())?;
        files::make_directory(&self.data_path(), 0o700, Some(postgres.account()))
            .map_err(failed())?;
        Ok(lock)
    }

    /// It is whole from here on: everything is on the disk, and then what says so.
    pub(super) async fn finish(&self) -> Result<(), PostgresError> {
        let directory = self.directory.clone();
        blocking("can't finish a server's files", move || {
            files::sync_file_system(&directory)?;
            files::replace(&directory.join(WHOLE), FORMAT, 0o600, None)?;
            directory.parent().map_or(Ok(()), files::sync_directory)
        })
        .await
    }

    /// It is not whole from here on, until it is finished again.
    pub(super) async fn unfinish(&self) -> Result<(), PostgresError> {
        let directory = self.directory.clone();
        blocking("can't change a server's files", move || {
            files::remove_if_there(&directory.join(WHOLE))?;
            files::sync_directory(&directory)
        })
        .await
    }

    /// An error that names the state, unless that holds.
    pub(super) fn require(&self, holds: bool) -> Result<(), PostgresError> {
        match holds {
            true => Ok(()),
            false => Err(PostgresError::State {
                home: self.directory.clone(),
                state: self.state(),
            }),
        }
    }

    /// Are its data of the version that runs here?
    pub(super) fn check_version(&self) -> Result<(), PostgresError> {
        let data = self.data();
        let found = data.and_then(|data| files::read_in(&data, "PG_VERSION", 64));
        let found = found.map_err(PostgresError::io(format!(
            "can't read the version of {}",
            self.directory.display()
        )))?;
        let found = found.unwrap_or_default();
        let found = String::from_utf8_lossy(&found).trim().to_owned();
        match found == MAJOR {
            true => Ok(()),
            false => Err(PostgresError::Version {
                home: self.directory.clone(),
                found,
                expected: MAJOR.to_owned(),
            }),
        }
    }

    fn check_socket(&self) -> Result<(), PostgresError> {
        check_socket(&self.run)
    }
}

/// A socket in that directory has a path that isn't too long, and that can be named in a
/// connection string.
pub(super) fn check_socket(directory: &Path) -> Result<(), PostgresError> {
    let path = directory.join(format!(".s.PGSQL.{PORT}"));
    let text = path.to_str().ok_or_else(|| PostgresError::Refused {
        what: directory.display().to_string(),
        why: "a path to a socket is Unicode",
    })?;
    if text.len() > LONGEST_SOCKET {
        return Err(PostgresError::PathTooLong(directory.to_owned()));
    }
    // PostgreSQL takes a list of directories, split at commas; a leading @ is no path.
    if !directory.is_absolute() || text.contains([',', '"']) || text.contains(char::is_control) {
        return Err(PostgresError::Refused {
            what: directory.display().to_string(),
            why: "a path to a socket is absolute, without commas, quotes and control characters",
        });
    }
    Ok(())
}

/// The server's user can get to that directory.
pub(super) fn check_way(directory: &Path, account: &Account) -> Result<(), PostgresError> {
    let barred = account.barred(directory);
    let barred = barred.map_err(PostgresError::io(format!(
        "can't pass {}",
        directory.display()
    )))?;
    match barred {
        None => Ok(()),
        Some(step) => Err(PostgresError::Refused {
            what: step.display().to_string(),
            why: "the user postgres may not pass through it: give it mode 0711 or wider, or put \
                  the data elsewhere",
        }),
    }
}

/// Carries out what waits for the disk where it holds nobody up.
pub(super) async fn blocking<T: Send + 'static>(
    what: &'static str,
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> Result<T, PostgresError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result.map_err(PostgresError::io(what)),
        Err(cause) => Err(PostgresError::io(what)(io::Error::other(cause))),
    }
}

/// The first two fields of `pg_control` (catalog/pg_control.h: ControlFileData).
fn identifier(control: &[u8]) -> Option<u64> {
    let identifier = u64::from_ne_bytes(control.get(..8)?.try_into().ok()?);
    let version = u32::from_ne_bytes(control.get(8..12)?.try_into().ok()?);
    (version == CONTROL_VERSION && identifier != 0).then_some(identifier)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_without_its_mark_is_never_whole() {
        let parent = tempfile::tempdir().unwrap();
        let home = ServerHome::new(parent.path().join("server"));
        assert_eq!(home.state(), HomeState::Absent);
        std::fs::create_dir_all(home.directory()).unwrap();
        std::fs::write(home.file("lock"), "").unwrap();
        assert_eq!(home.state(), HomeState::Absent);
        std::fs::create_dir_all(home.data_path().join("global")).unwrap();
        assert_eq!(home.state(), HomeState::Unfinished);
        let control = [
            7_u64.to_ne_bytes().to_vec(),
            CONTROL_VERSION.to_ne_bytes().to_vec(),
        ];
        std::fs::write(home.data_path().join("global/pg_control"), control.concat()).unwrap();
        assert_eq!(home.state(), HomeState::Unfinished);
        std::fs::write(home.file(WHOLE), FORMAT).unwrap();
        let whole = |standby| HomeState::Whole {
            system_identifier: 7,
            standby,
        };
        assert_eq!(home.state(), whole(false));
        std::fs::write(home.data_path().join(STANDBY), "").unwrap();
        assert_eq!(home.state(), whole(true));
    }

    #[test]
    fn what_was_whole_and_can_t_be_read_is_damaged_and_not_unfinished() {
        let parent = tempfile::tempdir().unwrap();
        let home = ServerHome::new(parent.path().join("server"));
        std::fs::create_dir_all(home.data_path().join("global")).unwrap();
        for mark in [FORMAT, b"causeway postgres home 2\n", b""] {
            std::fs::write(home.file(WHOLE), mark).unwrap();
            assert_eq!(home.state(), HomeState::Damaged);
        }
        std::fs::write(home.file(WHOLE), FORMAT).unwrap();
        std::fs::write(home.data_path().join("global/pg_control"), [1; 12]).unwrap();
        assert_eq!(home.state(), HomeState::Damaged);
    }

    #[test]
    fn a_socket_s_path_has_a_longest_length() {
        let fits = format!(
            "/{}",
            "a".repeat(LONGEST_SOCKET - 1 - "/.s.PGSQL.5432".len())
        );
        check_socket(Path::new(&fits)).unwrap();
        let longer = check_socket(Path::new(&format!("{fits}a")));
        assert!(
            matches!(longer, Err(PostgresError::PathTooLong(_))),
            "{longer:?}"
        );
        for path in ["relative", "/a,b", "/a\nb", "/a\"b", "@abstract"] {
            let refused = check_socket(Path::new(path));
            assert!(
                matches!(refused, Err(PostgresError::Refused { .. })),
                "{path}"
            );
        }
    }
}

//! Snapshots: a server's files in a directory of their own, and a server made of them. A running
//! server is copied over its own socket, consistent and with the log that it needs; one that is
//! stopped is copied as it lies. Either way each page is compared with its checksum, so that none
//! that the disk has changed is carried on. A snapshot holds no passwords of ours, and what is made
//! of it has its own.

use std::ffi::OsString;
use std::io;
use std::path::Path;
use std::time::Duration;

use types::ByteSize;

use super::bootstrap::{DATABASE, passwords};
use super::error::PostgresError;
use super::files::{self, Copied};
use super::home::{ServerHome, blocking, check_way};
use super::installation::{Postgres, Run};
use super::leftovers;
use super::model::{ControlState, HomeState, SnapshotSize, Upstream};
use super::secrets::Secrets;
use super::server::Server;
use super::settings::{self, OWN};

/// What says that a snapshot is whole, and in which format; written last.
pub(super) const WHOLE: &str = "snapshot";

/// Its contents in the one format there is.
pub(super) const FORMAT: &[u8] = b"causeway postgres snapshot 1\n";

/// How often an unfinished snapshot is removed that a program still writes to while it is being
/// killed ...
const REMOVALS: u32 = 20;

/// ... and how long after each other.
const BETWEEN_REMOVALS: Duration = Duration::from_millis(10);

/// How long the comparison of pages with their checksums may say nothing: it does each second.
const STILL: Duration = Duration::from_secs(60);

/// What a server leaves in its data that means nothing to another (as pg_basebackup does).
const SKIPPED: &[&str] = &[
    "pg_dynshmem",
    "pg_notify",
    "pg_replslot",
    "pg_serial",
    "pg_snapshots",
    "pg_stat_tmp",
    "pg_subtrans",
    "postmaster.opts",
    "postmaster.pid",
    "causeway.adopt",
];

impl Postgres {
    /// Copies the server into that directory, which is made for it: its path is absolute and its
    /// parent is there. The server goes on; without a running one its directory must not be in use.
    ///
    /// Of one that was killed and doesn't run pages aren't compared with their checksums: a restore
    /// recovers it first, which mends those that were being written.
    ///
    /// # Errors
    /// The directory is there already, the server isn't whole, the disk or the server refuses, or
    /// pg_basebackup or pg_checksums says that a page isn't as it was written. What was written by
    /// then is removed.
    pub async fn snapshot(
        &self,
        home: &ServerHome,
        server: Option<&Server>,
        to: &Path,
    ) -> Result<SnapshotSize, PostgresError> {
        home.require(matches!(home.state(), HomeState::Whole { .. }))?;
        let failed = || PostgresError::io(format!("can't make {}", to.display()));
        files::make_directory(to, 0o711, None).map_err(failed())?;
        // Removed when this is dropped as well, since nobody else would.
        let mut unfinished = Unfinished(Some(to.to_owned()));
        check_way(to, self.account())?;
        let data = to.join("data");
        files::make_directory(&data, 0o700, Some(self.account())).map_err(failed())?;
        match server {
            Some(_) => self.copy_running(home, &data).await?,
            None => self.copy_stopped(home, &data).await?,
        }
        let target = to.to_owned();
        let size = blocking("can't finish a snapshot", move || {
            let mut found = Copied::default();
            files::measure(&files::open_directory(&target.join("data"))?, &mut found)?;
            files::sync_file_system(&target)?;
            files::replace(&target.join(WHOLE), FORMAT, 0o600, None)?;
            target.parent().map_or(Ok(()), files::sync_directory)?;
            Ok(found)
        });
        let size = size.await?;
        unfinished.0 = None;
        Ok(SnapshotSize {
            bytes: ByteSize(size.bytes),
            files: size.files,
        })
    }

    /// Makes a server of a snapshot: a primary with the roles and databases that are in it, and
    /// with new passwords of our own. It doesn't run afterwards.
    ///
    /// # Errors
    /// There is no whole snapshot, the directory isn't empty, or PostgreSQL can't recover it; then
    /// it is [`Unfinished`](HomeState::Unfinished).
    pub async fn restore(&self, from: &Path, home: &ServerHome) -> Result<(), PostgresError> {
        self.restore_with(from, home, |_| Ok(()), &[]).await
    }

    /// As [`Postgres::restore`], with what `add` puts into the data before they are recovered, and
    /// with those settings while they are.
    pub(super) async fn restore_with(
        &self,
        from: &Path,
        home: &ServerHome,
        add: impl FnOnce(&ServerHome) -> io::Result<()> + Send + 'static,
        settings: &[String],
    ) -> Result<(), PostgresError> {
        let damaged = |why| PostgresError::Damaged {
            path: from.join(WHOLE),
            why,
        };
        match std::fs::read(from.join(WHOLE)) {
            Ok(text) if text == FORMAT => {}
            Ok(_) => return Err(damaged("it is of a newer Causeway, or of none")),
            Err(cause) if cause.kind() == io::ErrorKind::NotFound => {
                return Err(damaged("there is no whole snapshot"));
            }
            Err(cause) => {
                return Err(PostgresError::io(format!("can't read {}", from.display()))(
                    cause,
                ));
            }
        }
        let lock = home.begin(self).await?;
        let secrets = Secrets::new();
        home.keep_secrets(&secrets)?;
        let (source, target, account) = (from.join("data"), home.clone(), *self.account());
        // The lock goes with the copy: it goes on when this is dropped.
        let _lock = blocking("can't copy a snapshot", move || {
            let source = files::open_directory(&source)?;
            let mut copied = Copied::default();
            files::copy_tree(&source, &target.data()?, &account, &[], &mut copied)?;
            Ok(lock)
        })
        .await?;
        home.check_version()?;
        self.strip(home, false).await?;
        let added = home.clone();
        blocking("can't add to a snapshot's data", move || add(&added)).await?;
        self.prepare_alone(home, &self.control_text(home).await?)?;
        let mut statements = zeroize::Zeroizing::new(String::from("SELECT causeway.mend();\n\n"));
        statements.push_str(&passwords(&secrets)?);
        self.alone_with(home, DATABASE, &statements, settings)
            .await?;
        home.finish().await
    }

    async fn copy_running(&self, home: &ServerHome, data: &Path) -> Result<(), PostgresError> {
        let upstream = Upstream {
            socket_directory: home.socket_directory().to_owned(),
            slot: String::new(),
            password: home.replication_password()?,
            application_name: "causeway snapshot".into(),
        };
        settings::write_password(home, self.account(), OWN, &upstream.password)?;
        self.base_backup(home, &upstream, OWN, data.into()).await
    }

    async fn copy_stopped(&self, home: &ServerHome, data: &Path) -> Result<(), PostgresError> {
        let lock = home.lock().await?;
        let left = self.control(home).await?.state;
        let (source, target, account) = (home.clone(), data.to_owned(), *self.account());
        let copied = blocking("can't copy a server's files", move || {
            let _lock = lock;
            let (from, to) = (source.data()?, files::open_directory(&target)?);
            leftovers::kill(&from)?;
            files::copy_tree(&from, &to, &account, SKIPPED, &mut Copied::default())
        });
        copied.await?;
        match left {
            ControlState::Stopped | ControlState::StoppedStandby => self.compare(data).await,
            ControlState::Crashed | ControlState::CrashedStandby => Ok(()),
        }
    }

    /// Has each page of copied data compared with its checksum, as a base backup does.
    async fn compare(&self, data: &Path) -> Result<(), PostgresError> {
        let words = ["--check", "--progress", "--pgdata"];
        let mut arguments = Vec::from_iter(words.map(OsString::from));
        arguments.push(data.into());
        let run = Run {
            program: "pg_checksums",
            arguments,
            input: b"",
            wait: STILL,
            moving: true,
        };
        run.with(self).await.map(drop)
    }
}

/// A directory that is removed unless it is finished.
struct Unfinished(Option<std::path::PathBuf>);

impl Drop for Unfinished {
    fn drop(&mut self) {
        let Some(path) = self.0.take() else { return };
        // Gigabytes take their time, and whoever drops this has none.
        let thread = std::thread::Builder::new().name("snapshot removal".to_owned());
        if let Err(cause) = thread.spawn(move || remove(&path)) {
            tracing::warn!(%cause, "an unfinished snapshot stays behind");
        }
    }
}

fn remove(path: &Path) {
    for _ in 1..REMOVALS {
        match std::fs::remove_dir_all(path) {
            Ok(()) => return,
            Err(_) => std::thread::sleep(BETWEEN_REMOVALS),
        }
    }
    if let Err(cause) = std::fs::remove_dir_all(path) {
        tracing::warn!(path = %path.display(), %cause, "an unfinished snapshot stays behind");
    }
}

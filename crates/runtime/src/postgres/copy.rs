//! Making a standby: a copy of a running server by `pg_basebackup`, over the socket that leads to
//! it. What a copy is cut off from is not continued but made anew.

use std::ffi::OsString;
use std::time::Duration;

use super::error::PostgresError;
use super::files;
use super::home::{STANDBY, ServerHome, blocking};
use super::installation::{Postgres, Run};
use super::model::Upstream;
use super::secrets::Secrets;
use super::settings::{self, UPSTREAM};
use super::text;

/// How long a copy may stand still: longer than any delay of the link, and than a checkpoint that
/// the upstream makes first.
const STILL: Duration = Duration::from_secs(60);

impl Postgres {
    /// Makes a standby: copies the upstream's files and the log since. Its slot must be there.
    /// The standby doesn't run afterwards. However long it takes; when it is dropped the copy ends.
    ///
    /// # Errors
    /// The directory isn't empty, the upstream refuses or is gone, or nothing came for 60 s; then
    /// it is [`Unfinished`](super::HomeState::Unfinished).
    pub async fn copy(&self, home: &ServerHome, upstream: &Upstream) -> Result<(), PostgresError> {
        settings::check_upstream(upstream, self.account())?;
        let _lock = home.begin(self).await?;
        home.keep_secrets(&Secrets::of_copy(upstream.password.clone()))?;
        settings::write_password(home, self.account(), UPSTREAM, &upstream.password)?;
        self.base_backup(home, upstream, UPSTREAM, home.data_path().into())
            .await?;
        home.check_version()?;
        self.strip(home, true).await?;
        home.finish().await
    }

    /// Copies a running server into that directory, which is the server's user's and empty.
    pub(super) async fn base_backup(
        &self,
        home: &ServerHome,
        upstream: &Upstream,
        passwords: &str,
        to: OsString,
    ) -> Result<(), PostgresError> {
        let mut arguments: Vec<OsString> = vec!["-D".into(), to];
        arguments.extend([
            "-d".into(),
            settings::conninfo(home, upstream, passwords)?.into(),
        ]);
        if !upstream.slot.is_empty() {
            arguments.extend(["-S".into(), text::slot(&upstream.slot)?.into()]);
        }
        let words = [
            "--wal-method=stream",
            "--checkpoint=fast",
            "--status-interval=1",
            "--no-password",
            // The disk is synced once everything is there.
            "--no-sync",
        ];
        arguments.extend(words.map(OsString::from));
        let run = Run {
            program: "pg_basebackup",
            arguments,
            input: b"",
            wait: STILL,
            moving: true,
        };
        run.with(self).await.map(drop)
    }

    /// Takes from copied data what was the other server's alone.
    pub(super) async fn strip(
        &self,
        home: &ServerHome,
        standby: bool,
    ) -> Result<(), PostgresError> {
        let (home, account) = (home.clone(), *self.account());
        blocking("can't clear up copied data", move || {
            let data = home.data()?;
            for name in [
                "causeway.adopt",
                "postmaster.pid",
                "postmaster.opts",
                "recovery.signal",
                STANDBY,
            ] {
                files::remove_in(&data, name)?;
            }
            files::empty_in(&data, "pg_replslot")?;
            files::write_in(&data, "postgresql.auto.conf", b"", &account)?;
            match standby {
                true => files::write_in(&data, STANDBY, b"", &account),
                false => Ok(()),
            }
        })
        .await
    }
}

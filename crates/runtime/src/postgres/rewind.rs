//! The return of a server that was a primary, or that went beyond where its upstream left it: what
//! it has of its own is taken back (`pg_rewind`), and it is a standby's afterwards. Who is to be
//! rewound, and to whom, is decided elsewhere; what is lost by it is kept before, by `tail`.

use std::ffi::OsString;
use std::time::Duration;

use super::bootstrap::DATABASE;
use super::error::PostgresError;
use super::files;
use super::home::{STANDBY, ServerHome, blocking};
use super::installation::{Postgres, Run, end_of};
use super::kept_log::KeptLog;
use super::lineage::{Lineage, Visited};
use super::model::{ControlState, HomeState, ServerSettings, Stop, Upstream};
use super::secrets::Secrets;
use super::server::clear;
use super::settings::{self, UPSTREAM};
use super::text;
use super::timeline::read_history;
use crate::Exit;

/// How long a rewind may stand still: longer than any delay of the link.
const STILL: Duration = Duration::from_secs(60);

/// What pg_rewind says right before it changes its first file (bin/pg_rewind/pg_rewind.c).
const WRITES: &str = "need to copy";

impl Postgres {
    /// Makes a standby's home of a primary's that was stopped in order, and whose upstream has all
    /// of its log ([`ControlData::end`](super::ControlData::end)): it has nothing of its own then,
    /// and follows as it is. `password`: the upstream's replication password. A standby's home
    /// stays as it is.
    ///
    /// # Errors
    /// [`Unfit`](PostgresError::Unfit): it wasn't stopped in order; or it isn't whole, is in use,
    /// or the disk refuses.
    pub async fn follow(&self, home: &ServerHome, password: &str) -> Result<(), PostgresError> {
        home.require(matches!(home.state(), HomeState::Whole { .. }))?;
        let _lock = home.lock().await?;
        let HomeState::Whole { standby, .. } = home.state() else {
            return home.require(false);
        };
        if standby {
            return Ok(());
        }
        if self.control(home).await?.state != ControlState::Stopped {
            return Err(unfit(home, "it was not stopped in order"));
        }
        // First: a primary that doesn't know its admin's password gives it another at its start.
        home.keep_secrets(&Secrets::of_copy(password.to_owned().into()))?;
        let (of, account) = (home.clone(), *self.account());
        blocking("can't make a standby of a server", move || {
            files::write_in(of.data()?, STANDBY, b"", &account)
        })
        .await
    }

    /// Takes back what a server that doesn't run has beyond where its upstream left it; afterwards
    /// it is a standby's home, which doesn't run. One that was killed recovers first, where nobody
    /// can reach it. The upstream is a primary that has made a checkpoint on its timeline, and
    /// keeps a slot for it.
    ///
    /// The home's timeline must be one that the upstream came from, or one that nobody else ever
    /// had a copy of: two servers that were promoted on their own from one timeline, neither
    /// knowing of the other, have timelines of the same number. What of that can be seen is
    /// refused.
    ///
    /// # Errors
    /// [`Upstream`](PostgresError::Upstream): it isn't ready for this. [`Unfit`]: this home can't
    /// be rewound, and must be made anew. Or the upstream is gone, nothing came for 60 s, or the
    /// disk refuses. If files had been changed by then the home is
    /// [`Unfinished`](HomeState::Unfinished): to be removed, and copied anew.
    ///
    /// [`Unfit`]: PostgresError::Unfit
    pub async fn rewind(
        &self,
        home: &ServerHome,
        upstream: &Upstream,
    ) -> Result<(), PostgresError> {
        settings::check_upstream(upstream, self.account())?;
        self.settle(home).await?;
        let _lock = home.lock().await?;
        let HomeState::Whole {
            system_identifier, ..
        } = home.state()
        else {
            return home.require(false);
        };
        let own = self.lineage(home).await?;
        let visited = Visited::of(upstream).await?;
        visited.is_ready_for(system_identifier)?;
        let refused = |why| unfit(home, why);
        let left = own.left_by(&visited.lineage).map_err(refused)?;
        if !visited.shares(home, &own, left).await? {
            return Err(unfit(home, "its log isn't its upstream's where they part"));
        }
        let kept = KeptLog::of(home, left).await?;
        settings::write_password(home, self.account(), UPSTREAM, &upstream.password)?;
        home.unfinish().await?;
        self.run_rewind(home, upstream).await?;
        self.strip(home, true).await?;
        kept.complete(home, left).await?;
        home.keep_secrets(&Secrets::of_copy(upstream.password.clone()))?;
        home.finish().await
    }

    /// Runs pg_rewind. A home of which it changed nothing is whole again.
    async fn run_rewind(
        &self,
        home: &ServerHome,
        upstream: &Upstream,
    ) -> Result<(), PostgresError> {
        let mut source = settings::conninfo(home, upstream, UPSTREAM)?;
        source.push_str(" dbname=");
        source.push_str(&text::connection(DATABASE)?);
        let mut arguments: Vec<OsString> = vec!["-D".into(), home.data_path().into()];
        arguments.extend(["--source-server".into(), source.into()]);
        let words = ["--no-ensure-shutdown", "--no-sync", "--progress"];
        arguments.extend(words.map(OsString::from));
        let run = Run {
            program: "pg_rewind",
            arguments,
            input: b"",
            wait: STILL,
            moving: true,
        };
        let (said, exit) = run.outcome(self).await?;
        if exit == Exit::Code(0) {
            return Ok(());
        }
        // It begins to write with these words, and says some more every second from then on.
        if exit == Exit::Code(1) && !said.contains(WRITES) && !said.contains(" kB (") {
            home.finish().await?;
        }
        Err(PostgresError::Program {
            program: "pg_rewind",
            exit,
            said: end_of(&said).trim().to_owned(),
        })
    }

    /// Has a server that was killed recover, where nobody can reach it, and stops it in order. All
    /// of its log stays: what it is rewound by is in there.
    pub(super) async fn settle(&self, home: &ServerHome) -> Result<(), PostgresError> {
        home.require(matches!(home.state(), HomeState::Whole { .. }))?;
        let lock = home.lock().await?;
        let HomeState::Whole { standby, .. } = home.state() else {
            return home.require(false);
        };
        home.check_version()?;
        clear(home).await?;
        match self.control(home).await?.state {
            ControlState::Stopped => Ok(()),
            ControlState::StoppedStandby if standby => Ok(()),
            // A server alone is never a standby. Its socket is known to nobody meanwhile.
            _ if standby => {
                drop(lock);
                let server = self.start(home, &ServerSettings::default()).await?;
                server.stop(Stop::Fast).await
            }
            _ => {
                self.prepare_alone(home, &self.control_text(home).await?)?;
                self.alone(home, DATABASE, "").await
            }
        }
    }

    /// The timeline of a server that doesn't run, and those that it came from.
    pub(super) async fn lineage(&self, home: &ServerHome) -> Result<Lineage, PostgresError> {
        let timeline = self.control(home).await?.timeline;
        let of = home.clone();
        let history = blocking("can't read a timeline's history", move || {
            read_history(of.data()?, timeline)
        });
        let history = history.await?;
        let history = history.ok_or_else(|| unfit(home, "its timeline's history is gone"))?;
        Ok(Lineage { timeline, history })
    }
}

fn unfit(home: &ServerHome, why: &'static str) -> PostgresError {
    PostgresError::Unfit {
        home: home.directory().to_owned(),
        why,
    }
}

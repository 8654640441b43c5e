//! A running server: started, stopped, told of new settings. It is a child of this process and
//! never outlives it. What is asked of it over its socket is in `observe` and `change`.

use std::io::{Read, Seek, SeekFrom};
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use types::ByteSize;

use super::error::PostgresError;
use super::files;
use super::home::{ServerHome, blocking};
use super::installation::{Postgres, Run, end_of};
use super::keeper::Keeper;
use super::leftovers;
use super::model::{HomeState, PendingRestart, ServerSettings, Stop};
use super::session::Session;
use super::settings;
use crate::process::{ProcessGroup, open_log};
use crate::{DirectoryLock, Exit};

/// How long a server may say nothing until it accepts connections. What it says meanwhile is that
/// it recovers, which takes as long as there is log: ended then, it would begin anew.
const START: Duration = Duration::from_secs(300);

/// How long a fast stop may take: all that is in memory is written.
const STOP: Duration = Duration::from_secs(120);

/// How long a reload may take to reach a session.
const RELOAD: Duration = Duration::from_secs(5);

/// How often something is looked at that is waited for.
const LOOK: Duration = Duration::from_millis(20);

/// How long a program that only reads may take.
pub(super) const READING: Duration = Duration::from_secs(30);

/// How often a server that starts is asked whether it takes connections, in the first second; its
/// recovery may take minutes, and each question is a line of its log ...
const SOON: Duration = Duration::from_secs(1);

/// ... and how often after that.
const LOOK_AT_RECOVERY: Duration = Duration::from_millis(200);

/// What it says to whoever asks while it can't take connections, in its log as well, and the detail
/// that it may add (PostgreSQL's `ProcessStartupPacket`).
const OUR_QUESTIONS: &[&str] = &[
    "FATAL:  the database system is starting up",
    "FATAL:  the database system is not yet accepting connections",
    "FATAL:  the database system is in recovery mode",
    "FATAL:  the database system is shutting down",
    "DETAIL:  Consistent recovery state has not been yet reached.",
    "DETAIL:  Hot standby mode is disabled.",
];

/// How much of its log is read for why it ended: our questions of an hour, and what it said first.
const READ_OF_LOG: ByteSize = ByteSize::mib(2);

/// A log larger than this is set aside while its server runs.
const LOG_LIMIT: ByteSize = ByteSize::mib(16);

/// What a server says of settings that its check takes and this machine can't give it, before it
/// looks at its data.
const TOO_MUCH: &[&str] = &[
    "could not map anonymous shared memory",
    "could not create shared memory segment",
    "must be less than max_connections",
    "is larger than the maximum",
];

/// A running server. When it is dropped, and when this process ends, however it does, all its
/// processes are killed at once; the next start recovers.
pub struct Server {
    postgres: Postgres,
    home: ServerHome,
    group: ProcessGroup,
    keeper: Keeper,
    session: Session,
    /// Given up last.
    _lock: DirectoryLock,
}

impl Postgres {
    /// Starts a server; gives it once it accepts connections: a primary has recovered then, a
    /// standby is consistent. Must be called within a tokio runtime.
    ///
    /// # Errors
    /// The directory holds no whole server or one of another version, is in use, a setting is
    /// refused, or the server ends, or says nothing for 300 s; the end of its log is in the error.
    pub async fn start(
        &self,
        home: &ServerHome,
        settings: &ServerSettings,
    ) -> Result<Server, PostgresError> {
        home.require(matches!(home.state(), HomeState::Whole { .. }))?;
        let lock = home.lock().await?;
        home.require(matches!(home.state(), HomeState::Whole { .. }))?;
        home.check_version()?;
        clear(home).await?;
        self.write_settings(home, settings).await?;
        settings::take_fresh(home)?;
        let failed = || PostgresError::io("can't start a server");
        let log = open_log(&home.log()).map_err(failed())?;
        let said_before = log.metadata().map_err(failed())?.len();
        let keeper = Keeper::start(&home.data_path(), &lock).map_err(failed())?;
        let mut command = self.command("postgres");
        command
            .args(settings::arguments(home, "postgresql.conf"))
            .stdin(Stdio::null())
            .stdout(log.try_clone().map_err(failed())?)
            .stderr(log);
        let (group, _) = ProcessGroup::start(command, None).map_err(failed())?;
        let mut server = Server {
            postgres: self.clone(),
            home: home.clone(),
            group,
            keeper,
            session: Session::new(home.clone()),
            _lock: lock,
        };
        if let Err(error) = server.accepts(said_before).await {
            server.group.kill();
            server.keeper.finish().await;
            return Err(error);
        }
        server.adopt().await?;
        Ok(server)
    }

    /// Writes new settings beside those in force, after PostgreSQL itself has taken them.
    async fn write_settings(
        &self,
        home: &ServerHome,
        settings: &ServerSettings,
    ) -> Result<(), PostgresError> {
        let control = match home.state() {
            HomeState::Whole { standby: true, .. } => self.control_text(home).await?,
            _ => String::new(),
        };
        settings::write_files(home, self.account(), settings, &control)?;
        let mut arguments = settings::arguments(home, "fresh.conf");
        // Any parameter would do: all of them are read.
        arguments.extend(["-C", "port"].map(Into::into));
        let run = Run {
            program: "postgres",
            arguments,
            input: b"",
            wait: READING,
            moving: false,
        };
        match run.with(self).await {
            Err(PostgresError::Program { said, .. }) if said.contains("fresh.conf") => {
                Err(PostgresError::Settings(said))
            }
            other => other.map(drop),
        }
    }
}

impl Server {
    /// Is it there? It may be recovering from the end of one of its processes.
    pub fn is_running(&self) -> bool {
        !self.group.has_ended()
    }

    /// Resolves when its postmaster is gone.
    pub async fn ended(&self) {
        self.group.ended().await;
    }

    /// The directory of it.
    pub fn home(&self) -> &ServerHome {
        &self.home
    }

    /// Stops it; nothing of it is left afterwards.
    ///
    /// # Errors
    /// It didn't stop within 120 s: then it was killed, and the next start recovers.
    pub async fn stop(mut self, how: Stop) -> Result<(), PostgresError> {
        self.session.leave().await;
        let stopped = match how {
            Stop::Immediate => {
                self.group.kill();
                true
            }
            Stop::Fast => {
                self.group.signal(Signal::INT);
                tokio::time::timeout(STOP, self.group.ended()).await.is_ok()
            }
        };
        self.group.kill();
        self.group.ended().await;
        self.keeper.finish().await;
        match stopped {
            true => Ok(()),
            false => Err(PostgresError::Late {
                what: "stopping a server",
                wait: STOP,
            }),
        }
    }

    /// Has it take new settings, the upstream among them; gives what waits for a restart.
    ///
    /// # Errors
    /// A setting is refused, and then all stay as they were; or it doesn't answer.
    pub async fn reload(&self, settings: &ServerSettings) -> Result<PendingRestart, PostgresError> {
        let loaded = "SELECT pg_catalog.pg_conf_load_time()::pg_catalog.text";
        let before = self.session.row(loaded).await?;
        self.postgres.write_settings(&self.home, settings).await?;
        settings::take_fresh(&self.home)?;
        self.group.signal(Signal::HUP);
        let begun = Instant::now();
        while self.session.row(loaded).await?.get(0) == before.get(0) {
            if begun.elapsed() > RELOAD {
                return Err(PostgresError::Late {
                    what: "a reload",
                    wait: RELOAD,
                });
            }
            tokio::time::sleep(LOOK).await;
        }
        Ok(self.observe().await?.pending_restart)
    }

    pub(super) fn session(&self) -> &Session {
        &self.session
    }

    pub(super) fn postgres(&self) -> &Postgres {
        &self.postgres
    }

    /// Sets a log aside that has grown. The server goes on writing at the end of the file that it
    /// has open, so that file is emptied; what is written between the two is lost.
    pub(super) async fn bound_log(&self) {
        let path = self.home.log();
        if std::fs::metadata(&path).is_ok_and(|log| log.len() <= LOG_LIMIT.0) {
            return;
        }
        let done = blocking("can't set a log aside", move || {
            std::fs::copy(&path, path.with_extension("old"))?;
            std::fs::OpenOptions::new()
                .write(true)
                .open(&path)?
                .set_len(0)
        });
        if let Err(error) = done.await {
            tracing::warn!(%error, "a server's log grows");
        }
    }

    /// Waits until it accepts connections.
    async fn accepts(&self, said_before: u64) -> Result<(), PostgresError> {
        let begun = Instant::now();
        let mut said = begun;
        loop {
            let asked = tokio::select! {
                exit = self.group.ended() => {
                    return Err(ended_early(&self.home.log(), said_before, exit));
                }
                asked = self.session.rows("SELECT 1") => asked,
            };
            match asked {
                Ok(_) => return Ok(()),
                // SQLSTATE 57P03: cannot_connect_now. Before that there is no socket.
                Err(PostgresError::Sql { sqlstate, .. }) if sqlstate == "57P03" => {
                    said = Instant::now();
                }
                Err(error) if said.elapsed() > START => {
                    tracing::warn!(%error, "a server doesn't come up");
                    return Err(PostgresError::Late {
                        what: "starting a server",
                        wait: START,
                    });
                }
                Err(PostgresError::Gone(_) | PostgresError::Late { .. }) => {}
                Err(error) => return Err(error),
            }
            let span = match begun.elapsed() < SOON {
                true => LOOK,
                false => LOOK_AT_RECOVERY,
            };
            tokio::time::sleep(span).await;
        }
    }
}

/// Nothing of a server that ran there before is in the way of the next.
pub(super) async fn clear(home: &ServerHome) -> Result<(), PostgresError> {
    let home = home.clone();
    blocking("can't clear up after a killed server", move || {
        let data = home.data()?;
        leftovers::kill(&data)?;
        leftovers::forget_postmaster(&data)?;
        let run = files::open_directory(home.socket_directory())?;
        for name in [".s.PGSQL.5432", ".s.PGSQL.5432.lock"] {
            files::remove_in(&run, name)?;
        }
        Ok(())
    })
    .await
}

/// A server that ended before it accepted connections, with what it said.
fn ended_early(log: &Path, said_before: u64, exit: Exit) -> PostgresError {
    let mut said = Vec::new();
    let read = std::fs::File::open(log).and_then(|mut log| {
        let length = log.metadata()?.len();
        // The last of it, and nothing from before.
        let from = said_before.max(length.saturating_sub(READ_OF_LOG.0));
        log.seek(SeekFrom::Start(from))?;
        log.take(READ_OF_LOG.0).read_to_end(&mut said)?;
        // A part of a line says nothing.
        let whole = said.iter().position(|byte| *byte == b'\n');
        if let Some(end) = whole.filter(|_| from > said_before) {
            said.drain(..=end);
        }
        Ok(())
    });
    if let Err(cause) = read {
        return PostgresError::io("can't read a server's log")(cause);
    }
    let said = without_our_questions(&String::from_utf8_lossy(&said));
    let said = end_of(&said).trim().to_owned();
    if TOO_MUCH.iter().any(|words| said.contains(words)) {
        return PostgresError::Settings(said);
    }
    PostgresError::Program {
        program: "postgres",
        exit,
        said,
    }
}

/// What it said, but for its answers to our own questions.
fn without_our_questions(said: &str) -> String {
    let is_own = |line: &&str| !OUR_QUESTIONS.iter().any(|answer| line.ends_with(answer));
    let kept: Vec<&str> = said.lines().filter(is_own).collect();
    kept.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn why_a_server_ended_is_what_it_said_itself() {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("log");
        let question =
            "2026-11-30 04:00:00.000 UTC [7] @ FATAL:  the database system is starting up\n";
        let before = "2026-11-30 03:59:00.000 UTC [5] @ LOG:  of an earlier start\n";
        let own = "2026-11-30 04:00:00.000 UTC [6] @ FATAL:  could not locate a valid checkpoint record\n";
        let text = [before, question, own, &question.repeat(900)].concat();
        let said = |text: &str| {
            std::fs::write(&log, text).unwrap();
            match ended_early(&log, before.len() as u64, Exit::Code(1)) {
                PostgresError::Program { said, .. } => said,
                error => panic!("{error}"),
            }
        };
        assert_eq!(said(&text), own.trim_end());
        // However long it was asked, no part of an answer is taken for its own words.
        let long = [before, own, &question.repeat(30_000)].concat();
        assert_eq!(said(&long), "");
    }
}

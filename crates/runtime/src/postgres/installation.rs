//! The PostgreSQL of this machine: where its programs are, which version they are, and running
//! one of them to its end. It downloads nothing, and takes no version that it wasn't tried with.

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::unix::pipe::Receiver;
use zeroize::Zeroizing;

use super::account::Account;
use super::error::{PostgresError, PostgresMissing};
use crate::SocketOwner;
use crate::process::{Exit, ProcessGroup};

/// The one major version: roles' powers, on which the guard of `roles` rests, differ in others.
pub(super) const MAJOR: &str = "15";

/// Where Debian and Ubuntu put it.
const DEBIAN: &str = "/usr/lib/postgresql/15/bin";

/// What must be there.
const PROGRAMS: [&str; 6] = [
    "postgres",
    "initdb",
    "pg_basebackup",
    "pg_controldata",
    "pg_rewind",
    "pg_waldump",
];

/// What is kept of what a program says, in bytes.
const KEPT: usize = 64 * 1024;

/// The longest line of a program's that is taken as it is, in bytes.
const LONGEST_LINE: usize = 16 * 1024 * 1024;

/// What an error quotes of it, in bytes.
const QUOTED: usize = 1500;

/// How often a program's progress is looked at.
const LOOK: Duration = Duration::from_secs(5);

/// The programs of one installation of PostgreSQL, and who runs them.
#[derive(Clone, Debug)]
pub struct Postgres {
    programs: PathBuf,
    version: String,
    account: Account,
}

impl Postgres {
    /// Looks along `PATH`, then where Debian has it.
    ///
    /// # Errors
    /// None there, none of version 15, or no user to run it as.
    pub fn find() -> Result<Postgres, PostgresMissing> {
        let path = std::env::var_os("PATH").unwrap_or_default();
        let mut folders: Vec<PathBuf> = std::env::split_paths(&path).collect();
        folders.push(DEBIAN.into());
        let mut looked = Vec::new();
        for folder in &folders {
            if !PROGRAMS.iter().all(|name| folder.join(name).is_file()) {
                continue;
            }
            match version_of(folder) {
                Ok(version) if major(&version) == MAJOR => {
                    let account = Account::find().map_err(|looked| PostgresMissing { looked })?;
                    return Ok(Postgres {
                        programs: folder.clone(),
                        version,
                        account,
                    });
                }
                Ok(version) => looked.push(format!("{} is version {version}", folder.display())),
                Err(why) => looked.push(format!("{}: {why}", folder.display())),
            }
        }
        if looked.is_empty() {
            looked.push(format!("not on PATH, not in {DEBIAN}"));
        }
        Err(PostgresMissing {
            looked: looked.join("; "),
        })
    }

    /// Its version, as `15.14`.
    pub fn version(&self) -> &str {
        &self.version
    }

    /// Whom a socket must belong to that a server here is to connect to; `None`: this process's
    /// own user, who runs them.
    pub fn socket_owner(&self) -> Option<SocketOwner> {
        self.account.socket_owner()
    }

    /// Lets the servers' user pass through a directory of this process's to what it knows the name
    /// of, and read nothing of it. Takes nobody's access away; does nothing where servers are this
    /// process's own user, or the directory is somebody else's.
    ///
    /// # Errors
    /// It isn't there, or can't be changed.
    pub fn let_pass(&self, directory: &Path) -> io::Result<()> {
        self.account.let_pass(directory)
    }

    pub(super) fn account(&self) -> &Account {
        &self.account
    }

    /// A command that runs the program as the server's user, in an environment that is ours alone.
    pub(super) fn command(&self, program: &str) -> Command {
        let mut command = Command::new(self.programs.join(program));
        command
            .env_clear()
            .env("PATH", "/usr/bin:/bin")
            .env("LC_ALL", "C")
            .env("TZ", "UTC")
            .current_dir("/");
        self.account.run(&mut command);
        command
    }
}

/// One run of a program.
pub(super) struct Run<'a> {
    /// Its name.
    pub(super) program: &'static str,
    /// Its arguments. No secret among them: anyone may read them while it runs.
    pub(super) arguments: Vec<OsString>,
    /// What it reads.
    pub(super) input: &'a [u8],
    /// How long it may take; or, where `moving`, how long without writing a byte.
    pub(super) wait: Duration,
    /// It may take as long as it likes while it goes on writing.
    pub(super) moving: bool,
}

impl Run<'_> {
    /// Runs it to its end; gives the end of what it said. When this is dropped it is killed.
    pub(super) async fn with(self, postgres: &Postgres) -> Result<String, PostgresError> {
        let program = self.program;
        match self.outcome(postgres).await? {
            (said, Exit::Code(0)) => Ok(said),
            (said, exit) => Err(PostgresError::Program {
                program,
                exit,
                said: end_of(&said).trim().to_owned(),
            }),
        }
    }

    /// As [`Run::with`], whatever its end.
    pub(super) async fn outcome(
        self,
        postgres: &Postgres,
    ) -> Result<(String, Exit), PostgresError> {
        let mut tail = Tail(Zeroizing::new(Vec::with_capacity(2 * KEPT)));
        let exit = self.read_by(postgres, |part| tail.take(part)).await?;
        Ok((String::from_utf8_lossy(&tail.0).into_owned(), exit))
    }

    /// Runs it to its end; gives each line that it writes to `take`, cut to 16 MiB.
    pub(super) async fn lines(
        self,
        postgres: &Postgres,
        mut take: impl FnMut(&str),
    ) -> Result<Exit, PostgresError> {
        let mut line = Vec::new();
        let read = |part: &[u8]| {
            for piece in part.split_inclusive(|byte| *byte == b'\n') {
                let whole = piece.ends_with(b"\n");
                let piece = piece.strip_suffix(b"\n").unwrap_or(piece);
                let room = LONGEST_LINE.saturating_sub(line.len());
                line.extend_from_slice(&piece[..piece.len().min(room)]);
                if whole {
                    take(&String::from_utf8_lossy(&line));
                    line.clear();
                }
            }
        };
        self.read_by(postgres, read).await
    }

    /// Runs it to its end; gives what it writes to `take` as it comes.
    async fn read_by(
        self,
        postgres: &Postgres,
        mut take: impl FnMut(&[u8]),
    ) -> Result<Exit, PostgresError> {
        let failed = || PostgresError::io(format!("can't run {}", self.program));
        let (reader, writer) = std::io::pipe().map_err(failed())?;
        let mut command = postgres.command(self.program);
        command
            .args(&self.arguments)
            .stdin(Stdio::piped())
            .stdout(writer.try_clone().map_err(failed())?)
            .stderr(writer);
        let (group, (stdin, _)) = ProcessGroup::start(command, None).map_err(failed())?;
        let stdin = stdin.expect("it was asked for");
        let mut stdin = tokio::process::ChildStdin::from_std(stdin).map_err(failed())?;
        let mut output = Receiver::from_owned_fd(reader.into()).map_err(failed())?;
        let work = async {
            let feeding = async {
                // It may end before it has read everything: its exit says why.
                stdin.write_all(self.input).await.ok();
                drop(stdin);
            };
            let reading = async {
                // Wiped when dropped: a program may quote what it was given.
                let mut part = Zeroizing::new([0; 4096]);
                while let Ok(count @ 1..) = output.read(&mut part[..]).await {
                    take(&part[..count]);
                }
            };
            let ((), (), exit) = tokio::join!(feeding, reading, group.ended());
            exit
        };
        let exit = match self.moving {
            false => tokio::time::timeout(self.wait, work).await.ok(),
            true => tokio::select! {
                exit = work => Some(exit),
                () = stands_still(group.id(), self.wait) => None,
            },
        };
        exit.ok_or(PostgresError::Late {
            what: self.program,
            wait: self.wait,
        })
    }
}

/// The last of what a program says; wiped when dropped.
struct Tail(Zeroizing<Vec<u8>>);

impl Tail {
    fn take(&mut self, part: &[u8]) {
        self.0.extend_from_slice(part);
        if self.0.len() + part.len() > 2 * KEPT {
            let surplus = self.0.len().saturating_sub(KEPT);
            self.0.drain(..surplus);
        }
    }
}

/// Resolves when no process of the group has written anything for so long: pg_basebackup's own
/// waits at its end for the one that fetches the log.
async fn stands_still(group: i32, wait: Duration) {
    let mut before = None;
    let mut still = Duration::ZERO;
    while still < wait {
        tokio::time::sleep(LOOK.min(wait)).await;
        let written = Some(written_by(group));
        still = match written == before {
            true => still + LOOK.min(wait),
            false => Duration::ZERO,
        };
        before = written;
    }
}

/// What the processes of a group have written, each (proc_pid_io(5): `wchar`).
fn written_by(group: i32) -> Vec<(i32, u64)> {
    let Ok(entries) = std::fs::read_dir("/proc") else {
        return Vec::new();
    };
    let numbers = entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    let written = |number: i32| {
        let facts = std::fs::read_to_string(format!("/proc/{number}/stat")).ok()?;
        // Behind the name, which may hold anything: its state, its parent, its group.
        let (_, facts) = facts.rsplit_once(") ")?;
        let its: i32 = facts.split(' ').nth(2)?.parse().ok()?;
        let facts = match its == group {
            true => std::fs::read_to_string(format!("/proc/{number}/io")).ok()?,
            false => return None,
        };
        let count = facts
            .lines()
            .find_map(|line| line.strip_prefix("wchar: "))?;
        Some((number, count.parse().ok()?))
    };
    let mut found: Vec<(i32, u64)> = numbers.filter_map(written).collect();
    found.sort_unstable();
    found
}

/// The end of a text, at a character's boundary.
pub(super) fn end_of(text: &str) -> &str {
    let mut from = text.len().saturating_sub(QUOTED);
    while !text.is_char_boundary(from) {
        from += 1;
    }
    &text[from..]
}

/// What `postgres --version` says: `postgres (PostgreSQL) 15.14 (Debian 15.14-0+deb12u1)`.
fn version_of(folder: &Path) -> Result<String, String> {
    let output = Command::new(folder.join("postgres"))
        .arg("--version")
        .output();
    let output = output.map_err(|cause| cause.to_string())?;
    let said = String::from_utf8_lossy(&output.stdout);
    let version = parse_version(&said).ok_or_else(|| format!("says '{}'", said.trim()))?;
    Ok(version.to_owned())
}

fn parse_version(said: &str) -> Option<&str> {
    let rest = said.strip_prefix("postgres (PostgreSQL) ")?;
    rest.split_whitespace().next()
}

fn major(version: &str) -> &str {
    version.split('.').next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_as_packages_write_them() {
        for (said, version) in [
            (
                "postgres (PostgreSQL) 15.14 (Debian 15.14-0+deb12u1)\n",
                "15.14",
            ),
            ("postgres (PostgreSQL) 15.2\n", "15.2"),
        ] {
            assert_eq!(parse_version(said), Some(version));
            assert_eq!(major(version), "15");
        }
        assert_eq!(parse_version("postgres (EnterpriseDB) 15.2"), None);
        assert_eq!(major("150.1"), "150");
    }

    #[tokio::test]
    async fn a_child_that_writes_is_seen_where_its_parent_waits() {
        let mut command = Command::new("sh");
        command.args(["-c", "(echo there; sleep 100) & wait"]);
        command.stdout(Stdio::null());
        let (group, _) = ProcessGroup::start(command, None).unwrap();
        let begun = std::time::Instant::now();
        loop {
            let written = written_by(group.id());
            let leader = group.id();
            if written
                .iter()
                .any(|(it, count)| *it != leader && *count > 0)
            {
                break;
            }
            assert!(begun.elapsed() < Duration::from_secs(20), "{written:?}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        group.kill();
    }

    #[test]
    fn the_end_of_a_text_is_whole_characters() {
        let text = "é".repeat(2000);
        assert!(end_of(&text).len() <= QUOTED);
        assert!(text.ends_with(end_of(&text)));
        assert_eq!(end_of("short"), "short");
    }
}

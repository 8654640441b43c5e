//! What can go wrong with a server, and the few distinctions that a plan depends on.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use super::model::HomeState;
use crate::Exit;

/// No PostgreSQL that this crate can run is on this machine.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error(
    "no PostgreSQL 15 was found ({looked}): install it (on Debian and Ubuntu: apt-get install \
     postgresql)"
)]
pub struct PostgresMissing {
    /// Where it was looked for, and what was there.
    pub looked: String,
}

/// Something went wrong with a server.
#[derive(Debug, thiserror::Error)]
pub enum PostgresError {
    /// A file or a process could not be handled.
    #[error("{what}: {cause}")]
    Io {
        /// What was to be done.
        what: String,
        /// Why it wasn't.
        cause: io::Error,
    },
    /// The directory is in another state than this needs.
    #[error("{home} is {state:?}, which it must not be for this")]
    State {
        /// The directory.
        home: PathBuf,
        /// What it holds.
        state: HomeState,
    },
    /// The data are of another major version than this PostgreSQL's, or of none that is known.
    #[error("the data in {home} are of PostgreSQL {found}, not of {expected}")]
    Version {
        /// The directory.
        home: PathBuf,
        /// What its `PG_VERSION` says.
        found: String,
        /// The installation's major version.
        expected: String,
    },
    /// The directory is whole, and its data are not as this needs them.
    #[error("{home} can't be used for this: {why}")]
    Unfit {
        /// The directory.
        home: PathBuf,
        /// What is in the way.
        why: &'static str,
    },
    /// The upstream is there, and is not yet or no longer what this needs.
    #[error("the upstream can't be used for this: {0}")]
    Upstream(&'static str),
    /// A file of the directory is not as it was written.
    #[error("{path} is damaged: {why}")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        why: &'static str,
    },
    /// The path of the socket would be longer than a socket's path may be (unix(7): 107 bytes).
    #[error("the path of the socket in {0} is too long: use a shorter data directory")]
    PathTooLong(PathBuf),
    /// A name, a verifier, a parameter or a path is not what it must be.
    #[error("{what} is refused: {why}")]
    Refused {
        /// Which word; never a secret.
        what: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// PostgreSQL refuses the settings.
    #[error("PostgreSQL refuses its settings: {0}")]
    Settings(String),
    /// One of PostgreSQL's programs failed.
    #[error("{program} ended with {exit}: {said}")]
    Program {
        /// Its name.
        program: &'static str,
        /// How it ended.
        exit: Exit,
        /// The end of what it said.
        said: String,
    },
    /// It took too long and was ended.
    #[error("{what} took longer than {} s", .wait.as_secs())]
    Late {
        /// What.
        what: &'static str,
        /// How long it was waited for.
        wait: Duration,
    },
    /// The server refused a statement of ours.
    #[error("the server refused ({sqlstate}): {message}")]
    Sql {
        /// SQLSTATE, five characters.
        sqlstate: String,
        /// What it said.
        message: String,
    },
    /// The server is not running, or doesn't answer over its socket.
    #[error("the server is not there: {0}")]
    Gone(String),
}

impl PostgresError {
    /// Is a full disk the cause, as far as it was said?
    pub fn is_disk_full(&self) -> bool {
        match self {
            PostgresError::Io { cause, .. } => cause.kind() == io::ErrorKind::StorageFull,
            PostgresError::Program { said, .. } => said.contains("No space left on device"),
            // SQLSTATE 53100: disk_full.
            PostgresError::Sql { sqlstate, .. } => sqlstate == "53100",
            _ => false,
        }
    }

    /// An error of the operating system's, with what was to be done.
    pub(super) fn io(what: impl Into<String>) -> impl FnOnce(io::Error) -> PostgresError {
        let what = what.into();
        move |cause| PostgresError::Io { what, cause }
    }
}

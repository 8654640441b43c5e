//! How a command ends: its exit code and, where it failed, what went wrong and what to do next.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The exit codes, the same for every command.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ExitCode {
    /// 0: done.
    Done = 0,
    /// 1: it ran and did not hold, or could not be carried out.
    DidNotHold = 1,
    /// 2: wrong use or configuration.
    WrongUse = 2,
    /// 3: nothing is running.
    NothingRunning = 3,
}

/// A cause that a caller may do something about by itself.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Cause {
    /// Somebody else listens on a port that was wanted.
    PortTaken,
}

/// A command that came to nothing.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Failure {
    /// What the process exits with.
    pub code: ExitCode,
    /// What went wrong, in a sentence.
    pub message: String,
    /// What to do next, where there is something.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
    /// Why, where a caller may do something about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cause: Option<Cause>,
}

impl Failure {
    /// Exit code 1.
    pub fn did_not_hold(message: impl fmt::Display) -> Failure {
        Failure::new(ExitCode::DidNotHold, message)
    }

    /// Exit code 2.
    pub fn wrong_use(message: impl fmt::Display) -> Failure {
        Failure::new(ExitCode::WrongUse, message)
    }

    /// Exit code 3.
    pub fn nothing_running(message: impl fmt::Display) -> Failure {
        Failure::new(ExitCode::NothingRunning, message)
    }

    fn new(code: ExitCode, message: impl fmt::Display) -> Failure {
        Failure {
            code,
            message: message.to_string(),
            next: None,
            cause: None,
        }
    }

    /// The same, and what to do next.
    #[must_use]
    pub fn then(self, next: impl fmt::Display) -> Failure {
        Failure {
            next: Some(next.to_string()),
            ..self
        }
    }

    /// The same, for that cause.
    #[must_use]
    pub fn because(self, cause: Cause) -> Failure {
        Failure {
            cause: Some(cause),
            ..self
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        match &self.next {
            Some(next) => write!(f, "; {next}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for Failure {}

impl From<anyhow::Error> for Failure {
    /// What nobody foresaw by name: it ran and failed.
    fn from(cause: anyhow::Error) -> Failure {
        match cause.downcast::<Failure>() {
            Ok(failure) => failure,
            Err(cause) => Failure::did_not_hold(format!("{cause:#}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_keeps_its_code_through_anyhow() {
        let failure = Failure::nothing_running("it is not there").then("start it");
        assert_eq!(failure.to_string(), "it is not there; start it");
        let through: Failure = anyhow::Error::from(failure.clone()).into();
        assert_eq!(through, failure);
        let foreign: Failure = anyhow::anyhow!("inner").context("outer").into();
        assert_eq!(foreign, Failure::did_not_hold("outer: inner"));
    }
}

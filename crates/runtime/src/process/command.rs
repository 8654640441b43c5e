//! A command of the shell that is run for what it prints. It is asked nothing, is given a time, and
//! what it prints is taken for a secret: it goes nowhere else.

use std::io;
use std::process::Stdio;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::AsyncReadExt;
use tokio::process::Command;
use zeroize::Zeroizing;

use super::group::Exit;

/// Why a command gave nothing.
#[derive(Debug, thiserror::Error)]
pub enum CommandError {
    /// It could not be started or waited for.
    #[error("can't be run: {0}")]
    Io(#[from] io::Error),
    /// It failed.
    #[error("ended with {0}")]
    Failed(Exit),
    /// It printed too much.
    #[error("printed more than {0} bytes")]
    TooMuch(usize),
    /// It took too long, and was killed.
    #[error("took longer than {} s", .0.as_secs())]
    Late(Duration),
}

/// What the command prints to its stdout, at most `most` bytes; it is run by the shell, with
/// nothing to read, in a group of its own, which is killed when its time is up. Must be called
/// within a tokio runtime.
///
/// # Errors
/// See [`CommandError`].
pub async fn printed_by(
    command: &str,
    most: usize,
    wait: Duration,
) -> Result<Zeroizing<Vec<u8>>, CommandError> {
    let mut child = Command::new("/bin/sh")
        .args(["-c", command])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .process_group(0)
        .kill_on_drop(true)
        .spawn()?;
    let group = child.id().and_then(|id| Pid::from_raw(id.cast_signed()));
    let mut stdout = child.stdout.take().expect("it was asked for");
    let mut printed = Zeroizing::new(Vec::with_capacity(most + 1));
    let ended = tokio::time::timeout(wait, async {
        let read = (&mut stdout).take(most as u64 + 1);
        { read }.read_to_end(&mut printed).await?;
        if printed.len() > most {
            return Err(CommandError::TooMuch(most));
        }
        Ok(child.wait().await?)
    });
    let status = match ended.await {
        Ok(Ok(status)) => status,
        other => {
            if let Some(group) = group {
                // It may have ended just now.
                kill_process_group(group, Signal::KILL).ok();
            }
            return Err(match other {
                Ok(Err(error)) => error,
                _ => CommandError::Late(wait),
            });
        }
    };
    match Exit::from(status) {
        Exit::Code(0) => Ok(printed),
        exit => Err(CommandError::Failed(exit)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_command_that_takes_too_long_is_killed_with_what_it_started() {
        let marker = format!("{}.25", 40_000 + std::process::id());
        let command = format!("sleep {marker} | cat; true");
        let result = printed_by(&command, 10, Duration::from_millis(300)).await;
        assert!(matches!(result, Err(CommandError::Late(_))), "{result:?}");
        let lives = || {
            std::fs::read_dir("/proc").unwrap().flatten().any(|entry| {
                let words = std::fs::read(entry.path().join("cmdline")).unwrap_or_default();
                words.starts_with(b"sleep\0") && String::from_utf8_lossy(&words).contains(&marker)
            })
        };
        for _ in 0..100 {
            if !lives() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("what it started lives on");
    }

    #[tokio::test]
    async fn what_it_prints_is_what_it_gives() {
        let wait = Duration::from_secs(20);
        let printed = printed_by("printf abc", 3, wait).await.unwrap();
        assert_eq!(*printed, b"abc");
        let much = printed_by("printf abcd", 3, wait).await;
        assert!(matches!(much, Err(CommandError::TooMuch(3))));
        let failed = printed_by("printf abc; exit 4", 3, wait).await;
        assert!(matches!(failed, Err(CommandError::Failed(Exit::Code(4)))));
    }
}

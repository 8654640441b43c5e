//! What an edge's directory says of its drain, for those that know of each other by nothing else:
//! the supervisor, the edge's own process, and `causeway announce` beside it. It drains nothing.
//!
//! `drain.toml` is there while nothing new shall come to the edge; `announced` while the announcer
//! beside it, if there is one, hasn't withdrawn the edge's addresses.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use types::{Environment, Span};

use crate::failure::Failure;
use crate::files::{self, Readers};

/// How long flows may take to end unless another span is asked for: a TCP flow that is silent for
/// so long has ended (Global Accelerator's idle time).
pub const USUAL: Duration = Duration::from_secs(340);

/// The longest span that can be asked for.
pub const LONGEST: Duration = Duration::from_secs(24 * 3600);

/// How often it is looked how many flows are left.
pub const EVERY: Span = Span::milliseconds(200);

/// How long routers may take to know that it is withdrawn; what comes meanwhile is new and taken.
const ROUTERS_WAIT: Span = Span::seconds(1);

/// How long both may take: an announcer has 10 s to withdraw, since BIRD has 2 s to answer and is
/// asked again.
const LONGEST_WITHDRAWAL: Duration = Duration::from_secs(11);

/// The version of `drain.toml` that this binary writes, and the greatest it reads.
const FORMAT: u32 = 1;

/// Why nothing new shall come to an edge.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum By {
    /// The operator said so: until the operator says otherwise, also across restarts.
    Operator,
    /// Its process was asked to end: until it starts again.
    Signal,
}

/// `drain.toml`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Record {
    /// The version of this file.
    format: u32,
    /// Why.
    pub by: By,
    /// Also if nobody else is left to take what is new.
    pub forced: bool,
}

impl Record {
    /// One of this version.
    pub fn new(by: By, forced: bool) -> Record {
        Record {
            format: FORMAT,
            by,
            forced,
        }
    }

    /// What the edge's directory says; none if new flows may come.
    ///
    /// # Errors
    /// The file can't be read or understood, or a newer program wrote it.
    pub fn read(directory: &Path) -> anyhow::Result<Option<Record>> {
        let file = file(directory);
        if !file.try_exists()? {
            return Ok(None);
        }
        let text = files::read(&file)?;
        let wrong = |cause: &dyn std::fmt::Display| {
            let name = file.display();
            Failure::wrong_use(format!("{name} can't be understood: {cause}"))
                .then("remove it, and drain the edge again if it shall be")
        };
        /// What every version of the file has.
        #[derive(Deserialize)]
        struct Versioned {
            format: u32,
        }
        let Versioned { format } = toml::from_str(&text).map_err(|cause| wrong(&cause))?;
        if format > FORMAT {
            let newer = format!("it has format {format}, which a newer Causeway wrote");
            return Err(wrong(&newer).into());
        }
        Ok(Some(toml::from_str(&text).map_err(|cause| wrong(&cause))?))
    }

    /// Puts it there.
    ///
    /// # Errors
    /// The disk refuses.
    pub fn write(&self, directory: &Path) -> anyhow::Result<()> {
        files::write(&file(directory), &self.text()?, Readers::Anyone)
    }

    /// The edge's process was asked to end: puts that there, unless something is there already,
    /// which is the operator's. One that is drained just now keeps the operator's.
    ///
    /// # Errors
    /// The disk refuses.
    pub fn note_signal(directory: &Path) -> anyhow::Result<()> {
        let file = file(directory);
        if file.try_exists()? {
            return Ok(());
        }
        let text = Record::new(By::Signal, false).text()?;
        files::write_first(&file, &text, Readers::Anyone, "signal").map(drop)
    }

    fn text(&self) -> anyhow::Result<String> {
        let text = toml::to_string(self)?;
        Ok(format!(
            "# Nothing new shall come to this edge (`causeway edge`).\n{text}"
        ))
    }

    /// The edge's process is about to start: what a signal asked of the one before is over.
    ///
    /// # Errors
    /// As those of [`read`](Self::read), or the disk refuses.
    pub fn start_anew(directory: &Path) -> anyhow::Result<()> {
        match Record::read(directory)? {
            Some(record) if record.by == By::Signal => Record::remove(directory),
            _ => Ok(()),
        }
    }

    /// The operator has it drained no longer, also if what is there can't be understood. What its
    /// process has noted that was asked to end stays: true if so.
    ///
    /// # Errors
    /// The disk refuses.
    pub fn undrain(directory: &Path) -> anyhow::Result<bool> {
        match Record::read(directory) {
            Ok(Some(record)) if record.by == By::Signal => Ok(true),
            _ => Record::remove(directory).map(|()| false),
        }
    }

    /// New flows may come again.
    ///
    /// # Errors
    /// The disk refuses.
    pub fn remove(directory: &Path) -> anyhow::Result<()> {
        files::remove(&file(directory))
    }
}

fn file(directory: &Path) -> PathBuf {
    directory.join("drain.toml")
}

/// The file that is there while an announcer's addresses may be announced.
fn announced(directory: &Path) -> PathBuf {
    directory.join("announced")
}

/// May that edge's addresses be announced, as the announcer beside it last said?
pub fn is_announced(directory: &Path) -> bool {
    announced(directory).exists()
}

/// The announcer beside that edge says whether the addresses may be announced: before it announces
/// them, and once it has withdrawn them.
///
/// # Errors
/// The disk refuses.
pub fn say_announced(directory: &Path, is_announced: bool) -> anyhow::Result<()> {
    let file = announced(directory);
    match is_announced {
        true if file.exists() => Ok(()),
        true => files::write(&file, "by `causeway announce`\n", Readers::Anyone),
        false => files::remove(&file),
    }
}

/// Waits until nobody announces that edge's addresses: at once where nobody does. Gives false if
/// they still are announced after 10 s, or a disk that hangs doesn't say.
pub async fn withdrawn(directory: &Path, environment: &dyn Environment) -> bool {
    let wait = |span: Span| environment.sleep_until(environment.now().monotonic + span);
    let is_announced = || {
        let directory = directory.to_owned();
        // One at a time: a disk that hangs keeps one thread.
        runtime::blocking(move || is_announced(&directory))
    };
    let withdrawn = async {
        let mut was_announced = is_announced().await;
        while was_announced {
            while is_announced().await {
                wait(EVERY).await;
            }
            wait(ROUTERS_WAIT).await;
            // Who undrained it meanwhile may have had it announced anew.
            was_announced = is_announced().await;
        }
    };
    runtime::within(LONGEST_WITHDRAWAL, withdrawn)
        .await
        .is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_read_as_it_was_written_and_a_newer_one_is_refused_by_name() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path();
        assert_eq!(Record::read(path).unwrap(), None);
        for record in [
            Record::new(By::Operator, true),
            Record::new(By::Signal, false),
        ] {
            record.write(path).unwrap();
            assert_eq!(Record::read(path).unwrap(), Some(record));
        }
        let text = std::fs::read_to_string(file(path)).unwrap();
        for (from, to, word) in [
            ("format = 1", "format = 2", "newer"),
            ("signal", "nobody", "nobody"),
            ("forced", "forcde", "forcde"),
        ] {
            let changed = text.replace(from, to);
            assert_ne!(changed, text);
            std::fs::write(file(path), changed).unwrap();
            let refused = Record::read(path).unwrap_err().to_string();
            assert!(refused.contains("drain.toml"), "{refused}");
            assert!(refused.contains(word), "{refused}");
        }
        Record::remove(path).unwrap();
        Record::remove(path).unwrap();
        assert_eq!(Record::read(path).unwrap(), None);
    }

    #[test]
    fn an_operator_ends_its_own_drain_and_no_signal_s() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path();
        assert!(!Record::undrain(path).unwrap());
        let signal = Record::new(By::Signal, false);
        Record::note_signal(path).unwrap();
        assert!(Record::undrain(path).unwrap());
        assert_eq!(Record::read(path).unwrap(), Some(signal));
        let operator = Record::new(By::Operator, false);
        operator.write(path).unwrap();
        Record::note_signal(path).unwrap();
        assert_eq!(Record::read(path).unwrap(), Some(operator));
        assert!(!Record::undrain(path).unwrap());
        assert_eq!(Record::read(path).unwrap(), None);
        // A newer program's is the operator's, too.
        std::fs::write(file(path), "format = 99\n").unwrap();
        assert!(!Record::undrain(path).unwrap());
        assert_eq!(Record::read(path).unwrap(), None);
    }

    #[tokio::test]
    async fn it_is_withdrawn_when_it_has_been_so_for_as_long_as_routers_take() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path();
        let environment = runtime::SystemEnvironment::new();
        let begun = environment.now().monotonic;
        assert!(withdrawn(path, &environment).await);
        let later = || environment.now().monotonic - begun;
        assert!(later() < ROUTERS_WAIT, "nobody announces it");
        say_announced(path, true).unwrap();
        let anew = async {
            let wait = |span: Span| environment.sleep_until(environment.now().monotonic + span);
            wait(EVERY).await;
            say_announced(path, false).unwrap();
            wait(Span(2 * EVERY.0)).await;
            say_announced(path, true).unwrap();
            wait(Span(2 * ROUTERS_WAIT.0)).await;
            say_announced(path, false).unwrap();
            later()
        };
        let (is_withdrawn, at) = tokio::join!(withdrawn(path, &environment), anew);
        assert!(is_withdrawn && later().0 >= at.0 + ROUTERS_WAIT.0);
    }
}

//! Making a server of a snapshot and the archived log since, as it was at a moment. The server's
//! own recovery does it, before anybody can connect, and leaves it on a timeline of its own.

use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use types::Timestamp;
use types::calendar::{LAST_SECOND, SECONDS_PER_DAY, date_of};

use super::chain::{Chain, snapshot_begin};
use crate::postgres::account::Account;
use crate::postgres::error::PostgresError;
use crate::postgres::files;
use crate::postgres::home::{ServerHome, blocking};
use crate::postgres::installation::Postgres;
use crate::postgres::lineage::Lineage;
use crate::postgres::timeline::{SEGMENT, history_name, segment_name};

/// The file that has a server recover from an archive.
const SIGNAL: &str = "recovery.signal";

/// Why a snapshot can't be recovered with an archive.
const NO_LOG: &str = "the log since the snapshot isn't in the archive";

/// What the archive is replayed up to.
struct Part {
    lineage: Lineage,
    /// Is the snapshot of a timeline that the archive's came from? Then the recovery goes over the
    /// places where others went on.
    is_older: bool,
    first: u64,
    end: u64,
    /// Where a transaction was committed after the moment: it is stopped before that one.
    stops: bool,
}

impl Postgres {
    /// Makes a server of a snapshot, as it was at that moment by the clock of the server that
    /// wrote the archive: what was committed then or before is there, and nothing else. As of
    /// [`Postgres::restore`], it is a primary with new passwords of our own, and doesn't run
    /// afterwards; its timeline is a new one.
    ///
    /// # Errors
    /// As of [`Postgres::restore`]; or the log since the snapshot isn't in the archive, or doesn't
    /// go as far as that.
    pub async fn restore_to(
        &self,
        (from, archive): (&Path, &Path),
        moment: Timestamp,
        home: &ServerHome,
    ) -> Result<(), PostgresError> {
        let lacks = |why| PostgresError::Damaged {
            path: archive.to_owned(),
            why,
        };
        let (snapshot, folder) = (from.to_owned(), archive.to_owned());
        let part = blocking("can't read an archive", move || {
            part_of(&snapshot, &folder, moment)
        });
        let part = part.await?.ok_or_else(|| lacks(NO_LOG))?;
        let timeline = match part.is_older {
            true => part.lineage.timeline.to_string(),
            false => "current".to_owned(),
        };
        let mut settings = vec![
            "restore_command=false".to_owned(),
            format!("recovery_target_timeline={timeline}"),
            "recovery_target_action=promote".to_owned(),
        ];
        if part.stops {
            settings.push(format!("recovery_target_time={}", time(moment)));
        }
        let (folder, account) = (archive.to_owned(), *self.account());
        let add_log = move |home: &ServerHome| {
            add(&folder, &part, home, &account)?;
            files::write_in(home.data()?, SIGNAL, b"", &account)
        };
        self.restore_with(from, home, add_log, &settings).await
    }
}

/// What of the archive is to be replayed on the snapshot; `None`: it isn't there.
fn part_of(snapshot: &Path, archive: &Path, moment: Timestamp) -> io::Result<Option<Part>> {
    let (Some(begin), Some(chain)) = (snapshot_begin(snapshot)?, Chain::read(archive)?) else {
        return Ok(None);
    };
    let latest = chain.quiet.max(chain.mark);
    if !chain.continues(begin) || moment.0 > latest {
        return Ok(None);
    }
    Ok(Some(Part {
        lineage: chain.lineage(),
        is_older: begin.timeline != chain.timeline,
        first: begin.segment,
        end: chain.end_for(archive, moment.0)?,
        stops: moment.0 <= chain.mark,
    }))
}

/// Puts that part of the log into a server's data, in the place of what the snapshot has of it.
fn add(archive: &Path, part: &Part, home: &ServerHome, account: &Account) -> io::Result<()> {
    let log = files::open_directory_in(home.data()?, "pg_wal")?;
    for segment in part.first..part.end.div_ceil(SEGMENT) {
        let name = segment_name(part.lineage.timeline_of(segment), segment);
        let length = (part.end - segment * SEGMENT).min(SEGMENT);
        let length = usize::try_from(length).map_err(io::Error::other)?;
        let mut bytes = vec![0; length];
        let file = std::fs::File::open(archive.join(&name))?;
        file.read_exact_at(&mut bytes, 0)?;
        // The server wants files of their full length; what is behind the end is nothing.
        bytes.resize(usize::try_from(SEGMENT).map_err(io::Error::other)?, 0);
        files::write_in(&log, &name, &bytes, account)?;
    }
    if part.is_older {
        let name = history_name(part.lineage.timeline);
        let text = std::fs::read(archive.join(&name))?;
        files::write_in(&log, &name, &text, account)?;
    }
    Ok(())
}

/// As PostgreSQL reads it: `2026-11-29 20:15:00.250+00`.
fn time(at: Timestamp) -> String {
    let seconds = (at.0 / 1000).min(LAST_SECOND);
    let (year, month, day) = date_of(seconds / SECONDS_PER_DAY);
    let of_day = seconds % SECONDS_PER_DAY;
    let (hour, minute, second) = (of_day / 3600, of_day / 60 % 60, of_day % 60);
    let milliseconds = at.0 % 1000;
    format!("{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02}.{milliseconds:03}+00")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_written_as_the_server_reads_it() {
        assert_eq!(
            time(Timestamp(1_795_000_000_250)),
            "2026-11-18 11:06:40.250+00"
        );
    }
}

//! The part of a server's log that begins where its successor left it: found, read by pg_waldump,
//! and copied.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::room::Room;
use super::scan::Scan;
use super::spool::Spool;
use crate::Exit;
use crate::postgres::account::Account;
use crate::postgres::error::PostgresError;
use crate::postgres::files::{self, Copied};
use crate::postgres::home::{ServerHome, blocking};
use crate::postgres::installation::{Postgres, Run, end_of};
use crate::postgres::lineage::Lineage;
use crate::postgres::model::{ControlData, Lsn};
use crate::postgres::timeline::{SEGMENT, read_history, segment_name, segment_of};

/// Where it is kept.
pub(super) const DIRECTORY: &str = "wal";

/// How long pg_waldump may write nothing.
const STILL: Duration = Duration::from_secs(60);

/// Where the files are read, each under a name as if all were of one timeline: pg_waldump reads no
/// other way over the place where one began. They are links, and not kept.
pub(super) const LINKS: &str = "log";

/// A part of a log, of which every file is there.
pub(super) struct Part {
    /// Its files, each with the timeline that it is of, without a gap.
    files: BTreeMap<u64, u32>,
    timeline: u32,
    /// The newest timeline of which there is a file.
    newest: u32,
    begin: Lsn,
    checkpoint: Lsn,
}

impl Part {
    /// Finds it: to the file with the server's last checkpoint, and from as far back as files are
    /// there, since what was committed late may have begun long before.
    pub(super) async fn of(
        home: &ServerHome,
        control: &ControlData,
        begin: Lsn,
    ) -> Result<Part, PostgresError> {
        let (of, timeline) = (home.clone(), control.timeline);
        let there = blocking("can't read a server's log", move || {
            // Without it, what there is of its own timeline.
            let history = read_history(of.data()?, timeline)?.unwrap_or_default();
            Ok((Lineage { timeline, history }, found_in(&of)?))
        });
        let (lineage, there) = there.await?;
        let last = last_segment(control);
        let back = (0..=last).rev();
        let back = back.map(|segment| (segment, lineage.timeline_of(segment)));
        let whole = back.take_while(|(segment, timeline)| there.contains(&(*timeline, *segment)));
        let files: BTreeMap<u64, u32> = whole.collect();
        if files.is_empty() {
            return Err(PostgresError::Unfit {
                home: home.directory().to_owned(),
                why: "the end of its log is gone",
            });
        }
        Ok(Part {
            files,
            timeline,
            newest: newest_of(&there),
            begin,
            checkpoint: control.checkpoint,
        })
    }

    fn first(&self) -> u64 {
        let first = self.files.keys().next();
        *first.expect("a part without files isn't made")
    }

    /// Why not all that was committed from its beginning on can be told, if that is so.
    pub(super) fn gone(&self) -> Option<String> {
        let there = Lsn(self.first() * SEGMENT);
        if self.begin == Lsn(0) {
            return Some(format!(
                "where it left the others isn't known: all that was committed from {there} on is \
                 listed, be it that they have it too, and what was committed before isn't known"
            ));
        }
        let gone = there > self.begin && self.checkpoint >= self.begin;
        gone.then(|| {
            let begin = self.begin;
            format!("its log from {begin} to {there} is gone: what was committed there isn't known")
        })
    }

    /// That the server's log goes on where it isn't read, if it does.
    pub(super) fn beyond(&self) -> Option<String> {
        (self.newest > self.timeline).then(|| {
            format!(
                "its log has files of timeline {}, to which it hasn't come: what was committed there \
                 isn't known",
                self.newest
            )
        })
    }

    /// Links its files into the directory that pg_waldump reads.
    async fn link(&self, home: &ServerHome, to: &Path) -> Result<(), PostgresError> {
        let log = home.data_path().join("pg_wal");
        let link = |(segment, timeline): (&u64, &u32)| {
            let file = log.join(segment_name(*timeline, *segment));
            (file, segment_name(self.timeline, *segment))
        };
        let links: Vec<(PathBuf, String)> = self.files.iter().map(link).collect();
        let to = to.join(LINKS);
        blocking("can't make a log readable", move || {
            let target = files::open_directory(&to)?;
            let link = |(file, name)| Ok(rustix::fs::symlinkat(file, &target, name)?);
            links.into_iter().try_for_each(link)
        })
        .await
    }

    /// Copies its files up to the end of what was scanned, from the one before the fork's on, or
    /// from where the first of what was committed began; gives how many bytes. `None`: there is no
    /// room for them, and nothing is copied.
    pub(super) async fn copy(
        &self,
        home: &ServerHome,
        to: &Path,
        (scan, room): (&Scan, &mut Room),
        account: &Account,
    ) -> Result<Option<u64>, PostgresError> {
        let (of, to, account) = (home.clone(), to.join(DIRECTORY), *account);
        let forks = (self.begin.0 / SEGMENT).saturating_sub(1);
        let first = scan.begun.map_or(forks, |lsn| forks.min(lsn.0 / SEGMENT));
        let names: Vec<String> = match scan.end > self.begin {
            true => (self.files)
                .range(first..=scan.end.0.saturating_sub(1) / SEGMENT)
                .map(|(segment, timeline)| segment_name(*timeline, *segment))
                .collect(),
            false => Vec::new(),
        };
        let has_room = room.take(names.len() as u64 * SEGMENT);
        if !has_room.map_err(PostgresError::io("can't look at a disk"))? {
            return Ok(None);
        }
        blocking("can't copy a server's log", move || {
            let log = files::open_directory_in(of.data()?, "pg_wal")?;
            let target = files::open_directory(&to)?;
            let mut copied = Copied::default();
            for name in names {
                let name = std::ffi::CString::new(name).map_err(io::Error::other)?;
                copied.bytes += files::copy_file(&log, &target, &name, &account)?;
            }
            Ok(Some(copied.bytes))
        })
        .await
    }
}

/// The newest timeline of which a server has a file of the log.
pub(super) async fn newest(home: &ServerHome) -> Result<u32, PostgresError> {
    let of = home.clone();
    let newest = blocking("can't read a server's log", move || {
        Ok(newest_of(&found_in(&of)?))
    });
    newest.await
}

fn newest_of(files: &BTreeSet<(u32, u64)>) -> u32 {
    files.last().map_or(0, |(timeline, _)| *timeline)
}

/// The files of a server's log that are whole, each with its timeline.
fn found_in(home: &ServerHome) -> io::Result<BTreeSet<(u32, u64)>> {
    let log = files::open_directory_in(home.data()?, "pg_wal")?;
    let names = files::names(&log)?.into_iter();
    Ok(names
        .filter_map(|(name, _)| segment_of(name.to_str().ok()?))
        .collect())
}

/// The last file that the server's last checkpoint is in: its record may go over from one to the
/// next.
fn last_segment(control: &ControlData) -> u64 {
    let end = control.end.map(|end| end.0.saturating_sub(1));
    end.unwrap_or(control.checkpoint.0) / SEGMENT
}

impl Postgres {
    /// Reads that part to its end, what was committed in it into the spool. There pg_waldump ends
    /// with an error, whatever it met.
    pub(super) async fn scan(
        &self,
        home: &ServerHome,
        to: &Path,
        part: &Part,
        mut spool: Spool,
    ) -> Result<(Scan, Spool), PostgresError> {
        let mut scan = Scan::new(part.begin);
        // Nothing of it is there.
        if part.checkpoint < part.begin {
            return Ok((scan, spool));
        }
        part.link(home, to).await?;
        let mut arguments = vec!["--path".into(), to.join(LINKS).into()];
        arguments.extend(["--timeline".into(), part.timeline.to_string().into()]);
        // Its first record is found from the page's header.
        let from = Lsn(part.first() * SEGMENT);
        arguments.extend(["--start".into(), from.to_string().into()]);
        let run = Run {
            program: "pg_waldump",
            arguments,
            input: b"",
            wait: STILL,
            moving: true,
        };
        let mut spooled = Ok(());
        let take = |line: &str| {
            if let (Some(committed), Ok(())) = (scan.line(line), &spooled) {
                spooled = spool.take(&committed);
            }
        };
        let exit = run.lines(self, take).await?;
        spooled.map_err(PostgresError::io("can't keep what was committed"))?;
        scan.finish();
        if !matches!(exit, Exit::Code(0 | 1)) {
            return Err(PostgresError::Program {
                program: "pg_waldump",
                exit,
                said: end_of(&scan.said).trim().to_owned(),
            });
        }
        match scan.last >= part.checkpoint {
            true => Ok((scan, spool)),
            false => Err(PostgresError::Unfit {
                home: home.directory().to_owned(),
                why: "its log can't be read to its end",
            }),
        }
    }
}

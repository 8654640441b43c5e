//! The part of a server's log that begins where its successor left it: found, read by pg_waldump,
//! and copied.

use std::io;
use std::path::Path;
use std::time::Duration;

use super::scan::Scan;
use crate::Exit;
use crate::postgres::account::Account;
use crate::postgres::error::PostgresError;
use crate::postgres::files::{self, Copied};
use crate::postgres::home::{ServerHome, blocking};
use crate::postgres::installation::{Postgres, Run, end_of};
use crate::postgres::model::{ControlData, Lsn};
use crate::postgres::timeline::{SEGMENT, segment_name, segment_of};

/// Where it is kept.
pub(super) const DIRECTORY: &str = "wal";

/// How long pg_waldump may write nothing.
const STILL: Duration = Duration::from_secs(60);

/// A part of a log, of which every file is there.
pub(super) struct Part {
    timeline: u32,
    /// Its first file.
    first: u64,
    /// The file with the server's last checkpoint, or the one before the fork's if that is all.
    last: u64,
    begin: Lsn,
    checkpoint: Lsn,
}

impl Part {
    /// Finds it: from the file before the fork's on, if that is there. What was begun shortly
    /// before the fork is counted then as well.
    pub(super) async fn of(
        home: &ServerHome,
        control: &ControlData,
        begin: Lsn,
    ) -> Result<Part, PostgresError> {
        let (of, timeline) = (home.clone(), control.timeline);
        let there = blocking("can't read a server's log", move || {
            let log = files::open_directory_in(of.data()?, "pg_wal")?;
            let names = files::names(&log)?.into_iter();
            let found = names.filter_map(|(name, _)| segment_of(name.to_str().ok()?));
            let own = found.filter(|(of, _)| *of == timeline);
            Ok(own.map(|(_, segment)| segment).collect::<Vec<u64>>())
        });
        let there = there.await?;
        let forks = begin.0 / SEGMENT;
        let last = control.checkpoint.0 / SEGMENT;
        let missing = (forks..=last).any(|segment| !there.contains(&segment));
        if missing && control.checkpoint >= begin {
            return Err(PostgresError::Unfit {
                home: home.directory().to_owned(),
                why: "its log from where its successor left it is gone",
            });
        }
        let before = forks.saturating_sub(1);
        Ok(Part {
            timeline,
            first: if there.contains(&before) {
                before
            } else {
                forks
            },
            last,
            begin,
            checkpoint: control.checkpoint,
        })
    }

    /// Copies its files up to that place; gives how many bytes.
    pub(super) async fn copy(
        &self,
        home: &ServerHome,
        to: &Path,
        end: Lsn,
        account: &Account,
    ) -> Result<u64, PostgresError> {
        let (of, to, account) = (home.clone(), to.join(DIRECTORY), *account);
        let names: Vec<String> = match end > self.begin {
            true => (self.first..=end.0.saturating_sub(1) / SEGMENT)
                .map(|segment| segment_name(self.timeline, segment))
                .collect(),
            false => Vec::new(),
        };
        blocking("can't copy a server's log", move || {
            let log = files::open_directory_in(of.data()?, "pg_wal")?;
            let target = files::open_directory(&to)?;
            let mut copied = Copied::default();
            for name in names {
                let name = std::ffi::CString::new(name).map_err(io::Error::other)?;
                copied.bytes += files::copy_file(&log, &target, &name, &account)?;
            }
            Ok(copied.bytes)
        })
        .await
    }
}

impl Postgres {
    /// Reads that part to its end. There pg_waldump ends with an error, whatever it met.
    pub(super) async fn scan(&self, home: &ServerHome, part: &Part) -> Result<Scan, PostgresError> {
        let mut scan = Scan::new(part.begin);
        // Nothing of it is there.
        if part.checkpoint < part.begin && part.last < part.begin.0 / SEGMENT {
            return Ok(scan);
        }
        let mut arguments = vec!["--path".into(), home.data_path().join("pg_wal").into()];
        arguments.extend(["--timeline".into(), part.timeline.to_string().into()]);
        // The first file begins where the server's timeline did, or with a page's header.
        let from = Lsn(part.first * SEGMENT);
        arguments.extend(["--start".into(), from.to_string().into()]);
        let run = Run {
            program: "pg_waldump",
            arguments,
            input: b"",
            wait: STILL,
            moving: true,
        };
        let exit = run.lines(self, |line| scan.line(line)).await?;
        if !matches!(exit, Exit::Code(0 | 1)) {
            return Err(PostgresError::Program {
                program: "pg_waldump",
                exit,
                said: end_of(&scan.said).trim().to_owned(),
            });
        }
        match scan.last >= part.checkpoint {
            true => Ok(scan),
            false => Err(PostgresError::Unfit {
                home: home.directory().to_owned(),
                why: "its log can't be read to its end",
            }),
        }
    }
}

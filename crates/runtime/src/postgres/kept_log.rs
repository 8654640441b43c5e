//! The log from before a rewind. pg_rewind takes away what the upstream doesn't have, also what
//! the server must replay from its last common checkpoint on, if the upstream has written past it
//! (PostgreSQL 17 keeps it). So it is held by second names, and put back.

use std::io;
use std::os::fd::OwnedFd;

use rustix::fs::{AtFlags, linkat};

use super::error::PostgresError;
use super::files;
use super::home::{ServerHome, blocking};
use super::model::Lsn;
use super::timeline::SEGMENT;

/// The directory of a home with the second names.
const DIRECTORY: &str = "log.kept";

/// What tells a standby where its recovery begins (access/xlogrecovery.c: read_backup_label).
pub(super) const LABEL: &str = "backup_label";

/// What is read of it.
const LONGEST_LABEL: usize = 64 * 1024;

/// The files of a server's log up to where its upstream left it.
pub(super) struct KeptLog(());

impl KeptLog {
    /// Keeps them, on the same disk and without a copy.
    pub(super) async fn of(home: &ServerHome, left: Lsn) -> Result<KeptLog, PostgresError> {
        let home = home.clone();
        blocking("can't keep a server's log", move || {
            remove(&home)?;
            let path = home.file(DIRECTORY);
            files::make_directory(&path, 0o700, None)?;
            let (log, kept) = (log_of(&home)?, files::open_directory(&path)?);
            for (name, segment) in segments(&log)? {
                if segment <= left.0 / SEGMENT {
                    linkat(&log, &*name, &kept, &*name, AtFlags::empty())?;
                }
            }
            Ok(KeptLog(()))
        })
        .await
    }

    /// Puts back what the server needs and has no more.
    pub(super) async fn complete(self, home: &ServerHome, left: Lsn) -> Result<(), PostgresError> {
        let of = home.clone();
        let complete = blocking("can't complete a server's log", move || {
            let complete = put_back(&of, left)?;
            remove(&of)?;
            Ok(complete)
        });
        match complete.await? {
            true => Ok(()),
            false => Err(PostgresError::Unfit {
                home: home.directory().to_owned(),
                why: "its log since the last common checkpoint is gone",
            }),
        }
    }
}

/// Is all there then?
fn put_back(home: &ServerHome, left: Lsn) -> io::Result<bool> {
    let label = files::read_in(home.data()?, LABEL, LONGEST_LABEL)?;
    // Without one nothing had to be rewound.
    let Some(label) = label else { return Ok(true) };
    let Some(begin) = begin_of(&String::from_utf8_lossy(&label)) else {
        return Ok(false);
    };
    let (log, kept) = (log_of(home)?, files::open_directory(&home.file(DIRECTORY))?);
    let (mut there, held) = (segments(&log)?, segments(&kept)?);
    for (name, segment) in held {
        let wanted = (begin.0 / SEGMENT..=left.0 / SEGMENT).contains(&segment);
        if wanted && !there.iter().any(|(_, other)| *other == segment) {
            linkat(&kept, &*name, &log, &*name, AtFlags::empty())?;
            there.push((name, segment));
        }
    }
    rustix::fs::fsync(&log)?;
    let has = |segment| there.iter().any(|(_, other)| *other == segment);
    // The last of them may be on the upstream's timeline alone, and comes from there.
    Ok((begin.0 / SEGMENT..left.0 / SEGMENT).all(has))
}

/// Where a recovery begins: `START WAL LOCATION: 0/2000028 (file 000000010000000000000002)`.
pub(super) fn begin_of(label: &str) -> Option<Lsn> {
    let rest = |line: &'_ str| Some(line.strip_prefix("START WAL LOCATION: ")?.to_owned());
    let rest = label.lines().find_map(rest)?;
    rest.split(' ').next()?.parse().ok()
}

fn remove(home: &ServerHome) -> io::Result<()> {
    match std::fs::remove_dir_all(home.file(DIRECTORY)) {
        Err(cause) if cause.kind() != io::ErrorKind::NotFound => Err(cause),
        _ => Ok(()),
    }
}

fn log_of(home: &ServerHome) -> io::Result<OwnedFd> {
    files::open_directory_in(home.data()?, "pg_wal")
}

/// The files of a log in that directory, each with its number whatever timeline it is of.
fn segments(log: &OwnedFd) -> io::Result<Vec<(std::ffi::CString, u64)>> {
    let names = files::names(log)?;
    let number = |name: &std::ffi::CStr| super::timeline::segment_of(name.to_str().ok()?);
    let found = names.into_iter().filter_map(|(name, _)| {
        let (_, segment) = number(&name)?;
        Some((name, segment))
    });
    Ok(found.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_says_where_recovery_begins() {
        let label = "START WAL LOCATION: 0/2000028 (file 000000010000000000000002)\n\
                     CHECKPOINT LOCATION: 0/2000060\nBACKUP METHOD: pg_rewind\n";
        assert_eq!(begin_of(label), Some(Lsn(0x200_0028)));
        assert_eq!(begin_of("CHECKPOINT LOCATION: 0/2000060\n"), None);
    }
}

//! Timelines: where each began, as PostgreSQL keeps it in files of the log, and the arithmetic of
//! places in the log. No server is asked here.

use std::io;
use std::os::fd::AsFd;

use super::error::PostgresError;
use super::files;
use super::home::{ServerHome, blocking};
use super::model::{Fork, Lsn};
use super::server::Server;

/// Bytes of a file of the log, as initdb makes it here.
///
/// Smaller than PostgreSQL's own 16 MiB: a promotion begins a file of its own, and a rewind copies
/// all that are there.
pub(super) const SEGMENT: u64 = SEGMENT_MIB * 1024 * 1024;

/// The same in MiB.
pub(super) const SEGMENT_MIB: u64 = 4;

/// Bytes of a page of the log (pg_config.h: XLOG_BLCKSZ) ...
const PAGE: u64 = 8192;

/// ... and of the headers of a page and of the first of a file (access/xlog_internal.h).
const PAGE_HEADER: u64 = 24;
const FIRST_HEADER: u64 = 40;

/// What is read of a history: a line a timeline before it.
pub(super) const LONGEST_HISTORY: usize = 256 * 1024;

/// The timelines that a server's own came from, oldest first: each with the place where the next
/// one left it.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct History(pub(super) Vec<(u32, Lsn)>);

impl History {
    /// As in the file `0000000N.history` (access/timeline.c): a number, a place and a reason a
    /// line; what begins with `#` is a remark.
    pub(super) fn parse(text: &str) -> Option<History> {
        let lines = text.lines().map(str::trim);
        let lines = lines.filter(|line| !line.is_empty() && !line.starts_with('#'));
        let ancestor = |line: &str| {
            let mut words = line.split_whitespace();
            Some((words.next()?.parse().ok()?, words.next()?.parse().ok()?))
        };
        let ancestors: Vec<(u32, Lsn)> = lines.map(ancestor).collect::<Option<_>>()?;
        // Numbers grow from each to the next.
        let grow = ancestors.is_sorted_by(|one, next| one.0 < next.0 && one.1 <= next.1);
        (grow && ancestors.first().is_none_or(|first| first.0 > 0)).then_some(History(ancestors))
    }
}

/// The history of that timeline, from a data directory.
pub(super) fn read_history(data: impl AsFd, timeline: u32) -> io::Result<Option<History>> {
    if timeline == 1 {
        return Ok(Some(History::default()));
    }
    let name = format!("pg_wal/{}", history_name(timeline));
    let text = files::read_in(data, &name, LONGEST_HISTORY)?;
    Ok(text.and_then(|text| History::parse(&String::from_utf8_lossy(&text))))
}

/// The file of a timeline's history.
pub(super) fn history_name(timeline: u32) -> String {
    format!("{timeline:08X}.history")
}

/// The timeline whose history that file is; `None`: it is no such file.
pub(super) fn timeline_of_history(name: &str) -> Option<u32> {
    let number = name.strip_suffix(".history")?;
    let is_number = number.len() == 8 && number.bytes().all(|byte| byte.is_ascii_hexdigit());
    u32::from_str_radix(number, 16).ok().filter(|_| is_number)
}

/// The file of the log with that place in it.
pub(super) fn segment_name(timeline: u32, segment: u64) -> String {
    let per_id = (1 << 32) / SEGMENT;
    let (id, rest) = (segment / per_id, segment % per_id);
    format!("{timeline:08X}{id:08X}{rest:08X}")
}

/// The timeline and the number of a file of the log; `None`: it is no such file, or is one that
/// isn't whole (`.partial`).
pub(super) fn segment_of(name: &str) -> Option<(u32, u64)> {
    let digits = name.len() == 24 && name.bytes().all(|byte| byte.is_ascii_hexdigit());
    let part = |range| u64::from_str_radix(name.get(range)?, 16).ok();
    let (timeline, id, rest) = match digits {
        true => (part(0..8)?, part(8..16)?, part(16..24)?),
        false => return None,
    };
    let per_id = (1 << 32) / SEGMENT;
    Some((u32::try_from(timeline).ok()?, id * per_id + rest))
}

/// The place after a record that begins there and is so long: where the next one begins, or would
/// if a page's header weren't in between. Records are cut at pages, and the next is aligned to 8
/// bytes (access/transam/xlogreader.c).
pub(super) fn end_of_record(begin: Lsn, length: u64) -> Lsn {
    let mut place = begin.0;
    let mut left = length;
    loop {
        let room = PAGE - place % PAGE;
        if left <= room {
            return Lsn((place + left).next_multiple_of(8));
        }
        left -= room;
        place += room;
        place += match place.is_multiple_of(SEGMENT) {
            true => FIRST_HEADER,
            false => PAGE_HEADER,
        };
    }
}

impl Server {
    /// Where its timeline began; `None`: it is on the first, or follows another.
    ///
    /// # Errors
    /// It doesn't answer, or the file that says so is not there.
    pub async fn fork(&self) -> Result<Option<Fork>, PostgresError> {
        let seen = self.observe().await?;
        if seen.role == super::Role::Standby || seen.timeline == 1 {
            return Ok(None);
        }
        fork_of(self.home(), seen.timeline).await.map(Some)
    }
}

impl ServerHome {
    /// Of a standby that has got as far as that and receives nothing: the newest timeline of its
    /// upstream's, if that left the standby's own before there. Then it holds what its upstream
    /// doesn't, and can follow it no more. Its walreceiver has fetched the history that says so
    /// (replication/walreceiver.c: WalRcvFetchTimeLineHistoryFiles); `None` also where it hasn't.
    ///
    /// # Errors
    /// The disk refuses.
    pub async fn parted(&self, written: Lsn) -> Result<Option<Fork>, PostgresError> {
        let of = self.clone();
        blocking("can't read a standby's timelines", move || {
            let data = of.data()?;
            let log = files::open_directory_in(&data, "pg_wal")?;
            let (mut own, mut newest) = (0, 0);
            for (name, _) in files::names(&log)? {
                let Ok(name) = name.to_str() else { continue };
                // The last checkpoint's may be an older one: what it received last says which.
                own = own.max(segment_of(name).map_or(0, |(timeline, _)| timeline));
                newest = newest.max(timeline_of_history(name).unwrap_or(0));
            }
            if newest <= own {
                return Ok(None);
            }
            let history = read_history(&data, newest)?.unwrap_or_default();
            let mut ancestors = history.0.iter();
            let left = ancestors.find(|(timeline, _)| *timeline == own);
            let left = left.filter(|(_, left)| *left < written);
            Ok(left.map(|(_, lsn)| Fork {
                timeline: newest,
                lsn: *lsn,
            }))
        })
        .await
    }
}

/// Where that timeline of a server began.
pub(super) async fn fork_of(home: &ServerHome, timeline: u32) -> Result<Fork, PostgresError> {
    let of = home.clone();
    let history = blocking("can't read a timeline's history", move || {
        read_history(of.data()?, timeline)
    });
    let history = history.await?.unwrap_or_default();
    let last = history.0.last().ok_or_else(|| PostgresError::Damaged {
        path: home.data_path().join("pg_wal").join(history_name(timeline)),
        why: "it doesn't say where the timeline began",
    })?;
    Ok(Fork {
        timeline,
        lsn: last.1,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_history_is_read_as_it_is_written() {
        let text = "1\t0/3000148\tno recovery target specified\n\n# a remark\n\
                    2\t0/30010B8\tno recovery target specified\n";
        let history = History::parse(text).unwrap();
        assert_eq!(history.0, [(1, Lsn(0x300_0148)), (2, Lsn(0x300_10B8))]);
        assert_eq!(History::parse("").unwrap(), History::default());
        for text in [
            "x\n",
            "1\n",
            "1 0-3\n",
            "2 0/1 x\n1 0/2 x\n",
            "1 0/2\n2 0/1\n",
            "0 0/1\n",
        ] {
            assert_eq!(History::parse(text), None, "{text}");
        }
    }

    #[test]
    fn the_files_of_the_log_are_named_as_postgresql_names_them() {
        assert_eq!(segment_name(1, 1), "000000010000000000000001");
        assert_eq!(segment_name(0x1A, 1024), "0000001A0000000100000000");
        assert_eq!(history_name(10), "0000000A.history");
        assert_eq!(timeline_of_history("0000000A.history"), Some(10));
        for name in ["A.history", "+000000A.history", "0000000A.history.tmp"] {
            assert_eq!(timeline_of_history(name), None);
        }
        for (timeline, segment) in [(1, 1), (0x1A, 256), (3, 70_000)] {
            let name = segment_name(timeline, segment);
            assert_eq!(segment_of(&name), Some((timeline, segment)));
            assert_eq!(segment_of(&format!("{name}.partial")), None);
        }
        assert_eq!(segment_of("0000000A.history"), None);
    }

    #[test]
    fn a_record_ends_behind_the_headers_of_pages_that_it_goes_over() {
        // Seen: a checkpoint's record and what followed it.
        assert_eq!(end_of_record(Lsn(0x300_0028), 114), Lsn(0x300_00A0));
        assert_eq!(end_of_record(Lsn(0x176_9D88), 34), Lsn(0x176_9DB0));
        // A page has room for 8 bytes of it; the rest is behind the next one's header.
        assert_eq!(
            end_of_record(Lsn(0x200_1FF8), 34),
            Lsn(0x200_2000 + 24 + 32)
        );
        // To the very end of a page, and of a file.
        assert_eq!(end_of_record(Lsn(0x200_1FD8), 40), Lsn(0x200_2000));
        assert_eq!(
            end_of_record(Lsn(0x2FF_FFF8), 114),
            Lsn(0x300_0000 + 40 + 112)
        );
        // Over more than one page.
        assert_eq!(
            end_of_record(Lsn(0x200_0028), 8192),
            Lsn(0x200_2000 + 24 + 40)
        );
    }
}

//! What was committed in a part of the log, of the lines that pg_waldump writes about it: each
//! transaction is given out as it is met. Pure; it keeps a bounded lot, whatever it is given.

use std::collections::BTreeMap;

use types::Timestamp;
use types::calendar::{SECONDS_PER_DAY, days_before, days_in};

use crate::postgres::model::Lsn;
use crate::postgres::timeline::end_of_record;

/// How many changed tables of open (sub)transactions are counted at once. What goes beyond is
/// missing in the counts, and its transactions are said to be known in part.
pub(super) const MAX_TRACKED: usize = 500_000;

/// A table's file: its database's number and its own.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) struct Relation {
    pub(super) database: u32,
    pub(super) file: u32,
}

/// Rows that were put in, changed and taken away.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub(super) struct Counts {
    pub(super) inserted: u64,
    pub(super) updated: u64,
    pub(super) deleted: u64,
}

impl Counts {
    pub(super) fn add(&mut self, other: Counts) {
        self.inserted += other.inserted;
        self.updated += other.updated;
        self.deleted += other.deleted;
    }
}

pub(super) type Changes = BTreeMap<Relation, Counts>;

/// What is known of a (sub)transaction.
#[derive(Default)]
struct Open {
    /// Where its first change is.
    begun: Option<Lsn>,
    changes: Changes,
}

impl Open {
    fn add(&mut self, part: Open) {
        self.begun = match (self.begun, part.begun) {
            (Some(one), Some(other)) => Some(one.min(other)),
            (one, other) => one.or(other),
        };
        for (relation, counts) in part.changes {
            self.changes.entry(relation).or_default().add(counts);
        }
    }
}

/// A transaction whose commit is in the log.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Committed {
    pub(super) xid: u32,
    /// Its subtransactions, which rows may name instead.
    pub(super) parts: Vec<u32>,
    pub(super) at: Timestamp,
    pub(super) lsn: Lsn,
    pub(super) changes: Changes,
    /// It may have changed more: it isn't known to have begun in this part of the log, or it is
    /// too large.
    pub(super) is_partial: bool,
}

/// Reads lines.
pub(super) struct Scan {
    /// Commits from here on count.
    begin: Lsn,
    /// The end of the last of them, or of what was prepared from there on and is undecided.
    pub(super) end: Lsn,
    /// The transactions that were prepared from there on and are undecided at the log's end: each
    /// with the end of its record.
    pub(super) prepared: BTreeMap<u32, Lsn>,
    /// Where the last record begins, whatever it is.
    pub(super) last: Lsn,
    /// Where the first change is of all that was committed from there on.
    pub(super) begun: Option<Lsn>,
    open: BTreeMap<u32, Open>,
    tracked: usize,
    /// Changes were met that couldn't be tracked.
    untracked: bool,
    /// The number that the next transaction was to have where that is said first. What has a
    /// number before it may have begun before this part of the log.
    next: Option<u32>,
    /// What pg_waldump said itself.
    pub(super) said: String,
}

/// What of a line is looked at.
struct Record<'a> {
    manager: &'a str,
    length: u64,
    xid: u32,
    lsn: Lsn,
    description: &'a str,
}

impl Scan {
    pub(super) fn new(begin: Lsn) -> Scan {
        Scan {
            begin,
            end: begin,
            prepared: BTreeMap::new(),
            last: Lsn(0),
            begun: None,
            open: BTreeMap::new(),
            tracked: 0,
            untracked: false,
            next: None,
            said: String::new(),
        }
    }

    /// Takes a line; one that is no record's is what the program says. Gives the transaction whose
    /// commit it is, if that counts.
    pub(super) fn line(&mut self, line: &str) -> Option<Committed> {
        let Some(record) = record_of(line) else {
            if self.said.len() < 4096 {
                self.said.push_str(line);
                self.said.push('\n');
            }
            return None;
        };
        self.last = record.lsn;
        match record.manager {
            "Heap" | "Heap2" => self.heap(&record),
            "Transaction" => return self.transaction(&record),
            "Standby" | "XLOG" if self.next.is_none() => self.next = next_of(record.description),
            _ => {}
        }
        None
    }

    fn heap(&mut self, record: &Record<'_>) {
        let (word, rest) = record.description.split_once(' ').unwrap_or_default();
        let mut counts = Counts::default();
        match word.trim_end_matches("+INIT") {
            "INSERT" => counts.inserted = 1,
            "UPDATE" | "HOT_UPDATE" => counts.updated = 1,
            "DELETE" => counts.deleted = 1,
            // `MULTI_INSERT 2 tuples flags 0x02`
            "MULTI_INSERT" => counts.inserted = leading_number(rest).unwrap_or(0),
            _ => return,
        }
        let Some(relation) = relation_of(rest) else {
            return;
        };
        let open = self.open.get(&record.xid);
        if open.is_none_or(|open| !open.changes.contains_key(&relation)) {
            if self.tracked >= MAX_TRACKED {
                self.untracked = true;
                return;
            }
            self.tracked += 1;
        }
        let open = self.open.entry(record.xid).or_default();
        open.begun.get_or_insert(record.lsn);
        open.changes.entry(relation).or_default().add(counts);
    }

    fn transaction(&mut self, record: &Record<'_>) -> Option<Committed> {
        let (word, rest) = record.description.split_once(' ').unwrap_or_default();
        let named = |rest: &'_ str| leading_number(rest).and_then(|xid| u32::try_from(xid).ok());
        match word {
            "COMMIT" => return self.commit(record, record.xid, rest),
            // Whoever prepared it was promised that it can be committed. Behind the word stands a
            // name that a user gave: nothing is made of it.
            "PREPARE" if record.lsn >= self.begin => {
                let end = end_of_record(record.lsn, record.length);
                self.prepared.insert(record.xid, end);
            }
            // `COMMIT_PREPARED 732: 2026-11-29 15:58:34.918950 UTC`
            "COMMIT_PREPARED" => {
                let xid = named(rest).unwrap_or(0);
                self.prepared.remove(&xid);
                let rest_of = rest.split_once(": ").map_or("", |(_, rest)| rest);
                return self.commit(record, xid, rest_of);
            }
            "ABORT" => self.forget(record.xid, rest),
            "ABORT_PREPARED" => {
                let xid = named(rest).unwrap_or(0);
                self.prepared.remove(&xid);
                self.forget(xid, rest);
            }
            _ => {}
        }
        None
    }

    fn commit(&mut self, record: &Record<'_>, xid: u32, rest: &str) -> Option<Committed> {
        let parts = parts_of(rest);
        let mut all = self.take(xid);
        for part in &parts {
            all.add(self.take(*part));
        }
        if record.lsn < self.begin {
            return None;
        }
        self.end = end_of_record(record.lsn, record.length);
        let began_before = self.next.is_none_or(|next| precedes(xid, next));
        // What all is known of, and that is nothing, changed no row of a table: sequences,
        // settings, our own locks.
        if all.changes.is_empty() && !began_before && !self.untracked {
            return None;
        }
        self.begun = match (self.begun, all.begun) {
            (Some(one), Some(other)) => Some(one.min(other)),
            (one, other) => one.or(other),
        };
        Some(Committed {
            xid,
            parts,
            at: time_of(rest).unwrap_or(Timestamp(0)),
            lsn: record.lsn,
            changes: all.changes,
            is_partial: began_before || self.untracked,
        })
    }

    /// The log has ended: what is prepared now stays so.
    pub(super) fn finish(&mut self) {
        let last = self.prepared.values().max().copied();
        self.end = self.end.max(last.unwrap_or(self.end));
    }

    fn forget(&mut self, xid: u32, rest: &str) {
        self.take(xid);
        for part in parts_of(rest) {
            self.take(part);
        }
    }

    fn take(&mut self, xid: u32) -> Open {
        let open = self.open.remove(&xid).unwrap_or_default();
        self.tracked -= open.changes.len();
        open
    }
}

/// `rmgr: Heap len (rec/tot): 54/ 54, tx: 740, lsn: 0/01519F28, prev 0/01519EF0, desc: INSERT …`
fn record_of(line: &str) -> Option<Record<'_>> {
    let rest = line.strip_prefix("rmgr: ")?;
    let (manager, rest) = rest.split_once(' ')?;
    let (_, rest) = rest.split_once("len (rec/tot):")?;
    let (lengths, rest) = rest.split_once(", tx:")?;
    let (xid, rest) = rest.split_once(", lsn: ")?;
    let (lsn, rest) = rest.split_once(", prev ")?;
    let (_, description) = rest.split_once(", desc: ")?;
    Some(Record {
        manager,
        length: lengths.split_once('/')?.1.trim().parse().ok()?,
        xid: xid.trim().parse().ok()?,
        lsn: lsn.parse().ok()?,
        description,
    })
}

/// `blkref #0: rel 1663/5/16384 blk 0`: tablespace, database, file.
fn relation_of(text: &str) -> Option<Relation> {
    let (_, rest) = text.split_once("blkref #0: rel ")?;
    let mut numbers = rest.split([' ', ',', ';']).next()?.split('/');
    let (_, database, file) = (numbers.next()?, numbers.next()?, numbers.next()?);
    Some(Relation {
        database: database.parse().ok()?,
        file: file.parse().ok()?,
    })
}

/// `RUNNING_XACTS nextXid 726 …`, `CHECKPOINT_SHUTDOWN redo 0/900728; …; xid 0:724; …`. Another
/// checkpoint's number is older than its record.
fn next_of(description: &str) -> Option<u32> {
    let rest = match description.strip_prefix("RUNNING_XACTS nextXid ") {
        Some(rest) => rest,
        None => {
            let rest = description.strip_prefix("CHECKPOINT_SHUTDOWN ")?;
            rest.split_once("; xid ")?.1.split_once(':')?.1
        }
    };
    u32::try_from(leading_number(rest)?).ok()
}

/// Numbers begin anew at their end (access/transam/transam.c: TransactionIdPrecedes).
fn precedes(xid: u32, other: u32) -> bool {
    xid.wrapping_sub(other) > u32::MAX / 2
}

/// `…; subxacts: 729 730; …`
fn parts_of(text: &str) -> Vec<u32> {
    let Some((_, rest)) = text.split_once("; subxacts: ") else {
        return Vec::new();
    };
    let numbers = rest.split(';').next().unwrap_or_default();
    let numbers = numbers.split_whitespace();
    numbers.filter_map(|number| number.parse().ok()).collect()
}

fn leading_number(text: &str) -> Option<u64> {
    let end = text.find(|letter: char| !letter.is_ascii_digit());
    text[..end.unwrap_or(text.len())].parse().ok()
}

/// `2026-11-29 15:58:34.918950 UTC`, to the millisecond.
fn time_of(text: &str) -> Option<Timestamp> {
    let number = |range: std::ops::Range<usize>| text.get(range)?.parse::<u64>().ok();
    let (year, month, day) = (number(0..4)?, number(5..7)?, number(8..10)?);
    let (hour, minute, second) = (number(11..13)?, number(14..16)?, number(17..19)?);
    if year < 1970 || !(1..=12).contains(&month) || !(1..=days_in(year, month)).contains(&day) {
        return None;
    }
    let seconds = hour * 3600 + minute * 60 + second;
    let thousandths = number(20..23).unwrap_or(0);
    let days = days_before(year, month, day);
    Some(Timestamp(
        (days * SECONDS_PER_DAY + seconds) * 1000 + thousandths,
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As PostgreSQL 15.18 wrote them.
    const LINES: &str = include_str!("seen.txt");

    fn scanned(begin: u64) -> (Scan, Vec<Committed>) {
        let mut scan = Scan::new(Lsn(begin));
        let committed = LINES.lines().filter_map(|line| scan.line(line));
        let committed = committed.collect();
        (scan, committed)
    }

    #[test]
    fn commits_are_listed_with_all_their_parts_and_nothing_that_was_rolled_back_is() {
        let (scan, committed) = scanned(0x0176_0000);
        let relation = Relation {
            database: 5,
            file: 16384,
        };
        let seen: Vec<_> = committed
            .iter()
            .map(|it| (it.xid, it.parts.clone(), it.changes.clone()))
            .collect();
        let counts = |inserted, updated, deleted| {
            let counts = Counts {
                inserted,
                updated,
                deleted,
            };
            BTreeMap::from([(relation, counts)])
        };
        assert_eq!(
            seen,
            [
                (728, vec![729], counts(2, 0, 0)),
                (731, vec![], counts(2, 0, 0)),
                (732, vec![], counts(0, 1, 1)),
            ]
        );
        // 2026-11-29 15:58:34.891 is 20,786 days and some after 1970.
        assert_eq!(committed[0].at, Timestamp(1_795_967_914_891));
        // A commit that changed no table is none that is missed, and still the end.
        assert_eq!(scan.end, Lsn(0x0176_A340));
        assert!(scan.said.contains("invalid record length"), "{}", scan.said);
        assert_eq!(scan.tracked, 0);
        assert_eq!(scan.begun, Some(Lsn(0x0176_9E80)));
        assert!(committed.iter().all(|it| !it.is_partial));
    }

    #[test]
    fn what_may_have_begun_before_the_log_is_listed_whatever_is_seen_of_it() {
        let seen = |lines: &[&str]| -> Vec<(u32, bool, bool)> {
            let mut scan = Scan::new(Lsn(0x0176_A000));
            let each = lines.iter().filter_map(|line| scan.line(line));
            each.map(|it| (it.xid, it.changes.is_empty(), it.is_partial))
                .collect()
        };
        let all: Vec<&str> = LINES.lines().collect();
        // Of what is seen without its beginning, and of a number that was given before.
        assert_eq!(seen(&all[3..6]), [(728, true, true)]);
        assert_eq!(seen(&all[2..6]), [(728, false, true)]);
        let later = all[0].replace(":724", ":729");
        assert_eq!(seen(&[&later, all[5]]), [(728, true, true)]);
        assert_eq!(seen(&[&later, all[6], all[8]]), [(731, false, false)]);
        // A number that was given, and nothing written by it.
        assert_eq!(seen(&[all[0], all[5]]), []);
        let running = "RUNNING_XACTS nextXid 726 latestCompletedXid 724 oldestRunningXid 725";
        assert_eq!(next_of(running), Some(726));
        assert_eq!(
            next_of("CHECKPOINT_ONLINE redo 0/9; xid 0:726; oid 1"),
            None
        );
        assert!(precedes(u32::MAX - 5, 3) && precedes(3, 4));
        assert!(!precedes(3, u32::MAX - 5) && !precedes(4, 4));
    }

    #[test]
    fn what_was_committed_before_the_fork_is_not_lost() {
        let (_, committed) = scanned(0x0176_A041);
        let numbers = committed.iter().map(|it| it.xid);
        assert_eq!(numbers.collect::<Vec<_>>(), [731, 732]);
        let (scan, none) = scanned(0x0200_0000);
        assert_eq!((none.len(), scan.end), (0, Lsn(0x0200_0000)));
    }

    #[test]
    fn what_was_prepared_beyond_the_fork_and_never_decided_is_told() {
        let all: Vec<&str> = LINES.lines().collect();
        let prepare = all.iter().position(|line| line.contains("PREPARE gid"));
        let (before, decision) = (prepare.unwrap(), prepare.unwrap() + 1);
        let rolled_back = all[decision].replace("COMMIT_PREPARED", "ABORT_PREPARED");
        let seen = |begin: u64, end: &[&str]| {
            let mut scan = Scan::new(Lsn(begin));
            let committed = all[..=before].iter().chain(end);
            let committed = committed.filter_map(|line| scan.line(line)).count();
            scan.finish();
            let prepared: Vec<u32> = scan.prepared.keys().copied().collect();
            (committed, prepared, scan.end)
        };
        // 728 and 731 were committed before it.
        let (last, end) = (Lsn(0x0176_A170), Lsn(0x0176_A2E8));
        assert_eq!(seen(0x0176_0000, &[]), (2, vec![732], end));
        assert_eq!(seen(0x0176_0000, &[&rolled_back]), (2, vec![], last));
        let (committed, prepared, _) = seen(0x0176_0000, &[all[decision]]);
        assert_eq!((committed, prepared), (3, vec![]));
        // Whoever left it after that has it as well.
        let later = 0x0176_A1F1;
        assert_eq!(seen(later, &[]), (0, vec![], Lsn(later)));
    }

    #[test]
    fn times_are_read_to_the_millisecond_and_no_others_are() {
        assert_eq!(
            time_of("1970-01-02 00:00:01.002999 UTC"),
            Some(Timestamp(86_401_002))
        );
        for text in [
            "",
            "2026-13-01 00:00:00",
            "2026-02-30 00:00:00",
            "yesterday at noon, so",
        ] {
            assert_eq!(time_of(text), None, "{text}");
        }
    }
}

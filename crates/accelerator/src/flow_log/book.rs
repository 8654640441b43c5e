//! Records gathered by accelerator and bucket, in files that are closed when their time has come or
//! they are full. What is told of what was lost is told here; nothing is kept on a disk.

use std::collections::BTreeMap;
use std::sync::Arc;

use types::{Monotonic, Now, SiteName, Span, Timestamp};

use super::record::{FlowLogPlace, FlowLogRecord, HEADER, log_key, write_skipped};

/// Bytes of lines with which a file is closed before its time. (The service: 75 MB.)
const FULL: usize = 1024 * 1024;

/// Files that are open at a time: three times the accelerators that an account may have. Records
/// that need another are skipped.
const MAX_FILES: usize = 64;

/// Bytes of lines of all open files; with more, the largest are closed.
const MAX_OPEN: usize = 16 * 1024 * 1024;

/// An edge's open files.
#[derive(Debug)]
pub struct FlowLogBook {
    edge: SiteName,
    interval: Span,
    files: BTreeMap<Arc<FlowLogPlace>, File>,
    bytes: usize,
    /// Closed since they were full, and not given out yet.
    full: Vec<ClosedLog>,
}

#[derive(Debug)]
struct File {
    lines: String,
    records: u64,
    begun: Monotonic,
    span: (Timestamp, Timestamp),
    skipped: Option<Skipped>,
}

/// Records that were lost.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Skipped {
    records: u64,
    span: (Timestamp, Timestamp),
}

/// A file that is done.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ClosedLog {
    /// Whose it is, and where it goes.
    pub place: Arc<FlowLogPlace>,
    /// Its text: a header, and a line a record.
    pub text: String,
    /// When it was closed: what its key says.
    pub closed: Timestamp,
    records: u64,
    span: (Timestamp, Timestamp),
    skipped: Option<Skipped>,
}

impl FlowLogBook {
    /// No files yet, at that edge; each is closed so long after its first record.
    pub fn new(edge: SiteName, interval: Span) -> FlowLogBook {
        FlowLogBook {
            edge,
            interval,
            files: BTreeMap::new(),
            bytes: 0,
            full: Vec::new(),
        }
    }

    /// Adds records of a flow's window, and closes the file if it is full then. False if they are
    /// skipped: as many files are open as may be.
    pub fn add(&mut self, place: &Arc<FlowLogPlace>, records: &[FlowLogRecord], now: Now) -> bool {
        let edge = self.edge;
        let Some(file) = self.file(place, now) else {
            return false;
        };
        let before = file.lines.len();
        for record in records {
            record.write(place, edge, &mut file.lines);
            file.records += 1;
            file.span = joined(file.span, (record.start, record.end));
        }
        let length = file.lines.len();
        self.bytes += length - before;
        if length >= FULL
            && let Some((place, file)) = self.files.remove_entry(place)
        {
            self.bytes -= length;
            let closed = self.close(place, file, now);
            self.full.push(closed);
        }
        true
    }

    /// So many records of that accelerator, of that span of time, are lost: its next file says so.
    /// With as many files open as may be it isn't said.
    pub fn skip(
        &mut self,
        place: &Arc<FlowLogPlace>,
        records: u64,
        span: (Timestamp, Timestamp),
        now: Now,
    ) {
        if let Some(file) = self.file(place, now) {
            let lost = Skipped { records, span };
            file.skipped = Some(file.skipped.map_or(lost, |before| before.and(lost)));
        }
    }

    /// A file was lost, and all that it told with it. Gives how many records that are.
    pub fn lose(&mut self, log: &ClosedLog, now: Now) -> u64 {
        let own = (log.records > 0).then_some(Skipped {
            records: log.records,
            span: log.span,
        });
        for lost in own.into_iter().chain(log.skipped) {
            self.skip(&log.place, lost.records, lost.span, now);
        }
        log.records
    }

    /// Lets go of what is told of lost records alone, where nothing is logged any more.
    pub fn forget(&mut self, is_logged: impl Fn(&FlowLogPlace) -> bool) {
        self.files
            .retain(|place, file| file.records > 0 || is_logged(place));
    }

    /// No file is open.
    pub fn is_empty(&self) -> bool {
        self.files.is_empty() && self.full.is_empty()
    }

    /// The open file of that place; none if there can't be another.
    fn file(&mut self, place: &Arc<FlowLogPlace>, now: Now) -> Option<&mut File> {
        if self.files.len() >= MAX_FILES && !self.files.contains_key(place) {
            return None;
        }
        let file = self.files.entry(Arc::clone(place));
        Some(file.or_insert_with(|| File {
            lines: String::new(),
            records: 0,
            begun: now.monotonic,
            span: (now.wall, now.wall),
            skipped: None,
        }))
    }

    /// Gives out the files that were full, closes those whose time has come, and the largest while
    /// all together are too large.
    pub fn due(&mut self, now: Now) -> Vec<ClosedLog> {
        let interval = self.interval;
        self.close_those(now, |file| file.begun + interval <= now.monotonic)
    }

    /// As [`due`](Self::due), of all files that are open: nothing will be added for long.
    pub fn all(&mut self, now: Now) -> Vec<ClosedLog> {
        self.close_those(now, |_| true)
    }

    fn close_those(&mut self, now: Now, is_due: impl Fn(&File) -> bool) -> Vec<ClosedLog> {
        let due = self.files.extract_if(.., |_, file| is_due(file));
        let mut due: Vec<(Arc<FlowLogPlace>, File)> = due.collect();
        self.bytes -= due.iter().map(|(_, file)| file.lines.len()).sum::<usize>();
        while self.bytes > MAX_OPEN {
            let largest = self.files.iter().max_by_key(|(_, file)| file.lines.len());
            let Some(place) = largest.map(|(place, _)| Arc::clone(place)) else {
                break;
            };
            let closed = self.files.remove_entry(&place);
            self.bytes -= closed.as_ref().map_or(0, |(_, file)| file.lines.len());
            due.extend(closed);
        }
        let mut closed = std::mem::take(&mut self.full);
        let due = due.into_iter();
        closed.extend(due.map(|(place, file)| self.close(place, file, now)));
        closed
    }

    fn close(&self, place: Arc<FlowLogPlace>, file: File, now: Now) -> ClosedLog {
        let mut text = String::with_capacity(HEADER.len() + 1 + file.lines.len() + 256);
        text.push_str(HEADER);
        text.push('\n');
        text.push_str(&file.lines);
        if let Some(skipped) = file.skipped {
            write_skipped(&place, self.edge, skipped.span, &mut text);
        }
        ClosedLog {
            place,
            text,
            closed: now.wall,
            records: file.records,
            span: file.span,
            skipped: file.skipped,
        }
    }
}

impl ClosedLog {
    /// The key of its object; `random` tells it from those of other edges.
    pub fn key(&self, random: u64) -> String {
        log_key(&self.place, self.closed, random)
    }

    /// The same without its text, for who has that in another form.
    pub fn without_text(self) -> ClosedLog {
        ClosedLog {
            text: String::new(),
            ..self
        }
    }

    /// How many records it has; what it tells of skipped ones counts for none.
    pub fn records(&self) -> u64 {
        self.records
    }
}

impl Skipped {
    fn and(self, other: Skipped) -> Skipped {
        Skipped {
            records: self.records + other.records,
            span: joined(self.span, other.span),
        }
    }
}

fn joined(one: (Timestamp, Timestamp), other: (Timestamp, Timestamp)) -> (Timestamp, Timestamp) {
    (one.0.min(other.0), one.1.max(other.1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flow_log::Direction;
    use crate::model::{AcceleratorId, Protocol};

    fn place(number: usize) -> Arc<FlowLogPlace> {
        Arc::new(FlowLogPlace {
            account: types::AccountId::LAB,
            accelerator: AcceleratorId(number.to_string()),
            bucket: "logs".to_owned(),
            prefix: String::new(),
        })
    }

    fn now(seconds: u64) -> Now {
        Now {
            wall: Timestamp(1_600_000_000_000 + seconds * 1000),
            monotonic: Monotonic(seconds * 1_000_000),
        }
    }

    fn record(seconds: u64) -> FlowLogRecord {
        FlowLogRecord {
            client: "127.64.1.9:40000".parse().unwrap(),
            accelerator: "127.80.0.1:443".parse().unwrap(),
            endpoint: "127.1.1.1:8443".parse().unwrap(),
            protocol: Protocol::Tcp,
            packets: 1,
            bytes: 1,
            start: now(seconds).wall,
            end: now(seconds + 60).wall,
            source: None,
            preserves_client: false,
            region: "us-east-1".parse().unwrap(),
            direction: Direction::Ingress,
        }
    }

    fn book() -> FlowLogBook {
        FlowLogBook::new("edge-1".parse().unwrap(), Span::seconds(300))
    }

    #[test]
    fn a_file_is_closed_in_its_time_and_has_a_header_and_its_records() {
        let mut book = book();
        let one = place(1);
        assert!(book.add(&one, &[record(0), record(0)], now(60)));
        assert!(book.add(&one, &[record(60)], now(120)));
        assert!(book.add(&place(2), &[record(200)], now(260)));
        assert_eq!(book.due(now(359)), []);
        let due = book.due(now(360));
        assert_eq!(due.len(), 1);
        let [log] = &due[..] else { unreachable!() };
        assert_eq!((&log.place, log.records()), (&one, 3));
        let lines: Vec<&str> = log.text.lines().collect();
        assert_eq!((lines[0], lines.len()), (HEADER, 4));
        assert!(log.text.ends_with('\n'));
        assert_eq!(log.closed, now(360).wall);
        // The next record begins another.
        assert!(book.add(&one, &[record(360)], now(400)));
        assert_eq!(book.due(now(560)).len(), 1, "the other accelerator's");
        assert_eq!(book.due(now(700)).len(), 1);
        assert_eq!(book.bytes, 0);
    }

    #[test]
    fn a_full_file_is_closed_before_its_time_however_much_comes_at_once() {
        let mut book = book();
        // A line has more than 100 bytes and less than 200.
        for _ in 0..5 * FULL / 100 {
            assert!(book.add(&place(1), &[record(0)], now(0)));
        }
        let closed = book.due(now(0));
        assert!(closed.len() >= 5 && book.due(now(0)).is_empty());
        for log in &closed {
            assert!(log.text.len() < FULL + 1024, "{}", log.text.len());
        }
    }

    #[test]
    fn all_files_together_are_bounded_and_so_is_their_number() {
        let mut book = book();
        let half: Vec<FlowLogRecord> = (0..FULL / 400).map(|_| record(0)).collect();
        for number in 0..MAX_FILES {
            assert!(book.add(&place(number), &half, now(0)));
        }
        assert!(!book.add(&place(MAX_FILES), &half, now(0)));
        assert!(book.add(&place(0), &half[..100], now(0)));
        let closed = book.due(now(0));
        assert!(!closed.is_empty() && book.bytes <= MAX_OPEN);
        assert_eq!(closed[0].place, place(0), "the largest goes first");
    }

    #[test]
    fn what_was_lost_is_told_by_the_next_file_and_again_if_that_is_lost() {
        let mut book = book();
        let one = place(1);
        assert!(book.add(&one, &[record(0), record(30)], now(60)));
        let first = book.due(now(360)).remove(0);
        assert_eq!(book.lose(&first, now(400)), 2);
        assert!(book.add(&one, &[record(500)], now(560)));
        let second = book.due(now(700)).remove(0);
        assert_eq!(second.records(), 1);
        let told = |text: &str| {
            let line = text.lines().last().unwrap().to_owned();
            assert!(line.contains(" - SKIPDATA - "), "{line}");
            line
        };
        let (from, to) = (now(0).wall.0 / 1000, now(90).wall.0 / 1000);
        let line = told(&second.text);
        assert!(line.contains(&format!(" {from} {to} - SKIPDATA")), "{line}");
        // It is lost, too, and there was no flow since.
        assert_eq!(book.lose(&second, now(800)), 1);
        let third = book.due(now(1100)).remove(0);
        let to = now(560).wall.0 / 1000;
        let line = told(&third.text);
        assert!(line.contains(&format!(" {from} {to} - SKIPDATA")), "{line}");
        assert_eq!((third.records(), third.text.lines().count()), (0, 2));
        assert_eq!(book.lose(&third, now(1200)), 0);
        // Nobody is told any more once nothing is logged there.
        assert!(book.add(&place(2), &[record(1200)], now(1260)));
        book.forget(|_| true);
        assert_eq!(book.files.len(), 2);
        book.forget(|place| *place != *one);
        book.forget(|_| false);
        assert_eq!(book.files.len(), 1, "what has records stays");
    }
}

//! What is in an archive: the files of the log of one history without a gap, how far they go, and
//! as of when. A file has its full length, and of the last one the rest is a hole. A history is of
//! one timeline, or of several where others went on for the first server.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::Path;

use serde::{Deserialize, Serialize};
use types::{ByteSize, Timestamp};

use crate::postgres::files;
use crate::postgres::kept_log::{LABEL, begin_of};
use crate::postgres::lineage::Lineage;
use crate::postgres::model::Lsn;
use crate::postgres::timeline::{History, SEGMENT, segment_name, segment_of, timeline_of_history};

/// The file that says what is there; written last.
const CHAIN: &str = "chain.json";

/// The file with a line for each minute in which something was written: when, and how far the log
/// went then.
const MARKS: &str = "marks";

/// The format of an archive of one timeline ...
const FORMAT: u32 = 1;

/// ... and of several.
const FORMAT_OF_SEVERAL: u32 = 2;

/// Between two lines of marks: milliseconds.
const BETWEEN_MARKS: u64 = 60_000;

/// What is read of a snapshot's label.
const LONGEST_LABEL: usize = 64 * 1024;

/// What is in an archive.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(super) struct Chain {
    format: u32,
    /// Of which timeline it is.
    pub(super) timeline: u32,
    /// The timelines that this one came from, oldest first, each with where the next one left it.
    /// Those that came before the first file may be missing.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    history: Vec<(u32, u64)>,
    /// The number of its first file.
    pub(super) first: u64,
    /// All before that place is on the disk.
    pub(super) end: u64,
    /// All that was committed before then is in it, and something that was committed after it:
    /// milliseconds, by the server's clock.
    pub(super) mark: u64,
    /// Nothing was committed between the mark and then.
    pub(super) quiet: u64,
    /// The server's transactions as of the mark: as long as they are the same, nothing was
    /// committed.
    pub(super) transactions: String,
    /// The last mark that has a line.
    lined: u64,
    /// All before that place is on the disk as well: copied by a turn that hasn't ended. Nothing is
    /// restored from it before one has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) copied: Option<u64>,
}

/// What an archive can restore.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ArchiveSeen {
    /// Of which timeline the log is.
    pub timeline: u32,
    /// The timelines that this one came from, each with the number of the file where it was left.
    pub before: Vec<(u32, u64)>,
    /// The number of its first file.
    pub first: u64,
    /// The latest moment that a server can be restored to, by the server's clock.
    pub latest: Timestamp,
    /// What it takes on the disk.
    pub bytes: ByteSize,
}

/// Where the log begins that a snapshot must be recovered with.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct SnapshotBegin {
    /// The timeline.
    pub timeline: u32,
    /// The number of the file.
    pub segment: u64,
}

impl ArchiveSeen {
    /// Is the log here, without a gap, from where that snapshot begins?
    pub fn continues(&self, begin: SnapshotBegin) -> bool {
        let left = self.before.iter().find(|left| left.0 == begin.timeline);
        let is_its = match left {
            _ if begin.timeline == self.timeline => true,
            Some((_, left)) => begin.segment <= *left,
            None => false,
        };
        is_its && begin.segment >= self.first
    }
}

impl Chain {
    /// An empty one.
    pub(super) fn new(timeline: u32, first: u64) -> Chain {
        Chain {
            format: FORMAT,
            timeline,
            history: Vec::new(),
            first,
            end: first * SEGMENT,
            mark: 0,
            quiet: 0,
            transactions: String::new(),
            lined: 0,
            copied: None,
        }
    }

    /// As the server goes on with it that is on a timeline of that history, if this one's last
    /// timeline is among those before it: what this one holds beyond where it was left is no part
    /// of it. `None`: it can't be gone on with.
    pub(super) fn gone_on_by(&self, lineage: &Lineage) -> Option<Chain> {
        let all = lineage.history.0.iter();
        let all: Vec<(u32, u64)> = all.map(|(timeline, left)| (*timeline, left.0)).collect();
        let place = all.iter().position(|it| it.0 == self.timeline)?;
        // What came before the first file nobody needs to have known.
        let is_its = all[..place].ends_with(&self.history);
        let left = all[place].1 / SEGMENT;
        (is_its && self.first <= left).then(|| Chain {
            format: FORMAT_OF_SEVERAL,
            timeline: lineage.timeline,
            history: all,
            end: self.end.min(left * SEGMENT),
            transactions: String::new(),
            copied: None,
            ..self.clone()
        })
    }

    /// Its timelines.
    pub(super) fn lineage(&self) -> Lineage {
        let history = self.history.iter();
        let history = history.map(|(timeline, left)| (*timeline, Lsn(*left)));
        Lineage {
            timeline: self.timeline,
            history: History(history.collect()),
        }
    }

    /// Where the last timeline but this one was left; `None`: there is none.
    pub(super) fn fork(&self) -> Option<u64> {
        self.history.last().map(|(_, left)| *left)
    }

    /// What a snapshot must be recovered with by its label: is it here?
    pub(super) fn continues(&self, begin: SnapshotBegin) -> bool {
        self.seen(ByteSize(0)).continues(begin)
    }

    fn seen(&self, bytes: ByteSize) -> ArchiveSeen {
        let before = self.history.iter();
        ArchiveSeen {
            timeline: self.timeline,
            before: before
                .map(|(timeline, left)| (*timeline, left / SEGMENT))
                .collect(),
            first: self.first,
            latest: Timestamp(self.quiet.max(self.mark)),
            bytes,
        }
    }

    /// Where the log goes on that isn't on the disk yet.
    pub(super) fn next(&self) -> u64 {
        self.copied.map_or(self.end, |copied| copied.max(self.end))
    }

    /// That of a folder; `None`: there is none that can be used.
    pub(super) fn read(folder: &Path) -> io::Result<Option<Chain>> {
        let text = match fs::read(folder.join(CHAIN)) {
            Err(cause) if cause.kind() == io::ErrorKind::NotFound => return Ok(None),
            text => text?,
        };
        let chain: Chain = serde_json::from_slice(&text).map_err(io::Error::other)?;
        match chain.format {
            FORMAT | FORMAT_OF_SEVERAL => Ok(Some(chain)),
            _ => Err(io::Error::other("the archive is of a newer Causeway")),
        }
    }

    /// Writes it down, once all that it says is on the disk.
    pub(super) fn write(&mut self, folder: &Path) -> io::Result<()> {
        if self.mark >= self.lined + BETWEEN_MARKS {
            add_line(
                &folder.join(MARKS),
                &format!("{} {}\n", self.mark, self.end),
            )?;
            self.lined = self.mark;
        }
        let text = serde_json::to_vec(self).map_err(io::Error::other)?;
        files::replace(&folder.join(CHAIN), &text, 0o600, None)
    }

    /// How far the log must be replayed to be as it was then.
    pub(super) fn end_for(&self, folder: &Path, target: u64) -> io::Result<u64> {
        let text = read_marks(folder)?;
        let lines = text.split_inclusive('\n').filter_map(marked);
        let mut later = lines.filter(|(mark, _)| *mark > target);
        Ok(later.next().map_or(self.end, |(_, end)| end.min(self.end)))
    }
}

/// The lines of marks.
fn read_marks(folder: &Path) -> io::Result<String> {
    match fs::read_to_string(folder.join(MARKS)) {
        Err(cause) if cause.kind() == io::ErrorKind::NotFound => Ok(String::new()),
        text => text,
    }
}

/// What a line of marks says: when, and how far the log went. One that a crash cut off is no
/// number, or a shorter one, and is not believed.
fn marked(line: &str) -> Option<(u64, u64)> {
    let (mark, end) = line.strip_suffix('\n')?.split_once(' ')?;
    Some((mark.parse().ok()?, end.parse().ok()?))
}

/// Adds a line, and ends one that a crash cut off, so that the two aren't read as one.
fn add_line(path: &Path, line: &str) -> io::Result<()> {
    let mut marks = OpenOptions::new();
    let marks = marks.read(true).append(true).create(true).mode(0o600);
    let mut marks = marks.open(path)?;
    let length = marks.metadata()?.len();
    let mut last = *b"\n";
    if let Some(place) = length.checked_sub(1) {
        marks.read_exact_at(&mut last, place)?;
    }
    let before = if last == *b"\n" { "" } else { "\n" };
    marks.write_all(format!("{before}{line}").as_bytes())?;
    marks.sync_all()
}

/// Leaves out the lines of marks that are about the log before that place, which is forgotten:
/// nothing is restored to a moment of theirs any more.
fn trim_marks(folder: &Path, before: u64) -> io::Result<()> {
    keep_marks(folder, |end| end > before)
}

/// Leaves out the lines of marks that are about the log beyond that place, where another timeline
/// left it.
pub(super) fn cut_marks(folder: &Path, at: u64) -> io::Result<()> {
    keep_marks(folder, |end| end <= at)
}

fn keep_marks(folder: &Path, which: impl Fn(u64) -> bool) -> io::Result<()> {
    let text = read_marks(folder)?;
    let is_needed = |line: &&str| marked(line).is_some_and(|(_, end)| which(end));
    let left: String = text.split_inclusive('\n').filter(is_needed).collect();
    match left.len() == text.len() {
        true => Ok(()),
        false => files::replace(&folder.join(MARKS), left.as_bytes(), 0o600, None),
    }
}

/// What is in the archive of that folder; `None`: nothing that could be restored.
///
/// # Errors
/// The disk refuses, or it is of a newer format.
pub fn look(folder: &Path) -> io::Result<Option<ArchiveSeen>> {
    let Some(chain) = Chain::read(folder)? else {
        return Ok(None);
    };
    let mut bytes = 0;
    for entry in fs::read_dir(folder)? {
        match entry?.metadata() {
            Ok(facts) => bytes += facts.blocks() * 512,
            Err(cause) if cause.kind() == io::ErrorKind::NotFound => {}
            Err(cause) => return Err(cause),
        }
    }
    Ok((chain.mark > 0).then(|| chain.seen(ByteSize(bytes))))
}

/// Forgets the log before that file, and the lines about it.
pub(super) fn trim(folder: &Path, before: u64) -> io::Result<()> {
    let Some(mut chain) = Chain::read(folder)? else {
        return Ok(());
    };
    // The file that is written to stays.
    let before = before.min(chain.end / SEGMENT);
    if before <= chain.first {
        return Ok(());
    }
    // First what says so: a file that is left over is in nobody's way.
    chain.first = before;
    chain.write(folder)?;
    trim_marks(folder, before * SEGMENT)?;
    remove_segments(folder, |_, segment| segment < before)
}

/// Removes an archive, if it is there.
///
/// # Errors
/// The disk refuses.
pub fn remove(folder: &Path) -> io::Result<()> {
    match fs::remove_file(folder.join(CHAIN)) {
        Err(cause) if cause.kind() != io::ErrorKind::NotFound => return Err(cause),
        _ => {}
    }
    match fs::remove_dir_all(folder) {
        Err(cause) if cause.kind() != io::ErrorKind::NotFound => Err(cause),
        _ => Ok(()),
    }
}

/// Removes those files of the log.
pub(super) fn remove_segments(folder: &Path, which: impl Fn(u32, u64) -> bool) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name();
        let segment = name.to_str().and_then(segment_of);
        if segment.is_some_and(|(timeline, segment)| which(timeline, segment)) {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

/// Removes the histories of timelines.
pub(super) fn remove_histories(folder: &Path) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name();
        if name.to_str().and_then(timeline_of_history).is_some() {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

/// Puts a part of the log where it belongs.
pub(super) fn put(folder: &Path, timeline: u32, place: Lsn, bytes: &[u8]) -> io::Result<()> {
    let name = segment_name(timeline, place.0 / SEGMENT);
    let mut file = OpenOptions::new();
    let file = file.write(true).create(true).truncate(false).mode(0o600);
    let file: File = file.open(folder.join(name))?;
    file.set_len(SEGMENT)?;
    file.write_all_at(bytes, place.0 % SEGMENT)?;
    file.sync_all()
}

/// Where the log begins that the snapshot in that folder must be recovered with; `None`: it was
/// taken of a server that didn't run, and needs none.
///
/// # Errors
/// The disk refuses, or its label is odd.
pub fn snapshot_begin(folder: &Path) -> io::Result<Option<SnapshotBegin>> {
    let data = files::open_directory(&folder.join("data"))?;
    let Some(label) = files::read_in(data, LABEL, LONGEST_LABEL)? else {
        return Ok(None);
    };
    let label = String::from_utf8_lossy(&label).into_owned();
    let odd = || io::Error::other("a snapshot's label is odd");
    let begin = begin_of(&label).ok_or_else(odd)?;
    // `START TIMELINE: 1` (access/transam/xlog.c: do_pg_backup_start).
    let mut lines = label.lines();
    let timeline = lines.find_map(|line| line.strip_prefix("START TIMELINE: "));
    let timeline = timeline.and_then(|number| number.trim().parse().ok());
    Ok(Some(SnapshotBegin {
        timeline: timeline.ok_or_else(odd)?,
        segment: begin.0 / SEGMENT,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_archive_says_how_far_it_goes_and_forgets_what_nobody_needs() {
        let directory = tempfile::tempdir().unwrap();
        let folder = directory.path();
        assert_eq!(look(folder).unwrap(), None);
        let mut chain = Chain::new(1, 2);
        for segment in 2..5 {
            put(folder, 1, Lsn(segment * SEGMENT + 8), b"log").unwrap();
            chain.end = segment * SEGMENT + 11;
            (chain.mark, chain.quiet) = (segment * 100_000, segment * 100_000 + 500);
            chain.write(folder).unwrap();
        }
        let seen = look(folder).unwrap().unwrap();
        assert_eq!((seen.timeline, seen.first), (1, 2));
        assert_eq!(seen.latest, Timestamp(400_500));
        assert!(
            seen.bytes.0 < SEGMENT,
            "a hole takes nothing: {}",
            seen.bytes.0
        );
        let begin = |timeline, segment| SnapshotBegin { timeline, segment };
        assert!(seen.continues(begin(1, 2)) && seen.continues(begin(1, 9)));
        assert!(!seen.continues(begin(1, 1)) && !seen.continues(begin(2, 3)));
        // As far as the first mark that is later.
        assert_eq!(chain.end_for(folder, 150_000).unwrap(), 2 * SEGMENT + 11);
        assert_eq!(chain.end_for(folder, 200_000).unwrap(), 3 * SEGMENT + 11);
        assert_eq!(chain.end_for(folder, 400_100).unwrap(), 4 * SEGMENT + 11);
        trim(folder, 4).unwrap();
        assert_eq!(look(folder).unwrap().unwrap().first, 4);
        assert!(!folder.join(segment_name(1, 3)).exists());
        // Of what is forgotten no line stays; of the rest each is read as before.
        let marks = || fs::read_to_string(folder.join(MARKS)).unwrap();
        let line = format!("400000 {}\n", 4 * SEGMENT + 11);
        assert_eq!(marks(), line);
        let chain = Chain::read(folder).unwrap().unwrap();
        assert_eq!(chain.end_for(folder, 390_000).unwrap(), 4 * SEGMENT + 11);
        trim(folder, 99).unwrap();
        assert!(folder.join(segment_name(1, 4)).exists(), "it is written to");
        remove(folder).unwrap();
        remove(folder).unwrap();
        assert!(!folder.exists());
    }

    #[test]
    fn a_line_that_a_crash_cut_off_is_read_as_none_also_once_others_follow() {
        let directory = tempfile::tempdir().unwrap();
        let folder = directory.path();
        let mut chain = Chain::new(1, 1);
        for number in 1..4 {
            (chain.mark, chain.end) = (number * 100_000, SEGMENT + number);
            chain.write(folder).unwrap();
            // The second is cut off amid its first number.
            let marks = fs::read_to_string(folder.join(MARKS)).unwrap();
            if number == 2 {
                fs::write(folder.join(MARKS), &marks[..marks.len() - 12]).unwrap();
            }
        }
        let ends = [50_000, 150_000, 299_999, 300_000].map(|at| chain.end_for(folder, at).unwrap());
        assert_eq!(ends, [1, 3, 3, 3].map(|it| SEGMENT + it));
        trim_marks(folder, SEGMENT + 1).unwrap();
        let left = fs::read_to_string(folder.join(MARKS)).unwrap();
        assert_eq!(left, format!("300000 {}\n", SEGMENT + 3));
    }

    #[test]
    fn what_a_turn_that_was_let_go_of_copied_is_gone_on_from_and_not_restored_from() {
        let directory = tempfile::tempdir().unwrap();
        let mut chain = Chain::new(1, 1);
        (chain.mark, chain.quiet, chain.end) = (100_000, 160_000, SEGMENT + 5);
        assert_eq!(chain.next(), SEGMENT + 5);
        chain.copied = Some(3 * SEGMENT);
        chain.write(directory.path()).unwrap();
        let read = Chain::read(directory.path()).unwrap().unwrap();
        assert_eq!(read, chain);
        assert_eq!(read.next(), 3 * SEGMENT);
        // As of the quiet time after the mark, all up to the end is replayed, and no more.
        let end = read.end_for(directory.path(), 150_000).unwrap();
        assert_eq!(end, SEGMENT + 5);
    }

    #[test]
    fn a_history_goes_on_from_where_the_last_timeline_was_left_and_from_no_other() {
        let mut chain = Chain::new(2, 3);
        (chain.mark, chain.quiet) = (100_000, 100_000);
        chain.end = 6 * SEGMENT + 9;
        let lineage = |timeline, history: &[(u32, u64)]| Lineage {
            timeline,
            history: History(history.iter().map(|it| (it.0, Lsn(it.1))).collect()),
        };
        // The archive has more of the old one's log than who took over.
        let left = 5 * SEGMENT + 7;
        let next = chain.gone_on_by(&lineage(3, &[(1, 9), (2, left)])).unwrap();
        assert_eq!((next.timeline, next.next()), (3, 5 * SEGMENT));
        assert_eq!(next.fork(), Some(left));
        let files: Vec<u32> = (3..8).map(|it| next.lineage().timeline_of(it)).collect();
        assert_eq!(files, [2, 2, 3, 3, 3]);
        let begin = |timeline, segment| SnapshotBegin { timeline, segment };
        let continued = [(2, 3), (2, 5), (3, 5)].map(|it| next.continues(begin(it.0, it.1)));
        assert_eq!(continued, [true; 3]);
        let others = [(2, 2), (2, 6), (4, 5), (1, 3)];
        let others = others.map(|it| next.continues(begin(it.0, it.1)));
        assert_eq!(others, [false; 4]);
        // And once more; what is written is read again.
        let later = next.gone_on_by(&lineage(4, &[(1, 9), (2, left), (3, 8 * SEGMENT)]));
        let directory = tempfile::tempdir().unwrap();
        let mut later = later.unwrap();
        assert_eq!(later.next(), 5 * SEGMENT, "it hadn't been gone on with yet");
        later.write(directory.path()).unwrap();
        assert_eq!(Chain::read(directory.path()).unwrap().unwrap(), later);
        // One that left earlier, or came from another of that number, or is the same.
        for other in [
            lineage(3, &[(1, 9), (2, 2 * SEGMENT)]),
            lineage(3, &[(1, left)]),
            lineage(2, &[(1, 9)]),
        ] {
            assert_eq!(chain.gone_on_by(&other), None);
        }
        let other = lineage(4, &[(1, 9), (2, left - 1), (3, 8 * SEGMENT)]);
        assert_eq!(next.gone_on_by(&other), None);
    }

    #[test]
    fn a_newer_archive_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        Chain::new(1, 1).write(directory.path()).unwrap();
        let path = directory.path().join(CHAIN);
        let text = fs::read_to_string(&path).unwrap();
        assert_eq!(
            text,
            "{\"format\":1,\"timeline\":1,\"first\":1,\"end\":4194304,\"mark\":0,\"quiet\":0,\
             \"transactions\":\"\",\"lined\":0}"
        );
        fs::write(&path, text.replace("\"format\":1", "\"format\":3")).unwrap();
        assert!(look(directory.path()).is_err());
    }
}

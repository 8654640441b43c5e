//! What old writers alone held, on this Region's disk: a folder a tail, under its instance, the
//! epoch of whose history it is and where it begins, with the list of its transactions beside its
//! log; and with the data themselves, put aside, where list and rows don't hold all of it. One that
//! is being kept has another name until it is whole. Nothing here is removed by itself, but for a
//! tail all of which is in a longer one.
//!
//! A tail holds what its home held until a server was started on that as a writer. From then on it
//! is closed: it is listed as ever, and says nothing any more of what the home alone holds.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use databases::model::{Forced, Instance, Lsn, ResourceId};
use runtime::postgres::{Postgres, Tail};
use serde_json::{Value, json};
use types::Timestamp;

use crate::files::{self, Readers};

/// The file with a tail's facts, beside its log.
const FACTS: &str = "tail.json";

/// What a folder's name ends with until it is whole.
const PART: &str = ".part";

/// The format of facts. In format 1 the transactions stood among them.
const FORMAT: u64 = 2;
const OLD_FORMAT: u64 = 1;

/// The file by which a tail says that the data that it is of are to be put aside.
const SHORT: &str = "short";

/// The file by which a tail says that its home was started as a writer since it was kept.
const CLOSED: &str = "closed";

/// What a folder is called in which data are that were put aside; others have a number behind it.
const ASIDE: &str = "home";

/// What is read of a tail's facts, in bytes.
const LONGEST: u64 = 64 * 1024 * 1024;

/// The folder of all of them.
pub(super) struct Tails(PathBuf);

/// One of them: of that instance, of that epoch's history, from there on.
pub(super) struct Kept<'a> {
    pub(super) id: &'a ResourceId,
    pub(super) base: u64,
    pub(super) from: Lsn,
}

impl Kept<'_> {
    fn name(&self) -> String {
        format!("{}-{}-{:X}", self.id, self.base, self.from.0)
    }
}

/// An instance's tails, as the plan sees them: those that aren't closed.
#[derive(PartialEq, Eq, Debug, Default)]
pub(super) struct Held {
    /// Of which epochs they are, and from where on.
    pub(super) tails: BTreeMap<u64, Lsn>,
    /// The epochs of those that don't hold all of what they are of, so that its data are to be put
    /// aside.
    pub(super) short: BTreeSet<u64>,
}

/// A whole one on disk.
struct Found {
    folder: PathBuf,
    base: u64,
    from: Lsn,
}

impl Found {
    /// Is it known not to be closed? What is closed by mistake is kept again.
    fn is_open(&self) -> bool {
        is_missing(&self.folder.join(CLOSED))
    }

    /// Is it not known to be all? What is put aside by mistake costs room alone.
    fn is_short(&self) -> bool {
        !is_missing(&self.folder.join(SHORT))
    }

    fn holds_all_of(&self, other: &Found) -> bool {
        self.base == other.base && self.from < other.from
    }
}

/// Those of an instance; none, where they can't be listed.
fn or_none(id: &ResourceId, listed: io::Result<Vec<Found>>) -> Vec<Found> {
    listed.unwrap_or_else(|cause| {
        tracing::warn!(instance = %id, %cause, "the kept tails can't be listed");
        Vec::new()
    })
}

/// Of which epochs they are, and from where on.
fn least(tails: &[Found]) -> BTreeMap<u64, Lsn> {
    let mut least = BTreeMap::new();
    for Found { base, from, .. } in tails {
        let held = least.entry(*base).or_insert(*from);
        *held = (*from).min(*held);
    }
    least
}

/// Is it known that there is no such file?
fn is_missing(file: &Path) -> bool {
    let found = file.symlink_metadata();
    found.is_err_and(|cause| cause.kind() == io::ErrorKind::NotFound)
}

impl Tails {
    /// In that folder.
    pub(super) fn new(folder: PathBuf) -> Tails {
        Tails(folder)
    }

    /// The folder of one that is whole and not closed.
    fn whole(&self, kept: &Kept<'_>) -> io::Result<Option<PathBuf>> {
        let mut found = self.open(kept.id)?.into_iter();
        let its = found.find(|one| (one.base, one.from) == (kept.base, kept.from));
        Ok(its.map(|one| one.folder))
    }

    /// Where one is to be once it is whole: others of that name, which are closed, stay.
    fn place(&self, kept: &Kept<'_>) -> PathBuf {
        first_free(&self.0, &kept.name())
    }

    /// The folder of one that is being kept.
    pub(super) fn unfinished(&self, kept: &Kept<'_>) -> PathBuf {
        self.0.join(format!("{}{PART}", kept.name()))
    }

    /// Of which epochs tails of an instance are held, closed ones too, and from where on. Where
    /// that can't be read, of none.
    pub(super) fn ever_of(&self, id: &ResourceId) -> BTreeMap<u64, Lsn> {
        least(&or_none(id, self.all_of(id)))
    }

    /// What is held of an instance. Where that can't be read, nothing is: it is kept again.
    pub(super) fn of(&self, id: &ResourceId) -> Held {
        let open = or_none(id, self.open(id));
        let tails = least(&open);
        let its = open
            .iter()
            .filter(|one| tails.get(&one.base) == Some(&one.from));
        let short = its.filter(|one| one.is_short()).map(|one| one.base);
        Held {
            short: short.collect(),
            tails,
        }
    }

    /// An instance's tails that are whole and not closed.
    fn open(&self, id: &ResourceId) -> io::Result<Vec<Found>> {
        let mut open = self.all_of(id)?;
        open.retain(Found::is_open);
        Ok(open)
    }

    fn all_of(&self, id: &ResourceId) -> io::Result<Vec<Found>> {
        let names = self.names()?.into_iter();
        let found = names.filter_map(|name| {
            let (base, from) = begins(id, &name)?;
            let folder = self.0.join(name);
            Some(Found { folder, base, from })
        });
        Ok(found.collect())
    }

    /// A server is about to be started on an instance's home as a writer: what it writes is in no
    /// tail that was kept before.
    ///
    /// # Errors
    /// The disk refuses.
    pub(super) fn close(&self, id: &ResourceId) -> io::Result<()> {
        self.supersede(id)?;
        for one in self.all_of(id)? {
            let mark = one.folder.join(CLOSED);
            if mark.symlink_metadata().is_err() {
                files::write(&mark, "", Readers::Owner).map_err(io::Error::other)?;
            }
        }
        Ok(())
    }

    /// Where the data that a tail is of are to be put aside: nothing is there yet.
    ///
    /// # Errors
    /// The disk refuses, or there is no such tail.
    pub(super) fn place_aside(&self, kept: &Kept<'_>) -> io::Result<PathBuf> {
        let whole = self.whole(kept)?.ok_or(io::ErrorKind::NotFound)?;
        Ok(first_free(&whole, ASIDE))
    }

    /// The data that a tail is of were put aside.
    ///
    /// # Errors
    /// The disk refuses, or there is no such tail.
    pub(super) fn is_aside(&self, kept: &Kept<'_>) -> io::Result<()> {
        let whole = self.whole(kept)?.ok_or(io::ErrorKind::NotFound)?;
        fs::remove_file(whole.join(SHORT))?;
        File::open(whole)?.sync_all()
    }

    /// Where data of an instance are that were put aside.
    pub(super) fn aside(&self, id: &ResourceId) -> Vec<PathBuf> {
        let all = self.all_of(id).unwrap_or_default();
        let aside = all.iter().filter_map(|one| aside_in(&one.folder).ok());
        aside.flatten().collect()
    }

    /// The names of whole ones, and of those of which nobody can tell whether they are.
    fn names(&self) -> io::Result<Vec<String>> {
        let names = names_in(&self.0)?.into_iter();
        let names = names.filter_map(|name| name.into_string().ok());
        let is_whole =
            |name: &String| !name.ends_with(PART) && !is_missing(&self.0.join(name).join(FACTS));
        let mut names: Vec<String> = names.filter(is_whole).collect();
        names.sort_unstable();
        Ok(names)
    }

    /// Makes room for one: what was left of another try goes.
    ///
    /// # Errors
    /// The disk refuses.
    pub(super) fn prepare(&self, postgres: &Postgres, kept: &Kept<'_>) -> io::Result<PathBuf> {
        super::passable(postgres, &self.0)?;
        self.clear(kept)
    }

    fn clear(&self, kept: &Kept<'_>) -> io::Result<PathBuf> {
        let unfinished = self.unfinished(kept);
        remove(&unfinished)?;
        Ok(unfinished)
    }

    /// The one that was kept is whole from when this returns.
    ///
    /// # Errors
    /// The disk refuses.
    pub(super) fn finish(
        &self,
        (kept, instance): (&Kept<'_>, &Instance),
        tail: &Tail,
        now: Timestamp,
    ) -> io::Result<()> {
        let unfinished = self.unfinished(kept);
        if self.whole(kept)?.is_some() {
            // It couldn't be read when that was asked, and its home wasn't started since.
            return remove(&unfinished);
        }
        let whole = self.place(kept);
        let facts = facts((kept, instance), tail, (now, &whole));
        if tail.is_short {
            files::write(&unfinished.join(SHORT), "", Readers::Owner).map_err(io::Error::other)?;
        }
        let file = unfinished.join(FACTS);
        files::write(&file, &facts.to_string(), Readers::Owner).map_err(io::Error::other)?;
        fs::rename(&unfinished, &whole)?;
        File::open(&self.0)?.sync_all()?;
        self.supersede(kept.id)
    }

    /// Removes those of an instance all of which is in another that isn't closed either: listed
    /// twice, it would be repaired twice.
    fn supersede(&self, id: &ResourceId) -> io::Result<()> {
        let open = self.open(id)?;
        for one in &open {
            let is_held = open.iter().any(|other| other.holds_all_of(one));
            // What was put aside isn't in any other.
            if is_held && aside_in(&one.folder)?.is_empty() {
                self.discard(&one.folder)?;
            }
        }
        Ok(())
    }

    /// Removes one. Before any of it goes it has the name of one that isn't whole: whatever comes
    /// between, no half of it is listed.
    fn discard(&self, folder: &Path) -> io::Result<()> {
        let mut part = folder.as_os_str().to_owned();
        part.push(PART);
        let part = PathBuf::from(part);
        remove(&part)?;
        fs::rename(folder, &part)?;
        File::open(&self.0)?.sync_all()?;
        remove(&part)
    }

    /// Carries on what the last process was cut off at, before anyone keeps anything: those that
    /// weren't whole go, and of these instances those all of which is in another.
    ///
    /// # Errors
    /// The disk refuses.
    pub(super) fn tidy(&self, ids: &[ResourceId]) -> io::Result<()> {
        for name in names_in(&self.0)? {
            if name.to_string_lossy().ends_with(PART) {
                remove(&self.0.join(name))?;
            }
        }
        ids.iter().try_for_each(|id| self.supersede(id))
    }

    /// All that are whole, as `causeway databases lost` tells of them: those that can't be read
    /// with the reason.
    pub(super) fn rows(&self) -> Vec<Value> {
        let names = self.names().unwrap_or_else(|cause| {
            tracing::warn!(%cause, "the kept tails can't be listed");
            Vec::new()
        });
        let rows = names.into_iter().map(|name| {
            let folder = self.0.join(&name);
            let mut row = read(&folder.join(FACTS)).unwrap_or_else(
                |cause| json!({ "directory": folder, "trouble": cause.to_string() }),
            );
            row["aside"] = json!(aside_in(&folder).unwrap_or_default());
            row
        });
        rows.collect()
    }
}

/// The names in a folder; none if that isn't there.
fn names_in(folder: &Path) -> io::Result<Vec<OsString>> {
    let entries = match fs::read_dir(folder) {
        Err(cause) if cause.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    entries.map(|entry| Ok(entry?.file_name())).collect()
}

/// Removes a folder, if it is there.
fn remove(folder: &Path) -> io::Result<()> {
    match fs::remove_dir_all(folder) {
        Err(cause) if cause.kind() != io::ErrorKind::NotFound => Err(cause),
        _ => Ok(()),
    }
}

/// The first place of that name in a folder where there is nothing; from the second on it has a
/// number.
fn first_free(folder: &Path, name: &str) -> PathBuf {
    let mut places = (2..).map(|number| folder.join(format!("{name}-{number}")));
    let mut place = folder.join(name);
    while place.symlink_metadata().is_ok() {
        place = places.next().expect("numbers don't end");
    }
    place
}

/// The folders of a tail's with data that were put aside.
fn aside_in(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let is_aside = |name: &OsString| {
        let after = name.to_str().and_then(|name| name.strip_prefix(ASIDE));
        after.is_some_and(|after| after.is_empty() || after.starts_with('-'))
    };
    let names = names_in(folder)?.into_iter().filter(is_aside);
    let mut found: Vec<PathBuf> = names.map(|name| folder.join(name)).collect();
    found.retain(|path| !path.is_file());
    found.sort_unstable();
    Ok(found)
}

/// Of which epoch a tail of that instance is, and from where on; `None`: it is another's.
fn begins(id: &ResourceId, name: &str) -> Option<(u64, Lsn)> {
    let said = name.strip_prefix(&id.0)?.strip_prefix('-')?;
    let (base, from) = said.split_once('-')?;
    let from = match from.split_once('-') {
        Some((from, number)) => number.parse::<u64>().is_ok().then_some(from)?,
        None => from,
    };
    let from = u64::from_str_radix(from, 16).ok()?;
    Some((base.parse().ok()?, Lsn(from)))
}

fn read(file: &Path) -> io::Result<Value> {
    if fs::metadata(file)?.len() > LONGEST {
        return Err(io::ErrorKind::FileTooLarge.into());
    }
    let facts: Value = serde_json::from_slice(&fs::read(file)?)?;
    match facts["format"].as_u64() {
        Some(FORMAT | OLD_FORMAT) => Ok(facts),
        format => Err(io::Error::other(format!(
            "it has the unknown format {format:?}"
        ))),
    }
}

/// What is written down of a tail.
fn facts(
    (kept, instance): (&Kept<'_>, &Instance),
    tail: &Tail,
    (now, whole): (Timestamp, &Path),
) -> Value {
    let headship = instance.headship.as_ref();
    let is_forced = Forced::is_number(kept.base);
    let place = |(lsn, at): (runtime::postgres::Lsn, Timestamp)| json!({ "lsn": lsn.to_string(), "committed": at.0 });
    let unlisted = tail.unlisted;
    let list = tail.list_file.file_name();
    let sql = tail.sql_file.as_ref().and_then(|file| file.file_name());
    json!({
        "format": FORMAT,
        "region": instance.arn.region,
        "cluster": headship.map(|headship| headship.cluster_arn.to_string()),
        "instance": instance.arn.to_string(),
        "resource_id": kept.id,
        "epoch": match is_forced {
            true => headship.map(|headship| headship.epoch),
            false => Some(kept.base),
        },
        "forced": is_forced,
        "timeline": tail.timeline,
        "begin": tail.begin.to_string(),
        "end": tail.end.to_string(),
        "kept": now.0,
        "count": tail.listed + unlisted.map_or(0, |unlisted| unlisted.count),
        "list": list.map(|name| whole.join(name)),
        "list_bytes": tail.list_bytes.0,
        "unlisted": unlisted.map_or(0, |unlisted| unlisted.count),
        "first_unlisted": unlisted.map(|unlisted| place(unlisted.first)),
        "last_unlisted": unlisted.map(|unlisted| place(unlisted.last)),
        "short": tail.is_short,
        "bytes": tail.bytes.0,
        "directory": whole,
        "trouble": tail.unexported,
        "sql": sql.map(|name| whole.join(name)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tails() -> (tempfile::TempDir, Tails, ResourceId) {
        let directory = tempfile::tempdir().unwrap();
        let tails = Tails::new(directory.path().join("tails"));
        fs::create_dir(&tails.0).unwrap();
        (directory, tails, ResourceId("db-A".to_owned()))
    }

    fn kept(id: &ResourceId, from: u64) -> Kept<'_> {
        Kept {
            id,
            base: 2,
            from: Lsn(from),
        }
    }

    /// Makes one whole, and gives its folder.
    fn keep(tails: &Tails, kept: &Kept<'_>) -> PathBuf {
        let whole = tails.place(kept);
        fs::create_dir(&whole).unwrap();
        fs::write(whole.join(FACTS), "{\"format\":2}").unwrap();
        whole
    }

    fn held(from: u64) -> BTreeMap<u64, Lsn> {
        BTreeMap::from([(2, Lsn(from))])
    }

    #[test]
    fn a_tail_is_told_of_once_it_is_whole_and_one_that_was_cut_off_is_begun_anew() {
        let (_directory, tails, id) = tails();
        let (later, kept) = (kept(&id, 0x20), kept(&id, 0x1f));
        fs::remove_dir(&tails.0).unwrap();
        assert!(tails.rows().is_empty() && tails.of(&id) == Held::default());
        fs::create_dir(&tails.0).unwrap();
        let unfinished = tails.clear(&kept).unwrap();
        fs::create_dir(&unfinished).unwrap();
        fs::write(unfinished.join("wal"), "half").unwrap();
        assert!(tails.of(&id) == Held::default() && tails.rows().is_empty());
        let unfinished = tails.clear(&kept).unwrap();
        assert!(!unfinished.exists());
        fs::create_dir(&unfinished).unwrap();
        let facts = json!({ "format": FORMAT, "epoch": 2, "aside": [] });
        fs::write(unfinished.join(FACTS), facts.to_string()).unwrap();
        let whole = tails.place(&kept);
        fs::rename(&unfinished, &whole).unwrap();
        assert_eq!(tails.of(&id).tails, held(0x1f));
        let later = keep(&tails, &later);
        assert_eq!(tails.of(&id).tails, held(0x1f));
        tails.supersede(&id).unwrap();
        assert!(!later.exists() && whole.exists());
        assert_eq!(tails.rows(), [facts]);
        let other = ResourceId("db".to_owned());
        assert!(
            tails.of(&other).tails.is_empty(),
            "another's name that begins as this one's"
        );
        fs::write(whole.join(FACTS), "{\"format\":1}").unwrap();
        assert!(
            tails.rows()[0]["trouble"].is_null(),
            "of before lists were files"
        );
        fs::write(whole.join(FACTS), "{\"format\":3}").unwrap();
        assert!(tails.rows()[0]["trouble"].is_string());
    }

    #[test]
    fn data_are_to_be_put_aside_until_they_are_and_no_longer_tail_takes_them_away() {
        let (_directory, tails, id) = tails();
        let (longer, short) = (kept(&id, 0x10), kept(&id, 0x20));
        let whole = keep(&tails, &short);
        assert!(tails.of(&id).short.is_empty());
        fs::write(whole.join(SHORT), "").unwrap();
        assert_eq!(tails.of(&id).short, BTreeSet::from([2]));
        let place = tails.place_aside(&short).unwrap();
        fs::create_dir(&place).unwrap();
        tails.is_aside(&short).unwrap();
        assert!(tails.of(&id).short.is_empty());
        assert_eq!(tails.aside(&id), std::slice::from_ref(&place));
        assert_eq!(tails.rows()[0]["aside"], json!([place]));
        let other = ResourceId("db".to_owned());
        assert!(tails.aside(&other).is_empty());
        // Another time it has another place.
        assert_eq!(tails.place_aside(&short).unwrap(), whole.join("home-2"));
        keep(&tails, &longer);
        tails.supersede(&id).unwrap();
        assert!(place.exists(), "it is in no other tail");
        fs::remove_dir(&place).unwrap();
        tails.supersede(&id).unwrap();
        assert!(!whole.exists());
        assert!(tails.place_aside(&short).is_err());
    }

    #[test]
    fn what_a_home_holds_once_it_was_started_as_a_writer_is_in_no_tail_that_was_kept_before() {
        let (_directory, tails, id) = tails();
        let (longer, short) = (kept(&id, 0x10), kept(&id, 0x20));
        // It was the writer's, was left behind, and its cluster was removed from the global one.
        let first = keep(&tails, &longer);
        fs::write(first.join(SHORT), "").unwrap();
        tails.close(&id).unwrap();
        assert_eq!(tails.of(&id), Held::default());
        assert!(tails.place_aside(&longer).is_err());
        // A reader took over from it at a later place, and once more at the very same.
        let second = keep(&tails, &short);
        assert_eq!(tails.of(&id).tails, held(0x20));
        tails.supersede(&id).unwrap();
        assert!(first.exists() && second.exists(), "one isn't in the other");
        tails.close(&id).unwrap();
        let third = keep(&tails, &short);
        assert!(third != second && tails.of(&id).tails == held(0x20));
        assert_eq!(tails.place_aside(&short).unwrap(), third.join(ASIDE));
        tails.close(&id).unwrap();
        tails.close(&id).unwrap();
        assert_eq!(tails.of(&id), Held::default());
        assert_eq!(tails.ever_of(&id), held(0x10), "readers go by all of them");
        assert_eq!(tails.rows().len(), 3, "all are listed");
        assert!(tails.close(&ResourceId("db-B".to_owned())).is_ok());
    }

    #[test]
    fn a_tail_of_which_nobody_can_tell_whether_it_holds_all_is_taken_for_short() {
        let (_directory, tails, id) = tails();
        let whole = keep(&tails, &kept(&id, 0x10));
        // It is there, and whoever asks whether it is a file gets an error.
        std::os::unix::fs::symlink(SHORT, whole.join(SHORT)).unwrap();
        assert_eq!(tails.of(&id).short, BTreeSet::from([2]));
        // Of what can't be listed nothing is kept, and nothing short: it is kept again.
        fs::remove_dir_all(&tails.0).unwrap();
        fs::write(&tails.0, "no folder").unwrap();
        assert_eq!(tails.of(&id), Held::default());
        assert!(tails.close(&id).is_err(), "no writer is started on it");
    }

    #[test]
    fn a_process_that_was_cut_off_leaves_nothing_that_is_listed_twice_or_by_half() {
        let (_directory, tails, id) = tails();
        let [longer, short] = [0x10, 0x20].map(|from| keep(&tails, &kept(&id, from)));
        assert_eq!(tails.rows().len(), 2, "it died before the shorter went");
        let half = tails.unfinished(&kept(&id, 0x30));
        fs::create_dir(&half).unwrap();
        tails.tidy(&[ResourceId("db-B".to_owned())]).unwrap();
        assert!(!half.exists() && short.exists());
        // Nor is what a removal was cut off at in its way.
        let part = tails.unfinished(&kept(&id, 0x20));
        fs::create_dir(&part).unwrap();
        fs::write(part.join(FACTS), "{}").unwrap();
        assert_eq!(tails.rows().len(), 2);
        tails.tidy(&[id]).unwrap();
        assert!(longer.exists() && !short.exists() && !part.exists());
        assert_eq!(tails.rows().len(), 1);
    }
}

//! What old writers alone held, on this Region's disk: a folder a tail, under its instance, the
//! epoch of whose history it is and where it begins, with the list of its transactions beside its
//! log; and with the data themselves, put aside, where list and rows don't hold all of it. One that
//! is being kept has another name until it is whole. Nothing here is removed by itself, but for a
//! tail all of which is in a longer one.

use std::collections::{BTreeMap, BTreeSet};
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

impl Tails {
    /// In that folder.
    pub(super) fn new(folder: PathBuf) -> Tails {
        Tails(folder)
    }

    fn whole(&self, kept: &Kept<'_>) -> PathBuf {
        self.0.join(kept.name())
    }

    /// The folder of one that is being kept.
    pub(super) fn unfinished(&self, kept: &Kept<'_>) -> PathBuf {
        self.0.join(format!("{}{PART}", kept.name()))
    }

    /// Of which epochs an instance's tails are whole, and from where on.
    pub(super) fn of(&self, id: &ResourceId) -> BTreeMap<u64, Lsn> {
        let mut found = BTreeMap::new();
        for (base, from) in self.names().iter().filter_map(|name| begins(id, name)) {
            let held = found.entry(base).or_insert(from);
            *held = from.min(*held);
        }
        found
    }

    /// The epochs of an instance's tails that don't hold all of what they are of, so that its data
    /// are to be put aside.
    pub(super) fn short(&self, id: &ResourceId) -> BTreeSet<u64> {
        let is_short = |(base, from): (u64, Lsn)| {
            let kept = Kept { id, base, from };
            (self.whole(&kept).join(SHORT).is_file()).then_some(base)
        };
        self.of(id).into_iter().filter_map(is_short).collect()
    }

    /// Where the data that a tail is of are to be put aside: nothing is there yet.
    pub(super) fn place_aside(&self, kept: &Kept<'_>) -> PathBuf {
        let whole = self.whole(kept);
        let mut places = (2..).map(|number| whole.join(format!("{ASIDE}-{number}")));
        let mut place = whole.join(ASIDE);
        while place.symlink_metadata().is_ok() {
            place = places.next().expect("numbers don't end");
        }
        place
    }

    /// The data that a tail is of were put aside.
    ///
    /// # Errors
    /// The disk refuses.
    pub(super) fn is_aside(&self, kept: &Kept<'_>) -> io::Result<()> {
        let whole = self.whole(kept);
        fs::remove_file(whole.join(SHORT))?;
        File::open(whole)?.sync_all()
    }

    /// Where data of an instance are that were put aside.
    pub(super) fn aside(&self, id: &ResourceId) -> Vec<PathBuf> {
        let names = self.names().into_iter();
        let its = names.filter(|name| begins(id, name).is_some());
        its.flat_map(|name| aside_in(&self.0.join(name))).collect()
    }

    /// The names of whole ones.
    fn names(&self) -> Vec<String> {
        let entries = match fs::read_dir(&self.0) {
            Ok(entries) => entries,
            Err(cause) => {
                if cause.kind() != io::ErrorKind::NotFound {
                    tracing::warn!(%cause, "the kept tails can't be listed");
                }
                return Vec::new();
            }
        };
        let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
        let is_whole = |name: &String| self.0.join(name).join(FACTS).is_file();
        let mut names: Vec<String> = names.filter(|it| !it.ends_with(PART)).collect();
        names.retain(is_whole);
        names.sort_unstable();
        names
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
        match fs::remove_dir_all(&unfinished) {
            Err(cause) if cause.kind() != io::ErrorKind::NotFound => Err(cause),
            _ => Ok(unfinished),
        }
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
        let (unfinished, whole) = (self.unfinished(kept), self.whole(kept));
        let facts = facts((kept, instance), tail, (now, &whole));
        if tail.is_short {
            files::write(&unfinished.join(SHORT), "", Readers::Owner).map_err(io::Error::other)?;
        }
        let file = unfinished.join(FACTS);
        files::write(&file, &facts.to_string(), Readers::Owner).map_err(io::Error::other)?;
        fs::rename(&unfinished, &whole)?;
        File::open(&self.0)?.sync_all()?;
        self.supersede(kept)
    }

    /// Removes those all of which is in that one: listed twice, it would be repaired twice.
    fn supersede(&self, kept: &Kept<'_>) -> io::Result<()> {
        for name in self.names() {
            let begins = begins(kept.id, &name);
            let folder = self.0.join(&name);
            // What was put aside isn't in any other.
            let is_all = begins.is_some_and(|(base, from)| base == kept.base && from > kept.from);
            if is_all && aside_in(&folder).is_empty() {
                fs::remove_dir_all(folder)?;
            }
        }
        Ok(())
    }

    /// All that are whole, as `causeway databases lost` tells of them: those that can't be read
    /// with the reason.
    pub(super) fn rows(&self) -> Vec<Value> {
        let names = self.names().into_iter();
        let rows = names.map(|name| {
            let folder = self.0.join(&name);
            let mut row = read(&folder.join(FACTS)).unwrap_or_else(
                |cause| json!({ "directory": folder, "trouble": cause.to_string() }),
            );
            row["aside"] = json!(aside_in(&folder));
            row
        });
        rows.collect()
    }
}

/// The folders of a tail's with data that were put aside.
fn aside_in(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten();
    let paths = entries.filter_map(|entry| Some(entry.ok()?.path()));
    let is_aside = |path: &PathBuf| {
        let name = path.file_name().and_then(|name| name.to_str());
        let after = name.and_then(|name| name.strip_prefix(ASIDE));
        after.is_some_and(|after| after.is_empty() || after.starts_with('-')) && path.is_dir()
    };
    let mut found: Vec<PathBuf> = paths.filter(is_aside).collect();
    found.sort_unstable();
    found
}

/// Of which epoch a tail of that instance is, and from where on; `None`: it is another's.
fn begins(id: &ResourceId, name: &str) -> Option<(u64, Lsn)> {
    let said = name.strip_prefix(&id.0)?.strip_prefix('-')?;
    let (base, from) = said.split_once('-')?;
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

    #[test]
    fn a_tail_is_told_of_once_it_is_whole_and_one_that_was_cut_off_is_begun_anew() {
        let directory = tempfile::tempdir().unwrap();
        let tails = Tails::new(directory.path().join("tails"));
        let id = ResourceId("db-A".to_owned());
        let kept = |from| Kept {
            id: &id,
            base: 2,
            from: Lsn(from),
        };
        let (later, kept) = (kept(0x20), kept(0x1f));
        assert!(tails.rows().is_empty() && tails.of(&id).is_empty());
        fs::create_dir(&tails.0).unwrap();
        let unfinished = tails.clear(&kept).unwrap();
        fs::create_dir(&unfinished).unwrap();
        fs::write(unfinished.join("wal"), "half").unwrap();
        assert!(tails.of(&id).is_empty() && tails.rows().is_empty());
        let unfinished = tails.clear(&kept).unwrap();
        assert!(!unfinished.exists());
        fs::create_dir(&unfinished).unwrap();
        let facts = json!({ "format": FORMAT, "epoch": 2, "aside": [] });
        fs::write(unfinished.join(FACTS), facts.to_string()).unwrap();
        fs::rename(&unfinished, tails.whole(&kept)).unwrap();
        assert_eq!(tails.of(&id), BTreeMap::from([(2, Lsn(0x1f))]));
        fs::create_dir(tails.whole(&later)).unwrap();
        fs::write(tails.whole(&later).join(FACTS), "{}").unwrap();
        assert_eq!(tails.of(&id), BTreeMap::from([(2, Lsn(0x1f))]));
        tails.supersede(&kept).unwrap();
        assert!(!tails.whole(&later).exists() && tails.whole(&kept).exists());
        assert_eq!(tails.rows(), [facts]);
        let other = ResourceId("db".to_owned());
        assert!(
            tails.of(&other).is_empty(),
            "another's name that begins as this one's"
        );
        fs::write(tails.whole(&kept).join(FACTS), "{\"format\":1}").unwrap();
        assert!(
            tails.rows()[0]["trouble"].is_null(),
            "of before lists were files"
        );
        fs::write(tails.whole(&kept).join(FACTS), "{\"format\":3}").unwrap();
        assert!(tails.rows()[0]["trouble"].is_string());
    }

    #[test]
    fn data_are_to_be_put_aside_until_they_are_and_no_longer_tail_takes_them_away() {
        let directory = tempfile::tempdir().unwrap();
        let tails = Tails::new(directory.path().to_owned());
        let id = ResourceId("db-A".to_owned());
        let kept = |from| Kept {
            id: &id,
            base: 2,
            from: Lsn(from),
        };
        let (longer, short) = (kept(0x10), kept(0x20));
        let whole = tails.whole(&short);
        fs::create_dir(&whole).unwrap();
        fs::write(whole.join(FACTS), "{\"format\":2}").unwrap();
        assert!(tails.short(&id).is_empty());
        fs::write(whole.join(SHORT), "").unwrap();
        assert_eq!(tails.short(&id), BTreeSet::from([2]));
        let place = tails.place_aside(&short);
        fs::create_dir(&place).unwrap();
        tails.is_aside(&short).unwrap();
        assert!(tails.short(&id).is_empty());
        assert_eq!(tails.aside(&id), std::slice::from_ref(&place));
        assert_eq!(tails.rows()[0]["aside"], json!([place]));
        let other = ResourceId("db".to_owned());
        assert!(tails.aside(&other).is_empty());
        // Another time it has another place.
        assert_eq!(tails.place_aside(&short), whole.join("home-2"));
        tails.supersede(&longer).unwrap();
        assert!(place.exists(), "it is in no other tail");
        fs::remove_dir(&place).unwrap();
        tails.supersede(&longer).unwrap();
        assert!(!whole.exists());
    }
}

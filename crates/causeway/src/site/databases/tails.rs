//! What old writers alone held, on this Region's disk: a folder a tail, under its instance, the
//! epoch of whose history it is and where it begins, with the list of its transactions beside its
//! log. One that is being kept has another name until it is whole. Nothing here is removed by
//! itself, but for a tail all of which is in a longer one.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use databases::model::{Instance, Lsn, ResourceId};
use runtime::postgres::{Postgres, Tail};
use serde_json::{Value, json};
use types::Timestamp;

use crate::files::{self, Readers};

/// The file with a tail's facts, beside its log.
const FACTS: &str = "tail.json";

/// What a folder's name ends with until it is whole.
const PART: &str = ".part";

/// The one format of facts.
const FORMAT: u64 = 1;

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
            if begins.is_some_and(|(base, from)| base == kept.base && from > kept.from) {
                fs::remove_dir_all(self.0.join(name))?;
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
            read(&folder.join(FACTS)).unwrap_or_else(
                |cause| json!({ "directory": folder, "trouble": cause.to_string() }),
            )
        });
        rows.collect()
    }
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
        Some(FORMAT) => Ok(facts),
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
    let transactions = tail.transactions.iter().map(|transaction| {
        let tables = transaction.tables.iter().map(|table| {
            let name = match table.schema.as_str() {
                "" => table.table.clone(),
                schema => format!("{schema}.{}", table.table),
            };
            json!({
                "database": table.database,
                "table": name,
                "inserted": table.inserted,
                "updated": table.updated,
                "deleted": table.deleted,
            })
        });
        json!({
            "transaction": transaction.xid,
            "committed": transaction.committed.0,
            "lsn": transaction.lsn.to_string(),
            "changed_schema": transaction.changed_schema,
            "tables": tables.collect::<Vec<_>>(),
        })
    });
    let sql = tail.sql_file.as_ref().and_then(|file| file.file_name());
    json!({
        "format": FORMAT,
        "region": instance.arn.region,
        "cluster": headship.map(|headship| headship.cluster_arn.to_string()),
        "instance": instance.arn.to_string(),
        "resource_id": kept.id,
        "epoch": kept.base,
        "timeline": tail.timeline,
        "begin": tail.begin.to_string(),
        "end": tail.end.to_string(),
        "kept": now.0,
        "count": tail.transactions.len() as u64 + tail.unlisted,
        "transactions": transactions.collect::<Vec<_>>(),
        "unlisted": tail.unlisted,
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
        let facts = json!({ "format": FORMAT, "epoch": 2, "transactions": [] });
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
        fs::write(tails.whole(&kept).join(FACTS), "{\"format\":2}").unwrap();
        assert!(tails.rows()[0]["trouble"].is_string());
    }
}

//! The settings: keys and values in order, changed atomically by compare-and-set. Pure; applying
//! the same changes in the same order gives the same settings everywhere.

use std::collections::{BTreeSet, VecDeque};
use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use types::{ByteSize, Deployment};

use crate::codec::{Malformed, Reader, Writer};
use crate::entries::Entries;
use crate::limits::{
    MAX_CHANGE, MAX_EDITS, MAX_KEY, MAX_REMEMBERED_REMOVALS, MAX_SETTINGS, SETTING_OVERHEAD,
};

/// The key under which the deployment's sites stand, as JSON of `types::Deployment`. The first
/// leader puts it there.
pub const DEPLOYMENT: &str = "deployment/sites";

/// A value and when it was set.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Setting {
    /// The settings' revision that set it.
    pub revision: u64,
    /// The value.
    pub value: Bytes,
}

/// The configuration as of one revision. Keys are `service/name`, in byte order. A clone shares
/// what it holds, and a change copies little of it.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    revision: u64,
    entries: Entries,
    size: ByteSize,
    removed: Arc<Removed>,
}

/// The latest removals, for those who follow the changes: known at this site only.
#[derive(Clone, Debug, Default)]
struct Removed {
    /// Those of later revisions are here.
    after: u64,
    keys: VecDeque<(u64, Arc<str>)>,
}

impl PartialEq for Settings {
    fn eq(&self, other: &Settings) -> bool {
        self.revision == other.revision && self.entries == other.entries
    }
}

impl Eq for Settings {}

/// What must hold of a key for an edit to be made.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Expected {
    /// Nothing.
    Any,
    /// It is not there.
    Absent,
    /// It was last set by this revision.
    Revision(u64),
}

/// A change of one key.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Edit {
    /// The key, 1 to `MAX_KEY` bytes.
    pub key: String,
    /// What must hold of it.
    pub expected: Expected,
    /// Its new value; `None` removes it.
    pub value: Option<Bytes>,
}

/// Edits of distinct keys, made all or none.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Change {
    /// 1 to `MAX_EDITS` of them.
    pub edits: Vec<Edit>,
}

/// Why a change was not made. The same at every site.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Refusal {
    /// A key was not as expected: the first such key, and its revision if it is there.
    Conflict {
        /// The key.
        key: String,
        /// The revision that set it; `None`: it is absent.
        found: Option<u64>,
    },
    /// The settings would hold more than `MAX_SETTINGS`.
    Full,
    /// So many later proposals of its site were decided before it reached the leader that it
    /// can't be told from one decided already.
    Overtaken,
    /// The change itself is against the limits.
    Invalid,
}

impl Settings {
    /// How often they have changed.
    pub fn revision(&self) -> u64 {
        self.revision
    }

    /// The setting of that key.
    pub fn get(&self, key: &str) -> Option<&Setting> {
        self.entries.get(key)
    }

    /// The settings whose keys begin with `prefix`, in order.
    pub fn with_prefix<'a>(
        &'a self,
        prefix: &'a str,
    ) -> impl Iterator<Item = (&'a str, &'a Setting)> + 'a {
        self.entries
            .from(prefix)
            .take_while(move |(key, _)| key.starts_with(prefix))
            .map(|(key, setting)| (&**key, setting))
    }

    /// Visits what differs from revision `since` among keys that begin with `prefix`: removed
    /// ones first (`None`, some perhaps more than once), then those set, in order. Costs what
    /// changed, and a look at each chunk of keys. False, having visited nothing: what was removed
    /// since is no longer known, so all must be read.
    pub fn visit_changes(
        &self,
        prefix: &str,
        since: u64,
        visitor: &mut dyn FnMut(&str, Option<&Setting>),
    ) -> bool {
        if since < self.removed.after || since > self.revision {
            return false;
        }
        let removed = self.removed.keys.iter().rev();
        for (_, key) in removed.take_while(|(revision, _)| *revision > since) {
            if key.starts_with(prefix) && self.get(key).is_none() {
                visitor(key, None);
            }
        }
        for (key, setting) in self.entries.set_after(since, prefix) {
            if !key.starts_with(prefix) {
                break;
            }
            visitor(key, Some(setting));
        }
        true
    }

    /// What they count towards `MAX_SETTINGS`.
    pub fn size(&self) -> ByteSize {
        self.size
    }

    /// The sites of the deployment, once the first leader has recorded them.
    pub fn deployment(&self) -> Option<Deployment> {
        serde_json::from_slice(&self.get(DEPLOYMENT)?.value).ok()
    }

    /// Makes the change, or none of it; `limit` is what the settings may hold.
    pub(crate) fn apply(&mut self, change: &Change, limit: ByteSize) -> Result<u64, Refusal> {
        change.check().map_err(|_| Refusal::Invalid)?;
        for edit in &change.edits {
            let found = self.entries.get(&edit.key).map(|setting| setting.revision);
            let holds = match edit.expected {
                Expected::Any => true,
                Expected::Absent => found.is_none(),
                Expected::Revision(revision) => found == Some(revision),
            };
            if !holds {
                let key = edit.key.clone();
                return Err(Refusal::Conflict { key, found });
            }
        }
        let grown = change.edits.iter().fold(self.size.0, |size, edit| {
            let old = self.entries.get(&edit.key);
            let freed = old.map_or(0, |old| weight(&edit.key, &old.value));
            let added = edit.value.as_ref().map_or(0, |new| weight(&edit.key, new));
            size - freed + added
        });
        if grown > limit.0 && grown > self.size.0 {
            return Err(Refusal::Full);
        }
        self.revision += 1;
        self.size = ByteSize(grown);
        for edit in &change.edits {
            match &edit.value {
                Some(value) => {
                    let setting = Setting {
                        revision: self.revision,
                        value: value.clone(),
                    };
                    self.entries.insert(&edit.key, setting);
                }
                None if self.entries.get(&edit.key).is_some() => {
                    self.entries.remove(&edit.key);
                    Arc::make_mut(&mut self.removed).note(self.revision, &edit.key);
                }
                None => {}
            }
        }
        Ok(self.revision)
    }

    /// All of it, from a leader's parts or from storage.
    pub(crate) fn from_parts(revision: u64, entries: Entries, size: ByteSize) -> Settings {
        let removed = Removed {
            after: revision,
            keys: VecDeque::new(),
        };
        Settings {
            revision,
            entries,
            size,
            removed: Arc::new(removed),
        }
    }

    /// Every setting, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Setting)> {
        self.entries
            .from("")
            .map(|(key, setting)| (&**key, setting))
    }

    /// How many settings there are.
    pub fn count(&self) -> usize {
        self.entries.count()
    }

    pub(crate) fn entries(&self) -> &Entries {
        &self.entries
    }
}

impl Removed {
    fn note(&mut self, revision: u64, key: &str) {
        self.keys.push_back((revision, Arc::from(key)));
        if self.keys.len() > MAX_REMEMBERED_REMOVALS
            && let Some((forgotten, _)) = self.keys.pop_front()
        {
            self.after = forgotten;
        }
    }
}

/// What a setting counts towards `MAX_SETTINGS`.
pub(crate) fn weight(key: &str, value: &Bytes) -> u64 {
    (key.len() + value.len() + SETTING_OVERHEAD) as u64
}

impl Change {
    /// No edits yet.
    pub fn new() -> Change {
        Change::default()
    }

    /// And sets that key.
    pub fn put(
        mut self,
        key: impl Into<String>,
        expected: Expected,
        value: impl Into<Bytes>,
    ) -> Change {
        self.edits.push(Edit {
            key: key.into(),
            expected,
            value: Some(value.into()),
        });
        self
    }

    /// And removes that key.
    pub fn delete(mut self, key: impl Into<String>, expected: Expected) -> Change {
        self.edits.push(Edit {
            key: key.into(),
            expected,
            value: None,
        });
        self
    }

    /// Is it within the limits? Says what isn't.
    pub(crate) fn check(&self) -> Result<(), &'static str> {
        if self.edits.is_empty() || self.edits.len() > MAX_EDITS {
            return Err("a change edits 1 to 1,100 keys");
        }
        if self
            .edits
            .iter()
            .any(|edit| edit.key.is_empty() || edit.key.len() > MAX_KEY)
        {
            return Err("a key has 1 to 512 bytes");
        }
        let keys: BTreeSet<&str> = self.edits.iter().map(|edit| edit.key.as_str()).collect();
        if keys.len() != self.edits.len() {
            return Err("a change edits a key once");
        }
        let size: usize = self
            .edits
            .iter()
            .map(|edit| edit.key.len() + edit.value.as_ref().map_or(0, Bytes::len) + 32)
            .sum();
        if size > MAX_CHANGE.as_usize() {
            return Err("a change is at most 768 KiB");
        }
        Ok(())
    }

    pub(crate) fn encode(&self, writer: &mut Writer) {
        writer.length(self.edits.len());
        for edit in &self.edits {
            writer.bytes(edit.key.as_bytes());
            match edit.expected {
                Expected::Any => writer.u8(0),
                Expected::Absent => writer.u8(1),
                Expected::Revision(revision) => writer.u8(2).u64(revision),
            };
            match &edit.value {
                None => writer.u8(0),
                Some(value) => writer.u8(1).bytes(value),
            };
        }
    }

    pub(crate) fn decode(reader: &mut Reader<'_>) -> Result<Change, Malformed> {
        let mut edits = Vec::new();
        for _ in 0..reader.count()? {
            let key = reader.text()?.to_owned();
            let expected = match reader.u8()? {
                0 => Expected::Any,
                1 => Expected::Absent,
                2 => Expected::Revision(reader.u64()?),
                _ => return Err(Malformed),
            };
            let value = match reader.u8()? {
                0 => None,
                1 => Some(Bytes::copy_from_slice(reader.bytes()?)),
                _ => return Err(Malformed),
            };
            edits.push(Edit {
                key,
                expected,
                value,
            });
        }
        Ok(Change { edits })
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Refusal::Conflict {
                key,
                found: Some(revision),
            } => write!(
                f,
                "'{key}' is at revision {revision}, which was not expected"
            ),
            Refusal::Conflict { key, found: None } => write!(f, "'{key}' is absent"),
            Refusal::Full => write!(f, "the settings would exceed {MAX_SETTINGS}"),
            Refusal::Overtaken => write!(f, "too many later proposals were decided before it"),
            Refusal::Invalid => write!(f, "the change is against the limits"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_is_made_whole_or_not_at_all() {
        let mut settings = Settings::default();
        let first = Change::new().put("a/x", Expected::Absent, "1");
        assert_eq!(settings.apply(&first, MAX_SETTINGS), Ok(1));
        let half =
            Change::new()
                .put("a/y", Expected::Absent, "2")
                .put("a/x", Expected::Revision(9), "3");
        let refusal = Refusal::Conflict {
            key: "a/x".to_owned(),
            found: Some(1),
        };
        assert_eq!(settings.apply(&half, MAX_SETTINGS), Err(refusal));
        assert_eq!(settings.get("a/y"), None);
        assert_eq!(settings.revision(), 1);
        let both =
            Change::new()
                .delete("a/x", Expected::Revision(1))
                .put("b/z", Expected::Absent, "4");
        assert_eq!(settings.apply(&both, MAX_SETTINGS), Ok(2));
        assert_eq!(settings.with_prefix("a/").count(), 0);
        assert_eq!(settings.with_prefix("b/").count(), 1);
        assert_eq!(settings.size(), ByteSize(4 + 32));
    }

    #[test]
    fn full_settings_refuse_growth_and_allow_shrinking() {
        let mut settings = Settings::default();
        let large = Bytes::from(vec![0; 200 * 1024]);
        let limit = ByteSize::mib(2);
        let mut number = 0;
        let refusal = loop {
            let key = format!("a/{number}");
            let change = Change::new().put(key, Expected::Any, large.clone());
            match settings.apply(&change, limit) {
                Ok(_) => number += 1,
                Err(refusal) => break refusal,
            }
        };
        assert_eq!(refusal, Refusal::Full);
        assert!(settings.size() <= limit);
        let shrinking = Change::new().delete("a/0", Expected::Any);
        assert!(settings.apply(&shrinking, limit).is_ok());
    }

    /// What `visit_changes` tells of a prefix; none if it can't tell.
    fn changes(settings: &Settings, prefix: &str, since: u64) -> Option<Vec<(String, bool)>> {
        let mut seen = Vec::new();
        let known = settings.visit_changes(prefix, since, &mut |key, setting| {
            seen.push((key.to_owned(), setting.is_some()));
        });
        known.then_some(seen)
    }

    #[test]
    fn whoever_follows_is_told_what_was_set_and_what_was_removed() {
        let mut settings = Settings::default();
        let mut apply = |change: Change| settings.apply(&change, MAX_SETTINGS).unwrap();
        apply(
            Change::new()
                .put("a/x", Expected::Any, "1")
                .put("a/y", Expected::Any, "1"),
        );
        apply(Change::new().put("b/x", Expected::Any, "2"));
        apply(
            Change::new()
                .delete("a/x", Expected::Any)
                .put("a/z", Expected::Any, "3"),
        );
        apply(Change::new().delete("b/absent", Expected::Any));
        let told = |key: &str, is_there| (key.to_owned(), is_there);
        let all = Some(vec![
            told("a/x", false),
            told("a/y", true),
            told("a/z", true),
        ]);
        assert_eq!(changes(&settings, "a/", 0), all);
        let later = Some(vec![told("a/x", false), told("a/z", true)]);
        assert_eq!(changes(&settings, "a/", 2), later);
        assert_eq!(changes(&settings, "b/", 2), Some(vec![]));
        assert_eq!(changes(&settings, "", 3), Some(vec![]));
        assert_eq!(changes(&settings, "", 5), None);
        let again = Change::new().put("a/x", Expected::Any, "5");
        settings.apply(&again, MAX_SETTINGS).unwrap();
        let back = Some(vec![told("a/x", true), told("a/z", true)]);
        assert_eq!(changes(&settings, "a/", 2), back);
    }

    #[test]
    fn removals_too_long_ago_are_not_known() {
        let mut settings = Settings::default();
        for number in 0..MAX_REMEMBERED_REMOVALS + 1 {
            let key = format!("a/{number}");
            let put = Change::new().put(key.clone(), Expected::Any, "");
            settings.apply(&put, MAX_SETTINGS).unwrap();
            let delete = Change::new().delete(key, Expected::Any);
            settings.apply(&delete, MAX_SETTINGS).unwrap();
        }
        assert_eq!(changes(&settings, "a/", 1), None);
        let known = changes(&settings, "a/", 2).map(|seen| seen.len());
        assert_eq!(known, Some(MAX_REMEMBERED_REMOVALS));
        let read = Settings::from_parts(7, Entries::default(), ByteSize(0));
        assert_eq!(changes(&read, "a/", 6), None);
        assert_eq!(changes(&read, "a/", 7), Some(vec![]));
    }

    #[test]
    fn the_limits_of_a_change() {
        let put = |key: &str, value: Vec<u8>| Change::new().put(key, Expected::Any, value);
        assert!(Change::new().check().is_err());
        assert!(put("", vec![]).check().is_err());
        assert!(put(&"k".repeat(513), vec![]).check().is_err());
        assert!(put("k", vec![0; 768 * 1024]).check().is_err());
        assert!(
            put("k", vec![])
                .put("k", Expected::Any, "")
                .check()
                .is_err()
        );
        assert!(put("k", vec![0; 760 * 1024]).check().is_ok());
        let many = |edits: usize| {
            (0..edits).fold(Change::new(), |change, key| {
                change.put(format!("a/{key}"), Expected::Any, "")
            })
        };
        assert!(many(MAX_EDITS).check().is_ok());
        assert!(many(MAX_EDITS + 1).check().is_err());
    }
}

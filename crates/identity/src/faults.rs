//! What of the configuration can't be read. It keeps the first faults and counts the others; no
//! text repeats what an entry holds.

use std::collections::BTreeMap;

use types::ConfigurationView;

/// The most faults that are kept.
const MOST: usize = 100;

/// The faults of one revision.
#[derive(Clone, Debug, Default)]
pub(crate) struct Faults {
    kept: BTreeMap<String, (u64, String)>,
    more: usize,
}

impl Faults {
    /// Notes a fault of the entry that this revision set.
    pub(crate) fn add(&mut self, key: &str, revision: u64, text: String) {
        if self.kept.len() < MOST || self.kept.contains_key(key) {
            self.kept.insert(key.to_owned(), (revision, text));
        } else {
            self.more += 1;
        }
    }

    /// Those whose entries are in that view as they were.
    pub(crate) fn still_in(&self, view: &dyn ConfigurationView) -> Faults {
        if !self.are_all() {
            return Faults::default();
        }
        let kept = self.kept.iter().filter(|(key, (revision, _))| {
            view.get(key)
                .is_some_and(|(current, _)| current == *revision)
        });
        Faults {
            kept: kept
                .map(|(key, fault)| (key.clone(), fault.clone()))
                .collect(),
            more: 0,
        }
    }

    /// Are all of them kept?
    pub(crate) fn are_all(&self) -> bool {
        self.more == 0
    }

    /// How many there are.
    pub(crate) fn count(&self) -> usize {
        self.kept.len() + self.more
    }

    /// The entries' keys and what is wrong with them.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        let kept = self.kept.iter();
        kept.map(|(key, (_, text))| (key.as_str(), text.as_str()))
    }
}

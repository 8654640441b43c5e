//! Ordered maps of which every snapshot sees its own moment: each key holds its newest state and
//! those older ones that a living snapshot can still see. Writing costs the same however many
//! keys there are and whoever is reading. It knows neither batches nor durability.

use std::collections::BTreeMap;

use bytes::Bytes;

use crate::{Direction, Entry, KeyRange, Page, Space, is_empty_range};

/// All keyspaces, with the states that living snapshots see.
#[derive(Debug, Default)]
pub(super) struct Keyspaces {
    spaces: [BTreeMap<Bytes, Versions>; Space::ALL.len()],
    /// The number of the newest commit.
    sequence: u64,
    /// How many snapshots of each moment are alive.
    alive: BTreeMap<u64, usize>,
    /// Older states, by the latest living moment that sees them.
    retained: BTreeMap<u64, Vec<Retained>>,
    /// Bytes of the newest states' keys and values.
    bytes: u64,
}

/// The states of one key.
#[derive(Debug)]
struct Versions {
    newest: State,
    /// Oldest first; empty for nearly every key, which costs no allocation.
    older: Vec<State>,
}

/// A key's value (`None`: absent) from a commit on.
#[derive(Debug)]
struct State {
    since: u64,
    value: Option<Bytes>,
}

/// An older state that is kept for a snapshot.
#[derive(Debug)]
struct Retained {
    space: Space,
    key: Bytes,
    since: u64,
}

impl Keyspaces {
    /// Begins a commit: what is set from now on is invisible to the snapshots taken before.
    pub(super) fn advance(&mut self) {
        self.sequence += 1;
    }

    /// Sets a key (`None`: removes it) as part of the newest commit.
    pub(super) fn set(&mut self, space: Space, key: Bytes, value: Option<Bytes>) {
        let sequence = self.sequence;
        let added = value.as_ref().map_or(0, |value| entry_bytes(&key, value));
        let map = &mut self.spaces[space.index()];
        let Some(versions) = map.get_mut(&key) else {
            if value.is_some() {
                self.bytes += added;
                let newest = State {
                    since: sequence,
                    value,
                };
                let older = Vec::new();
                map.insert(key, Versions { newest, older });
            }
            return;
        };
        let removed = versions.newest.value.as_ref();
        self.bytes -= removed.map_or(0, |value| entry_bytes(&key, value));
        self.bytes += added;
        let new = State {
            since: sequence,
            value,
        };
        let old = std::mem::replace(&mut versions.newest, new);
        if let Some(moment) = last_alive(&self.alive, old.since, sequence) {
            let since = old.since;
            versions.older.push(old);
            let key = key.clone();
            let list = self.retained.entry(moment).or_default();
            list.push(Retained { space, key, since });
        }
        if versions.is_gone() {
            map.remove(&key);
        }
    }

    /// A key's newest value.
    pub(super) fn newest(&self, space: Space, key: &[u8]) -> Option<&Bytes> {
        let versions = self.spaces[space.index()].get(key)?;
        versions.newest.value.as_ref()
    }

    /// Every key's newest value, in key order.
    pub(super) fn all_newest(&self, space: Space) -> impl Iterator<Item = (&Bytes, &Bytes)> {
        self.spaces[space.index()]
            .iter()
            .filter_map(|(key, versions)| Some((key, versions.newest.value.as_ref()?)))
    }

    /// Bytes of all keys and values, as of the newest commit.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Takes a snapshot: a moment to read at, until it is released.
    pub(super) fn acquire(&mut self) -> u64 {
        *self.alive.entry(self.sequence).or_default() += 1;
        self.sequence
    }

    /// Gives a snapshot back, and drops the states that only it could see.
    pub(super) fn release(&mut self, moment: u64) {
        let Some(count) = self.alive.get_mut(&moment) else {
            return;
        };
        *count -= 1;
        if *count > 0 {
            return;
        }
        self.alive.remove(&moment);
        for retained in self.retained.remove(&moment).unwrap_or_default() {
            self.reconsider(retained);
        }
    }

    /// A key's value as of a snapshot's moment.
    pub(super) fn get(&self, moment: u64, space: Space, key: &[u8]) -> Option<Bytes> {
        self.spaces[space.index()].get(key)?.at(moment).cloned()
    }

    /// A part of a range as of a snapshot's moment.
    pub(super) fn scan(
        &self,
        moment: u64,
        space: Space,
        range: &KeyRange,
        direction: Direction,
        limit: usize,
    ) -> Page {
        if is_empty_range(range) {
            return Page::default();
        }
        let bounds = (range.start.clone(), range.end.clone());
        let entries = self.spaces[space.index()].range::<Bytes, _>(bounds);
        match direction {
            Direction::Forward => page(entries, moment, limit),
            Direction::Backward => page(entries.rev(), moment, limit),
        }
    }

    /// Keeps an older state for the next living snapshot that sees it, or drops it.
    fn reconsider(&mut self, retained: Retained) {
        let map = &mut self.spaces[retained.space.index()];
        let Some(versions) = map.get_mut(&retained.key) else {
            return;
        };
        let place = versions
            .older
            .iter()
            .position(|state| state.since == retained.since);
        let Some(place) = place else {
            return;
        };
        let successor = versions.older.get(place + 1).unwrap_or(&versions.newest);
        if let Some(moment) = last_alive(&self.alive, retained.since, successor.since) {
            self.retained.entry(moment).or_default().push(retained);
            return;
        }
        versions.older.remove(place);
        if versions.is_gone() {
            map.remove(&retained.key);
        }
    }
}

impl Versions {
    fn at(&self, moment: u64) -> Option<&Bytes> {
        if self.newest.since <= moment {
            return self.newest.value.as_ref();
        }
        let mut older = self.older.iter().rev();
        older
            .find(|state| state.since <= moment)
            .and_then(|state| state.value.as_ref())
    }

    /// Absent in the newest commit and for every living snapshot?
    fn is_gone(&self) -> bool {
        self.newest.value.is_none() && self.older.is_empty()
    }
}

/// The latest living moment within `since..until`.
fn last_alive(alive: &BTreeMap<u64, usize>, since: u64, until: u64) -> Option<u64> {
    if since >= until {
        return None; // Set twice by one commit: nobody saw the first.
    }
    let (moment, _) = alive.range(since..until).next_back()?;
    Some(*moment)
}

fn page<'a>(
    entries: impl Iterator<Item = (&'a Bytes, &'a Versions)>,
    moment: u64,
    limit: usize,
) -> Page {
    let mut page = Page::default();
    let visible = entries.filter_map(|(key, versions)| Some((key, versions.at(moment)?)));
    for (key, value) in visible {
        if page.entries.len() == limit {
            page.more = true;
            break;
        }
        page.entries.push(Entry {
            key: key.clone(),
            value: value.clone(),
        });
    }
    page
}

fn entry_bytes(key: &Bytes, value: &Bytes) -> u64 {
    (key.len() + value.len()) as u64
}

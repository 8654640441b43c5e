//! The council's records in `Space::Council`, and how they are read back. Keys: `b` boots, `f`
//! format, members and base of the log, `h` hard state, `a` applied index and generation; `l` +
//! index: an entry; `s` or `t` + key: a setting; `p` + site: outcomes of a site's proposals.
//!
//! Settings have two generations, `s` and `t`, and `a` says which holds. A state that a leader
//! sends is written into the other one, part by part, and holds from one small write on; the old
//! one is swept out later. Whatever a crash leaves in the one that doesn't hold is swept too.

use std::sync::Arc;

use bytes::Bytes;
use raft::eraftpb::{Entry, HardState};
use store::{Batch, Direction, KeyRange, ReadError, Snapshot, Space};
use types::{ByteSize, SiteId};

use crate::codec::{Malformed, Reader, Writer};
use crate::entries::Entries;
use crate::limits::SWEPT_AT_ONCE;
use crate::log::Log;
use crate::settings::weight;
use crate::state::{
    Proposal, State, decode_outcomes, decode_setting, encode_outcomes, encode_setting,
};
use crate::{Members, Setting, Settings};

/// The format of the records. The first had one generation of settings, and 4 MiB for them.
const FORMAT: u8 = 2;

/// Entries read at a time.
const PAGE: usize = 128;

/// Settings are written in batches that hold about so much.
const WRITTEN_AT_ONCE: ByteSize = ByteSize::mib(1);

/// Everything a site's council has on disk.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Saved {
    pub(crate) boots: u32,
    /// None if the site has no memory: it has never had its seat, or has yet to take it again.
    pub(crate) members: Option<Members>,
    pub(crate) hard: HardState,
    pub(crate) base: (u64, u64),
    pub(crate) entries: Vec<Entry>,
    pub(crate) state: State,
    pub(crate) generation: Generation,
    /// Keys in the generation that doesn't hold: to be swept.
    pub(crate) stale: Entries,
}

/// Which of the two sets of records holds the settings.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) enum Generation {
    /// Under `s`.
    #[default]
    S,
    /// Under `t`.
    T,
}

impl Generation {
    pub(crate) fn other(self) -> Generation {
        match self {
            Generation::S => Generation::T,
            Generation::T => Generation::S,
        }
    }

    fn key(self, key: &str) -> Bytes {
        let kind = match self {
            Generation::S => b"s",
            Generation::T => b"t",
        };
        [kind, key.as_bytes()].concat().into()
    }
}

/// Records of a generation that doesn't hold, being removed a few at a time.
pub(crate) struct Sweep {
    generation: Generation,
    entries: Entries,
    next: Arc<str>,
}

impl Sweep {
    /// Of these keys; nothing if there are none.
    pub(crate) fn of(generation: Generation, entries: Entries) -> Option<Sweep> {
        let next = entries.from("").next()?.0.clone();
        Some(Sweep {
            generation,
            entries,
            next,
        })
    }

    /// Removes some more. True: that was all.
    pub(crate) fn step(&mut self, batch: &mut Batch) -> bool {
        let mut left = self.entries.from(&self.next);
        for (key, _) in left.by_ref().take(SWEPT_AT_ONCE) {
            batch.delete(Space::Council, self.generation.key(key));
        }
        match left.next() {
            Some((key, _)) => {
                let next = key.clone();
                drop(left);
                self.next = next;
                false
            }
            None => true,
        }
    }
}

impl Saved {
    /// What a site has that never sat in a council, or lost its disk.
    pub fn empty() -> Saved {
        Saved::default()
    }

    /// The members on record; none if the site has no memory.
    pub fn members(&self) -> Option<&Members> {
        self.members.as_ref()
    }

    /// The settings as they were last applied.
    pub fn settings(&self) -> &Settings {
        &self.state.settings
    }

    /// The writes that make this the council's records in an engine that holds none, or (given
    /// what it holds) in their place: to be committed one after the other. What was there holds
    /// until one small batch among them is on disk, and this holds from then on.
    pub fn replacing(&self, old: &Saved) -> Vec<Batch> {
        let generation = old.generation.other();
        let mut batches = sweep_all(generation, &old.stale);
        let mut written = usize::MAX;
        for (key, setting) in self.state.settings.iter() {
            if written > WRITTEN_AT_ONCE.as_usize() {
                batches.push(Batch::new());
                written = 0;
            }
            written += key.len() + setting.value.len();
            if let Some(batch) = batches.last_mut() {
                put_new_setting(batch, generation, key, setting);
            }
        }
        batches.push(self.switching(old, generation));
        batches.extend(sweep_all(old.generation, old.state.settings.entries()));
        batches
    }

    fn switching(&self, old: &Saved, generation: Generation) -> Batch {
        let mut batch = Batch::new();
        for entry in &old.entries {
            batch.delete(Space::Council, entry_key(entry.index));
        }
        put_boots(&mut batch, self.boots);
        put_base(&mut batch, self.members.as_ref(), self.base);
        put_hard(&mut batch, &self.hard);
        for entry in &self.entries {
            put_entry(&mut batch, entry);
        }
        put_state(&mut batch, &old.state, &self.state, generation);
        batch
    }

    /// Term and index of the last entry.
    pub(crate) fn last(&self) -> (u64, u64) {
        let last = self.entries.last().map(|entry| (entry.term, entry.index));
        last.unwrap_or((self.base.1, self.base.0))
    }

    pub(crate) fn into_log(self, members: Members) -> Log {
        Log {
            hard: self.hard,
            members,
            base: self.base,
            entries: self.entries.into(),
            state: self.state,
            generation: self.generation,
        }
    }

    fn check(&self) -> Result<(), &'static str> {
        let mut index = self.base.0;
        for entry in &self.entries {
            index += 1;
            if entry.index != index {
                return Err("a gap in the log");
            }
        }
        if self.state.index < self.base.0 || self.state.index > self.hard.commit {
            return Err("the applied index is outside the log");
        }
        if self.hard.commit > index {
            return Err("the log ends before the commit index");
        }
        Ok(())
    }
}

/// Reads a site's records.
///
/// # Errors
/// The engine's, and `Corrupt` if the records contradict each other or a newer Causeway wrote
/// them.
pub async fn load<S: Snapshot>(snapshot: &S) -> Result<Saved, ReadError> {
    let mut reading = Reading::default();
    let mut range = KeyRange::all();
    loop {
        let page = snapshot
            .scan(Space::Council, range.clone(), Direction::Forward, PAGE)
            .await?;
        for entry in &page.entries {
            reading.take(&entry.key, &entry.value)?;
        }
        match page.entries.last() {
            Some(last) if page.more => range.start = std::ops::Bound::Excluded(last.key.clone()),
            _ => break,
        }
    }
    let mut saved = reading.saved;
    let settings = Settings::from_parts(reading.revision, reading.entries, ByteSize(reading.size));
    saved.state.settings = Arc::new(settings);
    saved.check().map_err(corrupt)?;
    Ok(saved)
}

/// The records while they are read, in the order of their keys: so the generation is known before
/// the first setting.
#[derive(Default)]
struct Reading {
    saved: Saved,
    revision: u64,
    entries: Entries,
    size: u64,
}

impl Reading {
    fn take(&mut self, key: &[u8], value: &Bytes) -> Result<(), ReadError> {
        let (kind, name) = key.split_first().ok_or_else(|| corrupt("an empty key"))?;
        let generation = match kind {
            b's' => Generation::S,
            b't' => Generation::T,
            _ => return read_record(&mut self.saved, &mut self.revision, *kind, name, value),
        };
        let key = std::str::from_utf8(name).map_err(|_| malformed("key"))?;
        if generation == self.saved.generation {
            let setting = decode_setting(value).map_err(|_| malformed("setting"))?;
            self.size += weight(key, &setting.value);
            self.entries.push(Arc::from(key), setting);
        } else {
            let gone = Setting {
                revision: 0,
                value: Bytes::new(),
            };
            self.saved.stale.push(Arc::from(key), gone);
        }
        Ok(())
    }
}

fn read_record(
    saved: &mut Saved,
    revision: &mut u64,
    kind: u8,
    name: &[u8],
    value: &Bytes,
) -> Result<(), ReadError> {
    let mut reader = Reader::new(value);
    let result = match kind {
        b'b' => reader.u32().map(|boots| saved.boots = boots),
        b'f' => {
            if value.first().is_some_and(|format| *format > FORMAT) {
                return Err(corrupt("a newer Causeway wrote them"));
            }
            read_base(&mut reader).map(|(members, base)| {
                saved.members = members;
                saved.base = base;
            })
        }
        b'h' => read_hard(&mut reader).map(|hard| saved.hard = hard),
        b'a' => (|| {
            saved.state.index = reader.u64()?;
            saved.state.term = reader.u64()?;
            *revision = reader.u64()?;
            // The first format knew one generation.
            saved.generation = match reader.rest() {
                [] | [0] => Generation::S,
                [1] => Generation::T,
                _ => return Err(Malformed),
            };
            Ok(())
        })(),
        b'l' => read_entry(name, value).map(|entry| saved.entries.push(entry)),
        b'p' => (|| {
            let site = SiteId(u16::from_be_bytes(name.try_into().map_err(|_| Malformed)?));
            saved.state.outcomes.insert(site, decode_outcomes(value)?);
            Ok(())
        })(),
        _ => Err(Malformed),
    };
    result.map_err(|_| malformed(&format!("record '{}'", kind.escape_ascii())))
}

fn read_base(reader: &mut Reader<'_>) -> Result<(Option<Members>, (u64, u64)), Malformed> {
    let _format = reader.u8()?;
    let base = (reader.u64()?, reader.u64()?);
    let mut sites = || -> Result<Vec<SiteId>, Malformed> {
        let count = reader.count()?;
        (0..count).map(|_| Ok(SiteId(reader.u16()?))).collect()
    };
    let members = Members {
        voters: sites()?,
        listeners: sites()?,
    };
    Ok((
        Some(members).filter(|members| !members.voters.is_empty()),
        base,
    ))
}

fn read_hard(reader: &mut Reader<'_>) -> Result<HardState, Malformed> {
    Ok(HardState {
        term: reader.u64()?,
        vote: reader.u64()?,
        commit: reader.u64()?,
        ..HardState::default()
    })
}

fn read_entry(name: &[u8], value: &Bytes) -> Result<Entry, Malformed> {
    let mut reader = Reader::new(value);
    let entry = Entry {
        index: u64::from_be_bytes(name.try_into().map_err(|_| Malformed)?),
        term: reader.u64()?,
        data: Bytes::copy_from_slice(reader.rest()),
        ..Entry::default()
    };
    if !entry.data.is_empty() {
        Proposal::decode(&entry.data)?;
    }
    Ok(entry)
}

fn corrupt(what: &str) -> ReadError {
    ReadError::Corrupt(format!("the council's records: {what}"))
}

fn malformed(what: &str) -> ReadError {
    corrupt(&format!("malformed {what}"))
}

fn entry_key(index: u64) -> Bytes {
    [&b"l"[..], &index.to_be_bytes()].concat().into()
}

fn outcomes_key(site: SiteId) -> Bytes {
    [&b"p"[..], &site.0.to_be_bytes()].concat().into()
}

/// The greatest number of starts of any site that the log knows of. A proposal's number begins
/// with it, and no number may come twice, also if the site that made it forgot it.
pub(crate) fn greatest_boots<'a>(state: &State, log: impl Iterator<Item = &'a Entry>) -> u32 {
    let outcomes = state.outcomes.values();
    let decided = outcomes.filter_map(|of_site| of_site.keys().next_back().copied());
    let undecided = log.filter_map(|entry| Some(Proposal::decode(&entry.data).ok()?.id.number));
    let last = decided.chain(undecided).max().unwrap_or(0);
    u32::try_from(last >> 32).unwrap_or(u32::MAX)
}

pub(crate) fn put_boots(batch: &mut Batch, boots: u32) {
    batch.put(Space::Council, &b"b"[..], Writer::new().u32(boots).finish());
}

pub(crate) fn put_base(batch: &mut Batch, members: Option<&Members>, base: (u64, u64)) {
    let mut writer = Writer::new();
    writer.u8(FORMAT).u64(base.0).u64(base.1);
    let nobody = Members::default();
    let members = members.unwrap_or(&nobody);
    for sites in [&members.voters, &members.listeners] {
        writer.length(sites.len());
        for site in sites {
            writer.u16(site.0);
        }
    }
    batch.put(Space::Council, &b"f"[..], writer.finish());
}

pub(crate) fn put_hard(batch: &mut Batch, hard: &HardState) {
    let mut writer = Writer::new();
    writer.u64(hard.term).u64(hard.vote).u64(hard.commit);
    batch.put(Space::Council, &b"h"[..], writer.finish());
}

pub(crate) fn put_entry(batch: &mut Batch, entry: &Entry) {
    let value = [&entry.term.to_be_bytes()[..], &entry.data].concat();
    batch.put(Space::Council, entry_key(entry.index), value);
}

pub(crate) fn delete_entries(batch: &mut Batch, indexes: std::ops::Range<u64>) {
    for index in indexes {
        batch.delete(Space::Council, entry_key(index));
    }
}

/// The applied index, the settings' revision and the generation that holds them.
pub(crate) fn put_applied(batch: &mut Batch, state: &State, generation: Generation) {
    let mut writer = Writer::new();
    writer
        .u64(state.index)
        .u64(state.term)
        .u64(state.settings.revision())
        .u8(generation as u8);
    batch.put(Space::Council, &b"a"[..], writer.finish());
}

/// That setting as it now is.
pub(crate) fn put_setting(batch: &mut Batch, state: &State, generation: Generation, key: &str) {
    match state.settings.get(key) {
        Some(setting) => put_new_setting(batch, generation, key, setting),
        None => batch.delete(Space::Council, generation.key(key)),
    }
}

/// That setting, into that generation.
pub(crate) fn put_new_setting(
    batch: &mut Batch,
    generation: Generation,
    key: &str,
    setting: &Setting,
) {
    batch.put(Space::Council, generation.key(key), encode_setting(setting));
}

/// The outcomes of that site's proposals as they now are.
pub(crate) fn put_outcomes(batch: &mut Batch, state: &State, site: SiteId) {
    if let Some(outcomes) = state.outcomes.get(&site) {
        batch.put(
            Space::Council,
            outcomes_key(site),
            encode_outcomes(outcomes),
        );
    }
}

/// A state in the place of another; its settings are in that generation already.
pub(crate) fn put_state(batch: &mut Batch, old: &State, state: &State, generation: Generation) {
    for site in old.outcomes.keys() {
        batch.delete(Space::Council, outcomes_key(*site));
    }
    for site in state.outcomes.keys() {
        put_outcomes(batch, state, *site);
    }
    put_applied(batch, state, generation);
}

/// Every batch that it takes to remove these.
fn sweep_all(generation: Generation, entries: &Entries) -> Vec<Batch> {
    let mut batches = Vec::new();
    let mut sweep = Sweep::of(generation, entries.clone());
    while let Some(left) = &mut sweep {
        let mut batch = Batch::new();
        let done = left.step(&mut batch);
        batches.push(batch);
        if done {
            sweep = None;
        }
    }
    batches
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn golden_bytes_of_the_applied_record() {
        let state = State {
            index: 4,
            term: 2,
            settings: Arc::new(Settings::from_parts(3, Entries::default(), ByteSize(0))),
            outcomes: BTreeMap::new(),
        };
        let mut batch = Batch::new();
        put_applied(&mut batch, &state, Generation::T);
        let expected = [
            0, 0, 0, 0, 0, 0, 0, 4, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 3, 1,
        ];
        let put = store::Write::Put {
            space: Space::Council,
            key: Bytes::from_static(b"a"),
            value: Bytes::copy_from_slice(&expected),
        };
        assert_eq!(batch.writes, [put]);
        for (length, generation) in [(25, Generation::T), (24, Generation::S)] {
            let mut reading = Reading::default();
            let value = Bytes::copy_from_slice(&expected[..length]);
            reading.take(b"a", &value).unwrap();
            assert_eq!(reading.saved.generation, generation);
            assert_eq!((reading.saved.state.index, reading.revision), (4, 3));
        }
        let wrong = Bytes::from([&expected[..24], &[2]].concat());
        assert!(Reading::default().take(b"a", &wrong).is_err());
    }

    #[test]
    fn records_of_the_first_format_are_read_and_those_of_a_later_one_refused() {
        let base = |format: u8| {
            let mut writer = Writer::new();
            writer.u8(format).u64(0).u64(0);
            writer.length(1).u16(7).length(0).finish()
        };
        for format in [1, 2] {
            let mut reading = Reading::default();
            assert!(reading.take(b"f", &base(format)).is_ok());
            assert!(reading.saved.members.is_some());
        }
        let refused = Reading::default().take(b"f", &base(3)).unwrap_err();
        assert!(
            refused.to_string().contains("a newer Causeway"),
            "{refused}"
        );
    }
}

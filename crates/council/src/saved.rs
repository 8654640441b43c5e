//! The council's records in `Space::Council`, and how they are read back. Keys: `b` boots, `f`
//! format, members and base of the log, `h` hard state, `a` applied index; `l` + index: an entry;
//! `s` + key: a setting; `p` + site: outcomes of a site's proposals.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use raft::eraftpb::{Entry, HardState};
use store::{Batch, Direction, KeyRange, ReadError, Snapshot, Space};
use types::SiteId;

use crate::codec::{Malformed, Reader, Writer};
use crate::log::Log;
use crate::state::{
    Proposal, State, decode_outcomes, decode_setting, encode_outcomes, encode_setting,
};
use crate::{Members, Settings};

/// The format of the records.
const FORMAT: u8 = 1;

/// Entries read at a time.
const PAGE: usize = 512;

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
    /// what it holds) in their place.
    pub fn replacing(&self, old: &Saved) -> Batch {
        let mut batch = Batch::new();
        delete_state(&mut batch, &old.state);
        for entry in &old.entries {
            batch.delete(Space::Council, entry_key(entry.index));
        }
        put_boots(&mut batch, self.boots);
        put_base(&mut batch, self.members.as_ref(), self.base);
        put_hard(&mut batch, &self.hard);
        for entry in &self.entries {
            put_entry(&mut batch, entry);
        }
        put_state(&mut batch, &self.state);
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
    let mut saved = Saved::empty();
    let mut settings = BTreeMap::new();
    let mut revision = 0;
    let mut range = KeyRange::all();
    loop {
        let page = snapshot
            .scan(Space::Council, range.clone(), Direction::Forward, PAGE)
            .await?;
        for entry in &page.entries {
            let (kind, name) = entry
                .key
                .split_first()
                .ok_or_else(|| corrupt("an empty key"))?;
            let value = &entry.value;
            match kind {
                b's' => {
                    let key = String::from_utf8(name.to_vec()).map_err(|_| malformed("key"))?;
                    let setting = decode_setting(value).map_err(|_| malformed("setting"))?;
                    settings.insert(key, setting);
                }
                _ => read_record(&mut saved, &mut revision, *kind, name, value)?,
            }
        }
        match page.entries.last() {
            Some(last) if page.more => range.start = std::ops::Bound::Excluded(last.key.clone()),
            _ => break,
        }
    }
    saved.state.settings = Arc::new(Settings::from_parts(revision, settings));
    saved.check().map_err(corrupt)?;
    Ok(saved)
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

fn setting_key(key: &str) -> Bytes {
    [b"s", key.as_bytes()].concat().into()
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

/// The applied index and the settings' revision.
pub(crate) fn put_applied(batch: &mut Batch, state: &State) {
    let mut writer = Writer::new();
    writer
        .u64(state.index)
        .u64(state.term)
        .u64(state.settings.revision());
    batch.put(Space::Council, &b"a"[..], writer.finish());
}

/// That setting as it now is.
pub(crate) fn put_setting(batch: &mut Batch, state: &State, key: &str) {
    match state.settings.get(key) {
        Some(setting) => batch.put(Space::Council, setting_key(key), encode_setting(setting)),
        None => batch.delete(Space::Council, setting_key(key)),
    }
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

/// All of the state.
pub(crate) fn put_state(batch: &mut Batch, state: &State) {
    for (key, _) in state.settings.iter() {
        put_setting(batch, state, key);
    }
    for site in state.outcomes.keys() {
        put_outcomes(batch, state, *site);
    }
    put_applied(batch, state);
}

/// Removes all of the state but its applied index.
pub(crate) fn delete_state(batch: &mut Batch, state: &State) {
    for (key, _) in state.settings.iter() {
        batch.delete(Space::Council, setting_key(key));
    }
    for site in state.outcomes.keys() {
        batch.delete(Space::Council, outcomes_key(*site));
    }
}

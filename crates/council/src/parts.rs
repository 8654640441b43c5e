//! A state in parts, as a leader sends it to a site that is too far behind for entries: cut by
//! the sender, put together by the receiver, checked part by part and as a whole. A part is no
//! larger than `PART` and one setting; neither side ever holds the whole as bytes. It knows
//! nothing of sending: parts come here in order.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use types::{ByteSize, SiteId};

use crate::codec::{Malformed, Reader, Writer};
use crate::entries::Entries;
use crate::limits::{MAX_KEY, MAX_OUTCOMES, MAX_SETTINGS, PART};
use crate::settings::weight;
use crate::state::{Outcomes, State, decode_outcomes, encode_outcomes};
use crate::{Members, Setting, Settings};

const MEMBERS: u8 = 1;
const SETTING: u8 = 2;
const OUTCOMES: u8 = 3;
const END: u8 = 4;

/// Cuts a state. Any part can be cut again, with the same bytes.
pub(crate) struct Cutter {
    state: State,
    members: Members,
    /// Where each part begins whose predecessors were cut.
    starts: Vec<Start>,
    /// How many parts there are, once the last one was cut.
    count: Option<usize>,
}

#[derive(Clone)]
struct Start {
    next: Next,
    /// The checksum (CRC-32C) of all parts before.
    checksum: u32,
}

#[derive(Clone)]
enum Next {
    Members,
    /// Settings from this key on.
    Setting(Arc<str>),
    /// Outcomes of this site and of those after it.
    Outcomes(SiteId),
    End,
}

impl Cutter {
    pub(crate) fn new(state: State, members: Members) -> Cutter {
        let start = Start {
            next: Next::Members,
            checksum: 0,
        };
        Cutter {
            state,
            members,
            starts: vec![start],
            count: None,
        }
    }

    /// How many parts have been cut.
    pub(crate) fn known(&self) -> usize {
        self.count.unwrap_or(self.starts.len() - 1)
    }

    /// The part of that number; none after the last, or if the one before it was never cut.
    pub(crate) fn part(&mut self, number: usize) -> Option<Bytes> {
        if self.count.is_some_and(|count| number >= count) {
            return None;
        }
        let start = self.starts.get(number)?.clone();
        let mut writer = Writer::new();
        let mut next = start.next;
        while writer.written().len() < PART.as_usize() {
            next = match next {
                Next::Members => self.put_members(&mut writer),
                Next::Setting(key) => self.put_settings(&mut writer, &key),
                Next::Outcomes(site) => self.put_outcomes(&mut writer, site),
                Next::End => {
                    let checksum = crc32c::crc32c_append(start.checksum, writer.written());
                    let settings = &self.state.settings;
                    writer.u8(END).u64(settings.revision());
                    writer.length(settings.count()).u32(checksum);
                    self.count = Some(number + 1);
                    return Some(writer.finish());
                }
            };
        }
        let body = writer.finish();
        if self.starts.len() == number + 1 {
            let checksum = crc32c::crc32c_append(start.checksum, &body);
            self.starts.push(Start { next, checksum });
        }
        Some(body)
    }

    fn put_members(&self, writer: &mut Writer) -> Next {
        writer.u8(MEMBERS);
        for sites in [&self.members.voters, &self.members.listeners] {
            writer.length(sites.len());
            for site in sites {
                writer.u16(site.0);
            }
        }
        Next::Setting(Arc::from(""))
    }

    fn put_settings(&self, writer: &mut Writer, from: &str) -> Next {
        for (key, setting) in self.state.settings.entries().from(from) {
            if writer.written().len() >= PART.as_usize() {
                return Next::Setting(key.clone());
            }
            writer.u8(SETTING).bytes(key.as_bytes());
            writer.u64(setting.revision).bytes(&setting.value);
        }
        Next::Outcomes(SiteId(0))
    }

    fn put_outcomes(&self, writer: &mut Writer, from: SiteId) -> Next {
        for (site, outcomes) in self.state.outcomes.range(from..) {
            if writer.written().len() >= PART.as_usize() {
                return Next::Outcomes(*site);
            }
            writer.u8(OUTCOMES).u16(site.0);
            writer.bytes(&encode_outcomes(outcomes));
        }
        Next::End
    }
}

/// Puts a state together. After an error it is of no more use.
pub(crate) struct Assembler {
    index: u64,
    term: u64,
    members: Members,
    headed: bool,
    entries: Entries,
    size: u64,
    /// No setting so far was set by a later revision.
    newest: u64,
    outcomes: BTreeMap<SiteId, Outcomes>,
    checksum: u32,
}

impl Assembler {
    /// For the state of that log index and term, in a council of these members.
    pub(crate) fn new(index: u64, term: u64, members: Members) -> Assembler {
        Assembler {
            index,
            term,
            members,
            headed: false,
            entries: Entries::default(),
            size: 0,
            newest: 0,
            outcomes: BTreeMap::new(),
            checksum: 0,
        }
    }

    /// The settings that came so far.
    pub(crate) fn entries(&self) -> &Entries {
        &self.entries
    }

    /// Takes the next part; gives the state if it was the last. `set` is told each setting.
    ///
    /// # Errors
    /// What is wrong with the part, or with the whole.
    pub(crate) fn add(
        &mut self,
        part: &[u8],
        mut set: impl FnMut(&str, &Setting),
    ) -> Result<Option<State>, &'static str> {
        let mut reader = Reader::new(part);
        if reader.left() == 0 {
            return Err("its part is empty");
        }
        while reader.left() > 0 {
            let before = part.len() - reader.left();
            let kind = reader.u8().map_err(|Malformed| MALFORMED)?;
            if !self.headed && kind != MEMBERS {
                return Err("its state does not begin with the members");
            }
            match kind {
                MEMBERS => self.members(&mut reader)?,
                SETTING => self.setting(&mut reader, &mut set)?,
                OUTCOMES => self.outcomes(&mut reader)?,
                END => {
                    let checksum = crc32c::crc32c_append(self.checksum, &part[..before]);
                    return self.end(&mut reader, checksum).map(Some);
                }
                _ => return Err(MALFORMED),
            }
        }
        self.checksum = crc32c::crc32c_append(self.checksum, part);
        Ok(None)
    }

    fn members(&mut self, reader: &mut Reader<'_>) -> Result<(), &'static str> {
        let mut sites = || -> Result<Vec<SiteId>, Malformed> {
            let count = reader.count()?;
            (0..count).map(|_| Ok(SiteId(reader.u16()?))).collect()
        };
        let mut members = || {
            let (voters, listeners) = (sites()?, sites()?);
            Ok(Members { voters, listeners })
        };
        let members = members().map_err(|Malformed| MALFORMED)?;
        if self.headed || members != self.members {
            return Err("its state has other members");
        }
        self.headed = true;
        Ok(())
    }

    fn setting(
        &mut self,
        reader: &mut Reader<'_>,
        set: &mut impl FnMut(&str, &Setting),
    ) -> Result<(), &'static str> {
        let mut read = || Ok((reader.text()?, reader.u64()?, reader.bytes()?));
        let (key, revision, value) = read().map_err(|Malformed| MALFORMED)?;
        if key.is_empty() || key.len() > MAX_KEY || !self.outcomes.is_empty() {
            return Err(MALFORMED);
        }
        let value = Bytes::copy_from_slice(value);
        self.size += weight(key, &value);
        if self.size > MAX_SETTINGS.0 {
            return Err("its state is larger than settings may be");
        }
        self.newest = self.newest.max(revision);
        let setting = Setting { revision, value };
        if !self.entries.ends_before(key) {
            return Err("its settings are out of order");
        }
        set(key, &setting);
        self.entries.push(Arc::from(key), setting);
        Ok(())
    }

    fn outcomes(&mut self, reader: &mut Reader<'_>) -> Result<(), &'static str> {
        let mut read = || Ok((SiteId(reader.u16()?), decode_outcomes(reader.bytes()?)?));
        let (site, outcomes) = read().map_err(|Malformed| MALFORMED)?;
        if !self.members.contains(site) || outcomes.len() > MAX_OUTCOMES {
            return Err("its outcomes are of nobody");
        }
        match self.outcomes.insert(site, outcomes) {
            None => Ok(()),
            Some(_) => Err(MALFORMED),
        }
    }

    fn end(&mut self, reader: &mut Reader<'_>, checksum: u32) -> Result<State, &'static str> {
        let mut read = || {
            let end = (reader.u64()?, reader.u32()?, reader.u32()?);
            reader.end()?;
            Ok(end)
        };
        let (revision, count, expected) = read().map_err(|Malformed| MALFORMED)?;
        if count as usize != self.entries.count() || checksum != expected {
            return Err("its state is not what was sent");
        }
        if self.newest > revision {
            return Err("its settings are newer than their revision");
        }
        let entries = std::mem::take(&mut self.entries);
        let settings = Settings::from_parts(revision, entries, ByteSize(self.size));
        Ok(State {
            index: self.index,
            term: self.term,
            settings: Arc::new(settings),
            outcomes: std::mem::take(&mut self.outcomes),
        })
    }
}

const MALFORMED: &str = "its part of a state is malformed";

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::state::Proposal;
    use crate::{Change, Expected, ProposalId};

    fn members() -> Members {
        Members {
            voters: vec![SiteId(1), SiteId(2)],
            listeners: vec![SiteId(7)],
        }
    }

    /// A state of so many settings with values of that length.
    fn state(settings: u64, length: usize) -> State {
        let mut state = State::default();
        for number in 1..=settings {
            let key = format!("a/{number:03}");
            let change = Change::new().put(key, Expected::Any, vec![number as u8; length]);
            let site = SiteId([1, 7][number as usize % 2]);
            let id = ProposalId { site, number };
            state.apply(number, 1, &Proposal::new(id, change));
        }
        state
    }

    fn parts(state: &State) -> Vec<Bytes> {
        let mut cutter = Cutter::new(state.clone(), members());
        let parts: Vec<Bytes> = (0..).map_while(|number| cutter.part(number)).collect();
        assert_eq!(cutter.known(), parts.len());
        for (number, part) in parts.iter().enumerate() {
            assert_eq!(cutter.part(number).as_ref(), Some(part), "cut again");
        }
        parts
    }

    fn assemble(parts: &[impl AsRef<[u8]>], index: u64) -> Result<Option<State>, &'static str> {
        let mut assembler = Assembler::new(index, 1, members());
        for (number, part) in parts.iter().enumerate() {
            if let Some(state) = assembler.add(part.as_ref(), |_, _| {})? {
                return Ok(Some(state).filter(|_| number + 1 == parts.len()));
            }
        }
        Ok(None)
    }

    #[test]
    fn golden_bytes_of_parts() {
        let parts = parts(&state(1, 1));
        let expected = [
            &[MEMBERS, 0, 0, 0, 2, 0, 1, 0, 2, 0, 0, 0, 1, 0, 7][..],
            &[SETTING, 0, 0, 0, 5],
            b"a/001",
            &[0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 1, 1],
            &[OUTCOMES, 0, 7, 0, 0, 0, 21, 0, 0, 0, 1],
            &[0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 1],
            &[END, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 1, 157, 45, 86, 227],
        ]
        .concat();
        assert_eq!(parts, [expected]);
    }

    #[test]
    fn a_state_comes_out_as_it_went_in() {
        for (settings, length) in [(0, 0), (1, 1), (40, 5_000), (3, 700_000), (300, 700)] {
            let state = state(settings, length);
            let parts = parts(&state);
            let largest = parts.iter().map(Bytes::len).max().unwrap();
            assert!(largest < PART.as_usize() + length + 8_000);
            let count = settings as usize * length / PART.as_usize();
            assert!(parts.len() >= count.min(settings as usize));
            let whole = assemble(&parts, state.index).unwrap().unwrap();
            assert_eq!(
                whole,
                State {
                    term: 1,
                    ..state.clone()
                }
            );
            assert_eq!(whole.settings.size(), state.settings.size());
        }
    }

    #[test]
    fn what_is_missing_doubled_or_of_another_state_is_refused() {
        let state = state(40, 5_000);
        let whole = parts(&state);
        assert!(whole.len() >= 3);
        for number in 0..whole.len() {
            let mut without = whole.clone();
            without.remove(number);
            assert!(!matches!(assemble(&without, 40), Ok(Some(_))));
            let mut doubled = whole.clone();
            doubled.insert(number, whole[number].clone());
            assert!(!matches!(assemble(&doubled, 40), Ok(Some(_))));
        }
        let mut others = parts(&self::state(40, 5_001));
        others[1] = whole[1].clone();
        assert!(assemble(&others, 40).is_err());
        let mut strangers = Assembler::new(40, 1, Members::default());
        assert!(strangers.add(&whole[0], |_, _| {}).is_err());
    }

    #[test]
    fn more_than_settings_may_be_is_refused_when_it_comes() {
        let mut assembler = Assembler::new(9, 1, members());
        let head = parts(&State::default()).remove(0);
        let head = &head[..head.len() - 17];
        assert_eq!(assembler.add(head, |_, _| {}), Ok(None));
        let value = vec![0; 1 << 20];
        let mut taken = 0;
        let refusal = loop {
            let mut writer = Writer::new();
            writer.u8(SETTING).bytes(format!("k/{taken:03}").as_bytes());
            writer.u64(1).bytes(&value);
            match assembler.add(&writer.finish(), |_, _| {}) {
                Ok(_) => taken += 1,
                Err(refusal) => break refusal,
            }
        };
        assert_eq!(refusal, "its state is larger than settings may be");
        assert_eq!(taken, 127);
    }

    proptest! {
        #![proptest_config(ProptestConfig {
            cases: 256,
            failure_persistence: None,
            ..ProptestConfig::default()
        })]

        #[test]
        fn altered_parts_never_pass(number in 0_usize..3, at: usize, bit in 0..8) {
            let state = state(40, 5_000);
            let mut parts: Vec<Vec<u8>> = parts(&state).iter().map(|part| part.to_vec()).collect();
            let part = &mut parts[number];
            let at = at % part.len();
            part[at] ^= 1_u8 << bit;
            prop_assert!(!matches!(assemble(&parts, 40), Ok(Some(_))));
        }

        #[test]
        fn any_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = assemble(&[bytes], 1);
        }
    }
}

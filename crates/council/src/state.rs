//! The replicated state machine: the settings, and the outcomes by which a repeated proposal is
//! known. Entries go in, in the log's order; the same state comes out everywhere.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use types::{ByteSize, SiteId};

use crate::codec::{Malformed, Reader, Writer};
use crate::limits::{FIRST_MAX_SETTINGS, MAX_OUTCOMES, MAX_SETTINGS};
use crate::{Change, Refusal, Setting, Settings};

/// Names a proposal for good. Numbers of a site ascend, across restarts too.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct ProposalId {
    /// Who proposed it.
    pub site: SiteId,
    /// Its number there.
    pub number: u64,
}

/// What became of a proposal. The same at every site.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Outcome {
    /// The change was made, as this revision of the settings.
    Made {
        /// The revision.
        revision: u64,
    },
    /// It was not.
    Refused(Refusal),
}

/// An entry of the log took effect.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Applied {
    /// Its place in the log.
    pub index: u64,
    /// Whose proposal it was.
    pub proposal: ProposalId,
    /// What became of it.
    pub outcome: Outcome,
    /// The keys it set or removed.
    pub keys: Vec<String>,
}

/// The format of a proposal. With it goes what settings may hold when it is applied: so an entry
/// comes to the same at every site, whichever Causeway wrote it.
const FORMAT: u8 = 2;

/// A change and its name, as they stand in the log and travel to the leader.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Proposal {
    format: u8,
    pub(crate) id: ProposalId,
    pub(crate) change: Change,
}

/// Outcomes of a site's latest proposals, by number.
pub(crate) type Outcomes = BTreeMap<u64, Outcome>;

/// What the applied part of the log has made: what a site too far behind is sent.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct State {
    /// The index of the last entry applied, and its term.
    pub(crate) index: u64,
    pub(crate) term: u64,
    pub(crate) settings: Arc<Settings>,
    /// Per site, the outcomes of its latest proposals by number.
    pub(crate) outcomes: BTreeMap<SiteId, Outcomes>,
}

impl Proposal {
    pub(crate) fn new(id: ProposalId, change: Change) -> Proposal {
        let format = FORMAT;
        Proposal { format, id, change }
    }

    /// What the settings may hold after it.
    fn limit(&self) -> ByteSize {
        if self.format < FORMAT {
            FIRST_MAX_SETTINGS
        } else {
            MAX_SETTINGS
        }
    }

    pub(crate) fn encode(&self) -> Bytes {
        let mut writer = Writer::new();
        writer
            .u8(self.format)
            .u16(self.id.site.0)
            .u64(self.id.number);
        self.change.encode(&mut writer);
        writer.finish()
    }

    pub(crate) fn decode(bytes: &[u8]) -> Result<Proposal, Malformed> {
        let mut reader = Reader::new(bytes);
        let format = reader.u8()?;
        if !(1..=FORMAT).contains(&format) {
            return Err(Malformed);
        }
        let site = SiteId(reader.u16()?);
        let number = reader.u64()?;
        let change = Change::decode(&mut reader)?;
        reader.end()?;
        let id = ProposalId { site, number };
        Ok(Proposal { format, id, change })
    }
}

impl State {
    /// What became of a proposal, if that is still known.
    pub(crate) fn outcome(&self, id: ProposalId) -> Option<&Outcome> {
        self.outcomes.get(&id.site)?.get(&id.number)
    }

    /// Applies the proposal at that index; nothing but the index if it was applied before.
    pub(crate) fn apply(&mut self, index: u64, term: u64, proposal: &Proposal) -> Option<Applied> {
        self.pass(index, term);
        if self.outcome(proposal.id).is_some() {
            return None;
        }
        let known = self.outcomes.entry(proposal.id.site).or_default();
        let oldest = known.first_key_value().map(|(number, _)| *number);
        let overtaken =
            known.len() >= MAX_OUTCOMES && oldest.is_some_and(|oldest| proposal.id.number < oldest);
        if overtaken {
            // It isn't remembered either: its proposer learns it from this very entry.
            return Some(Applied {
                index,
                proposal: proposal.id,
                outcome: Outcome::Refused(Refusal::Overtaken),
                keys: Vec::new(),
            });
        }
        let result = Arc::make_mut(&mut self.settings).apply(&proposal.change, proposal.limit());
        let (outcome, keys) = match result {
            Ok(revision) => {
                let edits = proposal.change.edits.iter();
                let keys = edits.map(|edit| edit.key.clone()).collect();
                (Outcome::Made { revision }, keys)
            }
            Err(refusal) => (Outcome::Refused(refusal), Vec::new()),
        };
        known.insert(proposal.id.number, outcome.clone());
        if known.len() > MAX_OUTCOMES {
            known.pop_first();
        }
        Some(Applied {
            index,
            proposal: proposal.id,
            outcome,
            keys,
        })
    }

    /// Passes an entry that changes nothing (a new leader's first).
    pub(crate) fn pass(&mut self, index: u64, term: u64) {
        self.index = index;
        self.term = term;
    }
}

pub(crate) fn encode_setting(setting: &Setting) -> Bytes {
    Writer::new()
        .u64(setting.revision)
        .bytes(&setting.value)
        .finish()
}

pub(crate) fn decode_setting(bytes: &[u8]) -> Result<Setting, Malformed> {
    let mut reader = Reader::new(bytes);
    let revision = reader.u64()?;
    let value = Bytes::copy_from_slice(reader.bytes()?);
    reader.end()?;
    Ok(Setting { revision, value })
}

pub(crate) fn encode_outcomes(outcomes: &Outcomes) -> Bytes {
    let mut writer = Writer::new();
    writer.length(outcomes.len());
    for (number, outcome) in outcomes {
        writer.u64(*number);
        match outcome {
            Outcome::Made { revision } => writer.u8(0).u64(*revision),
            Outcome::Refused(Refusal::Conflict { key, found: None }) => {
                writer.u8(1).bytes(key.as_bytes())
            }
            Outcome::Refused(Refusal::Conflict {
                key,
                found: Some(revision),
            }) => writer.u8(2).bytes(key.as_bytes()).u64(*revision),
            Outcome::Refused(Refusal::Full) => writer.u8(3),
            Outcome::Refused(Refusal::Overtaken) => writer.u8(4),
            Outcome::Refused(Refusal::Invalid) => writer.u8(5),
        };
    }
    writer.finish()
}

pub(crate) fn decode_outcomes(bytes: &[u8]) -> Result<Outcomes, Malformed> {
    let mut reader = Reader::new(bytes);
    let mut outcomes = BTreeMap::new();
    for _ in 0..reader.count()? {
        let number = reader.u64()?;
        let outcome = match reader.u8()? {
            0 => Outcome::Made {
                revision: reader.u64()?,
            },
            1 => Outcome::Refused(Refusal::Conflict {
                key: reader.text()?.to_owned(),
                found: None,
            }),
            2 => Outcome::Refused(Refusal::Conflict {
                key: reader.text()?.to_owned(),
                found: Some(reader.u64()?),
            }),
            3 => Outcome::Refused(Refusal::Full),
            4 => Outcome::Refused(Refusal::Overtaken),
            5 => Outcome::Refused(Refusal::Invalid),
            _ => return Err(Malformed),
        };
        outcomes.insert(number, outcome);
    }
    reader.end()?;
    Ok(outcomes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Expected;

    fn proposal(number: u64) -> Proposal {
        let site = SiteId(7);
        let change = Change::new()
            .put("a/b", Expected::Any, "v")
            .delete("a/c", Expected::Revision(3));
        Proposal::new(ProposalId { site, number }, change)
    }

    #[test]
    fn golden_bytes_of_a_proposal() {
        let expected = [
            &[2, 0, 7, 0, 0, 0, 0, 0, 0, 0, 9, 0, 0, 0, 2, 0, 0, 0, 3][..],
            b"a/b",
            &[0, 1, 0, 0, 0, 1],
            b"v",
            &[0, 0, 0, 3],
            b"a/c",
            &[2, 0, 0, 0, 0, 0, 0, 0, 3, 0],
        ]
        .concat();
        assert_eq!(proposal(9).encode(), expected);
        assert_eq!(Proposal::decode(&expected), Ok(proposal(9)));
    }

    #[test]
    fn an_entry_of_the_first_format_is_applied_as_it_was_then() {
        let mut state = State::default();
        let id = |number| ProposalId {
            site: SiteId(7),
            number,
        };
        let large = |number| {
            let change = Change::new().put(format!("a/{number}"), Expected::Any, vec![0; 700_000]);
            Proposal::new(id(number), change)
        };
        for number in 1..8 {
            let applied = state
                .apply(number, 1, &large(number))
                .map(|applied| applied.outcome);
            assert!(matches!(applied, Some(Outcome::Made { .. })));
        }
        let mut bytes = large(8).encode().to_vec();
        bytes[0] = 1;
        let first = Proposal::decode(&bytes).unwrap();
        assert_eq!(first.encode(), bytes);
        let applied = state.apply(8, 1, &first).map(|applied| applied.outcome);
        assert_eq!(applied, Some(Outcome::Refused(Refusal::Full)));
        bytes[0] = 3;
        assert_eq!(Proposal::decode(&bytes), Err(Malformed));
    }

    #[test]
    fn a_repeated_proposal_is_applied_once_and_one_overtaken_never() {
        let mut state = State::default();
        let mut once = proposal(1);
        once.change.edits.pop();
        assert!(state.apply(1, 1, &once).is_some());
        assert!(state.apply(2, 1, &once).is_none());
        assert_eq!(state.settings.revision(), 1);
        for number in 10..10 + MAX_OUTCOMES as u64 {
            once.id.number = number;
            assert!(state.apply(number, 1, &once).is_some());
        }
        once.id.number = 2;
        let late = state.apply(999, 1, &once).map(|applied| applied.outcome);
        assert_eq!(late, Some(Outcome::Refused(Refusal::Overtaken)));
        assert_eq!(state.settings.revision(), 1 + MAX_OUTCOMES as u64);
    }
}

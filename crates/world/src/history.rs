//! What the clients did and were told: the workload writes it, the checkers read it. Every write
//! has an identifier of its own and carries the one of the state that it replaced.

use std::collections::{BTreeMap, BTreeSet};

use types::Region;

/// A write's identifier, unique in its world; it stands in the item as attribute `w`.
pub type WriteId = u64;

/// What became of an operation, as its client knows.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Outcome {
    /// It was acknowledged.
    Done,
    /// It was refused and can't have happened.
    Refused,
    /// No answer came: it may or may not have happened.
    Unknown,
}

/// One write.
#[derive(Clone, Debug)]
pub struct Write {
    /// Its identifier.
    pub id: WriteId,
    /// The item's key.
    pub key: String,
    /// Where it was made.
    pub region: Region,
    /// The write it replaced, as its own condition demanded; `None`: no item was there.
    pub replaced: Option<WriteId>,
    /// Does it delete the item? Then its identifier stands nowhere.
    pub deletes: bool,
    /// What became of it.
    pub outcome: Outcome,
}

/// Everything that was done.
#[derive(Default, Debug)]
pub struct History {
    writes: Vec<Write>,
}

impl History {
    /// Begins a write: until it is settled its outcome is unknown.
    pub fn begin(
        &mut self,
        key: &str,
        region: Region,
        replaced: Option<WriteId>,
        deletes: bool,
    ) -> WriteId {
        let id = self.writes.len() as WriteId + 1;
        let key = key.to_owned();
        let outcome = Outcome::Unknown;
        self.writes.push(Write {
            id,
            key,
            region,
            replaced,
            deletes,
            outcome,
        });
        id
    }

    /// The client learned what became of it.
    pub fn settle(&mut self, id: WriteId, outcome: Outcome) {
        self.writes[id as usize - 1].outcome = outcome;
    }

    /// Every write, in the order in which they began.
    pub fn writes(&self) -> &[Write] {
        &self.writes
    }

    /// The write of that identifier.
    pub fn write(&self, id: WriteId) -> Option<&Write> {
        self.writes.get(usize::try_from(id.checked_sub(1)?).ok()?)
    }

    /// Is `ancestor` among the states that `write` came from, link by link?
    pub fn descends(&self, write: WriteId, ancestor: WriteId) -> bool {
        let mut at = self.write(write).and_then(|write| write.replaced);
        while let Some(id) = at {
            if id == ancestor {
                return true;
            }
            at = self.write(id).and_then(|write| write.replaced);
        }
        false
    }

    /// The writes that were replaced by a write that happened, with who replaced them.
    /// `seen` are the identifiers found in any state or ledger: those writes happened.
    pub fn replaced(&self, seen: &BTreeSet<WriteId>) -> BTreeMap<WriteId, WriteId> {
        let mut replaced = BTreeMap::new();
        for write in &self.writes {
            let may_have_happened = match write.outcome {
                Outcome::Done => true,
                Outcome::Refused => false,
                // A deletion leaves no identifier behind, so it counts whenever it may have been.
                Outcome::Unknown => write.deletes || self.happened(write.id, seen),
            };
            if let (true, Some(before)) = (may_have_happened, write.replaced) {
                replaced.insert(before, write.id);
            }
        }
        replaced
    }

    /// Is there a trace of that write: in a state, or as what an acknowledged write replaced?
    fn happened(&self, id: WriteId, seen: &BTreeSet<WriteId>) -> bool {
        seen.contains(&id) || self.writes.iter().any(|write| write.replaced == Some(id))
    }
}

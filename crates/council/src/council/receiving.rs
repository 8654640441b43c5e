//! A site that is far behind takes the leader's state, part by part. Each part is checked and on
//! disk, in the generation of settings that doesn't hold, before its sender is told; when the
//! last has come, raft is shown a snapshot without contents, and if it wants that, one small
//! write makes the new settings hold. Parts are taken from the leader of the term alone, one state
//! at a time, and none that is larger than a sender makes them; what a crash or another leader
//! leaves half done, or what entries overtake, is given up and swept away.

use std::collections::BTreeMap;

use bytes::Bytes;
use raft::eraftpb::{Message, MessageType};
use types::SiteId;

use super::Council;
use crate::limits::{MAX_EARLY_PARTS, MAX_PART};
use crate::log::{raft_id, snapshot};
use crate::parts::Assembler;
use crate::saved::{self, Sweep};
use crate::state::State;
use crate::wire::{self, Part, Received, Sent};

/// A state that is arriving.
pub(super) struct Receiving {
    from: SiteId,
    of: Sent,
    assembler: Assembler,
    next: u32,
    /// Parts that came before an earlier one.
    early: BTreeMap<u32, Bytes>,
}

impl Council {
    /// Takes a part of that site's state.
    pub(super) fn take_part(&mut self, from: SiteId, part: Part) -> Result<(), &'static str> {
        let raft = &self.node.raft;
        if part.of.leads != raft.term || raft.leader_id != raft_id(from) {
            // Of a leader that was, or isn't known yet: the one that is sends again.
            return Ok(());
        }
        wire::admit_state(part.of, &self.node)?;
        if part.body.len() > MAX_PART.as_usize() {
            return Err("its part of a state is too large");
        }
        if part.of.index <= self.node.raft.raft_log.committed {
            // It has that already, and says so to raft.
            self.receiving_ends(None);
            return self.show_snapshot(from, part.of);
        }
        if self.sweep.is_some() || self.arrived.is_some() {
            return Ok(());
        }
        let known = (from, part.of);
        let current = self.receiving.as_ref();
        if current.is_none_or(|current| (current.from, current.of) != known) {
            self.receiving_ends(None);
            if self.sweep.is_some() {
                return Ok(());
            }
            let members = self.members().clone();
            self.receiving = Some(Receiving {
                from,
                of: part.of,
                assembler: Assembler::new(part.of.index, part.of.term, members),
                next: 0,
                early: BTreeMap::new(),
            });
        }
        let whole = self.put_together(part);
        let next = self
            .receiving
            .as_ref()
            .map_or(0, |receiving| receiving.next);
        match whole {
            Ok(state) => {
                let of = known.1;
                let received = wire::received_frame(&Received { of, next });
                self.outbox.push((from, received));
                match state {
                    Some(state) => self.put_in_place(from, of, state),
                    None => Ok(()),
                }
            }
            Err(reason) => {
                self.receiving_ends(None);
                Err(reason)
            }
        }
    }

    /// Adds a part and those that waited for it.
    fn put_together(&mut self, part: Part) -> Result<Option<State>, &'static str> {
        let Some(receiving) = &mut self.receiving else {
            return Ok(None);
        };
        let window = receiving.next..receiving.next.saturating_add(MAX_EARLY_PARTS as u32);
        if window.contains(&part.number) {
            receiving.early.insert(part.number, part.body);
        }
        let generation = self.node.store().generation.other();
        let writes = self.writes.get_or_insert_default();
        while let Some(body) = receiving.early.remove(&receiving.next) {
            receiving.next += 1;
            let whole = receiving.assembler.add(&body, |key, setting| {
                saved::put_new_setting(writes, generation, key, setting);
            })?;
            if whole.is_some() {
                return Ok(whole);
            }
        }
        Ok(None)
    }

    /// All is here: raft decides whether it is wanted.
    fn put_in_place(&mut self, from: SiteId, of: Sent, state: State) -> Result<(), &'static str> {
        self.receiving = None;
        let shown = self.show_snapshot(from, of);
        let unstable = self.node.raft.raft_log.unstable_snapshot();
        let wanted = unstable
            .as_ref()
            .map(|snapshot| snapshot.get_metadata().index)
            == Some(of.index);
        if shown.is_ok() && wanted {
            self.arrived = Some(state);
        } else {
            self.receiving_ends(Some(state));
        }
        shown
    }

    fn show_snapshot(&mut self, from: SiteId, of: Sent) -> Result<(), &'static str> {
        let mut message = Message {
            from: raft_id(from),
            to: raft_id(self.config.site),
            term: of.leads,
            ..Message::default()
        };
        message.set_msg_type(MessageType::MsgSnapshot);
        message.set_snapshot(snapshot(of.index, of.term, self.members()));
        if !self.admits_while_recovering(&message) {
            return Ok(());
        }
        self.node
            .step(message)
            .map_err(|_| "raft has no use for its state")
    }

    /// Gives up, at each tick, a state whose sender leads no more, or that holds nothing which this
    /// site hasn't decided by now: the rest of it may never come.
    pub(super) fn tend_receiving(&mut self) {
        let raft = &self.node.raft;
        let is_over = |receiving: &Receiving| {
            receiving.of.leads != raft.term || receiving.of.index <= raft.raft_log.committed
        };
        if self.receiving.as_ref().is_some_and(is_over) {
            self.receiving_ends(None);
        }
    }

    /// Whatever was arriving is given up, or `state`, which had arrived and isn't wanted: its
    /// settings are swept off the disk.
    fn receiving_ends(&mut self, state: Option<State>) {
        let receiving = self.receiving.take();
        let entries = match (&state, &receiving) {
            (Some(state), _) => state.settings.entries(),
            (None, Some(receiving)) => receiving.assembler.entries(),
            (None, None) => return,
        };
        let generation = self.node.store().generation.other();
        self.sweep = Sweep::of(generation, entries.clone());
    }

    /// Some more of what doesn't hold any more is removed, at each tick.
    pub(super) fn sweep(&mut self) {
        if let Some(sweep) = &mut self.sweep {
            let writes = self.writes.get_or_insert_default();
            if sweep.step(writes) {
                self.sweep = None;
            }
        }
    }
}

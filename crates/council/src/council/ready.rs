//! The work that a seat hands out, and takes back when it is on disk: what raft wants written
//! and sent, and what its decided entries change. It does none of that work.

use std::collections::BTreeSet;

use bytes::Bytes;
use raft::eraftpb::{Message, MessageType};
use store::Batch;
use types::SiteId;

use super::Council;
use crate::log::{Log, site_of};
use crate::saved::Sweep;
use crate::state::Proposal;
use crate::{Applied, Outcome, saved, wire};

/// Stands for one `Ready` towards `persisted`.
#[derive(PartialEq, Eq, Debug)]
pub struct ReadyToken(u64);

/// Work that the council can't do itself.
#[derive(Debug)]
pub struct Ready {
    /// Handed to `persisted` once the writes are on disk.
    pub token: ReadyToken,
    /// To be sent at once: a leader's own write may be slower than its peers'.
    pub before_persist: Vec<(SiteId, Bytes)>,
    /// To be committed, all in one batch; possibly empty.
    pub writes: Batch,
    /// To be sent when the writes are on disk, not before: they promise them.
    pub after_persist: Vec<(SiteId, Bytes)>,
    /// What took effect with these writes, in order.
    pub applied: Vec<Applied>,
    /// The state was replaced by a leader's snapshot: more took effect than `applied` lists.
    pub restored: bool,
}

/// A `Ready` that was taken and is not on disk yet.
pub(super) struct Outstanding {
    number: u64,
    raft_number: Option<u64>,
    applied: Vec<Applied>,
}

impl Council {
    /// The next work, if there is any and none is under way.
    pub fn ready(&mut self) -> Option<Ready> {
        if self.outstanding.is_some() {
            return None;
        }
        let has_raft = self.node.has_ready();
        if !has_raft && self.writes.is_none() && self.outbox.is_empty() {
            return None;
        }
        self.ready_number += 1;
        let mut ready = Ready {
            token: ReadyToken(self.ready_number),
            before_persist: Vec::new(),
            writes: self.writes.take().unwrap_or_default(),
            after_persist: std::mem::take(&mut self.outbox),
            applied: Vec::new(),
            restored: false,
        };
        let raft_number = has_raft.then(|| self.ready_of_raft(&mut ready));
        self.outstanding = Some(Outstanding {
            number: self.ready_number,
            raft_number,
            applied: ready.applied.clone(),
        });
        Some(ready)
    }

    /// The writes of that `Ready` are on disk. (Those of any other are not what it waits for:
    /// nothing happens.)
    pub fn persisted(&mut self, token: ReadyToken) {
        let Some(done) = self.outstanding.take_if(|waits| waits.number == token.0) else {
            return;
        };
        if let Some(number) = done.raft_number {
            self.node.on_persist_ready(number);
            self.node.advance_apply();
        }
        for applied in done.applied {
            self.undecided.1.remove(&applied.proposal);
            if applied.proposal.site == self.config.site {
                self.finish(applied.proposal.number, Ok(applied.outcome));
            }
        }
        // What a snapshot brought, or an entry that another one had been applied before.
        let state = &self.node.store().state;
        let known: Vec<(u64, Outcome)> = self
            .pending
            .keys()
            .filter_map(|number| Some((*number, state.outcome(self.id(*number))?.clone())))
            .collect();
        for (number, outcome) in known {
            self.finish(number, Ok(outcome));
        }
        self.settle();
    }

    /// raft's part of a `Ready`: what it wants written and sent, and what it has decided.
    fn ready_of_raft(&mut self, ready: &mut Ready) -> u64 {
        let mut raft_ready = self.node.ready();
        let number = raft_ready.number();
        ready.before_persist = self.outgoing(raft_ready.take_messages());
        let promises = self.outgoing(raft_ready.take_persisted_messages());
        ready.after_persist.extend(promises);
        let committed = raft_ready.take_committed_entries();
        let seated = self.recovery.is_none();
        let kept_after = self.kept_after();
        if !raft_ready.snapshot().is_empty() {
            self.restore(ready);
        }
        let log = self.node.mut_store();
        let batch = &mut ready.writes;
        if !raft_ready.entries().is_empty() {
            let before = log.append(raft_ready.entries());
            raft_ready
                .entries()
                .iter()
                .for_each(|entry| saved::put_entry(batch, entry));
            saved::delete_entries(batch, log.last() + 1..before + 1);
        }
        if let Some(hard) = raft_ready.hs() {
            log.hard = hard.clone();
            saved::put_hard(batch, hard);
        }
        for entry in &committed {
            if entry.data.is_empty() {
                log.state.pass(entry.index, entry.term);
                continue;
            }
            let proposal = Proposal::decode(&entry.data)
                .expect("an entry is decoded before it enters the log");
            ready
                .applied
                .extend(log.state.apply(entry.index, entry.term, &proposal));
        }
        if !committed.is_empty() {
            put_effects(batch, log, &ready.applied);
            let dropped = log.compact(kept_after);
            if !dropped.is_empty() {
                saved::delete_entries(batch, dropped);
                saved::put_base(batch, seated.then_some(&log.members), log.base);
            }
        }
        self.node.advance_append_async(raft_ready);
        number
    }

    /// A leader's state takes the place of this site's. Its settings are on disk, or in `ready`'s
    /// writes; they hold from now on, and the old ones are swept out.
    fn restore(&mut self, ready: &mut Ready) {
        let state = self.arrived.take();
        let state = state.expect("raft is shown a snapshot when its state has arrived");
        let seated = self.recovery.is_none();
        let batch = &mut ready.writes;
        let log = self.node.mut_store();
        saved::delete_entries(batch, log.first()..log.last() + 1);
        let was = log.generation;
        let old = log.restore(state);
        saved::put_base(batch, seated.then_some(&log.members), log.base);
        saved::put_state(batch, &old, &log.state, log.generation);
        self.sweep = Sweep::of(was, old.settings.entries().clone());
        ready.restored = true;
    }

    fn outgoing(&mut self, messages: Vec<Message>) -> Vec<(SiteId, Bytes)> {
        let mut frames = Vec::with_capacity(messages.len());
        for message in messages {
            let Some(to) = site_of(message.to) else {
                continue;
            };
            if message.get_msg_type() == MessageType::MsgSnapshot {
                self.begin_sending(to, &message);
                continue;
            }
            frames.push((to, wire::raft_frame(&message)));
        }
        frames
    }
}

/// Writes what the applied entries changed, each key once.
fn put_effects(batch: &mut Batch, log: &Log, applied: &[Applied]) {
    let state = &log.state;
    let keys: BTreeSet<&String> = applied.iter().flat_map(|applied| &applied.keys).collect();
    for key in keys {
        saved::put_setting(batch, state, log.generation, key);
    }
    let sites: BTreeSet<SiteId> = applied
        .iter()
        .map(|applied| applied.proposal.site)
        .collect();
    for site in sites {
        saved::put_outcomes(batch, state, site);
    }
    saved::put_applied(batch, state, log.generation);
}

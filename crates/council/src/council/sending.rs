//! A leader sends its state to a site that is too far behind for entries. raft says when: with a
//! snapshot message, which never travels; in its place the state goes in parts. A few are under
//! way at a time, so that heartbeats behind them in the lane aren't late; the receiver says how
//! far it has come, and what is not heard of is sent again. The state is the one of that moment:
//! it shares what later changes don't touch, and nothing is held as bytes but one part.

use std::collections::VecDeque;

use raft::eraftpb::Message;
use raft::{ProgressState, SnapshotStatus};
use types::SiteId;

use super::Council;
use crate::limits::MAX_PARTS_UNDER_WAY;
use crate::log::raft_id;
use crate::parts::Cutter;
use crate::wire::{self, Part, Received, Sent};

/// A state on its way to one site.
pub(super) struct Sending {
    of: Sent,
    cutter: Cutter,
    /// Parts the receiver has.
    received: usize,
    /// The sizes of those under way, from `received` on.
    under_way: VecDeque<usize>,
    /// When the receiver was last heard to have more, and when a part was last sent.
    progress_at: u64,
    sent_at: u64,
}

impl Sending {
    /// The parts that may go now.
    fn take(&mut self, clock: u64) -> Vec<Part> {
        let mut parts = Vec::new();
        while self.under_way.iter().sum::<usize>() < MAX_PARTS_UNDER_WAY.as_usize() {
            let number = self.received + self.under_way.len();
            let Some(body) = self.cutter.part(number) else {
                break;
            };
            self.under_way.push_back(body.len());
            self.sent_at = clock;
            parts.push(Part {
                of: self.of,
                number: u32::try_from(number).expect("fewer parts than settings"),
                body,
            });
        }
        parts
    }
}

impl Council {
    /// raft wants a site to have this leader's state. One that is on its way already goes on.
    pub(super) fn begin_sending(&mut self, to: SiteId, message: &Message) {
        let log = self.node.store();
        // Of now: not older than what raft has in mind.
        let of = Sent {
            leads: message.term,
            index: log.state.index,
            term: log.state.term,
        };
        if self
            .sending
            .get(&to)
            .is_some_and(|sending| sending.of == of)
        {
            return;
        }
        let sending = Sending {
            of,
            cutter: Cutter::new(log.state.clone(), log.members.clone()),
            received: 0,
            under_way: VecDeque::new(),
            progress_at: self.clock,
            sent_at: self.clock,
        };
        tracing::info!(to = to.0, index = of.index, "sending the council's state");
        self.sending.insert(to, sending);
        self.send_parts(to);
    }

    /// The receiver says how far it has come.
    pub(super) fn take_received(
        &mut self,
        from: SiteId,
        received: Received,
    ) -> Result<(), &'static str> {
        let clock = self.clock;
        let Some(sending) = self
            .sending
            .get_mut(&from)
            .filter(|sending| sending.of == received.of)
        else {
            return Ok(());
        };
        let next = received.next as usize;
        if next > sending.cutter.known() {
            return Err("it has received what was never sent");
        }
        if next > sending.received {
            let more = (next - sending.received).min(sending.under_way.len());
            sending.under_way.drain(..more);
            sending.received = next;
            sending.progress_at = clock;
        } else if next == 0 && sending.received > 0 {
            // It has begun anew: it was restarted.
            sending.under_way.clear();
            sending.received = 0;
            sending.progress_at = clock;
        }
        self.send_parts(from);
        Ok(())
    }

    fn send_parts(&mut self, to: SiteId) {
        let clock = self.clock;
        if let Some(sending) = self.sending.get_mut(&to) {
            let parts = sending.take(clock);
            let frames = parts.iter().map(|part| (to, wire::part_frame(part)));
            self.outbox.extend(frames);
        }
    }

    /// At each tick: what wasn't heard of is sent again. raft waits for ever for word of a
    /// snapshot; if its receiver hasn't come further for two election timeouts, raft is told that
    /// it failed, and may try again.
    pub(super) fn tend_sending(&mut self) {
        let clock = self.clock;
        let patience = 2 * self.config.timing.election_ticks as u64;
        let repeat = self.config.timing.repeat_ticks();
        let raft = &self.node.raft;
        let (leads, term) = (self.is_leader(), raft.term);
        let wanted = |site: SiteId| {
            let progress = raft.prs().get(raft_id(site));
            progress.is_some_and(|progress| progress.state == ProgressState::Snapshot)
        };
        let mut failed = Vec::new();
        let mut again = Vec::new();
        self.sending.retain(|site, sending| {
            if !leads || sending.of.leads != term || !wanted(*site) {
                return false;
            }
            if clock - sending.progress_at > patience {
                failed.push(*site);
                return false;
            }
            if clock - sending.sent_at >= repeat && !sending.under_way.is_empty() {
                sending.under_way.clear();
                again.push(*site);
            }
            true
        });
        for site in failed {
            tracing::debug!(to = site.0, "the council's state does not arrive");
            let raft_id = raft_id(site);
            self.node.report_snapshot(raft_id, SnapshotStatus::Failure);
        }
        for site in again {
            self.send_parts(site);
        }
    }

    /// The last entry that every living follower has, or will have when the state on its way to
    /// it has arrived: what comes after it stays in the log for them.
    pub(super) fn kept_after(&self) -> Option<u64> {
        if !self.is_leader() {
            return None;
        }
        let patience = self.config.timing.election_ticks as u64;
        let living = self
            .heard
            .iter()
            .filter(|(_, at)| self.clock - **at <= patience);
        let has = living.filter_map(|(site, _)| match self.sending.get(site) {
            Some(sending) => Some(sending.of.index),
            None => Some(self.node.raft.prs().get(raft_id(*site))?.matched),
        });
        has.filter(|index| *index > 0).min()
    }
}

//! How a site without memory takes its seat: a new one, or one that lost its disk. raft takes
//! for granted that a voter remembers its votes and its log, so such a site neither votes nor
//! stands until it knows again what it may have promised. The rule is Viewstamped Replication's
//! for recovering replicas (Liskov and Cowling, "Viewstamped Replication Revisited", 2012,
//! section 4.3), in raft's terms:
//!
//! - It asks every member, again and again. Members answer with their term.
//! - When so many voters answered that every majority it may have been part of holds one of them,
//!   it follows leaders of the greatest term heard or later, and of no earlier one.
//! - The leader forgets what it believed the site to have, and says what it has decided so far.
//! - Once that is here, and every election it may have voted in is over, it takes its seat.
//! - If no member has any memory, this is a new deployment, and it takes its seat at once.

use std::collections::{BTreeMap, BTreeSet};

use raft::eraftpb::{Message, MessageType};
use types::SiteId;

use super::Council;
use crate::limits::MAX_INDEX;
use crate::log::raft_id;
use crate::wire::{self, Answer};
use crate::{Members, saved};

/// What a site without memory has learned so far.
pub(super) struct Recovery {
    /// Tells the answers to this life's question from those to an earlier one's.
    nonce: u64,
    /// Members without memory, or that never decided nor voted.
    unused: BTreeSet<SiteId>,
    /// The terms of the members that answered.
    terms: BTreeMap<SiteId, u64>,
    /// A leader's term, and what it had decided when it knew of this site's loss.
    decided: Option<(u64, u64)>,
}

impl Recovery {
    pub(super) fn new(nonce: u64) -> Recovery {
        Recovery {
            nonce,
            unused: BTreeSet::new(),
            terms: BTreeMap::new(),
            decided: None,
        }
    }

    /// The least term whose leader may be followed; none as long as too few answered.
    fn floor(&self, site: SiteId, members: &Members) -> Option<u64> {
        let answered = |voter: &&SiteId| self.terms.contains_key(voter);
        let answers = members.voters.iter().filter(answered).count();
        if answers < answers_needed(site, members) {
            return None;
        }
        Some(self.terms.values().max().copied().unwrap_or(0))
    }
}

/// Of how many other voters a site must hear so that they meet every majority that it may have
/// made with others: of `n` voters with majority `q`, a majority with it has `q - 1` others among
/// `n - 1`, and any `n - q + 1` of those meet it. A site without a vote was in none.
fn answers_needed(site: SiteId, members: &Members) -> usize {
    if members.votes(site) {
        members.voters.len() - members.majority() + 1
    } else {
        0
    }
}

impl Council {
    /// Asks everyone, once a heartbeat.
    pub(super) fn ask(&mut self) {
        let Some(recovery) = &self.recovery else {
            return;
        };
        if !self
            .clock
            .is_multiple_of(self.config.timing.heartbeat_ticks as u64)
        {
            return;
        }
        let question = wire::recovering_frame(recovery.nonce, self.remembered());
        let site = self.config.site;
        let others: Vec<SiteId> = self
            .members()
            .all()
            .filter(|other| *other != site)
            .collect();
        self.outbox
            .extend(others.into_iter().map(|other| (other, question.clone())));
    }

    /// The last index in this site's log.
    fn remembered(&self) -> u64 {
        self.node.raft.raft_log.last_index()
    }

    /// Has this site neither voted nor written anything?
    fn is_unused(&self) -> bool {
        self.node.raft.term == 0 && self.remembered() == 0
    }

    /// A member without memory asks; `remembered` is what it has been sent since.
    pub(super) fn answer_recovering(&mut self, from: SiteId, nonce: u64, remembered: u64) {
        if let Some(recovery) = &mut self.recovery {
            if remembered == 0 {
                recovery.unused.insert(from);
            }
            return;
        }
        let decided = self.is_leader() && self.node.raft.commit_to_current_term();
        let answer = Answer {
            nonce,
            term: self.node.raft.term,
            unused: self.is_unused(),
            decided: decided.then_some(self.node.raft.raft_log.committed),
        };
        if self.is_leader() {
            self.forget_progress(from, remembered);
        }
        self.outbox.push((from, wire::answer_frame(&answer)));
    }

    /// A leader believes that a follower still has what it once acknowledged; this one has not.
    fn forget_progress(&mut self, site: SiteId, remembered: u64) {
        let progress = self.node.raft.mut_prs().get_mut(raft_id(site));
        if let Some(progress) = progress.filter(|progress| progress.matched > remembered) {
            progress.matched = 0;
            progress.become_probe();
        }
    }

    /// A member's answer. One to another life's question is no answer.
    pub(super) fn take_answer(
        &mut self,
        from: SiteId,
        answer: &Answer,
    ) -> Result<(), &'static str> {
        if answer.term >= MAX_INDEX || answer.decided.is_some_and(|index| index >= MAX_INDEX) {
            return Err("an index or term is out of range");
        }
        let Some(recovery) = &mut self.recovery else {
            return Ok(());
        };
        if answer.nonce != recovery.nonce {
            return Ok(());
        }
        if answer.unused {
            recovery.unused.insert(from);
        }
        let term = recovery.terms.entry(from).or_default();
        *term = answer.term.max(*term);
        if let Some(index) = answer.decided {
            let newer = recovery.decided.is_none_or(|(term, _)| term <= answer.term);
            if newer {
                recovery.decided = Some((answer.term, index));
            }
        }
        Ok(())
    }

    /// May a site without memory take this message? Only a leader's, of a term late enough, and
    /// none that takes for granted what it lost.
    pub(super) fn admits_while_recovering(&self, message: &Message) -> bool {
        let Some(recovery) = &self.recovery else {
            return true;
        };
        let Some(floor) = recovery.floor(self.config.site, self.members()) else {
            return false;
        };
        message.term >= floor
            && match message.get_msg_type() {
                MessageType::MsgAppend | MessageType::MsgSnapshot => true,
                MessageType::MsgHeartbeat => message.commit <= self.remembered(),
                _ => false,
            }
    }

    /// Takes the seat if it may.
    pub(super) fn end_recovery(&mut self) {
        if self.is_founded() || self.is_recovered() {
            self.take_seat();
        }
    }

    fn is_founded(&self) -> bool {
        self.recovery.as_ref().is_some_and(|recovery| {
            let site = self.config.site;
            let has_none = |other| other == site || recovery.unused.contains(&other);
            self.is_unused() && self.members().all().all(has_none)
        })
    }

    fn is_recovered(&self) -> bool {
        let Some(recovery) = &self.recovery else {
            return false;
        };
        let site = self.config.site;
        let (Some(floor), Some((term, index))) =
            (recovery.floor(site, self.members()), recovery.decided)
        else {
            return false;
        };
        // An election ends within two timeouts, and this life cast no vote.
        let elections_over = self.clock >= 2 * self.config.timing.election_ticks as u64;
        let settled = elections_over || !self.members().votes(site);
        settled
            && term >= floor
            && term == self.node.raft.term
            && self.leader().is_some()
            && self.state().index >= index
    }

    /// From here on it votes. The record that says so is written with the next work, before
    /// anything that this allows is sent.
    fn take_seat(&mut self) {
        self.recovery = None;
        let log = self.node.store();
        let known = saved::greatest_boots(&log.state, log.entries.iter());
        self.boots = self.boots.max(known.saturating_add(1));
        self.next_number = u64::from(self.boots) << 32;
        let batch = self.writes.get_or_insert_default();
        saved::put_boots(batch, self.boots);
        saved::put_base(batch, Some(&log.members), log.base);
        self.hurry();
    }
}

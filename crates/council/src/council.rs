//! One site's seat in the council, sans-IO. Feed it ticks, messages and proposals; after each,
//! take `ready()` until there is none: send what may go at once, commit the writes, call
//! `persisted`, send the rest. While a write is on its way it takes no input (`Busy`), and its
//! clock stands still.
//!
//! A proposal made anywhere is sent to the leader, again and again until its entry is applied
//! here, which is how its proposer learns the outcome; repeated entries are applied once.

mod ready;
mod receiving;
mod recovery;
mod sending;
mod status;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytes::Bytes;
use raft::eraftpb::{Message, MessageType};
use raft::{Config, RawNode, StateRole};
use store::Batch;
use types::{Deployment, SiteId};

use crate::limits::{MAX_APPEND, MAX_IN_FLIGHT, MAX_UNCOMMITTED};
use crate::log::{Log, raft_id, site_of};
use crate::places::Places;
use crate::saved::Sweep;
use crate::state::{Proposal, State};
use crate::wire::{self, Frame};
use crate::{
    Change, CouncilError, DEPLOYMENT, Expected, Members, Outcome, ProposalId, Saved, Settings,
    Timing, saved,
};

pub use ready::{Ready, ReadyToken};
pub use status::{CouncilStatus, Role};

use ready::Outstanding;
use receiving::Receiving;
use recovery::Recovery;
use sending::Sending;

/// What a site needs to know to take its seat.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CouncilConfig {
    /// This site.
    pub site: SiteId,
    /// All sites. The first start settles who votes; later starts must name the same sites.
    pub deployment: Deployment,
    /// Timeouts; the same at every site.
    pub timing: Timing,
}

struct Pending {
    encoded: Bytes,
    deadline: u64,
    repeat_at: u64,
}

/// A seat. See the head of this file.
pub struct Council {
    config: CouncilConfig,
    node: RawNode<Log>,
    clock: u64,
    heard: BTreeMap<SiteId, u64>,
    pending: BTreeMap<u64, Pending>,
    /// How often this site has started.
    boots: u32,
    next_number: u64,
    /// Until a site without memory has its seat.
    recovery: Option<Recovery>,
    /// What this leader has in its log undecided, by the term it leads.
    undecided: (u64, BTreeSet<ProposalId>),
    finished: Vec<(ProposalId, Result<Outcome, CouncilError>)>,
    outbox: Vec<(SiteId, Bytes)>,
    /// This leader's state on its way to sites far behind.
    sending: BTreeMap<SiteId, Sending>,
    /// A leader's state on its way to this site.
    receiving: Option<Receiving>,
    /// One that is all here, and that raft was shown as a snapshot.
    arrived: Option<State>,
    /// Settings that don't hold any more, while they are removed from the disk.
    sweep: Option<Sweep>,
    outstanding: Option<Outstanding>,
    ready_number: u64,
    /// Writes that go with the next work, whatever that is: of this start, or of parts received.
    writes: Option<Batch>,
    last_leader: Option<SiteId>,
    refused: u64,
}

impl Council {
    /// Takes the seat with what was saved (`load`). Without memory it first recovers, see
    /// `Role::Recovering`. `nonce` is a random number that no other start uses.
    ///
    /// # Errors
    /// `NoMember` if the site is not of the deployment, `SitesChanged` if the records were made
    /// with other sites, `Log` if raft refuses them.
    pub fn open(config: CouncilConfig, saved: Saved, nonce: u64) -> Result<Council, CouncilError> {
        let recorded = saved.settings().deployment();
        if recorded.is_some_and(|recorded| recorded != config.deployment) {
            return Err(CouncilError::SitesChanged);
        }
        let boots = saved.boots + 1;
        let mut writes = Batch::new();
        saved::put_boots(&mut writes, boots);
        let fresh = saved.members.is_none();
        let members = saved
            .members
            .clone()
            .unwrap_or_else(|| Members::of(&config.deployment));
        if !members.contains(config.site) {
            return Err(CouncilError::NoMember(config.site));
        }
        if !fresh {
            // Records of an earlier format are of this one from now on.
            saved::put_base(&mut writes, saved.members.as_ref(), saved.base);
        }
        let raft_config = raft_config(&config, saved.state.index);
        let sweep = Sweep::of(saved.generation.other(), saved.stale.clone());
        let log = saved.into_log(members);
        let node = RawNode::new(&raft_config, log, &crate::logger::logger())
            .map_err(|error| CouncilError::Log(error.to_string()))?;
        let mut council = Council {
            node,
            clock: 0,
            heard: BTreeMap::new(),
            pending: BTreeMap::new(),
            boots,
            next_number: u64::from(boots) << 32,
            recovery: fresh.then(|| Recovery::new(nonce)),
            undecided: (0, BTreeSet::new()),
            finished: Vec::new(),
            outbox: Vec::new(),
            sending: BTreeMap::new(),
            receiving: None,
            arrived: None,
            sweep,
            outstanding: None,
            ready_number: 0,
            writes: Some(writes),
            last_leader: None,
            refused: 0,
            config,
        };
        council.settle();
        council.hurry();
        council.end_recovery();
        Ok(council)
    }

    /// A site that just started has no leader to be patient with. If one lives, its next
    /// heartbeat comes before this runs out; if none does, the first to stand is soon done.
    fn hurry(&mut self) {
        let timing = self.config.timing;
        let patience = (2 * timing.heartbeat_ticks).min(timing.election_ticks);
        self.node.raft.election_elapsed = timing.election_ticks - patience;
    }

    /// A tick of `TICK` has passed. Nothing happens while a write is on its way.
    pub fn tick(&mut self) {
        if self.outstanding.is_some() {
            return;
        }
        self.clock += 1;
        if self.recovery.is_some() {
            // It doesn't stand for election.
            self.node.raft.election_elapsed = 0;
        }
        self.node.tick();
        self.ask();
        self.end_recovery();
        self.tend_sending();
        self.tend_receiving();
        self.sweep();
        self.settle();
        self.expire();
        self.record_deployment();
    }

    /// Takes a message of that site, which the link has authenticated.
    ///
    /// # Errors
    /// `Busy`; `NoMember` or `Rubbish` if it was refused, which changes nothing.
    pub fn receive(&mut self, from: SiteId, bytes: &[u8]) -> Result<(), CouncilError> {
        if self.outstanding.is_some() {
            return Err(CouncilError::Busy);
        }
        let result = self.take(from, bytes);
        if result.is_err() {
            self.refused += 1;
        }
        result
    }

    /// Proposes a change; its outcome comes with `take_finished`, later.
    ///
    /// # Errors
    /// `InvalidChange`, `Busy`, `TooManyProposals`, `NoMajority`: it was not proposed.
    pub fn propose(&mut self, change: &Change) -> Result<ProposalId, CouncilError> {
        self.propose_in(Places::Common, change)
    }

    /// As [`Council::propose`], also in the places that are kept (`KEPT_PLACES`).
    ///
    /// # Errors
    /// As of [`Council::propose`].
    pub fn propose_first(&mut self, change: &Change) -> Result<ProposalId, CouncilError> {
        self.propose_in(Places::All, change)
    }

    fn propose_in(&mut self, places: Places, change: &Change) -> Result<ProposalId, CouncilError> {
        change.check().map_err(CouncilError::InvalidChange)?;
        if self.outstanding.is_some() {
            return Err(CouncilError::Busy);
        }
        if self.pending.len() >= places.count() {
            return Err(CouncilError::TooManyProposals);
        }
        if !self.has_majority() {
            return Err(CouncilError::NoMajority);
        }
        let number = self.next_number;
        self.next_number += 1;
        let id = self.id(number);
        let change = change.clone();
        let encoded = Proposal::new(id, change).encode();
        let pending = Pending {
            encoded,
            deadline: self.clock + self.config.timing.proposal_ticks(),
            repeat_at: self.clock,
        };
        self.pending.insert(number, pending);
        self.dispatch(number);
        Ok(id)
    }

    /// The outcomes of this site's proposals that were learned since the last call. `TimedOut`
    /// leaves it open whether the change will still be made.
    pub fn take_finished(&mut self) -> Vec<(ProposalId, Result<Outcome, CouncilError>)> {
        std::mem::take(&mut self.finished)
    }

    /// The settings in effect. (Between `ready` and `persisted` they may be ahead of the disk:
    /// show them to others after `persisted`.)
    pub fn settings(&self) -> Arc<Settings> {
        self.state().settings.clone()
    }

    /// Whom this site takes for the leader.
    pub fn leader(&self) -> Option<SiteId> {
        site_of(self.node.raft.leader_id)
    }

    /// Is this site the leader?
    pub fn is_leader(&self) -> bool {
        self.node.raft.state == StateRole::Leader
    }

    /// Who sits in this council.
    pub fn members(&self) -> &Members {
        &self.node.store().members
    }

    /// Can this site have changes decided? A leader that heard from a majority within an
    /// election timeout, or a site that heard from a leader within one.
    pub fn has_majority(&self) -> bool {
        if self.recovery.is_some() {
            return false;
        }
        let patience = self.config.timing.election_ticks as u64;
        let recent = |site: &SiteId| {
            *site == self.config.site
                || self
                    .heard
                    .get(site)
                    .is_some_and(|at| self.clock - at <= patience)
        };
        if self.is_leader() {
            let members = self.members();
            members.voters.iter().filter(|site| recent(site)).count() >= members.majority()
        } else {
            self.leader().is_some_and(|leader| recent(&leader))
        }
    }

    fn state(&self) -> &State {
        &self.node.store().state
    }

    fn id(&self, number: u64) -> ProposalId {
        let site = self.config.site;
        ProposalId { site, number }
    }

    fn take(&mut self, from: SiteId, bytes: &[u8]) -> Result<(), CouncilError> {
        if from == self.config.site || !self.members().contains(from) {
            return Err(CouncilError::NoMember(from));
        }
        let rubbish = |reason| CouncilError::Rubbish { from, reason };
        match wire::parse(bytes).map_err(rubbish)? {
            Frame::Raft(message) => {
                if wire::is_voters(message.get_msg_type()) && !self.members().votes(from) {
                    return Err(rubbish("it has no vote"));
                }
                if !self.admits_while_recovering(&message) || self.is_overtaken(&message) {
                    return Ok(());
                }
                wire::admit(&message, from, self.config.site, &self.node).map_err(rubbish)?;
                self.heard.insert(from, self.clock);
                self.node
                    .step(message)
                    .map_err(|_| rubbish("raft has no use for it"))?;
            }
            Frame::Forward(proposal) => {
                if proposal.id.site != from {
                    return Err(rubbish("it proposes for another site"));
                }
                self.heard.insert(from, self.clock);
                self.append(proposal.id, &proposal.encode());
            }
            Frame::Recovering { nonce, remembered } => {
                self.answer_recovering(from, nonce, remembered);
                self.end_recovery();
            }
            Frame::Answer(answer) => {
                self.take_answer(from, &answer).map_err(rubbish)?;
                self.end_recovery();
            }
            Frame::Part(_) if !self.members().votes(from) => {
                return Err(rubbish("it has no vote"));
            }
            Frame::Part(part) => {
                self.heard.insert(from, self.clock);
                self.take_part(from, part).map_err(rubbish)?;
            }
            Frame::Received(received) => {
                self.heard.insert(from, self.clock);
                self.take_received(from, received).map_err(rubbish)?;
            }
        }
        self.settle();
        Ok(())
    }

    /// Does it reject what its sender has accepted since? raft would go back to before that, and
    /// where the log is compacted it would send everything.
    fn is_overtaken(&self, message: &Message) -> bool {
        let progress = self.node.raft.prs().get(message.from);
        message.get_msg_type() == MessageType::MsgAppendResponse
            && message.reject
            && progress.is_some_and(|progress| message.index <= progress.matched)
    }

    /// After every input: sets the election timeout that raft drew by lot (see `timing`), and
    /// sends what waits to a new leader.
    fn settle(&mut self) {
        let members = &self.node.store().members;
        let voters = members.voters.len();
        let rank = members
            .voters
            .iter()
            .position(|site| *site == self.config.site);
        let timing = self.config.timing;
        let term = self.node.raft.term;
        let timeout = timing.election_timeout(rank.unwrap_or(0), voters, term);
        self.node.raft.set_randomized_election_timeout(timeout);
        let leader = self.leader();
        if leader != self.last_leader {
            self.last_leader = leader;
            for number in self.pending.keys().copied().collect::<Vec<u64>>() {
                self.dispatch(number);
            }
        }
    }

    /// Sends a pending proposal on its way: into this leader's log, or to the leader.
    fn dispatch(&mut self, number: u64) {
        let id = self.id(number);
        let leader = self.leader();
        let repeat_at = self.clock + self.config.timing.repeat_ticks();
        let Some(pending) = self.pending.get_mut(&number) else {
            return;
        };
        pending.repeat_at = repeat_at;
        let encoded = pending.encoded.clone();
        match leader {
            Some(leader) if leader == self.config.site => self.append(id, &encoded),
            Some(leader) => self.outbox.push((leader, wire::forward_frame(&encoded))),
            None => {}
        }
    }

    /// Appends a proposal to this leader's log, unless it is there or decided already. One that
    /// raft drops (too much is undecided) or that comes to a site that doesn't lead is left to
    /// its proposer to repeat.
    fn append(&mut self, id: ProposalId, encoded: &Bytes) {
        if !self.is_leader() || self.state().outcome(id).is_some() {
            return;
        }
        let term = self.node.raft.term;
        if self.undecided.0 != term {
            self.undecided = (term, BTreeSet::new());
        }
        if self.undecided.1.contains(&id) {
            return;
        }
        if self.node.propose(Vec::new(), encoded.to_vec()).is_ok() {
            self.undecided.1.insert(id);
        }
    }

    /// Repeats or gives up what waits too long.
    fn expire(&mut self) {
        let clock = self.clock;
        let due = |at: &dyn Fn(&Pending) -> u64, pending: &BTreeMap<u64, Pending>| {
            let due = pending.iter().filter(|(_, pending)| at(pending) <= clock);
            due.map(|(number, _)| *number).collect::<Vec<u64>>()
        };
        for number in due(&|pending| pending.deadline, &self.pending) {
            self.finish(number, Err(CouncilError::TimedOut));
        }
        for number in due(&|pending| pending.repeat_at, &self.pending) {
            self.dispatch(number);
        }
    }

    fn finish(&mut self, number: u64, result: Result<Outcome, CouncilError>) {
        if self.pending.remove(&number).is_some() {
            self.finished.push((self.id(number), result));
        }
    }

    /// A leader puts the deployment's sites into the settings if no leader has yet. The change
    /// expects them absent, so it is made once whoever else tries.
    fn record_deployment(&mut self) {
        let wanted = self.is_leader()
            && self.pending.is_empty()
            && self.node.raft.commit_to_current_term()
            && self.state().settings.get(DEPLOYMENT).is_none();
        if wanted {
            let sites = serde_json::to_vec(&self.config.deployment)
                .expect("a deployment has only names and numbers");
            let change = Change::new().put(DEPLOYMENT, Expected::Absent, sites);
            if let Err(error) = self.propose(&change) {
                tracing::debug!(%error, "the sites are not recorded yet");
            }
        }
    }
}

fn raft_config(config: &CouncilConfig, applied: u64) -> Config {
    Config {
        id: raft_id(config.site),
        election_tick: config.timing.election_ticks,
        heartbeat_tick: config.timing.heartbeat_ticks,
        applied,
        max_size_per_msg: MAX_APPEND.0,
        max_inflight_msgs: MAX_IN_FLIGHT,
        // A leader without a majority steps down within an election timeout, and a site that was
        // cut off does not force an election when it comes back.
        check_quorum: true,
        pre_vote: true,
        max_uncommitted_size: MAX_UNCOMMITTED.0,
        max_committed_size_per_ready: MAX_UNCOMMITTED.0,
        ..Config::default()
    }
}

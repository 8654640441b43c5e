//! The council as one site sees it, for people and their tools: nothing is decided by it.

use std::collections::BTreeMap;

use raft::StateRole;
use types::SiteId;

use super::Council;

/// A site's part in the council at the moment.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Role {
    /// It decides the order of changes.
    Leader,
    /// It follows a leader, or waits for one.
    Follower,
    /// It stands for election.
    Candidate,
    /// It has no vote.
    Listener,
    /// It has no memory, being new or having lost its disk, and neither votes nor stands until
    /// it has learned what was decided.
    Recovering,
}

/// The council as one site sees it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CouncilStatus {
    /// What it does there.
    pub role: Role,
    /// The election term.
    pub term: u64,
    /// Whom it takes for the leader.
    pub leader: Option<SiteId>,
    /// The last log index known to be decided.
    pub commit: u64,
    /// The last log index in effect here.
    pub applied: u64,
    /// The settings' revision here.
    pub revision: u64,
    /// Can it have changes decided?
    pub majority: bool,
    /// The voters.
    pub voters: Vec<SiteId>,
    /// The members without a vote.
    pub listeners: Vec<SiteId>,
    /// Ticks since each other member was last heard; absent: not since this site started.
    pub heard: BTreeMap<SiteId, u64>,
    /// Messages refused since this site started.
    pub refused: u64,
}

impl Council {
    /// The council as this site sees it.
    pub fn status(&self) -> CouncilStatus {
        let raft = &self.node.raft;
        let members = self.members();
        let role = match raft.state {
            _ if self.recovery.is_some() => Role::Recovering,
            StateRole::Leader => Role::Leader,
            StateRole::Candidate | StateRole::PreCandidate => Role::Candidate,
            StateRole::Follower if members.votes(self.config.site) => Role::Follower,
            StateRole::Follower => Role::Listener,
        };
        CouncilStatus {
            role,
            term: raft.term,
            leader: self.leader(),
            commit: raft.raft_log.committed,
            applied: self.state().index,
            revision: self.state().settings.revision(),
            majority: self.has_majority(),
            voters: members.voters.clone(),
            listeners: members.listeners.clone(),
            heard: self
                .heard
                .iter()
                .map(|(site, at)| (*site, self.clock - at))
                .collect(),
            refused: self.refused,
        }
    }
}

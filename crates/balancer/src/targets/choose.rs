//! Which target of a group takes a request or a flow.
//!
//! 1. The target that the client belongs to, if it is healthy and comes into question.
//! 2. One of the healthy targets, by the group's algorithm; of flows, by a hash of the flow.
//! 3. Where fewer are healthy than the group asks for (by default: none is), any target counts as
//!    healthy in 1 and 2: the group fails open.
//! 4. Where all of these were tried for this request and refused it, any other target that comes
//!    into question: the checks may not have seen yet that it is back. Where the guide is silent,
//!    this is this program's decision.
//!
//! Which targets come into question at all, the pool says. Nothing is connected here.

use types::{Monotonic, Span};

use super::{Member, Pool, Tried};
use crate::algorithm::{FULL, at_random, draw, in_turn, least};
use crate::attributes::Algorithm;
use crate::slow_start;

/// By which rule a target was chosen.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum WhyTarget {
    /// The client belongs to it.
    Sticky,
    /// By the group's algorithm among the healthy ones.
    Healthy,
    /// Too few are healthy: any.
    FailOpen,
    /// All that should be asked refused: another.
    LastResort,
}

/// Why there is no target.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, thiserror::Error)]
pub enum NoTarget {
    /// No target of the group comes into question for this node: 503.
    #[error("the target group has no targets for this node")]
    NoTargets,
    /// Every one that does was tried: 502, or 504 where the last one didn't answer.
    #[error("every target was tried")]
    AllTried,
}

/// What a choice is made with.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Choosing<'a> {
    pub(crate) pool: Pool<'a>,
    pub(crate) tried: &'a Tried,
    pub(crate) now: Monotonic,
    /// Drawn for this choice.
    pub(crate) random: u64,
    /// The number of the target that the client belongs to.
    pub(crate) sticky: Option<u64>,
}

impl<'a> Choosing<'a> {
    /// The target of a request.
    pub(crate) fn choose(&self) -> Result<(&'a Member, WhyTarget), NoTarget> {
        // Each target's state is read once: it can change meanwhile.
        let (mut good, mut healthy, mut all) = (Vec::new(), 0, 0);
        for member in self.pool.members() {
            all += 1;
            if member.live.is_healthy() {
                healthy += 1;
                if !self.tried.contains(member.address) {
                    good.push(member);
                }
            }
        }
        let open = !self.pool.set.for_routing.is_met(healthy, all);
        if open {
            good = self.untried();
        }
        if let Some(sticky) = self.sticky
            && let Some(member) = good.iter().find(|member| member.number == sticky)
        {
            return Ok((*member, WhyTarget::Sticky));
        }
        let why = match open {
            true => WhyTarget::FailOpen,
            false => WhyTarget::Healthy,
        };
        if let Some(member) = self.by_algorithm(&good) {
            return Ok((member, why));
        }
        match self.by_algorithm(&self.untried()) {
            Some(member) => Ok((member, WhyTarget::LastResort)),
            None if all == 0 => Err(NoTarget::NoTargets),
            None => Err(NoTarget::AllTried),
        }
    }

    /// One of these by the group's algorithm. Whose turn it is moves on with a choice alone.
    fn by_algorithm(&self, members: &[&'a Member]) -> Option<&'a Member> {
        if members.is_empty() {
            return None;
        }
        let set = self.pool.set;
        let members = members.iter().copied();
        match set.algorithm {
            Algorithm::RoundRobin if set.slow_start == Span::ZERO => in_turn(
                members.map(|member| (member, FULL)),
                set.turn(self.pool.node),
            ),
            Algorithm::RoundRobin => {
                let weighted = members.map(|member| (member, self.weight(member)));
                in_turn(weighted, set.turn(self.pool.node))
            }
            Algorithm::LeastOutstandingRequests => {
                let loaded = members.map(|member| (member, member.live.under_way()));
                least(loaded, set.turn(self.pool.node))
            }
            Algorithm::WeightedRandom => {
                at_random(members.map(|member| (member, FULL)), self.random)
            }
        }
    }

    fn weight(&self, member: &Member) -> u32 {
        let began = member.live.slow_since();
        began.map_or(FULL, |began| {
            slow_start::weight(began, self.pool.set.slow_start, self.now)
        })
    }

    fn untried(&self) -> Vec<&'a Member> {
        let members = self.pool.members();
        members
            .filter(|member| !self.tried.contains(member.address))
            .collect()
    }
}

/// The target of a flow with that hash: of those that should be asked the one that draws most
/// (rendezvous hashing: Thaler and Ravishankar, 1998), so that a target which comes or goes moves
/// no flow but its own.
pub(crate) fn by_hash<'a>(
    pool: Pool<'a>,
    hash: u64,
    tried: &Tried,
) -> Result<(&'a Member, WhyTarget), NoTarget> {
    let open = pool.fails_open();
    let untried = pool
        .members()
        .filter(|member| !tried.contains(member.address));
    let most = |member: &&Member| draw(hash ^ member.number, FLOW);
    let candidates = untried
        .clone()
        .filter(|member| open || member.live.is_healthy());
    let why = match open {
        true => WhyTarget::FailOpen,
        false => WhyTarget::Healthy,
    };
    if let Some(member) = candidates.max_by_key(most) {
        return Ok((member, why));
    }
    match untried.max_by_key(most) {
        Some(member) => Ok((member, WhyTarget::LastResort)),
        None if pool.members().next().is_none() => Err(NoTarget::NoTargets),
        None => Err(NoTarget::AllTried),
    }
}

/// The purpose of the draw.
const FLOW: u64 = u64::from_be_bytes(*b"flow    ");

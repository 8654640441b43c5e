//! One target that is checked: when it was and will be probed, and how many outcomes in a row said
//! what. It knows no other target.

use std::net::SocketAddr;
use std::sync::Arc;

use types::{Monotonic, Now, ProbeOrder, ProbeOutcome};

use super::Ticket;
use super::order::{HealthSettings, order};
use crate::model::{HealthCheckSettings, Matcher, ProtocolVersion, TargetKey};
use crate::node::{TargetHealth, TargetReason, TargetState};
use crate::targets::{LiveTarget, Member, TargetSet, because, initial};

/// Status codes that a description repeats, at most.
const MAX_CODES: usize = 5;

/// A target that is checked.
#[derive(Debug)]
pub(super) struct Watch {
    pub(super) check: HealthCheckSettings,
    pub(super) live: Arc<LiveTarget>,
    key: TargetKey,
    traffic: (SocketAddr, Option<ProtocolVersion>),
    stage: Stage,
    /// What the last outcomes said, and how many in a row.
    run: (bool, u32),
    /// Why, of a run of failures: the codes, or else the last reason.
    codes: Vec<u16>,
}

#[derive(Clone, Copy, Debug)]
enum Stage {
    /// To be probed then.
    Due(Monotonic),
    /// Probed since then.
    Under(Ticket, Monotonic),
}

impl Watch {
    pub(super) fn new(set: &TargetSet, member: &Member, first: Monotonic) -> Watch {
        Watch {
            check: set.health_check.clone(),
            live: member.live.clone(),
            key: member.key.clone(),
            traffic: (member.address, set.version),
            stage: Stage::Due(first),
            run: (false, 0),
            codes: Vec::new(),
        }
    }

    /// Is it of that very target, checked in that very way?
    pub(super) fn is_of(&self, set: &TargetSet, member: &Member) -> bool {
        let traffic = (member.address, set.version);
        self.check == set.health_check
            && self.traffic == traffic
            && Arc::ptr_eq(&self.live, &member.live)
    }

    /// It isn't checked any more: nothing is known of it.
    pub(super) fn forget(&self) {
        self.live.set(initial());
        self.live.set_slow_since(None);
    }

    pub(super) fn due(&self) -> Option<Monotonic> {
        match self.stage {
            Stage::Due(at) => Some(at),
            Stage::Under(..) => None,
        }
    }

    pub(super) fn ticket(&self) -> Option<Ticket> {
        match self.stage {
            Stage::Due(_) => None,
            Stage::Under(ticket, _) => Some(ticket),
        }
    }

    /// It is probed now.
    pub(super) fn begin(
        &mut self,
        now: Now,
        ticket: Ticket,
        settings: HealthSettings,
    ) -> ProbeOrder {
        self.stage = Stage::Under(ticket, now.monotonic);
        order(&self.key, self.traffic, &self.check, settings)
    }

    /// Its probe has ended. Its health, if that is another now.
    pub(super) fn judge(
        &mut self,
        now: Now,
        outcome: &ProbeOutcome,
        settings: HealthSettings,
    ) -> Option<TargetHealth> {
        let began = match self.stage {
            Stage::Under(_, began) => began,
            Stage::Due(at) => at,
        };
        let next = began + settings.interval(&self.check);
        self.stage = Stage::Due(next.max(now.monotonic));
        let is_late = now.monotonic - began > settings.timeout(&self.check);
        let finding = match outcome.finding() {
            // The checker couldn't look: nothing is said of the target.
            None => return None,
            Some(_) if is_late => Err(TargetReason::Timeout),
            Some(_) => self.finding(outcome),
        };
        let passed = finding.is_ok();
        match self.run {
            (same, count) if same == passed => self.run = (passed, count.saturating_add(1)),
            _ => {
                self.run = (passed, 1);
                self.codes.clear();
            }
        }
        if let ProbeOutcome::Status(code) | ProbeOutcome::Grpc(code) = outcome
            && finding == Err(TargetReason::ResponseCodeMismatch)
            && self.codes.len() < MAX_CODES
            && !self.codes.contains(code)
        {
            self.codes.push(*code);
        }
        let health = self.health(finding)?;
        self.live.set(health.clone()).then_some(health)
    }

    /// What an outcome says by the group's matcher.
    fn finding(&self, outcome: &ProbeOutcome) -> Result<(), TargetReason> {
        match (outcome, &self.check.matcher) {
            (ProbeOutcome::Status(code), Some(matcher @ Matcher::Http(_)))
            | (ProbeOutcome::Grpc(code), Some(matcher @ Matcher::Grpc(_))) => {
                match matcher.matches(*code) {
                    true => Ok(()),
                    false => Err(TargetReason::ResponseCodeMismatch),
                }
            }
            // A call that didn't even come to a status of gRPC.
            (ProbeOutcome::Status(_), Some(Matcher::Grpc(_))) => {
                Err(TargetReason::FailedHealthChecks)
            }
            (ProbeOutcome::TimedOut(_), _) => Err(TargetReason::Timeout),
            _ if outcome.passed() => Ok(()),
            _ => Err(TargetReason::FailedHealthChecks),
        }
    }

    /// Its health after that outcome, if the run is long enough to say.
    fn health(&self, finding: Result<(), TargetReason>) -> Option<TargetHealth> {
        let state = self.live.health().state;
        let (_, count) = self.run;
        let needed = match (finding, state) {
            (Ok(()), TargetState::Initial) => 1,
            (Ok(()), _) => u32::from(self.check.healthy_threshold),
            (Err(_), _) => u32::from(self.check.unhealthy_threshold),
        };
        if count < needed {
            return None;
        }
        Some(match finding {
            Ok(()) => TargetHealth {
                state: TargetState::Healthy,
                reason: None,
                description: None,
            },
            Err(TargetReason::ResponseCodeMismatch) => self.mismatch(),
            Err(reason) => because(TargetState::Unhealthy, reason),
        })
    }

    fn mismatch(&self) -> TargetHealth {
        let codes: Vec<String> = self.codes.iter().map(u16::to_string).collect();
        let mut health = because(TargetState::Unhealthy, TargetReason::ResponseCodeMismatch);
        if let Some(words) = &mut health.description {
            words.push_str(&format!(": [{}]", codes.join(", ")));
        }
        health
    }
}

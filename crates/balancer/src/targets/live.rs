//! How a target is at the moment, read by choices without a lock: its state, the requests under
//! way to it, and since when it is in slow start. It outlives snapshots, and draws no verdict.

use std::sync::atomic::{AtomicU8, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use types::Monotonic;

use crate::node::{TargetHealth, TargetReason, TargetState};

/// A target, as it is.
#[derive(Debug)]
pub struct LiveTarget {
    state: AtomicU8,
    under_way: AtomicU32,
    /// Microseconds of the monotonic clock at which slow start began, plus one; 0: it isn't in it.
    slow_since: AtomicU64,
    health: Mutex<TargetHealth>,
}

impl Default for LiveTarget {
    fn default() -> LiveTarget {
        LiveTarget::new()
    }
}

impl LiveTarget {
    /// One that was registered just now.
    pub fn new() -> LiveTarget {
        LiveTarget {
            state: AtomicU8::new(byte(TargetState::Initial)),
            under_way: AtomicU32::new(0),
            slow_since: AtomicU64::new(0),
            health: Mutex::new(initial()),
        }
    }

    /// Is it sent requests while enough are so? One load.
    pub fn is_healthy(&self) -> bool {
        let state = self.state.load(Ordering::Relaxed);
        // What isn't checked is taken for healthy.
        state == byte(TargetState::Healthy) || state == byte(TargetState::Unavailable)
    }

    /// How it is by its health checks, and why.
    pub fn health(&self) -> TargetHealth {
        let health = self.health.lock();
        health.unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Sets how it is. True if that is news.
    pub(crate) fn set(&self, health: TargetHealth) -> bool {
        let mut known = self.health.lock().unwrap_or_else(PoisonError::into_inner);
        if *known == health {
            return false;
        }
        self.state.store(byte(health.state), Ordering::Relaxed);
        *known = health;
        true
    }

    /// Its slow start begins, or (with none) it is in none.
    pub(crate) fn set_slow_since(&self, began: Option<Monotonic>) {
        let stored = began.map_or(0, |began| began.0.saturating_add(1));
        self.slow_since.store(stored, Ordering::Relaxed);
    }

    /// When its slow start began; it may be over.
    pub(crate) fn slow_since(&self) -> Option<Monotonic> {
        let stored = self.slow_since.load(Ordering::Relaxed);
        stored.checked_sub(1).map(Monotonic)
    }

    /// Requests, or flows, under way to it.
    pub fn under_way(&self) -> u32 {
        self.under_way.load(Ordering::Relaxed)
    }
}

/// As of a target of which nothing is known yet.
pub(crate) fn initial() -> TargetHealth {
    because(TargetState::Initial, TargetReason::InitialHealthChecking)
}

/// In that state for that reason, in the service's words.
pub(crate) fn because(state: TargetState, reason: TargetReason) -> TargetHealth {
    let words = match reason {
        TargetReason::RegistrationInProgress => "Target registration is in progress",
        TargetReason::InitialHealthChecking => "Initial health checks in progress",
        TargetReason::ResponseCodeMismatch => "Health checks failed with these codes",
        TargetReason::Timeout => "Request timed out",
        TargetReason::FailedHealthChecks => "Health checks failed",
        TargetReason::NotRegistered => "Target is not registered to the target group",
        TargetReason::NotInUse => {
            "Target group is not configured to receive traffic from the load balancer"
        }
        TargetReason::DeregistrationInProgress => "Target deregistration is in progress",
        TargetReason::InvalidState => "Target is in the stopped state",
        TargetReason::IpUnusable => "Target IP address is in use by a load balancer",
        TargetReason::HealthCheckDisabled => "Health checks are disabled",
        TargetReason::InternalError => "Internal error",
    };
    TargetHealth {
        state,
        reason: Some(reason),
        description: Some(words.to_owned()),
    }
}

fn byte(state: TargetState) -> u8 {
    match state {
        TargetState::Initial => 0,
        TargetState::Healthy => 1,
        TargetState::Unhealthy => 2,
        TargetState::UnhealthyDraining => 3,
        TargetState::Unused => 4,
        TargetState::Draining => 5,
        TargetState::Unavailable => 6,
    }
}

/// A request, or a flow, under way to a target: counted until it is dropped.
#[derive(Debug)]
pub struct UnderWay(Arc<LiveTarget>);

impl UnderWay {
    /// One more is under way to that target.
    pub fn begin(target: Arc<LiveTarget>) -> UnderWay {
        target.under_way.fetch_add(1, Ordering::Relaxed);
        UnderWay(target)
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.under_way.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_under_way_is_counted_until_it_is_over() {
        let target = Arc::new(LiveTarget::new());
        let one = UnderWay::begin(target.clone());
        let two = UnderWay::begin(target.clone());
        assert_eq!(target.under_way(), 2);
        drop((one, two));
        assert_eq!(target.under_way(), 0);
    }

    #[test]
    fn a_state_is_news_once() {
        let target = LiveTarget::new();
        assert!(!target.is_healthy() && !target.set(initial()));
        let healthy = TargetHealth {
            state: TargetState::Healthy,
            reason: None,
            description: None,
        };
        assert!(target.set(healthy.clone()) && !target.set(healthy));
        assert!(target.is_healthy());
        target.set_slow_since(Some(Monotonic(0)));
        assert_eq!(target.slow_since(), Some(Monotonic(0)));
        target.set_slow_since(None);
        assert_eq!(target.slow_since(), None);
    }
}

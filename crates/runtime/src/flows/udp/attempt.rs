//! How a UDP flow comes to its endpoint, and what is told of its end.

use std::os::fd::OwnedFd;
use std::time::Instant;

use super::flow::Flow;
use crate::flows::counters::Counters;
use crate::flows::limits::MAX_ATTEMPTS;
use crate::flows::sockets::{self, Obstacle};
use crate::flows::worker::Context;
use crate::flows::{FlowEnd, FlowEvent, FlowKey, Target, Tried};

/// What is told of a flow's end.
pub(super) fn ended(flow: &Flow, end: FlowEnd, now: Instant) -> FlowEvent {
    FlowEvent::Ended {
        to_endpoint: flow.to_endpoint.bytes,
        to_client: flow.to_client.bytes,
        lasted: now.saturating_duration_since(flow.since),
        end,
    }
}

/// An endpoint for a flow, and a socket to it.
pub(super) fn attempt(
    key: &FlowKey,
    counters: &Counters,
    mut tried: Tried,
    context: &Context<'_>,
) -> Option<(Target, OwnedFd, Tried)> {
    let mut lacking = false;
    while tried.count() < MAX_ATTEMPTS {
        let Some(target) = context.steering.steer(key, &tried) else {
            break;
        };
        let cause = match sockets::associate(target.endpoint) {
            Ok(upstream) => return Some((target, upstream, tried)),
            Err(cause) => cause,
        };
        counters.failed_attempts.add(1);
        tried.add(target.endpoint, target.token);
        let obstacle = Obstacle::of(cause);
        lacking = obstacle != Obstacle::Endpoint;
        let event = match obstacle {
            Obstacle::Endpoint => FlowEvent::Refused,
            Obstacle::Ports | Obstacle::Descriptors => FlowEvent::Unable,
        };
        context.steering.note(target.token, event);
        match obstacle {
            Obstacle::Endpoint => {}
            Obstacle::Ports => context.counters.no_ports.add(1),
            Obstacle::Descriptors => {
                context.counters.no_descriptors.add(1);
                break;
            }
        }
    }
    match (lacking, tried.count()) {
        (true, _) => counters.no_room.add(1),
        (false, 0) => counters.no_endpoint.add(1),
        (false, _) => counters.all_failed.add(1),
    }
    None
}

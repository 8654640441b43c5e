//! How a TCP flow comes to its endpoint: one is chosen and asked; if it refuses or doesn't answer
//! in time, the next. Nothing of the client's is read before one has accepted.

use std::sync::Arc;
use std::time::Instant;

use rustix::io::Errno;
use rustix::net::sockopt;

use super::Tcp;
use super::flow::{Connecting, Flow, Open, Stage};
use super::way::Side;
use crate::dns::Transport;
use crate::dns::proxy::{Header, ROOM};
use crate::flows::counters::Counters;
use crate::flows::limits::MAX_ATTEMPTS;
use crate::flows::poll::Name;
use crate::flows::records::{Recording, Totals};
use crate::flows::sockets::{self, Obstacle};
use crate::flows::worker::Context;
use crate::flows::{FlowEvent, FlowKey, Target, Tried};

/// Why a flow has no endpoint.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Failure {
    /// None was named.
    NoEndpoint,
    /// All that were named failed.
    AllFailed,
    /// There was no port or descriptor for it.
    NoRoom,
}

impl Failure {
    fn count(self, counters: &Counters) {
        match self {
            Failure::NoEndpoint => counters.no_endpoint.add(1),
            Failure::AllFailed => counters.all_failed.add(1),
            Failure::NoRoom => counters.no_room.add(1),
        }
    }
}

impl Tcp {
    /// A new flow, whose room was taken from the budget, asks its first endpoint.
    pub(super) fn first_attempt(
        &mut self,
        client: Side,
        key: FlowKey,
        counters: Arc<Counters>,
        context: &Context<'_>,
    ) {
        let came = context.now;
        match self.attempt(&key, &counters, Tried::default(), came, context) {
            Ok((upstream, connecting)) => {
                let id = self.flows.insert(Flow {
                    key,
                    client,
                    upstream,
                    counters,
                    came,
                    stage: Stage::Connecting(connecting),
                });
                self.watch(id.number, context);
            }
            Err(failure) => {
                failure.count(&counters);
                sockets::reset_when_closed(&client.socket);
                drop(client);
                self.give_room();
            }
        }
    }

    /// Begins a connection to the first endpoint that doesn't refuse at once.
    fn attempt(
        &self,
        key: &FlowKey,
        counters: &Counters,
        mut tried: Tried,
        came: Instant,
        context: &Context<'_>,
    ) -> Result<(Side, Box<Connecting>), Failure> {
        let mut failure = match tried.count() {
            0 => Failure::NoEndpoint,
            _ => Failure::AllFailed,
        };
        while tried.count() < MAX_ATTEMPTS {
            let Some(target) = context.steering.steer(key, &tried) else {
                break;
            };
            match sockets::connect(target.endpoint) {
                Ok(socket) => {
                    let (now, last) = (context.now, came + self.limits.patience);
                    let connecting = Connecting {
                        target,
                        since: now,
                        deadline: last.min(now + self.limits.connect),
                        is_last: false,
                        tried,
                    };
                    return Ok((Side::asking(socket), Box::new(connecting)));
                }
                Err(cause) => {
                    failure = hindered(cause, &target, counters, context);
                    tried.add(target.endpoint, target.token);
                    if Obstacle::of(cause) == Obstacle::Descriptors {
                        break;
                    }
                }
            }
        }
        Err(failure)
    }

    /// Is told what becomes of the attempt.
    fn watch(&mut self, number: u32, context: &Context<'_>) {
        let Some(id) = self.flows.id(number) else {
            return;
        };
        let Some(flow) = self.flows.at(number) else {
            return;
        };
        let Stage::Connecting(connecting) = &flow.stage else {
            return;
        };
        self.timers.set(connecting.deadline, id);
        let socket = &flow.upstream.socket;
        if let Err(cause) = context.poll.connection(socket, Name::Upstream(number)) {
            tracing::warn!(%cause, "a connection to an endpoint can't be waited for");
            flow.counters.no_room.add(1);
            self.give_up(number, context);
        }
    }

    /// The endpoint, or the network before it, refused.
    pub(super) fn refused(&mut self, number: u32, context: &Context<'_>) {
        let Some(flow) = self.flows.at(number) else {
            return;
        };
        let Stage::Connecting(connecting) = &flow.stage else {
            return;
        };
        let cause = sockopt::socket_error(&flow.upstream.socket);
        let cause = cause.ok().and_then(Result::err);
        let cause = cause.unwrap_or(Errno::CONNREFUSED);
        hindered(cause, &connecting.target, &flow.counters, context);
        self.next_attempt(number, context);
    }

    /// The endpoint didn't answer in time: the next is asked, if there is one. If there is none,
    /// waiting on is all that can be done.
    pub(super) fn overdue(&mut self, number: u32, context: &Context<'_>) {
        let patience = self.limits.patience;
        let Some(id) = self.flows.id(number) else {
            return;
        };
        let Some(flow) = self.flows.at(number) else {
            return;
        };
        let Stage::Connecting(connecting) = &mut flow.stage else {
            return;
        };
        let last = flow.came + patience;
        if !connecting.is_last && last > context.now {
            let Target {
                endpoint, token, ..
            } = connecting.target;
            let mut tried = connecting.tried;
            tried.add(endpoint, token);
            let full = tried.count() == MAX_ATTEMPTS;
            if full || context.steering.steer(&flow.key, &tried).is_none() {
                connecting.is_last = true;
                connecting.deadline = last;
                self.timers.set(last, id);
                return;
            }
        }
        flow.counters.failed_attempts.add(1);
        let token = connecting.target.token;
        context.steering.note(token, FlowEvent::TimedOut);
        match last > context.now {
            true => self.next_attempt(number, context),
            false => {
                flow.counters.all_failed.add(1);
                self.give_up(number, context);
            }
        }
    }

    /// Asks another endpoint.
    fn next_attempt(&mut self, number: u32, context: &Context<'_>) {
        let Some(flow) = self.flows.at(number) else {
            return;
        };
        let Stage::Connecting(connecting) = &flow.stage else {
            return;
        };
        let Target {
            endpoint, token, ..
        } = connecting.target;
        let mut tried = connecting.tried;
        tried.add(endpoint, token);
        let (key, came, counters) = (flow.key, flow.came, Arc::clone(&flow.counters));
        match self.attempt(&key, &counters, tried, came, context) {
            Ok((upstream, connecting)) => {
                if let Some(flow) = self.flows.at(number) {
                    flow.upstream = upstream;
                    flow.stage = Stage::Connecting(connecting);
                }
                self.watch(number, context);
            }
            Err(failure) => {
                failure.count(&counters);
                self.give_up(number, context);
            }
        }
    }

    /// Ends a flow that has no endpoint: its client's connection breaks.
    pub(super) fn give_up(&mut self, number: u32, context: &Context<'_>) {
        if let Some(flow) = self.flows.remove(number) {
            tracing::debug!(to = %flow.key.to, from = %flow.key.from, thread = context.thread,
                "no endpoint has taken a flow");
            sockets::reset_when_closed(&flow.client.socket);
            drop(flow);
            self.give_room();
        }
    }

    /// The endpoint has accepted: from here on the flow is there.
    pub(super) fn connected(&mut self, number: u32, context: &Context<'_>) {
        let Some(flow) = self.flows.at(number) else {
            return;
        };
        let Stage::Connecting(connecting) = &flow.stage else {
            return;
        };
        let (target, since) = (connecting.target, connecting.since);
        if sockets::is_own(&flow.upstream.socket, target.endpoint)
            || !introduce(&mut flow.upstream, &flow.key, &target)
        {
            return self.refused(number, context);
        }
        let mut open = Open::new(&target, context.now);
        if flow.counters.is_recorded() {
            let (upstream, now) = (&flow.upstream.socket, context.now);
            open.recording = Some(Recording::begin(upstream, Totals::default(), now));
        }
        flow.stage = Stage::Open(open);
        flow.counters.connected.add(1);
        let after = context.now.saturating_duration_since(since);
        let event = FlowEvent::Connected { after };
        context.steering.note(target.token, event);
        self.settle(number, context);
    }

    /// Moves what the client has sent meanwhile, and waits for more.
    fn settle(&mut self, number: u32, context: &Context<'_>) {
        let Some(before) = self.flows.id(number) else {
            return;
        };
        self.advance(number, context);
        // That may have been all of it.
        let Some(flow) = self.flows.get(before) else {
            return;
        };
        let socket = &flow.client.socket;
        if let Err(cause) = context.poll.connection(socket, Name::Client(number)) {
            tracing::warn!(%cause, "a client's connection can't be waited for");
            self.end(number, crate::flows::FlowEnd::ResetByEndpoint, context);
        }
    }
}

/// Tells an endpoint that wants to know it whose connection it is; false if it can't be told.
fn introduce(upstream: &mut Side, key: &FlowKey, target: &Target) -> bool {
    if !target.proxy_header {
        return true;
    }
    let mut room = [0; ROOM];
    let length = Header::write(key.from, key.to, Transport::Tcp, &mut room);
    // A new connection has room for so little.
    upstream.write(&room[..length]) == Ok(length)
}

/// Counts and tells what kept a connection from being made.
fn hindered(cause: Errno, target: &Target, counters: &Counters, context: &Context<'_>) -> Failure {
    counters.failed_attempts.add(1);
    let (event, failure) = match Obstacle::of(cause) {
        Obstacle::Endpoint if cause == Errno::TIMEDOUT => (FlowEvent::TimedOut, Failure::AllFailed),
        Obstacle::Endpoint => (FlowEvent::Refused, Failure::AllFailed),
        Obstacle::Ports => {
            context.counters.no_ports.add(1);
            (FlowEvent::Unable, Failure::NoRoom)
        }
        Obstacle::Descriptors => {
            context.counters.no_descriptors.add(1);
            (FlowEvent::Unable, Failure::NoRoom)
        }
    };
    tracing::debug!(%cause, endpoint = %target.endpoint, "an endpoint can't be reached");
    context.steering.note(target.token, event);
    failure
}

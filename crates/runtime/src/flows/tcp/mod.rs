//! A thread's TCP flows: they come, are connected, move their bytes and end. A client's bytes
//! stay in the kernel until an endpoint has taken the connection, so that an endpoint that
//! doesn't costs nobody anything but time.

mod connect;
mod delay;
mod flow;
mod recording;
mod store;
mod way;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::io::Errno;
use rustix::net::SocketFlags;

use super::handle::Listening;
use super::limits::{Budget, FlowLimits};
use super::poll::{Name, Poll, Ready};
use super::records::A_SWEEP;
use super::slots::{Id, Slots};
use super::timers::Timers;
use super::worker::Context;
use super::{FlowEnd, FlowEvent, FlowKey, FlowProtocol, sockets};
use flow::{Flow, Means, Next, Stage};
use store::Store;
use way::Side;

/// Connections that are accepted before others have their turn.
const ACCEPTED: usize = 32;

/// How long accepting rests when there is no room for a flow.
pub(super) const PAUSE: Duration = Duration::from_millis(20);

/// The flows of a thread.
pub(super) struct Tcp {
    listeners: BTreeMap<u32, Arc<Listening>>,
    flows: Slots<Flow>,
    /// Those that have more to move than their turn let them.
    again: Vec<Id>,
    timers: Timers,
    means: Means,
    limits: FlowLimits,
    budget: Arc<Budget>,
    /// Accepting rests until then.
    paused: Option<Instant>,
}

impl Tcp {
    pub(super) fn new(limits: FlowLimits, budget: Arc<Budget>) -> Tcp {
        Tcp {
            listeners: BTreeMap::new(),
            flows: Slots::new(),
            again: Vec::new(),
            timers: Timers::new(),
            means: Means {
                store: Store::new(Arc::clone(&budget)),
                room: delay::Room {
                    flow: limits.in_flight,
                    thread: limits.thread_in_flight,
                    under_way: 0,
                },
            },
            limits,
            budget,
            paused: None,
        }
    }

    /// Takes connections there, too.
    pub(super) fn listen(&mut self, at: Arc<Listening>, poll: &Poll) {
        let number = at.number;
        let (None, Some(socket)) = (self.listeners.get(&number), at.sockets.first()) else {
            return;
        };
        if self.paused.is_none()
            && let Err(cause) = poll.listener(socket, Name::TcpListener(number))
        {
            tracing::error!(%cause, address = %at.bound, "flows can't be waited for");
        }
        self.listeners.insert(number, at);
    }

    /// Takes no more connections there, but those that have come already.
    pub(super) fn close(&mut self, number: u32, context: &Context<'_>) {
        self.accept(number, context);
        if let Some(at) = self.listeners.remove(&number)
            && let Some(socket) = at.sockets.first()
            && self.paused.is_none()
        {
            context.poll.forget(socket);
        }
    }

    /// A listener has connections.
    pub(super) fn accept(&mut self, number: u32, context: &Context<'_>) {
        let Some(at) = self.listeners.get(&number).cloned() else {
            return;
        };
        let Some(socket) = at.sockets.first() else {
            return;
        };
        for _ in 0..ACCEPTED {
            if !self.take_room() {
                return self.pause(context);
            }
            let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
            match rustix::net::acceptfrom_with(socket, flags) {
                Ok((client, from)) => match from.map(SocketAddr::try_from) {
                    Some(Ok(from)) => self.begin(client, from, &at, context),
                    _ => self.give_room(),
                },
                Err(cause) => {
                    self.give_room();
                    if cause == Errno::AGAIN {
                        return;
                    }
                    if sockets::is_exhaustion(cause) {
                        context.counters.no_descriptors.add(1);
                        return self.pause(context);
                    }
                    // A client that has gone again, or an error of the network before it: the
                    // next may be better (accept(2)).
                }
            }
        }
    }

    /// Takes a connection over whose room was taken from the budget.
    pub(super) fn adopt(
        &mut self,
        client: OwnedFd,
        from: SocketAddr,
        at: &Listening,
        context: &Context<'_>,
    ) {
        self.begin(client, from, at, context);
    }

    fn begin(&mut self, client: OwnedFd, from: SocketAddr, at: &Listening, context: &Context<'_>) {
        let key = FlowKey {
            to: at.bound,
            from,
            protocol: FlowProtocol::Tcp,
        };
        let counters = Arc::clone(&at.counters[context.thread]);
        counters.came.add(1);
        self.first_attempt(Side::new(client), key, counters, context);
    }

    fn take_room(&self) -> bool {
        if !self.budget.tcp_flows.take(1) {
            return false;
        }
        let taken = self.budget.descriptors.take(2);
        if !taken {
            self.budget.tcp_flows.give(1);
        }
        taken
    }

    fn give_room(&self) {
        self.budget.tcp_flows.give(1);
        self.budget.descriptors.give(2);
    }

    /// Connections wait until there is room: they are accepted no sooner than that.
    fn pause(&mut self, context: &Context<'_>) {
        if self.paused.is_none() {
            context.counters.pauses.add(1);
            tracing::debug!(
                flows = self.limits.tcp_flows,
                "there is no room or no descriptor for another flow: connections wait"
            );
            for at in self.listeners.values() {
                at.sockets.iter().for_each(|at| context.poll.forget(at));
            }
        }
        self.paused = Some(context.now + PAUSE);
    }

    fn resume(&mut self, context: &Context<'_>) {
        if self.paused.is_none_or(|until| until > context.now) {
            return;
        }
        if !self.take_room() {
            self.paused = Some(context.now + PAUSE);
            return;
        }
        self.give_room();
        self.paused = None;
        for (number, at) in std::mem::take(&mut self.listeners) {
            self.listen(at, context.poll);
            debug_assert!(self.listeners.contains_key(&number));
        }
    }

    /// Something has become of a client's connection.
    pub(super) fn client(&mut self, number: u32, ready: Ready, context: &Context<'_>) {
        if let Some(flow) = self.flows.at(number) {
            flow.client.learn(ready);
            self.advance(number, context);
        }
    }

    /// Something has become of a connection to an endpoint.
    pub(super) fn upstream(&mut self, number: u32, ready: Ready, context: &Context<'_>) {
        let Some(flow) = self.flows.at(number) else {
            return;
        };
        match &flow.stage {
            Stage::Open(_) => {
                flow.upstream.learn(ready);
                self.advance(number, context);
            }
            Stage::Connecting(_) if ready.failed => self.refused(number, context),
            Stage::Connecting(_) if ready.writable => {
                flow.upstream.learn(ready);
                self.connected(number, context);
            }
            Stage::Connecting(_) => {}
        }
    }

    fn advance(&mut self, number: u32, context: &Context<'_>) {
        let Some(id) = self.flows.id(number) else {
            return;
        };
        let Some(flow) = self.flows.at(number) else {
            return;
        };
        let Stage::Open(open) = &mut flow.stage else {
            return;
        };
        let sides = (&mut flow.client, &mut flow.upstream);
        let (next, looks) = open.advance(sides, &flow.counters, &mut self.means, context.now);
        for look in looks.into_iter().flatten().flatten() {
            self.timers.set(look, id);
        }
        match next {
            Next::Wait => {}
            Next::Again => self.again.push(id),
            Next::End(end) => self.end(number, end, context),
        }
    }

    /// Ends a flow that is at its endpoint. Whose connection broke, the other's breaks as well.
    fn end(&mut self, number: u32, end: FlowEnd, context: &Context<'_>) {
        let Some(mut flow) = self.flows.remove(number) else {
            return;
        };
        let Stage::Open(open) = &mut flow.stage else {
            return;
        };
        recording::finish(&flow.key, &flow.client, open, context);
        open.abandon(&mut self.means);
        match end {
            FlowEnd::Closed | FlowEnd::Stopped => {}
            FlowEnd::ResetByClient => sockets::reset_when_closed(&flow.upstream.socket),
            FlowEnd::ResetByEndpoint => sockets::reset_when_closed(&flow.client.socket),
            FlowEnd::Idle => {
                flow.counters.idle.add(1);
                sockets::reset_when_closed(&flow.upstream.socket);
                sockets::reset_when_closed(&flow.client.socket);
            }
        }
        flow.counters.ended.add(1);
        let (to_endpoint, to_client) = open.moved();
        let event = FlowEvent::Ended {
            to_endpoint,
            to_client,
            lasted: context.now.saturating_duration_since(open.since),
            end,
        };
        context.steering.note(open.target.token, event);
        drop(flow);
        self.give_room();
    }

    /// What is due: attempts that took too long, bytes that arrive, turns that were cut short.
    pub(super) fn turn(&mut self, context: &Context<'_>) {
        self.flows.rest();
        self.resume(context);
        while let Some(id) = self.timers.due(context.now) {
            match self.flows.get(id).map(|flow| &flow.stage) {
                Some(Stage::Open(_)) => self.advance(id.number, context),
                Some(Stage::Connecting(connecting)) if connecting.deadline <= context.now => {
                    self.overdue(id.number, context);
                }
                _ => {}
            }
        }
        for id in std::mem::take(&mut self.again) {
            if self.flows.get(id).is_some() {
                self.advance(id.number, context);
            }
        }
    }

    /// How long the thread may wait; none for as long as nothing happens.
    pub(super) fn wait(&self, now: Instant) -> Option<Duration> {
        if !self.again.is_empty() {
            return Some(Duration::ZERO);
        }
        let paused = self
            .paused
            .map(|until| until.saturating_duration_since(now));
        let timer = self.timers.wait(now);
        paused.into_iter().chain(timer).min()
    }

    /// Ends the flows that were silent for too long, and records those of which that is wanted.
    pub(super) fn sweep(&mut self, context: &Context<'_>) {
        let mut records = 0;
        for number in 0..self.flows.numbers() {
            let idle = self.flows.at(number).is_some_and(|flow| match &flow.stage {
                Stage::Open(open) => open.silent_for(context.now) >= self.limits.tcp_idle,
                Stage::Connecting(_) => false,
            });
            if idle {
                self.end(number, FlowEnd::Idle, context);
            } else if records < A_SWEEP {
                records += usize::from(self.record(number, context));
            }
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.flows.is_empty()
    }

    /// Ends all flows.
    pub(super) fn stop(&mut self, context: &Context<'_>) {
        for number in 0..self.flows.numbers() {
            match self.flows.at(number).map(|flow| &flow.stage) {
                Some(Stage::Open(_)) => self.end(number, FlowEnd::Stopped, context),
                Some(Stage::Connecting(_)) => self.give_up(number, context),
                None => {}
            }
        }
    }
}

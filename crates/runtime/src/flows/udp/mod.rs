//! A thread's UDP flows. A client's datagrams come to a socket of the thread's own among which
//! the kernel spreads clients; each flow has a socket to its endpoint. Datagrams are taken and
//! sent many at a time. One that can't be sent is dropped, as the network would.

mod attempt;
mod batch;
mod flow;
mod later;
mod recording;
mod relayed;
mod segments;

use std::cell::Cell;
use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use rustix::io::Errno;

use super::counters::Counters;
use super::handle::Listening;
use super::limits::{Budget, FlowLimits};
use super::poll::Name;
use super::records::{A_SWEEP, Moved};
use super::slots::Slots;
use super::worker::Context;
use super::{FlowEnd, FlowEvent, FlowKey, FlowProtocol, Tried};
use crate::dns::proxy::ROOM;
use attempt::{attempt, ended};
pub(super) use batch::{BATCH, Batch};
use flow::{Caller, Flow};
use later::{Later, Towards};

/// Batches that are thrown away, at most, when a listener is opened again: as many as the kernel
/// may hold of small datagrams.
const DRAINED: usize = 256;

/// When as many flows are there as may be, those go to which nothing was ever answered, as to a
/// sender that gave an address that isn't its own, after so long without another datagram ...
const UNANSWERED: Duration = Duration::from_secs(1);

/// ... which is looked for no more often than this.
const BETWEEN_CLEARINGS: Duration = Duration::from_millis(100);

/// The thread that has the flows of addresses that another process holds.
pub(super) const BEHIND: usize = 0;

/// The flows of a thread.
pub(super) struct Udp {
    doors: BTreeMap<u32, Rc<Door>>,
    /// Those at addresses that another process holds.
    behind: BTreeMap<SocketAddr, u32>,
    flows: Slots<Flow>,
    by_caller: HashMap<Caller, u32>,
    batch: Batch,
    later: Later,
    limits: FlowLimits,
    budget: Arc<Budget>,
    cleared: Option<Instant>,
}

/// Where clients' datagrams come to in this thread.
struct Door {
    at: Arc<Listening>,
    thread: usize,
    flows: Cell<usize>,
    /// It takes no new flows, and goes with the last that it has.
    closing: Cell<bool>,
}

impl Door {
    fn socket(&self) -> &OwnedFd {
        // One socket a thread was opened, or there is one thread.
        &self.at.sockets[self.thread]
    }

    fn counters(&self) -> &Counters {
        &self.at.counters[self.thread]
    }
}

impl Udp {
    pub(super) fn new(limits: FlowLimits, budget: Arc<Budget>) -> Udp {
        Udp {
            doors: BTreeMap::new(),
            behind: BTreeMap::new(),
            flows: Slots::new(),
            by_caller: HashMap::new(),
            batch: Batch::new(),
            later: Later::new(limits.thread_in_flight),
            limits,
            budget,
            cleared: None,
        }
    }

    /// Takes flows there, too.
    pub(super) fn listen(&mut self, at: Arc<Listening>, context: &Context<'_>) {
        let number = at.number;
        if let Some(door) = self.doors.get(&number) {
            return door.closing.set(false);
        }
        if at.behind && context.thread != BEHIND {
            return;
        }
        let door = Door {
            at,
            thread: context.thread,
            flows: Cell::new(0),
            closing: Cell::new(false),
        };
        if door.at.behind {
            self.behind.insert(door.at.bound, number);
            self.doors.insert(number, Rc::new(door));
            return;
        }
        if door.at.was_closed.load(Ordering::Relaxed) {
            // What came while nobody was to be served isn't served now.
            let mut queued = 0..DRAINED;
            while queued.next().is_some() && self.batch.receive(door.socket()).is_ok() {}
        }
        let name = Name::UdpListener(number);
        if let Err(cause) = context.poll.datagrams(door.socket(), name) {
            tracing::error!(%cause, address = %door.at.bound, "flows can't be waited for");
        }
        self.doors.insert(number, Rc::new(door));
    }

    /// Takes no new flows there.
    pub(super) fn close(&mut self, number: u32, context: &Context<'_>) {
        if let Some(door) = self.doors.get(&number) {
            door.closing.set(true);
            self.leave(number, context);
        }
    }

    /// A door that is closing goes with its last flow.
    fn leave(&mut self, number: u32, context: &Context<'_>) {
        let left = self.doors.get(&number);
        if left.is_some_and(|door| door.closing.get() && door.flows.get() == 0)
            && let Some(door) = self.doors.remove(&number)
        {
            match door.at.behind {
                true => drop(self.behind.remove(&door.at.bound)),
                false => context.poll.forget(door.socket()),
            }
        }
    }

    /// Clients' datagrams have come.
    pub(super) fn client_datagrams(&mut self, number: u32, context: &Context<'_>) {
        let Some(door) = self.doors.get(&number).cloned() else {
            return;
        };
        let count = match self.batch.receive(door.socket()) {
            Ok(count) => count,
            Err(Errno::AGAIN | Errno::INTR) => return,
            Err(cause) => {
                tracing::debug!(%cause, address = %door.at.bound, "no datagrams were received");
                return;
            }
        };
        let mut owners = [None; BATCH];
        for (index, owner) in owners[..count].iter_mut().enumerate() {
            let from = self.batch.sender(index);
            *owner = from.and_then(|from| self.owner(&door, from, context));
            if owner.is_none() {
                door.counters().dropped.add(1);
            }
        }
        self.forward_all(&owners[..count], context);
    }

    /// Sends the datagrams of a batch, whose flows these are, to their endpoints.
    fn forward_all(&mut self, owners: &[Option<u32>], context: &Context<'_>) {
        let mut done = 0;
        for index in 0..owners.len() {
            let Some(owner) = owners[index].filter(|_| done & 1 << index == 0) else {
                continue;
            };
            let chosen = bits(owners, owner);
            done |= chosen;
            self.forward(owner, chosen, context);
        }
    }

    /// Whose a datagram is, or to be: the number of its flow; none if there is to be none.
    fn owner(&mut self, door: &Rc<Door>, from: SocketAddr, context: &Context<'_>) -> Option<u32> {
        if let Some(number) = self.by_caller.get(&(door.at.number, from)).copied() {
            let flow = self.flows.at(number)?;
            flow.active = context.now;
            return match flow.refused {
                true => self.move_on(number, context),
                false => Some(number),
            };
        }
        if door.closing.get() {
            return None;
        }
        self.begin(door, from, context)
    }

    fn begin(&mut self, door: &Rc<Door>, from: SocketAddr, context: &Context<'_>) -> Option<u32> {
        let counters = door.counters();
        counters.came.add(1);
        let has_room = self.take_room() || self.clear(context) && self.take_room();
        if !has_room {
            counters.no_room.add(1);
            return None;
        }
        let key = FlowKey {
            to: door.at.bound,
            from,
            protocol: FlowProtocol::Udp,
        };
        let Some((target, upstream, tried)) = attempt(&key, counters, Tried::default(), context)
        else {
            self.give_room();
            return None;
        };
        let flow = Flow {
            key,
            door: Rc::clone(door),
            client: from.into(),
            upstream,
            target,
            tried,
            answered: false,
            refused: false,
            since: context.now,
            active: context.now,
            to_endpoint: Moved::default(),
            to_client: Moved::default(),
            recording: None,
        };
        let number = self.flows.insert(flow).number;
        self.by_caller.insert((door.at.number, from), number);
        door.flows.set(door.flows.get() + 1);
        self.connected(number, context)
    }

    /// A flow has an endpoint: what comes from it is waited for.
    fn connected(&mut self, number: u32, context: &Context<'_>) -> Option<u32> {
        let flow = self.flows.at(number)?;
        let (door, token) = (Rc::clone(&flow.door), flow.target.token);
        door.counters().connected.add(1);
        recording::begin(flow, context);
        let after = Duration::ZERO;
        context.steering.note(token, FlowEvent::Connected { after });
        let name = Name::UdpUpstream(number);
        if let Err(cause) = context.poll.datagrams(&flow.upstream, name) {
            tracing::warn!(%cause, "an endpoint's datagrams can't be waited for");
            self.end(number, FlowEnd::ResetByEndpoint, context);
            return None;
        }
        Some(number)
    }

    /// A flow whose endpoint refused, and never answered, goes to another.
    fn move_on(&mut self, number: u32, context: &Context<'_>) -> Option<u32> {
        let flow = self.flows.at(number)?;
        let mut tried = flow.tried;
        tried.add(flow.target.endpoint, flow.target.token);
        let door = Rc::clone(&flow.door);
        let moved = attempt(&flow.key, door.counters(), tried, context);
        let Some((target, upstream, tried)) = moved else {
            self.end(number, FlowEnd::ResetByEndpoint, context);
            return None;
        };
        // It ended there, and begins here.
        recording::finish(flow, context);
        flow.recording = None;
        let event = ended(flow, FlowEnd::ResetByEndpoint, context.now);
        context.steering.note(flow.target.token, event);
        door.counters().ended.add(1);
        flow.target = target;
        flow.upstream = upstream;
        flow.tried = tried;
        flow.refused = false;
        flow.since = context.now;
        (flow.to_endpoint, flow.to_client) = Default::default();
        self.connected(number, context)
    }

    /// Sends these datagrams of a batch to the endpoint of their flow.
    fn forward(&mut self, number: u32, chosen: u32, context: &Context<'_>) {
        let Some(id) = self.flows.id(number) else {
            return;
        };
        let Some(flow) = self.flows.at(number) else {
            return;
        };
        let mut room = [0; ROOM];
        let length = flow.introduction(&mut room);
        let header = &room[..length];
        flow.active = context.now;
        if let Some(delay) = flow.delay() {
            let due = context.now + delay;
            for index in (0..BATCH).filter(|index| chosen & 1 << index != 0) {
                let datagram = [header, self.batch.datagram(index)].concat();
                if !self.later.add(due, id, Towards::Endpoint(length), datagram) {
                    flow.door.counters().dropped.add(1);
                }
            }
            return;
        }
        let sent = self.batch.send(&flow.upstream, None, header, chosen);
        let bytes = (sent.bytes - sent.count * length) as u64;
        flow.count_to_endpoint(sent.count, bytes);
        let lost = chosen.count_ones() as usize - sent.count;
        flow.door.counters().dropped.add(lost as u64);
        if let Some(cause) = sent.error {
            self.failed(number, cause, context);
        }
    }

    /// An endpoint's datagrams have come, or an error of its socket.
    pub(super) fn endpoint_datagrams(&mut self, number: u32, context: &Context<'_>) {
        let Some(id) = self.flows.id(number) else {
            return;
        };
        let Some(flow) = self.flows.at(number) else {
            return;
        };
        let count = match self.batch.receive(&flow.upstream) {
            Ok(count @ 1..) => count,
            Ok(0) | Err(Errno::AGAIN | Errno::INTR) => return,
            Err(cause) => return self.failed(number, cause, context),
        };
        flow.answered = true;
        flow.active = context.now;
        if let Some(delay) = flow.delay() {
            let due = context.now + delay;
            for index in 0..count {
                let datagram = self.batch.datagram(index).to_vec();
                if !self.later.add(due, id, Towards::Client, datagram) {
                    flow.door.counters().dropped.add(1);
                }
            }
            return;
        }
        let chosen = u32::MAX >> (BATCH - count);
        let socket = flow.door.socket();
        let sent = self.batch.send(socket, Some(&flow.client), &[], chosen);
        flow.count_to_client(sent.count, sent.bytes as u64);
        flow.door
            .counters()
            .dropped
            .add((count - sent.count) as u64);
    }

    /// A flow's socket has an error, which mostly is an endpoint's refusal (ICMP).
    fn failed(&mut self, number: u32, cause: Errno, context: &Context<'_>) {
        let Some(flow) = self.flows.at(number) else {
            return;
        };
        tracing::debug!(%cause, endpoint = %flow.target.endpoint, "a datagram was refused");
        // Once it has answered, a flow stays where it is.
        if cause == Errno::CONNREFUSED && !flow.answered && !flow.refused {
            flow.refused = true;
            flow.door.counters().failed_attempts.add(1);
            context.steering.note(flow.target.token, FlowEvent::Refused);
        }
    }

    fn end(&mut self, number: u32, end: FlowEnd, context: &Context<'_>) {
        let Some(mut flow) = self.flows.remove(number) else {
            return;
        };
        recording::finish(&mut flow, context);
        let door = Rc::clone(&flow.door);
        self.by_caller.remove(&(door.at.number, flow.key.from));
        door.counters().ended.add(1);
        if end == FlowEnd::Idle {
            door.counters().idle.add(1);
        }
        let event = ended(&flow, end, context.now);
        context.steering.note(flow.target.token, event);
        drop(flow);
        self.give_room();
        door.flows.set(door.flows.get() - 1);
        self.leave(door.at.number, context);
    }

    fn take_room(&self) -> bool {
        if !self.budget.udp_flows.take(1) {
            return false;
        }
        let taken = self.budget.descriptors.take(1);
        if !taken {
            self.budget.udp_flows.give(1);
        }
        taken
    }

    /// Makes room, if there are flows that nobody would miss; gives whether any was looked for.
    fn clear(&mut self, context: &Context<'_>) -> bool {
        let next = self.cleared.map(|cleared| cleared + BETWEEN_CLEARINGS);
        if next.is_some_and(|next| next > context.now) {
            return false;
        }
        self.cleared = Some(context.now);
        for number in 0..self.flows.numbers() {
            let flow = self.flows.at(number);
            if flow.is_some_and(|flow| !flow.answered && flow.silent_for(context.now) >= UNANSWERED)
            {
                self.end(number, FlowEnd::Idle, context);
            }
        }
        true
    }

    fn give_room(&self) {
        self.budget.udp_flows.give(1);
        self.budget.descriptors.give(1);
    }

    /// Hands over what has arrived.
    pub(super) fn turn(&mut self, context: &Context<'_>) {
        self.flows.rest();
        while let Some((id, towards, datagram)) = self.later.due(context.now) {
            let Some(flow) = self.flows.get(id) else {
                continue;
            };
            if let Err(cause) = flow.hand_over(towards, &datagram) {
                flow.door.counters().dropped.add(1);
                self.failed(id.number, cause, context);
            }
        }
    }

    /// How long the thread may wait; none for as long as nothing happens.
    pub(super) fn wait(&self, now: Instant) -> Option<Duration> {
        self.later.wait(now)
    }

    /// Ends the flows that were silent for too long, and records those of which that is wanted.
    pub(super) fn sweep(&mut self, context: &Context<'_>) {
        let mut records = 0;
        for number in 0..self.flows.numbers() {
            let flow = self.flows.at(number);
            if flow.is_some_and(|flow| flow.silent_for(context.now) >= self.limits.udp_idle) {
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
            self.end(number, FlowEnd::Stopped, context);
        }
    }
}

/// Which of these are that owner's.
fn bits(owners: &[Option<u32>], owner: u32) -> u32 {
    let owned = owners.iter().enumerate();
    let owned = owned.filter(|(_, candidate)| **candidate == Some(owner));
    owned.fold(0, |bits, (index, _)| bits | 1 << index)
}

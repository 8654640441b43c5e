//! The thread that holds addresses: it accepts what comes to them, chooses a process for each
//! connection and hands it over.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::io::Errno;
use rustix::net::SocketFlags;

use super::datagrams::Datagrams;
use super::listeners::Held;
use super::member::{Heard, Member};
use super::{AnycastState, Command, Distance, Mailbox};
use crate::flows::poll::{Events, Name, Poll};
use crate::flows::{FlowListener, FlowProtocol, sockets};

/// Connections that are accepted before others have their turn.
const ACCEPTED: usize = 32;

/// Connections that may wait for room in a process; with so many, no more are accepted.
const MOST_WAITING: usize = 256;

/// How often the processes are looked at.
const TICK: Duration = Duration::from_millis(100);

/// How soon what couldn't be done for want of room is tried again.
const RETRY: Duration = Duration::from_millis(10);

/// A connection that no process has been given yet.
pub(super) struct Waiting {
    socket: OwnedFd,
    from: SocketAddr,
    listener: FlowListener,
}

/// What the thread has.
pub(super) struct Holder {
    mailbox: Arc<Mailbox>,
    pub(super) poll: Poll,
    pub(super) distance: Box<Distance>,
    pub(super) members: BTreeMap<u32, Member>,
    /// Who is given nothing new, whether or not it is there now.
    drained: BTreeSet<u32>,
    pub(super) held: BTreeMap<u32, Held>,
    pub(super) numbers: BTreeMap<FlowListener, u32>,
    pub(super) next_number: u32,
    pub(super) datagrams: Datagrams,
    waiting: VecDeque<Waiting>,
    /// Accepting rests until then.
    paused: Option<Instant>,
    unserved: u64,
    stopping: bool,
}

impl Holder {
    pub(super) fn new(mailbox: Arc<Mailbox>, distance: Box<Distance>) -> std::io::Result<Holder> {
        let poll = Poll::new()?;
        mailbox.waker.watch(&poll)?;
        Ok(Holder {
            mailbox,
            poll,
            distance,
            members: BTreeMap::new(),
            drained: BTreeSet::new(),
            held: BTreeMap::new(),
            numbers: BTreeMap::new(),
            next_number: 0,
            datagrams: Datagrams::new(),
            waiting: VecDeque::new(),
            paused: None,
            unserved: 0,
            stopping: false,
        })
    }

    /// Runs until it is told to stop.
    pub(super) fn run(mut self) {
        let mut events = Events::new();
        while !self.stopping {
            let count = match self.poll.wait(&mut events, self.wait()) {
                Ok(count) => count,
                Err(cause) => {
                    tracing::error!(%cause, "held addresses can't be waited for: trying again");
                    std::thread::sleep(RETRY);
                    0
                }
            };
            let now = Instant::now();
            for index in 0..count {
                let (name, _) = events.get(index);
                match name {
                    Name::Wake => self.obey(now),
                    Name::TcpListener(number) => self.accept(number, now),
                    Name::UdpListener(number) => self.relay(number, now),
                    Name::Member(number) => self.hear(number, now),
                    Name::Returned(number) => self.returned(number, now),
                    Name::Client(_) | Name::Upstream(_) | Name::UdpUpstream(_) | Name::Relayed => {}
                }
            }
            self.turn(now);
        }
    }

    fn wait(&self) -> Option<Duration> {
        let is_hurried = !self.waiting.is_empty()
            || self.paused.is_some()
            || self.members.values().any(Member::has_unsaid);
        match (is_hurried, self.members.is_empty()) {
            (true, _) => Some(RETRY),
            (false, false) => Some(TICK),
            (false, true) => None,
        }
    }

    fn obey(&mut self, now: Instant) {
        self.mailbox.waker.clear();
        for command in self.mailbox.take() {
            match command {
                Command::Attach(number, ends, done) => {
                    self.detach(number, now);
                    let member = Member::new(*ends, now);
                    self.attach(number, member);
                    done.send(()).ok();
                }
                Command::Detach(number, done) => {
                    self.detach(number, now);
                    done.send(()).ok();
                }
                Command::Drain(number, is_drained, done) => {
                    self.drain(number, is_drained);
                    done.send(()).ok();
                }
                Command::Tell(teller) => drop(teller.send(self.state())),
                Command::Stop => self.stopping = true,
            }
        }
    }

    /// From here on a process is heard, and what it gives back.
    pub(super) fn attach(&mut self, number: u32, member: Member) {
        let control = (member.control(), Name::Member(number));
        let datagrams = (member.datagram_channel(), Name::Returned(number));
        for (socket, name) in [control, datagrams] {
            if let Err(cause) = self.poll.datagrams(socket, name) {
                tracing::error!(%cause, "a process behind addresses can't be heard");
            }
        }
        self.members.insert(number, member);
    }

    /// Who has that number is given nothing new, or is again.
    pub(super) fn drain(&mut self, number: u32, is_drained: bool) {
        match is_drained {
            true => self.drained.insert(number),
            false => self.drained.remove(&number),
        };
    }

    pub(super) fn state(&self) -> AnycastState {
        let members = self.members.iter();
        let members = members.map(|(number, it)| it.state(*number, self.drained.contains(number)));
        AnycastState {
            listeners: self.held.len(),
            waiting: self.waiting.len(),
            unserved: self.unserved,
            dropped: self.datagrams.dropped,
            members: members.collect(),
        }
    }

    pub(super) fn hear(&mut self, number: u32, now: Instant) {
        loop {
            let Some(member) = self.members.get_mut(&number) else {
                return;
            };
            match member.hear(now) {
                Heard::Nothing => return,
                Heard::Listen(asked, listeners) => self.listen(number, asked, listeners, now),
                Heard::End => return self.detach(number, now),
            }
        }
    }

    /// A process is gone, or isn't believed any more.
    pub(super) fn detach(&mut self, number: u32, now: Instant) {
        let Some(mut member) = self.members.remove(&number) else {
            return;
        };
        let left = member.take_back();
        drop(member);
        self.datagrams.forget(number, &mut self.held);
        self.hand_again(left, now);
        self.close_unwanted();
    }

    /// A listener has connections.
    pub(super) fn accept(&mut self, number: u32, now: Instant) {
        for _ in 0..ACCEPTED {
            let Some(held) = self.held.get(&number) else {
                return;
            };
            if held.listener.protocol != FlowProtocol::Tcp {
                return;
            }
            if self.waiting.len() >= MOST_WAITING {
                return self.pause(now);
            }
            let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
            let listener = held.listener;
            match rustix::net::acceptfrom_with(&held.socket, flags) {
                Ok((socket, from)) => {
                    if let Some(Ok(from)) = from.map(SocketAddr::try_from) {
                        self.hand(Waiting {
                            socket,
                            from,
                            listener,
                        });
                    }
                }
                Err(Errno::AGAIN) => return,
                Err(cause) if sockets::is_exhaustion(cause) => return self.pause(now),
                // A client that has gone again, or an error of the network before it: the next
                // may be better (accept(2)).
                Err(_) => {}
            }
        }
    }

    /// Connections wait in the kernel for a while.
    fn pause(&mut self, now: Instant) {
        if self.paused.replace(now + RETRY).is_some() {
            return;
        }
        let listeners = self.held.values();
        let listeners = listeners.filter(|held| held.listener.protocol == FlowProtocol::Tcp);
        listeners.for_each(|held| self.poll.forget(&held.socket));
    }

    fn resume(&mut self, now: Instant) {
        if self.paused.is_none_or(|until| until > now) || self.waiting.len() >= MOST_WAITING {
            return;
        }
        self.paused = None;
        for (number, held) in &self.held {
            held.watch(*number, &self.poll);
        }
    }

    pub(super) fn is_paused(&self) -> bool {
        self.paused.is_some()
    }

    /// Is that process given what is new?
    pub(super) fn is_open(&self, number: u32, member: &Member) -> bool {
        !member.leaving && !self.drained.contains(&number)
    }

    /// The processes that want it and aren't drained: is it silent, how far is it, which is it. In
    /// this order the first is the one to choose.
    fn wanting(
        &self,
        from: SocketAddr,
        listener: &FlowListener,
    ) -> impl Iterator<Item = (bool, u64, u32)> {
        let members = self.members.iter();
        let wanting = members.filter(|(number, member)| {
            member.wants.contains(listener) && self.is_open(**number, member)
        });
        wanting.map(move |(number, member)| {
            let distance = (self.distance)(from, *number);
            (member.silent, distance, *number)
        })
    }

    /// The process that is nearest of those that want it and are alive; if none is alive, the
    /// nearest of those that may be again.
    pub(super) fn choose(&self, from: SocketAddr, listener: &FlowListener) -> Option<u32> {
        let nearest = self.wanting(from, listener).min();
        nearest.map(|(_, _, number)| number)
    }

    /// Hands it to the nearest that has room: one that is full must hold up nobody whom another
    /// can serve.
    fn hand(&mut self, connection: Waiting) {
        let wanting = self.wanting(connection.from, &connection.listener);
        let mut wanting: Vec<_> = wanting.collect();
        wanting.sort_unstable();
        let Some((is_silent, _, _)) = wanting.first().copied() else {
            self.unserved += 1;
            sockets::reset_when_closed(&connection.socket);
            return;
        };
        // While one is alive, none that hangs gets anything.
        let alike = wanting.iter().filter(|(other, _, _)| *other == is_silent);
        for (_, _, number) in alike {
            let member = self.members.get_mut(number);
            if member.is_some_and(|member| member.hand(&connection.socket)) {
                return;
            }
        }
        self.waiting.push_back(connection);
    }

    /// Gives connections that were taken back to whoever is nearest now.
    fn hand_again(&mut self, connections: Vec<OwnedFd>, _now: Instant) {
        for socket in connections {
            let from = rustix::net::getpeername(&socket).ok().flatten();
            let from = from.and_then(|from| SocketAddr::try_from(from).ok());
            // A client that has gone meanwhile needs nobody.
            let (Some(from), Ok(address)) = (from, sockets::bound(&socket)) else {
                continue;
            };
            let held = self
                .held
                .values()
                .find(|held| held.bound == address && held.listener.protocol == FlowProtocol::Tcp);
            match held.map(|held| held.listener) {
                Some(listener) => self.hand(Waiting {
                    socket,
                    from,
                    listener,
                }),
                None => sockets::reset_when_closed(&socket),
            }
        }
    }

    /// What is due: processes that hang, and what there was no room for.
    pub(super) fn turn(&mut self, now: Instant) {
        let mut gone = Vec::new();
        for (number, member) in &mut self.members {
            if !member.flush() {
                gone.push(*number);
            }
            if member.look(now) {
                tracing::warn!(number, "a process behind addresses hangs");
            }
        }
        for number in gone {
            self.detach(number, now);
        }
        self.take_back(now);
        for _ in 0..self.waiting.len() {
            if let Some(connection) = self.waiting.pop_front() {
                self.hand(connection);
            }
        }
        self.resume(now);
        if self.datagrams.expire(now, &mut self.held) {
            self.close_unwanted();
        }
    }
    /// Takes from processes that hang what another can serve. Again and again: what came while all
    /// hung lies with one of them when another is heard again.
    fn take_back(&mut self, now: Instant) {
        let (silent, alive): (Vec<_>, Vec<_>) =
            self.members.iter().partition(|(_, member)| member.silent);
        let replaced = silent.into_iter().filter(|(_, member)| {
            let mut alive = alive.iter();
            alive.any(|(number, other)| {
                self.is_open(**number, other) && !other.wants.is_disjoint(&member.wants)
            })
        });
        let replaced: Vec<u32> = replaced.map(|(number, _)| *number).collect();
        for number in replaced {
            let member = self.members.get_mut(&number);
            let left = member.map(Member::take_back).unwrap_or_default();
            self.hand_again(left, now);
        }
    }
}

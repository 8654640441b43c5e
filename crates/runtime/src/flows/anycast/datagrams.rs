//! Datagrams that come to held addresses: each client's go to one process, for as long as they come
//! and it is alive, with what says whose they are before each. What can't be passed on is dropped.
//!
//! A conversation lives by what either side sends, and only its process sees both. So one that is
//! given nothing new gets what may be of its conversations marked, and gives back what isn't: that
//! goes to another. While nobody is drained or leaves, nothing is marked. One that has no room for
//! what it is asked about holds up nobody: that goes to another, as if it had been given back.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use super::holder::Holder;
use super::listeners::Held;
use super::message::{HEADER, Header};
use crate::flows::udp::{BATCH, Batch};
use crate::flows::{FlowListener, FlowProtocol};

/// Which process a client that was silent for so long comes to is chosen anew, which mostly is the
/// same. By then its flow has ended (Global Accelerator: 30 s) unless the endpoint goes on sending,
/// even if its last datagram was on its way for a while.
const FORGOTTEN: Duration = Duration::from_secs(35);

/// How often silent clients are looked for.
const SWEEP: Duration = Duration::from_secs(5);

/// Clients whose process is remembered, at most; others come to the nearest each time.
const MOST_CALLERS: usize = 65_536;

/// Which process datagrams go to.
#[derive(Clone, Copy)]
struct Route {
    to: u32,
    /// It has their conversation, or gives them back.
    must_be_known: bool,
    /// Nothing says that it has their conversation.
    is_guess: bool,
}

/// What the relaying needs.
pub(super) struct Datagrams {
    batch: Batch,
    callers: usize,
    swept: Option<Instant>,
    pub(super) dropped: u64,
}

impl Datagrams {
    pub(super) fn new() -> Datagrams {
        Datagrams {
            // A Unix socket would take many for one.
            batch: Batch::without_segments(),
            callers: 0,
            swept: None,
            dropped: 0,
        }
    }

    /// A process is gone: its clients come to another.
    pub(super) fn forget(&mut self, member: u32, held: &mut BTreeMap<u32, Held>) {
        for held in held.values_mut() {
            let before = held.callers.len();
            held.callers.retain(|_, (owner, _)| *owner != member);
            self.callers -= before - held.callers.len();
        }
    }

    /// Nothing is known of that client from here on.
    fn forget_caller(&mut self, client: SocketAddr, held: Option<&mut Held>) {
        if held.is_some_and(|held| held.callers.remove(&client).is_some()) {
            self.callers -= 1;
        }
    }

    /// Forgets clients that were silent for too long; true if it has looked.
    pub(super) fn expire(&mut self, now: Instant, held: &mut BTreeMap<u32, Held>) -> bool {
        if self.swept.is_some_and(|swept| swept + SWEEP > now) {
            return false;
        }
        self.swept = Some(now);
        for held in held.values_mut() {
            let before = held.callers.len();
            held.callers.retain(|_, (_, last)| *last + FORGOTTEN > now);
            self.callers -= before - held.callers.len();
        }
        true
    }
}

impl Holder {
    /// Datagrams have come.
    pub(super) fn relay(&mut self, number: u32, now: Instant) {
        let Some(held) = self.held.get(&number) else {
            return;
        };
        let Ok(count) = self.datagrams.batch.receive(&held.socket) else {
            return;
        };
        let bound = held.bound;
        let mut done = 0_u32;
        for index in 0..count {
            if done & 1 << index != 0 {
                continue;
            }
            let batch = &self.datagrams.batch;
            let Some(from) = batch.sender(index).filter(is_told_whole) else {
                self.datagrams.dropped += 1;
                continue;
            };
            let alike = (index..count).filter(|other| batch.sender(*other) == Some(from));
            let chosen = alike.fold(0_u32, |bits, other| bits | 1 << other);
            done |= chosen;
            let sent = self.deliver(number, (from, bound), None, chosen, now);
            self.datagrams.dropped += u64::from(chosen.count_ones()) - sent as u64;
        }
    }

    /// A process gives back datagrams of conversations that it hasn't.
    pub(super) fn returned(&mut self, member: u32, now: Instant) {
        let Some(giver) = self.members.get(&member) else {
            return;
        };
        let Ok(count) = self.datagrams.batch.receive(giver.datagram_channel()) else {
            return;
        };
        for index in 0..count {
            let header = Header::read(self.datagrams.batch.datagram(index));
            self.datagrams.batch.cut(index, HEADER);
            let held = header.and_then(|header| Some((header, self.held_at(header.to)?)));
            let sent = held.map_or(0, |(Header { from, to, .. }, number)| {
                self.deliver(number, (from, to), Some(member), 1 << index, now)
            });
            self.datagrams.dropped += 1 - sent as u64;
        }
        if let Some(giver) = self.members.get_mut(&member) {
            giver.datagrams = giver.datagrams.saturating_sub(count as u64);
        }
    }

    /// What datagrams to that address come by.
    fn held_at(&self, to: SocketAddr) -> Option<u32> {
        let is_it = |held: &Held| held.bound == to && held.listener.protocol == FlowProtocol::Udp;
        let listener = FlowListener {
            address: to,
            protocol: FlowProtocol::Udp,
        };
        let number = self.numbers.get(&listener).copied();
        let number = number.filter(|number| self.held.get(number).is_some_and(is_it));
        // One that was asked for at any free port stands elsewhere.
        number.or_else(|| {
            let mut held = self.held.iter();
            held.find(|(_, held)| is_it(held))
                .map(|(number, _)| *number)
        })
    }

    /// Sends these of a batch, which are of one client, to the process that has them or is to have
    /// them; gives how many it took. `by`: who has given them back.
    fn deliver(
        &mut self,
        number: u32,
        (from, to): (SocketAddr, SocketAddr),
        mut by: Option<u32>,
        chosen: u32,
        now: Instant,
    ) -> usize {
        let mut was_refused = false;
        // Each turn asks one that is further than the last, or is the last.
        while let Some(route) = self.route(number, from, by, now) {
            let sent = self.pass_on(route, from, to, chosen);
            let is_refused = sent == 0 && route.is_guess;
            was_refused |= is_refused;
            if was_refused {
                // Who took nothing may have the conversation: the next datagram asks anew.
                self.datagrams
                    .forget_caller(from, self.held.get_mut(&number));
            }
            if !is_refused {
                return sent;
            }
            by = Some(route.to);
        }
        0
    }

    /// Sends these of a batch to a process; gives how many it took.
    fn pass_on(&mut self, route: Route, from: SocketAddr, to: SocketAddr, chosen: u32) -> usize {
        let Route {
            to: owner,
            must_be_known,
            ..
        } = route;
        let Some(member) = self.members.get_mut(&owner) else {
            return 0;
        };
        let header = Header {
            from,
            to,
            must_be_known,
        };
        let (batch, channel) = (&self.datagrams.batch, member.datagram_channel());
        let sent = batch.send(channel, None, &header.encode(), chosen);
        member.datagrams += sent.count as u64;
        sent.count
    }

    /// Where a client's datagrams go from now on, unless they come back; `by`: who has given this
    /// one back.
    fn route(
        &mut self,
        number: u32,
        from: SocketAddr,
        by: Option<u32>,
        now: Instant,
    ) -> Option<Route> {
        let held = self.held.get(&number)?;
        let known = held.callers.get(&from).map(|(owner, _)| *owner);
        let known = known.filter(|owner| by != Some(*owner));
        let members = &self.members;
        let lives = |owner: &u32| members.get(owner).is_some_and(|member| !member.silent);
        let kept = known.filter(lives);
        let asked = kept.map_or_else(|| self.next_to_ask(from, by), |_| None);
        let owner = kept.or(asked);
        let owner = owner.or_else(|| self.choose(from, &held.listener));
        // Of one that hangs, nothing is lost by waiting.
        let owner = owner.or(known)?;
        let member = members.get(&owner);
        let is_open = member.is_some_and(|member| self.is_open(owner, member));
        let callers = &mut self.held.get_mut(&number)?.callers;
        match callers.get_mut(&from) {
            Some(entry) => *entry = (owner, now),
            None if self.datagrams.callers < MOST_CALLERS => {
                callers.insert(from, (owner, now));
                self.datagrams.callers += 1;
            }
            None => {}
        }
        Some(Route {
            to: owner,
            must_be_known: !is_open,
            is_guess: asked.is_some(),
        })
    }

    /// Who is asked next whether it has a conversation with a client of whom nothing is known: of
    /// those that are given nothing new and have any, the nearest that wasn't asked before.
    fn next_to_ask(&self, from: SocketAddr, asked: Option<u32>) -> Option<u32> {
        let place = |number: u32| ((self.distance)(from, number), number);
        let asked = asked.map(place);
        let members = self.members.iter().filter(|(number, member)| {
            member.conversations > 0 && !member.silent && !self.is_open(**number, member)
        });
        let places = members.map(|(number, _)| place(*number));
        let next = places.filter(|place| asked.is_none_or(|asked| *place > asked));
        next.min().map(|(_, number)| number)
    }
}

/// Is a client all that the header says of it? One of a single link (RFC 4007) is besides at an
/// interface, without which it can't be answered; no router would have let it come here.
fn is_told_whole(client: &SocketAddr) -> bool {
    match client {
        SocketAddr::V4(_) => true,
        SocketAddr::V6(client) => client.scope_id() == 0,
    }
}

const _: () = assert!(BATCH <= 32, "bits of a u32 name a batch's datagrams");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_of_a_single_link_is_not_told_whole() {
        let at_interface = SocketAddr::V6(std::net::SocketAddrV6::new(
            "fe80::1".parse().unwrap(),
            999,
            0,
            3,
        ));
        for (client, whole) in [
            ("127.0.0.1:999".parse().unwrap(), true),
            ("[fd00::1]:999".parse().unwrap(), true),
            (at_interface, false),
        ] {
            assert_eq!(is_told_whole(&client), whole, "{client}");
        }
    }
}

//! Datagrams that come to held addresses: each client's go to one process, for as long as they come
//! and it is alive, with what says whose they are before each. What can't be passed on is dropped.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use super::holder::Holder;
use super::listeners::Held;
use super::message::header;
use crate::flows::FlowListener;
use crate::flows::udp::{BATCH, Batch};

/// A client that was silent for so long may come to another process: by then its flow has ended
/// (Global Accelerator: 30 s), even if its last datagram was on its way for a while.
const FORGOTTEN: Duration = Duration::from_secs(35);

/// Who is drained keeps a client that was silent for less than this: by then its flow has ended,
/// and what comes is new (Global Accelerator: 30 s).
const ENDED: Duration = Duration::from_secs(30);

/// How often silent clients are looked for.
const SWEEP: Duration = Duration::from_secs(5);

/// Clients whose process is remembered, at most; others come to the nearest each time.
const MOST_CALLERS: usize = 65_536;

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
        let (listener, bound) = (held.listener, held.bound);
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
            let owner = self.owner(number, from, &listener, now);
            let member = owner.and_then(|owner| self.members.get_mut(&owner));
            let sent = member.map_or(0, |member| {
                let channel = member.datagram_channel();
                let batch = &self.datagrams.batch;
                let sent = batch.send(channel, None, &header(from, bound), chosen);
                member.datagrams += sent.count as u64;
                sent.count
            });
            self.datagrams.dropped += u64::from(chosen.count_ones()) - sent as u64;
        }
    }

    /// The process that has a client's datagrams, from now on if it had none before.
    fn owner(
        &mut self,
        number: u32,
        from: SocketAddr,
        listener: &FlowListener,
        now: Instant,
    ) -> Option<u32> {
        let known = self.held.get(&number)?.callers.get(&from);
        let members = &self.members;
        let is_open = |owner: u32| {
            let member = members.get(&owner);
            member.is_some_and(|member| self.is_open(owner, member))
        };
        let known = known.filter(|(owner, last)| *last + ENDED > now || is_open(*owner));
        let known = known.map(|(owner, _)| *owner);
        let lives = |owner: &u32| members.get(owner).is_some_and(|member| !member.silent);
        let owner = known.filter(lives).or_else(|| self.choose(from, listener));
        // Of one that hangs, nothing is lost by waiting.
        let owner = owner.or(known)?;
        let callers = &mut self.held.get_mut(&number)?.callers;
        match callers.get_mut(&from) {
            Some(entry) => *entry = (owner, now),
            None if self.datagrams.callers < MOST_CALLERS => {
                callers.insert(from, (owner, now));
                self.datagrams.callers += 1;
            }
            None => {}
        }
        Some(owner)
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

//! Datagrams that came to addresses which another process holds, and that it relays here with what
//! says whose they are. Answers leave by its own sockets. What is for a conversation that isn't
//! here goes back to it.

use std::net::SocketAddr;
use std::os::fd::OwnedFd;

use super::{BATCH, Door, Udp};
use crate::flows::anycast::{HEADER, Header};
use crate::flows::worker::Context;

impl Udp {
    /// Datagrams have come to addresses that another process holds.
    pub(in crate::flows) fn relayed_datagrams(&mut self, channel: &OwnedFd, context: &Context<'_>) {
        let Ok(count) = self.batch.receive(channel) else {
            return;
        };
        let mut owners = [None; BATCH];
        for (index, owner) in owners[..count].iter_mut().enumerate() {
            let Some(header) = Header::read(self.batch.datagram(index)) else {
                continue;
            };
            let door = self.behind.get(&header.to);
            let door = door.and_then(|it| self.doors.get(it)).cloned();
            if header.must_be_known && !self.knows(door.as_deref(), header.from) {
                let sent = self.batch.send(channel, None, &[], 1 << index);
                if let Some(door) = door.filter(|_| sent.count == 0) {
                    door.counters().dropped.add(1);
                }
                continue;
            }
            self.batch.cut(index, HEADER);
            let Some(door) = door else {
                continue;
            };
            *owner = self.owner(&door, header.from, context);
            if owner.is_none() {
                door.counters().dropped.add(1);
            }
        }
        self.forward_all(&owners[..count], context);
    }

    /// Has that client a conversation there?
    fn knows(&self, door: Option<&Door>, from: SocketAddr) -> bool {
        door.is_some_and(|door| self.by_caller.contains_key(&(door.at.number, from)))
    }
}

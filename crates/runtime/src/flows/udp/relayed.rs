//! Datagrams that came to addresses which another process holds, and that it relays here with what
//! says whose they are. Answers leave by its own sockets.

use std::os::fd::OwnedFd;

use super::{BATCH, Udp};
use crate::flows::anycast::{HEADER, read_header};
use crate::flows::worker::Context;

impl Udp {
    /// Datagrams have come to addresses that another process holds.
    pub(in crate::flows) fn relayed_datagrams(&mut self, channel: &OwnedFd, context: &Context<'_>) {
        let Ok(count) = self.batch.receive(channel) else {
            return;
        };
        let mut owners = [None; BATCH];
        for (index, owner) in owners[..count].iter_mut().enumerate() {
            let Some((from, to)) = read_header(self.batch.datagram(index)) else {
                continue;
            };
            self.batch.cut(index, HEADER);
            let door = self.behind.get(&to).and_then(|it| self.doors.get(it));
            let Some(door) = door.cloned() else {
                continue;
            };
            *owner = self.owner(&door, from, context);
            if owner.is_none() {
                door.counters().dropped.add(1);
            }
        }
        self.forward_all(&owners[..count], context);
    }
}

//! One of the processes behind a holder of addresses: what it wants, what was handed to it, and
//! whether it is alive.

use std::collections::{BTreeSet, VecDeque};
use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

use rustix::io::Errno;

use super::channels::HolderEnds;
use super::message::{Asked, ROOM, Told};
use super::{AnycastMember, SILENT};
use crate::descriptors;
use crate::flows::FlowListener;

/// How long one that has just been attached may take until it is first heard: its program starts.
const STARTING: Duration = Duration::from_secs(30);

/// Messages that may wait for a process that reads none: sockets of all that it wants, twice.
const UNSENT: usize = 10_000;

/// A process.
pub(super) struct Member {
    ends: HolderEnds,
    pub(super) wants: BTreeSet<FlowListener>,
    /// What couldn't be said yet.
    unsaid: VecDeque<(Vec<u8>, Option<OwnedFd>)>,
    /// Until then it needn't be heard.
    heard_until: Instant,
    pub(super) silent: bool,
    /// It has said that it will end.
    pub(super) leaving: bool,
    /// How many conversations by datagrams it had when it was last heard.
    pub(super) conversations: u32,
    pub(super) handed: u64,
    pub(super) taken_back: u64,
    pub(super) datagrams: u64,
}

/// What has come from a process.
pub(super) enum Heard {
    /// Nothing, for now.
    Nothing,
    /// That it wants this.
    Listen(u32, Vec<FlowListener>),
    /// Its end, or something that it never says.
    End,
}

impl Member {
    pub(super) fn new(ends: HolderEnds, now: Instant) -> Member {
        Member {
            ends,
            wants: BTreeSet::new(),
            unsaid: VecDeque::new(),
            heard_until: now + STARTING,
            silent: false,
            leaving: false,
            conversations: 0,
            handed: 0,
            taken_back: 0,
            datagrams: 0,
        }
    }

    /// What is waited for.
    pub(super) fn control(&self) -> &OwnedFd {
        &self.ends.control
    }

    /// Where datagrams go, and come back.
    pub(super) fn datagram_channel(&self) -> &OwnedFd {
        &self.ends.datagrams
    }

    /// Reads what it says.
    pub(super) fn hear(&mut self, now: Instant) -> Heard {
        let mut room = vec![0; ROOM];
        loop {
            let received = match descriptors::receive(&self.ends.control, &mut room) {
                Ok(received) => received,
                Err(Errno::AGAIN) => return Heard::Nothing,
                Err(cause) => {
                    tracing::warn!(%cause, "a process behind addresses isn't understood");
                    return Heard::End;
                }
            };
            if received.length == 0 {
                return Heard::End;
            }
            self.heard_until = now + SILENT;
            match Asked::decode(&room[..received.length]) {
                Some(Asked::Alive(conversations)) => self.conversations = conversations,
                Some(Asked::Leaving) => self.leaving = true,
                Some(Asked::Listen { number, listeners }) => {
                    return Heard::Listen(number, listeners);
                }
                None => {
                    tracing::warn!("a process behind addresses said what nobody says");
                    return Heard::End;
                }
            }
        }
    }

    /// Looks whether it is alive; true if it isn't any more since just now.
    pub(super) fn look(&mut self, now: Instant) -> bool {
        let before = self.silent;
        self.silent = self.heard_until < now;
        self.silent && !before
    }

    /// Says something to it, now or when it has read what was said before. False if it reads
    /// nothing any more.
    pub(super) fn say(&mut self, told: &Told, socket: Option<OwnedFd>) -> bool {
        self.unsaid.push_back((told.encode(), socket));
        self.flush() && self.unsaid.len() <= UNSENT
    }

    /// Says what couldn't be said yet. False if it is gone.
    pub(super) fn flush(&mut self) -> bool {
        while let Some((bytes, socket)) = self.unsaid.front() {
            let beside: Vec<_> = socket.iter().map(AsFd::as_fd).collect();
            match descriptors::send(&self.ends.control, bytes, &beside) {
                Ok(_) => drop(self.unsaid.pop_front()),
                Err(cause) if is_full(cause) => return true,
                Err(_) => return false,
            }
        }
        true
    }

    /// Is there something that couldn't be said yet?
    pub(super) fn has_unsaid(&self) -> bool {
        !self.unsaid.is_empty()
    }

    /// Hands it a connection; false if there is no room for it now.
    pub(super) fn hand(&mut self, connection: &OwnedFd) -> bool {
        match descriptors::send(&self.ends.connections, &[0], &[connection.as_fd()]) {
            Ok(_) => {
                self.handed += 1;
                true
            }
            Err(cause) => {
                if !is_full(cause) {
                    tracing::debug!(%cause, "a connection can't be handed over");
                }
                false
            }
        }
    }

    /// Takes back what was handed to it, and it hasn't taken.
    pub(super) fn take_back(&mut self) -> Vec<OwnedFd> {
        let mut connections = Vec::new();
        while let Ok(received) = descriptors::receive(&self.ends.taking_back, &mut [0; 8]) {
            if received.length == 0 {
                break;
            }
            connections.extend(received.descriptors);
        }
        self.taken_back += connections.len() as u64;
        connections
    }

    /// How it is; `drained`: others have it drained.
    pub(super) fn state(&self, number: u32, drained: bool) -> AnycastMember {
        AnycastMember {
            number,
            silent: self.silent,
            draining: drained || self.leaving,
            leaving: self.leaving,
            listeners: self.wants.len(),
            handed: self.handed,
            taken_back: self.taken_back,
            datagrams: self.datagrams,
        }
    }
}

/// Is there no room for a message now? Descriptors on their way are counted, too (unix(7)).
fn is_full(cause: Errno) -> bool {
    [
        Errno::AGAIN,
        Errno::NOBUFS,
        Errno::NOMEM,
        Errno::TOOMANYREFS,
    ]
    .contains(&cause)
}

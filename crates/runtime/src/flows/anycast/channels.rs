//! The sockets between a holder of addresses and a process behind it: one for what they say to each
//! other, one for connections, one for datagrams. A flood of the one kind holds up no other.

use std::io;
use std::os::fd::OwnedFd;

use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};

/// What a process needs to stand behind addresses that another holds.
#[derive(Debug)]
pub struct AnycastEnds {
    /// By which it says what it wants, and that it is there.
    pub(in crate::flows) control: OwnedFd,
    /// By which connections come.
    pub(in crate::flows) connections: OwnedFd,
    /// By which datagrams come.
    pub(in crate::flows) datagrams: OwnedFd,
}

/// The holder's.
pub(super) struct HolderEnds {
    pub(super) control: OwnedFd,
    pub(super) connections: OwnedFd,
    /// The process's end of the connections: what it hasn't taken is taken back by this.
    pub(super) taking_back: OwnedFd,
    pub(super) datagrams: OwnedFd,
}

impl AnycastEnds {
    /// In the order in which [`from_descriptors`](Self::from_descriptors) wants them.
    pub fn into_descriptors(self) -> Vec<OwnedFd> {
        vec![self.control, self.connections, self.datagrams]
    }

    /// What was handed over; none if it is something else.
    pub fn from_descriptors(descriptors: Vec<OwnedFd>) -> Option<AnycastEnds> {
        let [control, connections, datagrams] = descriptors.try_into().ok()?;
        Some(AnycastEnds {
            control,
            connections,
            datagrams,
        })
    }
}

/// Both ends.
pub(super) fn pair() -> io::Result<(HolderEnds, AnycastEnds)> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let pair = |kind| socketpair(AddressFamily::UNIX, kind, flags, None);
    let (control, their_control) = pair(SocketType::SEQPACKET)?;
    let (connections, their_connections) = pair(SocketType::SEQPACKET)?;
    let (datagrams, their_datagrams) = pair(SocketType::DGRAM)?;
    let ours = HolderEnds {
        control,
        connections,
        taking_back: their_connections.try_clone()?,
        datagrams,
    };
    let theirs = AnycastEnds {
        control: their_control,
        connections: their_connections,
        datagrams: their_datagrams,
    };
    Ok((ours, theirs))
}

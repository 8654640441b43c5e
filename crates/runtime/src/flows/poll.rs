//! Waiting for sockets: epoll(7) with a name for each, and a way to wake a thread that waits.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use rustix::event::epoll::{self, EventData, EventFlags};
use rustix::event::{EventfdFlags, Timespec, eventfd};
use rustix::io::Errno;

/// Events taken from the kernel at a time.
const EVENTS: usize = 256;

/// What an event is of. A number is that of a listener or a flow in its thread.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Name {
    /// Somebody has something for the thread.
    Wake,
    /// A socket that connections come to.
    TcpListener(u32),
    /// A client's connection.
    Client(u32),
    /// A connection to an endpoint.
    Upstream(u32),
    /// A socket that clients' datagrams come to.
    UdpListener(u32),
    /// A socket that an endpoint's datagrams come to.
    UdpUpstream(u32),
    /// What datagrams come by to addresses that another process holds.
    Relayed,
    /// A process behind addresses that are held here.
    Member(u32),
    /// What datagrams come back by from such a process.
    Returned(u32),
}

impl Name {
    fn pack(self) -> EventData {
        let (kind, number) = match self {
            Name::Wake => (0, 0),
            Name::TcpListener(number) => (1, number),
            Name::Client(number) => (2, number),
            Name::Upstream(number) => (3, number),
            Name::UdpListener(number) => (4, number),
            Name::UdpUpstream(number) => (5, number),
            Name::Relayed => (6, 0),
            Name::Member(number) => (7, number),
            Name::Returned(number) => (8, number),
        };
        EventData::new_u64(u64::from(number) << 8 | kind)
    }

    fn unpack(data: EventData) -> Name {
        let (value, number) = (data.u64(), (data.u64() >> 8) as u32);
        match value & 0xff {
            1 => Name::TcpListener(number),
            2 => Name::Client(number),
            3 => Name::Upstream(number),
            4 => Name::UdpListener(number),
            5 => Name::UdpUpstream(number),
            6 => Name::Relayed,
            7 => Name::Member(number),
            8 => Name::Returned(number),
            _ => Name::Wake,
        }
    }
}

/// What has become of a socket.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Ready {
    /// There is something to read, if only an end or an error.
    pub(super) readable: bool,
    /// There is room to write, or an error to meet.
    pub(super) writable: bool,
    /// The other side has sent its last byte, or is gone.
    pub(super) ending: bool,
    /// There is an error.
    pub(super) failed: bool,
}

/// The sockets that a thread waits for.
pub(super) struct Poll {
    epoll: OwnedFd,
}

/// What a wait has yielded. It stays on the thread that waits.
pub(super) struct Events(Vec<epoll::Event>);

impl Poll {
    pub(super) fn new() -> std::io::Result<Poll> {
        Ok(Poll {
            epoll: epoll::create(epoll::CreateFlags::CLOEXEC)?,
        })
    }

    /// From here on a listening socket is told of for as long as something waits at it. Of the
    /// threads that share it, one is woken.
    pub(super) fn listener(&self, socket: impl AsFd, name: Name) -> std::io::Result<()> {
        self.lasting(socket, name, EventFlags::IN | EventFlags::EXCLUSIVE)
    }

    /// From here on a socket of this thread alone is told of for as long as something waits at it.
    pub(super) fn datagrams(&self, socket: impl AsFd, name: Name) -> std::io::Result<()> {
        self.lasting(socket, name, EventFlags::IN)
    }

    /// A socket that is waited for already has the same name: a listener has one number, and was
    /// kept when a panic took the thread's flows.
    fn lasting(&self, socket: impl AsFd, name: Name, flags: EventFlags) -> std::io::Result<()> {
        match epoll::add(&self.epoll, socket, name.pack(), flags) {
            Ok(()) | Err(Errno::EXIST) => Ok(()),
            Err(cause) => Err(cause.into()),
        }
    }

    /// From here on a connection is told of once each time that there is more to read or room to
    /// write after there was none.
    pub(super) fn connection(&self, socket: impl AsFd, name: Name) -> std::io::Result<()> {
        let flags = EventFlags::IN | EventFlags::OUT | EventFlags::RDHUP | EventFlags::ET;
        Ok(epoll::add(&self.epoll, socket, name.pack(), flags)?)
    }

    /// A socket that others hold, too, is no longer told of. One that is closed isn't anyway.
    pub(super) fn forget(&self, socket: impl AsFd) {
        if let Err(cause) = epoll::delete(&self.epoll, socket)
            && cause != Errno::NOENT
        {
            tracing::warn!(%cause, "a socket can't be taken from those that are waited for");
        }
    }

    /// Waits for events, no longer than that; gives how many there are.
    pub(super) fn wait(
        &self,
        events: &mut Events,
        longest: Option<Duration>,
    ) -> std::io::Result<usize> {
        events.0.clear();
        // The kernel counts milliseconds and would cut: a timer must not find itself too early.
        let longest = longest.map(|span| {
            let whole = span.as_nanos().div_ceil(1_000_000);
            let whole = i64::try_from(whole).unwrap_or(i64::MAX).min(60_000);
            Timespec {
                tv_sec: whole / 1000,
                tv_nsec: whole % 1000 * 1_000_000,
            }
        });
        let room = rustix::buffer::spare_capacity(&mut events.0);
        match epoll::wait(&self.epoll, room, longest.as_ref()) {
            Ok(count) => Ok(count),
            Err(Errno::INTR) => Ok(0),
            Err(cause) => Err(cause.into()),
        }
    }
}

impl Events {
    pub(super) fn new() -> Events {
        Events(Vec::with_capacity(EVENTS))
    }

    /// One of the events that the last wait has counted.
    pub(super) fn get(&self, index: usize) -> (Name, Ready) {
        let epoll::Event { flags, data } = self.0[index];
        let failed = flags.intersects(EventFlags::ERR | EventFlags::HUP);
        let ending = failed || flags.contains(EventFlags::RDHUP);
        let ready = Ready {
            readable: ending || flags.contains(EventFlags::IN),
            writable: failed || flags.contains(EventFlags::OUT),
            ending,
            failed,
        };
        (Name::unpack(data), ready)
    }
}

/// What wakes a thread.
#[derive(Debug)]
pub(super) struct Waker(OwnedFd);

impl Waker {
    pub(super) fn new() -> std::io::Result<Waker> {
        let flags = EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK;
        Ok(Waker(eventfd(0, flags)?))
    }

    /// What becomes readable when it is woken.
    pub(super) fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }

    /// The thread that waits on that is told of it.
    pub(super) fn watch(&self, poll: &Poll) -> std::io::Result<()> {
        poll.datagrams(&self.0, Name::Wake)
    }

    /// Wakes it, now or when it waits next.
    pub(super) fn wake(&self) {
        // It can only fail because it is waking already.
        rustix::io::write(&self.0, &1_u64.to_ne_bytes()).ok();
    }

    /// It is awake.
    pub(super) fn clear(&self) {
        let mut count = [0; 8];
        rustix::io::read(&self.0, &mut count).ok();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_told_as_they_were_given() {
        let names = [
            Name::Wake,
            Name::TcpListener(7),
            Name::Client(u32::MAX),
            Name::Upstream(0),
            Name::UdpListener(3),
            Name::UdpUpstream(1 << 24),
            Name::Relayed,
            Name::Member(9),
        ];
        for name in names {
            assert_eq!(Name::unpack(name.pack()), name);
        }
    }

    #[test]
    fn a_waker_ends_a_wait_once() {
        let (poll, waker) = (Poll::new().unwrap(), Waker::new().unwrap());
        let mut events = Events::new();
        waker.watch(&poll).unwrap();
        assert_eq!(poll.wait(&mut events, Some(Duration::ZERO)).unwrap(), 0);
        waker.wake();
        waker.wake();
        assert_eq!(poll.wait(&mut events, None).unwrap(), 1);
        assert_eq!(events.get(0).0, Name::Wake);
        waker.clear();
        assert_eq!(poll.wait(&mut events, Some(Duration::ZERO)).unwrap(), 0);
    }
}

//! Descriptors that go to another process with a message over a Unix socket (unix(7), SCM_RIGHTS).
//! It gives the messages no meaning.

use std::io::{IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::cmsg_space;
use rustix::io::Errno;
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, recvmsg, sendmsg,
};

/// Descriptors that go with one message, at most.
pub(crate) const MOST: usize = 8;

/// What has come.
#[derive(Debug)]
pub(crate) struct Received {
    /// Bytes of the message; with 0 of them, the other end is closed.
    pub(crate) length: usize,
    /// The descriptors that came with it, closed when another program is started.
    pub(crate) descriptors: Vec<OwnedFd>,
}

/// Sends a message with these descriptors, [`MOST`] at most; gives how many bytes were sent, which
/// are all of them unless it is a stream.
pub(crate) fn send(
    socket: impl AsFd,
    bytes: &[u8],
    descriptors: &[BorrowedFd<'_>],
) -> Result<usize, Errno> {
    let mut room = [MaybeUninit::uninit(); cmsg_space!(ScmRights(MOST))];
    let mut control = SendAncillaryBuffer::new(&mut room);
    let message = SendAncillaryMessage::ScmRights(descriptors);
    if descriptors.len() > MOST || !descriptors.is_empty() && !control.push(message) {
        return Err(Errno::INVAL);
    }
    let socket = socket.as_fd();
    loop {
        match sendmsg(
            socket,
            &[IoSlice::new(bytes)],
            &mut control,
            SendFlags::NOSIGNAL,
        ) {
            Err(Errno::INTR) => {}
            other => return other,
        }
    }
}

/// Takes a message; one that doesn't fit is an error, and lost.
pub(crate) fn receive(socket: impl AsFd, bytes: &mut [u8]) -> Result<Received, Errno> {
    let mut room = [MaybeUninit::uninit(); cmsg_space!(ScmRights(MOST))];
    let mut control = RecvAncillaryBuffer::new(&mut room);
    let socket = socket.as_fd();
    let message = loop {
        let mut vectors = [IoSliceMut::new(bytes)];
        match recvmsg(socket, &mut vectors, &mut control, RecvFlags::CMSG_CLOEXEC) {
            Err(Errno::INTR) => {}
            other => break other?,
        }
    };
    let mut descriptors = Vec::new();
    for part in control.drain() {
        if let RecvAncillaryMessage::ScmRights(rights) = part {
            descriptors.extend(rights);
        }
    }
    if message.flags.contains(ReturnFlags::TRUNC) {
        return Err(Errno::MSGSIZE);
    }
    Ok(Received {
        length: message.bytes,
        descriptors,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};
    use std::io::{Read, Write};
    use std::os::unix::net::UnixStream;

    fn pair() -> (OwnedFd, OwnedFd) {
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None).unwrap()
    }

    #[test]
    fn what_is_sent_works_at_the_other_end_and_ends_are_told() {
        let (ours, theirs) = pair();
        let (mut one, other) = UnixStream::pair().unwrap();
        assert_eq!(send(&ours, b"ab", &[other.as_fd()]), Ok(2));
        assert_eq!(send(&ours, b"c", &[]), Ok(1));
        drop(other);
        let mut bytes = [0; 8];
        let mut first = receive(&theirs, &mut bytes).unwrap();
        assert_eq!((first.length, first.descriptors.len()), (2, 1));
        let mut other = UnixStream::from(first.descriptors.remove(0));
        one.write_all(b"there").unwrap();
        let mut read = [0; 5];
        other.read_exact(&mut read).unwrap();
        assert_eq!(&read, b"there");
        let second = receive(&theirs, &mut bytes).unwrap();
        assert_eq!((second.length, second.descriptors.len()), (1, 0));
        assert_eq!(receive(&theirs, &mut bytes).unwrap_err(), Errno::AGAIN);
        drop(ours);
        assert_eq!(receive(&theirs, &mut bytes).unwrap().length, 0);
    }

    #[test]
    fn a_message_that_doesn_t_fit_is_an_error_and_leaks_nothing() {
        let (ours, theirs) = pair();
        let (mut one, other) = UnixStream::pair().unwrap();
        assert_eq!(send(&ours, &[7; 20], &[other.as_fd()]), Ok(20));
        drop(other);
        assert_eq!(receive(&theirs, &mut [0; 8]).unwrap_err(), Errno::MSGSIZE);
        // The last holder of the other end is gone.
        assert_eq!(one.read(&mut [0; 8]).unwrap(), 0);
        let many = vec![theirs.as_fd(); MOST + 1];
        assert_eq!(send(&ours, b"a", &many), Err(Errno::INVAL));
    }
}

//! Sockets that a child is handed at its start: by a message on its stdin, which is a socket then,
//! before anything else is said there. It knows nothing of what they are for.

use std::io;
use std::os::fd::{AsFd, OwnedFd};

use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair, sockopt};

use crate::descriptors;

/// What was handed over can't be had.
#[derive(Debug, thiserror::Error)]
#[error("what was handed over at the start can't be taken: {0}")]
pub struct HandError(#[from] io::Error);

/// A child's stdin and the end that is kept, with these on their way.
pub(super) fn pair(handed: &[OwnedFd]) -> io::Result<(OwnedFd, OwnedFd)> {
    let flags = SocketFlags::CLOEXEC;
    let (ours, theirs) = socketpair(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
    let descriptors: Vec<_> = handed.iter().map(AsFd::as_fd).collect();
    // One byte for the child to read, since nothing else would wake it.
    descriptors::send(&ours, b"\n", &descriptors)?;
    Ok((ours, theirs))
}

/// What this process was handed at its start by [`Child::spawn_with`](crate::Child::spawn_with), in
/// that order; nothing if it was started in another way. Must be called once, before a
/// [`PipeServer`](crate::PipeServer) is started.
///
/// # Errors
/// The message with it can't be read.
pub fn handed_over() -> Result<Vec<OwnedFd>, HandError> {
    take(io::stdin())
}

fn take(stdin: impl AsFd) -> Result<Vec<OwnedFd>, HandError> {
    // A pipe, a file or a terminal has nothing beside its bytes.
    match sockopt::socket_domain(&stdin) {
        Ok(AddressFamily::UNIX) => {}
        Ok(_) | Err(Errno::NOTSOCK | Errno::BADF) => return Ok(Vec::new()),
        Err(cause) => return Err(io::Error::from(cause).into()),
    }
    let received = descriptors::receive(&stdin, &mut [0; 1]).map_err(io::Error::from)?;
    Ok(received.descriptors)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};
    use std::os::unix::net::UnixStream;

    #[test]
    fn what_is_handed_over_comes_before_what_is_said() {
        let (mut one, other) = UnixStream::pair().unwrap();
        let (ours, theirs) = pair(&[other.into()]).unwrap();
        UnixStream::from(ours).write_all(b"{}\n").unwrap();
        let mut handed = take(&theirs).unwrap();
        assert_eq!(handed.len(), 1);
        let mut said = String::new();
        UnixStream::from(theirs).read_to_string(&mut said).unwrap();
        assert_eq!(said, "{}\n");
        UnixStream::from(handed.remove(0)).write_all(b"x").unwrap();
        assert_eq!(one.read(&mut [0; 2]).unwrap(), 1);
    }

    #[test]
    fn nothing_is_handed_over_by_a_pipe_or_a_file() {
        let (reader, _writer) = io::pipe().unwrap();
        assert!(take(&reader).unwrap().is_empty());
        let file = std::fs::File::open("/dev/null").unwrap();
        assert!(take(&file).unwrap().is_empty());
    }
}

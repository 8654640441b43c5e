//! Datagrams of one length that go to one place, handed to the kernel as one piece: it takes the
//! way through the network's layers once and is cut at its end (udp(7), UDP_SEGMENT).

use std::mem::{MaybeUninit, size_of};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};

use rustix::io::Errno;
use socket2::SockAddr;

use super::batch::{BATCH, last_error};

/// The longest datagram that is worth it, in bytes with its header: one that every network takes
/// whole (RFC 8200 section 5, less the headers of IPv6 and UDP), as the kernel cuts to no more.
pub(super) const LONGEST: usize = 1280 - 48;

/// What a message to the kernel says beside the bytes: how long the pieces are.
#[repr(C, align(8))]
struct Control {
    header: libc::cmsghdr,
    length: u16,
}

/// Sends what these vectors point to as datagrams of that length, of which only the last may be
/// shorter; gives the bytes sent, which are all of them.
#[expect(
    unsafe_code,
    reason = "neither std, socket2 nor rustix can tell the kernel the length of the pieces"
)]
pub(super) fn send(
    socket: &OwnedFd,
    to: Option<&SockAddr>,
    pieces: &[&[u8]],
    length: usize,
) -> Result<usize, Errno> {
    let mut vectors = [super::batch::EMPTY_VECTOR; 2 * BATCH];
    let count = pieces.len().min(vectors.len());
    for (vector, piece) in vectors.iter_mut().zip(pieces) {
        // The kernel only reads what these point to.
        vector.iov_base = piece.as_ptr().cast_mut().cast();
        vector.iov_len = piece.len();
    }
    // SAFETY: both are made of integers, raw pointers and padding, for which zeros are valid.
    let (mut message, mut control): (libc::msghdr, Control) = unsafe {
        (
            MaybeUninit::zeroed().assume_init(),
            MaybeUninit::zeroed().assume_init(),
        )
    };
    control.header.cmsg_level = libc::SOL_UDP;
    control.header.cmsg_type = libc::UDP_SEGMENT;
    control.header.cmsg_len = (size_of::<libc::cmsghdr>() + size_of::<u16>()) as _;
    control.length = u16::try_from(length).map_err(|_| Errno::INVAL)?;
    if let Some(to) = to {
        message.msg_name = to.as_ptr().cast_mut().cast();
        message.msg_namelen = to.len();
    }
    message.msg_iov = vectors.as_mut_ptr();
    message.msg_iovlen = count as _;
    message.msg_control = (&raw mut control).cast();
    message.msg_controllen = size_of::<Control>() as _;
    // SAFETY: the message points to `count` vectors over initialised bytes, to one control
    // message that its length covers (cmsg(3): the value follows the header, which ends at a
    // word's boundary) and, if any, to a name with its length. All are borrowed for longer than
    // the call, and the kernel writes to none of them.
    let sent = unsafe {
        libc::sendmsg(
            socket.as_fd().as_raw_fd(),
            &raw const message,
            libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL,
        )
    };
    usize::try_from(sent).map_err(|_| last_error())
}

//! Many datagrams a system call: recvmmsg(2) and sendmmsg(2) over buffers that are made once. Of
//! a query that costs microseconds the kernel has most; this is where it can be asked less often.

use std::io;
use std::mem::{MaybeUninit, offset_of, size_of};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::fd::{AsFd, AsRawFd};
use std::ptr;

use socket2::Socket;

use super::{MAX_QUERY, MAX_UDP_REPLY};

/// Datagrams a system call. More gains nothing measurable: by then its cost is shared out.
pub(super) const BATCH: usize = 32;

/// Room for a PROXY header before the query.
const HEADER: usize = 536;

/// A cache line between buffers, so that their beginnings, which are all that most queries use,
/// don't fall into the same set of the processor's first cache.
const GAP: usize = 64;

/// The distance between two queries' buffers.
const QUERY: usize = MAX_QUERY + HEADER + GAP;

/// The distance between two replies' buffers.
const REPLY: usize = MAX_UDP_REPLY + GAP;

/// Where the information that [`tell_destinations`] asks for begins: behind the message's header,
/// which Linux aligns to the size of a word (cmsg(3)).
const INFORMATION: usize = size_of::<libc::cmsghdr>().next_multiple_of(size_of::<usize>());

/// A batch of queries and their replies.
pub(super) struct Batch {
    queries: Box<[u8]>,
    replies: Box<[u8]>,
    /// The senders, as the kernel writes and reads them.
    senders: Box<[Name; BATCH]>,
    /// What the kernel says of the address that a datagram was sent to, and is told with the
    /// reply so that it leaves from there.
    controls: Box<[Control; BATCH]>,
    /// Each query's lengths: sender, control, datagram.
    received: [Received; BATCH],
    /// The replies made: which query's, and how long.
    made: [(usize, usize); BATCH],
    made_count: usize,
}

#[derive(Clone, Copy, Default)]
struct Received {
    name: libc::socklen_t,
    control: usize,
    length: usize,
    whole: bool,
}

/// A `sockaddr_in` or `sockaddr_in6`.
#[repr(C, align(8))]
#[derive(Clone, Copy)]
struct Name([u8; size_of::<libc::sockaddr_in6>()]);

/// One control message: a header and an `in_pktinfo` or `in6_pktinfo`.
#[repr(C, align(8))]
#[derive(Clone, Copy)]
struct Control([u8; 64]);

/// A received datagram and where its reply goes.
pub(super) struct Exchange<'a> {
    /// Who sent it.
    pub(super) sender: IpAddr,
    /// What it sent; none if it was too long for its buffer.
    pub(super) datagram: Option<&'a [u8]>,
    /// [`MAX_UDP_REPLY`] bytes.
    pub(super) reply: &'a mut [u8],
}

impl Batch {
    pub(super) fn new() -> Batch {
        Batch {
            queries: vec![0; BATCH * QUERY].into_boxed_slice(),
            replies: vec![0; BATCH * REPLY].into_boxed_slice(),
            senders: Box::new([Name([0; size_of::<libc::sockaddr_in6>()]); BATCH]),
            controls: Box::new([Control([0; 64]); BATCH]),
            received: [Received::default(); BATCH],
            made: [(0, 0); BATCH],
            made_count: 0,
        }
    }

    /// Waits for a datagram and takes it with those that have come by then; gives their number.
    /// A socket that was shut down gives an empty datagram at once.
    #[expect(
        unsafe_code,
        reason = "neither std nor rustix has a call that receives many datagrams at once"
    )]
    pub(super) fn receive(&mut self, socket: &Socket, with_control: bool) -> io::Result<usize> {
        self.made_count = 0;
        let mut vectors = [EMPTY_VECTOR; BATCH];
        let mut headers = [EMPTY_HEADER; BATCH];
        let buffers = self.queries.chunks_exact_mut(QUERY);
        let addressed = self.senders.iter_mut().zip(self.controls.iter_mut());
        let parts = buffers.zip(addressed).zip(vectors.iter_mut());
        for (header, ((buffer, (sender, control)), vector)) in headers.iter_mut().zip(parts) {
            vector.iov_base = buffer.as_mut_ptr().cast();
            vector.iov_len = QUERY - GAP;
            let header = &mut header.msg_hdr;
            header.msg_iov = vector;
            header.msg_iovlen = 1;
            header.msg_name = sender.0.as_mut_ptr().cast();
            header.msg_namelen = NAME_ROOM;
            if with_control {
                header.msg_control = control.0.as_mut_ptr().cast();
                header.msg_controllen = size_of::<Control>() as _;
            }
        }
        // SAFETY: `headers` has BATCH elements. Each points to one vector, one name and, if any,
        // one control buffer with its true length; all of them live in `self` or on this stack,
        // outlive the call, overlap nowhere, and nothing else refers to them during it. Any bytes
        // that the kernel writes are valid values of the byte arrays behind the pointers.
        let count = unsafe {
            libc::recvmmsg(
                socket.as_fd().as_raw_fd(),
                headers.as_mut_ptr(),
                BATCH as libc::c_uint,
                libc::MSG_WAITFORONE,
                ptr::null_mut(),
            )
        };
        let count = usize::try_from(count).map_err(|_| io::Error::last_os_error())?;
        for (received, header) in self.received.iter_mut().zip(&headers[..count]) {
            *received = Received {
                name: header.msg_hdr.msg_namelen,
                control: if with_control {
                    header.msg_hdr.msg_controllen as _
                } else {
                    0
                },
                length: header.msg_len as usize,
                whole: header.msg_hdr.msg_flags & libc::MSG_TRUNC == 0,
            };
        }
        Ok(count)
    }

    /// One of the datagrams that [`receive`](Self::receive) counted; none if its sender has no
    /// address to reply to.
    pub(super) fn exchange(&mut self, index: usize) -> Option<Exchange<'_>> {
        let received = self.received[index];
        let sender = self.senders[index].address(received.name)?;
        let buffer = &self.queries[index * QUERY..][..QUERY - GAP];
        let datagram = buffer.get(..received.length).filter(|_| received.whole);
        let reply = &mut self.replies[index * REPLY..][..MAX_UDP_REPLY];
        Some(Exchange {
            sender,
            datagram,
            reply,
        })
    }

    /// The reply to that datagram is made and so long; gives it.
    pub(super) fn reply(&mut self, index: usize, length: usize) -> &[u8] {
        let length = length.min(MAX_UDP_REPLY);
        self.made[self.made_count] = (index, length);
        self.made_count += 1;
        &self.replies[index * REPLY..][..length]
    }

    /// Sends the replies made since the last [`receive`](Self::receive); gives how many the
    /// network took. One that it refuses doesn't hold up the others.
    #[expect(
        unsafe_code,
        reason = "neither std nor rustix has a stable call that sends many datagrams at once"
    )]
    pub(super) fn send(&mut self, socket: &Socket) -> usize {
        let mut vectors = [EMPTY_VECTOR; BATCH];
        let mut headers = [EMPTY_HEADER; BATCH];
        let made = &self.made[..self.made_count];
        for (index, _) in made {
            self.controls[*index].forget_interface(self.received[*index].control);
        }
        let parts = headers.iter_mut().zip(vectors.iter_mut());
        for ((header, vector), (index, length)) in parts.zip(made) {
            // The kernel only reads what these point to.
            vector.iov_base = self.replies[index * REPLY..].as_ptr().cast_mut().cast();
            vector.iov_len = *length;
            let received = self.received[*index];
            let header = &mut header.msg_hdr;
            header.msg_iov = vector;
            header.msg_iovlen = 1;
            header.msg_name = self.senders[*index].0.as_ptr().cast_mut().cast();
            header.msg_namelen = received.name;
            if received.control > 0 {
                header.msg_control = self.controls[*index].0.as_ptr().cast_mut().cast();
                header.msg_controllen = received.control as _;
            }
        }
        let (mut at, mut sent) = (0, 0);
        while at < made.len() {
            // SAFETY: of `headers` the elements from `at` up to the number made are filled in.
            // Each points to one vector over initialised bytes, one name and, if any, one control
            // message with the lengths that the kernel gave them; all outlive the call, and the
            // kernel writes nothing but the headers' msg_len.
            let count = unsafe {
                libc::sendmmsg(
                    socket.as_fd().as_raw_fd(),
                    headers[at..].as_mut_ptr(),
                    (made.len() - at) as libc::c_uint,
                    0,
                )
            };
            match usize::try_from(count) {
                Ok(count) => {
                    at += count;
                    sent += count;
                }
                Err(_) if io::Error::last_os_error().kind() == io::ErrorKind::Interrupted => {}
                // The first of these is refused: go on behind it.
                Err(_) => at += 1,
            }
        }
        self.made_count = 0;
        sent
    }
}

/// From here on the kernel tells which address each datagram was sent to (ip(7), IP_PKTINFO;
/// ipv6(7), IPV6_RECVPKTINFO). Needed where a socket stands for all of a host's addresses: a
/// reply must come from the one that was asked.
#[expect(
    unsafe_code,
    reason = "neither std, socket2 nor rustix knows these options"
)]
pub(super) fn tell_destinations(socket: &Socket, is_ipv6: bool) -> io::Result<()> {
    let (level, option) = match is_ipv6 {
        true => (libc::IPPROTO_IPV6, libc::IPV6_RECVPKTINFO),
        false => (libc::IPPROTO_IP, libc::IP_PKTINFO),
    };
    let on: libc::c_int = 1;
    // SAFETY: the value is a c_int that outlives the call, and its length is given.
    let done = unsafe {
        libc::setsockopt(
            socket.as_fd().as_raw_fd(),
            level,
            option,
            (&raw const on).cast(),
            size_of::<libc::c_int>() as libc::socklen_t,
        )
    };
    match done {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

const NAME_ROOM: libc::socklen_t = size_of::<libc::sockaddr_in6>() as libc::socklen_t;

const EMPTY_VECTOR: libc::iovec = libc::iovec {
    iov_base: ptr::null_mut(),
    iov_len: 0,
};

#[expect(
    unsafe_code,
    reason = "some systems' headers have padding that can't be named"
)]
// SAFETY: a header is made of integers and raw pointers, for which zeros are valid: no addresses,
// lengths of 0.
const EMPTY_HEADER: libc::mmsghdr = unsafe { MaybeUninit::zeroed().assume_init() };

impl Name {
    /// The address in it; none if it is of another family, or none was given.
    fn address(&self, length: libc::socklen_t) -> Option<IpAddr> {
        let family = u16::from_ne_bytes([self.0[0], self.0[1]]);
        let bytes = self.0.get(..length as usize)?;
        if family == libc::AF_INET as u16 {
            let at = offset_of!(libc::sockaddr_in, sin_addr);
            let octets: [u8; 4] = bytes.get(at..at + 4)?.try_into().ok()?;
            Some(Ipv4Addr::from(octets).into())
        } else if family == libc::AF_INET6 as u16 {
            let at = offset_of!(libc::sockaddr_in6, sin6_addr);
            let octets: [u8; 16] = bytes.get(at..at + 16)?.try_into().ok()?;
            Some(Ipv6Addr::from(octets).into())
        } else {
            None
        }
    }
}

impl Control {
    /// Lets the routing table choose the interface again: the way back needn't be the way in.
    fn forget_interface(&mut self, length: usize) {
        if length < INFORMATION {
            return;
        }
        let at = offset_of!(libc::cmsghdr, cmsg_level);
        let level: [u8; 4] = self.0[at..at + 4].try_into().expect("four bytes");
        let index = match i32::from_ne_bytes(level) {
            libc::IPPROTO_IP => INFORMATION + offset_of!(libc::in_pktinfo, ipi_ifindex),
            libc::IPPROTO_IPV6 => INFORMATION + offset_of!(libc::in6_pktinfo, ipi6_ifindex),
            _ => return,
        };
        if length >= index + 4 {
            self.0[index..index + 4].fill(0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{SocketAddr, UdpSocket};
    use std::time::Duration;

    fn pair(address: &str) -> (Socket, UdpSocket) {
        let server = Socket::from(UdpSocket::bind(address).unwrap());
        let to = server.local_addr().unwrap().as_socket().unwrap();
        let client = UdpSocket::bind(SocketAddr::new(to.ip(), 0)).unwrap();
        client
            .set_read_timeout(Some(Duration::from_secs(10)))
            .unwrap();
        client.connect(to).unwrap();
        (server, client)
    }

    #[test]
    fn a_batch_is_what_has_come_and_its_replies_go_to_their_senders() {
        for address in ["127.0.0.1:0", "[::1]:0"] {
            let (server, client) = pair(address);
            for number in 0..BATCH + 3 {
                client.send(&[number as u8; 3]).unwrap();
            }
            let mut batch = Batch::new();
            assert_eq!(batch.receive(&server, false).unwrap(), BATCH);
            // Every third is met with silence.
            for index in (0..BATCH).filter(|index| index % 3 != 0) {
                let exchange = batch.exchange(index).unwrap();
                assert_eq!(exchange.sender, client.local_addr().unwrap().ip());
                assert_eq!(exchange.datagram.unwrap(), [index as u8; 3]);
                exchange.reply[..2].fill(index as u8);
                assert_eq!(batch.reply(index, 2), [index as u8; 2]);
            }
            assert_eq!(batch.send(&server), BATCH - BATCH.div_ceil(3));
            let mut buffer = [0; 16];
            for index in (0..BATCH).filter(|index| index % 3 != 0) {
                assert_eq!(client.recv(&mut buffer).unwrap(), 2);
                assert_eq!(buffer[..2], [index as u8; 2]);
            }
            assert_eq!(batch.receive(&server, false).unwrap(), 3);
            assert_eq!(batch.send(&server), 0);
        }
    }

    #[test]
    fn a_datagram_too_long_is_known_as_such() {
        let (server, client) = pair("127.0.0.1:0");
        client.send(&[7; QUERY - GAP]).unwrap();
        client.send(&[7; QUERY - GAP + 1]).unwrap();
        client.send(&[]).unwrap();
        let mut batch = Batch::new();
        assert_eq!(batch.receive(&server, false).unwrap(), 3);
        let lengths =
            [0, 1, 2].map(|index| batch.exchange(index).unwrap().datagram.map(<[u8]>::len));
        assert_eq!(lengths, [Some(QUERY - GAP), None, Some(0)]);
    }

    #[test]
    fn a_reply_that_the_network_refuses_does_not_hold_up_the_others() {
        let (server, client) = pair("127.0.0.1:0");
        for _ in 0..3 {
            client.send(b"x").unwrap();
        }
        let mut batch = Batch::new();
        assert_eq!(batch.receive(&server, false).unwrap(), 3);
        for index in 0..3 {
            batch.reply(index, 1);
        }
        // Port 0 can't be sent to.
        batch.senders[1].0[2..4].fill(0);
        assert_eq!(batch.send(&server), 2);
    }
}

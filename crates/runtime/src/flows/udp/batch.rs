//! Many datagrams a system call: recvmmsg(2) into buffers that are made once, and sendmmsg(2) out
//! of them, with a header before each if the endpoint wants one.

use std::cell::Cell;
use std::io;
use std::mem::{MaybeUninit, offset_of, size_of};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::ptr;

use rustix::io::Errno;
use socket2::SockAddr;

use super::segments;
use crate::flows::anycast::HEADER;

/// Datagrams a system call. More gains nothing measurable: by then its cost is shared out.
pub(in crate::flows) const BATCH: usize = 32;

/// Room for any datagram, whose length is told in 16 bits (RFC 768), and for what stands before one
/// that is relayed.
const DATAGRAM: usize = 65_536 + 64;

const _: () = assert!(HEADER <= 64, "there is room for it");

/// The distance between two buffers: a cache line apart, so that their beginnings, which are all
/// that most datagrams use, don't fall into the same set of the processor's first cache.
const BUFFER: usize = DATAGRAM + 64;

/// Datagrams that were received.
pub(in crate::flows) struct Batch {
    /// Memory that nothing was written to takes no room.
    buffers: Box<[u8]>,
    senders: Box<[Name; BATCH]>,
    received: [Received; BATCH],
    /// Can datagrams be sent as one piece here?
    segments: Cell<bool>,
}

#[derive(Clone, Copy, Default)]
struct Received {
    name: usize,
    start: usize,
    length: usize,
}

/// A `sockaddr_in` or `sockaddr_in6`.
#[repr(C, align(8))]
#[derive(Clone, Copy)]
struct Name([u8; size_of::<libc::sockaddr_in6>()]);

impl Batch {
    /// As [`new`](Self::new), for sockets that would take many datagrams for one.
    pub(in crate::flows) fn without_segments() -> Batch {
        let batch = Batch::new();
        batch.segments.set(false);
        batch
    }

    pub(super) fn new() -> Batch {
        Batch {
            buffers: vec![0; BATCH * BUFFER].into_boxed_slice(),
            senders: Box::new([Name([0; size_of::<libc::sockaddr_in6>()]); BATCH]),
            received: [Received::default(); BATCH],
            segments: Cell::new(true),
        }
    }

    /// Takes the datagrams that have come; gives their number.
    #[expect(
        unsafe_code,
        reason = "neither std nor rustix has a call that receives many datagrams at once"
    )]
    pub(in crate::flows) fn receive(&mut self, socket: &OwnedFd) -> Result<usize, Errno> {
        let mut vectors = [EMPTY_VECTOR; BATCH];
        let mut headers = [EMPTY_HEADER; BATCH];
        let buffers = self.buffers.chunks_exact_mut(BUFFER);
        let parts = buffers.zip(self.senders.iter_mut()).zip(vectors.iter_mut());
        for (header, ((buffer, sender), vector)) in headers.iter_mut().zip(parts) {
            vector.iov_base = buffer.as_mut_ptr().cast();
            vector.iov_len = DATAGRAM;
            let header = &mut header.msg_hdr;
            header.msg_iov = vector;
            header.msg_iovlen = 1;
            header.msg_name = sender.0.as_mut_ptr().cast();
            header.msg_namelen = size_of::<Name>() as libc::socklen_t;
        }
        // SAFETY: `headers` has BATCH elements. Each points to one vector and one name with their
        // true lengths; all of them live in `self` or on this stack, outlive the call, overlap
        // nowhere, and nothing else refers to them during it. Any bytes that the kernel writes
        // are valid values of the byte arrays behind the pointers.
        let count = unsafe {
            libc::recvmmsg(
                socket.as_fd().as_raw_fd(),
                headers.as_mut_ptr(),
                BATCH as libc::c_uint,
                libc::MSG_DONTWAIT as _,
                ptr::null_mut(),
            )
        };
        let count = usize::try_from(count).map_err(|_| last_error())?;
        for (received, header) in self.received.iter_mut().zip(&headers[..count]) {
            *received = Received {
                name: header.msg_hdr.msg_namelen as usize,
                start: 0,
                length: header.msg_len as usize,
            };
        }
        Ok(count)
    }

    /// One of the datagrams that were counted.
    pub(in crate::flows) fn datagram(&self, index: usize) -> &[u8] {
        let Received { start, length, .. } = self.received[index];
        &self.buffers[index * BUFFER + start..][..length]
    }

    /// Takes so many bytes from the beginning of one; none of one that is shorter.
    pub(in crate::flows) fn cut(&mut self, index: usize, count: usize) {
        let received = &mut self.received[index];
        if let Some(length) = received.length.checked_sub(count) {
            received.start += count;
            received.length = length;
        }
    }

    /// Who sent it; none if that has no address to reply to.
    pub(in crate::flows) fn sender(&self, index: usize) -> Option<SocketAddr> {
        self.senders[index].address(self.received[index].name)
    }

    /// Sends those of the datagrams, in their order, that the bits of `chosen` name, each behind
    /// this header: to that address, or to whom the socket is connected to. Gives how many the
    /// network took, their bytes, and the last error. One that is refused doesn't hold up the
    /// others.
    pub(in crate::flows) fn send(
        &self,
        socket: &OwnedFd,
        to: Option<&SockAddr>,
        header: &[u8],
        chosen: u32,
    ) -> Sent {
        let mut error = None;
        if let Some(length) = self.common_length(header, chosen) {
            match self.send_as_one(socket, to, (header, chosen), length) {
                Ok(sent) => return sent,
                // An endpoint's refusal of something before; it is told once.
                Err(Errno::CONNREFUSED) => error = Some(Errno::CONNREFUSED),
                Err(Errno::AGAIN | Errno::INTR | Errno::NOBUFS) => {}
                Err(cause) => {
                    tracing::debug!(%cause, "datagrams aren't sent as one piece from here on");
                    self.segments.set(false);
                }
            }
        }
        let sent = self.send_each(socket, to, header, chosen);
        Sent {
            error: sent.error.or(error),
            ..sent
        }
    }

    /// How long these datagrams are with the header, if all are as long but for the last, which
    /// may be shorter, and they can be sent as one piece.
    fn common_length(&self, header: &[u8], chosen: u32) -> Option<usize> {
        if chosen.count_ones() < 2 || !self.segments.get() {
            return None;
        }
        let first = self.received[chosen.trailing_zeros() as usize].length;
        let last = BATCH - 1 - chosen.leading_zeros() as usize;
        let fits = (0..BATCH)
            .filter(|index| chosen & 1 << index != 0)
            .all(|index| {
                let length = self.received[index].length;
                length == first || index == last && length < first && length > 0
            });
        let length = header.len() + first;
        (fits && first > 0 && length <= segments::LONGEST).then_some(length)
    }

    fn send_as_one(
        &self,
        socket: &OwnedFd,
        to: Option<&SockAddr>,
        (header, chosen): (&[u8], u32),
        length: usize,
    ) -> Result<Sent, Errno> {
        let mut pieces = [&[] as &[u8]; 2 * BATCH];
        let mut count = 0;
        for index in (0..BATCH).filter(|index| chosen & 1 << index != 0) {
            for piece in [header, self.datagram(index)] {
                if !piece.is_empty() {
                    pieces[count] = piece;
                    count += 1;
                }
            }
        }
        let bytes = segments::send(socket, to, &pieces[..count], length)?;
        Ok(Sent {
            count: chosen.count_ones() as usize,
            bytes,
            error: None,
        })
    }

    fn send_each(
        &self,
        socket: &OwnedFd,
        to: Option<&SockAddr>,
        header: &[u8],
        chosen: u32,
    ) -> Sent {
        let mut vectors = [[EMPTY_VECTOR; 2]; BATCH];
        let mut headers = [EMPTY_HEADER; BATCH];
        let mut count = 0;
        let indexes = (0..BATCH).filter(|index| chosen & 1 << index != 0);
        for (index, (message, pair)) in indexes.zip(headers.iter_mut().zip(vectors.iter_mut())) {
            let datagram = self.datagram(index);
            // The kernel only reads what these point to.
            pair[0].iov_base = header.as_ptr().cast_mut().cast();
            pair[0].iov_len = header.len();
            pair[1].iov_base = datagram.as_ptr().cast_mut().cast();
            pair[1].iov_len = datagram.len();
            let first = usize::from(header.is_empty());
            let message = &mut message.msg_hdr;
            message.msg_iov = pair[first..].as_mut_ptr();
            message.msg_iovlen = (2 - first) as _;
            if let Some(to) = to {
                message.msg_name = to.as_ptr().cast_mut().cast();
                message.msg_namelen = to.len();
            }
            count += 1;
        }
        send_all(socket, &mut headers[..count])
    }
}

/// What became of datagrams that were sent.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub(in crate::flows) struct Sent {
    /// Those that the network took.
    pub(in crate::flows) count: usize,
    /// Their bytes, headers included.
    pub(super) bytes: usize,
    /// Why it didn't take the last of the others.
    pub(super) error: Option<Errno>,
}

#[expect(
    unsafe_code,
    reason = "neither std nor rustix has a stable call that sends many datagrams at once"
)]
fn send_all(socket: &OwnedFd, headers: &mut [libc::mmsghdr]) -> Sent {
    let (mut at, mut sent) = (0, Sent::default());
    while at < headers.len() {
        // SAFETY: `Batch::send_each`, the only caller, has filled these elements in. Each points to
        // vectors over initialised bytes of a batch and a header and, if any, to one name with
        // its length; all are borrowed for longer than the call, and the kernel writes nothing
        // but the headers' msg_len.
        let count = unsafe {
            libc::sendmmsg(
                socket.as_fd().as_raw_fd(),
                headers[at..].as_mut_ptr(),
                (headers.len() - at) as libc::c_uint,
                (libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL) as _,
            )
        };
        match usize::try_from(count) {
            Ok(count) => {
                let lengths = headers[at..at + count].iter();
                sent.bytes += lengths.map(|header| header.msg_len as usize).sum::<usize>();
                sent.count += count;
                at += count;
            }
            Err(_) => match last_error() {
                Errno::INTR => {}
                // The first of these is refused: go on behind it.
                error => {
                    sent.error = Some(error);
                    at += 1;
                }
            },
        }
    }
    sent
}

pub(super) fn last_error() -> Errno {
    Errno::from_io_error(&io::Error::last_os_error()).unwrap_or(Errno::IO)
}

pub(super) const EMPTY_VECTOR: libc::iovec = libc::iovec {
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
    fn address(&self, length: usize) -> Option<SocketAddr> {
        let bytes = self.0.get(..length)?;
        let two = |at: usize| Some([*bytes.get(at)?, *bytes.get(at + 1)?]);
        let family = libc::c_int::from(u16::from_ne_bytes(two(0)?));
        // The port stands at the same place in both, in network byte order.
        let port = u16::from_be_bytes(two(offset_of!(libc::sockaddr_in, sin_port))?);
        match family {
            libc::AF_INET => {
                let at = offset_of!(libc::sockaddr_in, sin_addr);
                let octets: [u8; 4] = bytes.get(at..at + 4)?.try_into().ok()?;
                Some(SocketAddr::from((Ipv4Addr::from(octets), port)))
            }
            libc::AF_INET6 => {
                let at = offset_of!(libc::sockaddr_in6, sin6_addr);
                let octets: [u8; 16] = bytes.get(at..at + 16)?.try_into().ok()?;
                let at = offset_of!(libc::sockaddr_in6, sin6_scope_id);
                let scope = bytes.get(at..at + 4)?.try_into().ok()?;
                let address = Ipv6Addr::from(octets);
                let scope = u32::from_ne_bytes(scope);
                Some(SocketAddrV6::new(address, port, 0, scope).into())
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::UdpSocket;
    use std::time::Duration;

    fn pair(address: &str) -> (OwnedFd, UdpSocket, SocketAddr) {
        let server = UdpSocket::bind(address).unwrap();
        let to = server.local_addr().unwrap();
        let client = UdpSocket::bind(SocketAddr::new(to.ip(), 0)).unwrap();
        client
            .set_read_timeout(Some(Duration::from_secs(10)))
            .unwrap();
        client.connect(to).unwrap();
        (server.into(), client, to)
    }

    #[test]
    fn a_batch_is_what_has_come_and_those_chosen_of_it_are_sent() {
        for address in ["127.0.0.1:0", "[::1]:0"] {
            let (server, client, _) = pair(address);
            let from = client.local_addr().unwrap();
            for number in 0..BATCH + 3 {
                client.send(&vec![number as u8; number * 50]).unwrap();
            }
            let mut batch = Batch::new();
            assert_eq!(batch.receive(&server), Ok(BATCH));
            for index in 0..BATCH {
                assert_eq!(batch.sender(index), Some(from));
                assert_eq!(batch.datagram(index), vec![index as u8; index * 50]);
            }
            let sent = batch.send(&server, Some(&from.into()), b"ab", 1 << 31 | 1 << 3 | 1);
            assert_eq!((sent.count, sent.error), (3, None));
            assert_eq!(sent.bytes, 6 + 34 * 50);
            let mut buffer = [0; 2000];
            for index in [0, 3, 31] {
                let length = client.recv(&mut buffer).unwrap();
                assert_eq!(length, 2 + index * 50);
                assert_eq!(&buffer[..2], b"ab");
                assert!(buffer[2..length].iter().all(|byte| *byte == index as u8));
            }
            assert_eq!(batch.receive(&server), Ok(3));
            assert_eq!(batch.receive(&server), Err(Errno::AGAIN));
        }
    }

    #[test]
    fn datagrams_that_are_sent_as_one_piece_arrive_one_by_one() {
        for address in ["127.0.0.1:0", "[::1]:0"] {
            let (server, client, _) = pair(address);
            let from: SockAddr = client.local_addr().unwrap().into();
            for length in [100, 100, 100, 60, 100, 0, 1300] {
                client.send(&vec![length as u8; length]).unwrap();
            }
            let mut batch = Batch::new();
            assert_eq!(batch.receive(&server), Ok(7));
            let mut expected = vec![100, 100, 60];
            assert_eq!(batch.common_length(b"abc", 0b1011), Some(103));
            // A longer or an empty one at the end, one in the middle that is shorter, one alone.
            for chosen in [0b11000, 0b10_0011, 0b11011, 0b100, 0b100_0001] {
                assert_eq!(batch.common_length(b"", chosen), None, "{chosen:b}");
                let indexes = (0..7).filter(|index| chosen & 1 << index != 0);
                expected.extend(indexes.map(|index| batch.datagram(index).len()));
            }
            for (header, chosen) in [
                (b"abc" as &[u8], 0b1011),
                (b"", 0b11000),
                (b"", 0b10_0011),
                (b"", 0b11011),
                (b"", 0b100),
                (b"", 0b100_0001),
            ] {
                let sent = batch.send(&server, Some(&from), header, chosen);
                assert_eq!(sent.count, chosen.count_ones() as usize);
                assert_eq!(sent.error, None);
            }
            let mut buffer = [0; 2000];
            for (index, length) in expected.into_iter().enumerate() {
                let header = if index < 3 { 3 } else { 0 };
                assert_eq!(client.recv(&mut buffer).unwrap(), header + length);
                let datagram = &buffer[header..header + length];
                assert!(datagram.iter().all(|byte| *byte == length as u8));
            }
            assert!(batch.segments.get(), "this system can't");
        }
    }

    #[test]
    fn the_largest_datagram_fits() {
        let (server, client, _) = pair("127.0.0.1:0");
        client.send(&[9; 65_507]).unwrap();
        let mut batch = Batch::new();
        assert_eq!(batch.receive(&server), Ok(1));
        assert_eq!(batch.datagram(0).len(), 65_507);
        // A header is too much for it, and that is told.
        let from = client.local_addr().unwrap().into();
        let sent = batch.send(&server, Some(&from), b"ab", 1);
        assert_eq!((sent.count, sent.error), (0, Some(Errno::MSGSIZE)));
    }
}

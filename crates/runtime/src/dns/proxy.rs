//! The PROXY protocol, version 2 (HAProxy's proxy-protocol.txt, section 2.2): a binary header by
//! which a relay tells whose packet it passes on. Read strictly: whatever isn't well-formed is an
//! error, never a guess.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use super::Transport;

/// What every header begins with.
const SIGNATURE: [u8; 12] = *b"\r\n\r\n\0\r\nQUIT\n";

/// Signature, version and command, family and protocol, length.
const FIXED: usize = 16;

/// The longest header that is accepted: the addresses and a few of the options that may follow
/// them, of which none is used here.
const LONGEST: usize = 536;

/// Room for a header that this file writes: that of IPv6.
pub(crate) const ROOM: usize = FIXED + 36;

/// A header that was read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Header {
    /// Its bytes; the packet or stream proper begins behind them.
    pub(super) length: usize,
    /// Whose packet it is; none if the relay speaks for itself (the command LOCAL).
    pub(super) source: Option<SocketAddr>,
}

/// Why no header was read.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub(super) enum ProxyError {
    /// What there is may be the beginning of one.
    #[error("the PROXY header isn't complete")]
    Incomplete,
    /// What there is can't become one.
    #[error("not a PROXY header of version 2 for this transport")]
    Malformed,
}

impl Header {
    /// Reads the header at the beginning of these bytes.
    pub(super) fn read(bytes: &[u8], transport: Transport) -> Result<Header, ProxyError> {
        let common = bytes.len().min(SIGNATURE.len());
        if bytes[..common] != SIGNATURE[..common] {
            return Err(ProxyError::Malformed);
        }
        let Some(&[command, family, high, low]) = bytes.get(SIGNATURE.len()..FIXED) else {
            return Err(ProxyError::Incomplete);
        };
        let length = FIXED + usize::from(u16::from_be_bytes([high, low]));
        if length > LONGEST {
            return Err(ProxyError::Malformed);
        }
        let addresses = bytes.get(FIXED..length).ok_or(ProxyError::Incomplete)?;
        let source = match command {
            0x20 => None,
            0x21 => Some(source(family, addresses, transport).ok_or(ProxyError::Malformed)?),
            _ => return Err(ProxyError::Malformed),
        };
        Ok(Header { length, source })
    }

    /// Writes the header of a packet from `source` to `destination`, which are of one family, to
    /// the beginning of `room`; gives its length.
    pub(crate) fn write(
        source: SocketAddr,
        destination: SocketAddr,
        transport: Transport,
        room: &mut [u8; ROOM],
    ) -> usize {
        room[..SIGNATURE.len()].copy_from_slice(&SIGNATURE);
        let protocol = protocol(transport);
        let (family, length) = match (source.ip(), destination.ip()) {
            (IpAddr::V4(from), IpAddr::V4(to)) => {
                room[16..20].copy_from_slice(&from.octets());
                room[20..24].copy_from_slice(&to.octets());
                (0x10, 12_u16)
            }
            (from, to) => {
                room[16..32].copy_from_slice(&wide(from).octets());
                room[32..48].copy_from_slice(&wide(to).octets());
                (0x20, 36)
            }
        };
        let end = FIXED + usize::from(length);
        room[12] = 0x21;
        room[13] = family | protocol;
        room[14..16].copy_from_slice(&length.to_be_bytes());
        room[end - 4..end - 2].copy_from_slice(&source.port().to_be_bytes());
        room[end - 2..end].copy_from_slice(&destination.port().to_be_bytes());
        end
    }
}

fn protocol(transport: Transport) -> u8 {
    match transport {
        Transport::Tcp => 0x1,
        Transport::Udp => 0x2,
    }
}

fn wide(address: IpAddr) -> Ipv6Addr {
    match address {
        IpAddr::V4(address) => address.to_ipv6_mapped(),
        IpAddr::V6(address) => address,
    }
}

/// The source among the addresses of that family; what follows them is options.
fn source(family: u8, addresses: &[u8], transport: Transport) -> Option<SocketAddr> {
    if family & 0x0f != protocol(transport) {
        return None;
    }
    let port = |at: usize| u16::from_be_bytes([addresses[at], addresses[at + 1]]);
    match family >> 4 {
        0x1 if addresses.len() >= 12 => {
            let octets: [u8; 4] = addresses[..4].try_into().ok()?;
            Some(SocketAddr::from((Ipv4Addr::from(octets), port(8))))
        }
        0x2 if addresses.len() >= 36 => {
            let octets: [u8; 16] = addresses[..16].try_into().ok()?;
            let address = Ipv6Addr::from(octets).to_canonical();
            Some(SocketAddr::new(address, port(32)))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(source: &str, destination: &str, transport: Transport) -> Vec<u8> {
        let mut room = [0xff; ROOM];
        let (source, destination) = (source.parse().unwrap(), destination.parse().unwrap());
        let length = Header::write(source, destination, transport, &mut room);
        room[..length].to_vec()
    }

    #[test]
    fn golden_bytes_of_version_2() {
        let header = written("127.64.1.2:4660", "127.0.0.1:53", Transport::Udp);
        let expected =
            b"\r\n\r\n\0\r\nQUIT\n\x21\x12\0\x0c\x7f\x40\x01\x02\x7f\0\0\x01\x12\x34\0\x35";
        assert_eq!(header, expected);
        let header = written("[2001:db8::1]:53", "[::1]:53", Transport::Tcp);
        assert_eq!(header.len(), 52);
        assert_eq!(header[12..16], [0x21, 0x21, 0, 36]);
    }

    #[test]
    fn a_written_header_is_read_with_what_follows_it_left() {
        for transport in [Transport::Udp, Transport::Tcp] {
            for source in ["127.64.1.2:4660", "[2001:db8::1]:53"] {
                let destination = match source.starts_with('[') {
                    true => "[::1]:53",
                    false => "127.0.0.1:53",
                };
                let mut bytes = written(source, destination, transport);
                let length = bytes.len();
                bytes.extend_from_slice(b"query");
                let header = Header::read(&bytes, transport).unwrap();
                assert_eq!(header.length, length);
                assert_eq!(header.source, Some(source.parse().unwrap()));
            }
        }
    }

    #[test]
    fn every_beginning_is_incomplete_and_every_changed_byte_is_no_panic() {
        let bytes = written("127.64.1.2:4660", "127.0.0.1:53", Transport::Udp);
        for end in 0..bytes.len() {
            let read = Header::read(&bytes[..end], Transport::Udp);
            assert_eq!(read, Err(ProxyError::Incomplete), "{end}");
        }
        for at in 0..14 {
            for value in (0..=255).filter(|value| *value != bytes[at]) {
                let mut changed = bytes.clone();
                changed[at] = value;
                let read = Header::read(&changed, Transport::Udp);
                let local = at == 12 && value == 0x20;
                assert_eq!(read.is_ok(), local, "byte {at} as {value:#x}");
            }
        }
    }

    #[test]
    fn headers_that_lie_are_malformed() {
        let header = |family: u8, length: u16| {
            let mut bytes = SIGNATURE.to_vec();
            bytes.extend_from_slice(&[0x21, family]);
            bytes.extend_from_slice(&length.to_be_bytes());
            bytes.extend_from_slice(&vec![0; usize::from(length)]);
            bytes
        };
        let read = |bytes: &[u8]| Header::read(bytes, Transport::Udp);
        // Addresses cut short, another transport, a Unix socket, no family, far too long.
        for (family, length) in [(0x12, 11), (0x22, 35), (0x11, 12), (0x32, 216), (0x00, 0)] {
            assert_eq!(read(&header(family, length)), Err(ProxyError::Malformed));
        }
        assert_eq!(read(&header(0x12, 521)), Err(ProxyError::Malformed));
        // Options behind the addresses are passed over.
        assert_eq!(read(&header(0x12, 40)).unwrap().length, 56);
    }

    #[test]
    fn whatever_comes_a_header_lies_within_it() {
        let mut state = 0x9e37_79b9_7f4a_7c15_u64;
        let mut next = || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state
        };
        let mut read = 0;
        for _ in 0..100_000 {
            let mut bytes = written("127.64.1.2:4660", "127.0.0.1:53", Transport::Udp);
            bytes.extend((0..next() % 40).map(|_| next() as u8));
            for _ in 0..next() % 3 {
                let at = next() as usize % bytes.len();
                bytes[at] = next() as u8;
            }
            bytes.truncate(next() as usize % (bytes.len() + 1));
            if let Ok(header) = Header::read(&bytes, Transport::Udp) {
                assert!(header.length <= bytes.len());
                read += 1;
            }
        }
        assert!(read > 1000, "{read}");
    }
}

//! What a holder of addresses and the processes behind it say to each other, one message each. Both
//! ends are the same binary, so it has no version; whatever isn't well-formed is none.
//!
//! An address takes 18 bytes: the IPv6 address, or the IPv4 address mapped into one (RFC 4291
//! section 2.5.5.2), and the port. Numbers are in network byte order.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use super::super::limits::MAX_LISTENERS;
use super::super::{FlowListener, FlowProtocol};

/// The bytes of an address.
const ADDRESS: usize = 18;

/// The bytes of a listener.
const LISTENER: usize = 1 + ADDRESS;

/// The bytes of an outcome.
const OUTCOME: usize = 5;

/// What stands before a datagram: whose it is, where it came to, and whether it is one of a new
/// conversation, too.
pub(in crate::flows) const HEADER: usize = 2 * ADDRESS + 1;

/// Room for every message: the longest asks for [`MAX_LISTENERS`].
pub(super) const ROOM: usize = 5 + MAX_LISTENERS * LISTENER;

/// From a process to the holder.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Asked {
    /// It is there, and has that many conversations by datagrams.
    Alive(u32),
    /// It will end, and wants nothing new from now on.
    Leaving,
    /// What comes to these and nothing else is for it, from now on.
    Listen {
        /// What it is answered by.
        number: u32,
        /// These.
        listeners: Vec<FlowListener>,
    },
}

/// From the holder to a process.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Told {
    /// The socket beside this message sends datagrams from that listener's address.
    Socket(FlowListener),
    /// The answer to [`Asked::Listen`].
    Listening {
        /// Which.
        number: u32,
        /// For each listener in its turn.
        outcomes: Vec<Outcome>,
    },
}

/// What became of a listener.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Outcome {
    /// It is listened on, at that port.
    Open(u16),
    /// Somebody else has it.
    Taken,
    /// The system refused, with that error's number.
    Failed(i32),
    /// There is no room for so many.
    Full,
}

impl Asked {
    pub(super) fn encode(&self) -> Vec<u8> {
        match self {
            Asked::Alive(conversations) => {
                let mut bytes = vec![1];
                bytes.extend(conversations.to_be_bytes());
                bytes
            }
            Asked::Leaving => vec![5],
            Asked::Listen { number, listeners } => {
                let mut bytes = vec![2];
                bytes.extend(number.to_be_bytes());
                listeners.iter().for_each(|it| put_listener(&mut bytes, it));
                bytes
            }
        }
    }

    pub(super) fn decode(bytes: &[u8]) -> Option<Asked> {
        match bytes {
            [1, conversations @ ..] => {
                let conversations = conversations.try_into().ok()?;
                Some(Asked::Alive(u32::from_be_bytes(conversations)))
            }
            [5] => Some(Asked::Leaving),
            [2, rest @ ..] => {
                let (number, rest) = rest.split_first_chunk()?;
                let (listeners, []) = rest.as_chunks::<LISTENER>() else {
                    return None;
                };
                let listeners = listeners.iter().map(listener);
                Some(Asked::Listen {
                    number: u32::from_be_bytes(*number),
                    listeners: listeners.collect::<Option<_>>()?,
                })
            }
            _ => None,
        }
    }
}

impl Told {
    pub(super) fn encode(&self) -> Vec<u8> {
        match self {
            Told::Socket(listener) => {
                let mut bytes = vec![3];
                put_listener(&mut bytes, listener);
                bytes
            }
            Told::Listening { number, outcomes } => {
                let mut bytes = vec![4];
                bytes.extend(number.to_be_bytes());
                for outcome in outcomes {
                    let (kind, value) = match outcome {
                        Outcome::Open(port) => (0, i32::from(*port)),
                        Outcome::Taken => (1, 0),
                        Outcome::Failed(number) => (2, *number),
                        Outcome::Full => (3, 0),
                    };
                    bytes.push(kind);
                    bytes.extend(value.to_be_bytes());
                }
                bytes
            }
        }
    }

    pub(super) fn decode(bytes: &[u8]) -> Option<Told> {
        match bytes {
            [3, rest @ ..] => Some(Told::Socket(listener(rest.try_into().ok()?)?)),
            [4, rest @ ..] => {
                let (number, rest) = rest.split_first_chunk()?;
                let (outcomes, []) = rest.as_chunks::<OUTCOME>() else {
                    return None;
                };
                let outcomes = outcomes.iter().map(outcome);
                Some(Told::Listening {
                    number: u32::from_be_bytes(*number),
                    outcomes: outcomes.collect::<Option<_>>()?,
                })
            }
            _ => None,
        }
    }
}

fn outcome([kind, value @ ..]: &[u8; OUTCOME]) -> Option<Outcome> {
    let value = i32::from_be_bytes(*value);
    match kind {
        0 => Some(Outcome::Open(u16::try_from(value).ok()?)),
        1 => Some(Outcome::Taken),
        2 => Some(Outcome::Failed(value)),
        3 => Some(Outcome::Full),
        _ => None,
    }
}

fn put_listener(bytes: &mut Vec<u8>, listener: &FlowListener) {
    bytes.push(match listener.protocol {
        FlowProtocol::Tcp => 0,
        FlowProtocol::Udp => 1,
    });
    bytes.extend(address_bytes(listener.address));
}

fn listener([protocol, address @ ..]: &[u8; LISTENER]) -> Option<FlowListener> {
    Some(FlowListener {
        address: read_address(address),
        protocol: match protocol {
            0 => FlowProtocol::Tcp,
            1 => FlowProtocol::Udp,
            _ => return None,
        },
    })
}

fn address_bytes(address: SocketAddr) -> [u8; ADDRESS] {
    let wide = match address.ip() {
        IpAddr::V4(address) => address.to_ipv6_mapped(),
        IpAddr::V6(address) => address,
    };
    let mut bytes = [0; ADDRESS];
    bytes[..16].copy_from_slice(&wide.octets());
    bytes[16..].copy_from_slice(&address.port().to_be_bytes());
    bytes
}

fn read_address(bytes: &[u8; ADDRESS]) -> SocketAddr {
    let (octets, [high, low]) = bytes
        .split_first_chunk::<16>()
        .map_or((&[0; 16], [0, 0]), |(octets, port)| {
            (octets, [port[0], port[1]])
        });
    let address = Ipv6Addr::from(*octets).to_canonical();
    SocketAddr::new(address, u16::from_be_bytes([high, low]))
}

/// What stands before a datagram.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in crate::flows) struct Header {
    /// Whose it is.
    pub(in crate::flows) from: SocketAddr,
    /// Where it came to.
    pub(in crate::flows) to: SocketAddr,
    /// It is for a conversation that the process has already. Without one it comes back as it was,
    /// and the holder gives it to another.
    pub(in crate::flows) must_be_known: bool,
}

impl Header {
    pub(super) fn encode(&self) -> [u8; HEADER] {
        let mut bytes = [0; HEADER];
        bytes[..ADDRESS].copy_from_slice(&address_bytes(self.from));
        bytes[ADDRESS..2 * ADDRESS].copy_from_slice(&address_bytes(self.to));
        bytes[2 * ADDRESS] = u8::from(self.must_be_known);
        bytes
    }

    /// That of a datagram behind one.
    pub(in crate::flows) fn read(bytes: &[u8]) -> Option<Header> {
        let (from, rest) = bytes.split_first_chunk()?;
        let (to, rest) = rest.split_first_chunk()?;
        Some(Header {
            from: read_address(from),
            to: read_address(to),
            must_be_known: match rest.first()? {
                0 => false,
                1 => true,
                _ => return None,
            },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn on(address: &str, protocol: FlowProtocol) -> FlowListener {
        FlowListener {
            address: address.parse().unwrap(),
            protocol,
        }
    }

    #[test]
    fn messages_are_read_as_they_were_written_and_nothing_else_is_one() {
        let listeners = vec![
            on("127.80.0.1:443", FlowProtocol::Tcp),
            on("[2001:db8::1]:53", FlowProtocol::Udp),
        ];
        for asked in [
            Asked::Alive(0),
            Asked::Alive(70_000),
            Asked::Leaving,
            Asked::Listen {
                number: 7,
                listeners: listeners.clone(),
            },
            Asked::Listen {
                number: u32::MAX,
                listeners: Vec::new(),
            },
        ] {
            let bytes = asked.encode();
            assert_eq!(Asked::decode(&bytes), Some(asked));
            assert_eq!(Told::decode(&bytes), None);
            assert_eq!(Asked::decode(&[&bytes[..], b"x"].concat()), None);
        }
        let outcomes = vec![
            Outcome::Open(65_535),
            Outcome::Taken,
            Outcome::Failed(99),
            Outcome::Full,
        ];
        for told in [
            Told::Socket(listeners[1]),
            Told::Listening {
                number: 7,
                outcomes,
            },
        ] {
            let bytes = told.encode();
            assert_eq!(Told::decode(&bytes), Some(told));
            assert_eq!(Asked::decode(&bytes), None);
            assert_eq!(Told::decode(&bytes[..bytes.len() - 1]), None);
        }
        assert_eq!(Asked::decode(&[]), None);
        assert_eq!(Told::decode(&[4, 0, 0, 0, 1, 0, 0, 1, 0, 0]), None, "port");
        let mut bytes = Told::Socket(listeners[0]).encode();
        bytes[1] = 2;
        assert_eq!(Told::decode(&bytes), None, "protocol");
    }

    #[test]
    fn there_is_room_for_the_longest() {
        let listeners = vec![on("127.80.0.1:443", FlowProtocol::Tcp); MAX_LISTENERS];
        let asked = Asked::Listen {
            number: 1,
            listeners,
        };
        assert_eq!(asked.encode().len(), ROOM);
    }

    #[test]
    fn a_datagram_says_whose_it_is_and_where_it_came_to() {
        for must_be_known in [false, true] {
            let header = Header {
                from: "127.64.1.1:999".parse().unwrap(),
                to: "127.80.0.1:53".parse().unwrap(),
                must_be_known,
            };
            let mut bytes = [&header.encode()[..], b"question"].concat();
            assert_eq!(Header::read(&bytes), Some(header));
            assert_eq!(&bytes[HEADER..], b"question");
            assert_eq!(Header::read(&bytes[..HEADER - 1]), None);
            bytes[HEADER - 1] = 2;
            assert_eq!(Header::read(&bytes), None);
        }
    }
}

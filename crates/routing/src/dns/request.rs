//! What a request says. Every malformed class has its answer here, or silence.
//!
//! | the packet | the answer |
//! |---|---|
//! | shorter than a header | silence |
//! | a response (QR) | silence: two servers must never talk to each other |
//! | another opcode than QUERY | NOTIMP (RFC 8906, section 3.1.4) |
//! | not one question | FORMERR (RFC 9619) |
//! | records in the answer or authority section | FORMERR |
//! | a name that is compressed, too long or cut off | FORMERR |
//! | bytes after the last record | FORMERR |
//! | two OPT records, or one that isn't the root's | FORMERR (RFC 6891, section 6.1.1) |
//! | an option cut off; a client subnet against its rules | FORMERR (RFC 7871, section 7.1) |
//! | an EDNS version above 0 | BADVERS (RFC 6891, section 6.1.3) |
//! | another class than IN; transfers and other meta types | REFUSED |

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::{CLASS_IN, HEADER, QueryName, Rcode, types};

/// The option that carries a client's subnet (RFC 7871, section 6).
pub(crate) const OPTION_CLIENT_SUBNET: u16 = 8;

/// What a packet turned out to be.
#[expect(
    clippy::large_enum_variant,
    reason = "it lives on the stack: nothing is allocated"
)]
pub(crate) enum Parsed {
    /// Nothing that may be answered.
    Silence,
    /// Answered with a header alone, by that code.
    Malformed(Rcode),
    /// A question; `Err` if it is refused with that code.
    Query(Query, Result<(), Rcode>),
}

/// A question and its circumstances.
pub(crate) struct Query {
    /// The name.
    pub(crate) name: QueryName,
    /// The number of the type asked for.
    pub(crate) kind: u16,
    /// Where the question ends in the packet; it begins after the header.
    pub(crate) question_end: usize,
    /// What the OPT record says, if there is one.
    pub(crate) edns: Option<Edns>,
}

/// What an OPT record says.
#[derive(Clone, Copy)]
pub(crate) struct Edns {
    /// What the client takes over UDP.
    pub(crate) payload: u16,
    /// DNSSEC records are wanted: given back as it came (RFC 3225, section 3).
    pub(crate) dnssec_ok: bool,
    /// The client's subnet.
    pub(crate) subnet: Option<ClientSubnet>,
}

/// A client's subnet as its resolver tells it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct ClientSubnet {
    /// The family: 1 or 2; 0 where nothing is told.
    pub(crate) family: u16,
    /// The bits of the address that are told; 0: it is not to be used.
    pub(crate) source: u8,
    /// The address; the bits after `source` are zero.
    pub(crate) address: IpAddr,
}

impl ClientSubnet {
    /// That prefix of an address whose further bits are zero.
    pub(crate) fn new(address: IpAddr, bits: u8) -> ClientSubnet {
        let (family, longest) = match address {
            IpAddr::V4(_) => (1, 32),
            IpAddr::V6(_) => (2, 128),
        };
        ClientSubnet {
            family,
            source: bits.min(longest),
            address,
        }
    }

    /// The whole option, as a request has it.
    pub(crate) fn option(&self) -> Vec<u8> {
        let octets = self.octets();
        let mut option = OPTION_CLIENT_SUBNET.to_be_bytes().to_vec();
        option.extend((4 + octets as u16).to_be_bytes()); // at most 16 octets
        option.extend(self.family.to_be_bytes());
        option.extend([self.source, 0]);
        match self.address {
            IpAddr::V4(address) => option.extend(&address.octets()[..octets]),
            IpAddr::V6(address) => option.extend(&address.octets()[..octets]),
        }
        option
    }

    /// Octets of the address that are told.
    pub(crate) fn octets(&self) -> usize {
        usize::from(self.source).div_ceil(8)
    }
}

/// Reads a packet.
pub(crate) fn parse(packet: &[u8]) -> Parsed {
    let Some(header) = packet.first_chunk::<HEADER>() else {
        return Parsed::Silence;
    };
    if header[2] & 0x80 != 0 {
        return Parsed::Silence;
    }
    if header[2] & 0x78 != 0 {
        return Parsed::Malformed(Rcode::NotImp);
    }
    let count = |at: usize| u16::from_be_bytes([header[at], header[at + 1]]);
    if count(4) != 1 {
        return Parsed::Malformed(Rcode::FormErr);
    }
    let counts = [count(6), count(8), count(10)];
    question(packet, counts).unwrap_or(Parsed::Malformed(Rcode::FormErr))
}

/// Reads what follows the header; `None`: it is malformed.
fn question(packet: &[u8], [answers, authorities, additional]: [u16; 3]) -> Option<Parsed> {
    let (name, length) = QueryName::read(&packet[HEADER..])?;
    let mut rest = Reader {
        packet,
        at: HEADER + length,
    };
    let (kind, class) = (rest.u16()?, rest.u16()?);
    let mut query = Query {
        name,
        kind,
        question_end: rest.at,
        edns: None,
    };
    if kind == types::OPT {
        return None;
    }
    if kind == types::IXFR {
        // Its authority section holds a record; nothing in it matters to a refusal.
        return Some(Parsed::Query(query, Err(Rcode::Refused)));
    }
    if answers != 0 || authorities != 0 {
        return None;
    }
    let mut version = 0;
    for _ in 0..additional {
        let root = rest.packet.get(rest.at) == Some(&0);
        rest.skip_name()?;
        let (kind, class) = (rest.u16()?, rest.u16()?);
        let time = rest.u32()?;
        let length = usize::from(rest.u16()?);
        let data = rest.bytes(length)?;
        if kind != types::OPT {
            continue;
        }
        if query.edns.is_some() || !root {
            return None;
        }
        let [_, stated, flags, _] = time.to_be_bytes();
        version = stated;
        query.edns = Some(Edns {
            payload: class,
            dnssec_ok: flags & 0x80 != 0,
            subnet: client_subnet(data)?,
        });
    }
    if rest.at != packet.len() {
        return None;
    }
    let refused = class != CLASS_IN || (types::FIRST_META..types::ANY).contains(&kind);
    let verdict = match version {
        0 if refused => Err(Rcode::Refused),
        0 => Ok(()),
        _ => Err(Rcode::BadVers),
    };
    Some(Parsed::Query(query, verdict))
}

/// The client subnet among the options, if it is there; the outer `None`: malformed.
fn client_subnet(data: &[u8]) -> Option<Option<ClientSubnet>> {
    let mut options = Reader {
        packet: data,
        at: 0,
    };
    let mut found = None;
    while options.at < data.len() {
        let (code, length) = (options.u16()?, options.u16()?);
        let option = options.bytes(usize::from(length))?;
        if code == OPTION_CLIENT_SUBNET {
            if found.is_some() {
                return None;
            }
            found = Some(subnet(option)?);
        }
    }
    Some(found)
}

/// The option's rules: as many octets as the prefix needs, zero beyond it, and no scope in a
/// request (RFC 7871, sections 6 and 7.1.1). Family 0 tells nothing, with a prefix of 0.
fn subnet(option: &[u8]) -> Option<ClientSubnet> {
    let (&[high, low, source, scope], address) = option.split_first_chunk()?;
    let family = u16::from_be_bytes([high, low]);
    let longest = match family {
        0 => 0,
        1 => 32,
        2 => 128,
        _ => return None,
    };
    let whole = usize::from(source).div_ceil(8);
    if scope != 0 || source > longest || address.len() != whole {
        return None;
    }
    if let Some(last) = address.last()
        && source % 8 != 0
        && last << (source % 8) != 0
    {
        return None;
    }
    let mut octets = [0; 16];
    octets[..address.len()].copy_from_slice(address);
    let address = match family {
        2 => IpAddr::V6(Ipv6Addr::from(octets)),
        _ => IpAddr::V4(Ipv4Addr::new(octets[0], octets[1], octets[2], octets[3])),
    };
    Some(ClientSubnet {
        family,
        source,
        address,
    })
}

struct Reader<'a> {
    packet: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    fn bytes(&mut self, length: usize) -> Option<&'a [u8]> {
        let bytes = self.packet.get(self.at..self.at + length)?;
        self.at += length;
        Some(bytes)
    }

    fn u16(&mut self) -> Option<u16> {
        let bytes = self.bytes(2)?;
        Some(u16::from_be_bytes([bytes[0], bytes[1]]))
    }

    fn u32(&mut self) -> Option<u32> {
        let bytes = self.bytes(4)?;
        Some(u32::from_be_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]))
    }

    /// Passes over a name; one that is compressed must point backwards, behind the header.
    fn skip_name(&mut self) -> Option<()> {
        let begin = self.at;
        loop {
            let length = usize::from(self.bytes(1)?[0]);
            match length {
                0 => return Some(()),
                0xc0.. => {
                    let target = (length & 0x3f) << 8 | usize::from(self.bytes(1)?[0]);
                    return (HEADER..begin).contains(&target).then_some(());
                }
                0x40.. => return None,
                _ => _ = self.bytes(length)?,
            }
            if self.at - begin > crate::name::MAX_NAME {
                return None;
            }
        }
    }
}

//! A response as it grows in a buffer of fixed size: header, question, sections, and the OPT
//! record whose room is kept free from the start. It allocates nothing.

use super::request::OPTION_CLIENT_SUBNET;
use super::{Edns, HEADER, MAX_TCP, MAX_UDP, MIN_UDP, OFFERED_UDP, Rcode, types};
use crate::answer::Transport;

/// Octets of an OPT record without options.
const OPT: usize = 11;

/// Octets of the client subnet option before its address.
const SUBNET_OPTION: usize = 8;

/// The highest place that a pointer reaches (RFC 1035, section 4.1.4: 14 bits).
pub(crate) const MAX_POINTER: usize = 0x3fff;

/// The sections that a response has records in.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Section {
    Answer,
    Authority,
    Additional,
}

/// A response under way.
pub(crate) struct Response<'a> {
    out: &'a mut [u8],
    at: usize,
    /// Records may not go beyond: the OPT record follows.
    limit: usize,
    counts: [u16; 3],
    question_end: usize,
    truncated: bool,
}

impl<'a> Response<'a> {
    /// A response to that packet, as yet with its question alone. `None` if not even that fits
    /// into `out`.
    pub(crate) fn new(
        out: &'a mut [u8],
        packet: &[u8],
        question_end: usize,
        edns: Option<&Edns>,
        transport: Transport,
    ) -> Option<Response<'a>> {
        let most = match transport {
            Transport::Tcp => MAX_TCP,
            Transport::Udp => edns.map_or(MIN_UDP, |edns| {
                usize::from(edns.payload).clamp(MIN_UDP, MAX_UDP)
            }),
        };
        let trailer = edns.map_or(0, |edns| {
            OPT + edns
                .subnet
                .map_or(0, |subnet| SUBNET_OPTION + subnet.octets())
        });
        let limit = most.min(out.len()).checked_sub(trailer)?;
        if question_end > limit {
            return None;
        }
        out[..question_end].copy_from_slice(&packet[..question_end]);
        Some(Response {
            out,
            at: question_end,
            limit,
            counts: [0; 3],
            question_end,
            truncated: false,
        })
    }

    /// Where the next record goes.
    pub(crate) fn position(&self) -> usize {
        self.at
    }

    /// Room for a record of that length, which is counted in `section`. `None`: none is left.
    pub(crate) fn record(&mut self, section: Section, length: usize) -> Option<&mut [u8]> {
        let end = self.at + length;
        if end > self.limit {
            return None;
        }
        self.counts[section as usize] += 1;
        let room = &mut self.out[self.at..end];
        self.at = end;
        Some(room)
    }

    /// What was written so far, to be taken back to.
    pub(crate) fn mark(&self) -> (usize, [u16; 3]) {
        (self.at, self.counts)
    }

    /// Takes back what was written since the mark.
    pub(crate) fn back_to(&mut self, (at, counts): (usize, [u16; 3])) {
        self.at = at;
        self.counts = counts;
    }

    /// What was to be said doesn't fit: the client asks again over TCP. Every record goes, so
    /// that none is taken for the whole (RFC 2181, section 9).
    pub(crate) fn truncate(&mut self) {
        self.at = self.question_end;
        self.counts = [0; 3];
        self.truncated = true;
    }

    /// Something that must be said is missing; what is there stays (RFC 9471, section 3.1).
    pub(crate) fn incomplete(&mut self) {
        self.truncated = true;
    }

    /// Completes it: OPT, counts, flags. Its length.
    pub(crate) fn finish(
        mut self,
        rcode: Rcode,
        authoritative: bool,
        edns: Option<&Edns>,
        scope: u8,
    ) -> usize {
        let mut additional = self.counts[2];
        if let Some(edns) = edns {
            self.opt(rcode, edns, scope);
            additional += 1;
        }
        let recursion_desired = self.out[2] & 1;
        let bit = |set: bool, bit: u8| if set { bit } else { 0 };
        self.out[2] = 0x80 | bit(authoritative, 4) | bit(self.truncated, 2) | recursion_desired;
        self.out[3] = (rcode.code() & 15) as u8;
        let counts = [1, self.counts[0], self.counts[1], additional];
        for (index, count) in counts.into_iter().enumerate() {
            self.out[4 + 2 * index..6 + 2 * index].copy_from_slice(&count.to_be_bytes());
        }
        self.at
    }

    /// The OPT record (RFC 6891, section 6.1.2), the client's subnet with the scope of the
    /// answer (RFC 7871, section 7.2.1).
    fn opt(&mut self, rcode: Rcode, edns: &Edns, scope: u8) {
        let mut put = |bytes: &[u8]| {
            self.out[self.at..self.at + bytes.len()].copy_from_slice(bytes);
            self.at += bytes.len();
        };
        put(&[0]);
        put(&types::OPT.to_be_bytes());
        put(&OFFERED_UDP.to_be_bytes());
        put(&[
            (rcode.code() >> 4) as u8,
            0,
            u8::from(edns.dnssec_ok) << 7,
            0,
        ]);
        let Some(subnet) = edns.subnet else {
            put(&[0, 0]);
            return;
        };
        let octets = subnet.octets() as u16; // at most 16
        put(&(SUBNET_OPTION as u16 + octets).to_be_bytes());
        put(&OPTION_CLIENT_SUBNET.to_be_bytes());
        put(&(4 + octets).to_be_bytes());
        put(&subnet.family.to_be_bytes());
        put(&[subnet.source, scope]);
        match subnet.address {
            std::net::IpAddr::V4(address) => put(&address.octets()[..usize::from(octets)]),
            std::net::IpAddr::V6(address) => put(&address.octets()[..usize::from(octets)]),
        }
    }
}

/// A header alone that says what is wrong with that packet. `None` if it doesn't fit.
pub(crate) fn header_alone(out: &mut [u8], packet: &[u8], rcode: Rcode) -> Option<usize> {
    let header = out.get_mut(..HEADER)?;
    header.copy_from_slice(packet.get(..HEADER)?);
    header[2] = 0x80 | header[2] & 0x79;
    header[3] = (rcode.code() & 15) as u8;
    header[4..].fill(0);
    Some(HEADER)
}

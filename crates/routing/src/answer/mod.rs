//! Questions answered: bytes in, bytes out, and nothing allocated on the way. It waits for
//! nothing and reads no clock; health and place are looked up as they are now.

mod resolve;

use std::net::IpAddr;

use crate::board::HealthBoard;
use crate::dns::request::{Parsed, Query, parse};
use crate::dns::response::{Response, header_alone};
use crate::dns::{ClientSubnet, Rcode};
use crate::locate::{Client, Locator};
use crate::random::SmallRandom;
use crate::snapshot::Snapshot;
use crate::zone::{Observer, Silent};

pub(crate) use resolve::Outcome;
use resolve::Resolving;

/// How a request came.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Transport {
    /// As a datagram: the response may have what EDNS says, else 512 bytes.
    Udp,
    /// Over a connection, its length's two bytes taken off: the response may have 65,535 bytes.
    Tcp,
}

/// A request as it came.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// Its bytes.
    pub packet: &'a [u8],
    /// Who sent it.
    pub source: IpAddr,
    /// How it came.
    pub transport: Transport,
}

/// What answers depend on beside the zones.
#[derive(Clone, Copy)]
pub struct AnswerContext<'a> {
    /// What is healthy.
    pub board: &'a HealthBoard,
    /// Where clients are.
    pub locator: &'a Locator,
}

/// What is to be done with a request.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Reply {
    /// So many bytes of the buffer are sent back.
    Send(usize),
    /// Nothing is.
    Silence,
}

impl Snapshot {
    /// Answers a request into `out`, which has room for the largest answer that may be given:
    /// 4,096 bytes over UDP, 65,535 over TCP. With less room, answers are truncated sooner.
    pub fn answer(
        &self,
        request: &Request<'_>,
        context: &AnswerContext<'_>,
        random: &mut SmallRandom,
        out: &mut [u8],
    ) -> Reply {
        let length = match parse(request.packet) {
            Parsed::Silence => None,
            Parsed::Malformed(rcode) => header_alone(out, request.packet, rcode),
            Parsed::Query(query, verdict) => {
                let asked = Asked {
                    request,
                    query,
                    verdict,
                };
                self.respond(&asked, context, random, &mut Silent, out)
            }
        };
        length.map_or(Reply::Silence, Reply::Send)
    }

    /// The response to a question; what decides it is told to the observer.
    pub(crate) fn respond<'a, O: Observer<'a>>(
        &'a self,
        asked: &Asked<'_>,
        context: &AnswerContext<'a>,
        random: &mut SmallRandom,
        observer: &mut O,
        out: &mut [u8],
    ) -> Option<usize> {
        let Asked {
            request,
            query,
            verdict,
        } = asked;
        let edns = query.edns.as_ref();
        let subnet = edns.and_then(|edns| edns.subnet);
        let response = Response::new(
            out,
            request.packet,
            query.question_end,
            edns,
            request.transport,
        )?;
        if let Err(rcode) = verdict {
            return Some(response.finish(*rcode, false, edns, 0));
        }
        let mut client = Client::new(context.locator, client_address(request.source, subnet));
        let mut resolving = Resolving {
            snapshot: self,
            board: context.board,
            client: &mut client,
            random,
            observer,
            response,
        };
        let Outcome {
            rcode,
            authoritative,
        } = resolving.resolve(query);
        let response = resolving.response;
        let scope = match (client.asked(), subnet) {
            // The scope tells for which clients the answer holds (RFC 7871, section 7.2.1).
            (Some(whereabouts), Some(subnet)) if subnet.source > 0 => whereabouts.prefix,
            _ => 0,
        };
        Some(response.finish(rcode, authoritative, edns, scope))
    }
}

/// A question that was understood, and how it came.
pub(crate) struct Asked<'a> {
    pub(crate) request: &'a Request<'a>,
    pub(crate) query: Query,
    pub(crate) verdict: Result<(), Rcode>,
}

/// Whose place decides: the subnet that the resolver tells, unless it says not to use it (a
/// prefix of 0); else the resolver.
pub(crate) fn client_address(source: IpAddr, subnet: Option<ClientSubnet>) -> IpAddr {
    match subnet {
        Some(subnet) if subnet.source > 0 => subnet.address,
        _ => source,
    }
}

//! Why a question is answered as it is: the very code that answers, watched. What it says is for
//! people and for `TestDNSAnswer`; nothing is decided by it.

mod text;
mod watch;

use std::net::IpAddr;

use serde::Serialize;
use types::{HealthCheckId, Region};

use crate::answer::{AnswerContext, Asked, Request, Transport, client_address};
use crate::dns::request::{ClientSubnet, Parsed, parse};
use crate::dns::{CLASS_IN, HEADER, MAX_TCP, MIN_UDP, Rcode, types as code};
use crate::locate::{Found as FoundClient, Whereabouts};
use crate::random::SmallRandom;
use crate::snapshot::Snapshot;
use crate::{Name, RecordKind, ZoneId};

/// A question whose answer is to be explained.
#[derive(Clone, Debug)]
pub struct Inquiry {
    /// The name.
    pub name: Name,
    /// The kind.
    pub kind: RecordKind,
    /// Who asks: a resolver's address, or the client's own.
    pub source: IpAddr,
    /// The client's subnet as the resolver tells it: its address, and how many bits of it count
    /// (0 to 32 or 128).
    pub subnet: Option<(IpAddr, u8)>,
}

/// Why a question is answered as it is.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Explanation {
    /// The name asked for.
    pub name: Name,
    /// The kind asked for.
    pub kind: RecordKind,
    /// The configuration's revision that answers.
    pub revision: u64,
    /// Whose place decides.
    pub client: ExplainedClient,
    /// The zone that the name lies in.
    pub zone: Option<ExplainedZone>,
    /// What happened, in order.
    pub steps: Vec<Step>,
    /// The response's code: `NOERROR`.
    pub rcode: &'static str,
    /// The answer section, one line a value; several values come in random order.
    pub answer: Vec<ExplainedRecord>,
}

/// Where a client is taken to be.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct ExplainedClient {
    /// Its address, or its subnet's.
    pub address: IpAddr,
    /// Its resolver told its subnet.
    pub by_subnet: bool,
    /// How it was found: `place`, `database` or `unknown`.
    pub found: &'static str,
    /// The Region from which latencies are reckoned.
    pub anchor: Option<Region>,
    /// Its country's code.
    pub country: Option<String>,
    /// Its state's code.
    pub subdivision: Option<String>,
    /// Its continent's code.
    pub continent: Option<&'static str>,
}

/// A zone, by id and name.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct ExplainedZone {
    /// Its id.
    pub id: ZoneId,
    /// Its name.
    pub name: Name,
}

/// A record of the answer.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize)]
pub struct ExplainedRecord {
    /// Its owner.
    pub name: Name,
    /// How long it may be kept, in seconds.
    pub ttl: u32,
    /// Its kind.
    pub kind: RecordKind,
    /// Its value.
    pub value: String,
}

/// One step on the way to an answer.
#[derive(Clone, PartialEq, Debug, Serialize)]
#[serde(tag = "step", rename_all = "snake_case")]
pub enum Step {
    /// A name was looked up.
    Lookup {
        /// The name.
        name: Name,
        /// What it is: `name`, `wildcard`, `delegation` or `nothing`.
        found: &'static str,
    },
    /// The record sets of a name and kind are to choose.
    Group {
        /// Their name.
        name: Name,
        /// Their kind.
        kind: RecordKind,
        /// Their policy.
        policy: &'static str,
    },
    /// A record set came into question.
    Considered(Considered),
    /// None that came into question is healthy: all count as healthy.
    LastResort,
    /// Only record sets of weight 0 are healthy.
    ZeroWeights,
    /// A record set was chosen.
    Chosen {
        /// Its `SetIdentifier`.
        identifier: Option<String>,
        /// The name that it stands for, of an alias.
        alias: Option<Name>,
    },
    /// No record set is for the client's place.
    NoMatch,
    /// An alias leads nowhere: its target isn't there, or it leads back to itself.
    DeadEnd,
}

/// A record set that came into question.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Considered {
    /// Its `SetIdentifier`.
    pub identifier: Option<String>,
    /// What its policy goes by: `weight 10`, `us-east-1`, `PRIMARY`, `Europe`.
    pub by: Option<String>,
    /// From the client to its Region and back, in milliseconds, where latency decides.
    pub round_trip_ms: Option<f64>,
    /// Its health check, and whether that is healthy.
    pub check: Option<(HealthCheckId, bool)>,
    /// The name that it stands for, of an alias.
    pub alias: Option<Name>,
    /// Whether it is an alias that looks at its target's health.
    pub evaluates_target: bool,
    /// Whether it counts as healthy.
    pub healthy: bool,
}

impl Snapshot {
    /// Answers a question as for a client, and says why. Random choices are drawn anew.
    pub fn explain(
        &self,
        inquiry: &Inquiry,
        context: &AnswerContext<'_>,
        random: &mut SmallRandom,
    ) -> Explanation {
        let packet = packet(inquiry);
        let request = Request {
            packet: &packet,
            source: inquiry.source,
            transport: Transport::Tcp,
        };
        let subnet = inquiry.subnet.filter(|(_, bits)| *bits > 0);
        let address = subnet.map_or(inquiry.source, |(address, bits)| masked(address, bits));
        let whereabouts = context.locator.locate(address);
        let mut watch = watch::Watch::new(context.board, whereabouts);
        let mut rcode = Rcode::FormErr;
        if let Parsed::Query(query, verdict) = parse(&packet) {
            let told = query.edns.as_ref().and_then(|edns| edns.subnet);
            debug_assert_eq!(client_address(inquiry.source, told), address);
            let asked = Asked {
                request: &request,
                query,
                verdict,
            };
            let mut out = vec![0; MAX_TCP];
            self.respond(&asked, context, random, &mut watch, &mut out);
            rcode = Rcode::from_low(out[3] & 15);
        }
        Explanation {
            name: inquiry.name.clone(),
            kind: inquiry.kind,
            revision: self.revision(),
            client: client(address, subnet.is_some(), &whereabouts),
            zone: watch.zone.map(|zone| ExplainedZone {
                id: zone.id.clone(),
                name: zone.name.clone(),
            }),
            steps: watch.steps,
            rcode: rcode.name(),
            answer: watch.answer,
        }
    }
}

fn client(address: IpAddr, by_subnet: bool, whereabouts: &Whereabouts) -> ExplainedClient {
    ExplainedClient {
        address,
        by_subnet,
        found: match whereabouts.found {
            FoundClient::Place(_) => "place",
            FoundClient::Database => "database",
            FoundClient::Unknown => "unknown",
        },
        anchor: whereabouts.anchor,
        country: whereabouts.country.map(|country| country.to_string()),
        subdivision: whereabouts.subdivision.map(|part| part.to_string()),
        continent: whereabouts.continent.map(|continent| continent.code()),
    }
}

/// The question as a resolver would send it.
fn packet(inquiry: &Inquiry) -> Vec<u8> {
    let mut packet = vec![0; HEADER];
    packet[5] = 1;
    packet.extend(inquiry.name.wire());
    packet.extend(inquiry.kind.code().to_be_bytes());
    packet.extend(CLASS_IN.to_be_bytes());
    if let Some((address, bits)) = inquiry.subnet {
        packet[11] = 1;
        let subnet = ClientSubnet::new(masked(address, bits), bits);
        let option = subnet.option();
        packet.push(0);
        packet.extend(code::OPT.to_be_bytes());
        packet.extend((MIN_UDP as u16).to_be_bytes());
        packet.extend([0; 4]);
        packet.extend((option.len() as u16).to_be_bytes());
        packet.extend(option);
    }
    packet
}

/// The address without the bits after the first `bits`.
fn masked(address: IpAddr, bits: u8) -> IpAddr {
    match address {
        IpAddr::V4(v4) => {
            let mask = u32::MAX
                .checked_shl(32 - u32::from(bits.min(32)))
                .unwrap_or(0);
            IpAddr::V4((u32::from(v4) & mask).into())
        }
        IpAddr::V6(v6) => {
            let mask = u128::MAX
                .checked_shl(128 - u32::from(bits.min(128)))
                .unwrap_or(0);
            IpAddr::V6((u128::from(v6) & mask).into())
        }
    }
}

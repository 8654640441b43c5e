//! What the tests of answers share: zones in a few words, questions as bytes, and responses read
//! by an independent codec.
#![allow(dead_code, reason = "each test takes what it needs")]
#![allow(clippy::unwrap_used, reason = "a test may panic")]

pub mod database;

use std::net::{IpAddr, Ipv4Addr};

use domain::base::iana::Rtype;
use domain::base::name::FlattenInto;
use domain::base::{Message, Name as DomainName, ParsedName, ToName};
use domain::rdata::AllRecordData;
use routing::{
    AnswerContext, Content, HealthBoard, Locator, Name, Policy, RecordKind, RecordSet, Reply,
    Request, Selector, SmallRandom, Snapshot, Transport, Zone, ZoneId,
};
use types::HealthCheckId;

pub const HERE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

pub fn name(text: &str) -> Name {
    Name::parse(text).unwrap()
}

pub fn zone(id: &str, apex: &str) -> Zone {
    let server = |number: u32| name(&format!("ns-{number}.awsdns-00.com"));
    Zone {
        account: types::AccountId::LAB,
        id: ZoneId::new(id).unwrap(),
        name: name(apex),
        comment: None,
        caller_reference: id.to_owned(),
        name_servers: [server(1), server(2), server(3), server(4)],
    }
}

/// `www.example.com 300 A 192.0.2.1 | 192.0.2.2`.
pub fn set(line: &str) -> RecordSet {
    let mut fields = line.splitn(4, ' ');
    let mut next = || fields.next().unwrap();
    let (owner, ttl, kind, values) = (next(), next(), next(), next());
    RecordSet {
        name: name(owner),
        kind: kind.parse().unwrap(),
        selector: None,
        content: Content::Values {
            ttl: ttl.parse().unwrap(),
            values: values.split(" | ").map(str::to_owned).collect(),
        },
        health_check: None,
    }
}

pub fn sets(lines: &str) -> Vec<RecordSet> {
    let lines = lines.lines().map(str::trim).filter(|line| !line.is_empty());
    lines.map(set).collect()
}

pub fn selected(mut set: RecordSet, identifier: &str, policy: Policy) -> RecordSet {
    set.selector = Some(Selector {
        identifier: identifier.to_owned(),
        policy,
    });
    set
}

pub fn checked(mut set: RecordSet, check: &str) -> RecordSet {
    set.health_check = Some(HealthCheckId(check.to_owned()));
    set
}

pub fn alias(owner: &str, kind: RecordKind, target: &str, evaluate: bool) -> RecordSet {
    RecordSet {
        name: name(owner),
        kind,
        selector: None,
        content: Content::Alias(routing::Alias {
            zone: ZoneId::new("Z1").unwrap(),
            target: name(target),
            evaluate_target_health: evaluate,
        }),
        health_check: None,
    }
}

/// A question, as most resolvers word it: without EDNS.
pub fn query(owner: &str, kind: u16) -> Vec<u8> {
    let mut packet = vec![0x12, 0x34, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    packet.extend(name(owner).wire());
    packet.extend(kind.to_be_bytes());
    packet.extend([0, 1]);
    packet
}

/// Adds an OPT record.
pub fn with_edns(mut packet: Vec<u8>, payload: u16, options: &[u8]) -> Vec<u8> {
    packet[11] += 1;
    packet.extend([0, 0, 41]);
    packet.extend(payload.to_be_bytes());
    packet.extend([0, 0, 0x80, 0]);
    packet.extend((options.len() as u16).to_be_bytes());
    packet.extend(options);
    packet
}

/// A client subnet option of IPv4.
pub fn subnet(address: [u8; 4], source: u8) -> Vec<u8> {
    let octets = usize::from(source).div_ceil(8);
    let mut option = vec![0, 8, 0, 4 + octets as u8, 0, 1, source, 0];
    option.extend(&address[..octets]);
    option
}

/// A response, read by the `domain` crate.
#[derive(Debug, PartialEq, Eq)]
pub struct Read {
    pub rcode: String,
    pub authoritative: bool,
    pub truncated: bool,
    /// `owner ttl TYPE data`, each section sorted.
    pub answer: Vec<String>,
    pub authority: Vec<String>,
    pub additional: Vec<String>,
    /// Of the client subnet, if one was given back.
    pub scope: Option<u8>,
    pub bytes: Vec<u8>,
}

pub fn read(bytes: &[u8]) -> Read {
    let message = Message::from_octets(bytes).expect("a response has a header");
    let header = message.header();
    assert!(header.qr());
    let mut scope = None;
    let mut rcode = header.rcode().to_string();
    if let Some(opt) = message.opt() {
        rcode = opt.rcode(header).to_string();
        for option in opt.opt().iter::<domain::base::opt::ClientSubnet>() {
            // That codec knows no family 0.
            scope = option.ok().map(|option| option.scope_prefix_len());
        }
    }
    let (_, answer, authority, additional) = message.sections().expect("sound sections");
    let lines = |section: domain::base::message::RecordSection<'_, &[u8]>| {
        let mut lines = Vec::new();
        for record in section {
            let record = record.expect("a sound record");
            if record.rtype() == Rtype::OPT {
                continue;
            }
            let owner: DomainName<Vec<u8>> = record.owner().to_name();
            let ttl = record.ttl().as_secs();
            let kind = record.rtype();
            let data = record
                .to_any_record::<AllRecordData<&[u8], ParsedName<&[u8]>>>()
                .expect("sound data");
            let data: AllRecordData<Vec<u8>, DomainName<Vec<u8>>> =
                data.data().clone().flatten_into();
            let owner = owner.fmt_with_dot();
            lines.push(format!("{owner} {ttl} {kind} {data}"));
        }
        lines.sort();
        lines
    };
    Read {
        rcode,
        authoritative: header.aa(),
        truncated: header.tc(),
        answer: lines(answer),
        authority: lines(authority),
        additional: lines(additional),
        scope,
        bytes: bytes.to_vec(),
    }
}

/// Something to ask.
pub struct Server {
    pub snapshot: Snapshot,
    pub board: HealthBoard,
    pub locator: Locator,
    pub random: SmallRandom,
}

impl Server {
    pub fn new(zones: Vec<(Zone, Vec<RecordSet>)>) -> Server {
        let board = HealthBoard::new();
        let snapshot = Snapshot::of_zones(zones, &board);
        assert_eq!(snapshot.faults(), &[] as &[String]);
        Server {
            snapshot,
            board,
            locator: Locator::new(None),
            random: SmallRandom::new(1),
        }
    }

    /// One zone, example.com, with those records.
    pub fn of(lines: &str) -> Server {
        Server::new(vec![(zone("Z1", "example.com"), sets(lines))])
    }

    pub fn reply(
        &mut self,
        packet: &[u8],
        source: IpAddr,
        transport: Transport,
    ) -> Option<Vec<u8>> {
        let mut out = vec![0xaa; 65_535];
        let request = Request {
            packet,
            source,
            transport,
        };
        let context = AnswerContext {
            board: &self.board,
            locator: &self.locator,
        };
        match self
            .snapshot
            .answer(&request, &context, &mut self.random, &mut out)
        {
            Reply::Send(length) => Some(out[..length].to_vec()),
            Reply::Silence => None,
        }
    }

    /// Asks for a name by UDP, from here.
    pub fn ask(&mut self, owner: &str, kind: &str) -> Read {
        self.ask_from(owner, kind, HERE)
    }

    pub fn ask_from(&mut self, owner: &str, kind: &str, source: IpAddr) -> Read {
        let kind: RecordKind = kind.parse().unwrap();
        let packet = query(owner, kind.code());
        read(&self.reply(&packet, source, Transport::Udp).unwrap())
    }
}

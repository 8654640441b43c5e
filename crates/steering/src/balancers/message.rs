//! What sites say to each other of load balancers, and what of it is kept on disk, in bytes. A
//! peer is authenticated but not trusted to be well-formed: reading is strict and bounded, and
//! never panics.
//!
//! Layout, all numbers big-endian: format version (1), kind (1), revision (8). A state goes on with
//! its number of load balancers (2) and, for each: ARN, DNS name, hosted zone (a text is its length
//! (1) and its bytes), 0 unhealthy / 1 healthy, the number of nodes (1) and for each its zone (1),
//! 4 or 6, and its address, the number of ports (2) and for each the port (2) and 1 TCP / 2 UDP /
//! 3 both. Load balancers are in the order of their ARNs, nodes and ports ascending.
//!
//! Version 2 is what uses certificates: a state goes on with their number (2) and for each its ARN
//! (its length (2) and its bytes) and which of these load balancers uses it (2), counted from 0, in
//! the order of their ARNs. Whatever needs none of this is written as version 1, which builds of
//! before read; of version 2 everything is read.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use bytes::{Buf, BufMut, Bytes, BytesMut};
use types::{
    AvailabilityZone, BalancerEntry, BalancerKind, BalancerPort, Region, RegionBalancers,
    ZoneLetter, balancer_zone,
};

/// Load balancers of one Region that are told: the service's quotas are 50 application and 50
/// network load balancers ("Quotas for your Application Load Balancers", "... Network ...").
pub const MAX_BALANCERS: usize = 256;

/// Ports of one load balancer that are told: its quota is 50 listeners.
pub const MAX_PORTS: usize = 128;

/// Certificates of one Region that are told: IAM's quota is 20 of an account.
pub const MAX_CERTIFICATES: usize = 256;

/// Bytes of a certificate's ARN: its path has 512 at most, its name 128 (IAM API Reference,
/// `UploadServerCertificate`).
const MAX_CERTIFICATE: usize = 700;

/// Bytes of a text.
const MAX_TEXT: usize = 255;

/// Bytes of one message.
pub(crate) const MAX_MESSAGE: usize = 512 * 1024;

/// The format's version, the first byte, of what uses no certificates ...
const WITHOUT_CERTIFICATES: u8 = 1;

/// ... and of what does, which is the greatest that is read.
const VERSION: u8 = 2;

/// The largest load balancer, with three texts, its nodes and its ports.
const MAX_ENTRY: usize = 3 * (1 + MAX_TEXT) + 2 + 3 * 18 + 2 + MAX_PORTS * 3;

const _: () = assert!(
    14 + MAX_BALANCERS * MAX_ENTRY + MAX_CERTIFICATES * (4 + MAX_CERTIFICATE) < MAX_MESSAGE
);

/// Kind numbers, the second byte. Never reused.
mod kind {
    pub const STATE: u8 = 1;
    pub const OWN: u8 = 2;
    pub const HAVE: u8 = 3;
}

/// What one site says to another of load balancers.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Message {
    /// A Region: these are mine.
    State(RegionBalancers),
    /// A Region: mine are at this revision.
    Own(u64),
    /// To a Region: of yours I have this revision; 0: none.
    Have(u64),
}

/// A message couldn't be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum MessageError {
    /// It ends too early, or says more than it may.
    #[error("truncated or overlong")]
    Length,
    /// Written by a newer Causeway.
    #[error("format version {0} is newer than this binary understands")]
    Version(u8),
    /// Of no known kind.
    #[error("unknown message kind {0}")]
    Kind(u8),
    /// A field has a value it can't have.
    #[error("a field is out of range")]
    Field,
}

impl Message {
    /// The message's bytes. A state is one that [`bounded`] let pass.
    pub(crate) fn encode(&self) -> Bytes {
        let (kind, revision) = match self {
            Message::State(state) => (kind::STATE, state.revision),
            Message::Own(revision) => (kind::OWN, *revision),
            Message::Have(revision) => (kind::HAVE, *revision),
        };
        let used = match self {
            Message::State(state) => Some(state).filter(|state| !state.certificates.is_empty()),
            Message::Own(_) | Message::Have(_) => None,
        };
        let mut out = BytesMut::with_capacity(16);
        out.put_u8(used.map_or(WITHOUT_CERTIFICATES, |_| VERSION));
        out.put_u8(kind);
        out.put_u64(revision);
        if let Message::State(state) = self {
            let count = u16::try_from(state.balancers.len());
            out.put_u16(count.expect("a state has at most MAX_BALANCERS"));
            for entry in state.balancers.values() {
                put_entry(&mut out, entry);
            }
        }
        if let Some(state) = used {
            put_certificates(&mut out, state);
        }
        out.freeze()
    }

    /// Reads a message of that Region, or to it, back.
    ///
    /// # Errors
    /// The bytes are none.
    pub(crate) fn decode(mut bytes: &[u8], region: Region) -> Result<Message, MessageError> {
        if bytes.len() > MAX_MESSAGE {
            return Err(MessageError::Length);
        }
        let bytes = &mut bytes;
        let version = byte(bytes)?;
        if !(WITHOUT_CERTIFICATES..=VERSION).contains(&version) {
            return Err(MessageError::Version(version));
        }
        let kind = byte(bytes)?;
        let revision = bytes.try_get_u64().map_err(|_| MessageError::Length)?;
        let message = match kind {
            kind::STATE => {
                let balancers = entries(bytes, region)?;
                let certificates = match version {
                    WITHOUT_CERTIFICATES => BTreeMap::new(),
                    _ => certificates(bytes, &balancers)?,
                };
                Message::State(RegionBalancers {
                    region,
                    revision,
                    balancers,
                    certificates,
                })
            }
            kind::OWN => Message::Own(revision),
            kind::HAVE => Message::Have(revision),
            other => return Err(MessageError::Kind(other)),
        };
        match bytes.is_empty() {
            true => Ok(message),
            false => Err(MessageError::Length),
        }
    }
}

/// Takes out what can't be told, and says how many that were: those beyond the limits, and those
/// that aren't as a Region's load balancers are.
pub(crate) fn bounded(state: &mut RegionBalancers) -> usize {
    let before = state.balancers.len();
    let region = state.region;
    state
        .balancers
        .retain(|arn, entry| *arn == entry.arn && is_sound(entry, region));
    while state.balancers.len() > MAX_BALANCERS {
        state.balancers.pop_last();
    }
    let left_out = before - state.balancers.len();
    let (balancers, certificates) = (&state.balancers, &mut state.certificates);
    let before = certificates.len();
    certificates.retain(|arn, user| is_certificate(arn) && balancers.contains_key(&*user));
    while certificates.len() > MAX_CERTIFICATES {
        certificates.pop_last();
    }
    left_out + before - certificates.len()
}

/// Can that be the ARN of one of IAM's certificates?
fn is_certificate(arn: &str) -> bool {
    arn.starts_with("arn:aws:iam::")
        && arn.len() <= MAX_CERTIFICATE
        && arn.bytes().all(|byte| byte.is_ascii_graphic())
}

/// May a Region have such a load balancer? A Region speaks for its own names alone.
fn is_sound(entry: &BalancerEntry, region: Region) -> bool {
    let name = &entry.dns_name;
    let of_application = format!(".{region}.elb.amazonaws.com");
    let of_network = format!(".elb.{region}.amazonaws.com");
    let is_plain = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, b'-' | b'.');
    let is_one_host = |address: &IpAddr| {
        let broadcast = matches!(address, IpAddr::V4(address) if address.is_broadcast());
        !(address.is_unspecified() || address.is_multicast() || broadcast)
    };
    let arn = format!("arn:aws:elasticloadbalancing:{region}:");
    // Not another Region's zone, where its names would take the place of the others'.
    let kind = match name.ends_with(&of_network) {
        true => BalancerKind::Network,
        false => BalancerKind::Application,
    };
    entry.arn.starts_with(&arn)
        && entry.arn.len() <= MAX_TEXT
        && entry.arn.bytes().all(|byte| byte.is_ascii_graphic())
        && (name.ends_with(&of_application) || name.ends_with(&of_network))
        && name.len() <= MAX_TEXT
        && name.bytes().all(is_plain)
        && entry.hosted_zone == balancer_zone(region, kind)
        && entry.nodes.keys().all(|zone| zone.region == region)
        && entry.nodes.values().all(is_one_host)
        && entry.ports.len() <= MAX_PORTS
        && !entry.ports.contains_key(&0)
}

fn put_entry(out: &mut BytesMut, entry: &BalancerEntry) {
    for text in [&entry.arn, &entry.dns_name, &entry.hosted_zone] {
        out.put_u8(u8::try_from(text.len()).expect("a text has at most MAX_TEXT bytes"));
        out.put_slice(text.as_bytes());
    }
    out.put_u8(u8::from(entry.is_healthy));
    out.put_u8(u8::try_from(entry.nodes.len()).expect("a Region has three zones"));
    for (zone, address) in &entry.nodes {
        out.put_u8(zone.letter.index());
        match address {
            IpAddr::V4(address) => {
                out.put_u8(4);
                out.put_slice(&address.octets());
            }
            IpAddr::V6(address) => {
                out.put_u8(6);
                out.put_slice(&address.octets());
            }
        }
    }
    out.put_u16(u16::try_from(entry.ports.len()).expect("at most MAX_PORTS"));
    for (port, spoken) in &entry.ports {
        out.put_u16(*port);
        out.put_u8(match spoken {
            BalancerPort::Tcp => 1,
            BalancerPort::Udp => 2,
            BalancerPort::TcpUdp => 3,
        });
    }
}

fn put_certificates(out: &mut BytesMut, state: &RegionBalancers) {
    let places = state.balancers.keys().zip(0_u16..);
    let places: BTreeMap<&String, u16> = places.collect();
    let count = u16::try_from(state.certificates.len());
    out.put_u16(count.expect("a state has at most MAX_CERTIFICATES"));
    for (arn, user) in &state.certificates {
        let length = u16::try_from(arn.len());
        out.put_u16(length.expect("an ARN has at most MAX_CERTIFICATE bytes"));
        out.put_slice(arn.as_bytes());
        out.put_u16(places[user]);
    }
}

fn certificates(
    bytes: &mut &[u8],
    balancers: &Entries,
) -> Result<BTreeMap<String, String>, MessageError> {
    let count = usize::from(short(bytes)?);
    if count > MAX_CERTIFICATES {
        return Err(MessageError::Field);
    }
    let users: Vec<&String> = balancers.keys().collect();
    let mut certificates = BTreeMap::new();
    for _ in 0..count {
        let length = usize::from(short(bytes)?);
        let arn = text_of(bytes, length)?;
        let user = users.get(usize::from(short(bytes)?));
        let user = user.ok_or(MessageError::Field)?;
        let last = certificates.last_key_value();
        if !is_certificate(&arn) || last.is_some_and(|(last, _)| *last >= arn) {
            return Err(MessageError::Field);
        }
        certificates.insert(arn, (*user).clone());
    }
    Ok(certificates)
}

type Entries = BTreeMap<String, BalancerEntry>;

fn entries(bytes: &mut &[u8], region: Region) -> Result<Entries, MessageError> {
    let count = usize::from(short(bytes)?);
    if count > MAX_BALANCERS {
        return Err(MessageError::Field);
    }
    let mut entries = Entries::new();
    for _ in 0..count {
        let entry = entry(bytes, region)?;
        let last = entries.last_key_value();
        if !is_sound(&entry, region) || last.is_some_and(|(last, _)| *last >= entry.arn) {
            return Err(MessageError::Field);
        }
        entries.insert(entry.arn.clone(), entry);
    }
    Ok(entries)
}

fn entry(bytes: &mut &[u8], region: Region) -> Result<BalancerEntry, MessageError> {
    Ok(BalancerEntry {
        arn: text(bytes)?,
        dns_name: text(bytes)?,
        hosted_zone: text(bytes)?,
        is_healthy: match byte(bytes)? {
            0 => false,
            1 => true,
            _ => return Err(MessageError::Field),
        },
        nodes: nodes(bytes, region)?,
        ports: ports(bytes)?,
    })
}

type Nodes = BTreeMap<AvailabilityZone, IpAddr>;

fn nodes(bytes: &mut &[u8], region: Region) -> Result<Nodes, MessageError> {
    let mut nodes = Nodes::new();
    for _ in 0..byte(bytes)? {
        let letter = usize::from(byte(bytes)?);
        let letter = ZoneLetter::ALL.get(letter).ok_or(MessageError::Field)?;
        let zone = AvailabilityZone {
            region,
            letter: *letter,
        };
        let address = match byte(bytes)? {
            4 => Ipv4Addr::from(octets::<4>(bytes)?).into(),
            6 => Ipv6Addr::from(octets::<16>(bytes)?).into(),
            _ => return Err(MessageError::Field),
        };
        let last = nodes.last_key_value();
        if last.is_some_and(|(last, _)| *last >= zone) {
            return Err(MessageError::Field);
        }
        nodes.insert(zone, address);
    }
    Ok(nodes)
}

fn ports(bytes: &mut &[u8]) -> Result<BTreeMap<u16, BalancerPort>, MessageError> {
    let count = usize::from(short(bytes)?);
    if count > MAX_PORTS {
        return Err(MessageError::Field);
    }
    let mut ports = BTreeMap::new();
    for _ in 0..count {
        let port = short(bytes)?;
        let spoken = match byte(bytes)? {
            1 => BalancerPort::Tcp,
            2 => BalancerPort::Udp,
            3 => BalancerPort::TcpUdp,
            _ => return Err(MessageError::Field),
        };
        let last = ports.last_key_value();
        if last.is_some_and(|(last, _)| *last >= port) {
            return Err(MessageError::Field);
        }
        ports.insert(port, spoken);
    }
    Ok(ports)
}

fn text(bytes: &mut &[u8]) -> Result<String, MessageError> {
    let length = usize::from(byte(bytes)?);
    text_of(bytes, length)
}

fn text_of(bytes: &mut &[u8], length: usize) -> Result<String, MessageError> {
    let (text, rest) = bytes.split_at_checked(length).ok_or(MessageError::Length)?;
    *bytes = rest;
    let text = std::str::from_utf8(text).map_err(|_| MessageError::Field)?;
    Ok(text.to_owned())
}

fn octets<const N: usize>(bytes: &mut &[u8]) -> Result<[u8; N], MessageError> {
    let (octets, rest) = bytes.split_first_chunk::<N>().ok_or(MessageError::Length)?;
    *bytes = rest;
    Ok(*octets)
}

fn byte(bytes: &mut &[u8]) -> Result<u8, MessageError> {
    bytes.try_get_u8().map_err(|_| MessageError::Length)
}

fn short(bytes: &mut &[u8]) -> Result<u16, MessageError> {
    bytes.try_get_u16().map_err(|_| MessageError::Length)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn region() -> Region {
        "us-east-1".parse().unwrap()
    }

    fn entry_of(name: &str) -> BalancerEntry {
        let zone = |letter| AvailabilityZone {
            region: region(),
            letter,
        };
        BalancerEntry {
            arn: format!(
                "arn:aws:elasticloadbalancing:us-east-1:111122223333:loadbalancer/app/{name}/1"
            ),
            dns_name: format!("{name}-1.us-east-1.elb.amazonaws.com"),
            hosted_zone: "Z35SXDOTRQ7X7K".to_owned(),
            nodes: [
                (zone(ZoneLetter::A), "127.32.1.1".parse().unwrap()),
                (zone(ZoneLetter::C), "::1".parse().unwrap()),
            ]
            .into(),
            ports: [(80, BalancerPort::Tcp), (53, BalancerPort::TcpUdp)].into(),
            is_healthy: true,
        }
    }

    fn state(names: &[&str]) -> RegionBalancers {
        let entries = names.iter().map(|name| entry_of(name));
        RegionBalancers {
            region: region(),
            revision: 0x0102,
            balancers: entries.map(|entry| (entry.arn.clone(), entry)).collect(),
            certificates: BTreeMap::new(),
        }
    }

    /// The same, with such certificates of the first.
    fn with_certificates(mut state: RegionBalancers, names: &[&str]) -> RegionBalancers {
        let user = state.balancers.keys().next().unwrap().clone();
        let arn = |name: &&str| format!("arn:aws:iam::111122223333:server-certificate/{name}");
        let used = names.iter().map(|name| (arn(name), user.clone()));
        state.certificates = used.collect();
        state
    }

    #[test]
    fn the_golden_bytes_of_messages() {
        for (message, kind) in [(Message::Own(0x0102), 2), (Message::Have(0x0102), 3)] {
            let mut golden = [1, kind, 0, 0, 0, 0, 0, 0, 1, 2];
            assert_eq!(message.encode().as_ref(), golden);
            // As it was written for a while.
            golden[0] = 2;
            assert_eq!(Message::decode(&golden, region()), Ok(message));
        }
        let mut golden = vec![2, 1, 0, 0, 0, 0, 0, 0, 1, 2, 0, 1, 75];
        golden.extend(b"arn:aws:elasticloadbalancing:us-east-1:111122223333:loadbalancer/app/it/1");
        golden[12] = (golden.len() - 13) as u8;
        golden.push(34);
        golden.extend(b"it-1.us-east-1.elb.amazonaws.com");
        let at = golden.len() - 33;
        golden[at] = 32;
        golden.push(14);
        golden.extend(b"Z35SXDOTRQ7X7K");
        golden.extend([1, 2, 0, 4, 127, 32, 1, 1, 2, 6]);
        golden.extend([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]);
        golden.extend([0, 2, 0, 53, 3, 0, 80, 1]);
        let mut first = golden.clone();
        golden.extend([0, 1, 0, 47]);
        golden.extend(b"arn:aws:iam::111122223333:server-certificate/up");
        golden.extend([0, 0]);
        let without = state(&["it"]);
        let state = Message::State(with_certificates(without.clone(), &["up"]));
        assert_eq!(state.encode().as_ref(), golden);
        assert_eq!(Message::decode(&golden, region()), Ok(state));
        // Without certificates it is of the first version.
        first[0] = 1;
        let without = Message::State(without);
        assert_eq!(without.encode().as_ref(), first);
        assert_eq!(Message::decode(&first, region()), Ok(without.clone()));
        // As it was written for a while.
        first[0] = 2;
        first.extend([0, 0]);
        assert_eq!(Message::decode(&first, region()), Ok(without));
    }

    #[test]
    fn what_is_changed_anywhere_is_refused_or_read_as_it_is_written() {
        let state = with_certificates(state(&["one", "two"]), &["a", "b"]);
        let bytes = Message::State(state).encode();
        for length in 0..bytes.len() {
            assert!(Message::decode(&bytes[..length], region()).is_err());
        }
        let longer = [&bytes[..], &[0]].concat();
        assert_eq!(
            Message::decode(&longer, region()),
            Err(MessageError::Length)
        );
        for at in 0..bytes.len() {
            for value in 0..=255 {
                let mut changed = bytes.to_vec();
                changed[at] = value;
                if let Ok(read) = Message::decode(&changed, region()) {
                    if !matches!(&read, Message::State(state) if !state.certificates.is_empty()) {
                        // It is written as what it is, whatever it was read of.
                        changed[0] = WITHOUT_CERTIFICATES;
                    }
                    assert_eq!(read.encode().as_ref(), changed, "at {at}");
                }
            }
        }
        for other in [0, VERSION + 1] {
            let refused = Message::decode(&[other, 9], region());
            assert_eq!(refused, Err(MessageError::Version(other)));
        }
    }

    #[test]
    fn the_most_that_is_told_fits_and_the_rest_is_left_out() {
        let names: Vec<String> = (0..MAX_BALANCERS + 3).map(|n| format!("{n:032}")).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let mut many = state(&names);
        for entry in many.balancers.values_mut() {
            entry.ports = (1..=MAX_PORTS as u16)
                .map(|port| (port, BalancerPort::Tcp))
                .collect();
        }
        let long = "x".repeat(600);
        let names: Vec<String> = (0..MAX_CERTIFICATES + 2)
            .map(|n| format!("{n:03}{long}"))
            .collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        many = with_certificates(many, &names);
        assert_eq!(bounded(&mut many), 3 + 2);
        let bytes = Message::State(many.clone()).encode();
        assert_eq!(
            Message::decode(&bytes, region()),
            Ok(Message::State(many.clone()))
        );
        let first = many.balancers.values_mut().next().unwrap();
        first.ports.insert(60_000, BalancerPort::Udp);
        // With it go the certificates that it was said to use.
        assert_eq!(bounded(&mut many), 1 + MAX_CERTIFICATES);
    }

    #[test]
    fn what_is_no_certificate_of_iam_or_is_used_by_nobody_is_not_told() {
        let mut state = with_certificates(state(&["it"]), &["good"]);
        let user = state.balancers.keys().next().unwrap().clone();
        let foreign = "arn:aws:acm:us-east-1:111122223333:certificate/shop".to_owned();
        state.certificates.insert(foreign, user);
        let unused = "arn:aws:iam::111122223333:server-certificate/unused".to_owned();
        state.certificates.insert(unused, "nobody".to_owned());
        assert_eq!(bounded(&mut state), 2);
        assert_eq!(state.certificates.len(), 1);
    }

    #[test]
    fn a_region_speaks_for_its_own_load_balancers_alone() {
        let change = |change: &dyn Fn(&mut BalancerEntry)| {
            let mut entry = entry_of("it");
            change(&mut entry);
            is_sound(&entry, region())
        };
        assert!(change(&|_| {}));
        assert!(change(&|it| {
            it.dns_name = "it-1.elb.us-east-1.amazonaws.com".to_owned();
            it.hosted_zone = "Z26RNL4JYFTOTI".to_owned();
        }));
        // Another Region's, and that of another kind.
        for zone in ["Z32O12XQLNTSW2", "Z26RNL4JYFTOTI", "Z2BJ6XQ5FK7U4H"] {
            assert!(!change(&|it| it.hosted_zone = zone.to_owned()), "{zone}");
        }
        assert!(!change(&|it| {
            it.dns_name = "it-1.us-west-2.elb.amazonaws.com".to_owned();
        }));
        assert!(!change(&|it| it.dns_name = "bank.example".to_owned()));
        assert!(!change(
            &|it| it.arn = it.arn.replace("us-east-1", "us-west-2")
        ));
        assert!(!change(&|it| it.hosted_zone = "Z/1".to_owned()));
        assert!(!change(&|it| {
            let zone = *it.nodes.keys().next().unwrap();
            it.nodes.insert(zone, "224.0.0.1".parse().unwrap());
        }));
        let other: Region = "us-west-2".parse().unwrap();
        let bytes = Message::State(state(&["it"])).encode();
        assert_eq!(Message::decode(&bytes, other), Err(MessageError::Field));
    }
}

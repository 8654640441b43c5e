//! Answers compared with those of NSD and Knot, which serve the same random zones: codes, AA,
//! answers, denials and referrals. What isn't installed is skipped, and says so.
#![allow(clippy::unwrap_used, reason = "a test may panic")]
#![allow(
    clippy::disallowed_types,
    clippy::disallowed_methods,
    reason = "it asks real servers"
)]

mod common;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, UdpSocket};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use common::*;
use routing::{Content, Name, RecordKind, RecordSet, SmallRandom, Transport, Zone};

/// Zones, and questions to each.
const ZONES: u32 = 20;
const QUESTIONS: u32 = 1000;

/// How long a server may take to answer.
const PATIENCE: Duration = Duration::from_secs(30);

const LABELS: [&str; 7] = ["a", "b", "c", "d", "*", "_x", "www"];

fn some_name(random: &mut SmallRandom, apex: &str, most: u32) -> String {
    let mut text = String::new();
    for _ in 0..random.below(most + 1) {
        text.push_str(LABELS[random.below(LABELS.len() as u32) as usize]);
        text.push('.');
    }
    text + apex
}

fn value(random: &mut SmallRandom, kind: RecordKind, apex: &str) -> String {
    let target = match random.below(4) {
        0 => "www.elsewhere.invalid".to_owned(),
        _ => some_name(random, apex, 3),
    };
    let number = random.below(250);
    match kind {
        RecordKind::A => format!("192.0.2.{number}"),
        RecordKind::Aaaa => format!("2001:db8::{number}"),
        RecordKind::Txt => format!("\"text {number}\" \"more\""),
        RecordKind::Mx => format!("{number} {target}."),
        RecordKind::Srv => format!("1 2 {number} {target}."),
        RecordKind::Caa => format!("0 issue \"ca{number}.invalid\""),
        RecordKind::Cname | RecordKind::Ns | RecordKind::Ptr => format!("{target}."),
        RecordKind::Soa => format!("ns.{apex}. hostmaster.{apex}. 1 7200 900 1209600 300"),
    }
}

/// A zone with everything: wildcards, names with nothing, delegations with addresses below,
/// canonical names. Only what the peers refuse to load is left out.
fn random_zone(seed: u64, number: u32) -> (Zone, Vec<RecordSet>) {
    let mut random = SmallRandom::new(seed);
    let apex = format!("z{number}.test");
    let mut groups: BTreeMap<(Name, RecordKind), (u32, BTreeSet<String>)> = BTreeMap::new();
    let mut add = |owner: &str, kind, ttl, value| {
        let group = groups
            .entry((name(owner), kind))
            .or_insert((ttl, BTreeSet::new()));
        group.1.insert(value);
    };
    add(
        &apex,
        RecordKind::Soa,
        900,
        value(&mut random, RecordKind::Soa, &apex),
    );
    add(&apex, RecordKind::Ns, 3600, format!("ns.{apex}."));
    let kinds = [
        RecordKind::A,
        RecordKind::A,
        RecordKind::Aaaa,
        RecordKind::Txt,
        RecordKind::Mx,
        RecordKind::Srv,
        RecordKind::Caa,
        RecordKind::Ptr,
        RecordKind::Cname,
        RecordKind::Cname,
        RecordKind::Ns,
    ];
    for _ in 0..60 {
        let owner = some_name(&mut random, &apex, 4);
        let kind = kinds[random.below(kinds.len() as u32) as usize];
        let wild = owner.starts_with('*');
        if matches!(kind, RecordKind::Cname | RecordKind::Ns)
            && (owner == apex || wild && kind == RecordKind::Ns)
        {
            continue;
        }
        let ttl = 60 + random.below(1000);
        for _ in 0..=random.below(2) {
            let value = value(&mut random, kind, &apex);
            add(&owner, kind, ttl, value);
            if kind == RecordKind::Cname {
                break;
            }
        }
    }
    // Nothing stands beside a canonical name.
    let alone: BTreeSet<Name> = groups
        .keys()
        .filter(|(_, kind)| *kind == RecordKind::Cname)
        .map(|(owner, _)| owner.clone())
        .collect();
    groups.retain(|(owner, kind), _| *kind == RecordKind::Cname || !alone.contains(owner));
    for ((_, kind), (_, values)) in &mut groups {
        if *kind == RecordKind::Cname {
            *values = values.iter().take(1).cloned().collect();
        }
    }
    let set = |((name, kind), (ttl, values)): ((Name, RecordKind), (u32, BTreeSet<String>))| {
        let values = values.into_iter().collect();
        RecordSet {
            name,
            kind,
            selector: None,
            content: Content::Values { ttl, values },
            health_check: None,
        }
    };
    let sets = groups.into_iter().map(set).collect();
    (zone(&format!("Z{number}"), &apex), sets)
}

fn zone_file(sets: &[RecordSet]) -> String {
    let mut text = String::new();
    for set in sets {
        let Content::Values { ttl, values } = &set.content else {
            panic!("made of values");
        };
        let owner = set.name.to_string().replace("\\052", "*");
        for value in values {
            writeln!(text, "{owner} {ttl} IN {} {value}", set.kind).unwrap();
        }
    }
    text
}

/// A server, killed with all its processes when it is dropped.
struct Peer {
    name: &'static str,
    child: Child,
    address: SocketAddr,
    _folder: tempfile::TempDir,
}

impl Drop for Peer {
    fn drop(&mut self) {
        let group = format!("-{}", self.child.id());
        let _ = Command::new("kill").args(["-KILL", "--", &group]).status();
        let _ = self.child.wait();
    }
}

impl Peer {
    fn start(name: &'static str, program: &str, zones: &[(Zone, Vec<RecordSet>)]) -> Option<Peer> {
        if !Path::new(program).exists() {
            eprintln!("skipped: {program} is not installed, so nothing is compared with {name}");
            return None;
        }
        let folder = tempfile::tempdir().unwrap();
        let address = free_address();
        for (zone, sets) in zones {
            let file = folder.path().join(format!("{}zone", zone.name));
            fs::write(file, zone_file(sets)).unwrap();
        }
        let (configuration, arguments) = match name {
            "NSD" => (nsd(folder.path(), address, zones), vec!["-d", "-c"]),
            _ => (knot(folder.path(), address, zones), vec!["-c"]),
        };
        let file = folder.path().join("server.conf");
        fs::write(&file, configuration).unwrap();
        let log = fs::File::create(folder.path().join("log.txt")).unwrap();
        let child = Command::new(program)
            .args(arguments)
            .arg(&file)
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .process_group(0)
            .spawn()
            .unwrap();
        let peer = Peer {
            name,
            child,
            address,
            _folder: folder,
        };
        let started = Instant::now();
        for (zone, _) in zones {
            let question = query(&zone.name.to_string(), RecordKind::Soa.code());
            while peer
                .ask(&question)
                .is_none_or(|reply| read(&reply).answer.is_empty())
            {
                if started.elapsed() > PATIENCE {
                    let log = fs::read_to_string(peer._folder.path().join("log.txt"));
                    panic!("{name} doesn't answer for {}: {}", zone.name, log.unwrap());
                }
                std::thread::sleep(Duration::from_millis(20));
            }
        }
        Some(peer)
    }

    fn ask(&self, packet: &[u8]) -> Option<Vec<u8>> {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        socket.connect(self.address).unwrap();
        socket
            .set_read_timeout(Some(Duration::from_secs(2)))
            .unwrap();
        socket.send(packet).ok()?;
        let mut reply = vec![0; 65_535];
        let length = socket.recv(&mut reply).ok()?;
        reply.truncate(length);
        Some(reply)
    }
}

fn free_address() -> SocketAddr {
    loop {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        if UdpSocket::bind(address).is_ok() {
            return address;
        }
    }
}

fn nsd(folder: &Path, address: SocketAddr, zones: &[(Zone, Vec<RecordSet>)]) -> String {
    let at = folder.display();
    let mut text = format!(
        "server:\n server-count: 1\n ip-address: {}@{}\n username: \"\"\n database: \"\"\n \
         zonesdir: \"{at}\"\n pidfile: \"{at}/pid\"\n xfrdfile: \"{at}/xfrd\"\n \
         zonelistfile: \"{at}/zones\"\n rrl-ratelimit: 0\nremote-control:\n control-enable: no\n",
        address.ip(),
        address.port()
    );
    for (zone, _) in zones {
        let name = &zone.name;
        writeln!(text, "zone:\n name: \"{name}\"\n zonefile: \"{name}zone\"").unwrap();
    }
    text
}

fn knot(folder: &Path, address: SocketAddr, zones: &[(Zone, Vec<RecordSet>)]) -> String {
    let at = folder.display();
    let mut text = format!(
        "server:\n  listen: {}@{}\n  udp-workers: 1\n  tcp-workers: 1\n  \
         background-workers: 1\n  rundir: \"{at}\"\nlog:\n  - target: stderr\n    any: warning\n\
         database:\n  storage: \"{at}\"\ntemplate:\n  - id: default\n    storage: \"{at}\"\n    \
         zonefile-sync: -1\n    journal-content: none\n    semantic-checks: off\nzone:\n",
        address.ip(),
        address.port()
    );
    for (zone, _) in zones {
        let name = &zone.name;
        writeln!(text, "  - domain: {name}\n    file: \"{name}zone\"").unwrap();
    }
    text
}

/// What must be the same. Which records are added out of kindness each server decides for
/// itself: the authority section counts where there is a denial or a referral.
#[derive(Debug, PartialEq)]
struct Essence {
    rcode: String,
    authoritative: bool,
    answer: Vec<String>,
    authority: Vec<String>,
}

fn essence(read: &Read) -> Essence {
    let kind = |line: &String| line.split(' ').nth(2).unwrap().to_owned();
    let denial = read.authority.iter().any(|line| kind(line) == "SOA");
    let telling = denial || !read.authoritative;
    Essence {
        rcode: read.rcode.clone(),
        authoritative: read.authoritative,
        answer: read.answer.clone(),
        authority: if telling {
            read.authority.clone()
        } else {
            Vec::new()
        },
    }
}

fn compare(name: &'static str, program: &str) {
    let zones: Vec<_> = (0..ZONES)
        .map(|number| random_zone(u64::from(number) + 1, number))
        .collect();
    let Some(peer) = Peer::start(name, program, &zones) else {
        return;
    };
    let mut server = Server::new(zones.clone());
    let mut random = SmallRandom::new(99);
    let kinds = [1, 1, 1, 28, 16, 15, 2, 6, 5, 33, 257, 12, 43, 65];
    let mut compared: BTreeMap<String, u32> = BTreeMap::new();
    for (zone, sets) in &zones {
        let apex = zone.name.to_string();
        for _ in 0..QUESTIONS {
            let owner = match random.below(2) {
                0 => sets[random.below(sets.len() as u32) as usize]
                    .name
                    .to_string(),
                _ => some_name(&mut random, &apex, 5),
            };
            let kind = kinds[random.below(kinds.len() as u32) as usize];
            let packet = with_edns(query(&owner, kind), 4096, &[]);
            let theirs = read(&peer.ask(&packet).unwrap());
            let ours = read(&server.reply(&packet, HERE, Transport::Udp).unwrap());
            if differs_by_choice(&ours, &theirs) {
                continue;
            }
            assert_eq!(
                essence(&ours),
                essence(&theirs),
                "{owner} {kind}: ours, and {}'s\n{}",
                peer.name,
                zone_file(sets)
            );
            let answered = if ours.answer.is_empty() {
                ""
            } else {
                " answered"
            };
            *compared
                .entry(format!("{}{answered}", ours.rcode))
                .or_default() += 1;
        }
    }
    for sort in ["NOERROR", "NOERROR answered", "NXDOMAIN"] {
        assert!(
            compared.get(sort).is_some_and(|count| *count > 50),
            "{compared:?}"
        );
    }
}

/// Canonical names in a circle end where each server likes.
fn differs_by_choice(ours: &Read, theirs: &Read) -> bool {
    let owners = |read: &Read| -> BTreeSet<String> {
        let names = read.answer.iter().filter(|line| line.contains(" CNAME "));
        names
            .map(|line| line.split(' ').next().unwrap().to_owned())
            .collect()
    };
    let closes = |read: &Read| {
        let owners = owners(read);
        let mut targets = read
            .answer
            .iter()
            .filter_map(|line| line.split(" CNAME ").nth(1));
        owners.len() == read.answer.len() && targets.all(|target| owners.contains(target))
    };
    !ours.answer.is_empty() && closes(ours) && closes(theirs)
}

#[test]
fn answers_are_nsd_s() {
    compare("NSD", "/usr/sbin/nsd");
}

#[test]
fn answers_are_knot_s() {
    compare("Knot", "/usr/sbin/knotd");
}

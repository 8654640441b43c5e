//! Packets mutated at random, from a seed. Whatever comes: no panic, never an answer to a
//! response, nothing too long, and what is answered an independent codec can read.
//!
//! `FUZZ_ROUNDS` sets how many packets are made; `FUZZ_SEED` from where.
#![allow(clippy::unwrap_used, reason = "a test may panic")]
#![allow(
    clippy::disallowed_methods,
    reason = "a longer run is asked for by the environment"
)]

mod common;

use common::*;
use routing::{FailoverRole, Policy, RecordKind, SmallRandom, Transport};

/// Packets that the test command tries.
const ROUNDS: u64 = 300_000;

fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |text| text.parse().unwrap())
}

fn server() -> Server {
    let mut records = sets(
        "www.example.com 300 A 192.0.2.1 | 192.0.2.2
         example.com 300 MX 10 mail.example.com | 20 mail.example.net
         mail.example.com 300 A 192.0.2.3
         *.wild.example.com 300 CNAME a.b.wild.example.com
         sub.example.com 300 NS ns.sub.example.com
         ns.sub.example.com 300 A 192.0.2.4
         chain.example.com 300 CNAME www.example.com
         t.example.com 300 TXT \"a\" \"b\"
         _s._tcp.example.com 300 SRV 1 2 3 mail.example.com
         c.example.com 300 CAA 0 issue \"x\"",
    );
    for (identifier, role) in [("p", FailoverRole::Primary), ("s", FailoverRole::Secondary)] {
        let record = set("f.example.com 60 A 192.0.2.9");
        records.push(selected(record, identifier, Policy::Failover(role)));
    }
    for region in ["us-east-1", "eu-west-1"] {
        let record = set("l.example.com 60 A 192.0.2.8");
        records.push(selected(
            record,
            region,
            Policy::Latency(region.parse().unwrap()),
        ));
    }
    records.push(alias(
        "al.example.com",
        RecordKind::A,
        "l.example.com",
        true,
    ));
    let big: Vec<String> = (0..100).map(|number| format!("10.0.0.{number}")).collect();
    records.push(set(&format!("big.example.com 60 A {}", big.join(" | "))));
    let long = [&"a".repeat(63)[..]; 3].join(".");
    records.push(set(&format!(
        "{long}.example.com 60 CNAME b.{long}.example.com"
    )));
    Server::new(vec![
        (zone("Z1", "example.com"), records),
        (
            zone("Z2", "0.in-addr.arpa"),
            sets("1.0.in-addr.arpa 1 PTR www.example.com"),
        ),
    ])
}

fn corpus() -> Vec<Vec<u8>> {
    let long = [&"a".repeat(63)[..]; 3].join(".");
    let names = [
        "www.example.com",
        "example.com",
        "mail.example.com",
        "x.wild.example.com",
        "deep.sub.example.com",
        "chain.example.com",
        "t.example.com",
        "_s._tcp.example.com",
        "c.example.com",
        "f.example.com",
        "l.example.com",
        "al.example.com",
        "big.example.com",
        "1.0.in-addr.arpa",
        "nowhere.org",
        ".",
        &format!("{long}.example.com"),
    ];
    let mut packets = Vec::new();
    for name in names {
        for kind in [1, 2, 5, 6, 15, 28, 43, 255, 257] {
            packets.push(query(name, kind));
            packets.push(with_edns(query(name, kind), 1232, &[]));
            packets.push(with_edns(
                query(name, kind),
                4096,
                &subnet([127, 64, 3, 0], 24),
            ));
        }
    }
    packets
}

fn mutate(packet: &mut Vec<u8>, random: &mut SmallRandom) {
    for _ in 0..=random.below(4) {
        let length = packet.len() as u32;
        let at = random.below(length.max(1)) as usize;
        match random.below(8) {
            0 if length > 0 => packet[at] ^= 1 << random.below(8),
            1 if length > 0 => packet[at] = random.next_u64() as u8,
            2 if length > 0 => {
                packet[at] = [0, 1, 63, 64, 0xc0, 0xff, 12, 41][random.below(8) as usize]
            }
            3 => packet.truncate(at),
            4 => packet.extend((0..random.below(20)).map(|_| random.next_u64() as u8)),
            5 if length > 12 => {
                let piece = packet[12..].to_vec();
                packet.extend(piece);
            }
            6 if length > 0 => _ = packet.remove(at),
            7 => packet.insert(at.min(packet.len()), random.next_u64() as u8),
            _ => {}
        }
    }
    packet.truncate(4096);
}

#[test]
fn no_packet_does_harm() {
    let mut server = server();
    let corpus = corpus();
    let seed = setting("FUZZ_SEED", 1);
    let (mut answered, mut silent) = (0u32, 0u32);
    for round in 0..setting("FUZZ_ROUNDS", ROUNDS) {
        let mut random = SmallRandom::new(seed.wrapping_mul(0x1_0000_0000) + round);
        let mut packet = corpus[random.below(corpus.len() as u32) as usize].clone();
        // One in sixteen stays as it is.
        if random.below(16) > 0 {
            mutate(&mut packet, &mut random);
        }
        let transport = match random.below(4) {
            0 => Transport::Tcp,
            _ => Transport::Udp,
        };
        let Some(reply) = server.reply(&packet, HERE, transport) else {
            let deserved = packet.len() < 12 || packet[2] & 0x80 != 0;
            assert!(deserved, "round {round}: silence to {packet:?}");
            silent += 1;
            continue;
        };
        answered += 1;
        assert!(
            packet.len() >= 12 && packet[2] & 0x80 == 0,
            "round {round}: {packet:?}"
        );
        let read = read(&reply);
        let most = match transport {
            Transport::Tcp => 65_535,
            Transport::Udp if read.scope.is_some() || reply[11] > 0 => 4096,
            Transport::Udp => 512,
        };
        assert!(
            reply.len() <= most,
            "round {round}: {} bytes to {packet:?}",
            reply.len()
        );
        assert_eq!(reply[..2], packet[..2]);
    }
    assert!(
        answered > silent,
        "{answered} answers, {silent} times silence"
    );
}

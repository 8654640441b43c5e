//! Answers of static zones, word for word: positive and negative, wildcards, delegations,
//! canonical names, truncation. Responses are read by an independent codec.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use common::*;
use routing::Transport;

const SOA: &str = "example.com. 900 SOA ns-1.awsdns-00.com. awsdns-hostmaster.amazon.com. 1 7200 \
                   900 1209600 86400";

fn servers() -> Vec<String> {
    (1..=4)
        .map(|number| format!("example.com. 172800 NS ns-{number}.awsdns-00.com."))
        .collect()
}

#[test]
fn a_name_is_answered_with_its_records_and_the_zone_s_servers() {
    let mut server = Server::of("www.example.com 300 A 192.0.2.1 | 192.0.2.2");
    let read = server.ask("WWW.example.com", "A");
    assert_eq!(read.rcode, "NOERROR");
    assert!(read.authoritative && !read.truncated);
    assert_eq!(
        read.answer,
        [
            "www.example.com. 300 A 192.0.2.1",
            "www.example.com. 300 A 192.0.2.2"
        ]
    );
    assert_eq!(read.authority, servers());
    assert!(read.additional.is_empty());
}

#[test]
fn the_question_keeps_its_case() {
    let mut server = Server::of("www.example.com 300 A 192.0.2.1");
    let mut packet = query("www.example.com", 1);
    packet[13..16].copy_from_slice(b"WwW");
    let reply = server.reply(&packet, HERE, Transport::Udp).unwrap();
    assert_eq!(&reply[12..packet.len()], &packet[12..]);
    assert_eq!(&reply[..2], &packet[..2]);
    assert_eq!(reply[2] & 1, 1, "RD is given back");
}

#[test]
fn the_apex_answers_for_itself() {
    let mut server = Server::of("");
    let read = server.ask("example.com", "SOA");
    assert_eq!(read.answer, [SOA]);
    let read = server.ask("example.com", "NS");
    assert_eq!(read.answer, servers());
    assert!(read.authority.is_empty());
}

#[test]
fn a_name_without_the_kind_and_a_missing_name_differ() {
    let mut server = Server::of("a.b.example.com 300 A 192.0.2.1");
    for (name, kind, rcode) in [
        ("a.b.example.com", "AAAA", "NOERROR"),
        ("b.example.com", "A", "NOERROR"), // only a name below it exists
        ("c.example.com", "A", "NXDOMAIN"),
        ("x.a.b.example.com", "A", "NXDOMAIN"),
        ("example.com", "MX", "NOERROR"),
    ] {
        let read = server.ask(name, kind);
        assert_eq!(
            (read.rcode.as_str(), read.authoritative),
            (rcode, true),
            "{name}"
        );
        assert_eq!(read.answer, [] as [&str; 0]);
        assert_eq!(read.authority, [SOA]);
    }
}

#[test]
fn a_negative_answer_lives_for_the_lesser_of_ttl_and_minimum() {
    let mut server = Server::of("example.com 900 SOA a.example.com b.example.com 1 2 3 4 60");
    let read = server.ask("none.example.com", "A");
    assert_eq!(
        read.authority,
        ["example.com. 60 SOA a.example.com. b.example.com. 1 2 3 4 60"]
    );
    assert_eq!(
        server.ask("example.com", "SOA").answer[0].split(' ').nth(1),
        Some("900")
    );
}

#[test]
fn out_of_every_zone_is_refused_and_the_longest_zone_answers() {
    let mut server = Server::new(vec![
        (
            zone("Z1", "example.com"),
            sets("a.sub.example.com 1 A 192.0.2.1"),
        ),
        (
            zone("Z2", "sub.example.com"),
            sets("a.sub.example.com 2 A 192.0.2.2"),
        ),
    ]);
    assert_eq!(
        server.ask("a.sub.example.com", "A").answer,
        ["a.sub.example.com. 2 A 192.0.2.2"]
    );
    for name in ["example.org", "com", ".", "badexample.com"] {
        let read = server.ask(name, "A");
        assert_eq!(
            (read.rcode.as_str(), read.authoritative),
            ("REFUSED", false),
            "{name}"
        );
    }
}

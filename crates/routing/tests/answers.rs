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

#[test]
fn the_closest_encloser_s_wildcard_stands_for_what_is_missing() {
    // The zone of RFC 4592, section 2.2.1, and a wildcard that is a canonical name.
    let mut server = Server::of(
        "*.example.com 300 TXT \"this is a wildcard\"
         *.example.com 300 MX 10 host1.example.com
         sub.*.example.com 300 TXT \"this is not a wildcard\"
         host1.example.com 300 A 192.0.2.1
         _ssh._tcp.host1.example.com 300 SRV 0 0 22 host1.example.com
         *.alias.example.com 300 CNAME host1.example.com",
    );
    let wild = server.ask("host3.example.com", "MX");
    assert_eq!(
        wild.answer,
        ["host3.example.com. 300 MX 10 host1.example.com."]
    );
    assert_eq!(wild.additional, ["host1.example.com. 300 A 192.0.2.1"]);
    let read = server.ask("host3.example.com", "A");
    assert_eq!((read.rcode.as_str(), read.answer.len()), ("NOERROR", 0));
    let read = server.ask("foo.bar.example.com", "TXT");
    assert_eq!(
        read.answer,
        ["foo.bar.example.com. 300 TXT \"this is a wildcard\""]
    );
    for (name, kind) in [
        ("host1.example.com", "MX"),
        ("sub.*.example.com", "MX"),
        ("host1.example.com", "TXT"),
        ("*.example.com", "A"),
        ("_tcp.host1.example.com", "TXT"),
    ] {
        let read = server.ask(name, kind);
        assert_eq!(
            (read.rcode.as_str(), read.answer.len()),
            ("NOERROR", 0),
            "{name}"
        );
        assert_eq!(read.authority, [SOA]);
    }
    for name in [
        "_telnet._tcp.host1.example.com",
        "ghost.*.example.com",
        "x.host1.example.com",
    ] {
        assert_eq!(server.ask(name, "TXT").rcode, "NXDOMAIN", "{name}");
    }
    assert_eq!(server.ask("*.example.com", "TXT").answer.len(), 1);
    let read = server.ask("a.b.alias.example.com", "A");
    assert_eq!(
        read.answer,
        [
            "a.b.alias.example.com. 300 CNAME host1.example.com.",
            "host1.example.com. 300 A 192.0.2.1"
        ]
    );
    assert_eq!(server.ask("alias.example.com", "A").rcode, "NOERROR");
}

#[test]
fn what_is_delegated_is_referred_with_the_addresses_it_takes() {
    let mut server = Server::of(
        "sub.example.com 300 NS ns.sub.example.com | ns.example.com | ns.example.net
         ns.sub.example.com 300 A 192.0.2.1
         ns.sub.example.com 300 AAAA 2001:db8::1
         ns.example.com 300 A 192.0.2.2
         alias.example.com 300 CNAME deep.sub.example.com",
    );
    let servers = [
        "sub.example.com. 300 NS ns.example.com.",
        "sub.example.com. 300 NS ns.example.net.",
        "sub.example.com. 300 NS ns.sub.example.com.",
    ];
    let glue = [
        "ns.example.com. 300 A 192.0.2.2",
        "ns.sub.example.com. 300 A 192.0.2.1",
        "ns.sub.example.com. 300 AAAA 2001:db8::1",
    ];
    for (name, kind) in [
        ("sub.example.com", "A"),
        ("sub.example.com", "NS"),
        ("ns.sub.example.com", "A"),
        ("a.b.sub.example.com", "MX"),
    ] {
        let read = server.ask(name, kind);
        assert_eq!(
            (read.rcode.as_str(), read.authoritative),
            ("NOERROR", false),
            "{name}"
        );
        assert!(read.answer.is_empty());
        assert_eq!(read.authority, servers);
        assert_eq!(read.additional, glue);
    }
    // The parent answers for DS, and has none.
    let reply = server
        .reply(&query("sub.example.com", 43), HERE, Transport::Udp)
        .unwrap();
    let read = common::read(&reply);
    assert_eq!(
        (read.authoritative, &read.authority[..]),
        (true, &[SOA.to_owned()][..])
    );
    let reply = server
        .reply(&query("x.sub.example.com", 43), HERE, Transport::Udp)
        .unwrap();
    assert_eq!(common::read(&reply).authority, servers);
    let read = server.ask("alias.example.com", "A");
    assert_eq!(
        read.answer,
        ["alias.example.com. 300 CNAME deep.sub.example.com."]
    );
    assert_eq!(
        (read.authoritative, &read.authority[..]),
        (true, &servers.map(str::to_owned)[..])
    );
}

#[test]
fn the_parent_zone_answers_for_ds_of_a_zone_that_is_here_too() {
    let mut server = Server::new(vec![
        (zone("Z1", "example.com"), vec![]),
        (zone("Z2", "sub.example.com"), vec![]),
    ]);
    let reply = server
        .reply(&query("sub.example.com", 43), HERE, Transport::Udp)
        .unwrap();
    let read = common::read(&reply);
    assert_eq!(read.authority, [SOA]);
    // Whose parent isn't here answers itself.
    let reply = server
        .reply(&query("example.com", 43), HERE, Transport::Udp)
        .unwrap();
    assert_eq!(common::read(&reply).authority, [SOA]);
}

#[test]
fn canonical_names_are_followed_within_the_zone() {
    let mut server = Server::new(vec![
        (
            zone("Z1", "example.com"),
            sets(
                "a.example.com 1 CNAME b.example.com
                 b.example.com 2 CNAME c.example.com
                 c.example.com 3 A 192.0.2.1
                 out.example.com 4 CNAME www.example.net
                 gone.example.com 5 CNAME none.example.com
                 apex.example.com 6 CNAME example.com
                 child.example.com 7 CNAME www.sub.example.com
                 round.example.com 8 CNAME trip.example.com
                 trip.example.com 9 CNAME round.example.com",
            ),
        ),
        (
            zone("Z2", "sub.example.com"),
            sets("www.sub.example.com 1 A 192.0.2.9"),
        ),
    ]);
    let chain = [
        "a.example.com. 1 CNAME b.example.com.",
        "b.example.com. 2 CNAME c.example.com.",
        "c.example.com. 3 A 192.0.2.1",
    ];
    let read = server.ask("a.example.com", "A");
    assert_eq!(
        (&read.answer[..], &read.authority[..]),
        (&chain.map(str::to_owned)[..], &servers()[..])
    );
    assert_eq!(server.ask("a.example.com", "CNAME").answer, chain[..1]);
    let read = server.ask("a.example.com", "AAAA");
    assert_eq!(
        (&read.answer[..], &read.authority[..]),
        (
            &chain[..2]
                .iter()
                .map(|line| (*line).to_owned())
                .collect::<Vec<_>>()[..],
            &[SOA.to_owned()][..]
        )
    );
    let read = server.ask("out.example.com", "A");
    assert_eq!(read.answer, ["out.example.com. 4 CNAME www.example.net."]);
    assert_eq!(read.authority, servers());
    let read = server.ask("gone.example.com", "A");
    assert_eq!((read.rcode.as_str(), read.answer.len()), ("NXDOMAIN", 1));
    assert_eq!(read.authority, [SOA]);
    let read = server.ask("apex.example.com", "SOA");
    assert_eq!(read.answer, ["apex.example.com. 6 CNAME example.com.", SOA]);
    let read = server.ask("child.example.com", "A");
    assert_eq!(
        read.answer,
        ["child.example.com. 7 CNAME www.sub.example.com."]
    );
    let read = server.ask("round.example.com", "A");
    assert_eq!((read.rcode.as_str(), read.answer.len()), ("NOERROR", 2));
}

#[test]
fn a_long_chain_of_canonical_names_ends() {
    let chain: String = (0..50)
        .map(|number| {
            format!(
                "n{number}.example.com 1 CNAME n{}.example.com\n",
                number + 1
            )
        })
        .collect();
    let mut server = Server::of(&chain);
    assert_eq!(server.ask("n0.example.com", "A").answer.len(), 9);
}

#[test]
fn addresses_of_targets_are_added() {
    let mut server = Server::of(
        "example.com 300 MX 10 mail.example.com | 20 mail.example.net | 30 example.com
         example.com 300 A 192.0.2.9
         mail.example.com 300 A 192.0.2.1 | 192.0.2.2
         mail.example.com 300 AAAA 2001:db8::1
         _sip._tcp.example.com 300 SRV 1 2 3 mail.example.com",
    );
    let mail = [
        "mail.example.com. 300 A 192.0.2.1",
        "mail.example.com. 300 A 192.0.2.2",
        "mail.example.com. 300 AAAA 2001:db8::1",
    ];
    let read = server.ask("example.com", "MX");
    assert_eq!(read.answer.len(), 3);
    assert_eq!(read.additional[0], "example.com. 300 A 192.0.2.9");
    assert_eq!(read.additional[1..], mail);
    assert_eq!(server.ask("_sip._tcp.example.com", "SRV").additional, mail);
}

#[test]
fn an_answer_that_does_not_fit_is_truncated_whole() {
    let values: Vec<String> = (0..60).map(|number| format!("192.0.2.{number}")).collect();
    let line = format!("www.example.com 300 A {}", values.join(" | "));
    let mut server = Server::of(&line);
    let packet = query("www.example.com", 1);
    let cut = server.reply(&packet, HERE, Transport::Udp).unwrap();
    let read = common::read(&cut);
    assert!(read.truncated && read.authoritative && read.answer.is_empty());
    assert!(read.authority.is_empty());
    assert_eq!(cut.len(), packet.len());
    let whole = server.reply(&packet, HERE, Transport::Tcp).unwrap();
    let read = common::read(&whole);
    assert_eq!((read.truncated, read.answer.len()), (false, 60));
    // 12 + 21 + 60 · 16 bytes, and 11 for OPT.
    for (payload, fits) in [(1003, false), (1004, true), (4096, true), (100, false)] {
        let packet = with_edns(packet.clone(), payload, &[]);
        let reply = server.reply(&packet, HERE, Transport::Udp).unwrap();
        assert!(reply.len() <= usize::from(payload).max(512));
        assert_eq!(common::read(&reply).truncated, !fits, "{payload}");
    }
    // The zone's servers are left out rather than the answer.
    let packet = with_edns(packet, 1004, &[]);
    let reply = server.reply(&packet, HERE, Transport::Udp).unwrap();
    assert!(common::read(&reply).authority.is_empty());
}

#[test]
fn no_answer_over_udp_is_longer_than_the_service_s() {
    let values: Vec<String> = (0..400)
        .map(|n| format!("10.0.{}.{}", n / 250, n % 250))
        .collect();
    let mut server = Server::of(&format!("www.example.com 300 A {}", values.join(" | ")));
    let packet = with_edns(query("www.example.com", 1), 65_535, &[]);
    let reply = server.reply(&packet, HERE, Transport::Udp).unwrap();
    assert!(common::read(&reply).truncated && reply.len() < 512);
    let reply = server.reply(&packet, HERE, Transport::Tcp).unwrap();
    assert_eq!(common::read(&reply).answer.len(), 400);
}

#[test]
fn a_referral_without_room_for_its_glue_says_so() {
    let mut lines = String::new();
    let names: Vec<String> = (0..10)
        .map(|number| format!("a-rather-long-name-{number}.sub.example.com"))
        .collect();
    lines.push_str(&format!("sub.example.com 300 NS {}\n", names.join(" | ")));
    for (number, name) in names.iter().enumerate() {
        lines.push_str(&format!("{name} 300 A 192.0.2.{number}\n"));
    }
    let mut server = Server::of(&lines);
    let read = server.ask("sub.example.com", "A");
    assert!(read.truncated && read.additional.len() < 10);
    assert_eq!(read.authority.len(), 10);
    let reply = server
        .reply(&query("sub.example.com", 1), HERE, Transport::Tcp)
        .unwrap();
    let read = common::read(&reply);
    assert_eq!((read.truncated, read.additional.len()), (false, 10));
}

#[test]
fn any_gets_one_set_and_transfers_nothing() {
    let mut server = Server::of(
        "www.example.com 300 A 192.0.2.1
         www.example.com 300 TXT \"x\"
         alias.example.com 300 CNAME www.example.com",
    );
    let mut ask = |name: &str, kind| {
        common::read(
            &server
                .reply(&query(name, kind), HERE, Transport::Tcp)
                .unwrap(),
        )
    };
    assert_eq!(
        ask("www.example.com", 255).answer,
        ["www.example.com. 300 A 192.0.2.1"]
    );
    assert_eq!(ask("alias.example.com", 255).answer.len(), 1);
    assert_eq!(ask("none.example.com", 255).rcode, "NXDOMAIN");
    for kind in [251, 252, 253, 254, 249, 250] {
        assert_eq!(ask("example.com", kind).rcode, "REFUSED", "{kind}");
    }
    // Types that aren't built are absent, not unknown.
    for kind in [0, 65, 99, 300, 65_535] {
        let read = ask("www.example.com", kind);
        assert_eq!(
            (read.rcode.as_str(), &read.authority[..]),
            ("NOERROR", &[SOA.to_owned()][..])
        );
    }
}

#[test]
fn the_root_can_be_a_zone() {
    let mut server = Server::new(vec![(
        zone("Z1", "."),
        sets(
            "com 300 NS ns.com
             ns.com 300 A 192.0.2.1
             a 300 MX 1 a
             a 300 A 192.0.2.2",
        ),
    )]);
    let read = server.ask("www.example.com", "A");
    assert_eq!(read.authority, ["com. 300 NS ns.com."]);
    assert_eq!(read.additional, ["ns.com. 300 A 192.0.2.1"]);
    let read = server.ask("a", "MX");
    assert_eq!(
        (&read.answer[0][..], &read.additional[0][..]),
        ("a. 300 MX 1 a.", "a. 300 A 192.0.2.2")
    );
    assert_eq!(server.ask("b", "A").rcode, "NXDOMAIN");
    assert_eq!(server.ask(".", "NS").answer.len(), 4);
}

#[test]
fn several_sets_answer_with_the_least_time_to_live() {
    let many = (0..12).map(|number| {
        let line = format!("m.example.com {} A 192.0.2.{number}", 100 + number);
        selected(set(&line), &number.to_string(), routing::Policy::Multivalue)
    });
    let mut server = Server::new(vec![(zone("Z1", "example.com"), many.collect())]);
    for _ in 0..20 {
        let read = server.ask("m.example.com", "A");
        assert_eq!(read.answer.len(), 8);
        let ttls: std::collections::BTreeSet<&str> = read
            .answer
            .iter()
            .filter_map(|line| line.split(' ').nth(1))
            .collect();
        assert_eq!(ttls.len(), 1);
    }
}

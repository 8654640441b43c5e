//! Every malformed class of packet, and EDNS: what RFC 1035, 6891, 7871, 8906 and 9619 ask for.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use common::*;
use routing::{Continent, Location, Policy, Transport};

fn server() -> Server {
    Server::of("www.example.com 300 A 192.0.2.1")
}

/// The response's code, or `None`: silence.
fn rcode(packet: &[u8]) -> Option<String> {
    let reply = server().reply(packet, HERE, Transport::Udp)?;
    let read = read(&reply);
    assert_eq!(reply[..2], packet[..2], "the id is given back");
    Some(read.rcode)
}

fn altered(at: usize, octet: u8) -> Vec<u8> {
    let mut packet = query("www.example.com", 1);
    packet[at] = octet;
    packet
}

#[test]
fn what_is_no_request_gets_silence() {
    let packet = query("www.example.com", 1);
    for length in 0..12 {
        assert_eq!(rcode(&packet[..length]), None, "{length} bytes");
    }
    for flags in [0x80, 0x81, 0xff, 0xf8] {
        assert_eq!(rcode(&altered(2, flags)), None, "a response");
    }
    assert_eq!(rcode(&[0xff; 12]), None);
}

#[test]
fn every_other_opcode_is_not_implemented() {
    for opcode in 1..16 {
        let packet = altered(2, opcode << 3 | 1);
        let reply = server().reply(&packet, HERE, Transport::Udp).unwrap();
        assert_eq!(reply.len(), 12, "a header alone");
        assert_eq!(
            reply[2],
            0x80 | opcode << 3 | 1,
            "opcode and RD are given back"
        );
        assert_eq!(reply[3], 4);
        assert_eq!(rcode(&packet[..12]).unwrap(), "NOTIMP");
    }
}

#[test]
fn a_request_has_one_question() {
    for count in [0, 2, 255] {
        assert_eq!(rcode(&altered(5, count)).unwrap(), "FORMERR");
    }
    let mut two = query("www.example.com", 1);
    two[5] = 2;
    two.extend_from_slice(&query("www.example.com", 1)[12..]);
    assert_eq!(rcode(&two).unwrap(), "FORMERR");
    assert_eq!(
        rcode(&query("www.example.com", 1)[..12]).unwrap(),
        "FORMERR"
    );
}

#[test]
fn a_question_s_name_is_whole_and_within_the_limits() {
    let question = |name: &[u8]| {
        let mut packet = query(".", 1);
        packet.splice(12..13, name.iter().copied());
        packet
    };
    let long_label = [&[64][..], &[b'a'; 64], &[0]].concat();
    let longest: Vec<u8> = [&b"\x01a".repeat(127)[..], &[0]].concat();
    let too_long: Vec<u8> = [&b"\x01a".repeat(128)[..], &[0]].concat();
    for name in [
        &[0xc0, 12][..],      // points to itself
        &[0xc0, 14],          // points forward
        &[0xc0, 0],           // points into the header
        &[1, b'a', 0xc0, 12], // points to its own beginning
        &[0x80, 0],           // of no known kind
        &[0x40, 0],
        &long_label,
        &too_long,
        &[5, b'a'],
    ] {
        assert_eq!(rcode(&question(name)).unwrap(), "FORMERR", "{name:?}");
    }
    assert_eq!(rcode(&question(&longest)).unwrap(), "REFUSED");
    let packet = query("www.example.com", 1);
    for length in 13..packet.len() {
        assert_eq!(
            rcode(&packet[..length]).unwrap(),
            "FORMERR",
            "cut to {length}"
        );
    }
}

#[test]
fn nothing_follows_the_last_record_and_nothing_stands_before_additional_ones() {
    let mut longer = query("www.example.com", 1);
    longer.push(0);
    assert_eq!(rcode(&longer).unwrap(), "FORMERR");
    for at in [7, 9] {
        let mut packet = with_edns(query("www.example.com", 1), 1232, &[]);
        packet[at] = 1;
        packet[11] = 0;
        assert_eq!(rcode(&packet).unwrap(), "FORMERR");
    }
    // Announced, and not there.
    assert_eq!(rcode(&altered(11, 1)).unwrap(), "FORMERR");
    // A record that isn't OPT is passed over, its name compressed backwards.
    let mut packet = query("www.example.com", 1);
    packet[11] = 1;
    packet.extend([0xc0, 12, 0, 250, 0, 255, 0, 0, 0, 0, 0, 2, 1, 2]);
    assert_eq!(rcode(&packet).unwrap(), "NOERROR");
    let name = packet.len() - 14;
    for target in [name as u8, name as u8 + 1, 0, 11, 255] {
        packet[name + 1] = target;
        assert_eq!(rcode(&packet).unwrap(), "FORMERR", "a pointer to {target}");
    }
}

#[test]
fn only_class_in_is_answered() {
    for class in [0, 3, 4, 254, 255] {
        let mut packet = query("www.example.com", 1);
        *packet.last_mut().unwrap() = class;
        assert_eq!(rcode(&packet).unwrap(), "REFUSED", "class {class}");
    }
    assert_eq!(rcode(&query("www.example.com", 41)).unwrap(), "FORMERR");
}

#[test]
fn an_unknown_edns_version_is_told_ours() {
    let mut packet = with_edns(query("www.example.com", 1), 1232, &[]);
    let version = packet.len() - 5;
    for stated in [1, 255] {
        packet[version] = stated;
        let reply = server().reply(&packet, HERE, Transport::Udp).unwrap();
        let read = read(&reply);
        assert_eq!((read.rcode.as_str(), read.answer.len()), ("BADVERS", 0));
        let opt = &reply[reply.len() - 11..];
        assert_eq!(
            opt,
            [0, 0, 41, 4, 208, 1, 0, 0x80, 0, 0, 0],
            "version 0, DO as it came"
        );
    }
}

#[test]
fn two_opt_records_or_one_elsewhere_than_at_the_root_are_malformed() {
    let packet = with_edns(with_edns(query("www.example.com", 1), 1232, &[]), 1232, &[]);
    assert_eq!(rcode(&packet).unwrap(), "FORMERR");
    let mut packet = with_edns(query("www.example.com", 1), 1232, &[]);
    let root = packet.len() - 11;
    packet.splice(root..=root, [0xc0, 12]);
    assert_eq!(rcode(&packet).unwrap(), "FORMERR");
}

#[test]
fn opt_is_given_back_only_where_it_came() {
    let reply = server()
        .reply(&query("www.example.com", 1), HERE, Transport::Udp)
        .unwrap();
    assert_eq!(reply[11], 0);
    // An option that isn't known is passed over, and not given back.
    let packet = with_edns(query("www.example.com", 1), 1232, &[0xfd, 0xe9, 0, 2, 1, 2]);
    let reply = server().reply(&packet, HERE, Transport::Udp).unwrap();
    assert_eq!(reply[11], 1);
    assert_eq!(
        reply[reply.len() - 11..],
        [0, 0, 41, 4, 208, 0, 0, 0x80, 0, 0, 0]
    );
    for options in [&[0, 8, 0][..], &[0, 8, 0, 9, 1], &[1]] {
        let packet = with_edns(query("www.example.com", 1), 1232, options);
        assert_eq!(rcode(&packet).unwrap(), "FORMERR", "{options:?}");
    }
}

#[test]
fn a_client_subnet_against_its_rules_is_malformed() {
    let asked = |option: &[u8]| {
        let length = option.len() as u8;
        let option = [&[0, 8, 0, length][..], option].concat();
        rcode(&with_edns(query("www.example.com", 1), 1232, &option)).unwrap()
    };
    for option in [
        &[0, 1, 24, 0, 192, 0, 2][..],
        &[0, 1, 0, 0],
        &[0, 0, 0, 0],
        &[0, 1, 32, 0, 192, 0, 2, 1],
        &[0, 1, 20, 0, 192, 0, 0xf0],
        &[0, 2, 33, 0, 0x20, 1, 0xd, 0xb8, 0x80],
    ] {
        assert_eq!(asked(option), "NOERROR", "{option:?}");
    }
    for option in [
        &[0, 1, 24, 0, 192, 0][..],      // too few octets
        &[0, 1, 24, 0, 192, 0, 2, 0],    // too many
        &[0, 1, 33, 0, 192, 0, 2, 1, 0], // too long a prefix
        &[0, 1, 20, 0, 192, 0, 0xf8],    // bits beyond it
        &[0, 1, 24, 24, 192, 0, 2],      // a scope
        &[0, 3, 8, 0, 1],                // no such family
        &[0, 0, 8, 0, 1],
        &[0, 1, 24],
        &[],
    ] {
        assert_eq!(asked(option), "FORMERR", "{option:?}");
    }
    let twice = [subnet([192, 0, 2, 0], 24), subnet([192, 0, 2, 0], 24)].concat();
    let packet = with_edns(query("www.example.com", 1), 1232, &twice);
    assert_eq!(rcode(&packet).unwrap(), "FORMERR");
}

#[test]
fn the_scope_says_for_whom_an_answer_holds() {
    let europe = Policy::Geolocation(Location::Continent(Continent::Europe));
    let records = vec![
        set("static.example.com 300 A 192.0.2.1"),
        selected(set("geo.example.com 300 A 192.0.2.2"), "eu", europe),
        selected(
            set("geo.example.com 300 A 192.0.2.3"),
            "else",
            Policy::Geolocation(Location::Default),
        ),
    ];
    let mut server = Server::new(vec![(zone("Z1", "example.com"), records)]);
    let place = types::Place("eu-west-1".parse().unwrap())
        .address(0)
        .octets();
    let mut ask = |name: &str, option: &[u8]| {
        let packet = with_edns(query(name, 1), 1232, option);
        read(&server.reply(&packet, HERE, Transport::Udp).unwrap())
    };
    let read = ask("static.example.com", &subnet(place, 24));
    assert_eq!(read.scope, Some(0));
    let read = ask("geo.example.com", &subnet(place, 24));
    assert_eq!(
        (read.scope, &read.answer[0][..]),
        (Some(24), "geo.example.com. 300 A 192.0.2.2")
    );
    // The resolver says not to use it, so its own place decides.
    let read = ask("geo.example.com", &subnet(place, 0));
    assert_eq!(
        (read.scope, &read.answer[0][..]),
        (Some(0), "geo.example.com. 300 A 192.0.2.3")
    );
    let read = ask("geo.example.com", &[]);
    assert_eq!(
        (read.scope, &read.answer[0][..]),
        (None, "geo.example.com. 300 A 192.0.2.3")
    );
    let read = ask("none.example.com", &subnet(place, 24));
    assert_eq!(read.scope, Some(0));
}

#[test]
fn a_buffer_without_room_makes_silence_not_a_panic() {
    let mut server = server();
    let packet = query("www.example.com", 1);
    let context = routing::AnswerContext {
        board: &server.board,
        locator: &server.locator,
    };
    let request = routing::Request {
        packet: &packet,
        source: HERE,
        transport: Transport::Udp,
    };
    for length in 0..200 {
        let mut out = vec![0; length];
        let reply = server
            .snapshot
            .answer(&request, &context, &mut server.random, &mut out);
        match reply {
            routing::Reply::Silence => assert!(length < packet.len()),
            routing::Reply::Send(sent) => assert!(sent <= length),
        }
    }
}

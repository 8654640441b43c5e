//! Peers that send rubbish: whatever comes, the site refuses it or takes it, and lives.

use bytes::Bytes;
use council::{Council, Role};
use proptest::prelude::*;
use protobuf::{Message as _, ProtobufEnum as _};
use raft::eraftpb::{Entry, Message, MessageType};
use types::SiteId;

use crate::sim::{Disk, Random, Sim, config, deployment};

fn mutate(bytes: &[u8], random: &mut Random) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    for _ in 0..1 + random.below(4) {
        if bytes.is_empty() {
            break;
        }
        let at = random.below(bytes.len() as u64) as usize;
        match random.below(5) {
            0 => bytes[at] = random.next() as u8,
            1 => bytes[at] = bytes[at].wrapping_add(1),
            2 => bytes[at] ^= 1 << random.below(8),
            3 => bytes.truncate(at),
            _ => bytes.insert(at, random.next() as u8),
        }
    }
    bytes
}

/// Alters one field of a raft message, keeping it well-formed: what the checks on values are for.
fn falsify(bytes: &[u8], random: &mut Random) -> Option<Vec<u8>> {
    let (head, body) = bytes.split_at_checked(2)?;
    let mut message = Message::parse_from_bytes(body)
        .ok()
        .filter(|_| head[1] == 0)?;
    let near = [message.index, message.term, message.commit][random.below(3) as usize];
    let numbers = [
        0,
        1,
        near,
        near + 1,
        near.saturating_sub(1),
        near + 1000,
        u64::MAX >> 3,
        u64::MAX,
    ];
    let number = numbers[random.below(8) as usize];
    match random.below(12) {
        0 => message.term = number,
        1 => message.log_term = number,
        2 => message.index = number,
        3 => message.commit = number,
        4 => message.commit_term = number,
        5 => message.reject_hint = number,
        6 => message.reject = !message.reject,
        7 => message.set_msg_type(MessageType::from_i32(random.below(19) as i32)?),
        8 => message.mut_snapshot().mut_metadata().index = number,
        9 => message.mut_snapshot().mut_metadata().term = number,
        10 => message.entries.first_mut()?.index = number,
        _ => message.entries.last_mut()?.term = number,
    }
    Some([head, &message.write_to_bytes().ok()?].concat())
}

fn alter(bytes: &[u8], random: &mut Random) -> Bytes {
    let falsified = if random.chance(60) {
        falsify(bytes, random)
    } else {
        None
    };
    falsified.unwrap_or_else(|| mutate(bytes, random)).into()
}

/// Sites that live among altered copies of their own messages, lead, follow, crash and return.
/// Returns how many messages they refused.
fn among_altered_messages(seed: u64) -> u64 {
    among_altered(seed, 0)
}

/// The same with values of so many bytes, so that whole states are sent too.
fn among_altered(seed: u64, value: usize) -> u64 {
    let mut sim = Sim::new(seed, 3, 1);
    sim.value = value;
    sim.hostile = Some(alter);
    for round in 0..40 {
        let span = sim.random.below(1_000);
        sim.run(span);
        // It may well have no majority.
        let _ = sim.propose(round % 4);
        let site = sim.random.below(4) as usize;
        match sim.random.below(8) {
            0 => sim.crash(site),
            1 => sim.cut_off(site),
            2 | 3 => sim.cuts.clear(),
            _ if sim.nodes[site].council.is_none() => sim.start(site),
            _ => {}
        }
    }
    sim.refused
}

fn frame(message: &Message) -> Vec<u8> {
    [&[2, 0][..], &message.write_to_bytes().expect("complete")].concat()
}

/// Site 0 of three in a new deployment, which has heard that the others are as new.
fn seated() -> Council {
    let saved = Disk::default().load().expect("readable");
    let mut council =
        Council::open(config(&deployment(3, 0), SiteId(0)), saved, 1).expect("a seat");
    let recovering = [&[2, 2][..], &[0; 16]].concat();
    for site in [1, 2] {
        assert_eq!(council.status().role, Role::Recovering);
        assert_eq!(council.receive(SiteId(site), &recovering), Ok(()));
    }
    assert_ne!(council.status().role, Role::Recovering);
    council
}

#[test]
fn altered_messages_are_refused() {
    assert!((0..10).map(among_altered_messages).sum::<u64>() > 100);
}

#[test]
fn altered_parts_of_states_are_refused() {
    assert!((0..6).map(|seed| among_altered(seed, 400_000)).sum::<u64>() > 50);
}

/// A part (kind 4) of a state at index 9 of term 1, from a leader of that term.
fn part(leads: u64, index: u64, term: u64, number: u32, body: &[u8]) -> Vec<u8> {
    let mut frame = vec![2, 4];
    for place in [leads, index, term] {
        frame.extend(place.to_be_bytes());
    }
    frame.extend(number.to_be_bytes());
    frame.extend((body.len() as u32).to_be_bytes());
    frame.extend(body);
    frame
}

/// What that council wants written at once, and sent when it is.
fn work(council: &mut Council) -> (usize, Vec<(SiteId, Bytes)>) {
    let (mut writes, mut sent) = (0, Vec::new());
    while let Some(ready) = council.ready() {
        writes += ready.writes.writes.len();
        sent.extend(ready.before_persist);
        sent.extend(ready.after_persist);
        council.persisted(ready.token);
    }
    (writes, sent)
}

#[test]
fn parts_are_taken_from_the_leader_of_the_term_alone() {
    let mut council = seated();
    work(&mut council);
    // The members, and a setting.
    let members = [&[1, 0, 0, 0, 3, 0, 0, 0, 1, 0, 2, 0, 0, 0, 0][..]].concat();
    let setting = [&[2, 0, 0, 0, 1][..], b"k", &[0; 7], &[1, 0, 0, 0, 1], b"v"].concat();
    let body = [&members[..], &setting].concat();
    let is_taken = |council: &mut Council, from: u16, frame: &[u8]| {
        let result = council.receive(SiteId(from), frame);
        let (writes, sent) = work(council);
        let answered = sent.iter().any(|(_, frame)| frame[1] == 5);
        assert_eq!(answered, writes > 0);
        result.map(|()| answered)
    };
    // Nobody is known to lead.
    assert_eq!(
        is_taken(&mut council, 1, &part(1, 9, 1, 0, &body)),
        Ok(false)
    );
    let mut heartbeat = Message {
        from: 2,
        to: 1,
        term: 1,
        ..Message::default()
    };
    heartbeat.set_msg_type(MessageType::MsgHeartbeat);
    assert_eq!(council.receive(SiteId(1), &frame(&heartbeat)), Ok(()));
    work(&mut council);
    // Another site, another term; impossible places; other members, or none.
    assert_eq!(
        is_taken(&mut council, 2, &part(1, 9, 1, 0, &body)),
        Ok(false)
    );
    assert_eq!(
        is_taken(&mut council, 1, &part(2, 9, 1, 0, &body)),
        Ok(false)
    );
    assert!(is_taken(&mut council, 1, &part(1, 9, 2, 0, &body)).is_err());
    assert!(is_taken(&mut council, 1, &part(1, u64::MAX, 1, 0, &body)).is_err());
    assert!(is_taken(&mut council, 1, &part(1, 9, 1, 0, &setting)).is_err());
    let others = [&members[..14], &[1, 0, 9], &setting].concat();
    assert!(is_taken(&mut council, 1, &part(1, 9, 1, 0, &others)).is_err());
    assert!(is_taken(&mut council, 1, &part(1, 9, 1, 0, &[])).is_err());
    // A real one is taken; one that is too early to be kept is not.
    assert_eq!(
        is_taken(&mut council, 1, &part(1, 9, 1, 0, &body)),
        Ok(true)
    );
    for number in [1_000, u32::MAX] {
        let result = council.receive(SiteId(1), &part(1, 9, 1, number, &body));
        assert_eq!((result, work(&mut council).0), (Ok(()), 0));
    }
    // The same keys again are out of order, and what came is swept off the disk.
    assert!(
        council
            .receive(SiteId(1), &part(1, 9, 1, 1, &setting))
            .is_err()
    );
    work(&mut council);
    council.tick();
    assert_eq!(work(&mut council).0, 1);
}

/// A heartbeat of site 1, leading that term.
fn heartbeat(term: u64) -> Vec<u8> {
    let mut message = Message {
        from: 2,
        to: 1,
        term,
        ..Message::default()
    };
    message.set_msg_type(MessageType::MsgHeartbeat);
    frame(&message)
}

/// The members of a council of three, as a state has them first.
const MEMBERS: [u8; 15] = [1, 0, 0, 0, 3, 0, 0, 0, 1, 0, 2, 0, 0, 0, 0];

/// A setting in a part: its key, and a value of so many bytes.
fn setting(key: &str, length: usize) -> Vec<u8> {
    let mut bytes = vec![2];
    bytes.extend((key.len() as u32).to_be_bytes());
    bytes.extend(key.as_bytes());
    bytes.extend(1_u64.to_be_bytes());
    bytes.extend((length as u32).to_be_bytes());
    bytes.resize(bytes.len() + length, 0);
    bytes
}

#[test]
fn a_half_received_state_is_given_up_when_its_leader_is_or_entries_overtake_it() {
    let mut entries = Message {
        from: 2,
        to: 1,
        term: 1,
        commit: 9,
        ..Message::default()
    };
    entries.set_msg_type(MessageType::MsgAppend);
    let entry = |index| Entry {
        index,
        term: 1,
        ..Entry::default()
    };
    entries.set_entries((1..=9).map(entry).collect::<Vec<_>>().into());
    for (ends, says) in [
        (false, heartbeat(1)),
        (true, heartbeat(2)),
        (true, frame(&entries)),
    ] {
        let mut council = seated();
        assert_eq!(council.receive(SiteId(1), &heartbeat(1)), Ok(()));
        work(&mut council);
        let body = [&MEMBERS[..], &setting("k", 1)].concat();
        assert_eq!(council.receive(SiteId(1), &part(1, 9, 1, 0, &body)), Ok(()));
        work(&mut council);
        assert_eq!(council.receive(SiteId(1), &says), Ok(()));
        work(&mut council);
        // Its one setting is swept off the disk.
        council.tick();
        assert_eq!(work(&mut council).0 > 0, ends);
    }
}

#[test]
fn parts_larger_than_any_sender_makes_are_refused() {
    let mut council = seated();
    assert_eq!(council.receive(SiteId(1), &heartbeat(1)), Ok(()));
    work(&mut council);
    // The largest: all but full when the longest setting begins.
    let longest = 768 * 1024 - 32 - 1;
    let filling = 64 * 1024 - MEMBERS.len() - setting("a", 0).len() - 1;
    let first = [&MEMBERS[..], &setting("a", filling), &setting("b", longest)].concat();
    assert_eq!(
        council.receive(SiteId(1), &part(1, 9, 1, 0, &first)),
        Ok(())
    );
    let sent = work(&mut council).1;
    assert!(sent.iter().any(|(_, frame)| frame[1] == 5));
    // Whatever is in it, and although it would wait for others.
    let larger = [first, vec![0; 32]].concat();
    for number in [1, 5] {
        let result = council.receive(SiteId(1), &part(1, 9, 1, number, &larger));
        assert!(result.is_err());
    }
}

#[test]
fn receipts_of_what_was_never_sent_are_refused() {
    let mut sim = Sim::new(3, 3, 0);
    sim.run(5_000);
    let leader = sim.leader().expect("a leader");
    let away = (leader + 1) % 3;
    sim.crash(away);
    sim.value = 400_000;
    for _ in 0..16 {
        sim.propose(leader).expect("a majority");
        sim.run(1_000);
    }
    sim.start(away);
    // The receiver's own words are lost.
    sim.cuts.insert((away, leader));
    sim.run(300);
    let council = sim.nodes[leader].council.as_mut().expect("running");
    let status = council.status();
    let receipt = |term: u64, index: u64, next: u32| {
        let places = [status.term, index, term].map(u64::to_be_bytes).concat();
        [&[2, 5][..], &places, &next.to_be_bytes()].concat()
    };
    let from = SiteId(away as u16);
    assert_eq!(
        council.receive(from, &receipt(status.term, 1, 9_999)),
        Ok(())
    );
    sim.cuts.clear();
    sim.run(30_000);
    sim.check();
}

#[test]
fn votes_nobody_asked_for_make_no_leader_of_an_unwritten_log() {
    let mut council = seated();
    let mut message = Message {
        from: 2,
        to: 1,
        term: 1,
        ..Message::default()
    };
    message.set_msg_type(MessageType::MsgAppend);
    message.set_entries(
        vec![Entry {
            index: 1,
            term: 1,
            ..Entry::default()
        }]
        .into(),
    );
    assert_eq!(council.receive(SiteId(1), &frame(&message)), Ok(()));
    // Its entry is not written, nor is anything it says sent, and yet the votes come.
    (0..40).for_each(|_| council.tick());
    for kind in [
        MessageType::MsgRequestPreVoteResponse,
        MessageType::MsgRequestVoteResponse,
    ] {
        for from in [2, 3] {
            let mut vote = Message {
                from,
                to: 1,
                term: 2,
                ..Message::default()
            };
            vote.set_msg_type(kind);
            let site = SiteId(from as u16 - 1);
            assert!(council.receive(site, &frame(&vote)).is_err());
        }
    }
    assert!(!council.is_leader());
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 64,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn altered_messages_never_panic(seed in any::<u64>()) {
        among_altered_messages(seed);
    }

    #[test]
    fn any_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let mut council = seated();
        let _ = council.receive(SiteId(1), &bytes);
        for kind in 0..7 {
            let framed = [&[2, kind][..], &bytes].concat();
            let _ = council.receive(SiteId(1), &framed);
        }
        prop_assert!(council.receive(SiteId(9), &bytes).is_err());
    }
}

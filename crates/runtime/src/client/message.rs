//! The two DNS messages of a stub resolver (RFC 1035 section 4): a question for the addresses of
//! a name, and what of its answer matters. Pure. It reads the answer section alone, believes
//! every address there (a chain of aliases within a zone is answered whole), and reads nothing
//! beyond the packet or beyond [`RECORDS`] records.

use std::net::Ipv4Addr;
use std::time::Duration;

/// Records of an answer that are read; more are no answer to a question for addresses.
const RECORDS: u16 = 512;

/// Octets before the question (RFC 1035 section 4.1.1).
const HEADER: usize = 12;

/// The type A and the class IN (RFC 1035 sections 3.2.2 and 3.2.4).
const A: u16 = 1;
const IN: u16 = 1;

/// What a name is answered with.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Resolved {
    /// Its addresses, in the order of the answer. None where it has none, or where the server
    /// can't say.
    pub addresses: Vec<Ipv4Addr>,
    /// The smallest TTL among them; zero where there are none.
    pub lifetime: Duration,
    /// The response code: 0 no error, 2 the server failed, 3 no such name, 5 refused (RFC 1035
    /// section 4.1.1).
    pub code: u8,
}

/// What a packet says.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Reply {
    /// The answer.
    Whole(Resolved),
    /// It didn't fit: ask again over TCP.
    Truncated,
}

/// The question as a packet; `None` if the name can't be one.
pub(super) fn question(id: u16, name: &str) -> Option<Vec<u8>> {
    let mut packet = Vec::with_capacity(HEADER + name.len() + 6);
    packet.extend_from_slice(&id.to_be_bytes());
    // Recursion desired, as a stub asks; one question.
    packet.extend_from_slice(&[0x01, 0x00, 0, 1, 0, 0, 0, 0, 0, 0]);
    for label in name.strip_suffix('.').unwrap_or(name).split('.') {
        let length = u8::try_from(label.len()).ok()?;
        if !(1..=63).contains(&length) {
            return None;
        }
        packet.push(length);
        packet.extend_from_slice(label.as_bytes());
    }
    packet.push(0);
    if packet.len() - HEADER > 255 {
        return None;
    }
    packet.extend_from_slice(&A.to_be_bytes());
    packet.extend_from_slice(&IN.to_be_bytes());
    Some(packet)
}

/// What the packet says, if it answers that question; `None` for whatever else comes.
pub(super) fn read(question: &[u8], packet: &[u8]) -> Option<Reply> {
    let (asked, flags) = (question.get(..2)?, packet.get(2..4)?);
    let is_response = flags[0] & 0x80 != 0 && packet.get(..2)? == asked;
    let repeated = packet.get(HEADER..question.len())?;
    if !is_response || !repeated.eq_ignore_ascii_case(question.get(HEADER..)?) {
        return None;
    }
    if flags[0] & 0x02 != 0 {
        return Some(Reply::Truncated);
    }
    let mut resolved = Resolved {
        addresses: Vec::new(),
        lifetime: Duration::MAX,
        code: flags[1] & 0x0f,
    };
    let count = u16::from_be_bytes([*packet.get(6)?, *packet.get(7)?]);
    if count > RECORDS {
        return None;
    }
    let mut at = question.len();
    for _ in 0..count {
        at = after_name(packet, at)?;
        let head = packet.get(at..at + 10)?;
        let number = |at: usize| u16::from_be_bytes([head[at], head[at + 1]]);
        let (kind, class, length) = (number(0), number(2), usize::from(number(8)));
        let data = packet.get(at + 10..at + 10 + length)?;
        if kind == A && class == IN {
            let octets: [u8; 4] = data.try_into().ok()?;
            resolved.addresses.push(octets.into());
            let seconds = u32::from_be_bytes([head[4], head[5], head[6], head[7]]);
            // A TTL with its highest bit set is zero (RFC 2181 section 8).
            let seconds = i32::try_from(seconds).map_or(0, i32::unsigned_abs);
            let lifetime = Duration::from_secs(seconds.into());
            resolved.lifetime = resolved.lifetime.min(lifetime);
        }
        at += 10 + length;
    }
    if resolved.addresses.is_empty() {
        resolved.lifetime = Duration::ZERO;
    }
    Some(Reply::Whole(resolved))
}

/// Where the name that begins there ends. A pointer ends it (RFC 1035 section 4.1.4).
fn after_name(packet: &[u8], mut at: usize) -> Option<usize> {
    loop {
        match *packet.get(at)? {
            0 => return Some(at + 1),
            length if length & 0xc0 == 0xc0 => return Some(at + 2),
            length if length & 0xc0 == 0 => at += 1 + usize::from(length),
            _ => return None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An answer with those addresses and TTLs, by a pointer to the question's name.
    fn answer(question: &[u8], flags: [u8; 2], records: &[([u8; 4], u32)]) -> Vec<u8> {
        let mut packet = question.to_vec();
        packet[2..4].copy_from_slice(&flags);
        packet[7] = u8::try_from(records.len()).unwrap();
        for (address, ttl) in records {
            packet.extend_from_slice(&[0xc0, 12, 0, 1, 0, 1]);
            packet.extend_from_slice(&ttl.to_be_bytes());
            packet.extend_from_slice(&[0, 4]);
            packet.extend_from_slice(address);
        }
        packet
    }

    #[test]
    fn a_question_is_written_as_the_rfc_has_it() {
        let packet = question(0x1234, "app.example.com.").unwrap();
        let expected = b"\x12\x34\x01\0\0\x01\0\0\0\0\0\0\x03app\x07example\x03com\0\0\x01\0\x01";
        assert_eq!(packet, expected);
        assert_eq!(question(0x1234, "app.example.com").unwrap(), expected);
        let long = ["a"; 128].join(".");
        for wrong in ["", ".", "a..b", &"a".repeat(64), &long] {
            assert_eq!(question(1, wrong), None, "{wrong}");
        }
    }

    #[test]
    fn addresses_come_in_order_with_their_smallest_ttl() {
        let question = question(7, "app.example.com").unwrap();
        let records = [([127, 1, 2, 1], 60), ([127, 1, 1, 1], 5)];
        let mut packet = answer(&question, [0x84, 0], &records);
        // What stands in the other sections doesn't matter.
        packet.extend_from_slice(b"rest");
        packet[11] = 9;
        let resolved = Resolved {
            addresses: vec![[127, 1, 2, 1].into(), [127, 1, 1, 1].into()],
            lifetime: Duration::from_secs(5),
            code: 0,
        };
        assert_eq!(read(&question, &packet), Some(Reply::Whole(resolved)));
    }

    #[test]
    fn an_alias_on_the_way_is_passed_over() {
        let question = question(7, "app.example.com").unwrap();
        let mut packet = answer(&question, [0x84, 0], &[]);
        packet[7] = 2;
        packet.extend_from_slice(b"\xc0\x0c\0\x05\0\x01\0\0\0\x0a\0\x04\x01b\xc0\x10");
        packet.extend_from_slice(b"\x01b\xc0\x10\0\x01\0\x01\0\0\0\x1e\0\x04\x7f\x01\x01\x01");
        let Some(Reply::Whole(resolved)) = read(&question, &packet) else {
            panic!("it is an answer");
        };
        assert_eq!(resolved.addresses, [Ipv4Addr::new(127, 1, 1, 1)]);
        assert_eq!(resolved.lifetime, Duration::from_secs(30));
    }

    #[test]
    fn codes_truncation_and_wild_ttls_are_told() {
        let question = question(7, "app.example.com").unwrap();
        let none = answer(&question, [0x84, 3], &[]);
        let Some(Reply::Whole(none)) = read(&question, &none) else {
            panic!("it is an answer");
        };
        assert_eq!((none.code, none.lifetime), (3, Duration::ZERO));
        let truncated = answer(&question, [0x86, 0], &[]);
        assert_eq!(read(&question, &truncated), Some(Reply::Truncated));
        let wild = answer(&question, [0x84, 0], &[([127, 1, 1, 1], u32::MAX)]);
        let Some(Reply::Whole(wild)) = read(&question, &wild) else {
            panic!("it is an answer");
        };
        assert_eq!(wild.lifetime, Duration::ZERO);
    }

    #[test]
    fn what_answers_another_question_or_is_cut_short_is_no_answer() {
        let asked = question(7, "app.example.com").unwrap();
        let records = [([127, 1, 2, 1], 60)];
        let whole = answer(&asked, [0x84, 0], &records);
        assert!(read(&asked, &whole).is_some());
        for length in 0..whole.len() {
            assert_eq!(read(&asked, &whole[..length]), None, "{length}");
        }
        let others = [(8, "app.example.com"), (7, "app.example.org")];
        for (id, name) in others {
            let other = answer(&question(id, name).unwrap(), [0x84, 0], &records);
            assert_eq!(read(&asked, &other), None);
        }
        // Its own question, come back.
        assert_eq!(read(&asked, &asked), None);
        // No byte of an answer, whatever it becomes, breaks the reader.
        for at in 0..whole.len() {
            for byte in 0..=255 {
                let mut broken = whole.clone();
                broken[at] = byte;
                read(&asked, &broken);
            }
        }
    }
}

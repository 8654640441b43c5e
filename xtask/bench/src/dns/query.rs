//! A question to one server over UDP, and the first address of its answer.

use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::time::Duration;

use anyhow::Result;

/// How long an answer is waited for: it is next door. What goes to a server just as it ends is
/// lost, and whoever waits for its successor shouldn't be held up by that.
const WAIT: Duration = Duration::from_millis(25);

/// Asks the server for the addresses of a name; gives its answer's bytes.
pub fn ask(server: SocketAddr, name: &str) -> Result<Vec<u8>> {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
    socket.set_read_timeout(Some(WAIT))?;
    socket.connect(server)?;
    socket.send(&question(name))?;
    let mut buffer = vec![0; 4096];
    let length = socket.recv(&mut buffer)?;
    buffer.truncate(length);
    Ok(buffer)
}

/// A query for the addresses of a name.
fn question(name: &str) -> Vec<u8> {
    let mut packet = vec![0x12, 0x34, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    for label in name.split('.') {
        packet.push(u8::try_from(label.len()).expect("a label is short"));
        packet.extend_from_slice(label.as_bytes());
    }
    packet.extend_from_slice(&[0, 0, 1, 0, 1]);
    packet
}

/// The address in an answer's first record; none if there is none.
pub fn first_address(answer: &[u8]) -> Option<Ipv4Addr> {
    const HEADER: usize = 12;
    let count = u16::from_be_bytes([*answer.get(6)?, *answer.get(7)?]);
    // The question as it was asked, then a name as a pointer or in full.
    let question = HEADER + name_length(answer.get(HEADER..)?)? + 4;
    let record = question + name_length(answer.get(question..)?)?;
    let fields: [u8; 10] = answer.get(record..record + 10)?.try_into().ok()?;
    let is_address = fields[..4] == [0, 1, 0, 1] && fields[8..] == [0, 4];
    let octets: [u8; 4] = answer.get(record + 10..record + 14)?.try_into().ok()?;
    (count > 0 && is_address).then(|| octets.into())
}

/// The bytes that a name takes: up to its end or a pointer.
fn name_length(bytes: &[u8]) -> Option<usize> {
    let mut at = 0;
    loop {
        match *bytes.get(at)? {
            0 => return Some(at + 1),
            pointer if pointer >= 0xc0 => return Some(at + 2),
            length => at += usize::from(length) + 1,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn golden_bytes_of_a_query() {
        let packet = question("a.example");
        assert_eq!(packet[12..], *b"\x01a\x07example\0\0\x01\0\x01");
    }

    #[test]
    fn an_answers_first_address_is_read() {
        let mut answer = question("a.example");
        assert_eq!(first_address(&answer), None);
        answer[7] = 1;
        answer.extend_from_slice(&[0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 10, 1, 2, 3]);
        assert_eq!(first_address(&answer), Some(Ipv4Addr::new(10, 1, 2, 3)));
        for end in 0..answer.len() {
            assert_eq!(first_address(&answer[..end]), None);
        }
    }
}

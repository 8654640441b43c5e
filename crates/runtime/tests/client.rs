//! Clients with an address of their own against small servers of the test's: what they send, what
//! they make of answers, silence and broken connections.
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    clippy::unwrap_used,
    reason = "tests are outside"
)]

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, UdpSocket};
use std::thread;
use std::time::Duration;

use bytes::Bytes;
use http::Request;
use runtime::{ClientConnection, ClientError, Lookup, LookupError};

const PLACE: Ipv4Addr = Ipv4Addr::new(127, 64, 3, 9);
const WAIT: Duration = Duration::from_secs(5);

fn lookup(server: SocketAddr, wait: Duration) -> Lookup {
    Lookup {
        source: PLACE,
        server,
        name: "app.example.com".to_owned(),
        wait,
        attempts: 2,
    }
}

/// The question as an answer with these flags and, with an address, one record of 7 s.
fn answer(question: &[u8], flags: [u8; 2], address: Option<[u8; 4]>) -> Vec<u8> {
    let mut packet = question.to_vec();
    packet[2..4].copy_from_slice(&flags);
    if let Some(address) = address {
        packet[7] = 1;
        packet.extend_from_slice(b"\xc0\x0c\0\x01\0\x01\0\0\0\x07\0\x04");
        packet.extend_from_slice(&address);
    }
    packet
}

#[tokio::test]
async fn a_lookup_comes_from_its_place_and_takes_no_answer_but_its_own() {
    let server = UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = server.local_addr().unwrap();
    let served = thread::spawn(move || {
        let mut packet = [0; 512];
        let (length, from) = server.recv_from(&mut packet).unwrap();
        let mut other = answer(&packet[..length], [0x84, 0], Some([127, 1, 9, 1]));
        other[0] ^= 1;
        server.send_to(&other, from).unwrap();
        let own = answer(&packet[..length], [0x84, 0], Some([127, 1, 2, 1]));
        server.send_to(&own, from).unwrap();
        from
    });
    let resolved = lookup(address, WAIT).ask().await.unwrap();
    assert_eq!(resolved.addresses, [Ipv4Addr::new(127, 1, 2, 1)]);
    assert_eq!(resolved.lifetime, Duration::from_secs(7));
    assert_eq!(served.join().unwrap().ip(), PLACE);
}

#[tokio::test]
async fn a_lost_datagram_is_sent_again_and_silence_has_an_end() {
    let server = UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = server.local_addr().unwrap();
    let served = thread::spawn(move || {
        let mut packet = [0; 512];
        server.recv_from(&mut packet).unwrap();
        let (length, from) = server.recv_from(&mut packet).unwrap();
        let none = answer(&packet[..length], [0x84, 3], None);
        server.send_to(&none, from).unwrap();
        server
    });
    let asked = lookup(address, Duration::from_millis(500));
    let resolved = asked.ask().await.unwrap();
    assert_eq!((resolved.code, resolved.addresses.len()), (3, 0));
    let silent = served.join().unwrap();
    let asked = lookup(address, Duration::from_millis(50));
    assert_eq!(asked.ask().await, Err(LookupError::Silent(address)));
    drop(silent);
    // Nobody listens: the kernel says so, and it is silence all the same.
    assert_eq!(asked.ask().await, Err(LookupError::Silent(address)));
}

#[tokio::test]
async fn a_truncated_answer_is_asked_for_over_tcp() {
    let stream = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = stream.local_addr().unwrap();
    let datagrams = UdpSocket::bind(address).unwrap();
    let served = thread::spawn(move || {
        let mut packet = [0; 512];
        let (length, from) = datagrams.recv_from(&mut packet).unwrap();
        let cut = answer(&packet[..length], [0x86, 0], None);
        datagrams.send_to(&cut, from).unwrap();
        let (mut stream, from) = stream.accept().unwrap();
        let mut length = [0; 2];
        stream.read_exact(&mut length).unwrap();
        let mut question = vec![0; usize::from(u16::from_be_bytes(length))];
        stream.read_exact(&mut question).unwrap();
        let whole = answer(&question, [0x84, 0], Some([127, 1, 1, 1]));
        let length = u16::try_from(whole.len()).unwrap();
        stream.write_all(&length.to_be_bytes()).unwrap();
        stream.write_all(&whole).unwrap();
        from
    });
    let resolved = lookup(address, WAIT).ask().await.unwrap();
    assert_eq!(resolved.addresses, [Ipv4Addr::new(127, 1, 1, 1)]);
    assert_eq!(served.join().unwrap().ip(), PLACE);
}

/// Reads a request's head; there are no bodies in these tests.
fn read_head(stream: &mut impl Read) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).unwrap();
        head.push(byte[0]);
    }
}

fn request() -> Request<Bytes> {
    let request = Request::get("/orders/1").header("host", "app.example.com");
    request.body(Bytes::new()).unwrap()
}

#[tokio::test]
async fn a_connection_carries_several_requests_until_an_end_closes_it() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let served = thread::spawn(move || {
        let (mut stream, from) = listener.accept().unwrap();
        for _ in 0..2 {
            read_head(&mut stream);
            let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
            stream.write_all(answer).unwrap();
        }
        read_head(&mut stream);
        from
    });
    let mut connection = ClientConnection::open(PLACE, address).await.unwrap();
    for _ in 0..2 {
        let response = connection.send(request()).await.unwrap();
        assert_eq!(response.body(), "ok");
        assert!(connection.is_open());
    }
    let broken = connection.send(request()).await.unwrap_err();
    assert_eq!(broken, ClientError::Broken);
    assert!(!connection.is_open());
    assert_eq!(served.join().unwrap().ip(), PLACE);
    let refused = ClientConnection::open(PLACE, address).await.err();
    assert_eq!(refused, Some(ClientError::Refused));
}

#[tokio::test]
async fn what_is_no_http_is_told_apart_from_a_broken_connection() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        read_head(&mut stream);
        stream.write_all(b"220 mail.example.com ESMTP\r\n").unwrap();
        read_head(&mut stream);
    });
    let mut connection = ClientConnection::open(PLACE, address).await.unwrap();
    let told = connection.send(request()).await.unwrap_err();
    assert_eq!(told, ClientError::Malformed);
}

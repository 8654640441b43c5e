//! Whatever flows end by, their room is given back: flows, descriptors and buffers that would
//! each run out after a few if one kind of end kept any.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::time::Duration;

use runtime::FlowLimits;
use socket2::SockRef;

use crate::stand::{PATIENCE, Stand, exchange, nobody, target};

/// What the endpoint sends when it is asked for much.
const MUCH: usize = 1024 * 1024;

fn reset(stream: &TcpStream) {
    let linger = Some(Duration::ZERO);
    SockRef::from(stream).set_linger(linger).unwrap();
}

/// An endpoint that does what the first byte says; its threads end with the test.
fn obedient() -> std::net::SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { return };
            std::thread::spawn(move || {
                stream.set_read_timeout(Some(PATIENCE)).unwrap();
                let mut byte = [0];
                if stream.read_exact(&mut byte).is_err() {
                    return;
                }
                match byte[0] {
                    b'e' => drop(stream.write_all(b"e")),
                    b'r' => reset(&stream),
                    b'm' => drop(stream.write_all(&vec![7; MUCH])),
                    b't' => drop(std::io::copy(&mut stream, &mut std::io::sink())),
                    // Silence.
                    _ => drop(stream.read(&mut byte)),
                }
            });
        }
    });
    address
}

/// One flow of a kind, from its beginning to the client's end of it.
fn once(stand: &Stand, kind: usize) {
    let mut client = stand.connect();
    match kind {
        // It says a byte and closes, and so do we.
        0 => assert_eq!(exchange(&mut client, b"e"), b"e"),
        1 => {
            client.write_all(b"r").unwrap();
            assert!(client.read(&mut [0]).is_err());
        }
        // Much is read to the end.
        2 => {
            client.write_all(b"m").unwrap();
            let mut heard = Vec::new();
            client.read_to_end(&mut heard).unwrap();
            assert_eq!(heard.len(), MUCH);
        }
        // Much is on its way when we break off, and held up before.
        3 => {
            client.write_all(b"m").unwrap();
            client.read_exact(&mut [0; 1000]).unwrap();
            std::thread::sleep(Duration::from_millis(5));
            reset(&client);
        }
        // As much the other way.
        4 => {
            client.write_all(b"t").unwrap();
            client.write_all(&vec![8; MUCH]).unwrap();
            client.shutdown(Shutdown::Write).unwrap();
            assert_eq!(client.read(&mut [0]).unwrap(), 0);
        }
        // Nobody says anything.
        _ => {
            client.write_all(b"s").unwrap();
            assert!(client.read(&mut [0]).is_err());
        }
    }
}

#[test]
fn whatever_flows_end_by_their_room_is_given_back() {
    for delay in [None, Some(Duration::from_millis(1))] {
        let limits = FlowLimits {
            tcp_flows: 2,
            // The listener, two flows, and two pipes.
            descriptors: 1 + 4 + 4,
            buffers: 2,
            tcp_idle: Duration::from_millis(300),
            in_flight: MUCH / 4,
            thread_in_flight: MUCH / 2,
            ..FlowLimits::USUAL
        };
        let mut there = target(obedient());
        there.delay = delay;
        let stand = Stand::new(limits, 1, vec![target(nobody()), there]);
        let mut flows = 0;
        for _ in 0..6 {
            for kind in 0..5 {
                once(&stand, kind);
                flows += 1;
            }
        }
        once(&stand, 5);
        flows += 1;
        // And flows that never have an endpoint.
        let targets = stand.steer.targets.lock().unwrap().split_off(1);
        for _ in 0..5 {
            assert!(stand.connect().read(&mut [0]).is_err());
        }
        *stand.steer.targets.lock().unwrap() = targets;
        let counts = stand.until(|counts| counts.ended == flows);
        assert_eq!((counts.connected, counts.all_failed), (flows, 5));
        // All the room there was is there: two at once, and both with much.
        std::thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| once(&stand, 2));
            }
        });
        let counts = stand.until(|counts| counts.ended == flows + 2);
        assert_eq!(counts.live(), 0);
        assert_eq!(stand.flows.totals().lost, 0);
    }
}

//! A process that hangs, told to the last message: played by a test that has its ends and doesn't
//! read them.

use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use super::channels::AnycastEnds;
use super::message::{Asked, Told};
use super::*;
use crate::descriptors;
use crate::flows::{FlowListener, FlowProtocol};

const WAIT: Duration = Duration::from_secs(20);

fn any() -> FlowListener {
    FlowListener {
        address: "127.0.0.1:0".parse().unwrap(),
        protocol: FlowProtocol::Tcp,
    }
}

/// What comes next, within [`WAIT`].
fn next(socket: &std::os::fd::OwnedFd) -> descriptors::Received {
    let begun = Instant::now();
    loop {
        match descriptors::receive(socket, &mut [0; 1024]) {
            Ok(received) => return received,
            Err(rustix::io::Errno::AGAIN) if begun.elapsed() < WAIT => {
                std::thread::sleep(Duration::from_millis(2));
            }
            Err(cause) => panic!("{cause}"),
        }
    }
}

/// A process that says this; the address that it is told.
fn ask(ends: &AnycastEnds) -> SocketAddr {
    let listeners = vec![any()];
    let asked = Asked::Listen {
        number: 1,
        listeners,
    };
    descriptors::send(&ends.control, &asked.encode(), &[]).unwrap();
    let mut room = [0; 64];
    let begun = Instant::now();
    let length = loop {
        match descriptors::receive(&ends.control, &mut room) {
            Ok(received) => break received.length,
            Err(cause) if begun.elapsed() > WAIT => panic!("{cause}"),
            Err(_) => std::thread::sleep(Duration::from_millis(2)),
        }
    };
    match Told::decode(&room[..length]) {
        Some(Told::Listening { outcomes, .. }) => match outcomes[..] {
            [message::Outcome::Open(port)] => SocketAddr::from(([127, 0, 0, 1], port)),
            ref other => panic!("{other:?}"),
        },
        other => panic!("{other:?}"),
    }
}

fn alive(ends: &AnycastEnds) {
    descriptors::send(&ends.control, &Asked::Alive.encode(), &[]).unwrap();
}

#[test]
fn what_one_that_hangs_has_not_taken_goes_to_another_and_it_is_chosen_again_when_it_is_heard() {
    let anycast = Anycast::start(|_, number| u64::from(number)).unwrap();
    let (near, far) = (anycast.attach(1).unwrap(), anycast.attach(2).unwrap());
    let address = ask(&near);
    assert_eq!(ask(&far), address, "one socket for both");
    let client = TcpStream::connect(address).unwrap();
    // The near one takes nothing and says nothing; the far one lives.
    let begun = Instant::now();
    let taken = loop {
        alive(&far);
        if let Ok(received) = descriptors::receive(&far.connections, &mut [0; 8]) {
            break received;
        }
        assert!(begun.elapsed() < WAIT, "{:?}", anycast.state());
        std::thread::sleep(Duration::from_millis(20));
    };
    let taken = TcpStream::from(taken.descriptors.into_iter().next().unwrap());
    assert_eq!(taken.peer_addr().unwrap(), client.local_addr().unwrap());
    assert_eq!(taken.local_addr().unwrap(), address);
    let state = anycast.state();
    assert!(state.members[0].silent && !state.members[1].silent);
    assert_eq!(
        (state.members[0].handed, state.members[0].taken_back),
        (1, 1)
    );
    assert_eq!(state.members[1].handed, 1);
    // Nobody has it twice.
    assert!(descriptors::receive(&near.connections, &mut [0; 8]).is_err());
    // New ones don't wait for it.
    let second = TcpStream::connect(address).unwrap();
    alive(&far);
    assert_eq!(next(&far.connections).descriptors.len(), 1);
    // It goes on.
    let begun = Instant::now();
    while anycast.state().members[0].silent {
        alive(&near);
        assert!(begun.elapsed() < WAIT);
        std::thread::sleep(Duration::from_millis(5));
    }
    let third = TcpStream::connect(address).unwrap();
    assert_eq!(next(&near.connections).descriptors.len(), 1);
    drop((second, third));
}

#[test]
fn what_came_while_all_hung_goes_to_the_first_that_is_heard_again() {
    let anycast = Anycast::start(|_, number| u64::from(number)).unwrap();
    let (near, far) = (anycast.attach(1).unwrap(), anycast.attach(2).unwrap());
    let address = ask(&near);
    ask(&far);
    let begun = Instant::now();
    while !anycast.state().members.iter().all(|member| member.silent) {
        assert!(begun.elapsed() < WAIT);
        std::thread::sleep(Duration::from_millis(20));
    }
    let client = TcpStream::connect(address).unwrap();
    while anycast.state().members[0].handed == 0 {
        assert!(begun.elapsed() < WAIT);
        std::thread::sleep(Duration::from_millis(2));
    }
    let taken = loop {
        alive(&far);
        if let Ok(received) = descriptors::receive(&far.connections, &mut [0; 8]) {
            break received;
        }
        assert!(begun.elapsed() < WAIT, "{:?}", anycast.state());
        std::thread::sleep(Duration::from_millis(20));
    };
    let taken = TcpStream::from(taken.descriptors.into_iter().next().unwrap());
    assert_eq!(taken.peer_addr().unwrap(), client.local_addr().unwrap());
}

#[test]
fn one_that_is_full_holds_up_nobody_whom_another_can_serve() {
    let anycast = Anycast::start(|_, number| u64::from(number)).unwrap();
    let (near, far) = (anycast.attach(1).unwrap(), anycast.attach(2).unwrap());
    let address = ask(&near);
    ask(&far);
    // The near one lives and takes nothing: its queue fills.
    let begun = Instant::now();
    loop {
        alive(&near);
        alive(&far);
        // A client that goes at once fills it as well.
        drop(TcpStream::connect(address).unwrap());
        if descriptors::receive(&far.connections, &mut [0; 8]).is_ok() {
            break;
        }
        assert!(begun.elapsed() < WAIT, "{:?}", anycast.state());
    }
    let state = anycast.state();
    assert!(!state.members[0].silent && state.members[0].handed > 1);
    assert_eq!((state.waiting, state.unserved), (0, 0));
}

#[test]
fn with_nobody_else_connections_wait_for_one_that_hangs() {
    let anycast = Anycast::start(|_, _| 0).unwrap();
    let ends = anycast.attach(1).unwrap();
    let address = ask(&ends);
    let _client = TcpStream::connect(address).unwrap();
    let begun = Instant::now();
    while !anycast.state().members[0].silent {
        assert!(begun.elapsed() < WAIT);
        std::thread::sleep(Duration::from_millis(20));
    }
    assert_eq!(next(&ends.connections).descriptors.len(), 1);
}

#[test]
fn what_a_dead_one_has_not_taken_goes_to_another_and_its_addresses_with_the_last() {
    let anycast = Anycast::start(|_, number| u64::from(number)).unwrap();
    let (near, far) = (anycast.attach(1).unwrap(), anycast.attach(2).unwrap());
    let address = ask(&near);
    ask(&far);
    let _client = TcpStream::connect(address).unwrap();
    while anycast.state().members[0].handed == 0 {
        std::thread::sleep(Duration::from_millis(2));
    }
    drop(near);
    anycast.detach(1);
    assert_eq!(next(&far.connections).descriptors.len(), 1);
    assert_eq!(anycast.state().listeners, 1);
    anycast.detach(2);
    assert_eq!(anycast.state().listeners, 0);
    let refused = TcpStream::connect(address).unwrap_err();
    assert_eq!(refused.kind(), std::io::ErrorKind::ConnectionRefused);
}

#[test]
fn one_that_says_what_nobody_says_is_believed_no_longer() {
    let anycast = Anycast::start(|_, _| 0).unwrap();
    let ends = anycast.attach(1).unwrap();
    ask(&ends);
    descriptors::send(&ends.control, b"\x09what", &[]).unwrap();
    assert_eq!(next(&ends.control).length, 0, "its end is told");
    assert_eq!(anycast.state(), AnycastState::default());
}

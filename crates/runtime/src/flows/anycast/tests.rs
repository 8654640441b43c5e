//! Processes behind held addresses, told to the last message: played by a test that has their ends,
//! and for some of it the holder, too, and its time.

use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use super::channels::AnycastEnds;
use super::holder::Holder;
use super::member::Member;
use super::message::{Asked, HEADER, Header, Told};
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
    descriptors::send(&ends.control, &Asked::Alive(0).encode(), &[]).unwrap();
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
        assert!(begun.elapsed() < WAIT, "{:?}", anycast.state().unwrap());
        std::thread::sleep(Duration::from_millis(20));
    };
    let taken = TcpStream::from(taken.descriptors.into_iter().next().unwrap());
    assert_eq!(taken.peer_addr().unwrap(), client.local_addr().unwrap());
    assert_eq!(taken.local_addr().unwrap(), address);
    let state = anycast.state().unwrap();
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
    while anycast.state().unwrap().members[0].silent {
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
    while !anycast
        .state()
        .unwrap()
        .members
        .iter()
        .all(|member| member.silent)
    {
        assert!(begun.elapsed() < WAIT);
        std::thread::sleep(Duration::from_millis(20));
    }
    let client = TcpStream::connect(address).unwrap();
    while anycast.state().unwrap().members[0].handed == 0 {
        assert!(begun.elapsed() < WAIT);
        std::thread::sleep(Duration::from_millis(2));
    }
    let taken = loop {
        alive(&far);
        if let Ok(received) = descriptors::receive(&far.connections, &mut [0; 8]) {
            break received;
        }
        assert!(begun.elapsed() < WAIT, "{:?}", anycast.state().unwrap());
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
        assert!(begun.elapsed() < WAIT, "{:?}", anycast.state().unwrap());
    }
    let state = anycast.state().unwrap();
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
    while !anycast.state().unwrap().members[0].silent {
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
    while anycast.state().unwrap().members[0].handed == 0 {
        std::thread::sleep(Duration::from_millis(2));
    }
    drop(near);
    anycast.detach(1);
    assert_eq!(next(&far.connections).descriptors.len(), 1);
    assert_eq!(anycast.state().unwrap().listeners, 1);
    anycast.detach(2);
    assert_eq!(anycast.state().unwrap().listeners, 0);
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
    assert_eq!(anycast.state(), Some(AnycastState::default()));
}

#[test]
fn of_a_holder_that_says_nothing_nothing_is_known() {
    let mailbox = Mailbox {
        commands: Mutex::default(),
        waker: Waker::new().unwrap(),
    };
    let shared = Arc::new(mailbox);
    let anycast = Anycast {
        shared,
        thread: None,
    };
    assert_eq!(anycast.state(), None);
}

/// A holder that runs when the test lets it, two processes behind it of which the first is nearer,
/// and an address for datagrams that both want.
struct Stand {
    holder: Holder,
    ends: [AnycastEnds; 2],
    listener: u32,
    client: UdpSocket,
    now: Instant,
}

impl Stand {
    fn new() -> Stand {
        let mailbox = Arc::new(Mailbox {
            commands: Mutex::default(),
            waker: Waker::new().unwrap(),
        });
        let mut holder = Holder::new(mailbox, Box::new(|_, number| u64::from(number))).unwrap();
        let now = Instant::now();
        let datagrams = FlowListener {
            protocol: FlowProtocol::Udp,
            ..any()
        };
        let ends = [1, 2].map(|number| {
            let (ours, theirs) = channels::pair().unwrap();
            holder.attach(number, Member::new(ours, now));
            holder.listen(number, 1, vec![datagrams], now);
            theirs
        });
        let listener = holder.numbers[&datagrams];
        let client = UdpSocket::bind("127.0.0.1:0").unwrap();
        client.connect(holder.held[&listener].bound).unwrap();
        Stand {
            holder,
            ends,
            listener,
            client,
            now,
        }
    }

    /// That many seconds later both say that they live, and how many conversations they have.
    fn later(&mut self, seconds: u64, conversations: [u32; 2]) {
        self.now += Duration::from_secs(seconds);
        for (ends, count) in self.ends.iter().zip(conversations) {
            let alive = Asked::Alive(count).encode();
            descriptors::send(&ends.control, &alive, &[]).unwrap();
        }
        self.holder.hear(1, self.now);
        self.holder.hear(2, self.now);
        self.holder.turn(self.now);
    }

    /// The client sends that.
    fn send(&mut self, said: &[u8]) {
        self.client.send(said).unwrap();
        self.holder.relay(self.listener, self.now);
    }

    /// What one of them is given: is it for what it has alone, and what is said. None if nothing.
    fn given(&self, number: usize) -> Option<(bool, Vec<u8>)> {
        let (bytes, header) = self.received(number)?;
        assert_eq!(header.from, self.client.local_addr().unwrap());
        assert_eq!(header.to, self.client.peer_addr().unwrap());
        Some((header.must_be_known, bytes[HEADER..].to_vec()))
    }

    fn received(&self, number: usize) -> Option<(Vec<u8>, Header)> {
        let mut room = [0; 256];
        let received = descriptors::receive(&self.ends[number - 1].datagrams, &mut room).ok()?;
        let bytes = room[..received.length].to_vec();
        let header = Header::read(&bytes).unwrap();
        Some((bytes, header))
    }

    /// Another client comes instead of that which was there.
    fn another(&mut self) -> UdpSocket {
        let client = UdpSocket::bind("127.0.0.1:0").unwrap();
        let bound = self.holder.held[&self.listener].bound;
        client.connect(bound).unwrap();
        std::mem::replace(&mut self.client, client)
    }

    /// It gives back what it is given next, as it was.
    fn give_back(&mut self, number: usize) {
        let (bytes, header) = self.received(number).unwrap();
        assert!(header.must_be_known);
        descriptors::send(&self.ends[number - 1].datagrams, &bytes, &[]).unwrap();
        self.holder.returned(number as u32, self.now);
    }
}

fn open(said: &[u8]) -> Option<(bool, Vec<u8>)> {
    Some((false, said.to_vec()))
}

fn asked(said: &[u8]) -> Option<(bool, Vec<u8>)> {
    Some((true, said.to_vec()))
}

#[test]
fn a_conversation_whose_client_is_silent_stays_with_one_that_is_drained_while_it_has_it() {
    let mut stand = Stand::new();
    stand.send(b"begin");
    assert_eq!(stand.given(1), open(b"begin"));
    stand.later(1, [1, 0]);
    stand.holder.drain(1, true);
    // Its endpoint goes on sending, which the holder doesn't see: after any time it is asked.
    for seconds in [1, 29, 31, 34, 36, 3600] {
        stand.later(seconds, [1, 0]);
        stand.send(b"more");
        assert_eq!(stand.given(1), asked(b"more"), "{seconds} s");
        assert_eq!(stand.given(2), None);
    }
    // Once it has ended there, what comes is new, and nothing of it is lost.
    stand.later(1, [0, 0]);
    stand.send(b"anew");
    stand.send(b"again");
    stand.give_back(1);
    assert_eq!(stand.given(2), open(b"anew"));
    stand.give_back(1);
    assert_eq!(stand.given(2), open(b"again"));
    stand.send(b"there");
    assert_eq!((stand.given(1), stand.given(2)), (None, open(b"there")));
    let state = stand.holder.state();
    assert_eq!((state.dropped, state.members[1].datagrams), (0, 3));
    assert_eq!(
        state.members[0].datagrams, 7,
        "what came back isn't counted"
    );
}

#[test]
fn one_that_was_forgotten_is_asked_for_while_it_may_be_with_one_that_is_drained() {
    let mut stand = Stand::new();
    stand.send(b"begin");
    assert_eq!(stand.given(1), open(b"begin"));
    // Long before the drain: the holder knows nothing of it any more.
    stand.later(40, [1, 0]);
    assert!(stand.holder.held[&stand.listener].callers.is_empty());
    stand.holder.drain(1, true);
    stand.send(b"more");
    assert_eq!(stand.given(1), asked(b"more"));
    // A new client's are given back and go to the other, from then on without asking.
    stand.another();
    stand.send(b"new");
    stand.give_back(1);
    assert_eq!(stand.given(2), open(b"new"));
    stand.send(b"newer");
    assert_eq!((stand.given(1), stand.given(2)), (None, open(b"newer")));
    // With no conversation left it isn't asked about those of whom nothing is known.
    stand.later(40, [0, 1]);
    stand.send(b"late");
    assert_eq!((stand.given(1), stand.given(2)), (None, open(b"late")));
    // With both drained, and neither knowing it, it is nobody's, and each was asked once.
    stand.later(40, [1, 1]);
    stand.holder.drain(2, true);
    stand.send(b"whose");
    stand.give_back(1);
    stand.give_back(2);
    assert_eq!((stand.given(1), stand.given(2)), (None, None));
    assert_eq!(stand.holder.state().dropped, 1);
}

#[test]
fn one_that_is_drained_and_takes_nothing_holds_up_no_new_client() {
    let mut stand = Stand::new();
    stand.send(b"begin");
    assert_eq!(stand.given(1), open(b"begin"));
    stand.later(1, [1, 0]);
    stand.holder.drain(1, true);
    // It hangs: what it has fills its queue, and isn't another's.
    while stand.holder.state().dropped == 0 {
        stand.send(b"more");
    }
    assert_eq!(stand.given(2), None);
    let old = stand.another();
    for said in [b"new", b"yet"] {
        stand.send(said);
        assert_eq!(stand.given(2), open(said));
    }
    assert_eq!(stand.holder.state().dropped, 1);
    assert!(
        !stand.holder.held[&stand.listener]
            .callers
            .contains_key(&stand.client.local_addr().unwrap())
    );
    // With room again it is asked, since it may have that conversation.
    while stand.received(1).is_some() {}
    stand.send(b"room");
    stand.give_back(1);
    assert_eq!(stand.given(2), open(b"room"));
    stand.send(b"there");
    assert_eq!((stand.given(1), stand.given(2)), (None, open(b"there")));
    stand.client = old;
    stand.send(b"still");
    assert_eq!((stand.given(1), stand.given(2)), (asked(b"still"), None));
    assert_eq!(stand.holder.state().dropped, 1);
}

#[test]
fn what_is_given_back_by_whom_is_open_again_stays_there_and_what_nobody_says_is_dropped() {
    let mut stand = Stand::new();
    stand.send(b"begin");
    assert_eq!(stand.given(1), open(b"begin"));
    stand.holder.drain(1, true);
    stand.send(b"more");
    stand.holder.drain(1, false);
    stand.give_back(1);
    assert_eq!((stand.given(1), stand.given(2)), (open(b"more"), None));
    let strange: [&[u8]; 3] = [b"", b"short", &[7; HEADER + 3]];
    for bytes in strange {
        descriptors::send(&stand.ends[0].datagrams, bytes, &[]).unwrap();
        stand.holder.returned(1, stand.now);
    }
    assert_eq!(stand.holder.state().dropped, 3);
    assert_eq!((stand.given(1), stand.given(2)), (None, None));
}

//! What the tests stand on: flows whose endpoints are named in order, endpoints of a few kinds.

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use runtime::{
    FlowCounts, FlowEvent, FlowKey, FlowLimits, FlowListener, FlowOptions, FlowProtocol,
    FlowRecord, Flows, Steer, Target, Tried,
};
use socket2::{Domain, Socket, Type};

/// How long anything that must come may take.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// Names its targets in order, and remembers what it is told.
#[derive(Default)]
pub struct InOrder {
    pub targets: Mutex<Vec<Target>>,
    pub asked: Mutex<Vec<(FlowKey, Tried)>>,
    pub events: Mutex<Vec<(u32, FlowEvent)>>,
    pub records: Mutex<Vec<FlowRecord>>,
}

impl Steer for InOrder {
    fn steer(&self, flow: &FlowKey, tried: &Tried) -> Option<Target> {
        self.asked.lock().unwrap().push((*flow, *tried));
        let targets = self.targets.lock().unwrap().clone();
        assert!(
            targets.first().is_none_or(|first| first.token != u32::MAX),
            "as asked"
        );
        let mut left = targets.into_iter();
        left.find(|target| !tried.contains(target.endpoint))
    }

    fn note(&self, token: u32, event: FlowEvent) {
        self.events.lock().unwrap().push((token, event));
    }

    fn record(&self, record: &FlowRecord) {
        self.records.lock().unwrap().push(*record);
    }
}

/// Flows with one listener.
pub struct Stand {
    pub flows: Flows,
    pub steer: Arc<InOrder>,
    pub address: SocketAddr,
    pub listener: FlowListener,
}

/// A target of which nothing is special.
pub fn target(endpoint: SocketAddr) -> Target {
    Target {
        endpoint,
        delay: None,
        proxy_header: false,
        token: u32::from(endpoint.port()),
        owner: 7,
    }
}

impl Stand {
    pub fn new(limits: FlowLimits, threads: usize, targets: Vec<Target>) -> Stand {
        Stand::of(FlowProtocol::Tcp, limits, threads, targets)
    }

    pub fn of(
        protocol: FlowProtocol,
        limits: FlowLimits,
        threads: usize,
        targets: Vec<Target>,
    ) -> Stand {
        let steer = Arc::new(InOrder::default());
        *steer.targets.lock().unwrap() = targets;
        let options = FlowOptions { threads, limits };
        let flows = Flows::start(options, Arc::clone(&steer) as Arc<dyn Steer>).unwrap();
        let listener = FlowListener {
            address: "127.0.0.1:0".parse().unwrap(),
            protocol,
        };
        let errors = flows.listen(&BTreeSet::from([listener]));
        assert!(errors.is_empty(), "{errors:?}");
        let address = flows.listeners()[0].bound;
        Stand {
            flows,
            steer,
            address,
            listener,
        }
    }

    pub fn usual(targets: Vec<Target>) -> Stand {
        Stand::new(FlowLimits::USUAL, 1, targets)
    }

    pub fn connect(&self) -> TcpStream {
        connect(self.address)
    }

    pub fn counts(&self) -> FlowCounts {
        self.flows.listeners()[0].counts
    }

    pub fn events(&self) -> Vec<(u32, FlowEvent)> {
        self.steer.events.lock().unwrap().clone()
    }

    /// Waits until that holds of the counts.
    pub fn until(&self, holds: impl Fn(&FlowCounts) -> bool) -> FlowCounts {
        let started = Instant::now();
        loop {
            let counts = self.counts();
            if holds(&counts) {
                return counts;
            }
            assert!(started.elapsed() < PATIENCE, "{counts:?}");
            std::thread::sleep(Duration::from_millis(2));
        }
    }
}

/// A connection whose reads end in time.
pub fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.set_write_timeout(Some(PATIENCE)).unwrap();
    stream
}

/// An endpoint that does this with so many connections, one after the other.
pub fn endpoint(
    connections: usize,
    mut serve: impl FnMut(TcpStream) + Send + 'static,
) -> (SocketAddr, JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let thread = std::thread::spawn(move || {
        for _ in 0..connections {
            let (stream, _) = listener.accept().unwrap();
            stream.set_read_timeout(Some(PATIENCE)).unwrap();
            stream.set_write_timeout(Some(PATIENCE)).unwrap();
            serve(stream);
        }
    });
    (address, thread)
}

/// Sends back what comes, to the end.
pub fn echo(mut stream: TcpStream) {
    let mut buffer = [0; 4096];
    loop {
        let count = stream.read(&mut buffer).unwrap_or(0);
        if count == 0 || stream.write_all(&buffer[..count]).is_err() {
            return;
        }
    }
}

/// An echo for any number of connections at a time; its threads end with the test.
pub fn echoes() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        while let Ok((stream, _)) = listener.accept() {
            std::thread::spawn(move || echo(stream));
        }
    });
    address
}

/// Where nobody listens. The address is none that a connection comes from by itself.
pub fn nobody() -> SocketAddr {
    let listener = TcpListener::bind("127.9.9.9:0").unwrap();
    listener.local_addr().unwrap()
}

/// Something that listens and whose queue is full: it answers no more.
pub struct Hanging {
    pub socket: Socket,
    pub address: SocketAddr,
    pub waiting: Vec<Socket>,
}

pub fn hanging() -> Hanging {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    let address: SocketAddr = "127.9.9.8:0".parse().unwrap();
    socket.bind(&address.into()).unwrap();
    socket.listen(0).unwrap();
    let address = socket.local_addr().unwrap().as_socket().unwrap();
    let mut waiting = Vec::new();
    loop {
        let client = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        let connected = client.connect_timeout(&address.into(), Duration::from_millis(100));
        waiting.push(client);
        if connected.is_err() {
            break;
        }
        assert!(waiting.len() < 10, "its queue doesn't fill");
    }
    Hanging {
        socket,
        address,
        waiting,
    }
}

/// Sends this and reads as much back.
pub fn exchange(stream: &mut TcpStream, bytes: &[u8]) -> Vec<u8> {
    stream.write_all(bytes).unwrap();
    let mut back = vec![0; bytes.len()];
    stream.read_exact(&mut back).unwrap();
    back
}

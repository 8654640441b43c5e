//! Flows in a process that has no descriptor left. It is a test of its own, since the limit is
//! the whole process's.
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    clippy::unwrap_used,
    reason = "a test plays clients and endpoints: it opens sockets and waits"
)]

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

use runtime::{
    FlowEvent, FlowKey, FlowLimits, FlowListener, FlowOptions, FlowProtocol, Flows, Steer, Target,
    Tried,
};
use rustix::process::{Resource, Rlimit, setrlimit};

const PATIENCE: Duration = Duration::from_secs(20);

struct To(SocketAddr);

impl Steer for To {
    fn steer(&self, _: &FlowKey, tried: &Tried) -> Option<Target> {
        (tried.count() == 0).then_some(Target {
            endpoint: self.0,
            delay: None,
            proxy_header: false,
            token: 1,
            owner: 0,
        })
    }

    fn note(&self, _: u32, event: FlowEvent) {
        assert_ne!(event, FlowEvent::Refused, "it says nothing of the endpoint");
    }
}

fn exchange(client: &mut TcpStream) -> std::io::Result<()> {
    client.set_read_timeout(Some(PATIENCE))?;
    client.write_all(b"x")?;
    client.read_exact(&mut [0])
}

#[test]
fn without_a_descriptor_flows_wait_or_break_and_all_is_well_with_one() {
    let limit = Some(160);
    let lowered = Rlimit {
        current: limit,
        maximum: limit,
    };
    setrlimit(Resource::Nofile, lowered).unwrap();
    let endpoint = TcpListener::bind("127.0.0.1:0").unwrap();
    let at = endpoint.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in endpoint.incoming() {
            let Ok(mut stream) = stream else { continue };
            std::thread::spawn(move || {
                let mut byte = [0];
                while stream.read_exact(&mut byte).is_ok() && stream.write_all(&byte).is_ok() {}
            });
        }
    });
    let options = FlowOptions {
        threads: 1,
        limits: FlowLimits::USUAL,
    };
    let flows = Flows::start(options, Arc::new(To(at))).unwrap();
    let listener = FlowListener {
        address: "127.0.0.1:0".parse().unwrap(),
        protocol: FlowProtocol::Tcp,
    };
    assert!(flows.listen(&BTreeSet::from([listener])).is_empty());
    let address = flows.listeners()[0].bound;
    let mut old = TcpStream::connect(address).unwrap();
    exchange(&mut old).unwrap();
    // All but a few descriptors are gone.
    let mut files = Vec::new();
    while let Ok(file) = File::open("/dev/null") {
        files.push(file);
    }
    // Two for each client, who needs one: the flows take some, and need more. Whoever is quicker
    // has it, so a client too may find none.
    let mut clients = Vec::new();
    while clients.len() < 6 {
        files.truncate(files.len() - 2);
        clients.extend(TcpStream::connect(address));
    }
    let started = Instant::now();
    while flows.totals().no_descriptors == 0 {
        assert!(started.elapsed() < PATIENCE, "{:?}", flows.totals());
        std::thread::sleep(Duration::from_millis(2));
    }
    exchange(&mut old).unwrap();
    drop(files);
    drop(clients);
    exchange(&mut TcpStream::connect(address).unwrap()).unwrap();
    exchange(&mut old).unwrap();
    assert_eq!(flows.totals().lost, 0);
}

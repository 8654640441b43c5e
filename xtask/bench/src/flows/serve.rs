//! Our part as processes of the bench: the flows of an edge with one endpoint, as `runtime` has
//! them with nothing else beside them; and a bare echo of datagrams.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use runtime::{
    DnsAddress, DnsQuery, FlowEvent, FlowKey, FlowLimits, FlowListener, FlowOptions, FlowProtocol,
    Flows, Responder, Steer, Target, Tried, UdpOptions, UdpServer,
};

/// The first argument that makes this program carry flows.
pub const SERVE: &str = "serve-flows";

/// The first argument that makes this program an echo of datagrams.
pub const ECHO: &str = "serve-echo";

/// Sends every flow to one endpoint.
struct To(SocketAddr);

impl Steer for To {
    fn steer(&self, _: &FlowKey, tried: &Tried) -> Option<Target> {
        (tried.count() == 0).then_some(Target {
            endpoint: self.0,
            delay: None,
            proxy_header: false,
            token: 0,
            owner: 0,
        })
    }

    fn note(&self, _: u32, _: FlowEvent) {}
}

/// Carries flows until the process is ended. The words: `tcp` or `udp`, where they come to, and
/// their endpoint.
pub fn serve(words: impl Iterator<Item = String>) -> Result<()> {
    let words: Vec<String> = words.collect();
    let [protocol, address, endpoint] = &words[..] else {
        bail!("carry what from where to where?");
    };
    let listener = FlowListener {
        address: address.parse()?,
        protocol: match protocol.as_str() {
            "udp" => FlowProtocol::Udp,
            _ => FlowProtocol::Tcp,
        },
    };
    let options = FlowOptions {
        threads: 1,
        limits: FlowLimits::USUAL,
    };
    let flows = Flows::start(options, Arc::new(To(endpoint.parse()?)))?;
    if let Some(error) = flows.listen(&BTreeSet::from([listener])).pop() {
        return Err(error.into());
    }
    loop {
        std::thread::park();
    }
}

/// Sends back what comes.
struct Echo;

impl Responder for Echo {
    type State = ();

    fn state(&self, _: usize) {}

    fn respond(&self, (): &mut (), query: &DnsQuery<'_>, reply: &mut [u8]) -> Option<usize> {
        let length = query.packet.len();
        reply.get_mut(..length)?.copy_from_slice(query.packet);
        Some(length)
    }
}

/// Sends datagrams back until the process is ended, in batches and on one thread, as our DNS
/// answers. The word: where they come to.
pub fn echo(mut words: impl Iterator<Item = String>) -> Result<()> {
    let address: SocketAddr = words.next().context("echo where?")?.parse()?;
    let options = UdpOptions {
        threads: 1,
        pinned: false,
    };
    let _server = UdpServer::start(&[DnsAddress::open(address)], options, Arc::new(Echo))?;
    loop {
        std::thread::park();
    }
}

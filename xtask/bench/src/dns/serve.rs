//! Our server as a process of the bench: a node with the zones and the DNS threads that answer
//! from it, as in an edge, with nothing else beside them.

use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use routing::{Locator, Node, SmallRandom};
use runtime::{DnsAddress, DnsQuery, Responder, Transport, UdpOptions, UdpServer};

use super::zones::{ALL, CHECKS, Configured, TestZone, check};

/// The first argument that makes this program the server.
pub const SERVE: &str = "serve-dns";

/// Answers from a node, as an edge does.
struct Answers(Node);

impl Responder for Answers {
    type State = SmallRandom;

    fn state(&self, thread: usize) -> SmallRandom {
        SmallRandom::new(thread as u64)
    }

    fn respond(
        &self,
        random: &mut SmallRandom,
        query: &DnsQuery<'_>,
        reply: &mut [u8],
    ) -> Option<usize> {
        let is_tcp = query.transport == Transport::Tcp;
        let packet = (query.packet, query.source, is_tcp);
        self.0.reply(packet, random, reply)
    }
}

/// Serves the zones that the words name until the process is ended: first the address.
pub fn serve(mut words: impl Iterator<Item = String>) -> Result<()> {
    let address: SocketAddr = words.next().context("serve where?")?.parse()?;
    let mut zones = Vec::new();
    for word in words {
        let zone = ALL.iter().find(|zone| zone.name == word);
        zones.push(*zone.with_context(|| format!("there is no zone {word}"))?);
    }
    // The configuration lists zones in the order of their ids.
    zones.sort_by_key(TestZone::id);
    let node = Node::new(Locator::new(None));
    node.refresh(&Configured(zones));
    if let Some(fault) = node.snapshot().faults().first() {
        bail!("a zone can't be served: {fault}");
    }
    for number in 0..CHECKS {
        node.board().set(&check(number), number % 2 == 0);
    }
    let options = UdpOptions {
        threads: 1,
        pinned: false,
    };
    let _server = UdpServer::start(
        &[DnsAddress::open(address)],
        options,
        Arc::new(Answers(node)),
    )?;
    loop {
        std::thread::park();
    }
}

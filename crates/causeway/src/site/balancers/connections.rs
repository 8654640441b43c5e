//! Flows of network load balancers: where each new connection and each new conversation goes, and
//! what became of it.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use balancer::model::Protocol;
use balancer::{Transport, Tried};
use runtime::{FlowEvent, FlowKey, FlowProtocol, Steer, StreamTarget, Target};
use types::Place;

use super::Way;

impl Way {
    /// Where a flow goes.
    pub(super) fn steer(&self, flow: &FlowKey, tried: &runtime::Tried) -> Option<StreamTarget> {
        let transport = match flow.protocol {
            FlowProtocol::Tcp => Transport::Tcp,
            FlowProtocol::Udp => Transport::Udp,
        };
        let snapshot = self.balancers.load();
        let listening = snapshot.at(flow.to, transport)?;
        let forwarding = listening.flow(flow.from)?;
        let tried: Tried = tried.attempts().map(|attempt| attempt.endpoint).collect();
        let picked = match forwarding.pick(&tried) {
            Ok(picked) => picked,
            Err(why) => {
                tracing::debug!(from = %flow.from, to = %flow.to, ?why, "a flow goes nowhere");
                return None;
            }
        };
        if !self.balancers.allows(picked.address.ip()) {
            tracing::debug!(target = %picked.address, "no target may have this address any more");
            return None;
        }
        let group = forwarding.group();
        Some(StreamTarget {
            target: Target {
                endpoint: picked.address,
                delay: self.delay(flow.from),
                proxy_header: group.sends_proxy_protocol,
                owner: 0,
                token: self.counters.target(&group.arn, picked.address),
            },
            tls: group.protocol == Protocol::Tls,
        })
    }

    /// What became of a flow of the target with that number.
    pub(super) fn note(&self, token: u32, event: FlowEvent) {
        let Some(counters) = self.counters.of(token) else {
            return;
        };
        match event {
            FlowEvent::Connected { .. } => counters.requests.add(1),
            FlowEvent::Refused | FlowEvent::TimedOut => counters.failed.add(1),
            FlowEvent::Unable => {}
            FlowEvent::Ended {
                to_endpoint,
                to_client,
                ..
            } => {
                counters.received.add(to_endpoint);
                counters.sent.add(to_client);
                counters.ended.add(1);
            }
        }
    }

    /// How much later than this machine's loopback everything arrives from a client with a place of
    /// the lab.
    fn delay(&self, client: SocketAddr) -> Option<Duration> {
        let place = match client.ip().to_canonical() {
            IpAddr::V4(address) => Place::of(address)?,
            IpAddr::V6(_) => return None,
        };
        let delay = self.geography.one_way_delay(place.0, self.region);
        (delay.0 > 0).then(|| Duration::from_micros(delay.0))
    }
}

/// Flows of TCP and UDP.
pub(super) struct Flowing(pub(super) std::sync::Arc<Way>);

impl Steer for Flowing {
    fn steer(&self, flow: &FlowKey, tried: &runtime::Tried) -> Option<Target> {
        self.0.steer(flow, tried).map(|named| named.target)
    }

    fn note(&self, token: u32, event: FlowEvent) {
        self.0.note(token, event);
    }
}

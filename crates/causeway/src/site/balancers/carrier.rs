//! Keeps what is listened on as the configuration has it: HTTP, HTTPS and TLS where requests and
//! sessions are taken apart, TCP and UDP where bytes are carried. It routes nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use balancer::model::{AlpnPolicy, Listener, LoadBalancer, Protocol};
use balancer::{DesyncMitigationMode, ForwardedForMode, Listening, Snapshot, Transport};
use region::BalancerCarrier;
use runtime::{
    BalanceListener, Balancer, Certificate, DesyncMode, FlowListener, FlowProtocol, ForwardedFor,
    HttpOptions, ListenerKind, ListenerTls, MAX_LISTENERS, TlsMinimum,
};
use types::ZoneLetter;

use super::certificates::Certificates;
use super::counters::Counters;
use super::zone_flows::ZoneFlows;

/// Listens for a Region's load balancers.
pub(super) struct Carrier {
    pub(super) balancer: Arc<Balancer>,
    pub(super) flows: Arc<ZoneFlows>,
    pub(super) certificates: Certificates,
    pub(super) counters: Arc<Counters>,
}

/// What is to be listened on.
#[derive(Default)]
struct Wanted {
    requests: Vec<BalanceListener>,
    flows: BTreeMap<ZoneLetter, BTreeSet<FlowListener>>,
    count: usize,
    addresses: BTreeSet<SocketAddr>,
    faults: Vec<String>,
}

impl BalancerCarrier for Carrier {
    fn carry(&self, snapshot: &Snapshot, down: &BTreeSet<ZoneLetter>) -> Vec<String> {
        let mut wanted = Wanted::default();
        let mut dead = BTreeSet::new();
        for place in snapshot.listeners() {
            match down.contains(&place.zone.letter) {
                true => {
                    dead.insert(place.address.ip());
                }
                false => wanted.add(place, &self.certificates),
            }
        }
        // As a host that dies does it: nothing ends in order.
        self.balancer.reset(&dead);
        let mut faults = wanted.faults;
        let failed = self.balancer.listen(&wanted.requests);
        faults.extend(failed.iter().map(ToString::to_string));
        faults.extend(self.flows.listen(&wanted.flows, down));
        self.counters.retain(&wanted.addresses);
        faults
    }
}

impl Wanted {
    fn add(&mut self, place: &Listening, certificates: &Certificates) {
        let address = place.address;
        if self.count >= MAX_LISTENERS {
            let most = format!("a Region listens on {MAX_LISTENERS} addresses and ports at most");
            self.faults.push(format!("{address}: {most}"));
            return;
        }
        self.count += 1;
        let kind = match place.listener().protocol {
            Protocol::Http | Protocol::Https | Protocol::Tls => {
                match kind(&place.balancer.row, place.listener(), certificates) {
                    Ok(kind) => kind,
                    Err(cause) => {
                        self.faults.push(format!("{address}: {cause}"));
                        return;
                    }
                }
            }
            Protocol::Tcp | Protocol::Udp | Protocol::TcpUdp => {
                let protocol = match place.transport {
                    Transport::Tcp => FlowProtocol::Tcp,
                    Transport::Udp => FlowProtocol::Udp,
                };
                let zone = self.flows.entry(place.zone.letter).or_default();
                zone.insert(FlowListener { address, protocol });
                return;
            }
        };
        self.addresses.insert(address);
        self.requests.push(BalanceListener { address, kind });
    }
}

/// How a listener takes what comes.
fn kind(
    balancer: &LoadBalancer,
    listener: &Listener,
    certificates: &Certificates,
) -> Result<ListenerKind, String> {
    let options = || Arc::new(options(balancer, listener));
    if listener.protocol == Protocol::Http {
        return Ok(ListenerKind::Http(options()));
    }
    let found = listener.certificates.iter();
    let found: Result<Vec<Certificate>, String> = found.map(|arn| certificates.find(arn)).collect();
    let (found, minimum) = (found?, minimum(listener.ssl_policy.as_deref()));
    let wrong = |cause: runtime::TlsError| cause.to_string();
    if listener.protocol == Protocol::Https {
        let tls = ListenerTls::https(&found, minimum, balancer.takes_http2()).map_err(wrong)?;
        return Ok(ListenerKind::Https(options(), tls));
    }
    let protocols: &[&str] = match listener.alpn_policy {
        None | Some(AlpnPolicy::None) => &[],
        Some(AlpnPolicy::Http1Only) => &["http/1.1", "http/1.0"],
        Some(AlpnPolicy::Http2Only) => &["h2"],
        Some(AlpnPolicy::Http2Optional) => &["http/1.1", "http/1.0", "h2"],
        Some(AlpnPolicy::Http2Preferred) => &["h2", "http/1.1", "http/1.0"],
    };
    let tls = ListenerTls::stream(&found, minimum, protocols).map_err(wrong)?;
    Ok(ListenerKind::Tls(tls))
}

/// The oldest TLS that a security policy has, of those that are spoken here. Policies of TLS 1.3
/// alone are named so.
fn minimum(policy: Option<&str>) -> TlsMinimum {
    match policy.is_some_and(|policy| policy.starts_with("ELBSecurityPolicy-TLS13-1-3-")) {
        true => TlsMinimum::Tls13,
        false => TlsMinimum::Tls12,
    }
}

fn options(balancer: &LoadBalancer, listener: &Listener) -> HttpOptions {
    let seconds = |seconds: u32| Duration::from_secs(u64::from(seconds));
    HttpOptions {
        idle: seconds(balancer.idle_timeout()),
        keep_alive: seconds(balancer.client_keep_alive()),
        desync: match balancer.desync_mitigation() {
            DesyncMitigationMode::Monitor => DesyncMode::Monitor,
            DesyncMitigationMode::Defensive => DesyncMode::Defensive,
            DesyncMitigationMode::Strictest => DesyncMode::Strictest,
        },
        drop_invalid_headers: balancer.drops_invalid_headers(),
        preserve_host: balancer.preserves_host(),
        forwarded_for: match balancer.forwarded_for() {
            ForwardedForMode::Append => ForwardedFor::Append,
            ForwardedForMode::Preserve => ForwardedFor::Preserve,
            ForwardedForMode::Remove => ForwardedFor::Remove,
        },
        forwarded_port: balancer.forwards_client_port(),
        tls_headers: balancer.tells_tls(),
        server_header: listener.shows_server(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_policy_of_tls_1_3_alone_is_known_by_its_name() {
        for (policy, expected) in [
            (None, TlsMinimum::Tls12),
            (Some("ELBSecurityPolicy-2016-08"), TlsMinimum::Tls12),
            (
                Some("ELBSecurityPolicy-TLS13-1-2-2021-06"),
                TlsMinimum::Tls12,
            ),
            (
                Some("ELBSecurityPolicy-TLS13-1-3-2021-06"),
                TlsMinimum::Tls13,
            ),
        ] {
            assert_eq!(minimum(policy), expected, "{policy:?}");
        }
    }
}

//! Keeps what is listened on as the configuration has it: HTTP, HTTPS and TLS where requests and
//! sessions are taken apart, TCP and UDP where bytes are carried. It routes nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use balancer::model::{AlpnPolicy, Listener, LoadBalancer, Protocol};
use balancer::{DesyncMitigationMode, ForwardedForMode, Listening, Snapshot, Transport};
use region::BalancerCarrier;
use runtime::{
    BalanceListener, Balancer, Certificate, DesyncMode, FlowListener, FlowProtocol, ForwardedFor,
    HttpOptions, ListenerKind, ListenerTls, MAX_LISTENERS, TlsMinimum,
};
use types::ZoneLetter;

use super::certificates::{self, Certificates, Kept};
use super::counters::Counters;
use super::zone_flows::ZoneFlows;

/// Listens for a Region's load balancers.
pub(super) struct Carrier {
    pub(super) balancer: Arc<Balancer>,
    pub(super) flows: Arc<ZoneFlows>,
    pub(super) certificates: Certificates,
    pub(super) counters: Arc<Counters>,
    /// What listeners prove themselves with.
    pub(super) kept: Mutex<Kept>,
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
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.refresh(&self.certificates, &certificates::named(snapshot));
        let mut wanted = Wanted::default();
        let mut dead = BTreeSet::new();
        for place in snapshot.listeners() {
            match down.contains(&place.zone.letter) {
                true => {
                    dead.insert(place.address.ip());
                }
                false => wanted.add(place, &kept),
            }
        }
        drop(kept);
        // As a host that dies does it: nothing ends in order.
        self.balancer.reset(&dead);
        self.listen(wanted, down)
    }
}

impl Carrier {
    /// Listens on that and nothing else. Each closes what it no longer has before the other opens
    /// anything: a listener that becomes one of another kind keeps its address and port.
    fn listen(&self, wanted: Wanted, down: &BTreeSet<ZoneLetter>) -> Vec<String> {
        self.balancer.close_all_but(&wanted.requests);
        let mut faults = wanted.faults;
        faults.extend(self.flows.listen(&wanted.flows, down));
        let failed = self.balancer.listen(&wanted.requests);
        faults.extend(failed.iter().map(ToString::to_string));
        self.counters.retain(&wanted.addresses);
        faults
    }
}

impl Wanted {
    fn add(&mut self, place: &Listening, kept: &Kept) {
        let address = place.address;
        if self.count >= MAX_LISTENERS {
            let most = format!("a Region listens on {MAX_LISTENERS} addresses and ports at most");
            self.faults.push(format!("{address}: {most}"));
            return;
        }
        self.count += 1;
        let kind = match place.listener().protocol {
            Protocol::Http | Protocol::Https | Protocol::Tls => {
                let mut faults = Vec::new();
                let kind = kind(&place.balancer.row, place.listener(), kept, &mut faults);
                let kind = kind.map_err(|cause| faults.push(cause)).ok();
                let faults = faults.iter().map(|cause| format!("{address}: {cause}"));
                self.faults.extend(faults);
                let Some(kind) = kind else {
                    return;
                };
                kind
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

/// The certificates of a listener, as far as they can be used: without its default one there is
/// no listener, without another one there is.
fn found(
    balancer: &LoadBalancer,
    listener: &Listener,
    kept: &Kept,
    faults: &mut Vec<String>,
) -> Result<Vec<Certificate>, String> {
    let mut found = Vec::with_capacity(listener.certificates.len());
    for (place, arn) in listener.certificates.iter().enumerate() {
        match kept.find(balancer.arn.account, arn) {
            Ok((certificate, fault)) => {
                found.push(certificate.clone());
                let kept = "the certificate that was there before is still used";
                faults.extend(fault.map(|cause| format!("{cause}: {kept}")));
            }
            Err(cause) if place == 0 => return Err(cause),
            Err(cause) => faults.push(format!("it is without one certificate: {cause}")),
        }
    }
    Ok(found)
}

/// How a listener takes what comes, and what is wrong with its certificates nevertheless.
fn kind(
    balancer: &LoadBalancer,
    listener: &Listener,
    kept: &Kept,
    faults: &mut Vec<String>,
) -> Result<ListenerKind, String> {
    let options = || Arc::new(options(balancer, listener));
    if listener.protocol == Protocol::Http {
        return Ok(ListenerKind::Http(options()));
    }
    let found = found(balancer, listener, kept, faults)?;
    let minimum = minimum(listener.ssl_policy.as_deref());
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
    use runtime::FlowKey;

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

    /// Nobody comes.
    struct Nowhere;

    impl runtime::Balance for Nowhere {
        fn route(&self, _: &runtime::RequestHead<'_>) -> Box<dyn runtime::Exchange> {
            panic!("nothing is asked");
        }

        fn refused(&self, _: &runtime::RefusedRequest<'_>) {}

        fn steer(&self, _: &FlowKey, _: &runtime::Tried) -> Option<runtime::StreamTarget> {
            None
        }

        fn note(&self, _: u32, _: runtime::FlowEvent) {}
    }

    impl runtime::Steer for Nowhere {
        fn steer(&self, _: &FlowKey, _: &runtime::Tried) -> Option<runtime::Target> {
            None
        }

        fn note(&self, _: u32, _: runtime::FlowEvent) {}
    }

    #[test]
    fn an_address_goes_from_bytes_to_requests_and_back() {
        let balancer = Balancer::start(super::super::REQUESTS, Arc::new(Nowhere)).unwrap();
        let region = "us-east-1".parse().unwrap();
        let uploaded = Arc::new(super::super::UploadedCertificates::default());
        let carrier = Carrier {
            balancer: Arc::new(balancer),
            flows: Arc::new(ZoneFlows::new(Arc::new(Nowhere))),
            certificates: Certificates::new(None, region, "111122223333", uploaded),
            counters: Arc::default(),
            kept: Mutex::default(),
        };
        // A port that is free is found by listening at it once.
        let picked = carrier.balancer.listen(&[BalanceListener {
            address: "127.0.0.1:0".parse().unwrap(),
            kind: ListenerKind::Http(Arc::new(HttpOptions::USUAL)),
        }]);
        assert!(picked.is_empty(), "{picked:?}");
        let address = carrier.balancer.listeners()[0].bound;
        for _ in 0..2 {
            let protocol = FlowProtocol::Tcp;
            let flows = BTreeSet::from([FlowListener { address, protocol }]);
            let bytes = Wanted {
                flows: BTreeMap::from([(ZoneLetter::ALL[0], flows)]),
                ..Wanted::default()
            };
            let none = Vec::<String>::new();
            assert_eq!(carrier.listen(bytes, &BTreeSet::new()), none);
            assert!(carrier.balancer.listeners().is_empty());
            let kind = ListenerKind::Http(Arc::new(HttpOptions::USUAL));
            let requests = Wanted {
                requests: vec![BalanceListener { address, kind }],
                addresses: BTreeSet::from([address]),
                ..Wanted::default()
            };
            assert_eq!(carrier.listen(requests, &BTreeSet::new()), none);
            assert_eq!(carrier.balancer.listeners().len(), 1);
        }
    }
}

//! Accelerators' flows at an edge: where each new one goes, by the edge's steering and the lab's
//! geography, what is listened on, and what has been counted. `accelerator` chooses, `runtime`
//! carries; this hands one to the other.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use accelerator::model::Protocol;
use accelerator::{ChooseContext, Flow, ListensOn, Pools, Snapshot};
use runtime::{
    AnycastEnds, FlowCounts, FlowEvent, FlowKey, FlowListener, FlowProtocol, FlowRecord, Flows,
    MAX_LISTENERS, Steer, SystemEnvironment, Target, Tried,
};
use serde_json::{Value, json};
use steering::{AcceleratorsStatus, Carrier, Steering};
use store::EmbeddedEngine;
use types::{Geography, Place, Region, SiteName};

use super::flow_logs::{self, FlowLogs};
use super::tokens::{MAX_NUMBERS, number_of, region_of, token};
use crate::failure::Failure;
use crate::protocol::{FlowQuestion, FlowsHere, NO_IPV6_POOL, SiteConfig};

/// Endpoints that are counted apart; those beyond are counted together. The quotas of an account
/// allow 8,400 at the very most.
const MAX_ENDPOINTS: usize = 16 * 1024;

const _: () = assert!(MAX_ENDPOINTS <= MAX_NUMBERS);

/// A family of counters: its name, what it is, and where it stands.
type Family = (&'static str, &'static str, fn(&FlowCounts) -> u64);

/// What is told of each listener.
const FAMILIES: [Family; 5] = [
    (
        "causeway_accelerator_flows_total",
        "Flows that came.",
        |counts| counts.came,
    ),
    (
        "causeway_accelerator_bytes_in_total",
        "Bytes from clients that were sent to endpoints.",
        |counts| counts.to_endpoint,
    ),
    (
        "causeway_accelerator_bytes_out_total",
        "Bytes from endpoints that were sent to clients.",
        |counts| counts.to_client,
    ),
    (
        "causeway_accelerator_failed_attempts_total",
        "Attempts to reach an endpoint that failed.",
        |counts| counts.failed_attempts,
    ),
    (
        "causeway_accelerator_unserved_flows_total",
        "Flows for which there was no endpoint, none that could be reached, or no room.",
        |counts| counts.no_endpoint + counts.all_failed + counts.no_room,
    ),
];

/// An edge's flows.
pub(super) struct EdgeFlows {
    flows: Arc<Flows>,
    way: Arc<Way>,
}

/// Where an edge is, and what it is told of its flows.
pub(super) struct Surroundings {
    /// Its name.
    pub(super) edge: SiteName,
    /// Where it is.
    pub(super) place: Region,
    /// What delays there are.
    pub(super) geography: Geography,
    /// How often flow logs are delivered, in milliseconds; none: as usual.
    pub(super) flow_log_interval: Option<u64>,
    /// Its clocks.
    pub(super) environment: Arc<SystemEnvironment>,
}

impl EdgeFlows {
    /// Starts them; from then on they come in where the steering's configuration has listeners: at
    /// sockets of their own or, if something was handed over, behind whoever holds the addresses.
    pub(super) fn start(
        steering: &Arc<Steering<EmbeddedEngine>>,
        surroundings: Surroundings,
        handed: Vec<OwnedFd>,
    ) -> Result<EdgeFlows, Failure> {
        let Surroundings {
            edge,
            place,
            geography,
            flow_log_interval,
            environment,
        } = surroundings;
        let logs = FlowLogs::new(edge, flow_log_interval, environment, Arc::clone(steering));
        let way = Arc::new(Way {
            steering: Arc::clone(steering),
            place,
            geography,
            endpoints: RwLock::default(),
            logs: Arc::new(logs),
        });
        let steer: Arc<dyn Steer> = way.clone();
        let flows = match AnycastEnds::from_descriptors(handed) {
            Some(ends) => Flows::start_behind(ends, flow_logs::options(flow_log_interval), steer),
            None => Flows::start(flow_logs::options(flow_log_interval), steer),
        };
        let flows = Arc::new(flows.map_err(Failure::wrong_use)?);
        steering.carry(Arc::new(Listening(Arc::clone(&flows))));
        Ok(EdgeFlows { flows, way })
    }

    /// Its flow logs.
    pub(super) fn logs(&self) -> &Arc<FlowLogs> {
        &self.way.logs
    }

    /// Nothing new comes from soon after this on.
    pub(super) fn leave(&self) {
        if let Err(cause) = self.flows.leave() {
            tracing::error!(%cause, "new flows may come until this process has ended");
        }
    }

    /// How many there are.
    pub(super) fn here(&self) -> FlowsHere {
        let left = self.flows.left();
        FlowsHere {
            here: left.here,
            taken: left.taken,
        }
    }

    /// What has been counted, by listener and by endpoint.
    pub(super) fn counts(&self) -> Value {
        let snapshot = self.way.steering.accelerators().snapshot();
        let listeners = self.flows.listeners().into_iter().map(|state| {
            let (at, counts) = (state.listener, state.counts);
            let protocol = protocol_of(at.protocol);
            let known = snapshot.listener_of(at.address.ip(), protocol, at.address.port());
            json!({
                "address": at.address,
                "protocol": word(protocol),
                "accelerator": known.map(|(accelerator, _)| accelerator),
                "listener": known.map(|(_, listener)| listener),
                "open": counts.live(),
                "flows": counts.came,
                "connected": counts.connected,
                "idle": counts.idle,
                "failed": counts.failed_attempts,
                "no_endpoint": counts.no_endpoint,
                "all_failed": counts.all_failed,
                "no_room": counts.no_room,
                "bytes_in": counts.to_endpoint,
                "bytes_out": counts.to_client,
                "dropped_datagrams": counts.dropped,
            })
        });
        let totals = self.flows.totals();
        json!({
            "listeners": listeners.collect::<Vec<_>>(),
            "endpoints": self.way.counts(),
            "flow_logs": self.way.logs.counts(),
            "pauses": totals.pauses,
            "no_descriptors": totals.no_descriptors,
            "no_ports": totals.no_ports,
            "lost": totals.lost,
        })
    }

    /// The figures of that edge's flows as Prometheus reads them: what CloudWatch has of an
    /// accelerator (Developer Guide, "Using Amazon CloudWatch with AWS Global Accelerator"), by
    /// listener, and how its endpoints are.
    pub(super) fn metrics(&self, edge: SiteName) -> String {
        let states = self.flows.listeners();
        let mut text = String::new();
        for (name, help, of) in FAMILIES {
            text.push_str(&format!("# HELP {name} {help}\n# TYPE {name} counter\n"));
            for state in &states {
                let FlowListener { address, protocol } = state.listener;
                let (protocol, value) = (word(protocol_of(protocol)), of(&state.counts));
                text.push_str(&format!(
                    "{name}{{edge=\"{edge}\",listener=\"{address}\",protocol=\"{protocol}\"}} \
                     {value}\n"
                ));
            }
        }
        let status = self.way.steering.accelerators_status();
        let name = "causeway_accelerator_endpoints";
        let help = "Health checks of accelerators' endpoints, by state.";
        text.push_str(&format!("# HELP {name} {help}\n# TYPE {name} gauge\n"));
        for (state, count) in [
            ("healthy", status.healthy),
            ("unhealthy", status.unhealthy),
            ("initial", status.initial),
        ] {
            let labels = format!("edge=\"{edge}\",state=\"{state}\"");
            text.push_str(&format!("{name}{{{labels}}} {count}\n"));
        }
        text + &self.way.logs.metrics()
    }

    /// What a status says of them.
    pub(super) fn status(&self) -> Value {
        let states = self.flows.listeners();
        let sum = |of: fn(&FlowCounts) -> u64| -> u64 {
            states.iter().map(|state| of(&state.counts)).sum()
        };
        json!({
            "open": sum(FlowCounts::live),
            "flows": sum(|counts| counts.came),
            "failed_attempts": sum(|counts| counts.failed_attempts),
            "unserved": sum(|counts| counts.no_endpoint + counts.all_failed + counts.no_room),
            "logs": self.way.logs.counts(),
            "leaving": self.flows.is_leaving(),
        })
    }

    /// Every step of the choice for that flow: as an object, and as lines for people.
    pub(super) fn explain(&self, question: &FlowQuestion) -> Result<Value, String> {
        let flow = Flow {
            to: question.to,
            from: question.from,
            protocol: match question.datagrams {
                true => Protocol::Udp,
                false => Protocol::Tcp,
            },
        };
        let steering = &self.way.steering;
        let context = ChooseContext {
            board: steering.accelerators().board(),
            place: self.way.place_of(question.from),
        };
        let snapshot = steering.accelerators().snapshot();
        let explanation = snapshot.explain(&flow, &context, &accelerator::Tried::NONE);
        let lines = explanation.lines();
        Ok(json!({ "explanation": explanation, "lines": lines }))
    }
}

/// What static addresses are drawn from; or why there are none.
pub(super) fn pools(config: &SiteConfig) -> Result<Result<Pools, String>, Failure> {
    let sites = config.deployment.sites.iter();
    let edges = sites.filter(|site| site.name.region().is_none()).count();
    if edges == 0 {
        let why = "This deployment has no edge, which would carry an accelerator's flows (start \
                   the lab with `causeway up --edges 1`)";
        return Ok(Err(why.to_owned()));
    }
    let [one, other] = &config.accelerator_pools;
    let networks = [one.parse(), other.parse()];
    let [one, other] = networks.map(|network| network.map_err(Failure::wrong_use));
    let ipv6 = config.accelerator_ipv6_pool;
    let ipv6 = ipv6.ok_or_else(|| NO_IPV6_POOL.to_owned());
    let pools = Pools::new([one?, other?], ipv6);
    Ok(Ok(pools.map_err(Failure::wrong_use)?))
}

/// What a site's steering says of its accelerators.
pub(super) fn status(status: &AcceleratorsStatus) -> Value {
    json!({
        "revision": status.revision,
        "accelerators": status.accelerators,
        "listeners": status.listeners,
        "endpoints": {
            "healthy": status.healthy,
            "unhealthy": status.unhealthy,
            "initial": status.initial,
        },
    })
}

/// Keeps what is listened on as the configuration has it.
struct Listening(Arc<Flows>);

impl Carrier for Listening {
    fn carry(&self, snapshot: &Snapshot) -> Vec<String> {
        self.0.record(snapshot.logged_addresses().collect());
        let (wanted, mut faults) = wanted(snapshot.listeners());
        let failed = self.0.listen(&wanted);
        faults.extend(failed.iter().map(ToString::to_string));
        faults
    }
}

/// The addresses and ports of those listeners, as far as there is room; whole ranges are left out,
/// and named.
fn wanted(listeners: impl Iterator<Item = ListensOn>) -> (BTreeSet<FlowListener>, Vec<String>) {
    let (mut wanted, mut faults) = (BTreeSet::new(), Vec::new());
    for ListensOn {
        address,
        protocol,
        ports,
    } in listeners
    {
        let count = usize::from(ports.to - ports.from) + 1;
        if wanted.len() + count > MAX_LISTENERS {
            let (from, to) = (ports.from, ports.to);
            faults.push(format!(
                "{address} ports {from} to {to}: an edge listens on {MAX_LISTENERS} addresses and \
                 ports at most"
            ));
            continue;
        }
        wanted.extend((ports.from..=ports.to).map(|port| FlowListener {
            address: SocketAddr::new(address, port),
            protocol: match protocol {
                Protocol::Tcp => FlowProtocol::Tcp,
                Protocol::Udp => FlowProtocol::Udp,
            },
        }));
    }
    (wanted, faults)
}

/// Where flows go.
struct Way {
    steering: Arc<Steering<EmbeddedEngine>>,
    /// Where this edge is.
    place: Region,
    geography: Geography,
    endpoints: RwLock<Endpoints>,
    logs: Arc<FlowLogs>,
}

/// The endpoints that flows went to, each with a number.
#[derive(Default)]
struct Endpoints {
    numbers: BTreeMap<(SocketAddr, FlowProtocol), u32>,
    counters: Vec<Arc<EndpointCounters>>,
}

/// What has been counted of an endpoint since the edge started.
#[derive(Default)]
struct EndpointCounters {
    connected: AtomicU64,
    ended: AtomicU64,
    refused: AtomicU64,
    timed_out: AtomicU64,
    unable: AtomicU64,
    to_endpoint: AtomicU64,
    to_client: AtomicU64,
}

impl Way {
    /// From where it is reckoned what is near: the client's place if that is known.
    fn place_of(&self, client: SocketAddr) -> Region {
        let locator = self.steering.node().locator();
        locator.locate(client.ip()).anchor.unwrap_or(self.place)
    }

    /// How much later than this machine's loopback everything arrives: from a client with a place
    /// of the lab to this edge, and from here to the endpoint's Region.
    fn delay(&self, client: SocketAddr, region: Region) -> Option<Duration> {
        let place = match client.ip().to_canonical() {
            std::net::IpAddr::V4(address) => Place::of(address),
            std::net::IpAddr::V6(_) => None,
        };
        let first = place.map(|place| self.geography.one_way_delay(place.0, self.place).0);
        let second = self.geography.one_way_delay(self.place, region).0;
        let micros = first.unwrap_or(0) + second;
        (micros > 0).then(|| Duration::from_micros(micros))
    }

    fn number(&self, endpoint: SocketAddr, protocol: FlowProtocol) -> u32 {
        let key = (endpoint, protocol);
        let known = self
            .endpoints
            .read()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(number) = known.numbers.get(&key) {
            return *number;
        }
        drop(known);
        let mut known = self
            .endpoints
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        let next = known.counters.len().min(MAX_ENDPOINTS - 1);
        let number = u32::try_from(next).expect("there are fewer");
        if known.counters.len() < MAX_ENDPOINTS {
            known.counters.push(Arc::default());
            known.numbers.insert(key, number);
        }
        number
    }

    fn counts(&self) -> Vec<Value> {
        let known = self
            .endpoints
            .read()
            .unwrap_or_else(PoisonError::into_inner);
        let rows = known.numbers.iter().map(|((endpoint, protocol), number)| {
            let counters = &known.counters[*number as usize];
            let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
            let (connected, ended) = (read(&counters.connected), read(&counters.ended));
            json!({
                "address": endpoint,
                "protocol": word(protocol_of(*protocol)),
                "open": connected.saturating_sub(ended),
                "flows": connected,
                "failed": read(&counters.refused) + read(&counters.timed_out),
                "refused": read(&counters.refused),
                "timed_out": read(&counters.timed_out),
                "unable": read(&counters.unable),
                "bytes_in": read(&counters.to_endpoint),
                "bytes_out": read(&counters.to_client),
            })
        });
        rows.collect()
    }
}

impl Steer for Way {
    fn steer(&self, flow: &FlowKey, tried: &Tried) -> Option<Target> {
        let accelerators = self.steering.accelerators();
        let context = ChooseContext {
            board: accelerators.board(),
            place: self.place_of(flow.from),
        };
        let chosen_by = Flow {
            to: flow.to,
            from: flow.from,
            protocol: protocol_of(flow.protocol),
        };
        let tried: accelerator::Tried = tried.attempts().map(|it| it.endpoint).collect();
        let snapshot = accelerators.load();
        let choice = match snapshot.choose(&chosen_by, &context, &tried) {
            Ok(choice) => choice,
            Err(why) => {
                tracing::debug!(from = %flow.from, to = %flow.to, %why, "a flow goes nowhere");
                return None;
            }
        };
        Some(Target {
            endpoint: choice.address,
            delay: self.delay(flow.from, choice.region),
            proxy_header: choice.preserves_client,
            token: token(self.number(choice.address, flow.protocol), choice.region),
            owner: flow_logs::owner_of(choice.accelerator),
        })
    }

    fn note(&self, token: u32, event: FlowEvent) {
        let known = self
            .endpoints
            .read()
            .unwrap_or_else(PoisonError::into_inner);
        let Some(counters) = known.counters.get(number_of(token)) else {
            return;
        };
        let add = |counter: &AtomicU64, count| counter.fetch_add(count, Ordering::Relaxed);
        match event {
            FlowEvent::Connected { .. } => add(&counters.connected, 1),
            FlowEvent::Refused => add(&counters.refused, 1),
            FlowEvent::TimedOut => add(&counters.timed_out, 1),
            FlowEvent::Unable => add(&counters.unable, 1),
            FlowEvent::Ended {
                to_endpoint,
                to_client,
                ..
            } => {
                add(&counters.to_endpoint, to_endpoint);
                add(&counters.to_client, to_client);
                add(&counters.ended, 1)
            }
        };
    }

    fn record(&self, record: &FlowRecord) {
        if let Some(region) = region_of(record.target.token) {
            self.logs.add(record, region);
        }
    }
}

pub(super) fn protocol_of(protocol: FlowProtocol) -> Protocol {
    match protocol {
        FlowProtocol::Tcp => Protocol::Tcp,
        FlowProtocol::Udp => Protocol::Udp,
    }
}

fn word(protocol: Protocol) -> &'static str {
    match protocol {
        Protocol::Tcp => "TCP",
        Protocol::Udp => "UDP",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use accelerator::model::PortRange;

    #[test]
    fn ranges_that_don_t_fit_are_left_out_and_named() {
        let on = |last: u8, from, to| ListensOn {
            address: std::net::Ipv4Addr::new(127, 80, 0, last).into(),
            protocol: Protocol::Tcp,
            ports: PortRange { from, to },
        };
        let listeners = [on(1, 80, 81), on(1, 1000, 60_000), on(2, 443, 443)];
        let (wanted, faults) = wanted(listeners.into_iter());
        let addresses: Vec<String> = wanted.iter().map(|it| it.address.to_string()).collect();
        assert_eq!(
            addresses,
            ["127.80.0.1:80", "127.80.0.1:81", "127.80.0.2:443"]
        );
        assert_eq!(faults.len(), 1);
        assert!(faults[0].starts_with("127.80.0.1 ports 1000 to 60000: an edge listens on"));
    }
}

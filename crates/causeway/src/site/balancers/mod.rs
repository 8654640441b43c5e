//! Load balancers in a Region's process: its nodes listen here, requests and flows are moved from
//! here, and what is counted of them is told. `region` knows what there is, `balancer` decides,
//! `runtime` carries; this hands one to the other.

mod access_logs;
mod carrier;
mod certificates;
mod connections;
mod counters;
mod explain;
mod facts;
mod requests;
mod zone_flows;

use std::sync::{Arc, Mutex};

use balancer::Listening;
use balancer::model::Protocol;
use region::{Balancers, BalancersOptions, LocalFacts, Region};
use runtime::{Balancer, BalancerLimits, BalancerOptions, SystemEnvironment, SystemProber};
use serde_json::{Value, json};
use store::EmbeddedEngine;
use types::{Environment, Geography, Span};

pub(super) use certificates::{Certificates, UploadedCertificates};

use crate::failure::Failure;
use crate::protocol::SiteConfig;
use access_logs::AccessLogs;
use carrier::Carrier;
use connections::Flowing;
use counters::{Counter, Counters};
use facts::Facts;
use requests::Requesting;
use zone_flows::ZoneFlows;

/// How requests are carried: a lab shares its machine with all of its sites and the application.
const REQUESTS: BalancerOptions = BalancerOptions {
    threads: 1,
    limits: BalancerLimits::USUAL,
};

/// Between looks at certificates, and attempts to open what couldn't be opened.
const CERTIFICATES: Span = Span::seconds(20);

/// Probes of targets at once.
const PROBES: usize = balancer::health::MAX_PROBES;

/// What decides where requests and flows go.
struct Way {
    balancers: Arc<Balancers>,
    environment: Arc<SystemEnvironment>,
    counters: Arc<Counters>,
    logs: Arc<AccessLogs>,
    region: types::Region,
    geography: Geography,
}

/// A Region's load balancers, as long as this is held.
pub(super) struct BalancersSite {
    way: Arc<Way>,
    certificates: Certificates,
    flows: Arc<ZoneFlows>,
    balancer: Arc<Balancer>,
}

/// What a Region is opened with for them.
///
/// # Errors
/// A setting that makes no sense.
pub(super) fn options(
    config: &SiteConfig,
    region: types::Region,
    certificates: &Certificates,
) -> Result<BalancersOptions, Failure> {
    let interval = config.health_interval_milliseconds.map(Span::milliseconds);
    let health = balancer::health::HealthSettings::new(interval);
    let facts: Arc<dyn LocalFacts> = Arc::new(Facts::new(config, region, certificates.clone())?);
    Ok(BalancersOptions {
        pools: facts::pools(config)?,
        prober: Arc::new(SystemProber::of_load_balancers(PROBES)),
        health: health.map_err(Failure::wrong_use)?,
        facts,
    })
}

impl BalancersSite {
    /// Starts them; when this returns, the nodes listen where the Region's configuration says.
    pub(super) fn start(
        region: &Region<EmbeddedEngine>,
        environment: &Arc<SystemEnvironment>,
        certificates: Certificates,
        geography: Geography,
    ) -> Result<BalancersSite, Failure> {
        let way = Arc::new(Way {
            balancers: region.balancers().clone(),
            environment: environment.clone(),
            counters: Arc::default(),
            logs: Arc::default(),
            region: region.name(),
            geography,
        });
        let balancer = Balancer::start(REQUESTS, Arc::new(Requesting(way.clone())));
        let balancer = Arc::new(balancer.map_err(Failure::wrong_use)?);
        let flows = Arc::new(ZoneFlows::new(Arc::new(Flowing(way.clone()))));
        let carrier = Carrier {
            balancer: balancer.clone(),
            flows: flows.clone(),
            certificates: certificates.clone(),
            counters: way.counters.clone(),
            kept: Mutex::default(),
        };
        way.balancers.carry(Arc::new(carrier));
        Ok(BalancersSite {
            way,
            certificates,
            flows,
            balancer,
        })
    }

    /// Writes access logs, until the process ends.
    pub(super) fn write_logs(
        &self,
        region: &Arc<Region<EmbeddedEngine>>,
    ) -> super::Task<'static, ()> {
        let (logs, environment) = (self.way.logs.clone(), self.way.environment.clone());
        Box::pin(logs.write(region.clone(), environment))
    }

    /// What is wrong with access logs, if anything is.
    pub(super) fn trouble(&self) -> Option<String> {
        let lost = self.way.logs.lost.get();
        let why = self.way.logs.trouble()?;
        Some(format!(
            "access logs of load balancers: {lost} lines are lost: {why}"
        ))
    }

    /// Takes certificates over that are replaced, and tries again to open what couldn't be, until
    /// the process ends.
    pub(super) fn follow_certificates(&self) -> super::Task<'static, ()> {
        let (way, certificates) = (self.way.clone(), self.certificates.clone());
        Box::pin(async move {
            // The first look takes over what was replaced since the start.
            let mut known = None;
            loop {
                let now = way.environment.now().monotonic;
                way.environment.sleep_until(now + CERTIFICATES).await;
                let named = certificates::named(&way.balancers.snapshot());
                let stamp = Some(certificates.stamp(&named));
                if stamp != known || way.balancers.has_uncarried() {
                    known = stamp;
                    way.balancers.carry_again();
                }
            }
        })
    }

    /// What has been counted, by listener and by target.
    pub(super) fn counts(&self) -> Value {
        let snapshot = self.way.balancers.snapshot();
        let listeners = snapshot.listeners().map(|place| self.listener(place));
        let groups = snapshot.groups().flat_map(|group| {
            group.members().map(|member| {
                let number = self.way.counters.target(&group.arn, member.address);
                let counters = self.way.counters.of(number).unwrap_or_default();
                let (requests, ended) = (counters.requests.get(), counters.ended.get());
                let is_flow = !matches!(group.protocol, Protocol::Http | Protocol::Https);
                let open = match is_flow {
                    true => requests.saturating_sub(ended),
                    false => u64::from(member.live.under_way()),
                };
                let health = snapshot.target_health(
                    &group.arn,
                    &member.key,
                    self.way.environment.now().wall,
                );
                json!({
                    "group": group.arn.name,
                    "group_arn": group.arn.to_string(),
                    "target": member.key.id,
                    "address": member.address,
                    "zone": member.zone,
                    "state": health.state.name(),
                    "reason": health.reason.map(|reason| reason.name()),
                    "open": open,
                    "requests": requests,
                    "failed": counters.failed.get(),
                })
            })
        });
        json!({
            "listeners": listeners.collect::<Vec<_>>(),
            "targets": groups.collect::<Vec<_>>(),
        })
    }

    fn listener(&self, place: &Listening) -> Value {
        let listener = place.listener();
        let mut row = json!({
            "address": place.address,
            "balancer": place.balancer.row.arn.name,
            "balancer_arn": place.balancer.row.arn.to_string(),
            "zone": place.zone,
            "protocol": listener.protocol.name(),
        });
        let flows = self.flows.counts(place);
        if matches!(listener.protocol, Protocol::Http | Protocol::Https) {
            let counters = self.way.counters.listener(place.address);
            let classes = |of: &[Counter; 5]| of.iter().map(Counter::get).collect::<Vec<u64>>();
            let requests = counters.requests.get();
            row["requests"] = json!(requests);
            row["open"] = json!(requests.saturating_sub(counters.ended.get()));
            row["refused"] = json!(counters.refused.get());
            row["failed"] = json!(counters.failed.get());
            row["unserved"] = json!(counters.unserved.get());
            row["own_statuses"] = json!(classes(&counters.own));
            row["target_statuses"] = json!(classes(&counters.targets));
            row["bytes_in"] = json!(counters.received.get());
            row["bytes_out"] = json!(counters.sent.get());
        } else if listener.protocol == Protocol::Tls {
            let states = self.balancer.listeners();
            let found = states.iter().find(|state| state.address == place.address);
            if let Some(state) = found {
                let counts = &state.counts;
                row["requests"] = json!(counts.requests);
                row["open"] = json!(counts.open);
                row["refused"] = json!(counts.handshakes_failed);
                row["failed"] = json!(counts.failed_attempts);
            }
        } else if let Some(counts) = flows {
            row["requests"] = json!(counts.came);
            row["open"] = json!(counts.live());
            row["failed"] = json!(counts.failed_attempts);
            row["unserved"] = json!(counts.no_endpoint + counts.all_failed + counts.no_room);
            row["bytes_in"] = json!(counts.to_endpoint);
            row["bytes_out"] = json!(counts.to_client);
        }
        row
    }

    /// The figures as Prometheus reads them: what CloudWatch has of load balancers, by listener of
    /// a node, and how targets are.
    pub(super) fn metrics(&self) -> String {
        let counts = self.counts();
        let mut text = String::new();
        for (name, help, field) in FAMILIES {
            text.push_str(&format!("# HELP {name} {help}\n# TYPE {name} counter\n"));
            for row in counts["listeners"].as_array().into_iter().flatten() {
                let word = |name: &str| row[name].as_str().unwrap_or_default().to_owned();
                text.push_str(&format!(
                    "{name}{{region=\"{}\",balancer=\"{}\",listener=\"{}\",protocol=\"{}\"}} {}\n",
                    self.way.region,
                    word("balancer"),
                    word("address"),
                    word("protocol"),
                    row[field].as_u64().unwrap_or(0),
                ));
            }
        }
        let status = self.way.balancers.status();
        let name = "causeway_balancer_targets";
        let help = "Targets of load balancers, by what their health checks say.";
        text.push_str(&format!("# HELP {name} {help}\n# TYPE {name} gauge\n"));
        for (state, count) in [("healthy", status.healthy), ("other", status.others)] {
            let region = self.way.region;
            text.push_str(&format!(
                "{name}{{region=\"{region}\",state=\"{state}\"}} {count}\n"
            ));
        }
        text
    }
}

/// A family of counters: its name, what it is, and the figure of a listener.
type Family = (&'static str, &'static str, &'static str);

/// What is told of each listener.
const FAMILIES: [Family; 5] = [
    (
        "causeway_balancer_requests_total",
        "Requests and flows that came.",
        "requests",
    ),
    (
        "causeway_balancer_failed_attempts_total",
        "Attempts to reach a target that failed.",
        "failed",
    ),
    (
        "causeway_balancer_unserved_total",
        "Requests and flows for which there was no target, or none that could be reached.",
        "unserved",
    ),
    (
        "causeway_balancer_bytes_in_total",
        "Bytes from clients.",
        "bytes_in",
    ),
    (
        "causeway_balancer_bytes_out_total",
        "Bytes to clients.",
        "bytes_out",
    ),
];

//! The application's entry: what `up --app` makes in front of every Region's instances, so that one
//! address and one name survive a Region: a load balancer in each, an accelerator before all of
//! them, and a name that leads to it; through the public APIs, as anybody would, at each start what
//! isn't there yet. What somebody has changed of it since stays as it is.

mod accelerator;
mod balancer;
mod name;

use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, PoisonError};

use futures_util::future::join_all;
use serde::{Deserialize, Serialize};
use types::{AvailabilityZone, Environment, Monotonic, Region, SiteId, Span};

use super::Supervisor;
use crate::failure::Failure;
use crate::gameday::api::Api;

/// What everything of it is called.
const NAME: &str = "app";

/// The zone of its name; nobody's outside a lab (RFC 6761, section 6.2).
pub const ZONE: &str = "app.test";

/// How long after an attempt that failed the next one begins.
const PAUSE: Span = Span::milliseconds(200);

/// For how long it is tried.
const PATIENCE: Span = Span::seconds(120);

/// The entry, or how far it is.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct EntryReport {
    /// The accelerator's static addresses.
    pub addresses: Vec<IpAddr>,
    /// The port there.
    pub port: u16,
    /// The name that leads to them, once it does.
    pub name: Option<String>,
    /// The accelerator's own name.
    pub accelerator: Option<String>,
    /// Why something of it is missing.
    pub missing: Option<String>,
}

impl EntryReport {
    /// It for people, a line each.
    pub fn lines(&self) -> Vec<String> {
        let port = self.port;
        let urls = self.addresses.iter().map(|ip| match ip {
            IpAddr::V4(ip) => format!("http://{ip}:{port}"),
            IpAddr::V6(ip) => format!("http://[{ip}]:{port}"),
        });
        let urls: Vec<String> = urls.collect();
        let mut lines = Vec::new();
        if !urls.is_empty() {
            lines.push(format!("{}, through the nearest edge", urls.join(" and ")));
        }
        if let Some(name) = &self.name {
            lines.push(format!("http://{name}:{port}, by the lab's DNS"));
        }
        if let Some(missing) = &self.missing {
            lines.push(format!("not whole yet: {missing}"));
        }
        lines
    }
}

impl Supervisor {
    /// Makes the entry, if the lab has an application: tries until it is whole, or for two
    /// minutes. Call it once the front door is open.
    pub async fn keep_entry(self: Arc<Self>) {
        if self.app.is_none() {
            return;
        }
        let port = self.lab.settings.app_port;
        self.note_entry(EntryReport {
            port,
            missing: Some("it is being made".to_owned()),
            ..EntryReport::default()
        });
        if !self.lab.settings.has_edges() {
            self.note_entry(EntryReport {
                port,
                missing: Some("the lab has no edge: nobody carries flows".to_owned()),
                ..EntryReport::default()
            });
            return;
        }
        let end = self.environment.now().monotonic + PATIENCE;
        while !self.attempt_entry(end).await {
            let now = self.environment.now().monotonic;
            self.environment.sleep_until(now + PAUSE).await;
        }
    }

    /// One attempt. True: it is whole, or given up.
    async fn attempt_entry(&self, end: Monotonic) -> bool {
        let mut report = EntryReport {
            port: self.lab.settings.app_port,
            ..EntryReport::default()
        };
        let made = self.make_entry(&mut report).await;
        let is_over = self.environment.now().monotonic >= end;
        if let Err(failure) = &made {
            if is_over {
                tracing::warn!("the application's entry isn't whole: {failure}");
            }
            report.missing = Some(failure.to_string());
        }
        self.note_entry(report);
        made.is_ok() || is_over
    }

    async fn make_entry(&self, report: &mut EntryReport) -> Result<(), Failure> {
        let key = self.lab.root_key.clone();
        let api = Api::new(self.lab.endpoint()?, key, Arc::clone(&self.environment));
        let (mut endpoints, mut failed) = (Vec::new(), None);
        for (region, made) in self.make_balancers(&api).await {
            match made {
                Ok(balancer) => endpoints.push((region, balancer)),
                // The others are of use without it.
                Err(failure) => failed = Some(failure),
            }
        }
        let made = accelerator::make(&api, report.port, &endpoints).await?;
        report.addresses = made.addresses;
        report.accelerator = Some(made.name.clone());
        let reference = format!("{:016x}", self.environment.random());
        name::make(&api, &made.name, &reference).await?;
        report.name = Some(ZONE.to_owned());
        failed.map_or(Ok(()), Err)
    }

    /// Each Region's load balancer, by its ARN.
    async fn make_balancers(&self, api: &Api) -> Vec<(Region, Result<String, Failure>)> {
        let port = self.lab.settings.app_port;
        let deployment = self.lab.deployment();
        let made = deployment.regions().map(|(site, region)| async move {
            let instances = self.instances(site, region);
            (region, balancer::make(api, region, port, &instances).await)
        });
        join_all(made).await
    }

    /// Where that Region's instances are.
    fn instances(&self, site: SiteId, region: Region) -> Vec<(AvailabilityZone, SocketAddr)> {
        let letters = self.app.iter().flat_map(|app| app.zones.iter().copied());
        let instances = letters.map(|letter| {
            let zone = AvailabilityZone { region, letter };
            (zone, self.lab.instance_address(site, letter))
        });
        instances.collect()
    }

    fn note_entry(&self, report: EntryReport) {
        let mut entry = self.entry.lock().unwrap_or_else(PoisonError::into_inner);
        *entry = Some(report);
    }

    /// How far the entry is; none without an application.
    pub fn entry(&self) -> Option<EntryReport> {
        let entry = self.entry.lock();
        entry.unwrap_or_else(PoisonError::into_inner).clone()
    }
}

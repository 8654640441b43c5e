//! The steering part of one site: opened on what its disk holds, so that it answers at once with
//! nobody else there, and driven by its tasks.

use std::collections::BTreeMap;
use std::future::Future;
use std::net::{IpAddr, Ipv4Addr};
use std::pin::Pin;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use council::CouncilDriver;
use event_listener::Event;
use health::{Input, Monitor, MonitorConfig, SnapshotError, TargetPolicy};
use link::{Admission, Lane, Plain, Port, PortError, Service};
use routing::{Locator, Node};
use store::{Engine, ReadError, Snapshot, Space};
use types::{Deployment, Environment, HealthCheckId, Prober, Region, Site, SiteId};

use crate::accelerators::{Accelerators, AcceleratorsStatus};
use crate::balancers::{BALANCERS, Balancers, OpenBalancersError};
use crate::checking::{Checking, HEALTH, KEPT};
use crate::flow_logs::FlowLogs;
use crate::serving::{Heard, SERVING};

/// A task that runs as long as its site.
pub type Task = Pin<Box<dyn Future<Output = ()> + Send>>;

/// What the operator sets of a site's steering, and what makes its probes.
pub struct SteeringOptions {
    /// What the deployment sets for all health checks.
    pub health: health::Settings,
    /// What health checks may look at.
    pub targets: TargetPolicy,
    /// Where clients are.
    pub locator: Locator,
    /// The sites' own addresses, as `GetHealthCheckStatus` gives the checkers'.
    pub addresses: BTreeMap<SiteId, IpAddr>,
    /// Makes the probes.
    pub prober: Arc<dyn Prober>,
}

/// Why a site's steering could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The site isn't of the deployment.
    #[error("site {} is not of this deployment", .0.0)]
    UnknownSite(SiteId),
    /// What was kept can't be read from the disk.
    #[error("the last known health statuses can't be read: {0}")]
    Read(#[from] ReadError),
    /// What was kept makes no sense.
    #[error(transparent)]
    Kept(#[from] SnapshotError),
    /// What was kept of load balancers can't be used.
    #[error(transparent)]
    Balancers(#[from] OpenBalancersError),
}

/// A running site's steering.
pub struct Steering<E: Engine> {
    pub(crate) deployment: Deployment,
    pub(crate) site: Site,
    addresses: BTreeMap<SiteId, IpAddr>,
    pub(crate) environment: Arc<dyn Environment>,
    pub(crate) engine: E,
    pub(crate) council: Arc<CouncilDriver<E>>,
    pub(crate) ports: BTreeMap<SiteId, Arc<Port>>,
    pub(crate) admission: Admission,
    pub(crate) prober: Arc<dyn Prober>,
    pub(crate) node: Node,
    pub(crate) accelerators: Accelerators,
    pub(crate) balancers: Balancers,
    pub(crate) flow_logs: FlowLogs,
    /// Rings when another snapshot is served.
    pub(crate) swapped: Event,
    /// Rings when a link came, went, or came anew.
    pub(crate) links_changed: Event,
    pub(crate) checking: Checking,
    pub(crate) served: Mutex<BTreeMap<SiteId, Heard>>,
}

/// Faults of the configuration that a status names.
pub const MAX_FAULTS: usize = 16;

/// How a site's steering is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SteeringStatus {
    /// The revision of the configuration that answers follow.
    pub revision: u64,
    /// Zones.
    pub zones: usize,
    /// Record sets in them.
    pub records: usize,
    /// What of the configuration can't be served, a text each; the first [`MAX_FAULTS`].
    pub faults: Vec<String>,
    /// Every health check, and whether it is healthy here.
    pub health: Vec<(HealthCheckId, bool)>,
    /// Its accelerators.
    pub accelerators: AcceleratorsStatus,
}

/// Sees whether the health lane to a peer came, went, or came anew.
#[derive(Default)]
pub struct LinkWatch(Option<u64>);

impl LinkWatch {
    /// Has it, since it was looked at last?
    pub fn has_changed(&mut self, port: &Port) -> bool {
        let now = generation(port);
        std::mem::replace(&mut self.0, now) != now
    }
}

/// Which connection the health lane has, if any.
pub(crate) fn generation(port: &Port) -> Option<u64> {
    let connected = port.is_connected(Lane::Health);
    connected.then(|| port.generation(Lane::Health.class()))
}

impl<E: Engine> Steering<E> {
    /// Opens the steering of that site of the deployment, on what its disk holds.
    ///
    /// # Errors
    /// The site isn't of the deployment, or the statuses it kept can't be read.
    pub async fn open(
        engine: E,
        council: Arc<CouncilDriver<E>>,
        (deployment, site): (Deployment, SiteId),
        options: SteeringOptions,
        environment: Arc<dyn Environment>,
        ports: BTreeMap<SiteId, Arc<Port>>,
    ) -> Result<Arc<Steering<E>>, OpenError> {
        let site = deployment.site(site).ok_or(OpenError::UnknownSite(site))?;
        let snapshot = engine.snapshot();
        let kept = snapshot.get(Space::Meta, KEPT.as_bytes()).await?;
        let balancers = Balancers::open(&snapshot, &deployment).await?;
        drop(snapshot);
        let now = environment.now();
        let monitor = MonitorConfig {
            site: site.id,
            instance: now.wall.0,
            seed: environment.random(),
            settings: options.health,
            policy: options.targets,
        };
        let monitor = Monitor::new(now, monitor, kept.as_deref())?;
        let settings = council.settings();
        let steering = Steering {
            deployment,
            site,
            addresses: options.addresses,
            environment,
            engine,
            council,
            ports,
            admission: Admission::open(),
            prober: options.prober,
            node: Node::new(options.locator),
            accelerators: Accelerators::default(),
            balancers,
            flow_logs: FlowLogs::default(),
            swapped: Event::new(),
            links_changed: Event::new(),
            checking: Checking::new(monitor),
            served: Mutex::default(),
        };
        steering.serve(settings.as_ref());
        Ok(Arc::new(steering))
    }

    /// What goes on in it by itself: each is to be run at the same time as the others, until the
    /// process ends.
    pub fn tasks(self: &Arc<Self>) -> Vec<Task> {
        let mut tasks: Vec<Task> = vec![
            Box::pin(self.clone().follow_configuration()),
            Box::pin(self.clone().check()),
            Box::pin(self.clone().keep_statuses()),
            Box::pin(self.clone().keep_balancers()),
        ];
        tasks.push(match self.site.name.region() {
            Some(region) => Box::pin(self.clone().tell_balancers(region)),
            None => Box::pin(self.clone().announce()),
        });
        tasks
    }

    /// Takes what arrived in the health lane for one of its services; false if it is for none.
    pub fn receive(&self, from: SiteId, service: Service, payload: Bytes) -> bool {
        match service {
            HEALTH => self.checking.hand(Input::Received(from, payload)),
            SERVING => self.heard_serving(from, &payload),
            BALANCERS => self.heard_of_balancers(from, &payload),
            _ => return false,
        }
        true
    }

    /// Is to be called when a [`LinkWatch`] has seen that a link came or went.
    pub fn look_at_links(&self) {
        self.checking.ring();
    }

    /// What it answers from.
    pub fn node(&self) -> &Node {
        &self.node
    }

    /// The Region in whose metropolitan area that site stands.
    pub fn place_of(&self, site: SiteId) -> Option<Region> {
        self.deployment.site(site).map(|site| site.place)
    }

    /// That site's own address; 0.0.0.0 if nobody has said.
    pub fn address_of(&self, site: SiteId) -> IpAddr {
        let nobody = Ipv4Addr::UNSPECIFIED.into();
        self.addresses.get(&site).copied().unwrap_or(nobody)
    }

    pub(crate) fn send(&self, to: SiteId, service: Service, payload: Bytes) {
        let Some(port) = self
            .ports
            .get(&to)
            .filter(|port| port.is_connected(Lane::Health))
        else {
            return;
        };
        let now = self.environment.now().monotonic;
        let sent = Plain::new(port.peer(), Lane::Health, service, "", payload)
            .map_err(PortError::from)
            .and_then(|plain| port.send(now, &self.admission, plain));
        if let Err(error) = sent {
            // All services repeat themselves; a lost message is the link's contract.
            tracing::trace!(peer = %port.peer(), %error, "a note in the health lane was not sent");
        }
    }
}

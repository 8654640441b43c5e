//! The process of one site: opens what the site is made of, drives its links, serves its API,
//! and does what the supervisor says over the pipe. It outlives its supervisor by nothing.

mod alarms;
mod app;
mod balancers;
mod bytes;
mod certificate;
mod database;
mod databases;
mod dns;
mod edge;
mod flow_logs;
mod flows;
mod gzip;
mod operations;
mod region;
mod steering;
mod tokens;
mod webhooks;
mod zones;

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::{Arc, OnceLock, Weak};
use std::time::Duration;

use link::{Lane, Link, LinkConfig, Port, Windows};
use runtime::{
    Handler, HttpLimits, HttpServer, LinkPeer, Links, PipeServer, SystemEnvironment, listen,
    listen_beside,
};
use serde_json::Value;
use tokio::sync::{mpsc, watch};
use types::{ByteSize, Environment, SiteId, SiteName, Span, ZoneLetter};

pub use database::open_store;

use crate::failure::Failure;
use crate::lab::server_tls;
use crate::protocol::{
    Conditions, LinkCrossing, LinkState, Question, Secrets, SiteCommand, SiteConfig, SiteEvent,
};

/// The limits of a Region's API. The body is DynamoDB's largest request, 16 MiB (of
/// BatchWriteItem), and a little for what surrounds it.
pub const API_LIMITS: HttpLimits = HttpLimits {
    body: ByteSize(ByteSize::mib(16).0 + ByteSize::kib(64).0),
    bodies: ByteSize::mib(256),
    head: ByteSize::kib(64),
    head_wait: Duration::from_secs(60),
    body_wait: Duration::from_secs(60),
    body_stall: Duration::from_secs(20),
    answer_stall: Duration::from_secs(30),
    connections: 4096,
    drain: Duration::from_secs(5),
};

/// The age at which a connection is replaced, so that a rotated certificate is in use everywhere
/// soon after.
const MAXIMUM_AGE: Span = Span::seconds(600);

/// A boxed future.
pub type Task<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// What a site process runs: a Region or an edge.
pub trait Site: runtime::Service {
    /// What goes on in it by itself. When one of them ends, the process does.
    fn tasks(&self) -> Vec<(&'static str, Task<'static, ()>)>;

    /// Ends when the process may end because a signal asked it to; never, where signals end it by
    /// themselves.
    fn leaves(&self) -> Task<'_, ()>;

    /// Those zones of the Region are down, and no others: nothing of it may serve there.
    fn set_zones_down(&self, zones: &BTreeSet<ZoneLetter>);

    /// Ends in order what would be the worse for being killed; must be done within 10 s.
    fn stop(&self) -> Task<'_, ()>;

    /// Answers a question.
    fn answer(&self, question: Question) -> Task<'_, Result<Value, String>>;
}

/// The whole life of a Region's process.
pub fn run_region(config: &Path) -> Result<(), Failure> {
    run(config, async |config, environment, ports, secrets| {
        let secrets = told(secrets).await?;
        region::RegionSite::open(config, environment, ports, &secrets).await
    })
}

/// The whole life of an edge's process.
pub fn run_edge(config: &Path) -> Result<(), Failure> {
    let handed = runtime::handed_over().map_err(Failure::did_not_hold)?;
    run(config, async |config, environment, ports, _| {
        edge::EdgeSite::open(config, environment, ports, handed).await
    })
}

type Ports = BTreeMap<SiteId, Arc<Port>>;

/// What the supervisor says that only processes know, once it has.
type Told = watch::Receiver<Option<Secrets>>;

/// Waits until the supervisor has said it.
async fn told(mut secrets: Told) -> Result<Secrets, Failure> {
    let known = secrets.wait_for(Option::is_some).await;
    let known = known.ok().and_then(|known| known.clone());
    known.ok_or_else(|| Failure::did_not_hold("the supervisor is gone"))
}

fn run<S: Site>(
    config: &Path,
    open: impl AsyncFnOnce(&SiteConfig, &Arc<SystemEnvironment>, Ports, Told) -> Result<S, Failure>,
) -> Result<(), Failure> {
    let config = SiteConfig::read(config)?;
    let environment = Arc::new(SystemEnvironment::new());
    environment.set_wall_offset(config.clock_offset_milliseconds);
    let ended = runtime::run(crate::worker_threads(), async {
        let (commands, stops) = mpsc::channel(1);
        let (secrets, told) = watch::channel(None);
        let ports = make_ports(&config, &environment)?;
        let desk = Arc::new(Desk {
            environment: Arc::clone(&environment),
            stops: commands,
            secrets,
            name: config.site,
            directory: config.directory.clone(),
            ports: ports.values().cloned().collect(),
            serving: OnceLock::new(),
        });
        let pipe = PipeServer::start(Arc::clone(&desk)).map_err(anyhow::Error::from)?;
        let opened = open(&config, &environment, ports, told).await;
        let served = match opened {
            Ok(site) => serve(&config, Arc::new(site), &desk, &pipe, stops).await,
            Err(failure) => Err(failure),
        };
        if let Err(failure) = &served {
            tracing::error!(%failure, "the site can't start");
            pipe.event(json(&SiteEvent::Failed(failure.clone())));
        }
        served
    });
    ended.map_err(anyhow::Error::from)?
}

async fn serve<S: Site>(
    config: &SiteConfig,
    site: Arc<S>,
    desk: &Desk<S>,
    pipe: &PipeServer,
    mut stops: mpsc::Receiver<()>,
) -> Result<(), Failure> {
    let links_listener = listen(config.link).map_err(Failure::wrong_use)?;
    let identity = certificate::read(config.site, &config.directory)?;
    let environment: Arc<dyn Environment> = desk.environment.clone();
    let links = Links::start(
        links_listener,
        &identity,
        peers(config, &desk.ports),
        environment,
    )
    .map_err(Failure::wrong_use)?;
    let links = Arc::new(links);
    for (name, task) in site.tasks() {
        runtime::spawn_vital(name, task);
    }
    let server = match config.site {
        SiteName::Region(_) => {
            let tls = config.tls.as_ref().map(server_tls).transpose()?;
            // The front door may listen on every address of the machine, this one among them.
            let listener = listen_beside(config.api).map_err(Failure::wrong_use)?;
            let server = HttpServer::start(listener, tls, Arc::clone(&site), API_LIMITS);
            Some(server.map_err(anyhow::Error::from)?)
        }
        SiteName::Edge(_) => None,
    };
    let serving = Serving {
        site: Arc::clone(&site),
        links: Arc::downgrade(&links),
    };
    let is_first = desk.serving.set(serving).is_ok();
    assert!(is_first, "a process runs one site");
    pipe.event(json(&SiteEvent::Ready));
    tracing::info!(site = %config.site, "ready");
    // Ends when the supervisor says so; its death ends this process by other means.
    tokio::select! {
        _ = stops.recv() => {}
        () = site.leaves() => {}
    }
    let api = async {
        if let Some(server) = server {
            server.stop().await;
        }
    };
    tokio::join!(api, site.stop());
    drop(links);
    // What was acknowledged is on disk: there is nothing else to put in order.
    tracing::info!(site = %config.site, "stopped");
    Ok(())
}

/// A port for each peer, with the shape it starts with.
fn make_ports(config: &SiteConfig, environment: &SystemEnvironment) -> Result<Ports, Failure> {
    let now = environment.now().monotonic;
    let mut ports = BTreeMap::new();
    for peer in &config.peers {
        let site = config
            .deployment
            .named(peer.site)
            .ok_or_else(|| Failure::wrong_use(format!("{} is not of the deployment", peer.site)))?;
        let settings = LinkConfig {
            local: config.site,
            peer: peer.site,
            windows: Windows::STANDARD,
            maximum_age: MAXIMUM_AGE,
            seed: environment.random(),
        };
        let port = Port::new(peer.site, Link::new(now, settings));
        port.set_shape(now, peer.shape);
        ports.insert(site.id, Arc::new(port));
    }
    Ok(ports)
}

fn peers(config: &SiteConfig, ports: &[Arc<Port>]) -> Vec<LinkPeer> {
    let address = |port: &Port| {
        let peer = config.peers.iter().find(|peer| peer.site == port.peer());
        peer.expect("each port was made of a peer").link
    };
    let peers = ports.iter().map(|port| LinkPeer {
        port: Arc::clone(port),
        address: address(port),
    });
    peers.collect()
}

fn json(value: &impl serde::Serialize) -> Value {
    serde_json::to_value(value).expect("plain values have a JSON form")
}

// === What the supervisor asks ===

/// Answers the supervisor.
struct Desk<S> {
    environment: Arc<SystemEnvironment>,
    stops: mpsc::Sender<()>,
    secrets: watch::Sender<Option<Secrets>>,
    name: SiteName,
    directory: PathBuf,
    ports: Vec<Arc<Port>>,
    /// Set once the site serves.
    serving: OnceLock<Serving<S>>,
}

/// What there is to answer for, once the site serves.
struct Serving<S> {
    site: Arc<S>,
    /// The links end with the site's life, not with the desk's.
    links: Weak<Links>,
}

impl<S: Site> Desk<S> {
    async fn carry_out(&self, command: SiteCommand) -> Result<Value, String> {
        if let SiteCommand::Open { secrets } = command {
            self.secrets.send_replace(Some(secrets));
            return Ok(Value::Null);
        }
        let Serving { site, links } = self.serving.get().ok_or("the site is still starting")?;
        match command {
            SiteCommand::Open { .. } => Ok(Value::Null),
            SiteCommand::Stop => {
                // A second one finds the first still waiting: that is enough.
                self.stops.try_send(()).ok();
                Ok(Value::Null)
            }
            SiteCommand::Conditions(conditions) => {
                self.set(&conditions);
                site.set_zones_down(&conditions.zones_down);
                Ok(Value::Null)
            }
            SiteCommand::Links => Ok(json(&self.links())),
            SiteCommand::Rotate => {
                let links = links.upgrade().ok_or("the site is stopping")?;
                let rotated = certificate::rotate(&links, self.name, &self.directory);
                rotated.map(|certificate| json(&certificate))
            }
            SiteCommand::Ask { question } => site.answer(question).await,
        }
    }

    fn set(&self, conditions: &Conditions) {
        let now = self.environment.now().monotonic;
        for (peer, shape) in &conditions.shapes {
            if let Some(port) = self.ports.iter().find(|port| port.peer() == *peer) {
                port.set_shape(now, *shape);
            }
        }
        let offset = conditions.clock_offset_milliseconds;
        self.environment.set_wall_offset(offset);
    }

    fn links(&self) -> Vec<LinkState> {
        let now = self.environment.now().monotonic;
        let states = self.ports.iter().map(|port| link_state(port, now));
        states.collect()
    }
}

impl<S: Site> Handler for Desk<S> {
    fn handle(self: Arc<Self>, request: Value) -> Task<'static, Result<Value, String>> {
        Box::pin(async move {
            let command = serde_json::from_value(request);
            let command = command.map_err(|cause| format!("that is no command: {cause}"))?;
            self.carry_out(command).await
        })
    }
}

fn link_state(port: &Port, now: types::Monotonic) -> LinkState {
    let traffic = port.traffic();
    let lanes = [Lane::Council, Lane::Changes, Lane::Snapshot];
    let crossings = traffic.crossings.iter().map(|crossing| LinkCrossing {
        lane: crossing.lane,
        service: crossing.service.0,
        resource: crossing.resource.clone(),
        envelopes: crossing.envelopes,
        records: crossing.records,
        payload_bytes: crossing.payload_bytes,
        framed_bytes: crossing.framed_bytes,
    });
    LinkState {
        from: traffic.from,
        to: traffic.to,
        connected: lanes.iter().all(|lane| port.is_connected(*lane)),
        shape: port.shape(),
        peer_certificates: port.peer_certificates(),
        round_trip_milliseconds: port.round_trip().map(types::Span::as_milliseconds),
        heard_milliseconds_ago: port
            .peer_last_heard()
            .map(|heard| (now - heard).as_milliseconds()),
        crossings: crossings.collect(),
        overhead_bytes: traffic.overhead_bytes,
    }
}

//! The process of one site: opens what the site is made of, drives its links, serves its API,
//! and does what the supervisor says over the pipe. It outlives its supervisor by nothing.

mod bare;

use std::future::Future;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use link::certificate::Identity;
use link::{Lane, Port};
use runtime::{
    Handler, HttpLimits, HttpServer, LinkPeer, Links, PipeServer, SystemEnvironment, listen,
};
use serde_json::Value;
use tokio::sync::mpsc;
use types::{ByteSize, Environment, SiteName};

use crate::failure::Failure;
use crate::files;
use crate::protocol::{
    Conditions, LinkCrossing, LinkState, Question, SiteCommand, SiteConfig, SiteEvent,
};

/// The limits of a Region's API. The body is DynamoDB's largest request, 16 MiB (of
/// BatchWriteItem), and a little for what surrounds it.
pub const API_LIMITS: HttpLimits = HttpLimits {
    body: ByteSize(ByteSize::mib(16).0 + ByteSize::kib(64).0),
    bodies: ByteSize::mib(256),
    head: ByteSize::kib(64),
    head_wait: Duration::from_secs(60),
    body_wait: Duration::from_secs(60),
    connections: 4096,
    drain: Duration::from_secs(5),
};

/// A boxed future.
pub type Task<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// What a site process runs: a Region or an edge.
pub trait Site: runtime::Service {
    /// The ports of its links, one for each peer.
    fn ports(&self) -> Vec<Arc<Port>>;

    /// What goes on in it by itself. None of them ends while the site lives.
    fn tasks(self: Arc<Self>) -> Vec<(&'static str, Task<'static, ()>)>;

    /// Answers a question.
    fn answer(&self, question: Question) -> Task<'_, Result<Value, String>>;

    /// Called last: everything acknowledged is on disk already; what remains is to close files.
    fn close(&self) -> Task<'_, ()>;
}

/// The whole life of a Region's process.
pub fn run_region(config: &Path) -> Result<(), Failure> {
    run(config)
}

/// The whole life of an edge's process.
pub fn run_edge(config: &Path) -> Result<(), Failure> {
    run(config)
}

fn run(config: &Path) -> Result<(), Failure> {
    let config = SiteConfig::read(config)?;
    let environment = Arc::new(SystemEnvironment::new());
    environment.set_wall_offset(config.clock_offset_milliseconds);
    let ended = runtime::run(crate::worker_threads(), async {
        let (commands, stops) = mpsc::channel(1);
        let desk = Arc::new(Desk::new(Arc::clone(&environment), commands));
        let pipe = PipeServer::start(Arc::clone(&desk)).map_err(anyhow::Error::from)?;
        let served = serve(&config, &environment, &desk, &pipe, stops).await;
        if let Err(failure) = &served {
            tracing::error!(%failure, "the site can't start");
            pipe.event(json(&SiteEvent::Failed(failure.clone())));
        }
        served
    });
    ended.map_err(anyhow::Error::from)?
}

async fn serve(
    config: &SiteConfig,
    environment: &Arc<SystemEnvironment>,
    desk: &Desk,
    pipe: &PipeServer,
    mut stops: mpsc::Receiver<()>,
) -> Result<(), Failure> {
    let links_listener = listen(config.link).map_err(Failure::wrong_use)?;
    let identity = read_identity(config)?;
    let site = Arc::new(bare::Bare::open(config, environment.clone()));
    let peers = connect(config, environment, &site.ports())?;
    let links = Links::start(links_listener, &identity, peers, environment.clone())
        .map_err(Failure::wrong_use)?;
    for (name, task) in Arc::clone(&site).tasks() {
        runtime::spawn_vital(name, task);
    }
    let server = match config.site {
        SiteName::Region(_) => {
            let listener = listen(config.api).map_err(Failure::wrong_use)?;
            let server = HttpServer::start(listener, Arc::clone(&site), API_LIMITS);
            Some(server.map_err(anyhow::Error::from)?)
        }
        SiteName::Edge(_) => None,
    };
    desk.open(Arc::clone(&site));
    pipe.event(json(&SiteEvent::Ready));
    tracing::info!(site = %config.site, "ready");
    // Ends when the supervisor says so; its death ends this process by other means.
    stops.recv().await;
    if let Some(server) = server {
        server.stop().await;
    }
    drop(links);
    site.close().await;
    tracing::info!(site = %config.site, "stopped");
    Ok(())
}

/// Gives each port the shape it starts with and the address of its peer.
fn connect(
    config: &SiteConfig,
    environment: &SystemEnvironment,
    ports: &[Arc<Port>],
) -> Result<Vec<LinkPeer>, Failure> {
    let mut peers = Vec::new();
    for port in ports {
        let peer = config.peers.iter().find(|peer| peer.site == port.peer());
        let peer = peer.ok_or_else(|| {
            Failure::wrong_use(format!("the configuration names no peer {}", port.peer()))
        })?;
        port.set_shape(environment.now().monotonic, peer.shape);
        peers.push(LinkPeer {
            port: Arc::clone(port),
            address: peer.link,
        });
    }
    Ok(peers)
}

fn read_identity(config: &SiteConfig) -> Result<Identity, Failure> {
    let read = |name: &str| files::read(&config.directory.join(name));
    let authorities = read("authorities.pem")?;
    let certificate = read("certificate.pem")?;
    let key = zeroize::Zeroizing::new(read("key.pem")?);
    Identity::from_pem(config.site, &authorities, &certificate, &key).map_err(Failure::wrong_use)
}

fn json(value: &impl serde::Serialize) -> Value {
    serde_json::to_value(value).expect("plain values have a JSON form")
}

// === What the supervisor asks ===

/// Answers the supervisor.
struct Desk {
    environment: Arc<SystemEnvironment>,
    stops: mpsc::Sender<()>,
    site: std::sync::OnceLock<Arc<bare::Bare>>,
}

impl Desk {
    fn new(environment: Arc<SystemEnvironment>, stops: mpsc::Sender<()>) -> Desk {
        Desk {
            environment,
            stops,
            site: std::sync::OnceLock::new(),
        }
    }

    /// From here on questions are answered.
    fn open(&self, site: Arc<bare::Bare>) {
        assert!(self.site.set(site).is_ok(), "a process runs one site");
    }

    async fn carry_out(&self, command: SiteCommand) -> Result<Value, String> {
        let site = self.site.get().ok_or("the site is still starting")?;
        match command {
            SiteCommand::Stop => {
                // A second one finds the first still waiting: that is enough.
                self.stops.try_send(()).ok();
                Ok(Value::Null)
            }
            SiteCommand::Conditions(conditions) => {
                self.set(&site.ports(), &conditions);
                Ok(Value::Null)
            }
            SiteCommand::Links => Ok(json(&self.links(&**site))),
            SiteCommand::Ask { question } => site.answer(question).await,
        }
    }

    fn set(&self, ports: &[Arc<Port>], conditions: &Conditions) {
        let now = self.environment.now().monotonic;
        for (peer, shape) in &conditions.shapes {
            if let Some(port) = ports.iter().find(|port| port.peer() == *peer) {
                port.set_shape(now, *shape);
            }
        }
        let offset = conditions.clock_offset_milliseconds;
        self.environment.set_wall_offset(offset);
    }

    fn links(&self, site: &impl Site) -> Vec<LinkState> {
        let now = self.environment.now().monotonic;
        let ports = site.ports();
        ports.iter().map(|port| link_state(port, now)).collect()
    }
}

impl Handler for Desk {
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
        round_trip_milliseconds: port.round_trip().map(types::Span::as_milliseconds),
        heard_milliseconds_ago: port
            .peer_last_heard()
            .map(|heard| (now - heard).as_milliseconds()),
        crossings: crossings.collect(),
        overhead_bytes: traffic.overhead_bytes,
    }
}

//! An edge as a site process runs it: its DNS servers and its flows over its steering, and what the
//! operator asks about it. It answers and carries by its own disk before any link is up.

use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use edge::{Edge, EdgeConfig};
use http::request::Parts;
use http::{Request, Response, StatusCode};
use link::Port;
use runtime::{
    DnsAddress, Refusal, Service, SystemEnvironment, TcpLimits, TcpServer, Termination, UdpOptions,
    UdpServer,
};
use serde_json::{Value, json};
use store::EmbeddedEngine;
use types::{Environment, Geography, SiteId, Span, ZoneLetter};

use super::database::open_engine;
use super::dns::{Answers, explain};
use super::flows::{EdgeFlows, Surroundings};
use super::{Site, Task};
use crate::drain::{self, Record};
use crate::failure::Failure;
use crate::protocol::{DnsAddresses, Question, SiteConfig};

/// How UDP is served: a thread at each address, where the scheduler wants it, since a lab shares
/// its machine with all of its sites and the application.
const UDP: UdpOptions = UdpOptions {
    threads: 1,
    pinned: false,
};

/// How long whoever holds the addresses may take to hear that this edge leaves and to hand over
/// what it had accepted before: it does nothing else that takes time.
const HEARD: Span = Span::milliseconds(500);

/// How long its disk may take to note that it ends, before it leaves all the same.
const NOTED: Duration = Duration::from_secs(1);

/// How long Regions may take to take over the flow logs of an edge that has drained and ends.
const LAST_LOGS: Span = Span::seconds(15);

/// An edge in its process.
pub(super) struct EdgeSite {
    environment: Arc<SystemEnvironment>,
    /// Its own, where it says that it drains.
    directory: PathBuf,
    edge: Arc<Edge<EmbeddedEngine>>,
    addresses: DnsAddresses,
    datagrams: UdpServer,
    connections: TcpServer,
    flows: EdgeFlows,
}

impl EdgeSite {
    /// Opens the edge on the database in its directory, and answers from then on. `handed`: by
    /// what it stands behind static addresses that the supervisor holds; with nothing, it listens
    /// on them itself.
    pub(super) async fn open(
        config: &SiteConfig,
        environment: &Arc<SystemEnvironment>,
        ports: BTreeMap<SiteId, Arc<Port>>,
        handed: Vec<OwnedFd>,
    ) -> Result<EdgeSite, Failure> {
        let settings = EdgeConfig {
            deployment: config.deployment.clone(),
            site: config.id()?,
            largest_round_trip: config.largest_round_trip(),
            steering: super::steering::options(config)?,
        };
        let addresses = config
            .dns
            .ok_or_else(|| Failure::wrong_use("an edge needs addresses for DNS"))?;
        let clocks: Arc<dyn Environment> = environment.clone();
        let edge = Edge::open(open_engine(config).await?, settings, clocks, ports).await;
        let edge = edge.map_err(Failure::did_not_hold)?;
        let site = config.deployment.named(config.site);
        let place = site.map(|site| site.place);
        let place = place.ok_or_else(|| Failure::wrong_use("the edge is of no deployment"))?;
        let scale = config.delay_scale;
        let surroundings = Surroundings {
            edge: config.site,
            place,
            geography: Geography { scale },
            flow_log_interval: config.flow_log_interval_milliseconds,
            environment: environment.clone(),
        };
        let flows = EdgeFlows::start(edge.steering(), surroundings, handed)?;
        let answers = Arc::new(Answers::of(edge.steering(), environment.random()));
        let at = [
            DnsAddress::open(addresses.address),
            DnsAddress::relayed(addresses.relayed, vec![addresses.relay]),
        ];
        let datagrams = UdpServer::start(&at, UDP, Arc::clone(&answers));
        let connections = TcpServer::start(&at, TcpLimits::MODEST, answers);
        Ok(EdgeSite {
            environment: Arc::clone(environment),
            directory: config.directory.clone(),
            edge,
            addresses,
            datagrams: datagrams.map_err(Failure::wrong_use)?,
            connections: connections.map_err(Failure::wrong_use)?,
            flows,
        })
    }

    /// Gives up what is new and waits for what it has, for as long as a drain takes unless another
    /// span is asked for.
    async fn drain(&self) {
        match runtime::within(NOTED, self.note_drain()).await {
            Some(Ok(())) => {}
            Some(Err(cause)) => {
                tracing::error!("whoever announces this edge isn't told that it ends: {cause:#}");
            }
            None => tracing::error!(
                "whoever announces this edge isn't told that it ends: the disk of its directory \
                 hangs"
            ),
        }
        tokio::select! {
            never = self.keep_noted() => match never {},
            () = self.leave() => {}
        }
        let files = self.flows.logs().finish(LAST_LOGS).await;
        if files > 0 {
            tracing::error!(files, "flow logs are lost: no Region took them in time");
        }
    }

    async fn leave(&self) {
        if !drain::withdrawn(&self.directory, &*self.environment).await {
            tracing::error!("this edge ends though its addresses are still announced");
        }
        self.flows.leave();
        let until = self.environment.now().monotonic + drain::USUAL.into();
        loop {
            let now = self.environment.now().monotonic;
            // First: what was handed over before the holder heard it has come by the next time.
            self.environment.sleep_until(now + HEARD).await;
            let left = self.flows.here().here;
            if left == 0 || now >= until {
                tracing::info!(left, "drained");
                break;
            }
        }
    }

    /// Says so again and again, from before it is withdrawn: who undrains it just now doesn't know
    /// yet that it ends. A disk that hangs holds up only this.
    async fn keep_noted(&self) -> Infallible {
        loop {
            if let Err(cause) = self.note_drain().await {
                tracing::debug!("whoever announces this edge may announce it: {cause:#}");
            }
            let next = self.environment.now().monotonic + drain::EVERY;
            self.environment.sleep_until(next).await;
        }
    }

    /// Says so in its directory, unless the operator had it drained before.
    async fn note_drain(&self) -> anyhow::Result<()> {
        let directory = self.directory.clone();
        runtime::blocking(move || Record::note_signal(&directory)).await
    }

    fn status(&self) -> Value {
        let status = self.edge.status();
        let council = &status.council;
        let mut alarms = Vec::new();
        if !council.majority {
            alarms.push(
                "no majority of sites is heard: DNS and flows go on as they last were".to_owned(),
            );
        }
        let faults = status.steering.faults.iter();
        let faults = faults.chain(&status.steering.accelerators.faults);
        alarms.extend(faults.map(|fault| format!("not served: {fault}")));
        alarms.extend(self.flows.logs().trouble());
        let counts = self.datagrams.counts().plus(self.connections.counts());
        json!({
            "council": {
                "role": format!("{:?}", council.role).to_lowercase(),
                "term": council.term,
                "revision": council.revision,
                "majority": council.majority,
            },
            "dns": {
                "address": self.addresses.address,
                "queries": counts.queries,
                "answers": counts.answers,
                "silent": counts.silent,
                "unreadable": counts.unreadable,
                "unsent": counts.unsent,
                "lost": counts.lost,
            },
            "routing": super::dns::status(&status.steering),
            "accelerators": super::flows::status(&status.steering.accelerators),
            "flows": self.flows.status(),
            "put_aside": status.put_aside,
            "alarms": alarms,
        })
    }
}

impl Service for EdgeSite {
    /// An edge has no API, so this is never asked.
    async fn call(&self, _client: SocketAddr, _request: Request<Bytes>) -> Response<Bytes> {
        let text = format!(
            "{} answers DNS, carries flows, and has no API\n",
            self.edge.name()
        );
        let mut response = Response::new(Bytes::from(text));
        *response.status_mut() = StatusCode::NOT_IMPLEMENTED;
        response
    }

    fn refuse(&self, _head: Option<&Parts>, refusal: Refusal) -> Response<Bytes> {
        crate::supervisor::refusal_response(refusal)
    }
}

impl Site for EdgeSite {
    fn tasks(&self) -> Vec<(&'static str, Task<'static, ()>)> {
        let edge = Arc::clone(&self.edge);
        let failed: Task<'static, ()> = Box::pin(async move {
            let reason = edge.failed().await;
            tracing::error!(reason, "this edge can't go on");
        });
        let tasks = self.edge.tasks().into_iter();
        let tasks = tasks.map(|task| ("edge", task));
        let logs = self.flows.logs().tasks();
        tasks.chain(logs).chain([("failure", failed)]).collect()
    }

    /// Ends when it has drained after a signal; at once after a second one.
    fn leaves(&self) -> Task<'_, ()> {
        Box::pin(async move {
            let mut termination = match Termination::listen() {
                Ok(termination) => termination,
                Err(cause) => {
                    tracing::error!(%cause, "signals end this edge without draining it");
                    return std::future::pending().await;
                }
            };
            let signal = termination.next().await;
            tracing::info!("{signal}: draining (again: at once)");
            tokio::select! {
                () = self.drain() => {}
                signal = termination.next() => tracing::info!("{signal}: at once"),
            }
        })
    }

    /// An edge is in no zone.
    fn set_zones_down(&self, _zones: &BTreeSet<ZoneLetter>) {}

    fn stop(&self) -> Task<'_, ()> {
        Box::pin(std::future::ready(()))
    }

    fn answer(&self, question: Question) -> Task<'_, Result<Value, String>> {
        Box::pin(async move {
            match question {
                Question::Status => Ok(self.status()),
                Question::Explain(question) => explain(self.edge.steering(), &question),
                Question::ExplainFlow(question) => self.flows.explain(&question),
                Question::Flows => Ok(self.flows.counts()),
                Question::FlowsHere => Ok(json!(self.flows.here())),
                Question::Metrics => Ok(json!(self.flows.metrics(self.edge.name()))),
                other => Err(format!("an edge has no answer about {other:?}")),
            }
        })
    }
}

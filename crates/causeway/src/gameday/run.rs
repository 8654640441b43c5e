//! One game day from nothing to nothing: the lab is started, the scenario deployed, the load run
//! and watched while its steps are carried out, the rest measured when it is over, and everything
//! stopped. A signal ends it at any time, and leaves nothing behind either.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::sync::Arc;

use futures_util::future::FutureExt;
use gameday::{EventKind, Observations, Plan, Request};
use runtime::{SystemEnvironment, Termination};
use serde_json::Value;
use types::{Environment, Geography, Region, Span};

use super::databases::MadeCluster;
use super::deploy::{Deployed, Deployment};
use super::lab::TestLab;
use super::load::{Database, Loads, Network, UNDER_WAY, Way};
use super::progress::Progress;
use super::recorder::Recorder;
use super::steps::Steps;
use super::tables;
use super::watch::{self, Watch, places};
use crate::control::Command;
use crate::failure::Failure;

/// How long before the start of the load its machinery is begun.
const LEAD: Span = Span::milliseconds(500);

/// Open files that are not the load's: those of looks, calls and logs, and idle connections.
const OTHER_FILES: u64 = 512;

/// When more than one request in a hundred is sent later than that, the report says so: then the
/// figures are also about the machine that asks.
const LATE: Span = Span::milliseconds(50);

/// How often is looked whether anything is to be told.
const TELL: Span = Span::milliseconds(100);

/// How often is looked whether anything is still on its way.
const BETWEEN_LOOKS: Span = Span::milliseconds(20);

/// How long after each other replicas are compared that don't agree yet.
const BETWEEN_COMPARISONS: Span = Span::milliseconds(200);

/// What there is when all is over: orders, writes that lost, and rows that are kept aside.
type InTheEnd = (
    Option<gameday::Scan>,
    Vec<gameday::Conflict>,
    Option<BTreeMap<gameday::Order, Region>>,
);

/// A game day under way.
struct GameDay<'a> {
    lab: &'a TestLab,
    plan: &'a Arc<Plan>,
    progress: &'a Progress,
}

/// Runs the plan with that command as the application; gives what was seen.
pub async fn run(
    plan: &Arc<Plan>,
    app: Option<&str>,
    progress: &Progress,
) -> Result<Observations, Failure> {
    let environment = Arc::new(SystemEnvironment::new());
    let mut termination = Termination::listen().map_err(Failure::did_not_hold)?;
    progress.say("starting the lab");
    let started = tokio::select! {
        started = TestLab::start(&plan.scenario, app, &environment) => started,
        signal = termination.next() => Err(broken_off(signal)),
    };
    let lab = started?;
    let day = GameDay {
        lab: &lab,
        plan,
        progress,
    };
    let done = tokio::select! {
        // Large with all that it waits for: on the heap, not on a worker's stack.
        done = day.carry_out().boxed_local() => done,
        signal = termination.next() => Err(broken_off(signal)),
        exit = lab.ended() => Err(Failure::nothing_running(format!("the lab has ended: {exit}"))),
    };
    progress.say("stopping the lab");
    tokio::select! {
        () = lab.stop() => {}
        // What is left then, the guard ends and removes.
        _ = termination.next() => {}
    }
    done
}

fn broken_off(signal: &str) -> Failure {
    let failure = Failure::did_not_hold(format!("{signal}: the game day was broken off"));
    failure.then("run it again; everything it started is gone")
}

impl GameDay<'_> {
    async fn carry_out(&self) -> Result<Observations, Failure> {
        let scenario = &self.plan.scenario;
        let environment = &self.lab.environment;
        let begun = environment.now().monotonic;
        let deployment = Deployment::new(self.lab, scenario);
        let made = self.deploy(&deployment).await?;
        let ways = self.ways(&made);
        let networks = ways.iter().map(|way| Arc::clone(&way.network));
        deployment.names(networks).await?;
        let now = environment.now();
        let start = now.monotonic + LEAD;
        let started = types::Timestamp(now.wall.0 + LEAD.0 / 1000);
        let ready_after = now.monotonic - begun;
        let version = env!("CARGO_PKG_VERSION").to_owned();
        let observations = Observations::new(version, started, ready_after);
        let recorder = Recorder::new(start, environment, observations);
        self.progress.say(format_args!(
            "ready after {:.1} s; the load runs for {} s",
            ready_after.as_milliseconds() / 1000.0,
            scenario.measure.length.0 / 1_000_000
        ));
        let files = runtime::raise_open_files().saturating_sub(OTHER_FILES);
        let under_way = u32::try_from(files)
            .unwrap_or(u32::MAX)
            .clamp(64, UNDER_WAY);
        let loads = Loads::new(self.plan, &ways, start, under_way);
        let steps = Steps::new(self.lab, self.plan, &deployment, &made, &recorder);
        let watch = Watch::new(self.lab, self.plan, &made, &recorder);
        let mut told = 0;
        let measured = async {
            tokio::join!(loads.run(), steps.run());
            self.finish(&steps, &made, &recorder).await
        };
        let (last_scan, conflicts, kept_aside) = tokio::select! {
            measured = measured => measured?,
            () = watch.run() => unreachable!("a watch never ends"),
            () = self.tell(&loads, &recorder, &mut told) => unreachable!("there is always more to tell"),
        };
        let crossings = watch.crossings().await;
        let ended = recorder.elapsed();
        let requests = loads.take();
        if let Some(late) = lateness(&requests).filter(|late| *late > LATE) {
            let text = format!(
                "this machine is too busy for the load: one request in a hundred was sent {late} \
                 late or more, which counts as its latency"
            );
            recorder.event(ended, EventKind::Note(text));
        }
        self.tell_events(&recorder, &mut told);
        drop((watch, steps));
        Ok(Observations {
            ended,
            requests,
            last_scan,
            conflicts,
            kept_aside,
            crossings,
            ..recorder.finish()
        })
    }

    async fn deploy(&self, deployment: &Deployment<'_>) -> Result<Deployed, Failure> {
        self.progress.say("making tables and their replicas");
        deployment.tables().await?;
        self.progress
            .say("waiting for the application in every Region");
        deployment.applications().await?;
        self.progress
            .say("making health checks, accelerators, zones and records");
        let mut made = deployment.routing().await?;
        self.progress
            .say("waiting until every checker has found its endpoint");
        deployment.healthy(&made).await?;
        let stores = &self.plan.scenario.tables;
        if stores
            .iter()
            .any(gameday::scenario::Table::is_global_cluster)
        {
            self.progress.say("making global clusters of databases");
        }
        deployment.databases(&mut made).await?;
        Ok(made)
    }

    /// The way of each load: to a name, to an accelerator's addresses, or to a global cluster.
    fn ways(&self, made: &Deployed) -> Vec<Way> {
        let applications = self.lab.applications();
        let port = applications
            .first()
            .map_or(0, |(_, address)| address.port());
        let scale = self.plan.scenario.lab.delay_scale;
        let all = made.accelerators.iter();
        let all: Vec<Ipv4Addr> = all.flat_map(|made| made.addresses.clone()).collect();
        let loads = self.plan.scenario.loads.iter();
        let ways = loads.map(|load| {
            let accelerator = load
                .accelerator
                .and_then(|index| made.accelerators.get(index));
            let network = Arc::new(Network {
                dns: self.lab.dns(),
                name: accelerator.map_or(&load.target, |made| &made.name).clone(),
                port: accelerator.map_or(port, |made| made.port),
                places: places(&applications),
                statics: accelerator.map_or(&all, |made| &made.addresses).clone(),
                edges: self.lab.edges(),
                geography: Geography { scale },
                environment: Arc::clone(&self.lab.environment),
            });
            let cluster = load.global_cluster.and_then(|of| made.clusters.get(&of));
            let database = cluster.map(|made| Arc::new(self.database(made)));
            Way { network, database }
        });
        ways.collect()
    }

    /// What clients of a global cluster know of it.
    fn database(&self, made: &MadeCluster) -> Database {
        let regions = made.members.iter().map(|member| member.region);
        Database {
            made: made.clone(),
            apis: regions.map(|of| (of, self.lab.api_of(of))).collect(),
        }
    }

    /// After the load: everything is healed, the replicas come to agree, and what there is then
    /// is read.
    async fn finish(
        &self,
        steps: &Steps<'_>,
        made: &Deployed,
        recorder: &Recorder,
    ) -> Result<InTheEnd, Failure> {
        let at = recorder.elapsed();
        steps.heal_all().await?;
        recorder.event(at, EventKind::LoadEnded);
        self.converge(made, recorder).await?;
        let last_scan = tables::scan(self.lab, self.plan, made, recorder, None).await;
        let conflicts = tables::conflicts(self.lab, self.plan).await?;
        let aside = match self.plan.measures_global_cluster() {
            true => tables::kept_aside(self.lab, self.plan, recorder).await,
            false => None,
        };
        Ok((last_scan, conflicts, aside))
    }

    async fn converge(&self, made: &Deployed, recorder: &Recorder) -> Result<(), Failure> {
        let within = self.plan.scenario.measure.converge_within;
        let deadline = Span(recorder.elapsed().0 + within.0);
        // Comparing what is still on its way takes long and says nothing.
        while recorder.elapsed() < deadline && !watch::is_idle(self.lab).await {
            recorder.wait(BETWEEN_LOOKS).await;
        }
        loop {
            let verified = self.lab.ask_for_value(&Command::Verify).await?;
            let at = recorder.elapsed();
            let apart = match verified["sound"] == true {
                true => tables::difference(self.lab, self.plan, made).await,
                false => Some(disagreement(&verified)),
            };
            let Some(why) = apart else {
                recorder.event(at, EventKind::Converged);
                return Ok(());
            };
            if at >= deadline {
                recorder.event(at, EventKind::NotConverged(why));
                return Ok(());
            }
            recorder.wait(BETWEEN_COMPARISONS).await;
        }
    }

    /// Tells of what was noted since.
    fn tell_events(&self, recorder: &Recorder, told: &mut usize) {
        for event in recorder.events_from(*told) {
            self.progress.event(self.plan, event.at, &event.kind);
            *told += 1;
        }
    }

    /// Tells of what was noted, and how the load goes. Never ends.
    async fn tell(&self, loads: &Loads, recorder: &Recorder, told: &mut usize) {
        let length = self.plan.scenario.measure.length;
        let mut next = Span::ZERO;
        loop {
            self.tell_events(recorder, told);
            let at = recorder.elapsed();
            if at >= next && at > Span::ZERO && at < length {
                let (succeeded, failed) = loads.progress();
                self.progress.load(at, length, succeeded, failed);
                next = Span(at.0 + self.progress.pace().0);
            }
            recorder.wait(TELL).await;
        }
    }
}

/// How late one request in a hundred was sent, or later.
fn lateness(requests: &[Request]) -> Option<Span> {
    let late = requests.iter();
    let late = late.map(|request| request.began.0.saturating_sub(request.due.0));
    let mut late: Vec<u64> = late.collect();
    let at = late.len() * 99 / 100;
    (!late.is_empty()).then(|| Span::milliseconds(*late.select_nth_unstable(at).1 / 1000))
}

/// What a verification found, in words.
fn disagreement(verified: &Value) -> String {
    let rows = |name: &str| verified[name].as_array().cloned().unwrap_or_default();
    let texts = |row: &Value, name: &str| {
        let texts = row[name].as_array().cloned().unwrap_or_default();
        texts.iter().map(plain).collect::<Vec<String>>()
    };
    let tables = rows("tables");
    let reasons = tables.iter().flat_map(|table| texts(table, "reasons"));
    let regions = rows("regions");
    let findings = regions.iter().flat_map(|region| texts(region, "findings"));
    let all: Vec<String> = reasons.chain(findings).collect();
    match all.is_empty() {
        true => "no reason was given".to_owned(),
        false => all.join("; "),
    }
}

fn plain(value: &Value) -> String {
    value
        .as_str()
        .map_or_else(|| value.to_string(), str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_late_is_told_by_the_latest_hundredth() {
        let request = |late: u64| Request {
            load: 0,
            verb: gameday::Verb::Get,
            due: Span::seconds(1),
            began: Span(1_000_000 + late),
            ended: Span::seconds(3),
            outcome: gameday::Outcome::Ok,
            region: None,
            order: None,
            version: 0,
        };
        assert_eq!(lateness(&[]), None);
        let mut requests = vec![request(1_000); 99];
        requests.push(request(80_000));
        assert_eq!(lateness(&requests), Some(Span::milliseconds(80)));
        requests.push(request(1_000));
        requests.push(request(1_000));
        assert_eq!(lateness(&requests), Some(Span::milliseconds(1)));
    }
}

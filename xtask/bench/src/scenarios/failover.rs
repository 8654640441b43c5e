//! What a failure costs clients of an accelerator: an endpoint that refuses, one that hangs, a
//! Region that dies, an edge that dies. New connections come at a fixed rate the whole time, and
//! others to an endpoint that is well are held.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use serde_json::json;
use types::{Place, Region};

use super::{GOAL_HEAD, goal, spread};
use crate::Arguments;
use crate::failover::load::{Attempt, HELD, Load, RATE, TIMEOUT, ask_once};
use crate::failover::{self, endpoint};
use crate::lab::Lab;
use crate::report::Section;
use crate::statistics::Spread;

/// The Regions; clients are at the first.
const REGIONS: [&str; 2] = ["us-east-1", "eu-west-1"];

/// The instances of the application in a Region, by the last octet of their addresses.
const INSTANCES: [u8; 2] = [11, 12];

/// Before the fault, while it lasts, and after it.
const BEFORE: Duration = Duration::from_secs(2);
const LASTS: Duration = Duration::from_secs(5);
const AFTER: Duration = Duration::from_secs(1);

/// How long everything may take to be as before.
const PATIENCE: Duration = Duration::from_secs(60);

/// A fault: its name, the words of `causeway fault`, and for how long new connections may fail.
struct Fault {
    name: &'static str,
    words: [&'static str; 2],
    /// In seconds from the command; 0: none may fail that begins when it is in force.
    asked: f64,
}

const ENDPOINT: [Fault; 3] = [
    Fault {
        name: "endpoint refuses",
        words: ["kill", "us-east-1/app"],
        asked: 0.0,
    },
    Fault {
        name: "endpoint hangs",
        words: ["pause", "us-east-1/app"],
        asked: 1.0,
    },
    Fault {
        name: "Region killed",
        words: ["kill", "us-east-1"],
        asked: 2.0,
    },
];

const EDGE: Fault = Fault {
    name: "edge killed",
    words: ["kill", "edge-1"],
    asked: 3.0,
};

/// What one fault cost.
struct Cost {
    /// New connections begun after the fault was in force that failed.
    failed: f64,
    /// Those that failed of all.
    all: f64,
    /// Seconds from the command to when the last that failed was due.
    window: f64,
    /// How long the slowest took that succeeded meanwhile, in seconds.
    slowest: f64,
    /// Held connections that broke.
    broken: f64,
}

pub fn run(arguments: &Arguments) -> Result<Section> {
    let mut section = Section::default();
    if arguments.no_lab {
        return Ok(section);
    }
    section.text(&format!(
        "{RATE} new connections a second, each with one request and {} s for it, from a client in \
         us-east-1 through an accelerator with two endpoints there and two in eu-west-1; health \
         checks by HTTP every 200 ms, 1 in a row. {HELD} connections to the endpoints in \
         eu-west-1 are held and used all the time. Each fault {} times, for {} s.",
        TIMEOUT.as_secs(),
        arguments.rounds,
        LASTS.as_secs(),
    ));
    let (mut rows, mut goals) = (Vec::new(), Vec::new());
    let stand = Stand::start(1)?;
    for fault in &ENDPOINT {
        measure(
            arguments,
            &stand,
            fault,
            &mut section,
            (&mut rows, &mut goals),
        )?;
    }
    stand.lab.stop();
    match Stand::start(3) {
        Ok(stand) => {
            measure(
                arguments,
                &stand,
                &EDGE,
                &mut section,
                (&mut rows, &mut goals),
            )?;
            stand.lab.stop();
        }
        Err(error) => {
            let missing = format!("{}: {error:#}", EDGE.name);
            section.text(&format!("Not measured: {missing}"));
            section.value("not_measured", json!([missing]));
        }
    }
    let head = [
        "fault",
        "failed, begun when it was in force",
        "failed in all",
        "last failure s after the command",
        "slowest success s",
        "held that broke",
    ];
    section.table(&head, &rows);
    section.table(&GOAL_HEAD, &goals);
    Ok(section)
}

/// A lab with accelerators.
struct Stand {
    lab: Lab,
    /// Where one listens that leads to the nearest Region that serves.
    all: SocketAddr,
    /// Where one listens that leads to the last Region alone.
    last: SocketAddr,
    source: Ipv4Addr,
}

impl Stand {
    fn start(edges: u32) -> Result<Stand> {
        let own = std::env::current_exe()?;
        let own = own.to_str().context("the bench's path is text")?;
        let app = format!("exec '{own}' {}", endpoint::SERVE);
        let words = ["--health-interval", "200ms", "--app", &app];
        let lab = Lab::start_with(&REGIONS, edges, 0.0, &words)?;
        let endpoints = REGIONS.iter().zip(1..).map(|(region, number)| {
            let instances = INSTANCES
                .into_iter()
                .map(|last| SocketAddr::from((Ipv4Addr::new(127, 1, number, last), lab.app_port)));
            (*region, instances.collect())
        });
        let endpoints: Vec<(&str, Vec<SocketAddr>)> = endpoints.collect();
        let client = lab.global()?;
        let all = failover::make(&client, "all", &endpoints)?;
        let last = failover::make(&client, "last", &endpoints[REGIONS.len() - 1..])?;
        let region: Region = REGIONS[0].parse()?;
        Ok(Stand {
            lab,
            all,
            last,
            source: Place(region).address(1),
        })
    }

    /// Waits until the nearest Region serves again, and goes on to.
    fn settle(&self) -> Result<()> {
        let started = Instant::now();
        let mut in_a_row = 0;
        while in_a_row < 20 {
            let asked = runtime::run(0, runtime::within(TIMEOUT, self.ask()))?;
            in_a_row = match asked.flatten().as_deref() {
                Some(name) if name == REGIONS[0] => in_a_row + 1,
                _ => 0,
            };
            anyhow::ensure!(
                started.elapsed() < PATIENCE,
                "{} doesn't serve again after {PATIENCE:?}",
                REGIONS[0]
            );
            std::thread::sleep(Duration::from_millis(50));
        }
        Ok(())
    }

    async fn ask(&self) -> Option<String> {
        ask_once(self.source, self.all).await
    }

    /// Breaks it once, under load.
    fn breaks(&self, fault: &Fault) -> Result<Cost> {
        self.settle()?;
        let load = Load::new(self.source);
        let (all, last) = (self.all, self.last);
        let connecting = Arc::clone(&load);
        let holding = Arc::clone(&load);
        let started = Instant::now();
        let clients = std::thread::spawn(move || {
            let length = BEFORE + LASTS + AFTER;
            runtime::run(1, async move {
                let stopping = Arc::clone(&holding);
                let connected = async {
                    let done = connecting.connect(all, length).await;
                    stopping.stop();
                    done
                };
                futures_util::future::join(connected, holding.hold(last)).await
            })
        });
        std::thread::sleep(BEFORE.saturating_sub(started.elapsed()));
        let ordered = started.elapsed();
        let lease = format!("{}s", LASTS.as_secs());
        let [deed, target] = fault.words;
        self.lab
            .command(&["fault", deed, target, "--for", &lease])?;
        let in_force = started.elapsed();
        let (attempts, broken) = clients.join().expect("clients don't panic")?;
        Ok(Cost::of(&attempts, broken, ordered, in_force))
    }
}

impl Cost {
    fn of(attempts: &[Attempt], broken: u64, ordered: Duration, in_force: Duration) -> Cost {
        let failed = attempts.iter().filter(|attempt| attempt.by.is_none());
        // What the end of the fault breaks is not what it cost to get away from it.
        let until = ordered + LASTS - Duration::from_millis(500);
        let failed: Vec<Duration> = failed.map(|attempt| attempt.due).collect();
        let during = failed.iter().filter(|due| **due < until);
        let last = during.clone().max().map(|due| due.saturating_sub(ordered));
        let after = during.filter(|due| **due >= in_force);
        let served = attempts.iter().filter(|attempt| attempt.by.is_some());
        let served = served.filter(|attempt| (ordered..until).contains(&attempt.due));
        let slowest = served.map(|attempt| attempt.took).max();
        Cost {
            failed: after.count() as f64,
            all: failed.len() as f64,
            window: last.map_or(0.0, |last| last.as_secs_f64()),
            slowest: slowest.map_or(0.0, |took| took.as_secs_f64()),
            broken: broken as f64,
        }
    }
}

type Rows<'a> = (&'a mut Vec<Vec<String>>, &'a mut Vec<Vec<String>>);

fn measure(
    arguments: &Arguments,
    stand: &Stand,
    fault: &Fault,
    section: &mut Section,
    (rows, goals): Rows<'_>,
) -> Result<()> {
    let mut costs = Vec::new();
    for round in 0..arguments.rounds {
        eprintln!("   round {}: {}", round + 1, fault.name);
        costs.push(stand.breaks(fault)?);
    }
    let of = |value: fn(&Cost) -> f64| Spread::of(costs.iter().map(value));
    let (failed, all) = (of(|cost| cost.failed), of(|cost| cost.all));
    let (window, broken) = (of(|cost| cost.window), of(|cost| cost.broken));
    let slowest = of(|cost| cost.slowest);
    rows.push(vec![
        fault.name.to_owned(),
        failed.to_string(),
        all.to_string(),
        window.to_string(),
        slowest.to_string(),
        broken.to_string(),
    ]);
    // The worst round counts: a median of failures would hide one in two.
    let is_edge = fault.words == EDGE.words;
    match fault.asked {
        0.0 => goals.push(goal(
            &format!("{}: failed new connections", fault.name),
            "none",
            failed.greatest,
            "",
            failed.greatest == 0.0,
        )),
        asked => goals.push(goal(
            &format!("{}: new connections fail for", fault.name),
            &format!("{asked} s or less"),
            window.greatest,
            "s",
            window.greatest <= asked,
        )),
    }
    if !is_edge {
        goals.push(goal(
            &format!("{}: connections to others that broke", fault.name),
            "none",
            broken.greatest,
            "",
            broken.greatest == 0.0,
        ));
    }
    let values = json!({
        "failed": spread(failed), "failed_in_all": spread(all),
        "window_seconds": spread(window), "slowest_seconds": spread(slowest),
        "broken": spread(broken),
    });
    section.value(fault.name, values);
    Ok(())
}

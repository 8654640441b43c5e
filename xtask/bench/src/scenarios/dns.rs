//! DNS servers beside ours in the same run: the same zones, the same queries, one worker each on
//! the same processor, window by window in turn. What is compared first is the processor time of
//! the server per query; queries a second depend on the loading program as well.

use std::path::PathBuf;

use anyhow::{Context, Result};
use serde_json::{Value, json};

use super::{GOAL_HEAD, goal, spread};
use crate::Arguments;
use crate::dns::dnsperf;
use crate::dns::servers::{Kind, Running};
use crate::dns::zones::{FAILOVER, LARGE, SMALL, TestZone, WEIGHTED};
use crate::lab::Folder;
use crate::report::Section;
use crate::statistics::{Spread, number};

/// What ours may cost, to the faster of the peers.
const GOAL: f64 = 1.3;

/// By how much a miss in the large zone may differ from one in the small zone and still be called
/// the same: what these measurements scatter by.
const SAME: f64 = 1.1;

/// The servers, in the order of the first round.
const KINDS: [Kind; 3] = [Kind::Nsd, Kind::Knot, Kind::Ours];

/// One kind of query.
struct Load {
    name: &'static str,
    queries: PathBuf,
    edns: bool,
    /// A name to be asked for, whose answer is weighed.
    sample: String,
}

/// A server under one load.
struct Series {
    kind: Kind,
    windows: Vec<Window>,
    answer: usize,
}

/// What a window yielded.
struct Window {
    rate: f64,
    microseconds: f64,
    /// Of these, the ones outside of the system's calls.
    own: f64,
    lost: u64,
    codes: String,
}

pub fn run(arguments: &Arguments) -> Result<Section> {
    let folder = Folder::new("dns-queries")?;
    let loads = loads(&folder)?;
    let zones = [SMALL, WEIGHTED, FAILOVER];
    let mut missing = Vec::new();
    let small = start(&zones, "small", &mut missing)?;
    let measured = measure(arguments, &loads, &small)?;
    let mut section = Section::default();
    section.text(&format!(
        "{} windows of {} s of each load on each server in turn; dnsperf with 4 ports and 100 \
         queries under way on {}. Median (least to greatest) of the windows. µs are processor time \
         of the server, the kernel's for it included, per query answered.",
        arguments.rounds,
        arguments.seconds,
        match crate::dns::processors() {
            Some(_) => "a processor of its own",
            None => "the same processor",
        }
    ));
    windows_table(&mut section, &loads, &measured, &small);
    ratios(&mut section, &loads, &measured);
    let large = start(&[LARGE], "large", &mut missing)?;
    sizes(arguments, &mut section, &loads, &small, &large)?;
    for line in &missing {
        section.text(&format!("Not measured: {line}"));
    }
    section.value("not_measured", json!(missing));
    Ok(section)
}

fn loads(folder: &Folder) -> Result<Vec<Load>> {
    let load = |name, text: String, edns, zone: &TestZone| -> Result<Load> {
        let first = text.split(' ').next().unwrap_or_default().to_owned();
        let queries = folder
            .path()
            .join(format!("{}-{edns}.txt", first.replace('.', "-")));
        std::fs::write(&queries, text).context("can't write the queries")?;
        let sample = if first.ends_with(zone.name) {
            first
        } else {
            zone.name.to_owned()
        };
        Ok(Load {
            name,
            queries,
            edns,
            sample,
        })
    };
    Ok(vec![
        load("static", SMALL.hits(), false, &SMALL)?,
        load("static, EDNS", SMALL.hits(), true, &SMALL)?,
        load("NXDOMAIN", SMALL.misses(), false, &SMALL)?,
        load("weighted", WEIGHTED.hits(), false, &WEIGHTED)?,
        load("failover", FAILOVER.hits(), false, &FAILOVER)?,
    ])
}

/// Starts every server that there is; ours must be.
fn start(zones: &[TestZone], label: &str, missing: &mut Vec<String>) -> Result<Vec<Running>> {
    let mut servers = Vec::new();
    for kind in KINDS {
        eprintln!("   starting {} with the {label} zones", kind.name());
        match kind.start(zones, label) {
            Ok(server) => servers.push(server),
            Err(error) if kind == Kind::Ours => return Err(error),
            Err(error) => missing.push(format!("{}, {label} zones: {error:#}", kind.name())),
        }
    }
    Ok(servers)
}

/// Every load on every server, in turn; a load's series in the order of the servers.
fn measure(arguments: &Arguments, loads: &[Load], servers: &[Running]) -> Result<Vec<Vec<Series>>> {
    let mut measured = Vec::new();
    for load in loads {
        let mut series = Vec::new();
        for server in servers {
            // Both a first look at the answer and the warm-up.
            let answer = server.answer(&load.sample)?.len();
            dnsperf::run(server.address, &load.queries, load.edns, 1)?;
            series.push(Series {
                kind: server.kind,
                windows: Vec::new(),
                answer,
            });
        }
        measured.push(series);
    }
    for round in 0..arguments.rounds as usize {
        for (load, series) in loads.iter().zip(&mut measured) {
            eprintln!("   round {}: {}", round + 1, load.name);
            for turn in 0..servers.len() {
                let turn = (turn + round) % servers.len();
                series[turn]
                    .windows
                    .push(window(arguments, load, &servers[turn])?);
            }
        }
    }
    Ok(measured)
}

fn window(arguments: &Arguments, load: &Load, server: &Running) -> Result<Window> {
    let before = server.processor()?;
    let run = dnsperf::run(server.address, &load.queries, load.edns, arguments.seconds)?;
    let after = server.processor()?;
    let per_query = |seconds: f64| 1e6 * seconds / run.completed.max(1) as f64;
    Ok(Window {
        rate: run.rate,
        microseconds: per_query(after.0 - before.0),
        own: per_query(after.1 - before.1),
        lost: run.lost,
        codes: run.codes,
    })
}

impl Series {
    fn spread(&self, value: impl Fn(&Window) -> f64) -> Spread {
        Spread::of(self.windows.iter().map(value))
    }

    fn json(&self) -> Value {
        json!({
            "queries_per_second": spread(self.spread(|window| window.rate)),
            "processor_microseconds_per_query": spread(self.spread(|window| window.microseconds)),
            "own_microseconds_per_query": spread(self.spread(|window| window.own)),
            "lost": self.windows.iter().map(|window| window.lost).sum::<u64>(),
            "answer_bytes": self.answer,
        })
    }
}

fn windows_table(
    section: &mut Section,
    loads: &[Load],
    measured: &[Vec<Series>],
    servers: &[Running],
) {
    let mut rows = Vec::new();
    for (load, series) in loads.iter().zip(measured) {
        for (server, series) in servers.iter().zip(series) {
            let last = series.windows.last();
            let codes = last.map(|window| window.codes.clone()).unwrap_or_default();
            rows.push(vec![
                load.name.to_owned(),
                format!("{} {}", server.kind.name(), server.version)
                    .trim()
                    .to_owned(),
                series.spread(|window| window.microseconds).to_string(),
                number(series.spread(|window| window.own).median),
                series.spread(|window| window.rate).to_string(),
                series
                    .windows
                    .iter()
                    .map(|window| window.lost)
                    .sum::<u64>()
                    .to_string(),
                series.answer.to_string(),
                codes.split(' ').next().unwrap_or_default().to_owned(),
            ]);
            let name = format!("{}: {}", load.name, server.kind.name());
            section.value(&name, series.json());
        }
    }
    let head = [
        "load",
        "server",
        "µs/query",
        "of it in the program",
        "queries/s",
        "lost",
        "answer's bytes",
        "code",
    ];
    section.table(&head, &rows);
}

/// Ours to the cheaper of the peers, round by round.
fn ratios(section: &mut Section, loads: &[Load], measured: &[Vec<Series>]) {
    let (mut rows, mut goals) = (Vec::new(), Vec::new());
    for (load, series) in loads.iter().zip(measured) {
        let (ours, peers): (Vec<&Series>, Vec<&Series>) =
            series.iter().partition(|series| series.kind == Kind::Ours);
        let (Some(ours), false) = (ours.first(), peers.is_empty()) else {
            continue;
        };
        let ratio = |value: fn(&Window) -> f64, best: fn(f64, f64) -> f64| {
            Spread::of(ours.windows.iter().enumerate().map(|(round, window)| {
                let peers = peers.iter().map(|peer| value(&peer.windows[round]));
                value(window) / peers.reduce(best).expect("there is a peer")
            }))
        };
        let processor = ratio(|window| window.microseconds, f64::min);
        let rate = ratio(|window| window.rate, f64::max);
        rows.push(vec![
            load.name.to_owned(),
            processor.to_string(),
            rate.to_string(),
        ]);
        let met = processor.median <= GOAL;
        let what = format!("µs/query, {}, to the faster peer's", load.name);
        goals.push(goal(&what, "1.3 or less", processor.median, "", met));
        section.value(&format!("{}: ratio", load.name), spread(processor));
    }
    let head = [
        "Causeway to the faster of NSD and Knot",
        "µs/query",
        "queries/s",
    ];
    section.table(&head, &rows);
    section.table(&GOAL_HEAD, &goals);
}

/// What the table of sizes is of.
const SIZES: &str = "A miss in a zone of ten thousand names and in one of a million, window by \
    window in turn, and what the servers take with either loaded (the small one with the two zones \
    of steered names beside it).";

/// A miss in a zone of a million names beside one in a zone of ten thousand, and the memory.
fn sizes(
    arguments: &Arguments,
    section: &mut Section,
    loads: &[Load],
    small: &[Running],
    large: &[Running],
) -> Result<()> {
    let folder = Folder::new("dns-large")?;
    let queries = folder.path().join("misses.txt");
    std::fs::write(&queries, LARGE.misses())?;
    let miss = loads.iter().find(|load| load.name == "NXDOMAIN");
    let small_load = miss.context("there is a load of misses")?;
    let large_load = Load {
        name: "NXDOMAIN, a million names",
        queries,
        edns: false,
        sample: LARGE.name.to_owned(),
    };
    let (mut rows, mut goals) = (Vec::new(), Vec::new());
    for big in large {
        let Some(little) = small.iter().find(|server| server.kind == big.kind) else {
            continue;
        };
        let (mut least, mut most) = (Vec::new(), Vec::new());
        for _ in 0..arguments.rounds {
            least.push(window(arguments, small_load, little)?.microseconds);
            most.push(window(arguments, &large_load, big)?.microseconds);
        }
        let ratio = Spread::of(most.iter().zip(&least).map(|(most, least)| most / least));
        rows.push(vec![
            big.kind.name().to_owned(),
            Spread::of(least).to_string(),
            Spread::of(most).to_string(),
            ratio.to_string(),
            number(little.memory()?),
            number(big.memory()?),
            number(big.ready_after),
        ]);
        section.value(
            &format!("sizes: {}", big.kind.name()),
            json!({
                "miss_ratio": spread(ratio), "small_mebibytes": little.memory()?,
                "large_mebibytes": big.memory()?, "large_ready_seconds": big.ready_after,
            }),
        );
        if big.kind == Kind::Ours {
            let what = "a miss among a million names to one among ten thousand";
            goals.push(goal(
                what,
                "the same (1.1 or less)",
                ratio.median,
                "",
                ratio.median <= SAME,
            ));
        }
    }
    section.text(SIZES);
    let head = [
        "server",
        "µs/miss, 10,000",
        "µs/miss, 1,000,000",
        "ratio",
        "PSS MiB, small",
        "PSS MiB, large",
        "s to load the large",
    ];
    section.table(&head, &rows);
    section.table(&GOAL_HEAD, &goals);
    Ok(())
}

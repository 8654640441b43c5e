//! Proxies of flows beside ours in the same run: the same backend, the same load, one worker each
//! on the same processor, window by window in turn. What is compared is the processor time of the
//! proxy: per request, per connection, per byte, per datagram; and the memory of idle flows.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::json;

use super::{GOAL_HEAD, goal, spread};
use crate::Arguments;
use crate::flows::backend::{Backend, LARGE, SMALL};
use crate::flows::datagrams;
use crate::flows::proxies::{KINDS, Kind, Running};
use crate::flows::wrk::{self, Load};
use crate::report::Section;
use crate::statistics::{Spread, number};

/// What ours may cost in processor time, to HAProxy.
const GOAL: f64 = 1.0;

/// What a datagram there and back may cost, to a bare echo's.
const DATAGRAM_GOAL: f64 = 2.0;

/// Idle flows, if descriptors let there be so many ...
const IDLE: usize = 8000;

/// ... and the memory that each may take, in KiB.
const IDLE_GOAL: f64 = 4.0;

/// A kind of load, and what of it costs processor time.
pub(super) struct Kinds {
    pub(super) name: &'static str,
    load: Load,
    pub(super) unit: Unit,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Unit {
    /// µs a request.
    Request,
    /// GiB a processor's second.
    Bytes,
}

pub(super) const LOADS: [Kinds; 3] = [
    Kinds {
        name: "keep-alive requests",
        load: Load {
            path: SMALL.0,
            connections: 50,
            closing: false,
        },
        unit: Unit::Request,
    },
    Kinds {
        name: "new connections",
        load: Load {
            path: SMALL.0,
            connections: 50,
            closing: true,
        },
        unit: Unit::Request,
    },
    Kinds {
        name: "bulk",
        load: Load {
            path: LARGE.0,
            connections: 8,
            closing: false,
        },
        unit: Unit::Bytes,
    },
];

/// What a window yielded.
pub(super) struct Window {
    /// In the unit of its load.
    pub(super) cost: f64,
    pub(super) rate: f64,
    errors: u64,
}

/// A proxy's windows of one load.
pub(super) type Series = Vec<Window>;

pub fn run(arguments: &Arguments) -> Result<Section> {
    let mut section = Section::default();
    section.text(&format!(
        "{} windows of {} s of each load on each proxy in turn, wrk and the backend (nginx) on {}. \
         Median (least to greatest) of the windows. Processor time is the proxy's, the kernel's \
         for it included.",
        arguments.rounds,
        arguments.seconds,
        match crate::dns::processors() {
            Some(_) => "a processor of their own",
            None => "the same processor",
        }
    ));
    let backend = Backend::start()?;
    let (mut proxies, mut missing) = (Vec::new(), Vec::new());
    for kind in KINDS {
        match kind.start(backend.address) {
            Ok(proxy) => proxies.push(proxy),
            Err(error) if kind == Kind::Ours => return Err(error),
            Err(error) => missing.push(format!("{}: {error:#}", kind.name())),
        }
    }
    let mut goals = Vec::new();
    let measured = measure(arguments, &proxies)?;
    windows_table(&mut section, &proxies, &measured);
    ratios(&mut section, &proxies, &measured, &mut goals);
    udp(arguments, &mut section, &mut goals)?;
    idle(&mut section, &proxies, &mut goals)?;
    section.table(&GOAL_HEAD, &goals);
    for line in &missing {
        section.text(&format!("Not measured: {line}"));
    }
    section.value("not_measured", json!(missing));
    Ok(section)
}

/// Every load on every proxy, in turn; by load, then by proxy.
pub(super) fn measure(arguments: &Arguments, proxies: &[Running]) -> Result<Vec<Vec<Series>>> {
    let mut measured: Vec<Vec<Series>> = LOADS
        .iter()
        .map(|_| proxies.iter().map(|_| Vec::new()).collect())
        .collect();
    for (kind, series) in LOADS.iter().zip(&mut measured) {
        for proxy in proxies {
            wrk::run(proxy.address, kind.load, 1)?;
        }
        for round in 0..arguments.rounds as usize {
            eprintln!("   round {}: {}", round + 1, kind.name);
            for turn in 0..proxies.len() {
                let turn = (turn + round) % proxies.len();
                let window = window(arguments.seconds, kind, &proxies[turn])?;
                series[turn].push(window);
            }
        }
    }
    Ok(measured)
}

fn window(seconds: u64, kind: &Kinds, proxy: &Running) -> Result<Window> {
    let before = proxy.processor()?;
    let run = wrk::run(proxy.address, kind.load, seconds)?;
    let used = proxy.processor()? - before;
    Ok(match kind.unit {
        Unit::Request => Window {
            cost: 1e6 * used / run.requests.max(1) as f64,
            rate: run.rate,
            errors: run.errors,
        },
        Unit::Bytes => {
            let gibibytes = run.bytes / 1024_f64.powi(3);
            Window {
                cost: gibibytes / used.max(1e-9),
                rate: gibibytes / seconds as f64,
                errors: run.errors,
            }
        }
    })
}

pub(super) fn windows_table(section: &mut Section, proxies: &[Running], measured: &[Vec<Series>]) {
    let mut rows = Vec::new();
    for (kind, by_proxy) in LOADS.iter().zip(measured) {
        let (cost_unit, rate_unit) = match kind.unit {
            Unit::Request => ("µs each", "a second"),
            Unit::Bytes => ("GiB a processor's second", "GiB a second"),
        };
        for (proxy, series) in proxies.iter().zip(by_proxy) {
            let cost = Spread::of(series.iter().map(|window| window.cost));
            let rate = Spread::of(series.iter().map(|window| window.rate));
            let errors: u64 = series.iter().map(|window| window.errors).sum();
            rows.push(vec![
                kind.name.to_owned(),
                proxy.title(),
                format!("{cost} {cost_unit}"),
                format!("{rate} {rate_unit}"),
                errors.to_string(),
            ]);
            let name = format!("{}: {}", kind.name, proxy.kind.name());
            let values = json!({"cost": spread(cost), "rate": spread(rate), "errors": errors});
            section.value(&name, values);
        }
    }
    let head = ["load", "proxy", "processor", "rate", "errors"];
    section.table(&head, &rows);
}

/// Ours to HAProxy, round by round.
fn ratios(
    section: &mut Section,
    proxies: &[Running],
    measured: &[Vec<Series>],
    goals: &mut Vec<Vec<String>>,
) {
    let place = |kind| proxies.iter().position(|proxy| proxy.kind == kind);
    let (Some(ours), Some(theirs)) = (place(Kind::Ours), place(Kind::Haproxy)) else {
        return;
    };
    let mut rows = Vec::new();
    for (kind, by_proxy) in LOADS.iter().zip(measured) {
        let pairs = by_proxy[ours].iter().zip(&by_proxy[theirs]);
        let cost = Spread::of(pairs.clone().map(|(ours, theirs)| ours.cost / theirs.cost));
        let rate = Spread::of(pairs.map(|(ours, theirs)| ours.rate / theirs.rate));
        rows.push(vec![
            kind.name.to_owned(),
            cost.to_string(),
            rate.to_string(),
        ]);
        section.value(&format!("{}: ratio", kind.name), spread(cost));
        let (what, asked, met) = match kind.unit {
            Unit::Request => ("processor, ", "1.0 or less", cost.median <= GOAL),
            Unit::Bytes => (
                "bytes a processor's second, ",
                "1.0 or more",
                cost.median >= GOAL,
            ),
        };
        let what = format!("{what}{}, to HAProxy's", kind.name);
        goals.push(goal(&what, asked, cost.median, "", met));
    }
    let head = [
        "Causeway to HAProxy",
        "processor (bulk: bytes for it)",
        "rate",
    ];
    section.table(&head, &rows);
}

/// A datagram to an endpoint and its answer back, beside a bare echo of it.
fn udp(arguments: &Arguments, section: &mut Section, goals: &mut Vec<Vec<String>>) -> Result<()> {
    let bare = datagrams::Running::echo(true)?;
    let endpoint = datagrams::Running::echo(false)?;
    let flows = datagrams::Running::flows(endpoint.address)?;
    let both = [&bare, &flows];
    let mut costs = [Vec::new(), Vec::new()];
    let (mut rates, mut lost) = ([Vec::new(), Vec::new()], [0, 0]);
    for server in both {
        datagrams::run(server.address, 1)?;
    }
    for round in 0..arguments.rounds as usize {
        eprintln!("   round {}: datagrams", round + 1);
        for turn in 0..both.len() {
            let turn = (turn + round) % both.len();
            let before = both[turn].processor()?;
            let run = datagrams::run(both[turn].address, arguments.seconds)?;
            let used = both[turn].processor()? - before;
            costs[turn].push(1e6 * used / run.completed.max(1) as f64);
            rates[turn].push(run.completed as f64 / arguments.seconds as f64);
            lost[turn] += run.lost;
        }
    }
    let names = ["bare echo", "Causeway, to an echo"];
    let mut rows = Vec::new();
    for turn in 0..both.len() {
        let cost = Spread::of(costs[turn].iter().copied());
        let rate = Spread::of(rates[turn].iter().copied());
        rows.push(vec![
            names[turn].to_owned(),
            cost.to_string(),
            rate.to_string(),
            lost[turn].to_string(),
        ]);
        let values = json!({"cost": spread(cost), "rate": spread(rate), "lost": lost[turn]});
        section.value(&format!("datagrams: {}", names[turn]), values);
    }
    let head = ["datagrams", "µs there and back", "a second", "lost"];
    section.table(&head, &rows);
    let pairs = costs[1].iter().zip(&costs[0]);
    let ratio = Spread::of(pairs.map(|(flows, bare)| flows / bare));
    section.value("datagrams: ratio", spread(ratio));
    let met = ratio.median <= DATAGRAM_GOAL;
    let what = "processor, a datagram there and back, to a bare echo's";
    goals.push(goal(what, "2.0 or less", ratio.median, "", met));
    Ok(())
}

/// What flows take that do nothing.
fn idle(section: &mut Section, proxies: &[Running], goals: &mut Vec<Vec<String>>) -> Result<()> {
    let files = usize::try_from(runtime::raise_open_files()).unwrap_or(usize::MAX);
    // A proxy has two descriptors a flow, and some for itself.
    let count = IDLE.min(files.saturating_sub(1200) / 2);
    let mut rows = Vec::new();
    for proxy in proxies {
        eprintln!("   {count} idle flows: {}", proxy.title());
        let before = proxy.memory()?;
        let mut flows = Vec::with_capacity(count);
        for number in 0..count {
            let flow = used_once(proxy.address);
            let context = || format!("flow {number} through {}", proxy.title());
            flows.push(flow.with_context(context)?);
        }
        std::thread::sleep(Duration::from_secs(1));
        let after = proxy.memory()?;
        let each = (after - before) * 1024.0 / count as f64;
        rows.push(vec![
            proxy.title(),
            number(before),
            number(after),
            number(each),
        ]);
        let values = json!({"flows": count, "mebibytes_before": before, "mebibytes": after,
            "kibibytes_each": each});
        section.value(&format!("idle: {}", proxy.kind.name()), values);
        if proxy.kind == Kind::Ours {
            let what = format!("memory of each of {count} idle flows");
            goals.push(goal(&what, "4 KiB or less", each, "KiB", each <= IDLE_GOAL));
        }
    }
    section.text(&format!(
        "{count} flows of which each has carried a request and is idle, after the loads above: \
         what the proxy's memory has grown by."
    ));
    let head = ["proxy", "PSS MiB before", "PSS MiB with them", "KiB each"];
    section.table(&head, &rows);
    Ok(())
}

/// A connection through a proxy after a request.
fn used_once(proxy: SocketAddr) -> Result<TcpStream> {
    let mut stream = TcpStream::connect(proxy)?;
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    let request = format!("GET {} HTTP/1.1\r\nHost: bench\r\n\r\n", SMALL.0);
    stream.write_all(request.as_bytes())?;
    let (mut buffer, mut total) = ([0; 4096], Vec::new());
    while !total.ends_with(&[b'x'; SMALL.1]) {
        let count = stream.read(&mut buffer)?;
        anyhow::ensure!(count > 0, "the connection ended");
        total.extend_from_slice(&buffer[..count]);
    }
    Ok(stream)
}

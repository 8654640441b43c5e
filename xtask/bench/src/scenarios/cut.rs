//! A link cut under a thousand writes a second: what it costs in disk and in memory, and how fast
//! the backlog drains after the heal while the writing goes on.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use serde_json::{Value, json};

use super::start::REGIONS;
use super::{GOAL_HEAD, ITEM_SIZE, goal, writers};
use crate::Arguments;
use crate::client::{Client, expect_ok};
use crate::connection::Connection;
use crate::items::{self, Numbers};
use crate::lab::Lab;
use crate::load::{Worker, sleep_until};
use crate::process;
use crate::report::Section;
use crate::statistics::number;

/// Writes a second.
const RATE: f64 = 1000.0;

/// How many write.
const WRITERS: usize = 16;

/// Writing before the cut, so that what only grows at first has grown.
const BEFORE: Duration = Duration::from_secs(20);

/// How long after the heal everything must have arrived.
const PATIENCE: Duration = Duration::from_secs(1200);

/// Memory and disk at one moment.
struct Sample {
    moment: &'static str,
    seconds: f64,
    origin: f64,
    peer: f64,
    disk: f64,
}

pub fn run(arguments: &Arguments) -> Result<Section> {
    if arguments.no_lab {
        return Ok(Section::default());
    }
    let lab = Lab::start(&REGIONS, 1, 1.0)?;
    let (origin, peer) = (&lab.clients[0], &lab.clients[1]);
    origin.create_table("Bench")?;
    origin.replicate("Bench", peer)?;
    let length = if arguments.long {
        600
    } else {
        arguments.cut_seconds
    };
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let writing = scope.spawn(|| write_until(origin, &stop));
        let outcome = cut_and_heal(&lab, Duration::from_secs(length));
        stop.store(true, Ordering::Relaxed);
        let late = writing.join().expect("writing returns its errors")?;
        outcome.map(|found| section(length, &found, late))
    })
}

/// What was found.
struct Found {
    samples: Vec<Sample>,
    backlog: f64,
    drained_after: Duration,
}

fn cut_and_heal(lab: &Lab, length: Duration) -> Result<Found> {
    let (origin, peer) = (&lab.clients[0], &lab.clients[1]);
    let (from, to) = (origin.region.name(), peer.region.name());
    let (origin_pid, peer_pid) = (lab.site(from)?, lab.site(to)?);
    let started = Instant::now();
    let sample = |moment| -> Result<Sample> {
        Ok(Sample {
            moment,
            seconds: started.elapsed().as_secs_f64(),
            origin: process::memory(origin_pid)?,
            peer: process::memory(peer_pid)?,
            disk: process::disk(&lab.folder_of(origin.region))? as f64 / 1024.0 / 1024.0,
        })
    };
    std::thread::sleep(BEFORE);
    let mut samples = vec![sample("before the cut")?];
    let lease = format!("{}s", length.as_secs() + 600);
    lab.command(&["fault", "cut", from, to, "--for", &lease])?;
    let cut = Instant::now();
    for quarter in 1..=4 {
        sleep_until(cut + length * quarter / 4);
        samples.push(sample("cut")?);
    }
    // The marker stands in the log behind all that was written under the cut.
    let marker = origin.request(
        "PutItem",
        &items::put("Bench", "marker", 1024, &mut Numbers::new(5)),
    )?;
    expect_ok(Connection::new(origin.address).exchange(&marker)?)?;
    let backlog = cut.elapsed().as_secs_f64() * RATE;
    let healed = Instant::now();
    lab.command(&["fault", "heal"])?;
    wait_for_marker(peer)?;
    let drained_after = healed.elapsed();
    samples.push(sample("drained")?);
    std::thread::sleep(Duration::from_secs(10));
    samples.push(sample("10 s later")?);
    Ok(Found {
        samples,
        backlog,
        drained_after,
    })
}

fn wait_for_marker(peer: &Client) -> Result<()> {
    let healed = Instant::now();
    let mut connection = Connection::new(peer.address);
    while healed.elapsed() < PATIENCE {
        let get = peer.request("GetItem", &items::get("Bench", "marker"))?;
        if expect_ok(connection.exchange(&get)?)?.len() > ITEM_SIZE {
            return Ok(());
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    bail!("what was written before the heal hasn't arrived after {PATIENCE:?}")
}

/// Writes at the rate until told to stop; returns how late, in milliseconds, the latest write
/// was: a Region that couldn't keep up would show there.
fn write_until(client: &Client, stop: &AtomicBool) -> Result<f64> {
    let start = Instant::now();
    std::thread::scope(|scope| {
        let workers = writers(client, "Bench", WRITERS, 7).into_iter().enumerate();
        let threads: Vec<_> = workers
            .map(|(number, mut worker)| scope.spawn(move || pace(&mut worker, number, start, stop)))
            .collect();
        let outcomes = threads.into_iter().map(|thread| thread.join());
        let mut latest = Duration::ZERO;
        for outcome in outcomes {
            latest = latest.max(outcome.expect("a writer returns its errors")?);
        }
        Ok(latest.as_secs_f64() * 1000.0)
    })
}

fn pace(
    worker: &mut Worker<'_>,
    number: usize,
    start: Instant,
    stop: &AtomicBool,
) -> Result<Duration> {
    let interval = Duration::from_secs_f64(WRITERS as f64 / RATE);
    let mut due = start + interval * number as u32 / WRITERS as u32;
    let mut latest = Duration::ZERO;
    while !stop.load(Ordering::Relaxed) {
        sleep_until(due);
        worker()?;
        latest = latest.max(due.elapsed());
        due += interval;
    }
    Ok(latest)
}

fn section(length: u64, found: &Found, late: f64) -> Section {
    let mut section = Section::default();
    let seconds = found.drained_after.as_secs_f64();
    let drain_rate = found.backlog / seconds;
    let times = drain_rate / RATE;
    section.text(&format!(
        "A cut of {length} s between two of three Regions at {} writes of 1 KiB a second, which go \
         on through cut and heal (the latest of them was answered {} ms after it was due). The {} \
         writes made under the cut had all arrived {} s after the heal: {} a second.",
        number(RATE),
        number(late),
        number(found.backlog),
        number(seconds),
        number(drain_rate),
    ));
    let rows: Vec<Vec<String>> = found
        .samples
        .iter()
        .map(|sample| {
            let numbers = [sample.seconds, sample.origin, sample.peer, sample.disk];
            let mut row = vec![sample.moment.to_owned()];
            row.extend(numbers.map(number));
            row
        })
        .collect();
    let head = [
        "",
        "at s",
        "writer's PSS MiB",
        "peer's PSS MiB",
        "writer's disk MiB",
    ];
    section.table(&head, &rows);
    let row = goal(
        "drain",
        "5 times the write rate or more",
        times,
        "times",
        times >= 5.0,
    );
    section.table(&GOAL_HEAD, &[row]);
    section.value("cut_seconds", json!(length));
    section.value("backlog", json!(found.backlog));
    section.value("drained_after_seconds", json!(seconds));
    section.value("drain_times_write_rate", json!(times));
    let samples = found.samples.iter().map(|sample| {
        json!({
            "moment": sample.moment, "seconds": sample.seconds,
            "writer_mebibytes": sample.origin, "peer_mebibytes": sample.peer,
            "writer_disk_mebibytes": sample.disk,
        })
    });
    section.value("samples", Value::Array(samples.collect()));
    section
}

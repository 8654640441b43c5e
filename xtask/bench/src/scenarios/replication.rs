//! How soon a write is visible at a peer while a thousand a second are made. A few writes a
//! second are followed: whoever made one asks the peer for it from just before it can be there
//! until it is. The time counts from the writer's reply to the end of the first read that found
//! it, so the read's own time is in it.

use std::sync::Mutex;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use serde_json::json;
use types::Span;

use super::start::REGIONS;
use super::{GOAL_HEAD, goal, writers};
use crate::Arguments;
use crate::client::{Client, expect_ok};
use crate::connection::Connection;
use crate::items::{self, Numbers};
use crate::lab::Lab;
use crate::load::{Measured, Window, Worker, drive};
use crate::process;
use crate::report::Section;
use crate::statistics::{number, percentile};

/// Writes a second, the followed ones included.
const RATE: f64 = 1000.0;

/// Of these, the followed ones.
const FOLLOWED: f64 = 50.0;

/// How many follow, so that the next can be made while one is under way.
const FOLLOWERS: usize = 16;

/// How many write the rest.
const WRITERS: usize = 16;

/// When the asking begins, before the link's delay has passed.
const EARLY: Duration = Duration::from_millis(2);

/// The pause between two questions: it bounds what the asking takes from the servers.
const PAUSE: Duration = Duration::from_micros(300);

pub fn run(arguments: &Arguments) -> Result<Section> {
    if arguments.no_lab {
        return Ok(Section::default());
    }
    let lab = Lab::start(&REGIONS, 1, 1.0)?;
    let (origin, peer) = (&lab.clients[0], &lab.clients[1]);
    let delay = types::one_way_delay(origin.region, peer.region);
    origin.create_table("Bench")?;
    origin.replicate("Bench", peer)?;
    let seconds = arguments.seconds * arguments.rounds;
    let lags = Mutex::new(Vec::new());
    let pids = lab.regions()?;
    let used = |pids: &[u32]| process::processor_seconds(pids);
    let before = used(&pids)?;
    let measured = std::thread::scope(|scope| {
        let write = scope.spawn(|| {
            let window = Window::paced(seconds, RATE - FOLLOWED);
            drive(writers(origin, "Bench", WRITERS, 1), window, &|| {
                used(&pids)
            })
        });
        let workers = (0..FOLLOWERS).map(|number| follower(origin, peer, delay, number, &lags));
        let window = Window::paced(seconds, FOLLOWED);
        let followed = drive(workers.collect(), window, &|| Ok(0.0));
        let written = write.join().expect("writing returns its errors");
        written.and_then(|written| followed.map(|_| written))
    })?;
    let processor = used(&pids)? - before;
    let mut lags = lags.into_inner().expect("no follower panics");
    lags.sort_unstable();
    let found = Found {
        delay,
        lags,
        written: measured,
        processor: processor / seconds as f64,
    };
    Ok(section(seconds, origin, peer, &found))
}

/// What was found.
struct Found {
    delay: Span,
    /// Microseconds from answer to visible, sorted.
    lags: Vec<u32>,
    written: Measured,
    /// Processor seconds a second of all Regions.
    processor: f64,
}

fn section(seconds: u64, origin: &Client, peer: &Client, found: &Found) -> Section {
    let mut section = Section::default();
    let delay = found.delay.as_milliseconds();
    let past = |share: f64| percentile(&found.lags, share) / 1000.0 - delay;
    let (median, late) = (past(0.5), past(0.99));
    section.text(&format!(
        "{} a second written in {} over {seconds} s, {} of them followed in {}; the link's \
         one-way delay between them is {} ms. Past that delay, a write was visible after {} ms at \
         the median, {} ms at p90, {} ms at p99, {} ms at most. PutItem took {} ms at the median \
         and {} ms at p99; the three Regions together used {} ms of processor time a second.",
        number(found.written.rate() + FOLLOWED),
        origin.region.name(),
        found.lags.len(),
        peer.region.name(),
        number(delay),
        number(median),
        number(past(0.9)),
        number(late),
        number(past(1.0)),
        number(found.written.milliseconds(0.5)),
        number(found.written.milliseconds(0.99)),
        number(found.processor * 1000.0),
    ));
    section.table(
        &GOAL_HEAD,
        &[
            goal(
                "visible, median",
                "delay + 5 ms",
                median,
                "ms past the delay",
                median <= 5.0,
            ),
            goal(
                "visible, p99",
                "delay + 25 ms",
                late,
                "ms past the delay",
                late <= 25.0,
            ),
        ],
    );
    section.value("one_way_delay_milliseconds", json!(delay));
    section.value("median_milliseconds_past_delay", json!(median));
    section.value("p99_milliseconds_past_delay", json!(late));
    section.value("followed", json!(found.lags.len()));
    section
}

/// A worker that writes one item at the origin and asks the peer until it is there.
fn follower<'a>(
    origin: &Client,
    peer: &Client,
    delay: Span,
    number: usize,
    lags: &'a Mutex<Vec<u32>>,
) -> Worker<'a> {
    let (origin, peer) = (origin.clone(), peer.clone());
    let mut write = Connection::new(origin.address);
    let mut read = Connection::new(peer.address);
    let mut numbers = Numbers::new(9000 + number as u64);
    let mut turn = 0_u64;
    let first_question = Duration::from_micros(delay.0).saturating_sub(EARLY);
    Box::new(move || {
        turn += 1;
        let key = format!("followed-{number}-{turn}");
        let put = origin.request("PutItem", &items::put("Bench", &key, 1024, &mut numbers))?;
        let get = peer.request("GetItem", &items::get("Bench", &key))?;
        expect_ok(write.exchange(&put)?)?;
        let written = Instant::now();
        std::thread::sleep(first_question);
        loop {
            let reply = expect_ok(read.exchange(&get)?)?;
            let elapsed = written.elapsed();
            if reply.len() > 1024 {
                let lag = u32::try_from(elapsed.as_micros()).unwrap_or(u32::MAX);
                lags.lock().expect("no follower panics").push(lag);
                return Ok(());
            }
            if elapsed > Duration::from_secs(60) {
                bail!("{key} isn't visible in {} after 60 s", peer.region.name());
            }
            std::thread::sleep(PAUSE);
        }
    })
}

//! How soon an object is visible in another Region while hundreds a second are put, and how much
//! crosses a link without delay when much has waited.

use std::sync::Mutex;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use serde_json::json;
use types::Span;

use crate::Arguments;
use crate::connection::Connection;
use crate::lab::Lab;
use crate::load::{Window, Worker, drive};
use crate::objects::{Bucket, Bytes, expect};
use crate::report::Section;
use crate::scenarios::{GOAL_HEAD, goal};
use crate::statistics::{number, percentile};

/// The Regions.
const REGIONS: [&str; 2] = ["us-east-1", "eu-west-1"];

/// The size of an object.
const SIZE: usize = 4 * 1024;

/// Objects a second, the followed ones included; and of these, the followed ones.
const RATE: f64 = 500.0;
const FOLLOWED: f64 = 25.0;

/// How many follow, and how many put the rest.
const FOLLOWERS: usize = 8;
const WRITERS: usize = 16;

/// When the asking begins, before the link's delay has passed; and the pause between questions.
const EARLY: Duration = Duration::from_millis(2);
const PAUSE: Duration = Duration::from_micros(500);

/// What waits for the throughput: so many objects of 8 MiB.
const WAITING: u64 = 128;
const LARGE_MEBIBYTES: u64 = 8;

pub(super) fn run(arguments: &Arguments, section: &mut Section) -> Result<()> {
    eprintln!("   replication");
    lag(arguments, section)?;
    throughput(section)
}

fn lag(arguments: &Arguments, section: &mut Section) -> Result<()> {
    let lab = Lab::start(&REGIONS, 1, 1.0)?;
    let (source, destination) = super::replicated(&lab)?;
    let delay = types::one_way_delay(lab.clients[0].region, lab.clients[1].region);
    let seconds = arguments.seconds * arguments.rounds;
    let lags = Mutex::new(Vec::new());
    std::thread::scope(|scope| -> Result<()> {
        let rest = scope.spawn(|| {
            let window = Window::paced(seconds, RATE - FOLLOWED);
            let workers = source.putters(WRITERS, SIZE, u64::MAX, 1);
            drive(workers, window, &|| Ok(0.0))
        });
        let followers = 0..FOLLOWERS;
        let followers =
            followers.map(|number| follower(&source, &destination, delay, number, &lags));
        let window = Window::paced(seconds, FOLLOWED);
        let followed = drive(followers.collect(), window, &|| Ok(0.0));
        rest.join().expect("putting returns its errors")?;
        followed.map(drop)
    })?;
    let mut lags = lags.into_inner().expect("no follower panics");
    lags.sort_unstable();
    let past = |share: f64| percentile(&lags, share) / 1000.0 - delay.as_milliseconds();
    let (median, late) = (past(0.5), past(0.99));
    section.text(&format!(
        "{} objects of 4 KiB a second put in {} over {seconds} s, {} of them followed in {}; the \
         link's one-way delay between them is {} ms. Past that delay, an object was visible after \
         {} ms at the median, {} ms at p90, {} ms at p99, {} ms at most.",
        number(RATE),
        REGIONS[0],
        lags.len(),
        REGIONS[1],
        number(delay.as_milliseconds()),
        number(median),
        number(past(0.9)),
        number(late),
        number(past(1.0)),
    ));
    let unit = "ms past the delay";
    section.table(
        &GOAL_HEAD,
        &[
            goal(
                "visible, median",
                "delay + 10 ms",
                median,
                unit,
                median <= 10.0,
            ),
            goal("visible, p99", "delay + 60 ms", late, unit, late <= 60.0),
        ],
    );
    section.value("replication_median_milliseconds_past_delay", json!(median));
    section.value("replication_p99_milliseconds_past_delay", json!(late));
    section.value("replication_followed", json!(lags.len()));
    Ok(())
}

/// A worker that puts an object and asks the other Region until it is there.
fn follower<'a>(
    source: &Bucket,
    destination: &Bucket,
    delay: Span,
    number: usize,
    lags: &'a Mutex<Vec<u32>>,
) -> Worker<'a> {
    let (source, destination) = (source.clone(), destination.clone());
    let mut write = Connection::new(source.client.address);
    let mut read = Connection::new(destination.client.address);
    let mut bytes = Bytes::new(SIZE, 9000 + number as u64);
    let mut turn = 0_u64;
    let first_question = Duration::from_micros(delay.0).saturating_sub(EARLY);
    Box::new(move || {
        turn += 1;
        let key = format!("followed-{number}-{turn}");
        let get = destination.head("GET", &key, 0)?;
        source.put(&mut write, &key, bytes.next())?;
        let written = Instant::now();
        std::thread::sleep(first_question);
        loop {
            let transfer = read.transfer(&get, &[])?;
            let elapsed = written.elapsed();
            if transfer.status == 200 {
                let lag = u32::try_from(elapsed.as_micros()).unwrap_or(u32::MAX);
                lags.lock().expect("no follower panics").push(lag);
                return Ok(());
            }
            if transfer.status != 404 {
                expect(&transfer)?;
            }
            if elapsed > Duration::from_secs(60) {
                bail!("{key} isn't in the other Region after 60 s");
            }
            std::thread::sleep(PAUSE);
        }
    })
}

fn throughput(section: &mut Section) -> Result<()> {
    let lab = Lab::start(&REGIONS, 1, 0.0)?;
    let (source, destination) = super::replicated(&lab)?;
    let size = usize::try_from(LARGE_MEBIBYTES * 1024 * 1024)?;
    lab.command(&["fault", "cut", REGIONS[0], REGIONS[1]])?;
    source.fill(4, size, WAITING)?;
    lab.command(&["fault", "heal"])?;
    let mut first = None;
    let started = Instant::now();
    for number in 0..WAITING {
        let key = crate::objects::filled_key(number);
        let path = format!("/{}/{key}?tagging", destination.name);
        while let Err(error) = destination.client.object_call("GET", &path, b"") {
            if started.elapsed() > Duration::from_secs(300) {
                return Err(error.context(format!("{key} isn't in the other Region")));
            }
            std::thread::sleep(Duration::from_millis(2));
        }
        first.get_or_insert_with(Instant::now);
    }
    let seconds = first.map_or(0.0, |first| first.elapsed().as_secs_f64());
    let rate = ((WAITING - 1) * LARGE_MEBIBYTES) as f64 / seconds.max(1e-3);
    section.text(&format!(
        "{WAITING} objects of {LARGE_MEBIBYTES} MiB had waited behind a cut of a link without \
         delay: from the first that was visible to the last, {} MiB/s crossed, each file synced \
         before it was acknowledged.",
        number(rate)
    ));
    let row = goal(
        "across an unshaped link",
        "200 MiB/s or more",
        rate,
        "MiB/s",
        rate >= 200.0,
    );
    section.table(&GOAL_HEAD, &[row]);
    section.value("replication_mebibytes_per_second", json!(rate));
    Ok(())
}

//! The scenarios, a file each: what is done, and the section of the report that comes of it.

mod balancer;
mod cut;
mod databases;
mod dns;
mod failover;
mod flows;
mod identity;
mod memory;
mod objects;
mod peers;
mod replication;
mod start;
mod steering;
mod writes;

use anyhow::Result;
use serde_json::{Value, json};

use crate::Arguments;
use crate::client::Client;
use crate::load::{Measured, Window, Worker, drive, prepare, send_all, senders};
use crate::report::Section;
use crate::statistics::{Spread, number};
use crate::{items, process};

/// A scenario.
pub type Scenario = fn(&Arguments) -> Result<Section>;

/// Every scenario by name, in the order in which they run.
pub const ALL: &[(&str, Scenario)] = &[
    ("start", start::run),
    ("writes", writes::run),
    ("replication", replication::run),
    ("memory", memory::run),
    ("cut", cut::run),
    ("peers", peers::run),
    ("dns", dns::run),
    ("steering", steering::run),
    ("identity", identity::run),
    ("objects", objects::run),
    ("flows", flows::run),
    ("balancer", balancer::run),
    ("failover", failover::run),
    ("databases", databases::run),
];

/// How many connections load a server.
const CONNECTIONS: usize = 32;

/// The size of the items written, as DynamoDB counts it: 1 KiB.
const ITEM_SIZE: usize = 1024;

/// Requests prepared for each second of a closed window, so many that no server here runs out of
/// new items.
const PREPARED_A_SECOND: u64 = 16_000;

/// The windows of one kind of load.
#[derive(Default)]
struct Series(Vec<Measured>);

impl Series {
    fn spread(&self, value: impl Fn(&Measured) -> f64) -> Spread {
        Spread::of(self.0.iter().map(value))
    }

    fn rate(&self) -> Spread {
        self.spread(Measured::rate)
    }

    fn milliseconds(&self, share: f64) -> Spread {
        self.spread(|measured| measured.milliseconds(share))
    }

    fn processor(&self) -> Spread {
        self.spread(Measured::processor_per_operation)
    }

    /// Of each of these windows to the other's of the same round.
    fn ratio(&self, other: &Series, value: impl Fn(&Measured) -> f64) -> Spread {
        let pairs = self.0.iter().zip(&other.0);
        Spread::of(pairs.map(|(ours, theirs)| value(ours) / value(theirs)))
    }

    /// A row of a table: rate, median, p99, processor time.
    fn row(&self, name: &str) -> Vec<String> {
        vec![
            name.to_owned(),
            self.rate().to_string(),
            self.milliseconds(0.5).to_string(),
            self.milliseconds(0.99).to_string(),
            self.processor().to_string(),
        ]
    }

    fn json(&self) -> Value {
        json!({
            "operations_per_second": spread(self.rate()),
            "median_milliseconds": spread(self.milliseconds(0.5)),
            "p99_milliseconds": spread(self.milliseconds(0.99)),
            "processor_microseconds_per_operation": spread(self.processor()),
            "windows": self.0.len(),
        })
    }
}

/// The head of a table of such rows.
const SERIES_HEAD: [&str; 5] = [
    "",
    "operations/s",
    "median ms",
    "p99 ms",
    "processor µs/operation",
];

fn spread(spread: Spread) -> Value {
    json!({"median": spread.median, "least": spread.least, "greatest": spread.greatest})
}

/// A row that says whether a goal was met.
fn goal(what: &str, goal: &str, measured: f64, unit: &str, met: bool) -> Vec<String> {
    vec![
        what.to_owned(),
        goal.to_owned(),
        format!("{} {unit}", number(measured)),
        if met { "yes" } else { "**no**" }.to_owned(),
    ]
}

/// The head of a table of goals.
const GOAL_HEAD: [&str; 4] = ["goal", "asked", "measured", "met"];

/// One window of `PutItem`s of new items of 1 KiB; `round` keeps their keys apart.
fn put_window(
    client: &Client,
    table: &str,
    round: u64,
    window: Window,
    pids: &[u32],
) -> Result<Measured> {
    let a_second = window
        .pace
        .map_or(PREPARED_A_SECOND, |pace| 1 + pace as u64);
    let seconds = (window.warm_up + window.measured).as_secs() + 1;
    let each = (a_second * seconds) as usize / CONNECTIONS + 1;
    let requests = prepare(
        client,
        "PutItem",
        CONNECTIONS,
        each,
        &|connection, index| {
            let key = format!("put-{round}-{connection}-{index}");
            let seed = round << 40 | (connection as u64) << 32 | index as u64;
            items::put(table, &key, ITEM_SIZE, &mut items::Numbers::new(1 + seed))
        },
    )?;
    drive(senders(client, &requests), window, &|| {
        process::processor_seconds(pids)
    })
}

/// One window of `GetItem`s of items that `fill` wrote, in no order.
fn get_window(
    client: &Client,
    table: &str,
    items: usize,
    window: Window,
    pids: &[u32],
) -> Result<Measured> {
    let each = 512;
    let requests = prepare(
        client,
        "GetItem",
        CONNECTIONS,
        each,
        &|connection, index| {
            let seed = (connection * each + index) as u64;
            let mut numbers = items::Numbers::new(1 + seed);
            items::get(table, &filled_key(numbers.below(items as u64) as usize))
        },
    )?;
    drive(senders(client, &requests), window, &|| {
        process::processor_seconds(pids)
    })
}

/// Writes items of 1 KiB for `get_window` to read.
fn fill(client: &Client, table: &str, items: usize) -> Result<()> {
    let each = items.div_ceil(CONNECTIONS);
    let requests = prepare(
        client,
        "PutItem",
        CONNECTIONS,
        each,
        &|connection, index| {
            let number = (connection * each + index) % items;
            let mut numbers = items::Numbers::new(1 + number as u64);
            items::put(table, &filled_key(number), ITEM_SIZE, &mut numbers)
        },
    )?;
    send_all(client, &requests)
}

fn filled_key(number: usize) -> String {
    format!("filled-{number}")
}

/// Workers that write new items of 1 KiB for as long as a window lasts, signing as they go.
fn writers<'a>(client: &Client, table: &'a str, count: usize, round: u64) -> Vec<Worker<'a>> {
    (0..count)
        .map(|worker| {
            let client = client.clone();
            let mut connection = crate::connection::Connection::new(client.address);
            let mut numbers = items::Numbers::new(1 + (round << 32 | worker as u64));
            let mut turn = 0_u64;
            Box::new(move || {
                turn += 1;
                let key = format!("write-{round}-{worker}-{turn}");
                let body = items::put(table, &key, ITEM_SIZE, &mut numbers);
                let request = client.request("PutItem", &body)?;
                crate::client::expect_ok(connection.exchange(&request)?).map(|_| ())
            }) as Worker<'a>
        })
        .collect()
}

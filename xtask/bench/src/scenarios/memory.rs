//! Does a Region's memory grow with the number of its items? One Region, filled with small items;
//! after each filling it is left alone, then read at random, and its memory taken both times.

use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use serde_json::json;

use super::CONNECTIONS;
use crate::Arguments;
use crate::client::{Client, expect_ok};
use crate::connection::Connection;
use crate::items::{self, Numbers};
use crate::lab::Lab;
use crate::load::{Window, drive, prepare, senders};
use crate::process;
use crate::report::Section;
use crate::statistics::number;

/// The size of an item.
const SIZE: usize = 100;

/// Items in a `BatchWriteItem`, as many as it takes.
const BATCH: u64 = 25;

/// How long the Region is left alone after a filling, for its engine to settle.
const SETTLE: Duration = Duration::from_secs(10);

pub fn run(arguments: &Arguments) -> Result<Section> {
    let mut section = Section::default();
    if arguments.no_lab {
        return Ok(section);
    }
    let lab = Lab::start(&["us-east-1"], 0, 1.0)?;
    let client = &lab.clients[0];
    let pid = lab.regions()?[0];
    client.create_table("Bench")?;
    let mut rows = Vec::new();
    let mut values = Vec::new();
    let mut present = 0;
    for wanted in [0, arguments.items / 5, arguments.items] {
        let started = Instant::now();
        fill(client, present, wanted)?;
        let rate = (wanted - present) as f64 / started.elapsed().as_secs_f64();
        present = wanted;
        std::thread::sleep(SETTLE);
        let settled = process::memory(pid)?;
        read(client, present, arguments.seconds)?;
        let after_reads = process::memory(pid)?;
        let disk = process::disk(&lab.folder_of(client.region))? as f64 / 1024.0 / 1024.0;
        rows.push(vec![
            number(present as f64),
            number(rate),
            number(settled),
            number(after_reads),
            number(disk),
        ]);
        values.push(json!({
            "items": present, "items_written_per_second": rate, "settled_mebibytes": settled,
            "after_reads_mebibytes": after_reads, "disk_mebibytes": disk,
        }));
    }
    section.text(&format!(
        "One Region filled with items of {SIZE} bytes by BatchWriteItem over {CONNECTIONS} \
         connections, left alone for 10 s, then read at random for {} s.",
        arguments.seconds
    ));
    let head = [
        "items",
        "written/s",
        "PSS MiB, settled",
        "PSS MiB, after reads",
        "disk MiB",
    ];
    section.table(&head, &rows);
    section.value("fillings", json!(values));
    Ok(section)
}

fn key(number: u64) -> String {
    format!("item-{number:010}")
}

/// Writes the items from one number up to another, each connection its share.
fn fill(client: &Client, from: u64, to: u64) -> Result<()> {
    let share = (to - from).div_ceil(CONNECTIONS as u64);
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..CONNECTIONS as u64)
            .map(|connection| {
                let start = (from + connection * share).min(to);
                scope.spawn(move || fill_range(client, start, (start + share).min(to)))
            })
            .collect();
        threads
            .into_iter()
            .try_for_each(|thread| thread.join().expect("filling returns its errors"))
    })
}

fn fill_range(client: &Client, from: u64, to: u64) -> Result<()> {
    let mut connection = Connection::new(client.address);
    let mut numbers = Numbers::new(1 + from);
    let mut start = from;
    while start < to {
        let end = (start + BATCH).min(to);
        let puts: Vec<_> = (start..end)
            .map(|number| {
                json!({"PutRequest": {"Item": items::item(&key(number), SIZE, &mut numbers)}})
            })
            .collect();
        let body = json!({"RequestItems": {"Bench": puts}}).to_string();
        let request = client.request("BatchWriteItem", body.as_bytes())?;
        let reply = expect_ok(connection.exchange(&request)?)?;
        let reply: serde_json::Value = serde_json::from_slice(reply)?;
        let unprocessed = reply["UnprocessedItems"].as_object();
        if unprocessed.is_some_and(|items| !items.is_empty()) {
            bail!("BatchWriteItem left items unprocessed");
        }
        start = end;
    }
    Ok(())
}

/// Reads at random for so many seconds.
fn read(client: &Client, items: u64, seconds: u64) -> Result<()> {
    let requests = prepare(
        client,
        "GetItem",
        CONNECTIONS,
        2000,
        &|connection, index| {
            let mut numbers = Numbers::new(1 + (connection * 2000 + index) as u64);
            items::get("Bench", &key(numbers.below(items.max(1))))
        },
    )?;
    drive(senders(client, &requests), Window::closed(seconds), &|| {
        Ok(0.0)
    })
    .map(|_| ())
}

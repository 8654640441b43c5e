//! Objects of 4 KiB, put and fetched over 16 connections, beside other stores: pairs of windows in
//! turn.

use anyhow::Result;
use serde_json::json;

use crate::lab::Lab;
use crate::load::{Measured, Window, drive};
use crate::objects::Bucket;
use crate::objects::peers::{PEERS, Peer};
use crate::report::Section;
use crate::scenarios::{GOAL_HEAD, SERIES_HEAD, Series, goal, spread};
use crate::statistics::number;
use crate::{Arguments, process};

/// The size of an object.
const SIZE: usize = 4 * 1024;

/// How many connections load a server.
const CONNECTIONS: usize = 16;

/// Objects that are fetched.
const FILLED: u64 = 2_000;

/// The windows of one store and of ours beside it.
#[derive(Default)]
struct Compared {
    puts: Series,
    gets: Series,
    our_puts: Series,
    our_gets: Series,
    memory: f64,
}

pub(super) fn run(arguments: &Arguments, section: &mut Section) -> Result<()> {
    let lab = match arguments.no_lab {
        true => None,
        false => Some(Lab::start(&["us-east-1"], 0, 1.0)?),
    };
    let ours = match &lab {
        None => None,
        Some(lab) => {
            let bucket = super::bucket(lab, 0, "bench-small")?;
            bucket.fill(CONNECTIONS, SIZE, FILLED)?;
            Some((bucket, lab.regions()?))
        }
    };
    let (mut found, mut missing) = (Vec::new(), Vec::new());
    let wanted = |peer: &&Peer| {
        let part = arguments.peer.as_ref();
        part.is_none_or(|part| peer.name.contains(part))
    };
    for (index, peer) in PEERS.iter().filter(wanted).enumerate() {
        eprintln!("   {}", peer.name);
        match compare(arguments, peer, ours.as_ref(), index as u64) {
            Ok(compared) => found.push((peer, compared)),
            Err(error) => missing.push(format!("{} {}: {error:#}", peer.name, peer.version)),
        }
    }
    if found.is_empty()
        && let Some(ours) = &ours
    {
        // Ours is measured all the same.
        let mut alone = Compared::default();
        for round in 0..arguments.rounds {
            own_windows(arguments, ours, 500 + round, &mut alone)?;
        }
        write(arguments, section, &[], &alone, &missing);
        return Ok(());
    }
    let mut all = Compared::default();
    for (_, compared) in &mut found {
        all.our_puts.0.extend(compared.our_puts.0.iter().cloned());
        all.our_gets.0.extend(compared.our_gets.0.iter().cloned());
    }
    write(arguments, section, &found, &all, &missing);
    Ok(())
}

fn compare(
    arguments: &Arguments,
    peer: &Peer,
    ours: Option<&(Bucket, Vec<u32>)>,
    index: u64,
) -> Result<Compared> {
    let running = peer.start()?;
    let pids = [running.server.pid()];
    running.bucket.fill(CONNECTIONS, SIZE, FILLED)?;
    let mut compared = Compared::default();
    for round in 0..arguments.rounds {
        let keys = index * 1000 + round;
        if let Some(ours) = ours {
            own_windows(arguments, ours, keys, &mut compared)?;
        }
        let bucket = &running.bucket;
        compared.puts.0.push(put(arguments, bucket, keys, &pids)?);
        compared.gets.0.push(get(arguments, bucket, &pids)?);
    }
    compared.memory = process::memory(pids[0])?;
    Ok(compared)
}

fn own_windows(
    arguments: &Arguments,
    (bucket, pids): &(Bucket, Vec<u32>),
    keys: u64,
    compared: &mut Compared,
) -> Result<()> {
    let put = put(arguments, bucket, keys, pids)?;
    compared.our_puts.0.push(put);
    compared.our_gets.0.push(get(arguments, bucket, pids)?);
    Ok(())
}

fn put(arguments: &Arguments, bucket: &Bucket, round: u64, pids: &[u32]) -> Result<Measured> {
    let workers = bucket.putters(CONNECTIONS, SIZE, u64::MAX, round);
    let window = Window::closed(arguments.seconds);
    drive(workers, window, &|| process::processor_seconds(pids))
}

fn get(arguments: &Arguments, bucket: &Bucket, pids: &[u32]) -> Result<Measured> {
    let workers = bucket.getters(CONNECTIONS, SIZE, FILLED)?;
    let window = Window::closed(arguments.seconds);
    drive(workers, window, &|| process::processor_seconds(pids))
}

fn write(
    arguments: &Arguments,
    section: &mut Section,
    found: &[(&Peer, Compared)],
    ours: &Compared,
    missing: &[String],
) {
    section.text(&format!(
        "Objects of 4 KiB over {CONNECTIONS} connections, {} pairs of windows of {} s in turn: \
         median (least to greatest). Every put is of a new key and of bytes not seen before. An \
         object that Causeway has acknowledged has survived a power cut, encrypted and with its \
         checksums; what one has survived elsewhere stands beside it.",
        arguments.rounds, arguments.seconds
    ));
    let mut rows = Vec::new();
    if !ours.our_puts.0.is_empty() {
        rows.push(ours.our_puts.row("PUT, durable"));
        rows.push(ours.our_gets.row("GET"));
    }
    for (peer, compared) in found {
        let name = format!("{} {}", peer.name, peer.version);
        rows.push(compared.puts.row(&format!("PUT, {name}")));
        rows.push(compared.gets.row(&format!("GET, {name}")));
    }
    section.table(&SERIES_HEAD, &rows);
    if !ours.our_puts.0.is_empty() {
        compare_table(section, found);
        goals(section, found, ours);
    }
    for line in missing {
        section.text(&format!("Not measured: {line}"));
    }
    section.value("put_4_kib", ours.our_puts.json());
    section.value("get_4_kib", ours.our_gets.json());
    for (peer, compared) in found {
        let value = json!({
            "version": peer.version, "durability": peer.durability,
            "put": compared.puts.json(), "get": compared.gets.json(),
            "put_ratio": spread(compared.our_puts.ratio(&compared.puts, Measured::rate)),
            "get_ratio": spread(compared.our_gets.ratio(&compared.gets, Measured::rate)),
            "memory_mebibytes": compared.memory,
        });
        section.value(peer.name, value);
    }
    section.value("not_measured", json!(missing));
}

fn compare_table(section: &mut Section, found: &[(&Peer, Compared)]) {
    let head = [
        "Causeway to",
        "PUT, times",
        "GET, times",
        "PSS MiB there",
        "an object there survives",
    ];
    let row = |(peer, compared): &(&Peer, Compared)| {
        let ratio = |ours: &Series, theirs: &Series| ours.ratio(theirs, Measured::rate).to_string();
        vec![
            peer.name.to_owned(),
            ratio(&compared.our_puts, &compared.puts),
            ratio(&compared.our_gets, &compared.gets),
            number(compared.memory),
            peer.durability.to_owned(),
        ]
    };
    let rows: Vec<Vec<String>> = found.iter().map(row).collect();
    if !rows.is_empty() {
        section.table(&head, &rows);
    }
}

fn goals(section: &mut Section, found: &[(&Peer, Compared)], ours: &Compared) {
    let (puts, gets) = (ours.our_puts.rate().median, ours.our_gets.rate().median);
    let mut rows = vec![
        goal(
            "PUT, durable",
            "3,000/s or more",
            puts,
            "/s",
            puts >= 3000.0,
        ),
        goal("GET", "12,000/s or more", gets, "/s", gets >= 12_000.0),
    ];
    if let Some((_, garage)) = found.iter().find(|(peer, _)| peer.name == "garage") {
        let puts = garage.our_puts.ratio(&garage.puts, Measured::rate).median;
        let gets = garage.our_gets.ratio(&garage.gets, Measured::rate).median;
        let asked = "4 times or more";
        rows.push(goal("PUT to garage's", asked, puts, "times", puts >= 4.0));
        rows.push(goal("GET to garage's", asked, gets, "times", gets >= 4.0));
    }
    section.table(&GOAL_HEAD, &rows);
}

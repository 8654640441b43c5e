//! Objects of 8 MiB over 4 connections: put, and fetched beside nginx, which serves the same bytes
//! from files.

use std::fs;

use anyhow::Result;
use serde_json::json;

use crate::connection::Connection;
use crate::lab::{Folder, Lab};
use crate::load::{Measured, Window, Worker, drive};
use crate::objects::peers::{PEERS, nginx};
use crate::objects::{Bucket, Bytes, expect, filled_key};
use crate::report::Section;
use crate::scenarios::{GOAL_HEAD, Series, goal, spread};
use crate::statistics::{Spread, number};
use crate::{Arguments, process};

/// The size of an object.
const MEBIBYTES: usize = 8;
const SIZE: usize = MEBIBYTES * 1024 * 1024;

/// How many connections load a server.
const CONNECTIONS: usize = 4;

/// Objects that are fetched: so few that all of them stay in the system's memory.
const FILLED: u64 = 16;

/// Keys that each connection puts in turn, so that the disk isn't filled.
const KEYS: u64 = 8;

pub(super) fn run(arguments: &Arguments, section: &mut Section) -> Result<()> {
    let lab = match arguments.no_lab {
        true => None,
        false => Some(Lab::start(&["us-east-1"], 0, 1.0)?),
    };
    let ours = match &lab {
        None => None,
        Some(lab) => Some((super::bucket(lab, 0, "bench-large")?, lab.regions()?)),
    };
    if let Some((bucket, _)) = &ours {
        bucket.fill(CONNECTIONS, SIZE, FILLED)?;
    }
    let mut rows: Vec<(String, Series)> = Vec::new();
    let mut missing = Vec::new();
    let [mut puts, mut gets, mut files] = [(); 3].map(|()| Series::default());
    let server = start_nginx();
    if let Err(error) = &server {
        missing.push(format!("nginx: {error:#}"));
    }
    for round in 0..arguments.rounds {
        if let Some((bucket, pids)) = &ours {
            puts.0.push(put(arguments, bucket, round, pids)?);
            let workers = bucket.getters(CONNECTIONS, SIZE, FILLED)?;
            gets.0.push(window(arguments, workers, pids)?);
        }
        if let Ok((_, server, address)) = &server {
            files
                .0
                .push(nginx_window(arguments, *address, server.pid())?);
        }
    }
    rows.push(("PUT, durable".to_owned(), puts));
    rows.push(("GET".to_owned(), gets));
    rows.push(("GET of files, nginx".to_owned(), files));
    drop(server);
    let wanted = |name: &str| {
        arguments
            .peer
            .as_ref()
            .is_none_or(|part| name.contains(part))
    };
    for peer in PEERS.iter().filter(|peer| wanted(peer.name)) {
        eprintln!("   {}, 8 MiB", peer.name);
        match of_peer(arguments, peer) {
            Ok([puts, gets]) => {
                rows.push((format!("PUT, {} {}", peer.name, peer.version), puts));
                rows.push((format!("GET, {} {}", peer.name, peer.version), gets));
            }
            Err(error) => missing.push(format!("{} {}: {error:#}", peer.name, peer.version)),
        }
    }
    write(arguments, section, &rows, &missing);
    Ok(())
}

fn of_peer(arguments: &Arguments, peer: &crate::objects::peers::Peer) -> Result<[Series; 2]> {
    let running = peer.start()?;
    let pids = [running.server.pid()];
    running.bucket.fill(CONNECTIONS, SIZE, FILLED)?;
    let [mut puts, mut gets] = [(); 2].map(|()| Series::default());
    for round in 0..arguments.rounds {
        puts.0.push(put(arguments, &running.bucket, round, &pids)?);
        let workers = running.bucket.getters(CONNECTIONS, SIZE, FILLED)?;
        gets.0.push(window(arguments, workers, &pids)?);
    }
    Ok([puts, gets])
}

fn put(arguments: &Arguments, bucket: &Bucket, round: u64, pids: &[u32]) -> Result<Measured> {
    // The same keys in every round: what they held is removed meanwhile, which is part of it.
    let _ = round;
    window(arguments, bucket.putters(CONNECTIONS, SIZE, KEYS, 1), pids)
}

fn window(arguments: &Arguments, workers: Vec<Worker<'_>>, pids: &[u32]) -> Result<Measured> {
    let window = Window::closed(arguments.seconds);
    drive(workers, window, &|| process::processor_seconds(pids))
}

type Files = (Folder, process::Server, std::net::SocketAddr);

fn start_nginx() -> Result<Files> {
    let folder = Folder::new("files")?;
    let files = folder.path().join("files");
    fs::create_dir(&files)?;
    for number in 0..FILLED {
        fs::write(
            files.join(filled_key(number)),
            Bytes::new(SIZE, number).next(),
        )?;
    }
    let (server, address) = nginx(&folder)?;
    Ok((folder, server, address))
}

fn nginx_window(
    arguments: &Arguments,
    address: std::net::SocketAddr,
    master: u32,
) -> Result<Measured> {
    let workers = (0..CONNECTIONS as u64).map(|number| {
        let mut connection = Connection::new(address);
        let mut turn = number;
        Box::new(move || {
            turn += 1;
            let key = filled_key(turn % FILLED);
            let head = format!("GET /{key} HTTP/1.1\r\nhost: {address}\r\n\r\n");
            expect(&connection.transfer(head.as_bytes(), &[])?)
        }) as Worker<'static>
    });
    let children = process::children(master)?;
    let pids: Vec<u32> = children.into_iter().map(|(pid, _)| pid).collect();
    window(arguments, workers.collect(), &pids)
}

fn write(
    arguments: &Arguments,
    section: &mut Section,
    rows: &[(String, Series)],
    missing: &[String],
) {
    section.text(&format!(
        "Objects of {MEBIBYTES} MiB over {CONNECTIONS} connections, windows of {} s in turn with \
         nginx's, which serves the same bytes from files by `sendfile`; the other stores follow. \
         Every put is of bytes not seen before, over keys that come again after {KEYS}.",
        arguments.seconds
    ));
    let head = ["", "MiB/s", "median ms", "p99 ms", "processor ms/operation"];
    let rate = |series: &Series| series.spread(|m| m.rate() * MEBIBYTES as f64);
    let measured = rows.iter().filter(|(_, series)| !series.0.is_empty());
    let table: Vec<Vec<String>> = measured
        .map(|(name, series)| {
            let processor = series.spread(|m| m.processor_per_operation() / 1000.0);
            vec![
                name.clone(),
                rate(series).to_string(),
                series.milliseconds(0.5).to_string(),
                series.milliseconds(0.99).to_string(),
                processor.to_string(),
            ]
        })
        .collect();
    section.table(&head, &table);
    let [(_, puts), (_, gets), (_, files), ..] = rows else {
        return;
    };
    if !puts.0.is_empty() {
        let put = rate(puts).median;
        let mut goals = vec![goal(
            "PUT, durable",
            "250 MiB/s or more",
            put,
            "MiB/s",
            put >= 250.0,
        )];
        if !files.0.is_empty() {
            let times: Spread = files.ratio(gets, Measured::rate);
            goals.push(goal(
                "nginx's GET to ours",
                "1.3 times or less",
                times.median,
                "times",
                times.median <= 1.3,
            ));
            section.value("nginx_to_causeway", spread(times));
        }
        section.table(&GOAL_HEAD, &goals);
    }
    for line in missing {
        section.text(&format!("Not measured at {MEBIBYTES} MiB: {line}"));
    }
    for (name, series) in rows {
        let value =
            json!({"mebibytes_per_second": number(rate(series).median), "all": series.json()});
        section.value(&format!("8 MiB: {name}"), value);
    }
}

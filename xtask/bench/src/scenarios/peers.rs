//! Other implementations of the same API under the same load, window by window in turn with ours,
//! each against a server of its own that is idle while the other's turn is.

use anyhow::Result;
use serde_json::{Value, json};

use super::{CONNECTIONS, Series, fill, get_window, put_window, spread};
use crate::Arguments;
use crate::lab::Lab;
use crate::load::{Measured, Window};
use crate::peers::{PEERS, Peer};
use crate::process;
use crate::report::Section;
use crate::statistics::number;

/// Items that are read; few, for the slowest peer's sake.
const READ_ITEMS: usize = 1000;

/// The windows of one peer and of ours beside it.
struct Compared {
    puts: Series,
    gets: Series,
    our_puts: Series,
    our_gets: Series,
    memory: f64,
}

pub fn run(arguments: &Arguments) -> Result<Section> {
    let lab = match arguments.no_lab {
        true => None,
        false => Some(Lab::start(&["us-east-1"], 0, 1.0)?),
    };
    if let Some(lab) = &lab {
        lab.clients[0].create_table("Bench")?;
        fill(&lab.clients[0], "Bench", READ_ITEMS)?;
    }
    let (mut found, mut missing) = (Vec::new(), Vec::new());
    let wanted = |peer: &&Peer| {
        let part = arguments.peer.as_ref();
        part.is_none_or(|part| peer.name.contains(part))
    };
    for (index, peer) in PEERS.iter().filter(wanted).enumerate() {
        eprintln!("   {}", peer.name);
        match compare(arguments, peer, lab.as_ref(), index as u64) {
            Ok(compared) => found.push((peer, compared)),
            Err(error) => missing.push(format!("{} {}: {error:#}", peer.name, peer.version)),
        }
    }
    Ok(section(arguments, lab.is_some(), &found, &missing))
}

fn section(
    arguments: &Arguments,
    with_lab: bool,
    found: &[(&Peer, Compared)],
    missing: &[String],
) -> Section {
    let mut section = Section::default();
    section.text(&format!(
        "{CONNECTIONS} connections, {} pairs of windows of {} s in turn, items of 1 KiB. Causeway's \
         operations a second to the peer's, pair by pair: median (least to greatest). Causeway's \
         acknowledged writes survive a power cut and its requests' signatures are verified; what \
         each peer's survive stands beside it, and none of them verifies a signature.",
        arguments.rounds, arguments.seconds
    ));
    if with_lab {
        let head = [
            "Causeway to",
            "PutItem, times",
            "GetItem, times",
            "a write there survives",
        ];
        let rows: Vec<_> = found
            .iter()
            .map(|(peer, compared)| ratio_row(peer, compared))
            .collect();
        section.table(&head, &rows);
    }
    let head = [
        "peer",
        "PutItem/s",
        "PutItem p99 ms",
        "GetItem/s",
        "GetItem p99 ms",
        "processor µs/put",
        "processor µs/get",
        "PSS MiB",
    ];
    let rows: Vec<_> = found
        .iter()
        .map(|(peer, compared)| absolute(peer, compared))
        .collect();
    section.table(&head, &rows);
    for line in missing {
        section.text(&format!("Not measured: {line}"));
    }
    for (peer, compared) in found {
        section.value(peer.name, compared.json(peer));
    }
    section.value("not_measured", json!(missing));
    section
}

impl Compared {
    fn json(&self, peer: &Peer) -> Value {
        json!({
            "version": peer.version,
            "durability": peer.durability,
            "put": self.puts.json(),
            "get": self.gets.json(),
            "causeway_put": self.our_puts.json(),
            "causeway_get": self.our_gets.json(),
            "put_ratio": spread(self.our_puts.ratio(&self.puts, Measured::rate)),
            "get_ratio": spread(self.our_gets.ratio(&self.gets, Measured::rate)),
            "memory_mebibytes": self.memory,
        })
    }
}

fn compare(arguments: &Arguments, peer: &Peer, lab: Option<&Lab>, index: u64) -> Result<Compared> {
    let running = peer.start()?;
    let pids = [running.server.pid()];
    running.client.create_table("Bench")?;
    fill(&running.client, "Bench", READ_ITEMS)?;
    let window = Window::closed(arguments.seconds);
    let [mut puts, mut gets, mut our_puts, mut our_gets] = [(); 4].map(|()| Series::default());
    for round in 0..arguments.rounds {
        let keys = index * 1000 + round;
        if let Some(lab) = lab {
            let (client, pids) = (&lab.clients[0], lab.regions()?);
            our_puts
                .0
                .push(put_window(client, "Bench", keys, window, &pids)?);
            our_gets
                .0
                .push(get_window(client, "Bench", READ_ITEMS, window, &pids)?);
        }
        puts.0
            .push(put_window(&running.client, "Bench", keys, window, &pids)?);
        gets.0.push(get_window(
            &running.client,
            "Bench",
            READ_ITEMS,
            window,
            &pids,
        )?);
    }
    let memory = process::memory(pids[0])?;
    Ok(Compared {
        puts,
        gets,
        our_puts,
        our_gets,
        memory,
    })
}

fn absolute(peer: &Peer, compared: &Compared) -> Vec<String> {
    vec![
        format!("{} {}", peer.name, peer.version),
        compared.puts.rate().to_string(),
        number(compared.puts.milliseconds(0.99).median),
        compared.gets.rate().to_string(),
        number(compared.gets.milliseconds(0.99).median),
        number(compared.puts.processor().median),
        number(compared.gets.processor().median),
        number(compared.memory),
    ]
}

fn ratio_row(peer: &Peer, compared: &Compared) -> Vec<String> {
    vec![
        peer.name.to_owned(),
        compared
            .our_puts
            .ratio(&compared.puts, Measured::rate)
            .to_string(),
        compared
            .our_gets
            .ratio(&compared.gets, Measured::rate)
            .to_string(),
        peer.durability.to_owned(),
    ]
}

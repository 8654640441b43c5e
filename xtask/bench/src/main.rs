//! `cargo xtask bench`: what Causeway costs in time, processor and memory, beside the bare engine
//! and beside other implementations of the same API, measured in one run and written into
//! docs/benchmarks.md. It judges nothing: a goal that is missed is printed, not an error.
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "part of xtask, which invariant 1 leaves out: it opens sockets, reads clocks and \
              starts processes because that is what it measures"
)]

mod balancer;
mod client;
mod connection;
mod databases;
mod dns;
mod engine;
mod failover;
mod flows;
mod identity;
mod items;
mod lab;
mod load;
mod machine;
mod objects;
mod peers;
mod process;
mod report;
mod scenarios;
mod statistics;

use std::path::{Path, PathBuf};

use anyhow::{Result, bail};
use clap::Parser;

/// Measure Causeway and write docs/benchmarks.md.
#[derive(Parser)]
#[command(name = "cargo xtask bench", max_term_width = 100)]
pub struct Arguments {
    /// Only the scenario of that name: start, writes, replication, memory, cut, peers, dns,
    /// steering, identity, objects, flows, balancer, failover, databases
    #[arg(long, value_name = "NAME")]
    only: Option<String>,
    /// How long one measured window of load is
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..=600))]
    seconds: u64,
    /// How often each window, or each start, is repeated
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..=100))]
    rounds: u64,
    /// How many items the scenario `memory` ends with
    #[arg(long, value_name = "N", default_value_t = 1_000_000)]
    items: u64,
    /// How many principals the scenario `identity` has
    #[arg(long, value_name = "N", default_value_t = 100_000, value_parser = principals)]
    principals: usize,
    /// How many objects the bucket has that the scenario `objects` lists
    #[arg(long, value_name = "N", default_value_t = 1_000_000, value_parser = clap::value_parser!(u64).range(1_000..=10_000_000))]
    objects: u64,
    /// The size in MiB of the object that the scenario `objects` uploads in parts
    #[arg(long, value_name = "N", default_value_t = 5_120, value_parser = clap::value_parser!(u64).range(16..=20_480))]
    object_mebibytes: u64,
    /// How long the scenario `cut` cuts the link
    #[arg(long, value_name = "N", default_value_t = 60)]
    cut_seconds: u64,
    /// Cut the link for 10 minutes
    #[arg(long)]
    long: bool,
    /// Of the scenarios `peers` and `objects`, only the peers whose name contains this
    #[arg(long, value_name = "NAME")]
    peer: Option<String>,
    /// Of the scenario `databases`, only the parts whose name contains this; nothing is written to
    /// docs
    #[arg(long, value_name = "NAME")]
    part: Option<String>,
    /// Measure the peers and the bare engine alone, without a lab; nothing is written to docs
    #[arg(long)]
    no_lab: bool,
    /// Write every result as JSON, too
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

fn main() -> Result<()> {
    let mut words = std::env::args_os().skip(1);
    match words.next() {
        Some(word) if word == process::TIED => return process::become_tied(words),
        Some(word) if word == lab::SWEEP => return lab::sweep(texts(words)),
        Some(word) if word == dns::serve::SERVE => {
            return dns::serve::serve(texts(words));
        }
        Some(word) if word == dns::endpoint::ENDPOINT => return dns::endpoint::serve(),
        Some(word) if word == balancer::SERVE => return balancer::serve(texts(words)),
        Some(word) if word == flows::serve::SERVE => return flows::serve::serve(texts(words)),
        Some(word) if word == flows::serve::ECHO => return flows::serve::echo(texts(words)),
        Some(word) if word == failover::endpoint::SERVE => return failover::endpoint::serve(),
        Some(word) if word == flows::datagrams::LOAD => {
            return flows::datagrams::load(texts(words));
        }
        _ => {}
    }
    let arguments = Arguments::parse();
    let chosen: Vec<_> = scenarios::ALL
        .iter()
        .filter(|(name, _)| arguments.only.as_ref().is_none_or(|only| only == name))
        .collect();
    if chosen.is_empty() {
        let names: Vec<&str> = scenarios::ALL.iter().map(|(name, _)| *name).collect();
        bail!("no such scenario; there are {}", names.join(", "));
    }
    let _sweeper = lab::start_sweeper()?;
    let is_whole = !arguments.no_lab && arguments.part.is_none();
    let is_written = is_whole && std::env::var_os(lab::BINARY).is_none();
    let mut report = report::Report::new(&root());
    for (name, scenario) in chosen {
        eprintln!("== {name}");
        let section = scenario(&arguments)?;
        print!("{}", section.markdown());
        report.add(name, section, is_written)?;
    }
    report.write_json(arguments.json.as_deref())
}

/// Those of the words that are text.
fn texts(words: impl Iterator<Item = std::ffi::OsString>) -> impl Iterator<Item = String> {
    words.filter_map(|word| word.into_string().ok())
}

/// As many as keys can be made of in turn, and as settings can hold.
fn principals(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(count @ 20..=150_000) => Ok(count),
        _ => Err("20 to 150000".to_owned()),
    }
}

/// The root of the checkout.
fn root() -> PathBuf {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR"));
    let root = manifest.ancestors().nth(2);
    root.expect("the package stands two folders below the root")
        .to_owned()
}

//! From the start of the program to three Regions answering, and what they take when idle.

use std::time::Duration;

use anyhow::Result;
use serde_json::json;

use super::{GOAL_HEAD, goal, spread};
use crate::Arguments;
use crate::lab::{Folder, Lab};
use crate::process;
use crate::report::Section;
use crate::statistics::{Spread, number};

/// The Regions of a lab as a newcomer gets it.
pub const REGIONS: [&str; 3] = ["us-east-1", "eu-west-1", "ap-southeast-1"];

/// How long Regions are left alone before their memory is read.
const IDLE: Duration = Duration::from_secs(10);

pub fn run(arguments: &Arguments) -> Result<Section> {
    let mut section = Section::default();
    if arguments.no_lab {
        return Ok(section);
    }
    let (mut fresh, mut again) = (Vec::new(), Vec::new());
    let mut idle = Vec::new();
    for round in 0..arguments.rounds {
        let folder = Folder::new("start")?;
        let data = folder.path().join("data");
        let lab = Lab::start_in(&data, &REGIONS, 1, 1.0)?;
        fresh.push(milliseconds(&lab));
        if round == 0 {
            idle = idle_sites(&lab)?;
        }
        lab.stop();
        let lab = Lab::start_in(&data, &REGIONS, 1, 1.0)?;
        again.push(milliseconds(&lab));
        lab.stop();
    }
    let (fresh, again) = (Spread::of(fresh), Spread::of(again));
    section.text(&format!(
        "From the start of the process to a signed request answered by each of three Regions, in \
         milliseconds, {} starts each: {fresh} on an empty data directory (certificates, keys and \
         databases are made), {again} on what that left.",
        arguments.rounds
    ));
    let rows: Vec<Vec<String>> = idle
        .iter()
        .map(|(name, memory, processor)| {
            vec![
                name.clone(),
                number(*memory),
                number(processor * 1000.0 / IDLE.as_secs_f64()),
            ]
        })
        .collect();
    section.table(&["idle for 10 s", "PSS MiB", "processor ms/s"], &rows);
    let regions = idle
        .iter()
        .filter(|(name, ..)| REGIONS.contains(&name.as_str()));
    let greatest = regions.map(|(_, memory, _)| *memory).fold(0.0, f64::max);
    let slowest = fresh.median.max(again.median);
    section.table(
        &GOAL_HEAD,
        &[
            goal(
                "start to ready, three Regions",
                "1,000 ms or less",
                slowest,
                "ms",
                slowest <= 1000.0,
            ),
            goal(
                "an idle Region",
                "40 MiB or less",
                greatest,
                "MiB",
                greatest <= 40.0,
            ),
        ],
    );
    section.value("fresh_milliseconds", spread(fresh));
    section.value("again_milliseconds", spread(again));
    section.value("idle", json!(idle));
    Ok(section)
}

fn milliseconds(lab: &Lab) -> f64 {
    lab.ready_after.as_secs_f64() * 1000.0
}

/// Each process's name, memory, and processor seconds over the idle time.
fn idle_sites(lab: &Lab) -> Result<Vec<(String, f64, f64)>> {
    let mut sites = vec![("supervisor".to_owned(), lab.supervisor())];
    for name in REGIONS.iter().chain(&["edge-1"]) {
        sites.push(((*name).to_owned(), lab.site(name)?));
    }
    let mut before = Vec::new();
    for (_, pid) in &sites {
        before.push(process::processor_seconds(&[*pid])?);
    }
    std::thread::sleep(IDLE);
    let mut idle = Vec::new();
    for ((name, pid), before) in sites.into_iter().zip(before) {
        let used = process::processor_seconds(&[pid])? - before;
        idle.push((name, process::memory(pid)?, used));
    }
    Ok(idle)
}

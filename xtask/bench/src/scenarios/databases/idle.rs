//! What an instance of the smallest class takes while nobody uses it: the memory of all its
//! server's processes.

use std::time::Duration;

use anyhow::Result;
use serde_json::json;

use super::super::{GOAL_HEAD, goal};
use super::REGIONS;
use crate::Arguments;
use crate::databases::{self, CLASS};
use crate::lab::Lab;
use crate::process;
use crate::report::Section;
use crate::statistics::number;

/// How long it is left alone.
const SETTLE: Duration = Duration::from_secs(10);

pub fn run(_: &Arguments, section: &mut Section) -> Result<()> {
    let lab = Lab::start(&REGIONS[..1], 0, 0.0)?;
    let region = lab.regions()?[0];
    let without = process::memory(region)?;
    let instance = databases::create(&lab, &lab.clients[0], "idle")?;
    std::thread::sleep(SETTLE);
    let root = instance.postmaster()?;
    let pids = process::tree(root)?;
    let mut memory = 0.0;
    for pid in &pids {
        memory += process::memory(*pid)?;
    }
    let with = process::memory(region)?;
    let before = process::tree_seconds(root)?;
    std::thread::sleep(SETTLE);
    let used = 1000.0 * (process::tree_seconds(root)? - before) / SETTLE.as_secs_f64();
    lab.stop();
    section.text(&format!(
        "An instance of {CLASS}, left alone for {} s: {} MiB (PSS) in the {} processes of its server, \
         Causeway's own sessions there included, and {} ms of processor time a second over the \
         next {} s; its Region's process grew from {} to {} MiB.",
        SETTLE.as_secs(),
        number(memory),
        pids.len(),
        number(used),
        SETTLE.as_secs(),
        number(without),
        number(with),
    ));
    let row = goal(
        &format!("an idle instance of {CLASS}"),
        "60 MiB or less",
        memory,
        "MiB",
        memory <= 60.0,
    );
    section.table(&GOAL_HEAD, &[row]);
    let values = json!({
        "pss_mebibytes": memory, "processes": pids.len(), "processor_milliseconds_per_second": used,
        "region_mebibytes_without": without, "region_mebibytes_with": with,
    });
    section.value("idle", values);
    Ok(())
}

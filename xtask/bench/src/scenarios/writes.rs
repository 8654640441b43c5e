//! Durable signed writes and reads of one Region, beside the bare engine written to in the same
//! way, window by window in turn.

use anyhow::Result;

use super::{CONNECTIONS, GOAL_HEAD, ITEM_SIZE, SERIES_HEAD, Series, goal, spread};
use super::{fill, get_window, put_window};
use crate::lab::{Folder, Lab};
use crate::load::{Measured, Window, drive};
use crate::report::Section;
use crate::{Arguments, engine, process};

/// Items that are read: more than the engine's cache holds, fewer than the machine's.
const READ_ITEMS: usize = 20_000;

/// The pace at which both are compared a second time, below what either can do.
const PACE: f64 = 2_000.0;

pub fn run(arguments: &Arguments) -> Result<Section> {
    let folder = Folder::new("engine")?;
    let bare = engine::open(&folder.path().join("database"))?;
    let closed = Window::closed(arguments.seconds);
    let paced = Window::paced(arguments.seconds, PACE);
    let engine_window = |round: u64, window: Window| -> Result<Measured> {
        let workers = engine::committers(&bare, CONNECTIONS, ITEM_SIZE, round);
        let own = [std::process::id()];
        drive(workers, window, &|| process::processor_seconds(&own))
    };
    let lab = match arguments.no_lab {
        true => None,
        false => Some(Lab::start(&["us-east-1"], 0, 1.0)?),
    };
    if let Some(lab) = &lab {
        lab.clients[0].create_table("Bench")?;
        fill(&lab.clients[0], "Bench", READ_ITEMS)?;
    }
    let [mut puts, mut commits, mut gets] = [(); 3].map(|()| Series::default());
    let [mut paced_puts, mut paced_commits] = [(); 2].map(|()| Series::default());
    for round in 0..arguments.rounds {
        if let Some(lab) = &lab {
            let (client, pids) = (&lab.clients[0], lab.regions()?);
            puts.0
                .push(put_window(client, "Bench", 2 * round, closed, &pids)?);
            gets.0
                .push(get_window(client, "Bench", READ_ITEMS, closed, &pids)?);
            let window = put_window(client, "Bench", 2 * round + 1, paced, &pids)?;
            paced_puts.0.push(window);
        }
        commits.0.push(engine_window(2 * round, closed)?);
        paced_commits.0.push(engine_window(2 * round + 1, paced)?);
    }
    Ok(section(
        arguments,
        lab.is_some(),
        &[
            ("PutItem, 1 KiB, durable", &puts),
            ("bare engine, the same", &commits),
            ("GetItem, 1 KiB", &gets),
            ("PutItem at 2,000/s", &paced_puts),
            ("bare engine at 2,000/s", &paced_commits),
        ],
    ))
}

fn section(arguments: &Arguments, with_lab: bool, series: &[(&str, &Series); 5]) -> Section {
    let mut section = Section::default();
    section.text(&format!(
        "{CONNECTIONS} connections (32 threads for the bare engine), {} windows of {} s each in \
         turn: median (least to greatest) of the windows.",
        arguments.rounds, arguments.seconds
    ));
    let taken = series.iter().filter(|(_, series)| !series.0.is_empty());
    let rows: Vec<Vec<String>> = taken.map(|(name, series)| series.row(name)).collect();
    section.table(&SERIES_HEAD, &rows);
    let [puts, commits, gets, paced_puts, paced_commits] = series.map(|(_, series)| series);
    if with_lab {
        let p99 = |measured: &Measured| measured.milliseconds(0.99);
        let ratio = puts.ratio(commits, p99);
        let paced_ratio = paced_puts.ratio(paced_commits, p99);
        section.text(&format!(
            "p99 of PutItem to that of the bare engine, pair by pair: {ratio} as fast as each can, \
             {paced_ratio} at 2,000 a second."
        ));
        let (put_rate, get_rate) = (puts.rate().median, gets.rate().median);
        section.table(
            &GOAL_HEAD,
            &[
                goal(
                    "PutItem",
                    "5,000/s or more",
                    put_rate,
                    "/s",
                    put_rate >= 5000.0,
                ),
                goal(
                    "p99 to the engine's",
                    "1.3 or less",
                    ratio.median,
                    "",
                    ratio.median <= 1.3,
                ),
                goal(
                    "GetItem",
                    "12,000/s or more",
                    get_rate,
                    "/s",
                    get_rate >= 12_000.0,
                ),
            ],
        );
        section.value("p99_ratio", spread(ratio));
        section.value("p99_ratio_paced", spread(paced_ratio));
    }
    for (name, series) in series {
        section.value(name, series.json());
    }
    section
}

//! What it takes to move the writer of a global cluster under load, and what that loses: by
//! `SwitchoverGlobalCluster`, by `FailoverGlobalCluster` from a writer that lives, and from one
//! whose Region is dead, asked at once, a while later, and not at all. One lab; each move begins
//! when the one before is over and both members are in step.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use super::super::{GOAL_HEAD, goal, spread};
use super::{REGIONS, delay};
use crate::Arguments;
use crate::databases::global::{self, Call, Member};
use crate::databases::writers::{self, RATE, Rows, Writers};
use crate::databases::{first_write, kept, seen};
use crate::lab::Lab;
use crate::report::Section;
use crate::statistics::{Spread, number};

/// Load before each move.
pub const BEFORE: Duration = Duration::from_secs(3);

/// How long sessions may go on whose writer was taken away.
const BROKEN: Duration = Duration::from_secs(60);

/// Writes that may be lost beside those on the link (issue 7): those of 50 ms.
const SLACK: Duration = Duration::from_millis(50);

/// How long after the Region's death the later failover is asked for.
const LATER: Duration = Duration::from_secs(5);

/// For how long a Region has to be silent until a failover is decided without a call.
const SILENCE: &str = "2s";

/// Rows of two moves are so far apart in number.
const APART: u64 = 1_000_000;

/// A kind of move.
#[derive(Clone, Copy)]
struct Kind {
    name: &'static str,
    /// None: nobody calls, and the time begins with the kill.
    call: Option<Call>,
    /// Is the writer's Region dead, and for how long when the call is made?
    dead_for: Option<Duration>,
    /// What issue 7 asks of the time to the first good write, and the same in seconds.
    asked: (&'static str, f64),
}

const KINDS: [Kind; 5] = [
    Kind {
        name: "SwitchoverGlobalCluster",
        call: Some(Call::Switchover),
        dead_for: None,
        asked: ("2 s or less", 2.0),
    },
    Kind {
        name: "FailoverGlobalCluster, the old writer reachable",
        call: Some(Call::Failover),
        dead_for: None,
        asked: ("1 s or less", 1.0),
    },
    Kind {
        name: "FailoverGlobalCluster, its Region dead, asked at once",
        call: Some(Call::Failover),
        dead_for: Some(Duration::ZERO),
        asked: ("the lease, 3 s, + 1 s", 4.0),
    },
    Kind {
        name: "FailoverGlobalCluster, its Region dead for 5 s",
        call: Some(Call::Failover),
        dead_for: Some(LATER),
        asked: ("the lease, 3 s, + 1 s", 4.0),
    },
    Kind {
        name: "its Region dead, decided without a call",
        call: None,
        dead_for: Some(Duration::ZERO),
        asked: ("the lease, 3 s, + 1 s + the detection, 2 s", 6.0),
    },
];

/// What one move took and lost.
pub struct Moved {
    /// Seconds from the call to the first good write.
    pub took: f64,
    /// Seconds from the last acknowledged write to the first good one.
    pub without: f64,
    /// Seconds until the old writer shows that write: from the start of its Region if that was
    /// dead, else from the write. None: it isn't waited for.
    pub back: Option<f64>,
    /// How many rows were acknowledged.
    pub acknowledged: usize,
    /// Acknowledged rows that aren't there.
    pub missing: Vec<u64>,
    /// Those of them that are listed nowhere.
    pub unlisted: usize,
}

pub fn run(arguments: &Arguments, section: &mut Section) -> Result<()> {
    let lab = Lab::start(&REGIONS, 1, 1.0)?;
    let members = global::create(&lab)?;
    // Leave to fail over is given for that kind alone; a build may not know of it.
    let unknown = global::set_automatic(&lab.clients[0], Some(SILENCE)).err();
    if unknown.is_none() {
        global::set_automatic(&lab.clients[0], None)?;
    }
    let mut moves: [Vec<Moved>; KINDS.len()] = Default::default();
    let mut turn = 0;
    for round in 1..=arguments.rounds {
        for (kind, found) in KINDS.iter().zip(&mut moves) {
            if kind.call.is_none() && unknown.is_some() {
                continue;
            }
            eprintln!("   round {round}: {}", kind.name);
            let moved = step(&lab, &members, *kind, turn);
            found.push(moved.with_context(|| format!("{}, round {round}", kind.name))?);
            turn += 1;
        }
    }
    lab.stop();
    let in_flight = RATE as f64 * (Duration::from(delay()?) + SLACK).as_secs_f64();
    section.text(&format!(
        "A global cluster with members in {} and {}, {} ms apart one way, and an edge. {} times \
         each: {RATE} transactions a second through the writer endpoint for {} s, then the writer \
         is moved to the other Region and tried there. At that rate {} rows are in flight, those \
         of 50 ms added.",
        REGIONS[0],
        REGIONS[1],
        number(delay()?.as_milliseconds()),
        arguments.rounds,
        BEFORE.as_secs(),
        number(in_flight),
    ));
    let found: Vec<_> = KINDS.iter().zip(&moves).collect();
    let found: Vec<_> = found.into_iter().filter(|(_, it)| !it.is_empty()).collect();
    let rows: Vec<_> = found.iter().map(|(kind, it)| row(kind.name, it)).collect();
    section.table(&HEAD, &rows);
    if let Some(error) = unknown {
        let name = KINDS
            .iter()
            .find(|kind| kind.call.is_none())
            .map(|kind| kind.name);
        let name = name.unwrap_or_default();
        let error = format!("{error:#}").replace('\n', " ");
        section.text(&format!("Not measured: {name}: {error}"));
    }
    section.table(&GOAL_HEAD, &goals(&found, in_flight));
    for (kind, moves) in found {
        section.value(kind.name, values(moves));
    }
    Ok(())
}

/// The head of a table of moves.
pub const HEAD: [&str; 6] = [
    "the writer is moved by",
    "call to the first good write, s",
    "without a writer, s",
    "the old writer follows after s",
    "acknowledged rows",
    "of these missing",
];

/// A row of such a table.
pub fn row(name: &str, moves: &[Moved]) -> Vec<String> {
    let of = |value: fn(&Moved) -> f64| spread_of(moves, value).to_string();
    let back = moves.iter().filter_map(|it| it.back);
    let back = match moves.iter().any(|it| it.back.is_some()) {
        true => Spread::of(back).to_string(),
        false => String::new(),
    };
    vec![
        name.to_owned(),
        of(|it| it.took),
        of(|it| it.without),
        back,
        of(|it| it.acknowledged as f64),
        of(|it| it.missing.len() as f64),
    ]
}

fn spread_of(moves: &[Moved], value: impl Fn(&Moved) -> f64) -> Spread {
    Spread::of(moves.iter().map(value))
}

/// For the JSON.
pub fn values(moves: &[Moved]) -> Value {
    let missing: Vec<&Vec<u64>> = moves.iter().map(|it| &it.missing).collect();
    let back: Vec<Option<f64>> = moves.iter().map(|it| it.back).collect();
    json!({
        "seconds": spread(spread_of(moves, |it| it.took)),
        "seconds_without_a_writer": spread(spread_of(moves, |it| it.without)),
        "seconds_until_the_old_writer_follows": back,
        "acknowledged": spread(spread_of(moves, |it| it.acknowledged as f64)),
        "missing": spread(spread_of(moves, |it| it.missing.len() as f64)),
        "missing_rows": missing,
        "unlisted": spread(spread_of(moves, |it| it.unlisted as f64)),
    })
}

fn goals(found: &[(&Kind, &Vec<Moved>)], in_flight: f64) -> Vec<Vec<String>> {
    let mut rows = Vec::new();
    for (kind, moves) in found {
        let took = spread_of(moves, |it| it.took).median;
        let (asked, seconds) = kind.asked;
        rows.push(goal(kind.name, asked, took, "s", took <= seconds));
    }
    // The worst move counts.
    let worst = |is_switchover: bool, value: fn(&Moved) -> f64| {
        let is_one = |kind: &Kind| (kind.call == Some(Call::Switchover)) == is_switchover;
        let those = found.iter().filter(|(kind, _)| is_one(kind));
        let each = those.flat_map(|(_, moves)| moves.iter().map(value));
        each.fold(0.0, f64::max)
    };
    let lost = worst(true, |it| it.missing.len() as f64);
    let what = "acknowledged rows lost by SwitchoverGlobalCluster, at most";
    rows.push(goal(what, "none", lost, "rows", lost == 0.0));
    let lost = worst(false, |it| it.missing.len() as f64);
    let asked = format!("{} or less", number(in_flight));
    let what = "the same by a failover, at most";
    rows.push(goal(what, &asked, lost, "rows", lost <= in_flight));
    let unlisted = worst(false, |it| it.unlisted as f64);
    let what = "of these, named nowhere by `causeway databases lost`";
    rows.push(goal(what, "none", unlisted, "rows", unlisted == 0.0));
    let dead = found.iter().filter(|(kind, _)| kind.dead_for.is_some());
    let back = dead.flat_map(|(_, moves)| moves.iter().filter_map(|it| it.back));
    let back = Spread::of(back).median;
    let what = "the old writer back as a standby, from its Region's start";
    rows.push(goal(what, "15 s or less", back, "s", back <= 15.0));
    rows
}

/// Moves the writer once, and waits until both members are in step again.
fn step(lab: &Lab, members: &[Member], kind: Kind, turn: usize) -> Result<Moved> {
    let (old, new) = (turn % 2, (turn + 1) % 2);
    let (from, to) = (&members[old], &members[new]);
    // Calls go to the Region that lives in any case.
    let client = &lab.clients[new];
    let marker = APART * (turn as u64 + 1);
    if kind.call.is_none() {
        global::set_automatic(client, Some(SILENCE))?;
    }
    writers::prepare(&from.writer)?;
    let writers = Writers::start_from(&from.writer, marker + 1)?;
    std::thread::sleep(BEFORE);
    ensure!(
        writers.count() as u64 > RATE * BEFORE.as_secs() / 2,
        "the writer takes too few rows"
    );
    let mut called = Instant::now();
    if let Some(dead_for) = kind.dead_for {
        lab.command(&["fault", "kill", from.region.name()])?;
        std::thread::sleep(dead_for);
    }
    if let Some(call) = kind.call {
        called = Instant::now();
        global::ask_for(client, call, to.region)?;
    }
    first_write(&to.writer, marker)?;
    let written = Instant::now();
    writers.wait_until_broken(BROKEN)?;
    let (rows, _) = writers.stop();
    let moved = Moved::of(&rows, (called, written), &kept(&to.writer)?)?;
    global::settled(client)?;
    if kind.call.is_none() {
        global::set_automatic(client, None)?;
    }
    let mut healed = written;
    if kind.dead_for.is_some() {
        healed = Instant::now();
        lab.command(&["fault", "heal"])?;
    }
    seen(&from.reader, marker)?;
    let back = Some(healed.elapsed().as_secs_f64());
    let unlisted = unlisted(lab, &moved.missing)?;
    in_step(lab, members)?;
    Ok(Moved {
        back,
        unlisted,
        ..moved
    })
}

impl Moved {
    /// What became of acknowledged rows, of which those were kept, when a move that was asked for
    /// then had its first good write then.
    pub fn of(
        rows: &Rows,
        (called, written): (Instant, Instant),
        kept: &BTreeSet<u64>,
    ) -> Result<Moved> {
        let last = rows.values().map(|answer| answer.at).max();
        let last = last.context("no row was acknowledged")?;
        let missing = rows.keys().filter(|id| !kept.contains(id));
        Ok(Moved {
            took: (written - called).as_secs_f64(),
            without: written.saturating_duration_since(last).as_secs_f64(),
            back: None,
            acknowledged: rows.len(),
            missing: missing.copied().collect(),
            unlisted: 0,
        })
    }
}

/// How many of these rows `causeway databases lost --sql` doesn't name.
fn unlisted(lab: &Lab, missing: &[u64]) -> Result<usize> {
    let sql = lab.command(&["databases", "lost", "--sql"])?;
    let named = |id: &&u64| sql.contains(&format!(" VALUES ('{id}',"));
    Ok(missing.iter().filter(|id| !named(id)).count())
}

/// Waits until each member that doesn't write follows closely, as its own Region says.
fn in_step(lab: &Lab, members: &[Member]) -> Result<()> {
    let started = Instant::now();
    loop {
        let listed: Value =
            serde_json::from_str(&lab.command(&["databases", "list", "--json"])?)?;
        let rows = listed["databases"].as_array().cloned().unwrap_or_default();
        let follows = |row: &&Value| {
            let late = row["lag_milliseconds"].as_u64();
            row["replication"] == "streaming" && late.is_some_and(|late| late < 1000)
        };
        if rows.iter().filter(follows).count() == members.len() - 1 {
            return Ok(());
        }
        ensure!(
            started.elapsed() < crate::databases::PATIENCE,
            "a member doesn't follow: {listed}"
        );
        std::thread::sleep(Duration::from_millis(100));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::databases::writers::Acknowledged;

    #[test]
    fn what_was_acknowledged_and_is_not_there_is_missing() {
        let began = Instant::now();
        let at = |milliseconds| began + Duration::from_millis(milliseconds);
        let answer = |milliseconds| Acknowledged {
            at: at(milliseconds),
            took: 1,
        };
        let rows = Rows::from([(1, answer(10)), (2, answer(20)), (3, answer(30))]);
        let kept = BTreeSet::from([0, 1, 2, 7]);
        let moved = Moved::of(&rows, (at(100), at(350)), &kept).unwrap();
        assert_eq!((moved.acknowledged, &*moved.missing), (3, &[3][..]));
        assert!((moved.took - 0.25).abs() < 1e-9);
        assert!((moved.without - 0.32).abs() < 1e-9);
        assert!(Moved::of(&Rows::new(), (at(0), at(1)), &kept).is_err());
    }
}

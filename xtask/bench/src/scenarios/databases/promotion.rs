//! What it takes to promote a replica when its source's Region has died under load, and what that
//! loses; beside `pg_ctl promote` of Debian's standby whose primary and connection died, in turns.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use super::super::{GOAL_HEAD, goal, spread};
use super::{REGIONS, REPLICA, Stand, delay};
use crate::Arguments;
use crate::databases::debian::Pair;
use crate::databases::session::Login;
use crate::databases::writers::{self, RATE, Rows, TABLE, Writers};
use crate::databases::{first_write, kept, opened, promote};
use crate::report::Section;
use crate::statistics::{Spread, number};

/// Load before the source dies.
const BEFORE: Duration = Duration::from_secs(3);

/// How long sessions may go on whose server was killed.
const BROKEN: Duration = Duration::from_secs(10);

/// Writes that may be lost beside those on the link (issue 7): those of 50 ms.
const SLACK: Duration = Duration::from_millis(50);

/// What one promotion took and lost.
struct Promotion {
    /// Seconds from the call, or the command, to the first good write.
    took: f64,
    /// How often it was asked for.
    asked: u32,
    acknowledged: usize,
    /// Acknowledged rows that aren't there.
    missing: Vec<u64>,
    /// The largest lead, in seconds, that a missing row's answer had before the last answer.
    oldest: f64,
}

pub fn run(arguments: &Arguments, section: &mut Section) -> Result<()> {
    let delay = delay()?;
    let (mut ours, mut theirs, mut not_measured) = (Vec::new(), Vec::new(), None);
    for round in 1..=arguments.rounds {
        eprintln!("   round {round}: promotion");
        ours.push(of_replica()?);
        if not_measured.is_none() {
            match of_standby(delay.into()) {
                Ok(promotion) => theirs.push(promotion),
                Err(error) => not_measured = Some(format!("{error:#}")),
            }
        }
    }
    let in_flight = RATE as f64 * (Duration::from(delay) + SLACK).as_secs_f64();
    section.text(&format!(
        "{} times: {RATE} transactions a second in {} for {} s, then the Region is killed and \
         PromoteReadReplica called in {}: the time from the call to the first good write through \
         the replica's endpoint. Beside it Debian's standby, whose primary and connection are \
         ended in the same way: from the start of `pg_ctl promote` to the first good write by its \
         socket. On a link of {} ms there are {} rows in flight at that rate, those of 50 ms \
         added.",
        arguments.rounds,
        REGIONS[0],
        BEFORE.as_secs(),
        REGIONS[1],
        number(delay.as_milliseconds()),
        number(in_flight),
    ));
    let mut rows = vec![row("PromoteReadReplica", &ours)];
    if !theirs.is_empty() {
        rows.push(row("pg_ctl promote", &theirs));
    }
    let head = [
        "promotion",
        "to the first good write, s",
        "acknowledged rows",
        "of these missing",
        "oldest missing, ms before the last",
        "calls",
    ];
    section.table(&head, &rows);
    if let Some(error) = not_measured {
        section.text(&format!("Not measured: pg_ctl promote: {error}"));
    }
    // The worst round counts.
    let lost = spread_of(&ours, |it| it.missing.len() as f64).greatest;
    let row = goal(
        "acknowledged rows lost in an unplanned promotion, at most",
        &format!("{} or less", number(in_flight)),
        lost,
        "rows",
        lost <= in_flight,
    );
    section.table(&GOAL_HEAD, &[row]);
    section.value("promotion", values(&ours));
    section.value("promotion_of_peer", values(&theirs));
    Ok(())
}

fn spread_of(promotions: &[Promotion], value: impl Fn(&Promotion) -> f64) -> Spread {
    Spread::of(promotions.iter().map(value))
}

fn row(name: &str, promotions: &[Promotion]) -> Vec<String> {
    let of = |value: fn(&Promotion) -> f64| spread_of(promotions, value).to_string();
    vec![
        name.to_owned(),
        of(|it| it.took),
        of(|it| it.acknowledged as f64),
        of(|it| it.missing.len() as f64),
        of(|it| it.oldest * 1000.0),
        of(|it| f64::from(it.asked)),
    ]
}

fn values(promotions: &[Promotion]) -> Value {
    let missing: Vec<&Vec<u64>> = promotions.iter().map(|it| &it.missing).collect();
    json!({
        "seconds": spread(spread_of(promotions, |it| it.took)),
        "acknowledged": spread(spread_of(promotions, |it| it.acknowledged as f64)),
        "missing": spread(spread_of(promotions, |it| it.missing.len() as f64)),
        "missing_rows": missing,
    })
}

/// A replica in a lab of its own.
fn of_replica() -> Result<Promotion> {
    let stand = Stand::start()?;
    let far = &stand.lab.clients[1];
    let written = load(&stand.source.login, &stand.replica.login, || {
        stand
            .lab
            .command(&["fault", "kill", REGIONS[0]])
            .map(|_| ())
    })?;
    let started = Instant::now();
    let asked = promote(far, REPLICA)?;
    first_write(&stand.replica.login, 0)?;
    let took = started.elapsed();
    let promotion = Promotion::of(took, asked, &written, &stand.replica.login);
    stand.source.release_memory()?;
    stand.lab.stop();
    promotion
}

/// Debian's standby.
fn of_standby(delay: Duration) -> Result<Promotion> {
    let pair = Pair::start(delay)?;
    let replica = pair.replica();
    let written = load(&pair.source(), &replica, || {
        pair.kill_primary();
        Ok(())
    })?;
    let started = Instant::now();
    let mut command = pair.promote()?;
    let outcome = first_write(&replica, 0);
    let took = started.elapsed();
    let status = command.wait()?;
    outcome?;
    ensure!(status.success(), "pg_ctl promote ended with {status}");
    Promotion::of(took, 1, &written, &replica)
}

/// Writes for a while, until the source is killed meanwhile; gives what was acknowledged.
fn load(source: &Login, replica: &Login, kill: impl FnOnce() -> Result<()>) -> Result<Rows> {
    writers::prepare(source)?;
    let writers = Writers::start(source)?;
    std::thread::sleep(BEFORE);
    // A replica that doesn't follow would lose what isn't in flight, for another reason.
    let rows: u64 = opened(replica)?
        .value(&format!("select count(*) from {TABLE}"))?
        .parse()?;
    ensure!(rows > 0, "the replica doesn't follow");
    let expected = RATE * BEFORE.as_secs() / 2;
    ensure!(
        writers.count() as u64 > expected,
        "the source takes too few rows"
    );
    kill()?;
    // They are told to stop only then: a session that stops before its next row is due would have
    // seen nothing of the kill.
    writers.wait_until_broken(BROKEN)?;
    Ok(writers.stop().0)
}

impl Promotion {
    fn of(took: Duration, asked: u32, written: &Rows, replica: &Login) -> Result<Promotion> {
        let kept = kept(replica)?;
        let last = written.values().map(|answer| answer.at).max();
        let last = last.context("no row was acknowledged")?;
        let missing = written.iter().filter(|(id, _)| !kept.contains(id));
        let leads = missing.clone().map(|(_, answer)| last - answer.at);
        Ok(Promotion {
            took: took.as_secs_f64(),
            asked,
            acknowledged: written.len(),
            oldest: leads.max().unwrap_or_default().as_secs_f64(),
            missing: missing.map(|(id, _)| *id).collect(),
        })
    }
}

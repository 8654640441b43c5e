//! How soon a commit is visible in the other Region, at 500 transactions a second, beside Debian's
//! standby behind a relay with the same delay, in turns. One session at the replica asks each
//! millisecond for the rows that it hasn't seen; a row's time counts from the writer's answer to
//! the end of the first question that found it, so half a pause, and the question, are in it.

use std::collections::BTreeMap;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use serde_json::json;

use super::super::{GOAL_HEAD, goal, spread};
use super::{REGIONS, Stand, delay};
use crate::Arguments;
use crate::databases::debian::Pair;
use crate::databases::session::{Login, Session};
use crate::databases::writers::{self, RATE, TABLE, Writers};
use crate::databases::{PATIENCE, opened};
use crate::process;
use crate::report::Section;
use crate::statistics::{Spread, number, percentile};

/// Load before rows count.
const WARM_UP: Duration = Duration::from_secs(1);

/// Between the beginnings of two questions.
const PAUSE: Duration = Duration::from_millis(1);

/// How long the replica may take to show the last row.
const LAST: Duration = Duration::from_secs(60);

/// What one window found.
struct Window {
    /// Microseconds from answer to visible, sorted.
    lags: Vec<u32>,
    /// Microseconds from due to answer, sorted.
    writes: Vec<u32>,
    /// Milliseconds of processor time a second.
    processor: f64,
}

pub fn run(arguments: &Arguments, section: &mut Section) -> Result<()> {
    let delay = delay()?;
    let stand = Stand::start()?;
    let pair = Pair::start(delay.into());
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for round in 1..=arguments.rounds {
        eprintln!("   round {round}: visible");
        let roots = [stand.lab.supervisor()];
        let logins = (&stand.source.login, &stand.replica.login);
        ours.push(window(logins, &roots, arguments.seconds)?);
        if let Ok(pair) = &pair {
            let logins = (&pair.source(), &pair.replica());
            theirs.push(window(logins, &pair.postmasters(), arguments.seconds)?);
        }
    }
    stand.lab.stop();
    let delay = delay.as_milliseconds();
    section.text(&format!(
        "{RATE} transactions a second of one numbered INSERT each in {}, and each row asked for in {} \
         until it is there; windows of {} s, {} of them, in turns with Debian's PostgreSQL, whose \
         standby streams through a relay with the link's one-way delay, {} ms. Milliseconds past \
         that delay. The processor time of Causeway is that of a lab of two Regions and an edge, \
         servers and all; that of PostgreSQL is both servers', without the relay's.",
        REGIONS[0],
        REGIONS[1],
        arguments.seconds,
        arguments.rounds,
        number(delay),
    ));
    table(section, &ours, &theirs, delay);
    if let Err(error) = pair {
        section.text(&format!("Not measured: PostgreSQL's standby: {error:#}"));
    }
    let (median, late) = (past(&ours, 0.5, delay), past(&ours, 0.99, delay));
    let goals = [
        goal(
            "a commit visible in the other Region, median",
            "delay + 15 ms",
            median.median,
            "ms past the delay",
            median.median <= 15.0,
        ),
        goal(
            "the same, p99",
            "delay + 60 ms",
            late.median,
            "ms past the delay",
            late.median <= 60.0,
        ),
    ];
    section.table(&GOAL_HEAD, &goals);
    section.value(
        "visible",
        json!({
            "one_way_delay_milliseconds": delay,
            "median_milliseconds_past_delay": spread(median),
            "p99_milliseconds_past_delay": spread(late),
            "rows": ours.iter().map(|window| window.lags.len()).sum::<usize>(),
            "peer_median_milliseconds_past_delay": spread(past(&theirs, 0.5, delay)),
            "peer_p99_milliseconds_past_delay": spread(past(&theirs, 0.99, delay)),
            "peer_rows": theirs.iter().map(|window| window.lags.len()).sum::<usize>(),
        }),
    );
    Ok(())
}

/// Milliseconds past the delay that a share of a window's rows didn't exceed.
fn past(windows: &[Window], share: f64, delay: f64) -> Spread {
    let of = |window: &Window| percentile(&window.lags, share) / 1000.0 - delay;
    Spread::of(windows.iter().map(of))
}

fn table(section: &mut Section, ours: &[Window], theirs: &[Window], delay: f64) {
    let row = |name: &str, windows: &[Window]| {
        let write = |window: &Window| percentile(&window.writes, 0.5) / 1000.0;
        let rows: usize = windows.iter().map(|window| window.lags.len()).sum();
        vec![
            name.to_owned(),
            number(rows as f64),
            past(windows, 0.5, delay).to_string(),
            past(windows, 0.99, delay).to_string(),
            past(windows, 1.0, delay).to_string(),
            Spread::of(windows.iter().map(write)).to_string(),
            Spread::of(windows.iter().map(|window| window.processor)).to_string(),
        ]
    };
    let mut rows = vec![row("Causeway", ours)];
    if !theirs.is_empty() {
        rows.push(row("PostgreSQL's standby", theirs));
    }
    let head = [
        "visible, ms past the delay",
        "rows",
        "median",
        "p99",
        "most",
        "INSERT, median ms",
        "processor ms/s",
    ];
    section.table(&head, &rows);
}

/// One window at a source and its replica; `roots` are the processes whose trees serve both.
fn window(logins: (&Login, &Login), roots: &[u32], seconds: u64) -> Result<Window> {
    let (source, replica) = logins;
    writers::prepare(source)?;
    let session = ready(replica)?;
    let used = || -> Result<f64> { roots.iter().map(|pid| process::tree_seconds(*pid)).sum() };
    // How many rows there are, once nobody writes any more.
    let total = OnceLock::new();
    let (written, began, seen, processor) = std::thread::scope(|scope| {
        let follower = scope.spawn(|| follow(session, &total));
        let outcome = (|| {
            let writers = Writers::start(source)?;
            let began = Instant::now() + WARM_UP;
            std::thread::sleep(WARM_UP);
            let (from, before) = (Instant::now(), used()?);
            std::thread::sleep(Duration::from_secs(seconds));
            let processor = (used()? - before) / from.elapsed().as_secs_f64();
            let (written, outcome) = writers.stop();
            outcome.map(|()| (written, began, processor))
        })();
        let rows = outcome.as_ref().map_or(0, |(written, ..)| written.len());
        total.set(rows).expect("it is set here alone");
        let seen = follower.join().expect("following returns its errors");
        let (written, began, processor) = outcome?;
        anyhow::Ok((written, began, seen?, processor))
    })?;
    let counted = || written.iter().filter(|(_, answer)| answer.at >= began);
    let lag = |id: &u64, at: Instant| {
        let seen = seen.get(id).map(|seen| seen.saturating_duration_since(at));
        seen.map(|lag| u32::try_from(lag.as_micros()).unwrap_or(u32::MAX))
    };
    let mut lags: Vec<u32> = counted()
        .filter_map(|(id, answer)| lag(id, answer.at))
        .collect();
    let mut writes: Vec<u32> = counted().map(|(_, answer)| answer.took).collect();
    ensure!(
        lags.len() == writes.len() && !lags.is_empty(),
        "rows are missing"
    );
    lags.sort_unstable();
    writes.sort_unstable();
    Ok(Window {
        lags,
        writes,
        processor: processor * 1000.0,
    })
}

/// A session at a replica that has the new table, which is empty: the one of the window before had
/// rows.
fn ready(replica: &Login) -> Result<Session> {
    let mut session = opened(replica)?;
    let started = Instant::now();
    let look = format!("select 1 from {TABLE} limit 1");
    while !session.query(&look).is_ok_and(|rows| rows.is_empty()) {
        ensure!(
            started.elapsed() < PATIENCE,
            "{TABLE} isn't made at the replica"
        );
        std::thread::sleep(Duration::from_millis(10));
    }
    // A table without statistics may else be read as a whole at each question.
    session.query("set enable_seqscan = off")?;
    Ok(session)
}

/// Asks a replica for rows until it has shown all; gives when each was seen first.
fn follow(mut session: Session, total: &OnceLock<usize>) -> Result<BTreeMap<u64, Instant>> {
    let mut seen = BTreeMap::new();
    // All rows up to that one are seen.
    let mut below = 0_u64;
    let mut ended = None;
    loop {
        let asked = Instant::now();
        let rows = session.query(&format!("select id from {TABLE} where id > {below}"))?;
        let found = Instant::now();
        for id in rows.into_iter().flatten().flatten() {
            seen.entry(id.parse()?).or_insert(found);
        }
        while seen.contains_key(&(below + 1)) {
            below += 1;
        }
        if let Some(total) = total.get() {
            if seen.len() >= *total {
                return Ok(seen);
            }
            let waited = ended.get_or_insert_with(Instant::now).elapsed();
            let missing = total - seen.len();
            ensure!(
                waited < LAST,
                "{missing} rows aren't visible after {LAST:?}"
            );
        }
        crate::load::sleep_until(asked + PAUSE);
    }
}

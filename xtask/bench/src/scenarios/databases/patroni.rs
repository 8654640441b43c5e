//! The same moves by Patroni on the same machine: a switchover, a failover after `kill -9` of the
//! primary's PostgreSQL, and one after `kill -9` of its Patroni as well, as when its machine dies.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use super::moves::{BEFORE, HEAD, Moved, row, values};
use crate::Arguments;
use crate::databases::patroni::{LOOP_WAIT, Patroni, RETRY_TIMEOUT, TTL};
use crate::databases::writers::{self, RATE, Writers};
use crate::databases::{first_write, kept, seen};
use crate::report::Section;

/// How long sessions may go on whose primary was taken away.
const BROKEN: Duration = Duration::from_secs(60);

/// Rows of two moves are so far apart in number.
const APART: u64 = 1_000_000;

/// What becomes of the primary.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// It is asked to give up its role.
    SwitchedOver,
    /// Its PostgreSQL is killed; its Patroni gives up the key.
    Killed,
    /// Its Patroni is killed, too; the key is waited out.
    Gone,
}

const KINDS: [(&str, Kind); 3] = [
    ("Patroni, switchover", Kind::SwitchedOver),
    (
        "Patroni, `kill -9` of the primary's PostgreSQL",
        Kind::Killed,
    ),
    (
        "Patroni, `kill -9` of the primary's Patroni, too",
        Kind::Gone,
    ),
];

pub fn run(arguments: &Arguments, section: &mut Section) -> Result<()> {
    let mut patroni = match Patroni::start() {
        Ok(patroni) => patroni,
        Err(error) => {
            section.text(&format!("Not measured: Patroni: {error:#}"));
            return Ok(());
        }
    };
    let mut moves: [Vec<Moved>; KINDS.len()] = Default::default();
    let mut turn = 0;
    for round in 1..=arguments.rounds {
        for ((name, kind), found) in KINDS.iter().zip(&mut moves) {
            eprintln!("   round {round}: {name}");
            let moved = step(&mut patroni, *kind, turn);
            found.push(moved.with_context(|| format!("{name}, round {round}"))?);
            turn += 1;
        }
    }
    section.text(&format!(
        "Patroni {} on the same machine, {} times each, with the same load: two nodes on the \
         loopback, no delay between them, and an etcd of one member beside them; loop_wait \
         {LOOP_WAIT} s, ttl {TTL} s, retry_timeout {RETRY_TIMEOUT} s, primary_start_timeout 0. \
         Counted from the call or the kill to the first good write at the other node's own \
         address, which the client is given: what an application asks to find the primary isn't \
         in it.",
        patroni.version, arguments.rounds,
    ));
    let rows = KINDS.iter().zip(&moves);
    let rows: Vec<_> = rows.map(|((name, _), moves)| row(name, moves)).collect();
    section.table(&HEAD, &rows);
    for ((name, _), moves) in KINDS.iter().zip(&moves) {
        section.value(name, values(moves));
    }
    Ok(())
}

/// Moves the primary once, and waits until both nodes are in step again.
fn step(patroni: &mut Patroni, kind: Kind, turn: usize) -> Result<Moved> {
    let (old, new) = (turn % 2, (turn + 1) % 2);
    let (from, to) = (patroni.login(old), patroni.login(new));
    let marker = APART * (turn as u64 + 1);
    writers::prepare(&from)?;
    let writers = Writers::start_from(&from, marker + 1)?;
    std::thread::sleep(BEFORE);
    ensure!(
        writers.count() as u64 > RATE * BEFORE.as_secs() / 2,
        "the primary takes too few rows"
    );
    let called = Instant::now();
    // Patroni answers when the switchover is over: the writes are tried meanwhile.
    let written = std::thread::scope(|scope| {
        let written = scope.spawn(|| first_write(&to, marker).map(|()| Instant::now()));
        match kind {
            Kind::SwitchedOver => patroni.switch_over(old)?,
            Kind::Killed => patroni.kill(old, false)?,
            Kind::Gone => patroni.kill(old, true)?,
        }
        written.join().expect("it returns its errors")
    })?;
    writers.wait_until_broken(BROKEN)?;
    let (rows, _) = writers.stop();
    let moved = Moved::of(&rows, (called, written), &kept(&to)?)?;
    let mut begun = written;
    if kind == Kind::Gone {
        begun = Instant::now();
        patroni.restart(old)?;
    }
    seen(&from, marker)?;
    let back = Some(begun.elapsed().as_secs_f64());
    patroni.wait_until_in_step(new)?;
    Ok(Moved { back, ..moved })
}

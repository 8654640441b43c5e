//! What a game day tells while it runs, on stderr: a line for each thing that happens, and how the
//! load goes: a line that is written over on a terminal, a line now and then elsewhere.

use std::io::{self, IsTerminal, Write};

use gameday::{EventKind, Plan};
use types::Span;

use crate::output;

/// How often the load is told of on a terminal, and elsewhere.
pub const ON_TERMINAL: Span = Span::milliseconds(500);
pub const ELSEWHERE: Span = Span::seconds(10);

/// Clears a terminal's line (ECMA-48: CR, then EL).
const CLEAR: &str = "\r\u{1b}[K";

/// Tells of one game day.
pub struct Progress {
    quiet: bool,
    terminal: bool,
}

impl Progress {
    /// Tells on stderr, unless it is to be quiet.
    pub fn new(quiet: bool) -> Progress {
        Progress {
            quiet,
            terminal: io::stderr().is_terminal(),
        }
    }

    /// How often the load is to be told of.
    pub fn pace(&self) -> Span {
        match self.terminal {
            true => ON_TERMINAL,
            false => ELSEWHERE,
        }
    }

    /// Something that is done before or after the load.
    pub fn say(&self, text: impl std::fmt::Display) {
        if !self.quiet {
            self.clear();
            output::note(text);
        }
    }

    /// Something that happened at that time.
    pub fn event(&self, plan: &Plan, at: Span, kind: &EventKind) {
        self.say(format_args!("{}  {}", clock(at), words(plan, kind)));
    }

    /// How the load goes.
    pub fn load(&self, at: Span, length: Span, succeeded: usize, failed: usize) {
        if self.quiet {
            return;
        }
        let (at, length) = (clock(at), clock(length));
        let text = format!("{at} of {length}  {succeeded} requests succeeded, {failed} failed");
        match self.terminal {
            true => write!(io::stderr(), "{CLEAR}{text}").ok(),
            false => writeln!(io::stderr(), "{text}").ok(),
        };
    }

    fn clear(&self) {
        if self.terminal {
            write!(io::stderr(), "{CLEAR}").ok();
        }
    }
}

fn clock(at: Span) -> String {
    format!("{:>7.1} s", at.as_milliseconds() / 1000.0)
}

fn words(plan: &Plan, kind: &EventKind) -> String {
    let step = |index: &usize| {
        let steps = &plan.scenario.steps;
        let step = steps.get(*index);
        step.map_or("a step".to_owned(), |step| step.act.describe(steps))
    };
    match kind {
        EventKind::Step(index) => step(index),
        EventKind::StepFailed(index, why) => format!("NOT DONE: {}: {why}", step(index)),
        EventKind::Verdict { check, healthy } => match healthy {
            true => format!("health check {check}: healthy"),
            false => format!("health check {check}: unhealthy"),
        },
        EventKind::Scanned => "the orders were read in every Region that answers".to_owned(),
        EventKind::LoadEnded => "the load has ended; what was broken is healed".to_owned(),
        EventKind::Drained => "what waited behind the fault has arrived".to_owned(),
        EventKind::Converged => "all replicas agree".to_owned(),
        EventKind::NotConverged(why) => format!("the replicas do not agree: {why}"),
        EventKind::Note(text) => text.clone(),
    }
}

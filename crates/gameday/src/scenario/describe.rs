//! What parts of a scenario are called in plans and reports: words for people, no logic.

use std::fmt;

use types::Span;

use super::{Act, ClientKind, Fault, Location, Pair, Repeat, Step};
use crate::language::show_span;

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Location::Default => f.write_str("default"),
            Location::Continent(code) => write!(f, "continent-{code}"),
            Location::Country(code) => write!(f, "country-{code}"),
            Location::State(code) => write!(f, "state-US-{code}"),
        }
    }
}

impl fmt::Display for Pair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.one_way {
            true => write!(f, "{} to {}", self.from, self.to),
            false => write!(f, "{} and {}", self.from, self.to),
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Fault::Kill(target) => write!(f, "kill {target}"),
            Fault::Pause(target) => write!(f, "pause {target}"),
            Fault::Errors {
                region,
                path,
                checkers,
            } => {
                let path = path.as_deref().map(|path| format!(" for {path}"));
                write!(
                    f,
                    "errors from {region}'s application{}",
                    path.unwrap_or_default()
                )?;
                let checkers: Vec<String> = checkers.iter().map(ToString::to_string).collect();
                match checkers.is_empty() {
                    true => Ok(()),
                    false => write!(f, " to the health checks of {}", checkers.join(", ")),
                }
            }
            Fault::Cut { pair, .. } if pair.one_way => write!(f, "cut {pair}"),
            Fault::Cut { pair, .. } => write!(f, "cut {} from {}", pair.from, pair.to),
            Fault::Delay { pair, by } => write!(f, "delay {pair} by {}", show_span(*by)),
            Fault::Rate {
                pair,
                bytes_per_second,
            } => {
                write!(f, "limit {pair} to {bytes_per_second} bytes a second")
            }
            Fault::Clock { site, milliseconds } if *milliseconds < 0 => {
                let by = Span::milliseconds(milliseconds.unsigned_abs());
                write!(f, "set the clock of {site} back by {}", show_span(by))
            }
            Fault::Clock { site, milliseconds } => {
                let by = Span::milliseconds(milliseconds.unsigned_abs());
                write!(f, "set the clock of {site} ahead by {}", show_span(by))
            }
        }
    }
}

impl Act {
    /// What is done, as a line of a timeline; `steps` are those of the scenario.
    pub fn describe(&self, steps: &[Step]) -> String {
        match self {
            Act::Fault {
                fault,
                lease,
                repeat,
            } => {
                let lease = lease.map(|lease| format!(" for {}", show_span(lease)));
                let repeat = repeat.map(|Repeat { every, times }| {
                    format!(", every {} {times} times", show_span(every))
                });
                format!(
                    "{fault}{}{}",
                    lease.unwrap_or_default(),
                    repeat.unwrap_or_default()
                )
            }
            Act::Start(target) => format!("start {target}"),
            Act::Resume(target) => format!("resume {target}"),
            Act::Dial { region, dial, .. } => format!("set the dial of {region} to {dial} %"),
            Act::MoveWriter(of) => of.describe(),
            Act::Heal { step: None } => "heal every fault".to_owned(),
            Act::Heal { step: Some(index) } => {
                let step = steps.get(*index).and_then(|step| step.name.as_deref());
                format!("heal {}", step.unwrap_or("a fault"))
            }
            Act::ChangeRecords { changes, through } => {
                let through = through.map_or(String::new(), |region| format!(" through {region}"));
                format!("change {} record(s){through}", changes.len())
            }
            Act::Scan => "read what every Region holds".to_owned(),
        }
    }
}

impl fmt::Display for ClientKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ClientKind::HonoursTtl => f.write_str("honours the time to live"),
            ClientKind::Holds(span) => {
                write!(f, "holds an answer for {}", show_span(*span))
            }
            ClientKind::NeverResolvesAgain => f.write_str("never resolves again"),
            ClientKind::Pooled => f.write_str("keeps its connections"),
            ClientKind::Accelerator => f.write_str("goes to the accelerator"),
            ClientKind::AcceleratorPooled => {
                f.write_str("goes to the accelerator, keeps its connections")
            }
            ClientKind::FollowsTheWriter => f.write_str("follows the writer"),
        }
    }
}

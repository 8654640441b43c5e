//! `causeway fault`: what to break, and for how long.

use std::time::Duration;

use serde_json::Value;
use types::{FaultTarget, SiteName};

use super::{ask, read};
use crate::cli::{FaultCommand, LeaseArguments, Query};
use crate::control::{Command, FaultView, StatusReport};
use crate::duration;
use crate::failure::Failure;
use crate::faults::{Fault, FaultId};
use crate::output::{self, Table};

/// Carries out one of the fault commands.
pub fn fault(command: &FaultCommand) -> Result<(), Failure> {
    match command {
        FaultCommand::Start { target, query } => {
            let answer = ask(&query.lab, &Command::Start { target: *target })?;
            let serves = match target {
                FaultTarget::Site(_) => "serves again",
                _ => "is no longer kept down",
            };
            told(query, answer, &format!("{target} {serves}"))
        }
        FaultCommand::Resume { target, query } => {
            let answer = ask(&query.lab, &Command::Resume { target: *target })?;
            told(query, answer, &format!("{target} goes on"))
        }
        FaultCommand::List(query) => list(query),
        FaultCommand::Heal { id, query } => heal(*id, query),
        FaultCommand::Kill { target, lease } => inject(Fault::Kill { target: *target }, lease),
        FaultCommand::Pause { target, lease } => inject(Fault::Pause { target: *target }, lease),
        FaultCommand::Cut { pair, reset, lease } => {
            let fault = Fault::Cut {
                from: pair.from,
                to: pair.to,
                one_way: pair.one_way,
                reset: *reset,
            };
            inject(fault, lease)
        }
        FaultCommand::Delay {
            pair,
            milliseconds,
            lease,
        } => {
            let fault = Fault::Delay {
                from: pair.from,
                to: pair.to,
                one_way: pair.one_way,
                milliseconds: *milliseconds,
            };
            inject(fault, lease)
        }
        FaultCommand::Rate { pair, bytes, lease } => {
            let fault = Fault::Rate {
                from: pair.from,
                to: pair.to,
                one_way: pair.one_way,
                bytes: *bytes,
            };
            inject(fault, lease)
        }
        FaultCommand::Clock {
            site,
            milliseconds,
            lease,
        } => {
            let fault = Fault::Clock {
                site: *site,
                milliseconds: *milliseconds,
            };
            inject(fault, lease)
        }
    }
}

fn inject(fault: Fault, lease: &LeaseArguments) -> Result<(), Failure> {
    let milliseconds = u64::try_from(lease.lasting.as_millis());
    let command = Command::Inject {
        fault,
        milliseconds: milliseconds.map_err(Failure::wrong_use)?,
    };
    let answer = ask(&lease.query.lab, &command)?;
    let view: FaultView = read(answer.clone())?;
    let id = view.id.0;
    let mut text = format!(
        "fault {id}: {fault}, for {} (`causeway fault heal {id}` ends it)",
        duration::show(lease.lasting)
    );
    if let Some(note) = answer.get("note").and_then(Value::as_str) {
        text = format!("{text}\n{note}");
    }
    told(&lease.query, answer, &text)
}

fn heal(id: Option<u64>, query: &Query) -> Result<(), Failure> {
    let id = id.map(FaultId);
    let answer = ask(&query.lab, &Command::Heal { id })?;
    let ended: Vec<FaultView> = read(answer.clone())?;
    let lines: Vec<String> = ended
        .iter()
        .map(|view| format!("fault {} has ended: {}", view.id.0, view.fault))
        .collect();
    let text = match lines.is_empty() {
        true => "there was no fault".to_owned(),
        false => lines.join("\n"),
    };
    told(query, answer, &text)?;
    let breaks = |view: &FaultView| {
        use Fault::{Clock, Cut, Delay, Kill, Pause, Rate};
        match view.fault {
            Cut { .. } => true,
            Kill { target } | Pause { target } => matches!(target, FaultTarget::Site(_)),
            Delay { .. } | Rate { .. } | Clock { .. } => false,
        }
    };
    if !query.json && ended.iter().any(breaks) {
        output::note("links connect again within seconds; `causeway lag` shows what is on its way");
    }
    let status: StatusReport = read(ask(&query.lab, &Command::Status)?)?;
    let states = status.sites.iter().map(|it| (it.site, it.state.as_str()));
    crashed(states).iter().for_each(output::note);
    Ok(())
}

/// Of the sites that ended by themselves, which no fault did and no healing mends: how each is
/// started.
fn crashed<'a>(states: impl Iterator<Item = (SiteName, &'a str)>) -> Vec<String> {
    let crashed = states.filter(|(_, state)| *state == "crashed");
    crashed
        .map(|(name, _)| {
            format!("{name} has ended by itself: `causeway fault start {name}` starts it again")
        })
        .collect()
}

fn list(query: &Query) -> Result<(), Failure> {
    let answer = ask(&query.lab, &Command::Faults)?;
    let views: Vec<FaultView> = read(answer.clone())?;
    if query.json {
        return output::print_json(&answer);
    }
    match views.is_empty() {
        true => output::print("no faults\n"),
        false => output::print(table(&views)),
    }
}

/// The faults in force as a table.
pub fn table(views: &[FaultView]) -> Table {
    let mut table = Table::new(["ID", "FAULT", "ENDS IN"]);
    for view in views {
        let remaining = Duration::from_millis(view.remaining_milliseconds);
        table.row([
            view.id.0.to_string(),
            view.fault.to_string(),
            duration::show(remaining),
        ]);
    }
    table
}

fn told(query: &Query, answer: Value, text: &str) -> Result<(), Failure> {
    match query.json {
        true => output::print_json(&answer),
        false => output::print(format!("{text}\n")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sites_that_ended_by_themselves_are_named_and_no_others() {
        let states = [
            ("us-east-1", "running"),
            ("eu-west-1", "crashed"),
            ("edge-1", "killed"),
        ];
        let states = states.map(|(name, state)| (name.parse().unwrap(), state));
        let said = crashed(states.into_iter());
        assert_eq!(said.len(), 1);
        assert!(
            said[0].contains("`causeway fault start eu-west-1`"),
            "{said:?}"
        );
    }
}

//! `causeway edge`: an edge is drained, with its progress, and brought back.

use std::time::Duration;

use runtime::SystemEnvironment;
use serde_json::Value;
use types::{Environment, SiteName, Span};

use super::{RunningLab, ask, block_on, read};
use crate::cli::{DrainArguments, EdgeCommand, UndrainArguments};
use crate::control::{Command, DrainState, DrainView};
use crate::drain;
use crate::duration;
use crate::failure::Failure;
use crate::output;
use crate::site;

/// How often it is looked how far a drain is.
const LOOK_EVERY: Span = Span::milliseconds(300);

/// How often it is told at most.
const TELL_EVERY: Span = Span::seconds(1);

/// Carries out one of the edges' commands.
pub fn edge(command: &EdgeCommand) -> Result<(), Failure> {
    match command {
        EdgeCommand::Drain(arguments) => drain_edge(arguments),
        EdgeCommand::Undrain(arguments) => undrain(arguments),
        EdgeCommand::Run(arguments) => site::run_edge(&arguments.config),
    }
}

fn undrain(arguments: &UndrainArguments) -> Result<(), Failure> {
    let query = &arguments.query;
    let edge = arguments.edge;
    let answer = ask(&query.lab, &Command::Undrain { edge })?;
    if query.json {
        return output::print_json(&answer);
    }
    let view: DrainView = read(answer)?;
    output::print(format!("{} is given new flows\n", view.edge))
}

fn drain_edge(arguments: &DrainArguments) -> Result<(), Failure> {
    let query = &arguments.query;
    let within = arguments.within.unwrap_or(drain::USUAL);
    let lab = RunningLab::find(&query.lab)?;
    let begin = Command::Drain {
        edge: arguments.edge,
        milliseconds: u64::try_from(within.as_millis()).map_err(Failure::wrong_use)?,
        forced: arguments.force,
    };
    let answer = block_on(async {
        let answer = lab.ask(&begin).await?;
        wait(&lab, answer, query.json).await
    })?;
    let view: DrainView = read(answer.clone())?;
    if view.state == DrainState::Serving {
        let failure = format!("{} was given new flows again meanwhile", view.edge);
        return Err(Failure::did_not_hold(failure));
    }
    match query.json {
        true => output::print_json(&answer)?,
        false => output::print(format!("{} is drained\n", view.edge))?,
    }
    left(&view)
}

/// Fails if flows were left.
fn left(view: &DrainView) -> Result<(), Failure> {
    let edge = view.edge;
    let failure = match view.flows_left {
        Some(0) => return Ok(()),
        Some(1) => format!("1 flow of {edge} was left at the deadline"),
        Some(count) => format!("{count} flows of {edge} were left at the deadline"),
        None => format!("{edge} doesn't say how many flows it had left at the deadline"),
    };
    let next = "what is left goes on until the edge is stopped; drained again, it has more time";
    Err(Failure::did_not_hold(failure).then(next))
}

/// Waits until the edge doesn't drain any more, and tells on stderr how far it is. The first
/// answer tells which edge it is.
async fn wait(lab: &RunningLab, first: Value, as_json: bool) -> Result<Value, Failure> {
    let environment = SystemEnvironment::new();
    let mut answer = first;
    let mut told: Option<(Option<u64>, types::Monotonic)> = None;
    loop {
        let view: DrainView = read(answer.clone())?;
        if view.state != DrainState::Draining {
            return Ok(answer);
        }
        let now = environment.now().monotonic;
        let is_news =
            told.is_none_or(|(left, at)| left != view.flows_left && now >= at + TELL_EVERY);
        if is_news && !as_json {
            output::note(progress(&view));
            told = Some((view.flows_left, now));
        }
        environment.sleep_until(now + LOOK_EVERY).await;
        let edge: SiteName = view.edge;
        answer = lab.ask(&Command::Drained { edge }).await?;
    }
}

fn progress(view: &DrainView) -> String {
    let edge = view.edge;
    let remaining = duration::show(Duration::from_millis(view.remaining_milliseconds));
    match view.flows_left {
        Some(1) => format!("{edge} drains: 1 flow left, {remaining} to go at most"),
        Some(count) => format!("{edge} drains: {count} flows left, {remaining} to go at most"),
        None => format!("{edge} drains, {remaining} to go at most"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::failure::ExitCode;

    fn view(flows_left: Option<u64>) -> DrainView {
        DrainView {
            edge: "edge-2".parse().unwrap(),
            state: DrainState::Drained,
            flows_left,
            remaining_milliseconds: 61_000,
        }
    }

    #[test]
    fn flows_that_were_left_or_are_unknown_are_a_failure() {
        assert_eq!(left(&view(Some(0))), Ok(()));
        for (count, words) in [
            (Some(1), "1 flow of edge-2 was left"),
            (Some(7), "7 flows of edge-2 were left"),
            (None, "edge-2 doesn't say"),
        ] {
            let failure = left(&view(count)).unwrap_err();
            assert_eq!(failure.code, ExitCode::DidNotHold);
            assert!(failure.message.starts_with(words), "{failure}");
        }
    }

    #[test]
    fn progress_says_how_many_are_left_and_for_how_long() {
        let told = progress(&view(Some(3)));
        assert_eq!(told, "edge-2 drains: 3 flows left, 1m 1s to go at most");
        assert!(progress(&view(Some(1))).contains("1 flow left,"));
    }
}

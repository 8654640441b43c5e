//! `causeway explain`: every step of a DNS answer, as the nearest edge would give it.

use std::net::{IpAddr, Ipv4Addr};

use super::{ask, read};
use crate::cli::Explain;
use crate::control::Command;
use crate::failure::Failure;
use crate::output;
use crate::protocol::ExplainQuestion;

/// Who asks where nobody is named: a client on this machine that is in no place.
const NOBODY: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

/// Prints it.
pub fn explain(command: &Explain) -> Result<(), Failure> {
    let question = ExplainQuestion {
        name: command.name.clone(),
        kind: command.kind.clone(),
        client: command.from.unwrap_or(NOBODY),
    };
    let mut answer = ask(&command.query.lab, &Command::Explain(question))?;
    let lines: Vec<String> = read(answer["lines"].take())?;
    if command.query.json {
        if let Some(members) = answer.as_object_mut() {
            members.remove("lines");
        }
        return output::print_json(&answer);
    }
    let edge = answer["edge"].as_str().unwrap_or("an edge");
    output::print(format!("{}\nanswered by {edge}\n", lines.join("\n")))
}

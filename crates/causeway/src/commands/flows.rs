//! `causeway accelerator explain` and `causeway flows`: where a flow would go, and what goes where.

use std::net::{Ipv4Addr, SocketAddr};

use serde_json::Value;
use types::ByteSize;

use super::{ask, read, rows};
use crate::cli::{AcceleratorCommand, ExplainFlow, Query};
use crate::control::Command;
use crate::failure::Failure;
use crate::output::{self, Table};
use crate::protocol::FlowQuestion;

/// Whose flow it is where nobody is named: a client's on this machine that is in no place.
const NOBODY: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

/// Prints what was asked of accelerators.
pub fn accelerator(command: &AcceleratorCommand) -> Result<(), Failure> {
    match command {
        AcceleratorCommand::Explain(question) => explain(question),
    }
}

fn explain(command: &ExplainFlow) -> Result<(), Failure> {
    let question = FlowQuestion {
        from: command.from.unwrap_or(NOBODY),
        to: command.to,
        datagrams: command.udp,
    };
    let mut answer = ask(&command.query.lab, &Command::ExplainFlow(question))?;
    let lines: Vec<String> = read(answer["lines"].take())?;
    if command.query.json {
        if let Some(members) = answer.as_object_mut() {
            members.remove("lines");
        }
        return output::print_json(&answer);
    }
    let edge = answer["edge"].as_str().unwrap_or("an edge");
    output::print(format!("{}\nas {edge} would carry it\n", lines.join("\n")))
}

/// Prints the edges' counters.
pub fn flows(query: &Query) -> Result<(), Failure> {
    let answer = ask(&query.lab, &Command::Flows)?;
    if query.json {
        return output::print_json(&answer);
    }
    let edges = rows(&answer, "edges");
    let mut text = String::new();
    for (title, name) in [("LISTENER", "listeners"), ("ENDPOINT", "endpoints")] {
        if !text.is_empty() {
            text.push('\n');
        }
        text.push_str(&table(title, name, &edges).to_string());
    }
    output::print(text)
}

/// The rows of that name of all edges, a line each.
fn table(title: &'static str, name: &str, edges: &[Value]) -> Table {
    let mut table = Table::new([
        "EDGE",
        title,
        "PROTOCOL",
        "OPEN",
        "FLOWS",
        "FAILED",
        "BYTES IN",
        "BYTES OUT",
    ]);
    for edge in edges {
        for row in edge[name].as_array().into_iter().flatten() {
            let text = |name: &str| match &row[name] {
                Value::Null => "-".to_owned(),
                Value::String(text) => text.clone(),
                other => other.to_string(),
            };
            let bytes = |name: &str| {
                let bytes = row[name].as_u64();
                bytes.map_or("-".to_owned(), |bytes| ByteSize(bytes).to_string())
            };
            table.row([
                edge["edge"].as_str().unwrap_or("-").to_owned(),
                text("address"),
                text("protocol"),
                text("open"),
                text("flows"),
                text("failed"),
                bytes("bytes_in"),
                bytes("bytes_out"),
            ]);
        }
    }
    table
}

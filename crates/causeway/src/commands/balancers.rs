//! `causeway balancers` and `causeway balancer explain`: what came to load balancers' nodes, how
//! the targets behind are, and what would become of a request.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use serde_json::Value;
use types::ByteSize;

use super::{ask, read, rows};
use crate::cli::{BalancerCommand, ExplainRequest, Query};
use crate::control::Command;
use crate::failure::Failure;
use crate::output::{self, Table};
use crate::protocol::RequestQuestion;

/// Whose request it is where nobody is named: a client's on this machine that is in no place.
const NOBODY: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

/// Prints the Regions' counters.
pub fn balancers(query: &Query) -> Result<(), Failure> {
    let answer = ask(&query.lab, &Command::Balancers)?;
    if query.json {
        return output::print_json(&answer);
    }
    let regions = rows(&answer, "regions");
    output::print(format!("{}\n{}", listeners(&regions), targets(&regions)))
}

/// Prints what is asked of load balancers.
pub fn balancer(command: &BalancerCommand) -> Result<(), Failure> {
    match command {
        BalancerCommand::Explain(question) => explain(question),
    }
}

fn explain(command: &ExplainRequest) -> Result<(), Failure> {
    let (path, query) = match command.path.split_once('?') {
        Some((path, query)) => (path, Some(query.to_owned())),
        None => (command.path.as_str(), None),
    };
    let question = RequestQuestion {
        to: command.to,
        from: command.from.unwrap_or(NOBODY),
        method: command.method.clone(),
        host: command.host.clone(),
        path: path.to_owned(),
        query,
        headers: command.headers.clone(),
    };
    let mut answer = ask(&command.query.lab, &Command::ExplainRequest(question))?;
    let lines: Vec<String> = read(answer["lines"].take())?;
    if command.query.json {
        if let Some(members) = answer.as_object_mut() {
            members.remove("lines");
        }
        return output::print_json(&answer);
    }
    output::print(format!("{}\n", lines.join("\n")))
}

fn listeners(regions: &[Value]) -> Table {
    let mut table = Table::new([
        "ZONE",
        "BALANCER",
        "LISTENER",
        "PROTOCOL",
        "OPEN",
        "REQUESTS",
        "FAILED",
        "UNSERVED",
        "BYTES IN",
        "BYTES OUT",
    ]);
    for row in members(regions, "listeners") {
        let bytes = |name: &str| {
            let bytes = row[name].as_u64();
            bytes.map_or("-".to_owned(), |bytes| ByteSize(bytes).to_string())
        };
        table.row([
            text(row, "zone"),
            text(row, "balancer"),
            text(row, "address"),
            text(row, "protocol"),
            text(row, "open"),
            text(row, "requests"),
            text(row, "failed"),
            text(row, "unserved"),
            bytes("bytes_in"),
            bytes("bytes_out"),
        ]);
    }
    table
}

fn targets(regions: &[Value]) -> Table {
    let mut table = Table::new([
        "ZONE", "GROUP", "TARGET", "STATE", "REASON", "OPEN", "REQUESTS", "FAILED",
    ]);
    for row in members(regions, "targets") {
        table.row([
            text(row, "zone"),
            text(row, "group"),
            text(row, "address"),
            text(row, "state"),
            text(row, "reason"),
            text(row, "open"),
            text(row, "requests"),
            text(row, "failed"),
        ]);
    }
    table
}

/// The rows of that name of all Regions.
fn members<'a>(regions: &'a [Value], name: &'a str) -> impl Iterator<Item = &'a Value> {
    let rows = regions.iter().map(move |region| region[name].as_array());
    rows.flat_map(|rows| rows.into_iter().flatten())
}

fn text(row: &Value, name: &str) -> String {
    match &row[name] {
        Value::Null => "-".to_owned(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

//! `causeway balancers`: what came to load balancers' nodes, and how the targets behind are.

use serde_json::Value;
use types::ByteSize;

use super::{ask, rows};
use crate::cli::Query;
use crate::control::Command;
use crate::failure::Failure;
use crate::output::{self, Table};

/// Prints the Regions' counters.
pub fn balancers(query: &Query) -> Result<(), Failure> {
    let answer = ask(&query.lab, &Command::Balancers)?;
    if query.json {
        return output::print_json(&answer);
    }
    let regions = rows(&answer, "regions");
    output::print(format!("{}\n{}", listeners(&regions), targets(&regions)))
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

//! `causeway databases`: what database instances there are, and how far replicas are behind.

use serde_json::Value;

use super::{ask, rows};
use crate::cli::{DatabasesCommand, Query};
use crate::control::Command;
use crate::failure::Failure;
use crate::output::{self, Table};

/// What is told of every instance.
const LIST: [(&str, &str); 10] = [
    ("REGION", "region"),
    ("INSTANCE", "instance"),
    ("STATUS", "status"),
    ("ROLE", "role"),
    ("VERSION", "version"),
    ("ZONE", "zone"),
    ("ENDPOINT", "endpoint"),
    ("CONNECTIONS", "connections"),
    ("SOURCE", "source"),
    ("LAG MS", "lag_milliseconds"),
];

/// What is told of every replica.
const LAG: [(&str, &str); 8] = [
    ("REGION", "region"),
    ("REPLICA", "instance"),
    ("SOURCE", "source"),
    ("STREAM", "replication"),
    ("LAG MS", "lag_milliseconds"),
    ("RECEIVED", "received"),
    ("REPLAYED", "replayed"),
    ("TO REPLAY", "bytes_to_replay"),
];

/// Prints what is asked of databases.
pub fn databases(command: &DatabasesCommand) -> Result<(), Failure> {
    match command {
        DatabasesCommand::List(query) => show(query, &LIST, "no Region has a database\n", |_| true),
        DatabasesCommand::Lag(query) => show(query, &LAG, "no Region has a replica\n", is_replica),
    }
}

fn is_replica(row: &Value) -> bool {
    !row["source"].is_null()
}

fn show(
    query: &Query,
    columns: &[(&'static str, &'static str)],
    nothing: &str,
    is_wanted: fn(&Value) -> bool,
) -> Result<(), Failure> {
    let mut answer = ask(&query.lab, &Command::Databases)?;
    let all = answer["databases"].as_array_mut().into_iter().flatten();
    let wanted: Vec<Value> = all.map(Value::take).filter(is_wanted).collect();
    answer["databases"] = Value::Array(wanted);
    if query.json {
        return output::print_json(&answer);
    }
    let rows = rows(&answer, "databases");
    if rows.is_empty() {
        return output::print(nothing);
    }
    output::print(Table::of_rows(columns, &rows))?;
    let troubles = rows.iter().filter_map(|row| {
        let trouble = row["trouble"].as_str()?;
        let name = |field: &str| row[field].as_str().unwrap_or("?").to_owned();
        Some(format!(
            "{}/{}: {trouble}",
            name("region"),
            name("instance")
        ))
    });
    for trouble in troubles {
        output::print(format!("\n{}\n", output::printable(&trouble)))?;
    }
    Ok(())
}

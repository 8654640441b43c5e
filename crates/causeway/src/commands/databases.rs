//! `causeway databases`: what database instances there are, how far replicas are behind, what comes
//! next for each, and what failovers lost.

use std::path::Path;

use serde_json::{Value, json};

use super::{ask, rows};
use crate::cli::{DatabasesCommand, LostTransactions, Query};
use crate::control::Command;
use crate::failure::Failure;
use crate::output::{self, Table};

/// What is told of every instance.
const LIST: [(&str, &str); 11] = [
    ("REGION", "region"),
    ("INSTANCE", "instance"),
    ("GLOBAL CLUSTER", "global_cluster"),
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

/// What is told of every instance's plan.
const PLAN: [(&str, &str); 7] = [
    ("REGION", "region"),
    ("INSTANCE", "instance"),
    ("STATUS", "status"),
    ("IS TO", "duty"),
    ("EPOCH", "epoch"),
    ("DOING", "doing"),
    ("NEXT", "next"),
];

/// What is told of every lost transaction.
const LOST: [(&str, &str); 9] = [
    ("REGION", "region"),
    ("CLUSTER", "cluster"),
    ("EPOCH", "epoch"),
    ("TRANSACTION", "transaction"),
    ("COMMITTED", "committed"),
    ("LSN", "lsn"),
    ("TABLE", "table"),
    ("ROWS IN", "inserted"),
    ("CHANGED", "changed"),
];

/// Prints what is asked of databases.
pub fn databases(command: &DatabasesCommand) -> Result<(), Failure> {
    match command {
        DatabasesCommand::List(query) => show(query, &LIST, "no Region has a database\n", |_| true),
        DatabasesCommand::Lag(query) => show(query, &LAG, "no Region has a replica\n", is_replica),
        DatabasesCommand::Plan(query) => show(query, &PLAN, "no Region has a database\n", |_| true),
        DatabasesCommand::Lost(wanted) => lost(wanted),
    }
}

/// Prints what failovers lost.
fn lost(wanted: &LostTransactions) -> Result<(), Failure> {
    let answer = ask(&wanted.query.lab, &Command::LostTransactions)?;
    if wanted.query.json {
        return output::print_json(&answer);
    }
    // Those that are silent are told on stderr.
    let tails = rows(&answer, "lost");
    let all_answered = answer["silent"].as_array().is_none_or(Vec::is_empty);
    if wanted.sql {
        tails.iter().try_for_each(print_sql)?;
        return match all_answered {
            true => Ok(()),
            false => Err(Failure::did_not_hold(
                "not every Region answered: rows that they keep are missing in this SQL",
            )
            .then("start those Regions, or wait until they answer, and print it again")),
        };
    }
    if tails.is_empty() {
        return output::print(match all_answered {
            true => "no failover has lost anything that is known by now\n",
            false => "no Region that answered keeps anything that a failover lost\n",
        });
    }
    for tail in &tails {
        missing_of(tail).iter().for_each(output::note);
    }
    let lines: Vec<Value> = tails.iter().flat_map(lines_of).collect();
    output::print(Table::of_rows(&LOST, &lines))?;
    for tail in &tails {
        let word = |field: &str| tail[field].as_str().unwrap_or("?").to_owned();
        let counted = |field: &str| tail[field].as_u64().unwrap_or(0);
        let text = format!(
            "\n{}: {} transactions from {} to {} ({} not listed), kept in {}\n",
            word("cluster"),
            counted("count"),
            word("begin"),
            word("end"),
            counted("unlisted"),
            word("directory"),
        );
        output::print(text)?;
    }
    Ok(())
}

/// A line for each table that a lost transaction changed.
fn lines_of(tail: &Value) -> Vec<Value> {
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let transactions = list(&tail["transactions"]).into_iter();
    let lines = transactions.flat_map(|transaction| {
        let line = |table: &Value| {
            let counted = |field: &str| table[field].as_u64().unwrap_or(0);
            let committed = transaction["committed"].as_u64().unwrap_or(0);
            json!({
                "region": tail["region"],
                "cluster": tail["cluster"],
                "epoch": tail["epoch"],
                "transaction": transaction["transaction"],
                "committed": types::Timestamp(committed).to_string(),
                "lsn": transaction["lsn"],
                "table": table["table"],
                "inserted": table["inserted"],
                "changed": counted("updated") + counted("deleted"),
            })
        };
        match list(&transaction["tables"]) {
            tables if tables.is_empty() => vec![line(&Value::Null)],
            tables => tables.iter().map(line).collect(),
        }
    });
    lines.collect()
}

/// Prints the rows of a tail as they are kept, beside the Region's data on this machine, after
/// what isn't in them.
fn print_sql(tail: &Value) -> Result<(), Failure> {
    for missing in missing_of(tail) {
        output::note(&missing);
        output::print(format!("-- {missing}\n"))?;
    }
    let Some(file) = tail["sql"].as_str() else {
        return Ok(());
    };
    output::copy(Path::new(file))
}

/// What of a tail isn't in its file of rows, a line each.
fn missing_of(tail: &Value) -> Vec<String> {
    let folder = output::printable(tail["directory"].as_str().unwrap_or("?"));
    let unlisted = match tail["unlisted"].as_u64().unwrap_or(0) {
        0 => None,
        count => Some(format!(
            "{count} transactions aren't listed, and their rows may be missing here: they are in \
             the log in {folder}"
        )),
    };
    let trouble = tail["trouble"].as_str();
    let trouble = trouble.map(|trouble| format!("{folder}: {}", output::printable(trouble)));
    trouble.into_iter().chain(unlisted).collect()
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_file_of_rows_lacks_is_said() {
        let whole = json!({ "directory": "/d", "unlisted": 0, "trouble": null });
        assert!(missing_of(&whole).is_empty());
        let short = json!({ "directory": "/d", "unlisted": 3, "trouble": "its log\n is gone" });
        let missing = missing_of(&short);
        assert_eq!(
            missing[0], "/d: its log\\n is gone",
            "a line, behind -- as well"
        );
        assert!(missing[1].starts_with("3 transactions aren't listed"));
        assert_eq!(missing.len(), 2);
    }
}

//! `causeway conflicts`: the ledger of writes that lost.

use serde_json::Value;

use super::{ask, rows};
use crate::cli::Conflicts;
use crate::control::Command;
use crate::failure::Failure;
use crate::output::{self, Table};

/// Lists, shows or restores.
pub fn conflicts(command: &Conflicts) -> Result<(), Failure> {
    match command {
        Conflicts::List {
            query,
            table,
            limit,
        } => {
            let command = Command::Conflicts {
                table: table.clone(),
                limit: *limit,
            };
            let answer = ask(&query.lab, &command)?;
            match query.json {
                true => output::print_json(&answer),
                false => print_list(&rows(&answer)),
            }
        }
        Conflicts::Show { id, query } => {
            let answer = ask(&query.lab, &Command::Conflict { id: id.clone() })?;
            // Items are JSON: there is no better form for people either.
            output::print_json(&answer)
        }
        Conflicts::Restore { id, query } => {
            let answer = ask(&query.lab, &Command::Restore { id: id.clone() })?;
            match query.json {
                true => output::print_json(&answer),
                false => output::print(format!(
                    "{id} is written again in {}\n",
                    answer
                        .get("region")
                        .and_then(Value::as_str)
                        .unwrap_or("its Region")
                )),
            }
        }
    }
}

fn print_list(rows: &[Value]) -> Result<(), Failure> {
    if rows.is_empty() {
        return output::print("no write has lost\n");
    }
    let columns = [
        ("ID", "id"),
        ("TABLE", "table"),
        ("KEY", "key"),
        ("WON", "winner"),
        ("LOST", "loser"),
        ("RECORDED", "recorded"),
        ("IN", "region"),
    ];
    output::print(Table::of_rows(&columns, rows))
}

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
                false => print_list(&rows(&answer, "conflicts")),
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
    let mut table = Table::new([
        "ID", "TABLE", "KEY", "KIND", "WON IN", "LOST IN", "LOST BY", "FOUND",
    ]);
    for row in rows {
        let text = |value: &Value| {
            value
                .as_str()
                .map_or_else(|| value.to_string(), str::to_owned)
        };
        let time = |side: &str| row[side]["time"].as_u64().unwrap_or_default();
        let found = row["regions"].as_array().into_iter().flatten().map(text);
        table.row([
            text(&row["id"]),
            text(&row["table"]),
            key(&row["key"]),
            text(&row["kind"]),
            text(&row["winner"]["region"]),
            text(&row["loser"]["region"]),
            format!("{} ms", time("winner").saturating_sub(time("loser"))),
            found.collect::<Vec<_>>().join(", "),
        ]);
    }
    output::print(table)
}

/// An item's key in short: the values of its attributes, without their types.
fn key(key: &Value) -> String {
    let attributes = key.as_object().into_iter().flatten();
    let values = attributes.map(|(name, value)| {
        let typed = value.as_object().and_then(|typed| typed.values().next());
        let text = typed.map_or_else(
            || value.to_string(),
            |value| {
                value
                    .as_str()
                    .map_or_else(|| value.to_string(), str::to_owned)
            },
        );
        format!("{name}={text}")
    });
    values.collect::<Vec<_>>().join(" ")
}

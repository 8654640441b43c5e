//! `causeway verify`: is every Region's data sound, and do replicas agree?

use serde_json::Value;

use super::{ask, rows};
use crate::cli::Query;
use crate::control::Command;
use crate::failure::Failure;
use crate::output;

/// Prints what was found. Fails with exit code 1 unless everything was checked, is sound, and
/// agrees.
pub fn verify(query: &Query) -> Result<(), Failure> {
    let answer = ask(&query.lab, &Command::Verify)?;
    match query.json {
        true => output::print_json(&answer)?,
        false => print(&answer)?,
    }
    match answer.get("sound").and_then(Value::as_bool) {
        Some(true) => Ok(()),
        _ => Err(verdict(&answer)),
    }
}

/// What is wrong: that something is, or only that not everything could be compared.
fn verdict(answer: &Value) -> Failure {
    let damaged = rows(answer, "regions")
        .iter()
        .any(|region| !rows(region, "findings").is_empty());
    let differ = rows(answer, "tables")
        .iter()
        .any(|table| table["state"] == "differ");
    match damaged || differ {
        true => Failure::did_not_hold("the verification did not hold"),
        false => Failure::did_not_hold("not all replicas could be compared")
            .then("`causeway lag` shows what is on its way, try again when it has arrived"),
    }
}

fn print(answer: &Value) -> Result<(), Failure> {
    for region in rows(answer, "regions") {
        let name = text(&region["region"]);
        let findings = rows(&region, "findings");
        if findings.is_empty() {
            output::print(format!("{name}: sound\n"))?;
        }
        for finding in findings {
            output::print(format!("{name}: {}\n", text(&finding)))?;
        }
    }
    for table in rows(answer, "tables") {
        output::print(line_of(&table))?;
    }
    Ok(())
}

/// `table Orders: replicas agree (3 replicas, 120 items)`, or why not.
fn line_of(table: &Value) -> String {
    let name = text(&table["table"]);
    let replicas = rows(table, "replicas");
    let reasons: Vec<String> = rows(table, "reasons").iter().map(text).collect();
    let said = match table["state"].as_str() {
        Some("agree") => {
            let items = replicas
                .first()
                .map_or(0, |r| r["items"].as_u64().unwrap_or(0));
            format!(
                "replicas agree ({} replicas, {items} items)",
                replicas.len()
            )
        }
        Some("differ") => format!("replicas differ: {}", reasons.join("; ")),
        _ => format!("not compared: {}", reasons.join("; ")),
    };
    format!("table {name}: {said}\n")
}

fn text(value: &Value) -> String {
    value
        .as_str()
        .map_or_else(|| value.to_string(), str::to_owned)
}

//! `causeway databases`: what database instances there are, how far replicas are behind, what comes
//! next for each, and what failovers lost.

mod lost;

use serde_json::{Value, json};

use super::{ask, rows};
use crate::cli::{DatabasesCommand, Query};
use crate::control::Command;
use crate::failure::Failure;
use crate::output::{self, Table};

/// What is told of every instance.
const LIST: [(&str, &str); 13] = [
    ("REGION", "region"),
    ("INSTANCE", "instance"),
    ("CLUSTER", "cluster_name"),
    ("GLOBAL CLUSTER", "global_cluster"),
    ("STATUS", "status"),
    ("ROLE", "role"),
    ("VERSION", "version"),
    ("ZONE", "zone"),
    ("STANDBY", "standby"),
    ("ENDPOINT", "endpoint"),
    ("CONNECTIONS", "connections"),
    ("SOURCE", "source"),
    ("LAG MS", "lag_milliseconds"),
];

/// What is told of every replica.
const LAG: [(&str, &str); 9] = [
    ("REGION", "region"),
    ("REPLICA", "instance"),
    ("SOURCE", "source"),
    ("STREAM", "replication"),
    ("LAG MS", "lag_milliseconds"),
    ("RPO LAG MS", "rpo_lag_milliseconds"),
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

/// Prints what is asked of databases.
pub fn databases(command: &DatabasesCommand) -> Result<(), Failure> {
    match command {
        DatabasesCommand::List(query) => {
            let rows = show(query, &LIST, "no Region has a database\n", |_| true)?;
            tell(&rows, "forced")?;
            tell(&rows, "aside")
        }
        DatabasesCommand::Lag(query) => {
            show(query, &LAG, "no Region has a replica\n", is_replica).map(drop)
        }
        DatabasesCommand::Plan(query) => {
            let rows = show(query, &PLAN, "no Region has a database\n", |_| true)?;
            tell(&rows, "decided")?;
            tell(&rows, "forced")?;
            tell(&rows, "aside")
        }
        DatabasesCommand::Lost(wanted) => lost::lost(wanted),
    }
}

fn is_replica(row: &Value) -> bool {
    !row["source"].is_null()
}

/// Has the rows of a global cluster's secondaries have what the writer's Region says of them.
fn add_lags(answer: &mut Value) {
    let Some(all) = answer["databases"].as_array_mut() else {
        return;
    };
    let told = all.iter().filter_map(|row| row["secondaries"].as_array());
    let told: Vec<Value> = told.flatten().cloned().collect();
    for secondary in &told {
        let mut rows = all.iter_mut();
        if let Some(row) = rows.find(|row| row["arn"] == secondary["instance"]) {
            row["rpo_lag_milliseconds"] = secondary["rpo_lag_milliseconds"].clone();
        }
    }
}

/// Has a row have what a table shows in place of several of its fields: its cluster's name, and of
/// one with a standby whether that may take over, and in which zone it is.
fn add_words(row: &mut Value) {
    let cluster = row["cluster"].as_str();
    let name = cluster.and_then(|arn| arn.rsplit(':').next());
    let cluster_name = json!(name);
    let zone = row["standby_zone"].as_str();
    let standby = zone.map(|zone| match row["standby_in_step"].as_bool() {
        Some(true) => format!("{zone}, in step"),
        _ => format!("{zone}, out of step"),
    });
    let standby = json!(standby);
    row["cluster_name"] = cluster_name;
    row["standby"] = standby;
}

/// Prints a table of the rows that are wanted, and what troubles them; and returns those that were
/// printed as text.
fn show(
    query: &Query,
    columns: &[(&'static str, &'static str)],
    nothing: &str,
    is_wanted: fn(&Value) -> bool,
) -> Result<Vec<Value>, Failure> {
    let mut answer = ask(&query.lab, &Command::Databases)?;
    add_lags(&mut answer);
    let all = answer["databases"].as_array_mut().into_iter().flatten();
    let wanted: Vec<Value> = all.map(Value::take).filter(is_wanted).collect();
    answer["databases"] = Value::Array(wanted);
    if query.json {
        return output::print_json(&answer).map(|()| Vec::new());
    }
    let mut rows = rows(&answer, "databases");
    rows.iter_mut().for_each(add_words);
    if rows.is_empty() {
        return output::print(nothing).map(|()| rows);
    }
    output::print(Table::of_rows(columns, &rows))?;
    tell(&rows, "trouble")?;
    Ok(rows)
}

/// Prints a text that some rows have, with whose it is.
fn tell(rows: &[Value], field: &str) -> Result<(), Failure> {
    let told = rows.iter().filter_map(|row| {
        let told = row[field].as_str()?;
        let name = |field: &str| row[field].as_str().unwrap_or("?").to_owned();
        Some(format!("{}/{}: {told}", name("region"), name("instance")))
    });
    for told in told {
        output::print(format!("\n{}\n", output::printable(&told)))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secondary_s_row_has_what_the_writer_s_region_says_of_it() {
        let mut answer = json!({ "databases": [
            { "arn": "writer", "secondaries": [
                { "instance": "second", "rpo_lag_milliseconds": 200 },
                { "instance": "gone", "rpo_lag_milliseconds": 7 },
            ] },
            { "arn": "second" },
            { "arn": "alone" },
        ] });
        add_lags(&mut answer);
        let rows = &answer["databases"];
        assert_eq!(rows[1]["rpo_lag_milliseconds"], 200);
        assert!(rows[0]["rpo_lag_milliseconds"].is_null());
        assert!(rows[2]["rpo_lag_milliseconds"].is_null());
    }

    #[test]
    fn a_table_says_of_which_cluster_one_is_and_whether_its_standby_may_take_over() {
        let row = |in_step: bool| {
            json!({
                "region": "eu-west-1",
                "instance": "orders",
                "zone": "eu-west-1b",
                "standby_zone": "eu-west-1c",
                "standby_in_step": in_step,
            })
        };
        let reader = json!({
            "instance": "reader",
            "cluster": "arn:aws:rds:eu-west-1:111122223333:cluster:shop",
            "standby_zone": null,
        });
        let mut rows = [row(true), row(false), reader];
        rows.iter_mut().for_each(add_words);
        let table = Table::of_rows(&LIST, &rows).to_string();
        let lines: Vec<&str> = table.lines().collect();
        assert!(lines[0].contains("CLUSTER") && lines[0].contains("STANDBY"));
        assert!(lines[1].contains("eu-west-1c, in step"), "{table}");
        assert!(lines[2].contains("eu-west-1c, out of step"), "{table}");
        let cells: Vec<&str> = lines[3].split_whitespace().collect();
        assert!(cells.contains(&"shop"), "{table}");
        assert!(!lines[3].contains("step"), "{table}");
    }
}

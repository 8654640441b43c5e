//! What the Region of a global cluster's writer tells of the secondaries' lags: fields of a row,
//! alarms, and figures as Prometheus reads them. How they are measured is in `databases::lag`.

use std::fmt::Write;

use databases::model::GlobalCluster;
use databases::{ClusterArn, slot};
use serde_json::{Value, json};

use super::servers::Seen;

/// A secondary that is later than this is told of by an alarm.
const LATE_MILLISECONDS: u64 = 30_000;

/// The figure of a secondary's lag.
const RPO_LAG: &str = "causeway_database_global_rpo_lag_milliseconds";

/// The figure of whether commits wait.
const WAIT: &str = "causeway_database_commits_wait";

/// Has the row of a writer's instance say how late each secondary is.
pub(super) fn add(global: &GlobalCluster, own: &ClusterArn, seen: &Seen, row: &mut Value) {
    let Some(measured) = seen.followers.measured() else {
        return;
    };
    let others = global.members.values().filter(|member| member.arn != *own);
    let told = others.filter_map(|member| {
        let head = member.head.as_ref()?;
        let lag = measured.lags.get(&slot(&head.resource_id))?;
        Some(json!({
            "region": member.arn.region,
            "cluster": member.arn.to_string(),
            "instance": head.arn.to_string(),
            "rpo_lag_milliseconds": lag.rpo.0 / 1000,
            "flushed": lag.place.map(|place| place.flushed.to_string()),
        }))
    });
    row["secondaries"] = told.collect();
    row["rpo_seconds"] = json!(measured.rpo.map(|rpo| rpo.0 / 1_000_000));
    row["commits_wait"] = json!(seen.followers.gate().is_shut());
}

fn of(row: &Value) -> &[Value] {
    row["secondaries"].as_array().map_or(&[], Vec::as_slice)
}

/// What somebody should look at.
pub(super) fn alarms(row: &Value) -> Vec<String> {
    let name = row["instance"].as_str().unwrap_or("?");
    let late = of(row).iter().filter_map(|secondary| {
        let lag = secondary["rpo_lag_milliseconds"].as_u64()?;
        let region = secondary["region"].as_str().unwrap_or("?");
        (lag > LATE_MILLISECONDS).then(|| {
            let seconds = lag / 1000;
            format!("database {name}: the secondary in {region} lacks the last {seconds} s")
        })
    });
    let waiting = (row["commits_wait"] == true).then(|| {
        let rpo = row["rpo_seconds"].as_u64().unwrap_or(0);
        format!("database {name}: commits wait, since every secondary lacks more than {rpo} s")
    });
    late.chain(waiting).collect()
}

/// Figures of all rows.
pub(super) fn metrics(rows: &[Value], text: &mut String) {
    let told: Vec<(&Value, &Value)> = rows
        .iter()
        .flat_map(|row| of(row).iter().map(move |secondary| (row, secondary)))
        .collect();
    if told.is_empty() {
        return;
    }
    let head = writeln!(
        text,
        "# HELP {WAIT} Do commits wait for secondaries (rds.global_db_rpo)?\n# TYPE {WAIT} gauge"
    );
    head.expect("a text takes all");
    for row in rows.iter().filter(|row| row["commits_wait"].is_boolean()) {
        let waits = u8::from(row["commits_wait"] == true);
        let line = writeln!(text, "{WAIT}{{{}}} {waits}", labels(row));
        line.expect("a text takes all");
    }
    let help = "Time between a global writer's newest heartbeat and the newest a secondary has.";
    let head = writeln!(text, "# HELP {RPO_LAG} {help}\n# TYPE {RPO_LAG} gauge");
    head.expect("a text takes all");
    for (row, secondary) in told {
        let line = writeln!(
            text,
            "{RPO_LAG}{{{},secondary=\"{}\"}} {}",
            labels(row),
            secondary["region"].as_str().unwrap_or(""),
            secondary["rpo_lag_milliseconds"].as_u64().unwrap_or(0),
        );
        line.expect("a text takes all");
    }
}

/// The labels of an instance's figures.
fn labels(row: &Value) -> String {
    let word = |field: &str| row[field].as_str().unwrap_or("");
    let (region, account, instance) = (word("region"), word("account"), word("instance"));
    format!("region=\"{region}\",account=\"{account}\",instance=\"{instance}\"")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row() -> Value {
        json!({
            "region": "us-east-1", "account": "111122223333", "instance": "orders-us-1",
            "rpo_seconds": 20, "commits_wait": true,
            "secondaries": [
                { "region": "eu-west-1", "rpo_lag_milliseconds": 100 },
                { "region": "ap-southeast-2", "rpo_lag_milliseconds": 31_900 },
            ],
        })
    }

    #[test]
    fn only_a_late_secondary_is_an_alarm() {
        let alarms = alarms(&row());
        let late = "database orders-us-1: the secondary in ap-southeast-2 lacks the last 31 s";
        let wait = "database orders-us-1: commits wait, since every secondary lacks more than 20 s";
        assert_eq!(alarms, [late, wait]);
    }

    #[test]
    fn each_secondary_is_a_line_and_nothing_is_told_without_one() {
        let mut text = String::new();
        metrics(&[json!({ "instance": "alone" })], &mut text);
        assert_eq!(text, "");
        metrics(&[row(), json!({ "instance": "alone" })], &mut text);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 7);
        let own = "region=\"us-east-1\",account=\"111122223333\",instance=\"orders-us-1\"";
        assert_eq!(
            lines[2],
            format!("causeway_database_commits_wait{{{own}}} 1")
        );
        assert_eq!(
            lines[5],
            "causeway_database_global_rpo_lag_milliseconds{region=\"us-east-1\",\
             account=\"111122223333\",instance=\"orders-us-1\",secondary=\"eu-west-1\"} 100"
        );
    }
}

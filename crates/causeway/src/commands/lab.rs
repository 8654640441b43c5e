//! `causeway down` and `causeway lag`.

use std::time::Duration;

use runtime::{DirectoryLock, SystemEnvironment};
use types::{Environment, Span};

use super::{RunningLab, ask, block_on, rows};
use crate::cli::Query;
use crate::control::Command;
use crate::failure::{ExitCode, Failure};
use crate::output::{self, Table};

/// How long a lab may take to stop.
const STOP_WAIT: Duration = Duration::from_secs(60);

/// Stops the lab and waits until it is gone.
pub fn down(query: &Query) -> Result<(), Failure> {
    let found = RunningLab::find(&query.lab)?;
    block_on(async {
        match (found.ask(&Command::Down).await, found.holder) {
            (Ok(_), _) => {}
            // It runs, but its front door doesn't answer: it is asked the other way.
            (Err(failure), Some(holder)) if failure.code != ExitCode::WrongUse => {
                runtime::terminate(holder);
            }
            (Err(failure), _) => return Err(failure),
        }
        let gone = runtime::within(STOP_WAIT, until_free(&query.lab.data)).await;
        gone.ok_or_else(|| {
            let seconds = STOP_WAIT.as_secs();
            let failure = format!("the lab has not stopped within {seconds} s");
            Failure::did_not_hold(failure).then("its supervisor is still at work; look again")
        })
    })?;
    if query.json {
        return output::print_json(&serde_json::json!({ "stopped": true }));
    }
    output::print("stopped\n")
}

async fn until_free(data: &std::path::Path) {
    let environment = SystemEnvironment::new();
    while DirectoryLock::holder(data).is_some() {
        let next = environment.now().monotonic + Span::milliseconds(20);
        environment.sleep_until(next).await;
    }
}

/// Shows how far each Region is behind each other.
pub fn lag(query: &Query) -> Result<(), Failure> {
    let answer = ask(&query.lab, &Command::Lag)?;
    if query.json {
        return output::print_json(&answer);
    }
    let objects = answer["objects"].as_array().cloned().unwrap_or_default();
    let rows = rows(&answer, "lag");
    if rows.is_empty() && !answer["silent"].as_array().is_none_or(Vec::is_empty) {
        return Err(Failure::did_not_hold("no Region answered"));
    }
    if rows.is_empty() && objects.is_empty() {
        return output::print("one Region alone: nothing is replicated\n");
    }
    let columns = [
        ("FROM", "from"),
        ("TO", "to"),
        ("LINK", "link"),
        ("BACKLOG", "backlog"),
        ("OLDEST MS", "oldest_milliseconds"),
        ("MEDIAN MS", "median_milliseconds"),
        ("P99 MS", "p99_milliseconds"),
        ("APPLIED", "applied"),
    ];
    if !rows.is_empty() {
        output::print(Table::of_rows(&columns, &rows))?;
    }
    if objects.is_empty() {
        return Ok(());
    }
    let columns = [
        ("FROM", "from"),
        ("TO", "to"),
        ("BUCKET", "bucket"),
        ("DESTINATION", "destination"),
        ("RULE", "rule"),
        ("PENDING", "pending_operations"),
        ("BYTES", "pending_bytes"),
        ("OLDEST MS", "oldest_milliseconds"),
        ("FAILED", "failed"),
        ("ARRIVED", "completed"),
    ];
    output::print(format!("\n{}", Table::of_rows(&columns, &objects)))
}

/// Prints figures as Prometheus reads them.
pub fn metrics(query: &Query) -> Result<(), Failure> {
    let answer = ask(&query.lab, &Command::Metrics)?;
    if query.json {
        return output::print_json(&answer);
    }
    // Who didn't answer is told on stderr.
    super::rows(&answer, "silent");
    output::print(answer["text"].as_str().unwrap_or_default())
}

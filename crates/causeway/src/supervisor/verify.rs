//! Carrying out `causeway verify`: every Region reads all its data, then the replicas of each
//! global table are compared by digests.

use std::collections::BTreeMap;
use std::time::Duration;

use region::Replicas;
use serde_json::{Value, json};
use types::{Environment, Span};

use super::Supervisor;
use super::compare::{Agreement, compare};
use crate::failure::Failure;
use crate::protocol::Question;

/// How long a site may take to check all its data.
const VERIFY_WAIT: Duration = Duration::from_secs(200);

/// How long a site may take to digest its replicas, each time.
const DIGEST_WAIT: Duration = Duration::from_secs(60);

/// How often replicas are compared that differ by changes still on their way ...
const ATTEMPTS: usize = 4;

/// ... and how long after each other.
const BETWEEN_ATTEMPTS: Span = Span::milliseconds(1_500);

impl Supervisor {
    /// Sound: every Region answered, none found anything, and all replicas were compared and
    /// agree.
    pub(super) async fn verify(&self) -> Result<Value, Failure> {
        let mut sound = true;
        let mut regions = Vec::new();
        for (region, answer) in self.ask_regions(&Question::Verify, VERIFY_WAIT).await {
            let (findings, detail) = match answer {
                Ok(detail) => (findings(&detail), detail),
                Err(cause) => (vec![format!("it was not checked: {cause}")], Value::Null),
            };
            sound &= findings.is_empty();
            regions.push(json!({ "region": region, "findings": findings, "detail": detail }));
        }
        let tables = self.compare_replicas().await;
        sound &= tables.iter().all(|table| table.state == Agreement::Agree);
        let tables = serde_json::to_value(tables).map_err(Failure::did_not_hold)?;
        Ok(json!({ "sound": sound, "regions": regions, "tables": tables }))
    }

    /// Compares, and again a little later if something was only on its way.
    async fn compare_replicas(&self) -> Vec<super::compare::Compared> {
        let mut attempt = 1;
        loop {
            let mut heard = Vec::new();
            let mut silent = BTreeMap::new();
            for (site, answer) in self.ask_regions(&Question::Replicas, DIGEST_WAIT).await {
                let answer = answer.map_err(|cause| cause.to_string());
                let replicas = answer.and_then(|answer| {
                    serde_json::from_value::<Replicas>(answer).map_err(|cause| cause.to_string())
                });
                match (replicas, site.region()) {
                    (Ok(replicas), _) => heard.push(replicas),
                    (Err(cause), Some(region)) => drop(silent.insert(region, cause)),
                    (Err(_), None) => {}
                }
            }
            let tables = compare(&heard, &silent);
            let may_settle = silent.is_empty()
                && tables
                    .iter()
                    .any(|table| table.state == Agreement::NotComparable);
            if !may_settle || attempt == ATTEMPTS {
                return tables;
            }
            attempt += 1;
            let now = self.environment.now().monotonic;
            self.environment.sleep_until(now + BETWEEN_ATTEMPTS).await;
        }
    }
}

/// `findings` of a Region's verification; an answer without them is one.
fn findings(detail: &Value) -> Vec<String> {
    match detail.get("findings").and_then(Value::as_array) {
        Some(findings) => {
            let texts = findings.iter().map(|finding| match finding {
                Value::String(text) => text.clone(),
                other => other.to_string(),
            });
            texts.collect()
        }
        None => vec!["it answered without findings".to_owned()],
    }
}

//! What the operator asks of identity: passed to a Region that can decide it. A revocation is
//! followed until every Region that hears of it judges by it; of the others it is said why not.

use std::time::Duration;

use futures_util::future::join_all;
use region::OperatorQuestion;
use runtime::CallError;
use serde_json::{Value, json};
use types::{Environment, Region, SiteName};

use super::Supervisor;
use super::execute::{QUESTION_WAIT, describe};
use super::slot::{Slot, State};
use crate::failure::Failure;
use crate::protocol::{IdentityAnswer, Question, SiteCommand};

/// How long a Region may take to judge by a revocation. What it waits for is one message over the
/// link; a Region that is cut off won't hear it however long it is asked.
const ADOPTION_WAIT: Duration = Duration::from_secs(10);

impl Supervisor {
    /// Has a Region answer, and says what became of it everywhere.
    pub(super) async fn identity(&self, question: OperatorQuestion) -> Result<Value, Failure> {
        let is_revocation = matches!(question, OperatorQuestion::Revoke { .. });
        let preferred = match &question {
            OperatorQuestion::Explain { access } => Some(access.region),
            _ => None,
        };
        let mut answer = self.ask_identity(preferred, question).await?;
        if is_revocation && let Some(revision) = answer["revision"].as_u64() {
            answer["regions"] = Value::Array(self.await_adoption(revision).await);
        }
        Ok(answer)
    }

    /// The Region that is preferred answers if it runs, else one that can decide.
    async fn ask_identity(
        &self,
        preferred: Option<Region>,
        question: OperatorQuestion,
    ) -> Result<Value, Failure> {
        let preferred = preferred.and_then(|region| self.living_region(region));
        let site = preferred.or_else(|| self.any_living_region());
        let site = site.and_then(|site| self.lab.deployment().site(site));
        let site = site.ok_or_else(|| {
            let failure = Failure::did_not_hold("no Region runs that could answer");
            failure.then("`causeway status` shows the sites")
        })?;
        let changes = question.is_change();
        let question = Question::Identity(question);
        let command = SiteCommand::Ask { question };
        let answer = self.slots[&site.name].call(&command, QUESTION_WAIT).await;
        let answer = answer.map_err(|cause| unanswered(site.name, &cause, changes))?;
        match serde_json::from_value(answer).map_err(anyhow::Error::from)? {
            IdentityAnswer::Done { answer } => Ok(answer),
            IdentityAnswer::Refused { failure } => Err(failure),
        }
    }

    /// Waits until each Region judges by that revision of the configuration; says of each whether
    /// it does, how long that took, and if it doesn't, why.
    async fn await_adoption(&self, revision: u64) -> Vec<Value> {
        let begun = self.environment.now().monotonic;
        let sites = self.lab.settings.sites.iter();
        let regions = sites.filter(|site| site.name.region().is_some());
        let asked = regions.map(|site| async move {
            let question = Question::Identity(OperatorQuestion::Adopted { revision });
            let command = SiteCommand::Ask { question };
            let slot = &self.slots[&site.name];
            let answer = match condition(slot) {
                None => {
                    let answer = slot.call(&command, ADOPTION_WAIT).await;
                    answer.map_err(|cause| cause.to_string())
                }
                Some(condition) => Err(condition),
            };
            let took = (self.environment.now().monotonic - begun).0 / 1000;
            report(site.name, answer, took)
        });
        join_all(asked).await
    }
}

/// Why a Region can't be asked now. It could be any moment, with what it last knew.
fn condition(slot: &Slot) -> Option<String> {
    match slot.state() {
        State::Running(running) if running.paused => Some("it is paused".to_owned()),
        State::Running(_) => None,
        state => Some(format!("it is {}", describe(&state).0)),
    }
}

/// No answer came. What was asked to be changed may be changed all the same.
fn unanswered(site: SiteName, cause: &CallError, changes: bool) -> Failure {
    match changes {
        false => Failure::did_not_hold(format!("{site}: {cause}")),
        true => Failure::did_not_hold(format!(
            "it isn't known whether the change was made ({site}: {cause})"
        ))
        .then(
            "look with `causeway identity list`; a key that nobody saw is ended with `causeway \
             identity revoke`",
        ),
    }
}

fn report(region: SiteName, answer: Result<Value, String>, milliseconds: u64) -> Value {
    match answer {
        Ok(_) => json!({ "region": region, "refuses": true, "milliseconds": milliseconds }),
        Err(reason) => json!({ "region": region, "refuses": false, "reason": reason }),
    }
}

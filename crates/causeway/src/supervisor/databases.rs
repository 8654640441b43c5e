//! What all Regions say of their databases, and of what those lost, as one answer.

use serde_json::{Value, json};

use super::Supervisor;
use super::execute::no_answer;
use crate::failure::Failure;
use crate::protocol::Question;

impl Supervisor {
    /// Each Region's database instances; who doesn't answer is named with the reason.
    pub(super) async fn databases(&self) -> Result<Value, Failure> {
        self.of_databases(&Question::Databases, "databases").await
    }

    /// What each Region kept of old writers; who doesn't answer is named with the reason.
    pub(super) async fn lost_transactions(&self) -> Result<Value, Failure> {
        self.of_databases(&Question::LostTransactions, "lost").await
    }

    async fn of_databases(&self, question: &Question, field: &str) -> Result<Value, Failure> {
        let (answers, silent) = self.heard(question).await;
        if answers.is_empty() {
            return Err(no_answer());
        }
        let rows = answers.into_iter().flat_map(|(_, mut answer)| {
            let rows = answer[field].as_array_mut();
            rows.map(std::mem::take).unwrap_or_default()
        });
        Ok(json!({ field: rows.collect::<Vec<_>>(), "silent": silent }))
    }
}

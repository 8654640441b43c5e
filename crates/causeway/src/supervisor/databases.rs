//! What all Regions say of their databases, as one answer.

use serde_json::{Value, json};

use super::Supervisor;
use super::execute::no_answer;
use crate::failure::Failure;
use crate::protocol::Question;

impl Supervisor {
    /// Each Region's database instances; who doesn't answer is named with the reason.
    pub(super) async fn databases(&self) -> Result<Value, Failure> {
        let (answers, silent) = self.heard(&Question::Databases).await;
        if answers.is_empty() {
            return Err(no_answer());
        }
        let rows = answers.into_iter().flat_map(|(_, mut answer)| {
            let rows = answer["databases"].as_array_mut();
            rows.map(std::mem::take).unwrap_or_default()
        });
        Ok(json!({ "databases": rows.collect::<Vec<_>>(), "silent": silent }))
    }
}

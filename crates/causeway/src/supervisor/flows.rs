//! What is asked of the edges about accelerators, where a flow would go and what they carry, and of
//! the Regions about load balancers.

use futures_util::future::join_all;
use runtime::CallError;
use serde_json::{Value, json};
use types::SiteName;

use super::Supervisor;
use super::dns::place_of;
use super::execute::{QUESTION_WAIT, STATUS_WAIT};
use crate::failure::Failure;
use crate::protocol::{FlowQuestion, Question, RequestQuestion, SiteCommand};

impl Supervisor {
    /// Has the edge that a client's flow would come to explain where it would go.
    pub(super) async fn explain_flow(&self, question: FlowQuestion) -> Result<Value, Failure> {
        let place = place_of(question.from.ip());
        let is_closed = self.closed_edges()?;
        let takes = |edge: &types::Site| !is_closed.contains(&edge.name);
        let (edge, _) = self.living_edge(place, takes).ok_or_else(|| {
            let failure = match self.lab.settings.has_edges() {
                true => "no edge runs that could carry it, or all are drained",
                false => "this lab has no edge, so nobody carries flows of accelerators",
            };
            Failure::did_not_hold(failure).then("`causeway status` shows the sites")
        })?;
        let question = Question::ExplainFlow(question);
        let command = SiteCommand::Ask { question };
        let answer = self.slots[&edge.name].call(&command, QUESTION_WAIT).await;
        let mut explanation = answer.map_err(|cause| match cause {
            CallError::Failed(why) => Failure::wrong_use(why),
            other => Failure::did_not_hold(format!("{}: {other}", edge.name)),
        })?;
        explanation["edge"] = json!(edge.name);
        Ok(explanation)
    }

    /// What each edge carries; who doesn't answer is named with the reason.
    pub(super) async fn flows(&self) -> Value {
        let (answers, silent) = self.heard_of_edges(&Question::Flows).await;
        let edges = answers.into_iter().map(|(name, mut answer)| {
            answer["edge"] = json!(name);
            answer
        });
        json!({
            "edges": edges.collect::<Vec<_>>(),
            "addresses": self.addresses_state(),
            "silent": silent,
        })
    }

    /// What each Region's load balancers carry; who doesn't answer is named with the reason.
    pub(super) async fn balancers(&self) -> Value {
        let (answers, silent) = self.heard(&Question::Balancers).await;
        let regions = answers.into_iter().map(|(name, mut answer)| {
            answer["region"] = json!(name);
            answer
        });
        json!({ "regions": regions.collect::<Vec<_>>(), "silent": silent })
    }

    /// Has the Region whose node listens there explain what it would do with a request.
    pub(super) async fn explain_request(
        &self,
        question: RequestQuestion,
    ) -> Result<Value, Failure> {
        let to = question.to;
        let question = Question::ExplainRequest(question);
        let mut refusal = None;
        for (name, answer) in self.ask_regions(&question, QUESTION_WAIT).await {
            match answer {
                Ok(Value::Null) => (),
                Ok(mut explanation) => {
                    explanation["region"] = json!(name);
                    return Ok(explanation);
                }
                Err(CallError::Failed(why)) => refusal = Some(Failure::wrong_use(why)),
                Err(_) => (),
            }
        }
        let nobody = || {
            let failure = format!("no load balancer of a Region that runs listens at {to}");
            Failure::did_not_hold(failure).then("`causeway balancers` shows where they listen")
        };
        Err(refusal.unwrap_or_else(nobody))
    }

    /// The answers of the edges that answered, and who didn't, and why.
    pub(super) async fn heard_of_edges(
        &self,
        question: &Question,
    ) -> (Vec<(SiteName, Value)>, Vec<Value>) {
        let edges = self.lab.settings.edges();
        let asked = edges.map(|site| async move {
            let question = question.clone();
            let command = SiteCommand::Ask { question };
            let answer = self.slots[&site.name].call(&command, STATUS_WAIT).await;
            (site.name, answer)
        });
        let (mut heard, mut silent) = (Vec::new(), Vec::new());
        for (name, answer) in join_all(asked).await {
            match answer {
                Ok(answer) => heard.push((name, answer)),
                Err(cause) => {
                    silent.push(json!({ "region": name, "reason": cause.to_string() }));
                }
            }
        }
        (heard, silent)
    }
}

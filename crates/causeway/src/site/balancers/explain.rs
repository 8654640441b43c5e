//! What would become of a request to a load balancer here, and why. Nothing is sent.

use balancer::model::Protocol;
use balancer::{Head, Transport};
use serde_json::{Value, json};

use super::BalancersSite;
use crate::protocol::RequestQuestion;

impl BalancersSite {
    /// The explanation; null: no node of this Region listens there.
    ///
    /// # Errors
    /// What listens there takes no requests.
    pub(in crate::site) fn explain(&self, question: &RequestQuestion) -> Result<Value, String> {
        let snapshot = self.way.balancers.snapshot();
        let Some(listening) = snapshot.at(question.to, Transport::Tcp) else {
            return Ok(Value::Null);
        };
        let protocol = listening.listener().protocol;
        if !matches!(protocol, Protocol::Http | Protocol::Https) {
            let what = "takes flows, which go by a hash of the flow among healthy targets";
            return Err(format!("the listener at {} {what}", question.to));
        }
        let headers = question.headers.iter();
        let mut headers: Vec<(&str, &str)> = headers
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .collect();
        let address = question.to.ip().to_string();
        let host = question.host.as_deref().unwrap_or(&address);
        headers.push(("host", host));
        let head = Head {
            method: &question.method,
            host,
            path: &question.path,
            query: question.query.as_deref(),
            headers: &headers,
            source: question.from,
        };
        let explained = self.way.with(|with| listening.explain(&head, with));
        let mut value = json!(explained);
        value["lines"] = json!(explained.lines());
        Ok(value)
    }
}

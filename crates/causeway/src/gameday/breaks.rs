//! Errors on demand: what the shipped application (`examples/orders`) does when it is told to, by
//! `POST /broken`. It says itself when that ends, so nothing outlives its time, whoever is there.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::join_all;
use gameday::scenario::Fault;
use http::Request;
use http::header::{CONTENT_TYPE, HOST};
use serde_json::{Value, json};
use types::Span;

use crate::failure::Failure;

/// How long the application may take to say that it has understood.
const WAIT: Duration = Duration::from_secs(2);

/// What a health check's request says that it is from (`docs/health.md`).
fn agent(site: impl std::fmt::Display) -> String {
    format!("; from {site})")
}

/// What the application is told: the errors of the step of that number, for so long; none for no
/// time. `None`: it is another fault.
pub fn order(step: usize, fault: &Fault, lasting: Span) -> Option<Value> {
    let Fault::Errors { path, checkers, .. } = fault else {
        return None;
    };
    let agents: Vec<String> = checkers.iter().map(agent).collect();
    Some(json!({
        "name": format!("step-{step}"),
        "milliseconds": lasting.0 / 1000,
        "path": path,
        "agents": agents,
    }))
}

/// Tells every instance.
pub async fn tell(instances: &[SocketAddr], order: &Value) -> Result<(), Failure> {
    let told = instances.iter().map(|instance| tell_one(*instance, order));
    join_all(told).await.into_iter().collect()
}

async fn tell_one(instance: SocketAddr, order: &Value) -> Result<(), Failure> {
    let request = Request::post("/broken")
        .header(HOST, instance.to_string())
        .header(CONTENT_TYPE, "application/json")
        .body(Bytes::from(order.to_string()))
        .expect("constant parts make a request");
    let answer = runtime::request(instance, request, WAIT).await;
    let answer = answer.map_err(|cause| {
        Failure::did_not_hold(format!("the application at {instance}: {cause}"))
    })?;
    match answer.status().is_success() {
        true => Ok(()),
        false => {
            let status = answer.status();
            let failure = format!("the application at {instance} answers POST /broken by {status}");
            Err(Failure::did_not_hold(failure)
                .then("only one that does as examples/orders does can be told to fail"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_order_says_to_whom_and_for_how_long() {
        let fault = Fault::Errors {
            region: "us-east-1".parse().unwrap(),
            path: Some("/health".to_owned()),
            checkers: vec!["eu-west-1".parse().unwrap()],
        };
        let told = order(3, &fault, Span::seconds(2)).unwrap();
        let expected = json!({
            "name": "step-3", "milliseconds": 2_000, "path": "/health",
            "agents": ["; from eu-west-1)"],
        });
        assert_eq!(told, expected);
        let target = types::FaultTarget::App("us-east-1".parse().unwrap());
        assert_eq!(order(3, &Fault::Kill(target), Span::ZERO), None);
    }
}

//! Clients as users have them: signed requests over the JSON protocol, one after the other, each
//! write conditional on what its client just read, so that what it replaced is known.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::{Arc, Mutex};

use aws::signature::{Rules, Target, sign};
use bytes::Bytes;
use http::Request;
use identity::RootKey;
use region::{Client as Peer, Region};
use serde_json::{Value, json};
use types::{Environment, Monotonic, Span};

use crate::history::{History, Outcome, WriteId};
use crate::random::Random;
use crate::slow::SlowEngine;

/// The one table of the workload.
pub const TABLE: &str = "Orders";

/// Clients are on the machine of their Region.
const NEXT_DOOR: Peer = Peer {
    address: IpAddr::V4(Ipv4Addr::LOCALHOST),
    is_secure: false,
};

/// A client of one Region.
pub struct Client {
    /// The Region it calls.
    pub region: Arc<Region<SlowEngine>>,
    /// The clocks of that Region's place; the client's own clock is the same.
    pub environment: Arc<dyn Environment>,
    /// What it signs with.
    pub key: RootKey,
}

impl Client {
    /// Calls an operation; `Err` is the error's code.
    pub async fn call(&self, operation: &str, body: Value) -> Result<Value, String> {
        let body = Bytes::from(body.to_string());
        let request = Request::post("http://dynamodb.lab/")
            .header("host", "dynamodb.lab")
            .header("x-amz-target", format!("DynamoDB_20120810.{operation}"))
            .header("content-type", "application/x-amz-json-1.0")
            .body(())
            .expect("the request is well-formed");
        let (mut parts, ()) = request.into_parts();
        let target = Target {
            service: "dynamodb",
            region: self.region.name(),
            rules: Rules::JSON,
        };
        let now = self.environment.now().wall;
        sign(&mut parts, &body, &self.key.credentials(), &target, now)
            .expect("the request can be signed");
        let response = self
            .region
            .handle(NEXT_DOOR, Request::from_parts(parts, body))
            .await;
        let answer: Value = serde_json::from_slice(response.body()).expect("every answer is JSON");
        if response.status().is_success() {
            return Ok(answer);
        }
        let code = answer["__type"].as_str().unwrap_or_default();
        Err(code.rsplit('#').next().unwrap_or_default().to_owned())
    }

    /// Waits.
    pub async fn rest(&self, span: Span) {
        let now = self.environment.now().monotonic;
        self.environment.sleep_until(now + span).await;
    }

    /// The write that the item of that key carries here now.
    async fn read(&self, key: &str) -> Result<Option<WriteId>, String> {
        let request = json!({
            "TableName": TABLE, "Key": {"id": {"S": key}}, "ConsistentRead": true,
        });
        let answer = self.call("GetItem", request).await?;
        let written = answer["Item"]["w"]["N"].as_str();
        Ok(written.map(|id| id.parse().expect("the workload writes numbers")))
    }
}

/// Between two strokes of the clock.
const STROKE: Span = Span::milliseconds(50);

/// How a client behaves.
#[derive(Clone, Copy, Debug)]
pub struct Habits {
    /// Items it works on.
    pub keys: u64,
    /// Pauses between operations, at most, in milliseconds.
    pub pause: u64,
    /// Do they act on the stroke of the clock, as scheduled jobs do? Then writes of several
    /// Regions bear the same time.
    pub on_the_stroke: bool,
}

/// Writes until `end`, or for as long as it lives.
pub async fn work(
    client: Client,
    history: Arc<Mutex<History>>,
    habits: Habits,
    mut random: Random,
    end: Monotonic,
) {
    while client.environment.now().monotonic < end {
        let pause = Span::milliseconds(random.between(1, habits.pause));
        client.rest(pause).await;
        if habits.on_the_stroke {
            let now = client.environment.now().monotonic;
            client.rest(Span(STROKE.0 - now.0 % STROKE.0)).await;
        }
        let key = format!("item-{}", random.below(habits.keys));
        let Ok(replaced) = client.read(&key).await else {
            continue;
        };
        let deletes = replaced.is_some() && random.one_in(6);
        let id = {
            let mut history = history.lock().expect("nothing panics inside");
            history.begin(&key, client.region.name(), replaced, deletes)
        };
        let (operation, request) = write(&key, id, replaced, deletes, random.one_in(3));
        let outcome = match client.call(operation, request).await {
            Ok(_) => Outcome::Done,
            Err(code) => judge(&code),
        };
        history
            .lock()
            .expect("nothing panics inside")
            .settle(id, outcome);
    }
}

/// What an error says of the write. Only a refusal by name is one: after a failed commit nobody
/// knows what is on disk.
fn judge(code: &str) -> Outcome {
    match code {
        "ConditionalCheckFailedException" | "ResourceNotFoundException" | "ValidationException" => {
            Outcome::Refused
        }
        _ => Outcome::Unknown,
    }
}

fn write(
    key: &str,
    id: WriteId,
    replaced: Option<WriteId>,
    deletes: bool,
    updates: bool,
) -> (&'static str, Value) {
    let mut request = json!({"TableName": TABLE});
    let mut values = json!({});
    match replaced {
        Some(before) => {
            request["ConditionExpression"] = json!("w = :before");
            values[":before"] = json!({"N": before.to_string()});
        }
        None => request["ConditionExpression"] = json!("attribute_not_exists(id)"),
    }
    let operation = if deletes {
        request["Key"] = json!({"id": {"S": key}});
        "DeleteItem"
    } else if updates {
        request["Key"] = json!({"id": {"S": key}});
        request["UpdateExpression"] = json!("SET w = :w");
        values[":w"] = json!({"N": id.to_string()});
        "UpdateItem"
    } else {
        request["Item"] = json!({"id": {"S": key}, "w": {"N": id.to_string()}});
        "PutItem"
    };
    if values != json!({}) {
        request["ExpressionAttributeValues"] = values;
    }
    (operation, request)
}

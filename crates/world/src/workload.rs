//! Clients as users have them: signed requests over the JSON protocol, one after the other, each
//! write conditional on what its client just read, so that what it replaced is known.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::{Arc, Mutex};

use aws::signature::{Rules, Target, sign};
use bytes::Bytes;
use http::{Request, Response};
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

/// What S3 answers.
pub struct S3Answer {
    /// The status.
    pub status: u16,
    /// The version id that it names.
    pub version: Option<String>,
    /// The body.
    pub body: String,
}

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
        let request = Request::post("http://dynamodb.lab/")
            .header("host", "dynamodb.lab")
            .header("x-amz-target", format!("DynamoDB_20120810.{operation}"))
            .header("content-type", "application/x-amz-json-1.0");
        let answer = self.send("dynamodb", Rules::JSON, request, body.to_string());
        let (is_success, text) = answer.await;
        let answer: Value = serde_json::from_str(&text).expect("every answer is JSON");
        if is_success {
            return Ok(answer);
        }
        let code = answer["__type"].as_str().unwrap_or_default();
        Err(code.rsplit('#').next().unwrap_or_default().to_owned())
    }

    /// Calls an operation of IAM with parameters that need no escaping; gives the document, `Err`
    /// if it is an error's.
    pub async fn iam(&self, action: &str, parameters: &str) -> Result<String, String> {
        let form = format!("Action={action}&Version=2010-05-08&{parameters}");
        let request = Request::post("http://iam.lab/")
            .header("host", "iam.lab")
            .header("content-type", "application/x-www-form-urlencoded");
        match self.send("iam", Rules::QUERY, request, form).await {
            (true, document) => Ok(document),
            (false, document) => Err(document),
        }
    }

    /// Calls S3: the path from the bucket on, with its query.
    pub async fn s3(&self, method: &str, path: &str, body: Vec<u8>) -> S3Answer {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header("host", "127.0.0.1:4566")
            .header("content-length", body.len());
        let response = self.answer("s3", Rules::OBJECTS, request, body.into());
        let response = response.await;
        let version = response.headers().get("x-amz-version-id");
        let version = version.and_then(|value| value.to_str().ok());
        S3Answer {
            status: response.status().as_u16(),
            version: version.map(str::to_owned),
            body: String::from_utf8_lossy(response.body()).into_owned(),
        }
    }

    async fn send(
        &self,
        service: &str,
        rules: Rules,
        request: http::request::Builder,
        body: String,
    ) -> (bool, String) {
        let response = self.answer(service, rules, request, body.into()).await;
        let text = String::from_utf8(response.body().to_vec()).expect("every answer is text");
        (response.status().is_success(), text)
    }

    async fn answer(
        &self,
        service: &str,
        rules: Rules,
        request: http::request::Builder,
        body: Bytes,
    ) -> Response<Bytes> {
        let request = request.body(body).expect("the request is well-formed");
        let (mut parts, body) = request.into_parts();
        let target = Target {
            service,
            region: self.region.name(),
            rules,
        };
        let now = self.environment.now().wall;
        sign(&mut parts, &body, &self.key.credentials(), &target, now)
            .expect("the request can be signed");
        let request = Request::from_parts(parts, body);
        self.region.handle(NEXT_DOOR, request).await
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

/// Makes a user of IAM who may do everything to the table and nothing else, and a key of theirs:
/// what the workload's clients call as, so that every one of their calls is judged by a policy.
pub async fn make_writer(client: &Client) -> RootKey {
    // As a form has it: {"Version":"2012-10-17","Statement":{"Effect":"Allow",
    // "Action":"dynamodb:*","Resource":"arn:aws:dynamodb:*:111122223333:table/Orders"}}
    const POLICY: &str = "%7B%22Version%22%3A%222012-10-17%22%2C%22Statement%22%3A%7B%22Effect\
        %22%3A%22Allow%22%2C%22Action%22%3A%22dynamodb%3A*%22%2C%22Resource%22%3A%22\
        arn%3Aaws%3Adynamodb%3A*%3A111122223333%3Atable%2FOrders%22%7D%7D";
    let policy = format!("UserName=writer&PolicyName=table&PolicyDocument={POLICY}");
    until_done(client, "CreateUser", "UserName=writer").await;
    until_done(client, "PutUserPolicy", &policy).await;
    let made = until_done(client, "CreateAccessKey", "UserName=writer").await;
    let element = |name: &str| {
        let (_, rest) = made.split_once(&format!("<{name}>")).unwrap_or_default();
        rest.split_once('<').unwrap_or_default().0
    };
    let (id, secret) = (element("AccessKeyId"), element("SecretAccessKey"));
    RootKey::new(id, secret).expect("IAM makes keys of that shape")
}

pub(crate) async fn until_done(client: &Client, action: &str, parameters: &str) -> String {
    loop {
        match client.iam(action, parameters).await {
            Ok(document) => return document,
            Err(document) if document.contains("<Code>Throttling</Code>") => {
                client.rest(Span::milliseconds(250)).await;
            }
            Err(document) => panic!("{action} is refused: {document}"),
        }
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

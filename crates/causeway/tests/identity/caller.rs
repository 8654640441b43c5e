//! Somebody with a key, who calls a lab's services from an address of theirs: IAM, STS and RDS by
//! forms, DynamoDB by JSON. It judges nothing.

use std::net::{Ipv4Addr, SocketAddr};

use aws::signature::{Credentials, Rules, SecretKey, Target, sign};
use bytes::Bytes;
use http::Request;
use serde_json::Value;

use crate::support::{Lab, eventually, now};

/// A key and where it is used from.
#[derive(Clone)]
pub struct Caller {
    pub id: String,
    pub secret: SecretKey,
    pub token: Option<String>,
    pub from: Ipv4Addr,
    /// The Region that is called.
    pub region: &'static str,
    /// Through the front door; else at that address.
    pub server: SocketAddr,
}

impl Caller {
    /// The operator, at the lab's front door.
    pub fn operator(lab: &Lab, region: &'static str) -> Caller {
        let key = lab.key();
        Caller {
            id: key.access_key_id().to_owned(),
            secret: key.secret().clone(),
            token: None,
            from: Ipv4Addr::LOCALHOST,
            region,
            server: SocketAddr::from(([127, 0, 0, 1], lab.port)),
        }
    }

    /// The same caller with another key.
    pub fn with(&self, id: &str, secret: &str) -> Caller {
        Caller {
            id: id.to_owned(),
            secret: SecretKey::new(secret.to_owned()),
            token: None,
            ..self.clone()
        }
    }

    /// The same caller with the credentials that an STS operation answered with.
    pub fn in_session(&self, answer: &str) -> Caller {
        Caller {
            token: Some(element(answer, "SessionToken").to_owned()),
            ..self.with(
                element(answer, "AccessKeyId"),
                element(answer, "SecretAccessKey"),
            )
        }
    }

    /// The same caller, in the Region of that number at its own address.
    pub fn at(&self, region: &'static str, number: u8, lab: &Lab) -> Caller {
        Caller {
            region,
            server: SocketAddr::from(([127, 1, number, 1], lab.port)),
            ..self.clone()
        }
    }

    /// The same caller in another Region, by the same way.
    pub fn of(&self, region: &'static str) -> Caller {
        Caller {
            region,
            ..self.clone()
        }
    }

    /// Sends a signed request; gives status and body.
    pub fn send(
        &self,
        service: &str,
        rules: Rules,
        headers: &[(&str, &str)],
        path: &str,
        body: &str,
    ) -> (u16, String) {
        let mut request = Request::post(path)
            .header("host", self.server.to_string())
            .header("content-length", body.len());
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let (mut parts, body) = request
            .body(Bytes::from(body.to_owned()))
            .unwrap()
            .into_parts();
        let credentials = Credentials {
            access_key_id: &self.id,
            secret: &self.secret,
            session_token: self.token.as_deref(),
        };
        let target = Target {
            service,
            region: self.region.parse().unwrap(),
            rules,
        };
        sign(&mut parts, &body, &credentials, &target, now()).unwrap();
        self.exchange(Request::from_parts(parts, body))
    }

    /// Sends a request as it is.
    pub fn exchange(&self, request: Request<Bytes>) -> (u16, String) {
        let (from, server) = (self.from, self.server);
        let answered = runtime::run(0, async move {
            let opened = runtime::ClientConnection::open(from, server).await;
            opened.unwrap().send(request).await.unwrap()
        });
        let answer = answered.unwrap();
        let text = String::from_utf8(answer.body().to_vec()).unwrap();
        (answer.status().as_u16(), text)
    }

    /// Calls an operation of IAM, STS or RDS.
    pub fn form(&self, service: &str, action: &str, parameters: &[(&str, &str)]) -> (u16, String) {
        let version = match service {
            "iam" => "2010-05-08",
            "rds" => "2014-10-31",
            _ => "2011-06-15",
        };
        let mut form = format!("Action={action}&Version={version}");
        for (name, value) in parameters {
            form.push_str(&format!("&{name}={}", escaped(value)));
        }
        let headers = [("content-type", "application/x-www-form-urlencoded")];
        self.send(service, Rules::QUERY, &headers, "/", &form)
    }

    /// Calls one that must succeed; again while there is no majority, as every SDK does.
    pub fn must(&self, service: &str, action: &str, parameters: &[(&str, &str)]) -> String {
        let mut document = String::new();
        eventually("a majority decides", || {
            let (status, text) = self.form(service, action, parameters);
            let is_throttled = text.contains("<Code>Throttling</Code>");
            assert!(is_throttled || status == 200, "{action}: {text}");
            document = text;
            !is_throttled
        });
        document
    }

    /// Calls an operation of DynamoDB: its answer, or the error's code.
    pub fn dynamodb(&self, operation: &str, body: &Value) -> Result<Value, String> {
        self.dynamodb_with(operation, body, &[])
    }

    /// The same with further headers.
    pub fn dynamodb_with(
        &self,
        operation: &str,
        body: &Value,
        headers: &[(&str, &str)],
    ) -> Result<Value, String> {
        let target = format!("DynamoDB_20120810.{operation}");
        let own = [
            ("x-amz-target", target.as_str()),
            ("content-type", "application/x-amz-json-1.0"),
        ];
        let headers = [&own, headers].concat();
        let (status, text) = self.send("dynamodb", Rules::JSON, &headers, "/", &body.to_string());
        let answer: Value = serde_json::from_str(&text).unwrap();
        if status == 200 {
            return Ok(answer);
        }
        let code = answer["__type"].as_str().unwrap_or_default();
        Err(code.rsplit('#').next().unwrap_or_default().to_owned())
    }

    /// May it list the tables? The error's code, if not.
    pub fn lists_tables(&self) -> Result<(), String> {
        let listed = self.dynamodb("ListTables", &serde_json::json!({}));
        listed.map(drop)
    }
}

/// The text of the first element of that name.
pub fn element<'a>(document: &'a str, name: &str) -> &'a str {
    let found = document.split_once(&format!("<{name}>"));
    let (_, rest) = found.unwrap_or_else(|| panic!("no {name} in {document}"));
    rest.split_once('<').unwrap().0
}

fn escaped(value: &str) -> String {
    let mut text = String::new();
    for byte in value.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => {
                text.push(char::from(byte));
            }
            _ => text.push_str(&format!("%{byte:02X}")),
        }
    }
    text
}

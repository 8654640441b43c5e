//! A signed client of one server: requests as ready bytes for the load, and calls for the rest.

use std::net::SocketAddr;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, bail};
use aws::signature::{
    Credentials, Payload, Rules, SecretKey, SigningOptions, Target, sign, sign_with,
};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use md5::{Digest, Md5};
use serde_json::{Value, json};
use types::{Region, Timestamp};

use crate::connection::Connection;

/// Who calls which server.
#[derive(Clone)]
pub struct Client {
    /// Where the server listens.
    pub address: SocketAddr,
    /// The Region it is called as.
    pub region: Region,
    access_key_id: String,
    secret: SecretKey,
}

impl Client {
    /// A client with these credentials.
    pub fn new(address: SocketAddr, region: Region, access_key_id: &str, secret: &str) -> Client {
        Client {
            address,
            region,
            access_key_id: access_key_id.to_owned(),
            secret: SecretKey::new(secret.to_owned()),
        }
    }

    /// The same credentials elsewhere.
    pub fn at(&self, address: SocketAddr, region: Region) -> Client {
        Client {
            address,
            region,
            ..self.clone()
        }
    }

    /// The id of its key.
    pub fn access_key_id(&self) -> &str {
        &self.access_key_id
    }

    /// The bytes of a signed request, valid for the minutes that a signature lasts.
    pub fn request(&self, operation: &str, body: &[u8]) -> Result<Vec<u8>> {
        let request = http::Request::post("/")
            .header("host", self.address.to_string())
            .header("content-type", "application/x-amz-json-1.0")
            .header("x-amz-target", format!("DynamoDB_20120810.{operation}"))
            .body(())?;
        self.signed(request, "dynamodb", Rules::JSON, body)
    }

    /// Calls an operation of Global Accelerator; a status above 299 is an error with the server's
    /// text.
    pub fn accelerators(&self, operation: &str, input: &Value) -> Result<Value> {
        let body = input.to_string();
        let request = http::Request::post("/")
            .header("host", self.address.to_string())
            .header("content-type", "application/x-amz-json-1.1")
            .header(
                "x-amz-target",
                format!("GlobalAccelerator_V20180706.{operation}"),
            )
            .body(())?;
        let request = self.signed(request, "globalaccelerator", Rules::JSON, body.as_bytes())?;
        let mut connection = Connection::new(self.address);
        let (status, reply) = connection.exchange(&request)?;
        if status > 299 {
            let reply = String::from_utf8_lossy(reply);
            bail!("{operation} was answered {status}: {reply}");
        }
        serde_json::from_slice(reply).context("the reply is no JSON")
    }

    /// Calls an operation of a service of REST with XML; a status above 299 is an error with the
    /// server's text.
    pub fn rest(&self, service: &str, method: &str, path: &str, body: &str) -> Result<String> {
        let request = http::Request::builder()
            .method(method)
            .uri(path)
            .header("host", self.address.to_string())
            .header("content-type", "application/xml")
            .body(())?;
        let request = self.signed(request, service, Rules::REST, body.as_bytes())?;
        let mut connection = Connection::new(self.address);
        let (status, reply) = connection.exchange(&request)?;
        let reply = String::from_utf8_lossy(reply).into_owned();
        if status > 299 {
            bail!("{method} {path} was answered {status}: {reply}");
        }
        Ok(reply)
    }

    /// Calls an action of a service of the query protocol, again and again while the sites are
    /// still electing (`Throttling`); a status above 299 is an error with the server's text.
    pub fn form(&self, service: &str, parameters: &[(&str, &str)]) -> Result<String> {
        let version = match service {
            "iam" => "2010-05-08",
            "rds" => "2014-10-31",
            _ => "2011-06-15",
        };
        let version = [("Version", version)];
        let parameters = parameters.iter().chain(&version);
        let pairs = parameters.map(|(name, value)| format!("{name}={}", encoded(value)));
        let body = pairs.collect::<Vec<String>>().join("&");
        let started = Instant::now();
        loop {
            let request = http::Request::post("/")
                .header("host", self.address.to_string())
                .header("content-type", "application/x-www-form-urlencoded")
                .body(())?;
            let request = self.signed(request, service, Rules::QUERY, body.as_bytes())?;
            let mut connection = Connection::new(self.address);
            let (status, reply) = connection.exchange(&request)?;
            let reply = String::from_utf8_lossy(reply).into_owned();
            match status {
                0..=299 => return Ok(reply),
                _ if reply.contains("Throttling") && started.elapsed().as_secs() < 60 => {
                    std::thread::sleep(Duration::from_millis(50));
                }
                _ => bail!("{service} answered {status}: {reply}"),
            }
        }
    }

    /// The head of a request to S3 whose body isn't signed, as SDKs have it under TLS: `path` is
    /// that of the URL with its query, `length` the body's.
    pub fn object_head(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        length: usize,
    ) -> Result<Vec<u8>> {
        let mut request = http::Request::builder()
            .method(method)
            .uri(path)
            .header("host", self.address.to_string());
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let (mut parts, ()) = request.body(())?.into_parts();
        let target = Target {
            service: "s3",
            region: self.region,
            rules: Rules::OBJECTS,
        };
        let options = SigningOptions::HEADER;
        let credentials = self.credentials();
        sign_with(
            &mut parts,
            Payload::Unsigned,
            &options,
            &credentials,
            &target,
            now(),
        )?;
        Ok(head(&parts, length))
    }

    /// Calls S3 once and gives what it answers; a status above 299 is an error with its text.
    pub fn object_call(&self, method: &str, path: &str, body: &[u8]) -> Result<String> {
        let digest = STANDARD.encode(Md5::digest(body));
        let headers = [("content-md5", digest.as_str())];
        let headers = if body.is_empty() {
            &[][..]
        } else {
            &headers[..]
        };
        let mut request = self.object_head(method, path, headers, body.len())?;
        request.extend_from_slice(body);
        let mut connection = Connection::new(self.address);
        let (status, reply) = connection.exchange(&request)?;
        let reply = String::from_utf8_lossy(reply).into_owned();
        if status > 299 {
            bail!("{method} {path} was answered {status}: {reply}");
        }
        Ok(reply)
    }

    fn credentials(&self) -> Credentials<'_> {
        Credentials {
            access_key_id: &self.access_key_id,
            secret: &self.secret,
            session_token: None,
        }
    }

    fn signed(
        &self,
        request: http::Request<()>,
        service: &str,
        rules: Rules,
        body: &[u8],
    ) -> Result<Vec<u8>> {
        let (mut parts, ()) = request.into_parts();
        let target = Target {
            service,
            region: self.region,
            rules,
        };
        sign(&mut parts, body, &self.credentials(), &target, now())?;
        let mut bytes = head(&parts, body.len());
        bytes.extend_from_slice(body);
        Ok(bytes)
    }

    /// Calls an operation; a status other than 200 is an error with the server's text.
    pub fn call(&self, operation: &str, body: &Value) -> Result<Value> {
        let request = self.request(operation, body.to_string().as_bytes())?;
        let mut connection = Connection::new(self.address);
        let reply = expect_ok(connection.exchange(&request)?)?;
        serde_json::from_slice(reply).context("the reply is no JSON")
    }

    /// Makes a table with the string key `pk` and waits until it is `ACTIVE`.
    pub fn create_table(&self, table: &str) -> Result<()> {
        let description = json!({
            "TableName": table,
            "AttributeDefinitions": [{"AttributeName": "pk", "AttributeType": "S"}],
            "KeySchema": [{"AttributeName": "pk", "KeyType": "HASH"}],
            "BillingMode": "PAY_PER_REQUEST",
        });
        self.call("CreateTable", &description)?;
        self.wait_until_active(table)
    }

    /// Waits until a table, and each replica that it knows of, is `ACTIVE`.
    pub fn wait_until_active(&self, table: &str) -> Result<()> {
        let started = Instant::now();
        loop {
            let reply = self.call("DescribeTable", &json!({"TableName": table}));
            let active = reply.as_ref().is_ok_and(|reply| {
                let replicas = reply["Table"]["Replicas"].as_array();
                reply["Table"]["TableStatus"] == "ACTIVE"
                    && replicas
                        .into_iter()
                        .flatten()
                        .all(|replica| replica["ReplicaStatus"] == "ACTIVE")
            });
            if active {
                return Ok(());
            }
            if started.elapsed() > Duration::from_secs(60) {
                bail!("table {table} isn't ACTIVE after 60 s: {reply:?}");
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Gives a table a replica in another Region, whose client this is given, too.
    pub fn replicate(&self, table: &str, to: &Client) -> Result<()> {
        let create = json!({"Create": {"RegionName": to.region.name()}});
        let update = json!({"TableName": table, "ReplicaUpdates": [create]});
        self.call("UpdateTable", &update)?;
        to.wait_until_active(table)?;
        self.wait_until_active(table)
    }
}

/// A request's head as bytes.
fn head(parts: &http::request::Parts, length: usize) -> Vec<u8> {
    let mut bytes = format!("{} {} HTTP/1.1\r\n", parts.method, parts.uri).into_bytes();
    for (name, value) in &parts.headers {
        bytes.extend_from_slice(name.as_str().as_bytes());
        bytes.extend_from_slice(b": ");
        bytes.extend_from_slice(value.as_bytes());
        bytes.extend_from_slice(b"\r\n");
    }
    bytes.extend_from_slice(format!("content-length: {length}\r\n\r\n").as_bytes());
    bytes
}

/// The body of a reply whose status is 200; anything else is an error that quotes it.
pub fn expect_ok((status, body): (u16, &[u8])) -> Result<&[u8]> {
    if status != 200 {
        let text = String::from_utf8_lossy(&body[..body.len().min(500)]);
        bail!("the server answered {status}: {text}");
    }
    Ok(body)
}

/// A value of a form: all but unreserved characters in percent signs (RFC 3986, section 2.3).
fn encoded(value: &str) -> String {
    let mut text = String::new();
    for byte in value.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                text.push(char::from(byte));
            }
            _ => text.push_str(&format!("%{byte:02X}")),
        }
    }
    text
}

/// The wall clock.
fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    let milliseconds = since.expect("the clock is past 1970").as_millis();
    Timestamp(u64::try_from(milliseconds).expect("a time of our age"))
}

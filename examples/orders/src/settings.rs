//! What the service is told by its environment, read once. A variable that is missing or wrong is
//! named; nothing is guessed.

use std::net::SocketAddr;

use anyhow::{Context, Result, bail};

/// How many connections wait to be accepted, unless the environment says.
const BACKLOG: &str = "1024";

/// Where to listen, and which table or bucket to use.
pub struct Settings {
    /// `HOST` and `PORT`; port 0 picks a free one.
    pub address: SocketAddr,
    /// `AWS_REGION`, which also signs every request and stands in every answer.
    pub region: String,
    /// `AWS_ENDPOINT_URL`: where DynamoDB and S3 are.
    pub endpoint: String,
    /// `AWS_ACCESS_KEY_ID`.
    pub access_key: String,
    /// `AWS_SECRET_ACCESS_KEY`.
    pub secret_key: String,
    /// `AWS_SESSION_TOKEN`, if the key is a temporary one.
    pub session_token: Option<String>,
    /// `TABLE`; its partition key is the string `id`.
    pub table: String,
    /// `BUCKET`: orders are objects of the bucket `BUCKET-REGION` in place of items.
    pub bucket: Option<String>,
    /// `BACKLOG`: how many connections wait to be accepted; further ones are not answered.
    pub backlog: u32,
}

impl Settings {
    /// Reads them.
    pub fn from_environment() -> Result<Self> {
        let endpoint = variable("AWS_ENDPOINT_URL")?;
        if !endpoint.starts_with("http://") {
            bail!(
                "AWS_ENDPOINT_URL is {endpoint}: this example was built without TLS, for http://"
            );
        }
        let host = std::env::var("HOST").unwrap_or_else(|_| "127.0.0.1".to_owned());
        let port = std::env::var("PORT").unwrap_or_else(|_| "8080".to_owned());
        let host = host.parse().with_context(|| format!("HOST is {host}"))?;
        let port = port.parse().with_context(|| format!("PORT is {port}"))?;
        let backlog = std::env::var("BACKLOG").unwrap_or_else(|_| BACKLOG.to_owned());
        let backlog = backlog
            .parse()
            .with_context(|| format!("BACKLOG is {backlog}"))?;
        Ok(Self {
            address: SocketAddr::new(host, port),
            region: variable("AWS_REGION")?,
            endpoint,
            access_key: variable("AWS_ACCESS_KEY_ID")?,
            secret_key: variable("AWS_SECRET_ACCESS_KEY")?,
            session_token: std::env::var("AWS_SESSION_TOKEN").ok(),
            table: std::env::var("TABLE").unwrap_or_else(|_| "Orders".to_owned()),
            bucket: std::env::var("BUCKET").ok(),
            backlog,
        })
    }
}

fn variable(name: &str) -> Result<String> {
    std::env::var(name).with_context(|| format!("{name} is not set"))
}

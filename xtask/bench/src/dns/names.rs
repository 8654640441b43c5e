//! Route 53's API as far as the bench needs it, and watching what each edge of a lab answers.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use super::query;
use crate::client::Client;

const NAMESPACE: &str = "https://route53.amazonaws.com/doc/2013-04-01/";

/// The pause between two questions to an edge.
const PAUSE: Duration = Duration::from_millis(1);

/// The pause before a busy service is asked again.
const BUSY_PAUSE: Duration = Duration::from_millis(50);

/// How long an answer may take to become what it must.
const PATIENCE: Duration = Duration::from_secs(60);

/// A record for an address: what sets it apart as XML, and what it depends on.
pub struct Record<'a> {
    /// Its name.
    pub name: &'a str,
    /// Its value.
    pub address: Ipv4Addr,
    /// `PRIMARY` or `SECONDARY` of a failover pair.
    pub failover: Option<&'a str>,
    /// The id of a health check.
    pub health_check: Option<&'a str>,
}

impl<'a> Record<'a> {
    /// The only record of its name.
    pub fn simple(name: &'a str, address: Ipv4Addr) -> Record<'a> {
        Record {
            name,
            address,
            failover: None,
            health_check: None,
        }
    }

    fn xml(&self) -> String {
        let element = |name: &str, value: Option<&str>| {
            value.map_or(String::new(), |value| format!("<{name}>{value}</{name}>"))
        };
        format!(
            "<Change><Action>UPSERT</Action><ResourceRecordSet><Name>{}</Name><Type>A</Type>{}{}\
             <TTL>1</TTL><ResourceRecords><ResourceRecord><Value>{}</Value></ResourceRecord>\
             </ResourceRecords>{}</ResourceRecordSet></Change>",
            self.name,
            element("SetIdentifier", self.failover),
            element("Failover", self.failover),
            self.address,
            element("HealthCheckId", self.health_check),
        )
    }
}

/// Makes a zone; gives its id.
pub fn create_zone(client: &Client, name: &str) -> Result<String> {
    let body = format!(
        "<CreateHostedZoneRequest xmlns=\"{NAMESPACE}\"><Name>{name}</Name><CallerReference>\
         {name}</CallerReference></CreateHostedZoneRequest>"
    );
    let reply = post(client, "/2013-04-01/hostedzone", &body)?;
    let id = element(&reply, "Id")?;
    Ok(id.trim_start_matches("/hostedzone/").to_owned())
}

/// Makes a health check of `http://ADDRESS/`, three failures of which make it unhealthy; gives
/// its id.
pub fn create_check(client: &Client, endpoint: SocketAddr) -> Result<String> {
    let body = format!(
        "<CreateHealthCheckRequest xmlns=\"{NAMESPACE}\"><CallerReference>{endpoint}\
         </CallerReference><HealthCheckConfig><IPAddress>{}</IPAddress><Port>{}</Port><Type>HTTP\
         </Type><ResourcePath>/health</ResourcePath><RequestInterval>10</RequestInterval>\
         <FailureThreshold>3</FailureThreshold></HealthCheckConfig></CreateHealthCheckRequest>",
        endpoint.ip(),
        endpoint.port(),
    );
    let reply = post(client, "/2013-04-01/healthcheck", &body)?;
    element(&reply, "Id")
}

/// Sets records, all or none.
pub fn change(client: &Client, zone: &str, records: &[Record<'_>]) -> Result<()> {
    let changes: String = records.iter().map(Record::xml).collect();
    let body = format!(
        "<ChangeResourceRecordSetsRequest xmlns=\"{NAMESPACE}\"><ChangeBatch><Changes>{changes}\
         </Changes></ChangeBatch></ChangeResourceRecordSetsRequest>"
    );
    let path = format!("/2013-04-01/hostedzone/{zone}/rrset/");
    post(client, &path, &body).map(|_| ())
}

/// Asks until it isn't answered that the service is busy, as SDKs do: a lab that has just started
/// may not have its majority yet.
fn post(client: &Client, path: &str, body: &str) -> Result<String> {
    let started = Instant::now();
    loop {
        match client.rest("route53", "POST", path, body) {
            Err(error) if is_busy(&error) && started.elapsed() < PATIENCE => {
                std::thread::sleep(BUSY_PAUSE);
            }
            other => return other,
        }
    }
}

fn is_busy(error: &anyhow::Error) -> bool {
    let text = error.to_string();
    text.contains("<Code>Throttling</Code>") || text.contains("<Code>PriorRequestNotComplete")
}

/// The text of the first element of that name.
fn element(xml: &str, name: &str) -> Result<String> {
    let (open, close) = (format!("<{name}>"), format!("</{name}>"));
    let text = xml
        .split_once(&open)
        .and_then(|(_, rest)| rest.split_once(&close));
    let (text, _) = text.with_context(|| format!("there is no {name} in {xml}"))?;
    Ok(text.to_owned())
}

/// Does something and asks each edge until it answers with that address; gives when each did so
/// first since before the doing, and what came of it.
pub fn follow<T>(
    edges: &[SocketAddr],
    name: &str,
    wanted: Ipv4Addr,
    act: impl FnOnce() -> Result<T>,
) -> Result<(Vec<Instant>, T)> {
    std::thread::scope(|scope| {
        let watching: Vec<_> = edges
            .iter()
            .map(|edge| scope.spawn(move || wait_for(*edge, name, wanted)))
            .collect();
        let outcome = act();
        let mut seen = Vec::new();
        for thread in watching {
            seen.push(thread.join().expect("watching returns its errors"));
        }
        // If the act failed, that it isn't seen is no news.
        let outcome = outcome?;
        Ok((seen.into_iter().collect::<Result<_>>()?, outcome))
    })
}

/// Waits until a server answers with that address.
pub fn wait_for(server: SocketAddr, name: &str, wanted: Ipv4Addr) -> Result<Instant> {
    let started = Instant::now();
    loop {
        // A server that doesn't answer yet is asked again.
        let answer = query::ask(server, name).ok();
        let address = answer.and_then(|answer| query::first_address(&answer));
        if address == Some(wanted) {
            return Ok(Instant::now());
        }
        if started.elapsed() > PATIENCE {
            bail!("{server} answers {name} with {address:?}, not {wanted}, after {PATIENCE:?}");
        }
        std::thread::sleep(PAUSE);
    }
}

//! Access logs of application load balancers: a line a request, gathered by node and written into
//! the bucket that `access_logs.s3.bucket` names. As the service has it, as well as it can: lines
//! are lost with the process, and where the bucket doesn't take them.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use balancer::headers::HeaderFields;
use balancer::model::{LoadBalancer, ProtocolVersion};
use balancer::{AccessLogEntry, Decision, LoadBalancerArn, LogType, Picked, Routed, log_key};
use bytes::Bytes;
use region::Region;
use runtime::{
    Classification, ClientVersion, End, Outcome, RequestHead, SystemEnvironment, Tier, TlsFacts,
};
use store::EmbeddedEngine;
use types::{Environment, Monotonic, Span, Timestamp};

use super::counters::Counter;
use crate::site::gzip::gzip;

/// How long lines wait at most; the service takes five minutes.
const WAIT: Span = Span::seconds(15);

/// Between looks at what waits.
const LOOK: Span = Span::seconds(1);

/// Bytes of lines with which a file is written before its time.
const FULL: usize = 1024 * 1024;

/// Bytes of lines that wait, of one node; more are lost.
const MOST_OF_NODE: usize = 8 * 1024 * 1024;

/// Nodes whose lines wait.
const MOST_NODES: usize = 256;

/// The logs of a Region.
#[derive(Default)]
pub(super) struct AccessLogs {
    files: Mutex<BTreeMap<Place, File>>,
    /// Lines that were lost.
    pub(super) lost: Counter,
    /// Why the last file wasn't written; none: it was.
    trouble: Mutex<Option<String>>,
}

/// Whose lines, and to where.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
struct Place {
    balancer: LoadBalancerArn,
    node: IpAddr,
    bucket: String,
    prefix: String,
}

struct File {
    lines: Vec<u8>,
    count: u64,
    begun: Monotonic,
}

/// What a line needs of a request, kept from its head.
pub(super) struct Noted {
    place: Place,
    created: Timestamp,
    client: SocketAddr,
    method: String,
    host: String,
    port: u16,
    path_and_query: String,
    version: ClientVersion,
    user_agent: Option<String>,
    is_upgrade: bool,
    tls: Option<TlsFacts>,
    certificate: Option<String>,
    trace_id: String,
    classification: Classification,
    rule_priority: Option<u32>,
    action: Option<&'static str>,
    redirect: Option<String>,
}

impl Noted {
    /// What is kept of a request that came to that node of a load balancer; none if it has no log.
    pub(super) fn of(
        balancer: &LoadBalancer,
        certificate: Option<&String>,
        head: &RequestHead<'_>,
        fields: &dyn HeaderFields,
        now: Timestamp,
    ) -> Option<Noted> {
        let (bucket, prefix) = balancer.access_logs()?;
        let host = head.host.rsplit_once(':');
        let host = host.filter(|(_, port)| port.bytes().all(|byte| byte.is_ascii_digit()));
        Some(Noted {
            place: Place {
                balancer: balancer.arn.clone(),
                node: head.listener.ip(),
                bucket: bucket.to_owned(),
                prefix: prefix.to_owned(),
            },
            created: now,
            client: head.source,
            method: head.method.to_owned(),
            host: host.map_or(head.host, |(host, _)| host).to_owned(),
            port: head.listener.port(),
            path_and_query: match head.query {
                Some(query) => format!("{}?{query}", head.path),
                None => head.path.to_owned(),
            },
            version: head.version,
            user_agent: text(fields, "user-agent"),
            is_upgrade: fields.any("upgrade", &mut |_| true),
            tls: head.tls.cloned(),
            certificate: certificate.filter(|_| head.tls.is_some()).cloned(),
            trace_id: head.trace_id.to_owned(),
            classification: head.classification,
            rule_priority: None,
            action: None,
            redirect: None,
        })
    }

    /// And what its rule said.
    pub(super) fn routed(&mut self, routed: &Routed) {
        self.rule_priority = Some(routed.priority.unwrap_or(0));
        self.action = match &routed.decision {
            Decision::Forward(_) | Decision::Nowhere => Some("forward"),
            Decision::Redirect { location, .. } => {
                self.redirect = Some(location.clone());
                Some("redirect")
            }
            Decision::Fixed(_) => Some("fixed-response"),
        };
    }

    /// Its line.
    fn line(&self, picked: Option<&Picked>, outcome: &Outcome, now: Timestamp) -> String {
        let span = |duration: Option<std::time::Duration>| {
            let micros = duration.map(|duration| duration.as_micros());
            micros.map(|micros| Span(u64::try_from(micros).unwrap_or(u64::MAX)))
        };
        let tls = self.tls.as_ref();
        let target = outcome.target.as_slice();
        let target_status = outcome.target_status.as_slice();
        let is_known = self.classification.tier != Tier::Compliant;
        let classification = self.classification.reason.filter(|_| is_known);
        AccessLogEntry {
            kind: self.kind(picked, outcome),
            ended: now,
            created: self.created,
            balancer: &self.place.balancer,
            client: self.client,
            target: outcome.target,
            request_time: span(outcome.request_time),
            target_time: span(outcome.target_time),
            response_time: span(outcome.response_time),
            status: Some(outcome.status),
            target_status: outcome.target_status,
            received: outcome.received,
            sent: outcome.sent,
            method: Some(&self.method),
            host: &self.host,
            port: self.port,
            path_and_query: &self.path_and_query,
            version: self.version.name(),
            user_agent: self.user_agent.as_deref(),
            tls: tls.map(|tls| (tls.cipher, tls.protocol)),
            group: picked.map(|picked| &picked.group.arn),
            trace_id: Some(&self.trace_id),
            server_name: tls.and_then(|tls| tls.server_name.as_deref()),
            certificate: self.certificate.as_deref(),
            rule_priority: self.rule_priority,
            action: self.action,
            redirect: self.redirect.as_deref(),
            error_reason: None,
            targets: target,
            target_statuses: target_status,
            classification: classification.map(|why| (self.classification.tier.name(), why)),
            connection_id: None,
        }
        .line()
    }

    fn kind(&self, picked: Option<&Picked>, outcome: &Outcome) -> LogType {
        let is_tunnel = outcome.end == End::Tunnel && self.is_upgrade;
        let version = picked.and_then(|picked| picked.group.version);
        match (self.tls.is_some(), is_tunnel) {
            (false, true) => LogType::Ws,
            (false, false) => LogType::Http,
            (true, true) => LogType::Wss,
            (true, false) if version == Some(ProtocolVersion::Grpc) => LogType::Grpcs,
            (true, false) if self.version == ClientVersion::Http2 => LogType::H2,
            (true, false) => LogType::Https,
        }
    }
}

impl AccessLogs {
    /// Adds a request's line.
    pub(super) fn add(
        &self,
        noted: &Noted,
        picked: Option<&Picked>,
        outcome: &Outcome,
        environment: &SystemEnvironment,
    ) {
        let now = environment.now();
        let line = noted.line(picked, outcome, now.wall);
        let mut files = lock(&self.files);
        if files.len() >= MOST_NODES && !files.contains_key(&noted.place) {
            self.lost.add(1);
            return;
        }
        let file = files.entry(noted.place.clone()).or_insert_with(|| File {
            lines: Vec::new(),
            count: 0,
            begun: now.monotonic,
        });
        if file.lines.len() + line.len() > MOST_OF_NODE {
            self.lost.add(1);
            return;
        }
        file.lines.extend_from_slice(line.as_bytes());
        file.lines.push(b'\n');
        file.count += 1;
    }

    /// What is wrong with writing them, if anything is.
    pub(super) fn trouble(&self) -> Option<String> {
        lock(&self.trouble).clone()
    }

    /// Writes what waits, until the process ends.
    pub(super) async fn write(
        self: Arc<Self>,
        region: Arc<Region<EmbeddedEngine>>,
        environment: Arc<SystemEnvironment>,
    ) {
        loop {
            let now = environment.now();
            for (place, file) in self.due(now.monotonic) {
                let random = environment.random();
                let Place { balancer, node, .. } = &place;
                let key = log_key(&place.prefix, balancer, now.wall, *node, random);
                let bytes = Bytes::from(gzip(&file.lines));
                let put = region.put_access_log(balancer.account, &place.bucket, &key, bytes);
                let put = put.await;
                if let Err(cause) = &put {
                    tracing::warn!(%balancer, cause, lines = file.count, "a log is lost");
                    self.lost.add(file.count);
                }
                *lock(&self.trouble) = put.err();
            }
            environment.sleep_until(now.monotonic + LOOK).await;
        }
    }

    /// The files whose time has come.
    fn due(&self, now: Monotonic) -> Vec<(Place, File)> {
        let mut files = lock(&self.files);
        let due = |_: &Place, file: &mut File| file.begun + WAIT <= now || file.lines.len() >= FULL;
        files.extract_if(.., due).collect()
    }
}

/// The first field of that name, if it is text.
fn text(fields: &dyn HeaderFields, name: &str) -> Option<String> {
    let mut found = None;
    fields.any(name, &mut |value| {
        found = std::str::from_utf8(value).ok().map(str::to_owned);
        true
    });
    found
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

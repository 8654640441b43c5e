//! A Region as a site process runs it: its HTTP API, and what the operator asks about its data.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use aws::ServiceError;
use aws::json::{self, DYNAMODB};
use aws::signature::scope_of;
use aws::xml::{self, XmlErrors};
use bytes::Bytes;
use http::request::Parts;
use http::{HeaderMap, Request, Response};
use http_body_util::BodyExt;
use identity::{OPERATOR_KEY_BYTES, RootKeys, Sealer};
use link::Port;
use objects::blob::RemoteBlobs;
use region::{
    Client, DoorSecret, ObjectsOptions, OpenError, OperatorQuestion, Region, RegionConfig,
    RegionSecrets,
};
use runtime::{Refusal, RequestBody, ResponseBody, Service, SystemEnvironment};
use serde_json::{Value, json};
use store::{EmbeddedEngine, Engine, Space};
use tables::{ConflictCursor, ConflictFilter, ConflictId, NoConflictId, RestoreError, Tables};
use types::{ByteSize, Deployment, Environment, Geography, SiteId, ZoneLetter};
use zeroize::Zeroizing;

use super::alarms::{identity_alarms, objects_alarms};
use super::app::AppAddress;
use super::balancers::{BalancersSite, Certificates, UploadedCertificates};
use super::database::{count, open_engine};
use super::databases::DatabasesSite;
use super::dns::explain;
use super::webhooks::AllowedWebhooks;
use super::zones::Zones;
use super::{Site, Task};
use crate::duration;
use crate::failure::Failure;
use crate::protocol::{IdentityAnswer, LedgerPage, Question, Secrets, SiteConfig};

/// Rows of the ledger read at once: few, since each has two images of up to 400 KB.
const LEDGER_PAGE: usize = 32;

/// Bytes of rows in an answer, beyond which it ends early.
const LEDGER_BYTES: ByteSize = ByteSize::mib(8);

/// A Region in its process.
pub(super) struct RegionSite {
    region: Arc<Region<EmbeddedEngine>>,
    /// What the front door proves itself by.
    door: DoorSecret,
    /// Is TLS spoken at its address?
    is_secure: bool,
    engine: EmbeddedEngine,
    /// Where the bytes of its larger objects are, if that is elsewhere.
    remote: Option<RemoteBlobs>,
    deployment: Deployment,
    environment: Arc<SystemEnvironment>,
    /// Which of its zones are down.
    zones: Arc<Zones>,
    /// Where the application is reached, if it has one.
    app: Option<AppAddress>,
    balancers: BalancersSite,
    databases: DatabasesSite,
}

impl RegionSite {
    /// Opens the Region on the database in its directory.
    pub(super) async fn open(
        config: &SiteConfig,
        environment: &Arc<SystemEnvironment>,
        ports: BTreeMap<SiteId, Arc<Port>>,
        secrets: &Secrets,
    ) -> Result<RegionSite, Failure> {
        let key = identity::parse_credentials(&secrets.root_key).map_err(Failure::wrong_use)?;
        let door = DoorSecret::parse(&secrets.door).map_err(Failure::wrong_use)?;
        let secrets = RegionSecrets {
            root_keys: RootKeys::new(key),
            sealer: Arc::new(sealer(&secrets.operator_key)?),
        };
        let engine = open_engine(config).await?;
        let bytes = super::bytes::open(config, &engine, environment).await?;
        let name = config.site.region();
        let name = name.ok_or_else(|| Failure::wrong_use("the site is no Region"))?;
        let files = config.certificates.clone();
        let uploaded = Arc::new(UploadedCertificates::default());
        let certificates = Certificates::new(files, name, &config.account, uploaded.clone());
        let prepared = super::databases::prepare(config)?;
        let settings = RegionConfig {
            deployment: config.deployment.clone(),
            site: config.id()?,
            account: config.account.parse().map_err(Failure::wrong_use)?,
            largest_round_trip: config.largest_round_trip(),
            objects: ObjectsOptions {
                blobs: bytes.blobs,
                webhooks: Arc::new(AllowedWebhooks(config.webhooks.clone())),
            },
            accelerator_pools: super::flows::pools(config)?,
            balancers: super::balancers::options(config, name, &certificates)?,
            databases: prepared.options.clone(),
            planted: None,
            planted_in_tables: None,
        };
        let clocks: Arc<dyn Environment> = environment.clone();
        let options = super::steering::options(config)?;
        let opened = Region::open(engine.clone(), settings, options, clocks, secrets, ports);
        let region = opened.await.map_err(opening_failed)?;
        uploaded.are_of(&region);
        let zones = Arc::new(Zones::new(config.zones_down.clone()));
        region.balancers().set_down(&config.zones_down);
        let geography = Geography {
            scale: config.delay_scale,
        };
        let balancers = BalancersSite::start(&region, environment, certificates, geography)?;
        let databases = DatabasesSite::start(
            &region,
            environment,
            config.deployment.clone(),
            zones.clone(),
            prepared,
        );
        let steering = Arc::clone(region.steering());
        let directory = Arc::new(move || steering.balancers());
        Ok(RegionSite {
            region,
            door,
            is_secure: config.tls.is_some(),
            engine,
            remote: bytes.remote,
            deployment: config.deployment.clone(),
            environment: Arc::clone(environment),
            app: AppAddress::open(config.app.as_ref(), name, &zones, directory)?,
            zones,
            balancers,
            databases,
        })
    }

    /// Whose request it is.
    fn client(&self, address: SocketAddr, headers: &mut HeaderMap) -> Client {
        let peer = Client {
            address: address.ip(),
            is_secure: self.is_secure,
        };
        Client::of(peer, Some(&self.door), headers)
    }

    fn tables(&self) -> &Tables<EmbeddedEngine> {
        self.region.tables()
    }

    fn status(&self) -> Result<Value, String> {
        let status = self.region.status();
        let latencies = self.region.latencies();
        let mut alarms = Vec::new();
        if !status.council.majority {
            alarms.push("no majority of sites is heard: global settings can't change".to_owned());
        }
        alarms.extend(identity_alarms(&status.identity));
        alarms.extend(objects_alarms(&status.objects));
        if let Some(trouble) = self.remote.as_ref().and_then(RemoteBlobs::trouble) {
            alarms.push(format!("objects: the store of their bytes: {trouble}"));
        }
        for latency in &latencies {
            if let Some(until) = latency.parked_until {
                let now = self.environment.now().wall;
                let left = Duration::from_millis(until.0.saturating_sub(now.0));
                alarms.push(format!(
                    "changes from {} are from ahead of this clock and wait for {} more",
                    latency.from,
                    duration::show(left)
                ));
            }
            if let Some(trouble) = &latency.trouble {
                alarms.push(format!("replication from {}: {trouble}", latency.from));
            }
        }
        let mut value = to_json(&status)?;
        let steering = self.region.steering().status();
        value["routing"] = super::dns::status(&steering);
        value["accelerators"] = super::flows::status(&steering.accelerators);
        value["zones_down"] = to_json(&self.zones.down())?;
        value["app_connections"] = json!(self.app.as_ref().map(AppAddress::open_connections));
        let balancers = self.region.balancers().status();
        let faults = balancers.faults.iter();
        alarms.extend(faults.map(|fault| format!("load balancers: not served: {fault}")));
        alarms.extend(self.balancers.trouble());
        alarms.extend(self.databases.alarms());
        value["balancers"] = to_json(&balancers)?;
        value["alarms"] = json!(alarms);
        value["store_bytes"] = json!(self.engine.approximate_bytes());
        Ok(value)
    }

    async fn conflicts(
        &self,
        table: Option<String>,
        after: Option<String>,
        limit: u32,
    ) -> Result<Value, String> {
        let filter = ConflictFilter {
            table,
            ..ConflictFilter::default()
        };
        let after = after.map(|cursor| cursor.parse::<ConflictCursor>());
        let mut next = after
            .transpose()
            .map_err(|cause: NoConflictId| cause.to_string())?;
        let (mut rows, mut bytes, mut more) = (Vec::new(), 0, true);
        while more && rows.len() < limit as usize && bytes < LEDGER_BYTES.0 {
            let wanted = (limit as usize - rows.len()).min(LEDGER_PAGE);
            let page = self.tables().conflicts(&filter, next, wanted).await;
            let page = page.map_err(|cause| cause.to_string())?;
            for row in &page.conflicts {
                let row = row.to_json(&self.deployment);
                bytes += row.to_string().len() as u64;
                rows.push(row);
            }
            (more, next) = (page.next.is_some(), page.next);
        }
        let size = self.tables().ledger_size();
        to_json(&LedgerPage {
            rows,
            more,
            held: size.rows,
            dropped: size.dropped,
        })
    }

    /// When those rows were found here, for those that this Region's ledger has.
    async fn detections(&self, ids: &[String]) -> Result<Value, String> {
        let mut found = serde_json::Map::new();
        for id in ids {
            let row = self.tables().conflict(conflict_id(id)?).await;
            if let Some(row) = row.map_err(|cause| cause.to_string())? {
                found.insert(id.clone(), json!(row.detected_at.0));
            }
        }
        Ok(Value::Object(found))
    }

    /// Null if this Region's ledger has no such row.
    async fn conflict(&self, id: &str) -> Result<Value, String> {
        let row = self.tables().conflict(conflict_id(id)?).await;
        let row = row.map_err(|cause| cause.to_string())?;
        Ok(row.map_or(Value::Null, |row| row.to_json(&self.deployment)))
    }

    /// Null if this Region's ledger has no such row.
    async fn restore(&self, id: &str) -> Result<Value, String> {
        match self.tables().restore_conflict(conflict_id(id)?).await {
            Ok(restored) => Ok(json!({
                "id": id,
                "table": restored.table,
                "key": to_json(&restored.key)?,
                "version": restored.version.map(|version| version.to_string()),
            })),
            Err(RestoreError::NoSuchConflict(_)) => Ok(Value::Null),
            Err(other) => Err(other.to_string()),
        }
    }

    /// Reads every entry, which checks each block against its checksum, at one snapshot; then all
    /// bytes of objects.
    async fn verify(&self) -> Result<Value, String> {
        let snapshot = self.engine.snapshot();
        let mut findings = Vec::new();
        let mut spaces = serde_json::Map::new();
        for space in Space::ALL {
            match count(&snapshot, space).await {
                Ok(entries) => {
                    spaces.insert(format!("{space:?}").to_lowercase(), json!(entries));
                }
                Err(cause) => findings.push(format!("{space:?}: {cause}")),
            }
        }
        let mut contents = Value::Null;
        match self.region.verify_objects().await {
            Ok(verified) => {
                findings.extend(verified.findings.iter().cloned());
                contents = to_json(&verified)?;
            }
            Err(cause) => findings.push(format!("objects: {cause}")),
        }
        Ok(json!({ "findings": findings, "entries": spaces, "objects": contents }))
    }

    /// An [`IdentityAnswer`], also where it is refused.
    async fn identity(&self, question: &OperatorQuestion) -> Result<Value, String> {
        let answer = match self.region.operate(question).await {
            Ok(answer) => IdentityAnswer::Done { answer },
            Err(refused) => {
                let failure = match refused.is_wrong_use() {
                    true => Failure::wrong_use(&refused),
                    false => Failure::did_not_hold(&refused),
                };
                let failure = match refused.next() {
                    Some(next) => failure.then(next),
                    None => failure,
                };
                IdentityAnswer::Refused { failure }
            }
        };
        to_json(&answer)
    }
}

impl Service for RegionSite {
    async fn call(&self, client: SocketAddr, mut request: Request<Bytes>) -> Response<Bytes> {
        let client = self.client(client, request.headers_mut());
        self.region.handle(client, request).await
    }

    fn streams(&self, head: &Parts) -> bool {
        Region::<EmbeddedEngine>::streams(head)
    }

    async fn stream(
        &self,
        client: SocketAddr,
        mut request: Request<RequestBody>,
    ) -> Response<ResponseBody> {
        let client = self.client(client, request.headers_mut());
        let request = request.map(|body| body.map_err(Into::into).boxed_unsync());
        self.region.handle_streamed(client, request).await
    }

    fn refuse(&self, head: Option<&Parts>, refusal: Refusal) -> Response<Bytes> {
        let mut random = [0; json::REQUEST_ID_BYTES];
        for chunk in random.chunks_exact_mut(8) {
            chunk.copy_from_slice(&self.environment.random().to_be_bytes());
        }
        let (request_id, error) = (json::request_id(random), words(refusal));
        let shape = head.and_then(|head| {
            let scope = scope_of(head)?;
            XmlErrors::of(&scope.service, head)
        });
        match shape {
            Some(shape) => xml::failure(shape, &request_id, &error),
            None => json::failure(&DYNAMODB, &request_id, &error),
        }
    }
}

impl Site for RegionSite {
    fn tasks(&self) -> Vec<(&'static str, Task<'static, ()>)> {
        let region = Arc::clone(&self.region);
        let failed: Task<'static, ()> = Box::pin(async move {
            let reason = region.failed().await;
            tracing::error!(reason, "this Region can't go on");
        });
        let tasks = self.region.tasks().into_iter();
        let tasks = tasks.map(|task| ("region", task));
        let certificates = self.balancers.follow_certificates();
        let logs = self.balancers.write_logs(&self.region);
        let own = [
            ("failure", failed),
            ("certificates", certificates),
            ("logs", logs),
            ("databases", self.databases.keep()),
            ("global databases", self.databases.follow_council()),
        ];
        tasks.chain(own).collect()
    }

    /// A signal ends a Region at once: what was acknowledged is on disk.
    fn leaves(&self) -> Task<'_, ()> {
        Box::pin(std::future::pending())
    }

    fn set_zones_down(&self, zones: &BTreeSet<ZoneLetter>) {
        self.zones.set_down(zones);
        self.region.balancers().set_down(zones);
    }

    fn stop(&self) -> Task<'_, ()> {
        Box::pin(self.databases.stop())
    }

    fn answer(&self, question: Question) -> Task<'_, Result<Value, String>> {
        Box::pin(async move {
            match question {
                Question::Status => self.status(),
                Question::Lag => Ok(json!({
                    "lag": to_json(&self.region.lag())?,
                    "latencies": to_json(&self.region.latencies())?,
                    "objects": to_json(&self.region.objects_lag())?,
                })),
                Question::Conflicts {
                    table,
                    after,
                    limit,
                } => self.conflicts(table, after, limit).await,
                Question::Detections { ids } => self.detections(&ids).await,
                Question::Conflict { id } => self.conflict(&id).await,
                Question::Restore { id } => self.restore(&id).await,
                Question::LostObjects { after, limit } => {
                    let lost = self.region.lost_objects(after.as_deref(), limit as usize);
                    to_json(&lost.await.map_err(|cause| cause.to_string())?)
                }
                Question::Metrics => {
                    let (own, balancers) = (self.region.metrics(), self.balancers.metrics());
                    let databases = self.databases.metrics();
                    Ok(json!(format!("{own}{balancers}{databases}")))
                }
                Question::Balancers => Ok(self.balancers.counts()),
                Question::Databases => Ok(json!({ "databases": self.databases.rows() })),
                Question::LostTransactions => Ok(json!({ "lost": self.databases.lost() })),
                Question::ExplainRequest(question) => self.balancers.explain(&question),
                Question::Verify => self.verify().await,
                Question::Replicas => {
                    let replicas = self.region.replicas().await;
                    to_json(&replicas.map_err(|cause| cause.to_string())?)
                }
                Question::Operations => Ok(super::operations::operations()),
                Question::Majority => Ok(json!(self.region.council().status().majority)),
                Question::Explain(question) => explain(self.region.steering(), &question),
                Question::Identity(question) => self.identity(&question).await,
                other @ (Question::ExplainFlow(_) | Question::Flows | Question::FlowsHere) => {
                    Err(format!("a Region has no answer about {other:?}"))
                }
            }
        })
    }
}

/// The sealer with the operator's key, in hexadecimal digits.
fn sealer(digits: &str) -> Result<Sealer, Failure> {
    let mut key = Zeroizing::new([0; OPERATOR_KEY_BYTES]);
    let wrong = || Failure::wrong_use("the operator's key is not 64 hexadecimal digits");
    if digits.len() != 2 * key.len() {
        return Err(wrong());
    }
    for (byte, pair) in key.iter_mut().zip(digits.as_bytes().chunks_exact(2)) {
        let pair = std::str::from_utf8(pair).map_err(|_| wrong())?;
        *byte = u8::from_str_radix(pair, 16).map_err(|_| wrong())?;
    }
    Ok(Sealer::new(&key))
}

fn opening_failed(cause: OpenError) -> Failure {
    match cause {
        OpenError::OperatorKey => {
            Failure::wrong_use(cause).then("give the key that the lab was started with before")
        }
        other => Failure::did_not_hold(other),
    }
}

fn conflict_id(id: &str) -> Result<ConflictId, String> {
    id.parse().map_err(|cause: NoConflictId| cause.to_string())
}

/// A refusal as DynamoDB words it, or as near to it as its words go.
fn words(refusal: Refusal) -> ServiceError {
    let (code, status, message) = match refusal {
        Refusal::BodyTooLarge(_) => return json::request_too_large(&DYNAMODB),
        Refusal::BodyTooSlow => (
            "RequestTimeoutException",
            408,
            "The request's body took too long to arrive.".to_owned(),
        ),
        Refusal::BodyBroken => (
            "SerializationException",
            400,
            "The request's body ended early.".to_owned(),
        ),
        Refusal::TooManyConnections(limit) => (
            "ServiceUnavailableException",
            503,
            format!("There are {limit} connections already; close some and try again."),
        ),
    };
    ServiceError {
        status,
        ..ServiceError::caller(code, message)
    }
}

fn to_json(value: &impl serde::Serialize) -> Result<Value, String> {
    serde_json::to_value(value).map_err(|cause| cause.to_string())
}

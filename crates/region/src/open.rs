//! Opening a Region on its database: all that it is made of, as it last was. It runs nothing.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use accelerator::{LogBuckets, Pools};
use aws::signature::Verifier;
use balancer::CookieSealer;
use bytes::Bytes;
use council::{CouncilConfig, CouncilDriver, Timing};
use event_listener::Event;
use identity::{Bootstrap, CertificateUser, RootKeys, Sealer};
use link::{Admission, Port};
use objects::Objects;
use objects::blob::Blobs;
use objects::notify::{EventTeller, Webhooks};
use s3::S3Service;
use steering::{Steering, SteeringOptions};
use store::{Batch, Engine, Snapshot, Space};
use tables::{Tables, TablesConfig};
use types::{AccountId, Configuration, Deployment, Environment, SiteId};

use crate::accelerator::Edges;
use crate::asking::Asking;
use crate::balancers::{self, Balancers, BalancersOptions};
use crate::databases::{Databases, DatabasesOptions, Sources};
use crate::error::OpenError;
use crate::flow_logs::LogDelivery;
use crate::message::{LogId, cursor_key, decode_cursor};
use crate::objects::Around;
use crate::peer::Peer;
use crate::planted::PlantedBug;
use crate::probe::Probe;
use crate::receiver::Cursor;
use crate::region::Region;
use crate::regional::Regional;
use crate::route53::Nodes;
use crate::standing::Standing;

/// The key in `Space::Meta` of the log's identity.
const LOG_KEY: &str = "region/log";

/// What a Region is told when it is opened.
#[derive(Clone)]
pub struct RegionConfig {
    /// The sites there are, this one among them.
    pub deployment: Deployment,
    /// This Region's site.
    pub site: SiteId,
    /// The first account, whose root keys are the operator's.
    pub account: AccountId,
    /// The deployment's largest round trip between sites, for the council's patience.
    pub largest_round_trip: types::Span,
    /// What accelerators' static addresses are drawn from; or why there can be none here, in words
    /// for whoever makes one.
    pub accelerator_pools: Result<Pools, String>,
    /// What its load balancers are given.
    pub balancers: BalancersOptions,
    /// What its databases are given.
    pub databases: DatabasesOptions,
    /// What its objects are given.
    pub objects: ObjectsOptions,
    /// A planted bug: for the simulation only.
    pub planted: Option<PlantedBug>,
    /// A bug planted in tables: for the simulation only.
    pub planted_in_tables: Option<tables::PlantedBug>,
}

/// What a Region's objects are given.
#[derive(Clone)]
pub struct ObjectsOptions {
    /// Where the bytes of larger objects are.
    pub blobs: Arc<dyn Blobs>,
    /// Where events may go.
    pub webhooks: Arc<dyn Webhooks>,
}

/// What a Region is given that is written down nowhere in its database.
#[derive(Clone, Debug)]
pub struct RegionSecrets {
    /// The first account's root keys: accepted until the configuration holds some.
    pub root_keys: RootKeys,
    /// Seals and opens the secrets at rest with the operator's key.
    pub sealer: Arc<Sealer>,
}

impl RegionConfig {
    fn bootstrap(&self, root_keys: RootKeys) -> Bootstrap {
        let account = self.account;
        Bootstrap { account, root_keys }
    }

    fn region(&self) -> Result<types::Region, OpenError> {
        let region = self.deployment.region_of(self.site);
        region.ok_or(OpenError::NotARegion)
    }

    fn tables(&self, region: types::Region, environment: &Arc<dyn Environment>) -> TablesConfig {
        TablesConfig {
            deployment: self.deployment.clone(),
            site: self.site,
            region,
            environment: environment.clone(),
            planted: self.planted_in_tables,
        }
    }

    fn seat(&self) -> CouncilConfig {
        CouncilConfig {
            site: self.site,
            deployment: self.deployment.clone(),
            timing: Timing::for_round_trip(self.largest_round_trip),
        }
    }
}

impl<E: Engine> Region<E> {
    /// Opens a Region on its database. `ports` holds one for each other site; `options` says how it
    /// probes endpoints and finds places.
    ///
    /// # Errors
    /// What the database holds can't be read, was sealed with another operator's key, or the site
    /// isn't a Region of the deployment.
    pub async fn open(
        engine: E,
        config: RegionConfig,
        options: SteeringOptions,
        environment: Arc<dyn Environment>,
        secrets: RegionSecrets,
        ports: BTreeMap<SiteId, Arc<Port>>,
    ) -> Result<Arc<Region<E>>, OpenError> {
        let name = config.region()?;
        let log = log_identity(&engine, environment.as_ref()).await?;
        let snapshot = engine.snapshot();
        let admission = Admission::open();
        let (store, clocks) = (engine.clone(), environment.clone());
        let asking = Arc::new(Asking::new(
            clocks.clone(),
            admission.clone(),
            ports.clone(),
        ));
        let tables = open_tables(&engine, config.tables(name, &environment), &asking).await?;
        let council = CouncilDriver::open(store.clone(), config.seat(), clocks.clone()).await?;
        let targets = options.targets.clone();
        let here = (config.deployment.clone(), config.site);
        let steering =
            Steering::open(store, council.clone(), here, options, clocks, ports.clone()).await?;
        let around = (&engine, &environment, &*secrets.sealer);
        let own = Own::open(around, name, &config, (&targets, &asking, &council)).await?;
        let RegionSecrets { root_keys, sealer } = secrets;
        let bootstrap = config.bootstrap(root_keys);
        let standing = standing(&council, &sealer, &bootstrap, &*environment)?;
        let user = certificate_user(name, &own.regional, &steering);
        let directory = directory(&environment, &council, &sealer, &standing, user);
        let around = (&sealer, &standing, &asking);
        let objects = open_objects(&engine, &config, name, &environment, &council, around).await?;
        let edges = (&environment, &council, &steering);
        let log_delivery = log_delivery(edges, &config, name, (&objects, &standing));
        let accelerators = accelerators(edges, &config, targets.clone(), log_delivery.clone());
        let routing = routing(edges, targets);
        let trimmed = crate::housekeeping::oldest(&snapshot, engine.log_head()).await?;
        Ok(Arc::new(Region {
            name,
            log,
            tables: Arc::new(tables),
            s3: S3Service::new(objects.clone()),
            events: EventTeller::new(&objects),
            objects,
            council,
            steering,
            own,
            routing,
            accelerators,
            log_delivery,
            directory,
            sealer,
            bootstrap,
            standing,
            session_scopes: crate::front::session_scopes(name, &config.deployment),
            verifier: Verifier::new(),
            admission,
            asking,
            peers: open_peers(&snapshot, &config.deployment, &ports, (log, &environment)).await?,
            trimmed: Mutex::new(trimmed),
            planted: config.planted,
            failure: Mutex::default(),
            failed: Event::new(),
            config,
            environment,
            engine,
        }))
    }
}

/// What the services need that are carried out by edges.
type AroundEdges<'a, E> = (
    &'a Arc<dyn Environment>,
    &'a Arc<CouncilDriver<E>>,
    &'a Arc<Steering<E>>,
);

/// DynamoDB, which asks peers about replicas by `asking`.
async fn open_tables<E: Engine>(
    engine: &E,
    config: TablesConfig,
    asking: &Arc<Asking>,
) -> Result<Tables<E>, OpenError> {
    let tables = Tables::open(engine.clone(), config).await?;
    tables.set_replica_probe(Arc::new(Probe(asking.clone())));
    Ok(tables)
}

/// Route 53, over the council's settings and what steering hears of the nodes.
fn routing<E: Engine>(
    (environment, council, steering): AroundEdges<'_, E>,
    targets: health::TargetPolicy,
) -> routing::Service {
    routing::Service::new(routing::ServiceConfig {
        environment: environment.clone(),
        configuration: council.clone(),
        nodes: Arc::new(Nodes(steering.clone())),
        targets: crate::route53::targets(targets),
        outside: {
            let steering = steering.clone();
            Arc::new(move |view| steering.outside_names(view))
        },
    })
}

/// Who may call, by what the disk has of it.
fn standing<E: Engine>(
    council: &Arc<CouncilDriver<E>>,
    sealer: &Arc<Sealer>,
    bootstrap: &Bootstrap,
    environment: &dyn Environment,
) -> Result<Arc<Standing>, OpenError> {
    let identity = crate::settings::last_known(council, sealer, bootstrap)?;
    let now = environment.now().monotonic;
    Ok(Arc::new(Standing::new(identity, now)))
}

/// S3's objects, which ask peers about buckets by `asking`.
async fn open_objects<E: Engine>(
    engine: &E,
    config: &RegionConfig,
    region: types::Region,
    environment: &Arc<dyn Environment>,
    council: &Arc<CouncilDriver<E>>,
    (sealer, standing, asking): (&Arc<Sealer>, &Arc<Standing>, &Arc<Asking>),
) -> Result<Arc<Objects<E>>, OpenError> {
    let around = Around {
        config,
        region,
        environment,
        configuration: council.clone(),
        sealer,
        standing,
        asking,
    };
    crate::objects::open(engine, around).await
}

/// What the services need that are the Region's alone, beside what is its own.
type AroundOwn<'a, E> = (
    &'a health::TargetPolicy,
    &'a Arc<Asking>,
    &'a Arc<CouncilDriver<E>>,
);

/// What is the Region's alone: its configuration, and the services over it.
pub(crate) struct Own<E: Engine> {
    pub(crate) regional: Arc<Regional<E>>,
    pub(crate) balancers: Arc<Balancers>,
    pub(crate) load_balancing: balancer::Service,
    pub(crate) network: ec2::Service,
    pub(crate) databases: Databases,
}

impl<E: Engine> Own<E> {
    async fn open(
        (engine, environment, sealer): (&E, &Arc<dyn Environment>, &Sealer),
        region: types::Region,
        config: &RegionConfig,
        (targets, asking, council): AroundOwn<'_, E>,
    ) -> Result<Own<E>, OpenError> {
        let options = &config.balancers;
        let regional = Arc::new(Regional::open(engine.clone()).await?);
        let key = balancers::cookie_key(engine, sealer, &**environment, region).await?;
        let (sealer, view) = (CookieSealer::new(&key), regional.view());
        let (clocks, policy) = (environment.clone(), targets.clone());
        let balancers = Balancers::new(region, clocks, sealer, policy, options, &*view);
        let balancers = Arc::new(balancers);
        let load_balancing = balancer::Service::new(balancer::ServiceConfig {
            environment: environment.clone(),
            configuration: regional.clone(),
            region,
            nodes: Arc::new(balancers::Nodes(balancers.clone())),
            surroundings: Arc::new(balancers::Around {
                region,
                account: config.account,
                facts: options.facts.clone(),
                policy: targets.clone(),
                pools: options.pools.clone().ok(),
                regional: regional.clone(),
            }),
            pools: options.pools.clone(),
        });
        let network = ec2::Service::new(ec2::ServiceConfig {
            region,
            deployment: config.deployment.clone(),
            environment: environment.clone(),
            configuration: regional.clone(),
            surroundings: Arc::new(crate::network::Around {
                balancers: balancers.clone(),
                facts: options.facts.clone(),
            }),
        });
        let sources = Sources {
            asking: asking.clone(),
            deployment: config.deployment.clone(),
        };
        let whose = (region, config.account);
        let council: Arc<dyn Configuration> = council.clone();
        let (clocks, settings) = (environment.clone(), (regional.clone(), council));
        let databases = Databases::new(clocks, settings, whose, sources, &config.databases);
        Ok(Own {
            databases,
            regional,
            balancers,
            load_balancing,
            network,
        })
    }
}

/// Global Accelerator, over the council's settings and what steering hears of the edges.
fn accelerators<E: Engine>(
    (environment, council, steering): AroundEdges<'_, E>,
    config: &RegionConfig,
    targets: health::TargetPolicy,
    log_buckets: Arc<dyn LogBuckets>,
) -> accelerator::Service {
    accelerator::Service::new(accelerator::ServiceConfig {
        environment: environment.clone(),
        configuration: council.clone(),
        nodes: Arc::new(Edges(steering.clone())),
        pools: config.accelerator_pools.clone(),
        targets: crate::accelerator::targets(targets),
        log_buckets,
    })
}

/// What writes logs into the Region's buckets.
fn log_delivery<E: Engine>(
    (environment, _, steering): AroundEdges<'_, E>,
    config: &RegionConfig,
    region: types::Region,
    (objects, standing): (&Arc<Objects<E>>, &Arc<Standing>),
) -> Arc<LogDelivery<E>> {
    Arc::new(LogDelivery {
        region,
        deployment: config.deployment.clone(),
        environment: environment.clone(),
        objects: objects.clone(),
        standing: standing.clone(),
        steering: steering.clone(),
    })
}

/// The ARN of a load balancer that uses a certificate: by this Region's own configuration as it is
/// now, and by what the others last told of theirs.
fn certificate_user<E: Engine>(
    region: types::Region,
    regional: &Arc<Regional<E>>,
    steering: &Arc<Steering<E>>,
) -> Arc<CertificateUser> {
    let (regional, steering) = (regional.clone(), steering.clone());
    Arc::new(move |arn: &str| {
        let own = balancer::Snapshot::compile(&*regional.view(), None);
        let told = || steering.balancers().certificate_user(arn, region).cloned();
        own.certificate_user(arn).or_else(told)
    })
}

/// IAM and STS, over the council's settings.
fn directory<E: Engine>(
    environment: &Arc<dyn Environment>,
    council: &Arc<CouncilDriver<E>>,
    sealer: &Arc<Sealer>,
    standing: &Arc<Standing>,
    certificate_user: Arc<CertificateUser>,
) -> identity::Service {
    let standing = standing.clone();
    identity::Service::new(identity::ServiceConfig {
        environment: environment.clone(),
        configuration: council.clone(),
        sealer: sealer.clone(),
        identity: Arc::new(move || standing.identity()),
        certificate_user,
    })
}

/// A peer behind each port, as far as its changes were applied here.
async fn open_peers<S: Snapshot>(
    snapshot: &S,
    deployment: &Deployment,
    ports: &BTreeMap<SiteId, Arc<Port>>,
    (log, environment): (LogId, &Arc<dyn Environment>),
) -> Result<BTreeMap<SiteId, Arc<Peer>>, OpenError> {
    let mut peers = BTreeMap::new();
    for (site, port) in ports {
        let site = deployment
            .site(*site)
            .ok_or(OpenError::UnknownPeer(*site))?;
        let cursor = match snapshot.get(Space::Meta, &cursor_key(site.id)).await? {
            Some(bytes) => {
                let (log, applied) = decode_cursor(bytes)?;
                Cursor {
                    log: Some(log),
                    applied,
                }
            }
            None => Cursor::default(),
        };
        peers.insert(
            site.id,
            Arc::new(Peer::new(
                site,
                port.clone(),
                log,
                cursor,
                environment.clone(),
            )),
        );
    }
    Ok(peers)
}

/// The identity of this database's log; drawn when it has none yet.
async fn log_identity<E: Engine>(
    engine: &E,
    environment: &dyn Environment,
) -> Result<LogId, OpenError> {
    if let Some(bytes) = engine
        .snapshot()
        .get(Space::Meta, LOG_KEY.as_bytes())
        .await?
    {
        let bytes = bytes
            .as_ref()
            .try_into()
            .map_err(|_| OpenError::LogIdentity)?;
        return Ok(LogId(u64::from_be_bytes(bytes)));
    }
    let log = LogId(environment.random());
    let mut batch = Batch::new();
    batch.put(
        Space::Meta,
        LOG_KEY,
        Bytes::copy_from_slice(&log.0.to_be_bytes()),
    );
    engine.commit(batch).await?;
    Ok(log)
}

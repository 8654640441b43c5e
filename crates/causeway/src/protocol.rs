//! What a supervisor and the site processes it started say to each other over their pipes, and
//! what a site is started with. Both ends are the same binary.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use accelerator::Ipv6Network;
use link::Shape;
use link::certificate::Details;
use region::OperatorQuestion;
use serde::{Deserialize, Serialize};
use types::{Deployment, Geography, SiteId, SiteName, Span, ZoneLetter};
use zeroize::Zeroize;

use crate::failure::Failure;
use crate::files::{self, Readers};
use crate::lab::Webhooks;

/// `site.toml`, written by the supervisor before each start of the site.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SiteConfig {
    /// Which of the deployment's sites this is.
    pub site: SiteName,
    /// The deployment's first account, whose root key is the operator's.
    pub account: String,
    /// The site's own directory: its keys and its data.
    pub directory: PathBuf,
    /// Where its API listens. (An edge has none.)
    pub api: SocketAddr,
    /// What it proves itself with there; without it, the API speaks plain HTTP.
    pub tls: Option<TlsFiles>,
    /// The key that signed that certificate, where it is to sign one for each address of its
    /// databases' endpoints; without it, these have that certificate. (An edge has none.)
    #[serde(default)]
    pub authority_key: Option<PathBuf>,
    /// Where it answers DNS, if it is an edge.
    pub dns: Option<DnsAddresses>,
    /// The networks that accelerators' static addresses are drawn from, one from each.
    #[serde(default = "accelerator_pools")]
    pub accelerator_pools: [String; 2],
    /// The network that their static IPv6 addresses are drawn from, of 64 to 125 bits, which this
    /// host must have for its own; without it, no accelerator has any.
    #[serde(default)]
    pub accelerator_ipv6_pool: Option<Ipv6Network>,
    /// The networks that load balancers' nodes have their addresses from, one a zone, in the
    /// zones' order; without them, the Region has no load balancers. (An edge has none.)
    #[serde(default)]
    pub balancer_pools: Option<[String; 3]>,
    /// The network that databases' endpoints have their addresses from; without it, the Region has
    /// no databases. (An edge has none.)
    #[serde(default)]
    pub database_pool: Option<String>,
    /// The directory of databases' servers and snapshots: apart from the site's own, since the
    /// servers' user has to pass through the directories on the way. Without it, it is in the
    /// site's. (An edge has none.)
    #[serde(default)]
    pub databases: Option<PathBuf>,
    /// What the tail of an old writer may take of the disk, in MiB: list, rows and log; without it,
    /// 16 GiB. (An edge has none.)
    #[serde(default)]
    pub tail_limit_mib: Option<u64>,
    /// The directory of certificates that listeners may name; without it, only uploaded ones. (An
    /// edge has none.)
    #[serde(default)]
    pub certificates: Option<PathBuf>,
    /// The user's application, if this is a Region that runs one.
    #[serde(default)]
    pub app: Option<AppConfig>,
    /// The zones of the Region that are down from the start.
    #[serde(default)]
    pub zones_down: BTreeSet<ZoneLetter>,
    /// Where its links are accepted.
    pub link: SocketAddr,
    /// How far its wall clock is set off, in milliseconds.
    pub clock_offset_milliseconds: i64,
    /// What the delays between sites are multiplied by.
    pub delay_scale: f64,
    /// How often endpoints are probed, in milliseconds; without it, as each health check says.
    pub health_interval_milliseconds: Option<u64>,
    /// How often flow logs are delivered, in milliseconds; without it, every five minutes. (A
    /// Region has none.)
    #[serde(default)]
    pub flow_log_interval_milliseconds: Option<u64>,
    /// The networks that health checks may look at; without them, loopback.
    pub health_targets: Option<Vec<String>>,
    /// Where events of buckets may go, by the names or ARNs of targets.
    #[serde(default)]
    pub webhooks: Webhooks,
    /// The file that says in which bucket elsewhere the bytes of larger objects are; without it,
    /// they are in the site's directory. (An edge has none.)
    #[serde(default)]
    pub blob_store: Option<PathBuf>,
    /// A database of places by address, in MMDB format.
    pub geo_database: Option<PathBuf>,
    /// All sites.
    pub deployment: Deployment,
    /// The other sites, and the way to each.
    pub peers: Vec<PeerConfig>,
}

/// What is said of static IPv6 addresses where there is no network of them.
pub const NO_IPV6_POOL: &str = "This deployment has no static IPv6 addresses to give \
    (IpAddressType DUAL_STACK): start the lab with `causeway up --ipv6 PREFIX/64`, a network that \
    its host has for its own, or name one as accelerator_ipv6_pool in the configuration of every \
    site";

/// The lab's: two network zones of loopback addresses, apart from those of sites and places.
pub fn accelerator_pools() -> [String; 2] {
    ["127.80.0.0/16".to_owned(), "127.81.0.0/16".to_owned()]
}

/// A lab's, of the site with that number n: 127.32.n.0/24, 127.33.n.0/24 and 127.34.n.0/24, apart
/// from all other addresses of a lab.
pub fn balancer_pools(site: SiteId) -> [String; 3] {
    ZoneLetter::ALL.map(|zone| format!("127.{}.{}.0/24", 32 + zone.index(), site.0))
}

/// A lab's, of the site with that number n: the n-th network of 20 bits from 127.36.0.0 on
/// (127.36.16.0/20, 127.36.32.0/20 and so on, up to 127.51), apart from all other addresses of a
/// lab. It is large since labs of one host draw from the same one, each for itself.
pub fn database_pool(site: SiteId) -> String {
    let first = Ipv4Addr::new(127, 36, 0, 0).to_bits() + (u32::from(site.0) << 12);
    format!("{}/20", Ipv4Addr::from_bits(first))
}

/// The files of a certificate (and those between it and its authority) and of its key, in PEM.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TlsFiles {
    /// The certificate's.
    pub certificate: PathBuf,
    /// The key's.
    pub key: PathBuf,
}

/// Where an edge answers DNS, over UDP and TCP.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DnsAddresses {
    /// For the senders' own queries.
    pub address: SocketAddr,
    /// For those that the lab's relay passes on, with the PROXY protocol's header.
    pub relayed: SocketAddr,
    /// The relay's own address: nobody else's queries are taken there.
    pub relay: IpAddr,
}

/// A Region's application as its process knows it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AppConfig {
    /// The Region's one address for it: what comes there goes to an instance that lives.
    pub address: SocketAddr,
    /// Where the instances listen, by their zones.
    pub instances: BTreeMap<ZoneLetter, SocketAddr>,
}

/// Another site.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PeerConfig {
    /// Which.
    pub site: SiteName,
    /// Where its links are accepted.
    pub link: SocketAddr,
    /// The shape of what goes there.
    pub shape: Shape,
}

impl SiteConfig {
    /// Writes it into the site's directory; gives the file.
    pub fn write(&self) -> anyhow::Result<PathBuf> {
        let file = self.directory.join("site.toml");
        let text = toml::to_string(self)?;
        let text = format!("# Written by `causeway up` before each start of this site.\n{text}");
        files::write(&file, &text, Readers::Anyone)?;
        Ok(file)
    }

    /// The site's number.
    pub fn id(&self) -> Result<SiteId, Failure> {
        let site = self.deployment.named(self.site);
        let site = site.ok_or_else(|| {
            Failure::wrong_use(format!("{} is not of its own deployment", self.site))
        })?;
        Ok(site.id)
    }

    /// The deployment's largest round trip between two sites.
    pub fn largest_round_trip(&self) -> Span {
        let scale = self.delay_scale;
        council::largest_round_trip(&self.deployment, Geography { scale })
    }

    /// Reads it.
    pub fn read(file: &Path) -> anyhow::Result<SiteConfig> {
        let text = files::read(file)?;
        let parsed = toml::from_str(&text);
        Ok(parsed.map_err(|cause| {
            Failure::wrong_use(format!("{} can't be understood: {cause}", file.display()))
        })?)
    }
}

/// From the supervisor to a site.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(tag = "command", rename_all = "snake_case")]
pub enum SiteCommand {
    /// What a Region needs to open, and no file of it holds: the first thing it is told.
    Open {
        /// The secrets.
        secrets: Secrets,
    },
    /// End in order.
    Stop,
    /// The links, the clock and the zones are to be like this from now on.
    Conditions(Conditions),
    /// The state of the site's links.
    Links,
    /// There is a new certificate in the site's directory: take it over. Answered with its
    /// [`Details`].
    Rotate,
    /// A question to what the site runs.
    Ask {
        /// The question.
        question: Question,
    },
}

/// What only the processes of a deployment know, and none writes down. It is never printed.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Secrets {
    /// The operator's key, in hexadecimal digits: what secrets at rest are sealed with.
    pub operator_key: String,
    /// The root key of the first account, as a file of credentials has it.
    pub root_key: String,
    /// What the front door proves itself by.
    pub door: String,
}

impl Drop for Secrets {
    fn drop(&mut self) {
        self.operator_key.zeroize();
        self.root_key.zeroize();
        self.door.zeroize();
    }
}

impl std::fmt::Debug for Secrets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secrets(…)")
    }
}

/// What faults and geography amount to for one site.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Conditions {
    /// The shape of what goes to each other site.
    pub shapes: Vec<(SiteName, Shape)>,
    /// How far the wall clock is off, in milliseconds.
    pub clock_offset_milliseconds: i64,
    /// Which zones of the Region are down: nothing of it may serve there.
    pub zones_down: BTreeSet<ZoneLetter>,
}

/// What can be asked of a site.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(tag = "about", rename_all = "snake_case")]
pub enum Question {
    /// How it is.
    Status,
    /// How far it is behind each other Region, and what waits to go there.
    Lag,
    /// The writes that lost, the latest found first: a [`LedgerPage`].
    Conflicts {
        /// Only that table's.
        table: Option<String>,
        /// The row before the first one: a `ConflictCursor` as text.
        after: Option<String>,
        /// How many at most.
        limit: u32,
    },
    /// When those of the rows that this Region's ledger has were written: an object from their
    /// ids to milliseconds since the epoch.
    Detections {
        /// The rows' ids.
        ids: Vec<String>,
    },
    /// One of them.
    Conflict {
        /// Its id.
        id: String,
    },
    /// Write what lost once more.
    Restore {
        /// Its id.
        id: String,
    },
    /// Objects' versions that lost, in this Region's ledger: a `LostObjects`.
    LostObjects {
        /// Where to go on.
        after: Option<String>,
        /// How many at most.
        limit: u32,
    },
    /// Figures as Prometheus reads them, as text.
    Metrics,
    /// Is its data sound?
    Verify,
    /// What its replicas hold, in digests, and which changes they are made of.
    Replicas,
    /// Which operations are built.
    Operations,
    /// Does it hear a majority of the council's voters?
    Majority,
    /// How an answer comes about.
    Explain(ExplainQuestion),
    /// Where a flow to an accelerator would go, and why.
    ExplainFlow(FlowQuestion),
    /// What an edge carries.
    Flows,
    /// How many flows an edge has: a [`FlowsHere`].
    FlowsHere,
    /// What came to a Region's load balancers, and where it went.
    Balancers,
    /// A Region's databases, and how far its replicas are behind.
    Databases,
    /// What old writers of global clusters alone held when another took over.
    LostTransactions,
    /// What a load balancer's node of a Region would do with a request, and why; null: none of its
    /// nodes listens there.
    ExplainRequest(RequestQuestion),
    /// Who may call, and changes of it: an [`IdentityAnswer`].
    Identity(OperatorQuestion),
}

/// What a Region answers of identity.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub enum IdentityAnswer {
    /// What was asked for.
    Done {
        /// It.
        answer: serde_json::Value,
    },
    /// Why it can't be.
    Refused {
        /// The reason.
        failure: Failure,
    },
}

/// A question whose answer is to be explained.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ExplainQuestion {
    /// The name that is asked for.
    pub name: String,
    /// The type of record: `A`.
    pub kind: String,
    /// Who asks.
    pub client: IpAddr,
}

/// A flow whose way is to be explained.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct FlowQuestion {
    /// The client; its port is 0 where none was named.
    pub from: SocketAddr,
    /// The accelerator's address and the listener's port.
    pub to: SocketAddr,
    /// It is by UDP, not by TCP.
    pub datagrams: bool,
}

/// How many flows an edge has.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct FlowsHere {
    /// Flows of both protocols.
    pub here: u64,
    /// Connections that the supervisor has handed over and that have come, since it started.
    pub taken: u64,
}

/// A request to a load balancer whose way is to be explained.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct RequestQuestion {
    /// The client; its port is 0 where none was named.
    pub from: SocketAddr,
    /// The node's address and the listener's port.
    pub to: SocketAddr,
    /// The method.
    pub method: String,
    /// The host that is asked; none: the address.
    pub host: Option<String>,
    /// The path from `/` on.
    pub path: String,
    /// What follows `?`.
    pub query: Option<String>,
    /// Further header fields.
    pub headers: Vec<(String, String)>,
}

/// A part of one Region's ledger.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct LedgerPage {
    /// Its rows, the latest found first.
    pub rows: Vec<serde_json::Value>,
    /// Are there more after these?
    pub more: bool,
    /// Rows that the ledger has, of all tables.
    pub held: u64,
    /// Rows that were dropped since ever because the ledger had grown too large.
    pub dropped: u64,
}

/// From a site to the supervisor, unasked.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum SiteEvent {
    /// It serves.
    Ready,
    /// It can't start, and ends.
    Failed(Failure),
}

/// The state of a link as one end sees it.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct LinkState {
    /// This end.
    pub from: SiteName,
    /// The other end.
    pub to: SiteName,
    /// Is there a connection for each class?
    pub connected: bool,
    /// The shape of what goes from this end to the other.
    pub shape: Shape,
    /// The certificates that the other end has shown on the connections in use: two, while some
    /// are from before its certificate was renewed.
    pub peer_certificates: Vec<Details>,
    /// The smoothed round trip, in milliseconds.
    pub round_trip_milliseconds: Option<f64>,
    /// How long ago the other end was heard, in milliseconds.
    pub heard_milliseconds_ago: Option<f64>,
    /// What has crossed from this end to the other.
    pub crossings: Vec<LinkCrossing>,
    /// Bytes beside: handshakes' greetings, heartbeats, credit.
    pub overhead_bytes: u64,
}

/// What has crossed of one resource in one lane since the site started.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct LinkCrossing {
    /// The lane.
    pub lane: link::Lane,
    /// The service's number.
    pub service: u8,
    /// The resource: a table's name, say.
    pub resource: String,
    /// Envelopes.
    pub envelopes: u64,
    /// Records within them.
    pub records: u64,
    /// Bytes of payload.
    pub payload_bytes: u64,
    /// Bytes with frames.
    pub framed_bytes: u64,
}

#[cfg(test)]
mod tests {
    use super::*;
    use types::{LAB_ACCOUNT, Site};

    #[test]
    fn sites_draw_endpoints_from_networks_of_their_own_besides_all_else_of_a_lab() {
        assert_eq!(database_pool(SiteId(1)), "127.36.16.0/20");
        assert_eq!(database_pool(SiteId(2)), "127.36.32.0/20");
        assert_eq!(database_pool(SiteId(16)), "127.37.0.0/20");
        assert_eq!(database_pool(SiteId(254)), "127.51.224.0/20");
    }

    #[test]
    fn secrets_are_never_printed() {
        let secrets = Secrets {
            operator_key: "one".to_owned(),
            root_key: "two".to_owned(),
            door: "three".to_owned(),
        };
        let command = SiteCommand::Open { secrets };
        assert_eq!(format!("{command:?}"), "Open { secrets: Secrets(…) }");
    }

    #[test]
    fn a_site_s_configuration_is_read_as_it_was_written() {
        let directory = tempfile::tempdir().unwrap();
        let site: SiteName = "us-east-1".parse().unwrap();
        let place = site.region().unwrap();
        let config = SiteConfig {
            site,
            account: LAB_ACCOUNT.to_owned(),
            directory: directory.path().to_owned(),
            api: "127.1.1.1:4566".parse().unwrap(),
            tls: Some(TlsFiles {
                certificate: "certificate.pem".into(),
                key: "key.pem".into(),
            }),
            authority_key: Some("authority-key.pem".into()),
            accelerator_pools: ["10.0.0.0/24".to_owned(), "10.0.1.0/24".to_owned()],
            accelerator_ipv6_pool: Some("2001:db8:1::/64".parse().unwrap()),
            balancer_pools: Some(balancer_pools(SiteId(1))),
            database_pool: Some(database_pool(SiteId(1))),
            databases: Some("db/us-east-1".into()),
            tail_limit_mib: Some(7),
            certificates: Some("certificates".into()),
            app: Some(AppConfig {
                address: "127.1.1.1:8080".parse().unwrap(),
                instances: [(ZoneLetter::A, "127.1.1.11:8080".parse().unwrap())].into(),
            }),
            zones_down: [ZoneLetter::B].into(),
            link: "127.1.1.1:14566".parse().unwrap(),
            dns: Some(DnsAddresses {
                address: "127.1.1.1:5300".parse().unwrap(),
                relayed: "127.1.1.1:15300".parse().unwrap(),
                relay: "127.0.0.1".parse().unwrap(),
            }),
            clock_offset_milliseconds: -5,
            delay_scale: 0.5,
            health_interval_milliseconds: Some(200),
            flow_log_interval_milliseconds: Some(2000),
            health_targets: Some(vec!["127.0.0.0/8".to_owned()]),
            webhooks: Webhooks::new(),
            blob_store: Some("store.toml".into()),
            geo_database: None,
            deployment: Deployment {
                sites: vec![Site {
                    id: SiteId(1),
                    name: site,
                    place,
                }],
            },
            peers: vec![PeerConfig {
                site: "edge-1".parse().unwrap(),
                link: "127.1.2.1:14566".parse().unwrap(),
                shape: Shape {
                    rate: std::num::NonZeroU64::new(9),
                    ..Shape::delayed(Span(1)).with_cut(link::Cut::Reset)
                },
            }],
        };
        let file = config.write().unwrap();
        assert_eq!(SiteConfig::read(&file).unwrap(), config);
        let error = SiteConfig::read(&directory.path().join("absent")).unwrap_err();
        assert!(format!("{error:#}").contains("absent"), "{error:#}");
    }
}

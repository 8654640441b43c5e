//! `lab.toml`: what a lab is made with, what of it may change between two starts, and the
//! addresses that follow from it. It makes nothing but this file.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use accelerator::Ipv6Network;
use health::TargetPolicy;
use routing::Locator;
use serde::{Deserialize, Serialize};
use types::{Region, Site, SiteId, SiteName, ZoneLetter};

use super::blob_store::{BlobStore, LOCAL};
use super::endpoint::{EndpointSettings, EndpointWishes};
use super::webhook::{Webhook, Webhooks};
use crate::failure::Failure;
use crate::files::{self, Readers};
use crate::protocol::DnsAddresses;

/// The version of `lab.toml` that this binary writes, and the greatest it reads. Format 1 had
/// neither DNS nor applications nor health checks, format 2 no choice of the endpoint: what it
/// lacks has its default.
pub(super) const FORMAT: u32 = 3;

/// The Regions of a lab that names none.
const REGIONS: [&str; 3] = ["us-east-1", "eu-west-1", "ap-southeast-1"];

/// The front door's port unless another is asked for, as LocalStack and its kind have it.
const API_PORT: u16 = 4566;

/// The port of DNS unless another is asked for: 53 with a hundred, which needs no root.
const DNS_PORT: u16 = 5300;

/// The port of the Regions' applications, of all their instances, unless another is asked for.
const APP_PORT: u16 = 8080;

/// Where the application's instance in zone a is, within its Region's addresses: 127.1.n.11. The
/// other zones' follow.
const FIRST_INSTANCE: u8 = 11;

/// How far a site's link port is from its API port, and an edge's relay port from its DNS port.
const PORT_DISTANCE: u16 = 10_000;

/// What can be asked of a lab that starts.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Wishes {
    /// Its Regions.
    pub regions: Option<Vec<Region>>,
    /// How many edges.
    pub edges: Option<u16>,
    /// The front door's port.
    pub api_port: Option<u16>,
    /// The port of DNS.
    pub dns_port: Option<u16>,
    /// The port of the Regions' applications.
    pub app_port: Option<u16>,
    /// The factor of all delays.
    pub delay_scale: Option<f64>,
    /// How often endpoints are probed.
    pub health_interval: Option<HealthInterval>,
    /// How often flow logs of accelerators are delivered, in milliseconds.
    pub flow_log_interval: Option<u64>,
    /// What a tail may take of the disk, in MiB.
    pub tail_limit: Option<u64>,
    /// The networks that health checks may look at.
    pub health_targets: Option<Vec<String>>,
    /// Where events of buckets may go, all of it.
    pub webhooks: Option<Vec<Webhook>>,
    /// The file that says which bucket elsewhere has the bytes of larger objects, or `local`.
    pub blob_store: Option<PathBuf>,
    /// A database of places by address, in MMDB format.
    pub geo_database: Option<PathBuf>,
    /// The directory of certificates that listeners of load balancers may name.
    pub certificates: Option<PathBuf>,
    /// Whether accelerators may have IPv6 addresses, and of which network.
    pub ipv6: Option<Ipv6Pool>,
    /// How clients reach it.
    pub endpoint: EndpointWishes,
}

/// Where accelerators' static IPv6 addresses come from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Ipv6Pool {
    /// From nowhere: there are none.
    Off,
    /// From this network.
    Of(Ipv6Network),
}

/// How often the endpoints of health checks are probed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum HealthInterval {
    /// As each check says: every 10 or 30 s.
    AsConfigured,
    /// All of them every so many milliseconds.
    Milliseconds(u64),
}

/// `lab.toml`.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// The version of this file.
    pub format: u32,
    /// The front door's port, and that of each Region's own address.
    pub api_port: u16,
    /// The port of DNS, of the lab and of each edge's own address.
    #[serde(default = "default_dns_port")]
    pub dns_port: u16,
    /// The port of each Region's application.
    #[serde(default = "default_app_port")]
    pub app_port: u16,
    /// What the delays between sites are multiplied by.
    pub delay_scale: f64,
    /// How often endpoints are probed, in milliseconds; without it, as each health check says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub health_interval_milliseconds: Option<u64>,
    /// How often flow logs of accelerators are delivered, in milliseconds; without it, every five
    /// minutes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub flow_log_interval_milliseconds: Option<u64>,
    /// What the tail of an old writer of databases may take of the disk, in MiB; without it,
    /// 16 GiB.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tail_limit_mib: Option<u64>,
    /// The networks that health checks may look at; without them, loopback: all lab addresses.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub health_targets: Option<Vec<String>>,
    /// Where events of buckets may go, by the names or ARNs of targets.
    #[serde(default, skip_serializing_if = "Webhooks::is_empty")]
    pub webhooks: Webhooks,
    /// The file that says which bucket elsewhere has the bytes of larger objects, its absolute
    /// path; without it, they are on this machine's disk.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub blob_store: Option<PathBuf>,
    /// A database of places by address, in MMDB format; its absolute path.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub geo_database: Option<PathBuf>,
    /// The directory of certificates that listeners of load balancers may name; its absolute path.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub certificates: Option<PathBuf>,
    /// The network that accelerators' static IPv6 addresses are drawn from; without it, they have
    /// none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ipv6: Option<Ipv6Network>,
    /// How clients reach it.
    #[serde(default, skip_serializing_if = "EndpointSettings::is_default")]
    pub endpoint: EndpointSettings,
    /// The number the next new site gets: none is ever used twice.
    pub next_site: u16,
    /// The sites.
    pub sites: Vec<Site>,
}

fn default_dns_port() -> u16 {
    DNS_PORT
}

fn default_app_port() -> u16 {
    APP_PORT
}

/// An address that something of a lab listens on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Listening {
    /// The address.
    pub address: SocketAddr,
    /// Is it listened on by UDP as well?
    pub datagrams: bool,
    /// The option of `up` that moves it.
    pub option: &'static str,
}

impl Settings {
    /// Those of a new lab.
    pub(super) fn new(wishes: &Wishes) -> anyhow::Result<Settings> {
        let default = || REGIONS.map(|name| name.parse().expect("a Region of the table"));
        let regions = wishes.regions.clone().unwrap_or_else(|| default().to_vec());
        let edges = wishes.edges.unwrap_or(1);
        check_regions(&regions)?;
        let mut sites = Vec::new();
        let mut add = |name, place| {
            let id = SiteId(sites.len() as u16 + 1);
            sites.push(Site { id, name, place });
        };
        for region in &regions {
            add(SiteName::Region(*region), *region);
        }
        for edge in 0..edges {
            let place = regions[usize::from(edge) % regions.len()];
            add(SiteName::Edge(edge + 1), place);
        }
        let mut settings = Settings {
            format: FORMAT,
            api_port: API_PORT,
            dns_port: DNS_PORT,
            app_port: APP_PORT,
            delay_scale: 1.0,
            health_interval_milliseconds: None,
            flow_log_interval_milliseconds: None,
            tail_limit_mib: None,
            health_targets: None,
            webhooks: Webhooks::new(),
            blob_store: None,
            geo_database: None,
            certificates: None,
            ipv6: None,
            endpoint: EndpointSettings::default(),
            next_site: sites.len() as u16 + 1,
            sites,
        };
        settings.wish(wishes)?;
        Ok(settings)
    }

    /// Takes over what may change between two starts.
    pub(super) fn wish(&mut self, wishes: &Wishes) -> anyhow::Result<()> {
        self.api_port = wishes.api_port.unwrap_or(self.api_port);
        self.dns_port = wishes.dns_port.unwrap_or(self.dns_port);
        self.app_port = wishes.app_port.unwrap_or(self.app_port);
        self.delay_scale = wishes.delay_scale.unwrap_or(self.delay_scale);
        match wishes.health_interval {
            Some(HealthInterval::Milliseconds(interval)) => {
                self.health_interval_milliseconds = Some(interval);
            }
            Some(HealthInterval::AsConfigured) => self.health_interval_milliseconds = None,
            None => {}
        }
        if let Some(interval) = wishes.flow_log_interval {
            self.flow_log_interval_milliseconds = Some(interval);
        }
        self.tail_limit_mib = wishes.tail_limit.or(self.tail_limit_mib);
        if let Some(targets) = &wishes.health_targets {
            TargetPolicy::parse(targets.iter().map(String::as_str)).map_err(|cause| {
                Failure::wrong_use(cause).then("name networks with --health-targets NETWORKS")
            })?;
            self.health_targets = Some(targets.clone());
        }
        if let Some(webhooks) = &wishes.webhooks {
            let pairs = webhooks.iter().cloned();
            self.webhooks = pairs.map(|hook| (hook.target, hook.url)).collect();
        }
        match &wishes.blob_store {
            Some(local) if local.as_os_str() == LOCAL => self.blob_store = None,
            Some(file) => {
                BlobStore::read(file)?;
                self.blob_store = Some(file.canonicalize()?);
            }
            None => {}
        }
        if let Some(file) = &wishes.geo_database {
            open_places(Locator::new(None), file)?;
            self.geo_database = Some(file.canonicalize()?);
        }
        if let Some(directory) = &wishes.certificates {
            let found = directory.canonicalize().ok().filter(|found| found.is_dir());
            self.certificates = Some(found.ok_or_else(|| {
                Failure::wrong_use(format!("there is no directory {}", directory.display()))
                    .then("name one with NAME.pem and NAME.key in it with --certificates DIR")
            })?);
        }
        match wishes.ipv6 {
            Some(Ipv6Pool::Of(network)) => self.ipv6 = Some(network),
            Some(Ipv6Pool::Off) => self.ipv6 = None,
            None => {}
        }
        self.endpoint.wish(&wishes.endpoint)
    }
}

impl Settings {
    /// Where the front door listens.
    pub fn door_listens(&self) -> SocketAddr {
        self.endpoint.listens(self.api_port)
    }

    /// Where the lab listens beside its front door; with the Regions' applications if there are
    /// to be some.
    pub fn listening(&self, with_apps: bool) -> Vec<Listening> {
        let mut all = Vec::new();
        let mut add = |address, datagrams, option| {
            all.push(Listening {
                address,
                datagrams,
                option,
            });
        };
        if self.has_edges() {
            add(self.dns_address(), true, "--dns-port");
        }
        for site in &self.sites {
            add(self.link_address(site.id), false, "--api-port");
            if let Some(dns) = self.edge_dns(site) {
                add(dns.address, true, "--dns-port");
                add(dns.relayed, true, "--dns-port");
            }
            if site.name.region().is_some() {
                add(self.api_address(site.id), false, "--api-port");
                if with_apps {
                    add(self.app_address(site.id), false, "--app-port");
                    for zone in ZoneLetter::ALL {
                        add(self.instance_address(site.id, zone), false, "--app-port");
                    }
                }
            }
        }
        all
    }

    /// Refuses ports that would meet: two of the lab's own can't listen on one address.
    pub fn refuse_clashes(&self, with_apps: bool) -> Result<(), Failure> {
        let mut seen = std::collections::BTreeMap::from([(self.door_listens(), "--bind")]);
        for listening in self.listening(with_apps) {
            let Listening {
                address, option, ..
            } = listening;
            if let Some(other) = seen.insert(address, option) {
                let failure = format!("{other} and {option} both lead to {address}");
                return Err(Failure::wrong_use(failure)
                    .then("choose ports that differ, also by 10,000 and more"));
            }
        }
        Ok(())
    }

    /// Where the lab's DNS is relayed to its edges, UDP and TCP.
    pub fn dns_address(&self) -> SocketAddr {
        SocketAddr::new(Ipv4Addr::LOCALHOST.into(), self.dns_port)
    }

    /// Has the lab an edge that would answer DNS?
    pub fn has_edges(&self) -> bool {
        self.edges().next().is_some()
    }

    /// Its edges.
    pub fn edges(&self) -> impl Iterator<Item = &Site> {
        let sites = self.sites.iter();
        sites.filter(|site| site.name.region().is_none())
    }

    /// Where that edge answers DNS; none if it is a Region.
    pub fn edge_dns(&self, site: &Site) -> Option<DnsAddresses> {
        let address = own_address(site.id);
        site.name.region().is_none().then(|| DnsAddresses {
            address: SocketAddr::new(address, self.dns_port),
            relayed: SocketAddr::new(address, distant(self.dns_port)),
            relay: self.dns_address().ip(),
        })
    }

    pub(super) fn api_address(&self, site: SiteId) -> SocketAddr {
        SocketAddr::new(own_address(site), self.api_port)
    }

    pub(super) fn link_address(&self, site: SiteId) -> SocketAddr {
        SocketAddr::new(own_address(site), distant(self.api_port))
    }

    pub(super) fn app_address(&self, site: SiteId) -> SocketAddr {
        SocketAddr::new(own_address(site), self.app_port)
    }

    pub(super) fn instance_address(&self, site: SiteId, zone: ZoneLetter) -> SocketAddr {
        let last = FIRST_INSTANCE + zone.index();
        SocketAddr::new(host_of(site, last).into(), self.app_port)
    }
}

/// The locator with the places in that database, too.
pub fn open_places(locator: Locator, file: &Path) -> Result<Locator, Failure> {
    let wrong = |cause: &dyn std::fmt::Display| {
        Failure::wrong_use(format!("the places in {}: {cause}", file.display()))
            .then("name a file in MMDB format with --geo-database FILE")
    };
    let bytes = std::fs::read(file).map_err(|cause| wrong(&cause))?;
    locator.with_database(bytes).map_err(|cause| wrong(&cause))
}

/// The port 10,000 further up; where there is none, further down.
fn distant(port: u16) -> u16 {
    let up = port.checked_add(PORT_DISTANCE);
    up.unwrap_or(port.wrapping_sub(PORT_DISTANCE))
}

/// The site's own address: 127.1.n.1, n its number.
pub fn own_address(site: SiteId) -> IpAddr {
    host_of(site, 1).into()
}

/// An address of that site's: 127.1.n.`last`, n its number.
fn host_of(site: SiteId, last: u8) -> Ipv4Addr {
    let number = u8::try_from(site.0).expect("a lab has fewer than 255 sites");
    Ipv4Addr::new(127, 1, number, last)
}

fn check_regions(regions: &[Region]) -> Result<(), Failure> {
    if regions.is_empty() {
        return Err(Failure::wrong_use("a lab needs at least one Region"));
    }
    let mut seen = std::collections::BTreeSet::new();
    match regions.iter().find(|region| !seen.insert(**region)) {
        Some(twice) => Err(Failure::wrong_use(format!("{twice} is named twice"))),
        None => Ok(()),
    }
}

/// Reads `lab.toml`. A newer one than this binary understands is refused by name.
pub(super) fn read_settings(file: &Path) -> anyhow::Result<Settings> {
    /// What every version of the file has.
    #[derive(Deserialize)]
    struct Versioned {
        format: u32,
    }
    let text = files::read(file)?;
    let wrong = |cause: &dyn std::fmt::Display| {
        Failure::wrong_use(format!("{} can't be understood: {cause}", file.display()))
    };
    let Versioned { format } = toml::from_str(&text).map_err(|cause| wrong(&cause))?;
    if format > FORMAT {
        let failure = Failure::wrong_use(format!(
            "{} has format {format}; this Causeway understands up to {FORMAT}",
            file.display()
        ));
        return Err(failure.then("use a newer one").into());
    }
    Ok(toml::from_str(&text).map_err(|cause| wrong(&cause))?)
}

/// Writes it.
pub(super) fn write_settings(directory: &Path, settings: &Settings) -> anyhow::Result<()> {
    let text = toml::to_string(settings)?;
    let text = format!("# Written by `causeway up`: the lab in this directory.\n{text}");
    files::write(&directory.join("lab.toml"), &text, Readers::Anyone)
}

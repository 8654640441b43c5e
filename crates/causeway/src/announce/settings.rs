//! The file that says what a site announces, to whom and when. Whatever would become a line of
//! BIRD's configuration is parsed first: nothing of it is passed on as it was written.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use runtime::AliveCheck;
use serde::Deserialize;
use types::Span;

use super::decide::Rules;
use super::prefix::Prefix;
use crate::failure::Failure;
use crate::files;

/// Networks that a site announces, at most.
const MOST_PREFIXES: usize = 256;

/// Routers, checks and other sites, at most, each.
const MOST_OTHERS: usize = 64;

/// The file.
#[derive(Clone, PartialEq, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// BIRD's control socket (Debian: /run/bird/bird.ctl).
    pub control_socket: PathBuf,
    /// The file that is written for BIRD.
    pub bird_configuration: PathBuf,
    /// This host's number among routers, an IPv4 address of its own. With it the file is BIRD's
    /// whole configuration; without, one to `include` in a configuration of yours.
    router_id: Option<Ipv4Addr>,
    /// The networks that the site's addresses are in.
    prefixes: Vec<String>,
    /// The directory of the edge that this stands beside (`DATA/edge-1`): its addresses are
    /// withdrawn when it is drained. Without it, nobody's drain is heard of.
    #[serde(default)]
    edge: Option<PathBuf>,
    /// The number of this site's autonomous system.
    #[serde(default)]
    autonomous_system: Option<u32>,
    /// The routers that are told; none if a configuration of yours tells them.
    #[serde(default)]
    neighbors: Vec<Neighbor>,
    /// How long a router may hear nothing over BGP before it takes the site for gone, in seconds.
    #[serde(default = "hold_seconds")]
    hold_seconds: u16,
    /// How often BFD says that the host is there, in milliseconds; three are missed before it is
    /// taken for dead.
    #[serde(default = "bfd_interval_milliseconds")]
    bfd_interval_milliseconds: u32,
    /// What says that this site serves, all of it: `dns:ADDRESS:PORT`, `tcp:ADDRESS:PORT`.
    checks: Vec<String>,
    /// What says that another site does, one each, at an address that only that site has.
    #[serde(default)]
    others: Vec<String>,
    /// So many others must be seen to serve for this site to withdraw.
    #[serde(default = "minimum_others")]
    minimum_others: usize,
    /// How often the checks are made, in milliseconds.
    #[serde(default = "interval_milliseconds")]
    interval_milliseconds: u64,
    /// How long one may take, in milliseconds.
    #[serde(default = "wait_milliseconds")]
    wait_milliseconds: u64,
    /// So many failures in a row withdraw the site.
    #[serde(default = "failures")]
    failures: u32,
    /// How long it must serve again before it is announced again, in seconds; twice as long after
    /// each further withdrawal ...
    #[serde(default = "settle_seconds")]
    settle_seconds: u64,
    /// ... but no longer than this ...
    #[serde(default = "settle_most_seconds")]
    settle_most_seconds: u64,
    /// ... until there was none for so long.
    #[serde(default = "calm_seconds")]
    calm_seconds: u64,
}

/// A router.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Neighbor {
    /// Its address.
    pub address: IpAddr,
    /// The number of its autonomous system.
    pub autonomous_system: u32,
    /// Does it speak BFD? It should: BGP alone notices a dead host no sooner than `hold_seconds`.
    #[serde(default = "bfd")]
    pub bfd: bool,
    /// Are there other routers between?
    #[serde(default)]
    pub multihop: bool,
}

fn hold_seconds() -> u16 {
    9
}

fn bfd_interval_milliseconds() -> u32 {
    200
}

fn minimum_others() -> usize {
    1
}

fn interval_milliseconds() -> u64 {
    200
}

fn wait_milliseconds() -> u64 {
    400
}

fn failures() -> u32 {
    3
}

fn settle_seconds() -> u64 {
    5
}

fn settle_most_seconds() -> u64 {
    300
}

fn calm_seconds() -> u64 {
    600
}

fn bfd() -> bool {
    true
}

/// What the file amounts to.
#[derive(Clone, PartialEq, Debug)]
pub struct Plan {
    /// BIRD's control socket.
    pub control_socket: PathBuf,
    /// The file that is written for BIRD.
    pub bird_configuration: PathBuf,
    /// With which the file is whole.
    pub router_id: Option<Ipv4Addr>,
    /// The networks.
    pub prefixes: BTreeSet<Prefix>,
    /// The directory of the edge whose drain withdraws them.
    pub edge: Option<PathBuf>,
    /// The number of this site's autonomous system; 0 without a router that is told.
    pub autonomous_system: u32,
    /// The routers.
    pub neighbors: Vec<Neighbor>,
    /// BGP's hold time, in seconds.
    pub hold_seconds: u16,
    /// BFD's interval, in milliseconds.
    pub bfd_interval_milliseconds: u32,
    /// What says that this site serves.
    pub checks: Vec<AliveCheck>,
    /// What says that others do.
    pub others: Vec<AliveCheck>,
    /// How often checks are made.
    pub interval: Duration,
    /// How long one may take.
    pub wait: Duration,
    /// By what it is decided.
    pub rules: Rules,
}

impl Plan {
    /// Reads the file.
    pub fn read(file: &Path) -> Result<Plan, Failure> {
        let text = files::read(file).map_err(|cause| Failure::wrong_use(format!("{cause:#}")))?;
        Plan::parse(&text).map_err(|why| {
            let failure = format!("{} can't be used: {why}", file.display());
            Failure::wrong_use(failure).then("docs/accelerator.md says what stands there")
        })
    }

    /// Reads its text.
    pub fn parse(text: &str) -> Result<Plan, String> {
        let settings: Settings = toml::from_str(text).map_err(|cause| cause.to_string())?;
        settings.check()?;
        let prefixes = settings.prefixes.iter().map(|text| text.parse());
        let prefixes: BTreeSet<Prefix> = prefixes.collect::<Result<_, _>>()?;
        let checks = |texts: &[String]| -> Result<Vec<AliveCheck>, String> {
            texts.iter().map(|text| text.parse()).collect()
        };
        let (own, others) = (checks(&settings.checks)?, checks(&settings.others)?);
        if let Some(both) = others.iter().find(|check| own.contains(check)) {
            return Err(format!("{both} can't say of this site and of another one"));
        }
        Ok(Plan {
            prefixes,
            edge: settings.edge,
            autonomous_system: settings.autonomous_system.unwrap_or_default(),
            checks: own,
            others,
            interval: Duration::from_millis(settings.interval_milliseconds),
            wait: Duration::from_millis(settings.wait_milliseconds),
            rules: Rules {
                failures: settings.failures,
                minimum_others: settings.minimum_others,
                settle: Span::seconds(settings.settle_seconds),
                settle_most: Span::seconds(settings.settle_most_seconds),
                calm: Span::seconds(settings.calm_seconds),
            },
            control_socket: settings.control_socket,
            bird_configuration: settings.bird_configuration,
            router_id: settings.router_id,
            neighbors: settings.neighbors,
            hold_seconds: settings.hold_seconds,
            bfd_interval_milliseconds: settings.bfd_interval_milliseconds,
        })
    }
}

impl Settings {
    /// Refuses what contradicts itself or is out of its range.
    fn check(&self) -> Result<(), String> {
        within("prefixes", self.prefixes.len(), 1, MOST_PREFIXES)?;
        within("checks", self.checks.len(), 1, MOST_OTHERS)?;
        within("others", self.others.len(), 0, MOST_OTHERS)?;
        within("neighbors", self.neighbors.len(), 0, MOST_OTHERS)?;
        within("hold_seconds", self.hold_seconds, 3, 240)?;
        within(
            "bfd_interval_milliseconds",
            self.bfd_interval_milliseconds,
            10,
            10_000,
        )?;
        within(
            "interval_milliseconds",
            self.interval_milliseconds,
            50,
            60_000,
        )?;
        within("wait_milliseconds", self.wait_milliseconds, 10, 60_000)?;
        within("failures", self.failures, 1, 100)?;
        within("settle_most_seconds", self.settle_most_seconds, 0, 86_400)?;
        within(
            "settle_seconds",
            self.settle_seconds,
            0,
            self.settle_most_seconds,
        )?;
        within("calm_seconds", self.calm_seconds, 0, 604_800)?;
        if self.minimum_others > self.others.len() {
            let (minimum, count) = (self.minimum_others, self.others.len());
            return Err(format!(
                "minimum_others is {minimum}, and {count} others are named: it could never \
                 withdraw (set minimum_others = 0 if that is to need nobody)"
            ));
        }
        let systems = self.neighbors.iter().map(|it| it.autonomous_system);
        let mut systems = systems.chain(self.autonomous_system);
        if systems.any(|number| number == 0) {
            return Err("0 is the number of no autonomous system".to_owned());
        }
        if !self.neighbors.is_empty() && self.autonomous_system.is_none() {
            return Err("neighbors need to know autonomous_system".to_owned());
        }
        check_socket(&self.control_socket)?;
        for Neighbor { address, .. } in &self.neighbors {
            check_neighbor(*address)?;
        }
        let addresses: BTreeSet<IpAddr> = self.neighbors.iter().map(|it| it.address).collect();
        match addresses.len() == self.neighbors.len() {
            true => Ok(()),
            false => Err("a neighbor is named twice".to_owned()),
        }
    }
}

/// Its name goes into BIRD's configuration, in quotes and as the start of a pattern.
fn check_socket(path: &Path) -> Result<(), String> {
    let is_plain = |text: &str| {
        let mut bytes = text.bytes();
        bytes.all(|byte| byte.is_ascii_alphanumeric() || b"/._-+@:,=".contains(&byte))
    };
    match path.is_absolute() && path.to_str().is_some_and(is_plain) {
        true => Ok(()),
        false => Err(format!(
            "control_socket: {} is no absolute path of letters, digits and /._-+@:,=",
            path.display()
        )),
    }
}

/// BIRD refuses the whole configuration for one of these.
fn check_neighbor(address: IpAddr) -> Result<(), String> {
    let is_local = match address {
        IpAddr::V4(_) => false,
        IpAddr::V6(address) => address.is_unicast_link_local(),
    };
    if is_local {
        return Err(format!(
            "{address} is one on every link, and no interface can be named: give the neighbor's \
             own address"
        ));
    }
    match address.is_unspecified() || address.is_multicast() {
        true => Err(format!("{address} is no neighbor's address")),
        false => Ok(()),
    }
}

fn within<T: PartialOrd + std::fmt::Display>(
    key: &str,
    value: T,
    least: T,
    most: T,
) -> Result<(), String> {
    match value >= least && value <= most {
        true => Ok(()),
        false => Err(format!("{key}: {value} is not from {least} to {most}")),
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(in crate::announce) const USUAL: &str = r#"
        control_socket = "/run/bird/bird.ctl"
        bird_configuration = "/etc/bird/causeway.conf"
        router_id = "192.0.2.1"
        autonomous_system = 65001
        prefixes = ["203.0.113.0/24", "2001:db8:1::/48"]
        checks = ["dns:203.0.113.53:53"]
        others = ["dns:198.51.100.7:53"]
        [[neighbors]]
        address = "192.0.2.254"
        autonomous_system = 65000
    "#;

    #[test]
    fn what_is_left_out_is_as_documented() {
        let plan = Plan::parse(USUAL).unwrap();
        assert_eq!(plan.prefixes.len(), 2);
        assert_eq!(plan.rules.failures, 3);
        assert_eq!(plan.rules.minimum_others, 1);
        assert_eq!(plan.interval, Duration::from_millis(200));
        assert!(plan.neighbors[0].bfd && !plan.neighbors[0].multihop);
    }

    #[test]
    fn what_contradicts_itself_is_refused_whole_and_by_name() {
        let router = "[[neighbors]]";
        for (from, to, why) in [
            ("203.0.113.0/24", "203.0.113.1/24", "bits behind its prefix"),
            ("203.0.113.0/24", "203.0.113.0/24; }", "is no network"),
            ("dns:203.0.113.53:53", "ping:203.0.113.53", "is no check"),
            (
                "dns:198.51.100.7:53",
                "dns:203.0.113.53:53",
                "of this site and of another",
            ),
            (
                "others = [",
                "minimum_others = 2\nothers = [",
                "could never withdraw",
            ),
            (
                "autonomous_system = 65001",
                "",
                "need to know autonomous_system",
            ),
            ("= 65000", "= 0", "no autonomous system"),
            (
                "192.0.2.254",
                "192.0.2.254; import all",
                "invalid IP address",
            ),
            ("192.0.2.254", "fe80::1", "is one on every link"),
            ("192.0.2.254", "::", "no neighbor's address"),
            ("/run/bird/bird.ctl", "bird.ctl", "no absolute path"),
            ("/bird.ctl", "/bird*.ctl", "no absolute path"),
            ("192.0.2.1\"", "here\"", "invalid IPv4 address"),
            (
                router,
                "hold_seconds = 1\n[[neighbors]]",
                "hold_seconds: 1 is not from 3 to 240",
            ),
            (
                router,
                "settle_seconds = 500\n[[neighbors]]",
                "settle_seconds",
            ),
            (router, "what = 1\n[[neighbors]]", "unknown field"),
        ] {
            let text = USUAL.replacen(from, to, 1);
            assert_ne!(text, USUAL, "{from}");
            let refused = Plan::parse(&text).unwrap_err();
            assert!(refused.contains(why), "{to}: {refused}");
        }
        let twice =
            format!("{USUAL}\n[[neighbors]]\naddress = \"192.0.2.254\"\nautonomous_system = 1");
        assert!(Plan::parse(&twice).unwrap_err().contains("named twice"));
    }
}

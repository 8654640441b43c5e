//! What a fault can take away or hold up: a site, what a Region has in one zone, or its
//! application alone. Names only; nothing is killed here.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::{AvailabilityZone, Region, SiteName};

/// The last word of a target that is an application.
const APP: &str = "app";

/// What a fault strikes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FaultTarget {
    /// A Region or an edge, with everything that runs in it: `us-east-1`.
    Site(SiteName),
    /// What a Region has in one zone: the application's instance and the load balancers' nodes
    /// there. `us-east-1/us-east-1a`, or for short `us-east-1/a`.
    Zone(AvailabilityZone),
    /// A Region's application, in all zones; the Region goes on: `us-east-1/app`.
    App(Region),
    /// The instance of the application in one zone; the zone goes on:
    /// `us-east-1/us-east-1a/app`, or for short `us-east-1/a/app`.
    Instance(AvailabilityZone),
}

/// The words name nothing that a fault could strike.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "'{0}' is neither a Region (`causeway places` lists them) nor an edge (edge-1, edge-2, …), a \
     zone (us-east-1/us-east-1a) or an application (us-east-1/app, us-east-1/us-east-1a/app)"
)]
pub struct UnknownTarget(pub String);

impl FaultTarget {
    /// The site that it is, or that it is in.
    pub fn site(self) -> SiteName {
        match self {
            FaultTarget::Site(site) => site,
            FaultTarget::App(region) => SiteName::Region(region),
            FaultTarget::Zone(zone) | FaultTarget::Instance(zone) => SiteName::Region(zone.region),
        }
    }

    /// The zone that it is, or that it is in, if it is in one.
    pub fn zone(self) -> Option<AvailabilityZone> {
        match self {
            FaultTarget::Zone(zone) | FaultTarget::Instance(zone) => Some(zone),
            FaultTarget::Site(_) | FaultTarget::App(_) => None,
        }
    }

    /// Is it the application, or a part of it, and nothing else?
    pub fn is_app(self) -> bool {
        matches!(self, FaultTarget::App(_) | FaultTarget::Instance(_))
    }

    /// Is the other one this, or a part of this?
    pub fn contains(self, other: FaultTarget) -> bool {
        match self {
            FaultTarget::Site(site) => other.site() == site,
            FaultTarget::Zone(zone) => other.zone() == Some(zone),
            FaultTarget::App(region) => other.is_app() && other.site() == SiteName::Region(region),
            FaultTarget::Instance(_) => other == self,
        }
    }
}

impl From<SiteName> for FaultTarget {
    fn from(site: SiteName) -> FaultTarget {
        FaultTarget::Site(site)
    }
}

impl FromStr for FaultTarget {
    type Err = UnknownTarget;

    fn from_str(text: &str) -> Result<FaultTarget, UnknownTarget> {
        let unknown = || UnknownTarget(text.to_owned());
        let words: Vec<&str> = text.split('/').collect();
        let region = || words[0].parse::<Region>().map_err(|_| unknown());
        let zone = |word: &str| zone_of(region()?, word).ok_or_else(unknown);
        match words[1..] {
            [] => text.parse().map(FaultTarget::Site).map_err(|_| unknown()),
            [APP] => Ok(FaultTarget::App(region()?)),
            [word] => Ok(FaultTarget::Zone(zone(word)?)),
            [word, APP] => Ok(FaultTarget::Instance(zone(word)?)),
            _ => Err(unknown()),
        }
    }
}

/// The Region's zone of that name or letter.
fn zone_of(region: Region, word: &str) -> Option<AvailabilityZone> {
    let mut zones = AvailabilityZone::of(region);
    zones.find(|zone| zone.to_string() == word || zone.letter.to_string() == word)
}

impl fmt::Display for FaultTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            FaultTarget::Site(site) => site.fmt(f),
            FaultTarget::Zone(zone) => f.pad(&format!("{}/{zone}", zone.region)),
            FaultTarget::App(region) => f.pad(&format!("{region}/{APP}")),
            FaultTarget::Instance(zone) => f.pad(&format!("{}/{zone}/{APP}", zone.region)),
        }
    }
}

impl fmt::Debug for FaultTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

impl Serialize for FaultTarget {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for FaultTarget {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(text: &str) -> FaultTarget {
        text.parse().expect("it is a target")
    }

    #[test]
    fn targets_are_read_as_they_are_written() {
        for (written, whole) in [
            ("us-east-1", "us-east-1"),
            ("edge-2", "edge-2"),
            ("us-east-1/a", "us-east-1/us-east-1a"),
            ("us-east-1/us-east-1c", "us-east-1/us-east-1c"),
            ("us-east-1/app", "us-east-1/app"),
            ("us-east-1/b/app", "us-east-1/us-east-1b/app"),
        ] {
            assert_eq!(target(written).to_string(), whole);
            assert_eq!(target(whole), target(written));
        }
        for wrong in [
            "",
            "/",
            "us-moon-1",
            "us-east-1/",
            "us-east-1/d",
            "us-east-1/eu-west-1a",
            "edge-1/a",
            "edge-1/app",
            "us-east-1/app/a",
            "us-east-1/a/app/x",
            "us-east-1/a/b",
        ] {
            assert!(wrong.parse::<FaultTarget>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_region_contains_its_zones_and_both_their_instances() {
        let all = [
            "us-east-1",
            "us-east-1/a",
            "us-east-1/app",
            "us-east-1/a/app",
        ];
        let contained: [&[usize]; 4] = [&[0, 1, 2, 3], &[1, 3], &[2, 3], &[3]];
        for (outer, inner) in all.iter().zip(contained) {
            for (index, other) in all.iter().enumerate() {
                let contains = target(outer).contains(target(other));
                assert_eq!(contains, inner.contains(&index), "{outer} {other}");
            }
        }
        assert!(!target("us-east-1").contains(target("eu-west-1/a")));
        assert!(!target("us-east-1/b").contains(target("us-east-1/a/app")));
        assert!(target("us-east-1/app").contains(target("us-east-1/b/app")));
    }
}

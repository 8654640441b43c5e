//! Sites: what stands at the ends of a link. A site is a Region or an edge.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::Region;

/// The number a deployment gives a site. Never reused: a Region that left and came back has a
/// new one, so a version stamped by the old one can't be mistaken for its own.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SiteId(pub u16);

/// A site's name: a Region's own (`eu-west-1`) or `edge-1`, `edge-2`, ….
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SiteName {
    /// A Region.
    Region(Region),
    /// The edge of that number, from 1.
    Edge(u16),
}

/// The name is of neither a Region nor an edge.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("'{0}' is neither a Region (`causeway places` lists them) nor an edge (edge-1, edge-2, …)")]
pub struct UnknownSite(pub String);

/// One site of a deployment.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Site {
    /// Its number.
    pub id: SiteId,
    /// Its name.
    pub name: SiteName,
    /// The Region whose metropolitan area it stands in: its own, for a Region.
    pub place: Region,
}

/// All sites of a deployment, in the order of their numbers.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Deployment {
    /// The sites.
    pub sites: Vec<Site>,
}

impl SiteName {
    /// The Region of that name, unless the site is an edge.
    pub fn region(self) -> Option<Region> {
        match self {
            SiteName::Region(region) => Some(region),
            SiteName::Edge(_) => None,
        }
    }
}

impl Deployment {
    /// The site of that number.
    pub fn site(&self, id: SiteId) -> Option<Site> {
        self.sites.iter().copied().find(|site| site.id == id)
    }

    /// The site of that name.
    pub fn named(&self, name: SiteName) -> Option<Site> {
        self.sites.iter().copied().find(|site| site.name == name)
    }

    /// The number of that Region's site.
    pub fn id_of(&self, region: Region) -> Option<SiteId> {
        self.named(SiteName::Region(region)).map(|site| site.id)
    }

    /// The Region of that site, unless it is an edge or unknown.
    pub fn region_of(&self, id: SiteId) -> Option<Region> {
        self.site(id).and_then(|site| site.name.region())
    }

    /// The sites that are Regions, in the order of their numbers.
    pub fn regions(&self) -> impl Iterator<Item = (SiteId, Region)> + '_ {
        self.sites
            .iter()
            .filter_map(|site| Some((site.id, site.name.region()?)))
    }
}

impl FromStr for SiteName {
    type Err = UnknownSite;

    fn from_str(name: &str) -> Result<Self, UnknownSite> {
        if let Ok(region) = name.parse() {
            return Ok(SiteName::Region(region));
        }
        let number = name
            .strip_prefix("edge-")
            .and_then(|number| number.parse().ok());
        number
            .filter(|n| *n > 0)
            .map(SiteName::Edge)
            .ok_or(UnknownSite(name.to_owned()))
    }
}

impl fmt::Display for SiteName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SiteName::Region(region) => region.fmt(f),
            SiteName::Edge(number) => f.pad(&format!("edge-{number}")),
        }
    }
}

impl fmt::Debug for SiteName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

impl Serialize for SiteName {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for SiteName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(serde::de::Error::custom)
    }
}

//! AWS Regions by name. A Region isn't a string: only a name of the shipped table makes one.

use std::fmt;
use std::str::FromStr;
use std::sync::LazyLock;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::Coordinates;

/// The table of Regions; its source line stands at its head.
const TABLE: &str = include_str!("../../../data/region-coordinates.csv");

struct Row {
    name: &'static str,
    coordinates: Coordinates,
}

static ROWS: LazyLock<Vec<Row>> = LazyLock::new(|| {
    TABLE
        .lines()
        .filter(|line| !line.starts_with('#') && !line.starts_with("region,"))
        .map(|line| {
            let mut cells = line.split(',');
            let mut next = || cells.next().expect("the shipped table has three columns");
            let name = next();
            let mut degrees = || next().parse().expect("the shipped table holds numbers");
            let coordinates = Coordinates {
                latitude: degrees(),
                longitude: degrees(),
            };
            Row { name, coordinates }
        })
        .collect()
});

/// An AWS Region that Causeway knows, such as `us-east-1`. Ordered as the shipped table.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Region(u8);

/// The name is of no Region in the shipped table.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("there is no Region named '{0}'; `causeway places` lists those that exist")]
pub struct UnknownRegion(pub String);

impl Region {
    /// Every Region, in the order of the shipped table.
    pub fn all() -> impl Iterator<Item = Region> {
        (0..ROWS.len()).map(|row| Region(u8::try_from(row).expect("fewer than 256 Regions")))
    }

    /// The AWS name: `us-east-1`.
    pub fn name(self) -> &'static str {
        ROWS[usize::from(self.0)].name
    }

    /// Where it is, to about a metropolitan area.
    pub fn coordinates(self) -> Coordinates {
        ROWS[usize::from(self.0)].coordinates
    }
}

impl FromStr for Region {
    type Err = UnknownRegion;

    fn from_str(name: &str) -> Result<Self, UnknownRegion> {
        Region::all()
            .find(|region| region.name() == name)
            .ok_or(UnknownRegion(name.to_owned()))
    }
}

impl fmt::Display for Region {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl fmt::Debug for Region {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl Serialize for Region {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

impl<'de> Deserialize<'de> for Region {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = String::deserialize(deserializer)?;
        name.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_round_trip() {
        assert!(Region::all().count() > 30);
        for region in Region::all() {
            assert_eq!(region.name().parse::<Region>(), Ok(region));
        }
    }

    #[test]
    fn an_unknown_name_says_where_to_look() {
        let error = "eu-north-9".parse::<Region>().unwrap_err();
        assert!(error.to_string().contains("causeway places"), "{error}");
    }
}

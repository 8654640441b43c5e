//! Availability Zones: every Region has three, a to c. What runs in one can die apart from the
//! others. Names and ids only; nothing runs here.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::Region;

/// Which of a Region's Availability Zones.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ZoneLetter {
    /// The first.
    A,
    /// The second.
    B,
    /// The third.
    C,
}

/// An Availability Zone: `us-east-1a`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AvailabilityZone {
    /// Its Region.
    pub region: Region,
    /// Which of the Region's.
    pub letter: ZoneLetter,
}

/// The name is no Availability Zone's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("'{0}' is no Availability Zone: a Region has three, named as us-east-1a, -1b and -1c are")]
pub struct UnknownZone(pub String);

impl ZoneLetter {
    /// All of a Region, in order.
    pub const ALL: [ZoneLetter; 3] = [ZoneLetter::A, ZoneLetter::B, ZoneLetter::C];

    /// As the zone's name ends.
    pub fn letter(self) -> char {
        match self {
            ZoneLetter::A => 'a',
            ZoneLetter::B => 'b',
            ZoneLetter::C => 'c',
        }
    }

    /// Its place in the Region's order: 0 to 2.
    pub fn index(self) -> u8 {
        match self {
            ZoneLetter::A => 0,
            ZoneLetter::B => 1,
            ZoneLetter::C => 2,
        }
    }
}

impl AvailabilityZone {
    /// The zones of that Region, in order.
    pub fn of(region: Region) -> impl Iterator<Item = AvailabilityZone> {
        let zone = move |letter| AvailabilityZone { region, letter };
        ZoneLetter::ALL.into_iter().map(zone)
    }

    /// The id by which accounts tell each other of it: `use1-az1` (AWS General Reference,
    /// "Availability Zone IDs"). The Region's compass point is shortened to its letters.
    pub fn id(self) -> String {
        let mut parts = self.region.name().split('-');
        let (area, number) = (parts.next().unwrap_or(""), self.region.name());
        let number = number.rsplit('-').next().unwrap_or("");
        let points: String = parts.filter(|part| *part != number).map(compass).collect();
        format!("{area}{points}{number}-az{}", self.letter.index() + 1)
    }
}

/// The letters of a compass point: `southeast` is `se`, `central` is `c`.
fn compass(point: &str) -> String {
    let halves = ["north", "south", "east", "west", "central"];
    let mut rest = point;
    let mut letters = String::new();
    while let Some(half) = halves.iter().find(|half| rest.starts_with(**half)) {
        letters.push_str(&half[..1]);
        rest = &rest[half.len()..];
    }
    letters.push_str(rest);
    letters
}

impl fmt::Display for ZoneLetter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.letter())
    }
}

impl FromStr for ZoneLetter {
    type Err = UnknownZone;

    fn from_str(text: &str) -> Result<ZoneLetter, UnknownZone> {
        let is_named = |letter: &ZoneLetter| text.chars().eq([letter.letter()]);
        let found = ZoneLetter::ALL.into_iter().find(is_named);
        found.ok_or_else(|| UnknownZone(text.to_owned()))
    }
}

impl fmt::Display for AvailabilityZone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&format!("{}{}", self.region, self.letter))
    }
}

impl fmt::Debug for AvailabilityZone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for AvailabilityZone {
    type Err = UnknownZone;

    fn from_str(name: &str) -> Result<AvailabilityZone, UnknownZone> {
        let unknown = || UnknownZone(name.to_owned());
        let (at, _) = name.char_indices().next_back().ok_or_else(unknown)?;
        let (region, letter) = name.split_at(at);
        Ok(AvailabilityZone {
            region: region.parse().map_err(|_| unknown())?,
            letter: letter.parse().map_err(|_| unknown())?,
        })
    }
}

impl Serialize for AvailabilityZone {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for AvailabilityZone {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = String::deserialize(deserializer)?;
        name.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_as_they_are_written() {
        for region in Region::all() {
            for zone in AvailabilityZone::of(region) {
                assert_eq!(zone.to_string().parse(), Ok(zone));
            }
        }
        for wrong in [
            "",
            "us-east-1",
            "us-east-1d",
            "us-east-9a",
            "a",
            "us-east-1ä",
        ] {
            assert!(wrong.parse::<AvailabilityZone>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn ids_are_those_that_the_service_uses() {
        let cases = [
            ("us-east-1a", "use1-az1"),
            ("ap-southeast-2b", "apse2-az2"),
            ("eu-central-1c", "euc1-az3"),
            ("ap-northeast-1a", "apne1-az1"),
            ("sa-east-1a", "sae1-az1"),
            ("us-west-2b", "usw2-az2"),
        ];
        for (name, id) in cases {
            let zone: AvailabilityZone = name.parse().expect("it is a zone");
            assert_eq!(zone.id(), id);
        }
    }
}

//! Places in a write-ahead log, and where histories part.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A place in a write-ahead log, in bytes since its beginning; written as PostgreSQL writes it:
/// `0/16B3748`. Two are comparable only within one history.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Lsn(pub u64);

/// The text is no place in a write-ahead log.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("it is no place in a write-ahead log, such as 0/16B3748")]
pub struct InvalidLsn;

impl fmt::Display for Lsn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:X}/{:X}", self.0 >> 32, self.0 & 0xffff_ffff)
    }
}

impl fmt::Debug for Lsn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Lsn {
    type Err = InvalidLsn;

    fn from_str(text: &str) -> Result<Lsn, InvalidLsn> {
        let half = |text: &str| {
            let is_one =
                (1..=8).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_hexdigit());
            let read = u32::from_str_radix(text, 16).ok().filter(|_| is_one);
            read.map(u64::from).ok_or(InvalidLsn)
        };
        let (high, low) = text.split_once('/').ok_or(InvalidLsn)?;
        Ok(Lsn(half(high)? << 32 | half(low)?))
    }
}

impl Serialize for Lsn {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Lsn {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Lsn, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// Where a promoted server's history begins to be its own.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ForkPoint {
    /// The timeline that begins there.
    pub timeline: u32,
    /// The place, on the timeline before and on this one.
    pub lsn: Lsn,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_read_as_postgresql_writes_them() {
        let lsn: Lsn = "16/B374D848".parse().unwrap();
        assert_eq!(
            (lsn.0, lsn.to_string().as_str()),
            (0x16_b374_d848, "16/B374D848")
        );
        for text in ["", "0", "0/", "/1", "0/1/2", "+1/0", "0/123456789", "g/0"] {
            assert_eq!(text.parse::<Lsn>(), Err(InvalidLsn), "{text}");
        }
    }
}

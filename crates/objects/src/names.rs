//! Names of the field: buckets, keys, and the stamps that order versions and are their ids. Plain
//! values that can't be invalid; they store nothing.

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use types::{Hlc, SiteId, Timestamp, Version};

/// A key's longest length, in bytes of UTF-8 (S3 User Guide, "Naming Amazon S3 objects").
pub const LONGEST_KEY: usize = 1024;

/// A bucket's name: 3 to 63 lower-case letters, digits, dots and hyphens, as S3's rules for
/// general purpose buckets have them (S3 User Guide, "General purpose bucket naming rules").
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize)]
#[serde(transparent)]
pub struct BucketName(String);

/// The text is no name of a bucket.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("The specified bucket is not valid.")]
pub struct InvalidBucketName;

/// Prefixes that S3 keeps for itself.
const RESERVED_PREFIXES: [&str; 3] = ["xn--", "sthree-", "amzn-s3-demo-"];

/// Suffixes that S3 keeps for itself.
const RESERVED_SUFFIXES: [&str; 5] = ["-s3alias", "--ol-s3", ".mrap", "--x-s3", "--table-s3"];

impl BucketName {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// `arn:aws:s3:::NAME`.
    pub fn arn(&self) -> String {
        format!("arn:aws:s3:::{}", self.0)
    }
}

impl FromStr for BucketName {
    type Err = InvalidBucketName;

    fn from_str(text: &str) -> Result<BucketName, InvalidBucketName> {
        let bytes = text.as_bytes();
        let edge = |byte: &u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
        let inner = |byte: &u8| edge(byte) || matches!(byte, b'.' | b'-');
        let holds = (3..=63).contains(&bytes.len())
            && bytes.iter().all(inner)
            && bytes.first().is_some_and(edge)
            && bytes.last().is_some_and(edge)
            && !text.contains("..")
            && text.parse::<std::net::Ipv4Addr>().is_err()
            && !RESERVED_PREFIXES
                .iter()
                .any(|prefix| text.starts_with(prefix))
            && !RESERVED_SUFFIXES
                .iter()
                .any(|suffix| text.ends_with(suffix));
        match holds {
            true => Ok(BucketName(text.to_owned())),
            false => Err(InvalidBucketName),
        }
    }
}

impl fmt::Display for BucketName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for BucketName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<BucketName, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// Which bucket of that name: drawn when it is made, so that one made later under the same name
/// finds nothing of it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub struct BucketId(pub u64);

/// An object's key: 1 to 1024 bytes of UTF-8, any characters.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize)]
#[serde(transparent)]
pub struct ObjectKey(String);

/// The text is no key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidKey {
    /// It has no characters.
    #[error("a key has at least one character")]
    Empty,
    /// It has more than [`LONGEST_KEY`] bytes.
    #[error("Your key is too long")]
    TooLong,
}

impl ObjectKey {
    /// The key as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for ObjectKey {
    type Err = InvalidKey;

    fn from_str(text: &str) -> Result<ObjectKey, InvalidKey> {
        match text.len() {
            0 => Err(InvalidKey::Empty),
            length if length > LONGEST_KEY => Err(InvalidKey::TooLong),
            _ => Ok(ObjectKey(text.to_owned())),
        }
    }
}

impl fmt::Display for ObjectKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for ObjectKey {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<ObjectKey, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// What orders the versions of a key, everywhere alike: the hybrid time and the Region of the
/// write, then a number drawn at random. Its text is the version's id.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Stamp {
    /// When, and where.
    pub version: Version,
    /// Drawn at the write: ids can't be guessed from one another.
    pub random: u64,
}

/// The bytes of a stamp: time, site, random; big-endian, padded to the 24 bytes whose text has the
/// 32 characters of AWS's version ids.
const STAMP_BYTES: usize = 24;

impl Stamp {
    /// When the version was made: what is told as Last-Modified.
    pub fn last_modified(&self) -> Timestamp {
        self.version.time.wall()
    }

    /// Its bytes; their order is the stamps' order.
    pub fn to_bytes(self) -> [u8; STAMP_BYTES] {
        let mut bytes = [0; STAMP_BYTES];
        bytes[..8].copy_from_slice(&self.version.time.0.to_be_bytes());
        bytes[8..10].copy_from_slice(&self.version.site.0.to_be_bytes());
        bytes[10..18].copy_from_slice(&self.random.to_be_bytes());
        bytes
    }

    /// The stamp of those bytes, if they are one's.
    pub fn from_bytes(bytes: &[u8]) -> Option<Stamp> {
        let bytes: &[u8; STAMP_BYTES] = bytes.try_into().ok()?;
        if bytes[18..] != [0; 6] {
            return None;
        }
        let time = u64::from_be_bytes(bytes[..8].try_into().ok()?);
        let site = u16::from_be_bytes(bytes[8..10].try_into().ok()?);
        Some(Stamp {
            version: Version {
                time: Hlc(time),
                site: SiteId(site),
            },
            random: u64::from_be_bytes(bytes[10..18].try_into().ok()?),
        })
    }
}

impl fmt::Display for Stamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&URL_SAFE_NO_PAD.encode(self.to_bytes()))
    }
}

impl Serialize for Stamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Stamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Stamp, D::Error> {
        let text = String::deserialize(deserializer)?;
        let bytes = URL_SAFE_NO_PAD.decode(&text).ok();
        let stamp = bytes.as_deref().and_then(Stamp::from_bytes);
        stamp.ok_or_else(|| serde::de::Error::custom("no stamp of a version"))
    }
}

/// A version of an object as requests name it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum VersionId {
    /// The one made while the bucket wasn't versioned, or was suspended.
    Null,
    /// The one of that stamp.
    Stamp(Stamp),
}

/// The text is no version id that this deployment could have given out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("Invalid version id specified")]
pub struct InvalidVersionId;

impl FromStr for VersionId {
    type Err = InvalidVersionId;

    fn from_str(text: &str) -> Result<VersionId, InvalidVersionId> {
        if text == "null" {
            return Ok(VersionId::Null);
        }
        let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| InvalidVersionId)?;
        let stamp = Stamp::from_bytes(&bytes).ok_or(InvalidVersionId)?;
        Ok(VersionId::Stamp(stamp))
    }
}

impl fmt::Display for VersionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            VersionId::Null => f.write_str("null"),
            VersionId::Stamp(stamp) => stamp.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bucket_names_follow_the_rules() {
        for good in ["abc", "my-app-data-us-east-1", "a.b.c", "1a2"] {
            assert!(good.parse::<BucketName>().is_ok(), "{good}");
        }
        let long = "a".repeat(64);
        for bad in [
            "ab",
            &long,
            "Abc",
            "a_b",
            "-ab",
            "ab-",
            "a..b",
            "192.168.5.4",
            "xn--abc",
            "a-s3alias",
        ] {
            assert!(bad.parse::<BucketName>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_stamp_is_its_text_and_texts_order_nothing() {
        let stamp = |time, site| Stamp {
            version: Version {
                time: Hlc(time),
                site: SiteId(site),
            },
            random: 7,
        };
        let id = VersionId::Stamp(stamp(1, 2));
        let text = id.to_string();
        assert_eq!(text.len(), 32);
        assert_eq!(text.parse(), Ok(id));
        assert_eq!("null".parse(), Ok(VersionId::Null));
        assert!("nothing".parse::<VersionId>().is_err());
        assert!(stamp(1, 2).to_bytes() < stamp(1, 3).to_bytes());
        assert!(stamp(1, 3).to_bytes() < stamp(2, 1).to_bytes());
        assert!(stamp(1, 3) < stamp(2, 1));
    }

    #[test]
    fn a_key_has_1_to_1024_bytes() {
        assert_eq!("".parse::<ObjectKey>(), Err(InvalidKey::Empty));
        assert!("k".repeat(1024).parse::<ObjectKey>().is_ok());
        assert_eq!(
            "k".repeat(1025).parse::<ObjectKey>(),
            Err(InvalidKey::TooLong)
        );
    }
}

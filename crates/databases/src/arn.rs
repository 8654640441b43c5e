//! Amazon Resource Names of RDS: instances, clusters, snapshots and groups. Whoever has a name has
//! no right by it, and what it names need not exist.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use types::{AccountId, Region};

use crate::words::words;

/// How long a name in an ARN is at most, in bytes: option groups' and snapshots' are 255.
const MAX_NAME: usize = 255;

/// The text is not the name of such a thing.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("it is no Amazon Resource Name of RDS")]
pub struct InvalidArn;

words! {
    /// What an ARN names, as ARNs have it.
    pub enum Kind {
        /// A DB instance.
        Instance = "db",
        /// A DB cluster.
        Cluster = "cluster",
        /// A custom endpoint of a DB cluster.
        ClusterEndpoint = "cluster-endpoint",
        /// A manual DB snapshot.
        Snapshot = "snapshot",
        /// A DB subnet group.
        SubnetGroup = "subgrp",
        /// A DB parameter group.
        ParameterGroup = "pg",
        /// A DB cluster parameter group.
        ClusterParameterGroup = "cluster-pg",
        /// An option group.
        OptionGroup = "og",
    }
}

/// Any of them: `arn:aws:rds:us-east-1:111122223333:db:shop`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Arn {
    /// The Region of what it names.
    pub region: Region,
    /// Whose it is.
    pub account: AccountId,
    /// What kind of thing it is.
    pub kind: Kind,
    /// Its name, in small letters, one of its own in the Region, account and kind.
    pub name: String,
}

/// An instance's: `arn:aws:rds:us-east-1:111122223333:db:shop`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct InstanceArn {
    /// Its Region.
    pub region: Region,
    /// Whose it is.
    pub account: AccountId,
    /// Its `DBInstanceIdentifier`, in small letters.
    pub identifier: String,
}

/// A cluster's: `arn:aws:rds:us-east-1:111122223333:cluster:shop`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ClusterArn {
    /// Its Region.
    pub region: Region,
    /// Whose it is.
    pub account: AccountId,
    /// Its `DBClusterIdentifier`, in small letters.
    pub identifier: String,
}

/// A custom endpoint's: `arn:aws:rds:us-east-1:111122223333:cluster-endpoint:reports`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EndpointArn {
    /// Its Region.
    pub region: Region,
    /// Whose it is.
    pub account: AccountId,
    /// Its `DBClusterEndpointIdentifier`, in small letters.
    pub identifier: String,
}

/// A snapshot's: `arn:aws:rds:us-east-1:111122223333:snapshot:before-the-sale`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SnapshotArn {
    /// Its Region.
    pub region: Region,
    /// Whose it is.
    pub account: AccountId,
    /// Its `DBSnapshotIdentifier`, in small letters.
    pub identifier: String,
}

/// A subnet, parameter or option group's.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GroupArn {
    /// Its Region.
    pub region: Region,
    /// Whose it is.
    pub account: AccountId,
    /// Which kind of group.
    pub kind: Kind,
    /// Its name, in small letters.
    pub name: String,
}

impl fmt::Display for Arn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (region, account) = (self.region, self.account);
        write!(
            f,
            "arn:aws:rds:{region}:{account}:{}:{}",
            self.kind, self.name
        )
    }
}

impl FromStr for Arn {
    type Err = InvalidArn;

    fn from_str(text: &str) -> Result<Arn, InvalidArn> {
        let rest = text.strip_prefix("arn:aws:rds:").ok_or(InvalidArn)?;
        let mut fields = rest.splitn(4, ':');
        let mut field = || fields.next().ok_or(InvalidArn);
        let region = field()?.parse().map_err(|_| InvalidArn)?;
        let account = field()?.parse().map_err(|_| InvalidArn)?;
        let kind = Kind::of_name(field()?).ok_or(InvalidArn)?;
        let name = field()?;
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-._:".contains(&byte);
        if !(1..=MAX_NAME).contains(&name.len()) || !name.bytes().all(allowed) {
            return Err(InvalidArn);
        }
        Ok(Arn {
            region,
            account,
            kind,
            name: name.to_ascii_lowercase(),
        })
    }
}

macro_rules! of_one_kind {
    ($($name:ident is $kind:ident)+) => {$(
        impl From<&$name> for Arn {
            fn from(arn: &$name) -> Arn {
                Arn {
                    region: arn.region,
                    account: arn.account,
                    kind: Kind::$kind,
                    name: arn.identifier.clone(),
                }
            }
        }

        impl TryFrom<Arn> for $name {
            type Error = InvalidArn;

            fn try_from(arn: Arn) -> Result<$name, InvalidArn> {
                let is_one = arn.kind == Kind::$kind;
                let made = $name {
                    region: arn.region,
                    account: arn.account,
                    identifier: arn.name,
                };
                is_one.then_some(made).ok_or(InvalidArn)
            }
        }
    )+};
}

of_one_kind! {
    InstanceArn is Instance
    ClusterArn is Cluster
    EndpointArn is ClusterEndpoint
    SnapshotArn is Snapshot
}

impl From<&GroupArn> for Arn {
    fn from(arn: &GroupArn) -> Arn {
        Arn {
            region: arn.region,
            account: arn.account,
            kind: arn.kind,
            name: arn.name.clone(),
        }
    }
}

impl TryFrom<Arn> for GroupArn {
    type Error = InvalidArn;

    fn try_from(arn: Arn) -> Result<GroupArn, InvalidArn> {
        let groups = [
            Kind::SubnetGroup,
            Kind::ParameterGroup,
            Kind::ClusterParameterGroup,
            Kind::OptionGroup,
        ];
        let is_one = groups.contains(&arn.kind);
        let made = GroupArn {
            region: arn.region,
            account: arn.account,
            kind: arn.kind,
            name: arn.name,
        };
        is_one.then_some(made).ok_or(InvalidArn)
    }
}

macro_rules! as_text {
    ($($name:ident)+) => {$(
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                Arn::from(self).fmt(f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }

        impl FromStr for $name {
            type Err = InvalidArn;

            fn from_str(text: &str) -> Result<$name, InvalidArn> {
                text.parse::<Arn>()?.try_into()
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = String::deserialize(deserializer)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
    )+};
}

as_text! { InstanceArn ClusterArn EndpointArn SnapshotArn GroupArn }

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_as_they_are_written() {
        for text in [
            "arn:aws:rds:us-east-1:111122223333:db:shop",
            "arn:aws:rds:eu-west-1:111122223333:snapshot:a-1",
            "arn:aws:rds:eu-west-1:111122223333:pg:default.postgres15",
            "arn:aws:rds:eu-west-1:111122223333:og:default:postgres-15",
        ] {
            let read = text.parse::<Arn>().map(|arn| arn.to_string());
            assert_eq!(read, Ok(text.to_owned()));
        }
        let upper = "arn:aws:rds:us-east-1:111122223333:db:Shop";
        let arn: InstanceArn = upper.parse().unwrap();
        assert_eq!(arn.identifier, "shop");
    }

    #[test]
    fn what_is_no_such_name_is_refused() {
        for text in [
            "",
            "shop",
            "arn:aws:rds:us-east-1:111122223333:db:",
            "arn:aws:rds:us-east-1:111122223333:cluster-snapshot:shop",
            "arn:aws:rds:us-east-9:111122223333:db:shop",
            "arn:aws:rds:us-east-1:1:db:shop",
            "arn:aws:rds:us-east-1:111122223333:db:a/../b",
        ] {
            assert_eq!(text.parse::<Arn>(), Err(InvalidArn), "{text}");
        }
        let snapshot = "arn:aws:rds:us-east-1:111122223333:snapshot:a";
        assert_eq!(snapshot.parse::<InstanceArn>(), Err(InvalidArn));
    }
}

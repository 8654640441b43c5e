//! A table's descriptor: its names, keys, indexes and settings, and how it is written to disk.
//!
//! Plain data. It refuses to read a descriptor that a newer Causeway wrote, and judges no
//! request: `operations/create_table.rs` does that before a descriptor exists.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use types::{AccountId, Region, Timestamp};

use crate::resource_policy::ResourcePolicy;
use crate::resources::table_arn;
use crate::{Group, SettingStamps, TableName};

/// The first byte of a stored descriptor: its format version. In version 1 there are no stamps of
/// settings; in version 2 no account, which is the first one's, and no policy. What needs no
/// more than version 2 is written so.
pub const DESCRIPTOR_FORMAT: u8 = 3;

/// The version that tables of the first account without a policy are written in.
const PLAIN_FORMAT: u8 = 2;

/// A Region's own number for a table. Never reused, so a table made under an old name inherits
/// nothing of it. Replicas of one table have different numbers in different Regions.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub struct TableId(pub u64);

/// The number of an index within its table, from 1. Never reused within that table.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub struct IndexId(pub u32);

/// The types a key attribute can have (`ScalarAttributeType`).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
pub enum ScalarType {
    /// `S`.
    #[serde(rename = "S")]
    String,
    /// `N`.
    #[serde(rename = "N")]
    Number,
    /// `B`.
    #[serde(rename = "B")]
    Binary,
}

/// A key attribute: its name and the type its values must have.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct KeyAttribute {
    /// The attribute's name, 1 to 255 bytes.
    pub name: String,
    /// Its type.
    pub kind: ScalarType,
}

/// The primary key of a table or an index.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct KeySchema {
    /// The partition key (`HASH`).
    pub partition: KeyAttribute,
    /// The sort key (`RANGE`), if there is one.
    pub sort: Option<KeyAttribute>,
}

/// What a query on an index sees of an item, beside the keys of table and index.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum IndexProjection {
    /// Every attribute.
    All,
    /// The keys only.
    KeysOnly,
    /// The keys and these attributes.
    Include(Vec<String>),
}

/// Which kind of index.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum IndexKind {
    /// Any key; read with eventual consistency only.
    Global,
    /// The table's partition key with another sort key.
    Local,
}

/// A secondary index.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Index {
    /// Its number.
    pub id: IndexId,
    /// Its name.
    pub name: String,
    /// Its kind.
    pub kind: IndexKind,
    /// Its key. An item without these attributes is not in the index.
    pub schema: KeySchema,
    /// What it shows.
    pub projection: IndexProjection,
    /// Its provisioned capacity, if the table's is provisioned. Described, never enforced.
    pub throughput: Option<Throughput>,
}

/// Provisioned capacity. Described and never enforced.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Throughput {
    /// Read capacity units, 1 or more.
    pub read: u64,
    /// Write capacity units, 1 or more.
    pub write: u64,
}

/// How a table is paid for.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Billing {
    /// `PAY_PER_REQUEST`, since then.
    OnDemand(Timestamp),
    /// `PROVISIONED`.
    Provisioned(Throughput),
}

/// The storage class. Described only.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum TableClass {
    /// `STANDARD`.
    #[serde(rename = "STANDARD")]
    Standard,
    /// `STANDARD_INFREQUENT_ACCESS`.
    #[serde(rename = "STANDARD_INFREQUENT_ACCESS")]
    InfrequentAccess,
}

/// The stream of a table. Described only: the Streams API is not built.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Stream {
    /// `StreamViewType` as the API spells it.
    pub view: String,
    /// Is it on?
    pub enabled: bool,
    /// `LatestStreamLabel`: when it was last enabled, as an ISO 8601 time.
    pub label: String,
}

/// Where in its life a table is, in this Region.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Phase {
    /// A replica that is still receiving its first copy. Answers `DescribeTable` only.
    Creating,
    /// In service.
    Active,
    /// Deleted: its name is free, its items are being purged.
    Dropped,
    /// Deleted and purged; kept only while its group must still be told.
    Purged,
}

/// Everything a Region knows of one of its tables.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Table {
    /// Its number in this Region.
    pub id: TableId,
    /// The account that owns it.
    #[serde(default = "first_account", skip_serializing_if = "is_first")]
    pub account: AccountId,
    /// Its name, 3 to 255 characters.
    pub name: String,
    /// `TableId` as the API shows it: a UUID.
    pub uuid: String,
    /// When it was made in this Region.
    pub created: Timestamp,
    /// Where in its life it is.
    pub phase: Phase,
    /// Its primary key.
    pub schema: KeySchema,
    /// `AttributeDefinitions`, in the order they were given.
    pub attributes: Vec<KeyAttribute>,
    /// Its indexes, in the order they were given.
    pub indexes: Vec<Index>,
    /// How it is paid for.
    pub billing: Billing,
    /// `DeletionProtectionEnabled`.
    pub deletion_protection: bool,
    /// Its storage class, if one was ever named.
    pub class: Option<TableClass>,
    /// Its stream, if it ever had one.
    pub stream: Option<Stream>,
    /// Its tags.
    pub tags: BTreeMap<String, String>,
    /// The global table it is a replica of.
    pub group: Option<Group>,
    /// When the settings that replicas share were changed.
    #[serde(default)]
    pub settings: SettingStamps,
    /// Its resource policy. Each replica has its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy: Option<ResourcePolicy>,
}

/// The account of what was stored or sent without one.
pub(crate) fn first_account() -> AccountId {
    AccountId::LAB
}

/// Is it the account that needn't be said?
pub(crate) fn is_first(account: &AccountId) -> bool {
    *account == AccountId::LAB
}

/// A stored descriptor can't be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DescriptorError {
    /// A newer Causeway wrote it.
    #[error("a table descriptor has format version {0}; this binary understands up to 3")]
    Newer(u8),
    /// Its bytes make no sense.
    #[error("a table descriptor is corrupt: {0}")]
    Corrupt(String),
}

impl Table {
    /// The descriptor as stored: a format byte, then JSON.
    pub fn encode(&self) -> Bytes {
        let plain = is_first(&self.account) && self.policy.is_none();
        let mut bytes = vec![if plain {
            PLAIN_FORMAT
        } else {
            DESCRIPTOR_FORMAT
        }];
        serde_json::to_writer(&mut bytes, self).expect("a descriptor has string keys only");
        Bytes::from(bytes)
    }

    /// The descriptor that `encode` wrote.
    pub fn decode(bytes: &[u8]) -> Result<Table, DescriptorError> {
        match bytes.split_first() {
            None => Err(DescriptorError::Corrupt("it is empty".to_owned())),
            Some((1..=DESCRIPTOR_FORMAT, json)) => serde_json::from_slice(json)
                .map_err(|error| DescriptorError::Corrupt(error.to_string())),
            Some((format, _)) => Err(DescriptorError::Newer(*format)),
        }
    }

    /// `TableArn` in that Region.
    pub fn arn(&self, region: Region) -> String {
        table_arn(region, &self.full_name())
    }

    /// Its name and whose it is.
    pub fn full_name(&self) -> TableName {
        TableName::new(self.account, self.name.as_str())
    }

    /// The text of its resource policy.
    pub fn policy_document(&self) -> Option<&str> {
        self.policy.as_ref().map(|policy| policy.document.as_str())
    }

    /// Is its name taken: does `DescribeTable` find it?
    pub fn is_live(&self) -> bool {
        matches!(self.phase, Phase::Creating | Phase::Active)
    }

    /// The index of that name.
    pub fn index(&self, name: &str) -> Option<&Index> {
        self.indexes.iter().find(|index| index.name == name)
    }

    /// The names of every attribute that is part of the key of the table or of an index.
    pub fn key_names(&self) -> BTreeSet<&str> {
        let indexes = self.indexes.iter().map(|index| &index.schema);
        std::iter::once(&self.schema)
            .chain(indexes)
            .flat_map(KeySchema::attributes)
            .map(|attribute| attribute.name.as_str())
            .collect()
    }
}

impl Index {
    /// Does a query on it see that attribute of an item of `table`?
    pub fn shows(&self, table: &Table, attribute: &str) -> bool {
        match &self.projection {
            IndexProjection::All => true,
            IndexProjection::KeysOnly => self.is_key(table, attribute),
            IndexProjection::Include(names) => {
                names.iter().any(|name| name == attribute) || self.is_key(table, attribute)
            }
        }
    }

    fn is_key(&self, table: &Table, attribute: &str) -> bool {
        self.schema.names(attribute) || table.schema.names(attribute)
    }
}

impl KeySchema {
    /// Its attributes: the partition key, then the sort key.
    pub fn attributes(&self) -> impl Iterator<Item = &KeyAttribute> {
        std::iter::once(&self.partition).chain(&self.sort)
    }

    /// Is that attribute part of it?
    pub fn names(&self, attribute: &str) -> bool {
        self.attributes().any(|key| key.name == attribute)
    }
}

impl ScalarType {
    /// The letter the API uses: `S`, `N` or `B`.
    pub fn letter(self) -> &'static str {
        match self {
            ScalarType::String => "S",
            ScalarType::Number => "N",
            ScalarType::Binary => "B",
        }
    }
}

impl TableClass {
    /// The name the API uses.
    pub fn name(self) -> &'static str {
        match self {
            TableClass::Standard => "STANDARD",
            TableClass::InfrequentAccess => "STANDARD_INFREQUENT_ACCESS",
        }
    }
}

impl fmt::Display for TableId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A table named `name` with partition key `id` (S) and no more.
    pub(crate) fn plain(id: u64, name: &str) -> Table {
        let partition = KeyAttribute {
            name: "id".to_owned(),
            kind: ScalarType::String,
        };
        Table {
            id: TableId(id),
            account: AccountId::LAB,
            name: name.to_owned(),
            uuid: "00000000-0000-4000-8000-000000000001".to_owned(),
            created: Timestamp(1000),
            phase: Phase::Active,
            schema: KeySchema {
                partition: partition.clone(),
                sort: None,
            },
            attributes: vec![partition],
            indexes: Vec::new(),
            billing: Billing::OnDemand(Timestamp(1000)),
            deletion_protection: false,
            class: None,
            stream: None,
            tags: BTreeMap::new(),
            group: None,
            settings: SettingStamps::default(),
            policy: None,
        }
    }

    /// The bytes on disk: a change here needs a new format version.
    const GOLDEN: &str = concat!(
        "\u{2}",
        r#"{"id":7,"name":"Orders","uuid":"00000000-0000-4000-8000-000000000001","#,
        r#""created":1000,"phase":"Active","#,
        r#""schema":{"partition":{"name":"id","kind":"S"},"sort":null},"#,
        r#""attributes":[{"name":"id","kind":"S"}],"indexes":[],"#,
        r#""billing":{"OnDemand":1000},"deletion_protection":false,"class":null,"#,
        r#""stream":null,"tags":{},"group":null,"#,
        r#""settings":{"billing":null,"class":null}}"#
    );

    #[test]
    fn a_descriptor_has_these_bytes() {
        let table = plain(7, "Orders");
        assert_eq!(table.encode(), GOLDEN.as_bytes());
        assert_eq!(Table::decode(GOLDEN.as_bytes()), Ok(table.clone()));
        // Version 1 had no stamps, and is read on.
        let first = GOLDEN.replace('\u{2}', "\u{1}");
        let first = first.replace(r#","settings":{"billing":null,"class":null}"#, "");
        assert_eq!(Table::decode(first.as_bytes()), Ok(table));
    }

    #[test]
    fn an_account_and_a_policy_take_version_3() {
        let other: AccountId = "444455556666".parse().unwrap();
        let policy = ResourcePolicy {
            document: "{}".to_owned(),
            revision: "1795000000000".to_owned(),
        };
        let table = Table {
            account: other,
            policy: Some(policy),
            ..plain(7, "Orders")
        };
        let golden = GOLDEN.replace('\u{2}', "\u{3}");
        let golden = golden.replace(r#""id":7,"#, r#""id":7,"account":"444455556666","#);
        let golden = golden.replace(
            r#""class":null}}"#,
            r#""class":null},"policy":{"document":"{}","revision":"1795000000000"}}"#,
        );
        assert_eq!(table.encode(), golden.as_bytes());
        assert_eq!(Table::decode(golden.as_bytes()), Ok(table));
    }

    #[test]
    fn a_newer_or_damaged_descriptor_is_refused() {
        assert_eq!(Table::decode(b"\x04{}"), Err(DescriptorError::Newer(4)));
        assert!(matches!(
            Table::decode(b"\x01{"),
            Err(DescriptorError::Corrupt(_))
        ));
        assert!(matches!(
            Table::decode(b""),
            Err(DescriptorError::Corrupt(_))
        ));
    }
}

//! What one Region's tables say to another's, in bytes. Every record begins with its format
//! version and its kind. Decoding checks every length before it allocates and refuses what it
//! doesn't know: a peer that sends rubbish gets an error, never a panic.

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use types::{AccountId, Hlc, SiteId, Version};

use super::group::{Group, GroupId};
use super::shared::SettingStamps;
use crate::table::{first_account, is_first};
use crate::{
    Billing, CodecError, Index, KeyAttribute, KeySchema, State, TableClass, decode_state,
    encode_state,
};

/// The first byte of a record: its format version.
pub const RECORD_FORMAT: u8 = 1;

/// The format of a table's record that says whose the table is. Those of the deployment's first
/// account are said in format 1, which has no accounts.
pub const OWNED_FORMAT: u8 = 2;

/// Longest record in bytes. An item has at most 400 KB, measured as the service measures it;
/// its encoding adds less than as much again.
pub const MAX_RECORD: usize = 1024 * 1024;

/// Longest item key in bytes: hash, partition key of 2048 and sort key of 1024 bytes, of which
/// each byte may take two (escapes), and terminators.
pub const MAX_KEY: usize = 4 + 2 * (2048 + 1024) + 16;

const ITEM: u8 = 1;
const COPY: u8 = 2;
const COPY_DONE: u8 = 3;
const TABLE: u8 = 4;

/// A record for a peer.
#[derive(Clone, PartialEq, Debug)]
pub enum Record {
    /// The state of an item.
    Item {
        /// Of which global table.
        group: GroupId,
        /// Its key without the table's number, which differs between Regions.
        key: Bytes,
        /// The state. Stamped by the sender, unless it is a copy.
        state: State,
        /// Part of a new replica's first copy: it may be stamped by any site.
        copy: bool,
    },
    /// Everything there was to copy has been sent.
    CopyDone {
        /// Of which global table.
        group: GroupId,
        /// Which membership of the receiver: the stamp with which it began.
        joined: Version,
    },
    /// Who takes part in a global table, and what a new replica needs in order to be made.
    Table(Box<TableRecord>),
}

/// A global table: what its replicas have in common.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TableRecord {
    /// The account that owns it.
    #[serde(default = "first_account", skip_serializing_if = "is_first")]
    pub account: AccountId,
    /// Its name.
    pub name: String,
    /// Its primary key.
    pub schema: KeySchema,
    /// `AttributeDefinitions`.
    pub attributes: Vec<KeyAttribute>,
    /// Its indexes.
    pub indexes: Vec<Index>,
    /// How it is paid for.
    pub billing: Billing,
    /// Its storage class, if one was named.
    pub class: Option<TableClass>,
    /// The view type of its stream.
    pub stream_view: Option<String>,
    /// When the shared ones of these settings were changed.
    #[serde(default)]
    pub settings: SettingStamps,
    /// Its members.
    pub group: Group,
}

/// Bytes that are no record.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RecordError {
    /// A newer Causeway made it.
    #[error("a record has format version {0}; this binary understands up to 2")]
    Newer(u8),
    /// None of the kinds.
    #[error("a record is of unknown kind {0}")]
    Kind(u8),
    /// It is longer than any record may be.
    #[error("a record of {0} bytes is longer than the limit")]
    Long(usize),
    /// It ends too early.
    #[error("a record is cut short")]
    Short,
    /// Something follows its end, or a length makes no sense.
    #[error("a record's lengths make no sense")]
    Lengths,
    /// Its state is none.
    #[error("a record's state makes no sense: {0}")]
    State(#[from] CodecError),
    /// Its state claims to have seen what is newer than itself.
    #[error("the header of a record's state breaks its law")]
    Header,
    /// Its table is none.
    #[error("a record's table makes no sense: {0}")]
    Table(String),
}

impl Record {
    /// The record's bytes.
    pub fn encode(&self) -> Bytes {
        match self {
            Record::Item {
                group,
                key,
                state,
                copy,
            } => encode_item(*group, key, &encode_state(state), *copy),
            Record::CopyDone { group, joined } => {
                let mut out = vec![RECORD_FORMAT, COPY_DONE];
                out.extend_from_slice(&group.0.to_be_bytes());
                out.extend_from_slice(&joined.time.0.to_be_bytes());
                out.extend_from_slice(&joined.site.0.to_be_bytes());
                Bytes::from(out)
            }
            Record::Table(table) => {
                let format = if is_first(&table.account) {
                    RECORD_FORMAT
                } else {
                    OWNED_FORMAT
                };
                let mut out = vec![format, TABLE];
                serde_json::to_writer(&mut out, table).expect("a table record has string keys");
                Bytes::from(out)
            }
        }
    }

    /// The record that `encode` wrote.
    pub fn decode(bytes: &[u8]) -> Result<Record, RecordError> {
        if bytes.len() > MAX_RECORD {
            return Err(RecordError::Long(bytes.len()));
        }
        let (format, rest) = bytes.split_first().ok_or(RecordError::Short)?;
        if !matches!(*format, RECORD_FORMAT | OWNED_FORMAT) {
            return Err(RecordError::Newer(*format));
        }
        let (kind, rest) = rest.split_first().ok_or(RecordError::Short)?;
        if *format == OWNED_FORMAT && *kind != TABLE {
            return Err(RecordError::Kind(*kind));
        }
        match *kind {
            ITEM => decode_item(rest, false),
            COPY => decode_item(rest, true),
            COPY_DONE => {
                let (group, rest) = take_group(rest)?;
                let joined = decode_version(rest)?;
                Ok(Record::CopyDone { group, joined })
            }
            TABLE => decode_table(rest, *format == OWNED_FORMAT),
            unknown => Err(RecordError::Kind(unknown)),
        }
    }

    /// The greatest version in it: what its sender's clock must have reached.
    pub fn newest(&self) -> Option<Version> {
        match self {
            Record::Item { state, .. } => Some(state.dot),
            Record::CopyDone { .. } => None,
            Record::Table(table) => {
                let members = table.group.members.values();
                let newest = members.flat_map(|m| [m.stamp, m.joined]).max();
                newest.max(table.settings.newest())
            }
        }
    }
}

/// An item's record from its stored state, which needn't be decoded for that.
pub fn encode_item(group: GroupId, key: &[u8], state: &[u8], copy: bool) -> Bytes {
    let length = u16::try_from(key.len()).expect("keys are shorter than MAX_KEY");
    let mut out = Vec::with_capacity(20 + key.len() + state.len());
    out.extend_from_slice(&[RECORD_FORMAT, if copy { COPY } else { ITEM }]);
    out.extend_from_slice(&group.0.to_be_bytes());
    out.extend_from_slice(&length.to_be_bytes());
    out.extend_from_slice(key);
    out.extend_from_slice(state);
    Bytes::from(out)
}

fn decode_item(bytes: &[u8], copy: bool) -> Result<Record, RecordError> {
    let (group, rest) = take_group(bytes)?;
    let (length, rest) = rest.split_first_chunk().ok_or(RecordError::Short)?;
    let length = usize::from(u16::from_be_bytes(*length));
    if length == 0 || length > MAX_KEY {
        return Err(RecordError::Lengths);
    }
    let (key, state) = rest.split_at_checked(length).ok_or(RecordError::Short)?;
    let state = decode_state(state)?;
    if !state.is_lawful() {
        return Err(RecordError::Header);
    }
    Ok(Record::Item {
        group,
        key: Bytes::copy_from_slice(key),
        state,
        copy,
    })
}

fn decode_table(bytes: &[u8], owned: bool) -> Result<Record, RecordError> {
    let table: TableRecord =
        serde_json::from_slice(bytes).map_err(|error| RecordError::Table(error.to_string()))?;
    if is_first(&table.account) == owned {
        return Err(RecordError::Table(
            "its account isn't of its format".to_owned(),
        ));
    }
    Ok(Record::Table(Box::new(table)))
}

fn decode_version(bytes: &[u8]) -> Result<Version, RecordError> {
    let (time, site) = bytes.split_first_chunk().ok_or(RecordError::Short)?;
    let site = site.try_into().map_err(|_| RecordError::Lengths)?;
    Ok(Version {
        time: Hlc(u64::from_be_bytes(*time)),
        site: SiteId(u16::from_be_bytes(site)),
    })
}

fn take_group(bytes: &[u8]) -> Result<(GroupId, &[u8]), RecordError> {
    let (id, rest) = bytes.split_first_chunk().ok_or(RecordError::Short)?;
    Ok((GroupId(u128::from_be_bytes(*id)), rest))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use types::Timestamp;

    use super::*;
    use crate::{Content, ScalarType};

    fn version(time: u64, site: u16) -> Version {
        Version {
            time: Hlc(time),
            site: SiteId(site),
        }
    }

    fn table() -> TableRecord {
        let partition = KeyAttribute {
            name: "id".to_owned(),
            kind: ScalarType::String,
        };
        TableRecord {
            account: AccountId::LAB,
            name: "Orders".to_owned(),
            schema: KeySchema {
                partition: partition.clone(),
                sort: None,
            },
            attributes: vec![partition],
            indexes: Vec::new(),
            billing: Billing::OnDemand(Timestamp(9)),
            class: None,
            stream_view: Some("NEW_IMAGE".to_owned()),
            settings: SettingStamps {
                billing: Some(version(6, 2)),
                class: None,
            },
            group: Group::new(GroupId(7), SiteId(1), version(5, 1)),
        }
    }

    fn every_kind() -> Vec<(Record, Vec<u8>)> {
        let group = GroupId(7);
        let id = [&[0; 15][..], &[7]].concat();
        let state = State::next(None, version(0x0102, 3), Content::Tombstone);
        let stored = b"\x01\0\0\0\0\0\0\x01\x02\0\x03\x01\0\0\0\0\0\0\x01\x02\0\x03\0";
        let item = |copy| Record::Item {
            group,
            key: Bytes::from_static(b"key"),
            state: state.clone(),
            copy,
        };
        let joined = version(4, 1);
        let json = concat!(
            r#"{"name":"Orders","schema":{"partition":{"name":"id","kind":"S"},"sort":null},"#,
            r#""attributes":[{"name":"id","kind":"S"}],"indexes":[],"billing":{"OnDemand":9},"#,
            r#""class":null,"stream_view":"NEW_IMAGE","#,
            r#""settings":{"billing":{"time":6,"site":2},"class":null},"#,
            r#""group":{"id":"00000000000000000000000000000007","members":{"1":"#,
            r#"{"stamp":{"time":5,"site":1},"phase":"Active","joined":{"time":5,"site":1},"#,
            r#""source":1,"refused":false}}}}"#
        );
        let owned = TableRecord {
            account: "444455556666".parse().unwrap(),
            ..table()
        };
        let owned_json = json.replacen('{', r#"{"account":"444455556666","#, 1);
        vec![
            (
                item(false),
                [b"\x01\x01", &id[..], b"\0\x03key", stored].concat(),
            ),
            (
                item(true),
                [b"\x01\x02", &id[..], b"\0\x03key", stored].concat(),
            ),
            (
                Record::CopyDone { group, joined },
                [b"\x01\x03", &id[..], b"\0\0\0\0\0\0\0\x04\0\x01"].concat(),
            ),
            (
                Record::Table(Box::new(table())),
                [b"\x01\x04", json.as_bytes()].concat(),
            ),
            (
                Record::Table(Box::new(owned)),
                [b"\x02\x04", owned_json.as_bytes()].concat(),
            ),
        ]
    }

    #[test]
    fn records_have_these_bytes() {
        for (record, golden) in every_kind() {
            assert_eq!(record.encode(), golden, "{record:?}");
            assert_eq!(Record::decode(&golden), Ok(record));
        }
    }

    #[test]
    fn a_record_of_another_format_or_kind_is_refused() {
        assert_eq!(Record::decode(b"\x03\x01"), Err(RecordError::Newer(3)));
        assert_eq!(Record::decode(b"\x02\x01"), Err(RecordError::Kind(1)));
        let (_, first) = every_kind().swap_remove(3);
        let first = [b"\x02", &first[1..]].concat();
        assert!(matches!(Record::decode(&first), Err(RecordError::Table(_))));
        assert_eq!(Record::decode(b"\x01\x09"), Err(RecordError::Kind(9)));
        let long = vec![1; MAX_RECORD + 1];
        assert_eq!(
            Record::decode(&long),
            Err(RecordError::Long(MAX_RECORD + 1))
        );
    }

    #[test]
    fn a_table_nested_without_end_is_refused() {
        let deep = [b"\x01\x04", "[".repeat(100_000).as_bytes()].concat();
        assert!(matches!(Record::decode(&deep), Err(RecordError::Table(_))));
    }

    proptest! {
        #[test]
        fn rubbish_never_panics(
            kind in 0u8..6,
            bytes in prop::collection::vec(any::<u8>(), 0..128)
        ) {
            let _ = Record::decode(&bytes);
            let _ = Record::decode(&[&[RECORD_FORMAT, kind][..], &bytes].concat());
        }

        #[test]
        fn a_damaged_record_is_refused_or_another_record(
            which in 0usize..3, at in any::<prop::sample::Index>(), flip in 1u8..,
            cut in any::<prop::sample::Index>()
        ) {
            let (record, golden) = every_kind().swap_remove(which);
            let mut damaged = golden.clone();
            let at = at.index(damaged.len());
            damaged[at] ^= flip;
            if let Ok(decoded) = Record::decode(&damaged) {
                prop_assert_ne!(decoded, record);
            }
            prop_assert!(Record::decode(&golden[..cut.index(golden.len())]).is_err());
        }
    }
}

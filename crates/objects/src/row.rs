//! Rows of versions and of conflicts as bytes: a format's number, then what it holds. A
//! row of a newer format is refused by name; a damaged one is an error and never a guess.

use bytes::Bytes;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use types::Timestamp;

use crate::{ObjectData, ObjectError, ObjectVersion, Stamp};

/// The format of all rows in JSON, but for those of versions that were amended.
const FORMAT: u8 = 1;

/// The format of a version's row that was amended since each of tags, list, retention and legal
/// hold has a stamp of its own. In the first, one stamp stood for all; those rows are read still.
const AMENDED: u8 = 2;

/// The second byte of an object's row.
const OBJECT: u8 = b'O';

/// The second byte of a delete marker's row, so that a listing skips it unread.
const DELETE_MARKER: u8 = b'D';

/// Room that most rows of versions fit into.
const USUAL_LENGTH: usize = 640;

impl ObjectVersion {
    /// Its row.
    pub fn encode(&self) -> Bytes {
        let mut row = Vec::with_capacity(USUAL_LENGTH);
        let amended = |object: &ObjectData| !object.amended.is_never();
        row.push(match self.object().is_some_and(amended) {
            true => AMENDED,
            false => FORMAT,
        });
        row.push(match self.is_delete_marker() {
            true => DELETE_MARKER,
            false => OBJECT,
        });
        serde_json::to_writer(&mut row, self).expect("a version has text for keys");
        Bytes::from(row)
    }

    /// The version of that row.
    ///
    /// # Errors
    /// `Internal`: it is no version's, or of a format that this binary doesn't know.
    pub fn decode(row: &[u8]) -> Result<ObjectVersion, ObjectError> {
        let rest = body("a version", row, AMENDED)?;
        let json = rest.get(1..).unwrap_or_default();
        read("a version", json)
    }
}

/// Is that row, of a version, a delete marker's? It looks at two bytes.
pub fn is_delete_marker(row: &[u8]) -> bool {
    row.get(1) == Some(&DELETE_MARKER)
}

/// A "current" version that lost to a concurrent one: the ledger's row.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Conflict {
    /// The version that is current instead.
    pub winner: Stamp,
    /// When this Region found it.
    pub found: Timestamp,
}

impl Conflict {
    /// Its row.
    pub fn encode(&self) -> Bytes {
        encode(self)
    }

    /// The conflict of that row.
    ///
    /// # Errors
    /// As [`ObjectVersion::decode`].
    pub fn decode(row: &[u8]) -> Result<Conflict, ObjectError> {
        decode("a conflict", row)
    }
}

/// A row in JSON.
pub(crate) fn encode(value: &impl Serialize) -> Bytes {
    let mut row = vec![FORMAT];
    serde_json::to_writer(&mut row, value).expect("rows have text for keys");
    Bytes::from(row)
}

/// What is in such a row.
///
/// # Errors
/// As [`ObjectVersion::decode`].
pub(crate) fn decode<T: DeserializeOwned>(what: &str, row: &[u8]) -> Result<T, ObjectError> {
    read(what, body(what, row, FORMAT)?)
}

/// What follows the format, which is one up to `newest`.
fn body<'a>(what: &str, row: &'a [u8], newest: u8) -> Result<&'a [u8], ObjectError> {
    match row {
        [format, rest @ ..] if (FORMAT..=newest).contains(format) => Ok(rest),
        [format, ..] => Err(unreadable(
            what,
            &format!("format {format}; this binary understands up to {newest}"),
        )),
        [] => Err(unreadable(what, "it is empty")),
    }
}

fn read<T: DeserializeOwned>(what: &str, json: &[u8]) -> Result<T, ObjectError> {
    serde_json::from_slice(json).map_err(|error| unreadable(what, &error.to_string()))
}

fn unreadable(what: &str, why: &str) -> ObjectError {
    ObjectError::Internal(format!("the row of {what} can't be read: {why}"))
}

#[cfg(test)]
mod tests {
    use types::{Context, Hlc, SiteId, Version};

    use super::*;
    use crate::{Amended, Content, Encryption, Extent, Metadata, State};

    fn stamp() -> Stamp {
        Stamp {
            version: Version {
                time: Hlc::at(Timestamp(1_795_485_909_999)),
                site: SiteId(3),
            },
            random: 7,
        }
    }

    fn extent() -> Extent {
        Extent {
            number: 1,
            size: 5,
            etag: "5d41402abc4b2a76b9719d911017c592".to_owned(),
            checksum: None,
            blob: u128::MAX - 1,
            inline: true,
            sealed_key: Bytes::from_static(b"key"),
        }
    }

    fn object() -> ObjectVersion {
        ObjectVersion {
            stamp: stamp(),
            is_null: false,
            context: Context::EMPTY,
            owner: types::AccountId::LAB,
            state: State::Object(Box::new(ObjectData {
                size: 5,
                etag: extent().etag,
                checksum: None,
                content: Content::Whole(extent()),
                encryption: Encryption::Site,
                metadata: Metadata::default(),
                storage_class: "STANDARD".to_owned(),
                tags: [("a".to_owned(), "b".to_owned())].into(),
                acl: None,
                retention: None,
                legal_hold: false,
                amended: Amended::NEVER,
            })),
            outcomes: Vec::new(),
            is_replica: false,
        }
    }

    #[test]
    fn rows_of_versions_are_these_bytes() {
        let row = object().encode();
        let golden = "\u{1}O{\"stamp\":\"AaILTMPvAAAAAwAAAAAAAAAHAAAAAAAA\",\"context\":[],\
            \"owner\":\"111122223333\",\"state\":{\"object\":{\"size\":5,\
            \"etag\":\"5d41402abc4b2a76b9719d911017c592\",\"checksum\":null,\
            \"content\":{\"whole\":{\"number\":1,\"size\":5,\
            \"etag\":\"5d41402abc4b2a76b9719d911017c592\",\"checksum\":null,\
            \"blob\":\"fffffffffffffffffffffffffffffffe\",\"inline\":true,\
            \"sealed_key\":\"a2V5\"}},\"encryption\":\"site\",\
            \"metadata\":{\"content_type\":null,\"cache_control\":null,\
            \"content_disposition\":null,\"content_encoding\":null,\"content_language\":null,\
            \"expires\":null,\"website_redirect_location\":null,\"user\":{}},\
            \"storage_class\":\"STANDARD\",\"tags\":{\"a\":\"b\"}}}}";
        assert_eq!(std::str::from_utf8(&row).unwrap(), golden);
        assert_eq!(ObjectVersion::decode(&row).unwrap(), object());
        assert!(!is_delete_marker(&row));
        let marker = ObjectVersion {
            state: State::DeleteMarker,
            ..object()
        };
        let row = marker.encode();
        assert!(is_delete_marker(&row));
        assert_eq!(ObjectVersion::decode(&row).unwrap(), marker);
    }

    #[test]
    fn what_was_amended_is_of_the_second_format_and_of_the_first_is_read() {
        let mut amended = object();
        let at = Some(stamp().version);
        if let State::Object(object) = &mut amended.state {
            object.amended.tags = at;
        }
        let row = amended.encode();
        assert_eq!(row[..2], *b"\x02O");
        let stamped = r#""amended":{"tags":{"time":117668964597694464,"site":3}}}}}"#;
        let text = std::str::from_utf8(&row).unwrap();
        assert!(text.ends_with(stamped), "{text}");
        assert_eq!(ObjectVersion::decode(&row).unwrap(), amended);
        let first = text.replacen('\u{2}', "\u{1}", 1).replace(
            r#"{"tags":{"time":117668964597694464,"site":3}}"#,
            r#"{"time":117668964597694464,"site":3}"#,
        );
        if let State::Object(object) = &mut amended.state {
            object.amended = Amended {
                tags: at,
                acl: at,
                retention: at,
                legal_hold: at,
            };
        }
        assert_eq!(ObjectVersion::decode(first.as_bytes()).unwrap(), amended);
    }

    #[test]
    fn conflicts_come_back_and_strange_rows_are_refused() {
        let conflict = Conflict {
            winner: stamp(),
            found: Timestamp(5),
        };
        let row = conflict.encode();
        let golden = "\u{1}{\"winner\":\"AaILTMPvAAAAAwAAAAAAAAAHAAAAAAAA\",\"found\":5}";
        assert_eq!(std::str::from_utf8(&row).unwrap(), golden);
        assert_eq!(Conflict::decode(&row).unwrap(), conflict);
        for row in [&b""[..], b"\x03O{}", b"\x01", b"\x01O", b"\x01O{}"] {
            assert!(ObjectVersion::decode(row).is_err(), "{row:?}");
            assert!(Conflict::decode(row).is_err(), "{row:?}");
        }
    }
}

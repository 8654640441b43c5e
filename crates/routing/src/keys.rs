//! Where routing's configuration stands: the keys, made and read back. Listing a zone's record
//! keys in byte order lists its names as the service does.

use types::HealthCheckId;

use crate::name::{self, Name};
use crate::{RecordKind, ZoneId, model};

/// Every zone stands under this prefix.
pub const ZONES: &str = "routing/zone/";

/// Every record group stands under this prefix.
pub const RECORDS: &str = "routing/records/";

/// Every health check stands under this prefix.
pub const CHECKS: &str = "routing/check/";

/// Counts the zones that were ever made: each raises it.
pub const ZONES_MADE: &str = "routing/zones-made";

/// Bytes of a key, at most: the configuration takes no longer ones.
pub const MAX_KEY: usize = 512;

/// Between a record's name and its kind: it precedes every character of a name, so that a name
/// stands before those below it.
const KIND_SEPARATOR: char = ' ';

const _: () = assert!(
    RECORDS.len() + model::MAX_ZONE_ID + 1 + name::MAX_KEY_FORM + 1 + "CNAME".len() <= MAX_KEY
);

/// The key of a zone.
pub fn zone(id: &ZoneId) -> String {
    format!("{ZONES}{id}")
}

/// The zone whose key it is.
pub fn parse_zone(key: &str) -> Option<ZoneId> {
    ZoneId::new(key.strip_prefix(ZONES)?)
}

/// The prefix of the keys of a zone's records.
pub fn records_of(zone: &ZoneId) -> String {
    format!("{RECORDS}{zone}/")
}

/// The prefix of the keys of a name's records, and of no other name's.
pub fn records_named(zone: &ZoneId, name: &Name) -> String {
    format!("{RECORDS}{zone}/{}{KIND_SEPARATOR}", name.key_form())
}

/// The key of a record group: all record sets of one name and kind.
pub fn records(zone: &ZoneId, name: &Name, kind: RecordKind) -> String {
    format!("{RECORDS}{zone}/{}{KIND_SEPARATOR}{kind}", name.key_form())
}

/// The record group whose key it is.
pub fn parse_records(key: &str) -> Option<(ZoneId, Name, RecordKind)> {
    let (zone, group) = key.strip_prefix(RECORDS)?.split_once('/')?;
    let (name, kind) = group.split_once(KIND_SEPARATOR)?;
    let name = Name::from_key_form(name).ok()?;
    Some((ZoneId::new(zone)?, name, kind.parse().ok()?))
}

/// The key of a health check.
pub fn check(id: &HealthCheckId) -> String {
    format!("{CHECKS}{id}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_read_back() {
        let id = ZoneId::new("Z1").unwrap();
        assert_eq!(parse_zone(&zone(&id)), Some(id.clone()));
        for text in [".", "example.com", "*.example.com", "a\\056b/.example.com"] {
            let name = Name::parse(text).unwrap();
            let key = records(&id, &name, RecordKind::Aaaa);
            assert!(
                key.starts_with(&records_of(&id)) && key.starts_with(&records_named(&id, &name))
            );
            assert_eq!(
                parse_records(&key),
                Some((id.clone(), name, RecordKind::Aaaa))
            );
        }
        for bad in [
            "",
            "routing/records/Z1",
            "routing/records/Z1/com. B",
            "routing/zone/Z1",
        ] {
            assert_eq!(parse_records(bad), None, "{bad}");
        }
    }

    #[test]
    fn the_golden_key_of_a_group() {
        let name = Name::parse("*.App.example.com").unwrap();
        let key = records(&ZoneId::new("Z0X").unwrap(), &name, RecordKind::A);
        assert_eq!(key, "routing/records/Z0X/com.example.app.\\052. A");
    }

    #[test]
    fn keys_are_ordered_as_names_and_kinds_are() {
        let id = ZoneId::new("Z1").unwrap();
        let mut names: Vec<Name> = [
            "com", "a.com", "-.a.com", "a-b.com", "*.com", "b.a.com", "b.com",
        ]
        .map(|text| Name::parse(text).unwrap())
        .into();
        names.sort();
        let keys: Vec<String> = names
            .iter()
            .flat_map(|name| RecordKind::ALL.map(|kind| records(&id, name, kind)))
            .collect();
        assert!(keys.is_sorted());
    }
}

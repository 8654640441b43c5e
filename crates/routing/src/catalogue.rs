//! Reads zones and records out of a view of the configuration. It changes nothing.

use types::{AccountId, ConfigurationEdit, ConfigurationExpected, ConfigurationView};

use crate::codec::{CodecError, count_group, decode_group, decode_zone, encode_zone};
use crate::{Name, RecordKind, RecordSet, RoutingError, Zone, ZoneId, keys};

/// The account's zone of that id, and the revision that wrote it last. Another account's isn't
/// there.
pub(crate) fn zone(
    view: &dyn ConfigurationView,
    account: AccountId,
    id: &ZoneId,
) -> Result<(u64, Zone), RoutingError> {
    let missing = || RoutingError::NoSuchZone(id.to_string());
    let (revision, bytes) = view.get(&keys::zone(id)).ok_or_else(missing)?;
    let zone = decode_zone(&bytes)?;
    match zone.account == account {
        true => Ok((revision, zone)),
        false => Err(missing()),
    }
}

/// The account's zones, in the order of their ids.
pub(crate) fn zones(
    view: &dyn ConfigurationView,
    account: AccountId,
) -> Result<Vec<Zone>, RoutingError> {
    let mut zones = all_zones(view)?;
    zones.retain(|zone| zone.account == account);
    Ok(zones)
}

/// Every zone, whoever owns it, in the order of their ids.
pub(crate) fn all_zones(view: &dyn ConfigurationView) -> Result<Vec<Zone>, RoutingError> {
    let mut zones = Vec::new();
    view.visit(keys::ZONES, &mut |_, _, bytes| {
        zones.push(decode_zone(bytes))
    });
    Ok(zones.into_iter().collect::<Result<_, _>>()?)
}

/// How many zones the account has.
pub(crate) fn zone_count(
    view: &dyn ConfigurationView,
    account: AccountId,
) -> Result<usize, RoutingError> {
    Ok(zones(view, account)?.len())
}

/// The record sets of one name and type, and the revision that wrote them; `None`: there are
/// none.
pub(crate) fn group(
    view: &dyn ConfigurationView,
    zone: &ZoneId,
    name: &Name,
    kind: RecordKind,
) -> Result<Option<(u64, Vec<RecordSet>)>, RoutingError> {
    let Some((revision, bytes)) = view.get(&keys::records(zone, name, kind)) else {
        return Ok(None);
    };
    Ok(Some((revision, decode_group(name, kind, &bytes)?)))
}

/// Visits a zone's groups of record sets in the service's order, until `visitor` says that it
/// has seen enough.
pub(crate) fn visit_groups(
    view: &dyn ConfigurationView,
    zone: &ZoneId,
    visitor: &mut dyn FnMut(&Name, RecordKind, Vec<RecordSet>) -> bool,
) -> Result<(), RoutingError> {
    visit_groups_from(view, zone, "", visitor)
}

/// The same, of the groups whose keys are at or after `first`.
pub(crate) fn visit_groups_from(
    view: &dyn ConfigurationView,
    zone: &ZoneId,
    first: &str,
    visitor: &mut dyn FnMut(&Name, RecordKind, Vec<RecordSet>) -> bool,
) -> Result<(), RoutingError> {
    let mut outcome = Ok(true);
    view.visit(&keys::records_of(zone), &mut |key, _, bytes| {
        if key < first || !matches!(outcome, Ok(true)) {
            return;
        }
        outcome = match keys::parse_records(key) {
            Some((_, name, kind)) => decode_group(&name, kind, bytes)
                .map(|sets| visitor(&name, kind, sets))
                .map_err(RoutingError::from),
            None => Err(RoutingError::Unreadable(format!(
                "'{key}' is no record's key"
            ))),
        };
    });
    outcome.map(|_| ())
}

/// How many record sets a zone has.
pub(crate) fn record_count(
    view: &dyn ConfigurationView,
    zone: &ZoneId,
) -> Result<usize, RoutingError> {
    let mut count: Result<usize, CodecError> = Ok(0);
    view.visit(&keys::records_of(zone), &mut |_, _, bytes| {
        let sets = count_group(bytes);
        count = count.and_then(|count| Ok(count + sets?));
    });
    Ok(count?)
}

/// The edit that writes a zone which was last written by `revision`. Every change of a zone's
/// records writes the zone too: so two changes of one zone can't pass each other unseen.
pub(crate) fn write_zone(zone: &Zone, revision: u64) -> ConfigurationEdit {
    ConfigurationEdit {
        key: keys::zone(&zone.id),
        expected: ConfigurationExpected::Revision(revision),
        value: Some(encode_zone(zone)),
    }
}

/// The edit that lets no two zones be made at once, at whatever sites: whether a name is free is
/// judged by all zones there are.
pub(crate) fn one_at_a_time(view: &dyn ConfigurationView) -> ConfigurationEdit {
    let (expected, made) = match view.get(keys::ZONES_MADE) {
        None => (ConfigurationExpected::Absent, 0),
        Some((revision, bytes)) => {
            let made = std::str::from_utf8(&bytes)
                .ok()
                .and_then(|text| text.parse().ok());
            (ConfigurationExpected::Revision(revision), made.unwrap_or(0))
        }
    };
    let made: u64 = made;
    ConfigurationEdit {
        key: keys::ZONES_MADE.to_owned(),
        expected,
        value: Some(made.saturating_add(1).to_string().into()),
    }
}

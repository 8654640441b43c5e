//! What several operations write: zones, changes, record sets, health checks.

use aws::xml::XmlWriter;

use types::ConfigurationView;

use crate::changes::ChangeNote;
use crate::{Content, Location, Policy, RecordSet, RoutingError, Zone, catalogue, ids};

/// `HostedZones`, each with the number of its records in that view.
pub(super) fn zones(
    writer: &mut XmlWriter,
    view: &dyn ConfigurationView,
    zones: &[Zone],
) -> Result<(), RoutingError> {
    writer.open("HostedZones");
    for listed in zones {
        zone(writer, listed, catalogue::record_count(view, &listed.id)?);
    }
    writer.close();
    Ok(())
}

/// `HostedZone`.
pub(super) fn zone(writer: &mut XmlWriter, zone: &Zone, records: usize) {
    writer
        .open("HostedZone")
        .value("Id", format_args!("/hostedzone/{}", zone.id))
        .value("Name", &zone.name)
        .value("CallerReference", &zone.caller_reference)
        .open("Config")
        .optional("Comment", zone.comment.as_ref())
        .value("PrivateZone", false)
        .close()
        .value("ResourceRecordSetCount", records)
        .close();
}

/// `DelegationSet`.
pub(super) fn delegation_set(writer: &mut XmlWriter, zone: &Zone) {
    writer.open("DelegationSet").open("NameServers");
    for server in &zone.name_servers {
        let server = server.to_string();
        writer.value("NameServer", server.trim_end_matches('.'));
    }
    writer.close().close();
}

/// `ChangeInfo`.
pub(super) fn change(writer: &mut XmlWriter, note: &ChangeNote, in_sync: bool) {
    writer
        .open("ChangeInfo")
        .value("Id", format_args!("/change/{}", note.id))
        .value("Status", if in_sync { "INSYNC" } else { "PENDING" })
        .value("SubmittedAt", ids::time(note.submitted))
        .optional("Comment", note.comment.as_ref())
        .close();
}

/// `ResourceRecordSet`.
pub(super) fn record_set(writer: &mut XmlWriter, set: &RecordSet) {
    writer
        .open("ResourceRecordSet")
        .value("Name", &set.name)
        .value("Type", set.kind);
    if let Some(selector) = &set.selector {
        writer.value("SetIdentifier", &selector.identifier);
        match selector.policy {
            Policy::Weighted(weight) => writer.value("Weight", weight),
            Policy::Latency(region) => writer.value("Region", region),
            Policy::Failover(role) => writer.value("Failover", role),
            Policy::Multivalue => writer.value("MultiValueAnswer", true),
            Policy::Geolocation(location) => {
                writer.open("GeoLocation");
                codes(writer, location, false);
                writer.close()
            }
        };
    }
    match &set.content {
        Content::Values { ttl, values } => {
            writer.value("TTL", ttl).open("ResourceRecords");
            for value in values {
                writer.open("ResourceRecord").value("Value", value).close();
            }
            writer.close();
        }
        Content::Alias(alias) => {
            writer
                .open("AliasTarget")
                .value("HostedZoneId", &alias.zone)
                .value("DNSName", &alias.target)
                .value("EvaluateTargetHealth", alias.evaluate_target_health)
                .close();
        }
    }
    writer.optional("HealthCheckId", set.health_check.as_ref());
    writer.close();
}

/// The codes of a place, as elements; `next`: as a page's end names them.
pub(super) fn codes(writer: &mut XmlWriter, location: Location, next: bool) {
    let name = |plain, at_the_end| if next { at_the_end } else { plain };
    let continent = name("ContinentCode", "NextContinentCode");
    let country = name("CountryCode", "NextCountryCode");
    let subdivision = name("SubdivisionCode", "NextSubdivisionCode");
    match location {
        Location::Default => writer.value(country, "*"),
        Location::Continent(code) => writer.value(continent, code),
        Location::Country(code) => writer.value(country, code),
        Location::Subdivision(code, part) => writer.value(country, code).value(subdivision, part),
    };
}

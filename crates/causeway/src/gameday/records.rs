//! A scenario's health checks, zones and records in the words of Route 53's XML (API 2013-04-01,
//! whose elements have a fixed order). Pure.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::net::SocketAddr;

use gameday::scenario::{
    ChangeAction, Content, HealthCheck, Location, Policy, ProbeKind, Record, RecordChange,
};
use types::Region;

use super::accelerators::{self, MadeAccelerator};
use super::api::{ApiError, escaped, required};

/// The namespace of its documents.
const NAMESPACE: &str = aws::rest::ROUTE53.namespace;

/// Where each Region's application listens.
pub type Addresses = BTreeMap<Region, SocketAddr>;

/// What records may refer to, by their indices in the scenario.
pub struct Made<'a> {
    /// The ids of the health checks.
    pub checks: &'a [String],
    /// Where each Region's application listens.
    pub addresses: &'a Addresses,
    /// The accelerators.
    pub accelerators: &'a [MadeAccelerator],
}

/// The ids of the zones, by their index in the scenario.
#[derive(Clone, Debug, Default)]
pub struct Zones(Vec<String>);

impl Zones {
    /// Adds the id of the next zone.
    pub fn add(&mut self, id: String) {
        self.0.push(id);
    }

    /// The changes as a batch for each zone that they concern, in their order: the zone's id and
    /// the document.
    pub fn batches<'a>(
        &'a self,
        changes: &[RecordChange],
        made: &Made<'_>,
    ) -> Vec<(&'a str, String)> {
        let zones = self.0.iter().enumerate();
        let batches = zones.filter_map(|(zone, id)| {
            let ours = changes.iter().filter(|change| change.record.zone == zone);
            let ours = ours.fold(String::new(), |mut xml, change| {
                self.change(&mut xml, change, made);
                xml
            });
            let xml = format!(
                "<ChangeResourceRecordSetsRequest xmlns=\"{NAMESPACE}\"><ChangeBatch><Changes>\
                 {ours}</Changes></ChangeBatch></ChangeResourceRecordSetsRequest>"
            );
            (!ours.is_empty()).then_some((id.as_str(), xml))
        });
        batches.collect()
    }

    fn change(&self, xml: &mut String, change: &RecordChange, made: &Made<'_>) {
        xml.push_str("<Change>");
        let action = match change.action {
            ChangeAction::Create => "CREATE",
            ChangeAction::Upsert => "UPSERT",
            ChangeAction::Delete => "DELETE",
        };
        text(xml, "Action", action);
        xml.push_str("<ResourceRecordSet>");
        self.record(xml, &change.record, made);
        xml.push_str("</ResourceRecordSet></Change>");
    }

    fn record(&self, xml: &mut String, record: &Record, made: &Made<'_>) {
        text(xml, "Name", &record.name);
        text(xml, "Type", &record.kind);
        if let Some(identifier) = &record.identifier {
            text(xml, "SetIdentifier", identifier);
        }
        policy(xml, &record.policy);
        match &record.content {
            Content::Region { region, ttl } => {
                let address = made.addresses.get(region);
                let address = address.map(|address| address.ip().to_string());
                values(xml, *ttl, address.iter().map(String::as_str));
            }
            Content::Values { values: of, ttl } => {
                values(xml, *ttl, of.iter().map(String::as_str));
            }
            Content::Alias {
                target,
                evaluate_target_health,
            } => {
                let zone = self.0.get(record.zone).map_or("", String::as_str);
                alias(xml, zone, target, *evaluate_target_health);
            }
            Content::Accelerator {
                accelerator,
                evaluate_target_health,
            } => {
                let name = made.accelerators.get(*accelerator);
                let name = name.map_or("", |accelerator| accelerator.name.as_str());
                alias(xml, accelerators::ZONE, name, *evaluate_target_health);
            }
        }
        if let Some(id) = record.health_check.and_then(|index| made.checks.get(index)) {
            text(xml, "HealthCheckId", id);
        }
    }
}

/// The document that makes a health check.
pub fn health_check(check: &HealthCheck, reference: &str, addresses: &Addresses) -> String {
    let mut xml = format!("<CreateHealthCheckRequest xmlns=\"{NAMESPACE}\">");
    text(&mut xml, "CallerReference", reference);
    xml.push_str("<HealthCheckConfig>");
    let application = addresses.get(&check.region);
    if let Some(address) = application {
        text(&mut xml, "IPAddress", &address.ip().to_string());
    }
    let port = check.port.or(application.map(SocketAddr::port));
    if let Some(port) = port {
        text(&mut xml, "Port", &port.to_string());
    }
    text(&mut xml, "Type", kind(check));
    if check.kind != ProbeKind::Tcp {
        text(&mut xml, "ResourcePath", &check.path);
    }
    if let Some(search) = &check.search {
        text(&mut xml, "SearchString", search);
    }
    text(
        &mut xml,
        "RequestInterval",
        &(check.interval.0 / 1_000_000).to_string(),
    );
    text(&mut xml, "FailureThreshold", &check.threshold.to_string());
    text(&mut xml, "Inverted", &check.inverted.to_string());
    text(&mut xml, "Disabled", &check.disabled.to_string());
    xml.push_str("</HealthCheckConfig></CreateHealthCheckRequest>");
    xml
}

/// The document that makes a zone.
pub fn hosted_zone(name: &str, reference: &str) -> String {
    let mut xml = format!("<CreateHostedZoneRequest xmlns=\"{NAMESPACE}\">");
    text(&mut xml, "Name", name);
    text(&mut xml, "CallerReference", reference);
    xml.push_str("</CreateHostedZoneRequest>");
    xml
}

/// The ids of the change and of the zone in the answer to the document that makes a zone.
pub fn created_zone(answer: &str) -> Result<(String, String), ApiError> {
    let part = |name: &str| {
        let whole = required(answer, name, "CreateHostedZone")?;
        let id = required(&whole, "Id", "CreateHostedZone")?;
        Ok::<String, ApiError>(last_segment(&id).to_owned())
    };
    Ok((part("ChangeInfo")?, part("HostedZone")?))
}

/// The id itself: the service writes it with its path, `/hostedzone/Z1`.
pub fn last_segment(id: &str) -> &str {
    id.rsplit('/').next().unwrap_or(id)
}

fn kind(check: &HealthCheck) -> &'static str {
    match (check.kind, &check.search) {
        (ProbeKind::Tcp, _) => "TCP",
        (ProbeKind::Http, None) => "HTTP",
        (ProbeKind::Http, Some(_)) => "HTTP_STR_MATCH",
        (ProbeKind::Https, None) => "HTTPS",
        (ProbeKind::Https, Some(_)) => "HTTPS_STR_MATCH",
    }
}

fn policy(xml: &mut String, policy: &Policy) {
    match policy {
        Policy::Simple => {}
        Policy::Weighted(weight) => text(xml, "Weight", &weight.to_string()),
        Policy::Latency(region) => text(xml, "Region", region.name()),
        Policy::Geolocation(location) => {
            xml.push_str("<GeoLocation>");
            match location {
                Location::Default => text(xml, "CountryCode", "*"),
                Location::Continent(code) => text(xml, "ContinentCode", code),
                Location::Country(code) => text(xml, "CountryCode", code),
                Location::State(code) => {
                    text(xml, "CountryCode", "US");
                    text(xml, "SubdivisionCode", code);
                }
            }
            xml.push_str("</GeoLocation>");
        }
        Policy::Primary => text(xml, "Failover", "PRIMARY"),
        Policy::Secondary => text(xml, "Failover", "SECONDARY"),
        Policy::Multivalue => text(xml, "MultiValueAnswer", "true"),
    }
}

fn alias(xml: &mut String, zone: &str, target: &str, evaluates: bool) {
    xml.push_str("<AliasTarget>");
    text(xml, "HostedZoneId", zone);
    text(xml, "DNSName", target);
    text(xml, "EvaluateTargetHealth", &evaluates.to_string());
    xml.push_str("</AliasTarget>");
}

fn values<'a>(xml: &mut String, ttl: u32, values: impl Iterator<Item = &'a str>) {
    text(xml, "TTL", &ttl.to_string());
    xml.push_str("<ResourceRecords>");
    for value in values {
        xml.push_str("<ResourceRecord>");
        text(xml, "Value", value);
        xml.push_str("</ResourceRecord>");
    }
    xml.push_str("</ResourceRecords>");
}

fn text(xml: &mut String, name: &str, value: &str) {
    write!(xml, "<{name}>{}</{name}>", escaped(value)).expect("text takes everything");
}

#[cfg(test)]
mod tests {
    use super::*;
    use types::Span;

    fn addresses() -> Addresses {
        let address = "127.1.2.1:8080".parse().unwrap();
        [("eu-west-1".parse().unwrap(), address)].into()
    }

    fn record(policy: Policy, content: Content) -> Record {
        Record {
            zone: 1,
            name: "app.example.com".to_owned(),
            kind: "A".to_owned(),
            policy,
            identifier: Some("a&b".to_owned()),
            content,
            health_check: Some(0),
        }
    }

    #[test]
    fn a_batch_is_made_for_each_zone_that_changes() {
        let mut zones = Zones::default();
        zones.add("Z1".to_owned());
        zones.add("Z2".to_owned());
        let content = Content::Region {
            region: "eu-west-1".parse().unwrap(),
            ttl: 5,
        };
        let change = RecordChange {
            action: ChangeAction::Upsert,
            record: record(Policy::Secondary, content),
        };
        let checks = ["check-1".to_owned()];
        let made = Made {
            checks: &checks,
            addresses: &addresses(),
            accelerators: &[],
        };
        let batches = zones.batches(&[change], &made);
        assert_eq!(batches.len(), 1);
        assert_eq!(batches[0].0, "Z2");
        let expected = "<Change><Action>UPSERT</Action><ResourceRecordSet>\
            <Name>app.example.com</Name><Type>A</Type><SetIdentifier>a&amp;b</SetIdentifier>\
            <Failover>SECONDARY</Failover><TTL>5</TTL><ResourceRecords><ResourceRecord>\
            <Value>127.1.2.1</Value></ResourceRecord></ResourceRecords>\
            <HealthCheckId>check-1</HealthCheckId></ResourceRecordSet></Change>";
        assert!(batches[0].1.contains(expected), "{}", batches[0].1);
    }

    #[test]
    fn an_alias_names_the_zone_it_is_in() {
        let mut zones = Zones::default();
        zones.add("Z1".to_owned());
        zones.add("Z2".to_owned());
        let content = Content::Alias {
            target: "eu.example.com".to_owned(),
            evaluate_target_health: true,
        };
        let location = Location::State("CA".to_owned());
        let mut xml = String::new();
        let alias = record(Policy::Geolocation(location), content);
        let made = Made {
            checks: &[],
            addresses: &addresses(),
            accelerators: &[MadeAccelerator {
                name: "a1.awsglobalaccelerator.com".to_owned(),
                ..MadeAccelerator::default()
            }],
        };
        zones.record(&mut xml, &alias, &made);
        let expected = "<GeoLocation><CountryCode>US</CountryCode>\
            <SubdivisionCode>CA</SubdivisionCode></GeoLocation>\
            <AliasTarget><HostedZoneId>Z2</HostedZoneId><DNSName>eu.example.com</DNSName>\
            <EvaluateTargetHealth>true</EvaluateTargetHealth></AliasTarget>";
        assert!(xml.ends_with(expected), "{xml}");
        let content = Content::Accelerator {
            accelerator: 0,
            evaluate_target_health: false,
        };
        let mut xml = String::new();
        zones.record(&mut xml, &record(Policy::Primary, content), &made);
        let expected = "<AliasTarget><HostedZoneId>Z2BJ6XQ5FK7U4H</HostedZoneId>\
            <DNSName>a1.awsglobalaccelerator.com</DNSName>\
            <EvaluateTargetHealth>false</EvaluateTargetHealth></AliasTarget>";
        assert!(xml.ends_with(expected), "{xml}");
    }

    #[test]
    fn a_check_probes_its_region_s_application() {
        let check = HealthCheck {
            name: "eu".to_owned(),
            region: "eu-west-1".parse().unwrap(),
            kind: ProbeKind::Http,
            path: "/health".to_owned(),
            search: Some("true".to_owned()),
            port: None,
            threshold: 3,
            interval: Span::seconds(10),
            inverted: false,
            disabled: false,
        };
        let xml = health_check(&check, "r", &addresses());
        let expected = "<IPAddress>127.1.2.1</IPAddress><Port>8080</Port>\
            <Type>HTTP_STR_MATCH</Type><ResourcePath>/health</ResourcePath>\
            <SearchString>true</SearchString><RequestInterval>10</RequestInterval>\
            <FailureThreshold>3</FailureThreshold><Inverted>false</Inverted>\
            <Disabled>false</Disabled></HealthCheckConfig>";
        assert!(xml.contains(expected), "{xml}");
    }

    #[test]
    fn a_made_zone_has_its_id_and_its_change() {
        let answer = "<CreateHostedZoneResponse><HostedZone><Id>/hostedzone/Z1</Id>\
            <Name>x.</Name></HostedZone><ChangeInfo><Id>/change/C1</Id><Status>PENDING</Status>\
            </ChangeInfo></CreateHostedZoneResponse>";
        let made = created_zone(answer).unwrap();
        assert_eq!(made, ("C1".to_owned(), "Z1".to_owned()));
        assert!(created_zone("<html>").is_err());
    }
}

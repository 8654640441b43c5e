//! `CreateHostedZone`. Public zones only: private ones, with their VPCs, and reusable delegation
//! sets are refused by name. Every zone has four name servers, one under each of the service's
//! top-level domains, shared with no zone of the same name or above or below it.

use aws::rest::ROUTE53;
use types::{AccountId, ConfigurationEdit, ConfigurationExpected, ConfigurationView, Environment};

use super::shapes;
use crate::access::Allowed;
use crate::api_limits::{MAX_COMMENT, MAX_REFERENCE, MAX_ZONES};
use crate::changes::ChangeNote;
use crate::codec::{encode_group, encode_zone};
use crate::model::NAME_SERVERS;
use crate::request::{Reply, Request, document};
use crate::{
    Content, Name, OutsideNames, RecordKind, RecordSet, RoutingError, Service, Zone, catalogue,
    ids, keys, references,
};

/// Numbers of name servers under each top-level domain.
const SERVERS_PER_DOMAIN: u64 = 512;

/// Where the name servers are, in the order of their numbers.
const DOMAINS: [&str; NAME_SERVERS] = ["com", "net", "org", "co.uk"];

/// TTL and the last fields of the SOA record that a zone is made with: serial, refresh, retry,
/// expire, minimum.
const SOA: (u32, &str) = (
    900,
    "awsdns-hostmaster.amazon.com. 1 7200 900 1209600 86400",
);

/// TTL of the NS record that a zone is made with.
const NS_TTL: u32 = 172_800;

struct Wanted {
    name: Name,
    comment: Option<String>,
    reference: String,
}

pub(crate) async fn execute(
    service: &Service,
    request: &Request<'_>,
    allowed: &Allowed,
) -> Result<Reply, RoutingError> {
    let wanted = read(request)?;
    let environment = &*service.config.environment;
    let id = ids::zone(environment);
    let note = ChangeNote {
        account: allowed.account(),
        id: ids::change(environment),
        submitted: service.now(),
        comment: None,
    };
    let zone = service
        .change("zones", |view| {
            let reference =
                references::key(references::Kind::Zone, allowed.account(), &wanted.reference);
            if references::holder(view, &reference).is_some() {
                return Err(RoutingError::ZoneExists);
            }
            if catalogue::zone_count(view, allowed.account())? >= MAX_ZONES {
                return Err(RoutingError::TooManyZones(MAX_ZONES));
            }
            let outside = (service.config.outside)(view);
            check_free(view, allowed.account(), &wanted.name, &outside)?;
            let zone = Zone {
                account: allowed.account(),
                id: id.clone(),
                name: wanted.name.clone(),
                comment: wanted.comment.clone(),
                caller_reference: wanted.reference.clone(),
                name_servers: choose_servers(view, &wanted.name, environment)?,
            };
            let mut edits = note.edits(view);
            edits.push(catalogue::one_at_a_time(view));
            edits.push(references::take(reference, zone.id.as_str()));
            edits.extend(first_edits(&zone));
            Ok((edits, zone))
        })
        .await?;
    let mut writer = document("CreateHostedZoneResponse");
    shapes::zone(&mut writer, &zone, 2);
    shapes::change(&mut writer, &note, false);
    shapes::delegation_set(&mut writer, &zone);
    Ok(Reply::created(writer, &format!("hostedzone/{}", zone.id)))
}

fn read(request: &Request<'_>) -> Result<Wanted, RoutingError> {
    let members = request.members(&[
        "Name",
        "VPC",
        "CallerReference",
        "HostedZoneConfig",
        "DelegationSetId",
    ])?;
    let name = members
        .required("Name", ROUTE53.namespace)?
        .bounded(0, 1024)?;
    let reference = members.required("CallerReference", ROUTE53.namespace)?;
    let reference = reference.bounded(1, MAX_REFERENCE)?.to_owned();
    let mut comment = None;
    let mut private = members.optional("VPC").is_some();
    if let Some(config) = members.optional("HostedZoneConfig") {
        let config = config.members(&["Comment", "PrivateZone"])?;
        if let Some(text) = config.optional("Comment") {
            comment = Some(text.bounded(0, MAX_COMMENT)?.to_owned());
        }
        if let Some(flag) = config.optional("PrivateZone") {
            private |= flag.boolean()?;
        }
    }
    if private {
        return Err(RoutingError::NotBuilt(
            "A private hosted zone (VPC)".to_owned(),
        ));
    }
    if let Some(set) = members.optional("DelegationSetId") {
        return Err(RoutingError::NoSuchDelegationSet(
            set.bounded(0, 32)?.to_owned(),
        ));
    }
    Ok(Wanted {
        name: zone_name(name)?,
        // An empty comment is none, as the console sends it.
        comment: comment.filter(|comment| !comment.is_empty()),
        reference,
    })
}

/// The name of a zone: two labels at least, as the service hosts no top-level domain.
fn zone_name(text: &str) -> Result<Name, RoutingError> {
    let refused = |reason: String| Err(RoutingError::InvalidDomainName(reason));
    match Name::parse(text) {
        Ok(name) if name.labels().count() < 2 => refused(format!(
            "{text} is a top-level domain: a hosted zone can't be one"
        )),
        Ok(name) if name.is_wildcard() => refused(format!("{text} is not a valid domain name")),
        Ok(name) => Ok(name),
        Err(error) => refused(format!(
            "FATAL problem: {error} encountered with '{}'",
            text.chars().take(128).collect::<String>()
        )),
    }
}

/// A name is answered for by the zone that is nearest above it, whoever owns that: so none is made
/// below another account's zone that hasn't handed the name over, as by a delegation at AWS, nor
/// beside one of the same name, nor among another service's names.
fn check_free(
    view: &dyn ConfigurationView,
    account: AccountId,
    name: &Name,
    outside: &OutsideNames,
) -> Result<(), RoutingError> {
    if outside.has(name) {
        return Err(RoutingError::ConflictingDomain(name.to_string()));
    }
    for zone in catalogue::all_zones(view)? {
        if zone.account == account || !name.is_within(&zone.name) {
            continue;
        }
        let delegated = catalogue::group(view, &zone.id, name, RecordKind::Ns)?.is_some();
        if zone.name == *name || !delegated {
            return Err(RoutingError::ConflictingDomain(name.to_string()));
        }
    }
    Ok(())
}

/// Four servers, the first under any of the domains.
fn choose_servers(
    view: &dyn ConfigurationView,
    name: &Name,
    environment: &dyn Environment,
) -> Result<[Name; NAME_SERVERS], RoutingError> {
    let kindred = |zone: &Zone| zone.name.is_within(name) || name.is_within(&zone.name);
    let zones = catalogue::all_zones(view)?;
    let taken: Vec<&Name> = zones
        .iter()
        .filter(|zone| kindred(zone))
        .flat_map(|zone| &zone.name_servers)
        .collect();
    let mut random = environment.random();
    let first = usize::try_from(random % NAME_SERVERS as u64).unwrap_or(0);
    random /= NAME_SERVERS as u64;
    let mut servers = Vec::with_capacity(NAME_SERVERS);
    for step in 0..NAME_SERVERS {
        let domain = (first + step) % NAME_SERVERS;
        let start = random % SERVERS_PER_DOMAIN;
        random /= SERVERS_PER_DOMAIN;
        let numbers = (0..SERVERS_PER_DOMAIN).map(|offset| (start + offset) % SERVERS_PER_DOMAIN);
        let free = numbers
            .map(|number| server(domain, number))
            .find(|server| !taken.contains(&server));
        servers.push(free.ok_or(RoutingError::DelegationSetNotAvailable)?);
    }
    Ok(servers.try_into().expect("one for each domain"))
}

/// The server of that number under that domain: `ns-2047.awsdns-63.co.uk`.
fn server(domain: usize, number: u64) -> Name {
    let whole = domain as u64 * SERVERS_PER_DOMAIN + number;
    let text = format!("ns-{whole}.awsdns-{:02}.{}", number / 8, DOMAINS[domain]);
    Name::parse(&text).expect("letters, digits and hyphens make a name")
}

/// The zone itself and the records that every zone has.
fn first_edits(zone: &Zone) -> Vec<ConfigurationEdit> {
    let set = |kind, ttl, values| RecordSet {
        name: zone.name.clone(),
        kind,
        selector: None,
        content: Content::Values { ttl, values },
        health_check: None,
    };
    let servers = zone.name_servers.iter().map(Name::to_string).collect();
    let soa = format!("{} {}", zone.name_servers[0], SOA.1);
    let put = |key, value| ConfigurationEdit {
        key,
        expected: ConfigurationExpected::Absent,
        value: Some(value),
    };
    let record = |set: RecordSet| {
        let key = keys::records(&zone.id, &set.name, set.kind);
        put(key, encode_group(&[set]))
    };
    vec![
        put(keys::zone(&zone.id), encode_zone(zone)),
        record(set(RecordKind::Ns, NS_TTL, servers)),
        record(set(RecordKind::Soa, SOA.0, vec![soa])),
    ]
}

//! A `HealthCheckConfig` as a request has it, and the rules it is held against. Texts are ours
//! where the schema's don't say it: the service's are not published.

use std::net::IpAddr;

use aws::rest::ROUTE53;
use aws::xml::{Element, Members, XmlFault};

use crate::check::{CheckConfig, CheckKind};
use crate::{RoutingError, Targets};

/// The members of a `HealthCheckConfig`, in the model's order.
const MEMBERS: [&str; 18] = [
    "IPAddress",
    "Port",
    "Type",
    "ResourcePath",
    "FullyQualifiedDomainName",
    "SearchString",
    "RequestInterval",
    "FailureThreshold",
    "MeasureLatency",
    "Inverted",
    "Disabled",
    "HealthThreshold",
    "ChildHealthChecks",
    "EnableSNI",
    "Regions",
    "AlarmIdentifier",
    "InsufficientDataHealthStatus",
    "RoutingControlArn",
];

/// Kinds of health checks that exist at AWS and aren't built.
const NOT_BUILT: [&str; 3] = ["CALCULATED", "CLOUDWATCH_METRIC", "RECOVERY_CONTROL"];

/// The Regions that AWS checks from.
const REGIONS: [&str; 8] = [
    "us-east-1",
    "us-west-1",
    "us-west-2",
    "eu-west-1",
    "ap-southeast-1",
    "ap-southeast-2",
    "ap-northeast-1",
    "sa-east-1",
];

/// How few Regions may be named, and how many.
const REGION_COUNT: std::ops::RangeInclusive<usize> = 3..=64;

/// How often in a row a probe must differ from the verdict, where it isn't said.
const THRESHOLD: u8 = 3;

/// Seconds between two probes, where it isn't said.
const INTERVAL: u8 = 30;

/// Reads a new health check's configuration.
///
/// # Errors
///
/// It isn't of the schema's form, or breaks a rule.
pub(crate) fn read(config: &Element<'_>, targets: &Targets) -> Result<CheckConfig, RoutingError> {
    let members = config.members(&MEMBERS)?;
    let kind = read_kind(members.required("Type", ROUTE53.namespace)?)?;
    let port = match (number(&members, "Port", 1, 65_535)?, kind) {
        (Some(port), _) => u16::try_from(port).expect("within its bounds"),
        (None, CheckKind::Tcp) => {
            return Err(RoutingError::invalid(
                "Invalid parameter: a health check of type TCP must have a Port.",
            ));
        }
        (None, kind) if kind.is_tls() => 443,
        (None, _) => 80,
    };
    let interval = number(&members, "RequestInterval", 10, 30)?.unwrap_or(i64::from(INTERVAL));
    if interval != 10 && interval != 30 {
        return Err(RoutingError::invalid(
            "Invalid parameter: RequestInterval must be 10 or 30.",
        ));
    }
    let threshold = number(&members, "FailureThreshold", 1, 10)?.unwrap_or(i64::from(THRESHOLD));
    let config = CheckConfig {
        kind,
        address: read_address(&members)?,
        port,
        path: text(&members, "ResourcePath")?,
        name: text(&members, "FullyQualifiedDomainName")?,
        search: text(&members, "SearchString")?,
        interval: u8::try_from(interval).expect("10 or 30"),
        threshold: u8::try_from(threshold).expect("within its bounds"),
        latency: flag(&members, "MeasureLatency")?.unwrap_or(false),
        inverted: flag(&members, "Inverted")?.unwrap_or(false),
        disabled: flag(&members, "Disabled")?.unwrap_or(false),
        sni: flag(&members, "EnableSNI")?.unwrap_or(kind.is_tls()),
        regions: read_regions(&members)?,
    };
    refuse_other_kinds(&members)?;
    hold(&config, targets)?;
    Ok(config)
}

fn read_kind(kind: &Element<'_>) -> Result<CheckKind, RoutingError> {
    let text = kind.text()?;
    if NOT_BUILT.contains(&text) {
        return Err(RoutingError::NotBuilt(format!(
            "A health check of type {text}"
        )));
    }
    let known = CheckKind::ALL.into_iter().find(|kind| kind.name() == text);
    known.ok_or_else(|| {
        let names: Vec<&str> = CheckKind::ALL
            .map(CheckKind::name)
            .into_iter()
            .chain(NOT_BUILT)
            .collect();
        kind.not_among(&names).into()
    })
}

/// What only the kinds that aren't built have.
pub(crate) fn refuse_other_kinds(members: &Members<'_, '_>) -> Result<(), RoutingError> {
    for member in [
        "HealthThreshold",
        "AlarmIdentifier",
        "InsufficientDataHealthStatus",
        "RoutingControlArn",
    ] {
        if members.optional(member).is_some() {
            return Err(RoutingError::invalid(format!(
                "Invalid parameter: {member} is not valid for a health check of an endpoint."
            )));
        }
    }
    if let Some(children) = members.optional("ChildHealthChecks")
        && !children.items("ChildHealthCheck")?.is_empty()
    {
        return Err(RoutingError::invalid(
            "Invalid parameter: ChildHealthChecks is not valid for a health check of an endpoint.",
        ));
    }
    Ok(())
}

/// The address, if one is given.
pub(crate) fn read_address(members: &Members<'_, '_>) -> Result<Option<IpAddr>, XmlFault> {
    let Some(element) = members.optional("IPAddress") else {
        return Ok(None);
    };
    let text = element.bounded(0, 45)?;
    if text.is_empty() {
        return Ok(None); // as some clients say that there is none
    }
    let address = text.parse().map(Some);
    address.map_err(|_| element.constraint("Member must be an IPv4 or IPv6 address"))
}

/// The Regions, if some are given.
pub(crate) fn read_regions(members: &Members<'_, '_>) -> Result<Vec<String>, RoutingError> {
    let Some(element) = members.optional("Regions") else {
        return Ok(Vec::new());
    };
    let items = element.items("Region")?;
    if !items.is_empty() && !REGION_COUNT.contains(&items.len()) {
        return Err(element
            .constraint("Member must have length greater than or equal to 3")
            .into());
    }
    let mut regions = Vec::new();
    for item in items {
        let name = item.text()?;
        if !REGIONS.contains(&name) {
            return Err(item.not_among(&REGIONS).into());
        }
        regions.push(name.to_owned());
    }
    Ok(regions)
}

/// A text of at most 255 characters; an empty one is none.
pub(crate) fn text(members: &Members<'_, '_>, name: &str) -> Result<Option<String>, XmlFault> {
    let text = members
        .optional(name)
        .map(|element| element.bounded(0, 255))
        .transpose()?;
    Ok(text.filter(|text| !text.is_empty()).map(str::to_owned))
}

/// A flag, if it is given.
pub(crate) fn flag(members: &Members<'_, '_>, name: &str) -> Result<Option<bool>, XmlFault> {
    members.optional(name).map(Element::boolean).transpose()
}

/// A number within those bounds, if it is given.
pub(crate) fn number(
    members: &Members<'_, '_>,
    name: &str,
    least: i64,
    most: i64,
) -> Result<Option<i64>, XmlFault> {
    let element = members.optional(name);
    element
        .map(|element| element.integer(least, most))
        .transpose()
}

/// Holds a whole configuration against the rules.
///
/// # Errors
///
/// `InvalidInput` with the rule it breaks.
pub(crate) fn hold(config: &CheckConfig, targets: &Targets) -> Result<(), RoutingError> {
    let broken = |rule: &str| Err(RoutingError::invalid(format!("Invalid parameter: {rule}")));
    if config.address.is_none() && config.name.is_none() {
        return broken("either IPAddress or FullyQualifiedDomainName must be given.");
    }
    if config.kind.is_match() != config.search.is_some() {
        return broken(
            "SearchString must be given for the types HTTP_STR_MATCH and HTTPS_STR_MATCH, and for \
             no other.",
        );
    }
    if config.kind == CheckKind::Tcp && config.path.is_some() {
        return broken("ResourcePath is not valid for the type TCP.");
    }
    let visible = |text: &str| text.bytes().all(|byte| (0x21..=0x7e).contains(&byte));
    if !config.path.as_deref().is_none_or(visible) {
        return broken("ResourcePath must be of visible ASCII characters.");
    }
    if let Some(name) = &config.name {
        let host = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
        // Without an address the name is looked up, and an address has none to be found.
        let resolvable = name.parse::<IpAddr>().is_err() && crate::Name::parse(name).is_ok();
        if !name.bytes().all(host) || !(config.address.is_some() || resolvable) {
            return broken(
                "FullyQualifiedDomainName must be a domain name; an address is given as IPAddress.",
            );
        }
    }
    match config.address {
        Some(address) if !(targets.allows)(address) => broken(&format!(
            "the IP address {address} is not among those that may be checked here; the \
             deployment's setting {} names those that may.",
            targets.setting
        )),
        _ => Ok(()),
    }
}

//! `UpdateHealthCheck`: what is given replaces what is; type, interval and whether latency is
//! measured can't be changed, and an address can be neither added nor removed.

use types::{ConfigurationEdit, ConfigurationExpected};

use crate::access::Allowed;
use crate::check::{self, CheckConfig};
use crate::check_rules::{self, flag, number, read_address, read_regions, text};
use crate::request::{Reply, Request, document};
use crate::{RoutingError, Service, keys};

/// What can be reset to what it is where nothing is said.
const RESETTABLE: [&str; 4] = [
    "FullyQualifiedDomainName",
    "Regions",
    "ResourcePath",
    "ChildHealthChecks",
];

pub(crate) async fn execute(
    service: &Service,
    request: &Request<'_>,
    allowed: &Allowed,
) -> Result<Reply, RoutingError> {
    let id = request.health_check();
    let members = request.members(&[
        "HealthCheckVersion",
        "IPAddress",
        "Port",
        "ResourcePath",
        "FullyQualifiedDomainName",
        "SearchString",
        "FailureThreshold",
        "Inverted",
        "Disabled",
        "HealthThreshold",
        "ChildHealthChecks",
        "EnableSNI",
        "Regions",
        "AlarmIdentifier",
        "InsufficientDataHealthStatus",
        "ResetElements",
    ])?;
    check_rules::refuse_other_kinds(&members)?;
    let expected = number(&members, "HealthCheckVersion", 1, i64::MAX)?;
    let check = service
        .change(&id.0, |view| {
            let (revision, mut check) = check::find(view, allowed.account(), &id)?;
            if let Some(expected) = expected.map(i64::unsigned_abs)
                && expected != check.version
            {
                return Err(RoutingError::VersionMismatch {
                    found: check.version,
                    expected,
                });
            }
            update(&members, &mut check.config)?;
            check_rules::hold(&check.config, &service.config.targets)?;
            check.version += 1;
            let edit = ConfigurationEdit {
                key: keys::check(&id),
                expected: ConfigurationExpected::Revision(revision),
                value: Some(check.encode()),
            };
            Ok((vec![edit], check))
        })
        .await?;
    let mut writer = document("UpdateHealthCheckResponse");
    check.shape(&mut writer, &id);
    Ok(Reply::ok(writer))
}

fn update(
    members: &aws::xml::Members<'_, '_>,
    config: &mut CheckConfig,
) -> Result<(), RoutingError> {
    if let Some(address) = read_address(members)? {
        if config.address.is_none() {
            return Err(RoutingError::invalid(
                "Invalid parameter: IPAddress can't be added to a health check that has none.",
            ));
        }
        config.address = Some(address);
    }
    if let Some(port) = number(members, "Port", 1, 65_535)? {
        config.port = u16::try_from(port).expect("within its bounds");
    }
    if let Some(threshold) = number(members, "FailureThreshold", 1, 10)? {
        config.threshold = u8::try_from(threshold).expect("within its bounds");
    }
    if let Some(elements) = members.optional("ResetElements") {
        for element in elements.items("ResettableElementName")? {
            match element.text()? {
                "FullyQualifiedDomainName" => config.name = None,
                "Regions" => config.regions = Vec::new(),
                "ResourcePath" => config.path = None,
                "ChildHealthChecks" => {}
                _ => return Err(element.not_among(&RESETTABLE).into()),
            }
        }
    }
    config.path = text(members, "ResourcePath")?.or(config.path.take());
    config.name = text(members, "FullyQualifiedDomainName")?.or(config.name.take());
    config.search = text(members, "SearchString")?.or(config.search.take());
    config.inverted = flag(members, "Inverted")?.unwrap_or(config.inverted);
    config.disabled = flag(members, "Disabled")?.unwrap_or(config.disabled);
    config.sni = flag(members, "EnableSNI")?.unwrap_or(config.sni);
    let regions = read_regions(members)?;
    if !regions.is_empty() {
        config.regions = regions;
    }
    Ok(())
}

//! `ListHostedZonesByName`: in the order of their names with the labels reversed, then of their
//! ids, from the given name (and id) on.

use super::shapes;
use crate::access::Allowed;
use crate::api_limits::MAX_PAGE;
use crate::request::{Reply, Request, document, zone_id};
use crate::{Name, RoutingError, Service, catalogue};

pub(crate) async fn execute(
    service: &Service,
    request: &Request<'_>,
    allowed: &Allowed,
) -> Result<Reply, RoutingError> {
    let size = request.page_size(MAX_PAGE)?;
    let (name, id) = (
        request.parameter("dnsname"),
        request.parameter("hostedzoneid"),
    );
    let from_name = name.map(Name::parse).transpose().map_err(|error| {
        let shown: String = name.unwrap_or_default().chars().take(128).collect();
        RoutingError::InvalidDomainName(format!(
            "FATAL problem: {error} encountered with '{shown}'"
        ))
    })?;
    if name.is_none() && id.is_some() {
        return Err(RoutingError::invalid(
            "Invalid parameter: hostedzoneid must come with dnsname.",
        ));
    }
    let from_id = id.map(zone_id).transpose()?;
    let view = service.view();
    let mut zones = catalogue::zones(&*view, allowed.account())?;
    zones.sort_by(|one, other| (&one.name, &one.id).cmp(&(&other.name, &other.id)));
    if let Some(from) = &from_name {
        zones.retain(|zone| match &from_id {
            Some(id) => (&zone.name, &zone.id) >= (from, id),
            None => zone.name >= *from,
        });
    }
    let next = zones.get(size).cloned();
    zones.truncate(size);
    let mut writer = document("ListHostedZonesByNameResponse");
    shapes::zones(&mut writer, &*view, &zones)?;
    writer
        .optional("DNSName", name)
        .optional("HostedZoneId", id)
        .value("IsTruncated", next.is_some());
    if let Some(next) = next {
        writer
            .value("NextDNSName", &next.name)
            .value("NextHostedZoneId", &next.id);
    }
    writer.value("MaxItems", size);
    Ok(Reply::ok(writer))
}

//! `ListHostedZones`: in the order of their ids, from the marker on. There are no private zones
//! and no reusable delegation sets to ask for.

use super::shapes;
use crate::access::Allowed;
use crate::api_limits::MAX_PAGE;
use crate::request::{Reply, Request, document};
use crate::{RoutingError, Service, catalogue};

pub(crate) async fn execute(
    service: &Service,
    request: &Request<'_>,
    allowed: &Allowed,
) -> Result<Reply, RoutingError> {
    let size = request.page_size(MAX_PAGE)?;
    let marker = request.parameter("marker");
    if let Some(set) = request.parameter("delegationsetid") {
        return Err(RoutingError::NoSuchDelegationSet(
            set.chars().take(64).collect(),
        ));
    }
    let private_only = match request.parameter("hostedzonetype") {
        None => false,
        Some("PrivateHostedZone") => true,
        Some(_) => {
            return Err(RoutingError::invalid(
                "Invalid parameter: hostedzonetype must be PrivateHostedZone.",
            ));
        }
    };
    let view = service.view();
    let mut zones = catalogue::zones(&*view, allowed.account())?;
    let from = marker.unwrap_or("").trim_start_matches("/hostedzone/");
    zones.retain(|zone| !private_only && zone.id.as_str() >= from);
    let next = zones.get(size).map(|zone| zone.id.to_string());
    zones.truncate(size);
    let mut writer = document("ListHostedZonesResponse");
    shapes::zones(&mut writer, &*view, &zones)?;
    writer
        .value("Marker", marker.unwrap_or(""))
        .value("IsTruncated", next.is_some())
        .optional("NextMarker", next)
        .value("MaxItems", size);
    Ok(Reply::ok(writer))
}

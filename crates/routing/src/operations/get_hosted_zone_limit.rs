//! `GetHostedZoneLimit`: how many records a zone may have, and has.

use crate::access::Allowed;
use crate::api_limits::MAX_RECORD_SETS;
use crate::request::{Reply, Request, document};
use crate::{RoutingError, Service, catalogue};

pub(crate) async fn execute(
    service: &Service,
    request: &Request<'_>,
    allowed: &Allowed,
) -> Result<Reply, RoutingError> {
    let view = service.view();
    let (_, zone) = catalogue::zone(&*view, allowed.account(), &request.zone("Id")?)?;
    let kind = request.labels.get("Type");
    if kind == "MAX_VPCS_ASSOCIATED_BY_ZONE" {
        return Err(RoutingError::NotBuilt(
            "A private hosted zone (VPC)".to_owned(),
        ));
    }
    if kind != "MAX_RRSETS_BY_ZONE" {
        return Err(RoutingError::invalid(
            "Invalid parameter: the type must be MAX_RRSETS_BY_ZONE or \
             MAX_VPCS_ASSOCIATED_BY_ZONE.",
        ));
    }
    let mut writer = document("GetHostedZoneLimitResponse");
    writer
        .open("Limit")
        .value("Type", kind)
        .value("Value", MAX_RECORD_SETS)
        .close()
        .value("Count", catalogue::record_count(&*view, &zone.id)?);
    Ok(Reply::ok(writer))
}

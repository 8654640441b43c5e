//! `GetAccountLimit`: how much of a kind there may be, and is. Of what isn't built there is none.

use crate::access::Allowed;
use crate::api_limits::{MAX_HEALTH_CHECKS, MAX_ZONES};
use crate::request::{Reply, Request, document};
use crate::{RoutingError, Service, catalogue, check};

/// The service's limits of what isn't built, by type.
const OTHERS: [(&str, usize); 3] = [
    ("MAX_TRAFFIC_POLICY_INSTANCES_BY_OWNER", 5),
    ("MAX_REUSABLE_DELEGATION_SETS_BY_OWNER", 100),
    ("MAX_TRAFFIC_POLICIES_BY_OWNER", 50),
];

pub(crate) async fn execute(
    service: &Service,
    request: &Request<'_>,
    allowed: &Allowed,
) -> Result<Reply, RoutingError> {
    let view = service.view();
    let kind = request.labels.get("Type");
    let other = OTHERS.iter().find(|(name, _)| *name == kind);
    let (limit, count) = match (kind, other) {
        ("MAX_HEALTH_CHECKS_BY_OWNER", _) => {
            (MAX_HEALTH_CHECKS, check::count(&*view, allowed.account())?)
        }
        ("MAX_HOSTED_ZONES_BY_OWNER", _) => {
            (MAX_ZONES, catalogue::zone_count(&*view, allowed.account())?)
        }
        (_, Some((_, limit))) => (*limit, 0),
        _ => {
            return Err(RoutingError::invalid(
                "Invalid parameter: the type is none of the account's limits.",
            ));
        }
    };
    let mut writer = document("GetAccountLimitResponse");
    writer
        .open("Limit")
        .value("Type", kind)
        .value("Value", limit)
        .close()
        .value("Count", count);
    Ok(Reply::ok(writer))
}

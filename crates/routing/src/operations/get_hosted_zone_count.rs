//! `GetHostedZoneCount`.

use crate::access::Allowed;
use crate::request::{Reply, Request, document};
use crate::{RoutingError, Service, catalogue};

pub(crate) async fn execute(
    service: &Service,
    _: &Request<'_>,
    allowed: &Allowed,
) -> Result<Reply, RoutingError> {
    let mut writer = document("GetHostedZoneCountResponse");
    writer.value(
        "HostedZoneCount",
        catalogue::zone_count(&*service.view(), allowed.account())?,
    );
    Ok(Reply::ok(writer))
}

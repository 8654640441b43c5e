//! `GetHostedZoneCount`.

use crate::request::{Reply, Request, document};
use crate::{RoutingError, Service, catalogue};

pub(crate) async fn execute(service: &Service, _: &Request<'_>) -> Result<Reply, RoutingError> {
    let mut writer = document("GetHostedZoneCountResponse");
    writer.value("HostedZoneCount", catalogue::zone_count(&*service.view()));
    Ok(Reply::ok(writer))
}

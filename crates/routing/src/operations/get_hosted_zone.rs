//! `GetHostedZone`.

use super::shapes;
use crate::access::Allowed;
use crate::request::{Reply, Request, document};
use crate::{RoutingError, Service, catalogue};

pub(crate) async fn execute(
    service: &Service,
    request: &Request<'_>,
    allowed: &Allowed,
) -> Result<Reply, RoutingError> {
    let view = service.view();
    let (_, zone) = catalogue::zone(&*view, allowed.account(), &request.zone("Id")?)?;
    let mut writer = document("GetHostedZoneResponse");
    shapes::zone(
        &mut writer,
        &zone,
        catalogue::record_count(&*view, &zone.id)?,
    );
    shapes::delegation_set(&mut writer, &zone);
    Ok(Reply::ok(writer))
}

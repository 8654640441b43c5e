//! `GetDNSSEC`: no zone is signed, as signing isn't built. Clients ask before they delete a zone.

use crate::access::Allowed;
use crate::request::{Reply, Request, document};
use crate::{RoutingError, Service, catalogue};

pub(crate) async fn execute(
    service: &Service,
    request: &Request<'_>,
    allowed: &Allowed,
) -> Result<Reply, RoutingError> {
    catalogue::zone(&*service.view(), allowed.account(), &request.zone("Id")?)?;
    let mut writer = document("GetDNSSECResponse");
    writer
        .open("Status")
        .value("ServeSignature", "NOT_SIGNING")
        .close()
        .open("KeySigningKeys")
        .close();
    Ok(Reply::ok(writer))
}

//! `GetChange`: `INSYNC` once every live DNS node serves the change.

use super::shapes;
use crate::access::Allowed;
use crate::request::{Reply, Request, document};
use crate::{RoutingError, Service, changes};

pub(crate) async fn execute(
    service: &Service,
    request: &Request<'_>,
    allowed: &Allowed,
) -> Result<Reply, RoutingError> {
    let (revision, note) = changes::find(
        &*service.view(),
        allowed.account(),
        request.labels.get("Id"),
    )?;
    let mut writer = document("GetChangeResponse");
    shapes::change(&mut writer, &note, service.config.nodes.in_sync(revision));
    Ok(Reply::ok(writer))
}

//! `UpdateHostedZoneComment`: without a comment, the zone's is removed.

use super::shapes;
use crate::access::Allowed;
use crate::api_limits::MAX_COMMENT;
use crate::request::{Reply, Request, document};
use crate::{RoutingError, Service, catalogue};

pub(crate) async fn execute(
    service: &Service,
    request: &Request<'_>,
    allowed: &Allowed,
) -> Result<Reply, RoutingError> {
    let id = request.zone("Id")?;
    let members = request.members(&["Comment"])?;
    let comment = members.optional("Comment");
    let comment = comment
        .map(|text| text.bounded(0, MAX_COMMENT))
        .transpose()?;
    let comment = comment.filter(|comment| !comment.is_empty());
    let zone = service
        .change(id.as_str(), |view| {
            let (revision, mut zone) = catalogue::zone(view, allowed.account(), &id)?;
            zone.comment = comment.map(str::to_owned);
            Ok((vec![catalogue::write_zone(&zone, revision)], zone))
        })
        .await?;
    let records = catalogue::record_count(&*service.view(), &id)?;
    let mut writer = document("UpdateHostedZoneCommentResponse");
    shapes::zone(&mut writer, &zone, records);
    Ok(Reply::ok(writer))
}

//! `ChangeResourceRecordSets`: all changes of a batch or none; see `batch`.

use aws::rest::ROUTE53;

use super::shapes;
use crate::access::Allowed;
use crate::api_limits::MAX_COMMENT;
use crate::changes::ChangeNote;
use crate::request::{Reply, Request, document};
use crate::{RoutingError, Service, batch, catalogue, ids};

pub(crate) async fn execute(
    service: &Service,
    request: &Request<'_>,
    allowed: &Allowed,
) -> Result<Reply, RoutingError> {
    let id = request.zone("Id")?;
    let members = request.members(&["ChangeBatch"])?;
    let given = members.required("ChangeBatch", ROUTE53.namespace)?;
    let given = given.members(&["Comment", "Changes"])?;
    let comment = given.optional("Comment");
    let comment = comment
        .map(|text| text.bounded(0, MAX_COMMENT))
        .transpose()?;
    let drafts = batch::read_drafts(given.required("Changes", ROUTE53.namespace)?)?;
    // Of a zone that isn't there nothing else is said.
    catalogue::zone(&*service.view(), allowed.account(), &id)?;
    let changes = batch::settle(drafts)?;
    let note = ChangeNote {
        account: allowed.account(),
        id: ids::change(&*service.config.environment),
        submitted: service.now(),
        comment: comment.map(str::to_owned),
    };
    service
        .change(id.as_str(), |view| {
            let (revision, zone) = catalogue::zone(view, allowed.account(), &id)?;
            let mut edits = batch::apply(view, &zone, &changes, &*service.config.outside)?.edits();
            edits.push(catalogue::write_zone(&zone, revision));
            edits.extend(note.edits(view));
            Ok((edits, ()))
        })
        .await?;
    let mut writer = document("ChangeResourceRecordSetsResponse");
    shapes::change(&mut writer, &note, false);
    Ok(Reply::ok(writer))
}

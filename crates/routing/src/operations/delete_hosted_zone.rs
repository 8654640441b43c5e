//! `DeleteHostedZone`: of a zone that has nothing but the records it was made with. Its caller
//! reference is free again.

use types::{ConfigurationEdit, ConfigurationExpected};

use super::shapes;
use crate::access::Allowed;
use crate::changes::ChangeNote;
use crate::request::{Reply, Request, document};
use crate::{RecordKind, RoutingError, Service, catalogue, ids, keys, references, tags};

pub(crate) async fn execute(
    service: &Service,
    request: &Request<'_>,
    allowed: &Allowed,
) -> Result<Reply, RoutingError> {
    let id = request.zone("Id")?;
    let note = ChangeNote {
        account: allowed.account(),
        id: ids::change(&*service.config.environment),
        submitted: service.now(),
        comment: None,
    };
    service
        .change(id.as_str(), |view| {
            let (revision, zone) = catalogue::zone(view, allowed.account(), &id)?;
            let mut edits = note.edits(view);
            let mut required_only = true;
            catalogue::visit_groups(view, &id, &mut |name, kind, _| {
                required_only =
                    *name == zone.name && matches!(kind, RecordKind::Ns | RecordKind::Soa);
                edits.push(references::free(keys::records(&id, name, kind)));
                required_only
            })?;
            if !required_only {
                return Err(RoutingError::ZoneNotEmpty);
            }
            edits.push(ConfigurationEdit {
                key: keys::zone(&id),
                expected: ConfigurationExpected::Revision(revision),
                value: None,
            });
            let reference =
                references::key(references::Kind::Zone, zone.account, &zone.caller_reference);
            edits.push(references::free(reference));
            edits.extend(tags::Resource::Zone(id.clone()).removal(view));
            Ok((edits, ()))
        })
        .await?;
    let mut writer = document("DeleteHostedZoneResponse");
    shapes::change(&mut writer, &note, false);
    Ok(Reply::ok(writer))
}

//! Write forwarding of a cluster, as a request asks for it. Whether its Region may forward, every
//! Region must know: it stands in the council's row of the global cluster, and in the cluster's own
//! what was asked for.

use types::ConfigurationView;

use super::clusters;
use crate::catalogue;
use crate::error::DatabasesError;
use crate::request::DatabasesRequest;
use crate::service::Service;

/// The parameter.
const NAME: &str = "EnableGlobalWriteForwarding";

/// What a request asks for, if it does. It can be had by members of global clusters alone.
pub(super) fn asked(
    request: &DatabasesRequest<'_>,
    is_member: bool,
) -> Result<Option<bool>, DatabasesError> {
    let asked = request.flag(NAME)?;
    if asked == Some(true) && !is_member {
        let text = "EnableGlobalWriteForwarding can be specified only for a DB cluster of a global \
                    cluster.";
        return Err(DatabasesError::combination(text));
    }
    Ok(asked)
}

/// Has the global cluster's row say what a request asks for of a cluster that is there: before the
/// cluster's own does, so that a council that can't be reached leaves all as it is.
pub(super) async fn set(
    service: &Service,
    request: &DatabasesRequest<'_>,
) -> Result<Option<bool>, DatabasesError> {
    if request.flag(NAME)?.is_none() {
        return Ok(None);
    }
    let (_, cluster) = clusters::named(&*service.view(), request)?;
    let made = service.change_global_confirmed(|view: &dyn ConfigurationView| {
        let found = catalogue::global_of(view, &cluster.arn, &cluster.resource_id)?;
        let asked = asked(request, found.is_some())?;
        let (Some((revision, mut row)), Some(wanted)) = (found, asked) else {
            return Ok((Vec::new(), asked));
        };
        let member = row.members.get_mut(&cluster.arn.to_string());
        let member = member.filter(|member| member.write_forwarding != wanted);
        let Some(member) = member else {
            return Ok((Vec::new(), asked));
        };
        member.write_forwarding = wanted;
        let edit = catalogue::replace(catalogue::global_key(&row), revision, &row);
        Ok((vec![edit], asked))
    });
    let (asked, _) = made.await?;
    Ok(asked)
}

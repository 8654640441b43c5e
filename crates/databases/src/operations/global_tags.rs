//! Tags of global clusters, whose ARNs name no Region: to set, take away and list them. They are in
//! the council's row, so any Region that hears a majority takes the request.

use types::{AccountId, ConfigurationView};

use super::global_clusters;
use crate::automatic;
use crate::catalogue::{self, Row};
use crate::error::{DatabasesError, Refusal};
use crate::model::{GlobalCluster, Tags};
use crate::request::{DatabasesRequest, shown};
use crate::service::Service;

/// The global cluster that a request's `ResourceName` names; `None`: it names something else.
pub(crate) fn named<'a>(request: &DatabasesRequest<'a>) -> Result<Option<&'a str>, DatabasesError> {
    let text = request.required("ResourceName")?;
    let Some(rest) = text.strip_prefix("arn:aws:rds::") else {
        return Ok(None);
    };
    let Some((account, name)) = rest.split_once(":global-cluster:") else {
        return Ok(None);
    };
    match account.parse::<AccountId>() {
        Ok(account) if account == request.account() => Ok(Some(name)),
        _ => Err(missing(name)),
    }
}

/// The operations on tags have no error of their own for a global cluster that isn't there, in the
/// API's model; this one they have, and SDKs know it.
fn missing(name: &str) -> DatabasesError {
    let text = format!("Global cluster {} not found", shown(name));
    DatabasesError::refused(Refusal::DbClusterNotFound, text)
}

/// Refuses a name that no global cluster can have.
fn check_name(name: &str) -> Result<(), DatabasesError> {
    global_clusters::check_name(name).map_err(|_| missing(name))
}

/// The row of a global cluster.
fn found(
    view: &dyn ConfigurationView,
    request: &DatabasesRequest<'_>,
    name: &str,
) -> Result<Row<GlobalCluster>, DatabasesError> {
    global_clusters::named(view, request, name).map_err(|error| match error {
        DatabasesError::Refused(Refusal::GlobalClusterNotFound, _) => missing(name),
        other => other,
    })
}

/// Changes the tags of a global cluster as `amend` does; what they say of its failovers is checked.
pub(super) async fn change(
    service: &Service,
    request: &DatabasesRequest<'_>,
    name: &str,
    amend: impl Fn(&mut Tags) -> Result<(), DatabasesError>,
) -> Result<(), DatabasesError> {
    check_name(name)?;
    // What can't be whatever stands there.
    let mut alone = Tags::new();
    amend(&mut alone)?;
    automatic::span_of(&alone)?;
    let made = service.change_global_confirmed(|view: &dyn ConfigurationView| {
        let (revision, mut row) = found(view, request, name)?;
        let before = row.clone();
        amend(&mut row.tags)?;
        automatic::span_of(&row.tags)?;
        let edits = match row == before {
            true => Vec::new(),
            false => vec![catalogue::replace(
                catalogue::global_key(&row),
                revision,
                &row,
            )],
        };
        Ok((edits, ()))
    });
    made.await.map(drop)
}

/// The tags of a global cluster.
pub(super) async fn held(
    service: &Service,
    request: &DatabasesRequest<'_>,
    name: &str,
) -> Result<Tags, DatabasesError> {
    check_name(name)?;
    let read = service.change_global_confirmed(|view: &dyn ConfigurationView| {
        let (_, row) = found(view, request, name)?;
        Ok((Vec::new(), row.tags))
    });
    Ok(read.await?.0)
}

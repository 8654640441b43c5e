//! The first user of a cluster, as a request names it. The secondaries of a global cluster have
//! their writer's.

use crate::error::DatabasesError;
use crate::input::{names, password};
use crate::model::Master;
use crate::request::DatabasesRequest;
use crate::service::Service;

/// The first user and the verifier of its password; of a cluster that joins a global cluster
/// either may be missing, since it may be a secondary.
pub(super) fn read(
    service: &Service,
    request: &DatabasesRequest<'_>,
    is_member: bool,
) -> Result<Master, DatabasesError> {
    let username = request.text("MasterUsername");
    let username = username.map(names::master).transpose()?;
    let given = request.text("MasterUserPassword");
    let verifier = given
        .map(|given| password::verifier(given, service.environment()))
        .transpose()?;
    if !is_member && (username.is_none() || verifier.is_none()) {
        return Err(missing(username.is_none()));
    }
    Ok(Master {
        username: username.unwrap_or_default(),
        verifier,
        asked: 0,
        applied: 0,
    })
}

/// What is said where one is needed: its name is missing, or its password.
pub(super) fn missing(is_name: bool) -> DatabasesError {
    let name = match is_name {
        true => "MasterUsername",
        false => "MasterUserPassword",
    };
    let text = format!("The parameter {name} must be provided and must not be blank.");
    DatabasesError::value(text)
}

//! Finding what a request names, and what is said if it isn't there.

use types::ConfigurationView;

use crate::arn::InstanceArn;
use crate::catalogue::{self, Row};
use crate::error::{DatabasesError, Refusal};
use crate::input::names;
use crate::model::Instance;
use crate::request::{DatabasesRequest, shown};

/// The instance that a request names by `DBInstanceIdentifier`.
pub(super) fn named(
    view: &dyn ConfigurationView,
    request: &DatabasesRequest<'_>,
) -> Result<Row<Instance>, DatabasesError> {
    let parameter = "DBInstanceIdentifier";
    named_by(view, request, parameter, request.required(parameter)?)
}

/// The instance of that name, or of that ARN, as a request gives it in that parameter.
pub(super) fn named_by(
    view: &dyn ConfigurationView,
    request: &DatabasesRequest<'_>,
    parameter: &str,
    name: &str,
) -> Result<Row<Instance>, DatabasesError> {
    let found = match names::instance(parameter, name) {
        Ok(name) => catalogue::instance_named(view, &request.instance_arn(&name))?,
        // It may be an ARN; what is neither is nobody's name.
        Err(_) => match name.parse::<InstanceArn>() {
            Ok(arn) if arn.account == request.account() && arn.region == request.region() => {
                catalogue::instance_named(view, &arn)?
            }
            _ => None,
        },
    };
    found.ok_or_else(|| no_instance(name))
}

/// What is said if there is no such cluster.
pub(super) fn no_cluster(name: &str) -> DatabasesError {
    let text = format!("DBCluster {} not found.", shown(name));
    DatabasesError::refused(Refusal::DbClusterNotFound, text)
}

/// What is said if there is no such instance.
pub(super) fn no_instance(name: &str) -> DatabasesError {
    let text = format!("DBInstance {} not found.", shown(name));
    DatabasesError::refused(Refusal::DbInstanceNotFound, text)
}

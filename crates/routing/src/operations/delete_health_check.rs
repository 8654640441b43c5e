//! `DeleteHealthCheck`: also of one that records depend on, as the service does. Its caller
//! reference stays taken.

use types::{ConfigurationEdit, ConfigurationExpected};

use crate::access::Allowed;
use crate::request::{Reply, Request, document};
use crate::tags::Resource;
use crate::{RoutingError, Service, check, keys, references};

pub(crate) async fn execute(
    service: &Service,
    request: &Request<'_>,
    allowed: &Allowed,
) -> Result<Reply, RoutingError> {
    let id = request.health_check();
    service
        .change(&id.0, |view| {
            let (revision, check) = check::find(view, allowed.account(), &id)?;
            let mut edits = references::bury(
                view,
                references::Kind::HealthCheck,
                check.account,
                &check.reference,
            );
            edits.push(ConfigurationEdit {
                key: keys::check(&id),
                expected: ConfigurationExpected::Revision(revision),
                value: None,
            });
            edits.extend(Resource::HealthCheck(id.clone()).removal(view));
            Ok((edits, ()))
        })
        .await?;
    Ok(Reply::ok(document("DeleteHealthCheckResponse")))
}

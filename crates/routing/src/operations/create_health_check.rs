//! `CreateHealthCheck`. The same caller reference with the same settings is the same health
//! check; with others, or after it was deleted, it is refused.

use aws::rest::ROUTE53;
use types::{ConfigurationEdit, ConfigurationExpected};

use crate::access::Allowed;
use crate::api_limits::{MAX_CHECK_REFERENCE, MAX_HEALTH_CHECKS};
use crate::check::{self, StoredCheck};
use crate::request::{Reply, Request, document};
use crate::{RoutingError, Service, check_rules, ids, keys, references};

pub(crate) async fn execute(
    service: &Service,
    request: &Request<'_>,
    allowed: &Allowed,
) -> Result<Reply, RoutingError> {
    let members = request.members(&["CallerReference", "HealthCheckConfig"])?;
    let reference = members.required("CallerReference", ROUTE53.namespace)?;
    let reference = reference.bounded(1, MAX_CHECK_REFERENCE)?;
    let config = members.required("HealthCheckConfig", ROUTE53.namespace)?;
    let config = check_rules::read(config, &service.config.targets)?;
    let wanted = StoredCheck::new(allowed.account(), reference.to_owned(), config);
    let id = ids::health_check(&*service.config.environment);
    let (id, check) = service
        .change("health checks", |view| {
            let key = references::key(references::Kind::HealthCheck, allowed.account(), reference);
            if let Some(holder) = references::holder(view, &key) {
                let holder = types::HealthCheckId(holder);
                return match check::find(view, allowed.account(), &holder) {
                    Ok((_, found)) if found.config == wanted.config => {
                        Ok((Vec::new(), (holder, found)))
                    }
                    _ => Err(RoutingError::HealthCheckExists),
                };
            }
            if check::count(view, allowed.account())? >= MAX_HEALTH_CHECKS {
                return Err(RoutingError::TooManyHealthChecks(MAX_HEALTH_CHECKS));
            }
            let edits = vec![
                references::take(key, &id.0),
                ConfigurationEdit {
                    key: keys::check(&id),
                    expected: ConfigurationExpected::Absent,
                    value: Some(wanted.encode()),
                },
            ];
            Ok((edits, (id.clone(), wanted.clone())))
        })
        .await?;
    let mut writer = document("CreateHealthCheckResponse");
    check.shape(&mut writer, &id);
    Ok(Reply::created(writer, &format!("healthcheck/{id}")))
}

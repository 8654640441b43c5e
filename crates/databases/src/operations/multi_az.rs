//! `MultiAZ` of DB instances: asked for when one is made, changed, or restarted with
//! `ForceFailover`. What has its copies elsewhere, a replica or a cluster's instance, has no
//! standby: whoever reads their requests refuses it.

use types::{AvailabilityZone, ConfigurationView};

use crate::error::DatabasesError;
use crate::events::Telling;
use crate::model::{Instance, Power, Standby, SubnetGroup};
use crate::pairing;
use crate::request::DatabasesRequest;
use crate::service::Service;

/// The standby of a new instance, if its request asks for one.
pub(super) fn new(
    service: &Service,
    request: &DatabasesRequest<'_>,
    subnets: &SubnetGroup,
    zone: AvailabilityZone,
) -> Result<Option<Standby>, DatabasesError> {
    if request.flag("MultiAZ")? != Some(true) {
        return Ok(None);
    }
    if request.text("AvailabilityZone").is_some() {
        let text = "Requesting a specific availability zone is not valid for Multi-AZ instances.";
        return Err(DatabasesError::combination(text));
    }
    let zones = subnets.zones.iter().copied();
    pairing::draw(service.environment(), zones, zone).map(Some)
}

/// What `ModifyDBInstance` asks of it; it waits for the maintenance window unless it is to be at
/// once.
pub(super) fn modify(
    service: &Service,
    view: &dyn ConfigurationView,
    request: &DatabasesRequest<'_>,
    is_immediate: bool,
    instance: &mut Instance,
) -> Result<Option<Telling>, DatabasesError> {
    let Some(asked) = request.flag("MultiAZ")? else {
        return Ok(None);
    };
    let part = match (&instance.source, &instance.headship) {
        (Some(_), _) => Some("MultiAZ of a read replica"),
        (_, Some(_)) => Some("MultiAZ of a DB cluster's instance"),
        (None, None) => None,
    };
    if let Some(part) = part.filter(|_| asked) {
        return Err(DatabasesError::not_built(part));
    }
    instance.pending.multi_az = None;
    if asked == instance.standby.is_some() {
        return Ok(None);
    }
    match (is_immediate, asked) {
        (false, _) => {
            instance.pending.multi_az = Some(asked);
            Ok(None)
        }
        (true, true) => pairing::begin(view, service.environment(), instance),
        (true, false) => Ok(pairing::end(instance)),
    }
}

/// `RebootDBInstance` with `ForceFailover`: the standby takes over, if it may.
pub(super) fn force(instance: &mut Instance) -> Result<(), DatabasesError> {
    let name = &instance.arn.identifier;
    let is_running = instance.power == Power::Running;
    let Some(standby) = instance.standby.as_mut().filter(|_| is_running) else {
        let text = "ForceFailover cannot be specified since the instance is not configured for \
                    either MultiAZ or High Availability";
        return Err(DatabasesError::combination(text));
    };
    if !standby.is_in_step {
        let text = format!(
            "Instance {name} cannot fail over: its standby is out of step, and hasn't every commit \
             that was acknowledged."
        );
        return Err(DatabasesError::state(text));
    }
    standby.is_forced = true;
    Ok(())
}

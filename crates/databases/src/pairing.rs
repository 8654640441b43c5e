//! What an instance and its standby in another zone reach, written down in the instance's row. Each
//! holds only of the very standby that it was seen of: whoever comes late changes nothing. It
//! decides nothing of when: the plan does.

use types::{AvailabilityZone, ConfigurationView, Environment};

use crate::arn::{GroupArn, Kind};
use crate::catalogue;
use crate::error::{DatabasesError, Refusal};
use crate::events::{Category, Telling};
use crate::ids;
use crate::input::place::DEFAULT_SUBNET_GROUP;
use crate::model::{Instance, Standby, SubnetGroup};
use crate::plan::Record;

/// Has an instance have a standby in another zone of its subnet group from now on; what is told of
/// it. One that has one, or is somebody's copy, stays as it is.
pub(crate) fn begin(
    view: &dyn ConfigurationView,
    environment: &dyn Environment,
    instance: &mut Instance,
) -> Result<Option<Telling>, DatabasesError> {
    let is_own = instance.source.is_none() && instance.headship.is_none();
    if instance.standby.is_some() || !is_own {
        return Ok(None);
    }
    let zones = zones(view, instance)?;
    instance.standby = Some(draw(environment, zones, instance.zone)?);
    let text = "Applying modification to convert to a Multi-AZ DB instance";
    let category = Category::ConfigurationChange;
    Ok(Some(Telling::of_instance(instance, category, text)))
}

/// A standby that is to be made in one of those zones, but for the primary's.
pub(crate) fn draw(
    environment: &dyn Environment,
    zones: impl IntoIterator<Item = AvailabilityZone>,
    primary: AvailabilityZone,
) -> Result<Standby, DatabasesError> {
    let others = zones.into_iter().filter(|zone| *zone != primary);
    let others: Vec<AvailabilityZone> = others.collect();
    let count = u64::try_from(others.len()).unwrap_or_default().max(1);
    let place = usize::try_from(environment.random() % count).unwrap_or_default();
    let zone = others.get(place).copied();
    let zone = zone.ok_or_else(|| {
        let text = "DB Subnet Group doesn't meet availability zone coverage requirement. Please \
                    add subnets to cover at least 2 availability zones.";
        DatabasesError::refused(Refusal::DbSubnetGroupDoesNotCoverEnoughAzs, text)
    })?;
    Ok(Standby::new(ids::resource(environment), zone))
}

/// The zones of an instance's subnet group.
fn zones(
    view: &dyn ConfigurationView,
    instance: &Instance,
) -> Result<Vec<AvailabilityZone>, DatabasesError> {
    let arn = GroupArn {
        region: instance.arn.region,
        account: instance.arn.account,
        kind: Kind::SubnetGroup,
        name: instance.subnet_group.clone(),
    };
    let group = catalogue::group::<SubnetGroup>(view, &arn)?;
    Ok(match group {
        Some((_, group)) => group.zones.into_iter().collect(),
        None if arn.name == DEFAULT_SUBNET_GROUP => AvailabilityZone::of(arn.region).collect(),
        None => Vec::new(),
    })
}

/// Has an instance's standby be removed: it is waited for no more, and never takes over.
pub(crate) fn end(instance: &mut Instance) -> Option<Telling> {
    let standby = instance.standby.as_mut()?;
    if standby.is_leaving {
        return None;
    }
    standby.is_leaving = true;
    standby.is_in_step = false;
    standby.is_forced = false;
    let text = "Applying modification to convert to a standard (Single-AZ) DB instance";
    let category = Category::ConfigurationChange;
    Some(Telling::of_instance(instance, category, text))
}

/// Writes a record into the row, if it is of the standby that the row has; what is told of it.
pub(crate) fn reached(instance: &mut Instance, record: &Record) -> Vec<Telling> {
    let own = instance.standby.as_mut();
    match (record, own) {
        (Record::InStep { standby }, Some(own)) if own.home == *standby => in_step(instance),
        (Record::OutOfStep { standby }, Some(own)) if own.home == *standby && own.is_in_step => {
            own.is_in_step = false;
            own.is_forced = false;
            let text = "The standby of the Multi-AZ instance is out of step: until it is in step \
                        again the primary acknowledges alone, and nothing takes over";
            vec![Telling::of_instance(instance, Category::Notification, text)]
        }
        (Record::TakeOver { standby }, Some(own)) if own.home == *standby => take_over(instance),
        (Record::TookOver, Some(own)) if own.is_failing_over => took_over(instance),
        (Record::Parted { standby }, Some(own)) if own.home == *standby && own.is_leaving => {
            instance.standby = None;
            let text = "Finished applying modification to convert to a standard (Single-AZ) DB \
                        instance";
            let category = Category::ConfigurationChange;
            vec![Telling::of_instance(instance, category, text)]
        }
        _ => Vec::new(),
    }
}

fn in_step(instance: &mut Instance) -> Vec<Telling> {
    let Some(own) = instance.standby.as_mut() else {
        return Vec::new();
    };
    if own.is_in_step || own.is_leaving {
        return Vec::new();
    }
    own.is_in_step = true;
    let was_ready = std::mem::replace(&mut own.is_ready, true);
    let (category, text) = match was_ready {
        true => (
            Category::Failover,
            "Multi-AZ instance activation completed.",
        ),
        false => (
            Category::ConfigurationChange,
            "Finished applying modification to convert to a Multi-AZ DB instance",
        ),
    };
    vec![Telling::of_instance(instance, category, text)]
}

/// The standby is the primary from here on, and the primary's home is to be a standby's.
fn take_over(instance: &mut Instance) -> Vec<Telling> {
    let old = instance.home().clone();
    let Some(own) = instance.standby.as_mut() else {
        return Vec::new();
    };
    if !own.is_in_step || own.is_leaving || instance.deletion.is_some() {
        return Vec::new();
    }
    own.is_in_step = false;
    own.is_failing_over = true;
    std::mem::swap(&mut own.zone, &mut instance.zone);
    instance.home = Some(std::mem::replace(&mut own.home, old));
    let text = "Multi-AZ instance failover started.";
    vec![Telling::of_instance(instance, Category::Failover, text)]
}

fn took_over(instance: &mut Instance) -> Vec<Telling> {
    let Some(own) = instance.standby.as_mut() else {
        return Vec::new();
    };
    own.is_failing_over = false;
    let was_forced = std::mem::replace(&mut own.is_forced, false);
    let tell = |category, text| Telling::of_instance(instance, category, text);
    let restarted = was_forced.then(|| tell(Category::Availability, "DB instance restarted"));
    let told = [
        (Category::Failover, "Multi-AZ instance failover completed"),
        (Category::Failover, "Multi-AZ instance activation started."),
    ];
    let told = told
        .into_iter()
        .map(|(category, text)| tell(category, text));
    told.chain(restarted).collect()
}

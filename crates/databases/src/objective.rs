//! The recovery point objective of a cluster that writes for a global one, as its parameter group
//! has it. Whether it is met is judged in `lag`.

use types::{ConfigurationView, Span};

use crate::arn::{GroupArn, Kind};
use crate::catalogue;
use crate::codec::CodecError;
use crate::model::{Instance, ParameterGroup};
use crate::parameters::GLOBAL_DB_RPO;

/// How far behind every secondary may be before a cluster's head, if it writes, has commits wait:
/// `rds.global_db_rpo` of the cluster's parameter group; `None`: they never wait.
///
/// # Errors
///
/// Something that belongs to it can't be read.
pub fn global_db_rpo(
    view: &dyn ConfigurationView,
    instance: &Instance,
) -> Result<Option<Span>, CodecError> {
    let Some(headship) = &instance.headship else {
        return Ok(None);
    };
    let found = catalogue::cluster(view, &headship.cluster)?;
    let name = found.and_then(|(_, cluster)| cluster.parameter_group);
    let Some(name) = name else {
        return Ok(None);
    };
    let arn = GroupArn {
        region: instance.arn.region,
        account: instance.arn.account,
        kind: Kind::ClusterParameterGroup,
        name,
    };
    let found = catalogue::group::<ParameterGroup>(view, &arn)?;
    let value = found.and_then(|(_, group)| group.parameters.get(GLOBAL_DB_RPO).cloned());
    // A negative one, as by default, is none.
    let seconds = value.and_then(|(value, _)| value.parse::<u64>().ok());
    Ok(seconds.map(Span::seconds))
}

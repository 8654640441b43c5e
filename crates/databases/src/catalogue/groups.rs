//! Groups as they stand in the configuration: subnet, parameter and option groups. It judges no
//! change.

use types::{AccountId, ConfigurationView};

use super::{Row, row, rows};
use crate::arn::{GroupArn, Kind};
use crate::codec::{CodecError, Stored};
use crate::keys;
use crate::model::{OptionGroup, ParameterGroup, SubnetGroup};

/// A row that is a group.
pub(crate) trait Group: Stored + Clone + PartialEq {
    /// Its kind.
    const KIND: Kind;
}

impl Group for SubnetGroup {
    const KIND: Kind = Kind::SubnetGroup;
}

impl Group for ParameterGroup {
    const KIND: Kind = Kind::ParameterGroup;
}

impl Group for OptionGroup {
    const KIND: Kind = Kind::OptionGroup;
}

/// The group of that name that is kept, and the revision that wrote it. Default ones are not.
pub(crate) fn group<T: Group>(
    view: &dyn ConfigurationView,
    arn: &GroupArn,
) -> Result<Option<Row<T>>, CodecError> {
    row(view, &keys::group(arn))
}

/// An account's groups of a kind that are kept.
pub(crate) fn groups_of<T: Group>(
    view: &dyn ConfigurationView,
    account: AccountId,
) -> Result<Vec<Row<T>>, CodecError> {
    rows(view, &keys::groups(T::KIND, account))
}

/// An account's parameter groups of clusters that are kept.
pub(crate) fn cluster_parameter_groups_of(
    view: &dyn ConfigurationView,
    account: AccountId,
) -> Result<Vec<Row<ParameterGroup>>, CodecError> {
    rows(view, &keys::groups(Kind::ClusterParameterGroup, account))
}

//! Reading what requests give: names, subnets, actions, conditions and health checks into the
//! model's values, each by the API's rules. Whether what is named exists is asked elsewhere.

pub(crate) mod actions;
pub(crate) mod conditions;
pub(crate) mod health_check;
pub(crate) mod names;
pub(crate) mod subnets;

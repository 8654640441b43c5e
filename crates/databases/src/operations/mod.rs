//! The operations that are built: one module a resource and what is done to it. Each reads its
//! parameters, judges them on a view, and writes its answer.

pub(crate) mod clusters;
mod common;
pub(crate) mod descriptions;
pub(crate) mod events;
pub(crate) mod global_clusters;
mod heads;
pub(crate) mod instances;
mod members;
pub(crate) mod modify;
pub(crate) mod option_groups;
pub(crate) mod parameter_groups;
pub(crate) mod parameters;
pub(crate) mod power;
pub(crate) mod replicas;
pub(crate) mod restore;
pub(crate) mod snapshots;
pub(crate) mod subnet_groups;
pub(crate) mod tags;

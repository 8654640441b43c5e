//! The operations that are built: one module a resource and what is done to it. Each reads its
//! parameters, judges them on a view, and writes its answer.

mod addresses;
pub(crate) mod automated_backups;
pub(crate) mod cluster_deletion;
pub(crate) mod cluster_endpoints;
pub(crate) mod cluster_parameter_groups;
pub(crate) mod clusters;
mod common;
pub(crate) mod copy;
mod dead_heads;
pub(crate) mod descriptions;
pub(crate) mod events;
pub(crate) mod failover;
mod first_user;
mod forwarding;
mod found;
pub(crate) mod global_clusters;
pub(crate) mod global_tags;
mod heads;
mod in_step;
pub(crate) mod instances;
mod members;
pub(crate) mod modify;
mod multi_az;
pub(crate) mod option_groups;
pub(crate) mod parameter_groups;
pub(crate) mod parameters;
pub(crate) mod point_in_time;
pub(crate) mod power;
pub(crate) mod replicas;
pub(crate) mod restore;
pub(crate) mod snapshot_attributes;
pub(crate) mod snapshots;
mod source_clusters;
pub(crate) mod subnet_groups;
pub(crate) mod tags;

//! The operations that are built: one module a resource and what is done to it. Each reads its
//! parameters, judges them on a view, and writes its answer.

pub(crate) mod attributes;
pub(crate) mod descriptions;
pub(crate) mod listener_certificates;
pub(crate) mod listeners;
pub(crate) mod load_balancer_settings;
pub(crate) mod load_balancers;
pub(crate) mod rules;
pub(crate) mod tags;
pub(crate) mod target_groups;
pub(crate) mod targets;

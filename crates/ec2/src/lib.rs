//! The small part of EC2 that clients of the other services ask for: Regions, Availability Zones,
//! the default network, security groups and network interfaces, described. Nothing runs here, and
//! no packet is filtered: a security group is kept and shown, not enforced.

mod described;
mod error;
mod filter;
mod limits;
mod model;
mod network;
mod operation_table;
mod operations;
mod request;
mod service;
mod settings;
mod surroundings;

pub use service::{Service, ServiceConfig};
pub use settings::is_security_group;
pub use surroundings::{Instance, Interface, Surroundings};

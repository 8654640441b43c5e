//! Global Accelerator: its API, and accelerators, listeners and endpoint groups as configuration,
//! compiled into decisions of where a new flow goes. It opens no socket, probes nothing, and moves
//! no byte of a flow.

mod access;
pub mod arn;
pub mod catalogue;
pub mod codec;
mod endpoints;
mod error;
mod group_settings;
mod ids;
pub mod keys;
mod limits;
mod lookup;
pub mod model;
mod node;
mod operation_table;
mod operations;
mod pools;
mod ports;
mod request;
mod service;
mod shapes;
mod tags;

pub use error::AcceleratorError;
pub use node::{EndpointHealth, NodeView, Targets};
pub use pools::{Ipv4Network, PoolError, Pools};
pub use service::{Service, ServiceConfig};

//! Global Accelerator: its API, and accelerators, listeners and endpoint groups as configuration,
//! compiled into decisions of where a new flow goes. It opens no socket, probes nothing, and moves
//! no byte of a flow.

mod access;
pub mod arn;
mod board;
pub mod catalogue;
pub mod checks;
mod choose;
pub mod codec;
mod compiled;
mod endpoints;
mod error;
mod explain;
mod flow;
pub mod flow_log;
mod group_settings;
mod ids;
mod ipv6_pool;
pub mod keys;
mod limits;
mod lookup;
mod maglev;
pub mod model;
mod node;
mod operation_table;
mod operations;
mod pools;
mod ports;
mod proximity;
mod request;
mod service;
mod shapes;
mod site;
mod snapshot;
mod tags;

pub use board::{Board, MAX_SLOTS, Slot};
pub use checks::health_checks;
pub use choose::{Choice, ChooseContext, FAILOVER_GROUPS, NoChoice, Why};
pub use error::AcceleratorError;
pub use explain::{Chosen, ExplainedEndpoint, ExplainedGroup, ExplainedNode, Explanation};
pub use flow::{Flow, MAX_TRIED, Tried};
pub use ipv6_pool::{Ipv6Network, Ipv6PoolError};
pub use model::HealthState;
pub use node::{EndpointHealth, LogAnswer, LogBuckets, LogRefusal, NodeView, Targets};
pub use pools::{Ipv4Network, PoolError, Pools};
pub use service::{Service, ServiceConfig};
pub use site::Node;
pub use snapshot::{DnsEntry, ListensOn, Snapshot};

//! RDS: its API, and databases as configuration, with the plan that leads from what is observed of
//! a server to what is wanted of it. It opens no socket, starts no server, and knows no link: what
//! it plans is carried out, and what it must ask another Region is carried there, by others.

mod access;
mod arn;
mod attach;
pub mod catalogue;
mod classes;
mod codec;
mod engine;
mod error;
mod events;
mod headway;
mod ids;
mod input;
pub mod keys;
pub mod lease;
mod limits;
pub mod model;
mod move_events;
mod operation_table;
mod operations;
pub mod parameters;
pub mod plan;
mod pool;
mod progress;
mod request;
mod scram;
mod service;
mod shapes;
mod source;
mod status;
mod tags;
mod view;
mod window;
mod words;

pub use arn::{Arn, ClusterArn, GroupArn, InstanceArn, InvalidArn, Kind, SnapshotArn};
pub use attach::slot;
pub use codec::{CodecError, decode, encode};
pub use engine::{Engine, InvalidVersion};
pub use pool::{EndpointPool, InvalidPool};
pub use progress::ProgressError;
pub use service::{Service, ServiceConfig};
pub use source::{
    AttachRefusal, AttachRequest, SourceAnswer, SourceError, SourceFacts, SourceView,
};
pub use status::{ClusterServing, Fence, Serving, Status, serving, serving_cluster, status};
pub use view::{ServerView, Standing, Surroundings};

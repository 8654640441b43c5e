//! RDS: its API, and databases as configuration, with the plan that leads from what is observed of
//! a server to what is wanted of it. It opens no socket, starts no server, and knows no link: what
//! it plans is carried out, and what it must ask another Region is carried there, by others.

mod access;
mod arn;
mod attach;
pub mod automatic;
pub mod backups;
pub mod catalogue;
mod classes;
mod codec;
pub mod copies;
mod engine;
mod error;
mod events;
pub mod forced;
mod forwarding;
mod handover;
mod headway;
mod ids;
mod input;
pub mod keys;
pub mod lag;
pub mod lease;
mod limits;
mod membership;
mod memory;
pub mod model;
mod move_events;
mod objective;
mod operation_table;
mod operations;
mod pairing;
pub mod parameters;
pub mod plan;
mod pool;
mod progress;
mod public_words;
mod replication_events;
mod request;
mod scram;
mod service;
mod shapes;
pub mod silence;
mod source;
mod status;
mod tags;
mod view;
mod window;
mod words;

pub use arn::{Arn, ClusterArn, EndpointArn, GroupArn, InstanceArn, InvalidArn, Kind, SnapshotArn};
pub use attach::slot;
pub use codec::{CodecError, decode, encode};
pub use engine::{Engine, InvalidVersion};
pub use forwarding::{Forwarding, forwarded_to, forwarding, writer_of};
pub use objective::global_db_rpo;
pub use pool::{EndpointPool, InvalidPool};
pub use progress::ProgressError;
pub use replication_events::ReplicationNews;
pub use service::{Service, ServiceConfig};
pub use source::{
    AttachRefusal, AttachRequest, CopyRequest, SourceAnswer, SourceError, SourceFacts, SourceView,
};
pub use status::{
    ClusterServing, Fence, Serving, Status, serving, serving_cluster, serving_reader, status,
};
pub use view::{Archived, ServerView, Standing, Surroundings};

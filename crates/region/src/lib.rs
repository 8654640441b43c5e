//! One Region: its services, its front door, and a port for each peer. It wraps what services say
//! to a peer into envelopes, keeps the cursors of replication, and commits what arrives.
//!
//! Asynchronous but of no runtime: `runtime` runs its tasks over sockets, `world` over virtual
//! time. It opens no socket, reads no clock, and knows nothing of the other sites but the link.

mod accelerator;
mod apply;
mod asking;
mod balancers;
mod client;
mod databases;
mod error;
mod flow_logs;
mod front;
mod housekeeping;
mod lag;
mod log_files;
mod message;
mod network;
mod objects;
mod open;
mod operator;
mod peer;
mod planted;
mod probe;
mod receiver;
mod region;
mod regional;
mod replicas;
mod route53;
mod settings;
mod ship;
mod shipper;
mod standing;
mod status;

pub use crate::balancers::{
    BalancerCarrier, Balancers, BalancersOptions, BalancersStatus, LocalFacts,
};
pub use crate::databases::{
    DatabaseAnswer, DatabaseQuestion, DatabaseServers, DatabasesOptions, Leave, LeaveError,
    LeaveRefusal, LeaveRequest, ReplicationPassword,
};
pub use crate::objects::{
    ContentsVerified, EventStatus, LifecycleStatus, LostObject, LostObjects, ObjectsStatus,
    RuleLag, bucket_to_find,
};
pub use client::{Client, DoorSecret, InvalidDoorSecret};
pub use error::OpenError;
pub use lag::{Lag, Latency};
pub use message::{Answer, LogId, Message, MessageError, Question, Record};
pub use open::{ObjectsOptions, RegionConfig, RegionSecrets};
pub use operator::{
    Access, AccessExplained, AccountRow, KeyRow, Listing, OperatorError, OperatorQuestion,
    OverAccount, PolicyRow, PrincipalRow,
};
pub use planted::PlantedBug;
pub use receiver::{Cursor, Stretch};
pub use region::{Region, Task};
pub use regional::RegionalError;
pub use replicas::{Applied, Replica, Replicas};
pub use shipper::{CursorNews, Reading, Shipper};
pub use standing::{IdentityStatus, PrincipalCounts};
pub use status::{CouncilView, PeerStatus, Status, council_view};

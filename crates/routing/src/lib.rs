//! Route 53: zones, records and health checks as configuration, compiled into decisions, and DNS
//! packets answered from them. It opens no socket, probes nothing, and keeps nothing on disk.

mod answer;
mod board;
pub mod codec;
pub mod dns;
mod explain;
pub mod keys;
mod locate;
pub mod model;
pub mod name;
mod node;
mod random;
pub mod rdata;
mod serving;
mod snapshot;
mod zone;

pub use answer::{AnswerContext, Reply, Request, Transport};
pub use board::{HealthBoard, MAX_CHECKS, Slot};
pub use explain::{
    Considered, ExplainedClient, ExplainedRecord, ExplainedZone, Explanation, Inquiry, Step,
};
pub use locate::{Locator, Whereabouts};
pub use model::{
    Alias, Content, Continent, CountryCode, FailoverRole, Location, Policy, RecordKind, RecordSet,
    Selector, SubdivisionCode, Zone, ZoneId,
};
pub use name::{Name, NameError};
pub use node::Node;
pub use random::SmallRandom;
pub use serving::{Serving, UnknownNote};
pub use snapshot::Snapshot;

//! Route 53: zones, records and health checks as configuration, compiled into decisions, and DNS
//! packets answered from them. It opens no socket, probes nothing, and keeps nothing on disk.

mod access;
mod answer;
mod api_limits;
mod batch;
mod board;
mod catalogue;
mod changes;
mod check;
mod check_rules;
pub mod codec;
pub mod dns;
mod error;
mod explain;
mod ids;
pub mod keys;
mod locate;
pub mod model;
pub mod name;
mod node;
mod operation_table;
mod operations;
mod outside;
mod places;
mod random;
pub mod rdata;
mod references;
mod request;
mod service;
mod serving;
mod snapshot;
mod tags;
mod zone;

pub use answer::{AnswerContext, Reply, Request, Transport};
pub use board::{HealthBoard, MAX_CHECKS, Slot};
pub use check::health_checks;
pub use error::RoutingError;
pub use explain::{
    Considered, ExplainedClient, ExplainedRecord, ExplainedZone, Explanation, Inquiry, Step,
};
pub use locate::{DatabaseError, Found, Locator, Whereabouts};
pub use model::{
    Alias, Content, Continent, CountryCode, FailoverRole, Location, Policy, RecordKind, RecordSet,
    Selector, SubdivisionCode, Zone, ZoneId,
};
pub use name::{Name, NameError};
pub use node::Node;
pub use outside::{OutsideAddress, OutsideAnswer, OutsideName, OutsideNames, OutsideZone};
pub use random::SmallRandom;
pub use service::{
    NodeView, Observation, OutsideOf, Service, ServiceConfig, Targets, TestAnswer, TestQuestion,
};
pub use serving::{Serving, UnknownNote};
pub use snapshot::Snapshot;

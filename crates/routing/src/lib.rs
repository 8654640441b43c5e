//! Route 53: zones, records and health checks as configuration, compiled into decisions, and DNS
//! packets answered from them. It opens no socket, probes nothing, and keeps nothing on disk.

pub mod codec;
pub mod keys;
pub mod model;
pub mod name;
pub mod rdata;

pub use model::{
    Alias, Content, Continent, CountryCode, FailoverRole, Location, Policy, RecordKind, RecordSet,
    Selector, SubdivisionCode, Zone, ZoneId,
};
pub use name::{Name, NameError};

//! Replication rules: the configuration as S3 has it, what is refused of it and in which words,
//! and which rules choose a version. Pure, but for the questions to destinations' Regions. It
//! replicates nothing: that is `replication`.

mod check;
mod choice;
mod configuration;
mod destinations;

pub use check::{check, malformed};
pub use choice::{Candidate, Chosen, Operation, choose};
pub use configuration::{
    DeleteMarkers, Destination, Filter, Metrics, ReplicaEncryption, ReplicationConfiguration,
    ReplicationTime, Rule, SourceSelection, Status, Tag,
};
pub use destinations::not_configured;

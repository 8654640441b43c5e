//! Health checks, sans-IO: when to probe, what the probes' results amount to, and what the sites
//! tell each other of it. It opens no connection, reads no clock, and knows nothing of what its
//! verdicts are for.
//!
//! Every site is a checker. `checker` is its own probes and their verdicts, `board` what all
//! sites' verdicts amount to here, and [`Monitor`] the two together with the messages between
//! sites: a site drives it by [`Monitor::step`] alone.

mod board;
mod checker;
pub mod limits;
mod message;
mod monitor;
mod order;
mod random;
mod snapshot;
mod target;
mod verdict;

pub use board::{Basis, SiteObservation, Tally, healthy_by};
pub use checker::{ProbeRequest, Ticket};
pub use message::{Message, MessageError, Report};
pub use monitor::{Input, Monitor, MonitorConfig, Output};
pub use order::{Endpoint, Settings, SettingsError, endpoint, fingerprint, order};
pub use snapshot::SnapshotError;
pub use target::{TargetError, TargetPolicy};
pub use verdict::{Observation, Verdict};

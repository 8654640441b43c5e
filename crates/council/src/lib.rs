//! The council: a majority log of a deployment's sites, on raft-rs. It holds the global
//! configuration as settings that change by atomic compare-and-set, the same everywhere.
//!
//! `Council` is sans-IO: ticks and messages in; writes, messages and outcomes out. Its elections
//! draw no lots (see `timing`). `CouncilDriver` runs one over a `store::Engine` on any executor.
//! It knows no link (messages are bytes addressed to a site) and no service. Not built yet:
//! changing the sites of a running deployment, leases, reads that ask the leader.

mod codec;
mod configuration;
mod council;
mod driver;
mod entries;
mod error;
mod limits;
mod log;
mod logger;
mod members;
mod parts;
mod places;
mod recover;
mod saved;
mod settings;
mod state;
mod timing;
mod wire;

pub use council::{Council, CouncilConfig, Ready, ReadyToken};
pub use council::{CouncilStatus, Role};
pub use driver::CouncilDriver;
pub use error::CouncilError;
pub use limits::{
    KEPT_PLACES, MAX_CHANGE, MAX_EDITS, MAX_KEY, MAX_LOG_ENTRIES, MAX_MESSAGE, MAX_PENDING,
    MAX_SETTINGS,
};
pub use members::{Members, voters};
pub use recover::{RecoverError, Recovered, recover};
pub use saved::{Saved, load};
pub use settings::{Change, DEPLOYMENT, Edit, Expected, Refusal, Setting, Settings};
pub use state::{Applied, Outcome, ProposalId};
pub use timing::{TICK, Timing, largest_round_trip};

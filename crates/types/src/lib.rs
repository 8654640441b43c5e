//! The vocabulary every room of Causeway shares: Regions and sites, places, times, sizes,
//! versions, and the environment through which a core learns the time. Plain values; no I/O,
//! and no logic beyond parsing, ordering, printing, and the one loop that proposes changes.

mod account;
mod balancer;
mod balancer_zones;
pub mod calendar;
mod configuration;
mod environment;
mod fault_target;
mod geography;
mod health_check;
pub mod network;
mod place;
mod probe;
mod proposal;
mod region;
mod site;
mod size;
mod time;
mod version;
mod zone;

pub use account::{AccountId, InvalidAccountId};
pub use balancer::{BalancerDirectory, BalancerEntry, BalancerPort, RegionBalancers};
pub use balancer_zones::{BalancerKind, balancer_zone};
pub use configuration::{
    CatchUp, Configuration, ConfigurationEdit, ConfigurationEntry, ConfigurationError,
    ConfigurationExpected, ConfigurationView, Proposal,
};
pub use environment::{Environment, Sleep};
pub use fault_target::{FaultTarget, UnknownTarget};
pub use geography::{Geography, one_way_delay};
pub use health_check::{HealthCheck, HealthCheckId, HttpProbe, Probe, Tls};
pub use place::{Coordinates, Place};
pub use probe::{ProbeOrder, ProbeOutcome, ProbeStep, ProbeTimeouts, Prober};
pub use proposal::{MAX_PROPOSALS, propose, propose_confirmed};
pub use region::{Region, UnknownRegion};
pub use site::{Deployment, Site, SiteId, SiteName, UnknownSite};
pub use size::ByteSize;
pub use time::{Monotonic, Now, Span, Timestamp};
pub use version::{Context, Hlc, Version};
pub use zone::{AvailabilityZone, UnknownZone, ZoneLetter};

/// The account that owns everything in a lab.
pub const LAB_ACCOUNT: &str = "111122223333";

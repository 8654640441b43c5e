//! What every site does to steer users, Region or edge: it holds the compiled routing state of
//! the configuration on its own disk, probes endpoints and exchanges verdicts with the other
//! sites, and learns which edge serves which revision. Regions and edges put it to use; it
//! decides nothing that `routing` and `health` don't, and opens no socket.

mod accelerators;
mod balancers;
mod checking;
mod flow_logs;
mod names;
mod routes;
mod serving;
mod steering;
mod writers;

pub use accelerators::{ACCELERATOR_ZONE, AcceleratorsStatus, Carrier};
pub use balancers::{
    MAX_BALANCERS, MAX_CERTIFICATES, MAX_PORTS, MessageError, OpenBalancersError, TELL_EVERY,
};
pub use flow_logs::{FLOW_LOGS, LogAsked, LogOutcome, LogRequest, LogWanted, MAX_LOG_FILE};
pub use serving::{EdgeServing, SERVING_EVERY, SERVING_FRESHNESS};
pub use steering::{
    LinkWatch, MAX_FAULTS, OpenError, Steering, SteeringOptions, SteeringStatus, Task,
};

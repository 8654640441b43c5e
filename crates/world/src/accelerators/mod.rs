//! Accelerators in a world: settings and load balancers that change, endpoints that come and go,
//! sites that are cut off, killed and started again; and flows at every site. It judges where flows
//! go by the developer guide's words, written apart, and moves no byte of one.

mod draw;
mod guide;
mod simulation;

pub use guide::WrongRule;
pub use simulation::{AcceleratorsReport, simulate_accelerators};

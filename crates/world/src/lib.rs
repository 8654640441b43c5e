//! Many Regions, edges and links in one thread: the production code under virtual time, with
//! seeded faults and checkers that share no code with what they check.
//!
//! It simulates networks, disks, clocks and crashes. It can't show what the kernel, the real
//! engine or PostgreSQL do: tests of real processes do that.

mod accelerators;
mod check;
mod deployment;
mod endpoints;
mod executor;
mod faults;
mod history;
mod objects;
mod opening;
mod random;
mod simulation;
mod slow;
mod time;
mod trace;
mod wires;
mod workload;
mod world;

pub use accelerators::{AcceleratorsReport, WrongRule, simulate_accelerators};
pub use check::{Conflict, HeldState, Holdings, Violation, check};
pub use deployment::REGIONS;
pub use endpoints::Endpoints;
pub use executor::Executor;
pub use faults::{Fault, schedule};
pub use history::{History, Outcome, Write, WriteId};
pub use objects::{
    Attempt, Held, HeldVersion, ObjectsFault, ObjectsReport, Told, simulate_objects,
};
pub use random::Random;
pub use simulation::{Report, simulate};
pub use slow::SlowEngine;
pub use time::{SiteEnvironment, VirtualTime};
pub use trace::Trace;
pub use wires::Wire;
pub use workload::{Client, Habits, TABLE, work};
pub use world::{PlantedBug, World};

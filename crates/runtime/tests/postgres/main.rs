//! Real PostgreSQL servers: made, stopped, killed, copied, promoted, kept as snapshots, and
//! attacked by their own users. Each test says so and passes over when none is installed.
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    clippy::unwrap_used,
    reason = "a test starts processes, opens sockets, waits and reads its environment"
)]

mod archives;
mod aurora;
mod behind;
mod faults;
mod lives;
mod long_tails;
mod old_logs;
mod only_in_data;
mod powers;
mod relay;
mod returns;
mod rig;
mod standbys;
mod tails;

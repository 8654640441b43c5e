//! The balancer over real sockets: clients that speak HTTP/1.x byte by byte, HTTP/2 by hyper, and
//! what is no HTTP at all; targets that answer, hang, break off and lie.
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    clippy::unwrap_used,
    reason = "a test plays clients and targets: it opens sockets and waits"
)]

mod bodies;
mod closing;
mod frames;
mod http1;
mod http2;
mod lasting;
mod rig;
mod secure;
mod smuggling;

//! Flows over real sockets: endpoints that refuse, hang and break, clients that are slow, limits
//! that are met, and that what goes in comes out.
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    clippy::unwrap_used,
    reason = "a test plays clients and endpoints: it opens sockets and waits"
)]

mod anycast;
mod bulk;
mod ipv6;
mod records;
mod room;
mod stand;
mod tcp;
mod udp;

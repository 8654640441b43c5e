//! The link: the only way between two sites. It admits, seals, meters and shapes what crosses.
//!
//! The contract is deliberately weak. A link may delay, it may be cut in either direction, it may
//! lose everything that was queued or under way when a connection ends, and across reconnects its
//! users may send a thing again: an envelope arrives late, once, twice or never. While a
//! connection (with its replacements by age) lasts, the envelopes of one lane arrive in order and
//! none is missing; `Link::generation` tells when that ended. Users must be correct anyway:
//! cursors, idempotent application, resumption.
//!
//! Sans-IO: no sockets, threads, clocks or tasks. `runtime` drives it over TCP and TLS, `world`
//! over virtual time. It doesn't know what an envelope means and holds no cursors.

pub mod certificate;
mod class;
mod connection;
mod envelope;
pub mod frame;
pub mod handshake;
mod inbound;
mod invariants;
mod lifecycle;
mod link;
mod meter;
mod outbound;
mod port;
mod receive;
mod session;
mod shape;
mod streams;
mod transmit;

pub use class::{Class, Lane, UnknownLane};
pub use connection::{ConnectionId, HEARTBEAT};
pub use envelope::{
    Admission, Admitted, InvalidEnvelope, MAXIMUM_PAYLOAD, MAXIMUM_RESOURCE, Plain, Refused,
    Sealed, Service,
};
pub use inbound::{Delivery, ProtocolError, Receipt};
pub use lifecycle::{
    DIAL_TIMEOUT, FIRST_BACKOFF, LINGER, MAXIMUM_BACKOFF, MAXIMUM_CONNECTIONS, SILENCE,
};
pub use link::{
    Action, CloseReason, ConnectionRefused, Link, LinkConfig, MAXIMUM_AGE, MINIMUM_WINDOW,
    SendError, Windows,
};
pub use meter::{Crossing, MAXIMUM_RESOURCES, OTHER_RESOURCES, Traffic};
pub use outbound::{QUEUE_BYTES, QUEUE_ENVELOPES, UNTAKEN_BYTES};
pub use port::{Port, PortError};
pub use session::{Session, SessionError, WrongPeer};
pub use shape::{Cut, MAXIMUM_RETRANSMISSIONS, RETRANSMISSION, Shape};
pub use streams::{
    FIRST_WINDOW, KEEP_ALIVE, LinkStanding, MAXIMUM_CHUNK, MAXIMUM_STREAMS, MAXIMUM_TARGET,
    MAXIMUM_WINDOW, Multiplexer, OpenStreamError, SEND_BUFFER, STREAM_SILENCE, StreamCounts,
    StreamEnd, StreamExchange, StreamId, StreamMessage, StreamMessageError, StreamOffer,
    StreamRead, StreamReset, WINDOW_BUDGET,
};
pub use transmit::BATCH;

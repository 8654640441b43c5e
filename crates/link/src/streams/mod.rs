//! Byte streams over the lane `stream`: what a local connection says is heard by one that the peer
//! makes, in order and whole, or the stream is reset. PostgreSQL's WAL travels so.
//!
//! A stream is less than the link's other users: it resumes nothing. Once the link's connection is
//! lost, or an envelope is missing or comes twice, the streams it could concern are reset and
//! their users connect again. Each is held by credit of its own, so one whose receiver takes
//! nothing holds its sender, and never the lane or its class.
//!
//! `Multiplexer` is the machine, sans-IO; `StreamExchange` is where a site's Region, which puts
//! the messages into envelopes, and the driver of the local connections meet. Neither looks into
//! what a stream carries, nor knows what its target means.

mod exchange;
mod message;
mod multiplexer;
mod standing;
mod stream;

pub use exchange::{StreamEnd, StreamExchange, StreamOffer};
pub use message::{MAXIMUM_CHUNK, MAXIMUM_TARGET, StreamId, StreamMessageError, StreamReset};
pub use multiplexer::{KEEP_ALIVE, MAXIMUM_STREAMS, Multiplexer, STREAM_SILENCE, StreamMessage};
pub use standing::{LinkStanding, OpenStreamError, StreamCounts};
pub use stream::{FIRST_WINDOW, MAXIMUM_WINDOW, SEND_BUFFER, StreamRead, WINDOW_BUDGET};

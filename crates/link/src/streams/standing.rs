//! What a multiplexer is told of its link, and what it tells of its streams. Plain values.

use types::Span;

use super::multiplexer::MAXIMUM_STREAMS;

/// How the link stands: as its port says.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct LinkStanding {
    /// `Port::generation` of the lane's class.
    pub generation: u64,
    /// Whether there is a connection for the lane.
    pub is_connected: bool,
    /// The round trip, while it is known.
    pub round_trip: Span,
}

/// Why no stream was opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum OpenStreamError {
    /// There is no connection to the peer.
    #[error("there is no connection to the peer")]
    NotConnected,
    /// As many are open as may be.
    #[error("{MAXIMUM_STREAMS} streams to the peer are open already")]
    TooMany,
    /// The target is empty, or longer than `MAXIMUM_TARGET`.
    #[error("a target has 1 to {} bytes", super::MAXIMUM_TARGET)]
    Target,
}

/// What has happened with a peer's streams since the start.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct StreamCounts {
    /// Streams that are known here now.
    pub open: u64,
    /// Streams that were opened here.
    pub opened: u64,
    /// Streams that the peer opened and this end offered to be taken.
    pub offered: u64,
    /// Streams that ended in disorder, whoever was the cause.
    pub resets: u64,
    /// Messages that couldn't be read.
    pub unreadable: u64,
}

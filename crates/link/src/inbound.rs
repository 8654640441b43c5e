//! What arrives.
use bytes::Bytes;
use types::SiteName;

use crate::{Class, Lane, Service};

/// An envelope that arrived.
#[derive(Debug)]
pub struct Delivery {
    /// The site that sent it, as its certificate proved.
    pub from: SiteName,
    /// The lane.
    pub lane: Lane,
    /// The service.
    pub service: Service,
    /// The resource.
    pub resource: String,
    /// How many records it says it holds.
    pub records: u32,
    /// The payload.
    pub payload: Bytes,
    /// Hand it to `Link::consumed` when done.
    pub receipt: Receipt,
}

/// Stands for the room that a delivery takes in its window.
#[derive(Debug)]
#[must_use = "unless it is given to `Link::consumed`, the peer's credit shrinks for ever"]
pub struct Receipt {
    pub(crate) class: Class,
    pub(crate) bytes: u64,
}

/// How the peer broke the protocol.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProtocolError {}

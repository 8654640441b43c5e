//! What a choice is made with, and what comes of it: plain values.

use std::net::SocketAddr;

use serde::Serialize;
use types::Region;

use crate::board::Board;
use crate::model::{AcceleratorId, EndpointGroupId, EndpointTarget, ListenerId};

/// What a choice depends on beside the flow and the configuration.
#[derive(Clone, Copy, Debug)]
pub struct ChooseContext<'a> {
    /// How the endpoints are.
    pub board: &'a Board,
    /// The Region from which it is reckoned what is near: the client's place if that is known,
    /// the edge's otherwise.
    pub place: Region,
}

/// Where a flow goes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Choice<'a> {
    /// The accelerator.
    pub accelerator: &'a AcceleratorId,
    /// The listener.
    pub listener: &'a ListenerId,
    /// The endpoint group.
    pub group: &'a EndpointGroupId,
    /// The group's Region.
    pub region: Region,
    /// The endpoint.
    pub endpoint: &'a EndpointTarget,
    /// Where to connect to.
    pub address: SocketAddr,
    /// Is the endpoint to be told the client's address?
    pub preserves_client: bool,
    /// By which rule.
    pub why: Why,
}

/// By which rule an endpoint was chosen.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Why {
    /// Its group is the nearest, and the group's dial lets the flow stay.
    Nearest,
    /// Its group is the nearest whose dial lets the flow stay.
    Dialed,
    /// The group that the flow was directed to has no healthy endpoint; its group is the nearest
    /// that has one.
    Failover,
    /// No group that was asked has a healthy endpoint.
    FailOpen,
}

/// Why a flow goes nowhere.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, thiserror::Error)]
#[serde(rename_all = "snake_case")]
pub enum NoChoice {
    /// The address is no accelerator's.
    #[error("no accelerator has this address")]
    NoAccelerator,
    /// The accelerator doesn't take traffic.
    #[error("the accelerator is disabled")]
    Disabled,
    /// No listener takes that protocol at that port.
    #[error("no listener takes this protocol at this port")]
    NoListener,
    /// Every group's traffic dial is 0.
    #[error("every endpoint group's traffic dial is 0")]
    DialedDown,
    /// The listener has no endpoint.
    #[error("the listener has no endpoint")]
    NoEndpoint,
    /// Every endpoint that comes into question was tried.
    #[error("every endpoint was tried")]
    AllTried,
}

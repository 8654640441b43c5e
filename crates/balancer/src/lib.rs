//! Elastic Load Balancing v2: its API, and load balancers, listeners, rules and target groups as
//! configuration, compiled into decisions of where a request goes. It opens no socket, probes
//! nothing, and moves no byte of a request.

// Until the operations that use the rest are here.
#![allow(dead_code)]

mod arn;
mod attributes;
pub mod catalogue;
mod cidr;
mod codec;
pub mod keys;
pub mod model;
mod node;
mod words;

pub use arn::{Arn, InvalidArn, ListenerArn, LoadBalancerArn, RuleArn, TargetGroupArn};
pub use attributes::{
    Algorithm, Attributes, DesyncMitigationMode, ForwardedForMode, MinimumHealthy, Stickiness,
};
pub use cidr::{Cidr, InvalidCidr};
pub use codec::{CodecError, decode, encode};
pub use node::{NodeView, Surroundings, TargetHealth, TargetReason, TargetState};

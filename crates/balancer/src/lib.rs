//! Elastic Load Balancing v2: its API, and load balancers, listeners, rules and target groups as
//! configuration, compiled into decisions of where a request goes. It opens no socket, probes
//! nothing, and moves no byte of a request.

mod access;
mod access_log;
mod action;
mod algorithm;
mod arn;
mod attributes;
pub mod catalogue;
mod cidr;
mod codec;
mod compiled;
mod directory;
mod error;
mod explain;
mod forwarding;
pub mod headers;
pub mod health;
mod hosted_zones;
mod ids;
mod input;
pub mod keys;
mod limits;
mod listen;
pub mod model;
mod node;
mod operation_table;
mod operations;
mod pattern;
mod pools;
mod request;
mod route;
mod rules;
mod security_policy;
mod service;
mod shapes;
mod slow_start;
mod snapshot;
mod stickiness;
mod tags;
mod targets;
mod words;

pub use access_log::{AccessLogEntry, LogType, log_key, test_key};
pub use arn::{
    Arn, InvalidArn, ListenerArn, LoadBalancerArn, RuleArn, TargetGroupArn, certificate_account,
};
pub use attributes::{
    Algorithm, Attributes, DesyncMitigationMode, ForwardedForMode, MinimumHealthy, Stickiness,
};
pub use cidr::{Cidr, InvalidCidr};
pub use codec::{CodecError, decode, encode};
pub use compiled::CompiledBalancer;
pub use explain::{ExplainedRule, ExplainedTarget, Explanation};
pub use hosted_zones::hosted_zone;
pub use listen::{Listening, Transport};
pub use node::{NodeView, Surroundings, TargetHealth, TargetReason, TargetState};
pub use pools::{NodePools, PoolError};
pub use route::{Circumstances, Decision, FlowForwarding, Forwarding, Picked, Routed};
pub use rules::Head;
pub use security_policy::SecurityPolicy;
pub use service::{Service, ServiceConfig};
pub use snapshot::Snapshot;
pub use stickiness::{COOKIE_KEY_BYTES, CookieSealer};
pub use targets::{LiveTarget, MAX_TRIED, Member, NoTarget, TargetSet, Tried, UnderWay, WhyTarget};

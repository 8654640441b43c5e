//! What the API asks of the Region that it runs in: whether its nodes serve a revision, how targets
//! are, what instances and certificates there are, and which addresses may be targets. It finds
//! none of it out itself.

use std::net::IpAddr;

use types::AvailabilityZone;

use crate::arn::TargetGroupArn;
use crate::model::TargetKey;
use crate::words::words;

/// What the API asks of the Region's nodes and of their checks of targets. The Region implements
/// it.
pub trait NodeView: Send + Sync + 'static {
    /// Do this Region's nodes serve that revision of its configuration, or a later one?
    fn serves(&self, revision: u64) -> bool;

    /// How a target is. Only targets of the group's are asked for, those that drain among them.
    fn target_health(&self, group: &TargetGroupArn, target: &TargetKey) -> TargetHealth;
}

/// What the API asks of what else is in the Region. The Region implements it.
pub trait Surroundings: Send + Sync + 'static {
    /// The address and the zone of the instance of that id, if there is one.
    fn instance(&self, id: &str) -> Option<(IpAddr, AvailabilityZone)>;

    /// The zone that an address is in, if it is one of the Region's zones.
    fn zone_of(&self, address: IpAddr) -> Option<AvailabilityZone>;

    /// May this address be a target? Who connects to it asks again.
    fn allows_target(&self, address: IpAddr) -> bool;

    /// The setting that says so, as the operator writes it.
    fn target_setting(&self) -> &str;

    /// Is there a certificate of that ARN, with a key that listeners here can use?
    fn has_certificate(&self, arn: &str) -> bool;

    /// Is there a security group of that id?
    fn has_security_group(&self, id: &str) -> bool;
}

words! {
    /// How a target is, as the API has it (`TargetHealthStateEnum`).
    pub enum TargetState {
        /// It is being registered, or checked for the first time.
        Initial = "initial",
        /// It gets traffic.
        Healthy = "healthy",
        /// It gets none, while enough others are healthy.
        Unhealthy = "unhealthy",
        /// It became unhealthy, and keeps what it has for a while.
        UnhealthyDraining = "unhealthy.draining",
        /// It gets none, and isn't checked.
        Unused = "unused",
        /// It was deregistered, and keeps what it has for a while.
        Draining = "draining",
        /// It isn't known how it is.
        Unavailable = "unavailable",
    }
}

words! {
    /// Why a target is so, as the API has it (`TargetHealthReasonEnum`).
    pub enum TargetReason {
        /// `initial`: it is being registered.
        RegistrationInProgress = "Elb.RegistrationInProgress",
        /// `initial`: it has not been checked often enough.
        InitialHealthChecking = "Elb.InitialHealthChecking",
        /// `unhealthy`: it answered with a status that is no success.
        ResponseCodeMismatch = "Target.ResponseCodeMismatch",
        /// `unhealthy`: it didn't answer in time.
        Timeout = "Target.Timeout",
        /// `unhealthy`: it took no connection, or answered what isn't HTTP.
        FailedHealthChecks = "Target.FailedHealthChecks",
        /// `unused`: it isn't registered.
        NotRegistered = "Target.NotRegistered",
        /// `unused`: no load balancer uses the group, or none has the target's zone.
        NotInUse = "Target.NotInUse",
        /// `draining`: it is being deregistered.
        DeregistrationInProgress = "Target.DeregistrationInProgress",
        /// `unused`: it doesn't run.
        InvalidState = "Target.InvalidState",
        /// `unused`: its address is a load balancer's.
        IpUnusable = "Target.IpUnusable",
        /// `unavailable`: the group's targets aren't checked.
        HealthCheckDisabled = "Target.HealthCheckDisabled",
        /// `unhealthy` and `unavailable`: something here failed.
        InternalError = "Elb.InternalError",
    }
}

/// How a target is, and why.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TargetHealth {
    /// How it is.
    pub state: TargetState,
    /// Why; of healthy ones nothing.
    pub reason: Option<TargetReason>,
    /// The same in words; of healthy ones nothing.
    pub description: Option<String>,
}

//! What must hold between a load balancer's actions and the target groups that they name. Judged
//! on a view, when either changes.

use types::ConfigurationView;

use crate::arn::{LoadBalancerArn, TargetGroupArn};
use crate::catalogue;
use crate::codec::CodecError;
use crate::error::{BalancerError, Refusal};
use crate::limits::MAX_GROUPS_PER_BALANCER;
use crate::model::{Action, LoadBalancer, Protocol, ProtocolVersion, TargetGroup};

/// May a listener of that protocol forward as that action does?
///
/// # Errors
///
/// A target group isn't there, speaks another protocol, or is another load balancer's.
pub(crate) fn check_action(
    view: &dyn ConfigurationView,
    balancer: &LoadBalancerArn,
    protocol: Protocol,
    action: &Action,
) -> Result<(), BalancerError> {
    for arn in action.target_groups() {
        // What isn't the load balancer's owner's isn't there.
        let group = match arn.account == balancer.account {
            true => catalogue::group(view, arn)?,
            false => None,
        };
        let (_, group) = group.ok_or_else(|| {
            let text = format!("Target group '{arn}' not found");
            BalancerError::refused(Refusal::TargetGroupNotFound, text)
        })?;
        check_protocol(protocol, &group)?;
        let others = users(view, arn)?;
        if others.iter().any(|other| other != balancer) {
            let text = format!(
                "The following target groups cannot be associated with more than one load \
                 balancer: {arn}"
            );
            return Err(BalancerError::refused(
                Refusal::TargetGroupAssociationLimit,
                text,
            ));
        }
    }
    Ok(())
}

/// Can a listener of that protocol forward to that group? (Application and Network Load Balancers
/// User Guides, "Listeners".)
fn check_protocol(listener: Protocol, group: &TargetGroup) -> Result<(), BalancerError> {
    let fits = match listener {
        Protocol::Http | Protocol::Https => {
            matches!(group.protocol, Protocol::Http | Protocol::Https)
        }
        Protocol::Tcp => matches!(group.protocol, Protocol::Tcp | Protocol::TcpUdp),
        Protocol::Tls => matches!(group.protocol, Protocol::Tcp | Protocol::Tls),
        Protocol::Udp => matches!(group.protocol, Protocol::Udp | Protocol::TcpUdp),
        Protocol::TcpUdp => group.protocol == Protocol::TcpUdp,
    };
    if !fits {
        let text = format!(
            "The protocol '{}' of target group '{}' is not compatible with the protocol \
             '{listener}' of the listener",
            group.protocol, group.arn
        );
        return Err(BalancerError::refused(Refusal::IncompatibleProtocols, text));
    }
    if group.version == Some(ProtocolVersion::Grpc) && listener != Protocol::Https {
        let text = format!(
            "Listener protocol '{listener}' is not supported with a target group with the \
             protocol-version 'GRPC'"
        );
        return Err(BalancerError::configuration(text));
    }
    Ok(())
}

/// Has the load balancer no more target groups than it may?
pub(crate) fn check_count(balancer: &LoadBalancer) -> Result<(), BalancerError> {
    if balancer.target_groups().len() <= MAX_GROUPS_PER_BALANCER {
        return Ok(());
    }
    let text = format!(
        "The maximum number of target groups for load balancer '{}' is {MAX_GROUPS_PER_BALANCER}",
        balancer.arn
    );
    Err(BalancerError::refused(
        Refusal::TooManyUniqueTargetGroups,
        text,
    ))
}

/// The load balancers that forward to a target group.
///
/// # Errors
///
/// A load balancer can't be read.
pub(crate) fn users(
    view: &dyn ConfigurationView,
    group: &TargetGroupArn,
) -> Result<Vec<LoadBalancerArn>, CodecError> {
    let held = catalogue::balancers_of(view, group.account)?;
    let using = held.into_iter().map(|(_, balancer)| balancer);
    let using = using.filter(|balancer| balancer.target_groups().contains(&group));
    Ok(using.map(|balancer| balancer.arn).collect())
}

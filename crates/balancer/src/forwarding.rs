//! What must hold between a load balancer's actions and the target groups that they name. Judged
//! on a view, when either changes.

use std::collections::BTreeSet;

use types::ConfigurationView;

use crate::arn::{LoadBalancerArn, TargetGroupArn};
use crate::codec::{CodecError, decode};
use crate::error::{BalancerError, Refusal};
use crate::limits::MAX_GROUPS_PER_BALANCER;
use crate::model::{Action, LoadBalancer, Protocol, ProtocolVersion, TargetGroup};
use crate::{catalogue, keys};

/// May a listener of that protocol, of that load balancer, forward as those actions do?
///
/// # Errors
///
/// A target group isn't there, speaks another protocol, or is another load balancer's.
pub(crate) fn check<'a>(
    view: &dyn ConfigurationView,
    balancer: &LoadBalancerArn,
    protocol: Protocol,
    actions: impl IntoIterator<Item = &'a Action>,
) -> Result<(), BalancerError> {
    let actions = actions.into_iter();
    let named: BTreeSet<&TargetGroupArn> = actions.flat_map(Action::target_groups).collect();
    for arn in named {
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
        if users(view, arn)?.iter().any(|other| other != balancer) {
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
/// A load balancer that seems to can't be read.
pub(crate) fn users(
    view: &dyn ConfigurationView,
    group: &TargetGroupArn,
) -> Result<Vec<LoadBalancerArn>, CodecError> {
    let mut found = Ok(Vec::new());
    view.visit(keys::BALANCERS, &mut |_, _, bytes| {
        // Reading a row costs far more than looking for an id in it, which few have.
        let has_id = std::str::from_utf8(bytes).is_ok_and(|text| text.contains(&group.id.0));
        let Ok(users) = &mut found else { return };
        if !has_id {
            return;
        }
        match decode::<LoadBalancer>(bytes) {
            Ok(balancer) if balancer.target_groups().contains(&group) => users.push(balancer.arn),
            Ok(_) => {}
            Err(error) => found = Err(error),
        }
    });
    found
}

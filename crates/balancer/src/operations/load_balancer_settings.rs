//! What of a load balancer can be changed: its subnets, its security groups, the kind of its
//! addresses; and the capacity that can't be reserved.

use aws::query::Reply;

use super::load_balancers::{addresses, check_ip_type, security_groups};
use crate::arn::LoadBalancerArn;
use crate::error::BalancerError;
use crate::input::subnets;
use crate::model::LoadBalancerKind;
use crate::request::BalancerRequest;
use crate::service::{Service, no_balancer};
use crate::{catalogue, shapes};

/// `SetSubnets`: the zones that it is enabled in. A node whose zone stays keeps its address.
pub(crate) async fn set_subnets(
    service: &Service,
    request: &BalancerRequest<'_>,
) -> Result<Reply, BalancerError> {
    let arn: LoadBalancerArn = request.arn()?;
    check_ip_type(request)?;
    let zones = subnets::read(request, arn.kind)?;
    let missing = || no_balancer(&arn);
    let amended = service
        .amend_balancer(&arn, missing, |view, balancer| {
            balancer.zones = addresses(service, view, &balancer.zones, &zones)?;
            Ok(())
        })
        .await?;
    let mut reply = request.reply();
    shapes::zones(reply.writer(), &amended.row);
    reply.writer().value("IpAddressType", "ipv4");
    Ok(reply)
}

/// `SetSecurityGroups`: of a network load balancer only if it was made with some.
pub(crate) async fn set_security_groups(
    service: &Service,
    request: &BalancerRequest<'_>,
) -> Result<Reply, BalancerError> {
    let arn: LoadBalancerArn = request.arn()?;
    const PRIVATE_LINK: &str = "EnforceSecurityGroupInboundRulesOnPrivateLinkTraffic";
    if request.members().value(PRIVATE_LINK).is_some() {
        return Err(BalancerError::not_built(PRIVATE_LINK));
    }
    let groups = security_groups(service, request, arn.kind)?;
    let missing = || no_balancer(&arn);
    let amended = service
        .amend_balancer(&arn, missing, |_, balancer| {
            let is_network = balancer.kind() == LoadBalancerKind::Network;
            if is_network && balancer.security_groups.is_empty() && !groups.is_empty() {
                let text = "You cannot associate a security group with a Network Load Balancer \
                            that was created without one";
                return Err(BalancerError::configuration(text));
            }
            balancer.security_groups.clone_from(&groups);
            Ok(())
        })
        .await?;
    let mut reply = request.reply();
    let held = &amended.row.security_groups;
    shapes::texts(reply.writer(), "SecurityGroupIds", held);
    Ok(reply)
}

/// `SetIpAddressType`: to what it has.
pub(crate) async fn set_ip_address_type(
    service: &Service,
    request: &BalancerRequest<'_>,
) -> Result<Reply, BalancerError> {
    let arn: LoadBalancerArn = request.arn()?;
    crate::request::required(&request.members(), "IpAddressType")?;
    check_ip_type(request)?;
    let found = catalogue::balancer(&*service.view(), &arn)?;
    found.ok_or_else(|| no_balancer(&arn))?;
    let mut reply = request.reply();
    reply.writer().value("IpAddressType", "ipv4");
    Ok(reply)
}

/// `DescribeCapacityReservation`: there is none, for none can be made.
pub(crate) async fn describe_capacity(
    service: &Service,
    request: &BalancerRequest<'_>,
) -> Result<Reply, BalancerError> {
    let arn: LoadBalancerArn = request.arn()?;
    let found = catalogue::balancer(&*service.view(), &arn)?;
    found.ok_or_else(|| no_balancer(&arn))?;
    let mut reply = request.reply();
    reply.writer().open("CapacityReservationState").close();
    Ok(reply)
}

//! Targets of target groups: to register and deregister them, and to say how they are.

use std::net::IpAddr;

use aws::query::{Members, Reply};
use aws::xml::XmlWriter;
use types::{AvailabilityZone, ConfigurationView};

use crate::arn::TargetGroupArn;
use crate::error::{BalancerError, Refusal};
use crate::limits::MAX_TARGETS;
use crate::model::{Target, TargetGroup, TargetIpType, TargetKey, TargetType};
use crate::node::{TargetHealth, TargetReason, TargetState};
use crate::request::{BalancerRequest, port, required, shown};
use crate::service::{Service, no_group};
use crate::{catalogue, forwarding};

/// A target as a request names it.
struct Named<'f> {
    id: &'f str,
    port: Option<u16>,
    zone: Option<&'f str>,
}

fn read<'f>(members: &Members<'f>) -> Result<Vec<Named<'f>>, BalancerError> {
    let given = members.structures("Targets")?;
    let read = given.iter().map(|target| {
        if target.value("QuicServerId").is_some() {
            return Err(BalancerError::not_built("QUIC's QuicServerId"));
        }
        Ok(Named {
            id: required(target, "Id")?,
            port: port(target, "Port")?,
            zone: target
                .value("AvailabilityZone")
                .filter(|zone| !zone.is_empty()),
        })
    });
    read.collect()
}

fn some(targets: Vec<Named<'_>>) -> Result<Vec<Named<'_>>, BalancerError> {
    if targets.is_empty() {
        return Err(BalancerError::invalid("A target must be specified"));
    }
    Ok(targets)
}

/// `RegisterTargets`: one that drains is a target again; one that is there stays as it is.
pub(crate) async fn register(
    service: &Service,
    request: &BalancerRequest<'_>,
) -> Result<Reply, BalancerError> {
    let arn: TargetGroupArn = request.arn()?;
    let named = some(read(&request.members())?)?;
    service
        .amend_group(&arn, |_, group| {
            forget_drained(service, group);
            for target in &named {
                let target = resolve(service, request, group, target)?;
                match group.targets.get_mut(&target.key) {
                    Some(held) if held.draining_since.is_none() => {
                        held.address = target.address;
                        held.zone = target.zone;
                    }
                    _ => {
                        group.targets.insert(target.key.clone(), target);
                    }
                }
            }
            let held = group.targets.values();
            let registered = held.filter(|target| target.draining_since.is_none());
            if registered.count() > MAX_TARGETS {
                let text = format!("A target group can have at most {MAX_TARGETS} targets");
                return Err(BalancerError::refused(Refusal::TooManyTargets, text));
            }
            Ok(())
        })
        .await?;
    Ok(request.done())
}

/// Takes away the targets that have drained.
fn forget_drained(service: &Service, group: &mut TargetGroup) {
    let (now, delay) = (service.now(), group.deregistration_delay());
    group
        .targets
        .retain(|_, target| !target.has_drained(now, delay));
}

/// The target that a request names, with its address and its zone.
fn resolve(
    service: &Service,
    request: &BalancerRequest<'_>,
    group: &TargetGroup,
    named: &Named<'_>,
) -> Result<Target, BalancerError> {
    let (address, zone) = match group.target_type {
        TargetType::Ip => {
            let address = address(service, group, named.id)?;
            (address, zone(service, request, named, address)?)
        }
        TargetType::Instance => {
            if named.zone.is_some() {
                let text = "You cannot specify an Availability Zone for targets of target type \
                            'instance'";
                return Err(BalancerError::invalid(text));
            }
            instance(service, named.id)?
        }
    };
    Ok(Target {
        key: TargetKey {
            id: match group.target_type {
                TargetType::Ip => address.to_string(),
                TargetType::Instance => named.id.to_owned(),
            },
            port: named.port.unwrap_or(group.port),
        },
        address,
        zone,
        registered: service.now(),
        draining_since: None,
    })
}

/// The address that a target is, if it may be one.
fn address(service: &Service, group: &TargetGroup, id: &str) -> Result<IpAddr, BalancerError> {
    let refuse = |text: String| Err(BalancerError::refused(Refusal::InvalidTarget, text));
    let fits = |address: &IpAddr| match group.ip_type {
        TargetIpType::Ipv4 => address.is_ipv4(),
        TargetIpType::Ipv6 => address.is_ipv6(),
    };
    let address = id.parse::<IpAddr>().ok().filter(fits);
    let Some(address) = address else {
        let kind = match group.ip_type {
            TargetIpType::Ipv4 => "IPv4",
            TargetIpType::Ipv6 => "IPv6",
        };
        let text = format!(
            "The IP address '{}' is not a valid {kind} address",
            shown(id)
        );
        return Err(BalancerError::invalid(text));
    };
    let pools = service.config.pools.as_ref();
    if pools.is_ok_and(|pools| pools.contains(address)) {
        return refuse(format!(
            "The IP address '{address}' is reserved for the nodes of load balancers"
        ));
    }
    let surroundings = &service.config.surroundings;
    if !surroundings.allows_target(address) {
        return refuse(format!(
            "The IP address '{address}' can't be a target in this deployment: its operator allows \
             those that {} has",
            surroundings.target_setting()
        ));
    }
    Ok(address)
}

/// The zone of a target: the one that is said, or the one that its address is in; none: all. AWS
/// demands that it be said of addresses outside the network; here those are of all zones.
fn zone(
    service: &Service,
    request: &BalancerRequest<'_>,
    named: &Named<'_>,
    address: IpAddr,
) -> Result<Option<AvailabilityZone>, BalancerError> {
    let Some(name) = named.zone else {
        return Ok(service.config.surroundings.zone_of(address));
    };
    if name == "all" {
        return Ok(None);
    }
    let zone = name.parse::<AvailabilityZone>().ok();
    let zone = zone.filter(|zone| zone.region == request.region());
    zone.map(Some).ok_or_else(|| {
        let text = format!("The Availability Zone '{}' is not valid", shown(name));
        BalancerError::invalid(text)
    })
}

/// The address and the zone of an instance.
fn instance(
    service: &Service,
    id: &str,
) -> Result<(IpAddr, Option<AvailabilityZone>), BalancerError> {
    let digits = id.strip_prefix("i-").unwrap_or("");
    let is_id = matches!(digits.len(), 8 | 17) && digits.bytes().all(|it| it.is_ascii_hexdigit());
    if !is_id {
        let text = format!("Instance ID '{}' is not valid", shown(id));
        return Err(BalancerError::invalid(text));
    }
    let found = service.config.surroundings.instance(id);
    let (address, zone) = found.ok_or_else(|| {
        let text = format!(
            "The following targets are not in a running state and cannot be registered: '{id}'"
        );
        BalancerError::refused(Refusal::InvalidTarget, text)
    })?;
    Ok((address, Some(zone)))
}

/// `DeregisterTargets`: they drain, if a load balancer uses the group; else they are gone at once.
/// One that was registered with a port of its own is named with it. One that isn't there is
/// deregistered already.
pub(crate) async fn deregister(
    service: &Service,
    request: &BalancerRequest<'_>,
) -> Result<Reply, BalancerError> {
    let arn: TargetGroupArn = request.arn()?;
    let named = some(read(&request.members())?)?;
    service
        .amend_group(&arn, |view, group| {
            let is_used = !forwarding::users(view, &arn)?.is_empty();
            let drains = is_used && group.deregistration_delay() > 0;
            let now = service.now();
            for named in &named {
                let key = meant(group, named);
                if !drains {
                    group.targets.remove(&key);
                } else if let Some(target) = group.targets.get_mut(&key) {
                    target.draining_since.get_or_insert(now);
                }
            }
            forget_drained(service, group);
            Ok(())
        })
        .await?;
    Ok(request.done())
}

/// The target that is meant by a name: without a port the one at the group's own.
fn meant(group: &TargetGroup, named: &Named<'_>) -> TargetKey {
    TargetKey {
        id: canonical(named.id),
        port: named.port.unwrap_or(group.port),
    }
}

/// An address as it is stored, however it is spelled.
fn canonical(id: &str) -> String {
    let address = id.parse::<IpAddr>().ok();
    address.map_or_else(|| id.to_owned(), |address| address.to_string())
}

/// `DescribeTargetHealth`: of all targets, or of some.
pub(crate) async fn describe_health(
    service: &Service,
    request: &BalancerRequest<'_>,
) -> Result<Reply, BalancerError> {
    let arn: TargetGroupArn = request.arn()?;
    let named = read(&request.members())?;
    let view = service.view();
    let (_, group) = catalogue::group(&*view, &arn)?.ok_or_else(|| no_group(&arn))?;
    let is_used = !forwarding::users(&*view as &dyn ConfigurationView, &arn)?.is_empty();
    let (now, delay) = (service.now(), group.deregistration_delay());
    let mut reply = request.reply();
    let writer = reply.writer();
    writer.open("TargetHealthDescriptions");
    let held = group
        .targets
        .values()
        .filter(|target| !target.has_drained(now, delay));
    let held: Vec<&Target> = held.collect();
    if named.is_empty() {
        for target in &held {
            describe(
                writer,
                &group,
                target,
                &health(service, &group, target, is_used),
            );
        }
    }
    for named in &named {
        let key = meant(&group, named);
        match held.iter().find(|target| target.key == key) {
            Some(target) => {
                describe(
                    writer,
                    &group,
                    target,
                    &health(service, &group, target, is_used),
                );
            }
            None => unregistered(writer, &group, named),
        }
    }
    writer.close();
    Ok(reply)
}

/// How a target is: of a group that no load balancer uses nobody knows.
fn health(service: &Service, group: &TargetGroup, target: &Target, is_used: bool) -> TargetHealth {
    if !is_used {
        return TargetHealth {
            state: TargetState::Unused,
            reason: Some(TargetReason::NotInUse),
            description: Some(
                "Target group is not configured to receive traffic from the load balancer"
                    .to_owned(),
            ),
        };
    }
    service.config.nodes.target_health(&group.arn, &target.key)
}

fn describe(writer: &mut XmlWriter, group: &TargetGroup, target: &Target, health: &TargetHealth) {
    writer.open("member").open("Target");
    writer
        .value("Id", &target.key.id)
        .value("Port", target.key.port);
    if group.is_of_addresses() {
        let all = || "all".to_owned();
        writer.value(
            "AvailabilityZone",
            target.zone.map_or_else(all, |zone| zone.to_string()),
        );
    }
    writer.close();
    let checked = group.health_check.port_of(target.key.port);
    writer.value("HealthCheckPort", checked);
    write_health(writer, health);
    writer.close();
}

fn unregistered(writer: &mut XmlWriter, group: &TargetGroup, named: &Named<'_>) {
    writer.open("member").open("Target");
    writer
        .value("Id", shown(named.id))
        .value("Port", named.port.unwrap_or(group.port))
        .close();
    write_health(
        writer,
        &TargetHealth {
            state: TargetState::Unused,
            reason: Some(TargetReason::NotRegistered),
            description: Some("Target is not registered to the target group".to_owned()),
        },
    );
    writer.close();
}

fn write_health(writer: &mut XmlWriter, health: &TargetHealth) {
    writer
        .open("TargetHealth")
        .value("State", health.state)
        .optional("Reason", health.reason)
        .optional("Description", health.description.as_ref())
        .close();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_one_however_it_is_spelled() {
        assert_eq!(canonical("2001:DB8:0::1"), "2001:db8::1");
        assert_eq!(canonical("i-0123456789abcdef0"), "i-0123456789abcdef0");
    }
}

//! Target groups: to make, describe, change and delete them.

use std::collections::BTreeMap;

use aws::query::Reply;
use types::{ConfigurationView, network};

use crate::arn::{LoadBalancerArn, TargetGroupArn};
use crate::error::{BalancerError, Refusal};
use crate::input::{health_check, names};
use crate::limits::MAX_GROUPS;
use crate::model::{
    Attributes, HealthCheckProtocol, LoadBalancerKind, Protocol, ProtocolVersion, TargetGroup,
    TargetGroupId, TargetIpType, TargetType,
};
use crate::request::{BalancerRequest, Paging, port, required, shown, word};
use crate::service::{Service, no_balancer, no_group};
use crate::{catalogue, forwarding, ids, shapes, tags};

/// `CreateTargetGroup`: repeated with the same settings it makes nothing more.
pub(crate) async fn create(
    service: &Service,
    request: &BalancerRequest<'_>,
) -> Result<Reply, BalancerError> {
    let wanted = read(service, request)?;
    let attempt = |view: &dyn ConfigurationView| {
        let name = &wanted.arn.name;
        if let Some((_, found)) = catalogue::group_named(view, request.account(), name)? {
            if is_same(&found, &wanted) {
                return Ok((Vec::new(), found));
            }
            let text = format!(
                "A target group with the same name '{name}' exists, but with different settings"
            );
            return Err(BalancerError::refused(
                Refusal::DuplicateTargetGroupName,
                text,
            ));
        }
        if catalogue::count_groups(view, request.account()) >= MAX_GROUPS {
            let text =
                format!("The maximum number of target groups has been reached: {MAX_GROUPS}");
            return Err(BalancerError::refused(Refusal::TooManyTargetGroups, text));
        }
        Ok((catalogue::create_group(&wanted), wanted.clone()))
    };
    let (group, _) = service.change(attempt).await?;
    answer(service, request, &group)
}

/// The target group that a request asks for.
fn read(service: &Service, request: &BalancerRequest<'_>) -> Result<TargetGroup, BalancerError> {
    let members = request.members();
    let name = required(&members, "Name")?;
    names::check_group(name)?;
    let target_type = word(
        &members,
        "TargetType",
        TargetType::ALL,
        TargetType::name,
        &["lambda", "alb"],
    )?;
    let protocols = ["GENEVE", "QUIC", "TCP_QUIC"];
    let protocol = word(
        &members,
        "Protocol",
        Protocol::ALL,
        Protocol::name,
        &protocols,
    )?;
    let protocol =
        protocol.ok_or_else(|| BalancerError::invalid("A protocol must be specified"))?;
    let port = port(&members, "Port")?;
    let port = port.ok_or_else(|| BalancerError::invalid("A port must be specified"))?;
    let version = version(request, protocol)?;
    if members.value("TargetControlPort").is_some() {
        return Err(BalancerError::not_built(
            "The target optimizer's TargetControlPort",
        ));
    }
    let checked_by = health_check::protocol(&members, protocol)?;
    let checked_by = checked_by.unwrap_or(match protocol.kind() {
        LoadBalancerKind::Application => HealthCheckProtocol::Http,
        LoadBalancerKind::Network => HealthCheckProtocol::Tcp,
    });
    let mut check = health_check::defaults(protocol, version, checked_by);
    health_check::apply(&members, protocol, version, &mut check)?;
    let (all, spelled) = (TargetIpType::ALL, TargetIpType::name);
    let ip_type = word(&members, "IpAddressType", all, spelled, &[])?;
    Ok(TargetGroup {
        arn: TargetGroupArn {
            region: request.region(),
            account: request.account(),
            name: name.to_owned(),
            id: TargetGroupId(ids::unique(service.environment())),
        },
        created: service.now(),
        protocol,
        version,
        port,
        vpc: vpc(request)?,
        target_type: target_type.unwrap_or(TargetType::Instance),
        ip_type: ip_type.unwrap_or(TargetIpType::Ipv4),
        health_check: check,
        attributes: Attributes::default(),
        tags: tags::read(&members)?,
        targets: BTreeMap::new(),
    })
}

fn version(
    request: &BalancerRequest<'_>,
    protocol: Protocol,
) -> Result<Option<ProtocolVersion>, BalancerError> {
    let (all, spelled) = (ProtocolVersion::ALL, ProtocolVersion::name);
    let version = word(&request.members(), "ProtocolVersion", all, spelled, &[])?;
    match (protocol.kind(), version) {
        (LoadBalancerKind::Application, version) => {
            Ok(Some(version.unwrap_or(ProtocolVersion::Http1)))
        }
        (LoadBalancerKind::Network, None) => Ok(None),
        (LoadBalancerKind::Network, Some(_)) => {
            let text = format!(
                "Protocol version is not supported for target groups with protocol '{protocol}'"
            );
            Err(BalancerError::configuration(text))
        }
    }
}

/// The network that a request names: a Region has one, the default one.
fn vpc(request: &BalancerRequest<'_>) -> Result<String, BalancerError> {
    let given = request.members().value("VpcId").filter(|id| !id.is_empty());
    let given = given.ok_or_else(|| BalancerError::invalid("A VPC ID must be specified"))?;
    let default = network::default_vpc(request.region());
    if given != default {
        let text = format!("The VPC ID '{}' is not found", shown(given));
        return Err(BalancerError::invalid(text));
    }
    Ok(default)
}

/// Were the two asked for by the same settings?
fn is_same(found: &TargetGroup, wanted: &TargetGroup) -> bool {
    let settings = |group: &TargetGroup| {
        let TargetGroup {
            protocol,
            version,
            port,
            target_type,
            ip_type,
            ..
        } = group;
        (*protocol, *version, *port, *target_type, *ip_type)
    };
    settings(found) == settings(wanted)
        && found.health_check == wanted.health_check
        && (wanted.tags.is_empty() || found.tags == wanted.tags)
}

fn answer(
    service: &Service,
    request: &BalancerRequest<'_>,
    group: &TargetGroup,
) -> Result<Reply, BalancerError> {
    let users = forwarding::users(&*service.view(), &group.arn)?;
    let mut reply = request.reply();
    let writer = reply.writer();
    writer.open("TargetGroups").open("member");
    shapes::group(writer, group, &users);
    writer.close().close();
    Ok(reply)
}

/// `DescribeTargetGroups`: all, those of a load balancer, or those of some names.
pub(crate) async fn describe(
    service: &Service,
    request: &BalancerRequest<'_>,
) -> Result<Reply, BalancerError> {
    let of: Option<LoadBalancerArn> = request.optional_arn()?;
    let arns: Vec<TargetGroupArn> = request.arns("TargetGroupArns")?;
    let names = request.texts("Names")?;
    let filters = [of.is_some(), !arns.is_empty(), !names.is_empty()];
    if filters.into_iter().filter(|is| *is).count() > 1 {
        let text = "Target group names, target group ARNs, and a load balancer ARN cannot be \
                    specified at the same time";
        return Err(BalancerError::invalid(text));
    }
    let view = service.view();
    let held = catalogue::balancers_of(&*view, request.account())?;
    if let Some(arn) = &of
        && !held.iter().any(|(_, balancer)| balancer.arn == *arn)
    {
        return Err(no_balancer(arn));
    }
    let mut users: BTreeMap<TargetGroupArn, Vec<LoadBalancerArn>> = BTreeMap::new();
    for (_, balancer) in &held {
        for group in balancer.target_groups() {
            users
                .entry(group.clone())
                .or_default()
                .push(balancer.arn.clone());
        }
    }
    let found = asked(&*view, request, &arns, &names)?;
    let mut keyed = Vec::new();
    for group in found {
        let using = users.remove(&group.arn).unwrap_or_default();
        if of.as_ref().is_none_or(|arn| using.contains(arn)) {
            keyed.push((group.arn.id.0.clone(), (group, using)));
        }
    }
    let mut reply = request.reply();
    let paging = Paging::of(request)?;
    paging.write(
        reply.writer(),
        "TargetGroups",
        keyed,
        |writer, (group, using)| {
            shapes::group(writer, &group, &using);
        },
    );
    Ok(reply)
}

/// The caller's target groups of those names, or all.
fn asked(
    view: &dyn ConfigurationView,
    request: &BalancerRequest<'_>,
    arns: &[TargetGroupArn],
    names: &[&str],
) -> Result<Vec<TargetGroup>, BalancerError> {
    let mut found = Vec::new();
    for arn in arns {
        let row = catalogue::group(view, arn)?;
        found.push(row.ok_or_else(|| no_group(arn))?.1);
    }
    for name in names {
        let missing = || {
            let text = format!("Target groups '{}' not found", shown(name));
            BalancerError::refused(Refusal::TargetGroupNotFound, text)
        };
        let row = catalogue::group_named(view, request.account(), name)?;
        found.push(row.ok_or_else(missing)?.1);
    }
    if arns.is_empty() && names.is_empty() {
        let held = catalogue::groups_of(view, request.account())?;
        found.extend(held.into_iter().map(|(_, group)| group));
    }
    found.dedup_by(|one, other| one.arn == other.arn);
    Ok(found)
}

/// `ModifyTargetGroup`: how its targets are checked.
pub(crate) async fn modify(
    service: &Service,
    request: &BalancerRequest<'_>,
) -> Result<Reply, BalancerError> {
    let arn: TargetGroupArn = request.arn()?;
    let members = request.members();
    let amended = service
        .amend_group(&arn, |_, group| {
            let (protocol, version) = (group.protocol, group.version);
            if let Some(checked_by) = health_check::protocol(&members, protocol)? {
                change_protocol(group, checked_by);
            }
            health_check::apply(&members, protocol, version, &mut group.health_check)
        })
        .await?;
    answer(service, request, &amended.row)
}

/// Checks by another protocol: what the old one had and the new one hasn't goes, what the new one
/// needs becomes its default.
fn change_protocol(group: &mut TargetGroup, checked_by: HealthCheckProtocol) {
    let defaults = health_check::defaults(group.protocol, group.version, checked_by);
    let settings = &mut group.health_check;
    settings.protocol = checked_by;
    if checked_by == HealthCheckProtocol::Tcp {
        settings.path = None;
        settings.matcher = None;
    } else {
        settings.path = settings.path.take().or(defaults.path);
        settings.matcher = settings.matcher.take().or(defaults.matcher);
    }
}

/// `DeleteTargetGroup`: of one that no action names. One that isn't there is deleted already.
pub(crate) async fn delete(
    service: &Service,
    request: &BalancerRequest<'_>,
) -> Result<Reply, BalancerError> {
    let arn: TargetGroupArn = request.arn()?;
    let attempt = |view: &dyn ConfigurationView| {
        let Some(row) = catalogue::group(view, &arn)? else {
            return Ok((Vec::new(), ()));
        };
        if !forwarding::users(view, &arn)?.is_empty() {
            let text = format!("Target group '{arn}' is currently in use by a listener or a rule");
            return Err(BalancerError::refused(Refusal::ResourceInUse, text));
        }
        Ok((catalogue::remove_group(&row), ()))
    };
    service.change(attempt).await?;
    Ok(request.done())
}

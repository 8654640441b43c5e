//! Load balancers: to make, describe and delete them.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;

use aws::query::Reply;
use types::{AvailabilityZone, ConfigurationView, network};

use crate::arn::LoadBalancerArn;
use crate::error::{BalancerError, Refusal};
use crate::input::{names, subnets};
use crate::limits::{MAX_BALANCERS, MAX_SECURITY_GROUPS};
use crate::model::{Attributes, LoadBalancer, LoadBalancerId, LoadBalancerKind, Scheme};
use crate::request::{BalancerRequest, Paging, required, shown, word};
use crate::service::{Service, no_balancer};
use crate::{catalogue, ids, shapes, tags};

/// `CreateLoadBalancer`: repeated with the same settings it makes nothing more.
pub(crate) async fn create(
    service: &Service,
    request: &BalancerRequest<'_>,
) -> Result<Reply, BalancerError> {
    let wanted = read(service, request)?;
    let attempt = |view: &dyn ConfigurationView| {
        if let Some((revision, found)) =
            catalogue::balancer_named(view, request.account(), &wanted.arn.name)?
        {
            if is_same(&found, &wanted) {
                return Ok((Vec::new(), (found, Some(revision))));
            }
            let text = format!(
                "A load balancer with the same name '{}' exists, but with different settings",
                wanted.arn.name
            );
            return Err(BalancerError::refused(
                Refusal::DuplicateLoadBalancerName,
                text,
            ));
        }
        let count = catalogue::count_balancers(view, request.account(), wanted.kind());
        if count >= MAX_BALANCERS {
            let text = format!(
                "The maximum number of load balancers has been reached: {MAX_BALANCERS} of type \
                 '{}'",
                wanted.kind()
            );
            return Err(BalancerError::refused(Refusal::TooManyLoadBalancers, text));
        }
        let mut made = wanted.clone();
        let zones = wanted.zones.keys().copied().collect();
        made.zones = addresses(service, view, &BTreeMap::new(), &zones)?;
        Ok((catalogue::create_balancer(&made), (made, None)))
    };
    let ((balancer, found), made) = service.change(attempt).await?;
    let revision = made.or(found);
    let is_active = revision.is_some_and(|it| service.config.nodes.serves(it));
    let mut reply = request.reply();
    let writer = reply.writer();
    writer.open("LoadBalancers").open("member");
    shapes::balancer(writer, &balancer, is_active);
    writer.close().close();
    Ok(reply)
}

/// The load balancer that a request asks for, its nodes' addresses still to be drawn.
fn read(service: &Service, request: &BalancerRequest<'_>) -> Result<LoadBalancer, BalancerError> {
    let members = request.members();
    let name = required(&members, "Name")?;
    names::check_balancer(name)?;
    let (all, spelled) = (LoadBalancerKind::ALL, LoadBalancerKind::name);
    let kind = word(&members, "Type", all, spelled, &["gateway"])?;
    let kind = kind.unwrap_or(LoadBalancerKind::Application);
    let scheme = word(&members, "Scheme", Scheme::ALL, Scheme::name, &[])?;
    check_ip_type(request)?;
    for parameter in ["CustomerOwnedIpv4Pool", "IpamPools.Ipv4IpamPoolId"] {
        if members.value(parameter).is_some() {
            return Err(BalancerError::not_built(format!(
                "The parameter {parameter}"
            )));
        }
    }
    if members.value("EnablePrefixForIpv6SourceNat") == Some("on") {
        return Err(BalancerError::not_built("EnablePrefixForIpv6SourceNat"));
    }
    let zones = subnets::read(request, kind)?.into_iter();
    let environment = service.environment();
    Ok(LoadBalancer {
        arn: LoadBalancerArn {
            region: request.region(),
            account: request.account(),
            kind,
            name: name.to_owned(),
            id: LoadBalancerId(ids::unique(environment)),
        },
        dns_number: ids::dns_number(environment),
        scheme: scheme.unwrap_or(Scheme::InternetFacing),
        created: service.now(),
        zones: zones.map(|zone| (zone, Ipv4Addr::UNSPECIFIED)).collect(),
        security_groups: security_groups(service, request, kind)?,
        attributes: Attributes::default(),
        tags: tags::read(&members)?,
        listeners: Vec::new(),
    })
}

/// The kind of addresses that a request asks for: there is one.
pub(super) fn check_ip_type(request: &BalancerRequest<'_>) -> Result<(), BalancerError> {
    let not_built = ["dualstack", "dualstack-without-public-ipv4"];
    word(
        &request.members(),
        "IpAddressType",
        &["ipv4"],
        |it| it,
        &not_built,
    )?;
    Ok(())
}

/// The security groups that a request gives; of application load balancers the network's default
/// one, if none.
pub(super) fn security_groups(
    service: &Service,
    request: &BalancerRequest<'_>,
    kind: LoadBalancerKind,
) -> Result<Vec<String>, BalancerError> {
    let given: BTreeSet<&str> = request.texts("SecurityGroups")?.into_iter().collect();
    if given.len() > MAX_SECURITY_GROUPS {
        let text =
            format!("A load balancer can have at most {MAX_SECURITY_GROUPS} security groups");
        return Err(BalancerError::configuration(text));
    }
    let default = network::default_security_group(request.region());
    for group in &given {
        if *group != default && !service.config.surroundings.has_security_group(group) {
            let text = format!(
                "One or more security groups are invalid: '{}'",
                shown(group)
            );
            return Err(BalancerError::refused(Refusal::InvalidSecurityGroup, text));
        }
    }
    if given.is_empty() && kind == LoadBalancerKind::Application {
        return Ok(vec![default]);
    }
    Ok(given.into_iter().map(str::to_owned).collect())
}

/// Were the two asked for by the same settings?
fn is_same(found: &LoadBalancer, wanted: &LoadBalancer) -> bool {
    let zones = |balancer: &LoadBalancer| -> Vec<AvailabilityZone> {
        balancer.zones.keys().copied().collect()
    };
    found.kind() == wanted.kind()
        && found.scheme == wanted.scheme
        && zones(found) == zones(wanted)
        && found.security_groups == wanted.security_groups
        && (wanted.tags.is_empty() || found.tags == wanted.tags)
}

/// The addresses of nodes in those zones: those that are held stay, the others are drawn.
pub(super) fn addresses(
    service: &Service,
    view: &dyn ConfigurationView,
    held: &BTreeMap<AvailabilityZone, Ipv4Addr>,
    zones: &BTreeSet<AvailabilityZone>,
) -> Result<BTreeMap<AvailabilityZone, Ipv4Addr>, BalancerError> {
    let pools = service.config.pools.as_ref();
    let pools = pools.map_err(|why| BalancerError::configuration(why.clone()))?;
    let mut addresses = BTreeMap::new();
    for zone in zones {
        let drawn = || pools.draw(zone.letter, view, service.environment().random());
        let address = held.get(zone).copied().or_else(drawn);
        let address = address.ok_or_else(|| {
            let subnet = network::default_subnet(*zone);
            let text = format!(
                "Not enough IP space available in {subnet}: the pool of node addresses of zone \
                 {zone} has none left"
            );
            BalancerError::refused(Refusal::InvalidSubnet, text)
        })?;
        addresses.insert(*zone, address);
    }
    Ok(addresses)
}

/// `DescribeLoadBalancers`: all, or those of some names.
pub(crate) async fn describe(
    service: &Service,
    request: &BalancerRequest<'_>,
) -> Result<Reply, BalancerError> {
    let arns: Vec<LoadBalancerArn> = request.arns("LoadBalancerArns")?;
    let names = request.texts("Names")?;
    if !arns.is_empty() && !names.is_empty() {
        let text = "Load balancer names and load balancer ARNs cannot be specified at the same \
                    time";
        return Err(BalancerError::invalid(text));
    }
    let view = service.view();
    let mut found = catalogue::balancers_of(&*view, request.account())?;
    if let Some(missing) = arns
        .iter()
        .find(|arn| !found.iter().any(|(_, it)| it.arn == **arn))
    {
        return Err(no_balancer(missing));
    }
    let has = |name: &str| found.iter().any(|(_, it)| it.arn.name == name);
    if let Some(missing) = names.iter().find(|name| !has(name)) {
        let text = format!("Load balancers '[{}]' not found", shown(missing));
        return Err(BalancerError::refused(Refusal::LoadBalancerNotFound, text));
    }
    found.retain(|(_, balancer)| {
        let is_asked = arns.contains(&balancer.arn) || names.contains(&&*balancer.arn.name);
        is_asked || (arns.is_empty() && names.is_empty())
    });
    let keyed = found.into_iter().map(|row| (row.1.arn.id.0.clone(), row));
    let mut reply = request.reply();
    let paging = Paging::of(request)?;
    paging.write(
        reply.writer(),
        "LoadBalancers",
        keyed.collect(),
        |writer, row| {
            let (revision, balancer) = row;
            shapes::balancer(writer, &balancer, service.config.nodes.serves(revision));
        },
    );
    Ok(reply)
}

/// `DeleteLoadBalancer`, and its listeners. One that isn't there is deleted already.
pub(crate) async fn delete(
    service: &Service,
    request: &BalancerRequest<'_>,
) -> Result<Reply, BalancerError> {
    let arn: LoadBalancerArn = request.arn()?;
    let attempt = |view: &dyn ConfigurationView| {
        let Some(row) = catalogue::balancer(view, &arn)? else {
            return Ok((Vec::new(), ()));
        };
        if row.1.is_protected() {
            let text = format!(
                "Load balancer '{arn}' cannot be deleted because deletion protection is enabled"
            );
            return Err(BalancerError::refused(Refusal::OperationNotPermitted, text));
        }
        Ok((catalogue::remove_balancer(&row), ()))
    };
    service.change(attempt).await?;
    Ok(request.done())
}

//! Endpoints in requests: read by the rules, found among those of a group, and shown with their
//! health. An endpoint is an address or a load balancer; what else AWS takes is refused by name.

use std::collections::BTreeSet;
use std::net::IpAddr;

use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::error::AcceleratorError;
use crate::keys;
use crate::limits::{DEFAULT_WEIGHT, MAX_ENDPOINTS, MAX_STRING, MAX_WEIGHT};
use crate::model::{
    Accelerator, Endpoint, EndpointGroup, EndpointTarget, HealthState, IpAddressType,
};
use crate::node::EndpointHealth;
use crate::request::{count, length, number, required};
use crate::service::Service;
use types::{AccountId, Region, Span};

/// How often, and how many times, a load balancer is looked for that this site doesn't know yet:
/// its Region tells of it when it has made it, and the word may be on its way. In all two seconds;
/// the largest round trip between Regions is below half a second.
const LOOK_EVERY: Span = Span::milliseconds(50);
const LOOKS: u32 = 40;

/// What the Amazon Resource Names of load balancers that can be endpoints have after the account.
const KINDS: [&str; 2] = ["loadbalancer/app/", "loadbalancer/net/"];

/// An `EndpointConfiguration` as it comes.
#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
pub(crate) struct EndpointConfiguration {
    endpoint_id: Option<String>,
    weight: Option<i64>,
    #[serde(rename = "ClientIPPreservationEnabled")]
    preserves_client: Option<bool>,
    attachment_arn: Option<String>,
}

/// An `EndpointIdentifier` as it comes.
#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
pub(crate) struct EndpointIdentifier {
    endpoint_id: Option<String>,
    #[serde(rename = "ClientIPPreservationEnabled")]
    preserves_client: Option<bool>,
}

/// An endpoint to be removed: it is that target, and preserves the client's address or not, if
/// that is said.
pub(crate) struct Removal {
    target: EndpointTarget,
    preserves_client: Option<bool>,
}

/// A request's endpoints, each by the rules and each once.
pub(crate) fn read(
    service: &Service,
    configurations: Vec<EndpointConfiguration>,
) -> Result<Vec<Endpoint>, AcceleratorError> {
    let at = "endpointConfigurations";
    let shown = format!("{} endpoints", configurations.len());
    count(at, shown, configurations.len(), 0, MAX_ENDPOINTS)?;
    let mut known = BTreeSet::new();
    let mut endpoints = Vec::with_capacity(configurations.len());
    for configuration in configurations {
        if configuration.attachment_arn.is_some() {
            return Err(AcceleratorError::not_built(
                "An endpoint of another account, by a cross-account attachment,",
            ));
        }
        let at = "endpointConfigurations.member.endpointId";
        let target = target(at, configuration.endpoint_id)?;
        let preserves_client = configuration.preserves_client.unwrap_or(false);
        check_target(service, &target, preserves_client)?;
        let weight = configuration.weight;
        let at = "endpointConfigurations.member.weight";
        let weight = weight.map(|weight| number(at, weight, 0, MAX_WEIGHT));
        let endpoint = Endpoint {
            target,
            weight: weight.transpose()?.unwrap_or(DEFAULT_WEIGHT),
            preserves_client,
        };
        if !known.insert((endpoint.target.clone(), endpoint.preserves_client)) {
            return Err(AcceleratorError::invalid(format!(
                "The endpoint {} is named more than once.",
                id(&endpoint.target)
            )));
        }
        endpoints.push(endpoint);
    }
    Ok(endpoints)
}

/// Waits, for a while, until this site knows the load balancers that these endpoints name.
pub(crate) async fn await_balancers(
    service: &Service,
    configurations: Option<&[EndpointConfiguration]>,
) {
    let configurations = configurations.into_iter().flatten().take(MAX_ENDPOINTS);
    let named = configurations.filter_map(|it| it.endpoint_id.as_deref());
    let named: Vec<&str> = named.filter(|id| is_balancer(id)).collect();
    let environment = &service.config.environment;
    for _ in 0..LOOKS {
        let directory = service.config.nodes.balancers();
        if named.iter().all(|arn| directory.find(arn).is_some()) {
            return;
        }
        let again = environment.now().monotonic + LOOK_EVERY;
        environment.sleep_until(again).await;
    }
}

/// Can these be endpoints of a group of that accelerator in that Region: are its load balancers of
/// the accelerator's account and of the Region, and has each endpoint the addresses that it must?
pub(crate) fn check_placed(
    service: &Service,
    accelerator: &Accelerator,
    region: Region,
    endpoints: &[Endpoint],
) -> Result<(), AcceleratorError> {
    check_balancers(service, (accelerator.account, region), endpoints)?;
    match accelerator.ip_address_type {
        IpAddressType::Ipv4 => Ok(()),
        IpAddressType::DualStack => check_dual_stack(endpoints),
    }
}

/// Can these be endpoints of a dual-stack accelerator? AWS takes dual-stack load balancers there,
/// and no others (Developer Guide, "Requirements for resources added as accelerator endpoints").
/// An address is one of either family: the edge speaks to it for clients of both.
pub(crate) fn check_dual_stack<'a>(
    endpoints: impl IntoIterator<Item = &'a Endpoint>,
) -> Result<(), AcceleratorError> {
    let mut endpoints = endpoints.into_iter();
    // No load balancer has IPv6 addresses here.
    let balancer = endpoints.find_map(|endpoint| match &endpoint.target {
        EndpointTarget::Balancer(arn) => Some(arn),
        EndpointTarget::Address(_) => None,
    });
    match balancer {
        Some(arn) => Err(AcceleratorError::invalid(format!(
            "The load balancer {arn} has the IP address type ipv4: a dual-stack accelerator can \
             only have endpoints that are dual-stack, too."
        ))),
        None => Ok(()),
    }
}

/// Are a group's load balancers of its account and of its Region?
fn check_balancers(
    service: &Service,
    (account, region): (AccountId, Region),
    endpoints: &[Endpoint],
) -> Result<(), AcceleratorError> {
    let directory = service.config.nodes.balancers();
    for endpoint in endpoints {
        let EndpointTarget::Balancer(arn) = &endpoint.target else {
            continue;
        };
        // Another account's isn't there, as nothing of another account is.
        if arn.split(':').nth(4) != Some(account.to_string().as_str()) {
            return Err(no_balancer(arn));
        }
        // One that has gone since it was added is judged by nobody.
        if directory
            .find(arn)
            .is_some_and(|(other, _)| other != region)
        {
            return Err(AcceleratorError::invalid(format!(
                "The load balancer {arn} is not in the endpoint group's Region, {region}."
            )));
        }
    }
    Ok(())
}

/// The endpoints that a request removes.
pub(crate) fn removals(
    identifiers: Vec<EndpointIdentifier>,
) -> Result<Vec<Removal>, AcceleratorError> {
    let at = "endpointIdentifiers";
    let shown = format!("{} endpoints", identifiers.len());
    count(at, shown, identifiers.len(), 1, MAX_ENDPOINTS)?;
    let removal = |identifier: EndpointIdentifier| {
        let at = "endpointIdentifiers.member.endpointId";
        Ok(Removal {
            target: target(at, identifier.endpoint_id)?,
            preserves_client: identifier.preserves_client,
        })
    };
    identifiers.into_iter().map(removal).collect()
}

/// Adds endpoints to a group's, or gives those that it has their new weights.
pub(crate) fn add(group: &mut EndpointGroup, added: &[Endpoint]) -> Result<(), AcceleratorError> {
    for endpoint in added {
        let mut held = group.endpoints.iter_mut();
        let same = held.find(|held| {
            held.target == endpoint.target && held.preserves_client == endpoint.preserves_client
        });
        match same {
            Some(held) => held.weight = endpoint.weight,
            None => group.endpoints.push(endpoint.clone()),
        }
    }
    if group.endpoints.len() > MAX_ENDPOINTS {
        let what = "endpoints for an endpoint group";
        return Err(AcceleratorError::limit(MAX_ENDPOINTS, what));
    }
    Ok(())
}

/// Removes endpoints from a group, which must have each of them.
pub(crate) fn remove(
    group: &mut EndpointGroup,
    removals: &[Removal],
) -> Result<(), AcceleratorError> {
    for removal in removals {
        let before = group.endpoints.len();
        group.endpoints.retain(|held| {
            let preserves = removal.preserves_client;
            held.target != removal.target
                || preserves.is_some_and(|preserves| preserves != held.preserves_client)
        });
        if group.endpoints.len() == before {
            return Err(AcceleratorError::invalid(format!(
                "The endpoint {} is not in the endpoint group.",
                id(&removal.target)
            )));
        }
    }
    Ok(())
}

/// `EndpointDescriptions` of a group.
pub(crate) fn describe(
    service: &Service,
    accelerator: &Accelerator,
    group: &EndpointGroup,
) -> Value {
    let describe = |endpoint: &Endpoint| {
        let nodes = &service.config.nodes;
        let health = nodes.health(&accelerator.id, &group.id, &endpoint.target);
        description(endpoint, health)
    };
    group.endpoints.iter().map(describe).collect()
}

fn description(endpoint: &Endpoint, health: EndpointHealth) -> Value {
    let state = match health.state {
        HealthState::Initial => "INITIAL",
        HealthState::Healthy => "HEALTHY",
        HealthState::Unhealthy => "UNHEALTHY",
    };
    let mut members = Map::new();
    members.insert("EndpointId".to_owned(), id(&endpoint.target).into());
    members.insert("Weight".to_owned(), endpoint.weight.into());
    members.insert("HealthState".to_owned(), state.into());
    if let Some(reason) = health.reason {
        members.insert("HealthReason".to_owned(), reason.into());
    }
    let preserves = json!(endpoint.preserves_client);
    members.insert("ClientIPPreservationEnabled".to_owned(), preserves);
    Value::Object(members)
}

/// An endpoint's id, as requests and answers have it.
fn id(target: &EndpointTarget) -> String {
    match target {
        EndpointTarget::Address(address) => address.to_string(),
        EndpointTarget::Balancer(arn) => arn.clone(),
    }
}

/// What an endpoint's id names.
fn target(at: &str, id: Option<String>) -> Result<EndpointTarget, AcceleratorError> {
    let id = required(at, id)?;
    length(at, &id, 1, MAX_STRING)?;
    if let Ok(address) = id.parse::<IpAddr>() {
        return Ok(EndpointTarget::Address(address.to_canonical()));
    }
    if is_balancer(&id) {
        return Ok(EndpointTarget::Balancer(id));
    }
    if id.starts_with("eipalloc-") {
        return Err(AcceleratorError::not_built(
            "An Elastic IP address as an endpoint, by its allocation id (here it is the address)",
        ));
    }
    if id.starts_with("i-") {
        return Err(AcceleratorError::not_built(
            "An instance as an endpoint, by its id (here it is its address)",
        ));
    }
    Err(AcceleratorError::invalid(format!(
        "The endpoint id '{id}' is not valid. Here an endpoint is an IP address or the ARN of an \
         application or network load balancer."
    )))
}

fn is_balancer(id: &str) -> bool {
    id.starts_with("arn:") && id.contains(":elasticloadbalancing:")
}

/// Is it what flows may be sent to?
fn check_target(
    service: &Service,
    target: &EndpointTarget,
    preserves_client: bool,
) -> Result<(), AcceleratorError> {
    match target {
        EndpointTarget::Address(address) => check_address(service, *address),
        EndpointTarget::Balancer(arn) => check_balancer(service, arn, preserves_client),
    }
}

/// Is there such a load balancer, and can it be told what it is to be?
fn check_balancer(
    service: &Service,
    arn: &str,
    preserves_client: bool,
) -> Result<(), AcceleratorError> {
    let resource = arn.splitn(6, ':').nth(5).unwrap_or_default();
    if !KINDS.iter().any(|kind| resource.starts_with(kind)) {
        return Err(AcceleratorError::invalid(format!(
            "The endpoint {arn} is not an application or a network load balancer."
        )));
    }
    if service.config.nodes.balancers().find(arn).is_none() {
        return Err(no_balancer(arn));
    }
    if preserves_client && resource.starts_with(KINDS[0]) {
        return Err(AcceleratorError::not_built(
            "Client IP address preservation for an application load balancer",
        ));
    }
    Ok(())
}

fn no_balancer(arn: &str) -> AcceleratorError {
    AcceleratorError::invalid(format!(
        "The load balancer {arn} does not exist, or is not active yet."
    ))
}

/// Is it an address that flows may be sent to?
fn check_address(service: &Service, address: IpAddr) -> Result<(), AcceleratorError> {
    let broadcast = matches!(address, IpAddr::V4(address) if address.is_broadcast());
    if address.is_unspecified() || address.is_multicast() || broadcast {
        return Err(AcceleratorError::invalid(format!(
            "The address {address} is not one of a single host, so it can't be an endpoint."
        )));
    }
    if matches!(address, IpAddr::V6(address) if address.is_unicast_link_local()) {
        return Err(AcceleratorError::invalid(format!(
            "The address {address} is one of a single link, which can't be reached without the \
             name of an interface, so it can't be an endpoint."
        )));
    }
    let pools = service.config.pools.as_ref();
    let is_taken = service.view().get(&keys::address(address)).is_some();
    if is_taken || pools.is_ok_and(|pools| pools.contains(address)) {
        return Err(AcceleratorError::invalid(format!(
            "The address {address} is one of accelerators' static addresses, so it can't be an \
             endpoint: flows would never leave the edge."
        )));
    }
    let targets = &service.config.targets;
    if !(targets.allows)(address) {
        return Err(AcceleratorError::invalid(format!(
            "The address {address} is not among those that may be endpoints here; the \
             deployment's setting {} names those that may.",
            targets.setting
        )));
    }
    Ok(())
}

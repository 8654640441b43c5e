//! Accelerators of a scenario, made through the API of Global Accelerator as anybody would, each
//! with one listener and a group for each Region, whose endpoints are the instances of the Region's
//! application; waiting until every edge has them and every
//! endpoint is healthy; and their dials. It chooses nothing: where a flow goes is the edge's.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};

use gameday::scenario::{Accelerator, Affinity, CheckKind, EndpointGroup};
use serde_json::{Value, json};
use types::Region;

use super::api::{Api, ApiError, text_at};
use super::deploy::Deployment;
use crate::failure::Failure;

/// The id of the zone that names of accelerators are in, for alias records (AWS General Reference,
/// "AWS Global Accelerator endpoints and quotas").
pub const ZONE: &str = "Z2BJ6XQ5FK7U4H";

/// What a health state is called that lets flows come.
const HEALTHY: &str = "HEALTHY";

/// An accelerator, by what the service has called its parts.
#[derive(Clone, Debug, Default)]
pub struct MadeAccelerator {
    /// Its static addresses.
    pub addresses: Vec<Ipv4Addr>,
    /// Its name in the DNS.
    pub name: String,
    /// The port that it listens on.
    pub port: u16,
    /// The ARN of each Region's endpoint group.
    pub groups: BTreeMap<Region, String>,
    /// Its ARN.
    pub arn: String,
}

/// Makes an accelerator. `instances`: those of a Region's application.
pub async fn make(
    deployment: &Deployment<'_>,
    wanted: &Accelerator,
    instances: impl Fn(Region) -> Vec<SocketAddr>,
) -> Result<MadeAccelerator, Failure> {
    let first = wanted.groups.first().map(|group| instances(group.region));
    let first = first.and_then(|instances| instances.first().copied());
    let port = wanted.port.or(first.as_ref().map(SocketAddr::port));
    let port = port.unwrap_or_default();
    let name = &wanted.name;
    let input = json!({ "Name": name, "IdempotencyToken": deployment.unique() });
    let answer = create(deployment, name, "CreateAccelerator", &input).await?;
    let mut made = described(&answer["Accelerator"], port)?;
    let listener = json!({
        "AcceleratorArn": made.arn,
        "Protocol": "TCP",
        "PortRanges": [{ "FromPort": port, "ToPort": port }],
        "ClientAffinity": match wanted.affinity {
            Affinity::None => "NONE",
            Affinity::SourceIp => "SOURCE_IP",
        },
        "IdempotencyToken": deployment.unique(),
    });
    let answer = create(deployment, name, "CreateListener", &listener).await?;
    let listener = text_at(&answer, &["Listener", "ListenerArn"])?;
    for group in &wanted.groups {
        let endpoints = instances(group.region);
        let input = new_group(wanted, group, &listener, port, &endpoints);
        let input = with_token(input, deployment.unique());
        let answer = create(deployment, name, "CreateEndpointGroup", &input).await?;
        let arn = text_at(&answer, &["EndpointGroup", "EndpointGroupArn"])?;
        made.groups.insert(group.region, arn);
    }
    Ok(made)
}

/// Asks for a part until it is made: meanwhile the council may have no leader yet.
async fn create(
    deployment: &Deployment<'_>,
    name: &str,
    operation: &str,
    input: &Value,
) -> Result<Value, Failure> {
    let what = format!("{operation} of {name} is done");
    let made = deployment.obtain(&what, || async {
        deployment
            .api()
            .accelerators(operation, input)
            .await
            .map(Some)
    });
    made.await
}

fn described(accelerator: &Value, port: u16) -> Result<MadeAccelerator, ApiError> {
    let sets = accelerator["IpSets"].as_array().into_iter().flatten();
    let addresses = sets
        .filter_map(|set| set["IpAddresses"].as_array())
        .flatten();
    let addresses = addresses.filter_map(|address| address.as_str()?.parse().ok());
    Ok(MadeAccelerator {
        addresses: addresses.collect(),
        name: text_at(accelerator, &["DnsName"])?,
        port,
        groups: BTreeMap::new(),
        arn: text_at(accelerator, &["AcceleratorArn"])?,
    })
}

fn new_group(
    wanted: &Accelerator,
    group: &EndpointGroup,
    listener: &str,
    port: u16,
    endpoints: &[SocketAddr],
) -> Value {
    let to = endpoints.first().map_or(port, SocketAddr::port);
    let endpoints = endpoints.iter().map(|endpoint| {
        json!({
            "EndpointId": endpoint.ip().to_string(),
            "Weight": group.weight,
            "ClientIPPreservationEnabled": false,
        })
    });
    let mut input = json!({
        "ListenerArn": listener,
        "EndpointGroupRegion": group.region.name(),
        "TrafficDialPercentage": group.dial,
        "EndpointConfigurations": endpoints.collect::<Vec<Value>>(),
        "HealthCheckPort": to,
        "HealthCheckProtocol": match wanted.check {
            CheckKind::Tcp => "TCP",
            CheckKind::Http => "HTTP",
            CheckKind::Https => "HTTPS",
        },
        "HealthCheckIntervalSeconds": wanted.interval.0 / 1_000_000,
        "ThresholdCount": wanted.threshold,
    });
    if wanted.check != CheckKind::Tcp {
        input["HealthCheckPath"] = json!(wanted.path);
    }
    if port != to {
        let moved = json!({ "ListenerPort": port, "EndpointPort": to });
        input["PortOverrides"] = json!([moved]);
    }
    input
}

fn with_token(mut input: Value, token: String) -> Value {
    input["IdempotencyToken"] = json!(token);
    input
}

/// Waits until every edge that lives has the accelerators, and every endpoint of a group with a
/// weight is healthy.
pub async fn settle(
    deployment: &Deployment<'_>,
    wanted: &[Accelerator],
    made: &[MadeAccelerator],
) -> Result<(), Failure> {
    for (wanted, made) in wanted.iter().zip(made) {
        for group in wanted.groups.iter().filter(|group| group.weight > 0) {
            let Some(arn) = made.groups.get(&group.region) else {
                continue;
            };
            let what = format!(
                "the endpoint of {} in {} is healthy",
                wanted.name, group.region
            );
            deployment
                .wait(&what, || async { is_healthy(deployment.api(), arn).await })
                .await?;
        }
        let what = format!("every edge has the accelerator {}", wanted.name);
        let input = json!({ "AcceleratorArn": made.arn });
        let look = || async {
            let answer = deployment.api().accelerators("DescribeAccelerator", &input);
            Ok(answer.await?["Accelerator"]["Status"] == "DEPLOYED")
        };
        deployment.wait(&what, look).await?;
    }
    Ok(())
}

/// Are all endpoints of that group healthy, as a Region that lives has it?
pub async fn is_healthy(api: &Api, group: &str) -> Result<bool, ApiError> {
    let input = json!({ "EndpointGroupArn": group });
    let answer = api.accelerators("DescribeEndpointGroup", &input).await?;
    let endpoints = answer["EndpointGroup"]["EndpointDescriptions"].as_array();
    let mut endpoints = endpoints.into_iter().flatten();
    Ok(endpoints.all(|endpoint| endpoint["HealthState"] == HEALTHY))
}

/// Sets the traffic dial of a group.
pub async fn set_dial(api: &Api, group: &str, dial: f64) -> Result<(), ApiError> {
    let input = json!({ "EndpointGroupArn": group, "TrafficDialPercentage": dial });
    api.accelerators("UpdateEndpointGroup", &input)
        .await
        .map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;
    use types::Span;

    #[test]
    fn a_group_leads_to_the_application_of_its_region() {
        let region: Region = "eu-west-1".parse().unwrap();
        let group = EndpointGroup {
            region,
            dial: 50.0,
            weight: 7,
        };
        let mut wanted = Accelerator {
            name: "orders".to_owned(),
            affinity: Affinity::None,
            port: Some(443),
            check: CheckKind::Http,
            path: "/health".to_owned(),
            threshold: 2,
            interval: Span::seconds(10),
            groups: vec![group],
        };
        let endpoints = ["127.1.2.11:8080", "127.1.2.12:8080"];
        let endpoints = endpoints.map(|address| address.parse().unwrap());
        let input = new_group(&wanted, &group, "arn", 443, &endpoints);
        let made = input["EndpointConfigurations"].as_array().unwrap();
        assert_eq!(made.len(), 2);
        assert_eq!(
            (&made[0]["EndpointId"], &made[1]["Weight"]),
            (&json!("127.1.2.11"), &json!(7))
        );
        assert_eq!(input["HealthCheckPath"], "/health");
        assert_eq!(input["HealthCheckIntervalSeconds"], 10);
        assert_eq!(input["PortOverrides"][0]["EndpointPort"], 8080);
        wanted.check = CheckKind::Tcp;
        let input = new_group(&wanted, &group, "arn", 8080, &endpoints);
        assert!(input["PortOverrides"].is_null() && input["HealthCheckPath"].is_null());
    }

    #[test]
    fn an_accelerator_is_known_by_its_addresses_and_names() {
        let answer = json!({
            "AcceleratorArn": "a", "DnsName": "a1.awsglobalaccelerator.com",
            "IpSets": [{ "IpAddresses": ["127.80.0.1", "127.81.0.1"] }],
        });
        let made = described(&answer, 80).unwrap();
        assert_eq!(made.addresses.len(), 2);
        assert_eq!((made.arn.as_str(), made.port), ("a", 80));
        assert!(described(&json!({}), 80).is_err());
    }
}

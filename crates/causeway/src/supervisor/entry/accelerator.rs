//! The accelerator before the application: one listener on its port, and a group for each Region
//! with what serves there. What is there is left as it is, but for a port that has changed.

use std::net::IpAddr;

use serde_json::{Value, json};
use types::Region;

use super::NAME;
use crate::failure::Failure;
use crate::gameday::api::{Api, text_at};

/// The token under which it is made: the same request under the same token makes it once.
const TOKEN: &str = "causeway-app";

/// Seconds between two checks of an endpoint: the shorter of the two that the service has.
const INTERVAL: u32 = 10;

/// The accelerator.
pub(super) struct MadeAccelerator {
    /// Its static addresses.
    pub(super) addresses: Vec<IpAddr>,
    /// Its name in the DNS.
    pub(super) name: String,
}

/// Makes what is missing of it.
pub(super) async fn make(
    api: &Api,
    port: u16,
    endpoints: &[(Region, String)],
) -> Result<MadeAccelerator, Failure> {
    let input = json!({ "Name": NAME, "IdempotencyToken": TOKEN });
    let answer = api.accelerators("CreateAccelerator", &input).await?;
    let accelerator = &answer["Accelerator"];
    let arn = text_at(accelerator, &["AcceleratorArn"])?;
    let listener = listener(api, &arn, port, endpoints).await?;
    let known = json!({ "ListenerArn": listener, "MaxResults": 100 });
    let known = api.accelerators("ListEndpointGroups", &known).await?;
    let known = rows(&known, "EndpointGroups");
    for (region, endpoint) in endpoints {
        let mut groups = known.iter();
        let group = groups.find(|group| group["EndpointGroupRegion"] == region.name());
        let Some(group) = group else {
            let input = new_group(&listener, *region, port, endpoint);
            api.accelerators("CreateEndpointGroup", &input).await?;
            continue;
        };
        let arn = text_at(group, &["EndpointGroupArn"])?;
        if group["HealthCheckPort"] != port {
            let input = json!({ "EndpointGroupArn": arn, "HealthCheckPort": port });
            api.accelerators("UpdateEndpointGroup", &input).await?;
        }
        if !has(group, endpoint) {
            let added = [configuration(endpoint)];
            let input = json!({ "EndpointGroupArn": arn, "EndpointConfigurations": added });
            api.accelerators("AddEndpoints", &input).await?;
        }
    }
    Ok(MadeAccelerator {
        addresses: addresses(accelerator),
        name: text_at(accelerator, &["DnsName"])?,
    })
}

/// The ARN of the listener on that port: if none is, the one that leads to the application now is
/// moved there. Others are the user's, and stay.
async fn listener(
    api: &Api,
    accelerator: &str,
    port: u16,
    endpoints: &[(Region, String)],
) -> Result<String, Failure> {
    let known = json!({ "AcceleratorArn": accelerator, "MaxResults": 100 });
    let known = api.accelerators("ListListeners", &known).await?;
    let known = rows(&known, "Listeners");
    let ports = json!([{ "FromPort": port, "ToPort": port }]);
    if let Some(listener) = known.iter().find(|row| is_on(row, port)) {
        return Ok(text_at(listener, &["ListenerArn"])?);
    }
    for listener in known.iter().filter(|row| row["Protocol"] == "TCP") {
        let arn = text_at(listener, &["ListenerArn"])?;
        let groups = json!({ "ListenerArn": arn, "MaxResults": 100 });
        let groups = api.accelerators("ListEndpointGroups", &groups).await?;
        let groups = rows(&groups, "EndpointGroups");
        let leads =
            |(_, endpoint): &(Region, String)| groups.iter().any(|group| has(group, endpoint));
        if !endpoints.iter().any(leads) {
            continue;
        }
        let moved = json!({ "ListenerArn": arn, "PortRanges": ports });
        api.accelerators("UpdateListener", &moved).await?;
        return Ok(arn);
    }
    let input = json!({
        "AcceleratorArn": accelerator,
        "Protocol": "TCP",
        "PortRanges": ports,
        "IdempotencyToken": format!("{TOKEN}-{port}"),
    });
    let made = api.accelerators("CreateListener", &input).await?;
    Ok(text_at(&made, &["Listener", "ListenerArn"])?)
}

/// Does the listener take connections to that port?
fn is_on(listener: &Value, port: u16) -> bool {
    let port = u64::from(port);
    let mut ranges = listener["PortRanges"].as_array().into_iter().flatten();
    let is_within = |range: &Value| {
        let (from, to) = (range["FromPort"].as_u64(), range["ToPort"].as_u64());
        from.is_some_and(|from| from <= port) && to.is_some_and(|to| to >= port)
    };
    listener["Protocol"] == "TCP" && ranges.any(is_within)
}

fn new_group(listener: &str, region: Region, port: u16, endpoint: &str) -> Value {
    json!({
        "ListenerArn": listener,
        "EndpointGroupRegion": region.name(),
        "EndpointConfigurations": [configuration(endpoint)],
        "HealthCheckPort": port,
        "HealthCheckProtocol": "TCP",
        "HealthCheckIntervalSeconds": INTERVAL,
        "IdempotencyToken": format!("{TOKEN}-{region}"),
    })
}

fn configuration(endpoint: &str) -> Value {
    json!({ "EndpointId": endpoint, "ClientIPPreservationEnabled": false })
}

fn has(group: &Value, endpoint: &str) -> bool {
    let known = rows(group, "EndpointDescriptions");
    known.iter().any(|known| known["EndpointId"] == endpoint)
}

fn rows(answer: &Value, name: &str) -> Vec<Value> {
    answer[name].as_array().cloned().unwrap_or_default()
}

fn addresses(accelerator: &Value) -> Vec<IpAddr> {
    let sets = accelerator["IpSets"].as_array().into_iter().flatten();
    let all = sets.flat_map(|set| rows(set, "IpAddresses"));
    all.filter_map(|address| address.as_str()?.parse().ok())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_listener_on_the_port_is_known_by_its_ranges() {
        let listener = json!({
            "Protocol": "TCP",
            "PortRanges": [{ "FromPort": 80, "ToPort": 80 }, { "FromPort": 8000, "ToPort": 8100 }],
        });
        for (port, is_there) in [(80, true), (8080, true), (81, false), (8101, false)] {
            assert_eq!(is_on(&listener, port), is_there, "{port}");
        }
        assert!(!is_on(&json!({ "Protocol": "TCP" }), 80));
        let other = json!({ "Protocol": "UDP", "PortRanges": [{ "FromPort": 80, "ToPort": 80 }] });
        assert!(!is_on(&other, 80));
    }

    #[test]
    fn an_endpoint_that_a_group_has_is_not_added_again() {
        let group = json!({ "EndpointDescriptions": [{ "EndpointId": "arn:one" }] });
        assert!(has(&group, "arn:one") && !has(&group, "arn:other"));
        assert!(!has(&json!({}), "arn:one"));
    }

    #[test]
    fn all_static_addresses_are_found() {
        let accelerator = json!({ "IpSets": [
            { "IpAddressFamily": "IPv4", "IpAddresses": ["127.80.1.2", "127.81.3.4"] },
        ]});
        let found = addresses(&accelerator);
        let expected = ["127.80.1.2", "127.81.3.4"].map(|ip| ip.parse::<IpAddr>().unwrap());
        assert_eq!(found, expected);
    }
}

//! Accelerators with IPv6 addresses: made so, changed to be so and back, and what may be an
//! endpoint of one.

use std::collections::BTreeSet;
use std::net::IpAddr;

use serde_json::{Value, json};

use crate::support::{Api, group_of, pools_with, text};

fn make(token: &str, kind: &str) -> Value {
    json!({"Name": "shop", "IdempotencyToken": token, "IpAddressType": kind})
}

fn change(arn: &str, kind: &str) -> Value {
    json!({"AcceleratorArn": arn, "IpAddressType": kind})
}

/// The addresses of an accelerator's set of that family; none if it has no such set.
fn of_family(accelerator: &Value, family: &str) -> Vec<String> {
    let sets = accelerator["IpSets"].as_array().unwrap();
    let sets = sets.iter().filter(|set| set["IpAddressFamily"] == family);
    let addresses = sets.flat_map(|set| {
        assert_eq!(set["IpFamily"], set["IpAddressFamily"]);
        set["IpAddresses"].as_array().unwrap()
    });
    addresses.map(text).collect()
}

/// The addresses that are taken, by whomever.
fn taken(api: &Api) -> BTreeSet<IpAddr> {
    let view = api.memory.view_now();
    let keys = view.entries.keys();
    let addresses = keys.filter_map(|key| key.strip_prefix(accelerator::keys::ADDRESSES));
    addresses.map(|address| address.parse().unwrap()).collect()
}

#[test]
fn a_dual_stack_accelerator_has_two_addresses_of_each_family_and_two_names() {
    let api = Api::new();
    let made = api.ok("CreateAccelerator", make("t", "DUAL_STACK"));
    let made = &made["Accelerator"];
    assert_eq!(made["IpAddressType"], "DUAL_STACK");
    assert_eq!(made["IpSets"].as_array().unwrap().len(), 2);
    assert_eq!(of_family(made, "IPv4").len(), 2);
    let [one, other] = &of_family(made, "IPv6")[..] else {
        panic!("{made}");
    };
    // One of each half of the pool: AWS's two network zones.
    let half = |address: &str| match address.parse().unwrap() {
        IpAddr::V6(address) => (
            address.segments()[..2].to_vec(),
            address.segments()[4] >> 15,
        ),
        IpAddr::V4(address) => panic!("{address}"),
    };
    assert_eq!(half(one), (vec![0xfd00, 0x80], 0));
    assert_eq!(half(other), (vec![0xfd00, 0x80], 1));
    let label = text(&made["DnsName"]);
    let label = label.strip_suffix(".awsglobalaccelerator.com").unwrap();
    assert_eq!(
        made["DualStackDnsName"],
        format!("{label}.dualstack.awsglobalaccelerator.com")
    );
    let arn = text(&made["AcceleratorArn"]);
    let found = api.ok("DescribeAccelerator", json!({"AcceleratorArn": arn}));
    assert_eq!(&found["Accelerator"], made);
    assert_eq!(taken(&api).len(), 4);
    // The same request is answered with it, one for other addresses isn't the same.
    let again = api.ok("CreateAccelerator", make("t", "DUAL_STACK"));
    assert_eq!(&again["Accelerator"], made);
    let (code, message) = api.refused("CreateAccelerator", make("t", "IPV4"));
    assert_eq!(code, "InvalidArgumentException");
    assert!(message.contains("idempotency token"), "{message}");
    let (code, _) = api.refused("CreateAccelerator", make("u", "IPV6"));
    assert_eq!(code, "InvalidArgumentException");
}

#[test]
fn one_that_becomes_dual_stack_and_ipv4_again_keeps_its_ipv4_addresses_and_names() {
    let api = Api::new();
    let arn = api.accelerator("a");
    let described = || {
        let found = api.ok("DescribeAccelerator", json!({"AcceleratorArn": arn}));
        found["Accelerator"].clone()
    };
    let before = described();
    let after = api.ok("UpdateAccelerator", change(&arn, "DUAL_STACK"));
    let after = &after["Accelerator"];
    assert_eq!(after, &described());
    assert_eq!(after["IpAddressType"], "DUAL_STACK");
    assert_eq!(after["IpSets"][0], before["IpSets"][0]);
    assert_eq!(after["DnsName"], before["DnsName"]);
    assert_eq!(of_family(after, "IPv6").len(), 2);
    assert_eq!(taken(&api).len(), 4);
    // Nothing is changed where nothing is asked for, or what is there.
    for body in [change(&arn, "DUAL_STACK"), json!({"AcceleratorArn": arn})] {
        let view = api.memory.view_now();
        assert_eq!(&api.ok("UpdateAccelerator", body)["Accelerator"], after);
        assert_eq!(api.memory.view_now(), view);
    }
    let back = api.ok("UpdateAccelerator", change(&arn, "IPV4"))["Accelerator"].clone();
    assert_eq!(back["IpSets"], before["IpSets"]);
    assert_eq!(back.get("DualStackDnsName"), None);
    assert_eq!(taken(&api).len(), 2);
    // It gives all of them back with itself.
    api.ok("UpdateAccelerator", change(&arn, "DUAL_STACK"));
    let disabled = json!({"AcceleratorArn": arn, "Enabled": false});
    api.ok("UpdateAccelerator", disabled);
    api.ok("DeleteAccelerator", json!({"AcceleratorArn": arn}));
    assert_eq!(taken(&api), BTreeSet::new());
}

#[test]
fn without_a_pool_or_a_free_address_it_is_refused_and_says_why() {
    let ipv4 = ("127.80.0.0/16", "127.81.0.0/16");
    let why = "There are no IPv6 addresses here: name a network.";
    let api = Api::with_pools(Ok(pools_with(ipv4.0, ipv4.1, Err(why))));
    let arn = api.accelerator("a");
    let expected = ("InvalidArgumentException", why.to_owned());
    let created = api.refused("CreateAccelerator", make("t", "DUAL_STACK"));
    assert_eq!(created, expected);
    let changed = api.refused("UpdateAccelerator", change(&arn, "DUAL_STACK"));
    assert_eq!(changed, expected);
    api.ok("UpdateAccelerator", change(&arn, "IPV4"));
    // Three in each half.
    let api = Api::with_pools(Ok(pools_with(ipv4.0, ipv4.1, Ok("fd00:80::/125"))));
    for number in 0..3 {
        api.ok("CreateAccelerator", make(&number.to_string(), "DUAL_STACK"));
    }
    let arn = api.accelerator("a");
    for (operation, body) in [
        ("CreateAccelerator", make("t", "DUAL_STACK")),
        ("UpdateAccelerator", change(&arn, "DUAL_STACK")),
    ] {
        let (code, message) = api.refused(operation, body);
        assert_eq!(code, "LimitExceededException");
        assert!(message.contains("fd00:80::/125"), "{message}");
    }
}

#[test]
fn endpoints_are_addresses_of_either_family_and_no_load_balancer_of_ipv4() {
    let api = Api::new();
    let balancer = api.balancer("app");
    let refused = |operation: &str, body: Value| {
        let (code, message) = api.refused(operation, body);
        assert_eq!(code, "InvalidArgumentException");
        assert!(message.contains("dual-stack"), "{message}");
        assert!(message.contains("loadbalancer/app/it/1"), "{message}");
    };
    let dual = api.ok("CreateAccelerator", make("t", "DUAL_STACK"));
    let dual = text(&dual["Accelerator"]["AcceleratorArn"]);
    let listener = api.listener(&dual, 80, 80);
    let endpoints = json!([{"EndpointId": "127.1.1.1"}, {"EndpointId": "::1"}]);
    let body = json!({"EndpointConfigurations": endpoints});
    api.ok(
        "CreateEndpointGroup",
        group_of(&listener, "eu-west-1", body),
    );
    let balancers = json!({"EndpointConfigurations": [{"EndpointId": balancer}]});
    refused(
        "CreateEndpointGroup",
        group_of(&listener, "us-east-1", balancers.clone()),
    );
    let group = api.group(&listener, "us-east-1");
    let mut to_group = balancers.clone();
    to_group["EndpointGroupArn"] = group.into();
    refused("AddEndpoints", to_group.clone());
    refused("UpdateEndpointGroup", to_group);
    // An accelerator of IPv4 that has one can't become dual-stack before it is removed.
    let ipv4 = api.accelerator("a");
    let listener = api.listener(&ipv4, 80, 80);
    let made = api.ok(
        "CreateEndpointGroup",
        group_of(&listener, "us-east-1", balancers),
    );
    refused("UpdateAccelerator", change(&ipv4, "DUAL_STACK"));
    let removal = json!({
        "EndpointGroupArn": made["EndpointGroup"]["EndpointGroupArn"],
        "EndpointIdentifiers": [{"EndpointId": balancer}],
    });
    api.ok("RemoveEndpoints", removal);
    api.ok("UpdateAccelerator", change(&ipv4, "DUAL_STACK"));
}

#[test]
fn an_address_of_a_single_link_or_of_the_pool_is_no_endpoint() {
    let api = Api::new();
    let accelerator = api.accelerator("a");
    let listener = api.listener(&accelerator, 80, 80);
    for (address, why) in [
        ("fe80::1", "a single link"),
        ("fd00:80::1", "static addresses"),
        ("2001:db8::1", "accelerator.targets"),
        ("ff02::1", "a single host"),
    ] {
        let body = json!({"EndpointConfigurations": [{"EndpointId": address}]});
        let body = group_of(&listener, "us-east-1", body);
        let (code, message) = api.refused("CreateEndpointGroup", body);
        assert_eq!(code, "InvalidArgumentException");
        assert!(message.contains(why), "{message}");
    }
}

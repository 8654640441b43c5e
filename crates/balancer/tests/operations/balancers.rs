//! Load balancers: made, described, changed and deleted.

use std::sync::atomic::Ordering;

use balancer::{Cidr, NodePools, hosted_zone};
use types::{ZoneLetter, network};

use crate::support::{Api, region, subnet, zones};

#[test]
fn a_load_balancer_is_described_as_it_was_made() {
    let api = Api::new();
    let (one, other) = (subnet(0), subnet(2));
    let made = api.ok(
        "CreateLoadBalancer",
        &[
            ("Name", "shop"),
            ("Subnets.member.1", &one),
            ("SubnetMappings", ""),
            ("Subnets.member.2", &other),
            ("Tags.member.1.Key", "team"),
            ("Tags.member.1.Value", "a + b"),
        ],
    );
    let text = |member: &str| made.text(&format!("LoadBalancers/0/{member}"));
    let arn = text("LoadBalancerArn");
    let start = "arn:aws:elasticloadbalancing:us-east-1:111122223333:loadbalancer/app/shop/";
    assert!(arn.starts_with(start), "{arn}");
    assert_eq!(text("LoadBalancerName"), "shop");
    assert_eq!(text("Type"), "application");
    assert_eq!(text("Scheme"), "internet-facing");
    assert_eq!(text("IpAddressType"), "ipv4");
    assert_eq!(text("VpcId"), network::default_vpc(region()));
    assert_eq!(text("CanonicalHostedZoneId"), "Z35SXDOTRQ7X7K");
    assert_eq!(text("CreatedTime"), "2026-11-18T11:06:40.000Z");
    assert_eq!(text("State/Code"), "provisioning");
    assert_eq!(
        text("SecurityGroups/0"),
        network::default_security_group(region())
    );
    let dns = text("DNSName");
    let number = dns.strip_prefix("shop-").unwrap();
    let number = number.strip_suffix(".us-east-1.elb.amazonaws.com").unwrap();
    assert!(number.parse::<u32>().is_ok(), "{dns}");
    let zones_of = "LoadBalancers/0/AvailabilityZones";
    assert_eq!(
        made.each(zones_of, "ZoneName"),
        ["us-east-1a", "us-east-1c"]
    );
    assert_eq!(made.each(zones_of, "SubnetId"), [one, other]);
    let addresses = made.each(zones_of, "LoadBalancerAddresses/0/IpAddress");
    assert!(addresses[0].starts_with("127.32.1."), "{addresses:?}");
    assert!(addresses[1].starts_with("127.34.1."), "{addresses:?}");

    let described = api.ok(
        "DescribeLoadBalancers",
        &[("LoadBalancerArns.member.1", &arn)],
    );
    assert_eq!(described.text("LoadBalancers/0/DNSName"), dns);
    assert_eq!(
        described.each(zones_of, "LoadBalancerAddresses/0/IpAddress"),
        addresses
    );
    let tags = api.ok("DescribeTags", &[("ResourceArns.member.1", &arn)]);
    assert_eq!(tags.text("TagDescriptions/0/Tags/0/Value"), "a + b");
}

#[test]
fn it_is_active_when_the_nodes_serve_it() {
    let api = Api::new();
    api.balancer("shop");
    let state = || {
        let found = api.ok("DescribeLoadBalancers", &[("Names.member.1", "shop")]);
        found.text("LoadBalancers/0/State/Code")
    };
    assert_eq!(state(), "provisioning");
    let revision = api.memory.view_now().revision;
    api.around.served.store(revision, Ordering::Relaxed);
    assert_eq!(state(), "active");
}

#[test]
fn names_of_network_and_of_internal_ones_are_their_own() {
    let api = Api::new();
    let arn = api.balancer_of("net", "network");
    let found = api.ok(
        "DescribeLoadBalancers",
        &[("LoadBalancerArns.member.1", &arn)],
    );
    let id = arn.rsplit('/').next().unwrap();
    assert_eq!(
        found.text("LoadBalancers/0/DNSName"),
        format!("net-{id}.elb.us-east-1.amazonaws.com")
    );
    assert_eq!(
        found.text("LoadBalancers/0/CanonicalHostedZoneId"),
        "Z26RNL4JYFTOTI"
    );
    assert_eq!(found.count("LoadBalancers/0/SecurityGroups"), 0);
    let (one, other) = (subnet(0), subnet(1));
    let made = api.ok(
        "CreateLoadBalancer",
        &[
            ("Name", "inner"),
            ("Scheme", "internal"),
            ("SubnetMappings.member.1.SubnetId", &one),
            ("SubnetMappings.member.2.SubnetId", &other),
        ],
    );
    assert!(
        made.text("LoadBalancers/0/DNSName")
            .starts_with("internal-inner-")
    );
    assert_eq!(
        hosted_zone(region(), balancer::model::LoadBalancerKind::Network),
        "Z26RNL4JYFTOTI"
    );
}

#[test]
fn repeated_it_makes_nothing_more_and_with_other_settings_it_is_refused() {
    let api = Api::new();
    let arn = api.balancer("shop");
    let before = api.memory.view_now();
    assert_eq!(api.balancer("shop"), arn);
    assert_eq!(api.memory.view_now(), before);
    let (one, other) = (subnet(0), subnet(2));
    let refused = api.refused(
        "CreateLoadBalancer",
        &[
            ("Name", "shop"),
            ("Subnets.member.1", &one),
            ("Subnets.member.2", &other),
        ],
    );
    assert_eq!(refused.0, "DuplicateLoadBalancerName");
    assert_eq!(
        refused.1,
        "A load balancer with the same name 'shop' exists, but with different settings"
    );
    // Once it is deleted its name is free, and so are its addresses.
    api.ok("DeleteLoadBalancer", &[("LoadBalancerArn", &arn)]);
    let view = api.memory.view_now();
    assert_eq!(
        view.entries.keys().collect::<Vec<_>>(),
        ["balancer/changes"]
    );
    assert_ne!(api.balancer("shop"), arn);
    api.ok("DeleteLoadBalancer", &[("LoadBalancerArn", &arn)]);
}

#[test]
fn one_that_is_protected_is_not_deleted() {
    let api = Api::new();
    let arn = api.balancer("shop");
    let protect = |value: &str| {
        api.ok(
            "ModifyLoadBalancerAttributes",
            &[
                ("LoadBalancerArn", &arn),
                ("Attributes.member.1.Key", "deletion_protection.enabled"),
                ("Attributes.member.1.Value", value),
            ],
        );
    };
    protect("true");
    let refused = api.refused("DeleteLoadBalancer", &[("LoadBalancerArn", &arn)]);
    assert_eq!(refused.0, "OperationNotPermitted");
    protect("false");
    api.ok("DeleteLoadBalancer", &[("LoadBalancerArn", &arn)]);
}

#[test]
fn subnets_are_set_and_nodes_that_stay_keep_their_addresses() {
    let api = Api::new();
    let arn = api.balancer("shop");
    let nodes = || {
        let found = api.ok(
            "DescribeLoadBalancers",
            &[("LoadBalancerArns.member.1", &arn)],
        );
        let list = "LoadBalancers/0/AvailabilityZones";
        let names = found.each(list, "ZoneName");
        let addresses = found.each(list, "LoadBalancerAddresses/0/IpAddress");
        names.into_iter().zip(addresses).collect::<Vec<_>>()
    };
    let before = nodes();
    let (one, other) = (subnet(1), subnet(2));
    let set = api.ok(
        "SetSubnets",
        &[
            ("LoadBalancerArn", &arn),
            ("Subnets.member.1", &one),
            ("Subnets.member.2", &other),
        ],
    );
    assert_eq!(
        set.each("AvailabilityZones", "ZoneName"),
        ["us-east-1b", "us-east-1c"]
    );
    let after = nodes();
    assert_eq!(after[0], before[1]);
    let taken: Vec<String> = api.memory.view_now().entries.into_keys().collect();
    let addresses = taken
        .iter()
        .filter_map(|key| key.strip_prefix("balancer/address/"));
    let mut expected: Vec<&str> = after.iter().map(|(_, address)| address.as_str()).collect();
    expected.sort_unstable();
    assert_eq!(addresses.collect::<Vec<_>>(), expected);
}

#[test]
fn no_two_have_an_address_and_a_zone_runs_out_of_them() {
    let small: Cidr = "127.32.1.0/30".parse().unwrap();
    let large: Cidr = "127.33.1.0/24".parse().unwrap();
    let pools = [(ZoneLetter::A, small), (ZoneLetter::B, large)];
    let api = Api::with_pools(Ok(NodePools::new(pools.into()).unwrap()));
    let (first, second) = (api.balancer("one"), api.balancer("two"));
    assert_ne!(first, second);
    let (one, other) = (subnet(0), subnet(1));
    let third = [
        ("Name", "three"),
        ("Subnets.member.1", &*one),
        ("Subnets.member.2", &other),
    ];
    let (code, text) = api.refused("CreateLoadBalancer", &third);
    assert_eq!(code, "InvalidSubnet");
    assert!(text.contains("us-east-1a"), "{text}");
    api.ok("DeleteLoadBalancer", &[("LoadBalancerArn", &first)]);
    api.ok("CreateLoadBalancer", &third);
}

#[test]
fn a_deployment_without_pools_says_why() {
    let api = Api::with_pools(Err("no network is set".to_owned()));
    let (one, other) = (subnet(0), subnet(1));
    let body = [
        ("Name", "shop"),
        ("Subnets.member.1", &*one),
        ("Subnets.member.2", &other),
    ];
    let refused = api.refused("CreateLoadBalancer", &body);
    assert_eq!(
        refused,
        (
            "InvalidConfigurationRequest".to_owned(),
            "no network is set".to_owned()
        )
    );
}

#[test]
fn security_groups_are_set_of_those_that_there_are() {
    let api = Api::new();
    let arn = api.balancer("shop");
    let set = api.ok(
        "SetSecurityGroups",
        &[
            ("LoadBalancerArn", &arn),
            ("SecurityGroups.member.1", "sg-0123456789abcdef0"),
        ],
    );
    assert_eq!(set.text("SecurityGroupIds/0"), "sg-0123456789abcdef0");
    let other = [
        ("LoadBalancerArn", &*arn),
        ("SecurityGroups.member.1", "sg-1"),
    ];
    assert_eq!(
        api.code("SetSecurityGroups", &other),
        "InvalidSecurityGroup"
    );
    let network = api.balancer_of("net", "network");
    let late = [
        ("LoadBalancerArn", &*network),
        ("SecurityGroups.member.1", "sg-0123456789abcdef0"),
    ];
    assert_eq!(
        api.code("SetSecurityGroups", &late),
        "InvalidConfigurationRequest"
    );
}

#[test]
fn pages_hold_as_many_as_they_are_asked_to() {
    let api = Api::new();
    for number in 0..7 {
        api.balancer(&format!("b{number}"));
    }
    let (mut seen, mut marker) = (Vec::new(), String::new());
    loop {
        let page = api.ok(
            "DescribeLoadBalancers",
            &[("PageSize", "3"), ("Marker", &marker)],
        );
        seen.extend(page.each("LoadBalancers", "LoadBalancerName"));
        match page.find("NextMarker") {
            Some(_) => marker = page.text("NextMarker"),
            None => break,
        }
    }
    seen.sort_unstable();
    assert_eq!(seen, ["b0", "b1", "b2", "b3", "b4", "b5", "b6"]);
    for (name, value) in [("PageSize", "0"), ("PageSize", "401"), ("Marker", "<>")] {
        assert_eq!(
            api.code("DescribeLoadBalancers", &[(name, value)]),
            "ValidationError"
        );
    }
}

#[test]
fn there_are_as_many_of_a_kind_as_there_may_be() {
    let api = Api::new();
    for number in 0..50 {
        api.balancer(&format!("b{number}"));
    }
    let (one, other) = (subnet(0), subnet(1));
    let more = [
        ("Name", "more"),
        ("Subnets.member.1", &*one),
        ("Subnets.member.2", &other),
    ];
    assert_eq!(
        api.code("CreateLoadBalancer", &more),
        "TooManyLoadBalancers"
    );
    api.balancer_of("net", "network");
}

#[test]
fn what_the_lab_has_no_capacity_for_is_said() {
    let api = Api::new();
    let arn = api.balancer("shop");
    let found = api.ok("DescribeCapacityReservation", &[("LoadBalancerArn", &arn)]);
    assert_eq!(found.count("CapacityReservationState"), 0);
    let type_of = [("LoadBalancerArn", &*arn), ("IpAddressType", "ipv4")];
    assert_eq!(
        api.ok("SetIpAddressType", &type_of).text("IpAddressType"),
        "ipv4"
    );
    assert_eq!(zones().len(), 3);
}

#[test]
fn security_policies_are_described_as_they_are_offered() {
    let api = Api::new();
    let all = api.ok("DescribeSSLPolicies", &[]);
    assert_eq!(all.count("SslPolicies"), 17);
    let strict = "ELBSecurityPolicy-TLS13-1-3-2021-06";
    let some = api.ok(
        "DescribeSSLPolicies",
        &[
            ("Names.member.1", strict),
            ("Names.member.2", "ELBSecurityPolicy-2016-08"),
        ],
    );
    assert_eq!(
        some.each("SslPolicies", "Name"),
        [strict, "ELBSecurityPolicy-2016-08"]
    );
    assert_eq!(some.count("SslPolicies/0/SslProtocols"), 1);
    assert_eq!(some.count("SslPolicies/0/Ciphers"), 3);
    assert_eq!(some.text("SslPolicies/1/SslProtocols/0"), "TLSv1.2");
    assert_eq!(some.text("SslPolicies/1/Ciphers/8/Priority"), "9");
    let unknown = [("Names.member.1", "ELBSecurityPolicy-1999")];
    assert_eq!(
        api.code("DescribeSSLPolicies", &unknown),
        "SSLPolicyNotFound"
    );
    let limits = api.ok("DescribeAccountLimits", &[]);
    assert_eq!(limits.text("Limits/0/Name"), "application-load-balancers");
    assert_eq!(limits.text("Limits/0/Max"), "50");
}

//! Target groups and their targets.

use std::sync::atomic::Ordering;

use types::network;

use crate::support::{Api, Parameters, region, zones};

#[test]
fn a_group_has_the_service_s_defaults() {
    let api = Api::new();
    let vpc = network::default_vpc(region());
    let made = api.ok(
        "CreateTargetGroup",
        &[
            ("Name", "web"),
            ("Protocol", "HTTP"),
            ("Port", "80"),
            ("VpcId", &vpc),
            // As Terraform writes what it leaves to the service.
            ("ProtocolVersion", ""),
        ],
    );
    let text = |member: &str| made.text(&format!("TargetGroups/0/{member}"));
    let arn = text("TargetGroupArn");
    let start = "arn:aws:elasticloadbalancing:us-east-1:111122223333:targetgroup/web/";
    assert!(arn.starts_with(start), "{arn}");
    for (member, expected) in [
        ("TargetGroupName", "web"),
        ("Protocol", "HTTP"),
        ("ProtocolVersion", "HTTP1"),
        ("Port", "80"),
        ("VpcId", &vpc),
        ("TargetType", "instance"),
        ("IpAddressType", "ipv4"),
        ("HealthCheckProtocol", "HTTP"),
        ("HealthCheckPort", "traffic-port"),
        ("HealthCheckEnabled", "true"),
        ("HealthCheckIntervalSeconds", "30"),
        ("HealthCheckTimeoutSeconds", "5"),
        ("HealthyThresholdCount", "5"),
        ("UnhealthyThresholdCount", "2"),
        ("HealthCheckPath", "/"),
        ("Matcher/HttpCode", "200"),
    ] {
        assert_eq!(text(member), expected, "{member}");
    }
    assert_eq!(made.count("TargetGroups/0/LoadBalancerArns"), 0);
}

#[test]
fn a_group_of_flows_is_checked_by_connections() {
    let api = Api::new();
    let arn = api.group("flows", "TCP_UDP");
    let found = api.ok(
        "DescribeTargetGroups",
        &[("TargetGroupArns.member.1", &arn)],
    );
    assert_eq!(found.text("TargetGroups/0/HealthCheckProtocol"), "TCP");
    assert_eq!(found.text("TargetGroups/0/HealthCheckTimeoutSeconds"), "10");
    for member in ["Matcher", "HealthCheckPath", "ProtocolVersion"] {
        assert!(
            found.find(&format!("TargetGroups/0/{member}")).is_none(),
            "{member}"
        );
    }
    // By HTTP it gets a path and codes; by TCP it loses them.
    let modify = |parameters: Parameters<'_>| {
        let mut all = vec![("TargetGroupArn", arn.as_str())];
        all.extend(parameters);
        api.ok("ModifyTargetGroup", &all)
    };
    let http = modify(&[("HealthCheckProtocol", "HTTP"), ("HealthCheckPort", "9000")]);
    assert_eq!(http.text("TargetGroups/0/Matcher/HttpCode"), "200-399");
    assert_eq!(http.text("TargetGroups/0/HealthCheckPath"), "/");
    assert_eq!(http.text("TargetGroups/0/HealthCheckPort"), "9000");
    let set = modify(&[
        ("Matcher.HttpCode", "200,301-302"),
        ("HealthCheckPath", "/up?x=1"),
    ]);
    assert_eq!(set.text("TargetGroups/0/Matcher/HttpCode"), "200,301-302");
    assert_eq!(set.text("TargetGroups/0/HealthCheckPath"), "/up?x=1");
    let tcp = modify(&[("HealthCheckProtocol", "TCP")]);
    assert!(tcp.find("TargetGroups/0/Matcher").is_none());
}

#[test]
fn a_group_of_grpc_has_grpc_s_codes() {
    let api = Api::new();
    let vpc = network::default_vpc(region());
    let body = |version, code| {
        [
            ("Name", "rpc"),
            ("Protocol", "HTTP"),
            ("ProtocolVersion", version),
            ("Port", "80"),
            ("VpcId", &*vpc),
            (code, "0-5"),
        ]
    };
    let wrong = body("GRPC", "Matcher.HttpCode");
    assert_eq!(
        api.code("CreateTargetGroup", &wrong),
        "InvalidConfigurationRequest"
    );
    let wrong = body("HTTP2", "Matcher.GrpcCode");
    assert_eq!(
        api.code("CreateTargetGroup", &wrong),
        "InvalidConfigurationRequest"
    );
    let made = api.ok("CreateTargetGroup", &body("GRPC", "Matcher.GrpcCode"));
    assert_eq!(made.text("TargetGroups/0/Matcher/GrpcCode"), "0-5");
    assert_eq!(
        made.text("TargetGroups/0/HealthCheckPath"),
        "/AWS.ALB/healthcheck"
    );
}

#[test]
fn repeated_it_makes_nothing_more_and_with_other_settings_it_is_refused() {
    let api = Api::new();
    let arn = api.group("web", "HTTP");
    let before = api.memory.view_now();
    assert_eq!(api.group("web", "HTTP"), arn);
    assert_eq!(api.memory.view_now(), before);
    let vpc = network::default_vpc(region());
    let other = [
        ("Name", "web"),
        ("Protocol", "TCP"),
        ("Port", "8080"),
        ("VpcId", &*vpc),
    ];
    let (code, text) = api.refused("CreateTargetGroup", &other);
    assert_eq!(code, "DuplicateTargetGroupName");
    assert_eq!(
        text,
        "A target group with the same name 'web' exists, but with different settings"
    );
}

#[test]
fn one_that_is_used_is_not_deleted() {
    let api = Api::new();
    let (balancer, group) = (api.balancer("shop"), api.group("web", "HTTP"));
    let listener = api.listener(&balancer, "HTTP", "80", &group);
    let refused = api.refused("DeleteTargetGroup", &[("TargetGroupArn", &group)]);
    assert_eq!(refused.0, "ResourceInUse");
    assert_eq!(
        refused.1,
        format!("Target group '{group}' is currently in use by a listener or a rule")
    );
    let of = [("LoadBalancerArn", &*balancer)];
    let found = api.ok("DescribeTargetGroups", &of);
    assert_eq!(found.text("TargetGroups/0/LoadBalancerArns/0"), balancer);
    api.ok("DeleteListener", &[("ListenerArn", &listener)]);
    assert_eq!(api.ok("DescribeTargetGroups", &of).count("TargetGroups"), 0);
    api.ok("DeleteTargetGroup", &[("TargetGroupArn", &group)]);
    // It is deleted already.
    api.ok("DeleteTargetGroup", &[("TargetGroupArn", &group)]);
    let asked = [("TargetGroupArns.member.1", &*group)];
    assert_eq!(
        api.code("DescribeTargetGroups", &asked),
        "TargetGroupNotFound"
    );
}

#[test]
fn targets_are_registered_by_address_and_described() {
    let api = Api::new();
    let group = api.group("web", "HTTP");
    let register = |parameters: Parameters<'_>| {
        let mut all = vec![("TargetGroupArn", group.as_str())];
        all.extend(parameters);
        api.ok("RegisterTargets", &all)
    };
    register(&[
        ("Targets.member.1.Id", "127.1.1.11"),
        ("Targets.member.2.Id", "127.1.1.12"),
        ("Targets.member.2.Port", "9000"),
        ("Targets.member.2.AvailabilityZone", "us-east-1b"),
        ("Targets.member.3.Id", "127.9.9.9"),
    ]);
    let list = "TargetHealthDescriptions";
    let found = api.ok("DescribeTargetHealth", &[("TargetGroupArn", &group)]);
    assert_eq!(
        found.each(list, "Target/Id"),
        ["127.1.1.11", "127.1.1.12", "127.9.9.9"]
    );
    assert_eq!(found.each(list, "Target/Port"), ["8080", "9000", "8080"]);
    assert_eq!(
        found.each(list, "Target/AvailabilityZone"),
        ["us-east-1a", "us-east-1b", "all"]
    );
    assert_eq!(
        found.each(list, "HealthCheckPort"),
        ["8080", "9000", "8080"]
    );
    assert_eq!(found.each(list, "TargetHealth/State"), ["unused"; 3]);
    assert_eq!(
        found.each(list, "TargetHealth/Reason"),
        ["Target.NotInUse"; 3]
    );
    // The same again changes nothing.
    let before = api.memory.view_now();
    register(&[("Targets.member.1.Id", "127.1.1.11")]);
    assert_eq!(api.memory.view_now(), before);
    // Used by a load balancer, they are what the checks say; of others nobody knows.
    let balancer = api.balancer("shop");
    api.listener(&balancer, "HTTP", "80", &group);
    let some = api.ok(
        "DescribeTargetHealth",
        &[
            ("TargetGroupArn", &group),
            ("Targets.member.1.Id", "127.1.1.12"),
            ("Targets.member.1.Port", "9000"),
            ("Targets.member.2.Id", "127.1.1.12"),
        ],
    );
    assert_eq!(some.each(list, "TargetHealth/State"), ["healthy", "unused"]);
    assert_eq!(
        some.text(&format!("{list}/1/TargetHealth/Reason")),
        "Target.NotRegistered"
    );
    assert!(
        some.find(&format!("{list}/0/TargetHealth/Reason"))
            .is_none()
    );
}

#[test]
fn targets_drain_before_they_are_gone_and_may_come_back() {
    let api = Api::new();
    let (balancer, group) = (api.balancer("shop"), api.group("web", "HTTP"));
    let target = [
        ("TargetGroupArn", &*group),
        ("Targets.member.1.Id", "127.1.1.11"),
    ];
    let ids = || {
        let found = api.ok("DescribeTargetHealth", &[("TargetGroupArn", &group)]);
        found.each("TargetHealthDescriptions", "Target/Id")
    };
    // Of a group that isn't used they are gone at once.
    api.ok("RegisterTargets", &target);
    api.ok("DeregisterTargets", &target);
    assert_eq!(ids().len(), 0);

    api.listener(&balancer, "HTTP", "80", &group);
    api.ok("RegisterTargets", &target);
    api.ok("DeregisterTargets", &target);
    assert_eq!(ids(), ["127.1.1.11"]);
    // What drains is deregistered once.
    let before = api.memory.view_now();
    api.environment.now.store(299_000, Ordering::Relaxed);
    api.ok("DeregisterTargets", &target);
    assert_eq!(api.memory.view_now(), before);
    assert_eq!(ids(), ["127.1.1.11"]);
    api.ok("RegisterTargets", &target);
    api.environment.now.store(10_000_000, Ordering::Relaxed);
    assert_eq!(ids(), ["127.1.1.11"], "it came back");
    api.ok("DeregisterTargets", &target);
    api.environment.now.store(10_300_000, Ordering::Relaxed);
    assert_eq!(ids().len(), 0, "it has drained");
    // Its row goes with the next change.
    let other = [
        ("TargetGroupArn", &*group),
        ("Targets.member.1.Id", "127.1.1.12"),
    ];
    api.ok("RegisterTargets", &other);
    let row = api.memory.view_now().entries;
    let row = row
        .iter()
        .find(|(key, _)| key.starts_with("balancer/target-group/"))
        .unwrap();
    let row: balancer::model::TargetGroup = balancer::decode(&row.1.1).unwrap();
    assert_eq!(row.targets.len(), 1);
}

#[test]
fn targets_are_registered_by_instance() {
    let api = Api::new();
    let id = "i-0123456789abcdef0";
    let found = ("127.1.1.11".parse().unwrap(), zones()[1]);
    api.around
        .instances
        .lock()
        .unwrap()
        .insert(id.to_owned(), found);
    let vpc = network::default_vpc(region());
    let made = api.ok(
        "CreateTargetGroup",
        &[
            ("Name", "web"),
            ("Protocol", "HTTP"),
            ("Port", "80"),
            ("VpcId", &vpc),
        ],
    );
    let arn = made.text("TargetGroups/0/TargetGroupArn");
    let target = |id| {
        [
            ("TargetGroupArn", arn.as_str()),
            ("Targets.member.1.Id", id),
        ]
    };
    api.ok("RegisterTargets", &target(id));
    let row = api.memory.view_now().entries;
    let row = row
        .iter()
        .find(|(key, _)| key.starts_with("balancer/target-group/"))
        .unwrap();
    let row: balancer::model::TargetGroup = balancer::decode(&row.1.1).unwrap();
    let held = row.targets.values().next().unwrap();
    assert_eq!((held.address, held.zone), (found.0, Some(found.1)));
    let health = api.ok("DescribeTargetHealth", &[("TargetGroupArn", &arn)]);
    assert_eq!(health.text("TargetHealthDescriptions/0/Target/Id"), id);
    assert!(
        health
            .find("TargetHealthDescriptions/0/Target/AvailabilityZone")
            .is_none()
    );

    let (code, text) = api.refused("RegisterTargets", &target("i-0123456789abcdef1"));
    assert_eq!(code, "InvalidTarget");
    assert!(text.contains("not in a running state"), "{text}");
    for wrong in ["127.1.1.11", "i-", "i-0123", "i-0123456789abcdeg0"] {
        assert_eq!(
            api.code("RegisterTargets", &target(wrong)),
            "ValidationError",
            "{wrong}"
        );
    }
}

#[test]
fn what_may_be_no_target_is_refused() {
    let api = Api::new();
    let group = api.group("web", "HTTP");
    for (id, port, zone, code) in [
        ("127.32.1.7", "80", "all", "InvalidTarget"),
        ("192.0.2.1", "80", "all", "InvalidTarget"),
        ("::1", "80", "all", "ValidationError"),
        ("host", "80", "all", "ValidationError"),
        ("127.1.1.1", "0", "all", "ValidationError"),
        ("127.1.1.1", "65536", "all", "ValidationError"),
        ("127.1.1.1", "80", "us-west-2a", "ValidationError"),
        ("127.1.1.1", "80", "us-east-1f", "ValidationError"),
    ] {
        let target = [
            ("TargetGroupArn", &*group),
            ("Targets.member.1.Id", id),
            ("Targets.member.1.Port", port),
            ("Targets.member.1.AvailabilityZone", zone),
        ];
        assert_eq!(
            api.code("RegisterTargets", &target),
            code,
            "{id} {port} {zone}"
        );
    }
    let none = [("TargetGroupArn", &*group)];
    assert_eq!(api.code("RegisterTargets", &none), "ValidationError");
    let outside = [
        ("TargetGroupArn", &*group),
        ("Targets.member.1.Id", "192.0.2.1"),
    ];
    let (_, text) = api.refused("RegisterTargets", &outside);
    assert!(text.contains("balancer.targets"), "{text}");
}

#[test]
fn a_group_has_as_many_targets_as_it_may() {
    let api = Api::new();
    let group = api.group("web", "HTTP");
    let names: Vec<(String, String)> = (1..=1001)
        .map(|number| {
            let address = format!("127.2.{}.{}", number / 250, number % 250);
            (format!("Targets.member.{number}.Id"), address)
        })
        .collect();
    let parameters = |count| {
        let mut all = vec![("TargetGroupArn", group.as_str())];
        let names = names.iter().take(count);
        all.extend(names.map(|(name, id)| (name.as_str(), id.as_str())));
        all
    };
    assert_eq!(
        api.code("RegisterTargets", &parameters(1001)),
        "TooManyTargets"
    );
    api.ok("RegisterTargets", &parameters(1000));
    let more = [
        ("TargetGroupArn", &*group),
        ("Targets.member.1.Id", "127.3.0.1"),
    ];
    assert_eq!(api.code("RegisterTargets", &more), "TooManyTargets");
}

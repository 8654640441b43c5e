//! Attributes: which there are, what they may be, and what must hold between them.

use std::collections::BTreeMap;

use balancer::model::{LoadBalancer, TargetGroup};
use balancer::{Algorithm, Stickiness};

use crate::support::{Answer, Api};

fn shown(answer: &Answer) -> BTreeMap<String, String> {
    let keys = answer.each("Attributes", "Key");
    keys.into_iter()
        .zip(answer.each("Attributes", "Value"))
        .collect()
}

/// Sets attributes of what an ARN names, and returns the code if it is refused.
fn set(api: &Api, kind: &str, arn: &str, attributes: &[(&str, &str)]) -> Result<Answer, String> {
    let parameter = format!("{kind}Arn");
    let mut names = Vec::new();
    for (number, (key, value)) in attributes.iter().enumerate() {
        let at = format!("Attributes.member.{}", number + 1);
        names.push((format!("{at}.Key"), *key));
        names.push((format!("{at}.Value"), *value));
    }
    let mut all = vec![(parameter.as_str(), arn)];
    all.extend(names.iter().map(|(name, value)| (name.as_str(), *value)));
    let operation = format!("Modify{kind}Attributes");
    api.call(&operation, &all).map_err(|(code, _)| code)
}

#[test]
fn a_load_balancer_has_the_service_s_defaults() {
    let api = Api::new();
    for (kind, count, cross_zone) in [("application", 23, "true"), ("network", 9, "false")] {
        let arn = api.balancer_of(kind, kind);
        let found = api.ok(
            "DescribeLoadBalancerAttributes",
            &[("LoadBalancerArn", &arn)],
        );
        let found = shown(&found);
        assert_eq!(found.len(), count, "{found:?}");
        assert_eq!(found["load_balancing.cross_zone.enabled"], cross_zone);
        assert_eq!(found["deletion_protection.enabled"], "false");
        // Each may be set to what it is, and nothing is kept of that.
        let before = api.memory.view_now();
        for (key, value) in &found {
            set(&api, "LoadBalancer", &arn, &[(key, value)]).unwrap();
        }
        assert_eq!(api.memory.view_now(), before);
    }
}

#[test]
fn attributes_of_a_load_balancer_are_set_and_read() {
    let api = Api::new();
    let arn = api.balancer("shop");
    let set = |attributes: &[(&str, &str)]| set(&api, "LoadBalancer", &arn, attributes);
    let answer = set(&[
        ("idle_timeout.timeout_seconds", "4000"),
        ("routing.http.xff_header_processing.mode", "remove"),
        ("access_logs.s3.enabled", "true"),
        ("access_logs.s3.bucket", "logs"),
    ]);
    assert_eq!(
        shown(&answer.unwrap())["idle_timeout.timeout_seconds"],
        "4000"
    );
    let row = api.memory.view_now().entries;
    let row = row
        .iter()
        .find(|(key, _)| key.starts_with("balancer/load-balancer/"))
        .unwrap();
    let row: LoadBalancer = balancer::decode(&row.1.1).unwrap();
    assert_eq!(row.idle_timeout(), 4000);
    assert_eq!(row.client_keep_alive(), 3600);
    assert_eq!(row.access_logs(), Some(("logs", "")));
    assert_eq!(row.forwarded_for().name(), "remove");
    assert!(row.takes_http2() && row.is_cross_zone() && !row.preserves_host());

    let before = api.memory.view_now();
    for (attribute, code) in [
        (("idle_timeout.timeout_seconds", "0"), "ValidationError"),
        (("idle_timeout.timeout_seconds", "4001"), "ValidationError"),
        (("idle_timeout.timeout_seconds", "ten"), "ValidationError"),
        (
            ("load_balancing.cross_zone.enabled", "false"),
            "ValidationError",
        ),
        (
            ("routing.http.desync_mitigation_mode", "lax"),
            "ValidationError",
        ),
        (("access_logs.s3.bucket", ""), "ValidationError"),
        (("colour", "blue"), "ValidationError"),
        // Of network load balancers.
        (
            ("dns_record.client_routing_policy", "any_availability_zone"),
            "ValidationError",
        ),
        (("connection_logs.s3.enabled", "true"), "NotImplemented"),
    ] {
        let refused = set(&[attribute]).unwrap_err();
        match code {
            "NotImplemented" => assert_ne!(refused, "ValidationError"),
            code => assert_eq!(refused, code, "{attribute:?}"),
        }
    }
    assert_eq!(set(&[]).unwrap_err(), "ValidationError");
    assert_eq!(api.memory.view_now(), before);
}

#[test]
fn attributes_of_a_target_group_are_set_and_read() {
    let api = Api::new();
    let arn = api.group("web", "HTTP");
    let set = |attributes: &[(&str, &str)]| set(&api, "TargetGroup", &arn, attributes);
    let found = api.ok("DescribeTargetGroupAttributes", &[("TargetGroupArn", &arn)]);
    assert_eq!(shown(&found)["deregistration_delay.timeout_seconds"], "300");
    set(&[
        ("stickiness.enabled", "true"),
        ("stickiness.lb_cookie.duration_seconds", "60"),
        (
            "load_balancing.algorithm.type",
            "least_outstanding_requests",
        ),
        (
            "target_group_health.dns_failover.minimum_healthy_targets.count",
            "off",
        ),
        (
            "target_group_health.unhealthy_state_routing.minimum_healthy_targets.percentage",
            "50",
        ),
    ])
    .unwrap();
    let row = api.memory.view_now().entries;
    let row = row
        .iter()
        .find(|(key, _)| key.starts_with("balancer/target-group/"))
        .unwrap();
    let row: TargetGroup = balancer::decode(&row.1.1).unwrap();
    assert_eq!(
        row.stickiness(),
        Some(Stickiness::BalancerCookie { duration: 60 })
    );
    assert_eq!(row.algorithm(), Algorithm::LeastOutstandingRequests);
    assert_eq!(row.minimum_for_dns().count, None);
    let minimum = row.minimum_for_routing();
    assert_eq!((minimum.count, minimum.percentage), (Some(1), Some(50)));
    assert!(minimum.is_met(2, 4) && !minimum.is_met(1, 4) && !minimum.is_met(0, 0));
    assert_eq!((row.slow_start(), row.cross_zone()), (None, None));

    let before = api.memory.view_now();
    for (attributes, code) in [
        (
            &[("slow_start.duration_seconds", "30")][..],
            "InvalidConfigurationRequest",
        ),
        (&[("slow_start.duration_seconds", "29")], "ValidationError"),
        (&[("stickiness.type", "source_ip")], "ValidationError"),
        (&[("stickiness.type", "app_cookie")], "ValidationError"),
        (
            &[
                ("stickiness.type", "app_cookie"),
                ("stickiness.app_cookie.cookie_name", "AWSALBAPP"),
            ],
            "ValidationError",
        ),
        (
            &[("deregistration_delay.timeout_seconds", "3601")],
            "ValidationError",
        ),
        (&[("proxy_protocol_v2.enabled", "true")], "ValidationError"),
    ] {
        assert_eq!(set(attributes).unwrap_err(), code, "{attributes:?}");
    }
    assert_eq!(api.memory.view_now(), before);
    let application = [
        ("stickiness.type", "app_cookie"),
        ("stickiness.app_cookie.cookie_name", "session"),
    ];
    set(&application).unwrap();
}

#[test]
fn what_is_not_done_for_flows_can_t_be_asked_for() {
    let api = Api::new();
    let off = [
        "deregistration_delay.connection_termination.enabled",
        "target_health_state.unhealthy.connection_termination.enabled",
        "preserve_client_ip.enabled",
    ];
    for protocol in ["TCP", "TLS", "UDP", "TCP_UDP"] {
        let name = protocol.to_lowercase().replace('_', "-");
        let arn = api.group(&name, protocol);
        let found = api.ok("DescribeTargetGroupAttributes", &[("TargetGroupArn", &arn)]);
        let found = shown(&found);
        for name in off {
            assert_eq!(found[name], "false", "{protocol} {name}");
            let refused = set(&api, "TargetGroup", &arn, &[(name, "true")]).unwrap_err();
            assert_ne!(refused, "ValidationError", "it is a value, but not built");
        }
        set(
            &api,
            "TargetGroup",
            &arn,
            &[("proxy_protocol_v2.enabled", "true")],
        )
        .unwrap();
    }
}

#[test]
fn attributes_of_a_listener_are_by_its_protocol() {
    let api = Api::new();
    let (application, web) = (api.balancer("shop"), api.group("web", "HTTP"));
    let listener = api.listener(&application, "HTTP", "80", &web);
    let header = "routing.http.response.strict_transport_security.header_value";
    let answer = set(&api, "Listener", &listener, &[(header, "max-age=60")]).unwrap();
    assert_eq!(shown(&answer)[header], "max-age=60");
    let tcp = ("tcp.idle_timeout.seconds", "350");
    assert_eq!(
        set(&api, "Listener", &listener, &[tcp]).unwrap_err(),
        "ValidationError"
    );
    let broken = (header, "a\r\nb: c");
    assert_eq!(
        set(&api, "Listener", &listener, &[broken]).unwrap_err(),
        "ValidationError"
    );

    let (network, flows) = (api.balancer_of("net", "network"), api.group("flows", "TCP"));
    let listener = api.listener(&network, "TCP", "80", &flows);
    set(&api, "Listener", &listener, &[tcp]).unwrap();
    let found = api.ok("DescribeListenerAttributes", &[("ListenerArn", &listener)]);
    assert_eq!(shown(&found)["tcp.idle_timeout.seconds"], "350");
    let other = [("tcp.idle_timeout.seconds", "60")];
    let refused = set(&api, "Listener", &listener, &other).unwrap_err();
    assert_ne!(refused, "ValidationError", "it is a value, but not built");
}

//! What every operation refuses: what isn't of the protocol, what can't be read, and what can't be
//! kept.

use balancer::Service;
use types::ConfigurationError;

use crate::support::{Api, owner, subnet};

#[test]
fn every_operation_of_the_model_is_in_the_table() {
    let rows: Vec<(&str, bool)> = Service::operations().collect();
    assert_eq!(rows.len(), 51);
    assert!(rows.is_sorted_by_key(|(name, _)| *name));
    assert_eq!(rows.iter().filter(|(_, is_built)| *is_built).count(), 37);
    let api = Api::new();
    for (name, _) in rows.iter().filter(|(_, is_built)| !*is_built) {
        let (_, text) = api.refused(name, &[]);
        assert!(text.contains(name) && text.contains("not built"), "{text}");
    }
}

#[test]
fn what_is_no_request_of_the_protocol_is_refused() {
    let api = Api::new();
    for (form, code) in [
        ("", "MissingAction"),
        ("Action=", "MissingAction"),
        ("Action=Dance&Version=2015-12-01", "InvalidAction"),
        ("Action=DescribeLoadBalancers", "InvalidAction"),
        (
            "Action=DescribeLoadBalancers&Version=2012-06-01",
            "InvalidAction",
        ),
        (
            "Action=DescribeLoadBalancers&Version=2015-12-01&Names.member.2=x",
            "MalformedInput",
        ),
        (
            "Action=DescribeLoadBalancers&Version=2015-12-01&A=%zz",
            "MalformedQueryString",
        ),
    ] {
        let (status, root) = api.raw(&owner(), form);
        assert_ne!(status, 200, "{form}");
        assert_eq!(root.text("Error/Code"), code, "{form}");
    }
}

#[test]
fn names_that_can_t_be_are_refused() {
    let api = Api::new();
    let long = "a".repeat(33);
    let (one, other) = (subnet(0), subnet(1));
    for name in ["", "-a", "a-", "a_b", "ä", &long, "internal-a"] {
        let body = [
            ("Name", name),
            ("Subnets.member.1", &one),
            ("Subnets.member.2", &other),
        ];
        assert_eq!(
            api.code("CreateLoadBalancer", &body),
            "ValidationError",
            "{name}"
        );
    }
    let vpc = types::network::default_vpc(crate::support::region());
    for name in ["", "-a", "a-", "a_b", &long] {
        let body = [
            ("Name", name),
            ("Protocol", "HTTP"),
            ("Port", "80"),
            ("VpcId", &*vpc),
        ];
        assert_eq!(
            api.code("CreateTargetGroup", &body),
            "ValidationError",
            "{name}"
        );
    }
}

#[test]
fn subnets_that_can_t_be_are_refused() {
    let api = Api::new();
    let (one, other) = (subnet(0), subnet(1));
    for (subnets, code) in [
        (&[][..], "ValidationError"),
        (&[("Subnets.member.1", &*one)], "ValidationError"),
        (
            &[("Subnets.member.1", &*one), ("Subnets.member.2", &one)],
            "InvalidConfigurationRequest",
        ),
        (
            &[
                ("Subnets.member.1", &*one),
                ("Subnets.member.2", "subnet-1"),
            ],
            "SubnetNotFound",
        ),
        (
            &[
                ("Subnets.member.1", &*one),
                ("SubnetMappings.member.1.SubnetId", &other),
            ],
            "ValidationError",
        ),
    ] {
        let mut body = vec![("Name", "shop")];
        body.extend(subnets);
        assert_eq!(api.code("CreateLoadBalancer", &body), code, "{subnets:?}");
    }
}

#[test]
fn groups_that_can_t_be_are_refused() {
    let api = Api::new();
    let vpc = types::network::default_vpc(crate::support::region());
    for (name, value, code) in [
        ("Protocol", "FTP", "ValidationError"),
        ("Port", "0", "ValidationError"),
        ("Port", "65536", "ValidationError"),
        ("Port", "http", "ValidationError"),
        ("VpcId", "vpc-1", "ValidationError"),
        ("TargetType", "hamster", "ValidationError"),
        ("HealthCheckProtocol", "TCP", "InvalidConfigurationRequest"),
        ("HealthCheckIntervalSeconds", "4", "ValidationError"),
        ("HealthCheckIntervalSeconds", "301", "ValidationError"),
        ("HealthCheckTimeoutSeconds", "1", "ValidationError"),
        ("HealthCheckTimeoutSeconds", "30", "ValidationError"),
        ("HealthyThresholdCount", "1", "ValidationError"),
        ("UnhealthyThresholdCount", "11", "ValidationError"),
        ("HealthCheckPort", "0", "ValidationError"),
        ("HealthCheckPort", "traffic", "ValidationError"),
        ("HealthCheckPath", "up", "ValidationError"),
        ("HealthCheckPath", "/a b", "ValidationError"),
        ("HealthCheckEnabled", "false", "InvalidConfigurationRequest"),
        ("Matcher.HttpCode", "199", "ValidationError"),
        ("Matcher.HttpCode", "200-500", "ValidationError"),
        ("Matcher.HttpCode", "ok", "ValidationError"),
        ("ProtocolVersion", "HTTP3", "ValidationError"),
    ] {
        let mut body = vec![("Name", "web"), ("TargetType", "ip")];
        for default in [("Protocol", "HTTP"), ("Port", "80"), ("VpcId", &*vpc)] {
            if default.0 != name {
                body.push(default);
            }
        }
        body.retain(|(other, _)| *other != name);
        body.push((name, value));
        assert_eq!(api.code("CreateTargetGroup", &body), code, "{name} {value}");
    }
    for (name, value) in [("TargetType", "lambda"), ("Protocol", "QUIC")] {
        let mut body = vec![("Name", "web"), ("Protocol", "HTTP"), ("Port", "80")];
        body.retain(|(other, _)| *other != name);
        body.push((name, value));
        let (_, text) = api.refused("CreateTargetGroup", &body);
        assert!(text.contains("not built"), "{text}");
    }
}

#[test]
fn arns_of_other_things_are_refused() {
    let api = Api::new();
    let (balancer, group) = (api.balancer("shop"), api.group("web", "HTTP"));
    let elsewhere = balancer.replace("us-east-1", "us-west-2");
    for (operation, name, arn, code) in [
        (
            "DeleteLoadBalancer",
            "LoadBalancerArn",
            "",
            "ValidationError",
        ),
        (
            "DeleteLoadBalancer",
            "LoadBalancerArn",
            &*group,
            "ValidationError",
        ),
        (
            "DeleteTargetGroup",
            "TargetGroupArn",
            &balancer,
            "ValidationError",
        ),
        (
            "DescribeListeners",
            "LoadBalancerArn",
            &elsewhere,
            "LoadBalancerNotFound",
        ),
        ("DescribeRules", "ListenerArn", &balancer, "ValidationError"),
        ("DescribeRules", "Marker", "", "ValidationError"),
    ] {
        assert_eq!(
            api.code(operation, &[(name, arn)]),
            code,
            "{operation} {arn}"
        );
    }
    let (_, text) = api.refused("DeleteLoadBalancer", &[("LoadBalancerArn", "<arn>")]);
    assert_eq!(text, "'<arn>' is not a valid load balancer ARN");
}

#[test]
fn what_can_t_be_kept_is_said_in_words_that_clients_know() {
    let api = Api::new();
    let (one, other) = (subnet(0), subnet(1));
    let body = [
        ("Name", "shop"),
        ("Subnets.member.1", &*one),
        ("Subnets.member.2", &other),
    ];
    for (error, code) in [
        (ConfigurationError::Full, "LimitExceeded"),
        (ConfigurationError::TooLarge, "LimitExceeded"),
        (ConfigurationError::Busy, "Throttling"),
        (ConfigurationError::TimedOut, "Throttling"),
        (ConfigurationError::Conflict, "Throttling"),
        (ConfigurationError::Stopped, "ServiceUnavailable"),
    ] {
        api.memory.fail(Some(error));
        assert_eq!(api.code("CreateLoadBalancer", &body), code, "{error}");
    }
    api.memory.fail(None);
    api.ok("CreateLoadBalancer", &body);
}

#[test]
fn a_row_that_can_t_be_read_is_left_as_it_is() {
    let api = Api::new();
    let (balancer, group) = (api.balancer("shop"), api.group("web", "HTTP"));
    let mut view = api.memory.view_now();
    for (key, (_, bytes)) in &mut view.entries {
        if key.starts_with("balancer/load-balancer/") || key.starts_with("balancer/target-group/") {
            *bytes = "{\"format\":2}".into();
        }
    }
    api.memory.set(view);
    for (operation, name, arn) in [
        ("DescribeLoadBalancers", "Marker", ""),
        ("DeleteLoadBalancer", "LoadBalancerArn", balancer.as_str()),
        ("SetSecurityGroups", "LoadBalancerArn", &balancer),
        ("DescribeTargetGroups", "Marker", ""),
        ("DeleteTargetGroup", "TargetGroupArn", &group),
        ("DescribeTargetHealth", "TargetGroupArn", &group),
        ("DescribeTags", "ResourceArns.member.1", &group),
    ] {
        let (code, text) = api.refused(operation, &[(name, arn)]);
        assert_eq!(code, "InternalFailure", "{operation}");
        assert!(
            text.contains("too old for this deployment"),
            "{operation}: {text}"
        );
    }
}

#[test]
fn a_change_that_somebody_else_s_overtakes_is_judged_again() {
    let api = Api::new();
    let (balancer, group) = (api.balancer("shop"), api.group("web", "HTTP"));
    // While a listener of the group is made, the group is deleted.
    let mut once = true;
    api.memory.interfere(move |view| {
        if std::mem::take(&mut once) {
            view.entries
                .retain(|key, _| !key.starts_with("balancer/target-group"));
            view.revision += 1;
            let count = (view.revision, "99".into());
            view.entries.insert("balancer/changes".to_owned(), count);
        }
    });
    let body = [
        ("LoadBalancerArn", balancer.as_str()),
        ("Protocol", "HTTP"),
        ("Port", "80"),
        ("DefaultActions.member.1.Type", "forward"),
        ("DefaultActions.member.1.TargetGroupArn", &group),
    ];
    let (code, _) = api.call("CreateListener", &body).unwrap_err();
    assert_eq!(code, "TargetGroupNotFound");
}

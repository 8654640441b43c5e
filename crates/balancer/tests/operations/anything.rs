//! Whatever is asked, an answer comes: parameters that operations know with values of any kind,
//! and what is refused changes nothing.

use balancer::Service;
use proptest::prelude::*;

use crate::support::{Api, subnet};

/// Names of parameters, of lists and of structures.
const NAMES: &[&str] = &[
    "LoadBalancerArn",
    "ListenerArn",
    "RuleArn",
    "TargetGroupArn",
    "Name",
    "Type",
    "Scheme",
    "Protocol",
    "Port",
    "Priority",
    "PageSize",
    "Marker",
    "Subnets.member.1",
    "Subnets.member.2",
    "SubnetMappings.member.1.SubnetId",
    "Names.member.1",
    "ResourceArns.member.1",
    "LoadBalancerArns.member.1",
    "ListenerArns.member.1",
    "RuleArns.member.1",
    "TargetGroupArns.member.1",
    "Tags.member.1.Key",
    "Tags.member.1.Value",
    "TagKeys.member.1",
    "VpcId",
    "TargetType",
    "Targets.member.1.Id",
    "Targets.member.1.Port",
    "Targets.member.1.AvailabilityZone",
    "Attributes.member.1.Key",
    "Attributes.member.1.Value",
    "Certificates.member.1.CertificateArn",
    "SslPolicy",
    "AlpnPolicy.member.1",
    "HealthCheckPort",
    "HealthCheckPath",
    "HealthCheckIntervalSeconds",
    "Matcher.HttpCode",
    "Conditions.member.1.Field",
    "Conditions.member.1.Values.member.1",
    "Conditions.member.1.QueryStringConfig.Values.member.1.Value",
    "Conditions.member.1.SourceIpConfig.Values.member.1",
    "Actions.member.1.Type",
    "Actions.member.1.TargetGroupArn",
    "Actions.member.1.Order",
    "Actions.member.1.RedirectConfig.StatusCode",
    "Actions.member.1.RedirectConfig.Path",
    "Actions.member.1.RedirectConfig.Host",
    "Actions.member.1.FixedResponseConfig.StatusCode",
    "Actions.member.1.FixedResponseConfig.MessageBody",
    "Actions.member.1.ForwardConfig.TargetGroups.member.1.TargetGroupArn",
    "Actions.member.1.ForwardConfig.TargetGroups.member.1.Weight",
    "DefaultActions.member.1.Type",
    "DefaultActions.member.1.TargetGroupArn",
    "DefaultActions.member.1.FixedResponseConfig.StatusCode",
    "RulePriorities.member.1.RuleArn",
    "RulePriorities.member.1.Priority",
];

/// Values that something or other accepts.
const VALUES: &[&str] = &[
    "",
    "0",
    "1",
    "80",
    "443",
    "65535",
    "-1",
    "99999999999999999999",
    "shop",
    "application",
    "network",
    "HTTP",
    "HTTPS",
    "TCP",
    "UDP",
    "ip",
    "instance",
    "internal",
    "forward",
    "redirect",
    "fixed-response",
    "HTTP_301",
    "200",
    "path-pattern",
    "host-header",
    "query-string",
    "source-ip",
    "/*",
    "/#{path}",
    "#{host}",
    "192.0.2.0/24",
    "127.1.1.11",
    "::1",
    "all",
    "us-east-1a",
    "stickiness.enabled",
    "true",
    "traffic-port",
    "é\u{0}<&>\"'",
];

fn requests() -> impl Strategy<Value = Vec<(usize, Vec<(usize, usize)>)>> {
    let parameter = (0..NAMES.len(), 0..VALUES.len() + 6);
    let request = (0..51usize, prop::collection::vec(parameter, 0..10));
    prop::collection::vec(request, 1..40)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn every_request_is_answered(requests in requests()) {
        let api = Api::new();
        let (balancer, group) = (api.balancer("shop"), api.group("web", "HTTP"));
        let listener = api.listener(&balancer, "HTTP", "80", &group);
        let rule = api.rule(&listener, "1", "/");
        let (one, vpc) = (subnet(1), types::network::default_vpc(crate::support::region()));
        let known = [&balancer, &group, &listener, &rule, &one, &vpc];
        let operations: Vec<&str> = Service::operations().map(|(name, _)| name).collect();
        for (operation, parameters) in &requests {
            let mut given: Vec<(&str, &str)> = Vec::new();
            for (name, value) in parameters {
                let known = || known[value - VALUES.len()].as_str();
                let value = VALUES.get(*value).copied().unwrap_or_else(known);
                if !given.iter().any(|(other, _)| *other == NAMES[*name]) {
                    given.push((NAMES[*name], value));
                }
            }
            let before = api.memory.view_now();
            let answer = api.call(operations[*operation], &given);
            if let Err((code, text)) = answer {
                prop_assert!(!code.is_empty() && !text.is_empty());
                prop_assert_ne!(code, "InternalFailure");
                prop_assert_eq!(api.memory.view_now(), before);
            }
        }
    }
}

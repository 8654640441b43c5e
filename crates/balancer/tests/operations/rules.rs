//! Rules: their conditions, actions and order.

use crate::support::{Api, Parameters, rule_of};

fn listening() -> (Api, String) {
    let api = Api::new();
    let (balancer, group) = (api.balancer("shop"), api.group("web", "HTTP"));
    let listener = api.listener(&balancer, "HTTP", "80", &group);
    (api, listener)
}

/// The parameters of a rule with those conditions and actions.
fn rule<'a>(listener: &'a str, more: Parameters<'a>) -> Vec<(&'a str, &'a str)> {
    let mut all = vec![("ListenerArn", listener), ("Priority", "10")];
    all.extend(more);
    all
}

const ANSWER: [(&str, &str); 2] = [
    ("Actions.member.1.Type", "fixed-response"),
    ("Actions.member.1.FixedResponseConfig.StatusCode", "200"),
];

const ANYWHERE: [(&str, &str); 2] = [
    ("Conditions.member.1.Field", "path-pattern"),
    (
        "Conditions.member.1.PathPatternConfig.Values.member.1",
        "/*",
    ),
];

#[test]
fn every_condition_is_described_as_it_was_made() {
    let (api, listener) = listening();
    let arn = api.ok(
        "CreateRule",
        &rule(
            &listener,
            &[
                ("Conditions.member.1.Field", "host-header"),
                (
                    "Conditions.member.1.HostHeaderConfig.Values.member.1",
                    "*.example.com",
                ),
                ("Conditions.member.2.Field", "http-header"),
                (
                    "Conditions.member.2.HttpHeaderConfig.HttpHeaderName",
                    "X-Team",
                ),
                (
                    "Conditions.member.2.HttpHeaderConfig.Values.member.1",
                    "blue",
                ),
                ("Conditions.member.3.Field", "query-string"),
                (
                    "Conditions.member.3.QueryStringConfig.Values.member.1.Key",
                    "v",
                ),
                (
                    "Conditions.member.3.QueryStringConfig.Values.member.1.Value",
                    "1*",
                ),
                ("Conditions.member.4.Field", "http-request-method"),
                (
                    "Conditions.member.4.HttpRequestMethodConfig.Values.member.1",
                    "GET",
                ),
                ("Conditions.member.5.Field", "source-ip"),
                (
                    "Conditions.member.5.SourceIpConfig.Values.member.1",
                    "192.0.2.0/24",
                ),
                ANSWER[0],
                ANSWER[1],
            ],
        ),
    );
    let arn = arn.text("Rules/0/RuleArn");
    assert!(
        arn.starts_with(&listener.replace(":listener/", ":listener-rule/")),
        "{arn}"
    );
    let found = api.ok("DescribeRules", &[("RuleArns.member.1", &arn)]);
    let list = "Rules/0/Conditions";
    assert_eq!(
        found.each(list, "Field"),
        [
            "host-header",
            "http-header",
            "query-string",
            "http-request-method",
            "source-ip"
        ]
    );
    for (path, text) in [
        ("0/Values/0", "*.example.com"),
        ("0/HostHeaderConfig/Values/0", "*.example.com"),
        ("1/HttpHeaderConfig/HttpHeaderName", "X-Team"),
        ("1/HttpHeaderConfig/Values/0", "blue"),
        ("2/QueryStringConfig/Values/0/Key", "v"),
        ("2/QueryStringConfig/Values/0/Value", "1*"),
        ("3/HttpRequestMethodConfig/Values/0", "GET"),
        ("4/SourceIpConfig/Values/0", "192.0.2.0/24"),
    ] {
        assert_eq!(found.text(&format!("{list}/{path}")), text, "{path}");
    }
    assert_eq!(found.text("Rules/0/Priority"), "10");
    assert_eq!(found.text("Rules/0/IsDefault"), "false");
}

#[test]
fn conditions_that_can_t_be_are_refused() {
    let (api, listener) = listening();
    let long = "a".repeat(129);
    for conditions in [
        &[][..],
        &[("Conditions.member.1.Field", "colour")],
        &[("Conditions.member.1.Field", "path-pattern")],
        &[
            ("Conditions.member.1.Field", "path-pattern"),
            ("Conditions.member.1.Values.member.1", "/a b"),
        ],
        &[
            ("Conditions.member.1.Field", "path-pattern"),
            ("Conditions.member.1.Values.member.1", &long),
        ],
        &[
            ("Conditions.member.1.Field", "host-header"),
            ("Conditions.member.1.Values.member.1", "a/b"),
        ],
        &[
            ("Conditions.member.1.Field", "http-header"),
            (
                "Conditions.member.1.HttpHeaderConfig.HttpHeaderName",
                "Host",
            ),
            ("Conditions.member.1.HttpHeaderConfig.Values.member.1", "x"),
        ],
        &[
            ("Conditions.member.1.Field", "http-header"),
            ("Conditions.member.1.HttpHeaderConfig.HttpHeaderName", "X Y"),
            ("Conditions.member.1.HttpHeaderConfig.Values.member.1", "x"),
        ],
        &[
            ("Conditions.member.1.Field", "http-request-method"),
            (
                "Conditions.member.1.HttpRequestMethodConfig.Values.member.1",
                "get",
            ),
        ],
        &[
            ("Conditions.member.1.Field", "source-ip"),
            (
                "Conditions.member.1.SourceIpConfig.Values.member.1",
                "192.0.2.1",
            ),
        ],
        &[("Conditions.member.1.Field", "query-string")],
        // Twice a field that may be there once.
        &[
            ("Conditions.member.1.Field", "path-pattern"),
            ("Conditions.member.1.Values.member.1", "/a"),
            ("Conditions.member.2.Field", "path-pattern"),
            ("Conditions.member.2.Values.member.1", "/b"),
        ],
        // Six values, and six wildcards.
        &[
            ("Conditions.member.1.Field", "path-pattern"),
            ("Conditions.member.1.Values.member.1", "/1"),
            ("Conditions.member.1.Values.member.2", "/2"),
            ("Conditions.member.1.Values.member.3", "/3"),
            ("Conditions.member.1.Values.member.4", "/4"),
            ("Conditions.member.1.Values.member.5", "/5"),
            ("Conditions.member.1.Values.member.6", "/6"),
        ],
        &[
            ("Conditions.member.1.Field", "path-pattern"),
            ("Conditions.member.1.Values.member.1", "/*?*?*?"),
        ],
    ] {
        let mut all = conditions.to_vec();
        all.extend(ANSWER);
        let (code, _) = api.refused("CreateRule", &rule(&listener, &all));
        assert_eq!(code, "ValidationError", "{conditions:?}");
    }
    let regex = [
        ("Conditions.member.1.Field", "path-pattern"),
        (
            "Conditions.member.1.PathPatternConfig.RegexValues.member.1",
            "^/a$",
        ),
        ANSWER[0],
        ANSWER[1],
    ];
    let (_, text) = api.refused("CreateRule", &rule(&listener, &regex));
    assert!(text.contains("not built"), "{text}");
}

#[test]
fn redirects_and_answers_are_described_as_they_were_made() {
    let (api, listener) = listening();
    let mut all = ANYWHERE.to_vec();
    all.extend([
        ("Actions.member.1.Type", "redirect"),
        ("Actions.member.1.Order", "1"),
        ("Actions.member.1.RedirectConfig.Protocol", "HTTPS"),
        ("Actions.member.1.RedirectConfig.Port", "443"),
        ("Actions.member.1.RedirectConfig.StatusCode", "HTTP_301"),
    ]);
    let made = api.ok("CreateRule", &rule(&listener, &all));
    let config = "Rules/0/Actions/0/RedirectConfig";
    for (part, text) in [
        ("Protocol", "HTTPS"),
        ("Port", "443"),
        ("Host", "#{host}"),
        ("Path", "/#{path}"),
        ("Query", "#{query}"),
        ("StatusCode", "HTTP_301"),
    ] {
        assert_eq!(made.text(&format!("{config}/{part}")), text, "{part}");
    }
    assert_eq!(made.text("Rules/0/Actions/0/Order"), "1");
    let arn = made.text("Rules/0/RuleArn");
    let changed = api.ok(
        "ModifyRule",
        &[
            ("RuleArn", &arn),
            ("Actions.member.1.Type", "fixed-response"),
            ("Actions.member.1.FixedResponseConfig.StatusCode", "503"),
            (
                "Actions.member.1.FixedResponseConfig.ContentType",
                "text/html",
            ),
            (
                "Actions.member.1.FixedResponseConfig.MessageBody",
                "<b>later</b>",
            ),
        ],
    );
    let config = "Rules/0/Actions/0/FixedResponseConfig";
    assert_eq!(
        changed.text(&format!("{config}/MessageBody")),
        "<b>later</b>"
    );
    assert_eq!(changed.text(&format!("{config}/StatusCode")), "503");
    assert_eq!(changed.text("Rules/0/Conditions/0/Values/0"), "/*");
    assert_eq!(changed.text("Rules/0/Priority"), "10");
}

#[test]
fn actions_that_can_t_be_are_refused() {
    let (api, listener) = listening();
    let group = api.group("other", "HTTP");
    let missing = group.replace("/other/", "/gone/");
    let redirect = ("Actions.member.1.Type", "redirect");
    let status = ("Actions.member.1.RedirectConfig.StatusCode", "HTTP_302");
    let forward = ("Actions.member.1.Type", "forward");
    let one = "Actions.member.1.ForwardConfig.TargetGroups.member.1.TargetGroupArn";
    for (actions, code) in [
        (&[][..], "ValidationError"),
        (&[("Actions.member.1.Type", "dance")], "ValidationError"),
        (&[forward], "InvalidLoadBalancerAction"),
        (
            &[forward, ("Actions.member.1.TargetGroupArn", "arn:x")],
            "ValidationError",
        ),
        (
            &[forward, ("Actions.member.1.TargetGroupArn", &missing)],
            "TargetGroupNotFound",
        ),
        (
            &[
                forward,
                ("Actions.member.1.TargetGroupArn", &group),
                (one, &missing),
            ],
            "InvalidLoadBalancerAction",
        ),
        (
            &[
                forward,
                (one, &group),
                (
                    "Actions.member.1.ForwardConfig.TargetGroups.member.1.Weight",
                    "1000",
                ),
            ],
            "ValidationError",
        ),
        (
            &[
                forward,
                (one, &group),
                (
                    "Actions.member.1.ForwardConfig.TargetGroupStickinessConfig.Enabled",
                    "true",
                ),
            ],
            "InvalidLoadBalancerAction",
        ),
        (&[redirect], "InvalidLoadBalancerAction"),
        // It would lead to itself.
        (&[redirect, status], "InvalidLoadBalancerAction"),
        (
            &[
                redirect,
                status,
                ("Actions.member.1.RedirectConfig.Port", "0"),
            ],
            "InvalidLoadBalancerAction",
        ),
        (
            &[
                redirect,
                status,
                ("Actions.member.1.RedirectConfig.Path", "no"),
            ],
            "InvalidLoadBalancerAction",
        ),
        (
            &[
                redirect,
                status,
                ("Actions.member.1.RedirectConfig.Host", "a b"),
            ],
            "InvalidLoadBalancerAction",
        ),
        (
            &[
                redirect,
                status,
                ("Actions.member.1.RedirectConfig.Path", "/#{nothing}"),
            ],
            "InvalidLoadBalancerAction",
        ),
        (
            &[
                redirect,
                status,
                ("Actions.member.1.RedirectConfig.Path", "/a\r\nX: y"),
            ],
            "InvalidLoadBalancerAction",
        ),
        (
            &[
                redirect,
                status,
                ("Actions.member.1.RedirectConfig.Protocol", "FTP"),
            ],
            "ValidationError",
        ),
        (
            &[
                ANSWER[0],
                ("Actions.member.1.FixedResponseConfig.StatusCode", "302"),
            ],
            "ValidationError",
        ),
        (
            &[
                ANSWER[0],
                ANSWER[1],
                (
                    "Actions.member.1.FixedResponseConfig.ContentType",
                    "image/png",
                ),
            ],
            "ValidationError",
        ),
        (
            &[
                ANSWER[0],
                ANSWER[1],
                ("Actions.member.2.Type", "fixed-response"),
                ("Actions.member.2.FixedResponseConfig.StatusCode", "200"),
            ],
            "TooManyActions",
        ),
    ] {
        let mut all = ANYWHERE.to_vec();
        all.extend(actions);
        assert_eq!(
            api.code("CreateRule", &rule(&listener, &all)),
            code,
            "{actions:?}"
        );
    }
    let mut all = ANYWHERE.to_vec();
    all.extend([
        ("Actions.member.1.Type", "authenticate-oidc"),
        ("Actions.member.1.Order", "1"),
    ]);
    let (_, text) = api.refused("CreateRule", &rule(&listener, &all));
    assert!(text.contains("not built"), "{text}");
}

#[test]
fn rules_are_shared_by_weight_and_stick() {
    let (api, listener) = listening();
    let groups = ["one", "two"].map(|name| api.group(name, "HTTP"));
    let mut all = ANYWHERE.to_vec();
    let config = "Actions.member.1.ForwardConfig";
    let names: Vec<String> = [
        "TargetGroups.member.1.TargetGroupArn",
        "TargetGroups.member.1.Weight",
        "TargetGroups.member.2.TargetGroupArn",
        "TargetGroups.member.2.Weight",
        "TargetGroupStickinessConfig.Enabled",
        "TargetGroupStickinessConfig.DurationSeconds",
    ]
    .map(|name| format!("{config}.{name}"))
    .into();
    let values = [&*groups[0], "0", &groups[1], "999", "true", "60"];
    all.push(("Actions.member.1.Type", "forward"));
    all.extend(names.iter().map(String::as_str).zip(values));
    let made = api.ok("CreateRule", &rule(&listener, &all));
    let config = "Rules/0/Actions/0/ForwardConfig";
    assert_eq!(
        made.each(&format!("{config}/TargetGroups"), "Weight"),
        ["0", "999"]
    );
    let sticky = format!("{config}/TargetGroupStickinessConfig");
    assert_eq!(made.text(&format!("{sticky}/DurationSeconds")), "60");
    assert!(made.find("Rules/0/Actions/0/TargetGroupArn").is_none());
}

#[test]
fn rules_are_listed_and_set_in_their_order() {
    let (api, listener) = listening();
    let third = api.rule(&listener, "300", "/3");
    let first = api.rule(&listener, "1", "/1");
    let second = api.rule(&listener, "20", "/2");
    let priorities = || {
        let found = api.ok("DescribeRules", &[("ListenerArn", &listener)]);
        found.each("Rules", "Priority")
    };
    assert_eq!(priorities(), ["1", "20", "300", "default"]);
    let (code, text) = api.refused("CreateRule", &rule_of(&listener, "20", "/4"));
    assert_eq!(
        (code.as_str(), text.as_str()),
        ("PriorityInUse", "Priority '20' is currently in use")
    );
    let set = |pairs: &[(&str, &str)]| {
        let names: Vec<(String, String)> = pairs
            .iter()
            .enumerate()
            .flat_map(|(number, (arn, priority))| {
                let at = format!("RulePriorities.member.{}", number + 1);
                [
                    (format!("{at}.RuleArn"), (*arn).to_owned()),
                    (format!("{at}.Priority"), (*priority).to_owned()),
                ]
            })
            .collect();
        let names: Vec<_> = names
            .iter()
            .map(|(name, text)| (name.as_str(), text.as_str()))
            .collect();
        api.call("SetRulePriorities", &names)
            .map(|_| ())
            .map_err(|(code, _)| code)
    };
    // Two change places in one request.
    assert_eq!(set(&[(&first, "20"), (&second, "1")]), Ok(()));
    let found = api.ok("DescribeRules", &[("ListenerArn", &listener)]);
    assert_eq!(
        found.each("Rules", "RuleArn")[..3],
        [second.clone(), first.clone(), third.clone()]
    );
    assert_eq!(set(&[(&first, "300")]), Err("PriorityInUse".to_owned()));
    assert_eq!(
        set(&[(&first, "7"), (&second, "7")]),
        Err("ValidationError".to_owned())
    );
    assert_eq!(
        set(&[(&first, "7"), (&first, "8")]),
        Err("ValidationError".to_owned())
    );
    assert_eq!(set(&[(&first, "0")]), Err("ValidationError".to_owned()));
    let default = found.text("Rules/3/RuleArn");
    assert_eq!(
        set(&[(&default, "5")]),
        Err("OperationNotPermitted".to_owned())
    );
    assert_eq!(priorities(), ["1", "20", "300", "default"]);
    assert_eq!(
        api.code("DeleteRule", &[("RuleArn", &default)]),
        "OperationNotPermitted"
    );
    let changed = [("RuleArn", &*default), ANSWER[0], ANSWER[1]];
    assert_eq!(api.code("ModifyRule", &changed), "OperationNotPermitted");
    api.ok("DeleteRule", &[("RuleArn", &first)]);
    assert_eq!(
        api.code("DeleteRule", &[("RuleArn", &first)]),
        "RuleNotFound"
    );
    assert_eq!(priorities(), ["1", "300", "default"]);
    let page = api.ok(
        "DescribeRules",
        &[("ListenerArn", &listener), ("PageSize", "2")],
    );
    let marker = page.text("NextMarker");
    let rest = api.ok(
        "DescribeRules",
        &[("ListenerArn", &listener), ("Marker", &marker)],
    );
    assert_eq!(rest.each("Rules", "Priority"), ["default"]);
}

#[test]
fn a_load_balancer_has_as_many_rules_as_it_may() {
    let (api, listener) = listening();
    for number in 1..=100 {
        api.rule(&listener, &number.to_string(), "/x");
    }
    assert_eq!(
        api.code("CreateRule", &rule_of(&listener, "101", "/x")),
        "TooManyRules"
    );
}

#[test]
fn network_load_balancers_have_no_rules() {
    let api = Api::new();
    let (balancer, group) = (api.balancer_of("net", "network"), api.group("flows", "TCP"));
    let listener = api.listener(&balancer, "TCP", "80", &group);
    assert_eq!(
        api.code("CreateRule", &rule_of(&listener, "1", "/")),
        "UnsupportedProtocol"
    );
}

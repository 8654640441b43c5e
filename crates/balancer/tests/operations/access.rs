//! What callers must be allowed: which actions on which names, with which condition keys.

use std::sync::Mutex;

use aws::access::{Authorizer, Denied, PolicyKind, PolicyRefusal, Question};
use types::AccountId;

use crate::support::{Api, owner, rule_of, subnet};

/// Allows all but one action, and remembers what it was asked.
#[derive(Default)]
struct Judge {
    denied: &'static str,
    asked: Mutex<Vec<Asked>>,
}

#[derive(Clone, PartialEq, Eq, Debug)]
struct Asked {
    action: String,
    resource: String,
    keys: Vec<(String, Vec<String>)>,
}

impl Authorizer for Judge {
    fn account(&self) -> AccountId {
        AccountId::LAB
    }

    fn arn(&self) -> &str {
        "arn:aws:iam::111122223333:user/alice"
    }

    fn region(&self) -> &str {
        "us-east-1"
    }

    fn authorize(&self, question: &Question<'_>) -> Result<(), Denied> {
        assert_eq!(question.account, AccountId::LAB);
        let keys = question.keys.iter();
        self.asked.lock().unwrap().push(Asked {
            action: question.action.to_string(),
            resource: question.resource.to_string(),
            keys: keys
                .map(|(name, values)| (name.to_owned(), values.to_vec()))
                .collect(),
        });
        match question.action == self.denied {
            true => Err(Denied {
                message: "no".to_owned(),
            }),
            false => Ok(()),
        }
    }

    fn bind_policy(&self, _: PolicyKind, _: &str) -> Result<String, PolicyRefusal> {
        unreachable!("load balancers have no policies")
    }

    fn show_policy(&self, _: &str) -> String {
        unreachable!("load balancers have no policies")
    }
}

impl Judge {
    fn asked(self) -> Vec<(String, String)> {
        let asked = self.asked.into_inner().unwrap();
        asked
            .into_iter()
            .map(|asked| (asked.action, asked.resource))
            .collect()
    }
}

fn pair(action: &str, resource: &str) -> (String, String) {
    (
        format!("elasticloadbalancing:{action}"),
        resource.to_owned(),
    )
}

#[test]
fn what_is_made_is_asked_for_by_the_name_that_it_will_have() {
    let api = Api::new();
    let judge = Judge::default();
    let (one, other) = (subnet(0), subnet(1));
    let body = [
        ("Name", "shop"),
        ("Subnets.member.1", &*one),
        ("Subnets.member.2", &other),
        ("Tags.member.1.Key", "team"),
        ("Tags.member.1.Value", "blue"),
    ];
    api.call_as(&judge, "CreateLoadBalancer", &body).unwrap();
    let asked = judge.asked.into_inner().unwrap();
    let resource = "arn:aws:elasticloadbalancing:us-east-1:111122223333:loadbalancer/app/shop/*";
    assert_eq!(asked.len(), 2);
    assert!(
        asked.iter().all(|asked| asked.resource == resource),
        "{asked:?}"
    );
    let has = |asked: &Asked, key: &str, value: &str| {
        asked
            .keys
            .contains(&(key.to_owned(), vec![value.to_owned()]))
    };
    assert_eq!(asked[0].action, "elasticloadbalancing:CreateLoadBalancer");
    assert!(
        has(&asked[0], "elasticloadbalancing:Scheme", "internet-facing"),
        "{asked:?}"
    );
    assert!(has(&asked[0], "aws:RequestTag/team", "blue"), "{asked:?}");
    assert!(has(&asked[0], "aws:TagKeys", "team"), "{asked:?}");
    assert_eq!(asked[1].action, "elasticloadbalancing:AddTags");
    let action = "elasticloadbalancing:CreateAction";
    assert!(has(&asked[1], action, "CreateLoadBalancer"), "{asked:?}");
}

#[test]
fn every_operation_is_asked_for_on_what_it_is_done_to() {
    let api = Api::new();
    let (balancer, group) = (api.balancer("shop"), api.group("web", "HTTP"));
    let listener = api.listener(&balancer, "HTTP", "80", &group);
    let rule = api.rule(&listener, "1", "/");
    let target = [
        ("TargetGroupArn", &*group),
        ("Targets.member.1.Id", "127.1.1.11"),
    ];
    let new_rule = rule_of(&listener, "2", "/2");
    fn with<'a>(name: &'a str, arn: &'a str) -> Vec<(&'a str, &'a str)> {
        vec![(name, arn)]
    }
    let tagging = vec![
        ("ResourceArns.member.1", &*rule),
        ("Tags.member.1.Key", "k"),
    ];
    let priority = vec![
        ("RulePriorities.member.1.RuleArn", &*rule),
        ("RulePriorities.member.1.Priority", "9"),
    ];
    for (operation, parameters, resource) in [
        ("DescribeLoadBalancers", vec![], "*"),
        ("DescribeTargetHealth", with("TargetGroupArn", &group), "*"),
        ("RegisterTargets", target.to_vec(), &*group),
        ("DeregisterTargets", target.to_vec(), &group),
        ("ModifyTargetGroup", with("TargetGroupArn", &group), &group),
        ("CreateRule", new_rule.to_vec(), &listener),
        ("SetRulePriorities", priority, &rule),
        ("AddTags", tagging, &rule),
        ("DeleteRule", with("RuleArn", &rule), &rule),
        ("ModifyListener", with("ListenerArn", &listener), &listener),
        ("DeleteListener", with("ListenerArn", &listener), &listener),
        (
            "SetSecurityGroups",
            with("LoadBalancerArn", &balancer),
            &balancer,
        ),
        (
            "DeleteLoadBalancer",
            with("LoadBalancerArn", &balancer),
            &balancer,
        ),
        ("DeleteTargetGroup", with("TargetGroupArn", &group), &group),
    ] {
        let denying = Judge {
            denied: Box::leak(format!("elasticloadbalancing:{operation}").into_boxed_str()),
            ..Judge::default()
        };
        let before = api.memory.view_now();
        let refused = api.call_as(&denying, operation, &parameters).unwrap_err();
        assert_eq!(
            refused,
            ("AccessDenied".to_owned(), "no".to_owned()),
            "{operation}"
        );
        assert_eq!(api.memory.view_now(), before, "{operation}");
        let judge = Judge::default();
        api.call_as(&judge, operation, &parameters).unwrap();
        assert_eq!(judge.asked(), [pair(operation, resource)], "{operation}");
    }
}

#[test]
fn the_tags_of_what_is_named_are_condition_keys() {
    let api = Api::new();
    let balancer = api.balancer("shop");
    let tag = [
        ("ResourceArns.member.1", &*balancer),
        ("Tags.member.1.Key", "team"),
        ("Tags.member.1.Value", "blue"),
    ];
    api.ok("AddTags", &tag);
    let judge = Judge::default();
    api.call_as(
        &judge,
        "SetSecurityGroups",
        &[("LoadBalancerArn", &balancer)],
    )
    .unwrap();
    let asked = judge.asked.into_inner().unwrap();
    for prefix in ["aws", "elasticloadbalancing"] {
        let key = (
            format!("{prefix}:ResourceTag/team"),
            vec!["blue".to_owned()],
        );
        assert!(asked[0].keys.contains(&key), "{asked:?}");
    }
}

#[test]
fn what_is_another_account_s_is_not_shown() {
    let api = Api::new();
    let balancer = api.balancer("shop");
    let stranger = aws::access::Owner::new("444455556666".parse().unwrap(), "us-east-1");
    let found = api
        .call_as(&stranger, "DescribeLoadBalancers", &[])
        .unwrap();
    assert_eq!(found.count("LoadBalancers"), 0);
    let named = [("LoadBalancerArns.member.1", &*balancer)];
    let refused = api
        .call_as(&stranger, "DescribeLoadBalancers", &named)
        .unwrap_err();
    assert_eq!(refused.0, "LoadBalancerNotFound");
    for (operation, parameter) in [
        ("DescribeLoadBalancerAttributes", "LoadBalancerArn"),
        ("DescribeListeners", "LoadBalancerArn"),
        ("DescribeTargetGroups", "LoadBalancerArn"),
        ("DescribeCapacityReservation", "LoadBalancerArn"),
        ("DescribeTags", "ResourceArns.member.1"),
        ("DeleteLoadBalancer", "LoadBalancerArn"),
        ("SetSecurityGroups", "LoadBalancerArn"),
    ] {
        let refused = api.call_as(&stranger, operation, &[(parameter, &balancer)]);
        let (code, _) = refused.unwrap_err();
        let hidden = matches!(code.as_str(), "LoadBalancerNotFound" | "AccessDenied");
        assert!(hidden, "{operation}: {code}");
    }
    assert_eq!(
        api.ok("DescribeLoadBalancers", &named)
            .count("LoadBalancers"),
        1
    );
    let group = api.group("web", "HTTP");
    let listener = api.listener(&balancer, "HTTP", "80", &group);
    let rules = api.ok("DescribeRules", &[("ListenerArn", &listener)]);
    let rule = rules.text("Rules/0/RuleArn");
    for (operation, parameter, arn) in [
        ("DescribeListeners", "ListenerArns.member.1", &listener),
        ("DescribeListenerAttributes", "ListenerArn", &listener),
        ("DescribeListenerCertificates", "ListenerArn", &listener),
        ("DescribeRules", "ListenerArn", &listener),
        ("DescribeRules", "RuleArns.member.1", &rule),
        ("DescribeTargetGroups", "TargetGroupArns.member.1", &group),
        ("DescribeTargetGroupAttributes", "TargetGroupArn", &group),
        ("DescribeTargetHealth", "TargetGroupArn", &group),
    ] {
        let refused = api.call_as(&stranger, operation, &[(parameter, arn)]);
        let (code, _) = refused.unwrap_err();
        assert!(code.ends_with("NotFound"), "{operation}: {code}");
    }
    // The stranger's own may have that name.
    let (one, other) = (subnet(0), subnet(1));
    let body = [
        ("Name", "shop"),
        ("Subnets.member.1", &*one),
        ("Subnets.member.2", &other),
    ];
    api.call_as(&stranger, "CreateLoadBalancer", &body).unwrap();
    assert_eq!(
        api.call_as(&owner(), "DescribeLoadBalancers", &[])
            .unwrap()
            .count("LoadBalancers"),
        1
    );
    // ... and can't forward to what isn't its own.
    let found = api
        .call_as(&stranger, "DescribeLoadBalancers", &[])
        .unwrap();
    let theirs = found.text("LoadBalancers/0/LoadBalancerArn");
    let body = [
        ("LoadBalancerArn", theirs.as_str()),
        ("Protocol", "HTTP"),
        ("Port", "80"),
        ("DefaultActions.member.1.Type", "forward"),
        ("DefaultActions.member.1.TargetGroupArn", &group),
    ];
    let refused = api.call_as(&stranger, "CreateListener", &body).unwrap_err();
    assert_eq!(refused.0, "TargetGroupNotFound");
}

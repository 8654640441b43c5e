//! Histories of requests, against what must always hold of what they leave: no two load balancers
//! share an address or a name, ports and priorities are taken once, what actions name is there, and
//! every request is answered.

use std::collections::{BTreeMap, BTreeSet};

use balancer::model::{LoadBalancer, TargetGroup};
use balancer::{catalogue, keys};
use proptest::prelude::*;
use types::ConfigurationView;

use crate::support::{Api, View, rule_of, subnet};

/// A request, its choices as numbers that are taken modulo what there is.
#[derive(Clone, Debug)]
struct Step {
    what: u8,
    which: u8,
    first: u8,
    second: u8,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = (0u8..13, any::<u8>(), any::<u8>(), any::<u8>());
    let step = step.prop_map(|(what, which, first, second)| Step {
        what,
        which,
        first,
        second,
    });
    prop::collection::vec(step, 1..60)
}

fn pick<T>(of: &[T], number: u8) -> Option<&T> {
    of.get(usize::from(number) % of.len().max(1))
}

fn balancers(view: &View) -> Vec<LoadBalancer> {
    let mut all = Vec::new();
    catalogue::visit_balancers(view, &mut |_, row| all.push(row.unwrap()));
    all
}

fn groups(view: &View) -> Vec<TargetGroup> {
    let mut all = Vec::new();
    catalogue::visit_groups(view, &mut |_, row| all.push(row.unwrap()));
    all
}

/// Asks what a step asks, given what there is. Refused or not, an answer comes.
fn take(api: &Api, step: &Step) {
    let view = api.memory.view_now();
    let (balancers, groups) = (balancers(&view), groups(&view));
    let group = pick(&groups, step.second).map_or("arn:x".to_owned(), |it| it.arn.to_string());
    let Some(balancer) = pick(&balancers, step.which) else {
        return make(api, step);
    };
    let arn = balancer.arn.to_string();
    let listener = pick(&balancer.listeners, step.first);
    let listener_arn = listener.map(|it| balancer.listener_arn(&it.id).to_string());
    let listener_arn = listener_arn.unwrap_or_else(|| "arn:x".to_owned());
    let port = (80 + u16::from(step.second % 4)).to_string();
    let rule = listener.and_then(|listener| pick(&listener.rules, step.second));
    let rule_arn = rule.map_or_else(
        || "arn:x".to_owned(),
        |rule| {
            format!(
                "{}/{}",
                listener_arn.replace(":listener/", ":listener-rule/"),
                rule.id
            )
        },
    );
    let priority = (1 + step.second % 5).to_string();
    let target = format!("127.1.1.{}", step.first % 5);
    let (one, other) = (
        subnet(usize::from(step.first) % 3),
        subnet(usize::from(step.second) % 3),
    );
    let forward = [
        ("DefaultActions.member.1.Type", "forward"),
        ("DefaultActions.member.1.TargetGroupArn", &*group),
    ];
    let _ = match step.what {
        0 | 1 => return make(api, step),
        2 | 3 => {
            let body = [
                ("LoadBalancerArn", &*arn),
                ("Protocol", "HTTP"),
                ("Port", &port),
            ];
            api.call("CreateListener", &[&body[..], &forward].concat())
        }
        4 => {
            let body = [("ListenerArn", &*listener_arn), ("Port", &port)];
            api.call("ModifyListener", &[&body[..], &forward].concat())
        }
        5 => api.call("CreateRule", &rule_of(&listener_arn, &priority, "/x")),
        6 => api.call(
            "SetRulePriorities",
            &[
                ("RulePriorities.member.1.RuleArn", &rule_arn),
                ("RulePriorities.member.1.Priority", &priority),
            ],
        ),
        7 => api.call("DeleteListener", &[("ListenerArn", &listener_arn)]),
        8 => api.call("DeleteLoadBalancer", &[("LoadBalancerArn", &arn)]),
        9 => api.call("DeleteTargetGroup", &[("TargetGroupArn", &group)]),
        10 => api.call(
            "RegisterTargets",
            &[("TargetGroupArn", &group), ("Targets.member.1.Id", &target)],
        ),
        11 => api.call(
            "DeregisterTargets",
            &[("TargetGroupArn", &group), ("Targets.member.1.Id", &target)],
        ),
        _ => api.call(
            "SetSubnets",
            &[
                ("LoadBalancerArn", &arn),
                ("Subnets.member.1", &one),
                ("Subnets.member.2", &other),
            ],
        ),
    };
}

fn make(api: &Api, step: &Step) {
    let name = format!("n{}", step.first % 4);
    if step.second.is_multiple_of(2) {
        api.group(&name, "HTTP");
        return;
    }
    let (one, other) = (subnet(0), subnet(1));
    let body = [
        ("Name", &*name),
        ("Subnets.member.1", &*one),
        ("Subnets.member.2", &*other),
    ];
    let _ = api.call("CreateLoadBalancer", &body);
}

/// What must hold, said apart from the code that sees to it.
fn check(view: &View) {
    let (balancers, groups) = (balancers(view), groups(view));
    let (mut addresses, mut names) = (BTreeSet::new(), BTreeSet::new());
    let mut used: BTreeMap<String, String> = BTreeMap::new();
    let known: BTreeSet<String> = groups.iter().map(|group| group.arn.to_string()).collect();
    for balancer in &balancers {
        let arn = balancer.arn.to_string();
        assert!(names.insert(&balancer.arn.name), "a name is there twice");
        assert!(balancer.zones.len() >= 2);
        for (zone, address) in &balancer.zones {
            assert_eq!(address.octets()[1], 32 + zone.letter.index());
            assert!(addresses.insert(*address), "an address is there twice");
            let (_, owner) = view.get(&keys::address(*address)).unwrap();
            assert_eq!(owner, arn);
        }
        let mut ports = BTreeSet::new();
        for listener in &balancer.listeners {
            assert!(ports.insert(listener.port), "a port is there twice");
            let priorities: Vec<u32> = listener.rules.iter().map(|rule| rule.priority).collect();
            assert!(
                priorities.is_sorted_by(|one, other| one < other),
                "{priorities:?}"
            );
        }
        for group in balancer.target_groups() {
            let group = group.to_string();
            assert!(known.contains(&group), "an action names what isn't there");
            let user = used.entry(group).or_insert_with(|| arn.clone());
            assert_eq!(*user, arn, "a group has two load balancers");
        }
    }
    let names: BTreeSet<&String> = groups.iter().map(|group| &group.arn.name).collect();
    assert_eq!(names.len(), groups.len(), "a name is there twice");
    // Nothing else is left behind.
    let nodes: usize = balancers.iter().map(|balancer| balancer.zones.len()).sum();
    let rows = balancers.len() * 2 + nodes + groups.len() * 2;
    assert_eq!(view.entries.len(), rows + usize::from(view.revision > 0));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn what_requests_leave_always_holds(steps in steps()) {
        let api = Api::new();
        for step in &steps {
            take(&api, step);
            check(&api.memory.view_now());
        }
    }
}

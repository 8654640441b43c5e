//! A load balancer made ready to route by: its listeners' rules with their patterns, and the target
//! groups that its actions name. As of one revision; it knows nothing of health.

use std::collections::BTreeMap;
use std::sync::Arc;

use types::AvailabilityZone;

use crate::arn::TargetGroupArn;
use crate::model::{
    Action, ActionKind, FixedResponse, Forward, Listener, LoadBalancer, Redirect, RuleId,
};
use crate::rules::{Rule, Rules};
use crate::targets::{Pool, TargetSet};

/// A load balancer.
#[derive(Debug)]
pub struct CompiledBalancer {
    /// The row it was compiled from.
    pub row: LoadBalancer,
    /// Its name as a text, for cookies.
    pub(crate) arn: String,
    /// The revision that set it.
    pub(crate) revision: u64,
    /// As many as the row has, in its order.
    pub(crate) listeners: Vec<CompiledListener>,
    /// Every target group that an action of it names, in the order of their names.
    pub(crate) groups: Vec<UsedGroup>,
    /// Groups that it names and that aren't there.
    pub(crate) missing: Vec<TargetGroupArn>,
}

/// A target group that an action of a load balancer names.
#[derive(Debug)]
pub(crate) struct UsedGroup {
    pub(crate) set: Arc<TargetSet>,
    /// For the node in each zone, the places of the targets that come into question.
    places: BTreeMap<AvailabilityZone, Box<[u32]>>,
}

/// A listener.
#[derive(Debug)]
pub(crate) struct CompiledListener {
    pub(crate) rules: Rules<CompiledAction>,
    pub(crate) default_rule: RuleId,
    pub(crate) default_action: CompiledAction,
}

/// What becomes of a request.
#[derive(Clone, Debug)]
pub(crate) enum CompiledAction {
    Forward(CompiledForward),
    Redirect(Redirect),
    Fixed(FixedResponse),
}

/// The target groups that share requests.
#[derive(Clone, Debug)]
pub(crate) struct CompiledForward {
    /// Their numbers among the load balancer's, and their weights.
    pub(crate) groups: Vec<(usize, u16)>,
    /// For how many seconds a client stays with its group.
    pub(crate) stickiness: Option<u32>,
}

/// Compiles a load balancer as that revision set it, with the target groups that `find` finds.
pub(crate) fn compile(
    row: LoadBalancer,
    revision: u64,
    find: &dyn Fn(&TargetGroupArn) -> Option<Arc<TargetSet>>,
) -> CompiledBalancer {
    let cross_zone = row.is_cross_zone();
    let mut groups: Vec<UsedGroup> = Vec::new();
    let mut numbers = BTreeMap::new();
    let mut missing = Vec::new();
    for arn in row.target_groups() {
        let Some(set) = find(arn) else {
            missing.push(arn.clone());
            continue;
        };
        let zones = row.zones.keys();
        let places = zones.map(|zone| (*zone, set.places(*zone, &row.zones, cross_zone)));
        numbers.insert(arn.clone(), groups.len());
        groups.push(UsedGroup {
            places: places.collect(),
            set,
        });
    }
    let listeners = row.listeners.iter();
    let listeners = listeners.map(|listener| compile_listener(listener, &numbers));
    CompiledBalancer {
        listeners: listeners.collect(),
        arn: row.arn.to_string(),
        row,
        revision,
        groups,
        missing,
    }
}

/// Target groups that are there, by their numbers.
type Numbers = BTreeMap<TargetGroupArn, usize>;

fn compile_listener(listener: &Listener, numbers: &Numbers) -> CompiledListener {
    let rules = listener.rules.iter().map(|rule| Rule {
        priority: rule.priority,
        id: rule.id.clone(),
        conditions: rule.conditions.iter().map(Into::into).collect(),
        action: compile_action(&rule.action, numbers),
    });
    CompiledListener {
        rules: Rules::new(rules.collect()),
        default_rule: listener.default_rule.clone(),
        default_action: compile_action(&listener.default_action, numbers),
    }
}

fn compile_action(action: &Action, numbers: &Numbers) -> CompiledAction {
    match &action.kind {
        ActionKind::Forward(forward) => CompiledAction::Forward(compile_forward(forward, numbers)),
        ActionKind::Redirect(redirect) => CompiledAction::Redirect(redirect.clone()),
        ActionKind::FixedResponse(fixed) => CompiledAction::Fixed(fixed.clone()),
    }
}

/// A group that isn't there takes nothing.
fn compile_forward(forward: &Forward, numbers: &Numbers) -> CompiledForward {
    let groups = forward.groups.iter();
    let groups =
        groups.filter_map(|weighted| Some((*numbers.get(&weighted.group)?, weighted.weight)));
    let stickiness = forward.stickiness.filter(|stickiness| stickiness.enabled);
    CompiledForward {
        groups: groups.collect(),
        stickiness: stickiness.and_then(|stickiness| stickiness.duration),
    }
}

impl CompiledBalancer {
    /// The targets of a group, by its number, that come into question for the node in that zone.
    pub(crate) fn pool(&self, group: usize, node: AvailabilityZone) -> Pool<'_> {
        let used = &self.groups[group];
        let places = used.places.get(&node);
        Pool {
            set: &used.set,
            node,
            places: places.map_or(&[], |places| places),
        }
    }

    /// Has every target group enough healthy targets for the node in that zone to stay in DNS?
    pub(crate) fn is_healthy_in(&self, node: AvailabilityZone) -> bool {
        let mut groups = 0..self.groups.len();
        self.missing.is_empty()
            && !self.listeners.is_empty()
            && groups.all(|group| self.pool(group, node).is_enough_for_dns())
    }
}

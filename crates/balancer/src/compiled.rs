//! A load balancer made ready to route by: its listeners' rules with their patterns, and the target
//! groups that its actions name. As of one revision; it knows nothing of health.

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
    pub(crate) groups: Vec<Arc<TargetSet>>,
    /// Groups that it names and that aren't there.
    pub(crate) missing: Vec<TargetGroupArn>,
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
    pub(crate) groups: Vec<(Arc<TargetSet>, u16)>,
    /// For how many seconds a client stays with its group.
    pub(crate) stickiness: Option<u32>,
}

/// Compiles a load balancer as that revision set it, with the target groups that `find` finds.
pub(crate) fn compile(
    row: LoadBalancer,
    revision: u64,
    find: &dyn Fn(&TargetGroupArn) -> Option<Arc<TargetSet>>,
) -> CompiledBalancer {
    let mut groups = Vec::new();
    let mut missing = Vec::new();
    for arn in row.target_groups() {
        match find(arn) {
            Some(set) => groups.push(set),
            None => missing.push(arn.clone()),
        }
    }
    let listeners = row.listeners.iter();
    let listeners = listeners.map(|listener| compile_listener(listener, find));
    CompiledBalancer {
        listeners: listeners.collect(),
        arn: row.arn.to_string(),
        row,
        revision,
        groups,
        missing,
    }
}

fn compile_listener(
    listener: &Listener,
    find: &dyn Fn(&TargetGroupArn) -> Option<Arc<TargetSet>>,
) -> CompiledListener {
    let rules = listener.rules.iter().map(|rule| Rule {
        priority: rule.priority,
        id: rule.id.clone(),
        conditions: rule.conditions.iter().map(Into::into).collect(),
        action: compile_action(&rule.action, find),
    });
    CompiledListener {
        rules: Rules::new(rules.collect()),
        default_rule: listener.default_rule.clone(),
        default_action: compile_action(&listener.default_action, find),
    }
}

fn compile_action(
    action: &Action,
    find: &dyn Fn(&TargetGroupArn) -> Option<Arc<TargetSet>>,
) -> CompiledAction {
    match &action.kind {
        ActionKind::Forward(forward) => CompiledAction::Forward(compile_forward(forward, find)),
        ActionKind::Redirect(redirect) => CompiledAction::Redirect(redirect.clone()),
        ActionKind::FixedResponse(fixed) => CompiledAction::Fixed(fixed.clone()),
    }
}

/// A group that isn't there takes nothing.
fn compile_forward(
    forward: &Forward,
    find: &dyn Fn(&TargetGroupArn) -> Option<Arc<TargetSet>>,
) -> CompiledForward {
    let groups = forward.groups.iter();
    let groups = groups.filter_map(|weighted| Some((find(&weighted.group)?, weighted.weight)));
    let stickiness = forward.stickiness.filter(|stickiness| stickiness.enabled);
    CompiledForward {
        groups: groups.collect(),
        stickiness: stickiness.and_then(|stickiness| stickiness.duration),
    }
}

impl CompiledBalancer {
    /// The targets of a group that come into question for its node in that zone.
    pub(crate) fn pool<'a>(&'a self, set: &'a TargetSet, node: AvailabilityZone) -> Pool<'a> {
        let own = self.row.is_cross_zone();
        Pool {
            set,
            node,
            zones: &self.row.zones,
            cross_zone: set.cross_zone.unwrap_or(own),
        }
    }

    /// Has every target group enough healthy targets for the node in that zone to stay in DNS?
    pub(crate) fn is_healthy_in(&self, node: AvailabilityZone) -> bool {
        let mut groups = self.groups.iter();
        self.missing.is_empty()
            && !self.listeners.is_empty()
            && groups.all(|set| self.pool(set, node).is_enough_for_dns())
    }
}

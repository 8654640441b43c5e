//! Rules of listeners: to make, describe, change, reorder and delete them.

use std::collections::{BTreeMap, BTreeSet};

use aws::query::Reply;
use aws::xml::XmlWriter;

use super::listeners::{find, find_mut};
use crate::arn::{ListenerArn, LoadBalancerArn, RuleArn};
use crate::error::{BalancerError, Refusal};
use crate::input::{actions, conditions};
use crate::limits::{MAX_PRIORITY, MAX_RULES};
use crate::model::{Listener, LoadBalancer, LoadBalancerKind, Rule, RuleId};
use crate::request::{BalancerRequest, Paging, number, required};
use crate::service::{Service, no_listener, no_rule};
use crate::{forwarding, ids, shapes, tags};

/// `CreateRule`.
pub(crate) async fn create(
    service: &Service,
    request: &BalancerRequest<'_>,
) -> Result<Reply, BalancerError> {
    let arn: ListenerArn = request.arn()?;
    let members = request.members();
    required(&members, "Priority")?;
    let priority = number(&members, "Priority", 1, MAX_PRIORITY)?.unwrap_or(MAX_PRIORITY);
    let conditions = conditions::read(&members.structures("Conditions")?)?;
    refuse_transforms(request)?;
    let actions = members.structures("Actions")?;
    let id = RuleId(ids::unique(service.environment()));
    let tags = tags::read(&members)?;
    let amended = service
        .amend_balancer(&arn.balancer, no_listener, |view, balancer| {
            let held: usize = balancer.listeners.iter().map(|it| it.rules.len()).sum();
            let listener = find_mut(balancer, &arn.listener)?;
            check_kind(&arn.balancer)?;
            if listener.rules.iter().any(|rule| rule.priority == priority) {
                return Err(taken(priority));
            }
            if held >= MAX_RULES {
                let text = format!("A load balancer can have at most {MAX_RULES} rules");
                return Err(BalancerError::refused(Refusal::TooManyRules, text));
            }
            let action = actions::read(&actions, listener.protocol)?;
            forwarding::check(view, &arn.balancer, listener.protocol, [&action])?;
            listener.rules.push(Rule {
                id: id.clone(),
                priority,
                conditions: conditions.clone(),
                action,
                tags: tags.clone(),
            });
            listener.rules.sort_by_key(|rule| rule.priority);
            forwarding::check_count(balancer)
        })
        .await?;
    answer(request, &amended.row, &[rule_arn(&arn, &id)])
}

/// Rules are of application load balancers alone.
fn check_kind(balancer: &LoadBalancerArn) -> Result<(), BalancerError> {
    if balancer.kind == LoadBalancerKind::Application {
        return Ok(());
    }
    let text = "Rules are not supported for listeners of network load balancers";
    Err(BalancerError::refused(Refusal::UnsupportedProtocol, text))
}

fn taken(priority: u32) -> BalancerError {
    let text = format!("Priority '{priority}' is currently in use");
    BalancerError::refused(Refusal::PriorityInUse, text)
}

fn refuse_transforms(request: &BalancerRequest<'_>) -> Result<(), BalancerError> {
    if request.members().structures("Transforms")?.is_empty() {
        return Ok(());
    }
    Err(BalancerError::not_built("Transforms of a rule"))
}

fn rule_arn(listener: &ListenerArn, id: &RuleId) -> RuleArn {
    RuleArn {
        listener: listener.clone(),
        rule: id.clone(),
    }
}

/// Writes the rules of those names, which are one load balancer's.
fn answer(
    request: &BalancerRequest<'_>,
    balancer: &LoadBalancer,
    arns: &[RuleArn],
) -> Result<Reply, BalancerError> {
    let mut reply = request.reply();
    let writer = reply.writer();
    writer.open("Rules");
    for arn in arns {
        let listener = balancer
            .listener(&arn.listener.listener)
            .ok_or_else(no_rule)?;
        writer.open("member");
        write(writer, listener, arn)?;
        writer.close();
    }
    writer.close();
    Ok(reply)
}

/// Writes a rule, which may be its listener's default one.
fn write(writer: &mut XmlWriter, listener: &Listener, arn: &RuleArn) -> Result<(), BalancerError> {
    if listener.default_rule == arn.rule {
        shapes::default_rule(writer, arn, listener);
        return Ok(());
    }
    let rule = listener.rule(&arn.rule).ok_or_else(no_rule)?;
    shapes::rule(writer, arn, rule);
    Ok(())
}

/// `DescribeRules`: of a listener, in the order of their priorities, or of some names.
pub(crate) async fn describe(
    service: &Service,
    request: &BalancerRequest<'_>,
) -> Result<Reply, BalancerError> {
    let listener: Option<ListenerArn> = request.optional_arn()?;
    let arns: Vec<RuleArn> = request.arns("RuleArns")?;
    let view = service.view();
    let mut keyed = Vec::new();
    match listener {
        Some(arn) if arns.is_empty() => {
            let (_, listener) = find(&*view, &arn)?;
            let ids = listener.rules.iter().map(|rule| &rule.id);
            let ids: Vec<RuleId> = ids.chain([&listener.default_rule]).cloned().collect();
            for id in ids {
                keyed.push((
                    place(&listener, &id)?,
                    (listener.clone(), rule_arn(&arn, &id)),
                ));
            }
        }
        None if !arns.is_empty() => {
            for arn in arns {
                let (_, listener) = find(&*view, &arn.listener).map_err(as_rule)?;
                keyed.push((place(&listener, &arn.rule)?, (listener, arn)));
            }
        }
        _ => {
            let text = "You must specify either listener rule ARNs or a listener ARN";
            return Err(BalancerError::invalid(text));
        }
    }
    let mut reply = request.reply();
    let paging = Paging::of(request)?;
    let mut written = Ok(());
    paging.write(reply.writer(), "Rules", keyed, |writer, (listener, arn)| {
        if written.is_ok() {
            written = write(writer, &listener, &arn);
        }
    });
    written?;
    Ok(reply)
}

/// Where a rule stands in a list: by its priority, the default one last.
fn place(listener: &Listener, id: &RuleId) -> Result<String, BalancerError> {
    if listener.default_rule == *id {
        return Ok(format!("default-{id}"));
    }
    let rule = listener.rule(id).ok_or_else(no_rule)?;
    Ok(format!("{:05}-{id}", rule.priority))
}

/// A rule's listener isn't there, so neither is the rule.
fn as_rule(error: BalancerError) -> BalancerError {
    match error {
        BalancerError::Refused(Refusal::ListenerNotFound, _) => no_rule(),
        other => other,
    }
}

/// `ModifyRule`: its conditions, its action, or both. The default rule's action is its listener's.
pub(crate) async fn modify(
    service: &Service,
    request: &BalancerRequest<'_>,
) -> Result<Reply, BalancerError> {
    let arn: RuleArn = request.arn()?;
    let members = request.members();
    let asked = members.structures("Conditions")?;
    let conditions = (!asked.is_empty())
        .then(|| conditions::read(&asked))
        .transpose()?;
    let actions = members.structures("Actions")?;
    refuse_transforms(request)?;
    let resets = members.value("ResetTransforms") == Some("true");
    if conditions.is_none() && actions.is_empty() && !resets {
        let text = "Either conditions or actions must be specified";
        return Err(BalancerError::invalid(text));
    }
    let balancer = arn.listener.balancer.clone();
    let amended = service
        .amend_balancer(&balancer, no_rule, |view, row| {
            let listener = find_mut(row, &arn.listener.listener).map_err(as_rule)?;
            let protocol = listener.protocol;
            if listener.default_rule == arn.rule {
                let text = format!("Default rule '{arn}' cannot be modified: modify its listener");
                return Err(BalancerError::refused(Refusal::OperationNotPermitted, text));
            }
            let mut rules = listener.rules.iter_mut();
            let rule = rules.find(|rule| rule.id == arn.rule).ok_or_else(no_rule)?;
            if let Some(conditions) = &conditions {
                rule.conditions.clone_from(conditions);
            }
            if !actions.is_empty() {
                rule.action = actions::read(&actions, protocol)?;
                forwarding::check(view, &balancer, protocol, [&rule.action])?;
            }
            forwarding::check_count(row)
        })
        .await?;
    answer(request, &amended.row, std::slice::from_ref(&arn))
}

/// `DeleteRule`: not the default one.
pub(crate) async fn delete(
    service: &Service,
    request: &BalancerRequest<'_>,
) -> Result<Reply, BalancerError> {
    let arn: RuleArn = request.arn()?;
    service
        .amend_balancer(&arn.listener.balancer, no_rule, |_, balancer| {
            let listener = find_mut(balancer, &arn.listener.listener).map_err(as_rule)?;
            if listener.default_rule == arn.rule {
                let text = format!("Default rule '{arn}' cannot be deleted");
                return Err(BalancerError::refused(Refusal::OperationNotPermitted, text));
            }
            listener.rule(&arn.rule).ok_or_else(no_rule)?;
            listener.rules.retain(|rule| rule.id != arn.rule);
            Ok(())
        })
        .await?;
    Ok(request.done())
}

/// `SetRulePriorities`: of rules of one load balancer, all at once.
pub(crate) async fn set_priorities(
    service: &Service,
    request: &BalancerRequest<'_>,
) -> Result<Reply, BalancerError> {
    let priorities = read_priorities(request)?;
    let first = priorities.keys().next();
    let first = first.ok_or_else(|| BalancerError::invalid("A rule priority must be specified"))?;
    let balancer = first.listener.balancer.clone();
    if priorities
        .keys()
        .any(|arn| arn.listener.balancer != balancer)
    {
        let text = "The rules must be of one load balancer";
        return Err(BalancerError::invalid(text));
    }
    let amended = service
        .amend_balancer(&balancer, no_rule, |_, row| {
            for (arn, priority) in &priorities {
                let listener = find_mut(row, &arn.listener.listener).map_err(as_rule)?;
                if listener.default_rule == arn.rule {
                    let text = format!("The priority of default rule '{arn}' cannot be set");
                    return Err(BalancerError::refused(Refusal::OperationNotPermitted, text));
                }
                let mut rules = listener.rules.iter_mut();
                let rule = rules.find(|rule| rule.id == arn.rule).ok_or_else(no_rule)?;
                rule.priority = *priority;
            }
            for listener in &mut row.listeners {
                listener.rules.sort_by_key(|rule| rule.priority);
                let mut pairs = listener.rules.windows(2);
                if let Some(pair) = pairs.find(|pair| pair[0].priority == pair[1].priority) {
                    return Err(taken(pair[0].priority));
                }
            }
            Ok(())
        })
        .await?;
    let arns: Vec<RuleArn> = priorities.into_keys().collect();
    answer(request, &amended.row, &arns)
}

fn read_priorities(request: &BalancerRequest<'_>) -> Result<BTreeMap<RuleArn, u32>, BalancerError> {
    let mut priorities = BTreeMap::new();
    let mut seen = BTreeSet::new();
    for pair in request.members().structures("RulePriorities")? {
        let arn: RuleArn = request.own(required(&pair, "RuleArn")?)?;
        required(&pair, "Priority")?;
        let priority = number(&pair, "Priority", 1, MAX_PRIORITY)?.unwrap_or(MAX_PRIORITY);
        // Two listeners may each have a rule of one priority.
        if !seen.insert((arn.listener.clone(), priority)) {
            let text = format!("Priority '{priority}' was provided multiple times");
            return Err(BalancerError::invalid(text));
        }
        if priorities.insert(arn.clone(), priority).is_some() {
            let text = format!("Rule '{arn}' was provided multiple times");
            return Err(BalancerError::invalid(text));
        }
    }
    Ok(priorities)
}

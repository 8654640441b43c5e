//! Why a request goes where it goes: every rule with what of it is met, and every target of the
//! group that takes the request with how it stands. What it says is for people and for JSON;
//! nothing is decided by it, and nothing counts as sent.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::net::SocketAddr;

use serde::Serialize;
use types::AvailabilityZone;

use crate::listen::Listening;
use crate::model::{self, TargetKey};
use crate::route::{Circumstances, Decision, Forwarding};
use crate::rules::{Condition, Head};
use crate::targets::{NoTarget, Tried, WhyTarget};

/// Why a request goes where it goes.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Explanation {
    /// The load balancer's name.
    pub balancer: String,
    /// The node's zone.
    pub zone: AvailabilityZone,
    /// The node's address and the listener's port.
    pub listener: SocketAddr,
    /// What the listener takes.
    pub protocol: &'static str,
    /// The rules up to the one that decides, in the order in which they are asked.
    pub rules: Vec<ExplainedRule>,
    /// What is done, in words.
    pub decision: String,
    /// The targets of the group that takes it, if one does.
    pub targets: Vec<ExplainedTarget>,
}

/// A rule that was asked.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct ExplainedRule {
    /// Its priority; none: it is the default rule.
    pub priority: Option<u32>,
    /// Its conditions, and whether the request meets each.
    pub conditions: Vec<(String, bool)>,
    /// Does it decide?
    pub decides: bool,
}

/// A target of the group that takes the request.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct ExplainedTarget {
    /// Where it takes traffic.
    pub address: SocketAddr,
    /// Its zone; none: all.
    pub zone: Option<AvailabilityZone>,
    /// How it is, in the API's word; `draining` of one that drains.
    pub state: &'static str,
    /// Requests under way to it from this Region's nodes.
    pub under_way: u32,
    /// Does it come into question for this node?
    pub is_asked: bool,
    /// Would it be chosen now? The next request may be another's turn.
    pub is_chosen: bool,
}

impl Listening {
    /// Every step of what [`Listening::route`] and [`Forwarding::pick`] would do with that request
    /// now. It takes a turn, as a request does.
    pub fn explain(&self, head: &Head<'_>, with: &Circumstances<'_>) -> Explanation {
        let routed = self.route(head, with);
        let mut targets = Vec::new();
        let decision = match &routed.decision {
            Decision::Forward(forwarding) => {
                let (words, chosen) = forwarded(forwarding, with);
                targets = explained(forwarding, chosen);
                words
            }
            Decision::Redirect { status, location } => {
                format!("redirects ({status}) to {location}")
            }
            Decision::Fixed(fixed) => format!("answers {}", fixed.status),
            Decision::Nowhere => "answers 503: no target group has a weight".to_owned(),
        };
        Explanation {
            balancer: self.balancer.row.arn.to_string(),
            zone: self.zone,
            listener: self.address,
            protocol: self.listener().protocol.name(),
            rules: self.asked(head, routed.priority),
            decision,
            targets,
        }
    }

    /// The rules that were asked until one decided.
    fn asked(&self, head: &Head<'_>, decides: Option<u32>) -> Vec<ExplainedRule> {
        let mut rules: Vec<&model::Rule> = self.listener().rules.iter().collect();
        rules.sort_by_key(|rule| rule.priority);
        let asked = rules
            .iter()
            .filter(|rule| decides.is_none_or(|last| rule.priority <= last));
        let explained = asked.map(|rule| ExplainedRule {
            priority: Some(rule.priority),
            conditions: rule
                .conditions
                .iter()
                .map(|condition| (words(condition), Condition::from(condition).met(head)))
                .collect(),
            decides: Some(rule.priority) == decides,
        });
        let default = decides.is_none().then(|| ExplainedRule {
            priority: None,
            conditions: Vec::new(),
            decides: true,
        });
        explained.chain(default).collect()
    }
}

fn explained(forwarding: &Forwarding, chosen: Option<SocketAddr>) -> Vec<ExplainedTarget> {
    let set = forwarding.group();
    let asked = forwarding.pool().members();
    let asked: BTreeSet<&TargetKey> = asked.map(|member| &member.key).collect();
    let explained = set.members().map(|member| ExplainedTarget {
        address: member.address,
        zone: member.zone,
        state: match member.draining_since {
            Some(_) => "draining",
            None => member.live.health().state.name(),
        },
        under_way: member.live.under_way(),
        is_asked: asked.contains(&member.key),
        is_chosen: chosen == Some(member.address),
    });
    explained.collect()
}

fn forwarded(forwarding: &Forwarding, with: &Circumstances<'_>) -> (String, Option<SocketAddr>) {
    let group = &forwarding.group().arn.name;
    match forwarding.pick(&Tried::NONE, with) {
        Ok(picked) => {
            let why = match picked.why {
                WhyTarget::Sticky => "the client belongs to it",
                WhyTarget::Healthy => "by the group's algorithm among the healthy ones",
                WhyTarget::FailOpen => "whatever its state: the group fails open",
                WhyTarget::LastResort => "for want of another",
            };
            let words = format!("forwards to {} of {group}: {why}", picked.address);
            (words, Some(picked.address))
        }
        Err(NoTarget::NoTargets) => {
            let words = format!("answers 503: {group} has no targets for this node");
            (words, None)
        }
        Err(no) => (format!("answers 502: {no}"), None),
    }
}

/// A condition, for people.
fn words(condition: &model::Condition) -> String {
    let listed = |values: &[String]| values.join(" or ");
    match condition {
        model::Condition::HostHeader(values) => format!("host is {}", listed(values)),
        model::Condition::PathPattern(values) => format!("path is {}", listed(values)),
        model::Condition::HttpHeader { name, values } => {
            format!("header {name} is {}", listed(values))
        }
        model::Condition::QueryString(values) => {
            let pairs = values.iter().map(|pair| match &pair.key {
                Some(key) => format!("{key}={}", pair.value),
                None => pair.value.clone(),
            });
            format!("query has {}", listed(&pairs.collect::<Vec<_>>()))
        }
        model::Condition::RequestMethod(methods) => format!("method is {}", listed(methods)),
        model::Condition::SourceIp(blocks) => {
            let blocks: Vec<String> = blocks.iter().map(ToString::to_string).collect();
            format!("source is in {}", listed(&blocks))
        }
    }
}

impl Explanation {
    /// What it says, for people: a line each.
    pub fn lines(&self) -> Vec<String> {
        let mut lines = vec![
            self.balancer.clone(),
            format!("{} at {} in {}", self.protocol, self.listener, self.zone),
        ];
        for rule in &self.rules {
            let mut line = match rule.priority {
                Some(priority) => format!("  rule {priority}"),
                None => "  default rule".to_owned(),
            };
            for (condition, met) in &rule.conditions {
                let held = if *met { "yes" } else { "no" };
                write!(line, "; {condition}: {held}").expect("a string takes everything");
            }
            if rule.decides {
                line.push_str(" (decides)");
            }
            lines.push(line);
        }
        for target in &self.targets {
            let zone = target
                .zone
                .map_or("all zones".to_owned(), |zone| zone.to_string());
            let asked = if target.is_asked { "" } else { ", not asked" };
            let chosen = if target.is_chosen { " (chosen)" } else { "" };
            lines.push(format!(
                "  {} in {zone}: {}, {} under way{asked}{chosen}",
                target.address, target.state, target.under_way
            ));
        }
        lines.push(self.decision.clone());
        lines
    }
}

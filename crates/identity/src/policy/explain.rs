//! A decision with every statement that had a say in it: whether it applied, and if not, what of
//! it didn't. It decides nothing itself.

use std::fmt;

use serde::Serialize;

use super::decide::{Attached, Decision, Effect, Layer, Layers, Source, decide};
use super::error::Position;
use super::request::{Inquiry, KeySource};
use super::statement::{Asked, Mismatch, Statement};

/// A decision and everything that was considered for it.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Explanation<'a> {
    /// The decision.
    pub decision: Decision<'a>,
    /// Every statement of every policy that was given, in the order of the layers.
    pub statements: Vec<Considered<'a>>,
}

/// A statement and whether it applied.
#[derive(Clone, PartialEq, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Considered<'a> {
    /// The layer its policy is in.
    pub layer: Layer,
    /// Its policy.
    pub source: Source<'a>,
    /// Its place in the policy, from 0.
    pub index: usize,
    /// Its Sid, if it has one.
    pub sid: Option<&'a str>,
    /// Allow, else Deny.
    pub allows: bool,
    /// What of it did not apply; `None`: it applied.
    pub mismatch: Option<WhyNot<'a>>,
    /// Is it the statement that decided?
    pub decided: bool,
    /// Where it begins in its document.
    pub start: Position,
    /// Where it ends: the place behind its last character.
    pub end: Position,
}

impl Considered<'_> {
    /// Did it apply?
    pub fn matched(&self) -> bool {
        self.mismatch.is_none()
    }
}

/// What of a statement did not apply.
#[derive(Clone, PartialEq, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum WhyNot<'a> {
    /// It is about other actions.
    Action,
    /// It is about other resources.
    Resource,
    /// It is about other principals.
    Principal,
    /// A condition did not hold.
    Condition {
        /// Its operator.
        operator: String,
        /// Its key.
        key: &'a str,
        /// What the request had for that key; `None`: nothing.
        values: Option<Vec<String>>,
    },
}

impl fmt::Display for WhyNot<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            WhyNot::Action => f.write_str("it is about other actions"),
            WhyNot::Resource => f.write_str("it is about other resources"),
            WhyNot::Principal => f.write_str("it is about other principals"),
            WhyNot::Condition {
                operator,
                key,
                values,
            } => {
                write!(f, "its condition {operator} of {key} does not hold: ")?;
                match values.as_deref() {
                    None => f.write_str("the request has no such key"),
                    Some([]) => f.write_str("the request has no value of that key"),
                    Some(values) => write!(f, "the request has {}", values.join(", ")),
                }
            }
        }
    }
}

/// Decides and tells why.
pub fn explain<'a>(inquiry: &Inquiry<'a>, layers: &Layers<'a>) -> Explanation<'a> {
    let decision = decide(inquiry, layers);
    let asked = Asked::new(inquiry, layers.boundary.is_some());
    let resource = match layers.resource.map(|attached| attached.policy.kind()) {
        Some(aws::access::PolicyKind::Trust) => Layer::Trust,
        _ => Layer::Resource,
    };
    let all: [(Layer, &[Attached<'a>]); 6] = [
        (Layer::ResourceControl, layers.resource_control),
        (
            Layer::ServiceControl,
            layers.service_control.unwrap_or_default(),
        ),
        (resource, layers.resource.as_slice()),
        (Layer::Identity, layers.identity),
        (Layer::Boundary, layers.boundary.as_slice()),
        (Layer::Session, layers.session.unwrap_or_default()),
    ];
    let mut statements = Vec::new();
    let mut decided = false;
    for (layer, policies) in all {
        for attached in policies {
            for (index, statement) in attached.policy.statements.iter().enumerate() {
                let mut considered = consider(statement, &asked, layer, attached.source, index);
                // A policy may be given twice: its first statement is the one that decided.
                considered.decided = !decided && is_deciding(&decision, &considered);
                decided |= considered.decided;
                statements.push(considered);
            }
        }
    }
    Explanation {
        decision,
        statements,
    }
}

fn is_deciding(decision: &Decision<'_>, considered: &Considered<'_>) -> bool {
    decision.statement.is_some_and(|deciding| {
        decision.layer == considered.layer
            && deciding.source == considered.source
            && deciding.index == considered.index
            && considered.matched()
            && considered.allows == (decision.effect == Effect::Allowed)
    })
}

fn consider<'a>(
    statement: &'a Statement,
    asked: &Asked<'_, 'a>,
    layer: Layer,
    source: Source<'a>,
    index: usize,
) -> Considered<'a> {
    let mismatch = match statement.applies(asked) {
        Ok(_) => None,
        Err(Mismatch::Action) => Some(WhyNot::Action),
        Err(Mismatch::Resource) => Some(WhyNot::Resource),
        Err(Mismatch::Principal) => Some(WhyNot::Principal),
        Err(Mismatch::Condition(failed)) => {
            let condition = &statement.conditions[failed];
            Some(WhyNot::Condition {
                operator: condition.operator().name(),
                key: &condition.key,
                values: values(asked.inquiry.keys, &condition.key),
            })
        }
    };
    Considered {
        layer,
        source,
        index,
        sid: statement.sid.as_deref(),
        allows: statement.allows,
        mismatch,
        decided: false,
        start: statement.extent.0,
        end: statement.extent.1,
    }
}

fn values(keys: &dyn KeySource, key: &str) -> Option<Vec<String>> {
    let values = keys.get(key)?;
    Some(values.iter().map(str::to_owned).collect())
}

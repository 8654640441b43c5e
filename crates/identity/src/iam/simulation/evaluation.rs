//! Evaluates one action on one resource, and says which statements decided and what the boundary
//! and the organisation let through; and which condition keys are missing to evaluate at all.

use std::collections::{BTreeMap, BTreeSet};

use super::asked::{Asked, Principal};
use super::keys::KeysOf;
use super::source::{Given, PolicySet};
use crate::policy::{
    Attached, Considered, Effect, Inquiry, Layer, Layers, Position, PrincipalView, Source, explain,
};

/// What evaluates.
pub(crate) struct Evaluation<'a> {
    asked: &'a Asked<'a>,
    policies: &'a PolicySet,
    by_label: BTreeMap<&'a str, &'a Given>,
    missing: Vec<&'a str>,
    identity: Vec<Attached<'a>>,
    service_control: Option<Vec<Attached<'a>>>,
}

/// What came of one action on one resource.
pub(crate) struct Verdict<'a> {
    /// `allowed`, `explicitDeny` or `implicitDeny`.
    pub(crate) decision: &'static str,
    /// The statements that made it so.
    pub(crate) matched: Vec<Matched<'a>>,
    /// Does the organisation let it through? `None`: there is none.
    pub(crate) by_organization: Option<bool>,
    /// Does the boundary? `None`: there is none.
    pub(crate) by_boundary: Option<bool>,
}

/// A statement that applied.
pub(crate) struct Matched<'a> {
    /// Its policy.
    pub(crate) given: &'a Given,
    /// Where it begins in the policy's document.
    pub(crate) start: Position,
    /// Where it ends.
    pub(crate) end: Position,
}

impl<'a> Evaluation<'a> {
    /// Of what is asked by those policies.
    pub(crate) fn new(asked: &'a Asked<'a>, policies: &'a PolicySet) -> Evaluation<'a> {
        let service_control = policies.service_control.as_ref();
        Evaluation {
            asked,
            policies,
            by_label: policies
                .all()
                .map(|given| (given.label.as_str(), given))
                .collect(),
            missing: missing(asked, policies),
            identity: policies.identity.iter().map(attached).collect(),
            service_control: service_control
                .map(|policies| policies.iter().map(attached).collect()),
        }
    }

    /// Evaluates.
    pub(crate) fn of(&self, action: &'a str, resource: &'a str) -> Verdict<'a> {
        let owner = self.asked.owner_of(resource);
        let keys = KeysOf {
            keys: &self.asked.keys,
            owner,
        };
        let inquiry = Inquiry {
            action,
            resource,
            account: owner,
            principal: match &self.asked.principal {
                Principal::User(account, arn) => PrincipalView::User {
                    account: *account,
                    arn,
                    id: "",
                },
                Principal::Session(account, role, session) => PrincipalView::Session {
                    account: *account,
                    role,
                    session,
                    role_id: "",
                },
            },
            keys: &keys,
        };
        let layers = Layers {
            service_control: self.service_control.as_deref(),
            resource_control: &[],
            resource: self.policies.resource.as_ref().map(attached),
            identity: &self.identity,
            boundary: self.policies.boundary.as_ref().map(attached),
            session: None,
        };
        let explanation = explain(&inquiry, &layers);
        let applied: Vec<&Considered<'_>> = explanation
            .statements
            .iter()
            .filter(|considered| considered.matched())
            .collect();
        let lets_through = |layer: Layer| {
            let of_layer = || applied.iter().filter(move |found| found.layer == layer);
            of_layer().any(|found| found.allows) && of_layer().all(|found| found.allows)
        };
        Verdict {
            decision: match explanation.decision.effect {
                Effect::Allowed => "allowed",
                Effect::ExplicitlyDenied => "explicitDeny",
                Effect::ImplicitlyDenied => "implicitDeny",
            },
            matched: self.deciding(explanation.decision.effect, &applied),
            by_organization: (self.service_control.as_ref())
                .map(|_| lets_through(Layer::ServiceControl)),
            by_boundary: (self.policies.boundary.as_ref()).map(|_| lets_through(Layer::Boundary)),
        }
    }

    /// Of what is denied explicitly the statements that deny; else those that allow, of the
    /// principal's and of the resource's policies.
    fn deciding(&self, effect: Effect, applied: &[&Considered<'_>]) -> Vec<Matched<'a>> {
        let denied = effect == Effect::ExplicitlyDenied;
        let counts = |found: &&&Considered<'_>| match denied {
            true => !found.allows,
            false => found.allows && matches!(found.layer, Layer::Identity | Layer::Resource),
        };
        let matched = applied.iter().filter(counts).filter_map(|found| {
            let Source::Given(label) = found.source else {
                return None;
            };
            Some(Matched {
                given: self.by_label.get(label)?,
                start: found.start,
                end: found.end,
            })
        });
        matched.collect()
    }

    /// Condition keys that the policies name and nobody gave, of whatever is asked.
    pub(crate) fn missing(&self) -> &[&'a str] {
        &self.missing
    }
}

fn missing<'a>(asked: &Asked<'_>, policies: &'a PolicySet) -> Vec<&'a str> {
    let (mut known, mut missing) = (BTreeSet::new(), Vec::new());
    for name in policies.all().flat_map(|given| given.policy.context_keys()) {
        if !asked.keys.has(name) && known.insert(name.to_ascii_lowercase()) {
            missing.push(name);
        }
    }
    missing
}

fn attached(given: &Given) -> Attached<'_> {
    Attached {
        source: Source::Given(&given.label),
        policy: &given.policy,
    }
}

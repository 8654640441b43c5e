//! Whether what is asked may be done, in the order that AWS documents (IAM User Guide, "How AWS
//! enforcement code logic evaluates requests to allow or deny access", "Cross-account policy
//! evaluation logic"): an explicit deny anywhere, then what organisations, the resource, the
//! principal's own policies, its boundary and its session let through. What no policy allows is
//! denied. Allowing takes no memory.

use std::fmt;

use aws::access::PolicyKind;
use serde::Serialize;

use super::Policy;
use super::principal::Named;
use super::request::{Inquiry, PrincipalView};
use super::statement::Asked;

/// Where a policy comes from, as an explanation names it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Source<'a> {
    /// A managed policy, by its ARN.
    Managed(&'a str),
    /// An inline policy of a user, group or role.
    Inline {
        /// Whose: its ARN.
        owner: &'a str,
        /// The policy's name.
        name: &'a str,
    },
    /// The policy of a resource itself, by the resource's ARN.
    Resource(&'a str),
    /// A policy that was given with a session.
    Session,
    /// A policy of the organisation, by its name.
    Organization(&'a str),
    /// One that is only tried out, by what the request calls it: `PolicyInputList.1`.
    Given(&'a str),
}

impl fmt::Display for Source<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Source::Managed(arn) => f.write_str(arn),
            Source::Inline { owner, name } => write!(f, "{name} (inline in {owner})"),
            Source::Resource(arn) => write!(f, "the policy of {arn}"),
            Source::Session => f.write_str("the session's policy"),
            Source::Organization(name) => write!(f, "{name} (organization)"),
            Source::Given(name) => f.write_str(name),
        }
    }
}

impl Serialize for Source<'_> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// A policy and where it comes from.
#[derive(Clone, Copy, Debug)]
pub struct Attached<'a> {
    /// Where from.
    pub source: Source<'a>,
    /// The policy.
    pub policy: &'a Policy,
}

/// Every policy that has a say in one inquiry. Of a service there are only those of the resource.
#[derive(Clone, Copy, Debug, Default)]
pub struct Layers<'a> {
    /// Service control policies of the principal's account; `None`: no organisation limits it.
    pub service_control: Option<&'a [Attached<'a>]>,
    /// Resource control policies of the account that owns the resource. They only deny: the one
    /// that allows all (`RCPFullAWSAccess`) can't be detached and so needs not be here.
    pub resource_control: &'a [Attached<'a>],
    /// The policy of the resource; of `sts:AssumeRole` the role's trust policy.
    pub resource: Option<Attached<'a>>,
    /// The principal's own policies: a user's with its groups', a role's.
    pub identity: &'a [Attached<'a>],
    /// Its permissions boundary, if it has one.
    pub boundary: Option<Attached<'a>>,
    /// The policies that were given with its session, if there were any.
    pub session: Option<&'a [Attached<'a>]>,
}

/// A layer of policies, in the order in which they are asked.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Layer {
    /// Resource control policies.
    ResourceControl,
    /// Service control policies.
    ServiceControl,
    /// The resource's policy.
    Resource,
    /// The role's trust policy.
    Trust,
    /// The principal's own policies.
    Identity,
    /// Its permissions boundary.
    Boundary,
    /// Its session's policies.
    Session,
    /// No policy: an account may do everything to what it owns.
    Root,
}

/// What was decided.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Effect {
    /// It may be done.
    Allowed,
    /// A statement denies it.
    ExplicitlyDenied,
    /// No statement allows it.
    ImplicitlyDenied,
}

/// The statement that decided.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub struct Deciding<'a> {
    /// Its policy.
    pub source: Source<'a>,
    /// Its place in the policy, from 0.
    pub index: usize,
    /// Its Sid, if it has one.
    pub sid: Option<&'a str>,
}

/// A decision and what made it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub struct Decision<'a> {
    /// What was decided.
    pub effect: Effect,
    /// The layer that decided.
    pub layer: Layer,
    /// The statement that did; none of an implicit denial, and where none was needed.
    pub statement: Option<Deciding<'a>>,
    /// What was to be done.
    pub action: &'a str,
}

impl Decision<'_> {
    /// May it be done?
    pub fn is_allowed(&self) -> bool {
        self.effect == Effect::Allowed
    }

    /// The end of the message that tells of a denial (IAM User Guide, "Troubleshoot access denied
    /// error messages"): `because no identity-based policy allows the iam:GetUser action`. Empty
    /// of what is allowed.
    pub fn because(&self) -> String {
        let policy = match self.layer {
            Layer::ResourceControl => "a resource control policy",
            Layer::ServiceControl => "a service control policy",
            Layer::Resource => "a resource-based policy",
            Layer::Trust => "the role trust policy",
            Layer::Identity | Layer::Root => "an identity-based policy",
            Layer::Boundary => "a permissions boundary",
            Layer::Session => "a session policy",
        };
        match self.effect {
            Effect::Allowed => String::new(),
            Effect::ExplicitlyDenied => format!("with an explicit deny in {policy}"),
            Effect::ImplicitlyDenied => {
                let (_, policy) = policy.split_once(' ').unwrap_or(("", policy));
                format!("because no {policy} allows the {} action", self.action)
            }
        }
    }
}

/// What one layer says.
#[derive(Clone, Copy, Default)]
struct Verdict<'a> {
    denies: Option<Deciding<'a>>,
    allows: Option<(Deciding<'a>, Named)>,
}

impl Verdict<'_> {
    /// How its best Allow names the principal.
    fn named(&self) -> Named {
        self.allows.map_or(Named::No, |(_, named)| named)
    }
}

/// Asks every statement that can make a difference.
fn ask<'a>(policies: &[Attached<'a>], asked: &Asked<'_, 'a>) -> Verdict<'a> {
    let mut verdict = Verdict::default();
    let concerned = policies.iter();
    let concerned = concerned.filter(|attached| attached.policy.services & asked.service != 0);
    for attached in concerned {
        for (index, statement) in attached.policy.statements.iter().enumerate() {
            if statement.allows && verdict.named() == Named::Itself {
                continue;
            }
            let Ok(named) = statement.applies(asked) else {
                continue;
            };
            let deciding = Deciding {
                source: attached.source,
                index,
                sid: statement.sid.as_deref(),
            };
            if !statement.allows {
                verdict.denies = Some(deciding);
                return verdict;
            }
            if named > verdict.named() {
                verdict.allows = Some((deciding, named));
            }
        }
    }
    verdict
}

/// Decides.
pub fn decide<'a>(inquiry: &Inquiry<'a>, layers: &Layers<'a>) -> Decision<'a> {
    let judge = Judge {
        inquiry,
        layers,
        asked: Asked::new(inquiry, layers.boundary.is_some()),
    };
    judge.decide()
}

struct Judge<'q, 'a> {
    inquiry: &'q Inquiry<'a>,
    layers: &'q Layers<'a>,
    asked: Asked<'q, 'a>,
}

/// The verdicts of all layers, once no statement denies.
struct Verdicts<'a> {
    /// `None`: there is no such layer, so it lets everything through.
    service_control: Option<Verdict<'a>>,
    resource: Verdict<'a>,
    identity: Verdict<'a>,
    boundary: Option<Verdict<'a>>,
    session: Option<Verdict<'a>>,
}

impl<'a> Judge<'_, 'a> {
    fn decide(&self) -> Decision<'a> {
        match self.verdicts() {
            Ok(verdicts) => self.weigh(&verdicts),
            Err((layer, statement)) => Decision {
                effect: Effect::ExplicitlyDenied,
                layer,
                statement: Some(statement),
                action: self.inquiry.action,
            },
        }
    }

    /// Asks every layer, in their order; an explicit deny ends it.
    fn verdicts(&self) -> Result<Verdicts<'a>, (Layer, Deciding<'a>)> {
        let layers = self.layers;
        let ask = |layer, policies: &[Attached<'a>]| {
            let verdict = ask(policies, &self.asked);
            match verdict.denies {
                Some(statement) => Err((layer, statement)),
                None => Ok(verdict),
            }
        };
        let principal = &self.inquiry.principal;
        let of_service = principal.account().is_none();
        if !principal.is_service_linked() {
            ask(Layer::ResourceControl, layers.resource_control)?;
        }
        let limits = !of_service && !principal.is_service_linked();
        let service_control = layers.service_control.filter(|_| limits);
        let own = !of_service && !matches!(principal, PrincipalView::Root { .. });
        let identity = if own { layers.identity } else { &[] };
        let boundary = layers.boundary.filter(|_| own);
        let session = layers.session.filter(|_| own);
        let or_none = |layer, policies: Option<&[Attached<'a>]>| {
            policies.map(|policies| ask(layer, policies)).transpose()
        };
        Ok(Verdicts {
            service_control: or_none(Layer::ServiceControl, service_control)?,
            resource: ask(self.resource_layer(), layers.resource.as_slice())?,
            identity: ask(Layer::Identity, identity)?,
            boundary: or_none(Layer::Boundary, boundary.as_ref().map(std::slice::from_ref))?,
            session: or_none(Layer::Session, session)?,
        })
    }

    fn resource_layer(&self) -> Layer {
        let kind = self.layers.resource.map(|attached| attached.policy.kind);
        match kind {
            Some(PolicyKind::Trust) => Layer::Trust,
            _ => Layer::Resource,
        }
    }

    /// Without an explicit deny: does all that must allow it?
    fn weigh(&self, verdicts: &Verdicts<'a>) -> Decision<'a> {
        if let Some(verdict) = &verdicts.service_control
            && verdict.allows.is_none()
        {
            return self.denied(Layer::ServiceControl);
        }
        let resource = verdicts.resource.named();
        let layer = self.resource_layer();
        let by_resource = self.allowed(layer, &verdicts.resource);
        let is_root = matches!(self.inquiry.principal, PrincipalView::Root { .. });
        match self.inquiry.principal.account() {
            // A service has no policies of its own, and nobody has none.
            None if resource == Named::Itself => return by_resource,
            None => return self.denied(layer),
            Some(account) if account == self.inquiry.account => {
                // Within the account, a resource may allow a principal directly.
                if resource == Named::Itself {
                    return by_resource;
                }
                // A role must be let in by its trust policy, whatever else there is.
                if layer == Layer::Trust && resource == Named::No {
                    return self.denied(layer);
                }
                if is_root {
                    return self.allowed(Layer::Root, &Verdict::default());
                }
                if resource == Named::ByRole {
                    return self.limited(verdicts).unwrap_or(by_resource);
                }
            }
            // Across accounts, both sides must allow it.
            Some(_) if resource == Named::No => return self.denied(layer),
            Some(_) if is_root => return by_resource,
            Some(_) => {}
        }
        if verdicts.identity.allows.is_none() {
            return self.denied(Layer::Identity);
        }
        let by_identity = self.allowed(Layer::Identity, &verdicts.identity);
        self.limited(verdicts).unwrap_or(by_identity)
    }

    /// The denial of a boundary or session that doesn't allow it.
    fn limited(&self, verdicts: &Verdicts<'a>) -> Option<Decision<'a>> {
        let limits = [
            (Layer::Boundary, &verdicts.boundary),
            (Layer::Session, &verdicts.session),
        ];
        let missing =
            |verdict: &Option<Verdict<'a>>| verdict.is_some_and(|verdict| verdict.allows.is_none());
        let found = limits.into_iter().find(|(_, verdict)| missing(verdict));
        found.map(|(layer, _)| self.denied(layer))
    }

    fn denied(&self, layer: Layer) -> Decision<'a> {
        Decision {
            effect: Effect::ImplicitlyDenied,
            layer,
            statement: None,
            action: self.inquiry.action,
        }
    }

    fn allowed(&self, layer: Layer, verdict: &Verdict<'a>) -> Decision<'a> {
        Decision {
            effect: Effect::Allowed,
            layer,
            statement: verdict.allows.map(|(statement, _)| statement),
            action: self.inquiry.action,
        }
    }
}

//! Where requests and flows that came to a listener go: its rules decide what becomes of a request,
//! and of a request that is forwarded the client's cookies, the groups' weights and `targets`
//! decide to where. It decides; it connects to nothing and reads no clock.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use types::{AvailabilityZone, Now};

use crate::action::{CameTo, by_weight};
use crate::algorithm::{draw, name};
use crate::arn::RuleArn;
use crate::attributes::Stickiness;
use crate::compiled::{CompiledAction, CompiledBalancer, CompiledForward};
use crate::headers::{HeaderFields, any_cookie, sets_cookie};
use crate::listen::{Listening, Transport};
use crate::model::{FixedResponse, RuleId, TargetKey};
use crate::rules::Head;
use crate::stickiness::{Bindings, CookieKind, CookieSealer, set_cookies};
use crate::targets::{
    Choosing, Member, NoTarget, Pool, TargetSet, Tried, UnderWay, WhyTarget, by_hash,
};

/// What decisions are made with.
#[derive(Clone, Copy)]
pub struct Circumstances<'a> {
    /// The time.
    pub now: Now,
    /// Draws 64 bits, fit for keys.
    pub random: &'a dyn Fn() -> u64,
    /// Seals and opens cookies.
    pub sealer: &'a CookieSealer,
}

/// What becomes of a request.
#[derive(Debug)]
pub struct Routed {
    /// The rule that said so; of the default action the default rule.
    pub rule: RuleArn,
    /// The rule's priority; none: it is the default rule.
    pub priority: Option<u32>,
    /// What becomes of it.
    pub decision: Decision,
}

/// What becomes of a request.
#[derive(Debug)]
pub enum Decision {
    /// A target of a group gets it.
    Forward(Forwarding),
    /// The client is sent elsewhere.
    Redirect {
        /// 301 or 302.
        status: u16,
        /// Where.
        location: String,
    },
    /// The client is answered.
    Fixed(FixedResponse),
    /// The rule forwards to groups that all have the weight 0, or aren't there: 503.
    Nowhere,
}

/// A request that is forwarded to a target group. It holds what it needs, whatever snapshot is
/// served meanwhile.
#[derive(Debug)]
pub struct Forwarding {
    balancer: Arc<CompiledBalancer>,
    zone: AvailabilityZone,
    /// The group's number among the load balancer's.
    group: usize,
    /// The client stays with its group: the bindings that it has, whose they are, and for how many
    /// seconds.
    group_cookie: Option<(Bindings, u64, u32)>,
    /// The bindings to targets that the client has.
    bindings: Bindings,
    /// The target that it belongs to.
    sticky: Option<u64>,
}

/// A target that was chosen. Whatever was sent to it counts as under way until this is dropped.
#[derive(Debug)]
pub struct Picked {
    /// Where to connect to.
    pub address: SocketAddr,
    /// What it is named by.
    pub key: TargetKey,
    /// Its group.
    pub group: Arc<TargetSet>,
    /// By which rule it was chosen.
    pub why: WhyTarget,
    number: u64,
    /// Counts the request, or the flow, as under way to it until it is dropped.
    pub under_way: UnderWay,
}

impl Listening {
    /// What becomes of a request that came here.
    pub fn route(&self, head: &Head<'_>, with: &Circumstances<'_>) -> Routed {
        let listener = self.compiled();
        let rule = listener.rules.first(head);
        let (id, action) = match rule {
            Some(rule) => (&rule.id, &rule.action),
            None => (&listener.default_rule, &listener.default_action),
        };
        let decision = match action {
            CompiledAction::Forward(forward) => self.forward(id, forward, head, with),
            CompiledAction::Redirect(redirect) => {
                let fallback = self.address.ip().to_string();
                let came_to = CameTo {
                    protocol: self.listener().protocol.name(),
                    port: self.listener().port,
                    fallback_host: &fallback,
                };
                Decision::Redirect {
                    status: redirect.status.code(),
                    location: redirect.location(head, &came_to),
                }
            }
            CompiledAction::Fixed(fixed) => Decision::Fixed(fixed.clone()),
        };
        Routed {
            rule: RuleArn {
                listener: self.balancer.row.listener_arn(&self.listener().id),
                rule: id.clone(),
            },
            priority: rule.map(|rule| rule.priority),
            decision,
        }
    }

    fn forward(
        &self,
        rule: &RuleId,
        forward: &CompiledForward,
        head: &Head<'_>,
        with: &Circumstances<'_>,
    ) -> Decision {
        let group_cookie = forward.stickiness.map(|duration| {
            let bindings = self.bindings(CookieKind::Group, head.headers, with);
            (bindings.unwrap_or_default(), name(&rule.0), duration)
        });
        let bound = group_cookie.as_ref().and_then(|(bindings, rule, _)| {
            let number = bindings.get(*rule, with.now.wall)?;
            let mut groups = forward.groups.iter().map(|(group, _)| group);
            // A group that it belongs to keeps it, even where its weight is 0 by now: the weight
            // is about clients that have no group.
            groups.find(|group| self.set(**group).number == number)
        });
        let group = bound.or_else(|| by_weight(&forward.groups, (with.random)()));
        let Some(group) = group.copied() else {
            return Decision::Nowhere;
        };
        let (bindings, sticky) = self.target_of(self.set(group), head.headers, with);
        Decision::Forward(Forwarding {
            balancer: self.balancer.clone(),
            zone: self.zone,
            group,
            group_cookie,
            bindings,
            sticky,
        })
    }

    fn set(&self, group: usize) -> &TargetSet {
        &self.balancer.groups[group].set
    }

    /// The bindings to targets that the client has, and the target of the group that it belongs
    /// to.
    fn target_of(
        &self,
        group: &TargetSet,
        headers: &dyn HeaderFields,
        with: &Circumstances<'_>,
    ) -> (Bindings, Option<u64>) {
        let kind = match &group.stickiness {
            None | Some(Stickiness::SourceIp) => return (Bindings::default(), None),
            Some(Stickiness::BalancerCookie { .. }) => CookieKind::Target,
            Some(Stickiness::ApplicationCookie { .. }) => CookieKind::Application,
        };
        let bindings = self.bindings(kind, headers, with).unwrap_or_default();
        let has_own = match &group.stickiness {
            Some(Stickiness::ApplicationCookie { name, .. }) => {
                any_cookie(headers, name, &mut |_| true)
            }
            _ => true,
        };
        let sticky = bindings.get(group.number, with.now.wall);
        (bindings, sticky.filter(|_| has_own))
    }

    fn bindings(
        &self,
        kind: CookieKind,
        headers: &dyn HeaderFields,
        with: &Circumstances<'_>,
    ) -> Option<Bindings> {
        let mut found = None;
        let mut open = |value: &str| {
            found = with.sealer.open(kind, &self.balancer.arn, value);
            found.is_some()
        };
        if !any_cookie(headers, kind.name(), &mut open)
            && let Some(name) = kind.cross_site_name()
        {
            any_cookie(headers, name, &mut open);
        }
        found
    }

    /// Where a flow from that client goes; none: nowhere, and it is refused. The same flow goes
    /// the same way while the configuration and the targets' health are the same.
    pub fn flow(&self, from: SocketAddr) -> Option<FlowForwarding> {
        let CompiledAction::Forward(forward) = &self.compiled().default_action else {
            return None;
        };
        let client = of_address(from.ip());
        let ports = u64::from(from.port()) << 16 | u64::from(self.address.port());
        let transport = match self.transport {
            Transport::Tcp => 6,
            Transport::Udp => 17,
        };
        let tuple = draw(
            client ^ of_address(self.address.ip()),
            ports << 8 | transport,
        );
        let by = forward.stickiness.map_or(tuple, |_| client);
        let group = *by_weight(&forward.groups, draw(by, GROUP))?;
        let is_sticky = self.set(group).stickiness == Some(Stickiness::SourceIp);
        Some(FlowForwarding {
            balancer: self.balancer.clone(),
            zone: self.zone,
            group,
            hash: if is_sticky { client } else { tuple },
        })
    }
}

impl Forwarding {
    /// The target group.
    pub fn group(&self) -> &Arc<TargetSet> {
        &self.balancer.groups[self.group].set
    }

    /// The targets that come into question.
    pub(crate) fn pool(&self) -> Pool<'_> {
        self.balancer.pool(self.group, self.zone)
    }

    /// The target that gets the request, after those that were tried in vain.
    ///
    /// # Errors
    ///
    /// [`NoTarget`] says whether there is none, or none is left.
    pub fn pick(&self, tried: &Tried, with: &Circumstances<'_>) -> Result<Picked, NoTarget> {
        let choosing = Choosing {
            pool: self.pool(),
            tried,
            now: with.now.monotonic,
            random: (with.random)(),
            sticky: self.sticky,
        };
        let (member, why) = choosing.choose()?;
        Ok(picked(self.group(), member, why))
    }

    /// The values of the Set-Cookie fields that the response of that target gets beside its own.
    pub fn set_cookies(
        &self,
        target: &Picked,
        response: &dyn HeaderFields,
        with: &Circumstances<'_>,
    ) -> Vec<String> {
        let now = with.now.wall;
        let mut fields = Vec::new();
        let mut add = |kind: CookieKind, bindings: &Bindings| {
            let value = with
                .sealer
                .seal(kind, &self.balancer.arn, bindings, with.random);
            fields.extend(set_cookies(kind, &value, now));
        };
        if let Some((bindings, rule, duration)) = &self.group_cookie {
            let mut bindings = bindings.clone();
            bindings.bind(*rule, self.group().number, *duration, now);
            add(CookieKind::Group, &bindings);
        }
        let bind = |duration: u32| {
            let mut bindings = self.bindings.clone();
            bindings.bind(self.group().number, target.number, duration, now);
            bindings
        };
        match &self.group().stickiness {
            Some(Stickiness::BalancerCookie { duration }) => {
                add(CookieKind::Target, &bind(*duration));
            }
            Some(Stickiness::ApplicationCookie { name, duration })
                if sets_cookie(response, name) =>
            {
                add(CookieKind::Application, &bind(*duration));
            }
            _ => (),
        }
        fields
    }
}

/// A flow that is forwarded to a target group.
#[derive(Debug)]
pub struct FlowForwarding {
    balancer: Arc<CompiledBalancer>,
    zone: AvailabilityZone,
    /// The group's number among the load balancer's.
    group: usize,
    hash: u64,
}

impl FlowForwarding {
    /// The target group.
    pub fn group(&self) -> &Arc<TargetSet> {
        &self.balancer.groups[self.group].set
    }

    /// The target that gets the flow, after those that were tried in vain.
    ///
    /// # Errors
    ///
    /// [`NoTarget`] says whether there is none, or none is left.
    pub fn pick(&self, tried: &Tried) -> Result<Picked, NoTarget> {
        let pool = self.balancer.pool(self.group, self.zone);
        let (member, why) = by_hash(pool, self.hash, tried)?;
        Ok(picked(self.group(), member, why))
    }
}

fn picked(group: &Arc<TargetSet>, member: &Member, why: WhyTarget) -> Picked {
    Picked {
        address: member.address,
        key: member.key.clone(),
        group: group.clone(),
        why,
        number: member.number,
        under_way: UnderWay::begin(member.live.clone()),
    }
}

fn of_address(address: IpAddr) -> u64 {
    match address.to_canonical() {
        IpAddr::V4(address) => draw(u64::from(address.to_bits()), ADDRESS),
        IpAddr::V6(address) => {
            let bits = address.to_bits();
            // Cut in halves on purpose.
            draw(draw(bits as u64, ADDRESS), (bits >> 64) as u64)
        }
    }
}

/// Purposes of draws.
const GROUP: u64 = u64::from_be_bytes(*b"group   ");
const ADDRESS: u64 = u64::from_be_bytes(*b"address ");

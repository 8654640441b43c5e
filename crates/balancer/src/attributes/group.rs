//! Attributes of target groups.

use super::{Attribute, Values, attribute, least, number};
use crate::model::{LoadBalancerKind, Protocol, TargetGroup, TargetType};
use crate::words::words;

/// Of both kinds, in the order in which the API shows them.
macro_rules! with_common {
    ($($own:expr),+ $(,)?) => {
        &[
            attribute("deregistration_delay.timeout_seconds", "300", Values::Number(0, 3600)),
            attribute("stickiness.enabled", "false", Values::Flag),
            attribute(
                "load_balancing.cross_zone.enabled",
                "use_load_balancer_configuration",
                Values::Words(&["true", "false", "use_load_balancer_configuration"]),
            ),
            attribute(DNS_COUNT, "1", Values::OffOr(1, MOST)),
            attribute(DNS_PERCENTAGE, "off", Values::OffOr(1, 100)),
            attribute(ROUTING_COUNT, "1", Values::Number(1, MOST)),
            attribute(ROUTING_PERCENTAGE, "off", Values::OffOr(1, 100)),
            $($own,)+
        ]
    };
}

/// The most targets that a least number of healthy ones can ask for: a group has no more.
const MOST: u32 = 1000;

const DNS_COUNT: &str = "target_group_health.dns_failover.minimum_healthy_targets.count";
const DNS_PERCENTAGE: &str = "target_group_health.dns_failover.minimum_healthy_targets.percentage";
const ROUTING_COUNT: &str =
    "target_group_health.unhealthy_state_routing.minimum_healthy_targets.count";
const ROUTING_PERCENTAGE: &str =
    "target_group_health.unhealthy_state_routing.minimum_healthy_targets.percentage";

/// The longest that a client stays with a target: a week, in seconds.
const WEEK: u32 = 604_800;

const APPLICATION: &[Attribute] = with_common![
    attribute(
        "stickiness.type",
        "lb_cookie",
        Values::Words(&["lb_cookie", "app_cookie"])
    ),
    attribute(
        "stickiness.lb_cookie.duration_seconds",
        "86400",
        Values::Number(1, WEEK)
    ),
    attribute("stickiness.app_cookie.cookie_name", "", Values::Text(1024)),
    attribute(
        "stickiness.app_cookie.duration_seconds",
        "86400",
        Values::Number(1, WEEK)
    ),
    attribute("slow_start.duration_seconds", "0", Values::ZeroOr(30, 900)),
    attribute(
        "load_balancing.algorithm.type",
        "round_robin",
        Values::Words(&[
            "round_robin",
            "least_outstanding_requests",
            "weighted_random"
        ]),
    ),
    attribute(
        "load_balancing.algorithm.anomaly_mitigation",
        "off",
        Values::Default
    ),
];

/// Of network load balancers. What their defaults are at AWS depends on the protocol: clients'
/// addresses are preserved, and connections broken when a target becomes unhealthy or has drained,
/// where that isn't said otherwise. None of it is built, so it is shown as off and can't be put on.
const NETWORK: &[Attribute] = with_common![
    attribute(
        "stickiness.type",
        "source_ip",
        Values::Words(&["source_ip"])
    ),
    attribute(TERMINATES_DRAINED, "false", Values::Default),
    attribute("preserve_client_ip.enabled", "false", Values::Default),
    attribute("proxy_protocol_v2.enabled", "false", Values::Flag),
    attribute(TERMINATES_UNHEALTHY, "false", Values::Default),
    attribute(
        "target_health_state.unhealthy.draining_interval_seconds",
        "0",
        Values::Default,
    ),
];

const TERMINATES_DRAINED: &str = "deregistration_delay.connection_termination.enabled";
const TERMINATES_UNHEALTHY: &str = "target_health_state.unhealthy.connection_termination.enabled";

words! {
    /// How a target is chosen.
    pub enum Algorithm {
        /// One after the other.
        RoundRobin = "round_robin",
        /// The one with the fewest requests under way.
        LeastOutstandingRequests = "least_outstanding_requests",
        /// Any, each as likely as another.
        WeightedRandom = "weighted_random",
    }
}

/// What keeps a client with a target.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Stickiness {
    /// A cookie of the load balancer's own, for so many seconds.
    BalancerCookie {
        /// Seconds, 1 to 604,800.
        duration: u32,
    },
    /// A cookie that accompanies the application's of that name.
    ApplicationCookie {
        /// The application's cookie.
        name: String,
        /// Seconds, 1 to 604,800.
        duration: u32,
    },
    /// Its address; of network load balancers.
    SourceIp,
}

/// How many healthy targets are enough: those of both are asked for, and `None` asks for none.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct MinimumHealthy {
    /// So many.
    pub count: Option<u32>,
    /// So many percent of all.
    pub percentage: Option<u32>,
}

/// The attributes of target groups of that protocol, in the order in which the API shows them.
pub(crate) fn table(protocol: Protocol) -> &'static [Attribute] {
    match protocol {
        Protocol::Http | Protocol::Https => APPLICATION,
        Protocol::Tcp | Protocol::Tls | Protocol::Udp | Protocol::TcpUdp => NETWORK,
    }
}

#[cfg(test)]
pub(super) fn tables() -> [&'static [Attribute]; 2] {
    [APPLICATION, NETWORK]
}

impl MinimumHealthy {
    /// Are so many healthy ones of so many enough?
    pub fn is_met(self, healthy: usize, of: usize) -> bool {
        let (healthy, of) = (healthy as u64, of as u64);
        let by_count = self.count.is_none_or(|count| healthy >= u64::from(count));
        let share = |percent: u32| healthy * 100 >= of * u64::from(percent);
        by_count && self.percentage.is_none_or(share)
    }
}

impl TargetGroup {
    fn attribute(&self, name: &str) -> &str {
        self.attributes.value(table(self.protocol), name)
    }

    fn flag(&self, name: &str) -> bool {
        self.attribute(name) == "true"
    }

    /// Of which kind of load balancers is it?
    pub fn kind(&self) -> LoadBalancerKind {
        self.protocol.kind()
    }

    /// Seconds for which a deregistered target keeps what it has: 0 to 3,600.
    pub fn deregistration_delay(&self) -> u32 {
        number(self.attribute("deregistration_delay.timeout_seconds"))
    }

    /// Are connections broken at the end of that delay?
    pub fn terminates_drained(&self) -> bool {
        self.flag(TERMINATES_DRAINED)
    }

    /// Are connections to a target broken when it becomes unhealthy? Of network load balancers.
    pub fn terminates_unhealthy(&self) -> bool {
        self.flag(TERMINATES_UNHEALTHY)
    }

    /// Are targets told who connected, by PROXY protocol version 2? Of network load balancers.
    pub fn sends_proxy_protocol(&self) -> bool {
        self.flag("proxy_protocol_v2.enabled")
    }

    /// Are targets of all zones used? None: as the load balancer has it.
    pub fn cross_zone(&self) -> Option<bool> {
        match self.attribute("load_balancing.cross_zone.enabled") {
            "true" => Some(true),
            "false" => Some(false),
            _ => None,
        }
    }

    /// What keeps a client with a target, if anything does.
    pub fn stickiness(&self) -> Option<Stickiness> {
        if !self.flag("stickiness.enabled") {
            return None;
        }
        Some(match self.attribute("stickiness.type") {
            "app_cookie" => Stickiness::ApplicationCookie {
                name: self
                    .attribute("stickiness.app_cookie.cookie_name")
                    .to_owned(),
                duration: number(self.attribute("stickiness.app_cookie.duration_seconds")),
            },
            "source_ip" => Stickiness::SourceIp,
            _ => Stickiness::BalancerCookie {
                duration: number(self.attribute("stickiness.lb_cookie.duration_seconds")),
            },
        })
    }

    /// Seconds in which a target's share grows to its whole: 30 to 900, or none.
    pub fn slow_start(&self) -> Option<u32> {
        let duration = number(self.attribute("slow_start.duration_seconds"));
        (duration > 0).then_some(duration)
    }

    /// How a target is chosen; of application load balancers.
    pub fn algorithm(&self) -> Algorithm {
        let word = self.attribute("load_balancing.algorithm.type");
        Algorithm::of_name(word).unwrap_or(Algorithm::RoundRobin)
    }

    /// How many targets of a zone must be healthy for its node to stay in DNS.
    pub fn minimum_for_dns(&self) -> MinimumHealthy {
        MinimumHealthy {
            count: least(self.attribute(DNS_COUNT)),
            percentage: least(self.attribute(DNS_PERCENTAGE)),
        }
    }

    /// How many targets must be healthy; with fewer, all get traffic (fail open).
    pub fn minimum_for_routing(&self) -> MinimumHealthy {
        MinimumHealthy {
            count: least(self.attribute(ROUTING_COUNT)),
            percentage: least(self.attribute(ROUTING_PERCENTAGE)),
        }
    }

    /// Are targets named by addresses?
    pub fn is_of_addresses(&self) -> bool {
        self.target_type == TargetType::Ip
    }
}

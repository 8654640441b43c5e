//! What is configured: load balancers with their listeners and rules, and target groups with their
//! targets. Plain values, and nothing of how anything is at the moment.

mod rule;
mod target_group;

use std::collections::BTreeMap;
use std::fmt;
use std::net::Ipv4Addr;

use serde::{Deserialize, Serialize};
use types::{AvailabilityZone, Timestamp};

pub use crate::arn::{ListenerArn, LoadBalancerArn, RuleArn, TargetGroupArn};
pub use crate::attributes::Attributes;
pub use crate::cidr::Cidr;
pub use rule::{
    Action, ActionKind, Condition, FixedResponse, Forward, GroupStickiness, QueryPattern, Redirect,
    RedirectStatus, Rule, WeightedGroup,
};
pub use target_group::{
    CodeRange, HealthCheckPort, HealthCheckProtocol, HealthCheckSettings, Matcher, ProtocolVersion,
    Target, TargetGroup, TargetIpType, TargetKey, TargetType,
};

use crate::words::words;

/// Tags: keys and values.
pub type Tags = BTreeMap<String, String>;

macro_rules! ids {
    ($( $(#[$outer:meta])* $name:ident; )+) => {$(
        $(#[$outer])*
        #[derive(
            Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize,
        )]
        #[serde(transparent)]
        pub struct $name(pub String);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    )+};
}

ids! {
    /// A load balancer's id: the 16 hexadecimal digits at the end of its name.
    LoadBalancerId;
    /// A listener's id: 16 hexadecimal digits.
    ListenerId;
    /// A rule's id: 16 hexadecimal digits.
    RuleId;
    /// A target group's id: the 16 hexadecimal digits at the end of its name.
    TargetGroupId;
}

words! {
    /// Which kind of load balancer it is. The third of the API, `gateway`, is not built.
    pub enum LoadBalancerKind {
        /// It takes requests, by HTTP and HTTPS.
        Application = "application",
        /// It takes flows, by TCP, TLS and UDP.
        Network = "network",
    }
}

words! {
    /// Who a load balancer is for. It decides its DNS name; in a deployment without private
    /// networks nothing else.
    pub enum Scheme {
        /// Everybody.
        InternetFacing = "internet-facing",
        /// Who is in its network.
        Internal = "internal",
    }
}

words! {
    /// What a listener takes, and what a target group's targets are spoken to by.
    pub enum Protocol {
        /// HTTP; of application load balancers.
        Http = "HTTP",
        /// HTTP over TLS; of application load balancers.
        Https = "HTTPS",
        /// TCP; of network load balancers.
        Tcp = "TCP",
        /// TLS, ended here or begun here; of network load balancers.
        Tls = "TLS",
        /// UDP; of network load balancers.
        Udp = "UDP",
        /// TCP and UDP on one port; of network load balancers.
        TcpUdp = "TCP_UDP",
    }
}

words! {
    /// Which protocol a TLS listener of a network load balancer prefers of those that its client
    /// offers (Network Load Balancers User Guide, "ALPN policies").
    pub enum AlpnPolicy {
        /// `http/1.*` alone.
        Http1Only = "HTTP1Only",
        /// `h2` alone.
        Http2Only = "HTTP2Only",
        /// `http/1.*` rather than `h2`.
        Http2Optional = "HTTP2Optional",
        /// `h2` rather than `http/1.*`.
        Http2Preferred = "HTTP2Preferred",
        /// None is negotiated.
        None = "None",
    }
}

/// A load balancer, with everything below it: one row of its Region's configuration.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct LoadBalancer {
    /// Its name, kind, owner and id.
    pub arn: LoadBalancerArn,
    /// The number in an application load balancer's DNS name: 1 to 10 digits.
    pub dns_number: u32,
    /// Who it is for.
    pub scheme: Scheme,
    /// When it was made.
    pub created: Timestamp,
    /// The address of its node in each zone that it is enabled in.
    pub zones: BTreeMap<AvailabilityZone, Ipv4Addr>,
    /// The ids of its security groups, which describe and filter nothing.
    pub security_groups: Vec<String>,
    /// Its attributes that were set; read them by its methods.
    pub attributes: Attributes,
    /// Its tags.
    pub tags: Tags,
    /// Its listeners, in the order in which they were made, no two on one port.
    pub listeners: Vec<Listener>,
}

/// A listener.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Listener {
    /// Its id.
    pub id: ListenerId,
    /// Where it listens: 1 to 65,535.
    pub port: u16,
    /// What it takes.
    pub protocol: Protocol,
    /// The ARNs of its certificates, by HTTPS and TLS: the default one first, then those that are
    /// chosen by the name that a client asks for.
    pub certificates: Vec<String>,
    /// The name of its security policy, by HTTPS and TLS.
    pub ssl_policy: Option<String>,
    /// Its choice of a protocol in TLS, by TLS.
    pub alpn_policy: Option<AlpnPolicy>,
    /// The id of its default rule, which takes what no other rule does.
    pub default_rule: RuleId,
    /// The default rule's tags.
    pub default_rule_tags: Tags,
    /// The default rule's action.
    pub default_action: Action,
    /// Its attributes that were set.
    pub attributes: Attributes,
    /// Its tags.
    pub tags: Tags,
    /// Its other rules, those of lower priorities first, no two of one priority.
    pub rules: Vec<Rule>,
}

impl LoadBalancerKind {
    /// What stands for it in names: `app` or `net`.
    pub fn path(self) -> &'static str {
        match self {
            LoadBalancerKind::Application => "app",
            LoadBalancerKind::Network => "net",
        }
    }

    /// The one that stands in names as that.
    pub fn of_path(path: &str) -> Option<LoadBalancerKind> {
        let all = LoadBalancerKind::ALL.iter().copied();
        all.into_iter().find(|kind| kind.path() == path)
    }
}

impl Protocol {
    /// Of which kind of load balancers and their target groups is it?
    pub fn kind(self) -> LoadBalancerKind {
        match self {
            Protocol::Http | Protocol::Https => LoadBalancerKind::Application,
            Protocol::Tcp | Protocol::Tls | Protocol::Udp | Protocol::TcpUdp => {
                LoadBalancerKind::Network
            }
        }
    }

    /// Has it TLS?
    pub fn is_secure(self) -> bool {
        matches!(self, Protocol::Https | Protocol::Tls)
    }

    /// Does it travel by TCP?
    pub fn uses_tcp(self) -> bool {
        self != Protocol::Udp
    }

    /// Does it travel by UDP?
    pub fn uses_udp(self) -> bool {
        matches!(self, Protocol::Udp | Protocol::TcpUdp)
    }
}

impl LoadBalancer {
    /// Its kind.
    pub fn kind(&self) -> LoadBalancerKind {
        self.arn.kind
    }

    /// Its DNS name as the API shows it, the user's letters kept; DNS ignores their case.
    /// `NAME-NUMBER.REGION.elb.amazonaws.com`, of internal ones `internal-` before it; of network
    /// load balancers `NAME-ID.elb.REGION.amazonaws.com`.
    pub fn dns_name(&self) -> String {
        let LoadBalancerArn {
            region, name, id, ..
        } = &self.arn;
        match (self.kind(), self.scheme) {
            (LoadBalancerKind::Application, Scheme::InternetFacing) => {
                format!("{name}-{}.{region}.elb.amazonaws.com", self.dns_number)
            }
            (LoadBalancerKind::Application, Scheme::Internal) => {
                format!(
                    "internal-{name}-{}.{region}.elb.amazonaws.com",
                    self.dns_number
                )
            }
            (LoadBalancerKind::Network, _) => format!("{name}-{id}.elb.{region}.amazonaws.com"),
        }
    }

    /// The listener of that id.
    pub fn listener(&self, id: &ListenerId) -> Option<&Listener> {
        self.listeners.iter().find(|listener| listener.id == *id)
    }

    /// A listener's name.
    pub fn listener_arn(&self, id: &ListenerId) -> ListenerArn {
        ListenerArn {
            balancer: self.arn.clone(),
            listener: id.clone(),
        }
    }

    /// Every target group that an action of it names, each once, in the order of their names.
    pub fn target_groups(&self) -> Vec<&TargetGroupArn> {
        let actions = self.listeners.iter().flat_map(Listener::actions);
        let mut groups: Vec<_> = actions.flat_map(Action::target_groups).collect();
        groups.sort_unstable();
        groups.dedup();
        groups
    }
}

impl Listener {
    /// The actions of its rules, and the default one last.
    pub fn actions(&self) -> impl Iterator<Item = &Action> {
        let rules = self.rules.iter().map(|rule| &rule.action);
        rules.chain([&self.default_action])
    }

    /// The rule of that id, if it isn't the default one.
    pub fn rule(&self, id: &RuleId) -> Option<&Rule> {
        self.rules.iter().find(|rule| rule.id == *id)
    }
}
